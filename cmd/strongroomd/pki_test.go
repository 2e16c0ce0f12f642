package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// credentialFiles are the files of an authority, a server and a client that it certified.
type credentialFiles struct{ dir string }

func (f credentialFiles) path(name string) string { return filepath.Join(f.dir, name) }

// issueAll makes an authority in a new folder and has it certify the server localhost and the client alice.
func issueAll(t *testing.T) (*authority, credentialFiles) {
	t.Helper()
	f := credentialFiles{t.TempDir()}
	ca, err := newAuthority(time.Now)
	require.NoError(t, err)
	require.NoError(t, ca.write(f.path("ca.crt"), f.path("ca.key")))
	server, err := ca.issueServer(serverHosts("kms.example.com"))
	require.NoError(t, err)
	require.NoError(t, server.write(f.path("server.crt"), f.path("server.key")))
	client, err := ca.issueClient("alice", "cn", clientDays)
	require.NoError(t, err)
	require.NoError(t, client.write(f.path("alice.crt"), f.path("alice.key")))
	return ca, f
}

// openssl runs openssl and returns what it printed and whether it was content.
func openssl(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	output, err := exec.Command(program, args...).CombinedOutput()
	return string(output), err == nil
}

func TestCertificatesVerifyWithOpenSSL(t *testing.T) {
	_, f := issueAll(t)
	tests := []struct {
		name string
		args []string
		want bool
	}{
		{"server by name", []string{"-purpose", "sslserver", "-verify_hostname", "localhost", f.path("server.crt")}, true},
		{"server by IPv4 address", []string{"-purpose", "sslserver", "-verify_ip", "127.0.0.1", f.path("server.crt")}, true},
		{"server by IPv6 address", []string{"-purpose", "sslserver", "-verify_ip", "::1", f.path("server.crt")}, true},
		{"server by the host it listens on", []string{"-purpose", "sslserver", "-verify_hostname", "kms.example.com", f.path("server.crt")}, true},
		{"server by another name", []string{"-purpose", "sslserver", "-verify_hostname", "example.org", f.path("server.crt")}, false},
		{"client", []string{"-purpose", "sslclient", f.path("alice.crt")}, true},
		{"server as client", []string{"-purpose", "sslclient", f.path("server.crt")}, false},
		{"client as server", []string{"-purpose", "sslserver", f.path("alice.crt")}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			output, ok := openssl(t, append([]string{"verify", "-x509_strict", "-CAfile", f.path("ca.crt")}, test.args...)...)
			require.Equal(t, test.want, ok, output)
		})
	}
}

func TestAuthorityConstraints(t *testing.T) {
	ca, f := issueAll(t)
	text, ok := openssl(t, "x509", "-in", f.path("ca.crt"), "-noout", "-text")
	require.True(t, ok, text)
	require.Contains(t, text, "CA:TRUE, pathlen:0")
	require.Contains(t, text, "NIST CURVE: P-256")
	require.WithinDuration(t, time.Now().AddDate(10, 0, 0), ca.certificate.NotAfter, 5*day)

	info, err := os.Stat(f.path("ca.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, ca.write(f.path("other.crt"), f.path("ca.key")), os.ErrExist, "a key file is never overwritten")
}

func TestHandshakeBetweenIssuedCertificates(t *testing.T) {
	_, f := issueAll(t)
	trusted := x509.NewCertPool()
	root, err := os.ReadFile(f.path("ca.crt"))
	require.NoError(t, err)
	require.True(t, trusted.AppendCertsFromPEM(root))
	pair := func(name string) []tls.Certificate {
		certificate, err := tls.LoadX509KeyPair(f.path(name+".crt"), f.path(name+".key"))
		require.NoError(t, err)
		return []tls.Certificate{certificate}
	}
	server := &tls.Config{Certificates: pair("server"), ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert}

	tests := []struct {
		name   string
		client []tls.Certificate
		ok     bool
	}{
		{"client", pair("alice"), true},
		{"server's certificate as client", pair("server"), false},
		{"no certificate", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			identity, err := handshake(t, server, &tls.Config{RootCAs: trusted, ServerName: "localhost", Certificates: test.client})
			if !test.ok {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "alice", identity)
		})
	}
}

// handshake connects client to server over the loopback, and returns the client's common name as the server saw it.
func handshake(t *testing.T, server, client *tls.Config) (string, error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			return // the server's side does not end well either
		}
		defer connection.Close()
		secured := tls.Client(connection, client)
		if secured.Handshake() == nil {
			_, _ = io.Copy(io.Discard, secured) // until the server has seen the certificate
		}
	}()
	connection, err := listener.Accept()
	require.NoError(t, err)
	defer connection.Close()
	secured := connection.(*tls.Conn)
	if err := secured.Handshake(); err != nil {
		return "", err
	}
	return secured.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestOpenAuthority(t *testing.T) {
	_, f := issueAll(t)
	ca, err := openAuthority(f.path("ca.crt"), f.path("ca.key"), os.ReadFile, time.Now)
	require.NoError(t, err)
	bob, err := ca.issueClient("bob", "cn", 10)
	require.NoError(t, err)
	require.NoError(t, bob.write(f.path("bob.crt"), f.path("bob.key")))
	output, ok := openssl(t, "verify", "-CAfile", f.path("ca.crt"), "-purpose", "sslclient", f.path("bob.crt"))
	require.True(t, ok, output)

	_, err = openAuthority(f.path("ca.crt"), f.path("alice.key"), os.ReadFile, time.Now)
	require.ErrorContains(t, err, "not the private key of")
	_, err = openAuthority(f.path("alice.crt"), f.path("alice.key"), os.ReadFile, time.Now)
	require.ErrorContains(t, err, "not the certificate of an authority")
	_, err = openAuthority(f.path("ca.key"), f.path("ca.key"), os.ReadFile, time.Now)
	require.ErrorContains(t, err, `no PEM block "CERTIFICATE"`)
	_, err = openAuthority(f.path("ca.crt"), f.path("missing.key"), os.ReadFile, time.Now)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestIssueClientFields(t *testing.T) {
	ca, err := newAuthority(time.Now)
	require.NoError(t, err)

	mail, err := ca.issueClient("ops@example.com", "email", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"ops@example.com"}, mail.certificate.EmailAddresses)
	name, err := ca.issueClient("db.example.com", "dns", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"db.example.com"}, name.certificate.DNSNames)
	uri, err := ca.issueClient("spiffe://example.com/db", "uri", 1)
	require.NoError(t, err)
	require.Equal(t, "spiffe://example.com/db", uri.certificate.URIs[0].String())

	_, err = ca.issueClient("not a uri", "uri", 1)
	require.ErrorContains(t, err, `[kmip] identity is "uri"`)
	_, err = ca.issueClient("alice", "serial", 1)
	require.ErrorContains(t, err, `no certificate field is called "serial"`)
	_, err = ca.issueClient("alice", "cn", authorityDays+1)
	require.ErrorContains(t, err, "more than the authority itself has left (3649)")
}

func TestServerHosts(t *testing.T) {
	require.Subset(t, serverHosts("0.0.0.0"), []string{"localhost", "127.0.0.1", "::1"})
	require.NotContains(t, serverHosts("0.0.0.0"), "0.0.0.0")
	require.NotContains(t, serverHosts("::"), "::")
	require.NotContains(t, serverHosts(""), "")
	require.Contains(t, serverHosts("10.1.2.3"), "10.1.2.3")
	hosts := serverHosts("localhost")
	require.Len(t, hosts, len(serverHosts("")), "localhost is named once: %v", hosts)
}
