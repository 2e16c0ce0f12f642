package hsm

import (
	"bytes"
	"crypto"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func mode(m kmip.BlockCipherMode, padding kmip.PaddingMethod) *kmip.CryptographicParameters {
	return &kmip.CryptographicParameters{BlockCipherMode: m, PaddingMethod: padding}
}

// clearKey makes an AES key that may leave, and gives it with its value.
func clearKey(t *testing.T, h *HSM, name string, bits int32, mask ...kmip.CryptographicUsageMask) (kmip.Key, []byte) {
	t.Helper()
	made := aesObject(name, bits)
	for _, m := range mask {
		made.Attributes = made.Attributes.With(ttlv.TagCryptographicUsageMask, m)
	}
	made.Attributes = made.Attributes.With(ttlv.TagSensitive, false)
	require.NoError(t, h.Generate(t.Context(), made))
	o, err := h.Object(t.Context(), uid(name))
	require.NoError(t, err)
	v, err := h.Value(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, kmip.KeyFormatTypeRaw, v.SymmetricKey.KeyBlock.KeyFormatType)
	return o.Key, v.SymmetricKey.KeyBlock.KeyValue.Material
}

// Every mode decrypts what it encrypted, and the token computes what crypto/aes computes.
func TestAESModes(t *testing.T) {
	h := open(t)
	for _, bits := range []int32{128, 192, 256} {
		key, value := clearKey(t, h, "k"+strconv.Itoa(int(bits)), bits)
		require.Len(t, value, int(bits/8))
		block, err := aes.NewCipher(value)
		require.NoError(t, err)
		for row := range ciphers[:cipherKW] {
			c := &ciphers[row]
			p := mode(c.mode, 0)
			if c.padded {
				p.PaddingMethod = kmip.PaddingMethodPKCS5
			}
			for _, n := range []int{0, 1, 15, 16, 33, 4096} {
				if c.blocks && n%16 != 0 {
					_, err := key.Encrypt(t.Context(), &kmip.EncryptRequest{CryptographicParameters: p, Data: make([]byte, n)})
					require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
					continue
				}
				testAESMode(t, key, block, row, p, n)
			}
		}
	}
}

func testAESMode(t *testing.T, key kmip.Key, block stdcipher.Block, row int, p *kmip.CryptographicParameters, n int) {
	c := &ciphers[row]
	data, aad, clientIV := make([]byte, n), []byte(nil), make([]byte, c.iv)
	rand.Read(data)
	rand.Read(clientIV)
	if c.tag > 0 {
		aad = []byte("additional")
	}
	for _, iv := range [][]byte{nil, clientIV} {
		got, err := key.Encrypt(t.Context(), &kmip.EncryptRequest{
			CryptographicParameters: p, Data: data, IVCounterNonce: iv, AuthenticatedEncryptionAdditionalData: aad})
		require.NoError(t, err, "%v %d", p, n)
		used := iv
		if len(iv) == 0 {
			require.Len(t, got.IVCounterNonce, c.iv)
			used = got.IVCounterNonce
		} else {
			require.Empty(t, got.IVCounterNonce, "the client has its IV")
		}
		require.Len(t, got.AuthenticatedEncryptionTag, c.tag)
		sealed := append(bytes.Clone(got.Data), got.AuthenticatedEncryptionTag...)
		require.True(t, bytes.Equal(encryptHere(row, block, used, aad, data), sealed), "%v %d", p, n)

		opened, err := key.Decrypt(t.Context(), &kmip.DecryptRequest{CryptographicParameters: p, Data: got.Data, IVCounterNonce: used,
			AuthenticatedEncryptionTag: got.AuthenticatedEncryptionTag, AuthenticatedEncryptionAdditionalData: aad})
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, opened.Data))
		if c.tag == 0 {
			continue
		}
		sealed[0] ^= 1
		_, err = key.Decrypt(t.Context(), &kmip.DecryptRequest{CryptographicParameters: p, Data: sealed, IVCounterNonce: used,
			AuthenticatedEncryptionAdditionalData: aad})
		require.EqualError(t, err, "decryption failed")
	}
}

func TestAESRefusesParameters(t *testing.T) {
	key := aesKeyOf(t, open(t), "k").Key
	n := func(i int32) *int32 { return &i }
	yes, no := true, false
	iv := make([]byte, 12)
	for name, r := range map[string]*kmip.EncryptRequest{
		"IV of 16 bytes":     {IVCounterNonce: make([]byte, 16)},
		"IV Length":          {CryptographicParameters: &kmip.CryptographicParameters{IVLength: n(128)}},
		"Tag Length":         {CryptographicParameters: &kmip.CryptographicParameters{TagLength: n(12)}},
		"Counter Length":     {CryptographicParameters: &kmip.CryptographicParameters{CounterLength: n(32)}},
		"another algorithm":  {CryptographicParameters: &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA}},
		"a hash":             {CryptographicParameters: &kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}},
		"GCM with padding":   {CryptographicParameters: mode(kmip.BlockCipherModeGCM, kmip.PaddingMethodPKCS5)},
		"OFB":                {CryptographicParameters: mode(kmip.BlockCipherModeOFB, 0)},
		"CBC with AAD":       {CryptographicParameters: mode(kmip.BlockCipherModeCBC, kmip.PaddingMethodPKCS5), AuthenticatedEncryptionAdditionalData: iv},
		"random and given":   {CryptographicParameters: &kmip.CryptographicParameters{RandomIV: &yes}, IVCounterNonce: iv},
		"neither of them":    {CryptographicParameters: &kmip.CryptographicParameters{RandomIV: &no}},
		"in parts":           {InitIndicator: &yes},
		"a piece of a whole": {CorrelationValue: iv},
	} {
		r.Data = []byte("text")
		_, err := key.Encrypt(t.Context(), r)
		require.Error(t, err, name)
		require.NotEqual(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err), name)
	}
}

// wrappingKey is the mask of a key that wraps others, and no data.
const wrappingKey = kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey

// A data key wraps block by block, a wrapping key with C_WrapKey: the answers are the same.
func TestWrapModes(t *testing.T) {
	h := open(t)
	key, value := clearKey(t, h, "data", 256)
	testWrapModes(t, h, key, value, kmip.BlockCipherModeGCM, kmip.BlockCipherModeNISTKeyWrap, kmip.BlockCipherModeAESKeyWrapPadding)
	_, err := key.Wrap(t.Context(), mode(kmip.BlockCipherModeNISTKeyWrap, 0), make([]byte, mostStepped+8))
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))

	key, value = clearKey(t, h, "wrapping", 256, wrappingKey)
	testWrapModes(t, h, key, value, kmip.BlockCipherModeNISTKeyWrap, kmip.BlockCipherModeAESKeyWrapPadding)
	_, err = key.Wrap(t.Context(), mode(kmip.BlockCipherModeNISTKeyWrap, 0), make([]byte, mostStepped+8))
	require.NoError(t, err)
	_, err = key.Wrap(t.Context(), mode(kmip.BlockCipherModeGCM, 0), make([]byte, 32))
	require.ErrorContains(t, err, "encrypts nothing")
	_, err = key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.Equal(t, kmip.ResultReasonIncompatibleCryptographicUsageMask, kmip.ReasonOf(err))
	wrapped, err := key.Wrap(t.Context(), nil, make([]byte, 32))
	require.NoError(t, err)
	require.Equal(t, openSSLWrap(t, kmip.BlockCipherModeAESKeyWrapPadding, value, make([]byte, 32)), wrapped, "what is meant where nothing is said")
	back, err := key.Unwrap(t.Context(), nil, wrapped)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 32), back)
}

func testWrapModes(t *testing.T, h *HSM, key kmip.Key, value []byte, modes ...kmip.BlockCipherMode) {
	t.Helper()
	for _, m := range modes {
		for _, size := range []int{16, 24, 32, 40, 64, 1216} {
			material := make([]byte, size)
			rand.Read(material)
			wrapped, err := key.Wrap(t.Context(), mode(m, 0), material)
			require.NoError(t, err)
			got, err := key.Unwrap(t.Context(), mode(m, 0), wrapped)
			require.NoError(t, err)
			require.Equal(t, material, got)
			wrapped[len(wrapped)/2] ^= 1
			_, err = key.Unwrap(t.Context(), mode(m, 0), wrapped)
			require.EqualError(t, err, "decryption failed")
			_, err = key.Unwrap(t.Context(), mode(m, 0), wrapped[:8])
			require.EqualError(t, err, "decryption failed")

			if m != kmip.BlockCipherModeGCM { // the same through Encrypt and Decrypt
				sealed, err := key.Encrypt(t.Context(), &kmip.EncryptRequest{CryptographicParameters: mode(m, 0), Data: material})
				require.NoError(t, err)
				require.Equal(t, openSSLWrap(t, m, value, material), sealed.Data)
				opened, err := key.Decrypt(t.Context(), &kmip.DecryptRequest{CryptographicParameters: mode(m, 0), Data: sealed.Data})
				require.NoError(t, err)
				require.Equal(t, material, opened.Data)
			}
		}
	}
	c := h.slots[4].conn.Load()
	require.NoError(t, c.with(t.Context(), func(s session) error {
		left, err := c.module.lib.find(s, template{{0x1, flag(false)}}, 100) // CKA_TOKEN
		require.Empty(t, left, "no session object stays")
		return err
	}))
	_, err := key.Wrap(t.Context(), mode(kmip.BlockCipherModeNISTKeyWrap, 0), make([]byte, 20))
	require.ErrorContains(t, err, "multiples of 8 bytes")
	_, err = key.Wrap(t.Context(), mode(kmip.BlockCipherModeCBC, 0), make([]byte, 32))
	require.Error(t, err)
}

// SoftHSM 2.6.1 would pad 20 bytes with zeros and give 24 back. A key that encrypts wraps without C_WrapKey, and any length.
func TestWrapRefusesWhatTheTokenCorrupts(t *testing.T) {
	h := open(t)
	p := mode(kmip.BlockCipherModeAESKeyWrapPadding, 0)
	for _, mask := range []kmip.CryptographicUsageMask{0, wrappingKey} {
		key, value := clearKey(t, h, fmt.Sprintf("k%d", mask), 256, mask)
		for _, size := range []int{1, 8, 20} {
			material := make([]byte, size)
			rand.Read(material)
			wrapped, err := key.Wrap(t.Context(), p, material)
			if mask == 0 || size == 8 || h.slots[4].conn.Load().proof.anyLength {
				require.NoError(t, err)
				require.Equal(t, openSSLWrap(t, kmip.BlockCipherModeAESKeyWrapPadding, value, material), wrapped)
			} else {
				require.ErrorContains(t, err, fmt.Sprintf("multiples of 8 bytes only, not %d", size))
			}
			got, err := key.Unwrap(t.Context(), p, openSSLWrap(t, kmip.BlockCipherModeAESKeyWrapPadding, value, material))
			require.NoError(t, err, "what others wrapped is unwrapped")
			require.Equal(t, material, got)
		}
	}
}

// openSSL runs the tool on input.
func openSSL(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(input)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	return out
}

func openSSLWrap(t *testing.T, m kmip.BlockCipherMode, kek, material []byte) []byte {
	t.Helper()
	hexKey := strings.ToUpper(hexOf(kek))
	if m == kmip.BlockCipherModeNISTKeyWrap {
		return openSSL(t, material, "enc", "-id-aes256-wrap", "-K", hexKey, "-iv", "A6A6A6A6A6A6A6A6")
	}
	return openSSL(t, material, "enc", "-id-aes256-wrap-pad", "-K", hexKey, "-iv", "A65959A6")
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(digits[x>>4])
		s.WriteByte(digits[x&15])
	}
	return s.String()
}

// halves gives the two objects of a pair, and the public key.
func halves(t *testing.T, h *HSM, name string) (private, public *kmip.Object, key crypto.PublicKey) {
	t.Helper()
	private, err := h.Object(t.Context(), uid(name))
	require.NoError(t, err)
	public, err = h.Object(t.Context(), uid(name+"_pk"))
	require.NoError(t, err)
	v, err := h.Value(t.Context(), public)
	require.NoError(t, err)
	require.Equal(t, kmip.KeyFormatTypeX509, v.PublicKey.KeyBlock.KeyFormatType)
	key, err = x509.ParsePKIXPublicKey(v.PublicKey.KeyBlock.KeyValue.Material)
	require.NoError(t, err)
	return private, public, key
}

func oaepWith(h kmip.HashingAlgorithm) *kmip.CryptographicParameters {
	return &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: h}
}

func TestRSAEncryption(t *testing.T) {
	h := open(t)
	makePair(t, h, "k", kmip.CryptographicAlgorithmRSA, 2048)
	private, public, _ := halves(t, h, "k")
	pkcs1 := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15}
	labelled := oaepWith(kmip.HashingAlgorithmSHA256)
	labelled.PSource = []byte("label")
	mixed := oaepWith(kmip.HashingAlgorithmSHA256)
	mixed.MaskGenerator, mixed.MaskGeneratorHashingAlgorithm = kmip.MaskGeneratorMGF1, kmip.HashingAlgorithmSHA1
	for _, c := range []struct {
		p       *kmip.CryptographicParameters
		longest int
	}{
		{nil, 190}, {pkcs1, 245}, {oaepWith(0), 190}, {labelled, 190}, {mixed, 190},
		{oaepWith(kmip.HashingAlgorithmSHA1), 214}, {oaepWith(kmip.HashingAlgorithmSHA256), 190},
		{oaepWith(kmip.HashingAlgorithmSHA384), 158}, {oaepWith(kmip.HashingAlgorithmSHA512), 126},
	} {
		for _, n := range []int{0, 1, 32, c.longest} {
			data := make([]byte, n)
			rand.Read(data)
			sealed, err := public.Key.Encrypt(t.Context(), &kmip.EncryptRequest{CryptographicParameters: c.p, Data: data})
			require.NoError(t, err)
			opened, err := private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{CryptographicParameters: c.p, Data: sealed.Data})
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, opened.Data))
		}
		_, err := public.Key.Encrypt(t.Context(), &kmip.EncryptRequest{CryptographicParameters: c.p, Data: make([]byte, c.longest+1)})
		require.ErrorContains(t, err, "the limit is "+strconv.Itoa(c.longest))
		require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))

		junk := make([]byte, 256)
		rand.Read(junk[1:])
		for _, bad := range [][]byte{junk, junk[:255], bytes.Repeat([]byte{0xFF}, 256), nil} {
			_, err = private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{CryptographicParameters: c.p, Data: bad})
			require.EqualError(t, err, "decryption failed")
			require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
		}
	}
	sealed, err := public.Key.Encrypt(t.Context(), &kmip.EncryptRequest{CryptographicParameters: labelled, Data: []byte("text")})
	require.NoError(t, err)
	_, err = private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{CryptographicParameters: oaepWith(0), Data: sealed.Data})
	require.EqualError(t, err, "decryption failed", "without the label")
}

// What OpenSSL encrypts under the exported public key, the token decrypts.
func TestRSAOpenSSL(t *testing.T) {
	h := open(t)
	makePair(t, h, "k", kmip.CryptographicAlgorithmRSA, 3072)
	private, public, key := halves(t, h, "k")
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "public.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	for name, hash := range map[string]kmip.HashingAlgorithm{"sha1": kmip.HashingAlgorithmSHA1, "sha256": kmip.HashingAlgorithmSHA256, "sha512": kmip.HashingAlgorithmSHA512} {
		sealed := openSSL(t, []byte("a message"), "pkeyutl", "-encrypt", "-pubin", "-inkey", file,
			"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:"+name, "-pkeyopt", "rsa_mgf1_md:"+name)
		opened, err := private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{CryptographicParameters: oaepWith(hash), Data: sealed})
		require.NoError(t, err)
		require.Equal(t, "a message", string(opened.Data))
	}
	material := make([]byte, 32)
	wrapped, err := public.Key.Wrap(t.Context(), oaepWith(kmip.HashingAlgorithmSHA256), material)
	require.NoError(t, err)
	for _, o := range []*kmip.Object{public, private} {
		got, err := o.Key.Unwrap(t.Context(), oaepWith(kmip.HashingAlgorithmSHA256), wrapped)
		require.NoError(t, err)
		require.Equal(t, material, got)
		wrapped, err = o.Key.Wrap(t.Context(), nil, material)
		require.NoError(t, err)
	}
}

func TestSign(t *testing.T) {
	h := open(t)
	makePair(t, h, "rsa", kmip.CryptographicAlgorithmRSA, 2048)
	private, public, key := halves(t, h, "rsa")
	digest := sha256.Sum256([]byte("text"))
	salt := int32(20)
	for _, c := range []struct {
		p     *kmip.CryptographicParameters
		check func([]byte) error
	}{
		{nil, func(s []byte) error { return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], s) }},
		{&kmip.CryptographicParameters{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption},
			func(s []byte) error { return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], s) }},
		{&kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA256}, func(s []byte) error {
			return rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA256, digest[:], s, &rsa.PSSOptions{SaltLength: 32})
		}},
		{&kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA256, SaltLength: &salt}, func(s []byte) error {
			return rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA256, digest[:], s, &rsa.PSSOptions{SaltLength: 20})
		}},
	} {
		for _, r := range []*kmip.SignRequest{{Data: []byte("text")}, {DigestedData: digest[:]}} {
			r.CryptographicParameters = c.p
			got, err := private.Key.Sign(t.Context(), r)
			require.NoError(t, err)
			require.NoError(t, c.check(got.SignatureData))
			requireVerdict(t, public.Key, c.p, got.SignatureData)
		}
	}
	_, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("text"), CryptographicParameters: &kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA1}})
	require.ErrorContains(t, err, "SHA-1")
	_, err = private.Key.Sign(t.Context(), &kmip.SignRequest{DigestedData: digest[:20]})
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
}

func requireVerdict(t *testing.T, k kmip.Key, p *kmip.CryptographicParameters, signature []byte) {
	t.Helper()
	for text, want := range map[string]kmip.ValidityIndicator{"text": kmip.ValidityIndicatorValid, "test": kmip.ValidityIndicatorInvalid} {
		got, err := k.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{CryptographicParameters: p, Data: []byte(text), SignatureData: signature})
		require.NoError(t, err)
		require.Equal(t, want, got.ValidityIndicator)
	}
}

func TestSignECDSA(t *testing.T) {
	h := open(t)
	for _, bits := range []int32{256, 384, 521} {
		name := "ec" + strconv.Itoa(int(bits))
		makePair(t, h, name, kmip.CryptographicAlgorithmECDSA, bits)
		private, public, key := halves(t, h, name)
		require.EqualValues(t, bits, private.Attributes.Length())
		for _, hash := range []kmip.HashingAlgorithm{0, kmip.HashingAlgorithmSHA256, kmip.HashingAlgorithmSHA512} {
			p := &kmip.CryptographicParameters{HashingAlgorithm: hash}
			got, err := private.Key.Sign(t.Context(), &kmip.SignRequest{CryptographicParameters: p, Data: []byte("text")})
			require.NoError(t, err)
			requireVerdict(t, public.Key, p, got.SignatureData)
			if hash == kmip.HashingAlgorithmSHA256 {
				digest := sha256.Sum256([]byte("text"))
				require.True(t, ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], got.SignatureData))
			}
		}
	}
}

func TestMAC(t *testing.T) {
	h := open(t)
	o := aesObject("mac", 512)
	o.Attributes = o.Attributes.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmHMACSHA512).With(ttlv.TagSensitive, false)
	require.NoError(t, h.Generate(t.Context(), o))
	o, err := h.Object(t.Context(), uid("mac"))
	require.NoError(t, err)
	require.Equal(t, kmip.CryptographicAlgorithmHMACSHA512, o.Attributes.Algorithm())
	v, err := h.Value(t.Context(), o)
	require.NoError(t, err)
	secret := v.SymmetricKey.KeyBlock.KeyValue.Material
	got, err := o.Key.MAC(t.Context(), &kmip.MACRequest{Data: []byte("text")})
	require.NoError(t, err)
	require.Equal(t, expectedMAC(2, secret, []byte("text")), got.MACData)

	for _, p := range []kmip.CryptographicParameters{{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256}, {HashingAlgorithm: kmip.HashingAlgorithmSHA256},
		{BlockCipherMode: kmip.BlockCipherModeCMAC}, {RandomIV: new(bool)}} {
		_, err = o.Key.MAC(t.Context(), &kmip.MACRequest{CryptographicParameters: &p, Data: []byte("text")})
		require.Equal(t, kmip.ResultReasonBadCryptographicParameters, kmip.ReasonOf(err), "%+v", p)
	}
}

// A key for HMAC that is too short for the token to compute with is not made, nor brought in: SoftHSM wants as many bits as the hash has.
func TestShortMACKey(t *testing.T) {
	h := open(t)
	wrappingKeys(t, h, "wrap")
	for algorithm, least := range map[kmip.CryptographicAlgorithm]int32{kmip.CryptographicAlgorithmHMACSHA1: 160, kmip.CryptographicAlgorithmHMACSHA256: 256,
		kmip.CryptographicAlgorithmHMACSHA384: 384, kmip.CryptographicAlgorithmHMACSHA512: 512} {
		for _, bits := range []int32{128, least - 8, least} {
			o := aesObject("mac", bits)
			o.Attributes = o.Attributes.With(tagAlgorithm, algorithm)
			ways := []func() error{
				func() error { return h.Generate(t.Context(), o) },
				func() error {
					return h.Register(t.Context(), o, &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
						KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: make([]byte, bits/8)}}}})
				},
				func() error { _, _, err := h.GenerateWrapped(t.Context(), uid("wrap"), o.Attributes); return err },
			}
			for i, make := range ways {
				err := make()
				if bits < least {
					require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "%v %d %d: %v", algorithm, bits, i, err)
					require.ErrorContains(t, err, "bits and more")
					require.Equal(t, 1, objectsIn(t, h))
					continue
				}
				if i == 2 && bits%64 != 0 {
					continue // SoftHSM does not wrap it
				}
				require.NoError(t, err, "%v %d %d", algorithm, bits, i)
				if k, err := h.Object(t.Context(), uid("mac")); err == nil {
					_, err = k.Key.MAC(t.Context(), &kmip.MACRequest{Data: []byte("text")})
					require.NoError(t, err)
					require.NoError(t, h.Destroy(t.Context(), k))
				}
			}
		}
	}
	_, err := h.MakeKey(t.Context(), 4, NewKey{Label: "short", Algorithm: "hmac", Bits: 128, Purpose: PurposeData})
	require.ErrorContains(t, err, "bits and more")
}

// A key that another tool made has no algorithm: the request says with which hash it authenticates.
func TestMACWithoutAlgorithm(t *testing.T) {
	h := open(t)
	pkcs11Tool(t, label(t), "--keygen", "--key-type", "GENERIC:64", "--label", "theirs", "--extractable")
	o, err := h.Object(t.Context(), uid("theirs"))
	require.NoError(t, err)
	v, err := h.Value(t.Context(), o)
	require.NoError(t, err)
	secret := v.SymmetricKey.KeyBlock.KeyValue.Material
	for row, p := range []kmip.CryptographicParameters{{}, {CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA384}, {HashingAlgorithm: kmip.HashingAlgorithmSHA512}} {
		got, err := o.Key.MAC(t.Context(), &kmip.MACRequest{CryptographicParameters: &p, Data: []byte("text")})
		require.NoError(t, err)
		require.Equal(t, expectedMAC(row, secret, []byte("text")), got.MACData)
	}
}

// TestMACWithEitherUse shows that a key which may only verify computes in the token, too: the server compares.
func TestMACWithEitherUse(t *testing.T) {
	h := open(t)
	for i, mask := range []kmip.CryptographicUsageMask{kmip.CryptographicUsageMaskMACGenerate, kmip.CryptographicUsageMaskMACVerify} {
		label := []string{"generates", "verifies"}[i]
		o := aesObject(label, 256)
		o.Attributes = o.Attributes.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmHMACSHA256).With(ttlv.TagCryptographicUsageMask, mask)
		require.NoError(t, h.Generate(t.Context(), o))
		o, err := h.Object(t.Context(), uid(label))
		require.NoError(t, err)
		require.Equal(t, mask, o.Attributes.UsageMask(), "the door sees what was asked for")
		got, err := o.Key.MAC(t.Context(), &kmip.MACRequest{Data: []byte("text")})
		require.NoError(t, err)
		require.Len(t, got.MACData, 32)
	}
}

// The padding is checked against what the standard library encrypts, and every changed byte is refused.
func TestUnpadOAEP(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, message := range [][]byte{{}, []byte("m"), bytes.Repeat([]byte{0}, 100), bytes.Repeat([]byte{1}, 190)} {
		sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, message, []byte("l"))
		require.NoError(t, err)
		em := rawRSA(key, sealed)
		got, ok := unpadOAEP(bytes.Clone(em), crypto.SHA256, crypto.SHA256, []byte("l"))
		require.True(t, ok)
		require.True(t, bytes.Equal(message, got))
		_, ok = unpadOAEP(bytes.Clone(em), crypto.SHA256, crypto.SHA256, []byte("m"))
		require.False(t, ok)
		_, ok = unpadOAEP(bytes.Clone(em), crypto.SHA256, crypto.SHA1, []byte("l"))
		require.False(t, ok)
		for i := range em[:66] {
			bad := bytes.Clone(em)
			bad[i] ^= 0x80
			_, ok = unpadOAEP(bad, crypto.SHA256, crypto.SHA256, []byte("l"))
			require.False(t, ok, "byte %d", i)
		}
	}
	_, ok := unpadOAEP(make([]byte, 65), crypto.SHA256, crypto.SHA256, nil)
	require.False(t, ok)
}

// FuzzUnpadOAEP encodes a message as RFC 8017 §7.1.1 says, and perhaps damages it: it comes back whole or not at all.
func FuzzUnpadOAEP(f *testing.F) {
	f.Add([]byte("message"), []byte("label"), []byte("seed"), uint16(0), byte(0))
	f.Add([]byte{}, []byte{}, []byte{}, uint16(70), byte(1))
	f.Add([]byte{0, 1, 0}, []byte("l"), []byte{1}, uint16(0), byte(0x80))
	f.Fuzz(func(t *testing.T, message, label, entropy []byte, at uint16, damage byte) {
		const k, size = 256, sha256.Size
		if len(message) > k-2*size-2 {
			return
		}
		em := make([]byte, k)
		seed, db := em[1:1+size], em[1+size:]
		copy(seed, entropy)
		sum := sha256.Sum256(label)
		copy(db, sum[:])
		db[len(db)-len(message)-1] = 1
		copy(db[len(db)-len(message):], message)
		maskMGF1(db, crypto.SHA256, seed)
		maskMGF1(seed, crypto.SHA256, db)
		em[int(at)%(1+2*size)] ^= damage
		got, ok := unpadOAEP(em, crypto.SHA256, crypto.SHA256, label)
		require.Equal(t, damage == 0, ok)
		if ok {
			require.True(t, bytes.Equal(message, got))
		}
	})
}
