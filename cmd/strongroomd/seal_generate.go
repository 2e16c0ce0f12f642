package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"strongroom/hsm"
	"strongroom/kmip"
	"strongroom/store"
	"strongroom/store/crash"
	"strongroom/store/seal"
)

// This file makes what is to protect the root key: a master key file, or a key in a token.

// A making is a note of what switch and rotate make, written before it is there. Whoever was cut off between that and the new slot, and
// says the same again, finds what he made, and goes on with it; a key or a file that anybody else put there is refused as before.
type making struct {
	store    *store.Store
	table    *seal.Table
	revision int64

	Generation int64    `json:"generation"` // of the table of slots, when the act began
	References []string `json:"references"` // of a key in a token without its CKA_ID
}

// makingSetting is the name of the setting that has the last note.
const makingSetting = "seal-making"

// making reads the last note. The server is unsealed.
func (s *sealer) making(ctx context.Context) (*making, error) {
	m := &making{store: s.store}
	var err error
	if m.table, err = s.root.Slots(ctx); err != nil {
		return nil, err
	}
	text, revision, err := s.store.Setting(ctx, makingSetting)
	if err == nil && text != nil {
		err = json.Unmarshal(text, m)
	}
	m.revision = revision
	return m, err
}

// note adds what is about to be made. A note of before the slots were last changed is done with.
func (m *making) note(ctx context.Context, reference string) error {
	if m.Generation != m.table.Generation {
		m.Generation, m.References = m.table.Generation, nil
	}
	if slices.Contains(m.References, reference) {
		return nil
	}
	m.References = append(m.References, reference)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := m.store.PutSetting(ctx, makingSetting, text, m.revision); err != nil {
		return err
	}
	m.revision++
	return nil
}

// own says whether it was made by an act that was cut off: the slots are those of then, or the last change was to this one.
func (m *making) own(reference string) bool {
	if m == nil || !slices.Contains(m.References, reference) {
		return false
	}
	active := m.table.Active()
	return m.Generation == m.table.Generation || active != nil && slices.Contains([]string{active.Protector, bare(active.Protector), bare(active.MACKey())}, reference)
}

// bare is a reference of a key in a token without its CKA_ID.
func bare(reference string) string {
	label, serial, _ := tokenKeyOf(reference)
	return bareReference(serial, label)
}

func bareReference(serial, label string) string { return seal.KindToken + ":" + serial + ":" + label }

// generate makes what a target names, and refuses where it is there, unless m says that it is its own. With a nil m, at the first slot,
// nothing is noted: what is there is used then.
func (s *sealer) generate(ctx context.Context, t target, m *making) error {
	if t.To == "software" {
		return s.generateFile(ctx, t.MasterKeyFile, m)
	}
	slot, err := s.slotOf(t)
	if err != nil {
		return err
	}
	keys, err := sealKeys(t)
	if err != nil {
		return err
	}
	serial, err := s.hsm.Serial(ctx, slot)
	if err != nil {
		return err
	}
	for i, k := range keys {
		reference := bareReference(serial, k.Label)
		if m != nil {
			k.Begin = func() error { return m.note(ctx, reference) }
		}
		_, err := s.hsm.MakeKey(ctx, slot, k)
		switch exists := errors.Is(err, kmip.ErrExists); {
		case exists && m.own(reference):
			err = s.hsm.CheckKey(ctx, slot, k)
		case exists && m == nil && i < len(keys)-1:
			err = nil // an init that was cut off made it, or one that runs beside this one
		}
		if err != nil {
			return err
		}
		crash.At("seal-key-made")
	}
	return nil
}

func (s *sealer) generateFile(ctx context.Context, path string, m *making) error {
	var note func(string) error
	if m != nil {
		if key, err := s.masterKey(path); err == nil && m.own(key.Reference()) {
			return nil
		}
		note = func(reference string) error { return m.note(ctx, reference) }
	}
	_, err := seal.CreateMasterKey(path, note)
	return err
}

// sealKeys are the keys that a target takes in its token: the one for the MAC, where its mechanism has one, and the one that it names.
func sealKeys(t target) ([]hsm.NewKey, error) {
	ckm, err := hsm.ParseGuardMechanism(t.Mechanism)
	if err != nil {
		return nil, err
	}
	key := hsm.NewKey{Label: t.KeyLabel, Algorithm: "aes", Purpose: hsm.PurposeSeal}
	switch ckm {
	case ckmRSAOAEP:
		key.Algorithm = "rsa"
	case ckmCBCPad:
		return []hsm.NewKey{{Label: t.KeyLabel + "_HMAC", Algorithm: "hmac", Purpose: hsm.PurposeSeal}, key}, nil
	}
	return []hsm.NewKey{key}, nil
}

// Mechanisms that need another key than one of AES alone. PKCS#11 2.40 §2.1.8, §2.8.
const (
	ckmRSAOAEP = 0x9
	ckmCBCPad  = 0x1085
)
