package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A caRig is a server with an authority of alice's: its certificate is named "ca", its key "ca key".
type caRig struct {
	*rig
	ca *authority
}

func newCARig(t *testing.T) *caRig {
	g := &caRig{rig: newRig(t, Limits{})}
	g.ca = signed(t, nil, "authority", true, time.Now().Add(1000*time.Hour))
	c := g.client("alice", ttlv.V2_1)
	der, err := x509.MarshalPKCS8PrivateKey(g.ca.key)
	require.NoError(t, err)
	active := kmip.Attributes{{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Hour)}}
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypePrivateKey,
		Attributes: active.With(ttlv.TagUniqueIdentifier, "ca key").With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskCertificateSign),
		Value:      kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS8, KeyValue: &kmip.KeyValue{Material: der}}}}})
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificate,
		Attributes: active.With(ttlv.TagUniqueIdentifier, "ca").Plus(ttlv.TagLink, kmip.Link{LinkType: kmip.LinkTypePrivateKeyLink, LinkedObjectIdentifier: "ca key"}),
		Value:      kmip.Value{Certificate: &inline(g.ca)[0]}})
	return g
}

// byCA names the authority in a request.
var byCA = kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeCertificateLink, LinkedObjectIdentifier: "ca"}}

// csrOf makes a certificate request in PKCS #10.
func csrOf(t *testing.T, key any, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	require.NoError(t, err)
	return der
}

// publicKeyObject registers a public key.
func publicKeyObject(t *testing.T, c *client.Client, key any) kmip.UniqueIdentifier {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypePublicKey,
		Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskVerify}},
		Value:      kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeX509, KeyValue: &kmip.KeyValue{Material: der}}}}}).UniqueIdentifier
}

func certificateOf(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier) *x509.Certificate {
	t.Helper()
	got := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid})
	require.Equal(t, kmip.CertificateTypeX509, got.Certificate.CertificateType)
	x, err := x509.ParseCertificate(got.Certificate.CertificateValue)
	require.NoError(t, err)
	return x
}

func allAttributes(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier) kmip.Attributes {
	t.Helper()
	return must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
}

func linkedTo(a kmip.Attributes, of kmip.LinkType) (list []kmip.UniqueIdentifier) {
	for _, l := range kmip.All[kmip.Link](a, ttlv.TagLink) {
		if l.LinkType == of {
			list = append(list, l.LinkedObjectIdentifier)
		}
	}
	return list
}

// TestCertify issues certificates for requests of each kind, at every version.
func TestCertify(t *testing.T) {
	g := newCARig(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	id, err := url.Parse("spiffe://example.org/web")
	require.NoError(t, err)
	der := csrOf(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "web", Organization: []string{"Example"}}, DNSNames: []string{"web.example.org"}, URIs: []*url.URL{id}})
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_1, ttlv.V1_2, ttlv.V1_4, ttlv.V2_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			public := publicKeyObject(t, c, &key.PublicKey)
			for of, value := range map[kmip.CertificateRequestType][]byte{kmip.CertificateRequestTypePKCS10: der, kmip.CertificateRequestTypePEM: encoded} {
				uid := must[kmip.CertifyResponse](t, c, kmip.OperationCertify, &kmip.CertifyRequest{UniqueIdentifier: public,
					CertificateRequestType: of, CertificateRequest: value, Attributes: kmip.Attributes{byCA, nameOf("web " + v.String() + " " + of.String())}}).UniqueIdentifier
				x := certificateOf(t, c, uid)
				require.NoError(t, x.CheckSignatureFrom(g.ca.certificate))
				require.True(t, key.PublicKey.Equal(x.PublicKey))
				require.Equal(t, "CN=web,O=Example", x.Subject.String())
				require.Equal(t, []string{"web.example.org"}, x.DNSNames)
				require.Equal(t, id.String(), x.URIs[0].String())
				require.False(t, x.IsCA)
				require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, x.ExtKeyUsage)
				require.Equal(t, x509.KeyUsageDigitalSignature, x.KeyUsage)
				require.WithinDuration(t, time.Now(), x.NotBefore, time.Minute)
				require.Equal(t, g.ca.certificate.NotAfter.Unix(), x.NotAfter.Unix(), "not longer than the issuer")
				require.Greater(t, x.SerialNumber.BitLen(), 64)

				a := allAttributes(t, c, uid)
				require.True(t, a.Has(kmip.Attribute{Tag: ttlv.TagCertificateType, Value: kmip.CertificateTypeX509}))
				require.True(t, a.Has(kmip.Attribute{Tag: ttlv.TagState, Value: kmip.StateActive}))
				require.True(t, a.Has(kmip.Attribute{Tag: ttlv.TagDeactivationDate, Value: x.NotAfter}))
				require.True(t, a.Contains(ttlv.TagDigest))
				require.Equal(t, []kmip.UniqueIdentifier{"ca"}, linkedTo(a, kmip.LinkTypeCertificateLink))
				require.Equal(t, []kmip.UniqueIdentifier{public}, linkedTo(a, kmip.LinkTypePublicKeyLink))
				require.Contains(t, linkedTo(allAttributes(t, c, public), kmip.LinkTypeCertificateLink), uid)
			}
			require.Len(t, linkedTo(allAttributes(t, c, public), kmip.LinkTypeCertificateLink), 2)
		})
	}
	t.Run("a key without a request", func(t *testing.T) {
		c := g.client("alice", ttlv.V2_1)
		public := publicKeyObject(t, c, &key.PublicKey)
		q := &kmip.CertifyRequest{UniqueIdentifier: public, Attributes: kmip.Attributes{byCA, {Tag: ttlv.TagCertificateType, Value: kmip.CertificateTypeX509},
			{Tag: ttlv.TagCertificateSubjectCN, Value: "named"}, {Tag: ttlv.TagCertificateSubjectO, Value: "by attributes"}, {Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskSign}}}
		x := certificateOf(t, c, must[kmip.CertifyResponse](t, c, kmip.OperationCertify, q).UniqueIdentifier)
		require.Equal(t, "CN=named,O=by attributes", x.Subject.String())
		require.Equal(t, x509.KeyUsageDigitalSignature, x.KeyUsage)
		q.Attributes = q.Attributes.Without(ttlv.TagCertificateSubjectCN).Without(ttlv.TagCertificateSubjectO)
		require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationCertify, q), "for nobody")
		name, err := asn1.Marshal(pkix.Name{CommonName: "in DER"}.ToRDNSequence())
		require.NoError(t, err)
		q.Attributes = q.Attributes.With(ttlv.TagX509CertificateSubject, kmip.X509CertificateSubject{SubjectDistinguishedName: name})
		for _, v := range []ttlv.Version{ttlv.V1_1, ttlv.V2_1} {
			c := g.client("alice", v)
			require.Equal(t, "CN=in DER", certificateOf(t, c, must[kmip.CertifyResponse](t, c, kmip.OperationCertify, q).UniqueIdentifier).Subject.String())
		}
		require.Equal(t, kmip.ResultReasonInvalidMessage, reason(t, g.client("alice", ttlv.V1_0), kmip.OperationCertify, q))
	})
	t.Run("a request without a key", func(t *testing.T) {
		c := g.client("alice", ttlv.V2_1)
		uid := must[kmip.CertifyResponse](t, c, kmip.OperationCertify, &kmip.CertifyRequest{CertificateRequestType: kmip.CertificateRequestTypePKCS10, CertificateRequest: der, Attributes: kmip.Attributes{byCA}}).UniqueIdentifier
		require.Empty(t, linkedTo(allAttributes(t, c, uid), kmip.LinkTypePublicKeyLink))
	})
	t.Run("a request that is kept", func(t *testing.T) {
		c := g.client("alice", ttlv.V2_1)
		public := publicKeyObject(t, c, &key.PublicKey)
		kept := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeCertificateRequest,
			Attributes: kmip.Attributes{{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypePublicKeyLink, LinkedObjectIdentifier: public}}},
			Value:      kmip.Value{CertificateRequest: &kmip.CertificateRequest{CertificateRequestType: kmip.CertificateRequestTypePEM, CertificateRequestValue: encoded}}}).UniqueIdentifier
		uid := must[kmip.CertifyResponse](t, c, kmip.OperationCertify, &kmip.CertifyRequest{UniqueIdentifier: kept, Attributes: kmip.Attributes{byCA}}).UniqueIdentifier
		require.Equal(t, "CN=web,O=Example", certificateOf(t, c, uid).Subject.String())
		require.Equal(t, []kmip.UniqueIdentifier{public}, linkedTo(allAttributes(t, c, uid), kmip.LinkTypePublicKeyLink))
	})
	t.Run("in a batch", func(t *testing.T) {
		c := g.client("alice", ttlv.V1_4)
		spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		require.NoError(t, err)
		certified, got := new(kmip.CertifyResponse), new(kmip.GetResponse)
		items := []*client.Item{
			{Operation: kmip.OperationRegister, Request: &kmip.RegisterRequest{ObjectType: kmip.ObjectTypePublicKey, Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskVerify}},
				Value: kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeX509, KeyValue: &kmip.KeyValue{Material: spki}}}}}, Response: new(kmip.RegisterResponse)},
			{Operation: kmip.OperationCertify, Request: &kmip.CertifyRequest{CertificateRequestType: kmip.CertificateRequestTypePKCS10, CertificateRequest: der, Attributes: kmip.Attributes{byCA}}, Response: certified},
			{Operation: kmip.OperationGet, Request: new(kmip.GetRequest), Response: got},
		}
		require.NoError(t, c.Batch(t.Context(), items...))
		for _, item := range items {
			require.NoError(t, item.Err)
		}
		require.Equal(t, certified.UniqueIdentifier, got.UniqueIdentifier)
		require.NotNil(t, got.Certificate)
	})
}

// TestCertifySelfSigned makes an authority of a key that is here, and issues with it.
func TestCertifySelfSigned(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	for algorithm, length := range map[kmip.CryptographicAlgorithm]int32{kmip.CryptographicAlgorithmRSA: 2048, kmip.CryptographicAlgorithmEC: 384, kmip.CryptographicAlgorithmEd25519: 256} {
		pair := must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
			CommonAttributes: kmip.Attributes{{Tag: ttlv.TagCryptographicAlgorithm, Value: algorithm}, {Tag: ttlv.TagCryptographicLength, Value: length},
				{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Second)}},
			PrivateKeyAttributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskCertificateSign}},
			PublicKeyAttributes:  kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskVerify}},
		})
		q := &kmip.CertifyRequest{UniqueIdentifier: pair.PublicKeyUniqueIdentifier, Attributes: kmip.Attributes{
			{Tag: ttlv.TagCertificateType, Value: kmip.CertificateTypeX509}, {Tag: ttlv.TagCertificateSubjectCN, Value: "root"},
			{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskCertificateSign | kmip.CryptographicUsageMaskCRLSign},
			{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypePrivateKeyLink, LinkedObjectIdentifier: pair.PrivateKeyUniqueIdentifier}},
			{Tag: ttlv.TagDeactivationDate, Value: time.Now().Add(10 * 365 * 24 * time.Hour)},
		}}
		root := must[kmip.CertifyResponse](t, c, kmip.OperationCertify, q).UniqueIdentifier
		x := certificateOf(t, c, root)
		require.True(t, x.IsCA && selfSigned(x))
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		leaf := must[kmip.CertifyResponse](t, c, kmip.OperationCertify, &kmip.CertifyRequest{CertificateRequestType: kmip.CertificateRequestTypePKCS10,
			CertificateRequest: csrOf(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "leaf"}}),
			Attributes:         kmip.Attributes{{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: kmip.LinkTypeCertificateLink, LinkedObjectIdentifier: root}}}}).UniqueIdentifier
		require.NoError(t, certificateOf(t, c, leaf).CheckSignatureFrom(x))

		other := publicKeyObject(t, c, &key.PublicKey)
		q.UniqueIdentifier = other
		require.Contains(t, []kmip.ResultReason{kmip.ResultReasonCryptographicFailure, kmip.ResultReasonBadCryptographicParameters}, reason(t, c, kmip.OperationCertify, q), "the key of another pair")
	}
}

// TestReCertify renews: KMIP 2.1 §6.1.45, tables 298 and 299.
func TestReCertify(t *testing.T) {
	g := newCARig(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der := csrOf(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "web"}, DNSNames: []string{"web.example.org"}})
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			public := publicKeyObject(t, c, &key.PublicKey)
			from, to := time.Now().Add(-24*time.Hour).Truncate(time.Second), time.Now().Add(24*time.Hour).Truncate(time.Second)
			from = time.Unix(max(from.Unix(), g.ca.certificate.NotBefore.Unix()), 0)
			name := "site " + v.String()
			old := must[kmip.CertifyResponse](t, c, kmip.OperationCertify, &kmip.CertifyRequest{UniqueIdentifier: public, CertificateRequestType: kmip.CertificateRequestTypePKCS10, CertificateRequest: der,
				Attributes: kmip.Attributes{byCA, nameOf(name), {Tag: ttlv.TagActivationDate, Value: from}, {Tag: ttlv.TagDeactivationDate, Value: to}, {Tag: ttlv.TagContactInformation, Value: "ops"}}}).UniqueIdentifier
			q := &kmip.ReCertifyRequest{UniqueIdentifier: old, Offset: new(ttlv.Interval(0)), CertificateRequestType: kmip.CertificateRequestTypePKCS10, CertificateRequest: der}
			if v >= ttlv.V1_1 {
				q.CertificateRequestType, q.CertificateRequest = 0, nil
			}
			uid := must[kmip.ReCertifyResponse](t, c, kmip.OperationReCertify, q).UniqueIdentifier
			x := certificateOf(t, c, uid)
			require.NoError(t, x.CheckSignatureFrom(g.ca.certificate))
			require.Equal(t, []string{"web.example.org"}, x.DNSNames)
			require.WithinDuration(t, time.Now(), x.NotBefore, time.Minute, "the Initial Date plus the Offset")
			require.WithinDuration(t, to.Add(x.NotBefore.Sub(from)), x.NotAfter, time.Second)
			require.NotEqual(t, certificateOf(t, c, old).SerialNumber, x.SerialNumber)

			a, before := allAttributes(t, c, uid), allAttributes(t, c, old)
			require.True(t, a.Has(nameOf(name)))
			require.False(t, before.Contains(ttlv.TagName))
			require.True(t, a.Has(kmip.Attribute{Tag: ttlv.TagContactInformation, Value: "ops"}))
			require.Equal(t, []kmip.UniqueIdentifier{old}, linkedTo(a, kmip.LinkTypeReplacedObjectLink))
			require.Equal(t, []kmip.UniqueIdentifier{uid}, linkedTo(before, kmip.LinkTypeReplacementObjectLink))
			require.Equal(t, []kmip.UniqueIdentifier{uid}, linkedTo(allAttributes(t, c, public), kmip.LinkTypeCertificateLink), "changed to the new one")
			require.Equal(t, []kmip.UniqueIdentifier{"ca"}, linkedTo(a, kmip.LinkTypeCertificateLink))
			d, _ := kmip.Get[kmip.Digest](a, ttlv.TagDigest)
			e, _ := kmip.Get[kmip.Digest](before, ttlv.TagDigest)
			require.NotEqual(t, d.DigestValue, e.DigestValue)

			q.UniqueIdentifier, q.Offset = uid, nil
			again := certificateOf(t, c, must[kmip.ReCertifyResponse](t, c, kmip.OperationReCertify, q).UniqueIdentifier)
			require.Equal(t, [2]time.Time{x.NotBefore, x.NotAfter}, [2]time.Time{again.NotBefore, again.NotAfter}, "without an Offset the dates are copied")

			q.Offset, q.Attributes = new(ttlv.Interval(0)), kmip.Attributes{{Tag: ttlv.TagDeactivationDate, Value: to}}
			require.Equal(t, kmip.ResultReasonInvalidMessage, reason(t, c, kmip.OperationReCertify, q))
			q.Attributes = nil
			other, err := rsa.GenerateKey(rand.Reader, 2048)
			require.NoError(t, err)
			q.CertificateRequestType, q.CertificateRequest = kmip.CertificateRequestTypePKCS10, csrOf(t, other, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "web"}})
			require.Equal(t, kmip.ResultReasonInvalidCSR.At(v), reason(t, c, kmip.OperationReCertify, q), "another key")
			q.UniqueIdentifier = public
			require.Equal(t, kmip.ResultReasonInvalidObjectType.For(kmip.OperationReCertify, v), reason(t, c, kmip.OperationReCertify, q))
		})
	}
}

// TestCertifyRefuses shows what is not issued, and to whom.
func TestCertifyRefuses(t *testing.T) {
	g := newCARig(t)
	c, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V2_1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	plain := csrOf(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}})
	asks := func(id asn1.ObjectIdentifier, value any) []byte {
		der, err := asn1.Marshal(value)
		require.NoError(t, err)
		return csrOf(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}, ExtraExtensions: []pkix.Extension{{Id: id, Value: der}}})
	}
	forged := append([]byte{}, plain...)
	forged[len(forged)-1] ^= 1
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	with := func(of kmip.CertificateRequestType, der []byte, more ...kmip.Attribute) *kmip.CertifyRequest {
		return &kmip.CertifyRequest{CertificateRequestType: of, CertificateRequest: der, Attributes: append(kmip.Attributes{byCA}, more...)}
	}
	const pkcs10 = kmip.CertificateRequestTypePKCS10
	for name, x := range map[string]struct {
		q    *kmip.CertifyRequest
		want kmip.ResultReason
	}{
		"no proof of possession":  {with(pkcs10, forged), kmip.ResultReasonInvalidCSR},
		"no PKCS #10":             {with(pkcs10, []byte("nonsense")), kmip.ResultReasonInvalidCSR},
		"no PEM":                  {with(kmip.CertificateRequestTypePEM, plain), kmip.ResultReasonInvalidCSR},
		"CRMF":                    {with(kmip.CertificateRequestTypeCRMF, plain), kmip.ResultReasonFeatureNotSupported},
		"no type":                 {with(0, plain), kmip.ResultReasonInvalidMessage},
		"PGP certificate":         {with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagCertificateType, Value: kmip.CertificateTypePGP}), kmip.ResultReasonFeatureNotSupported},
		"an authority":            {with(pkcs10, asks(asn1.ObjectIdentifier{2, 5, 29, 19}, struct{ CA bool }{true})), kmip.ResultReasonPermissionDenied},
		"to sign certificates":    {with(pkcs10, asks(asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.BitString{Bytes: []byte{4}, BitLength: 6})), kmip.ResultReasonPermissionDenied},
		"to sign code":            {with(pkcs10, asks(asn1.ObjectIdentifier{2, 5, 29, 37}, []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 3}})), kmip.ResultReasonPermissionDenied},
		"an unknown extension":    {with(pkcs10, asks(asn1.ObjectIdentifier{1, 2, 3}, 1)), kmip.ResultReasonInvalidCSR},
		"a short key":             {with(pkcs10, csrOf(t, small, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}})), kmip.ResultReasonInvalidField},
		"nobody":                  {with(pkcs10, csrOf(t, key, &x509.CertificateRequest{})), kmip.ResultReasonInvalidField},
		"longer than the issuer":  {with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagDeactivationDate, Value: time.Now().Add(10000 * time.Hour)}), kmip.ResultReasonInvalidField},
		"ended already":           {with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-2 * time.Hour)}, kmip.Attribute{Tag: ttlv.TagDeactivationDate, Value: time.Now().Add(-time.Hour)}), kmip.ResultReasonInvalidField},
		"no issuer":               {&kmip.CertifyRequest{CertificateRequestType: pkcs10, CertificateRequest: plain}, kmip.ResultReasonInvalidField},
		"RSA with a key on P-256": {with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagDigitalSignatureAlgorithm, Value: kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption}), kmip.ResultReasonCryptographicFailure},
		"of another algorithm":    {with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmRSA}), kmip.ResultReasonInvalidField},
		"of another length":       {with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagCryptographicLength, Value: int32(384)}), kmip.ResultReasonInvalidField},
		"of few bytes":            {with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagCertificateLength, Value: int32(100)}), kmip.ResultReasonInvalidField},
		"a private key":           {&kmip.CertifyRequest{UniqueIdentifier: "ca key", CertificateRequestType: pkcs10, CertificateRequest: plain, Attributes: kmip.Attributes{byCA}}, kmip.ResultReasonInvalidObjectType},
		"another's key":           {&kmip.CertifyRequest{UniqueIdentifier: publicKeyObject(t, c, &small.PublicKey), CertificateRequestType: pkcs10, CertificateRequest: plain, Attributes: kmip.Attributes{byCA}}, kmip.ResultReasonInvalidCSR},
		"nothing to certify":      {&kmip.CertifyRequest{Attributes: kmip.Attributes{byCA}}, kmip.ResultReasonInvalidField},
	} {
		require.Equal(t, x.want, reason(t, c, kmip.OperationCertify, x.q), name)
	}
	must[kmip.CertifyResponse](t, c, kmip.OperationCertify, with(pkcs10, plain, kmip.Attribute{Tag: ttlv.TagCryptographicLength, Value: int32(256)}))
	q := with(pkcs10, plain)
	grant := func(uid kmip.UniqueIdentifier, op kmip.Operation) {
		must[kmip.GrantAccessResponse](t, c, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: uid, Grantee: "bob", Operations: []kmip.Operation{op}})
	}
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationCertify, q))
	grant("ca", kmip.OperationGet)
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationCertify, q), "the certificate is not the key")
	grant("ca key", kmip.OperationCertify)
	must[kmip.CertifyResponse](t, bob, kmip.OperationCertify, q)
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: "ca key", Data: []byte("x")}), "the right to Certify is not the right to Sign")
}

// TestCertifyConfigured issues with the authority and within the limits that are configured.
func TestCertifyConfigured(t *testing.T) {
	g := newCARig(t)
	g.server.Certification.Store(&Certification{Issuer: "ca", Key: "ca key", Validity: 48 * time.Hour, Longest: 72 * time.Hour, Authorities: true, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
	c := g.client("alice", ttlv.V2_1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca, err := asn1.Marshal(struct{ CA bool }{true})
	require.NoError(t, err)
	q := &kmip.CertifyRequest{CertificateRequestType: kmip.CertificateRequestTypePKCS10, CertificateRequest: csrOf(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}})}
	x := certificateOf(t, c, must[kmip.CertifyResponse](t, c, kmip.OperationCertify, q).UniqueIdentifier)
	require.NoError(t, x.CheckSignatureFrom(g.ca.certificate))
	require.Equal(t, 48*time.Hour, x.NotAfter.Sub(x.NotBefore))
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, x.ExtKeyUsage)
	q.Attributes = kmip.Attributes{{Tag: ttlv.TagDeactivationDate, Value: time.Now().Add(100 * time.Hour)}}
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationCertify, q))
	q.Attributes = nil
	q.CertificateRequest = csrOf(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: ca}}})
	x = certificateOf(t, c, must[kmip.CertifyResponse](t, c, kmip.OperationCertify, q).UniqueIdentifier)
	require.True(t, x.IsCA && x.KeyUsage&x509.KeyUsageCertSign != 0)
}
