package store

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A herd is a store of random objects, and a list of them in the order of creation to compare searches with.
type herd struct {
	*Store
	t      *testing.T
	random *rand.Rand
	now    time.Time
	uids   []string
}

var people = []string{"alice", "bob", "carol"}

func newHerd(t *testing.T, seed uint64) *herd {
	h := &herd{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	h.Store = openStore(t, Options{Now: func() time.Time { return h.now }})
	return h
}

// pick is one of some values.
func pick[T any](h *herd, values ...T) T { return values[h.random.IntN(len(values))] }

// day is a date some weeks from now, or the largest there is.
func (h *herd) day() time.Time {
	if h.random.IntN(20) == 0 {
		return time.Unix(kmip.LatestDate, 0)
	}
	return h.now.AddDate(0, 0, h.random.IntN(80)-40).Truncate(time.Second)
}

// traits are attributes that a search may ask for, too.
func (h *herd) traits() kmip.Attributes {
	word := func() string { return pick(h, "red", "green", "blue") }
	all := kmip.Attributes{
		{Tag: ttlv.TagName, Value: kmip.Name{NameValue: word(), NameType: pick(h, kmip.NameTypeUninterpretedTextString, kmip.NameTypeURI)}},
		{Tag: ttlv.TagObjectGroup, Value: word()},
		{Tag: ttlv.TagDescription, Value: word()},
		{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: pick(h, kmip.LinkTypeParentLink, kmip.LinkTypeChildLink), LinkedObjectIdentifier: kmip.UniqueIdentifier(word())}},
		{Tag: ttlv.TagApplicationSpecificInformation, Value: kmip.ApplicationSpecificInformation{ApplicationNamespace: word(), ApplicationData: word()}},
		{Tag: ttlv.TagAlternativeName, Value: kmip.AlternativeName{AlternativeNameValue: word(), AlternativeNameType: kmip.AlternativeNameTypeURI}},
		{Tag: ttlv.TagUsageLimits, Value: kmip.UsageLimits{UsageLimitsTotal: int64(h.random.IntN(3)), UsageLimitsUnit: kmip.UsageLimitsUnitByte}},
		{Tag: ttlv.TagFresh, Value: pick(h, true, false)},
		{Tag: ttlv.TagCryptographicUsageMask, Value: pick(h, kmip.CryptographicUsageMaskEncrypt, kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskDecrypt)},
		{Tag: ttlv.TagActivationDate, Value: h.day()},
		{Tag: ttlv.TagDeactivationDate, Value: h.day()},
		{Tag: ttlv.TagLastChangeDate, Value: h.day()},
		{Tag: ttlv.TagAttribute, Vendor: "x", Name: "text", Value: word()},
		{Tag: ttlv.TagAttribute, Vendor: "x", Name: "number", Value: int32(h.random.IntN(3))},
		{Tag: ttlv.TagAttribute, Vendor: "x", Name: "big", Value: big.NewInt(int64(h.random.IntN(3)))},
		{Tag: ttlv.TagAttribute, Vendor: "Acme", Name: "bytes", Value: []byte(word())},
		{Tag: ttlv.TagAttribute, Vendor: "x", Name: "date", Value: h.day()},
		{Tag: ttlv.TagAttribute, Vendor: "x", Name: "flag", Value: pick(h, true, false)},
	}
	h.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:h.random.IntN(len(all))]
}

func (h *herd) create() {
	o := aesKey(fmt.Sprintf("object-%d", len(h.uids)), pick(h, people...))
	h.now = h.now.Add(time.Duration(h.random.IntN(600)) * time.Minute)
	o.Attributes = h.traits().With(ttlv.TagInitialDate, h.now).With(ttlv.TagObjectType, pick(h, kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeSecretData)).
		With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES).With(ttlv.TagCryptographicLength, pick(h, int32(128), 256)).
		With(ttlv.TagState, pick(h, kmip.StatePreActive, kmip.StateActive))
	if !o.Attributes.Contains(ttlv.TagCryptographicUsageMask) {
		o.Attributes = o.Attributes.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt)
	}
	if pick(h, true, false) {
		o.Attributes = o.Attributes.With(ttlv.TagLastChangeDate, h.now)
	}
	o.Grants = h.grants()
	require.NoError(h.t, h.Generate(h.t.Context(), o))
	h.uids = append(h.uids, o.UniqueIdentifier)
}

func (h *herd) grants() (all []kmip.Grant) {
	for h.random.IntN(3) == 0 {
		all = append(all, kmip.Grant{Grantee: pick(h, "alice", "bob", "carol", "*"), Operation: pick(h, kmip.OperationGet, kmip.OperationEncrypt)})
	}
	return all
}

// change does something to one of the objects.
func (h *herd) change() {
	o, err := h.Object(h.t.Context(), pick(h, h.uids...))
	require.NoError(h.t, err)
	if o = o.Clone(); o.State(h.now) == kmip.StateDestroyed {
		return
	}
	switch h.random.IntN(5) {
	case 0:
		o.Grants = h.grants()
		require.NoError(h.t, h.SetGrants(h.t.Context(), o))
	case 1:
		o.Attributes = o.Attributes.With(ttlv.TagState, kmip.StateDestroyed)
		require.NoError(h.t, h.Destroy(h.t.Context(), o))
	case 2:
		if o.Attributes.Archived() {
			o.Attributes = o.Attributes.Without(ttlv.TagArchiveDate)
		} else {
			o.Attributes = o.Attributes.With(ttlv.TagArchiveDate, h.now)
		}
		require.NoError(h.t, h.Update(h.t.Context(), o))
	default:
		for _, x := range h.traits() {
			o.Attributes = append(o.Attributes.WithoutAll(x), x)
		}
		require.NoError(h.t, h.Update(h.t.Context(), o))
	}
}

// search is some random search.
func (h *herd) search() *kmip.Search {
	q := &kmip.Search{Identity: pick(h, "alice", "bob", "carol", "stranger"), Offset: pick(h, 0, 0, h.random.IntN(100)), Most: pick(h, 0, 1, 16, 1000)}
	q.Storage = pick(h, 0, 0, 0, kmip.StorageStatusMask(h.random.IntN(8)))
	q.Hidden = pick(h, nil, nil, []kmip.ObjectType{kmip.ObjectTypeSecretData, kmip.ObjectTypeCertificate})
	q.Attributes = h.traits()
	q.Attributes = q.Attributes[:min(len(q.Attributes), h.random.IntN(3))]
	for i, x := range q.Attributes {
		switch v := x.Value.(type) {
		case kmip.Name:
			v.NameType = pick(h, 0, v.NameType)
			q.Attributes[i].Value = v
		case kmip.Link:
			q.Attributes[i].Value = pick(h, v, kmip.Link{LinkType: v.LinkType}, kmip.Link{LinkedObjectIdentifier: v.LinkedObjectIdentifier})
		case kmip.ApplicationSpecificInformation:
			v.ApplicationData = pick(h, "", v.ApplicationData)
			q.Attributes[i].Value = v
		case time.Time:
			q.Attributes = append(q.Attributes, kmip.Attribute{Tag: x.Tag, Vendor: x.Vendor, Name: x.Name, Value: h.day()})
		}
	}
	for _, x := range []kmip.Attribute{
		{Tag: ttlv.TagState, Value: pick(h, kmip.StatePreActive, kmip.StateActive, kmip.StateDeactivated, kmip.StateDestroyed)},
		{Tag: ttlv.TagObjectType, Value: pick(h, kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeCertificate)},
		{Tag: ttlv.TagCryptographicLength, Value: int32(256)},
		{Tag: ttlv.TagInitialDate, Value: h.now.AddDate(0, 0, -h.random.IntN(40))},
		{Tag: ttlv.TagUniqueIdentifier, Value: pick(h, h.uids...)},
	} {
		switch n := h.random.IntN(12); {
		case n == 0:
			q.Attributes = append(q.Attributes, x)
		case n == 1 && x.Tag == ttlv.TagInitialDate:
			q.Attributes = append(q.Attributes, x, kmip.Attribute{Tag: x.Tag, Value: h.now})
		}
	}
	return q
}

// expected are all answers to a search, newest first.
func (h *herd) expected(q *kmip.Search) (uids []string) {
	for _, uid := range slices.Backward(h.uids) {
		o, err := h.Object(h.t.Context(), uid)
		require.NoError(h.t, err)
		seen := o.Owners[0] == q.Identity
		for _, g := range o.Grants {
			seen = seen || g.Grantee == q.Identity || g.Grantee == "*"
		}
		if seen && !slices.Contains(q.Hidden, o.ObjectType()) && o.Attributes.InStorage(q.Storage) && o.Matches(q.Attributes, h.now) {
			uids = append(uids, uid)
		}
	}
	return uids
}

// check compares a search with what is expected.
func (h *herd) check(q *kmip.Search) (matching int) {
	found, err := h.Locate(h.t.Context(), q)
	require.NoError(h.t, err)
	want := h.expected(q)
	page := want[min(q.Offset, len(want)):]
	if q.Most > 0 {
		page = page[:min(q.Most, len(page))]
	}
	var got []string
	for _, l := range found.Objects {
		got = append(got, l.UniqueIdentifier)
	}
	require.Equal(h.t, len(page), len(got), "%+v", q)
	for i := range page {
		require.Equal(h.t, page[i], got[i], "%+v", q)
	}
	require.Equal(h.t, len(want), found.Total, "%+v", q)
	return len(want)
}

// lists are all lists, as the database has them and as the objects have it.
func (h *herd) lists() (have, want map[string]int64) {
	have, want = map[string]int64{}, map[string]int64{}
	rows, err := h.readers.Query(`SELECT 'entry ' || hex(list) || ' ' || at || ' ' || object, 1 FROM entries UNION ALL SELECT 'class ' || hex(list), members FROM classes`)
	require.NoError(h.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int64
		require.NoError(h.t, rows.Scan(&name, &n))
		have[name] = n
	}
	for _, uid := range h.uids {
		r, err := h.readRow(h.t.Context(), uid)
		require.NoError(h.t, err)
		l := listingOf(&r.object)
		for _, e := range l.entries {
			want[fmt.Sprintf("entry %X %d %d", e.list, e.at, r.id)] = 1
		}
		for _, c := range l.classes {
			want[fmt.Sprintf("class %X", c.list)]++
		}
	}
	return have, want
}

// TestLocateAgainstMatches compares random searches among random objects with the rule itself, object by object.
func TestLocateAgainstMatches(t *testing.T) {
	h := newHerd(t, 1)
	for range 300 {
		h.create()
	}
	some := 0
	for range 4 {
		for range 50 {
			h.change()
		}
		for range 50 {
			if h.check(h.search()) > 0 {
				some++
			}
		}
		have, want := h.lists()
		require.Equal(t, want, have)
		h.now = h.now.AddDate(0, 0, 9) // states move by themselves
	}
	require.Greater(t, some, 100, "the searches find something")
}

// TestLocateTurns shows that a long search waits for its turn, that a short one does not, and that waiting ends with the request.
func TestLocateTurns(t *testing.T) {
	s := openStore(t, Options{})
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := range easy/readCost/8 + readAtOnce {
				o := aesKey(fmt.Sprintf("%d-%d", part, i), "alice")
				o.Attributes = o.Attributes.With(ttlv.TagObjectGroup, o.UniqueIdentifier)
				if err := s.Generate(t.Context(), o); err != nil {
					t.Errorf("creating %s: %v", o.UniqueIdentifier, err)
				}
			}
		})
	}
	wg.Wait()
	long := &kmip.Search{Identity: "alice", Attributes: kmip.Attributes{{Tag: ttlv.TagDigest, Value: kmip.Digest{DigestValue: []byte("none")}}}}
	for range cap(s.long) {
		s.long <- struct{}{}
	}
	hasty, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.Locate(hasty, long)
	require.ErrorContains(t, err, "the search took too long")
	require.Equal(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err))

	for _, short := range []*kmip.Search{
		{Identity: "alice", Attributes: kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: "3-100"}}},
		{Identity: "alice", Attributes: kmip.Attributes{{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeSymmetricKey}}, Most: 1},
		{Identity: "bob", Attributes: long.Attributes},
	} {
		_, err := s.Locate(t.Context(), short)
		require.NoError(t, err)
	}
	for range cap(s.long) {
		<-s.long
	}
	found, err := s.Locate(t.Context(), long)
	require.NoError(t, err)
	require.Equal(t, &kmip.Found{}, found)
	require.Empty(t, s.long, "its place is free again")
}

// TestLocateCounts shows how far Locate counts: to the end where classes have the number, else as far as is cheap.
func TestLocateCounts(t *testing.T) {
	s := openStore(t, Options{})
	many := countedOn + 500
	var wg sync.WaitGroup
	for part := range 16 {
		wg.Go(func() {
			for i := part; i < many; i += 16 {
				o := aesKey(fmt.Sprintf("key-%d", i), "alice")
				o.Attributes = o.Attributes.With(ttlv.TagObjectGroup, "all")
				if i < countedOn/2 {
					o.Attributes = o.Attributes.With(ttlv.TagDescription, "half")
				}
				if err := s.Generate(t.Context(), o); err != nil {
					t.Errorf("creating %s: %v", o.UniqueIdentifier, err)
				}
			}
		})
	}
	wg.Wait()
	state := kmip.Attribute{Tag: ttlv.TagState, Value: kmip.StateActive}
	for _, c := range []struct {
		wanted kmip.Attributes
		most   int
		total  int
	}{
		{nil, 1, many},
		{kmip.Attributes{state}, 1, many},
		{kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: "all"}}, 1, -1},
		{kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: "all"}}, many, many},
		{kmip.Attributes{{Tag: ttlv.TagDescription, Value: "half"}, state}, 1, countedOn / 2},
		{kmip.Attributes{{Tag: ttlv.TagLastChangeDate, Value: time.Unix(kmip.LatestDate, 0)}}, 1, -1},
	} {
		found, err := s.Locate(t.Context(), &kmip.Search{Identity: "alice", Attributes: c.wanted, Most: c.most})
		require.NoError(t, err)
		require.Equal(t, c.total, found.Total, "%v", c.wanted)
		require.Len(t, found.Objects, c.most)
	}
}
