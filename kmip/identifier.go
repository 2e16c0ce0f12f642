package kmip

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/kmip/ttlv"
)

// UniqueIdentifier names an object in a request: its identifier, or in KMIP 2.x also an enumeration (the ID placeholder,
// or what the last operation of a kind in this batch answered with) or the number of an identifier in the response
// (KMIP 2.1 §4.58, §11.58). The last two are held as text that no object can have for a name.
type UniqueIdentifier string

// The forms that stand for an identifier known only in the batch.
const (
	enumerated = "\x00enumeration:"
	numbered   = "\x00number:"
)

// IDPlaceholder stands for what the operation before in the batch made. An absent identifier means the same.
const IDPlaceholder = UniqueIdentifier(enumerated + "1")

// MarshalTTLV writes text; the other forms are for requests of KMIP 2.x only.
func (u *UniqueIdentifier) MarshalTTLV(e *ttlv.Encoder, tag ttlv.Tag) error {
	if n, ok := u.Enumeration(); ok {
		e.Enum(tag, uint32(n))
		return nil
	}
	if n, ok := u.Number(); ok {
		e.Int(tag, n)
		return nil
	}
	if *u != "" {
		e.Text(tag, string(*u))
	}
	return nil
}

// UnmarshalTTLV reads any of the three forms.
func (u *UniqueIdentifier) UnmarshalTTLV(_ *ttlv.Decoder, it ttlv.Item) error {
	switch it.Type {
	case ttlv.TypeEnumeration:
		n, err := it.Enum()
		*u = UniqueIdentifier(fmt.Sprintf("%s%d", enumerated, n))
		return err
	case ttlv.TypeInteger:
		n, err := it.Int()
		*u = UniqueIdentifier(fmt.Sprintf("%s%d", numbered, n))
		return err
	}
	s, err := it.Text()
	*u = UniqueIdentifier(s)
	return err
}

// Plain says that u is an identifier itself, and stands for none.
func (u UniqueIdentifier) Plain() bool { return u != "" && u[0] != 0 }

// Enumeration is the enumeration that u was written as.
func (u UniqueIdentifier) Enumeration() (UniqueIdentifierEnumeration, bool) {
	n, ok := number(string(u), enumerated)
	return UniqueIdentifierEnumeration(n), ok
}

// Number is the number of an identifier in the response that u was written as: the first is 0, and -1 the last one before the
// operation at hand.
func (u UniqueIdentifier) Number() (int32, bool) { return number(string(u), numbered) }

func number(s, prefix string) (int32, bool) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	return int32(n), err == nil
}

// CheckIdentifier refuses an identifier that a client may not give an object: an empty or long one, "*", one with
// control characters, one of digits alone, which some clients then send as an enumeration, or one that was meant for a key in a token
// and would name one of the database.
func CheckIdentifier(uid string) error {
	switch {
	case uid == "" || uid == "*":
		return Errorf(ResultReasonInvalidField, "the unique identifier %q is not allowed", uid)
	case len(uid) > 512:
		return Errorf(ResultReasonInvalidField, "the unique identifier %q is longer than 512 bytes", clip(uid))
	case !utf8.ValidString(uid) || strings.ContainsFunc(uid, unicode.IsControl):
		return Errorf(ResultReasonInvalidField, "the unique identifier %q has control characters or is not UTF-8", clip(uid))
	case likeHSMKey(uid):
		return Errorf(ResultReasonInvalidField, "the unique identifier %q is that of no key in an HSM, though it looks like one: it would be hsm::<slot>::<label>, in lower case", clip(uid))
	case strings.Trim(uid, "0123456789") == "":
		return Errorf(ResultReasonInvalidField, "the unique identifier %q is made of digits alone, which some clients read as an enumeration", clip(uid))
	}
	return nil
}
