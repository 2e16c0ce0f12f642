package server

import (
	"runtime"
	"sync/atomic"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// DurationBounds are the upper ends of the classes in which durations are counted; what is longer is in one more.
var DurationBounds = [...]time.Duration{
	25 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// Counts are what a Server did since it was made, and what it is at.
type Counts struct {
	Operations []OperationCounts // one for each that there is, and a last one for all others that were asked for
	Failures   []FailureCounts   // one for each reason that there is
	Undone     uint64            // operations of batches that were undone; they are among Operations, too

	Rotations       uint64 // of keys, by the server itself; they are not among Operations
	RotationsFailed uint64 // of those

	Messages        uint64
	MessagesRefused uint64 // without performing any of their operations, for what they are like as a whole
	RateLimited     uint64 // of those, for the rate of their identity
	InFlight        int    // messages that are worked on
	Queued          int    // that wait for that

	Connections        int                 // of clients that are known
	Strangers          int                 // that have not shaken hands
	Accepted           uint64              // connections since the start
	ConnectionsRefused [len(causes)]uint64 // by Cause
	Asynchronous       int                 // operations that are under way, or wait to be polled for
	AsynchronousBytes  int                 // that these take
	Panics             uint64              // bugs that ended a connection
}

// OperationCounts are what came of one operation.
type OperationCounts struct {
	Operation kmip.Operation // 0: of the others
	Count     uint64
	Failed    uint64                          // of those
	Classes   [len(DurationBounds) + 1]uint64 // of Count, by the first of DurationBounds that it did not exceed
	Duration  time.Duration                   // of all
}

// FailureCounts are how many operations failed for a reason.
type FailureCounts struct {
	Reason kmip.ResultReason
	Count  uint64
}

// A Cause is why a connection was refused.
type Cause int

// Causes.
const (
	CauseHandshake Cause = iota // the TLS handshake, or the certificate
	CauseLocked                 // the server's keys are locked
	CauseLimit                  // there are too many connections, of all or of the identity
	CauseCrowded                // it had not shaken hands when too many others had not either
)

var causes = [...]string{"handshake", "locked", "limit", "crowded"}

// String names it in one word.
func (c Cause) String() string { return causes[c] }

// A tally counts the operations of some of the connections: there are several, so that processors seldom write to the same memory.
// It costs an operation two additions.
type tally []struct { // by the operation's index in the table
	failed, nanoseconds atomic.Uint64
	classes             [len(DurationBounds) + 1]atomic.Uint64
}

// add counts an operation, nil for one that is not there.
func (t tally) add(op *operation, took time.Duration, failed bool) {
	n := &t[len(t)-1]
	if op != nil {
		n = &t[op.index]
	}
	class := 0
	for class < len(DurationBounds) && took > DurationBounds[class] {
		class++
	}
	n.classes[class].Add(1)
	n.nanoseconds.Add(uint64(took))
	if failed {
		n.failed.Add(1)
	}
}

// tallies are all that is counted of a server.
type tallies struct {
	operations []tally
	failures   [0x102]atomic.Uint64 // by reason; what is beyond them, with the last

	undone, rotations, rotationsFailed, refused, limited, accepted, panics atomic.Uint64

	connections [len(causes)]atomic.Uint64
}

func newTallies() *tallies {
	t := new(tallies)
	for range min(4*runtime.GOMAXPROCS(0), 64) {
		t.operations = append(t.operations, make(tally, len(operations)+1))
	}
	return t
}

// accept counts a connection, and gives the tally of its operations.
func (t *tallies) accept() tally {
	return t.operations[t.accepted.Add(1)%uint64(len(t.operations))]
}

func (t *tallies) refuse(c Cause) { t.connections[c].Add(1) }

// rotate counts a rotation.
func (t *tallies) rotate(err error) {
	t.rotations.Add(1)
	if err != nil {
		t.rotationsFailed.Add(1)
	}
}

// performed counts the operation at hand.
func (r *Request) performed(op *operation, took time.Duration, err error) {
	r.tally.add(op, took, err != nil)
	if err != nil {
		t := &r.server.tallies.failures
		t[min(int(kmip.ReasonOf(err)), len(t)-1)].Add(1)
	}
}

// Counts adds up what was counted.
func (s *Server) Counts() *Counts {
	t := s.tallies
	n := &Counts{
		Operations: make([]OperationCounts, len(operations)+1),
		Undone:     t.undone.Load(), Rotations: t.rotations.Load(), RotationsFailed: t.rotationsFailed.Load(),
		Messages: s.requests.Load(), MessagesRefused: t.refused.Load(), RateLimited: t.limited.Load(),
		InFlight: int(s.throttle.running.Load()), Queued: int(s.throttle.waiting.Load()), Accepted: t.accepted.Load(), Panics: t.panics.Load(),
	}
	for i := range n.Operations {
		if i < len(operations) {
			n.Operations[i].Operation = operations[i].Operation
		}
		for _, one := range t.operations {
			n.Operations[i].count(one, i)
		}
	}
	for reason := range t.failures {
		failed := t.failures[reason].Load()
		if failed > 0 || ttlv.Defined(ttlv.TagResultReason, uint32(reason), ttlv.V1_4) || ttlv.Defined(ttlv.TagResultReason, uint32(reason), ttlv.V2_1) {
			n.Failures = append(n.Failures, FailureCounts{kmip.ResultReason(reason), failed})
		}
	}
	for cause := range causes {
		n.ConnectionsRefused[cause] = t.connections[cause].Load()
	}
	s.mu.Lock()
	n.Connections, n.Strangers = s.admitted, s.strangers.Len()
	s.mu.Unlock()
	n.Asynchronous, n.AsynchronousBytes = s.promises.underWay()
	return n
}

// count adds what a tally has of the operation of that index.
func (n *OperationCounts) count(t tally, index int) {
	n.Failed += t[index].failed.Load()
	n.Duration += time.Duration(t[index].nanoseconds.Load())
	for class := range n.Classes {
		c := t[index].classes[class].Load()
		n.Classes[class] += c
		n.Count += c
	}
}

// underWay tells how many operations are, and how many bytes they take.
func (p *promises) underWay() (operations, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.operations, p.bytes
}

// AuditCounts are how an Audit is.
type AuditCounts struct {
	Lines  uint64 // that were written since it was opened
	Queued int    // bytes of lines that wait to be
	Stuck  bool   // the file cannot be written: requests are held back
}

// Counts tells it. The queues of the connections are looked at one after the other.
func (a *Audit) Counts() (n AuditCounts) {
	if a == nil {
		return n
	}
	a.mu.Lock()
	streams := append([]*AuditStream(nil), a.streams...)
	a.mu.Unlock()
	n.Lines, n.Stuck = a.lines.Load(), a.stuck.Load()
	for _, s := range streams {
		s.mu.Lock()
		n.Queued += len(s.queue)
		s.mu.Unlock()
	}
	return n
}

// Expires is when the server's certificate does; zero where there is none, for the keys are locked.
func (g *Gate) Expires() time.Time {
	c := g.state.Load().Certificate
	if c.Leaf == nil {
		return time.Time{}
	}
	return c.Leaf.NotAfter
}

// Locked says whether nobody is let in.
func (g *Gate) Locked() bool { return g.locked.Load() != nil }
