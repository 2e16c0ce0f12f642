package hsm

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// checked has the tokens checked, and gives what the slot counts once that is over.
func checked(t *testing.T, h *HSM) SlotCounts {
	t.Helper()
	before := h.Counts().Slots[0].Checks
	h.Check(t.Context())
	require.Eventually(t, func() bool { return h.Counts().Slots[0].Checks == before+1 }, 30*time.Second, time.Millisecond)
	return h.Counts().Slots[0]
}

// TestCounts tells of a token that dies and comes back.
func TestCounts(t *testing.T) {
	h := open(t)
	n := h.Counts().Slots[0]
	require.Equal(t, SlotCounts{Number: 4, Up: true, MostSessions: n.MostSessions, Connections: 1, Logins: 1}, n)
	require.Positive(t, n.MostSessions)
	modules := h.Counts().Modules
	require.Len(t, modules, 1)
	require.Equal(t, h.modules[0].path, modules[0].Library)
	require.Equal(t, modules[0].Isolated, modules[0].WorkerStarts == 1)

	n = checked(t, h)
	require.True(t, n.Up)
	require.Positive(t, n.Took)
	require.WithinDuration(t, time.Now(), n.Checked, time.Minute)

	f := breaks(t, h)
	f.always(ckError{rv: pkcs11.CKR_DEVICE_REMOVED}, "tokenInfo", "login")
	n = checked(t, h)
	require.False(t, n.Up)
	require.True(t, n.Broken)
	require.False(t, n.PINRefused)
	require.EqualValues(t, 1, n.ChecksFailed)
	require.EqualValues(t, 1, n.Losses)
	require.Zero(t, n.Recoveries)

	f.fail.Store(nil)
	require.Eventually(t, func() bool { return checked(t, h).Up }, 30*time.Second, 20*time.Millisecond)
	n = h.Counts().Slots[0]
	require.False(t, n.Broken)
	require.EqualValues(t, 1, n.Recoveries)
	require.EqualValues(t, 2, n.Connections)
	require.Zero(t, n.Busy)

	f.once("login", ckError{rv: pkcs11.CKR_PIN_INCORRECT})
	h.slots[4].drop(h.slots[4].conn.Load(), errStale)
	n = checked(t, h)
	require.True(t, n.PINRefused)
	require.EqualValues(t, 1, n.LoginsFailed)
	require.False(t, checked(t, h).Up)
	require.EqualValues(t, n.Logins, h.Counts().Slots[0].Logins, "a PIN that was refused is not tried again")
	h.Reload()
	require.False(t, h.Counts().Slots[0].PINRefused)
	require.True(t, checked(t, h).Up)
}

// TestCountsSessions tells how many are in use, and of operations that waited too long for one.
func TestCountsSessions(t *testing.T) {
	newToken(t, label(t))
	h := openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN), MaxSessions: 1, Wait: 50 * time.Millisecond})
	s := h.slots[4]
	require.NoError(t, s.do(t.Context(), func(*connection, session) error {
		n := h.Counts().Slots[0]
		require.Equal(t, 1, n.Sessions)
		require.Equal(t, 1, n.MostSessions)
		require.ErrorContains(t, h.Random(t.Context(), 4, make([]byte, 8)), "HSM busy")
		return nil
	}))
	n := h.Counts().Slots[0]
	require.Zero(t, n.Sessions)
	require.EqualValues(t, 1, n.Busy)
	require.True(t, n.Up)
}

// TestCountsCalls tells how many calls run at once, in this process and in a worker, and that the configuration may say it.
func TestCountsCalls(t *testing.T) {
	cores := uint64(runtime.GOMAXPROCS(0))
	for _, at := range []struct {
		isolation        string
		atOnce, sessions int
		most             uint64 // of calls that wait
	}{{"none", 7, 100, 7}, {"none", 0, 100, 100}, {"process", 0, 0, DefaultSessions}} {
		t.Run(fmt.Sprint(at.isolation, at.atOnce), func(t *testing.T) {
			h, _ := shimmed(t, func(m *Module) {
				m.CallsAtOnce, m.Slots[0].MaxSessions, m.Isolation = at.atOnce, at.sessions, at.isolation
				m.Worker = withEnv(workerOf(m.Library, m.Slots...), m.Env)
			})
			n := h.Counts().Modules[0]
			if at.atOnce > 0 {
				require.Equal(t, []uint64{at.most, at.most}, []uint64{n.SymmetricCalls, n.PrivateCalls})
				return
			}
			require.Contains(t, []uint64{max(1, cores/2), at.most}, n.SymmetricCalls)
			require.Contains(t, []uint64{cores, at.most}, n.PrivateCalls)
		})
	}
}
