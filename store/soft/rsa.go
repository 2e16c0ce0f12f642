package soft

import (
	"context"
	"crypto"
	"crypto/rsa"

	"strongroom/kmip"
)

// rsaPublic is an opened RSA public key.
type rsaPublic struct {
	base
	public *rsa.PublicKey
}

// rsaPrivate is an opened RSA private key; it also does what its public half does.
type rsaPrivate struct {
	rsaPublic
	private *rsa.PrivateKey
}

// Close has nothing to clear: the key is public.
func (k *rsaPublic) Close() {}

// Close clears the private exponent and the primes. What the standard library computed from them is left to the garbage
// collector.
func (k *rsaPrivate) Close() {
	clear(k.private.D.Bits())
	for _, prime := range k.private.Primes {
		clear(prime.Bits())
	}
	k.private = nil
}

// oaep reads the parameters of RSAES-OAEP (RFC 8017 §7.1). The mask generator's hash is the main one unless it is named:
// KMIP 2.1 §4.16 says SHA-1, but before 1.4 nothing could name it, and clients and tokens take one hash for both.
func oaep(p *kmip.CryptographicParameters) (*rsa.OAEPOptions, error) {
	const taken = fieldPaddingMethod | fieldHashingAlgorithm | fieldMaskGenerator | fieldMaskGeneratorHashingAlgorithm | fieldPSource
	if err := only(p, taken, "RSA-OAEP"); err != nil {
		return nil, err
	}
	hash, err := digest(p.HashingAlgorithm, kmip.HashingAlgorithmSHA256)
	if err != nil {
		return nil, err
	}
	mask := hash
	if p.MaskGeneratorHashingAlgorithm != 0 {
		mask, err = digest(p.MaskGeneratorHashingAlgorithm, 0)
	}
	if p.MaskGenerator > kmip.MaskGeneratorMGF1 {
		err = notSupported("the Mask Generator %v is not supported", p.MaskGenerator)
	}
	return &rsa.OAEPOptions{Hash: hash, MGFHash: mask, Label: p.PSource}, err
}

// scheme reads the parameters of an encryption: options for OAEP, which is the default, nil for PKCS #1 v1.5; and the
// longest message in bytes (RFC 8017 §7.1.1, §7.2.1).
func (k *rsaPublic) scheme(p *kmip.CryptographicParameters) (options *rsa.OAEPOptions, longest int, err error) {
	if err := k.is(p); err != nil {
		return nil, 0, err
	}
	switch p.PaddingMethod {
	case 0, kmip.PaddingMethodOAEP:
		options, err = oaep(p)
		if err != nil {
			return nil, 0, err
		}
		longest = k.public.Size() - 2*options.Hash.Size() - 2
	case kmip.PaddingMethodPKCS1v15:
		longest, err = k.public.Size()-11, only(p, fieldPaddingMethod, "RSA PKCS#1 v1.5 encryption")
	default:
		err = notSupported("RSA encryption with the Padding Method %v is not supported", p.PaddingMethod)
	}
	return options, longest, err
}

// seal encrypts a message.
func (k *rsaPublic) seal(p *kmip.CryptographicParameters, message []byte) ([]byte, error) {
	options, longest, err := k.scheme(p)
	if err != nil {
		return nil, err
	}
	if len(message) > longest {
		return nil, invalid("%d bytes are too many for RSA: with this key and padding the limit is %d", len(message), max(longest, 0))
	}
	var sealed []byte
	if options == nil {
		//lint:ignore SA1019 for clients that know nothing else; OAEP is the default
		sealed, err = rsa.EncryptPKCS1v15(k.random, k.public, message)
	} else {
		sealed, err = rsa.EncryptOAEPWithOptions(k.random, k.public, message, options)
	}
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "encrypting with RSA: %w", err)
	}
	return sealed, nil
}

// open decrypts what seal made. A wrong length, wrong padding and a wrong label are one error; the standard library checks
// the padding in constant time. That it failed at all is what PKCS #1 v1.5 cannot hide; OAEP is the default for that.
func (k *rsaPrivate) open(p *kmip.CryptographicParameters, sealed []byte) ([]byte, error) {
	options, _, err := k.scheme(p)
	if err != nil {
		return nil, err
	}
	var decrypter crypto.DecrypterOpts
	if options != nil {
		decrypter = options
	}
	message, err := k.private.Decrypt(nil, sealed, decrypter)
	if err != nil {
		return nil, errDecryption
	}
	return message, nil
}

// Encrypt encrypts with OAEP (by default, with SHA-256) or PKCS #1 v1.5.
func (k *rsaPublic) Encrypt(_ context.Context, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	if err := bare(r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	data, err := k.seal(parameters(r.CryptographicParameters, k.encryption, fieldPaddingMethod), r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

// Decrypt is the inverse of Encrypt.
func (k *rsaPrivate) Decrypt(_ context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	if err := bare(r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag); err != nil {
		return nil, err
	}
	data, err := k.open(parameters(r.CryptographicParameters, k.encryption, fieldPaddingMethod), r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

// Wrap protects key material as Encrypt does data.
func (k *rsaPublic) Wrap(_ context.Context, p *kmip.CryptographicParameters, material []byte) ([]byte, error) {
	return k.seal(parameters(p, k.wrapping, fieldPaddingMethod), material)
}

// Unwrap is the inverse of Wrap.
func (k *rsaPrivate) Unwrap(_ context.Context, p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	return k.open(parameters(p, k.wrapping, fieldPaddingMethod), wrapped)
}

// bare refuses what only symmetric encryption has.
func bare(iv, additional, tag []byte) error {
	if len(iv) > 0 {
		return invalid("RSA takes no IV")
	}
	return unauthenticated("RSA", additional, tag)
}

// Sign signs with the scheme that the parameters name.
func (k *rsaPrivate) Sign(_ context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	return scheme(k.signing).sign(r, func(s *signing, sum []byte) ([]byte, error) {
		var options crypto.SignerOpts = s.hash
		if s.padding == kmip.PaddingMethodPSS {
			options = &rsa.PSSOptions{SaltLength: either(s.salt, rsa.PSSSaltLengthEqualsHash), Hash: s.hash}
		}
		return k.private.Sign(k.random, sum, options)
	})
}

// SignatureVerify says whether a signature holds. PSS salts of any length are right unless the parameters name one.
func (k *rsaPublic) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	return scheme(k.signing).verify(r, func(s *signing, sum []byte) bool {
		if s.padding == kmip.PaddingMethodPSS {
			return rsa.VerifyPSS(k.public, s.hash, sum, r.SignatureData, &rsa.PSSOptions{SaltLength: s.salt}) == nil
		}
		return rsa.VerifyPKCS1v15(k.public, s.hash, sum, r.SignatureData) == nil
	})
}
