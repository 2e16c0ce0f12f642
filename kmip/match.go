package kmip

import (
	"reflect"
	"time"

	"strongroom/kmip/ttlv"
)

// Matches says whether o has all the attributes that a search asks for, at the time now. KMIP 2.1 §6.1.28: usage masks and
// usage limits are at least those asked for; two dates of one kind are a range; of a structure only the fields that are
// given count; every other attribute has an instance that equals the one asked for.
func (o *Object) Matches(wanted Attributes, now time.Time) bool {
	for i, want := range wanted {
		if t, ok := want.Value.(time.Time); ok {
			if !inRange(o.Attributes, wanted, i, t) {
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
		if want.Tag == ttlv.TagUniqueIdentifier {
			return o.UniqueIdentifier == v
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

// inRange says whether an object's date is the one wanted, number i of the list, or between that and another one of the
// same kind in the list.
func inRange(have, wanted Attributes, i int, t time.Time) bool {
	from, to := t.Unix(), t.Unix()
	for j, other := range wanted {
		if u, ok := other.Value.(time.Time); ok && j != i && other.Is(wanted[i]) {
			from, to = min(from, u.Unix()), max(to, u.Unix())
		}
	}
	for _, x := range have {
		if date, ok := x.Value.(time.Time); ok && x.Is(wanted[i]) && from <= date.Unix() && date.Unix() <= to {
			return true
		}
	}
	return false
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
