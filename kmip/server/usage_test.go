package server

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

func usageLimits(total int64, unit kmip.UsageLimitsUnit) kmip.UsageLimits {
	return kmip.UsageLimits{UsageLimitsTotal: total, UsageLimitsUnit: unit}
}

// limited asks for an AES key with Usage Limits. The count that the request gives is to be ignored.
func limited(uid string, total int64, unit kmip.UsageLimitsUnit) *kmip.CreateRequest {
	q, wrong := aes(uid), int64(1<<40)
	l := usageLimits(total, unit)
	l.UsageLimitsCount = &wrong
	q.Attributes = q.Attributes.With(ttlv.TagUsageLimits, l)
	return q
}

func left(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier) int64 {
	t.Helper()
	return *attribute[kmip.UsageLimits](t, c, uid, ttlv.TagUsageLimits).UsageLimitsCount
}

func encrypting(uid kmip.UniqueIdentifier, n int) *kmip.EncryptRequest {
	return &kmip.EncryptRequest{UniqueIdentifier: uid, Data: make([]byte, n)}
}

func TestUsageLimits(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			exceeded := kmip.ResultReasonPermissionDenied
			b := must[kmip.CreateResponse](t, c, kmip.OperationCreate, limited("", 100, kmip.UsageLimitsUnitByte)).UniqueIdentifier
			require.EqualValues(t, 100, left(t, c, b))
			e := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, encrypting(b, 60))
			require.EqualValues(t, 40, left(t, c, b))
			require.Equal(t, exceeded, reason(t, c, kmip.OperationEncrypt, encrypting(b, 41)))
			p := &kmip.EncryptRequest{UniqueIdentifier: b, Data: make([]byte, 5), CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC}}
			_ = reason(t, c, kmip.OperationEncrypt, p) // no whole block and no padding
			require.EqualValues(t, 40, left(t, c, b), "what fails is not counted")
			must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, encrypting(b, 39))
			must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, encrypting(b, 0))
			require.Equal(t, exceeded, reason(t, c, kmip.OperationEncrypt, encrypting(b, 0)))
			must[kmip.DecryptResponse](t, c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: b, Data: e.Data, IVCounterNonce: e.IVCounterNonce, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag})
			require.EqualValues(t, 0, left(t, c, b))
			require.EqualValues(t, 100, attribute[kmip.UsageLimits](t, c, b, ttlv.TagUsageLimits).UsageLimitsTotal)

			key := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, registered(bytes.Repeat([]byte{1}, 32), kmip.CryptographicUsageMaskMACGenerate|kmip.CryptographicUsageMaskMACVerify,
				kmip.Attribute{Tag: ttlv.TagUsageLimits, Value: usageLimits(1, kmip.UsageLimitsUnitObject)})).UniqueIdentifier
			mac := must[kmip.MACResponse](t, c, kmip.OperationMAC, &kmip.MACRequest{UniqueIdentifier: key, Data: make([]byte, 1000)})
			require.Equal(t, exceeded, reason(t, c, kmip.OperationMAC, &kmip.MACRequest{UniqueIdentifier: key, Data: make([]byte, 1)}))
			verified := must[kmip.MACVerifyResponse](t, c, kmip.OperationMACVerify, &kmip.MACVerifyRequest{UniqueIdentifier: key, Data: make([]byte, 1000), MACData: mac.MACData})
			require.Equal(t, kmip.ValidityIndicatorValid, verified.ValidityIndicator)
		})
	}
}

// TestUsageLimitsAtOnce shows that no use is lost and none too many, whoever asks at once, and that the key is whole after.
func TestUsageLimitsAtOnce(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	const total, clients, each = 50, 8, 10
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, limited("k", total, kmip.UsageLimitsUnitObject))
	before := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}).SymmetricKey.KeyBlock.KeyValue.Material
	var done, refused atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		c := g.client("alice", ttlv.V2_1)
		wg.Go(func() {
			for range each {
				if _, err := client.Do[kmip.EncryptResponse](t.Context(), c, kmip.OperationEncrypt, encrypting("k", 1)); err == nil {
					done.Add(1)
				} else if kmip.ResultReasonPermissionDenied == err.(*client.Error).Reason {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, total, done.Load())
	require.EqualValues(t, clients*each-total, refused.Load())
	require.Zero(t, left(t, c, "k"))
	after := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}).SymmetricKey.KeyBlock.KeyValue.Material
	require.Equal(t, before, after)
}

// TestUsageLimitsOfWrappingKey shows that wrapping for a client counts, and that such a key does not protect others at rest.
func TestUsageLimitsOfWrappingKey(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	kek := limited("kek", 1, kmip.UsageLimitsUnitObject)
	kek.Attributes = kek.Attributes.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskWrapKey)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, kek)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("data"))
	get := &kmip.GetRequest{UniqueIdentifier: "data", KeyWrappingSpecification: &kmip.KeyWrappingSpecification{
		WrappingMethod: kmip.WrappingMethodEncrypt,
		EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: "kek",
			CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}},
		EncodingOption: kmip.EncodingOptionNoEncoding,
	}}
	must[kmip.GetResponse](t, c, kmip.OperationGet, get)
	require.Zero(t, left(t, c, "kek"))
	require.Equal(t, kmip.ResultReasonUsageLimitExceeded, reason(t, c, kmip.OperationGet, get))
	q := aes("wrapped")
	q.Attributes = q.Attributes.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, "kek")
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationCreate, q))
}

// TestUsageLimitsOnceUsed shows that a client changes Usage Limits only as long as nothing of them was used.
func TestUsageLimitsOnceUsed(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, limited("k", 10, kmip.UsageLimitsUnitObject))
	change := func(total int64) *kmip.ModifyAttributeRequest {
		return &kmip.ModifyAttributeRequest{UniqueIdentifier: "k", NewAttribute: kmip.Attributes{{Tag: ttlv.TagUsageLimits, Value: usageLimits(total, kmip.UsageLimitsUnitObject)}}}
	}
	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, change(20))
	require.EqualValues(t, 20, left(t, c, "k"))
	must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, encrypting("k", 1))
	require.Equal(t, kmip.ResultReasonAttributeReadOnly, reason(t, c, kmip.OperationModifyAttribute, change(30)))
	require.Equal(t, kmip.ResultReasonReadOnlyAttribute, reason(t, c, kmip.OperationSetAttribute, set("k", kmip.Attribute{Tag: ttlv.TagUsageLimits, Value: usageLimits(30, kmip.UsageLimitsUnitObject)})))
	require.Equal(t, kmip.ResultReasonAttributeReadOnly, reason(t, c, kmip.OperationDeleteAttribute, &kmip.DeleteAttributeRequest{
		UniqueIdentifier: "k", AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagUsageLimits}}}))
	require.EqualValues(t, 19, left(t, c, "k"))
}

func TestGetUsageAllocation(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, limited("", 10, kmip.UsageLimitsUnitByte)).UniqueIdentifier
			allocate := func(uid kmip.UniqueIdentifier, n int64) *kmip.GetUsageAllocationRequest {
				return &kmip.GetUsageAllocationRequest{UniqueIdentifier: uid, UsageLimitsCount: &n}
			}
			require.Equal(t, uid, must[kmip.GetUsageAllocationResponse](t, c, kmip.OperationGetUsageAllocation, allocate(uid, 7)).UniqueIdentifier)
			require.EqualValues(t, 3, left(t, c, uid))
			require.Equal(t, kmip.ResultReasonUsageLimitExceeded.At(v), reason(t, c, kmip.OperationGetUsageAllocation, allocate(uid, 4)))
			require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationGetUsageAllocation, allocate(uid, -1)))
			require.Equal(t, kmip.ResultReasonInvalidMessage, reason(t, c, kmip.OperationGetUsageAllocation, &kmip.GetUsageAllocationRequest{UniqueIdentifier: uid}))
			free := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
			require.Equal(t, kmip.ResultReasonAttributeNotFound.For(kmip.OperationGetUsageAllocation, v), reason(t, c, kmip.OperationGetUsageAllocation, allocate(free, 1)))
			must[kmip.GetUsageAllocationResponse](t, c, kmip.OperationGetUsageAllocation, allocate(uid, 3))
			require.Equal(t, kmip.ResultReasonUsageLimitExceeded.At(v), reason(t, c, kmip.OperationObtainLease, &kmip.ObtainLeaseRequest{UniqueIdentifier: uid}))
			lease := must[kmip.ObtainLeaseResponse](t, c, kmip.OperationObtainLease, &kmip.ObtainLeaseRequest{UniqueIdentifier: free})
			require.Equal(t, kmip.LeaseTime, lease.LeaseTime)
			require.Equal(t, kmip.LeaseTime, attribute[ttlv.Interval](t, c, free, ttlv.TagLeaseTime))
			require.True(t, lease.LastChangeDate.Equal(attribute[time.Time](t, c, free, ttlv.TagLastChangeDate)))
		})
	}
}

// TestCheck shows that a refusal gives back what of the request it is for, and that the batch has no placeholder after it.
func TestCheck(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			few, many := int64(10), int64(11)
			encrypts, signs := kmip.CryptographicUsageMaskEncrypt, kmip.CryptographicUsageMaskSign
			short, long := kmip.LeaseTime, kmip.LeaseTime+1
			ask := func(q *kmip.CheckRequest) *kmip.ResponseMessage {
				return exchange(t, c, v, &kmip.RequestMessage{
					RequestHeader: kmip.RequestHeader{BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionContinue},
					BatchItem: []kmip.RequestBatchItem{
						item(t, v, kmip.OperationCreate, "a", limited("", 10, kmip.UsageLimitsUnitByte)),
						item(t, v, kmip.OperationCheck, "b", q),
						item(t, v, kmip.OperationGet, "c", &kmip.GetRequest{}),
					}})
			}
			m := ask(&kmip.CheckRequest{UsageLimitsCount: &few, CryptographicUsageMask: &encrypts, LeaseTime: &short})
			require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[1].ResultStatus, m.BatchItem[1].ResultMessage)
			require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[2].ResultStatus)
			for want, q := range map[kmip.ResultReason]kmip.CheckRequest{
				kmip.ResultReasonUsageLimitExceeded:                 {UsageLimitsCount: &many, CryptographicUsageMask: &encrypts, LeaseTime: &short},
				kmip.ResultReasonIncompatibleCryptographicUsageMask: {UsageLimitsCount: &few, CryptographicUsageMask: &signs},
				kmip.ResultReasonPermissionDenied:                   {LeaseTime: &long, CryptographicUsageMask: &encrypts},
			} {
				m := ask(&q)
				require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[1].ResultStatus)
				require.Equal(t, want.At(v), m.BatchItem[1].ResultReason)
				var refused, expected kmip.CheckResponse
				require.NoError(t, ttlv.Unmarshal(m.BatchItem[1].ResponsePayload, v, ttlv.TagResponsePayload, &refused, nil))
				switch want {
				case kmip.ResultReasonUsageLimitExceeded:
					expected.UsageLimitsCount = &many
				case kmip.ResultReasonIncompatibleCryptographicUsageMask:
					expected.CryptographicUsageMask = &signs
				default:
					expected.LeaseTime = &long
				}
				require.Equal(t, expected, refused)
				require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[2].ResultStatus, "the placeholder is empty")
			}
		})
	}
}

// TestCheckState shows that a key which is not Active is refused for protecting, and a Deactivated one not for reading.
func TestCheckState(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("k"))
	check := func(m kmip.CryptographicUsageMask) *kmip.CheckRequest {
		return &kmip.CheckRequest{UniqueIdentifier: "k", CryptographicUsageMask: &m}
	}
	must[kmip.CheckResponse](t, c, kmip.OperationCheck, check(kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskDecrypt))
	must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, &kmip.RevokeRequest{UniqueIdentifier: "k", RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeSuperseded}})
	must[kmip.CheckResponse](t, c, kmip.OperationCheck, check(kmip.CryptographicUsageMaskDecrypt))
	require.Equal(t, kmip.ResultReasonIncompatibleCryptographicUsageMask, reason(t, c, kmip.OperationCheck, check(kmip.CryptographicUsageMaskEncrypt)))
}
