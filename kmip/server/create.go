package server

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// create answers Create. KMIP 2.1 §6.1.8. Secret Data are a seed, of 256 bits if the request does not say.
func (r *Request) create(k *call, q *kmip.CreateRequest) (*kmip.CreateResponse, error) {
	secret := q.ObjectType == kmip.ObjectTypeSecretData && r.version >= ttlv.V2_0
	if q.ObjectType != kmip.ObjectTypeSymmetricKey && !secret {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "Create makes a SymmetricKey or, from KMIP 2.0 on, SecretData, not a %v", q.ObjectType)
	}
	given := r.placed(q.Attributes, q.ProtectionStorageMasks)
	if err := storable(given, q.ProtectionStorageMasks); err != nil {
		return nil, err
	}
	o, backend, err := r.prepare(k, q.ObjectType, given)
	if err != nil {
		return nil, err
	}
	if err := described(o.Attributes); err != nil {
		return nil, err
	}
	o.Attributes = generated(o.Attributes, r.now)
	if err := backend.Generate(r.ctx, o); err != nil {
		return nil, err
	}
	r.placeholder = o.UniqueIdentifier
	return &kmip.CreateResponse{ObjectType: q.ObjectType, UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// createKeyPair answers Create Key Pair. KMIP 2.1 §6.1.9.
func (r *Request) createKeyPair(k *call, q *kmip.CreateKeyPairRequest) (*kmip.CreateKeyPairResponse, error) {
	own := r.placedPair(q.CommonAttributes, q.PrivateKeyAttributes, q.CommonProtectionStorageMasks, q.PrivateProtectionStorageMasks)
	if err := storablePair(merge(q.CommonAttributes, own), q.CommonProtectionStorageMasks, q.PrivateProtectionStorageMasks, q.PublicProtectionStorageMasks); err != nil {
		return nil, err
	}
	common := append(kmip.Attributes{}, q.CommonAttributes...)
	// A public key is withheld where the request says so of it, not of both halves.
	shared := common.Without(ttlv.TagUniqueIdentifier).Without(ttlv.TagSensitive).Without(ttlv.TagExtractable)
	private, public, backend, err := r.preparePair(k, r.laidOver(common, own), r.laidOver(shared, q.PublicKeyAttributes))
	if err != nil {
		return nil, err
	}
	private.Attributes, public.Attributes = generated(private.Attributes, r.now), generated(public.Attributes, r.now)
	r.formatted(private, public)
	pair(private, public)
	if err := backend.GeneratePair(r.ctx, private, public); err != nil {
		return nil, err
	}
	r.placeholder = private.UniqueIdentifier
	return &kmip.CreateKeyPairResponse{
		PrivateKeyUniqueIdentifier: kmip.UniqueIdentifier(private.UniqueIdentifier),
		PublicKeyUniqueIdentifier:  kmip.UniqueIdentifier(public.UniqueIdentifier),
	}, nil
}

// preparePair prepares the two halves of a pair. The public one of a pair that the client named is named with "_pk" behind,
// unless the client named it too.
func (r *Request) preparePair(k *call, privateAttributes, publicAttributes kmip.Attributes) (private, public *kmip.Object, backend kmip.Backend, err error) {
	private, backend, err = r.prepare(k, kmip.ObjectTypePrivateKey, privateAttributes)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := described(private.Attributes); err != nil {
		return nil, nil, nil, err
	}
	if name, ok := kmip.Get[string](privateAttributes, ttlv.TagUniqueIdentifier); ok && !publicAttributes.Contains(ttlv.TagUniqueIdentifier) {
		publicAttributes = publicAttributes.With(ttlv.TagUniqueIdentifier, name+"_pk")
	}
	public, other, err := r.prepare(&call{operation: k.operation}, kmip.ObjectTypePublicKey, publicAttributes)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := quantumSafe(public.Attributes); err != nil {
		return nil, nil, nil, err
	}
	if other != backend || public.UniqueIdentifier == private.UniqueIdentifier {
		return nil, nil, nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the halves of a pair cannot be %q and %q", private.UniqueIdentifier, public.UniqueIdentifier)
	}
	return private, public, backend, nil
}

// pair links the halves of a pair to each other.
func pair(private, public *kmip.Object) {
	private.Attributes = linked(private.Attributes, kmip.LinkTypePublicKeyLink, public.UniqueIdentifier)
	public.Attributes = linked(public.Attributes, kmip.LinkTypePrivateKeyLink, private.UniqueIdentifier)
}

// merge lays the attributes of one half over those common to both; an attribute given for the half replaces all its
// common instances.
func merge(common, own kmip.Attributes) kmip.Attributes {
	merged := append(kmip.Attributes{}, common...)
	for _, a := range own {
		merged = merged.WithoutAll(a)
	}
	return append(merged, own...)
}

func linked(a kmip.Attributes, t kmip.LinkType, uid string) kmip.Attributes {
	return a.Plus(ttlv.TagLink, kmip.Link{LinkType: t, LinkedObjectIdentifier: kmip.UniqueIdentifier(uid)})
}

// described refuses a description that nothing can be made of. A length that is absent is the algorithm's usual one; 0 is not.
func described(a kmip.Attributes) error {
	if t, _ := kmip.Get[kmip.ObjectType](a, ttlv.TagObjectType); a.Algorithm() == 0 && t != kmip.ObjectTypeSecretData {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the request has no Cryptographic Algorithm")
	}
	if n, ok := kmip.Get[int32](a, ttlv.TagCryptographicLength); ok && n <= 0 {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "a key cannot have a Cryptographic Length of %d bits", n)
	}
	if err := quantumSafe(a); err != nil {
		return err
	}
	if g := generatorOf(a); a.Contains(ttlv.TagRandomNumberGenerator) && !a.Has(g) {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "the %v of the request is not the one that keys are made with", g)
	}
	return nil
}

// quantumSafe refuses attributes that ask for what a quantum computer does not break, of an object that it would: of all that is
// kept here, symmetric keys of 256 bits and more withstand one. KMIP 2.1 §4.45; test case QS-M-2 of the profiles has the reason.
func quantumSafe(a kmip.Attributes) error {
	t, _ := kmip.Get[kmip.ObjectType](a, ttlv.TagObjectType)
	if asked, _ := kmip.Get[bool](a, ttlv.TagQuantumSafe); asked && (t != kmip.ObjectTypeSymmetricKey || a.Length() < 256) {
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "only a symmetric key of at least 256 bits can be Quantum Safe here")
	}
	return nil
}

// generated notes that the server makes the material, now, and how.
func generated(a kmip.Attributes, now time.Time) kmip.Attributes {
	g := generatorOf(a)
	return a.With(ttlv.TagOriginalCreationDate, now).With(g.Tag, g.Value)
}

// prepare prepares one new object: who may make it, where, under which name, with which attributes.
func (r *Request) prepare(k *call, t kmip.ObjectType, given kmip.Attributes) (*kmip.Object, kmip.Backend, error) {
	uid, ok := kmip.Get[string](given, ttlv.TagUniqueIdentifier)
	if !ok {
		uid = uuid.NewString()
	} else if err := kmip.CheckIdentifier(uid); err != nil {
		return nil, nil, err
	}
	k.uid = uid
	if err := r.mayMake(uid, given); err != nil {
		return nil, nil, err
	}
	backend, err := r.creates(uid)
	if err != nil {
		return nil, nil, err
	}
	if given, err = r.withDefaults(t, given); err != nil {
		return nil, nil, err
	}
	if given, err = r.settable(t, given); err != nil {
		return nil, nil, err
	}
	token := backend == r.server.HSM
	if err := keepable(given, token); err != nil {
		return nil, nil, err
	}
	if err := r.mayWrapWith(given, token); err != nil {
		return nil, nil, err
	}
	o := &kmip.Object{UniqueIdentifier: uid, Owners: []string{r.identity}}
	o.Attributes = r.initial(t, given.With(ttlv.TagUniqueIdentifier, uid), token)
	if err := rotatable(o); err != nil {
		return nil, nil, err
	}
	backend, err = r.constrain(r.undoable(backend))
	return o, backend, err
}

// creates is the backend in which the caller may make an object of that name.
func (r *Request) creates(uid string) (kmip.Backend, error) {
	slot, _, token, err := kmip.HSMKey(uid)
	switch {
	case err != nil:
		return nil, err
	case !r.server.Authority.Load().MayCreate(r.identity, uid):
		what := "objects"
		if token {
			what = fmt.Sprintf("keys in slot %d", slot)
		}
		return nil, kmip.Errorf(kmip.ResultReasonPermissionDenied, "%q may not create %s", r.identity, what)
	case !token:
		return r.server.Store, nil
	case r.server.HSM == nil:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "%q: no HSM is configured", uid)
	}
	return r.server.HSM, nil
}

// mayWrapWith opens the wrapping key that a new object names: who uses a key so needs the right to encrypt with it.
func (r *Request) mayWrapWith(given kmip.Attributes, token bool) error {
	v, ok := given.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID)
	if !ok {
		return nil
	}
	uid, ok := v.(string)
	if !ok || uid == "" {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the attribute %s is text, the identifier of a key", kmip.AttributeWrappingKeyID)
	}
	if token {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "a key in an HSM is not wrapped at rest: it has no %s", kmip.AttributeWrappingKeyID)
	}
	o, err := r.openSecond(kmip.UniqueIdentifier(uid), wraps)
	if err != nil {
		return err
	}
	if _, _, limited := remaining(o); limited {
		return kmip.Errorf(kmip.ResultReasonPermissionDenied, "%q has Usage Limits: it cannot protect other keys at rest, which the server wraps as often as it needs", uid)
	}
	return nil
}

// wraps is the need of a key that wraps another at rest.
var wraps = need{
	states: in(kmip.StateActive), right: kmip.OperationEncrypt, window: untilProtectStop,
	usage: kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskWrapKey,
}

// settable lists the attributes that a client gives a new object, as they are kept. It refuses those that a client may not set
// or objects of that type do not have, second instances of what has one, and dates in a wrong order.
func (r *Request) settable(t kmip.ObjectType, given kmip.Attributes) (kmip.Attributes, error) {
	if len(given) > 4*mostInstances {
		return nil, kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "the request gives a new object %d attributes", len(given))
	}
	list := make(kmip.Attributes, 0, len(given)+16)
	for _, a := range given {
		rule := kmip.RuleOf(a.Tag)
		switch {
		case rule == nil || !rule.ClientSets && !rule.Stated || a.Tag == ttlv.TagAttribute && a.Vendor == kmip.VendorServer:
			return nil, kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the attribute %v is set by the server", a)
		case !rule.AppliesEver(t):
			return nil, kmip.Errorf(kmip.ResultReasonInvalidAttribute, "a %v has no attribute %v", t, a)
		case !rule.Multiple && slices.ContainsFunc(list, a.Is):
			return nil, kmip.Errorf(kmip.ResultReasonAttributeSingleValued, "the attribute %v has one value, the request gives more", a)
		case list.Has(a):
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request gives the attribute %v twice with one value", a)
		}
		kept, err := r.kept(a)
		if err != nil {
			return nil, err
		}
		list = append(list, kept)
	}
	return list, orderly(list)
}

// initial completes the attributes of a new object. KMIP 2.1 §4.
func (r *Request) initial(t kmip.ObjectType, a kmip.Attributes, token bool) kmip.Attributes {
	a = a.With(ttlv.TagObjectType, t).With(ttlv.TagInitialDate, r.now).With(ttlv.TagLastChangeDate, r.now)
	if t != kmip.ObjectTypeTemplate {
		a = a.With(ttlv.TagState, kmip.StatePreActive)
		a = a.With(ttlv.TagState, a.State(r.now))
	}
	if !r.brings() || !a.Contains(ttlv.TagFresh) {
		a = a.With(ttlv.TagFresh, true)
	}
	if !a.Contains(ttlv.TagCryptographicUsageMask) {
		if mask, has := usual(t); has {
			a = a.With(ttlv.TagCryptographicUsageMask, mask)
		}
	}
	return r.confine(t, a, token || a.AsksHSMWrapped())
}

// brings says whether the request brings an object's material: it may say that it is not Fresh (KMIP 2.1 §4.24), what others make is.
func (r *Request) brings() bool {
	return r.current.operation == kmip.OperationRegister || r.current.operation == kmip.OperationImport
}

// confine sets Sensitive and Extractable: a key in a token stays there unless the request says otherwise.
func (r *Request) confine(t kmip.ObjectType, a kmip.Attributes, token bool) kmip.Attributes {
	secret := t != kmip.ObjectTypePublicKey && t != kmip.ObjectTypeCertificate
	if !a.Contains(ttlv.TagSensitive) {
		a = a.With(ttlv.TagSensitive, token && secret)
	}
	if !a.Contains(ttlv.TagExtractable) {
		a = a.With(ttlv.TagExtractable, !(token && secret && a.Sensitive()))
	}
	return a.With(ttlv.TagAlwaysSensitive, a.Sensitive()).With(ttlv.TagNeverExtractable, !a.Extractable())
}

// usual is the Cryptographic Usage Mask of an object whose request gives none: table 28 of KMIP 2.1. All but opaque objects and
// templates have one.
func usual(t kmip.ObjectType) (mask kmip.CryptographicUsageMask, has bool) {
	switch t {
	case kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeSplitKey:
		mask = kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt |
			kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey
	case kmip.ObjectTypePrivateKey:
		mask = kmip.CryptographicUsageMaskSign | kmip.CryptographicUsageMaskDecrypt | kmip.CryptographicUsageMaskUnwrapKey
	case kmip.ObjectTypePublicKey, kmip.ObjectTypeCertificate:
		mask = kmip.CryptographicUsageMaskVerify | kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskWrapKey
	case kmip.ObjectTypeSecretData:
		mask = kmip.CryptographicUsageMaskDeriveKey
	case kmip.ObjectTypePGPKey:
		mask = kmip.CryptographicUsageMaskSign | kmip.CryptographicUsageMaskVerify |
			kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt
	case kmip.ObjectTypeCertificateRequest:
	default:
		return 0, false
	}
	return mask, true
}
