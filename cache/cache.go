// Package cache remembers opened keys for a bounded time: what a protector unwrapped a moment ago is used again without
// asking the protector. It is kept in memory only, under a digest of the bytes at rest.
//
// A key goes when it was unused for the idle time, when its absolute life is over, when there is no room, and at
// Forget and Purge. It is closed, which clears its material, when the last of its borrowers has returned it as well: a
// request that computes with a key never finds it cleared. What has expired is never lent, whether it was swept or not.
//
//	Borrow ── hit ──────────────────────────────▶ entry (one reference more)
//	   └───── miss ─▶ flight ── Load ─▶ entry ──▶ all who wait for the flight
//	                    └ Forget, Purge: detached; serves those who wait already and is not remembered
package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"strongroom/kmip"
)

// The defaults of Options.
const (
	DefaultIdle = 15 * time.Minute
	DefaultSize = 1 << 14
)

// Options bound what a Cache remembers.
type Options struct {
	Idle time.Duration // a key goes after this time without use; 0 means DefaultIdle
	Life time.Duration // and after this time in all; 0 means no such bound
	Size int           // keys at most, about: each shard holds its part of it; 0 means DefaultSize
}

// A Cache is a kmip.Cache. It is safe for concurrent use; Close ends it.
type Cache struct {
	idle, life time.Duration
	epoch      time.Time // times are durations since then
	shards     []*shard  // a power of two of them

	open    context.Context // until Close
	end     context.CancelFunc
	workers sync.WaitGroup // the sweeper and the loads in flight
}

var _ kmip.Cache = (*Cache)(nil)

var errClosed = errors.New("the cache of opened keys is closed")

// New starts an empty Cache.
func New(o Options) *Cache {
	if o.Idle <= 0 {
		o.Idle = DefaultIdle
	}
	if o.Size <= 0 {
		o.Size = DefaultSize
	}
	c := &Cache{idle: o.Idle, life: max(o.Life, 0), epoch: time.Now()}
	c.open, c.end = context.WithCancel(context.Background())
	// Few keys want few shards: a shard of one or two keys would evict while another has room.
	count := 64
	for count > 1 && o.Size/count < 16 {
		count /= 2
	}
	for range count {
		c.shards = append(c.shards, newShard((o.Size+count-1)/count))
	}
	c.workers.Go(c.sweep)
	return c
}

// Borrow gives the key from memory, or loads it. Concurrent misses of one index share one load, which is cancelled only
// when every one of them has left; a caller whose ctx ends leaves with its error. An error of the load reaches all who
// waited and is not remembered.
func (c *Cache) Borrow(ctx context.Context, index [32]byte, l kmip.Loader) (kmip.Loan, error) {
	s := c.shard(index)
	now := time.Since(c.epoch)

	s.mu.Lock()
	e, ok := s.keys.Get(index)
	if ok && !c.expired(e, now) {
		s.counts.Hits++
		e.used = now
		e.refs.Add(1) // the cache holds one while e is in s.keys: it is not closed
		s.mu.Unlock()
		return e, nil
	}
	s.counts.Misses++
	if ok {
		s.keys.Remove(index)
	}
	f := s.flights[index]
	if f == nil && !s.closed {
		f = newFlight(ctx)
		s.flights[index] = f
		c.workers.Go(func() { c.load(f, index, l) })
	}
	if f != nil {
		f.waiting++
	}
	s.mu.Unlock()

	release(e)
	if f == nil {
		return nil, errClosed
	}
	return c.await(ctx, f, index)
}

// Forget drops a key: the next Borrow loads again, and a load in flight is not remembered.
func (c *Cache) Forget(index [32]byte) {
	s := c.shard(index)
	s.mu.Lock()
	e, ok := s.keys.Peek(index)
	if ok {
		s.keys.Remove(index)
	}
	s.detach(index)
	s.mu.Unlock()
	release(e)
}

// Purge drops every key, and says how many there were.
func (c *Cache) Purge() int {
	n := 0
	for _, s := range c.shards {
		entries := s.empty()
		for _, e := range entries {
			release(e)
		}
		n += len(entries)
	}
	return n
}

// Len is the number of keys that are remembered.
func (c *Cache) Len() int { return c.Counts().Keys }

// Counts are what a Cache has, and what it did since it was made.
type Counts struct {
	Keys    int    // that are remembered
	Hits    uint64 // uses of a key that was remembered
	Misses  uint64 // of one that was not; several may have waited for one load
	Loads   uint64 // that have ended: what the protectors were asked for
	Failed  uint64 // of those
	Evicted uint64 // keys that went for want of room
}

// Counts adds up what the shards counted.
func (c *Cache) Counts() (n Counts) {
	for _, s := range c.shards {
		s.mu.Lock()
		n.Keys += s.keys.Len()
		n.Hits += s.counts.Hits
		n.Misses += s.counts.Misses
		n.Loads += s.counts.Loads
		n.Failed += s.counts.Failed
		n.Evicted += s.counts.Evicted
		s.mu.Unlock()
	}
	return n
}

// Close drops every key, cancels the loads in flight, and waits for them and for the sweeping goroutine. Keys that are
// still borrowed are closed when they are returned; Borrow refuses from now on.
func (c *Cache) Close() {
	for _, s := range c.shards {
		s.shut()
	}
	c.end()
	c.workers.Wait()
	c.Purge()
}

// shard is the part of the cache that has index. The index is a digest: any of its bits are as good as any other.
func (c *Cache) shard(index [32]byte) *shard {
	return c.shards[int(index[0])&(len(c.shards)-1)]
}

// expired says whether e may no longer be lent.
func (c *Cache) expired(e *entry, now time.Duration) bool {
	return now-e.used >= c.idle || (c.life > 0 && now-e.born >= c.life)
}

// sweep drops what has expired, so that its material does not stay in memory because nobody asks for it.
func (c *Cache) sweep() {
	shortest := c.idle
	if c.life > 0 {
		shortest = min(shortest, c.life)
	}
	tick := time.NewTicker(min(max(shortest/16, time.Millisecond), 15*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-c.open.Done():
			return
		case <-tick.C:
		}
		now := time.Since(c.epoch)
		for _, s := range c.shards {
			for e := s.dropIdle(c, now); e != nil; e = s.dropIdle(c, now) {
				release(e)
			}
			if c.life > 0 {
				for _, e := range s.dropOld(c, now) {
					release(e)
				}
			}
		}
	}
}
