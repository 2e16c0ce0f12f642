package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"strongroom/hsm"
	"strongroom/kmip"
)

func hsmGenerateCommand() *cobra.Command {
	var purpose string
	k := hsm.NewKey{}
	length := 0
	cmd := &cobra.Command{
		Use:   "generate --key-label LABEL --purpose PURPOSE [flags]",
		Short: "Make a key in a slot's token",
		Long: `Make a key, or a pair, in a slot's token, read it back, and show what the token says of it. The key never leaves the token: it
is sensitive and not extractable. What it may do follows from its purpose, and from nothing else:

  seal      protects the server's root key: aes encrypts and decrypts, rsa decrypts, hmac signs (call that one LABEL_HMAC)
  wrapping  wraps keys that the database keeps: aes wraps and unwraps, rsa unwraps; neither encrypts
  data      is for clients: aes encrypts, decrypts and computes MACs; hmac computes MACs; rsa decrypts and signs;
            ec and ed25519 sign

A label that is in use is refused. The public half of a pair is labelled LABEL_pk. A server that runs sees the key at once; clients
name it hsm::SLOT::LABEL, and its administrators may use it.`,
		Example: "  strongroomd hsm generate --slot 4 --key-label root --purpose seal --config /etc/strongroom/strongroom.toml\n" +
			"  strongroomd hsm generate --slot 4 --key-label signing --algorithm ec --length 384 --purpose data",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if length < 0 || length > 1<<16 || length == 0 && cmd.Flags().Changed("length") {
				return misuse{fmt.Errorf("--length %d: a number of bits", length)}
			}
			k.Purpose, k.Bits = hsm.Purpose(purpose), int32(length)
			return withSlot(cmd, nil, func(ctx context.Context, h *hsm.HSM, slot uint32) error {
				made, err := h.MakeKey(ctx, slot, k)
				noted := noteGenerated(context.WithoutCancel(ctx), cmd, saysOf(slot, &k), err)
				if err != nil {
					return errors.Join(err, noted)
				}
				tell := tellMade
				if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
					tell = func(out io.Writer, made []hsm.MadeKey) error { return printJSON(out, made) }
				}
				if err := errors.Join(tell(cmd.OutOrStdout(), made), noted); err != nil {
					return fmt.Errorf("%s was made: %w", plain(made[0].UniqueIdentifier), err)
				}
				return nil
			})
		},
	}
	slotFlag(cmd)
	f := cmd.Flags()
	f.StringVarP(&k.Label, "key-label", "l", "", "`LABEL` of the key (required)")
	f.StringVarP(&k.Algorithm, "algorithm", "a", "aes", "`ALGORITHM`: aes, hmac, rsa, ec or ed25519")
	f.IntVar(&length, "length", 0, "`BITS` (default 256; of rsa 3072)")
	f.StringVar(&purpose, "purpose", "", "`PURPOSE`: seal, wrapping or data (required)")
	needed(cmd, "key-label", "purpose")
	return cmd
}

// saysOf is what the audit log says of a key that was asked for.
func saysOf(slot uint32, k *hsm.NewKey) string {
	return fmt.Sprintf("%s, %s to be used for %s", kmip.HSMIdentifier(slot, k.Label), k.Algorithm, k.Purpose)
}

// A generated key was made, or not, by another process than the server: it is for the server's audit log.
type generated struct {
	Detail string `json:"detail"`
	Error  string `json:"error,omitempty"`
}

// noteGenerated writes what came of it into the audit log, through the server where one runs, also where the operator interrupted the
// command meanwhile: the token may have made the key all the same. A configuration whose data folder was not made yet has no log.
func noteGenerated(ctx context.Context, cmd *cobra.Command, detail string, done error) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if serving(c) {
		g := generated{Detail: detail}
		if done != nil {
			g.Error = done.Error()
		}
		return tell(ctx, c, http.MethodPost, "/hsm/generated", g, nil)
	}
	if _, err := os.Stat(filepath.Dir(c.Audit.File)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return noteHere(c, actGenerate, detail, done)
}

// actGenerate is the name of the act in the audit log.
const actGenerate = "hsm generate"

// generated answers POST /hsm/generated.
func (o *operatorLog) generated() http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		var g generated
		if !read(w, q, &g) {
			return
		}
		var failed error
		if g.Error != "" {
			failed = errors.New(g.Error)
		}
		o.note(actGenerate, operatorOf(q), g.Detail, failed)
		reply(w, struct{}{})
	}
}

// tellMade says what was made.
func tellMade(out io.Writer, made []hsm.MadeKey) error {
	var text strings.Builder
	for i, k := range made {
		if i > 0 {
			fmt.Fprintln(&text)
		}
		fmt.Fprintf(&text, "%s: a %s key, %s, %d bits\n", plain(k.UniqueIdentifier), k.Class, k.Type, k.Bits)
		w := tabwriter.NewWriter(&text, 2, 0, 2, ' ', 0)
		for _, a := range k.Attributes {
			value := a.Value
			if value == "" {
				value = "(the token does not tell)"
			} else if n, err := strconv.Atoi(value); err == nil && meanings[a.Name] != nil && meanings[a.Name][n] != "" {
				value = meanings[a.Name][n]
			}
			fmt.Fprintf(w, "  %s\t%s\n", a.Name, plain(value))
		}
		w.Flush()
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// meanings are the names of numbers in attributes.
var meanings = map[string]map[int]string{
	"CKA_CLASS":    {2: "CKO_PUBLIC_KEY", 3: "CKO_PRIVATE_KEY", 4: "CKO_SECRET_KEY"},
	"CKA_KEY_TYPE": {0: "CKK_RSA", 3: "CKK_EC", 0x10: "CKK_GENERIC_SECRET", 0x1F: "CKK_AES", 0x40: "CKK_EC_EDWARDS"},
}
