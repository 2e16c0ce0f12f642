package soft

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// One opened key serves many goroutines; the race detector watches.
func TestOpenedConcurrently(t *testing.T) {
	ctx := context.Background()
	aes := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	poly := openKey(t, kmip.CryptographicAlgorithmChaCha20Poly1305, aes256)
	hmac := openKey(t, kmip.CryptographicAlgorithmHMACSHA256, aes256)
	rsa := newPair(t, describe(kmip.CryptographicAlgorithmRSA, 2048))
	ec := newPair(t, describe(kmip.CryptographicAlgorithmEC, 256))
	ed := newPair(t, describe(kmip.CryptographicAlgorithmEd25519, 0))
	use := func(t *testing.T) {
		t.Parallel()
		for range 5 {
			for _, k := range []kmip.Key{aes, poly} {
				e, err := k.Encrypt(ctx, &kmip.EncryptRequest{Data: []byte("secret")})
				require.NoError(t, err)
				d, err := k.Decrypt(ctx, &kmip.DecryptRequest{Data: e.Data, IVCounterNonce: e.IVCounterNonce, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag})
				require.NoError(t, err)
				require.Equal(t, "secret", string(d.Data))
			}
			for _, p := range []pair{rsa, ec, ed} {
				require.Equal(t, valid, verify(t, p.public, nil, []byte("x"), nil, sign(t, p.private, nil, []byte("x"), nil)))
			}
			require.NotEmpty(t, mac(t, hmac, nil, []byte("x")))
			wrapped, err := aes.Wrap(ctx, nil, make([]byte, 32))
			require.NoError(t, err)
			_, err = aes.Unwrap(ctx, nil, wrapped)
			require.NoError(t, err)
		}
	}
	for _, name := range []string{"one", "two", "three", "four"} {
		t.Run(name, use)
	}
}

// An opened key keeps nothing of the value, which its owner clears; and Close clears what the key copied.
func TestOpenCopies(t *testing.T) {
	for _, algorithm := range []kmip.CryptographicAlgorithm{kmip.CryptographicAlgorithmAES, kmip.CryptographicAlgorithmHMACSHA256, kmip.CryptographicAlgorithmChaCha20} {
		v := symmetricValue(algorithm, unhex(t, aes256))
		k, err := Open(v, nil, nil)
		require.NoError(t, err)
		clear(v.SymmetricKey.KeyBlock.KeyValue.Material)
		own := map[bool]func() []byte{
			algorithm == kmip.CryptographicAlgorithmAES:        func() []byte { return k.(*blockKey).key },
			algorithm == kmip.CryptographicAlgorithmHMACSHA256: func() []byte { return k.(*macKey).key },
			algorithm == kmip.CryptographicAlgorithmChaCha20:   func() []byte { return k.(*chachaKey).key },
		}[true]()
		require.Equal(t, unhex(t, aes256), own)
		k.Close()
		require.Equal(t, make([]byte, 32), own)
	}
	values, err := rsa2048()
	require.NoError(t, err)
	k, err := Open(values.private, nil, nil)
	require.NoError(t, err)
	private := k.(*rsaPrivate).private
	k.Close()
	for _, word := range private.D.Bits() {
		require.Zero(t, word)
	}
	again, err := Open(values.private, nil, nil)
	require.NoError(t, err, "the value was not changed")
	again.Close()
}
