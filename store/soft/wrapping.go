package soft

import (
	"context"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// WrapValue gives v with its Key Value wrapped by key, as a Key Wrapping Specification asks (KMIP 2.1 §3.3, §7.18); key may
// be a token's. The Wrapping Method is Encrypt. What is wrapped is the Key Material (Encoding Option No Encoding), or the
// TTLV of the Key Value without attributes (TTLV Encoding, which is also meant when there is no option).
//
// The modes that Key.Wrap has are its own: with GCM, the Key Value is nonce, ciphertext and tag. In any other mode it is
// what Encrypt answers, and its IV is in the Key Wrapping Data.
func WrapValue(ctx context.Context, key kmip.Key, s *kmip.KeyWrappingSpecification, v *kmip.Value) (*kmip.Value, error) {
	if err := checkWrapping(s.WrappingMethod, s.EncryptionKeyInformation, s.MACSignatureKeyInformation); err != nil {
		return nil, err
	}
	if len(s.AttributeName) > 0 {
		return nil, kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "wrapping attributes with a key is not supported")
	}
	block := v.KeyBlock()
	switch {
	case block == nil:
		return nil, kmip.Errorf(kmip.ResultReasonIllegalObjectType, "an object without a Key Block cannot be wrapped")
	case block.KeyWrappingData != nil:
		return nil, kmip.Errorf(kmip.ResultReasonKeyWrapTypeNotSupported, "the object is wrapped already")
	case block.KeyValue == nil:
		return nil, kmip.Errorf(kmip.ResultReasonKeyValueNotPresent, "the object has no Key Value")
	}
	plain, err := encoded(block.KeyValue, s.EncodingOption)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	wrapped, iv, err := wrapBytes(ctx, key, s.EncryptionKeyInformation.CryptographicParameters, plain)
	if err != nil {
		return nil, err
	}
	b := *block
	b.KeyValue = &kmip.KeyValue{Wrapped: wrapped}
	b.KeyWrappingData = &kmip.KeyWrappingData{
		WrappingMethod:           s.WrappingMethod,
		EncryptionKeyInformation: s.EncryptionKeyInformation,
		IVCounterNonce:           iv,
		EncodingOption:           s.EncodingOption,
	}
	return withBlock(v, b), nil
}

// UnwrapValue is the inverse of WrapValue, by v's own Key Wrapping Data. The wrapped Key Value may also stand where some
// clients put it, in the Key Material. The caller clears the material of the answer.
func UnwrapValue(ctx context.Context, key kmip.Key, v *kmip.Value) (*kmip.Value, error) {
	block := v.KeyBlock()
	if block == nil || block.KeyWrappingData == nil || block.KeyValue == nil {
		return nil, invalid("the object is not wrapped")
	}
	d := block.KeyWrappingData
	if err := checkWrapping(d.WrappingMethod, d.EncryptionKeyInformation, d.MACSignatureKeyInformation); err != nil {
		return nil, err
	}
	if len(d.MACSignature) > 0 {
		return nil, kmip.Errorf(kmip.ResultReasonKeyWrapTypeNotSupported, "a MAC or signature of a wrapped key is not supported")
	}
	wrapped := firstOf(block.KeyValue.Wrapped, block.KeyValue.Material)
	plain, err := unwrapBytes(ctx, key, d.EncryptionKeyInformation.CryptographicParameters, d.IVCounterNonce, wrapped)
	if err != nil {
		return nil, err
	}
	kv, err := decoded(plain, d.EncodingOption)
	if err != nil {
		clear(plain)
		if !authenticated(d.EncryptionKeyInformation.CryptographicParameters) {
			return nil, errDecryption // that something came out must not be told apart
		}
		return nil, err
	}
	b := *block
	b.KeyValue, b.KeyWrappingData = kv, nil
	return withBlock(v, b), nil
}

// checkWrapping refuses wrapping that is anything but encryption.
func checkWrapping(m kmip.WrappingMethod, e *kmip.EncryptionKeyInformation, s *kmip.MACSignatureKeyInformation) error {
	switch {
	case m != kmip.WrappingMethodEncrypt || s != nil:
		return kmip.Errorf(kmip.ResultReasonKeyWrapTypeNotSupported, "the Wrapping Method %v is not supported: Encrypt alone is", m)
	case e == nil:
		return invalid("the Encryption Key Information is missing")
	}
	return nil
}

// encoded is what is to be wrapped; the caller clears it.
func encoded(kv *kmip.KeyValue, option kmip.EncodingOption) ([]byte, error) {
	switch option {
	case kmip.EncodingOptionNoEncoding:
		if kv.Components != nil {
			return nil, kmip.Errorf(kmip.ResultReasonEncodingOptionError, "a transparent key cannot be wrapped without an encoding")
		}
		return clone(kv.Material), nil
	case 0, kmip.EncodingOptionTTLVEncoding:
		bare := &kmip.KeyValue{Material: kv.Material, Components: kv.Components}
		room := make([]byte, 0, len(kv.Material)+longestDER) // so that growing leaves no copies behind
		return ttlv.Append(room, ttlv.V2_1, ttlv.TagKeyValue, bare)
	}
	return nil, kmip.Errorf(kmip.ResultReasonEncodingOptionError, "the Encoding Option %v is not supported", option)
}

// decoded is the Key Value of what was unwrapped; it borrows plain. Attributes within have one shape in KMIP 2.x and
// another in 1.x.
func decoded(plain []byte, option kmip.EncodingOption) (*kmip.KeyValue, error) {
	switch option {
	case kmip.EncodingOptionNoEncoding:
		return &kmip.KeyValue{Material: plain}, nil
	case 0, kmip.EncodingOptionTTLVEncoding:
		for _, version := range []ttlv.Version{ttlv.V2_1, ttlv.V1_4} {
			kv := new(kmip.KeyValue)
			if ttlv.Unmarshal(plain, version, ttlv.TagKeyValue, kv, nil) == nil && kv.Wrapped == nil {
				return kv, nil
			}
		}
		return nil, kmip.Errorf(kmip.ResultReasonEncodingOptionError, "what was unwrapped is no TTLV of a Key Value")
	}
	return nil, kmip.Errorf(kmip.ResultReasonEncodingOptionError, "the Encoding Option %v is not supported", option)
}

// wrapBytes wraps with Key.Wrap where that has the mode, else with Encrypt, which may answer an IV. A tag stands at the end.
func wrapBytes(ctx context.Context, key kmip.Key, p *kmip.CryptographicParameters, plain []byte) (wrapped, iv []byte, err error) {
	if !byEncrypt(p) {
		wrapped, err = key.Wrap(ctx, p, plain)
		return wrapped, nil, err
	}
	r, err := key.Encrypt(ctx, &kmip.EncryptRequest{CryptographicParameters: p, Data: plain})
	if err != nil {
		return nil, nil, err
	}
	return append(r.Data, r.AuthenticatedEncryptionTag...), r.IVCounterNonce, nil
}

// unwrapBytes is the inverse of wrapBytes. The nonce of GCM may stand apart.
func unwrapBytes(ctx context.Context, key kmip.Key, p *kmip.CryptographicParameters, iv, wrapped []byte) ([]byte, error) {
	if byEncrypt(p) {
		r, err := key.Decrypt(ctx, &kmip.DecryptRequest{CryptographicParameters: p, Data: wrapped, IVCounterNonce: iv})
		if err != nil {
			return nil, err
		}
		return r.Data, nil
	}
	if len(iv) > 0 {
		if p == nil || p.BlockCipherMode != kmip.BlockCipherModeGCM {
			return nil, invalid("the IV/Counter/Nonce of the wrapped key has no use")
		}
		wrapped = append(clone(iv), wrapped...)
	}
	return key.Unwrap(ctx, p, wrapped)
}

// byEncrypt says whether the mode is one of Encrypt and not of Wrap.
func byEncrypt(p *kmip.CryptographicParameters) bool {
	if p == nil || p.BlockCipherMode == 0 || p.BlockCipherMode == kmip.BlockCipherModeGCM {
		return false
	}
	_, ok := wrapModes[p.BlockCipherMode]
	return !ok
}

// authenticated says whether what unwraps in that mode is what was wrapped.
func authenticated(p *kmip.CryptographicParameters) bool {
	switch {
	case p == nil:
		return false
	case p.BlockCipherMode == kmip.BlockCipherModeCCM || p.BlockCipherMode == kmip.BlockCipherModeAEAD:
		return true
	}
	return !byEncrypt(p) && (p.BlockCipherMode != 0 || p.PaddingMethod == kmip.PaddingMethodOAEP)
}

// withBlock is v with another key block.
func withBlock(v *kmip.Value, b kmip.KeyBlock) *kmip.Value {
	switch {
	case v.SymmetricKey != nil:
		return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: b}}
	case v.PrivateKey != nil:
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: b}}
	case v.PublicKey != nil:
		return &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: b}}
	case v.SecretData != nil:
		s := *v.SecretData
		s.KeyBlock = b
		return &kmip.Value{SecretData: &s}
	case v.SplitKey != nil:
		s := *v.SplitKey
		s.KeyBlock = b
		return &kmip.Value{SplitKey: &s}
	case v.PGPKey != nil:
		k := *v.PGPKey
		k.KeyBlock = b
		return &kmip.Value{PGPKey: &k}
	}
	return nil
}
