package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"strongroom/kmip"
	"strongroom/store/crash"
	"strongroom/store/seal"
)

const (
	selectRecord = `SELECT attributes, fingerprint, revision, mac FROM records WHERE uid = $1`
	insertRecord = `INSERT INTO records (uid, attributes, fingerprint, mac, revision) VALUES ($1, $2, $3, $4, 1) ON CONFLICT (uid) DO NOTHING`
	updateRecord = `UPDATE records SET attributes = $1, fingerprint = $2, mac = $3, revision = revision + 1 WHERE uid = $4 AND revision = $5`
	deleteRecord = `DELETE FROM records WHERE uid = $1`
	listRecords  = `SELECT uid FROM records WHERE uid >= $1 AND uid < $2 UNION SELECT uid FROM grants WHERE uid >= $1 AND uid < $2 ORDER BY uid`
)

// isNoRows says that a query for one row found none.
func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// Record is what is kept about a key in a token. Its lists are shared and not to be changed. Where nothing is kept the
// Record is empty, with Revision 0. While the server is sealed, and nobody is served, it is what the database says, unproven.
func (s *Store) Record(ctx context.Context, uid string) (kmip.Record, error) {
	r, mark, ok := s.records.get(uid)
	if ok {
		return *r, nil
	}
	r, proven, err := s.readRecord(ctx, uid)
	if err != nil {
		return kmip.Record{}, fmt.Errorf("reading the record of %q: %w", uid, err)
	}
	if proven {
		s.records.fill(strings.Clone(uid), r, mark)
	}
	return *r, nil
}

// recordSize is about how many bytes a Record takes.
func recordSize(r *kmip.Record) int { return 1024 + 128*len(r.Attributes) + 64*len(r.Grants) }

func (s *Store) readRecord(ctx context.Context, uid string) (r *kmip.Record, proven bool, err error) {
	err = whole(func() (int64, error) {
		r = new(kmip.Record)
		var attributes, mac []byte
		err := s.reads.record.QueryRowContext(ctx, uid).Scan(&attributes, &r.Fingerprint, &r.Revision, &mac)
		if isNoRows(err) {
			proven = true
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if r.Attributes, err = kmip.DecodeAttributes(attributes); err != nil {
			return 0, err
		}
		if r.Grants, err = s.readGrants(ctx, uid); err != nil {
			return 0, err
		}
		err = s.authentic(statedRecord(uid, r.Revision, sha256.Sum256(attributes), r.Grants, r.Fingerprint), mac)
		if proven = err == nil; errors.Is(err, seal.ErrSealed) {
			err = nil
		}
		return r.Revision, err
	})
	return r, proven, err
}

// PutRecord keeps r, attributes, grants and fingerprint, if r.Revision is the stored one (0 where nothing is stored), and raises it.
// Else the error is kmip.ErrConflict.
func (s *Store) PutRecord(ctx context.Context, uid string, r *kmip.Record) error {
	uid = strings.Clone(uid)
	encoded, attributes, err := encodeAttributes(r.Attributes)
	if err != nil {
		return err
	}
	next := &kmip.Record{Attributes: attributes, Grants: ownGrants(r.Grants), Fingerprint: strings.Clone(r.Fingerprint), Revision: r.Revision + 1}
	stated := statedRecord(uid, next.Revision, sha256.Sum256(encoded), next.Grants, next.Fingerprint)
	crash.At("record-put")
	write := func(b *batch) error {
		mac, err := s.root.MAC(stated)
		if err != nil {
			return err
		}
		if next.Revision == 1 {
			err = b.one(insertRecord, uid, encoded, next.Fingerprint, mac)
		} else {
			err = b.one(updateRecord, encoded, next.Fingerprint, mac, uid, next.Revision-1)
		}
		if err != nil {
			return err
		}
		if _, err := b.exec(dropGrants, uid); err != nil {
			return err
		}
		return b.insertGrants(uid, next.Grants)
	}
	return s.writer.write(ctx, write, func() {
		s.records.put(uid, next)
		r.Revision = next.Revision
	})
}

// DropRecord removes what is kept about a key in a token, the grants on it included.
func (s *Store) DropRecord(ctx context.Context, uid string) error {
	crash.At("record-drop")
	write := func(b *batch) error {
		if _, err := b.exec(deleteRecord, uid); err != nil {
			return err
		}
		_, err := b.exec(dropGrants, uid)
		return err
	}
	return s.writer.write(ctx, write, func() { s.records.drop(uid) })
}

// Recorded lists the identifiers of keys in tokens with a prefix, which ends with "::", of which anything is kept.
func (s *Store) Recorded(ctx context.Context, prefix string) (uids []string, err error) {
	rows, err := s.readers.QueryContext(ctx, listRecords, prefix, strings.TrimSuffix(prefix, ":")+";") // what follows ':'
	if err != nil {
		return nil, fmt.Errorf("listing the records of %q: %w", prefix, err)
	}
	defer rows.Close()
	for rows.Next() {
		var uid string
		if err := rows.Scan(&uid); err != nil {
			return nil, err
		}
		uids = append(uids, uid)
	}
	return uids, rows.Err()
}
