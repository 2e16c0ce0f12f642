package soft

import (
	"fmt"
	"io"
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// lengths are the keys that a symmetric algorithm has.
type lengths struct {
	usual       int32   // bits, of a key that is generated without a Cryptographic Length; 0: it must be told
	bits        []int32 // of the material; nil: the multiples of step from least to most, or any number of bytes without them
	least, most int32
	step        int32
	parity      bool  // of DES: Cryptographic Length may leave out the parity bits
	shorter     int32 // bits; shorter keys are not generated
}

// symmetric holds the algorithms of symmetric keys that are understood. Those that nothing here computes with are kept, and
// made, all the same.
var symmetric = map[kmip.CryptographicAlgorithm]lengths{
	kmip.CryptographicAlgorithmAES:              {usual: 256, bits: []int32{128, 192, 256, 512}}, // 512 for XTS, two halves
	kmip.CryptographicAlgorithmDES3:             {usual: 168, bits: []int32{128, 192}, parity: true},
	kmip.CryptographicAlgorithmChaCha20:         {usual: 256, bits: []int32{256}},
	kmip.CryptographicAlgorithmChaCha20Poly1305: {usual: 256, bits: []int32{256}},
	kmip.CryptographicAlgorithmPoly1305:         {usual: 256, bits: []int32{256}},
	kmip.CryptographicAlgorithmHMACSHA1:         {usual: 160, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA224:       {usual: 224, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA256:       {usual: 256, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA384:       {usual: 384, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA512:       {usual: 512, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_224:     {usual: 224, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_256:     {usual: 256, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_384:     {usual: 384, shorter: leastHMAC},
	kmip.CryptographicAlgorithmHMACSHA3_512:     {usual: 512, shorter: leastHMAC},

	kmip.CryptographicAlgorithmDES:             {usual: 56, bits: []int32{64}, parity: true},
	kmip.CryptographicAlgorithmHMACMD5:         {usual: 128, shorter: leastHMAC},
	kmip.CryptographicAlgorithmBlowfish:        {usual: 128, least: 32, most: 448, step: 8},
	kmip.CryptographicAlgorithmCamellia:        {usual: 256, bits: []int32{128, 192, 256}},  // RFC 3713
	kmip.CryptographicAlgorithmCAST5:           {usual: 128, least: 40, most: 128, step: 8}, // RFC 2144 §2.5
	kmip.CryptographicAlgorithmIDEA:            {usual: 128, bits: []int32{128}},
	kmip.CryptographicAlgorithmMARS:            {usual: 256, least: 128, most: 448, step: 32},
	kmip.CryptographicAlgorithmRC2:             {usual: 128, least: 8, most: 1024, step: 8}, // RFC 2268 §2
	kmip.CryptographicAlgorithmRC4:             {usual: 128, least: 8, most: 2048, step: 8},
	kmip.CryptographicAlgorithmRC5:             {usual: 128, least: 8, most: 2040, step: 8}, // RFC 2040 §1
	kmip.CryptographicAlgorithmSKIPJACK:        {usual: 80, bits: []int32{80}},
	kmip.CryptographicAlgorithmTwofish:         {usual: 256, bits: []int32{128, 192, 256}},
	kmip.CryptographicAlgorithmOneTimePad:      {},
	kmip.CryptographicAlgorithmARIA:            {usual: 256, bits: []int32{128, 192, 256}}, // RFC 5794
	kmip.CryptographicAlgorithmSEED:            {usual: 128, bits: []int32{128}},           // RFC 4269
	kmip.CryptographicAlgorithmSM4:             {usual: 128, bits: []int32{128}},
	kmip.CryptographicAlgorithmGOST28147_89:    {usual: 256, bits: []int32{256}}, // RFC 5830
	kmip.CryptographicAlgorithmGOSTR34_13_2015: {usual: 256, bits: []int32{256}}, // RFC 7801, RFC 8891
}

const (
	leastHMAC   = 112   // bits, SP 800-131A Rev. 2 §10
	longestHMAC = 65536 // bits
)

// has says whether material of so many bits is a key.
func (l lengths) has(bits int32) bool {
	switch {
	case l.bits != nil:
		return slices.Contains(l.bits, bits)
	case l.step != 0:
		return bits >= l.least && bits <= l.most && bits%l.step == 0
	}
	return true
}

// size is the material in bytes of a key of that Cryptographic Length, 0 if there is none. DES keys of 56 bits, and 3DES keys
// of 112 and 168, are 64, 128 and 192 bits with parity.
func (l lengths) size(length int32) int {
	if l.parity && length%7 == 0 {
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

// Generate makes the key that a describe, of random bytes (nil for those of crypto/rand): a symmetric key of the Cryptographic Algorithm and the
// Cryptographic Length, or Secret Data of the Cryptographic Length if that is the Object Type. A length that the algorithm
// does not have is refused; without one, the key has the algorithm's usual length.
func Generate(a kmip.Attributes, random io.Reader) (*kmip.Value, error) {
	random = system(random)
	object, _ := kmip.Get[kmip.ObjectType](a, ttlv.TagObjectType)
	switch object {
	case kmip.ObjectTypeSecretData:
		return generateSecret(a, random)
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
	if length == 0 {
		return nil, invalid("a key of %v needs a Cryptographic Length", algorithm)
	}
	size := l.size(length)
	if size == 0 || length < l.shorter {
		return nil, invalid("%v has no keys of %d bits", algorithm, length)
	}
	key := make([]byte, size)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if l.parity {
		oddParity(key)
	}
	return inFormat(&kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType:          kmip.KeyFormatTypeRaw,
		KeyValue:               &kmip.KeyValue{Material: key},
		CryptographicAlgorithm: algorithm,
		CryptographicLength:    length,
	}}}, a)
}

// generateSecret makes a seed of random bytes.
func generateSecret(a kmip.Attributes, random io.Reader) (*kmip.Value, error) {
	length := either(a.Length(), 256)
	if length < 0 || length%8 != 0 || length > longestHMAC {
		return nil, invalid("the Cryptographic Length of a secret is a multiple of 8 up to %d, not %d", longestHMAC, length)
	}
	seed := make([]byte, length/8)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making a secret: %w", err)
	}
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
