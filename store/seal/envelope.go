package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// An envelope is
//
//	offset  bytes
//	     0      8  magic "SRMENVLP"
//	     8      1  version, 1
//	     9      1  purpose
//	    10      1  algorithm of the payload, 1 = AES-256-GCM, 2 = the same under a mixed key
//	    11      1  mechanism with which the protector wrapped the data key
//	    12      4  generation
//	    16      2  r, length of the protector reference
//	    18      2  m, length of the MAC key reference, 0 without one
//	    20      2  w, length of the wrapped data key
//	    22      r  protector reference: "root", "file:<fingerprint>", "p11:<serial>:<label>:<CKA_ID>", …
//	            m  MAC key reference
//	            w  wrapped data key; its form is the mechanism's
//	           12  IV
//	  ----------- the header ends here
//	            n  ciphertext, as long as the material
//	           16  tag
//
// with numbers in big-endian order. The data key is 32 random bytes, used for this envelope alone. Additional
// authenticated data: the whole header, 4 bytes of length, and the context that the caller gives (not stored), so that a
// header that was changed, or an envelope that was moved to another place, does not open.
const (
	magic       = "SRMENVLP"
	fixedSize   = 22
	ivSize      = 12
	tagSize     = 16
	dataKeySize = 32

	maxReference = 1024 // bytes
	maxWrapped   = 1024 // bytes: RSA of 8192 bits
	maxMaterial  = 16 << 20
)

// version is the only version of the format.
const version = 1

// A Purpose says what an envelope holds, so that one cannot stand in for another.
type Purpose uint8

// Purposes.
const (
	PurposeSlot   Purpose = 1 // the root key
	PurposeObject Purpose = 2 // the material of a managed object
	PurposeFile   Purpose = 3 // a server key file
	PurposeBackup Purpose = 4

	PurposeSetting Purpose = 5 // what administrators set for all
)

// An Algorithm encrypts the material under the data key.
type Algorithm uint8

// Algorithms of version 1: AES-256-GCM with 12 bytes of IV and 16 bytes of tag, SP 800-38D, under the data key or under what a
// Mixer makes of it.
const (
	AlgorithmAES256GCM      Algorithm = 1
	AlgorithmMixedAES256GCM Algorithm = 2
)

// A Mixer is a protector that makes the key of the payload out of the data key and of one that never leaves the server. Who may
// encrypt with the protecting key may choose the IV: of AES-GCM they learn the key stream, and so any data key that is stored.
type Mixer interface {
	Mix(dataKey []byte) ([]byte, error)
}

// payloadKey is the key of an envelope's payload; the caller clears it.
func payloadKey(a Algorithm, p Protector, dataKey []byte) ([]byte, error) {
	if a == AlgorithmAES256GCM {
		return bytes.Clone(dataKey), nil
	}
	m, ok := p.(Mixer)
	if !ok {
		return nil, ErrDecrypt
	}
	return m.Mix(dataKey)
}

// ErrDecrypt is the only answer to an envelope that does not open, whatever the cause: it tells nobody how far a forgery
// came.
var ErrDecrypt = errors.New("seal: decryption failed")

// A Label is what the caller says of an envelope in its header.
type Label struct {
	Purpose    Purpose
	Generation uint32 // of what is inside: a slot's, or how often an object was sealed, from 1
}

// A Header is the readable part of an envelope. It is proven only by opening the envelope.
type Header struct {
	Label
	Algorithm Algorithm
	Mechanism Mechanism
	Protector string // reference of the key that wraps the data key
	MACKey    string // reference of the key that authenticates it, where the mechanism needs a second one
}

// An Envelope is material at rest. It is made by Seal, or by Parse from bytes that once came from Seal; it is not
// changed, and may be shared.
type Envelope struct {
	Header
	wrapped, iv, body []byte // parts of raw; body is ciphertext and tag
	raw               []byte
}

// Bytes is the encoded envelope; the envelope keeps it.
func (e *Envelope) Bytes() []byte { return e.raw }

// Size is the length of the material in bytes.
func (e *Envelope) Size() int { return len(e.body) - tagSize }

// A Lookup finds the protector that a header names. Its error reaches the caller of Open.
type Lookup func(ctx context.Context, h Header) (Protector, error)

// Seal encrypts material under a fresh data key that p wraps. Random is where the data key, the IV and
// a nonce of the root key come from, nil for crypto/rand. The bound context is authenticated and not stored: opening needs the same.
func Seal(ctx context.Context, random io.Reader, p Protector, l Label, bound, material []byte) (*Envelope, error) {
	if random == nil {
		random = rand.Reader
	}
	if len(material) > maxMaterial {
		return nil, fmt.Errorf("sealing: %d bytes of material, the limit is %d", len(material), maxMaterial)
	}
	var secret [dataKeySize + ivSize]byte
	defer clear(secret[:])
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return nil, fmt.Errorf("sealing: reading random bytes: %w", err)
	}
	h := Header{Label: l, Algorithm: AlgorithmAES256GCM, Mechanism: p.Mechanism(), Protector: p.Reference()}
	if _, ok := p.(Mixer); ok {
		h.Algorithm = AlgorithmMixedAES256GCM
	}
	if two, ok := p.(interface{ MACReference() string }); ok {
		h.MACKey = two.MACReference()
	}
	wrapped, err := p.Wrap(ctx, secret[:dataKeySize], Binding{h, secret[dataKeySize:], bound, random})
	if err != nil {
		return nil, err
	}
	if max(len(h.Protector), len(h.MACKey)) > maxReference || len(wrapped) > maxWrapped {
		return nil, fmt.Errorf("sealing: the protector's reference or wrapped key is too long (%d and %d bytes)", len(h.Protector), len(wrapped))
	}
	key, err := payloadKey(h.Algorithm, p, secret[:dataKeySize])
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := payloadCipher(key)
	if err != nil {
		return nil, err
	}
	raw := h.append(make([]byte, 0, fixedSize+len(h.Protector)+len(h.MACKey)+len(wrapped)+ivSize+len(material)+tagSize), wrapped, secret[dataKeySize:])
	raw = aead.Seal(raw, secret[dataKeySize:], material, additional(raw, bound))
	return Parse(raw)
}

// append encodes the header.
func (h *Header) append(b, wrapped, iv []byte) []byte {
	b = append(b, magic...)
	b = append(b, version, byte(h.Purpose), byte(h.Algorithm), byte(h.Mechanism))
	b = binary.BigEndian.AppendUint32(b, h.Generation)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Protector)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.MACKey)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(wrapped)))
	b = append(b, h.Protector...)
	b = append(b, h.MACKey...)
	b = append(b, wrapped...)
	return append(b, iv...)
}

// additional is the additional authenticated data for an encoded header.
func additional(header, bound []byte) []byte {
	b := make([]byte, 0, len(header)+4+len(bound))
	b = append(b, header...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(bound)))
	return append(b, bound...)
}

func payloadCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Parse reads an envelope without opening it. The envelope keeps raw.
func Parse(raw []byte) (*Envelope, error) {
	switch {
	case len(raw) < fixedSize || string(raw[:len(magic)]) != magic:
		return nil, errors.New("parsing an envelope: the bytes do not begin as one")
	case raw[8] != version:
		return nil, fmt.Errorf("parsing an envelope: version %d is not known", raw[8])
	case Algorithm(raw[10]) != AlgorithmAES256GCM && Algorithm(raw[10]) != AlgorithmMixedAES256GCM:
		return nil, fmt.Errorf("parsing an envelope: algorithm %d is not known", raw[10])
	}
	r := int(binary.BigEndian.Uint16(raw[16:]))
	m := int(binary.BigEndian.Uint16(raw[18:]))
	w := int(binary.BigEndian.Uint16(raw[20:]))
	if r > maxReference || m > maxReference || w > maxWrapped {
		return nil, fmt.Errorf("parsing an envelope: references of %d and %d bytes, a wrapped key of %d: the limit is %d each", r, m, w, maxReference)
	}
	rest := raw[fixedSize:]
	if n := len(rest) - r - m - w - ivSize - tagSize; n < 0 || n > maxMaterial {
		return nil, fmt.Errorf("parsing an envelope: %d bytes do not fit what the header says", len(raw))
	}
	e := &Envelope{raw: raw, Header: Header{
		Label:     Label{Purpose: Purpose(raw[9]), Generation: binary.BigEndian.Uint32(raw[12:])},
		Algorithm: Algorithm(raw[10]),
		Mechanism: Mechanism(raw[11]),
		Protector: string(rest[:r]),
		MACKey:    string(rest[r : r+m]),
	}}
	rest = rest[r+m:]
	e.wrapped, e.iv, e.body = rest[:w:w], rest[w:w+ivSize:w+ivSize], rest[w+ivSize:]
	return e, nil
}

// Open parses an envelope and opens it. It has one error for bytes that are no envelope and for one that does not open.
func Open(ctx context.Context, find Lookup, want Purpose, bound, raw []byte) ([]byte, error) {
	e, err := Parse(raw)
	if err != nil {
		return nil, ErrDecrypt
	}
	return e.Open(ctx, find, want, bound)
}

// Open gives the material back; the caller clears it. An envelope of another purpose, a header that was changed, another
// context, a wrong key: the error is ErrDecrypt for all. A protector that cannot be found or reached has an error of
// its own.
func (e *Envelope) Open(ctx context.Context, find Lookup, want Purpose, bound []byte) ([]byte, error) {
	if e.Purpose != want || !e.Mechanism.known() {
		return nil, ErrDecrypt
	}
	p, err := find(ctx, e.Header)
	if err != nil {
		return nil, err
	}
	dataKey, err := p.Unwrap(ctx, e.wrapped, Binding{Header: e.Header, IV: e.iv, Context: bound})
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	if len(dataKey) != dataKeySize {
		return nil, ErrDecrypt
	}
	key, err := payloadKey(e.Algorithm, p, dataKey)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := payloadCipher(key)
	if err != nil {
		return nil, err
	}
	header := e.raw[:len(e.raw)-len(e.body)]
	material, err := aead.Open(make([]byte, 0, len(e.body)), e.iv, e.body, additional(header, bound))
	if err != nil {
		return nil, ErrDecrypt
	}
	return material, nil
}
