package server

import (
	"math"
	"math/big"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// setAttribute answers Set Attribute. KMIP 2.1 §6.1.51.
func (r *Request) setAttribute(o *kmip.Object, q *kmip.SetAttributeRequest) (*kmip.SetAttributeResponse, error) {
	a, err := only(q.NewAttribute)
	if err != nil {
		return nil, err
	}
	if err := r.update(o, func(o *kmip.Object) error { return r.put(o, a) }); err != nil {
		return nil, err
	}
	return &kmip.SetAttributeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// adjustAttribute answers Adjust Attribute. KMIP 2.1 §6.1.3. An attribute that the object does not have counts as 0, or false.
func (r *Request) adjustAttribute(o *kmip.Object, q *kmip.AdjustAttributeRequest) (*kmip.AdjustAttributeResponse, error) {
	if len(q.AttributeReferences) != 1 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request names %d attributes, must name one", len(q.AttributeReferences))
	}
	err := r.update(o, func(o *kmip.Object) error {
		a, err := present(o, q.AttributeReferences[0], q.AdjustmentValue)
		if err != nil {
			return err
		}
		if a.Value, err = adjust(a.Value, q.AdjustmentType, q.AdjustmentValue); err != nil {
			return err
		}
		return r.put(o, a)
	})
	if err != nil {
		return nil, err
	}
	return &kmip.AdjustAttributeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// put gives an attribute its one value: it is added or modified, by the rules of either.
func (r *Request) put(o *kmip.Object, a kmip.Attribute) error {
	at := -1
	for i, x := range o.Attributes {
		if x.Is(a) && at >= 0 {
			return manyValued(o, a)
		} else if x.Is(a) {
			at = i
		}
	}
	allows := addable
	if at >= 0 {
		allows = modifiable
	}
	if err := r.mayChange(o, a, allows); err != nil {
		return err
	}
	if err := tightens(o, a); err != nil {
		return err
	}
	kept, err := r.kept(a)
	if err != nil {
		return err
	}
	if at < 0 {
		o.Attributes = o.Attributes.Add(kept)
	} else {
		o.Attributes = o.Attributes.Replace(at, kept)
	}
	return inOrder(o, a)
}

func manyValued(o *kmip.Object, a kmip.Attribute) error {
	return kmip.Errorf(kmip.ResultReasonMultiValuedAttribute, "%q has the attribute %v more than once", o.UniqueIdentifier, a)
}

// present is the one instance of an attribute that an object has, or a new one of value zero. The type of a vendor attribute
// that is not there is that of the adjustment.
func present(o *kmip.Object, a kmip.Attribute, by *kmip.AdjustmentValue) (kmip.Attribute, error) {
	found := false
	for _, x := range o.Attributes {
		if !x.Is(a) {
			continue
		}
		if found {
			return a, manyValued(o, a)
		}
		a.Value, found = x.Value, true
	}
	rule := kmip.RuleOf(a.Tag)
	switch {
	case rule == nil:
		return a, kmip.Errorf(kmip.ResultReasonUnsupportedAttribute, "%v is not an attribute", a)
	case found:
		return a, nil
	}
	a.Value = rule.Zero
	if a.Value == nil && by != nil {
		a.Value = zeroOf(by.Value)
	}
	switch a.Value.(type) {
	case int32, int64, *big.Int, ttlv.Interval, bool:
		return a, nil
	}
	return a, kmip.Errorf(kmip.ResultReasonItemNotFound, "%q has no attribute %v to adjust", o.UniqueIdentifier, a)
}

func zeroOf(v any) any {
	switch v.(type) {
	case int32:
		return int32(0)
	case int64:
		return int64(0)
	case *big.Int:
		return new(big.Int)
	case ttlv.Interval:
		return ttlv.Interval(0)
	}
	return nil
}

// adjust is a value after an adjustment; without a value of its own that is by one.
func adjust(old any, how kmip.AdjustmentType, by *kmip.AdjustmentValue) (any, error) {
	if how == kmip.AdjustmentTypeNegate {
		return negate(old, by)
	}
	if how != kmip.AdjustmentTypeIncrement && how != kmip.AdjustmentTypeDecrement {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "there is no Adjustment Type %v", how)
	}
	n, ok := integer(old)
	if !ok {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidDataType, "a %T cannot be incremented or decremented", old)
	}
	step := big.NewInt(1)
	if by != nil {
		step, _ = integer(by.Value)
	}
	if how == kmip.AdjustmentTypeDecrement {
		step = new(big.Int).Neg(step)
	}
	return fit(old, new(big.Int).Add(n, step))
}

func negate(old any, by *kmip.AdjustmentValue) (any, error) {
	if by != nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "Negate takes no Adjustment Value")
	}
	switch v := old.(type) {
	case bool:
		return !v, nil
	case int32, int64, *big.Int:
		n, _ := integer(v)
		return fit(old, new(big.Int).Neg(n))
	}
	return nil, kmip.Errorf(kmip.ResultReasonInvalidDataType, "a %T cannot be negated", old)
}

// integer is a number, an interval in seconds, or a date in seconds since 1970.
func integer(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int32:
		return big.NewInt(int64(v)), true
	case int64:
		return big.NewInt(v), true
	case *big.Int:
		return v, true
	case ttlv.Interval:
		return big.NewInt(int64(v)), true
	case time.Time:
		return big.NewInt(v.Unix()), true
	}
	return nil, false
}

// mostBits bounds a Big Integer that is adjusted.
const mostBits = 8192

// fit makes a value of old's type of a number, if the type has it.
func fit(old any, n *big.Int) (any, error) {
	v := int64(0)
	if n.IsInt64() {
		v = n.Int64()
	}
	switch old.(type) {
	case int32:
		if n.IsInt64() && math.MinInt32 <= v && v <= math.MaxInt32 {
			return int32(v), nil
		}
	case int64:
		if n.IsInt64() {
			return v, nil
		}
	case ttlv.Interval:
		if n.IsInt64() && 0 <= v && v <= math.MaxUint32 {
			return ttlv.Interval(v), nil
		}
	case time.Time:
		if n.IsInt64() && 0 <= v && v <= latest {
			return time.Unix(v, 0).UTC(), nil
		}
	case *big.Int:
		if n.BitLen() <= mostBits {
			return n, nil
		}
	}
	return nil, kmip.Errorf(kmip.ResultReasonNumericRange, "the adjusted value is out of range")
}

// latest is the last second of the year 9999.
const latest = 253402300799
