package soft

import (
	"context"
	"crypto/hmac"

	//lint:ignore SA1019 for keys of Poly1305 alone, which KMIP has
	"golang.org/x/crypto/poly1305"

	"strongroom/kmip"
)

// hmacHashes gives the hash of each HMAC.
var hmacHashes = map[kmip.CryptographicAlgorithm]kmip.HashingAlgorithm{
	kmip.CryptographicAlgorithmHMACSHA1:     kmip.HashingAlgorithmSHA1,
	kmip.CryptographicAlgorithmHMACSHA224:   kmip.HashingAlgorithmSHA224,
	kmip.CryptographicAlgorithmHMACSHA256:   kmip.HashingAlgorithmSHA256,
	kmip.CryptographicAlgorithmHMACSHA384:   kmip.HashingAlgorithmSHA384,
	kmip.CryptographicAlgorithmHMACSHA512:   kmip.HashingAlgorithmSHA512,
	kmip.CryptographicAlgorithmHMACSHA3_224: kmip.HashingAlgorithmSHA3_224,
	kmip.CryptographicAlgorithmHMACSHA3_256: kmip.HashingAlgorithmSHA3_256,
	kmip.CryptographicAlgorithmHMACSHA3_384: kmip.HashingAlgorithmSHA3_384,
	kmip.CryptographicAlgorithmHMACSHA3_512: kmip.HashingAlgorithmSHA3_512,
}

// macKey is an opened key of an HMAC.
type macKey struct {
	base
	key []byte
}

// Close clears the key.
func (k *macKey) Close() { clear(k.key) }

// MAC computes the key's own HMAC.
func (k *macKey) MAC(_ context.Context, r *kmip.MACRequest) (*kmip.MACResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.authentication, 0)
	if err := k.is(p); err != nil {
		return nil, err
	}
	return authenticate(k.algorithm, k.key, p, r)
}

// MAC computes the HMAC that the parameters name in Cryptographic Algorithm; without one, CMAC.
func (k *blockKey) MAC(_ context.Context, r *kmip.MACRequest) (*kmip.MACResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.authentication, fieldBlockCipherMode)
	if hmacHashes[p.CryptographicAlgorithm] != 0 {
		return authenticate(p.CryptographicAlgorithm, k.key, p, r)
	}
	if err := k.is(p); err != nil {
		return nil, err
	}
	if err := only(p, fieldBlockCipherMode, k.name+"-CMAC"); err != nil {
		return nil, err
	}
	switch {
	case p.BlockCipherMode != 0 && p.BlockCipherMode != kmip.BlockCipherModeCMAC:
		return nil, notSupported("a MAC with %s and the Block Cipher Mode %v is not supported", k.name, p.BlockCipherMode)
	case k.block == nil:
		return nil, badParameters("an AES key of %d bits is for the Block Cipher Mode XTS alone, not for CMAC", 8*len(k.key))
	}
	return &kmip.MACResponse{UniqueIdentifier: r.UniqueIdentifier, MACData: cmac(k.block, r.Data)}, nil
}

// onceKey is an opened key of Poly1305 (RFC 8439 §2.5). It authenticates one message: two under one key give it away. Nothing
// here counts them.
type onceKey struct {
	base
	key [32]byte
}

// Close clears the key.
func (k *onceKey) Close() { clear(k.key[:]) }

// MAC computes the one-time authenticator.
func (k *onceKey) MAC(_ context.Context, r *kmip.MACRequest) (*kmip.MACResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := parameters(r.CryptographicParameters, k.authentication, 0)
	if err := k.is(p); err != nil {
		return nil, err
	}
	if err := only(p, 0, "Poly1305"); err != nil {
		return nil, err
	}
	var tag [poly1305.TagSize]byte
	poly1305.Sum(&tag, r.Data, &k.key)
	return &kmip.MACResponse{UniqueIdentifier: r.UniqueIdentifier, MACData: tag[:]}, nil
}

// authenticate computes an HMAC. A Hashing Algorithm may be named, if it is the HMAC's own.
func authenticate(algorithm kmip.CryptographicAlgorithm, key []byte, p *kmip.CryptographicParameters, r *kmip.MACRequest) (*kmip.MACResponse, error) {
	if err := only(p, fieldHashingAlgorithm, algorithm.String()); err != nil {
		return nil, err
	}
	name := hmacHashes[algorithm]
	if p.HashingAlgorithm != 0 && p.HashingAlgorithm != name {
		return nil, badParameters("%v does not use %v", algorithm, p.HashingAlgorithm)
	}
	h := hmac.New(digests[name].New, key)
	h.Write(r.Data)
	return &kmip.MACResponse{UniqueIdentifier: r.UniqueIdentifier, MACData: h.Sum(nil)}, nil
}
