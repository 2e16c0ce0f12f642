package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A responder answers over real TLS what a test says, message by message.
type responder struct {
	listener net.Listener
	roots    *x509.CertPool
	leaf     *x509.Certificate
	leafKey  *ecdsa.PrivateKey
	client   tls.Certificate
	answer   func(q *kmip.RequestMessage, raw []byte) []byte // nil closes the connection
	accepted atomic.Int32
	after    func() bool  // whether to close the connection after an answer
	serving  atomic.Int32 // connections
}

// respond starts a responder that trusts the client certificate it hands out, and none else.
func respond(t *testing.T, answer func(*kmip.RequestMessage, []byte) []byte) *responder {
	t.Helper()
	ca, caKey := certificate(t, nil, nil)
	leaf, leafKey := certificate(t, ca, caKey)
	user, userKey := certificate(t, ca, caKey)
	r := &responder{roots: x509.NewCertPool(), leaf: leaf, leafKey: leafKey, client: tls.Certificate{Certificate: [][]byte{user.Raw}, PrivateKey: userKey}, answer: answer}
	r.roots.AddCert(ca)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    r.roots,
	})
	require.NoError(t, err)
	r.listener = l
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			n, err := l.Accept()
			if err != nil {
				return
			}
			r.accepted.Add(1)
			r.serving.Add(1)
			go func() {
				defer r.serving.Add(-1)
				r.serve(n)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return r
}

func (r *responder) serve(n net.Conn) {
	defer n.Close()
	for {
		header := make([]byte, 8)
		if _, err := io.ReadFull(n, header); err != nil {
			return
		}
		size, err := ttlv.Length(header, nil)
		if err != nil {
			return
		}
		message := append(header, make([]byte, size-8)...)
		if _, err := io.ReadFull(n, message[8:]); err != nil {
			return
		}
		q := new(kmip.RequestMessage)
		version := ttlv.V2_1
		if err := ttlv.Unmarshal(message, version, ttlv.TagRequestMessage, q, nil); err != nil {
			return
		}
		response := r.answer(q, message)
		if response == nil {
			return
		}
		if _, err := n.Write(response); err != nil || r.after != nil && r.after() {
			return
		}
	}
}

// tls is the configuration of a client that is let in.
func (r *responder) tls() *tls.Config {
	return &tls.Config{RootCAs: r.roots, Certificates: []tls.Certificate{r.client}}
}

// certificate issues a certificate for 127.0.0.1, or of an authority.
func certificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		template.ExtKeyUsage, parent, parentKey = nil, template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c, key
}
