package soft

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"

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
	s := &signing{name: either(p.HashingAlgorithm, usual), hash: hash}
	return s, only(p, fieldHashingAlgorithm|fieldDigitalSignatureAlgorithm, "ECDSA")
}

// Sign makes an ECDSA signature in DER.
func (k *ecPrivate) Sign(_ context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	s, err := k.signing(r.CryptographicParameters)
	if err != nil {
		return nil, err
	}
	if err := s.strong(); err != nil {
		return nil, err
	}
	sum, err := s.digest(r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, sum)
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "signing with ECDSA: %w", err)
	}
	return &kmip.SignResponse{UniqueIdentifier: r.UniqueIdentifier, SignatureData: signature}, nil
}

// SignatureVerify says whether an ECDSA signature in DER holds.
func (k *ecPublic) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	s, err := k.signing(r.CryptographicParameters)
	if err != nil {
		return nil, err
	}
	sum, err := s.digest(r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	return verdict(r, ecdsa.VerifyASN1(k.public, sum, r.SignatureData)), nil
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

// message is what Ed25519 signs: the data itself (RFC 8032 §5.1), never a digest made elsewhere.
func (k *edPublic) message(p *kmip.CryptographicParameters, data, digested []byte) ([]byte, error) {
	p = parameters(p, k.signature, 0)
	if err := k.is(p); err != nil {
		return nil, err
	}
	if err := only(p, 0, "Ed25519"); err != nil {
		return nil, err
	}
	if len(digested) > 0 {
		return nil, invalid("Ed25519 signs Data, not Digested Data")
	}
	if data == nil {
		return nil, kmip.Errorf(kmip.ResultReasonMissingData, "the request has no Data")
	}
	return data, nil
}

// Sign makes an Ed25519 signature of 64 bytes.
func (k *edPrivate) Sign(_ context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	message, err := k.message(r.CryptographicParameters, r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	signature, err := k.private.Sign(nil, message, crypto.Hash(0))
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "signing with Ed25519: %w", err)
	}
	return &kmip.SignResponse{UniqueIdentifier: r.UniqueIdentifier, SignatureData: signature}, nil
}

// SignatureVerify says whether an Ed25519 signature holds.
func (k *edPublic) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	message, err := k.message(r.CryptographicParameters, r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	return verdict(r, ed25519.Verify(k.public, message, r.SignatureData)), nil
}
