package store

import (
	"context"
	"fmt"
	"math"
)

// A set is a set of objects, by their numbers. Who reads one asks for ever older members.
type set interface {
	// seek is the newest member that is not newer than id; 0 where there is none.
	seek(ctx context.Context, id int64) (int64, error)
}

// newest is newer than every object.
const newest int64 = math.MaxInt64

const readList = `SELECT object FROM entries WHERE list = $1 AND at = 0 AND object <= $2 ORDER BY object DESC LIMIT $3`

// How many entries of a list are read at once: few at first and after a leap, for there may be no use for more.
const (
	fewEntries  = 32
	manyEntries = 1024
)

// A members set is a list.
type members struct {
	reads  *reads
	list   listID
	buffer []int64 // the entries that were read
	next   []int64 // those of them that were not passed yet, newest first
	size   int     // of the read
	last   int64   // the oldest that was read
	ended  bool    // nothing is older than that
}

func (m *members) seek(ctx context.Context, id int64) (int64, error) {
	for {
		for len(m.next) > 0 && m.next[0] > id {
			m.next = m.next[1:]
		}
		if len(m.next) > 0 {
			return m.next[0], nil
		}
		if m.ended {
			return 0, nil
		}
		if err := m.read(ctx, id); err != nil {
			return 0, fmt.Errorf("reading a list: %w", err)
		}
	}
}

// read reads entries that are not newer than id, more than the last time where they follow on what was read.
func (m *members) read(ctx context.Context, id int64) error {
	if m.size > 0 && id >= m.last-1 {
		id, m.size = m.last-1, min(4*m.size, manyEntries)
	} else {
		m.size = fewEntries
	}
	m.buffer = m.buffer[:0]
	rows, err := m.reads.list.QueryContext(ctx, m.list[:], id, m.size)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&m.last); err != nil {
			return err
		}
		m.buffer = append(m.buffer, m.last)
	}
	m.next, m.ended = m.buffer, len(m.buffer) < m.size
	return rows.Err()
}

// numbers are objects one by one, newest first.
type numbers []int64

func (n *numbers) seek(_ context.Context, id int64) (int64, error) {
	for len(*n) > 0 && (*n)[0] > id {
		*n = (*n)[1:]
	}
	if len(*n) == 0 {
		return 0, nil
	}
	return (*n)[0], nil
}

// A span is all objects from one number to another, whether there are any or not.
type span struct{ from, to int64 }

func (s span) seek(_ context.Context, id int64) (int64, error) {
	if id = min(id, s.to); id < s.from {
		return 0, nil
	}
	return id, nil
}

// A union has the members of all its sets.
type union struct {
	sets  []set
	heads []int64 // by set: its newest member that was not passed yet; 0 where there is none
	began bool
}

func (u *union) seek(ctx context.Context, id int64) (found int64, err error) {
	if u.heads == nil {
		u.heads = make([]int64, len(u.sets))
		for i := range u.heads {
			u.heads[i] = newest
		}
	}
	for i := range u.heads {
		if u.heads[i] > id || !u.began {
			if u.heads[i], err = u.sets[i].seek(ctx, id); err != nil {
				return 0, err
			}
		}
		found = max(found, u.heads[i])
	}
	u.began = true
	return found, nil
}

// An intersection has the members that are in all its sets.
type intersection []set

func (x intersection) seek(ctx context.Context, id int64) (int64, error) {
	for i, agreed := 0, 0; agreed < len(x); i++ {
		found, err := x[i%len(x)].seek(ctx, id)
		if err != nil || found == 0 {
			return 0, err
		}
		if agreed++; found < id {
			id, agreed = found, 1
		}
	}
	return id, nil
}
