package server

import (
	"sync"
	"sync/atomic"
)

// A throttle lets a bounded number of messages be worked on at once; the others wait their turn. While there is room it
// costs one atomic addition and takes no lock.
type throttle struct {
	limit   int64
	running atomic.Int64
	waiting atomic.Int64

	mu   sync.Mutex
	room sync.Cond
}

func newThrottle(limit int) *throttle {
	t := &throttle{limit: int64(limit)}
	t.room.L = &t.mu
	return t
}

func (t *throttle) try() bool {
	if t.running.Add(1) <= t.limit {
		return true
	}
	t.running.Add(-1)
	return false
}

func (t *throttle) enter() {
	if t.try() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	for !t.try() {
		t.room.Wait()
	}
}

func (t *throttle) leave() {
	t.running.Add(-1)
	if t.waiting.Load() > 0 {
		t.mu.Lock()
		t.room.Signal()
		t.mu.Unlock()
	}
}
