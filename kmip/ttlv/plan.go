package ttlv

import (
	"fmt"
	"reflect"
	"unsafe"
)

// maxFields is how many fields a structure may have, inline ones included.
const maxFields = 128

// plan is how a structure type stands in messages.
type plan struct {
	typ      reflect.Type
	fields   []field
	versions [len(versions)]versionPlan
	whole    bool // every field of typ is in fields, and none is an interface
}

// field is one field of a structure.
type field struct {
	codec     *codec
	offset    uintptr
	omitEmpty bool
	partial   bool
	repeats   bool
	name      string // of the Go field
	tag       fieldTag
}

// at returns where the field is in the structure at p.
func (f *field) at(p unsafe.Pointer) unsafe.Pointer { return unsafe.Add(p, f.offset) }

// versionPlan is a plan at one version.
type versionPlan struct {
	encode   []encodeStep
	required fieldSet
	tags     tagIndex
}

// encodeStep writes one field.
type encodeStep struct {
	tag   Tag
	field *field
}

// fieldSet is a set of indexes into the fields of a plan.
type fieldSet [maxFields / 64]uint64

func (s *fieldSet) add(i int)      { s[i/64%len(s)] |= 1 << (i % 64) }
func (s *fieldSet) has(i int) bool { return s[i/64%len(s)]&(1<<(i%64)) != 0 }

// tagIndex finds a field by tag: at the last two bytes of the tag stands the index
// of the field plus one.
type tagIndex struct{ standard, vendor []uint8 }

// find returns the index of the field with the tag, -1 if there is none.
func (x *tagIndex) find(t Tag) int {
	table := x.standard
	if t>>16 == 0x54 {
		table = x.vendor
	}
	if i := int(t & 0xFFFF); i < len(table) {
		return int(table[i]) - 1
	}
	return -1
}

// set makes find(t) return i.
func (x *tagIndex) set(t Tag, i int) {
	table := &x.standard
	if t>>16 == 0x54 {
		table = &x.vendor
	}
	at := int(t & 0xFFFF)
	if at >= len(*table) {
		*table = append(*table, make([]uint8, at+1-len(*table))...)
	}
	(*table)[at] = uint8(i + 1)
}

// plan makes the plan of the structure type t.
func (m codecMaker) plan(t reflect.Type) (*plan, error) {
	p := &plan{typ: t, whole: true}
	if err := m.addFields(p, t, 0); err != nil {
		return nil, err
	}
	if len(p.fields) > maxFields {
		return nil, fmt.Errorf("%v: %d fields, %d are the most", t, len(p.fields), maxFields)
	}
	for i := range p.versions {
		if err := p.atVersion(&p.versions[i], versions[i]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// addFields adds to p the fields of t, a structure offset bytes into p's type.
func (m codecMaker) addFields(p *plan, t reflect.Type, offset uintptr) error {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, err := parseFieldTag(f)
		switch {
		case err != nil:
		case tag.skip:
			p.whole = false
		case tag.inline && f.Type.Kind() == reflect.Struct:
			err = m.addFields(p, f.Type, offset+f.Offset)
		case tag.inline || !f.IsExported():
			err = fmt.Errorf("%v cannot be inline", f.Type)
		default:
			err = m.addField(p, f, tag, offset)
		}
		if err != nil {
			return fmt.Errorf("%v.%s: %w", t, f.Name, err)
		}
	}
	return nil
}

// addField adds to p the field f of a structure offset bytes into p's type.
func (m codecMaker) addField(p *plan, f reflect.StructField, tag fieldTag, offset uintptr) error {
	c, err := m.codec(f.Type)
	if err != nil {
		return err
	}
	if c.kind == kindInterface {
		p.whole = false
	}
	p.fields = append(p.fields, field{
		codec:     c,
		offset:    offset + f.Offset,
		omitEmpty: tag.omitEmpty,
		partial:   tag.partial,
		repeats:   c.repeats(),
		name:      f.Name,
		tag:       tag,
	})
	return nil
}

// atVersion fills in vp, the plan at version v.
func (p *plan) atVersion(vp *versionPlan, v Version) error {
	for i := range p.fields {
		f := &p.fields[i]
		for _, n := range f.tag.names {
			if vp.tags.find(n.tag) < 0 {
				vp.tags.set(n.tag, i)
			}
		}
	}
	written := make(map[Tag]string)
	for i := range p.fields {
		f := &p.fields[i]
		tag, ok := f.tag.tag(v)
		if !ok {
			continue
		}
		if other, ok := written[tag]; ok {
			return fmt.Errorf("%v: %s and %s are both %v at version %v", p.typ, other, f.name, tag, v)
		}
		written[tag] = f.name
		vp.tags.set(tag, i)
		vp.encode = append(vp.encode, encodeStep{tag, f})
		if !f.omitEmpty && !f.codec.optional() {
			vp.required.add(i)
		}
	}
	return nil
}

// clear zeroes the fields of the structure at base that messages fill, except the
// interfaces, whose content is the caller's. Of a whole structure that is all of it.
func (p *plan) clear(base unsafe.Pointer) {
	for i := range p.fields {
		if f := &p.fields[i]; f.codec.kind != kindInterface {
			reflect.NewAt(f.codec.typ, f.at(base)).Elem().SetZero()
		}
	}
}
