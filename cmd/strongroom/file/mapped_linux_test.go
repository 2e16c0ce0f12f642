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
	const size = 1 << 16
	n := 0
	w := newWindows(f, 0, size, size)
	ok, err := w.use(0, size, func(b []byte) error { n = sum(b); return nil })
	require.True(t, ok)
	require.NoError(t, err)
	require.Equal(t, 7<<16, n)
	require.Empty(t, w.mapped, "behind the last chunk of a window it is let go")
	ok, err = w.use(0, size, func(b []byte) error {
		require.NoError(t, os.Truncate(path, 0))
		n = sum(b)
		return nil
	})
	require.True(t, ok)
	require.ErrorIs(t, err, errShorter)
	require.Empty(t, w.mapped)

	require.NoError(t, os.Truncate(path, size))
	require.PanicsWithValue(t, "another", func() { w.use(0, size, func([]byte) error { panic("another") }) })
	require.Nil(t, newWindows(f, 1, size-1, size), "not aligned")
}

// TestWindows shows that each chunk is given what the file has there, and that windows do not outlast their chunks.
func TestWindows(t *testing.T) {
	const chunk, from = MinChunkSize, 4 * MinChunkSize
	content := noise(t, from+2*windowSize+chunk+100)
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	content = content[from:]
	w := newWindows(f, from, int64(len(content)), chunk)
	most := 0
	for at := 0; at < len(content); at += chunk {
		want := content[at:min(at+chunk, len(content))]
		ok, err := w.use(int64(at), len(want), func(b []byte) error {
			require.True(t, bytes.Equal(want, b), "the chunk at %d", at)
			return nil
		})
		require.True(t, ok)
		require.NoError(t, err)
		most = max(most, len(w.mapped))
	}
	require.Equal(t, 1, most)
	require.Empty(t, w.mapped)
	_, err = w.use(0, chunk, func([]byte) error { return nil })
	require.NoError(t, err)
	require.Len(t, w.mapped, 1)
	require.NoError(t, w.close())
	require.Empty(t, w.mapped)
}
