package soft

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"math/big"

	"strongroom/kmip"
)

// rsaFromComponents makes a private key of the components of KMIP 2.1 §3.7: the modulus, and the two primes, the private
// exponent, or the two prime exponents. The public exponent may be missing where the private one and the primes are there.
func rsaFromComponents(c *kmip.KeyComponents) (*rsa.PrivateKey, error) {
	n, e, d, p, q := c.Modulus, c.PublicExponent, c.PrivateExponent, c.P, c.Q
	for _, x := range []*big.Int{n, e, d, p, q} {
		if x != nil && (x.Sign() <= 0 || x.BitLen() > mostRSA) {
			return nil, invalid("a component of the RSA private key is out of range")
		}
	}
	if n == nil {
		return nil, invalid("the RSA private key has no Modulus")
	}
	if p == nil || q == nil {
		switch {
		case e == nil || d == nil && (c.PrimeExponentP == nil || c.PrimeExponentQ == nil):
			return nil, invalid("the RSA private key needs P and Q, or the Public Exponent with the Private Exponent or both Prime Exponents")
		case d != nil:
			p, q = factor(n, e, d)
		default:
			p, q = factorPrime(n, e, c.PrimeExponentP)
		}
		if p == nil {
			return nil, invalid("the exponents of the RSA private key do not fit its Modulus")
		}
	}
	if p.Cmp(one) <= 0 || q.Cmp(one) <= 0 {
		return nil, invalid("the primes of the RSA private key are out of range")
	}
	order := order(p, q)
	switch {
	case e == nil && d == nil:
		return nil, invalid("the RSA private key has neither a Public nor a Private Exponent")
	case e == nil:
		e = new(big.Int).ModInverse(d, order)
	case d == nil:
		d = new(big.Int).ModInverse(e, order)
	}
	public, err := rsaPublicFrom(n, e)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, invalid("the exponents of the RSA private key do not fit its primes")
	}
	// The key gets numbers of its own: Close clears them.
	key := &rsa.PrivateKey{PublicKey: *public, D: copyInt(d), Primes: []*big.Int{copyInt(p), copyInt(q)}}
	if err := key.Validate(); err != nil {
		return nil, invalid("the components of the RSA private key do not fit together")
	}
	key.Precompute()
	return key, nil
}

// order is the least common multiple of p − 1 and q − 1 (RFC 8017 §3.2, λ(n)).
func order(p, q *big.Int) *big.Int {
	p, q = new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	divisor := new(big.Int).GCD(nil, nil, p, q)
	return p.Mul(p, q.Div(q, divisor))
}

var one = big.NewInt(1)

func copyInt(x *big.Int) *big.Int { return new(big.Int).Set(x) }

// factor finds the primes of n from the exponents (SP 800-56B Rev. 2 Appendix C.2). d·e − 1 times its common divisor with
// n − 1 is a small multiple k of (p−1)(q−1) = n − (p+q) + 1, so that division by n gives k and the sum of the primes. It
// answers nil if there is none; whether the primes are right is for the caller to check.
func factor(n, e, d *big.Int) (p, q *big.Int) {
	multiple := new(big.Int).Mul(d, e)
	multiple.Sub(multiple, one)
	if multiple.Sign() <= 0 || n.Cmp(one) <= 0 {
		return nil, nil
	}
	multiple.Mul(multiple, new(big.Int).GCD(nil, nil, new(big.Int).Sub(n, one), multiple))
	k, r := new(big.Int).DivMod(multiple, n, new(big.Int))
	k.Add(k, one)
	sum, rest := new(big.Int).DivMod(r.Sub(n, r), k, new(big.Int))
	sum.Add(sum, one)
	square := new(big.Int).Mul(sum, sum) // of the difference: (p+q)² − 4n = (p−q)²
	square.Sub(square, new(big.Int).Lsh(n, 2))
	if rest.Sign() != 0 || square.Sign() <= 0 {
		return nil, nil
	}
	difference := square.Sqrt(square)
	p = new(big.Int).Rsh(new(big.Int).Add(sum, difference), 1)
	q = new(big.Int).Rsh(new(big.Int).Sub(sum, difference), 1)
	return p, q
}

// factorPrime finds the primes of n from the exponent of one of them: dP·e − 1 is a multiple k of p − 1, with k below e. Only a
// small e is tried; it answers nil if there is none.
func factorPrime(n, e, dP *big.Int) (p, q *big.Int) {
	if dP.Sign() <= 0 || dP.BitLen() > mostRSA || e.BitLen() > 17 || n.Cmp(one) <= 0 {
		return nil, nil
	}
	multiple := new(big.Int).Mul(dP, e)
	multiple.Sub(multiple, one)
	p, q = new(big.Int), new(big.Int)
	k, rest := new(big.Int), new(big.Int)
	for i := int64(1); i < e.Int64(); i++ {
		k.SetInt64(i)
		if p.QuoRem(multiple, k, rest); rest.Sign() != 0 {
			continue
		}
		if p.Add(p, one); p.Cmp(one) <= 0 || p.Cmp(n) >= 0 {
			continue
		}
		if q.QuoRem(n, p, rest); rest.Sign() == 0 {
			return p, q
		}
	}
	return nil, nil
}

// rsaPublicFrom makes a public key of its numbers.
func rsaPublicFrom(n, e *big.Int) (*rsa.PublicKey, error) {
	switch {
	case n == nil || e == nil:
		return nil, invalid("the RSA key needs a Modulus and a Public Exponent")
	case n.Sign() <= 0 || n.BitLen() > mostRSA:
		return nil, invalid("the Modulus of the RSA key is out of range: %d bits are the most", mostRSA)
	case e.Sign() <= 0 || e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0:
		return nil, invalid("the Public Exponent of the RSA key is out of range")
	}
	return &rsa.PublicKey{N: copyInt(n), E: int(e.Int64())}, nil
}

// rsaComponents is a private key with every component that KMIP names.
func rsaComponents(k *rsa.PrivateKey) *kmip.KeyComponents {
	p, q := k.Primes[0], k.Primes[1]
	return &kmip.KeyComponents{
		Modulus: copyInt(k.N), PublicExponent: big.NewInt(int64(k.E)), PrivateExponent: copyInt(k.D),
		P: copyInt(p), Q: copyInt(q),
		PrimeExponentP: new(big.Int).Mod(k.D, new(big.Int).Sub(p, one)),
		PrimeExponentQ: new(big.Int).Mod(k.D, new(big.Int).Sub(q, one)),
		CRTCoefficient: new(big.Int).ModInverse(q, p),
	}
}

// rsaPublicComponents is a public key's.
func rsaPublicComponents(k *rsa.PublicKey) *kmip.KeyComponents {
	return &kmip.KeyComponents{Modulus: copyInt(k.N), PublicExponent: big.NewInt(int64(k.E))}
}

// ecFromComponents makes a private key of its curve and scalar, KMIP 2.1 §3.11.
func ecFromComponents(c *kmip.KeyComponents) (any, error) {
	curve, err := curveNamed(c.RecommendedCurve)
	if err != nil {
		return nil, err
	}
	return curve.private(c.D)
}

// ecPublicFromComponents makes a public key of its curve and point, KMIP 2.1 §3.12.
func ecPublicFromComponents(c *kmip.KeyComponents) (any, error) {
	curve, err := curveNamed(c.RecommendedCurve)
	if err != nil {
		return nil, err
	}
	return curve.public(c.QString)
}

// ecComponents is a private key's.
func ecComponents(k *ecdsa.PrivateKey) (*kmip.KeyComponents, error) {
	c, err := curveOf(k.Curve)
	if err != nil {
		return nil, err
	}
	scalar, err := k.Bytes()
	if err != nil {
		return nil, invalid("the EC private key is out of range")
	}
	defer clear(scalar)
	return &kmip.KeyComponents{RecommendedCurve: c.name, D: new(big.Int).SetBytes(scalar)}, nil
}

// ecPublicComponents is a public key's, the point uncompressed.
func ecPublicComponents(k *ecdsa.PublicKey) (*kmip.KeyComponents, error) {
	c, err := curveOf(k.Curve)
	if err != nil {
		return nil, err
	}
	point, err := k.Bytes()
	if err != nil {
		return nil, invalid("the EC public key is no point of its curve")
	}
	return &kmip.KeyComponents{RecommendedCurve: c.name, QString: point}, nil
}
