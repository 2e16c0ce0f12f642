package kmip

import (
	"errors"
	"fmt"

	"strongroom/kmip/ttlv"
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

// oldReasons gives for each Result Reason of KMIP 2.x the one of 1.x that says the same best. Reasons up to 0x18 and 0x100
// are those of KMIP 1.4 (§9.1.3.2.29).
var oldReasons = map[ResultReason]ResultReason{
	ResultReasonObjectNotFound:                     ResultReasonItemNotFound,
	ResultReasonUsageLimitExceeded:                 ResultReasonPermissionDenied,
	ResultReasonNumericRange:                       ResultReasonInvalidField,
	ResultReasonObjectDestroyed:                    ResultReasonItemNotFound,
	ResultReasonObjectAlreadyExists:                ResultReasonInvalidField,
	ResultReasonAttributeInstanceNotFound:          ResultReasonItemNotFound,
	ResultReasonAttributeNotFound:                  ResultReasonItemNotFound,
	ResultReasonAttributeReadOnly:                  ResultReasonPermissionDenied,
	ResultReasonAttributeSingleValued:              ResultReasonInvalidField,
	ResultReasonBadCryptographicParameters:         ResultReasonInvalidField,
	ResultReasonIncompatibleCryptographicUsageMask: ResultReasonPermissionDenied,
	ResultReasonInvalidAttribute:                   ResultReasonInvalidField,
	ResultReasonInvalidAttributeValue:              ResultReasonInvalidField,
	ResultReasonInvalidCorrelationValue:            ResultReasonInvalidField,
	ResultReasonInvalidDataType:                    ResultReasonInvalidField,
	ResultReasonInvalidObjectType:                  ResultReasonInvalidField,
	ResultReasonMultiValuedAttribute:               ResultReasonInvalidField,
	ResultReasonNonUniqueNameAttribute:             ResultReasonInvalidField,
	ResultReasonNotExtractable:                     ResultReasonPermissionDenied,
	ResultReasonReadOnlyAttribute:                  ResultReasonPermissionDenied,
	ResultReasonProtectionStorageUnavailable:       ResultReasonFeatureNotSupported,
	ResultReasonSensitive:                          ResultReasonPermissionDenied,
	ResultReasonServerLimitExceeded:                ResultReasonIndexOutOfBounds,
	ResultReasonUnsupportedAttribute:               ResultReasonInvalidField,
	ResultReasonUnsupportedCryptographicParameters: ResultReasonInvalidField,
	ResultReasonUnsupportedProtocolVersion:         ResultReasonInvalidMessage,
	ResultReasonWrongKeyLifecycleState:             ResultReasonPermissionDenied,
	ResultReasonWrappingObjectDestroyed:            ResultReasonItemNotFound,
	ResultReasonWrappingObjectNotFound:             ResultReasonItemNotFound,
}

// oldReasonsOf are those for which an operation has another reason: tables 341 and 342 of KMIP 1.4.
var oldReasonsOf = map[Operation]map[ResultReason]ResultReason{
	OperationAddAttribute: {
		ResultReasonAttributeSingleValued:  ResultReasonIllegalOperation,
		ResultReasonInvalidAttribute:       ResultReasonPermissionDenied,
		ResultReasonNonUniqueNameAttribute: ResultReasonIllegalOperation,
	},
	OperationModifyAttribute: {
		ResultReasonAttributeNotFound:      ResultReasonInvalidField,
		ResultReasonNonUniqueNameAttribute: ResultReasonIllegalOperation,
	},
}

// youngReasons gives for a Result Reason that came between two versions of one kind the one that the older has for the matter.
var youngReasons = map[ResultReason]ResultReason{
	ResultReasonConstraintViolation: ResultReasonPermissionDenied,
	ResultReasonEncodingOptionError: ResultReasonInvalidField,
	ResultReasonKeyValueNotPresent:  ResultReasonIllegalOperation, // KMIP 1.0 §11.11: the server has attributes alone
	ResultReasonAttestationRequired: ResultReasonPermissionDenied,
	ResultReasonAttestationFailed:   ResultReasonPermissionDenied,
}

// For is the reason as version v knows it for a failure of that operation.
func (r ResultReason) For(op Operation, v ttlv.Version) ResultReason {
	if old, ok := oldReasonsOf[op][r]; ok && v < ttlv.V2_0 {
		return old
	}
	return r.At(v)
}

// At is the reason as version v knows it.
func (r ResultReason) At(v ttlv.Version) ResultReason {
	if ttlv.Defined(ttlv.TagResultReason, uint32(r), v) {
		return r
	}
	if old, ok := oldReasons[r]; ok {
		return old
	}
	if old, ok := youngReasons[r]; ok {
		return old
	}
	return ResultReasonGeneralFailure
}
