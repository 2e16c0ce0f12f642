package hsm

import (
	"context"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// Rewrap puts a wrapped key under another wrapping key of the same token, without the key ever being outside: it is unwrapped as a
// session object that is extractable for the moment in which it is wrapped again. It is given back only once it came out of its new
// wrapping as the key that it was.
func (h *HSM) Rewrap(ctx context.Context, from, to string, kept []byte) ([]byte, error) {
	w, err := parseWrapped(kept)
	if err != nil {
		return nil, err
	}
	before, err := h.wrapping(ctx, from, false)
	if err != nil {
		return nil, err
	}
	after, err := h.wrapping(ctx, to, true)
	if err != nil {
		return nil, err
	}
	if before.slot != after.slot {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "%q and %q are in different tokens: what one token wrapped, another does not unwrap", from, to)
	}
	next := &wrapped{class: w.class, kind: w.kind, bits: w.bits, spki: w.spki}
	err = before.use(ctx, func(c *connection, s session, kek handle) error {
		other, err := after.object(ctx, c, s)
		if err != nil {
			return err
		}
		return c.rewrap(s, kek, other.handle, w, next)
	})
	if err != nil {
		return nil, before.fail(wrappingMissing(from, err), "unwrapping failed: the wrapped key is not one of this wrapping key")
	}
	return next.bytes()
}

func (c *connection) rewrap(s session, kek, other handle, w, next *wrapped) error {
	t := returning(w.class, w.kind, knownBy(w.class, w.kind))
	for i := range t {
		if t[i].Type == pkcs11.CKA_EXTRACTABLE {
			t[i].Value = flag(true)
		}
	}
	key, err := c.unwrapFrom(s, kek, w, t)
	if err != nil {
		return err
	}
	imprint, err := c.imprint(s, key, w)
	if err != nil {
		return err
	}
	if err := c.wrapInto(s, other, key, next); err != nil {
		return err
	}
	if err := c.module.lib.destroy(s, key); err != nil {
		return err
	}
	return c.reopens(s, other, next, imprint)
}
