package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"unicode/utf8"
)

// Magic is how an encrypted file begins.
const Magic = "STRONGRM"

const (
	version    = 1
	prefixSize = len(Magic) + 1 + 2
	macSize    = 32
	keySize    = 32
	fixedSize  = 3 + 32 + 2 + 2 // of the header, without identifier and wrapped key

	maxKeyID      = 512
	maxWrapped    = 1024
	maxHeaderSize = fixedSize + maxKeyID + maxWrapped
)

// Bounds of the chunk size, in bytes. A chunk size is a power of two.
const (
	MinChunkSize     = 64 << 10
	DefaultChunkSize = 1 << 20
	MaxChunkSize     = 4 << 20
)

// Errors that a caller may act on.
var (
	ErrNotEncrypted = errors.New("not an encrypted file")
	ErrDamaged      = errors.New("the encrypted file is damaged")
	ErrUnknown      = errors.New("the encrypted file was made by a newer program")
)

// A WrapAlgorithm is how the data key is wrapped.
type WrapAlgorithm uint8

// RFC5649 is AES Key Wrap with Padding.
const RFC5649 WrapAlgorithm = 1

// String is the name as the command line spells it.
func (w WrapAlgorithm) String() string {
	if w == RFC5649 {
		return "rfc5649"
	}
	return fmt.Sprintf("unknown-%d", uint8(w))
}

// A Cipher is how the chunks are encrypted.
type Cipher uint8

// AES256GCM is AES-GCM (SP 800-38D) with a key of 256 bits.
const AES256GCM Cipher = 1

// String is the name as the command line spells it.
func (c Cipher) String() string {
	if c == AES256GCM {
		return "aes-gcm"
	}
	return fmt.Sprintf("unknown-%d", uint8(c))
}

// A Header is the clear beginning of an encrypted file. Until the data key has proven its MAC, nothing in it is certain.
type Header struct {
	KeyID      string // unique identifier of the key that wraps the data key, 1 to 512 bytes
	Wrap       WrapAlgorithm
	WrappedKey []byte
	Cipher     Cipher
	ChunkSize  int // bytes of plaintext in every chunk but the last; a power of two
	FileID     [32]byte

	encoded []byte // everything before the MAC, as it was read or written
	mac     []byte
}

// size is the length in bytes of all that stands before chunk 0.
func (h *Header) size() int64 { return int64(len(h.encoded) + len(h.mac)) }

// ContentSize is the length in bytes of the content of a file that is size bytes long, header included; false if no file of
// that header is.
func (h *Header) ContentSize(size int64) (int64, bool) {
	body := size - h.size()
	full := int64(h.ChunkSize + overhead)
	chunks := (body + full - 1) / full
	content := body - chunks*overhead
	if body < overhead || content <= (chunks-1)*int64(h.ChunkSize) && chunks > 1 {
		return 0, false
	}
	return content, true
}

// check refuses a header that cannot be written or honoured.
func (h *Header) check() error {
	switch {
	case h.KeyID == "" || len(h.KeyID) > maxKeyID || !utf8.ValidString(h.KeyID):
		return fmt.Errorf("the key identifier is empty, longer than %d bytes or not UTF-8", maxKeyID)
	case h.ChunkSize < MinChunkSize || h.ChunkSize > MaxChunkSize || bits.OnesCount(uint(h.ChunkSize)) != 1:
		return fmt.Errorf("a chunk size of %d bytes: it must be a power of two from %d to %d", h.ChunkSize, MinChunkSize, MaxChunkSize)
	case h.Wrap != RFC5649:
		return fmt.Errorf("%w: key wrap algorithm %d", ErrUnknown, h.Wrap)
	case h.Cipher != AES256GCM:
		return fmt.Errorf("%w: cipher %d", ErrUnknown, h.Cipher)
	case len(h.WrappedKey) != keySize+8:
		return fmt.Errorf("a wrapped data key of %d bytes: RFC 5649 makes %d", len(h.WrappedKey), keySize+8)
	}
	return nil
}

// encode sets h.encoded.
func (h *Header) encode() error {
	if err := h.check(); err != nil {
		return err
	}
	b := make([]byte, 0, prefixSize+maxHeaderSize)
	b = append(b, Magic...)
	b = append(b, version)
	b = binary.BigEndian.AppendUint16(b, uint16(fixedSize+len(h.KeyID)+len(h.WrappedKey)))
	b = append(b, byte(h.Wrap), byte(h.Cipher), byte(bits.TrailingZeros(uint(h.ChunkSize))))
	b = append(b, h.FileID[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.KeyID)))
	b = append(b, h.KeyID...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.WrappedKey)))
	h.encoded = append(b, h.WrappedKey...)
	return nil
}

// ReadHeader reads the header at the beginning of r, and no byte more. It does not authenticate it: Decrypt does. The
// error is ErrNotEncrypted where r begins differently, ErrUnknown for a version or algorithm of later, and ErrDamaged
// for the rest.
func ReadHeader(r io.Reader) (*Header, error) {
	var prefix [prefixSize]byte
	if n, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, cut(err, n >= len(Magic) && string(prefix[:len(Magic)]) == Magic)
	}
	if string(prefix[:len(Magic)]) != Magic {
		return nil, ErrNotEncrypted
	}
	if v := prefix[len(Magic)]; v != version {
		return nil, fmt.Errorf("%w: version %d", ErrUnknown, v)
	}
	n := int(binary.BigEndian.Uint16(prefix[len(Magic)+1:]))
	if n < fixedSize || n > maxHeaderSize {
		return nil, fmt.Errorf("%w: a header of %d bytes", ErrDamaged, n)
	}
	b := make([]byte, prefixSize+n+macSize)
	copy(b, prefix[:])
	if _, err := io.ReadFull(r, b[prefixSize:]); err != nil {
		return nil, cut(err, true)
	}
	h := &Header{encoded: b[:prefixSize+n], mac: b[prefixSize+n:]}
	return h, h.parse(b[prefixSize : prefixSize+n])
}

// cut says what a header that ends early is: damaged when it began as one.
func cut(err error, began bool) error {
	switch {
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return fmt.Errorf("reading the header: %w", err)
	case began:
		return fmt.Errorf("%w: it ends within its header", ErrDamaged)
	}
	return ErrNotEncrypted
}

// parse reads the fields of a header of at least fixedSize bytes.
func (h *Header) parse(b []byte) error {
	h.Wrap, h.Cipher = WrapAlgorithm(b[0]), Cipher(b[1])
	if b[2] < 32 {
		h.ChunkSize = 1 << b[2]
	}
	b = b[3+copy(h.FileID[:], b[3:]):]
	id, b, ok := field(b)
	if !ok {
		return fmt.Errorf("%w: its header is inconsistent", ErrDamaged)
	}
	h.KeyID = string(id)
	if h.WrappedKey, b, ok = field(b); !ok || len(b) != 0 {
		return fmt.Errorf("%w: its header is inconsistent", ErrDamaged)
	}
	if err := h.check(); errors.Is(err, ErrUnknown) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return nil
}

// field cuts a value of two bytes of length off b.
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return nil, nil, false
	}
	return b[2 : 2+n : 2+n], b[2+n:], true
}
