package soft

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func specification(p *kmip.CryptographicParameters, option kmip.EncodingOption) *kmip.KeyWrappingSpecification {
	return &kmip.KeyWrappingSpecification{
		WrappingMethod:           kmip.WrappingMethodEncrypt,
		EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: "kek", CryptographicParameters: p},
		EncodingOption:           option,
	}
}

// encrypting wraps by encryption alone.
func encrypting(k kmip.Key) *Wrapping { return &Wrapping{Encryption: k, Version: ttlv.V2_1} }

func TestWrapValue(t *testing.T) {
	aes := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	rsa := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	ec := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	transparent, err := Convert(ec.privateValue, Form{Format: kmip.KeyFormatTypeTransparentECPrivateKey})
	require.NoError(t, err)
	symmetric := symmetricValue(kmip.CryptographicAlgorithmAES, unhex(t, aes128))
	secret := &kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword,
		KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{Material: []byte("password")}}}}
	type q = kmip.CryptographicParameters
	const bare, encoded = kmip.EncodingOptionNoEncoding, kmip.EncodingOptionTTLVEncoding
	for name, v := range map[string]struct {
		wrap, unwrap kmip.Key
		p            *q
		option       kmip.EncodingOption
		value        *kmip.Value
	}{
		"default":                     {aes, aes, nil, 0, symmetric},
		"NIST key wrap":               {aes, aes, &q{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}, encoded, symmetric},
		"NIST key wrap, bare":         {aes, aes, &q{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}, bare, symmetric},
		"AES Key Wrap Padding":        {aes, aes, &q{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding}, bare, ec.privateValue},
		"GCM":                         {aes, aes, &q{BlockCipherMode: kmip.BlockCipherModeGCM}, encoded, secret},
		"CBC":                         {aes, aes, &q{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}, bare, secret},
		"transparent":                 {aes, aes, nil, 0, transparent},
		"public key":                  {aes, aes, nil, 0, ec.publicValue},
		"RSA-OAEP":                    {rsa.public, rsa.private, &q{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256}, bare, symmetric},
		"RSA PKCS#1 v1.5":             {rsa.public, rsa.private, &q{PaddingMethod: kmip.PaddingMethodPKCS1v15}, encoded, symmetric},
		"RSA-OAEP without parameters": {rsa.public, rsa.private, nil, bare, symmetric},
	} {
		t.Run(name, func(t *testing.T) {
			object, plain := v.value.ObjectType(), v.value.KeyBlock()
			wrapped, err := encrypting(v.wrap).WrapValue(context.Background(), specification(v.p, v.option), v.value, nil)
			require.NoError(t, err)
			b := wrapped.KeyBlock()
			require.Nil(t, plain.KeyWrappingData, "the value was not changed")
			require.Equal(t, plain.CryptographicLength, b.CryptographicLength)
			require.EqualValues(t, "kek", b.KeyWrappingData.EncryptionKeyInformation.UniqueIdentifier)
			require.Equal(t, v.option, b.KeyWrappingData.EncodingOption)
			if plain.KeyValue.Material != nil {
				require.NotContains(t, string(b.KeyValue.Wrapped), string(plain.KeyValue.Material))
			}
			require.NoError(t, Check(object, wrapped))

			// It survives the wire.
			sent, err := ttlv.Append(nil, ttlv.V1_4, ttlv.TagKeyBlock, b)
			require.NoError(t, err)
			received := new(kmip.KeyBlock)
			require.NoError(t, ttlv.Unmarshal(sent, ttlv.V1_4, ttlv.TagKeyBlock, received, nil))

			back, err := encrypting(v.unwrap).UnwrapValue(context.Background(), withBlock(v.value, *received))
			require.NoError(t, err)
			require.Equal(t, v.value, back)

			received.KeyValue.Wrapped = clone(received.KeyValue.Wrapped)
			received.KeyValue.Wrapped[len(received.KeyValue.Wrapped)-1] ^= 1
			_, err = encrypting(v.unwrap).UnwrapValue(context.Background(), withBlock(v.value, *received))
			require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
		})
	}
}

// Test 4.1 of RFC 3394, as a client that knows nothing of this program wraps it.
func TestUnwrapValueOfOthers(t *testing.T) {
	kek := openKey(t, kmip.CryptographicAlgorithmAES, "000102030405060708090A0B0C0D0E0F")
	wrapped := unhex(t, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")
	for name, kv := range map[string]*kmip.KeyValue{
		"in the Key Value":    {Wrapped: wrapped},
		"in the Key Material": {Material: wrapped},
	} {
		t.Run(name, func(t *testing.T) {
			v := symmetricValue(kmip.CryptographicAlgorithmAES, nil)
			b := &v.SymmetricKey.KeyBlock
			b.KeyValue, b.CryptographicLength = kv, 128
			b.KeyWrappingData = &kmip.KeyWrappingData{WrappingMethod: kmip.WrappingMethodEncrypt, EncodingOption: kmip.EncodingOptionNoEncoding,
				EncryptionKeyInformation: &kmip.EncryptionKeyInformation{CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}}}
			got, err := encrypting(kek).UnwrapValue(context.Background(), v)
			require.NoError(t, err)
			require.Equal(t, unhex(t, "00112233445566778899AABBCCDDEEFF"), got.SymmetricKey.KeyBlock.KeyValue.Material)

			b.KeyWrappingData.EncodingOption = 0
			_, err = encrypting(kek).UnwrapValue(context.Background(), v)
			require.Equal(t, kmip.ResultReasonEncodingOptionError, kmip.ReasonOf(err), "no TTLV is inside")

			b.KeyWrappingData.EncryptionKeyInformation.CryptographicParameters = nil
			_, err = encrypting(kek).UnwrapValue(context.Background(), v)
			require.Equal(t, errDecryption, err, "the mode may be one that authenticates nothing")
		})
	}
}

// Attributes inside a wrapped Key Value have the shape of their version.
func TestUnwrapValueAttributes(t *testing.T) {
	kek := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
	for _, version := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_0, ttlv.V2_1} {
		kv := &kmip.KeyValue{Material: unhex(t, aes256), Attributes: kmip.Attributes(nil).With(ttlv.TagCryptographicLength, int32(256))}
		plain, err := ttlv.Append(nil, version, ttlv.TagKeyValue, kv)
		require.NoError(t, err)
		wrapped, err := kek.Wrap(context.Background(), nil, plain)
		require.NoError(t, err)
		v := symmetricValue(kmip.CryptographicAlgorithmAES, nil)
		v.SymmetricKey.KeyBlock.KeyValue = &kmip.KeyValue{Wrapped: wrapped}
		v.SymmetricKey.KeyBlock.KeyWrappingData = &kmip.KeyWrappingData{WrappingMethod: kmip.WrappingMethodEncrypt, EncryptionKeyInformation: &kmip.EncryptionKeyInformation{}}
		got, err := encrypting(kek).UnwrapValue(context.Background(), v)
		require.NoError(t, err, version)
		require.Equal(t, kv.Material, got.SymmetricKey.KeyBlock.KeyValue.Material)
		require.EqualValues(t, 256, got.SymmetricKey.KeyBlock.KeyValue.Attributes.Length())
	}
}

// The nonce of GCM may stand in the Key Wrapping Data.
func TestUnwrapValueSeparateNonce(t *testing.T) {
	kek := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}
	v, err := encrypting(kek).WrapValue(context.Background(), specification(p, kmip.EncodingOptionNoEncoding), symmetricValue(kmip.CryptographicAlgorithmAES, unhex(t, aes192)), nil)
	require.NoError(t, err)
	b := &v.SymmetricKey.KeyBlock
	b.KeyWrappingData.IVCounterNonce, b.KeyValue.Wrapped = b.KeyValue.Wrapped[:12], b.KeyValue.Wrapped[12:]
	got, err := encrypting(kek).UnwrapValue(context.Background(), v)
	require.NoError(t, err)
	require.Equal(t, unhex(t, aes192), got.SymmetricKey.KeyBlock.KeyValue.Material)
	b.KeyWrappingData.EncryptionKeyInformation.CryptographicParameters = nil
	_, err = encrypting(kek).UnwrapValue(context.Background(), v)
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "an IV that nothing uses")
}

func TestWrapValueRefuses(t *testing.T) {
	kek := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
	key := symmetricValue(kmip.CryptographicAlgorithmAES, unhex(t, aes256))
	ec := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	transparent, err := Convert(ec.privateValue, Form{Format: kmip.KeyFormatTypeTransparentECPrivateKey})
	require.NoError(t, err)
	wrapped, err := encrypting(kek).WrapValue(context.Background(), specification(nil, 0), key, nil)
	require.NoError(t, err)
	type spec = kmip.KeyWrappingSpecification
	for name, v := range map[string]struct {
		change func(*spec)
		value  *kmip.Value
		want   kmip.ResultReason
	}{
		"TR-31":               {func(s *spec) { s.WrappingMethod = kmip.WrappingMethodTR31 }, key, kmip.ResultReasonKeyWrapTypeNotSupported},
		"MAC":                 {func(s *spec) { s.WrappingMethod = kmip.WrappingMethodMACSign }, key, kmip.ResultReasonInvalidField},
		"MAC as well":         {func(s *spec) { s.MACSignatureKeyInformation = new(kmip.MACSignatureKeyInformation) }, key, kmip.ResultReasonInvalidField},
		"no key":              {func(s *spec) { s.EncryptionKeyInformation = nil }, key, kmip.ResultReasonInvalidField},
		"unknown encoding":    {func(s *spec) { s.EncodingOption = 3 }, key, kmip.ResultReasonEncodingOptionError},
		"transparent, bare":   {func(s *spec) { s.EncodingOption = kmip.EncodingOptionNoEncoding }, transparent, kmip.ResultReasonEncodingOptionError},
		"DER, bare, key wrap": {func(s *spec) { s.EncodingOption = kmip.EncodingOptionNoEncoding }, ec.publicValue, kmip.ResultReasonInvalidField},
		"wrapped already":     {func(*spec) {}, wrapped, kmip.ResultReasonKeyWrapTypeNotSupported},
		"opaque":              {func(*spec) {}, &kmip.Value{OpaqueObject: &kmip.OpaqueObject{}}, kmip.ResultReasonIllegalObjectType},
		"no value":            {func(*spec) {}, &kmip.Value{SymmetricKey: &kmip.PlainKey{}}, kmip.ResultReasonKeyValueNotPresent},
		"PCBC": {func(s *spec) {
			s.EncryptionKeyInformation.CryptographicParameters = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModePCBC}
		}, key, kmip.ResultReasonUnsupportedCryptographicParameters},
		"key wrap, padding": {func(s *spec) {
			s.EncryptionKeyInformation.CryptographicParameters = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap, PaddingMethod: kmip.PaddingMethodPKCS5}
		}, key, kmip.ResultReasonBadCryptographicParameters},
		"GCM, short tag": {func(s *spec) {
			s.EncryptionKeyInformation.CryptographicParameters = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, TagLength: new32(12)}
		}, key, kmip.ResultReasonUnsupportedCryptographicParameters},
	} {
		t.Run(name, func(t *testing.T) {
			s := specification(nil, 0)
			v.change(s)
			_, err := encrypting(kek).WrapValue(context.Background(), s, v.value, nil)
			require.Equal(t, v.want, kmip.ReasonOf(err), "%v", err)
		})
	}
	_, err = encrypting(kek).UnwrapValue(context.Background(), key)
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "not wrapped")
}

// A key that is for wrapping by its own parameters wraps in that mode when nobody names one.
func TestWrapOwnParameters(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes128,
		kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC},
		kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding})
	wrapped, err := k.Wrap(context.Background(), nil, []byte("odd"))
	require.NoError(t, err)
	require.Len(t, wrapped, 16)
	plain, err := k.Unwrap(context.Background(), &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding}, wrapped)
	require.NoError(t, err)
	require.Equal(t, "odd", string(plain))
	_, err = k.Wrap(context.Background(), &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC}, []byte("odd"))
	require.Equal(t, kmip.ResultReasonUnsupportedCryptographicParameters, kmip.ReasonOf(err))
}

// What authenticates does so over what the method says, and what is changed on the way is refused with one error.
func TestWrapValueAuthenticated(t *testing.T) {
	aes := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	hmac := openKey(t, kmip.CryptographicAlgorithmHMACSHA256, aes256)
	ec := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	key := symmetricValue(kmip.CryptographicAlgorithmAES, unhex(t, aes128))
	cbc := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5, RandomIV: new(true)}
	for _, method := range []kmip.WrappingMethod{kmip.WrappingMethodMACSign, kmip.WrappingMethodEncryptThenMACSign, kmip.WrappingMethodMACSignThenEncrypt} {
		for name, authentication := range map[string][2]kmip.Key{"MAC": {hmac, hmac}, "CMAC": {aes, aes}, "signature": {ec.private, ec.public}} {
			for _, option := range []kmip.EncodingOption{0, kmip.EncodingOptionNoEncoding, kmip.EncodingOptionTTLVEncoding} {
				s := specification(cbc, option)
				s.WrappingMethod = method
				s.MACSignatureKeyInformation = &kmip.MACSignatureKeyInformation{UniqueIdentifier: "mac"}
				if name == "CMAC" {
					s.MACSignatureKeyInformation.CryptographicParameters = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCMAC}
				}
				if method == kmip.WrappingMethodMACSign {
					s.EncryptionKeyInformation = nil
				}
				wrapping := &Wrapping{Encryption: aes, Authentication: authentication[0], Signs: name == "signature", Version: ttlv.V1_4}
				unwrapping := &Wrapping{Encryption: aes, Authentication: authentication[1], Signs: name == "signature", Version: ttlv.V1_4}
				v, err := wrapping.WrapValue(context.Background(), s, key, nil)
				require.NoError(t, err, "%v %s", method, name)
				require.NoError(t, Check(kmip.ObjectTypeSymmetricKey, v))
				require.NotEmpty(t, v.SymmetricKey.KeyBlock.KeyWrappingData.MACSignature)
				back, err := unwrapping.UnwrapValue(context.Background(), v)
				require.NoError(t, err, "%v %s", method, name)
				require.Equal(t, key.SymmetricKey.KeyBlock.KeyValue.Material, back.SymmetricKey.KeyBlock.KeyValue.Material)
				require.Nil(t, back.SymmetricKey.KeyBlock.KeyWrappingData)

				b := &v.SymmetricKey.KeyBlock
				for _, bytes := range [][]byte{b.KeyValue.Wrapped, b.KeyWrappingData.MACSignature} {
					bytes[len(bytes)-1] ^= 1
					_, err = unwrapping.UnwrapValue(context.Background(), v)
					require.Equal(t, errDecryption, err, "%v %s", method, name)
					bytes[len(bytes)-1] ^= 1
				}
				b.KeyWrappingData.MACSignature = nil
				_, err = unwrapping.UnwrapValue(context.Background(), v)
				require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
			}
		}
	}
}

// A Key Value that is authenticated and not encrypted may also stand there as it is.
func TestUnwrapValueInClear(t *testing.T) {
	hmac := openKey(t, kmip.CryptographicAlgorithmHMACSHA256, aes256)
	w := &Wrapping{Authentication: hmac, Version: ttlv.V2_1}
	s := &kmip.KeyWrappingSpecification{WrappingMethod: kmip.WrappingMethodMACSign, MACSignatureKeyInformation: new(kmip.MACSignatureKeyInformation)}
	key := symmetricValue(kmip.CryptographicAlgorithmAES, unhex(t, aes128))
	v, err := w.WrapValue(context.Background(), s, key, nil)
	require.NoError(t, err)
	v.SymmetricKey.KeyBlock.KeyValue = key.SymmetricKey.KeyBlock.KeyValue
	back, err := w.UnwrapValue(context.Background(), v)
	require.NoError(t, err)
	require.Equal(t, key.SymmetricKey.KeyBlock.KeyValue.Material, back.SymmetricKey.KeyBlock.KeyValue.Material)
	v.SymmetricKey.KeyBlock.KeyValue = &kmip.KeyValue{Material: make([]byte, 16)}
	_, err = w.UnwrapValue(context.Background(), v)
	require.Equal(t, errDecryption, err)
}

// The attributes that are wrapped have the shape of the version, and come back.
func TestWrapValueAttributes(t *testing.T) {
	aes := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	key := symmetricValue(kmip.CryptographicAlgorithmAES, unhex(t, aes128))
	a := kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}
	for _, version := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
		w := &Wrapping{Encryption: aes, Version: version}
		v, err := w.WrapValue(context.Background(), specification(nil, 0), key, a)
		require.NoError(t, err)
		plain, err := aes.Unwrap(context.Background(), nil, v.SymmetricKey.KeyBlock.KeyValue.Wrapped)
		require.NoError(t, err)
		want, err := ttlv.Append(nil, version, ttlv.TagKeyValue, &kmip.KeyValue{Material: unhex(t, aes128), Attributes: a})
		require.NoError(t, err)
		require.Equal(t, want, plain)
		back, err := w.UnwrapValue(context.Background(), v)
		require.NoError(t, err)
		require.Equal(t, a.UsageMask(), back.SymmetricKey.KeyBlock.KeyValue.Attributes.UsageMask())
		_, err = w.WrapValue(context.Background(), specification(nil, kmip.EncodingOptionNoEncoding), key, a)
		require.Equal(t, kmip.ResultReasonEncodingOptionError, kmip.ReasonOf(err))
	}
}
