package kmip

import (
	"context"

	"strongroom/kmip/ttlv"
)

// PKCS11Request asks for a function of PKCS#11. KMIP 2.1 §6.1.37.
type PKCS11Request struct {
	PKCS11Interface       string   `ttlv:"PKCS_11Interface,omitempty"`
	PKCS11Function        ttlv.Raw `ttlv:"PKCS_11Function"` // PKCS11Function, or an Integer for a vendor's
	CorrelationValue      []byte   `ttlv:"CorrelationValue,omitempty"`
	PKCS11InputParameters []byte   `ttlv:"PKCS_11InputParameters,omitempty"` // as package cryptoki encodes them
}

// PKCS11Response is what the function answered.
type PKCS11Response struct {
	PKCS11Interface        string           `ttlv:"PKCS_11Interface,omitempty"`
	PKCS11Function         PKCS11Function   `ttlv:"PKCS_11Function"`
	CorrelationValue       []byte           `ttlv:"CorrelationValue,omitempty"`
	PKCS11OutputParameters []byte           `ttlv:"PKCS_11OutputParameters,omitempty"`
	PKCS11ReturnCode       PKCS11ReturnCode `ttlv:"PKCS_11ReturnCode"`
}

// Clear overwrites the output: there may be material in it.
func (r *PKCS11Response) Clear() { clear(r.PKCS11OutputParameters) }

// Tokens tells of the tokens that HSM keys are in.
type Tokens interface {
	// Tokens lists the configured slots, by number.
	Tokens(ctx context.Context) []Token
}

// A Token is what is known of the token in a slot.
type Token struct {
	Slot         uint32 // its number, as in hsm::<slot>::<label>
	Label        string // as it was when the token was last there; so are the rest
	Manufacturer string
	Model        string
	Serial       string
	Hardware     [2]byte  // version: major, minor
	Firmware     [2]byte  // likewise
	Present      bool     // it answers
	Mechanisms   []uint64 // CKM_, that were found to work
}
