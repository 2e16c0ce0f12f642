package main

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"strongroom/authz/password"
	"strongroom/conf"
	"strongroom/kmip/server"
	"strongroom/store/seal"
)

// keyPair is the server's certificate with its key, which read gives.
func keyPair(c *conf.Config, read func(path string) ([]byte, error)) (tls.Certificate, error) {
	certificate, err := os.ReadFile(c.KMIP.Certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := read(c.KMIP.PrivateKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	defer clear(key)
	return tls.X509KeyPair(certificate, key)
}

// credentialsOf reads the files of the TLS side, and the one of passwords. While the server's key is locked, the credentials have
// no certificate.
func credentialsOf(c *conf.Config, read func(path string) ([]byte, error), log *slog.Logger) (*server.Credentials, error) {
	pair, err := keyPair(c, read)
	if err != nil && !errors.Is(err, seal.ErrLocked) {
		return nil, fmt.Errorf("reading the server's certificate and key: %w", err)
	}
	text, err := os.ReadFile(c.KMIP.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of those who sign clients: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", c.KMIP.ClientCA)
	}
	credentials := &server.Credentials{Certificate: pair, ClientCA: pool, Identity: c.KMIP.Identity, MinVersion: tls.VersionTLS12}
	if c.KMIP.Passwords != "" {
		if credentials.Passwords, err = password.Read(c.KMIP.Passwords); err != nil {
			return nil, fmt.Errorf("reading kmip.passwords: %w", err)
		}
	}
	if c.KMIP.TLSMin == "1.3" {
		credentials.MinVersion = tls.VersionTLS13
	}
	if c.KMIP.TLSInsecureSuites {
		credentials.Suites = oldSuites()
	}
	if c.KMIP.CRL != "" {
		if credentials.Revoked, err = revocations(c.KMIP.CRL, text, time.Now(), log); err != nil {
			return nil, fmt.Errorf("reading the revocation lists %s: %w", c.KMIP.CRL, err)
		}
	}
	return credentials, nil
}

// oldSuites are the cipher suites of TLS 1.2 with those that crypto/tls leaves out by itself: key exchange by RSA, without which
// appliances of the time of KMIP 1.0 do not connect (KMIP Profiles 1.0, Basic Authentication Suite: TLS_RSA_WITH_AES_128_CBC_SHA),
// and CBC. RC4 and 3DES stay out.
func oldSuites() (list []uint16) {
	for _, s := range tls.CipherSuites() {
		list = append(list, s.ID)
	}
	for _, s := range tls.InsecureCipherSuites() {
		if strings.Contains(s.Name, "_AES_") {
			list = append(list, s.ID)
		}
	}
	return list
}

// warnOfSuites says what it means that the old cipher suites are admitted, and where they do not help.
func warnOfSuites(c *server.Credentials, log *slog.Logger) {
	if c.Suites == nil {
		return
	}
	log.Warn("kmip.tls_insecure_suites admits RSA key exchange and CBC under TLS 1.2: what such a client says can be read by who gets the server's private key later")
	if _, ok := c.Certificate.PrivateKey.(*rsa.PrivateKey); !ok && c.Certificate.Leaf != nil {
		log.Warn("no client can use RSA key exchange, for the server's certificate is not of RSA", "subject", c.Certificate.Leaf.Subject.String())
	}
}

// revocations reads the revocation lists of a file, one in DER or several in PEM. One of the authorities must have signed each. A list
// that is older than it was meant to become still serves, and the log says so.
func revocations(path string, authorities []byte, now time.Time, log *slog.Logger) (func(*x509.Certificate) bool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lists, err := listsIn(data)
	if err != nil {
		return nil, err
	}
	revoked := map[string]map[string]bool{} // by issuer, by serial number
	for i, list := range lists {
		if err := signedByOne(list, authorities); err != nil {
			return nil, fmt.Errorf("list %d, of %s: %w", i+1, list.Issuer, err)
		}
		if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
			log.Error("a revocation list is out of date: put a newer one in its place, and send SIGHUP", "file", path, "issuer", list.Issuer.String(), "until", list.NextUpdate)
		}
		issuer := string(list.RawIssuer)
		if revoked[issuer] == nil {
			revoked[issuer] = map[string]bool{}
		}
		for _, e := range list.RevokedCertificateEntries {
			revoked[issuer][e.SerialNumber.String()] = true
		}
	}
	return func(c *x509.Certificate) bool { return revoked[string(c.RawIssuer)][c.SerialNumber.String()] }, nil
}

// listsIn are the revocation lists of a file.
func listsIn(data []byte) (lists []*x509.RevocationList, err error) {
	var all [][]byte
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("it has a %s among its revocation lists", block.Type)
		}
		all = append(all, block.Bytes)
	}
	if len(all) == 0 {
		all = [][]byte{data}
	}
	for _, der := range all {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return lists, nil
}

func signedByOne(list *x509.RevocationList, authorities []byte) error {
	for len(authorities) > 0 {
		var block *pem.Block
		if block, authorities = pem.Decode(authorities); block == nil {
			break
		}
		if ca, err := x509.ParseCertificate(block.Bytes); err == nil && list.CheckSignatureFrom(ca) == nil {
			return nil
		}
	}
	return errors.New("none of the authorities in kmip.client_ca signed it")
}
