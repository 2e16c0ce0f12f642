package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestInterop shows that a test case may be announced, that nothing is reset, and that 1.4 does not know the operation.
func TestInterop(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("k"))
	for _, f := range []kmip.InteropFunction{kmip.InteropFunctionBegin, kmip.InteropFunctionEnd} {
		must[kmip.InteropResponse](t, c, kmip.OperationInterop, &kmip.InteropRequest{InteropFunction: f, InteropIdentifier: "BL-M-1-21"})
	}
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, c, kmip.OperationInterop, &kmip.InteropRequest{InteropFunction: kmip.InteropFunctionReset}))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationInterop, &kmip.InteropRequest{InteropFunction: 9}))
	must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"})
	must[kmip.InteropResponse](t, g.client("alice", ttlv.V2_0), kmip.OperationInterop, &kmip.InteropRequest{InteropFunction: kmip.InteropFunctionBegin})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, g.client("alice", ttlv.V1_4), kmip.OperationInterop, &kmip.InteropRequest{InteropFunction: kmip.InteropFunctionBegin}))
}
