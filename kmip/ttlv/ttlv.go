// Package ttlv is the Tag-Type-Length-Value encoding of KMIP: bytes to Go
// structures at a protocol version and back, within limits, and the XML and JSON
// forms of the same tree.
//
// One item is
//
//	+--------+------+----------+---------------------+
//	| tag    | type | length   | value, zero padded  |
//	| 3      | 1    | 4        | to a multiple of 8  |
//	+--------+------+----------+---------------------+
//
// where a Structure's value is a sequence of items (KMIP 1.4 §9.1, KMIP 2.1 §10.1).
//
// There are three ways in and out. Unmarshal and Append move whole Go structures,
// guided by their field tags (see Compile). Types whose shape the field tags cannot
// express implement Marshaler and Unmarshaler upon an Encoder and a Decoder. Node
// is the generic tree, for what has no Go type, and for XML and JSON.
//
// What Unmarshal stores as string, []byte and Raw BORROWS the message: it is the
// message's own memory, valid and unchanging only as long as that buffer is. Who
// reuses a buffer must first be rid of, or have cloned, what was decoded from it.
package ttlv

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// headerSize is the length of tag, type and length in bytes.
const headerSize = 8

// Type is the data type of an item (KMIP 2.1 §10.1.2).
type Type byte

// The types of items. DateTimeExtended is of KMIP 2.0 and later.
const (
	TypeStructure        Type = 0x01
	TypeInteger          Type = 0x02
	TypeLongInteger      Type = 0x03
	TypeBigInteger       Type = 0x04
	TypeEnumeration      Type = 0x05
	TypeBoolean          Type = 0x06
	TypeTextString       Type = 0x07
	TypeByteString       Type = 0x08
	TypeDateTime         Type = 0x09
	TypeInterval         Type = 0x0A
	TypeDateTimeExtended Type = 0x0B
)

var typeNames = [...]string{
	TypeStructure:        "Structure",
	TypeInteger:          "Integer",
	TypeLongInteger:      "LongInteger",
	TypeBigInteger:       "BigInteger",
	TypeEnumeration:      "Enumeration",
	TypeBoolean:          "Boolean",
	TypeTextString:       "TextString",
	TypeByteString:       "ByteString",
	TypeDateTime:         "DateTime",
	TypeInterval:         "Interval",
	TypeDateTimeExtended: "DateTimeExtended",
}

// String returns the name the XML and JSON encodings use, such as TextString.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("0x%02X", byte(t))
}

// typeByName returns the type called name, and false if there is none.
func typeByName(name string) (Type, bool) {
	for t, n := range typeNames {
		if n == name && n != "" {
			return Type(t), true
		}
	}
	return 0, false
}

// Version is a protocol version: the major number times 256 plus the minor one.
type Version uint16

// The versions of the protocol this package knows.
const (
	V1_0 Version = 0x0100
	V1_1 Version = 0x0101
	V1_2 Version = 0x0102
	V1_3 Version = 0x0103
	V1_4 Version = 0x0104
	V2_0 Version = 0x0200
	V2_1 Version = 0x0201
)

// versions lists the known versions, ascending.
var versions = [...]Version{V1_0, V1_1, V1_2, V1_3, V1_4, V2_0, V2_1}

// Major returns the major number.
func (v Version) Major() int { return int(v >> 8) }

// Minor returns the minor number.
func (v Version) Minor() int { return int(v & 0xFF) }

// String returns the version as "1.4".
func (v Version) String() string {
	return strconv.Itoa(v.Major()) + "." + strconv.Itoa(v.Minor())
}

// index returns the place in versions of the latest version not later than v, or
// of the earliest: an unknown version is read as the known one before it.
func (v Version) index() int {
	for i := len(versions) - 1; i > 0; i-- {
		if versions[i] <= v {
			return i
		}
	}
	return 0
}

// Interval is a number of seconds; on the wire it has a type of its own.
type Interval uint32

// DateTimeExtended is a time in microseconds since 1970-01-01T00:00:00Z
// (KMIP 2.0 and later). A time.Time field is a DateTime, in whole seconds.
type DateTimeExtended int64

// Time returns d as a time in UTC.
func (d DateTimeExtended) Time() time.Time { return time.UnixMicro(int64(d)).UTC() }

// Raw is one whole encoded item, header and padding included. A decoded Raw
// borrows the message, and what is inside it has not been looked at.
type Raw []byte

// Tag returns the item's tag, 0 when r is empty.
func (r Raw) Tag() Tag {
	if len(r) < headerSize {
		return 0
	}
	return Tag(binary.BigEndian.Uint32(r) >> 8)
}

// Type returns the item's type, 0 when r is empty.
func (r Raw) Type() Type {
	if len(r) < headerSize {
		return 0
	}
	return Type(r[3])
}

// Body returns the item's value without padding, nil when r is empty or cut short.
func (r Raw) Body() []byte {
	_, n := measure(r)
	if n == 0 {
		return nil
	}
	return body(r)
}

// body returns the value of the item at the start of data, which measure accepted.
func body(data []byte) []byte {
	end := headerSize + int(binary.BigEndian.Uint32(data[4:]))
	return data[headerSize:end:end]
}

// The limits that apply where a field of Limits is zero.
const (
	DefaultSize  = 1 << 20
	DefaultDepth = 32
	DefaultItems = 1 << 14
)

// Limits bound what a message may cost. Each is checked before anything is
// allocated for what it bounds; a nil *Limits or a zero field is the default.
type Limits struct {
	Size  int // bytes of one message, headers included
	Depth int // structures within structures
	Items int // items in one message, at all depths
}

// effective returns l with the defaults filled in.
func (l *Limits) effective() Limits {
	if l == nil {
		return Limits{DefaultSize, DefaultDepth, DefaultItems}
	}
	e := *l
	if e.Size == 0 {
		e.Size = DefaultSize
	}
	if e.Depth == 0 {
		e.Depth = DefaultDepth
	}
	if e.Items == 0 {
		e.Items = DefaultItems
	}
	return e
}

// Length returns the size in bytes, header included, of the message that begins
// with header, its first 8 bytes. It fails if no message begins so, or if the
// message is over the size limit; a socket reader allocates only after it.
func Length(header []byte, l *Limits) (int, error) {
	if len(header) < headerSize {
		return 0, malformed("a header is 8 bytes, not %d", len(header))
	}
	tag, typ := Raw(header).Tag(), Raw(header).Type()
	length := uint64(binary.BigEndian.Uint32(header[4:]))
	switch {
	case tag>>16 != 0x42:
		return 0, malformed("not a TTLV message: the tag is 0x%06X", uint32(tag))
	case typ != TypeStructure:
		return 0, malformed("%v: type is %v, must be Structure", tag, typ)
	case length%8 != 0:
		return 0, malformed("%v: length %d is not a multiple of 8", tag, length)
	}
	if most := l.effective().Size; length+headerSize > uint64(most) {
		return 0, exceeded("%v: %d bytes, the limit is %d", tag, length+headerSize, most)
	}
	return int(length) + headerSize, nil
}
