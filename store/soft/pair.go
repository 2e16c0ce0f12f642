package soft

import (
	"io"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// GeneratePair makes the pair that the attributes of its halves describe, of random bytes (nil for those of crypto/rand): RSA, a NIST curve (by the
// Recommended Curve of the Cryptographic Domain Parameters, else by the Cryptographic Length), Ed25519 or X25519. What both
// halves describe must agree. The private key is in PKCS #8, the public one a SubjectPublicKeyInfo, unless the attribute Key
// Format Type says otherwise.
func GeneratePair(private, public kmip.Attributes, random io.Reader) (*kmip.Value, *kmip.Value, error) {
	random = system(random)
	algorithm, err := agreed(private, public, ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithm(0))
	if err != nil {
		return nil, nil, err
	}
	length, err := agreed(private, public, ttlv.TagCryptographicLength, int32(0))
	if err != nil {
		return nil, nil, err
	}
	domain, err := agreed(private, public, ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{})
	if err != nil {
		return nil, nil, err
	}
	var key any
	switch {
	case algorithm == kmip.CryptographicAlgorithmRSA:
		key, err = generateRSA(length, domain, random)
	case ofCurves[algorithm] && domain.RecommendedCurve == kmip.RecommendedCurveCURVE25519:
		key, err = generateX25519(algorithm, length, random)
	case ofCurves[algorithm]:
		key, err = generateEC(length, domain, random)
	case algorithm == kmip.CryptographicAlgorithmEd25519:
		key, err = generateEd25519(length, domain, random)
	default:
		err = invalid("key pairs of the algorithm %v cannot be created", algorithm)
	}
	if err != nil {
		return nil, nil, err
	}
	privateValue, publicValue, err := pairOf(key, algorithm)
	if err != nil {
		return nil, nil, err
	}
	if privateValue, err = inFormat(privateValue, private); err != nil {
		return nil, nil, err
	}
	publicValue, err = inFormat(publicValue, public)
	return privateValue, publicValue, err
}

// inFormat is a new object in the Key Format Type that its attributes ask for (KMIP 2.1 §4.26).
func inFormat(v *kmip.Value, a kmip.Attributes) (*kmip.Value, error) {
	f, _ := kmip.Get[kmip.KeyFormatType](a, ttlv.TagKeyFormatType)
	return Convert(v, Form{Format: f})
}

// pairOf writes both halves of a key down.
func pairOf(key any, algorithm kmip.CryptographicAlgorithm) (*kmip.Value, *kmip.Value, error) {
	c := contents{algorithm: algorithm}
	if err := c.found(key); err != nil {
		return nil, nil, err
	}
	half := func(f kmip.KeyFormatType, v *kmip.KeyValue) *kmip.PlainKey {
		return &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
			KeyFormatType: f, KeyValue: v, CryptographicAlgorithm: c.algorithm, CryptographicLength: c.length,
		}}
	}
	pkcs8, err := writePKCS8(key)
	if err != nil {
		return nil, nil, err
	}
	spki, err := writeX509(publicOf(key))
	if err != nil {
		return nil, nil, err
	}
	return &kmip.Value{PrivateKey: half(kmip.KeyFormatTypePKCS8, pkcs8)}, &kmip.Value{PublicKey: half(kmip.KeyFormatTypeX509, spki)}, nil
}

// agreed is the attribute of either half; none if neither has it.
func agreed[T comparable](private, public kmip.Attributes, tag ttlv.Tag, none T) (T, error) {
	a, inPrivate := kmip.Get[T](private, tag)
	b, inPublic := kmip.Get[T](public, tag)
	switch {
	case inPrivate && inPublic && a != b:
		return none, invalid("the halves of the pair differ in the attribute %v", tag)
	case inPublic:
		return b, nil
	}
	return a, nil
}

const (
	usualRSA = 3072 // bits
	leastRSA = 2048
	mostRSA  = 8192 // a limit on the work, for a stranger's key too: it grows with the third power and more
)

func generateRSA(length int32, domain kmip.CryptographicDomainParameters, random io.Reader) (any, error) {
	length = either(length, usualRSA)
	switch {
	case domain.RecommendedCurve != 0:
		return nil, invalid("RSA has no Recommended Curve")
	case length < leastRSA || length > mostRSA || length%256 != 0:
		return nil, invalid("RSA keys of %d bits are not created: %d to %d by 256 are", length, leastRSA, mostRSA)
	}
	return newRSA(int(length), random)
}

func generateEC(length int32, domain kmip.CryptographicDomainParameters, random io.Reader) (any, error) {
	if domain.RecommendedCurve == 0 {
		length = either(length, 256)
	}
	for _, c := range made {
		if either(length, c.bits) == c.bits && either(domain.RecommendedCurve, c.name) == c.name {
			return newEC(c.curve, random)
		}
	}
	return nil, invalid("EC keys of %d bits on the curve %v are not created: P-256, P-384, P-521 and CURVE25519 are", length, domain.RecommendedCurve)
}

func generateX25519(algorithm kmip.CryptographicAlgorithm, length int32, random io.Reader) (any, error) {
	if either(length, 256) != 256 || algorithm == kmip.CryptographicAlgorithmECDSA {
		return nil, invalid("CURVE25519 is for %v with 256 bits", kmip.CryptographicAlgorithmECDH)
	}
	return newX25519(random)
}

func generateEd25519(length int32, domain kmip.CryptographicDomainParameters, random io.Reader) (any, error) {
	if either(length, 256) != 256 || either(domain.RecommendedCurve, kmip.RecommendedCurveCURVE25519) != kmip.RecommendedCurveCURVE25519 {
		return nil, invalid("Ed25519 is a curve of 256 bits")
	}
	return newEd25519(random)
}
