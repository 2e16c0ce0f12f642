package cache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"strongroom/kmip"
)

// An entry is an opened key with its references: one of the cache while it is remembered, and one of each borrower. It is
// the loan of every borrower.
type entry struct {
	opened kmip.Opened
	refs   atomic.Int64

	// Guarded by the shard's mutex; durations since the cache's epoch.
	born, used time.Duration
}

// Opened is the key.
func (e *entry) Opened() kmip.Opened { return e.opened }

// Return ends the use.
func (e *entry) Return() { release(e) }

// release gives one reference up; the last one closes the key. A nil entry is none.
func release(e *entry) {
	if e == nil {
		return
	}
	switch n := e.refs.Add(-1); {
	case n == 0:
		e.opened.Close()
	case n < 0:
		panic("cache: a loan was returned twice")
	}
}

// A shard is the part of the cache behind one mutex. Keys are closed outside it.
type shard struct {
	mu      sync.Mutex
	size    int
	keys    *simplelru.LRU[[32]byte, *entry] // in the order of last use
	flights map[[32]byte]*flight             // loads that will be remembered
	closed  bool
	counts  Counts // but for Keys
}

func newShard(size int) *shard {
	keys, err := simplelru.NewLRU[[32]byte, *entry](size, nil)
	if err != nil {
		panic(err) // a size below one: New asks for none
	}
	return &shard{size: size, keys: keys, flights: make(map[[32]byte]*flight)}
}

// add remembers e, and gives back the entry that had to go for it, if any. The caller holds mu.
func (s *shard) add(index [32]byte, e *entry) *entry {
	var gone *entry
	if s.keys.Len() >= s.size {
		_, gone, _ = s.keys.RemoveOldest()
		s.counts.Evicted++
	}
	s.keys.Add(index, e)
	return gone
}

// detach takes the load in flight out of sight: it serves those who wait already. The caller holds mu.
func (s *shard) detach(index [32]byte) {
	if f := s.flights[index]; f != nil {
		f.detached = true
		delete(s.flights, index)
	}
}

// empty takes every key out and detaches every load.
func (s *shard) empty() []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.keys.Values()
	s.keys.Purge()
	for index := range s.flights {
		s.detach(index)
	}
	return entries
}

// shut lets no load begin any more.
func (s *shard) shut() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// dropIdle takes out the key that was unused longest, if that is too long ago; nil if it is not.
func (s *shard) dropIdle(c *Cache, now time.Duration) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	index, e, ok := s.keys.GetOldest()
	if !ok || !c.expired(e, now) {
		return nil
	}
	s.keys.Remove(index)
	return e
}

// dropOld takes out every key whose life is over; they may be anywhere in the order of last use.
func (s *shard) dropOld(c *Cache, now time.Duration) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var old []*entry
	for _, index := range s.keys.Keys() {
		if e, _ := s.keys.Peek(index); c.expired(e, now) {
			s.keys.Remove(index)
			old = append(old, e)
		}
	}
	return old
}
