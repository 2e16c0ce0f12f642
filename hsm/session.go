package hsm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// A connection is one login to a token, and everything that ends with it: sessions, and the handles of objects. That is how
// a stale handle, which may silently mean another key, cannot be used: it belongs to a connection that is no longer the
// slot's.
//
// The anchor session holds the login; nothing else uses it. The others are had one at a time, in with only. Session
// objects belong to the session that made them, and go with it when anything fails.
type connection struct {
	slot       *slot
	module     *module
	generation uint64 // of the module
	id         uint   // CK_SLOT_ID
	token      tokenInfo
	anchor     session
	proof      *proof

	held    *held         // handles of wrapped keys; nil where none are kept
	tickets chan struct{} // one for each session in use
	ended   atomic.Bool
	probed  atomic.Int64 // when the token last showed that it lives, in Unix nanoseconds

	mu      sync.Mutex
	idle    []session // the one used last is used first
	opened  int       // sessions, idle ones and those in use
	kept    int       // tickets that there are no sessions for
	objects map[string]*object

	listed  time.Time // when the list below was made
	catalog []*object
	changes uint64 // own changes to the token's objects: a list made across one is not kept
}

// current says whether the module has not been initialized again since.
func (c *connection) current() bool {
	return !c.ended.Load() && c.generation == c.module.generation.Load()
}

// with runs f with a session that is f's alone until it returns. A session on which anything failed is closed. Where the token has
// no more of them than are in use, it waits for one of those.
func (c *connection) with(ctx context.Context, f func(session) error) error {
	for {
		again, err := c.once(ctx, f)
		if !again {
			return err
		}
	}
}

// once is with, without waiting for a session that another has: then again is true.
func (c *connection) once(ctx context.Context, f func(session) error) (again bool, err error) {
	if err := c.wait(ctx); err != nil {
		return false, err
	}
	defer func() {
		if !again {
			<-c.tickets
		}
	}()
	defer c.module.gate.leave()
	err = c.had(f)
	return errors.As(err, new(noSession)) && c.fewer(), err
}

// A noSession is the error of a token that opens no session.
type noSession struct{ error }

func (n noSession) Unwrap() error { return n.error }

// had is with for who has a ticket and is inside the gate.
func (c *connection) had(f func(session) error) error {
	if !c.current() {
		return errStale
	}
	s, err := c.take()
	if is(err, pkcs11.CKR_SESSION_COUNT) {
		return noSession{err}
	}
	if err != nil {
		return err
	}
	good := false
	defer func() { c.put(s, good) }()
	err = f(s)
	good = err == nil
	return err
}

// scarcity is how long a token that has no more sessions is not asked for more.
const scarcity = time.Second

// fewer keeps the caller's ticket back for a while, and all others that there are no sessions for: other programs have them. Where
// there are none at all, it is false.
func (c *connection) fewer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened == 0 {
		return false
	}
	n := 1
	for free := cap(c.tickets) - len(c.tickets) - len(c.idle); free > 0; free-- {
		select {
		case c.tickets <- struct{}{}:
			n++
		default:
		}
	}
	c.kept += n
	time.AfterFunc(scarcity, func() {
		c.mu.Lock()
		c.kept -= n
		c.mu.Unlock()
		for range n {
			<-c.tickets
		}
	})
	return true
}

// wait gets a ticket and enters the module's gate, within the slot's limit.
func (c *connection) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.tickets <- struct{}{}:
		if c.module.gate.TryAcquire(1) {
			return nil
		}
	default:
		limited, cancel := context.WithTimeout(ctx, c.slot.Wait)
		defer cancel()
		select {
		case c.tickets <- struct{}{}:
		case <-limited.Done():
			return c.slot.busy(ctx, "all sessions are in use")
		}
	}
	limited, cancel := context.WithTimeout(ctx, c.slot.Wait)
	defer cancel()
	if err := c.module.gate.enter(limited); err != nil {
		<-c.tickets
		return c.slot.busy(ctx, "the module is being initialized, or a call hangs in it")
	}
	return nil
}

// busy is the error of a wait that took too long; a caller who gave up hears that.
func (s *slot) busy(ctx context.Context, why string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.count(func(n *SlotCounts) { n.Busy++ })
	return kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot %d: HSM busy: %s", s.Number, why)
}

// take gives the session used last, or a new one that shows the user's objects.
func (c *connection) take() (session, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		s := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return s, nil
	}
	c.mu.Unlock()
	s, err := c.module.openUser(c.id)
	if err == nil {
		c.mu.Lock()
		c.opened++
		c.mu.Unlock()
	}
	return s, err
}

// openUser opens a session and makes sure that the user is logged in: without the login a token hides its objects and says
// that there are none.
func (m *module) openUser(slot uint) (session, error) {
	m.sessions.Lock()
	defer m.sessions.Unlock()
	s, err := m.lib.openSession(slot)
	if err != nil {
		return 0, err
	}
	if err = m.loggedIn(s); err != nil {
		_ = m.lib.closeSession(s)
		return 0, err
	}
	return s, nil
}

func (m *module) loggedIn(s session) error {
	state, err := m.lib.state(s)
	if err != nil {
		return err
	}
	if state != stateReadOnlyUser && state != stateReadWriteUser {
		return ckError{rv: pkcs11.CKR_USER_NOT_LOGGED_IN}
	}
	return nil
}

// put takes a session back. It runs inside the gate that take ran in.
func (c *connection) put(s session, good bool) {
	c.mu.Lock()
	if good && !c.ended.Load() {
		c.idle = append(c.idle, s)
		c.mu.Unlock()
		return
	}
	c.opened--
	c.mu.Unlock()
	c.module.close(s)
}

// close closes a session; one that cannot be closed is gone anyway.
func (m *module) close(s session) {
	m.sessions.Lock()
	defer m.sessions.Unlock()
	_ = m.lib.closeSession(s)
}

// renew closes the sessions that nobody uses, after one was found gone: what ended it has often ended all of them, and a request
// that met one after the other would give up.
func (c *connection) renew() {
	ctx, cancel := context.WithTimeout(context.Background(), c.slot.Wait)
	defer cancel()
	if c.module.gate.enter(ctx) != nil {
		return
	}
	defer c.module.gate.leave()
	if !c.current() {
		return
	}
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.opened -= len(idle)
	c.mu.Unlock()
	for _, s := range idle {
		c.module.close(s)
	}
}

// end closes the connection's sessions that are not in use, and the anchor; those in use are closed when they come back.
func (c *connection) end(ctx context.Context) {
	c.mu.Lock()
	c.ended.Store(true)
	idle := c.idle
	c.idle, c.objects, c.catalog = nil, nil, nil
	c.mu.Unlock()
	if c.module.gate.enter(ctx) != nil {
		return
	}
	defer c.module.gate.leave()
	if c.generation != c.module.generation.Load() {
		return // their numbers may be those of others now
	}
	if c.held != nil {
		if s, open := c.held.end(); open {
			idle = append(idle, s)
		}
	}
	for _, s := range append(idle, c.anchor) {
		c.module.close(s)
	}
}

// alive says whether the token answers as one that is there: its information, the login, and one real operation, for tokens
// have been seen whose sessions looked well long after they were gone.
func (c *connection) alive(s session) error {
	if _, err := c.module.lib.tokenInfo(c.id); err != nil {
		return gone(err)
	}
	c.module.look()
	if err := c.module.loggedIn(s); err != nil {
		return err
	}
	var b [16]byte
	if err := c.module.lib.random(s, b[:]); err != nil && !is(err, pkcs11.CKR_FUNCTION_NOT_SUPPORTED) && !is(err, pkcs11.CKR_RANDOM_NO_RNG) {
		return gone(err)
	}
	c.probed.Store(time.Now().UnixNano())
	return nil
}

// look keeps what the module's library says of how many calls run at once.
func (m *module) look() {
	if symmetric, private, err := m.lib.calls(); err == nil {
		m.symmetric.Store(uint64(symmetric))
		m.private.Store(uint64(private))
	}
}

// gone makes an error that says nothing one that says that the token is gone.
func gone(err error) error {
	switch faultOf(err) {
	case faultVague, faultNone:
		return ckError{rv: pkcs11.CKR_TOKEN_NOT_PRESENT}
	}
	return err
}

// trust is how long a token that showed that it lives is believed to: so that a client who sends bad data a million times
// does not make the token prove it a million times.
const trust = 250 * time.Millisecond

// probe is alive, at most once in that time.
func (c *connection) probe(ctx context.Context) error {
	if !old(c.probed.Load(), trust) {
		return nil
	}
	err := c.with(ctx, c.alive)
	if faultOf(err) == faultVague {
		return gone(err)
	}
	return err
}
