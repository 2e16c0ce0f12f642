package hsm

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// busySessions makes a pool have n sessions that nobody uses.
func busySessions(t *testing.T, h *HSM, n int) {
	t.Helper()
	var inside, all sync.WaitGroup
	inside.Add(n)
	for range n {
		all.Go(func() {
			err := h.slots[4].do(t.Context(), func(*connection, session) error {
				inside.Done()
				inside.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.GreaterOrEqual(t, len(h.slots[4].conn.Load().idle), n)
}

// A device that forgot all its sessions is asked for new ones by the first who meets one of the old, however many there were.
func TestAllSessionsForgotten(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "k")
	busySessions(t, h, 12)
	c := h.slots[4].conn.Load()
	for _, s := range c.idle {
		require.NoError(t, h.modules[0].lib.closeSession(s))
	}
	require.NoError(t, encrypts(t.Context(), h, "k"))

	busySessions(t, h, 12)
	for _, s := range append(c.idle[:len(c.idle):len(c.idle)], c.anchor) {
		require.NoError(t, h.modules[0].lib.closeSession(s)) // the last one logs out
	}
	require.NoError(t, h.Generate(t.Context(), aesObject("l", 256)))
	require.NoError(t, encrypts(t.Context(), h, "k"))
}
