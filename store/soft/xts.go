package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"

	"strongroom/kmip"
)

// xts is XTS-AES (IEEE Std 1619, SP 800-38E). That of golang.org/x/crypto takes whole blocks and a tweak of 64 bits alone.
type xts struct{ data, tweak cipher.Block }

const longestXTS = 16 << 20 // bytes, 2^20 blocks: SP 800-38E §4

// newXTS takes a key of two halves, the data's and the tweak's.
func newXTS(key []byte) (*xts, error) {
	half := len(key) / 2
	data, err := aes.NewCipher(key[:half])
	if err != nil {
		return nil, err
	}
	tweak, err := aes.NewCipher(key[half:])
	return &xts{data, tweak}, err
}

// crypt encrypts or decrypts buf, of at least a block, in place. The last two blocks of data that are no multiple of a block
// change places (ciphertext stealing, IEEE Std 1619 §5.3.2, §5.4.2).
func (x *xts) crypt(buf, iv []byte, step func(dst, src []byte), decrypting bool) {
	tweak := make([]byte, aes.BlockSize)
	x.tweak.Encrypt(tweak, iv)
	part := len(buf) % aes.BlockSize
	whole := buf[:len(buf)-part]
	if part > 0 && decrypting {
		whole = whole[:len(whole)-aes.BlockSize]
	}
	for ; len(whole) > 0; whole = whole[aes.BlockSize:] {
		masked(whole[:aes.BlockSize], tweak, step)
		advance(tweak)
	}
	if part > 0 {
		last := buf[len(buf)-part-aes.BlockSize:][:aes.BlockSize]
		if decrypting { // the last whole block was masked with the tweak behind the one that is next
			next := append([]byte(nil), tweak...)
			advance(next)
			masked(last, next, step)
		}
		rest := buf[len(buf)-part:]
		for i := range rest {
			last[i], rest[i] = rest[i], last[i]
		}
		masked(last, tweak, step)
	}
	clear(tweak)
}

// masked runs a block through the cipher, between two additions of the tweak.
func masked(block, tweak []byte, step func(dst, src []byte)) {
	subtle.XORBytes(block, block, tweak)
	step(block, block)
	subtle.XORBytes(block, block, tweak)
}

// advance multiplies a tweak by x in GF(2^128), little end first (IEEE Std 1619 §5.2).
func advance(tweak []byte) {
	carry := byte(0)
	for i, b := range tweak {
		tweak[i], carry = b<<1|carry, b>>7
	}
	tweak[0] ^= 0x87 & -carry
}

// checkXTS gives the cipher, if the parameters, the key and the data are its own.
func (k *blockKey) checkXTS(p *kmip.CryptographicParameters, data, additional, tag []byte) (*xts, error) {
	if p.PaddingMethod > kmip.PaddingMethodNone {
		return nil, badParameters("XTS takes no padding")
	}
	if err := k.plainMode("XTS", p, fieldBlockCipherMode|fieldPaddingMethod|ivFields, additional, tag); err != nil {
		return nil, err
	}
	half := len(k.key) / 2
	switch {
	case half != 16 && half != 32:
		return nil, badParameters("XTS takes a key of 256 or 512 bits, two halves, not of %d", 8*len(k.key))
	case subtle.ConstantTimeCompare(k.key[:half], k.key[half:]) == 1:
		return nil, badParameters("XTS takes a key whose halves differ") // FIPS 140-3 IG C.I
	case len(data) < aes.BlockSize || len(data) > longestXTS:
		return nil, invalid("XTS takes data units of %d to %d bytes, not %d", aes.BlockSize, longestXTS, len(data))
	}
	return newXTS(k.key)
}

// xtsIV is the number of the data unit, as the 16 bytes that it is encrypted in (IEEE Std 1619 §5.1).
var xtsIV = ivRule{"XTS", aes.BlockSize, aes.BlockSize, aes.BlockSize}

func (k *blockKey) encryptXTS(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	x, err := k.checkXTS(p, r.Data, r.AuthenticatedEncryptionAdditionalData, nil)
	if err != nil {
		return nil, err
	}
	iv, buf, err := xtsIV.block(&k.ivs, p, r, len(r.Data))
	if err != nil {
		return nil, err
	}
	buf = append(buf, r.Data...)
	x.crypt(buf, iv, x.data.Encrypt, false)
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: buf, IVCounterNonce: fresh(r, iv)}, nil
}

func (k *blockKey) decryptXTS(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	x, err := k.checkXTS(p, r.Data, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag)
	if err != nil {
		return nil, err
	}
	if err := xtsIV.check(p, r.IVCounterNonce); err != nil {
		return nil, err
	}
	buf := clone(r.Data)
	x.crypt(buf, r.IVCounterNonce, x.data.Decrypt, true)
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: buf}, nil
}
