package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"strongroom/kmip"
	"strongroom/store/crash"
	"strongroom/store/seal"
)

const (
	countProtectors = `SELECT protector, COUNT(*) FROM objects WHERE destroyed = 0 GROUP BY protector`
	countUnder      = `SELECT COUNT(*) FROM objects WHERE protector IN ($1, $2) AND destroyed = 0`
	nextToMove      = `SELECT id, uid FROM objects WHERE destroyed = 0 AND protector <> $1 AND id > $2 ORDER BY id LIMIT 256`

	// The revision stays: nothing that a client sees has changed.
	moveObject = `UPDATE objects SET envelope = $1, protector = $2, mac = $3 WHERE uid = $4 AND revision = $5`
)

// Protectors counts the objects under each protector, by its reference.
func (s *Store) Protectors(ctx context.Context) (map[string]int, error) {
	rows, err := s.readers.QueryContext(ctx, countProtectors)
	if err != nil {
		return nil, fmt.Errorf("counting objects by protector: %w", err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var reference string
		var n int
		if err := rows.Scan(&reference, &n); err != nil {
			return nil, fmt.Errorf("counting objects by protector: %w", err)
		}
		all[reference] = n
	}
	return all, rows.Err()
}

var _ kmip.Wrapping = (*Store)(nil)

// WrappedBy counts the objects that a key wraps: the data key of their rows, or in its token the key itself.
func (s *Store) WrappedBy(ctx context.Context, uid string) (n int, err error) {
	if err := s.readers.QueryRowContext(ctx, countUnder, keyReference+uid, tokenReference+uid).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the objects under %q: %w", uid, err)
	}
	return n, nil
}

// wish is the reference of the protector that new objects go under, unless they name one.
func (s *Store) wish() string {
	if s.options.KeyEncryptionKey == "" {
		return seal.RootReference
	}
	return keyReference + s.options.KeyEncryptionKey
}

// A Moving is how far a Move has come.
type Moving struct {
	Total  int `json:"total"`  // objects that it looks at
	Done   int `json:"done"`   // of those
	Moved  int `json:"moved"`  // to the present protector
	Chosen int `json:"chosen"` // that stay under the key that their makers chose
}

// Move moves the objects that are under another protector than new ones go under to that one, except those whose makers chose
// the key. The material is not changed, and nobody waits: a row goes over in one write, and where it ends, the next call goes on.
func (s *Store) Move(ctx context.Context, tell func(Moving)) error {
	counts, err := s.Protectors(ctx)
	if err != nil {
		return err
	}
	var r Moving
	for reference, n := range counts {
		if reference != s.wish() {
			r.Total += n
		}
	}
	above, err := s.above(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for after := int64(0); ; tell(r) {
		uids, last, err := s.toMove(ctx, after)
		if err != nil || len(uids) == 0 {
			return errors.Join(append(failed, err)...)
		}
		for _, uid := range uids {
			if above[uid] {
				r.Chosen++
				r.Done++
				continue
			}
			moved, err := s.move(ctx, uid)
			crash.At("move-row")
			switch {
			case ctx.Err() != nil || errors.Is(err, seal.ErrSealed):
				return errors.Join(ctx.Err(), err)
			case err != nil && len(failed) < 10:
				failed = append(failed, fmt.Errorf("moving %q: %w", uid, err))
			case moved:
				r.Moved++
			case err == nil:
				r.Chosen++
			}
			r.Done++
		}
		after = last
		crash.At("move-page")
	}
}

// above are the keys of the database that the key which new rows go under is itself under: moved under that, they would close a
// circle. The key itself goes to its own place first.
func (s *Store) above(ctx context.Context) (map[string]bool, error) {
	all := map[string]bool{}
	uid, moved := s.options.KeyEncryptionKey, false
	for length := 0; uid != "" && length <= longestChain; length++ {
		if _, _, token, err := kmip.HSMKey(uid); err != nil || token {
			return all, err
		}
		if !moved {
			if _, err := s.move(ctx, uid); err != nil {
				return nil, err
			}
			moved = true
		}
		r, err := s.row(ctx, uid)
		if err != nil || r.envelope == nil {
			return all, err
		}
		all[uid] = true
		uid, _ = strings.CutPrefix(r.envelope.Protector, keyReference)
		if !wrapped(r.envelope) {
			break
		}
	}
	return all, nil
}

// toMove lists some objects that are under another protector, and the number of the last.
func (s *Store) toMove(ctx context.Context, after int64) (uids []string, last int64, err error) {
	rows, err := s.readers.QueryContext(ctx, nextToMove, s.wish(), after)
	if err != nil {
		return nil, 0, fmt.Errorf("looking for objects to move: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var uid string
		if err := rows.Scan(&last, &uid); err != nil {
			return nil, 0, fmt.Errorf("looking for objects to move: %w", err)
		}
		uids = append(uids, uid)
	}
	return uids, last, rows.Err()
}

// move moves one object, if the configuration says where it is, and it is elsewhere. A change that comes between is waited out.
func (s *Store) move(ctx context.Context, uid string) (moved bool, err error) {
	for range 10 {
		if moved, err = s.moveOnce(ctx, uid); !errors.Is(err, kmip.ErrConflict) {
			return moved, err
		}
	}
	return false, err
}

func (s *Store) moveOnce(ctx context.Context, uid string) (moved bool, err error) {
	old, err := s.row(ctx, uid)
	if errors.Is(err, kmip.ErrNotFound) || err == nil && old.envelope == nil {
		return false, nil // destroyed meanwhile
	}
	if err != nil {
		return false, err
	}
	if _, inToken := tokenKey(old.envelope); inToken {
		return false, nil // Rewrap is for those
	}
	if _, chosen := old.object.Attributes.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID); chosen {
		return false, nil
	}
	p, err := s.protector(ctx, uid, old.object.Attributes)
	if err != nil || p.Reference() == old.envelope.Protector {
		return false, err
	}
	plain, err := old.open(ctx)
	if err != nil {
		return false, err
	}
	defer clear(plain)
	changed := old.object
	e, err := s.sealUnder(ctx, p, old.envelope.Generation+1, &changed, plain)
	if err != nil {
		return false, err
	}
	crash.At("move-wrapped")
	if protection(e) != protection(old.envelope) {
		// The attributes tell it: the revision rises.
		a := changed.Attributes.WithVendor(kmip.VendorServer, kmip.AttributeProtection, protection(e))
		return true, s.amend(ctx, old, old.object.Clone(), a, e)
	}
	next := s.newRow(&changed, old, old.encoding, e)
	mac, err := next.mac()
	if err != nil {
		return false, err
	}
	write := func(b *batch) error {
		b.w.erasing = true
		return b.one(moveObject, e.Bytes(), e.Protector, mac, uid, old.object.Revision)
	}
	return true, s.replace(ctx, old, &changed, write, func() *row { return next })
}
