package soft

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// The three sources of Cryptographic Parameters, in every mode that has a default: the request's come first, then the object's, then
// the server's own.
func TestParametersSources(t *testing.T) {
	type p = kmip.CryptographicParameters
	iv, data := make([]byte, 16), make([]byte, 32)
	length := func(t *testing.T, k kmip.Key, request *p) (sealed, iv, tag int) {
		t.Helper()
		e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: request, Data: data[:20]})
		require.NoError(t, err)
		d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: request, Data: e.Data,
			IVCounterNonce: e.IVCounterNonce, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag})
		require.NoError(t, err)
		require.Equal(t, data[:20], d.Data)
		return len(e.Data), len(e.IVCounterNonce), len(e.AuthenticatedEncryptionTag)
	}
	cbc := p{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodISO10126}
	ccm := p{BlockCipherMode: kmip.BlockCipherModeCCM, TagLength: new32(8), IVLength: new32(104)}
	for name, v := range map[string]struct {
		algorithm       kmip.CryptographicAlgorithm
		own             []p
		request         *p
		sealed, iv, tag int
	}{
		"AES, default":                     {kmip.CryptographicAlgorithmAES, nil, nil, 20, 12, 16},
		"AES, the object's":                {kmip.CryptographicAlgorithmAES, []p{cbc}, nil, 32, 16, 0},
		"AES, the object's, of two":        {kmip.CryptographicAlgorithmAES, []p{{BlockCipherMode: kmip.BlockCipherModeCMAC}, ccm}, nil, 20, 13, 8},
		"AES, the request's":               {kmip.CryptographicAlgorithmAES, []p{cbc}, &ccm, 20, 13, 8},
		"AES, the request has no mode":     {kmip.CryptographicAlgorithmAES, []p{ccm}, &p{TagLength: new32(16)}, 20, 13, 16},
		"AES, the request has the mode":    {kmip.CryptographicAlgorithmAES, []p{ccm}, &p{BlockCipherMode: kmip.BlockCipherModeCCM}, 20, 12, 16},
		"ChaCha20-Poly1305, default":       {kmip.CryptographicAlgorithmChaCha20Poly1305, nil, nil, 20, 12, 16},
		"ChaCha20-Poly1305, the object's":  {kmip.CryptographicAlgorithmChaCha20Poly1305, []p{{TagLength: new32(12)}}, nil, 20, 12, 12},
		"ChaCha20-Poly1305, the request's": {kmip.CryptographicAlgorithmChaCha20Poly1305, []p{{TagLength: new32(12)}}, &p{BlockCipherMode: kmip.BlockCipherModeAEAD, TagLength: new32(14)}, 20, 12, 14},
		"ChaCha20, default":                {kmip.CryptographicAlgorithmChaCha20, nil, nil, 20, 12, 0},
		"3DES, the object's":               {kmip.CryptographicAlgorithmDES3, []p{cbc}, nil, 24, 8, 0},
		"3DES, the request's":              {kmip.CryptographicAlgorithmDES3, []p{cbc}, &p{BlockCipherMode: kmip.BlockCipherModeOFB}, 20, 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			key := aes256
			if v.algorithm == kmip.CryptographicAlgorithmDES3 {
				key = aes192
			}
			sealed, iv, tag := length(t, openKey(t, v.algorithm, key, v.own...), v.request)
			require.Equal(t, []int{v.sealed, v.iv, v.tag}, []int{sealed, iv, tag})
		})
	}

	// The object says how the counter goes on; the request brings the nonce.
	rfc3686 := p{BlockCipherMode: kmip.BlockCipherModeCTR, CounterLength: new32(32), InitialCounterValue: new32(1)}
	k := openKey(t, kmip.CryptographicAlgorithmAES, "ae6852f8121067cc4bf7a5765577f39e", rfc3686)
	e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{Data: []byte("Single block msg"), IVCounterNonce: append([]byte{0, 0, 0, 0x30}, iv[:8]...)})
	require.NoError(t, err)
	require.Equal(t, unhex(t, "e4095d4fb7a7b3792d6175a3261311b8"), e.Data)
}

// IVs that are made here: of the length that IV Length says, and never twice.
func TestMadeIVs(t *testing.T) {
	type p = kmip.CryptographicParameters
	yes := true
	for name, v := range map[string]struct {
		p     p
		size  int
		fixed int // bytes
	}{
		"GCM, 128 bits":           {p{BlockCipherMode: kmip.BlockCipherModeGCM, IVLength: new32(128), RandomIV: &yes}, 16, 0},
		"GCM, fields":             {p{BlockCipherMode: kmip.BlockCipherModeGCM, FixedFieldLength: new32(32), InvocationFieldLength: new32(64)}, 12, 4},
		"GCM, a fixed field":      {p{BlockCipherMode: kmip.BlockCipherModeGCM, FixedFieldLength: new32(64), IVLength: new32(96)}, 12, 8},
		"GCM, an invocation one":  {p{BlockCipherMode: kmip.BlockCipherModeGCM, InvocationFieldLength: new32(32)}, 12, 8},
		"CCM, fields of 13 bytes": {p{BlockCipherMode: kmip.BlockCipherModeCCM, IVLength: new32(104), FixedFieldLength: new32(40), InvocationFieldLength: new32(64)}, 13, 5},
		"CTR, RFC 3686":           {p{BlockCipherMode: kmip.BlockCipherModeCTR, IVLength: new32(96), FixedFieldLength: new32(32), InvocationFieldLength: new32(64), CounterLength: new32(32), InitialCounterValue: new32(1)}, 12, 4},
		"CTR, a whole block":      {p{BlockCipherMode: kmip.BlockCipherModeCTR, FixedFieldLength: new32(32), InvocationFieldLength: new32(64), CounterLength: new32(32)}, 16, 4},
		"CTR, no fields":          {p{BlockCipherMode: kmip.BlockCipherModeCTR, CounterLength: new32(64), InitialCounterValue: new32(7)}, 16, 0},
		"CTR, all counter":        {p{BlockCipherMode: kmip.BlockCipherModeCTR}, 16, 0},
		"CFB":                     {p{BlockCipherMode: kmip.BlockCipherModeCFB}, 16, 0},
		"OFB":                     {p{BlockCipherMode: kmip.BlockCipherModeOFB, IVLength: new32(128)}, 16, 0},
		"XTS":                     {p{BlockCipherMode: kmip.BlockCipherModeXTS, RandomIV: &yes}, 16, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
			other := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
			data := make([]byte, 40)
			seen := map[string]bool{}
			var last []byte
			for range 300 {
				e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &v.p, Data: data})
				require.NoError(t, err)
				require.Len(t, e.IVCounterNonce, v.size)
				require.False(t, seen[string(e.IVCounterNonce)])
				seen[string(e.IVCounterNonce)] = true
				d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: &v.p, Data: e.Data,
					IVCounterNonce: e.IVCounterNonce, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag})
				require.NoError(t, err)
				require.Equal(t, data, d.Data)
				if last != nil && v.fixed > 0 {
					require.Equal(t, last[:v.fixed], e.IVCounterNonce[:v.fixed], "the fixed field")
					next := clone(last)
					end := len(next)
					if v.p.BlockCipherMode == kmip.BlockCipherModeCTR && v.size == 16 {
						end = 12
					}
					increment(next[v.fixed:end])
					require.Equal(t, next, e.IVCounterNonce, "the invocation field counts")
				}
				last = e.IVCounterNonce
			}
			e, err := other.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &v.p, Data: data})
			require.NoError(t, err)
			require.False(t, seen[string(e.IVCounterNonce)], "a key that is opened again begins anew")
			if v.fixed > 0 {
				require.NotEqual(t, last[:v.fixed], e.IVCounterNonce[:v.fixed])
			}
		})
	}
}

// However requests divide the IV, and however many come at once, none is made twice.
func TestMadeIVsDivided(t *testing.T) {
	k := openKey(t, kmip.CryptographicAlgorithmAES, aes256)
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 250 {
				p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, InvocationFieldLength: new32(int32(32 + 8*((i+j)%9)))}
				e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[string(e.IVCounterNonce)] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Len(t, seen, 1000)

	// An invocation field that is full goes on with 0.
	b := []byte{0xFF, 0xFF, 0xFE}
	increment(b[1:])
	require.Equal(t, []byte{0xFF, 0xFF, 0xFF}, b)
	increment(b[1:])
	require.Equal(t, []byte{0xFF, 0, 0}, b)
}

// Each padding gives back what was padded, at every length; Zeros gives back no zeros at the end.
func TestPaddings(t *testing.T) {
	methods := []kmip.PaddingMethod{0, kmip.PaddingMethodNone}
	for m := range paddings {
		methods = append(methods, m)
	}
	for _, method := range methods {
		for _, algorithm := range []kmip.CryptographicAlgorithm{kmip.CryptographicAlgorithmAES, kmip.CryptographicAlgorithmDES3} {
			for _, mode := range []kmip.BlockCipherMode{kmip.BlockCipherModeECB, kmip.BlockCipherModeCBC} {
				requirePadding(t, openKey(t, algorithm, aes192), &kmip.CryptographicParameters{BlockCipherMode: mode, PaddingMethod: method})
			}
		}
	}
}

func requirePadding(t *testing.T, k kmip.Key, p *kmip.CryptographicParameters) {
	t.Helper()
	size := 16
	if k.(*blockKey).name != "AES" {
		size = 8
	}
	for n := range 3*size + 1 {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i + 1)
		}
		e, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: p, Data: data})
		if p.PaddingMethod <= kmip.PaddingMethodNone && n%size != 0 {
			require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
			continue
		}
		require.NoError(t, err)
		want := n / size * size
		if n%size != 0 || paddings[p.PaddingMethod].fill != nil && p.PaddingMethod != kmip.PaddingMethodZeros {
			want += size
		}
		require.Len(t, e.Data, want)
		d, err := k.Decrypt(context.Background(), &kmip.DecryptRequest{CryptographicParameters: p, Data: e.Data, IVCounterNonce: e.IVCounterNonce})
		require.NoError(t, err)
		require.Equal(t, data, d.Data)
	}
}
