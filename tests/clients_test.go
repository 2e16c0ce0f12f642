package tests

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// The sequences below are those of products that speak KMIP, with the peculiarities of each. All are said as the product says
// them, field by field; the comment tells what its client is known to insist on.

const (
	uidTag   = ttlv.TagUniqueIdentifier
	pk       = ttlv.TagPublicKey
	sk       = ttlv.TagPrivateKey
	sym      = ttlv.TagSymmetricKey
	secret   = ttlv.TagSecretData
	material = ttlv.TagKeyMaterial
)

// id is a Unique Identifier in a request.
func id(uid string) string { return text("UniqueIdentifier", uid) }

// template is a Template-Attribute.
func template(attributes ...string) string { return in("TemplateAttribute", attributes...) }

// random is n random bytes in hexadecimal.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// libkmip is what that library puts into the header of every request.
var libkmip = integerOf("MaximumResponseSize", 8192) + `<TimeStamp type="DateTime" value="2025-07-11T13:53:20+00:00"/>`

// credential is a user name with a password, which mutual TLS makes needless.
func credential(user, password string) string {
	return in("Authentication", in("Credential", enum("CredentialType", "UsernameAndPassword"), in("CredentialValue", text("Username", user), text("Password", password))))
}

// TestClientVMware: vCenter never activates; an absent attribute is a success with the identifier alone; it counts its items.
func TestClientVMware(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.1")
	for range 2 {
		versions := k.one(operation("DiscoverVersions", "")).all(ttlv.TagProtocolVersion)
		require.Len(t, versions, 7)
		require.EqualValues(t, 2, versions[0].value(ttlv.TagProtocolVersionMajor))
	}
	require.NotEmpty(t, k.one(operation("Query", "514c4b4301000000", enum("QueryFunction", "QueryServerInformation"))).value(ttlv.TagVendorIdentification))
	uid := k.one(operation("Create", "514c4b4302000000", enum("ObjectType", "SymmetricKey"),
		template(attribute("Cryptographic Algorithm", "Enumeration", "AES"), attribute("Cryptographic Usage Mask", "Integer", "12"), attribute("Cryptographic Length", "Integer", "256")),
	)).only(ttlv.TagObjectType, uidTag).uid()
	require.NotRegexp(t, `^\d+$`, uid)
	version := operation("GetAttributes", "514c4b4303000000", id(uid), text("AttributeName", "x-Product_Version"))
	k.one(version).only(uidTag)
	var items []string
	for i, x := range [][2]string{{"x-Product_Version", "7.0.3 build-19480866"}, {"x-Vendor", "VMware, Inc."}, {"x-Product", "VMware vSphere"}} {
		items = append(items, operation("AddAttribute", fmt.Sprintf("514c4b43%02x000000", 4+i), id(uid), attribute(x[0], "TextString", x[1])))
	}
	for _, r := range k.ask(items...) {
		require.Equal(t, uid, r.only(uidTag, ttlv.TagAttribute).uid())
	}
	require.Equal(t, "7.0.3 build-19480866", k.one(version).attribute("x-Product_Version").Value)
	state := k.one(operation("GetAttributes", "514c4b4307000000", id(uid), text("AttributeName", "State")))
	require.EqualValues(t, kmip.StatePreActive, state.attribute("State").Value)
	require.Len(t, k.one(operation("Get", "514c4b4308000000", id(uid))).only(ttlv.TagObjectType, uidTag, sym).material(sym), 32)
}

// TestClientMySQL is Enterprise's keyring_okv.
func TestClientMySQL(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.1")
	uid := k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12)))).uid()
	k.one(operation("Activate", "", id(uid))).only(uidTag)
	require.Len(t, k.one(operation("Get", "", id(uid))).material(sym), 32)
	require.EqualValues(t, kmip.ResultStatusOperationFailed, k.try(operation("Destroy", "", id(uid)))[0].value(ttlv.TagResultStatus), "an Active key was destroyed")
	k.one(operation("Revoke", "", id(uid), in("RevocationReason", enum("RevocationReasonCode", "CessationOfOperation")))).only(uidTag)
	k.one(operation("Destroy", "", id(uid))).only(uidTag)
	gone := k.try(operation("Get", "", id(uid)))[0]
	require.EqualValues(t, kmip.ResultStatusOperationFailed, gone.value(ttlv.TagResultStatus))
}

// TestClientPercona is Percona Server's component_keyring_kmip: it pages with a field newer than its header, and registers
// keys whose names it has used before.
func TestClientPercona(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	group := attribute("Object Group", "TextString", "percona "+random(4))
	k := s.talk(t, "1.4", libkmip)
	var made []string
	for i := range 20 {
		name := fmt.Sprintf("INNODBKey-%d", i/2) // each twice
		uid := k.one(operation("Register", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12), nameIs(name), group),
			keyOf("SymmetricKey", "Raw", random(32), "", enum("CryptographicAlgorithm", "AES")+integerOf("CryptographicLength", 256)))).only(uidTag).uid()
		k.one(operation("Activate", "", id(uid)))
		made = append(made, uid)
	}
	page := func(offset int) []string {
		old := s.talk(t, "1.0", libkmip)
		return old.one(operation("Locate", "", integerOf("MaximumItems", 16), integerOf("OffsetItems", offset),
			attribute("Object Type", "Enumeration", "SymmetricKey"), group)).uids()
	}
	first, second, third := page(0), page(16), page(32)
	require.Len(t, first, 16)
	require.Len(t, second, 4)
	require.Empty(t, third)
	slices.Reverse(made)
	require.ElementsMatch(t, made, append(first, second...))
	for _, uid := range made[:2] {
		require.Len(t, k.one(operation("Get", "", id(uid))).material(sym), 32)
		name := k.one(operation("GetAttributes", "", id(uid), text("AttributeName", "Name"))).attribute("Name")
		require.Equal(t, "INNODBKey-9", name.Children[0].Value)
	}
	k.one(operation("Revoke", "", id(made[0]), in("RevocationReason", enum("RevocationReasonCode", "Unspecified"), text("RevocationMessage", "Deleting the key"))))
	k.one(operation("Destroy", "", id(made[0])))
}

// TestClientMongoDB is libmongocrypt: a secret of 96 bytes with no usage at all; and, delegated, a key that never leaves,
// which may be one in the token: it sends no IV and must be given the one that was made.
func TestClientMongoDB(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.0")
	seed := random(96)
	uid := k.one(operation("Register", "", enum("ObjectType", "SecretData"), template(attribute("Cryptographic Usage Mask", "Integer", "0")),
		in("SecretData", enum("SecretDataType", "Seed"), in("KeyBlock", enum("KeyFormatType", "Opaque"), in("KeyValue", bytesOf("KeyMaterial", seed)))))).only(uidTag).uid()
	k.one(operation("Activate", "", id(uid)))
	got := k.one(operation("Get", "", id(uid)))
	require.Equal(t, seed, hex.EncodeToString(got.material(secret)))
	require.EqualValues(t, kmip.SecretDataTypeSeed, got.value(secret, ttlv.TagSecretDataType))

	k = s.talk(t, "1.2")
	inToken := create(t, s.client("admin", ttlv.V2_1), aes("hsm::4::mongodb "+random(4)))
	uid = k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12)))).uid()
	k.one(operation("Activate", "", id(uid)))
	parameters := in("CryptographicParameters", enum("BlockCipherMode", "CBC"), enum("PaddingMethod", "PKCS5"), enum("CryptographicAlgorithm", "AES"), `<RandomIV type="Boolean" value="true"/>`)
	for _, uid := range []string{uid, inToken} {
		plain := random(96)
		e := k.one(operation("Encrypt", "", id(uid), parameters, bytesOf("Data", plain))).only(uidTag, ttlv.TagData, ttlv.TagIVCounterNonce)
		iv, data := e.value(ttlv.TagIVCounterNonce).([]byte), e.value(ttlv.TagData).([]byte)
		require.Len(t, iv, 16)
		require.Len(t, data, 112)
		d := k.one(operation("Decrypt", "", id(uid), parameters, bytesOf("Data", hex.EncodeToString(data)), bytesOf("IVCounterNonce", hex.EncodeToString(iv))))
		require.Equal(t, plain, hex.EncodeToString(d.only(uidTag, ttlv.TagData).value(ttlv.TagData).([]byte)))
	}
}

// TestClientPostgres is Percona's pg_tde: Key Compression Type on a symmetric key; two versions; more than one hit is an error
// to it.
func TestClientPostgres(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	name, key := "pg "+random(4), random(32)
	uid := s.talk(t, "1.4", libkmip).one(operation("Register", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12), nameIs(name)),
		keyOf("SymmetricKey", "Raw", key, enum("KeyCompressionType", "ECPublicKeyTypeUncompressed"), enum("CryptographicAlgorithm", "AES")+integerOf("CryptographicLength", 256)),
	)).only(uidTag).uid()
	k := s.talk(t, "1.0", libkmip)
	found := k.one(operation("Locate", "", integerOf("MaximumItems", 16), attribute("Object Type", "Enumeration", "SymmetricKey"), nameIs(name)))
	require.Equal(t, []string{uid}, found.only(uidTag).uids())
	require.Empty(t, k.one(operation("Locate", "", integerOf("MaximumItems", 16), attribute("Object Type", "Enumeration", "SymmetricKey"), nameIs(name+"x"))).node.Children)
	require.Equal(t, key, hex.EncodeToString(k.one(operation("Get", "", id(uid))).material(sym)))
}

// TestClientCeph: user name and password, empty at times; at most 8192 bytes; the name is found exactly once.
func TestClientCeph(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	for _, authentication := range []string{"", credential("ceph", "a password"), credential("", "")} {
		k := s.talk(t, "1.0", integerOf("MaximumResponseSize", 8192), authentication, `<TimeStamp type="DateTime" value="2025-07-11T13:53:20+00:00"/>`)
		name := "ceph " + random(4)
		uid := k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12), nameIs(name)))).uid()
		k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12), nameIs(name+" and more"))))
		require.Equal(t, []string{uid}, k.one(operation("Locate", "", nameIs(name))).uids())
		require.Len(t, k.one(operation("Get", "", id(uid))).material(sym), 32)
	}
	small := s.talk(t, "1.0", integerOf("MaximumResponseSize", 120))
	r := small.try(operation("Query", "", enum("QueryFunction", "QueryOperations")))[0]
	require.EqualValues(t, kmip.ResultReasonResponseTooLarge, r.value(ttlv.TagResultReason))
}

// TestClientFortiGate: four Locates in one message, their attributes in a Template-Attribute, with a credential and long
// item identifiers; the name must match exactly.
func TestClientFortiGate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.0", credential("fortigate", "a password"), enum("BatchErrorContinuationOption", "Continue"), `<BatchOrderOption type="Boolean" value="true"/>`)
	site := random(4)
	names := []string{"ike-" + site + "-1-auth", "ike-" + site + "-1-enc", "ike-" + site + "-10-auth", "ike-" + site + "-10-enc"}
	locate := func() []reply {
		var items []string
		for i, name := range names {
			items = append(items, operation("Locate", fmt.Sprintf("%024x", i+1), integerOf("MaximumItems", 1), template(nameIs(name))))
		}
		return k.ask(items...)
	}
	for _, r := range locate() {
		require.Empty(t, r.uids())
	}
	uids := map[string]string{}
	for _, name := range names[2:] { // those that the others begin like
		algorithm, bits := "HMAC_SHA1", 160
		if name == names[3] {
			algorithm, bits = "AES", 128
		}
		uids[name] = k.one(operation("Register", "0102030405060708090a0b0c", enum("ObjectType", "SymmetricKey"), template(describedAs(algorithm, bits, 12), nameIs(name)),
			keyOf("SymmetricKey", "Raw", random(bits/8), "", enum("CryptographicAlgorithm", algorithm)+integerOf("CryptographicLength", bits)))).uid()
	}
	for i, r := range locate() {
		if uid, ok := uids[names[i]]; ok {
			require.Equal(t, []string{uid}, r.uids())
			k.one(operation("Get", "0102030405060708090a0b0c", id(uid)))
		} else {
			require.Empty(t, r.uids(), names[i])
		}
	}
}

// TestClientBarbican: pairs without a mask, objects of all kinds, private keys in clear, and Destroy of what was never
// activated.
func TestClientBarbican(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.2")
	var uids []string
	uids = append(uids, k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12)))).uid())
	pair := k.one(operation("CreateKeyPair", "", in("CommonTemplateAttribute", describedAs("RSA", 2048, 0)))).only(ttlv.TagPrivateKeyUniqueIdentifier, ttlv.TagPublicKeyUniqueIdentifier)
	private, public := pair.value(ttlv.TagPrivateKeyUniqueIdentifier).(string), pair.value(ttlv.TagPublicKeyUniqueIdentifier).(string)
	uids = append(uids, private, public)
	for _, format := range []string{"PKCS_1", "PKCS_8"} {
		der := k.one(operation("Get", "", id(private), enum("KeyFormatType", format))).material(sk)
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if format == "PKCS_1" {
			parsed, err = x509.ParsePKCS1PrivateKey(der)
		}
		require.NoError(t, err)
		require.Equal(t, 2048, parsed.(*rsa.PrivateKey).N.BitLen())
	}
	der := k.one(operation("Get", "", id(public), enum("KeyFormatType", "X_509"))).material(pk)
	_, err := x509.ParsePKIXPublicKey(der)
	require.NoError(t, err)

	own, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	certificate, err := x509.CreateCertificate(rand.Reader, selfSigned, selfSigned, own.Public(), own)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(own)
	require.NoError(t, err)
	pkix, err := x509.MarshalPKIXPublicKey(own.Public())
	require.NoError(t, err)
	rsaBits := enum("CryptographicAlgorithm", "RSA") + integerOf("CryptographicLength", 2048)
	for object, x := range map[string]struct{ attributes, value, want string }{
		"Certificate":  {"", in("Certificate", enum("CertificateType", "X_509"), bytesOf("CertificateValue", hex.EncodeToString(certificate))), hex.EncodeToString(certificate)},
		"OpaqueObject": {"", in("OpaqueObject", enum("OpaqueDataType", "0x80000000"), bytesOf("OpaqueDataValue", "00ff17")), "00ff17"},
		"PrivateKey":   {describedAs("RSA", 2048, 1), keyOf("PrivateKey", "PKCS_8", hex.EncodeToString(pkcs8), "", rsaBits), hex.EncodeToString(pkcs8)},
		"PublicKey":    {describedAs("RSA", 2048, 2), keyOf("PublicKey", "X_509", hex.EncodeToString(pkix), "", rsaBits), hex.EncodeToString(pkix)},
		"SymmetricKey": {describedAs("AES", 128, 12), keyOf("SymmetricKey", "Raw", "000102030405060708090a0b0c0d0e0f", "", enum("CryptographicAlgorithm", "AES")+integerOf("CryptographicLength", 128)), "000102030405060708090a0b0c0d0e0f"},
		"SecretData":   {attribute("Cryptographic Usage Mask", "Integer", "2"), in("SecretData", enum("SecretDataType", "Password"), in("KeyBlock", enum("KeyFormatType", "Opaque"), in("KeyValue", bytesOf("KeyMaterial", "70617373")))), "70617373"},
	} {
		uid := k.one(operation("Register", "", enum("ObjectType", object), template(nameIs(random(16)), x.attributes), x.value)).only(uidTag).uid()
		got := k.one(operation("Get", "", id(uid)))
		require.Contains(t, got.String(), fmt.Sprintf(`value="%s"`, x.want), object)
		uids = append(uids, uid)
	}
	for _, uid := range uids {
		k.one(operation("Destroy", "", id(uid))).only(uidTag)
	}
}

var selfSigned = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "self"}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour)}

// TestClientSynology: Query of functions newer than its version, an Operation Policy Name that it gets back, and a name that it
// changes.
func TestClientSynology(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.2")
	for range 4 {
		var functions string
		for _, f := range []string{"QueryOperations", "QueryObjects", "QueryServerInformation", "QueryApplicationNamespaces", "QueryExtensionList", "QueryProfiles"} {
			functions += enum("QueryFunction", f)
		}
		q := k.one(operation("Query", "", functions))
		require.NotEmpty(t, q.all(ttlv.TagOperation))
		require.Less(t, len(q.all(ttlv.TagOperation)), 64)
		require.Less(t, len(q.all(ttlv.TagObjectType)), 32)
	}
	name, volume, password := random(64), "volume "+random(16), random(32)
	require.Empty(t, k.one(operation("Locate", "", nameIs(name))).uids())
	uid := k.one(operation("Register", "", enum("ObjectType", "SecretData"),
		template(attribute("Cryptographic Usage Mask", "Integer", "2"), attribute("Operation Policy Name", "TextString", "default"), nameIs(name)),
		in("SecretData", enum("SecretDataType", "Password"), in("KeyBlock", enum("KeyFormatType", "Opaque"), in("KeyValue", bytesOf("KeyMaterial", password)))),
	)).only(uidTag).uid()
	require.Equal(t, []string{uid}, k.one(operation("Locate", "", nameIs(name))).uids())
	modified := k.one(operation("ModifyAttribute", "", id(uid), nameIs(volume))).only(uidTag, ttlv.TagAttribute)
	require.Equal(t, volume, modified.attribute("Name").Children[0].Value)
	require.Empty(t, k.one(operation("Locate", "", nameIs(name))).uids())
	require.Equal(t, []string{uid}, k.one(operation("Locate", "", nameIs(volume))).uids())
	k.one(operation("Activate", "", id(uid)))
	list := k.one(operation("GetAttributeList", "", id(uid)))
	require.Contains(t, list.String(), `"Operation Policy Name"`)
	require.NotContains(t, list.String(), `"Sensitive"`, "an attribute of 1.4 is told to a client of 1.2")
	all := k.one(operation("GetAttributes", "", id(uid)))
	require.Equal(t, "default", all.attribute("Operation Policy Name").Value)
	require.EqualValues(t, kmip.StateActive, all.attribute("State").Value)
	require.Nil(t, all.attribute("Extractable"))
	require.NotContains(t, do[kmip.GetAttributesResponse](t, s.client("admin", ttlv.V2_1), kmip.OperationGetAttributes,
		&kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}).Attributes, kmip.Attribute{Tag: ttlv.TagOperationPolicyName, Value: "default"})
	require.Equal(t, password, hex.EncodeToString(k.one(operation("Get", "", id(uid))).material(secret)))
	k.one(operation("Revoke", "", id(uid), in("RevocationReason", enum("RevocationReasonCode", "CessationOfOperation"))))
	k.one(operation("Destroy", "", id(uid)))
}

// TestClientVeeam: pairs whose halves it takes out both; it cannot read attributes in a Key Value.
func TestClientVeeam(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.4")
	name := "veeam " + random(4)
	require.Empty(t, k.one(operation("Locate", "", nameIs(name))).uids())
	pair := k.one(operation("CreateKeyPair", "", in("CommonTemplateAttribute", describedAs("RSA", 2048, 0)),
		in("PrivateKeyTemplateAttribute", nameIs(name+" private"), attribute("Cryptographic Usage Mask", "Integer", "1")),
		in("PublicKeyTemplateAttribute", nameIs(name), attribute("Cryptographic Usage Mask", "Integer", "2"))))
	private, public := pair.value(ttlv.TagPrivateKeyUniqueIdentifier).(string), pair.value(ttlv.TagPublicKeyUniqueIdentifier).(string)
	require.Equal(t, []string{public}, k.one(operation("Locate", "", nameIs(name))).uids())
	der := k.one(operation("Get", "", id(private), enum("KeyFormatType", "PKCS_8"))).material(sk) // fails on attributes in it
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	require.NoError(t, err)
	der = k.one(operation("Get", "", id(public), enum("KeyFormatType", "PKCS_1"))).material(pk)
	other, err := x509.ParsePKCS1PublicKey(der)
	require.NoError(t, err)
	require.True(t, parsed.(*rsa.PrivateKey).PublicKey.Equal(other))
	k.one(operation("Destroy", "", id(private)))
	k.one(operation("Destroy", "", id(public)))
}

// TestClientZkey is IBM's p11kmip: it takes the first version of the answer, whatever order it asked in; it activates what it
// has just registered without naming it; it takes keys out wrapped by RSA.
func TestClientZkey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	version := func(major, minor int) string {
		return in("ProtocolVersion", integerOf("ProtocolVersionMajor", major), integerOf("ProtocolVersionMinor", minor))
	}
	ascending := version(1, 0) + version(1, 1) + version(1, 2) + version(1, 3) + version(1, 4)
	for _, header := range []string{"1.0", "1.2"} {
		answer := s.talk(t, header).one(operation("DiscoverVersions", "", ascending))
		var minors []int32
		for _, v := range answer.all(ttlv.TagProtocolVersion) {
			require.EqualValues(t, 1, v.value(ttlv.TagProtocolVersionMajor))
			minors = append(minors, v.value(ttlv.TagProtocolVersionMinor).(int32))
		}
		require.Equal(t, []int32{4, 3, 2, 1, 0}, minors)
	}
	k := s.talk(t, "1.4", enum("BatchErrorContinuationOption", "Stop"), `<BatchOrderOption type="Boolean" value="true"/>`)
	require.Empty(t, k.one(operation("DiscoverVersions", "01", version(9, 9))).node.Children)
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	pkix, err := x509.MarshalPKIXPublicKey(own.Public())
	require.NoError(t, err)
	made := k.ask(
		operation("Register", "01", enum("ObjectType", "PublicKey"), template(describedAs("RSA", 2048, 0x10|0x4), nameIs("zkey "+random(4))),
			keyOf("PublicKey", "X_509", hex.EncodeToString(pkix), "", enum("CryptographicAlgorithm", "RSA")+integerOf("CryptographicLength", 2048))),
		operation("Activate", "02"),
	)
	wrapping := made[0].uid()
	require.Equal(t, wrapping, made[1].uid())
	key := random(32)
	made = k.ask(
		operation("Register", "01", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12)),
			keyOf("SymmetricKey", "Raw", key, "", enum("CryptographicAlgorithm", "AES")+integerOf("CryptographicLength", 256))),
		operation("Activate", "02"),
	)
	got := k.one(operation("Get", "01", id(made[0].uid()), in("KeyWrappingSpecification", enum("WrappingMethod", "Encrypt"),
		in("EncryptionKeyInformation", id(wrapping), in("CryptographicParameters", enum("PaddingMethod", "OAEP"), enum("HashingAlgorithm", "SHA_256"), enum("CryptographicAlgorithm", "RSA"))),
		enum("EncodingOption", "NoEncoding"))))
	require.Equal(t, wrapping, got.value(sym, ttlv.TagKeyBlock, ttlv.TagKeyWrappingData, ttlv.TagEncryptionKeyInformation, uidTag))
	wrapped := got.value(sym, ttlv.TagKeyBlock, ttlv.TagKeyValue).([]byte)
	back, err := rsa.DecryptOAEP(sha256.New(), nil, own, wrapped, nil)
	require.NoError(t, err)
	require.Equal(t, key, hex.EncodeToString(back))
}

// TestClientKrill is a DNSSEC signer: pairs, one of them on a curve, that sign without leaving the server, or the token.
func TestClientKrill(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.2")
	curve := in("Attribute", text("AttributeName", "Cryptographic Domain Parameters"), in("AttributeValue", enum("RecommendedCurve", "P_256")))
	for name, attributes := range map[string]string{
		"RSA": describedAs("RSA", 2048, 0), "EC": attribute("Cryptographic Algorithm", "Enumeration", "EC") + attribute("Cryptographic Length", "Integer", "256") + curve,
	} {
		for _, place := range []string{"", "hsm::4::"} {
			var named string
			if place != "" {
				named = attribute("Unique Identifier", "TextString", place+name+" "+random(4))
			}
			pair := k.one(operation("CreateKeyPair", "", in("CommonTemplateAttribute", attributes),
				in("PrivateKeyTemplateAttribute", named, attribute("Cryptographic Usage Mask", "Integer", "1")),
				in("PublicKeyTemplateAttribute", attribute("Cryptographic Usage Mask", "Integer", "2"))))
			private, public := pair.value(ttlv.TagPrivateKeyUniqueIdentifier).(string), pair.value(ttlv.TagPublicKeyUniqueIdentifier).(string)
			for _, uid := range []string{private, public} {
				k.one(operation("Activate", "", id(uid)))
				k.one(operation("AddAttribute", "", id(uid), nameIs("key "+uid)))
				k.one(operation("ModifyAttribute", "", id(uid), nameIs("zone key "+uid)))
			}
			zone := bytes.Repeat([]byte("a zone "), 100)
			parameters := in("CryptographicParameters", enum("PaddingMethod", "PKCS1V1_5"), enum("HashingAlgorithm", "SHA_256"), enum("CryptographicAlgorithm", "RSA"))
			if name == "EC" {
				parameters = in("CryptographicParameters", enum("DigitalSignatureAlgorithm", "ECDSAWithSHA256"))
			}
			signature := k.one(operation("Sign", "", id(private), parameters, bytesOf("Data", hex.EncodeToString(zone)))).value(ttlv.TagSignatureData).([]byte)
			sum := sha256.Sum256(zone)
			if name == "RSA" {
				block := k.one(operation("Get", "", id(public), enum("KeyFormatType", "TransparentRSAPublicKey"))).at(pk, ttlv.TagKeyBlock, ttlv.TagKeyValue, material)
				key := &rsa.PublicKey{N: block.value(ttlv.TagModulus).(*big.Int), E: int(block.value(ttlv.TagPublicExponent).(*big.Int).Int64())}
				require.NoError(t, rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature))
			} else {
				block := k.one(operation("Get", "", id(public), enum("KeyFormatType", "TransparentECPublicKey"))).at(pk, ttlv.TagKeyBlock, ttlv.TagKeyValue, material)
				key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), block.value(ttlv.TagQString).([]byte))
				require.NoError(t, err)
				require.True(t, ecdsa.VerifyASN1(key, sum[:], signature), "not a signature in DER")
			}
		}
	}
}

// TestBatchStopsAndContinues: what behind a failed item is performed is the client's to say.
func TestBatchStopsAndContinues(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	bad := operation("Get", "01", id("absent"))
	good := operation("Query", "02", enum("QueryFunction", "QueryServerInformation"))
	k := s.talk(t, "1.4", enum("BatchErrorContinuationOption", "Continue"))
	answers := k.try(bad, good)
	require.EqualValues(t, kmip.ResultStatusOperationFailed, answers[0].value(ttlv.TagResultStatus))
	require.EqualValues(t, kmip.ResultReasonItemNotFound, answers[0].value(ttlv.TagResultReason))
	require.EqualValues(t, kmip.ResultStatusSuccess, answers[1].value(ttlv.TagResultStatus))
}
