package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// identified is the answer of a command about one object.
type identified struct {
	UniqueIdentifier string `json:"unique_identifier"`
}

// keyID adds the flag that names the key a command is about.
func keyID(cmd *cobra.Command, uid *string) {
	cmd.Flags().StringVarP(uid, "key-id", "k", "", "unique identifier `ID` of the key")
}

// needsKeyID adds that flag and makes it obligatory.
func needsKeyID(cmd *cobra.Command, uid *string) *cobra.Command {
	keyID(cmd, uid)
	return needsKey(cmd, uid)
}

// needsKey makes the flag, which is there already, obligatory.
func needsKey(cmd *cobra.Command, uid *string) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *uid == "" {
			return misused("no key is named: give --key-id ID")
		}
		return run(cmd, args)
	}
	return cmd
}

// lifecycle are the commands that both sorts of keys have. The path is that of their group, for the examples.
func (p *program) lifecycle(path, example string) []*cobra.Command {
	return []*cobra.Command{p.activateCommand(path, example), p.revokeCommand(path, example), p.destroyCommand(path, example)}
}

func (p *program) activateCommand(path, example string) *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:     "activate --key-id ID",
		Short:   "Put a key that was made with --pre-active to use",
		Example: fmt.Sprintf("  %s activate --key-id %s", path, example),
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.ActivateResponse](cmd.Context(), p, kmip.OperationActivate, &kmip.ActivateRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			return p.about("Successfully activated the key.", r.UniqueIdentifier)
		},
	}, &uid)
}

func (p *program) revokeCommand(path, example string) *cobra.Command {
	var uid, reason string
	cmd := needsKeyID(&cobra.Command{
		Use:   "revoke --key-id ID [MESSAGE]",
		Short: "Take a key out of use",
		Long: `Take a key out of use: it encrypts and signs no more, and may be destroyed. The reason is one of unspecified,
key-compromise, ca-compromise, affiliation-changed, superseded, cessation-of-operation and privilege-withdrawn; the
message is kept with it.`,
		Example: fmt.Sprintf("  %[1]s revoke --key-id %[2]s\n  %[1]s revoke --key-id %[2]s --reason key-compromise \"laptop stolen\"", path, example),
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			code, err := named[kmip.RevocationReasonCode](ttlv.TagRevocationReasonCode, "reason", reason)
			if err != nil {
				return err
			}
			r, err := do[kmip.RevokeResponse](cmd.Context(), p, kmip.OperationRevoke, &kmip.RevokeRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(uid),
				RevocationReason: kmip.RevocationReason{RevocationReasonCode: code, RevocationMessage: strings.Join(args, " ")},
			})
			if err != nil {
				return err
			}
			return p.about("Successfully revoked the key.", r.UniqueIdentifier)
		},
	}, &uid)
	cmd.Flags().StringVar(&reason, "reason", "unspecified", "`REASON`")
	return cmd
}

func (p *program) destroyCommand(path, example string) *cobra.Command {
	var uid string
	return needsKeyID(&cobra.Command{
		Use:     "destroy --key-id ID",
		Short:   "Destroy a key for good",
		Long:    "Destroy a key for good. A key in the database is revoked first; one in an HSM need not be.",
		Example: fmt.Sprintf("  %s destroy --key-id %s", path, example),
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.DestroyResponse](cmd.Context(), p, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			return p.about("Successfully destroyed the key.", r.UniqueIdentifier)
		},
	}, &uid)
}

// about answers what was done, and to which object.
func (p *program) about(what string, uid kmip.UniqueIdentifier) error {
	return p.answer(identified{string(uid)}, "%s\nUnique identifier: %s", what, uid)
}
