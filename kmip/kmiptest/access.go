package kmiptest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// grants are what the suite grants.
var grants = []kmip.Grant{
	{Grantee: "*", Operation: kmip.OperationGetAttributes},
	{Grantee: "bob", Operation: kmip.OperationEncrypt},
}

func testSetGrants(t *testing.T, s *suite) {
	uid := s.generate(t, "k").UniqueIdentifier
	before := s.object(t, uid)
	changed := before.Clone()
	changed.Grants = append(changed.Grants, grants...)
	require.NoError(t, s.SetGrants(t.Context(), changed))
	require.Empty(t, before.Grants, "an object that was given out does not change")
	after := s.object(t, uid)
	require.ElementsMatch(t, grants, after.Grants)
	require.True(t, after.Attributes.Has(name("k")), "grants leave the attributes alone")

	late := before.Clone()
	late.Grants = nil
	require.ErrorIs(t, s.SetGrants(t.Context(), late), kmip.ErrConflict)

	fewer := after.Clone()
	fewer.Grants = fewer.Grants[:1]
	require.NoError(t, s.SetGrants(t.Context(), fewer))
	require.Len(t, s.object(t, uid).Grants, 1)
}

// destroy ends an object as the server does: with the state and the date set.
func (s *suite) destroy(t *testing.T, uid string) {
	t.Helper()
	o := s.object(t, uid).Clone()
	o.Attributes = o.Attributes.With(ttlv.TagState, kmip.StateDestroyed).With(ttlv.TagDestroyDate, Now)
	require.NoError(t, s.Destroy(t.Context(), o))
}

func testDestroy(t *testing.T, s *suite) {
	uid := s.generate(t, "k").UniqueIdentifier
	other := s.generate(t, "other").UniqueIdentifier
	s.destroy(t, uid)
	s.requireEncrypts(t, s.object(t, other).Key)
	got, err := s.Object(t.Context(), uid)
	if !s.KeepsDestroyed {
		require.ErrorIs(t, err, kmip.ErrNotFound)
		s.generate(t, "k")
		s.requireEncrypts(t, s.object(t, uid).Key)
		return
	}
	require.NoError(t, err)
	require.Equal(t, kmip.StateDestroyed, got.State(Now))
	require.Nil(t, got.Key)
	_, err = s.Value(t.Context(), got)
	require.Error(t, err)
	err = s.Generate(t.Context(), s.aes("k"))
	require.ErrorIs(t, err, kmip.ErrExists)
	require.ErrorContains(t, err, "destroyed")
	require.Error(t, s.Destroy(t.Context(), got.Clone()))
}

// testDestroyEndsUse holds an object across its destruction: its Key no longer computes.
func testDestroyEndsUse(t *testing.T, s *suite) {
	uid := s.generate(t, "k").UniqueIdentifier
	held := s.object(t, uid)
	s.requireEncrypts(t, held.Key)
	s.destroy(t, uid)
	_, err := held.Key.Encrypt(t.Context(), s.encryptRequest())
	require.Error(t, err)
}

// testDestroyEndsGrants looks that no grant waits for the next object of that name.
func testDestroyEndsGrants(t *testing.T, s *suite) {
	uid := s.generate(t, "k").UniqueIdentifier
	o := s.object(t, uid).Clone()
	o.Grants = grants
	require.NoError(t, s.SetGrants(t.Context(), o))
	s.destroy(t, uid)
	if !s.KeepsDestroyed {
		s.generate(t, "k")
	}
	require.Empty(t, s.object(t, uid).Grants)
}
