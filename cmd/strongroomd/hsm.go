package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"strongroom/hsm"
)

// hsmCommand holds the commands about PKCS#11 modules and their tokens. They use the modules themselves, beside a server
// that may run. Only generate changes anything in a token.
func hsmCommand() *cobra.Command {
	cmd := group("hsm", "Look at the HSMs of the configuration, and make keys in them")
	cmd.PersistentFlags().Bool("json", false, "answer with JSON")
	cmd.AddCommand(hsmSlotsCommand(), hsmInfoCommand(), hsmMechanismsCommand(), hsmTestCommand(), hsmKeysCommand(), hsmAdoptCommand(), hsmPruneCommand(), hsmGenerateCommand(), hsmBenchCommand(), hsmRewrapCommand(), hsmWrapCommand())
	return cmd
}

// slotArgument reads the number of a slot; without one it is the only one that is configured.
func slotArgument(modules []hsm.Module, args []string) (uint32, error) {
	if len(args) == 1 {
		n, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return 0, misuse{fmt.Errorf("%q: the number of a slot", args[0])}
		}
		return uint32(n), nil
	}
	var all []uint32
	for _, m := range modules {
		for _, s := range m.Slots {
			all = append(all, s.Number)
		}
	}
	switch len(all) {
	case 0:
		return 0, errors.New("the configuration has no [[hsm.slot]]")
	case 1:
		return all[0], nil
	}
	return 0, misuse{fmt.Errorf("say which SLOT: %v are configured", all)}
}

// configuredModules are the modules of the configuration.
func configuredModules(cmd *cobra.Command) ([]hsm.Module, error) {
	c, err := loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	if len(c.HSM) == 0 {
		return nil, fmt.Errorf("%s has no [[hsm]]", configFile(cmd))
	}
	return modulesOf(c), nil
}

// withSlot opens the modules and has f ask about the slot of the command line.
func withSlot(cmd *cobra.Command, args []string, f func(context.Context, *hsm.HSM, uint32) error) error {
	modules, err := configuredModules(cmd)
	if err != nil {
		return err
	}
	number, err := slotArgument(modules, args)
	if err != nil {
		return err
	}
	if modules = only(modules, number); modules == nil {
		return fmt.Errorf("slot %d is not configured", number)
	}
	h, err := hsm.Open(cmd.Context(), modules, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(f(cmd.Context(), h, number), h.Close())
}

// only leaves one slot, so that nothing logs in to the others.
func only(modules []hsm.Module, number uint32) []hsm.Module {
	for _, m := range modules {
		for _, s := range m.Slots {
			if s.Number == number {
				m.Slots = []hsm.Slot{s}
				return []hsm.Module{m}
			}
		}
	}
	return nil
}

// show prints rows as a table, or what they are of as JSON.
func show[T any](cmd *cobra.Command, rows []T, head string, line func(T) []any) error {
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		if rows == nil {
			rows = []T{}
		}
		return printJSON(cmd.OutOrStdout(), rows)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range rows {
		var cells []string
		for _, cell := range line(r) {
			cells = append(cells, plain(cell))
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return w.Flush()
}

// printJSON prints what an operator reads too.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// plain is a cell without what would break the table or the terminal: labels come from tokens.
func plain(cell any) string {
	text := fmt.Sprint(cell)
	for _, r := range text {
		if !strconv.IsPrint(r) {
			return strconv.Quote(text)
		}
	}
	return text
}

func hsmSlotsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "slots",
		Short: "List the tokens that the modules see, and the slots of the configuration that mean them",
		Long: "List the tokens that the modules of the configuration see, and which slots of it mean each. Nothing logs in. Use it to\n" +
			"find the token_label, token_serial or slot_id for the configuration.",
		Example: "  strongroomd hsm slots --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			modules, err := configuredModules(cmd)
			if err != nil {
				return err
			}
			tokens, err := hsm.Tokens(cmd.Context(), modules, slog.New(slog.DiscardHandler))
			return errors.Join(show(cmd, tokens, "SLOT\tLABEL\tSERIAL\tSLOT ID\tINDEX\tMODEL\tFIRMWARE\tSTATE\tMODULE", func(t hsm.Token) []any {
				return []any{numbersOf(t.Slots), t.Label, t.Serial, t.SlotID, t.SlotIndex, t.Model, t.Firmware, stateOf(t), t.Library}
			}), err)
		},
	}
}

// numbersOf are the numbers of slots, or a dash.
func numbersOf(slots []uint32) string {
	if len(slots) == 0 {
		return "-"
	}
	return strings.Trim(fmt.Sprint(slots), "[]")
}

func stateOf(t hsm.Token) string {
	switch {
	case !t.Initialized:
		return "not initialized"
	case t.PINLocked:
		return "PIN locked"
	}
	return "ready"
}

func hsmInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "info [SLOT]",
		Short:   "Log in to a slot's token and tell whether it works",
		Example: "  strongroomd hsm info 4 --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSlot(cmd, args, func(ctx context.Context, h *hsm.HSM, _ uint32) error {
				status := h.Status(ctx)
				if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
					return show(cmd, status, "", nil)
				}
				for _, s := range status {
					err := tellStatus(cmd.OutOrStdout(), &s)
					if !s.Healthy {
						err = errors.Join(fmt.Errorf("slot %d does not work", s.Number), err)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func tellStatus(out io.Writer, s *hsm.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"slot", fmt.Sprint(s.Number)}, {"module", s.Library}, {"version", s.LibraryVersion}, {"PKCS#11", s.Cryptoki}, {"label", s.Label}, {"serial", s.Serial},
		{"manufacturer", s.Manufacturer}, {"model", s.Model}, {"firmware", s.Firmware}, {"works", map[bool]string{true: "yes", false: "no"}[s.Healthy]},
		{"error", s.Error}, {"can", strings.Join(s.Mechanisms, ", ")},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", line[0], plain(line[1]))
		}
	}
	return w.Flush()
}

func hsmMechanismsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "mechanisms [SLOT]",
		Short:   "List the mechanisms that a slot's token claims to have (see also: hsm test)",
		Example: "  strongroomd hsm mechanisms 4 --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			modules, err := configuredModules(cmd)
			if err != nil {
				return err
			}
			number, err := slotArgument(modules, args)
			if err != nil {
				return err
			}
			all, err := hsm.Mechanisms(cmd.Context(), modules, number, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			return show(cmd, all, "NUMBER\tMECHANISM", func(m hsm.Mechanism) []any { return []any{fmt.Sprintf("0x%04X", m.Number), m.Name} })
		},
	}
}

func hsmTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [SLOT]",
		Short: "Test what a slot's token does right, and tell what the server would use",
		Long: "Log in to a slot's token, compute something with every mechanism that the server may want, and compare with what must come\n" +
			"out. Keys are made for that in the session and go with it; nothing stays in the token.",
		Example: "  strongroomd hsm test 4 --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSlot(cmd, args, func(ctx context.Context, h *hsm.HSM, number uint32) error {
				all, err := h.Capabilities(ctx, number)
				if err != nil {
					return err
				}
				yes := map[bool]string{true: "yes", false: "no"}
				return show(cmd, all, "USE\tMECHANISM\tLISTED\tWORKS\tCHOSEN\tNOTE", func(c hsm.Capability) []any {
					return []any{c.Use, c.Mechanism, yes[c.Listed], yes[c.Works], yes[c.Chosen], c.Note}
				})
			})
		},
	}
}

func hsmKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keys [SLOT]",
		Short: "List the keys in a slot's token, also those that no client can name",
		Long: "List the keys in a slot's token as the token tells them, and whether something is stored of each: one of the class \"gone\" is not\n" +
			"in the token any more, and strongroomd hsm prune forgets it. \"of another\" is stored what a key before had under that name, and this\n" +
			"one is refused until strongroomd hsm adopt says what it is; \"by name\" what is not bound to the key, as the token does not tell it from\n" +
			"the next one of that name. A key without a unique identifier has neither label nor CKA_ID,\n" +
			"or shares both with another one: no client can name it before that is mended (pkcs11-tool --set-id).",
		Example: "  strongroomd hsm keys 4 --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSlot(cmd, args, func(ctx context.Context, h *hsm.HSM, number uint32) error {
				keys, err := h.Keys(ctx, number)
				if err != nil {
					return err
				}
				keys = records(cmd, number, keys)
				yes := map[bool]string{true: "yes", false: "no"}
				return show(cmd, keys, "UNIQUE IDENTIFIER\tLABEL\tID\tCLASS\tTYPE\tBITS\tSENSITIVE\tEXTRACTABLE\tUSAGE\tSTORED\tNAMES\tGRANTS", func(k hsm.KeyInfo) []any {
					return []any{dash(k.UniqueIdentifier), dash(k.Label), dash(k.ID), k.Class, dash(k.Type), k.Bits, yes[k.Sensitive], yes[k.Extractable],
						dash(strings.Join(k.Usage, ",")), storedOf(&k), dash(strings.Join(k.Names, ",")), k.Grants}
				})
			})
		},
	}
}

// storedOf says whether something is stored of a key.
func storedOf(k *hsm.KeyInfo) string {
	switch {
	case !k.Recorded:
		return "no"
	case k.Another:
		return "of another"
	case k.Fingerprint == "":
		return "by name"
	}
	return "yes"
}

// dash stands for nothing.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
