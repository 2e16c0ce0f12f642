package hsm

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Counts are how the slots and modules are, and what they went through since they were opened.
type Counts struct {
	Slots   []SlotCounts   // by their numbers
	Modules []ModuleCounts // by their paths
}

// SlotCounts are those of one slot.
type SlotCounts struct {
	Number uint32

	// Up says that the server is logged in at the token, that the last check of it did not fail, and that none hangs in it.
	Up         bool
	Broken     bool // the last attempt to connect failed: until the next one the breaker answers in the token's place
	PINRefused bool // and there is none before the PIN is reloaded

	Checks       uint64        // that have ended
	ChecksFailed uint64        // of those
	Checked      time.Time     // when the last one ended; zero before
	Took         time.Duration // the last one

	Sessions     int // in use
	MostSessions int
	Busy         uint64 // operations that waited too long for a session, or for the token

	Connections  uint64 // that were made
	Recoveries   uint64 // of those, the ones behind a loss or an attempt that failed
	Losses       uint64 // of a token that was connected
	Logins       uint64
	LoginsFailed uint64
}

// ModuleCounts are those of one library.
type ModuleCounts struct {
	Library      string // its path in the configuration
	Isolated     bool   // it runs in a worker process
	WorkerStarts uint64 // of that

	// SymmetricCalls and PrivateCalls are how many operations with such keys run in it at once, when it was looked at last; 0 before.
	SymmetricCalls, PrivateCalls uint64
}

// Counts tells what there is to tell without asking a token: it does not wait for one that hangs.
func (h *HSM) Counts() (n Counts) {
	for _, number := range h.Slots() {
		n.Slots = append(n.Slots, h.slots[number].counts())
	}
	for _, m := range h.modules {
		c := ModuleCounts{Library: m.path, SymmetricCalls: m.symmetric.Load(), PrivateCalls: m.private.Load()}
		if r, ok := m.lib.(*remote); ok {
			c.Isolated, c.WorkerStarts = true, r.starts.Load()
		}
		n.Modules = append(n.Modules, c)
	}
	slices.SortFunc(n.Modules, func(a, b ModuleCounts) int { return cmp.Compare(a.Library, b.Library) })
	return n
}

// counts are those of the slot, with what its connection tells.
func (s *slot) counts() SlotCounts {
	c := s.conn.Load()
	s.status.Lock()
	defer s.status.Unlock()
	n := s.past
	n.Number, n.MostSessions = s.Number, s.MaxSessions
	if c != nil && c.current() {
		c.mu.Lock()
		n.Sessions, n.MostSessions = max(len(c.tickets)-c.kept, 0), cap(c.tickets)-c.kept
		c.mu.Unlock()
		n.Up = s.sick == nil && (s.checking.IsZero() || time.Since(s.checking) < s.Wait)
	}
	return n
}

// count changes the counts.
func (s *slot) count(f func(*SlotCounts)) {
	s.status.Lock()
	defer s.status.Unlock()
	f(&s.past)
}

// Check has every token asked whether it lives, and does not wait for the answers: Counts has them. A token that has not answered
// yet is not asked again. Close waits for the answers, so it is called after the last Check.
func (h *HSM) Check(ctx context.Context) {
	for _, s := range h.slots {
		if s.mayCheck() {
			h.looking.Go(func() { s.check(ctx) })
		}
	}
}

// mayCheck says whether nobody checks the token, and that somebody does from now on.
func (s *slot) mayCheck() bool {
	s.status.Lock()
	defer s.status.Unlock()
	if !s.checking.IsZero() {
		return false
	}
	s.checking = time.Now()
	return true
}

func (s *slot) check(ctx context.Context) {
	began := time.Now()
	err := s.do(ctx, func(c *connection, ss session) error { return c.alive(ss) })
	s.status.Lock()
	defer s.status.Unlock()
	s.checking = time.Time{}
	if ctx.Err() != nil {
		return // the token was not given its time
	}
	s.sick = err
	s.past.Checks++
	s.past.Checked, s.past.Took = time.Now(), time.Since(began)
	if err != nil {
		s.past.ChecksFailed++
	}
}

// await waits for what a group does, or until ctx ends: a call may hang in a module.
func await(ctx context.Context, g *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
