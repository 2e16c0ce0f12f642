package server

import (
	"crypto/sha256"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A shape is a Key Format Type with the versions that have it.
type shape struct {
	format       kmip.KeyFormatType
	since, until ttlv.Version
}

func inAll(f kmip.KeyFormatType) shape                 { return shape{f, ttlv.V1_0, ttlv.V2_1} }
func since(f kmip.KeyFormatType, v ttlv.Version) shape { return shape{f, v, ttlv.V2_1} }
func below2(f kmip.KeyFormatType) shape                { return shape{f, ttlv.V1_0, ttlv.V1_4} }

// made has openssl make a key: PKCS #8 and SubjectPublicKeyInfo.
func made(t *testing.T, args ...string) (pkcs8, spki []byte) {
	t.Helper()
	run := func(args ...string) []byte {
		c := exec.Command("openssl", args...)
		c.Dir = t.TempDir()
		out, err := c.Output()
		require.NoError(t, err, "%v", c.Args)
		return out
	}
	file := t.TempDir() + "/key.pem"
	run(append([]string{"genpkey", "-out", file}, args...)...)
	return run("pkcs8", "-topk8", "-nocrypt", "-in", file, "-outform", "DER"), run("pkey", "-in", file, "-pubout", "-outform", "DER")
}

func keyBlock(f kmip.KeyFormatType, material []byte) kmip.KeyBlock {
	return kmip.KeyBlock{KeyFormatType: f, KeyValue: &kmip.KeyValue{Material: material}}
}

// An exhibit is an object as it came from elsewhere, with all the formats that its key has.
type exhibit struct {
	object  kmip.ObjectType
	value   kmip.Value
	since   ttlv.Version
	until   ttlv.Version
	formats []shape
}

// exhibits are objects of every type, keys of every algorithm that is parsed.
func exhibits(t *testing.T) map[string]exhibit {
	const last = ttlv.V2_1
	list := map[string]exhibit{
		"AES": {kmip.ObjectTypeSymmetricKey, plainAES([]byte("0123456789abcdef")), 0, last,
			[]shape{inAll(kmip.KeyFormatTypeTransparentSymmetricKey), inAll(kmip.KeyFormatTypeRaw)}},
		"password": {kmip.ObjectTypeSecretData, kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword, KeyBlock: keyBlock(kmip.KeyFormatTypeOpaque, []byte("secret"))}}, 0, last,
			[]shape{inAll(kmip.KeyFormatTypeRaw), inAll(kmip.KeyFormatTypeOpaque)}},
		"seed":   {kmip.ObjectTypeSecretData, kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypeSeed, KeyBlock: keyBlock(kmip.KeyFormatTypeRaw, []byte("seed"))}}, 0, last, nil},
		"opaque": {kmip.ObjectTypeOpaqueObject, kmip.Value{OpaqueObject: &kmip.OpaqueObject{OpaqueDataType: 0x80000001, OpaqueDataValue: []byte("anything")}}, 0, last, nil},
		"split key": {kmip.ObjectTypeSplitKey, kmip.Value{SplitKey: &kmip.SplitKey{SplitKeyParts: 3, KeyPartIdentifier: 1, SplitKeyThreshold: 2, SplitKeyMethod: kmip.SplitKeyMethodPolynomialSharingGF2_16,
			KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: make([]byte, 16)}, CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 128}}}, 0, last, nil},
		"PGP key": {kmip.ObjectTypePGPKey, kmip.Value{PGPKey: &kmip.PGPKey{PGPKeyVersion: 4,
			KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")}, CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA, CryptographicLength: 2048}}}, ttlv.V1_2, last, nil},
		"certificate":     {kmip.ObjectTypeCertificate, kmip.Value{Certificate: &inline(signed(t, nil, "x", false, time.Now().Add(time.Hour)))[0]}, 0, last, []shape{inAll(kmip.KeyFormatTypeX509)}},
		"PGP certificate": {kmip.ObjectTypeCertificate, kmip.Value{Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypePGP, CertificateValue: []byte("a PGP certificate")}}, 0, ttlv.V1_4, nil},
	}
	const (
		pkcs8, x509f = kmip.KeyFormatTypePKCS8, kmip.KeyFormatTypeX509
		ecPrivate    = kmip.KeyFormatTypeTransparentECPrivateKey
		ecPublic     = kmip.KeyFormatTypeTransparentECPublicKey
	)
	curvePrivate := []shape{inAll(kmip.KeyFormatTypeECPrivateKey), since(ecPrivate, ttlv.V1_3), below2(kmip.KeyFormatTypeTransparentECDSAPrivateKey),
		below2(kmip.KeyFormatTypeTransparentECDHPrivateKey), below2(kmip.KeyFormatTypeTransparentECMQVPrivateKey)}
	curvePublic := []shape{since(ecPublic, ttlv.V1_3), below2(kmip.KeyFormatTypeTransparentECDSAPublicKey), below2(kmip.KeyFormatTypeTransparentECDHPublicKey),
		below2(kmip.KeyFormatTypeTransparentECMQVPublicKey)}
	for name, k := range map[string]struct {
		args            []string
		private, public []shape
	}{
		"RSA": {[]string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
			[]shape{inAll(kmip.KeyFormatTypePKCS1), inAll(kmip.KeyFormatTypeTransparentRSAPrivateKey)}, []shape{inAll(kmip.KeyFormatTypePKCS1), inAll(kmip.KeyFormatTypeTransparentRSAPublicKey)}},
		"P-256":     {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"}, curvePrivate, curvePublic},
		"secp256k1": {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, curvePrivate, curvePublic},
		"Ed25519":   {[]string{"-algorithm", "ED25519"}, nil, nil},
		"X25519":    {[]string{"-algorithm", "X25519"}, nil, nil},
		"DH": {[]string{"-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"},
			[]shape{inAll(kmip.KeyFormatTypeTransparentDHPrivateKey)}, []shape{inAll(kmip.KeyFormatTypeTransparentDHPublicKey)}},
		"DH with a Q": {[]string{"-algorithm", "DHX", "-pkeyopt", "dh_rfc5114:1"},
			[]shape{inAll(kmip.KeyFormatTypeTransparentDHPrivateKey)}, []shape{inAll(kmip.KeyFormatTypeTransparentDHPublicKey)}},
	} {
		private, public := made(t, k.args...)
		list[name+" private"] = exhibit{kmip.ObjectTypePrivateKey, kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: keyBlock(pkcs8, private)}}, 0, last, append(k.private, inAll(pkcs8))}
		list[name+" public"] = exhibit{kmip.ObjectTypePublicKey, kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: keyBlock(x509f, public)}}, 0, last, append(k.public, inAll(x509f))}
	}
	return list
}

// TestObjects takes every object through every format of every version: registered, got as it came, got in another format, registered
// in that one and got as it came, exported and imported.
func TestObjects(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the program openssl is not here")
	}
	g := newRig(t, Limits{})
	all := exhibits(t)
	for _, v := range everyVersion {
		c := g.client("alice", v)
		for name, x := range all {
			t.Run(fmt.Sprint(v, " ", name), func(t *testing.T) {
				q := &kmip.RegisterRequest{ObjectType: x.object, Value: x.value}
				if x.object == kmip.ObjectTypeSymmetricKey || x.object == kmip.ObjectTypeSplitKey {
					q.Attributes = kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}}
				}
				if v < x.since {
					_, err := client.Do[kmip.RegisterResponse](t.Context(), c, kmip.OperationRegister, q)
					require.Error(t, err, "the version does not have it")
					return
				}
				if v > x.until {
					t.Skip("the version does not have it any more")
				}
				uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, q).UniqueIdentifier
				got := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid})
				require.Equal(t, x.object, got.ObjectType)
				sameValue(t, &x.value, &got.Value)
				digestFits(t, c, uid, &got.Value)
				for _, s := range x.formats {
					if v < s.since || v > s.until || v < ttlv.V1_2 && strings.HasPrefix(name, "secp256k1") && s.format >= kmip.KeyFormatTypeTransparentECDSAPrivateKey { // it has no name for the curve
						continue
					}
					as := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid, KeyFormatType: s.format})
					if as.KeyBlock() == nil {
						continue
					}
					require.Equal(t, s.format, as.KeyBlock().KeyFormatType)
					q.Value = as.Value
					again := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, q).UniqueIdentifier
					back := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: again})
					require.Equal(t, as.KeyBlock(), back.KeyBlock(), "%v comes back as it was registered", s.format)
					digestFits(t, c, again, &back.Value)
					origin := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: again, KeyFormatType: x.value.KeyBlock().KeyFormatType})
					if name != "secp256k1 private" { // whose point, which openssl adds, not all formats have
						sameValue(t, &x.value, &origin.Value)
					}
				}
				if v < ttlv.V1_4 {
					return
				}
				out := must[kmip.ExportResponse](t, c, kmip.OperationExport, &kmip.ExportRequest{UniqueIdentifier: uid})
				imported := kmip.UniqueIdentifier(fmt.Sprint(name, " of ", v))
				must[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: imported, ObjectType: x.object, Attributes: q.Attributes, Value: out.Value})
				sameValue(t, &got.Value, &must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: imported}).Value)
			})
		}
	}
}

// sameValue compares two objects: their material, and what is beside it.
func sameValue(t *testing.T, want, got *kmip.Value) {
	t.Helper()
	if want.KeyBlock() == nil {
		require.Equal(t, want, got)
		return
	}
	require.Equal(t, want.KeyBlock().KeyFormatType, got.KeyBlock().KeyFormatType)
	require.Equal(t, want.KeyBlock().KeyValue, got.KeyBlock().KeyValue)
	require.Equal(t, want.SplitKey == nil, got.SplitKey == nil)
	if want.SplitKey != nil {
		require.Equal(t, want.SplitKey.KeyPartIdentifier, got.SplitKey.KeyPartIdentifier)
	}
}

// digestFits looks that the object has the digest of its material, in the format in which it is.
func digestFits(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier, v *kmip.Value) {
	t.Helper()
	var material []byte
	switch block := v.KeyBlock(); {
	case v.Certificate != nil:
		material = v.Certificate.CertificateValue
	case v.OpaqueObject != nil:
		material = v.OpaqueObject.OpaqueDataValue
	case v.SecretData != nil && v.SecretData.SecretDataType == kmip.SecretDataTypePassword:
	case block.KeyValue.Components != nil:
		var err error
		material, err = ttlv.Append(nil, ttlv.V1_0, ttlv.TagKeyMaterial, block.KeyValue.Components)
		require.NoError(t, err)
	default:
		material = block.KeyValue.Material
	}
	var sums []string
	for _, d := range kmip.All[kmip.Digest](must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes, ttlv.TagDigest) {
		sums = append(sums, string(d.DigestValue))
	}
	if material == nil {
		require.Empty(t, sums)
		return
	}
	sum := sha256.Sum256(material)
	require.Contains(t, sums, string(sum[:]))
}
