package soft

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"

	"strongroom/kmip"
)

// ccm is Counter with CBC-MAC (SP 800-38C, RFC 3610) of a cipher with blocks of 16 bytes, for nonces and tags of one length.
// Neither the standard library nor golang.org/x/crypto has it.
type ccm struct {
	block      cipher.Block
	nonce, tag int // bytes
}

const (
	shortestCCM = 7 // bytes, of a nonce: SP 800-38C Appendix A.1
	longestCCM  = 13
	leastCCM    = 8 // bytes; SP 800-38C Appendix B.2 warns of shorter tags
)

// newCCM makes the cipher for so many bytes of data. The longer the nonce, the shorter the data: their length stands beside it
// in a block.
func newCCM(block cipher.Block, nonce, tag, data int) (cipher.AEAD, error) {
	if nonce < shortestCCM || nonce > longestCCM {
		return nil, invalid("AES-CCM takes an IV of %d to %d bytes, not %d", shortestCCM, longestCCM, nonce)
	}
	if q := 15 - nonce; q < 8 && uint64(data)>>(8*q) != 0 {
		return nil, invalid("AES-CCM with an IV of %d bytes takes data of less than %d bytes, not %d", nonce, uint64(1)<<(8*q), data)
	}
	return &ccm{block, nonce, tag}, nil
}

// NonceSize is the nonce's length in bytes.
func (c *ccm) NonceSize() int { return c.nonce }

// Overhead is the tag's length in bytes.
func (c *ccm) Overhead() int { return c.tag }

// Seal appends the ciphertext and the tag to dst.
func (c *ccm) Seal(dst, nonce, plain, additional []byte) []byte {
	stream, mask := c.counter(nonce)
	tag := c.mac(nonce, plain, additional)
	subtle.XORBytes(tag, tag, mask)
	start := len(dst)
	dst = append(dst, plain...)
	stream.XORKeyStream(dst[start:], dst[start:])
	return append(dst, tag[:c.tag]...)
}

// Open appends the plaintext to dst, if the tag is right.
func (c *ccm) Open(dst, nonce, sealed, additional []byte) ([]byte, error) {
	if len(sealed) < c.tag {
		return nil, errDecryption
	}
	data, tag := sealed[:len(sealed)-c.tag], sealed[len(sealed)-c.tag:]
	stream, mask := c.counter(nonce)
	plain := make([]byte, len(data))
	stream.XORKeyStream(plain, data)
	own := c.mac(nonce, plain, additional)
	subtle.XORBytes(own, own, mask)
	if subtle.ConstantTimeCompare(own[:c.tag], tag) != 1 {
		clear(plain)
		return nil, errDecryption
	}
	if len(dst) == 0 {
		return plain, nil
	}
	return append(dst, plain...), nil
}

// counter is the key stream (SP 800-38C Appendix A.3): its first block masks the tag, the others are for the data. What newCCM
// refuses would be needed for the counter to run over.
func (c *ccm) counter(nonce []byte) (cipher.Stream, []byte) {
	first := make([]byte, 16)
	first[0] = byte(14 - c.nonce)
	copy(first[1:], nonce)
	stream, mask := cipher.NewCTR(c.block, first), make([]byte, 16)
	stream.XORKeyStream(mask, mask)
	return stream, mask
}

// mac is the CBC-MAC of the lengths, the additional data and the data (SP 800-38C §6.1 and Appendix A.2).
func (c *ccm) mac(nonce, plain, additional []byte) []byte {
	sum := make([]byte, 16)
	sum[0] = byte((c.tag-2)/2<<3 + 14 - c.nonce)
	if len(additional) > 0 {
		sum[0] |= 1 << 6
	}
	binary.BigEndian.PutUint64(sum[8:], uint64(len(plain))) // before the nonce, which may reach into it
	copy(sum[1:], nonce)
	c.block.Encrypt(sum, sum)
	if n := len(additional); n > 0 {
		var head []byte
		switch {
		case n < 0xFF00:
			head = binary.BigEndian.AppendUint16(nil, uint16(n))
		case uint64(n) < 1<<32:
			head = binary.BigEndian.AppendUint32([]byte{0xFF, 0xFE}, uint32(n))
		default:
			head = binary.BigEndian.AppendUint64([]byte{0xFF, 0xFF}, uint64(n))
		}
		first := make([]byte, 16)
		used := copy(first, head)
		used += copy(first[used:], additional)
		c.absorb(sum, first)
		c.absorb(sum, additional[used-len(head):])
	}
	c.absorb(sum, plain)
	return sum
}

// absorb adds data to a CBC-MAC, with zeros up to a whole block.
func (c *ccm) absorb(sum, data []byte) {
	for len(data) > 0 {
		n := subtle.XORBytes(sum, sum, data[:min(16, len(data))])
		c.block.Encrypt(sum, sum)
		data = data[n:]
	}
}

func (k *blockKey) encryptCCM(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	return k.ccm().encrypt(p, r)
}

func (k *blockKey) decryptCCM(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	return k.ccm().decrypt(p, r)
}

func (k *blockKey) ccm() *aead {
	return &aead{
		ivRule: ivRule{"AES-CCM", nonceSize, nonceSize, longestCCM}, ivs: &k.ivs, leastTag: leastCCM, even: true,
		sized: func(nonce, tag, data int) (cipher.AEAD, error) { return newCCM(k.block, nonce, tag, data) },
	}
}
