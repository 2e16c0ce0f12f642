package hsm

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// All tests of this package pass with the library in a worker process too.
func TestInWorkerProcess(t *testing.T) {
	if isolation() == "process" {
		t.Skip("it is where this runs")
	}
	if os.Getenv("STRONGROOM_LONG") == "" {
		t.Skip("it takes longer than all others together; STRONGROOM_LONG=1 runs it, and TestX21NSSBackend is always in one")
	}
	cmd := exec.Command(os.Args[0], "-test.timeout=600s", "-test.short")
	cmd.Env = append(os.Environ(), workerVariable+"=all")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "PASS")
}

// isolated opens a new token through a worker process.
func isolated(t *testing.T) (*HSM, *remote) {
	t.Helper()
	newToken(t, label(t))
	slot := Slot{Number: 4, TokenLabel: label(t), PIN: pin("not read here")}
	m := softHSMModule(slot)
	m.Isolation = "process"
	link := t.TempDir() + "/module.so" // a path of its own: this process may have the library loaded
	copyFile(t, softHSM.library, link)
	m.Library, m.Worker = link, workerOf(link, slot)
	h := openModule(t, m)
	return h, h.modules[0].lib.(*remote)
}

// withEnv adds variables to a command's environment.
func withEnv(command func() *exec.Cmd, env map[string]string) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := command()
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		return cmd
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, b, 0o700))
}

// pid is that of the worker process, 0 while there is none.
func (r *remote) pid() int {
	if p := r.current(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// hurry gives the calls of one function less time than the others have, which may start a process on a busy machine. Nothing may be
// under way.
func (r *remote) hurry(f function, limit time.Duration) {
	others := r.limit
	r.limit = func(g function) time.Duration {
		if g == f {
			return limit
		}
		return others(g)
	}
}

// A worker process that dies under load is there again with the first that is started in its place; what was under way fails, nothing is
// answered wrongly.
func TestWorkerDies(t *testing.T) {
	h, r := isolated(t)
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	o, err := h.Object(t.Context(), kmip.HSMIdentifier(4, "k"))
	require.NoError(t, err)
	sealed, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.NoError(t, err)
	open := func() (string, error) {
		d, err := o.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce,
			AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag})
		if err != nil {
			return "", err
		}
		return string(d.Data), nil
	}
	var started atomic.Int64
	command := r.command
	r.command = func() *exec.Cmd {
		started.Add(1)
		return command()
	}
	var stop atomic.Bool
	var good atomic.Int64
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for !stop.Load() {
				if text, err := open(); err == nil && text != "data" {
					t.Errorf("decrypted %q", text)
				} else if err == nil {
					good.Add(1)
				}
			}
		})
	}
	for i := range 3 {
		pid := r.pid()
		require.NoError(t, syscall.Kill(pid, syscall.SIGSEGV))
		before := good.Load()
		require.Eventually(t, func() bool { return good.Load() > before+100 && r.pid() != 0 && r.pid() != pid }, time.Minute, 5*time.Millisecond)
		require.EqualValues(t, i+1, started.Load(), "one process was not enough")
	}
	stop.Store(true)
	load.Wait()
}

// freeze stops the worker process: its calls are given up soon, those of the one that comes after it are not.
func freeze(t *testing.T, r *remote) (pid int) {
	t.Helper()
	pid = r.pid()
	r.limit = func(f function) time.Duration {
		if r.pid() == pid {
			return 300 * time.Millisecond
		}
		return time.Minute
	}
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	}, time.Minute, time.Millisecond)
	return pid
}

// A call that hangs is ended with its process, and the slot is back.
func TestWorkerHangs(t *testing.T) {
	h, r := isolated(t)
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	o, err := h.Object(t.Context(), kmip.HSMIdentifier(4, "k"))
	require.NoError(t, err)
	pid := freeze(t, r)
	_, err = o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.NoError(t, err, "an encryption may be tried again")
	require.NotContains(t, []int{0, pid}, r.pid())

	freeze(t, r)
	err = h.Generate(t.Context(), aesObject("other", 256))
	require.ErrorContains(t, err, "a call took longer than", "a key may have been made or not: that is not tried again")
	require.NoError(t, h.Generate(t.Context(), aesObject("third", 256)))
}

// The worker process reads the PIN, and one that is refused is not tried again until the operator's word.
func TestWorkerPINIsTriedOnce(t *testing.T) {
	path := t.TempDir() + "/pin"
	t.Setenv(workerVariable+"_PIN", path)
	require.NoError(t, os.WriteFile(path, []byte("wrong"), 0o600))
	h, _ := isolated(t)
	for range 3 {
		_, err := h.Object(t.Context(), uid("k"))
		require.ErrorContains(t, err, "0xA0: CKR_PIN_INCORRECT")
	}
	require.NoError(t, os.WriteFile(path, []byte(testPIN), 0o600))
	_, err := h.Object(t.Context(), uid("k"))
	require.ErrorContains(t, err, "0xA0: CKR_PIN_INCORRECT")
	h.Reload()
	_, err = h.Object(t.Context(), uid("k"))
	require.ErrorIs(t, err, kmip.ErrNotFound)
}

// A worker process that cannot start, or whose library does not load, is an error that says so.
func TestWorkerDoesNotStart(t *testing.T) {
	m := softHSMModule(Slot{Number: 4, TokenLabel: "none", PIN: pin(testPIN)})
	m.Isolation = "process"
	m.Library = t.TempDir() + "/text.so"
	require.NoError(t, os.WriteFile(m.Library, []byte("no library"), 0o600))
	m.Worker = workerOf(m.Library)
	_, err := Open(t.Context(), []Module{m}, &memory{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "text.so")

	m.Worker = func() *exec.Cmd { return exec.Command("/nonexistent") }
	_, err = Open(t.Context(), []Module{m}, &memory{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "starting a worker process")
}

// A worker process ends with its parent, however that ends.
func TestWorkerEndsWithItsParent(t *testing.T) {
	if os.Getenv("WORKER_PARENT") != "" {
		_, r := isolated(t)
		fmt.Printf("worker %d\n", r.pid())
		time.Sleep(time.Minute)
	}
	if softHSM.library == "" {
		t.Skip("SoftHSM is not installed")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWorkerEndsWithItsParent$", "-test.v")
	cmd.Env = append(os.Environ(), "WORKER_PARENT=1", "TMPDIR="+t.TempDir(), folderVariable+"="+filepath.Dir(softHSM.folder))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pid int
	line := make([]byte, 4096)
	for text := ""; pid == 0; {
		n, err := out.Read(line)
		require.NoError(t, err, text)
		text += string(line[:n])
		if i := strings.Index(text, "worker "); i >= 0 && strings.Contains(text[i:], "\n") {
			_, err := fmt.Sscanf(text[i:], "worker %d", &pid)
			require.NoError(t, err)
		}
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, time.Minute, 5*time.Millisecond)
}
