package tests

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// hashes are those of signatures, OAEP and MACs.
var hashes = []struct {
	name kmip.HashingAlgorithm
	hash crypto.Hash
	hmac kmip.CryptographicAlgorithm
}{
	{kmip.HashingAlgorithmSHA256, crypto.SHA256, kmip.CryptographicAlgorithmHMACSHA256},
	{kmip.HashingAlgorithmSHA384, crypto.SHA384, kmip.CryptographicAlgorithmHMACSHA384},
	{kmip.HashingAlgorithmSHA512, crypto.SHA512, kmip.CryptographicAlgorithmHMACSHA512},
}

func digestOf(h crypto.Hash, data []byte) []byte {
	d := h.New()
	d.Write(data)
	return d.Sum(nil)
}

// TestTokenAlgorithms goes through every kind of key that a token keeps, of every size, and everything that is done with it. What
// the token computes is held against Go's own packages, or against the database, which has the same key.
func TestTokenAlgorithms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := &kind{t: t, c: s.client("admin", ttlv.V2_1), prefix: "hsm::4::"}
	for _, bits := range []int32{128, 192, 256} {
		t.Run(fmt.Sprint("AES ", bits), func(t *testing.T) { k.of(t).tokenAES(bits) })
	}
	for _, h := range hashes {
		t.Run(fmt.Sprint("HMAC ", h.name), func(t *testing.T) { k.of(t).tokenHMAC(h.hmac, 8*int32(h.hash.Size())) })
	}
	sizes := []int32{2048, 3072}
	if os.Getenv("STRONGROOM_LONG") != "" {
		sizes = append(sizes, 4096) // some seconds to make
	}
	for _, bits := range sizes {
		t.Run(fmt.Sprint("RSA ", bits), func(t *testing.T) { k.of(t).tokenRSA(bits) })
	}
	for _, bits := range []int32{256, 384, 521} {
		t.Run(fmt.Sprint("ECDSA ", bits), func(t *testing.T) { k.of(t).tokenECDSA(bits) })
	}
	t.Run("Ed25519", func(t *testing.T) { k.of(t).tokenEd25519() })
	t.Run("RNG Retrieve", func(t *testing.T) {
		for _, n := range []int32{1, 32, 4096} {
			a := do[kmip.RNGRetrieveResponse](t, k.c, kmip.OperationRNGRetrieve, &kmip.RNGRetrieveRequest{DataLength: n})
			require.Len(t, a.Data, int(n))
		}
	})
}

// of is the same for a part of a test.
func (k *kind) of(t *testing.T) *kind {
	return &kind{t: t, c: k.c, prefix: k.prefix}
}

// twins are a key that the token made, and one of the same material in the token and in the database.
func (k *kind) twins(algorithm kmip.CryptographicAlgorithm, bits int32) (made, token, database kmip.UniqueIdentifier) {
	const everything = kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt | kmip.CryptographicUsageMaskMACGenerate | kmip.CryptographicUsageMaskMACVerify
	mask := kmip.Attribute{Tag: ttlv.TagCryptographicUsageMask, Value: everything}
	material := make([]byte, bits/8)
	rand.Read(material)
	made = k.secret(algorithm, bits, mask)
	for _, uid := range []*kmip.UniqueIdentifier{&token, &database} {
		name := k.name()
		if uid == &database {
			name = name[len(k.prefix):]
		}
		*uid = do[kmip.RegisterResponse](k.t, k.c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey,
			Attributes: append(usable(name, algorithm, bits), mask), Value: rawKey(algorithm, material)}).UniqueIdentifier
	}
	a := do[kmip.GetAttributesResponse](k.t, k.c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: made}).Attributes
	require.Equal(k.t, algorithm, a.Algorithm())
	require.Equal(k.t, bits, a.Length())
	return made, token, database
}

func (k *kind) tokenAES(bits int32) {
	made, token, database := k.twins(kmip.CryptographicAlgorithmAES, bits)
	iv, blocks, odd := make([]byte, 16), make([]byte, 64), make([]byte, 37)
	rand.Read(iv)
	rand.Read(blocks)
	rand.Read(odd)
	for _, c := range []struct {
		p    kmip.CryptographicParameters
		iv   []byte
		data []byte
		aad  []byte
	}{
		{*mode(kmip.BlockCipherModeECB), nil, blocks, nil},
		{*mode(kmip.BlockCipherModeCBC), iv, blocks, nil},
		{kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}, iv, odd, nil},
		{*mode(kmip.BlockCipherModeCTR), iv, odd, nil},
		{*mode(kmip.BlockCipherModeGCM), iv[:12], odd, nil},
		{*mode(kmip.BlockCipherModeGCM), iv[:12], odd, []byte("additional")},
		{*mode(kmip.BlockCipherModeNISTKeyWrap), nil, blocks, nil},
		{*mode(kmip.BlockCipherModeAESKeyWrapPadding), nil, blocks, nil},
	} {
		sealed := map[kmip.UniqueIdentifier]*kmip.EncryptResponse{}
		for _, uid := range []kmip.UniqueIdentifier{made, token, database} {
			sealed[uid] = do[kmip.EncryptResponse](k.t, k.c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: uid,
				CryptographicParameters: &c.p, IVCounterNonce: c.iv, Data: c.data, AuthenticatedEncryptionAdditionalData: c.aad})
			require.NotEqual(k.t, c.data, sealed[uid].Data)
		}
		require.Equal(k.t, sealed[database].Data, sealed[token].Data, "%v", c.p.BlockCipherMode)
		require.Equal(k.t, sealed[database].AuthenticatedEncryptionTag, sealed[token].AuthenticatedEncryptionTag)
		for by, e := range map[kmip.UniqueIdentifier]*kmip.EncryptResponse{made: sealed[made], token: sealed[database], database: sealed[token]} {
			opened := do[kmip.DecryptResponse](k.t, k.c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: by, CryptographicParameters: &c.p,
				IVCounterNonce: c.iv, Data: e.Data, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag, AuthenticatedEncryptionAdditionalData: c.aad})
			require.Equal(k.t, c.data, opened.Data)
		}
	}
	k.sameMAC(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCMAC, CryptographicAlgorithm: kmip.CryptographicAlgorithmAES}, made, token, database)
}

func (k *kind) tokenHMAC(algorithm kmip.CryptographicAlgorithm, bits int32) {
	made, token, database := k.twins(algorithm, bits)
	k.sameMAC(kmip.CryptographicParameters{CryptographicAlgorithm: algorithm}, made, token, database)
}

// sameMAC is computed and verified, and that of the twins is the same.
func (k *kind) sameMAC(p kmip.CryptographicParameters, made, token, database kmip.UniqueIdentifier) {
	macs := map[kmip.UniqueIdentifier][]byte{}
	for _, uid := range []kmip.UniqueIdentifier{made, token, database} {
		macs[uid] = do[kmip.MACResponse](k.t, k.c, kmip.OperationMAC, &kmip.MACRequest{UniqueIdentifier: uid, CryptographicParameters: &p, Data: []byte("data")}).MACData
	}
	require.Equal(k.t, macs[database], macs[token])
	require.NotEqual(k.t, macs[made], macs[token])
	for uid, mac := range macs {
		for text, want := range map[string]kmip.ValidityIndicator{"data": kmip.ValidityIndicatorValid, "date": kmip.ValidityIndicatorInvalid} {
			v := do[kmip.MACVerifyResponse](k.t, k.c, kmip.OperationMACVerify, &kmip.MACVerifyRequest{UniqueIdentifier: uid, CryptographicParameters: &p, Data: []byte(text), MACData: mac})
			require.Equal(k.t, want, v.ValidityIndicator)
		}
	}
}

// signs signs in the token, and has the server and verify check it.
func (k *kind) signs(private, public kmip.UniqueIdentifier, p *kmip.CryptographicParameters, verify func(data, signature []byte) bool) {
	k.t.Helper()
	data := []byte("what is signed, " + string(private))
	s, err := client.Do[kmip.SignResponse](k.t.Context(), k.c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: private, CryptographicParameters: p, Data: data})
	require.NoError(k.t, err, "%+v", p)
	require.True(k.t, verify(data, s.SignatureData), "%+v", p)
	for _, valid := range []bool{true, false} {
		want := kmip.ValidityIndicatorValid
		if !valid {
			data[0] ^= 1
			want = kmip.ValidityIndicatorInvalid
		}
		v := do[kmip.SignatureVerifyResponse](k.t, k.c, kmip.OperationSignatureVerify, &kmip.SignatureVerifyRequest{
			UniqueIdentifier: public, CryptographicParameters: p, Data: data, SignatureData: s.SignatureData})
		require.Equal(k.t, want, v.ValidityIndicator, "%+v", p)
	}
}

func (k *kind) tokenRSA(bits int32) {
	private, public := k.pair(kmip.CryptographicAlgorithmRSA, bits)
	key := k.publicKey(public).(*rsa.PublicKey)
	require.EqualValues(k.t, bits, key.N.BitLen())
	for _, h := range hashes {
		k.signs(private, public, &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: h.name}, func(data, signature []byte) bool {
			return rsa.VerifyPKCS1v15(key, h.hash, digestOf(h.hash, data), signature) == nil
		})
		k.signs(private, public, &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: h.name}, func(data, signature []byte) bool {
			return rsa.VerifyPSS(key, h.hash, digestOf(h.hash, data), signature, &rsa.PSSOptions{SaltLength: h.hash.Size()}) == nil
		})
	}
	for _, h := range append(hashes[:len(hashes):len(hashes)], struct {
		name kmip.HashingAlgorithm
		hash crypto.Hash
		hmac kmip.CryptographicAlgorithm
	}{kmip.HashingAlgorithmSHA1, crypto.SHA1, 0}) {
		p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: h.name}
		require.NoError(k.t, k.sealed(public, private, p, nil, []byte("some text")))
		sealed, err := rsa.EncryptOAEP(h.hash.New(), rand.Reader, key, []byte("from outside"), nil)
		require.NoError(k.t, err)
		opened := do[kmip.DecryptResponse](k.t, k.c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: private, CryptographicParameters: p, Data: sealed})
		require.Equal(k.t, "from outside", string(opened.Data))
	}
	require.NoError(k.t, k.sealed(public, private, &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15}, nil, []byte("some text")))
}

func (k *kind) tokenECDSA(bits int32) {
	private, public := k.pair(kmip.CryptographicAlgorithmECDSA, bits)
	key := k.publicKey(public).(*ecdsa.PublicKey)
	require.EqualValues(k.t, bits, key.Params().BitSize)
	for _, h := range hashes {
		k.signs(private, public, &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmECDSA, HashingAlgorithm: h.name}, func(data, signature []byte) bool {
			return ecdsa.VerifyASN1(key, digestOf(h.hash, data), signature) // DER
		})
	}
}

func (k *kind) tokenEd25519() {
	private, public := k.pair(kmip.CryptographicAlgorithmEd25519, 256)
	key := k.publicKey(public).(ed25519.PublicKey)
	k.signs(private, public, &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmEd25519}, func(data, signature []byte) bool {
		return ed25519.Verify(key, data, signature)
	})
	k.signs(private, public, nil, func(data, signature []byte) bool { return ed25519.Verify(key, data, signature) })
	for _, f := range []kmip.KeyFormatType{0, kmip.KeyFormatTypeX509, kmip.KeyFormatTypeRaw} {
		require.NoError(k.t, k.do(kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: public, KeyFormatType: f}))
	}
	require.Equal(k.t, kmip.ResultReasonSensitive, refusal(k.t, k.do(kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: private})).Reason)
	require.Equal(k.t, []byte(key), get(k.t, k.c, string(public), kmip.KeyFormatTypeRaw).Material)
}
