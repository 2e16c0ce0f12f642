package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"strongroom/authz"
	"strongroom/cache"
	"strongroom/kmip"
	"strongroom/kmip/server"
	"strongroom/store"
	"strongroom/store/seal"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"strongroom": main})
}

// TestScripts runs the scripts of testdata against a real server with a store. Each has a server of its own, and the users
// alice and bob: alice by STRONGROOM_CONFIG, both by the files alice.toml and bob.toml.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			s := startServer(t, e.WorkDir)
			e.Defer(s.stop)
			e.Setenv("STRONGROOM_CONFIG", filepath.Join(e.WorkDir, "alice.toml"))
			e.Setenv("ADDRESS", s.address)
			e.Setenv("TMPDIR", e.WorkDir)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second longer under the race detector
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"zeros":      writeZeros,
			"mode":       checkMode,
			"flip":       flipBit,
			"nopartials": noPartials,
			"await":      await,
		},
	})
}

// A site is a server with its users' files in a folder.
type site struct {
	t       *testing.T
	dir     string
	address string
	ca      *x509.Certificate
	key     *ecdsa.PrivateKey
	stop    func()
}

// startServer starts a server on loopback, with its users' files in dir.
func startServer(t *testing.T, dir string) *site {
	s := &site{t: t, dir: dir}
	s.makeCA()
	opened := cache.New(cache.Options{})
	var db *store.Store
	var err error
	wrapping := func(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
		o, err := db.Object(ctx, uid)
		if err != nil {
			return nil, nil, err
		}
		return o.Key, o.Attributes, nil
	}
	db, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "store.db"), store.Options{Cache: opened, Protector: wrapping})
	require.NoError(t, err)
	root, err := seal.NewMasterKey(make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, db.Root().Init(t.Context(), root, rand.Reader))
	log := slog.New(slog.DiscardHandler)
	audit, err := server.OpenAudit(filepath.Join(t.TempDir(), "audit.jsonl"), log)
	require.NoError(t, err)
	authority := new(atomic.Pointer[authz.Table])
	authority.Store(&authz.Table{Create: []string{"*"}})
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	srv := server.New(server.Config{
		Store: db, Access: db, Settings: db, Authority: authority, Audit: audit, Version: "test", Log: log,
		Gate: server.NewGate(server.Credentials{Certificate: s.issue("server"), ClientCA: pool, Identity: "cn"}),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	for _, name := range []string{"alice", "bob"} {
		s.enroll(name)
	}
	s.stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		l.Close()
		require.NoError(t, srv.Shutdown(ctx))
		require.NoError(t, <-served)
		require.NoError(t, audit.Close())
		require.NoError(t, db.Close())
		opened.Close()
	}
	return s
}

func (s *site) makeCA() {
	var err error
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(s.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &s.key.PublicKey, s.key)
	require.NoError(s.t, err)
	s.ca, err = x509.ParseCertificate(der)
	require.NoError(s.t, err)
	s.write("ca.crt", "CERTIFICATE", der)
}

// issue makes a certificate of a name, for either side.
func (s *site) issue(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(s.t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(s.t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, &key.PublicKey, s.key)
	require.NoError(s.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// enroll writes the files of a user.
func (s *site) enroll(name string) {
	c := s.issue(name)
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(s.t, err)
	s.write(name+".crt", "CERTIFICATE", c.Certificate[0])
	s.write(name+".key", "PRIVATE KEY", key)
	config := fmt.Sprintf("server = %q\nca = \"ca.crt\"\ncertificate = \"%[2]s.crt\"\nprivate_key = \"%[2]s.key\"\n", s.address, name)
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name+".toml"), []byte(config), 0o600))
}

func (s *site) write(name, label string, der []byte) {
	b := pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name), b, 0o600))
}

// writeZeros is the command `zeros FILE SIZE`: it makes a file.
func writeZeros(ts *testscript.TestScript, _ bool, args []string) {
	var size int64
	_, err := fmt.Sscan(args[1], &size)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), make([]byte, size), 0o644))
}

// checkMode is the command `mode FILE 0600`.
func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("the mode of %s is %s, must be %s", args[0], got, args[1])
	}
}

// flipBit is the command `flip FILE OFFSET`; an offset below 0 counts from the end.
func flipBit(ts *testscript.TestScript, _ bool, args []string) {
	var at int
	_, err := fmt.Sscan(args[1], &at)
	ts.Check(err)
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(name, b, 0o644))
}

// noPartials is the command `nopartials`: no unfinished output is left.
func noPartials(ts *testscript.TestScript, _ bool, _ []string) {
	left, err := filepath.Glob(ts.MkAbs(".*.part"))
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("left behind: %v", left)
	}
}

// await is the command `await PATTERN`: it waits for a file.
func await(ts *testscript.TestScript, _ bool, args []string) {
	for range 1000 {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err == nil && len(found) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s does not appear", args[0])
}
