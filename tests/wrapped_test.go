package tests

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to forge rows

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
	"strongroom/store"
)

// wrapping makes wrapping keys in a site's token, and has the configuration begin with a line.
func (s *site) wrapping(line string, labels ...string) {
	s.t.Helper()
	for _, label := range labels {
		s.must(s.strongroomd("hsm", "generate", "--config", s.path("strongroom.toml"), "--slot", "4", "--key-label", label, "--purpose", "wrapping"))
	}
	s.write("strongroom.toml", append([]byte(line+"\n"), s.read("strongroom.toml")...))
}

// inHardware makes a pair that is to be protected in hardware.
func inHardware(t *testing.T, c *client.Client, a kmip.Attributes) (private, public string) {
	t.Helper()
	r := do[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
		CommonAttributes: a, CommonProtectionStorageMasks: kmip.ProtectionStorageMasks{kmip.ProtectionStorageMaskHardware},
	})
	return string(r.PrivateKeyUniqueIdentifier), string(r.PublicKeyUniqueIdentifier)
}

// signature signs with PKCS #1 v1.5 or ECDSA, with SHA-256.
func signature(t *testing.T, c *client.Client, uid string, data []byte) ([]byte, error) {
	t.Helper()
	r, err := client.Do[kmip.SignResponse](t.Context(), c, kmip.OperationSign, &kmip.SignRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), Data: data, CryptographicParameters: &kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256},
	})
	if err != nil {
		require.Nil(t, r)
		return nil, err
	}
	return r.SignatureData, nil
}

// verifies says whether a signature is one of the private half of a public key.
func verifies(t *testing.T, public, data, signature []byte) bool {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(public)
	require.NoError(t, err)
	digest := sha256.Sum256(data)
	if k, ok := key.(*rsa.PublicKey); ok {
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], signature) == nil
	}
	return ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], signature)
}

// openSSLVerifies lets OpenSSL say so.
func openSSLVerifies(t *testing.T, public, data, signature []byte) {
	t.Helper()
	dir := t.TempDir()
	path := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, b, 0o600))
		return p
	}
	key := path("key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	out, err := exec.Command("openssl", "dgst", "-sha256", "-verify", key, "-signature", path("signature", signature), path("data", data)).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

var curveP256 = kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveP256}

func p256(uid string) kmip.Attributes {
	return usable(uid, kmip.CryptographicAlgorithmECDSA, 256).With(ttlv.TagCryptographicDomainParameters, curveP256)
}

// TestX59X61HSMWrapped makes more keys than anybody would put into a token, a thousand of them RSA keys with STRONGROOM_LONG. The token shows
// the same two objects all the time, and what it was told to do for a signature.
func TestX59X61HSMWrapped(t *testing.T) {
	t.Parallel()
	pairs, rsas := 30, 4
	if os.Getenv("STRONGROOM_LONG") != "" {
		pairs, rsas = 1000, 1000
	}
	s := newSite(t)
	s.wrapping(`hsm_wrapping_key = "hsm::4::wrapping"`, "wrapping", "other")
	plain := *s
	plain.library = s.module()
	p := spyOn(s)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	before := plain.tool("-O")
	require.Equal(t, 2, strings.Count(before, "Secret Key Object"))
	data := []byte("what is signed")
	for i := range pairs {
		uid, a := fmt.Sprintf("key-%d", i), kmip.Attributes(nil)
		if a = p256(uid); i < rsas {
			a = usable(uid, kmip.CryptographicAlgorithmRSA, 2048)
		}
		private, public := inHardware(t, c, a)
		der := get(t, c, public, kmip.KeyFormatTypeX509).Material
		from := p.size()
		signed, err := signature(t, c, private, data)
		require.NoError(t, err)
		require.True(t, verifies(t, der, data, signed))
		if i < 6 {
			openSSLVerifies(t, der, data, signed)
		}
		require.Equal(t, []string{"C_UnwrapKey", "C_SignInit", "C_Sign", "C_DestroyObject"}, p.changes(from))
	}
	require.Equal(t, before, plain.tool("-O"), "the token has other objects than before")

	o := do[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "key-0"}).Attributes
	protection, _ := o.Vendor(kmip.VendorServer, kmip.AttributeProtection)
	wrapping, _ := o.Vendor(kmip.VendorServer, kmip.AttributeWrappingKeyID)
	require.Equal(t, []any{kmip.ProtectionHSMWrapped, "hsm::4::wrapping"}, []any{protection, wrapping})
	storage, _ := kmip.Get[kmip.ProtectionStorageMask](o, ttlv.TagProtectionStorageMask)
	require.Equal(t, kmip.ProtectionStorageMaskHardware, storage)
	for _, op := range []kmip.Operation{kmip.OperationGet, kmip.OperationExport} {
		require.Equal(t, kmip.ResultReasonSensitive, refusal(t, perform(t, c, op, &kmip.GetRequest{UniqueIdentifier: "key-0"})).Reason)
	}

	revoke(t, c, "key-1")
	_, err := signature(t, c, "key-1", data)
	require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, refusal(t, err).Reason)
	destroy(t, c, "key-1")
	_, err = signature(t, c, "key-1", data)
	require.Equal(t, kmip.ResultReasonObjectDestroyed, refusal(t, err).Reason)
	s.testForged(data)
}

// testForged exchanges, in the database, what two rows have: it is refused, and no signature comes back.
func (s *site) testForged(data []byte) {
	s.t.Helper()
	s.stop()
	db, err := sql.Open("sqlite", s.path("data", "strongroom.db"))
	require.NoError(s.t, err)
	for _, uid := range []string{"key-2", "key-2_pk"} {
		from := strings.Replace(uid, "2", "3", 1)
		_, err = db.Exec(`UPDATE objects SET envelope = (SELECT envelope FROM objects WHERE uid = $1) WHERE uid = $2`, from, uid)
		require.NoError(s.t, err)
	}
	require.NoError(s.t, db.Close())
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	_, err = signature(s.t, c, "key-2", data)
	require.Equal(s.t, kmip.ResultReasonGeneralFailure, refusal(s.t, err).Reason)
	s.logs(`reading object \"key-2\": it does not have its MAC`)
	require.Equal(s.t, kmip.ResultReasonGeneralFailure,
		refusal(s.t, perform(s.t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "key-2_pk"})).Reason)
	s.logs(`reading object \"key-2_pk\": it does not have its MAC`)
	_, err = signature(s.t, c, "key-3", data)
	require.NoError(s.t, err)
}

// size is how much the spy has written.
func (p *spy) size() int64 {
	p.t.Helper()
	info, err := os.Stat(p.out)
	require.NoError(p.t, err)
	return info.Size()
}

var spied = regexp.MustCompile(`(?m)^\d+: (C_\w+)$`)

// changes lists the calls, from a place on, that do something with a key.
func (p *spy) changes(from int64) (calls []string) {
	p.t.Helper()
	f, err := os.Open(p.out)
	require.NoError(p.t, err)
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, from, 1<<30))
	require.NoError(p.t, err)
	for _, m := range spied.FindAllSubmatch(data, -1) {
		switch name := string(m[1]); name {
		case "C_GetAttributeValue", "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_GetSessionInfo", "C_OpenSession", "C_GetTokenInfo",
			"C_CloseSession", "C_GenerateRandom":
		default:
			calls = append(calls, name)
		}
	}
	return calls
}

// TestX60X64HSMWrappedFamilies: symmetric keys and pairs, asked for as each version can, under a wrapping key of each user's own.
func TestX60X64HSMWrappedFamilies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.wrapping(`hsm_wrapping_key = "hsm::4::userkey_{identity}"`, "userkey_admin", "named")
	s.addClient("bob")
	s.serve()
	wrapped := func(a kmip.Attributes) kmip.Attributes {
		return a.PlusVendor(kmip.VendorClient, kmip.AttributeProtection, kmip.ProtectionHSMWrapped)
	}
	for i, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		c := s.client("admin", v)
		key := create(t, c, wrapped(aes(fmt.Sprintf("aes-%d", i))))
		e, err := encrypt(t, c, key, []byte("data"))
		if v >= ttlv.V1_4 {
			require.NoError(t, err)
			back, err := decrypt(t, c, e)
			require.NoError(t, err)
			require.Equal(t, []byte("data"), back)
		}
		mac := create(t, c, wrapped(usable(fmt.Sprintf("mac-%d", i), kmip.CryptographicAlgorithmHMACSHA256, 256)).
			With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskMACGenerate|kmip.CryptographicUsageMaskMACVerify))
		sum := do[kmip.MACResponse](t, c, kmip.OperationMAC, &kmip.MACRequest{UniqueIdentifier: kmip.UniqueIdentifier(mac), Data: []byte("data")}).MACData
		require.NoError(t, perform(t, c, kmip.OperationMACVerify, &kmip.MACVerifyRequest{UniqueIdentifier: kmip.UniqueIdentifier(mac), Data: []byte("data"), MACData: sum}))
		reason := map[ttlv.Version]kmip.ResultReason{ttlv.V1_2: kmip.ResultReasonPermissionDenied, ttlv.V2_1: kmip.ResultReasonSensitive}[v]
		require.Equal(t, reason, refusal(t, perform(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(key)})).Reason)
		private, _ := createPair(t, c, wrappedBy(wrapped(p256(fmt.Sprintf("ec-%d", i))), "hsm::4::named"))
		_, err = signature(t, c, private, []byte("data"))
		require.NoError(t, err)
	}
	c := s.client("admin", ttlv.V2_1)
	renewed := do[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "aes-1"}).UniqueIdentifier
	o := do[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: renewed}).Attributes
	require.True(t, o.HSMWrapped(), "the replacement of a key is kept as that was")
	require.Equal(t, kmip.ResultReasonAttributeReadOnly, refusal(t, perform(t, c, kmip.OperationModifyAttribute, &kmip.ModifyAttributeRequest{
		UniqueIdentifier: "aes-1", NewAttribute: kmip.Attributes{}.PlusVendor(kmip.VendorClient, kmip.AttributeProtection, "software")})).Reason)
	err := perform(t, c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: wrapped(aes("loose").With(ttlv.TagSensitive, false))})
	require.ErrorContains(t, err, "is sensitive and not extractable")
	err = perform(t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: wrapped(aes("outside")),
		Value: rawKey(kmip.CryptographicAlgorithmAES, make([]byte, 32))})
	require.ErrorContains(t, err, "only keys that Create and Create Key Pair make")

	// Software is good enough first; and of masks that nothing has, none is met.
	mixed := kmip.ProtectionStorageMasks{kmip.ProtectionStorageMaskSoftware, kmip.ProtectionStorageMaskHardware}
	r := do[kmip.CreateResponse](t, c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("soft"), ProtectionStorageMasks: mixed})
	o = do[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: r.UniqueIdentifier}).Attributes
	require.False(t, o.HSMWrapped())
	found := do[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{}.
		With(ttlv.TagProtectionStorageMask, kmip.ProtectionStorageMaskHardware)}).UniqueIdentifier
	require.Contains(t, found, kmip.UniqueIdentifier("aes-1"))
	require.NotContains(t, found, kmip.UniqueIdentifier("soft"))
	err = perform(t, c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("odd"),
		ProtectionStorageMasks: kmip.ProtectionStorageMasks{kmip.ProtectionStorageMaskHardware | kmip.ProtectionStorageMaskValidated}})
	require.Equal(t, kmip.ResultReasonProtectionStorageUnavailable, refusal(t, err).Reason)

	// Bob has no wrapping key yet, and may not use one that he was not granted.
	bob := s.client("bob", ttlv.V2_1)
	err = perform(t, bob, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: wrapped(aes("bobs"))})
	require.Equal(t, kmip.ResultReasonWrappingObjectNotFound, refusal(t, err).Reason)
	require.ErrorContains(t, err, "hsm::4::userkey_bob")
	err = perform(t, bob, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: wrappedBy(wrapped(aes("bobs")), "hsm::4::named")})
	require.Equal(t, kmip.ResultReasonObjectNotFound, refusal(t, err).Reason)
	s.must(s.strongroomd("hsm", "generate", "--config", s.path("strongroom.toml"), "--key-label", "userkey_bob", "--purpose", "wrapping"))
	works(t, bob, create(t, bob, wrapped(aes("bobs"))))
	grant(t, bob, "bobs", "admin", kmip.OperationEncrypt)
	_, err = encrypt(t, c, "bobs", []byte("data"))
	require.NoError(t, err)
}

// TestRewrapKilled rotates the wrapping key under load, and the server is killed while it does. Nothing is lost, and the next run does
// what is left.
func TestRewrapKilled(t *testing.T) {
	t.Parallel()
	const keys = 60
	s := newSite(t)
	s.wrapping(`hsm_wrapping_key = "hsm::4::old"`, "old", "new")
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	publics := make([][]byte, keys)
	for i := range keys {
		_, public := inHardware(t, c, p256(fmt.Sprintf("key-%d", i)))
		publics[i] = get(t, c, public, kmip.KeyFormatTypeX509).Material
	}
	config := s.path("strongroom.toml")
	rewrap := func() (w store.Rewrapping, r result) {
		r = s.strongroomd("hsm", "rewrap", "--json", "--from", "hsm::4::old", "--to", "hsm::4::new", "--config", config)
		_ = json.Unmarshal([]byte(r.stdout), &w)
		return w, r
	}
	var signs atomic.Int64
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			if _, err := client.Do[kmip.SignResponse](t.Context(), c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: kmip.UniqueIdentifier(fmt.Sprintf("key-%d", i%keys)), Data: []byte("load")}); err != nil {
				return // the server is killed
			}
			signs.Add(1)
		}
	})
	load.Go(func() { rewrap() })
	require.Eventually(t, func() bool { return s.under("hsm::4::new") > 5 }, time.Minute, time.Millisecond)
	s.kill()
	load.Wait()
	require.Positive(t, signs.Load())
	moved := s.under("hsm::4::new")
	require.Equal(t, keys, moved+s.under("hsm::4::old"))

	s.serve()
	w, r := rewrap()
	s.must(r)
	require.Equal(t, store.Rewrapping{Rewrapped: keys - moved}, w)
	c = s.client("admin", ttlv.V2_1)
	for i := range keys {
		signed, err := signature(t, c, fmt.Sprintf("key-%d", i), []byte("data"))
		require.NoError(t, err)
		require.True(t, verifies(t, publics[i], []byte("data"), signed))
	}
	o := do[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "key-0"}).Attributes
	wrapping, _ := o.Vendor(kmip.VendorServer, kmip.AttributeWrappingKeyID)
	require.Equal(t, "hsm::4::new", wrapping)

	// Without a server the command does it itself.
	s.stop()
	s.must(s.strongroomd("hsm", "rewrap", "--from", "hsm::4::new", "--to", "hsm::4::old", "--config", config))
	require.Equal(t, keys, s.under("hsm::4::old"))
	require.Contains(t, s.refused(s.strongroomd("hsm", "rewrap", "--from", "hsm::4::old", "--to", "hsm::4::gone", "--config", config)), "hsm::4::gone")
	require.Equal(t, keys, s.under("hsm::4::old"))

	again := s.strongroomd("hsm", "rewrap", "--from", "hsm::4::old", "--to", "hsm::4::old", "--config", config)
	require.Contains(t, s.refused(again), "both the old and the new")
	require.Empty(t, again.stdout, "there is something under it")

	audit := string(s.read("data/audit.jsonl"))
	require.Regexp(t, `"event":"hsm generate","by":"uid \d+","detail":"hsm::4::new, aes to be used for wrapping"`, audit)
	require.Regexp(t, `"event":"hsm rewrap","by":"uid \d+","detail":"hsm::4::old to hsm::4::new: \d+ rewrapped, 0 left, 0 failed"`, audit, "by the server")
	require.Contains(t, audit, fmt.Sprintf("hsm::4::new to hsm::4::old: %d rewrapped, 0 left, 0 failed", keys), "without one")
}

// under counts the rows that a key in the token wrapped.
func (s *site) under(uid string) (n int) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.path("data", "strongroom.db")+"?mode=ro")
	require.NoError(s.t, err)
	defer db.Close()
	require.NoError(s.t, db.QueryRow(`SELECT COUNT(*) FROM objects WHERE protector = $1`, "token:"+uid).Scan(&n))
	return n
}

// TestX65WrappedHandles: a slot that keeps handles unwraps a key once for many signatures, never more keys than it may, and none that was
// revoked or purged.
func TestX65WrappedHandles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.wrapping(`hsm_wrapping_key = "hsm::4::wrapping"`, "wrapping")
	text := bytes.Replace(s.read("strongroom.toml"), []byte("[[hsm.slot]]\n"), []byte("[[hsm.slot]]\n  wrapped_handles = 2\n  wrapped_handle_age = \"1h\"\n"), 1)
	s.write("strongroom.toml", text)
	p := spyOn(s)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	for i := range 3 {
		inHardware(t, c, p256(fmt.Sprintf("key-%d", i)))
	}
	did := func(f func()) (unwrapped, destroyed int) {
		unwrapped, destroyed = p.count(": C_UnwrapKey\n"), p.count(": C_DestroyObject\n")
		f()
		return p.count(": C_UnwrapKey\n") - unwrapped, p.count(": C_DestroyObject\n") - destroyed
	}
	sign := func(uid string, times int) (int, int) {
		return did(func() {
			for range times {
				_, err := signature(t, c, uid, []byte("data"))
				require.NoError(t, err)
			}
		})
	}
	both := func(unwrapped, destroyed int) []int { return []int{unwrapped, destroyed} }
	require.Equal(t, []int{1, 0}, both(sign("key-0", 10)))
	require.Equal(t, []int{1, 0}, both(sign("key-1", 10)))
	require.Equal(t, []int{1, 1}, both(sign("key-2", 10)), "the one that was used longest ago goes")
	require.Equal(t, []int{1, 1}, both(sign("key-0", 1)))
	require.Equal(t, []int{0, 1}, both(did(func() { revoke(t, c, "key-0") })))
	_, err := signature(t, c, "key-0", []byte("data"))
	require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, refusal(t, err).Reason)
	require.Equal(t, []int{0, 1}, both(did(func() { s.must(s.strongroomd("cache", "purge", "--config", s.path("strongroom.toml"))) })))
	require.Equal(t, []int{1, 0}, both(sign("key-2", 3)))
}
