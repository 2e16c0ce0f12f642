package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// A slot keeps one token usable: it connects when somebody asks, repairs what broke, and fails fast while nothing helps.
type slot struct {
	Slot
	module *module
	log    *slog.Logger
	rivals []Slot // of the configuration, which may mean the same token

	conn       atomic.Pointer[connection]
	closed     atomic.Bool
	connecting chan struct{} // held by the one who connects; guards what follows
	pause      time.Duration
	retryAt    time.Time // no attempt before, after a failure

	status   sync.Mutex // guards what follows: nobody calls the module with it
	wrongPIN error      // the PIN was refused, and is not tried again
	failure  error      // why the last attempt failed; nil after a success
	seen     tokenInfo
	past     SlotCounts
	checking time.Time // since when a check is under way; zero while none is
	sick     error     // what the last check found

	// Creating and destroying token objects runs alone, finding them does not: SoftHSM 2.6.1 gives errors and wrong
	// answers otherwise (SoftHSMv2 issue 573). It also makes check-then-create safe.
	contents gate
}

// The breaker's first pause after a failed attempt, and the longest.
const (
	shortestPause = 250 * time.Millisecond
	longestPause  = 500 * time.Millisecond
)

// tries is how often an operation is run at most.
const tries = 3

// do runs f in a session, and again when the connection broke under it. f has no lasting effect: running it twice is as good
// as once.
func (s *slot) do(ctx context.Context, f func(*connection, session) error) error {
	return s.run(ctx, f, func(error) bool { return true })
}

// change runs f, which changes the token. It is run again only when the token turned it away before it did anything.
func (s *slot) change(ctx context.Context, f func(*connection, session) error) error {
	return s.run(ctx, f, refused)
}

func (s *slot) run(ctx context.Context, f func(*connection, session) error, again func(error) bool) error {
	for try := 1; ; try++ {
		c, err := s.connection(ctx)
		if err != nil {
			return err
		}
		err = c.with(ctx, func(ss session) error { return f(c, ss) })
		if err == nil {
			return nil
		}
		if !s.repair(ctx, c, err) || try == tries || !again(err) {
			return err
		}
	}
}

// repair does what an error asks for, and says whether it makes sense to try again. The session is closed already.
func (s *slot) repair(ctx context.Context, c *connection, err error) bool {
	switch faultOf(err) {
	case faultSession:
		if is(err, pkcs11.CKR_SESSION_HANDLE_INVALID) || is(err, pkcs11.CKR_SESSION_CLOSED) {
			c.renew()
		}
		return true
	case faultLogin, faultDevice, faultModule:
		s.drop(c, err)
		return true
	case faultObject, faultVague:
		dead := c.probe(ctx)
		switch faultOf(dead) {
		case faultLogin, faultDevice, faultModule:
			s.drop(c, dead)
			return true
		}
		return faultOf(err) == faultObject
	}
	return false
}

// look enters the slot's contents, and alter does so alone. Both wait for those who make keys, which may take long, but not without
// end: who waits has a session that others could use.
func (s *slot) look(ctx context.Context) error { return s.into(ctx, s.contents.enter) }

func (s *slot) alter(ctx context.Context) error { return s.into(ctx, s.contents.shut) }

func (s *slot) into(ctx context.Context, enter func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, longCalls*s.Wait)
	defer cancel()
	if err := enter(limited); err != nil {
		return s.busy(ctx, "keys are being made or destroyed")
	}
	return nil
}

// drop ends a connection, if it still is the slot's.
func (s *slot) drop(c *connection, why error) {
	if !s.conn.CompareAndSwap(c, nil) {
		return
	}
	s.module.connected.Delete(c)
	s.log.Warn("token lost", "slot", s.Number, "token", c.token.Label, "error", why)
	s.count(func(n *SlotCounts) { n.Losses++ })
	ctx, cancel := context.WithTimeout(context.Background(), s.Wait)
	defer cancel()
	c.end(ctx)
}

// connection is the slot's connection, made if there is none. While attempts fail it answers the last failure at once, but to the one
// who makes the next.
func (s *slot) connection(ctx context.Context) (*connection, error) {
	if c := s.conn.Load(); c != nil && c.current() {
		return c, nil
	}
	limited, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	select {
	case s.connecting <- struct{}{}:
	default:
		if err := s.outage(); err != nil {
			return nil, s.unavailable(err)
		}
		select {
		case s.connecting <- struct{}{}:
		case <-limited.Done():
			return nil, s.busy(ctx, "waiting for the token to be connected")
		}
	}
	defer func() { <-s.connecting }()

	if c := s.conn.Load(); c != nil {
		if c.current() {
			return c, nil
		}
		if s.conn.CompareAndSwap(c, nil) {
			s.module.connected.Delete(c)
			c.end(limited)
		}
	}
	if s.closed.Load() {
		return nil, s.unavailable(errors.New("the server is shutting down"))
	}
	if err := s.outage(); err != nil && (s.pinRefused() != nil || time.Now().Before(s.retryAt)) {
		return nil, s.unavailable(err)
	}
	return s.reconnect(ctx)
}

// outage is why the token cannot be used, as far as is known.
func (s *slot) outage() error {
	s.status.Lock()
	defer s.status.Unlock()
	if s.wrongPIN != nil {
		return s.wrongPIN
	}
	return s.failure
}

// pinRefused is why the PIN is not tried, if it is not.
func (s *slot) pinRefused() error {
	s.status.Lock()
	defer s.status.Unlock()
	return s.wrongPIN
}

// refusePIN notes that the PIN is not to be tried again, and why.
func (s *slot) refusePIN(why error) error {
	s.status.Lock()
	defer s.status.Unlock()
	s.wrongPIN = why
	return why
}

// reconnect makes a connection and works the breaker. The attempt outlives the request that asked for it, so that a client
// who hangs up does not make a token look dead.
func (s *slot) reconnect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Wait)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		s.pause = min(max(2*s.pause, shortestPause), longestPause)
		s.retryAt = time.Now().Add(s.pause)
		if last := s.outage(); last == nil || last.Error() != err.Error() {
			s.log.Error("token unavailable", "slot", s.Number, "error", err)
		}
		s.count(func(n *SlotCounts) { s.failure, n.Broken, n.PINRefused = err, true, s.wrongPIN != nil })
		return nil, s.unavailable(err)
	}
	s.log.Info("token connected", "slot", s.Number, "token", c.token.Label, "serial", c.token.Serial, "slot_id", c.id)
	s.pause, s.retryAt = 0, time.Time{}
	s.count(func(n *SlotCounts) {
		s.failure = nil
		if n.Connections > 0 || n.Broken {
			n.Recoveries++
		}
		n.Connections++
		n.Broken, n.PINRefused = false, false
		s.seen = c.token
	})
	s.conn.Store(c)
	s.module.connected.Store(c, nil)
	return c, nil
}

// connect finds the token and logs in. When that fails the module is initialized again, where it may be: SoftHSM, for one,
// sees a token that came back only then.
func (s *slot) connect(ctx context.Context) (*connection, error) {
	generation := s.module.generation.Load()
	c, err := s.login(ctx)
	if err == nil || s.pinRefused() != nil {
		return c, err
	}
	switch faultOf(err) {
	case faultModule:
	case faultDevice, faultVague, faultSession, faultLogin:
		if !s.module.mayReinitialize() {
			return nil, err
		}
	default:
		return nil, err
	}
	if fault := s.module.reinitialize(ctx, generation); fault != nil {
		return nil, fmt.Errorf("%w (and then: %w)", err, fault)
	}
	return s.login(ctx)
}

// login finds the slot's token, opens the anchor session and logs in.
func (s *slot) login(ctx context.Context) (*connection, error) {
	m := s.module
	if err := m.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer m.gate.leave()
	c := &connection{slot: s, module: m, generation: m.generation.Load(), objects: map[string]*object{}}
	var err error
	if c.id, c.token, err = s.resolve(); err != nil {
		return nil, err
	}
	m.sessions.Lock()
	c.anchor, err = m.lib.openSession(c.id)
	m.sessions.Unlock()
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	if err := s.authenticate(c); err != nil {
		m.close(c.anchor)
		return nil, err
	}
	if c.proof, err = m.prove(c); err != nil {
		m.close(c.anchor)
		return nil, fmt.Errorf("testing the mechanisms: %w", err)
	}
	m.look()
	c.tickets = make(chan struct{}, s.sessions(c.token))
	if !c.proof.reuses { // else a handle could mean another key by the time it is used again
		c.held = newHeld(c, s.WrappedHandles, s.WrappedHandleAge)
	}
	return c, nil
}

// sessions is how many are used at once: two less than the token has, for the anchor and one to spare.
func (s *slot) sessions(t tokenInfo) int {
	n := s.MaxSessions
	for _, most := range []uint{t.MaxSessions, t.MaxReadWrite} {
		if most > 0 {
			n = min(n, max(1, int(most)-2))
		}
	}
	return n
}

// authenticate logs in with the PIN, where the library is. A PIN that was refused is never tried again by itself: tokens lock
// after a few.
func (s *slot) authenticate(c *connection) error {
	switch {
	case c.token.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return s.refusePIN(ckError{rv: pkcs11.CKR_PIN_LOCKED})
	case c.token.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return s.refusePIN(errors.New("the token would lock after one more wrong PIN: log in by hand once"))
	}
	err := c.module.lib.login(c.anchor, &s.Slot)
	if is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		err = nil
	}
	s.count(func(n *SlotCounts) {
		n.Logins++
		if err != nil {
			n.LoginsFailed++
		}
	})
	for _, rv := range []uint{pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED,
		pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_USER_PIN_NOT_INITIALIZED, pkcs11.CKR_ARGUMENTS_BAD} {
		if is(err, rv) {
			return s.refusePIN(fmt.Errorf("logging in: %w (not tried again until it is reloaded)", err))
		}
	}
	if err != nil && c.countedPIN(err) {
		return s.refusePIN(fmt.Errorf("logging in: %w (the token counted a wrong PIN: not tried again until it is reloaded)", err))
	}
	if err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	return c.module.loggedIn(c.anchor)
}

// countedPIN says whether the token tells, of a login that failed for no clear reason, that the PIN was wrong (PKCS#11 2.40 §3.2,
// CK_TOKEN_INFO).
func (c *connection) countedPIN(err error) bool {
	if !errors.As(err, new(ckError)) {
		return false
	}
	now, fault := c.module.lib.tokenInfo(c.id)
	return fault == nil && now.Flags&^c.token.Flags&(pkcs11.CKF_USER_PIN_COUNT_LOW|pkcs11.CKF_USER_PIN_FINAL_TRY|pkcs11.CKF_USER_PIN_LOCKED) != 0
}

// resolve finds the one token that the slot means, and no other slot.
func (s *slot) resolve() (uint, tokenInfo, error) {
	ids, err := s.module.lib.slots()
	if err != nil {
		return 0, tokenInfo{}, fmt.Errorf("listing slots: %w", err)
	}
	var all []present
	for index, id := range ids {
		t, err := s.module.lib.tokenInfo(id)
		if err != nil || t.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		all = append(all, present{index, id, t})
	}
	found := s.among(all, len(s.rivals) == 0)
	switch len(found) {
	case 1:
		for i := range s.rivals {
			if r := &s.rivals[i]; len(r.among(found, false)) == 1 && len(r.among(all, false)) == 1 {
				return 0, tokenInfo{}, fmt.Errorf("slot %d means the same token, with %s: a token has one number, as each of its keys has one identifier",
					r.Number, r.selector())
			}
		}
		return found[0].id, found[0].token, nil
	case 0:
		return 0, tokenInfo{}, fmt.Errorf("no token with %s%s: %w", s.selector(), s.conflict(all), ckError{rv: pkcs11.CKR_TOKEN_NOT_PRESENT})
	}
	return 0, tokenInfo{}, fmt.Errorf("%d tokens have %s: say which", len(found), s.selector())
}

// A present token is one of those that a module has.
type present struct {
	index int
	id    uint
	token tokenInfo
}

// among finds the tokens that all given selectors match. Without any it is that in the slot whose ID is the slot's number, or where
// there is none the only one of the module, if no other slot is configured there.
func (s *Slot) among(all []present, sole bool) (found []present) {
	for _, p := range all {
		if s.matches(p.index, p.id, p.token) {
			found = append(found, p)
		}
	}
	if len(found) == 0 && sole && len(all) == 1 && !s.selects() {
		return all
	}
	return found
}

// conflict says that each of several selectors fits a token, and no token all of them.
func (s *slot) conflict(all []present) string {
	alone := []Slot{{TokenLabel: s.TokenLabel}, {TokenSerial: s.TokenSerial}, {SlotID: s.SlotID}, {SlotIndex: s.SlotIndex}}
	given := 0
	for i := range alone {
		one := &alone[i]
		if !one.selects() {
			continue
		}
		given++
		if !slices.ContainsFunc(all, func(p present) bool { return one.matches(p.index, p.id, p.token) }) {
			return ""
		}
	}
	if given < 2 {
		return ""
	}
	return ", though there are tokens with each of these: the selectors of the slot contradict one another"
}

// selects says whether the configuration says anything of the token.
func (s *Slot) selects() bool {
	return s.TokenLabel != "" || s.TokenSerial != "" || s.SlotID != nil || s.SlotIndex != nil
}

func (s *Slot) matches(index int, id uint, t tokenInfo) bool {
	if !s.selects() {
		return id == uint(s.Number)
	}
	return (s.TokenLabel == "" || s.TokenLabel == t.Label) &&
		(s.TokenSerial == "" || s.TokenSerial == t.Serial) &&
		(s.SlotID == nil || *s.SlotID == id) &&
		(s.SlotIndex == nil || *s.SlotIndex == index)
}

// selector describes what the slot's token has, for errors.
func (s *Slot) selector() string {
	text := ""
	add := func(what string, value any) {
		if text != "" {
			text += " and "
		}
		text += fmt.Sprintf("%s %v", what, value)
	}
	if s.TokenLabel != "" {
		add("label", fmt.Sprintf("%q", s.TokenLabel))
	}
	if s.TokenSerial != "" {
		add("serial", fmt.Sprintf("%q", s.TokenSerial))
	}
	if s.SlotID != nil {
		add("slot ID", *s.SlotID)
	}
	if s.SlotIndex != nil {
		add("slot index", *s.SlotIndex)
	}
	if text == "" {
		add("slot ID", s.Number)
	}
	return text
}

// reload lets a PIN that was refused be read and tried again, and ends the breaker's pause.
func (s *slot) reload() {
	s.count(func(n *SlotCounts) { s.wrongPIN, s.failure, n.PINRefused = nil, nil, false })
}

// close ends the connection for good.
func (s *slot) close(ctx context.Context) {
	s.closed.Store(true)
	select {
	case s.connecting <- struct{}{}:
		<-s.connecting
	case <-ctx.Done(): // who connects hangs in the module
	}
	if c := s.conn.Swap(nil); c != nil {
		s.module.connected.Delete(c)
		c.end(ctx)
	}
}
