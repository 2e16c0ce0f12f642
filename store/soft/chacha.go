package soft

import (
	"context"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"strongroom/kmip"
)

// polyKey is an opened key of ChaCha20-Poly1305 (RFC 8439 §2.8).
type polyKey struct {
	base
	ivs  invocations
	aead aead
}

// openPoly makes the cipher.
func openPoly(b base, key []byte) (kmip.Opened, error) {
	c, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, invalid("opening a ChaCha20-Poly1305 key: %v", err)
	}
	k := &polyKey{base: b, ivs: invocations{random: b.random}}
	k.aead = aead{ivRule: ivRule{"ChaCha20-Poly1305", nonceSize, nonceSize, nonceSize}, ivs: &k.ivs, usual: c, leastTag: leastTag}
	return k, nil
}

// Close gives the cipher to the garbage collector: there is no way to clear it.
func (k *polyKey) Close() { k.aead.usual = nil }

// check refuses parameters for another cipher. The Block Cipher Mode is AEAD or not named.
func (k *polyKey) check(p *kmip.CryptographicParameters) error {
	if p.BlockCipherMode != 0 && p.BlockCipherMode != kmip.BlockCipherModeAEAD {
		return badParameters("%s is no block cipher: its mode is %v", k.aead.name, kmip.BlockCipherModeAEAD)
	}
	return k.is(p)
}

// Encrypt encrypts and authenticates as AES-GCM does.
func (k *polyKey) Encrypt(_ context.Context, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.encryption, fieldBlockCipherMode)
	if err := k.check(p); err != nil {
		return nil, err
	}
	return k.aead.encrypt(p, r)
}

// Decrypt is the inverse of Encrypt.
func (k *polyKey) Decrypt(_ context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.encryption, fieldBlockCipherMode)
	if err := k.check(p); err != nil {
		return nil, err
	}
	return k.aead.decrypt(p, r)
}

// chachaKey is an opened key of ChaCha20 alone. It hides data and authenticates nothing.
type chachaKey struct {
	base
	ivs invocations
	key []byte
}

// Close clears the key.
func (k *chachaKey) Close() { clear(k.key) }

// stream adds the key stream that begins at the block of the Initial Counter Value, or at block 0. A nonce of 12 bytes is RFC
// 8439's; one of 8 bytes is the original cipher's, whose block number has 64 bits: the first 2^32 blocks are those of the nonce
// with four zeros before it.
func (k *chachaKey) stream(p *kmip.CryptographicParameters, data, nonce []byte) ([]byte, error) {
	bits := 32
	switch len(nonce) {
	case 8:
		bits, nonce = 64, append(make([]byte, 4, 12), nonce...)
	case chacha20.NonceSize:
	default:
		return nil, invalid("ChaCha20 takes an IV of 8 or 12 bytes, not %d", len(nonce))
	}
	if p.CounterLength != nil && int(*p.CounterLength) != bits {
		return nil, badParameters("the counter of ChaCha20 with that IV has %d bits, not %d", bits, *p.CounterLength)
	}
	first := length(p.InitialCounterValue)
	switch {
	case first < 0:
		return nil, badParameters("the Initial Counter Value %d is negative", first)
	case uint64(len(data)) > (1<<32-uint64(first))*64:
		return nil, invalid("%d bytes are more than ChaCha20 encrypts under one IV", len(data))
	}
	c, err := chacha20.NewUnauthenticatedCipher(k.key, nonce)
	if err != nil {
		return nil, err
	}
	c.SetCounter(uint32(first))
	out := make([]byte, len(data))
	c.XORKeyStream(out, data)
	return out, nil
}

func (k *chachaKey) check(p *kmip.CryptographicParameters, additional, tag []byte) error {
	if err := k.is(p); err != nil {
		return err
	}
	if err := only(p, countedFields|fieldCounterLength|fieldInitialCounterValue, "ChaCha20"); err != nil {
		return err
	}
	return unauthenticated("ChaCha20", additional, tag)
}

var chachaIV = ivRule{"ChaCha20", chacha20.NonceSize, chacha20.NonceSize, chacha20.NonceSize}

// Encrypt adds the key stream.
func (k *chachaKey) Encrypt(_ context.Context, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.encryption, 0)
	if err := k.check(p, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	iv, _, err := chachaIV.new(&k.ivs, p, r, 0)
	if err != nil {
		return nil, err
	}
	data, err := k.stream(p, r.Data, iv)
	if err != nil {
		return nil, err
	}
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data, IVCounterNonce: fresh(r, iv)}, nil
}

// Decrypt adds it once more.
func (k *chachaKey) Decrypt(_ context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.encryption, 0)
	if err := k.check(p, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag); err != nil {
		return nil, err
	}
	if err := checkIV(p, r.IVCounterNonce); err != nil {
		return nil, err
	}
	data, err := k.stream(p, r.Data, r.IVCounterNonce)
	if err != nil {
		return nil, err
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}
