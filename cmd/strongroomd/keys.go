package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"strongroom/conf"
	"strongroom/store/seal"
)

var errNoKeyFiles = errors.New(`no key files are configured: name them in [keys], as in files = ["tls/server.key", "tls/ca.key"]`)

// keysCommand holds the commands about the server's own private keys.
func keysCommand() *cobra.Command {
	cmd := group("keys", "The server's own private keys: encrypted on disk, clear in its memory alone")
	cmd.AddCommand(keysStatusCommand(), keysEncryptCommand(), keysLockCommand(), keysUnlockCommand(), keysDecryptCommand(), keysExecCommand())
	return cmd
}

// A keyState is how the key files are, as keys status tells it.
type keyState struct {
	Serving  bool          `json:"serving"`
	Sealed   bool          `json:"sealed"`   // with a server: it has no root key
	Unlocked bool          `json:"unlocked"` // with a server: it has the keys in memory
	Files    []keyFileLine `json:"files"`
}

type keyFileLine struct {
	Name  string         `json:"name"`
	Path  string         `json:"path"`
	State seal.FileState `json:"state"`
}

// keyStatus looks at the files.
func keyStatus(files []seal.KeyFile) (*keyState, error) {
	s := &keyState{Files: []keyFileLine{}}
	for _, f := range files {
		state, err := f.State()
		if err != nil {
			return nil, err
		}
		s.Files = append(s.Files, keyFileLine{f.Name, f.Path, state})
	}
	return s, nil
}

// summary is how many files are in which state, and what the server does with them.
func (s *keyState) summary() string {
	var parts []string
	for _, state := range []seal.FileState{seal.FileEncrypted, seal.FileClear, seal.FileBoth, seal.FileMissing} {
		n := 0
		for _, f := range s.Files {
			if f.State == state {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "none")
	}
	switch {
	case !s.Serving:
		parts = append(parts, "no server runs")
	case s.Sealed:
		parts = append(parts, "sealed")
	case s.Unlocked:
		parts = append(parts, "unlocked")
	default:
		parts = append(parts, "locked")
	}
	return strings.Join(parts, ", ")
}

func (s *keyState) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "File\tState")
	for _, f := range s.Files {
		fmt.Fprintf(w, "%s\t%s\n", f.Name, f.State)
	}
	fmt.Fprintf(w, "\nServer Keys\t%s\n", s.summary())
	return w.Flush()
}

func keysStatusCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell which key files are encrypted, and whether the server has them unlocked",
		Long: `Tell for each file of [keys] whether it is there in clear, encrypted, or both, and whether the server that runs on this
configuration has them in its memory.`,
		Example: "  strongroomd keys status --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			s := new(keyState)
			if serving(c) {
				err = ask(cmd.Context(), c, http.MethodGet, "/keys/status", s)
			} else {
				s, err = keyStatus(keyFiles(c))
			}
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			return s.write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// keysAct is what encrypt and decrypt-all do, in the server that runs, or here with the root key.
func keysAct(ctx context.Context, c *conf.Config, master, act, path string, here func(*seal.Files) (int, error)) (int, error) {
	if len(keyFiles(c)) == 0 {
		return 0, errNoKeyFiles
	}
	if serving(c) {
		var n counted
		err := ask(ctx, c, http.MethodPost, path, &n)
		return n.Files, err
	}
	n := 0
	err := withRoot(ctx, c, master, act, func(root *seal.Root) (err error) {
		n, err = here(seal.NewFiles(root, keyFiles(c)))
		return err
	})
	return n, err
}

const masterUse = " MASTER, where given, is the master key: a file, \"-\", env:NAME or credential:NAME; else [seal] says how the root key is opened."

func keysEncryptCommand() *cobra.Command {
	replace := false
	cmd := &cobra.Command{
		Use:   "encrypt [MASTER]",
		Short: "Leave of every key file only its encrypted form",
		Long: `Encrypt the files of [keys] under the root key: FILE.enc is written, opened again and compared, and then FILE is overwritten and
removed. What is encrypted already stays as it is. It may be interrupted and run again. The server that runs goes on with the
keys that it has.` + masterUse,
		Example: "  strongroomd keys encrypt\n  strongroomd keys encrypt --replace     # a renewed FILE takes the place of FILE.enc",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			path := "/keys/encrypt"
			if replace {
				path += "?replace"
			}
			n, err := keysAct(cmd.Context(), c, first(args), "keys encrypt", path, func(f *seal.Files) (int, error) { return f.Encrypt(cmd.Context(), replace) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s of %d encrypted.\n", files(n), len(keyFiles(c)))
			return err
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "where FILE and FILE.enc hold different keys, keep that of FILE")
	return cmd
}

func keysLockCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lock",
		Short: "Have the server forget its keys and refuse KMIP until they are unlocked",
		Long: `Have the server that runs on this configuration clear its key files from memory and refuse KMIP, on connections that are open
too, until keys unlock. A server that is started while it can open the root key unlocks them by itself.`,
		Example: "  strongroomd keys lock",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operateKeys(cmd, "/keys/lock", "Locked: %s out of the server's memory. KMIP is refused until strongroomd keys unlock.\n")
		},
	}
}

func keysUnlockCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "unlock",
		Short:   "Have the server open its key files into memory and answer KMIP",
		Long:    "Have the server that runs on this configuration open its key files into memory, with the root key that it has, and answer KMIP.",
		Example: "  strongroomd keys unlock",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return operateKeys(cmd, "/keys/unlock", "Unlocked: %s in the server's memory. KMIP is answered.\n")
		},
	}
}

// operateKeys has the server do something with its key files, and prints said of how many there are.
func operateKeys(cmd *cobra.Command, path, said string) error {
	var n counted
	if err := operate(cmd, path, nil, &n); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), said, files(n.Files))
	return err
}

func keysDecryptCommand() *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use:   "decrypt-all [MASTER]",
		Short: "Write every key file back in clear",
		Long: `Write the files of [keys] back as they were, mode 0600, and remove FILE.enc. From then on whoever reads the disk has the server's
private keys, and those of its certificate authority.` + masterUse,
		Example: "  strongroomd keys decrypt-all --yes",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return misuse{errors.New("decrypt-all leaves private keys in clear on the disk: say --yes if that is meant")}
			}
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			n, err := keysAct(cmd.Context(), c, first(args), "keys decrypt-all", "/keys/decrypt", func(f *seal.Files) (int, error) { return f.Decrypt(cmd.Context()) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s of %d decrypted: they are in clear on the disk.\n", files(n), len(c.Keys.Files))
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "leave private keys in clear on the disk")
	return cmd
}

// files counts files in words.
func files(n int) string {
	if n == 1 {
		return "1 key file"
	}
	return fmt.Sprintf("%d key files", n)
}

// first is the first argument, "" without one.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
