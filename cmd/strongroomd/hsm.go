package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/rivo/uniseg"
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
	if len(args) > 1 {
		return 0, misuse{fmt.Errorf("one slot: %s and %s are given", args[0], args[1])}
	}
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
	return 0, misuse{fmt.Errorf("say which slot: %s are configured", numbersOf(all))}
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

// slotFlag adds --slot.
func slotFlag(cmd *cobra.Command) {
	cmd.Flags().String("slot", "", "`NUMBER` of the slot in the configuration (default the only one that is configured)")
}

// slotsGiven are the numbers of slots on the command line: the argument SLOT, where the command takes one, and --slot.
func slotsGiven(cmd *cobra.Command, args []string) []string {
	if number, _ := cmd.Flags().GetString("slot"); number != "" {
		return append(args[:len(args):len(args)], number)
	}
	return args
}

// slotOf gives the modules of the configuration and the slot of the command line.
func slotOf(cmd *cobra.Command, args []string) ([]hsm.Module, uint32, error) {
	modules, err := configuredModules(cmd)
	if err != nil {
		return nil, 0, err
	}
	number, err := slotArgument(modules, slotsGiven(cmd, args))
	if err == nil && only(modules, number) == nil {
		err = fmt.Errorf("slot %d is not configured", number)
	}
	return modules, number, err
}

// withSlot opens the module of the slot of the command line, and has f ask about that.
func withSlot(cmd *cobra.Command, args []string, f func(context.Context, *hsm.HSM, uint32) error) error {
	modules, number, err := slotOf(cmd, args)
	if err != nil {
		return err
	}
	return withModules(cmd, only(modules, number), func(ctx context.Context, h *hsm.HSM) error { return f(ctx, h, number) })
}

// withModules opens modules, and logs in to their slots.
func withModules(cmd *cobra.Command, modules []hsm.Module, f func(context.Context, *hsm.HSM) error) error {
	h, err := hsm.Open(cmd.Context(), modules, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(f(cmd.Context(), h), h.Close())
}

// only leaves one slot, so that nothing logs in to the others, which still count where tokens are told apart.
func only(modules []hsm.Module, number uint32) []hsm.Module {
	for _, m := range modules {
		for i, s := range m.Slots {
			if s.Number == number {
				m.Others = slices.Delete(slices.Clone(m.Slots), i, i+1)
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
	table := [][]string{strings.Split(head, "\t")}
	for _, r := range rows {
		var cells []string
		for _, cell := range line(r) {
			cells = append(cells, plain(cell))
		}
		table = append(table, cells)
	}
	_, err := io.WriteString(cmd.OutOrStdout(), columns(table))
	return err
}

// columns sets rows of cells in columns, which labels of any script keep: text/tabwriter takes each character for one that fills one place.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell)+2)
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return text.String()
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
			"find the token_label, token_serial or slot_id for the configuration. A slot that means no token, several, or the token of\n" +
			"another slot has a line on standard error.",
		Example: "  strongroomd hsm slots --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			modules, err := configuredModules(cmd)
			if err != nil {
				return err
			}
			tokens, without, err := hsm.Tokens(cmd.Context(), modules, slog.New(slog.DiscardHandler))
			err = errors.Join(show(cmd, tokens, "SLOT\tLABEL\tSERIAL\tSLOT ID\tINDEX\tMODEL\tFIRMWARE\tSTATE\tMODULE", func(t hsm.Token) []any {
				return []any{numbersOf(t.Slots), t.Label, t.Serial, t.SlotID, t.SlotIndex, t.Model, t.Firmware, stateOf(t), t.Library}
			}), err)
			for _, why := range without {
				fmt.Fprintln(cmd.ErrOrStderr(), why)
			}
			return err
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
	cmd := &cobra.Command{
		Use:   "info [SLOT]",
		Short: "Log in to a slot's token, or to those of all slots, and tell whether it works",
		Long: "Log in to the token of a slot, or without SLOT to those of all slots, and tell what it is and whether it works. Ends with 1\n" +
			"where one does not.",
		Example: "  strongroomd hsm info 4 --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			modules, err := configuredModules(cmd)
			if err == nil && len(slotsGiven(cmd, args)) > 0 {
				var number uint32
				modules, number, err = slotOf(cmd, args)
				modules = only(modules, number)
			}
			if err != nil {
				return err
			}
			return withModules(cmd, modules, func(ctx context.Context, h *hsm.HSM) error { return tellStatuses(cmd, h.Status(ctx)) })
		},
	}
	slotFlag(cmd)
	cmd.Flags().Lookup("slot").Usage = "`NUMBER` of the slot in the configuration (default all)"
	return cmd
}

// tellStatuses prints how slots are; one that does not work is an error.
func tellStatuses(cmd *cobra.Command, all []hsm.Status) (err error) {
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		err = show(cmd, all, "", nil)
	} else {
		for i := range all {
			if i > 0 {
				fmt.Fprintln(out)
			}
			err = errors.Join(err, tellStatus(out, &all[i]))
		}
	}
	for i := range all {
		if !all[i].Healthy {
			err = errors.Join(err, fmt.Errorf("slot %d does not work", all[i].Number))
		}
	}
	return err
}

func tellStatus(out io.Writer, s *hsm.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	id, pin := "", s.PIN
	if s.Healthy {
		id = fmt.Sprint(s.SlotID)
	} else if strings.HasSuffix(s.Error, pin) {
		pin = "" // it is why the slot does not work
	}
	for _, line := range [][2]string{
		{"slot", fmt.Sprint(s.Number)}, {"module", s.Library}, {"version", s.LibraryVersion}, {"PKCS#11", s.Cryptoki}, {"label", s.Label}, {"serial", s.Serial},
		{"slot ID", id}, {"manufacturer", s.Manufacturer}, {"model", s.Model}, {"firmware", s.Firmware}, {"PIN", pin},
		{"works", map[bool]string{true: "yes", false: "no"}[s.Healthy]}, {"error", s.Error}, {"can", strings.Join(s.Mechanisms, ", ")},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", line[0], plain(line[1]))
		}
	}
	return w.Flush()
}

func hsmMechanismsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "mechanisms [SLOT]",
		Short:   "List the mechanisms that a slot's token claims to have (see also: hsm test)",
		Example: "  strongroomd hsm mechanisms 4 --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			modules, number, err := slotOf(cmd, args)
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
	slotFlag(cmd)
	return cmd
}

func hsmTestCommand() *cobra.Command {
	cmd := &cobra.Command{
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
					works := yes[c.Works]
					if !c.Tried {
						works = dash("")
					}
					return []any{c.Use, c.Mechanism, yes[c.Listed], works, yes[c.Chosen], c.Note}
				})
			})
		},
	}
	slotFlag(cmd)
	return cmd
}

func hsmKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
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
					sensitive, extractable := yes[k.Sensitive], yes[k.Extractable]
					if k.Class == classGone {
						sensitive, extractable = dash(""), dash("")
					}
					return []any{dash(k.UniqueIdentifier), dash(k.Label), dash(k.ID), k.Class, dash(k.Type), k.Bits, sensitive, extractable,
						dash(strings.Join(k.Usage, ",")), storedOf(&k), dash(strings.Join(k.Names, ",")), k.Grants}
				})
			})
		},
	}
	slotFlag(cmd)
	return cmd
}

// classGone is the class of a key of which something is stored and that is not in its token any more.
const classGone = "gone"

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
