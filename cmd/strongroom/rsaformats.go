package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"strongroom/kmip"
)

// An encoding is one of the ways that an RSA key is written.
type encoding int

const (
	pkcs8 encoding = iota // of a public key: spki
	pkcs1
	spki
	jsonTTLV
)

// An rsaFormat is the format of a file with an RSA key.
type rsaFormat struct {
	name string
	encoding
	pem bool
}

var rsaFormats = []rsaFormat{
	{"pkcs8-pem", pkcs8, true}, {"pkcs8-der", pkcs8, false},
	{"pkcs1-pem", pkcs1, true}, {"pkcs1-der", pkcs1, false},
	{"spki-pem", spki, true}, {"spki-der", spki, false}, {"spki", spki, true}, {"x509", spki, true},
	{formatJSON, jsonTTLV, false},
}

func rsaFormatNamed(name string) (*rsaFormat, error) {
	var known []string
	for i := range rsaFormats {
		if rsaFormats[i].name == name {
			return &rsaFormats[i], nil
		}
		known = append(known, rsaFormats[i].name)
	}
	return nil, misused("--key-format %q is not one of %q", name, known)
}

// file writes a key.
func (f *rsaFormat) file(v *kmip.Value) ([]byte, error) {
	if f.encoding == jsonTTLV {
		return jsonFile(v)
	}
	private, public, err := parseRSA(v)
	if err != nil {
		return nil, err
	}
	der, label, err := f.encode(private, public)
	if err != nil || !f.pem {
		return der, err
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}), nil
}

// encode is the DER of a key, and the label that PEM gives it.
func (f *rsaFormat) encode(private *rsa.PrivateKey, public *rsa.PublicKey) (der []byte, label string, err error) {
	switch {
	case private != nil && f.encoding == spki:
		return nil, "", fmt.Errorf("it is a private key: %s holds public ones", f.name)
	case private != nil && f.encoding == pkcs1:
		return x509.MarshalPKCS1PrivateKey(private), "RSA PRIVATE KEY", nil
	case private != nil:
		der, err = x509.MarshalPKCS8PrivateKey(private)
		return der, "PRIVATE KEY", err
	case f.encoding == pkcs1:
		return x509.MarshalPKCS1PublicKey(public), "RSA PUBLIC KEY", nil
	}
	der, err = x509.MarshalPKIXPublicKey(public)
	return der, "PUBLIC KEY", err
}

// getRSA gets an RSA key in a format that parseRSA reads.
func (p *program) getRSA(ctx context.Context, uid string) (*kmip.GetResponse, error) {
	q := &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}
	r, err := do[kmip.GetResponse](ctx, p, kmip.OperationGet, q)
	if err != nil {
		return nil, err
	}
	switch b := r.Value.KeyBlock(); {
	case b == nil || r.Value.PrivateKey == nil && r.Value.PublicKey == nil:
		return nil, fmt.Errorf("%q is a %v, not an RSA key", uid, r.ObjectType)
	case b.KeyValue == nil || b.KeyValue.Components == nil:
		return r, nil
	}
	if q.KeyFormatType = kmip.KeyFormatTypePKCS8; r.Value.PublicKey != nil {
		q.KeyFormatType = kmip.KeyFormatTypeX509
	}
	return do[kmip.GetResponse](ctx, p, kmip.OperationGet, q)
}

// parseRSA reads the key in a value; one of the two is set.
func parseRSA(v *kmip.Value) (*rsa.PrivateKey, *rsa.PublicKey, error) {
	b := v.KeyBlock()
	switch {
	case b == nil || v.PrivateKey == nil && v.PublicKey == nil:
		return nil, nil, fmt.Errorf("it is a %v, not an RSA key", v.ObjectType())
	case b.KeyWrappingData != nil:
		return nil, nil, errors.New("its material is wrapped: only json-ttlv can hold it")
	case b.KeyValue == nil || len(b.KeyValue.Material) == 0:
		return nil, nil, errors.New("the server gives no material that this program can read")
	}
	private, public, _, err := parseDER(b.KeyValue.Material)
	if err != nil {
		return nil, nil, err
	}
	if (private != nil) != (v.PrivateKey != nil) {
		return nil, nil, fmt.Errorf("the server says that it is a %v, and its material is not", v.ObjectType())
	}
	return private, public, nil
}

// parseDER reads an RSA key in any of its encodings, and says which it was.
func parseDER(der []byte) (*rsa.PrivateKey, *rsa.PublicKey, encoding, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil, pkcs1, nil
	}
	if k, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return nil, k, pkcs1, nil
	}
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		private, ok := k.(*rsa.PrivateKey)
		if !ok {
			return nil, nil, 0, errors.New("it is a private key of another algorithm than RSA")
		}
		return private, nil, pkcs8, nil
	}
	if k, err := x509.ParsePKIXPublicKey(der); err == nil {
		public, ok := k.(*rsa.PublicKey)
		if !ok {
			return nil, nil, 0, errors.New("it is a public key of another algorithm than RSA")
		}
		return nil, public, spki, nil
	}
	return nil, nil, 0, errors.New("it is no RSA key in PKCS#8, PKCS#1 or SubjectPublicKeyInfo")
}

// rsaValue reads a file with an RSA key. The format is one of export's, or "" for any.
func rsaValue(data []byte, format string) (*kmip.Value, error) {
	f := new(rsaFormat)
	if format != "" {
		var err error
		if f, err = rsaFormatNamed(format); err != nil {
			return nil, err
		}
	}
	if f.encoding == jsonTTLV || format == "" && len(data) > 0 && data[0] == '{' {
		v, err := jsonValue(data)
		if err != nil {
			return nil, err
		}
		if v.PrivateKey == nil && v.PublicKey == nil {
			return nil, fmt.Errorf("the file has a %v, not an RSA key", v.ObjectType())
		}
		return v, nil
	}
	block, _ := pem.Decode(data)
	if block != nil {
		defer clear(block.Bytes)
		data = block.Bytes
	}
	private, public, found, err := parseDER(data)
	if err != nil {
		return nil, err
	}
	if found == spki && f.encoding == pkcs8 {
		found = pkcs8
	}
	if format != "" && (f.pem != (block != nil) || f.encoding != found) {
		return nil, fmt.Errorf("the file is not %s", format)
	}
	return keyValue(private, public)
}

// keyValue makes the object that is registered: PKCS#8 or SubjectPublicKeyInfo.
func keyValue(private *rsa.PrivateKey, public *rsa.PublicKey) (*kmip.Value, error) {
	key := &kmip.PlainKey{KeyBlock: kmip.KeyBlock{CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA}}
	v := new(kmip.Value)
	var der []byte
	var err error
	if private != nil {
		v.PrivateKey, key.KeyBlock.KeyFormatType, public = key, kmip.KeyFormatTypePKCS8, &private.PublicKey
		der, err = x509.MarshalPKCS8PrivateKey(private)
	} else {
		v.PublicKey, key.KeyBlock.KeyFormatType = key, kmip.KeyFormatTypeX509
		der, err = x509.MarshalPKIXPublicKey(public)
	}
	key.KeyBlock.KeyValue = &kmip.KeyValue{Material: der}
	key.KeyBlock.CryptographicLength = int32(public.N.BitLen())
	return v, err
}
