package kmip

import (
	"math"
	"reflect"
	"time"

	"strongroom/kmip/ttlv"
)

// Matches says whether o has all the attributes that a search asks for, at the time now. KMIP 2.1 §6.1.28: usage masks and
// usage limits are at least those asked for; two dates of one kind are a range; of a structure only the fields that are
// given count; every other attribute has an instance that equals the one asked for.
func (o *Object) Matches(wanted Attributes, now time.Time) bool {
	for i, want := range wanted {
		if _, ok := want.Value.(time.Time); ok {
			if from, to := wanted.DateRange(i); !o.dated(want, from, to) {
				return false
			}
			continue
		}
		if !matchesOne(o, want, now) {
			return false
		}
	}
	return true
}

func matchesOne(o *Object, want Attribute, now time.Time) bool {
	switch v := want.Value.(type) {
	case State:
		return o.State(now) == v
	case CryptographicUsageMask:
		return o.Attributes.UsageMask()&v == v
	case UsageLimits:
		have, ok := Get[UsageLimits](o.Attributes, ttlv.TagUsageLimits)
		return ok && atLeast(&have, &v)
	case ProtectionStorageMask:
		have, _ := Get[ProtectionStorageMask](o.ComputedAttributes(now), want.Tag)
		return have&v == v
	case string:
		switch want.Tag {
		case ttlv.TagUniqueIdentifier:
			return o.UniqueIdentifier == v
		case ttlv.TagOperationPolicyName:
			return o.policy() == v
		}
	}
	if want.Tag == ttlv.TagShortUniqueIdentifier || want.Tag == ttlv.TagLeaseTime {
		return o.ComputedAttributes(now).Has(want)
	}
	for _, have := range o.Attributes {
		if have.Equal(want) || have.Is(want) && partly(have.Value, want.Value) {
			return true
		}
	}
	return false
}

// policy is the Operation Policy Name: an object that was made without one is under the policy "default". KMIP 1.4 §3.18.
func (o *Object) policy() string {
	if name, ok := Get[string](o.Attributes, ttlv.TagOperationPolicyName); ok {
		return name
	}
	return "default"
}

// LatestDate is the largest possible value of a date, in seconds since 1970. In a search it is equivalent to an attribute that
// is not defined. KMIP 2.1 §6.1.28.
const LatestDate = math.MaxInt64

// DateRange is what a search asks of the date number i of the list, in seconds since 1970: that date, or all between it and
// the other dates of its kind in the list, both ends included.
func (a Attributes) DateRange(i int) (from, to int64) {
	from, to = math.MaxInt64, math.MinInt64
	for _, x := range a {
		if t, ok := x.Value.(time.Time); ok && x.Is(a[i]) {
			from, to = min(from, t.Unix()), max(to, t.Unix())
		}
	}
	return from, to
}

// dated says whether an object has a date, the one that want names, in a range.
func (o *Object) dated(want Attribute, from, to int64) bool {
	defined := false
	for _, x := range o.Attributes {
		if t, ok := x.Value.(time.Time); ok && x.Is(want) {
			defined = true
			if u := t.Unix(); from <= u && u <= to {
				return true
			}
		}
	}
	return !defined && to == LatestDate
}

// atLeast compares usage limits.
func atLeast(have, want *UsageLimits) bool {
	if have.UsageLimitsTotal < want.UsageLimitsTotal || want.UsageLimitsUnit != 0 && have.UsageLimitsUnit != want.UsageLimitsUnit {
		return false
	}
	return want.UsageLimitsCount == nil || have.UsageLimitsCount != nil && *have.UsageLimitsCount >= *want.UsageLimitsCount
}

// partly says whether a structure has the fields of another that are set.
func partly(have, want any) bool {
	h, w := reflect.ValueOf(have), reflect.ValueOf(want)
	if w.Kind() != reflect.Struct || h.Type() != w.Type() {
		return false
	}
	for i := range w.NumField() {
		if f := w.Field(i); !f.IsZero() && !reflect.DeepEqual(f.Interface(), h.Field(i).Interface()) {
			return false
		}
	}
	return true
}
