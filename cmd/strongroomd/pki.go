package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"time"
)

// The lifetimes of the certificates that init and client add issue.
const (
	authorityDays = 3650
	serverDays    = 365
	clientDays    = 365
)

// certificateSkew is how long before its making a certificate is valid already, for hosts whose clocks are behind.
const certificateSkew = 5 * time.Minute

// day is the unit of a certificate's lifetime.
const day = 24 * time.Hour

// An authority is the certificate authority of one installation: it issues the server's certificate and those of its
// clients, and the server trusts client certificates of this authority alone.
type authority struct {
	credential
	now func() time.Time
}

// A credential is a certificate with its private key.
type credential struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes a certificate authority: ECDSA on P-256, for authorityDays, that may issue end certificates only.
func newAuthority(now func() time.Time) (*authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Strongroom CA"},
		NotBefore:             now().Add(-certificateSkew),
		NotAfter:              now().Add(authorityDays * day),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	root, err := certify(template, nil)
	if err != nil {
		return nil, fmt.Errorf("making the certificate authority: %w", err)
	}
	return &authority{credential: *root, now: now}, nil
}

// openAuthority reads an authority that newAuthority made, from PEM files; read gives that of the key.
func openAuthority(certificateFile, keyFile string, read func(path string) ([]byte, error), now func() time.Time) (*authority, error) {
	certificate, err := readPEM(certificateFile, "CERTIFICATE", os.ReadFile)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", certificateFile, err)
	}
	key, err := readPEM(keyFile, "PRIVATE KEY", read)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	private, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", keyFile, err)
	}
	ec, ok := private.(*ecdsa.PrivateKey)
	switch {
	case !parsed.IsCA:
		return nil, fmt.Errorf("reading %s: not the certificate of an authority", certificateFile)
	case !ok || !ec.PublicKey.Equal(parsed.PublicKey):
		return nil, fmt.Errorf("reading %s: not the private key of %s", keyFile, certificateFile)
	}
	return &authority{credential: credential{parsed, ec}, now: now}, nil
}

// issueServer issues a server certificate for hosts, each a DNS name or an IP address.
func (a *authority) issueServer(hosts []string) (*credential, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "strongroom"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	issued, err := a.issue(template, serverDays)
	if err != nil {
		return nil, fmt.Errorf("issuing the server's certificate: %w", err)
	}
	return issued, nil
}

// issueClient issues a client certificate for days days whose field (cn, email, uri or dns, as [kmip] identity says)
// holds identity. The common name holds it in any case, for people who look at the certificate.
func (a *authority) issueClient(identity, field string, days int) (*credential, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: identity},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	switch field {
	case "cn":
	case "email":
		template.EmailAddresses = []string{identity}
	case "dns":
		template.DNSNames = []string{identity}
	case "uri":
		uri, err := url.Parse(identity)
		if err != nil || !uri.IsAbs() || uri.String() != identity {
			return nil, fmt.Errorf("issuing a certificate for %q: [kmip] identity is \"uri\" and this is none", identity)
		}
		template.URIs = []*url.URL{uri}
	default:
		return nil, fmt.Errorf("issuing a certificate for %q: no certificate field is called %q", identity, field)
	}
	issued, err := a.issue(template, days)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %q: %w", identity, err)
	}
	return issued, nil
}

// issue signs template as an end certificate for days days. It does not outlive the authority.
func (a *authority) issue(template *x509.Certificate, days int) (*credential, error) {
	now := a.now()
	template.NotBefore = now.Add(-certificateSkew)
	template.NotAfter = now.Add(time.Duration(days) * day)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	if template.NotAfter.After(a.certificate.NotAfter) {
		left := int(a.certificate.NotAfter.Sub(now) / day)
		return nil, fmt.Errorf("%d days are more than the authority itself has left (%d)", days, left)
	}
	return certify(template, &a.credential)
}

// certify makes a key and has issuer certify it as template says; without an issuer the certificate signs itself.
// The serial number is 20 random octets (RFC 5280 §4.1.2.2), made by crypto/x509.
func certify(template *x509.Certificate, issuer *credential) (*credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if issuer == nil {
		issuer = &credential{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, key.Public(), issuer.key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &credential{certificate, key}, nil
}

// write writes the certificate and the private key (PKCS #8) as PEM into two new files; the key's is 0600.
func (c *credential) write(certificateFile, keyFile string) error {
	private, err := c.private()
	if err != nil {
		return err
	}
	defer clear(private)
	if err := writeNew(keyFile, private, 0o600); err != nil {
		return err
	}
	return c.writeCertificate(certificateFile)
}

// private is the private key (PKCS #8) as PEM; the caller clears it.
func (c *credential) private() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), nil
}

// writeCertificate writes the certificate as PEM into a new file.
func (c *credential) writeCertificate(certificateFile string) error {
	return writeNew(certificateFile, c.certificatePEM(), 0o644)
}

// certificatePEM is the certificate as PEM.
func (c *credential) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw})
}

// readPEM returns the contents of the first PEM block of name, which must be of the type kind.
func readPEM(name, kind string, read func(string) ([]byte, error)) ([]byte, error) {
	text, err := read(name)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("reading %s: no PEM block %q", name, kind)
	}
	return block.Bytes, nil
}

// writeNew writes a file that must not be there yet, and waits until it is on the disk.
func writeNew(name string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// serverHosts lists the names and addresses that the server's certificate is made for: this host, as reached from
// itself, by its name, and by the address it listens on.
func serverHosts(listenHost string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, name)
	}
	if ip := net.ParseIP(listenHost); listenHost != "" && (ip == nil || !ip.IsUnspecified()) {
		hosts = append(hosts, listenHost)
	}
	return slices.Compact(slices.Sorted(slices.Values(hosts)))
}
