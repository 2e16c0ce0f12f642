package hsm

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// The token that tests use, and its folder: one for the process, for the library reads its configuration once.
var softHSM struct {
	library, folder string
}

const (
	testPIN = "1234"
	soPIN   = "12345678"
)

// The tests run with the library in this process, or with workerVariable set to "all" in worker processes. A worker process
// is this program with the path of a library in workerVariable.
const workerVariable = "STRONGROOM_TEST_HSM_WORKER"

func isolation() string {
	if os.Getenv(workerVariable) == "all" {
		return "process"
	}
	return "none"
}

// pinsAreHere skips a test of how this process reads a PIN.
func pinsAreHere(t *testing.T) {
	if isolation() == "process" {
		t.Skip("the worker process has the PIN")
	}
}

// workerOf gives the command of a worker process for a library and its slots.
func workerOf(library string, slots ...Slot) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		var numbers []byte
		for _, s := range slots {
			numbers = fmt.Appendf(numbers, "%d ", s.Number)
		}
		cmd.Env = append(os.Environ(), workerVariable+"="+library, workerVariable+"_SLOTS="+string(numbers))
		cmd.Stderr = io.Discard // what a crash tells
		return cmd
	}
}

// work is the whole of a worker process. Its slots have one PIN.
func work(library string) {
	m := Module{Library: library, Isolation: "none", Parameters: os.Getenv(workerVariable + "_PARAMETERS")}
	for _, text := range strings.Fields(os.Getenv(workerVariable + "_SLOTS")) {
		var s Slot
		if _, err := fmt.Sscan(text, &s.Number); err != nil {
			panic(err)
		}
		s.PIN = workerPIN
		m.Slots = append(m.Slots, s)
	}
	if err := Work(m); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// workerPIN is the PIN, or what the file of the variable has.
func workerPIN() ([]byte, error) {
	if path := os.Getenv(workerVariable + "_PIN"); path != "" {
		return os.ReadFile(path)
	}
	return []byte(testPIN), nil
}

// folderVariable names the folder in which a test process that will be killed makes its own.
const folderVariable = "HSM_TEST_FOLDER"

func TestMain(m *testing.M) {
	if library := os.Getenv(workerVariable); library != "" && library != "all" {
		work(library)
	}
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			softHSM.library = path
		}
	}
	parent := cmp.Or(os.Getenv(folderVariable), "/dev/shm") // creating a token object on disk costs 45 ms
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	folder, err := os.MkdirTemp(parent, "hsm-test-")
	if err != nil {
		panic(err)
	}
	softHSM.folder = filepath.Join(folder, "tokens")
	code := 1
	if err := configure(folder); err == nil {
		code = m.Run()
	}
	os.RemoveAll(folder)
	os.Exit(code)
}

func configure(folder string) error {
	if err := os.Mkdir(softHSM.folder, 0o700); err != nil {
		return err
	}
	conf := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", softHSM.folder)
	path := filepath.Join(folder, "softhsm2.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return err
	}
	return os.Setenv("SOFTHSM2_CONF", path)
}

// newToken initializes a token with that label, which goes with the test, and gives its folder.
func newToken(t testing.TB, label string) string {
	t.Helper()
	if softHSM.library == "" {
		t.Skip("SoftHSM is not installed")
	}
	before := tokenFolders(t)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", soPIN, "--pin", testPIN).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for folder := range tokenFolders(t) {
		if !before[folder] {
			t.Cleanup(func() { os.RemoveAll(folder) })
			return folder
		}
	}
	t.Fatal("softhsm2-util made no token")
	return ""
}

// moveAway takes a token's folder out of the library's sight, and gives what brings it back.
func moveAway(t testing.TB, folder string) (back func()) {
	t.Helper()
	away := filepath.Join(filepath.Dir(softHSM.folder), "away-"+filepath.Base(folder))
	require.NoError(t, os.Rename(folder, away))
	t.Cleanup(func() { os.RemoveAll(away) })
	return func() {
		t.Helper()
		require.NoError(t, os.Rename(away, folder))
	}
}

func tokenFolders(t testing.TB) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(softHSM.folder)
	require.NoError(t, err)
	folders := map[string]bool{}
	for _, e := range entries {
		if e.IsDir() {
			folders[filepath.Join(softHSM.folder, e.Name())] = true
		}
	}
	return folders
}

func pin(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

// label is a token label for a test.
func label(t testing.TB) string {
	name := strings.ReplaceAll(t.Name(), "/", "-")
	return name[max(0, len(name)-32):]
}

// open opens a new token as slot 4, administered by ops.
func open(t testing.TB) *HSM {
	t.Helper()
	newToken(t, label(t))
	return openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)})
}

func openSlots(t testing.TB, slots ...Slot) *HSM { return openModule(t, softHSMModule(slots...)) }

// openModule opens a module. What a backend does by itself then is over when it returns: nothing calls the module beside the test.
func openModule(t testing.TB, m Module) *HSM {
	t.Helper()
	h, err := Open(context.Background(), []Module{m}, &memory{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	h.looking.Wait()
	return h
}

func softHSMModule(slots ...Slot) Module {
	return Module{Library: softHSM.library, Slots: slots, Isolation: isolation(), Worker: workerOf(softHSM.library, slots...)}
}

// pkcs11Tool runs OpenSC's tool on a token, as another process.
func pkcs11Tool(t testing.TB, token string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("pkcs11-tool"); err != nil {
		t.Skip("pkcs11-tool is not installed")
	}
	args = append([]string{"--module", softHSM.library, "--token-label", token, "--login", "--pin", testPIN}, args...)
	out, err := exec.Command("pkcs11-tool", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// memory keeps records as the store does.
type memory struct {
	mu      sync.Mutex
	records map[string]kmip.Record
	fail    error // of PutRecord
}

func (m *memory) Record(_ context.Context, uid string) (kmip.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[uid], nil
}

func (m *memory) PutRecord(_ context.Context, uid string, r *kmip.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if m.records[uid].Revision != r.Revision {
		return kmip.ErrConflict
	}
	r.Revision++
	if m.records == nil {
		m.records = map[string]kmip.Record{}
	}
	m.records[uid] = *r
	return nil
}

func (m *memory) DropRecord(_ context.Context, uid string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, uid)
	return nil
}

func (m *memory) Recorded(_ context.Context, prefix string) (uids []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uid := range m.records {
		if strings.HasPrefix(uid, prefix) {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	return uids, nil
}
