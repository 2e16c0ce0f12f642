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

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Formats of key files.
const (
	formatRaw    = "raw"
	formatBase64 = "base64"
	formatJSON   = "json-ttlv"
)

var symmetricFormats = []string{formatRaw, formatBase64, formatJSON}

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

// symmetricFile is the content of a file for a symmetric key.
func symmetricFile(v *kmip.Value, format string) ([]byte, error) {
	if v.SymmetricKey == nil {
		return nil, fmt.Errorf("it is a %v, not a symmetric key", v.ObjectType())
	}
	if format == formatJSON {
		return jsonFile(v)
	}
	material, err := symmetricMaterial(&v.SymmetricKey.KeyBlock)
	if err != nil {
		return nil, err
	}
	if format == formatRaw {
		return material, nil
	}
	return append(base64.StdEncoding.AppendEncode(nil, material), '\n'), nil
}

// symmetricMaterial is the key itself, in clear.
func symmetricMaterial(b *kmip.KeyBlock) ([]byte, error) {
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

// jsonFile writes an object as the JSON encoding of KMIP does.
func jsonFile(v *kmip.Value) ([]byte, error) {
	tag, object := valueField(v)
	if object == nil {
		return nil, fmt.Errorf("a %v is no key", v.ObjectType())
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

// valueField is the key in a value, with its tag.
func valueField(v *kmip.Value) (ttlv.Tag, *kmip.PlainKey) {
	switch {
	case v.SymmetricKey != nil:
		return ttlv.TagSymmetricKey, v.SymmetricKey
	case v.PrivateKey != nil:
		return ttlv.TagPrivateKey, v.PrivateKey
	case v.PublicKey != nil:
		return ttlv.TagPublicKey, v.PublicKey
	}
	return 0, nil
}

// jsonValue reads what jsonFile wrote.
func jsonValue(data []byte) (*kmip.Value, error) {
	node, err := ttlv.ParseJSON(data, nil)
	if err != nil {
		return nil, err
	}
	key := new(kmip.PlainKey)
	if err := ttlv.Unmarshal(node.Append(nil), ttlv.V2_1, node.Tag, key, nil); err != nil {
		return nil, err
	}
	switch node.Tag {
	case ttlv.TagSymmetricKey:
		return &kmip.Value{SymmetricKey: key}, nil
	case ttlv.TagPrivateKey:
		return &kmip.Value{PrivateKey: key}, nil
	case ttlv.TagPublicKey:
		return &kmip.Value{PublicKey: key}, nil
	}
	return nil, fmt.Errorf("the file has a %v, not a key", node.Tag)
}

// symmetricValue reads a file that symmetricFile could have written, and what the key is for.
func symmetricValue(data []byte, format, algorithm string) (*kmip.Value, kmip.CryptographicUsageMask, error) {
	switch format {
	case formatRaw:
	case formatBase64:
		decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(data)))
		if err != nil {
			return nil, 0, err
		}
		data = decoded
	case formatJSON:
		v, err := jsonValue(data)
		if err != nil {
			return nil, 0, err
		}
		if v.SymmetricKey == nil {
			return nil, 0, fmt.Errorf("the file has a %v, not a symmetric key", v.ObjectType())
		}
		return v, usageOf(v.SymmetricKey.KeyBlock.CryptographicAlgorithm), nil
	default:
		return nil, 0, misused("--key-format %q is not one of %q", format, symmetricFormats)
	}
	if len(data) == 0 {
		return nil, 0, errors.New("the file is empty")
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

// register sends an object to the server.
func (p *program) register(ctx context.Context, v *kmip.Value, a kmip.Attributes, usage kmip.CryptographicUsageMask) (kmip.UniqueIdentifier, error) {
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

// exported writes the file of an exported key and answers.
func (p *program) exported(r *kmip.GetResponse, name string, mode fs.FileMode, data []byte) error {
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
	return p.answer(object, "The key %s of type %v was exported to %q\nUnique identifier: %s", r.UniqueIdentifier, r.ObjectType, name, r.UniqueIdentifier)
}
