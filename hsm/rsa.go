package hsm

import (
	"context"
	"crypto"
	"crypto/rsa"
	"io"
	"slices"
	"sync/atomic"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// An rsaKey is an RSA private key; it decrypts, unwraps and signs in the token.
type rsaKey struct{ *key }

// An rsaPublicKey is an RSA public key. It computes in software, for it is public, and knows the way to its private half.
type rsaPublicKey struct {
	*key
	private atomic.Pointer[rsaKey] // once Unwrap has found it
}

// A padding is a way to encrypt with RSA.
type padding struct {
	oaep       bool // else PKCS #1 v1.5
	hash, mask int  // rows of digests
	label      []byte
}

// encryption reads the parameters of RSA encryption: OAEP with SHA-256 unless they say otherwise. The mask generator's hash is
// the main one unless it is named: KMIP 2.1 §4.16 says SHA-1, but before 1.4 nothing could name it, and clients and tokens
// take one hash for both.
func encryption(p *kmip.CryptographicParameters) (padding, error) {
	common := []bool{p.BlockCipherMode != 0, p.DigitalSignatureAlgorithm != 0, p.RandomIV != nil, p.IVLength != nil,
		p.TagLength != nil, p.FixedFieldLength != nil, p.InvocationFieldLength != nil, p.CounterLength != nil,
		p.InitialCounterValue != nil, p.SaltLength != nil, p.TrailerField != nil}
	if p.CryptographicAlgorithm != 0 && p.CryptographicAlgorithm != kmip.CryptographicAlgorithmRSA {
		return padding{}, contradiction("the key is RSA, the parameters are for %v", p.CryptographicAlgorithm)
	}
	switch p.PaddingMethod {
	case kmip.PaddingMethodPKCS1v15:
		return padding{}, surplus(p, "RSA PKCS#1 v1.5 encryption", append(common, p.HashingAlgorithm != 0, p.MaskGenerator != 0,
			p.MaskGeneratorHashingAlgorithm != 0, len(p.PSource) > 0)...)
	case 0, kmip.PaddingMethodOAEP:
	default:
		return padding{}, unsupported("RSA encryption with the Padding Method %v is not supported", p.PaddingMethod)
	}
	if p.MaskGenerator > kmip.MaskGeneratorMGF1 {
		return padding{}, unsupported("the Mask Generator %v is not supported", p.MaskGenerator)
	}
	hash, err := digestOf(p.HashingAlgorithm)
	if err != nil {
		return padding{}, err
	}
	mask := hash
	if p.MaskGeneratorHashingAlgorithm != 0 {
		if mask, err = digestOf(p.MaskGeneratorHashingAlgorithm); err != nil {
			return padding{}, err
		}
	}
	return padding{oaep: true, hash: hash, mask: mask, label: p.PSource}, surplus(p, "RSA-OAEP", common...)
}

// longest is the longest message in bytes (RFC 8017 §7.1.1, §7.2.1).
func (p padding) longest(modulus int) int {
	if !p.oaep {
		return max(modulus-11, 0)
	}
	return max(modulus-2*digests[p.hash].hash.Size()-2, 0)
}

// bare refuses what only symmetric encryption has.
func bare(iv, additional, tag []byte) error {
	switch {
	case len(iv) > 0:
		return invalid("RSA takes no IV")
	case len(additional) > 0 || len(tag) > 0:
		return invalid("RSA does not authenticate: it takes no additional data and no tag")
	}
	return nil
}

// seal encrypts with a public key, in software, with padding of random bytes.
func seal(random io.Reader, public crypto.PublicKey, p *kmip.CryptographicParameters, message []byte) ([]byte, error) {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "the token does not tell the public key")
	}
	pad, err := encryption(p)
	if err != nil {
		return nil, err
	}
	if most := pad.longest(key.Size()); len(message) > most {
		return nil, invalid("%d bytes are too many for RSA: with this key and padding the limit is %d", len(message), most)
	}
	var sealed []byte
	if pad.oaep {
		sealed, err = rsa.EncryptOAEPWithOptions(random, key, message,
			&rsa.OAEPOptions{Hash: digests[pad.hash].hash, MGFHash: digests[pad.mask].hash, Label: pad.label})
	} else {
		//lint:ignore SA1019 for clients that know nothing else; OAEP is the default
		sealed, err = rsa.EncryptPKCS1v15(random, key, message)
	}
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "encrypting with RSA: %w", err)
	}
	return sealed, nil
}

// Encrypt encrypts with OAEP (by default, with SHA-256) or PKCS #1 v1.5.
func (k *rsaPublicKey) Encrypt(_ context.Context, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	if err := bare(r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	data, err := seal(k.slot.Random, k.first.public, k.parameters(r.CryptographicParameters, forEncryption), r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

// Wrap protects key material as Encrypt does data.
func (k *rsaPublicKey) Wrap(_ context.Context, p *kmip.CryptographicParameters, material []byte) ([]byte, error) {
	return seal(k.slot.Random, k.first.public, k.parameters(p, forWrapping), material)
}

// Wrap computes with the public half, as Unwrap on that computes with this one.
func (k *rsaKey) Wrap(_ context.Context, p *kmip.CryptographicParameters, material []byte) ([]byte, error) {
	return seal(k.slot.Random, k.first.public, k.parameters(p, forWrapping), material)
}

// Decrypt decrypts in the token.
func (k *rsaKey) Decrypt(ctx context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	if err := bare(r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag); err != nil {
		return nil, err
	}
	data, err := k.open(ctx, k.parameters(r.CryptographicParameters, forEncryption), r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

// Unwrap is the inverse of Wrap, in the token.
func (k *rsaKey) Unwrap(ctx context.Context, p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	return k.open(ctx, k.parameters(p, forWrapping), wrapped)
}

// Unwrap computes with the private half in the token.
func (k *rsaPublicKey) Unwrap(ctx context.Context, p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	private := k.private.Load()
	if private == nil {
		o, err := k.half(ctx, pkcs11.CKO_PRIVATE_KEY)
		if err != nil {
			return nil, err
		}
		private = &rsaKey{key: &key{slot: k.slot, first: o, own: k.own}}
		private.bound.Store(o)
		k.private.Store(private)
	}
	return private.Unwrap(ctx, p, wrapped)
}

// open decrypts in the token. A wrong length, wrong padding and a wrong label are one error. That it failed at all is what
// PKCS #1 v1.5 cannot hide: OAEP can.
func (k *rsaKey) open(ctx context.Context, p *kmip.CryptographicParameters, sealed []byte) (out []byte, err error) {
	pad, err := encryption(p)
	if err != nil {
		return nil, err
	}
	size := (int(k.first.bits) + 7) / 8
	if len(sealed) != size {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	unpadded := true
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		m, raw, err := c.decryption(pad)
		if err != nil {
			return err
		}
		if out, err = c.module.lib.decrypt(s, &m, h, sealed, size); err == nil && raw {
			out, unpadded = unpadRaw(out, size, pad)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, k.fail(err, decryptionFailed)
	case !unpadded:
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	return out, nil
}

// decryption is the proven mechanism for a padding; raw says that it leaves the padding on.
func (c *connection) decryption(p padding) (m mechanism, raw bool, err error) {
	d := &digests[p.hash]
	switch {
	case !p.oaep && c.proof.pkcs1:
		return mechanism{Type: pkcs11.CKM_RSA_PKCS}, false, nil
	case p.oaep && c.proof.oaep[p.hash] && p.mask == p.hash && len(p.label) == 0:
		return mechanism{Type: pkcs11.CKM_RSA_PKCS_OAEP, Parameter: parameterOAEP, Hash: d.ckm, MGF: d.mgf}, false, nil
	case p.oaep && c.proof.rawRSA:
		return mechanism{Type: pkcs11.CKM_RSA_X_509}, true, nil
	}
	return mechanism{}, false, unsupported("slot %d: the token does not do this RSA encryption", c.slot.Number)
}

// unpadRaw removes the OAEP padding of what a token gave without leading zeros, or with.
func unpadRaw(raw []byte, size int, p padding) ([]byte, bool) {
	defer clear(raw)
	if len(raw) > size {
		return nil, false
	}
	em := make([]byte, size)
	defer clear(em)
	copy(em[size-len(raw):], raw)
	return unpadOAEP(em, digests[p.hash].hash, digests[p.mask].hash, p.label)
}

// half is the other half of the pair: the one key of that class with the same CKA_ID that has the same public key.
func (k *key) half(ctx context.Context, class uint) (o *object, err error) {
	if k.first.id == "" {
		return nil, invalid("%q has no CKA_ID, so that its other half cannot be told", k.slot.identifier(k.first.name))
	}
	err = k.slot.do(ctx, func(c *connection, s session) error {
		o, err = c.half(ctx, s, k.first, class)
		return err
	})
	return o, k.slot.tell(err)
}

func (c *connection) half(ctx context.Context, s session, of *object, class uint) (*object, error) {
	if err := c.slot.look(ctx); err != nil {
		return nil, err
	}
	defer c.slot.contents.leave()
	found, err := c.described(s, template{{pkcs11.CKA_CLASS, number(class)}, {pkcs11.CKA_ID, []byte(of.id)}}, 8)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(o *object) bool {
		return o.kind != of.kind || of.public != nil && o.public != nil && !publicEqual(o.public, of.public)
	})
	switch len(found) {
	case 1:
		return c.withName(s, found[0])
	case 0:
		if err := c.alive(s); err != nil {
			return nil, err
		}
		return nil, kmip.Errorf(kmip.ResultReasonObjectNotFound, "the other half of %q is not in the token", c.slot.identifier(of.name))
	}
	return nil, invalid("%q has %d other halves in the token", c.slot.identifier(of.name), len(found))
}
