package kmip

import (
	"errors"
	"fmt"
)

// An Error is a refusal that a client sees: a Result Reason of KMIP 2.1 (translated for older versions when it is
// encoded) and a message that names the thing and never a secret. Any other error becomes General Failure for the
// client, and is logged.
type Error struct {
	Reason  ResultReason
	Message string
	Err     error // the cause, for the log; may be nil
}

// Errorf makes an Error where the reason is known. A %w operand is kept as the cause, for errors.Is.
func Errorf(reason ResultReason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: reason, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is says that two Errors with one reason are alike, so that errors.Is(err, ErrNotFound) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Reason == e.Reason
}

// Reasons to compare with by errors.Is.
var (
	ErrNotFound = &Error{Reason: ResultReasonObjectNotFound}
	ErrExists   = &Error{Reason: ResultReasonObjectAlreadyExists}
	ErrConflict = errors.New("the object was changed by another request")
)

// NotFound is the one answer for an identifier that does not exist and for one that the caller may not know of: Object Not
// Found, which 1.x calls Item Not Found.
func NotFound(uid string) *Error {
	return Errorf(ResultReasonObjectNotFound, "object %q does not exist, or you may not use it", clip(uid))
}

// ReasonOf is the reason a client hears for err: that of an *Error, else General Failure.
func ReasonOf(err error) ResultReason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ResultReasonGeneralFailure
}
