package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"strongroom/kmip/ttlv"
)

// A conn is one connection, used by one request at a time.
type conn struct {
	*tls.Conn
	used time.Time
}

// connect makes a connection.
func (c *Client) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Timeout, fmt.Errorf("no connection within %v", c.config.Timeout))
	defer cancel()
	d := tls.Dialer{Config: c.config.TLS}
	n, err := d.DialContext(ctx, "tcp", c.config.Address)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("connecting to %s: %w", c.config.Address, err)
	}
	return &conn{Conn: n.(*tls.Conn), used: time.Now()}, nil
}

// alive says whether the server has neither closed the connection nor sent what nobody asked for.
func (n *conn) alive() bool {
	if n.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return false
	}
	_, err := n.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded) && n.SetReadDeadline(time.Time{}) == nil
}

// roundTrip sends a request and reads the answer. After an error the connection is of no use.
func (n *conn) roundTrip(ctx context.Context, request []byte, l *ttlv.Limits) (response []byte, err error) {
	stop := context.AfterFunc(ctx, func() { n.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() { // the connection's deadline is past, or will be
			response, err = nil, context.Cause(ctx)
		}
	}()
	if _, err := n.Write(request); err != nil {
		return nil, fmt.Errorf("sending the request: %w", n.refusal(err))
	}
	if response, err = read(n, l); err != nil {
		return nil, fmt.Errorf("receiving the response: %w", err)
	}
	return response, nil
}

// refusal is why the server broke off while it was sent to: with TLS 1.3, what it thinks of a client's certificate comes
// after the handshake, and is there to be read.
func (n *conn) refusal(err error) error {
	if n.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return err
	}
	var op *net.OpError
	if _, reason := n.Read(make([]byte, 1)); errors.As(reason, &op) && op.Op == "remote error" {
		return reason
	}
	return err
}

// stepSize is how much memory a response gets before more of it has arrived.
const stepSize = 64 << 10

// read reads one message. It is never given more memory than twice what has arrived, whatever length it claims.
func read(r io.Reader, l *ttlv.Limits) ([]byte, error) {
	header := make([]byte, 8)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	size, err := ttlv.Length(header, l)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, min(size, stepSize)), header...)
	for len(b) < size {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(size, 2*cap(b))), b...)
		}
		have := len(b)
		b = b[:cap(b)]
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			return nil, noEOF(err)
		}
	}
	return b, nil
}

// noEOF calls an end within a message unexpected.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
