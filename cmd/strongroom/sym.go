package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// symCommand holds the commands about symmetric keys.
func (p *program) symCommand() *cobra.Command {
	keys := group("keys", "Make and manage symmetric keys", p.symCreateCommand(), p.symExportCommand(), p.symImportCommand(),
		p.symReKeyCommand(), p.symDeriveCommand())
	keys.AddCommand(p.wrappingCommands(&symmetricKind)...)
	keys.AddCommand(p.lifecycle(&symmetricKind)...)
	return group("sym", "Symmetric keys, and encryption with them", keys, p.symEncryptCommand(), p.symDecryptCommand())
}

// A symmetricAlgorithm is one that keys can be made for.
type symmetricAlgorithm struct {
	name      string // on the command line
	algorithm kmip.CryptographicAlgorithm
	bits      []int // allowed lengths; the last is the default, and a single 0 allows all
	usual     int   // default length
	usage     kmip.CryptographicUsageMask
}

var symmetricAlgorithms = []symmetricAlgorithm{
	{"aes", kmip.CryptographicAlgorithmAES, []int{128, 192, 256}, 256, cipherUsage},
	{"chacha20-poly1305", kmip.CryptographicAlgorithmChaCha20Poly1305, []int{256}, 256, cipherUsage},
	{"hmac-sha256", kmip.CryptographicAlgorithmHMACSHA256, nil, 256, macUsage},
	{"hmac-sha384", kmip.CryptographicAlgorithmHMACSHA384, nil, 384, macUsage},
	{"hmac-sha512", kmip.CryptographicAlgorithmHMACSHA512, nil, 512, macUsage},
}

// symmetric finds an algorithm, and the length of its keys where bits is 0.
func symmetric(name string, bits int) (*symmetricAlgorithm, int, error) {
	var known []string
	for i := range symmetricAlgorithms {
		a := &symmetricAlgorithms[i]
		known = append(known, a.name)
		if plain(a.name) != plain(name) {
			continue
		}
		if bits == 0 {
			bits = a.usual
		}
		if a.bits != nil && !slices.Contains(a.bits, bits) || bits%8 != 0 || bits < 0 || bits > 1<<16 {
			return nil, 0, misused("--number-of-bits %d: not a length of a key for %s", bits, a.name)
		}
		return a, bits, nil
	}
	return nil, 0, misused("--algorithm %q is not one of %q", name, known)
}

func (p *program) symCreateCommand() *cobra.Command {
	var m making
	var algorithm string
	var bits int
	cmd := &cobra.Command{
		Use:   "create [ID]",
		Short: "Make a symmetric key",
		Long: `Make a symmetric key in the server. ID is its unique identifier; without one the server makes one up. A key that is
named hsm::SLOT::LABEL is made in that slot of an HSM, and never leaves it unless --sensitive=false is given.`,
		Example: `  strongroom sym keys create --algorithm aes --number-of-bits 256 --tag backups my_sym_key
  strongroom sym keys create --algorithm aes --number-of-bits 256 --sensitive hsm::4::my_aes_key
  strongroom sym keys create --wrapping-key-id hsm::4::my_rsa_key_pk my_wrapped_key
  strongroom sym keys create --hsm-wrapped --wrapping-key-id hsm::4::wrapping my_hsm_wrapped_key`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, bits, err := symmetric(algorithm, bits)
			if err != nil {
				return err
			}
			if err := m.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			usage, err := m.usageOr(a.usage)
			if err != nil {
				return err
			}
			attributes := append(m.attributes(), m.material()...).
				With(ttlv.TagCryptographicAlgorithm, a.algorithm).
				With(ttlv.TagCryptographicLength, int32(bits)).
				With(ttlv.TagCryptographicUsageMask, usage)
			r, err := do[kmip.CreateResponse](cmd.Context(), p, kmip.OperationCreate, &kmip.CreateRequest{
				ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: attributes,
			})
			if err != nil {
				return err
			}
			return p.about("The symmetric key was successfully generated.", r.UniqueIdentifier)
		},
	}
	m.createFlags(cmd)
	cmd.Flags().StringVarP(&algorithm, "algorithm", "a", "aes", "`ALGORITHM`: aes, chacha20-poly1305, hmac-sha256, hmac-sha384 or hmac-sha512")
	cmd.Flags().IntVarP(&bits, "number-of-bits", "l", 0, "length `N` of the key in bits (default the usual one of the algorithm, 256 for aes)")
	return cmd
}

func (p *program) symExportCommand() *cobra.Command {
	var uid, format string
	cmd := needsKeyID(&cobra.Command{
		Use:   "export --key-id ID FILE",
		Short: "Write a symmetric key to a file",
		Example: `  strongroom sym keys export --key-id my_sym_key --key-format raw my.key
  strongroom sym keys export --key-id my_sym_key --key-format base64 -`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := plainFormat(format); err != nil {
				return err
			}
			r, err := do[kmip.GetResponse](cmd.Context(), p, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if err != nil {
				return err
			}
			defer r.Value.Clear()
			data, err := plainFile(&symmetricKind, &r.Value, format)
			if err != nil {
				return fmt.Errorf("exporting %q: %w", uid, err)
			}
			defer clear(data)
			return p.exported(&symmetricKind, r, args[0], secretMode, data)
		},
	}, &uid)
	cmd.Flags().StringVarP(&format, "key-format", "f", "raw", "`FORMAT` of the file: raw, base64 or json-ttlv")
	return cmd
}

func (p *program) symImportCommand() *cobra.Command {
	var m making
	var algorithm, format string
	cmd := &cobra.Command{
		Use:   "import FILE [ID]",
		Short: "Bring a symmetric key into the server",
		Example: `  strongroom sym keys import --key-format raw my.key my_sym_key
  openssl rand 32 | strongroom sym keys import - my_sym_key`,
		Args: arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 1); err != nil {
				return misuse{err}
			}
			if format == "aes" {
				format = formatRaw
			}
			data, err := p.readKey(args[0])
			if err != nil {
				return err
			}
			defer clear(data)
			v, usual, err := symmetricValue(data, format, algorithm)
			if err != nil {
				return fmt.Errorf("importing %q: %w", args[0], err)
			}
			usage, err := m.usageOr(usual)
			if err != nil {
				return err
			}
			uid, err := p.register(cmd.Context(), v, append(m.attributes(), m.material()...), usage)
			if err != nil {
				return err
			}
			return p.about("The symmetric key was successfully imported.", uid)
		},
	}
	m.flags(cmd)
	cmd.Flags().StringVarP(&algorithm, "algorithm", "a", "aes", "`ALGORITHM` of the key, where the file does not say")
	cmd.Flags().StringVarP(&format, "key-format", "f", "raw", "`FORMAT` of the file: raw (or aes), base64 or json-ttlv")
	return cmd
}
