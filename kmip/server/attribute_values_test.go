package server

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// TestVendorAttributeValues keeps a vendor attribute of each type that a value may have, and shows who sees which.
func TestVendorAttributeValues(t *testing.T) {
	g := newRig(t, Limits{})
	young := g.client("alice", ttlv.V2_1)
	flat := ttlv.Node{Tag: ttlv.TagAttributeValue, Type: ttlv.TypeStructure, Children: []ttlv.Node{
		{Tag: ttlv.TagComment, Type: ttlv.TypeTextString, Value: "in it"}, {Tag: ttlv.TagCryptographicLength, Type: ttlv.TypeInteger, Value: int32(7)},
	}}
	deep := ttlv.Node{Tag: ttlv.TagAttributeValue, Type: ttlv.TypeStructure, Children: []ttlv.Node{{Tag: ttlv.TagName, Type: ttlv.TypeStructure, Children: []ttlv.Node{
		{Tag: ttlv.TagRotateDate, Type: ttlv.TypeDateTimeExtended, Value: ttlv.DateTimeExtended(1)},
	}}}}
	values := []any{
		int32(-1), int64(1 << 40), big.NewInt(-5), kmip.Enumeration(0x80000001), true, "text", []byte{1, 2}, time.Unix(1_700_000_000, 0).UTC(), ttlv.Interval(9), flat,
	}
	newer := []any{ttlv.DateTimeExtended(1_700_000_000_000_001), deep}
	uid := must[kmip.CreateResponse](t, young, kmip.OperationCreate, aes("")).UniqueIdentifier
	for i, v := range append(values, newer...) {
		a := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Name: fmt.Sprint(i), Value: v}
		must[kmip.AddAttributeResponse](t, young, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{a}})
	}
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
		c := g.client("alice", v)
		for i, want := range append(values, newer...) {
			a := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Name: fmt.Sprint(i)}
			got := attributesNamed(t, c, uid, a)
			if i >= len(values) && v < ttlv.V2_0 {
				require.Empty(t, got, "1.x has no such type")
				continue
			}
			require.Len(t, got, 1)
			a.Value = want
			require.True(t, a.Equal(got[0]), "%v: %v", v, got[0].Value)
		}
	}
	old := g.client("alice", ttlv.V1_2)
	deep.Children[0].Children = nil
	nested := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Name: "deep", Value: deep}
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, old, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{nested}}))
}

// TestAttributeValuesRefused shows values that mean nothing, in each request that may bring them.
func TestAttributeValuesRefused(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	for name, test := range map[string]struct {
		a            kmip.Attribute
		create, adds kmip.ResultReason
	}{
		"a vendor with a space":       {kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "a b", Name: "n", Value: "v"}, kmip.ResultReasonInvalidAttributeValue, kmip.ResultReasonInvalidField},
		"no vendor":                   {kmip.Attribute{Tag: ttlv.TagAttribute, Name: "n", Value: "v"}, kmip.ResultReasonInvalidAttributeValue, kmip.ResultReasonInvalidField},
		"no name":                     {kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "x", Value: "v"}, kmip.ResultReasonInvalidAttributeValue, kmip.ResultReasonInvalidField},
		"the server's":                {kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: "y", Name: "n", Value: "v"}, kmip.ResultReasonAttributeReadOnly, kmip.ResultReasonReadOnlyAttribute},
		"application data to be made": {kmip.Attribute{Tag: ttlv.TagApplicationSpecificInformation, Value: kmip.ApplicationSpecificInformation{ApplicationNamespace: "ssh"}}, kmip.ResultReasonApplicationNamespaceNotSupported, kmip.ResultReasonApplicationNamespaceNotSupported},
		"limits of nothing":           {kmip.Attribute{Tag: ttlv.TagUsageLimits, Value: kmip.UsageLimits{UsageLimitsUnit: kmip.UsageLimitsUnitByte}}, kmip.ResultReasonInvalidAttributeValue, kmip.ResultReasonInvalidField},
		"a link to nothing":           {kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeParentLink, LinkedObjectIdentifier: kmip.IDPlaceholder}}, kmip.ResultReasonInvalidField, kmip.ResultReasonInvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			q := aes("")
			q.Attributes = append(q.Attributes, test.a)
			require.Equal(t, test.create, reason(t, c, kmip.OperationCreate, q))
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
			require.Equal(t, test.adds, reason(t, c, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{test.a}}))
			require.Empty(t, attributesNamed(t, c, uid, test.a))
		})
	}
	answer := must[kmip.QueryResponse](t, c, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryApplicationNamespaces}})
	require.Empty(t, answer.ApplicationNamespace, "no data are made for any")
}

// TestLinkToPlaceholder shows that a link to what the batch made is kept as the identifier that it means. KMIP 2.1 table 90.
func TestLinkToPlaceholder(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("kept"))
	linked := kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeChildLink, LinkedObjectIdentifier: kmip.IDPlaceholder}}
	made := client.Item{Operation: kmip.OperationCreate, Request: aes(""), Response: new(kmip.CreateResponse)}
	adds := client.Item{Operation: kmip.OperationSetAttribute, Request: set("kept", linked), Response: new(kmip.SetAttributeResponse)}
	require.NoError(t, c.Batch(t.Context(), &made, &adds))
	require.NoError(t, made.Err)
	require.NoError(t, adds.Err)
	require.Equal(t, made.Response.(*kmip.CreateResponse).UniqueIdentifier, attribute[kmip.Link](t, c, "kept", ttlv.TagLink).LinkedObjectIdentifier)
}

// TestOneReplacement shows that an object is linked to one replacement only. KMIP 2.1 §11.28.
func TestOneReplacement(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
	must[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: uid})
	another := kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeReplacementObjectLink, LinkedObjectIdentifier: "another"}}
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{another}}))
}

// TestModifyOneOfMany shows that of several instances the request must say which it means. KMIP 2.1 §6.1.34.
func TestModifyOneOfMany(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	q := aes("")
	q.Attributes = q.Attributes.Plus(ttlv.TagObjectGroup, "one").Plus(ttlv.TagObjectGroup, "two")
	uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, q).UniqueIdentifier
	group := func(s string) kmip.Attributes { return kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: s}} }
	modify := func(current kmip.Attributes, to string) *kmip.ModifyAttributeRequest {
		return &kmip.ModifyAttributeRequest{UniqueIdentifier: uid, CurrentAttribute: current, NewAttribute: group(to)}
	}
	require.Equal(t, kmip.ResultReasonAttributeInstanceNotFound, reason(t, c, kmip.OperationModifyAttribute, modify(nil, "three")))
	require.Equal(t, kmip.ResultReasonAttributeInstanceNotFound, reason(t, c, kmip.OperationModifyAttribute, modify(group("four"), "three")))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationModifyAttribute, modify(kmip.Attributes{{Tag: ttlv.TagComment, Value: "two"}}, "three")))
	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, modify(group("two"), "three"))
	got := attributesNamed(t, c, uid, kmip.Attribute{Tag: ttlv.TagObjectGroup})
	require.Equal(t, []string{"one", "three"}, kmip.All[string](got, ttlv.TagObjectGroup))

	old := g.client("alice", ttlv.V1_4) // without an index it is the first
	answer := must[kmip.ModifyAttributeResponse](t, old, kmip.OperationModifyAttribute, modify(nil, "zero"))
	require.Equal(t, group("zero"), answer.Attribute)
	indexed := modify(nil, "again")
	indexed.NewAttribute[0] = indexed.NewAttribute[0].At(1)
	require.Equal(t, kmip.Attributes{indexed.NewAttribute[0]}, must[kmip.ModifyAttributeResponse](t, old, kmip.OperationModifyAttribute, indexed).Attribute)
	indexed.NewAttribute[0] = indexed.NewAttribute[0].At(2)
	require.Equal(t, kmip.ResultReasonItemNotFound, reason(t, old, kmip.OperationModifyAttribute, indexed))
	given := &kmip.AddAttributeRequest{UniqueIdentifier: uid, NewAttribute: kmip.Attributes{group("five")[0].At(5)}}
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, old, kmip.OperationAddAttribute, given), "indexes are the server's")
}
