package ttlv

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// The layouts of dates in XML and JSON; parsing also takes the first with a zone
// named Z and either with none, which means UTC.
const (
	dateLayout         = "2006-01-02T15:04:05-07:00"
	dateExtendedLayout = "2006-01-02T15:04:05.000000-07:00"
	dateZonelessLayout = "2006-01-02T15:04:05"
)

// errHex does not quote what it is about, which may be a key.
var errHex = errors.New("not hexadecimal")

// meaning returns the tag that gives the value of n its names: its own, but for an
// Attribute Value that of the attribute, which is what the Attribute Name beside it,
// if there has been one, stands for.
func meaning(tag, attribute Tag) Tag {
	if tag == TagAttributeValue {
		return attribute
	}
	return tag
}

// attributeTag returns the tag of the attribute that KMIP 1.x calls name, such as
// "Cryptographic Usage Mask", and 0 if there is none.
func attributeTag(name string) Tag {
	tag, _ := TagByName(strings.NewReplacer(" ", "", "-", "", ".", "_", "#", "_").Replace(name))
	return tag
}

// attributeNamed returns the attribute that n names if n is an Attribute Name, else
// the attribute named before.
func (n *Node) attributeNamed(before Tag) Tag {
	if name, ok := n.Value.(string); ok && n.Tag == TagAttributeName {
		return attributeTag(name)
	}
	return before
}

// text returns the value of n, which is not a structure, as XML and JSON write it.
// Its names are those of the tag named; between the bits of a mask stands sep.
func (n *Node) text(named Tag, sep string) string {
	switch v := n.Value.(type) {
	case int32:
		if IsMask(named) {
			return FormatMask(named, v, sep)
		}
		return strconv.FormatInt(int64(v), 10)
	case int64:
		return strconv.FormatInt(v, 10)
	case *big.Int:
		return hex.EncodeToString(twosComplement(v))
	case uint32:
		if name := EnumName(named, v); name != "" {
			return name
		}
		return fmt.Sprintf("0x%08X", v)
	case bool:
		return strconv.FormatBool(v)
	case string:
		return v
	case []byte:
		return hex.EncodeToString(v)
	case time.Time:
		return dateText(v, v.Unix(), dateLayout)
	case Interval:
		return strconv.FormatUint(uint64(v), 10)
	case DateTimeExtended:
		return dateText(v.Time(), int64(v), dateExtendedLayout)
	}
	panic(fmt.Sprintf("ttlv: a node with a %T", n.Value))
}

// dateText returns t in the layout, or n in hexadecimal if its year has not four
// digits.
func dateText(t time.Time, n int64, layout string) string {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return fmt.Sprintf("0x%016X", uint64(n))
	}
	return t.Format(layout)
}

// twosComplement returns the value of a Big Integer as it is on the wire.
func twosComplement(x *big.Int) []byte {
	var e Encoder
	e.BigInt(0, x)
	return e.buf[headerSize:]
}

// parseText returns the value that s is for an item of type t, whose names are those
// of the tag named.
func parseText(t Type, named Tag, s string) (v any, err error) {
	switch t {
	case TypeInteger:
		if mask, ok := ParseMask(named, s); ok {
			return mask, nil
		}
		n, err := parseInt(s, 32)
		return int32(n), err
	case TypeLongInteger:
		return parseInt(s, 64)
	case TypeBigInteger:
		return parseBigInt(s)
	case TypeEnumeration:
		return parseEnum(named, s)
	case TypeBoolean:
		return parseBool(s)
	case TypeTextString:
		return s, nil
	case TypeByteString:
		b, err := hex.DecodeString(s)
		if err != nil {
			err = errHex
		}
		return b, err
	case TypeDateTime:
		n, err := parseDate(s, time.Second)
		return unixTime(n), err
	case TypeInterval:
		n, err := parseUint(s, 32)
		return Interval(n), err
	case TypeDateTimeExtended:
		n, err := parseDate(s, time.Microsecond)
		return DateTimeExtended(n), err
	}
	return nil, fmt.Errorf("no value can be of type %v", t)
}

// parseInt reads a signed number of at most so many bits, in decimal or as the
// hexadecimal form 0x… of its two's complement.
func parseInt(s string, bits int) (int64, error) {
	if strings.HasPrefix(s, "0x") {
		n, err := parseUint(s, bits)
		return int64(n) << (64 - bits) >> (64 - bits), err
	}
	n, err := strconv.ParseInt(s, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of %d bits", clip(s), bits)
	}
	return n, nil
}

// parseUint reads an unsigned number of at most so many bits, in decimal or as 0x….
func parseUint(s string, bits int) (uint64, error) {
	digits, isHex := strings.CutPrefix(s, "0x")
	base := 10
	if isHex {
		base = 16
	}
	n, err := strconv.ParseUint(digits, base, bits)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of %d bits", clip(s), bits)
	}
	return n, nil
}

// parseBigInt reads the hexadecimal form of a two's complement, with or without 0x.
func parseBigInt(s string) (*big.Int, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil || len(b) == 0 {
		return nil, errHex
	}
	x := new(big.Int)
	it := Item{Type: TypeBigInteger, Body: b}
	return x, it.bigInt(x)
}

// parseEnum reads a name, or a number in hexadecimal or decimal.
func parseEnum(named Tag, s string) (uint32, error) {
	if n, ok := EnumValue(named, s); ok {
		return n, nil
	}
	n, err := parseUint(s, 32)
	if err != nil {
		return 0, fmt.Errorf("no value is called %q", clip(s))
	}
	return uint32(n), nil
}

// parseBool reads true and false, as words or numbers.
func parseBool(s string) (bool, error) {
	switch s {
	case "true", "1", "0x0000000000000001":
		return true, nil
	case "false", "0", "0x0000000000000000":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", clip(s))
}

// parseDate reads a date, or a number in hexadecimal, and returns it as a multiple
// of unit since 1970-01-01T00:00:00Z.
func parseDate(s string, unit time.Duration) (int64, error) {
	if strings.HasPrefix(s, "0x") {
		return parseInt(s, 64)
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse(dateZonelessLayout, s)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a date", clip(s))
	case t.Nanosecond()%int(unit) != 0:
		return 0, fmt.Errorf("%q has a fraction of %v", clip(s), unit)
	case unit == time.Microsecond:
		return t.UnixMicro(), nil
	}
	return t.Unix(), nil
}

// clip shortens what an error quotes.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
