package store

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Counts are what a Store has, and what it did since it was opened.
type Counts struct {
	Created uint64 // objects, that are on disk
	Waiting int    // changes, for their transaction

	Commits     uint64        // transactions
	Failed      uint64        // those that were not committed
	Changes     uint64        // in those that were
	CommitSizes CommitSizes   // of those
	CommitTime  time.Duration // that all of those took

	Found  uint64 // objects that were looked up and in memory
	Sought uint64 // those that were not
	Memory int    // bytes of objects in memory, about
}

// CommitSizes counts transactions by the changes that they had: 1, 2, up to 4, up to 8 and so on.
type CommitSizes [10]uint64

// MostChanges is the most of them that are counted in the place of an index.
func (CommitSizes) MostChanges(i int) int { return 1 << i }

// Counts tells what there is to tell without asking the database.
func (s *Store) Counts() Counts {
	n := Counts{Created: s.created.Load(), Waiting: len(s.writer.queue)}
	s.writer.counts.into(&n)
	n.Found, n.Sought, n.Memory = s.rows.counts()
	return n
}

// commits are the counts of a writer, which alone adds to them.
type commits struct {
	failed, changes, nanoseconds atomic.Uint64
	sizes                        [len(CommitSizes{})]atomic.Uint64
}

// add counts a transaction of so many changes, at least one.
func (c *commits) add(changes int, took time.Duration, err error) {
	if err != nil {
		c.failed.Add(1)
		return
	}
	c.changes.Add(uint64(changes))
	c.nanoseconds.Add(uint64(took))
	c.sizes[bits.Len(uint(changes-1))].Add(1)
}

func (c *commits) into(n *Counts) {
	n.Failed, n.Changes, n.CommitTime = c.failed.Load(), c.changes.Load(), time.Duration(c.nanoseconds.Load())
	for i := range c.sizes {
		n.CommitSizes[i] = c.sizes[i].Load()
		n.Commits += n.CommitSizes[i]
	}
}
