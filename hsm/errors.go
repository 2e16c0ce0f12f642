package hsm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// A ckError is a return value of a module that is not CKR_OK.
type ckError struct {
	rv    uint
	begun bool // the Init call of a two-step operation was accepted: key and mechanism are right, the data may be wrong
}

// Error is the number and its name in PKCS#11, as in "0xE0: CKR_TOKEN_NOT_PRESENT".
func (e ckError) Error() string {
	text := strings.TrimPrefix(pkcs11.Error(e.rv).Error(), "pkcs11: ")
	if name, found := strings.CutSuffix(text, ": "); found {
		if e.rv >= pkcs11.CKR_VENDOR_DEFINED {
			return name + ": CKR_VENDOR_DEFINED"
		}
		return name
	}
	return text
}

// errStale ends an operation whose connection ended before it began.
var errStale = errors.New("the session ended")

// A fault is what an error means for what is remembered of a token.
type fault int

const (
	faultNone    fault = iota // none of the token's
	faultSession              // the session is gone, or in a state that it should not be in
	faultObject               // the object's handle means nothing any more
	faultLogin                // nobody is logged in
	faultDevice               // the token or the way to it is gone
	faultModule               // the module has to be initialized
	faultVague                // anything: a dead token, or data that is not what it should be
	faultData                 // the data is not what it should be
	faultScarce               // something is used up, or the call was called off: later it may go well
)

// faults gives the meaning of return values; those that are not here mean faultNone.
var faults = map[uint]fault{
	pkcs11.CKR_SESSION_HANDLE_INVALID:        faultSession,
	pkcs11.CKR_SESSION_CLOSED:                faultSession,
	pkcs11.CKR_OPERATION_ACTIVE:              faultSession,
	pkcs11.CKR_OPERATION_NOT_INITIALIZED:     faultSession,
	pkcs11.CKR_OBJECT_HANDLE_INVALID:         faultObject,
	pkcs11.CKR_KEY_HANDLE_INVALID:            faultObject,
	pkcs11.CKR_WRAPPING_KEY_HANDLE_INVALID:   faultObject,
	pkcs11.CKR_UNWRAPPING_KEY_HANDLE_INVALID: faultObject,
	pkcs11.CKR_USER_NOT_LOGGED_IN:            faultLogin,
	pkcs11.CKR_DEVICE_ERROR:                  faultDevice,
	pkcs11.CKR_DEVICE_REMOVED:                faultDevice,
	pkcs11.CKR_TOKEN_NOT_PRESENT:             faultDevice,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED:          faultDevice,
	pkcs11.CKR_SLOT_ID_INVALID:               faultDevice,
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED:      faultModule,
	pkcs11.CKR_GENERAL_ERROR:                 faultVague,
	pkcs11.CKR_FUNCTION_FAILED:               faultVague,
	pkcs11.CKR_HOST_MEMORY:                   faultScarce,
	pkcs11.CKR_DEVICE_MEMORY:                 faultScarce,
	pkcs11.CKR_CANCEL:                        faultScarce,
	pkcs11.CKR_FUNCTION_CANCELED:             faultScarce,
	pkcs11.CKR_FUNCTION_REJECTED:             faultScarce,
	pkcs11.CKR_CANT_LOCK:                     faultScarce,
	pkcs11.CKR_SESSION_COUNT:                 faultScarce,
	pkcs11.CKR_ENCRYPTED_DATA_INVALID:        faultData,
	pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE:      faultData,
	pkcs11.CKR_DATA_INVALID:                  faultData,
	pkcs11.CKR_DATA_LEN_RANGE:                faultData,
	pkcs11.CKR_SIGNATURE_INVALID:             faultData,
	pkcs11.CKR_SIGNATURE_LEN_RANGE:           faultData,
	pkcs11.CKR_WRAPPED_KEY_INVALID:           faultData,
	pkcs11.CKR_WRAPPED_KEY_LEN_RANGE:         faultData,
}

// meaning is that of a return value. A vendor's own may mean anything.
func meaning(rv uint) fault {
	if rv >= pkcs11.CKR_VENDOR_DEFINED {
		return faultVague
	}
	return faults[rv]
}

// faultOf is what err means.
func faultOf(err error) fault {
	if err == errStale {
		return faultSession
	}
	var gone *workerGone
	if errors.As(err, &gone) {
		return faultDevice
	}
	var retry again
	if errors.As(err, &retry) {
		return faultSession
	}
	var ck ckError
	if !errors.As(err, &ck) {
		return faultNone
	}
	return meaning(ck.rv)
}

// refused says that the module turned a call away at its door, so that it had no effect. CKR_SESSION_CLOSED is of a call under way
// (PKCS#11 2.40 §5.1.2).
func refused(err error) bool {
	if is(err, pkcs11.CKR_SESSION_CLOSED) {
		return false
	}
	switch faultOf(err) {
	case faultSession, faultLogin, faultModule:
		return true
	}
	return false
}

// is says whether err is that return value.
func is(err error, rv uint) bool {
	var ck ckError
	return errors.As(err, &ck) && ck.rv == rv
}

// badData says that an operation failed on its data: the module began it, and the token lives (the caller made sure).
func badData(err error) bool {
	var ck ckError
	if !errors.As(err, &ck) {
		return false
	}
	switch meaning(ck.rv) {
	case faultData:
		return true
	case faultNone, faultVague:
		return ck.begun
	}
	return false
}

// reasons gives the Result Reason for return values that concern the request; all others are General Failure.
var reasons = map[uint]kmip.ResultReason{
	pkcs11.CKR_MECHANISM_INVALID:                kmip.ResultReasonUnsupportedCryptographicParameters,
	pkcs11.CKR_MECHANISM_PARAM_INVALID:          kmip.ResultReasonUnsupportedCryptographicParameters,
	pkcs11.CKR_KEY_TYPE_INCONSISTENT:            kmip.ResultReasonUnsupportedCryptographicParameters,
	pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED:       kmip.ResultReasonIncompatibleCryptographicUsageMask,
	pkcs11.CKR_KEY_SIZE_RANGE:                   kmip.ResultReasonInvalidField,
	pkcs11.CKR_KEY_UNEXTRACTABLE:                kmip.ResultReasonNotExtractable,
	pkcs11.CKR_ATTRIBUTE_SENSITIVE:              kmip.ResultReasonSensitive,
	pkcs11.CKR_ATTRIBUTE_VALUE_INVALID:          kmip.ResultReasonInvalidField,
	pkcs11.CKR_DOMAIN_PARAMS_INVALID:            kmip.ResultReasonInvalidField,
	pkcs11.CKR_TOKEN_WRITE_PROTECTED:            kmip.ResultReasonPermissionDenied,
	pkcs11.CKR_SESSION_READ_ONLY:                kmip.ResultReasonPermissionDenied,
	pkcs11.CKR_FUNCTION_NOT_SUPPORTED:           kmip.ResultReasonOperationNotSupported,
	pkcs11.CKR_WRAPPING_KEY_SIZE_RANGE:          kmip.ResultReasonInvalidField,
	pkcs11.CKR_UNWRAPPING_KEY_SIZE_RANGE:        kmip.ResultReasonInvalidField,
	pkcs11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT:   kmip.ResultReasonUnsupportedCryptographicParameters,
	pkcs11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT: kmip.ResultReasonUnsupportedCryptographicParameters,
}

// tell makes the error that a client sees of one that a token gave. Errors that were made for clients pass unchanged.
func (s *slot) tell(err error) error {
	var told *kmip.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	switch faultOf(err) {
	case faultSession, faultLogin, faultDevice, faultModule, faultObject:
		return s.unavailable(err)
	case faultData:
		return kmip.Errorf(kmip.ResultReasonCryptographicFailure, "slot %d: %w", s.Number, err)
	}
	var ck ckError
	if errors.As(err, &ck) {
		reason := reasons[ck.rv]
		if reason == 0 {
			reason = kmip.ResultReasonGeneralFailure
		}
		return kmip.Errorf(reason, "slot %d: %w", s.Number, err)
	}
	return fmt.Errorf("slot %d: %w", s.Number, err)
}

// unavailable is the error of a token that cannot be used now.
func (s *slot) unavailable(err error) error {
	return kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot %d: HSM unavailable: %w", s.Number, err)
}
