package soft

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"strongroom/kmip"
)

// A groupKey is a key of DSA or DH: the numbers of its group, and its own. It is kept and converted; nothing is computed with it.
type groupKey struct {
	algorithm kmip.CryptographicAlgorithm
	p, g      *big.Int
	q, j      *big.Int // of DH: may be nil
	x         *big.Int // of a private key
	y         *big.Int // of a public key
}

// Domain parameters: RFC 3279 §2.3.2 and §2.3.3, PKCS #3 §9.
type (
	dsaGroup  struct{ P, Q, G *big.Int }
	dhGroup   struct{ P, G, Q *big.Int }
	dhGroupJ  struct{ P, G, Q, J *big.Int }
	pkcs3DH   struct{ P, G *big.Int }
	dhLengths struct {
		P, G   *big.Int
		Length int
	}
)

func isGroup(oid asn1.ObjectIdentifier) bool {
	return oid.Equal(oidDSA) || oid.Equal(oidDH) || oid.Equal(oidX942DH)
}

// parseGroup reads a key in DER, the private number or the public one.
func parseGroup(a pkix.AlgorithmIdentifier, number []byte, private bool) (*groupKey, error) {
	k := &groupKey{algorithm: kmip.CryptographicAlgorithmDH}
	der := a.Parameters.FullBytes
	if a.Algorithm.Equal(oidDSA) {
		var d dsaGroup
		if parseDER(der, &d) != nil {
			return nil, errDER
		}
		k.algorithm, k.p, k.q, k.g = kmip.CryptographicAlgorithmDSA, d.P, d.Q, d.G
	} else if !k.parseDH(der, a.Algorithm.Equal(oidX942DH)) {
		return nil, errDER
	}
	n := new(big.Int)
	if parseDER(number, &n) != nil {
		return nil, errDER
	}
	if private {
		k.x = n
	} else {
		k.y = n
	}
	return k, k.check()
}

// parseDH reads the group of a DH key, whose parameters have two forms and optional parts. A seed that the group was made with
// is left out.
func (k *groupKey) parseDH(der []byte, x942 bool) bool {
	var withJ dhGroupJ
	var withQ dhGroup
	var withLength dhLengths
	var bare pkcs3DH
	switch {
	case x942 && parseDER(der, &withJ) == nil:
		k.p, k.g, k.q, k.j = withJ.P, withJ.G, withJ.Q, withJ.J
	case x942 && parseDER(der, &withQ) == nil:
		k.p, k.g, k.q = withQ.P, withQ.G, withQ.Q
	case !x942 && parseDER(der, &withLength) == nil:
		k.p, k.g = withLength.P, withLength.G
	case !x942 && parseDER(der, &bare) == nil:
		k.p, k.g = bare.P, bare.G
	default:
		return false
	}
	return true
}

// mostGroup bounds P, in bits, as mostRSA does the modulus.
const mostGroup = mostRSA

// check refuses numbers that cannot be those of a key. Whether P and Q are prime is not looked into.
func (k *groupKey) check() error {
	inside := func(x *big.Int) bool { return x != nil && x.Sign() > 0 && x.Cmp(k.p) < 0 }
	order := k.p
	if k.q != nil {
		order = k.q
	}
	switch {
	case k.p == nil || k.p.BitLen() < 256 || k.p.BitLen() > mostGroup || k.p.Bit(0) == 0:
		return invalid("the P of the %v key is out of range", k.algorithm)
	case k.q == nil && k.algorithm == kmip.CryptographicAlgorithmDSA || k.q != nil && !inside(k.q):
		return invalid("the Q of the %v key is missing or out of range", k.algorithm)
	case !inside(k.g) || k.g.Cmp(one) == 0:
		return invalid("the G of the %v key is missing or out of range", k.algorithm)
	case k.j != nil && !inside(k.j):
		return invalid("the J of the %v key is out of range", k.algorithm)
	case k.x == nil && k.y == nil:
		return invalid("the %v key has neither X nor Y", k.algorithm)
	case k.x != nil && (k.x.Sign() <= 0 || k.x.Cmp(order) >= 0):
		return invalid("the X of the %v key is out of range", k.algorithm)
	case k.y != nil && !inside(k.y):
		return invalid("the Y of the %v key is out of range", k.algorithm)
	}
	return nil
}

// groupFrom makes a reader of transparent keys.
func groupFrom(algorithm kmip.CryptographicAlgorithm, private bool) func(*kmip.KeyComponents) (any, error) {
	return func(c *kmip.KeyComponents) (any, error) {
		k := &groupKey{algorithm: algorithm, p: c.P, q: c.Q, g: c.G, j: c.J}
		if private {
			k.x = c.X
		} else {
			k.y = c.Y
		}
		return k, k.check()
	}
}

// writeGroup makes a writer of transparent keys.
func writeGroup(algorithm kmip.CryptographicAlgorithm, private bool) func(any) (*kmip.KeyValue, error) {
	return func(key any) (*kmip.KeyValue, error) {
		k, ok := key.(*groupKey)
		if !ok || k.algorithm != algorithm || (k.x != nil) != private {
			return nil, errFormat
		}
		return &kmip.KeyValue{Components: &kmip.KeyComponents{P: k.p, Q: k.q, G: k.g, J: k.j, X: k.x, Y: k.y}}, nil
	}
}

// identifier is the algorithm with the group, in DER.
func (k *groupKey) identifier() (pkix.AlgorithmIdentifier, error) {
	a := pkix.AlgorithmIdentifier{Algorithm: oidX942DH}
	var group any
	switch {
	case k.algorithm == kmip.CryptographicAlgorithmDSA:
		a.Algorithm, group = oidDSA, dsaGroup{k.p, k.q, k.g}
	case k.q == nil:
		a.Algorithm, group = oidDH, pkcs3DH{k.p, k.g}
	case k.j == nil:
		group = dhGroup{k.p, k.g, k.q}
	default:
		group = dhGroupJ{k.p, k.g, k.q, k.j}
	}
	der, err := asn1.Marshal(group)
	a.Parameters = asn1.RawValue{FullBytes: der}
	return a, err
}

// spki writes the public key.
func (k *groupKey) spki() ([]byte, error) {
	if k.y == nil {
		return nil, errFormat
	}
	a, err := k.identifier()
	if err != nil {
		return nil, err
	}
	y, err := asn1.Marshal(k.y)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(spki{Algorithm: a, Key: asn1.BitString{Bytes: y, BitLength: 8 * len(y)}})
}

// pkcs8 writes the private key.
func (k *groupKey) pkcs8() ([]byte, error) {
	if k.x == nil {
		return nil, errFormat
	}
	a, err := k.identifier()
	if err != nil {
		return nil, err
	}
	x, err := asn1.Marshal(k.x)
	if err != nil {
		return nil, err
	}
	defer clear(x)
	return asn1.Marshal(privateKeyInfo{Algorithm: a, Key: x})
}
