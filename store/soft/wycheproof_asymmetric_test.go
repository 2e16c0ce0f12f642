package soft

import (
	"bytes"
	"context"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

var shaNames = map[string]kmip.HashingAlgorithm{
	"SHA-1": kmip.HashingAlgorithmSHA1, "SHA-224": kmip.HashingAlgorithmSHA224, "SHA-256": kmip.HashingAlgorithmSHA256,
	"SHA-384": kmip.HashingAlgorithmSHA384, "SHA-512": kmip.HashingAlgorithmSHA512,
	"SHA-512/224": kmip.HashingAlgorithmSHA512_224, "SHA-512/256": kmip.HashingAlgorithmSHA512_256,
	"SHA3-224": kmip.HashingAlgorithmSHA3_224, "SHA3-256": kmip.HashingAlgorithmSHA3_256,
	"SHA3-384": kmip.HashingAlgorithmSHA3_384, "SHA3-512": kmip.HashingAlgorithmSHA3_512,
}

// asymmetricKey opens a private key in PKCS #8 or a public one in X.509. Keys that are too small or malformed are refused.
func asymmetricKey(t *testing.T, algorithm kmip.CryptographicAlgorithm, object kmip.ObjectType, der []byte) kmip.Opened {
	t.Helper()
	block := kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS8, KeyValue: &kmip.KeyValue{Material: der}, CryptographicAlgorithm: algorithm}
	v := &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: block}}
	if object == kmip.ObjectTypePublicKey {
		block.KeyFormatType = kmip.KeyFormatTypeX509
		v = &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: block}}
	}
	k, err := Open(v, nil, nil)
	if err != nil {
		refused(t, err)
		return nil
	}
	return k
}

// opened opens the key of a group once.
type opened struct {
	group *vectorGroup
	key   kmip.Opened
}

func (o *opened) of(g *vectorGroup, open func() kmip.Opened) kmip.Opened {
	if o.group != g {
		o.group, o.key = g, open()
	}
	return o.key
}

// leastRSAKey is what the standard library takes, in bits.
const leastRSAKey = 1024

func TestWycheproofOAEP(t *testing.T) {
	for _, name := range []string{
		"rsa_oaep_2048_sha1_mgf1sha1", "rsa_oaep_2048_sha224_mgf1sha1", "rsa_oaep_2048_sha224_mgf1sha224", "rsa_oaep_2048_sha256_mgf1sha1",
		"rsa_oaep_2048_sha256_mgf1sha256", "rsa_oaep_2048_sha384_mgf1sha1", "rsa_oaep_2048_sha384_mgf1sha384", "rsa_oaep_2048_sha512_mgf1sha1",
		"rsa_oaep_2048_sha512_mgf1sha512", "rsa_oaep_2048_sha512_224_mgf1sha1", "rsa_oaep_2048_sha512_224_mgf1sha512_224",
		"rsa_oaep_3072_sha512_256_mgf1sha1", "rsa_oaep_3072_sha512_256_mgf1sha512_256", "rsa_oaep_misc",
		"rsa_three_primes_oaep_2048_sha1_mgf1sha1",
	} {
		var key opened
		each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
			k := key.of(g, func() kmip.Opened {
				return asymmetricKey(t, kmip.CryptographicAlgorithmRSA, kmip.ObjectTypePrivateKey, g.PrivateKeyPKCS8)
			})
			p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: shaNames[g.SHA],
				MaskGenerator: kmip.MaskGeneratorMGF1, MaskGeneratorHashingAlgorithm: shaNames[g.MGFSHA], PSource: v.Label}
			d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: v.CT})
			uniform(t, err)
			if g.KeySize < leastRSAKey {
				require.Error(t, err)
				return
			}
			v.judge(t, err == nil && bytes.Equal(d.Data, v.Msg))
			if v.Result != "valid" || v.TCID%8 != 0 {
				return
			}
			e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: v.Msg})
			require.NoError(t, err)
			d, err = k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data})
			require.NoError(t, err)
			require.True(t, bytes.Equal(v.Msg, d.Data))
		})
	}
}

func TestWycheproofPKCS1Decryption(t *testing.T) {
	p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15}
	for _, name := range []string{"rsa_pkcs1_2048", "rsa_pkcs1_3072"} {
		var key opened
		each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
			k := key.of(g, func() kmip.Opened {
				return asymmetricKey(t, kmip.CryptographicAlgorithmRSA, kmip.ObjectTypePrivateKey, g.PrivateKeyPKCS8)
			})
			d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: v.CT})
			uniform(t, err)
			v.judge(t, err == nil && bytes.Equal(d.Data, v.Msg))
		})
	}
}

// RSA with PKCS #1 v1.5 signs the same each time.
func TestWycheproofPKCS1Signing(t *testing.T) {
	for _, name := range []string{"rsa_pkcs1_1024_sig_gen", "rsa_pkcs1_2048_sig_gen", "rsa_pkcs1_3072_sig_gen"} {
		var key opened
		each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
			k := key.of(g, func() kmip.Opened {
				return asymmetricKey(t, kmip.CryptographicAlgorithmRSA, kmip.ObjectTypePrivateKey, g.PrivateKeyPKCS8)
			})
			p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: shaNames[g.SHA]}
			data := append([]byte{}, v.Msg...)
			require.Equal(t, valid, verify(t, k, p, data, nil, v.Sig))
			s, err := k.Sign(context.Background(), &kmip.SignRequest{CryptographicParameters: p, Data: data})
			if g.SHA == "SHA-1" {
				refused(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []byte(v.Sig), s.SignatureData)
		})
	}
}

// verifies runs the vectors of a signature scheme: their signatures hold or not, in whatever encoding.
func verifies(t *testing.T, name string, algorithm kmip.CryptographicAlgorithm, parameters func(*vectorGroup) *kmip.CryptographicParameters) {
	var key opened
	each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
		k := key.of(g, func() kmip.Opened { return asymmetricKey(t, algorithm, kmip.ObjectTypePublicKey, g.PublicKeyDER) })
		p := parameters(g)
		r, err := k.SignatureVerify(context.Background(), &kmip.SignatureVerifyRequest{CryptographicParameters: p,
			Data: append([]byte{}, v.Msg...), SignatureData: v.Sig})
		if p != nil && (p.HashingAlgorithm == 0 || p.MaskGeneratorHashingAlgorithm != 0 && p.MaskGeneratorHashingAlgorithm != p.HashingAlgorithm) {
			refused(t, err) // a hash, or a pair of hashes, that is not supported
			return
		}
		require.NoError(t, err)
		v.judge(t, r.ValidityIndicator == kmip.ValidityIndicatorValid)
	})
}

func TestWycheproofPKCS1Verification(t *testing.T) {
	for _, name := range []string{
		"rsa_signature_2048_sha224", "rsa_signature_2048_sha256", "rsa_signature_2048_sha384", "rsa_signature_2048_sha512",
		"rsa_signature_2048_sha512_224", "rsa_signature_2048_sha512_256", "rsa_signature_2048_sha3_224", "rsa_signature_2048_sha3_256",
		"rsa_signature_2048_sha3_384", "rsa_signature_2048_sha3_512", "rsa_signature_3072_sha256", "rsa_signature_4096_sha512",
		"rsa_signature_8192_sha256",
	} {
		verifies(t, name, kmip.CryptographicAlgorithmRSA, func(g *vectorGroup) *kmip.CryptographicParameters {
			return &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: shaNames[g.SHA]}
		})
	}
}

func TestWycheproofPSS(t *testing.T) {
	for _, name := range []string{
		"rsa_pss_2048_sha1_mgf1_20", "rsa_pss_2048_sha256_mgf1_32", "rsa_pss_2048_sha256_mgf1sha1_20", "rsa_pss_2048_sha384_mgf1_48",
		"rsa_pss_2048_sha512_224_mgf1_28", "rsa_pss_2048_sha512_256_mgf1_32", "rsa_pss_3072_sha256_mgf1_32", "rsa_pss_4096_sha256_mgf1_32",
		"rsa_pss_4096_sha384_mgf1_48", "rsa_pss_4096_sha512_mgf1_32", "rsa_pss_4096_sha512_mgf1_64", "rsa_pss_misc",
	} {
		verifies(t, name, kmip.CryptographicAlgorithmRSA, func(g *vectorGroup) *kmip.CryptographicParameters {
			p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: shaNames[g.SHA],
				MaskGeneratorHashingAlgorithm: shaNames[g.MGFSHA]}
			if g.SLen > 0 {
				p.SaltLength = new32(int32(g.SLen))
			}
			return p
		})
	}
}

func TestWycheproofECDSA(t *testing.T) {
	for _, name := range []string{
		"ecdsa_secp224r1_sha224", "ecdsa_secp224r1_sha256", "ecdsa_secp224r1_sha512", "ecdsa_secp224r1_sha3_224", "ecdsa_secp224r1_sha3_256",
		"ecdsa_secp256r1_sha256", "ecdsa_secp256r1_sha512", "ecdsa_secp256r1_sha3_256", "ecdsa_secp256r1_sha3_512", "ecdsa_secp384r1_sha256",
		"ecdsa_secp384r1_sha384", "ecdsa_secp384r1_sha512", "ecdsa_secp384r1_sha3_384", "ecdsa_secp384r1_sha3_512", "ecdsa_secp521r1_sha512",
		"ecdsa_secp521r1_sha3_512",
	} {
		verifies(t, name, kmip.CryptographicAlgorithmECDSA, func(g *vectorGroup) *kmip.CryptographicParameters {
			return &kmip.CryptographicParameters{HashingAlgorithm: shaNames[g.SHA]}
		})
	}
}

func TestWycheproofEd25519(t *testing.T) {
	verifies(t, "ed25519", kmip.CryptographicAlgorithmEd25519, func(*vectorGroup) *kmip.CryptographicParameters { return nil })
}

// Points that are on no curve, on another curve, of small order, or in no DER give no secret.
func TestWycheproofECDH(t *testing.T) {
	curves := map[string]kmip.RecommendedCurve{
		"secp224r1": kmip.RecommendedCurveP224, "secp256r1": kmip.RecommendedCurveP256,
		"secp384r1": kmip.RecommendedCurveP384, "secp521r1": kmip.RecommendedCurveP521,
	}
	for _, name := range []string{"ecdh_secp256r1", "ecdh_secp384r1", "ecdh_secp521r1"} {
		each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
			private := kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeTransparentECPrivateKey, CryptographicAlgorithm: kmip.CryptographicAlgorithmECDH,
				KeyValue: &kmip.KeyValue{Components: &kmip.KeyComponents{RecommendedCurve: curves[g.Curve], D: new(big.Int).SetBytes(v.Private)}}}
			wycheproofAgreement(t, v, private, kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeX509, KeyValue: &kmip.KeyValue{Material: v.Public}})
		})
	}
}

func TestWycheproofX25519(t *testing.T) {
	each(t, "x25519_asn", func(t *testing.T, g *vectorGroup, v *vector) {
		private := kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS8, KeyValue: &kmip.KeyValue{Material: v.Private}}
		out := wycheproofAgreement(t, v, private, kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeX509, KeyValue: &kmip.KeyValue{Material: v.Public}})
		require.False(t, slices.Contains(v.Flags, "ZeroSharedSecret") && out != nil, "a point of small order")
	})
}

// wycheproofAgreement derives the secret of a vector.
func wycheproofAgreement(t *testing.T, v *vector, private, public kmip.KeyBlock) []byte {
	bases := []Base{
		{Value: &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: private}}},
		{Value: &kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: public}}},
	}
	out, err := Derive(context.Background(), kmip.DerivationMethodAsymmetricKey, new(kmip.DerivationParameters), bases, max(1, len(v.Shared)))
	if err != nil {
		require.Contains(t, []kmip.ResultReason{kmip.ResultReasonInvalidField, kmip.ResultReasonBadCryptographicParameters,
			kmip.ResultReasonCryptographicFailure, kmip.ResultReasonInvalidObjectType, kmip.ResultReasonKeyFormatTypeNotSupported}, kmip.ReasonOf(err), "%v", err)
		require.NotEqual(t, "valid", v.Result, "%v", err)
		return nil
	}
	v.judge(t, bytes.Equal(out, v.Shared))
	if v.Result == "acceptable" {
		require.Equal(t, []byte(v.Shared), out)
	}
	return out
}
