package tests

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
	"strongroom/store"
)

// TestX34Crash ends seal rewrap in the middle of a page of rows, and between two pages. The next run goes on with what is left.
func TestX34Crash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	tr := s.treasures()
	c := s.client("admin", ttlv.V2_1)
	const rows = 340
	for i := range rows {
		create(t, c, aes(fmt.Sprint("row", i)))
	}
	s.stop()
	s.configure(`key_encryption_key      = ""`, `key_encryption_key      = "hsm::4::kek"`)
	args := []string{"seal", "rewrap", "--wait", "--config", s.config()}
	moved := 0
	for _, point := range []string{"move-page:1", "change-row:10", "change-committed:10", "move-wrapped:10", "move-row:10"} {
		s.crashServing(point, func() { require.NotZero(t, s.strongroomd(args...).code) })
		s.serve()
		tr.safe(point)
		under := s.sealing().Objects.HSMProtected
		require.Greater(t, under, moved, point)
		moved = under
		s.stop()
	}
	require.Less(t, moved, rows, "there was nothing left to do")
	s.serve()
	s.must(s.strongroomd(args...))
	tr.safe("the last run")
	require.Equal(t, rows+3, s.sealing().Objects.HSMProtected)
	c = s.client("admin", ttlv.V2_1)
	for i := range rows {
		works(t, c, fmt.Sprint("row", i))
	}
}

// TestX63Crash ends the rotation of a wrapping key of 200 keys in the middle, each time at another step of a row. The next run goes on with
// what is left; then the old wrapping key can go, and all of them sign.
func TestX63Crash(t *testing.T) {
	t.Parallel()
	const keys = 200
	s := newSite(t)
	s.wrapping(`hsm_wrapping_key = "hsm::4::old"`, "old", "new")
	s.serve()
	tr := s.treasures()
	publics := make([][]byte, keys)
	var wg sync.WaitGroup
	for maker := range 4 {
		c := s.client("admin", ttlv.V2_1)
		wg.Go(func() {
			for i := maker; i < keys; i += 4 {
				_, public := inHardware(t, c, p256(fmt.Sprint("key-", i)))
				publics[i] = get(t, c, public, kmip.KeyFormatTypeX509).Material
			}
		})
	}
	wg.Wait()
	s.stop()
	args := []string{"hsm", "rewrap", "--json", "--from", "hsm::4::old", "--to", "hsm::4::new", "--config", s.config()}
	done := 0
	for i, point := range []string{"rewrap-wrapped:30", "rewrap-row:30", "change-row:30", "change-committed:30"} {
		if i%2 == 0 {
			s.crashServing(point, func() { require.NotZero(t, s.strongroomd(args...).code) })
		} else {
			s.crash(point, args...)
		}
		s.serve()
		tr.safe(point)
		moved := s.under("hsm::4::new")
		require.Greater(t, moved, done, point)
		require.Equal(t, keys, moved+s.under("hsm::4::old"), point)
		done = moved
		s.stop()
	}
	require.Less(t, done, keys, "there was nothing left to do")
	s.serve()
	var w store.Rewrapping
	require.NoError(t, json.Unmarshal([]byte(s.must(s.strongroomd(args...))), &w))
	require.Equal(t, store.Rewrapping{Rewrapped: keys - done}, w)
	s.stop()
	s.tool("--delete-object", "--type", "secrkey", "--label", "old")
	s.serve()
	tr.safe("the last run")
	c := s.client("admin", ttlv.V2_1)
	for i := range keys {
		signed, err := signature(t, c, fmt.Sprint("key-", i), []byte("data"))
		require.NoError(t, err)
		require.True(t, verifies(t, publics[i], []byte("data"), signed), i)
	}
}

// TestCrashInWrites ends the server in the transaction that many Creates, Destroys or Re-Keys share, and behind it. What was answered is
// so; of the rest each was done, or not.
func TestCrashInWrites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	tr := s.treasures()
	c := s.client("admin", ttlv.V2_1)
	var doomed []string
	for i := range 80 {
		a := aes(fmt.Sprint("doomed", i)).Without(ttlv.TagActivationDate)
		doomed = append(doomed, create(t, c, a))
	}
	create(t, c, aes("renewed"))
	renewed := get(t, c, "renewed", 0).Material
	s.stop()

	for _, point := range []string{"create-row:40", "create-committed:40"} {
		var answered func() []string
		s.crashServing(point, func() { _, answered = creators(t, s, 16, aes("")) })
		uids := answered()
		s.serve()
		tr.safe(point)
		c := s.client("admin", ttlv.V2_1)
		for _, uid := range uids {
			works(t, c, uid)
		}
		require.Positive(t, len(uids), point)
		s.stop()
	}

	for round, point := range []string{"destroy-row:20", "change-committed:20"} {
		var mu sync.Mutex
		gone := map[string]bool{}
		mine := doomed[40*round : 40*round+40]
		s.crashServing(point, func() {
			var wg sync.WaitGroup
			c := s.client("admin", ttlv.V2_1)
			for _, uid := range mine {
				wg.Go(func() {
					if _, err := client.Do[kmip.DestroyResponse](t.Context(), c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}); err == nil {
						mu.Lock()
						gone[uid] = true
						mu.Unlock()
					}
				})
			}
			wg.Wait()
		})
		s.serve()
		tr.safe(point)
		c := s.client("admin", ttlv.V2_1)
		for _, uid := range mine {
			err := perform(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
			if gone[uid] {
				require.Equal(t, kmip.ResultReasonObjectDestroyed, refusal(t, err).Reason, uid)
			}
			if err == nil { // again
				destroy(t, c, uid)
			}
		}
		s.stop()
	}

	for _, point := range []string{"create-row:1", "create-committed:1", "change-row:1", "change-committed:1"} {
		ask := &kmip.ReKeyRequest{UniqueIdentifier: "renewed"}
		s.crashServing(point, func() {
			require.Error(t, perform(t, s.client("admin", ttlv.V2_1), kmip.OperationReKey, ask))
		})
		s.serve()
		tr.safe(point)
		c := s.client("admin", ttlv.V2_1)
		require.Equal(t, renewed, get(t, c, "renewed", 0).Material)
		works(t, c, string(do[kmip.ReKeyResponse](t, c, kmip.OperationReKey, ask).UniqueIdentifier))
		s.stop()
	}
}

// TestCrashInToken ends the server between the making of a pair in a token and what is stored of it, and between its destruction and that:
// the log and hsm keys tell it, hsm adopt and hsm prune mend it.
func TestCrashInToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	tr := s.treasures()
	s.stop()
	listed := func() map[string]string {
		t.Helper()
		var keys []struct {
			UniqueIdentifier string `json:"unique_identifier"`
			Class            string
			Recorded         bool `json:"stored"`
		}
		require.NoError(t, json.Unmarshal([]byte(s.must(s.strongroomd("hsm", "keys", "--json", "--config", s.config()))), &keys))
		all := map[string]string{}
		for _, k := range keys {
			all[k.UniqueIdentifier] = fmt.Sprint(k.Class, " ", k.Recorded)
		}
		return all
	}
	logged := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(s.log.String(), text) }, 20*time.Second, 10*time.Millisecond, "%q is not in the log: %s", text, s.log)
	}
	pair := &kmip.CreateKeyPairRequest{CommonAttributes: p256("hsm::4::pair")}
	for point, stored := range map[string][2]bool{"record-put:1": {false, false}, "record-put:2": {true, false}} {
		s.crashServing(point, func() {
			require.Error(t, perform(t, s.client("admin", ttlv.V2_1), kmip.OperationCreateKeyPair, pair))
		})
		s.serve()
		tr.safe(point)
		logged("nothing is stored of keys in the token")
		all := listed()
		require.Equal(t, fmt.Sprint("private ", stored[0]), all["hsm::4::pair"], point)
		require.Equal(t, fmt.Sprint("public ", stored[1]), all["hsm::4::pair_pk"], point)
		c := s.client("admin", ttlv.V2_1)
		require.Equal(t, kmip.ResultReasonObjectAlreadyExists, refusal(t, perform(t, c, kmip.OperationCreateKeyPair, pair)).Reason)
		s.must(s.strongroomd("hsm", "adopt", "--slot", "4", "pair", "--config", s.config()))
		_, err := signature(t, c, "hsm::4::pair", []byte("data"))
		require.NoError(t, err)
		require.Equal(t, "public true", listed()["hsm::4::pair_pk"])
		destroy(t, c, "hsm::4::pair_pk")
		s.stop()
		s.crashServing("record-drop", func() {
			require.Error(t, perform(t, s.client("admin", ttlv.V2_1), kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "hsm::4::pair"}))
		})
		s.serve()
		tr.safe("record-drop")
		logged("a key is not in its token any more")
		require.Equal(t, "gone true", listed()["hsm::4::pair"])
		s.must(s.strongroomd("hsm", "prune", "--slot", "4", "--config", s.config()))
		require.NotContains(t, listed(), "hsm::4::pair")
		s.stop()
	}
}
