package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// An authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// signed makes a certificate; without an issuer it signs itself.
func signed(t *testing.T, issuer *authority, name string, ca bool, until time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	if issuer == nil {
		issuer = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, &key.PublicKey, issuer.key)
	require.NoError(t, err)
	x, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{x, key}
}

func inline(list ...*authority) (c []kmip.Certificate) {
	for _, a := range list {
		c = append(c, kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: a.certificate.Raw})
	}
	return c
}

func TestValidate(t *testing.T) {
	g := newRig(t, Limits{})
	later := time.Now().Add(24 * time.Hour)
	root := signed(t, nil, "root", true, later)
	middle := signed(t, root, "middle", true, later)
	leaf := signed(t, middle, "leaf", false, later)
	expired := signed(t, middle, "expired", false, time.Now().Add(-time.Minute))
	forged := signed(t, signed(t, nil, "middle", true, later), "forged", false, later)
	noCA := signed(t, leaf, "below a leaf", false, later)
	other := signed(t, root, "other", false, later)
	const valid, invalid, unknown = kmip.ValidityIndicatorValid, kmip.ValidityIndicatorInvalid, kmip.ValidityIndicatorUnknown

	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			kept := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificate,
				Value: kmip.Value{Certificate: &inline(root)[0]}}).UniqueIdentifier
			named := []kmip.UniqueIdentifier{kept}
			past, future := time.Now().Add(-2*time.Hour), time.Now().Add(48*time.Hour)
			for name, x := range map[string]struct {
				q    kmip.ValidateRequest
				want kmip.ValidityIndicator
			}{
				"whole":                  {kmip.ValidateRequest{Certificates: inline(leaf, middle), UniqueIdentifiers: named}, valid},
				"in another order":       {kmip.ValidateRequest{Certificates: inline(middle, leaf), UniqueIdentifiers: named}, valid},
				"the root alone":         {kmip.ValidateRequest{UniqueIdentifiers: named}, valid},
				"a client of the server": {kmip.ValidateRequest{Certificates: []kmip.Certificate{{CertificateType: kmip.CertificateTypeX509, CertificateValue: g.issue("carol").Certificate[0]}}, ValidityDate: new(time.Now())}, valid},
				"a root that it brings":  {kmip.ValidateRequest{Certificates: inline(leaf, middle, root)}, unknown},
				"no root":                {kmip.ValidateRequest{Certificates: inline(leaf, middle)}, unknown},
				"a gap":                  {kmip.ValidateRequest{Certificates: inline(leaf), UniqueIdentifiers: named}, invalid},
				"expired":                {kmip.ValidateRequest{Certificates: inline(expired, middle), UniqueIdentifiers: named}, invalid},
				"not yet":                {kmip.ValidateRequest{Certificates: inline(leaf, middle), UniqueIdentifiers: named, ValidityDate: &past}, invalid},
				"not any more":           {kmip.ValidateRequest{Certificates: inline(leaf, middle), UniqueIdentifiers: named, ValidityDate: &future}, invalid},
				"forged":                 {kmip.ValidateRequest{Certificates: inline(forged, middle), UniqueIdentifiers: named}, invalid},
				"issued by no authority": {kmip.ValidateRequest{Certificates: inline(noCA, leaf, middle), UniqueIdentifiers: named}, invalid},
				"two chains":             {kmip.ValidateRequest{Certificates: inline(leaf, other, middle), UniqueIdentifiers: named}, invalid},
			} {
				got := must[kmip.ValidateResponse](t, c, kmip.OperationValidate, &x.q)
				require.Equal(t, x.want, got.ValidityIndicator, name)
			}
			require.Equal(t, kmip.ResultReasonInvalidMessage, reason(t, c, kmip.OperationValidate, &kmip.ValidateRequest{}))
			require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationValidate, &kmip.ValidateRequest{
				Certificates: []kmip.Certificate{{CertificateType: kmip.CertificateTypeX509, CertificateValue: []byte("no DER")}}}))
			key := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
			require.Equal(t, kmip.ResultReasonInvalidObjectType.At(v), reason(t, c, kmip.OperationValidate, &kmip.ValidateRequest{UniqueIdentifiers: []kmip.UniqueIdentifier{key}}))
			require.Equal(t, kmip.ResultReasonObjectNotFound.At(v), reason(t, g.client("bob", v), kmip.OperationValidate, &kmip.ValidateRequest{UniqueIdentifiers: named}))
		})
	}
}

// TestValidateKept builds the path over what the named certificates link to, and knows what was revoked here.
func TestValidateKept(t *testing.T) {
	g := newRig(t, Limits{})
	later := time.Now().Add(24 * time.Hour)
	root := signed(t, nil, "root", true, later)
	middle := signed(t, root, "middle", true, later)
	leaf := signed(t, middle, "leaf", false, later)
	const valid, invalid, unknown = kmip.ValidityIndicatorValid, kmip.ValidityIndicatorInvalid, kmip.ValidityIndicatorUnknown
	c := g.client("alice", ttlv.V2_1)
	keep := func(uid string, a *authority, issuer kmip.UniqueIdentifier) kmip.UniqueIdentifier {
		attributes := kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: uid}, {Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Hour)}}
		if issuer != "" {
			attributes = attributes.Plus(ttlv.TagLink, kmip.Link{LinkType: kmip.LinkTypeCertificateLink, LinkedObjectIdentifier: issuer})
		}
		return must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificate, Attributes: attributes,
			Value: kmip.Value{Certificate: &inline(a)[0]}}).UniqueIdentifier
	}
	validity := func(date *time.Time, uids ...kmip.UniqueIdentifier) kmip.ValidityIndicator {
		t.Helper()
		return must[kmip.ValidateResponse](t, c, kmip.OperationValidate, &kmip.ValidateRequest{UniqueIdentifiers: uids, ValidityDate: date}).ValidityIndicator
	}
	keep("root", root, "")
	keep("middle", middle, "root")
	keep("leaf", leaf, "middle")
	keep("alone", leaf, "")
	require.Equal(t, valid, validity(nil, "leaf"), "the issuers are found by their links")
	require.Equal(t, valid, validity(nil, "leaf", "middle", "root"))
	require.Equal(t, unknown, validity(nil, "alone"))

	before := time.Now()
	revoke := func(uid kmip.UniqueIdentifier, code kmip.RevocationReasonCode) {
		q := &kmip.RevokeRequest{UniqueIdentifier: uid, RevocationReason: kmip.RevocationReason{RevocationReasonCode: code}}
		if code == kmip.RevocationReasonCodeCACompromise {
			q.CompromiseOccurrenceDate = new(time.Now())
		}
		must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, q)
	}
	revoke("leaf", kmip.RevocationReasonCodeSuperseded)
	require.Equal(t, invalid, validity(nil, "leaf"))
	past := before.Add(-time.Minute)
	require.Equal(t, valid, validity(&past, "leaf"), "it held before it was revoked")
	keep("again", leaf, "middle")
	revoke("middle", kmip.RevocationReasonCodeCACompromise)
	require.Equal(t, invalid, validity(nil, "again"), "its issuer was compromised")
	require.Equal(t, invalid, validity(&past, "again"))

	keep("issuer", root, "")
	g.server.Certification.Store(NewCertification(Certification{Issuer: "issuer"}))
	other := signed(t, root, "other", false, later)
	require.Equal(t, valid, must[kmip.ValidateResponse](t, c, kmip.OperationValidate, &kmip.ValidateRequest{Certificates: inline(other)}).ValidityIndicator, "of the server's own authority")
}

// TestValidateNameConstraints: an authority that is for some names issues for no others (RFC 5280 §4.2.1.10).
func TestValidateNameConstraints(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "for example.org"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, PermittedDNSDomains: []string{"example.org"}, PermittedDNSDomainsCritical: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	root, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificate,
		Value: kmip.Value{Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}}}).UniqueIdentifier
	for name, want := range map[string]kmip.ValidityIndicator{"www.example.org": kmip.ValidityIndicatorValid, "www.example.com": kmip.ValidityIndicatorInvalid} {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(8), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: template.NotBefore, NotAfter: template.NotAfter, DNSNames: []string{name}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, key)
		require.NoError(t, err)
		got := must[kmip.ValidateResponse](t, c, kmip.OperationValidate, &kmip.ValidateRequest{UniqueIdentifiers: []kmip.UniqueIdentifier{uid},
			Certificates: []kmip.Certificate{{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}}})
		require.Equal(t, want, got.ValidityIndicator, name)
	}
}
