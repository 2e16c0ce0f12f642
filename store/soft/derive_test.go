package soft

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// secretBase is Secret Data to derive from, keyBase a symmetric key.
func secretBase(material []byte) Base {
	return Base{Value: &kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword,
		KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material}}}}}
}

func keyBase(t *testing.T, algorithm kmip.CryptographicAlgorithm, key string) Base {
	t.Helper()
	return Base{Value: symmetricValue(algorithm, unhex(t, key)), Key: openKey(t, algorithm, key)}
}

func iterations(n int32) *int32 { return &n }

func hashing(h kmip.HashingAlgorithm) *kmip.CryptographicParameters {
	return &kmip.CryptographicParameters{HashingAlgorithm: h}
}

// TestDerive has known answers for each method.
func TestDerive(t *testing.T) {
	const (
		hmac256 = kmip.CryptographicAlgorithmHMACSHA256
		aes     = kmip.CryptographicAlgorithmAES
		sha256  = kmip.HashingAlgorithmSHA256
	)
	one := func(s string) [][]byte { return [][]byte{unhex(t, s)} }
	cmacMode := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCMAC}
	for _, v := range []struct {
		name   string
		method kmip.DerivationMethod
		p      kmip.DerivationParameters
		bases  []Base
		want   string
	}{
		{"RFC 6070, 2", kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{Salt: []byte("salt"), IterationCount: iterations(2)},
			[]Base{secretBase([]byte("password"))}, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"},
		{"RFC 6070, 3", kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{Salt: []byte("salt"), IterationCount: iterations(4096), CryptographicParameters: hashing(kmip.HashingAlgorithmSHA1)},
			[]Base{secretBase([]byte("password"))}, "4b007901b765489abead49d926f721d065a429c1"},
		{"RFC 6070, 5", kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{Salt: []byte("saltSALTsaltSALTsaltSALTsaltSALTsalt"), IterationCount: iterations(4096)},
			[]Base{secretBase([]byte("passwordPASSWORDpassword"))}, "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"},
		{"RFC 7914 §11", kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{Salt: []byte("salt"), IterationCount: iterations(1), CryptographicParameters: hashing(sha256)},
			[]Base{secretBase([]byte("passwd"))}, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"},
		{"RFC 5869, 1", kmip.DerivationMethodHKDF, kmip.DerivationParameters{Salt: unhex(t, "000102030405060708090a0b0c"), DerivationData: one("f0f1f2f3f4f5f6f7f8f9")},
			[]Base{secretBase(unhex(t, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"))},
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"RFC 5869, 3", kmip.DerivationMethodHKDF, kmip.DerivationParameters{CryptographicParameters: hashing(sha256)},
			[]Base{keyBase(t, hmac256, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b")},
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
		{"FIPS 180-4, abc", kmip.DerivationMethodHASH, kmip.DerivationParameters{CryptographicParameters: hashing(sha256)},
			[]Base{secretBase([]byte("abc"))}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"RFC 4231, 2", kmip.DerivationMethodHMAC, kmip.DerivationParameters{DerivationData: [][]byte{[]byte("what do ya want for nothing?")}},
			[]Base{keyBase(t, hmac256, hex.EncodeToString([]byte("Jefe")))}, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"RFC 4231, 2, of two objects", kmip.DerivationMethodHMAC, kmip.DerivationParameters{CryptographicParameters: hashing(sha256)},
			[]Base{secretBase([]byte("Jefe")), secretBase([]byte("what do ya want for nothing?"))}, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"SP 800-38A F.2.1", kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{
			CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodNone},
			InitializationVector:    unhex(t, "000102030405060708090a0b0c0d0e0f"), DerivationData: one("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")},
			[]Base{keyBase(t, aes, aes128)}, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"},
		{"SP 800-38A F.1.1", kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{
			CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB, PaddingMethod: kmip.PaddingMethodNone},
			DerivationData:          one("6bc1bee22e409f96e93d7e117393172a")},
			[]Base{keyBase(t, aes, aes128)}, "3ad77bb40d7a3660a89ecaf32466ef97"},
		{"SP 800-38A F.3.13", kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{
			CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCFB},
			InitializationVector:    unhex(t, "000102030405060708090a0b0c0d0e0f"), DerivationData: one("6bc1bee22e409f96e93d7e117393172a")},
			[]Base{keyBase(t, aes, aes128)}, "3b3fd92eb72dad20333449f8e83cfb4a"},
		{"SP 800-38A F.4.1", kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{
			CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeOFB},
			InitializationVector:    unhex(t, "000102030405060708090a0b0c0d0e0f"), DerivationData: one("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")},
			[]Base{keyBase(t, aes, aes128)}, "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"},
		{"CAVP KDFCTR_gen, HMAC_SHA256, 32 bits, 0", kmip.DerivationMethodNIST800_108C, kmip.DerivationParameters{
			DerivationData: one("01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3b413faac")},
			[]Base{keyBase(t, hmac256, "dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0")}, "10621342bfb0fd40046c0e29f2cfdbf0"},
		{"CAVP KDFCTR_gen, HMAC_SHA256, 24 bits, 0", kmip.DerivationMethodNIST800_108C, kmip.DerivationParameters{
			CryptographicParameters: &kmip.CryptographicParameters{HashingAlgorithm: sha256, CounterLength: iterations(24)},
			DerivationData:          one("697bb34b3fbe6853864cac3e1bc6c8c44a4335565479403d949fcbb5e2c1795f9a3849df743389d1a99fe75ef566e6227c591104122a6477dd8e8c8e")},
			[]Base{secretBase(unhex(t, "388e93e0273e62f086f52f6f5369d9e4626d143dce3b6afc7caf2c6e7344276b"))}, "d697442b3dd51f96cae949586357b9a6"},
		{"CAVP KDFCTR_gen, CMAC_AES128, 32 bits, 10", kmip.DerivationMethodNIST800_108C, kmip.DerivationParameters{CryptographicParameters: cmacMode,
			DerivationData: one("4fce5942832a390aa1cbe8a0bf9d202cb799e986c9d6b51f45e4d597a6b57f06a4ebfec6467335d116b7f5f9c5b954062f661820f5db2a5bbb3e0625")},
			[]Base{keyBase(t, aes, "695f1b1a16c949cea51cdf2554ec9d42")}, "d34b601ec18c34dfa0f9e0b7523e218bdddb9befe8d08b6c0202d75ace0dba89"},
		{"CAVP KDFFeedback, HMAC_SHA256, 32 bits after, 0", kmip.DerivationMethodNIST800_108F, kmip.DerivationParameters{
			InitializationVector: unhex(t, "9f575d9059d3e0c0803f08112f8a806de3c3471912cdf42b095388b14b33508e"),
			DerivationData:       one("53b89c18690e2057a1d167822e636de50be0018532c431f7f5e37f77139220d5e042599ebe266af5767ee18cd2c5c19a1f0f80")},
			[]Base{keyBase(t, hmac256, "93f698e842eed75394d629d957e2e89c6e741f810b623c8b901e38376d068e7b")},
			"bd1476f43a4e315747cf5918e0ea5bc0d98769457477c3ab18b742def0e079a933b756365afb5541f253fee43c6fd788a44041038509e9eeb68f7d65ffbb5f95"},
		{"CAVP KDFDblPipeline, HMAC_SHA256, 32 bits after, 0", kmip.DerivationMethodNIST800_108DPI, kmip.DerivationParameters{
			DerivationData: one("85abe38bf265fbdc6445ae5c71159f1548c73b7d526a623104904a0f8792070b3df9902b9669490425a385eadb0f9c76e46f0f")},
			[]Base{keyBase(t, hmac256, "02d36fa021c20ddbdee469f0579468bae5cb13b548b6c61cdf9d3ec419111de2")},
			"d69f74f518c9f64f90a0beebab69f689b73b5c13eb0f860a95cad7d9814f8c506eb7b179a5c5b4466a9ec154c3bf1c13efd6ec0d82b02c29af2c690299edc453"},
		{"AWS, signing key", kmip.DerivationMethodAWSSignatureVersion4, kmip.DerivationParameters{DerivationData: [][]byte{[]byte("20120215"), []byte("us-east-1"), []byte("iam")}},
			[]Base{secretBase([]byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))}, "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"},
	} {
		t.Run(v.name, func(t *testing.T) {
			got, err := Derive(t.Context(), v.method, &v.p, v.bases, len(v.want)/2)
			require.NoError(t, err)
			require.Equal(t, v.want, hex.EncodeToString(got))
		})
	}
}

// TestDeriveShared has both sides of an agreement compute one secret, on each curve, in either order of the keys.
func TestDeriveShared(t *testing.T) {
	half := func(object kmip.ObjectType, key any) Base {
		f, der, err := kmip.KeyFormatTypePKCS8, []byte(nil), error(nil)
		if object == kmip.ObjectTypePrivateKey {
			der, err = x509.MarshalPKCS8PrivateKey(key)
		} else {
			f = kmip.KeyFormatTypeX509
			der, err = x509.MarshalPKIXPublicKey(key)
		}
		require.NoError(t, err)
		k := &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: f, KeyValue: &kmip.KeyValue{Material: der}}}
		if object == kmip.ObjectTypePrivateKey {
			return Base{Value: &kmip.Value{PrivateKey: k}}
		}
		return Base{Value: &kmip.Value{PublicKey: k}}
	}
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		a, err := curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		b, err := curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		want, err := a.ECDH(b.PublicKey())
		require.NoError(t, err)
		ours := []Base{half(kmip.ObjectTypePrivateKey, a), half(kmip.ObjectTypePublicKey, b.PublicKey())}
		theirs := []Base{half(kmip.ObjectTypePublicKey, a.PublicKey()), half(kmip.ObjectTypePrivateKey, b)}
		for _, bases := range [][]Base{ours, theirs} {
			got, err := Derive(t.Context(), kmip.DerivationMethodAsymmetricKey, new(kmip.DerivationParameters), bases, len(want))
			require.NoError(t, err)
			require.Equal(t, want, got)
			_, err = Derive(t.Context(), kmip.DerivationMethodAsymmetricKey, new(kmip.DerivationParameters), bases, len(want)+1)
			require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
		}
		for _, bases := range [][]Base{{ours[0], ours[0]}, {ours[1], ours[1]}, {ours[0], secretBase([]byte("x"))}, {ours[0], {}}} {
			_, err := Derive(t.Context(), kmip.DerivationMethodAsymmetricKey, new(kmip.DerivationParameters), bases, 16)
			require.Error(t, err)
		}
	}
}

// TestDeriveRefused has what is refused, and why.
func TestDeriveRefused(t *testing.T) {
	key := keyBase(t, kmip.CryptographicAlgorithmHMACSHA256, "00112233445566778899aabbccddeeff")
	aesKey := keyBase(t, kmip.CryptographicAlgorithmAES, aes128)
	secret := secretBase([]byte("secret"))
	wrapped := secretBase([]byte("wrapped"))
	wrapped.Value.SecretData.KeyBlock.KeyWrappingData = new(kmip.KeyWrappingData)
	data := [][]byte{[]byte("data")}
	sha256 := hashing(kmip.HashingAlgorithmSHA256)
	ecb := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB}
	for name, v := range map[string]struct {
		method kmip.DerivationMethod
		p      kmip.DerivationParameters
		bases  []Base
		length int
		why    kmip.ResultReason
	}{
		"no such method":         {99, kmip.DerivationParameters{}, []Base{key}, 16, kmip.ResultReasonInvalidField},
		"no base":                {kmip.DerivationMethodHMAC, kmip.DerivationParameters{DerivationData: data}, nil, 16, kmip.ResultReasonInvalidField},
		"three bases":            {kmip.DerivationMethodHMAC, kmip.DerivationParameters{}, []Base{key, secret, secret}, 16, kmip.ResultReasonInvalidField},
		"two keys":               {kmip.DerivationMethodHMAC, kmip.DerivationParameters{}, []Base{key, aesKey}, 16, kmip.ResultReasonInvalidObjectType},
		"data twice":             {kmip.DerivationMethodHMAC, kmip.DerivationParameters{DerivationData: data}, []Base{key, secret}, 16, kmip.ResultReasonInvalidMessage},
		"no data":                {kmip.DerivationMethodHMAC, kmip.DerivationParameters{}, []Base{key}, 16, kmip.ResultReasonInvalidField},
		"data for a hash":        {kmip.DerivationMethodHASH, kmip.DerivationParameters{CryptographicParameters: sha256, DerivationData: data}, []Base{key}, 16, kmip.ResultReasonInvalidMessage},
		"a hash of none":         {kmip.DerivationMethodHASH, kmip.DerivationParameters{}, []Base{key}, 16, kmip.ResultReasonBadCryptographicParameters},
		"longer than a hash":     {kmip.DerivationMethodHASH, kmip.DerivationParameters{CryptographicParameters: sha256}, []Base{key}, 33, kmip.ResultReasonCryptographicFailure},
		"another hash":           {kmip.DerivationMethodHMAC, kmip.DerivationParameters{CryptographicParameters: hashing(kmip.HashingAlgorithmSHA1), DerivationData: data}, []Base{key}, 16, kmip.ResultReasonBadCryptographicParameters},
		"HMAC by AES":            {kmip.DerivationMethodHMAC, kmip.DerivationParameters{DerivationData: data}, []Base{aesKey}, 16, kmip.ResultReasonBadCryptographicParameters},
		"MD5":                    {kmip.DerivationMethodHASH, kmip.DerivationParameters{CryptographicParameters: hashing(kmip.HashingAlgorithmMD5)}, []Base{key}, 16, kmip.ResultReasonUnsupportedCryptographicParameters},
		"a salt for HMAC":        {kmip.DerivationMethodHMAC, kmip.DerivationParameters{DerivationData: data, Salt: []byte("s")}, []Base{key}, 16, kmip.ResultReasonInvalidField},
		"PBKDF2 without salt":    {kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{IterationCount: iterations(1)}, []Base{secret}, 16, kmip.ResultReasonInvalidField},
		"PBKDF2 without count":   {kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{Salt: []byte("s")}, []Base{secret}, 16, kmip.ResultReasonInvalidField},
		"PBKDF2 for minutes":     {kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{Salt: []byte("s"), IterationCount: iterations(1 << 30)}, []Base{secret}, 16, kmip.ResultReasonServerLimitExceeded},
		"PBKDF2 of many blocks":  {kmip.DerivationMethodPBKDF2, kmip.DerivationParameters{Salt: []byte("s"), IterationCount: iterations(1 << 20)}, []Base{secret}, 8192, kmip.ResultReasonServerLimitExceeded},
		"HKDF of too much":       {kmip.DerivationMethodHKDF, kmip.DerivationParameters{}, []Base{secret}, 255*32 + 1, kmip.ResultReasonCryptographicFailure},
		"no length":              {kmip.DerivationMethodHKDF, kmip.DerivationParameters{}, []Base{secret}, 0, kmip.ResultReasonInvalidField},
		"beyond the limit":       {kmip.DerivationMethodHKDF, kmip.DerivationParameters{}, []Base{secret}, longestDerived + 1, kmip.ResultReasonInvalidField},
		"a counter of 9 bits":    {kmip.DerivationMethodNIST800_108C, kmip.DerivationParameters{CryptographicParameters: &kmip.CryptographicParameters{CounterLength: iterations(9)}, DerivationData: data}, []Base{key}, 16, kmip.ResultReasonBadCryptographicParameters},
		"a counter that is full": {kmip.DerivationMethodNIST800_108C, kmip.DerivationParameters{CryptographicParameters: &kmip.CryptographicParameters{CounterLength: iterations(8)}, DerivationData: data}, []Base{key}, 255*32 + 1, kmip.ResultReasonCryptographicFailure},
		"wrapped":                {kmip.DerivationMethodHKDF, kmip.DerivationParameters{}, []Base{wrapped}, 16, kmip.ResultReasonKeyValueNotPresent},
		"in a token":             {kmip.DerivationMethodHKDF, kmip.DerivationParameters{}, []Base{{Key: aesKey.Key}}, 16, kmip.ResultReasonOperationNotSupported},
		"GCM":                    {kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}, DerivationData: data}, []Base{aesKey}, 4, kmip.ResultReasonBadCryptographicParameters},
		"CTR without IV":         {kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCTR}, DerivationData: data}, []Base{aesKey}, 4, kmip.ResultReasonInvalidMessage},
		"Secret Data encrypt":    {kmip.DerivationMethodENCRYPT, kmip.DerivationParameters{CryptographicParameters: ecb, DerivationData: data}, []Base{secret}, 4, kmip.ResultReasonInvalidObjectType},
		"two data":               {kmip.DerivationMethodAWSSignatureVersion4, kmip.DerivationParameters{DerivationData: [][]byte{{1}, {2}}}, []Base{secret}, 32, kmip.ResultReasonInvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Derive(t.Context(), v.method, &v.p, v.bases, v.length)
			require.Equal(t, v.why, kmip.ReasonOf(err), "%v", err)
		})
	}
}

// TestDeriveKeepsTheBase: what is derived of a key and cleared leaves the key as it was.
func TestDeriveKeepsTheBase(t *testing.T) {
	b := keyBase(t, kmip.CryptographicAlgorithmHMACSHA256, "00112233445566778899aabbccddeeff")
	b.Attributes = b.Attributes.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmHMACSHA256)
	p := &kmip.DerivationParameters{DerivationData: [][]byte{[]byte("data")}}
	for range 2 {
		got, err := Derive(t.Context(), kmip.DerivationMethodNIST800_108DPI, p, []Base{b}, 48)
		require.NoError(t, err)
		clear(got)
	}
	require.Equal(t, "00112233445566778899aabbccddeeff", hex.EncodeToString(b.Value.SymmetricKey.KeyBlock.KeyValue.Material))
	require.Equal(t, []byte("data"), p.DerivationData[0])
}
