package soft

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// pairValues is what GeneratePair answers.
type pairValues struct {
	private, public *kmip.Value
}

// pair is a key pair, opened and in clear.
type pair struct {
	private, public           kmip.Opened
	privateValue, publicValue *kmip.Value
}

// newPair generates and opens a pair. The attributes also are the objects' own.
func newPair(t testing.TB, a kmip.Attributes) pair {
	t.Helper()
	values, err := generated(a)
	require.NoError(t, err)
	private, public := values.private, values.public
	p := pair{privateValue: private, publicValue: public}
	p.private, err = Open(private, a, nil)
	require.NoError(t, err)
	p.public, err = Open(public, a, nil)
	require.NoError(t, err)
	t.Cleanup(p.private.Close)
	t.Cleanup(p.public.Close)
	return p
}

// rsa2048 is one pair for all tests: a new one takes long.
var rsa2048 = sync.OnceValues(func() (pairValues, error) {
	private, public, err := GeneratePair(describe(kmip.CryptographicAlgorithmRSA, 2048), nil, nil)
	return pairValues{private, public}, err
})

func generated(a kmip.Attributes) (pairValues, error) {
	if a.Algorithm() == kmip.CryptographicAlgorithmRSA {
		return rsa2048()
	}
	private, public, err := GeneratePair(a, nil, nil)
	return pairValues{private, public}, err
}

func describe(algorithm kmip.CryptographicAlgorithm, length int32) kmip.Attributes {
	a := kmip.Attributes(nil).With(ttlv.TagCryptographicAlgorithm, algorithm)
	if length != 0 {
		a = a.With(ttlv.TagCryptographicLength, length)
	}
	return a
}

func onCurve(algorithm kmip.CryptographicAlgorithm, c kmip.RecommendedCurve) kmip.Attributes {
	return describe(algorithm, 0).With(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{RecommendedCurve: c})
}

func sign(t testing.TB, k kmip.Key, p *kmip.CryptographicParameters, data, digested []byte) []byte {
	t.Helper()
	r, err := k.Sign(context.Background(), &kmip.SignRequest{CryptographicParameters: p, Data: data, DigestedData: digested})
	require.NoError(t, err)
	return r.SignatureData
}

func verify(t testing.TB, k kmip.Key, p *kmip.CryptographicParameters, data, digested, signature []byte) kmip.ValidityIndicator {
	t.Helper()
	r, err := k.SignatureVerify(context.Background(), &kmip.SignatureVerifyRequest{CryptographicParameters: p, Data: data, DigestedData: digested, SignatureData: signature})
	require.NoError(t, err)
	return r.ValidityIndicator
}

const (
	valid    = kmip.ValidityIndicatorValid
	notValid = kmip.ValidityIndicatorInvalid
)

func TestRSAEncryption(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	for name, v := range map[string]struct {
		parameters *kmip.CryptographicParameters
		longest    int
	}{
		"default":      {nil, 256 - 66},
		"OAEP SHA-1":   {&kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA1}, 256 - 42},
		"OAEP SHA-384": {&kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA384, MaskGenerator: kmip.MaskGeneratorMGF1}, 256 - 98},
		"OAEP SHA-512": {&kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA512}, 256 - 130},
		"OAEP masked with SHA-1, with a label": {&kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256,
			MaskGeneratorHashingAlgorithm: kmip.HashingAlgorithmSHA1, PSource: []byte("label")}, 256 - 66},
		"PKCS#1 v1.5": {&kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15}, 256 - 11},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, v.longest} {
				data := bytes.Repeat([]byte{0xA5}, n)
				e, err := p.public.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: v.parameters, Data: data})
				require.NoError(t, err)
				require.Len(t, e.Data, 256)
				d, err := p.private.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: v.parameters, Data: e.Data})
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, d.Data))

				wrapped, err := p.public.Wrap(context.Background(), v.parameters, data)
				require.NoError(t, err)
				back, err := p.private.Unwrap(context.Background(), v.parameters, wrapped)
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, back))
			}
			_, err := p.public.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: v.parameters, Data: make([]byte, v.longest+1)})
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
			require.ErrorContains(t, err, "the limit is")
		})
	}
}

// Whatever is wrong with a ciphertext, the answer is the same.
func TestRSADecryptionFailsAlike(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	oaep := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP}
	v15 := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15}
	e, err := p.public.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: oaep, Data: []byte("secret")})
	require.NoError(t, err)
	labelled := *oaep
	labelled.PSource = []byte("another")
	sha1 := *oaep
	sha1.HashingAlgorithm = kmip.HashingAlgorithmSHA1
	changed := clone(e.Data)
	changed[200] ^= 1
	for name, r := range map[string]kmip.DecryptRequest{
		"another padding":     {CryptographicParameters: v15, Data: e.Data},
		"another hash":        {CryptographicParameters: &sha1, Data: e.Data},
		"another label":       {CryptographicParameters: &labelled, Data: e.Data},
		"changed":             {CryptographicParameters: oaep, Data: changed},
		"short":               {CryptographicParameters: oaep, Data: e.Data[:255]},
		"long":                {CryptographicParameters: v15, Data: append(clone(e.Data), 0)},
		"empty":               {CryptographicParameters: v15},
		"larger than modulus": {CryptographicParameters: v15, Data: bytes.Repeat([]byte{0xFF}, 256)},
		"larger, OAEP":        {CryptographicParameters: oaep, Data: bytes.Repeat([]byte{0xFF}, 256)},
		"zero":                {CryptographicParameters: v15, Data: make([]byte, 256)},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := p.private.Decrypt(context.Background(), &r)
			require.Nil(t, d)
			require.Equal(t, errDecryption, err)
		})
	}
}

func TestRSARefusesParameters(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	type q = kmip.CryptographicParameters
	const (
		bad         = kmip.ResultReasonBadCryptographicParameters
		unsupported = kmip.ResultReasonUnsupportedCryptographicParameters
	)
	for name, v := range map[string]struct {
		p    q
		want kmip.ResultReason
	}{
		"another algorithm": {q{CryptographicAlgorithm: kmip.CryptographicAlgorithmAES}, bad},
		"no padding":        {q{PaddingMethod: kmip.PaddingMethodNone}, unsupported},
		"PSS":               {q{PaddingMethod: kmip.PaddingMethodPSS}, unsupported},
		"MD5":               {q{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmMD5}, unsupported},
		"masked with MD5":   {q{PaddingMethod: kmip.PaddingMethodOAEP, MaskGeneratorHashingAlgorithm: kmip.HashingAlgorithmMD5}, unsupported},
		"another mask":      {q{PaddingMethod: kmip.PaddingMethodOAEP, MaskGenerator: 2}, unsupported},
		"a mode":            {q{PaddingMethod: kmip.PaddingMethodOAEP, BlockCipherMode: kmip.BlockCipherModeGCM}, bad},
		"a hash of v1.5":    {q{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: kmip.HashingAlgorithmSHA256}, bad},
		"a label of v1.5":   {q{PaddingMethod: kmip.PaddingMethodPKCS1v15, PSource: []byte("x")}, bad},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.public.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &v.p, Data: []byte("x")})
			require.Equal(t, v.want, kmip.ReasonOf(err), "%v", err)
			_, err = p.private.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: &v.p, Data: make([]byte, 256)})
			require.Equal(t, v.want, kmip.ReasonOf(err), "%v", err)
		})
	}
	_, err := p.public.Encrypt(context.Background(), &kmip.EncryptRequest{IVCounterNonce: make([]byte, 16)})
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	_, err = p.public.Decrypt(context.Background(), &kmip.DecryptRequest{Data: make([]byte, 256)})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err), "a public key")
	_, err = p.public.Sign(context.Background(), &kmip.SignRequest{Data: []byte("x")})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err), "a public key")
}

func TestRSASignatures(t *testing.T) {
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	type q = kmip.CryptographicParameters
	for name, v := range map[string]*q{
		"default":               nil,
		"v1.5 SHA-384":          {PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: kmip.HashingAlgorithmSHA384},
		"v1.5 SHA3-256":         {DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmSHA3_256WithRSAEncryption},
		"named SHA-512":         {DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmSHA512WithRSAEncryption},
		"PSS SHA-256":           {PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA256},
		"PSS SHA-384, salt 20":  {PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA384, SaltLength: new32(20), TrailerField: new32(1)},
		"PSS SHA-256, salt 222": {PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA256, SaltLength: new32(222)},
		"named PSS":             {DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmRSASSAPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA512},
		"PSS, mask named": {PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA512,
			MaskGenerator: kmip.MaskGeneratorMGF1, MaskGeneratorHashingAlgorithm: kmip.HashingAlgorithmSHA512},
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte("signed")
			s := sign(t, p.private, v, data, nil)
			require.Equal(t, valid, verify(t, p.public, v, data, nil, s))
			require.Equal(t, valid, verify(t, p.private, v, data, nil, s))
			require.Equal(t, notValid, verify(t, p.public, v, []byte("other"), nil, s))
			require.Equal(t, notValid, verify(t, p.public, v, data, nil, s[1:]))
			s[10] ^= 1
			require.Equal(t, notValid, verify(t, p.public, v, data, nil, s))
		})
	}
	// A salt that is named is checked.
	pss := &q{PaddingMethod: kmip.PaddingMethodPSS}
	s := sign(t, p.private, pss, []byte("signed"), nil)
	require.Equal(t, valid, verify(t, p.public, &q{PaddingMethod: kmip.PaddingMethodPSS, SaltLength: new32(32)}, []byte("signed"), nil, s))
	require.Equal(t, notValid, verify(t, p.public, &q{PaddingMethod: kmip.PaddingMethodPSS, SaltLength: new32(20)}, []byte("signed"), nil, s))

	// The digest may be brought; it must have the hash's length.
	sum := sha256.Sum256([]byte("signed"))
	require.Equal(t, valid, verify(t, p.public, nil, []byte("signed"), nil, sign(t, p.private, nil, nil, sum[:])))
	for _, r := range []kmip.SignRequest{{}, {DigestedData: sum[:31]}, {Data: []byte("signed"), DigestedData: sum[:]}} {
		_, err := p.private.Sign(context.Background(), &r)
		require.Contains(t, []kmip.ResultReason{kmip.ResultReasonInvalidField, kmip.ResultReasonMissingData}, kmip.ReasonOf(err))
	}
}

func TestSignRefusesParameters(t *testing.T) {
	r := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	e := newPair(t, describe(kmip.CryptographicAlgorithmECDSA, 256))
	type q = kmip.CryptographicParameters
	for name, v := range map[string]struct {
		k kmip.Key
		p q
	}{
		"RSA, SHA-1":                {r.private, q{HashingAlgorithm: kmip.HashingAlgorithmSHA1}},
		"RSA, MD5":                  {r.private, q{HashingAlgorithm: kmip.HashingAlgorithmMD5}},
		"RSA, OAEP":                 {r.private, q{PaddingMethod: kmip.PaddingMethodOAEP}},
		"RSA, salt of v1.5":         {r.private, q{PaddingMethod: kmip.PaddingMethodPKCS1v15, SaltLength: new32(32)}},
		"RSA, named for EC":         {r.private, q{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmECDSAWithSHA256}},
		"RSA, named DSA":            {r.private, q{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmDSAWithSHA256}},
		"RSA, name against hash":    {r.private, q{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption, HashingAlgorithm: kmip.HashingAlgorithmSHA512}},
		"RSA, name against padding": {r.private, q{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmRSASSAPSS, PaddingMethod: kmip.PaddingMethodPKCS1v15}},
		"PSS, mask of another hash": {r.private, q{PaddingMethod: kmip.PaddingMethodPSS, MaskGeneratorHashingAlgorithm: kmip.HashingAlgorithmSHA1}},
		"PSS, trailer":              {r.private, q{PaddingMethod: kmip.PaddingMethodPSS, TrailerField: new32(2)}},
		"PSS, salt negative":        {r.private, q{PaddingMethod: kmip.PaddingMethodPSS, SaltLength: new32(-1)}},
		"ECDSA, SHA-1":              {e.private, q{HashingAlgorithm: kmip.HashingAlgorithmSHA1}},
		"ECDSA, padding":            {e.private, q{PaddingMethod: kmip.PaddingMethodPSS}},
		"ECDSA, named for RSA":      {e.private, q{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption}},
		"ECDSA, key of RSA":         {e.private, q{CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.k.Sign(context.Background(), &kmip.SignRequest{CryptographicParameters: &v.p, Data: []byte("x")})
			require.Contains(t, []kmip.ResultReason{kmip.ResultReasonBadCryptographicParameters, kmip.ResultReasonUnsupportedCryptographicParameters}, kmip.ReasonOf(err), "%v", err)
		})
	}
	_, err := r.private.Sign(context.Background(), &kmip.SignRequest{Data: []byte("x"), InitIndicator: new(true)})
	require.Equal(t, kmip.ResultReasonFeatureNotSupported, kmip.ReasonOf(err))
	// A salt that does not fit the modulus.
	_, err = r.private.Sign(context.Background(), &kmip.SignRequest{Data: []byte("x"), CryptographicParameters: &q{PaddingMethod: kmip.PaddingMethodPSS, SaltLength: new32(223)}})
	require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
}

func TestECDSA(t *testing.T) {
	for name, a := range map[string]kmip.Attributes{
		"P-256": describe(kmip.CryptographicAlgorithmEC, 256),
		"P-384": onCurve(kmip.CryptographicAlgorithmECDSA, kmip.RecommendedCurveP384),
		"P-521": describe(kmip.CryptographicAlgorithmECDSA, 521),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, a)
			for _, q := range []*kmip.CryptographicParameters{
				nil,
				{HashingAlgorithm: kmip.HashingAlgorithmSHA256, CryptographicAlgorithm: kmip.CryptographicAlgorithmECDSA},
				{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmECDSAWithSHA512},
			} {
				s := sign(t, p.private, q, []byte("signed"), nil)
				require.Equal(t, byte(0x30), s[0], "DER")
				require.Equal(t, valid, verify(t, p.public, q, []byte("signed"), nil, s))
				require.Equal(t, notValid, verify(t, p.public, q, []byte("other"), nil, s))
				require.Equal(t, notValid, verify(t, p.public, q, []byte("signed"), nil, []byte("no DER")))
			}
		})
	}
	ecdh := newPair(t, describe(kmip.CryptographicAlgorithmECDH, 256))
	_, err := ecdh.private.Sign(context.Background(), &kmip.SignRequest{Data: []byte("x")})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
}

// Tests 1 and 3 of RFC 8032 §7.1.
func TestEd25519Answers(t *testing.T) {
	for _, v := range []struct{ key, message, signature string }{
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	} {
		k := asymmetricKey(t, kmip.CryptographicAlgorithmEd25519, kmip.ObjectTypePrivateKey, append(unhex(t, "302e020100300506032b657004220420"), unhex(t, v.key)...))
		message := append([]byte{}, unhex(t, v.message)...)
		require.Equal(t, unhex(t, v.signature), sign(t, k, nil, message, nil))
		require.Equal(t, valid, verify(t, k, nil, message, nil, unhex(t, v.signature)))
	}
}

// Test 2 of RFC 8032 §7.1.
func TestEd25519(t *testing.T) {
	der := append(unhex(t, "302e020100300506032b657004220420"), unhex(t, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")...)
	k, err := Open(&kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS8,
		KeyValue: &kmip.KeyValue{Material: der}, CryptographicAlgorithm: kmip.CryptographicAlgorithmEd25519, CryptographicLength: 256}}}, nil, nil)
	require.NoError(t, err)
	defer k.Close()
	s := sign(t, k, nil, []byte{0x72}, nil)
	require.Equal(t, unhex(t, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"), s)
	require.Equal(t, valid, verify(t, k, nil, []byte{0x72}, nil, s))
	require.Equal(t, notValid, verify(t, k, nil, []byte{0x73}, nil, s))
	require.Equal(t, notValid, verify(t, k, nil, []byte{0x72}, nil, s[:63]))

	_, err = k.Sign(context.Background(), &kmip.SignRequest{DigestedData: make([]byte, 64)})
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	_, err = k.Sign(context.Background(), &kmip.SignRequest{Data: []byte("x"), CryptographicParameters: &kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA512}})
	require.Equal(t, kmip.ResultReasonBadCryptographicParameters, kmip.ReasonOf(err))

	p := newPair(t, describe(kmip.CryptographicAlgorithmEd25519, 0))
	require.Equal(t, valid, verify(t, p.public, nil, []byte("x"), nil, sign(t, p.private, nil, []byte("x"), nil)))
}

// An old signature with SHA-1 is verified; openssl made it.
func TestVerifySHA1(t *testing.T) {
	openssl(t)
	p := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	dir := t.TempDir()
	write(t, dir, "key.der", p.privateValue.PrivateKey.KeyBlock.KeyValue.Material)
	write(t, dir, "data", []byte("signed"))
	run(t, dir, "openssl", "dgst", "-sha1", "-sign", "key.der", "-keyform", "DER", "-out", "sig", "data")
	q := &kmip.CryptographicParameters{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmSHA1WithRSAEncryption}
	require.Equal(t, valid, verify(t, p.public, q, []byte("signed"), nil, read(t, dir, "sig")))
}

// openssl verifies what is signed here and decrypts what is encrypted here.
func TestOpenSSLAgrees(t *testing.T) {
	openssl(t)
	dir := t.TempDir()
	rsa := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	ec := newPair(t, describe(kmip.CryptographicAlgorithmEC, 384))
	write(t, dir, "rsa.der", rsa.privateValue.PrivateKey.KeyBlock.KeyValue.Material)
	write(t, dir, "rsapub.der", rsa.publicValue.PublicKey.KeyBlock.KeyValue.Material)
	write(t, dir, "ecpub.der", ec.publicValue.PublicKey.KeyBlock.KeyValue.Material)
	write(t, dir, "data", []byte("signed"))

	pss := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA384}
	write(t, dir, "pss", sign(t, rsa.private, pss, []byte("signed"), nil))
	run(t, dir, "openssl", "dgst", "-sha384", "-verify", "rsapub.der", "-keyform", "DER", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48", "-signature", "pss", "data")
	write(t, dir, "ecdsa", sign(t, ec.private, nil, []byte("signed"), nil))
	run(t, dir, "openssl", "dgst", "-sha384", "-verify", "ecpub.der", "-keyform", "DER", "-signature", "ecdsa", "data")

	oaep := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256,
		MaskGeneratorHashingAlgorithm: kmip.HashingAlgorithmSHA1, PSource: []byte("label")}
	e, err := rsa.public.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: oaep, Data: []byte("secret")})
	require.NoError(t, err)
	write(t, dir, "oaep", e.Data)
	out := run(t, dir, "openssl", "pkeyutl", "-decrypt", "-inkey", "rsa.der", "-keyform", "DER", "-in", "oaep", "-pkeyopt", "rsa_padding_mode:oaep",
		"-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha1", "-pkeyopt", "rsa_oaep_label:6c6162656c")
	require.Equal(t, "secret", out)
}

// openssl skips a test where that program is missing.
func openssl(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the program openssl is not here")
	}
}

func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	out, err := c.Output()
	require.NoError(t, err, "%v", c.Args)
	return string(out)
}

func write(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return data
}
