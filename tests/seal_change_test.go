package tests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A bystanders is a load of Gets, Encrypts and Creates on keys of both kinds, none of which may fail or wait long.
type bystanders struct {
	t       *testing.T
	stop    chan struct{}
	wg      sync.WaitGroup
	done    atomic.Int64
	longest atomic.Int64 // nanoseconds
	failed  atomic.Pointer[string]
}

// load begins the load; the keys are made before.
func (s *site) load() *bystanders {
	s.t.Helper()
	b := &bystanders{t: s.t, stop: make(chan struct{})}
	for i, ask := range []func(*client.Client) func() error{
		func(c *client.Client) func() error { return roundTrip(s.t, c, "k") },
		func(c *client.Client) func() error { return roundTrip(s.t, c, "hsm::4::load") },
		func(c *client.Client) func() error {
			return func() error {
				_, err := client.Do[kmip.GetResponse](s.t.Context(), c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"})
				return err
			}
		},
		func(c *client.Client) func() error {
			return func() error {
				return perform(s.t, c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("")})
			}
		},
	} {
		if i == 0 {
			c := s.client("admin", ttlv.V2_1)
			create(s.t, c, aes("k"))
			create(s.t, c, aes("hsm::4::load"))
		}
		c := s.client("admin", ttlv.V2_1)
		b.wg.Go(func() { b.run(ask(c)) })
	}
	return b
}

func (b *bystanders) run(ask func() error) {
	for {
		select {
		case <-b.stop:
			return
		default:
		}
		began := time.Now()
		if err := ask(); err != nil {
			text := err.Error()
			b.failed.CompareAndSwap(nil, &text)
		}
		b.done.Add(1)
		took := int64(time.Since(began))
		for before := b.longest.Load(); took > before && !b.longest.CompareAndSwap(before, took); before = b.longest.Load() {
		}
		time.Sleep(time.Millisecond)
	}
}

// end ends the load, and fails the test where a request did. The pause is held to only where the machine is this test's alone.
func (b *bystanders) end() {
	b.t.Helper()
	enough := b.done.Load() + 20 // after what was done
	require.Eventually(b.t, func() bool { return b.done.Load() > enough }, time.Minute, 10*time.Millisecond)
	close(b.stop)
	b.wg.Wait()
	if text := b.failed.Load(); text != nil {
		b.t.Fatalf("a request failed meanwhile: %s", *text)
	}
	most := 10 * time.Second
	if alone() {
		most = 100 * time.Millisecond
	}
	require.Less(b.t, time.Duration(b.longest.Load()), most, "the longest wait of %d requests", b.done.Load())
	b.t.Logf("%d requests, the longest took %v", b.done.Load(), time.Duration(b.longest.Load()))
}

// TestX25X28SwitchToHSM goes over to the HSM under load; the master key is needed no more.
func TestX25X28SwitchToHSM(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	s.serve()
	load := s.load()
	said := s.must(s.seal("switch", "--to", "hsm", "--key-label", "root", "--generate"))
	require.Contains(t, said, "key_label = \"root\"")
	require.Contains(t, s.must(s.seal("switch", "--to", "hsm", "--key-label", "root")), "active already") // X28
	load.end()
	require.Equal(t, "hsm", s.sealing().Strategy)
	s.must(s.seal("prune"))
	for _, act := range []string{"seal switch", "seal prune"} {
		s.logs(fmt.Sprintf(`level=INFO msg="%s" by="uid %d"`, act, os.Getuid()))
	}
	require.NoError(t, os.Remove(s.path("master.key")))
	s.stop()
	s.serve() // although the configuration still says software: the slots win, and the log says so
	works(t, s.client("admin", ttlv.V2_1), "k")
	s.logs("the slots win")
	require.Contains(t, strings.Join(s.sealing().Change, "\n"), `strategy  = "hsm"`)
	s.configure("strategy        = \"software\"   # a file opens the root key:\nmaster_key_file = \"master.key\"\n", "strategy = \"hsm\"\nslot = 4\nkey_label = \"root\"\n")
	s.stop()
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")
	require.Empty(t, s.sealing().Change)
}

// TestX26SwitchToSoftware goes back under load; the HSM is needed no more.
func TestX26SwitchToSoftware(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.serve()
	load := s.load()
	s.must(s.seal("switch", "--to", "software", "--master-key-file", s.path("new.key"), "--generate"))
	load.end()
	info, err := os.Stat(s.path("new.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, "software", s.sealing().Strategy)
	s.stop()
	s.configure("strategy  = \"hsm\"              # a key in the token opens the root key:\nslot      = 4\nkey_label = \"strongroom-root\"\nmechanism = \"auto\"\n",
		"strategy = \"software\"\nmaster_key_file = \"new.key\"\n")
	back := s.away()
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")
	s.must(s.seal("prune"))
	back()
}

// TestX27X28SwitchWithTheHSMAway changes nothing; other faults do not either.
func TestX27X28SwitchWithTheHSMAway(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	shim := s.throughShim("none")
	s.serve()
	before := s.sealing().Slots
	for _, f := range []string{"GenerateKey", "EncryptInit", "DecryptInit", "FindObjectsInit"} {
		shim.Do(f, hsmtest.Refuse, pkcs11.CKR_DEVICE_REMOVED, 0, -1)
		s.refused(s.seal("switch", "--to", "hsm", "--key-label", "root", "--generate"))
		shim.Heal()
		require.NoError(t, s.server.Process.Signal(syscall.SIGHUP))
	}
	require.Equal(t, before, s.sealing().Slots)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{1, "no key found for the label: nowhere", []string{"switch", "--to", "hsm", "--key-label", "nowhere"}},
		{1, "slot 9 is not configured", []string{"switch", "--to", "hsm", "--slot", "9", "--key-label", "x"}},
		{1, "no such file", []string{"switch", "--to", "software", "--master-key-file", s.path("none.key")}},
		{1, "exists", []string{"switch", "--to", "software", "--master-key-file", s.path("master.key"), "--generate"}},
		{1, "seal switch --to hsm", []string{"rotate", "--key-label", "x"}},
		{2, "--to hsm needs --key-label", []string{"switch", "--to", "hsm"}},
		{2, "hsm or software", []string{"switch", "--to", "paper"}},
		{2, "say what the next protector is", []string{"rotate"}},
		{2, "does not protect a root key", []string{"switch", "--to", "hsm", "--key-label", "x", "--mechanism", "CKM_DES3_ECB"}},
	} {
		r := s.seal(c.args...)
		require.Equal(t, c.code, r.code, "%v %s", c.args, r.stderr)
		require.Contains(t, r.stderr, c.says)
	}
	require.Equal(t, before, s.sealing().Slots)
}

// TestX29CrashWhileSwitching ends the process in the calls of the module that make a key, wrap with it, and open again; and right
// after the answer.
func TestX29CrashWhileSwitching(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	shim := s.throughShim("none")
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	shim.Heal()
	for i, f := range []string{"GenerateKey", "EncryptInit", "Encrypt", "DecryptInit", "Decrypt"} {
		// The first wrapping and opening are the test of the key, the second those of the slot.
		for skip := range 2 {
			if f == "GenerateKey" && skip == 1 {
				continue
			}
			label := fmt.Sprintf("root-%d-%d", i, skip)
			shim.Do(f, hsmtest.Crash, 0, skip, 1)
			r := s.seal("switch", "--to", "hsm", "--key-label", label, "--generate")
			require.NotEqual(t, 0, r.code, "%s after %d", f, skip)
			<-s.exited
			shim.Heal()
			s.serve()
			works(t, s.client("admin", ttlv.V2_1), "k")
			require.False(t, s.sealing().Sealed)
			require.Regexp(t, "^file:", s.sealing().active())
		}
	}
	s.must(s.seal("switch", "--to", "hsm", "--key-label", "root", "--generate"))
	s.kill()
	s.serve()
	require.Regexp(t, "^p11:.*:root:", s.sealing().active())
	works(t, s.client("admin", ttlv.V2_1), "k")
	s.must(s.seal("rotate", "--key-label", "root2", "--generate"))
	s.kill()
	s.serve()
	require.Regexp(t, "^p11:.*:root2:", s.sealing().active())
	works(t, s.client("admin", ttlv.V2_1), "k")
}

// TestX31Rotate puts the root key under a new key under load; the old one can then go.
func TestX31Rotate(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.serve()
	load := s.load()
	s.must(s.seal("rotate", "--key-label", "v2", "--generate"))
	s.must(s.seal("rotate", "--key-label", "v3", "--generate", "--mechanism", "CKM_AES_CBC_PAD"))
	load.end()
	st := s.sealing()
	require.Len(t, st.Slots, 3)
	require.Regexp(t, ":v3:", st.active())
	s.must(s.seal("prune"))
	require.Len(t, s.sealing().Slots, 1)
	kept := func() { // a backup has the slots of its time
		admin := s.client("admin", ttlv.V2_1)
		for _, key := range []string{"strongroom-root", "v2", "v3", "v3_HMAC"} {
			uid := kmip.UniqueIdentifier(kmip.HSMIdentifier(4, key))
			_, err := client.Do[kmip.EncryptResponse](t.Context(), admin, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: uid, Data: make([]byte, 32)})
			require.ErrorContains(t, err, "protects the server's root key", key)
		}
	}
	kept()
	s.kill()
	s.serve()
	kept()
	for _, old := range []string{"strongroom-root", "v2"} {
		s.tool("--delete-object", "--type", "secrkey", "--label", old)
	}
	s.configure(`key_label = "strongroom-root"`, `key_label = "v3"`)
	s.stop()
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")
	require.Empty(t, s.sealing().Change)
}

// TestX32RotateByConfiguration: key_label new and default_key_label old, and a start; never a key made for it.
func TestX32RotateByConfiguration(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.configure(`key_label = "strongroom-root"`, "key_label = \"v2\"\ndefault_key_label = \"strongroom-root\"\ngenerate_key = true")
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	require.Regexp(t, ":strongroom-root:", s.sealing().active())
	require.NotContains(t, s.tool("--list-objects"), "v2")
	s.stop()
	s.must(s.strongroomd("hsm", "generate", "--slot", "4", "--key-label", "v2", "--purpose", "seal", "--config", s.path("strongroom.toml")))
	s.serve()
	s.logs("upgrading stored keys")
	st := s.sealing()
	require.Regexp(t, ":v2:", st.active())
	require.Empty(t, st.Change)
	works(t, s.client("admin", ttlv.V2_1), "k")
	s.stop()
	s.serve()
	require.Equal(t, st.Slots[0].ID, s.sealing().Slots[0].ID, "the next start has nothing to do")
}

// TestX33AnotherToken: a whole protector of before in [[seal.previous]], and a start; the first token can then go.
func TestX33AnotherToken(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	s.stop()
	util, err := exec.LookPath("softhsm2-util")
	require.NoError(t, err)
	out, err := func() ([]byte, error) {
		cmd := exec.Command(util, "--init-token", "--free", "--label", "second", "--pin", "5678", "--so-pin", "12345678")
		cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+s.path("softhsm", "softhsm2.conf"))
		return cmd.CombinedOutput()
	}()
	require.NoError(t, err, "%s", out)
	s.write("hsm-5.pin", []byte("5678\n"))
	text := string(s.read("strongroom.toml")) + "\n  [[hsm.slot]]\n  number = 5\n  token_label = \"second\"\n  pin_file = \"hsm-5.pin\"\n"
	s.write("strongroom.toml", []byte(text))
	s.must(s.strongroomd("hsm", "generate", "--slot", "5", "--key-label", "new-root", "--purpose", "seal", "--config", s.path("strongroom.toml")))
	s.configure("slot      = 4\nkey_label = \"strongroom-root\"\nmechanism = \"auto\"\n",
		"slot = 5\nkey_label = \"new-root\"\n[[seal.previous]]\nstrategy = \"hsm\"\nslot = 4\nkey_label = \"strongroom-root\"\n")
	s.serve()
	s.logs("upgrading stored keys")
	require.Regexp(t, ":new-root:", s.sealing().active())
	s.must(s.seal("prune"))
	s.stop()
	s.configure("[[seal.previous]]\nstrategy = \"hsm\"\nslot = 4\nkey_label = \"strongroom-root\"\n", "")
	s.removeToken("strongroom")
	s.serve()
	s.unsealed()
	works(t, s.client("admin", ttlv.V2_1), "k")
}

// removeToken removes the folder of a token of that label.
func (s *site) removeToken(label string) {
	s.t.Helper()
	folders, err := filepath.Glob(s.path("softhsm", "tokens", "*"))
	require.NoError(s.t, err)
	for _, folder := range folders {
		object, err := os.ReadFile(filepath.Join(folder, "token.object"))
		require.NoError(s.t, err)
		if bytes.Contains(object, []byte(label)) {
			require.NoError(s.t, os.RemoveAll(folder))
			return
		}
	}
	s.t.Fatalf("there is no token %q", label)
}

// TestX34PruneAndRewrap: rows under the key of a retained slot keep it; rewrap moves them, under load.
func TestX34PruneAndRewrap(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.configure(`key_encryption_key      = ""`, `key_encryption_key      = "hsm::4::strongroom-root"`)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	for i := range 37 {
		create(t, admin, aes(fmt.Sprint("row", i)))
	}
	s.must(s.seal("rotate", "--key-label", "v2", "--generate"))
	require.Contains(t, s.refused(s.seal("prune")), "37 objects refer to its protector")
	require.Regexp(t, `(?m)^Retained Slot +#1 strongroom-root, 37 objects refer to it`, s.seal("status").stdout)
	require.Equal(t, 37, s.sealing().Objects.HSMProtected)
	s.stop()
	s.configure(`key_encryption_key      = "hsm::4::strongroom-root"`, `key_encryption_key      = "hsm::4::v2"`, `key_label = "strongroom-root"`, `key_label = "v2"`)
	s.serve()
	load := s.load()
	require.Contains(t, s.must(s.seal("rewrap", "--wait")), "37 moved")
	load.end()
	s.must(s.seal("prune"))
	s.tool("--delete-object", "--type", "secrkey", "--label", "strongroom-root")
	s.stop()
	s.serve()
	admin = s.client("admin", ttlv.V2_1)
	for i := range 37 {
		works(t, admin, fmt.Sprint("row", i))
	}
	s.stop()
	s.configure(`key_encryption_key      = "hsm::4::v2"`, `key_encryption_key      = ""`)
	s.serve()
	s.must(s.seal("rewrap", "--wait"))
	require.Zero(t, s.sealing().Objects.HSMProtected)
	works(t, s.client("admin", ttlv.V2_1), "row0")
}

// TestX35X36Recovery: the HSM is lost, and shares bring back what is under the root key; X36: the status counts the rest.
func TestX35X36Recovery(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("k"))
	create(t, admin, aes("hsm::4::kek"))
	create(t, admin, wrappedBy(aes("lost"), "hsm::4::kek"))
	lines := strings.Split(s.must(s.seal("recovery", "create", "--shares", "3", "--threshold", "2")), "\n")
	old := lines[0]
	lines = strings.Split(s.must(s.seal("recovery", "create", "--shares", "3", "--threshold", "2")), "\n")
	require.Contains(t, s.must(s.seal("recovery", "verify", lines[0])), "1 of 2")
	require.Contains(t, s.must(s.seal("recovery", "verify", lines[1])), "these shares open slot 3")
	st := s.sealing()
	require.Equal(t, [3]int{1, 1, 2}, [3]int{st.Objects.Software, st.Objects.HSMProtected, st.Objects.InToken})
	s.stop()
	s.away() // for good
	s.serve()
	require.True(t, s.sealing().Sealed)
	require.Contains(t, s.refused(s.seal("unseal", old)), "is under another one")
	require.Contains(t, s.refused(s.seal("unseal", lines[0][:len(lines[0])-1])), "not whole")
	spoiled := []byte(lines[0])
	spoiled[40] ^= 1
	s.refused(s.seal("unseal", string(spoiled)))
	require.Contains(t, s.must(s.seal("unseal", lines[2])), "1 of 2")
	require.Contains(t, s.must(s.seal("unseal", lines[2])), "1 of 2", "one share twice is one")
	require.True(t, s.sealing().Sealed)
	require.Contains(t, s.must(s.seal("unseal", lines[0])), "unsealed by slot 3")
	admin = s.client("admin", ttlv.V2_1)
	works(t, admin, "k")
	_, err := encrypt(t, admin, "lost", []byte("data"))
	require.ErrorContains(t, err, "CKR_TOKEN_NOT_PRESENT")
	for _, line := range lines[:3] {
		require.NotContains(t, s.log.String(), line)
		require.NotContains(t, string(s.read("data/audit.jsonl")), line)
	}
	s.must(s.seal("switch", "--to", "software", "--master-key-file", s.path("new.key"), "--generate"))
	s.configure("strategy  = \"hsm\"              # a key in the token opens the root key:\nslot      = 4\nkey_label = \"strongroom-root\"\nmechanism = \"auto\"\n",
		"strategy = \"software\"\nmaster_key_file = \"new.key\"\n")
	s.stop()
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")
}

// TestX37X39DefaultWrapping: with key_encryption_key every new row is under it, and says so; X37: a client sees no difference.
func TestX37X39DefaultWrapping(t *testing.T) {
	t.Parallel()
	s := sealSite(t)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::kek"))
	create(t, admin, aes("before"))
	s.stop()
	s.configure(`key_encryption_key      = ""`, `key_encryption_key      = "hsm::4::kek"`)
	s.serve()
	admin = s.client("admin", ttlv.V2_1)
	for i := range 5 {
		create(t, admin, aes(fmt.Sprint("k", i)))
		works(t, admin, fmt.Sprint("k", i))
	}
	works(t, admin, "before")
	st := s.sealing()
	require.Equal(t, [2]int{1, 5}, [2]int{st.Objects.Software, st.Objects.HSMProtected})
	s.stop()
	require.True(t, bytes.Contains(s.read("data/strongroom.db"), []byte("uid:hsm::4::kek")))
}
