package server

import (
	cryptoaes "crypto/aes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// registersAES registers an AES key with its material, Active, with a usage mask and more attributes.
func registersAES(t *testing.T, g *rig, uid, material string, mask kmip.CryptographicUsageMask, more ...kmip.Attribute) {
	t.Helper()
	key, err := hex.DecodeString(material)
	require.NoError(t, err)
	a := kmip.Attributes{
		{Tag: ttlv.TagUniqueIdentifier, Value: uid}, {Tag: ttlv.TagCryptographicUsageMask, Value: mask},
		{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Second)},
	}
	must[kmip.RegisterResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationRegister, &kmip.RegisterRequest{
		ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: append(a, more...), Value: plainAES(key)})
}

const (
	maskWrap   = kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey
	maskMAC    = kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskMACVerify
	kekValue   = "000102030405060708090a0b0c0d0e0f"
	plainValue = "00112233445566778899aabbccddeeff"
)

// TestGetWrappedKnownAnswer has the vector of RFC 3394 §4.1 come out of the server, at every version that names the encoding, and
// what is wrapped with attributes come out in the shape of the version.
func TestGetWrappedKnownAnswer(t *testing.T) {
	g := newRig(t, Limits{})
	keyWrap := kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}
	registersAES(t, g, "kek", kekValue, maskWrap, kmip.Attribute{Tag: ttlv.TagCryptographicParameters, Value: keyWrap})
	registersAES(t, g, "key", plainValue, kmip.CryptographicUsageMaskEncrypt)
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_1, ttlv.V1_2, ttlv.V1_4, ttlv.V2_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			s := &kmip.KeyWrappingSpecification{WrappingMethod: kmip.WrappingMethodEncrypt, EncodingOption: kmip.EncodingOptionNoEncoding,
				EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: "kek", CryptographicParameters: &keyWrap}}
			q := &kmip.GetRequest{UniqueIdentifier: "key", KeyWrappingSpecification: s}
			if v >= ttlv.V1_1 {
				got := must[kmip.GetResponse](t, c, kmip.OperationGet, q).SymmetricKey.KeyBlock
				require.Equal(t, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5", hex.EncodeToString(got.KeyValue.Wrapped))
				require.Equal(t, kmip.KeyWrappingData{WrappingMethod: kmip.WrappingMethodEncrypt, EncryptionKeyInformation: s.EncryptionKeyInformation,
					EncodingOption: kmip.EncodingOptionNoEncoding}, *got.KeyWrappingData)
			}
			s.EncodingOption, s.AttributeName = 0, []string{"Cryptographic Usage Mask", "Name"}
			got := must[kmip.GetResponse](t, c, kmip.OperationGet, q).SymmetricKey.KeyBlock
			kek, err := hex.DecodeString(kekValue)
			require.NoError(t, err)
			block, err := cryptoaes.NewCipher(kek)
			require.NoError(t, err)
			plain, err := soft.Unwrap(block, got.KeyValue.Wrapped)
			require.NoError(t, err)
			material, err := hex.DecodeString(plainValue)
			require.NoError(t, err)
			want, err := ttlv.Append(nil, v, ttlv.TagKeyValue, &kmip.KeyValue{Material: material,
				Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}})
			require.NoError(t, err)
			require.Equal(t, want, plain)

			s.EncryptionKeyInformation = &kmip.EncryptionKeyInformation{UniqueIdentifier: "kek"}
			require.Nil(t, must[kmip.GetResponse](t, c, kmip.OperationGet, q).SymmetricKey.KeyBlock.KeyWrappingData.EncryptionKeyInformation.CryptographicParameters,
				"the key says them")
			s.EncryptionKeyInformation.CryptographicParameters = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}
			require.Equal(t, kmip.ResultReasonBadCryptographicParameters.For(kmip.OperationGet, v), reason(t, c, kmip.OperationGet, q))
		})
	}
}

// TestWrapMethods takes a key out by every method and mode, with database keys, and imports it again.
func TestWrapMethods(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	registersAES(t, g, "kek", kekValue, maskWrap)
	registersAES(t, g, "key", plainValue, kmip.CryptographicUsageMaskEncrypt, kmip.Attribute{Tag: ttlv.TagSensitive, Value: true})
	registersAES(t, g, "mac", kekValue, maskMAC, kmip.Attribute{Tag: ttlv.TagCryptographicParameters, Value: kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCMAC}})
	pair := func(uid string, algorithm kmip.CryptographicAlgorithm, length int32, private, public kmip.CryptographicUsageMask) {
		must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
			CommonAttributes: kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: uid}, {Tag: ttlv.TagCryptographicAlgorithm, Value: algorithm},
				{Tag: ttlv.TagCryptographicLength, Value: length}, {Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Second)}},
			PrivateKeyAttributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: private}},
			PublicKeyAttributes:  kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: public}},
		})
	}
	pair("rsa", kmip.CryptographicAlgorithmRSA, 2048, kmip.CryptographicUsageMaskUnwrapKey, kmip.CryptographicUsageMaskWrapKey)
	pair("ec", kmip.CryptographicAlgorithmEC, 256, kmip.CryptographicUsageMaskSign, kmip.CryptographicUsageMaskVerify)
	type p = kmip.CryptographicParameters
	encryption := func(uid kmip.UniqueIdentifier, p *p) *kmip.EncryptionKeyInformation {
		return &kmip.EncryptionKeyInformation{UniqueIdentifier: uid, CryptographicParameters: p}
	}
	mac := func(uid kmip.UniqueIdentifier) *kmip.MACSignatureKeyInformation {
		return &kmip.MACSignatureKeyInformation{UniqueIdentifier: uid}
	}
	const e, m, em, me = kmip.WrappingMethodEncrypt, kmip.WrappingMethodMACSign, kmip.WrappingMethodEncryptThenMACSign, kmip.WrappingMethodMACSignThenEncrypt
	n := 0
	for name, s := range map[string]kmip.KeyWrappingSpecification{
		"default":                {WrappingMethod: e, EncryptionKeyInformation: encryption("kek", nil)},
		"key wrap":               {WrappingMethod: e, EncryptionKeyInformation: encryption("kek", &p{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap})},
		"key wrap with padding":  {WrappingMethod: e, EncryptionKeyInformation: encryption("kek", &p{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding})},
		"GCM":                    {WrappingMethod: e, EncryptionKeyInformation: encryption("kek", &p{BlockCipherMode: kmip.BlockCipherModeGCM})},
		"CBC":                    {WrappingMethod: e, EncryptionKeyInformation: encryption("kek", &p{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5})},
		"RSA-OAEP":               {WrappingMethod: e, EncryptionKeyInformation: encryption("rsa_pk", &p{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256})},
		"RSA PKCS #1":            {WrappingMethod: e, EncryptionKeyInformation: encryption("rsa_pk", &p{PaddingMethod: kmip.PaddingMethodPKCS1v15})},
		"key wrap, then a MAC":   {WrappingMethod: em, EncryptionKeyInformation: encryption("kek", nil), MACSignatureKeyInformation: mac("mac")},
		"key wrap, then signed":  {WrappingMethod: em, EncryptionKeyInformation: encryption("kek", nil), MACSignatureKeyInformation: mac("ec")},
		"signed, then encrypted": {WrappingMethod: me, EncryptionKeyInformation: encryption("kek", nil), MACSignatureKeyInformation: mac("ec_pk")},
		"MAC, then encrypted":    {WrappingMethod: me, EncryptionKeyInformation: encryption("kek", nil), MACSignatureKeyInformation: mac("mac")},
	} {
		for _, option := range []kmip.EncodingOption{kmip.EncodingOptionNoEncoding, kmip.EncodingOptionTTLVEncoding} {
			s.EncodingOption = option
			out := must[kmip.ExportResponse](t, c, kmip.OperationExport, &kmip.ExportRequest{UniqueIdentifier: "key", KeyWrappingSpecification: &s})
			require.NotNil(t, out.SymmetricKey.KeyBlock.KeyWrappingData, name)
			require.NotContains(t, string(out.SymmetricKey.KeyBlock.KeyValue.Wrapped), "\x00\x11\x22\x33")
			if e := out.SymmetricKey.KeyBlock.KeyWrappingData.EncryptionKeyInformation; e.UniqueIdentifier == "rsa_pk" {
				e.UniqueIdentifier = "rsa"
			}
			n++
			uid := kmip.UniqueIdentifier("again-" + string(rune('a'+n)))
			must[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: uid, ObjectType: kmip.ObjectTypeSymmetricKey,
				KeyWrapType: kmip.KeyWrapTypeNotWrapped, Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}, Value: out.Value})
			require.Equal(t, plainValue, hex.EncodeToString(must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}).SymmetricKey.KeyBlock.KeyValue.Material), name)
		}
	}
	// A MAC alone hides nothing.
	q := &kmip.GetRequest{UniqueIdentifier: "key", KeyWrappingSpecification: &kmip.KeyWrappingSpecification{WrappingMethod: m, MACSignatureKeyInformation: mac("mac")}}
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationGet, q))
	q.UniqueIdentifier = "kek"
	block := must[kmip.GetResponse](t, c, kmip.OperationGet, q).SymmetricKey.KeyBlock
	require.Contains(t, string(block.KeyValue.Wrapped), "\x00\x01\x02\x03\x04\x05")
	require.Len(t, block.KeyWrappingData.MACSignature, 16)

	wraps := func(s kmip.KeyWrappingSpecification) *kmip.GetRequest {
		return &kmip.GetRequest{UniqueIdentifier: "key", KeyWrappingSpecification: &s}
	}
	for name, x := range map[string]struct {
		s    kmip.KeyWrappingSpecification
		want kmip.ResultReason
	}{
		"TR-31":             {kmip.KeyWrappingSpecification{WrappingMethod: kmip.WrappingMethodTR31, EncryptionKeyInformation: encryption("kek", nil)}, kmip.ResultReasonKeyWrapTypeNotSupported},
		"no key":            {kmip.KeyWrappingSpecification{WrappingMethod: e}, kmip.ResultReasonInvalidField},
		"no such key":       {kmip.KeyWrappingSpecification{WrappingMethod: e, EncryptionKeyInformation: encryption("none", nil)}, kmip.ResultReasonWrappingObjectNotFound},
		"no key for it":     {kmip.KeyWrappingSpecification{WrappingMethod: e, EncryptionKeyInformation: encryption("mac", nil)}, kmip.ResultReasonIncompatibleCryptographicUsageMask},
		"no MAC key":        {kmip.KeyWrappingSpecification{WrappingMethod: m, MACSignatureKeyInformation: mac("kek")}, kmip.ResultReasonIncompatibleCryptographicUsageMask},
		"unknown attribute": {kmip.KeyWrappingSpecification{WrappingMethod: e, EncryptionKeyInformation: encryption("kek", nil), AttributeName: []string{"Nonsense"}}, kmip.ResultReasonInvalidField},
		"attributes, bare":  {kmip.KeyWrappingSpecification{WrappingMethod: e, EncryptionKeyInformation: encryption("kek", nil), AttributeName: []string{"State"}, EncodingOption: kmip.EncodingOptionNoEncoding}, kmip.ResultReasonEncodingOptionError},
		"unknown encoding":  {kmip.KeyWrappingSpecification{WrappingMethod: e, EncryptionKeyInformation: encryption("kek", nil), EncodingOption: 7}, kmip.ResultReasonEncodingOptionError},
		"a key for ECDSA":   {kmip.KeyWrappingSpecification{WrappingMethod: e, EncryptionKeyInformation: encryption("ec", nil)}, kmip.ResultReasonIncompatibleCryptographicUsageMask},
	} {
		require.Equal(t, x.want, reason(t, c, kmip.OperationGet, wraps(x.s)), name)
	}
}

// TestRegisterWrappedLink has a wrapped object link to the key that wraps it, and a sensitive one come out as it went in.
func TestRegisterWrappedLink(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	registersAES(t, g, "kek", kekValue, maskWrap)
	registersAES(t, g, "key", plainValue, kmip.CryptographicUsageMaskEncrypt)
	out := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "key", KeyWrappingSpecification: wrapping("kek")})
	links := func(identity, uid string) []kmip.Link {
		c := g.client(identity, ttlv.V2_1)
		must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Value: out.Value,
			Attributes: kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: uid}, {Tag: ttlv.TagSensitive, Value: true}, {Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}})
		return kmip.All[kmip.Link](must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}).Attributes, ttlv.TagLink)
	}
	require.Equal(t, []kmip.Link{{LinkType: kmip.LinkTypeWrappingKeyLink, LinkedObjectIdentifier: "kek"}}, links("alice", "kept"))
	require.Empty(t, links("bob", "bobs"), "a key of another is not linked to")
	require.Equal(t, out.SymmetricKey.KeyBlock, must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "kept"}).SymmetricKey.KeyBlock)
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "kept", KeyWrapType: kmip.KeyWrapTypeNotWrapped}))
}

// TestRegisterAttributesInside registers a key whose attributes stand in its Key Value: they are the object's, and are not kept there.
func TestRegisterAttributesInside(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
		c := g.client("alice", v)
		value := plainAES(make([]byte, 16))
		value.SymmetricKey.KeyBlock.KeyValue.Attributes = kmip.Attributes{
			{Tag: ttlv.TagContactInformation, Value: "inside"}, {Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskDecrypt},
		}
		uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Value: value,
			Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}}).UniqueIdentifier
		a := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
		require.True(t, a.Has(kmip.Attribute{Tag: ttlv.TagContactInformation, Value: "inside"}))
		require.Equal(t, kmip.CryptographicUsageMaskEncrypt, a.UsageMask(), "the request comes first")
		require.Empty(t, must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}).SymmetricKey.KeyBlock.KeyValue.Attributes)
	}
}

// TestKeyValueAbsent registers a key whose material is elsewhere.
func TestKeyValueAbsent(t *testing.T) {
	g := newRig(t, Limits{})
	q := func() *kmip.RegisterRequest {
		return &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey,
			Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}, {Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Second)},
				{Tag: ttlv.TagKeyValueLocation, Value: kmip.KeyValueLocation{KeyValueLocationValue: "shelf 3", KeyValueLocationType: kmip.KeyValueLocationTypeUninterpretedTextString}}},
			Value: kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw,
				CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 256}}}}
	}
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V1_4, ttlv.V2_1} {
		c := g.client("alice", v)
		uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, q()).UniqueIdentifier
		a := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
		require.True(t, a.Has(kmip.Attribute{Tag: ttlv.TagKeyValuePresent, Value: false}), v)
		require.True(t, a.Contains(ttlv.TagKeyValueLocation))
		require.False(t, a.Contains(ttlv.TagDigest))
		require.Contains(t, must[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{{Tag: ttlv.TagKeyValuePresent, Value: false}}}).UniqueIdentifier, uid)
		require.Equal(t, kmip.ResultReasonKeyValueNotPresent.For(kmip.OperationGet, v), reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}))
		require.Equal(t, kmip.ResultReasonKeyValueNotPresent.At(v), reason(t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: uid, Data: []byte("x")}))
	}
	old := g.client("alice", ttlv.V1_1)
	require.Equal(t, kmip.ResultReasonInvalidMessage, reason(t, old, kmip.OperationRegister, q()))
	nameless := q()
	nameless.SymmetricKey.KeyBlock.CryptographicLength = 0
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, g.client("alice", ttlv.V2_1), kmip.OperationRegister, nameless))
}
