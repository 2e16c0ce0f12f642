package soft

import (
	"crypto/rand"
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// lengths are the keys that a symmetric algorithm has.
type lengths struct {
	usual   int32   // bits, of a key that is generated without a Cryptographic Length
	bits    []int32 // of the material; nil: any number of bytes
	parity  bool    // of DES: Cryptographic Length may leave out the parity bits
	shorter int32   // bits; shorter keys are not generated
}

// symmetric holds the algorithms of symmetric keys that are understood.
var symmetric = map[kmip.CryptographicAlgorithm]lengths{
	kmip.CryptographicAlgorithmAES:              {usual: 256, bits: []int32{128, 192, 256}},
	kmip.CryptographicAlgorithmDES3:             {usual: 168, bits: []int32{128, 192}, parity: true},
	kmip.CryptographicAlgorithmChaCha20:         {usual: 256, bits: []int32{256}},
	kmip.CryptographicAlgorithmChaCha20Poly1305: {usual: 256, bits: []int32{256}},
	kmip.CryptographicAlgorithmHMACSHA1:         {usual: 160, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA224:       {usual: 224, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA256:       {usual: 256, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA384:       {usual: 384, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA512:       {usual: 512, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_224:     {usual: 224, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_256:     {usual: 256, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_384:     {usual: 384, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_512:     {usual: 512, shorter: leastHMAC},
}

const (
	leastHMAC   = 112   // bits, SP 800-131A Rev. 2 §10
	longestHMAC = 65536 // bits
)

// has says whether material of so many bits is a key.
func (l lengths) has(bits int32) bool { return l.bits == nil || slices.Contains(l.bits, bits) }

// size is the material in bytes of a key of that Cryptographic Length, 0 if there is none. 3DES keys of 112 and 168 bits
// are 128 and 192 bits with parity.
func (l lengths) size(length int32) int {
	if l.parity && (length == 112 || length == 168) {
		length = length / 7 * 8
	}
	if length <= 0 || length%8 != 0 || length > longestHMAC || !l.has(length) {
		return 0
	}
	return int(length / 8)
}

// length is the Cryptographic Length of material.
func (l lengths) length(bits int32) int32 {
	if l.parity {
		return bits / 8 * 7
	}
	return bits
}

// Generate makes the key that a describe, from crypto/rand: a symmetric key of the Cryptographic Algorithm and the
// Cryptographic Length, or Secret Data of the Cryptographic Length if that is the Object Type. A length that the algorithm
// does not have is refused; without one, the key has the algorithm's usual length.
func Generate(a kmip.Attributes) (*kmip.Value, error) {
	object, _ := kmip.Get[kmip.ObjectType](a, ttlv.TagObjectType)
	switch object {
	case kmip.ObjectTypeSecretData:
		return generateSecret(a)
	case 0, kmip.ObjectTypeSymmetricKey:
	default:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "a %v cannot be created", object)
	}
	algorithm := a.Algorithm()
	l, ok := symmetric[algorithm]
	switch {
	case algorithm == 0:
		return nil, invalid("the Cryptographic Algorithm of the key is missing")
	case !ok:
		return nil, invalid("keys of the algorithm %v cannot be created", algorithm)
	}
	length := either(a.Length(), l.usual)
	size := l.size(length)
	if size == 0 || length < l.shorter {
		return nil, invalid("%v has no keys of %d bits", algorithm, length)
	}
	key := make([]byte, size)
	rand.Read(key)
	if l.parity {
		oddParity(key)
	}
	return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType:          kmip.KeyFormatTypeRaw,
		KeyValue:               &kmip.KeyValue{Material: key},
		CryptographicAlgorithm: algorithm,
		CryptographicLength:    length,
	}}}, nil
}

// generateSecret makes a seed of random bytes.
func generateSecret(a kmip.Attributes) (*kmip.Value, error) {
	length := either(a.Length(), 256)
	if length < 0 || length%8 != 0 || length > longestHMAC {
		return nil, invalid("the Cryptographic Length of a secret is a multiple of 8 up to %d, not %d", longestHMAC, length)
	}
	seed := make([]byte, length/8)
	rand.Read(seed)
	return &kmip.Value{SecretData: &kmip.SecretData{
		SecretDataType: kmip.SecretDataTypeSeed,
		KeyBlock:       kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: seed}},
	}}, nil
}

// oddParity sets the low bit of every byte, as DES keys have it (SP 800-67 §3.1).
func oddParity(key []byte) {
	for i, b := range key {
		b ^= b >> 4
		b ^= b >> 2
		b ^= b >> 1
		key[i] ^= ^b & 1
	}
}
