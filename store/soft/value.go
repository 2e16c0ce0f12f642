package soft

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"strongroom/kmip"
)

// contents is what a value was parsed into.
type contents struct {
	object kmip.ObjectType
	block  *kmip.KeyBlock           // nil for objects without
	key    any                      // of a private or public key or a certificate; nil if it is not understood
	cert   *x509.Certificate        // of a certificate in X.509
	csr    *x509.CertificateRequest // of a certificate request in PKCS #10

	algorithm kmip.CryptographicAlgorithm // as stated, else as found; 0 if neither
	length    int32                       // bits, likewise
	curve     kmip.RecommendedCurve       // 0 without one
	qlength   int32                       // bits of the Q of a DSA or DH key, 0 without one
}

// parse reads a value as far as this package understands it, and checks what it says of itself. The attributes may say what
// a key block does not, and must not say anything else.
func parse(v *kmip.Value, a kmip.Attributes) (*contents, error) {
	if v == nil {
		return nil, invalid("there is no object")
	}
	c := &contents{algorithm: a.Algorithm(), length: a.Length()}
	c.object, c.block = v.ObjectType(), v.KeyBlock()
	switch c.object {
	case 0:
		return nil, invalid("there is no object")
	case kmip.ObjectTypeCertificate:
		return c, c.parseCertificate(v.Certificate)
	case kmip.ObjectTypeCertificateRequest:
		return c, c.parseRequest(v.CertificateRequest)
	case kmip.ObjectTypeOpaqueObject:
		return c, nil // zero bytes are an opaque object too
	case kmip.ObjectTypeTemplate:
		return c, nil
	}
	return c, c.parseBlock()
}

func some(what string, value []byte) error {
	if len(value) == 0 {
		return invalid("the %s is empty", what)
	}
	return nil
}

// parseBlock reads a key block.
func (c *contents) parseBlock() error {
	b := c.block
	if err := c.states(b.CryptographicAlgorithm, b.CryptographicLength); err != nil {
		return err
	}
	if b.KeyValue == nil {
		return c.absent()
	}
	if c.length < 0 {
		return invalid("the Cryptographic Length %d is negative", c.length)
	}
	if b.KeyWrappingData != nil {
		return some("wrapped Key Value", firstOf(b.KeyValue.Wrapped, b.KeyValue.Material))
	}
	if b.KeyValue.Wrapped != nil {
		return invalid("the Key Value is wrapped, but there is no Key Wrapping Data")
	}
	switch c.object {
	case kmip.ObjectTypeSymmetricKey:
		return c.parseSymmetric()
	case kmip.ObjectTypePrivateKey:
		return c.parseKey("private key", privateFormats)
	case kmip.ObjectTypePublicKey:
		return c.parseKey("public key", publicFormats)
	}
	if b.KeyValue.Components != nil {
		return nil // a transparent split key
	}
	c.length = either(c.length, int32(8*len(b.KeyValue.Material))) // KMIP 2.1 §4.15: of all but opaque objects
	return some("Key Material", b.KeyValue.Material)
}

// states takes what the key block says over what the attributes say.
func (c *contents) states(algorithm kmip.CryptographicAlgorithm, length int32) error {
	if algorithm != 0 && c.algorithm != 0 && algorithm != c.algorithm && !(ofCurves[algorithm] && ofCurves[c.algorithm]) {
		return invalid("the attributes say %v, the Key Block %v", c.algorithm, algorithm)
	}
	if length != 0 && c.length != 0 && length != c.length {
		return invalid("the attributes say %d bits, the Key Block %d", c.length, length)
	}
	c.algorithm, c.length = either(algorithm, c.algorithm), either(length, c.length)
	return nil
}

// absent takes an object whose material is elsewhere (KMIP 2.1 §4.28): its Key Block has to say what it is.
func (c *contents) absent() error {
	key := c.object == kmip.ObjectTypeSymmetricKey || c.object == kmip.ObjectTypePrivateKey || c.object == kmip.ObjectTypePublicKey
	switch {
	case c.block.KeyWrappingData != nil:
		return invalid("the Key Block has Key Wrapping Data, and no Key Value that is wrapped")
	case key && (c.algorithm == 0 || c.length <= 0):
		return invalid("a key without its Key Value needs a Cryptographic Algorithm and a Cryptographic Length")
	}
	return nil
}

// errNoKeyValue answers whatever needs material that is elsewhere.
var errNoKeyValue = kmip.Errorf(kmip.ResultReasonKeyValueNotPresent, "the Key Value of the object is not here")

func firstOf(a, b []byte) []byte {
	if a == nil {
		return b
	}
	return a
}

// secret is the bytes of a symmetric key, part of its key block.
func secret(b *kmip.KeyBlock) ([]byte, error) {
	switch b.KeyFormatType {
	case kmip.KeyFormatTypeRaw, kmip.KeyFormatTypeOpaque:
		if b.KeyValue.Components == nil {
			return b.KeyValue.Material, some("Key Material", b.KeyValue.Material)
		}
	case kmip.KeyFormatTypeTransparentSymmetricKey:
		if b.KeyValue.Components != nil {
			return b.KeyValue.Components.Key, some("Key", b.KeyValue.Components.Key)
		}
	default:
		return nil, kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "a symmetric key in the Key Format Type %v is not supported", b.KeyFormatType)
	}
	return nil, invalid("the Key Material has not the form of the Key Format Type %v", b.KeyFormatType)
}

// parseSymmetric checks the length of a symmetric key. A Key Compression Type, which some clients send, means nothing here.
func (c *contents) parseSymmetric() error {
	key, err := secret(c.block)
	if err != nil {
		return err
	}
	bits := int32(8 * len(key))
	if s, ok := symmetric[c.algorithm]; ok {
		if !s.has(bits) {
			return invalid("%v has no keys of %d bits", c.algorithm, bits)
		}
		if c.length != 0 && s.size(c.length) != len(key) {
			return invalid("the %v key has %d bits, its Cryptographic Length says %d", c.algorithm, bits, c.length)
		}
		c.length = either(c.length, s.length(bits))
		return nil
	}
	if c.length != 0 && c.length != bits && c.algorithm != 0 && (c.length+7)/8 != int32(len(key)) {
		return invalid("the %v key has %d bits, its Cryptographic Length says %d", c.algorithm, bits, c.length)
	}
	c.length = either(c.length, bits)
	return nil
}

// parseKey reads a private or public key in one of the formats.
func (c *contents) parseKey(what string, formats map[kmip.KeyFormatType]format) error {
	b := c.block
	f, ok := formats[b.KeyFormatType]
	if !parsedKeys[c.algorithm] || unstructured[b.KeyFormatType] {
		return c.keep(what)
	}
	if !ok {
		return kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "a %s in the Key Format Type %v is not supported", what, b.KeyFormatType)
	}
	key, err := f.read(b.KeyValue)
	if e := (*kmip.Error)(nil); errors.As(err, &e) {
		return err
	}
	if errors.Is(err, errUnknownKey) {
		return c.keep(what)
	}
	if err != nil {
		return invalid("the Key Material is no %s in the Key Format Type %v", what, b.KeyFormatType) // the cause may quote it
	}
	return c.found(key)
}

// unstructured holds the formats that say nothing of what is inside.
var unstructured = map[kmip.KeyFormatType]bool{
	kmip.KeyFormatTypeRaw:    true,
	kmip.KeyFormatTypeOpaque: true,
	kmip.KeyFormatTypePKCS12: true,
}

// keep takes a key as it is: one of an algorithm that is not known here, or in a format without structure. The key block
// must say what it is.
func (c *contents) keep(what string) error {
	switch b := c.block; {
	case c.algorithm == 0 || c.length == 0:
		return kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported,
			"a %s in the Key Format Type %v does not say what it is: its Key Block must", what, b.KeyFormatType)
	case b.KeyValue.Components != nil:
		return nil
	default:
		return some("Key Material", b.KeyValue.Material)
	}
}

// found compares a key with what the key block says.
func (c *contents) found(key any) error {
	public := key
	if p := publicOf(key); p != nil {
		public = p
	}
	var algorithm kmip.CryptographicAlgorithm
	var bits int32
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() > mostRSA {
			return invalid("the RSA key has %d bits: %d are the most", k.N.BitLen(), mostRSA)
		}
		algorithm, bits = algorithmRSA, int32(k.N.BitLen()+7)/8*8
	case *ecdsa.PublicKey:
		curve, err := curveOf(k.Curve)
		if err != nil {
			return err
		}
		algorithm, bits, c.curve = algorithmECDSA, curve.bits, curve.name
	case ed25519.PublicKey:
		algorithm, bits = kmip.CryptographicAlgorithmEd25519, 256
	case *ecdh.PublicKey:
		algorithm, bits, c.curve = kmip.CryptographicAlgorithmECDH, 256, kmip.RecommendedCurveCURVE25519
	case *keptEC:
		algorithm, bits, c.curve = algorithmECDSA, k.curve.bits, k.curve.name
	case *groupKey:
		algorithm, bits = k.algorithm, int32(k.p.BitLen())
		if k.q != nil {
			c.qlength = int32(k.q.BitLen())
		}
	default:
		return invalid("the key is of no supported algorithm")
	}
	if c.algorithm != 0 && c.algorithm != algorithm && !(ofCurves[c.algorithm] && ofCurves[algorithm]) {
		return invalid("the key is of the algorithm %v, the Key Block says %v", algorithm, c.algorithm)
	}
	if c.length != 0 && c.length != bits {
		return invalid("the key has %d bits, its Cryptographic Length says %d", bits, c.length)
	}
	c.key, c.length, c.algorithm = key, bits, either(c.algorithm, algorithm)
	return nil
}

// parsedKeys holds the algorithms whose private and public keys are parsed; 0 is for those that do not say.
var parsedKeys = map[kmip.CryptographicAlgorithm]bool{
	0:                                  true,
	kmip.CryptographicAlgorithmRSA:     true,
	kmip.CryptographicAlgorithmDSA:     true,
	kmip.CryptographicAlgorithmDH:      true,
	kmip.CryptographicAlgorithmEC:      true,
	kmip.CryptographicAlgorithmECDSA:   true,
	kmip.CryptographicAlgorithmECDH:    true,
	kmip.CryptographicAlgorithmECMQV:   true,
	kmip.CryptographicAlgorithmEd25519: true,
}

// parseCertificate reads an X.509 certificate; others are kept as they are.
func (c *contents) parseCertificate(v *kmip.Certificate) error {
	if err := some("certificate", v.CertificateValue); err != nil || v.CertificateType != kmip.CertificateTypeX509 {
		return err
	}
	cert, err := x509.ParseCertificate(v.CertificateValue)
	if err != nil {
		return invalid("the certificate is no X.509 certificate in DER: %v", err)
	}
	c.cert = cert
	return c.certified(cert.PublicKey, cert.RawSubjectPublicKeyInfo)
}

// certified notes the public key in a certificate or a request for one.
func (c *contents) certified(key any, spki []byte) error {
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, *ecdh.PublicKey:
		return c.found(key)
	}
	if key, err := parseSPKI(spki); err == nil {
		return c.found(key)
	}
	return nil // of an algorithm that is not known here
}

// parseRequest reads a certificate request in PKCS #10, bare or in PEM; others are kept as they are.
func (c *contents) parseRequest(v *kmip.CertificateRequest) error {
	if err := some("certificate request", v.CertificateRequestValue); err != nil {
		return err
	}
	csr, err := ParseCertificateRequest(v)
	if csr == nil || err != nil {
		return err
	}
	c.csr = csr
	return c.certified(csr.PublicKey, csr.RawSubjectPublicKeyInfo)
}

// ParseCertificateRequest reads a request of the type PKCS #10 or PEM; of another type it is nil. The signature is not verified.
func ParseCertificateRequest(v *kmip.CertificateRequest) (*x509.CertificateRequest, error) {
	der := v.CertificateRequestValue
	switch v.CertificateRequestType {
	case kmip.CertificateRequestTypePKCS10:
	case kmip.CertificateRequestTypePEM:
		block, rest := pem.Decode(der)
		if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errRequest
		}
		der = block.Bytes
	default:
		return nil, nil
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, errRequest
	}
	return csr, nil
}

// errRequest refuses what is not of the Certificate Request Type that it says.
var errRequest = kmip.Errorf(kmip.ResultReasonInvalidCSR, "the certificate request is not of its Certificate Request Type")
