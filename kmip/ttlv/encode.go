package ttlv

import (
	"fmt"
	"math/big"
	"reflect"
	"time"
	"unsafe"
)

// sliceHeader is the layout of a slice.
type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// encode appends the value at p, of the type c describes, under tag.
func (e *Encoder) encode(c *codec, tag Tag, p unsafe.Pointer) error {
	if c.marshals {
		return reflect.NewAt(c.typ, p).Interface().(Marshaler).MarshalTTLV(e, tag)
	}
	switch c.kind {
	case kindInt:
		e.word(tag, TypeInteger, *(*uint32)(p))
	case kindEnum:
		return e.enum(tag, *(*uint32)(p))
	case kindInterval:
		e.word(tag, TypeInterval, *(*uint32)(p))
	case kindLong:
		e.long(tag, TypeLongInteger, *(*uint64)(p))
	case kindTimeExtended:
		e.long(tag, TypeDateTimeExtended, *(*uint64)(p))
	case kindBool:
		e.Bool(tag, *(*bool)(p))
	case kindText:
		e.Text(tag, *(*string)(p))
	case kindBytes:
		e.ByteString(tag, *(*[]byte)(p))
	case kindTime:
		e.Time(tag, *(*time.Time)(p))
	case kindBigInt:
		e.BigInt(tag, (*big.Int)(p))
	case kindStruct:
		return e.structure(c.plan, tag, p)
	default:
		return e.compound(c, tag, p)
	}
	return nil
}

// enum appends an enumeration of a structure.
func (e *Encoder) enum(tag Tag, n uint32) error {
	if e.strict && !Defined(tag, n, e.version) {
		return &UndefinedError{tag, n, e.version}
	}
	e.word(tag, TypeEnumeration, n)
	return nil
}

// compound appends the value at p, of one of the kinds that hold items of others.
func (e *Encoder) compound(c *codec, tag Tag, p unsafe.Pointer) error {
	switch c.kind {
	case kindPointer:
		if q := *(*unsafe.Pointer)(p); q != nil {
			return e.encode(c.elem, tag, q)
		}
		return nil
	case kindSlice:
		return e.slice(c, tag, (*sliceHeader)(p))
	case kindInterface:
		return e.held(c, tag, p)
	case kindRaw:
		return e.raw(*(*Raw)(p))
	case kindNode:
		return e.node(tag, (*Node)(p))
	}
	return fmt.Errorf("%v cannot be encoded", c.typ)
}

// structure appends the structure at p.
func (e *Encoder) structure(pl *plan, tag Tag, p unsafe.Pointer) error {
	mark := e.Begin(tag)
	steps := pl.versions[e.index].encode
	for i := range steps {
		s := &steps[i]
		at := s.field.at(p)
		if (s.field.omitEmpty || e.partial) && isZero(s.field.codec, at) {
			continue
		}
		outer := e.partial
		e.partial = outer || s.field.partial
		err := e.encode(s.field.codec, s.tag, at)
		e.partial = outer
		if err != nil {
			return fmt.Errorf("%v: %w", s.tag, err)
		}
	}
	e.End(mark)
	return nil
}

// slice appends the elements of a slice, each as an item of its own.
func (e *Encoder) slice(c *codec, tag Tag, s *sliceHeader) error {
	size := c.elem.typ.Size()
	for i := range s.len {
		if err := e.encode(c.elem, tag, unsafe.Add(s.data, uintptr(i)*size)); err != nil {
			return err
		}
	}
	return nil
}

// held appends what the interface at p points to; nothing if it is nil.
func (e *Encoder) held(c *codec, tag Tag, p unsafe.Pointer) error {
	v := reflect.NewAt(c.typ, p).Elem().Elem()
	if !v.IsValid() {
		return nil
	}
	if v.Kind() != reflect.Pointer || v.Type().Elem().Kind() != reflect.Struct || v.IsNil() {
		return fmt.Errorf("an interface holds %v, not a pointer to a structure", v.Type())
	}
	return e.encode(e.recent.of(v.Type().Elem()), tag, v.UnsafePointer())
}

// raw appends an encoded item, once its header has been seen to match; nil is absent.
func (e *Encoder) raw(r Raw) error {
	if r == nil {
		return nil
	}
	if _, n := measure(r); n == 0 || n != len(r) {
		return fmt.Errorf("%d bytes that are not one item", len(r))
	}
	e.Raw(r)
	return nil
}

// isZero tells whether omitempty omits the value at p.
func isZero(c *codec, p unsafe.Pointer) bool {
	switch c.kind {
	case kindInt, kindEnum, kindInterval:
		return *(*uint32)(p) == 0
	case kindLong, kindTimeExtended:
		return *(*uint64)(p) == 0
	case kindBool:
		return !*(*bool)(p)
	case kindText:
		return *(*string)(p) == ""
	case kindTime:
		return (*time.Time)(p).IsZero()
	case kindBytes, kindRaw, kindPointer, kindSlice:
		return *(*unsafe.Pointer)(p) == nil
	}
	return reflect.NewAt(c.typ, p).Elem().IsZero()
}

// node appends n under tag, whatever its own tag is.
func (e *Encoder) node(tag Tag, n *Node) error {
	if n.Type == 0 {
		return fmt.Errorf("a node without a type")
	}
	under := *n
	under.Tag = tag
	under.encode(e)
	return nil
}
