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

// A plan is how a search is answered: by going through a set of objects, and looking at those that are not sure to match.
type plan struct {
	*kmip.Search
	store    *Store
	viewers  []string
	storage  kmip.StorageStatusMask
	storages []kmip.StorageStatusMask
	now      time.Time

	from    set      // nil: nothing matches
	classes *classes // that from is made of; nil: it is made of other lists alone
	exact   bool     // what is wanted is what from is made of
	known   int      // how many objects match, -1 where that is not known
}

// sure says whether the member of from that was last found matches without being looked at.
func (p *plan) sure(id int64) bool { return p.exact && (p.classes == nil || p.classes.sure(id)) }

// plan makes the plan of a search.
func (s *Store) plan(ctx context.Context, q *kmip.Search) (*plan, error) {
	p := &plan{Search: q, store: s, viewers: []string{q.Identity, everyone}, storage: q.Storage, now: s.now(), known: -1}
	if p.storage == 0 {
		p.storage = kmip.StorageStatusMaskOnLineStorage
	}
	for _, m := range storages {
		if p.storage&m != 0 {
			p.storages = append(p.storages, m)
		}
	}
	for _, want := range p.Attributes {
		if uid, ok := want.Value.(string); ok && want.Tag == ttlv.TagUniqueIdentifier {
			return p, p.one(ctx, uid)
		}
	}
	sets, err := p.words(ctx)
	if err != nil || p.from != nil {
		return p, err
	}
	return p, p.intersect(ctx, sets)
}

const locateOne = `SELECT o.id FROM objects o WHERE o.uid = $1 AND (o.owner = $2 OR EXISTS
	(SELECT 1 FROM grants g WHERE g.uid = o.uid AND g.grantee IN ($2, '*')))`

// one plans to look at the object of that identifier, if the viewer may know of it.
func (p *plan) one(ctx context.Context, uid string) error {
	var id int64
	err := p.store.reads.locateOne.QueryRowContext(ctx, uid, p.viewers[0]).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	p.from = &numbers{id}
	return err
}

// words are the sets of the words that are wanted. One that is short is the whole plan: its objects are soon looked at.
func (p *plan) words(ctx context.Context) (sets intersection, err error) {
	for _, want := range p.Attributes {
		all := wordsOf(want)
		if len(all) == 0 {
			continue
		}
		var lists []*members
		u := new(union)
		p.each(ofWord, all[len(all)-1], func(id listID) {
			lists = append(lists, &members{reads: &p.store.reads, list: id})
			u.sets = append(u.sets, lists[len(lists)-1])
		})
		if _, err := u.seek(ctx, newest); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(lists, func(m *members) bool { return !m.ended }) {
			p.from = u
			return nil, nil
		}
		sets = append(sets, u)
	}
	return sets, nil
}

// each hands over the lists of something: one for each viewer and storage.
func (p *plan) each(kind byte, what []byte, do func(listID)) {
	for _, viewer := range p.viewers {
		for _, storage := range p.storages {
			do(list(kind, viewer, storage, what))
		}
	}
}

// intersect plans to go through what is in the sets of words, of dates, and in the classes of what is wanted.
func (p *plan) intersect(ctx context.Context, sets intersection) error {
	p.exact = p.Condition == nil
	words := len(sets) > 0
	alike := !words || len(p.Hidden) > 0 // whether classes narrow it down
	for _, want := range p.Attributes {
		alike = alike || classified[want.Tag]
		_, text := want.Value.(string)
		p.exact = p.exact && (classified[want.Tag] || len(wordsOf(want)) > 0 && (text || want.Tag == ttlv.TagAttribute))
	}
	dates, err := p.dates(ctx)
	if err != nil {
		return err
	}
	sets = append(sets, dates...)
	if alike {
		if p.classes, err = p.alike(ctx); err != nil || len(p.classes.sets) == 0 {
			return err
		}
		certain := !slices.Contains(p.classes.certain, false)
		if p.exact && len(sets) == 0 && certain {
			p.known = p.classes.members
		}
		if words && certain && !p.classes.others {
			p.classes = nil // everything that the viewer sees is in them
		} else {
			sets = append(sets, p.classes)
		}
	}
	p.from = sets
	return nil
}

const selectClasses = `SELECT list, storage, attributes, members FROM classes WHERE viewer IN ($1, '*') AND members > 0`

// classes are the set of those whose members may match.
type classes struct {
	union
	certain []bool // by class: what is wanted of what has few values, its members have
	members int
	others  bool // there are other classes
}

// sure says whether the class of the member that was last found is certain.
func (c *classes) sure(id int64) bool { return c.certain[slices.Index(c.heads, id)] }

// alike are the classes of what is wanted.
func (p *plan) alike(ctx context.Context) (*classes, error) {
	rows, err := p.store.reads.classes.QueryContext(ctx, p.viewers[0])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := new(classes)
	for rows.Next() {
		var id, encoded sql.RawBytes
		var c class
		var n int
		if err := rows.Scan(&id, &c.storage, &encoded, &n); err != nil {
			return nil, err
		}
		copy(c.list[:], id)
		if c.storage&p.storage == 0 {
			continue
		}
		if c.attributes, err = p.store.classAttributes(c.list, encoded); err != nil {
			return nil, err
		}
		if has, sure := c.hasAll(p.Attributes, p.now); has && !c.isOneOf(p.Hidden) {
			all.sets = append(all.sets, &members{reads: &p.store.reads, list: c.list})
			all.certain = append(all.certain, sure)
			all.members += n
		} else {
			all.others = true
		}
	}
	return all, rows.Err()
}

// isOneOf says whether a class is of objects of certain types.
func (c *class) isOneOf(types []kmip.ObjectType) bool {
	t, _ := kmip.Get[kmip.ObjectType](c.attributes, ttlv.TagObjectType)
	return slices.Contains(types, t)
}

// hasAll is has for all that is wanted of what makes a class.
func (c *class) hasAll(wanted kmip.Attributes, now time.Time) (has, sure bool) {
	sure = true
	for _, want := range wanted {
		if classified[want.Tag] {
			has, certain := c.has(want, now)
			if !has {
				return false, false
			}
			sure = sure && certain
		}
	}
	return true, sure
}

// classAttributes decodes the attributes of a class, once.
func (s *Store) classAttributes(id listID, encoded []byte) (kmip.Attributes, error) {
	name := string(id[:])
	a, mark, ok := s.classes.get(name)
	if ok {
		return a, nil
	}
	a, err := kmip.DecodeAttributes(encoded)
	if err == nil {
		s.classes.fill(name, a, mark)
	}
	return a, err
}
