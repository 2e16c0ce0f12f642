package kmiptest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Now is the date of everything that the suite makes.
var Now = time.Now().UTC().Truncate(time.Second)

// describe is an object of the suite, active since Now, named as its label.
func (s *suite) describe(label string, t kmip.ObjectType, alg kmip.CryptographicAlgorithm, bits int32, mask kmip.CryptographicUsageMask) *kmip.Object {
	return &kmip.Object{
		UniqueIdentifier: s.Prefix + label,
		Owners:           []string{s.Owner},
		Attributes: kmip.Attributes{
			{Tag: ttlv.TagObjectType, Value: t},
			{Tag: ttlv.TagCryptographicAlgorithm, Value: alg},
			{Tag: ttlv.TagCryptographicLength, Value: bits},
			{Tag: ttlv.TagCryptographicUsageMask, Value: mask},
			{Tag: ttlv.TagState, Value: kmip.StateActive},
			{Tag: ttlv.TagInitialDate, Value: Now},
			{Tag: ttlv.TagActivationDate, Value: Now},
			name(label),
		},
	}
}

// aes describes an AES-256 key.
func (s *suite) aes(label string) *kmip.Object {
	const mask = kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt |
		kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey
	return s.describe(label, kmip.ObjectTypeSymmetricKey, kmip.CryptographicAlgorithmAES, 256, mask)
}

// rsa describes a pair of RSA-2048, each half linked to the other.
func (s *suite) rsa(private, public string) (*kmip.Object, *kmip.Object) {
	a := s.describe(private, kmip.ObjectTypePrivateKey, kmip.CryptographicAlgorithmRSA, 2048, kmip.CryptographicUsageMaskSign)
	b := s.describe(public, kmip.ObjectTypePublicKey, kmip.CryptographicAlgorithmRSA, 2048, kmip.CryptographicUsageMaskVerify)
	a.Attributes = a.Attributes.Plus(ttlv.TagLink, kmip.Link{LinkType: kmip.LinkTypePublicKeyLink, LinkedObjectIdentifier: kmip.UniqueIdentifier(b.UniqueIdentifier)})
	b.Attributes = b.Attributes.Plus(ttlv.TagLink, kmip.Link{LinkType: kmip.LinkTypePrivateKeyLink, LinkedObjectIdentifier: kmip.UniqueIdentifier(a.UniqueIdentifier)})
	return a, b
}

// generate makes an AES key.
func (s *suite) generate(t *testing.T, label string) *kmip.Object {
	t.Helper()
	o := s.aes(label)
	require.NoError(t, s.Generate(t.Context(), o))
	return o
}

// object looks up what must be there.
func (s *suite) object(t *testing.T, uid string) *kmip.Object {
	t.Helper()
	o, err := s.Object(t.Context(), uid)
	require.NoError(t, err)
	return o
}

func name(value string) kmip.Attribute {
	return kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: value, NameType: kmip.NameTypeUninterpretedTextString}}
}

func tag(value string) kmip.Attribute {
	return kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorClient, Name: kmip.AttributeTag, Value: value}
}

// symmetric is raw AES material.
func symmetric(material []byte) *kmip.Value {
	return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType:          kmip.KeyFormatTypeRaw,
		KeyValue:               &kmip.KeyValue{Material: append([]byte(nil), material...)},
		CryptographicAlgorithm: kmip.CryptographicAlgorithmAES,
		CryptographicLength:    int32(8 * len(material)),
	}}}
}

// parameters are those of the suite's encryption.
func (s *suite) parameters() *kmip.CryptographicParameters {
	if s.WithoutGCM {
		return &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}
	}
	return &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}
}

// additional is the data that is authenticated with what is encrypted.
func (s *suite) additional() []byte {
	if s.WithoutGCM {
		return nil
	}
	return []byte("more")
}

func (s *suite) encryptRequest() *kmip.EncryptRequest {
	return &kmip.EncryptRequest{CryptographicParameters: s.parameters(), Data: []byte("plain"), AuthenticatedEncryptionAdditionalData: s.additional()}
}

func (s *suite) encrypt(t *testing.T, k kmip.Key) *kmip.EncryptResponse {
	t.Helper()
	require.NotNil(t, k)
	sealed, err := k.Encrypt(t.Context(), s.encryptRequest())
	require.NoError(t, err)
	return sealed
}

func (s *suite) requireDecrypts(t *testing.T, k kmip.Key, sealed *kmip.EncryptResponse) {
	t.Helper()
	opened, err := k.Decrypt(t.Context(), &kmip.DecryptRequest{
		CryptographicParameters: s.parameters(), Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce,
		AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag, AuthenticatedEncryptionAdditionalData: s.additional(),
	})
	require.NoError(t, err)
	require.Equal(t, "plain", string(opened.Data))
}

// requireEncrypts sees a key encrypt and decrypt.
func (s *suite) requireEncrypts(t *testing.T, k kmip.Key) {
	t.Helper()
	s.requireDecrypts(t, k, s.encrypt(t, k))
}
