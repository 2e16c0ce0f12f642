package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"time"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// This file makes keys that a token wraps with a key of its own and gives out, so that they take room in it only while they
// compute; wrappedkey.go uses them.

// A wrapped is such a key as it is kept: what it is, its public key, and what C_WrapKey made of it. The bytes are
//
//	offset  bytes
//	     0      1  version, 1
//	     1      4  CKO_, of a secret or a private key
//	     5      4  CKK_
//	     9      4  length of the key in bits
//	    13      4  CKM_, how it was wrapped
//	    17      1  i, length of the mechanism's IV, 0 where it has none
//	    18      i  IV
//	            2  p, length of the public key, 0 of a secret key
//	            p  SubjectPublicKeyInfo (RFC 5280 §4.1)
//	            2  w, length of what C_WrapKey gave
//	            w  the wrapped key
//
// with numbers in big-endian order. Whoever keeps them sees to it that they are not changed; a private key that does not belong
// to its public key is found out all the same.
type wrapped struct {
	class, kind, ckm uint
	bits             int32
	iv, spki, blob   []byte
}

// wrappedVersion is the only version of the form.
const wrappedVersion = 1

// longestKey is the most bits that a wrapped key has.
const longestKey = 1 << 16

var errNoWrapped = errors.New("the bytes are no key that a token wrapped")

// bytes encodes.
func (w *wrapped) bytes() ([]byte, error) {
	if len(w.iv) > 255 || len(w.spki) > 1<<16-1 || len(w.blob) > 1<<16-1 {
		return nil, fmt.Errorf("a wrapped key of %d bytes is too long to be kept", len(w.blob))
	}
	b := []byte{wrappedVersion}
	for _, n := range []uint{w.class, w.kind, uint(w.bits), w.ckm} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	b = append(append(b, byte(len(w.iv))), w.iv...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(w.spki))), w.spki...)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(w.blob))), w.blob...), nil
}

// parseWrapped is the inverse of bytes. The result borrows b.
func parseWrapped(b []byte) (*wrapped, error) {
	if len(b) < 18 || b[0] != wrappedVersion {
		return nil, errNoWrapped
	}
	four := func(at int) uint { return uint(binary.BigEndian.Uint32(b[at:])) }
	w := &wrapped{class: four(1), kind: four(5), bits: int32(min(four(9), longestKey+1)), ckm: four(13)}
	rest, ok := b[18:], true
	cut := func(n int) (part []byte) {
		if ok = ok && n <= len(rest); ok {
			part, rest = rest[:n:n], rest[n:]
		}
		return part
	}
	two := func() int {
		if n := cut(2); n != nil {
			return int(binary.BigEndian.Uint16(n))
		}
		return 0
	}
	w.iv = cut(int(b[17]))
	w.spki = cut(two())
	w.blob = cut(two())
	private := w.class == pkcs11.CKO_PRIVATE_KEY
	if !ok || len(rest) > 0 || len(w.blob) == 0 || w.bits == 0 || w.bits > longestKey || private == (len(w.spki) == 0) ||
		!private && w.class != pkcs11.CKO_SECRET_KEY {
		return nil, errNoWrapped
	}
	return w, nil
}

// mechanism is the one that it was wrapped with.
func (w *wrapped) mechanism() (mechanism, error) {
	for _, m := range wrapMechanisms {
		if m.ckm == w.ckm && m.iv == len(w.iv) {
			return mechanism{Type: m.ckm, Parameter: m.parameter, IV: w.iv}, nil
		}
	}
	return mechanism{}, fmt.Errorf("a key that was wrapped with %s and an IV of %d bytes: %w", mechanismName(w.ckm), len(w.iv), errNoWrapped)
}

// object is the key as it is in the token while it computes, but for the handle.
func (w *wrapped) object() (*object, error) {
	o := &object{class: w.class, kind: w.kind, bits: w.bits}
	if len(w.spki) == 0 {
		return o, nil
	}
	var err error
	if o.public, err = x509.ParsePKIXPublicKey(w.spki); err != nil {
		return nil, errNoWrapped
	}
	if c, on := o.public.(interface{ Params() *elliptic.CurveParams }); on {
		for i := range curves {
			if curves[i].curve.Params() == c.Params() {
				o.curve = curves[i].curve
			}
		}
	}
	return o, nil
}

// wrapping is the key that wraps others, of that identifier. A new key is only put under one that is active and can do nothing else:
// whoever may decrypt with a wrapping key, too, can read what it wrapped. What is under one that was revoked is still unwrapped.
func (h *HSM) wrapping(ctx context.Context, uid string, another bool) (*key, error) {
	s, label, err := h.route(uid)
	if err != nil {
		return nil, err
	}
	o, shown, err := h.find(ctx, s, label)
	if err != nil {
		return nil, wrappingMissing(uid, err)
	}
	if state := shown.State(time.Now()); another && state != kmip.StateActive {
		return nil, kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "the wrapping key %q is %v: no key is put under it", uid, state)
	}
	is := func(flag uint) bool { return o.is(flag, false) }
	switch {
	case o.class != pkcs11.CKO_SECRET_KEY || o.kind != pkcs11.CKK_AES:
		return nil, invalid("%q wraps no keys in the token: that takes an AES key", uid)
	case another && (is(pkcs11.CKA_ENCRYPT) || is(pkcs11.CKA_DECRYPT)):
		return nil, invalid("%q may encrypt or decrypt in the token as well, and so could show what it wrapped: a wrapping key only wraps and unwraps (strongroomd hsm generate --purpose wrapping makes one)", uid)
	case another && (!is(pkcs11.CKA_WRAP) || !is(pkcs11.CKA_UNWRAP)):
		return nil, invalid("%q may not wrap and unwrap keys in the token: CKA_WRAP and CKA_UNWRAP are not both set", uid)
	case another && (!o.is(pkcs11.CKA_SENSITIVE, true) || o.is(pkcs11.CKA_EXTRACTABLE, false)):
		return nil, invalid("%q may leave the token: a wrapping key is sensitive and not extractable", uid)
	}
	k := &key{slot: s, first: o}
	k.bound.Store(o)
	return k, nil
}

// wrappingMissing names the wrapping key in the error of one that is not there.
func wrappingMissing(uid string, err error) error {
	if errors.Is(err, kmip.ErrNotFound) {
		return kmip.Errorf(kmip.ResultReasonWrappingObjectNotFound, "the wrapping key %q is not in its token", uid)
	}
	return err
}

// Usage flags, which say what a key may do.
var usageFlags = []uint{pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP,
	pkcs11.CKA_DERIVE, pkcs11.CKA_SIGN_RECOVER, pkcs11.CKA_VERIFY_RECOVER}

// passing makes the template of the session object that is wrapped of one of a key that stays: without a name, sensitive and, for the
// moment in which it is wrapped, extractable. It may do what it takes to know it again, and nothing else.
func passing(t template, use uint) template {
	own := template{{pkcs11.CKA_TOKEN, flag(false)}, {use, flag(true)}}
	for _, a := range t {
		switch a.Type {
		case pkcs11.CKA_TOKEN, pkcs11.CKA_LABEL, pkcs11.CKA_ID:
		case pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE:
			own = append(own, attribute{a.Type, flag(true)})
		default:
			if !slices.Contains(usageFlags, a.Type) {
				own = append(own, a)
			}
		}
	}
	return own
}

// knownBy is what a key does so that it is known again.
func knownBy(class, kind uint) uint {
	if class == pkcs11.CKO_SECRET_KEY && kind == pkcs11.CKK_AES {
		return pkcs11.CKA_ENCRYPT
	}
	return pkcs11.CKA_SIGN
}

// GenerateWrapped makes a symmetric key in the token, wraps it there with the key of an identifier, and gives what is to be kept.
// The token keeps nothing.
func (h *HSM) GenerateWrapped(ctx context.Context, wrapping string, a kmip.Attributes) (kept []byte, bits int32, err error) {
	m, err := secretKey("", a)
	if err != nil {
		return nil, 0, err
	}
	w := &wrapped{class: pkcs11.CKO_SECRET_KEY, kind: m.template.number(pkcs11.CKA_KEY_TYPE), bits: m.bits()}
	kept, err = h.generateWrapped(ctx, wrapping, w, func(c *connection, s session) (handle, error) {
		if err := c.proof.authenticates(a.Algorithm(), w.bits); err != nil {
			return 0, err
		}
		return c.module.lib.generate(s, m.mechanism, passing(m.template, knownBy(w.class, w.kind)))
	})
	return kept, w.bits, err
}

// GeneratePairWrapped does so with a key pair: the private half is wrapped, the public one given as it is.
func (h *HSM) GeneratePairWrapped(ctx context.Context, wrapping string, private, public kmip.Attributes) (kept []byte, half *kmip.Value, err error) {
	mechanism, pub, priv, err := keyPair("", "", private, public)
	if err != nil {
		return nil, nil, err
	}
	w := &wrapped{class: pkcs11.CKO_PRIVATE_KEY}
	var o *object
	kept, err = h.generateWrapped(ctx, wrapping, w, func(c *connection, s session) (handle, error) {
		lib := c.module.lib
		publicTemplate, privateTemplate := passing(pub, pkcs11.CKA_VERIFY), passing(priv, pkcs11.CKA_SIGN)
		if err := c.spelled(publicTemplate, privateTemplate); err != nil {
			return 0, err
		}
		publicKey, privateKey, err := lib.generatePair(s, mechanism, publicTemplate, privateTemplate)
		if err != nil {
			return 0, err
		}
		if o, err = c.describe(s, publicKey); err != nil {
			return 0, err
		}
		w.kind, w.bits = o.kind, o.bits
		if w.spki, err = x509.MarshalPKIXPublicKey(o.public); err != nil {
			return 0, kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot %d: the token does not tell the public key that it made", c.slot.Number)
		}
		return privateKey, lib.destroy(s, publicKey)
	})
	if err != nil {
		return nil, nil, err
	}
	half, err = publicValue("the public key", o)
	return kept, half, err
}

// generateWrapped has generate make a key in a session, and wraps it. Before it is given out what was wrapped is unwrapped and
// used, as it will be: a key that cannot be used again is none.
func (h *HSM) generateWrapped(ctx context.Context, wrapping string, w *wrapped, generate func(*connection, session) (handle, error)) ([]byte, error) {
	k, err := h.wrapping(ctx, wrapping, true)
	if err != nil {
		return nil, err
	}
	err = k.use(ctx, func(c *connection, s session, kek handle) error {
		made, err := generate(c, s)
		if err != nil {
			return err
		}
		if err := c.wrapInto(s, kek, made, w); err != nil {
			return err
		}
		print, err := c.imprint(s, made, w)
		if err != nil {
			return err
		}
		if err := c.module.lib.destroy(s, made); err != nil {
			return err
		}
		return c.reopens(s, kek, w, print)
	})
	if err != nil {
		return nil, k.slot.tell(wrappingMissing(wrapping, err))
	}
	return w.bytes()
}

// wrapInto wraps an extractable session object with the mechanism that was proven for its kind.
func (c *connection) wrapInto(s session, kek, target handle, w *wrapped) error {
	p := c.proof.wraps[kindOf(w.class, w.kind)]
	if p.row == 0 {
		return unsupported("slot %d: the token does not wrap and unwrap keys of this kind (see strongroomd hsm test)", c.slot.Number)
	}
	m := &wrapMechanisms[p.row-1]
	if w.class == pkcs11.CKO_SECRET_KEY && w.bits%64 != 0 && !m.padded(c.proof) {
		return unsupported("slot %d: the token wraps secret keys of multiples of 64 bits only, not %d", c.slot.Number, w.bits)
	}
	w.ckm, w.iv = m.ckm, make([]byte, m.iv)
	if _, err := io.ReadFull(c.slot.Random, w.iv); err != nil {
		return err
	}
	how := mechanism{Type: m.ckm, Parameter: m.parameter, IV: w.iv}
	var err error
	w.blob, err = c.module.lib.wrap(s, &how, kek, target, int(w.bits)+1024)
	return err
}

// unwrapFrom makes the session object again.
func (c *connection) unwrapFrom(s session, kek handle, w *wrapped, t template) (handle, error) {
	m, err := w.mechanism()
	if err != nil {
		return 0, err
	}
	return c.module.lib.unwrap(s, &m, kek, w.blob, t)
}

// errForeign is the answer where a wrapped key and what is known of it do not belong together.
var errForeign = kmip.Errorf(kmip.ResultReasonCryptographicFailure, "the wrapped key is not the one that it should be")

// imprint is something that only this secret key computes; nothing where the token has no way to.
func (c *connection) imprint(s session, h handle, w *wrapped) ([]byte, error) {
	zero := make([]byte, 16)
	switch {
	case w.class != pkcs11.CKO_SECRET_KEY:
		return nil, nil
	case w.kind == pkcs11.CKK_AES && c.proof.ciphers[cipherECB] != 0:
		return c.module.lib.encrypt(s, &mechanism{Type: c.proof.ciphers[cipherECB]}, h, zero, 2*len(zero))
	case w.kind == pkcs11.CKK_AES:
		return nil, nil
	}
	for row := range digests {
		if size := digests[row].hash.Size(); c.proof.hmac[row] && int(w.bits) >= 8*size {
			return c.module.lib.sign(s, &mechanism{Type: digests[row].hmac}, h, zero, size)
		}
	}
	return nil, nil
}

// reopens makes sure that what was wrapped comes back as the key that it was, sensitive and not extractable.
func (c *connection) reopens(s session, kek handle, w *wrapped, imprint []byte) error {
	h, err := c.unwrapFrom(s, kek, w, returning(w.class, w.kind, knownBy(w.class, w.kind)))
	if err != nil {
		return err
	}
	if stays, err := c.stays(s, h); err != nil || !stays {
		return errors.Join(err, kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot %d: the token unwraps keys that are not sensitive, or extractable", c.slot.Number))
	}
	same := true
	if o, fault := w.object(); fault != nil {
		return fault
	} else if o.public != nil {
		same, err = c.signs(s, h, o.public)
	} else {
		var again []byte
		again, err = c.imprint(s, h, w)
		same = bytes.Equal(again, imprint)
	}
	switch {
	case err != nil:
		return err
	case !same:
		return errForeign
	}
	return c.module.lib.destroy(s, h)
}

// stays says whether an object is sensitive and not extractable.
func (c *connection) stays(s session, h handle) (bool, error) {
	t, err := c.module.lib.attributes(s, h, []uint{pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE})
	return bytes.Equal(t.get(pkcs11.CKA_SENSITIVE), flag(true)) && bytes.Equal(t.get(pkcs11.CKA_EXTRACTABLE), flag(false)), err
}

// signs says whether a private key signs so that the public key verifies it.
func (c *connection) signs(s session, h handle, public crypto.PublicKey) (bool, error) {
	sum := make([]byte, 32)
	rand.Read(sum)
	switch k := public.(type) {
	case *rsa.PublicKey:
		info, err := digestInfo(0, sum)
		if err != nil {
			return false, err
		}
		signature, err := c.module.lib.sign(s, &mechanism{Type: pkcs11.CKM_RSA_PKCS}, h, info, k.Size())
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum, signature) == nil, err
	case *ecdsa.PublicKey:
		raw, err := c.module.lib.sign(s, &mechanism{Type: pkcs11.CKM_ECDSA}, h, sum, 2*(k.Params().BitSize+7)/8)
		half := len(raw) / 2
		return err == nil && ecdsa.Verify(k, sum, new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])), err
	case ed25519.PublicKey:
		signature, err := c.module.lib.sign(s, &mechanism{Type: ckmEdDSA}, h, sum, ed25519.SignatureSize)
		return err == nil && ed25519.Verify(k, sum, signature), err
	}
	return false, nil
}

// owns says whether the private key in the token has that public key, as far as the token tells it of a private key: RSA keys have
// their modulus.
func (c *connection) owns(s session, h handle, public crypto.PublicKey) error {
	known, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	t, err := c.module.lib.attributes(s, h, []uint{pkcs11.CKA_MODULUS})
	if err != nil {
		return err
	}
	if n := t.get(pkcs11.CKA_MODULUS); len(n) > 0 && integer(t, pkcs11.CKA_MODULUS).Cmp(known.N) != 0 {
		return errForeign
	}
	return nil
}
