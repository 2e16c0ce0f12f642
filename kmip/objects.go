package kmip

import (
	"math/big"

	"strongroom/kmip/ttlv"
)

// A Value is a managed object with its material: exactly one field is set. KMIP 2.1 §2.
type Value struct {
	Certificate        *Certificate        `ttlv:"Certificate"`
	CertificateRequest *CertificateRequest `ttlv:"CertificateRequest,2.0+"`
	SymmetricKey       *PlainKey           `ttlv:"SymmetricKey"`
	PrivateKey         *PlainKey           `ttlv:"PrivateKey"`
	PublicKey          *PlainKey           `ttlv:"PublicKey"`
	SplitKey           *SplitKey           `ttlv:"SplitKey"`
	Template           *Template           `ttlv:"Template,1.0-1.4"` // a 2.x message has none
	SecretData         *SecretData         `ttlv:"SecretData"`
	OpaqueObject       *OpaqueObject       `ttlv:"OpaqueObject"`
	PGPKey             *PGPKey             `ttlv:"PGPKey,1.2+"`
}

// PlainKey is a symmetric, private or public key: a key block and nothing else. KMIP 2.1 §2.9, §2.5, §2.6.
type PlainKey struct {
	KeyBlock KeyBlock `ttlv:"KeyBlock"`
}

// Certificate is a certificate. KMIP 2.1 §2.1.
type Certificate struct {
	CertificateType  CertificateType `ttlv:"CertificateType"`
	CertificateValue []byte          `ttlv:"CertificateValue"` // DER for X.509
}

// CertificateRequest is a request for a certificate. KMIP 2.1 §2.2.
type CertificateRequest struct {
	CertificateRequestType  CertificateRequestType `ttlv:"CertificateRequestType"`
	CertificateRequestValue []byte                 `ttlv:"CertificateRequestValue"`
}

// SplitKey is one part of a key. KMIP 2.1 §2.8.
type SplitKey struct {
	SplitKeyParts     int32          `ttlv:"SplitKeyParts"`
	KeyPartIdentifier int32          `ttlv:"KeyPartIdentifier"`
	SplitKeyThreshold int32          `ttlv:"SplitKeyThreshold"`
	SplitKeyMethod    SplitKeyMethod `ttlv:"SplitKeyMethod"`
	PrimeFieldSize    *big.Int       `ttlv:"PrimeFieldSize"`
	KeyBlock          KeyBlock       `ttlv:"KeyBlock"`
}

// Template is a named set of attributes, of KMIP 1.x. KMIP 1.4 §2.2.6.
type Template struct {
	Attributes Attributes `ttlv:"Attribute"`
}

// SecretData is a secret that is no key, a password for one. KMIP 2.1 §2.7.
type SecretData struct {
	SecretDataType SecretDataType `ttlv:"SecretDataType"`
	KeyBlock       KeyBlock       `ttlv:"KeyBlock"`
}

// OpaqueObject is bytes the server does not interpret. KMIP 2.1 §2.3.
type OpaqueObject struct {
	OpaqueDataType  OpaqueDataType `ttlv:"OpaqueDataType"`
	OpaqueDataValue []byte         `ttlv:"OpaqueDataValue"`
}

// PGPKey is an OpenPGP key. KMIP 2.1 §2.4.
type PGPKey struct {
	PGPKeyVersion int32    `ttlv:"PGPKeyVersion"`
	KeyBlock      KeyBlock `ttlv:"KeyBlock"`
}

// KeyBlock is a key's material and what is needed to read it. KMIP 2.1 §3.1.
type KeyBlock struct {
	KeyFormatType          KeyFormatType          `ttlv:"KeyFormatType"`
	KeyCompressionType     KeyCompressionType     `ttlv:"KeyCompressionType,omitempty"`
	KeyValue               *KeyValue              `ttlv:"KeyValue"`
	CryptographicAlgorithm CryptographicAlgorithm `ttlv:"CryptographicAlgorithm,omitempty"`
	CryptographicLength    int32                  `ttlv:"CryptographicLength,omitempty"` // bits
	KeyWrappingData        *KeyWrappingData       `ttlv:"KeyWrappingData"`
}

// KeyValue is key material with attributes, or the wrapped encoding of that. KMIP 2.1 §3.2.
type KeyValue struct {
	Wrapped    []byte // a wrapped KeyValue structure (Encoding Option TTLV); the other fields are then empty
	Material   []byte // key material that is a byte string
	Components *KeyComponents
	Attributes Attributes
}

// MarshalTTLV writes the form that is set.
func (k *KeyValue) MarshalTTLV(e *ttlv.Encoder, tag ttlv.Tag) error {
	if k.Wrapped != nil {
		e.ByteString(tag, k.Wrapped)
		return nil
	}
	mark := e.Begin(tag)
	if k.Components != nil {
		if err := e.Value(ttlv.TagKeyMaterial, k.Components); err != nil {
			return err
		}
	} else {
		e.ByteString(ttlv.TagKeyMaterial, k.Material)
	}
	if len(k.Attributes) > 0 {
		tag := ttlv.TagAttributes
		if e.Version() < ttlv.V2_0 {
			tag = ttlv.TagAttribute
		}
		if err := k.Attributes.MarshalTTLV(e, tag); err != nil {
			return err
		}
	}
	e.End(mark)
	return nil
}

// UnmarshalTTLV reads either form.
func (k *KeyValue) UnmarshalTTLV(d *ttlv.Decoder, it ttlv.Item) error {
	if it.Type == ttlv.TypeByteString {
		k.Wrapped = it.Body
		return nil
	}
	children, err := d.Children(it)
	if err != nil {
		return err
	}
	for {
		c, ok := children.Next()
		if !ok {
			return children.Err()
		}
		switch {
		case c.Tag == ttlv.TagKeyMaterial && c.Type == ttlv.TypeByteString:
			k.Material = c.Body
		case c.Tag == ttlv.TagKeyMaterial:
			k.Components = new(KeyComponents)
			if err := d.Value(c, k.Components); err != nil {
				return err
			}
		default:
			if err := k.Attributes.UnmarshalTTLV(d, c); err != nil {
				return err
			}
		}
	}
}

// KeyComponents is key material of the Transparent formats; each format uses some fields. KMIP 2.1 §3.4 to §3.12.
type KeyComponents struct {
	Key              []byte           `ttlv:"Key,omitempty"`
	RecommendedCurve RecommendedCurve `ttlv:"RecommendedCurve,omitempty"`
	D                *big.Int         `ttlv:"D"`
	QString          []byte           `ttlv:"QString,omitempty"`
	Modulus          *big.Int         `ttlv:"Modulus"`
	PrivateExponent  *big.Int         `ttlv:"PrivateExponent"`
	PublicExponent   *big.Int         `ttlv:"PublicExponent"`
	P                *big.Int         `ttlv:"P"`
	Q                *big.Int         `ttlv:"Q"`
	G                *big.Int         `ttlv:"G"`
	J                *big.Int         `ttlv:"J"`
	X                *big.Int         `ttlv:"X"`
	Y                *big.Int         `ttlv:"Y"`
	PrimeExponentP   *big.Int         `ttlv:"PrimeExponentP"`
	PrimeExponentQ   *big.Int         `ttlv:"PrimeExponentQ"`
	CRTCoefficient   *big.Int         `ttlv:"CRTCoefficient"`
}

// KeyWrappingData says how a key block is wrapped. KMIP 2.1 §3.3.
type KeyWrappingData struct {
	WrappingMethod             WrappingMethod              `ttlv:"WrappingMethod"`
	EncryptionKeyInformation   *EncryptionKeyInformation   `ttlv:"EncryptionKeyInformation"`
	MACSignatureKeyInformation *MACSignatureKeyInformation `ttlv:"MACSignatureKeyInformation"`
	MACSignature               []byte                      `ttlv:"MACSignature,omitempty"`
	IVCounterNonce             []byte                      `ttlv:"IVCounterNonce,omitempty"`
	EncodingOption             EncodingOption              `ttlv:"EncodingOption,1.1+,omitempty"`
}

// KeyWrappingSpecification asks for a wrapped key. KMIP 2.1 §7.18.
type KeyWrappingSpecification struct {
	WrappingMethod             WrappingMethod              `ttlv:"WrappingMethod"`
	EncryptionKeyInformation   *EncryptionKeyInformation   `ttlv:"EncryptionKeyInformation"`
	MACSignatureKeyInformation *MACSignatureKeyInformation `ttlv:"MACSignatureKeyInformation"`
	AttributeName              []string                    `ttlv:"AttributeName"`
	EncodingOption             EncodingOption              `ttlv:"EncodingOption,1.1+,omitempty"`
}

// EncryptionKeyInformation names the key that wraps.
type EncryptionKeyInformation struct {
	UniqueIdentifier        UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters *CryptographicParameters `ttlv:"CryptographicParameters"`
}

// MACSignatureKeyInformation names the key that authenticates a wrapped key.
type MACSignatureKeyInformation struct {
	UniqueIdentifier        UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters *CryptographicParameters `ttlv:"CryptographicParameters"`
}

// CryptographicParameters choose the mechanism of a cryptographic operation. KMIP 2.1 §4.16.
type CryptographicParameters struct {
	BlockCipherMode               BlockCipherMode           `ttlv:"BlockCipherMode,omitempty"`
	PaddingMethod                 PaddingMethod             `ttlv:"PaddingMethod,omitempty"`
	HashingAlgorithm              HashingAlgorithm          `ttlv:"HashingAlgorithm,omitempty"`
	KeyRoleType                   KeyRoleType               `ttlv:"KeyRoleType,omitempty"`
	DigitalSignatureAlgorithm     DigitalSignatureAlgorithm `ttlv:"DigitalSignatureAlgorithm,1.2+,omitempty"`
	CryptographicAlgorithm        CryptographicAlgorithm    `ttlv:"CryptographicAlgorithm,1.2+,omitempty"`
	RandomIV                      *bool                     `ttlv:"RandomIV,1.2+"`
	IVLength                      *int32                    `ttlv:"IVLength,1.2+"`         // bits
	TagLength                     *int32                    `ttlv:"TagLength,1.2+"`        // bytes
	FixedFieldLength              *int32                    `ttlv:"FixedFieldLength,1.2+"` // bits
	InvocationFieldLength         *int32                    `ttlv:"InvocationFieldLength,1.2+"`
	CounterLength                 *int32                    `ttlv:"CounterLength,1.2+"`
	InitialCounterValue           *int32                    `ttlv:"InitialCounterValue,1.2+"`
	SaltLength                    *int32                    `ttlv:"SaltLength,1.4+"` // bytes
	MaskGenerator                 MaskGenerator             `ttlv:"MaskGenerator,1.4+,omitempty"`
	MaskGeneratorHashingAlgorithm HashingAlgorithm          `ttlv:"MaskGeneratorHashingAlgorithm,1.4+,omitempty"`
	PSource                       []byte                    `ttlv:"PSource,1.4+,omitempty"`
	TrailerField                  *int32                    `ttlv:"TrailerField,1.4+"`
}

// ObjectType is the type of the object that is set, 0 for none or several.
func (v *Value) ObjectType() ObjectType {
	var found ObjectType
	for _, x := range []struct {
		is bool
		t  ObjectType
	}{
		{v.Certificate != nil, ObjectTypeCertificate},
		{v.CertificateRequest != nil, ObjectTypeCertificateRequest},
		{v.SymmetricKey != nil, ObjectTypeSymmetricKey},
		{v.PrivateKey != nil, ObjectTypePrivateKey},
		{v.PublicKey != nil, ObjectTypePublicKey},
		{v.SplitKey != nil, ObjectTypeSplitKey},
		{v.Template != nil, ObjectTypeTemplate},
		{v.SecretData != nil, ObjectTypeSecretData},
		{v.OpaqueObject != nil, ObjectTypeOpaqueObject},
		{v.PGPKey != nil, ObjectTypePGPKey},
	} {
		if x.is && found != 0 {
			return 0
		}
		if x.is {
			found = x.t
		}
	}
	return found
}

// Clear overwrites the material that is a byte string.
func (v *Value) Clear() {
	if b := v.KeyBlock(); b != nil && b.KeyValue != nil {
		clear(b.KeyValue.Material)
		if b.KeyValue.Components != nil {
			clear(b.KeyValue.Components.Key)
		}
	}
}

// KeyBlock is the object's key block, nil for one that has none.
func (v *Value) KeyBlock() *KeyBlock {
	switch {
	case v.SymmetricKey != nil:
		return &v.SymmetricKey.KeyBlock
	case v.PrivateKey != nil:
		return &v.PrivateKey.KeyBlock
	case v.PublicKey != nil:
		return &v.PublicKey.KeyBlock
	case v.SplitKey != nil:
		return &v.SplitKey.KeyBlock
	case v.SecretData != nil:
		return &v.SecretData.KeyBlock
	case v.PGPKey != nil:
		return &v.PGPKey.KeyBlock
	}
	return nil
}
