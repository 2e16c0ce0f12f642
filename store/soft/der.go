package soft

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"

	"strongroom/kmip"
)

// The standard library reads and writes DER of the keys that it computes with. Here is the DER of the others: DSA, DH, curves
// that it does not have, and points that are not uncompressed.

// An spki is a SubjectPublicKeyInfo (RFC 5280 §4.1).
type spki struct {
	Algorithm pkix.AlgorithmIdentifier
	Key       asn1.BitString
}

// A privateKeyInfo is PKCS #8 (RFC 5208 §5, RFC 5958 §2).
type privateKeyInfo struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	Key        []byte
	Attributes asn1.RawValue  `asn1:"optional,tag:0"`
	Public     asn1.BitString `asn1:"optional,tag:1"`
}

// An ecPrivateKey is that of SEC 1 §C.4 (RFC 5915 §3).
type ecPrivateKey struct {
	Version int
	Key     []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Point   asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

var (
	oidEC     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}     // RFC 5480 §2.1.1
	oidDSA    = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}     // RFC 3279 §2.3.2
	oidDH     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1} // PKCS #3
	oidX942DH = asn1.ObjectIdentifier{1, 2, 840, 10046, 2, 1}     // RFC 3279 §2.3.3

	errUnknownKey = errors.New("a key of an algorithm that is not known here")
)

// parseDER reads one structure and nothing behind it.
func parseDER(der []byte, into any) error {
	if rest, err := asn1.Unmarshal(der, into); err != nil || len(rest) > 0 {
		return errDER
	}
	return nil
}

// parseSPKI reads a public key. A well-formed one of an algorithm that is not known here is errUnknownKey.
func parseSPKI(der []byte) (any, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err == nil {
		switch key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, *ecdh.PublicKey:
			return key, nil
		}
	}
	var s spki
	if parseDER(der, &s) != nil || s.Key.BitLength%8 != 0 {
		return nil, errDER
	}
	switch oid := s.Algorithm.Algorithm; {
	case oid.Equal(oidEC):
		c, err := curveIn(s.Algorithm.Parameters)
		if err != nil {
			return nil, err
		}
		return c.public(s.Key.Bytes)
	case isGroup(oid):
		return parseGroup(s.Algorithm, s.Key.Bytes, false)
	case err != nil && isKnown(oid):
		return nil, err
	}
	return nil, errUnknownKey
}

// parsePKCS8 reads a private key, likewise. One that is encrypted (RFC 5208 §6) says nothing of its algorithm.
func parsePKCS8(der []byte) (any, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		return key, nil
	}
	var sealed struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if parseDER(der, &sealed) == nil {
		return nil, errUnknownKey
	}
	var p privateKeyInfo
	if parseDER(der, &p) != nil {
		return nil, errDER
	}
	defer clear(p.Key)
	switch oid := p.Algorithm.Algorithm; {
	case oid.Equal(oidEC):
		c, err := curveIn(p.Algorithm.Parameters)
		if err != nil {
			return nil, err
		}
		return parseScalar(p.Key, &c)
	case isGroup(oid):
		return parseGroup(p.Algorithm, p.Key, true)
	case isKnown(oid):
		return nil, err
	}
	return nil, errUnknownKey
}

// parseSEC1 reads an elliptic curve private key that names its curve.
func parseSEC1(der []byte) (any, error) {
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return parseScalar(der, nil)
}

// parseScalar reads an elliptic curve private key on the curve c, or on the one that it names.
func parseScalar(der []byte, c *curve) (any, error) {
	var k ecPrivateKey
	if parseDER(der, &k) != nil || k.Version != 1 {
		return nil, errDER
	}
	defer clear(k.Key)
	if c == nil {
		named, err := curveWith(k.Curve)
		if err != nil {
			return nil, err
		}
		c = &named
	}
	key, err := c.private(new(big.Int).SetBytes(k.Key))
	if kept, ok := key.(*keptEC); ok && len(k.Point.Bytes) > 0 {
		if _, err := c.public(k.Point.Bytes); err != nil {
			return nil, err
		}
		kept.point = clone(k.Point.Bytes)
	}
	return key, err
}

// isKnown says whether the standard library reads keys of that algorithm: RSA, Ed25519, X25519.
func isKnown(oid asn1.ObjectIdentifier) bool {
	return oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}) ||
		oid.Equal(asn1.ObjectIdentifier{1, 3, 101, 112}) || oid.Equal(asn1.ObjectIdentifier{1, 3, 101, 110})
}

// curveIn reads the name of a curve.
func curveIn(parameters asn1.RawValue) (curve, error) {
	var oid asn1.ObjectIdentifier
	if parseDER(parameters.FullBytes, &oid) != nil {
		return curve{}, invalid("an elliptic curve key without the name of its curve")
	}
	return curveWith(oid)
}

// spki writes the public key.
func (k *keptEC) spki() ([]byte, error) {
	if k.point == nil {
		return nil, errFormat
	}
	return k.curve.spki(k.point)
}

// spki writes a public key on the curve.
func (c curve) spki(point []byte) ([]byte, error) {
	name, err := asn1.Marshal(c.oid)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(spki{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: name}},
		Key:       asn1.BitString{Bytes: point, BitLength: 8 * len(point)},
	})
}

// sec1 writes the private key.
func (k *keptEC) sec1() ([]byte, error) {
	if k.d == nil {
		return nil, errFormat
	}
	p := ecPrivateKey{Version: 1, Key: k.scalar(), Curve: k.curve.oid}
	defer clear(p.Key)
	if k.point != nil {
		p.Point = asn1.BitString{Bytes: k.point, BitLength: 8 * len(k.point)}
	}
	return asn1.Marshal(p)
}

// scalar is the private key in the length that its curve gives it.
func (k *keptEC) scalar() []byte {
	return k.d.FillBytes(make([]byte, max(k.curve.size(), (k.d.BitLen()+7)/8)))
}

// pkcs8 writes the private key.
func (k *keptEC) pkcs8() ([]byte, error) {
	key, err := k.sec1()
	if err != nil {
		return nil, err
	}
	defer clear(key)
	name, err := asn1.Marshal(k.curve.oid)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(privateKeyInfo{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: name}},
		Key:       key,
	})
}

// compressedAs writes an elliptic curve public key in the form of a Key Compression Type. Other keys have none, and what asks for one
// on them is left as it is: some clients always do.
func compressedAs(kv *kmip.KeyValue, f kmip.KeyFormatType, key any, t kmip.KeyCompressionType) (*kmip.KeyValue, error) {
	c, ok := curveOfKey(key)
	if t == 0 || !ok {
		return kv, nil
	}
	switch f {
	case kmip.KeyFormatTypeRaw:
		point, err := c.pointAs(kv.Material, t)
		return &kmip.KeyValue{Material: point}, err
	case kmip.KeyFormatTypeX509:
		var s spki
		if parseDER(kv.Material, &s) != nil {
			return nil, errDER
		}
		point, err := c.pointAs(s.Key.Bytes, t)
		if err != nil {
			return nil, err
		}
		der, err := c.spki(point)
		return &kmip.KeyValue{Material: der}, err
	}
	if kv.Components == nil {
		return nil, errCompression
	}
	point, err := c.pointAs(kv.Components.QString, t)
	components := *kv.Components
	components.QString = point
	return &kmip.KeyValue{Components: &components}, err
}

// curveOfKey is the curve of an elliptic curve public key.
func curveOfKey(key any) (curve, bool) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		c, err := curveOf(k.Curve)
		return c, err == nil
	case *keptEC:
		return k.curve, k.point != nil && k.d == nil
	}
	return curve{}, false
}
