package kmip

import (
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// TestNothingReachesOtherVersions encodes every attribute, with every value of every enumeration in it, for a client of each
// version, and looks at each tag and each value that arrives.
func TestNothingReachesOtherVersions(t *testing.T) {
	all := everyAttribute(t)
	for _, v := range Versions {
		t.Run(v.String(), func(t *testing.T) { requireOnly(t, v, all, nil, nil) })
	}
}

// TestOnlyTheStandardReachesClients does so with the tags and values that the standard's text has.
func TestOnlyTheStandardReachesClients(t *testing.T) {
	all := everyAttribute(t)
	eachText(t, func(t *testing.T, v ttlv.Version, tables []specTable) {
		tags := tagsIn(tables)
		require.Greater(t, len(tags), 100)
		requireOnly(t, v, all, tags, enumerationsIn(tables))
	})
}

// requireOnly encodes attributes as the server does for a client of version v, and requires that tags and values are defined by it
// and, where they are given, in the sets. Where a version defines an attribute, some value of it arrives.
func requireOnly(t *testing.T, v ttlv.Version, all Attributes, tags map[ttlv.Tag]bool, enumerations map[ttlv.Tag]map[uint32]bool) {
	arrived := map[ttlv.Tag]bool{}
	for _, a := range all {
		list := Attributes{a}
		var e ttlv.Encoder
		e.Reset(nil, v)
		e.BeStrict()
		require.NoError(t, list.MarshalTTLV(&e, ttlv.TagAttributes), "%v", a)
		n, err := ttlv.Parse(e.Bytes(), nil)
		require.NoError(t, err)
		if len(n.Children) > 0 {
			arrived[a.Tag] = true
			check(t, v, n.Children[0], a.Tag, tags, enumerations)
		}
	}
	for i := range AttributeRules {
		r := &AttributeRules[i]
		require.Equal(t, r.Since <= v && v <= r.Until, arrived[r.Tag], "%s", r.Name)
	}
}

// check looks at an item and all that is in it; what holds the value of an attribute in 1.x stands for the attribute's tag.
func check(t *testing.T, v ttlv.Version, n ttlv.Node, of ttlv.Tag, tags map[ttlv.Tag]bool, enumerations map[ttlv.Tag]map[uint32]bool) {
	require.True(t, tags == nil || tags[n.Tag], "%v has no tag %v, which is in %v", v, n.Tag, of)
	tag := n.Tag
	if tag == ttlv.TagAttributeValue {
		tag = of
	}
	if value, ok := n.Value.(uint32); ok && n.Type == ttlv.TypeEnumeration {
		require.True(t, ttlv.Defined(tag, value, v), "%v %s", tag, ttlv.EnumName(tag, value))
		if named, ok := enumerations[tag]; ok {
			require.True(t, named[value], "%v has no %v %s", v, tag, ttlv.EnumName(tag, value))
		}
	}
	if mask, ok := n.Value.(int32); ok && ttlv.IsMask(tag) {
		require.NotZero(t, mask)
		require.Equal(t, mask, ttlv.DefinedMask(tag, mask, v), "%v", tag)
	}
	for _, c := range n.Children {
		check(t, v, c, of, tags, enumerations)
	}
}

var tagValue = regexp.MustCompile(`^(?:0x)?(42[0-9A-F]{4})(?: \(deprecated.*)?$`)

// tagsIn lists the tags that a version's text defines.
func tagsIn(tables []specTable) map[ttlv.Tag]bool {
	found := map[ttlv.Tag]bool{}
	for _, table := range tables {
		for _, row := range table.rows {
			if len(row) < 2 || strings.Contains(row[0], "Reserved") {
				continue
			}
			if m := tagValue.FindStringSubmatch(row[1]); m != nil {
				n, _ := strconv.ParseUint(m[1], 16, 32)
				found[ttlv.Tag(n)] = true
			}
		}
	}
	return found
}

// everyAttribute lists each attribute with values that have all fields, and each value of each enumeration.
func everyAttribute(t *testing.T) (all Attributes) {
	for i := range AttributeRules {
		r := &AttributeRules[i]
		for _, v := range samples(t, reflect.TypeOf(r.Zero), r.Tag) {
			require.True(t, r.is(v), "%s: %T", r.Name, v)
			all = append(all, Attribute{Tag: r.Tag, Value: v})
		}
	}
	for _, v := range []any{int32(1), int64(1), big.NewInt(1), Enumeration(7), true, "text", []byte{1}, time.Unix(1, 0), ttlv.Interval(1), ttlv.DateTimeExtended(1)} {
		all = append(all, Attribute{Tag: ttlv.TagAttribute, Vendor: VendorClient, Name: "a", Value: v})
	}
	return all
}

// samples makes values of a type as it stands under a tag.
func samples(t *testing.T, typ reflect.Type, tag ttlv.Tag) (all []any) {
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return []any{time.Unix(1_700_000_000, 0).UTC()}
	case typ.Kind() == reflect.Struct:
		return structures(t, typ)
	case typ.Kind() == reflect.Pointer:
		for _, v := range samples(t, typ.Elem(), tag) {
			p := reflect.New(typ.Elem())
			p.Elem().Set(reflect.ValueOf(v))
			all = append(all, p.Interface())
		}
		return all
	case typ.Kind() == reflect.Uint32 && typ != reflect.TypeFor[ttlv.Interval]():
		for n := uint32(1); n < 0x200; n++ {
			if ttlv.EnumName(tag, n) != "" {
				all = append(all, reflect.ValueOf(n).Convert(typ).Interface())
			}
		}
		if all == nil { // all its values are vendors'
			all = append(all, reflect.ValueOf(uint32(0x80000001)).Convert(typ).Interface())
		}
		return all
	case typ.Kind() == reflect.String:
		return []any{reflect.ValueOf("text").Convert(typ).Interface()}
	case typ == reflect.TypeFor[[]byte]():
		return []any{[]byte{1, 2, 3}}
	case typ == reflect.TypeFor[[][]byte]():
		return []any{[][]byte{{1}}}
	case typ == reflect.TypeFor[[]string]():
		return []any{[]string{"text"}}
	case typ.Kind() == reflect.Bool:
		return []any{true}
	case ttlv.IsMask(tag):
		return []any{reflect.ValueOf(int32(0x00FFFFFF)).Convert(typ).Interface()}
	}
	require.Contains(t, []reflect.Kind{reflect.Int32, reflect.Int64, reflect.Uint32}, typ.Kind(), typ)
	return []any{reflect.ValueOf(1).Convert(typ).Interface()}
}

// structures makes values with all fields, once for each sample of each field.
func structures(t *testing.T, typ reflect.Type) (all []any) {
	full := reflect.New(typ).Elem()
	fields := make([][]any, typ.NumField())
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("ttlv"), ",")
		tag, ok := ttlv.TagByName(name)
		require.True(t, ok, "%v.%s", typ, typ.Field(i).Name)
		fields[i] = samples(t, typ.Field(i).Type, tag)
		full.Field(i).Set(reflect.ValueOf(fields[i][0]))
	}
	for i, values := range fields {
		for _, v := range values {
			one := reflect.New(typ).Elem()
			one.Set(full)
			one.Field(i).Set(reflect.ValueOf(v))
			all = append(all, one.Interface())
		}
	}
	return all
}

// TestReasonsOfEveryVersion shows that a client hears no Result Reason that its version does not define.
func TestReasonsOfEveryVersion(t *testing.T) {
	for _, v := range Versions {
		for n := ResultReason(1); n <= ResultReasonGeneralFailure; n++ {
			for op := OperationCreate; op <= OperationPing; op++ {
				reason := n.For(op, v)
				require.True(t, ttlv.Defined(ttlv.TagResultReason, uint32(reason), v), "%v: %v becomes %v", v, n, reason)
			}
		}
	}
	require.Equal(t, ResultReasonIllegalOperation, ResultReasonAttributeSingleValued.For(OperationAddAttribute, ttlv.V1_2))
	require.Equal(t, ResultReasonInvalidField, ResultReasonAttributeSingleValued.For(OperationCreate, ttlv.V1_2))
}
