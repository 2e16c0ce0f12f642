package server

import (
	"container/list"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/authz"
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Limits bound what a client can make the server do. Zero means the default.
type Limits struct {
	Message                ttlv.Limits   // of one request
	BatchCount             int           // operations in one request, default 1,000
	Connections            int           // of clients that are known, and as many that are not yet; default 4,096
	ConnectionsPerIdentity int           // default 1,024
	RequestsInFlight       int           // messages being worked on at once, default 1,024
	RequestsPerSecond      float64       // of one identity; 0 is no limit
	HandshakeTimeout       time.Duration // default 10 s
	ReadTimeout            time.Duration // for one message, from its first byte to its last, default 30 s
	WriteTimeout           time.Duration // default 30 s
	IdleTimeout            time.Duration // between messages, default 10 min
	OperationTimeout       time.Duration // for one message, default 60 s

	// Asynchronous operations, waiting and answered, until they are polled for.
	AsynchronousOperations       int           // default 8,192
	AsynchronousPerIdentity      int           // default 1,024
	AsynchronousBytes            int           // of messages that wait and of answers, default 64 MiB
	AsynchronousBytesPerIdentity int           // default 8 MiB
	AsynchronousKeep             time.Duration // for how long an answer waits for its client, default 10 min
	AsynchronousAfter            time.Duration // how long a client that can poll waits for an answer that it may get at once, default 1 s
	RotateEvery                  time.Duration // how often the server looks for keys to rotate, default 10 s
}

func (l Limits) withDefaults() Limits {
	number := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	span := func(t *time.Duration, d time.Duration) {
		if *t <= 0 {
			*t = d
		}
	}
	number(&l.BatchCount, 1000)
	number(&l.Connections, 4096)
	number(&l.ConnectionsPerIdentity, 1024)
	number(&l.RequestsInFlight, 1024)
	span(&l.HandshakeTimeout, 10*time.Second)
	span(&l.ReadTimeout, 30*time.Second)
	span(&l.WriteTimeout, 30*time.Second)
	span(&l.IdleTimeout, 10*time.Minute)
	span(&l.OperationTimeout, time.Minute)
	number(&l.AsynchronousOperations, 8192)
	number(&l.AsynchronousPerIdentity, 1024)
	number(&l.AsynchronousBytes, 64<<20)
	number(&l.AsynchronousBytesPerIdentity, 8<<20)
	span(&l.AsynchronousKeep, 10*time.Minute)
	span(&l.AsynchronousAfter, time.Second)
	span(&l.RotateEvery, 10*time.Second)
	return l
}

// Config is what a Server needs. All fields but HSM and Rotation are required.
type Config struct {
	Store     kmip.Backend                 // every identifier that names no key in a token
	HSM       kmip.Backend                 // those that do; nil without a token
	Access    kmip.Access                  // lists of grants
	Settings  kmip.Settings                // what holds for all objects
	Rotation  kmip.Rotating                // keys that the server rotates by itself; nil: none
	Authority *atomic.Pointer[authz.Table] // replaced when the configuration is read again
	Gate      *Gate                        // TLS, identities and passwords
	Audit     *Audit
	Limits    Limits
	Seed      int // bytes of an RNG Seed that the operating system's generator gets; -1 refuses the operation
	// SeedToken mixes data of an RNG Seed into the generator of the token that Random takes bytes from, too; nil without one.
	SeedToken func(ctx context.Context, data []byte) error
	Random    kmip.Random // where what the server makes itself comes from; nil: crypto/rand
	Log       *slog.Logger
	Version   string // of the program, for Query

	Certification *atomic.Pointer[Certification] // how Certify and Re-certify issue, replaced likewise; nil: as the zero value says

	HSMWrapping bool // the configuration names a key in a token that wraps keys made there, for the Protection Storage Mask Hardware

	// Metrics answers monitors that ask for numbers, over HTTPS; nil: nobody does.
	Metrics http.Handler

	// Sealed says why nothing is answered while the root key is not there; nil when it is. A nil Sealed is never.
	Sealed func() error
	// Reserved says whether an object is a key that protects the root key, which no client uses; nil: none is.
	Reserved func(o *kmip.Object) bool
}

// A Server answers KMIP.
type Server struct {
	Config
	operations [256]*operation // by operation code; vendor operations from 128 on
	requests   atomic.Uint64
	tallies    *tallies
	tickets    tickets
	promises   *promises
	rotator    *rotator // nil without Rotation
	instance   string   // begins the Server Correlation Values of this process
	throttle   *throttle
	rates      rates
	counters   counters
	web        *http.Server

	applications applications

	constraints setting[kmip.Constraints]
	defaults    setting[kmip.DefaultsInformation]

	mu          sync.Mutex
	connections map[*conn]struct{}
	strangers   list.List // of *conn, the oldest first: those that have not shaken hands
	admitted    int       // connections that have
	identities  map[string]int
	parted      map[string]*streams // operations in parts, by identity
	draining    bool
	wg          sync.WaitGroup
}

// New makes a server of c.
func New(c Config) *Server {
	c.Limits = c.Limits.withDefaults()
	if c.Certification == nil {
		c.Certification = new(atomic.Pointer[Certification])
		c.Certification.Store(NewCertification(Certification{}))
	}
	s := &Server{
		constraints: setting[kmip.Constraints]{name: constraintsSetting, tag: ttlv.TagConstraints},
		defaults:    setting[kmip.DefaultsInformation]{name: defaultsSetting, tag: ttlv.TagDefaultsInformation},

		Config:      c,
		tallies:     newTallies(),
		connections: make(map[*conn]struct{}),
		identities:  make(map[string]int),
		parted:      make(map[string]*streams),
		throttle:    newThrottle(c.Limits.RequestsInFlight),
		rates:       rates{perSecond: c.Limits.RequestsPerSecond},
		counters:    counters{seed: maphash.MakeSeed()},
		instance:    rand.Text()[:16],
	}
	s.promises = newPromises(&s.Limits, c.Log)
	c.Log.Info("requests of this process", "correlation", s.instance)
	for i, op := range operations {
		op.index = i
		s.operations[slotOf(op.Operation)] = &op
	}
	s.web = s.newWeb()
	if s.Rotation != nil {
		s.rotator = s.startRotator()
	}
	return s
}

// slotOf is the place of an operation in the table by code.
func slotOf(op kmip.Operation) int {
	if op&0x80000000 != 0 {
		return 128 + int(op&0x7F)
	}
	return int(op & 0x7F)
}

// lookup finds an operation, nil for one that is not there.
func (s *Server) lookup(op kmip.Operation) *operation {
	if low := op &^ 0x80000000; low > 0x7F {
		return nil
	}
	return s.operations[slotOf(op)]
}

// supported lists the operations of version v, in the order of the table.
func (s *Server) supported(v ttlv.Version) []kmip.Operation {
	var list []kmip.Operation
	for _, p := range kmip.Payloads {
		if s.lookup(p.Operation) != nil && v >= p.Since {
			list = append(list, p.Operation)
		}
	}
	return list
}

// Serve accepts connections from l until it is closed. A silent or slow client holds up nobody: the TLS
// handshake happens in the connection's own goroutine.
func (s *Server) Serve(l net.Listener) error { return s.accept(l, false) }

func (s *Server) accept(l net.Listener, web bool) error {
	for {
		raw, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				s.Log.Error("accepting a connection", "err", err)
				time.Sleep(50 * time.Millisecond)
				continue
			}
			return fmt.Errorf("accepting a connection: %w", err)
		}
		s.start(raw, web)
	}
}

// start serves a connection in its own goroutine. Those that have not shaken hands yet are counted by themselves, and when
// there are too many the oldest goes: silent clients cut off one another, and not who comes after them.
func (s *Server) start(raw net.Conn, web bool) {
	c := &conn{server: s, raw: raw, web: web, tally: s.tallies.accept()}
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		raw.Close()
		return
	}
	s.connections[c] = struct{}{}
	c.strange = s.strangers.PushBack(c)
	if s.strangers.Len() > s.Limits.Connections {
		oldest := s.strangers.Remove(s.strangers.Front()).(*conn)
		oldest.crowded.Store(true)
		oldest.raw.Close()
	}
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		defer s.remove(c)
		c.run()
	}()
}

// admit counts a connection for its identity, and among all.
func (s *Server) admit(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admitted >= s.Limits.Connections {
		return fmt.Errorf("there are %d connections already", s.admitted)
	}
	if s.identities[c.identity] >= s.Limits.ConnectionsPerIdentity {
		return fmt.Errorf("identity %q has %d connections already", c.identity, s.Limits.ConnectionsPerIdentity)
	}
	s.strangers.Remove(c.strange)
	s.identities[c.identity]++
	s.admitted++
	c.admitted = true
	return nil
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
	if !c.admitted {
		s.strangers.Remove(c.strange)
		return
	}
	s.admitted--
	if s.identities[c.identity]--; s.identities[c.identity] == 0 {
		delete(s.identities, c.identity)
	}
}

// Connections is how many there are.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}

// Shutdown lets every message that has begun be answered, and closes the connections. When ctx ends first, it cuts them.
// The caller closes the listeners before.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for c := range s.connections {
		c.drain()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var background sync.WaitGroup
		background.Go(func() { s.promises.end(ctx) })
		background.Go(s.rotator.end)
		s.web.Shutdown(ctx)
		s.wg.Wait()
		background.Wait()
		for _, all := range s.parted { // nobody adds to it any more
			all.endAll()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.connections {
		c.raw.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// handshake does the TLS handshake within its time.
func (s *Server) handshake(raw net.Conn) (*tls.Conn, error) {
	if err := s.Gate.refusal(); err != nil {
		return nil, err
	}
	t := tls.Server(raw, s.Gate.Config())
	ctx, cancel := context.WithTimeout(context.Background(), s.Limits.HandshakeTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t, nil
}
