package hsm

import (
	"context"
	"sync/atomic"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// A key is the part that every kmip.Key over a token object has: the way to the object. It holds no material, and no handle
// for longer than the connection that gave it.
type key struct {
	kmip.Unsupported
	slot  *slot
	first *object // as it was looked up; another object under its name is another key
	bound atomic.Pointer[object]
	own   kmip.Attributes // the object's, for its Cryptographic Parameters

	passing *unwrapping // of a key that is in the token only while it computes; nil of one that stays there
}

// newKey is the Key of an object.
func newKey(s *slot, o *object, a kmip.Attributes) kmip.Key {
	k := &key{slot: s, first: o, own: a}
	k.bound.Store(o)
	return k.computing(o, a)
}

// computing is the Key that computes as the object does.
func (k *key) computing(o *object, a kmip.Attributes) kmip.Key {
	switch {
	case o.class == pkcs11.CKO_SECRET_KEY && o.kind == pkcs11.CKK_AES:
		return &aesKey{key: k}
	case o.class == pkcs11.CKO_SECRET_KEY:
		return &hmacKey{key: k, algorithm: a.Algorithm()}
	case o.class == pkcs11.CKO_PRIVATE_KEY && o.kind == pkcs11.CKK_RSA:
		return &rsaKey{key: k}
	case o.class == pkcs11.CKO_PRIVATE_KEY && o.kind == pkcs11.CKK_EC && o.curve != nil:
		return &ecKey{key: k}
	case o.class == pkcs11.CKO_PRIVATE_KEY && o.kind == ckkEdwards && o.bits == edwardsBits:
		return &edKey{key: k}
	case o.class == pkcs11.CKO_PUBLIC_KEY && o.kind == pkcs11.CKK_RSA && o.public != nil:
		return &rsaPublicKey{key: k}
	case o.class == pkcs11.CKO_PUBLIC_KEY && o.kind == ckkEdwards && o.public != nil:
		return &edPublicKey{key: k}
	case o.class == pkcs11.CKO_PUBLIC_KEY && o.public != nil:
		return &ecPublicKey{key: k}
	case o.class != pkcs11.CKO_SECRET_KEY && (o.kind == pkcs11.CKK_EC || o.kind == ckkEdwards):
		k.Kind = "a key on a curve other than P-256, P-384, P-521 and Ed25519"
	}
	return k
}

// use runs f with a session and the object's handle, again if the connection breaks; f is an operation that leaves nothing
// behind. The error is the token's: tell or fail makes the client's of it.
func (k *key) use(ctx context.Context, f func(c *connection, s session, h handle) error) error {
	if k.passing != nil {
		return k.passing.use(ctx, f)
	}
	if k.first.wantsPIN() {
		return kmip.Errorf(kmip.ResultReasonOperationNotSupported, wantsPIN, k.slot.identifier(k.first.name))
	}
	return k.slot.do(ctx, func(c *connection, s session) error {
		o, err := k.object(ctx, c, s)
		if err != nil {
			return err
		}
		err = f(c, s, o.handle)
		if faultOf(err) == faultObject {
			c.forget(o)
		}
		return err
	})
}

// object is the key's object on a connection: the one in hand, or the same one found again.
func (k *key) object(ctx context.Context, c *connection, s session) (*object, error) {
	o := k.bound.Load()
	if o.destroyed.Load() {
		return nil, kmip.NotFound(k.slot.identifier(o.name))
	}
	if o.conn == c && !o.gone.Load() && !c.proof.reuses {
		return o, nil
	}
	// Found again, or where a handle may mean another object by now confirmed.
	o, err := c.lookup(ctx, s, o.name)
	if err != nil {
		return nil, err
	}
	same := o.same(k.first)
	if print := k.first.known(); same && print != "" {
		if same, _, err = o.bears(print, c.asking(s, o)); err != nil {
			return nil, err
		}
	}
	if !same {
		return nil, kmip.NotFound(k.slot.identifier(o.name))
	}
	k.bound.Store(o)
	return o, nil
}

// fail makes the client's error of an operation that failed: one that failed on its data says no more than that.
func (k *key) fail(err error, message string) error {
	if badData(err) {
		return kmip.Errorf(kmip.ResultReasonCryptographicFailure, "%s", message)
	}
	return k.slot.tell(err)
}

// wantsPIN is the answer of a key with CKA_ALWAYS_AUTHENTICATE.
const wantsPIN = "the token wants the PIN for each use of %q (CKA_ALWAYS_AUTHENTICATE), and the server says it when it logs in alone"

// The uniform answers to data that cannot be decrypted or unwrapped.
const (
	decryptionFailed = "decryption failed"
	encryptionFailed = "encryption failed"
	signingFailed    = "signing failed"
)

// whole refuses operations in parts.
func whole(first, last *bool, correlation []byte) error {
	if first != nil && *first || last != nil && *last || len(correlation) > 0 {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported,
			"cryptographic operations in parts (Init Indicator, Final Indicator, Correlation Value) are not supported")
	}
	return nil
}
