package soft

import (
	"bytes"
	"context"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// symmetricValue is a symmetric key in Raw.
func symmetricValue(algorithm kmip.CryptographicAlgorithm, key []byte) *kmip.Value {
	return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: key},
		CryptographicAlgorithm: algorithm, CryptographicLength: int32(8 * len(key)),
	}}}
}

// openKey opens a symmetric key whose object has the parameters.
func openKey(t testing.TB, algorithm kmip.CryptographicAlgorithm, key string, own ...kmip.CryptographicParameters) kmip.Opened {
	t.Helper()
	var a kmip.Attributes
	for _, p := range own {
		a = a.Plus(ttlv.TagCryptographicParameters, p)
	}
	k, err := Open(symmetricValue(algorithm, unhex(t, key)), a, nil)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

const (
	aes128 = "2b7e151628aed2a6abf7158809cf4f3c"
	aes192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
	aes256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"

	// The plaintext of SP 800-38A Appendix F.
	fourBlocks = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	firstIV      = "000102030405060708090a0b0c0d0e0f"
	firstCounter = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
)

// The vectors of SP 800-38A Appendix F.1 (ECB), F.2 (CBC) and F.5 (CTR).
func TestModesSP800_38A(t *testing.T) {
	for name, v := range map[string]struct {
		mode         kmip.BlockCipherMode
		key, iv, out string
	}{
		"ECB-128": {kmip.BlockCipherModeECB, aes128, "", "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4"},
		"ECB-192": {kmip.BlockCipherModeECB, aes192, "", "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eefef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e"},
		"ECB-256": {kmip.BlockCipherModeECB, aes256, "", "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7"},
		"CBC-128": {kmip.BlockCipherModeCBC, aes128, firstIV, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"},
		"CBC-192": {kmip.BlockCipherModeCBC, aes192, firstIV, "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd"},
		"CBC-256": {kmip.BlockCipherModeCBC, aes256, firstIV, "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"},
		"CTR-128": {kmip.BlockCipherModeCTR, aes128, firstCounter, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"},
		"CTR-192": {kmip.BlockCipherModeCTR, aes192, firstCounter, "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e941e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050"},
		"CTR-256": {kmip.BlockCipherModeCTR, aes256, firstCounter, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"},
	} {
		t.Run(name, func(t *testing.T) {
			k := openKey(t, kmip.CryptographicAlgorithmAES, v.key)
			p := &kmip.CryptographicParameters{BlockCipherMode: v.mode}
			e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: unhex(t, fourBlocks), IVCounterNonce: unhex(t, v.iv)})
			require.NoError(t, err)
			require.Equal(t, unhex(t, v.out), e.Data)
			require.Nil(t, e.IVCounterNonce, "the client has its IV")
			d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data, IVCounterNonce: unhex(t, v.iv)})
			require.NoError(t, err)
			require.Equal(t, fourBlocks, hex.EncodeToString(d.Data))
		})
	}
}

// Test cases 2, 4, 5, 6, 16 and 18 of the GCM specification (McGrew and Viega, Appendix B).
var gcmVectors = map[string]struct{ key, iv, plain, additional, sealed, tag string }{
	"2": {"00000000000000000000000000000000", "000000000000000000000000", "00000000000000000000000000000000", "",
		"0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
	"4": {gcmKey, "cafebabefacedbaddecaf888", gcmPlain, gcmAdditional,
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091", "5bc94fbc3221a5db94fae95ae7121a47"},
	"5": {gcmKey, "cafebabefacedbad", gcmPlain, gcmAdditional,
		"61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c742373806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598", "3612d2e79e3b0785561be14aaca2fccb"},
	"6": {gcmKey, "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b", gcmPlain, gcmAdditional,
		"8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca701e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5", "619cc5aefffe0bfa462af43c1699d050"},
	"16": {gcmKey + gcmKey, "cafebabefacedbaddecaf888", gcmPlain, gcmAdditional,
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662", "76fc6ece0f4e1768cddf8853bb2d551b"},
}

const (
	gcmKey        = "feffe9928665731c6d6a8f9467308308"
	gcmPlain      = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
	gcmAdditional = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
)

func TestGCM(t *testing.T) {
	for name, v := range gcmVectors {
		t.Run(name, func(t *testing.T) {
			k := openKey(t, kmip.CryptographicAlgorithmAES, v.key)
			for tag := int32(leastTag); tag <= tagSize; tag++ {
				p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, TagLength: &tag}
				e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: unhex(t, v.plain),
					IVCounterNonce: unhex(t, v.iv), AuthenticatedEncryptionAdditionalData: unhex(t, v.additional)})
				require.NoError(t, err)
				require.Equal(t, v.sealed, hex.EncodeToString(e.Data))
				require.Equal(t, v.tag[:2*tag], hex.EncodeToString(e.AuthenticatedEncryptionTag))
				require.Nil(t, e.IVCounterNonce)

				r := kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag,
					IVCounterNonce: unhex(t, v.iv), AuthenticatedEncryptionAdditionalData: unhex(t, v.additional)}
				requirePlain(t, k, r, v.plain)

				appended := r
				appended.Data, appended.AuthenticatedEncryptionTag = append(clone(e.Data), e.AuthenticatedEncryptionTag...), nil
				requirePlain(t, k, appended, v.plain)
				requireNoChangeDecrypts(t, k, r)
			}
		})
	}
}

func requirePlain(t *testing.T, k kmip.Key, r kmip.DecryptRequest, plain string) {
	t.Helper()
	d, err := k.Decrypt(context.Background(), &r)
	require.NoError(t, err)
	require.Equal(t, plain, hex.EncodeToString(d.Data))
}

// requireNoChangeDecrypts flips a bit of everything that is authenticated.
func requireNoChangeDecrypts(t *testing.T, k kmip.Key, r kmip.DecryptRequest) {
	t.Helper()
	for _, field := range []*[]byte{&r.Data, &r.AuthenticatedEncryptionTag, &r.IVCounterNonce, &r.AuthenticatedEncryptionAdditionalData} {
		whole := *field
		for _, i := range []int{0, len(whole) - 1} {
			if i < 0 || len(whole) == 0 {
				continue
			}
			*field = clone(whole)
			(*field)[i] ^= 0x80
			_, err := k.Decrypt(context.Background(), &r)
			require.Equal(t, errDecryption, err)
		}
		*field = whole
	}
}

// Without parameters a key of AES encrypts with GCM under a new IV.
func TestEncryptDefault(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	one, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{UniqueIdentifier: "k", Data: []byte("a secret")})
	require.NoError(t, err)
	two, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{UniqueIdentifier: "k", Data: []byte("a secret")})
	require.NoError(t, err)
	require.Len(t, one.IVCounterNonce, 12)
	require.Len(t, one.AuthenticatedEncryptionTag, 16)
	require.NotEqual(t, one.IVCounterNonce, two.IVCounterNonce)
	require.NotEqual(t, one.Data, two.Data)
	require.EqualValues(t, "k", one.UniqueIdentifier)
	d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{Data: one.Data, IVCounterNonce: one.IVCounterNonce, AuthenticatedEncryptionTag: one.AuthenticatedEncryptionTag})
	require.NoError(t, err)
	require.Equal(t, "a secret", string(d.Data))

	// The parts share one allocation: writing past the end of one must not reach the next.
	_ = append(one.IVCounterNonce, 0xFF)
	_ = append(one.Data, 0xFF)
	d, err = k.Decrypt(context.Background(), &kmip.DecryptRequest{Data: one.Data, IVCounterNonce: one.IVCounterNonce, AuthenticatedEncryptionTag: one.AuthenticatedEncryptionTag})
	require.NoError(t, err)
	require.Equal(t, "a secret", string(d.Data))
}

func TestEncryptServerIV(t *testing.T) {
	yes, no := true, false
	for name, v := range map[string]struct {
		p    kmip.CryptographicParameters
		size int
	}{
		"CBC":           {kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}, 16},
		"CBC random IV": {kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodANSIX9_23, RandomIV: &yes}, 16},
		"CTR":           {kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCTR, IVLength: new32(128)}, 16},
		"GCM":           {kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, IVLength: new32(96), RandomIV: &yes}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			k := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
			for n := range 40 {
				data := bytes.Repeat([]byte{1}, n)
				e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &v.p, Data: data})
				require.NoError(t, err)
				require.Len(t, e.IVCounterNonce, v.size)
				d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: &v.p, Data: e.Data,
					IVCounterNonce: e.IVCounterNonce, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag})
				require.NoError(t, err)
				require.Equal(t, data, d.Data)
			}
			_, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: &v.p, Data: make([]byte, 32)})
			require.Equal(t, kmip.ResultReasonInvalidMessage, kmip.ReasonOf(err), "a missing IV")

			v.p.RandomIV = &no
			_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &v.p, Data: []byte("x")})
			require.Equal(t, kmip.ResultReasonInvalidMessage, kmip.ReasonOf(err), "Random IV is false and there is no IV")
			v.p.RandomIV = &yes
			_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &v.p, Data: []byte("x"), IVCounterNonce: make([]byte, v.size)})
			require.Equal(t, kmip.ResultReasonBadCryptographicParameters, kmip.ReasonOf(err), "both an IV and Random IV")
		})
	}
}

func new32(n int32) *int32 { return &n }

// The object's own parameters count where the request has none; the request's replace them.
func TestEncryptOwnParameters(t *testing.T) {
	yes := true
	own := kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5, RandomIV: &yes}
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes128, kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256}, own)

	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("x")})
	require.NoError(t, err)
	require.Len(t, e.IVCounterNonce, 16)
	require.Len(t, e.Data, 16)

	e, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("x"), IVCounterNonce: unhex(t, firstIV)})
	require.NoError(t, err, "the request's IV comes before the object's Random IV")
	require.Nil(t, e.IVCounterNonce)

	e, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("x"),
		CryptographicParameters: &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmAES}})
	require.NoError(t, err, "a request that names no mode means the object's")
	require.Len(t, e.Data, 16)

	e, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("x"),
		CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}})
	require.NoError(t, err)
	require.Len(t, e.Data, 1)
}

func TestEncryptRefusesParameters(t *testing.T) {
	type p = kmip.CryptographicParameters
	const (
		gcm, cbc, ecb, ctr = kmip.BlockCipherModeGCM, kmip.BlockCipherModeCBC, kmip.BlockCipherModeECB, kmip.BlockCipherModeCTR
		cfb, ccm           = kmip.BlockCipherModeCFB, kmip.BlockCipherModeCCM
		kw, kwp            = kmip.BlockCipherModeNISTKeyWrap, kmip.BlockCipherModeAESKeyWrapPadding

		bad         = kmip.ResultReasonBadCryptographicParameters
		unsupported = kmip.ResultReasonUnsupportedCryptographicParameters
		field       = kmip.ResultReasonInvalidField
		general     = kmip.ResultReasonGeneralFailure
	)
	iv12, iv16, data := make([]byte, 12), make([]byte, 16), make([]byte, 32)
	for name, v := range map[string]struct {
		r    kmip.EncryptRequest
		want kmip.ResultReason
	}{
		"another algorithm":       {kmip.EncryptRequest{CryptographicParameters: &p{CryptographicAlgorithm: kmip.CryptographicAlgorithmRSA}}, bad},
		"unknown mode":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: 0x7FFFFFFF}}, unsupported},
		"PCBC":                    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kmip.BlockCipherModePCBC}}, unsupported},
		"CBC-MAC":                 {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kmip.BlockCipherModeCBCMAC}}, unsupported},
		"X9.102":                  {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kmip.BlockCipherModeX9_102AESKW}}, unsupported},
		"XTS, half a key":         {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kmip.BlockCipherModeXTS}, Data: data, IVCounterNonce: iv16}, bad},
		"CFB, short IV":           {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cfb}, IVCounterNonce: iv12}, field},
		"CFB, padding":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cfb, PaddingMethod: kmip.PaddingMethodPKCS5}}, bad},
		"CFB, counter":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cfb, CounterLength: new32(32)}}, bad},
		"CFB, fixed field":        {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cfb, FixedFieldLength: new32(32)}}, bad},
		"CFB, additional data":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cfb}, AuthenticatedEncryptionAdditionalData: data}, field},
		"OFB, short IV":           {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kmip.BlockCipherModeOFB}, IVCounterNonce: iv12}, field},
		"OFB, IV Length":          {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kmip.BlockCipherModeOFB, IVLength: new32(96)}}, bad},
		"CCM, tag of 6":           {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ccm, TagLength: new32(6)}}, general},
		"CCM, odd tag":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ccm, TagLength: new32(13)}}, general},
		"CCM, IV of 16":           {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ccm}, IVCounterNonce: iv16}, field},
		"CCM, IV of 6":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ccm}, IVCounterNonce: iv12[:6]}, field},
		"CCM, short made IV":      {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ccm, IVLength: new32(64)}}, bad},
		"CCM, 64 KiB by 13 bytes": {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ccm}, IVCounterNonce: append(iv12, 0), Data: make([]byte, 1<<16)}, field},
		"CCM, padding":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ccm, PaddingMethod: kmip.PaddingMethodPKCS5}}, bad},
		"GCM, hash":               {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, HashingAlgorithm: kmip.HashingAlgorithmSHA256}}, bad},
		"GCM, padding":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, PaddingMethod: kmip.PaddingMethodPKCS5}}, bad},
		"GCM, tag too short":      {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, TagLength: new32(11)}}, general},
		"GCM, tag too long":       {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, TagLength: new32(17)}}, general},
		"GCM, tag negative":       {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, TagLength: new32(-1)}}, general},
		"GCM, IV Length":          {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, IVLength: new32(88)}}, bad},
		"GCM, IV of a mile":       {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, IVLength: new32(1 << 30)}}, bad},
		"GCM, IV Length negative": {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, IVLength: new32(-96)}}, bad},
		"GCM, half a byte":        {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, IVLength: new32(100)}}, bad},
		"GCM, IV and IV Length":   {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, IVLength: new32(128)}, IVCounterNonce: iv12}, bad},
		"GCM, counter":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, CounterLength: new32(32)}}, bad},
		"GCM, fields too short":   {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, FixedFieldLength: new32(32), InvocationFieldLength: new32(32)}}, bad},
		"GCM, fields of an IV":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, FixedFieldLength: new32(64), InvocationFieldLength: new32(64)}, IVCounterNonce: iv12}, bad},
		"GCM, fields odd":         {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, FixedFieldLength: new32(33), InvocationFieldLength: new32(63)}}, bad},
		"GCM, fields negative":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, FixedFieldLength: new32(-32), InvocationFieldLength: new32(128)}}, bad},
		"GCM, all of it fixed":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, FixedFieldLength: new32(96)}}, bad},
		"GCM, fixed beyond it":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, FixedFieldLength: new32(104)}}, bad},
		"GCM, 24 bits of counter": {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, InvocationFieldLength: new32(24)}}, bad},
		"GCM, salt":               {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, SaltLength: new32(0)}}, bad},
		"GCM, P Source":           {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: gcm, PSource: []byte("x")}}, bad},
		"CBC, no padding":         {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cbc}, Data: data[:31]}, field},
		"CBC, unknown padding":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cbc, PaddingMethod: kmip.PaddingMethodOAEP}}, unsupported},
		"CBC, short IV":           {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cbc}, IVCounterNonce: iv12}, field},
		"CBC, tag":                {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cbc, TagLength: new32(16)}}, bad},
		"CBC, additional data":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: cbc}, AuthenticatedEncryptionAdditionalData: data}, field},
		"CTR, short IV":           {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr}, IVCounterNonce: iv12}, bad},
		"CTR, long IV":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr}, IVCounterNonce: append(iv16, 0)}, field},
		"CTR, IV and counter":     {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(64), InitialCounterValue: new32(1)}, IVCounterNonce: iv12}, field},
		"CTR, counter length":     {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(33)}}, bad},
		"CTR, counter too long":   {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(136)}}, bad},
		"CTR, no counter":         {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(0)}}, bad},
		"CTR, counter negative":   {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, InitialCounterValue: new32(-1)}, IVCounterNonce: iv12}, bad},
		"CTR, value too large":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(8), InitialCounterValue: new32(256)}, IVCounterNonce: make([]byte, 15)}, bad},
		"CTR, two counters":       {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(32), InitialCounterValue: new32(1)}, IVCounterNonce: iv16}, bad},
		"CTR, counter too short":  {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(8), InitialCounterValue: new32(1)}, IVCounterNonce: make([]byte, 15), Data: make([]byte, 256*16+1)}, field},
		"CTR, little made":        {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(96)}}, bad},
		"CTR, made without value": {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, CounterLength: new32(32), IVLength: new32(96)}}, bad},
		"CTR, padding":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ctr, PaddingMethod: kmip.PaddingMethodPKCS5}}, bad},
		"ECB, IV":                 {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ecb}, IVCounterNonce: iv16}, field},
		"ECB, IV Length":          {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: ecb, IVLength: new32(128)}}, bad},
		"key wrap, IV":            {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kw}, Data: data, IVCounterNonce: iv16[:8]}, field},
		"key wrap, 31 bytes":      {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kw}, Data: data[:31]}, field},
		"key wrap, padding":       {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kwp, PaddingMethod: kmip.PaddingMethodPKCS5}, Data: data}, bad},
		"key wrap, additional":    {kmip.EncryptRequest{CryptographicParameters: &p{BlockCipherMode: kwp}, Data: data, AuthenticatedEncryptionAdditionalData: data}, field},
		"in parts":                {kmip.EncryptRequest{InitIndicator: new(true)}, kmip.ResultReasonFeatureNotSupported},
		"in parts, the last":      {kmip.EncryptRequest{FinalIndicator: new(true)}, kmip.ResultReasonFeatureNotSupported},
		"in parts, in the middle": {kmip.EncryptRequest{CorrelationValue: []byte("1")}, kmip.ResultReasonFeatureNotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			k := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
			_, err := k.Encrypt(context.Background(), &v.r)
			require.Error(t, err)
			require.Equal(t, v.want, kmip.ReasonOf(err), err.Error())
		})
	}
}

// Every way to spoil a padded block is the same error.
func TestDecryptPadding(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
	raw := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB}
	for name, v := range map[string]struct {
		method kmip.PaddingMethod
		block  string
		plain  int // -1: decryption failed
	}{
		"PKCS5 whole":        {kmip.PaddingMethodPKCS5, "10101010101010101010101010101010", 0},
		"PKCS5 one":          {kmip.PaddingMethodPKCS5, "00000000000000000000000000000001", 15},
		"PKCS5 three":        {kmip.PaddingMethodPKCS5, "00000000000000000000000000030303", 13},
		"PKCS5 zero":         {kmip.PaddingMethodPKCS5, "00000000000000000000000000000000", -1},
		"PKCS5 too long":     {kmip.PaddingMethodPKCS5, "11111111111111111111111111111111", -1},
		"PKCS5 first wrong":  {kmip.PaddingMethodPKCS5, "00101010101010101010101010101010", -1},
		"PKCS5 inner wrong":  {kmip.PaddingMethodPKCS5, "00000000000000000000000000040304", -1},
		"PKCS5 255":          {kmip.PaddingMethodPKCS5, "000000000000000000000000000000ff", -1},
		"X9.23 whole":        {kmip.PaddingMethodANSIX9_23, "00000000000000000000000000000010", 0},
		"X9.23 three":        {kmip.PaddingMethodANSIX9_23, "ffffffffffffffffffffffffff000003", 13},
		"X9.23 not zero":     {kmip.PaddingMethodANSIX9_23, "ffffffffffffffffffffffffff010003", -1},
		"X9.23 zero length":  {kmip.PaddingMethodANSIX9_23, "00000000000000000000000000000000", -1},
		"X9.23 too long":     {kmip.PaddingMethodANSIX9_23, "00000000000000000000000000000011", -1},
		"ISO 10126 whole":    {kmip.PaddingMethodISO10126, "0123456789abcdef0123456789abcd10", 0},
		"ISO 10126 three":    {kmip.PaddingMethodISO10126, "ffffffffffffffffffffffffff123403", 13},
		"ISO 10126 zero":     {kmip.PaddingMethodISO10126, "ffffffffffffffffffffffffff123400", -1},
		"ISO 10126 too long": {kmip.PaddingMethodISO10126, "ffffffffffffffffffffffffff123411", -1},
		"SSL3 whole":         {kmip.PaddingMethodSSL3, "0123456789abcdef0123456789abcd0f", 0},
		"SSL3 one":           {kmip.PaddingMethodSSL3, "ffffffffffffffffffffffffffffff00", 15},
		"SSL3 three":         {kmip.PaddingMethodSSL3, "ffffffffffffffffffffffffff123402", 13},
		"SSL3 too long":      {kmip.PaddingMethodSSL3, "ffffffffffffffffffffffffff123410", -1},
		"zeros, none":        {kmip.PaddingMethodZeros, "00000000000000000000000000000001", 16},
		"zeros, three":       {kmip.PaddingMethodZeros, "ffffffffffffffffffffff0001000000", 13},
		"zeros, all":         {kmip.PaddingMethodZeros, "00000000000000000000000000000000", 1},
		"none, as it stands": {kmip.PaddingMethodNone, "00000000000000000000000000000003", 16},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: raw, Data: unhex(t, v.block)})
			require.NoError(t, err)
			p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB, PaddingMethod: v.method}
			d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data})
			if v.plain < 0 {
				require.Equal(t, errDecryption, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, v.block[:2*v.plain], hex.EncodeToString(d.Data))
		})
	}
}

func TestDecryptRefusesLengths(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes128)
	for _, mode := range []kmip.BlockCipherMode{kmip.BlockCipherModeCBC, kmip.BlockCipherModeECB} {
		p := &kmip.CryptographicParameters{BlockCipherMode: mode, PaddingMethod: kmip.PaddingMethodPKCS5}
		r := &kmip.DecryptRequest{CryptographicParameters: p}
		if mode == kmip.BlockCipherModeCBC {
			r.IVCounterNonce = make([]byte, 16)
		}
		for _, n := range []int{0, 1, 15, 17} {
			r.Data = make([]byte, n)
			_, err := k.Decrypt(context.Background(), r)
			require.Equal(t, errDecryption, err)
		}
	}
	r := &kmip.DecryptRequest{Data: make([]byte, 15), IVCounterNonce: make([]byte, 12)}
	_, err := k.Decrypt(context.Background(), r)
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "no room for a tag")
	r.AuthenticatedEncryptionTag = make([]byte, 12)
	_, err = k.Decrypt(context.Background(), r)
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "a tag cut without a Tag Length")
}

// NIST's example for TDEA in ECB (SP 800-67, Appendix B of the first edition).
func TestTripleDES(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmDES3, "0123456789abcdef23456789abcdef01456789abcdef0123")
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB}
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: []byte("The qufck brown fox jump")})
	require.NoError(t, err)
	require.Equal(t, "a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900", hex.EncodeToString(e.Data))

	p = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}
	e, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: []byte("hello")})
	require.NoError(t, err)
	require.Len(t, e.IVCounterNonce, 8)
	requirePlain(t, k, kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data, IVCounterNonce: e.IVCounterNonce}, hex.EncodeToString([]byte("hello")))

	_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("hello")})
	require.Equal(t, kmip.ResultReasonBadCryptographicParameters, kmip.ReasonOf(err), "no mode")
	p.BlockCipherMode = kmip.BlockCipherModeGCM
	_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: []byte("hello")})
	require.Equal(t, kmip.ResultReasonUnsupportedCryptographicParameters, kmip.ReasonOf(err))
}

func TestEncryptKeyWrapModes(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding}
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: unhex(t, "466f7250617369")})
	require.NoError(t, err)
	require.Equal(t, "afbeb0f07dfbf5419200f2ccb50bb24f", hex.EncodeToString(e.Data))
	require.Nil(t, e.IVCounterNonce)
	requirePlain(t, k, kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data}, "466f7250617369")
	p.BlockCipherMode = kmip.BlockCipherModeNISTKeyWrap
	_, err = k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: append(e.Data, e.Data...)})
	require.Equal(t, errDecryption, err)
}

func BenchmarkEncrypt64(b *testing.B) {
	k := openKey(b, kmip.CryptographicAlgorithmAES, aes256)
	tag := int32(16)
	for name, p := range map[string]*kmip.CryptographicParameters{
		"no parameters": nil,
		"GCM":           {BlockCipherMode: kmip.BlockCipherModeGCM, CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, TagLength: &tag},
		"CBC":           {BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5},
	} {
		b.Run(name, func(b *testing.B) {
			r := &kmip.EncryptRequest{UniqueIdentifier: "k", Data: make([]byte, 64), CryptographicParameters: p}
			b.ReportAllocs()
			b.SetBytes(64)
			for b.Loop() {
				if _, err := k.Encrypt(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecrypt64(b *testing.B) {
	k := openKey(b, kmip.CryptographicAlgorithmAES, aes256)
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: make([]byte, 64)})
	require.NoError(b, err)
	r := &kmip.DecryptRequest{Data: e.Data, IVCounterNonce: e.IVCounterNonce, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag}
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		if _, err := k.Decrypt(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// An Encrypt allocates its response and one buffer.
func TestEncryptAllocations(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	r := &kmip.EncryptRequest{Data: make([]byte, 64)}
	n := testing.AllocsPerRun(100, func() { _, _ = k.Encrypt(context.Background(), r) })
	require.LessOrEqual(t, n, 2.0)
}
