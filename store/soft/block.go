package soft

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"

	"strongroom/kmip"
)

// blockKey is an opened key of a block cipher.
type blockKey struct {
	base
	name  string       // for errors: AES or 3DES
	block cipher.Block // nil for AES with 512 bits, two halves for XTS
	gcm   *aead        // nil where blocks are not of 16 bytes
	ivs   invocations
	key   []byte // a copy, for HMAC and XTS
}

// openAES makes the key schedule and the GCM tables.
func openAES(b base, key []byte) (kmip.Opened, error) {
	if len(key) == 64 {
		return &blockKey{base: b, ivs: invocations{random: b.random}, name: "AES", key: clone(key)}, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, invalid("opening an AES key: %v", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	k := &blockKey{base: b, ivs: invocations{random: b.random}, name: "AES", block: block, key: clone(key)}
	k.gcm = &aead{
		ivRule: ivRule{"AES-GCM", nonceSize, nonceSize, longestNonce}, ivs: &k.ivs, usual: gcm, leastTag: leastTag,
		sized: func(nonce, _, _ int) (cipher.AEAD, error) { return cipher.NewGCMWithNonceSize(block, nonce) },
	}
	return k, nil
}

// openTripleDES makes the key schedule; a key of 16 bytes is K1, K2 with K3 = K1 (SP 800-67 §3.1, keying option 2).
func openTripleDES(b base, key []byte) (kmip.Opened, error) {
	schedule := append(make([]byte, 0, 24), key...)
	if len(key) == 16 {
		schedule = append(schedule, key[:8]...)
	}
	defer clear(schedule)
	block, err := des.NewTripleDESCipher(schedule)
	if err != nil {
		return nil, invalid("opening a 3DES key: %v", err)
	}
	return &blockKey{base: b, ivs: invocations{random: b.random}, name: "3DES", block: block, key: clone(key)}, nil
}

// Close clears the copy of the key. The key schedule is the standard library's, which has no way to clear it: it is left
// to the garbage collector.
func (k *blockKey) Close() {
	clear(k.key)
	k.block, k.gcm = nil, nil
}

// A mode is a Block Cipher Mode of Encrypt and Decrypt.
type mode struct {
	encrypt func(*blockKey, *kmip.CryptographicParameters, *kmip.EncryptRequest) (*kmip.EncryptResponse, error)
	decrypt func(*blockKey, *kmip.CryptographicParameters, *kmip.DecryptRequest) (*kmip.DecryptResponse, error)
	aesOnly bool
}

// modes are the ones there are. PCBC, CBC-MAC and those of ANSI X9.102 are not.
var modes = [...]mode{
	kmip.BlockCipherModeGCM:               {encrypt: (*blockKey).encryptGCM, decrypt: (*blockKey).decryptGCM, aesOnly: true},
	kmip.BlockCipherModeCCM:               {encrypt: (*blockKey).encryptCCM, decrypt: (*blockKey).decryptCCM, aesOnly: true},
	kmip.BlockCipherModeCBC:               {encrypt: (*blockKey).encryptCBC, decrypt: (*blockKey).decryptCBC},
	kmip.BlockCipherModeECB:               {encrypt: (*blockKey).encryptECB, decrypt: (*blockKey).decryptECB},
	kmip.BlockCipherModeCFB:               {encrypt: cfb.encrypt, decrypt: cfb.decrypt},
	kmip.BlockCipherModeOFB:               {encrypt: ofb.encrypt, decrypt: ofb.decrypt},
	kmip.BlockCipherModeCTR:               {encrypt: (*blockKey).encryptCTR, decrypt: (*blockKey).decryptCTR},
	kmip.BlockCipherModeXTS:               {encrypt: (*blockKey).encryptXTS, decrypt: (*blockKey).decryptXTS, aesOnly: true},
	kmip.BlockCipherModeNISTKeyWrap:       {encrypt: (*blockKey).encryptWrapped, decrypt: (*blockKey).decryptWrapped},
	kmip.BlockCipherModeAESKeyWrapPadding: {encrypt: (*blockKey).encryptWrapped, decrypt: (*blockKey).decryptWrapped, aesOnly: true},
}

// mode finds the mode that the parameters name. Without one, AES means GCM, or with 512 bits XTS; 3DES must be told.
func (k *blockKey) mode(p *kmip.CryptographicParameters) (*mode, error) {
	if err := k.is(p); err != nil {
		return nil, err
	}
	name := p.BlockCipherMode
	switch {
	case k.block == nil && either(name, kmip.BlockCipherModeXTS) != kmip.BlockCipherModeXTS:
		return nil, badParameters("an AES key of %d bits is for the Block Cipher Mode XTS alone, not %v", 8*len(k.key), name)
	case k.block == nil:
		name = kmip.BlockCipherModeXTS
	case name == 0 && k.gcm == nil:
		return nil, badParameters("%s needs a Block Cipher Mode", k.name)
	case name == 0:
		name = kmip.BlockCipherModeGCM
	}
	if int(name) < len(modes) {
		if m := &modes[name]; m.encrypt != nil && (k.name == "AES" || !m.aesOnly) {
			return m, nil
		}
	}
	return nil, notSupported("%s with the Block Cipher Mode %v is not supported", k.name, name)
}

// Encrypt encrypts in the mode that the request or the object names, else with AES-GCM.
func (k *blockKey) Encrypt(_ context.Context, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.encryption, fieldBlockCipherMode)
	m, err := k.mode(p)
	if err != nil {
		return nil, err
	}
	return m.encrypt(k, p, r)
}

// Decrypt is the inverse of Encrypt.
func (k *blockKey) Decrypt(_ context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.encryption, fieldBlockCipherMode)
	m, err := k.mode(p)
	if err != nil {
		return nil, err
	}
	return m.decrypt(k, p, r)
}

func (k *blockKey) encryptGCM(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	return k.gcm.encrypt(p, r)
}

func (k *blockKey) decryptGCM(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	return k.gcm.decrypt(p, r)
}

// A wrapMode is a Block Cipher Mode made for keys.
type wrapMode struct {
	name         string
	wrap, unwrap func(cipher.Block, []byte) ([]byte, error)
}

var wrapModes = map[kmip.BlockCipherMode]wrapMode{
	kmip.BlockCipherModeNISTKeyWrap:       {"NIST key wrap", Wrap, Unwrap},
	kmip.BlockCipherModeAESKeyWrapPadding: {"AES Key Wrap Padding", WrapPad, UnwrapPad},
}

func (k *blockKey) encryptWrapped(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	m := wrapModes[p.BlockCipherMode]
	if err := m.check(p, r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	data, err := m.wrap(k.block, r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

func (k *blockKey) decryptWrapped(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	m := wrapModes[p.BlockCipherMode]
	err := m.check(p, r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag)
	if err != nil {
		return nil, err
	}
	data, err := m.unwrap(k.block, r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

// check refuses what a mode for keys does not take.
func (m *wrapMode) check(p *kmip.CryptographicParameters, iv, additional, tag []byte) error {
	if len(iv) > 0 {
		return invalid("%s takes no IV", m.name)
	}
	if err := unauthenticated(m.name, additional, tag); err != nil {
		return err
	}
	if p.PaddingMethod > kmip.PaddingMethodNone {
		return badParameters("%s takes no Padding Method", m.name)
	}
	return only(p, fieldBlockCipherMode|fieldPaddingMethod, m.name)
}

// unauthenticated refuses additional data and a tag where the mode has no use for them.
func unauthenticated(name string, additional, tag []byte) error {
	if len(additional) > 0 || len(tag) > 0 {
		return invalid("%s takes no Authenticated Encryption Additional Data or Tag", name)
	}
	return nil
}

// Wrap protects key material in the mode GCM, NISTKeyWrap or AESKeyWrapPadding; the second is the default, and all that 3DES has.
func (k *blockKey) Wrap(_ context.Context, p *kmip.CryptographicParameters, material []byte) ([]byte, error) {
	p, m, err := k.wrapMode(p)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return k.gcm.wrap(p, material)
	}
	return m.wrap(k.block, material)
}

// Unwrap is the inverse of Wrap.
func (k *blockKey) Unwrap(_ context.Context, p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	p, m, err := k.wrapMode(p)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return k.gcm.unwrap(p, wrapped)
	}
	return m.unwrap(k.block, wrapped)
}

// wrapMode is the mode for keys that p names, or the object if p names none; nil means GCM.
func (k *blockKey) wrapMode(p *kmip.CryptographicParameters) (*kmip.CryptographicParameters, *wrapMode, error) {
	p = parameters(p, k.wrapping, fieldBlockCipherMode)
	if err := k.is(p); err != nil {
		return nil, nil, err
	}
	name := either(p.BlockCipherMode, kmip.BlockCipherModeNISTKeyWrap)
	m, ok := wrapModes[name]
	switch {
	case k.block == nil || k.gcm == nil && name != kmip.BlockCipherModeNISTKeyWrap || !ok && name != kmip.BlockCipherModeGCM:
		return nil, nil, notSupported("%s with the Block Cipher Mode %v does not wrap keys", k.name, name)
	case !ok:
		return p, nil, nil
	}
	return p, &m, m.check(p, nil, nil, nil)
}
