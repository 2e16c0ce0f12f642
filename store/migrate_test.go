package store

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// oldDatabase makes a database of schema version 1 of what a store has: one that the program before lists wrote.
func oldDatabase(t *testing.T, s *Store, path string) {
	t.Helper()
	from := databaseFile(t, s)
	require.NoError(t, secretFile(path))
	db, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)"))
	require.NoError(t, err)
	defer db.Close()
	exec := func(text string, args ...any) {
		_, err := db.Exec(text, args...)
		require.NoError(t, err)
	}
	exec(`CREATE TABLE schema_version (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)`)
	exec(`INSERT INTO schema_version (id, version) VALUES (1, 1)`)
	for _, statement := range migrations[0].statements {
		exec(statement)
	}
	db.SetMaxOpenConns(1)
	exec(`ATTACH DATABASE $1 AS new`, from)
	columns := `uid, owner, object_type, initial_date, destroyed, attributes, envelope, protector, revision`
	exec(`INSERT INTO main.objects (` + columns + `) SELECT ` + columns + ` FROM new.objects ORDER BY id`)
	exec(`DELETE FROM main.root_key_table`)
	for table, columns := range map[string]string{
		"grants": `*`, "records": `uid, attributes, revision`, "root_key_slots": `*`, "root_key_table": `id, generation, mac`,
	} {
		exec(`INSERT INTO main.` + table + ` SELECT ` + columns + ` FROM new.` + table)
	}
	exec(`UPDATE main.root_key_table SET mac = $1`, macWithoutRows(t, s))
	exec(`INSERT INTO main.words (uid, kind, value) SELECT uid, 1, uid FROM main.objects`)
}

// TestMigrate opens a database from before there were lists: everything is found in it as in the one that it came from.
func TestMigrate(t *testing.T) {
	h := newHerd(t, 7)
	for range 2*listedAtOnce + 100 {
		h.create()
	}
	for range 100 {
		h.change()
	}
	record := &kmip.Record{Attributes: kmip.Attributes{{Tag: ttlv.TagState, Value: kmip.StateActive}}, Fingerprint: "kcv:010203",
		Grants: []kmip.Grant{{Grantee: "bob", Operation: kmip.OperationSign}}}
	require.NoError(t, h.PutRecord(t.Context(), "hsm::4::k", record))
	path := filepath.Join(t.TempDir(), "old.db")
	oldDatabase(t, h.Store, path)

	var log bytes.Buffer
	h.Store = openAt(t, path, Options{Now: h.Store.now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.Contains(t, log.String(), `msg="migrating the database" from=2 to=3`)
	require.Contains(t, log.String(), "authenticating the rows")
	have, want := h.lists()
	require.Equal(t, want, have)
	for range 15 {
		h.check(h.search())
	}
	for range 15 {
		h.change()
	}
	h.create()
	migrated, err := h.Record(t.Context(), "hsm::4::k")
	require.NoError(t, err)
	record.Fingerprint = "" // which no program before had
	require.Equal(t, *record, migrated)
	newest, err := h.Object(t.Context(), h.uids[len(h.uids)-1])
	require.NoError(t, err)
	found, err := h.Locate(t.Context(), &kmip.Search{Identity: newest.Owners[0], Most: 1})
	require.NoError(t, err)
	require.Equal(t, newest.UniqueIdentifier, found.Objects[0].UniqueIdentifier)

	require.NoError(t, h.Close())
	log.Reset()
	h.Store = openAt(t, path, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.Empty(t, log.String(), "it is migrated once")
}

// TestMigrateFails shows that a migration that cannot be finished changes nothing.
func TestMigrateFails(t *testing.T) {
	s := openStore(t, Options{})
	for i := range 3 {
		require.NoError(t, s.Generate(t.Context(), aesKey(fmt.Sprint("k", i), "alice")))
	}
	path := filepath.Join(t.TempDir(), "old.db")
	oldDatabase(t, s, path)
	db, err := sql.Open("sqlite", dsn(path))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(`UPDATE objects SET attributes = X'00' WHERE uid = 'k1'`)
	require.NoError(t, err)

	_, err = Open(t.Context(), "sqlite:"+path, Options{})
	require.ErrorContains(t, err, `migrating the schema from version 2: reading object "k1"`)
	var version, objects, words int
	require.NoError(t, db.QueryRow(`SELECT version, (SELECT COUNT(*) FROM objects), (SELECT COUNT(*) FROM words) FROM schema_version`).Scan(&version, &objects, &words))
	require.Equal(t, []int{2, 3, 3}, []int{version, objects, words})
}

// databaseFile is the file of a store.
func databaseFile(t *testing.T, s *Store) (path string) {
	t.Helper()
	require.NoError(t, s.readers.QueryRow(`SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&path))
	return path
}
