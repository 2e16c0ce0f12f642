package hsm

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A wrappedKey is a key that is in the token only while it computes. What it signs is verified with its public key before anybody
// gets it: a wrapped key that was exchanged for another, and a fault of the token, show there.
type wrappedKey struct {
	kmip.Key          // computes
	owned    kmip.Key // does too, of a key that the token says has the public key
	public   kmip.Key // nil of a secret key
	passing  *unwrapping
	uid      string
	log      *slog.Logger
}

// OpenWrapped is the Key of what GenerateWrapped and GeneratePairWrapped gave, for an object with these attributes. Nothing is
// unwrapped yet. Close drops what the token may still have of it.
func (h *HSM) OpenWrapped(ctx context.Context, wrapping string, kept []byte, a kmip.Attributes) (kmip.Opened, error) {
	w, err := parseWrapped(kept)
	if err != nil {
		return nil, err
	}
	o, err := w.object()
	if err != nil {
		return nil, err
	}
	k, err := h.wrapping(ctx, wrapping, false)
	if err != nil {
		return nil, err
	}
	uid, _ := kmip.Get[string](a, ttlv.TagUniqueIdentifier)
	u := &unwrapping{wrapping: k, named: wrapping, wrapped: w, template: usedAs(w, a), public: o.public, log: h.log}
	u.index = u.digest(kept)
	o.flags = u.template.flags()
	opened := &wrappedKey{passing: u, uid: uid, log: h.log}
	opened.Key = (&key{slot: k.slot, first: o, own: a, passing: u}).computing(o, a)
	opened.owned = opened.Key
	if o.public != nil {
		asked := *u
		asked.asks = true
		opened.owned = (&key{slot: k.slot, first: o, own: a, passing: &asked}).computing(o, a)
		half := &object{class: pkcs11.CKO_PUBLIC_KEY, kind: o.kind, bits: o.bits, public: o.public, curve: o.curve}
		opened.public = (&key{slot: k.slot, first: half, own: a}).computing(half, a)
	}
	return opened, nil
}

// usedAs is the template of the session object that computes: sensitive, not extractable, for what the usage mask allows.
func usedAs(w *wrapped, a kmip.Attributes) template {
	uses, every := aesUses(a.UsageMask()), privateUses
	switch kindOf(w.class, w.kind) {
	case wrapSecret:
		every = secretUses
		switch {
		case w.kind != pkcs11.CKK_AES:
			uses = hmacUses
		case a.UsageMask()&macs != 0:
			uses = append(hmacUses[:len(hmacUses):len(hmacUses)], uses...)
		}
	case wrapRSA:
		uses = []use{{pkcs11.CKA_DECRYPT, opens}, {pkcs11.CKA_SIGN, signs}} // unwrapping is a decryption here
	default:
		uses = []use{{pkcs11.CKA_SIGN, signs}}
	}
	t := returning(w.class, w.kind)
	for _, x := range allowed(a.UsageMask(), uses, every) {
		if !slices.ContainsFunc(t, func(y attribute) bool { return x.Type == y.Type }) {
			t = append(t, x)
		}
	}
	return t
}

// flags are the values that are true or false.
func (t template) flags() map[uint]bool {
	all := map[uint]bool{}
	for _, a := range t {
		if len(a.Value) == 1 {
			all[a.Type] = a.Value[0] != 0
		}
	}
	return all
}

// Sign signs in the token, and verifies.
func (k *wrappedKey) Sign(ctx context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	signed, err := k.Key.Sign(ctx, r)
	if err != nil || k.public == nil {
		return signed, err
	}
	v, err := k.public.SignatureVerify(ctx, &kmip.SignatureVerifyRequest{CryptographicParameters: r.CryptographicParameters,
		Data: r.Data, DigestedData: r.DigestedData, SignatureData: signed.SignatureData})
	if err == nil && v.ValidityIndicator != kmip.ValidityIndicatorValid {
		k.log.Error("a wrapped key signed what its public key does not verify: it was exchanged, or the token is at fault", "uid", k.uid)
		err = errForeign
	}
	if err != nil {
		clear(signed.SignatureData)
		return nil, err
	}
	return signed, nil
}

// Decrypt decrypts in the token.
func (k *wrappedKey) Decrypt(ctx context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	return k.owned.Decrypt(ctx, r)
}

// Unwrap unwraps in the token.
func (k *wrappedKey) Unwrap(ctx context.Context, p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	return k.owned.Unwrap(ctx, p, wrapped)
}

// Close drops the session object that may still be there.
func (k *wrappedKey) Close() { k.passing.drop() }

// An unwrapping is the way in which a wrapped key gets into the token, and out of it.
type unwrapping struct {
	wrapping *key
	named    string // the wrapping key's identifier
	wrapped  *wrapped
	template template         // of the session object
	public   crypto.PublicKey // nil of a secret key
	asks     bool             // whether the token is asked if the key has that public key; a signature shows it by itself
	index    [32]byte         // of what is unwrapped, and for what
	log      *slog.Logger
}

// A leftBehind is the error of an operation that went well, and whose session is to be closed all the same: its session object could
// not be destroyed, and goes with the session.
type leftBehind struct{ why error }

func (e *leftBehind) Error() string { return "a session object was not destroyed: " + e.why.Error() }

// use unwraps the key in a session, runs f with its handle, and destroys it. Whatever fails, the session is closed, and the object goes
// with it. A slot that keeps handles for a while lends one that it has, or unwraps one to keep.
func (u *unwrapping) use(ctx context.Context, f func(*connection, session, handle) error) error {
	err := u.wrapping.use(ctx, func(c *connection, s session, kek handle) error {
		if c.held != nil {
			h, err := c.held.borrow(u.index, func(own session) (handle, error) { return u.enter(c, own, kek, true) })
			if h != nil {
				err := f(c, s, h.handle)
				c.held.giveBack(h, err == nil)
				return err
			}
			if err != nil {
				return err
			}
		}
		h, err := u.enter(c, s, kek, u.asks)
		if err != nil {
			return err
		}
		if err := f(c, s, h); err != nil {
			return err
		}
		if err := c.module.lib.destroy(s, h); err != nil {
			return &leftBehind{err}
		}
		return nil
	})
	if left := (*leftBehind)(nil); errors.As(err, &left) {
		u.log.Warn("a session was closed, for an unwrapped key in it could not be destroyed", "slot", u.wrapping.slot.Number, "error", left.why)
		return nil
	}
	return wrappingMissing(u.named, err)
}

// enter makes the session object.
func (u *unwrapping) enter(c *connection, s session, kek handle, asks bool) (handle, error) {
	h, err := c.unwrapFrom(s, kek, u.wrapped, u.template)
	if err != nil || !asks || u.public == nil {
		return h, err
	}
	return h, c.owns(s, h, u.public)
}

// digest is the index of a kept key that is used as the template says.
func (u *unwrapping) digest(kept []byte) (sum [32]byte) {
	h := sha256.New()
	h.Write(kept)
	for _, a := range u.template {
		h.Write(number(a.Type))
		h.Write(a.Value)
	}
	h.Write([]byte(u.named))
	return [32]byte(h.Sum(nil))
}

// drop destroys what a slot keeps of the key.
func (u *unwrapping) drop() {
	s := u.wrapping.slot
	c := s.conn.Load()
	if c == nil || c.held == nil || !c.held.has(u.index) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Wait)
	defer cancel()
	if c.module.gate.enter(ctx) != nil {
		return // the connection ends, and the object with it
	}
	defer c.module.gate.leave()
	if c.current() {
		c.held.drop(u.index)
	}
}
