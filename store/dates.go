package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

const (
	listDates    = `SELECT object FROM entries WHERE list = $1 AND at >= $2 AND at <= $3 LIMIT $4`
	newestObject = `SELECT COALESCE(MAX(id), 0) FROM objects`
	objectAfter  = `SELECT id, initial_date FROM objects WHERE id >= $1 ORDER BY id LIMIT 1`

	// mostDated is how many objects of a range of dates are sorted in memory. Where there are more, dates are compared one
	// by one.
	mostDated = 50_000

	// A row is written later than the Initial Date in it, and clocks are set: by so much in all.
	slack = time.Hour
)

// dates are the sets of the dates that are wanted, as far as they narrow the search down.
func (p *plan) dates(ctx context.Context) (sets intersection, err error) {
	for i, want := range p.Attributes {
		if _, ok := want.Value.(time.Time); !ok || slices.IndexFunc(p.Attributes, want.Is) < i {
			continue
		}
		from, to := p.Attributes.DateRange(i)
		if to == kmip.LatestDate { // objects without that date match, too
			continue
		}
		s, err := p.created(ctx, from, to)
		if err != nil {
			return nil, err
		}
		if want.Tag == ttlv.TagInitialDate {
			sets = append(sets, s)
			continue
		}
		dated, err := p.dated(ctx, want, from, to)
		if err != nil {
			return nil, err
		}
		if len(dated) <= mostDated {
			sets = append(sets, &union{sets: []set{&dated, s}})
		}
	}
	return sets, nil
}

// dated are the objects in the lists of a date, in a range; more than mostDated where it has too many.
func (p *plan) dated(ctx context.Context, want kmip.Attribute, from, to int64) (all numbers, err error) {
	p.each(ofDate, named(want), func(id listID) {
		if err != nil || len(all) > mostDated {
			return
		}
		var some numbers
		some, err = p.store.listDates(ctx, id, from, to)
		all = append(all, some...)
	})
	slices.SortFunc(all, func(a, b int64) int { return int(b - a) })
	return slices.Compact(all), err
}

func (s *Store) listDates(ctx context.Context, id listID, from, to int64) (all numbers, err error) {
	rows, err := s.reads.dates.QueryContext(ctx, id[:], from, to, mostDated+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// created are the objects whose Initial Date may be in a range.
func (p *plan) created(ctx context.Context, from, to int64) (span, error) {
	const most = int64(1) << 40 // seconds; no object is so old, or so new
	first, err := p.store.firstSince(ctx, time.Unix(max(from, -most), 0).Add(-slack))
	if err != nil {
		return span{}, err
	}
	behind, err := p.store.firstSince(ctx, time.Unix(min(to, most), 0).Add(slack))
	return span{first, behind - 1}, err
}

// firstSince is the number of the first object that was made at a time or later, or one more than there are. Numbers and
// dates grow together.
func (s *Store) firstSince(ctx context.Context, t time.Time) (int64, error) {
	var most int64
	if err := s.reads.newest.QueryRowContext(ctx).Scan(&most); err != nil {
		return 0, err
	}
	low, high := int64(1), most+1
	for low < high {
		middle := low + (high-low)/2
		var id, created int64
		err := s.reads.objectAfter.QueryRowContext(ctx, middle).Scan(&id, &created)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && created >= t.UnixMicro():
			high = middle
		case err != nil:
			return 0, err
		default:
			low = id + 1
		}
	}
	return low, nil
}
