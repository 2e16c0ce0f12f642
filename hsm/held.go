package hsm

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The handles that a connection keeps of wrapped keys that were used a moment ago: session objects of a session of their own, for
// those of a session that operations use would go when one of them fails. They are few, and go by age, when there is no room, with
// whoever opened the key, and with the connection.
type held struct {
	conn *connection
	most int
	age  time.Duration // from when the key was unwrapped

	// busy is held by who calls the module in the session. Nobody waits for it but who gives something up: who would, unwraps the key
	// for itself.
	busy    sync.Mutex
	session session // 0: none is open
	opened  bool

	mu      sync.Mutex
	handles *simplelru.LRU[[32]byte, *heldHandle] // in the order of last use
	waste   []handle                              // to be destroyed by the next who is in the session
	sweeper *time.Timer
	ended   bool
}

// A heldHandle is one of them.
type heldHandle struct {
	handle handle
	index  [32]byte
	born   time.Time

	// Guarded by the mutex of held.
	users int
	gone  bool // nobody else gets it
	dead  bool // it went with the session
}

// newHeld makes room for so many; nil for none.
func newHeld(c *connection, most int, age time.Duration) *held {
	if most <= 0 {
		return nil
	}
	if age <= 0 {
		age = DefaultHandleAge
	}
	h := &held{conn: c, most: most, age: age}
	h.handles, _ = simplelru.NewLRU[[32]byte, *heldHandle](most, nil) // fails for a size of 0 only
	return h
}

// borrow lends a handle, or has unwrap make one in the session; nil where somebody else is in it. It runs inside the module's gate.
func (h *held) borrow(index [32]byte, unwrap func(session) (handle, error)) (*heldHandle, error) {
	if e := h.lend(index); e != nil {
		return e, nil
	}
	if !h.busy.TryLock() {
		return nil, nil
	}
	defer h.busy.Unlock()
	if e := h.lend(index); e != nil {
		return e, nil
	}
	if !h.open() {
		return nil, nil
	}
	made, err := unwrap(h.session)
	if err != nil {
		h.abandon()
		return nil, err
	}
	e := &heldHandle{handle: made, index: index, born: time.Now(), users: 1}
	h.keep(e)
	h.empty()
	return e, nil
}

// open makes sure that there is a session, and says whether there is. The caller holds busy.
func (h *held) open() bool {
	h.mu.Lock()
	ended := h.ended
	h.mu.Unlock()
	if h.opened || ended {
		return h.opened
	}
	s, err := h.conn.module.openUser(h.conn.id)
	h.session, h.opened = s, err == nil
	return h.opened
}

// lend gives a handle that is kept and not too old.
func (h *held) lend(index [32]byte) *heldHandle {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.handles.Get(index)
	if !ok {
		return nil
	}
	if time.Since(e.born) >= h.age {
		h.remove(e)
		return nil
	}
	e.users++
	return e
}

// keep adds a handle, and lets another go for it. The first one starts the sweeper.
func (h *held) keep(e *heldHandle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handles.Len() >= h.most {
		if _, oldest, ok := h.handles.GetOldest(); ok {
			h.remove(oldest)
		}
	}
	h.handles.Add(e.index, e)
	if h.sweeper == nil && !h.ended {
		h.sweeper = time.AfterFunc(h.age, h.sweep)
	}
}

// remove takes a handle out; its last user has it destroyed. The caller holds mu.
func (h *held) remove(e *heldHandle) {
	h.handles.Remove(e.index)
	e.gone = true
	if e.users == 0 {
		h.waste = append(h.waste, e.handle)
	}
}

// giveBack ends the use of a handle. After an operation that failed it is not used again.
func (h *held) giveBack(e *heldHandle, good bool) {
	h.mu.Lock()
	e.users--
	switch {
	case !e.gone && !good:
		h.remove(e)
	case e.gone && !e.dead && e.users == 0:
		h.waste = append(h.waste, e.handle)
	}
	waste := len(h.waste) > 0
	h.mu.Unlock()
	if waste && h.busy.TryLock() {
		h.empty()
		h.busy.Unlock()
	}
}

// has says whether a handle of that index is kept.
func (h *held) has(index [32]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.handles.Contains(index)
}

// drop takes a handle out and destroys it. It runs inside the module's gate.
func (h *held) drop(index [32]byte) {
	h.mu.Lock()
	if e, ok := h.handles.Peek(index); ok {
		h.remove(e)
	}
	h.mu.Unlock()
	h.busy.Lock()
	defer h.busy.Unlock()
	h.empty()
}

// empty destroys what nobody uses any more. The caller holds busy, and is inside the module's gate.
func (h *held) empty() {
	h.mu.Lock()
	waste := h.waste
	h.waste = nil
	h.mu.Unlock()
	for _, dead := range waste {
		if !h.opened {
			return // they went with the session
		}
		if err := h.conn.module.lib.destroy(h.session, dead); err != nil {
			h.abandon()
			return
		}
	}
}

// abandon closes the session, after an error in it, and forgets what was in it: who uses one of them finds out. The caller holds
// busy.
func (h *held) abandon() {
	if h.opened {
		h.conn.module.close(h.session)
	}
	h.opened, h.session = false, 0
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.handles.Values() {
		e.gone, e.dead = true, true
	}
	h.handles.Purge()
	h.waste = nil
}

// sweep destroys what is too old, and comes again while there is something.
func (h *held) sweep() {
	h.mu.Lock()
	for _, e := range h.handles.Values() {
		if time.Since(e.born) >= h.age {
			h.remove(e)
		}
	}
	h.sweeper = nil
	if h.handles.Len() > 0 && !h.ended {
		h.sweeper = time.AfterFunc(max(h.age/4, 10*time.Millisecond), h.sweep)
	}
	waste := len(h.waste) > 0
	h.mu.Unlock()
	if !waste {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.conn.slot.Wait)
	defer cancel()
	if h.conn.module.gate.enter(ctx) != nil {
		return
	}
	defer h.conn.module.gate.leave()
	if h.conn.current() {
		h.busy.Lock()
		defer h.busy.Unlock()
		h.empty()
	}
}

// end lets nothing be kept any more, and gives the session to be closed, if one is open. It runs inside the module's gate.
func (h *held) end() (session, bool) {
	h.mu.Lock()
	h.ended = true
	if h.sweeper != nil {
		h.sweeper.Stop()
	}
	h.handles.Purge()
	h.mu.Unlock()
	h.busy.Lock()
	defer h.busy.Unlock()
	s, open := h.session, h.opened
	h.session, h.opened = 0, false
	return s, open
}
