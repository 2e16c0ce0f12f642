package soft

import (
	"context"
	"crypto/hmac"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A Wrapping has the keys that wrap another, or unwrap it: those that a Key Wrapping Specification, or Key Wrapping Data, names.
type Wrapping struct {
	Encryption     kmip.Key                      // nil: the Wrapping Method does not encrypt
	Parameters     *kmip.CryptographicParameters // of the encryption; nil: those of the Encryption Key Information
	Authentication kmip.Key                      // nil: the method does not authenticate
	Signs          bool                          // Authentication is asymmetric: it signs, or verifies a signature
	Version        ttlv.Version                  // of the TTLV that is wrapped: attributes in it have another shape in 2.x than in 1.x
}

// parameters are those of the encryption.
func (w *Wrapping) parameters(e *kmip.EncryptionKeyInformation) *kmip.CryptographicParameters {
	return either(w.Parameters, e.CryptographicParameters)
}

// Encrypts says whether Cryptographic Parameters of a key can be meant for encryption.
func Encrypts(p *kmip.CryptographicParameters) bool {
	return !forMAC(p) && p.PaddingMethod != kmip.PaddingMethodPSS && p.DigitalSignatureAlgorithm == 0
}

// methods gives what a Wrapping Method does (KMIP 2.1 §3.3, KMIP 1.4 §2.1.5).
var methods = map[kmip.WrappingMethod]struct{ encrypts, authenticates, authenticatesFirst bool }{
	kmip.WrappingMethodEncrypt:            {encrypts: true},
	kmip.WrappingMethodMACSign:            {authenticates: true},
	kmip.WrappingMethodEncryptThenMACSign: {encrypts: true, authenticates: true},
	kmip.WrappingMethodMACSignThenEncrypt: {encrypts: true, authenticates: true, authenticatesFirst: true},
}

// CheckMethod refuses a Wrapping Method that is not supported, and one to which the keys that are named do not fit. It tells
// whether the method encrypts.
func CheckMethod(m kmip.WrappingMethod, encryption *kmip.EncryptionKeyInformation, authentication *kmip.MACSignatureKeyInformation) (encrypts bool, err error) {
	does, ok := methods[m]
	switch {
	case !ok:
		return false, kmip.Errorf(kmip.ResultReasonKeyWrapTypeNotSupported, "the Wrapping Method %v is not supported", m)
	case does.encrypts != (encryption != nil):
		return false, invalid("the Wrapping Method %v and the Encryption Key Information do not go together", m)
	case does.authenticates != (authentication != nil):
		return false, invalid("the Wrapping Method %v and the MAC/Signature Key Information do not go together", m)
	}
	return does.encrypts, nil
}

// WrapValue gives v with its Key Value wrapped, as a Key Wrapping Specification asks (KMIP 2.1 §3.3, §7.18); the keys may be a
// token's. What is wrapped is the Key Material (Encoding Option No Encoding), or the TTLV of the Key Value with the attributes
// (TTLV Encoding, which is also meant when there is no option). A MAC or signature is of what the Key Value holds: of the
// encrypted one, or of the one to be encrypted, as the method has it.
//
// The modes that Key.Wrap has are its own: with GCM, the Key Value is nonce, ciphertext and tag. In any other mode it is
// what Encrypt answers, and its IV is in the Key Wrapping Data.
func (w *Wrapping) WrapValue(ctx context.Context, s *kmip.KeyWrappingSpecification, v *kmip.Value, a kmip.Attributes) (*kmip.Value, error) {
	if _, err := CheckMethod(s.WrappingMethod, s.EncryptionKeyInformation, s.MACSignatureKeyInformation); err != nil {
		return nil, err
	}
	block := v.KeyBlock()
	switch {
	case block == nil:
		return nil, kmip.Errorf(kmip.ResultReasonIllegalObjectType, "an object without a Key Block cannot be wrapped")
	case block.KeyWrappingData != nil:
		return nil, kmip.Errorf(kmip.ResultReasonKeyWrapTypeNotSupported, "the object is wrapped already")
	case block.KeyValue == nil:
		return nil, errNoKeyValue
	}
	plain, err := w.encoded(block.KeyValue, s.EncodingOption, a)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	d := &kmip.KeyWrappingData{
		WrappingMethod: s.WrappingMethod, EncodingOption: s.EncodingOption,
		EncryptionKeyInformation: s.EncryptionKeyInformation, MACSignatureKeyInformation: s.MACSignatureKeyInformation,
	}
	wrapped, err := w.wrap(ctx, d, plain)
	if err != nil {
		return nil, err
	}
	b := *block
	b.KeyValue, b.KeyWrappingData = &kmip.KeyValue{Wrapped: wrapped}, d
	return withBlock(v, b), nil
}

// wrap computes what the method says, and completes the Key Wrapping Data.
func (w *Wrapping) wrap(ctx context.Context, d *kmip.KeyWrappingData, plain []byte) (out []byte, err error) {
	does := methods[d.WrappingMethod]
	if does.authenticates && (does.authenticatesFirst || !does.encrypts) {
		if d.MACSignature, err = w.authenticate(ctx, d, plain); err != nil {
			return nil, err
		}
	}
	out = clone(plain)
	if does.encrypts {
		clear(out)
		if out, d.IVCounterNonce, err = wrapBytes(ctx, w.Encryption, w.parameters(d.EncryptionKeyInformation), plain); err != nil {
			return nil, err
		}
	}
	if does.authenticates && does.encrypts && !does.authenticatesFirst {
		d.MACSignature, err = w.authenticate(ctx, d, out)
	}
	return out, err
}

// authenticate computes the MAC or signature of a Key Value.
func (w *Wrapping) authenticate(ctx context.Context, d *kmip.KeyWrappingData, data []byte) ([]byte, error) {
	p := d.MACSignatureKeyInformation.CryptographicParameters
	if w.Signs {
		r, err := w.Authentication.Sign(ctx, &kmip.SignRequest{CryptographicParameters: p, Data: data})
		if err != nil {
			return nil, err
		}
		return r.SignatureData, nil
	}
	r, err := w.Authentication.MAC(ctx, &kmip.MACRequest{CryptographicParameters: p, Data: data})
	if err != nil {
		return nil, err
	}
	return r.MACData, nil
}

// verify refuses a Key Value whose MAC or signature does not hold.
func (w *Wrapping) verify(ctx context.Context, d *kmip.KeyWrappingData, data []byte) error {
	if len(d.MACSignature) == 0 {
		return invalid("the Wrapping Method is %v, and there is no MAC/Signature", d.WrappingMethod)
	}
	if !w.Signs {
		mac, err := w.authenticate(ctx, d, data)
		if err != nil {
			return err
		}
		defer clear(mac)
		if !hmac.Equal(mac, d.MACSignature) {
			return errDecryption
		}
		return nil
	}
	r, err := w.Authentication.SignatureVerify(ctx, &kmip.SignatureVerifyRequest{
		CryptographicParameters: d.MACSignatureKeyInformation.CryptographicParameters, Data: data, SignatureData: d.MACSignature,
	})
	if err != nil {
		return err
	}
	if r.ValidityIndicator != kmip.ValidityIndicatorValid {
		return errDecryption
	}
	return nil
}

// UnwrapValue is the inverse of WrapValue, by v's own Key Wrapping Data; attributes that were wrapped are in the Key Value. The
// wrapped Key Value may also stand where some clients put it, in the Key Material. The caller clears the material of the answer.
func (w *Wrapping) UnwrapValue(ctx context.Context, v *kmip.Value) (*kmip.Value, error) {
	block := v.KeyBlock()
	if block == nil || block.KeyWrappingData == nil || block.KeyValue == nil {
		return nil, invalid("the object is not wrapped")
	}
	d := block.KeyWrappingData
	encrypts, err := CheckMethod(d.WrappingMethod, d.EncryptionKeyInformation, d.MACSignatureKeyInformation)
	if err != nil {
		return nil, err
	}
	if !methods[d.WrappingMethod].authenticates && len(d.MACSignature) > 0 {
		return nil, invalid("the Wrapping Method is %v, and there is a MAC/Signature", d.WrappingMethod)
	}
	wrapped := firstOf(block.KeyValue.Wrapped, block.KeyValue.Material)
	if !encrypts && block.KeyValue.Wrapped == nil { // authenticated, and in clear as it may be
		if wrapped, err = w.encoded(block.KeyValue, d.EncodingOption, block.KeyValue.Attributes); err != nil {
			return nil, err
		}
	}
	plain, err := w.unwrap(ctx, d, wrapped)
	if err != nil {
		return nil, err
	}
	kv, err := decoded(plain, d.EncodingOption)
	if err != nil {
		clear(plain)
		if encrypts && !authenticated(w.parameters(d.EncryptionKeyInformation)) && !methods[d.WrappingMethod].authenticates {
			return nil, errDecryption // that something came out must not be told apart
		}
		return nil, err
	}
	b := *block
	b.KeyValue, b.KeyWrappingData = kv, nil
	return withBlock(v, b), nil
}

// unwrap undoes what the method did, in the other order.
func (w *Wrapping) unwrap(ctx context.Context, d *kmip.KeyWrappingData, wrapped []byte) (plain []byte, err error) {
	does := methods[d.WrappingMethod]
	if does.authenticates && !does.authenticatesFirst {
		if err := w.verify(ctx, d, wrapped); err != nil {
			return nil, err
		}
	}
	if !does.encrypts {
		return clone(wrapped), nil
	}
	if plain, err = unwrapBytes(ctx, w.Encryption, w.parameters(d.EncryptionKeyInformation), d.IVCounterNonce, wrapped); err != nil {
		return nil, err
	}
	if does.authenticatesFirst {
		if err := w.verify(ctx, d, plain); err != nil {
			clear(plain)
			return nil, err
		}
	}
	return plain, nil
}

// encoded is what is to be wrapped; the caller clears it.
func (w *Wrapping) encoded(kv *kmip.KeyValue, option kmip.EncodingOption, a kmip.Attributes) ([]byte, error) {
	switch option {
	case kmip.EncodingOptionNoEncoding:
		switch {
		case kv.Components != nil:
			return nil, kmip.Errorf(kmip.ResultReasonEncodingOptionError, "a transparent key cannot be wrapped without an encoding")
		case len(a) > 0:
			return nil, kmip.Errorf(kmip.ResultReasonEncodingOptionError, "attributes cannot be wrapped without an encoding")
		}
		return clone(kv.Material), nil
	case 0, kmip.EncodingOptionTTLVEncoding:
		bare := &kmip.KeyValue{Material: kv.Material, Components: kv.Components, Attributes: a}
		room := make([]byte, 0, len(kv.Material)+longestDER) // so that growing leaves no copies behind
		return ttlv.Append(room, w.Version, ttlv.TagKeyValue, bare)
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

// WithKeyValue is v with another Key Value.
func WithKeyValue(v *kmip.Value, kv *kmip.KeyValue) *kmip.Value {
	b := *v.KeyBlock()
	b.KeyValue = kv
	return withBlock(v, b)
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
