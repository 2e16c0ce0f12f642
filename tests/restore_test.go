package tests

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// device is the file system of a folder.
func device(t *testing.T, folder string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	require.NoError(t, syscall.Stat(folder, &st))
	return uint64(st.Dev)
}

// TestRestoreAcrossFileSystems: the database of a restored installation is on another file system than its configuration. What does not
// succeed to its end leaves nothing on either.
func TestRestoreAcrossFileSystems(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	far := t.TempDir()
	if device(t, far) == device(t, s.dir) {
		t.Skipf("%s and %s are on one file system", far, s.dir)
	}
	folder := filepath.Join(far, "databases", "strongroom")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	database := filepath.Join(folder, "strongroom.db")
	require.NoError(t, os.WriteFile(database, s.read("data/strongroom.db"), 0o600))
	require.NoError(t, os.Remove(s.path("data", "strongroom.db")))
	s.configure(`"sqlite:strongroom.db"`, `"sqlite:`+database+`"`)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("k"))
	file := s.backup()
	s.stop()
	require.NoError(t, os.RemoveAll(filepath.Join(far, "databases")))

	restore := func(to *site) result {
		return s.strongroomd("restore", file, "--dir", to.dir, "-m", s.path("master.key"))
	}
	lost := s.elsewhere()
	in := filepath.Join(far, "databases")
	require.NoError(t, os.WriteFile(in, nil, 0o600)) // in the way of the folder
	require.Contains(t, s.refused(restore(lost)), "not a directory")
	require.NoDirExists(t, lost.dir)
	require.NoError(t, os.Remove(in))

	s.carry(lost, "master.key", "hsm-4.pin")
	s.must(restore(lost))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1, "%v", entries)
	info, err := os.Stat(database)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Subset(t, []string{"data", "hsm-4.pin", "master.key", "strongroom.toml", "tls"}, lost.names("."))
	copyTree(t, s.path("clients"), lost.path("clients"))
	require.NoError(t, os.MkdirAll(lost.path("data"), 0o700))
	lost.serve()
	works(t, lost.client("admin", ttlv.V2_1), "k")
}
