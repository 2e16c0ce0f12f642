package store

import (
	"hash/maphash"
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// recent keeps what was used last in memory, by identifier. Every write through the Store ends in put or drop, so that it
// never holds what the database does not.
type recent[V any] struct {
	seed   maphash.Seed
	shards [64]shard[V]
}

type shard[V any] struct {
	mu     sync.Mutex
	lru    *simplelru.LRU[string, V]
	size   func(V) int
	used   int    // bytes, about
	most   int    // bytes
	writes uint64 // how often something here was written: a fill that began before the last one is too late

	found, sought uint64 // how often get had something, and had nothing
}

// unit is the size of values that are counted.
func unit[V any](V) int { return 1 }

// newRecent makes a memory of about so many bytes for values of which size tells how many each takes.
func newRecent[V any](bytes int, size func(V) int) *recent[V] {
	r := &recent[V]{seed: maphash.MakeSeed()}
	for i := range r.shards {
		s := &r.shards[i]
		s.size, s.most = size, bytes/len(r.shards)
		s.lru, _ = simplelru.NewLRU(math.MaxInt, func(_ string, v V) { s.used -= size(v) }) // fails for a size of 0 only
	}
	return r
}

func (r *recent[V]) shard(uid string) *shard[V] {
	return &r.shards[maphash.String(r.seed, uid)%uint64(len(r.shards))]
}

// get is the value of uid, if it is here. Without one, mark is what fill needs.
func (r *recent[V]) get(uid string) (v V, mark uint64, ok bool) {
	s := r.shard(uid)
	s.mu.Lock()
	v, ok = s.lru.Get(uid)
	mark = s.writes
	if ok {
		s.found++
	} else {
		s.sought++
	}
	s.mu.Unlock()
	return v, mark, ok
}

// fill adds a value that was read from the database after get gave mark, unless something was written meanwhile.
func (r *recent[V]) fill(uid string, v V, mark uint64) {
	s := r.shard(uid)
	s.mu.Lock()
	if s.writes == mark {
		s.add(uid, v)
	}
	s.mu.Unlock()
}

// put replaces a value after a write.
func (r *recent[V]) put(uid string, v V) {
	s := r.shard(uid)
	s.mu.Lock()
	s.writes++
	s.add(uid, v)
	s.mu.Unlock()
}

// add keeps a value, and forgets others until there is room for it.
func (s *shard[V]) add(uid string, v V) {
	s.lru.Remove(uid)
	s.lru.Add(uid, v)
	s.used += s.size(v)
	for s.used > s.most && s.lru.Len() > 1 {
		s.lru.RemoveOldest()
	}
}

// drop removes a value after a write.
func (r *recent[V]) drop(uid string) {
	s := r.shard(uid)
	s.mu.Lock()
	s.writes++
	s.lru.Remove(uid)
	s.mu.Unlock()
}

// counts tells how often get had something and had nothing, and how much is here.
func (r *recent[V]) counts() (found, sought uint64, used int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		found, sought, used = found+s.found, sought+s.sought, used+s.used
		s.mu.Unlock()
	}
	return found, sought, used
}
