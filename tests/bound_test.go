package tests

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/hsm"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// TestReplacedInToken has pkcs11-tool replace keys by others of the same labels, under a server that runs: neither grants nor states of
// the ones before are theirs, across a restart too, until the operator says what they are.
func TestReplacedInToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(s.strongroomd("client", "add", "bob", "--dir", s.dir))
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	create(t, admin, aes("hsm::4::k"))
	do[kmip.CreateKeyPairResponse](t, admin, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: usable("hsm::4::pair", kmip.CryptographicAlgorithmRSA, 2048)})
	grant(t, admin, "hsm::4::k", "bob", kmip.OperationEncrypt)
	grant(t, admin, "hsm::4::pair", "bob", kmip.OperationSign)
	_, err := encrypt(t, bob, "hsm::4::k", []byte("x"))
	require.NoError(t, err)
	revoke(t, admin, "hsm::4::pair")

	for label, class := range map[string]string{"k": "secrkey", "pair": "privkey", "pair_pk": "pubkey"} {
		s.tool("--delete-object", "--type", class, "--label", label)
	}
	s.tool("--keygen", "--key-type", "AES:32", "--label", "k", "--id", "6b", "--sensitive")
	s.tool("--keypairgen", "--key-type", "rsa:2048", "--label", "pair", "--id", "70616972", "--sensitive")
	all := []string{"hsm::4::k", "hsm::4::pair", "hsm::4::pair_pk"}
	sign := func(c *client.Client) error {
		return perform(t, c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: "hsm::4::pair", Data: []byte("x")})
	}
	refused := func() {
		t.Helper()
		admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
		require.Eventually(t, func() bool { // what is remembered is a second old at most
			first, second := errorOf(encrypt(t, admin, "hsm::4::k", []byte("x"))), sign(admin)
			return first != nil && refusal(t, first).Reason == kmip.ResultReasonPermissionDenied && second != nil && refusal(t, second).Reason == kmip.ResultReasonPermissionDenied
		}, 20*time.Second, 20*time.Millisecond)
		for _, err := range []error{errorOf(encrypt(t, admin, "hsm::4::k", []byte("x"))), sign(admin)} {
			require.ErrorContains(t, err, "another key than the one that something is stored of")
		}
		for _, err := range []error{errorOf(encrypt(t, bob, "hsm::4::k", []byte("x"))), sign(bob)} {
			require.Equal(t, kmip.ResultReasonObjectNotFound, refusal(t, err).Reason)
		}
		require.Empty(t, locate(t, admin))
		for _, k := range hsmKeys(s) {
			require.True(t, k.Recorded && k.Another, k.UniqueIdentifier)
			require.NotEmpty(t, k.Fingerprint)
		}
	}
	refused()
	for _, uid := range all {
		require.Equal(t, 1, strings.Count(s.log.String(), "uid="+uid+" "), "the log says it once of %s", uid)
	}
	s.stop()
	s.serve()
	refused()

	command := func(args ...string) result {
		return s.strongroomd(append([]string{"hsm", args[0], "--json", "--config", s.path("strongroom.toml")}, args[1:]...)...)
	}
	var left []hsm.Left
	require.NoError(t, json.Unmarshal([]byte(s.must(command("prune", "--dry-run"))), &left))
	require.Len(t, left, 3)
	require.Contains(t, s.refused(command("adopt", "--all")), "say --replace")
	misused := command("adopt", "--all", "--replace", "--same-key")
	require.Equal(t, 2, misused.code)
	require.Contains(t, misused.stderr, "exclude one another")
	refused()
	var list []hsm.Adopted
	require.NoError(t, json.Unmarshal([]byte(s.must(command("adopt", "k", "pair", "--replace"))), &list))
	for i, a := range list {
		require.Equal(t, []string{all[i], hsm.ResultReplaced}, []string{a.UniqueIdentifier, a.Result})
	}
	for _, k := range hsmKeys(s) {
		require.True(t, k.Recorded && !k.Another && k.Grants == 0, k.UniqueIdentifier)
	}
	admin, bob = s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	_, err = encrypt(t, admin, "hsm::4::k", []byte("x"))
	require.NoError(t, err)
	require.NoError(t, sign(admin))
	for _, err := range []error{errorOf(encrypt(t, bob, "hsm::4::k", []byte("x"))), sign(bob)} {
		require.Equal(t, kmip.ResultReasonObjectNotFound, refusal(t, err).Reason)
	}
	s.audits(`"hsm adopt"`)
}

// TestRestoredToken brings keys into another token, which has another label and lies in another slot, with another tool: what is stored
// of them is theirs there.
func TestRestoredToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(s.strongroomd("client", "add", "bob", "--dir", s.dir))
	material := s.path("material")
	require.NoError(t, os.WriteFile(material, []byte("0123456789abcdef0123456789abcdef"), 0o600))
	s.must(s.exec(nil, "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER", "-out", s.path("rsa.der")))
	s.must(s.exec(nil, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-outform", "DER", "-out", s.path("ec.der")))
	bring := func(token string) {
		for _, args := range [][]string{
			{material, "--type", "secrkey", "--key-type", "AES:32", "--label", "aes", "--usage-decrypt"},
			{s.path("rsa.der"), "--type", "privkey", "--label", "rsa", "--usage-sign"},
			{s.path("ec.der"), "--type", "privkey", "--label", "ec", "--usage-sign"},
		} {
			s.tool(append([]string{"--token-label", token, "--sensitive", "--write-object"}, args...)...)
		}
	}
	bring("strongroom")
	s.serve()
	uids := []string{"hsm::4::aes", "hsm::4::ec", "hsm::4::rsa"}
	admin := s.client("admin", ttlv.V2_1)
	for _, uid := range uids {
		grant(t, admin, uid, "bob", kmip.OperationGetAttributes)
	}
	revoke(t, admin, "hsm::4::rsa")
	s.stop()

	pin := strings.TrimSpace(string(s.read("hsm-4.pin")))
	s.must(s.exec([]string{"SOFTHSM2_CONF=" + s.path("softhsm", "softhsm2.conf")}, "softhsm2-util", "--init-token", "--free", "--label", "elsewhere", "--so-pin", "12345678", "--pin", pin))
	bring("elsewhere")
	configuration := string(s.read("strongroom.toml"))
	changed := strings.Replace(configuration, `"strongroom"`, `"elsewhere"`, 1)
	require.NotEqual(t, configuration, changed)
	require.NoError(t, os.WriteFile(s.path("strongroom.toml"), []byte(changed), 0o600))
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	require.ElementsMatch(t, uids, locate(t, bob))
	for _, uid := range uids {
		a := do[kmip.GetAttributesResponse](t, bob, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}).Attributes
		require.Equal(t, uid == "hsm::4::rsa", a.State(time.Now()) == kmip.StateCompromised || a.State(time.Now()) == kmip.StateDeactivated, uid)
	}
	_, err := encrypt(t, admin, "hsm::4::aes", []byte("x"))
	require.NoError(t, err)
	for _, k := range hsmKeys(s) {
		require.True(t, k.Recorded && !k.Another && k.Grants == 1, "%+v", k)
	}
}
