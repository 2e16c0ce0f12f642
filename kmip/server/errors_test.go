package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// tag is one attribute.
func tag(t ttlv.Tag, value any) kmip.Attributes { return kmip.Attributes{{Tag: t, Value: value}} }

// withoutMaterial registers a key of which only attributes are here.
func withoutMaterial(t *testing.T, g *rig) kmip.UniqueIdentifier {
	value := plainAES(make([]byte, 32))
	value.SymmetricKey.KeyBlock.KeyValue = nil
	value.SymmetricKey.KeyBlock.CryptographicAlgorithm, value.SymmetricKey.KeyBlock.CryptographicLength = kmip.CryptographicAlgorithmAES, 256
	return must[kmip.RegisterResponse](t, g.client("alice", ttlv.V1_4), kmip.OperationRegister, &kmip.RegisterRequest{
		ObjectType: kmip.ObjectTypeSymmetricKey, Value: value,
		Attributes: kmip.Attributes{{Tag: ttlv.TagKeyValueLocation, Value: kmip.KeyValueLocation{
			KeyValueLocationValue: "elsewhere", KeyValueLocationType: kmip.KeyValueLocationTypeUninterpretedTextString,
		}}},
	}).UniqueIdentifier
}

// TestKeyValueNotPresent: Get has its own reason in 1.x (KMIP 1.4 §11.5, §11.12); Re-key replaces nothing that is not here.
func TestKeyValueNotPresent(t *testing.T) {
	g := newRig(t, Limits{})
	uid := withoutMaterial(t, g)
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_2, ttlv.V1_4, ttlv.V2_1} {
		c := g.client("alice", v)
		get, rekey := kmip.ResultReasonIllegalOperation, kmip.ResultReasonKeyValueNotPresent
		if v >= ttlv.V2_0 {
			get = kmip.ResultReasonKeyValueNotPresent
		}
		if v < ttlv.V1_2 {
			rekey = kmip.ResultReasonIllegalOperation
		}
		require.Equal(t, get, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}), "%v", v)
		require.Equal(t, rekey, reason(t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: uid}), "%v", v)
	}
}

// TestOffset: an Offset is not given beside dates that it sets, nor where dates would move without an Activation Date. KMIP 1.4 §11.5.
func TestOffset(t *testing.T) {
	g := newRig(t, Limits{})
	offset := ttlv.Interval(60)
	deactivation := tag(ttlv.TagDeactivationDate, time.Now().Add(24*time.Hour))
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		c := g.client("alice", v)
		made := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
		q := &kmip.ReKeyRequest{UniqueIdentifier: made, Offset: &offset, Attributes: deactivation}
		require.Equal(t, kmip.ResultReasonInvalidMessage, reason(t, c, kmip.OperationReKey, q), "%v", v)

		unborn := aes("")
		unborn.Attributes = append(unborn.Attributes.Without(ttlv.TagActivationDate), deactivation...)
		made = must[kmip.CreateResponse](t, c, kmip.OperationCreate, unborn).UniqueIdentifier
		want := kmip.ResultReasonIllegalOperation
		if v >= ttlv.V2_0 {
			want = kmip.ResultReasonAttributeNotFound
		}
		require.Equal(t, want, reason(t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: made, Offset: &offset}), "%v", v)
		must[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: made})
	}
}

// TestOffsetLatest: the largest date stands for none, and does not move.
func TestOffsetLatest(t *testing.T) {
	last := time.Unix(kmip.LatestDate, 0)
	require.Equal(t, last.Unix(), shifted(last, 10).Unix())
	require.Equal(t, last.Unix(), shifted(last, -10).Unix())
	require.Equal(t, last.Unix(), shifted(time.Unix(kmip.LatestDate-5, 0), 10).Unix())
	require.Equal(t, int64(90), shifted(time.Unix(100, 0), -10).Unix())
}

// TestWindowLatest: a Process Start Date that never comes lets nothing happen, a Protect Stop Date that never comes stops nothing.
func TestWindowLatest(t *testing.T) {
	now, last := time.Now(), time.Unix(kmip.LatestDate, 0)
	starts := &kmip.Object{Attributes: tag(ttlv.TagProcessStartDate, last)}
	require.Error(t, fromProcessStart.open(starts, now))
	require.Error(t, untilProtectStop.open(starts, now))
	stops := &kmip.Object{Attributes: tag(ttlv.TagProtectStopDate, last)}
	require.NoError(t, untilProtectStop.open(stops, now))
	require.NoError(t, fromProcessStart.open(stops, now))
}

// TestDeriveReasons: what cannot be derived from is an Invalid Field in 1.x. KMIP 1.4 §11.7.
func TestDeriveReasons(t *testing.T) {
	g := newRig(t, Limits{})
	unborn := aes("")
	unborn.Attributes = unborn.Attributes.Without(ttlv.TagActivationDate).With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskDeriveKey)
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		c := g.client("alice", v)
		derive := func(from kmip.UniqueIdentifier) kmip.ResultReason {
			return reason(t, c, kmip.OperationDeriveKey, &kmip.DeriveKeyRequest{
				ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{from}, DerivationMethod: kmip.DerivationMethodHMAC,
				DerivationParameters: kmip.DerivationParameters{DerivationData: [][]byte{{1}}}, Attributes: tag(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES),
			})
		}
		state, mask := kmip.ResultReasonInvalidField, kmip.ResultReasonInvalidField
		if v >= ttlv.V2_0 {
			state, mask = kmip.ResultReasonWrongKeyLifecycleState, kmip.ResultReasonIncompatibleCryptographicUsageMask
		}
		require.Equal(t, state, derive(must[kmip.CreateResponse](t, c, kmip.OperationCreate, unborn).UniqueIdentifier), "%v", v)
		require.Equal(t, mask, derive(must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier), "%v", v)
	}
}

// TestGetAttributesTwice: an attribute is asked for once. KMIP 1.4 §4.12, KMIP 2.1 §6.1.20.
func TestGetAttributesTwice(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		c := g.client("alice", v)
		uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
		state := kmip.Attribute{Tag: ttlv.TagState}
		q := &kmip.GetAttributesRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{state, state}}
		require.Equal(t, kmip.ResultReasonInvalidMessage, reason(t, c, kmip.OperationGetAttributes, q))
	}
}

// TestDeletedIndex: the answer names the instance that went by its index. KMIP 1.4 §4.16.
func TestDeletedIndex(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V1_4)
	purpose := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorClient, Name: "purpose"}
	q := aes("")
	for _, value := range []string{"a", "b", "c"} {
		a := purpose
		a.Value = value
		q.Attributes = append(q.Attributes, a)
	}
	uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, q).UniqueIdentifier
	index := int32(1)
	gone := must[kmip.DeleteAttributeResponse](t, c, kmip.OperationDeleteAttribute, &kmip.DeleteAttributeRequest{
		UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{purpose}, AttributeIndex: &index,
	}).Attribute
	require.Len(t, gone, 1)
	require.Equal(t, "b", gone[0].Value)
	n, _ := gone[0].Index()
	require.Equal(t, 1, n)
}

// TestTemplateLife: a template has no State, and is not used. KMIP 1.4 §11.4, §11.11, §11.18, §11.20, §11.21.
func TestTemplateLife(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V1_4)
	register := func(name string, contents kmip.Attributes) *kmip.RegisterRequest {
		return &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeTemplate, Value: kmip.Value{Template: &kmip.Template{Attributes: contents}}, Attributes: kmip.Attributes{
			{Tag: ttlv.TagName, Value: kmip.Name{NameValue: name, NameType: kmip.NameTypeUninterpretedTextString}},
			{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Hour)},
		}}
	}
	algorithm := tag(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES)
	named := algorithm.Plus(ttlv.TagName, kmip.Name{NameValue: "key", NameType: kmip.NameTypeUninterpretedTextString})
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRegister, register("named", named)))

	uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, register("plain", algorithm)).UniqueIdentifier
	all := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
	require.False(t, all.Contains(ttlv.TagState))
	require.Equal(t, kmip.ResultReasonIllegalOperation, reason(t, c, kmip.OperationActivate, &kmip.ActivateRequest{UniqueIdentifier: uid}))
	require.Equal(t, kmip.ResultReasonIllegalOperation, reason(t, c, kmip.OperationCheck, &kmip.CheckRequest{UniqueIdentifier: uid}))
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationObtainLease, &kmip.ObtainLeaseRequest{UniqueIdentifier: uid}))
	revoke := &kmip.RevokeRequest{UniqueIdentifier: uid, RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeKeyCompromise}}
	require.Equal(t, kmip.ResultReasonIllegalOperation, reason(t, c, kmip.OperationRevoke, revoke))
	must[kmip.DestroyResponse](t, c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: uid})
}

// TestQueryObjects: templates are of 1.x, certificate requests of 2.x.
func TestQueryObjects(t *testing.T) {
	g := newRig(t, Limits{})
	for v, has := range map[ttlv.Version]kmip.ObjectType{ttlv.V1_0: kmip.ObjectTypeTemplate, ttlv.V1_4: kmip.ObjectTypeTemplate, ttlv.V2_1: kmip.ObjectTypeCertificateRequest} {
		types := must[kmip.QueryResponse](t, g.client("alice", v), kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryObjects}}).ObjectType
		require.Contains(t, types, has, "%v", v)
		for _, x := range types {
			require.True(t, ttlv.Defined(ttlv.TagObjectType, uint32(x), v), "%v in %v", x, v)
		}
	}
}

// TestLeaseEnds: what is past its Deactivation Date gets no lease. KMIP 2.1 §4.57, KMIP 1.4 §11.18.
func TestLeaseEnds(t *testing.T) {
	g := newRig(t, Limits{})
	for v, want := range map[ttlv.Version]kmip.ResultReason{ttlv.V1_0: kmip.ResultReasonPermissionDenied, ttlv.V2_1: kmip.ResultReasonWrongKeyLifecycleState} {
		c := g.client("alice", v)
		q := aes("")
		q.Attributes = q.Attributes.With(ttlv.TagActivationDate, time.Now().Add(-2*time.Hour))
		fit := must[kmip.CreateResponse](t, c, kmip.OperationCreate, q).UniqueIdentifier
		must[kmip.ObtainLeaseResponse](t, c, kmip.OperationObtainLease, &kmip.ObtainLeaseRequest{UniqueIdentifier: fit})
		q.Attributes = q.Attributes.With(ttlv.TagDeactivationDate, time.Now().Add(-time.Hour))
		expired := must[kmip.CreateResponse](t, c, kmip.OperationCreate, q).UniqueIdentifier
		require.Equal(t, want, reason(t, c, kmip.OperationObtainLease, &kmip.ObtainLeaseRequest{UniqueIdentifier: expired}), "%v", v)
	}
}
