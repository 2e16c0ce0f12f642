package ttlv

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Tag is the three-byte number that says what a TTLV item is (KMIP 2.1 §10.1.1).
// Its first byte is 0x42 for tags of the standard and 0x54 for extensions.
type Tag uint32

const (
	firstTag       Tag = 0x420000
	firstVendorTag Tag = 0x540000
)

// String returns the normalized name the XML and JSON encodings use, such as
// UniqueIdentifier, or the hexadecimal form 0x54ABCD of a tag without a name.
func (t Tag) String() string {
	if name := t.name(); name != "" {
		return name
	}
	return fmt.Sprintf("0x%06X", uint32(t))
}

// name returns the normalized name, or "" when t has none.
func (t Tag) name() string {
	switch {
	case t >= firstTag && t < firstTag+Tag(len(tagNames)):
		return tagNames[t-firstTag]
	case t >= firstVendorTag && t < firstVendorTag+Tag(len(vendorTagNames)):
		return vendorTagNames[t-firstVendorTag]
	}
	return ""
}

// TagByName returns the tag of a normalized name or of the hexadecimal form
// 0x42ABCD or 0x54ABCD, and false when name is neither.
func TagByName(name string) (Tag, bool) {
	if t, ok := tagsByName()[name]; ok {
		return t, true
	}
	digits, ok := strings.CutPrefix(name, "0x")
	if !ok || len(digits) != 6 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 24)
	if err != nil || n>>16 != 0x42 && n>>16 != 0x54 {
		return 0, false
	}
	return Tag(n), true
}

var tagsByName = sync.OnceValue(func() map[string]Tag {
	tags := make(map[string]Tag, len(tagNames)+len(vendorTagNames))
	addTags(tags, firstTag, tagNames[:])
	addTags(tags, firstVendorTag, vendorTagNames[:])
	return tags
})

// addTags puts into tags every named entry of names, the first being first.
func addTags(tags map[string]Tag, first Tag, names []string) {
	for i, name := range names {
		if name != "" {
			tags[name] = first + Tag(i)
		}
	}
}
