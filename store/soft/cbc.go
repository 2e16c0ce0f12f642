package soft

import (
	"crypto/cipher"

	"strongroom/kmip"
)

const cbcFields = fieldBlockCipherMode | fieldPaddingMethod | ivFields

func (k *blockKey) encryptCBC(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := k.plainMode("CBC", p, cbcFields, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	size := k.block.BlockSize()
	rule := ivRule{"CBC", size, size, size}
	iv, buf, err := rule.block(&k.ivs, p, r, len(r.Data)+size)
	if err != nil {
		return nil, err
	}
	data, err := k.pad(buf, r.Data, p.PaddingMethod, size)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(data, data)
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data, IVCounterNonce: fresh(r, iv)}, nil
}

func (k *blockKey) decryptCBC(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	err := k.plainMode("CBC", p, cbcFields, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag)
	if err != nil {
		return nil, err
	}
	size := k.block.BlockSize()
	rule := ivRule{"CBC", size, size, size}
	if err := rule.check(p, r.IVCounterNonce); err != nil {
		return nil, err
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
	data, err := k.pad(make([]byte, 0, len(r.Data)+size), r.Data, p.PaddingMethod, size)
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

// plainMode refuses what a mode without authentication does not take.
func (k *blockKey) plainMode(name string, p *kmip.CryptographicParameters, taken fields, additional, tag []byte) error {
	if err := only(p, taken, name); err != nil {
		return err
	}
	return unauthenticated(name, additional, tag)
}
