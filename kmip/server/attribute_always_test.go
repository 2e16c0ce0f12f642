package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// oneOfEach makes an object of each type and gives their identifiers.
func oneOfEach(t *testing.T, g *rig, c *client.Client) map[kmip.ObjectType]kmip.UniqueIdentifier {
	made := map[kmip.ObjectType]kmip.UniqueIdentifier{}
	made[kmip.ObjectTypeSymmetricKey] = must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
	pair := must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: kmip.Attributes{
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmECDSA}, {Tag: ttlv.TagCryptographicLength, Value: int32(256)},
	}})
	made[kmip.ObjectTypePrivateKey], made[kmip.ObjectTypePublicKey] = pair.PrivateKeyUniqueIdentifier, pair.PublicKeyUniqueIdentifier
	for objectType, v := range map[kmip.ObjectType]kmip.Value{
		kmip.ObjectTypeCertificate: {Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: namedCertificate(t, g)}},
		kmip.ObjectTypeSecretData: {SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypeSeed, KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: []byte("seed")},
		}}},
		kmip.ObjectTypeOpaqueObject: {OpaqueObject: &kmip.OpaqueObject{OpaqueDataType: 0x80000001, OpaqueDataValue: []byte("opaque")}},
		kmip.ObjectTypeSplitKey: {SplitKey: &kmip.SplitKey{SplitKeyParts: 2, KeyPartIdentifier: 1, SplitKeyThreshold: 2, SplitKeyMethod: kmip.SplitKeyMethodXOR, KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: make([]byte, 16)},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 128,
		}}},
		kmip.ObjectTypePGPKey: {PGPKey: &kmip.PGPKey{PGPKeyVersion: 4, KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: []byte("pgp")},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA, CryptographicLength: 2048,
		}}},
	} {
		made[objectType] = must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: objectType, Value: v}).UniqueIdentifier
	}
	return made
}

// namedCertificate is one with alternative names of subject and issuer, for the agreement on keys.
func namedCertificate(t *testing.T, g *rig) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	host, err := url.Parse("https://host.example/")
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x80FF), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageKeyAgreement,
		Subject:  pkix.Name{CommonName: "subject", Organization: []string{"O"}},
		DNSNames: []string{"host.example"}, EmailAddresses: []string{"a@host.example"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, URIs: []*url.URL{host},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 18}, Value: []byte{0x30, 0x04, 0x82, 0x02, 'c', 'a'}}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, g.ca, &key.PublicKey, g.caKey)
	require.NoError(t, err)
	return der
}

// unknown are the attributes that should always have a value and have none where the server cannot know it, with the reason.
var unknown = map[ttlv.Tag]map[kmip.ObjectType]string{
	ttlv.TagDigitalSignatureAlgorithm: {kmip.ObjectTypePGPKey: "OpenPGP keys are not looked into"},
}

// TestAlwaysHasAValue shows that objects of each type have, at each version, the attributes that its tables say they always have.
func TestAlwaysHasAValue(t *testing.T) {
	g := newRig(t, Limits{})
	made := oneOfEach(t, g, g.client("alice", ttlv.V2_1))
	for _, v := range kmip.Versions {
		c := g.client("alice", v)
		for objectType, uid := range made {
			if !ttlv.Defined(ttlv.TagObjectType, uint32(objectType), v) {
				continue
			}
			seen := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
			listed := must[kmip.GetAttributeListResponse](t, c, kmip.OperationGetAttributeList, &kmip.GetAttributeListRequest{UniqueIdentifier: uid}).AttributeReferences
			for i := range kmip.AttributeRules {
				rule := &kmip.AttributeRules[i]
				defined := rule.Since <= v && v <= rule.Until && rule.AppliesTo(objectType, v)
				if !defined {
					require.False(t, seen.Contains(rule.Tag), "%v: a %v has no %s", v, objectType, rule.Name)
					continue
				}
				require.Equal(t, seen.Contains(rule.Tag), asked(listed, kmip.Attribute{Tag: rule.Tag}) || rule.Tag == ttlv.TagObjectType, "%v: %v, %s", v, objectType, rule.Name)
				if rule.Always.Has(objectType) && unknown[rule.Tag][objectType] == "" {
					require.True(t, seen.Contains(rule.Tag), "%v: a %v always has %s", v, objectType, rule.Name)
				}
			}
		}
	}
}

// TestCertificateAttributes shows what a certificate says of itself, in the words of 1.0 and of later versions.
func TestCertificateAttributes(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	der := namedCertificate(t, g)
	uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{
		ObjectType: kmip.ObjectTypeCertificate, Value: kmip.Value{Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}},
	}).UniqueIdentifier
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Equal(t, kmip.CryptographicUsageMaskKeyAgreement, attribute[kmip.CryptographicUsageMask](t, c, uid, ttlv.TagCryptographicUsageMask))
	subject := attribute[kmip.X509CertificateSubject](t, c, uid, ttlv.TagX509CertificateSubject)
	require.Equal(t, cert.RawSubject, subject.SubjectDistinguishedName)
	require.Len(t, subject.SubjectAlternativeName, 4)
	require.Equal(t, append([]byte{0x82, 12}, "host.example"...), subject.SubjectAlternativeName[0])
	issuer := attribute[kmip.X509CertificateIssuer](t, c, uid, ttlv.TagX509CertificateIssuer)
	require.Equal(t, [][]byte{{0x82, 2, 'c', 'a'}}, issuer.IssuerAlternativeName)
	require.Equal(t, "O", attribute[string](t, c, uid, ttlv.TagCertificateSubjectO))

	old := g.client("alice", ttlv.V1_0)
	require.Equal(t, kmip.OldCertificateIdentifier{Issuer: "CN=ca", SerialNumber: "33023"}, attribute[kmip.OldCertificateIdentifier](t, old, uid, ttlv.TagCertificateIdentifier))
	require.Equal(t, kmip.OldCertificateSubject{
		CertificateSubjectDistinguishedName: "CN=subject,O=O",
		CertificateSubjectAlternativeName:   []string{"host.example", "a@host.example", "192.0.2.1", "https://host.example/"},
	}, attribute[kmip.OldCertificateSubject](t, old, uid, ttlv.TagCertificateSubject))
	require.Equal(t, kmip.OldCertificateIssuer{
		CertificateIssuerDistinguishedName: "CN=ca", CertificateIssuerAlternativeName: []string{"ca"},
	}, attribute[kmip.OldCertificateIssuer](t, old, uid, ttlv.TagCertificateIssuer))
}
