package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// get answers Get. KMIP 2.1 §6.1.19. Once its material is served an object is no longer Fresh (§4.24).
func (r *Request) get(o *kmip.Object, q *kmip.GetRequest) (*kmip.GetResponse, error) {
	v, err := r.value(o, wish{q.KeyFormatType, q.KeyWrapType, q.KeyCompressionType, q.KeyWrappingSpecification})
	if err != nil {
		return nil, err
	}
	if fresh, _ := kmip.Get[bool](o.Attributes, ttlv.TagFresh); fresh {
		if err := r.update(o, serve); err != nil {
			return nil, err
		}
	}
	return &kmip.GetResponse{ObjectType: o.ObjectType(), UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier), Value: *v}, nil
}

// serve notes that an object has been served.
func serve(o *kmip.Object) error {
	o.Attributes = o.Attributes.With(ttlv.TagFresh, false)
	return nil
}

// export answers Export. KMIP 2.1 §6.1.18.
func (r *Request) export(o *kmip.Object, q *kmip.ExportRequest) (*kmip.ExportResponse, error) {
	v, err := r.value(o, wish{q.KeyFormatType, q.KeyWrapType, q.KeyCompressionType, q.KeyWrappingSpecification})
	if err != nil {
		return nil, err
	}
	return &kmip.ExportResponse{
		ObjectType: o.ObjectType(), UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier),
		Attributes: o.AllAttributes(r.now), Value: *v,
	}, nil
}

// A wish is the form in which a client wants the material.
type wish struct {
	format      kmip.KeyFormatType
	wrap        kmip.KeyWrapType
	compression kmip.KeyCompressionType
	wrapping    *kmip.KeyWrappingSpecification
}

// value gives the material as it is wished for. What is sensitive leaves only wrapped, what is not extractable not at all.
func (r *Request) value(o *kmip.Object, w wish) (*kmip.Value, error) {
	if err := mayLeave(o, w.wrapping != nil); err != nil {
		return nil, err
	}
	var wrapping *kmip.Object
	if w.wrapping != nil {
		var err error
		if wrapping, err = r.wrappingKey(w.wrapping); err != nil {
			return nil, err
		}
	}
	backend, err := r.backend(o.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	v, err := backend.Value(r.ctx, o)
	if err != nil {
		return nil, err
	}
	if w.wrap == kmip.KeyWrapTypeNotWrapped {
		if v, err = r.unwrap(v); err != nil {
			return nil, err
		}
	}
	if v, err = soft.Convert(v, r.form(o, w, v)); err != nil {
		return nil, err
	}
	if wrapping != nil {
		return r.wrapped(wrapping, w.wrapping, v)
	}
	return v, nil
}

// form is the form in which a client gets material: that which it asks for, else that of the attribute Key Format Type (a token's
// own may be another), under the name that its version has for it.
func (r *Request) form(o *kmip.Object, w wish, v *kmip.Value) soft.Form {
	block := v.KeyBlock()
	if w.format != 0 || block == nil || block.KeyWrappingData != nil {
		return soft.Form{Format: w.format, Compression: w.compression}
	}
	f, ok := kmip.Get[kmip.KeyFormatType](o.Attributes, ttlv.TagKeyFormatType)
	if !ok || f == soft.FormatAt(block.KeyFormatType, o.Attributes.Algorithm(), ttlv.V2_0) {
		f = block.KeyFormatType
	}
	return soft.Form{Format: soft.FormatAt(f, o.Attributes.Algorithm(), r.version), Compression: w.compression}
}

// wrapped wraps material for a client. It counts as a use of the wrapping key, of as many bytes as the wrapped form has.
func (r *Request) wrapped(wrapping *kmip.Object, s *kmip.KeyWrappingSpecification, v *kmip.Value) (*kmip.Value, error) {
	v, err := soft.WrapValue(r.ctx, wrapping.Key, s, v)
	if err != nil {
		return nil, err
	}
	block := v.KeyBlock()
	units, err := units(wrapping, max(len(block.KeyValue.Wrapped), len(block.KeyValue.Material)))
	if err != nil {
		return nil, err
	}
	return v, r.spend(wrapping, wraps, units)
}

// mayLeave refuses material that must stay.
func mayLeave(o *kmip.Object, wrapped bool) error {
	if o.Attributes.Sensitive() && !wrapped {
		return kmip.Errorf(kmip.ResultReasonSensitive, "%q is sensitive: its material does not leave in clear", o.UniqueIdentifier)
	}
	if !o.Attributes.Extractable() {
		return kmip.Errorf(kmip.ResultReasonNotExtractable, "%q is not extractable: its material does not leave", o.UniqueIdentifier)
	}
	return nil
}

// wrappingKey opens the key that the material is to be wrapped with.
func (r *Request) wrappingKey(s *kmip.KeyWrappingSpecification) (*kmip.Object, error) {
	if s.EncryptionKeyInformation == nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Key Wrapping Specification names no encryption key")
	}
	o, err := r.openSecond(s.EncryptionKeyInformation.UniqueIdentifier, wraps)
	if err != nil {
		return nil, err
	}
	if o.Key == nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "object %q is no key", o.UniqueIdentifier)
	}
	return o, nil
}
