package main

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A rekeying has the flags of commands that replace keys.
type rekeying struct {
	uid    string
	next   string // the replacement's name
	offset time.Duration
}

// command completes a command that replaces keys.
func (r *rekeying) command(cmd *cobra.Command, k *kind, run func(*cobra.Command) error) *cobra.Command {
	cmd.Use = "re-key --key-id ID [NEW_ID]"
	cmd.Long += ` The attributes of what is replaced, its names among them, go to the replacement; grants do not.
What is replaced stays, with a link to its replacement, until it is revoked and destroyed. NEW_ID names the replacement; it is
needed for a key in an HSM, whose replacement is in an HSM too.`
	cmd.Example = fmt.Sprintf("  %[1]s --key-id %[2]s\n  %[1]s --key-id hsm::4::%[2]s hsm::4::%[2]s_2", k.command("re-key"), k.example)
	cmd.Args = arguments(cobra.MaximumNArgs(1))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			r.next = args[0]
			if err := kmip.CheckIdentifier(r.next); err != nil {
				return misuse{err}
			}
		}
		if _, err := offsetOf(r.offset); err != nil {
			return err
		}
		return run(cmd)
	}
	k.needsID(cmd, &r.uid)
	cmd.Flags().DurationVar(&r.offset, offsetFlag, 0, "`TIME` from now until the replacement is active, 24h for one; the other dates move along (default: as they are)")
	return cmd
}

// interval is the Offset of the request: none where the flag gives none.
func (r *rekeying) interval() *ttlv.Interval {
	if r.offset == 0 {
		return nil
	}
	n, _ := offsetOf(r.offset)
	return n
}

// offsetOf is a time from now in seconds.
func offsetOf(d time.Duration) (*ttlv.Interval, error) {
	if d < 0 || d > math.MaxUint32*time.Second {
		return nil, misused("--%s %v is no time from now", offsetFlag, d)
	}
	n := ttlv.Interval(d / time.Second)
	return &n, nil
}

const offsetFlag = "offset"

// attributes name the replacement.
func (r *rekeying) attributes() kmip.Attributes {
	if r.next == "" {
		return nil
	}
	return kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, r.next)
}

func (p *program) symReKeyCommand() *cobra.Command {
	var k rekeying
	return k.command(&cobra.Command{
		Short: "Replace a symmetric key by a new one",
		Long:  "Replace a symmetric key by a new one of the same algorithm and length.",
	}, &symmetricKind, func(cmd *cobra.Command) error {
		r, err := do[kmip.ReKeyResponse](cmd.Context(), p, kmip.OperationReKey, &kmip.ReKeyRequest{
			UniqueIdentifier: kmip.UniqueIdentifier(k.uid), Offset: k.interval(), Attributes: k.attributes(),
		})
		if err != nil {
			return err
		}
		return p.about("The symmetric key was successfully refreshed.", r.UniqueIdentifier)
	})
}

func (p *program) pairReKeyCommand(f *family) *cobra.Command {
	var k rekeying
	return k.command(&cobra.Command{
		Short: "Replace a key pair by a new one",
		Long:  "Replace a key pair, which its private key names, by a new one of the same algorithm and length.",
	}, &f.kind, func(cmd *cobra.Command) error {
		r, err := do[kmip.ReKeyKeyPairResponse](cmd.Context(), p, kmip.OperationReKeyKeyPair, &kmip.ReKeyKeyPairRequest{
			PrivateKeyUniqueIdentifier: kmip.UniqueIdentifier(k.uid), Offset: k.interval(), PrivateKeyAttributes: k.attributes(),
		})
		if err != nil {
			return err
		}
		return p.madePair("The "+f.name+" key pair was successfully refreshed.", r.PrivateKeyUniqueIdentifier, r.PublicKeyUniqueIdentifier)
	})
}
