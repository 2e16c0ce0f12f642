package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// lifecycle are the commands that every kind has.
func (p *program) lifecycle(k *kind) []*cobra.Command {
	return []*cobra.Command{p.activateCommand(k), p.revokeCommand(k), p.destroyCommand(k)}
}

func (p *program) activateCommand(k *kind) *cobra.Command {
	var uid string
	return k.needsID(&cobra.Command{
		Use:     fmt.Sprintf("activate --%s ID", k.flag()),
		Short:   fmt.Sprintf("Put a %s that was made with --pre-active to use", k.noun),
		Example: fmt.Sprintf("  %s --%s %s", k.command("activate"), k.flag(), k.example),
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.ActivateResponse](cmd.Context(), p, kmip.OperationActivate, &kmip.ActivateRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			return p.about("Successfully activated the "+k.noun+".", r.UniqueIdentifier)
		},
	}, &uid)
}

func (p *program) revokeCommand(k *kind) *cobra.Command {
	var uid, reason string
	cmd := k.needsID(&cobra.Command{
		Use:   fmt.Sprintf("revoke --%s ID [MESSAGE]", k.flag()),
		Short: fmt.Sprintf("Take a %s out of use", k.noun),
		Long: fmt.Sprintf(`Take a %s out of use: it protects nothing more, and may be destroyed. The reason is one of unspecified,
key-compromise, ca-compromise, affiliation-changed, superseded, cessation-of-operation and privilege-withdrawn; the
message is kept with it.`, k.noun),
		Example: fmt.Sprintf("  %[1]s --%[2]s %[3]s\n  %[1]s --%[2]s %[3]s --reason key-compromise \"laptop stolen\"", k.command("revoke"), k.flag(), k.example),
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
			return p.about("Successfully revoked the "+k.noun+".", r.UniqueIdentifier)
		},
	}, &uid)
	cmd.Flags().StringVar(&reason, "reason", "unspecified", "`REASON`")
	return cmd
}

func (p *program) destroyCommand(k *kind) *cobra.Command {
	var uid string
	return k.needsID(&cobra.Command{
		Use:     fmt.Sprintf("destroy --%s ID", k.flag()),
		Short:   fmt.Sprintf("Destroy a %s for good", k.noun),
		Long:    fmt.Sprintf("Destroy a %s for good. What is in the database is revoked first; a key in an HSM need not be.", k.noun),
		Example: fmt.Sprintf("  %s --%s %s", k.command("destroy"), k.flag(), k.example),
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.DestroyResponse](cmd.Context(), p, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			return p.about("Successfully destroyed the "+k.noun+".", r.UniqueIdentifier)
		},
	}, &uid)
}

// about answers what was done, and to which object.
func (p *program) about(what string, uid kmip.UniqueIdentifier) error {
	return p.answer(identified{string(uid)}, "%s\nUnique identifier: %s", what, uid)
}
