package server

import (
	"sync"
	"time"
)

// auditPatience is how many times in turn the writer may find hardly anything in a large buffer before it is given up:
// about a second when the writer comes at its interval.
const auditPatience = 20

// An AuditStream queues the lines of one connection: nothing that it does on the way is shared with another, but for a
// word to the writer when it is half full. It is safe for concurrent use. A nil one is off.
type AuditStream struct {
	audit *Audit

	mu     sync.Mutex
	room   sync.Cond
	queue  []byte // lines without hash and closing brace, each ended by a line feed
	pen    auditPen
	spare  []byte // the other buffer, when the writer does not have it
	spacey int    // how often in turn the writer found hardly anything in a large buffer
	closed bool   // by the connection: nothing comes any more
	ended  bool   // by the writer: nothing is taken any more
}

// Stream begins the stream of one connection.
func (a *Audit) Stream() *AuditStream {
	if a == nil {
		return nil
	}
	s := &AuditStream{audit: a}
	s.room.L = &s.mu
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.ended = a.done; !s.ended {
		a.streams = append(a.streams, s)
	}
	return s
}

// Close ends the stream. What it has queued is written.
func (s *AuditStream) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// Act queues the line of an act of an operator, and sees to it that it is written soon. After Close it is lost, and logged.
func (a *Audit) Act(act Act) {
	s := a.Stream()
	if s == nil {
		return
	}
	defer s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait()
	if s.ended {
		a.log.Error("audit line lost: the audit is closed", "event", act.Name, "by", act.By)
		return
	}
	s.queue = append(act.append(s.queue, time.Now()), '\n')
}

// wait waits while the stream is full or the file cannot be written.
func (s *AuditStream) wait() {
	for !s.ended && (len(s.queue) >= auditFull || s.audit.stuck.Load()) {
		s.room.Wait()
	}
}

// Write queues the line of e, which it does not keep. It waits while the stream is full or the file cannot be written.
func (s *AuditStream) Write(e *Event) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait()
	if s.ended {
		s.audit.log.Error("audit line lost: the audit is closed", "request", e.Request, "identity", e.Identity,
			"operation", e.Operation.String(), "uid", e.UniqueIdentifier, "result", e.Result.String())
		return
	}
	before := len(s.queue)
	s.queue = append(s.pen.append(s.queue, e), '\n')
	if before < auditFull/2 && len(s.queue) >= auditFull/2 {
		select {
		case s.audit.urgent <- struct{}{}:
		default: // it has been told
		}
	}
}

// take gives the writer what is queued, and says whether nothing more will come. After the last time nothing is queued
// any more.
func (s *AuditStream) take(last bool) (queued []byte, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queued, s.queue, s.spare = s.queue, s.spare, nil
	s.ended = s.ended || last
	s.room.Broadcast()
	return queued, s.closed
}

// giveBack returns the buffer that the writer took, for later lines. A large one that has hardly been used for some time
// is given up; one time does not say much, for the writer comes early when any stream is half full.
func (s *AuditStream) giveBack(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(b) > 64<<10 && len(b) < cap(b)/8 {
		s.spacey++
	} else {
		s.spacey = 0
	}
	if s.spacey <= auditPatience {
		s.spare = b[:0]
	}
}

// drop ends a stream whose connection has ended, when all its lines were taken.
func (s *AuditStream) drop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = s.ended || s.closed && len(s.queue) == 0
	return s.ended
}
