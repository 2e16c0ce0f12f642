package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestUndoKeepsWhatOthersDid shows that a batch which is taken back does not take back a revocation or a use that came
// meanwhile, between two of its changes or after them.
func TestUndoKeepsWhatOthersDid(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	db := g.server.Store
	change := func(b kmip.Backend, uid string, tag ttlv.Tag, value any) {
		o, err := b.Object(t.Context(), uid)
		require.NoError(t, err)
		o = o.Clone()
		o.Attributes = o.Attributes.With(tag, value)
		require.NoError(t, b.Update(t.Context(), o))
	}
	for name, between := range map[string][2]bool{"between": {true, false}, "after": {false, true}, "never": {}} {
		t.Run(name, func(t *testing.T) {
			must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes(name))
			r := new(Request)
			batch := undoing{db, r}
			for i, other := range between {
				change(batch, name, ttlv.TagComment, []string{"one", "two"}[i])
				if other {
					change(db, name, ttlv.TagState, kmip.StateCompromised)
				}
			}
			var failed error
			for i := len(r.undos) - 1; i >= 0 && failed == nil; i-- {
				failed = r.undos[i](t.Context())
			}
			o, err := db.Object(t.Context(), name)
			require.NoError(t, err)
			if name == "never" {
				require.NoError(t, failed)
				require.False(t, o.Attributes.Contains(ttlv.TagComment))
				return
			}
			require.ErrorIs(t, failed, kmip.ErrConflict)
			require.Equal(t, kmip.StateCompromised, o.State(time.Now()))
		})
	}
}
