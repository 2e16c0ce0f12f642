package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIdentityOf: a field that has several values names nobody, for somebody chose which of them stands where.
func TestIdentityOf(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	named := func(names ...string) *x509.Certificate {
		var subject pkix.Name
		template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, EmailAddresses: names}
		for _, name := range names {
			subject.ExtraNames = append(subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name})
			template.URIs = append(template.URIs, &url.URL{Scheme: "spiffe", Host: "x", Path: "/" + name})
		}
		template.Subject = subject
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		require.NoError(t, err)
		c, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return c
	}
	for field, want := range map[string]string{"cn": "ann", "email": "ann", "dns": "ann", "uri": "spiffe://x/ann"} {
		require.Equal(t, want, identityOf(named("ann"), field), field)
		require.Empty(t, identityOf(named("ann", "admin"), field), field)
		require.Empty(t, identityOf(named("ann", "ann"), field), field)
		require.Empty(t, identityOf(named(), field), field)
	}
	require.Empty(t, identityOf(named("ann"), "serial"))
}
