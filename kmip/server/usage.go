package server

import (
	"hash/maphash"
	"sync"
	"time"

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

// uses is how many units a request takes of its object's Usage Limits: 0 where they do not count it, and an error where there
// are not as many. Every use takes one at least, for an empty message is protected too.
func uses(o *kmip.Object, request any) (int64, error) {
	p, ok := request.(kmip.Protecting)
	if !ok {
		return 0, nil
	}
	if l, _, _ := remaining(o); l.UsageLimitsUnit == kmip.UsageLimitsUnitObject && len(partOf(request).correlation) > 0 {
		return 0, nil // the first part was counted
	}
	return units(o, p.Protects())
}

func units(o *kmip.Object, bytes int) (int64, error) {
	l, count, limited := remaining(o)
	if !limited {
		return 0, nil
	}
	n := int64(1)
	if l.UsageLimitsUnit == kmip.UsageLimitsUnitByte {
		n = max(n, int64(bytes))
	}
	if n > count {
		return 0, exceeded(o)
	}
	return n, nil
}

func exceeded(o *kmip.Object) error {
	return kmip.Errorf(kmip.ResultReasonUsageLimitExceeded, "the Usage Limits of %q do not allow that any more", o.UniqueIdentifier)
}

// counters put those in a row who count one object down, so that they do not overtake one another and try again. That none
// of them is lost is the backend's doing, which refuses an older revision.
type counters struct {
	seed  maphash.Seed
	locks [64]sync.Mutex
}

func (c *counters) of(uid string) *sync.Mutex {
	return &c.locks[maphash.String(c.seed, uid)%uint64(len(c.locks))]
}

// spend takes units of an object's Usage Limits, before anything that they were taken for leaves the server. The object is
// opened again, for others may have been first.
func (r *Request) spend(o *kmip.Object, n need, units int64) error {
	if units == 0 {
		return nil
	}
	lock := r.server.counters.of(o.UniqueIdentifier)
	lock.Lock()
	defer lock.Unlock()
	o, err := r.admit(o.UniqueIdentifier, n)
	if err != nil {
		return err
	}
	return r.rewriteAs(o, n, func(o *kmip.Object) error { return deduct(o, units) }, kmip.Backend.Update)
}

func deduct(o *kmip.Object, units int64) error {
	l, count, limited := remaining(o)
	if !limited {
		return nil
	}
	if units > count {
		return exceeded(o)
	}
	count -= units
	l.UsageLimitsCount = &count
	o.Attributes = o.Attributes.With(ttlv.TagUsageLimits, l)
	return nil
}

// getUsageAllocation answers Get Usage Allocation. KMIP 2.1 §6.1.23.
func (r *Request) getUsageAllocation(o *kmip.Object, q *kmip.GetUsageAllocationRequest) (*kmip.GetUsageAllocationResponse, error) {
	if q.UsageLimitsCount == nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has no Usage Limits Count")
	}
	if *q.UsageLimitsCount <= 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Usage Limits Count is %d, must be positive", *q.UsageLimitsCount)
	}
	if o.Attributes.UsageMask()&protects == 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q cannot be used to protect anything", o.UniqueIdentifier)
	}
	if _, _, limited := remaining(o); !limited {
		return nil, kmip.Errorf(kmip.ResultReasonAttributeNotFound, "%q has no Usage Limits", o.UniqueIdentifier)
	}
	if err := r.spend(o, r.need, *q.UsageLimitsCount); err != nil {
		return nil, err
	}
	return &kmip.GetUsageAllocationResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// protects are the uses that apply protection: a key has them while it is Active. All others process what is protected, and
// a Deactivated key has them too. KMIP 2.1 §4.57, §12.1.
const protects = kmip.CryptographicUsageMaskSign | kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskWrapKey |
	kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskDeriveKey | kmip.CryptographicUsageMaskContentCommitment |
	kmip.CryptographicUsageMaskKeyAgreement | kmip.CryptographicUsageMaskCertificateSign | kmip.CryptographicUsageMaskCRLSign |
	kmip.CryptographicUsageMaskGenerateCryptogram | kmip.CryptographicUsageMaskTranslateEncrypt |
	kmip.CryptographicUsageMaskTranslateWrap | kmip.CryptographicUsageMaskFPEEncrypt

// obtainLease answers Obtain Lease. KMIP 2.1 §6.1.35. What is exhausted gets none: its holder could do nothing with it.
func (r *Request) obtainLease(o *kmip.Object, _ *kmip.ObtainLeaseRequest) (*kmip.ObtainLeaseResponse, error) {
	if _, count, limited := remaining(o); limited && count == 0 {
		return nil, exceeded(o)
	}
	if o.ObjectType() == kmip.ObjectTypeTemplate { // KMIP 1.4 §3.20, §11.18
		return nil, kmip.Errorf(kmip.ResultReasonPermissionDenied, "%q is a Template, of which there are no leases", o.UniqueIdentifier)
	}
	changed, _ := kmip.Get[time.Time](o.Attributes, ttlv.TagLastChangeDate)
	return &kmip.ObtainLeaseResponse{
		UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier), LeaseTime: kmip.LeaseTime, LastChangeDate: changed,
	}, nil
}

// checkUse answers Check. KMIP 2.1 §6.1.7: a refusal has what of the request it is for, and empties the ID placeholder.
func (r *Request) checkUse(o *kmip.Object, q *kmip.CheckRequest) (*kmip.CheckResponse, error) {
	if o.ObjectType() == kmip.ObjectTypeTemplate {
		return nil, kmip.Errorf(kmip.ResultReasonIllegalObjectType, "%q is a Template: it is not used with cryptography", o.UniqueIdentifier) // KMIP 1.4 §11.11
	}
	refused := new(kmip.CheckResponse)
	var reason kmip.ResultReason
	if t := q.LeaseTime; t != nil && *t > kmip.LeaseTime {
		refused.LeaseTime, reason = t, kmip.ResultReasonPermissionDenied
	}
	if m := q.CryptographicUsageMask; m != nil && !r.allowsUse(o, *m) {
		refused.CryptographicUsageMask, reason = m, kmip.ResultReasonIncompatibleCryptographicUsageMask
	}
	if n := q.UsageLimitsCount; n != nil {
		if _, count, limited := remaining(o); *n < 0 || limited && *n > count {
			refused.UsageLimitsCount, reason = n, kmip.ResultReasonUsageLimitExceeded
		}
	}
	if reason != 0 {
		r.placeholder = ""
		return nil, &denial{kmip.Errorf(reason, "object %q may not be used so", o.UniqueIdentifier), refused}
	}
	return &kmip.CheckResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// allowsUse says whether an object's mask, state and dates allow all of some uses. A key in a token that has no state counts
// as Active.
func (r *Request) allowsUse(o *kmip.Object, uses kmip.CryptographicUsageMask) bool {
	if uses&^o.Attributes.UsageMask() != 0 {
		return false
	}
	if uses&protects != 0 && (!in(kmip.StateActive).has(o.State(r.now)) || untilProtectStop.open(o, r.now) != nil) {
		return false
	}
	return uses&^protects == 0 || in(kmip.StateActive, kmip.StateDeactivated).has(o.State(r.now))
}

// A denial is an error whose answer has a payload.
type denial struct {
	err     *kmip.Error
	payload any
}

// Error is the message.
func (d *denial) Error() string { return d.err.Error() }

// Unwrap is what the client hears.
func (d *denial) Unwrap() error { return d.err }
