package soft

import "strongroom/kmip"

// errDecryption is the one answer to anything that does not decrypt, whatever the cause: what more it said would help to
// forge or to decrypt.
var errDecryption = kmip.Errorf(kmip.ResultReasonCryptographicFailure, "decryption failed")

// errMissingIV is the reason that the standard's test cases expect (CS-BC-M-11-21).
var errMissingIV = kmip.Errorf(kmip.ResultReasonInvalidMessage, "the IV/Counter/Nonce is missing")

// badParameters refuses parameters that contradict the key, the data or one another.
func badParameters(format string, args ...any) error {
	return kmip.Errorf(kmip.ResultReasonBadCryptographicParameters, format, args...)
}

// notSupported refuses parameters that mean something, but nothing that this package does.
func notSupported(format string, args ...any) error {
	return kmip.Errorf(kmip.ResultReasonUnsupportedCryptographicParameters, format, args...)
}

// invalid refuses data or a field of an object.
func invalid(format string, args ...any) error {
	return kmip.Errorf(kmip.ResultReasonInvalidField, format, args...)
}

// whole refuses operations in parts.
func whole(first, last *bool, correlation []byte) error {
	if isTrue(first) || isTrue(last) || len(correlation) > 0 {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported,
			"cryptographic operations in parts (Init Indicator, Final Indicator, Correlation Value) are not supported")
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }
