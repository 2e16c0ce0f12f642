package file

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// mappable is a section of a new file.
func mappable(t *testing.T, content []byte) *section {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	s, err := sectionOf(f)
	require.NoError(t, err)
	return s
}

// TestMappedFileBecomesShorter shows that a file which is cut while it is encrypted is an error, and not the end of the
// process.
func TestMappedFileBecomesShorter(t *testing.T) {
	const chunk = 1 << 16
	s := mappable(t, bytes.Repeat([]byte{7}, 3*chunk))
	sum := func(b []byte) (n int) {
		for _, x := range b {
			n += int(x)
		}
		return n
	}
	n := 0
	ok, err := s.mapped(0, chunk, chunk, func(b []byte) { n = sum(b) })
	require.True(t, ok)
	require.NoError(t, err)
	require.Equal(t, 7<<16, n)
	ok, err = s.mapped(chunk, chunk, chunk, func(b []byte) {
		require.NoError(t, os.Truncate(s.f.Name(), 0))
		n = sum(b)
	})
	require.True(t, ok)
	require.ErrorIs(t, err, errShorter)
	require.NoError(t, os.Truncate(s.f.Name(), 3*chunk))
	require.PanicsWithValue(t, "another", func() { s.mapped(2*chunk, chunk, chunk, func([]byte) { panic("another") }) })
	require.Empty(t, s.view.windows, "the window goes with its last chunk, however that ended")

	s.from = 1
	ok, err = s.mapped(0, chunk, chunk, func([]byte) { panic("not aligned") })
	require.False(t, ok)
	require.NoError(t, err)
}

// TestMappedWindows: chunks of many windows, in any order and at once, are what the file has, and nothing stays mapped.
func TestMappedWindows(t *testing.T) {
	const chunk = 4 << 20
	content := make([]byte, 2*windowSize+chunk+12345)
	rand.Read(content)
	s := mappable(t, content)
	var all sync.WaitGroup
	for worker := range int64(3) {
		all.Go(func() {
			for at := worker * chunk; at < s.size; at += 3 * chunk {
				n := min(chunk, s.size-at)
				ok, err := s.mapped(at, chunk, int(n), func(b []byte) {
					if !bytes.Equal(content[at:at+n], b) {
						t.Errorf("the chunk at %d is another", at)
					}
				})
				if !ok || err != nil {
					t.Errorf("the chunk at %d: %v %v", at, ok, err)
				}
			}
		})
	}
	all.Wait()
	require.Empty(t, s.view.windows)

	ok, err := s.mapped(0, chunk, chunk, func([]byte) {})
	require.True(t, ok)
	require.NoError(t, err)
	require.Len(t, s.view.windows, 1)
	require.NoError(t, s.close())
	require.Empty(t, s.view.windows)
}
