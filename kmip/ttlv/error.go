package ttlv

import (
	"errors"
	"fmt"
	"unsafe"
)

// ErrLimit is what errors.Is finds in the error of a message that is over one of
// its Limits, as opposed to one that is malformed.
var ErrLimit = errors.New("over the limit")

// ErrUnexpected is what errors.Is finds in the error of an item that has no place where
// it stands, ErrUnknownTag in that of one whose tag no version defines.
var (
	ErrUnexpected = errors.New("an item in the wrong place")
	ErrUnknownTag = errors.New("an unknown tag")
)

// Error tells what is wrong with a message, and where.
type Error struct {
	Path    string // the enclosing structures, outermost first, as in "RequestMessage.BatchItem"
	Message string // the fault, as in "IVLength: type is TextString, must be Integer"

	cause error   // one of the above, or what an Unmarshaler returned
	at    uintptr // address of the item that Path or Message begins with, an identity only
}

// Error returns the path and the fault.
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// Unwrap returns ErrLimit, ErrUnexpected, ErrUnknownTag, or the error of an Unmarshaler,
// or nil.
func (e *Error) Unwrap() error { return e.cause }

// malformed returns an error about the structure that is being read.
func malformed(format string, a ...any) error {
	return &Error{Message: fmt.Sprintf(format, a...)}
}

// exceeded returns a limit error about the structure that is being read.
func exceeded(format string, a ...any) error {
	return &Error{Message: fmt.Sprintf(format, a...), cause: ErrLimit}
}

// unexpected returns the error of an item that has no place in the structure.
func unexpected(tag Tag) error {
	e := &Error{Message: "unexpected " + tag.String(), cause: ErrUnexpected}
	if tag.name() == "" {
		e.cause = ErrUnknownTag
	}
	return e
}

// fault returns an error about the item itself.
func (it *Item) fault(format string, a ...any) error {
	return &Error{Message: it.Tag.String() + ": " + fmt.Sprintf(format, a...), at: it.address()}
}

// mistyped returns the error of an item that is not a t.
func (it *Item) mistyped(t Type) error {
	return it.fault("type is %v, must be %v", it.Type, t)
}

// within returns err, which arose inside the item, with the item in its path.
func (it *Item) within(err error) error {
	e, ok := err.(*Error) // one that is wrapped belongs to the Unmarshaler that did it
	switch {
	case !ok:
		return &Error{Message: it.Tag.String() + ": " + err.Error(), cause: err, at: it.address()}
	case e.at != 0 && e.at == it.address():
		return err
	}
	at := *e
	at.at = it.address()
	at.Path = it.Tag.String()
	if e.Path != "" {
		at.Path += "." + e.Path
	}
	return &at
}

// address identifies the item among those of a message.
func (it *Item) address() uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(it.Raw)))
}
