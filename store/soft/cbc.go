package soft

import (
	"crypto/cipher"
	"crypto/subtle"

	"strongroom/kmip"
)

func (k *blockKey) encryptCBC(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	const taken = fieldBlockCipherMode | fieldPaddingMethod | fieldRandomIV | fieldIVLength
	if err := k.plainMode("CBC", p, taken, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	size := k.block.BlockSize()
	iv, buf, err := newIV(p, r, size, len(r.Data)+size)
	if err != nil {
		return nil, err
	}
	if len(iv) != size {
		return nil, invalid("CBC takes an IV of %d bytes, not %d", size, len(iv))
	}
	data, err := pad(buf, r.Data, p.PaddingMethod, size)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(data, data)
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data, IVCounterNonce: fresh(r, iv)}, nil
}

func (k *blockKey) decryptCBC(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	const taken = fieldBlockCipherMode | fieldPaddingMethod | fieldRandomIV | fieldIVLength
	err := k.plainMode("CBC", p, taken, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag)
	if err != nil {
		return nil, err
	}
	if err := checkIV(p, r.IVCounterNonce); err != nil {
		return nil, err
	}
	size := k.block.BlockSize()
	if len(r.IVCounterNonce) != size {
		return nil, invalid("CBC takes an IV of %d bytes, not %d", size, len(r.IVCounterNonce))
	}
	if len(r.Data)%size != 0 {
		return nil, errDecryption
	}
	data := make([]byte, len(r.Data))
	cipher.NewCBCDecrypter(k.block, r.IVCounterNonce).CryptBlocks(data, r.Data)
	return unpadded(r, data, p.PaddingMethod, size)
}

func (k *blockKey) encryptECB(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	const taken = fieldBlockCipherMode | fieldPaddingMethod
	if err := k.plainMode("ECB", p, taken, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	if len(r.IVCounterNonce) > 0 {
		return nil, invalid("ECB takes no IV")
	}
	size := k.block.BlockSize()
	data, err := pad(make([]byte, 0, len(r.Data)+size), r.Data, p.PaddingMethod, size)
	if err != nil {
		return nil, err
	}
	for b := data; len(b) > 0; b = b[size:] {
		k.block.Encrypt(b, b)
	}
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

func (k *blockKey) decryptECB(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	const taken = fieldBlockCipherMode | fieldPaddingMethod
	err := k.plainMode("ECB", p, taken, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag)
	if err != nil {
		return nil, err
	}
	if len(r.IVCounterNonce) > 0 {
		return nil, invalid("ECB takes no IV")
	}
	size := k.block.BlockSize()
	if len(r.Data)%size != 0 {
		return nil, errDecryption
	}
	data := append(make([]byte, 0, len(r.Data)), r.Data...)
	for b := data; len(b) > 0; b = b[size:] {
		k.block.Decrypt(b, b)
	}
	return unpadded(r, data, p.PaddingMethod, size)
}

// The whole block is the counter (SP 800-38A §6.5); a Counter Length of anything else is refused.
func (k *blockKey) encryptCTR(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := k.checkCTR(p, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	iv, buf, err := newIV(p, r, k.block.BlockSize(), len(r.Data))
	if err != nil {
		return nil, err
	}
	data, err := k.stream(buf[:len(r.Data)], iv, r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data, IVCounterNonce: fresh(r, iv)}, nil
}

func (k *blockKey) decryptCTR(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := k.checkCTR(p, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag); err != nil {
		return nil, err
	}
	if err := checkIV(p, r.IVCounterNonce); err != nil {
		return nil, err
	}
	data, err := k.stream(make([]byte, len(r.Data)), r.IVCounterNonce, r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

// stream adds the key stream that begins at iv.
func (k *blockKey) stream(dst, iv, data []byte) ([]byte, error) {
	if size := k.block.BlockSize(); len(iv) != size {
		return nil, invalid("CTR takes an initial counter block of %d bytes as its IV, not %d", size, len(iv))
	}
	cipher.NewCTR(k.block, iv).XORKeyStream(dst, data)
	return dst, nil
}

func (k *blockKey) checkCTR(p *kmip.CryptographicParameters, additional, tag []byte) error {
	const taken = fieldBlockCipherMode | fieldPaddingMethod | fieldRandomIV | fieldIVLength | fieldCounterLength
	if p.PaddingMethod > kmip.PaddingMethodNone {
		return badParameters("CTR takes no padding")
	}
	if bits := int32(8 * k.block.BlockSize()); p.CounterLength != nil && *p.CounterLength != bits {
		return notSupported("CTR with a Counter Length of %d bits is not supported: it is %d", *p.CounterLength, bits)
	}
	return k.plainMode("CTR", p, taken, additional, tag)
}

// plainMode refuses what a mode without authentication does not take.
func (k *blockKey) plainMode(name string, p *kmip.CryptographicParameters, taken fields, additional, tag []byte) error {
	if err := only(p, taken, name); err != nil {
		return err
	}
	return unauthenticated(name, additional, tag)
}

// pad appends data and its padding to dst. Without a Padding Method nothing is padded.
func pad(dst, data []byte, method kmip.PaddingMethod, size int) ([]byte, error) {
	n := size - len(data)%size // 1 to size
	dst = append(dst, data...)
	switch method {
	case 0, kmip.PaddingMethodNone:
		if n != size {
			return nil, invalid("%d bytes of data without padding are no multiple of the block size, %d", len(data), size)
		}
	case kmip.PaddingMethodPKCS5:
		for range n {
			dst = append(dst, byte(n))
		}
	case kmip.PaddingMethodANSIX9_23:
		for range n - 1 {
			dst = append(dst, 0)
		}
		dst = append(dst, byte(n))
	default:
		return nil, notSupported("the Padding Method %v is not supported here", method)
	}
	return dst[:len(dst):len(dst)], nil
}

// unpadded answers the data without its padding. The padding is checked without a branch on it, and a wrong one is told
// apart from nothing else.
func unpadded(r *kmip.DecryptRequest, data []byte, method kmip.PaddingMethod, size int) (*kmip.DecryptResponse, error) {
	n, ok := 0, 1
	switch method {
	case 0, kmip.PaddingMethodNone:
	case kmip.PaddingMethodPKCS5, kmip.PaddingMethodANSIX9_23:
		if len(data) == 0 {
			return nil, errDecryption
		}
		n, ok = padded(data[len(data)-size:], method == kmip.PaddingMethodPKCS5)
	default:
		return nil, notSupported("the Padding Method %v is not supported here", method)
	}
	if ok != 1 {
		clear(data)
		return nil, errDecryption
	}
	n = len(data) - n
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data[:n:n]}, nil
}

// padded is the length of the padding of the last block, where every byte of it is that length (PKCS #5) or all but the
// last are zero (ANSI X9.23). The length means something only if ok is 1.
func padded(block []byte, same bool) (n, ok int) {
	last := block[len(block)-1]
	fill := byte(0)
	if same {
		fill = last
	}
	n = int(last)
	ok = subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, len(block))
	for i := 2; i <= len(block); i++ {
		inside := subtle.ConstantTimeLessOrEq(i, n)
		ok &^= inside & (1 ^ subtle.ConstantTimeByteEq(block[len(block)-i], fill))
	}
	return n, ok
}
