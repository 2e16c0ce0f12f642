package hsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
	"golang.org/x/sync/semaphore"
)

// A gate lets many in, or one alone: a read-write lock whose waits end with their context. Who waits to be alone is not
// overtaken.
type gate struct{ *semaphore.Weighted }

const everyone = 1 << 30

func newGate() gate { return gate{semaphore.NewWeighted(everyone)} }

func (g gate) enter(ctx context.Context) error { return g.Acquire(ctx, 1) }
func (g gate) leave()                          { g.Release(1) }
func (g gate) shut(ctx context.Context) error  { return g.Acquire(ctx, everyone) }
func (g gate) open()                           { g.Release(everyone) }

// A module is a loaded library, shared by all slots of this process that use it: PKCS#11 has one C_Initialize per process and
// library. Calls run inside the gate; C_Initialize and C_Finalize, which crash a library that is at work, run alone.
type module struct {
	path string
	lib  cryptoki
	gate gate

	generation atomic.Uint64 // counts C_Initialize: handles and sessions of an older one mean nothing
	connected  sync.Map      // *connection: those of its slots; one of an older generation stays until somebody asks for its slot
	reborn     atomic.Int64  // when it was initialized last, or that was tried, in Unix nanoseconds

	symmetric, private atomic.Uint64 // what calls of lib said last

	// Opening and closing sessions runs one at a time: two of the libraries tried crash otherwise.
	sessions sync.Mutex

	mu     sync.Mutex
	proofs map[string]*proof // what the self-test found, by model of token

	users int // guarded by loaded.mu
}

// loaded are the modules of this process by path. It is global because a library is.
var loaded = struct {
	mu     sync.Mutex
	byPath map[string]*module
}{byPath: map[string]*module{}}

// loadModule loads and initializes a library, here or in a worker process, or shares it with those who did.
func loadModule(want *Module, log *slog.Logger) (*module, error) {
	path := want.Library
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("loading module %s: %w", path, err)
	}
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	m := loaded.byPath[real]
	if m == nil {
		lib, err := want.open(real, log)
		if err != nil {
			return nil, fmt.Errorf("loading module: %w", err)
		}
		m = &module{path: path, lib: lib, gate: newGate(), proofs: map[string]*proof{}}
		loaded.byPath[real] = m
	}
	if m.users == 0 {
		err := m.begin(want.wait())
		switch faultOf(err) {
		case faultDevice, faultModule, faultVague, faultScarce: // as a token that is not there: its slots try again
			log.Error("module unavailable", "library", path, "error", err)
		default:
			if err != nil {
				m.forget()
				return nil, fmt.Errorf("module %s: C_Initialize: %w", path, err)
			}
		}
	}
	m.users++
	return m, nil
}

// mostThreads bounds the threads in which calls of a module wait for a device.
const mostThreads = 1024

// sessions is how many calls of the module there may be at once.
func (m *Module) sessions() (n int) {
	for i := range m.Slots {
		n += cmp.Or(m.Slots[i].MaxSessions, DefaultSessions)
	}
	return min(cmp.Or(n, DefaultSessions), mostThreads)
}

// open gives the library at a path.
func (m *Module) open(path string, log *slog.Logger) (cryptoki, error) {
	if !m.isolated() {
		return openLibrary(path, m)
	}
	return &remote{command: m.Worker, limit: callLimit(cmp.Or(m.CallLimit, DefaultCallLimit)), log: log}, nil
}

// unload finalizes the module when its last user goes, once no call is inside. The library stays loaded.
func (m *module) unload(ctx context.Context) error {
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	if m.users--; m.users > 0 {
		return nil
	}
	m.forget()
	if err := m.gate.shut(ctx); err != nil {
		return fmt.Errorf("module %s: a call hangs in it: %w", m.path, err)
	}
	defer m.gate.open()
	m.generation.Add(1)
	if err := m.lib.finalize(); !is(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return err
	}
	return nil
}

// forget lets a module in a worker process be configured anew; one in this process stays loaded. The caller has loaded.mu.
func (m *module) forget() {
	if _, away := m.lib.(*remote); away {
		maps.DeleteFunc(loaded.byPath, func(_ string, other *module) bool { return other == m })
	}
}

// begin initializes the module, and lets it go on with that where it takes longer.
func (m *module) begin(wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := m.gate.shut(ctx); err != nil {
		return fmt.Errorf("a call of before hangs in it: %w", err)
	}
	done := make(chan error, 1)
	go func() { // unload waits for it, at the gate
		err := m.initialize()
		m.gate.open()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("it takes longer than %v: %w", wait, ckError{rv: pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED})
	}
}

func (m *module) initialize() error {
	err := m.lib.initialize()
	if is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return nil
	}
	m.generation.Add(1)
	m.reborn.Store(time.Now().UnixNano())
	return err
}

// reinitialize finalizes and initializes the module, unless somebody did since generation seen. Every connection of the
// module ends with it; the requests on them wait and connect again.
func (m *module) reinitialize(ctx context.Context, seen uint64) error {
	if m.inUse() {
		limited, cancel := context.WithTimeout(ctx, holdUp)
		defer cancel()
		ctx = limited
		m.reborn.Store(time.Now().UnixNano())
	}
	if err := m.gate.shut(ctx); err != nil {
		return fmt.Errorf("waiting for the calls in the module: %w", err)
	}
	defer m.gate.open()
	if m.generation.Load() != seen {
		return nil
	}
	// A module that does not let itself be finalized may let itself be initialized all the same.
	fault := m.lib.finalize()
	if is(fault, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		fault = nil
	} else if fault != nil {
		fault = fmt.Errorf("C_Finalize: %w", fault)
	}
	if err := m.initialize(); err != nil {
		err = fmt.Errorf("C_Initialize: %w", err)
		if fault != nil {
			err = fmt.Errorf("%w (and then: %w)", fault, err)
		}
		return err
	}
	return nil
}

// holdUp is how long those who use other slots of a module may be held up by its calls that do not end, when it is to be
// initialized again for one.
const holdUp = time.Second

// patience is how long a module whose other slots work is left alone before it is initialized again for one that does not.
const patience = 30 * time.Second

// mayReinitialize says whether the module may be initialized again to find one slot's token: always when no other slot works,
// else seldom, for all of them pause meanwhile.
func (m *module) mayReinitialize() bool {
	return !m.inUse() || old(m.reborn.Load(), patience)
}

// inUse says whether any slot of the module works, as far as is known.
func (m *module) inUse() (used bool) {
	m.connected.Range(func(c, _ any) bool {
		used = c.(*connection).current()
		return !used
	})
	return used
}

// environment sets the variables that libraries read while they are loaded and initialized. With cgo, os.Setenv sets them
// for C as well. Two modules that want one variable to differ cannot share a process.
func environment(modules []Module) error {
	var errs []error
	want := map[string]string{}
	for _, m := range modules {
		for name, value := range m.Env {
			if other, ok := want[name]; ok && other != value {
				errs = append(errs, fmt.Errorf("module %s: env: %s has another value for another module", m.Library, name))
			}
			want[name] = value
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for name, value := range want {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("env: %w", err)
		}
	}
	return nil
}
