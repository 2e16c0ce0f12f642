package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
)

// The SQL of this package is one text for SQLite and PostgreSQL, but for WITHOUT ROWID: $1 to $n in the order of first use, the
// types TEXT, BIGINT and BYTEA (which SQLite stores as they come), ON CONFLICT. Dates are microseconds since 1970.

// A migration brings the schema from one version to the next, in one transaction: the statements, then what they cannot say.
type migration struct {
	statements []string
	fill       func(context.Context, *sql.Tx, *slog.Logger) error // nil for none
}

// migrations begin with the one from version 0. One that was released does not change.
var migrations = []migration{
	{statements: []string{
		// One row a managed object. A destroyed one keeps its row, without envelope, so that its identifier is
		// never used again.
		`CREATE TABLE objects (
			uid          TEXT   PRIMARY KEY,
			owner        TEXT   NOT NULL,
			object_type  BIGINT NOT NULL,
			initial_date BIGINT NOT NULL,
			destroyed    BIGINT NOT NULL,
			attributes   BYTEA  NOT NULL,
			envelope     BYTEA,
			protector    TEXT   NOT NULL,
			revision     BIGINT NOT NULL
		)`,
		`CREATE INDEX objects_by_owner ON objects (owner, initial_date, uid)`,
		`CREATE INDEX objects_by_protector ON objects (protector)`,

		// What Locate finds objects by without looking at all: names and tags.
		`CREATE TABLE words (
			uid   TEXT   NOT NULL,
			kind  BIGINT NOT NULL,
			value TEXT   NOT NULL,
			PRIMARY KEY (value, kind, uid)
		)`,
		`CREATE INDEX words_by_uid ON words (uid)`,

		// Grants on objects and on keys in tokens.
		`CREATE TABLE grants (
			uid       TEXT   NOT NULL,
			grantee   TEXT   NOT NULL,
			operation BIGINT NOT NULL,
			PRIMARY KEY (uid, grantee, operation)
		)`,
		`CREATE INDEX grants_by_grantee ON grants (grantee, uid)`,

		// What is recorded about a key in a token.
		`CREATE TABLE records (
			uid        TEXT   PRIMARY KEY,
			attributes BYTEA  NOT NULL,
			revision   BIGINT NOT NULL
		)`,

		// The root key slots, and the one row that every change of them compares and sets.
		`CREATE TABLE root_key_slots (
			id         BIGINT PRIMARY KEY,
			generation BIGINT NOT NULL,
			state      TEXT   NOT NULL,
			kind       TEXT   NOT NULL,
			protector  TEXT   NOT NULL,
			mechanism  BIGINT NOT NULL,
			envelope   BYTEA  NOT NULL,
			created    BIGINT NOT NULL,
			verified   BIGINT NOT NULL
		)`,
		`CREATE TABLE root_key_table (
			id         BIGINT PRIMARY KEY,
			generation BIGINT NOT NULL,
			mac        BYTEA  NOT NULL
		)`,
		`INSERT INTO root_key_table (id, generation, mac) VALUES (1, 0, '')`,
	}},
	{statements: []string{
		// What administrators set for all, sealed. A setting that was taken back keeps its row, without envelope.
		`CREATE TABLE settings (
			name     TEXT   PRIMARY KEY,
			envelope BYTEA,
			revision BIGINT NOT NULL
		)`,
	}},
	{statements: []string{
		// Objects get a number, in the order of their creation.
		`ALTER TABLE objects RENAME TO old_objects`,
		`DROP INDEX objects_by_owner`,
		`DROP INDEX objects_by_protector`,
		`CREATE TABLE objects (
			id           INTEGER PRIMARY KEY,
			uid          TEXT   NOT NULL UNIQUE,
			owner        TEXT   NOT NULL,
			object_type  BIGINT NOT NULL,
			initial_date BIGINT NOT NULL,
			destroyed    BIGINT NOT NULL,
			attributes   BYTEA  NOT NULL,
			envelope     BYTEA,
			protector    TEXT   NOT NULL,
			revision     BIGINT NOT NULL
		)`,
		`INSERT INTO objects SELECT rowid, * FROM old_objects ORDER BY rowid`,
		`DROP TABLE old_objects`,
		`CREATE INDEX objects_by_owner ON objects (owner, id)`,
		`CREATE INDEX objects_by_protector ON objects (protector)`,

		// What Locate finds objects by: see index.go. Classes have the number of their members.
		`DROP TABLE words`,
		`CREATE TABLE classes (
			list       BYTEA  PRIMARY KEY,
			viewer     TEXT   NOT NULL,
			storage    BIGINT NOT NULL,
			attributes BYTEA  NOT NULL,
			members    BIGINT NOT NULL
		)`,
		`CREATE INDEX classes_by_viewer ON classes (viewer, storage)`,
		`CREATE TABLE entries (
			list   BYTEA  NOT NULL,
			at     BIGINT NOT NULL,
			object BIGINT NOT NULL,
			PRIMARY KEY (list, at, object)
		) WITHOUT ROWID`,
	}, fill: listAll},
	{statements: []string{
		// MACs of rows and records, and that the table of slots says that they are there: see authentic.go.
		`ALTER TABLE objects ADD COLUMN mac BYTEA`,
		`ALTER TABLE records ADD COLUMN mac BYTEA`,
		`ALTER TABLE root_key_table ADD COLUMN rows BIGINT NOT NULL DEFAULT 0`,
	}},
	{statements: []string{
		// What each server of the root key can open, as it last said; protectors one a line.
		`CREATE TABLE replicas (
			id         TEXT   PRIMARY KEY,
			host       TEXT   NOT NULL,
			folder     TEXT   NOT NULL,
			started    BIGINT NOT NULL,
			seen       BIGINT NOT NULL,
			protectors TEXT   NOT NULL,
			mac        BYTEA  NOT NULL
		)`,
	}},
	{statements: []string{
		// What is recorded about a key in a token is bound to that key; '' where it is not known yet.
		`ALTER TABLE records ADD COLUMN fingerprint TEXT NOT NULL DEFAULT ''`,
	}},
	{statements: []string{
		// The keys that opened slots which were pruned: a JSON array of references.
		`ALTER TABLE root_key_table ADD COLUMN former TEXT NOT NULL DEFAULT '[]'`,
	}},
}

// migrate brings the schema up to date. A schema from a newer program is refused.
func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)`); err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	if _, err := db.ExecContext(ctx, `INSERT INTO schema_version (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING`); err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	for {
		done, err := migrateOne(ctx, db, log)
		if err != nil || done {
			return err
		}
	}
}

// migrateOne takes one step, and says whether there was none left.
func migrateOne(ctx context.Context, db *sql.DB, log *slog.Logger) (done bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // does nothing after Commit
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT version FROM schema_version WHERE id = 1`).Scan(&version); err != nil {
		return false, fmt.Errorf("reading the schema: %w", err)
	}
	switch {
	case version > len(migrations):
		return false, fmt.Errorf("the database has schema version %d, this program knows %d: it was written by a newer one", version, len(migrations))
	case version == len(migrations):
		return true, nil
	}
	if version > 0 {
		log.Info("migrating the database", "from", version, "to", version+1)
	}
	m := migrations[version]
	for _, statement := range m.statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return false, fmt.Errorf("migrating the schema from version %d: %w", version, err)
		}
	}
	if m.fill != nil {
		if err := m.fill(ctx, tx, log); err != nil {
			return false, fmt.Errorf("migrating the schema from version %d: %w", version, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE schema_version SET version = $1 WHERE id = 1`, version+1); err != nil {
		return false, fmt.Errorf("migrating the schema from version %d: %w", version, err)
	}
	return false, tx.Commit()
}
