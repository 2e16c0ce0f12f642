package main

import (
	"strings"
	"unicode"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// plain is a name without what people spell differently: case, spaces and punctuation.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// Values of the standard's enumerations, and of vendor extensions, lie in these ranges.
const (
	lastStandard   = 0x200
	firstExtension = 0x80000001
	lastExtension  = 0x800000FF
)

// enumerated finds the value that a name has under a tag: "get-attributes" and "GetAttributes" alike.
func enumerated(tag ttlv.Tag, name string) (uint32, bool) {
	want := plain(name)
	for _, r := range [][2]uint32{{1, lastStandard}, {firstExtension, lastExtension}} {
		for v := r[0]; v <= r[1]; v++ {
			if known := ttlv.EnumName(tag, v); known != "" && plain(known) == want {
				return v, true
			}
		}
	}
	return 0, false
}

// named is enumerated for one type of enumeration.
func named[T ~uint32](tag ttlv.Tag, what, name string) (T, error) {
	v, ok := enumerated(tag, name)
	if !ok {
		return 0, misused("unknown %s %q", what, name)
	}
	return T(v), nil
}

// spelled writes a name of the standard as the command line does: GetAttributes is get-attributes, MACVerify mac-verify.
func spelled(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if r == '_' {
			r = '-'
		}
		begins := i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// operations reads the names of operations.
func operations(names []string) ([]kmip.Operation, error) {
	var list []kmip.Operation
	for _, name := range names {
		op, err := named[kmip.Operation](ttlv.TagOperation, "operation", name)
		if err != nil {
			return nil, err
		}
		list = append(list, op)
	}
	return list, nil
}

// spelledAll writes the names of operations.
func spelledAll(ops []kmip.Operation) []string {
	list := make([]string, len(ops))
	for i, op := range ops {
		list[i] = spelled(op.String())
	}
	return list
}
