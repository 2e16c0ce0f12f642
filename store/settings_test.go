package store

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/store/seal"
)

// TestSettings: they outlive the process, older revisions do not overwrite newer ones, and they are sealed.
func TestSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	value, revision, err := s.Setting(t.Context(), "rules")
	require.NoError(t, err)
	require.Nil(t, value)
	require.NoError(t, s.PutSetting(t.Context(), "rules", []byte("first"), revision))
	require.ErrorIs(t, s.PutSetting(t.Context(), "rules", []byte("late"), revision), kmip.ErrConflict)
	require.NoError(t, s.PutSetting(t.Context(), "rules", []byte("second"), revision+1))
	require.NoError(t, s.PutSetting(t.Context(), "other", []byte("kept"), 0))
	require.NoError(t, s.Close())

	s = openAt(t, path, Options{})
	value, revision, err = s.Setting(t.Context(), "rules")
	require.NoError(t, err)
	require.Equal(t, "second", string(value))
	require.NoError(t, s.PutSetting(t.Context(), "rules", nil, revision))
	require.NoError(t, s.Close())

	s = openAt(t, path, Options{})
	value, again, err := s.Setting(t.Context(), "rules")
	require.NoError(t, err)
	require.Nil(t, value)
	require.Equal(t, revision+1, again)
	require.NoError(t, s.PutSetting(t.Context(), "rules", []byte("third"), again))
}

// TestMovedSetting: the envelope of one setting does not stand in for another, nor a changed one for itself.
func TestMovedSetting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	require.NoError(t, s.PutSetting(t.Context(), "one", []byte("1"), 0))
	require.NoError(t, s.PutSetting(t.Context(), "two", []byte("2"), 0))
	require.NoError(t, s.writer.write(t.Context(), func(b *batch) error {
		_, err := b.exec(`UPDATE settings SET envelope = (SELECT envelope FROM settings WHERE name = 'one') WHERE name = 'two'`)
		return err
	}, nil))
	require.NoError(t, s.Close())
	s = openAt(t, path, Options{})
	_, _, err := s.Setting(t.Context(), "two")
	require.ErrorIs(t, err, seal.ErrDecrypt)
	value, _, err := s.Setting(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, "1", string(value))
}
