package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestProtectionStorageMasks shows that an object is kept as one of the masks of its request wants, or is not made.
func TestProtectionStorageMasks(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	const software, hardware = kmip.ProtectionStorageMaskSoftware, kmip.ProtectionStorageMaskHardware
	for _, test := range []struct {
		masks kmip.ProtectionStorageMasks
		made  bool
	}{
		{nil, true},
		{kmip.ProtectionStorageMasks{}, true},
		{kmip.ProtectionStorageMasks{software}, true},
		{kmip.ProtectionStorageMasks{hardware, software}, true},
		{kmip.ProtectionStorageMasks{hardware}, false},
		{kmip.ProtectionStorageMasks{software | hardware}, false},
		{kmip.ProtectionStorageMasks{software | kmip.ProtectionStorageMaskValidated}, false},
	} {
		create := aes("")
		create.ProtectionStorageMasks = test.masks
		register := rawKey("")
		register.Attributes = register.Attributes.Without(ttlv.TagUniqueIdentifier)
		register.ProtectionStorageMasks = test.masks
		pair := func(common, private, public kmip.ProtectionStorageMasks) *kmip.CreateKeyPairRequest {
			return &kmip.CreateKeyPairRequest{
				CommonAttributes:             kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmECDSA).With(ttlv.TagCryptographicLength, int32(256)),
				CommonProtectionStorageMasks: common, PrivateProtectionStorageMasks: private, PublicProtectionStorageMasks: public,
			}
		}
		if test.made {
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, create).UniqueIdentifier
			require.Equal(t, software, attribute[kmip.ProtectionStorageMask](t, c, uid, ttlv.TagProtectionStorageMask))
			must[kmip.RegisterResponse](t, c, kmip.OperationRegister, register)
			must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, pair(test.masks, test.masks, test.masks))
			continue
		}
		require.Equal(t, kmip.ResultReasonProtectionStorageUnavailable, reason(t, c, kmip.OperationCreate, create))
		require.Equal(t, kmip.ResultReasonProtectionStorageUnavailable, reason(t, c, kmip.OperationRegister, register))
		require.Equal(t, kmip.ResultReasonPrivateProtectionStorageUnavailable, reason(t, c, kmip.OperationCreateKeyPair, pair(test.masks, nil, nil)))
		require.Equal(t, kmip.ResultReasonPrivateProtectionStorageUnavailable, reason(t, c, kmip.OperationCreateKeyPair, pair(nil, test.masks, nil)))
		require.Equal(t, kmip.ResultReasonPublicProtectionStorageUnavailable, reason(t, c, kmip.OperationCreateKeyPair, pair(nil, nil, test.masks)))
	}
	answer := must[kmip.QueryResponse](t, c, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryStorageProtectionMasks}})
	require.Equal(t, kmip.ProtectionStorageMasks{software}, answer.ProtectionStorageMasks)
}
