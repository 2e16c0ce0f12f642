package soft

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"io"

	"strongroom/kmip"
)

// Open makes a key that computes of a value in clear. The attributes are the object's own: Cryptographic Parameters among
// them are the defaults of its operations, and Cryptographic Algorithm says what a key block does not. Nothing of v is kept.
// An object that is no key, or a key of an algorithm that is kept but not computed with, opens as one that can do nothing.
// A certificate does what its public key does. IVs, salts and random padding come from random, nil for crypto/rand, which is safe for
// concurrent use; what Go lets nobody choose the source of is in random.go.
func Open(v *kmip.Value, a kmip.Attributes, random io.Reader) (kmip.Opened, error) {
	c, err := parse(v, a)
	if err != nil {
		return nil, err
	}
	if c.block != nil && c.block.KeyValue == nil {
		return absent{}, nil
	}
	b := newBase(c.algorithm, a, random)
	if c.object == kmip.ObjectTypeSymmetricKey && c.block.KeyWrappingData == nil {
		return openSymmetric(b, c)
	}
	switch k := c.key.(type) {
	case *rsa.PrivateKey:
		return &rsaPrivate{rsaPublic{b, &k.PublicKey}, k}, nil
	case *rsa.PublicKey:
		return &rsaPublic{b, k}, nil
	case *ecdsa.PrivateKey:
		return &ecPrivate{ecPublic{b, &k.PublicKey}, k}, nil
	case *ecdsa.PublicKey:
		return &ecPublic{b, k}, nil
	case ed25519.PrivateKey:
		return &edPrivate{edPublic{b, k.Public().(ed25519.PublicKey)}, k}, nil
	case ed25519.PublicKey:
		return &edPublic{b, k}, nil
	}
	return keep(c), nil
}

// inert is an object that can do nothing.
type inert struct{ kmip.Unsupported }

// keep opens what is not computed with.
func keep(c *contents) inert {
	if c.algorithm == 0 || c.block == nil || c.block.KeyWrappingData != nil {
		return inert{}
	}
	return inert{kmip.Unsupported{Kind: "a key of " + c.algorithm.String() + " (kept here, not computed with)"}}
}

// Close has nothing to clear.
func (inert) Close() {}

// openSymmetric opens a symmetric key by its algorithm.
func openSymmetric(b base, c *contents) (kmip.Opened, error) {
	key, err := secret(c.block)
	if err != nil {
		return nil, err
	}
	switch {
	case b.algorithm == kmip.CryptographicAlgorithmAES:
		return openAES(b, key)
	case b.algorithm == kmip.CryptographicAlgorithmDES3:
		return openTripleDES(b, key)
	case b.algorithm == kmip.CryptographicAlgorithmChaCha20Poly1305:
		return openPoly(b, key)
	case b.algorithm == kmip.CryptographicAlgorithmChaCha20:
		return &chachaKey{base: b, ivs: invocations{random: b.random}, key: clone(key)}, nil
	case hmacHashes[b.algorithm] != 0:
		return &macKey{b, clone(key)}, nil
	case b.algorithm == kmip.CryptographicAlgorithmPoly1305:
		return &onceKey{b, [32]byte(key)}, nil
	}
	return keep(c), nil
}
