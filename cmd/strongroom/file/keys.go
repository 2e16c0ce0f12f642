package file

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// overhead is what a chunk grows by: the tag.
const overhead = 16

// authenticate is the MAC of the header under the data key.
func (h *Header) authenticate(dataKey []byte) ([]byte, error) {
	key, err := h.derive(dataKey, "strongroom file 1: header")
	if err != nil {
		return nil, err
	}
	defer clear(key)
	m := hmac.New(sha256.New, key)
	m.Write(h.encoded)
	return m.Sum(nil), nil
}

// verify compares the MAC of the header. A wrong data key and a changed header look the same.
func (h *Header) verify(dataKey []byte) error {
	mac, err := h.authenticate(dataKey)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, h.mac) {
		return fmt.Errorf("%w: its header was changed, or the data key is not its own", ErrDamaged)
	}
	return nil
}

// chunks makes the cipher of the chunks.
func (h *Header) chunks(dataKey []byte) (cipher.AEAD, error) {
	key, err := h.derive(dataKey, "strongroom file 1: chunks")
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// derive makes the key for one purpose. The caller clears it.
func (h *Header) derive(dataKey []byte, purpose string) ([]byte, error) {
	if len(dataKey) != keySize {
		return nil, fmt.Errorf("a data key of %d bytes, must be %d", len(dataKey), keySize)
	}
	return hkdf.Key(sha256.New, dataKey, h.FileID[:], purpose, keySize)
}

// nonce is the STREAM nonce of a chunk.
func nonce(index uint64, last bool) (n [12]byte) {
	binary.BigEndian.PutUint64(n[3:], index)
	if last {
		n[11] = 1
	}
	return n
}

// A transform turns chunks of up to in bytes into chunks of up to out bytes, in place.
type transform struct {
	in, out int
	apply   func(chunk []byte, index uint64, last bool) ([]byte, error)

	// from is apply on a chunk that is elsewhere, into buf; nil where the chunk has to be in the buffer.
	from func(buf, chunk []byte, index uint64, last bool) []byte
}

// room is the capacity that apply needs of its chunks.
func (t *transform) room() int { return max(t.in, t.out) }

// seal encrypts chunks.
func seal(aead cipher.AEAD, chunkSize int) *transform {
	from := func(buf, chunk []byte, index uint64, last bool) []byte {
		n := nonce(index, last)
		return aead.Seal(buf[:0], n[:], chunk, nil)
	}
	return &transform{in: chunkSize, out: chunkSize + overhead, from: from, apply: func(chunk []byte, index uint64, last bool) ([]byte, error) {
		return from(chunk, chunk, index, last), nil
	}}
}

// open decrypts chunks.
func open(aead cipher.AEAD, chunkSize int) *transform {
	return &transform{in: chunkSize + overhead, out: chunkSize, apply: func(chunk []byte, index uint64, last bool) ([]byte, error) {
		n := nonce(index, last)
		plain, err := aead.Open(chunk[:0], n[:], chunk, nil)
		if err != nil || (len(plain) == 0 && index > 0) {
			return nil, fmt.Errorf("%w: chunk %d was changed, moved or cut off", ErrDamaged, index)
		}
		return plain, nil
	}}
}
