package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/kmip"
)

// Envelopes protect material. What says who may do what with it is beside them: attributes, the state and the dates among them,
// the owner, grants. So every row and every record has a MAC under a subkey of the root key, over all of that and over the
// envelope: whoever writes to the database and has not the root key can take rows away, but neither change nor exchange one.

// errForged says that a row or a record was written by somebody who has not the root key.
var errForged = errors.New("it does not have its MAC: something else than this program changed it")

// An encoding is what is remembered of encoded attributes.
type encoding struct {
	length int
	digest [32]byte
}

func encodingOf(attributes []byte) encoding {
	return encoding{len(attributes), sha256.Sum256(attributes)}
}

// stated is what the MAC of a row covers.
func (r *row) stated() []byte {
	b := make([]byte, 0, 256)
	b = appendText(b, "object")
	b = appendText(b, r.object.UniqueIdentifier)
	b = appendText(b, r.owner())
	for _, n := range []int64{r.id, r.created, int64(r.object.ObjectType()), r.object.Revision} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, r.encoding.digest[:]...)
	b = append(b, r.index[:]...)
	return appendGrants(b, r.object.Grants)
}

// statedRecord is what the MAC of a record covers: of one without a fingerprint, what it was before there were any.
func statedRecord(uid string, revision int64, digest [32]byte, grants []kmip.Grant, fingerprint string) []byte {
	b := make([]byte, 0, 256)
	b = appendText(b, "record")
	b = appendText(b, uid)
	b = binary.BigEndian.AppendUint64(b, uint64(revision))
	b = append(b, digest[:]...)
	b = appendGrants(b, grants)
	if fingerprint != "" {
		b = appendText(b, fingerprint)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}

// appendGrants encodes grants, in the order of grantee and operation.
func appendGrants(b []byte, grants []kmip.Grant) []byte {
	sorted := slices.SortedFunc(slices.Values(grants), func(x, y kmip.Grant) int {
		if c := strings.Compare(x.Grantee, y.Grantee); c != 0 {
			return c
		}
		return int(x.Operation) - int(y.Operation)
	})
	b = binary.BigEndian.AppendUint32(b, uint32(len(sorted)))
	for _, g := range sorted {
		b = appendText(b, g.Grantee)
		b = binary.BigEndian.AppendUint32(b, uint32(g.Operation))
	}
	return b
}

// mac authenticates the row as it is to be written.
func (r *row) mac() ([]byte, error) { return r.store.root.MAC(r.stated()) }

// authentic checks the MAC of what was read.
func (s *Store) authentic(stated, mac []byte) error {
	want, err := s.root.MAC(stated)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, mac) {
		return errForged
	}
	return nil
}

// whole reads what is kept in several tables until it is of one revision: a write may come between. Read gives the revision that
// it found. What is forged stays so.
func whole(read func() (revision int64, err error)) error {
	for last := int64(-1); ; {
		revision, err := read()
		if !errors.Is(err, errForged) || revision == last {
			return err
		}
		last = revision
	}
}

const (
	someRows       = `SELECT uid FROM objects WHERE id > $1 ORDER BY id LIMIT $2`
	someRecords    = `SELECT uid FROM records WHERE uid > $1 ORDER BY uid LIMIT $2`
	setRowMAC      = `UPDATE objects SET mac = $1 WHERE uid = $2`
	setRecordMAC   = `UPDATE records SET mac = $1 WHERE uid = $2`
	macsAtOnce     = 1000
	selectMACed    = `SELECT id, owner, object_type, initial_date, attributes, envelope, revision FROM objects WHERE uid = $1`
	selectStanding = `SELECT attributes, fingerprint, revision FROM records WHERE uid = $1`
)

// AuthenticateRows gives every row and every record a MAC, as they are. It is for a database from before there were any.
func (t slots) AuthenticateRows(ctx context.Context, mac func([]byte) []byte) error {
	t.store.log.Info("authenticating the rows of a database from before they had MACs")
	return t.store.writer.write(ctx, func(b *batch) error {
		if err := t.authenticateObjects(ctx, b, mac); err != nil {
			return err
		}
		return t.authenticateRecords(ctx, b, mac)
	}, nil)
}

func (t slots) authenticateObjects(ctx context.Context, b *batch, mac func([]byte) []byte) error {
	for last := int64(0); ; {
		uids, err := column(ctx, b.tx, someRows, last, macsAtOnce)
		if err != nil || len(uids) == 0 {
			return err
		}
		for _, uid := range uids {
			r := &row{object: kmip.Object{UniqueIdentifier: uid, Owners: make([]string, 1)}}
			var objectType int64
			var attributes, envelope []byte
			if err := b.row(selectMACed, []any{uid}, &r.id, &r.object.Owners[0], &objectType, &r.created, &attributes, &envelope, &r.object.Revision); err != nil {
				return fmt.Errorf("reading object %q: %w", uid, err)
			}
			if r.object.Attributes, err = kmip.DecodeAttributes(attributes); err != nil {
				return fmt.Errorf("reading object %q: %w", uid, err)
			}
			if r.object.Grants, err = grantsIn(ctx, b.tx, uid); err != nil {
				return err
			}
			r.encoding, last = encodingOf(attributes), r.id
			if envelope != nil {
				r.index = sha256.Sum256(envelope)
			}
			if _, err := b.exec(setRowMAC, mac(r.stated()), uid); err != nil {
				return err
			}
		}
	}
}

func (t slots) authenticateRecords(ctx context.Context, b *batch, mac func([]byte) []byte) error {
	for last := ""; ; {
		uids, err := column(ctx, b.tx, someRecords, last, macsAtOnce)
		if err != nil || len(uids) == 0 {
			return err
		}
		for _, uid := range uids {
			var attributes []byte
			var fingerprint string
			var revision int64
			if err := b.row(selectStanding, []any{uid}, &attributes, &fingerprint, &revision); err != nil {
				return fmt.Errorf("reading the record of %q: %w", uid, err)
			}
			grants, err := grantsIn(ctx, b.tx, uid)
			if err != nil {
				return err
			}
			if _, err := b.exec(setRecordMAC, mac(statedRecord(uid, revision, sha256.Sum256(attributes), grants, fingerprint)), uid); err != nil {
				return err
			}
			last = uid
		}
	}
}

// column is the values of a query for one column of text.
func column(ctx context.Context, tx *sql.Tx, query string, args ...any) (all []string, err error) {
	err = each(ctx, tx, query, args, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		all = append(all, text)
		return err
	})
	return all, err
}

// grantsIn are the grants on an object, as a transaction sees them.
func grantsIn(ctx context.Context, tx *sql.Tx, uid string) (all []kmip.Grant, err error) {
	err = each(ctx, tx, selectGrants, []any{uid}, func(rows *sql.Rows) error {
		var g kmip.Grant
		var operation int64
		err := rows.Scan(&g.Grantee, &operation)
		g.Operation = kmip.Operation(operation)
		all = append(all, g)
		return err
	})
	return all, err
}
