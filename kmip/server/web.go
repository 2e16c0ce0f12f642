package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// mostHeaders is how many bytes of headers a request of HTTP may have. The library allows 4 KiB more.
const mostHeaders = 8 << 10

// ServeHTTPS accepts connections of KMIP over HTTPS from l until it is closed. They pass the same gate as all others, and
// are counted with them.
func (s *Server) ServeHTTPS(l net.Listener) error { return s.accept(l, true) }

// newWeb makes the HTTP side, which gets each connection when it has passed the gate.
func (s *Server) newWeb() *http.Server {
	one := new(http.Protocols)
	one.SetHTTP1(true)
	l := &s.Limits
	return &http.Server{
		Handler:           http.HandlerFunc(serveMessage),
		Protocols:         one,
		MaxHeaderBytes:    mostHeaders,
		ReadHeaderTimeout: l.ReadTimeout,
		ReadTimeout:       l.ReadTimeout,
		WriteTimeout:      l.ReadTimeout + l.OperationTimeout + l.WriteTimeout, // an answer gets its own when it is there
		IdleTimeout:       l.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelInfo),
		ConnContext: func(ctx context.Context, n net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, n.(*webConn).conn)
		},
		ConnState: func(n net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(n.(*webConn).over)
			}
		},
	}
}

// connKey is the key of a connection in the context of its requests.
type connKey struct{}

func connOf(q *http.Request) *conn { return q.Context().Value(connKey{}).(*conn) }

// A webConn is a connection in the hands of the HTTP library.
type webConn struct {
	net.Conn
	conn *conn
	over chan struct{} // closed when the library is done with it
}

// SetReadDeadline moves the deadline of reading, unless the connection is to end after the message it is at.
func (w *webConn) SetReadDeadline(t time.Time) error {
	err := w.Conn.SetReadDeadline(t)
	if w.conn.draining.Load() {
		err = w.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	return err
}

// A handover is the listener by which the library gets one connection.
type handover struct {
	*webConn
	next   chan net.Conn // has the connection, until it is accepted
	once   sync.Once
	closed chan struct{}
}

// Accept hands the connection over. After that it waits until there is nothing to wait for.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case n := <-h.next:
		return n, nil
	case <-h.closed:
	case <-h.over:
	}
	return nil, net.ErrClosed
}

// Close ends the listener; the connection goes on.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is the server's.
func (h *handover) Addr() net.Addr { return h.LocalAddr() }

// serveHTTP serves the connection until the library is done with it.
func (c *conn) serveHTTP() error {
	c.streams = c.server.streamsOf(c.identity)
	c.allowance = &c.streams.left
	h := &handover{webConn: &webConn{Conn: c.tls, conn: c, over: make(chan struct{})}, next: make(chan net.Conn, 1), closed: make(chan struct{})}
	h.next <- h.webConn
	err := c.server.web.Serve(h)
	select {
	case <-h.next: // the server is shutting down
	default:
		<-h.over
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// streamsOf are the operations in parts of an identity: its next request may come over another connection.
func (s *Server) streamsOf(identity string) *streams {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.parted[identity]
	if all == nil {
		all = &streams{idle: s.Limits.IdleTimeout}
		s.parted[identity] = all
	}
	return all
}

// abort ends a connection of HTTP over which a bug came to light.
func (c *conn) abort() {
	if p := recover(); p != nil {
		c.panicked(p)
		panic(http.ErrAbortHandler)
	}
}
