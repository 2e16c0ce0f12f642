package password

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"strongroom/kmip"
)

// atOnce is how many passwords are hashed at the same time: each takes its memory.
const atOnce = 2

// A Guard proves credentials by a table that may be replaced. It is safe for concurrent use.
type Guard struct {
	table   atomic.Pointer[Table]
	now     func() time.Time
	began   time.Time
	key     [32]byte // of digests of credentials that were right, from crypto/rand
	nobody  *argon   // stands in for users that are not there
	hashing *semaphore.Weighted

	mu     sync.Mutex
	states map[[2]string]*state // by identity and username
	wrongs map[string]*wrongs   // by identity
}

// A state is what is remembered of a user.
type state struct {
	right   [32]byte // digest of the password that was right last
	step    int64    // of the last one-time password
	stamped int64    // Timestamp of the last Hashed Password, microseconds
}

// NewGuard makes a guard. Now is the clock, nil for time.Now.
func NewGuard(t *Table, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	g := &Guard{now: now, began: now(), nobody: newArgon(), hashing: semaphore.NewWeighted(atOnce), states: make(map[[2]string]*state), wrongs: make(map[string]*wrongs)}
	rand.Read(g.key[:])
	g.table.Store(t)
	return g
}

// Replace changes the table. What connections have proven counts no longer.
func (g *Guard) Replace(t *Table) {
	g.table.Store(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.states {
		s.right = [32]byte{}
	}
}

// Needs says whether requests of an identity need a credential. A nil Guard needs none of anybody.
func (g *Guard) Needs(identity string) bool { return g != nil && g.table.Load().Needs(identity) }

// Proven remembers for a connection the password that it has proven, so that saying it again costs little.
type Proven struct {
	table  *Table
	digest [32]byte
}

// Prove says whether a credential, one of *kmip.UsernameAndPassword, *kmip.DeviceCredential, *kmip.OneTimePasswordCredential
// and *kmip.HashedPasswordCredential, is right for an identity that needs one. P belongs to the connection. The answer is
// the Server Hashed Password of a Hashed Password. A wrong credential is Authentication Not Successful, whatever of it is
// wrong, and after some the next wait.
func (g *Guard) Prove(ctx context.Context, identity string, credential any, p *Proven) (answer []byte, err error) {
	t := g.table.Load()
	digest, again := g.digest(identity, credential)
	if again && p.table == t && subtle.ConstantTimeCompare(digest[:], p.digest[:]) == 1 {
		return nil, nil
	}
	turn := g.turn(identity)
	if err := turn.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("waiting for another credential of %q: %w", identity, err)
	}
	defer turn.Release(1)
	if err := g.patience(identity); err != nil {
		return nil, err
	}
	right := false
	switch c := credential.(type) {
	case *kmip.UsernameAndPassword:
		right, err = g.password(ctx, t.user(identity, c.Username), digest, c.Password, false)
	case *kmip.DeviceCredential:
		right, err = g.password(ctx, t.user(identity, c.Names()...), digest, c.Password, false)
	case *kmip.OneTimePasswordCredential:
		right, err = g.oneTime(ctx, t.user(identity, c.Username), digest, c)
	case *kmip.HashedPasswordCredential:
		answer, right = g.hashed(t.user(identity, c.Username), c)
	}
	if err != nil {
		return nil, err
	}
	if g.count(identity, right); !right {
		return nil, kmip.Errorf(kmip.ResultReasonAuthenticationNotSuccessful, "the credential of %q is not right", identity)
	}
	if again {
		*p = Proven{t, digest}
	}
	return answer, nil
}

// digest stands for a password that was said; again is false of a credential that may be said once only.
func (g *Guard) digest(identity string, credential any) (d [32]byte, again bool) {
	m := hmac.New(sha256.New, g.key[:])
	write := func(texts ...string) {
		for _, s := range texts {
			m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
			m.Write([]byte(s))
		}
	}
	write(identity)
	switch c := credential.(type) {
	case *kmip.UsernameAndPassword:
		write(c.Username, c.Password)
		again = true
	case *kmip.DeviceCredential:
		write(c.Names()...)
		write(c.Password)
		again = true
	case *kmip.OneTimePasswordCredential:
		write(c.Username, c.Password)
	}
	m.Sum(d[:0])
	return d, again
}

// password compares a password with that of a user, nil for one that is not there: that takes as long. A user with one-time
// passwords needs those, too.
func (g *Guard) password(ctx context.Context, u *user, digest [32]byte, password string, second bool) (bool, error) {
	var h hash = g.nobody
	if u != nil && u.password != nil && (second || u.secret == nil) {
		h = u.password
		g.mu.Lock()
		known := subtle.ConstantTimeCompare(g.state(u).right[:], digest[:]) == 1
		g.mu.Unlock()
		if known {
			return true, nil
		}
	}
	if len(password) > Longest {
		return false, nil
	}
	if err := g.hashing.Acquire(ctx, 1); err != nil {
		return false, fmt.Errorf("waiting to hash a password: %w", err)
	}
	defer g.hashing.Release(1)
	said := []byte(password)
	defer clear(said)
	if !h.matches(said) || h == hash(g.nobody) {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state(u).right = digest
	return true, nil
}

// state is that of a user; the caller has locked.
func (g *Guard) state(u *user) *state {
	s := g.states[*u.state]
	if s == nil {
		s = &state{step: step(g.began) + skew, stamped: g.began.Add(-clocks).UnixMicro()}
		g.states[*u.state] = s
	}
	return s
}

// One-time passwords are those of RFC 6238: six digits of HMAC-SHA-1 over the number of half minutes. One of the half minute
// before or after is taken as well, and each once: those that may have been used before the server started are not.
const (
	period = 30 // seconds
	skew   = 1  // periods
)

func step(t time.Time) int64 { return t.Unix() / period }

// code is the one-time password of a step. RFC 4226 §5.3.
func code(secret []byte, step int64) string {
	m := hmac.New(sha1.New, secret)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := m.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & 0x7FFFFFFF
	return fmt.Sprintf("%06d", n%1_000_000)
}

func (g *Guard) oneTime(ctx context.Context, u *user, digest [32]byte, c *kmip.OneTimePasswordCredential) (bool, error) {
	right := true
	if u == nil || u.password != nil {
		var err error
		if right, err = g.password(ctx, u, digest, c.Password, true); err != nil {
			return false, err
		}
	}
	if u == nil || u.secret == nil {
		return false, nil
	}
	now := step(g.now())
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.state(u)
	for n := now - skew; n <= now+skew; n++ {
		same := subtle.ConstantTimeCompare([]byte(code(u.secret, n)), []byte(c.OneTimePassword)) == 1
		if same && right && n > s.step {
			s.step = n
			return true, nil
		}
	}
	return false, nil
}

// clocks is how far the clocks of client and server may be apart for a Hashed Password.
const clocks = 5 * time.Minute

// hashed compares a Hashed Password: Hash(S1 || Timestamp) || S2, with the Timestamp as it stands in the message. It says the
// Server Hashed Password, Hash(Timestamp || S1 || Hash(S2)). KMIP 2.1 §8.5, §9.11.
func (g *Guard) hashed(u *user, c *kmip.HashedPasswordCredential) (answer []byte, right bool) {
	if u == nil || u.hashed == nil || u.secret != nil || c.HashingAlgorithm != 0 && c.HashingAlgorithm != kmip.HashingAlgorithmSHA256 {
		return nil, false
	}
	stamp := binary.BigEndian.AppendUint64(nil, uint64(c.Timestamp))
	first := sha256.Sum256(append(u.hashed.first[:len(u.hashed.first):len(u.hashed.first)], stamp...))
	if len(c.HashedPassword) != 2*sha256.Size {
		return nil, false
	}
	second := sha256.Sum256(c.HashedPassword[sha256.Size:])
	same := subtle.ConstantTimeCompare(first[:], c.HashedPassword[:sha256.Size]) & subtle.ConstantTimeCompare(second[:], u.hashed.second[:])
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.state(u)
	if same != 1 || int64(c.Timestamp) <= s.stamped || int64(c.Timestamp) > g.now().Add(clocks).UnixMicro() {
		return nil, false
	}
	s.stamped = int64(c.Timestamp)
	sum := sha256.New()
	sum.Write(stamp)
	sum.Write(u.hashed.first[:])
	sum.Write(u.hashed.second[:])
	return sum.Sum(nil), true
}

// wrongs counts wrong credentials of an identity. Who has its certificate can make it wait, and nobody else.
type wrongs struct {
	turn  *semaphore.Weighted // held while a credential is looked at: they are, one after the other
	inRow int
	until time.Time // no credential is looked at before
}

// After so many wrong credentials in a row the next is looked at after a second, then two, up to a minute.
const (
	freeWrongs = 3
	mostWait   = time.Minute
)

// turn is held while a credential of an identity is looked at.
func (g *Guard) turn(identity string) *semaphore.Weighted {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wrongs[identity] == nil {
		g.wrongs[identity] = &wrongs{turn: semaphore.NewWeighted(1)}
	}
	return g.wrongs[identity].turn
}

// patience refuses an identity that has to wait.
func (g *Guard) patience(identity string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.wrongs[identity]; g.now().Before(w.until) {
		return kmip.Errorf(kmip.ResultReasonAuthenticationNotSuccessful, "too many wrong credentials of %q: try again in %v", identity, w.until.Sub(g.now()).Round(time.Second)+time.Second)
	}
	return nil
}

// count notes what came of a credential.
func (g *Guard) count(identity string, right bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wrongs[identity]
	if right {
		w.inRow, w.until = 0, time.Time{}
		return
	}
	if w.inRow++; w.inRow >= freeWrongs {
		w.until = g.now().Add(min(time.Second<<min(w.inRow-freeWrongs, 10), mostWait))
	}
}
