package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestPlaceFileAcrossFileSystems: a copy where no link can be, which replaces nothing.
func TestPlaceFileAcrossFileSystems(t *testing.T) {
	here := t.TempDir()
	memory, err := os.MkdirTemp("/dev/shm", "strongroom-place")
	if err != nil {
		t.Skipf("there is no second file system: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(memory) })
	from, to := filepath.Join(memory, "from"), filepath.Join(here, "to")
	require.NoError(t, os.WriteFile(from, []byte("content"), 0o600))
	if err := os.Link(from, to); err == nil {
		t.Skipf("%s and %s are on one file system", memory, here)
	} else {
		require.ErrorIs(t, err, unix.EXDEV)
	}
	far, err := otherMount(memory, here)
	require.NoError(t, err)
	require.True(t, far)
	copied := filepath.Join(here, "copied")
	require.NoError(t, os.WriteFile(copied, nil, 0o600))
	require.NoError(t, placeFile(from, copied, to))
	content, err := os.ReadFile(to)
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
	require.NoFileExists(t, copied)
	require.NoError(t, os.WriteFile(copied, nil, 0o600))
	require.ErrorIs(t, placeFile(from, copied, to), fs.ErrExist)
}
