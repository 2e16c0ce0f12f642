package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// overHTTPS is a client of a server of HTTP that answers as a test says.
func overHTTPS(t *testing.T, handle http.HandlerFunc, change func(*client.Config)) *client.Client {
	t.Helper()
	r := respond(t, nil)
	s := httptest.NewUnstartedServer(handle)
	leaf, leafKey := r.leaf, r.leafKey
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.roots}
	s.StartTLS()
	t.Cleanup(s.Close)
	config := client.Config{Address: s.URL, TLS: r.tls()}
	if change != nil {
		change(&config)
	}
	c, err := client.Dial(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestHTTPS(t *testing.T) {
	connections := map[string]bool{}
	c := overHTTPS(t, func(w http.ResponseWriter, q *http.Request) {
		connections[q.RemoteAddr] = true
		body, err := io.ReadAll(q.Body)
		if err != nil || q.Method != http.MethodPost || q.URL.Path != "/kmip" || q.Header.Get("Content-Type") != "application/octet-stream" || int(q.ContentLength) != len(body) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m := new(kmip.RequestMessage)
		if err := ttlv.Unmarshal(body, ttlv.V2_1, ttlv.TagRequestMessage, m, nil); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(activates(m, nil))
	}, nil)
	require.True(t, c.HTTPS())
	for range 3 {
		uid, err := activate(t.Context(), c, "a")
		require.NoError(t, err)
		require.Equal(t, "a", uid)
	}
	require.Len(t, connections, 1, "the connection is kept, and Dial made it")
	_, err := activate(t.Context(), c, "missing")
	require.ErrorIs(t, err, kmip.ErrNotFound)
	require.NoError(t, c.Close())
	_, err = activate(t.Context(), c, "a")
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestHTTPSAnswersThatAreNone shows what the client says of answers that are no messages.
func TestHTTPSAnswersThatAreNone(t *testing.T) {
	for want, handle := range map[string]http.HandlerFunc{
		`404 Not Found: "nothing here"`: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "nothing here", http.StatusNotFound) },
		"307 Temporary Redirect": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "/other", http.StatusTemporaryRedirect)
		},
		`answers with "text/html; charset=utf-8", must be "application/octet-stream"`: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<p>"))
		},
		"it has more than 1024 bytes": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(make([]byte, 2000))
		},
		"reading the response": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write([]byte("x"))
		},
		"unexpected EOF": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("x"))
		},
	} {
		c := overHTTPS(t, handle, func(c *client.Config) { c.Limits.Size = 1024 })
		_, err := activate(t.Context(), c, "a")
		require.ErrorContains(t, err, want)
	}
}

func TestHTTPSCanceled(t *testing.T) {
	release := make(chan struct{})
	c := overHTTPS(t, func(http.ResponseWriter, *http.Request) { <-release }, nil)
	defer close(release)
	late := errors.New("too late")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, late)
	defer cancel()
	_, err := activate(ctx, c, "a")
	require.ErrorIs(t, err, late)
}

// TestHTTPSAddresses shows which addresses are none, and that a server which speaks TTLV is told from one of HTTP.
func TestHTTPSAddresses(t *testing.T) {
	r := respond(t, activates)
	for _, address := range []string{"https://", "https://:443", "https://user@host", "https://host?x", "https://host#x", "https://ho st", "https://host:x"} {
		_, err := client.Dial(t.Context(), client.Config{Address: address, TLS: r.tls()})
		require.ErrorContains(t, err, "the server's address", address)
	}
	c := dial(t, r, nil)
	require.False(t, c.HTTPS())
	_, err := c.Post(t.Context(), "text/xml", []byte("<RequestMessage/>"))
	require.ErrorContains(t, err, "not the address of a server of KMIP over HTTPS")

	ttlvOnly := respond(t, activates)
	c = dial(t, ttlvOnly, func(c *client.Config) { c.Address = "https://" + c.Address })
	_, err = activate(t.Context(), c, "a")
	require.Error(t, err)
	require.False(t, strings.Contains(err.Error(), "\x00"), err)
}
