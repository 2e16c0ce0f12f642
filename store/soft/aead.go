package soft

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"

	"strongroom/kmip"
)

const (
	nonceSize = 12 // bytes; the nonce that the server makes, and the usual one
	tagSize   = 16 // bytes; the whole tag
	leastTag  = 12 // bytes; the shortest tag of SP 800-38D §5.2.1.2 for general use
)

// aeadFields are the parameters of authenticated encryption.
const aeadFields = fieldBlockCipherMode | fieldPaddingMethod | fieldRandomIV | fieldIVLength | fieldTagLength

// aead is an authenticated cipher with one key.
type aead struct {
	name   string
	usual  cipher.AEAD                      // nonces of 12 bytes
	nonces func(n int) (cipher.AEAD, error) // nonces of n bytes; nil if the cipher has only the usual ones
}

// with is the cipher for nonces of n bytes.
func (a *aead) with(n int) (cipher.AEAD, error) {
	if n == nonceSize {
		return a.usual, nil
	}
	if a.nonces == nil {
		return nil, invalid("%s takes an IV of %d bytes, not %d", a.name, nonceSize, n)
	}
	return a.nonces(n)
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
	if n := *p.TagLength; n < leastTag || n > tagSize {
		// The reason is that of the standard's test cases (CS-BC-M-GCM-1-21).
		return 0, kmip.Errorf(kmip.ResultReasonGeneralFailure, "a tag has %d to %d bytes, not %d", leastTag, tagSize, n)
	}
	return int(*p.TagLength), nil
}

// encrypt makes a nonce unless the request brings one. Nonce, ciphertext and tag share one buffer.
func (a *aead) encrypt(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	tag, err := a.check(p)
	if err != nil {
		return nil, err
	}
	iv, buf, err := newIV(p, r, nonceSize, tagSize+len(r.Data))
	if err != nil {
		return nil, err
	}
	c, err := a.with(len(iv))
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
	c, err := a.with(len(r.IVCounterNonce))
	if err != nil {
		return nil, err
	}
	data, tag := r.Data, r.AuthenticatedEncryptionTag
	if len(tag) == 0 && len(data) >= size {
		data, tag = data[:len(data)-size], data[len(data)-size:]
	}
	if len(tag) != size {
		return nil, invalid("the tag has %d bytes, %d are expected", len(tag), size)
	}
	plain, err := open(c, r.IVCounterNonce, data, tag, r.AuthenticatedEncryptionAdditionalData)
	if err != nil {
		return nil, errDecryption
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: plain}, nil
}

// open decrypts data if the tag, whole or cut short, is right.
func open(c cipher.AEAD, iv, data, tag, additional []byte) ([]byte, error) {
	buf := make([]byte, 0, len(data)+tagSize)
	if len(tag) == tagSize {
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
	rand.Read(out)
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

// newIV gives the IV for an encryption and an empty buffer with room for so many bytes. The client's IV is used as it is;
// without one, it is made from crypto/rand, at the front of the same allocation.
func newIV(p *kmip.CryptographicParameters, r *kmip.EncryptRequest, size, room int) (iv, buf []byte, err error) {
	if iv := r.IVCounterNonce; len(iv) > 0 {
		if q := r.CryptographicParameters; q != nil && isTrue(q.RandomIV) {
			return nil, nil, badParameters("the request has an IV and asks for a random one")
		}
		return iv, make([]byte, 0, room), checkIV(p, iv)
	}
	if p.RandomIV != nil && !*p.RandomIV {
		return nil, nil, errMissingIV
	}
	buf = make([]byte, size, size+room)
	rand.Read(buf)
	return buf[:size:size], buf[size:], checkIV(p, buf)
}

// fresh is the IV to answer: the one made here, none if the request has its own.
func fresh(r *kmip.EncryptRequest, iv []byte) []byte {
	if len(r.IVCounterNonce) > 0 {
		return nil
	}
	return iv
}

// checkIV refuses an IV that is missing, or not as long as the parameters say.
func checkIV(p *kmip.CryptographicParameters, iv []byte) error {
	switch {
	case len(iv) == 0:
		return errMissingIV
	case p.IVLength != nil && int(*p.IVLength) != 8*len(iv):
		return badParameters("the IV has %d bits, IV Length says %d", 8*len(iv), *p.IVLength)
	}
	return nil
}
