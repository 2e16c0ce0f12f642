package main

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// attributeNamed finds an attribute by a name that a user gives it.
func attributeNamed(name string) (kmip.Attribute, error) {
	switch plain(name) {
	case "tag":
		return kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorClient, Name: kmip.AttributeTag}, nil
	case "wrappingkeyid":
		return kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorClient, Name: kmip.AttributeWrappingKeyID}, nil
	case "protection":
		return kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorServer, Name: kmip.AttributeProtection}, nil
	}
	if vendor, rest, ok := strings.Cut(name, ":"); ok && vendor != "" && rest != "" {
		return kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: vendor, Name: rest}, nil
	}
	for _, custom := range []string{kmip.VendorClient, kmip.VendorServer} { // as KMIP 1.x spells them
		if rest, ok := strings.CutPrefix(name, custom+"-"); ok && rest != "" {
			return kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: custom, Name: rest}, nil
		}
	}
	for i := range kmip.AttributeRules {
		if plain(kmip.AttributeRules[i].Name) == plain(name) {
			return kmip.Attribute{Tag: kmip.AttributeRules[i].Tag}, nil
		}
	}
	return kmip.Attribute{}, misused("unknown attribute %q", name)
}

// attributeOf reads an attribute with a value. The type of the value is the first of those that the text can be written in
// and that the attribute can have.
func attributeOf(name, text string) (kmip.Attribute, error) {
	a, err := attributeNamed(name)
	if err != nil {
		return a, err
	}
	switch a.Tag {
	case ttlv.TagAttribute:
		a.Value = text
		return a, nil
	case ttlv.TagName:
		a.Value = kmip.Name{NameValue: text, NameType: kmip.NameTypeUninterpretedTextString}
		return a, nil
	}
	for _, write := range writers {
		var e ttlv.Encoder
		e.Reset(nil, ttlv.V2_1)
		mark := e.Begin(ttlv.TagAttributes)
		if !write(&e, a.Tag, text) {
			continue
		}
		e.End(mark)
		if list, err := kmip.DecodeAttributes(e.Bytes()); err == nil && len(list) == 1 {
			return list[0], nil
		}
	}
	return a, misused("%q is no value of the attribute %v", text, a)
}

// writers write a text as a value of each type, if it can be one.
var writers = []func(e *ttlv.Encoder, tag ttlv.Tag, text string) bool{
	writeEnumeration, writeMask, writeBoolean, writeTime, writeInterval, writeInteger, writeBytes, writeText, writeStructure,
}

func writeEnumeration(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	v, ok := enumerated(tag, text)
	if ok {
		e.Enum(tag, v)
	}
	return ok
}

// writeMask writes names of bits with commas between them.
func writeMask(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	if !ttlv.IsMask(tag) {
		return false
	}
	mask, ok := maskNamed(tag, text)
	if ok {
		e.Int(tag, mask)
	}
	return ok
}

// maskNamed is the mask of names of bits with commas between them.
func maskNamed(tag ttlv.Tag, text string) (mask int32, ok bool) {
	for name := range strings.SplitSeq(text, ",") {
		found := false
		for bit := int32(1); bit > 0; bit <<= 1 {
			if plain(ttlv.FormatMask(tag, bit, "")) == plain(name) {
				mask, found = mask|bit, true
			}
		}
		if !found {
			return 0, false
		}
	}
	return mask, true
}

func writeBoolean(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	if text != "true" && text != "false" {
		return false
	}
	e.Bool(tag, text == "true")
	return true
}

func writeTime(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	t, err := time.Parse(time.RFC3339, text)
	if text == "now" {
		t, err = time.Now(), nil
	}
	if err == nil {
		e.Time(tag, t)
	}
	return err == nil
}

func writeInterval(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	n, err := strconv.ParseUint(text, 10, 32)
	if err == nil {
		e.Interval(tag, ttlv.Interval(n))
	}
	return err == nil
}

func writeInteger(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	n, err := strconv.ParseInt(text, 10, 32)
	if err == nil {
		e.Int(tag, int32(n))
	}
	return err == nil
}

func writeBytes(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	b, err := hex.DecodeString(text)
	if err == nil {
		e.ByteString(tag, b)
	}
	return err == nil
}

func writeText(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	e.Text(tag, text)
	return true
}

// writeStructure writes the JSON encoding of an item of that tag.
func writeStructure(e *ttlv.Encoder, tag ttlv.Tag, text string) bool {
	n, err := ttlv.ParseJSON([]byte(text), nil)
	if err != nil || n.Tag != tag {
		return false
	}
	e.Raw(n.Append(nil))
	return true
}

// jsonOf is the value of an attribute as the answers in JSON have it.
func jsonOf(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case []byte:
		return hex.EncodeToString(v)
	case *big.Int:
		return v.String()
	case kmip.Enumeration:
		return fmt.Sprintf("0x%08X", uint32(v))
	case kmip.CryptographicUsageMask:
		return strings.Split(v.String(), "|")
	case kmip.ProtectionStorageMask:
		return strings.Split(v.String(), "|")
	case fmt.Stringer:
		return v.String()
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Struct {
		fields := map[string]any{}
		eachField(r, func(name string, value any) { fields[name] = jsonOf(value) })
		return fields
	}
	return v
}

// textOf is the value of an attribute as people read it.
func textOf(v any) string {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Struct {
		if _, ok := v.(time.Time); !ok {
			var fields []string
			eachField(r, func(name string, value any) { fields = append(fields, name+"="+textOf(value)) })
			return strings.Join(fields, ", ")
		}
	}
	switch v := jsonOf(v).(type) {
	case []string:
		return strings.Join(v, ", ")
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// eachField visits the fields of a structure that are set.
func eachField(r reflect.Value, visit func(name string, value any)) {
	for i := range r.NumField() {
		f := r.Field(i)
		if f.IsZero() {
			continue
		}
		if f.Kind() == reflect.Pointer && f.Type() != reflect.TypeFor[*big.Int]() {
			f = f.Elem()
		}
		visit(r.Type().Field(i).Name, f.Interface())
	}
}
