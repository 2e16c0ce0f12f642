package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
)

// xaes is XAES-256-GCM (C2SP, XAES-256-GCM): AES-256-GCM under a key derived from the key and the first half of a nonce
// of 24 bytes. The nonce is long enough to be random for as many rows as a database will ever have, where the 12 bytes of
// plain GCM allow 2^32 under one key (SP 800-38D §8.3).
//
// An xaes is safe for concurrent use.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // the first subkey of CMAC, SP 800-38B §6.1
}

const xaesNonceSize = 24

// newXAES makes the cipher of a key of 32 bytes, which it does not keep.
func newXAES(key []byte) (*xaes, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:])
	var carry byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		x.k1[i], carry = x.k1[i]<<1|carry, x.k1[i]>>7
	}
	x.k1[len(x.k1)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return x, nil
}

// derive is the AES-256-GCM of one nonce: its key is two blocks of CMAC in counter mode (SP 800-108r1 §4.1).
func (x *xaes) derive(nonce []byte) (cipher.AEAD, error) {
	var key [32]byte
	defer clear(key[:])
	for i := range 2 {
		half := key[i*16 : i*16+16]
		copy(half, []byte{0, byte(i + 1), 'X', 0})
		copy(half[4:], nonce[:12])
		subtle.XORBytes(half, half, x.k1[:])
		x.block.Encrypt(half, half)
	}
	return payloadCipher(key[:])
}

// seal answers nonce, ciphertext and tag. The nonce comes from random, nil for crypto/rand.
func (x *xaes) seal(random io.Reader, plaintext, additional []byte) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	out := make([]byte, xaesNonceSize, xaesNonceSize+len(plaintext)+tagSize)
	if _, err := io.ReadFull(random, out); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	return x.sealWith(out, plaintext, additional)
}

// sealWith appends ciphertext and tag to the nonce.
func (x *xaes) sealWith(nonce, plaintext, additional []byte) ([]byte, error) {
	aead, err := x.derive(nonce)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce[12:xaesNonceSize], plaintext, additional), nil
}

// open undoes seal.
func (x *xaes) open(sealed, additional []byte) ([]byte, error) {
	if len(sealed) < xaesNonceSize+tagSize {
		return nil, ErrDecrypt
	}
	aead, err := x.derive(sealed)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, sealed[12:xaesNonceSize], sealed[xaesNonceSize:], additional)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}
