package kmip

import (
	"math/big"
	"reflect"
	"time"

	"strongroom/kmip/ttlv"
)

// Enumeration is the value of a vendor attribute that is an enumeration of the vendor's.
type Enumeration uint32

// decodeAny reads the value of a vendor attribute: of any type (KMIP 2.1 §4.60), a structure as the tree that it is.
func decodeAny(d *ttlv.Decoder, it ttlv.Item) (any, error) {
	switch it.Type {
	case ttlv.TypeInteger:
		return it.Int()
	case ttlv.TypeLongInteger:
		return it.Long()
	case ttlv.TypeBigInteger:
		return it.BigInt()
	case ttlv.TypeEnumeration:
		n, err := it.Enum()
		return Enumeration(n), err
	case ttlv.TypeBoolean:
		return it.Bool()
	case ttlv.TypeTextString:
		return it.Text()
	case ttlv.TypeByteString:
		return it.Bytes()
	case ttlv.TypeDateTime:
		return it.Time()
	case ttlv.TypeInterval:
		return it.Interval()
	case ttlv.TypeDateTimeExtended:
		var t ttlv.DateTimeExtended
		err := d.Value(it, &t)
		return t, err
	case ttlv.TypeStructure:
		var n ttlv.Node
		err := d.Value(it, &n)
		return n, err
	}
	return nil, Errorf(ResultReasonInvalidField, "a vendor attribute of type %v is not supported", it.Type)
}

func encodeAny(e *ttlv.Encoder, tag ttlv.Tag, v any) error {
	switch v := v.(type) {
	case int32:
		e.Int(tag, v)
	case int64:
		e.Long(tag, v)
	case *big.Int:
		e.BigInt(tag, v)
	case Enumeration:
		e.Enum(tag, uint32(v))
	case bool:
		e.Bool(tag, v)
	case string:
		e.Text(tag, v)
	case []byte:
		e.ByteString(tag, v)
	case time.Time:
		e.Time(tag, v)
	case ttlv.Interval:
		e.Interval(tag, v)
	case ttlv.DateTimeExtended:
		e.TimeExtended(tag, v.Time())
	case ttlv.Node:
		return e.Value(tag, &v)
	default:
		return Errorf(ResultReasonGeneralFailure, "a vendor attribute cannot be a %v", reflect.TypeOf(v))
	}
	return nil
}

// definedAny gives the value of a vendor attribute as a version has it: none that is, or has in it, a type that came with 2.0.
func definedAny(v any, at ttlv.Version) (any, bool) {
	if at >= ttlv.V2_0 {
		return v, true
	}
	if n, ok := v.(ttlv.Node); ok {
		return v, !extended(n)
	}
	_, newer := v.(ttlv.DateTimeExtended)
	return v, !newer
}

func extended(n ttlv.Node) bool {
	if n.Type == ttlv.TypeDateTimeExtended {
		return true
	}
	for _, c := range n.Children {
		if extended(c) {
			return true
		}
	}
	return false
}
