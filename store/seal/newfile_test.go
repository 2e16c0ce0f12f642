package seal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNewFile: it is there whole or not at all, whatever was left of another.
func TestNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	broken := errors.New("broken")
	err := NewFile(path, func(w io.Writer) error { return errors.Join(text("half")(w), broken) })
	require.ErrorIs(t, err, broken)
	require.NoFileExists(t, path)
	require.NoFileExists(t, path+".part")

	require.NoError(t, os.WriteFile(path+".part", []byte("what is left of a longer one"), 0o644))
	require.NoError(t, NewFile(path, func(w io.Writer) error {
		require.ErrorContains(t, NewFile(path, text("other")), "another process is writing")
		return text("whole")(w)
	}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "whole", string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoFileExists(t, path+".part")
	require.ErrorIs(t, NewFile(path, text("again")), fs.ErrExist)

	late := filepath.Join(t.TempDir(), "late")
	require.ErrorIs(t, NewFile(late, func(w io.Writer) error {
		require.NoError(t, os.WriteFile(late, []byte("theirs"), 0o600))
		return text("mine")(w)
	}), fs.ErrExist)
	content, err = os.ReadFile(late)
	require.NoError(t, err)
	require.Equal(t, "theirs", string(content))

	aim := filepath.Join(t.TempDir(), "aim")
	require.NoError(t, os.WriteFile(aim, []byte("theirs"), 0o600))
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink(aim, path+".part"))
	require.Error(t, NewFile(path, text("through the link")))
	content, err = os.ReadFile(aim)
	require.NoError(t, err)
	require.Equal(t, "theirs", string(content))
}
