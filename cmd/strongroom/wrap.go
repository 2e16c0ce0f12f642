package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// wrappingCommands take objects of a kind out of the server and into it under another key, so that they are never seen in clear.
func (p *program) wrappingCommands(k *kind) []*cobra.Command {
	return []*cobra.Command{p.wrapCommand(k), p.unwrapCommand(k)}
}

// A wrapping is a way to wrap a key with another.
type wrapping struct {
	name    string
	mode    kmip.BlockCipherMode
	padding kmip.PaddingMethod
}

var wrappings = []wrapping{
	{rfc5649, kmip.BlockCipherModeAESKeyWrapPadding, 0},
	{"rfc3394", kmip.BlockCipherModeNISTKeyWrap, 0},
	{aesGCM, kmip.BlockCipherModeGCM, 0},
	{oaepName, 0, kmip.PaddingMethodOAEP},
	{pkcs1Name, 0, kmip.PaddingMethodPKCS1v15},
}

// wrapFlags are those of wrap and unwrap.
type wrapFlags struct{ key, algorithm, hash, format string }

func (w *wrapFlags) flags(cmd *cobra.Command, key string) {
	f := cmd.Flags()
	f.StringVarP(&w.key, wrapKeyFlag, "w", "", key)
	f.StringVar(&w.algorithm, "wrapping-algorithm", rfc5649, "`ALGORITHM`: rfc5649, rfc3394 or aes-gcm with an AES key; ckm-rsa-pkcs-oaep or ckm-rsa-pkcs with an RSA key")
	f.StringVar(&w.hash, "hashing-algorithm", "sha-256", "`HASH` of ckm-rsa-pkcs-oaep: sha-1, sha-256, sha-384 or sha-512")
	f.StringVarP(&w.format, "key-format", "f", formatJSON, "`FORMAT` of the file: json-ttlv, or the wrapped bytes alone as raw or base64")
}

const wrapKeyFlag = "wrap-key-id"

// parameters are those of the wrapping.
func (w *wrapFlags) parameters() (*kmip.CryptographicParameters, error) {
	var known []string
	for _, x := range wrappings {
		known = append(known, x.name)
		if x.name != w.algorithm {
			continue
		}
		p := &kmip.CryptographicParameters{BlockCipherMode: x.mode, PaddingMethod: x.padding}
		if x.padding == kmip.PaddingMethodOAEP {
			var err error
			if p.HashingAlgorithm, err = named[kmip.HashingAlgorithm](ttlv.TagHashingAlgorithm, "hashing algorithm", w.hash); err != nil {
				return nil, err
			}
		}
		return p, nil
	}
	return nil, misused("--wrapping-algorithm %q is not one of %q", w.algorithm, known)
}

// A bareForm says how the wrapped bytes of a kind of objects are read, which say nothing of themselves.
type bareForm struct {
	format kmip.KeyFormatType // in which objects are wrapped, so that the bytes are what other tools expect; 0: as they are kept
	flag   func(cmd *cobra.Command, what *string)
	value  func(b kmip.KeyBlock, what string) (*kmip.Value, error)
	usage  func(*kmip.Value) kmip.CryptographicUsageMask // of an object that is unwrapped
}

var bareForms = map[*kind]bareForm{
	&symmetricKind: {
		format: kmip.KeyFormatTypeRaw,
		flag: func(cmd *cobra.Command, what *string) {
			cmd.Flags().StringVarP(what, "algorithm", "a", "aes", "`ALGORITHM` of the key, where the file does not say")
		},
		value: func(b kmip.KeyBlock, what string) (*kmip.Value, error) {
			a, _, err := symmetric(what, 0)
			if err != nil {
				return nil, err
			}
			b.CryptographicAlgorithm = a.algorithm
			return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: b}}, nil
		},
		usage: func(v *kmip.Value) kmip.CryptographicUsageMask { return usageOf(v.KeyBlock().CryptographicAlgorithm) },
	},
	&rsaFamily.kind: {
		format: kmip.KeyFormatTypePKCS8,
		flag:   func(*cobra.Command, *string) {},
		value: func(b kmip.KeyBlock, _ string) (*kmip.Value, error) {
			b.CryptographicAlgorithm = kmip.CryptographicAlgorithmRSA
			return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: b}}, nil
		},
		usage: usageOfPair,
	},
	&ecFamily.kind: {
		format: kmip.KeyFormatTypePKCS8,
		flag: func(cmd *cobra.Command, what *string) {
			cmd.Flags().StringVarP(what, "algorithm", "a", ecdsaName, "`ALGORITHM` of the key, where the file does not say: ecdsa, ed25519 or ecdh")
		},
		value: func(b kmip.KeyBlock, what string) (*kmip.Value, error) {
			a, ok := ecAlgorithms[what]
			if !ok {
				return nil, misused("--algorithm %q is not ecdsa, ed25519 or ecdh", what)
			}
			b.CryptographicAlgorithm = a.algorithm
			return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: b}}, nil
		},
		usage: usageOfPair,
	},
	&secretKind: {
		flag: func(cmd *cobra.Command, what *string) { secretType(cmd, what, kmip.SecretDataTypePassword) },
		value: func(b kmip.KeyBlock, what string) (*kmip.Value, error) {
			t, err := secretTypeNamed(what)
			b.KeyFormatType = kmip.KeyFormatTypeRaw
			return &kmip.Value{SecretData: &kmip.SecretData{SecretDataType: t, KeyBlock: b}}, err
		},
		usage: func(*kmip.Value) kmip.CryptographicUsageMask { return secretUsage },
	},
}

func (p *program) wrapCommand(k *kind) *cobra.Command {
	var uid string
	var w wrapFlags
	cmd := k.needsID(&cobra.Command{
		Use:   fmt.Sprintf("wrap --%s ID --%s KEY FILE", k.flag(), wrapKeyFlag),
		Short: fmt.Sprintf("Write a %s to a file, wrapped by a key", k.noun),
		Long: fmt.Sprintf(`Write a %s to a file, wrapped (encrypted) by a key: in the server, or in the HSM if that key is there. It takes the right to
encrypt with the wrapping key. What is sensitive may leave so; what is not extractable may not.

A file in json-ttlv says how, and by which key, it was wrapped. In raw and base64 there are the wrapped bytes alone, as other tools
take them: of the bytes of a symmetric key or secret, or of a private key in PKCS#8.`, k.noun),
		Example: fmt.Sprintf("  %[1]s --%[2]s %[3]s --%[4]s my_wrapping_key wrapped.json\n  %[1]s --%[2]s %[3]s --%[4]s partner_pk --wrapping-algorithm ckm-rsa-pkcs-oaep --key-format raw wrapped.bin",
			k.command("wrap"), k.flag(), k.example, wrapKeyFlag),
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.key == "" {
				return misused("no wrapping key is named: give --%s ID", wrapKeyFlag)
			}
			if err := plainFormat(w.format); err != nil {
				return err
			}
			r, err := w.wrapped(cmd.Context(), p, k, uid)
			if err != nil {
				return err
			}
			data, err := wrappedFile(k, &r.Value, w.format)
			if err != nil {
				return fmt.Errorf("wrapping %q: %w", uid, err)
			}
			return p.exported(k, r, args[0], secretMode, data)
		},
	}, &uid)
	w.flags(cmd, "unique identifier `ID` of the key that wraps")
	return cmd
}

// wrapped asks for the wrapped object.
func (w *wrapFlags) wrapped(ctx context.Context, p *program, k *kind, uid string) (*kmip.GetResponse, error) {
	parameters, err := w.parameters()
	if err != nil {
		return nil, err
	}
	return do[kmip.GetResponse](ctx, p, kmip.OperationGet, &kmip.GetRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid),
		KeyFormatType:    bareForms[k].format,
		KeyWrappingSpecification: &kmip.KeyWrappingSpecification{
			WrappingMethod: kmip.WrappingMethodEncrypt,
			EncryptionKeyInformation: &kmip.EncryptionKeyInformation{
				UniqueIdentifier: kmip.UniqueIdentifier(w.key), CryptographicParameters: parameters,
			},
			EncodingOption: kmip.EncodingOptionNoEncoding,
		},
	})
}

// wrappedFile is the content of a file for a wrapped object.
func wrappedFile(k *kind, v *kmip.Value, format string) ([]byte, error) {
	if err := k.check(v); err != nil {
		return nil, err
	}
	b := v.KeyBlock()
	if b.KeyWrappingData == nil || b.KeyValue == nil {
		return nil, errors.New("the server's answer is not wrapped")
	}
	if format == formatJSON {
		return jsonFile(v)
	}
	if b.KeyWrappingData.EncodingOption != kmip.EncodingOptionNoEncoding || len(b.KeyWrappingData.IVCounterNonce) > 0 {
		return nil, fmt.Errorf("the server did not wrap the bytes alone: only %s can hold what it answers", formatJSON)
	}
	data := wrappedBytes(b.KeyValue)
	if format == formatBase64 {
		return append(base64.StdEncoding.AppendEncode(nil, data), '\n'), nil
	}
	return data, nil
}

// wrappedBytes stand in one of two places.
func wrappedBytes(v *kmip.KeyValue) []byte {
	if len(v.Wrapped) > 0 {
		return v.Wrapped
	}
	return v.Material
}

func (p *program) unwrapCommand(k *kind) *cobra.Command {
	var m making
	var w wrapFlags
	var what string
	cmd := &cobra.Command{
		Use:   "unwrap FILE [ID]",
		Short: fmt.Sprintf("Bring a wrapped %s into the server, and unwrap it there", k.noun),
		Long: fmt.Sprintf(`Bring a %s into the server that was wrapped (encrypted) by a key, and unwrap it there: it is never seen in clear outside. It takes the
right to decrypt with the wrapping key.

A file in json-ttlv says how, and by which key, it was wrapped; --%s is needed where that key has another name in this server, and
where it was a public key: then it names the private one. With raw and base64 the flags say it all.`, k.noun, wrapKeyFlag),
		Example: fmt.Sprintf("  %[1]s wrapped.json %[2]s\n  %[1]s --key-format raw --%[3]s my_wrapping_key wrapped.bin %[2]s", k.command("unwrap"), k.example, wrapKeyFlag),
		Args:    arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.read(cmd, args, 1); err != nil {
				return misuse{err}
			}
			data, err := p.readKey(args[0])
			if err != nil {
				return err
			}
			v, err := w.value(k, data, what)
			if err != nil {
				return fmt.Errorf("unwrapping %q: %w", args[0], err)
			}
			uid, err := p.importWrapped(cmd.Context(), k, &m, v)
			if err != nil {
				return err
			}
			return p.about("The "+k.noun+" was successfully unwrapped.", uid)
		},
	}
	m.flags(cmd)
	w.flags(cmd, "unique identifier `ID` of the key that unwraps (default what the file says)")
	bareForms[k].flag(cmd, &what)
	return cmd
}

// value reads a file with a wrapped object. What is its algorithm or type where the file does not say.
func (w *wrapFlags) value(k *kind, data []byte, what string) (*kmip.Value, error) {
	if w.format != formatJSON {
		return w.bareValue(k, data, what)
	}
	v, err := jsonValue(data)
	if err == nil {
		err = k.check(v)
	}
	if err != nil {
		return nil, err
	}
	d := v.KeyBlock().KeyWrappingData
	if d == nil || d.EncryptionKeyInformation == nil {
		return nil, errors.New("it is not wrapped: import brings it in")
	}
	if w.key != "" {
		d.EncryptionKeyInformation.UniqueIdentifier = kmip.UniqueIdentifier(w.key)
	}
	return v, nil
}

// bareValue makes a wrapped object of wrapped bytes.
func (w *wrapFlags) bareValue(k *kind, data []byte, what string) (*kmip.Value, error) {
	if w.key == "" {
		return nil, misused("the file does not say by which key it was wrapped: give --%s ID", wrapKeyFlag)
	}
	parameters, err := w.parameters()
	if err != nil {
		return nil, err
	}
	if data, err = decoded(data, w.format); err != nil {
		return nil, err
	}
	return bareForms[k].value(kmip.KeyBlock{
		KeyFormatType: bareForms[k].format,
		KeyValue:      &kmip.KeyValue{Wrapped: data},
		KeyWrappingData: &kmip.KeyWrappingData{
			WrappingMethod: kmip.WrappingMethodEncrypt,
			EncryptionKeyInformation: &kmip.EncryptionKeyInformation{
				UniqueIdentifier: kmip.UniqueIdentifier(w.key), CryptographicParameters: parameters,
			},
			EncodingOption: kmip.EncodingOptionNoEncoding,
		},
	}, what)
}

// importWrapped has the server unwrap an object and keep it.
func (p *program) importWrapped(ctx context.Context, k *kind, m *making, v *kmip.Value) (kmip.UniqueIdentifier, error) {
	c, err := p.connected(ctx)
	if err != nil {
		return "", err
	}
	if c.Version() < ttlv.V1_4 {
		return "", fmt.Errorf("KMIP %v has no operation that unwraps: 1.4 has", c.Version())
	}
	usage, err := m.usageOr(bareForms[k].usage(v))
	if err != nil {
		return "", err
	}
	uid := m.uid
	if uid == "" {
		uid = uuid.NewString()
	}
	r, err := do[kmip.ImportResponse](ctx, p, kmip.OperationImport, &kmip.ImportRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), ObjectType: v.ObjectType(), KeyWrapType: kmip.KeyWrapTypeNotWrapped,
		Attributes: append(m.attributes(), m.material().Without(ttlv.TagUniqueIdentifier)...).With(ttlv.TagCryptographicUsageMask, usage),
		Value:      *v,
	})
	if err != nil {
		return "", err
	}
	return r.UniqueIdentifier, nil
}
