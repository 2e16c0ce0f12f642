package seal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// keyFilesIn writes two key files of mode 0644.
func keyFilesIn(t *testing.T) ([]KeyFile, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	content := map[string]string{"tls/server.key": "the key of the server", "ca.key": "the key of the authority"}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tls"), 0o700))
	var list []KeyFile
	for _, name := range []string{"tls/server.key", "ca.key"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content[name]), 0o644))
		list = append(list, KeyFile{name, path})
	}
	return list, content
}

func states(t *testing.T, list []KeyFile) (all []FileState) {
	t.Helper()
	for _, k := range list {
		s, err := k.State()
		require.NoError(t, err)
		all = append(all, s)
	}
	return all
}

// TestX48Encrypt: of each file only the envelope remains, mode 0600; again, there is nothing to do; and back.
func TestX48Encrypt(t *testing.T) {
	list, content := keyFilesIn(t)
	f := NewFiles(unsealed(t), list)
	n, err := f.Encrypt(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []FileState{FileEncrypted, FileEncrypted}, states(t, list))
	for _, k := range list {
		info, err := os.Stat(k.Encrypted())
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		entries, err := os.ReadDir(filepath.Dir(k.Path))
		require.NoError(t, err)
		for _, e := range entries {
			require.NotContains(t, e.Name(), ".part")
		}
	}
	n, err = f.Encrypt(t.Context(), false)
	require.NoError(t, err)
	require.Zero(t, n)

	n, err = f.Unlock(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	held, ok, err := f.Held(list[0].Path)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, content["tls/server.key"], string(held))
	_, ok, _ = f.Held("elsewhere")
	require.False(t, ok)
	require.Equal(t, 2, f.Lock())
	_, ok, err = f.Held(list[0].Path)
	require.True(t, ok)
	require.ErrorIs(t, err, ErrLocked)

	n, err = f.Decrypt(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []FileState{FileClear, FileClear}, states(t, list))
	for _, k := range list {
		back, err := os.ReadFile(k.Path)
		require.NoError(t, err)
		require.Equal(t, content[k.Name], string(back))
		info, err := os.Stat(k.Path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

// TestEncryptRefuses: what could lose a key is refused before anything is changed.
func TestEncryptRefuses(t *testing.T) {
	root := unsealed(t)
	list, content := keyFilesIn(t)
	f := NewFiles(root, list)
	_, err := NewFiles(root, append(list, KeyFile{"absent", filepath.Join(t.TempDir(), "absent")})).Encrypt(t.Context(), false)
	require.ErrorContains(t, err, "absent")
	require.Equal(t, []FileState{FileClear, FileClear}, states(t, list), "nothing was changed")

	_, err = f.Encrypt(t.Context(), false)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(list[1].Path, []byte("a renewed key"), 0o600))
	_, err = f.Encrypt(t.Context(), false)
	require.ErrorContains(t, err, "--replace")
	_, err = f.Decrypt(t.Context())
	require.ErrorContains(t, err, "another key")
	n, err := f.Encrypt(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	held, err := f.read(t.Context(), list[1])
	require.NoError(t, err)
	require.Equal(t, "a renewed key", string(held))

	// An envelope in another file's place, or of another root key, does not open, and one whose root key is sealed neither.
	require.NoError(t, os.Rename(list[0].Encrypted(), list[1].Encrypted()))
	_, err = f.read(t.Context(), list[1])
	require.ErrorIs(t, err, ErrDecrypt)
	require.NoError(t, os.Rename(list[1].Encrypted(), list[0].Encrypted()))
	_, err = NewFiles(unsealed(t), list).read(t.Context(), list[0])
	require.ErrorIs(t, err, ErrDecrypt)
	root.Seal()
	_, err = f.Encrypt(t.Context(), false)
	require.ErrorIs(t, err, ErrSealed)
	_, err = f.Unlock(t.Context())
	require.ErrorIs(t, err, ErrSealed)
	require.NotEmpty(t, content)
}

// TestMemory: a secret in its own pages is there until it is destroyed, and what it came from is cleared.
func TestMemory(t *testing.T) {
	for _, size := range []int{0, 1, 32, 4095, 4096, 4097, 70000} {
		secret := make([]byte, size)
		for i := range secret {
			secret[i] = byte(i)*3 + 1
		}
		want := string(secret)
		m, err := NewMemory(secret)
		require.NoError(t, err)
		require.Equal(t, want, string(m.Bytes()))
		require.Equal(t, make([]byte, size), secret)
		require.True(t, m.Locked() || size > 4096, "a page can be locked everywhere")
		require.Contains(t, smaps(t, m), "dd", "left out of core dumps")
		require.Contains(t, smaps(t, m), "dc", "left out of child processes")
		m.Destroy()
		require.Nil(t, m.Bytes())
		m.Destroy()
	}
}
