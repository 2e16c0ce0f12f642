package kmip

import "strongroom/kmip/ttlv"

// SetAttributeRequest gives an attribute its one value, whether or not the object has the attribute. KMIP 2.1 §6.1.51.
type SetAttributeRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	NewAttribute     Attributes       `ttlv:"NewAttribute"`
}

// SetAttributeResponse names the object.
type SetAttributeResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// AdjustAttributeRequest increments, decrements or negates an attribute. KMIP 2.1 §6.1.3.
type AdjustAttributeRequest struct {
	UniqueIdentifier    UniqueIdentifier    `ttlv:"UniqueIdentifier"`
	AttributeReferences AttributeReferences `ttlv:"AttributeReference"`
	AdjustmentType      AdjustmentType      `ttlv:"AdjustmentType"`
	AdjustmentValue     *AdjustmentValue    `ttlv:"AdjustmentValue"`
}

// AdjustAttributeResponse names the object.
type AdjustAttributeResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// AdjustmentValue is by how much an attribute is adjusted. Its Value is an int32, an int64, a *big.Int or a ttlv.Interval.
type AdjustmentValue struct{ Value any }

// MarshalTTLV writes the value in its own type.
func (v *AdjustmentValue) MarshalTTLV(e *ttlv.Encoder, tag ttlv.Tag) error {
	return encodeAny(e, tag, v.Value)
}

// UnmarshalTTLV reads a value of any type that a number may have.
func (v *AdjustmentValue) UnmarshalTTLV(d *ttlv.Decoder, it ttlv.Item) (err error) {
	switch it.Type {
	case ttlv.TypeInteger, ttlv.TypeLongInteger, ttlv.TypeBigInteger, ttlv.TypeInterval:
		v.Value, err = decodeAny(d, it)
		return err
	}
	return Errorf(ResultReasonInvalidDataType, "an Adjustment Value is a number or an interval, not a %v", it.Type)
}
