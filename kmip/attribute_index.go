package kmip

import (
	"bytes"

	"strongroom/kmip/ttlv"
)

// IndexOf is the Attribute Index that instance number i of the list has in KMIP 1.x: the one that it is kept under, or how many
// instances of the attribute stand before it.
func (a Attributes) IndexOf(i int) (n int32) {
	if a[i].place != 0 {
		return a[i].place - 1
	}
	for _, x := range a[:i] {
		if x.Is(a[i]) {
			n = max(n+1, x.place)
		}
	}
	return n
}

// Add is the list with one more instance, which gets the index after the last one that the attribute has.
func (a Attributes) Add(x Attribute) Attributes {
	x.place = 0
	all := append(a[:len(a):len(a)], x)
	all[len(a)].place = all.IndexOf(len(a)) + 1
	return all
}

// Replace is the list with another value for instance number i, under the index that it had.
func (a Attributes) Replace(i int, x Attribute) Attributes {
	x.place = a.IndexOf(i) + 1
	all := append(Attributes(nil), a...)
	all[i] = x
	return all
}

// Remove is the list without instance number i; those behind it keep their indexes.
func (a Attributes) Remove(i int) Attributes {
	all := make(Attributes, 0, len(a))
	for j, x := range a {
		if x.Is(a[i]) {
			x.place = a.IndexOf(j) + 1
		}
		if j != i {
			all = append(all, x)
		}
	}
	return all
}

// Encode is the list as a KMIP 2.1 Attributes structure, the form in which it is kept: with the Attribute Index of KMIP 1.x before
// an instance whose index is not the number of those before it. An index never changes when other instances come and go (KMIP
// 1.4 §2.1.1).
func (a Attributes) Encode() ([]byte, error) {
	return ttlv.Append(nil, ttlv.V2_1, ttlv.TagAttributes, &kept{Attributes: a})
}

// DecodeAttributes reads what Encode wrote. The list does not borrow data.
func DecodeAttributes(data []byte) (Attributes, error) {
	var k kept
	err := ttlv.Unmarshal(bytes.Clone(data), ttlv.V2_1, ttlv.TagAttributes, &k, nil)
	return k.Attributes, err
}

// DecodeCompared reads of what Encode wrote only the Object Type, and what Matches and InStorage compare with what is wanted. The
// list borrows data.
func DecodeCompared(data []byte, wanted Attributes) (Attributes, error) {
	k := kept{wanted: wanted}
	err := ttlv.Unmarshal(data, ttlv.V2_1, ttlv.TagAttributes, &k, nil)
	return k.Attributes, err
}

// kept is a list in the form in which it is kept.
type kept struct {
	Attributes
	wanted Attributes // nil to decode all
}

// compares says whether an attribute is read: the wanted ones, and those that make type, state and storage.
func (k *kept) compares(tag ttlv.Tag) bool {
	switch tag {
	case ttlv.TagObjectType, ttlv.TagState, ttlv.TagActivationDate, ttlv.TagDeactivationDate, ttlv.TagArchiveDate:
		return true
	case ttlv.TagAttribute: // says whether a token wrapped the object, which makes its Protection Storage Mask
		return k.wanted.Contains(tag) || k.wanted.Contains(ttlv.TagProtectionStorageMask)
	}
	return k.wanted.Contains(tag)
}

// MarshalTTLV writes the structure.
func (k *kept) MarshalTTLV(e *ttlv.Encoder, tag ttlv.Tag) error {
	mark := e.Begin(tag)
	var next nextIndex
	for _, x := range k.Attributes {
		if r := RuleOf(x.Tag); r != nil && r.Multiple && next.take(x) {
			e.Int(ttlv.TagAttributeIndex, x.place-1)
		}
		if err := x.encode(e); err != nil {
			return err
		}
	}
	e.End(mark)
	return nil
}

// UnmarshalTTLV reads the structure.
func (k *kept) UnmarshalTTLV(d *ttlv.Decoder, it ttlv.Item) error {
	children, err := d.Children(it)
	if err != nil {
		return err
	}
	if k.wanted == nil {
		k.Attributes = make(Attributes, 0, children.Len())
	}
	place := int32(0)
	for {
		c, ok := children.Next()
		if !ok {
			return children.Err()
		}
		if c.Tag == ttlv.TagAttributeIndex {
			index, err := c.Int()
			if err != nil {
				return err
			}
			place = index + 1
			continue
		}
		if k.wanted != nil && !k.compares(c.Tag) {
			place = 0
			continue
		}
		if err := k.unmarshalOne(d, c); err != nil {
			return err
		}
		k.Attributes[len(k.Attributes)-1].place, place = place, 0
	}
}

// nextIndex counts the instances of each attribute: the last one, its place that of the next index.
type nextIndex []Attribute

// take gives x the next index, or its own where that is greater. It says whether it took its own.
func (n *nextIndex) take(x Attribute) bool {
	for i := range *n {
		if y := &(*n)[i]; y.Is(x) {
			own := x.place-1 > y.place
			if own {
				y.place = x.place - 1
			}
			y.place++
			return own
		}
	}
	own := x.place > 1
	*n = append(*n, Attribute{Tag: x.Tag, Vendor: x.Vendor, Name: x.Name, place: max(1, x.place)})
	return own
}
