package ttlv

import (
	"encoding/binary"
	"math/big"
	"time"
	"unicode/utf8"
	"unsafe"
)

// Item is one item of a message. Body is its value without padding, Raw the whole
// of it; both borrow the message.
type Item struct {
	Tag  Tag
	Type Type
	Body []byte
	Raw  Raw
}

// A lengthRule admits the lengths n for which n&mask == want.
type lengthRule struct{ mask, want uint32 }

// lengthRules holds the allowed lengths of each type (KMIP 2.1 §10.1.3); the types
// that do not exist admit none.
var lengthRules = [16]lengthRule{
	{0, 1},
	TypeStructure:        {7, 0},
	TypeInteger:          {^uint32(0), 4},
	TypeLongInteger:      {^uint32(0), 8},
	TypeBigInteger:       {7, 0},
	TypeEnumeration:      {^uint32(0), 4},
	TypeBoolean:          {^uint32(0), 8},
	TypeTextString:       {0, 0},
	TypeByteString:       {0, 0},
	TypeDateTime:         {^uint32(0), 8},
	TypeInterval:         {^uint32(0), 4},
	TypeDateTimeExtended: {^uint32(0), 8},
	12:                   {0, 1},
	13:                   {0, 1},
	14:                   {0, 1},
	15:                   {0, 1},
}

// measure returns the header of the item at the start of data and its whole size,
// padding included; a size of 0 if there is no such item, for the reason that
// misfit tells. Nothing is read beyond data, whatever length the header claims.
func measure(data []byte) (header uint64, size int) {
	if len(data) < headerSize {
		return 0, 0
	}
	header = binary.BigEndian.Uint64(data)
	class, typ, length := header>>56, byte(header>>32), uint32(header)
	padded := (uint64(length)+7)&^7 + headerSize
	rule := &lengthRules[typ&15]
	if padded > uint64(len(data)) || typ > 15 || length&rule.mask != rule.want || class != 0x42 && class != 0x54 {
		return 0, 0
	}
	return header, int(padded)
}

// misfit returns why measure refused data.
func misfit(data []byte) error {
	if len(data) < headerSize {
		return malformed("%d stray bytes", len(data))
	}
	header := binary.BigEndian.Uint64(data)
	tag, typ, length := Tag(header>>40), Type(header>>32), uint32(header)
	switch {
	case tag>>16 != 0x42 && tag>>16 != 0x54:
		return malformed("0x%06X is not a tag", uint32(tag))
	case typ == 0 || int(typ) >= len(typeNames):
		return malformed("%v: %v is not a type", tag, typ)
	case length&lengthRules[typ].mask != lengthRules[typ].want:
		return malformed("%v: length %d is wrong for %v", tag, length, typ)
	}
	return malformed("%v: length %d, but only %d bytes are left", tag, length, len(data)-headerSize)
}

// set makes it the item that is the whole of data, and has the header.
func (it *Item) set(data []byte, header uint64) {
	it.Tag = Tag(header >> 40)
	it.Type = Type(header >> 32)
	it.Body = body(data)
	it.Raw = data
}

// Text returns the value of a Text String; it borrows the message.
func (it Item) Text() (string, error) {
	if it.Type != TypeTextString {
		return "", it.mistyped(TypeTextString)
	}
	if !utf8.Valid(it.Body) {
		return "", it.fault("not valid UTF-8")
	}
	return unsafe.String(unsafe.SliceData(it.Body), len(it.Body)), nil
}

// Bytes returns the value of a Byte String; it borrows the message.
func (it Item) Bytes() ([]byte, error) {
	if it.Type != TypeByteString {
		return nil, it.mistyped(TypeByteString)
	}
	return it.Body, nil
}

// Int returns the value of an Integer.
func (it Item) Int() (int32, error) {
	n, err := it.word(TypeInteger)
	return int32(n), err
}

// Enum returns the value of an Enumeration.
func (it Item) Enum() (uint32, error) { return it.word(TypeEnumeration) }

// Interval returns the value of an Interval.
func (it Item) Interval() (Interval, error) {
	n, err := it.word(TypeInterval)
	return Interval(n), err
}

// Long returns the value of a Long Integer.
func (it Item) Long() (int64, error) { return it.long(TypeLongInteger) }

// Bool returns the value of a Boolean; any value but 0 is true, since that is what
// some clients send.
func (it Item) Bool() (bool, error) {
	n, err := it.long(TypeBoolean)
	return n != 0, err
}

// Time returns the value of a Date-Time, in UTC.
func (it Item) Time() (time.Time, error) {
	n, err := it.long(TypeDateTime)
	return unixTime(n), err
}

// TimeExtended returns the value of a Date-Time-Extended, in UTC.
func (it Item) TimeExtended() (time.Time, error) {
	n, err := it.long(TypeDateTimeExtended)
	return DateTimeExtended(n).Time(), err
}

// BigInt returns the value of a Big Integer.
func (it Item) BigInt() (*big.Int, error) {
	x := new(big.Int)
	return x, it.bigInt(x)
}

// word returns the value of a 4-byte item of type t.
func (it *Item) word(t Type) (uint32, error) {
	if it.Type != t || len(it.Body) != 4 {
		return 0, it.mistyped(t)
	}
	return binary.BigEndian.Uint32(it.Body), nil
}

// long returns the value of an 8-byte item of type t.
func (it *Item) long(t Type) (int64, error) {
	if it.Type != t || len(it.Body) != 8 {
		return 0, it.mistyped(t)
	}
	return int64(binary.BigEndian.Uint64(it.Body)), nil
}

// bigInt sets x to the value of a Big Integer: two's complement, big endian.
func (it *Item) bigInt(x *big.Int) error {
	if it.Type != TypeBigInteger {
		return it.mistyped(TypeBigInteger)
	}
	if len(it.Body) == 0 {
		return it.fault("a BigInteger of no bytes")
	}
	x.SetBytes(it.Body)
	if it.Body[0]&0x80 != 0 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(len(it.Body))*8))
	}
	return nil
}

// unixTime returns the time sec seconds after 1970-01-01T00:00:00Z.
func unixTime(sec int64) time.Time { return time.Unix(sec, 0).UTC() }

// Children are the items of a structure, one after another:
//
//	for it, ok := c.Next(); ok; it, ok = c.Next() { … }
//	return c.Err()
type Children struct {
	rest []byte
	d    *Decoder
	err  error
}

// Next returns the next item, and false after the last or at a fault.
func (c *Children) Next() (it Item, ok bool) {
	if len(c.rest) == 0 || c.err != nil {
		return it, false
	}
	header, n := measure(c.rest)
	if n == 0 {
		c.err = misfit(c.rest)
		return it, false
	}
	if c.err = c.d.count(); c.err != nil {
		return it, false
	}
	it.set(c.rest[:n:n], header)
	c.rest = c.rest[n:]
	return it, true
}

// Len returns how many items are left, up to the first that is malformed or over the limit.
func (c *Children) Len() int { return c.d.number(c.rest) }

// Err returns the fault that ended the items, or nil.
func (c *Children) Err() error { return c.err }
