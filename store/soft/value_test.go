package soft

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
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
		{kmip.CryptographicAlgorithmAES, 512, 0},
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
		{kmip.CryptographicAlgorithmDES, 56, 0},
		{kmip.CryptographicAlgorithmRSA, 2048, 0},
		{0, 256, 0},
	} {
		t.Run(fmt.Sprintf("%v-%d", v.algorithm, v.length), func(t *testing.T) {
			a := describe(v.algorithm, v.length)
			one, err := Generate(a)
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
			two, err := Generate(a)
			require.NoError(t, err)
			require.NotEqual(t, b.KeyValue.Material, two.SymmetricKey.KeyBlock.KeyValue.Material)
			derived, err := Attributes(one)
			require.NoError(t, err)
			require.Equal(t, b.CryptographicLength, derived.Length())
			k, err := Open(one, a)
			require.NoError(t, err)
			k.Close()
		})
	}
}

func TestGenerateTripleDESParity(t *testing.T) {
	v, err := Generate(describe(kmip.CryptographicAlgorithmDES3, 168))
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
	v, err := Generate(a.With(ttlv.TagCryptographicLength, int32(768)))
	require.NoError(t, err)
	require.Len(t, v.SecretData.KeyBlock.KeyValue.Material, 96)
	require.NoError(t, Check(kmip.ObjectTypeSecretData, v))
	_, err = Generate(a.With(ttlv.TagCryptographicLength, int32(7)))
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	_, err = Generate(a.With(ttlv.TagObjectType, kmip.ObjectTypeCertificate))
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
			_, _, err := GeneratePair(v[0], v[1])
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "%v", err)
		})
	}
	// One half may leave out what the other says.
	private, _, err := GeneratePair(none, describe(kmip.CryptographicAlgorithmEC, 384))
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
			KeyValue: &kmip.KeyValue{Components: &kmip.KeyComponents{X: big.NewInt(1)}}, CryptographicAlgorithm: kmip.CryptographicAlgorithmDSA, CryptographicLength: 1024}}},
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
			k, err := Open(v, nil)
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
			k, err := Open(v.value, got)
			require.NoError(t, err)
			k.Close()
		})
	}
}

func TestCertificate(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	key, err := x509.ParsePKCS8PrivateKey(p.privateValue.PrivateKey.KeyBlock.KeyValue.Material)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{CommonName: "strongroom"}, NotAfter: time.Now().Add(time.Hour)}
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
	encoded, err := a.Encode()
	require.NoError(t, err, "every attribute has its type")
	back, err := kmip.DecodeAttributes(encoded)
	require.NoError(t, err)
	require.Len(t, back, len(a))

	k, err := Open(v, nil)
	require.NoError(t, err)
	defer k.Close()
	require.Equal(t, valid, verify(t, k, nil, []byte("signed"), nil, sign(t, p.private, nil, []byte("signed"), nil)))
}

// Every private and public key goes through all its formats and comes back.
func TestConvert(t *testing.T) {
	const (
		pkcs1, pkcs8, sec1, x509f = kmip.KeyFormatTypePKCS1, kmip.KeyFormatTypePKCS8, kmip.KeyFormatTypeECPrivateKey, kmip.KeyFormatTypeX509
	)
	for name, v := range map[string]struct {
		a               kmip.Attributes
		private, public []kmip.KeyFormatType
	}{
		"RSA": {describe(kmip.CryptographicAlgorithmRSA, 2048), []kmip.KeyFormatType{pkcs1, kmip.KeyFormatTypeTransparentRSAPrivateKey, pkcs8},
			[]kmip.KeyFormatType{pkcs1, kmip.KeyFormatTypeTransparentRSAPublicKey, x509f}},
		"EC": {describe(kmip.CryptographicAlgorithmEC, 521), []kmip.KeyFormatType{sec1, kmip.KeyFormatTypeTransparentECPrivateKey,
			kmip.KeyFormatTypeTransparentECDSAPrivateKey, kmip.KeyFormatTypeTransparentECDHPrivateKey, pkcs8},
			[]kmip.KeyFormatType{kmip.KeyFormatTypeTransparentECPublicKey, kmip.KeyFormatTypeTransparentECDSAPublicKey, kmip.KeyFormatTypeTransparentECDHPublicKey, x509f}},
		"Ed25519": {describe(kmip.CryptographicAlgorithmEd25519, 256), []kmip.KeyFormatType{pkcs8}, []kmip.KeyFormatType{x509f}},
		"X25519":  {onCurve(kmip.CryptographicAlgorithmECDH, kmip.RecommendedCurveCURVE25519), []kmip.KeyFormatType{pkcs8}, []kmip.KeyFormatType{x509f}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, v.a)
			requireConverts(t, p.privateValue, v.private)
			requireConverts(t, p.publicValue, v.public)
		})
	}
	key := symmetricValue(kmip.CryptographicAlgorithmAES, bytes.Repeat([]byte{7}, 16))
	requireConverts(t, key, []kmip.KeyFormatType{kmip.KeyFormatTypeTransparentSymmetricKey, kmip.KeyFormatTypeRaw})
}

// requireConverts goes through the formats, of which the last is v's own, and refuses all others.
func requireConverts(t *testing.T, v *kmip.Value, formats []kmip.KeyFormatType) {
	t.Helper()
	object, block := v.ObjectType(), v.KeyBlock()
	before := clone(block.KeyValue.Material)
	has := map[kmip.KeyFormatType]bool{0: true}
	at := v
	for _, f := range formats {
		next, err := Convert(at, f)
		require.NoError(t, err, f)
		require.NoError(t, Check(object, next), f)
		b := next.KeyBlock()
		require.Equal(t, f, b.KeyFormatType)
		require.Equal(t, block.CryptographicAlgorithm, b.CryptographicAlgorithm)
		require.Equal(t, block.CryptographicLength, b.CryptographicLength)
		encoded, err := ttlv.Append(nil, ttlv.V1_4, ttlv.TagKeyBlock, b)
		require.NoError(t, err)
		require.NotEmpty(t, encoded)
		at, has[f] = next, true
	}
	require.Equal(t, v, at, "the round ends where it began")
	require.Equal(t, before, block.KeyValue.Material, "the value was not changed")
	same, err := Convert(v, 0)
	require.NoError(t, err)
	require.Same(t, v, same)
	for f := kmip.KeyFormatTypeRaw; f <= kmip.KeyFormatTypePKCS10; f++ {
		if !has[f] {
			_, err := Convert(v, f)
			require.Equal(t, kmip.ResultReasonKeyFormatTypeNotSupported, kmip.ReasonOf(err), "%v", f)
		}
	}
}

// A transparent private key may bring less than all components.
func TestConvertSparseRSA(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	full, err := Convert(p.privateValue, kmip.KeyFormatTypeTransparentRSAPrivateKey)
	require.NoError(t, err)
	c := full.PrivateKey.KeyBlock.KeyValue.Components
	sparse := func(k kmip.KeyComponents) *kmip.Value {
		b := full.PrivateKey.KeyBlock
		b.KeyValue = &kmip.KeyValue{Components: &k}
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: b}}
	}
	for name, k := range map[string]kmip.KeyComponents{
		"exponents":          {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: c.PrivateExponent},
		"primes":             {Modulus: c.Modulus, PublicExponent: c.PublicExponent, P: c.P, Q: c.Q},
		"no public exponent": {Modulus: c.Modulus, PrivateExponent: c.PrivateExponent, P: c.P, Q: c.Q},
		"primes in disorder": {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: c.PrivateExponent, P: c.Q, Q: c.P},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Convert(sparse(k), kmip.KeyFormatTypePKCS8)
			require.NoError(t, err)
			open, err := Open(got, nil)
			require.NoError(t, err)
			defer open.Close()
			require.Equal(t, valid, verify(t, p.public, nil, []byte("x"), nil, sign(t, open, nil, []byte("x"), nil)))
		})
	}
	zero, two, huge := new(big.Int), big.NewInt(2), new(big.Int).Lsh(big.NewInt(1), 20000)
	for name, k := range map[string]kmip.KeyComponents{
		"nothing":            {},
		"modulus alone":      {Modulus: c.Modulus},
		"no exponent":        {Modulus: c.Modulus, P: c.P, Q: c.Q},
		"wrong exponents":    {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: c.P},
		"exponent two":       {Modulus: c.Modulus, PublicExponent: two, P: c.P, Q: c.Q},
		"exponent even of d": {Modulus: c.Modulus, PublicExponent: c.PublicExponent, PrivateExponent: two, P: c.P, Q: c.Q},
		"zero":               {Modulus: zero, PublicExponent: c.PublicExponent, PrivateExponent: c.PrivateExponent},
		"primes of another":  {Modulus: c.Modulus, PublicExponent: c.PublicExponent, P: c.P, Q: c.P},
		"primes one":         {Modulus: c.Modulus, PublicExponent: c.PublicExponent, P: one, Q: c.Modulus},
		"huge":               {Modulus: huge, PublicExponent: c.PublicExponent, PrivateExponent: huge},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(Check(kmip.ObjectTypePrivateKey, sparse(k))))
		})
	}
}

// A stranger's key does not keep the server busy: what is too long is refused before anything is computed.
func TestCheckHugeRSA(t *testing.T) {
	odd := func(bits uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, bits), one) }
	private := func(p, q *big.Int) *kmip.Value {
		n := new(big.Int).Mul(p, q)
		der, err := asn1.Marshal(struct {
			V                        int
			N                        *big.Int
			E                        int
			D, P, Q, DP, DQ, Inverse *big.Int
		}{0, n, 65537, p, p, q, p, q, q})
		require.NoError(t, err)
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS1, KeyValue: &kmip.KeyValue{Material: der}}}}
	}
	public := func(n *big.Int) *kmip.Value {
		der := x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: n, E: 65537})
		return &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS1, KeyValue: &kmip.KeyValue{Material: der}}}}
	}
	began := time.Now()
	require.Error(t, Check(kmip.ObjectTypePrivateKey, private(odd(4096), odd(4095))))
	require.Error(t, Check(kmip.ObjectTypePrivateKey, private(odd(20000), odd(20001))))
	require.Error(t, Check(kmip.ObjectTypePublicKey, public(odd(8193))))
	require.Error(t, Check(kmip.ObjectTypePublicKey, public(odd(1<<20))))
	require.NoError(t, Check(kmip.ObjectTypePublicKey, public(odd(8192))))
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestConvertECPoints(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	v, err := Convert(p.publicValue, kmip.KeyFormatTypeTransparentECPublicKey)
	require.NoError(t, err)
	point := v.PublicKey.KeyBlock.KeyValue.Components.QString
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	change := func(q []byte, c kmip.RecommendedCurve) *kmip.Value {
		b := v.PublicKey.KeyBlock
		b.KeyValue = &kmip.KeyValue{Components: &kmip.KeyComponents{RecommendedCurve: c, QString: q}}
		return &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: b}}
	}
	got, err := Convert(change(compressed, kmip.RecommendedCurveP256), kmip.KeyFormatTypeX509)
	require.NoError(t, err)
	require.Equal(t, p.publicValue.PublicKey.KeyBlock.KeyValue.Material, got.PublicKey.KeyBlock.KeyValue.Material)

	off := clone(point)
	off[64] ^= 1
	for name, bad := range map[string]*kmip.Value{
		"off the curve": change(off, kmip.RecommendedCurveP256),
		"infinity":      change([]byte{0}, kmip.RecommendedCurveP256),
		"nothing":       change(nil, kmip.RecommendedCurveP256),
		"another curve": change(point, kmip.RecommendedCurveP384),
		"short":         change(compressed[:32], kmip.RecommendedCurveP256),
		"no curve":      change(point, 0),
		"secp256k1":     change(point, kmip.RecommendedCurveSECP256K1),
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(Check(kmip.ObjectTypePublicKey, bad)))
		})
	}
}

// openssl reads every format that has a name there.
func TestConvertOpenSSLReads(t *testing.T) {
	openssl(t)
	for _, v := range []struct {
		a      kmip.Attributes
		format kmip.KeyFormatType
		label  string
		flag   string
	}{
		{describe(kmip.CryptographicAlgorithmRSA, 2048), kmip.KeyFormatTypePKCS1, "RSA PRIVATE KEY", "-check"},
		{describe(kmip.CryptographicAlgorithmRSA, 2048), kmip.KeyFormatTypePKCS8, "PRIVATE KEY", "-check"},
		{describe(kmip.CryptographicAlgorithmEC, 256), kmip.KeyFormatTypeECPrivateKey, "EC PRIVATE KEY", "-check"},
		{describe(kmip.CryptographicAlgorithmEd25519, 0), kmip.KeyFormatTypePKCS8, "PRIVATE KEY", "-text"},
	} {
		dir := t.TempDir()
		p := newPair(t, v.a)
		got, err := Convert(p.privateValue, v.format)
		require.NoError(t, err)
		write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: v.label, Bytes: got.PrivateKey.KeyBlock.KeyValue.Material}))
		run(t, dir, "openssl", "pkey", "-in", "key.pem", "-noout", v.flag)
		require.Equal(t, string(p.publicValue.PublicKey.KeyBlock.KeyValue.Material), run(t, dir, "openssl", "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"))
	}
}

// Whatever stands in a key block, reading it neither panics nor gives a key that cannot be written and read again.
func FuzzConvert(f *testing.F) {
	for _, a := range []kmip.Attributes{describe(kmip.CryptographicAlgorithmEC, 256), describe(kmip.CryptographicAlgorithmEd25519, 0)} {
		private, public, err := GeneratePair(a, nil)
		require.NoError(f, err)
		f.Add(uint8(kmip.ObjectTypePrivateKey), uint8(kmip.KeyFormatTypePKCS8), uint8(0), private.PrivateKey.KeyBlock.KeyValue.Material)
		f.Add(uint8(kmip.ObjectTypePublicKey), uint8(kmip.KeyFormatTypeX509), uint8(0), public.PublicKey.KeyBlock.KeyValue.Material)
		if t, err := Convert(public, kmip.KeyFormatTypeTransparentECPublicKey); err == nil {
			b, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagKeyMaterial, t.PublicKey.KeyBlock.KeyValue.Components)
			require.NoError(f, err)
			f.Add(uint8(kmip.ObjectTypePublicKey), uint8(kmip.KeyFormatTypeTransparentECPublicKey), uint8(kmip.CryptographicAlgorithmEC), b)
		}
	}
	f.Add(uint8(kmip.ObjectTypeSymmetricKey), uint8(kmip.KeyFormatTypeRaw), uint8(kmip.CryptographicAlgorithmAES), make([]byte, 16))
	f.Fuzz(func(t *testing.T, object, from, algorithm uint8, material []byte) {
		kv := &kmip.KeyValue{Material: material}
		c := new(kmip.KeyComponents)
		if ttlv.Unmarshal(material, ttlv.V2_1, ttlv.TagKeyMaterial, c, nil) == nil {
			kv = &kmip.KeyValue{Components: c}
		}
		key := &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatType(from), KeyValue: kv, CryptographicAlgorithm: kmip.CryptographicAlgorithm(algorithm)}}
		v := map[kmip.ObjectType]*kmip.Value{
			kmip.ObjectTypeSymmetricKey: {SymmetricKey: key}, kmip.ObjectTypePrivateKey: {PrivateKey: key}, kmip.ObjectTypePublicKey: {PublicKey: key},
		}[kmip.ObjectType(object)]
		if v == nil || Check(kmip.ObjectType(object), v) != nil {
			return
		}
		_, err := Attributes(v)
		require.NoError(t, err)
		k, err := Open(v, nil)
		require.NoError(t, err)
		k.Close()
		for want := kmip.KeyFormatTypeRaw; want <= kmip.KeyFormatTypePKCS10; want++ {
			if got, err := Convert(v, want); err == nil {
				require.NoError(t, Check(kmip.ObjectType(object), got), want)
			}
		}
	})
}
