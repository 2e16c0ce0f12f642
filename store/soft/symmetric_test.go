package soft

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// The lengths that each algorithm has, and beside them some that it has not. Two keys are never the same.
func TestGenerateLengths(t *testing.T) {
	for algorithm, v := range map[kmip.CryptographicAlgorithm]struct{ has, lacks []int32 }{
		kmip.CryptographicAlgorithmAES:              {[]int32{128, 192, 256, 512}, []int32{64, 248, 384, 1024, -128}},
		kmip.CryptographicAlgorithmDES:              {[]int32{56, 64}, []int32{48, 112, 128}},
		kmip.CryptographicAlgorithmDES3:             {[]int32{112, 128, 168, 192}, []int32{56, 64, 256}},
		kmip.CryptographicAlgorithmBlowfish:         {[]int32{32, 40, 128, 448}, []int32{24, 33, 456}},
		kmip.CryptographicAlgorithmCamellia:         {[]int32{128, 192, 256}, []int32{64, 160, 512}},
		kmip.CryptographicAlgorithmCAST5:            {[]int32{40, 64, 80, 128}, []int32{32, 44, 136}},
		kmip.CryptographicAlgorithmIDEA:             {[]int32{128}, []int32{64, 256}},
		kmip.CryptographicAlgorithmMARS:             {[]int32{128, 160, 448}, []int32{96, 136, 480}},
		kmip.CryptographicAlgorithmRC2:              {[]int32{8, 40, 128, 1024}, []int32{4, 1032}},
		kmip.CryptographicAlgorithmRC4:              {[]int32{8, 40, 128, 2048}, []int32{12, 2056}},
		kmip.CryptographicAlgorithmRC5:              {[]int32{8, 128, 2040}, []int32{12, 2048}},
		kmip.CryptographicAlgorithmSKIPJACK:         {[]int32{80}, []int32{64, 72, 128}},
		kmip.CryptographicAlgorithmTwofish:          {[]int32{128, 192, 256}, []int32{64, 200, 512}},
		kmip.CryptographicAlgorithmARIA:             {[]int32{128, 192, 256}, []int32{64, 512}},
		kmip.CryptographicAlgorithmSEED:             {[]int32{128}, []int32{192, 256}},
		kmip.CryptographicAlgorithmSM4:              {[]int32{128}, []int32{192, 256}},
		kmip.CryptographicAlgorithmGOST28147_89:     {[]int32{256}, []int32{128, 512}},
		kmip.CryptographicAlgorithmGOSTR34_13_2015:  {[]int32{256}, []int32{128, 512}},
		kmip.CryptographicAlgorithmChaCha20:         {[]int32{256}, []int32{128, 512}},
		kmip.CryptographicAlgorithmChaCha20Poly1305: {[]int32{256}, []int32{128, 512}},
		kmip.CryptographicAlgorithmPoly1305:         {[]int32{256}, []int32{128, 512}},
		kmip.CryptographicAlgorithmHMACMD5:          {[]int32{112, 128, 512}, []int32{104, 129, 1 << 30}},
		kmip.CryptographicAlgorithmOneTimePad:       {[]int32{8, 128, 65536}, []int32{0, 7, 65544}},
		kmip.CryptographicAlgorithmSHA3_256:         {nil, []int32{0, 256}}, // a hash has no keys
		kmip.CryptographicAlgorithmRSA:              {nil, []int32{0, 2048}},
	} {
		for _, length := range v.has {
			t.Run(fmt.Sprintf("%v-%d", algorithm, length), func(t *testing.T) {
				one, err := Generate(describe(algorithm, length), nil)
				require.NoError(t, err)
				require.NoError(t, Check(kmip.ObjectTypeSymmetricKey, one))
				key := one.SymmetricKey.KeyBlock.KeyValue.Material
				require.Len(t, key, symmetric[algorithm].size(length))
				require.Equal(t, length, one.SymmetricKey.KeyBlock.CryptographicLength)
				if length >= 64 {
					two, err := Generate(describe(algorithm, length), nil)
					require.NoError(t, err)
					require.NotEqual(t, key, two.SymmetricKey.KeyBlock.KeyValue.Material)
				}
			})
		}
		for _, length := range v.lacks {
			t.Run(fmt.Sprintf("%v-%d", algorithm, length), func(t *testing.T) {
				_, err := Generate(describe(algorithm, length), nil)
				require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "%v", err)
			})
		}
	}
}

// A key that comes from outside has one of its algorithm's lengths as well.
func TestCheckLengths(t *testing.T) {
	for algorithm, size := range map[kmip.CryptographicAlgorithm]int{
		kmip.CryptographicAlgorithmSKIPJACK: 10, kmip.CryptographicAlgorithmCAST5: 5, kmip.CryptographicAlgorithmBlowfish: 56,
		kmip.CryptographicAlgorithmSEED: 16, kmip.CryptographicAlgorithmRC4: 1, kmip.CryptographicAlgorithmOneTimePad: 3,
	} {
		v := symmetricValue(algorithm, make([]byte, size))
		require.NoError(t, Check(kmip.ObjectTypeSymmetricKey, v), algorithm)
	}
	for algorithm, size := range map[kmip.CryptographicAlgorithm]int{
		kmip.CryptographicAlgorithmSKIPJACK: 16, kmip.CryptographicAlgorithmCAST5: 4, kmip.CryptographicAlgorithmBlowfish: 57,
		kmip.CryptographicAlgorithmSEED: 32, kmip.CryptographicAlgorithmRC4: 257, kmip.CryptographicAlgorithmPoly1305: 16,
	} {
		err := Check(kmip.ObjectTypeSymmetricKey, symmetricValue(algorithm, make([]byte, size)))
		require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "%v: %v", algorithm, err)
	}
}

// A key that nothing here computes with is kept, and says its algorithm when it is asked to.
func TestKeptKeys(t *testing.T) {
	ctx := context.Background()
	for algorithm, size := range map[kmip.CryptographicAlgorithm]int{
		kmip.CryptographicAlgorithmSKIPJACK: 10, kmip.CryptographicAlgorithmDES: 8, kmip.CryptographicAlgorithmCamellia: 32,
		kmip.CryptographicAlgorithmIDEA: 16, kmip.CryptographicAlgorithmRC4: 16, kmip.CryptographicAlgorithmHMACMD5: 16,
	} {
		k, err := Open(symmetricValue(algorithm, make([]byte, size)), nil, nil)
		require.NoError(t, err)
		for what, f := range map[string]func() error{
			"encrypt": func() error { _, err := k.Encrypt(ctx, &kmip.EncryptRequest{}); return err },
			"decrypt": func() error { _, err := k.Decrypt(ctx, &kmip.DecryptRequest{}); return err },
			"MAC":     func() error { _, err := k.MAC(ctx, &kmip.MACRequest{}); return err },
			"wrap":    func() error { _, err := k.Wrap(ctx, nil, nil); return err },
		} {
			err := f()
			require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
			require.ErrorContains(t, err, algorithm.String())
			require.ErrorContains(t, err, what)
		}
		k.Close()
	}
}
