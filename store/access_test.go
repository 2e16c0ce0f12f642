package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func TestAccess(t *testing.T) {
	s := openStore(t, Options{})
	for _, uid := range []string{"a", "b", "c"} {
		require.NoError(t, s.Generate(t.Context(), aesKey(uid, "alice")))
	}
	grant := func(uid string, grants ...kmip.Grant) {
		o, err := s.Object(t.Context(), uid)
		require.NoError(t, err)
		o = o.Clone()
		o.Grants = grants
		require.NoError(t, s.SetGrants(t.Context(), o))
	}
	grant("a", kmip.Grant{Grantee: "bob", Operation: kmip.OperationEncrypt}, kmip.Grant{Grantee: "bob", Operation: kmip.OperationDecrypt},
		kmip.Grant{Grantee: "*", Operation: kmip.OperationEncrypt}, kmip.Grant{Grantee: "bob", Operation: kmip.OperationEncrypt})
	grant("b", kmip.Grant{Grantee: "carol", Operation: kmip.OperationGet})
	require.NoError(t, s.PutRecord(t.Context(), "hsm::4::k", &kmip.Record{Grants: []kmip.Grant{{Grantee: "bob", Operation: kmip.OperationSign}}}))

	owned, err := s.Owned(t.Context(), "alice")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "b", "c"}, owned)
	owned, err = s.Owned(t.Context(), "bob")
	require.NoError(t, err)
	require.Empty(t, owned)

	obtained, err := s.Obtained(t.Context(), "bob")
	require.NoError(t, err)
	require.Equal(t, []kmip.Granted{
		{UniqueIdentifier: "a", Operations: []kmip.Operation{kmip.OperationEncrypt, kmip.OperationDecrypt}},
		{UniqueIdentifier: "hsm::4::k", Operations: []kmip.Operation{kmip.OperationSign}},
	}, obtained)
	obtained, err = s.Obtained(t.Context(), "alice")
	require.NoError(t, err)
	require.Empty(t, obtained, "what everyone may do with her own key was not granted to alice")

	o, err := s.Object(t.Context(), "a")
	require.NoError(t, err)
	require.NoError(t, s.Destroy(t.Context(), o.Clone()))
	require.NoError(t, s.DropRecord(t.Context(), "hsm::4::k"))
	obtained, err = s.Obtained(t.Context(), "bob")
	require.NoError(t, err)
	require.Empty(t, obtained)
}

func TestRecord(t *testing.T) {
	s := openStore(t, Options{})
	const uid = "hsm::4::k"
	empty, err := s.Record(t.Context(), uid)
	require.NoError(t, err)
	require.Equal(t, kmip.Record{}, empty)

	r := &kmip.Record{
		Attributes: kmip.Attributes{{Tag: ttlv.TagState, Value: kmip.StateActive}},
		Grants:     []kmip.Grant{{Grantee: "bob", Operation: kmip.OperationSign}},
	}
	r.Fingerprint = "kcv:010203"
	require.NoError(t, s.PutRecord(t.Context(), uid, r))
	require.EqualValues(t, 1, r.Revision)
	for range 2 {
		got, err := s.Record(t.Context(), uid)
		require.NoError(t, err)
		require.Equal(t, *r, got)
		s.records.drop(uid) // the second time from the database
	}
	require.ErrorIs(t, s.PutRecord(t.Context(), uid, &kmip.Record{}), kmip.ErrConflict)
	late := *r
	r.Attributes = r.Attributes.With(ttlv.TagState, kmip.StateDeactivated)
	r.Grants, r.Fingerprint = nil, "kcv:040506"
	require.NoError(t, s.PutRecord(t.Context(), uid, r))
	require.ErrorIs(t, s.PutRecord(t.Context(), uid, &late), kmip.ErrConflict)
	s.records.drop(uid)
	got, err := s.Record(t.Context(), uid)
	require.NoError(t, err)
	require.Equal(t, *r, got)
	require.NoError(t, s.DropRecord(t.Context(), uid))
	got, err = s.Record(t.Context(), uid)
	require.NoError(t, err)
	require.Zero(t, got.Revision)
	require.NoError(t, s.PutRecord(t.Context(), uid, &kmip.Record{}))
}

func TestCreateBorrowsNothing(t *testing.T) {
	s := openStore(t, Options{})
	o := aesKey("k", "alice")
	secret := []byte("description")
	o.Attributes = o.Attributes.WithVendor(kmip.VendorClient, "bytes", secret)
	require.NoError(t, s.Generate(t.Context(), o))
	copy(secret, strings.Repeat("x", len(secret)))
	got, err := s.Object(t.Context(), "k")
	require.NoError(t, err)
	v, _ := got.Attributes.Vendor(kmip.VendorClient, "bytes")
	require.Equal(t, []byte("description"), v)
}

func TestCreateRefuses(t *testing.T) {
	s := openStore(t, Options{})
	for _, uid := range []string{"", "hsm::4::k", "hsm::k"} {
		require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(s.Generate(t.Context(), aesKey(uid, "alice"))), uid)
	}
	nobody := aesKey("k", "")
	require.ErrorContains(t, s.Generate(t.Context(), nobody), "owners")
	private, public := rsaPair("same", "same")
	require.ErrorContains(t, s.GeneratePair(t.Context(), private, public), "cannot both be named")
}

// TestNoKey keeps an object that is no key: it has a value and does not compute.
func TestNoKey(t *testing.T) {
	s := openStore(t, Options{Cache: newTestCache()})
	o := aesKey("c", "alice")
	o.Attributes = o.Attributes.With(ttlv.TagObjectType, kmip.ObjectTypeOpaqueObject)
	require.NoError(t, s.Register(t.Context(), o, &kmip.Value{OpaqueObject: &kmip.OpaqueObject{OpaqueDataType: 0x80000001, OpaqueDataValue: []byte("bytes")}}))
	got, err := s.Object(t.Context(), "c")
	require.NoError(t, err)
	require.Nil(t, got.Key)
	v, err := s.Value(t.Context(), got)
	require.NoError(t, err)
	require.Equal(t, []byte("bytes"), v.OpaqueObject.OpaqueDataValue)
}

// TestCacheUsed sees one load for many uses, and a new one after the envelope changed.
func TestCacheUsed(t *testing.T) {
	c := newTestCache()
	s := openStore(t, Options{Cache: c})
	require.NoError(t, s.Generate(t.Context(), aesKey("k", "alice")))
	use := func() *kmip.Object {
		o, err := s.Object(t.Context(), "k")
		require.NoError(t, err)
		_, err = o.Key.Encrypt(t.Context(), gcmRequest)
		require.NoError(t, err)
		_, err = s.Value(t.Context(), o)
		require.NoError(t, err)
		return o
	}
	for range 3 {
		use()
	}
	require.EqualValues(t, 1, c.loads.Load())
	o := use().Clone()
	o.Attributes = o.Attributes.With(ttlv.TagDescription, "text")
	require.NoError(t, s.Update(t.Context(), o))
	use()
	require.EqualValues(t, 1, c.loads.Load())
	o.Attributes = o.Attributes.With(ttlv.TagExtractable, false)
	require.NoError(t, s.Update(t.Context(), o))
	old := use()
	require.EqualValues(t, 2, c.loads.Load())
	require.Len(t, c.opened, 1, "the key of the old envelope is forgotten")

	o = old.Clone()
	require.NoError(t, s.Destroy(t.Context(), o))
	require.Empty(t, c.opened)
	_, err := old.Key.Encrypt(t.Context(), gcmRequest)
	require.ErrorIs(t, err, kmip.ErrNotFound)
	require.Empty(t, c.opened, "who held the object across its destruction cannot bring the key back")
}

// TestLocateUsesIndexes looks at how the database means to answer.
func TestLocateUsesIndexes(t *testing.T) {
	s := openStore(t, Options{})
	explain := func(text string, args ...any) string {
		rows, err := s.readers.Query("EXPLAIN QUERY PLAN "+text, args...)
		require.NoError(t, err)
		defer rows.Close()
		var b strings.Builder
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			fmt.Fprintln(&b, detail)
		}
		return b.String()
	}
	for text, args := range map[string][]any{
		readList: {make([]byte, 16), 9, 9}, listDates: {make([]byte, 16), 1, 2, 9}, selectClasses: {"alice"}, locateOne: {"k", "alice"},
		objectAfter: {1}, newestObject: nil, selectOwned: {"alice"}, selectObtained: {"alice"},
	} {
		require.NotRegexp(t, `SCAN (o|g|objects|grants|entries|classes)\b`, explain(text, args...))
		if text != selectObtained {
			require.NotRegexp(t, `TEMP B-TREE`, explain(text, args...), text)
		}
	}
}

func BenchmarkLocateName(b *testing.B) {
	s := openStore(b, Options{})
	for i := range 2000 {
		o := aesKey(fmt.Sprintf("key-%d", i), "alice")
		o.Attributes = o.Attributes.With(ttlv.TagName, kmip.Name{NameValue: o.UniqueIdentifier, NameType: kmip.NameTypeUninterpretedTextString})
		require.NoError(b, s.Generate(b.Context(), o))
	}
	q := &kmip.Search{Identity: "alice", Attributes: kmip.Attributes{
		{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "key-77", NameType: kmip.NameTypeUninterpretedTextString}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if found, err := s.Locate(b.Context(), q); err != nil || len(found.Objects) != 1 {
			b.Fatal(found, err)
		}
	}
}
