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
	r.placeholder = o.UniqueIdentifier
	return &kmip.ExportResponse{
		ObjectType: o.ObjectType(), UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier),
		Attributes: r.listed(o), Value: *v,
	}, nil
}

// A wish is the form in which a client wants the material.
type wish struct {
	format      kmip.KeyFormatType
	wrap        kmip.KeyWrapType
	compression kmip.KeyCompressionType
	wrapping    *kmip.KeyWrappingSpecification
}

// value gives the material as it is wished for. What is sensitive leaves only encrypted, what is not extractable not at all.
func (r *Request) value(o *kmip.Object, w wish) (_ *kmip.Value, err error) {
	if w.format == kmip.KeyFormatTypePKCS12 {
		return r.container(o, w)
	}
	if !o.Attributes.Extractable() {
		if o.Attributes.Sensitive() && w.wrapping == nil {
			return nil, sensitive(o)
		}
		return nil, kmip.Errorf(kmip.ResultReasonNotExtractable, "%q is not extractable: its material does not leave", o.UniqueIdentifier)
	}
	var wrapper *wrapper
	if w.wrapping != nil {
		if wrapper, w.wrapping, err = r.wrapsWith(w.wrapping); err != nil {
			return nil, err
		}
		if v, err := r.carryOut(o, w, wrapper); v != nil || err != nil {
			return v, err
		}
	}
	v, err := r.material(o, w.wrap == kmip.KeyWrapTypeNotWrapped)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			clearMaterial(v)
		}
	}()
	if o.Attributes.Sensitive() && !encrypted(v) && (wrapper == nil || wrapper.encryption == nil) {
		return nil, sensitive(o)
	}
	converted, err := soft.Convert(v, r.form(o, w, v))
	if err != nil {
		return nil, err
	}
	if converted != v {
		clearMaterial(v)
	}
	if wrapper == nil {
		return converted, nil
	}
	return r.wrap(o, w.wrapping, wrapper, converted)
}

func sensitive(o *kmip.Object) error {
	return kmip.Errorf(kmip.ResultReasonSensitive, "%q is sensitive: its material does not leave in clear", o.UniqueIdentifier)
}

// material is what is kept, with its wrapping taken off if that is asked for.
func (r *Request) material(o *kmip.Object, unwrapped bool) (*kmip.Value, error) {
	backend, err := r.backend(o.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	v, err := backend.Value(r.ctx, o)
	if err != nil {
		return nil, err
	}
	if block := v.KeyBlock(); block != nil && block.KeyValue == nil {
		return nil, kmip.Errorf(kmip.ResultReasonKeyValueNotPresent, "the Key Value of %q is not here", o.UniqueIdentifier)
	}
	if unwrapped {
		return r.unwrap(v)
	}
	return v, nil
}

// encrypted says whether material was registered wrapped by a method that encrypts.
func encrypted(v *kmip.Value) bool {
	block := v.KeyBlock()
	return block != nil && block.KeyWrappingData != nil && block.KeyWrappingData.EncryptionKeyInformation != nil
}

// form is the form in which a client gets material: that which it asks for, else that of the attribute Key Format Type (a token's
// own may be another), under the name that its version has for it.
func (r *Request) form(o *kmip.Object, w wish, v *kmip.Value) soft.Form {
	block := v.KeyBlock()
	if w.format != 0 || block == nil || block.KeyWrappingData != nil {
		return soft.Form{Format: soft.FormatAt(w.format, o.Attributes.Algorithm(), r.version), Compression: w.compression}
	}
	f, ok := kmip.Get[kmip.KeyFormatType](o.Attributes, ttlv.TagKeyFormatType)
	if !ok || f == soft.FormatAt(block.KeyFormatType, o.Attributes.Algorithm(), ttlv.V2_0) {
		f = block.KeyFormatType
	}
	return soft.Form{Format: soft.FormatAt(f, o.Attributes.Algorithm(), r.version), Compression: w.compression}
}
