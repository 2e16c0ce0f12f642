package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"strongroom/kmip/ttlv"
)

// echoFlush is how many bytes of answers the echo collects at most, as the server does.
const echoFlush = 64 << 10

// serveEcho is the process of the first floor: it speaks the server's TLS with the server's certificates, reads messages
// by their length, and answers every one with the first that came on the connection. It prints its address, and ends when
// its standard input does.
//
// Each connection has a function of its own from before, if that is not nil, which is called before each answer.
func serveEcho(dir string, before func() (func() error, error)) error {
	config, err := echoTLS(dir)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			e := echo{conn: tls.Server(conn, config), in: make([]byte, 4<<10)}
			var err error
			if before != nil {
				e.before, err = before()
			}
			if err == nil {
				err = e.run()
			}
			if !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "echo:", err)
			}
		}()
	}
}

// echoTLS is the TLS configuration of a server of the site.
func echoTLS(dir string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls", "server.crt"), filepath.Join(dir, "tls", "server.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "tls", "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("tls/ca.crt has no certificate")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}, nil
}

// An echo is one connection.
type echo struct {
	conn   *tls.Conn
	in     []byte // in[r:w] has come and was not looked at
	r, w   int
	answer []byte // nil until the first message
	out    []byte
	before func() error // called for each answer, or nil
}

// run answers until the client leaves, which is io.EOF.
func (e *echo) run() error {
	for {
		size, err := e.size()
		if err != nil {
			return err
		}
		if size == 0 || e.w-e.r < size {
			if err := e.flush(); err != nil {
				return err
			}
			if err := e.read(size); err != nil {
				return err
			}
			continue
		}
		if e.answer == nil {
			e.answer = append([]byte(nil), e.in[e.r:e.r+size]...)
		} else if err := e.prepare(); err != nil {
			return err
		} else if e.out = append(e.out, e.answer...); len(e.out) >= echoFlush {
			if err := e.flush(); err != nil {
				return err
			}
		}
		e.r += size
	}
}

func (e *echo) prepare() error {
	if e.before == nil {
		return nil
	}
	return e.before()
}

// size is that of the next message, 0 while it is not known.
func (e *echo) size() (int, error) {
	if e.w-e.r < 8 {
		return 0, nil
	}
	return ttlv.Length(e.in[e.r:e.w], nil)
}

func (e *echo) flush() error {
	if len(e.out) == 0 {
		return nil
	}
	_, err := e.conn.Write(e.out)
	e.out = e.out[:0]
	return err
}

// read reads more of a message of size bytes.
func (e *echo) read(size int) error {
	if e.r > 0 {
		e.w = copy(e.in, e.in[e.r:e.w])
		e.r = 0
	}
	if e.w == len(e.in) || size > len(e.in) {
		e.in = append(e.in, make([]byte, max(size, len(e.in)))...)
	}
	n, err := e.conn.Read(e.in[e.w:])
	e.w += n
	return err
}
