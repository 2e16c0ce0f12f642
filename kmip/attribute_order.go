package kmip

import (
	"cmp"
	"slices"

	"strongroom/kmip/ttlv"
)

// InOrder is the list as an answer has it that shows all attributes of an object: those of vendors, what the object is, and the
// rest by name. It is the order of the profiles' test cases, who put the Key Format Type behind the Digest. Instances of one
// attribute stay in their own.
func (a Attributes) InOrder() Attributes {
	list := slices.Clone(a)
	slices.SortStableFunc(list, func(x, y Attribute) int { return cmp.Compare(placeOf[x.Tag], placeOf[y.Tag]) })
	return list
}

// placeOf is the place of each attribute of the standard in that order, from 1; vendors' have 0.
var placeOf = places()

func places() map[ttlv.Tag]int {
	first := []ttlv.Tag{ttlv.TagUniqueIdentifier, ttlv.TagShortUniqueIdentifier, ttlv.TagObjectType, ttlv.TagCryptographicAlgorithm, ttlv.TagCryptographicLength}
	rules := slices.SortedFunc(slices.Values(AttributeRules), func(x, y AttributeRule) int {
		i, j := slices.Index(first, x.Tag), slices.Index(first, y.Tag)
		return cmp.Or(cmp.Compare(uint(i), uint(j)), cmp.Compare(sortName(x), sortName(y)))
	})
	m := make(map[ttlv.Tag]int, len(rules))
	for i, r := range rules {
		m[r.Tag] = i + 1
	}
	return m
}

// sortName is the name that an attribute is sorted by.
func sortName(r AttributeRule) string {
	if r.Tag == ttlv.TagKeyFormatType {
		return "Digest, Key Format Type"
	}
	return r.Name
}
