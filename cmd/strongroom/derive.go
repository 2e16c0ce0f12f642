package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A deriving has the flags of commands that derive an object of others.
type deriving struct {
	making
	object, algorithm string
	bits              int
}

func (d *deriving) flags(cmd *cobra.Command, object kmip.ObjectType) {
	d.making.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&d.object, "object-type", spelled(object.String()), "`TYPE` of what is derived: symmetric-key or secret-data")
	f.StringVarP(&d.algorithm, "algorithm", "a", "aes", "`ALGORITHM` of a symmetric key, as of sym keys create")
	f.IntVarP(&d.bits, "number-of-bits", "l", 0, "length `N` of what is derived in bits (default the usual one of the algorithm, 256 of secret data)")
}

// request begins the request, and says what is derived.
func (d *deriving) request() (q *kmip.DeriveKeyRequest, what string, err error) {
	object, err := named[kmip.ObjectType](ttlv.TagObjectType, "object type", d.object)
	if err != nil {
		return nil, "", err
	}
	attributes := append(d.attributes(), d.material()...)
	usual := secretUsage
	switch object {
	case kmip.ObjectTypeSymmetricKey:
		a, bits, err := symmetric(d.algorithm, d.bits)
		if err != nil {
			return nil, "", err
		}
		what, usual, d.bits = "symmetric key", a.usage, bits
		attributes = attributes.With(ttlv.TagCryptographicAlgorithm, a.algorithm)
	case kmip.ObjectTypeSecretData:
		if what = "secret"; d.bits == 0 {
			d.bits = usualSeed
		}
		if d.bits < 0 || d.bits%8 != 0 || d.bits > 8*maxSecret {
			return nil, "", misused("--number-of-bits %d: secret data are whole bytes, %d at most", d.bits, maxSecret)
		}
	default:
		return nil, "", misused("--object-type %q is neither symmetric-key nor secret-data", d.object)
	}
	usage, err := d.usageOr(usual)
	attributes = attributes.With(ttlv.TagCryptographicLength, int32(d.bits)).With(ttlv.TagCryptographicUsageMask, usage)
	return &kmip.DeriveKeyRequest{ObjectType: object, Attributes: attributes}, what, err
}

// derive makes the object.
func (p *program) derive(ctx context.Context, q *kmip.DeriveKeyRequest, what string) error {
	r, err := do[kmip.DeriveKeyResponse](ctx, p, kmip.OperationDeriveKey, q)
	if err != nil {
		return err
	}
	return p.about("The "+what+" was successfully derived.", r.UniqueIdentifier)
}

// agreeCommand is Diffie-Hellman on a curve.
func (p *program) agreeCommand() *cobra.Command {
	var d deriving
	var private, public string
	cmd := needsKeyID(&cobra.Command{
		Use:   "derive --key-id PRIVATE --public-key-id PUBLIC [ID]",
		Short: "Derive an object of a private key and somebody's public key",
		Long: `Derive an object, ID, of a private key and somebody else's public key on the same curve (ECDH): it has the first bytes of the
x-coordinate of the point that both sides share. Both keys are in the database, and their usage is derive-key: that of a pair
made with --algorithm ecdh or --curve x25519, and of a public key imported with --key-usage derive-key.

What comes of it is not evenly distributed: by default it is a secret, of which sym keys derive makes keys.`,
		Example: `  strongroom ec keys import --key-usage derive-key partner.pem partner_pk
  strongroom ec keys derive --key-id my_agreement_key --public-key-id partner_pk shared
  strongroom sym keys derive --key-id shared --derivation-method hkdf session_key`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if public == "" {
				return misused("no public key is named: give --public-key-id ID")
			}
			if err := d.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			q, what, err := d.request()
			if err != nil {
				return err
			}
			q.DerivationMethod = kmip.DerivationMethodAsymmetricKey
			q.UniqueIdentifier = []kmip.UniqueIdentifier{kmip.UniqueIdentifier(private), kmip.UniqueIdentifier(public)}
			return p.derive(cmd.Context(), q, what)
		},
	}, &private)
	d.flags(cmd, kmip.ObjectTypeSecretData)
	cmd.Flags().StringVar(&public, "public-key-id", "", "unique identifier `ID` of the other side's public key")
	return cmd
}

// A method has the flags of sym keys derive that say how.
type method struct {
	name, hash, mode string
	salt, iv         []byte
	data             []string
	iterations       int32
}

func (m *method) flags(f *pflag.FlagSet) {
	f.StringVarP(&m.name, "derivation-method", "m", "hkdf", "`METHOD`: hkdf, pbkdf2, hmac, hash, encrypt, nist800-108-c, nist800-108-f, nist800-108-dpi or aws-signature-version-4")
	f.StringVar(&m.hash, "hashing-algorithm", "", "`HASH` of the method, sha-256 for one (default the method's own)")
	f.StringVar(&m.mode, "block-cipher-mode", "", "`MODE` of encrypt: ecb, cbc or ctr; cmac where a pseudorandom function is not to be an HMAC")
	f.BytesHexVar(&m.salt, "salt", nil, "salt of hkdf and pbkdf2, in `HEX`")
	f.BytesHexVar(&m.iv, "initialization-vector", nil, "of encrypt and nist800-108-f, in `HEX`")
	f.StringArrayVar(&m.data, "derivation-data", nil, "what is derived from beside the key, in `HEX`: the info of hkdf; the date, the region and the service of AWS (one flag each)")
	f.Int32Var(&m.iterations, "iteration-count", 0, "of pbkdf2, `N`")
}

// apply puts the method into a request.
func (m *method) apply(q *kmip.DeriveKeyRequest) (err error) {
	if q.DerivationMethod, err = named[kmip.DerivationMethod](ttlv.TagDerivationMethod, "derivation method", m.name); err != nil {
		return err
	}
	d := &q.DerivationParameters
	d.InitializationVector, d.Salt = m.iv, m.salt
	if m.iterations != 0 {
		d.IterationCount = &m.iterations
	}
	for _, text := range m.data {
		data, err := hex.DecodeString(text)
		if err != nil {
			return misused("--derivation-data %q: %v", text, err)
		}
		d.DerivationData = append(d.DerivationData, data)
	}
	var c kmip.CryptographicParameters
	if m.hash != "" {
		if c.HashingAlgorithm, err = named[kmip.HashingAlgorithm](ttlv.TagHashingAlgorithm, "hashing algorithm", m.hash); err != nil {
			return err
		}
	}
	if m.mode != "" {
		if c.BlockCipherMode, err = named[kmip.BlockCipherMode](ttlv.TagBlockCipherMode, "block cipher mode", m.mode); err != nil {
			return err
		}
	}
	if m.hash != "" || m.mode != "" {
		d.CryptographicParameters = &c
	}
	return nil
}

func (p *program) symDeriveCommand() *cobra.Command {
	var d deriving
	var m method
	var uid, data string
	cmd := needsKeyID(&cobra.Command{
		Use:   "derive --key-id BASE [ID]",
		Short: "Derive an object of a key or of a secret",
		Long: fmt.Sprintf(`Derive an object, ID, of a key or of a secret whose usage is derive-key: a secret's is, a key's where it was made with
--key-usage. A key in an HSM derives by encryption alone, with the method encrypt.

Salt and derivation data are no secrets. Where they are, keep them as a secret in the server and name it by --%s.`, dataIDFlag),
		Example: `  strongroom sym keys create --key-usage derive-key master
  strongroom sym keys derive --key-id master --derivation-data 6261636b757073 backups_key
  strongroom sym keys derive --key-id my_password --derivation-method pbkdf2 --hashing-algorithm sha-256 --salt 8f1c2a90d5e74b36 --iteration-count 600000 disk_key`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := d.read(cmd, args, 0); err != nil {
				return misuse{err}
			}
			q, what, err := d.request()
			if err != nil {
				return err
			}
			if err := m.apply(q); err != nil {
				return err
			}
			q.UniqueIdentifier = []kmip.UniqueIdentifier{kmip.UniqueIdentifier(uid)}
			if data != "" {
				q.UniqueIdentifier = append(q.UniqueIdentifier, kmip.UniqueIdentifier(data))
			}
			return p.derive(cmd.Context(), q, what)
		},
	}, &uid)
	d.flags(cmd, kmip.ObjectTypeSymmetricKey)
	m.flags(cmd.Flags())
	cmd.Flags().StringVar(&data, dataIDFlag, "", "unique identifier `ID` of a secret that is the derivation data")
	return cmd
}

const dataIDFlag = "derivation-data-id"
