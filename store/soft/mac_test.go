package soft

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

func mac(t testing.TB, k kmip.Key, p *kmip.CryptographicParameters, data []byte) string {
	t.Helper()
	r, err := k.MAC(context.Background(), &kmip.MACRequest{CryptographicParameters: p, Data: data})
	require.NoError(t, err)
	return hex.EncodeToString(r.MACData)
}

// Test cases 1, 2 and 6 of RFC 4231 §4, and test case 2 of RFC 2202 §3 for SHA-1.
func TestHMAC(t *testing.T) {
	first, jefe, long := strings.Repeat("0b", 20), hex.EncodeToString([]byte("Jefe")), strings.Repeat("aa", 131)
	const largest = "Test Using Larger Than Block-Size Key - Hash Key First"
	for _, v := range []struct {
		algorithm       kmip.CryptographicAlgorithm
		key, data, want string
	}{
		{kmip.CryptographicAlgorithmHMACSHA224, first, "Hi There", "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"},
		{kmip.CryptographicAlgorithmHMACSHA256, first, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{kmip.CryptographicAlgorithmHMACSHA384, first, "Hi There", "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"},
		{kmip.CryptographicAlgorithmHMACSHA512, first, "Hi There", "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
		{kmip.CryptographicAlgorithmHMACSHA1, jefe, "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		{kmip.CryptographicAlgorithmHMACSHA256, jefe, "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{kmip.CryptographicAlgorithmHMACSHA256, long, largest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{kmip.CryptographicAlgorithmHMACSHA512, long, largest, "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
	} {
		k := openKey(t, v.algorithm, v.key)
		require.Equal(t, v.want, mac(t, k, nil, []byte(v.data)), v.algorithm)
		require.Equal(t, v.want, mac(t, k, &kmip.CryptographicParameters{CryptographicAlgorithm: v.algorithm, HashingAlgorithm: hmacHashes[v.algorithm]}, []byte(v.data)))
	}
}

// The key of CS-AC-M-4-21 is of AES and its parameters name an HMAC.
func TestHMACOfAESKey(t *testing.T) {
	own := kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256}
	k := openKey(t, kmip.CryptographicAlgorithmAES, "0123456789abcdef0123456789abcdef", own)
	const want = "c911e78196d64c30f631bb079ea37b97a95936d4da764d6a171df030c895ecf9"
	require.Equal(t, want, mac(t, k, nil, unhex(t, "01020304050607080910111213141516")))
	k = openKey(t, kmip.CryptographicAlgorithmAES, "0123456789abcdef0123456789abcdef")
	require.Equal(t, want, mac(t, k, &own, unhex(t, "01020304050607080910111213141516")))
}

// The examples of RFC 4493 §4.
func TestCMAC(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
	for n, want := range map[int]string{
		0:  "bb1d6929e95937287fa37d129b756746",
		16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827",
		64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		require.Equal(t, want, mac(t, k, nil, unhex(t, fourBlocks)[:n]), n)
		require.Equal(t, want, mac(t, k, &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCMAC}, unhex(t, fourBlocks)[:n]), n)
	}
}

func TestMACRefusesParameters(t *testing.T) {
	type q = kmip.CryptographicParameters
	h := openKey(t, kmip.CryptographicAlgorithmHMACSHA256, aes256)
	a := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	d := openKey(t, kmip.CryptographicAlgorithmDES3, aes128)
	x := openKey(t, kmip.CryptographicAlgorithmAES, aes256+aes256)
	o := openKey(t, kmip.CryptographicAlgorithmPoly1305, aes256)
	const (
		bad         = kmip.ResultReasonBadCryptographicParameters
		unsupported = kmip.ResultReasonUnsupportedCryptographicParameters
	)
	for name, v := range map[string]struct {
		k    kmip.Key
		p    q
		want kmip.ResultReason
	}{
		"another HMAC":          {h, q{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA512}, bad},
		"another hash":          {h, q{HashingAlgorithm: kmip.HashingAlgorithmSHA512}, bad},
		"a hash as long":        {h, q{HashingAlgorithm: kmip.HashingAlgorithmSHA3_256}, bad},
		"a mode":                {h, q{BlockCipherMode: kmip.BlockCipherModeCMAC}, bad},
		"HMAC-MD5":              {a, q{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACMD5}, bad},
		"CBC-MAC":               {a, q{BlockCipherMode: kmip.BlockCipherModeCBCMAC}, unsupported},
		"CMAC with a hash":      {a, q{HashingAlgorithm: kmip.HashingAlgorithmSHA256}, bad},
		"CMAC with a short tag": {a, q{TagLength: new32(8)}, bad},
		"3DES with GCM":         {d, q{BlockCipherMode: kmip.BlockCipherModeGCM}, unsupported},
		"CMAC with XTS's key":   {x, q{}, bad},
		"Poly1305 with a hash":  {o, q{HashingAlgorithm: kmip.HashingAlgorithmSHA256}, bad},
		"Poly1305 as an HMAC":   {o, q{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256}, bad},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.k.MAC(context.Background(), &kmip.MACRequest{CryptographicParameters: &v.p, Data: []byte("x")})
			require.Equal(t, v.want, kmip.ReasonOf(err), "%v", err)
		})
	}
	_, err := h.MAC(context.Background(), &kmip.MACRequest{InitIndicator: new(true)})
	require.Equal(t, kmip.ResultReasonFeatureNotSupported, kmip.ReasonOf(err))
	_, err = h.Encrypt(context.Background(), &kmip.EncryptRequest{})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
}
