package hsm

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"strongroom/kmip"
)

// Data is hashed here and the token signs the digest: CKM_RSA_PKCS, CKM_RSA_PKCS_PSS and CKM_ECDSA are the only signing
// mechanisms that every token has.

// A signing is a signature scheme.
type signing struct {
	pss  bool // RSA: else PKCS #1 v1.5
	hash int  // a row of digests
	salt int  // bytes, -1: not named
}

// A signatureScheme is what a Digital Signature Algorithm stands for.
type signatureScheme struct {
	rsa  bool
	pad  kmip.PaddingMethod
	hash kmip.HashingAlgorithm // 0: Hashing Algorithm says
}

var signatureSchemes = map[kmip.DigitalSignatureAlgorithm]signatureScheme{
	kmip.DigitalSignatureAlgorithmSHA1WithRSAEncryption:   {true, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA1},
	kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption: {true, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA256},
	kmip.DigitalSignatureAlgorithmSHA384WithRSAEncryption: {true, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA384},
	kmip.DigitalSignatureAlgorithmSHA512WithRSAEncryption: {true, kmip.PaddingMethodPKCS1v15, kmip.HashingAlgorithmSHA512},
	kmip.DigitalSignatureAlgorithmRSASSAPSS:               {true, kmip.PaddingMethodPSS, 0},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA1:           {false, 0, kmip.HashingAlgorithmSHA1},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA256:         {false, 0, kmip.HashingAlgorithmSHA256},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA384:         {false, 0, kmip.HashingAlgorithmSHA384},
	kmip.DigitalSignatureAlgorithmECDSAWithSHA512:         {false, 0, kmip.HashingAlgorithmSHA512},
}

// scheme reads the parameters of a signature. Without a Padding Method RSA signs with PKCS #1 v1.5: that is what the algorithm
// RSA and a Hashing Algorithm stand for together (KMIP 2.1 §4.16). usual is the hash where none is named.
func scheme(p *kmip.CryptographicParameters, isRSA bool, usual kmip.HashingAlgorithm) (signing, error) {
	pad, hash := p.PaddingMethod, p.HashingAlgorithm
	if p.DigitalSignatureAlgorithm != 0 {
		d, ok := signatureSchemes[p.DigitalSignatureAlgorithm]
		switch {
		case !ok:
			return signing{}, unsupported("the Digital Signature Algorithm %v is not supported in a token", p.DigitalSignatureAlgorithm)
		case d.rsa != isRSA, pad != 0 && pad != d.pad, hash != 0 && d.hash != 0 && hash != d.hash:
			return signing{}, contradiction("the Digital Signature Algorithm %v contradicts the key, the Padding Method or the Hashing Algorithm", p.DigitalSignatureAlgorithm)
		}
		pad = d.pad
		if d.hash != 0 {
			hash = d.hash
		}
	}
	if err := algorithmFits(p.CryptographicAlgorithm, isRSA); err != nil {
		return signing{}, err
	}
	if hash == 0 {
		hash = usual
	}
	row, err := digestOf(hash)
	if err != nil {
		return signing{}, err
	}
	s := signing{hash: row, salt: -1}
	common := []bool{p.BlockCipherMode != 0, p.RandomIV != nil, p.IVLength != nil, p.TagLength != nil, p.FixedFieldLength != nil,
		p.InvocationFieldLength != nil, p.CounterLength != nil, p.InitialCounterValue != nil, len(p.PSource) > 0}
	if isRSA && pad == kmip.PaddingMethodPSS {
		s.pss = true
		return s, s.readPSS(p, hash, common)
	}
	if isRSA && pad != 0 && pad != kmip.PaddingMethodPKCS1v15 || !isRSA && pad > kmip.PaddingMethodNone {
		return signing{}, unsupported("signing with the Padding Method %v is not supported", pad)
	}
	return s, surplus(p, "this signature", append(common, p.SaltLength != nil, p.MaskGenerator != 0,
		p.MaskGeneratorHashingAlgorithm != 0, p.TrailerField != nil)...)
}

func algorithmFits(a kmip.CryptographicAlgorithm, isRSA bool) error {
	if a == 0 || isRSA && a == kmip.CryptographicAlgorithmRSA || !isRSA && ellipticAlgorithm(a) {
		return nil
	}
	return contradiction("the parameters are for %v, the key is not", a)
}

// ellipticAlgorithm says whether an algorithm is one of the names that KMIP has for keys on curves.
func ellipticAlgorithm(a kmip.CryptographicAlgorithm) bool {
	return a == kmip.CryptographicAlgorithmEC || a == kmip.CryptographicAlgorithmECDSA || a == kmip.CryptographicAlgorithmECDH
}

// readPSS reads the parameters of RSASSA-PSS (RFC 8017 §8.1).
func (s *signing) readPSS(p *kmip.CryptographicParameters, hash kmip.HashingAlgorithm, common []bool) error {
	switch {
	case p.MaskGenerator > kmip.MaskGeneratorMGF1:
		return unsupported("the Mask Generator %v is not supported", p.MaskGenerator)
	case p.MaskGeneratorHashingAlgorithm != 0 && p.MaskGeneratorHashingAlgorithm != hash:
		return unsupported("RSA-PSS with %v and a mask of %v is not supported: they are the same", hash, p.MaskGeneratorHashingAlgorithm)
	case p.TrailerField != nil && *p.TrailerField != 1:
		return unsupported("the Trailer Field %d is not supported: it is 1", *p.TrailerField)
	case p.SaltLength != nil && (*p.SaltLength < 1 || *p.SaltLength > 512):
		return unsupported("a Salt Length of %d is not supported", *p.SaltLength)
	case p.SaltLength != nil:
		s.salt = int(*p.SaltLength)
	}
	return surplus(p, "RSA-PSS", common...)
}

// digest hashes the data, unless the request brings the digest.
func (s signing) digest(data, digested []byte) ([]byte, error) {
	d := &digests[s.hash]
	switch {
	case len(data) > 0 && len(digested) > 0:
		return nil, invalid("the request has both Data and Digested Data")
	case len(digested) == 0 && data == nil:
		return nil, kmip.Errorf(kmip.ResultReasonMissingData, "the request has neither Data nor Digested Data")
	case len(digested) == 0:
		h := d.hash.New()
		h.Write(data)
		return h.Sum(nil), nil
	case len(digested) != d.hash.Size():
		return nil, invalid("Digested Data has %d bytes, a digest of %v has %d", len(digested), d.name, d.hash.Size())
	}
	return digested, nil
}

// prepare reads a request to sign.
func prepare(r *kmip.SignRequest, p *kmip.CryptographicParameters, isRSA bool, usual kmip.HashingAlgorithm) (signing, []byte, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return signing{}, nil, err
	}
	s, err := scheme(p, isRSA, usual)
	if err != nil {
		return signing{}, nil, err
	}
	if digests[s.hash].name == kmip.HashingAlgorithmSHA1 {
		return signing{}, nil, unsupported("signatures with SHA-1 are verified, but not made")
	}
	sum, err := s.digest(r.Data, r.DigestedData)
	return s, sum, err
}

// Sign signs with RSA PKCS #1 v1.5 (the default, with SHA-256) or PSS, whose salt is as long as the hash unless it is named.
func (k *rsaKey) Sign(ctx context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	s, sum, err := prepare(r, k.parameters(r.CryptographicParameters, forSigning), true, kmip.HashingAlgorithmSHA256)
	if err != nil {
		return nil, err
	}
	d := &digests[s.hash]
	m := mechanism{Type: pkcs11.CKM_RSA_PKCS}
	if s.pss {
		if s.salt < 0 {
			s.salt = d.hash.Size()
		}
		m = mechanism{Type: pkcs11.CKM_RSA_PKCS_PSS, Parameter: parameterPSS, Hash: d.ckm, MGF: d.mgf, Salt: uint(s.salt)}
	} else if sum, err = digestInfo(s.hash, sum); err != nil {
		return nil, err
	}
	signature, err := k.sign(ctx, m, sum, (int(k.first.bits)+7)/8, func(p *proof) bool {
		return s.pss && p.signPSS || !s.pss && p.signPKCS1
	})
	if err != nil {
		return nil, err
	}
	return &kmip.SignResponse{UniqueIdentifier: r.UniqueIdentifier, SignatureData: signature}, nil
}

// sign runs C_Sign, where the self-test proved the mechanism.
func (k *key) sign(ctx context.Context, m mechanism, data []byte, room int, proven func(*proof) bool) (out []byte, err error) {
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		if !proven(c.proof) {
			return unsupported("slot %d: the token does not do this as the standard has it", k.slot.Number)
		}
		out, err = c.module.lib.sign(s, &m, h, data, room)
		return err
	})
	if err != nil {
		return nil, k.fail(err, signingFailed)
	}
	return out, nil
}

// digestOIDs gives the algorithm identifiers of the rows of digests (RFC 8017 §B.1).
var digestOIDs = [digestCount]asn1.ObjectIdentifier{
	{2, 16, 840, 1, 101, 3, 4, 2, 1}, {2, 16, 840, 1, 101, 3, 4, 2, 2}, {2, 16, 840, 1, 101, 3, 4, 2, 3}, {1, 3, 14, 3, 2, 26},
}

// digestInfo is what PKCS #1 v1.5 signs (RFC 8017 §9.2).
func digestInfo(row int, sum []byte) ([]byte, error) {
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: digestOIDs[row], Parameters: asn1.NullRawValue}, sum})
}

// SignatureVerify says whether a signature holds, in software. PSS salts of any length are right unless the parameters name one.
func (k *rsaPublicKey) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	s, sum, err := k.verifying(r, true, kmip.HashingAlgorithmSHA256)
	if err != nil {
		return nil, err
	}
	public, d := k.first.public.(*rsa.PublicKey), &digests[s.hash]
	if s.pss {
		salt := rsa.PSSSaltLengthAuto
		if s.salt >= 0 {
			salt = s.salt
		}
		err = rsa.VerifyPSS(public, d.hash, sum, r.SignatureData, &rsa.PSSOptions{SaltLength: salt})
	} else {
		err = rsa.VerifyPKCS1v15(public, d.hash, sum, r.SignatureData)
	}
	return verdict(r, err == nil), nil
}

// verifying reads a request to verify.
func (k *key) verifying(r *kmip.SignatureVerifyRequest, isRSA bool, usual kmip.HashingAlgorithm) (signing, []byte, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return signing{}, nil, err
	}
	s, err := scheme(k.parameters(r.CryptographicParameters, forSigning), isRSA, usual)
	if err != nil {
		return signing{}, nil, err
	}
	sum, err := s.digest(r.Data, r.DigestedData)
	return s, sum, err
}

func verdict(r *kmip.SignatureVerifyRequest, valid bool) *kmip.SignatureVerifyResponse {
	v := kmip.ValidityIndicatorInvalid
	if valid {
		v = kmip.ValidityIndicatorValid
	}
	return &kmip.SignatureVerifyResponse{UniqueIdentifier: r.UniqueIdentifier, ValidityIndicator: v}
}

// An ecKey is a private key on a curve; it signs in the token with ECDSA.
type ecKey struct{ *key }

// An ecPublicKey verifies in software.
type ecPublicKey struct{ *key }

// usualHash is the hash that goes with a curve (FIPS 186-5 §6.1.1: at least as strong).
func usualHash(bits int32) kmip.HashingAlgorithm {
	switch {
	case bits > 384:
		return kmip.HashingAlgorithmSHA512
	case bits > 256:
		return kmip.HashingAlgorithmSHA384
	}
	return kmip.HashingAlgorithmSHA256
}

// derOf is an ECDSA signature in DER (RFC 3279 §2.2.3) of what PKCS#11 gives: r and s, one behind the other.
func derOf(raw []byte) ([]byte, error) {
	half := len(raw) / 2
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[:half]))
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[half:]))
	})
	return b.Bytes()
}

// Sign signs with ECDSA, by default with the hash that goes with the curve. The signature is DER.
func (k *ecKey) Sign(ctx context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	_, sum, err := prepare(r, k.parameters(r.CryptographicParameters, forSigning), false, usualHash(k.first.bits))
	if err != nil {
		return nil, err
	}
	size := (int(k.first.bits) + 7) / 8
	sum = sum[:min(len(sum), size)] // the leftmost bits count (FIPS 186-5 §6.4.1), and not every token cuts them itself
	raw, err := k.sign(ctx, mechanism{Type: pkcs11.CKM_ECDSA}, sum, 2*size, func(p *proof) bool { return p.signECDSA })
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, signingFailed)
	}
	signature, err := derOf(raw)
	if err != nil {
		return nil, err
	}
	return &kmip.SignResponse{UniqueIdentifier: r.UniqueIdentifier, SignatureData: signature}, nil
}

// SignatureVerify says whether a signature in DER holds.
func (k *ecPublicKey) SignatureVerify(_ context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	_, sum, err := k.verifying(r, false, usualHash(k.first.bits))
	if err != nil {
		return nil, err
	}
	return verdict(r, ecdsa.VerifyASN1(k.first.public.(*ecdsa.PublicKey), sum, r.SignatureData)), nil
}

// An hmacKey computes message authentication codes in the token.
type hmacKey struct {
	*key
	algorithm kmip.CryptographicAlgorithm // the object's; the token does not know
}

// MAC computes HMAC with the key's algorithm; of a key that another tool made, which has none, with that of the request, else SHA-256.
func (k *hmacKey) MAC(ctx context.Context, r *kmip.MACRequest) (*kmip.MACResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := k.parameters(r.CryptographicParameters, forMAC)
	algorithm := cmp.Or(k.algorithm, p.CryptographicAlgorithm)
	if p.CryptographicAlgorithm != 0 && p.CryptographicAlgorithm != algorithm {
		return nil, contradiction("the key is %v, the parameters are for %v", algorithm, p.CryptographicAlgorithm)
	}
	if err := surplus(p, "HMAC", append(noneOfMAC(p), p.BlockCipherMode != 0)...); err != nil {
		return nil, err
	}
	row, ok := hmacs[algorithm]
	switch {
	case !ok && algorithm != 0:
		return nil, unsupported("a MAC with %v is not supported in a token", algorithm)
	case algorithm == 0 && p.HashingAlgorithm != 0:
		var err error
		if row, err = digestOf(p.HashingAlgorithm); err != nil {
			return nil, err
		}
	case p.HashingAlgorithm != 0 && p.HashingAlgorithm != digests[row].name:
		return nil, contradiction("%v does not use %v", algorithm, p.HashingAlgorithm)
	}
	d := &digests[row]
	sum, err := k.sign(ctx, mechanism{Type: d.hmac}, r.Data, d.hash.Size(), func(p *proof) bool { return p.hmac[row] })
	if err != nil {
		return nil, err
	}
	return &kmip.MACResponse{UniqueIdentifier: r.UniqueIdentifier, MACData: sum}, nil
}

// expectedMAC is what the self-test compares with.
func expectedMAC(row int, key, data []byte) []byte {
	h := hmac.New(digests[row].hash.New, key)
	h.Write(data)
	return h.Sum(nil)
}
