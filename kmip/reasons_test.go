package kmip

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// specified are the result reasons of each version's table: KMIP 1.0 §9.1.3.2.28, KMIP 1.2 and 1.4 §9.1.3.2.29, KMIP 2.0 §11.45,
// KMIP 2.1 §11.46. 1.1 adds the reason that its Encoding Option needs; 1.3 has the table of 1.2.
var specified = map[ttlv.Version][][2]ResultReason{ // from, to
	ttlv.V1_0: {{0x01, 0x11}, {0x100, 0x100}},
	ttlv.V1_1: {{0x01, 0x12}, {0x100, 0x100}},
	ttlv.V1_2: {{0x01, 0x15}, {0x100, 0x100}},
	ttlv.V1_3: {{0x01, 0x15}, {0x100, 0x100}},
	ttlv.V1_4: {{0x01, 0x18}, {0x100, 0x100}},
	ttlv.V2_0: {{0x01, 0x0A}, {0x0C, 0x0D}, {0x0F, 0x26}, {0x28, 0x30}, {0x32, 0x32}, {0x34, 0x37}, {0x39, 0x49}, {0x100, 0x100}},
	ttlv.V2_1: {{0x01, 0x0A}, {0x0C, 0x0D}, {0x0F, 0x26}, {0x28, 0x30}, {0x32, 0x32}, {0x34, 0x37}, {0x39, 0x4C}, {0x100, 0x100}},
}

func known(v ttlv.Version, r ResultReason) bool {
	for _, span := range specified[v] {
		if r >= span[0] && r <= span[1] {
			return true
		}
	}
	return false
}

// TestReasonAt shows that no version hears a reason that its table lacks, of any operation, and each its own.
func TestReasonAt(t *testing.T) {
	for r := ResultReason(1); r <= ResultReasonGeneralFailure; r++ {
		if strings.HasPrefix(r.String(), "0x") {
			continue // not a reason
		}
		for v := range specified {
			require.True(t, known(v, r.At(v)), "%v becomes %v in %v", r, r.At(v), v)
			if known(v, r) {
				require.Equal(t, r, r.At(v), "%v is known in %v", r, v)
			} else if r < ResultReasonGeneralFailure {
				require.Contains(t, otherReasons, r, "%v is not known in %v", r, v)
			}
			for op := OperationCreate; op <= OperationReProvision; op++ {
				require.True(t, known(v, r.For(op, v)), "%v becomes %v of %v in %v", r, r.For(op, v), op, v)
			}
		}
	}
}

// TestReasonOf shows what KMIP 1.x says of errors that 2.x tells apart: the tables of §11.
func TestReasonOf(t *testing.T) {
	for _, c := range []struct {
		op      Operation
		r, want ResultReason
		section string
	}{
		{OperationPoll, ResultReasonInvalidAsynchronousCorrelationValue, ResultReasonItemNotFound, "KMIP 1.0 table 250"},
		{OperationEncrypt, ResultReasonInvalidCorrelationValue, ResultReasonItemNotFound, "KMIP 1.4 table 353"},
		{OperationEncrypt, ResultReasonInvalidObjectType, ResultReasonPermissionDenied, "KMIP 1.4 table 353"},
		{OperationReKey, ResultReasonInvalidObjectType, ResultReasonPermissionDenied, "KMIP 1.4 table 331"},
		{OperationDeriveKey, ResultReasonInvalidObjectType, ResultReasonInvalidField, "KMIP 1.4 table 333"},
		{OperationCheck, ResultReasonIllegalObjectType, ResultReasonIllegalOperation, "KMIP 1.4 table 337"},
		{OperationGet, ResultReasonInvalidObjectType, ResultReasonIllegalOperation, "KMIP 1.4 table 338"},
		{OperationGet, ResultReasonWrappingObjectNotFound, ResultReasonItemNotFound, "KMIP 1.4 table 338"},
		{OperationGet, ResultReasonObjectDestroyed, ResultReasonItemNotFound, "KMIP 1.4 table 338"},
		{OperationAddAttribute, ResultReasonAttributeReadOnly, ResultReasonPermissionDenied, "KMIP 1.4 table 341"},
		{OperationAddAttribute, ResultReasonAttributeSingleValued, ResultReasonIllegalOperation, "KMIP 1.4 table 341"},
		{OperationAddAttribute, ResultReasonServerLimitExceeded, ResultReasonIndexOutOfBounds, "KMIP 1.4 table 341"},
		{OperationModifyAttribute, ResultReasonAttributeNotFound, ResultReasonInvalidField, "KMIP 1.4 table 342"},
		{OperationModifyAttribute, ResultReasonAttributeInstanceNotFound, ResultReasonItemNotFound, "KMIP 1.4 table 342"},
		{OperationDeleteAttribute, ResultReasonAttributeNotFound, ResultReasonItemNotFound, "KMIP 1.4 table 343"},
		{OperationGetUsageAllocation, ResultReasonAttributeNotFound, ResultReasonIllegalOperation, "KMIP 1.4 table 345"},
		{OperationGetUsageAllocation, ResultReasonUsageLimitExceeded, ResultReasonPermissionDenied, "KMIP 1.4 table 345"},
		{OperationActivate, ResultReasonWrongKeyLifecycleState, ResultReasonPermissionDenied, "KMIP 1.4 table 346"},
		{OperationDestroy, ResultReasonObjectDestroyed, ResultReasonPermissionDenied, "KMIP 1.4 table 348"},
		{OperationDestroy, ResultReasonWrongKeyLifecycleState, ResultReasonPermissionDenied, "KMIP 1.4 table 348"},
	} {
		require.Equal(t, c.want, c.r.For(c.op, ttlv.V1_4), "%v of %v: %s", c.r, c.op, c.section)
		require.Equal(t, c.r, c.r.For(c.op, ttlv.V2_1))
	}
	require.Equal(t, ResultReasonFeatureNotSupported, ResultReasonUnknownMessageExtension.At(ttlv.V1_0), "KMIP 1.0 table 226")
	require.Equal(t, ResultReasonInvalidField, ResultReasonUnknownTag.At(ttlv.V1_0), "KMIP 1.0 table 226")
	require.Equal(t, ResultReasonInvalidMessage, ResultReasonUnsupportedProtocolVersion.At(ttlv.V1_0), "KMIP 1.0 table 226")
}
