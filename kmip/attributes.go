package kmip

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"

	"strongroom/kmip/ttlv"
)

// An Attribute is one instance of an attribute. Its Value has the type that AttributeRules gives for the Tag.
type Attribute struct {
	Tag    ttlv.Tag // TagAttribute for a vendor attribute
	place  int32    // its Attribute Index of KMIP 1.x plus one; 0 before it has one
	Vendor string   // of a vendor attribute: Vendor Identification; "x" and "y" are the custom attributes of KMIP 1.x
	Name   string   // of a vendor attribute: Attribute Name
	Value  any
}

// Index is the Attribute Index of KMIP 1.x, and whether a request gave one or the attribute is kept under one.
func (a Attribute) Index() (n int, ok bool) { return max(0, int(a.place)-1), a.place != 0 }

// At is the attribute with the Attribute Index by which a request of KMIP 1.x says which instance it means.
func (a Attribute) At(index int32) Attribute {
	a.place = index + 1
	return a
}

// Is says whether b is an instance of the same attribute.
func (a Attribute) Is(b Attribute) bool {
	return a.Tag == b.Tag && a.Vendor == b.Vendor && a.Name == b.Name
}

// Equal says whether both are the same attribute with the same value.
func (a Attribute) Equal(b Attribute) bool {
	if !a.Is(b) {
		return false
	}
	switch v := a.Value.(type) {
	case time.Time:
		w, ok := b.Value.(time.Time)
		return ok && v.Unix() == w.Unix()
	case *big.Int:
		w, ok := b.Value.(*big.Int)
		return ok && v.Cmp(w) == 0
	case []byte:
		w, ok := b.Value.([]byte)
		return ok && bytes.Equal(v, w)
	}
	return reflect.DeepEqual(a.Value, b.Value)
}

// String names the attribute, as in errors.
func (a Attribute) String() string {
	if a.Tag == ttlv.TagAttribute {
		return a.Vendor + "-" + a.Name
	}
	if r := RuleOf(a.Tag); r != nil {
		return r.Name
	}
	return a.Tag.String()
}

// Attributes are an object's attributes, or those of a request. Instances of one attribute stand in the order in which
// they were added. A list is never changed in place: With, Plus and Without answer new ones.
type Attributes []Attribute

// Get is the first instance of an attribute, and whether there is one of that type.
func Get[T any](a Attributes, tag ttlv.Tag) (T, bool) {
	for i := range a {
		if a[i].Tag == tag {
			v, ok := a[i].Value.(T)
			return v, ok
		}
	}
	var none T
	return none, false
}

// All lists the instances of an attribute.
func All[T any](a Attributes, tag ttlv.Tag) []T {
	var all []T
	for i := range a {
		if v, ok := a[i].Value.(T); ok && a[i].Tag == tag {
			all = append(all, v)
		}
	}
	return all
}

// Contains says whether there is an instance of the attribute.
func (a Attributes) Contains(tag ttlv.Tag) bool {
	return slices.ContainsFunc(a, func(x Attribute) bool { return x.Tag == tag })
}

// Has says whether an instance equals want.
func (a Attributes) Has(want Attribute) bool { return slices.ContainsFunc(a, want.Equal) }

// With replaces all instances of an attribute by one.
func (a Attributes) With(tag ttlv.Tag, value any) Attributes {
	return append(a.Without(tag), Attribute{Tag: tag, Value: value})
}

// Plus adds an instance.
func (a Attributes) Plus(tag ttlv.Tag, value any) Attributes {
	return append(slices.Clip(a), Attribute{Tag: tag, Value: value})
}

// Without removes all instances of an attribute.
func (a Attributes) Without(tag ttlv.Tag) Attributes {
	return a.WithoutAll(Attribute{Tag: tag})
}

// WithoutAll removes all instances of the attribute that x is one of.
func (a Attributes) WithoutAll(x Attribute) Attributes {
	rest := make(Attributes, 0, len(a)+1)
	for _, y := range a {
		if !x.Is(y) {
			rest = append(rest, y)
		}
	}
	return rest
}

// Vendor is the first instance of a vendor attribute.
func (a Attributes) Vendor(vendor, name string) (any, bool) {
	for i := range a {
		if a[i].Tag == ttlv.TagAttribute && a[i].Vendor == vendor && a[i].Name == name {
			return a[i].Value, true
		}
	}
	return nil, false
}

// WithVendor replaces a vendor attribute.
func (a Attributes) WithVendor(vendor, name string, value any) Attributes {
	return a.WithoutVendor(vendor, name).PlusVendor(vendor, name, value)
}

// PlusVendor adds an instance of a vendor attribute.
func (a Attributes) PlusVendor(vendor, name string, value any) Attributes {
	return append(slices.Clip(a), Attribute{Tag: ttlv.TagAttribute, Vendor: vendor, Name: name, Value: value})
}

// WithoutVendor removes a vendor attribute.
func (a Attributes) WithoutVendor(vendor, name string) Attributes {
	return a.WithoutAll(Attribute{Tag: ttlv.TagAttribute, Vendor: vendor, Name: name})
}

// Algorithm is the Cryptographic Algorithm, 0 without one.
func (a Attributes) Algorithm() CryptographicAlgorithm {
	v, _ := Get[CryptographicAlgorithm](a, ttlv.TagCryptographicAlgorithm)
	return v
}

// Length is the Cryptographic Length in bits, 0 without one.
func (a Attributes) Length() int32 {
	v, _ := Get[int32](a, ttlv.TagCryptographicLength)
	return v
}

// UsageMask is the Cryptographic Usage Mask, 0 without one.
func (a Attributes) UsageMask() CryptographicUsageMask {
	v, _ := Get[CryptographicUsageMask](a, ttlv.TagCryptographicUsageMask)
	return v
}

// Sensitive says whether the material must not leave in clear; absent means no.
func (a Attributes) Sensitive() bool {
	v, _ := Get[bool](a, ttlv.TagSensitive)
	return v
}

// Extractable says whether the material may leave at all; absent means yes.
func (a Attributes) Extractable() bool {
	v, ok := Get[bool](a, ttlv.TagExtractable)
	return v || !ok
}

// State is the state at the time now. The stored state moves by itself when a date passes: Pre-Active becomes Active at
// the Activation Date, Active becomes Deactivated at the Deactivation Date. KMIP 2.1 §4.57.
func (a Attributes) State(now time.Time) State {
	s, ok := Get[State](a, ttlv.TagState)
	if !ok {
		return 0
	}
	if s == StatePreActive && a.passed(ttlv.TagActivationDate, now) {
		s = StateActive
	}
	if s == StateActive && a.passed(ttlv.TagDeactivationDate, now) {
		s = StateDeactivated
	}
	return s
}

// passed says whether there is a date, in whole seconds, that is not later than now. The largest date is beyond what a time.Time
// compares.
func (a Attributes) passed(date ttlv.Tag, now time.Time) bool {
	t, ok := Get[time.Time](a, date)
	return ok && t.Unix() <= now.Unix()
}

// MarshalTTLV writes the list in the shape that the version and the tag ask for: one structure of tagged values (2.x), one
// Template-Attribute of Attributes, or a sequence of Attributes (1.x). What the version does not define is left out.
func (a *Attributes) MarshalTTLV(e *ttlv.Encoder, tag ttlv.Tag) error {
	if len(*a) == 0 && tag != ttlv.TagAttributes && tag != ttlv.TagTemplateAttribute {
		return nil
	}
	if tag == ttlv.TagAttribute {
		return a.marshalOld(e)
	}
	mark := e.Begin(tag)
	err := a.marshalNew(e)
	e.End(mark)
	return err
}

func (a *Attributes) marshalNew(e *ttlv.Encoder) error {
	if e.Version() < ttlv.V2_0 {
		return a.marshalOld(e)
	}
	for _, x := range *a {
		if x, ok := x.at(e); ok {
			if err := optional(e, x.encode); err != nil {
				return err
			}
		}
	}
	return nil
}

// at is the attribute as the version that is written has it, and whether it has it. That some versions lack a value is the
// concern of a strict encoder.
func (a Attribute) at(e *ttlv.Encoder) (Attribute, bool) {
	r := RuleOf(a.Tag)
	if r == nil || e.Version() < r.Since || e.Version() > r.Until {
		return a, false
	}
	if !e.Strict() || !r.is(a.Value) {
		return a, true
	}
	var ok bool
	a.Value, ok = r.definedAt(a.Value, e.Version())
	return a, ok
}

// DefinedAt says whether version v defines the attribute, and all enumerations in its value.
func (a Attribute) DefinedAt(v ttlv.Version) bool {
	var e ttlv.Encoder
	e.Reset(nil, v)
	e.BeStrict()
	list := Attributes{a}
	err := list.MarshalTTLV(&e, ttlv.TagAttribute)
	return err == nil && len(e.Bytes()) > 0
}

// optional writes one instance, or nothing where a strict encoder finds an enumeration in it that the version does not define.
func optional(e *ttlv.Encoder, encode func(*ttlv.Encoder) error) error {
	mark := len(e.Bytes())
	err := encode(e)
	if u := (*ttlv.UndefinedError)(nil); errors.As(err, &u) {
		e.Rewind(mark)
		return nil
	}
	return err
}

// encode writes one instance as 2.x does.
func (a Attribute) encode(e *ttlv.Encoder) error {
	r := RuleOf(a.Tag)
	if r == nil || !r.is(a.Value) {
		return Errorf(ResultReasonGeneralFailure, "attribute %v cannot hold a %T", a, a.Value)
	}
	if a.Tag != ttlv.TagAttribute {
		return r.encode(e, a.Tag, a.Value)
	}
	mark := e.Begin(ttlv.TagAttribute)
	e.Text(ttlv.TagVendorIdentification, a.Vendor)
	e.Text(ttlv.TagAttributeName, a.Name)
	err := encodeAny(e, ttlv.TagAttributeValue, a.Value)
	e.End(mark)
	return err
}

// marshalOld writes the instances as 1.x does, each with its index where that is not 0.
func (a *Attributes) marshalOld(e *ttlv.Encoder) error {
	for i, x := range *a {
		if t, ok := x.Value.(Name); ok && x.Tag == ttlv.TagTemplate {
			if err := e.Value(ttlv.TagName, &t); err != nil {
				return err
			}
			continue
		}
		x, ok := x.at(e)
		if !ok {
			continue
		}
		name, ok := x.oldName()
		if !ok {
			continue
		}
		err := optional(e, func(e *ttlv.Encoder) error { return x.encodeOld(e, name, (*a).IndexOf(i)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (a Attribute) encodeOld(e *ttlv.Encoder, name string, index int32) error {
	mark := e.Begin(ttlv.TagAttribute)
	e.Text(ttlv.TagAttributeName, name)
	if index > 0 {
		e.Int(ttlv.TagAttributeIndex, index)
	}
	if err := RuleOf(a.Tag).encode(e, ttlv.TagAttributeValue, a.Value); err != nil {
		return err
	}
	e.End(mark)
	return nil
}

// oldName is the attribute's name in 1.x; attributes of other vendors than "x" and "y" have none.
func (a Attribute) oldName() (string, bool) {
	if a.Tag != ttlv.TagAttribute {
		return RuleOf(a.Tag).Name, true
	}
	return a.Vendor + "-" + a.Name, a.Vendor == VendorClient || a.Vendor == VendorServer
}

// parseOldName is the attribute that a 1.x name stands for.
func parseOldName(name string) (Attribute, error) {
	if r := rulesByName[name]; r != nil {
		return Attribute{Tag: r.Tag}, nil
	}
	vendor, rest, ok := strings.Cut(name, "-")
	if ok && rest != "" && (vendor == VendorClient || vendor == VendorServer) {
		return Attribute{Tag: ttlv.TagAttribute, Vendor: vendor, Name: rest}, nil
	}
	return Attribute{}, Errorf(ResultReasonInvalidField, "there is no attribute %q", clip(name))
}

// UnmarshalTTLV reads one item of any of the shapes that MarshalTTLV writes, and adds it.
func (a *Attributes) UnmarshalTTLV(d *ttlv.Decoder, it ttlv.Item) error {
	if it.Tag == ttlv.TagAttribute {
		return a.unmarshalOne(d, it)
	}
	children, err := d.Children(it)
	if err != nil {
		return err
	}
	for {
		c, ok := children.Next()
		if !ok {
			return children.Err()
		}
		if err := a.unmarshalOne(d, c); err != nil {
			return err
		}
	}
}

// unmarshalOne reads an attribute that stands alone: tagged (2.x), or an Attribute structure with a name (1.x) or with a
// vendor and a name (2.x).
func (a *Attributes) unmarshalOne(d *ttlv.Decoder, it ttlv.Item) error {
	if it.Tag != ttlv.TagAttribute {
		return a.unmarshalTagged(d, it)
	}
	children, err := d.Children(it)
	if err != nil {
		return err
	}
	var index *int32
	var name string
	var vendor *string
	var value *ttlv.Item
	for {
		c, ok := children.Next()
		if !ok {
			break
		}
		var err error
		switch c.Tag {
		case ttlv.TagVendorIdentification:
			vendor = new(string)
			*vendor, err = c.Text()
		case ttlv.TagAttributeName:
			name, err = c.Text()
		case ttlv.TagAttributeIndex:
			index = new(int32)
			*index, err = c.Int()
		case ttlv.TagAttributeValue:
			value = &c
		default:
			err = Errorf(ResultReasonInvalidField, "an Attribute has no %v", c.Tag)
		}
		if err != nil {
			return err
		}
	}
	if err := children.Err(); err != nil {
		return err
	}
	var x Attribute
	if vendor != nil {
		x = Attribute{Tag: ttlv.TagAttribute, Vendor: *vendor, Name: name}
	} else if x, err = parseOldName(name); err != nil {
		return err
	}
	if index != nil {
		if *index < 0 || *index == math.MaxInt32 {
			return Errorf(ResultReasonInvalidField, "the Attribute Index of %q is %d", clip(name), *index)
		}
		x.place = *index + 1
	}
	if value == nil {
		return Errorf(ResultReasonInvalidField, "attribute %q has no value", clip(name))
	}
	return a.add(d, x, *value)
}

func (a *Attributes) unmarshalTagged(d *ttlv.Decoder, it ttlv.Item) error {
	if it.Tag != ttlv.TagName || d.Version() >= ttlv.V2_0 {
		return a.add(d, Attribute{Tag: it.Tag}, it)
	}
	var template Name
	if err := d.Value(it, &template); err != nil {
		return err
	}
	*a = append(*a, Attribute{Tag: ttlv.TagTemplate, Value: template})
	return nil
}

func (a *Attributes) add(d *ttlv.Decoder, x Attribute, value ttlv.Item) (err error) {
	r := RuleOf(x.Tag)
	if r == nil {
		return Errorf(ResultReasonInvalidField, "%v is not an attribute", x.Tag)
	}
	if x.Value, err = r.decode(d, value); err != nil {
		return err
	}
	*a = append(*a, x)
	return nil
}
