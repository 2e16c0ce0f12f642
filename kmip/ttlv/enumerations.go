package ttlv

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// named is one value of an enumeration, or one bit of a mask, and its normalized name.
type named struct {
	value uint32
	name  string
}

// EnumName returns the normalized name of value v of the enumeration under t, such as AES under CryptographicAlgorithm, or
// "" when it has none. A tag that holds a tag, such as AttributeReference, answers with the name of the tag.
func EnumName(t Tag, v uint32) string {
	if holdsTag(t) {
		return Tag(v).name()
	}
	names := enumeration(enumTag(t))
	for _, i := range [...]uint32{v - 1, v} { // most begin at 1 or 0 and leave nothing out
		if i < uint32(len(names)) && names[i].value == v {
			return names[i].name
		}
	}
	i, found := slices.BinarySearchFunc(names, v, func(n named, v uint32) int {
		switch {
		case n.value < v:
			return -1
		case n.value > v:
			return 1
		}
		return 0
	})
	if !found {
		return ""
	}
	return names[i].name
}

// EnumValue returns the value under t of a normalized name or of the hexadecimal form 0x80000001, and false when name is
// neither. Names that only an older version of the standard spells so are known too.
func EnumValue(t Tag, name string) (uint32, bool) {
	if holdsTag(t) {
		tag, ok := TagByName(name)
		return uint32(tag), ok
	}
	if v, ok := enumValues()[enumKey{enumTag(t), name}]; ok {
		return v, true
	}
	return parseHex(name)
}

// IsMask says whether the Integer under t is a bit mask, which XML and JSON write by the names of its bits (KMIP 2.1 §12).
func IsMask(t Tag) bool {
	return t == TagCryptographicUsageMask || t == TagStorageStatusMask || t == TagProtectionStorageMask
}

// FormatMask returns the names of the bits of v, lowest first, between them sep: a space in XML, "|" in JSON. Bits without
// a name come last as one hexadecimal number; no bits at all is 0.
func FormatMask(t Tag, v int32, sep string) string {
	if v == 0 {
		return "0"
	}
	var words []string
	rest := uint32(v)
	if IsMask(t) {
		for _, bit := range enumeration(t) {
			if rest&bit.value != 0 {
				words = append(words, bit.name)
				rest &^= bit.value
			}
		}
	}
	if rest != 0 {
		words = append(words, fmt.Sprintf("0x%08X", rest))
	}
	return strings.Join(words, sep)
}

// ParseMask returns the mask that s spells under t: names of bits, hexadecimal and decimal numbers, parted by spaces or
// "|". It returns false when a word is none of these or there is no word.
func ParseMask(t Tag, s string) (int32, bool) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == '|' || r == ' ' || r == '\t' || r == '\n' })
	if !IsMask(t) || len(words) == 0 {
		return 0, false
	}
	var mask uint32
	for _, word := range words {
		bits, ok := EnumValue(t, word)
		if !ok {
			n, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				return 0, false
			}
			bits = uint32(n)
		}
		mask |= bits
	}
	return int32(mask), true
}

// enumeration returns the values under t in ascending order, nil when t holds none.
func enumeration(t Tag) []named {
	if t < firstTag || t >= firstTag+Tag(len(enumerations)) {
		return nil
	}
	return enumerations[t-firstTag]
}

// enumTag returns the tag that lends t its values: most tags are their own.
func enumTag(t Tag) Tag {
	switch t {
	case TagMaskGeneratorHashingAlgorithm:
		return TagHashingAlgorithm
	case TagGrantedOperation:
		return TagOperation
	case TagLinkedObjectIdentifier, TagPrivateKeyUniqueIdentifier, TagPublicKeyUniqueIdentifier,
		TagReplacedUniqueIdentifier, TagCertificateRequestUniqueIdentifier:
		return TagUniqueIdentifier
	}
	return t
}

// holdsTag says whether an Enumeration under t is itself the number of a tag (KMIP 2.1 §11.56).
func holdsTag(t Tag) bool {
	return t == TagAttributeReference || t == TagTag
}

type enumKey struct {
	tag  Tag
	name string
}

var enumValues = sync.OnceValue(func() map[enumKey]uint32 {
	values := make(map[enumKey]uint32)
	for _, n := range olderNames {
		values[enumKey{n.tag, n.name}] = n.value
	}
	for i, names := range enumerations {
		for _, n := range names {
			values[enumKey{firstTag + Tag(i), n.name}] = n.value
		}
	}
	return values
})

// parseHex reads the form 0x80000001, of one to eight digits.
func parseHex(s string) (uint32, bool) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	return uint32(n), err == nil
}
