package ttlv

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// fieldTag is what the ttlv tag of a structure's field says.
//
//	UniqueIdentifier                              every version
//	IVCounterNonce,1.2+,omitempty                 1.2 and later; zero is absent
//	TemplateAttribute,1.0-1.4|Attributes,2.0+     one name or the other
//	,inline                                       the fields of an embedded structure
//	-                                             not in messages
type fieldTag struct {
	names     []versionedTag
	skip      bool
	inline    bool
	omitEmpty bool
	partial   bool
}

// versionedTag is a tag with the versions, first to last, that have it.
type versionedTag struct {
	tag         Tag
	first, last Version
}

// in tells whether version v has the tag.
func (t versionedTag) in(v Version) bool { return t.first <= v && v <= t.last }

// tag returns the first alternative that version v has.
func (f *fieldTag) tag(v Version) (Tag, bool) {
	for _, n := range f.names {
		if n.in(v) {
			return n.tag, true
		}
	}
	return 0, false
}

// parseFieldTag reads the ttlv tag of f. A field that names no tag has the tag of
// its own name.
func parseFieldTag(f reflect.StructField) (fieldTag, error) {
	text := f.Tag.Get("ttlv")
	if text == "-" || !f.IsExported() && !f.Anonymous {
		return fieldTag{skip: true}, nil
	}
	var ft fieldTag
	for alternative := range strings.SplitSeq(text, "|") {
		name, options, _ := strings.Cut(alternative, ",")
		n := versionedTag{first: 0, last: ^Version(0)}
		if err := ft.options(&n, options); err != nil {
			return ft, err
		}
		if ft.inline {
			return ft, nil
		}
		if name == "" {
			name = f.Name
		}
		tag, ok := TagByName(name)
		if !ok {
			return ft, fmt.Errorf("no tag is called %q", name)
		}
		n.tag = tag
		ft.names = append(ft.names, n)
	}
	return ft, nil
}

// options reads the comma-separated options of one alternative into ft and n.
func (ft *fieldTag) options(n *versionedTag, text string) error {
	if text == "" {
		return nil
	}
	for option := range strings.SplitSeq(text, ",") {
		var err error
		switch option {
		case "omitempty":
			ft.omitEmpty = true
		case "partial":
			ft.partial = true
		case "inline":
			ft.inline = true
		default:
			n.first, n.last, err = parseRange(option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseRange reads "1.4+", "1.0-1.4" or "1.2".
func parseRange(s string) (first, last Version, err error) {
	if from, ok := strings.CutSuffix(s, "+"); ok {
		first, err = parseVersion(from)
		return first, ^Version(0), err
	}
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		to = from
	}
	if first, err = parseVersion(from); err != nil {
		return 0, 0, err
	}
	if last, err = parseVersion(to); err == nil && last < first {
		err = fmt.Errorf("the versions %s run backwards", s)
	}
	return first, last, err
}

// parseVersion reads "1.4"; it must be a version this package knows.
func parseVersion(s string) (Version, error) {
	major, minor, _ := strings.Cut(s, ".")
	m, err := strconv.ParseUint(major, 10, 8)
	n, err2 := strconv.ParseUint(minor, 10, 8)
	v := Version(m<<8 | n)
	if err != nil || err2 != nil || versions[v.index()] != v {
		return 0, fmt.Errorf("%q is neither an option nor a version", s)
	}
	return v, nil
}
