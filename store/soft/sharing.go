package soft

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"math/big"

	"strongroom/kmip"
)

// A Sharing says how a secret is split. KMIP 2.1 §2.8, §13.1.
type Sharing struct {
	Method           kmip.SplitKeyMethod
	Parts, Threshold int
	Prime            *big.Int  // the field of the method Polynomial Sharing Prime Field
	Random           io.Reader // nil for crypto/rand; of no use for joining
}

const (
	mostParts = 64
	longField = 2048 // bits of a prime field
)

// check refuses a sharing that is none.
func (s *Sharing) check() error {
	switch {
	case s.Parts > mostParts:
		return kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "a key is split into %d parts at most, not into %d", mostParts, s.Parts)
	case s.Threshold < 2 || s.Parts < s.Threshold:
		return invalid("Split Key Threshold %d of Split Key Parts %d: it takes 2 parts or more, and no more than there are", s.Threshold, s.Parts)
	case s.Method == kmip.SplitKeyMethodXOR && s.Parts != s.Threshold:
		return invalid("the Split Key Method XOR takes all parts together: the threshold is %d, not %d", s.Parts, s.Threshold)
	case (s.Method == kmip.SplitKeyMethodPolynomialSharingPrimeField) != (s.Prime != nil):
		return invalid("the Split Key Method Polynomial Sharing Prime Field, and no other, needs a Prime Field Size")
	}
	if s.Method != kmip.SplitKeyMethodXOR && s.Prime == nil && gfOf[s.Method] == nil {
		return invalid("the Split Key Method %v is not supported", s.Method)
	}
	if s.Prime != nil && (s.Prime.Sign() <= 0 || s.Prime.BitLen() <= 8 || s.Prime.BitLen() > longField || !s.Prime.ProbablyPrime(20)) {
		return invalid("the Prime Field Size is a prime of 9 to %d bits", longField)
	}
	return nil
}

// split makes the parts of a secret; number i stands at i-1.
func (s *Sharing) split(secret []byte) ([][]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	switch {
	case s.Method == kmip.SplitKeyMethodXOR:
		return s.splitXOR(secret)
	case s.Prime != nil:
		return s.splitPrime(secret)
	}
	return s.splitGF(gfOf[s.Method], secret)
}

// A share is one part, and its number from 1.
type share struct {
	number int
	data   []byte
}

// join makes the secret of size bytes again. Shares beyond the threshold must agree with the others.
func (s *Sharing) join(shares []share, size int) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := s.whole(shares); err != nil {
		return nil, err
	}
	switch {
	case s.Method == kmip.SplitKeyMethodXOR:
		return joinXOR(shares), nil
	case s.Prime != nil:
		return s.joinPrime(shares, size)
	}
	return s.joinGF(gfOf[s.Method], shares)
}

// whole refuses shares that are too few, twice the same, or of two lengths.
func (s *Sharing) whole(shares []share) error {
	if len(shares) < s.Threshold {
		return kmip.Errorf(kmip.ResultReasonCryptographicFailure, "it takes %d parts, the request names %d", s.Threshold, len(shares))
	}
	seen := map[int]bool{}
	for _, x := range shares {
		switch {
		case x.number < 1 || x.number > s.Parts:
			return invalid("a part has the number %d, of %d parts", x.number, s.Parts)
		case seen[x.number]:
			return invalid("part %d is named twice", x.number)
		case len(x.data) != len(shares[0].data) || len(x.data) == 0:
			return invalid("the parts are not of one length")
		}
		seen[x.number] = true
	}
	return nil
}

// errShares is the answer for parts that do not belong together.
var errShares = kmip.Errorf(kmip.ResultReasonCryptographicFailure, "the parts do not belong together")

func (s *Sharing) splitXOR(secret []byte) ([][]byte, error) {
	n, random := s.Parts, system(s.Random)
	parts := make([][]byte, n)
	last := clone(secret)
	for i := range n - 1 {
		parts[i] = make([]byte, len(secret))
		if _, err := io.ReadFull(random, parts[i]); err != nil {
			return nil, fmt.Errorf("splitting a key: %w", err)
		}
		subtle.XORBytes(last, last, parts[i])
	}
	parts[n-1] = last
	return parts, nil
}

func joinXOR(shares []share) []byte {
	secret := make([]byte, len(shares[0].data))
	for _, x := range shares {
		subtle.XORBytes(secret, secret, x.data)
	}
	return secret
}

// splitGF shares a secret piecewise: each element is the value at 0 of a random polynomial, part i its value at i.
func (s *Sharing) splitGF(f *gf, secret []byte) ([][]byte, error) {
	if len(secret)%f.bytes != 0 {
		return nil, badParameters("the Split Key Method %v shares %d bytes at a time, the key has %d", s.Method, f.bytes, len(secret))
	}
	coefficients := make([]byte, len(secret)*(s.Threshold-1))
	defer clear(coefficients)
	if _, err := io.ReadFull(system(s.Random), coefficients); err != nil {
		return nil, fmt.Errorf("splitting a key: %w", err)
	}
	parts := make([][]byte, s.Parts)
	for i := range parts {
		parts[i] = make([]byte, len(secret))
		x := uint16(i + 1)
		for at := 0; at < len(secret); at += f.bytes {
			var y uint16
			for c := range s.Threshold - 1 {
				y = f.mul(y^f.get(coefficients, c*len(secret)+at), x)
			}
			f.put(parts[i], at, y^f.get(secret, at))
		}
	}
	return parts, nil
}

// joinGF interpolates at 0, and checks the shares beyond the threshold.
func (s *Sharing) joinGF(f *gf, shares []share) ([]byte, error) {
	if len(shares[0].data)%f.bytes != 0 {
		return nil, errShares
	}
	known := shares[:s.Threshold]
	for _, extra := range shares[s.Threshold:] {
		if subtle.ConstantTimeCompare(f.at(known, uint16(extra.number)), extra.data) == 0 {
			return nil, errShares
		}
	}
	return f.at(known, 0), nil
}

// at is the value at x of the polynomials through the shares (Lagrange).
func (f *gf) at(shares []share, x uint16) []byte {
	out := make([]byte, len(shares[0].data))
	for i, a := range shares {
		weight := uint16(1)
		for j, b := range shares {
			if i != j {
				weight = f.mul(weight, f.mul(x^uint16(b.number), f.inverse(uint16(a.number)^uint16(b.number))))
			}
		}
		for at := 0; at < len(out); at += f.bytes {
			f.put(out, at, f.get(out, at)^f.mul(f.get(a.data, at), weight))
		}
	}
	return out
}

// splitPrime shares a secret as one number below the prime. A part has the prime's length.
func (s *Sharing) splitPrime(secret []byte) ([][]byte, error) {
	if s.Prime.BitLen() <= 8*len(secret) {
		return nil, badParameters("the Prime Field Size is larger than 2 to the power of %d, the length of the key", 8*len(secret))
	}
	polynomial := []*big.Int{new(big.Int).SetBytes(secret)}
	for range s.Threshold - 1 {
		c, err := rand.Int(system(s.Random), s.Prime)
		if err != nil {
			return nil, fmt.Errorf("splitting a key: %w", err)
		}
		polynomial = append(polynomial, c)
	}
	parts := make([][]byte, s.Parts)
	for i := range parts {
		y := new(big.Int)
		for c := len(polynomial) - 1; c >= 0; c-- {
			y.Mul(y, big.NewInt(int64(i+1))).Add(y, polynomial[c]).Mod(y, s.Prime)
		}
		parts[i] = y.FillBytes(make([]byte, (s.Prime.BitLen()+7)/8))
	}
	for _, c := range polynomial {
		clear(c.Bits())
	}
	return parts, nil
}

// joinPrime interpolates at 0, and checks the shares beyond the threshold.
func (s *Sharing) joinPrime(shares []share, size int) ([]byte, error) {
	if s.Prime.BitLen() <= 8*size {
		return nil, errShares
	}
	known := shares[:s.Threshold]
	for _, extra := range shares[s.Threshold:] {
		if s.at(known, int64(extra.number)).Cmp(new(big.Int).SetBytes(extra.data)) != 0 {
			return nil, errShares
		}
	}
	secret := s.at(known, 0)
	if secret.BitLen() > 8*size {
		return nil, errShares
	}
	return secret.FillBytes(make([]byte, size)), nil
}

// at is the value at x of the polynomial through the shares (Lagrange).
func (s *Sharing) at(shares []share, x int64) *big.Int {
	sum := new(big.Int)
	for i, a := range shares {
		weight := big.NewInt(1)
		for j, b := range shares {
			if i != j {
				under := new(big.Int).Mod(big.NewInt(int64(a.number-b.number)), s.Prime)
				weight.Mul(weight, big.NewInt(x-int64(b.number))).Mul(weight, under.ModInverse(under, s.Prime)).Mod(weight, s.Prime)
			}
		}
		sum.Add(sum, weight.Mul(weight, new(big.Int).SetBytes(a.data))).Mod(sum, s.Prime)
	}
	return sum
}

// SplitSecret shares a secret in the field GF(2^8): any threshold of the parts, number i at i-1, give it back. KMIP 2.1 §13.1.
func SplitSecret(secret []byte, parts, threshold int) ([][]byte, error) {
	s := &Sharing{Method: kmip.SplitKeyMethodPolynomialSharingGF2_8, Parts: parts, Threshold: threshold}
	return s.split(secret)
}

// JoinSecret gives a secret back from shares by their numbers, which are of parts and threshold.
func JoinSecret(shares map[int][]byte, parts, threshold int) ([]byte, error) {
	s := &Sharing{Method: kmip.SplitKeyMethodPolynomialSharingGF2_8, Parts: parts, Threshold: threshold}
	var all []share
	for number, data := range shares {
		all = append(all, share{number, data})
	}
	return s.join(all, 0)
}
