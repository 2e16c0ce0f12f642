package hsm

import (
	"crypto/rand"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// counted counts the random bytes that it gives.
type counted struct{ bytes atomic.Int64 }

func (c *counted) Read(b []byte) (int, error) {
	c.bytes.Add(int64(len(b)))
	return rand.Read(b)
}

// TestRandomOfSlot: the IVs, seeds and nonces that are made here for keys in a token come from where its slot says.
func TestRandomOfSlot(t *testing.T) {
	newToken(t, label(t))
	from := new(counted)
	h := openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN), Random: from})
	ctx := t.Context()
	takes := func(what string, least int64, act func() error) {
		t.Helper()
		before := from.bytes.Load()
		require.NoError(t, act(), what)
		require.GreaterOrEqual(t, from.bytes.Load()-before, least, what)
	}
	key := aesKeyOf(t, h, "aes").Key
	for mode, size := range map[kmip.BlockCipherMode]int64{kmip.BlockCipherModeGCM: 12, kmip.BlockCipherModeCBC: 16, kmip.BlockCipherModeCTR: 16} {
		takes(mode.String(), size, func() error {
			_, err := key.Encrypt(ctx, &kmip.EncryptRequest{CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: mode}, Data: make([]byte, 16)})
			return err
		})
	}
	takes("Wrap", 12, func() error {
		_, err := key.Wrap(ctx, &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}, make([]byte, 32))
		return err
	})
	_, public := benchPairOf(t, h)
	takes("OAEP", 32, func() error {
		_, err := public.Key.Encrypt(ctx, &kmip.EncryptRequest{Data: make([]byte, 16)})
		return err
	})
	makeSealKey(t, h, "root", "aes")
	g := guardOf(t, h, GuardName{Label: "root"})
	takes("the root key's protector", 12, func() error { _, err := g.Wrap(ctx, make([]byte, 32), nil); return err })

	before := from.bytes.Load()
	_, err := key.Encrypt(ctx, &kmip.EncryptRequest{IVCounterNonce: make([]byte, 12), Data: make([]byte, 16)})
	require.NoError(t, err)
	require.Equal(t, before, from.bytes.Load(), "the client's own IV")
}
