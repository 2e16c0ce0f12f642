package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"strongroom/kmip"
)

// A flight is one load and those who wait for it. While it is in its shard's table it is the load that will be
// remembered; a Forget takes it out for ever, so that whoever comes later begins another.
type flight struct {
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by the shard's mutex.
	waiting  int
	detached bool

	// Written under the shard's mutex before done is closed, and not after.
	done  chan struct{}
	entry *entry
	err   error
}

// newFlight has the values of ctx, which asked first, but ends only when nobody waits any more.
func newFlight(ctx context.Context) *flight {
	f := &flight{done: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return f
}

// load opens the key and hands it on. A panic becomes an error: in a goroutine that no connection recovers it would end
// the process, and after it (or after runtime.Goexit) those who wait would wait for ever.
func (c *Cache) load(f *flight, index [32]byte, l kmip.Loader) {
	opened, err := kmip.Opened(nil), errors.New("opening a key did not return")
	stop := context.AfterFunc(c.open, f.cancel)
	defer func() {
		if cause := recover(); cause != nil {
			slog.Error("opening a key panicked", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = fmt.Errorf("opening a key panicked: %v", cause)
		}
		stop()
		f.cancel()
		c.land(f, index, opened, err)
	}()
	opened, err = l.Load(f.ctx)
	if err == nil && opened == nil {
		err = errors.New("opening a key gave none")
	}
}

// land hands the key to those who wait: each gets a reference, and the cache one if it remembers the key.
func (c *Cache) land(f *flight, index [32]byte, opened kmip.Opened, err error) {
	now := time.Since(c.epoch)
	var e, gone *entry
	s := c.shard(index)
	s.mu.Lock()
	s.counts.Loads++
	if err != nil {
		s.counts.Failed++
	}
	if err == nil {
		e = &entry{opened: opened, born: now, used: now}
		e.refs.Store(int64(f.waiting) + 1) // the one is given to the cache, or up
		if !f.detached && !s.closed {
			gone = s.add(index, e)
		} else {
			gone = e
		}
	}
	if !f.detached {
		delete(s.flights, index)
	}
	f.entry, f.err = e, err
	close(f.done)
	s.mu.Unlock()
	release(gone)
}

// await waits for the load. The reference it answers was counted when the load ended.
func (c *Cache) await(ctx context.Context, f *flight, index [32]byte) (kmip.Loan, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		if c.leave(f, index) {
			return nil, ctx.Err()
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.entry, nil
}

// leave takes one waiter off a load, and cancels a load that nobody waits for. It is false when the load has ended: the
// waiter has its answer.
func (c *Cache) leave(f *flight, index [32]byte) bool {
	s := c.shard(index)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-f.done:
		return false
	default:
	}
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
		if !f.detached {
			s.detach(index)
		}
	}
	return true
}
