package server

import (
	"context"
	"errors"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// carrier is the backend of tokens, if it carries keys that other keys of a token wrap; nil for any other key.
func (r *Request) carrier(uid string) kmip.Carrier {
	if _, _, token, _ := kmip.HSMKey(uid); !token {
		return nil
	}
	c, _ := r.server.HSM.(kmip.Carrier)
	return c
}

// simply refuses what a token does not do beside wrapping: it encrypts the bare material.
func simply(method kmip.WrappingMethod, option kmip.EncodingOption) error {
	switch {
	case method != kmip.WrappingMethodEncrypt:
		return &kmip.CannotCarry{Why: kmip.Errorf(kmip.ResultReasonKeyWrapTypeNotSupported, "a token wraps by the Wrapping Method Encrypt, not %v", method)}
	case option != kmip.EncodingOptionNoEncoding:
		return &kmip.CannotCarry{Why: kmip.Errorf(kmip.ResultReasonEncodingOptionError, "a token wraps the bare material: the Encoding Option is No Encoding")}
	}
	return nil
}

// carryOut gives the material of a key in a token, wrapped there, so that it is nowhere else in clear. The answer is nil where that
// is not done and need not be: the key is not sensitive. KMIP 2.1 §7.18.
func (r *Request) carryOut(o *kmip.Object, w wish, by *wrapper) (*kmip.Value, error) {
	carrier := r.carrier(o.UniqueIdentifier)
	if carrier == nil || o.ObjectType() == kmip.ObjectTypePublicKey {
		return nil, nil
	}
	v, err := r.carried(carrier, o, w, by)
	var cannot *kmip.CannotCarry
	switch {
	case errors.As(err, &cannot) && o.Attributes.Sensitive():
		return nil, kmip.Errorf(kmip.ResultReasonSensitive, "%q is sensitive, and leaves its token only as the token wraps it: %w", o.UniqueIdentifier, cannot.Why)
	case cannot != nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	v.KeyBlock().KeyWrappingData = &kmip.KeyWrappingData{
		WrappingMethod: w.wrapping.WrappingMethod, EncodingOption: w.wrapping.EncodingOption,
		EncryptionKeyInformation: w.wrapping.EncryptionKeyInformation,
	}
	return v, r.count(by.encryption, wrapsKeys, len(v.KeyBlock().KeyValue.Wrapped))
}

func (r *Request) carried(carrier kmip.Carrier, o *kmip.Object, w wish, by *wrapper) (*kmip.Value, error) {
	if err := simply(w.wrapping.WrappingMethod, w.wrapping.EncodingOption); err != nil {
		return nil, err
	}
	if len(w.wrapping.AttributeName) > 0 {
		return nil, &kmip.CannotCarry{Why: kmip.Errorf(kmip.ResultReasonEncodingOptionError, "a token wraps no attributes with a key")}
	}
	format := kmip.KeyFormatTypeRaw
	if o.ObjectType() == kmip.ObjectTypePrivateKey {
		format = kmip.KeyFormatTypePKCS8
	}
	if w.format != 0 && w.format != format || w.compression != 0 {
		return nil, &kmip.CannotCarry{Why: kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "a token wraps the material as it has it: the Key Format Type is %v", format)}
	}
	return carrier.ValueWrapped(r.ctx, o, by.encryption, by.Parameters)
}

// keepWrapped makes a key in a token of one that is wrapped: a token keeps no wrapped keys. Wrapped by another key of that token it
// is unwrapped there; else here, with the keys that it names.
func (r *Request) keepWrapped(k *call, t kmip.ObjectType, attributes kmip.Attributes, v *kmip.Value) (string, error) {
	uid, _ := kmip.Get[string](attributes, ttlv.TagUniqueIdentifier)
	k.uid = uid
	if _, err := r.creates(uid); err != nil {
		return "", err
	}
	block := v.KeyBlock()
	if block.KeyValue == nil {
		return "", kmip.Errorf(kmip.ResultReasonInvalidField, "the Key Block has Key Wrapping Data, and no Key Value")
	}
	w, err := r.unwrapsWith(block.KeyWrappingData)
	if err != nil {
		return "", err
	}
	err = simply(block.KeyWrappingData.WrappingMethod, block.KeyWrappingData.EncodingOption)
	if err == nil && len(block.KeyWrappingData.IVCounterNonce) == 0 && r.carrier(w.encryption.UniqueIdentifier) != nil {
		uid, err = r.carryIn(k, t, attributes, v, w)
		if cannot := new(kmip.CannotCarry); !errors.As(err, &cannot) {
			return uid, err
		}
	}
	plain, err := w.UnwrapValue(r.ctx, v)
	if err != nil {
		return "", err
	}
	defer clearMaterial(plain)
	return r.keep(k, t, attributes, plain)
}

// carryIn makes a key of what a token unwraps.
func (r *Request) carryIn(k *call, t kmip.ObjectType, attributes kmip.Attributes, v *kmip.Value, by *wrapper) (string, error) {
	if a := v.KeyBlock().CryptographicAlgorithm; a != 0 && !attributes.Contains(ttlv.TagCryptographicAlgorithm) {
		attributes = attributes.With(ttlv.TagCryptographicAlgorithm, a)
	}
	o, _, err := r.prepare(k, t, attributes)
	if err != nil {
		return "", err
	}
	if err := quantumSafe(o.Attributes.With(ttlv.TagCryptographicLength, lengthOf(o, v))); err != nil {
		return "", err
	}
	backend, err := r.constrain(r.undoable(arriving{r.server.HSM, by}))
	if err != nil {
		return "", err
	}
	if err := backend.Register(r.ctx, o, v); err != nil {
		return "", err
	}
	r.placeholder = o.UniqueIdentifier
	return o.UniqueIdentifier, nil
}

// An arriving backend keeps keys that it unwraps.
type arriving struct {
	kmip.Backend
	by *wrapper
}

// Register keeps a wrapped key.
func (a arriving) Register(ctx context.Context, o *kmip.Object, v *kmip.Value) error {
	return a.Backend.(kmip.Carrier).RegisterWrapped(ctx, o, v, a.by.encryption, a.by.Parameters)
}

// intoToken says whether a wrapped key is to become one in a token.
func intoToken(attributes kmip.Attributes, v *kmip.Value) bool {
	uid, _ := kmip.Get[string](attributes, ttlv.TagUniqueIdentifier)
	_, _, token, err := kmip.HSMKey(uid)
	block := v.KeyBlock()
	return err == nil && token && block != nil && block.KeyWrappingData != nil
}
