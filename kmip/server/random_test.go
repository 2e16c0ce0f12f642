package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestRNGSeed shows that as much of a seed is used as the configuration lets, and that the answer says how much.
func TestRNGSeed(t *testing.T) {
	for _, v := range []struct {
		most int
		used int32 // -1: refused
	}{{0, 0}, {16, 16}, {32, 32}, {4096, 32}, {-1, -1}} {
		g := newRig(t, Limits{})
		g.server.Seed = v.most
		c := g.client("alice", ttlv.V2_1)
		if v.used < 0 {
			require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{Data: make([]byte, 32)}))
			continue
		}
		require.Equal(t, v.used, must[kmip.RNGSeedResponse](t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{Data: make([]byte, 32)}).DataLength)
		require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{}))
	}
}
