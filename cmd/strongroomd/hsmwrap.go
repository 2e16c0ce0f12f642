package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"strongroom/conf"
)

func hsmWrapCommand() *cobra.Command {
	var t target
	var slot uint32
	cmd := &cobra.Command{
		Use:   "wrap --key-label LABEL [MASTER]",
		Short: "Put the root key under a key in a token, out of the master key",
		Long: `Open the root key with the master key in the file MASTER (or with what the configuration has) and put it under a key in a token. After
that no command needs the master key. In the server that runs this is seal switch --to hsm, and a sealed one is unsealed; without a
server it is done here.`,
		Example: "  strongroomd hsm wrap --slot 4 --key-label strongroom-root master.key",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(cmd)
			if err == nil {
				err = t.given(cmd, &slot)
			}
			if err != nil {
				return err
			}
			t.To = "hsm"
			if serving(c) {
				return wrapThere(cmd, c, args, &t)
			}
			return wrapHere(cmd.Context(), cmd.OutOrStdout(), c, first(args), t)
		},
	}
	t.flags(cmd, &slot)
	needed(cmd, "key-label")
	_ = cmd.Flags().MarkHidden("master-key-file")
	return cmd
}

// wrapThere has the server do it that runs.
func wrapThere(cmd *cobra.Command, c *conf.Config, args []string, t *target) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if len(args) > 0 {
		key, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		defer clear(key)
		var opened unsealed
		if err := tell(ctx, c, http.MethodPost, "/seal/unseal", secret{key}, &opened); err != nil {
			return err
		}
	}
	var answer changed
	if err := tell(ctx, c, http.MethodPost, "/seal/switch", t, &answer); err != nil {
		return err
	}
	fmt.Fprintln(out, "The root key is open.")
	return tellWrapped(out, &answer, t)
}

// wrapHere does it while no server runs.
func wrapHere(ctx context.Context, out io.Writer, c *conf.Config, master string, t target) (err error) {
	discard := slog.New(slog.DiscardHandler)
	b, err := openStores(ctx, c, nil, discard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := unsealHere(ctx, c, b, master); err != nil {
		return err
	}
	fmt.Fprintln(out, "The root key is open.")
	answer, err := newSealer(c, b, discard).switchTo(ctx, t)
	if err != nil {
		return err
	}
	return tellWrapped(out, answer, &t)
}

// tellWrapped says what came of it, line by line, and what to write into the configuration.
func tellWrapped(out io.Writer, c *changed, t *target) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The key %s is in the token%s.\n", t.KeyLabel, map[bool]string{true: ", made now", false: ""}[t.Generate])
	fmt.Fprintf(&b, "It wraps the root key; that was opened again and compared: %s.\n", c.Slot)
	tellPast(&b, c.Past)
	if len(c.Retained) > 0 {
		fmt.Fprintf(&b, "Still there until seal prune: %s.\n", strings.Join(c.Retained, ", "))
	} else {
		fmt.Fprintln(&b, "No other slot is there.")
	}
	b.WriteString(c.wish())
	_, err := io.WriteString(out, b.String())
	return err
}
