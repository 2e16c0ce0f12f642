package seal

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/store/crash"
)

// A SlotState says what a slot is for.
type SlotState string

// States of a slot.
const (
	SlotActive   SlotState = "active"   // the one in use
	SlotStaged   SlotState = "staged"   // made ready, not yet in use
	SlotRetained SlotState = "retained" // used before; rows or backups may still need it
	SlotRecovery SlotState = "recovery" // for an operator when all others are lost
)

// openingOrder is the order in which slots are tried.
var openingOrder = []SlotState{SlotActive, SlotStaged, SlotRetained, SlotRecovery}

// A Slot is one wrapped copy of the root key.
type Slot struct {
	ID         int64 // from 1, never used again
	Generation int64 // of the table, when the slot was made
	State      SlotState
	Kind       string // of protector: what stands before the colon of its reference
	Protector  string // reference
	Mechanism  Mechanism
	Envelope   []byte
	Created    time.Time
	Verified   time.Time // when the slot last gave the root key; a note, not covered by the table's MAC
}

// String names the slot in messages.
func (s *Slot) String() string { return fmt.Sprintf("slot %d (%s)", s.ID, s.Protector) }

// MACKey is the reference of the key that authenticates the slot's envelope; "" where the one that wraps does.
func (s *Slot) MACKey() string {
	e, err := Parse(s.Envelope)
	if err != nil {
		return ""
	}
	return e.MACKey
}

// bound is the context that a slot's envelope is tied to.
func (s *Slot) bound() []byte { return fmt.Appendf(nil, "slot:%d", s.ID) }

// A Table is all slots, by ID. Its MAC, under a subkey of the root key, covers the generation and every slot in order, so
// that an older slot put back by somebody who can write the database is seen.
type Table struct {
	Generation int64 // of the table, 0 while there is none; every change adds one
	Slots      []Slot
	Rows       bool     `json:",omitempty"` // what is kept beside the table has MACs, too: see Root.MAC
	Former     []string `json:",omitempty"` // references of keys that opened slots which were pruned: with a backup of then they still would
	MAC        []byte
}

// ErrTableChanged says that somebody else changed the table meanwhile; the change may be tried again.
var ErrTableChanged = errors.New("the root key slots were changed by another process meanwhile")

// Slots keeps the table.
type Slots interface {
	// ReadSlots reads it, an empty one when there is none.
	ReadSlots(ctx context.Context) (*Table, error)
	// WriteSlots replaces it if the stored generation is t.Generation-1, else it returns ErrTableChanged.
	WriteSlots(ctx context.Context, t *Table) error
	// SlotVerified notes when a slot was last opened.
	SlotVerified(ctx context.Context, id int64, at time.Time) error
}

// mac authenticates the table under the root key.
func (t *Table) mac(root []byte) ([]byte, error) {
	key, err := subkey(root, "slot table")
	if err != nil {
		return nil, err
	}
	defer clear(key)
	h := hmac.New(sha256.New, key)
	b := binary.BigEndian.AppendUint64(nil, uint64(t.Generation))
	b = binary.BigEndian.AppendUint64(b, uint64(len(t.Slots)))
	for i := range t.Slots {
		b = t.Slots[i].append(b)
	}
	if t.Rows {
		b = append(b, "rows"...)
	}
	for _, text := range t.Former {
		b = append(b, "former"...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	h.Write(b)
	return h.Sum(nil), nil
}

// append encodes what the MAC covers, each text with its length before it.
func (s *Slot) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Generation))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Created.UnixMicro()))
	for _, text := range []string{string(s.State), s.Kind, s.Protector, s.Mechanism.String(), string(s.Envelope)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

// verify checks the MAC.
func (t *Table) verify(root []byte) error {
	want, err := t.mac(root)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, t.MAC) {
		return fmt.Errorf("the table of root key slots (generation %d) does not have its MAC: it was changed by something else than this program", t.Generation)
	}
	return nil
}

// clone is a copy whose slots may be changed.
func (t *Table) clone() *Table {
	return &Table{Generation: t.Generation, Slots: slices.Clone(t.Slots), Rows: t.Rows, Former: slices.Clone(t.Former)}
}

// References are those of all keys that open a slot, or opened one that was pruned, with the keys of their MACs.
func (t *Table) References() []string {
	all := slices.Clone(t.Former)
	for i := range t.Slots {
		all = append(all, t.Slots[i].references()...)
	}
	return all
}

func (s *Slot) references() []string {
	all := []string{s.Protector}
	if key := s.MACKey(); key != "" {
		all = append(all, key)
	}
	return all
}

// inOrder lists the slots in the order in which they are tried.
func (t *Table) inOrder() []*Slot {
	var all []*Slot
	for _, state := range openingOrder {
		for i := range t.Slots {
			if t.Slots[i].State == state {
				all = append(all, &t.Slots[i])
			}
		}
	}
	return all
}

// newSlot wraps the root key with p for the generation after t's, and opens the result again to compare.
func (t *Table) newSlot(ctx context.Context, p Protector, state SlotState, root []byte, now time.Time) (*Slot, error) {
	s := &Slot{
		ID:         1,
		Generation: t.Generation + 1,
		State:      state,
		Protector:  p.Reference(),
		Mechanism:  p.Mechanism(),
		Created:    now,
		Verified:   now,
	}
	s.Kind, _, _ = strings.Cut(s.Protector, ":")
	for i := range t.Slots {
		s.ID = max(s.ID, t.Slots[i].ID+1)
	}
	crash.At("slot-begun")
	e, err := Seal(ctx, nil, p, Label{PurposeSlot, uint32(s.Generation)}, s.bound(), root)
	if err != nil {
		return nil, fmt.Errorf("making %v: %w", s, err)
	}
	s.Envelope = e.Bytes()
	crash.At("slot-wrapped")
	again, err := s.open(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("reading %v back: %w", s, err)
	}
	defer clear(again)
	if !hmac.Equal(again, root) {
		return nil, fmt.Errorf("reading %v back: the protector gave another key", s)
	}
	return s, nil
}

// open unwraps the slot's copy of the root key with p; the caller clears it.
func (s *Slot) open(ctx context.Context, p Protector) ([]byte, error) {
	find := func(_ context.Context, h Header) (Protector, error) {
		if h.Protector != s.Protector || h.Mechanism != s.Mechanism || h.Generation != uint32(s.Generation) {
			return nil, ErrDecrypt
		}
		return p, nil
	}
	root, err := Open(ctx, find, PurposeSlot, s.bound(), s.Envelope)
	if err == nil && len(root) != masterKeySize {
		clear(root)
		return nil, ErrDecrypt
	}
	return root, err
}
