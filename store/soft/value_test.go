package soft

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func TestGenerate(t *testing.T) {
	for _, v := range []struct {
		algorithm kmip.CryptographicAlgorithm
		length    int32
		bytes     int // 0: refused
	}{
		{kmip.CryptographicAlgorithmAES, 128, 16},
		{kmip.CryptographicAlgorithmAES, 192, 24},
		{kmip.CryptographicAlgorithmAES, 256, 32},
		{kmip.CryptographicAlgorithmAES, 0, 32},
		{kmip.CryptographicAlgorithmAES, 248, 0},
		{kmip.CryptographicAlgorithmAES, -128, 0},
		{kmip.CryptographicAlgorithmDES3, 112, 16},
		{kmip.CryptographicAlgorithmDES3, 128, 16},
		{kmip.CryptographicAlgorithmDES3, 168, 24},
		{kmip.CryptographicAlgorithmDES3, 192, 24},
		{kmip.CryptographicAlgorithmDES3, 56, 0},
		{kmip.CryptographicAlgorithmHMACSHA1, 0, 20},
		{kmip.CryptographicAlgorithmHMACSHA256, 256, 32},
		{kmip.CryptographicAlgorithmHMACSHA512, 2048, 256},
		{kmip.CryptographicAlgorithmHMACSHA256, 104, 0},
		{kmip.CryptographicAlgorithmHMACSHA256, 257, 0},
		{kmip.CryptographicAlgorithmHMACSHA256, 1 << 30, 0},
		{kmip.CryptographicAlgorithmChaCha20, 256, 32},
		{kmip.CryptographicAlgorithmChaCha20, 128, 0},
		{kmip.CryptographicAlgorithmRSA, 2048, 0},
		{0, 256, 0},
	} {
		t.Run(fmt.Sprintf("%v-%d", v.algorithm, v.length), func(t *testing.T) {
			a := describe(v.algorithm, v.length)
			one, err := Generate(a, nil)
			if v.bytes == 0 {
				require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "%v", err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, Check(kmip.ObjectTypeSymmetricKey, one))
			b := one.SymmetricKey.KeyBlock
			require.Len(t, b.KeyValue.Material, v.bytes)
			require.Equal(t, v.algorithm, b.CryptographicAlgorithm)
			if v.length != 0 {
				require.Equal(t, v.length, b.CryptographicLength)
			}
			two, err := Generate(a, nil)
			require.NoError(t, err)
			require.NotEqual(t, b.KeyValue.Material, two.SymmetricKey.KeyBlock.KeyValue.Material)
			derived, err := Attributes(one)
			require.NoError(t, err)
			require.Equal(t, b.CryptographicLength, derived.Length())
			k, err := Open(one, a, nil)
			require.NoError(t, err)
			k.Close()
		})
	}
}

func TestGenerateTripleDESParity(t *testing.T) {
	v, err := Generate(describe(kmip.CryptographicAlgorithmDES3, 168), nil)
	require.NoError(t, err)
	for _, b := range v.SymmetricKey.KeyBlock.KeyValue.Material {
		ones := 0
		for ; b != 0; b &= b - 1 {
			ones++
		}
		require.Equal(t, 1, ones%2)
	}
}

func TestGenerateSecretData(t *testing.T) {
	a := kmip.Attributes(nil).With(ttlv.TagObjectType, kmip.ObjectTypeSecretData)
	v, err := Generate(a.With(ttlv.TagCryptographicLength, int32(768)), nil)
	require.NoError(t, err)
	require.Len(t, v.SecretData.KeyBlock.KeyValue.Material, 96)
	require.NoError(t, Check(kmip.ObjectTypeSecretData, v))
	_, err = Generate(a.With(ttlv.TagCryptographicLength, int32(7)), nil)
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	_, err = Generate(a.With(ttlv.TagObjectType, kmip.ObjectTypeCertificate), nil)
	require.Equal(t, kmip.ResultReasonInvalidObjectType, kmip.ReasonOf(err))
}

func TestGeneratePair(t *testing.T) {
	for name, v := range map[string]struct {
		a         kmip.Attributes
		algorithm kmip.CryptographicAlgorithm
		bits      int32
		curve     kmip.RecommendedCurve
	}{
		"RSA-2048": {describe(kmip.CryptographicAlgorithmRSA, 2048), kmip.CryptographicAlgorithmRSA, 2048, 0},
		"P-256":    {describe(kmip.CryptographicAlgorithmECDSA, 0), kmip.CryptographicAlgorithmECDSA, 256, kmip.RecommendedCurveP256},
		"P-384":    {describe(kmip.CryptographicAlgorithmEC, 384), kmip.CryptographicAlgorithmEC, 384, kmip.RecommendedCurveP384},
		"P-521":    {onCurve(kmip.CryptographicAlgorithmECDH, kmip.RecommendedCurveP521), kmip.CryptographicAlgorithmECDH, 521, kmip.RecommendedCurveP521},
		"Ed25519":  {describe(kmip.CryptographicAlgorithmEd25519, 256), kmip.CryptographicAlgorithmEd25519, 256, 0},
		"X25519":   {onCurve(kmip.CryptographicAlgorithmECDH, kmip.RecommendedCurveCURVE25519), kmip.CryptographicAlgorithmECDH, 256, kmip.RecommendedCurveCURVE25519},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, v.a)
			require.NoError(t, Check(kmip.ObjectTypePrivateKey, p.privateValue))
			require.NoError(t, Check(kmip.ObjectTypePublicKey, p.publicValue))
			require.Equal(t, kmip.ResultReasonInvalidObjectType, kmip.ReasonOf(Check(kmip.ObjectTypePublicKey, p.privateValue)))
			require.Equal(t, kmip.KeyFormatTypePKCS8, p.privateValue.PrivateKey.KeyBlock.KeyFormatType)
			require.Equal(t, kmip.KeyFormatTypeX509, p.publicValue.PublicKey.KeyBlock.KeyFormatType)
			for _, half := range []*kmip.Value{p.privateValue, p.publicValue} {
				a, err := Attributes(half)
				require.NoError(t, err)
				require.Equal(t, v.algorithm, a.Algorithm())
				require.Equal(t, v.bits, a.Length())
				d, ok := kmip.Get[kmip.CryptographicDomainParameters](a, ttlv.TagCryptographicDomainParameters)
				require.Equal(t, v.curve != 0, ok)
				require.Equal(t, v.curve, d.RecommendedCurve)
			}
		})
	}
}

func TestGeneratePairRefuses(t *testing.T) {
	none := kmip.Attributes(nil)
	for name, v := range map[string][2]kmip.Attributes{
		"nothing":               {none, none},
		"AES":                   {describe(kmip.CryptographicAlgorithmAES, 256), none},
		"RSA-1024":              {describe(kmip.CryptographicAlgorithmRSA, 1024), none},
		"RSA-2047":              {describe(kmip.CryptographicAlgorithmRSA, 2047), none},
		"RSA-65536":             {describe(kmip.CryptographicAlgorithmRSA, 65536), none},
		"RSA on a curve":        {onCurve(kmip.CryptographicAlgorithmRSA, kmip.RecommendedCurveP256), none},
		"EC-255":                {describe(kmip.CryptographicAlgorithmEC, 255), none},
		"P-192":                 {onCurve(kmip.CryptographicAlgorithmEC, kmip.RecommendedCurveP192), none},
		"P-256 with 384 bits":   {onCurve(kmip.CryptographicAlgorithmEC, kmip.RecommendedCurveP256).With(ttlv.TagCryptographicLength, int32(384)), none},
		"ECDSA on X25519":       {onCurve(kmip.CryptographicAlgorithmECDSA, kmip.RecommendedCurveCURVE25519), none},
		"Ed25519 on P-256":      {onCurve(kmip.CryptographicAlgorithmEd25519, kmip.RecommendedCurveP256), none},
		"Ed25519 of 512 bits":   {describe(kmip.CryptographicAlgorithmEd25519, 512), none},
		"halves of two kinds":   {describe(kmip.CryptographicAlgorithmRSA, 2048), describe(kmip.CryptographicAlgorithmEC, 256)},
		"halves of two lengths": {describe(kmip.CryptographicAlgorithmRSA, 2048), describe(kmip.CryptographicAlgorithmRSA, 3072)},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := GeneratePair(v[0], v[1], nil)
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "%v", err)
		})
	}
	// One half may leave out what the other says.
	private, _, err := GeneratePair(none, describe(kmip.CryptographicAlgorithmEC, 384), nil)
	require.NoError(t, err)
	require.EqualValues(t, 384, private.PrivateKey.KeyBlock.CryptographicLength)
}

func TestCheckRefuses(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	pair := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	sym := func(algorithm kmip.CryptographicAlgorithm, bytes int, length int32) *kmip.Value {
		v := symmetricValue(algorithm, make([]byte, bytes))
		v.SymmetricKey.KeyBlock.CryptographicLength = length
		return v
	}
	private := func(change func(*kmip.KeyBlock)) *kmip.Value {
		b := p.privateValue.PrivateKey.KeyBlock
		kv := *b.KeyValue
		b.KeyValue = &kv
		change(&b)
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: b}}
	}
	for name, v := range map[string]*kmip.Value{
		"nothing":            {},
		"AES of 31 bytes":    sym(kmip.CryptographicAlgorithmAES, 31, 248),
		"AES, wrong length":  sym(kmip.CryptographicAlgorithmAES, 32, 128),
		"AES, empty":         sym(kmip.CryptographicAlgorithmAES, 0, 0),
		"AES, negative":      sym(kmip.CryptographicAlgorithmAES, 16, -128),
		"3DES of 20 bytes":   sym(kmip.CryptographicAlgorithmDES3, 20, 160),
		"3DES, wrong length": sym(kmip.CryptographicAlgorithmDES3, 24, 112),
		"Camellia, length":   sym(kmip.CryptographicAlgorithmCamellia, 16, 256),
		"AES in PKCS#8": func() *kmip.Value {
			v := sym(kmip.CryptographicAlgorithmAES, 16, 128)
			v.SymmetricKey.KeyBlock.KeyFormatType = kmip.KeyFormatTypePKCS8
			return v
		}(),
		"AES, transparent without structure": func() *kmip.Value {
			v := sym(kmip.CryptographicAlgorithmAES, 16, 128)
			v.SymmetricKey.KeyBlock.KeyFormatType = kmip.KeyFormatTypeTransparentSymmetricKey
			return v
		}(),
		"no Key Value":          {SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw}}},
		"wrapped, not saying":   {SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Wrapped: []byte{1}}}}},
		"EC as RSA":             private(func(b *kmip.KeyBlock) { b.CryptographicAlgorithm = kmip.CryptographicAlgorithmRSA }),
		"EC of 384 bits":        private(func(b *kmip.KeyBlock) { b.CryptographicLength = 384 }),
		"EC in PKCS#1":          private(func(b *kmip.KeyBlock) { b.KeyFormatType = kmip.KeyFormatTypePKCS1 }),
		"EC cut":                private(func(b *kmip.KeyBlock) { b.KeyValue.Material = b.KeyValue.Material[:40] }),
		"EC with more":          private(func(b *kmip.KeyBlock) { b.KeyValue.Material = append(clone(b.KeyValue.Material), 0) }),
		"private, raw, no name": private(func(b *kmip.KeyBlock) { b.KeyFormatType, b.CryptographicAlgorithm = kmip.KeyFormatTypeRaw, 0 }),
		"public as private":     {PrivateKey: &kmip.PlainKey{KeyBlock: pair.publicValue.PublicKey.KeyBlock}},
		"certificate":           {Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: []byte("no certificate")}},
		"certificate, empty":    {Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509}},
		"secret, empty":         {SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword, KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			object := v.ObjectType()
			err := Check(object, v)
			require.Error(t, err)
			require.NotEqual(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err), "%v", err)
		})
	}
}

func TestCheckTakes(t *testing.T) {
	aes := symmetricValue(kmip.CryptographicAlgorithmAES, make([]byte, 32))
	aes.SymmetricKey.KeyBlock.KeyCompressionType = kmip.KeyCompressionTypeECPublicKeyTypeUncompressed // as libkmip sends it
	transparent := symmetricValue(kmip.CryptographicAlgorithmAES, nil)
	transparent.SymmetricKey.KeyBlock.KeyFormatType = kmip.KeyFormatTypeTransparentSymmetricKey
	transparent.SymmetricKey.KeyBlock.CryptographicLength = 0
	transparent.SymmetricKey.KeyBlock.KeyValue = &kmip.KeyValue{Components: &kmip.KeyComponents{Key: make([]byte, 16)}}
	for name, v := range map[string]*kmip.Value{
		"AES":              aes,
		"AES, transparent": transparent,
		"3DES, 168 bits": func() *kmip.Value {
			v := symmetricValue(kmip.CryptographicAlgorithmDES3, make([]byte, 24))
			v.SymmetricKey.KeyBlock.CryptographicLength = 168
			return v
		}(),
		"SKIPJACK":     symmetricValue(kmip.CryptographicAlgorithmSKIPJACK, make([]byte, 10)),
		"no algorithm": symmetricValue(0, make([]byte, 10)),
		"password":     {SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword, KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{Material: []byte("p")}}}},
		"opaque":       {OpaqueObject: &kmip.OpaqueObject{OpaqueDataValue: []byte("x")}},
		"DSA": {PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeTransparentDSAPrivateKey,
			KeyValue: &kmip.KeyValue{Components: &kmip.KeyComponents{P: new(big.Int).SetBit(one, 1023, 1), Q: big.NewInt(11), G: big.NewInt(2), X: big.NewInt(1)}}, CryptographicAlgorithm: kmip.CryptographicAlgorithmDSA, CryptographicLength: 1024}}},
		"Ed448": {PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS8,
			KeyValue: &kmip.KeyValue{Material: []byte("kept as it is")}, CryptographicAlgorithm: kmip.CryptographicAlgorithmEd448, CryptographicLength: 448}}},
		"wrapped": {SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Wrapped: []byte{1}},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 256, KeyWrappingData: &kmip.KeyWrappingData{WrappingMethod: kmip.WrappingMethodEncrypt}}}},
	} {
		t.Run(name, func(t *testing.T) {
			object := v.ObjectType()
			require.NoError(t, Check(object, v))
			_, err := Attributes(v)
			require.NoError(t, err)
			k, err := Open(v, nil, nil)
			require.NoError(t, err)
			defer k.Close()
			if name != "AES" && name != "AES, transparent" && name != "3DES, 168 bits" {
				_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("x")})
				require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
			}
		})
	}
}

// What a client says beside the object must not contradict it.
func TestComplete(t *testing.T) {
	key := func(bytes int, algorithm kmip.CryptographicAlgorithm) *kmip.Value {
		v := symmetricValue(algorithm, make([]byte, bytes))
		v.SymmetricKey.KeyBlock.CryptographicLength = 0
		return v
	}
	ec := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	const sym = kmip.ObjectTypeSymmetricKey
	aes := kmip.CryptographicAlgorithmAES
	for name, v := range map[string]struct {
		object kmip.ObjectType
		value  *kmip.Value
		a      kmip.Attributes
		ok     bool
	}{
		"the block says nothing": {sym, key(16, 0), describe(aes, 128), true},
		"both say it":            {sym, key(16, aes), describe(aes, 128), true},
		"31 bytes of AES":        {sym, key(31, 0), describe(aes, 0), false},
		"another length":         {sym, key(16, 0), describe(aes, 256), false},
		"another algorithm":      {sym, key(16, aes), describe(kmip.CryptographicAlgorithmDES3, 0), false},
		"another length than EC": {kmip.ObjectTypePrivateKey, ec.privateValue, describe(kmip.CryptographicAlgorithmEC, 384), false},
		"another name for EC":    {kmip.ObjectTypePrivateKey, ec.privateValue, describe(kmip.CryptographicAlgorithmECDSA, 256), true},
		"the curve":              {kmip.ObjectTypePublicKey, ec.publicValue, onCurve(kmip.CryptographicAlgorithmEC, kmip.RecommendedCurveP256), true},
		"another curve":          {kmip.ObjectTypePublicKey, ec.publicValue, onCurve(kmip.CryptographicAlgorithmEC, kmip.RecommendedCurveP384), false},
		"another type":           {kmip.ObjectTypePublicKey, ec.privateValue, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := v.a.With(ttlv.TagContactInformation, "ops")
			got, err := Complete(v.object, v.value, a)
			if !v.ok {
				require.Contains(t, []kmip.ResultReason{kmip.ResultReasonInvalidField, kmip.ResultReasonInvalidObjectType}, kmip.ReasonOf(err), "%v", err)
				return
			}
			require.NoError(t, err)
			require.NotZero(t, got.Algorithm())
			require.NotZero(t, got.Length())
			require.True(t, got.Contains(ttlv.TagDigest))
			require.True(t, got.Contains(ttlv.TagContactInformation))
			require.False(t, a.Contains(ttlv.TagDigest), "the list was not changed")
			k, err := Open(v.value, got, nil)
			require.NoError(t, err)
			k.Close()
		})
	}
}

func TestCertificate(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	key, err := x509.ParsePKCS8PrivateKey(p.privateValue.PrivateKey.KeyBlock.KeyValue.Material)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{
		CommonName: "strongroom", OrganizationalUnit: []string{"keys", "locks"}, SerialNumber: "7",
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "uid"}, {Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "unknown"}},
	}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, publicOf(key), key)
	require.NoError(t, err)
	v := &kmip.Value{Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}}
	require.NoError(t, Check(kmip.ObjectTypeCertificate, v))

	a, err := Attributes(v)
	require.NoError(t, err)
	require.Equal(t, kmip.CryptographicAlgorithmECDSA, a.Algorithm())
	require.EqualValues(t, 256, a.Length())
	n, _ := kmip.Get[int32](a, ttlv.TagCertificateLength)
	require.EqualValues(t, len(der), n)
	d, _ := kmip.Get[kmip.DigitalSignatureAlgorithm](a, ttlv.TagDigitalSignatureAlgorithm)
	require.Equal(t, kmip.DigitalSignatureAlgorithmECDSAWithSHA256, d)
	id, _ := kmip.Get[kmip.X509CertificateIdentifier](a, ttlv.TagX509CertificateIdentifier)
	require.Equal(t, []byte{0x12, 0x34}, id.CertificateSerialNumber)
	for _, first := range []ttlv.Tag{ttlv.TagCertificateSubjectCN, ttlv.TagCertificateIssuerCN} { // it is self-signed
		require.Equal(t, []string{"strongroom"}, kmip.All[string](a, first))
		require.ElementsMatch(t, []string{"keys", "locks"}, kmip.All[string](a, first+2))
		require.Equal(t, []string{"uid"}, kmip.All[string](a, first+7))
		require.Equal(t, []string{"7"}, kmip.All[string](a, first+8))
	}
	encoded, err := a.Encode()
	require.NoError(t, err, "every attribute has its type")
	back, err := kmip.DecodeAttributes(encoded)
	require.NoError(t, err)
	require.Len(t, back, len(a))

	whole, err := Complete(kmip.ObjectTypeCertificate, v, kmip.Attributes{}.With(ttlv.TagCertificateType, kmip.CertificateTypeX509))
	require.NoError(t, err)
	require.ElementsMatch(t, a, whole)
	_, err = Complete(kmip.ObjectTypeCertificate, v, kmip.Attributes{}.With(ttlv.TagCertificateType, kmip.CertificateTypePGP))
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))

	k, err := Open(v, nil, nil)
	require.NoError(t, err)
	defer k.Close()
	require.Equal(t, valid, verify(t, k, nil, []byte("signed"), nil, sign(t, p.private, nil, []byte("signed"), nil)))
}
