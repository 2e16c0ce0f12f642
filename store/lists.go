package store

import (
	"fmt"
	"strings"
)

const (
	deleteEntry = `DELETE FROM entries WHERE list = $1 AND at = $2 AND object = $3`
	countClass  = `INSERT INTO classes (list, viewer, storage, attributes, members) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (list) DO UPDATE SET members = classes.members + excluded.members`
	dropClass = `DELETE FROM classes WHERE list = $1 AND members = 0`
)

// insertEntries insert as many entries as their place in the list, plus one.
var insertEntries = func() (texts [8]string) {
	for i := range texts {
		var b strings.Builder
		b.WriteString(`INSERT INTO entries (list, at, object) VALUES `)
		for n := range i + 1 {
			if n > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "($%d, $%d, $%d)", 3*n+1, 3*n+2, 3*n+3)
		}
		texts[i] = b.String()
	}
	return texts
}()

// A tally is by how much a transaction changes the number of a class's members.
type tally struct {
	*class
	change int64
}

// relist takes an object out of the lists that it was in before, none for a new one, and puts it into those of after.
func (b *batch) relist(id int64, before, after listing) error {
	b.tally(before.classes, -1)
	b.tally(after.classes, 1)
	old, next := before.entries, after.entries
	var added []entry
	for len(old) > 0 || len(next) > 0 {
		switch {
		case len(old) == 0 || len(next) > 0 && next[0].compare(old[0]) < 0:
			added, next = append(added, next[0]), next[1:]
		case len(next) == 0 || old[0].compare(next[0]) < 0:
			if _, err := b.exec(deleteEntry, old[0].list[:], old[0].at, id); err != nil {
				return err
			}
			old = old[1:]
		default:
			old, next = old[1:], next[1:]
		}
	}
	return b.insertEntries(id, added)
}

func (b *batch) insertEntries(id int64, all []entry) error {
	for len(all) > 0 {
		n := min(len(all), len(insertEntries))
		b.args = b.args[:0]
		for i := range all[:n] {
			b.args = append(b.args, all[i].list[:], all[i].at, id)
		}
		if _, err := b.exec(insertEntries[n-1], b.args...); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

func (b *batch) tally(classes []*class, change int64) {
	for _, c := range classes {
		t := b.tallies[c.list]
		if t == nil {
			t = &tally{class: c}
			b.tallies[c.list] = t
		}
		t.change += change
	}
}

// count writes how many members the classes have that the transaction changed.
func (b *batch) count() error {
	for _, t := range b.tallies {
		if t.change == 0 {
			continue
		}
		encoded, err := t.attributes.Encode()
		if err != nil {
			return err
		}
		if _, err := b.exec(countClass, t.list[:], t.viewer, int64(t.storage), encoded, t.change); err != nil {
			return err
		}
		if t.change < 0 {
			if _, err := b.exec(dropClass, t.list[:]); err != nil {
				return err
			}
		}
	}
	return nil
}
