package hsm

import (
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// reserved are the keys that a server keeps for itself: for each label and CKA_ID the serial numbers of the tokens.
type reserved map[guardKey][]string

// Reserve makes Reserves know the keys that references of Guards name, and no others. References to anything but a key in a token
// are passed over.
func (h *HSM) Reserve(references []string) {
	r := reserved{}
	for _, reference := range references {
		rest, _ := strings.CutPrefix(reference, guardReference)
		serial, _, _ := strings.Cut(rest, ":")
		if k, ok := parseGuard(reference, serial); ok {
			r[k] = append(r[k], serial)
		}
	}
	h.reserved.Store(&r)
}

// Reserves says whether an object is one of the keys that the server keeps for itself, by whatever identifier it was found. While the
// token is away, the label and the CKA_ID decide.
func (h *HSM) Reserves(o *kmip.Object) bool {
	all := h.reserved.Load()
	if all == nil || len(*all) == 0 {
		return false
	}
	k := tokenKey(o)
	if k == nil {
		return false
	}
	token := k.first
	id := guardKey{token.label, token.id}
	if token.class == pkcs11.CKO_PUBLIC_KEY {
		id.label = strings.TrimSuffix(id.label, publicSuffix)
	}
	serials := (*all)[id]
	c := k.slot.conn.Load()
	return len(serials) > 0 && (c == nil || slices.Contains(serials, c.token.Serial))
}
