package store

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/seal"
	"strongroom/store/soft"
)

// authenticateAgain gives every row the MAC that it would have if the server had written it.
func authenticateAgain(t *testing.T, s *Store) {
	t.Helper()
	require.NoError(t, slots{s}.AuthenticateRows(t.Context(), func(stated []byte) []byte {
		mac, err := s.root.MAC(stated)
		require.NoError(t, err)
		return mac
	}))
	s.rows.drop("k")
}

// macWithoutRows is the MAC that the table of slots of a database has where rows have none, made as docs/formats.md says.
func macWithoutRows(t *testing.T, s *Store) []byte {
	t.Helper()
	table, err := s.Root().Slots(t.Context())
	require.NoError(t, err)
	find := func(context.Context, seal.Header) (seal.Protector, error) { return masterKey(t), nil }
	first := table.Slots[0]
	root, err := seal.Open(t.Context(), find, seal.PurposeSlot, fmt.Appendf(nil, "slot:%d", first.ID), first.Envelope)
	require.NoError(t, err)
	key, err := hkdf.Key(sha256.New, root, nil, "strongroom slot table", 32)
	require.NoError(t, err)
	var b []byte
	for _, n := range []int64{table.Generation, int64(len(table.Slots))} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	for _, slot := range table.Slots {
		for _, n := range []int64{slot.ID, slot.Generation, slot.Created.UnixMicro()} {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
		for _, text := range []string{string(slot.State), slot.Kind, slot.Protector, slot.Mechanism.String(), string(slot.Envelope)} {
			b = appendText(b, text)
		}
	}
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)
}

// forge runs SQL as somebody does who has the file and no key, while the store knows nothing of it.
func forge(t *testing.T, s *Store, text string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(databaseFile(t, s), "_pragma=busy_timeout(10000)"))
	require.NoError(t, err)
	defer db.Close()
	result, err := db.Exec(text, args...)
	require.NoError(t, err)
	n, err := result.RowsAffected()
	require.NoError(t, err)
	require.NotZero(t, n, "the forgery changes something")
	s.rows.drop("k")
	s.records.drop(recorded)
}

// recorded is a key in a token of which something is kept.
const recorded = "hsm::4::k"

// guarded has the object "k" of alice, which is deactivated and was active before, her key "theirs", and a record of a key in a
// token; bob may encrypt with each.
func guarded(t *testing.T) (s *Store, active []byte) {
	t.Helper()
	var err error
	opened := &s
	s = openStore(t, Options{Protector: func(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
		return resolve(opened)(ctx, uid)
	}})
	grant := []kmip.Grant{{Grantee: "bob", Operation: kmip.OperationEncrypt}}
	for _, uid := range []string{"k", "theirs"} {
		o := aesKey(uid, "alice")
		o.Grants = grant
		require.NoError(t, s.Register(t.Context(), o, symmetric(material)))
	}
	require.NoError(t, s.readers.QueryRow(`SELECT attributes FROM objects WHERE uid = 'k'`).Scan(&active))
	o, err := s.Object(t.Context(), "k")
	require.NoError(t, err)
	o = o.Clone()
	o.Attributes = o.Attributes.With(ttlv.TagState, kmip.StateDeactivated)
	require.NoError(t, s.Update(t.Context(), o))
	record := &kmip.Record{Attributes: kmip.Attributes{{Tag: ttlv.TagState, Value: kmip.StateActive}}, Grants: grant, Fingerprint: "kcv:010203"}
	require.NoError(t, s.PutRecord(t.Context(), recorded, record))
	s.rows.drop("k")
	s.records.drop(recorded)
	_, err = s.Object(t.Context(), "k")
	require.NoError(t, err)
	_, err = s.Record(t.Context(), recorded)
	require.NoError(t, err)
	return s, active
}

// TestRowsForged writes to the database what would give somebody more than they have.
func TestRowsForged(t *testing.T) {
	for name, text := range map[string]string{
		"a grant":               `INSERT INTO grants (uid, grantee, operation) VALUES ('k', 'mallory', 10)`,
		"somebody else's grant": `UPDATE grants SET grantee = 'mallory' WHERE uid = 'k'`,
		"another operation":     `UPDATE grants SET operation = 10 WHERE uid = 'k'`,
		"no grant":              `DELETE FROM grants WHERE uid = 'k'`,
		"another revision":      `UPDATE objects SET revision = revision - 1 WHERE uid = 'k'`,
		"no MAC":                `UPDATE objects SET mac = NULL WHERE uid = 'k'`,
		"an empty MAC":          `UPDATE objects SET mac = X'' WHERE uid = 'k'`,
		"the MAC of another":    `UPDATE objects SET mac = (SELECT mac FROM objects WHERE uid = 'theirs') WHERE uid = 'k'`,
		"another date":          `UPDATE objects SET initial_date = initial_date - 1 WHERE uid = 'k'`,
		"destroyed":             `UPDATE objects SET envelope = NULL WHERE uid = 'k'`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := guarded(t)
			forge(t, s, text)
			_, err := s.Object(t.Context(), "k")
			require.ErrorIs(t, err, errForged)
			_, err = s.Object(t.Context(), "theirs")
			require.NoError(t, err)
		})
	}
	t.Run("a state of before", func(t *testing.T) {
		s, active := guarded(t)
		forge(t, s, `UPDATE objects SET attributes = $1 WHERE uid = 'k'`, active)
		_, err := s.Object(t.Context(), "k")
		require.ErrorIs(t, err, errForged)
	})
	for name, text := range map[string]string{
		"a grant on a key in a token": `INSERT INTO grants (uid, grantee, operation) VALUES ('` + recorded + `', 'mallory', 31)`,
		"attributes of one":           `UPDATE records SET attributes = (SELECT attributes FROM objects WHERE uid = 'k')`,
		"no MAC of one":               `UPDATE records SET mac = NULL`,
		"the key that one is of":      `UPDATE records SET fingerprint = 'kcv:040506'`,
		"no key that one is of":       `UPDATE records SET fingerprint = ''`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := guarded(t)
			forge(t, s, text)
			_, err := s.Record(t.Context(), recorded)
			require.ErrorIs(t, err, errForged)
		})
	}
}

// TestRowsExchanged puts material that somebody knows in the place of a key: in an envelope that opens, for it is under a key of
// their own.
func TestRowsExchanged(t *testing.T) {
	s, _ := guarded(t)
	own := aesKey("own", "mallory")
	require.NoError(t, s.Register(t.Context(), own, symmetric(material)))
	k, err := soft.Open(symmetric(material), own.Attributes, nil) // mallory has it
	require.NoError(t, err)
	p, err := seal.KeyProtector(keyReference+"own", k, own.Attributes)
	require.NoError(t, err)
	r, err := s.row(t.Context(), "k")
	require.NoError(t, err)
	plain, err := encodeValue(symmetric([]byte("material which mallory has made!")))
	require.NoError(t, err)
	e, err := seal.Seal(t.Context(), nil, p, seal.Label{Purpose: seal.PurposeObject, Generation: 1}, r.bound(), plain)
	require.NoError(t, err)
	opened, err := e.Open(t.Context(), s.find, seal.PurposeObject, r.bound())
	require.NoError(t, err, "the envelope is one that opens")
	require.Equal(t, plain, opened)

	forge(t, s, `UPDATE objects SET envelope = $1, protector = $2 WHERE uid = 'k'`, e.Bytes(), e.Protector)
	_, err = s.Object(t.Context(), "k")
	require.ErrorIs(t, err, errForged)
}

// TestRecordsSealed: what is read of a record before the root key is there is not believed afterwards.
func TestRecordsSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	require.NoError(t, s.PutRecord(t.Context(), recorded, &kmip.Record{Attributes: kmip.Attributes{{Tag: ttlv.TagState, Value: kmip.StateActive}}}))
	forge(t, s, `INSERT INTO grants (uid, grantee, operation) VALUES ('`+recorded+`', 'mallory', 31)`)
	require.NoError(t, s.Close())
	again, err := Open(t.Context(), "sqlite:"+path, Options{})
	require.NoError(t, err)
	defer again.Close()
	r, err := again.Record(t.Context(), recorded)
	require.NoError(t, err)
	require.Len(t, r.Grants, 1)
	require.ErrorIs(t, again.PutRecord(t.Context(), recorded, &r), seal.ErrSealed)
	require.NoError(t, again.Root().Unseal(t.Context(), masterKey(t)))
	_, err = again.Record(t.Context(), recorded)
	require.ErrorIs(t, err, errForged)
}

// TestRowsWithoutMACs takes the MACs away, and has the table of slots say that there were never any: it is the table then that does
// not have its MAC, and nothing is authenticated that was forged.
func TestRowsWithoutMACs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	require.NoError(t, s.Generate(t.Context(), aesKey("k", "alice")))
	forge(t, s, `UPDATE objects SET mac = NULL`)
	forge(t, s, `UPDATE root_key_table SET rows = 0`)
	require.NoError(t, s.Close())
	again, err := Open(t.Context(), "sqlite:"+path, Options{})
	require.NoError(t, err)
	defer again.Close()
	require.ErrorContains(t, again.Root().Unseal(t.Context(), masterKey(t)), "does not have its MAC")
	var macs int
	require.NoError(t, again.readers.QueryRow(`SELECT COUNT(mac) FROM objects`).Scan(&macs))
	require.Zero(t, macs)
}

// TestRowsWhole reads what is changed at the same time: of two tables, and never of two revisions.
func TestRowsWhole(t *testing.T) {
	s, _ := guarded(t)
	const changes = 40
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for i := range changes {
			o, err := s.Object(t.Context(), "k")
			if err == nil {
				o = o.Clone()
				o.Grants = []kmip.Grant{{Grantee: fmt.Sprint("user ", i), Operation: kmip.OperationGet}}
				err = s.SetGrants(t.Context(), o)
			}
			var r kmip.Record
			if err == nil {
				r, err = s.Record(t.Context(), recorded)
			}
			if err == nil {
				r.Grants = o.Grants
				err = s.PutRecord(t.Context(), recorded, &r)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := s.readRow(t.Context(), "k"); err != nil {
					t.Error(err)
					return
				}
				if _, _, err := s.readRecord(t.Context(), recorded); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
