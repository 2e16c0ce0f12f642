package soft

import (
	"crypto"
	_ "crypto/sha1"   // SHA-1, to verify old signatures and for HMAC and OAEP
	_ "crypto/sha256" // SHA-224, SHA-256
	_ "crypto/sha3"   // SHA3-224 to SHA3-512
	_ "crypto/sha512" // SHA-384, SHA-512 and the two cut ones

	"strongroom/kmip"
)

// digests gives for each Hashing Algorithm the one of the standard library. What is not here is not supported.
var digests = map[kmip.HashingAlgorithm]crypto.Hash{
	kmip.HashingAlgorithmSHA1:       crypto.SHA1,
	kmip.HashingAlgorithmSHA224:     crypto.SHA224,
	kmip.HashingAlgorithmSHA256:     crypto.SHA256,
	kmip.HashingAlgorithmSHA384:     crypto.SHA384,
	kmip.HashingAlgorithmSHA512:     crypto.SHA512,
	kmip.HashingAlgorithmSHA512_224: crypto.SHA512_224,
	kmip.HashingAlgorithmSHA512_256: crypto.SHA512_256,
	kmip.HashingAlgorithmSHA3_224:   crypto.SHA3_224,
	kmip.HashingAlgorithmSHA3_256:   crypto.SHA3_256,
	kmip.HashingAlgorithmSHA3_384:   crypto.SHA3_384,
	kmip.HashingAlgorithmSHA3_512:   crypto.SHA3_512,
}

// digest finds a Hashing Algorithm, or the usual one if none is named.
func digest(h, usual kmip.HashingAlgorithm) (crypto.Hash, error) {
	h = either(h, usual)
	if d, ok := digests[h]; ok {
		return d, nil
	}
	return 0, notSupported("the Hashing Algorithm %v is not supported", h)
}
