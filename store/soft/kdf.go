package soft

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/binary"

	"strongroom/kmip"
)

// mostIterations bounds the work of PBKDF2, over all blocks of its output: a few seconds.
const mostIterations = 1 << 23

// derivePBKDF2 stretches a password. RFC 8018 §5.2.
func derivePBKDF2(_ context.Context, d *derivation) ([]byte, error) {
	h, password, err := d.keyed(kmip.HashingAlgorithmSHA1)
	if err != nil {
		return nil, err
	}
	blocks := (d.length + h.Size() - 1) / h.Size()
	switch {
	case len(d.salt) == 0:
		return nil, invalid("PBKDF2 needs a Salt")
	case d.iterations <= 0:
		return nil, invalid("PBKDF2 needs an Iteration Count of 1 or more")
	case d.iterations > mostIterations/blocks:
		return nil, kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "PBKDF2 with %d iterations for %d bytes is more work than the server does: %d iterations are the most", d.iterations, d.length, mostIterations/blocks)
	}
	return computed(pbkdf2.Key(h.New, string(password), d.salt, d.iterations, d.length))
}

// deriveHash hashes the base.
func deriveHash(_ context.Context, d *derivation) ([]byte, error) {
	if err := only(d.p, fieldHashingAlgorithm, "HASH"); err != nil {
		return nil, err
	}
	if d.p.HashingAlgorithm == 0 {
		return nil, badParameters("the Derivation Method HASH needs a Hashing Algorithm")
	}
	h, err := digest(d.p.HashingAlgorithm, 0)
	if err != nil {
		return nil, err
	}
	key, err := d.base.material()
	if err != nil {
		return nil, err
	}
	sum := h.New()
	sum.Write(key)
	return sum.Sum(nil), nil
}

// deriveHMAC authenticates the derivation data with the base.
func deriveHMAC(_ context.Context, d *derivation) ([]byte, error) {
	f, err := d.function(0)
	if err != nil {
		return nil, err
	}
	return f.of(d.first()), nil
}

// deriveHKDF extracts and expands. RFC 5869.
func deriveHKDF(_ context.Context, d *derivation) ([]byte, error) {
	h, key, err := d.keyed(kmip.HashingAlgorithmSHA256)
	if err != nil {
		return nil, err
	}
	return computed(hkdf.Key(h.New, key, d.salt, string(d.first()), d.length))
}

// keyed is the hash of a method that has a usual one, and the base's material.
func (d *derivation) keyed(usual kmip.HashingAlgorithm) (crypto.Hash, []byte, error) {
	if err := only(d.p, fieldHashingAlgorithm, d.method.String()); err != nil {
		return 0, nil, err
	}
	name, err := d.hashName(usual, 0)
	if err != nil {
		return 0, nil, err
	}
	h, err := digest(name, 0)
	if err != nil {
		return 0, nil, err
	}
	key, err := d.base.material()
	return h, key, err
}

// computed makes a failure of the standard library one that a client may see.
func computed(out []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "the derivation failed: %v", err)
	}
	return out, nil
}

// deriveEncrypted encrypts the derivation data, with a key of either backend.
func deriveEncrypted(ctx context.Context, d *derivation) ([]byte, error) {
	if d.base.Key == nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "the Derivation Method ENCRYPT takes a key")
	}
	switch d.p.BlockCipherMode {
	case kmip.BlockCipherModeECB:
	case kmip.BlockCipherModeCBC, kmip.BlockCipherModeCTR, kmip.BlockCipherModeCFB, kmip.BlockCipherModeOFB:
		if len(d.iv) == 0 {
			return nil, errMissingIV
		}
	default:
		return nil, badParameters("the Derivation Method ENCRYPT takes the Block Cipher Modes ECB, CBC, CFB, OFB and CTR, not %v", d.p.BlockCipherMode)
	}
	e, err := d.base.Key.Encrypt(ctx, &kmip.EncryptRequest{CryptographicParameters: d.p, Data: d.first(), IVCounterNonce: d.iv})
	if err != nil {
		return nil, err
	}
	return e.Data, nil
}

// A function is the pseudorandom function of a method, under one key.
type function struct {
	of   func(parts ...[]byte) []byte
	size int // of its output
}

// function is CMAC for an AES key whose parameters say so, else an HMAC. Its parameters may have the fields of more beside.
func (d *derivation) function(more fields) (*function, error) {
	key, err := d.base.material()
	if err != nil {
		return nil, err
	}
	if d.p.BlockCipherMode == kmip.BlockCipherModeCMAC && d.base.algorithm() == kmip.CryptographicAlgorithmAES {
		if err := only(d.p, fieldBlockCipherMode|more, d.method.String()); err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, invalid("opening an AES key: %v", err)
		}
		return &function{func(parts ...[]byte) []byte {
			var data []byte
			for _, p := range parts {
				data = append(data, p...)
			}
			return cmac(block, data)
		}, aes.BlockSize}, nil
	}
	if err := only(d.p, fieldHashingAlgorithm|more, d.method.String()); err != nil {
		return nil, err
	}
	name, err := d.hashName(0, d.base.algorithm())
	if err != nil {
		return nil, err
	}
	h, err := digest(name, 0)
	if err != nil {
		return nil, err
	}
	return &function{func(parts ...[]byte) []byte { return keyedHash(h, key, parts...) }, h.Size()}, nil
}

func keyedHash(h crypto.Hash, key []byte, parts ...[]byte) []byte {
	m := hmac.New(h.New, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// deriveCounter is the KDF in counter mode (SP 800-108 Rev. 1 §4.1): the counter, then the derivation data, which are all of
// the fixed input. Who wants the length [L] in it puts that at their end.
func deriveCounter(_ context.Context, d *derivation) ([]byte, error) {
	return d.iterate(func(f *function, _, counter []byte) []byte { return f.of(counter, d.first()) })
}

// deriveFeedback is the KDF in feedback mode (SP 800-108 Rev. 1 §4.2), from the Initialization Vector: the block before, the
// counter, the derivation data.
func deriveFeedback(_ context.Context, d *derivation) ([]byte, error) {
	return d.iterate(func(f *function, before, counter []byte) []byte {
		if before == nil {
			before = d.iv
		}
		return f.of(before, counter, d.first())
	})
}

// derivePipeline is the KDF in double-pipeline mode (SP 800-108 Rev. 1 §4.3): the first pipeline's value, the counter, the
// derivation data.
func derivePipeline(_ context.Context, d *derivation) ([]byte, error) {
	a := d.first()
	return d.iterate(func(f *function, _, counter []byte) []byte {
		a = f.of(a)
		return f.of(a, counter, d.first())
	})
}

// iterate concatenates blocks. The counter begins with 1 and has 32 bits unless Counter Length says 8, 16 or 24.
func (d *derivation) iterate(next func(f *function, before, counter []byte) []byte) ([]byte, error) {
	f, err := d.function(fieldCounterLength)
	if err != nil {
		return nil, err
	}
	bits := 32
	if n := d.p.CounterLength; n != nil {
		bits = int(*n)
	}
	if bits != 8 && bits != 16 && bits != 24 && bits != 32 {
		return nil, badParameters("the Counter Length is 8, 16, 24 or 32 bits, not %d", bits)
	}
	out := make([]byte, 0, d.length+f.size)
	var block []byte
	for i := uint64(1); len(out) < d.length; i++ {
		if i>>bits != 0 {
			clear(out)
			return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "a counter of %d bits is too short for %d bytes", bits, d.length)
		}
		counter := binary.BigEndian.AppendUint32(nil, uint32(i))
		block = next(f, block, counter[4-bits/8:])
		out = append(out, block...)
	}
	return out, nil
}

// deriveAWS makes the signing key of AWS Signature Version 4: the derivation data are Date, Region and Service.
func deriveAWS(_ context.Context, d *derivation) ([]byte, error) {
	h, key, err := d.keyed(kmip.HashingAlgorithmSHA256)
	if err != nil {
		return nil, err
	}
	if h != crypto.SHA256 {
		return nil, badParameters("AWS Signature Version 4 computes with SHA-256")
	}
	out := append([]byte("AWS4"), key...)
	for _, part := range append(d.data[:3:3], []byte("aws4_request")) {
		next := keyedHash(h, out, part)
		clear(out)
		out = next
	}
	return out, nil
}

// deriveShared is Diffie-Hellman on the curve of both keys, in either order (SP 800-56A Rev. 3 §5.7.1.2, RFC 7748 §6.1).
func deriveShared(_ context.Context, d *derivation) ([]byte, error) {
	if err := only(d.p, 0, "an agreement"); err != nil {
		return nil, err
	}
	var private *ecdh.PrivateKey
	var public *ecdh.PublicKey
	for _, b := range []*Base{&d.base, &d.public} {
		if b.Value == nil {
			return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "the material of a key in a token is not here: no agreement is computed with it")
		}
		c, err := parse(b.Value, b.Attributes)
		if err != nil {
			return nil, err
		}
		switch k := c.key.(type) {
		case *ecdsa.PrivateKey:
			private, err = k.ECDH()
		case *ecdsa.PublicKey:
			public, err = k.ECDH()
		case *ecdh.PrivateKey:
			private = k
		case *ecdh.PublicKey:
			public = k
		}
		if err != nil {
			return nil, invalid("no agreement is computed on that curve: %v", err)
		}
	}
	if private == nil || public == nil {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "an agreement takes one private and one public key on a curve")
	}
	if private.Curve() != public.Curve() {
		return nil, badParameters("the private and the public key are on two curves")
	}
	return computed(private.ECDH(public))
}
