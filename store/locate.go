package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"strongroom/kmip"
)

const (
	// mostLocated is how many answers a search has that does not say how many it wants.
	mostLocated = 100_000

	// readCost is how many entries of lists an object that is read costs as much as.
	readCost = 8

	// readAtOnce is how many objects one statement reads.
	readAtOnce = 32
)

// These are variables for the tests, which have less to search.
var (
	// countedOn is how many entries of lists a search goes on for, once it has its answers, to count what else matches.
	countedOn = 10_000

	// easy is how much a search may read before it waits for its turn among the long ones.
	easy = 20_000
)

// Locate finds what matches by the lists of what is wanted; see index.go.
func (s *Store) Locate(ctx context.Context, q *kmip.Search) (*kmip.Found, error) {
	w := walk{most: cmp.Or(q.Most, mostLocated)}
	defer w.end()
	var err error
	if w.plan, err = s.plan(ctx, q); err == nil && w.from != nil {
		err = w.run(ctx)
	}
	switch {
	case err == nil:
		return &kmip.Found{Objects: w.found, Total: w.total()}, nil
	case ctx.Err() != nil:
		return nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "the search took too long: ask for something that fewer objects have")
	}
	return nil, fmt.Errorf("locating: %w", err)
}

// A walk goes through the objects of a plan, newest first.
type walk struct {
	*plan
	most int

	matched int  // objects, so far
	spent   int  // entries read, or as many as would have cost the same
	beyond  int  // what was spent once the answers were complete
	done    bool // there are no more objects
	queued  bool // among the long searches
	found   []kmip.Located
}

// complete says that there are as many answers as are wanted.
func (w *walk) complete() bool { return len(w.found) == w.most }

// run goes on until the answers are complete, and the others are counted or dear to count.
func (w *walk) run(ctx context.Context) error {
	some := make([]candidate, 0, readAtOnce)
	for at := newest; !w.done && !(w.complete() && (w.known >= 0 || w.beyond > countedOn)); {
		for some = some[:0]; len(some) < readAtOnce; at = some[len(some)-1].id - 1 {
			id, err := w.from.seek(ctx, at)
			if err != nil {
				return err
			}
			if w.done = id == 0; w.done {
				break
			}
			some = append(some, candidate{id, w.sure(id)})
		}
		if err := w.take(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// A candidate is an object of the set that is gone through, and whether it is sure to match.
type candidate struct {
	id   int64
	sure bool
}

func (c candidate) unsure() bool { return !c.sure }

// take takes some objects. They are read unless all are sure to match and none is an answer.
func (w *walk) take(ctx context.Context, some []candidate) error {
	cost := len(some)
	if !slices.ContainsFunc(some, candidate.unsure) && (w.matched+len(some) <= w.Offset || w.complete()) {
		w.matched += len(some)
	} else {
		cost *= readCost
		if err := w.read(ctx, some); err != nil {
			return err
		}
	}
	if w.complete() {
		w.beyond += cost
	}
	if w.spent += cost; w.spent > easy && !w.queued {
		select {
		case w.store.long <- struct{}{}:
			w.queued = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// end makes room for another long search.
func (w *walk) end() {
	if w.queued {
		<-w.store.long
	}
}

// total is how many objects match in all, -1 where that is not known.
func (w *walk) total() int {
	switch {
	case w.from == nil || w.done:
		return w.matched
	case w.known >= 0:
		return w.known
	}
	return -1
}

const locateObject = `SELECT id, uid, initial_date, attributes FROM objects WHERE id = $1`

const locateObjects = `SELECT id, uid, initial_date, attributes FROM objects WHERE id IN
	($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
	$17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)
	ORDER BY id DESC`

// read reads objects, and takes those that match.
func (w *walk) read(ctx context.Context, some []candidate) error {
	if len(some) == 0 {
		return nil
	}
	statement, args := w.store.reads.locateObjects, make([]any, readAtOnce)
	for i := range args {
		args[i] = some[min(i, len(some)-1)].id
	}
	if len(some) == 1 {
		statement, args = w.store.reads.locateObject, args[:1]
	}
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		var id, created int64
		var attributes sql.RawBytes
		o := new(kmip.Object)
		if err := rows.Scan(&id, &o.UniqueIdentifier, &created, &attributes); err != nil {
			return err
		}
		for some[i].id != id { // one that is there no more
			i++
		}
		if !some[i].sure {
			if o.Attributes, err = w.decode(attributes); err != nil {
				return fmt.Errorf("reading object %q: %w", o.UniqueIdentifier, err)
			}
			if !o.Attributes.InStorage(w.storage) || slices.Contains(w.Hidden, o.ObjectType()) || !o.Matches(w.Attributes, w.now) || !w.Admits(o) {
				continue
			}
		}
		if w.matched++; w.matched > w.Offset && len(w.found) < w.most {
			w.found = append(w.found, kmip.Located{UniqueIdentifier: o.UniqueIdentifier, InitialDate: time.UnixMicro(created).UTC()})
		}
	}
	return rows.Err()
}

// decode decodes what is compared: with a condition, which may ask for any, all attributes.
func (w *walk) decode(encoded []byte) (kmip.Attributes, error) {
	if w.Condition != nil {
		return kmip.DecodeAttributes(encoded)
	}
	return kmip.DecodeCompared(encoded, w.Attributes)
}
