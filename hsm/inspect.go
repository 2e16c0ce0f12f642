package hsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// This file answers operators: what there is, what it claims and what it does.

// A Token is one that a module sees, known without a login.
type Token struct {
	Library        string   `json:"library"`
	LibraryVersion string   `json:"library_version"`
	SlotID         uint     `json:"slot_id"`
	SlotIndex      int      `json:"slot_index"`
	Label          string   `json:"label"`
	Serial         string   `json:"serial"`
	Manufacturer   string   `json:"manufacturer"`
	Model          string   `json:"model"`
	Firmware       string   `json:"firmware"`
	Initialized    bool     `json:"initialized"`
	PINLocked      bool     `json:"pin_locked"`
	MaxSessions    uint     `json:"max_sessions"` // 0: unlimited or unknown
	Slots          []uint32 `json:"slots"`        // configured numbers that mean it
}

// Tokens lists the tokens of all modules, and says of each slot that has none why. The error names the modules that could not be
// asked; the others are listed.
func Tokens(ctx context.Context, modules []Module, log *slog.Logger) (all []Token, without []string, err error) {
	var errs []error
	for i := range modules {
		found, lacking, err := modules[i].tokens(ctx, log)
		all, without = append(all, found...), append(without, lacking...)
		errs = append(errs, err)
	}
	return all, without, errors.Join(errs...)
}

func (m *Module) tokens(ctx context.Context, log *slog.Logger) (all []Token, without []string, err error) {
	err = m.ask(ctx, log, func(lib cryptoki) error {
		info, err := lib.info()
		if err != nil {
			return fmt.Errorf("C_GetInfo: %w", err)
		}
		ids, err := lib.slots()
		if err != nil {
			return fmt.Errorf("C_GetSlotList: %w", err)
		}
		var there []present
		for index, id := range ids {
			t, err := lib.tokenInfo(id)
			if err != nil {
				return fmt.Errorf("C_GetTokenInfo of slot ID %d: %w", id, err)
			}
			token := Token{Library: m.Library, LibraryVersion: fmt.Sprintf("%s %d.%d", info.Description, info.Major, info.Minor),
				SlotID: id, SlotIndex: index, Label: t.Label, Serial: t.Serial, Manufacturer: t.Manufacturer, Model: t.Model,
				Firmware:    fmt.Sprintf("%d.%d", t.FirmwareMajor, t.FirmwareMinor),
				Initialized: t.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0, PINLocked: t.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0,
				MaxSessions: t.MaxSessions, Slots: []uint32{}}
			if token.Initialized {
				there = append(there, present{index, id, t})
			}
			all = append(all, token)
		}
		for i := range m.Slots {
			s := &m.Slots[i]
			for _, p := range s.among(there, len(m.Slots) == 1) {
				all[p.index].Slots = append(all[p.index].Slots, s.Number)
			}
			if _, _, err := m.alone(lib, i).resolve(); err != nil {
				without = append(without, fmt.Sprintf("slot %d: %v", s.Number, err))
			}
		}
		return nil
	})
	return all, without, err
}

// alone is one of the module's slots with a library that nobody is logged in to.
func (m *Module) alone(lib cryptoki, i int) *slot {
	return &slot{Slot: m.Slots[i], module: &module{lib: lib}, rivals: m.rivals(m.Slots[i].Number)}
}

// ask has f use the library of a module, without a login.
func (m *Module) ask(ctx context.Context, log *slog.Logger, f func(cryptoki) error) (err error) {
	if !m.isolated() {
		if err := environment([]Module{*m}); err != nil {
			return err
		}
	}
	loaded, err := loadModule(m, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loaded.unload(ctx)) }()
	if err := loaded.gate.enter(ctx); err != nil {
		return err
	}
	defer loaded.gate.leave()
	if err := f(loaded.lib); err != nil {
		return fmt.Errorf("module %s: %w", m.Library, err)
	}
	return nil
}

// A Mechanism is one that a token lists.
type Mechanism struct {
	Number uint   `json:"number"`
	Name   string `json:"name"` // CKM_, or the number where the name is not known
}

// Mechanisms lists what a slot's token claims, in the order of the numbers; no login is needed.
func Mechanisms(ctx context.Context, modules []Module, number uint32, log *slog.Logger) (all []Mechanism, err error) {
	for i := range modules {
		m := &modules[i]
		at := slices.IndexFunc(m.Slots, func(s Slot) bool { return s.Number == number })
		if at < 0 {
			continue
		}
		return all, m.ask(ctx, log, func(lib cryptoki) error {
			id, _, err := m.alone(lib, at).resolve()
			if err != nil {
				return err
			}
			listed, err := lib.mechanisms(id)
			for _, n := range listed {
				all = append(all, Mechanism{n, mechanismName(n)})
			}
			slices.SortFunc(all, func(a, b Mechanism) int { return cmp.Compare(a.Number, b.Number) })
			return err
		})
	}
	return nil, invalid("slot %d is not configured", number)
}

// A Capability is one way to do something with a token, and what the self-test found of it.
type Capability struct {
	Use       string `json:"use"`       // in KMIP's words
	Mechanism string `json:"mechanism"` // CKM_
	Listed    bool   `json:"listed"`
	Tried     bool   `json:"tried"`
	Works     bool   `json:"works"`
	Chosen    bool   `json:"chosen"` // it is what the server uses
	Note      string `json:"note,omitempty"`
}

// Capabilities runs the self-test on a slot's token and tells the whole of what it found.
func (h *HSM) Capabilities(ctx context.Context, number uint32) (all []Capability, err error) {
	s := h.slots[number]
	if s == nil {
		return nil, h.unknown(number)
	}
	err = s.do(ctx, func(c *connection, _ session) error {
		listed, err := c.module.lib.mechanisms(c.id)
		all = c.proof.capabilities(listed)
		return err
	})
	return all, s.tell(err)
}

// What a token is tried at, in KMIP's words; some have the name of a mode, a hash or a kind of key behind them.
const (
	useMakeAES, useMakeHMAC, useMakeRSA     = "making AES keys", "making HMAC keys", "making RSA pairs"
	useMakeEC, useMakeEdwards               = "making EC pairs", "making Ed25519 pairs"
	useOAEP, useHMAC, useCMAC               = "RSA OAEP, ", "HMAC, ", "AES CMAC"
	useRawRSA, usePKCS1                     = "RSA without padding", "RSA PKCS1 v1.5 decryption"
	useSignPKCS1, useSignPSS                = "RSA PKCS1 v1.5 signature", "RSA PSS signature"
	useECDSA, useEdDSA                      = "ECDSA signature", "Ed25519 signature"
	usePrivateOut, usePrivateIn, useOutOAEP = "private keys out, ", "private keys in, ", "symmetric keys out, RSA OAEP, "
	useWrap                                 = "wrapping "
)

// untried begins the notes of what was not tried.
const untried = "not tried"

// cipherUse is what a row of ciphers is.
func cipherUse(row int) string {
	use := "AES " + ciphers[row].mode.String()
	if ciphers[row].padded {
		use += ", PKCS5"
	}
	return use
}

// capabilities is the proof as a table.
func (p *proof) capabilities(listed []uint) (all []Capability) {
	add := func(use string, ckm uint, works, chosen bool, note string) {
		if why := p.whyNot[tried{use, ckm}]; why != "" && !works {
			note = strings.TrimSuffix(why+"; "+note, "; ")
		}
		all = append(all, Capability{use, mechanismName(ckm), slices.Contains(listed, ckm), !strings.HasPrefix(note, untried), works, chosen, note})
	}
	add(useMakeAES, pkcs11.CKM_AES_KEY_GEN, p.makesAES, p.makesAES, "")
	add(useMakeHMAC, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, p.makesHMAC, p.makesHMAC, "")
	add(useMakeRSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, false, false, untried+" before it is asked for: it may take long")
	add(useMakeEC, pkcs11.CKM_EC_KEY_PAIR_GEN, p.signECDSA, p.signECDSA, p.whyNot[tried{useECDSA, pkcs11.CKM_ECDSA}])
	add(useMakeEdwards, ckmEdwardsPairGen, p.edwards != 0, p.edwards != 0, p.whyNot[tried{useEdDSA, ckmEdDSA}])
	for row, c := range ciphers {
		for i, ckm := range c.candidates {
			note := ""
			if p.ciphers[row] != 0 && i > slices.Index(c.candidates, p.ciphers[row]) {
				note = untried + ": the one before works"
			} else if row == cipherKWP && p.ciphers[row] == ckm && !p.anyLength {
				note = "only keys whose length is a multiple of 8"
			}
			add(cipherUse(row), ckm, p.ciphers[row] == ckm, p.ciphers[row] == ckm, note)
		}
	}
	for row, d := range digests {
		note := ""
		if !p.oaep[row] && p.rawRSA {
			note = "CKM_RSA_X_509 in the token and unpadding in the server do it instead"
		}
		add(useOAEP+d.name.String(), pkcs11.CKM_RSA_PKCS_OAEP, p.oaep[row], p.oaep[row], note)
	}
	for row, d := range digests {
		note := ""
		if p.hmac[row] && !p.shortHMAC {
			note = "only keys that are as long as the hash, or longer"
		}
		add(useHMAC+d.name.String(), d.hmac, p.hmac[row], p.hmac[row], note)
	}
	add(useCMAC, pkcs11.CKM_AES_CMAC, p.cmac, p.cmac, "")
	raw := !slices.Contains(p.oaep[:], false)
	add(useRawRSA, pkcs11.CKM_RSA_X_509, p.rawRSA, p.rawRSA && !raw, "")
	add(usePKCS1, pkcs11.CKM_RSA_PKCS, p.pkcs1, p.pkcs1, "")
	add(useSignPKCS1, pkcs11.CKM_RSA_PKCS, p.signPKCS1, p.signPKCS1, "")
	add(useSignPSS, pkcs11.CKM_RSA_PKCS_PSS, p.signPSS, p.signPSS, "")
	add(useECDSA, pkcs11.CKM_ECDSA, p.signECDSA, p.signECDSA, "")
	add(useEdDSA, ckmEdDSA, p.edwards != 0, p.edwards != 0, "")
	p.carriages(add)
	for kind, w := range p.wraps {
		if w.row == 0 {
			for _, m := range wrapMechanisms {
				add(useWrap+wrapNames[kind], m.ckm, false, false, "")
			}
			continue
		}
		note := ""
		if !w.whole {
			note = "without integrity: the envelope has it"
		}
		add(useWrap+wrapNames[kind], wrapMechanisms[w.row-1].ckm, true, true, note)
	}
	return all
}

// A KeyInfo is a key in a token as the token tells it.
type KeyInfo struct {
	UniqueIdentifier string   `json:"unique_identifier"` // "" where nothing tells it from another
	Label            string   `json:"label"`
	ID               string   `json:"id"`    // CKA_ID, hexadecimal
	Class            string   `json:"class"` // secret, private or public
	Type             string   `json:"type"`
	Bits             int32    `json:"bits"`
	Sensitive        bool     `json:"sensitive"`
	Extractable      bool     `json:"extractable"`
	Usage            []string `json:"usage"` // encrypt, decrypt, sign, verify, wrap, unwrap, derive

	// What the database keeps of it, where the operator's command asked.
	Recorded    bool     `json:"stored"`
	Names       []string `json:"names,omitempty"`
	Grants      int      `json:"grants"`
	Fingerprint string   `json:"fingerprint,omitempty"` // of the key that it is kept of; "" where it is kept for the name alone
	Another     bool     `json:"another,omitempty"`     // it is kept of another key, which had the name before: this one is refused
}

// Keys lists every key of a slot's token, also those that have no identifier of their own.
func (h *HSM) Keys(ctx context.Context, number uint32) (all []KeyInfo, err error) {
	s := h.slots[number]
	if s == nil {
		return nil, h.unknown(number)
	}
	err = s.do(ctx, func(c *connection, ss session) error {
		all = nil
		named, err := c.survey(ctx, ss)
		if err != nil {
			return err
		}
		names := map[handle]string{}
		for _, o := range named {
			names[o.handle] = o.name
		}
		for _, class := range []uint{pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
			handles, err := c.list(ss, template{{pkcs11.CKA_CLASS, ckNumber(class)}}, mostListed)
			if err != nil {
				return err
			}
			for _, handle := range handles {
				o, err := c.describe(ss, handle)
				if err != nil {
					return err
				}
				k := o.info()
				if name := names[handle]; name != "" {
					k.UniqueIdentifier = s.identifier(name)
				}
				all = append(all, k)
			}
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b KeyInfo) int { return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Class, b.Class)) })
	return all, s.tell(err)
}

// ckNumber is number, where that name is taken.
func ckNumber(n uint) []byte { return number(n) }

// info is what an operator sees of an object.
func (o *object) info() KeyInfo {
	k := KeyInfo{Label: o.label, ID: fmt.Sprintf("%x", o.id), Class: "public", Bits: o.bits, Type: keyTypes[o.kind],
		Sensitive: o.flags[pkcs11.CKA_SENSITIVE], Extractable: o.flags[pkcs11.CKA_EXTRACTABLE], Usage: []string{}}
	switch o.class {
	case pkcs11.CKO_SECRET_KEY:
		k.Class = "secret"
	case pkcs11.CKO_PRIVATE_KEY:
		k.Class = "private"
	}
	if k.Type == "" {
		k.Type = fmt.Sprintf("CKK 0x%X", o.kind)
	}
	for _, u := range []struct {
		flag uint
		name string
	}{
		{pkcs11.CKA_ENCRYPT, "encrypt"}, {pkcs11.CKA_DECRYPT, "decrypt"}, {pkcs11.CKA_SIGN, "sign"}, {pkcs11.CKA_VERIFY, "verify"},
		{pkcs11.CKA_WRAP, "wrap"}, {pkcs11.CKA_UNWRAP, "unwrap"}, {pkcs11.CKA_DERIVE, "derive"},
	} {
		if o.flags[u.flag] {
			k.Usage = append(k.Usage, u.name)
		}
	}
	return k
}

var keyTypes = map[uint]string{
	pkcs11.CKK_AES: "AES", pkcs11.CKK_RSA: "RSA", pkcs11.CKK_EC: "EC", pkcs11.CKK_GENERIC_SECRET: "secret", pkcs11.CKK_DES3: "3DES",
	pkcs11.CKK_DSA: "DSA", pkcs11.CKK_DH: "DH", pkcs11.CKK_SHA256_HMAC: "HMAC-SHA256", pkcs11.CKK_SHA384_HMAC: "HMAC-SHA384",
	pkcs11.CKK_SHA512_HMAC: "HMAC-SHA512", pkcs11.CKK_SHA_1_HMAC: "HMAC-SHA1", ckkEdwards: "EC-Edwards", 0x41: "EC-Montgomery",
}
