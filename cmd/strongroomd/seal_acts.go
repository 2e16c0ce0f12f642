package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom/hsm"
	"strongroom/kmip"
	"strongroom/store/crash"
	"strongroom/store/seal"
)

// A target is a protector that the root key is to be put under.
type target struct {
	To            string  `json:"to"` // software or hsm; of a rotation as it is
	Slot          *uint32 `json:"slot,omitempty"`
	KeyLabel      string  `json:"key_label,omitempty"`
	KeyID         string  `json:"key_id,omitempty"` // CKA_ID, hexadecimal
	Mechanism     string  `json:"mechanism,omitempty"`
	Hash          string  `json:"hash,omitempty"`
	Generate      bool    `json:"generate,omitempty"` // make the key, or the file
	MasterKeyFile string  `json:"master_key_file,omitempty"`
	Force         bool    `json:"force,omitempty"` // also where another replica is locked out
}

// A changed answers a change of the slots.
type changed struct {
	Slot     string   `json:"slot"` // that is active now
	Already  bool     `json:"already,omitempty"`
	Retained []string `json:"retained,omitempty"`
	Lines    []string `json:"lines,omitempty"` // for the configuration
	Past     []string `json:"past,omitempty"`  // replicas that cannot open it, by force
}

// resolve finds the protector of a target; it makes none.
func (s *sealer) resolve(ctx context.Context, t target) (seal.Protector, error) {
	switch t.To {
	case "software":
		if t.MasterKeyFile == "" {
			return nil, errors.New("the strategy software needs a master key file")
		}
		return s.masterKey(t.MasterKeyFile)
	case "hsm":
		slot, err := s.slotOf(t)
		if err != nil {
			return nil, err
		}
		id, err := hex.DecodeString(t.KeyID)
		if err != nil {
			return nil, fmt.Errorf("key id %q: it is written in hexadecimal", t.KeyID)
		}
		if t.KeyID == "" {
			id = nil
		}
		guard, err := s.hsm.Guard(ctx, hsm.GuardName{Slot: slot, Label: t.KeyLabel, ID: id, Mechanism: t.Mechanism, Hash: t.Hash})
		if err != nil {
			return nil, err
		}
		return seal.TokenProtector(guard)
	}
	return nil, fmt.Errorf("%q is no strategy: software and hsm are", t.To)
}

// slotOf is the slot of a target in a token: the one it names, or the only one.
func (s *sealer) slotOf(t target) (uint32, error) {
	switch {
	case s.hsm == nil:
		return 0, errors.New("the strategy hsm needs an [[hsm]] in the configuration, and there is none")
	case t.KeyLabel == "":
		return 0, errors.New("the strategy hsm needs the label of a key")
	case t.Slot != nil:
		return *t.Slot, nil
	case len(s.hsm.Slots()) != 1:
		return 0, fmt.Errorf("say which slot: %v are configured", s.hsm.Slots())
	}
	return s.hsm.Slots()[0], nil
}

// resolveOrMake is resolve for the first slot: it makes a key that is not there. Of several processes that do one makes it, and the
// others find it.
func (s *sealer) resolveOrMake(ctx context.Context, t target) (seal.Protector, error) {
	for try := 0; ; try++ {
		p, err := s.resolve(ctx, t)
		var none hsm.NotOneError
		missing := errors.As(err, &none) && none.Keys == 0 || t.To == "software" && errors.Is(err, os.ErrNotExist)
		if !t.Generate || !missing || try == 5 {
			return p, err
		}
		if err := s.generate(ctx, t, nil); err != nil {
			s.log.Warn("making the key that is to protect the root key", "err", err)
			time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond) // another process makes it
		}
	}
}

// initialize makes the root key, under what [seal] wishes for.
func (s *sealer) initialize(ctx context.Context, t target) (*changed, error) {
	table, err := s.root.Slots(ctx)
	if err != nil {
		return nil, err
	}
	if len(table.Slots) > 0 { // before a key is made
		return nil, fmt.Errorf("refused: there is a root key already, in %d slots", len(table.Slots))
	}
	p, err := s.resolveOrMake(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := s.root.Init(ctx, p, nil); err != nil {
		return nil, err
	}
	return s.tell(ctx, false)
}

// tell answers a change with the slots as they are now.
func (s *sealer) tell(ctx context.Context, already bool) (*changed, error) {
	table, err := s.root.Slots(ctx)
	if err != nil {
		return nil, err
	}
	c := &changed{Already: already}
	for i := range table.Slots {
		switch slot := &table.Slots[i]; slot.State {
		case seal.SlotActive:
			c.Slot, c.Lines = slot.String(), s.lines(slot)
		case seal.SlotRetained:
			c.Retained = append(c.Retained, slot.String())
		}
	}
	return c, nil
}

// switchTo puts the root key under a target; the slot of before is retained.
func (s *sealer) switchTo(ctx context.Context, t target) (*changed, error) {
	if !s.root.Unsealed() {
		return nil, seal.ErrSealed
	}
	if t.To == "software" {
		switch {
		case t.MasterKeyFile == "":
			t.MasterKeyFile = s.conf.Seal.MasterKeyFile
		case t.MasterKeyFile == "-":
			return nil, errors.New("a master key from standard input is of no use to a server that runs: name a file")
		}
	}
	table, err := s.root.Slots(ctx)
	if err != nil {
		return nil, err
	}
	if t.Generate {
		want, err := s.unmade(ctx, t)
		if err == nil {
			_, err = s.allow(ctx, table, []string{want}, t.Force) // before it is made
		}
		var m *making
		if err == nil {
			m, err = s.making(ctx)
		}
		if err == nil {
			err = s.generate(ctx, t, m)
		}
		if err != nil {
			return nil, err
		}
	}
	p, err := s.resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	active := table.Active()
	already := active != nil && active.Protector == p.Reference() && active.Mechanism == p.Mechanism()
	var past []string
	if !already {
		if past, err = s.allow(ctx, table, []string{p.Reference()}, t.Force); err != nil {
			return nil, err
		}
		if err := s.root.Add(ctx, p, seal.SlotActive); err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.wished, s.health = nil, health{at: time.Now()}
		if t.To == "software" {
			s.learned = append(s.learned, t.MasterKeyFile)
		}
		s.mu.Unlock()
		s.reserve(ctx)
		s.tellReplica(ctx, 0)
		crash.At("switch-done")
	}
	c, err := s.tell(ctx, already)
	if err == nil {
		c.Past = past
	}
	if err == nil && t.To == "software" && !already {
		c.Lines = []string{"[seal]", `strategy        = "software"`, "master_key_file = " + tomlString(t.MasterKeyFile)}
	}
	return c, err
}

// rotate is switchTo another key of the same kind.
func (s *sealer) rotate(ctx context.Context, t target) (*changed, error) {
	table, err := s.root.Slots(ctx)
	if err != nil {
		return nil, err
	}
	active := table.Active()
	switch {
	case active == nil:
		return nil, seal.ErrNotInitialized
	case active.Kind == seal.KindFile && t.KeyLabel != "":
		return nil, fmt.Errorf("%v is a master key file: seal switch --to hsm puts the root key under a key in a token", active)
	case active.Kind == seal.KindToken && t.KeyLabel == "":
		return nil, fmt.Errorf("%v is a key in a token: --key-label names the next", active)
	case active.Kind == seal.KindFile && t.MasterKeyFile == "":
		return nil, fmt.Errorf("%v is a master key file: --master-key-file names the next", active)
	}
	t.To = "software"
	if active.Kind == seal.KindToken {
		t.To = "hsm"
		_, serial, _ := tokenKeyOf(active.Protector)
		if numbers := s.slotsOf(ctx, serial); t.Slot == nil && len(numbers) > 0 {
			t.Slot = &numbers[0]
		}
	}
	return s.switchTo(ctx, t)
}

// prune drops the retained slots.
func (s *sealer) prune(ctx context.Context, force bool) (*pruned, error) {
	table, err := s.root.Slots(ctx)
	if err != nil {
		return nil, err
	}
	out := new(pruned)
	if out.Past, err = s.allow(ctx, table, references(table, seal.SlotRetained), force); err != nil {
		return nil, err
	}
	dropped, err := s.root.Prune(ctx, s.find, s.refers)
	for i := range dropped {
		out.Dropped = append(out.Dropped, dropped[i].String())
	}
	s.reserve(ctx)
	return out, err
}

// refers counts the objects whose rows are under a slot's protector: a key in a token can also be the one that wraps rows.
func (s *sealer) refers(ctx context.Context, slot *seal.Slot) (n int, err error) {
	if slot.Kind != seal.KindToken {
		return 0, nil
	}
	label, serial, _ := tokenKeyOf(slot.Protector)
	for _, number := range s.slotsOf(ctx, serial) {
		under, err := s.store.WrappedBy(ctx, kmip.HSMIdentifier(number, label))
		if err != nil {
			return 0, err
		}
		n += under
	}
	return n, nil
}

// shutIt drops the root key, and every key that it opened.
func (s *sealer) shutIt() {
	s.mu.Lock()
	s.shut, s.why = true, nil
	s.mu.Unlock()
	s.root.Seal()
	if s.purge != nil {
		s.purge()
	}
}

// unsealBy opens the root key with what an operator gives: nothing, for what is configured; a master key; a recovery share.
func (s *sealer) unsealBy(ctx context.Context, secret []byte, by string) (*unsealed, error) {
	if s.root.Unsealed() {
		return &unsealed{Message: "the server is unsealed already"}, nil
	}
	text := strings.TrimSpace(string(secret))
	began := time.Now()
	var err error
	switch {
	case strings.HasPrefix(text, sharePrefix):
		var more *unsealed
		if more, err = s.addShare(ctx, text); more != nil || err != nil {
			s.act("seal unseal", by, "recovery share", err)
			return more, err
		}
	case len(secret) == 0:
		if s.hsm != nil {
			s.hsm.Reload() // the operator asks: a PIN that was refused may be tried again
		}
		err = s.root.UnsealWith(ctx, s.find, s.masterKeys()...)
	default:
		var key seal.Protector
		if key, err = seal.ReadMasterKey("-", strings.NewReader(string(secret))); err != nil {
			return nil, err
		}
		err = s.root.Unseal(ctx, key)
	}
	s.mu.Lock()
	waits := s.shut
	s.mu.Unlock()
	if err != nil {
		s.act("seal unseal", by, "", err)
		if !waits {
			s.mu.Lock()
			s.why = err
			s.mu.Unlock()
		}
		return nil, err
	}
	s.opened(nil, by, time.Since(began))
	s.followWish(ctx)
	return &unsealed{Unsealed: true, Message: fmt.Sprintf("unsealed by %v", s.root.OpenedBy())}, nil
}

// An unsealed answers an attempt to unseal.
type unsealed struct {
	Unsealed bool   `json:"unsealed"`
	Message  string `json:"message"`
	Have     int    `json:"have,omitempty"` // recovery shares
	Need     int    `json:"need,omitempty"`
}

// absolute makes a path that an operator typed mean the same to the server.
func absolute(source string) (string, error) {
	if source == "" || source == "-" || strings.HasPrefix(source, "env:") || strings.HasPrefix(source, "credential:") {
		return source, nil
	}
	return filepath.Abs(source)
}
