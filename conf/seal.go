package conf

import (
	"encoding/hex"
	"fmt"
	"regexp"
)

// seal checks [seal], after [[hsm]].
func (k *checking) seal(c *Config) {
	s := &c.Seal
	switch s.Strategy {
	case "software":
		k.onlyHSM(s)
	case "hsm":
		k.sealKey(c, "seal", s.Slot, s.KeyLabel, s.KeyID)
	default:
		k.fault("seal.strategy", "%q: software or hsm", s.Strategy)
	}
	if !mechanismText.MatchString(string(s.Mechanism)) {
		k.fault("seal.mechanism", "%q: auto, or the name or number of a mechanism, such as CKM_AES_GCM", s.Mechanism)
	}
	if s.RSAOAEPHash != "sha256" && s.RSAOAEPHash != "sha1" {
		k.fault("seal.rsa_oaep_hash", "%q: sha256 or sha1", s.RSAOAEPHash)
	}
	if s.DefaultKeyLabel != "" && s.DefaultKeyLabel == s.KeyLabel {
		k.fault("seal.default_key_label", "%q is key_label: it is the label of before", s.DefaultKeyLabel)
	}
	if s.HealthInterval < 0 {
		k.fault("seal.health_interval", "%v: a duration, or \"0s\" for none", s.HealthInterval)
	}
	for i := range s.Previous {
		k.previous(c, i)
	}
}

// mechanismText is how a mechanism is written.
var mechanismText = regexp.MustCompile(`^(?i:auto|(CKM_)?[A-Z][A-Z0-9_]*|0x[0-9A-F]{1,16}|[0-9]{1,10})$`)

// onlyHSM refuses what means nothing to the strategy software.
func (k *checking) onlyHSM(s *Seal) {
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"slot", s.Slot != 0}, {"key_label", s.KeyLabel != ""}, {"key_id", s.KeyID != ""}, {"default_key_label", s.DefaultKeyLabel != ""},
		{"generate_key", s.GenerateKey}, {"mechanism", s.Mechanism != "auto"}, {"rsa_oaep_hash", s.RSAOAEPHash != "sha256"},
	} {
		if key.set {
			k.fault("seal."+key.name, "it is for the strategy \"hsm\", and seal.strategy is \"software\"")
		}
	}
}

// sealKey checks what names a key in a token.
func (k *checking) sealKey(c *Config, path string, slot uint32, label, id string) {
	if label == "" {
		k.fault(path+".key_label", "the strategy \"hsm\" needs the label of a key")
	}
	if _, err := hex.DecodeString(id); err != nil {
		k.fault(path+".key_id", "%q: the CKA_ID of a key in hexadecimal", id)
	}
	if !c.HasSlot(slot) {
		k.fault(path+".slot", "slot %d is not configured: there is no [[hsm.slot]] of that number", slot)
	}
}

// HasSlot says whether a slot is configured.
func (c *Config) HasSlot(number uint32) bool {
	for _, h := range c.HSM {
		for _, s := range h.Slots {
			if s.Number == number {
				return true
			}
		}
	}
	return false
}

// previous checks one [[seal.previous]].
func (k *checking) previous(c *Config, i int) {
	p, path := &c.Seal.Previous[i], fmt.Sprintf("seal.previous[%d]", i)
	switch p.Strategy {
	case "software":
		if p.MasterKeyFile == "" {
			k.fault(path+".master_key_file", "the strategy \"software\" of before needs a path, env:NAME or credential:NAME")
		}
		if p.KeyLabel != "" || p.KeyID != "" || p.Slot != 0 {
			k.fault(path, "slot, key_label and key_id are for the strategy \"hsm\"")
		}
	case "hsm":
		k.sealKey(c, path, p.Slot, p.KeyLabel, p.KeyID)
		if p.MasterKeyFile != "" {
			k.fault(path+".master_key_file", "it is for the strategy \"software\"")
		}
	default:
		k.fault(path+".strategy", "%q: software or hsm", p.Strategy)
	}
}
