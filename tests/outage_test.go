package tests

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// throughShim puts a shim before the site's module, which runs where isolation says; settings are lines beside that.
func (s *site) throughShim(isolation string, settings ...string) *hsmtest.Shim {
	s.t.Helper()
	shim := hsmtest.New(s.t, s.module())
	env := ""
	for name, value := range shim.Env {
		env += fmt.Sprintf("%s = %q, ", name, value)
	}
	text := string(s.read("strongroom.toml"))
	for _, change := range [][2]string{
		{s.module(), shim.Library}, {"{ SOFTHSM2_CONF", "{ " + env + "SOFTHSM2_CONF"},
		{"[[hsm]]\n", "[[hsm]]\nisolation = \"" + isolation + "\"\n" + strings.Join(settings, "\n") + "\n"},
	} {
		require.Contains(s.t, text, change[0])
		text = strings.Replace(text, change[0], change[1], 1)
	}
	s.write("strongroom.toml", []byte(text))
	return shim
}

// roundTrip encrypts and decrypts with a key.
func roundTrip(t *testing.T, c *client.Client, uid string) func() error {
	plain := []byte("what must come back from " + uid)
	return func() error {
		e, err := encrypt(t, c, uid, plain)
		if err != nil {
			return err
		}
		back, err := decrypt(t, c, e)
		if err == nil && !bytes.Equal(back, plain) {
			return wrongAnswer("Decrypt gives something else than what was encrypted")
		}
		return err
	}
}

// signsFor signs, and verifies here.
func signsFor(t *testing.T, c *client.Client, private string, public *rsa.PublicKey) func() error {
	data := []byte("what is signed")
	return func() error {
		r, err := client.Do[kmip.SignResponse](t.Context(), c, kmip.OperationSign, &kmip.SignRequest{
			UniqueIdentifier: kmip.UniqueIdentifier(private), CryptographicParameters: rsaSHA256, Data: data,
		})
		if err == nil && rsa.VerifyPKCS1v15(public, hashes[0].hash, digestOf(hashes[0].hash, data), r.SignatureData) != nil {
			return wrongAnswer("the signature does not verify")
		}
		return err
	}
}

// TestOutage has 64 clients use keys of the token, and keys that one of it protects, while it goes away for three seconds and comes
// back, twice: requests fail at once and clearly, none is answered wrongly, those that are sent a second after its return and later
// succeed (on a busy machine, those after everybody was served again), and the server logs in once for each recovery.
func TestOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	shim := s.throughShim("none")
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	k := &kind{t: t, c: admin, prefix: "hsm::4::"}
	create(t, admin, aes("hsm::4::aes"))
	create(t, admin, usable("hsm::4::kek", kmip.CryptographicAlgorithmAES, 256).With(ttlv.TagCryptographicUsageMask,
		kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskDecrypt))
	private, public := k.pair(kmip.CryptographicAlgorithmRSA, 2048)
	key := k.publicKey(public).(*rsa.PublicKey)
	create(t, admin, wrappedBy(aes("cached"), "hsm::4::kek"))
	works(t, admin, "cached")
	create(t, admin, aes("database"))

	const clients = 64
	loads := make([]load, clients)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	needsToken := func(i int) bool { return i%4 < 3 }
	for i := range loads {
		var ask func() error
		switch i % 4 {
		case 0:
			ask = roundTrip(t, admin, "hsm::4::aes")
		case 1:
			ask = signsFor(t, admin, string(private), key)
		case 2: // each new key of the database is wrapped in the token
			ask = func() error {
				time.Sleep(20 * time.Millisecond) // so that there are not too many of them
				return perform(t, admin, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: wrappedBy(aes(""), "hsm::4::kek")})
			}
		default:
			ask = roundTrip(t, admin, map[bool]string{true: "cached", false: "database"}[i%8 == 3])
		}
		wg.Go(func() { loads[i].run(stop, ask) })
	}
	all := func(what string, counts func(i int) bool, count func(*load) int64) {
		t.Helper()
		before := make([]int64, clients)
		for i := range loads {
			before[i] = count(&loads[i])
		}
		require.Eventually(t, func() bool {
			for i := range loads {
				if counts(i) && count(&loads[i]) <= before[i] {
					return false
				}
			}
			return true
		}, time.Minute, 10*time.Millisecond, "%s\nserver: %s", what, s.log)
	}
	good, bad := func(l *load) int64 { return l.good.Load() }, func(l *load) int64 { return l.bad.Load() }
	everybody := func(int) bool { return true }
	all("not all are served to begin with", everybody, good)
	for range 2 {
		logins := shim.Calls("Login")
		require.NoError(t, os.Rename(s.path("softhsm", "tokens"), s.path("softhsm", "away")))
		gone := time.Now()
		all("not all are told that the token is away", needsToken, bad)
		time.Sleep(time.Until(gone.Add(3 * time.Second)))
		require.NoError(t, os.Rename(s.path("softhsm", "away"), s.path("softhsm", "tokens")))
		back := time.Now()
		time.Sleep(1500 * time.Millisecond)
		all("not all are served again", everybody, good)
		served := time.Now()
		all("not all are served still", everybody, good)
		latest, slowest := served.Sub(back), 9*time.Second // a slot lets a request wait for 10 s
		if alone() {
			latest, slowest = time.Second, 2*time.Second
		}
		for i := range loads {
			l := &loads[i]
			if !needsToken(i) {
				require.Zero(t, l.bad.Load(), "a client that needs no token: %v", l.last.Load())
				continue
			}
			late := time.Unix(0, l.asked.Load()).Sub(back)
			require.LessOrEqual(t, late, latest, "a request fails that was sent %v after the token's return: %s", late, *l.last.Load())
			require.Less(t, time.Duration(l.slowest.Load()), slowest, "a request waits to be refused")
			require.Contains(t, *l.last.Load(), "slot 4")
			require.Contains(t, *l.last.Load(), "CKR_")
		}
		require.Equal(t, logins+1, shim.Calls("Login"), "logins for one recovery")
	}
	close(stop)
	wg.Wait()
	for i := range loads {
		require.Nil(t, loads[i].wrong.Load())
	}
	select {
	case <-s.exited:
		t.Fatal("the server ended")
	default:
	}
}

// TestModuleCrashesAndHangs has a module of a vendor crash and hang in its worker process, under load: the server lives, keys of the
// database are served without waiting for it, and the slot is back with the process that is started next, within two seconds of the
// moment in which the one before it ended.
func TestModuleCrashesAndHangs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const limit = 5 * time.Second
	shim := s.throughShim("auto", `call_limit = "5s"`)
	s.serve()
	admin, other := s.client("admin", ttlv.V2_1), s.client("admin", ttlv.V2_1)
	k := &kind{t: t, c: admin, prefix: "hsm::4::"}
	create(t, admin, aes("hsm::4::aes"))
	private, public := k.pair(kmip.CryptographicAlgorithmRSA, 2048)
	key := k.publicKey(public).(*rsa.PublicKey)
	create(t, admin, aes("database"))
	require.Len(t, s.workers(), 1, "a module that is not SoftHSM runs in a worker process")

	var token, signs, database load
	var longest time.Duration
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { token.run(stop, roundTrip(t, admin, "hsm::4::aes")) })
		wg.Go(func() { signs.run(stop, signsFor(t, admin, string(private), key)) })
	}
	wg.Go(func() {
		database.run(stop, func() error {
			began := time.Now()
			_, err := encrypt(t, other, "database", []byte("data"))
			longest = max(longest, time.Since(began))
			return err
		})
	})
	for _, c := range []struct {
		function string
		what     hsmtest.What
		limit    time.Duration // until the process is ended
	}{{"Encrypt", hsmtest.Crash, 0}, {"Sign", hsmtest.Crash, 0}, {"Decrypt", hsmtest.Hang, limit}, {"Sign", hsmtest.Hang, limit}} {
		before := s.workers()
		require.Len(t, before, 1)
		calls, processes := shim.Calls(c.function), shim.Calls("Initialize")
		shim.Do(c.function, c.what, 0, 0, 1)
		require.Eventually(t, func() bool { return shim.Calls(c.function) > calls }, time.Minute, time.Millisecond)
		began := time.Now()
		require.Eventually(t, func() bool {
			now := s.workers()
			return len(now) == 1 && now[0] != before[0]
		}, time.Minute, 5*time.Millisecond, "%v: %s", c, s.log)
		shim.Heal()
		for _, l := range []*load{&token, &signs} {
			served := l.good.Load()
			require.Eventually(t, func() bool { return l.good.Load() > served+20 }, time.Minute, 5*time.Millisecond, "%v: %s", c, s.log)
			if late := time.Unix(0, l.asked.Load()).Sub(began); alone() {
				require.Less(t, late, c.limit+2*time.Second, "%v: a request fails that was sent so late: %v", c, l.last.Load())
			}
		}
		require.Equal(t, processes+1, shim.Calls("Initialize"), "%v: one process was not enough: %s", c, s.log)
	}
	close(stop)
	wg.Wait()
	require.Nil(t, token.wrong.Load())
	require.Nil(t, signs.wrong.Load())
	require.Zero(t, database.bad.Load())
	require.Less(t, longest, 9*limit/10, "a request for a database key waited for the module") // which hung for the limit
	s.logs("token connected")
	select {
	case <-s.exited:
		t.Fatal("the server ended")
	default:
	}
}
