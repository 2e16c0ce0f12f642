package seal

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"strongroom/store/crash"
)

// This file changes the table of slots. Every change is the same: build the new slot and open it again, outside of any
// transaction; then write the table that has it, if nobody else changed it meanwhile. Whatever ends the process in between
// leaves the table of before, or the new one.

// Init makes the root key from random (nil for crypto/rand) and its first slot, and unseals. It refuses when a slot
// exists.
func (r *Root) Init(ctx context.Context, p Protector, random io.Reader) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	t, err := r.read(ctx)
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
	t.Rows = true
	s, err := r.add(ctx, t, p, SlotActive, key)
	if err != nil {
		clear(key)
		return fmt.Errorf("initializing: %w", err)
	}
	return r.take(key, s)
}

// Add makes one more slot, for another protector, while the root key is in memory. A new active slot retires the one
// before it; a new recovery slot replaces the one before it; a retained slot of the same protector goes. A slot that p has in
// that state already is left alone.
func (r *Root) Add(ctx context.Context, p Protector, state SlotState) error {
	return r.change(ctx, "adding a slot", func(t *Table, key []byte) error {
		for i := range t.Slots {
			if t.Slots[i].Protector == p.Reference() && t.Slots[i].State == state {
				return nil
			}
		}
		_, err := r.add(ctx, t, p, state, key)
		return err
	})
}

// change has f look at the proven table with the root key, and change it.
func (r *Root) change(ctx context.Context, act string, f func(t *Table, key []byte) error) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	key, err := r.copyKey()
	if err != nil {
		return err
	}
	defer clear(key)
	t, err := r.read(ctx)
	if err == nil {
		err = t.verify(key)
	}
	if err == nil {
		err = f(t, key)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	return nil
}

// add builds a slot, proves it, and commits the table that has it.
func (r *Root) add(ctx context.Context, old *Table, p Protector, state SlotState, key []byte) (*Slot, error) {
	s, err := old.newSlot(ctx, p, state, key, r.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return nil, err
	}
	t := old.clone()
	t.Slots = slices.DeleteFunc(t.Slots, func(o Slot) bool {
		return o.State == SlotRecovery && state == SlotRecovery || o.State == SlotRetained && o.Protector == s.Protector
	})
	for i := range t.Slots {
		if state == SlotActive && t.Slots[i].State == SlotActive {
			t.Slots[i].State = SlotRetained
		}
	}
	t.Slots = append(t.Slots, *s)
	return s, r.write(ctx, t, key)
}

// write commits a changed table as the next generation.
func (r *Root) write(ctx context.Context, t *Table, key []byte) (err error) {
	t.Generation++
	if t.MAC, err = t.mac(key); err != nil {
		return err
	}
	crash.At("slots-ready")
	err = r.slots.WriteSlots(ctx, t)
	crash.At("slots-written")
	if err == nil {
		r.last.Store(t.clone())
	}
	return err
}

// Prune drops the retained slots, and answers them. The slot in use is proven before, with the protector that find gives.
// Refers counts what still needs a slot's protector: where there is any, nothing is dropped.
func (r *Root) Prune(ctx context.Context, find Find, refers func(context.Context, *Slot) (int, error)) (dropped []Slot, err error) {
	err = r.change(ctx, "pruning", func(old *Table, key []byte) error {
		active := old.Active()
		if active == nil {
			return errors.New("no slot is active")
		}
		t := old.clone()
		t.Slots = slices.DeleteFunc(t.Slots, func(s Slot) bool { return s.State == SlotRetained })
		var needed []error
		for i := range old.Slots {
			s := &old.Slots[i]
			if s.State != SlotRetained {
				continue
			}
			n, err := refers(ctx, s)
			if err == nil && n > 0 {
				err = fmt.Errorf("%d objects refer to its protector: run seal rewrap first", n)
			}
			if err != nil {
				needed = append(needed, fmt.Errorf("%v is needed: %w", s, err))
			}
			dropped = append(dropped, *s)
			for _, reference := range s.references() {
				if !slices.Contains(t.Former, reference) {
					t.Former = append(t.Former, reference)
				}
			}
		}
		if len(needed) > 0 || len(dropped) == 0 {
			return errors.Join(needed...)
		}
		p, err := find(ctx, active)
		if err == nil && p == nil {
			err = errors.New("its protector is not configured")
		}
		if err == nil {
			err = active.proves(ctx, p, key)
		}
		if err != nil {
			return fmt.Errorf("proving %v, which is to remain: %w", active, err)
		}
		return r.write(ctx, t, key)
	})
	if err != nil {
		dropped = nil
	}
	return dropped, err
}

// A Find gives the protector that a slot names: nil, nil where the configuration has none that may open it.
type Find func(ctx context.Context, s *Slot) (Protector, error)

// Unseal brings the root key into memory from the first slot that one of the protectors opens: active, then staged, then
// retained, then recovery slots. It checks the whole table before the key is used.
func (r *Root) Unseal(ctx context.Context, protectors ...Protector) error {
	return r.unseal(ctx, among(protectors), protectors)
}

// UnsealWith is Unseal with the protectors that find gives. Given are those to name where no slot wants one of them.
func (r *Root) UnsealWith(ctx context.Context, find Find, given ...Protector) error {
	return r.unseal(ctx, find, given)
}

func (r *Root) unseal(ctx context.Context, find Find, given []Protector) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	if r.Unsealed() {
		return nil
	}
	t, err := r.read(ctx)
	if err != nil {
		return fmt.Errorf("unsealing: %w", err)
	}
	if len(t.Slots) == 0 {
		return fmt.Errorf("unsealing: %w", ErrNotInitialized)
	}
	s, key, err := t.open(ctx, find, given)
	if err != nil {
		return fmt.Errorf("unsealing: %w", err)
	}
	if err = t.verify(key); err == nil && !t.Rows {
		err = r.authenticateRows(ctx, t, key)
	}
	if err != nil {
		clear(key)
		return fmt.Errorf("unsealing: %w", err)
	}
	if err := r.take(key, s); err != nil {
		return err
	}
	return r.slots.SlotVerified(ctx, s.ID, r.now())
}

// An authenticator keeps rows beside the table, and can give them MACs.
type authenticator interface {
	AuthenticateRows(ctx context.Context, mac func([]byte) []byte) error
}

// authenticateRows gives the rows of a database from before they had MACs theirs, and has the table say so: from then on a row
// without its MAC is none of the server's.
func (r *Root) authenticateRows(ctx context.Context, old *Table, root []byte) error {
	keeper, ok := r.slots.(authenticator)
	if !ok {
		return nil
	}
	key, err := subkey(root, "root key: rows")
	if err != nil {
		return err
	}
	defer clear(key)
	if err := keeper.AuthenticateRows(ctx, func(stated []byte) []byte { return rowMAC(key, stated) }); err != nil {
		return err
	}
	t := old.clone()
	t.Rows = true
	return r.write(ctx, t, root)
}

// among finds protectors in a list.
func among(protectors []Protector) Find {
	return func(_ context.Context, s *Slot) (Protector, error) {
		for _, p := range protectors {
			if p.Reference() == s.Protector {
				return p, nil
			}
		}
		return nil, nil
	}
}

// open tries the slots in order, each with the protector it names.
func (t *Table) open(ctx context.Context, find Find, given []Protector) (*Slot, []byte, error) {
	var failures []error
	for _, s := range t.inOrder() {
		p, err := find(ctx, s)
		if err == nil && p == nil {
			continue
		}
		if err == nil {
			var key []byte
			if key, err = s.open(ctx, p); err == nil {
				return s, key, nil
			}
		}
		failures = append(failures, fmt.Errorf("opening %v: %w", s, err))
	}
	if len(failures) > 0 {
		return nil, nil, errors.Join(failures...)
	}
	return nil, nil, t.mismatch(given)
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

// Check opens the slot that names p, proves that it has the root key, and notes when. It changes nothing else, and does not
// unseal.
func (r *Root) Check(ctx context.Context, p Protector) (*Slot, error) {
	t, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	s := t.slotOf(p.Reference())
	if s == nil {
		return nil, t.mismatch([]Protector{p})
	}
	key, err := r.copyKey()
	if errors.Is(err, ErrSealed) {
		if key, err = s.open(ctx, p); err == nil {
			err = t.verify(key)
		}
	} else if err == nil {
		err = s.proves(ctx, p, key)
	}
	clear(key)
	if err != nil {
		return s, fmt.Errorf("opening %v: %w", s, err)
	}
	return s, r.slots.SlotVerified(ctx, s.ID, r.now())
}

// proves opens the slot and compares.
func (s *Slot) proves(ctx context.Context, p Protector, root []byte) error {
	again, err := s.open(ctx, p)
	if err != nil {
		return err
	}
	defer clear(again)
	if !hmac.Equal(again, root) {
		return errors.New("it has another key")
	}
	return nil
}

// slotOf is the first slot, in the order of opening, that names a protector.
func (t *Table) slotOf(reference string) *Slot {
	for _, s := range t.inOrder() {
		if s.Protector == reference {
			return s
		}
	}
	return nil
}

// Active is the slot in use; nil in an empty table.
func (t *Table) Active() *Slot {
	for i := range t.Slots {
		if t.Slots[i].State == SlotActive {
			return &t.Slots[i]
		}
	}
	return nil
}
