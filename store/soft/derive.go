package soft

import (
	"context"
	"slices"

	"strongroom/kmip"
)

// A Base is an object that another is derived from.
type Base struct {
	Value      *kmip.Value // in clear; nil for a key whose material is not here
	Attributes kmip.Attributes
	Key        kmip.Key // computes for the method ENCRYPT
}

// Derive computes length bytes by a derivation method (KMIP 2.1 §7.12, §11.14) of one base, or of two: a key and the Secret
// Data that are its derivation data, or a private and a public key. The caller clears the answer.
//
//	PBKDF2                   RFC 8018; the base is the password; HMAC-SHA-1 unless another hash is named
//	HASH                     of the base
//	HMAC, NIST800-108-C/F/DPI   by an HMAC key, or any other with a Hashing Algorithm, or an AES key with the mode CMAC
//	ENCRYPT                  of the derivation data, in one of the modes ECB, CBC, CFB, OFB, CTR
//	Asymmetric Key           ECDH: the x-coordinate of the point that both keys share
//	AWS Signature Version 4  the derivation data are Date, Region and Service
//	HKDF                     RFC 5869; the derivation data are the info; SHA-256 unless another hash is named
//
// Of an output that is longer the first bytes are taken.
func Derive(ctx context.Context, method kmip.DerivationMethod, p *kmip.DerivationParameters, bases []Base, length int) ([]byte, error) {
	k, ok := kdfs[method]
	switch {
	case !ok:
		return nil, invalid("the Derivation Method %v is not supported", method)
	case length <= 0 || length > longestDerived:
		return nil, invalid("an object of %d bytes is not derived: 1 to %d are", length, longestDerived)
	}
	d := &derivation{method: method, kdf: k, p: p.CryptographicParameters, iv: p.InitializationVector, salt: p.Salt, data: p.DerivationData, length: length}
	if d.p == nil {
		d.p = new(kmip.CryptographicParameters)
	}
	if p.IterationCount != nil {
		d.iterations = int(*p.IterationCount)
	}
	if err := d.surplus(p); err != nil {
		return nil, err
	}
	if err := d.take(bases); err != nil {
		return nil, err
	}
	out, err := k.compute(ctx, d)
	if err != nil {
		return nil, err
	}
	if len(out) < length {
		clear(out)
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, "%v gives %d bytes, the Cryptographic Length asks for %d", method, len(out), length)
	}
	clear(out[length:])
	return out[:length:length], nil
}

// longestDerived is in bytes.
const longestDerived = longestHMAC / 8

// A derivation is one call of Derive.
type derivation struct {
	kdf
	method     kmip.DerivationMethod
	p          *kmip.CryptographicParameters
	iv, salt   []byte
	iterations int
	data       [][]byte // Derivation Data, of the request or of Secret Data
	base       Base     // the key
	public     Base     // of an agreement
	length     int
}

// A kdf is a method: what it takes of the Derivation Parameters and which bases, and how it computes.
type kdf struct {
	takes   takes
	compute func(context.Context, *derivation) ([]byte, error)
}

// takes is a set of what a method takes.
type takes uint8

const (
	takesIV takes = 1 << iota
	takesSalt
	takesIterations
	takesPublicKey
	takesData // at most one
	needsData // one, or as many as takesTriple says
	takesTriple
)

var kdfs = map[kmip.DerivationMethod]kdf{
	kmip.DerivationMethodPBKDF2:               {takesSalt | takesIterations, derivePBKDF2},
	kmip.DerivationMethodHASH:                 {0, deriveHash},
	kmip.DerivationMethodHMAC:                 {needsData, deriveHMAC},
	kmip.DerivationMethodENCRYPT:              {needsData | takesIV, deriveEncrypted},
	kmip.DerivationMethodNIST800_108C:         {needsData, deriveCounter},
	kmip.DerivationMethodNIST800_108F:         {needsData | takesIV, deriveFeedback},
	kmip.DerivationMethodNIST800_108DPI:       {needsData, derivePipeline},
	kmip.DerivationMethodAsymmetricKey:        {takesPublicKey, deriveShared},
	kmip.DerivationMethodAWSSignatureVersion4: {needsData | takesTriple, deriveAWS},
	kmip.DerivationMethodHKDF:                 {takesData | takesSalt, deriveHKDF},
}

// surplus refuses parameters that the method has no use for.
func (d *derivation) surplus(p *kmip.DerivationParameters) error {
	for _, x := range []struct {
		given bool
		taken takes
		name  string
	}{
		{len(p.InitializationVector) > 0, takesIV, "Initialization Vector"},
		{len(p.Salt) > 0, takesSalt, "Salt"},
		{p.IterationCount != nil, takesIterations, "Iteration Count"},
	} {
		if x.given && d.takes&x.taken == 0 {
			return invalid("the Derivation Method %v takes no %s", d.method, x.name)
		}
	}
	return nil
}

// take sorts the bases and counts the derivation data.
func (d *derivation) take(bases []Base) error {
	agreement := d.takes&takesPublicKey != 0
	switch {
	case agreement && len(bases) != 2:
		return invalid("%v derives from a private key and a public key", d.method)
	case len(bases) != 1 && len(bases) != 2:
		return invalid("%v derives from one object, or from a key and Secret Data, not from %d objects", d.method, len(bases))
	}
	d.base = bases[0]
	if agreement {
		d.public = bases[1]
	} else if len(bases) == 2 {
		if err := d.implicit(&bases[1]); err != nil {
			return err
		}
	}
	n, most := len(d.data), 1
	if d.takes&takesTriple != 0 {
		most = 3
	}
	switch {
	case n > 0 && d.takes&(takesData|needsData) == 0:
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the Derivation Method %v computes with the object alone: with Derivation Data it is ambiguous", d.method)
	case d.takes&needsData != 0 && n != most || n > most:
		return invalid("the Derivation Method %v takes %d Derivation Data, the request has %d", d.method, most, n)
	}
	return nil
}

// implicit takes the derivation data from Secret Data.
func (d *derivation) implicit(b *Base) error {
	if b.Value == nil || b.Value.SecretData == nil {
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "the second object of the Derivation Method %v is Secret Data", d.method)
	}
	if len(d.data) > 0 {
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has both Derivation Data and Secret Data: it is ambiguous")
	}
	data, err := b.material()
	d.data = [][]byte{data}
	return err
}

// first is the derivation data of a method that takes them once, nil without.
func (d *derivation) first() []byte {
	if len(d.data) == 0 {
		return nil
	}
	return d.data[0]
}

// material is the bytes of a symmetric key or of Secret Data.
func (b *Base) material() ([]byte, error) {
	if b.Value == nil {
		return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "the material of a key in a token is not here: only the Derivation Method ENCRYPT takes such a key")
	}
	block := b.Value.KeyBlock()
	switch {
	case b.Value.SymmetricKey == nil && b.Value.SecretData == nil:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "that Derivation Method takes a SymmetricKey or SecretData, not a %v", b.Value.ObjectType())
	case block.KeyWrappingData != nil || block.KeyValue == nil:
		return nil, kmip.Errorf(kmip.ResultReasonKeyValueNotPresent, "the object is kept wrapped: nothing is derived from it")
	case b.Value.SymmetricKey != nil:
		return secret(block)
	}
	return block.KeyValue.Material, some("Key Material", block.KeyValue.Material)
}

// algorithm is the base's, 0 for Secret Data.
func (b *Base) algorithm() kmip.CryptographicAlgorithm {
	if b.Value != nil && b.Value.SymmetricKey != nil {
		return either(b.Value.SymmetricKey.KeyBlock.CryptographicAlgorithm, b.Attributes.Algorithm())
	}
	return b.Attributes.Algorithm()
}

// hashName is the one hash that the key's algorithm and the parameters name, or the usual one.
func (d *derivation) hashName(usual kmip.HashingAlgorithm, own kmip.CryptographicAlgorithm) (kmip.HashingAlgorithm, error) {
	names := []kmip.HashingAlgorithm{hmacHashes[own], hmacHashes[d.p.CryptographicAlgorithm], d.p.HashingAlgorithm}
	names = slices.DeleteFunc(names, func(h kmip.HashingAlgorithm) bool { return h == 0 })
	for _, h := range names {
		if h != names[0] {
			return 0, badParameters("the key and the parameters name two hashes, %v and %v", names[0], h)
		}
	}
	switch {
	case len(names) > 0:
		return names[0], nil
	case usual != 0:
		return usual, nil
	}
	return 0, badParameters("the Derivation Method %v needs a Hashing Algorithm", d.method)
}

// Derived derives the object that a describe: a symmetric key of the Cryptographic Algorithm and Cryptographic Length, or
// Secret Data of the Cryptographic Length. A 3DES key gets its parity bits set.
func Derived(ctx context.Context, object kmip.ObjectType, a kmip.Attributes, method kmip.DerivationMethod, p *kmip.DerivationParameters, bases []Base) (*kmip.Value, error) {
	length, algorithm := a.Length(), a.Algorithm()
	if length <= 0 {
		return nil, invalid("what is derived needs a Cryptographic Length")
	}
	if object == kmip.ObjectTypeSecretData {
		if length%8 != 0 {
			return nil, invalid("the Cryptographic Length of Secret Data is a multiple of 8, not %d", length)
		}
		material, err := Derive(ctx, method, p, bases, int(length/8))
		if err != nil {
			return nil, err
		}
		return inFormat(&kmip.Value{SecretData: &kmip.SecretData{
			SecretDataType: kmip.SecretDataTypeSeed,
			KeyBlock:       kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material}},
		}}, a)
	}
	l, ok := symmetric[algorithm]
	size := l.size(length)
	switch {
	case algorithm == 0:
		return nil, invalid("a key that is derived needs a Cryptographic Algorithm")
	case !ok:
		return nil, invalid("keys of the algorithm %v cannot be derived", algorithm)
	case size == 0 || length < l.shorter:
		return nil, invalid("%v has no keys of %d bits", algorithm, length)
	}
	material, err := Derive(ctx, method, p, bases, size)
	if err != nil {
		return nil, err
	}
	if l.parity {
		oddParity(material)
	}
	return inFormat(&kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType:          kmip.KeyFormatTypeRaw,
		KeyValue:               &kmip.KeyValue{Material: material},
		CryptographicAlgorithm: algorithm,
		CryptographicLength:    length,
	}}}, a)
}
