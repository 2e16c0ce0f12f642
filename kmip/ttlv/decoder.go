package ttlv

import (
	"fmt"
	"reflect"
	"sync"
)

// Unmarshaler is implemented by pointers to types that decode themselves. It is
// called once for each item with their tag. What it keeps of the item borrows the
// message.
type Unmarshaler interface {
	UnmarshalTTLV(d *Decoder, it Item) error
}

// Decoder decodes the items of one message and counts them against its limits. It
// is reusable and not safe for concurrent use.
type Decoder struct {
	version Version
	index   int // of version in versions
	lenient bool
	partial bool   // structures may lack what they require
	limits  Limits // as given, with defaults
	depth   int    // structures that may still be entered
	items   int    // items that may still be read
	recent  recentCodecs
}

var decoders = sync.Pool{New: func() any { return new(Decoder) }}

// Unmarshal decodes the one item in data, which must have the tag, into x, a
// pointer to a structure, as version v has it. What x held before is gone, but for
// fields tagged "-" and the structures its interfaces point to.
//
// Strings, byte slices and Raw in x borrow data: they are part of it. An item that x
// does not know is an error, unless its tag is an extension. Errors are *Error.
func Unmarshal(data []byte, v Version, tag Tag, x any, l *Limits) error {
	d := decoders.Get().(*Decoder)
	d.Reset(v, l, false)
	err := d.Unmarshal(data, tag, x)
	decoders.Put(d)
	return err
}

// Reset prepares d for a message of version v within limits l. A lenient decoder
// ignores items it does not know, as a client does whose server is newer; a strict
// one refuses them, except extensions.
func (d *Decoder) Reset(v Version, l *Limits, lenient bool) {
	limits := l.effective()
	*d = Decoder{
		version: v,
		index:   v.index(),
		lenient: lenient,
		limits:  limits,
		depth:   limits.Depth,
		items:   limits.Items,
		recent:  d.recent,
	}
}

// Version returns the version the message is of.
func (d *Decoder) Version() Version { return d.version }

// Unmarshal is the function Unmarshal with the version, the limits and the leniency
// of Reset.
func (d *Decoder) Unmarshal(data []byte, tag Tag, x any) error {
	it, err := d.only(data)
	if err != nil {
		return err
	}
	if it.Tag != tag {
		return malformed("the tag is %v, must be %v", it.Tag, tag)
	}
	return d.Value(it, x)
}

// only returns the one item in data, within the limits.
func (d *Decoder) only(data []byte) (Item, error) {
	if len(data) > d.limits.Size {
		return Item{}, exceeded("%d bytes, the limit is %d", len(data), d.limits.Size)
	}
	header, n := measure(data)
	if n == 0 {
		return Item{}, misfit(data)
	}
	if n != len(data) {
		return Item{}, malformed("%d bytes after the message", len(data)-n)
	}
	var it Item
	it.set(data[:n:n], header)
	return it, d.count()
}

// Value decodes the item into x by the plan of its type: x is a pointer to a
// structure or to any type a field may have; to a slice an element is added.
func (d *Decoder) Value(it Item, x any) error {
	v := reflect.ValueOf(x)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decoding %v: %T is not a pointer to something", it.Tag, x)
	}
	c := d.recent.of(v.Type().Elem())
	p := v.UnsafePointer()
	switch {
	case c.unmarshals:
	case c.plan != nil && c.plan.whole:
		v.Elem().SetZero()
	case c.plan != nil:
		c.plan.clear(p)
	case c.kind == kindSlice:
		v.Elem().SetCap(v.Elem().Len()) // what is beyond is not ours to fill
	}
	return d.decode(c, p, &it, nil)
}

// Children returns the items of the structure it.
func (d *Decoder) Children(it Item) (Children, error) {
	if it.Type != TypeStructure {
		return Children{}, it.mistyped(TypeStructure)
	}
	return Children{rest: it.Body, d: d}, nil
}

// count takes one item off the limit.
func (d *Decoder) count() error {
	if d.items--; d.items < 0 {
		return d.tooMany()
	}
	return nil
}

func (d *Decoder) tooMany() error { return exceeded("more than %d items", d.limits.Items) }
