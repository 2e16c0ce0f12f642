package soft

import "strongroom/kmip"

// A gf is a binary field that secrets are shared in. KMIP 2.1 §13.1.
type gf struct {
	bytes   int // of an element, big-endian
	mul     func(a, b uint16) uint16
	inverse func(uint16) uint16 // of an element that is not 0
}

var gfOf = map[kmip.SplitKeyMethod]*gf{
	kmip.SplitKeyMethodPolynomialSharingGF2_8: {1,
		func(a, b uint16) uint16 { return uint16(mul8(byte(a), byte(b))) },
		func(a uint16) uint16 { return uint16(inverse8(byte(a))) }},
	kmip.SplitKeyMethodPolynomialSharingGF2_16: {2, mul16, inverse16},
}

func (f *gf) get(b []byte, at int) uint16 {
	if f.bytes == 1 {
		return uint16(b[at])
	}
	return uint16(b[at])<<8 | uint16(b[at+1])
}

func (f *gf) put(b []byte, at int, v uint16) {
	if f.bytes == 1 {
		b[at] = byte(v)
		return
	}
	b[at], b[at+1] = byte(v>>8), byte(v)
}

// mul8 multiplies in GF(2^8) modulo x^8+x^4+x^3+x^2+1, in a time that does not depend on the operands.
func mul8(a, b byte) (product byte) {
	for range 8 {
		product ^= a & -(b & 1)
		a = a<<1 ^ 0x1d&-(a>>7)
		b >>= 1
	}
	return product
}

// inverse8 is a^254.
func inverse8(a byte) byte {
	power := byte(1)
	for range 7 {
		a = mul8(a, a)
		power = mul8(power, a)
	}
	return power
}

// m of GF(2^16) = GF(2^8)[y]/(y^2+y+m).
const m16 = 0x3a

// mul16 multiplies in GF(2^16): with y^2 = y+m, (ry+s)(uy+v) = ((r+s)(u+v)+sv)y + (sv+rum). The standard prints the last term
// as "ru+svm", under which 1 would not be neutral and its own formula for the inverse would not be one.
func mul16(a, b uint16) uint16 {
	r, s, u, v := byte(a>>8), byte(a), byte(b>>8), byte(b)
	sv := mul8(s, v)
	return uint16(mul8(r^s, u^v)^sv)<<8 | uint16(sv^mul8(mul8(r, u), m16))
}

// inverse16 is (u/d)y + (u+v)/d with d = (u+v)v + mu^2.
func inverse16(a uint16) uint16 {
	u, v := byte(a>>8), byte(a)
	d := inverse8(mul8(u^v, v) ^ mul8(m16, mul8(u, u)))
	return uint16(mul8(u, d))<<8 | uint16(mul8(u^v, d))
}
