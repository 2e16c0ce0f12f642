package store

import (
	"context"
	"errors"
	"strings"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/seal"
	"strongroom/store/soft"
)

// A Token makes keys that compute in it alone, and gives them out wrapped by a key that it has, to be kept here: rows of the class
// hsm-wrapped. A wrapping key is named by its identifier.
type Token interface {
	// GenerateWrapped makes a symmetric key, and tells its length.
	GenerateWrapped(ctx context.Context, wrapping string, a kmip.Attributes) (kept []byte, bits int32, err error)

	// GeneratePairWrapped makes a pair; the public half is given in clear.
	GeneratePairWrapped(ctx context.Context, wrapping string, private, public kmip.Attributes) (kept []byte, half *kmip.Value, err error)

	// OpenWrapped is the key that computes; it may borrow kept.
	OpenWrapped(ctx context.Context, wrapping string, kept []byte, a kmip.Attributes) (kmip.Opened, error)

	// Rewrap puts a key under another wrapping key, inside the token. Cryptographic Failure is of this key, any other error of the token.
	Rewrap(ctx context.Context, from, to string, kept []byte) ([]byte, error)
}

// tokenReference begins the references of envelopes whose material a token wrapped; the identifier of the wrapping key follows. The
// envelope is under the root key, which ties what the token gave to the row, whatever the token's own mechanism does.
const tokenReference = "token:"

// tokenKey is the identifier of the key in a token that an envelope's material is wrapped by.
func tokenKey(e *seal.Envelope) (uid string, ok bool) {
	return strings.CutPrefix(e.Protector, tokenReference)
}

// inToken says whether the key of a row computes in a token.
func (r *row) inToken() bool {
	if r.envelope == nil {
		return false
	}
	_, ok := tokenKey(r.envelope)
	return ok
}

// tokenProtector is the root key, under the name of the wrapping key in the token.
type tokenProtector struct {
	seal.Protector
	reference string
}

// Reference names the wrapping key.
func (p tokenProtector) Reference() string { return p.reference }

// tokenProtector is the root key as the protector of what that key in a token wrapped.
func (s *Store) tokenProtector(uid string) seal.Protector {
	return tokenProtector{s.root.Protector(), tokenReference + uid}
}

// identityMark stands in the configured wrapping key for whom a new key belongs to.
const identityMark = "{identity}"

// tokenWrapping is the wrapping key of a new object of the class hsm-wrapped: the one that it names, else the configured one.
func (s *Store) tokenWrapping(o *kmip.Object) (string, error) {
	if s.options.Token == nil {
		return "", kmip.Errorf(kmip.ResultReasonProtectionStorageUnavailable, "this server has no HSM to wrap keys in")
	}
	if v, ok := o.Attributes.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID); ok {
		if uid, _ := v.(string); uid != "" {
			return uid, nil
		}
		return "", kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "%s is the identifier of a key, as text", kmip.AttributeWrappingKeyID)
	}
	if s.options.HSMWrappingKey == "" {
		return "", kmip.Errorf(kmip.ResultReasonInvalidField, "an hsm-wrapped key needs a wrapping key: the request names none (%s), and the configuration has no hsm_wrapping_key", kmip.AttributeWrappingKeyID)
	}
	return strings.ReplaceAll(s.options.HSMWrappingKey, identityMark, o.Owners[0]), nil
}

// confined refuses an object that would leave, which a key in a token cannot.
func confined(o *kmip.Object) error {
	if !o.Attributes.Sensitive() || o.Attributes.Extractable() {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "an hsm-wrapped key is sensitive and not extractable: %q cannot be otherwise", o.UniqueIdentifier)
	}
	return nil
}

// generateInToken makes a symmetric key in a token.
func (s *Store) generateInToken(ctx context.Context, o *kmip.Object) error {
	uid, err := s.wrappable(ctx, o)
	if err != nil {
		return err
	}
	kept, bits, err := s.options.Token.GenerateWrapped(ctx, uid, o.Attributes)
	if err != nil {
		return err
	}
	a := o.Attributes.With(ttlv.TagCryptographicLength, bits)
	if !a.Contains(ttlv.TagKeyFormatType) {
		a = a.With(ttlv.TagKeyFormatType, kmip.KeyFormatTypeRaw)
	}
	n, err := s.newWrapped(ctx, o, uid, a, kept)
	if err != nil {
		return err
	}
	return s.writer.write(ctx, n.insert, func() { n.publish(o) })
}

// generatePairInToken makes a pair: the private half is kept wrapped, the public one as any public key.
func (s *Store) generatePairInToken(ctx context.Context, private, public *kmip.Object) error {
	uid, err := s.wrappable(ctx, private)
	if err != nil {
		return err
	}
	kept, half, err := s.options.Token.GeneratePairWrapped(ctx, uid, private.Attributes, public.Attributes)
	if err != nil {
		return err
	}
	public.Attributes = unwrapped(public.Attributes)
	if f, ok := kmip.Get[kmip.KeyFormatType](public.Attributes, ttlv.TagKeyFormatType); ok {
		if half, err = soft.Convert(half, soft.Form{Format: f}); err != nil {
			return err
		}
	}
	second, err := s.newObject(ctx, public, half)
	if err != nil {
		return err
	}
	a := private.Attributes
	for _, tag := range []ttlv.Tag{ttlv.TagCryptographicAlgorithm, ttlv.TagCryptographicLength, ttlv.TagCryptographicDomainParameters} {
		for _, x := range second.row.object.Attributes {
			if x.Tag == tag {
				a = a.With(tag, x.Value)
			}
		}
	}
	if !a.Contains(ttlv.TagKeyFormatType) {
		a = a.With(ttlv.TagKeyFormatType, kmip.KeyFormatTypePKCS8)
	}
	first, err := s.newWrapped(ctx, private, uid, a, kept)
	if err != nil {
		return err
	}
	return s.insertPair(ctx, first, second, private, public)
}

// wrappable says which key in a token wraps a new object. It refuses an identifier in use before the token is asked.
func (s *Store) wrappable(ctx context.Context, o *kmip.Object) (string, error) {
	if r, err := s.row(ctx, o.UniqueIdentifier); err == nil {
		return "", r.exists()
	} else if !errors.Is(err, kmip.ErrNotFound) {
		return "", err
	}
	if err := keepable(o); err != nil {
		return "", err
	}
	if err := confined(o); err != nil {
		return "", err
	}
	return s.tokenWrapping(o)
}

// unwrapped leaves out what asks for a place in a token, and of the wrapping key there.
func unwrapped(a kmip.Attributes) kmip.Attributes {
	for _, name := range []string{kmip.AttributeProtection, kmip.AttributeWrappingKeyID} {
		a = a.WithoutAll(kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorClient, Name: name})
	}
	return a
}

// newWrapped is the row of what a token wrapped.
func (s *Store) newWrapped(ctx context.Context, o *kmip.Object, uid string, a kmip.Attributes, kept []byte) (*newObject, error) {
	defer clear(kept)
	e, err := s.sealUnder(ctx, s.tokenProtector(uid), 1, o, kept)
	if err != nil {
		return nil, err
	}
	return s.newRowOf(o, a.WithVendor(kmip.VendorServer, kmip.AttributeWrappingKeyID, uid), e)
}

// openInToken makes the key that computes in the token of what the envelope has.
func (o *opened) openInToken(ctx context.Context, r *row) error {
	uid, _ := tokenKey(r.envelope)
	if r.store.options.Token == nil {
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "the object %q is wrapped by %q: no HSM is configured", r.object.UniqueIdentifier, uid)
	}
	var err error
	o.Opened, err = r.store.options.Token.OpenWrapped(ctx, uid, o.plain, r.object.Attributes)
	if err != nil {
		o.Opened = nil
	}
	return err
}

// staysInToken is the answer to who asks for the material of an hsm-wrapped key.
func staysInToken(uid string) error {
	return kmip.Errorf(kmip.ResultReasonSensitive, "%q is wrapped by an HSM and computes there: its material does not leave", uid)
}
