package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// register answers Register. KMIP 2.1 §6.1.43. A wrapped key is kept as it is, and can be given back but not used; one that is to be
// in a token is unwrapped, for a token keeps no wrapped keys.
func (r *Request) register(k *call, q *kmip.RegisterRequest) (*kmip.RegisterResponse, error) {
	if err := storable(q.Attributes, q.ProtectionStorageMasks); err != nil {
		return nil, err
	}
	uid, err := r.keep(k, q.ObjectType, q.Attributes, &q.Value)
	if err != nil {
		return nil, err
	}
	return &kmip.RegisterResponse{UniqueIdentifier: kmip.UniqueIdentifier(uid)}, nil
}

// importObject answers Import. KMIP 2.1 §6.1.25. With Key Wrap Type *Not Wrapped* a wrapped key is unwrapped first, which takes
// the right to decrypt with the wrapping key. Replace Existing takes the place of an object of the caller's.
func (r *Request) importObject(k *call, q *kmip.ImportRequest) (*kmip.ImportResponse, error) {
	if q.UniqueIdentifier == "" {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "Import needs a Unique Identifier")
	}
	k.incoming = &incoming{supplied: q.Attributes}
	if q.ReplaceExisting != nil && *q.ReplaceExisting {
		var err error
		if k.incoming.replaced, err = r.replaces(string(q.UniqueIdentifier)); err != nil {
			return nil, err
		}
	}
	value := &q.Value
	attributes := importable(q.Attributes).With(ttlv.TagUniqueIdentifier, string(q.UniqueIdentifier))
	if q.KeyWrapType == kmip.KeyWrapTypeNotWrapped && !intoToken(attributes, value) {
		var err error
		if value, err = r.unwrap(value); err != nil {
			return nil, err
		}
	}
	uid, err := r.keep(k, q.ObjectType, attributes, value)
	if err != nil {
		return nil, err
	}
	return &kmip.ImportResponse{UniqueIdentifier: kmip.UniqueIdentifier(uid)}, nil
}

// importable leaves out what an exported object's attributes say and the server sets itself.
func importable(a kmip.Attributes) kmip.Attributes {
	var kept kmip.Attributes
	for _, x := range a {
		rule := kmip.RuleOf(x.Tag)
		if rule != nil && (rule.ClientSets || rule.Stated) && !(x.Tag == ttlv.TagAttribute && x.Vendor == kmip.VendorServer) {
			kept = append(kept, x)
		}
	}
	return kept
}

// keep makes an object of material that comes from outside.
func (r *Request) keep(k *call, t kmip.ObjectType, attributes kmip.Attributes, v *kmip.Value) (string, error) {
	if v.ObjectType() != t || t == 0 {
		return "", kmip.Errorf(kmip.ResultReasonInvalidObjectType, "the Object Type is %v, the object a %v", t, v.ObjectType())
	}
	if t == kmip.ObjectTypeTemplate {
		if err := r.checkTemplate(attributes, v.Template); err != nil {
			return "", err
		}
	}
	if intoToken(attributes, v) {
		return r.keepWrapped(k, t, attributes, v)
	}
	attributes, v, err := r.arrival(attributes, v)
	if err != nil {
		return "", err
	}
	if v.Certificate != nil && !attributes.Contains(ttlv.TagCryptographicUsageMask) {
		attributes = attributes.With(ttlv.TagCryptographicUsageMask, soft.CertificateUsage(v.Certificate))
	}
	o, backend, err := r.prepare(k, t, attributes)
	if err != nil {
		return "", err
	}
	if _, _, token, _ := kmip.HSMKey(o.UniqueIdentifier); token {
		if v, err = forToken(v); err != nil {
			return "", err
		}
	}
	if err := k.incoming.assume(o); err != nil {
		return "", err
	}
	if err := quantumSafe(o.Attributes.With(ttlv.TagCryptographicLength, lengthOf(o, v))); err != nil {
		return "", err
	}
	if err := k.incoming.put(r.ctx, backend, o, v); err != nil {
		return "", err
	}
	r.placeholder = o.UniqueIdentifier
	return o.UniqueIdentifier, nil
}

// lengthOf is the length in bits that a new object's key block says, or its attributes.
func lengthOf(o *kmip.Object, v *kmip.Value) int32 {
	if b := v.KeyBlock(); b != nil && b.CryptographicLength != 0 {
		return b.CryptographicLength
	}
	return o.Attributes.Length()
}
