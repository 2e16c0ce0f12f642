package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// derives is the need of an object that another is derived from.
var derives = need{
	states: in(kmip.StateActive), usage: kmip.CryptographicUsageMaskDeriveKey, window: untilProtectStop, right: kmip.OperationDeriveKey,
}

// deriveKey answers Derive Key. KMIP 2.1 §6.1.14. It takes the right to it, and the usage, on every object that it derives
// from. What is derived of a sensitive object is sensitive, unless the request says otherwise; the same for one that is not
// extractable.
func (r *Request) deriveKey(k *call, q *kmip.DeriveKeyRequest) (*kmip.DeriveKeyResponse, error) {
	if q.ObjectType != kmip.ObjectTypeSymmetricKey && q.ObjectType != kmip.ObjectTypeSecretData {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "Derive Key makes a SymmetricKey or SecretData, not a %v", q.ObjectType)
	}
	sources, err := r.openAll(q.UniqueIdentifier, 2, derives)
	if err != nil {
		return nil, err
	}
	o, backend, err := r.prepare(k, q.ObjectType, confined(q.Attributes, sources))
	if err != nil {
		return nil, err
	}
	bases, err := r.bases(sources)
	defer clearBases(bases)
	if err != nil {
		return nil, err
	}
	v, err := soft.Derived(r.ctx, q.ObjectType, o.Attributes, q.DerivationMethod, &q.DerivationParameters, bases)
	if err != nil {
		return nil, err
	}
	defer clearMaterial(v)
	descends(o, sources)
	for _, s := range sources {
		o.Attributes = linkedOnce(o.Attributes, kmip.LinkTypeDerivationBaseObjectLink, s.UniqueIdentifier)
	}
	o.Attributes = o.Attributes.With(ttlv.TagOriginalCreationDate, r.now)
	if err := backend.Register(r.ctx, o, v); err != nil {
		return nil, err
	}
	if err := r.linkBack(sources, derives, kmip.LinkTypeDerivedKeyLink, o.UniqueIdentifier); err != nil {
		r.discard(backend, o)
		return nil, err
	}
	r.placeholder = o.UniqueIdentifier
	return &kmip.DeriveKeyResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// openAll opens several objects that an operation computes with. The ID placeholder stands for none of them.
func (r *Request) openAll(uids []kmip.UniqueIdentifier, most int, n need) ([]*kmip.Object, error) {
	uids, err := r.spread(uids)
	if err != nil {
		return nil, err
	}
	if len(uids) == 0 || len(uids) > most {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request names %d objects, must name 1 to %d", len(uids), most)
	}
	objects := make([]*kmip.Object, len(uids))
	for i, uid := range uids {
		if uid == "" || uid == kmip.IDPlaceholder {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the ID placeholder cannot stand for an object here: name it")
		}
		if objects[i], err = r.openSecond(uid, n); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// bases takes out the material of the objects of the database; a key in a token computes for itself.
func (r *Request) bases(sources []*kmip.Object) ([]soft.Base, error) {
	bases := make([]soft.Base, len(sources))
	for i, s := range sources {
		bases[i] = soft.Base{Attributes: s.Attributes, Key: s.Key}
		if _, _, token, _ := kmip.HSMKey(s.UniqueIdentifier); token {
			continue
		}
		var err error
		if bases[i].Value, err = r.server.Store.Value(r.ctx, s); err != nil {
			return bases, err
		}
	}
	return bases, nil
}

func clearBases(bases []soft.Base) {
	for _, b := range bases {
		if b.Value != nil {
			clearMaterial(b.Value)
		}
	}
}

// clearMaterial clears the bytes of a value that is a key or secret.
func clearMaterial(v *kmip.Value) {
	if block := v.KeyBlock(); block != nil && block.KeyValue != nil {
		clear(block.KeyValue.Material)
		if c := block.KeyValue.Components; c != nil {
			clear(c.Key)
		}
	}
}

// confined adds Sensitive and Extractable of the objects that a new one is computed from, where the request does not say.
func confined(given kmip.Attributes, sources []*kmip.Object) kmip.Attributes {
	for _, s := range sources {
		if s.ObjectType() == kmip.ObjectTypePublicKey {
			continue
		}
		if s.Attributes.Sensitive() && !given.Contains(ttlv.TagSensitive) {
			given = given.Plus(ttlv.TagSensitive, true)
		}
		if !s.Attributes.Extractable() && !given.Contains(ttlv.TagExtractable) {
			given = given.Plus(ttlv.TagExtractable, false)
		}
	}
	return given
}

// descends sets Always Sensitive and Never Extractable: the object is so only if all that it is computed from was.
func descends(o *kmip.Object, sources []*kmip.Object) {
	sensitive, inside := o.Attributes.Sensitive(), !o.Attributes.Extractable()
	for _, s := range sources {
		if s.ObjectType() == kmip.ObjectTypePublicKey {
			continue
		}
		always, _ := kmip.Get[bool](s.Attributes, ttlv.TagAlwaysSensitive)
		never, _ := kmip.Get[bool](s.Attributes, ttlv.TagNeverExtractable)
		sensitive, inside = sensitive && always, inside && never
	}
	o.Attributes = o.Attributes.With(ttlv.TagAlwaysSensitive, sensitive).With(ttlv.TagNeverExtractable, inside)
}

// linkedOnce adds a link that is not there yet.
func linkedOnce(a kmip.Attributes, t kmip.LinkType, uid string) kmip.Attributes {
	link := kmip.Link{LinkType: t, LinkedObjectIdentifier: kmip.UniqueIdentifier(uid)}
	if a.Has(kmip.Attribute{Tag: ttlv.TagLink, Value: link}) {
		return a
	}
	return a.Plus(ttlv.TagLink, link)
}

// mostLinks is how many links the server itself gives an object: its attributes are read and written whole.
const mostLinks = 1000

// linkBack links the sources of a new object to it: all of them or none.
func (r *Request) linkBack(sources []*kmip.Object, n need, t kmip.LinkType, uid string) error {
	r.need = n
	for i, s := range sources {
		err := r.update(s, func(o *kmip.Object) error {
			if len(kmip.All[kmip.Link](o.Attributes, ttlv.TagLink)) >= mostLinks {
				return kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "%q has %d links, more are not kept: delete the attribute Link where it is of no more use", o.UniqueIdentifier, mostLinks)
			}
			o.Attributes = linkedOnce(o.Attributes, t, uid)
			return nil
		})
		if err != nil {
			r.unlinkBack(sources[:i], t, uid)
			return err
		}
	}
	return nil
}

// unlinkBack takes back the links to an object that could not be made.
func (r *Request) unlinkBack(sources []*kmip.Object, t kmip.LinkType, uid string) {
	link := kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: t, LinkedObjectIdentifier: kmip.UniqueIdentifier(uid)}}
	for _, s := range sources {
		err := r.reopened(s.UniqueIdentifier, func(o *kmip.Object) {
			for i, a := range o.Attributes {
				if a.Equal(link) {
					o.Attributes = append(o.Attributes[:i:i], o.Attributes[i+1:]...)
					return
				}
			}
		})
		if err != nil {
			r.server.Log.Error("a link to an object that is not there stays", "request", r.number, "uid", s.UniqueIdentifier, "err", err)
		}
	}
}
