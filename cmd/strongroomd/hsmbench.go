package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"strongroom/hsm"
)

func hsmBenchCommand() *cobra.Command {
	var only string
	var sessions int
	each := 500 * time.Millisecond
	cmd := &cobra.Command{
		Use:   "bench [SLOT]",
		Short: "Measure what a slot's token does in a second",
		Long: `Measure how often a slot's token does each of the things that the server uses it for, with one session at work, two, four and so
on: the token alone, as the server drives it, with no KMIP around it. Messages have 64 bytes. The keys are objects of a session, which
are gone when it ends; a token may be slower with keys that stay in it. Nothing is left in the token.

The token is busy meanwhile, for a running server as well.`,
		Example: `  strongroomd hsm bench --slot 4 --sessions 16 --config /etc/strongroom/strongroom.toml
  strongroomd hsm bench --slot 4 --only 'AES.*GCM|sign' --config /etc/strongroom/strongroom.toml`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if sessions < 0 || each < time.Millisecond || each > time.Hour {
				return misuse{errors.New("--sessions is a number from 1, --duration a time from 1ms to 1h")}
			}
			wanted, err := regexp.Compile(only)
			if err != nil {
				return misuse{fmt.Errorf("--only: %w", err)}
			}
			return withSlot(cmd, args, func(ctx context.Context, h *hsm.HSM, slot uint32) error {
				asJSON, _ := cmd.Flags().GetBool("json")
				out, all := cmd.OutOrStdout(), []hsm.Figure{}
				const line = "%-24s %-24s %8s %12s %10s\n"
				if asJSON {
					out = cmd.ErrOrStderr() // so that who waits sees how far it is
				}
				ctx, unheard := context.WithCancelCause(ctx)
				defer unheard(nil)
				tell := func(cells ...any) {
					if _, err := fmt.Fprintf(out, line, cells...); err != nil {
						unheard(err)
					}
				}
				err := h.Measure(ctx, slot, hsm.Measurement{Sessions: sessions, Each: each, Only: wanted, Tell: func(f hsm.Figure) {
					if len(all) == 0 {
						tell("WHAT", "MECHANISM", "SESSIONS", "PER SECOND", "MEAN µs")
					}
					all = append(all, f)
					tell(f.Use, f.Mechanism, strconv.Itoa(f.Sessions), strconv.FormatFloat(f.PerSecond, 'f', 0, 64), strconv.FormatFloat(f.Mean, 'f', 1, 64))
				}})
				switch {
				case ctx.Err() != nil:
					return context.Cause(ctx)
				case err != nil || !asJSON:
					return err
				}
				return show(cmd, all, "", nil)
			})
		},
	}
	slotFlag(cmd)
	cmd.Flags().IntVar(&sessions, "sessions", 0, "measure with up to `NUMBER` sessions (default all that the slot has)")
	cmd.Flags().StringVar(&only, "only", "", "measure only what `REGEXP` matches of the first two columns with a blank between them")
	cmd.Flags().DurationVar(&each, "duration", each, "`TIME` of each figure")
	return cmd
}
