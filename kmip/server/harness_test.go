package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/authz"
	"strongroom/cache"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
	"strongroom/store"
	"strongroom/store/seal"
)

// A rig is a server on a loopback port, with a store in a temporary folder.
type rig struct {
	t       testing.TB
	server  *Server
	address string
	ca      *x509.Certificate
	caKey   *ecdsa.PrivateKey
	pool    *x509.CertPool
}

func newRig(t testing.TB, limits Limits) *rig {
	t.Helper()
	g := &rig{t: t, pool: x509.NewCertPool()}
	g.makeCA()
	dir := t.TempDir()

	opened := cache.New(cache.Options{})
	t.Cleanup(opened.Close)
	var db *store.Store
	protector := func(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
		o, err := db.Object(ctx, uid)
		if err != nil {
			return nil, nil, err
		}
		return o.Key, o.Attributes, nil
	}
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "store.db"), store.Options{Cache: opened, Protector: protector})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	key, err := seal.NewMasterKey(make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, db.Root().Init(t.Context(), key, rand.Reader))

	audit := openAudit(t, filepath.Join(dir, "audit.jsonl"))
	authority := new(atomic.Pointer[authz.Table])
	authority.Store(&authz.Table{HSMAdmin: []string{"admin"}, Govern: []string{"governor"}, Create: []string{"*"}})
	g.server = New(Config{
		Store: db, Access: db, Rotation: db, Settings: db, Authority: authority, Audit: audit, Limits: limits, Version: "test",
		Gate: NewGate(Credentials{Certificate: g.issue("localhost"), ClientCA: g.pool, Identity: "cn"}),
		Log:  slog.New(slog.DiscardHandler),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- g.server.Shutdown(ctx) }()
		l.Close()
		require.NoError(t, <-done)
		require.NoError(t, <-served)
		require.NoError(t, audit.Close())
	})
	return g
}

func (g *rig) makeCA() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(g.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(g.t, err)
	g.caKey = key
	g.ca, err = x509.ParseCertificate(der)
	require.NoError(g.t, err)
	g.pool.AddCert(g.ca)
}

// issue makes a certificate of a name, for either side.
func (g *rig) issue(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(g.t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(g.t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, g.ca, &key.PublicKey, g.caKey)
	require.NoError(g.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (g *rig) tls(identity string) *tls.Config {
	return &tls.Config{RootCAs: g.pool, ServerName: "localhost", Certificates: []tls.Certificate{g.issue(identity)}}
}

// dial is a raw connection.
func (g *rig) dial(identity string) *tls.Conn {
	g.t.Helper()
	c, err := tls.Dial("tcp", g.address, g.tls(identity))
	require.NoError(g.t, err)
	g.t.Cleanup(func() { c.Close() })
	require.NoError(g.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

// client speaks KMIP at version v.
func (g *rig) client(identity string, v ttlv.Version) *client.Client {
	g.t.Helper()
	c, err := client.Dial(g.t.Context(), client.Config{Address: g.address, TLS: g.tls(identity), Version: v})
	require.NoError(g.t, err)
	g.t.Cleanup(func() { c.Close() })
	return c
}

// must performs an operation that has to succeed; reason gives why one that must not did not.
func must[R, Q any](t testing.TB, c *client.Client, op kmip.Operation, q *Q) *R {
	t.Helper()
	response, err := client.Do[R](t.Context(), c, op, q)
	require.NoError(t, err)
	return response
}

func reason[Q any](t testing.TB, c *client.Client, op kmip.Operation, q *Q) kmip.ResultReason {
	t.Helper()
	_, err := client.Do[struct{}](t.Context(), c, op, q)
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	return refused.Reason
}

// aes asks for an AES-256 key under a name, Active at once.
func aes(name string) *kmip.CreateRequest {
	a := kmip.Attributes{
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES},
		{Tag: ttlv.TagCryptographicLength, Value: int32(256)},
		{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt},
		{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Second)},
	}
	if name != "" {
		a = a.With(ttlv.TagUniqueIdentifier, name)
	}
	return &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a}
}
