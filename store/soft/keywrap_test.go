package soft

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func aesBlock(t testing.TB, key string) cipher.Block {
	t.Helper()
	b, err := aes.NewCipher(unhex(t, key))
	require.NoError(t, err)
	return b
}

// The vectors of RFC 3394 §4.
func TestWrapRFC3394(t *testing.T) {
	const (
		kek128 = "000102030405060708090A0B0C0D0E0F"
		kek192 = kek128 + "1011121314151617"
		kek256 = kek192 + "18191A1B1C1D1E1F"
	)
	for name, v := range map[string]struct{ kek, plain, wrapped string }{
		"4.1": {kek128, "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		"4.2": {kek192, "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"},
		"4.3": {kek256, "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		"4.4": {kek192, "00112233445566778899AABBCCDDEEFF0001020304050607", "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
		"4.5": {kek256, "00112233445566778899AABBCCDDEEFF0001020304050607", "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		"4.6": {kek256, "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		t.Run(name, func(t *testing.T) {
			kek, plain := aesBlock(t, v.kek), unhex(t, v.plain)
			wrapped, err := Wrap(kek, plain)
			require.NoError(t, err)
			require.Equal(t, unhex(t, v.wrapped), wrapped)
			back, err := Unwrap(kek, wrapped)
			require.NoError(t, err)
			require.Equal(t, plain, back)
		})
	}
}

// The vectors of RFC 5649 §6.
func TestWrapPadRFC5649(t *testing.T) {
	kek := aesBlock(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for plain, want := range map[string]string{
		"c37b7e6492584340bed12207808941155068f738": "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf5419200f2ccb50bb24f",
	} {
		wrapped, err := WrapPad(kek, unhex(t, plain))
		require.NoError(t, err)
		require.Equal(t, unhex(t, want), wrapped)
		back, err := UnwrapPad(kek, wrapped)
		require.NoError(t, err)
		require.Equal(t, unhex(t, plain), back)
	}
}

func TestWrapPadTakesEveryLength(t *testing.T) {
	kek := aesBlock(t, "000102030405060708090A0B0C0D0E0F")
	for n := 1; n <= 70; n++ {
		plain := make([]byte, n)
		rand.Read(plain)
		wrapped, err := WrapPad(kek, plain)
		require.NoError(t, err)
		require.Len(t, wrapped, 8+(n+7)/8*8)
		back, err := UnwrapPad(kek, wrapped)
		require.NoError(t, err)
		require.Equal(t, plain, back)
	}
}

func TestUnwrapRefusesChanged(t *testing.T) {
	kek := aesBlock(t, "000102030405060708090A0B0C0D0E0F")
	for _, n := range []int{16, 24, 40} {
		plain := bytes.Repeat([]byte{7}, n)
		wrapped, err := Wrap(kek, plain)
		require.NoError(t, err)
		padded, err := WrapPad(kek, plain[:n-3])
		require.NoError(t, err)
		for i := range wrapped {
			wrapped[i] ^= 0x10
			_, err := Unwrap(kek, wrapped)
			require.Equal(t, errDecryption, err)
			wrapped[i] ^= 0x10
		}
		for i := range padded {
			padded[i] ^= 0x01
			_, err := UnwrapPad(kek, padded)
			require.Equal(t, errDecryption, err)
			padded[i] ^= 0x01
		}
		_, err = UnwrapPad(kek, wrapped) // the other check value
		require.Equal(t, errDecryption, err)
		_, err = Unwrap(kek, padded)
		require.Equal(t, errDecryption, err)
	}
}

// Frames are well wrapped, but not by the rules: the length is wrong or the padding is not zero.
func TestUnwrapPadRefusesBadFrames(t *testing.T) {
	kek := aesBlock(t, "000102030405060708090A0B0C0D0E0F")
	for name, v := range map[string]struct {
		check uint64
		plain string
	}{
		"length 0":               {alternate, "0000000000000000"},
		"length of two blocks":   {alternate | 9, "0000000000000000"},
		"length huge":            {alternate | 0xFFFFFFFF, "0000000000000000"},
		"padding not zero":       {alternate | 7, "0000000000000001"},
		"first pad not zero":     {alternate | 1, "0001000000000000"},
		"check of RFC 3394":      {initial, "0000000000000000"},
		"one block too many":     {alternate | 8, "00000000000000000000000000000000"},
		"padding in long frame":  {alternate | 12, "00000000000000000000000000800000"},
		"length beyond the long": {alternate | 17, "00000000000000000000000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			plain := unhex(t, v.plain)
			buf := append(make([]byte, 8), plain...)
			if len(plain) == 8 {
				for i := range 8 {
					buf[i] = byte(v.check >> (56 - 8*i))
				}
				kek.Encrypt(buf, buf)
			} else {
				forward(kek, buf, v.check)
			}
			_, err := UnwrapPad(kek, buf)
			require.Equal(t, errDecryption, err)
		})
	}
}

func TestWrapRefusesLengths(t *testing.T) {
	kek := aesBlock(t, "000102030405060708090A0B0C0D0E0F")
	for _, n := range []int{0, 7, 8, 15, 17, 31} {
		_, err := Wrap(kek, make([]byte, n))
		require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), n)
	}
	_, err := WrapPad(kek, nil)
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
	for _, n := range []int{0, 8, 15, 16, 23, 25} {
		_, err := Unwrap(kek, make([]byte, n))
		require.Equal(t, errDecryption, err)
	}
	for _, n := range []int{0, 8, 15, 17, 23} {
		_, err := UnwrapPad(kek, make([]byte, n))
		require.Equal(t, errDecryption, err)
	}
}

// A wrapped key is opened as the reference does it, and what opens wraps to the same bytes.
func FuzzUnwrapPad(f *testing.F) {
	kek := aesBlock(f, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	f.Add(unhex(f, "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"), true)
	f.Add(unhex(f, "afbeb0f07dfbf5419200f2ccb50bb24f"), true)
	f.Add([]byte("any plaintext"), false)
	f.Fuzz(func(t *testing.T, data []byte, wrapped bool) {
		if !wrapped {
			out, err := WrapPad(kek, data)
			if len(data) == 0 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			data = out
		}
		plain, err := UnwrapPad(kek, data)
		if err != nil {
			require.True(t, wrapped)
			require.Equal(t, errDecryption, err)
			return
		}
		again, err := WrapPad(kek, plain)
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}
