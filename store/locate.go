package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// mostLocated is how many answers one search has at most, to bound its memory.
const mostLocated = 100_000

// What a user may see is what it owns and what it, or everyone, was granted something on. The two parts are read in the
// order of an index each and merged, so that a search that needs few answers reads few rows. A search for a word reads
// the rows that have it.
const (
	locateColumns = `o.initial_date, o.uid, o.object_type, o.attributes`

	locateAll = `SELECT ` + locateColumns + ` FROM objects o
			WHERE o.owner = $1 AND o.destroyed >= $2 AND o.destroyed <= $3
		UNION ALL
		SELECT ` + locateColumns + ` FROM objects o
			WHERE o.uid IN (SELECT g.uid FROM grants g WHERE g.grantee IN ($1, '*'))
			AND o.owner <> $1 AND o.destroyed >= $2 AND o.destroyed <= $3
		ORDER BY 1 DESC, 2 DESC`

	locateWord = `SELECT ` + locateColumns + ` FROM objects o
			WHERE o.uid IN (SELECT w.uid FROM words w WHERE w.value = $1 AND w.kind = $2)
			AND o.destroyed = 0 AND (o.owner = $3 OR EXISTS
				(SELECT 1 FROM grants g WHERE g.uid = o.uid AND g.grantee IN ($3, '*')))
		ORDER BY 1 DESC, 2 DESC`
)

// Locate lists what matches, newest first.
func (s *Store) Locate(ctx context.Context, q *kmip.Search) ([]kmip.Located, error) {
	p, ok := s.plan(q)
	if !ok {
		return nil, nil
	}
	rows, err := p.query(ctx, &s.reads)
	if err != nil {
		return nil, fmt.Errorf("locating: %w", err)
	}
	defer rows.Close()
	var all []kmip.Located
	for rows.Next() {
		uid, created, ok, err := p.next(rows)
		if err != nil {
			return nil, fmt.Errorf("locating: %w", err)
		}
		if !ok {
			continue
		}
		all = append(all, kmip.Located{UniqueIdentifier: uid, InitialDate: time.UnixMicro(created).UTC()})
		if len(all) == q.Most || len(all) == mostLocated {
			break
		}
	}
	return all, rows.Err()
}

// A plan is how a search is answered.
type plan struct {
	identity   string
	word       *word // the word that finds the rows, nil to read all that identity may see
	storage    kmip.StorageStatusMask
	live, gone bool // which rows are wanted: on-line and archived ones, destroyed ones
	objectType kmip.ObjectType
	hidden     []kmip.ObjectType
	rest       kmip.Attributes // what is compared row by row
	now        time.Time
}

// plan takes apart what a search wants; there is nothing to search where ok is false.
func (s *Store) plan(q *kmip.Search) (p *plan, ok bool) {
	p = &plan{identity: q.Identity, hidden: q.Hidden, now: s.now()}
	p.storage = q.Storage
	if p.storage == 0 {
		p.storage = kmip.StorageStatusMaskOnLineStorage
	}
	p.live = p.storage&(kmip.StorageStatusMaskOnLineStorage|kmip.StorageStatusMaskArchivalStorage) != 0
	p.gone = q.Storage&kmip.StorageStatusMaskDestroyedStorage != 0
	for _, want := range q.Attributes {
		switch v := want.Value.(type) {
		case kmip.ObjectType:
			if p.objectType != 0 && p.objectType != v {
				return nil, false
			}
			p.objectType = v
			continue
		case kmip.State:
			if v == kmip.StateDestroyed || v == kmip.StateDestroyedCompromised {
				p.gone = p.gone || q.Storage == 0
			}
		}
		p.rest = append(p.rest, want)
	}
	if p.gone {
		p.storage |= kmip.StorageStatusMaskDestroyedStorage
	}
	// Every object of a group may be its default member; a fresh one has an attribute that says so.
	if q.Group == kmip.ObjectGroupMemberGroupMemberFresh {
		p.rest = append(p.rest, kmip.Attribute{Tag: ttlv.TagFresh, Value: true})
	}
	if !p.gone { // destroyed objects have no words
		p.word = findingWord(p.rest)
	}
	return p, p.live || p.gone
}

// findingWord is the word that finds what a search wants.
func findingWord(wanted kmip.Attributes) *word {
	for _, want := range wanted {
		if w, ok := wordOf(want); ok && w.value != "" {
			return &w
		}
	}
	return nil
}

func (p *plan) query(ctx context.Context, r *reads) (*sql.Rows, error) {
	if p.word != nil {
		return r.locateWord.QueryContext(ctx, p.word.value, p.word.kind, p.identity)
	}
	from, to := 0, 1
	if !p.gone {
		to = 0
	}
	if !p.live {
		from = 1
	}
	return r.locateAll.QueryContext(ctx, p.identity, from, to)
}

// next reads a row and says whether it matches.
func (p *plan) next(rows *sql.Rows) (uid string, created int64, ok bool, err error) {
	var objectType int64
	var attributes sql.RawBytes
	if err := rows.Scan(&created, &uid, &objectType, &attributes); err != nil {
		return "", 0, false, err
	}
	if p.objectType != 0 && p.objectType != kmip.ObjectType(objectType) || slices.Contains(p.hidden, kmip.ObjectType(objectType)) {
		return "", 0, false, nil
	}
	if len(p.rest) == 0 && p.anywhere(attributes) {
		return uid, created, true, nil
	}
	o := &kmip.Object{UniqueIdentifier: uid}
	if o.Attributes, err = kmip.DecodeAttributes(attributes); err != nil {
		return "", 0, false, fmt.Errorf("reading object %q: %w", uid, err)
	}
	return uid, created, o.Attributes.InStorage(p.storage) && o.Matches(p.rest, p.now), nil
}

// archiveDate is how an Archive Date begins in encoded attributes: tag, type and length.
var archiveDate = []byte{0x42, 0x00, 0x05, byte(ttlv.TypeDateTime), 0, 0, 0, 8}

// anywhere says, without decoding, that a row is in a storage that is searched: where on-line objects are, and the row has no
// Archive Date. The query has seen to the destroyed ones.
func (p *plan) anywhere(attributes []byte) bool {
	return p.storage&kmip.StorageStatusMaskOnLineStorage != 0 && !bytes.Contains(attributes, archiveDate)
}
