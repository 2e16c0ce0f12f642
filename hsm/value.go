package hsm

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// Value gives the material: of public keys always, as SubjectPublicKeyInfo; of others only where the token keeps them neither
// sensitive nor unextractable: raw, or as PKCS #8. Whether it may leave is decided here, for not every token does.
func (h *HSM) Value(ctx context.Context, o *kmip.Object) (*kmip.Value, error) {
	s, label, err := h.route(o.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	find := func(c *connection, ss session) (*object, error) { return c.lookup(ctx, ss, label) }
	if k := tokenKey(o); k != nil { // no other key that has its name by now
		find = func(c *connection, ss session) (*object, error) { return k.object(ctx, c, ss) }
	}
	var v *kmip.Value
	err = s.do(ctx, func(c *connection, ss session) error {
		o, err := find(c, ss)
		if err != nil {
			return err
		}
		if v, err = c.value(ss, o); faultOf(err) == faultObject {
			c.forget(o)
		}
		return err
	})
	if err != nil {
		return nil, s.tell(err)
	}
	return v, nil
}

// value reads the material of one object.
func (c *connection) value(s session, o *object) (*kmip.Value, error) {
	uid := c.slot.identifier(o.name)
	if o.class == pkcs11.CKO_PUBLIC_KEY {
		return publicValue(uid, o)
	}
	t, err := c.module.lib.attributes(s, o.handle, []uint{pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE})
	if err != nil {
		return nil, err
	}
	sensitive, extractable := t.get(pkcs11.CKA_SENSITIVE), t.get(pkcs11.CKA_EXTRACTABLE)
	switch {
	case len(sensitive) != 1 || sensitive[0] != 0:
		return nil, kmip.Errorf(kmip.ResultReasonSensitive, "%q is sensitive and does not leave the token", uid)
	case len(extractable) != 1 || extractable[0] == 0:
		return nil, kmip.Errorf(kmip.ResultReasonNotExtractable, "%q is not extractable and does not leave the token", uid)
	}
	t, err = c.module.lib.attributes(s, o.handle, []uint{pkcs11.CKA_VALUE, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT,
		pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2})
	if err != nil {
		return nil, err
	}
	defer t.clear()
	if o.class == pkcs11.CKO_SECRET_KEY {
		return secretValue(uid, o, t)
	}
	return privateValue(uid, o, t)
}

// block is a key block of that material.
func block(o *object, format kmip.KeyFormatType, material []byte) *kmip.PlainKey {
	return &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType:          format,
		KeyValue:               &kmip.KeyValue{Material: material},
		CryptographicAlgorithm: o.algorithm(0),
		CryptographicLength:    o.bits,
	}}
}

func secretValue(uid string, o *object, t template) (*kmip.Value, error) {
	value := t.get(pkcs11.CKA_VALUE)
	if len(value) == 0 {
		return nil, kmip.Errorf(kmip.ResultReasonSensitive, "%q: the token does not give the value", uid)
	}
	b := block(o, kmip.KeyFormatTypeRaw, append([]byte{}, value...))
	b.KeyBlock.CryptographicLength = int32(8 * len(value))
	return &kmip.Value{SymmetricKey: b}, nil
}

func publicValue(uid string, o *object) (*kmip.Value, error) {
	if o.public == nil {
		return nil, kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "%q is a public key of a kind that is not supported", uid)
	}
	der, err := x509.MarshalPKIXPublicKey(o.public)
	if err != nil {
		return nil, err
	}
	return &kmip.Value{PublicKey: block(o, kmip.KeyFormatTypeX509, der)}, nil
}

func privateValue(uid string, o *object, t template) (*kmip.Value, error) {
	var private any
	var err error
	switch {
	case o.kind == pkcs11.CKK_RSA:
		public, ok := o.public.(*rsa.PublicKey)
		if !ok {
			return nil, kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "%q: the token does not give the public exponent", uid)
		}
		k := &rsa.PrivateKey{PublicKey: *public, D: integer(t, pkcs11.CKA_PRIVATE_EXPONENT),
			Primes: []*big.Int{integer(t, pkcs11.CKA_PRIME_1), integer(t, pkcs11.CKA_PRIME_2)}}
		if err = k.Validate(); err == nil {
			k.Precompute()
		}
		private = k
	case o.curve != nil:
		private, err = ecdsa.ParseRawPrivateKey(o.curve, scalar(t.get(pkcs11.CKA_VALUE), o.bits))
	case o.kind == ckkEdwards && o.bits == edwardsBits:
		k := edwardsSeed(t.get(pkcs11.CKA_VALUE))
		if k == nil {
			err = errors.New("no seed")
		}
		private = k
	default:
		return nil, kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "%q is a private key of a kind that is not supported", uid)
	}
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonSensitive, "%q: the token does not give the whole key", uid)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &kmip.Value{PrivateKey: block(o, kmip.KeyFormatTypePKCS8, der)}, nil
}

// integer is a number of any size.
func integer(t template, kind uint) *big.Int { return new(big.Int).SetBytes(t.get(kind)) }

// scalar is a number with the leading zeros that some tokens leave out.
func scalar(value []byte, bits int32) []byte {
	size := (int(bits) + 7) / 8
	if len(value) >= size {
		return value
	}
	return append(make([]byte, size-len(value), size), value...)
}

// material reads what a Register brings into a template.
func material(label string, a kmip.Attributes, v *kmip.Value) (template, error) {
	kb := v.KeyBlock()
	if kb != nil && (kb.KeyValue == nil || kb.KeyWrappingData != nil || kb.KeyValue.Wrapped != nil) {
		return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "the %v is not in clear", v.ObjectType())
	}
	switch v.ObjectType() {
	case kmip.ObjectTypeSymmetricKey:
		return secretMaterial(label, a, kb)
	case kmip.ObjectTypePrivateKey:
		return privateMaterial(label, a, kb)
	case kmip.ObjectTypePublicKey:
		return publicMaterial(label, a, kb)
	}
	return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "a token does not take a %v", v.ObjectType())
}

func secretMaterial(label string, a kmip.Attributes, kb *kmip.KeyBlock) (template, error) {
	value := kb.KeyValue.Material
	if kb.KeyFormatType == kmip.KeyFormatTypeTransparentSymmetricKey && kb.KeyValue.Components != nil {
		value = kb.KeyValue.Components.Key
	} else if kb.KeyFormatType != kmip.KeyFormatTypeRaw {
		return nil, formatRefused(kb)
	}
	if bits := a.Length(); len(value) == 0 || bits != 0 && int(bits) != 8*len(value) {
		return nil, invalid("the material has %d bits, the Cryptographic Length says %d", 8*len(value), bits)
	}
	a = a.With(tagLength, int32(8*len(value)))
	if a.Algorithm() == 0 {
		a = a.With(tagAlgorithm, kb.CryptographicAlgorithm)
	}
	m, err := secretKey(label, a)
	if err != nil {
		return nil, err
	}
	var t template
	for _, x := range m.template {
		if x.Type != pkcs11.CKA_VALUE_LEN { // follows from the value
			t = append(t, x)
		}
	}
	return append(t, attribute{pkcs11.CKA_VALUE, append([]byte{}, value...)}), nil
}

func privateMaterial(label string, a kmip.Attributes, kb *kmip.KeyBlock) (template, error) {
	var key any
	var err error
	switch kb.KeyFormatType {
	case kmip.KeyFormatTypePKCS8:
		key, err = x509.ParsePKCS8PrivateKey(kb.KeyValue.Material)
	case kmip.KeyFormatTypePKCS1:
		key, err = x509.ParsePKCS1PrivateKey(kb.KeyValue.Material)
	case kmip.KeyFormatTypeECPrivateKey:
		key, err = x509.ParseECPrivateKey(kb.KeyValue.Material)
	default:
		return nil, formatRefused(kb)
	}
	if err != nil {
		return nil, invalid("the material is no %v private key", kb.KeyFormatType)
	}
	var t template
	uses := ecPrivate
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if len(k.Primes) != 2 || k.N.BitLen() < 2048 || k.N.BitLen() > 4096 {
			return nil, invalid("a token takes RSA keys of two primes and 2048 to 4096 bits")
		}
		t, uses = rsaPrivateTemplate(k), rsaPrivate
	case *ecdsa.PrivateKey:
		t, err = ecPrivateTemplate(k)
	case ed25519.PrivateKey:
		t, uses = edwardsPrivateTemplate(k), edPrivate
	default:
		err = kmip.Errorf(kmip.ResultReasonOperationNotSupported, "a token takes private keys for RSA, ECDSA and Ed25519 only")
	}
	if err != nil {
		return nil, err
	}
	return append(append(append(t, placed(label, true)...), protection(a)...), allowed(a.UsageMask(), uses, privateUses)...), nil
}

func publicMaterial(label string, a kmip.Attributes, kb *kmip.KeyBlock) (template, error) {
	var key any
	var err error
	switch kb.KeyFormatType {
	case kmip.KeyFormatTypeX509:
		key, err = x509.ParsePKIXPublicKey(kb.KeyValue.Material)
	case kmip.KeyFormatTypePKCS1:
		key, err = x509.ParsePKCS1PublicKey(kb.KeyValue.Material)
	default:
		return nil, formatRefused(kb)
	}
	if err != nil {
		return nil, invalid("the material is no %v public key", kb.KeyFormatType)
	}
	var t template
	uses := ecPublic
	switch k := key.(type) {
	case *rsa.PublicKey:
		t, uses = rsaPublicTemplate(k), rsaPublicUses(a.UsageMask())
	case *ecdsa.PublicKey:
		t, err = ecPublicTemplate(k)
	case ed25519.PublicKey:
		t, err = edwardsPublicTemplate(k)
	default:
		err = kmip.Errorf(kmip.ResultReasonOperationNotSupported, "a token takes public keys for RSA, ECDSA and Ed25519 only")
	}
	if err != nil {
		return nil, err
	}
	return append(append(t, paired(label)...), allowed(a.UsageMask(), uses, publicUses)...), nil
}

func formatRefused(kb *kmip.KeyBlock) error {
	return kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "a token does not take keys in the format %v", kb.KeyFormatType)
}
