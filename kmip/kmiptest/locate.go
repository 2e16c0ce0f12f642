package kmiptest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// locate is the identifiers that a search finds.
func (s *suite) locate(t *testing.T, q kmip.Search) []string {
	t.Helper()
	q.Admin = q.Identity == s.Owner
	found, err := s.Locate(t.Context(), &q)
	require.NoError(t, err)
	uids := []string{}
	for i, l := range found.Objects {
		uids = append(uids, l.UniqueIdentifier)
		if i > 0 {
			require.False(t, l.InitialDate.After(found.Objects[i-1].InitialDate), "newest first")
		}
	}
	return uids
}

func testLocate(t *testing.T, s *suite) {
	require.Empty(t, s.locate(t, kmip.Search{Identity: s.Owner}))
	a, b := s.generate(t, "a").UniqueIdentifier, s.generate(t, "b").UniqueIdentifier
	require.ElementsMatch(t, []string{a, b}, s.locate(t, kmip.Search{Identity: s.Owner}))
	require.Empty(t, s.locate(t, kmip.Search{Identity: "stranger"}))

	s.destroy(t, a)
	require.Equal(t, []string{b}, s.locate(t, kmip.Search{Identity: s.Owner}))
	all := s.locate(t, kmip.Search{Identity: s.Owner, Storage: kmip.StorageStatusMaskOnLineStorage | kmip.StorageStatusMaskDestroyedStorage})
	destroyed := s.locate(t, kmip.Search{Identity: s.Owner, Storage: kmip.StorageStatusMaskDestroyedStorage})
	if s.KeepsDestroyed {
		require.ElementsMatch(t, []string{a, b}, all)
		require.Equal(t, []string{a}, destroyed)
		gone := kmip.Attributes{{Tag: ttlv.TagState, Value: kmip.StateDestroyed}}
		require.Equal(t, []string{a}, s.locate(t, kmip.Search{Identity: s.Owner, Attributes: gone, Storage: kmip.StorageStatusMaskDestroyedStorage}))
		require.Empty(t, s.locate(t, kmip.Search{Identity: s.Owner, Attributes: gone}), "unless the mask says so")
	} else {
		require.Equal(t, []string{b}, all)
		require.Empty(t, destroyed)
	}
	require.Empty(t, s.locate(t, kmip.Search{Identity: s.Owner, Storage: kmip.StorageStatusMaskArchivalStorage}))
}

func testLocateFilters(t *testing.T, s *suite) {
	a, b := s.aes("a"), s.aes("b")
	a.Attributes = append(a.Attributes, tag("red"), tag("round"))
	b.Attributes = append(b.Attributes.With(ttlv.TagState, kmip.StatePreActive).Without(ttlv.TagActivationDate), tag("red"))
	require.NoError(t, s.Generate(t.Context(), a))
	require.NoError(t, s.Generate(t.Context(), b))
	both := []string{a.UniqueIdentifier, b.UniqueIdentifier}
	for _, c := range []struct {
		name   string
		wanted kmip.Attributes
		want   []string
	}{
		{"name", kmip.Attributes{name("a")}, both[:1]},
		{"name of none", kmip.Attributes{name("c")}, nil},
		{"type", kmip.Attributes{{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeSymmetricKey}}, both},
		{"other type", kmip.Attributes{{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypePublicKey}}, nil},
		{"identifier", kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: both[1]}}, both[1:]},
		{"algorithm", kmip.Attributes{{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES}}, both},
		{"length", kmip.Attributes{{Tag: ttlv.TagCryptographicLength, Value: int32(128)}}, nil},
		{"one bit of the mask", kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}, both},
		{"a bit it has not", kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskSign}}, nil},
		{"state", kmip.Attributes{{Tag: ttlv.TagState, Value: kmip.StateActive}}, both[:1]},
		{"tag", kmip.Attributes{tag("red")}, both},
		{"two tags", kmip.Attributes{tag("red"), tag("round")}, both[:1]},
		{"date", kmip.Attributes{{Tag: ttlv.TagActivationDate, Value: Now}}, both[:1]},
		{"range of dates", kmip.Attributes{
			{Tag: ttlv.TagActivationDate, Value: Now.AddDate(0, 0, -1)}, {Tag: ttlv.TagActivationDate, Value: Now.AddDate(0, 0, 1)},
		}, both[:1]},
		{"range elsewhere", kmip.Attributes{
			{Tag: ttlv.TagActivationDate, Value: Now.AddDate(0, 0, 2)}, {Tag: ttlv.TagActivationDate, Value: Now.AddDate(0, 0, 1)},
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ElementsMatch(t, c.want, s.locate(t, kmip.Search{Identity: s.Owner, Attributes: c.wanted}))
		})
	}
	renamed := s.object(t, both[0]).Clone()
	renamed.Attributes = append(renamed.Attributes.Without(ttlv.TagName), name("c"))
	require.NoError(t, s.Update(t.Context(), renamed))
	require.Empty(t, s.locate(t, kmip.Search{Identity: s.Owner, Attributes: kmip.Attributes{name("a")}}))
	require.Equal(t, both[:1], s.locate(t, kmip.Search{Identity: s.Owner, Attributes: kmip.Attributes{name("c")}}))
}

func testLocateGrantee(t *testing.T, s *suite) {
	uid := s.generate(t, "k").UniqueIdentifier
	s.generate(t, "other")
	for _, grantee := range []string{"bob", "*"} {
		o := s.object(t, uid).Clone()
		o.Grants = []kmip.Grant{{Grantee: grantee, Operation: kmip.OperationEncrypt}, {Grantee: grantee, Operation: kmip.OperationDecrypt}}
		require.NoError(t, s.SetGrants(t.Context(), o))
		require.Equal(t, []string{uid}, s.locate(t, kmip.Search{Identity: "bob"}))
		require.Equal(t, []string{uid}, s.locate(t, kmip.Search{Identity: "bob", Attributes: kmip.Attributes{name("k")}}))
		require.Empty(t, s.locate(t, kmip.Search{Identity: "bob", Attributes: kmip.Attributes{name("other")}}))
		require.Len(t, s.locate(t, kmip.Search{Identity: s.Owner}), 2)
	}
	require.Equal(t, []string{uid}, s.locate(t, kmip.Search{Identity: "stranger"}), "everyone was granted something")
}

func testLocateMost(t *testing.T, s *suite) {
	for _, label := range []string{"a", "b", "c"} {
		s.generate(t, label)
	}
	require.GreaterOrEqual(t, len(s.locate(t, kmip.Search{Identity: s.Owner, Most: 2})), 2)
	require.Len(t, s.locate(t, kmip.Search{Identity: s.Owner}), 3)
}
