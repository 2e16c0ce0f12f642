package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// abandoned makes a staging with two files that were to go to first and last, of which moved did, as a process leaves it that was cut off.
func abandoned(t *testing.T, dir string, moved ...string) *staging {
	t.Helper()
	s, err := newStaging(dir, initPrefix)
	require.NoError(t, err)
	var from, to []string
	for _, name := range []string{"first", "last"} {
		from, to = append(from, filepath.Join(s.path, name)), append(to, filepath.Join(dir, name))
		require.NoError(t, os.WriteFile(filepath.Join(s.path, name), []byte(name), 0o600))
	}
	require.NoError(t, s.announce(from, to))
	for _, name := range moved {
		require.NoError(t, os.Rename(filepath.Join(s.path, name), filepath.Join(dir, name)))
	}
	return s
}

// TestTakeBack: what a process moved that is gone is taken back, and nothing else ever.
func TestTakeBack(t *testing.T) {
	for name, c := range map[string]struct {
		moved  []string
		theirs map[string]string // written by somebody else
		live   bool
		left   []string
	}{
		"nothing was moved":      {},
		"one was moved":          {moved: []string{"first"}},
		"all was moved":          {moved: []string{"first", "last"}, left: []string{"first", "last"}},
		"the process is at it":   {moved: []string{"first"}, live: true, left: []string{"first"}},
		"another's in the place": {theirs: map[string]string{"first": "theirs"}, left: []string{"first"}},
		"another's in the last":  {moved: []string{"first"}, theirs: map[string]string{"last": "theirs"}, left: []string{"first", "last"}},
		"others beside":          {moved: []string{"first"}, theirs: map[string]string{".init-file": "theirs", "more": "theirs"}, left: []string{".init-file", "more"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := abandoned(t, dir, c.moved...)
			for name, text := range c.theirs {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			if !c.live {
				require.NoError(t, s.lock.Close())
			}
			require.NoError(t, takeBack(dir, initPrefix))
			if c.live {
				require.DirExists(t, s.path)
				require.NoError(t, s.close())
			}
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			var left []string
			for _, e := range entries {
				left = append(left, e.Name())
			}
			require.ElementsMatch(t, c.left, left)
			for name, text := range c.theirs {
				content, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				require.Equal(t, text, string(content))
			}
		})
	}
}

// TestTakeBackTrustsNobody: a staging that others can write to could name anything.
func TestTakeBackTrustsNobody(t *testing.T) {
	dir := t.TempDir()
	s := abandoned(t, dir, "first")
	require.NoError(t, s.lock.Close())
	require.NoError(t, os.Chmod(s.path, 0o770))
	require.NoError(t, takeBack(dir, initPrefix))
	require.FileExists(t, filepath.Join(dir, "first"))
	require.DirExists(t, s.path)
}
