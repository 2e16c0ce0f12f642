package hsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// The message of the examples of RFC 4493 §4 and NIST SP 800-38B Appendix D.
var messageCMAC = unhex("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710")

// TestCMAC compares the token's CMAC, and what the self-test compares it with, with published answers.
func TestCMAC(t *testing.T) {
	h := open(t)
	for label, test := range map[string]struct {
		key     []byte
		answers map[int]string // by the bytes of the message
	}{
		"aes128": {unhex("2B7E151628AED2A6ABF7158809CF4F3C"), map[int]string{
			0: "BB1D6929E95937287FA37D129B756746", 16: "070A16B46B4D4144F79BDD9DD04A287C",
			40: "DFA66747DE9AE63030CA32611497C827", 64: "51F0BEBF7E3B9D92FC49741779363CFE",
		}},
		"aes256": {unhex("603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4"), map[int]string{
			0: "028962F61B7BF89EFC6B551F4667D983", 16: "28A7023F452E8F82BD4BF28D8C37C35C",
			40: "AAF3D8F1DE5640C232F5B169B9C911E6", 64: "E1992190549F6ED5696A2C056C315410",
		}},
	} {
		o := aesObject(label, int32(8*len(test.key)))
		o.Attributes = o.Attributes.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskMACGenerate)
		v := kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: test.key},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: int32(8 * len(test.key)),
		}}}
		require.NoError(t, h.Register(t.Context(), o, &v))
		o, err := h.Object(t.Context(), uid(label))
		require.NoError(t, err)
		require.True(t, h.slots[4].conn.Load().proof.cmac)
		for n, want := range test.answers {
			sum, err := expectedCMAC(test.key, messageCMAC[:n])
			require.NoError(t, err)
			require.Equal(t, unhex(want), sum)
			for _, p := range []*kmip.CryptographicParameters{nil, mode(kmip.BlockCipherModeCMAC, 0)} {
				got, err := o.Key.MAC(t.Context(), &kmip.MACRequest{CryptographicParameters: p, Data: messageCMAC[:n]})
				require.NoError(t, err)
				require.Equal(t, unhex(want), got.MACData)
			}
		}
		_, err = o.Key.MAC(t.Context(), &kmip.MACRequest{CryptographicParameters: mode(kmip.BlockCipherModeCBC, 0), Data: messageCMAC})
		require.Equal(t, kmip.ResultReasonUnsupportedCryptographicParameters, kmip.ReasonOf(err))
	}
}
