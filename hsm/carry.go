package hsm

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// This file has the way of keys out of a token and into it, wrapped by another key of the same token.

var _ kmip.Carrier = (*HSM)(nil)

// base is the part that all keys of tokens have.
func (k *key) base() *key { return k }

// tokenKey is the key of an object that is in a token, nil for any other.
func tokenKey(o *kmip.Object) *key {
	if k, ok := o.Key.(interface{ base() *key }); ok {
		return k.base()
	}
	return nil
}

// cannot says why a key cannot be carried.
func cannot(reason kmip.ResultReason, format string, args ...any) error {
	return &kmip.CannotCarry{Why: kmip.Errorf(reason, format, args...)}
}

const wrapTypeNotSupported = kmip.ResultReasonKeyWrapTypeNotSupported

// ValueWrapped gives the material of o as C_WrapKey has it: a secret key's bytes, or a private key's PKCS #8, which SoftHSM 2.6.1
// fills up with zeros to a multiple of eight.
func (h *HSM) ValueWrapped(ctx context.Context, o, by *kmip.Object, p *kmip.CryptographicParameters) (*kmip.Value, error) {
	target, wrapping := tokenKey(o), tokenKey(by)
	if err := together(o, by, target, wrapping); err != nil {
		return nil, err
	}
	how, err := wrapping.carries(p)
	if err != nil {
		return nil, err
	}
	var out []byte
	err = wrapping.use(ctx, func(c *connection, s session, h handle) error {
		found, err := target.object(ctx, c, s)
		if err != nil {
			return err
		}
		m, err := how.out(c, found, max(found.bits, o.Attributes.Length()))
		if err != nil {
			return err
		}
		// Not every token refuses: NSS wraps what is not extractable.
		t, err := c.module.lib.attributes(s, found.handle, []uint{pkcs11.CKA_EXTRACTABLE})
		if err != nil {
			return err
		}
		if extractable := t.get(pkcs11.CKA_EXTRACTABLE); len(extractable) != 1 || extractable[0] == 0 {
			return kmip.Errorf(kmip.ResultReasonNotExtractable, "%q is not extractable and does not leave the token", o.UniqueIdentifier)
		}
		out, err = c.module.lib.wrap(s, &m, h, found.handle, how.room(found))
		return err
	})
	if err != nil {
		return nil, declined(target.slot.tell(err))
	}
	return wrappedValue(target.first, o.Attributes, out), nil
}

// wrappedValue is a key block of wrapped material.
func wrappedValue(o *object, a kmip.Attributes, wrapped []byte) *kmip.Value {
	b := block(o, o.format(), nil)
	b.KeyBlock.KeyValue = &kmip.KeyValue{Wrapped: wrapped}
	b.KeyBlock.CryptographicAlgorithm = a.Algorithm()
	b.KeyBlock.CryptographicLength = a.Length()
	if o.class == pkcs11.CKO_SECRET_KEY {
		return &kmip.Value{SymmetricKey: b}
	}
	return &kmip.Value{PrivateKey: b}
}

// RegisterWrapped makes a key of what C_UnwrapKey unwraps. In the token it is as sensitive as a generated one.
func (h *HSM) RegisterWrapped(ctx context.Context, o *kmip.Object, v *kmip.Value, by *kmip.Object, p *kmip.CryptographicParameters) error {
	s, label, err := h.route(o.UniqueIdentifier)
	if err != nil {
		return err
	}
	unwrapping := tokenKey(by)
	if unwrapping == nil || unwrapping.slot != s {
		return cannot(wrapTypeNotSupported, "%q is no key of the same token", by.UniqueIdentifier)
	}
	how, err := unwrapping.carries(p)
	if err != nil {
		return err
	}
	t, err := unwrapped(label, o.Attributes, v)
	if err != nil {
		return err
	}
	wrapped := v.KeyBlock().KeyValue.Wrapped
	if wrapped == nil {
		wrapped = v.KeyBlock().KeyValue.Material // where some clients put it
	}
	if len(wrapped) == 0 {
		return cannot(wrapTypeNotSupported, "the Key Value has no wrapped material")
	}
	stated := o.Attributes.Length()
	if stated == 0 {
		stated = v.KeyBlock().CryptographicLength
	}
	err = h.make(ctx, s, []*kmip.Object{o}, []string{label}, func(c *connection, ss session) ([]handle, error) {
		found, err := unwrapping.object(ctx, c, ss)
		if err != nil {
			return nil, err
		}
		m, err := how.in(c, found, t.number(pkcs11.CKA_CLASS))
		if err != nil {
			return nil, err
		}
		key, err := c.module.lib.unwrap(ss, &m, found.handle, wrapped, t)
		if err != nil {
			return nil, err
		}
		bits, err := c.fitting(ss, key, how, len(wrapped), stated)
		if err == nil {
			err = c.proof.authenticates(cmp.Or(o.Attributes.Algorithm(), v.KeyBlock().CryptographicAlgorithm), bits)
		}
		if err != nil {
			_ = c.module.lib.destroy(ss, key)
			return nil, err
		}
		o.Attributes = o.Attributes.With(tagLength, bits)
		return []handle{key}, nil
	})
	if badData(err) {
		return kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	return declined(err)
}

// unwrapped is the template of a key whose material is unwrapped in the token.
func unwrapped(label string, a kmip.Attributes, v *kmip.Value) (template, error) {
	b := v.KeyBlock()
	if a.Algorithm() == 0 {
		a = a.With(tagAlgorithm, b.CryptographicAlgorithm)
	}
	switch {
	case v.SymmetricKey != nil && b.KeyFormatType == kmip.KeyFormatTypeRaw:
		m, err := secretKey(label, a)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(m.template, func(x attribute) bool { return x.Type == pkcs11.CKA_VALUE_LEN }), nil
	case v.PrivateKey != nil && b.KeyFormatType == kmip.KeyFormatTypePKCS8:
		kind, uses := uint(pkcs11.CKK_RSA), rsaPrivate
		if ellipticAlgorithm(a.Algorithm()) {
			kind, uses = pkcs11.CKK_EC, ecPrivate
		} else if a.Algorithm() != kmip.CryptographicAlgorithmRSA {
			return nil, cannot(wrapTypeNotSupported, "a token unwraps private keys for RSA and elliptic curves")
		}
		t := template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_PRIVATE_KEY)}, {pkcs11.CKA_KEY_TYPE, number(kind)}}
		return append(append(append(t, placed(label, true)...), protection(a)...), allowed(a.UsageMask(), uses, privateUses)...), nil
	}
	return nil, cannot(kmip.ResultReasonKeyFormatTypeNotSupported, "a token unwraps symmetric keys that are Raw, and private keys that are PKCS #8, not %v", b.KeyFormatType)
}

// fitting refuses a key that was unwrapped and is not what the request says of it, or is none that would be made here. It gives the
// length in bits. SoftHSM does not tell that of a key that it unwrapped: then it follows from the wrapped one, or is what the
// request says.
func (c *connection) fitting(s session, h handle, w carriage, wrapped int, stated int32) (int32, error) {
	o, err := c.describe(s, h)
	if err != nil {
		return 0, err
	}
	bits := o.bits
	if o.class == pkcs11.CKO_SECRET_KEY && bits <= 0 {
		least, most := w.inside(wrapped)
		switch {
		case stated != 0:
			bits = stated
		case o.kind == pkcs11.CKK_AES || least == most:
			bits = most
		default:
			return 0, invalid("the token does not tell how long the key is that was unwrapped: say its Cryptographic Length")
		}
		if bits < least || bits > most {
			return 0, invalid("the key that was unwrapped has %d bits at most, and the Cryptographic Length says %d", most, bits)
		}
	}
	if stated != 0 && bits != stated {
		return 0, invalid("the key that was unwrapped has %d bits, the Cryptographic Length says %d", bits, stated)
	}
	switch {
	case o.kind == pkcs11.CKK_AES && bits != 128 && bits != 192 && bits != 256,
		o.kind == pkcs11.CKK_RSA && (bits < 2048 || bits > 4096),
		o.kind == pkcs11.CKK_EC && o.curve == nil,
		o.kind == pkcs11.CKK_GENERIC_SECRET && (bits < leastHMAC || bits > mostHMAC):
		return 0, invalid("a token takes no keys of that kind with %d bits", bits)
	}
	return bits, nil
}

// inside is how many bits at least and at most are in a wrapped key of that many bytes.
func (w carriage) inside(wrapped int) (least, most int32) {
	switch {
	case w.rsa:
		return 8, int32(8 * wrapped)
	case w.row == cipherKW:
		return int32(8 * (wrapped - 8)), int32(8 * (wrapped - 8))
	}
	return int32(8 * (wrapped - 15)), int32(8 * (wrapped - 8))
}

// together refuses keys that are not in one token.
func together(o, by *kmip.Object, target, wrapping *key) error {
	switch {
	case target == nil:
		return cannot(wrapTypeNotSupported, "%q is not in a token", o.UniqueIdentifier)
	case wrapping == nil || wrapping.slot != target.slot:
		return cannot(wrapTypeNotSupported, "%q is no key of the same token", by.UniqueIdentifier)
	case target.first.class == pkcs11.CKO_PUBLIC_KEY:
		return cannot(wrapTypeNotSupported, "%q is a public key", o.UniqueIdentifier)
	}
	return nil
}

// A carriage is how a key of a token wraps others there: with a row of ciphers, or by RSA.
type carriage struct {
	row     int
	rsa     bool
	padding padding
}

// carries says how a key would wrap others, by what it is and the parameters.
func (k *key) carries(p *kmip.CryptographicParameters) (carriage, error) {
	uid, o := k.slot.identifier(k.first.name), k.first
	if o.wantsPIN() {
		return carriage{}, cannot(kmip.ResultReasonOperationNotSupported, wantsPIN, uid)
	}
	if !o.flags[pkcs11.CKA_WRAP] && !o.flags[pkcs11.CKA_UNWRAP] {
		return carriage{}, cannot(kmip.ResultReasonIncompatibleCryptographicUsageMask,
			"%q does not wrap in the token (CKA_WRAP, CKA_UNWRAP): a key does that was made for Wrap Key and Unwrap Key alone", uid)
	}
	switch {
	case o.class == pkcs11.CKO_SECRET_KEY && o.kind == pkcs11.CKK_AES:
		row, err := (&aesKey{key: k}).wrapping(p)
		if err == nil && !ciphers[row].wraps {
			err = unsupported("a token wraps keys by NISTKeyWrap or AESKeyWrapPadding, not in mode %v", ciphers[row].mode)
		}
		if err != nil {
			return carriage{}, &kmip.CannotCarry{Why: err}
		}
		return carriage{row: row}, nil
	case o.kind == pkcs11.CKK_RSA:
		pad, err := encryption(k.parameters(p, forWrapping))
		if err == nil && !pad.oaep {
			err = unsupported("a token wraps keys with RSA by OAEP, not by PKCS #1 v1.5")
		}
		if err != nil {
			return carriage{}, &kmip.CannotCarry{Why: err}
		}
		return carriage{rsa: true, padding: pad}, nil
	}
	return carriage{}, cannot(wrapTypeNotSupported, "%q is neither an AES nor an RSA key", uid)
}

// out is the mechanism that wraps a key, if the self-test proved it for such a key.
func (w carriage) out(c *connection, target *object, bits int32) (mechanism, error) {
	private := target.class == pkcs11.CKO_PRIVATE_KEY
	switch {
	case w.rsa && (private || !c.proof.wrapsOAEP[w.padding.hash] || w.padding.mask != w.padding.hash || len(w.padding.label) > 0):
		return mechanism{}, c.unproven("by RSA OAEP with %v", digests[w.padding.hash].name, private)
	case w.rsa:
		return w.oaep(), nil
	case private && !c.proof.wrapsPrivate[w.row]:
		return mechanism{}, c.unproven("by %v", ciphers[w.row].mode, private)
	case !private && (bits <= 0 || bits%64 != 0) && (w.row == cipherKW || !c.proof.anyLength):
		return mechanism{}, cannot(wrapTypeNotSupported, "slot %d: the token wraps multiples of 8 bytes by %v, not %d", c.slot.Number, ciphers[w.row].mode, bits/8)
	}
	m, err := c.mechanism(w.row)
	if err != nil {
		err = &kmip.CannotCarry{Why: err}
	}
	return m, err
}

// in is the mechanism that unwraps a key of a class, under the same condition.
func (w carriage) in(c *connection, unwrapping *object, class uint) (mechanism, error) {
	private := class == pkcs11.CKO_PRIVATE_KEY
	switch {
	case !unwrapping.flags[pkcs11.CKA_UNWRAP]:
		return mechanism{}, cannot(kmip.ResultReasonIncompatibleCryptographicUsageMask, "%q does not unwrap in the token (CKA_UNWRAP)", c.slot.identifier(unwrapping.name))
	case w.rsa && (private || !c.proof.oaep[w.padding.hash] || w.padding.mask != w.padding.hash || len(w.padding.label) > 0):
		return mechanism{}, c.unproven("by RSA OAEP with %v", digests[w.padding.hash].name, private)
	case w.rsa:
		return w.oaep(), nil
	case private && !c.proof.unwrapsPrivate[w.row]:
		return mechanism{}, c.unproven("by %v", ciphers[w.row].mode, private)
	}
	m, err := c.mechanism(w.row)
	if err != nil {
		err = &kmip.CannotCarry{Why: err}
	}
	return m, err
}

func (c *connection) unproven(how string, what any, private bool) error {
	kind := "symmetric"
	if private {
		kind = "private"
	}
	return cannot(kmip.ResultReasonUnsupportedCryptographicParameters, "slot %d: the token does not wrap %s keys "+how, c.slot.Number, kind, what)
}

func (w carriage) oaep() mechanism {
	d := &digests[w.padding.hash]
	return mechanism{Type: pkcs11.CKM_RSA_PKCS_OAEP, Parameter: parameterOAEP, Hash: d.ckm, MGF: d.mgf}
}

// room is more than a wrapped key has: a private key is a few times its modulus.
func (w carriage) room(target *object) int { return 1024 + int(target.bits) }

// declined are the answers of a token to a way of wrapping that it does not have for such a key; nothing happened then.
func declined(err error) error {
	for _, rv := range []uint{pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_TEMPLATE_INCOMPLETE,
		pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_ATTRIBUTE_READ_ONLY, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_KEY_NOT_WRAPPABLE,
		pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
		pkcs11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT} {
		var told *kmip.Error
		if is(err, rv) && errors.As(err, &told) {
			return &kmip.CannotCarry{Why: told}
		}
	}
	return err
}
