package tests

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// certify gives the site's server a certificate of its authority for another key.
func (s *site) certify(key crypto.Signer) {
	s.t.Helper()
	block, _ := pem.Decode(s.read("tls/server.crt"))
	like, err := x509.ParseCertificate(block.Bytes)
	require.NoError(s.t, err)
	like.KeyUsage = x509.KeyUsageDigitalSignature
	if _, ok := key.(*rsa.PrivateKey); ok {
		like.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	like.SignatureAlgorithm, like.PublicKeyAlgorithm = 0, 0
	ca, signer := s.authority()
	der, err := x509.CreateCertificate(rand.Reader, like, ca, key.Public(), signer)
	require.NoError(s.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(s.t, err)
	s.write("tls/server.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	s.write("tls/server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// whoAmI makes one request over a new connection, and gives the state of it; what TLS 1.3 sends behind the handshake has been
// read then.
func (s *site) whoAmI(config *tls.Config) (tls.ConnectionState, error) {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	require.NoError(s.t, c.SetDeadline(time.Now().Add(time.Minute)))
	if _, err := c.Write(message(s.t, ttlv.V2_1, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})); err != nil {
		return tls.ConnectionState{}, err
	}
	answer, err := receive(c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	require.EqualValues(s.t, kmip.ResultStatusSuccess, results(s.t, answer)[0])
	return c.ConnectionState(), nil
}

// TestServerCertificates: certificates of every kind of key serve TLS 1.2 and 1.3, and clients that name no server in their
// first message, as no appliance does.
func TestServerCertificates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for _, key := range []crypto.Signer{nil, rsaKey, p384, edwards} { // nil: the one that init made
		if key != nil {
			s.certify(key)
			s.hangup(reread)
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := s.tls("admin")
			config.MinVersion, config.MaxVersion = version, version
			config.ServerName = "127.0.0.1" // an address is not sent
			state, err := s.whoAmI(config)
			require.NoError(t, err, "%T", key)
			require.Equal(t, version, state.Version)
		}
	}
}

// TestOldAppliances: RSA key exchange, and CBC with SHA-256, are there for who asks for them in the configuration, with a
// warning in the log; RC4, 3DES and TLS 1.1 are not.
func TestOldAppliances(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ask := func(suite uint16) error {
		config := s.tls("admin")
		config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{suite}
		state, err := s.whoAmI(config)
		if err == nil {
			require.Equal(t, suite, state.CipherSuite)
		}
		return err
	}
	old := []uint16{
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	}
	always := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
	never := []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA}
	const warning = "tls_insecure_suites admits"

	s.env = []string{"STRONGROOM_KMIP_TLS_INSECURE_SUITES=true"}
	s.serve()
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), warning) }, time.Minute, 5*time.Millisecond)
	s.logs("the server's certificate is not of RSA")
	s.certify(key)
	s.hangup(reread)
	require.Equal(t, 2, strings.Count(s.log.String(), warning))
	require.Equal(t, 1, strings.Count(s.log.String(), "is not of RSA"))
	for _, suite := range append(old, always...) {
		require.NoError(t, ask(suite), tls.CipherSuiteName(suite))
	}
	for _, suite := range never {
		require.Error(t, ask(suite), tls.CipherSuiteName(suite))
	}
	config := s.tls("admin")
	config.MinVersion, config.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	_, err = s.whoAmI(config)
	require.ErrorContains(t, err, "protocol version")

	s.stop()
	s.env = nil
	before := len(s.log.String())
	s.serve()
	require.NotContains(t, s.log.String()[before:], warning)
	for _, suite := range always {
		require.NoError(t, ask(suite), tls.CipherSuiteName(suite))
	}
	for _, suite := range append(old, never...) {
		require.Error(t, ask(suite), tls.CipherSuiteName(suite))
	}
}

// TestSessionResumption: a client that connects for each request need not prove itself anew each time, and is known all the
// same; a ticket is no good once its certificate is revoked.
func TestSessionResumption(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.write("tls/crl.pem", s.revocations())
	s.env = []string{"STRONGROOM_KMIP_CRL=" + s.path("tls", "crl.pem")}
	s.serve()
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		config := s.tls("bob")
		config.MinVersion, config.MaxVersion = version, version
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 3 {
			state, err := s.whoAmI(config)
			require.NoError(t, err, name)
			require.Equal(t, i > 0, state.DidResume, "TLS %s, connection %d", name, i)
		}
		s.write("tls/crl.pem", s.revocations("bob"))
		s.hangup(reread)
		_, err := s.whoAmI(config)
		require.Error(t, err, "TLS %s", name)
		s.write("tls/crl.pem", s.revocations())
		s.hangup(reread)
	}
	s.stop()
	log, err := os.ReadFile(s.path("data", "audit.jsonl"))
	require.NoError(t, err)
	require.Equal(t, 6, strings.Count(string(log), fmt.Sprintf(`"identity":%q`, "bob")))
}
