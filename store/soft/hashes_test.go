package soft

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Every hash encrypts with OAEP, its mask with every other, under a label; another label, hash or mask does not decrypt.
func TestOAEPEveryHash(t *testing.T) {
	pair := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	ctx, label := context.Background(), []byte("label")
	for hash := range digests {
		for mask := range digests {
			p := kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: hash, MaskGenerator: kmip.MaskGeneratorMGF1,
				MaskGeneratorHashingAlgorithm: mask, PSource: label}
			e, err := pair.public.Encrypt(ctx, &kmip.EncryptRequest{CryptographicParameters: &p, Data: []byte("secret")})
			require.NoError(t, err, "%v %v", hash, mask)
			d, err := pair.private.Decrypt(ctx, &kmip.DecryptRequest{CryptographicParameters: &p, Data: e.Data})
			require.NoError(t, err, "%v %v", hash, mask)
			require.Equal(t, "secret", string(d.Data))
			if mask != hash {
				same := p
				same.MaskGeneratorHashingAlgorithm = 0 // is the main hash
				_, err = pair.private.Decrypt(ctx, &kmip.DecryptRequest{CryptographicParameters: &same, Data: e.Data})
				require.Equal(t, errDecryption, err, "%v %v", hash, mask)
			}
		}
	}
}

// Every hash but SHA-1 signs, with each kind of key; the length of a PSS salt is what the parameters say.
func TestSignEveryHash(t *testing.T) {
	rsa := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	pairs := map[string]pair{
		"P-256": newPair(t, describe(kmip.CryptographicAlgorithmEC, 256)),
		"P-384": newPair(t, describe(kmip.CryptographicAlgorithmEC, 384)),
		"P-521": newPair(t, describe(kmip.CryptographicAlgorithmEC, 521)),
		"RSA":   rsa,
	}
	data := []byte("signed")
	for hash := range digests {
		for name, k := range pairs {
			p := &kmip.CryptographicParameters{HashingAlgorithm: hash}
			if hash == kmip.HashingAlgorithmSHA1 {
				_, err := k.private.Sign(context.Background(), &kmip.SignRequest{CryptographicParameters: p, Data: data})
				require.Equal(t, kmip.ResultReasonUnsupportedCryptographicParameters, kmip.ReasonOf(err), name)
				continue
			}
			s := sign(t, k.private, p, data, nil)
			require.Equal(t, valid, verify(t, k.public, p, data, nil, s), "%s %v", name, hash)
			require.Equal(t, notValid, verify(t, k.public, p, []byte("other"), nil, s))
			sum := digests[hash].New()
			sum.Write(data)
			require.Equal(t, valid, verify(t, k.public, p, nil, sum.Sum(nil), s), "%s %v", name, hash)
		}
		if hash == kmip.HashingAlgorithmSHA1 {
			continue
		}
		most := int32(256 - digests[hash].Size() - 2)
		for _, salt := range []int32{1, 20, int32(digests[hash].Size()), most} {
			p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: hash, SaltLength: &salt}
			s := sign(t, rsa.private, p, data, nil)
			require.Equal(t, valid, verify(t, rsa.public, p, data, nil, s), "%v %d", hash, salt)
			open := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: hash}
			require.Equal(t, valid, verify(t, rsa.public, open, data, nil, s), "any salt where none is named")
			open.SaltLength = new32(salt + 1)
			require.Equal(t, notValid, verify(t, rsa.public, open, data, nil, s), "%v %d", hash, salt)
		}
	}
}

// The parameters of asymmetric keys come from the request, else from the object, else from the server.
func TestAsymmetricParametersSources(t *testing.T) {
	type p = kmip.CryptographicParameters
	made := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	oaep := p{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA3_256}
	pss := p{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA512}
	own := kmip.Attributes(nil).Plus(ttlv.TagCryptographicParameters, oaep).Plus(ttlv.TagCryptographicParameters, pss)
	var k pair
	var err error
	k.private, err = Open(made.privateValue, own, nil)
	require.NoError(t, err)
	k.public, err = Open(made.publicValue, own, nil)
	require.NoError(t, err)
	ctx, data := context.Background(), []byte("data")

	e, err := k.public.Encrypt(ctx, &kmip.EncryptRequest{Data: data})
	require.NoError(t, err)
	d, err := made.private.Decrypt(ctx, &kmip.DecryptRequest{Data: e.Data, CryptographicParameters: &oaep})
	require.NoError(t, err, "the object's")
	require.Equal(t, data, d.Data)
	_, err = made.private.Decrypt(ctx, &kmip.DecryptRequest{Data: e.Data})
	require.Equal(t, errDecryption, err, "the server's own is SHA-256")
	e, err = made.public.Encrypt(ctx, &kmip.EncryptRequest{Data: data})
	require.NoError(t, err)
	d, err = k.private.Decrypt(ctx, &kmip.DecryptRequest{Data: e.Data, CryptographicParameters: &p{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256}})
	require.NoError(t, err, "the request's")
	require.Equal(t, data, d.Data)

	s := sign(t, k.private, nil, data, nil)
	require.Equal(t, valid, verify(t, made.public, &pss, data, nil, s), "the object's")
	require.Equal(t, notValid, verify(t, made.public, nil, data, nil, s), "the server's own is PKCS #1 v1.5 with SHA-256")
	v15 := &p{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: kmip.HashingAlgorithmSHA256}
	require.Equal(t, valid, verify(t, made.public, v15, data, nil, sign(t, made.private, nil, data, nil)))
	require.Equal(t, valid, verify(t, made.public, v15, data, nil, sign(t, k.private, v15, data, nil)), "the request's")
}
