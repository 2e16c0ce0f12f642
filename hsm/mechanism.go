package hsm

import (
	"crypto"
	_ "crypto/sha1" // the hashes of the table
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// This file is the one table of KMIP → CKM. What a token lists and what it does differ, so a row names candidates: the
// self-test (selftest.go) picks the first that computes the right thing, and a row of which none does is refused.

// ckmAESKeyWrapKWP is RFC 5649 proper, of PKCS#11 3.0 §2.14; miekg/pkcs11 ends at 2.40.
const ckmAESKeyWrapKWP = 0x210B

// A cipher is one way to encrypt with an AES key.
type cipher struct {
	mode       kmip.BlockCipherMode
	padded     bool   // PKCS #7 padding, which KMIP calls PKCS5
	candidates []uint // CKM_
	parameter  parameter
	iv         int  // bytes; 0: the mode has none
	tag        int  // bytes
	blocks     bool // the data is whole blocks of 16 bytes
	wraps      bool // made for keys: C_WrapKey and C_UnwrapKey
}

// The rows of ciphers, so that a proof can be an array.
const (
	cipherGCM = iota
	cipherCBC
	cipherCBCPadded
	cipherECB
	cipherCTR
	cipherKW
	cipherKWP
	cipherCount
)

var ciphers = [cipherCount]cipher{
	cipherGCM:       {mode: kmip.BlockCipherModeGCM, candidates: []uint{pkcs11.CKM_AES_GCM}, parameter: parameterGCM, iv: 12, tag: 16},
	cipherCBC:       {mode: kmip.BlockCipherModeCBC, candidates: []uint{pkcs11.CKM_AES_CBC}, parameter: parameterIV, iv: 16, blocks: true},
	cipherCBCPadded: {mode: kmip.BlockCipherModeCBC, candidates: []uint{pkcs11.CKM_AES_CBC_PAD}, parameter: parameterIV, iv: 16, padded: true},
	cipherECB:       {mode: kmip.BlockCipherModeECB, candidates: []uint{pkcs11.CKM_AES_ECB}, blocks: true},
	cipherCTR:       {mode: kmip.BlockCipherModeCTR, candidates: []uint{pkcs11.CKM_AES_CTR}, parameter: parameterCTR, iv: 16},
	cipherKW:        {mode: kmip.BlockCipherModeNISTKeyWrap, candidates: []uint{pkcs11.CKM_AES_KEY_WRAP}, wraps: true},
	cipherKWP:       {mode: kmip.BlockCipherModeAESKeyWrapPadding, candidates: []uint{ckmAESKeyWrapKWP, pkcs11.CKM_AES_KEY_WRAP_PAD}, wraps: true},
}

// A digest is one hash function and what PKCS#11 calls it, alone and in OAEP and PSS.
type digest struct {
	name kmip.HashingAlgorithm
	hash crypto.Hash
	ckm  uint // CKM_
	mgf  uint // CKG_
	hmac uint // CKM_
}

var digests = [...]digest{
	{kmip.HashingAlgorithmSHA256, crypto.SHA256, pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, pkcs11.CKM_SHA256_HMAC},
	{kmip.HashingAlgorithmSHA384, crypto.SHA384, pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384, pkcs11.CKM_SHA384_HMAC},
	{kmip.HashingAlgorithmSHA512, crypto.SHA512, pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512, pkcs11.CKM_SHA512_HMAC},
	{kmip.HashingAlgorithmSHA1, crypto.SHA1, pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, pkcs11.CKM_SHA_1_HMAC},
}

const digestCount = len(digests)

// digestOf is the row number of a hash; 0 is SHA-256, which is meant where none is named.
func digestOf(name kmip.HashingAlgorithm) (int, error) {
	if name == 0 {
		return 0, nil
	}
	for i := range digests {
		if digests[i].name == name {
			return i, nil
		}
	}
	return 0, unsupported("the Hashing Algorithm %v is not supported in a token", name)
}

// hmacs gives the row of digests for the algorithm of a key for message authentication.
var hmacs = map[kmip.CryptographicAlgorithm]int{
	kmip.CryptographicAlgorithmHMACSHA256: 0,
	kmip.CryptographicAlgorithmHMACSHA384: 1,
	kmip.CryptographicAlgorithmHMACSHA512: 2,
	kmip.CryptographicAlgorithmHMACSHA1:   3,
}

// leastHMAC and mostHMAC are how many bits a key for HMAC has in a token.
const leastHMAC, mostHMAC = 112, 4096

// authenticates refuses a key for an algorithm that would be too short for the token to compute with: SoftHSM wants as many bits as the
// hash has.
func (p *proof) authenticates(a kmip.CryptographicAlgorithm, bits int32) error {
	row, hmac := hmacs[a]
	if least := int32(8 * digests[row].hash.Size()); hmac && !p.shortHMAC && bits < least {
		return invalid("the token computes %v with keys of %d bits and more, not %d", a, least, bits)
	}
	return nil
}

// A proof is what the self-test found that a model of token does right.
type proof struct {
	ciphers   [cipherCount]uint // the mechanism, 0 for none
	anyLength bool              // RFC 5649 of keys whose length is no multiple of eight
	oaep      [digestCount]bool // CKM_RSA_PKCS_OAEP with that hash, and MGF1 with the same
	hmac      [digestCount]bool
	shortHMAC bool // with keys that are shorter than the hash
	cmac      bool // CKM_AES_CMAC
	rawRSA    bool // CKM_RSA_X_509
	pkcs1     bool // CKM_RSA_PKCS, decrypting
	signPKCS1 bool // CKM_RSA_PKCS, signing
	signPSS   bool // CKM_RSA_PKCS_PSS
	signECDSA bool // CKM_ECDSA
	edwards   int  // CKM_EDDSA, and the form of the curve's parameters: of edwardsForms, from 1; 0 for none
	wraps     [wrapKinds]wrapProof
	makesAES  bool // CKM_AES_KEY_GEN
	makesHMAC bool // CKM_GENERIC_SECRET_KEY_GEN
	reuses    bool // handles: a new object may get the handle of one destroyed

	wrapsPrivate, unwrapsPrivate [cipherCount]bool // private keys, with a wrapping key
	wrapsOAEP                    [digestCount]bool // symmetric keys

	whyNot map[tried]string // what was tried and does not work
}

// cipherFor is the row for an AES key and parameters; without a mode it is GCM.
func cipherFor(p *kmip.CryptographicParameters) (int, error) {
	mode := p.BlockCipherMode
	if mode == 0 {
		mode = kmip.BlockCipherModeGCM
	}
	padded := p.PaddingMethod == kmip.PaddingMethodPKCS5
	if p.PaddingMethod > kmip.PaddingMethodNone && !padded {
		return 0, unsupported("AES with the Padding Method %v is not supported in a token", p.PaddingMethod)
	}
	for i := range ciphers {
		if ciphers[i].mode == mode && ciphers[i].padded == padded {
			return i, ciphers[i].takes(p)
		}
	}
	if padded {
		return 0, unsupported("AES in mode %v with padding is not supported in a token", mode)
	}
	return 0, unsupported("AES in mode %v is not supported in a token", mode)
}

// takes refuses parameters that the mode does not have, or has other values for.
func (c *cipher) takes(p *kmip.CryptographicParameters) error {
	switch {
	case p.CryptographicAlgorithm != 0 && p.CryptographicAlgorithm != kmip.CryptographicAlgorithmAES:
		return contradiction("the key is AES, the parameters are for %v", p.CryptographicAlgorithm)
	case p.IVLength != nil && int(*p.IVLength) != 8*c.iv:
		return unsupported("mode %v takes an IV of %d bits in a token, not %d", c.mode, 8*c.iv, *p.IVLength)
	case p.TagLength != nil && int(*p.TagLength) != c.tag:
		return unsupported("mode %v has a tag of %d bytes in a token, not %d", c.mode, c.tag, *p.TagLength)
	case p.CounterLength != nil && (c.parameter != parameterCTR || *p.CounterLength != 128):
		return unsupported("a Counter Length of %d is not supported: in mode CTR the whole block counts", *p.CounterLength)
	case p.RandomIV != nil && c.iv == 0:
		return contradiction("mode %v takes no IV", c.mode)
	}
	return surplus(p, "AES", p.HashingAlgorithm != 0, p.DigitalSignatureAlgorithm != 0, p.FixedFieldLength != nil,
		p.InvocationFieldLength != nil, p.InitialCounterValue != nil, p.SaltLength != nil, p.MaskGenerator != 0,
		p.MaskGeneratorHashingAlgorithm != 0, len(p.PSource) > 0, p.TrailerField != nil)
}

// surplus refuses parameters that mean nothing for a mechanism, if any is given.
func surplus(p *kmip.CryptographicParameters, name string, given ...bool) error {
	for _, g := range given {
		if g {
			return contradiction("%s does not take these Cryptographic Parameters: %s", name, describe(p))
		}
	}
	return nil
}

// describe names the parameters that are given, for errors.
func describe(p *kmip.CryptographicParameters) string {
	text := ""
	for _, f := range []struct {
		given bool
		name  string
	}{
		{p.BlockCipherMode != 0, "Block Cipher Mode"},
		{p.PaddingMethod != 0, "Padding Method"},
		{p.HashingAlgorithm != 0, "Hashing Algorithm"},
		{p.DigitalSignatureAlgorithm != 0, "Digital Signature Algorithm"},
		{p.RandomIV != nil, "Random IV"},
		{p.IVLength != nil, "IV Length"},
		{p.TagLength != nil, "Tag Length"},
		{p.FixedFieldLength != nil, "Fixed Field Length"},
		{p.InvocationFieldLength != nil, "Invocation Field Length"},
		{p.CounterLength != nil, "Counter Length"},
		{p.InitialCounterValue != nil, "Initial Counter Value"},
		{p.SaltLength != nil, "Salt Length"},
		{p.MaskGenerator != 0, "Mask Generator"},
		{p.MaskGeneratorHashingAlgorithm != 0, "Mask Generator Hashing Algorithm"},
		{len(p.PSource) > 0, "P Source"},
		{p.TrailerField != nil, "Trailer Field"},
	} {
		if f.given && text != "" {
			text += ", "
		}
		if f.given {
			text += f.name
		}
	}
	return text
}

// unsupported refuses parameters that mean something, but nothing that a token does for us.
func unsupported(format string, args ...any) error {
	return kmip.Errorf(kmip.ResultReasonUnsupportedCryptographicParameters, format, args...)
}

// contradiction refuses parameters that do not fit the key or one another.
func contradiction(format string, args ...any) error {
	return kmip.Errorf(kmip.ResultReasonBadCryptographicParameters, format, args...)
}

// invalid refuses data or a field of a request.
func invalid(format string, args ...any) error {
	return kmip.Errorf(kmip.ResultReasonInvalidField, format, args...)
}
