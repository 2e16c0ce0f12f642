package main

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/conf"
	"strongroom/store"
	"strongroom/store/seal"
)

// TestWishDisagrees: a configuration that asks for another protector than the master key in use, and does not say that it was that one
// before, is told what to write.
func TestWishDisagrees(t *testing.T) {
	folder := t.TempDir()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(folder, "strongroom.db"), store.Options{})
	require.NoError(t, err)
	defer db.Close()
	used, wanted := filepath.Join(folder, "used.key"), filepath.Join(folder, "wanted.key")
	key, err := seal.CreateMasterKey(used, nil)
	require.NoError(t, err)
	other, err := seal.CreateMasterKey(wanted, nil)
	require.NoError(t, err)
	require.NoError(t, db.Root().Init(t.Context(), key, nil))
	s := newSealer(&conf.Config{DataDir: folder, Seal: conf.Seal{Strategy: "software", MasterKeyFile: wanted}}, &backends{store: db}, slog.New(slog.DiscardHandler))
	s.learned = []string{used}
	s.followWish(t.Context())
	require.Contains(t, s.wished[0], "asks for "+other.Reference())
	require.Contains(t, s.wished[3], used)
}

// TestRecoveryKeyIsChecked: what comes over the admin socket makes no slot that nobody could open.
func TestRecoveryKeyIsChecked(t *testing.T) {
	for want, k := range map[string]recoveryKey{
		"has shares":    {Key: make([]byte, 32)},
		"3 of 2 shares": {sharing: sharing{2, 3}, Key: make([]byte, 32)},
		"32 bytes":      {sharing: sharing{3, 2}, Key: make([]byte, 31)},
	} {
		_, err := k.put(t.Context(), nil)
		require.ErrorContains(t, err, want)
	}
	k, texts, err := newRecovery(sharing{3, 2})
	require.NoError(t, err)
	require.Len(t, texts, 3)
	p, err := k.protector()
	require.NoError(t, err)
	for i, text := range texts {
		s, err := parseShare(text)
		require.NoError(t, err)
		require.Equal(t, []int{3, 2, i + 1}, []int{s.shares, s.threshold, s.number})
		require.Equal(t, fingerprintOf(p), s.fingerprint)
	}
}
