package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"strongroom/kmip"
	"strongroom/store/seal"
)

// keyReference begins the references of protectors that are managed keys.
const keyReference = "uid:"

// wrapped says whether an envelope is under a managed key.
func wrapped(e *seal.Envelope) bool { return strings.HasPrefix(e.Protector, keyReference) }

// protection is the value of the attribute that tells how an envelope is kept.
func protection(e *seal.Envelope) string {
	if _, token := tokenKey(e); token {
		return kmip.ProtectionHSMWrapped
	}
	if wrapped(e) {
		return kmip.ProtectionHSMProtected
	}
	return kmip.ProtectionSoftware
}

// wrappingKey is the identifier of the key that a new object goes under: the one that it names, else the configured one,
// "" for the root key. The configured key itself, when it is made here, goes under the root key.
func (s *Store) wrappingKey(uid string, a kmip.Attributes) (string, error) {
	v, ok := a.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID)
	if !ok {
		if s.options.KeyEncryptionKey == uid {
			return "", nil
		}
		return s.options.KeyEncryptionKey, nil
	}
	named, ok := v.(string)
	switch {
	case !ok || named == "":
		return "", kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "%s is the identifier of a key, as text", kmip.AttributeWrappingKeyID)
	case named == uid:
		return "", kmip.Errorf(kmip.ResultReasonInvalidField, "%q cannot be wrapped by itself", uid)
	}
	return named, nil
}

// protector is what a new object is sealed under.
func (s *Store) protector(ctx context.Context, uid string, a kmip.Attributes) (seal.Protector, error) {
	wrapping, err := s.wrappingKey(uid, a)
	if err != nil {
		return nil, err
	}
	if wrapping == "" {
		return s.root.Protector(), nil
	}
	p, err := s.keyProtector(ctx, wrapping)
	if err != nil {
		return nil, wrappingError(wrapping, err)
	}
	return p, nil
}

// keyProtector is a managed key as a protector.
func (s *Store) keyProtector(ctx context.Context, uid string) (seal.Protector, error) {
	if s.options.Protector == nil {
		return nil, kmip.Errorf(kmip.ResultReasonItemNotFound, "this server has no wrapping keys")
	}
	k, a, err := s.options.Protector(ctx, uid)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, kmip.Errorf(kmip.ResultReasonItemNotFound, "it is destroyed, or no key")
	}
	p, err := seal.KeyProtector(keyReference+uid, k, a)
	if err != nil {
		return nil, err
	}
	return s.root.Mixing(p), nil
}

// find is the protector that an envelope names.
func (s *Store) find(ctx context.Context, h seal.Header) (seal.Protector, error) {
	if h.Protector == seal.RootReference {
		return s.root.Protector(), nil
	}
	if uid, ok := strings.CutPrefix(h.Protector, keyReference); ok {
		return s.keyProtector(ctx, uid)
	}
	if uid, ok := strings.CutPrefix(h.Protector, tokenReference); ok {
		return s.tokenProtector(uid), nil
	}
	return nil, fmt.Errorf("protector %q is of a kind that is not known", h.Protector)
}

// wrappingError names the wrapping key in an error of it.
func wrappingError(uid string, err error) error {
	var e *kmip.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("wrapping key %q: %w", uid, err)
	}
	reason := e.Reason
	switch reason {
	case kmip.ResultReasonItemNotFound, kmip.ResultReasonObjectNotFound:
		reason = kmip.ResultReasonWrappingObjectNotFound
	case kmip.ResultReasonObjectDestroyed:
		reason = kmip.ResultReasonWrappingObjectDestroyed
	}
	return kmip.Errorf(reason, "wrapping key %q: %w", uid, err)
}

// seal puts material, which it clears, into an envelope.
func (s *Store) seal(ctx context.Context, o *kmip.Object, plain []byte) (*seal.Envelope, error) {
	defer clear(plain)
	p, err := s.protector(ctx, o.UniqueIdentifier, o.Attributes)
	if err != nil {
		return nil, err
	}
	return s.sealUnder(ctx, p, 1, o, plain)
}

func (s *Store) sealUnder(ctx context.Context, p seal.Protector, generation uint32, o *kmip.Object, plain []byte) (*seal.Envelope, error) {
	context := bound(o.UniqueIdentifier, o.Owners[0], o.ObjectType(), o.Attributes)
	random, err := s.dataKeys(ctx, o.Owner(), o.Attributes)
	if err != nil {
		return nil, err
	}
	e, err := seal.Seal(ctx, random, p, seal.Label{Purpose: seal.PurposeObject, Generation: generation}, context, plain)
	if err == nil {
		return e, nil
	}
	if uid, ok := strings.CutPrefix(p.Reference(), keyReference); ok {
		return nil, wrappingError(uid, err)
	}
	return nil, err
}

// dataKeys is where the data key and the IV of an envelope come from, nil for crypto/rand.
func (s *Store) dataKeys(ctx context.Context, owner string, a kmip.Attributes) (io.Reader, error) {
	if s.options.Random == nil {
		return nil, nil
	}
	return s.options.Random(ctx, owner, a, "data key")
}

// open gives a row's material; the caller clears it.
func (r *row) open(ctx context.Context) ([]byte, error) {
	wrapping, isWrapped := strings.CutPrefix(r.envelope.Protector, keyReference)
	if isWrapped {
		ctx = follow(ctx, r.object.UniqueIdentifier)
	}
	plain, err := r.envelope.Open(ctx, r.store.find, seal.PurposeObject, r.bound())
	switch {
	case err == nil:
		return plain, nil
	case errors.Is(err, seal.ErrDecrypt):
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "object %q: %w", r.object.UniqueIdentifier, err)
	case isWrapped:
		return nil, wrappingError(wrapping, err)
	}
	return nil, err
}

// chain is the objects whose opening led to the one that is being opened.
type chain struct {
	uid    string
	before *chain
	length int
}

type chainKey struct{}

// longestChain is how many keys may wrap one another.
const longestChain = 8

// follow notes in ctx that uid is being opened.
func follow(ctx context.Context, uid string) context.Context {
	c := &chain{uid: uid, length: 1}
	if c.before, _ = ctx.Value(chainKey{}).(*chain); c.before != nil {
		c.length += c.before.length
	}
	return context.WithValue(ctx, chainKey{}, c)
}

// circle refuses to open uid when that is what led here, and a chain that is too long. Keys are wrapped when they are
// made, by keys that exist: only somebody who writes to the database can close a circle.
func circle(ctx context.Context, uid string) error {
	c, _ := ctx.Value(chainKey{}).(*chain)
	if c != nil && c.length >= longestChain {
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "object %q is under more than %d keys that wrap one another", c.uid, longestChain)
	}
	for ; c != nil; c = c.before {
		if c.uid == uid {
			return kmip.Errorf(kmip.ResultReasonGeneralFailure, "object %q is wrapped, in a circle, by itself", uid)
		}
	}
	return nil
}
