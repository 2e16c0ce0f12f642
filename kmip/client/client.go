// Package client speaks to a KMIP server: one connection or a few over mutual TLS, a request and its answer at a time on
// each. Messages are TTLV as they stand, or over HTTPS.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// DefaultPort is the port of KMIP over TLS, where an address has none. KMIP 2.1 §10 leaves it to the profiles, which say
// 5696.
const DefaultPort = "5696"

// Bounds of a response where Config says nothing. A Locate may answer with many identifiers.
const (
	responseSize  = 16 << 20
	responseItems = 1 << 20
)

// Config says where the server is and who asks.
type Config struct {
	Credentials []kmip.Credential // of each request, beside the certificate; mostly none

	Address     string        // host:port, or a host for port 5696; or https://host:port, for KMIP over HTTPS
	TLS         *tls.Config   // RootCAs and Certificates; ServerName where it is not the host of Address
	Version     ttlv.Version  // of requests; 0 is 2.1
	Limits      ttlv.Limits   // of one response; zero fields are 16 MiB, 32 levels, 2^20 items
	Connections int           // at most, for requests that are made at once; 0 is 1
	Timeout     time.Duration // for connecting; 0 is 10 s
	IdleCheck   time.Duration // how long a connection may lie unused before it is looked at, for servers close them; 0 is 5 s

	url string // of KMIP over HTTPS
}

// withDefaults completes a configuration.
func (c Config) withDefaults() (Config, error) {
	var err error
	if strings.HasPrefix(c.Address, scheme) {
		if c.Address, c.url, err = webAddress(c.Address); err != nil {
			return c, err
		}
	} else if strings.Contains(c.Address, "://") {
		return c, fmt.Errorf("the server's address %q is neither host:port nor %shost:port", c.Address, scheme)
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		host = c.Address
		c.Address = net.JoinHostPort(host, DefaultPort)
	}
	if host == "" {
		return c, fmt.Errorf("the server's address %q has no host", c.Address)
	}
	if c.TLS == nil {
		return c, errors.New("no TLS configuration: KMIP is spoken over mutual TLS only")
	}
	c.TLS = c.TLS.Clone()
	c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
	if c.TLS.ServerName == "" {
		c.TLS.ServerName = host
	}
	if c.Version == 0 {
		c.Version = ttlv.V2_1
	}
	if c.Limits.Size == 0 {
		c.Limits.Size = responseSize
	}
	if c.Limits.Items == 0 {
		c.Limits.Items = responseItems
	}
	c.Connections = max(c.Connections, 1)
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.IdleCheck == 0 {
		c.IdleCheck = 5 * time.Second
	}
	return c, nil
}

// A Client sends requests to one server. It is safe for concurrent use.
type Client struct {
	config Config
	turns  chan struct{} // holds a token for each connection in use
	web    *web          // nil where messages are sent as they stand

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

// Dial connects to a server.
func Dial(ctx context.Context, config Config) (*Client, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{config: config, turns: make(chan struct{}, config.Connections)}
	first, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	if config.url != "" {
		c.overHTTPS(first)
	} else {
		c.idle = append(c.idle, first)
	}
	return c, nil
}

// Version is the version of the requests.
func (c *Client) Version() ttlv.Version { return c.config.Version }

// Close closes the connections. Requests under way fail or finish; new ones fail.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for _, n := range c.idle {
		errs = append(errs, n.Close())
	}
	c.idle = nil
	if c.web != nil {
		c.web.close()
	}
	return errors.Join(errs...)
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// enter waits for a connection that may be used.
func (c *Client) enter(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case c.turns <- struct{}{}:
		return nil
	}
}

func (c *Client) leave() { <-c.turns }

// RoundTripRaw sends one encoded message and returns the answer, which the caller owns. A connection that failed is not
// used again, and the request is not repeated: whether it was carried out is not known then.
func (c *Client) RoundTripRaw(ctx context.Context, request []byte) ([]byte, error) {
	if c.web != nil {
		return c.Post(ctx, binary, request)
	}
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	n, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	response, err := n.roundTrip(ctx, request, &c.config.Limits)
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("speaking to %s: %w", c.config.Address, err)
	}
	c.put(n)
	return response, nil
}

// take is an idle connection that still lives, or a new one.
func (c *Client) take(ctx context.Context) (*conn, error) {
	for {
		n, err := c.pop()
		if err != nil {
			return nil, err
		}
		if n == nil {
			return c.connect(ctx)
		}
		if time.Since(n.used) < c.config.IdleCheck || n.alive() {
			return n, nil
		}
		n.Close()
	}
}

// pop is the connection used last, nil if none is idle.
func (c *Client) pop() (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	last := len(c.idle) - 1
	if last < 0 {
		return nil, nil
	}
	n := c.idle[last]
	c.idle = c.idle[:last]
	return n, nil
}

// put takes a connection back.
func (c *Client) put(n *conn) {
	n.used = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		n.Close()
		return
	}
	c.idle = append(c.idle, n)
}
