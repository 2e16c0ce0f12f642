package kmip

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// indexes are the Attribute Indexes of the instances of a list.
func indexes(a Attributes) (list []int32) {
	for i := range a {
		list = append(list, a.IndexOf(i))
	}
	return list
}

// stored is a list after it was kept and read again.
func stored(t *testing.T, a Attributes) Attributes {
	data, err := a.Encode()
	require.NoError(t, err)
	a, err = DecodeAttributes(data)
	require.NoError(t, err)
	return a
}

// TestAttributeIndexNeverChanges follows the indexes of instances while others come and go: KMIP 1.4 §2.1.1.
func TestAttributeIndexNeverChanges(t *testing.T) {
	group := func(s string) Attribute { return Attribute{Tag: ttlv.TagObjectGroup, Value: s} }
	custom := func(s string) Attribute { return Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Name: s, Value: s} }
	var a Attributes
	for _, x := range []Attribute{group("0"), custom("a"), group("1"), group("2"), custom("b"), group("3")} {
		a = stored(t, a.Add(x))
	}
	require.Equal(t, []int32{0, 0, 1, 2, 0, 3}, indexes(a))
	a = stored(t, a.Remove(2))
	require.Equal(t, []int32{0, 0, 2, 0, 3}, indexes(a))
	a = stored(t, a.Remove(0))
	require.Equal(t, []int32{0, 2, 0, 3}, indexes(a))
	a = stored(t, a.Replace(1, group("two")))
	require.Equal(t, []int32{0, 2, 0, 3}, indexes(a))
	require.Equal(t, "two", a[1].Value)
	a = stored(t, a.Add(group("4")).Plus(ttlv.TagObjectGroup, "5"))
	require.Equal(t, []int32{0, 2, 0, 3, 4, 5}, indexes(a))
	require.Equal(t, a, stored(t, a))
}
