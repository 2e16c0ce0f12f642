package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
}

// openRoot is the root key in memory.
type openRoot struct {
	mu   sync.RWMutex
	key  []byte // nil when it was cleared
	rows *xaes  // wraps the data keys of envelopes
}

// NewRoot makes a sealed Root over a table of slots. The clock is time.Now when now is nil.
func NewRoot(slots Slots, now func() time.Time) *Root {
	if now == nil {
		now = time.Now
	}
	return &Root{slots: slots, now: now}
}

// Init makes the root key from random (nil for crypto/rand) and its first slot, and unseals. It refuses when a slot
// exists.
func (r *Root) Init(ctx context.Context, p Protector, random io.Reader) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	t, err := r.slots.ReadSlots(ctx)
	if err != nil {
		return fmt.Errorf("initializing: %w", err)
	}
	if t.Generation != 0 || len(t.Slots) != 0 {
		return fmt.Errorf("initializing: refused, there is a root key already, in generation %d with %d slots", t.Generation, len(t.Slots))
	}
	if random == nil {
		random = rand.Reader
	}
	key := make([]byte, masterKeySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("initializing: reading random bytes: %w", err)
	}
	if err := r.add(ctx, t, p, SlotActive, key); err != nil {
		clear(key)
		return fmt.Errorf("initializing: %w", err)
	}
	return r.take(key)
}

// Add makes one more slot, for another protector, while the root key is in memory. A new active slot retires the one
// before it; a slot that p has in that state already is left alone.
func (r *Root) Add(ctx context.Context, p Protector, state SlotState) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	key, err := r.copyKey()
	if err != nil {
		return err
	}
	defer clear(key)
	t, err := r.slots.ReadSlots(ctx)
	if err == nil {
		err = t.verify(key)
	}
	if err != nil {
		return fmt.Errorf("adding a slot: %w", err)
	}
	for i := range t.Slots {
		if t.Slots[i].Protector == p.Reference() && t.Slots[i].State == state {
			return nil
		}
	}
	if err := r.add(ctx, t, p, state, key); err != nil {
		return fmt.Errorf("adding a slot: %w", err)
	}
	return nil
}

// add builds a slot, proves it, and commits the table that has it.
func (r *Root) add(ctx context.Context, old *Table, p Protector, state SlotState, key []byte) error {
	s, err := old.newSlot(ctx, p, state, key, r.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return err
	}
	t := old.clone()
	t.Generation++
	for i := range t.Slots {
		if state == SlotActive && t.Slots[i].State == SlotActive {
			t.Slots[i].State = SlotRetained
		}
	}
	t.Slots = append(t.Slots, *s)
	if t.MAC, err = t.mac(key); err != nil {
		return err
	}
	return r.slots.WriteSlots(ctx, t)
}

// Unseal brings the root key into memory from the first slot that one of the protectors opens: active, then staged, then
// retained, then recovery slots. It checks the whole table before the key is used.
func (r *Root) Unseal(ctx context.Context, protectors ...Protector) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	if r.Unsealed() {
		return nil
	}
	t, err := r.slots.ReadSlots(ctx)
	if err != nil {
		return fmt.Errorf("unsealing: %w", err)
	}
	if len(t.Slots) == 0 {
		return fmt.Errorf("unsealing: %w", ErrNotInitialized)
	}
	s, key, err := t.open(ctx, protectors)
	if err != nil {
		return fmt.Errorf("unsealing: %w", err)
	}
	if err := t.verify(key); err != nil {
		clear(key)
		return fmt.Errorf("unsealing: %w", err)
	}
	if err := r.take(key); err != nil {
		return err
	}
	return r.slots.SlotVerified(ctx, s.ID, r.now())
}

// open tries the slots in order, each with the protector it names.
func (t *Table) open(ctx context.Context, protectors []Protector) (*Slot, []byte, error) {
	var failures []error
	for _, s := range t.inOrder() {
		for _, p := range protectors {
			if p.Reference() != s.Protector {
				continue
			}
			key, err := s.open(ctx, p)
			if err == nil {
				return s, key, nil
			}
			failures = append(failures, fmt.Errorf("opening %v: %w", s, err))
		}
	}
	if len(failures) > 0 {
		return nil, nil, errors.Join(failures...)
	}
	return nil, nil, t.mismatch(protectors)
}

// mismatch says that none of the protectors is one that a slot names.
func (t *Table) mismatch(protectors []Protector) error {
	if len(protectors) == 0 {
		return fmt.Errorf("no protector is given; %v needs one", t.inOrder()[0])
	}
	var all []error
	for _, p := range protectors {
		for _, s := range t.inOrder() {
			all = append(all, fmt.Errorf("%s does not open %v", title(p), s))
		}
	}
	return errors.Join(all...)
}

// title is what to call a protector in a message.
func title(p Protector) string {
	if s, ok := p.(fmt.Stringer); ok {
		return s.String()
	}
	return p.Reference()
}

// take makes key, which it owns from now on, the root key in memory.
func (r *Root) take(key []byte) error {
	wrapping, err := subkey(key, "root key: wrap")
	if err != nil {
		return err
	}
	defer clear(wrapping)
	rows, err := newXAES(wrapping)
	if err != nil {
		return err
	}
	r.open.Store(&openRoot{key: key, rows: rows})
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
	clear(o.key)
	o.key = nil
}

// Slots reads the table, for reports.
func (r *Root) Slots(ctx context.Context) (*Table, error) { return r.slots.ReadSlots(ctx) }

// copyKey is a copy of the root key, which the caller clears.
func (r *Root) copyKey() ([]byte, error) {
	o := r.open.Load()
	if o == nil {
		return nil, ErrSealed
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.key == nil {
		return nil, ErrSealed
	}
	return append([]byte(nil), o.key...), nil
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

// Protector is the root key as the protector of envelopes. It refuses with ErrSealed while the server is sealed.
func (r *Root) Protector() Protector { return rootProtector{r} }

type rootProtector struct{ root *Root }

func (p rootProtector) Reference() string    { return RootReference }
func (p rootProtector) Mechanism() Mechanism { return MechanismXAES256GCM }

func (p rootProtector) Wrap(_ context.Context, key []byte) ([]byte, error) {
	o := p.root.open.Load()
	if o == nil {
		return nil, ErrSealed
	}
	return o.rows.seal(key, nil)
}

func (p rootProtector) Unwrap(_ context.Context, m Mechanism, wrapped []byte) ([]byte, error) {
	o := p.root.open.Load()
	if o == nil {
		return nil, ErrSealed
	}
	if m != MechanismXAES256GCM {
		return nil, ErrDecrypt
	}
	return o.rows.open(wrapped, nil)
}
