package hsm

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// tokenOwned are the attributes that come from the token, whatever a record says.
var tokenOwned = []ttlv.Tag{
	ttlv.TagUniqueIdentifier, ttlv.TagObjectType, ttlv.TagCryptographicAlgorithm, ttlv.TagCryptographicLength,
	ttlv.TagSensitive, ttlv.TagAlwaysSensitive, ttlv.TagExtractable, ttlv.TagNeverExtractable, ttlv.TagDigest,
}

// confining are those of them that a token has no flags for on public keys: there they are the record's.
var confining = []ttlv.Tag{ttlv.TagSensitive, ttlv.TagAlwaysSensitive, ttlv.TagExtractable, ttlv.TagNeverExtractable}

// owns says whether an attribute comes from the token.
func (o *object) owns(tag ttlv.Tag) bool {
	if tag == ttlv.TagCryptographicLength && o.bits <= 0 { // of a key that SoftHSM unwrapped
		return false
	}
	return slices.Contains(tokenOwned, tag) && !(o.class == pkcs11.CKO_PUBLIC_KEY && slices.Contains(confining, tag))
}

// recorded are the attributes that go into the record: all but the token's own.
func recorded(a kmip.Attributes) kmip.Attributes {
	t, _ := kmip.Get[kmip.ObjectType](a, ttlv.TagObjectType)
	kept := make(kmip.Attributes, 0, len(a))
	for _, x := range a {
		algorithm := x.Tag == ttlv.TagCryptographicAlgorithm || x.Tag == ttlv.TagCryptographicLength // the token may know less of it
		public := t == kmip.ObjectTypePublicKey && slices.Contains(confining, x.Tag)
		if (algorithm || public || !slices.Contains(tokenOwned, x.Tag)) && !protected(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

// derived completes the attributes of a token object with those that follow from what it is: the format in which its material is
// read, where nobody asked for another; the digests of a public key; and that a public key is public, where the record does not
// say otherwise.
func (o *object) derived(a kmip.Attributes) kmip.Attributes {
	if !a.Contains(ttlv.TagKeyFormatType) {
		a = a.Plus(ttlv.TagKeyFormatType, o.format())
	}
	if o.class != pkcs11.CKO_PUBLIC_KEY {
		return a
	}
	for _, tag := range confining {
		if !a.Contains(tag) {
			a = a.Plus(tag, tag == ttlv.TagExtractable)
		}
	}
	for _, d := range o.digests() {
		a = a.Plus(ttlv.TagDigest, d)
	}
	return a
}

// format is the Key Format Type that Value gives.
func (o *object) format() kmip.KeyFormatType {
	switch o.class {
	case pkcs11.CKO_PRIVATE_KEY:
		return kmip.KeyFormatTypePKCS8
	case pkcs11.CKO_PUBLIC_KEY:
		return kmip.KeyFormatTypeX509
	}
	return kmip.KeyFormatTypeRaw
}

// digests are those of a public key, in the format in which it is read and in the default one (KMIP 2.1 §4.21, table 81).
func (o *object) digests() (list []kmip.Digest) {
	add := func(material []byte, f kmip.KeyFormatType) {
		sum := sha256.Sum256(material)
		list = append(list, kmip.Digest{HashingAlgorithm: kmip.HashingAlgorithmSHA256, DigestValue: sum[:], KeyFormatType: f})
	}
	der, err := x509.MarshalPKIXPublicKey(o.public)
	if err != nil {
		return nil
	}
	add(der, kmip.KeyFormatTypeX509)
	switch k := o.public.(type) {
	case *rsa.PublicKey:
		add(x509.MarshalPKCS1PublicKey(k), kmip.KeyFormatTypePKCS1)
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil || o.curveName() == 0 {
			return list
		}
		encoded, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagKeyMaterial, &kmip.KeyComponents{RecommendedCurve: o.curveName(), QString: point})
		if err == nil {
			add(encoded, kmip.KeyFormatTypeTransparentECPublicKey)
		}
	}
	return list
}

// unflagged refuses a change of what the token keeps in flags of its own: those are set when a key is made.
func (h *HSM) unflagged(ctx context.Context, o *kmip.Object) error {
	s, label, err := h.route(o.UniqueIdentifier)
	if err != nil {
		return err
	}
	found, err := s.object(ctx, label)
	if err != nil {
		return err
	}
	if found.class == pkcs11.CKO_PUBLIC_KEY {
		return nil
	}
	if o.Attributes.Sensitive() != found.is(pkcs11.CKA_SENSITIVE, true) || o.Attributes.Extractable() != found.is(pkcs11.CKA_EXTRACTABLE, false) {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "whether %q is sensitive, or extractable, was said to the token when it was made, and is not changed there", o.UniqueIdentifier)
	}
	return nil
}
