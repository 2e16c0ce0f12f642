package soft

import (
	"crypto/cipher"
	"crypto/subtle"
	"io"

	"strongroom/kmip"
)

const (
	nonceSize    = 12  // bytes; the usual nonce, and the shortest that is made here: SP 800-38D §8.2.2
	longestNonce = 128 // bytes, of one that is made here
	tagSize      = 16  // bytes; the whole tag
	leastTag     = 12  // bytes; the shortest tag of SP 800-38D §5.2.1.2 for general use
)

// aeadFields are the parameters of authenticated encryption.
const aeadFields = fieldBlockCipherMode | fieldPaddingMethod | fieldTagLength | countedFields

// aead is an authenticated cipher with one key.
type aead struct {
	ivRule
	ivs   *invocations
	usual cipher.AEAD // nonces of 12 bytes, tags of 16; nil if every request needs its own

	// sized is the cipher for a nonce, a tag and data of so many bytes; nil if the cipher has only the usual ones.
	sized func(nonce, tag, data int) (cipher.AEAD, error)

	leastTag int // bytes
	even     bool
}

// with is the cipher for a nonce, a tag and data of so many bytes. Its own tag may be longer.
func (a *aead) with(nonce, tag, data int) (cipher.AEAD, error) {
	if a.usual != nil && nonce == nonceSize {
		return a.usual, nil
	}
	if a.sized == nil {
		return nil, invalid("%s takes an IV of %d bytes, not %d", a.name, nonceSize, nonce)
	}
	return a.sized(nonce, tag, data)
}

// check refuses parameters that the cipher does not take, and gives the length of the tag in bytes.
func (a *aead) check(p *kmip.CryptographicParameters) (tag int, err error) {
	if err := only(p, aeadFields, a.name); err != nil {
		return 0, err
	}
	if p.PaddingMethod > kmip.PaddingMethodNone {
		return 0, badParameters("%s takes no padding", a.name)
	}
	if p.TagLength == nil {
		return tagSize, nil
	}
	n := int(*p.TagLength)
	if n < a.leastTag || n > tagSize || a.even && n%2 != 0 {
		// The reason is that of the standard's test cases (CS-BC-M-GCM-1-21).
		return 0, kmip.Errorf(kmip.ResultReasonGeneralFailure, "a tag of %s has %d to %d bytes%s, not %d", a.name, a.leastTag, tagSize, a.evenly(), n)
	}
	return n, nil
}

func (a *aead) evenly() string {
	if a.even {
		return ", an even number"
	}
	return ""
}

// encrypt makes a nonce unless the request brings one. Nonce, ciphertext and tag share one buffer.
func (a *aead) encrypt(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	tag, err := a.check(p)
	if err != nil {
		return nil, err
	}
	iv, buf, err := a.new(a.ivs, p, r, tagSize+len(r.Data))
	if err != nil {
		return nil, err
	}
	c, err := a.with(len(iv), tag, len(r.Data))
	if err != nil {
		return nil, err
	}
	sealed := c.Seal(buf, iv, r.Data, r.AuthenticatedEncryptionAdditionalData)
	n := len(r.Data)
	return &kmip.EncryptResponse{
		UniqueIdentifier:           r.UniqueIdentifier,
		IVCounterNonce:             fresh(r, iv),
		Data:                       sealed[:n:n],
		AuthenticatedEncryptionTag: sealed[n:][:tag:tag],
	}, nil
}

// decrypt takes the tag from its field or, for versions of KMIP that have none, from the end of the data.
func (a *aead) decrypt(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	size, err := a.check(p)
	if err != nil {
		return nil, err
	}
	if err := checkIV(p, r.IVCounterNonce); err != nil {
		return nil, err
	}
	data, tag := r.Data, r.AuthenticatedEncryptionTag
	if len(tag) == 0 && len(data) >= size {
		data, tag = data[:len(data)-size], data[len(data)-size:]
	}
	if len(tag) != size {
		return nil, invalid("the tag has %d bytes, %d are expected", len(tag), size)
	}
	c, err := a.with(len(r.IVCounterNonce), size, len(data))
	if err != nil {
		return nil, err
	}
	plain, err := open(c, r.IVCounterNonce, data, tag, r.AuthenticatedEncryptionAdditionalData)
	if err != nil {
		return nil, errDecryption
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: plain}, nil
}

// open decrypts data if the tag, whole or cut short, is right. Only ciphers that add a key stream may have it cut.
func open(c cipher.AEAD, iv, data, tag, additional []byte) ([]byte, error) {
	buf := make([]byte, 0, len(data)+tagSize)
	if len(tag) == c.Overhead() {
		return c.Open(buf, iv, append(append(buf, data...), tag...), additional)
	}
	// The standard library opens nothing whose tag was cut. These ciphers add a key stream, so that encrypting the
	// ciphertext decrypts it; encrypting that again gives the tag to compare with.
	plain := c.Seal(buf, iv, data, nil)[:len(data)]
	again := c.Seal(nil, iv, plain, additional)
	if subtle.ConstantTimeCompare(again[len(data):][:len(tag)], tag) != 1 {
		clear(plain)
		return nil, errDecryption
	}
	return plain, nil
}

// wrap encrypts key material:
//
//	| nonce, 12 | ciphertext | tag, 16 |
func (a *aead) wrap(p *kmip.CryptographicParameters, material []byte) ([]byte, error) {
	if err := a.checkWrap(p); err != nil {
		return nil, err
	}
	out := make([]byte, nonceSize, nonceSize+len(material)+tagSize)
	if _, err := io.ReadFull(a.ivs.random, out); err != nil {
		return nil, err
	}
	return a.usual.Seal(out, out, material, nil), nil
}

// unwrap is the inverse of wrap.
func (a *aead) unwrap(p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	if err := a.checkWrap(p); err != nil {
		return nil, err
	}
	if len(wrapped) < nonceSize+tagSize {
		return nil, errDecryption
	}
	material, err := a.usual.Open(nil, wrapped[:nonceSize], wrapped[nonceSize:], nil)
	if err != nil {
		return nil, errDecryption
	}
	return material, nil
}

// checkWrap refuses another nonce or tag than those of wrap.
func (a *aead) checkWrap(p *kmip.CryptographicParameters) error {
	tag, err := a.check(p)
	switch {
	case err != nil:
		return err
	case tag != tagSize:
		return notSupported("%s wraps keys with a tag of %d bytes, not %d", a.name, tagSize, tag)
	case p.RandomIV != nil && !*p.RandomIV:
		return notSupported("%s wraps keys with a random IV only", a.name)
	}
	return checkIV(p, make([]byte, nonceSize))
}
