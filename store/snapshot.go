package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"strongroom/store/crash"
	"strongroom/store/seal"
)

// snapshotMark stands in the names of snapshots, behind that of the database.
const snapshotMark = ".snapshot-"

// Snapshot writes the database as it is at one moment to a new file of mode 0600 beside it, while it is in use: what is sealed in it
// stays sealed, what was deleted is not in it, and neither is who its servers are. The caller removes the file; where he was cut off,
// the next Open does.
func (s *Store) Snapshot(ctx context.Context) (path string, err error) {
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+snapshotMark+"*")
	if err != nil {
		return "", err
	}
	path = f.Name()
	if err := f.Close(); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing a snapshot: %w", err), os.Remove(path))
		}
	}()
	db, err := sql.Open("sqlite", dsn(s.path, "mode=ro"))
	if err != nil {
		return path, err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil {
		return path, err
	}
	crash.At("snapshot-made")
	return path, forgetServers(ctx, path)
}

// forgetServers leaves no server in a copy that is to become another's database.
func forgetServers(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(DELETE)"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `DELETE FROM replicas`)
	return errors.Join(err, db.Close())
}

// sweep removes what is left of snapshots. Whoever holds the lock of the database is the only one who makes any.
func (s *Store) sweep() error {
	folder, prefix := filepath.Dir(s.path), filepath.Base(s.path)+snapshotMark
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			err = errors.Join(err, os.Remove(filepath.Join(folder, e.Name())))
		}
	}
	return err
}

// WrappingKey is the identifier of the managed key that a protector's reference names.
func WrappingKey(reference string) (uid string, ok bool) {
	if uid, ok = strings.CutPrefix(reference, tokenReference); ok {
		return uid, true
	}
	return strings.CutPrefix(reference, keyReference)
}

// mostNamed is how many objects that do not open Verify names.
const mostNamed = 10

// Verify opens the material of every object, past the memory, and says how many of them open. The error names those that do not.
func (s *Store) Verify(ctx context.Context) (n int, err error) {
	var failed []error
	closed := 0
	rows, err := s.readers.QueryContext(ctx, `SELECT uid FROM objects WHERE envelope IS NOT NULL ORDER BY id`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var uid string
		if err := rows.Scan(&uid); err != nil {
			return n, err
		}
		r, err := s.readRow(ctx, uid)
		if err == nil && r.envelope == nil {
			continue // destroyed meanwhile
		}
		var plain []byte
		if err == nil {
			plain, err = r.open(ctx)
		}
		clear(plain)
		switch {
		case ctx.Err() != nil || errors.Is(err, seal.ErrSealed):
			return n, errors.Join(ctx.Err(), err)
		case err == nil:
			n++
		case closed < mostNamed:
			failed = append(failed, fmt.Errorf("object %q: %w", uid, err))
			fallthrough
		default:
			closed++
		}
	}
	if closed > mostNamed {
		failed = append(failed, fmt.Errorf("and %d more", closed-mostNamed))
	}
	return n, errors.Join(append(failed, rows.Err())...)
}

// TakeSlots gives an empty database the root key slots of another one.
func (s *Store) TakeSlots(ctx context.Context, table *seal.Table) error {
	return s.writer.write(ctx, func(b *batch) error {
		if err := b.putTable(table, 0); errors.Is(err, seal.ErrTableChanged) {
			return refuse(errors.New("the database has a root key already"))
		} else if err != nil {
			return err
		}
		for i := range table.Slots {
			if err := b.insertSlot(&table.Slots[i]); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}
