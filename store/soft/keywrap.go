package soft

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"math"

	"strongroom/kmip"
)

const (
	semiblock = 8                           // bytes; key wrap works on halves of an AES block
	initial   = uint64(0xA6A6A6A6_A6A6A6A6) // the integrity check value, RFC 3394 §2.2.3.1
	alternate = uint64(0xA65959A6_00000000) // with padding: its high half, RFC 5649 §3
)

// Wrap wraps plain with the 128-bit block cipher kek by RFC 3394 (SP 800-38F KW). The length of plain is a multiple of 8
// and at least 16; the answer is 8 bytes longer:
//
//	| check value, 8 | plain, n × 8 |  →  6·n steps  →  | n × 8 + 8 |
func Wrap(kek cipher.Block, plain []byte) ([]byte, error) {
	if len(plain) < 2*semiblock || len(plain)%semiblock != 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField,
			"NIST key wrap takes a multiple of 8 bytes, at least 16, not %d: AES Key Wrap Padding takes any length", len(plain))
	}
	out := make([]byte, semiblock+len(plain))
	copy(out[semiblock:], plain)
	forward(kek, out, initial)
	return out, nil
}

// Unwrap is the inverse of Wrap. What was not wrapped by kek is a Cryptographic Failure.
func Unwrap(kek cipher.Block, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 3*semiblock || len(wrapped)%semiblock != 0 {
		return nil, errDecryption
	}
	out := append([]byte(nil), wrapped...)
	backward(kek, out)
	if subtle.ConstantTimeCompare(out[:semiblock], binary.BigEndian.AppendUint64(nil, initial)) != 1 {
		clear(out)
		return nil, errDecryption
	}
	return out[semiblock:], nil
}

// WrapPad wraps plain, of any length but 0, by RFC 5649 (SP 800-38F KWP):
//
//	| A65959A6 | length, 4 | plain | zeros to a multiple of 8 |
//
// Up to 8 bytes of plain are one block of the cipher; more go through the steps of Wrap.
func WrapPad(kek cipher.Block, plain []byte) ([]byte, error) {
	if len(plain) == 0 || uint64(len(plain)) > math.MaxUint32 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "AES Key Wrap Padding takes 1 to 2^32-1 bytes, not %d", len(plain))
	}
	padded := (len(plain) + semiblock - 1) / semiblock * semiblock
	out := make([]byte, semiblock+padded)
	copy(out[semiblock:], plain)
	check := alternate | uint64(len(plain))
	if padded == semiblock {
		binary.BigEndian.PutUint64(out, check)
		kek.Encrypt(out, out)
		return out, nil
	}
	forward(kek, out, check)
	return out, nil
}

// UnwrapPad is the inverse of WrapPad. What was not wrapped by kek is a Cryptographic Failure.
func UnwrapPad(kek cipher.Block, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 2*semiblock || len(wrapped)%semiblock != 0 {
		return nil, errDecryption
	}
	out := append([]byte(nil), wrapped...)
	if len(out) == 2*semiblock {
		kek.Decrypt(out, out)
	} else {
		backward(kek, out)
	}
	check, plain := binary.BigEndian.Uint64(out), out[semiblock:]
	length, ok := padding(check, plain)
	if ok != 1 {
		clear(out)
		return nil, errDecryption
	}
	return plain[:length:length], nil
}

// padding checks the alternate initial value and the zeros after the plaintext (RFC 5649 §3) without a branch on either,
// and gives the length, which means something only if ok is 1.
func padding(check uint64, plain []byte) (length, ok int) {
	length = int(uint32(check))
	surplus := len(plain) - length // 0 to 7 in what WrapPad made
	ok = subtle.ConstantTimeEq(int32(uint32((check^alternate)>>32)), 0)
	fits := 1 &^ int(uint64(surplus)>>63) // 0 if the length exceeds plain
	ok &= fits & subtle.ConstantTimeEq(int32(uint32(uint64(surplus)>>3)), 0)
	for i := 1; i < semiblock; i++ {
		padded := subtle.ConstantTimeLessOrEq(i, surplus&7)
		ok &^= padded & (1 ^ subtle.ConstantTimeByteEq(plain[len(plain)-i], 0))
	}
	return length, ok
}

// forward runs the steps of RFC 3394 §2.2.1 over buf, whose first 8 bytes are room for the check value.
func forward(kek cipher.Block, buf []byte, check uint64) {
	n := len(buf)/semiblock - 1
	block := make([]byte, 2*semiblock)
	for t := range uint64(6 * n) {
		r := buf[semiblock*(1+int(t)%n):][:semiblock]
		binary.BigEndian.PutUint64(block, check)
		copy(block[semiblock:], r)
		kek.Encrypt(block, block)
		check = binary.BigEndian.Uint64(block) ^ (t + 1)
		copy(r, block[semiblock:])
	}
	binary.BigEndian.PutUint64(buf, check)
	clear(block)
}

// backward undoes forward (RFC 3394 §2.2.2) and leaves the check value in the first 8 bytes.
func backward(kek cipher.Block, buf []byte) {
	n := len(buf)/semiblock - 1
	check := binary.BigEndian.Uint64(buf)
	block := make([]byte, 2*semiblock)
	for t := uint64(6 * n); t > 0; t-- {
		r := buf[semiblock*(1+int(t-1)%n):][:semiblock]
		binary.BigEndian.PutUint64(block, check^t)
		copy(block[semiblock:], r)
		kek.Decrypt(block, block)
		check = binary.BigEndian.Uint64(block)
		copy(r, block[semiblock:])
	}
	binary.BigEndian.PutUint64(buf, check)
	clear(block)
}
