package server

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestGetPKCS12 gets a private key with its certificates in a container, which openssl opens.
func TestGetPKCS12(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	later := time.Now().Add(24 * time.Hour)
	root := signed(t, nil, "root", true, later)
	leaf := signed(t, root, "leaf", false, later)
	link := func(of kmip.LinkType, uid kmip.UniqueIdentifier) kmip.Attribute {
		return kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: of, LinkedObjectIdentifier: uid}}
	}
	register := func(uid string, of kmip.ObjectType, v kmip.Value, links ...kmip.Attribute) {
		t.Helper()
		must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: of, Value: v,
			Attributes: append(kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: uid}, {Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Second)}}, links...)})
	}
	block := func(f kmip.KeyFormatType, material []byte) kmip.KeyBlock {
		return kmip.KeyBlock{KeyFormatType: f, KeyValue: &kmip.KeyValue{Material: material}}
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	require.NoError(t, err)
	spki, err := x509.MarshalPKIXPublicKey(&leaf.key.PublicKey)
	require.NoError(t, err)
	register("password", kmip.ObjectTypeSecretData, kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword, KeyBlock: block(kmip.KeyFormatTypeRaw, []byte("open sesame"))}})
	register("root", kmip.ObjectTypeCertificate, kmip.Value{Certificate: &inline(root)[0]})
	register("leaf", kmip.ObjectTypeCertificate, kmip.Value{Certificate: &inline(leaf)[0]}, link(kmip.LinkTypeCertificateLink, "root"), link(kmip.LinkTypePKCS12PasswordLink, "password"))
	register("public", kmip.ObjectTypePublicKey, kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: block(kmip.KeyFormatTypeX509, spki)}}, link(kmip.LinkTypePKCS12CertificateLink, "leaf"))
	register("key", kmip.ObjectTypePrivateKey, kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: block(kmip.KeyFormatTypePKCS8, pkcs8)}},
		link(kmip.LinkTypePublicKeyLink, "public"), link(kmip.LinkTypePKCS12PasswordLink, "password"))
	ask := func(uid kmip.UniqueIdentifier) *kmip.GetRequest {
		return &kmip.GetRequest{UniqueIdentifier: uid, KeyFormatType: kmip.KeyFormatTypePKCS12}
	}
	for _, v := range []ttlv.Version{ttlv.V1_4, ttlv.V2_1} {
		got := must[kmip.GetResponse](t, g.client("alice", v), kmip.OperationGet, ask("key")).PrivateKey.KeyBlock
		require.Equal(t, kmip.KeyFormatTypePKCS12, got.KeyFormatType)
		key, certificate, issuers, err := pkcs12.DecodeChain(got.KeyValue.Material, "open sesame")
		require.NoError(t, err)
		require.True(t, leaf.key.Equal(key))
		require.True(t, leaf.certificate.Equal(certificate))
		require.Len(t, issuers, 1)
		require.True(t, root.certificate.Equal(issuers[0]))
		if _, err := exec.LookPath("openssl"); err == nil {
			file := filepath.Join(t.TempDir(), "key.p12")
			require.NoError(t, os.WriteFile(file, got.KeyValue.Material, 0o600))
			out, err := exec.Command("openssl", "pkcs12", "-in", file, "-passin", "pass:open sesame", "-nodes").CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "PRIVATE KEY")
		}
	}
	store, err := pkcs12.DecodeTrustStore(must[kmip.GetResponse](t, c, kmip.OperationGet, ask("leaf")).Certificate.CertificateValue, "open sesame")
	require.NoError(t, err)
	require.Len(t, store, 2)

	require.Equal(t, kmip.ResultReasonBadPassword, reason(t, c, kmip.OperationGet, ask("root")), "it links to no password")
	require.Equal(t, kmip.ResultReasonBadPassword, reason(t, c, kmip.OperationGet, ask("public")))
	must[kmip.AddAttributeResponse](t, c, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: "public", NewAttribute: kmip.Attributes{link(kmip.LinkTypePKCS12CertificateLink, "root")}})
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationGet, ask("key")), "two chains")
	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, &kmip.ModifyAttributeRequest{UniqueIdentifier: "key", NewAttribute: kmip.Attributes{{Tag: ttlv.TagSensitive, Value: true}}})
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationGet, ask("key")))
}
