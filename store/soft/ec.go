package soft

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"

	"strongroom/kmip"
)

// ecPublic is an opened public key on a NIST curve.
type ecPublic struct {
	base
	public *ecdsa.PublicKey
}

// ecPrivate is an opened private key on a NIST curve; it also does what its public half does.
type ecPrivate struct {
	ecPublic
	private *ecdsa.PrivateKey
}

// Close has nothing to clear: the key is public.
func (k *ecPublic) Close() {}

// Close clears the private scalar.
func (k *ecPrivate) Close() {
	//lint:ignore SA1019 there is no other way to the words
	clear(k.private.D.Bits())
	k.private = nil
}

// signing reads the parameters of an ECDSA signature. The usual hash is as strong as the curve.
func (k *ecPublic) signing(request *kmip.CryptographicParameters) (*signing, error) {
	const naming = fieldHashingAlgorithm | fieldDigitalSignatureAlgorithm
	p, err := k.named(parameters(request, k.signature, naming))
	if err != nil {
		return nil, err
	}
	if k.algorithm == kmip.CryptographicAlgorithmECDH {
		return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "a key for ECDH does not sign")
	}
	usual := kmip.HashingAlgorithmSHA256
	switch bits := k.public.Curve.Params().BitSize; {
	case bits > 384:
		usual = kmip.HashingAlgorithmSHA512
	case bits > 256:
		usual = kmip.HashingAlgorithmSHA384
	}
	hash, err := digest(p.HashingAlgorithm, usual)
	if err != nil {
		return nil, err
	}
	s := &signing{scheme: "ECDSA", name: either(p.HashingAlgorithm, usual), hash: hash}
	return s, only(p, fieldHashingAlgorithm|fieldDigitalSignatureAlgorithm, "ECDSA")
}

// Sign makes an ECDSA signature in DER.
func (k *ecPrivate) Sign(_ context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	return scheme(k.signing).sign(r, func(_ *signing, sum []byte) ([]byte, error) {
		return ecdsa.SignASN1(k.random, k.private, sum)
	})
}

// SignatureVerify says whether an ECDSA signature in DER holds.
func (k *ecPublic) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	return scheme(k.signing).verify(r, func(_ *signing, sum []byte) bool {
		return ecdsa.VerifyASN1(k.public, sum, r.SignatureData)
	})
}

// edPublic is an opened Ed25519 public key.
type edPublic struct {
	base
	public ed25519.PublicKey
}

// edPrivate is an opened Ed25519 private key; it also does what its public half does.
type edPrivate struct {
	edPublic
	private ed25519.PrivateKey
}

// Close has nothing to clear: the key is public.
func (k *edPublic) Close() {}

// Close clears the key.
func (k *edPrivate) Close() { clear(k.private) }

// signing reads the parameters of Ed25519, which has none: it signs the data themselves (RFC 8032 §5.1), never a digest made
// elsewhere.
func (k *edPublic) signing(request *kmip.CryptographicParameters) (*signing, error) {
	p := parameters(request, k.signature, 0)
	if err := k.is(p); err != nil {
		return nil, err
	}
	return &signing{scheme: "Ed25519"}, only(p, 0, "Ed25519")
}

// Sign makes an Ed25519 signature of 64 bytes.
func (k *edPrivate) Sign(_ context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	return scheme(k.signing).sign(r, func(_ *signing, message []byte) ([]byte, error) {
		return k.private.Sign(nil, message, crypto.Hash(0))
	})
}

// SignatureVerify says whether an Ed25519 signature holds.
func (k *edPublic) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	return scheme(k.signing).verify(r, func(_ *signing, message []byte) bool {
		return ed25519.Verify(k.public, message, r.SignatureData)
	})
}
