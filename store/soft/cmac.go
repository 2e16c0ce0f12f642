package soft

import (
	"crypto/cipher"
	"crypto/subtle"
)

// cmac is the CMAC of data (SP 800-38B §6.2, RFC 4493) with a cipher whose blocks have 16 or 8 bytes.
func cmac(block cipher.Block, data []byte) []byte {
	size := block.BlockSize()
	subkey := make([]byte, size) // K1, for a whole last block
	block.Encrypt(subkey, subkey)
	double(subkey)

	sum := make([]byte, size)
	for len(data) > size {
		subtle.XORBytes(sum, sum, data[:size])
		block.Encrypt(sum, sum)
		data = data[size:]
	}
	subtle.XORBytes(sum, sum, data)
	if len(data) < size {
		double(subkey) // K2
		sum[len(data)] ^= 0x80
	}
	subtle.XORBytes(sum, sum, subkey)
	block.Encrypt(sum, sum)
	clear(subkey)
	return sum
}

// double multiplies by x in GF(2^128) or GF(2^64), SP 800-38B §5.3 and §6.1.
func double(b []byte) {
	carry := byte(0)
	for i := len(b) - 1; i >= 0; i-- {
		carry, b[i] = b[i]>>7, b[i]<<1|carry
	}
	reduction := byte(0x87)
	if len(b) == 8 {
		reduction = 0x1B
	}
	b[len(b)-1] ^= reduction & -carry
}
