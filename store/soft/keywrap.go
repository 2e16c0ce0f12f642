package soft

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"math"

	"strongroom/kmip"
)

const (
	semiblock = 8                           // bytes; key wrap works on halves of a block, of AES here
	initial   = uint64(0xA6A6A6A6_A6A6A6A6) // the integrity check value, RFC 3394 §2.2.3.1
	alternate = uint64(0xA65959A6_00000000) // with padding: its high half, RFC 5649 §3
)

// Wrap wraps plain with the block cipher kek by RFC 3394 (SP 800-38F KW), or with blocks of 8 bytes by SP 800-38F TKW. The length
// of plain is a multiple of half a block, and at least a block; the answer is half a block longer. With AES:
//
//	| check value, 8 | plain, n × 8 |  →  6·n steps  →  | n × 8 + 8 |
func Wrap(kek cipher.Block, plain []byte) ([]byte, error) {
	half := kek.BlockSize() / 2
	if len(plain) < 2*half || len(plain)%half != 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField,
			"NIST key wrap takes a multiple of %d bytes, at least %d, not %d: AES Key Wrap Padding takes any length", half, 2*half, len(plain))
	}
	out := make([]byte, half+len(plain))
	copy(out[half:], plain)
	forward(kek, out, initial)
	return out, nil
}

// Unwrap is the inverse of Wrap. What was not wrapped by kek is a Cryptographic Failure.
func Unwrap(kek cipher.Block, wrapped []byte) ([]byte, error) {
	half := kek.BlockSize() / 2
	if len(wrapped) < 3*half || len(wrapped)%half != 0 {
		return nil, errDecryption
	}
	out := append([]byte(nil), wrapped...)
	backward(kek, out)
	if subtle.ConstantTimeCompare(out[:half], binary.BigEndian.AppendUint64(nil, initial)[:half]) != 1 {
		clear(out)
		return nil, errDecryption
	}
	return out[half:], nil
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

// forward runs the steps of RFC 3394 §2.2.1 (SP 800-38F §6.1) over buf, whose first half block is room for the check value.
func forward(kek cipher.Block, buf []byte, check uint64) {
	half := kek.BlockSize() / 2
	n := len(buf)/half - 1
	block := make([]byte, 2*half)
	for t := range uint64(6 * n) {
		r := buf[half*(1+int(t)%n):][:half]
		put(block[:half], check)
		copy(block[half:], r)
		kek.Encrypt(block, block)
		check = get(block[:half]) ^ (t + 1)
		copy(r, block[half:])
	}
	put(buf[:half], check)
	clear(block)
}

// backward undoes forward (RFC 3394 §2.2.2) and leaves the check value in the first half block.
func backward(kek cipher.Block, buf []byte) {
	half := kek.BlockSize() / 2
	n := len(buf)/half - 1
	check := get(buf[:half])
	block := make([]byte, 2*half)
	for t := uint64(6 * n); t > 0; t-- {
		r := buf[half*(1+int(t-1)%n):][:half]
		put(block[:half], check^t)
		copy(block[half:], r)
		kek.Decrypt(block, block)
		check = get(block[:half])
		copy(r, block[half:])
	}
	put(buf[:half], check)
	clear(block)
}

// put and get write and read a number of 8 bytes, or of 4.
func put(b []byte, v uint64) {
	if len(b) == 4 {
		binary.BigEndian.PutUint32(b, uint32(v))
		return
	}
	binary.BigEndian.PutUint64(b, v)
}

func get(b []byte) uint64 {
	if len(b) == 4 {
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}
