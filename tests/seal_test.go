package tests

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// sealSite makes a site whose root key is under a key of its token, with the TLS key in clear, so that a sealed server can say so.
func sealSite(t *testing.T, flags ...string) *site {
	t.Helper()
	return siteWith(t, append([]string{"--clear-keys", "--seal", "hsm"}, flags...)...)
}

// siteWith makes a site with a SoftHSM token and these flags of init.
func siteWith(t *testing.T, flags ...string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "strongroom-site")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{t: t, dir: filepath.Join(dir, "site"), address: freeAddress(t), log: new(lockedBuffer)}
	s.must(s.strongroomd(append([]string{"init", s.dir, "--softhsm", "--listen", s.address}, flags...)...))
	return s
}

// seal runs a command of the seal.
func (s *site) seal(args ...string) result {
	s.t.Helper()
	return s.strongroomd(append(append([]string{"seal"}, args...), "--config", s.path("strongroom.toml"))...)
}

// sealing is what seal status tells that tests look at.
type sealing struct {
	Strategy    string
	Initialized bool
	Sealed      bool
	Reason      string
	OpenedBy    int64 `json:"opened_by"`
	Slots       []struct {
		ID                          int64
		State, Protector, Mechanism string
		Objects                     int
	}
	HSM struct {
		Healthy               bool
		PIN, Serial, Cryptoki string
	}
	Objects struct {
		Software     int
		HSMProtected int `json:"hsm_protected"`
		HSMWrapped   int `json:"hsm_wrapped"`
		InToken      int `json:"in_token"`
	}
	Change []string
}

func (s *site) sealing() (st sealing) {
	s.t.Helper()
	r := s.seal("status", "--json")
	require.NoError(s.t, json.Unmarshal([]byte(r.stdout), &st), "%s%s\n%s", r.stdout, r.stderr, s.log)
	return st
}

// active is the protector of the active slot.
func (st sealing) active() string {
	for _, slot := range st.Slots {
		if slot.State == "active" {
			return slot.Protector
		}
	}
	return ""
}

// away takes the site's tokens away, and gives what brings them back.
func (s *site) away() (back func()) {
	s.t.Helper()
	require.NoError(s.t, os.Rename(s.path("softhsm", "tokens"), s.path("softhsm", "away")))
	require.NoError(s.t, os.Mkdir(s.path("softhsm", "tokens"), 0o700))
	return func() {
		s.t.Helper()
		require.NoError(s.t, os.Remove(s.path("softhsm", "tokens")))
		require.NoError(s.t, os.Rename(s.path("softhsm", "away"), s.path("softhsm", "tokens")))
	}
}

// configure replaces text in the site's configuration.
func (s *site) configure(pairs ...string) {
	s.t.Helper()
	text := string(s.read("strongroom.toml"))
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(s.t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	s.write("strongroom.toml", []byte(text))
}

// unsealed waits until the server is.
func (s *site) unsealed() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.seal("status").code == 0 }, time.Minute, 100*time.Millisecond, "it stays sealed: %s", s.log)
}

// TestX01MasterKeys: however a master key is written down and wherever it is.
func TestX01MasterKeys(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	s.stop()
	text := strings.TrimSpace(string(s.read("master.key")))
	raw, err := hex.DecodeString(text)
	require.NoError(t, err)
	for name, spelled := range map[string]string{"raw": string(raw), "base64": base64.StdEncoding.EncodeToString(raw), "HEX": strings.ToUpper(text)} {
		s.write("master.key", []byte(spelled))
		s.serve()
		works(t, s.client("admin", ttlv.V2_1), "k")
		s.stop()
		t.Log(name)
	}
	s.write("master.key", raw[:31])
	require.Contains(t, s.refused(s.strongroomd("serve", "--config", s.path("strongroom.toml"))), "31 bytes: a master key is 32 bytes")
	require.NoError(t, os.Remove(s.path("master.key")))
	s.configure(`master_key_file = "master.key"`, `master_key_file = "env:THE_MASTER_KEY"`)
	s.env = []string{"THE_MASTER_KEY=" + text}
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")
}

// TestX05GeneratesOnlyWithoutSlots: a slot whose key is gone from the token is no reason to make another.
func TestX05GeneratesOnlyWithoutSlots(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.configure("key_label = \"strongroom-root\"\n", "key_label = \"strongroom-root\"\ngenerate_key = true\n")
	s.tool("--delete-object", "--type", "secrkey", "--label", "strongroom-root")
	s.serve()
	st := s.sealing()
	require.True(t, st.Sealed)
	require.Contains(t, st.Reason, "no key found for the label: strongroom-root")
	require.Contains(t, s.refused(s.seal("unseal")), "no key found")
	require.NotContains(t, s.tool("--list-objects"), "strongroom-root")
	s.stop()
	require.Contains(t, s.refused(s.seal("init", "--generate")), "there is a root key already")
	require.NotContains(t, s.tool("--list-objects"), "strongroom-root")
}

// TestX06KeyMissingAtInit, and TestX07's other half: of several processes that initialize one site, one does, and one key is made.
func TestX06KeyMissingAtInit(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	require.NoError(t, os.RemoveAll(s.path("data")))
	s.configure(`key_label = "strongroom-root"`, `key_label = "another"`)
	require.Equal(t, 2, s.seal("status").code)
	require.Contains(t, s.refused(s.seal("init")), "no key found for the label: another")
	require.Equal(t, 2, s.seal("status").code)
	require.NotContains(t, s.tool("--list-objects"), "another")

	var wg sync.WaitGroup
	results := make([]result, 6)
	for i := range results {
		wg.Go(func() { results[i] = s.seal("init", "--generate") })
	}
	wg.Wait()
	good := 0
	for _, r := range results {
		if r.code == 0 {
			good++
		}
	}
	require.Equal(t, 1, good, "%v", results)
	require.Equal(t, 1, strings.Count(s.tool("--list-objects"), "another"))
	s.serve()
	require.Len(t, s.sealing().Slots, 1)
}

// TestX13UnsealsByItself: a restart needs nobody; what the root key opens nobody else's database does.
func TestX13UnsealsByItself(t *testing.T) {
	t.Parallel()
	s := siteWith(t, "--seal", "hsm")
	require.NoFileExists(t, s.path("master.key"))
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	s.kill()
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")
	st := s.sealing()
	require.Regexp(t, `^p11:[0-9a-f]{16}:strongroom-root:`, st.active())
	var out strings.Builder
	require.NoError(t, filepath.WalkDir(s.path("data"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, _ := os.ReadFile(path)
			out.Write(b)
		}
		return err
	}))
	require.Contains(t, out.String(), st.active(), "the slot's envelope names its protector")
	e := refusal(t, perform(t, s.client("admin", ttlv.V2_1), kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "hsm::4::strongroom-root"}))
	require.Contains(t, e.Message, "protects the server's root key", "an administrator of the token cannot destroy it by KMIP")
}

// TestX14X15TokenAwayAtStart: the server stays up, sealed, says so, and unseals when the token is back.
func TestX14X15TokenAwayAtStart(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	s.stop()
	back := s.away()
	web := s.serveHTTPS()
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls("admin")}}
	health := func() (int, string) {
		r, err := browser.Get("https://" + web + "/healthz")
		require.NoError(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(body)
	}
	code, text := health()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, text, "sealed")
	_, err := encrypt(t, s.client("admin", ttlv.V2_1), "k", []byte("data"))
	require.ErrorContains(t, err, "the server is sealed")
	require.ErrorContains(t, err, "0xE0: CKR_TOKEN_NOT_PRESENT") // X15
	r := s.seal("status")
	require.Equal(t, 2, r.code)
	require.Regexp(t, `(?m)^Sealed +true$`, r.stdout)
	require.Regexp(t, `(?m)^HSM Health +unhealthy: .*CKR_TOKEN_NOT_PRESENT`, r.stdout)
	pid := s.server.Process.Pid
	back()
	s.unsealed()
	code, text = health()
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "ok\n", text)
	works(t, s.client("admin", ttlv.V2_1), "k")
	require.Equal(t, pid, s.server.Process.Pid)
}

// TestX14KeysFollow: with the TLS key under the root key, KMIP opens when that does.
func TestX14KeysFollow(t *testing.T) {
	t.Parallel()
	s := siteWith(t, "--seal", "hsm")
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	s.stop()
	back := s.away()
	s.serve()
	require.True(t, s.sealing().Sealed)
	back()
	s.unsealed()
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "key source") }, time.Minute, 20*time.Millisecond)
	works(t, s.client("admin", ttlv.V2_1), "k")
}

// TestX16X53OperatorUnseals: without a master key file the server waits for its operator; seal seal closes it again.
func TestX16X53OperatorUnseals(t *testing.T) {
	t.Parallel()
	s := siteWith(t, "--clear-keys")
	s.configure(`master_key_file = "master.key"`, `master_key_file = ""`)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	q := &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("k")}
	require.Contains(t, refusal(t, perform(t, c, kmip.OperationCreate, q)).Message, "server is sealed")
	s.write("wrong.key", []byte(strings.Repeat("00", 32)))
	require.Regexp(t, `master key [0-9a-f]{16} does not open slot 1 \(file:[0-9a-f]{16}\)`, s.refused(s.seal("unseal", s.path("wrong.key")))) // X53
	require.Contains(t, s.refused(s.seal("unseal")), "no protector is given")
	require.True(t, s.sealing().Sealed)
	require.Contains(t, s.must(s.seal("unseal", s.path("master.key"))), "unsealed by slot 1")
	create(t, c, aes("k"))
	works(t, c, "k")
	s.must(s.seal("seal"))
	_, err := encrypt(t, c, "k", []byte("data"))
	require.ErrorContains(t, err, "server is sealed", "a key in the cache is not used either")
	time.Sleep(2 * time.Second)
	require.True(t, s.sealing().Sealed, "it does not unseal by itself")
	s.must(s.seal("unseal", s.path("master.key")))
	works(t, c, "k")
	s.stop()
	require.Contains(t, s.must(s.strongroomd("audit", "verify", s.path("data", "audit.jsonl"))), "unbroken")
	for _, act := range []string{`"event":"seal unseal","by":"uid `, `"event":"seal seal"`, `"result":"failed"`} {
		s.audits(act)
	}
}

// TestX17WrongPIN is tried once, and the token not locked by trying.
func TestX17WrongPIN(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	pin := s.read("hsm-4.pin")
	s.write("hsm-4.pin", []byte("not the PIN\n"))
	shim := s.throughShim("none")
	s.serve()
	require.True(t, s.sealing().Sealed)
	time.Sleep(3 * time.Second)
	require.Equal(t, 1, shim.Calls("Login"))
	r := s.seal("status")
	require.Equal(t, 2, r.code)
	require.Regexp(t, `(?m)^PIN State +.*CKR_PIN_INCORRECT`, r.stdout)
	s.write("hsm-4.pin", pin)
	s.must(s.seal("unseal"))
	require.Equal(t, 2, shim.Calls("Login"))
	require.Equal(t, "ok", s.sealing().HSM.PIN)
}

// TestX24Status: before init, sealed, unsealed; exit codes 2, 2, 0.
func TestX24Status(t *testing.T) {
	t.Parallel()
	s := sealSite(t, "--recovery-shares", "5", "--recovery-threshold", "3")
	r := s.seal("status")
	require.Equal(t, 2, r.code)
	require.Regexp(t, `(?s)^Key +Value\n--- +-----\nStrategy +hsm\nInitialized +true\nSealed +true\nWhy +no server runs\nActive Slot +#1 strongroom-root \(CKM_AES_GCM\), verified .*Z\nRecovery +shamir 3 of 5\n$`, r.stdout)
	s.serve()
	r = s.seal("status")
	require.Equal(t, 0, r.code)
	require.Regexp(t, strings.Join([]string{
		`^Key +Value`, `--- +-----`, `Strategy +hsm`, `Initialized +true`, `Sealed +false`, `Active Slot +#1 strongroom-root \(CKM_AES_GCM\), verified \S+Z`,
		`Recovery +shamir 3 of 5`, `Replica +\S+ \S+/data \([0-9a-f]{8}\), seen \d+ s ago, opens the active slot: this one`, `HSM Library +SoftHSM 2\.\d+ \(Cryptoki 2\.40\), /\S+`, `HSM Token +label=strongroom serial=[0-9a-f]{16} slot=4`,
		`HSM Health +ok \(\d+ s ago, [0-9.]+ ms\)`, `PIN State +ok`, `Entropy +off`, `Objects +0 under the root key alone`,
		`Objects needing HSM +0 hsm-protected, 0 hsm-wrapped, 1 in the token`, `Server Keys +none, .*`, `$`}, "\n"), r.stdout)
	s.must(s.seal("seal"))
	r = s.seal("status")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stdout, "by the operator")
	s.stop()
	require.NoError(t, os.RemoveAll(s.path("data")))
	r = s.seal("status")
	require.Equal(t, 2, r.code)
	require.Regexp(t, `(?m)^Initialized +false$`, r.stdout)
	require.Equal(t, 1, s.strongroomd("seal", "status", "--config", s.path("nowhere")).code)
}

// TestX45Health: a token that stops opening the root key is told of once, and so is the one that does again; the numbers tell of it,
// and of one that does not answer at all.
func TestX45Health(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.configure("key_label = \"strongroom-root\"\n", "key_label = \"strongroom-root\"\nhealth_interval = \"1s\"\n")
	shim := s.throughShim("none")
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	says := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(s.log.String(), text) }, time.Minute, 50*time.Millisecond, "%s", s.log)
	}
	shim.Do("DecryptInit", hsmtest.Refuse, pkcs11.CKR_DEVICE_ERROR, 0, -1)
	says("unhealthy:")
	require.False(t, s.sealing().HSM.Healthy)
	require.Zero(t, s.scrape().value(t, "seal_healthy"))
	require.Positive(t, s.scrape().value(t, "seal_health_check_failures_total"))
	works(t, s.client("admin", ttlv.V2_1), "k")
	time.Sleep(2500 * time.Millisecond)
	require.Equal(t, 1, strings.Count(s.log.String(), "unhealthy:"), "it is told once")
	shim.Heal()
	says("healthy: the active slot can be opened again")
	require.True(t, s.sealing().HSM.Healthy)
	require.EqualValues(t, 1, s.scrape().value(t, "seal_healthy"))
	s.audits(`"event":"seal unhealthy"`)

	up := func(want float64) {
		t.Helper()
		require.Eventually(t, func() bool { return s.scrape().value(t, "hsm_up", "slot", "4") == want }, 15*time.Second, 50*time.Millisecond, "%s", s.log)
	}
	up(1)
	shim.Do("GetTokenInfo", hsmtest.Refuse, pkcs11.CKR_DEVICE_REMOVED, 0, -1)
	up(0)
	require.Eventually(t, func() bool {
		n := s.scrape()
		return n.value(t, "hsm_breaker_open", "slot", "4") == 1 && n.value(t, "hsm_health_check_failures_total", "slot", "4") > 0
	}, 15*time.Second, 50*time.Millisecond, "%s", s.log)
	losses := s.scrape().value(t, "hsm_losses_total", "slot", "4")
	require.Positive(t, losses)
	works(t, s.client("admin", ttlv.V2_1), "k")
	shim.Heal()
	up(1)
	n := s.scrape()
	require.Zero(t, n.value(t, "hsm_breaker_open", "slot", "4"))
	require.GreaterOrEqual(t, n.value(t, "hsm_recoveries_total", "slot", "4"), losses)
	require.Positive(t, n.value(t, "hsm_health_check_duration_seconds", "slot", "4"))
}

// TestX47OneLogin: a load on keys under the HSM takes one login.
func TestX47OneLogin(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	shim := s.throughShim("none")
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::kek"))
	for i := range 64 {
		create(t, admin, wrappedBy(aes(fmt.Sprint("k", i)), "hsm::4::kek"))
	}
	logins := shim.Calls("Login")
	require.Equal(t, 1, logins)
	s.must(s.strongroomd("cache", "purge", "--config", s.path("strongroom.toml")))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			works(t, s.client("admin", ttlv.V2_1), fmt.Sprint("k", i))
		})
	}
	wg.Wait()
	require.Equal(t, logins, shim.Calls("Login"))
	require.Zero(t, shim.Calls("Logout"))
}

// TestX54X55HSMWrap puts the root key under a key of the token out of the master key; nothing needs that any more.
func TestX54X55HSMWrap(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	made := s.must(s.strongroomd("hsm", "generate", "--slot", "4", "--key-label", "root", "--purpose", "seal", "--config", s.path("strongroom.toml"))) // X54
	require.Contains(t, made, "CKA_EXTRACTABLE")
	require.Contains(t, s.refused(s.strongroomd("hsm", "generate", "--slot", "4", "--key-label", "root", "--purpose", "seal", "--config", s.path("strongroom.toml"))), "in use")
	require.Regexp(t, `"event":"hsm generate","by":"uid \d+","detail":"hsm::4::root, aes to be used for seal","result":"failed","reason":".*in use`, string(s.read("data/audit.jsonl")))
	said := s.must(s.strongroomd("hsm", "wrap", "--key-label", "root", s.path("master.key"), "--config", s.path("strongroom.toml")))
	require.Len(t, regexp.MustCompile(`(?m)^[A-Z].*\.$`).FindAllString(said, -1), 4, "%s", said)
	require.NoError(t, os.Remove(s.path("master.key")))
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	require.Regexp(t, `^p11:.*:root:`, s.sealing().active())
	s.must(s.keys("lock"))
	s.must(s.keys("unlock"))
	works(t, s.client("admin", ttlv.V2_1), "k")
	s.stop()
	s.must(s.keys("encrypt"))
	require.False(t, bytes.Contains(s.read("data/strongroom.db"), []byte("BEGIN")))
}

// TestX12RSAProtector: an RSA pair protects as well, through whatever the token does of OAEP.
func TestX12RSAProtector(t *testing.T) {
	t.Parallel()
	s := sealSite(t, "--mechanism", "CKM_RSA_PKCS_OAEP")
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	require.Equal(t, "RSA-OAEP-SHA256", s.sealing().Slots[0].Mechanism)
	s.must(s.seal("rotate", "--key-label", "sha1", "--generate", "--mechanism", "9", "--rsa-oaep-hash", "sha1"))
	s.stop()
	s.configure(`key_label = "strongroom-root"`, "key_label = \"sha1\"\nrsa_oaep_hash = \"sha1\"")
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")
	require.Equal(t, "RSA-OAEP-SHA1", s.sealing().Slots[1].Mechanism)
	require.Empty(t, s.sealing().Change)
}

// TestX20X22Info tells what C_GetInfo and C_GetTokenInfo tell. The library's variable is only in the configuration, as in every site.
func TestX20X22Info(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	require.NotContains(t, os.Environ(), "SOFTHSM2_CONF="+s.path("softhsm", "softhsm2.conf"))
	said := s.must(s.strongroomd("hsm", "info", "4", "--config", s.path("strongroom.toml")))
	require.Regexp(t, `(?m)^PKCS#11 +2\.40$`, said)
	require.Regexp(t, `(?m)^label +strongroom$`, said)
	require.Regexp(t, `(?m)^works +yes$`, said)
}

// TestEnvelopeInspect prints the header of the server's own key file, without any key.
func TestEnvelopeInspect(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	said := s.must(s.strongroomd("envelope", "inspect", s.path("tls", "server.key.enc")))
	require.Regexp(t, `(?m)^purpose +file$`, said)
	require.Regexp(t, `(?m)^protector +root$`, said)
	require.Contains(t, s.refused(s.strongroomd("envelope", "inspect", s.path("tls", "server.crt"))), "do not begin as one")
}
