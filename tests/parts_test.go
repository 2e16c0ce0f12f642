package tests

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// TestParts shows that parts are together what one request gives, and go there and back, with a key in a token as with one in the
// database.
func TestParts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	data := bytes.Repeat([]byte("a piece of what is encrypted "), 5000)
	for _, uid := range []string{"hsm::4::k", "k"} {
		create(t, c, aes(uid))
		for _, p := range []kmip.CryptographicParameters{
			{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5},
			{BlockCipherMode: kmip.BlockCipherModeCTR},
		} {
			iv := append(bytes.Repeat([]byte{1}, 14), 0xFF, 0xFF)
			whole, err := client.Do[kmip.EncryptResponse](t.Context(), c, kmip.OperationEncrypt, &kmip.EncryptRequest{
				UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: &p, IVCounterNonce: iv, Data: data})
			require.NoError(t, err)
			var sealed, opened, correlation []byte
			inPieces(data, func(piece []byte, init, final *bool) {
				r, err := client.Do[kmip.EncryptResponse](t.Context(), c, kmip.OperationEncrypt, &kmip.EncryptRequest{
					UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: &p, IVCounterNonce: iv, Data: piece,
					InitIndicator: init, FinalIndicator: final, CorrelationValue: correlation})
				require.NoError(t, err)
				sealed, correlation = append(sealed, r.Data...), r.CorrelationValue
			})
			require.True(t, bytes.Equal(whole.Data, sealed), "%s %v", uid, p.BlockCipherMode)
			inPieces(sealed, func(piece []byte, init, final *bool) {
				r, err := client.Do[kmip.DecryptResponse](t.Context(), c, kmip.OperationDecrypt, &kmip.DecryptRequest{
					UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: &p, IVCounterNonce: iv, Data: piece,
					InitIndicator: init, FinalIndicator: final, CorrelationValue: correlation})
				require.NoError(t, err)
				opened, correlation = append(opened, r.Data...), r.CorrelationValue
			})
			require.True(t, bytes.Equal(data, opened), "%s %v", uid, p.BlockCipherMode)
		}
	}
}

// inPieces gives f data in pieces of 10,007 bytes.
func inPieces(data []byte, f func(piece []byte, init, final *bool)) {
	yes := true
	init := &yes
	for {
		n := min(10_007, len(data))
		piece := data[:n]
		data = data[n:]
		if len(data) == 0 {
			f(piece, init, &yes)
			return
		}
		f(piece, init, nil)
		init = nil
	}
}
