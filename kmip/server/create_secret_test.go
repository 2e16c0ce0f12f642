package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestCreateSecretData: 2.x makes secret data, which 1.x does not. KMIP 2.1 §6.1.8, KMIP 1.4 §4.1.
func TestCreateSecretData(t *testing.T) {
	g := newRig(t, Limits{})
	q := &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSecretData, Attributes: tag(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskDeriveKey)}
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, g.client("alice", ttlv.V1_4), kmip.OperationCreate, q))
	for bits, given := range map[int]kmip.Attributes{256: nil, 1024: tag(ttlv.TagCryptographicLength, int32(1024))} {
		for _, v := range []ttlv.Version{ttlv.V2_0, ttlv.V2_1} {
			c := g.client("alice", v)
			q.Attributes = append(tag(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskDeriveKey), given...)
			made := must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
			require.Equal(t, kmip.ObjectTypeSecretData, made.ObjectType)
			secret := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier}).SecretData
			require.Equal(t, kmip.SecretDataTypeSeed, secret.SecretDataType)
			require.Len(t, secret.KeyBlock.KeyValue.Material, bits/8)
			have := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: made.UniqueIdentifier}).Attributes
			for _, x := range []ttlv.Tag{ttlv.TagState, ttlv.TagDigest, ttlv.TagOriginalCreationDate, ttlv.TagRandomNumberGenerator} {
				require.True(t, have.Contains(x), "%v", x)
			}
		}
	}
	q.Attributes = tag(ttlv.TagCryptographicLength, int32(7))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, g.client("alice", ttlv.V2_1), kmip.OperationCreate, q))
}
