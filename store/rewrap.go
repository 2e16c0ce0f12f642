package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"strongroom/kmip"
	"strongroom/store/crash"
)

// A Rewrapping is how far a rotation of a wrapping key in a token has come.
type Rewrapping struct {
	Rewrapped int      `json:"rewrapped"` // by this run
	Remaining int      `json:"remaining"` // under the old key, those that failed among them
	Failed    int      `json:"failed"`
	Failures  []string `json:"failures,omitempty"` // of the first of them, why
	Error     string   `json:"error,omitempty"`    // why the run ended before its time
}

const (
	selectWrapped = `SELECT id, uid FROM objects WHERE protector = $1 AND id > $2 ORDER BY id LIMIT 64`
	countWrapped  = `SELECT COUNT(*) FROM objects WHERE protector = $1`

	rewrapsAtOnce = 4
	mostFailures  = 20
)

// Rewrap puts every row that a key in a token wrapped under another one, row by row, while they are used: a row that was changed
// meanwhile is done again, and what was made under the old key meanwhile is done, too. A row is under the one or the other at any
// time, so that a run that was cut off is just begun again. Report hears how far it is, after every few rows.
func (s *Store) Rewrap(ctx context.Context, from, to string, report func(Rewrapping)) (Rewrapping, error) {
	var done Rewrapping
	if s.options.Token == nil {
		return done, kmip.Errorf(kmip.ResultReasonGeneralFailure, "no HSM is configured")
	}
	if from == to {
		return done, kmip.Errorf(kmip.ResultReasonInvalidField, "%q is both the old and the new wrapping key", from)
	}
	old := tokenReference + from
	count := func() error {
		if err := s.readers.QueryRowContext(ctx, countWrapped, old).Scan(&done.Remaining); err != nil {
			return fmt.Errorf("counting what %q wraps: %w", from, err)
		}
		return nil
	}
	if err := count(); err != nil {
		return done, err
	}
	for after := int64(0); ; {
		report(done)
		ids, uids, err := s.pageWrapped(ctx, old, after)
		if err != nil {
			return done, err
		}
		if len(ids) == 0 {
			return done, count() // with what was made meanwhile
		}
		after = ids[len(ids)-1]
		before := done.Rewrapped
		err = s.rewrapPage(ctx, from, to, uids, &done)
		done.Remaining -= done.Rewrapped - before
		if err != nil {
			return done, err
		}
	}
}

// pageWrapped lists the next rows.
func (s *Store) pageWrapped(ctx context.Context, protector string, after int64) (ids []int64, uids []string, err error) {
	rows, err := s.readers.QueryContext(ctx, selectWrapped, protector, after)
	if err != nil {
		return nil, nil, fmt.Errorf("listing what %q wraps: %w", protector, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var uid string
		if err := rows.Scan(&id, &uid); err != nil {
			return nil, nil, fmt.Errorf("listing what %q wraps: %w", protector, err)
		}
		ids, uids = append(ids, id), append(uids, uid)
	}
	return ids, uids, rows.Err()
}

// rewrapPage does a few rows at once. A key that cannot be rewrapped is counted and left; that the token cannot be used ends it.
func (s *Store) rewrapPage(ctx context.Context, from, to string, uids []string, done *Rewrapping) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(rewrapsAtOnce)
	for _, uid := range uids {
		g.Go(func() error {
			changed, err := s.rewrapRow(ctx, uid, from, to)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case changed:
				done.Rewrapped++
			case err != nil && kmip.ReasonOf(err) == kmip.ResultReasonCryptographicFailure:
				done.Failed++
				if len(done.Failures) < mostFailures {
					done.Failures = append(done.Failures, fmt.Sprintf("%s: %v", uid, err))
				}
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// rewrapRow does one row, as it is now.
func (s *Store) rewrapRow(ctx context.Context, uid, from, to string) (changed bool, err error) {
	for {
		r, err := s.row(ctx, uid)
		if err != nil {
			return false, err
		}
		if r.envelope == nil || r.envelope.Protector != tokenReference+from {
			return false, nil // destroyed, or done by another run
		}
		err = s.rewrap(ctx, r, from, to)
		if !errors.Is(err, kmip.ErrConflict) {
			return err == nil, err
		}
	}
}

func (s *Store) rewrap(ctx context.Context, r *row, from, to string) error {
	plain, err := r.open(ctx)
	if err != nil {
		return err
	}
	kept, err := s.options.Token.Rewrap(ctx, from, to, plain)
	clear(plain)
	if err != nil {
		return err
	}
	defer clear(kept)
	o := r.object.Clone()
	a := o.Attributes.WithVendor(kmip.VendorServer, kmip.AttributeWrappingKeyID, to)
	if named, ok := a.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID); ok && named == any(from) {
		a = a.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, strings.Clone(to))
	}
	e, err := s.sealUnder(ctx, s.tokenProtector(to), r.envelope.Generation+1, o, kept)
	if err != nil {
		return err
	}
	crash.At("rewrap-wrapped")
	err = s.amend(ctx, r, o, a, e)
	crash.At("rewrap-row")
	return err
}
