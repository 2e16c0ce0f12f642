package ttlv

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"reflect"
	"time"
	"unicode/utf8"
	"unsafe"
)

// decode stores the item at p, a value of the type c describes. The items that
// follow it in its structure are rest.
func (d *Decoder) decode(c *codec, p unsafe.Pointer, it *Item, rest []byte) error {
	switch {
	case c.unmarshals:
		return d.custom(c, p, it)
	case c.kind == kindStruct:
		return d.enter(c.plan, p, it)
	case c.wire == 0:
		return d.compound(c, p, it, rest)
	case it.Type != c.wire:
		return it.mistyped(c.wire)
	case !c.store(p, it.Body):
		return it.fault("not a valid %v", it.Type)
	}
	return nil
}

// store stores the value of an item of type c.wire at p, and tells whether it is
// valid.
func (c *codec) store(p unsafe.Pointer, body []byte) bool {
	switch c.kind {
	case kindInt, kindEnum, kindInterval:
		if len(body) != 4 {
			return false
		}
		*(*uint32)(p) = binary.BigEndian.Uint32(body)
	case kindLong, kindTimeExtended:
		if len(body) != 8 {
			return false
		}
		*(*uint64)(p) = binary.BigEndian.Uint64(body)
	case kindText:
		if !utf8.Valid(body) {
			return false
		}
		*(*string)(p) = unsafe.String(unsafe.SliceData(body), len(body))
	case kindBytes:
		*(*[]byte)(p) = body
	}
	return true
}

// compound stores the item at p, a value of one of the rarer kinds.
func (d *Decoder) compound(c *codec, p unsafe.Pointer, it *Item, rest []byte) (err error) {
	switch c.kind {
	case kindBool:
		*(*bool)(p), err = it.Bool()
	case kindTime:
		*(*time.Time)(p), err = it.Time()
	case kindBigInt:
		err = it.bigInt((*big.Int)(p))
	case kindPointer:
		return d.pointer(c, p, it)
	case kindSlice:
		return d.element(c, p, it, rest)
	case kindInterface:
		return d.held(c, p, it)
	case kindRaw:
		*(*Raw)(p) = it.Raw
	case kindNode:
		*(*Node)(p), err = d.node(*it)
	default:
		err = it.fault("a %v cannot be decoded", c.typ)
	}
	return err
}

// custom lets the value at p decode the item itself.
func (d *Decoder) custom(c *codec, p unsafe.Pointer, it *Item) error {
	err := reflect.NewAt(c.typ, p).Interface().(Unmarshaler).UnmarshalTTLV(d, *it)
	if err != nil {
		return it.within(err)
	}
	return nil
}

// pointer stores the item in what the pointer at p points to, making it if need be.
func (d *Decoder) pointer(c *codec, p unsafe.Pointer, it *Item) error {
	q := *(*unsafe.Pointer)(p)
	if q == nil {
		q = c.elem.new()
		*(*unsafe.Pointer)(p) = q
	}
	return d.decode(c.elem, q, it, nil)
}

// new allocates a value.
func (c *codec) new() unsafe.Pointer {
	switch c.kind {
	case kindInt, kindEnum, kindInterval:
		return unsafe.Pointer(new(uint32))
	case kindLong, kindTimeExtended:
		return unsafe.Pointer(new(uint64))
	case kindBool:
		return unsafe.Pointer(new(bool))
	case kindText:
		return unsafe.Pointer(new(string))
	}
	return reflect.New(c.typ).UnsafePointer()
}

// element adds the item to the slice at p, whose spare capacity is zeros. The slice
// grows by as many elements as there are items with that tag in rest, never by what a
// length claims.
func (d *Decoder) element(c *codec, p unsafe.Pointer, it *Item, rest []byte) error {
	s := (*sliceHeader)(p)
	if s.len == s.cap {
		n := 1 + d.siblings(it.Tag, rest)
		reflect.NewAt(c.typ, p).Elem().Grow(n)
	}
	at := unsafe.Add(s.data, uintptr(s.len)*c.elem.typ.Size())
	if err := d.decode(c.elem, at, it, nil); err != nil {
		reflect.NewAt(c.elem.typ, at).Elem().SetZero()
		return err
	}
	s.len++
	return nil
}

// siblings counts the items with the tag in rest, up to the first that is malformed
// or over the limit.
func (d *Decoder) siblings(tag Tag, rest []byte) (n int) {
	for left := d.items; len(rest) > 0 && left > 0; left-- {
		header, size := measure(rest)
		if size == 0 {
			break
		}
		if Tag(header>>40) == tag {
			n++
		}
		rest = rest[size:]
	}
	return n
}

// held decodes the item into the structure that the interface at p points to.
func (d *Decoder) held(c *codec, p unsafe.Pointer, it *Item) error {
	v := reflect.NewAt(c.typ, p).Elem().Elem()
	if !v.IsValid() || v.Kind() != reflect.Pointer || v.Type().Elem().Kind() != reflect.Struct || v.IsNil() {
		return it.fault("nothing to decode it into")
	}
	return d.Value(*it, v.Interface())
}

// enter decodes the structure it into the one at base, one level deeper.
func (d *Decoder) enter(p *plan, base unsafe.Pointer, it *Item) error {
	if it.Type != TypeStructure {
		return it.mistyped(TypeStructure)
	}
	if d.depth <= 0 {
		return exceeded("more than %d structures deep", d.limits.Depth)
	}
	d.depth--
	err := d.structure(p, base, it.Body)
	d.depth++
	if err != nil {
		return it.within(err)
	}
	return nil
}

// structure decodes the items in rest into the structure at base, whatever their
// order.
func (d *Decoder) structure(p *plan, base unsafe.Pointer, rest []byte) error {
	vp := &p.versions[d.index]
	var seen fieldSet
	var it Item
	for len(rest) > 0 {
		header, n := measure(rest)
		if n == 0 {
			return misfit(rest)
		}
		if err := d.count(); err != nil {
			return err
		}
		data, tag := rest[:n:n], Tag(header>>40)
		rest = rest[n:]
		i := vp.tags.find(tag)
		if i < 0 {
			if d.lenient || tag>>16 == 0x54 {
				continue
			}
			return unexpected(tag)
		}
		f := &p.fields[i]
		if seen.has(i) && !f.repeats {
			return malformed("%v occurs twice", tag)
		}
		seen.add(i)
		if c := f.codec; c.wire == Type(header>>32) && c.store(f.at(base), body(data)) {
			continue
		}
		it.set(data, header)
		outer := d.partial
		d.partial = outer || f.partial
		err := d.decode(f.codec, f.at(base), &it, rest)
		d.partial = outer
		if err != nil {
			return err
		}
	}
	if d.partial {
		return nil
	}
	return p.missing(vp, d.version, &seen)
}

// missing returns an error if a required field has not been seen.
func (p *plan) missing(vp *versionPlan, v Version, seen *fieldSet) error {
	for w := range seen {
		if absent := vp.required[w] &^ seen[w]; absent != 0 {
			f := &p.fields[w*64+bits.TrailingZeros64(absent)]
			tag, _ := f.tag.tag(versions[v.index()])
			return malformed("%v is missing", tag)
		}
	}
	return nil
}
