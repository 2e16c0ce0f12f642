package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A signatory is an authority of the tests.
type signatory struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newSignatory(t *testing.T, name string) *signatory {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &signatory{t, c, key}
}

func (s *signatory) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Raw})
}

// issued is a certificate of that serial number, as far as revocation looks at it.
func (s *signatory) issued(serial int64) *x509.Certificate {
	return &x509.Certificate{RawIssuer: s.certificate.RawSubject, SerialNumber: big.NewInt(serial)}
}

func (s *signatory) list(until time.Time, serials ...int64) []byte {
	s.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: until.Add(-time.Hour), NextUpdate: until}
	for _, n := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: template.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, s.certificate, s.key)
	require.NoError(s.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// TestRevocations: every list of a file counts, each for its own issuer, and none that a stranger signed.
func TestRevocations(t *testing.T) {
	one, two, stranger := newSignatory(t, "one"), newSignatory(t, "two"), newSignatory(t, "stranger")
	authorities := append(one.pem(), two.pem()...)
	now := time.Now()
	later := now.Add(time.Hour)
	path := filepath.Join(t.TempDir(), "crl.pem")
	read := func(content ...[]byte) (func(*x509.Certificate) bool, string, error) {
		require.NoError(t, os.WriteFile(path, bytes.Join(content, nil), 0o600))
		var log bytes.Buffer
		revoked, err := revocations(path, authorities, now, slog.New(slog.NewTextHandler(&log, nil)))
		return revoked, log.String(), err
	}

	revoked, log, err := read(one.list(later, 7), two.list(later, 8), two.list(later, 9))
	require.NoError(t, err)
	require.Empty(t, log)
	for s, serials := range map[*signatory]map[int64]bool{one: {7: true, 8: false, 9: false}, two: {7: false, 8: true, 9: true}} {
		for serial, want := range serials {
			require.Equal(t, want, revoked(s.issued(serial)), "%s %d", s.certificate.Subject, serial)
		}
	}
	block, _ := pem.Decode(one.list(later, 7))
	revoked, _, err = read(block.Bytes)
	require.NoError(t, err)
	require.True(t, revoked(one.issued(7)), "a list in DER")

	revoked, log, err = read(one.list(now.Add(-time.Second), 7))
	require.NoError(t, err)
	require.True(t, revoked(one.issued(7)), "an old list is better than none")
	require.Contains(t, log, `level=ERROR msg="a revocation list is out of date`)

	_, _, err = read(one.list(later, 7), stranger.list(later, 8))
	require.ErrorContains(t, err, "list 2, of CN=stranger: none of the authorities")
	_, _, err = read(one.list(later, 7), two.pem())
	require.ErrorContains(t, err, "it has a CERTIFICATE among its revocation lists")
	_, _, err = read([]byte("no list"))
	require.Error(t, err)
}
