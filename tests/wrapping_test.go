package tests

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestWrapWithTokenKeys takes a database key out wrapped by keys of the token, in each mode that they have, and imports it again; and
// brings a wrapped key into the token.
func TestWrapWithTokenKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	const wrapping = kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey
	create(t, c, aes("hsm::4::kek").With(ttlv.TagCryptographicUsageMask, wrapping|kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskDecrypt))
	create(t, c, usable("hsm::4::mac", kmip.CryptographicAlgorithmHMACSHA256, 256).With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskMACGenerate|kmip.CryptographicUsageMaskMACVerify))
	createPair(t, c, usable("hsm::4::rsa", kmip.CryptographicAlgorithmRSA, 2048).With(ttlv.TagCryptographicUsageMask, wrapping))
	createPair(t, c, usable("hsm::4::ec", kmip.CryptographicAlgorithmECDSA, 256).With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskSign|kmip.CryptographicUsageMaskVerify))
	key := create(t, c, aes("key"))
	material := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(key)}).SymmetricKey.KeyBlock.KeyValue.Material

	type p = kmip.CryptographicParameters
	encryption := func(uid kmip.UniqueIdentifier, p *p) *kmip.EncryptionKeyInformation {
		return &kmip.EncryptionKeyInformation{UniqueIdentifier: uid, CryptographicParameters: p}
	}
	mac := func(uid kmip.UniqueIdentifier) *kmip.MACSignatureKeyInformation {
		return &kmip.MACSignatureKeyInformation{UniqueIdentifier: uid}
	}
	const encrypt, encryptThenMAC, macThenEncrypt = kmip.WrappingMethodEncrypt, kmip.WrappingMethodEncryptThenMACSign, kmip.WrappingMethodMACSignThenEncrypt
	for name, spec := range map[string]kmip.KeyWrappingSpecification{
		"default":               {WrappingMethod: encrypt, EncryptionKeyInformation: encryption("hsm::4::kek", nil)},
		"key wrap with padding": {WrappingMethod: encrypt, EncryptionKeyInformation: encryption("hsm::4::kek", &p{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding})},
		"GCM":                   {WrappingMethod: encrypt, EncryptionKeyInformation: encryption("hsm::4::kek", &p{BlockCipherMode: kmip.BlockCipherModeGCM})},
		"CBC":                   {WrappingMethod: encrypt, EncryptionKeyInformation: encryption("hsm::4::kek", &p{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5})},
		"RSA-OAEP":              {WrappingMethod: encrypt, EncryptionKeyInformation: encryption("hsm::4::rsa_pk", &p{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256})},
		"RSA PKCS #1":           {WrappingMethod: encrypt, EncryptionKeyInformation: encryption("hsm::4::rsa_pk", &p{PaddingMethod: kmip.PaddingMethodPKCS1v15})},
		"then a MAC":            {WrappingMethod: encryptThenMAC, EncryptionKeyInformation: encryption("hsm::4::kek", nil), MACSignatureKeyInformation: mac("hsm::4::mac")},
		"signed before":         {WrappingMethod: macThenEncrypt, EncryptionKeyInformation: encryption("hsm::4::kek", nil), MACSignatureKeyInformation: mac("hsm::4::ec")},
	} {
		t.Run(name, func(t *testing.T) {
			out := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(key), KeyWrappingSpecification: &spec})
			block := &out.SymmetricKey.KeyBlock
			require.NotContains(t, string(block.KeyValue.Wrapped), string(material))
			if e := block.KeyWrappingData.EncryptionKeyInformation; e.UniqueIdentifier == "hsm::4::rsa_pk" {
				e.UniqueIdentifier = "hsm::4::rsa"
			}
			for _, uid := range []kmip.UniqueIdentifier{kmip.UniqueIdentifier("again " + name), kmip.UniqueIdentifier("hsm::4::again " + name)} {
				do[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: uid, ObjectType: kmip.ObjectTypeSymmetricKey, KeyWrapType: kmip.KeyWrapTypeNotWrapped,
					Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}, {Tag: ttlv.TagSensitive, Value: false}, {Tag: ttlv.TagExtractable, Value: true}}, Value: out.Value})
				got := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid})
				require.Equal(t, material, got.SymmetricKey.KeyBlock.KeyValue.Material, "%s", uid)
			}
		})
	}
}

// TestRegisterTransparentInToken brings a transparent private key into the token, which takes DER.
func TestRegisterTransparentInToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	value := kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS8, KeyValue: &kmip.KeyValue{Material: der}}}}
	do[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypePrivateKey, Attributes: named("plain").With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskSign), Value: value})
	transparent := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "plain", KeyFormatType: kmip.KeyFormatTypeTransparentRSAPrivateKey})
	do[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypePrivateKey, Value: transparent.Value,
		Attributes: named("hsm::4::transparent").With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskSign).With(ttlv.TagActivationDate, born)})
	signed := do[kmip.SignResponse](t, c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: "hsm::4::transparent", CryptographicParameters: rsaSHA256, Data: []byte("data")})
	require.NotEmpty(t, signed.SignatureData)
}
