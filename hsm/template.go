package hsm

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A making is how a new secret key is generated, or with a value registered.
type making struct {
	mechanism uint
	template  template
}

// bits is the length of a key that is generated.
func (m making) bits() int32 { return int32(8 * m.template.number(pkcs11.CKA_VALUE_LEN)) }

// protection are the attributes of a key that is to stay: sensitive and not extractable, unless the request says that it is not
// sensitive.
func protection(a kmip.Attributes) template {
	sensitive, ok := kmip.Get[bool](a, ttlv.TagSensitive)
	if !ok {
		sensitive = true
	}
	extractable, ok := kmip.Get[bool](a, ttlv.TagExtractable)
	if !ok {
		extractable = !sensitive
	}
	return template{{pkcs11.CKA_SENSITIVE, flag(sensitive)}, {pkcs11.CKA_EXTRACTABLE, flag(extractable)}}
}

// placed are the attributes of a token object of that name. CKA_ID is the private key's label on both halves of a pair.
func placed(label string, private bool) template {
	return template{
		{pkcs11.CKA_TOKEN, flag(true)}, {pkcs11.CKA_PRIVATE, flag(private)},
		{pkcs11.CKA_LABEL, []byte(label)}, {pkcs11.CKA_ID, []byte(label)},
	}
}

// A use ties bits of the Cryptographic Usage Mask to an attribute of the token.
type use struct {
	attribute uint
	mask      kmip.CryptographicUsageMask
}

// What the bits allow. A token that has CKA_WRAP and CKA_DECRYPT on one key gives any extractable key away in clear: wrap it, and
// decrypt that. So no key has both, nor CKA_ENCRYPT and CKA_WRAP: an AES key whose mask has Encrypt or Decrypt is a data key, or a
// key-encryption key (rows are wrapped with C_Encrypt, in mode GCM); one that only wraps keys is a wrapping key, for C_WrapKey and
// C_UnwrapKey alone. The private half of a pair that unwraps has CKA_DECRYPT too, for OAEP with a hash that the token lacks. A MAC
// is verified by computing it again, so that either bit allows C_Sign.
var (
	seals      = kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskWrapKey
	opens      = kmip.CryptographicUsageMaskDecrypt | kmip.CryptographicUsageMaskUnwrapKey
	signs      = kmip.CryptographicUsageMaskSign | kmip.CryptographicUsageMaskCertificateSign | kmip.CryptographicUsageMaskCRLSign
	dataUses   = []use{{pkcs11.CKA_ENCRYPT, seals}, {pkcs11.CKA_DECRYPT, opens}, {pkcs11.CKA_WRAP, 0}, {pkcs11.CKA_UNWRAP, 0}}
	wrapUses   = []use{{pkcs11.CKA_ENCRYPT, 0}, {pkcs11.CKA_DECRYPT, 0}, {pkcs11.CKA_WRAP, seals}, {pkcs11.CKA_UNWRAP, opens}}
	macs       = kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskMACVerify
	hmacUses   = []use{{pkcs11.CKA_SIGN, macs}, {pkcs11.CKA_VERIFY, macs}}
	rsaPrivate = []use{{pkcs11.CKA_DECRYPT, opens}, {pkcs11.CKA_UNWRAP, kmip.CryptographicUsageMaskUnwrapKey}, {pkcs11.CKA_SIGN, signs}}
	rsaPublic  = []use{{pkcs11.CKA_ENCRYPT, seals}, {pkcs11.CKA_WRAP, 0}, {pkcs11.CKA_VERIFY, kmip.CryptographicUsageMaskVerify}}
	rsaWraps   = []use{{pkcs11.CKA_ENCRYPT, 0}, {pkcs11.CKA_WRAP, seals}, {pkcs11.CKA_VERIFY, kmip.CryptographicUsageMaskVerify}}
	ecPrivate  = []use{{pkcs11.CKA_SIGN, signs}, {pkcs11.CKA_DERIVE, kmip.CryptographicUsageMaskKeyAgreement | kmip.CryptographicUsageMaskDeriveKey}}
	edPrivate  = []use{{pkcs11.CKA_SIGN, signs}}
	ecPublic   = []use{{pkcs11.CKA_VERIFY, kmip.CryptographicUsageMaskVerify}}
)

// wrapsOnly says whether a mask lets keys be wrapped, and no data be encrypted.
func wrapsOnly(mask kmip.CryptographicUsageMask) bool {
	const keys, data = kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey, kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt
	return mask&keys != 0 && mask&data == 0
}

// aesUses and rsaPublicUses are the uses of a key with that mask.
func aesUses(mask kmip.CryptographicUsageMask) []use {
	if wrapsOnly(mask) {
		return wrapUses
	}
	return dataUses
}

func rsaPublicUses(mask kmip.CryptographicUsageMask) []use {
	if wrapsOnly(mask) {
		return rsaWraps
	}
	return rsaPublic
}

// allowed are the attributes that a mask asks for, all of them where there is none, and false for every other of the class: what is
// not said SoftHSM, for one, allows.
func allowed(mask kmip.CryptographicUsageMask, uses []use, every []uint) template {
	var t template
	for _, u := range every {
		if !slices.ContainsFunc(uses, func(x use) bool { return x.attribute == u }) {
			t = append(t, attribute{u, flag(false)})
		}
	}
	for _, u := range uses {
		t = append(t, attribute{u.attribute, flag(mask == 0 && u.mask != 0 || mask&u.mask != 0)})
	}
	return t
}

// secretKey says how a symmetric key is made.
func secretKey(label string, a kmip.Attributes) (making, error) {
	kind, mechanism, uses := uint(pkcs11.CKK_AES), uint(pkcs11.CKM_AES_KEY_GEN), aesUses(a.UsageMask())
	bits := a.Length()
	_, hmac := hmacs[a.Algorithm()]
	switch {
	case a.Algorithm() == kmip.CryptographicAlgorithmAES:
		if bits != 0 && bits != 128 && bits != 192 && bits != 256 {
			return making{}, invalid("an AES key has 128, 192 or 256 bits, not %d", bits)
		}
		if bits == 0 {
			bits = 256
		}
		if a.UsageMask()&macs != 0 {
			uses = append(hmacUses[:len(hmacUses):len(hmacUses)], uses...)
		}
	case hmac:
		kind, mechanism, uses = pkcs11.CKK_GENERIC_SECRET, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, hmacUses
		if bits == 0 {
			bits = int32(8 * digests[hmacs[a.Algorithm()]].hash.Size())
		}
		if bits%8 != 0 || bits < leastHMAC || bits > mostHMAC {
			return making{}, invalid("an HMAC key in a token has %d to %d bits, whole bytes, not %d", leastHMAC, mostHMAC, bits)
		}
	default:
		return making{}, invalid("a token makes no symmetric keys for %v, only AES and HMAC", a.Algorithm())
	}
	t := template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)}, {pkcs11.CKA_KEY_TYPE, number(kind)},
		{pkcs11.CKA_VALUE_LEN, number(uint(bits / 8))}}
	t = append(append(append(t, placed(label, true)...), protection(a)...), allowed(a.UsageMask(), uses, secretUses)...)
	return making{mechanism, t}, nil
}

// keyPair says how the two halves are made.
func keyPair(label, publicLabel string, private, public kmip.Attributes) (mechanism uint, pub, priv template, err error) {
	uses, others := ecPrivate, ecPublic
	switch algorithm := private.Algorithm(); {
	case algorithm == kmip.CryptographicAlgorithmRSA:
		mechanism, uses, others = pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, rsaPrivate, rsaPublicUses(public.UsageMask())
		pub, err = rsaSize(private.Length())
	case ellipticAlgorithm(algorithm):
		mechanism = pkcs11.CKM_EC_KEY_PAIR_GEN
		pub, err = curveParameters(private)
	case algorithm == kmip.CryptographicAlgorithmEd25519:
		mechanism, uses, others = ckmEdwardsPairGen, edPrivate, ecPublic
		pub, err = edwardsAsked(private)
	default:
		err = invalid("a token makes no key pairs for %v, only RSA, ECDSA, ECDH and Ed25519", algorithm)
	}
	if err != nil {
		return 0, nil, nil, err
	}
	pub = append(append(pub, placed(publicLabel, false)...), allowed(public.UsageMask(), others, publicUses)...)
	for i := range pub {
		if pub[i].Type == pkcs11.CKA_ID {
			pub[i].Value = []byte(label)
		}
	}
	priv = append(append(placed(label, true), protection(private)...), allowed(private.UsageMask(), uses, privateUses)...)
	if mechanism == ckmEdwardsPairGen {
		priv = append(priv, attribute{pkcs11.CKA_KEY_TYPE, number(ckkEdwards)})
	}
	return mechanism, pub, priv, nil
}

// rsaSize are the attributes of a modulus, 2048 bits where no length is given.
func rsaSize(bits int32) (template, error) {
	if bits == 0 {
		bits = 2048
	}
	if bits < 2048 || bits > 4096 || bits%64 != 0 {
		return nil, invalid("an RSA key in a token has 2048 to 4096 bits, a multiple of 64, not %d", bits)
	}
	return template{{pkcs11.CKA_MODULUS_BITS, number(uint(bits))}, {pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}}}, nil
}

// curveParameters are the attributes of the curve that the Cryptographic Domain Parameters name, or the length means.
func curveParameters(a kmip.Attributes) (template, error) {
	d, named := kmip.Get[kmip.CryptographicDomainParameters](a, ttlv.TagCryptographicDomainParameters)
	bits := a.Length()
	for _, c := range curves {
		size := int32(c.curve.Params().BitSize)
		if named && d.RecommendedCurve != 0 && d.RecommendedCurve != c.name || bits != 0 && bits != size || d.Qlength != 0 && d.Qlength != size {
			continue
		}
		return ecParameters(c.oid)
	}
	return nil, invalid("a token makes key pairs on P-256, P-384 and P-521; curve %v with %d bits is none of them", d.RecommendedCurve, bits)
}

// edwardsAsked refuses what is not Ed25519.
func edwardsAsked(a kmip.Attributes) (template, error) {
	d, _ := kmip.Get[kmip.CryptographicDomainParameters](a, ttlv.TagCryptographicDomainParameters)
	if bits := a.Length(); bits != 0 && bits != edwardsBits || d.RecommendedCurve != 0 && d.RecommendedCurve != kmip.RecommendedCurveCURVE25519 ||
		d.Qlength != 0 && d.Qlength != edwardsBits {
		return nil, invalid("Ed25519 is a curve of %d bits", edwardsBits)
	}
	return edwardsParameters(), nil
}

func ecParameters(oid asn1.ObjectIdentifier) (template, error) {
	der, err := asn1.Marshal(oid)
	return template{{pkcs11.CKA_EC_PARAMS, der}}, err
}

// rsaPrivateTemplate is the material of a private key.
func rsaPrivateTemplate(k *rsa.PrivateKey) template {
	k.Precompute()
	return template{
		{pkcs11.CKA_CLASS, number(pkcs11.CKO_PRIVATE_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_RSA)},
		{pkcs11.CKA_MODULUS, k.N.Bytes()}, {pkcs11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(k.E)).Bytes()},
		{pkcs11.CKA_PRIVATE_EXPONENT, k.D.Bytes()}, {pkcs11.CKA_PRIME_1, k.Primes[0].Bytes()}, {pkcs11.CKA_PRIME_2, k.Primes[1].Bytes()},
		{pkcs11.CKA_EXPONENT_1, k.Precomputed.Dp.Bytes()}, {pkcs11.CKA_EXPONENT_2, k.Precomputed.Dq.Bytes()},
		{pkcs11.CKA_COEFFICIENT, k.Precomputed.Qinv.Bytes()},
	}
}

// rsaPublicTemplate is the material of a public key.
func rsaPublicTemplate(k *rsa.PublicKey) template {
	return template{
		{pkcs11.CKA_CLASS, number(pkcs11.CKO_PUBLIC_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_RSA)},
		{pkcs11.CKA_MODULUS, k.N.Bytes()}, {pkcs11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(k.E)).Bytes()},
	}
}

// ecPrivateTemplate is the material of a private key on a curve.
func ecPrivateTemplate(k *ecdsa.PrivateKey) (template, error) {
	parameters, err := curveTemplate(&k.PublicKey)
	if err != nil {
		return nil, err
	}
	value, err := k.Bytes()
	if err != nil {
		return nil, invalid("the private key: %w", err)
	}
	return append(template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_PRIVATE_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_EC)},
		{pkcs11.CKA_VALUE, value}}, parameters...), nil
}

// ecPublicTemplate is the material of a public key on a curve; the point is an OCTET STRING (PKCS#11 2.40 §2.3.3).
func ecPublicTemplate(k *ecdsa.PublicKey) (template, error) {
	parameters, err := curveTemplate(k)
	if err != nil {
		return nil, err
	}
	uncompressed, err := k.Bytes()
	if err != nil {
		return nil, invalid("the public key: %w", err)
	}
	der, err := asn1.Marshal(uncompressed)
	return append(template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_PUBLIC_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_EC)},
		{pkcs11.CKA_EC_POINT, der}}, parameters...), err
}

func curveTemplate(k *ecdsa.PublicKey) (template, error) {
	for _, c := range curves {
		if c.curve == k.Curve {
			return ecParameters(c.oid)
		}
	}
	return nil, invalid("a token keeps keys on P-256, P-384 and P-521 only")
}

// clear wipes the values.
func (t template) clear() {
	for _, a := range t {
		clear(a.Value)
	}
}

// pairLabel is the name of the private half that goes with a public one.
func pairLabel(publicLabel string) string { return strings.TrimSuffix(publicLabel, publicSuffix) }
