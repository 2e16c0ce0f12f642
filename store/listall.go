package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"strongroom/kmip"
)

const (
	countObjects = `SELECT COUNT(*) FROM objects`
	someObjects  = `SELECT id, uid, owner, attributes FROM objects WHERE id > $1 ORDER BY id LIMIT $2`
	someGrants   = `SELECT o.id, g.grantee FROM objects o JOIN grants g ON g.uid = o.uid WHERE o.id > $1 AND o.id <= $2 GROUP BY o.id, g.grantee ORDER BY o.id`

	progressEvery = 5 * time.Second // a line of the log
)

var listedAtOnce = 1000 // objects in memory; a variable for the tests, which have fewer

// listAll puts every object into its lists, for a database that has none yet.
func listAll(ctx context.Context, tx *sql.Tx, log *slog.Logger) error {
	var all, done int
	if err := tx.QueryRowContext(ctx, countObjects).Scan(&all); err != nil {
		return err
	}
	b := &batch{w: new(writer), tx: tx, statements: map[string]*sql.Stmt{}, tallies: map[listID]*tally{}}
	for _, text := range insertEntries {
		s, err := tx.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		b.statements[text] = s
	}
	told := time.Now()
	for last := int64(0); ; {
		objects, err := objectsAfter(ctx, tx, last)
		if err != nil {
			return err
		}
		if len(objects) == 0 {
			return b.count()
		}
		for _, o := range objects {
			if err := b.relist(o.id, listing{}, listingOf(&o.object)); err != nil {
				return err
			}
			last = o.id
		}
		done += len(objects)
		if time.Since(told) > progressEvery {
			told = time.Now()
			log.Info("putting objects into lists", "done", done, "of", all)
		}
	}
}

// objectsAfter reads some objects that follow number last, with no more of each than says which lists it is in.
func objectsAfter(ctx context.Context, tx *sql.Tx, last int64) ([]*row, error) {
	var all []*row
	err := each(ctx, tx, someObjects, []any{last, listedAtOnce}, func(rows *sql.Rows) error {
		r := &row{object: kmip.Object{Owners: make([]string, 1)}}
		var attributes sql.RawBytes
		if err := rows.Scan(&r.id, &r.object.UniqueIdentifier, &r.object.Owners[0], &attributes); err != nil {
			return err
		}
		var err error
		if r.object.Attributes, err = kmip.DecodeAttributes(attributes); err != nil {
			return fmt.Errorf("reading object %q: %w", r.object.UniqueIdentifier, err)
		}
		all = append(all, r)
		return nil
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	at := 0
	return all, each(ctx, tx, someGrants, []any{last, all[len(all)-1].id}, func(rows *sql.Rows) error {
		var id int64
		var g kmip.Grant
		if err := rows.Scan(&id, &g.Grantee); err != nil {
			return err
		}
		for all[at].id != id {
			at++
		}
		all[at].object.Grants = append(all[at].object.Grants, g)
		return nil
	})
}

// each runs a query and hands its rows to do.
func each(ctx context.Context, tx *sql.Tx, text string, args []any, do func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
