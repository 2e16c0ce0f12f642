package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// unused are Usage Limits as they begin: the count is the server's, and what a request says of it is ignored. KMIP 2.1 §4.59.
func unused(l kmip.UsageLimits) (kmip.UsageLimits, error) {
	if l.UsageLimitsTotal <= 0 {
		return l, kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "the Usage Limits Total is %d, must be positive", l.UsageLimitsTotal)
	}
	if l.UsageLimitsUnit != kmip.UsageLimitsUnitByte && l.UsageLimitsUnit != kmip.UsageLimitsUnitObject {
		return l, kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "the Usage Limits Unit %v is not supported", l.UsageLimitsUnit)
	}
	count := l.UsageLimitsTotal
	l.UsageLimitsCount = &count
	return l, nil
}

// remaining is how many units an object may still protect; limited is false of one without Usage Limits.
func remaining(o *kmip.Object) (l kmip.UsageLimits, count int64, limited bool) {
	l, limited = kmip.Get[kmip.UsageLimits](o.Attributes, ttlv.TagUsageLimits)
	if l.UsageLimitsCount == nil {
		return l, l.UsageLimitsTotal, limited
	}
	return l, *l.UsageLimitsCount, limited
}

// begun refuses to change Usage Limits of which something was used. KMIP 2.1 §4.59.
func begun(o *kmip.Object) error {
	if l, count, limited := remaining(o); limited && count != l.UsageLimitsTotal {
		return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the Usage Limits of %q do not change once something of them is used", o.UniqueIdentifier)
	}
	return nil
}
