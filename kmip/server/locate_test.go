package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

var everyVersion = []ttlv.Version{ttlv.V1_0, ttlv.V1_1, ttlv.V1_2, ttlv.V1_3, ttlv.V1_4, ttlv.V2_0, ttlv.V2_1}

func of[T any](v T) *T { return &v }

// TestLocatePages reads all pages of a list at each version, newest first. Before 1.3 there was no Offset Items, but some
// clients send it; and no Located Items.
func TestLocatePages(t *testing.T) {
	for _, v := range everyVersion {
		t.Run(v.String(), func(t *testing.T) {
			c := newRig(t, Limits{}).client("alice", v)
			var uids []kmip.UniqueIdentifier
			for range 7 {
				uids = append(uids, must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier)
			}
			slices.Reverse(uids)
			page := func(q kmip.LocateRequest) *kmip.LocateResponse {
				r := must[kmip.LocateResponse](t, c, kmip.OperationLocate, &q)
				if v < ttlv.V1_3 || q.MaximumItems == nil && q.OffsetItems == nil {
					require.Nil(t, r.LocatedItems)
				} else {
					require.EqualValues(t, 7, *r.LocatedItems)
				}
				return r
			}
			require.Equal(t, uids, page(kmip.LocateRequest{}).UniqueIdentifier)
			require.Equal(t, uids[:3], page(kmip.LocateRequest{MaximumItems: of[int32](3)}).UniqueIdentifier)
			require.Empty(t, page(kmip.LocateRequest{MaximumItems: of[int32](0)}).UniqueIdentifier)
			if v < ttlv.V1_3 {
				return
			}
			var all []kmip.UniqueIdentifier
			for offset := int32(0); offset <= 9; offset += 3 {
				all = append(all, page(kmip.LocateRequest{MaximumItems: of[int32](3), OffsetItems: &offset}).UniqueIdentifier...)
			}
			require.Equal(t, uids, all)
			require.Equal(t, uids[5:], page(kmip.LocateRequest{OffsetItems: of[int32](5)}).UniqueIdentifier)
		})
	}
}

// TestLocatePartly looks for structures by one of their fields, at each version.
func TestLocatePartly(t *testing.T) {
	g := newRig(t, Limits{})
	q := aes("k")
	q.Attributes = append(q.Attributes,
		kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "n", NameType: kmip.NameTypeURI}},
		kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeParentLink, LinkedObjectIdentifier: "p"}},
		kmip.Attribute{Tag: ttlv.TagApplicationSpecificInformation, Value: kmip.ApplicationSpecificInformation{ApplicationNamespace: "ssl", ApplicationData: "d"}},
		kmip.Attribute{Tag: ttlv.TagCryptographicParameters, Value: kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}},
	)
	must[kmip.CreateResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationCreate, q)
	for _, v := range everyVersion {
		c := g.client("alice", v)
		for _, w := range []struct {
			found int
			want  kmip.Attribute
		}{
			{1, kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "n"}}},
			{1, kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameType: kmip.NameTypeURI}}},
			{0, kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "n", NameType: kmip.NameTypeUninterpretedTextString}}},
			{1, kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkedObjectIdentifier: "p"}}},
			{1, kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeParentLink}}},
			{0, kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeChildLink}}},
			{1, kmip.Attribute{Tag: ttlv.TagApplicationSpecificInformation, Value: kmip.ApplicationSpecificInformation{ApplicationNamespace: "ssl"}}},
			{1, kmip.Attribute{Tag: ttlv.TagApplicationSpecificInformation, Value: kmip.ApplicationSpecificInformation{ApplicationData: "d"}}},
			{0, kmip.Attribute{Tag: ttlv.TagApplicationSpecificInformation, Value: kmip.ApplicationSpecificInformation{ApplicationNamespace: "ssl", ApplicationData: "e"}}},
			{1, kmip.Attribute{Tag: ttlv.TagCryptographicParameters, Value: kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS5}}},
			{0, kmip.Attribute{Tag: ttlv.TagCryptographicParameters, Value: kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodNone}}},
			{1, kmip.Attribute{Tag: ttlv.TagDigest, Value: kmip.Digest{HashingAlgorithm: kmip.HashingAlgorithmSHA256}}},
		} {
			require.Len(t, located(t, c, 0, w.want), w.found, "%v %v", v, w.want)
		}
	}
}

// TestLocateWhatMustBeWhole shows that only a search may leave out fields.
func TestLocateWhatMustBeWhole(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("k"))
	body, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestPayload, &kmip.LocateRequest{Attributes: kmip.Attributes{{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "n"}}}})
	require.NoError(t, err)
	var attributes ttlv.Raw = body[8:]
	for op, q := range map[kmip.Operation]any{
		kmip.OperationLocate: &struct{ Attributes ttlv.Raw }{attributes},
		kmip.OperationCreate: &struct {
			ObjectType kmip.ObjectType
			Attributes ttlv.Raw
		}{kmip.ObjectTypeSymmetricKey, attributes},
	} {
		m := exchange(t, g.dial("alice"), ttlv.V2_1, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{item(t, ttlv.V2_1, op, "", q)}})
		if op == kmip.OperationLocate {
			require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[0].ResultStatus)
			continue
		}
		require.Equal(t, kmip.ResultReasonInvalidMessage, m.BatchItem[0].ResultReason)
		require.Contains(t, m.BatchItem[0].ResultMessage, "NameType is missing")
	}
}

// TestLocateGroupMember looks for the fresh members of a group, and for its default one.
func TestLocateGroupMember(t *testing.T) {
	for _, v := range everyVersion[1:] {
		t.Run(v.String(), func(t *testing.T) {
			c := newRig(t, Limits{}).client("alice", v)
			group := kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: "pool"}}
			for i := range 4 {
				q := aes(fmt.Sprint("key-", i))
				if i > 0 {
					q.Attributes = append(q.Attributes, group...)
				}
				must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
			}
			locate := func(m kmip.ObjectGroupMember, offset int32) []kmip.UniqueIdentifier {
				q := &kmip.LocateRequest{ObjectGroupMember: m, Attributes: group}
				if v >= ttlv.V1_3 {
					q.OffsetItems = &offset
				}
				return must[kmip.LocateResponse](t, c, kmip.OperationLocate, q).UniqueIdentifier
			}
			must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "key-2"})
			require.Equal(t, []kmip.UniqueIdentifier{"key-3", "key-2", "key-1"}, locate(0, 0))
			require.Equal(t, []kmip.UniqueIdentifier{"key-3", "key-1"}, locate(kmip.ObjectGroupMemberGroupMemberFresh, 0))
			require.Equal(t, []kmip.UniqueIdentifier{"key-3"}, locate(kmip.ObjectGroupMemberGroupMemberDefault, 0))
			if v >= ttlv.V1_3 {
				require.Empty(t, locate(kmip.ObjectGroupMemberGroupMemberDefault, 1))
			}
		})
	}
}

// TestLocatePlaceholder shows when the operation behind a Locate in a batch has an object.
func TestLocatePlaceholder(t *testing.T) {
	g := newRig(t, Limits{})
	const v = ttlv.V1_4
	c := g.client("alice", v)
	for _, name := range []string{"one", "two", "three"} {
		must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes(name))
	}
	identifier := func(uid string) kmip.Attributes { return kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, uid) }
	for _, w := range []struct {
		name string
		q    kmip.LocateRequest
		want kmip.UniqueIdentifier
	}{
		{"one object", kmip.LocateRequest{Attributes: identifier("two")}, "two"},
		{"one of many asked for", kmip.LocateRequest{MaximumItems: of[int32](1)}, "three"},
		{"the last of many asked for alone", kmip.LocateRequest{MaximumItems: of[int32](1), OffsetItems: of[int32](2)}, "one"},
		{"many", kmip.LocateRequest{}, ""},
		{"many match, one is left", kmip.LocateRequest{OffsetItems: of[int32](2)}, ""},
		{"many asked for, many match", kmip.LocateRequest{MaximumItems: of[int32](2)}, ""},
		{"none", kmip.LocateRequest{Attributes: identifier("four")}, ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			m := exchange(t, g.dial("alice"), v, &kmip.RequestMessage{
				RequestHeader: kmip.RequestHeader{BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionContinue},
				BatchItem: []kmip.RequestBatchItem{
					item(t, v, kmip.OperationGetAttributeList, "1", &kmip.GetAttributeListRequest{UniqueIdentifier: "one"}),
					item(t, v, kmip.OperationLocate, "2", &w.q),
					item(t, v, kmip.OperationGet, "3", &kmip.GetRequest{}),
				},
			})
			require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[1].ResultStatus)
			if w.want == "" {
				require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[2].ResultStatus)
				return
			}
			require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[2].ResultStatus)
			var got kmip.GetResponse
			require.NoError(t, ttlv.Unmarshal(m.BatchItem[2].ResponsePayload, v, ttlv.TagResponsePayload, &got, nil))
			require.Equal(t, w.want, got.UniqueIdentifier)
		})
	}
}

// TestInterleave merges every page of database keys with keys in tokens, and compares it with that of the whole list.
func TestInterleave(t *testing.T) {
	for _, c := range []string{"", "d", "t", "dddd", "tttt", "dtdtdt", "ttdddd", "ddddtt", "dddttddtdd", "tddddddddt"} {
		var whole, rows, keys []kmip.Located
		for i, kind := range c {
			l := kmip.Located{UniqueIdentifier: fmt.Sprint(i), InitialDate: time.Unix(int64(100-i), 0)}
			whole = append(whole, l)
			if kind == 'd' {
				rows = append(rows, l)
			} else {
				keys = append(keys, l)
			}
		}
		for offset := range len(whole) + 3 {
			for most := 1; most < len(whole)+3; most++ {
				s := &kmip.Search{Offset: offset, Most: most}
				in := pageBehind(s, len(keys))
				found := &kmip.Found{Objects: rows[min(in.Offset, len(rows)):], Total: len(rows)}
				found.Objects = found.Objects[:min(in.Most, len(found.Objects))]
				got := interleave(found, in.Offset, &kmip.Found{Objects: keys, Total: len(keys)}, s)
				want := whole[min(offset, len(whole)):]
				require.ElementsMatch(t, want[:min(most, len(want))], got.Objects, "%q from %d, %d", c, offset, most)
				require.Equal(t, len(whole), got.Total)
				require.True(t, slices.IsSortedFunc(got.Objects, func(a, b kmip.Located) int { return b.InitialDate.Compare(a.InitialDate) }))
			}
		}
	}
}
