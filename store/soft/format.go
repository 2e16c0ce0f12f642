package soft

import (
	"crypto"
	"crypto/ecdsa"
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
// *ecdh.PrivateKey (X25519). The 1.x names of the transparent EC formats differ from the 2.x ones in nothing but the name.
var privateFormats = map[kmip.KeyFormatType]format{
	kmip.KeyFormatTypePKCS1:                      {readDER(x509.ParsePKCS1PrivateKey), writePKCS1Private},
	kmip.KeyFormatTypePKCS8:                      {readDER(x509.ParsePKCS8PrivateKey), writePKCS8},
	kmip.KeyFormatTypeECPrivateKey:               {readDER(x509.ParseECPrivateKey), writeECPrivate},
	kmip.KeyFormatTypeTransparentRSAPrivateKey:   {readComponents(rsaFromComponents), writeTransparentRSAPrivate},
	kmip.KeyFormatTypeTransparentECPrivateKey:    {readComponents(ecFromComponents), writeTransparentECPrivate},
	kmip.KeyFormatTypeTransparentECDSAPrivateKey: {readComponents(ecFromComponents), writeTransparentECPrivate},
	kmip.KeyFormatTypeTransparentECDHPrivateKey:  {readComponents(ecFromComponents), writeTransparentECPrivate},
}

// publicFormats are the formats of public keys: *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey and *ecdh.PublicKey.
// X.509 means a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
var publicFormats = map[kmip.KeyFormatType]format{
	kmip.KeyFormatTypePKCS1:                     {readDER(x509.ParsePKCS1PublicKey), writePKCS1Public},
	kmip.KeyFormatTypeX509:                      {readDER(x509.ParsePKIXPublicKey), writeX509},
	kmip.KeyFormatTypeTransparentRSAPublicKey:   {readComponents(rsaPublicFromComponents), writeTransparentRSAPublic},
	kmip.KeyFormatTypeTransparentECPublicKey:    {readComponents(ecPublicFromComponents), writeTransparentECPublic},
	kmip.KeyFormatTypeTransparentECDSAPublicKey: {readComponents(ecPublicFromComponents), writeTransparentECPublic},
	kmip.KeyFormatTypeTransparentECDHPublicKey:  {readComponents(ecPublicFromComponents), writeTransparentECPublic},
}

// readDER makes a reader of a parser of the standard library.
func readDER[T any](parse func([]byte) (T, error)) func(*kmip.KeyValue) (any, error) {
	return func(v *kmip.KeyValue) (any, error) {
		if v.Components != nil {
			return nil, invalid("the Key Material is a structure where the Key Format Type has a byte string")
		}
		if len(v.Material) > longestDER {
			return nil, invalid("the Key Material of %d bytes is too long: keys have up to %d", len(v.Material), longestDER)
		}
		// Some of the parsers overlook what stands behind the structure.
		if rest, err := asn1.Unmarshal(v.Material, new(asn1.RawValue)); err != nil || len(rest) > 0 {
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

func writePKCS8(key any) (*kmip.KeyValue, error) { return written(x509.MarshalPKCS8PrivateKey(key)) }

func writeECPrivate(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*ecdsa.PrivateKey); ok {
		return written(x509.MarshalECPrivateKey(k))
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
	if k, ok := key.(*ecdsa.PrivateKey); ok {
		c, err := ecComponents(k)
		return &kmip.KeyValue{Components: c}, err
	}
	return nil, errFormat
}

func writePKCS1Public(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*rsa.PublicKey); ok {
		return &kmip.KeyValue{Material: x509.MarshalPKCS1PublicKey(k)}, nil
	}
	return nil, errFormat
}

func writeX509(key any) (*kmip.KeyValue, error) { return written(x509.MarshalPKIXPublicKey(key)) }

func writeTransparentRSAPublic(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*rsa.PublicKey); ok {
		return &kmip.KeyValue{Components: rsaPublicComponents(k)}, nil
	}
	return nil, errFormat
}

func writeTransparentECPublic(key any) (*kmip.KeyValue, error) {
	if k, ok := key.(*ecdsa.PublicKey); ok {
		c, err := ecPublicComponents(k)
		return &kmip.KeyValue{Components: c}, err
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
