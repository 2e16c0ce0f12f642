package server

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// pieces encrypts or decrypts data in parts of the sizes, over and over; each answer is as long as it can be by then.
func pieces(t *testing.T, c *client.Client, decrypting bool, p *kmip.CryptographicParameters, iv, data []byte, sizes []int) (out, made []byte) {
	t.Helper()
	yes := true
	var correlation []byte
	given := 0
	for i := 0; ; i++ {
		n := min(sizes[i%len(sizes)], len(data))
		var init, final *bool
		if i == 0 {
			init = &yes
		}
		if n == len(data) {
			final = &yes
		}
		given += n
		var piece []byte
		if decrypting {
			r := must[kmip.DecryptResponse](t, c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: "k", Data: data[:n],
				CorrelationValue: correlation, InitIndicator: init, FinalIndicator: final, CryptographicParameters: p, IVCounterNonce: iv})
			piece, correlation = r.Data, r.CorrelationValue
		} else {
			r := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k", Data: data[:n],
				CorrelationValue: correlation, InitIndicator: init, FinalIndicator: final, CryptographicParameters: p, IVCounterNonce: iv})
			piece, correlation = r.Data, r.CorrelationValue
			if i == 0 {
				made = r.IVCounterNonce
			} else {
				require.Empty(t, r.IVCounterNonce, "the IV comes with the first answer")
			}
		}
		out, data = append(out, piece...), data[n:]
		if final != nil {
			require.Empty(t, correlation)
			return out, made
		}
		require.Less(t, given-len(out), 17, "what is answered by then")
	}
}

// Parts of a mode that goes on from where it stands are answered as they come, and are together what one request would give.
func TestChains(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, rawKey("k"))
	data := make([]byte, 333)
	for i := range data {
		data[i] = byte(i*7 + 1)
	}
	iv := bytes.Repeat([]byte{0xFF}, 16)
	counter := int32(16)
	for _, p := range []kmip.CryptographicParameters{
		{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5},
		{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodZeros},
		{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodNone},
		{BlockCipherMode: kmip.BlockCipherModeCBC},
		{BlockCipherMode: kmip.BlockCipherModeECB, PaddingMethod: kmip.PaddingMethodANSIX9_23},
		{BlockCipherMode: kmip.BlockCipherModeCFB},
		{BlockCipherMode: kmip.BlockCipherModeOFB},
		{BlockCipherMode: kmip.BlockCipherModeCTR},
		{BlockCipherMode: kmip.BlockCipherModeCTR, CounterLength: &counter},
	} {
		for _, n := range []int{0, 1, 16, 32, 320, 333} {
			if p.PaddingMethod <= kmip.PaddingMethodNone && n%16 != 0 && p.BlockCipherMode <= kmip.BlockCipherModeECB {
				continue
			}
			iv := iv
			if p.BlockCipherMode == kmip.BlockCipherModeECB {
				iv = nil
			}
			whole := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k",
				CryptographicParameters: &p, IVCounterNonce: iv, Data: data[:n]}).Data
			for _, sizes := range [][]int{{16}, {1, 15, 0, 40, 16}, {333}, {7, 64}} {
				name := fmt.Sprint(p.BlockCipherMode, p.PaddingMethod, n, sizes)
				sealed, _ := pieces(t, c, false, &p, iv, data[:n], sizes)
				require.True(t, bytes.Equal(whole, sealed), name)
				opened, _ := pieces(t, c, true, &p, iv, whole, sizes)
				require.True(t, bytes.Equal(data[:n], opened), name)
				if p.BlockCipherMode == kmip.BlockCipherModeECB || n == 0 {
					continue
				}
				random := p
				random.RandomIV = new(true)
				sealed, made := pieces(t, c, false, &random, nil, data[:n], sizes)
				if len(made) == 0 { // it was one part
					continue
				}
				opened, _ = pieces(t, c, true, &random, made, sealed, sizes)
				require.True(t, bytes.Equal(data[:n], opened), name)
			}
		}
	}
}

// A chain keeps nothing but the rest of a block, so that it may be longer than what is collected.
func TestChainIsLong(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, rawKey("k"))
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}
	data := bytes.Repeat([]byte("sixteen bytes, 5"), 3*mostCollected/16)
	sealed, _ := pieces(t, c, false, p, make([]byte, 16), data, []int{100_003})
	require.Len(t, sealed, len(data)+16)
	opened, _ := pieces(t, c, true, p, make([]byte, 16), sealed, []int{200_001})
	require.True(t, bytes.Equal(data, opened))
}

// What the last part shows to be wrong, or a counter that would begin again, ends a chain.
func TestChainRefuses(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, rawKey("k"))
	yes := true
	part := func(p *kmip.CryptographicParameters, n int) *kmip.EncryptRequest {
		return &kmip.EncryptRequest{UniqueIdentifier: "k", CryptographicParameters: p, IVCounterNonce: make([]byte, 16), Data: make([]byte, n), InitIndicator: &yes}
	}
	next := func(q *kmip.EncryptRequest, correlation []byte, final bool) *kmip.EncryptRequest {
		q.InitIndicator, q.CorrelationValue = nil, correlation
		if final {
			q.FinalIndicator = &yes
		}
		return q
	}
	cbc := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC}
	r := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, part(cbc, 17))
	require.Len(t, r.Data, 16)
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationEncrypt, next(part(cbc, 1), r.CorrelationValue, true)), "no whole block and no padding")
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, c, kmip.OperationEncrypt, next(part(cbc, 15), r.CorrelationValue, true)), "it is over")

	ctr := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCTR, CounterLength: new(int32(8))}
	r = must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, part(ctr, 255*16))
	r = must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, next(part(ctr, 16), r.CorrelationValue, false))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationEncrypt, next(part(ctr, 1), r.CorrelationValue, true)))

	// The last block waits for the end, and is refused there: the padding is wrong.
	ecb := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB}
	sealed := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k", CryptographicParameters: ecb, Data: make([]byte, 48)}).Data
	padded := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB, PaddingMethod: kmip.PaddingMethodPKCS5}
	d := must[kmip.DecryptResponse](t, c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: "k", CryptographicParameters: padded, Data: sealed, InitIndicator: &yes})
	require.Len(t, d.Data, 32)
	require.Equal(t, kmip.ResultReasonCryptographicFailure, reason(t, c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: "k", CorrelationValue: d.CorrelationValue, FinalIndicator: &yes}))
}
