package main

import (
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// rsaCommand holds the commands about RSA keys.
func (p *program) rsaCommand() *cobra.Command {
	keys := group("keys", "Make and manage RSA keys", p.rsaCreateCommand(), p.rsaExportCommand(), p.rsaImportCommand())
	keys.AddCommand(p.lifecycle("strongroom rsa keys", "my_rsa_key")...)
	return group("rsa", "RSA keys, and encryption and signatures with them", keys,
		p.rsaEncryptCommand(), p.rsaDecryptCommand(), p.rsaSignCommand(), p.rsaVerifyCommand())
}

// createdPair is the answer of rsa keys create.
type createdPair struct {
	PublicKeyUniqueIdentifier  string `json:"public_key_unique_identifier"`
	PrivateKeyUniqueIdentifier string `json:"private_key_unique_identifier"`
}

func (p *program) rsaCreateCommand() *cobra.Command {
	var m making
	var bits int32
	cmd := &cobra.Command{
		Use:   "create [ID]",
		Short: "Make an RSA key pair",
		Long: `Make an RSA key pair in the server. ID is the unique identifier of the private key, and that of the public key is
ID_pk; without one the server makes them up. A pair that is named hsm::SLOT::LABEL is made in that slot of an HSM, and its
private key never leaves it unless --sensitive=false is given.`,
		Example: `  strongroom rsa keys create --size_in_bits 4096 --sensitive hsm::4::my_rsa_key
  strongroom rsa keys create --tag mail my_rsa_key`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if bits < 2048 || bits > 8192 || bits%8 != 0 {
				return misused("--size_in_bits %d: an RSA key has 2048 to 8192 bits, in whole bytes", bits)
			}
			if err := m.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			r, err := do[kmip.CreateKeyPairResponse](cmd.Context(), p, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
				CommonAttributes: m.attributes().
					With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmRSA).
					With(ttlv.TagCryptographicLength, bits),
				PrivateKeyAttributes: m.material().With(ttlv.TagCryptographicUsageMask, privateUsage),
				PublicKeyAttributes:  kmip.Attributes{}.With(ttlv.TagCryptographicUsageMask, publicUsage),
			})
			if err != nil {
				return err
			}
			return p.answer(createdPair{string(r.PublicKeyUniqueIdentifier), string(r.PrivateKeyUniqueIdentifier)},
				"The RSA key pair has been created.\nPublic key unique identifier: %s\nPrivate key unique identifier: %s",
				r.PublicKeyUniqueIdentifier, r.PrivateKeyUniqueIdentifier)
		},
	}
	m.flags(cmd)
	cmd.Flags().Int32VarP(&bits, "size-in-bits", "s", 4096, "length `N` of the modulus in bits")
	return cmd
}

func (p *program) rsaExportCommand() *cobra.Command {
	var uid, format string
	cmd := needsKeyID(&cobra.Command{
		Use:   "export --key-id ID FILE",
		Short: "Write an RSA key to a file",
		Long: `Write an RSA key to a file. The formats are

  pkcs8-pem, pkcs8-der  a private key as PKCS#8, a public key as SubjectPublicKeyInfo: what openssl writes
  pkcs1-pem, pkcs1-der  either as PKCS#1
  spki-pem, spki-der    a public key as SubjectPublicKeyInfo; spki and x509 mean spki-pem
  json-ttlv             the object as KMIP has it

A private key that is sensitive, as those in an HSM are, does not leave the server.`,
		Example: `  strongroom rsa keys export --key-id hsm::4::my_rsa_key_pk --key-format pkcs8-pem /tmp/pubkey.pem
  strongroom rsa keys export --key-id my_rsa_key --key-format pkcs1-der my.der`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := rsaFormatNamed(format)
			if err != nil {
				return err
			}
			r, err := p.getRSA(cmd.Context(), uid)
			if err != nil {
				return err
			}
			data, err := f.file(&r.Value)
			if err != nil {
				return fmt.Errorf("exporting %q: %w", uid, err)
			}
			mode := fs.FileMode(secretMode)
			if r.Value.PublicKey != nil {
				mode = usualMode
			} else {
				defer clear(data)
			}
			return p.exported(r, args[0], mode, data)
		},
	}, &uid)
	cmd.Flags().StringVarP(&format, "key-format", "f", "pkcs8-pem", "`FORMAT` of the file")
	return cmd
}

func (p *program) rsaImportCommand() *cobra.Command {
	var m making
	var format string
	cmd := &cobra.Command{
		Use:   "import FILE [ID]",
		Short: "Bring an RSA key into the server",
		Long: `Bring an RSA key into the server: a private or a public key, as PKCS#8, PKCS#1 or SubjectPublicKeyInfo, in PEM or
DER, or as json-ttlv. What the file holds is found out, unless --key-format says what it has to be.`,
		Example: `  openssl genrsa 3072 | strongroom rsa keys import - my_rsa_key
  strongroom rsa keys import --key-format pkcs8-pem my.pem my_rsa_key`,
		Args: arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 1); err != nil {
				return misuse{err}
			}
			data, err := p.readKey(args[0])
			if err != nil {
				return err
			}
			defer clear(data)
			v, err := rsaValue(data, format)
			if err != nil {
				return fmt.Errorf("importing %q: %w", args[0], err)
			}
			attributes, usage, what := append(m.attributes(), m.material()...), privateUsage, "private"
			if v.PublicKey != nil {
				attributes, usage, what = attributes.Without(ttlv.TagSensitive), publicUsage, "public"
			}
			uid, err := p.register(cmd.Context(), v, attributes, usage)
			if err != nil {
				return err
			}
			return p.about("The RSA "+what+" key was successfully imported.", uid)
		},
	}
	m.flags(cmd)
	cmd.Flags().StringVarP(&format, "key-format", "f", "", "`FORMAT` that the file has to have, as of export (default any)")
	return cmd
}
