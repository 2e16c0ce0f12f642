package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"strongroom/kmip"
)

// An encoding is one of the ways that a private or public key is written.
type encoding int

const (
	pkcs8 encoding = iota // of a public key: spki
	pkcs1                 // RSA
	sec1                  // a private key on a NIST curve
	spki
	jsonTTLV
)

// A pairFormat is the format of a file with a private or public key.
type pairFormat struct {
	name string
	encoding
	pem bool
}

func (f *family) formatNamed(name string) (*pairFormat, error) {
	var known []string
	for i := range f.formats {
		if f.formats[i].name == name {
			return &f.formats[i], nil
		}
		known = append(known, f.formats[i].name)
	}
	return nil, misused("--key-format %q is not one of %q", name, known)
}

// publicOf is the public half of a private key; private says whether the key was one.
func publicOf(key any) (public crypto.PublicKey, private bool) {
	if k, ok := key.(interface{ Public() crypto.PublicKey }); ok {
		return k.Public(), true
	}
	return key, false
}

// file writes a key.
func (f *family) file(format *pairFormat, v *kmip.Value) ([]byte, error) {
	if format.encoding == jsonTTLV {
		return jsonFile(v)
	}
	key, err := f.parse(v)
	if err != nil {
		return nil, err
	}
	der, label, err := format.encode(key)
	if err != nil || !format.pem {
		return der, err
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}), nil
}

// encode is the DER of a key, and the label that PEM gives it.
func (f *pairFormat) encode(key any) (der []byte, label string, err error) {
	public, private := publicOf(key)
	switch {
	case private && f.encoding == spki:
		return nil, "", fmt.Errorf("it is a private key: %s holds public ones", f.name)
	case f.encoding == pkcs1 && private:
		return x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey)), "RSA PRIVATE KEY", nil
	case f.encoding == pkcs1:
		return x509.MarshalPKCS1PublicKey(public.(*rsa.PublicKey)), "RSA PUBLIC KEY", nil
	case f.encoding == sec1:
		k, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			return nil, "", fmt.Errorf("%s holds private keys on the NIST curves", f.name)
		}
		der, err = x509.MarshalECPrivateKey(k)
		return der, "EC PRIVATE KEY", err
	case private:
		der, err = x509.MarshalPKCS8PrivateKey(key)
		return der, "PRIVATE KEY", err
	}
	der, err = x509.MarshalPKIXPublicKey(public)
	return der, "PUBLIC KEY", err
}

// get gets a key of the family in a format that parse reads.
func (f *family) get(ctx context.Context, p *program, uid string) (*kmip.GetResponse, error) {
	q := &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}
	r, err := do[kmip.GetResponse](ctx, p, kmip.OperationGet, q)
	if err != nil {
		return nil, err
	}
	if err := f.check(&r.Value); err != nil {
		return nil, err
	}
	if kv := r.Value.KeyBlock().KeyValue; kv == nil || kv.Components == nil {
		return r, nil
	}
	if q.KeyFormatType = kmip.KeyFormatTypePKCS8; r.Value.PublicKey != nil {
		q.KeyFormatType = kmip.KeyFormatTypeX509
	}
	return do[kmip.GetResponse](ctx, p, kmip.OperationGet, q)
}

// parse reads the key in a value.
func (f *family) parse(v *kmip.Value) (any, error) {
	if err := f.check(v); err != nil {
		return nil, err
	}
	switch b := v.KeyBlock(); {
	case b.KeyWrappingData != nil:
		return nil, errors.New("its material is wrapped: only json-ttlv can hold it")
	case b.KeyValue == nil || len(b.KeyValue.Material) == 0:
		return nil, errors.New("the server gives no material that this program can read")
	default:
		key, _, err := f.parseDER(b.KeyValue.Material)
		if err != nil {
			return nil, err
		}
		if _, private := publicOf(key); private != (v.PrivateKey != nil) {
			return nil, fmt.Errorf("the server says that it is a %v, and its material is not", v.ObjectType())
		}
		return key, nil
	}
}

// parsers read a key in each encoding.
var parsers = []struct {
	encoding
	parse func(der []byte) (any, error)
}{
	{pkcs1, func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) }},
	{pkcs1, func(der []byte) (any, error) { return x509.ParsePKCS1PublicKey(der) }},
	{sec1, func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) }},
	{pkcs8, x509.ParsePKCS8PrivateKey},
	{spki, x509.ParsePKIXPublicKey},
}

// parseDER reads a key of the family in any encoding, and says which it was.
func (f *family) parseDER(der []byte) (any, encoding, error) {
	for _, p := range parsers {
		key, err := p.parse(der)
		if err != nil {
			continue
		}
		if public, _ := publicOf(key); !f.has(public) {
			return nil, 0, fmt.Errorf("it is a key of another algorithm, not %s", f.what)
		}
		return key, p.encoding, nil
	}
	return nil, 0, fmt.Errorf("it is not %s in any encoding that this program reads", f.what)
}

// value reads a file with a key. The format is one of export's, or "" for any.
func (f *family) value(data []byte, format string) (*kmip.Value, error) {
	want := new(pairFormat)
	if format != "" {
		var err error
		if want, err = f.formatNamed(format); err != nil {
			return nil, err
		}
	}
	if want.encoding == jsonTTLV || format == "" && bytes.HasPrefix(data, []byte("{")) {
		v, err := jsonValue(data)
		if err == nil {
			err = f.check(v)
		}
		return v, err
	}
	block, rest := pem.Decode(data)
	for block != nil && block.Type == "EC PARAMETERS" { // openssl writes the curve before the key
		block, rest = pem.Decode(rest)
	}
	if block != nil {
		defer clear(block.Bytes)
		data = block.Bytes
	}
	if block != nil && block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errors.New("it is encrypted with a password: openssl pkey takes that off")
	}
	key, found, err := f.parseDER(data)
	if err != nil {
		return nil, err
	}
	if found == spki && want.encoding == pkcs8 {
		found = pkcs8
	}
	if format != "" && (want.pem != (block != nil) || want.encoding != found) {
		return nil, fmt.Errorf("the file is not %s", format)
	}
	return keyValue(key)
}

// keyValue makes the object that is registered: PKCS#8 or SubjectPublicKeyInfo.
func keyValue(key any) (*kmip.Value, error) {
	public, private := publicOf(key)
	algorithm, length := described(public)
	block := kmip.KeyBlock{CryptographicAlgorithm: algorithm, CryptographicLength: length, KeyFormatType: kmip.KeyFormatTypeX509}
	if private {
		block.KeyFormatType = kmip.KeyFormatTypePKCS8
		der, err := x509.MarshalPKCS8PrivateKey(key)
		block.KeyValue = &kmip.KeyValue{Material: der}
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: block}}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	block.KeyValue = &kmip.KeyValue{Material: der}
	return &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: block}}, err
}

// described is the algorithm of a public key as KMIP names it, and its length in bits.
func described(public crypto.PublicKey) (kmip.CryptographicAlgorithm, int32) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return kmip.CryptographicAlgorithmRSA, int32(k.N.BitLen())
	case *ecdsa.PublicKey:
		return kmip.CryptographicAlgorithmECDSA, int32(k.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return kmip.CryptographicAlgorithmEd25519, 256
	case *ecdh.PublicKey: // the standard library reads X25519 alone so
		return kmip.CryptographicAlgorithmECDH, 256
	}
	return 0, 0
}
