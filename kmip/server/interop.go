package server

import (
	"strconv"

	"strongroom/kmip"
)

// longestInteropIdentifier is in bytes.
const longestInteropIdentifier = 256

// interop answers Interop. KMIP 2.1 §6.1.26 does not want the operation in a production server, for its Reset takes everything
// back to the beginning. Begin and End say which test case the requests belong to, and write a line of the log; Reset is
// refused.
func (r *Request) interop(_ *call, q *kmip.InteropRequest) (*kmip.InteropResponse, error) {
	switch q.InteropFunction {
	case kmip.InteropFunctionBegin, kmip.InteropFunctionEnd:
	case kmip.InteropFunctionReset:
		return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "Interop Reset would destroy what others keep, and is not supported")
	default:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "there is no Interop Function %v", q.InteropFunction)
	}
	if len(q.InteropIdentifier) > longestInteropIdentifier {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Interop Identifier has %d bytes, at most %d are taken", len(q.InteropIdentifier), longestInteropIdentifier)
	}
	r.server.Log.Info("interoperability test", "function", q.InteropFunction.String(), "case", strconv.QuoteToGraphic(q.InteropIdentifier), "identity", r.identity)
	return &kmip.InteropResponse{}, nil
}
