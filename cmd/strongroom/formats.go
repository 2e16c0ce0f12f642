package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Formats of key files.
const (
	formatRaw    = "raw"
	formatBase64 = "base64"
	formatJSON   = "json-ttlv"
)

// plainFormats are those of objects that are just bytes: symmetric keys and secrets.
var plainFormats = []string{formatRaw, formatBase64, formatJSON}

// maxKeyFile is how long a file with a key may be, in bytes.
const maxKeyFile = 1 << 20

// readKey reads a file that holds a key. The caller clears it.
func (p *program) readKey(name string) (data []byte, err error) {
	err = p.read(name, func(r io.Reader, _ *os.File) error {
		data, err = io.ReadAll(io.LimitReader(r, maxKeyFile+1))
		if err == nil && len(data) > maxKeyFile {
			err = fmt.Errorf("%q is longer than %d bytes: no file with a key", name, maxKeyFile)
		}
		return err
	})
	return data, err
}

// plainFile is the content of a file for an object that is just bytes.
func plainFile(k *kind, v *kmip.Value, format string) ([]byte, error) {
	if err := k.check(v); err != nil {
		return nil, err
	}
	if format == formatJSON {
		return jsonFile(v)
	}
	material, err := plainMaterial(v.KeyBlock())
	if err != nil {
		return nil, err
	}
	if format == formatRaw {
		return material, nil
	}
	return append(base64.StdEncoding.AppendEncode(nil, material), '\n'), nil
}

// plainMaterial is the bytes themselves, in clear.
func plainMaterial(b *kmip.KeyBlock) ([]byte, error) {
	switch {
	case b.KeyWrappingData != nil:
		return nil, errors.New("its material is wrapped: only json-ttlv can hold it")
	case b.KeyValue == nil:
		return nil, errors.New("the server keeps no material of it")
	case b.KeyValue.Components != nil && len(b.KeyValue.Components.Key) > 0:
		return b.KeyValue.Components.Key, nil
	case len(b.KeyValue.Material) > 0:
		return b.KeyValue.Material, nil
	}
	return nil, fmt.Errorf("its material is in the format %v, which this program cannot read", b.KeyFormatType)
}

// plainFormat refuses a format that objects of just bytes do not have.
func plainFormat(format string) error {
	if !slices.Contains(plainFormats, format) {
		return misused("--key-format %q is not one of %q", format, plainFormats)
	}
	return nil
}

// decoded is the bytes in a file in one of the formats raw and base64.
func decoded(data []byte, format string) ([]byte, error) {
	if format == formatBase64 {
		clean := make([]byte, base64.StdEncoding.DecodedLen(len(data)))
		n, err := base64.StdEncoding.Decode(clean, bytes.TrimSpace(data))
		if err != nil {
			return nil, err
		}
		data = clean[:n]
	} else if err := plainFormat(format); err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, errors.New("the file is empty")
	}
	return data, nil
}

// jsonFile writes an object as the JSON encoding of KMIP does.
func jsonFile(v *kmip.Value) ([]byte, error) {
	tag, object := objectIn(v)
	if object == nil {
		return nil, fmt.Errorf("a %v is nothing that this program writes to a file", v.ObjectType())
	}
	b, err := ttlv.Append(nil, ttlv.V2_1, tag, object)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	node, err := ttlv.Parse(b, nil)
	if err != nil {
		return nil, err
	}
	text, err := node.JSON()
	return append(text, '\n'), err
}

// objectIn is the object in a value, with its tag; nil for one that does not go to files.
func objectIn(v *kmip.Value) (ttlv.Tag, any) {
	switch {
	case v.SymmetricKey != nil:
		return ttlv.TagSymmetricKey, v.SymmetricKey
	case v.PrivateKey != nil:
		return ttlv.TagPrivateKey, v.PrivateKey
	case v.PublicKey != nil:
		return ttlv.TagPublicKey, v.PublicKey
	case v.SecretData != nil:
		return ttlv.TagSecretData, v.SecretData
	case v.Certificate != nil:
		return ttlv.TagCertificate, v.Certificate
	}
	return 0, nil
}

// jsonValue reads what jsonFile wrote.
func jsonValue(data []byte) (*kmip.Value, error) {
	node, err := ttlv.ParseJSON(data, nil)
	if err != nil {
		return nil, err
	}
	v := new(kmip.Value)
	switch node.Tag {
	case ttlv.TagSymmetricKey:
		v.SymmetricKey = new(kmip.PlainKey)
	case ttlv.TagPrivateKey:
		v.PrivateKey = new(kmip.PlainKey)
	case ttlv.TagPublicKey:
		v.PublicKey = new(kmip.PlainKey)
	case ttlv.TagSecretData:
		v.SecretData = new(kmip.SecretData)
	case ttlv.TagCertificate:
		v.Certificate = new(kmip.Certificate)
	default:
		return nil, fmt.Errorf("the file has a %v, no object that this program reads", node.Tag)
	}
	_, object := objectIn(v)
	return v, ttlv.Unmarshal(node.Append(nil), ttlv.V2_1, node.Tag, object, nil)
}

// symmetricValue reads a file that a symmetric key was exported to, and what the key is for.
func symmetricValue(data []byte, format, algorithm string) (*kmip.Value, kmip.CryptographicUsageMask, error) {
	if format == formatJSON {
		v, err := jsonValue(data)
		if err == nil {
			err = symmetricKind.check(v)
		}
		if err != nil {
			return nil, 0, err
		}
		return v, usageOf(v.SymmetricKey.KeyBlock.CryptographicAlgorithm), nil
	}
	data, err := decoded(data, format)
	if err != nil {
		return nil, 0, err
	}
	a, _, err := symmetric(algorithm, 8*len(data))
	if err != nil {
		return nil, 0, fmt.Errorf("the file has %d bits: %w", 8*len(data), err)
	}
	return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType:          kmip.KeyFormatTypeRaw,
		KeyValue:               &kmip.KeyValue{Material: data},
		CryptographicAlgorithm: a.algorithm,
		CryptographicLength:    int32(8 * len(data)),
	}}}, a.usage, nil
}

// usageOf is what a symmetric key of an algorithm is for.
func usageOf(algorithm kmip.CryptographicAlgorithm) kmip.CryptographicUsageMask {
	for _, a := range symmetricAlgorithms {
		if a.algorithm == algorithm {
			return a.usage
		}
	}
	return cipherUsage
}

// register sends an object to the server, and clears it.
func (p *program) register(ctx context.Context, v *kmip.Value, a kmip.Attributes, usage kmip.CryptographicUsageMask) (kmip.UniqueIdentifier, error) {
	defer v.Clear()
	a = a.With(ttlv.TagCryptographicUsageMask, usage)
	if b := v.KeyBlock(); b != nil && b.CryptographicAlgorithm != 0 {
		a = a.With(ttlv.TagCryptographicAlgorithm, b.CryptographicAlgorithm).With(ttlv.TagCryptographicLength, b.CryptographicLength)
	}
	r, err := do[kmip.RegisterResponse](ctx, p, kmip.OperationRegister, &kmip.RegisterRequest{
		ObjectType: v.ObjectType(), Attributes: a, Value: *v,
	})
	if err != nil {
		return "", err
	}
	return r.UniqueIdentifier, nil
}

// exported writes the file of an exported object and answers.
func (p *program) exported(k *kind, r *kmip.GetResponse, name string, mode fs.FileMode, data []byte) error {
	if err := p.write(name, mode, nil, data); err != nil {
		return err
	}
	if name == standard {
		return nil
	}
	object := struct {
		written
		ObjectType string `json:"object_type"`
	}{written{string(r.UniqueIdentifier), name}, r.ObjectType.String()}
	return p.answer(object, "The %s %s of type %v was exported to %q\nUnique identifier: %s", k.noun, r.UniqueIdentifier, r.ObjectType, name, r.UniqueIdentifier)
}
