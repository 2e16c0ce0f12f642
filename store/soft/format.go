package soft

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"strongroom/kmip"
)

// A format is how a Key Format Type is read and written. A reader that meets something else than it expects answers an
// error without a reason; parsing adds one. A writer answers errFormat for a key that the format cannot hold.
type format struct {
	read  func(*kmip.KeyValue) (any, error)
	write func(key any) (*kmip.KeyValue, error)
}

// errFormat refuses a Key Format Type that a key does not have.
var errFormat = kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "the object cannot be had in this Key Format Type")

// longestDER has room for an RSA private key of 8192 bits, 4.7 kB; parsing checks such a key, which takes longer the longer
// it is.
const longestDER = 6 << 10 // bytes

var errDER = errors.New("not one structure in DER")

// privateFormats are the formats of private keys: *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey and
// *ecdh.PrivateKey (X25519), and those that are only kept: *keptEC and *groupKey. The 1.x names of the transparent EC formats
// differ from the 2.x ones in nothing but the name. Raw is, for keys on curves, the scalar or the seed.
var privateFormats = map[kmip.KeyFormatType]format{
	kmip.KeyFormatTypeRaw:                        {nil, writeRawPrivate},
	kmip.KeyFormatTypePKCS1:                      {readDER(parsed(x509.ParsePKCS1PrivateKey)), writePKCS1Private},
	kmip.KeyFormatTypePKCS8:                      {readDER(parsePKCS8), writePKCS8},
	kmip.KeyFormatTypeECPrivateKey:               {readDER(parseSEC1), writeECPrivate},
	kmip.KeyFormatTypeTransparentRSAPrivateKey:   {readComponents(rsaFromComponents), writeTransparentRSAPrivate},
	kmip.KeyFormatTypeTransparentDSAPrivateKey:   {readComponents(groupFrom(kmip.CryptographicAlgorithmDSA, true)), writeGroup(kmip.CryptographicAlgorithmDSA, true)},
	kmip.KeyFormatTypeTransparentDHPrivateKey:    {readComponents(groupFrom(kmip.CryptographicAlgorithmDH, true)), writeGroup(kmip.CryptographicAlgorithmDH, true)},
	kmip.KeyFormatTypeTransparentECPrivateKey:    {readComponents(ecFromComponents), writeTransparentECPrivate},
	kmip.KeyFormatTypeTransparentECDSAPrivateKey: {readComponents(ecFromComponents), writeTransparentECPrivate},
	kmip.KeyFormatTypeTransparentECDHPrivateKey:  {readComponents(ecFromComponents), writeTransparentECPrivate},
	kmip.KeyFormatTypeTransparentECMQVPrivateKey: {readComponents(ecFromComponents), writeTransparentECPrivate},
}

// publicFormats are the formats of public keys: *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, *ecdh.PublicKey, *keptEC and
// *groupKey. X.509 means a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), Raw a point (SEC 1 §2.3.3).
var publicFormats = map[kmip.KeyFormatType]format{
	kmip.KeyFormatTypeRaw:                       {nil, writeRawPublic},
	kmip.KeyFormatTypePKCS1:                     {readDER(parsed(x509.ParsePKCS1PublicKey)), writePKCS1Public},
	kmip.KeyFormatTypeX509:                      {readDER(parseSPKI), writeX509},
	kmip.KeyFormatTypeTransparentRSAPublicKey:   {readComponents(rsaPublicFromComponents), writeTransparentRSAPublic},
	kmip.KeyFormatTypeTransparentDSAPublicKey:   {readComponents(groupFrom(kmip.CryptographicAlgorithmDSA, false)), writeGroup(kmip.CryptographicAlgorithmDSA, false)},
	kmip.KeyFormatTypeTransparentDHPublicKey:    {readComponents(groupFrom(kmip.CryptographicAlgorithmDH, false)), writeGroup(kmip.CryptographicAlgorithmDH, false)},
	kmip.KeyFormatTypeTransparentECPublicKey:    {readComponents(ecPublicFromComponents), writeTransparentECPublic},
	kmip.KeyFormatTypeTransparentECDSAPublicKey: {readComponents(ecPublicFromComponents), writeTransparentECPublic},
	kmip.KeyFormatTypeTransparentECDHPublicKey:  {readComponents(ecPublicFromComponents), writeTransparentECPublic},
	kmip.KeyFormatTypeTransparentECMQVPublicKey: {readComponents(ecPublicFromComponents), writeTransparentECPublic},
}

// parsed hides the type of what a parser answers.
func parsed[T any](parse func([]byte) (T, error)) func([]byte) (any, error) {
	return func(der []byte) (any, error) { return parse(der) }
}

// readDER makes a reader of a parser.
func readDER(parse func([]byte) (any, error)) func(*kmip.KeyValue) (any, error) {
	return func(v *kmip.KeyValue) (any, error) {
		if v.Components != nil {
			return nil, invalid("the Key Material is a structure where the Key Format Type has a byte string")
		}
		if len(v.Material) > longestDER {
			return nil, invalid("the Key Material of %d bytes is too long: keys have up to %d", len(v.Material), longestDER)
		}
		// Some of the parsers overlook what stands behind the structure.
		if parseDER(v.Material, new(asn1.RawValue)) != nil {
			return nil, errDER
		}
		return parse(v.Material)
	}
}

// readComponents makes a reader of a function that takes a transparent structure.
func readComponents[T any](make func(*kmip.KeyComponents) (T, error)) func(*kmip.KeyValue) (any, error) {
	return func(v *kmip.KeyValue) (any, error) {
		if v.Components == nil {
			return nil, invalid("the Key Material is a byte string where the Key Format Type has a structure")
		}
		return make(v.Components)
	}
}

func rsaPublicFromComponents(c *kmip.KeyComponents) (*rsa.PublicKey, error) {
	return rsaPublicFrom(c.Modulus, c.PublicExponent)
}

func writePKCS1Private(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*rsa.PrivateKey); ok {
		return &kmip.KeyValue{Material: x509.MarshalPKCS1PrivateKey(k)}, nil
	}
	return nil, errFormat
}

func writePKCS8(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(interface{ pkcs8() ([]byte, error) }); ok {
		return written(k.pkcs8())
	}
	return written(x509.MarshalPKCS8PrivateKey(key))
}

func writeECPrivate(key any) (*kmip.KeyValue, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return written(x509.MarshalECPrivateKey(k))
	case *keptEC:
		return written(k.sec1())
	}
	return nil, errFormat
}

// writeRawPrivate writes the scalar of a NIST or another curve, and the seed of Ed25519 or X25519.
func writeRawPrivate(key any) (*kmip.KeyValue, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return written(k.Bytes())
	case *keptEC:
		if k.d != nil {
			return written(k.scalar(), nil)
		}
	case ed25519.PrivateKey:
		return written(clone(k.Seed()), nil)
	case *ecdh.PrivateKey:
		return written(k.Bytes(), nil)
	}
	return nil, errFormat
}

// writeRawPublic writes the point.
func writeRawPublic(key any) (*kmip.KeyValue, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return written(k.Bytes())
	case *keptEC:
		if k.point != nil {
			return written(clone(k.point), nil)
		}
	case ed25519.PublicKey:
		return written(clone(k), nil)
	case *ecdh.PublicKey:
		return written(k.Bytes(), nil)
	}
	return nil, errFormat
}

func writeTransparentRSAPrivate(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*rsa.PrivateKey); ok && len(k.Primes) == 2 {
		return &kmip.KeyValue{Components: rsaComponents(k)}, nil
	}
	return nil, errFormat
}

func writeTransparentECPrivate(key any) (*kmip.KeyValue, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		c, err := ecComponents(k)
		return &kmip.KeyValue{Components: c}, err
	case *keptEC:
		if k.d != nil {
			return &kmip.KeyValue{Components: &kmip.KeyComponents{RecommendedCurve: k.curve.name, D: copyInt(k.d)}}, nil
		}
	}
	return nil, errFormat
}

func writePKCS1Public(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*rsa.PublicKey); ok {
		return &kmip.KeyValue{Material: x509.MarshalPKCS1PublicKey(k)}, nil
	}
	return nil, errFormat
}

func writeX509(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(interface{ spki() ([]byte, error) }); ok {
		return written(k.spki())
	}
	return written(x509.MarshalPKIXPublicKey(key))
}

func writeTransparentRSAPublic(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*rsa.PublicKey); ok {
		return &kmip.KeyValue{Components: rsaPublicComponents(k)}, nil
	}
	return nil, errFormat
}

func writeTransparentECPublic(key any) (*kmip.KeyValue, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		c, err := ecPublicComponents(k)
		return &kmip.KeyValue{Components: c}, err
	case *keptEC:
		if k.point != nil {
			return &kmip.KeyValue{Components: &kmip.KeyComponents{RecommendedCurve: k.curve.name, QString: clone(k.point)}}, nil
		}
	}
	return nil, errFormat
}

func written(der []byte, err error) (*kmip.KeyValue, error) {
	if err != nil {
		return nil, errFormat
	}
	return &kmip.KeyValue{Material: der}, nil
}

// publicOf is the public half of a private key.
func publicOf(private any) crypto.PublicKey {
	if k, ok := private.(interface{ Public() crypto.PublicKey }); ok {
		return k.Public()
	}
	return nil
}
