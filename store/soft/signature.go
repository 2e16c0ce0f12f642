package soft

import (
	"crypto"
	"crypto/rsa"

	"strongroom/kmip"
)

// signing is a signature scheme.
type signing struct {
	scheme  string // for errors
	name    kmip.HashingAlgorithm
	hash    crypto.Hash        // 0: the message itself is signed
	padding kmip.PaddingMethod // PKCS1v15 or PSS, for RSA
	salt    int                // bytes; rsa.PSSSaltLengthAuto if the parameters name none
}

// scheme reads the parameters of a request, for one key.
type scheme func(*kmip.CryptographicParameters) (*signing, error)

// read is what Sign and Signature Verify have in common: the scheme, and what is signed by it.
func (f scheme) read(p *kmip.CryptographicParameters, data, digested []byte) (*signing, []byte, error) {
	s, err := f(p)
	if err != nil {
		return nil, nil, err
	}
	sum, err := s.digest(data, digested)
	return s, sum, err
}

// sign answers Sign with what compute makes of the digest, or of the message.
func (f scheme) sign(r *kmip.SignRequest, compute func(s *signing, sum []byte) ([]byte, error)) (*kmip.SignResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	s, sum, err := f.read(r.CryptographicParameters, r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	if s.name == kmip.HashingAlgorithmSHA1 {
		return nil, notSupported("signatures with SHA-1 are verified, but not made")
	}
	signature, err := compute(s, sum)
	if err != nil {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "signing with %s: %w", s.scheme, err)
	}
	return &kmip.SignResponse{UniqueIdentifier: r.UniqueIdentifier, SignatureData: signature}, nil
}

// verify answers Signature Verify: whether the signature holds.
func (f scheme) verify(r *kmip.SignatureVerifyRequest, holds func(s *signing, sum []byte) bool) (*kmip.SignatureVerifyResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	s, sum, err := f.read(r.CryptographicParameters, r.Data, r.DigestedData)
	if err != nil {
		return nil, err
	}
	v := kmip.ValidityIndicatorInvalid
	if holds(s, sum) {
		v = kmip.ValidityIndicatorValid
	}
	return &kmip.SignatureVerifyResponse{UniqueIdentifier: r.UniqueIdentifier, ValidityIndicator: v}, nil
}

// A signatureScheme is what a Digital Signature Algorithm stands for.
type signatureScheme struct {
	algorithm kmip.CryptographicAlgorithm
	padding   kmip.PaddingMethod
	hash      kmip.HashingAlgorithm // 0: Hashing Algorithm says
}

const (
	algorithmRSA   = kmip.CryptographicAlgorithmRSA
	algorithmECDSA = kmip.CryptographicAlgorithmECDSA
)

var signatureSchemes = map[kmip.DigitalSignatureAlgorithm]signatureScheme{
	kmip.DigitalSignatureAlgorithmSHA1WithRSAEncryption:     {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA1},
	kmip.DigitalSignatureAlgorithmSHA224WithRSAEncryption:   {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA224},
	kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption:   {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA256},
	kmip.DigitalSignatureAlgorithmSHA384WithRSAEncryption:   {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA384},
	kmip.DigitalSignatureAlgorithmSHA512WithRSAEncryption:   {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA512},
	kmip.DigitalSignatureAlgorithmSHA3_256WithRSAEncryption: {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA3_256},
	kmip.DigitalSignatureAlgorithmSHA3_384WithRSAEncryption: {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA3_384},
	kmip.DigitalSignatureAlgorithmSHA3_512WithRSAEncryption: {algorithmRSA, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA3_512},
	kmip.DigitalSignatureAlgorithmRSASSAPSS:                 {algorithmRSA, kmip.PaddingMethodPSS, 0},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA1:             {algorithmECDSA, 0, kmip.HashingAlgorithmSHA1},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA224:           {algorithmECDSA, 0, kmip.HashingAlgorithmSHA224},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA256:           {algorithmECDSA, 0, kmip.HashingAlgorithmSHA256},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA384:           {algorithmECDSA, 0, kmip.HashingAlgorithmSHA384},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA512:           {algorithmECDSA, 0, kmip.HashingAlgorithmSHA512},
}

// named fills in what the Digital Signature Algorithm of p stands for, and refuses what contradicts it.
func (b *base) named(p *kmip.CryptographicParameters) (*kmip.CryptographicParameters, error) {
	if err := b.is(p); err != nil || p.DigitalSignatureAlgorithm == 0 {
		return p, err
	}
	s, ok := signatureSchemes[p.DigitalSignatureAlgorithm]
	if !ok {
		return nil, notSupported("the Digital Signature Algorithm %v is not supported", p.DigitalSignatureAlgorithm)
	}
	c := *p
	c.CryptographicAlgorithm = s.algorithm
	c.PaddingMethod, c.HashingAlgorithm = either(s.padding, p.PaddingMethod), either(s.hash, p.HashingAlgorithm)
	if p.PaddingMethod != 0 && p.PaddingMethod != c.PaddingMethod || p.HashingAlgorithm != 0 && p.HashingAlgorithm != c.HashingAlgorithm {
		return nil, badParameters("the Digital Signature Algorithm %v contradicts the Padding Method or the Hashing Algorithm", p.DigitalSignatureAlgorithm)
	}
	return &c, b.is(&c)
}

// signing reads the parameters of an RSA signature. Without a Padding Method it is PKCS #1 v1.5: that is what Cryptographic
// Algorithm RSA and a Hashing Algorithm together stand for, instead of a Digital Signature Algorithm (KMIP 2.1 §4.16).
func (k *rsaPublic) signing(request *kmip.CryptographicParameters) (*signing, error) {
	const naming = fieldPaddingMethod | fieldDigitalSignatureAlgorithm
	p, err := k.named(parameters(request, k.signature, naming))
	if err != nil {
		return nil, err
	}
	hash, err := digest(p.HashingAlgorithm, kmip.HashingAlgorithmSHA256)
	if err != nil {
		return nil, err
	}
	s := &signing{
		scheme: "RSA", name: either(p.HashingAlgorithm, kmip.HashingAlgorithmSHA256), hash: hash,
		padding: either(p.PaddingMethod, kmip.PaddingMethodPKCS1v15), salt: rsa.PSSSaltLengthAuto,
	}
	switch s.padding {
	case kmip.PaddingMethodPKCS1v15:
		return s, only(p, fieldPaddingMethod|fieldHashingAlgorithm|fieldDigitalSignatureAlgorithm, "RSA PKCS#1 v1.5 signing")
	case kmip.PaddingMethodPSS:
		return s, s.pss(p)
	}
	return nil, notSupported("RSA signing with the Padding Method %v is not supported", p.PaddingMethod)
}

// pss reads the parameters of RSASSA-PSS (RFC 8017 §8.1). A Salt Length that is not named is the hash's length when
// signing, as X.509 certificates have it.
func (s *signing) pss(p *kmip.CryptographicParameters) error {
	const taken = fieldPaddingMethod | fieldHashingAlgorithm | fieldDigitalSignatureAlgorithm | fieldSaltLength |
		fieldMaskGenerator | fieldMaskGeneratorHashingAlgorithm | fieldTrailerField
	switch {
	case p.MaskGenerator > kmip.MaskGeneratorMGF1:
		return notSupported("the Mask Generator %v is not supported", p.MaskGenerator)
	case p.MaskGeneratorHashingAlgorithm != 0 && p.MaskGeneratorHashingAlgorithm != s.name:
		return notSupported("RSA-PSS with %v and a mask of %v is not supported: they are the same", s.name, p.MaskGeneratorHashingAlgorithm)
	case p.TrailerField != nil && *p.TrailerField != 1:
		return notSupported("the Trailer Field %d is not supported: it is 1", *p.TrailerField)
	}
	if p.SaltLength != nil {
		if *p.SaltLength < 1 {
			return notSupported("a Salt Length of %d is not supported", *p.SaltLength)
		}
		s.salt = int(*p.SaltLength)
	}
	return only(p, taken, "RSA-PSS")
}

// digest hashes the data, unless the request brings the digest. A scheme without a hash signs the data as they are.
func (s *signing) digest(data, digested []byte) ([]byte, error) {
	switch {
	case s.hash == 0 && len(digested) > 0:
		return nil, invalid("%s signs Data, not Digested Data", s.scheme)
	case s.hash == 0 && data == nil:
		return nil, kmip.Errorf(kmip.ResultReasonMissingData, "the request has no Data")
	case s.hash == 0:
		return data, nil
	case data != nil && len(digested) > 0:
		return nil, invalid("the request has both Data and Digested Data")
	case len(digested) == 0 && data == nil:
		return nil, kmip.Errorf(kmip.ResultReasonMissingData, "the request has neither Data nor Digested Data")
	case len(digested) == 0:
		h := s.hash.New()
		h.Write(data)
		return h.Sum(nil), nil
	case len(digested) != s.hash.Size():
		return nil, invalid("Digested Data has %d bytes, a digest of %v has %d", len(digested), s.name, s.hash.Size())
	}
	return digested, nil
}
