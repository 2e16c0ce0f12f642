package server

import (
	"sync"
	"time"
)

// rates holds each identity to so many requests a second, with a burst of one second's worth. No rate is no limit.
type rates struct {
	perSecond float64

	mu      sync.Mutex
	buckets map[string]*bucket
}

// A bucket is what an identity may still ask at once.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	filled time.Time
}

// bucket is the one that all connections of an identity share.
func (r *rates) bucket(identity string) *bucket {
	if r.perSecond <= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buckets == nil {
		r.buckets = make(map[string]*bucket)
	}
	b := r.buckets[identity]
	if b == nil {
		b = &bucket{tokens: max(r.perSecond, 1), filled: time.Now()}
		r.buckets[identity] = b
	}
	return b
}

// take asks for n requests at the time now. A nil bucket gives always.
func (b *bucket) take(n int, perSecond float64, now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+now.Sub(b.filled).Seconds()*perSecond, max(perSecond, 1))
	b.filled = now
	if b.tokens < float64(min(n, int(max(perSecond, 1)))) {
		return false
	}
	b.tokens -= float64(n)
	return true
}
