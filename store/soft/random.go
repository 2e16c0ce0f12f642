package soft

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
)

// The makers of private keys take their random bytes from where they are told. Those of Go's library do not, as of Go 1.26: they
// read crypto/rand whatever they are given. So the keys of curves are made here of random bytes, and RSA, whose primes are not for
// us to look for, is made by the library in a program that says //go:debug cryptocustomrand=1. Of what keys take in use, the seeds of
// OAEP and the salts of PSS are of where they are told in any program, the padding of PKCS #1 v1.5 and the nonces of ECDSA in one that
// says so.

// errUnused is the error of a program that does not say so.
var errUnused = errors.New("making an RSA key: its random bytes were not taken from the source that is configured: the program is built without cryptocustomrand=1")

// system is random, or crypto/rand for nil.
func system(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}

func newRSA(bits int, random io.Reader) (*rsa.PrivateKey, error) {
	if random == rand.Reader {
		return rsa.GenerateKey(random, bits)
	}
	c := &metered{from: random}
	key, err := rsa.GenerateKey(c, bits)
	switch {
	case c.err != nil: // also where the library went on without it
		return nil, fmt.Errorf("making a key: %w", c.err)
	case err != nil:
		return nil, err
	case c.bytes < bits/8: // of two primes
		return nil, errUnused
	}
	return key, nil
}

// A metered reader counts what is read, and keeps the error that it ended with.
type metered struct {
	from  io.Reader
	bytes int
	err   error
}

// Read reads and counts.
func (c *metered) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.bytes += n
	if err != nil {
		c.err = err
	}
	return n, err
}

// mostCandidates is how many scalars in a row are not below the order of a curve: never, for those here (the chance of one is
// below 2^-32).
const mostCandidates = 64

// newEC makes a key by testing candidates. FIPS 186-5 §A.2.2.
func newEC(curve elliptic.Curve, random io.Reader) (*ecdsa.PrivateKey, error) {
	if random == rand.Reader {
		return ecdsa.GenerateKey(curve, random)
	}
	bits := curve.Params().N.BitLen()
	scalar := make([]byte, (bits+7)/8)
	defer clear(scalar)
	for range mostCandidates {
		if _, err := io.ReadFull(random, scalar); err != nil {
			return nil, fmt.Errorf("making a key: %w", err)
		}
		scalar[0] &= 0xFF >> (8*len(scalar) - bits)
		if key, err := ecdsa.ParseRawPrivateKey(curve, scalar); err == nil { // refuses 0, and what is not below the order
			return key, nil
		}
	}
	return nil, errors.New("making a key: the random bytes give no scalar of the curve")
}

func newX25519(random io.Reader) (*ecdh.PrivateKey, error) {
	seed := make([]byte, 32)
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return ecdh.X25519().NewPrivateKey(seed)
}

func newEd25519(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
