package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

var secretKind = kind{"secret", "secret", "a secret", "my_secret", func(v *kmip.Value) bool { return v.SecretData != nil }}

// secretUsage is what a secret is for where nothing else is said: keys may be derived of it.
const secretUsage = kmip.CryptographicUsageMaskDeriveKey

const (
	usualSeed = 256     // bits
	maxSecret = 1 << 16 // bytes
)

// secretCommand holds the commands about secrets, which KMIP calls Secret Data.
func (p *program) secretCommand() *cobra.Command {
	g := group("secret", "Passwords, seeds and other secrets that are no keys",
		p.secretCreateCommand(), p.secretImportCommand(), p.secretExportCommand())
	g.AddCommand(p.wrappingCommands(&secretKind)...)
	g.AddCommand(p.lifecycle(&secretKind)...)
	return g
}

// secretType adds the flag that says what a secret is.
func secretType(cmd *cobra.Command, name *string, usual kmip.SecretDataType) {
	cmd.Flags().StringVar(name, "type", spelled(usual.String()), "`TYPE`: password or seed")
}

func secretTypeNamed(name string) (kmip.SecretDataType, error) {
	return named[kmip.SecretDataType](ttlv.TagSecretDataType, "type of secret", name)
}

// secretValue is the object that is registered.
func secretValue(t kmip.SecretDataType, data []byte) *kmip.Value {
	return &kmip.Value{SecretData: &kmip.SecretData{SecretDataType: t, KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: data},
	}}}
}

// keepSecret brings a secret into the server.
func (p *program) keepSecret(ctx context.Context, m *making, what string, v *kmip.Value) error {
	usage, err := m.usageOr(secretUsage)
	if err != nil {
		return err
	}
	uid, err := p.register(ctx, v, append(m.attributes(), m.material()...), usage)
	if err != nil {
		return err
	}
	return p.about("The secret was successfully "+what+".", uid)
}

func (p *program) secretCreateCommand() *cobra.Command {
	var m making
	var name string
	var bits int
	cmd := &cobra.Command{
		Use:   "create [ID]",
		Short: "Make a random secret",
		Long: `Make a random secret and keep it in the server: a seed of random bytes, or a password of 26 capital letters and digits. It is made
here, by the system's generator of random numbers. A secret that is there already comes with secret import.`,
		Example: "  strongroom secret create --number-of-bits 512 my_seed\n  strongroom secret create --type password --tag database my_secret",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			t, err := secretTypeNamed(name)
			if err != nil {
				return err
			}
			data, err := randomSecret(t, bits)
			if err != nil {
				return err
			}
			defer clear(data)
			return p.keepSecret(cmd.Context(), &m, "generated", secretValue(t, data))
		},
	}
	m.flags(cmd)
	secretType(cmd, &name, kmip.SecretDataTypeSeed)
	cmd.Flags().IntVarP(&bits, "number-of-bits", "l", 0, "length `N` of a seed in bits (default 256)")
	return cmd
}

// randomSecret makes a secret with crypto/rand.
func randomSecret(t kmip.SecretDataType, bits int) ([]byte, error) {
	if t == kmip.SecretDataTypePassword {
		if bits != 0 {
			return nil, misused("--number-of-bits is of a seed: a password has 26 characters, of 128 bits together")
		}
		return []byte(rand.Text()), nil
	}
	if bits == 0 {
		bits = usualSeed
	}
	if bits < 0 || bits%8 != 0 || bits > 8*maxSecret {
		return nil, misused("--number-of-bits %d: a seed is whole bytes, %d at most", bits, maxSecret)
	}
	data := make([]byte, bits/8)
	rand.Read(data) // never fails: it ends the program instead
	return data, nil
}

func (p *program) secretImportCommand() *cobra.Command {
	var m making
	var name, format string
	cmd := &cobra.Command{
		Use:   "import FILE [ID]",
		Short: "Bring a secret into the server",
		Long: `Bring a secret into the server. FILE may be -, for standard input: on a terminal it is asked for and not shown. Of a raw password
one line break at the end is left out.`,
		Example: `  strongroom secret import - my_secret
  pwgen 32 1 | strongroom secret import - my_secret
  strongroom secret import --type seed --key-format base64 seed.b64 my_seed`,
		Args: arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 1); err != nil {
				return misuse{err}
			}
			t, err := secretTypeNamed(name)
			if err != nil {
				return err
			}
			data, err := p.readSecret(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer clear(data)
			v, err := secretOf(data, format, t)
			if err != nil {
				return fmt.Errorf("importing %q: %w", args[0], err)
			}
			return p.keepSecret(cmd.Context(), &m, "imported", v)
		},
	}
	m.flags(cmd)
	secretType(cmd, &name, kmip.SecretDataTypePassword)
	cmd.Flags().StringVarP(&format, "key-format", "f", formatRaw, "`FORMAT` of the file: raw, base64 or json-ttlv")
	return cmd
}

// readSecret reads a file, or asks for the secret on a terminal, which shows again what is typed when ctx ends.
func (p *program) readSecret(ctx context.Context, name string) ([]byte, error) {
	f, ok := p.in.(*os.File)
	if name != standard || !ok || !term.IsTerminal(int(f.Fd())) {
		return p.readKey(name)
	}
	terminal := int(f.Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return nil, fmt.Errorf("asking for the secret: %w", err)
	}
	defer context.AfterFunc(ctx, func() { term.Restore(terminal, before) })()
	fmt.Fprint(p.err, "Secret: ")
	defer fmt.Fprintln(p.err)
	return term.ReadPassword(terminal)
}

// secretOf reads a file that secret export could have written.
func secretOf(data []byte, format string, t kmip.SecretDataType) (*kmip.Value, error) {
	if format == formatJSON {
		v, err := jsonValue(data)
		if err == nil {
			err = secretKind.check(v)
		}
		return v, err
	}
	if format == formatRaw && t == kmip.SecretDataTypePassword {
		data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	}
	data, err := decoded(data, format)
	if err != nil {
		return nil, err
	}
	return secretValue(t, data), nil
}

// A secretText is the answer of secret export where it is not a file.
type secretText struct {
	UniqueIdentifier string `json:"unique_identifier"`
	SecretDataType   string `json:"secret_data_type"`
	Value            string `json:"value_base64"`
}

func (p *program) secretExportCommand() *cobra.Command {
	var uid, format string
	cmd := secretKind.needsID(&cobra.Command{
		Use:     "export --secret-id ID [FILE]",
		Aliases: []string{"get"},
		Short:   "Write a secret to a file, or to standard output",
		Long:    "Write a secret to a file; without one, and for -, to standard output, with --json as part of the answer.",
		Example: "  strongroom secret export --secret-id my_secret password.txt\n  strongroom secret get --secret-id my_secret | wc -c",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := plainFormat(format); err != nil {
				return err
			}
			r, err := do[kmip.GetResponse](cmd.Context(), p, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			defer r.Value.Clear()
			data, err := plainFile(&secretKind, &r.Value, format)
			if err != nil {
				return fmt.Errorf("exporting %q: %w", uid, err)
			}
			defer clear(data)
			if len(args) == 1 && args[0] != standard {
				return p.exported(&secretKind, r, args[0], secretMode, data)
			}
			if p.json && format == formatRaw {
				text := base64.StdEncoding.EncodeToString(data)
				return p.answer(secretText{string(r.UniqueIdentifier), spelled(r.SecretData.SecretDataType.String()), text}, "")
			}
			return p.write(standard, secretMode, nil, p.legible(data))
		},
	}, &uid)
	cmd.Flags().StringVarP(&format, "key-format", "f", formatRaw, "`FORMAT` of the file: raw, base64 or json-ttlv")
	return cmd
}

// legible ends what goes to a terminal with a line break.
func (p *program) legible(data []byte) []byte {
	f, ok := p.out.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) && !bytes.HasSuffix(data, []byte("\n")) {
		return append(data, '\n')
	}
	return data
}
