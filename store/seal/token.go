package seal

import (
	"context"
	"fmt"

	"strongroom/kmip"
)

// A TokenKey is a key in a token that wraps data keys, with a second one for the MAC where its mechanism needs one. Package hsm
// has it.
type TokenKey interface {
	// Reference is "p11:<token serial>:<label>:<CKA_ID>", the last in hexadecimal.
	Reference() string
	// MACReference is that of the second key, "" without.
	MACReference() string
	// Mechanism is the one that Wrap uses: the name of a Mechanism.
	Mechanism() string
	// Wrap protects 32 bytes, and authenticates others with them if the mechanism can.
	Wrap(ctx context.Context, key, authenticated []byte) ([]byte, error)
	// Unwrap gives them back. Bytes that do not unwrap are a kmip.Error of the reason Cryptographic Failure.
	Unwrap(ctx context.Context, mechanism string, wrapped, authenticated []byte) ([]byte, error)
}

// KindToken is the kind of slots under a key in a token.
const KindToken = "p11"

// KindFile is the kind of slots under a master key file.
const KindFile = "file"

// tokenMechanisms are those that a TokenKey may have.
var tokenMechanisms = []Mechanism{MechanismTokenGCM, MechanismTokenCBC, MechanismRSAOAEPSHA256, MechanismRSAOAEPSHA1}

type tokenProtector struct {
	key       TokenKey
	mechanism Mechanism
}

// TokenProtector makes a protector of a key in a token.
func TokenProtector(key TokenKey) (Protector, error) {
	for _, m := range tokenMechanisms {
		if m.String() == key.Mechanism() {
			return &tokenProtector{key, m}, nil
		}
	}
	return nil, fmt.Errorf("a key in a token cannot protect by %s", key.Mechanism())
}

func (p *tokenProtector) Reference() string    { return p.key.Reference() }
func (p *tokenProtector) MACReference() string { return p.key.MACReference() }
func (p *tokenProtector) Mechanism() Mechanism { return p.mechanism }

func (p *tokenProtector) Wrap(ctx context.Context, key []byte, b Binding) ([]byte, error) {
	return p.key.Wrap(ctx, key, b.Bytes())
}

func (p *tokenProtector) Unwrap(ctx context.Context, wrapped []byte, b Binding) ([]byte, error) {
	if b.Header.MACKey != p.MACReference() {
		return nil, ErrDecrypt
	}
	key, err := p.key.Unwrap(ctx, b.Header.Mechanism.String(), wrapped, b.Bytes())
	if kmip.ReasonOf(err) == kmip.ResultReasonCryptographicFailure {
		return nil, ErrDecrypt
	}
	return key, err
}
