package seal

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/kmip"
)

// ErrSealed is what everybody hears who needs the root key while the server is sealed.
var ErrSealed = &kmip.Error{Reason: kmip.ResultReasonGeneralFailure, Message: "the server is sealed"}

// ErrNotInitialized says that there is no root key yet.
var ErrNotInitialized = errors.New("there is no root key yet: run strongroomd init")

// RootReference is the reference of the root key in the headers of envelopes.
const RootReference = "root"

// A Root is the root key: kept wrapped in slots, and in memory while the server is unsealed. It is safe for concurrent
// use.
type Root struct {
	slots Slots
	now   func() time.Time

	changes sync.Mutex // held by whoever changes the table or the state
	open    atomic.Pointer[openRoot]
	by      atomic.Pointer[Slot] // that the root key was opened by, or made with
	last    atomic.Pointer[Table]
}

// openRoot is the root key in memory.
type openRoot struct {
	mu   sync.RWMutex
	key  *Memory // nil when it was cleared
	rows *xaes   // wraps the data keys of envelopes
	macs []byte  // authenticates rows
	mix  []byte  // goes into the keys of payloads under managed keys
}

// NewRoot makes a sealed Root over a table of slots. The clock is time.Now when now is nil.
func NewRoot(slots Slots, now func() time.Time) *Root {
	if now == nil {
		now = time.Now
	}
	return &Root{slots: slots, now: now}
}

// title is what to call a protector in a message.
func title(p Protector) string {
	if s, ok := p.(fmt.Stringer); ok {
		return s.String()
	}
	return p.Reference()
}

// take makes key, which it owns from now on, the root key in memory; s is where it came from.
func (r *Root) take(key []byte, s *Slot) error {
	wrapping, err := subkey(key, "root key: wrap")
	if err != nil {
		return err
	}
	defer clear(wrapping)
	rows, err := newXAES(wrapping)
	if err != nil {
		return err
	}
	macs, err := subkey(key, "root key: rows")
	if err != nil {
		return err
	}
	mix, err := subkey(key, "root key: mix")
	if err != nil {
		return err
	}
	kept, err := NewMemory(key)
	if err != nil {
		return err
	}
	r.by.Store(s)
	r.open.Store(&openRoot{key: kept, rows: rows, macs: macs, mix: mix})
	return nil
}

// Unsealed says whether the root key is in memory.
func (r *Root) Unsealed() bool { return r.open.Load() != nil }

// Seal clears the root key. What was opened before it stays open in the hands of who has it.
func (r *Root) Seal() {
	o := r.open.Swap(nil)
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.key.Destroy()
	o.key = nil
	clear(o.macs)
	clear(o.mix)
}

// OpenedBy is the slot that the root key in memory came from, as it was then; nil while the server is sealed.
func (r *Root) OpenedBy() *Slot {
	if !r.Unsealed() {
		return nil
	}
	return r.by.Load()
}

// Slots reads the table, for reports.
func (r *Root) Slots(ctx context.Context) (*Table, error) { return r.read(ctx) }

// LastSlots is the table as it was when it was read or written last, which asks nobody; nil before. The caller changes nothing in it.
func (r *Root) LastSlots() *Table { return r.last.Load() }

// read reads the table.
func (r *Root) read(ctx context.Context) (*Table, error) {
	t, err := r.slots.ReadSlots(ctx)
	if err == nil {
		r.last.Store(t.clone())
	}
	return t, err
}

// while has use look at the root key, which is not wiped meanwhile.
func (r *Root) while(use func(*openRoot)) error {
	o := r.open.Load()
	if o == nil {
		return ErrSealed
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.key == nil {
		return ErrSealed
	}
	use(o)
	return nil
}

// copyKey is a copy of the root key, which the caller clears.
func (r *Root) copyKey() (key []byte, err error) {
	err = r.while(func(o *openRoot) { key = bytes.Clone(o.key.Bytes()) })
	return key, err
}

// Subkey derives a key of 32 bytes from the root key for one purpose; the caller clears it.
func (r *Root) Subkey(purpose string) ([]byte, error) {
	key, err := r.copyKey()
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return subkey(key, "root key for "+purpose)
}

// MAC authenticates what a row beside its envelope says: HMAC-SHA256 under a subkey of the root key.
func (r *Root) MAC(stated []byte) ([]byte, error) {
	return r.under(func(o *openRoot) []byte { return o.macs }, stated)
}

func rowMAC(key, stated []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(stated)
	return h.Sum(nil)
}

// under is the HMAC-SHA256 of a message under one of the subkeys in memory.
func (r *Root) under(which func(*openRoot) []byte, message []byte) (mac []byte, err error) {
	err = r.while(func(o *openRoot) { mac = rowMAC(which(o), message) })
	return mac, err
}

// Mixing makes a Mixer of a protector: its data keys open nothing without the root key.
func (r *Root) Mixing(p Protector) Protector { return mixing{p, r} }

type mixing struct {
	Protector
	root *Root
}

// Mix is HMAC-SHA256 of the data key under a subkey of the root key.
func (m mixing) Mix(dataKey []byte) ([]byte, error) {
	return m.root.under(func(o *openRoot) []byte { return o.mix }, dataKey)
}

// Protector is the root key as the protector of envelopes. It refuses with ErrSealed while the server is sealed.
func (r *Root) Protector() Protector { return rootProtector{r} }

type rootProtector struct{ root *Root }

func (p rootProtector) Reference() string    { return RootReference }
func (p rootProtector) Mechanism() Mechanism { return MechanismXAES256GCM }

func (p rootProtector) Wrap(_ context.Context, key []byte, b Binding) ([]byte, error) {
	o := p.root.open.Load()
	if o == nil {
		return nil, ErrSealed
	}
	return o.rows.seal(b.random, key, nil)
}

func (p rootProtector) Unwrap(_ context.Context, wrapped []byte, b Binding) ([]byte, error) {
	o := p.root.open.Load()
	if o == nil {
		return nil, ErrSealed
	}
	if b.Header.Mechanism != MechanismXAES256GCM {
		return nil, ErrDecrypt
	}
	return o.rows.open(wrapped, nil)
}
