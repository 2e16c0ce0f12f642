package store

import (
	"hash/maphash"
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
	writes uint64 // how often something here was written: a fill that began before the last one is too late
}

// newRecent makes a memory for about n values.
func newRecent[V any](n int) *recent[V] {
	r := &recent[V]{seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].lru, _ = simplelru.NewLRU[string, V](max(n/len(r.shards), 1), nil) // fails for a size of 0 only
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
	s.mu.Unlock()
	return v, mark, ok
}

// fill adds a value that was read from the database after get gave mark, unless something was written meanwhile.
func (r *recent[V]) fill(uid string, v V, mark uint64) {
	s := r.shard(uid)
	s.mu.Lock()
	if s.writes == mark {
		s.lru.Add(uid, v)
	}
	s.mu.Unlock()
}

// put replaces a value after a write.
func (r *recent[V]) put(uid string, v V) {
	s := r.shard(uid)
	s.mu.Lock()
	s.writes++
	s.lru.Add(uid, v)
	s.mu.Unlock()
}

// drop removes a value after a write.
func (r *recent[V]) drop(uid string) {
	s := r.shard(uid)
	s.mu.Lock()
	s.writes++
	s.lru.Remove(uid)
	s.mu.Unlock()
}
