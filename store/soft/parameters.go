package soft

import (
	"io"
	"math/bits"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// fields is a set of fields of Cryptographic Parameters.
type fields uint32

// The fields, in the order of KMIP 2.1 §4.16. Cryptographic Algorithm is checked for every key, and Key Role Type says
// what a key is for and nothing about how it computes: every mechanism takes both.
const (
	fieldBlockCipherMode fields = 1 << iota
	fieldPaddingMethod
	fieldHashingAlgorithm
	fieldDigitalSignatureAlgorithm
	fieldRandomIV
	fieldIVLength
	fieldTagLength
	fieldFixedFieldLength
	fieldInvocationFieldLength
	fieldCounterLength
	fieldInitialCounterValue
	fieldSaltLength
	fieldMaskGenerator
	fieldMaskGeneratorHashingAlgorithm
	fieldPSource
	fieldTrailerField
)

var fieldNames = [...]string{
	"Block Cipher Mode", "Padding Method", "Hashing Algorithm", "Digital Signature Algorithm", "Random IV", "IV Length",
	"Tag Length", "Fixed Field Length", "Invocation Field Length", "Counter Length", "Initial Counter Value", "Salt Length",
	"Mask Generator", "Mask Generator Hashing Algorithm", "P Source", "Trailer Field",
}

// given is the set of fields that p has.
func given(p *kmip.CryptographicParameters) fields {
	return has(p.BlockCipherMode != 0, fieldBlockCipherMode) |
		has(p.PaddingMethod != 0, fieldPaddingMethod) |
		has(p.HashingAlgorithm != 0, fieldHashingAlgorithm) |
		has(p.DigitalSignatureAlgorithm != 0, fieldDigitalSignatureAlgorithm) |
		has(p.RandomIV != nil, fieldRandomIV) |
		has(p.IVLength != nil, fieldIVLength) |
		has(p.TagLength != nil, fieldTagLength) |
		has(p.FixedFieldLength != nil, fieldFixedFieldLength) |
		has(p.InvocationFieldLength != nil, fieldInvocationFieldLength) |
		has(p.CounterLength != nil, fieldCounterLength) |
		has(p.InitialCounterValue != nil, fieldInitialCounterValue) |
		has(p.SaltLength != nil, fieldSaltLength) |
		has(p.MaskGenerator != 0, fieldMaskGenerator) |
		has(p.MaskGeneratorHashingAlgorithm != 0, fieldMaskGeneratorHashingAlgorithm) |
		has(len(p.PSource) > 0, fieldPSource) |
		has(p.TrailerField != nil, fieldTrailerField)
}

func has(present bool, f fields) fields {
	if present {
		return f
	}
	return 0
}

// only refuses parameters that have other fields than those the mechanism called name takes.
func only(p *kmip.CryptographicParameters, taken fields, name string) error {
	if surplus := given(p) &^ taken; surplus != 0 {
		return badParameters("%s does not take the parameter %s", name, fieldNames[bits.TrailingZeros32(uint32(surplus))])
	}
	return nil
}

// completed is p, with what it leaves out taken from d.
func completed(p, d *kmip.CryptographicParameters) *kmip.CryptographicParameters {
	c := *p
	c.BlockCipherMode = either(p.BlockCipherMode, d.BlockCipherMode)
	c.PaddingMethod = either(p.PaddingMethod, d.PaddingMethod)
	c.HashingAlgorithm = either(p.HashingAlgorithm, d.HashingAlgorithm)
	c.DigitalSignatureAlgorithm = either(p.DigitalSignatureAlgorithm, d.DigitalSignatureAlgorithm)
	c.CryptographicAlgorithm = either(p.CryptographicAlgorithm, d.CryptographicAlgorithm)
	c.RandomIV = either(p.RandomIV, d.RandomIV)
	c.IVLength = either(p.IVLength, d.IVLength)
	c.TagLength = either(p.TagLength, d.TagLength)
	c.FixedFieldLength = either(p.FixedFieldLength, d.FixedFieldLength)
	c.InvocationFieldLength = either(p.InvocationFieldLength, d.InvocationFieldLength)
	c.CounterLength = either(p.CounterLength, d.CounterLength)
	c.InitialCounterValue = either(p.InitialCounterValue, d.InitialCounterValue)
	c.SaltLength = either(p.SaltLength, d.SaltLength)
	c.MaskGenerator = either(p.MaskGenerator, d.MaskGenerator)
	c.MaskGeneratorHashingAlgorithm = either(p.MaskGeneratorHashingAlgorithm, d.MaskGeneratorHashingAlgorithm)
	c.TrailerField = either(p.TrailerField, d.TrailerField)
	if len(p.PSource) == 0 {
		c.PSource = d.PSource
	}
	return &c
}

func either[T comparable](a, b T) T {
	var none T
	if a == none {
		return b
	}
	return a
}

// base is what every opened key has.
type base struct {
	kmip.Unsupported
	algorithm kmip.CryptographicAlgorithm
	random    io.Reader // where IVs, salts and random padding come from

	// The object's own parameters for one kind of operation: the first instance of its attribute Cryptographic
	// Parameters that can be meant, else an empty one.
	encryption, wrapping, signature, authentication *kmip.CryptographicParameters
}

// newBase looks through the object's attributes for its parameters.
func newBase(algorithm kmip.CryptographicAlgorithm, a kmip.Attributes, random io.Reader) base {
	own := kmip.All[kmip.CryptographicParameters](a, ttlv.TagCryptographicParameters)
	first := func(fits func(*kmip.CryptographicParameters) bool) *kmip.CryptographicParameters {
		for i := range own {
			if fits(&own[i]) {
				return &own[i]
			}
		}
		return new(kmip.CryptographicParameters)
	}
	return base{
		Unsupported: kmip.Unsupported{Kind: kind(algorithm)},
		algorithm:   algorithm,
		random:      system(random),
		encryption: first(func(p *kmip.CryptographicParameters) bool {
			return !forMAC(p) && p.PaddingMethod != kmip.PaddingMethodPSS && p.DigitalSignatureAlgorithm == 0
		}),
		wrapping: first(forWrapping),
		signature: first(func(p *kmip.CryptographicParameters) bool {
			return !forMAC(p) && p.PaddingMethod != kmip.PaddingMethodOAEP
		}),
		authentication: first(forMAC),
	}
}

// kind is what errors call a key.
func kind(algorithm kmip.CryptographicAlgorithm) string {
	if algorithm == 0 {
		return ""
	}
	return "a key of " + algorithm.String()
}

// forMAC says whether p can only be meant for a message authentication code.
func forMAC(p *kmip.CryptographicParameters) bool {
	return p.BlockCipherMode == kmip.BlockCipherModeCMAC || hmacHashes[p.CryptographicAlgorithm] != 0
}

// forWrapping says whether p can be meant for wrapping keys.
func forWrapping(p *kmip.CryptographicParameters) bool {
	_, ok := wrapModes[p.BlockCipherMode]
	return ok || p.BlockCipherMode == kmip.BlockCipherModeGCM ||
		p.PaddingMethod == kmip.PaddingMethodOAEP || p.PaddingMethod == kmip.PaddingMethodPKCS1v15 && p.DigitalSignatureAlgorithm == 0
}

// parameters are those of a request, else the object's own. A request that names no mechanism (none of the fields in
// naming) has what it leaves out taken from the object's.
func parameters(request, own *kmip.CryptographicParameters, naming fields) *kmip.CryptographicParameters {
	switch {
	case request == nil:
		return own
	case given(request)&naming == 0 && given(own) != 0:
		return completed(request, own)
	}
	return request
}

// is refuses parameters for another algorithm than the key's.
func (b *base) is(p *kmip.CryptographicParameters) error {
	if p.CryptographicAlgorithm == 0 || p.CryptographicAlgorithm == b.algorithm ||
		ofCurves[p.CryptographicAlgorithm] && ofCurves[b.algorithm] {
		return nil
	}
	return badParameters("the key is %v, the parameters are for %v", b.algorithm, p.CryptographicAlgorithm)
}

// ofCurves holds the names that KMIP has for keys on the same curves.
var ofCurves = map[kmip.CryptographicAlgorithm]bool{
	kmip.CryptographicAlgorithmEC:    true,
	kmip.CryptographicAlgorithmECDSA: true,
	kmip.CryptographicAlgorithmECDH:  true,
	kmip.CryptographicAlgorithmECMQV: true,
}
