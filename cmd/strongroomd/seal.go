package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"strongroom/conf"
	"strongroom/hsm"
	"strongroom/store"
)

// sealCommand holds what an operator does with the root of trust.
func sealCommand() *cobra.Command {
	cmd := group("seal", "What protects the root key, which protects everything else")
	cmd.AddCommand(sealStatusCommand(), sealInitCommand(), sealUnsealCommand(), sealSealCommand(), sealSwitchCommand(), sealRotateCommand(),
		sealRewrapCommand(), sealPruneCommand(), sealRecoveryCommand())
	return cmd
}

// An exit ends the program with a code of its own, without a word.
type exit int

// Error is empty.
func (exit) Error() string { return "" }

func sealStatusCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell what protects the root key, and whether it does",
		Long: `Tell what protects the root key, whether the server is sealed, which other servers the database has, and how the HSM is. Without a running server it tells what the
database has. Exit code 0: unsealed; 2: sealed, or no server runs; 1: that could not be found out.`,
		Example: "  strongroomd seal status --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			st := new(sealStatus)
			err = ask(cmd.Context(), c, http.MethodGet, "/seal/status", st)
			if errors.As(err, new(noServer)) {
				st, err = offlineStatus(cmd.Context(), c)
			}
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), st)
			} else {
				err = st.write(cmd.OutOrStdout(), time.Now())
			}
			if code := st.exitCode(); err == nil && code != exitDone {
				return exit(code)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with JSON")
	return cmd
}

// offlineStatus tells what the database has while no server runs.
func offlineStatus(ctx context.Context, c *conf.Config) (*sealStatus, error) {
	st := &sealStatus{Sealed: true, Configured: c.Seal.Strategy, Reason: "no server runs"}
	if _, err := os.Stat(c.Database()); errors.Is(err, fs.ErrNotExist) {
		st.Reason = "there is no database yet"
		return st, nil
	}
	s, err := store.Open(ctx, c.Store.URL, store.Options{})
	if err != nil {
		return nil, err
	}
	t, err := s.Root().Slots(ctx)
	if err == nil {
		st.describe(t)
		st.Replicas, err = replicaStatuses(ctx, s, t.Active(), "")
	}
	return st, errors.Join(err, s.Close())
}

func sealInitCommand() *cobra.Command {
	var generate bool
	var recovery sharing
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the root key of a configuration whose database has none",
		Long: `Make the database and its root key under what [seal] of the configuration names: a key in a token, or a master key file. A key or
file that is not there is made with --generate, or generate_key = true. Nothing is made when there is a root key already. No server may run.

(strongroomd init makes a whole installation, with configuration and certificates.)`,
		Example: "  strongroomd seal init --generate --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := recovery.check(); err != nil {
				return misuse{err}
			}
			return offline(cmd, func(ctx context.Context, s *sealer) error {
				t := s.target()
				t.Generate = generate || s.conf.Seal.GenerateKey
				made, err := s.initialize(ctx, t)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "The root key is made; %s opens it.\n", made.Slot)
				return recovery.create(ctx, cmd.OutOrStdout(), s)
			})
		},
	}
	cmd.Flags().BoolVar(&generate, "generate", false, "make the key, or the master key file, where it is not there")
	recovery.flags(cmd)
	return cmd
}

// flags adds --recovery-shares and --recovery-threshold.
func (n *sharing) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&n.Shares, "recovery-shares", 0, "make `N` recovery shares too, and print them")
	cmd.Flags().IntVar(&n.Threshold, "recovery-threshold", 0, "of which `M` together open the root key")
}

func (n *sharing) check() error {
	if n.Shares == 0 && n.Threshold == 0 {
		return nil
	}
	if n.Threshold < 2 || n.Shares < n.Threshold || n.Shares > 64 {
		return fmt.Errorf("%d of %d shares: a threshold of 2 or more, and no more shares than 64", n.Threshold, n.Shares)
	}
	return nil
}

// create makes the shares, where some were asked for, and prints them.
func (n *sharing) create(ctx context.Context, out io.Writer, s *sealer) error {
	if n.Shares == 0 {
		return nil
	}
	return createRecovery(out, *n, func(k *recoveryKey) (string, error) { return k.put(ctx, s.root) })
}

func tellShares(out io.Writer, texts []string, threshold int) error {
	var b strings.Builder
	for _, text := range texts {
		fmt.Fprintln(&b, text)
	}
	fmt.Fprintf(&b, "\nAny %d of these %d shares open the root key when all other protectors are lost. They are shown once and kept nowhere: give\n"+
		"each to another keeper.\n", threshold, len(texts))
	_, err := io.WriteString(out, b.String())
	return err
}

// offline has f work on the database and the tokens of the configuration, while no server does.
func offline(cmd *cobra.Command, f func(context.Context, *sealer) error) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return withSealer(cmd.Context(), c, log, f)
}

func withSealer(ctx context.Context, c *conf.Config, log *slog.Logger, f func(context.Context, *sealer) error) error {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return err
	}
	b, err := openStores(ctx, c, nil, log)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, newSealer(c, b, log)), b.close())
}

func sealUnsealCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unseal [FILE | SHARE | -]",
		Short: "Open the root key of a sealed server",
		Long: `Open the root key of the running server: without an argument with what its configuration names; with the master key in FILE; or with
recovery shares, one at a time, until there are enough. With - the key or share is read from standard input, on a terminal without
showing it.`,
		Example: "  strongroomd seal unseal\n  strongroomd seal unseal /media/stick/master.key\n  strongroomd seal unseal -",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return giveSecret(cmd, args, "/seal/unseal") },
	}
}

// giveSecret gives the server what the argument names, and prints what came of it.
func giveSecret(cmd *cobra.Command, args []string, path string) error {
	in, err := readSecret(cmd, args)
	if err != nil {
		return err
	}
	defer clear(in.Secret)
	var answer unsealed
	if err := operate(cmd, path, in, &answer); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), answer.Message)
	return err
}

// readSecret reads what the argument of unseal names; nothing without one.
func readSecret(cmd *cobra.Command, args []string) (in secret, err error) {
	switch {
	case len(args) == 0:
	case strings.HasPrefix(args[0], sharePrefix):
		in.Secret = []byte(args[0])
	case args[0] == "-" && cmd.InOrStdin() == os.Stdin && term.IsTerminal(int(os.Stdin.Fd())):
		fmt.Fprint(cmd.ErrOrStderr(), "Master key or recovery share: ")
		in.Secret, err = term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
	case args[0] == "-":
		in.Secret, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), 4096))
	default:
		in.Secret, err = os.ReadFile(args[0])
	}
	if err == nil && len(args) > 0 && len(bytes.TrimSpace(in.Secret)) == 0 {
		err = errors.New("there is nothing to unseal with: the input is empty")
	}
	return in, err
}

// operate has the server that runs on the configuration do something.
func operate(cmd *cobra.Command, path string, in, out any) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	return tell(cmd.Context(), c, http.MethodPost, path, in, out)
}

func sealSealCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "seal",
		Short: "Drop the root key of the running server, until somebody unseals it",
		Long: `Drop the root key, and every key that it opened, from the memory of the running server. Clients hear that it is sealed. It does not
unseal by itself any more: seal unseal does.`,
		Example: "  strongroomd seal seal --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := operate(cmd, "/seal/seal", struct{}{}, new(struct{})); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "The server is sealed.")
			return err
		},
	}
}

// flags are those that name a key in a token.
func (t *target) flags(cmd *cobra.Command, slot *uint32) {
	f := cmd.Flags()
	f.Uint32Var(slot, "slot", 0, "`NUMBER` of the token's slot (default the only one; of rotate the one in use)")
	f.StringVar(&t.KeyLabel, "key-label", "", "`LABEL` of the key in the token")
	f.StringVar(&t.KeyID, "key-id", "", "`ID` of the key (CKA_ID, hexadecimal), where the label is not enough")
	f.StringVar(&t.Mechanism, "mechanism", "auto", "`MECHANISM`: auto, CKM_AES_GCM, CKM_RSA_PKCS_OAEP, CKM_AES_CBC_PAD, or the number of one")
	f.StringVar(&t.Hash, "rsa-oaep-hash", "sha256", "`HASH` of RSA-OAEP: sha256 or sha1")
	f.StringVar(&t.MasterKeyFile, "master-key-file", "", "`FILE` of the master key, of the strategy software")
	f.BoolVar(&t.Force, "force", false, "also where another replica could not open the root key any more")
	f.BoolVar(&t.Generate, "generate", false, "make the key, or the file; one that is there is refused")
}

// given completes a target with what was typed.
func (t *target) given(cmd *cobra.Command, slot *uint32) (err error) {
	if cmd.Flags().Changed("slot") {
		t.Slot = slot
	}
	if _, err := hsm.ParseGuardMechanism(t.Mechanism); err != nil {
		return misuse{err}
	}
	if t.Hash != "sha256" && t.Hash != "sha1" {
		return misuse{fmt.Errorf("--rsa-oaep-hash %q: sha256 or sha1", t.Hash)}
	}
	t.MasterKeyFile, err = absolute(t.MasterKeyFile)
	return err
}

func sealSwitchCommand() *cobra.Command {
	var t target
	var slot uint32
	cmd := &cobra.Command{
		Use:   "switch --to hsm|software [flags]",
		Short: "Put the root key under an HSM, or under a master key file",
		Long: `Put the root key of the running server under a key in a token (--to hsm), or under a master key file (--to software). Only the one
wrapped copy of the root key is made anew: no data is encrypted again, and nobody waits. The slot of before stays, retained, until seal
prune drops it. The command prints what to change in the configuration, so that the server's next start wishes for the same.

Where another server of the database was seen in the last hour and has nothing that would open the new slot, the switch is refused, and the
server is named (seal status lists them all); --force does it all the same.`,
		Example: "  strongroomd seal switch --to hsm --slot 4 --key-label strongroom-root --generate\n" +
			"  strongroomd seal switch --to software --master-key-file /etc/strongroom/master.key --generate",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case t.To != "hsm" && t.To != "software":
				return misuse{fmt.Errorf("--to %q: hsm or software", t.To)}
			case t.To == "hsm" && t.KeyLabel == "":
				return misuse{errors.New("--to hsm needs --key-label")}
			case t.To == "software" && t.KeyLabel != "":
				return misuse{errors.New("--key-label is for --to hsm")}
			}
			return changeSlot(cmd, "/seal/switch", &t, &slot)
		},
	}
	cmd.Flags().StringVar(&t.To, "to", "", "`STRATEGY`: hsm or software (required)")
	t.flags(cmd, &slot)
	return cmd
}

func sealRotateCommand() *cobra.Command {
	var t target
	var slot uint32
	cmd := &cobra.Command{
		Use:   "rotate --key-label NEW [flags]",
		Short: "Put the root key under another key of the same kind",
		Long: `Put the root key of the running server under another key: in the token that the one of before is in, or with --slot in another; or,
where it is under a master key file, under another file. Everything else is as with seal switch.`,
		Example: "  strongroomd seal rotate --key-label strongroom-root-v2 --generate\n  strongroomd seal rotate --master-key-file new.key --generate",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (t.KeyLabel == "") == (t.MasterKeyFile == "") {
				return misuse{errors.New("say what the next protector is: --key-label, or --master-key-file")}
			}
			return changeSlot(cmd, "/seal/rotate", &t, &slot)
		},
	}
	t.flags(cmd, &slot)
	return cmd
}

// changeSlot has the server put the root key under a target, and tells what came of it.
func changeSlot(cmd *cobra.Command, path string, t *target, slot *uint32) error {
	if err := t.given(cmd, slot); err != nil {
		return err
	}
	var answer changed
	if err := operate(cmd, path, t, &answer); err != nil {
		return err
	}
	return answer.tell(cmd.OutOrStdout())
}

// tell says what the slots are now, and what to write into the configuration.
func (c *changed) tell(out io.Writer) error {
	var b strings.Builder
	if c.Already {
		fmt.Fprintf(&b, "%s is active already: nothing was changed.\n", c.Slot)
	} else {
		fmt.Fprintf(&b, "The root key is under %s now.\n", c.Slot)
		for _, r := range c.Retained {
			fmt.Fprintf(&b, "Still there: %s, retained. strongroomd seal prune drops it; keep its protector while backups need it.\n", r)
		}
		tellPast(&b, c.Past)
		b.WriteString(c.wish())
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// tellPast names the replicas that were locked out.
func tellPast(b io.Writer, past []string) {
	for _, r := range past {
		fmt.Fprintf(b, "Locked out, by --force: %s.\n", r)
	}
}

// wish says what to write into the configuration.
func (c *changed) wish() string {
	return "\nWrite into the configuration, in place of what [seal] says:\n\n" + strings.Join(c.Lines, "\n") + "\n"
}

func sealRewrapCommand() *cobra.Command {
	wait := false
	cmd := &cobra.Command{
		Use:   "rewrap",
		Short: "Move the objects of the database to the key_encryption_key of today",
		Long: `Move every object whose row is under another protector than key_encryption_key (or, without one, the root key) to that: in the
background of the running server, row by row, while clients go on. Objects for which their makers chose a wrapping key stay under it.
When it was interrupted, run it again: it goes on where it ended. seal status tells how far it is.`,
		Example: "  strongroomd seal rewrap --wait --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			var r moving
			err = ask(cmd.Context(), c, http.MethodPost, "/seal/rewrap", &r)
			for err == nil && wait && r.Running {
				select {
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				case <-time.After(200 * time.Millisecond):
				}
				err = ask(cmd.Context(), c, http.MethodGet, "/seal/rewrap", &r)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), r.text())
			if r.Error != "" {
				return errors.New(r.Error)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	return cmd
}

func sealPruneCommand() *cobra.Command {
	var in pruning
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Drop the slots of protectors that are not used any more",
		Long: `Drop the retained slots of the running server, after a proof that the active one opens. It is refused while objects refer to one of
their protectors: seal rewrap moves them. It is also refused while another server of the database was seen in the last hour that opens one of
them, and none of those that stay; --force does it all the same.`,
		Example: "  strongroomd seal prune --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer pruned
			if err := operate(cmd, "/seal/prune", in, &answer); err != nil {
				return err
			}
			if len(answer.Dropped) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "There is no retained slot.")
			}
			for _, d := range answer.Dropped {
				fmt.Fprintf(cmd.OutOrStdout(), "Dropped: %s. Backups that were made while it was there still need its protector, or the recovery shares of then.\n", d)
			}
			tellPast(cmd.OutOrStdout(), answer.Past)
			return nil
		},
	}
	cmd.Flags().BoolVar(&in.Force, "force", false, "also where another replica could not open the root key any more")
	return cmd
}

func sealRecoveryCommand() *cobra.Command {
	cmd := group("recovery", "Shares of a recovery key, for when every other protector is lost")
	var n sharing
	create := &cobra.Command{
		Use:   "create --shares N --threshold M",
		Short: "Make a recovery slot, and print its shares once",
		Long: `Make a slot of the root key under a recovery key that is kept nowhere but in N shares, of which any M give it back (Shamir). A
recovery slot of before is replaced: its shares are of no use then. The new shares are printed before that is done, so that at no moment
there are shares that nobody has.`,
		Example: "  strongroomd seal recovery create --shares 5 --threshold 3",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := n.check(); err != nil || n.Shares == 0 {
				return misuse{cmp.Or(err, errors.New("say how many: --shares and --threshold"))}
			}
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			var st sealStatus
			if err := ask(cmd.Context(), c, http.MethodGet, "/seal/status", &st); err != nil {
				return err
			}
			if st.Sealed {
				return errors.New("the server is sealed: it makes shares of the root key when it is unsealed")
			}
			return createRecovery(cmd.OutOrStdout(), n, func(k *recoveryKey) (string, error) {
				var answer recovered
				err := tell(cmd.Context(), c, http.MethodPost, "/seal/recovery", k, &answer)
				return answer.Fingerprint, err
			})
		},
	}
	create.Flags().IntVar(&n.Shares, "shares", 0, "`N` shares in all")
	create.Flags().IntVar(&n.Threshold, "threshold", 0, "`M` of them that open the root key")
	cmd.AddCommand(create, &cobra.Command{
		Use:     "verify [SHARE | FILE | -]",
		Short:   "Show that recovery shares would open the root key, one share at a time",
		Long:    "Take recovery shares one at a time; when there are enough, prove that they open the recovery slot. Nothing is unsealed.",
		Example: "  strongroomd seal recovery verify -",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return giveSecret(cmd, args, "/seal/recovery/verify") },
	})
	return cmd
}
