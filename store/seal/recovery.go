package seal

import (
	"fmt"
)

// KindRecovery is the kind of slots under recovery shares.
const KindRecovery = "shamir"

// NewRecoveryKey makes the protector of a key of 32 bytes, which it does not keep, of which shares are kept by people: as many
// as threshold of them give it back.
func NewRecoveryKey(key []byte, shares, threshold int) (Protector, error) {
	m, err := NewMasterKey(key)
	if err != nil {
		return nil, err
	}
	m.reference = fmt.Sprintf("%s:%d:%d:%s", KindRecovery, threshold, shares, m.fingerprint)
	return &m.memoryProtector, nil
}

// RecoveryShares tells what a slot under recovery shares says of them.
func (s *Slot) RecoveryShares() (shares, threshold int, fingerprint string, ok bool) {
	n, err := fmt.Sscanf(s.Protector, KindRecovery+":%d:%d:%s", &threshold, &shares, &fingerprint)
	return shares, threshold, fingerprint, err == nil && n == 3
}
