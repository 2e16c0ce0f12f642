package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// attributesNamed are the instances of one attribute that a client sees.
func attributesNamed(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier, a kmip.Attribute) kmip.Attributes {
	t.Helper()
	return must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes,
		&kmip.GetAttributesRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{a}}).Attributes
}

func set(uid kmip.UniqueIdentifier, a kmip.Attribute) *kmip.SetAttributeRequest {
	return &kmip.SetAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{a}}
}

func TestSetAttribute(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V2_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
			comment := kmip.Attribute{Tag: ttlv.TagComment}
			for _, text := range []string{"added", "modified"} {
				comment.Value = text
				must[kmip.SetAttributeResponse](t, c, kmip.OperationSetAttribute, set(uid, comment))
				got := attributesNamed(t, c, uid, comment)
				require.Len(t, got, 1)
				require.Equal(t, text, got[0].Value)
			}
			name := func(s string) kmip.Attribute {
				return kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: s, NameType: kmip.NameTypeUninterpretedTextString}}
			}
			for _, s := range []string{"one", "two"} {
				must[kmip.AddAttributeResponse](t, c, kmip.OperationAddAttribute,
					&kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{name(v.String() + s)}})
			}
			for want, a := range map[kmip.ResultReason]kmip.Attribute{
				kmip.ResultReasonMultiValuedAttribute:   name("three"),
				kmip.ResultReasonReadOnlyAttribute:      {Tag: ttlv.TagCryptographicLength, Value: int32(128)},
				kmip.ResultReasonWrongKeyLifecycleState: {Tag: ttlv.TagActivationDate, Value: time.Now()},
				kmip.ResultReasonInvalidAttributeValue:  {Tag: ttlv.TagUsageLimits, Value: kmip.UsageLimits{UsageLimitsUnit: kmip.UsageLimitsUnitByte}},
			} {
				require.Equal(t, want, reason(t, c, kmip.OperationSetAttribute, set(uid, a)), "%v", a)
			}
		})
	}
	old := g.client("alice", ttlv.V1_4)
	uid := must[kmip.CreateResponse](t, old, kmip.OperationCreate, aes("")).UniqueIdentifier
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, old, kmip.OperationSetAttribute, &kmip.SetAttributeRequest{UniqueIdentifier: uid}))
}

// TestSetAttributeNeverLoosens shows that neither Set nor Adjust Attribute lets a sensitive key out.
func TestSetAttributeNeverLoosens(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	q := aes("s")
	q.Attributes = q.Attributes.With(ttlv.TagSensitive, true).With(ttlv.TagExtractable, false)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	for tag, loose := range map[ttlv.Tag]bool{ttlv.TagSensitive: false, ttlv.TagExtractable: true} {
		require.Equal(t, kmip.ResultReasonReadOnlyAttribute, reason(t, c, kmip.OperationSetAttribute, set("s", kmip.Attribute{Tag: tag, Value: loose})))
		require.Equal(t, kmip.ResultReasonReadOnlyAttribute, reason(t, c, kmip.OperationAdjustAttribute, adjusting("s", kmip.Attribute{Tag: tag}, kmip.AdjustmentTypeNegate, nil)))
	}
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("open"))
	must[kmip.AdjustAttributeResponse](t, c, kmip.OperationAdjustAttribute, adjusting("open", kmip.Attribute{Tag: ttlv.TagSensitive}, kmip.AdjustmentTypeNegate, nil))
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "open"}))
}

func adjusting(uid kmip.UniqueIdentifier, a kmip.Attribute, how kmip.AdjustmentType, by any) *kmip.AdjustAttributeRequest {
	q := &kmip.AdjustAttributeRequest{UniqueIdentifier: uid, AttributeReferences: kmip.AttributeReferences{a}, AdjustmentType: how}
	if by != nil {
		q.AdjustmentValue = &kmip.AdjustmentValue{Value: by}
	}
	return q
}

func TestAdjustAttribute(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V2_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
			period := kmip.Attribute{Tag: ttlv.TagProtectionPeriod}
			counter := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Name: "counter"}
			safe := kmip.Attribute{Tag: ttlv.TagQuantumSafe}
			stop := kmip.Attribute{Tag: ttlv.TagProtectStopDate, Value: time.Unix(2_000_000_000, 0).UTC()}
			must[kmip.SetAttributeResponse](t, c, kmip.OperationSetAttribute, set(uid, stop))
			for _, step := range []struct {
				a    kmip.Attribute
				how  kmip.AdjustmentType
				by   any
				want any
			}{
				{period, kmip.AdjustmentTypeIncrement, nil, ttlv.Interval(1)},
				{period, kmip.AdjustmentTypeIncrement, ttlv.Interval(9), ttlv.Interval(10)},
				{period, kmip.AdjustmentTypeDecrement, int32(4), ttlv.Interval(6)},
				{counter, kmip.AdjustmentTypeDecrement, int64(5), int64(-5)},
				{counter, kmip.AdjustmentTypeNegate, nil, int64(5)},
				{safe, kmip.AdjustmentTypeNegate, nil, true},
				{safe, kmip.AdjustmentTypeNegate, nil, false},
				{stop, kmip.AdjustmentTypeIncrement, nil, time.Unix(2_000_000_001, 0).UTC()},
			} {
				must[kmip.AdjustAttributeResponse](t, c, kmip.OperationAdjustAttribute, adjusting(uid, step.a, step.how, step.by))
				got := attributesNamed(t, c, uid, step.a)
				require.Len(t, got, 1)
				require.True(t, got[0].Equal(kmip.Attribute{Tag: step.a.Tag, Vendor: step.a.Vendor, Name: step.a.Name, Value: step.want}), "%v", got[0])
			}
			for name, bad := range map[string]struct {
				q    *kmip.AdjustAttributeRequest
				want kmip.ResultReason
			}{
				"below zero":        {adjusting(uid, period, kmip.AdjustmentTypeDecrement, int32(7)), kmip.ResultReasonNumericRange},
				"overflow":          {adjusting(uid, counter, kmip.AdjustmentTypeIncrement, int64(1<<63-1)), kmip.ResultReasonNumericRange},
				"read only":         {adjusting(uid, kmip.Attribute{Tag: ttlv.TagCryptographicLength}, kmip.AdjustmentTypeIncrement, nil), kmip.ResultReasonReadOnlyAttribute},
				"absent, no number": {adjusting(uid, kmip.Attribute{Tag: ttlv.TagComment}, kmip.AdjustmentTypeIncrement, nil), kmip.ResultReasonItemNotFound},
				"absent, no type":   {adjusting(uid, kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Name: "none"}, kmip.AdjustmentTypeIncrement, nil), kmip.ResultReasonItemNotFound},
				"negated interval":  {adjusting(uid, period, kmip.AdjustmentTypeNegate, nil), kmip.ResultReasonInvalidDataType},
				"incremented truth": {adjusting(uid, safe, kmip.AdjustmentTypeIncrement, nil), kmip.ResultReasonInvalidDataType},
				"no such type":      {adjusting(uid, period, 9, nil), kmip.ResultReasonInvalidField},
			} {
				require.Equal(t, bad.want, reason(t, c, kmip.OperationAdjustAttribute, bad.q), name)
			}
		})
	}
}
