package ttlv

import (
	"math/big"
	"time"
)

// Node is an item and all that is in it, of any tag and type. Value is, by Type:
//
//	Integer int32, LongInteger int64, BigInteger *big.Int, Enumeration uint32,
//	Boolean bool, TextString string, ByteString []byte, DateTime time.Time,
//	Interval Interval, DateTimeExtended DateTimeExtended, Structure nil
//
// and a Structure has Children. The zero Node is no item.
type Node struct {
	Tag      Tag
	Type     Type
	Value    any
	Children []Node
}

// Parse reads the one item in data as a tree. It is strict: what Append would not
// write in the same bytes is malformed. Strings and byte slices borrow data.
func Parse(data []byte, l *Limits) (Node, error) {
	var d Decoder
	d.Reset(V2_1, l, false)
	it, err := d.only(data)
	if err != nil {
		return Node{}, err
	}
	return d.node(it)
}

// node returns the item as a tree.
func (d *Decoder) node(it Item) (Node, error) {
	n := Node{Tag: it.Tag, Type: it.Type}
	if it.Type == TypeStructure {
		err := d.children(&n, it.Body)
		if err != nil {
			err = it.within(err)
		}
		return n, err
	}
	if err := it.canonical(); err != nil {
		return Node{}, err
	}
	var err error
	n.Value, err = it.value()
	return n, err
}

// children adds to n the items in rest, one level deeper.
func (d *Decoder) children(n *Node, rest []byte) error {
	if d.depth <= 0 {
		return exceeded("more than %d structures deep", d.limits.Depth)
	}
	d.depth--
	defer func() { d.depth++ }()
	c := Children{rest: rest, d: d}
	n.Children = make([]Node, 0, d.number(rest))
	for it, ok := c.Next(); ok; it, ok = c.Next() {
		child, err := d.node(it)
		if err != nil {
			return err
		}
		n.Children = append(n.Children, child)
	}
	return c.Err()
}

// number counts the items in rest, up to the first that is malformed or over the
// limit.
func (d *Decoder) number(rest []byte) (n int) {
	for n < d.items {
		_, size := measure(rest)
		if size == 0 {
			break
		}
		n++
		rest = rest[size:]
	}
	return n
}

// value returns the value of an item that is not a structure.
func (it *Item) value() (v any, err error) {
	switch it.Type {
	case TypeInteger:
		v, err = it.Int()
	case TypeLongInteger:
		v, err = it.Long()
	case TypeBigInteger:
		v, err = it.BigInt()
	case TypeEnumeration:
		v, err = it.Enum()
	case TypeBoolean:
		v, err = it.Bool()
	case TypeTextString:
		v, err = it.Text()
	case TypeByteString:
		v, err = it.Bytes()
	case TypeDateTime:
		v, err = it.Time()
	case TypeInterval:
		v, err = it.Interval()
	case TypeDateTimeExtended:
		var n int64
		n, err = it.long(TypeDateTimeExtended)
		v = DateTimeExtended(n)
	default:
		err = it.fault("%v is not a type", it.Type)
	}
	return v, err
}

// canonical returns an error if the item's value has another, usual encoding.
func (it *Item) canonical() error {
	for _, b := range it.Raw[headerSize+len(it.Body):] {
		if b != 0 {
			return it.fault("padded with other than zeros")
		}
	}
	switch b := it.Body; {
	case it.Type == TypeBoolean:
		if n, _ := it.long(TypeBoolean); n != 0 && n != 1 {
			return it.fault("a Boolean neither 0 nor 1")
		}
	case it.Type == TypeBigInteger && len(b) > 8:
		fill := byte(int8(b[8]) >> 7)
		for _, x := range b[:8] {
			if x != fill {
				return nil
			}
		}
		return it.fault("a BigInteger longer than need be")
	}
	return nil
}

// Append encodes n at the end of dst. It panics if the Go type of a value is not
// the one its Type asks for.
func (n Node) Append(dst []byte) []byte {
	var e Encoder
	e.Reset(dst, V2_1)
	n.encode(&e)
	return e.Bytes()
}

// encode appends n.
func (n *Node) encode(e *Encoder) {
	switch n.Type {
	case TypeStructure:
		mark := e.Begin(n.Tag)
		for i := range n.Children {
			n.Children[i].encode(e)
		}
		e.End(mark)
	case TypeInteger:
		e.Int(n.Tag, n.Value.(int32))
	case TypeLongInteger:
		e.Long(n.Tag, n.Value.(int64))
	case TypeBigInteger:
		e.BigInt(n.Tag, n.Value.(*big.Int))
	case TypeEnumeration:
		e.Enum(n.Tag, n.Value.(uint32))
	case TypeBoolean:
		e.Bool(n.Tag, n.Value.(bool))
	case TypeTextString:
		e.Text(n.Tag, n.Value.(string))
	case TypeByteString:
		e.ByteString(n.Tag, n.Value.([]byte))
	case TypeDateTime:
		e.Time(n.Tag, n.Value.(time.Time))
	case TypeInterval:
		e.Interval(n.Tag, n.Value.(Interval))
	case TypeDateTimeExtended:
		e.TimeExtended(n.Tag, n.Value.(DateTimeExtended).Time())
	default:
		panic("ttlv: a node of type " + n.Type.String())
	}
}
