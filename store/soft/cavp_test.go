package soft

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	referencexts "golang.org/x/crypto/xts"

	"strongroom/kmip"
)

// answer is one vector of testdata/cavp.
type answer struct {
	text map[string]string
	fail bool
}

func (a *answer) bytes(t *testing.T, field string) []byte {
	t.Helper()
	return unhex(t, a.text[field])
}

// answers reads a file of testdata/cavp.
func answers(t *testing.T, name string) []answer {
	t.Helper()
	text, err := os.ReadFile("testdata/cavp/" + name + ".rsp")
	require.NoError(t, err)
	var all []answer
	for block := range strings.SplitSeq(string(text), "\n\n") {
		a := answer{text: map[string]string{}}
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if field, value, ok := strings.Cut(line, "="); ok {
				a.text[strings.TrimSpace(field)] = strings.TrimSpace(value)
			} else if line == "FAIL" {
				a.fail = true
			}
		}
		if len(a.text) > 0 {
			all = append(all, a)
		}
	}
	require.NotEmpty(t, all)
	return all
}

func TestCAVPModes(t *testing.T) {
	for name, c := range map[string]struct {
		algorithm kmip.CryptographicAlgorithm
		mode      kmip.BlockCipherMode
	}{
		"aes_ecb":    {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeECB},
		"aes_cbc":    {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeCBC},
		"aes_cfb128": {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeCFB},
		"aes_ofb":    {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeOFB},
		"aes_xts":    {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeXTS},
		"aes_kw":     {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeNISTKeyWrap},
		"aes_kwp":    {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeAESKeyWrapPadding},
		"tdes_ecb":   {kmip.CryptographicAlgorithmDES3, kmip.BlockCipherModeECB},
		"tdes_cbc":   {kmip.CryptographicAlgorithmDES3, kmip.BlockCipherModeCBC},
		"tdes_cfb64": {kmip.CryptographicAlgorithmDES3, kmip.BlockCipherModeCFB},
		"tdes_ofb":   {kmip.CryptographicAlgorithmDES3, kmip.BlockCipherModeOFB},
		"tdes_kw":    {kmip.CryptographicAlgorithmDES3, kmip.BlockCipherModeNISTKeyWrap},
		"aes_gcm":    {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeGCM},
		"aes_ccm":    {kmip.CryptographicAlgorithmAES, kmip.BlockCipherModeCCM},
	} {
		t.Run(name, func(t *testing.T) {
			for i, a := range answers(t, name) {
				k := openKey(t, c.algorithm, a.text["KEY"])
				p := &kmip.CryptographicParameters{BlockCipherMode: c.mode}
				tag := a.bytes(t, "TAG")
				if len(tag) > 0 {
					p.TagLength = new32(int32(len(tag)))
				}
				d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, IVCounterNonce: a.bytes(t, "IV"),
					Data: a.bytes(t, "CIPHERTEXT"), AuthenticatedEncryptionAdditionalData: a.bytes(t, "AAD"), AuthenticatedEncryptionTag: tag})
				switch {
				case name == "aes_ccm" && len(tag) < leastCCM:
					require.Equal(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err), i)
					continue
				case a.fail:
					require.Equal(t, errDecryption, err, i)
					continue
				}
				require.NoError(t, err, i)
				require.Equal(t, a.text["PLAINTEXT"], hex.EncodeToString(d.Data), i)
				e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, IVCounterNonce: a.bytes(t, "IV"),
					Data: a.bytes(t, "PLAINTEXT"), AuthenticatedEncryptionAdditionalData: a.bytes(t, "AAD")})
				require.NoError(t, err, i)
				require.Equal(t, a.text["CIPHERTEXT"], hex.EncodeToString(e.Data), i)
				require.Equal(t, a.text["TAG"], hex.EncodeToString(e.AuthenticatedEncryptionTag), i)
			}
		})
	}
}

// The tags of CCM that the server does not take are those of the standard all the same.
func TestCAVPShortCCM(t *testing.T) {
	for i, a := range answers(t, "aes_ccm") {
		block, err := aes.NewCipher(a.bytes(t, "KEY"))
		require.NoError(t, err)
		data, tag, iv, additional := a.bytes(t, "CIPHERTEXT"), a.bytes(t, "TAG"), a.bytes(t, "IV"), a.bytes(t, "AAD")
		c, err := newCCM(block, len(iv), len(tag), len(data))
		require.NoError(t, err)
		plain, err := c.Open([]byte("before"), iv, append(clone(data), tag...), additional)
		if a.fail {
			require.Equal(t, errDecryption, err, i)
			continue
		}
		require.NoError(t, err, i)
		require.Equal(t, "before"+string(a.bytes(t, "PLAINTEXT")), string(plain))
		require.Equal(t, append([]byte("x"), append(data, tag...)...), c.Seal([]byte("x"), iv, plain[len("before"):], additional))
	}
}

// Example 4 of SP 800-38C has so much additional data that their length takes more than two bytes.
func TestCCMLongAdditionalData(t *testing.T) {
	additional := make([]byte, 524288/8)
	for i := range additional {
		additional[i] = byte(i)
	}
	block, err := aes.NewCipher(unhex(t, "404142434445464748494a4b4c4d4e4f"))
	require.NoError(t, err)
	c, err := newCCM(block, 13, 14, 32)
	require.NoError(t, err)
	sealed := c.Seal(nil, unhex(t, "101112131415161718191a1b1c"), unhex(t, "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"), additional)
	require.Equal(t, "69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72b4ac6bec93e8598e7f0dadbcea5b", hex.EncodeToString(sealed))
}

func TestCAVPHash(t *testing.T) {
	names := map[string]kmip.HashingAlgorithm{}
	for h := range digests {
		names[strings.NewReplacer("-", "", "_", "").Replace(h.String())] = h
	}
	seen := map[kmip.HashingAlgorithm]bool{}
	for i, a := range answers(t, "sha") {
		h, ok := names[strings.ReplaceAll(a.text["ALGORITHM"], "_", "")]
		require.True(t, ok, a.text["ALGORITHM"])
		r, err := Hash(&kmip.HashRequest{CryptographicParameters: kmip.CryptographicParameters{HashingAlgorithm: h}, Data: a.bytes(t, "MESSAGE")})
		require.NoError(t, err)
		require.Equal(t, a.text["OUTPUT"], hex.EncodeToString(r.Data), i)
		seen[h] = true
	}
	require.Len(t, seen, len(digests), "every hash")
}

func TestCAVPMAC(t *testing.T) {
	algorithms := map[string]kmip.CryptographicAlgorithm{
		"AES": kmip.CryptographicAlgorithmAES, "DES3": kmip.CryptographicAlgorithmDES3, "Poly1305": kmip.CryptographicAlgorithmPoly1305,
	}
	for _, file := range []string{"cmac", "poly1305"} {
		for i, a := range answers(t, file) {
			k := openKey(t, algorithms[a.text["ALGORITHM"]], a.text["KEY"])
			require.Equal(t, a.text["OUTPUT"], mac(t, k, nil, a.bytes(t, "MESSAGE")), "%s %d", file, i)
		}
	}
}

func TestRFC8439ChaCha20(t *testing.T) {
	for i, a := range answers(t, "chacha20") {
		counter, err := strconv.Atoi(a.text["COUNTER"])
		require.NoError(t, err)
		k := openKey(t, kmip.CryptographicAlgorithmChaCha20, a.text["KEY"])
		p := &kmip.CryptographicParameters{InitialCounterValue: new32(int32(counter)), CounterLength: new32(32)}
		e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: a.bytes(t, "PLAINTEXT"), IVCounterNonce: a.bytes(t, "IV")})
		require.NoError(t, err)
		require.Equal(t, a.text["CIPHERTEXT"], hex.EncodeToString(e.Data), i)
		requirePlain(t, k, kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data, IVCounterNonce: a.bytes(t, "IV")}, a.text["PLAINTEXT"])
	}
}

// The test vectors of RFC 3686 §6: the IV is a nonce and an IV, and the counter of 32 bits begins with 1.
func TestRFC3686(t *testing.T) {
	const (
		text    = "53696e676c6520626c6f636b206d7367"
		count32 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	)
	for _, v := range []struct{ key, nonce, iv, plain, out string }{
		{"ae6852f8121067cc4bf7a5765577f39e", "00000030", "0000000000000000", text, "e4095d4fb7a7b3792d6175a3261311b8"},
		{"7e24067817fae0d743d6ce1f32539163", "006cb6db", "c0543b59da48d90b", count32, "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28"},
		{"7691be035e5020a8ac6e618529f9a0dc", "00e0017b", "27777f3f4a1786f0", count32 + "20212223", "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f"},
		{"16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515", "00000048", "36733c147d6d93cb", text, "4b55384fe259c9c84e7935a003cbe928"},
		{"776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104", "00000060", "db5672c97aa8f0b2", text, "145ad01dbf824ec7560863dc71e3e0c0"},
	} {
		k := openKey(t, kmip.CryptographicAlgorithmAES, v.key)
		for _, p := range []kmip.CryptographicParameters{
			{IVLength: new32(96), FixedFieldLength: new32(32), InvocationFieldLength: new32(64), CounterLength: new32(32), InitialCounterValue: new32(1)},
			{InitialCounterValue: new32(1)},
		} {
			p.BlockCipherMode = kmip.BlockCipherModeCTR
			requireCTR(t, k, &p, v.nonce+v.iv, v.plain, v.out)
		}
		whole := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCTR, IVLength: new32(128), FixedFieldLength: new32(32),
			InvocationFieldLength: new32(64), CounterLength: new32(32), InitialCounterValue: new32(1)}
		requireCTR(t, k, whole, v.nonce+v.iv+"00000001", v.plain, v.out)
		requireCTR(t, k, &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCTR}, v.nonce+v.iv+"00000001", v.plain, v.out)
	}
}

func requireCTR(t *testing.T, k kmip.Key, p *kmip.CryptographicParameters, iv, plain, out string) {
	t.Helper()
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: unhex(t, plain), IVCounterNonce: unhex(t, iv)})
	require.NoError(t, err)
	require.Equal(t, out, hex.EncodeToString(e.Data))
	requirePlain(t, k, kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data, IVCounterNonce: unhex(t, iv)}, plain)
}

// A counter that is full begins again and leaves alone what stands before it; the blocks are those of ECB.
func TestCTRCounterRunsOver(t *testing.T) {
	for _, algorithm := range []kmip.CryptographicAlgorithm{kmip.CryptographicAlgorithmAES, kmip.CryptographicAlgorithmDES3} {
		k := openKey(t, algorithm, aes192)
		size := 16
		if algorithm == kmip.CryptographicAlgorithmDES3 {
			size = 8
		}
		for bytesOfCounter := 1; bytesOfCounter <= size; bytesOfCounter++ {
			first := append(bytes.Repeat([]byte{0xAB}, size-bytesOfCounter), bytes.Repeat([]byte{0xFF}, bytesOfCounter)...)
			first[size-1] = 0xFE
			var blocks []byte
			counter := clone(first)
			for range 5 {
				blocks = append(blocks, counter...)
				increment(counter[size-bytesOfCounter:])
			}
			ecb := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB}
			e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: ecb, Data: blocks})
			require.NoError(t, err)
			p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCTR, CounterLength: new32(int32(8 * bytesOfCounter))}
			zeros := strings.Repeat("00", 5*size-3)
			requireCTR(t, k, p, hex.EncodeToString(first), zeros, hex.EncodeToString(e.Data)[:len(zeros)])
		}
	}
}

// Vector 1 of IEEE Std 1619 has two equal halves, which a key of the server's must not; whole blocks are those of
// golang.org/x/crypto, whatever their number.
func TestXTSReference(t *testing.T) {
	x, err := newXTS(make([]byte, 32))
	require.NoError(t, err)
	buf := make([]byte, 32)
	x.crypt(buf, make([]byte, 16), x.data.Encrypt, false)
	require.Equal(t, "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e", hex.EncodeToString(buf))

	key := unhex(t, aes128+aes256[:32])
	reference, err := referencexts.NewCipher(aes.NewCipher, key)
	require.NoError(t, err)
	x, err = newXTS(key)
	require.NoError(t, err)
	source := rand.NewChaCha8([32]byte{1})
	for n := 16; n < 1000; n++ {
		data, iv := make([]byte, n), make([]byte, 16)
		_, _ = source.Read(data)
		got := clone(data)
		x.crypt(got, iv, x.data.Encrypt, false)
		if n%16 == 0 {
			want := make([]byte, n)
			reference.Encrypt(want, data, 0)
			require.Equal(t, want, got)
		}
		require.NotEqual(t, data, got)
		x.crypt(got, iv, x.data.Decrypt, true)
		require.Equal(t, data, got)
	}
}

func TestXTSRefuses(t *testing.T) {
	xts := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeXTS}
	iv, data := make([]byte, 16), make([]byte, 32)
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes256+aes128+aes128)
	for name, v := range map[string]struct {
		k    kmip.Key
		r    kmip.EncryptRequest
		want kmip.ResultReason
	}{
		"less than a block": {k, kmip.EncryptRequest{CryptographicParameters: xts, Data: data[:15], IVCounterNonce: iv}, kmip.ResultReasonInvalidField},
		"too long":          {k, kmip.EncryptRequest{CryptographicParameters: xts, Data: make([]byte, longestXTS+1), IVCounterNonce: iv}, kmip.ResultReasonInvalidField},
		"a short IV":        {k, kmip.EncryptRequest{CryptographicParameters: xts, Data: data, IVCounterNonce: iv[:8]}, kmip.ResultReasonInvalidField},
		"equal halves":      {openKey(t, kmip.CryptographicAlgorithmAES, aes256+aes256), kmip.EncryptRequest{CryptographicParameters: xts, Data: data, IVCounterNonce: iv}, kmip.ResultReasonBadCryptographicParameters},
		"192 bits":          {openKey(t, kmip.CryptographicAlgorithmAES, aes192), kmip.EncryptRequest{CryptographicParameters: xts, Data: data, IVCounterNonce: iv}, kmip.ResultReasonBadCryptographicParameters},
		"3DES":              {openKey(t, kmip.CryptographicAlgorithmDES3, aes192), kmip.EncryptRequest{CryptographicParameters: xts, Data: data, IVCounterNonce: iv}, kmip.ResultReasonUnsupportedCryptographicParameters},
		"padding":           {k, kmip.EncryptRequest{CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeXTS, PaddingMethod: kmip.PaddingMethodPKCS5}, Data: data, IVCounterNonce: iv}, kmip.ResultReasonBadCryptographicParameters},
		"another mode":      {k, kmip.EncryptRequest{CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC}, Data: data, IVCounterNonce: iv}, kmip.ResultReasonBadCryptographicParameters},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.k.Encrypt(context.Background(), &v.r)
			require.Equal(t, v.want, kmip.ReasonOf(err), "%v", err)
		})
	}
	_, err := k.Wrap(context.Background(), nil, data)
	require.Equal(t, kmip.ResultReasonUnsupportedCryptographicParameters, kmip.ReasonOf(err))

	// Without parameters a key of 512 bits means XTS, under an IV that is made here.
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: data})
	require.NoError(t, err)
	require.Len(t, e.IVCounterNonce, 16)
	requirePlain(t, k, kmip.DecryptRequest{Data: e.Data, IVCounterNonce: e.IVCounterNonce}, hex.EncodeToString(data))
}
