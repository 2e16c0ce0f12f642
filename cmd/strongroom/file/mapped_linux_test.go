package file

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMappedFileBecomesShorter shows that a file which is cut while it is encrypted is an error, and not the end of the
// process.
func TestMappedFileBecomesShorter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{7}, 1<<16), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	sum := func(b []byte) (n int) {
		for _, x := range b {
			n += int(x)
		}
		return n
	}
	n := 0
	ok, err := mapped(f, 0, 1<<16, func(b []byte) error { n = sum(b); return nil })
	require.True(t, ok)
	require.NoError(t, err)
	require.Equal(t, 7<<16, n)
	ok, err = mapped(f, 0, 1<<16, func(b []byte) error {
		require.NoError(t, os.Truncate(path, 0))
		n = sum(b)
		return nil
	})
	require.True(t, ok)
	require.ErrorIs(t, err, errShorter)

	ok, err = mapped(f, 1, 100, func([]byte) error { panic("not aligned") })
	require.False(t, ok)
	require.NoError(t, err)
	require.PanicsWithValue(t, "another", func() {
		require.NoError(t, os.Truncate(path, 1<<16))
		mapped(f, 0, 1<<16, func([]byte) error { panic("another") })
	})
}
