package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"strongroom/kmip"
	"strongroom/store/seal"
)

// A row is one managed object in memory. It is shared and never changed: a write makes a new one.
type row struct {
	store    *Store
	object   kmip.Object
	key      key            // what object.Key points to
	id       int64          // in the order of creation
	created  int64          // microseconds since 1970
	encoding encoding       // of the attributes
	envelope *seal.Envelope // nil: the object is destroyed
	index    [32]byte       // digest of the envelope: the cache's index
	gone     *atomic.Bool   // set when the object is destroyed; shared by all versions of the row in memory
}

// newRow makes a row of o, whose attributes it keeps, in the place of another.
func (s *Store) newRow(o *kmip.Object, old *row, encoded encoding, e *seal.Envelope) *row {
	r := &row{store: s, object: *o, id: old.id, created: old.created, encoding: encoded, envelope: e, gone: old.gone}
	r.object.Key = nil
	if r.gone == nil {
		r.gone = new(atomic.Bool)
	}
	if e == nil {
		r.gone.Store(true)
		return r
	}
	r.index = sha256.Sum256(e.Bytes())
	if computes[o.ObjectType()] {
		r.key.row = r
		r.object.Key = &r.key
	}
	return r
}

// computes has the types of objects that are keys. A certificate does what its public key does.
var computes = map[kmip.ObjectType]bool{
	kmip.ObjectTypeSymmetricKey: true,
	kmip.ObjectTypePublicKey:    true,
	kmip.ObjectTypePrivateKey:   true,
	kmip.ObjectTypeCertificate:  true,
}

// size is about how many bytes the row takes.
func (r *row) size() int {
	n := 1024 + r.encoding.length + 80*len(r.object.Attributes) + 64*len(r.object.Grants)
	if r.envelope != nil {
		n += len(r.envelope.Bytes())
	}
	return n
}

// owner is the one owner of a database object.
func (r *row) owner() string { return r.object.Owners[0] }

// bound is the context that an object's envelope is tied to: changing any of it in the database makes the material
// unreadable. Texts have their length before them, numbers are big-endian.
func bound(uid, owner string, t kmip.ObjectType, a kmip.Attributes) []byte {
	b := make([]byte, 0, 64+len(uid)+len(owner))
	b = append(b, "object:"...)
	for _, text := range []string{uid, owner} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(t))
	b = binary.BigEndian.AppendUint32(b, uint32(a.UsageMask()))
	var flags byte
	if a.Sensitive() {
		flags |= 1
	}
	if a.Extractable() {
		flags |= 2
	}
	return append(b, flags)
}

func (r *row) bound() []byte {
	return bound(r.object.UniqueIdentifier, r.owner(), r.object.ObjectType(), r.object.Attributes)
}

// row is the object of an identifier, from memory or from the database.
func (s *Store) row(ctx context.Context, uid string) (*row, error) {
	r, mark, ok := s.rows.get(uid)
	if ok {
		return r, nil
	}
	r, err := s.readRow(ctx, uid)
	if err != nil {
		return nil, err
	}
	s.rows.fill(r.object.UniqueIdentifier, r, mark)
	return r, nil
}

const (
	selectObject = `SELECT id, owner, object_type, initial_date, attributes, envelope, protector, revision, mac FROM objects WHERE uid = $1`
	selectGrants = `SELECT grantee, operation FROM grants WHERE uid = $1 ORDER BY grantee, operation`
)

func (s *Store) readRow(ctx context.Context, uid string) (r *row, err error) {
	err = whole(func() (revision int64, err error) {
		var mac []byte
		if r, mac, err = s.readOnce(ctx, uid); err != nil {
			return 0, err
		}
		if err = s.authentic(r.stated(), mac); err != nil {
			err = fmt.Errorf("reading object %q: %w", uid, err)
		}
		return r.object.Revision, err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s *Store) readOnce(ctx context.Context, uid string) (*row, []byte, error) {
	o := &kmip.Object{UniqueIdentifier: strings.Clone(uid), Owners: make([]string, 1)}
	var old row
	var objectType int64
	var attributes, envelope, mac []byte
	var protector string
	err := s.reads.object.QueryRowContext(ctx, uid).Scan(&old.id, &o.Owners[0], &objectType, &old.created, &attributes, &envelope, &protector, &o.Revision, &mac)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, kmip.NotFound(uid)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading object %q: %w", uid, err)
	}
	if o.Attributes, err = kmip.DecodeAttributes(attributes); err != nil {
		return nil, nil, fmt.Errorf("reading object %q: %w", uid, err)
	}
	if o.Grants, err = s.readGrants(ctx, uid); err != nil {
		return nil, nil, err
	}
	var e *seal.Envelope
	if envelope != nil {
		if e, err = seal.Parse(envelope); err != nil {
			return nil, nil, fmt.Errorf("reading object %q: %w", uid, err)
		}
		if e.Protector != protector || int64(o.ObjectType()) != objectType {
			return nil, nil, fmt.Errorf("reading object %q: the row's columns and its envelope and attributes disagree", uid)
		}
	}
	return s.newRow(o, &old, encodingOf(attributes), e), mac, nil
}

func (s *Store) readGrants(ctx context.Context, uid string) ([]kmip.Grant, error) {
	rows, err := s.reads.grants.QueryContext(ctx, uid)
	if err != nil {
		return nil, fmt.Errorf("reading the grants on %q: %w", uid, err)
	}
	defer rows.Close()
	var all []kmip.Grant
	for rows.Next() {
		var g kmip.Grant
		var operation int64
		if err := rows.Scan(&g.Grantee, &operation); err != nil {
			return nil, fmt.Errorf("reading the grants on %q: %w", uid, err)
		}
		g.Operation = kmip.Operation(operation)
		all = append(all, g)
	}
	return all, rows.Err()
}

// micros is a time as it is kept.
func micros(t time.Time) int64 { return t.UnixMicro() }
