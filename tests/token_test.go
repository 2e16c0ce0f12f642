package tests

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A load asks for the same thing again and again, and checks every answer.
type load struct {
	good, bad atomic.Int64
	asked     atomic.Int64           // when the last request that failed was sent, in Unix nanoseconds
	slowest   atomic.Int64           // how long the slowest of those took, in nanoseconds
	last      atomic.Pointer[string] // why the last request failed
	wrong     atomic.Pointer[string] // an answer that is not true, or no answer
}

// run repeats ask until stop is closed. Ask gives an error that is no server's answer for a wrong one.
func (l *load) run(stop <-chan struct{}, ask func() error) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		began := time.Now()
		err := ask()
		if err == nil {
			l.good.Add(1)
			continue
		}
		l.asked.Store(began.UnixNano())
		l.slowest.Store(max(l.slowest.Load(), int64(time.Since(began))))
		text := err.Error()
		if _, answered := err.(*client.Error); !answered {
			l.wrong.CompareAndSwap(nil, &text)
		}
		l.bad.Add(1)
		l.last.Store(&text)
		time.Sleep(5 * time.Millisecond)
	}
}

// wrongAnswer is an answer that is not what it should be.
type wrongAnswer string

func (w wrongAnswer) Error() string { return string(w) }

// TestX38X46TokenAway takes the token's folder away under a server at work and gives it back, more than once: who needs the token
// is told so, nobody else notices, and it works again by itself.
func TestX38X46TokenAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::kek"))
	private, public := createPair(t, admin, usable("hsm::4::rsa", kmip.CryptographicAlgorithmRSA, 2048))
	create(t, admin, aes("database"))
	create(t, admin, wrappedBy(aes("cached"), "hsm::4::kek"))
	create(t, admin, wrappedBy(aes("cold"), "hsm::4::kek"))

	plain := []byte("what must come back")
	roundTrip := func(uid string) func() error {
		return func() error {
			e, err := encrypt(t, admin, uid, plain)
			if err != nil {
				return err
			}
			back, err := decrypt(t, admin, e)
			if err == nil && !bytes.Equal(back, plain) {
				return wrongAnswer("Decrypt gives something else than what was encrypted")
			}
			return err
		}
	}
	signs := func() error {
		r, err := client.Do[kmip.SignResponse](t.Context(), admin, kmip.OperationSign, &kmip.SignRequest{
			UniqueIdentifier: kmip.UniqueIdentifier(private), CryptographicParameters: rsaSHA256, Data: plain,
		})
		if err == nil && len(r.SignatureData) != 256 {
			return wrongAnswer("the signature has another length")
		}
		return err
	}
	asks := map[string]func() error{
		"hsm::4::kek": roundTrip("hsm::4::kek"), private: signs, "database": roundTrip("database"), "cached": roundTrip("cached"),
	}
	loads := map[string]*load{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for name, ask := range asks {
		l := new(load)
		loads[name] = l
		wg.Go(func() { l.run(stop, ask) })
	}
	inToken := []*load{loads["hsm::4::kek"], loads[private]}
	eventually := func(what string, l *load, count func(*load) int64) {
		t.Helper()
		before := count(l)
		require.Eventually(t, func() bool { return count(l) > before+3 }, time.Minute, 10*time.Millisecond, "%s\nserver: %s", what, s.log)
	}
	good, bad := func(l *load) int64 { return l.good.Load() }, func(l *load) int64 { return l.bad.Load() }
	for _, l := range loads {
		eventually("nothing works to begin with", l, good)
	}
	require.Zero(t, loads["hsm::4::kek"].bad.Load())
	pid := s.server.Process.Pid
	for round := range 4 {
		require.NoError(t, os.Rename(s.path("softhsm", "tokens"), s.path("softhsm", "away")))
		empty := round%2 == 0 // the reader without a token; else the module finds not even the reader
		if empty {
			require.NoError(t, os.Mkdir(s.path("softhsm", "tokens"), 0o700))
		}
		for _, l := range inToken {
			eventually("nobody notices that the token is away", l, bad)
			require.Contains(t, *l.last.Load(), "slot 4")
			require.Contains(t, *l.last.Load(), "CKR_")
		}
		e := refusal(t, perform(t, admin, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("hsm::4::while away")}))
		require.Contains(t, e.Message, "slot 4")
		e = refusal(t, perform(t, admin, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: wrappedBy(aes(""), "hsm::4::kek")}))
		require.Contains(t, e.Message, "slot 4")
		require.NotErrorIs(t, perform(t, admin, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(public)}), kmip.ErrNotFound,
			"a key that is away is said not to exist")

		if empty {
			require.NoError(t, os.Remove(s.path("softhsm", "tokens")))
		}
		require.NoError(t, os.Rename(s.path("softhsm", "away"), s.path("softhsm", "tokens")))
		for _, l := range inToken {
			eventually("the token is back, and not used", l, good)
		}
	}
	close(stop)
	wg.Wait()
	for name, l := range loads {
		require.Nil(t, l.wrong.Load(), "%s: %v", name, l.wrong.Load())
	}
	for _, name := range []string{"database", "cached"} {
		require.Zero(t, loads[name].bad.Load(), "%s needs no token, and failed: %v", name, loads[name].last.Load())
	}
	works(t, admin, "cold")
	require.NotContains(t, locate(t, admin), "hsm::4::while away")
	require.Equal(t, pid, s.server.Process.Pid)
	select {
	case <-s.exited:
		t.Fatal("the server ended")
	default:
	}
	require.False(t, strings.Contains(s.log.String(), "panic"), "%s", s.log)
}

// TestTokenAwayAtStart: a server whose token is not there serves what needs none, and the token as soon as it comes.
func TestTokenAwayAtStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::k"))
	create(t, admin, aes("database"))
	s.stop()
	require.NoError(t, os.Rename(s.path("softhsm", "tokens"), s.path("softhsm", "away")))
	require.NoError(t, os.Mkdir(s.path("softhsm", "tokens"), 0o700))
	s.serve()
	admin = s.client("admin", ttlv.V2_1)
	works(t, admin, "database")
	_, err := encrypt(t, admin, "hsm::4::k", []byte("data"))
	require.ErrorContains(t, err, "slot 4")
	require.Equal(t, []string{"database"}, locate(t, admin))
	require.NoError(t, os.Remove(s.path("softhsm", "tokens")))
	require.NoError(t, os.Rename(s.path("softhsm", "away"), s.path("softhsm", "tokens")))
	require.Eventually(t, func() bool {
		_, err := encrypt(t, admin, "hsm::4::k", []byte("data"))
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	works(t, admin, "hsm::4::k")
}
