package hsm

import (
	"crypto"
	"crypto/subtle"
	"encoding/binary"
)

// unpadOAEP takes the message out of an encoded one, as long as the modulus (RFC 8017 §7.1.2 step 3):
//
//	| 0 | masked seed, hash | masked: hash of the label, zeros, 1, message |
//
// Whatever is wrong with it, the time is the same and the answer is no. em is overwritten; the caller clears it.
func unpadOAEP(em []byte, hash, mask crypto.Hash, label []byte) ([]byte, bool) {
	size := hash.Size()
	if len(em) < 2*size+2 {
		return nil, false
	}
	h := hash.New()
	h.Write(label)
	expected := h.Sum(nil)

	seed, db := em[1:1+size], em[1+size:]
	maskMGF1(seed, mask, db)
	maskMGF1(db, mask, seed)

	good := subtle.ConstantTimeByteEq(em[0], 0) & subtle.ConstantTimeCompare(db[:size], expected)
	rest := db[size:]
	looking, at := 1, 0
	for i, b := range rest {
		one, zero := subtle.ConstantTimeByteEq(b, 1), subtle.ConstantTimeByteEq(b, 0)
		at = subtle.ConstantTimeSelect(looking&one, i+1, at)
		good &= 1 ^ looking&^one&^zero&1
		looking &= zero
	}
	good &= 1 ^ looking
	if good != 1 {
		return nil, false
	}
	return append([]byte{}, rest[at:]...), true
}

// maskMGF1 adds MGF1 of a seed to data (RFC 8017 §B.2.1).
func maskMGF1(data []byte, hash crypto.Hash, seed []byte) {
	h := hash.New()
	var counter [4]byte
	var block []byte
	for i := uint32(0); len(data) > 0; i++ {
		binary.BigEndian.PutUint32(counter[:], i)
		h.Reset()
		h.Write(seed)
		h.Write(counter[:])
		block = h.Sum(block[:0])
		n := subtle.XORBytes(data, data, block)
		data = data[n:]
	}
	clear(block)
}
