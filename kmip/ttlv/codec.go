package ttlv

import (
	"fmt"
	"math/big"
	"reflect"
	"sync"
	"time"
)

// kind is how a Go type stands in a message.
type kind uint8

const (
	kindNone kind = iota // only its Marshaler and Unmarshaler know
	kindInt              // ~int32: Integer
	kindEnum             // ~uint32: Enumeration
	kindInterval
	kindLong // ~int64: LongInteger
	kindBool
	kindText
	kindBytes
	kindTime // time.Time: DateTime
	kindTimeExtended
	kindBigInt // big.Int, behind a pointer in practice
	kindRaw
	kindNode
	kindStruct
	kindInterface // holds a pointer to a structure
	kindPointer   // to elem; nil is absent
	kindSlice     // of elem; each is an item of its own
)

// codec is how values of one Go type are encoded and decoded. It is made once per
// type and never changes.
type codec struct {
	kind       kind
	marshals   bool // pointers to typ are Marshalers
	unmarshals bool // pointers to typ are Unmarshalers
	wire       Type // the one type of item that store takes; 0 if it takes none
	typ        reflect.Type
	elem       *codec // of a pointer or slice
	plan       *plan  // of a structure
}

var (
	marshalerType   = reflect.TypeFor[Marshaler]()
	unmarshalerType = reflect.TypeFor[Unmarshaler]()
)

// specialKinds holds the types that are not encoded as their underlying type.
var specialKinds = map[reflect.Type]kind{
	reflect.TypeFor[Interval]():         kindInterval,
	reflect.TypeFor[DateTimeExtended](): kindTimeExtended,
	reflect.TypeFor[time.Time]():        kindTime,
	reflect.TypeFor[big.Int]():          kindBigInt,
	reflect.TypeFor[Raw]():              kindRaw,
	reflect.TypeFor[Node]():             kindNode,
}

// plainKinds holds the kinds of types that are encoded as their underlying type.
var plainKinds = map[reflect.Kind]kind{
	reflect.Int32:     kindInt,
	reflect.Uint32:    kindEnum,
	reflect.Int64:     kindLong,
	reflect.Bool:      kindBool,
	reflect.String:    kindText,
	reflect.Struct:    kindStruct,
	reflect.Interface: kindInterface,
	reflect.Pointer:   kindPointer,
	reflect.Slice:     kindSlice,
}

// plainTypes holds the types of the items whose values are stored as they stand.
var plainTypes = map[kind]Type{
	kindInt:          TypeInteger,
	kindEnum:         TypeEnumeration,
	kindInterval:     TypeInterval,
	kindLong:         TypeLongInteger,
	kindTimeExtended: TypeDateTimeExtended,
	kindText:         TypeTextString,
	kindBytes:        TypeByteString,
}

// codecs holds the codec of each type that has been used: reflect.Type to *codec.
var codecs sync.Map

// codecOf returns the codec of t. It panics if t cannot be in a message, which is
// our own bug and what Compile tells in time.
func codecOf(t reflect.Type) *codec {
	if c, ok := codecs.Load(t); ok {
		return c.(*codec)
	}
	c, err := compile(t)
	if err != nil {
		panic("ttlv: " + err.Error())
	}
	return c
}

// recentCodecs are the codecs that a Decoder or Encoder used last: a batch wants the
// same few again and again.
type recentCodecs struct {
	codecs [4]*codec
	next   int
}

// of is codecOf.
func (r *recentCodecs) of(t reflect.Type) *codec {
	for _, c := range r.codecs {
		if c != nil && c.typ == t {
			return c
		}
	}
	c := codecOf(t)
	r.codecs[r.next] = c
	r.next = (r.next + 1) % len(r.codecs)
	return c
}

// Compile checks that x, a structure or a pointer to one, can be encoded and
// decoded: that every field has a known tag, known options and a type that stands
// for an item. Append and Unmarshal panic on a type that Compile refuses.
//
// The type of a field decides the type of its item: int32 is an Integer, uint32 an
// Enumeration, int64 a LongInteger, *big.Int a BigInteger, bool a Boolean, string a
// TextString, []byte a ByteString, time.Time a DateTime, DateTimeExtended and
// Interval themselves, a structure a Structure; so are types made from these. A
// pointer or a slice of any of them may be absent, and a slice is one item for each
// element. Raw takes an item of any type as it is, nil being absent, and Node the tree
// of one. An interface must hold a pointer to a structure, or nil. Anything else is
// required, unless its tag says omitempty: then its zero value is absent (of []byte,
// nil), or it is a Marshaler or Unmarshaler, which decides itself.
//
// The ttlv tag of a field names the item's tag and, after commas, the versions that
// have it ("1.4+", "1.0-1.4"), omitempty, and partial: the structures in it may lack
// what they require, being patterns and not values. Alternatives are separated by "|".
// A field is encoded only at a version that has it; decoded it is at any version.
func Compile(x any) error {
	t := reflect.TypeOf(x)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return fmt.Errorf("compiling %T: not a structure", x)
	}
	_, err := compile(t)
	return err
}

// compile makes the codec of t and publishes it with those it is made of.
func compile(t reflect.Type) (*codec, error) {
	m := codecMaker{}
	c, err := m.codec(t)
	if err != nil {
		return nil, err
	}
	for t, c := range m {
		codecs.LoadOrStore(t, c)
	}
	return c, nil
}

// codecMaker holds the codecs made so far, so that a type may contain itself.
type codecMaker map[reflect.Type]*codec

// codec returns the codec of t, complete once the outermost call has returned.
func (m codecMaker) codec(t reflect.Type) (*codec, error) {
	if c, ok := m[t]; ok {
		return c, nil
	}
	if c, ok := codecs.Load(t); ok {
		return c.(*codec), nil
	}
	c := &codec{
		kind:       kindOf(t),
		typ:        t,
		marshals:   reflect.PointerTo(t).Implements(marshalerType),
		unmarshals: reflect.PointerTo(t).Implements(unmarshalerType),
	}
	if !c.unmarshals {
		c.wire = plainTypes[c.kind]
	}
	m[t] = c
	if c.marshals && c.unmarshals {
		return c, nil
	}
	return c, m.complete(c)
}

// kindOf returns the kind of t apart from what Marshaler and Unmarshaler do.
func kindOf(t reflect.Type) kind {
	if k, ok := specialKinds[t]; ok {
		return k
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return kindBytes
	}
	return plainKinds[t.Kind()]
}

// complete adds to c what its kind needs.
func (m codecMaker) complete(c *codec) (err error) {
	switch c.kind {
	case kindNone:
		return fmt.Errorf("%v cannot stand in a message", c.typ)
	case kindStruct:
		c.plan, err = m.plan(c.typ)
		return err
	case kindPointer, kindSlice:
		c.elem, err = m.codec(c.typ.Elem())
	}
	if err == nil && c.elem != nil && !c.elem.mayBeElement(c.kind) {
		err = fmt.Errorf("%v cannot stand in a message", c.typ)
	}
	return err
}

// mayBeElement tells whether a pointer or a slice, which outer is, may have
// elements like c.
func (c *codec) mayBeElement(outer kind) bool {
	switch c.kind {
	case kindSlice:
		return c.marshals && c.unmarshals
	case kindPointer:
		return outer == kindSlice
	case kindInterface:
		return false
	}
	return true
}

// optional tells whether a value like c may be absent whatever its tag says.
func (c *codec) optional() bool {
	switch c.kind {
	case kindPointer, kindSlice, kindInterface, kindRaw:
		return true
	}
	return c.marshals || c.unmarshals
}

// repeats tells whether several items may go into one value like c.
func (c *codec) repeats() bool {
	if c.kind == kindPointer && c.elem != nil {
		return c.elem.repeats()
	}
	return c.unmarshals || c.kind == kindSlice
}
