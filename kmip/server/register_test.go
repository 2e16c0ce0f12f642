package server

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// plainAES is a symmetric key with its material.
func plainAES(material []byte) kmip.Value {
	return kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material},
		CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: int32(8 * len(material)),
	}}}
}

func wrapping(uid kmip.UniqueIdentifier) *kmip.KeyWrappingSpecification {
	return &kmip.KeyWrappingSpecification{
		WrappingMethod: kmip.WrappingMethodEncrypt, EncodingOption: kmip.EncodingOptionNoEncoding,
		EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: uid,
			CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}},
	}
}

// TestRegisterWrapped takes a key out wrapped, and in again: as it is, and unwrapped.
func TestRegisterWrapped(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	material := bytes.Repeat([]byte{7}, 32)
	kek := aes("kek")
	kek.Attributes = kek.Attributes.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskWrapKey|kmip.CryptographicUsageMaskUnwrapKey)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, kek)
	mask := kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey,
		Attributes: mask.With(ttlv.TagUniqueIdentifier, "k").With(ttlv.TagSensitive, true), Value: plainAES(material)})

	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}))
	out := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k", KeyWrappingSpecification: wrapping("kek")})
	wrapped := out.SymmetricKey.KeyBlock
	require.NotNil(t, wrapped.KeyWrappingData)
	require.Len(t, wrapped.KeyValue.Wrapped, 40)

	must[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: "again", ObjectType: kmip.ObjectTypeSymmetricKey,
		KeyWrapType: kmip.KeyWrapTypeNotWrapped, Attributes: mask, Value: out.Value})
	again := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "again"})
	require.Equal(t, material, again.SymmetricKey.KeyBlock.KeyValue.Material)

	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey,
		Attributes: mask.With(ttlv.TagUniqueIdentifier, "as it is"), Value: out.Value})
	kept := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "as it is"})
	require.Equal(t, wrapped, kept.SymmetricKey.KeyBlock)

	bob := g.client("bob", ttlv.V2_1)
	require.Equal(t, kmip.ResultReasonWrappingObjectNotFound, reason(t, bob, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: "bob's",
		ObjectType: kmip.ObjectTypeSymmetricKey, KeyWrapType: kmip.KeyWrapTypeNotWrapped, Attributes: mask, Value: out.Value}))
}

// TestImportRefuses shows what Import and Register do not take.
func TestImportRefuses(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	good := plainAES(make([]byte, 32))
	register := func(uid string, t kmip.ObjectType, v kmip.Value) *kmip.RegisterRequest {
		return &kmip.RegisterRequest{ObjectType: t, Attributes: kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: uid}}, Value: v}
	}
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, register("taken", kmip.ObjectTypeSymmetricKey, good))
	require.Equal(t, kmip.ResultReasonObjectAlreadyExists, reason(t, c, kmip.OperationRegister, register("taken", kmip.ObjectTypeSymmetricKey, good)))
	require.Equal(t, kmip.ResultReasonInvalidObjectType, reason(t, c, kmip.OperationRegister, register("a", kmip.ObjectTypePrivateKey, good)))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRegister, register("b", kmip.ObjectTypeSymmetricKey, plainAES(make([]byte, 31)))))
	for _, uid := range []string{"123", "*", "line\nbreak"} {
		require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRegister, register(uid, kmip.ObjectTypeSymmetricKey, good)), uid)
	}
	require.Equal(t, kmip.ResultReasonObjectAlreadyExists, reason(t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: "taken",
		ObjectType: kmip.ObjectTypeSymmetricKey, Value: good}))
}

// TestKeyPair makes a named pair and takes out both halves in the formats that clients ask for.
func TestKeyPair(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V1_2)
	q := &kmip.CreateKeyPairRequest{
		CommonAttributes: kmip.Attributes{
			{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmRSA}, {Tag: ttlv.TagCryptographicLength, Value: int32(2048)},
		},
		PrivateKeyAttributes: kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: "pair"}},
	}
	made := must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, q)
	require.Equal(t, kmip.UniqueIdentifier("pair_pk"), made.PublicKeyUniqueIdentifier)
	for uid, formats := range map[kmip.UniqueIdentifier][]kmip.KeyFormatType{
		"pair":    {0, kmip.KeyFormatTypePKCS1, kmip.KeyFormatTypePKCS8, kmip.KeyFormatTypeTransparentRSAPrivateKey},
		"pair_pk": {0, kmip.KeyFormatTypePKCS1, kmip.KeyFormatTypeX509, kmip.KeyFormatTypeTransparentRSAPublicKey},
	} {
		for _, f := range formats {
			got := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid, KeyFormatType: f})
			block := got.Value.KeyBlock()
			require.Equal(t, kmip.CryptographicAlgorithmRSA, block.CryptographicAlgorithm)
			if f != 0 {
				require.Equal(t, f, block.KeyFormatType)
			}
		}
	}
	links := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "pair",
		AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagLink}}})
	require.Equal(t, kmip.UniqueIdentifier("pair_pk"), links.Attributes[0].Value.(kmip.Link).LinkedObjectIdentifier)
}

// TestRegisterCertificateStated: Register says how long a certificate is and how it is signed (table 267 of KMIP 2.0), and must be right.
func TestRegisterCertificateStated(t *testing.T) {
	g := newRig(t, Limits{})
	value := kmip.Value{Certificate: &inline(signed(t, nil, "x", false, time.Now().Add(time.Hour)))[0]}
	for _, v := range everyVersion {
		if v < ttlv.V1_1 {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificate, Value: value}).UniqueIdentifier
			said := allAttributes(t, c, uid)
			for _, tag := range []ttlv.Tag{ttlv.TagCertificateType, ttlv.TagCertificateLength, ttlv.TagDigitalSignatureAlgorithm} {
				i := slices.IndexFunc(said, func(a kmip.Attribute) bool { return a.Tag == tag })
				require.GreaterOrEqual(t, i, 0, tag)
				must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificate, Value: value, Attributes: said[i : i+1]})
			}
			for _, wrong := range []kmip.Attribute{
				{Tag: ttlv.TagCertificateLength, Value: int32(len(value.Certificate.CertificateValue) + 1)},
				{Tag: ttlv.TagDigitalSignatureAlgorithm, Value: kmip.DigitalSignatureAlgorithmMD5WithRSAEncryption},
			} {
				require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificate, Value: value, Attributes: kmip.Attributes{wrong}}), wrong.Tag)
			}
		})
	}
}
