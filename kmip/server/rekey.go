package server

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// reKey answers Re-key. KMIP 2.1 §6.1.46. The replacement belongs to the owner of the key it replaces, lives where that key
// does, and is wrapped at rest by the same key. Grants name one object, so the replacement begins without.
func (r *Request) reKey(old *kmip.Object, q *kmip.ReKeyRequest) (*kmip.ReKeyResponse, error) {
	if old.ObjectType() != kmip.ObjectTypeSymmetricKey {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "Re-key replaces a SymmetricKey, %q is a %v", old.UniqueIdentifier, old.ObjectType())
	}
	if err := hasMaterial(old); err != nil {
		return nil, err
	}
	if err := storable(like(old, q.Attributes), q.ProtectionStorageMasks); err != nil {
		return nil, err
	}
	given, err := r.succession(old, q.Attributes, q.Offset)
	if err != nil {
		return nil, err
	}
	if given, err = r.replaceable(old, given); err != nil {
		return nil, err
	}
	k := call{operation: kmip.OperationReKey}
	o, backend, err := r.prepare(&k, kmip.ObjectTypeSymmetricKey, given)
	if err != nil {
		return nil, err
	}
	if err := described(o.Attributes); err != nil {
		return nil, err
	}
	r.succeeds(o, old)
	began := time.Now()
	err = backend.Generate(r.ctx, o)
	r.record(&k, began, err)
	if err != nil {
		return nil, err
	}
	if err := r.retire(old, o.UniqueIdentifier); err != nil {
		r.discard(backend, o)
		return nil, err
	}
	r.placeholder, r.current.made = o.UniqueIdentifier, o.UniqueIdentifier
	return &kmip.ReKeyResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// reKeyKeyPair answers Re-key Key Pair. KMIP 2.1 §6.1.47. It takes the right to it on both halves.
func (r *Request) reKeyKeyPair(old *kmip.Object, q *kmip.ReKeyKeyPairRequest) (*kmip.ReKeyKeyPairResponse, error) {
	if old.ObjectType() != kmip.ObjectTypePrivateKey {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "Re-key Key Pair names a PrivateKey, %q is a %v", old.UniqueIdentifier, old.ObjectType())
	}
	if err := hasMaterial(old); err != nil {
		return nil, err
	}
	if err := storablePair(like(old, merge(q.CommonAttributes, q.PrivateKeyAttributes)), q.CommonProtectionStorageMasks, q.PrivateProtectionStorageMasks, q.PublicProtectionStorageMasks); err != nil {
		return nil, err
	}
	oldPublic, err := r.publicHalf(old)
	if err != nil {
		return nil, err
	}
	common := append(kmip.Attributes{}, q.CommonAttributes...)
	given, err := r.succession(old, r.laidOver(common, q.PrivateKeyAttributes), q.Offset)
	if err != nil {
		return nil, err
	}
	givenPublic, err := r.succession(oldPublic, r.laidOver(common.Without(ttlv.TagUniqueIdentifier), q.PublicKeyAttributes), q.Offset)
	if err != nil {
		return nil, err
	}
	if given, err = r.replaceable(old, given); err != nil {
		return nil, err
	}
	k := call{operation: kmip.OperationReKeyKeyPair}
	private, public, backend, err := r.preparePair(&k, given, givenPublic)
	if err != nil {
		return nil, err
	}
	r.succeeds(private, old)
	r.succeeds(public, oldPublic)
	pair(private, public)
	began := time.Now()
	err = backend.GeneratePair(r.ctx, private, public)
	r.record(&k, began, err)
	if err != nil {
		return nil, err
	}
	if err := r.retirePair(old, oldPublic, private.UniqueIdentifier, public.UniqueIdentifier); err != nil {
		r.discard(backend, private)
		r.discard(backend, public)
		return nil, err
	}
	r.placeholder, r.current.made = private.UniqueIdentifier, private.UniqueIdentifier
	return &kmip.ReKeyKeyPairResponse{
		PrivateKeyUniqueIdentifier: kmip.UniqueIdentifier(private.UniqueIdentifier),
		PublicKeyUniqueIdentifier:  kmip.UniqueIdentifier(public.UniqueIdentifier),
	}, nil
}

// publicHalf opens the public key that a private one is linked to.
func (r *Request) publicHalf(private *kmip.Object) (*kmip.Object, error) {
	for _, link := range kmip.All[kmip.Link](private.Attributes, ttlv.TagLink) {
		if link.LinkType != kmip.LinkTypePublicKeyLink {
			continue
		}
		o, err := r.openSecond(link.LinkedObjectIdentifier, need{states: existing, right: kmip.OperationReKeyKeyPair})
		if err == nil && o.ObjectType() != kmip.ObjectTypePublicKey {
			err = kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is linked to as a public key, and is a %v", o.UniqueIdentifier, o.ObjectType())
		}
		return o, err
	}
	return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the private key %q has no Public Key Link: there is no pair to replace", private.UniqueIdentifier)
}

// newForEach are the attributes that a client may set, and a replacement does not have from the key it replaces: tables 304
// and 309 of KMIP 2.1, and what belongs to the material.
var newForEach = map[ttlv.Tag]bool{
	ttlv.TagUniqueIdentifier:      true,
	ttlv.TagLink:                  true,
	ttlv.TagRandomNumberGenerator: true,
	ttlv.TagOriginalCreationDate:  true,
	ttlv.TagFresh:                 true,
}

// succession lists the attributes of a replacement: those of the key it replaces with its dates moved by the offset, under
// those that the request gives. Names are taken over, whatever other names the request adds.
func (r *Request) succession(old *kmip.Object, given kmip.Attributes, offset *ttlv.Interval) (kmip.Attributes, error) {
	if err := movable(old, given, offset); err != nil {
		return nil, err
	}
	var copied kmip.Attributes
	for _, a := range importable(old.Attributes) {
		if !newForEach[a.Tag] {
			copied = append(copied, a)
		}
	}
	if limits, ok := kmip.Get[kmip.UsageLimits](copied, ttlv.TagUsageLimits); ok {
		limits.UsageLimitsCount = &limits.UsageLimitsTotal
		copied = copied.With(ttlv.TagUsageLimits, limits)
	}
	merged := merge(moved(copied, offset, r.now), given.Without(ttlv.TagName))
	for _, n := range kmip.All[kmip.Name](given, ttlv.TagName) {
		if a := (kmip.Attribute{Tag: ttlv.TagName, Value: n}); !merged.Has(a) {
			merged = append(merged, a)
		}
	}
	for _, a := range given {
		if err := tightens(old, a); err != nil {
			return nil, err
		}
	}
	wrapping, has := old.Attributes.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID)
	if asked, ok := given.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID); ok && (!has || asked != wrapping) {
		return nil, kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the replacement of %q is wrapped as %q is: %s cannot be another", old.UniqueIdentifier, old.UniqueIdentifier, kmip.AttributeWrappingKeyID)
	}
	return merged, nil
}

// follows are the dates that an Offset moves with the Activation Date.
var follows = []ttlv.Tag{ttlv.TagProcessStartDate, ttlv.TagProtectStopDate, ttlv.TagDeactivationDate}

// movable refuses an Offset beside dates that it would set, and one by which dates would move that have no Activation Date to move with.
// KMIP 1.4 §11.5, §11.6.
func movable(old *kmip.Object, given kmip.Attributes, offset *ttlv.Interval) error {
	if offset == nil {
		return nil
	}
	alone := !old.Attributes.Contains(ttlv.TagActivationDate)
	for _, tag := range append([]ttlv.Tag{ttlv.TagActivationDate}, follows...) {
		if given.Contains(tag) {
			return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has an Offset, and the %v that it would set", kmip.Attribute{Tag: tag})
		}
		if alone && old.Attributes.Contains(tag) {
			return kmip.Errorf(kmip.ResultReasonAttributeNotFound, "%q has no Activation Date: an Offset does not say what becomes of its %v", old.UniqueIdentifier, kmip.Attribute{Tag: tag})
		}
	}
	return nil
}

// moved gives the dates of a replacement: table 303 of KMIP 2.1. Without an offset they stay as they are.
func moved(a kmip.Attributes, offset *ttlv.Interval, now time.Time) kmip.Attributes {
	if offset == nil {
		return a
	}
	activation := now.Add(time.Duration(*offset) * time.Second)
	before, _ := kmip.Get[time.Time](a, ttlv.TagActivationDate)
	a = a.With(ttlv.TagActivationDate, activation)
	for _, tag := range follows {
		if t, ok := kmip.Get[time.Time](a, tag); ok {
			a = a.With(tag, shifted(t, activation.Unix()-before.Unix()))
		}
	}
	return a
}

// shifted is a date moved by seconds. The largest one stands for none (KMIP 2.1 §6.1.28), and stays.
func shifted(t time.Time, seconds int64) time.Time {
	at := t.Unix()
	if seconds > 0 && at > kmip.LatestDate-seconds {
		return time.Unix(kmip.LatestDate, 0)
	}
	if at == kmip.LatestDate {
		return t
	}
	return time.Unix(at+seconds, 0)
}

// hasMaterial refuses to replace an object of which only attributes are here. KMIP 1.4 §11.5, KMIP 2.1 table 307.
func hasMaterial(o *kmip.Object) error {
	if present, stated := kmip.Get[bool](o.Attributes, ttlv.TagKeyValuePresent); stated && !present {
		return kmip.Errorf(kmip.ResultReasonKeyValueNotPresent, "the Key Value of %q is not here", o.UniqueIdentifier)
	}
	return nil
}

// replaceable refuses a replacement that would live elsewhere than the key it replaces, and names one in a token that the request
// does not name.
func (r *Request) replaceable(old *kmip.Object, given kmip.Attributes) (kmip.Attributes, error) {
	uid, ok := kmip.Get[string](given, ttlv.TagUniqueIdentifier)
	_, _, before, _ := kmip.HSMKey(old.UniqueIdentifier)
	_, _, after, _ := kmip.HSMKey(uid)
	switch {
	case before && !ok:
		uid, err := r.nextLabel(old)
		return given.With(ttlv.TagUniqueIdentifier, uid), err
	case before != after:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "%q cannot replace %q: a key in a token is replaced by one in a token, a key of the database by one of the database", uid, old.UniqueIdentifier)
	}
	return given, nil
}

// mostLabels is how many labels are tried for a replacement.
const mostLabels = 100

// nextLabel is the identifier of a replacement in a token: the label with the next free number behind it, from 2. Who may make keys
// there may know which are there.
func (r *Request) nextLabel(old *kmip.Object) (string, error) {
	if _, err := r.creates(old.UniqueIdentifier); err != nil {
		return "", err
	}
	slot, label, _, err := kmip.HSMKey(old.UniqueIdentifier)
	if err != nil {
		return "", err
	}
	number := 1
	if _, replaced := linkOf(old, kmip.LinkTypeReplacedObjectLink); replaced {
		if at := strings.LastIndexByte(label, '-'); at > 0 {
			if n, err := strconv.Atoi(label[at+1:]); err == nil && n > 1 && n < 1<<20 {
				label, number = label[:at], n
			}
		}
	}
	for range mostLabels {
		number++
		uid := kmip.HSMIdentifier(slot, label+"-"+strconv.Itoa(number))
		_, err := r.server.HSM.Object(r.ctx, uid)
		if errors.Is(err, kmip.ErrNotFound) {
			return uid, nil
		}
		if err != nil && kmip.ReasonOf(err) != kmip.ResultReasonInvalidField {
			return "", err
		}
	}
	return "", kmip.Errorf(kmip.ResultReasonInvalidField, "the replacement of %q needs a name in the token: give its Unique Identifier, hsm::<slot>::<label>, among the attributes", old.UniqueIdentifier)
}

// succeeds makes o the replacement of old.
func (r *Request) succeeds(o, old *kmip.Object) {
	o.Owners = old.Owners
	o.Attributes = successor(linked(generated(o.Attributes, r.now), kmip.LinkTypeReplacedObjectLink, old.UniqueIdentifier), old.Attributes)
}

// retire takes the names of a key that has a replacement, and links it to that. Its state stays.
func (r *Request) retire(old *kmip.Object, replacement string) error {
	names := kmip.All[kmip.Name](old.Attributes, ttlv.TagName)
	return r.update(old, func(o *kmip.Object) error {
		if !slices.Equal(names, kmip.All[kmip.Name](o.Attributes, ttlv.TagName)) {
			return kmip.Errorf(kmip.ResultReasonGeneralFailure, "the names of %q were changed meanwhile: ask again", o.UniqueIdentifier)
		}
		if o.Attributes.Replaced() && !old.Attributes.Replaced() {
			return kmip.Errorf(kmip.ResultReasonGeneralFailure, "%q was replaced meanwhile: ask again", o.UniqueIdentifier)
		}
		o.Attributes = rotated(o.Attributes, r.now)
		o.Attributes = linked(unlinked(o.Attributes.Without(ttlv.TagName), kmip.LinkTypeReplacementObjectLink), kmip.LinkTypeReplacementObjectLink, replacement)
		return nil
	})
}

// retirePair retires both halves or neither.
func (r *Request) retirePair(private, public *kmip.Object, newPrivate, newPublic string) error {
	if err := r.retire(private, newPrivate); err != nil {
		return err
	}
	err := r.retire(public, newPublic)
	if err == nil {
		return nil
	}
	back := r.unretire(private)
	if back != nil {
		r.server.Log.Error("half a pair was retired", "request", r.number, "uid", private.UniqueIdentifier, "err", back)
	}
	return err
}

// unretire takes back what retire did, of the object as it was before.
func (r *Request) unretire(before *kmip.Object) error {
	return r.reopened(before.UniqueIdentifier, func(o *kmip.Object) {
		o.Attributes = unrotated(unlinked(o.Attributes, kmip.LinkTypeReplacementObjectLink), before.Attributes)
		for _, a := range before.Attributes {
			link, is := a.Value.(kmip.Link)
			if a.Tag == ttlv.TagName || is && link.LinkType == kmip.LinkTypeReplacementObjectLink {
				o.Attributes = append(o.Attributes, a)
			}
		}
	})
}

// reopened opens an object that the request changed before, and changes it again.
func (r *Request) reopened(uid string, change func(*kmip.Object)) error {
	o, err := r.admit(uid, r.need)
	if err != nil {
		return err
	}
	return r.update(o, func(o *kmip.Object) error { change(o); return nil })
}

// unlinked leaves out the links of a type.
func unlinked(a kmip.Attributes, t kmip.LinkType) kmip.Attributes {
	return slices.DeleteFunc(slices.Clone(a), func(x kmip.Attribute) bool {
		link, is := x.Value.(kmip.Link)
		return is && link.LinkType == t
	})
}

// discard destroys an object that the request made and cannot link, so that none is left that nobody knows of. In a batch
// that may be undone that is done with the rest.
func (r *Request) discard(backend kmip.Backend, o *kmip.Object) {
	if _, ok := backend.(undoing); ok {
		return
	}
	if err := unmake(r.ctx, backend, o.UniqueIdentifier); err != nil {
		r.server.Log.Error("an object made in vain stays", "request", r.number, "uid", o.UniqueIdentifier, "err", err)
	}
}
