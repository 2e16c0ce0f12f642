package tests

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// openssl runs openssl in a folder.
func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command("openssl", args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%v: %s", c.Args, out)
	return string(out)
}

// pemFile writes a certificate.
func pemFile(t *testing.T, path string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

// TestCertify runs an authority whose key is in the token, for a user who may have certificates of it and nothing else; openssl
// makes the requests and verifies the certificates.
func TestCertify(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the program openssl is not here")
	}
	s := newSite(t)
	s.addClient("bob")
	s.env = append(s.env, "STRONGROOM_CERTIFY_ISSUER=ca", "STRONGROOM_CERTIFY_ISSUER_KEY=hsm::4::ca", "STRONGROOM_CERTIFY_VALIDITY=720h")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V1_4)

	_, public := createPair(t, admin, usable("hsm::4::ca", kmip.CryptographicAlgorithmECDSA, 256).With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskCertificateSign))
	root := do[kmip.CertifyResponse](t, admin, kmip.OperationCertify, &kmip.CertifyRequest{UniqueIdentifier: kmip.UniqueIdentifier(public), Attributes: kmip.Attributes{
		{Tag: ttlv.TagUniqueIdentifier, Value: "ca"}, {Tag: ttlv.TagCertificateType, Value: kmip.CertificateTypeX509},
		{Tag: ttlv.TagCertificateSubjectCN, Value: "The Authority"}, {Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskCertificateSign},
		{Tag: ttlv.TagDeactivationDate, Value: time.Now().Add(5 * 365 * 24 * time.Hour)},
		{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypePrivateKeyLink, LinkedObjectIdentifier: "hsm::4::ca"}},
	}})
	require.EqualValues(t, "ca", root.UniqueIdentifier)
	dir := t.TempDir()
	ca := do[kmip.GetResponse](t, admin, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "ca"})
	pemFile(t, filepath.Join(dir, "ca.pem"), ca.Certificate.CertificateValue)
	require.Contains(t, openssl(t, dir, "verify", "-CAfile", "ca.pem", "ca.pem"), "OK")

	openssl(t, dir, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "web.key", "-out", "web.csr", "-subj", "/O=Example/CN=web.example.org",
		"-addext", "subjectAltName=DNS:web.example.org,IP:192.0.2.1", "-addext", "extendedKeyUsage=serverAuth")
	request, err := os.ReadFile(filepath.Join(dir, "web.csr"))
	require.NoError(t, err)
	q := &kmip.CertifyRequest{CertificateRequestType: kmip.CertificateRequestTypePEM, CertificateRequest: request}
	require.Equal(t, kmip.ResultReasonItemNotFound, refusal(t, perform(t, bob, kmip.OperationCertify, q)).Reason, "nobody has given bob the right")
	grant(t, admin, "hsm::4::ca", "bob", kmip.OperationCertify)
	uid := do[kmip.CertifyResponse](t, bob, kmip.OperationCertify, q).UniqueIdentifier
	issued := func(uid kmip.UniqueIdentifier, file string) *x509.Certificate {
		der := do[kmip.GetResponse](t, bob, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}).Certificate.CertificateValue
		pemFile(t, filepath.Join(dir, file), der)
		require.Contains(t, openssl(t, dir, "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "web.example.org", "-verify_ip", "192.0.2.1", "-CAfile", "ca.pem", file), "OK")
		x, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return x
	}
	first := issued(uid, "web.pem")
	require.Equal(t, 720*time.Hour, first.NotAfter.Sub(first.NotBefore))
	require.Equal(t, openssl(t, dir, "pkey", "-in", "web.key", "-pubout"), openssl(t, dir, "x509", "-in", "web.pem", "-noout", "-pubkey"))

	renewed := do[kmip.ReCertifyResponse](t, bob, kmip.OperationReCertify, &kmip.ReCertifyRequest{UniqueIdentifier: uid, Offset: new(ttlv.Interval(0))}).UniqueIdentifier
	second := issued(renewed, "again.pem")
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	require.Equal(t, first.Subject.String(), second.Subject.String())

	carol := &stranger{t, s.client("bob", ttlv.V2_1)}
	carol.seesNothing(kmip.OperationCertify, public, absentLike(public))
	withdraw(t, admin, "hsm::4::ca", "bob", kmip.OperationCertify)
	require.Error(t, perform(t, bob, kmip.OperationReCertify, &kmip.ReCertifyRequest{UniqueIdentifier: renewed, Offset: new(ttlv.Interval(0))}))
}
