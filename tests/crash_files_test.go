package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// TestX48Crash ends keys encrypt and keys decrypt-all between any two steps of each of the two files, without a server and in one (in one of
// the second file only with STRONGROOM_LONG=1). Every key is there whole afterwards: the server starts, and the same command again completes the work.
func TestX48Crash(t *testing.T) {
	t.Parallel()
	begun := []string{"key-file-begun", "key-file-half", "key-file-full", "key-file-placed"}
	acts := map[string][]string{
		"encrypt":     append(begun, "key-file-proven", "key-file-aside", "key-file-erased", "key-file-gone"),
		"decrypt-all": append(begun, "key-file-decrypted", "key-envelope-gone"),
	}
	for act, points := range acts {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprint(act, " running ", running), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				material, whole := s.pemKeys()
				args := []string{"keys", act, "--config", s.config()}
				if act == "decrypt-all" {
					args = append(args, "--yes")
				} else {
					s.must(s.keys("decrypt-all", "--yes"))
				}
				for _, point := range points {
					for file := 1; file <= 2 && (file == 1 || !running || os.Getenv("STRONGROOM_LONG") == "1"); file++ {
						at := fmt.Sprint(point, ":", file)
						if running {
							s.crashServing(at, func() { require.NotZero(t, s.strongroomd(args...).code) })
						} else {
							s.crash(at, args...)
						}
						if running || file == 1 {
							s.serve()
							s.stop()
						}
						s.must(s.strongroomd(args...))
						s.tidy(act, whole)
						if act == "encrypt" {
							require.Zero(t, material.searchNone(t, s.dir), at)
							s.must(s.keys("decrypt-all", "--yes"))
							s.tidy("decrypt-all", whole)
						} else {
							s.must(s.keys("encrypt"))
							s.tidy("encrypt", whole)
							require.Zero(t, material.searchNone(t, s.dir), at)
						}
					}
				}
			})
		}
	}
}

// tidy fails the test unless the keys are as they were, in the form that the command leaves, and nothing else is in their folder.
func (s *site) tidy(act string, whole map[string][]byte) {
	s.t.Helper()
	suffix := ".enc"
	if act == "decrypt-all" {
		suffix = ""
	}
	require.ElementsMatch(s.t, []string{"ca.crt", "server.crt", "ca.key" + suffix, "server.key" + suffix}, s.names("tls"))
	for name, content := range whole {
		info, err := os.Stat(s.path(name + suffix))
		require.NoError(s.t, err)
		require.Equal(s.t, os.FileMode(0o600), info.Mode().Perm())
		require.Equal(s.t, content, s.serverKey(name))
	}
}

// TestX29CrashInit ends init between any two steps. The same command again makes the installation, and nothing of the first one stays.
func TestX29CrashInit(t *testing.T) {
	t.Parallel()
	for strategy, points := range map[string][]string{
		"software": {"new-file-begun", "new-file-full", "new-file-placed", "slot-begun", "slots-dropped", "slots-written", "init-built",
			"init-moved:1", "init-moved:2", "init-moved:3", "init-moved:4", "init-moved:5", "init-moved:6", "init-moved:7"},
		"hsm": {"seal-key-made", "slot-wrapped", "slots-inserted", "init-moved:3", "init-moved:5"},
	} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("/dev/shm", "strongroom-site")
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			for n, point := range points {
				s := &site{t: t, dir: filepath.Join(dir, fmt.Sprint("site", n)), address: freeAddress(t), log: new(lockedBuffer)}
				args := []string{"init", s.dir, "--softhsm", "--listen", s.address, "--seal", strategy}
				s.crash(point, args...)
				r := s.strongroomd(args...)
				if point == "init-moved:7" { // which was the last
					require.Contains(t, s.refused(r), "is there already: nothing was changed")
				} else {
					s.must(r)
				}
				want := []string{"tls", "clients", "data", "softhsm", "hsm-4.pin", "strongroom.toml"}
				if strategy == "software" {
					want = append(want, "master.key")
				}
				require.ElementsMatch(t, want, s.names("."), point)
				s.serve()
				tr := s.treasures()
				s.kill()
				s.serve()
				tr.safe(point)
				s.stop()
			}
		})
	}
}

// TestX29CrashSealInit ends the making of a root key for a configuration that an operator wrote.
func TestX29CrashSealInit(t *testing.T) {
	t.Parallel()
	s := siteWith(t, "--clear-keys")
	for _, point := range []string{"new-file-begun", "new-file-placed", "slot-begun", "slot-wrapped", "slots-ready", "slots-dropped", "slots-inserted", "slots-written"} {
		require.NoError(t, os.RemoveAll(s.path("data")))
		require.NoError(t, os.Remove(s.path("master.key")))
		args := []string{"seal", "init", "--generate", "--config", s.config()}
		s.crash(point, args...)
		r := s.strongroomd(args...)
		if point == "slots-written" {
			require.Contains(t, s.refused(r), "there is a root key already")
		} else {
			s.must(r)
		}
		require.NotContains(t, strings.Join(s.names("."), " "), ".part")
		s.serve()
		create(t, s.client("admin", ttlv.V2_1), aes("k"))
		works(t, s.client("admin", ttlv.V2_1), "k")
		s.stop()
	}
	s.serve()
	require.Len(t, s.sealing().Slots, 1)
}

// TestX57Crash ends the writing of a backup: there is none then, or a whole one; and its restoring: the place is of no use then, and the
// same command again puts everything there.
func TestX57Crash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	tr := s.treasures()
	s.stop()
	file := filepath.Join(filepath.Dir(s.dir), "backup.tar")
	args := []string{"backup", "create", file, "--config", s.config()}
	verified := func() {
		t.Helper()
		require.Contains(t, s.must(s.strongroomd("backup", "verify", file, "--config", s.config())), "the key files and 3 objects open")
		require.NotContains(t, strings.Join(s.names("data"), " "), "snapshot")
		require.NoFileExists(t, file+".part")
		require.NoError(t, os.Remove(file))
	}
	for _, point := range []string{"snapshot-made", "new-file-begun", "package-file:1", "package-file:4", "package-full", "new-file-full", "new-file-placed"} {
		s.crash(point, args...)
		if point == "new-file-placed" {
			require.Contains(t, s.refused(s.strongroomd(args...)), "is there already: nothing was changed")
		} else {
			require.NoFileExists(t, file, point)
			s.must(s.strongroomd(args...))
		}
		verified()
		if !strings.HasPrefix(point, "new-file") { // the server writes it, and the command the file
			s.crashServing(point, func() { require.NotZero(t, s.strongroomd(args...).code) })
			require.NoFileExists(t, file, point)
		}
		s.serve()
		tr.safe(point)
		s.must(s.strongroomd(args...))
		s.stop()
		if point != "new-file-placed" {
			verified()
		}
	}

	for _, point := range []string{"restore-unpacked", "restore-proven", "restore-placed:1", "restore-placed:3", "restore-placed:5", "restore-placed:6"} {
		to := s.elsewhere()
		s.carry(to, "hsm-4.pin", "master.key")
		restore := []string{"restore", file, "--dir", to.dir}
		s.crash(point, restore...)
		if point == "restore-placed:6" { // which was the last
			require.Contains(t, s.refused(s.strongroomd(restore...)), "is there already: nothing was changed")
		} else {
			require.NoFileExists(t, to.config(), point)
			s.must(s.strongroomd(restore...))
		}
		require.ElementsMatch(t, []string{"data", "tls", "hsm-4.pin", "master.key", "strongroom.toml"}, to.names("."), point)
		copyTree(t, s.path("clients"), to.path("clients"))
		to.serve()
		there := *tr
		there.s = to
		there.safe(point)
		to.stop()
	}
}
