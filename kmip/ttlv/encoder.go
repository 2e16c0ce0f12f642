package ttlv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sync"
	"time"
)

// Marshaler is implemented by pointers to types that encode themselves. It may
// write no item, one or several under tag.
type Marshaler interface {
	MarshalTTLV(e *Encoder, tag Tag) error
}

// Encoder appends items to a buffer. It is reusable and not safe for concurrent
// use. Its methods grow the buffer and cannot fail, except Value.
type Encoder struct {
	buf     []byte
	version Version
	index   int // of version in versions
	recent  recentCodecs
	strict  bool
	partial bool // structures are written without what is zero
}

var encoders = sync.Pool{New: func() any { return new(Encoder) }}

// Append encodes x, a pointer to a structure, under tag at the end of dst, as
// version v has it, and returns the longer dst. On an error dst is as it was.
func Append(dst []byte, v Version, tag Tag, x any) ([]byte, error) {
	e := encoders.Get().(*Encoder)
	e.Reset(dst, v)
	err := e.Value(tag, x)
	buf := e.buf
	e.buf = nil
	encoders.Put(e)
	if err != nil {
		return dst, err
	}
	return buf, nil
}

// Reset makes e append to dst as version v has it. The encoder owns dst until
// Bytes has been called.
func (e *Encoder) Reset(dst []byte, v Version) {
	e.buf, e.version, e.index = dst, v, v.index()
}

// BeStrict makes every Enumeration in a structure that the version does not define an *UndefinedError, from now on.
func (e *Encoder) BeStrict() { e.strict = true }

// Strict says whether BeStrict was called.
func (e *Encoder) Strict() bool { return e.strict }

// Rewind drops what was appended since the buffer was mark bytes long.
func (e *Encoder) Rewind(mark int) { e.buf = e.buf[:mark] }

// Bytes returns the buffer given to Reset with all that was appended.
func (e *Encoder) Bytes() []byte { return e.buf }

// Version returns the version that is being written.
func (e *Encoder) Version() Version { return e.version }

// Begin opens a structure under tag; End with the returned mark closes it.
func (e *Encoder) Begin(tag Tag) (mark int) {
	mark = len(e.buf)
	e.buf = binary.BigEndian.AppendUint64(e.buf, header(tag, TypeStructure, 0))
	return mark
}

// End closes the structure that Begin opened at mark.
func (e *Encoder) End(mark int) {
	binary.BigEndian.PutUint32(e.buf[mark+4:], uint32(len(e.buf)-mark-headerSize))
}

// Text appends a Text String.
func (e *Encoder) Text(tag Tag, s string) {
	buf := binary.BigEndian.AppendUint64(e.buf, header(tag, TypeTextString, len(s)))
	buf = append(buf, s...)
	e.buf = append(buf, padding(len(s))...)
}

// ByteString appends a Byte String.
func (e *Encoder) ByteString(tag Tag, b []byte) {
	buf := binary.BigEndian.AppendUint64(e.buf, header(tag, TypeByteString, len(b)))
	buf = append(buf, b...)
	e.buf = append(buf, padding(len(b))...)
}

// Int appends an Integer.
func (e *Encoder) Int(tag Tag, n int32) { e.word(tag, TypeInteger, uint32(n)) }

// Enum appends an Enumeration.
func (e *Encoder) Enum(tag Tag, n uint32) { e.word(tag, TypeEnumeration, n) }

// Interval appends an Interval.
func (e *Encoder) Interval(tag Tag, n Interval) { e.word(tag, TypeInterval, uint32(n)) }

// Long appends a Long Integer.
func (e *Encoder) Long(tag Tag, n int64) { e.long(tag, TypeLongInteger, uint64(n)) }

// Bool appends a Boolean.
func (e *Encoder) Bool(tag Tag, b bool) {
	var n uint64
	if b {
		n = 1
	}
	e.long(tag, TypeBoolean, n)
}

// Time appends a Date-Time; fractions of a second are cut off.
func (e *Encoder) Time(tag Tag, t time.Time) { e.long(tag, TypeDateTime, uint64(t.Unix())) }

// TimeExtended appends a Date-Time-Extended, which versions before 2.0 lack.
func (e *Encoder) TimeExtended(tag Tag, t time.Time) {
	e.long(tag, TypeDateTimeExtended, uint64(t.UnixMicro()))
}

// BigInt appends a Big Integer in the fewest multiples of 8 bytes.
func (e *Encoder) BigInt(tag Tag, x *big.Int) {
	bits := x.BitLen()
	if x.Sign() < 0 {
		bits = new(big.Int).Not(x).BitLen()
	}
	n := (bits/8 + 1 + 7) &^ 7 // one bit more, for the sign
	e.buf = binary.BigEndian.AppendUint64(e.buf, header(tag, TypeBigInteger, n))
	start := len(e.buf)
	for range n / 8 {
		e.buf = append(e.buf, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	if x.Sign() < 0 {
		x = new(big.Int).Add(x, new(big.Int).Lsh(big.NewInt(1), uint(n)*8))
	}
	x.FillBytes(e.buf[start:])
}

// Raw appends an item that is encoded already.
func (e *Encoder) Raw(r Raw) { e.buf = append(e.buf, r...) }

// Value appends x under tag by the plan of its type: x is a pointer to a structure
// or to any type a field may have.
func (e *Encoder) Value(tag Tag, x any) error {
	t := reflect.TypeOf(x)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("encoding %v: %T is not a pointer", tag, x)
	}
	p := reflect.ValueOf(x).UnsafePointer()
	if p == nil {
		return fmt.Errorf("encoding %v: nil %T", tag, x)
	}
	start := len(e.buf)
	if err := e.encode(e.recent.of(t.Elem()), tag, p); err != nil {
		return fmt.Errorf("encoding %v: %w", tag, err)
	}
	if uint64(len(e.buf)-start) > math.MaxUint32 {
		return errors.New("encoding " + tag.String() + ": more than 4 GiB")
	}
	return nil
}

// word appends an item of 4 bytes and its padding.
func (e *Encoder) word(tag Tag, t Type, n uint32) {
	buf := binary.BigEndian.AppendUint64(e.buf, header(tag, t, 4))
	e.buf = binary.BigEndian.AppendUint64(buf, uint64(n)<<32)
}

// long appends an item of 8 bytes.
func (e *Encoder) long(tag Tag, t Type, n uint64) {
	buf := binary.BigEndian.AppendUint64(e.buf, header(tag, t, 8))
	e.buf = binary.BigEndian.AppendUint64(buf, n)
}

// header returns tag, type and length as they stand before a value.
func header(tag Tag, t Type, length int) uint64 {
	return uint64(tag)<<40 | uint64(t)<<32 | uint64(uint32(length))
}

// padding returns the zeros that follow a value of n bytes.
func padding(n int) string { return "\x00\x00\x00\x00\x00\x00\x00"[:-n&7] }
