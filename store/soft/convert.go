package soft

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A Form is how a client wants the material of an object; 0 of either is as it is.
type Form struct {
	Format      kmip.KeyFormatType
	Compression kmip.KeyCompressionType // of the point of an elliptic curve public key
}

// Convert gives an object in the form that a client wants. The value is not changed; it is itself the answer when it has the
// form already.
//
//	symmetric keys   Raw, Transparent Symmetric Key
//	private keys     PKCS #1, PKCS #8, EC Private Key, Transparent RSA, DSA, DH or EC Private Key; Raw on a curve
//	public keys      PKCS #1, X.509, Transparent RSA, DSA, DH or EC Public Key; Raw on a curve
//	Secret Data      Raw, Opaque
//
// The transparent EC formats have three more names in KMIP 1.x, for ECDSA, ECDH and ECMQV.
func Convert(v *kmip.Value, want Form) (*kmip.Value, error) {
	block := v.KeyBlock()
	if want.Compression == kmip.KeyCompressionTypeECPublicKeyTypeUncompressed && v.PublicKey == nil {
		want.Compression = 0 // some clients always say so
	}
	switch {
	case want == (Form{}), want.Compression == 0 && hasFormat(v, want.Format):
		return v, nil
	case block == nil || block.KeyWrappingData != nil:
		return nil, want.refused()
	case block.KeyValue == nil:
		return nil, errNoKeyValue
	}
	c, err := parse(v, nil)
	if err != nil {
		return nil, err
	}
	want.Format = either(want.Format, block.KeyFormatType)
	kv, err := c.as(want)
	if err != nil {
		return nil, err
	}
	kv.Attributes = c.block.KeyValue.Attributes
	b := *block
	b.KeyFormatType, b.KeyCompressionType, b.KeyValue = want.Format, stated(want.Compression), kv
	b.CryptographicAlgorithm, b.CryptographicLength = c.algorithm, c.length
	return withBlock(v, b), nil
}

// stated is the Key Compression Type of a Key Block: uncompressed is what is meant without one (KMIP 2.1 §3.1).
func stated(t kmip.KeyCompressionType) kmip.KeyCompressionType {
	if t == kmip.KeyCompressionTypeECPublicKeyTypeUncompressed {
		return 0
	}
	return t
}

func (f Form) refused() error {
	if f.Format != 0 {
		return errFormat
	}
	return errCompression
}

// hasFormat says whether an object is in a format already: the ones without a Key Block have one (KMIP 2.1 table 81).
func hasFormat(v *kmip.Value, want kmip.KeyFormatType) bool {
	switch block := v.KeyBlock(); {
	case block != nil:
		return block.KeyFormatType == want
	case v.Certificate != nil:
		return want == kmip.KeyFormatTypeX509 && v.Certificate.CertificateType == kmip.CertificateTypeX509
	case v.CertificateRequest != nil:
		return want == kmip.KeyFormatTypePKCS10 && v.CertificateRequest.CertificateRequestType == kmip.CertificateRequestTypePKCS10
	case v.OpaqueObject != nil:
		return want == kmip.KeyFormatTypeOpaque
	}
	return false
}

// as is the key value in another form.
func (c *contents) as(want Form) (*kmip.KeyValue, error) {
	if want.Compression > kmip.KeyCompressionTypeECPublicKeyTypeUncompressed && c.object != kmip.ObjectTypePublicKey {
		return nil, errCompression
	}
	var f format
	switch c.object {
	case kmip.ObjectTypeSymmetricKey:
		return c.symmetricAs(want.Format)
	case kmip.ObjectTypeSecretData:
		return c.secretAs(want.Format)
	case kmip.ObjectTypePrivateKey:
		f = privateFormats[want.Format]
	case kmip.ObjectTypePublicKey:
		f = publicFormats[want.Format]
	}
	if f.write == nil || c.key == nil {
		return nil, want.refused()
	}
	kv, err := f.write(c.key)
	if err != nil {
		return nil, err
	}
	return compressedAs(kv, want.Format, c.key, want.Compression)
}

func (c *contents) symmetricAs(want kmip.KeyFormatType) (*kmip.KeyValue, error) {
	key, err := secret(c.block)
	if err != nil {
		return nil, err
	}
	switch want {
	case kmip.KeyFormatTypeRaw:
		return &kmip.KeyValue{Material: clone(key)}, nil
	case kmip.KeyFormatTypeTransparentSymmetricKey:
		return &kmip.KeyValue{Components: &kmip.KeyComponents{Key: clone(key)}}, nil
	}
	return nil, errFormat
}

// secretAs is the same bytes under another name: neither says anything of what they are.
func (c *contents) secretAs(want kmip.KeyFormatType) (*kmip.KeyValue, error) {
	kv, from := c.block.KeyValue, c.block.KeyFormatType
	bytes := func(f kmip.KeyFormatType) bool { return f == kmip.KeyFormatTypeRaw || f == kmip.KeyFormatTypeOpaque }
	if kv.Components != nil || !bytes(from) || !bytes(want) {
		return nil, errFormat
	}
	return &kmip.KeyValue{Material: clone(kv.Material)}, nil
}

// renamed are the formats that one version of KMIP calls otherwise than another: 2.0 has one name for keys on curves, 1.2 and
// older have one for each use of them.
var (
	newNames = map[kmip.KeyFormatType]kmip.KeyFormatType{
		kmip.KeyFormatTypeTransparentECDSAPrivateKey: kmip.KeyFormatTypeTransparentECPrivateKey,
		kmip.KeyFormatTypeTransparentECDHPrivateKey:  kmip.KeyFormatTypeTransparentECPrivateKey,
		kmip.KeyFormatTypeTransparentECMQVPrivateKey: kmip.KeyFormatTypeTransparentECPrivateKey,
		kmip.KeyFormatTypeTransparentECDSAPublicKey:  kmip.KeyFormatTypeTransparentECPublicKey,
		kmip.KeyFormatTypeTransparentECDHPublicKey:   kmip.KeyFormatTypeTransparentECPublicKey,
		kmip.KeyFormatTypeTransparentECMQVPublicKey:  kmip.KeyFormatTypeTransparentECPublicKey,
	}
	oldPrivateNames = map[kmip.CryptographicAlgorithm]kmip.KeyFormatType{
		kmip.CryptographicAlgorithmECDH:  kmip.KeyFormatTypeTransparentECDHPrivateKey,
		kmip.CryptographicAlgorithmECMQV: kmip.KeyFormatTypeTransparentECMQVPrivateKey,
	}
	oldPublicNames = map[kmip.CryptographicAlgorithm]kmip.KeyFormatType{
		kmip.CryptographicAlgorithmECDH:  kmip.KeyFormatTypeTransparentECDHPublicKey,
		kmip.CryptographicAlgorithmECMQV: kmip.KeyFormatTypeTransparentECMQVPublicKey,
	}
)

// FormatAt is the name that version v has for the format of a key of that algorithm.
func FormatAt(f kmip.KeyFormatType, algorithm kmip.CryptographicAlgorithm, v ttlv.Version) kmip.KeyFormatType {
	switch name, old := newNames[f]; {
	case old && v >= ttlv.V2_0:
		return name
	case v >= ttlv.V1_3:
		return f
	case f == kmip.KeyFormatTypeTransparentECPrivateKey:
		return either(oldPrivateNames[algorithm], kmip.KeyFormatTypeTransparentECDSAPrivateKey)
	case f == kmip.KeyFormatTypeTransparentECPublicKey:
		return either(oldPublicNames[algorithm], kmip.KeyFormatTypeTransparentECDSAPublicKey)
	}
	return f
}

// DefaultFormat is the format that KMIP 2.1 table 81 has for an object of that algorithm; 0 where the table has none.
func DefaultFormat(t kmip.ObjectType, algorithm kmip.CryptographicAlgorithm) kmip.KeyFormatType {
	private := t == kmip.ObjectTypePrivateKey
	switch t {
	case kmip.ObjectTypeCertificate:
		return kmip.KeyFormatTypeX509
	case kmip.ObjectTypeCertificateRequest:
		return kmip.KeyFormatTypePKCS10
	case kmip.ObjectTypeOpaqueObject:
		return kmip.KeyFormatTypeOpaque
	case kmip.ObjectTypePGPKey, kmip.ObjectTypeSecretData, kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeSplitKey:
		return kmip.KeyFormatTypeRaw
	case kmip.ObjectTypePrivateKey, kmip.ObjectTypePublicKey:
	default:
		return 0
	}
	switch {
	case algorithm == kmip.CryptographicAlgorithmRSA:
		return kmip.KeyFormatTypePKCS1
	case ofCurves[algorithm] && private:
		return kmip.KeyFormatTypeTransparentECPrivateKey
	case ofCurves[algorithm]:
		return kmip.KeyFormatTypeTransparentECPublicKey
	case algorithm == kmip.CryptographicAlgorithmDSA && private:
		return kmip.KeyFormatTypeTransparentDSAPrivateKey
	case algorithm == kmip.CryptographicAlgorithmDSA:
		return kmip.KeyFormatTypeTransparentDSAPublicKey
	}
	return 0
}
