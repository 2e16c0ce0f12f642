package kmip

import (
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// sample makes a value of a type, another one for each n.
func sample(t reflect.Type, n int) reflect.Value {
	v := reflect.New(t).Elem()
	switch {
	case t == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(int64(1_700_000_000+n), 0).UTC()))
	case t == reflect.TypeFor[*big.Int]():
		v.Set(reflect.ValueOf(big.NewInt(int64(n))))
	case v.CanInt():
		v.SetInt(int64(n))
	case v.CanUint():
		v.SetUint(uint64(n))
	case t.Kind() == reflect.Bool:
		v.SetBool(n%2 == 1)
	case t.Kind() == reflect.String:
		v.SetString("text " + string(rune('0'+n)))
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(sample(t.Elem(), n))
	case t.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, sample(t.Elem(), n)))
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(sample(t.Field(i).Type, n))
		}
	default:
		panic(t)
	}
	return v
}

// computedTags are attributes that every object has, by rules of their own.
var computedTags = map[ttlv.Tag]bool{
	ttlv.TagUniqueIdentifier: true, ttlv.TagShortUniqueIdentifier: true, ttlv.TagProtectionStorageMask: true, ttlv.TagLeaseTime: true,
}

// TestMatchesEveryAttribute looks for each attribute of the table, of whatever type: it is found where it is, with that value
// and no other; and of a structure by each of its fields alone.
func TestMatchesEveryAttribute(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for i := range AttributeRules {
		r := &AttributeRules[i]
		if computedTags[r.Tag] {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			typ := reflect.TypeOf(r.Zero)
			one, other := sample(typ, 1), sample(typ, 2)
			o := &Object{UniqueIdentifier: "k", Attributes: Attributes{{Tag: ttlv.TagComment, Value: "of another"}, {Tag: r.Tag, Value: one.Interface()}}}
			matches := func(o *Object, v reflect.Value) bool {
				return o.Matches(Attributes{{Tag: r.Tag, Value: v.Interface()}}, now)
			}
			require.True(t, matches(o, one))
			require.False(t, matches(o, other))
			require.False(t, matches(&Object{UniqueIdentifier: "k"}, one))
			if r.Multiple {
				require.True(t, matches(&Object{Attributes: append(Attributes{{Tag: r.Tag, Value: other.Interface()}}, o.Attributes...)}, one))
			}
			if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range typ.NumField() {
				field := reflect.New(typ).Elem()
				field.Field(i).Set(one.Field(i))
				require.True(t, matches(o, field), typ.Field(i).Name)
				field.Field(i).Set(other.Field(i))
				require.False(t, matches(o, field), typ.Field(i).Name)
			}
		})
	}
}

// TestMatches has the rules of KMIP 2.1 §6.1.28 that are more than equality.
func TestMatches(t *testing.T) {
	const day = 24 * 3600
	now := time.Unix(1_700_000_000, 0)
	at := func(days int64) time.Time { return time.Unix(now.Unix()+days*day, 0) }
	latest := time.Unix(LatestDate, 0)
	count := func(n int64) *int64 { return &n }
	limits := func(total int64, left *int64, unit UsageLimitsUnit) Attribute {
		return Attribute{Tag: ttlv.TagUsageLimits, Value: UsageLimits{UsageLimitsTotal: total, UsageLimitsCount: left, UsageLimitsUnit: unit}}
	}
	date := func(tag ttlv.Tag, t time.Time) Attribute { return Attribute{Tag: tag, Value: t} }
	vendor := func(v any) Attribute { return Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Name: "a", Value: v} }
	o := &Object{UniqueIdentifier: "k", Attributes: Attributes{
		{Tag: ttlv.TagState, Value: StatePreActive},
		date(ttlv.TagActivationDate, at(-1)), date(ttlv.TagDeactivationDate, at(10)), date(ttlv.TagCompromiseDate, latest),
		{Tag: ttlv.TagCryptographicUsageMask, Value: CryptographicUsageMaskEncrypt | CryptographicUsageMaskDecrypt},
		limits(100, count(40), UsageLimitsUnitByte),
		vendor(int32(5)), vendor("text"), vendor(at(3)), vendor(big.NewInt(7)), vendor([]byte{1, 2}), vendor(Enumeration(9)), vendor(ttlv.Interval(60)), vendor(true), vendor(int64(5)),
	}}
	for _, c := range []struct {
		name   string
		want   bool
		wanted Attributes
	}{
		{"nothing", true, nil},
		{"state of today", true, Attributes{{Tag: ttlv.TagState, Value: StateActive}}},
		{"state as it was stored", false, Attributes{{Tag: ttlv.TagState, Value: StatePreActive}}},
		{"all bits of the mask", true, Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: CryptographicUsageMaskDecrypt}}},
		{"a bit too many", false, Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: CryptographicUsageMaskDecrypt | CryptographicUsageMaskSign}}},
		{"date", true, Attributes{date(ttlv.TagActivationDate, at(-1).Add(time.Millisecond))}},
		{"another date", false, Attributes{date(ttlv.TagActivationDate, at(0))}},
		{"limit of a range", true, Attributes{date(ttlv.TagActivationDate, at(-1)), date(ttlv.TagActivationDate, at(5))}},
		{"range the other way round", true, Attributes{date(ttlv.TagActivationDate, at(5)), date(ttlv.TagActivationDate, at(-1))}},
		{"beyond a range", false, Attributes{date(ttlv.TagActivationDate, at(0)), date(ttlv.TagActivationDate, at(5))}},
		{"two ranges", true, Attributes{date(ttlv.TagActivationDate, at(-5)), date(ttlv.TagDeactivationDate, at(9)), date(ttlv.TagActivationDate, at(0)), date(ttlv.TagDeactivationDate, at(11))}},
		{"one of two ranges", false, Attributes{date(ttlv.TagActivationDate, at(-5)), date(ttlv.TagDeactivationDate, at(11)), date(ttlv.TagActivationDate, at(0)), date(ttlv.TagDeactivationDate, at(12))}},
		{"a date that is not defined", true, Attributes{date(ttlv.TagProtectStopDate, latest)}},
		{"a date that is defined", false, Attributes{date(ttlv.TagDeactivationDate, latest)}},
		{"a date that is the latest", true, Attributes{date(ttlv.TagCompromiseDate, latest)}},
		{"from a date on", true, Attributes{date(ttlv.TagDeactivationDate, at(9)), date(ttlv.TagDeactivationDate, latest)}},
		{"not before a date", true, Attributes{date(ttlv.TagProtectStopDate, at(9)), date(ttlv.TagProtectStopDate, latest)}},
		{"a range without the undefined", false, Attributes{date(ttlv.TagProtectStopDate, at(9)), date(ttlv.TagProtectStopDate, at(99))}},
		{"fewer limits", true, Attributes{limits(100, count(40), UsageLimitsUnitByte)}},
		{"no count", true, Attributes{limits(50, nil, UsageLimitsUnitByte)}},
		{"no unit", true, Attributes{limits(50, count(1), 0)}},
		{"count too large", false, Attributes{limits(50, count(41), UsageLimitsUnitByte)}},
		{"total too large", false, Attributes{limits(101, nil, UsageLimitsUnitByte)}},
		{"another unit", false, Attributes{limits(1, nil, UsageLimitsUnitObject)}},
		{"vendor integer", true, Attributes{vendor(int32(5))}},
		{"vendor long integer", true, Attributes{vendor(int64(5))}},
		{"vendor text", true, Attributes{vendor("text")}},
		{"another vendor text", false, Attributes{vendor("Text")}},
		{"vendor date", true, Attributes{vendor(at(3))}},
		{"vendor range", true, Attributes{vendor(at(2)), vendor(at(4))}},
		{"vendor big integer", true, Attributes{vendor(big.NewInt(7))}},
		{"vendor bytes", true, Attributes{vendor([]byte{1, 2})}},
		{"vendor enumeration", true, Attributes{vendor(Enumeration(9))}},
		{"vendor interval", true, Attributes{vendor(ttlv.Interval(60))}},
		{"vendor boolean", true, Attributes{vendor(true)}},
		{"vendor value of another type", false, Attributes{vendor(ttlv.Interval(5))}},
		{"another vendor", false, Attributes{{Tag: ttlv.TagAttribute, Vendor: "y", Name: "a", Value: int32(5)}}},
		{"an index is ignored", true, Attributes{vendor("text").At(7)}},
		{"the policy of who says none", true, Attributes{{Tag: ttlv.TagOperationPolicyName, Value: "default"}}},
		{"another policy", false, Attributes{{Tag: ttlv.TagOperationPolicyName, Value: "public"}}},
		{"identifier", true, Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: "k"}}},
		{"another identifier", false, Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: "K"}}},
		{"lease time", true, Attributes{{Tag: ttlv.TagLeaseTime, Value: LeaseTime}}},
		{"storage", true, Attributes{{Tag: ttlv.TagProtectionStorageMask, Value: ProtectionStorageMaskSoftware}}},
		{"another storage", false, Attributes{{Tag: ttlv.TagProtectionStorageMask, Value: ProtectionStorageMaskHardware}}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, o.Matches(c.wanted, now)) })
	}
	short, _ := Get[[]byte](o.ComputedAttributes(now), ttlv.TagShortUniqueIdentifier)
	require.True(t, o.Matches(Attributes{{Tag: ttlv.TagShortUniqueIdentifier, Value: short}}, now))
	require.False(t, o.Matches(Attributes{{Tag: ttlv.TagShortUniqueIdentifier, Value: make([]byte, 32)}}, now))
}

// TestDecodeCompared shows that what is compared is all that Matches looks at.
func TestDecodeCompared(t *testing.T) {
	all := Attributes{
		{Tag: ttlv.TagState, Value: StateActive}, {Tag: ttlv.TagObjectGroup, Value: "a"}, {Tag: ttlv.TagComment, Value: "c"},
		{Tag: ttlv.TagObjectGroup, Value: "b"}, {Tag: ttlv.TagDeactivationDate, Value: time.Unix(5, 0)},
	}
	encoded, err := all.Remove(1).Encode() // so that there is an index before an instance
	require.NoError(t, err)
	some, err := DecodeCompared(encoded, Attributes{{Tag: ttlv.TagObjectGroup, Value: "x"}})
	require.NoError(t, err)
	require.Len(t, some, 3)
	require.Equal(t, StateDeactivated, some.State(time.Unix(6, 0)))
	require.True(t, some.Has(all[3]))
}
