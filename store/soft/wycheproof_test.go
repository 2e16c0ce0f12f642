package soft

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// The test vectors of Project Wycheproof: what is right, and what has broken other implementations. A vector that is valid gives
// its answer, one that is invalid none, one that is acceptable its own or none.

type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	b, err := hex.DecodeString(s)
	*h = b
	return err
}

type vectorGroup struct {
	KeySize, IVSize, TagSize      int // bits
	SHA, MGFSHA, Curve            string
	SLen                          int // bytes
	PrivateKeyPKCS8, PublicKeyDER hexBytes
	Tests                         []vector
}

type vector struct {
	TCID                                int
	Comment, Result                     string
	Flags                               []string
	Key, IV, AAD, Msg, CT, Tag          hexBytes
	Label, Sig, Public, Private, Shared hexBytes
	IKM, Salt, Info, OKM, Password, DK  hexBytes
	Size, IterationCount, DKLen         int
}

// groups reads a file of vectors.
func groups(t *testing.T, name string) []vectorGroup {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, name+"_test.json")
	require.NoError(t, err)
	var file struct {
		NumberOfTests int
		TestGroups    []vectorGroup
	}
	require.NoError(t, json.Unmarshal(text, &file))
	n := 0
	for _, g := range file.TestGroups {
		n += len(g.Tests)
	}
	require.Equal(t, file.NumberOfTests, n, name)
	require.Positive(t, n, name)
	return file.TestGroups
}

// slow are the files of which only every nth vector is run, unless STRONGROOM_VECTORS is all.
var slow = map[string]int{
	"rsa_oaep_misc": 24, "rsa_signature_8192_sha256": 4, "ecdh_secp256r1": 3, "ecdh_secp384r1": 24, "ecdh_secp521r1": 36,
	"ecdsa_secp224r1_sha224": 5, "ecdsa_secp224r1_sha256": 5, "ecdsa_secp224r1_sha512": 5, "ecdsa_secp224r1_sha3_224": 5,
	"ecdsa_secp224r1_sha3_256": 5, "ecdsa_secp384r1_sha256": 8, "ecdsa_secp384r1_sha384": 8, "ecdsa_secp384r1_sha512": 8,
	"ecdsa_secp384r1_sha3_384": 8, "ecdsa_secp384r1_sha3_512": 8, "ecdsa_secp521r1_sha512": 16, "ecdsa_secp521r1_sha3_512": 16,
	"pbkdf2_hmacsha224": 4, "pbkdf2_hmacsha384": 4, "pbkdf2_hmacsha512": 4,
}

// each runs f for every vector of a file.
func each(t *testing.T, name string, f func(t *testing.T, g *vectorGroup, v *vector)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		gs, n := groups(t, name), max(1, slow[name])
		if os.Getenv("STRONGROOM_VECTORS") == "all" {
			n = 1
		}
		for i := range gs {
			for j := range gs[i].Tests {
				v := &gs[i].Tests[j]
				if v.TCID%n != 0 {
					continue
				}
				f(t, &gs[i], v)
				if t.Failed() {
					t.Fatalf("%s, test %d (%s, %s %v)", name, v.TCID, v.Comment, v.Result, v.Flags)
				}
			}
		}
	})
}

// judge compares an outcome with a vector's.
func (v *vector) judge(t *testing.T, good bool) {
	t.Helper()
	switch v.Result {
	case "valid":
		require.True(t, good, "test %d (%s) must hold", v.TCID, v.Comment)
	case "invalid":
		require.False(t, good, "test %d (%s) must not hold", v.TCID, v.Comment)
	}
}

// refused says that an error is one for the parameters, the key or the data's form: not a failure of the cryptography.
func refused(t *testing.T, err error) {
	t.Helper()
	require.Contains(t, []kmip.ResultReason{
		kmip.ResultReasonInvalidField, kmip.ResultReasonInvalidMessage, kmip.ResultReasonGeneralFailure,
		kmip.ResultReasonBadCryptographicParameters, kmip.ResultReasonUnsupportedCryptographicParameters,
	}, kmip.ReasonOf(err), "%v", err)
}

// uniform says that an error of a decryption is the one there is, unless it is about the request.
func uniform(t *testing.T, err error) {
	t.Helper()
	if err != nil && kmip.ReasonOf(err) == kmip.ResultReasonCryptographicFailure {
		require.Equal(t, errDecryption, err)
	} else if err != nil {
		refused(t, err)
	}
}

// symmetricKey opens a key of a vector, or refuses it.
func symmetricKey(t *testing.T, algorithm kmip.CryptographicAlgorithm, key []byte) kmip.Opened {
	t.Helper()
	k, err := Open(symmetricValue(algorithm, key), nil, nil)
	if err != nil {
		refused(t, err)
		return nil
	}
	return k
}

func TestWycheproofAEAD(t *testing.T) {
	for name, c := range map[string]struct {
		algorithm kmip.CryptographicAlgorithm
		mode      kmip.BlockCipherMode
		leastTag  int // bits
	}{
		"aes_gcm":           {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeGCM, 96},
		"aes_ccm":           {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeCCM, 64},
		"chacha20_poly1305": {kmip.CryptographicAlgorithmChaCha20Poly1305, kmip.BlockCipherModeAEAD, 96},
	} {
		each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
			k := symmetricKey(t, c.algorithm, v.Key)
			p := &kmip.CryptographicParameters{BlockCipherMode: c.mode, TagLength: new32(int32(g.TagSize / 8))}
			d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: v.CT, IVCounterNonce: v.IV,
				AuthenticatedEncryptionAdditionalData: v.AAD, AuthenticatedEncryptionTag: v.Tag})
			uniform(t, err)
			if g.TagSize < c.leastTag {
				refused(t, err) // the algorithm has such tags, the server takes none
				return
			}
			v.judge(t, err == nil && bytes.Equal(d.Data, v.Msg))
			if v.Result != "valid" {
				return
			}
			e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: v.Msg, IVCounterNonce: v.IV,
				AuthenticatedEncryptionAdditionalData: v.AAD})
			require.NoError(t, err)
			require.Equal(t, []byte(v.CT), e.Data)
			require.Equal(t, []byte(v.Tag), e.AuthenticatedEncryptionTag)
		})
	}
}

// GMAC is the tag of GCM without data.
func TestWycheproofGMAC(t *testing.T) {
	each(t, "aes_gmac", func(t *testing.T, g *vectorGroup, v *vector) {
		k := symmetricKey(t, kmip.CryptographicAlgorithmAES, v.Key)
		p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, TagLength: new32(int32(g.TagSize / 8))}
		e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, IVCounterNonce: v.IV,
			AuthenticatedEncryptionAdditionalData: v.Msg})
		require.NoError(t, err)
		v.judge(t, bytes.Equal(e.AuthenticatedEncryptionTag, v.Tag))
		_, err = k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, IVCounterNonce: v.IV,
			AuthenticatedEncryptionAdditionalData: v.Msg, AuthenticatedEncryptionTag: v.Tag})
		uniform(t, err)
		v.judge(t, err == nil)
	})
}

func TestWycheproofCBC(t *testing.T) {
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}
	each(t, "aes_cbc_pkcs5", func(t *testing.T, g *vectorGroup, v *vector) { wycheproofPlain(t, p, v) })
}

func TestWycheproofXTS(t *testing.T) {
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeXTS}
	each(t, "aes_xts", func(t *testing.T, g *vectorGroup, v *vector) {
		if g.KeySize == 384 { // two halves of 192 bits, which SP 800-38E does not have
			require.Nil(t, symmetricKey(t, kmip.CryptographicAlgorithmAES, v.Key))
			return
		}
		v.IV = append(v.IV, make([]byte, 16-len(v.IV))...)
		wycheproofPlain(t, p, v)
	})
}

// wycheproofPlain runs a vector of a mode without authentication.
func wycheproofPlain(t *testing.T, p *kmip.CryptographicParameters, v *vector) {
	k := symmetricKey(t, kmip.CryptographicAlgorithmAES, v.Key)
	d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: v.CT, IVCounterNonce: v.IV})
	uniform(t, err)
	v.judge(t, err == nil && bytes.Equal(d.Data, v.Msg))
	if v.Result == "valid" {
		e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: v.Msg, IVCounterNonce: v.IV})
		require.NoError(t, err)
		require.Equal(t, []byte(v.CT), e.Data)
	}
}

func TestWycheproofKeyWrap(t *testing.T) {
	for name, mode := range map[string]kmip.BlockCipherMode{
		"aes_wrap": kmip.BlockCipherModeNISTKeyWrap,
		"aes_kwp":  kmip.BlockCipherModeAESKeyWrapPadding,
	} {
		p := &kmip.CryptographicParameters{BlockCipherMode: mode}
		each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
			k := symmetricKey(t, kmip.CryptographicAlgorithmAES, v.Key)
			d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: v.CT})
			uniform(t, err)
			v.judge(t, err == nil && bytes.Equal(d.Data, v.Msg))
			plain, again := k.Unwrap(context.Background(), p, v.CT)
			require.Equal(t, err, again)
			if err == nil {
				require.Equal(t, d.Data, plain)
			}
			if v.Result != "valid" {
				return
			}
			e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: v.Msg})
			require.NoError(t, err)
			require.Equal(t, []byte(v.CT), e.Data)
		})
	}
}

func TestWycheproofMAC(t *testing.T) {
	for name, algorithm := range map[string]kmip.CryptographicAlgorithm{
		"aes_cmac":      kmip.CryptographicAlgorithmAES,
		"hmac_sha1":     kmip.CryptographicAlgorithmHMACSHA1,
		"hmac_sha224":   kmip.CryptographicAlgorithmHMACSHA224,
		"hmac_sha256":   kmip.CryptographicAlgorithmHMACSHA256,
		"hmac_sha384":   kmip.CryptographicAlgorithmHMACSHA384,
		"hmac_sha512":   kmip.CryptographicAlgorithmHMACSHA512,
		"hmac_sha3_224": kmip.CryptographicAlgorithmHMACSHA3_224,
		"hmac_sha3_256": kmip.CryptographicAlgorithmHMACSHA3_256,
		"hmac_sha3_384": kmip.CryptographicAlgorithmHMACSHA3_384,
		"hmac_sha3_512": kmip.CryptographicAlgorithmHMACSHA3_512,
	} {
		each(t, name, func(t *testing.T, g *vectorGroup, v *vector) {
			k := symmetricKey(t, algorithm, v.Key)
			if k == nil {
				v.judge(t, false)
				return
			}
			r, err := k.MAC(context.Background(), &kmip.MACRequest{Data: v.Msg})
			if g.KeySize == 512 && algorithm == kmip.CryptographicAlgorithmAES {
				refused(t, err)
				v.judge(t, false)
				return
			}
			require.NoError(t, err)
			v.judge(t, bytes.Equal(r.MACData[:g.TagSize/8], v.Tag)) // some are cut short
		})
	}
}

func TestWycheproofDerivation(t *testing.T) {
	hashes := map[string]kmip.HashingAlgorithm{
		"sha1": kmip.HashingAlgorithmSHA1, "sha224": kmip.HashingAlgorithmSHA224, "sha256": kmip.HashingAlgorithmSHA256,
		"sha384": kmip.HashingAlgorithmSHA384, "sha512": kmip.HashingAlgorithmSHA512,
	}
	for name, hash := range hashes {
		if name != "sha224" {
			each(t, "hkdf_"+name, func(t *testing.T, g *vectorGroup, v *vector) {
				p := &kmip.DerivationParameters{CryptographicParameters: hashing(hash), Salt: v.Salt}
				if len(v.Info) > 0 {
					p.DerivationData = [][]byte{v.Info}
				}
				out, err := Derive(context.Background(), kmip.DerivationMethodHKDF, p, []Base{secretBase(v.IKM)}, v.Size)
				if v.Size > longestDerived {
					refused(t, err)
					return
				}
				v.judge(t, err == nil && bytes.Equal(out, v.OKM))
			})
		}
		each(t, "pbkdf2_hmac"+name, func(t *testing.T, g *vectorGroup, v *vector) {
			p := &kmip.DerivationParameters{CryptographicParameters: hashing(hash), Salt: v.Salt, IterationCount: new32(int32(v.IterationCount))}
			out, err := Derive(context.Background(), kmip.DerivationMethodPBKDF2, p, []Base{secretBase(v.Password)}, v.DKLen)
			if len(v.Password) == 0 || len(v.Salt) == 0 {
				refused(t, err) // nothing to derive from, or no Salt where KMIP requires one
				return
			}
			if v.IterationCount*((v.DKLen+19)/20) > mostIterations {
				require.Equal(t, kmip.ResultReasonServerLimitExceeded, kmip.ReasonOf(err))
				return
			}
			v.judge(t, err == nil && bytes.Equal(out, v.DK))
		})
	}
}
