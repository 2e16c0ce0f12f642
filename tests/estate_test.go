package tests

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/hsm"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A foreign key is one that pkcs11-tool makes, and how this server names it.
type foreign struct {
	label, id string
	kind      string // AES:32, EC:prime256v1, rsa:2048
	name      string // "" for none
}

// estateOf are keys as they lie in tokens that have seen a few years.
func estateOf() (all []foreign) {
	for i := range 24 {
		all = append(all, foreign{fmt.Sprintf("app-%02d", i), fmt.Sprintf("%04x", i+0x100), []string{"AES:16", "AES:24", "AES:32"}[i%3], fmt.Sprintf("app-%02d", i)})
	}
	odd := []string{"with space", " leading", "slash/y", "co:lon", "a::b", "ünïcödé-Ⅷ", "鍵", "'quote\"", "semi;colon", "tab\tbed", "hash#01", "k_pk", "*", "12345", strings.Repeat("long", 60)}
	for i, label := range odd {
		f := foreign{label, fmt.Sprintf("a0%02x", i), "AES:32", label}
		if label == "tab\tbed" { // no identifier has control characters
			f.name = f.id
		}
		all = append(all, f)
	}
	return append(all,
		foreign{"", "0102", "AES:32", "0102"}, foreign{"", "ff", "AES:16", "ff"}, foreign{"", "", "AES:16", ""},
		foreign{"no id", "", "AES:32", "no id"},
		foreign{"twice", "01", "AES:32", "twice#01"}, foreign{"twice", "02", "AES:32", "twice#02"},
		foreign{"lost", "", "AES:32", ""}, foreign{"lost", "", "AES:32", ""},
		foreign{"signer", "5160", "EC:prime256v1", "signer"}, foreign{"signer", "5161", "EC:prime256v1", ""}, // the second makes both shared: below
		foreign{"rsa pair", "7273", "rsa:2048", "rsa pair"},
	)
}

// TestEstate serves a token in which other tools made fifty keys and a certificate: each is listed, located and used by its name.
func TestEstate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := estateOf()
	want := map[string]foreign{}
	for _, f := range all {
		args := []string{"--keygen", "--key-type", f.kind}
		pair := !strings.HasPrefix(f.kind, "AES")
		if pair {
			args[0] = "--keypairgen"
		}
		if f.label != "" {
			args = append(args, "--label", f.label)
		}
		if f.id != "" {
			args = append(args, "--id", f.id)
		}
		s.tool(append(args, "--sensitive")...)
		name := f.name
		if f.label == "signer" {
			name = "signer#" + f.id
		}
		if name != "" {
			want["hsm::4::"+name] = f
		}
		if pair {
			want["hsm::4::"+name+"_pk"] = f
		}
	}
	ca, _ := s.exec(nil, "/usr/bin/openssl", "x509", "-in", s.path("tls", "ca.crt"), "-outform", "DER", "-out", s.path("ca.der")), 0
	s.must(ca)
	s.tool("--write-object", s.path("ca.der"), "--type", "cert", "--label", "app-00", "--id", "0100")
	s.serve()
	admin := s.client("admin", ttlv.V2_1)

	require.ElementsMatch(t, keysOf(want), locate(t, admin))
	keys := hsmKeys(s)
	require.Len(t, keys, len(all)+3, "every key, and no certificate")
	listed := map[string]hsm.KeyInfo{}
	for _, k := range keys {
		if k.UniqueIdentifier != "" {
			listed[k.UniqueIdentifier] = k
		}
		require.False(t, k.Recorded)
	}
	require.ElementsMatch(t, keysOf(want), keysOf(listed))
	for uid, f := range want {
		useForeign(t, admin, uid, f)
	}
	for name, text := range map[string]string{
		"twice": `["hsm::4::twice#01" "hsm::4::twice#02"]`, "lost": "no CKA_ID", "signer": "hsm::4::signer#5161", "signer_pk": "hsm::4::signer#5160_pk",
	} {
		_, err := encrypt(t, admin, "hsm::4::"+name, []byte("x"))
		require.ErrorContains(t, err, text, name)
	}
	adoptEstate(t, s, admin, want)
	pruneEstate(t, s, admin)
}

func keysOf[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// hsmKeys is what strongroomd hsm keys tells.
func hsmKeys(s *site) (keys []hsm.KeyInfo) {
	r := s.strongroomd("hsm", "keys", "4", "--json", "--config", s.path("strongroom.toml"))
	require.NoError(s.t, json.Unmarshal([]byte(s.must(r)), &keys))
	require.Empty(s.t, r.stderr)
	return keys
}

// useForeign uses a key for what it is, and compares its attributes with what it was made as.
func useForeign(t *testing.T, c *client.Client, uid string, f foreign) {
	t.Helper()
	a := do[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}).Attributes
	require.Equal(t, kmip.StateActive, a.State(born), uid)
	k := &kind{t: t, c: c}
	switch kindOf, _, _ := strings.Cut(f.kind, ":"); {
	case kindOf == "AES":
		require.EqualValues(t, map[string]int{"AES:16": 128, "AES:24": 192, "AES:32": 256}[f.kind], a.Length())
		require.True(t, a.Sensitive())
		require.NoError(t, k.sealed(kmip.UniqueIdentifier(uid), kmip.UniqueIdentifier(uid), gcm, nil, []byte(uid)), uid)
	case strings.HasSuffix(uid, "_pk"):
		private := kmip.UniqueIdentifier(strings.TrimSuffix(uid, "_pk"))
		if kindOf == "EC" {
			p := &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmECDSA, HashingAlgorithm: kmip.HashingAlgorithmSHA256}
			require.NoError(t, k.signed(private, kmip.UniqueIdentifier(uid), p, func(key any, digest, s []byte) bool { return ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest, s) }))
			return
		}
		require.NoError(t, k.signed(private, kmip.UniqueIdentifier(uid), rsaSHA256, func(key any, digest, s []byte) bool {
			return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest, s) == nil
		}))
	}
}

// adoptEstate adopts the keys, first on trial, then some, then all, and again.
func adoptEstate(t *testing.T, s *site, admin *client.Client, want map[string]foreign) {
	adopt := func(args ...string) (list []hsm.Adopted) {
		t.Helper()
		require.NoError(t, json.Unmarshal([]byte(s.must(s.strongroomd(append([]string{"hsm", "adopt", "--json", "--config", s.path("strongroom.toml")}, args...)...))), &list))
		return list
	}
	require.Len(t, adopt("--all", "--dry-run"), len(want))
	require.False(t, hsmKeys(s)[0].Recorded, "on trial nothing changes")
	list := adopt("rsa pair", "--name", "payments", "--tag", "finance")
	require.Len(t, list, 2)
	require.Equal(t, []string{"payments"}, list[0].Names)
	require.Equal(t, "adopted", list[1].Result)
	name := kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "payments", NameType: kmip.NameTypeUninterpretedTextString}}
	found := do[kmip.LocateResponse](t, admin, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{name, {Tag: ttlv.TagObjectType, Value: kmip.ObjectTypePrivateKey}}})
	require.Equal(t, []kmip.UniqueIdentifier{"hsm::4::rsa pair"}, found.UniqueIdentifier)
	pair := do[kmip.ReKeyKeyPairResponse](t, admin, kmip.OperationReKeyKeyPair, &kmip.ReKeyKeyPairRequest{PrivateKeyUniqueIdentifier: "hsm::4::rsa pair"})
	require.Equal(t, kmip.UniqueIdentifier("hsm::4::rsa pair-2"), pair.PrivateKeyUniqueIdentifier)
	require.Equal(t, kmip.UniqueIdentifier("hsm::4::rsa pair-2_pk"), pair.PublicKeyUniqueIdentifier)

	require.Len(t, adopt("--all"), len(want)+2)
	for _, a := range adopt("--all") {
		require.Equal(t, "unchanged", a.Result, a.UniqueIdentifier)
	}
	require.Equal(t, "changed", adopt("hsm::4::twice#01", "--name", "one of two")[0].Result)
	for args, text := range map[string]string{"twice": `share it: ["hsm::4::twice#01" "hsm::4::twice#02"]`, "nobody": "there is no such key", "--all --name x": "a name is for one key"} {
		require.Contains(t, s.refused(s.strongroomd(append([]string{"hsm", "adopt", "--config", s.path("strongroom.toml")}, strings.SplitN(args, " ", 3)...)...)), text)
	}
	// An adopted key lives as any other.
	revoke(t, admin, "hsm::4::app-03")
	require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, refusal(t, errorOf(encrypt(t, admin, "hsm::4::app-03", []byte("x")))).Reason)
	for _, k := range hsmKeys(s) {
		require.Equal(t, k.UniqueIdentifier != "", k.Recorded, "%+v", k)
	}
}

func errorOf[T any](_ T, err error) error { return err }

// pruneEstate destroys keys with another tool: what is stored of them is shown, and forgotten when the operator says so, but not
// while the token is away or another one.
func pruneEstate(t *testing.T, s *site, admin *client.Client) {
	grant(t, admin, "hsm::4::app-05", "bob", kmip.OperationEncrypt)
	for _, label := range []string{"app-05", "app-06"} {
		s.tool("--delete-object", "--type", "secrkey", "--label", label)
	}
	prune := func(args ...string) result {
		return s.strongroomd(append([]string{"hsm", "prune", "--json", "--config", s.path("strongroom.toml")}, args...)...)
	}
	var left []hsm.Left
	require.NoError(t, json.Unmarshal([]byte(s.must(prune("--dry-run"))), &left))
	require.Equal(t, []hsm.Left{{UniqueIdentifier: "hsm::4::app-05", Bits: 256, Names: []string{}, Grants: 1}, {UniqueIdentifier: "hsm::4::app-06", Bits: 128, Names: []string{}}}, left)
	gone := 0
	for _, k := range hsmKeys(s) {
		if k.Class == "gone" {
			gone++
		}
	}
	require.Equal(t, 2, gone)

	// Beside a server that does not run, too; and the log of one that starts says what is left.
	s.stop()
	require.NoError(t, json.Unmarshal([]byte(s.must(prune("--dry-run"))), &left))
	require.Len(t, left, 2)
	require.NoError(t, os.Rename(s.path("softhsm", "tokens"), s.path("softhsm", "away")))
	require.NoError(t, os.Mkdir(s.path("softhsm", "tokens"), 0o700))
	require.Contains(t, s.refused(prune()), "CKR_TOKEN_NOT_PRESENT")
	pin := strings.TrimSpace(string(s.read("hsm-4.pin")))
	s.must(s.exec([]string{"SOFTHSM2_CONF=" + s.path("softhsm", "softhsm2.conf")}, "softhsm2-util", "--init-token", "--free", "--label", "strongroom", "--so-pin", "12345678", "--pin", pin))
	require.Contains(t, s.refused(prune()), "another token is in it")
	require.Contains(t, s.refused(prune("--new-token")), "none of the")
	require.NoError(t, os.RemoveAll(s.path("softhsm", "tokens")))
	require.NoError(t, os.Rename(s.path("softhsm", "away"), s.path("softhsm", "tokens")))
	s.serve()
	require.Eventually(t, func() bool {
		return strings.Contains(s.log.String(), "something is stored of keys that are not in their token")
	}, time.Minute, 20*time.Millisecond, "%s", s.log)

	require.NoError(t, json.Unmarshal([]byte(s.must(prune())), &left))
	require.True(t, left[0].Forgotten && left[1].Forgotten)
	require.Equal(t, "[]\n", s.must(prune()))
	s.tool("--keygen", "--key-type", "AES:32", "--label", "app-05")
	bob := do[kmip.ListAccessResponse](t, s.client("admin", ttlv.V2_1), kmip.OperationListAccess, &kmip.ListAccessRequest{UniqueIdentifier: "hsm::4::app-05"})
	require.Empty(t, bob.AccessEntry, "no grant waits for the next key of a name")
}

var (
	toolLabel  = regexp.MustCompile(`(?m)^  label: +(.*)$`)
	toolUsage  = regexp.MustCompile(`(?m)^  Usage: +(.*)$`)
	toolAccess = regexp.MustCompile(`(?m)^  Access: +(.*)$`)
)

// TestTemplates reads back, with another tool, the flags of every key that the server makes: none may both encrypt and wrap.
func TestTemplates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	const (
		data  = kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt
		keys  = kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey
		signs = kmip.CryptographicUsageMaskSign
		macs  = kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskMACVerify
	)
	const sensitive = "sensitive, always sensitive, never extractable"
	want := map[string][2]string{} // usage, access
	mask := func(name string, m kmip.CryptographicUsageMask) kmip.Attributes {
		return aes("hsm::4::"+name).With(ttlv.TagCryptographicUsageMask, m)
	}
	for name, m := range map[string]kmip.CryptographicUsageMask{"data": data, "kek": data | keys, "seals": kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskWrapKey} {
		create(t, c, mask(name, m))
		want[name] = [2]string{"encrypt, decrypt", sensitive}
	}
	want["seals"] = [2]string{"encrypt", sensitive}
	create(t, c, aes("hsm::4::usual").Without(ttlv.TagCryptographicUsageMask))
	want["usual"] = [2]string{"encrypt, decrypt", sensitive}
	create(t, c, mask("wrapping", keys))
	want["wrapping"] = [2]string{"wrap, unwrap", sensitive}
	create(t, c, mask("out", kmip.CryptographicUsageMaskWrapKey))
	want["out"] = [2]string{"wrap", sensitive}
	create(t, c, mask("clear", data).With(ttlv.TagSensitive, false))
	want["clear"] = [2]string{"encrypt, decrypt", "extractable"}
	create(t, c, mask("movable", data).With(ttlv.TagSensitive, true).With(ttlv.TagExtractable, true))
	want["movable"] = [2]string{"encrypt, decrypt", "sensitive, always sensitive, extractable"}
	create(t, c, usable("hsm::4::mac", kmip.CryptographicAlgorithmHMACSHA256, 256).With(ttlv.TagCryptographicUsageMask, macs))
	want["mac"] = [2]string{"verify", sensitive} // of secret keys the tool does not say that they sign
	do[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "hsm::4::wrapping"})
	want["wrapping-2"] = want["wrapping"]
	do[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: mask("registered", data|keys), Value: rawKey(kmip.CryptographicAlgorithmAES, make([]byte, 32))})
	want["registered"] = [2]string{"encrypt, decrypt", "sensitive"}
	wrapped := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "hsm::4::movable", KeyWrappingSpecification: bare("hsm::4::wrapping")})
	do[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: "hsm::4::imported", ObjectType: kmip.ObjectTypeSymmetricKey, KeyWrapType: kmip.KeyWrapTypeNotWrapped,
		Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: data}}, Value: wrapped.Value})
	want["imported"] = [2]string{"encrypt, decrypt", "sensitive"}

	pair := func(name string, algorithm kmip.CryptographicAlgorithm, private, public kmip.CryptographicUsageMask, usage, publicUsage string) {
		bits := int32(2048)
		if algorithm != kmip.CryptographicAlgorithmRSA {
			bits = 256
		}
		do[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: usable("hsm::4::"+name, algorithm, bits).Without(ttlv.TagCryptographicUsageMask),
			PrivateKeyAttributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: private}}, PublicKeyAttributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: public}}})
		want[name], want[name+"_pk"] = [2]string{usage, sensitive}, [2]string{publicUsage, ""}
	}
	const verifies = kmip.CryptographicUsageMaskVerify
	pair("rsa", kmip.CryptographicAlgorithmRSA, data|keys|signs, data|keys|verifies, "decrypt, sign, unwrap", "encrypt, verify")
	pair("rsa-data", kmip.CryptographicAlgorithmRSA, kmip.CryptographicUsageMaskDecrypt, kmip.CryptographicUsageMaskEncrypt, "decrypt", "encrypt")
	pair("rsa-keys", kmip.CryptographicAlgorithmRSA, kmip.CryptographicUsageMaskUnwrapKey, kmip.CryptographicUsageMaskWrapKey, "decrypt, unwrap", "wrap")
	pair("rsa-sign", kmip.CryptographicAlgorithmRSA, signs, verifies, "sign", "verify")
	pair("ec", kmip.CryptographicAlgorithmECDSA, signs, verifies, "sign", "verify")

	shown := map[string][2]string{}
	first := func(r *regexp.Regexp, text string) string {
		if m := r.FindStringSubmatch(text); m != nil {
			return strings.TrimSuffix(strings.TrimSuffix(m[1], ", local"), "local")
		}
		return ""
	}
	objects := regexp.MustCompile(`(?m)^(Secret|Private|Public) Key Object`).Split(s.tool("-O"), -1)[1:]
	for _, text := range objects {
		shown[first(toolLabel, text)] = [2]string{first(toolUsage, text), first(toolAccess, text)}
	}
	require.Equal(t, want, shown)
	// CKA_PRIVATE: who does not log in sees the public keys alone.
	public := s.exec([]string{"SOFTHSM2_CONF=" + s.path("softhsm", "softhsm2.conf")}, "pkcs11-tool", "--module", s.module(), "-O")
	require.NotContains(t, public.stdout, "Secret Key")
	require.NotContains(t, public.stdout, "Private Key")
	require.Len(t, toolLabel.FindAllString(public.stdout, -1), 5)
}

// bare asks for the bare material, wrapped.
func bare(by kmip.UniqueIdentifier) *kmip.KeyWrappingSpecification {
	return &kmip.KeyWrappingSpecification{WrappingMethod: kmip.WrappingMethodEncrypt, EncodingOption: kmip.EncodingOptionNoEncoding,
		EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: by}}
}

// TestCarryByKMIP takes sensitive keys out of the token wrapped by another of its keys, and brings them in again.
func TestCarryByKMIP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	movable := func(a kmip.Attributes) kmip.Attributes {
		return a.With(ttlv.TagSensitive, true).With(ttlv.TagExtractable, true)
	}
	create(t, c, aes("hsm::4::kek").With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskWrapKey|kmip.CryptographicUsageMaskUnwrapKey))
	create(t, c, movable(aes("hsm::4::k")))
	create(t, c, aes("hsm::4::stays"))
	create(t, c, aes("database"))
	create(t, c, wrappedBy(aes("row"), "hsm::4::kek"))
	works(t, c, "row")
	sealed, err := encrypt(t, c, "hsm::4::k", []byte("before"))
	require.NoError(t, err)

	out := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "hsm::4::k", KeyWrappingSpecification: bare("hsm::4::kek")})
	require.Len(t, out.KeyBlock().KeyValue.Wrapped, 40)
	exported := do[kmip.ExportResponse](t, c, kmip.OperationExport, &kmip.ExportRequest{UniqueIdentifier: "hsm::4::k", KeyWrappingSpecification: bare("hsm::4::kek")})
	require.Equal(t, out.KeyBlock(), exported.KeyBlock())
	do[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: "hsm::4::imported", ObjectType: kmip.ObjectTypeSymmetricKey, KeyWrapType: kmip.KeyWrapTypeNotWrapped, Attributes: exported.Attributes, Value: exported.Value})
	do[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("hsm::4::registered"), Value: out.Value})
	for _, uid := range []kmip.UniqueIdentifier{"hsm::4::imported", "hsm::4::registered"} {
		sealed.UniqueIdentifier = uid
		clear, err := decrypt(t, c, sealed)
		require.NoError(t, err)
		require.Equal(t, "before", string(clear))
	}

	get := func(uid kmip.UniqueIdentifier, spec *kmip.KeyWrappingSpecification) *client.Error {
		return refusal(t, perform(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid, KeyWrappingSpecification: spec}))
	}
	require.Equal(t, kmip.ResultReasonSensitive, get("hsm::4::k", nil).Reason)
	require.Equal(t, kmip.ResultReasonNotExtractable, get("hsm::4::stays", bare("hsm::4::kek")).Reason)
	for name, spec := range map[string]*kmip.KeyWrappingSpecification{
		"no key of the same token":       bare("database"),
		"the Encoding Option is No Enc":  {WrappingMethod: kmip.WrappingMethodEncrypt, EncryptionKeyInformation: bare("hsm::4::kek").EncryptionKeyInformation},
		"does not wrap in the token":     bare("hsm::4::stays"),
		"a token wraps no attributes wi": {WrappingMethod: kmip.WrappingMethodEncrypt, EncodingOption: kmip.EncodingOptionNoEncoding, AttributeName: []string{"Name"}, EncryptionKeyInformation: bare("hsm::4::kek").EncryptionKeyInformation},
	} {
		e := get("hsm::4::k", spec)
		require.Equal(t, kmip.ResultReasonSensitive, e.Reason, name)
		require.Contains(t, e.Message, name)
	}
}
