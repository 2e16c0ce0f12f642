package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"strongroom/kmip/ttlv"
)

// scheme begins an address at which KMIP is spoken over HTTPS.
const scheme = "https://"

// binary is the media type of a message in TTLV.
const binary = "application/octet-stream"

// refusalSize is how much of a refusal's text is read.
const refusalSize = 1 << 10

// A web is the way to a server over HTTPS: messages are posted to one URL (KMIP Profiles, HTTPS Client).
type web struct {
	http  http.Client
	url   string
	first chan *conn // the connection that Dial made, until it is used
}

// webAddress takes an address such as https://host:port apart. Where it says no port, the port is 443, and where it says no
// path, the path is /kmip.
func webAddress(address string) (hostPort, whole string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", fmt.Errorf("the server's address: %w", err)
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", fmt.Errorf("the server's address %q must be %shost:port/path", u.Redacted(), scheme)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/kmip"
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), u.String(), nil
}

// overHTTPS makes the client one that speaks HTTPS, over first to begin with.
func (c *Client) overHTTPS(first *conn) {
	w := &web{url: c.config.url, first: make(chan *conn, 1)}
	w.first <- first
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w.http.Transport = &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if n := w.take(); n != nil {
				return n.Conn, nil
			}
			n, err := c.connect(ctx)
			if err != nil {
				return nil, err
			}
			return n.Conn, nil
		},
		MaxConnsPerHost:     c.config.Connections,
		MaxIdleConnsPerHost: c.config.Connections,
		IdleConnTimeout:     c.config.IdleCheck, // a request over one that the server has closed would fail
		DisableCompression:  true,
	}
	c.web = w
}

// take is the connection that Dial made, nil if it is in use.
func (w *web) take() *conn {
	select {
	case n := <-w.first:
		return n
	default:
		return nil
	}
}

// close closes the connections that are not in use.
func (w *web) close() {
	if n := w.take(); n != nil {
		n.Close()
	}
	w.http.CloseIdleConnections()
}

// HTTPS says whether messages go over HTTPS.
func (c *Client) HTTPS() bool { return c.web != nil }

// Post sends a message over HTTPS in the encoding of a media type (application/json, text/xml, or application/octet-stream
// for TTLV) and returns the answer, which is in the same encoding and the caller's.
func (c *Client) Post(ctx context.Context, mediaType string, message []byte) ([]byte, error) {
	if c.web == nil {
		return nil, fmt.Errorf("%s is not the address of a server of KMIP over HTTPS", c.config.Address)
	}
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	if c.isClosed() {
		return nil, net.ErrClosed
	}
	answer, err := c.web.post(ctx, mediaType, message, &c.config.Limits)
	if err != nil {
		return nil, fmt.Errorf("speaking to %s: %w", c.web.url, err)
	}
	return answer, nil
}

// post makes one request of HTTP.
func (w *web) post(ctx context.Context, mediaType string, message []byte, l *ttlv.Limits) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", mediaType)
	q.Header.Set("Cache-Control", "no-cache")
	r, err := w.http.Do(q)
	var wrapped *url.Error
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case strings.Contains(err.Error(), "malformed HTTP"): // and it quotes what there is
		return nil, errors.New("the answer is not HTTP")
	case errors.As(err, &wrapped):
		return nil, wrapped.Err
	default:
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(r.Body, refusalSize))
		return nil, fmt.Errorf("the server answers %s: %q", r.Status, strings.TrimSpace(string(text)))
	}
	if given, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || given != mediaType {
		return nil, fmt.Errorf("the server answers with %q, must be %q", r.Header.Get("Content-Type"), mediaType)
	}
	answer, err := io.ReadAll(io.LimitReader(r.Body, int64(l.Size)+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("receiving the response: %w", err)
	case len(answer) > l.Size:
		return nil, fmt.Errorf("receiving the response: it has more than %d bytes", l.Size)
	}
	return answer, nil
}
