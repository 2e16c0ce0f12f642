package kmip

import "strongroom/kmip/ttlv"

// AttributeReferences name attributes: by name in 1.x; by tag, or by vendor and name, in 2.x. The Values of
// the list are empty.
type AttributeReferences []Attribute

// MarshalTTLV writes the names that the version has.
func (r *AttributeReferences) MarshalTTLV(e *ttlv.Encoder, tag ttlv.Tag) error {
	for _, a := range *r {
		rule := RuleOf(a.Tag)
		if rule == nil || e.Version() < rule.Since || e.Version() > rule.Until {
			continue
		}
		switch {
		case tag == ttlv.TagAttributeName:
			if name, ok := a.oldName(); ok {
				e.Text(tag, name)
			}
		case a.Tag == ttlv.TagAttribute:
			mark := e.Begin(tag)
			e.Text(ttlv.TagVendorIdentification, a.Vendor)
			e.Text(ttlv.TagAttributeName, a.Name)
			e.End(mark)
		default:
			e.Enum(tag, uint32(a.Tag))
		}
	}
	return nil
}

// UnmarshalTTLV reads one reference in either shape. A name that no version defines is kept as it is: the object does not
// have that attribute, and that is no error.
func (r *AttributeReferences) UnmarshalTTLV(d *ttlv.Decoder, it ttlv.Item) error {
	switch it.Type {
	case ttlv.TypeTextString:
		name, err := it.Text()
		if err != nil {
			return err
		}
		a, err := parseOldName(name)
		if err != nil {
			a = Attribute{Tag: ttlv.TagAttribute, Name: name}
		}
		*r = append(*r, a)
		return nil
	case ttlv.TypeEnumeration:
		tag, err := it.Enum()
		*r = append(*r, Attribute{Tag: ttlv.Tag(tag)})
		return err
	}
	var v struct {
		VendorIdentification string `ttlv:"VendorIdentification"`
		AttributeName        string `ttlv:"AttributeName"`
	}
	if err := d.Value(it, &v); err != nil {
		return err
	}
	*r = append(*r, Attribute{Tag: ttlv.TagAttribute, Vendor: v.VendorIdentification, Name: v.AttributeName})
	return nil
}
