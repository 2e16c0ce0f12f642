package hsm

import (
	"context"
	"slices"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

var _ kmip.Tokens = (*HSM)(nil)

// Tokens tells of the token in each slot, by number: what it says of itself, and the mechanisms that the self-test proved.
func (h *HSM) Tokens(ctx context.Context) []kmip.Token {
	var all []kmip.Token
	for _, number := range h.Slots() {
		all = append(all, h.slots[number].token(ctx))
	}
	return all
}

func (s *slot) token(ctx context.Context) kmip.Token {
	var proven *proof
	err := s.do(ctx, func(c *connection, ss session) error {
		proven = c.proof
		return c.alive(ss)
	})
	s.status.Lock()
	seen := s.seen
	s.status.Unlock()
	t := kmip.Token{
		Slot: s.Number, Label: seen.Label, Manufacturer: seen.Manufacturer, Model: seen.Model, Serial: seen.Serial,
		Hardware: [2]byte{seen.HardwareMajor, seen.HardwareMinor}, Firmware: [2]byte{seen.FirmwareMajor, seen.FirmwareMinor},
		Present: err == nil,
	}
	if err == nil {
		t.Mechanisms = proven.mechanisms()
	}
	return t
}

// mechanisms lists what was proven, in PKCS#11's numbers.
func (p *proof) mechanisms() []uint64 {
	var all []uint64
	add := func(proven bool, ckm uint) {
		if proven && !slices.Contains(all, uint64(ckm)) {
			all = append(all, uint64(ckm))
		}
	}
	for _, ckm := range p.ciphers {
		add(ckm != 0, ckm)
	}
	for row, d := range digests {
		add(p.oaep[row], pkcs11.CKM_RSA_PKCS_OAEP)
		add(p.hmac[row], d.hmac)
	}
	add(p.rawRSA, pkcs11.CKM_RSA_X_509)
	add(p.pkcs1 || p.signPKCS1, pkcs11.CKM_RSA_PKCS)
	add(p.signPSS, pkcs11.CKM_RSA_PKCS_PSS)
	add(p.signECDSA, pkcs11.CKM_ECDSA)
	add(p.edwards != 0, ckmEdDSA)
	add(p.cmac, pkcs11.CKM_AES_CMAC)
	return all
}
