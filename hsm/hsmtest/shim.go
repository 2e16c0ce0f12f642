// Package hsmtest makes PKCS#11 modules misbehave, for tests: a shim in C that forwards to a real module, and fails,
// delays, hangs or crashes in the calls that a test names, in this process or in another.
package hsmtest

import (
	"cmp"
	_ "embed" // for the shim's source
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

//go:embed shim/shim.c
var source string

// Functions are the functions of PKCS#11 2.40 in the order of the function list (§3.6), without C_.
var Functions = strings.Fields(`Initialize Finalize GetInfo GetFunctionList GetSlotList GetSlotInfo GetTokenInfo GetMechanismList
	GetMechanismInfo InitToken InitPIN SetPIN OpenSession CloseSession CloseAllSessions GetSessionInfo GetOperationState
	SetOperationState Login Logout CreateObject CopyObject DestroyObject GetObjectSize GetAttributeValue SetAttributeValue
	FindObjectsInit FindObjects FindObjectsFinal EncryptInit Encrypt EncryptUpdate EncryptFinal DecryptInit Decrypt DecryptUpdate
	DecryptFinal DigestInit Digest DigestUpdate DigestKey DigestFinal SignInit Sign SignUpdate SignFinal SignRecoverInit
	SignRecover VerifyInit Verify VerifyUpdate VerifyFinal VerifyRecoverInit VerifyRecover DigestEncryptUpdate
	DecryptDigestUpdate SignEncryptUpdate DecryptVerifyUpdate GenerateKey GenerateKeyPair WrapKey UnwrapKey DeriveKey SeedRandom
	GenerateRandom GetFunctionStatus CancelFunction WaitForSlotEvent`)

// A What is what is done to a call.
type What uint64

const (
	Nothing   What = iota
	Refuse         // the return value is answered, and nothing called
	FailAfter      // the call is made, and the return value answered for it
	Hang           // until something else is wanted of the function
	Crash          // the process is ended
	Constant       // the random bytes are all 0x5A
	HangAfter      // the call is made, and then as Hang
	Foreseen       // the random bytes are the numbers from 1 on, of 8 bytes each, counted by the process
)

// A plan is the layout of one function's part of the file that the shim reads, in words of 8 bytes.
type plan struct{ calls, skip, times, what, rv, delay atomic.Uint64 }

// A Shim is a module that misbehaves.
type Shim struct {
	Library string            // its path
	Env     map[string]string // that the process that loads it needs
	control []byte            // the file
	plans   []plan            // in it
}

// New makes a shim in front of the module at a path. The test is skipped where there is no C compiler.
func New(t testing.TB, module string) *Shim {
	t.Helper()
	if _, err := exec.LookPath(compiler()); err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	s, err := Make(t.TempDir(), module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func compiler() string { return cmp.Or(os.Getenv("CC"), "gcc") }

// Make compiles a shim into a folder, in front of the module at a path.
func Make(dir, module string) (*Shim, error) {
	s := &Shim{Library: filepath.Join(dir, "shim.so")}
	cc := exec.Command(compiler(), "-O1", "-std=gnu11", "-shared", "-fPIC", "-x", "c", "-o", s.Library, "-", "-ldl")
	cc.Stdin = strings.NewReader(source)
	if out, err := cc.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the shim: %w\n%s", err, out)
	}
	control := filepath.Join(dir, "control")
	size := len(Functions) * int(unsafe.Sizeof(plan{}))
	if err := os.WriteFile(control, make([]byte, size), 0o600); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(control, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s.control, err = syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	s.plans = unsafe.Slice((*plan)(unsafe.Pointer(unsafe.SliceData(s.control))), len(Functions))
	s.Env = map[string]string{"SHIM_MODULE": module, "SHIM_CONTROL": control, "SHIM_VERSION": "", "SHIM_WITHOUT": ""}
	return s, nil
}

// Close ends what the test has of the shim. The module goes on as it was told last.
func (s *Shim) Close() error { return syscall.Munmap(s.control) }

// Claims makes the module one of another version of PKCS#11, and without some functions. It is said before the module is loaded.
func (s *Shim) Claims(version string, without ...string) {
	s.Env["SHIM_VERSION"] = version
	for _, f := range without {
		s.Env["SHIM_WITHOUT"] += fmt.Sprintf("%d ", number(f))
	}
}

// of is the plan of a function.
func (s *Shim) of(function string) *plan { return &s.plans[number(function)] }

func number(function string) int {
	if i := slices.Index(Functions, function); i >= 0 {
		return i
	}
	panic(fmt.Sprintf("hsmtest: PKCS#11 has no C_%s", function))
}

// Do has something done to the next times calls of a function, after skip of them; times < 0 is all.
func (s *Shim) Do(function string, what What, rv uint, skip, times int) {
	p := s.of(function)
	p.what.Store(uint64(Nothing))
	p.rv.Store(uint64(rv))
	p.skip.Store(uint64(skip))
	if times < 0 {
		p.times.Store(math.MaxUint64)
	} else {
		p.times.Store(uint64(times))
	}
	p.what.Store(uint64(what))
}

// Heal leaves all functions alone again.
func (s *Shim) Heal() {
	for i := range s.plans {
		s.plans[i].what.Store(uint64(Nothing))
		s.plans[i].delay.Store(0)
	}
}

// Delay makes every call of these functions take d longer.
func (s *Shim) Delay(d time.Duration, functions ...string) {
	for _, f := range functions {
		s.of(f).delay.Store(uint64(d.Microseconds()))
	}
}

// Calls is how often a function was called.
func (s *Shim) Calls(function string) int { return int(s.of(function).calls.Load()) }
