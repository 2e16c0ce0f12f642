package tests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// workers are the processes of the site's server that run PKCS#11 modules.
func (s *site) workers() (pids []int) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.server.Process.Pid))
	require.NoError(s.t, err)
	for _, list := range lists {
		children, _ := os.ReadFile(list) // of a thread that may be gone
		for _, child := range strings.Fields(string(children)) {
			command, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if pid, err := strconv.Atoi(child); err == nil && strings.Contains(string(command), "hsm-worker") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// TestWorkerProcess runs the module in a worker process, and kills and freezes it under load: keys of the database are
// served without waiting for it, keys of the token again with the next process.
func TestWorkerProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := string(s.read("strongroom.toml"))
	require.Contains(t, text, "[[hsm]]\n")
	s.write("strongroom.toml", []byte(strings.Replace(text, "[[hsm]]\n", "[[hsm]]\nisolation = \"process\"\ncall_limit = \"5s\"\n", 1)))
	s.serve()
	admin, other := s.client("admin", ttlv.V2_1), s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::k"))
	create(t, admin, aes("database"))
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.server.Process.Pid))
	if !errors.Is(err, fs.ErrPermission) { // the server is not dumpable: its maps are root's to read
		require.NoError(t, err)
		require.NotContains(t, string(maps), "libsofthsm2", "the server has the module loaded")
	}

	plain := []byte("what must come back")
	var token, database load
	var longest time.Duration
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		token.run(stop, func() error {
			e, err := encrypt(t, admin, "hsm::4::k", plain)
			if err != nil {
				return err
			}
			back, err := decrypt(t, admin, e)
			if err == nil && string(back) != string(plain) {
				return wrongAnswer("Decrypt gives something else than what was encrypted")
			}
			return err
		})
	})
	wg.Go(func() {
		database.run(stop, func() error {
			began := time.Now()
			_, err := encrypt(t, other, "database", plain)
			longest = max(longest, time.Since(began))
			return err
		})
	})
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGSTOP} {
		pids := s.workers()
		require.Len(t, pids, 1)
		require.NoError(t, syscall.Kill(pids[0], signal))
		require.Eventually(t, func() bool {
			now := s.workers()
			return len(now) == 1 && now[0] != pids[0]
		}, time.Minute, 5*time.Millisecond, "after %v: %s", signal, s.log)
		before := token.good.Load()
		require.Eventually(t, func() bool { return token.good.Load() > before+20 }, time.Minute, 5*time.Millisecond, "after %v: %s", signal, s.log)
	}
	close(stop)
	wg.Wait()
	require.Nil(t, token.wrong.Load())
	require.Zero(t, database.bad.Load())
	require.Less(t, longest, 4500*time.Millisecond, "a request for a database key waited for the module") // call_limit is 5 s
	pids := s.workers()
	s.stop()
	require.Eventually(t, func() bool { return syscall.Kill(pids[0], 0) != nil }, time.Minute, 5*time.Millisecond, "the worker process stays")
}
