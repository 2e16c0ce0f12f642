package soft

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

const sunscreen = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."

// The example of RFC 8439 §2.8.2.
func TestChaCha20Poly1305(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmChaCha20Poly1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeAEAD, TagLength: new32(16)}
	iv, additional := unhex(t, "070000004041424344454647"), unhex(t, "50515253c0c1c2c3c4c5c6c7")
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: []byte(sunscreen), IVCounterNonce: iv, AuthenticatedEncryptionAdditionalData: additional})
	require.NoError(t, err)
	require.Equal(t, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"+
		"3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"+
		"92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"+
		"3ff4def08e4b7a9de576d26586cec64b6116", hex.EncodeToString(e.Data))
	require.Equal(t, "1ae10b594f09e26a7e902ecbd0600691", hex.EncodeToString(e.AuthenticatedEncryptionTag))

	for tag := int32(leastTag); tag <= tagSize; tag++ {
		q := *p
		q.TagLength = &tag
		r := kmip.DecryptRequest{CryptographicParameters: &q, Data: e.Data, IVCounterNonce: iv, AuthenticatedEncryptionAdditionalData: additional,
			AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag[:tag]}
		requirePlain(t, k, r, hex.EncodeToString([]byte(sunscreen)))
		requireNoChangeDecrypts(t, k, r)
	}

	e, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte(sunscreen)})
	require.NoError(t, err)
	require.Len(t, e.IVCounterNonce, 12)
	_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{IVCounterNonce: iv[:8]})
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}})
	require.Equal(t, kmip.ResultReasonBadCryptographicParameters, kmip.ReasonOf(err))
}

// Test vector 1 of RFC 8439 Appendix A.1: the key stream of block 0, under the nonce of 12 bytes and of 8.
func TestChaCha20(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmChaCha20, hex.EncodeToString(make([]byte, 32)))
	for _, n := range []int{8, 12} {
		e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: make([]byte, 64), IVCounterNonce: make([]byte, n)})
		require.NoError(t, err)
		require.Equal(t, "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"+
			"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586", hex.EncodeToString(e.Data))
	}
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("secret")})
	require.NoError(t, err)
	requirePlain(t, k, kmip.DecryptRequest{Data: e.Data, IVCounterNonce: e.IVCounterNonce}, hex.EncodeToString([]byte("secret")))

	_, err = k.Decrypt(context.Background(), &kmip.DecryptRequest{Data: e.Data})
	require.Equal(t, kmip.ResultReasonInvalidMessage, kmip.ReasonOf(err), "a missing IV")
	_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{IVCounterNonce: make([]byte, 16)})
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{AuthenticatedEncryptionAdditionalData: []byte("x")})
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	for _, p := range []kmip.CryptographicParameters{{InitialCounterValue: new32(-1)}, {CounterLength: new32(64)}, {IVLength: new32(64)}, {BlockCipherMode: kmip.BlockCipherModeCTR}, {TagLength: new32(16)}} {
		_, err = k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &p})
		require.Equal(t, kmip.ResultReasonBadCryptographicParameters, kmip.ReasonOf(err))
	}
}
