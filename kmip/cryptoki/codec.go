package cryptoki

import (
	"encoding/binary"
	"errors"

	"strongroom/kmip"
)

// A Reader takes input parameters apart. Its methods answer zeros once something was not there; End tells.
type Reader struct {
	rest []byte
	bad  bool
}

// NewReader reads b, which it borrows.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

var errParameters = errors.New("the parameters are not those of the function")

// End says whether everything was there, and nothing more.
func (r *Reader) End() error {
	if r.bad || len(r.rest) > 0 {
		return kmip.Errorf(kmip.ResultReasonPKCS11CodecError, "%w", errParameters)
	}
	return nil
}

func (r *Reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Byte reads a CK_BYTE.
func (r *Reader) Byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads a CK_BBOOL: anything but 0 is true.
func (r *Reader) Bool() bool { return r.Byte() != 0 }

// ULong reads a CK_ULONG.
func (r *Reader) ULong() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Count reads the number of elements of an array.
func (r *Reader) Count() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Array reads an array of bytes. It borrows from the input.
func (r *Reader) Array() []byte { return r.take(uint64(r.Count())) }

// Left is how many bytes are left.
func (r *Reader) Left() int { return len(r.rest) }

// A Buffer is where the caller wants an array.
type Buffer struct {
	There bool // else only the number of elements is asked for
	Room  uint32
}

// Buffer reads one.
func (r *Reader) Buffer() Buffer { return Buffer{r.Bool(), r.Count()} }

// An Attribute is one of a template. Its Value is encoded: 1 byte, 8 bytes, or those of an array.
type Attribute struct {
	Type   uint64
	Value  []byte
	Valued bool   // the value is given
	Length bool   // its length is given, or how much room there is for it
	Room   uint32 // elements, of an array
}

// deepest is how far templates may be in templates.
const deepest = 2

// Template reads an array of attributes, which borrow from the input.
func (r *Reader) Template() []Attribute { return r.template(0) }

func (r *Reader) template(depth int) []Attribute {
	n := r.Count()
	if uint64(n)*10 > uint64(len(r.rest)) || depth > deepest {
		r.bad = true
		return nil
	}
	list := make([]Attribute, 0, n)
	for range n {
		list = append(list, r.attribute(depth))
	}
	return list
}

func (r *Reader) attribute(depth int) Attribute {
	a := Attribute{Type: r.ULong(), Valued: r.Bool(), Length: r.Bool()}
	k := kinds[a.Type]
	array := k == kindBytes || k == kindULongs || k == kindTemplates
	if array && a.Length && k != kindTemplates {
		a.Room = r.Count()
	}
	switch {
	case k == kindTemplates && a.Length && a.Valued:
		before := r.rest
		a.Room = uint32(len(r.template(depth + 1)))
		a.Value = before[:len(before)-len(r.rest)]
	case k == kindTemplates && a.Length:
		a.Room = r.Count()
	case !a.Valued:
	case k == kindBool:
		a.Value = r.take(1)
	case k == kindULong, k == kindDate:
		a.Value = r.take(8)
	case k == kindULongs:
		a.Value = r.take(8 * uint64(a.Room))
	default:
		a.Value = r.take(uint64(a.Room))
	}
	return a
}

// A Writer makes output parameters.
type Writer struct{ b []byte }

// Bytes is what was written.
func (w *Writer) Bytes() []byte { return w.b }

// Byte writes a CK_BYTE.
func (w *Writer) Byte(b byte) { w.b = append(w.b, b) }

// Bool writes a CK_BBOOL.
func (w *Writer) Bool(b bool) {
	if b {
		w.Byte(1)
	} else {
		w.Byte(0)
	}
}

// ULong writes a CK_ULONG.
func (w *Writer) ULong(n uint64) { w.b = binary.BigEndian.AppendUint64(w.b, n) }

// Count writes the number of elements of an array.
func (w *Writer) Count(n int) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(n)) }

// Version writes a CK_VERSION.
func (w *Writer) Version(v [2]byte) { w.b = append(w.b, v[:]...) }

// Text writes text of a fixed size, cut or padded with blanks.
func (w *Writer) Text(s string, size int) {
	s = cut(s, size)
	w.b = append(w.b, s...)
	for range size - len(s) {
		w.Byte(' ')
	}
}

// cut is the beginning of s that has at most size bytes and no part of a character.
func cut(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && s[size]&0xC0 == 0x80 {
		size--
	}
	return s[:size]
}

// Fill answers a Buffer with numbers, and says whether there was room: where not, or where there was no buffer, it answers how
// many there are.
func (w *Writer) Fill(b Buffer, list []uint64) bool {
	fits := uint64(len(list)) <= uint64(b.Room)
	w.Bool(b.There && fits)
	w.Count(len(list))
	if b.There && fits {
		for _, n := range list {
			w.ULong(n)
		}
	}
	return fits || !b.There
}

// Absent answers an attribute that is not there or may not be told.
func (w *Writer) Absent(t uint64) {
	w.ULong(t)
	w.Bool(false)
	w.Bool(false)
}

// Attribute answers an attribute that was asked for, with its encoded value, and says whether there was room for it.
func (w *Writer) Attribute(asked Attribute, value []byte) bool {
	k := kinds[asked.Type]
	elements, array := len(value), k == kindBytes
	if k == kindULongs {
		elements, array = len(value)/8, true
	}
	if !array && elements == 0 { // a date that is empty
		w.Absent(asked.Type)
		return true
	}
	fits := !array || uint64(elements) <= uint64(asked.Room)
	w.ULong(asked.Type)
	w.Bool(asked.Length && fits)
	w.Bool(true)
	if array {
		w.Count(elements)
	}
	if asked.Length && fits {
		w.b = append(w.b, value...)
	}
	return fits || !asked.Length
}

// ULongValue is the encoded value of a CK_ULONG, and BoolValue of a CK_BBOOL.
func ULongValue(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// BoolValue is the encoded value of a CK_BBOOL.
func BoolValue(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}
