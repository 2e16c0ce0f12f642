package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"strongroom/authz/password"
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Sizes of a connection's buffers. They grow for a message that needs it, as its bytes arrive, and shrink again after.
const (
	bufferSize = 16 << 10 // what one TLS record carries
	flushSize  = 64 << 10 // pipelined answers are written at the latest when they come to this
)

// A conn serves one client, one message at a time, in order. Everything in it belongs to its goroutine, but for what
// drain touches.
type conn struct {
	server      *Server
	raw         net.Conn
	web         bool // HTTP is spoken
	tls         *tls.Conn
	identity    string
	fingerprint string
	generation  uint64 // of the gate, when the identity was last checked
	proven      password.Proven
	state       *tls.ConnectionState
	strange     *list.Element // in the server's list, until admitted
	admitted    bool
	draining    atomic.Bool
	crowded     atomic.Bool // it is closed for others that have not shaken hands either
	tally       tally       // of its operations, shared with other connections

	ctx      context.Context
	audit    *AuditStream
	bucket   *bucket
	deadline time.Time // of reading, as last set
	writeBy  time.Time // the deadline of writing, as last set
	ready    time.Time // when the last operation of a message ended, until the next message is waited for; else zero

	in        []byte // in[r:w] is read and not yet handled
	r, w      int
	decoder   ttlv.Decoder
	encoder   ttlv.Encoder
	items     []kmip.RequestBatchItem
	payloads  []any // a request payload by operation, for those that keep nothing of theirs
	request   Request
	streams   *streams   // operations in parts of the identity; nil before the first
	allowance *allowance // of those that this connection began
}

// run does the handshake, then serves until the client leaves or must.
func (c *conn) run() {
	defer c.raw.Close()
	defer c.recover()
	s := c.server
	t, err := s.handshake(c.raw)
	if err != nil {
		s.tallies.refuse(c.refusedFor())
		s.Log.Info("handshake refused", "remote", c.raw.RemoteAddr().String(), "err", err)
		return
	}
	c.tls = t
	defer t.Close()
	if err := c.identify(); err != nil {
		s.tallies.refuse(CauseHandshake)
		s.Log.Warn("connection refused", "remote", c.raw.RemoteAddr().String(), "err", err)
		return
	}
	if err := s.admit(c); err != nil {
		s.tallies.refuse(CauseLimit)
		s.Log.Warn("connection refused", "remote", c.raw.RemoteAddr().String(), "err", err)
		return
	}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	c.audit = s.Audit.Stream()
	defer c.audit.Close()
	c.bucket = s.rates.bucket(c.identity)
	c.in = make([]byte, bufferSize)
	c.payloads = make([]any, len(operations))
	defer c.wipe()
	serve := c.serve
	if c.web {
		serve = c.serveHTTP
	}
	if err := serve(); err != nil && !harmless(err) {
		c.ended(err)
	}
}

// refusedFor is why a handshake came to nothing.
func (c *conn) refusedFor() Cause {
	switch {
	case c.crowded.Load():
		return CauseCrowded
	case c.server.Gate.Locked():
		return CauseLocked
	}
	return CauseHandshake
}

// ended tells why a connection did not end in the ordinary way.
func (c *conn) ended(err error) {
	c.server.Log.Info("connection ended", "identity", c.identity, "remote", c.raw.RemoteAddr().String(), "err", err)
}

// recover keeps a bug in the handling of one connection from ending the process.
func (c *conn) recover() {
	if p := recover(); p != nil {
		c.panicked(p)
	}
}

func (c *conn) panicked(p any) {
	c.server.tallies.panics.Add(1)
	c.server.Log.Error("panic while serving a connection", "identity", c.identity, "panic", p, "stack", string(debug.Stack()))
}

// harmless says that a connection ended as connections do.
func harmless(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}

// wipe clears what messages left in the buffers.
func (c *conn) wipe() {
	if c.streams != nil && !c.web {
		c.streams.leave(c.allowance)
	}
	clear(c.in[:cap(c.in)])
	out := c.encoder.Bytes()
	clear(out[:cap(out)])
}

// underWay are the operations in parts that a request may be part of, and the allowance of those that it begins.
func (c *conn) underWay() (*streams, *allowance) {
	if c.streams == nil {
		c.streams, c.allowance = c.server.streamsOf(c.identity), new(allowance)
	}
	return c.streams, c.allowance
}

// identify takes the identity from the client's certificate, by the gate's present credentials.
func (c *conn) identify() error {
	cs := c.tls.ConnectionState()
	c.generation = c.server.Gate.generation.Load()
	identity, err := c.server.Gate.Identify(&cs)
	if err != nil {
		return err
	}
	if c.identity != "" && c.identity != identity {
		return errors.New("the identity of the connection changed")
	}
	c.identity, c.fingerprint, c.state = identity, fingerprint(&cs), &cs
	return nil
}

// drain ends the connection after the message it is at.
func (c *conn) drain() {
	c.draining.Store(true)
	c.raw.SetReadDeadline(time.Unix(1, 0))
}

// serve reads messages and answers them. Answers to pipelined messages are written together.
func (c *conn) serve() error {
	for {
		msg, err := c.next()
		if err != nil {
			return errors.Join(err, c.flush())
		}
		if c.generation != c.server.Gate.generation.Load() {
			if err := c.identify(); err != nil {
				return err
			}
		}
		c.work(msg)
		if !c.complete() || len(c.encoder.Bytes()) >= flushSize {
			if err := c.flush(); err != nil {
				return err
			}
		}
		if c.draining.Load() {
			return c.flush()
		}
	}
}

// work answers a message when it is its turn.
func (c *conn) work(msg []byte) {
	c.server.throttle.enter()
	defer c.server.throttle.leave()
	c.answer(msg)
}

// next gives the next message; it is valid until the next call. A message that cannot be one is answered, and ends the
// connection, for nobody can say where the next begins.
func (c *conn) next() ([]byte, error) {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if err := c.fill(8, c.server.Limits.IdleTimeout); err != nil {
		return nil, err
	}
	size, err := ttlv.Length(c.in[c.r:c.w], &c.server.Limits.Message)
	if err != nil {
		c.refuse(ttlv.V1_0, kmip.Errorf(kmip.ResultReasonInvalidMessage, "%v", err))
		return nil, err
	}
	if err := c.fill(size, c.server.Limits.ReadTimeout); err != nil {
		return nil, err
	}
	msg := c.in[c.r : c.r+size : c.r+size]
	c.r += size
	return msg, nil
}

// complete says whether another whole message has been read already.
func (c *conn) complete() bool {
	if c.w-c.r < 8 {
		return false
	}
	size, err := ttlv.Length(c.in[c.r:c.w], &c.server.Limits.Message)
	return err != nil || c.w-c.r >= size
}

// fill reads until there are n bytes of the next message. The buffer grows only as bytes arrive, whatever a length field
// claims.
func (c *conn) fill(n int, wait time.Duration) error {
	if c.w-c.r >= n {
		return nil
	}
	c.extend(wait)
	for c.w-c.r < n {
		c.makeRoom(n)
		k, err := c.tls.Read(c.in[c.w:])
		c.w += k
		if err != nil && c.w-c.r < n {
			return err
		}
	}
	return nil
}

// extend moves the deadline of reading, when it would move by much: each move costs a system timer.
func (c *conn) extend(wait time.Duration) {
	now := c.clock()
	c.ready = time.Time{}
	if want := now.Add(wait); c.deadline.Sub(want).Abs() > time.Second {
		c.deadline = want
		c.tls.SetReadDeadline(want)
	}
	if c.draining.Load() {
		c.tls.SetReadDeadline(time.Unix(1, 0))
	}
}

// clock is the time, for deadlines: behind an operation its end is near enough, and costs nothing.
func (c *conn) clock() time.Time {
	if !c.ready.IsZero() {
		return c.ready
	}
	return time.Now()
}

// makeRoom makes the buffer able to take more of a message of n bytes.
func (c *conn) makeRoom(n int) {
	if c.w < len(c.in) && (c.r == 0 || len(c.in)-c.r >= n) {
		return
	}
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.in) {
		larger := make([]byte, 2*len(c.in))
		copy(larger, c.in)
		clear(c.in)
		c.in = larger
	}
}

// flush writes the answers that are ready.
func (c *conn) flush() error {
	out := c.encoder.Bytes()
	if len(out) == 0 {
		return nil
	}
	if want := c.clock().Add(c.server.Limits.WriteTimeout); want.Sub(c.writeBy) > time.Second {
		c.writeBy = want
		c.tls.SetWriteDeadline(want)
	}
	_, err := c.tls.Write(out)
	c.shrink(out)
	return err
}

// shrink prepares the buffers for the next message, and gives up large ones.
func (c *conn) shrink(out []byte) {
	if cap(out) > 4*flushSize {
		clear(out[:cap(out)])
		out = nil
	}
	c.encoder.Reset(out[:0], ttlv.V1_0)
	if len(c.in) > 4*flushSize && c.r == c.w {
		clear(c.in)
		c.in, c.r, c.w = make([]byte, bufferSize), 0, 0
	}
}
