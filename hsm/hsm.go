package hsm

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// The defaults of Module and Slot.
const (
	DefaultIsolation = "auto"
	DefaultCallLimit = 30 * time.Second
	DefaultSessions  = 64
	DefaultWait      = 10 * time.Second
	DefaultHandleAge = 30 * time.Second
)

// A Module is a PKCS#11 library and the slots that are used through it.
type Module struct {
	Library string            // an absolute path
	Env     map[string]string // environment variables, set before the library is loaded

	// Parameters are given to C_Initialize in the reserved member of its arguments, which NSS softokn wants.
	Parameters string

	// Isolation says where the library runs: "none", in this process; "process", in a worker process; DefaultIsolation (or ""), which
	// means "process" for any library but SoftHSM, where Worker is given.
	Isolation string

	// Worker makes the command of a worker process, which calls Work with this Module.
	Worker func() *exec.Cmd

	// CallLimit is how long a call may take in a worker process, which is killed then; 0 means DefaultCallLimit. Calls that make keys may
	// take six times as long.
	CallLimit time.Duration

	// CallsAtOnce is how many operations with symmetric keys, and how many with private ones, run in the library at once; 0 leaves it
	// to what its calls show: as many as all slots have sessions where they wait for a device, and no more than this machine has
	// processors where they compute here.
	CallsAtOnce int

	Slots []Slot

	// Others are slots of the same configuration that are not opened. They count where tokens are told apart.
	Others []Slot
}

// A Slot ties a number, the one in hsm::<number>::<label>, to a token. Of TokenLabel, TokenSerial, SlotID and SlotIndex all that
// are given must match, and exactly one token may; without any, the slot ID is the number, or there is no other token. A token has one
// number: two slots that mean the same one are both unavailable.
type Slot struct {
	Number      uint32
	TokenLabel  string
	TokenSerial string
	SlotID      *uint
	SlotIndex   *int // among the slots that have a token, from 0

	// PIN reads the user PIN, at every login. What it returns is wiped after use.
	PIN func() ([]byte, error)

	// Random is where the IVs and seeds of OAEP come from that are made here for keys in the token, nil for crypto/rand. It is safe for
	// concurrent use.
	Random io.Reader

	MaxSessions int           // used at once; 0 means DefaultSessions; the token may allow fewer
	Wait        time.Duration // how long a request waits for a session or for the token; 0 means DefaultWait

	// WrappedHandles is how many keys that it wrapped stay unwrapped in the token between two uses; 0 means none. They go at
	// WrappedHandleAge after they were unwrapped; 0 means DefaultHandleAge.
	WrappedHandles   int
	WrappedHandleAge time.Duration
}

// Records keeps what a token cannot: names, dates, states, grants. Record answers an empty one with Revision 0 where nothing
// is kept. PutRecord keeps r if its Revision is the stored one, else the error is kmip.ErrConflict, and raises it.
type Records interface {
	Record(ctx context.Context, uid string) (kmip.Record, error)
	PutRecord(ctx context.Context, uid string, r *kmip.Record) error
	DropRecord(ctx context.Context, uid string) error

	// Recorded lists the identifiers with that prefix, which ends with "::", of which anything is kept, grants included.
	Recorded(ctx context.Context, prefix string) ([]string, error)
}

// An HSM is a kmip.Backend over all configured slots. It is safe for concurrent use.
type HSM struct {
	records Records
	log     *slog.Logger
	modules []*module
	slots   map[uint32]*slot

	reserved atomic.Pointer[reserved]

	looking sync.WaitGroup // at what is stored and what is there, and at whether tokens live
	stop    context.CancelFunc
}

var _ kmip.Backend = (*HSM)(nil)

// Open loads the modules and begins to serve their slots. A configuration that cannot be right and a library that does not
// load are errors; a token that is not there, or a module that cannot be initialized now, is none: its slots answer that they are
// unavailable until it is back. Open waits for all tokens at once, and for none longer than requests would.
func Open(ctx context.Context, modules []Module, r Records, log *slog.Logger) (*HSM, error) {
	if err := errors.Join(faultsIn(modules)...); err != nil {
		return nil, err
	}
	here := slices.DeleteFunc(slices.Clone(modules), func(m Module) bool { return m.isolated() })
	if err := environment(here); err != nil {
		return nil, err
	}
	h := &HSM{records: r, log: log, slots: map[uint32]*slot{}}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	for _, m := range modules {
		loaded, err := loadModule(&m, log)
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		twice := slices.Contains(h.modules, loaded)
		h.modules = append(h.modules, loaded)
		if twice {
			return nil, errors.Join(fmt.Errorf("module %s: given twice, by another path: put its slots under one", m.Library), h.Close())
		}
		for _, s := range m.Slots {
			h.slots[s.Number] = newSlot(s, loaded, log)
			h.slots[s.Number].rivals = m.rivals(s.Number)
		}
	}
	h.connect(ctx, background)
	return h, nil
}

// connect connects all slots, and looks at what is stored of their keys. What takes longer than a slot waits goes on behind.
func (h *HSM) connect(ctx, background context.Context) {
	var connected sync.WaitGroup
	var wait time.Duration
	for _, s := range h.slots {
		wait = max(wait, s.Wait)
		connected.Add(1)
		h.looking.Go(func() {
			_, err := s.connection(background) // says in the log what came of it
			connected.Done()
			if err == nil && h.records != nil {
				h.compare(background, s)
			}
		})
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	await(limited, &connected)
}

// wait is how long requests wait for the most patient slot of the module.
func (m *Module) wait() (longest time.Duration) {
	for _, s := range m.Slots {
		longest = max(longest, cmp.Or(s.Wait, DefaultWait))
	}
	return longest
}

// rivals are the slots of the configuration beside one, which may mean its token.
func (m *Module) rivals(number uint32) []Slot {
	return slices.DeleteFunc(slices.Concat(m.Slots, m.Others), func(s Slot) bool { return s.Number == number })
}

// isolated says whether the module runs in a worker process.
func (m *Module) isolated() bool {
	switch m.Isolation {
	case "process":
		return true
	case "none":
		return false
	}
	return m.Worker != nil && !strings.Contains(strings.ToLower(filepath.Base(m.Library)), "softhsm")
}

func newSlot(s Slot, m *module, log *slog.Logger) *slot {
	if s.MaxSessions == 0 {
		s.MaxSessions = DefaultSessions
	}
	s.Wait = cmp.Or(s.Wait, DefaultWait)
	if s.Random == nil {
		s.Random = rand.Reader
	}
	return &slot{Slot: s, module: m, log: log, connecting: make(chan struct{}, 1), contents: newGate()}
}

// faultsIn lists everything that is wrong with a configuration.
func faultsIn(modules []Module) (all []error) {
	fault := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	libraries, numbers := map[string]bool{}, map[uint32]bool{}
	for _, m := range modules {
		switch m.Isolation {
		case "", "auto", "none":
		case "process":
			if m.Worker == nil {
				fault("module %s: isolation: there is no command for a worker process", m.Library)
			}
		default:
			fault("module %s: isolation: %q is none of auto, none, process", m.Library, m.Isolation)
		}
		if !filepath.IsAbs(m.Library) {
			fault("module %q: library: not an absolute path", m.Library)
		}
		if libraries[m.Library] {
			fault("module %s: given twice: put its slots under one", m.Library)
		}
		libraries[m.Library] = true
		for _, s := range m.Slots {
			if numbers[s.Number] {
				fault("slot %d: given twice", s.Number)
			}
			numbers[s.Number] = true
			if s.PIN == nil {
				fault("slot %d: no PIN", s.Number)
			}
			if s.MaxSessions < 0 || s.Wait < 0 {
				fault("slot %d: the most sessions and the wait are not negative", s.Number)
			}
		}
	}
	return all
}

// Close ends all sessions, once the operations in the modules are done, and finalizes the modules.
func (h *HSM) Close() error {
	h.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	await(ctx, &h.looking)
	for _, s := range h.slots {
		s.close(ctx)
	}
	var errs []error
	for _, m := range h.modules {
		errs = append(errs, m.unload(ctx))
	}
	return errors.Join(errs...)
}

// Slots lists the numbers of the slots, in order.
func (h *HSM) Slots() []uint32 { return slices.Sorted(maps.Keys(h.slots)) }

// Reload reads the PINs again that were refused, and tries tokens again that did not answer, at their next use.
func (h *HSM) Reload() {
	for _, s := range h.slots {
		s.reload()
	}
}

// Random fills b with random bytes of a slot's token, to be mixed with others: it says nothing of their quality.
func (h *HSM) Random(ctx context.Context, number uint32, b []byte) error {
	s := h.slots[number]
	if s == nil {
		return h.unknown(number)
	}
	return s.tell(s.do(ctx, func(c *connection, ss session) error {
		for piece := range slices.Chunk(b, 1<<14) { // NSS gives no more than 64 KiB at once
			if err := c.module.lib.random(ss, piece); err != nil {
				return err
			}
		}
		return nil
	}))
}

// SeedRandom mixes data into the generator of a slot's token, where that takes any: it never replaces what the token has of its own
// (PKCS#11 2.40 §5.15.1).
func (h *HSM) SeedRandom(ctx context.Context, number uint32, data []byte) error {
	s := h.slots[number]
	if s == nil {
		return h.unknown(number)
	}
	err := s.do(ctx, func(c *connection, ss session) error { return c.module.lib.seedRandom(ss, data) })
	if is(err, pkcs11.CKR_RANDOM_SEED_NOT_SUPPORTED) || is(err, pkcs11.CKR_RANDOM_NO_RNG) || is(err, pkcs11.CKR_FUNCTION_NOT_SUPPORTED) {
		return nil
	}
	return s.tell(err)
}

// route takes an identifier apart.
func (h *HSM) route(uid string) (*slot, string, error) {
	number, label, ok, err := kmip.HSMKey(uid)
	switch {
	case err != nil:
		return nil, "", err
	case !ok:
		return nil, "", invalid("%q does not name a key in an HSM", uid)
	}
	if s := h.slots[number]; s != nil {
		return s, label, nil
	}
	return nil, "", h.unknown(number)
}

// unknown is the error for a number that is not configured. It might be the ID of a slot of the one module; but without a PIN
// nobody logs in there.
func (h *HSM) unknown(number uint32) error {
	if len(h.modules) == 1 && h.modules[0].has(uint(number)) {
		return invalid("slot %d is not configured: there is a token in the slot of that ID, but no PIN for it", number)
	}
	return invalid("slot %d is not configured", number)
}

// has says whether the module has a token in the slot of that ID.
func (m *module) has(id uint) bool {
	if !m.gate.TryAcquire(1) {
		return false
	}
	defer m.gate.leave()
	ids, err := m.lib.slots()
	return err == nil && slices.Contains(ids, id)
}

// identifier is the identifier of the key of that name.
func (s *slot) identifier(name string) string { return kmip.HSMIdentifier(s.Number, name) }

// Status is the state of one slot, for operators.
type Status struct {
	Number         uint32   `json:"slot"`
	Library        string   `json:"library"`
	LibraryVersion string   `json:"library_version"`
	LibraryName    string   `json:"library_name"` // its manufacturer and version
	Cryptoki       string   `json:"cryptoki"`     // version of PKCS#11 that the library says it has
	Label          string   `json:"label"`        // of the token, as it was when it was last there, "" before; so are the next four
	Serial         string   `json:"serial"`
	Model          string   `json:"model"`
	Manufacturer   string   `json:"manufacturer"`
	Firmware       string   `json:"firmware"`
	SlotID         uint     `json:"slot_id"`
	PIN            string   `json:"pin"` // ok, count low, final try, locked; or why it is not tried; "" where it was not tried yet
	Healthy        bool     `json:"healthy"`
	Error          string   `json:"error"`      // why not
	Mechanisms     []string `json:"mechanisms"` // of KMIP, that the self-test proved
}

// Status asks every token whether it lives.
func (h *HSM) Status(ctx context.Context) []Status {
	var all []Status
	for _, number := range h.Slots() {
		all = append(all, h.slots[number].report(ctx))
	}
	return all
}

// report is the Status of one slot.
func (s *slot) report(ctx context.Context) Status {
	st := Status{Number: s.Number, Library: s.module.path, Mechanisms: []string{}}
	var proven *proof
	err := s.do(ctx, func(c *connection, ss session) error {
		if info, err := s.module.lib.info(); err == nil {
			st.LibraryVersion = fmt.Sprintf("%s %d.%d", info.Description, info.Major, info.Minor)
			st.LibraryName = fmt.Sprintf("%s %d.%d", info.Manufacturer, info.Major, info.Minor)
			st.Cryptoki = fmt.Sprintf("%d.%d", info.CryptokiMajor, info.CryptokiMinor)
		}
		proven, st.SlotID = c.proof, c.id
		return c.alive(ss)
	})
	s.status.Lock()
	t := s.seen
	s.status.Unlock()
	st.Label, st.Serial, st.Model, st.Manufacturer = t.Label, t.Serial, t.Model, t.Manufacturer
	if t != (tokenInfo{}) {
		st.Firmware = fmt.Sprintf("%d.%d", t.FirmwareMajor, t.FirmwareMinor)
	}
	st.Healthy, st.PIN = err == nil, s.pinState(t)
	if err != nil {
		st.Error = s.tell(err).Error()
		return st
	}
	st.Mechanisms = proven.names()
	return st
}

// pinState tells of the PIN what the token's flags tell, and what a login was answered. PKCS#11 2.40 §3.2.
func (s *slot) pinState(seen tokenInfo) string {
	if wrong := s.pinRefused(); wrong != nil {
		return wrong.Error()
	}
	if c := s.conn.Load(); c != nil && c.module.gate.TryAcquire(1) {
		if now, err := c.module.lib.tokenInfo(c.id); err == nil {
			seen = now
		}
		c.module.gate.leave()
	}
	switch flags := seen.Flags; {
	case seen == (tokenInfo{}):
		return ""
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return "locked"
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return "final try"
	case flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0:
		return "count low"
	}
	return "ok"
}

// names lists what was proven, in KMIP's words.
func (p *proof) names() (all []string) {
	add := func(proven bool, name string) {
		if proven {
			all = append(all, name)
		}
	}
	for row, c := range ciphers {
		name := "AES " + c.mode.String()
		if c.padded {
			name += " PKCS5"
		}
		add(p.ciphers[row] != 0, name)
	}
	for row, d := range digests {
		add(p.oaep[row] || p.rawRSA, "RSA OAEP "+d.name.String())
		add(p.hmac[row], "HMAC "+d.name.String())
	}
	add(p.cmac, "AES CMAC")
	add(p.pkcs1, "RSA PKCS1v15 decryption")
	add(p.signPKCS1, "RSA PKCS1v15 signature")
	add(p.signPSS, "RSA PSS signature")
	add(p.signECDSA, "ECDSA signature")
	add(p.edwards != 0, "Ed25519 signature")
	return all
}
