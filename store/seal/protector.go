package seal

import (
	"context"
	"errors"
	"fmt"
	"io"

	"strongroom/kmip"
)

// A Protector wraps the data keys of envelopes.
type Protector interface {
	// Reference names the protector in headers: "root", "file:<fingerprint>", "uid:<identifier>", "p11:…", "shamir:…".
	Reference() string
	// Mechanism is the one that Wrap uses.
	Mechanism() Mechanism
	// Wrap protects a data key of 32 bytes. The binding is there for mechanisms that authenticate it by themselves.
	Wrap(ctx context.Context, key []byte, b Binding) ([]byte, error)
	// Unwrap gives it back; the caller clears it. Bytes that do not unwrap are ErrDecrypt.
	Unwrap(ctx context.Context, wrapped []byte, b Binding) ([]byte, error)
}

// A Binding is what an envelope ties its data key to.
type Binding struct {
	Header      Header
	IV, Context []byte

	random io.Reader // where a nonce of the protector's own comes from, nil for crypto/rand; it binds nothing
}

// Bytes is the encoded header without the wrapped key (the length of which is 0), 4 bytes of length, and the context.
func (b Binding) Bytes() []byte {
	return additional(b.Header.append(nil, nil, b.IV), b.Context)
}

// A Mechanism is how a protector wraps a data key. The numbers are in envelopes and never change.
type Mechanism uint8

// Mechanisms.
const (
	MechanismXAES256GCM    Mechanism = 1 // in memory: nonce of 24 bytes, ciphertext, tag
	MechanismAESGCM        Mechanism = 2 // a kmip.Key: IV of 12 bytes, ciphertext, tag
	MechanismAESKWP        Mechanism = 3 // a kmip.Key: RFC 5649
	MechanismRSAOAEPSHA256 Mechanism = 4 // a kmip.Key: RFC 8017 §7.1
	MechanismRSAOAEPSHA1   Mechanism = 5 // a kmip.Key
	MechanismTokenGCM      Mechanism = 6 // a key in a token: IV of 12 bytes, ciphertext, tag; the Binding is additional data
	MechanismTokenCBC      Mechanism = 7 // two keys in a token: IV of 16 bytes, ciphertext, HMAC-SHA256 over Binding, IV and ciphertext
)

// mechanisms has the name of each mechanism, and for those of a kmip.Key the parameters that ask for it.
var mechanisms = [...]struct {
	name       string
	parameters *kmip.CryptographicParameters
}{
	MechanismXAES256GCM:    {"XAES-256-GCM", nil},
	MechanismAESGCM:        {"AES-GCM", &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}},
	MechanismAESKWP:        {"AES-KWP", &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding}},
	MechanismRSAOAEPSHA256: {"RSA-OAEP-SHA256", &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256}},
	MechanismRSAOAEPSHA1:   {"RSA-OAEP-SHA1", &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA1}},
	MechanismTokenGCM:      {"CKM_AES_GCM", nil},
	MechanismTokenCBC:      {"CKM_AES_CBC_PAD", nil},
}

func (m Mechanism) known() bool { return int(m) < len(mechanisms) && mechanisms[m].name != "" }

// String is the name of the mechanism.
func (m Mechanism) String() string {
	if m.known() {
		return mechanisms[m].name
	}
	return fmt.Sprintf("mechanism %d", uint8(m))
}

// keyProtector is a managed key, in a token or in the database, as a protector.
type keyProtector struct {
	reference string
	key       kmip.Key
	mechanism Mechanism
}

// KeyProtector makes a protector of a managed key. Its attributes decide the mechanism: AES-GCM for an AES key, RSA-OAEP
// with SHA-256 for either half of an RSA pair; RFC 5649 for an AES key that wraps keys and encrypts no data.
func KeyProtector(reference string, key kmip.Key, a kmip.Attributes) (Protector, error) {
	switch alg := a.Algorithm(); alg {
	case kmip.CryptographicAlgorithmAES:
		if mask := a.UsageMask(); mask&kmip.CryptographicUsageMaskWrapKey != 0 && mask&kmip.CryptographicUsageMaskEncrypt == 0 {
			return &keyProtector{reference, key, MechanismAESKWP}, nil
		}
		return &keyProtector{reference, key, MechanismAESGCM}, nil
	case kmip.CryptographicAlgorithmRSA:
		return &keyProtector{reference, key, MechanismRSAOAEPSHA256}, nil
	default:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "a wrapping key is an AES or RSA key, %v cannot wrap", alg)
	}
}

func (p *keyProtector) Reference() string    { return p.reference }
func (p *keyProtector) Mechanism() Mechanism { return p.mechanism }

func (p *keyProtector) Wrap(ctx context.Context, key []byte, _ Binding) ([]byte, error) {
	return p.key.Wrap(ctx, mechanisms[p.mechanism].parameters, key)
}

func (p *keyProtector) Unwrap(ctx context.Context, wrapped []byte, b Binding) ([]byte, error) {
	m := b.Header.Mechanism
	if !m.known() || mechanisms[m].parameters == nil {
		return nil, ErrDecrypt
	}
	key, err := p.key.Unwrap(ctx, mechanisms[m].parameters, wrapped)
	if refused(err) {
		return nil, ErrDecrypt
	}
	return key, err
}

// refused tells a ciphertext that the key did not accept from a key that could not be asked.
func refused(err error) bool {
	var e *kmip.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Reason {
	case kmip.ResultReasonCryptographicFailure, kmip.ResultReasonInvalidField, kmip.ResultReasonBadCryptographicParameters:
		return true
	}
	return false
}

// memoryProtector is a secret in the server's memory as a protector.
type memoryProtector struct {
	reference string
	cipher    *xaes
}

func (p *memoryProtector) Reference() string    { return p.reference }
func (p *memoryProtector) Mechanism() Mechanism { return MechanismXAES256GCM }

func (p *memoryProtector) Wrap(_ context.Context, key []byte, b Binding) ([]byte, error) {
	return p.cipher.seal(b.random, key, nil)
}

func (p *memoryProtector) Unwrap(_ context.Context, wrapped []byte, b Binding) ([]byte, error) {
	if b.Header.Mechanism != MechanismXAES256GCM {
		return nil, ErrDecrypt
	}
	return p.cipher.open(wrapped, nil)
}
