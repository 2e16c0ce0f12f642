package server

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"strongroom/authz"
	"strongroom/authz/password"
	"strongroom/kmip"
)

// A Gate is the TLS side of the server: its certificate, who signs its clients, whose certificates are revoked, which field of a
// client's certificate is its identity, and who must say a password beside. It can be replaced while serving.
type Gate struct {
	state      atomic.Pointer[gateState]
	generation atomic.Uint64
	passwords  *password.Guard
	locked     atomic.Pointer[kmip.Error]
}

// Lock has every request refused with why, and new connections closed, until Unlock.
func (g *Gate) Lock(why *kmip.Error) { g.locked.Store(why) }

// Unlock ends Lock.
func (g *Gate) Unlock() { g.locked.Store(nil) }

// refusal is why nobody is let in, nil while they are.
func (g *Gate) refusal() error {
	if why := g.locked.Load(); why != nil {
		return why
	}
	return nil
}

type gateState struct {
	Credentials
	config *tls.Config
}

// Credentials are what a Gate is made of.
type Credentials struct {
	Certificate tls.Certificate
	ClientCA    *x509.CertPool
	Revoked     func(*x509.Certificate) bool // nil: no revocation list
	Identity    string                       // "cn", "email", "uri" or "dns"
	MinVersion  uint16                       // tls.VersionTLS12 where 0
	Suites      []uint16                     // of TLS 1.2; nil: those of crypto/tls
	Passwords   *password.Table              // nil: nobody needs one
}

// NewGate makes a gate of c.
func NewGate(c Credentials) *Gate {
	g := &Gate{passwords: password.NewGuard(nil, nil)}
	g.Replace(c)
	return g
}

// Replace changes the credentials for new connections, and has the certificates of open ones checked again before their
// next request.
func (g *Gate) Replace(c Credentials) {
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	s := &gateState{Credentials: c}
	s.config = &tls.Config{
		MinVersion:       c.MinVersion,
		CipherSuites:     c.Suites,
		Certificates:     []tls.Certificate{c.Certificate},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        c.ClientCA,
		VerifyConnection: func(cs tls.ConnectionState) error { _, err := s.identify(&cs); return err },
	}
	g.passwords.Replace(c.Passwords)
	g.state.Store(s)
	g.generation.Add(1)
}

// Config is the TLS configuration for one new connection.
func (g *Gate) Config() *tls.Config { return g.state.Load().config }

// Identify is who stands at the other end, by the present credentials.
func (g *Gate) Identify(cs *tls.ConnectionState) (string, error) { return g.state.Load().identify(cs) }

// identify takes the identity from a verified chain. It runs for resumed sessions as well.
func (s *gateState) identify(cs *tls.ConnectionState) (string, error) {
	if len(cs.VerifiedChains) == 0 {
		return "", errors.New("the client has no verified certificate")
	}
	leaf := cs.VerifiedChains[0][0]
	if s.Revoked != nil {
		for _, c := range cs.VerifiedChains[0] {
			if s.Revoked(c) {
				return "", fmt.Errorf("certificate %s is revoked", c.SerialNumber)
			}
		}
	}
	identity := identityOf(leaf, s.Identity)
	if err := authz.CheckIdentity(identity); err != nil {
		return "", fmt.Errorf("client certificate %s: its %s is no identity: %w", leaf.SerialNumber, s.Identity, err)
	}
	return identity, nil
}

// identityOf is the field of the certificate that names its holder. A field with several values names nobody.
func identityOf(c *x509.Certificate, field string) string {
	only := func(values []string) string {
		if len(values) == 1 {
			return values[0]
		}
		return ""
	}
	switch field {
	case "cn":
		return only(commonNames(c))
	case "email":
		return only(c.EmailAddresses)
	case "dns":
		return only(c.DNSNames)
	case "uri":
		if len(c.URIs) == 1 {
			return c.URIs[0].String()
		}
	}
	return ""
}

// commonNames are those of the subject, where x509 tells the last.
func commonNames(c *x509.Certificate) (all []string) {
	for _, name := range c.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(commonName) {
			all = append(all, text)
		}
	}
	return all
}

// commonName is id-at-commonName. RFC 5280 appendix A.1.
var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// fingerprint is the SHA-256 of a client's certificate, in hex.
func fingerprint(cs *tls.ConnectionState) string {
	sum := sha256.Sum256(cs.PeerCertificates[0].Raw)
	return hex.EncodeToString(sum[:])
}
