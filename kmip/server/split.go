package server

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// createSplitKey answers Create Split Key. KMIP 2.1 §6.1.10. It splits a new key, or the one that the request names, with the
// right to that: the parts belong to the caller, and are as sensitive, as extractable, and wrapped at rest as the key is. Parts
// of a request that gives a Unique Identifier have that with "_1", "_2", … behind.
func (r *Request) createSplitKey(k *call, q *kmip.CreateSplitKeyRequest) (*kmip.CreateSplitKeyResponse, error) {
	if q.ObjectType != kmip.ObjectTypeSplitKey {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "Create Split Key makes SplitKeys, not a %v", q.ObjectType)
	}
	if err := storable(q.Attributes, q.ProtectionStorageMasks); err != nil {
		return nil, err
	}
	given, sources, v, err := r.toSplit(q)
	if err != nil {
		return nil, err
	}
	defer clearMaterial(v)
	random, err := r.server.Random.Reader(r.ctx, r.identity, given, "split key")
	if err != nil {
		return nil, err
	}
	parts, err := soft.Split(v, soft.Sharing{
		Method: q.SplitKeyMethod, Parts: int(q.SplitKeyParts), Threshold: int(q.SplitKeyThreshold), Prime: q.PrimeFieldSize,
		Random: random,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, p := range parts {
			clearMaterial(p)
		}
	}()
	made, err := r.keepParts(parts, given, sources)
	if err != nil {
		return nil, err
	}
	response := new(kmip.CreateSplitKeyResponse)
	for _, uid := range made {
		response.UniqueIdentifier = append(response.UniqueIdentifier, kmip.UniqueIdentifier(uid))
	}
	k.uid, r.placeholder = made[0], made[0]
	if len(sources) > 0 {
		k.uid, k.made = sources[0].UniqueIdentifier, made[0]
	}
	return response, nil
}

// toSplit is the key to split, the attributes of its parts, and the object that it is of, if it is there already.
func (r *Request) toSplit(q *kmip.CreateSplitKeyRequest) (kmip.Attributes, []*kmip.Object, *kmip.Value, error) {
	given := append(kmip.Attributes{}, q.Attributes...)
	if uid, ok := kmip.Get[string](given, ttlv.TagUniqueIdentifier); ok {
		if _, _, token, _ := kmip.HSMKey(uid); token {
			return nil, nil, nil, kmip.Errorf(kmip.ResultReasonInvalidField, "%q: the parts of a key are not kept in a token", uid)
		}
	}
	if q.UniqueIdentifier == "" {
		if err := described(given); err != nil {
			return nil, nil, nil, err
		}
		random, err := r.server.Random.Reader(r.ctx, r.identity, given, "key")
		if err != nil {
			return nil, nil, nil, err
		}
		v, err := soft.Generate(given.With(ttlv.TagObjectType, kmip.ObjectTypeSymmetricKey), random)
		return given, nil, v, err
	}
	o, err := r.openSecond(q.UniqueIdentifier, need{states: existing, right: kmip.OperationCreateSplitKey})
	if err != nil {
		return nil, nil, nil, err
	}
	if _, _, token, _ := kmip.HSMKey(o.UniqueIdentifier); token {
		return nil, nil, nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "the material of %q does not leave its token: it cannot be split", o.UniqueIdentifier)
	}
	for _, tag := range []ttlv.Tag{ttlv.TagCryptographicAlgorithm, ttlv.TagCryptographicLength, ttlv.TagCryptographicUsageMask} {
		given = given.Without(tag) // the key's own take precedence
		for _, a := range o.Attributes {
			if a.Tag == tag && !(tag == ttlv.TagCryptographicLength && o.ObjectType() == kmip.ObjectTypeSecretData) {
				given = append(given, a)
			}
		}
	}
	sources := []*kmip.Object{o}
	if given, err = bequeathed(given, sources); err != nil {
		return nil, nil, nil, err
	}
	v, err := r.server.Store.Value(r.ctx, o)
	return given, sources, v, err
}

// bequeathed adds what an object has from those whose material it shares: it is no less sensitive, no more extractable, and
// wrapped at rest by the same key unless the request names another.
func bequeathed(given kmip.Attributes, sources []*kmip.Object) (kmip.Attributes, error) {
	for _, s := range sources {
		for _, a := range given {
			if err := tightens(s, a); err != nil {
				return nil, err
			}
		}
		if uid, ok := s.Attributes.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID); ok {
			if _, has := given.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID); !has {
				given = given.PlusVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, uid)
			}
		}
	}
	return confined(given, sources), nil
}

// keepParts makes an object of each part: all of them or none. They share a mark, so that parts of two keys are told apart.
func (r *Request) keepParts(parts []*kmip.Value, given kmip.Attributes, sources []*kmip.Object) (made []string, err error) {
	mark := uuid.NewString()
	base, named := kmip.Get[string](given, ttlv.TagUniqueIdentifier)
	var kept []func()
	defer func() {
		if err != nil {
			for _, discard := range kept {
				discard()
			}
		}
	}()
	for i, p := range parts {
		own := given
		if named {
			own = given.With(ttlv.TagUniqueIdentifier, fmt.Sprintf("%s_%d", base, i+1))
		}
		k := call{operation: kmip.OperationCreateSplitKey}
		o, backend, err := r.prepare(&k, kmip.ObjectTypeSplitKey, own)
		if err != nil {
			return nil, err
		}
		descends(o, sources)
		o.Attributes = o.Attributes.WithVendor(kmip.VendorServer, kmip.AttributeSplit, mark)
		began := time.Now()
		err = backend.Register(r.ctx, o, p)
		r.record(&k, began, err)
		if err != nil {
			return nil, err
		}
		kept = append(kept, func() { r.discard(backend, o) })
		made = append(made, o.UniqueIdentifier)
	}
	return made, nil
}

// joinSplitKey answers Join Split Key. KMIP 2.1 §6.1.27. It takes the right to it on every part. What the request does not say,
// the first part does.
func (r *Request) joinSplitKey(k *call, q *kmip.JoinSplitKeyRequest) (*kmip.JoinSplitKeyResponse, error) {
	if err := storable(q.Attributes, q.ProtectionStorageMasks); err != nil {
		return nil, err
	}
	const mostParts = 64
	sources, err := r.openAll(q.UniqueIdentifier, mostParts, need{states: existing, right: kmip.OperationJoinSplitKey})
	if err != nil {
		return nil, err
	}
	if err := ofOneSplit(sources); err != nil {
		return nil, err
	}
	given, err := bequeathed(append(kmip.Attributes{}, q.Attributes...), sources)
	if err != nil {
		return nil, err
	}
	if !given.Contains(ttlv.TagCryptographicUsageMask) && sources[0].Attributes.UsageMask() != 0 {
		given = given.Plus(ttlv.TagCryptographicUsageMask, sources[0].Attributes.UsageMask())
	}
	o, backend, err := r.prepare(k, q.ObjectType, given)
	if err != nil {
		return nil, err
	}
	bases, err := r.bases(sources)
	defer clearBases(bases)
	if err != nil {
		return nil, err
	}
	parts := make([]*kmip.Value, len(bases))
	for i, b := range bases {
		parts[i] = b.Value
	}
	v, err := soft.Join(parts, q.ObjectType, q.SecretDataType)
	if err != nil {
		return nil, err
	}
	defer clearMaterial(v)
	descends(o, sources)
	if err := backend.Register(r.ctx, o, v); err != nil {
		return nil, err
	}
	r.placeholder = o.UniqueIdentifier
	return &kmip.JoinSplitKeyResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// ofOneSplit refuses objects that are no parts, and parts that the server made of two keys.
func ofOneSplit(parts []*kmip.Object) error {
	first, _ := parts[0].Attributes.Vendor(kmip.VendorServer, kmip.AttributeSplit)
	for _, o := range parts {
		if o.ObjectType() != kmip.ObjectTypeSplitKey {
			return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "Join Split Key joins SplitKeys, %q is a %v", o.UniqueIdentifier, o.ObjectType())
		}
		if mark, _ := o.Attributes.Vendor(kmip.VendorServer, kmip.AttributeSplit); mark != first {
			return kmip.Errorf(kmip.ResultReasonInvalidField, "%q and %q are parts of two keys", parts[0].UniqueIdentifier, o.UniqueIdentifier)
		}
	}
	return nil
}
