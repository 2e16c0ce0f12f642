package soft

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// slow8 multiplies polynomials over GF(2) as integers and divides by x^8+x^4+x^3+x^2+1.
func slow8(a, b byte) byte {
	var p uint32
	for i := range 8 {
		if b>>i&1 != 0 {
			p ^= uint32(a) << i
		}
	}
	for i := 15; i >= 8; i-- {
		if p>>i&1 != 0 {
			p ^= 0x11d << (i - 8)
		}
	}
	return byte(p)
}

// TestFields checks the arithmetic of both fields: against long division, and by the laws that make a field.
func TestFields(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			require.Equal(t, slow8(byte(a), byte(b)), mul8(byte(a), byte(b)))
		}
		if a > 0 {
			require.Equal(t, byte(1), mul8(byte(a), inverse8(byte(a))))
		}
	}
	for a := 1; a < 1<<16; a++ {
		require.Equal(t, uint16(a), mul16(uint16(a), 1))
		require.Equal(t, uint16(1), mul16(uint16(a), inverse16(uint16(a))), "%04x", a)
	}
	require.Equal(t, uint16(1<<8|m16), mul16(1<<8, 1<<8), "y^2 = y+m")
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		a, b, c := uint16(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32())
		require.Equal(t, mul16(a, b), mul16(b, a))
		require.Equal(t, mul16(a, mul16(b, c)), mul16(mul16(a, b), c))
		require.Equal(t, mul16(a, b)^mul16(a, c), mul16(a, b^c))
	}
}

// TestJoinKnown joins parts that were computed by hand: the line s + cx has at 1 and 2 the values s^c and s^2c.
func TestJoinKnown(t *testing.T) {
	for method, parts := range map[kmip.SplitKeyMethod][][]byte{
		kmip.SplitKeyMethodXOR:                    {{0x12, 0x34}, {0x12 ^ 0xca, 0x34 ^ 0xfe}},
		kmip.SplitKeyMethodPolynomialSharingGF2_8: {{0xca ^ 0x80, 0xfe ^ 0x01}, {0xca ^ 0x1d, 0xfe ^ 0x02}},
		// The second half by the coefficient 8000 in GF(2^16): 2·(80y) = 1dy.
		kmip.SplitKeyMethodPolynomialSharingGF2_16: {{0xca ^ 0x80, 0xfe}, {0xca ^ 0x1d, 0xfe}},
	} {
		s := Sharing{Method: method, Parts: 2, Threshold: 2}
		got, err := s.join([]share{{2, parts[1]}, {1, parts[0]}}, 2)
		require.NoError(t, err)
		require.Equal(t, []byte{0xca, 0xfe}, got, "%v", method)
	}
	prime := Sharing{Method: kmip.SplitKeyMethodPolynomialSharingPrimeField, Parts: 3, Threshold: 2, Prime: big.NewInt(65537)}
	at := func(x int64) share { // 0xcafe + 40000x
		return share{int(x), big.NewInt((0xcafe + 40000*x) % 65537).FillBytes(make([]byte, 3))}
	}
	got, err := prime.join([]share{at(3), at(1), at(2)}, 2)
	require.NoError(t, err)
	require.Equal(t, []byte{0xca, 0xfe}, got)
}

// every lists the subsets of n numbers from 1 that have k members.
func every(n, k int) (subsets [][]int) {
	for mask := range 1 << n {
		var s []int
		for i := range n {
			if mask>>i&1 != 0 {
				s = append(s, i+1)
			}
		}
		if len(s) == k {
			subsets = append(subsets, s)
		}
	}
	return subsets
}

// TestSplit: any parts as many as the threshold make the key, fewer do not, and one that is wrong beyond the threshold shows.
func TestSplit(t *testing.T) {
	key := bytes.Repeat([]byte{0, 0xff, 0x5a, 0x01}, 8)
	key[0] = 0
	for _, s := range []Sharing{
		{Method: kmip.SplitKeyMethodXOR, Parts: 3, Threshold: 3},
		{Method: kmip.SplitKeyMethodPolynomialSharingGF2_8, Parts: 5, Threshold: 3},
		{Method: kmip.SplitKeyMethodPolynomialSharingGF2_16, Parts: 5, Threshold: 2},
		{Method: kmip.SplitKeyMethodPolynomialSharingGF2_16, Parts: 4, Threshold: 4},
		{Method: kmip.SplitKeyMethodPolynomialSharingPrimeField, Parts: 5, Threshold: 3},
		{Method: kmip.SplitKeyMethodPolynomialSharingPrimeField, Parts: 3, Threshold: 2, Prime: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 521), big.NewInt(1))},
	} {
		parts, err := Split(symmetricValue(kmip.CryptographicAlgorithmAES, bytes.Clone(key)), s)
		require.NoError(t, err)
		require.Len(t, parts, s.Parts)
		pick := func(numbers []int) (chosen []*kmip.Value) {
			for _, n := range numbers {
				require.Equal(t, int32(n), parts[n-1].SplitKey.KeyPartIdentifier)
				require.NotEqual(t, key, parts[n-1].SplitKey.KeyBlock.KeyValue.Material)
				chosen = append(chosen, parts[n-1])
			}
			return chosen
		}
		for size := s.Threshold; size <= s.Parts; size++ {
			for _, numbers := range every(s.Parts, size) {
				got, err := Join(pick(numbers), kmip.ObjectTypeSymmetricKey, 0)
				require.NoError(t, err)
				require.Equal(t, key, got.SymmetricKey.KeyBlock.KeyValue.Material, "%v of %v", numbers, s)
				require.Equal(t, int32(256), got.SymmetricKey.KeyBlock.CryptographicLength)
			}
		}
		for _, numbers := range every(s.Parts, s.Threshold-1) {
			_, err := Join(pick(numbers), kmip.ObjectTypeSymmetricKey, 0)
			require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
		}
		_, err = Join(append(pick(every(s.Parts, s.Threshold)[0]), parts[0]), kmip.ObjectTypeSymmetricKey, 0)
		require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err), "a part twice")
		if s.Parts > s.Threshold {
			parts[s.Parts-1].SplitKey.KeyBlock.KeyValue.Material[3] ^= 1
			_, err = Join(parts, kmip.ObjectTypeSymmetricKey, 0)
			require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err), "a part that is wrong")
		}
	}
}

// TestSplitRefused has sharings and objects that are not split, and parts that are not joined.
func TestSplitRefused(t *testing.T) {
	const gf8, field = kmip.SplitKeyMethodPolynomialSharingGF2_8, kmip.SplitKeyMethodPolynomialSharingPrimeField
	aes := symmetricValue(kmip.CryptographicAlgorithmAES, make([]byte, 16))
	for _, x := range []struct {
		v   *kmip.Value
		s   Sharing
		why kmip.ResultReason
	}{
		{aes, Sharing{Method: gf8, Parts: 3, Threshold: 1}, kmip.ResultReasonInvalidField},
		{aes, Sharing{Method: gf8, Parts: 2, Threshold: 3}, kmip.ResultReasonInvalidField},
		{aes, Sharing{Method: gf8, Parts: -1, Threshold: -1}, kmip.ResultReasonInvalidField},
		{aes, Sharing{Method: gf8, Parts: 65, Threshold: 2}, kmip.ResultReasonServerLimitExceeded},
		{aes, Sharing{Method: kmip.SplitKeyMethodXOR, Parts: 3, Threshold: 2}, kmip.ResultReasonInvalidField},
		{aes, Sharing{Method: 9, Parts: 3, Threshold: 2}, kmip.ResultReasonInvalidField},
		{aes, Sharing{Method: gf8, Parts: 3, Threshold: 2, Prime: big.NewInt(257)}, kmip.ResultReasonInvalidField},
		{aes, Sharing{Method: field, Parts: 3, Threshold: 2, Prime: big.NewInt(257)}, kmip.ResultReasonBadCryptographicParameters},
		{aes, Sharing{Method: field, Parts: 3, Threshold: 2, Prime: new(big.Int).Lsh(big.NewInt(1), 200)}, kmip.ResultReasonInvalidField},
		{aes, Sharing{Method: field, Parts: 3, Threshold: 2, Prime: big.NewInt(-257)}, kmip.ResultReasonInvalidField},
		{secretBase(make([]byte, 65)).Value, Sharing{Method: field, Parts: 3, Threshold: 2}, kmip.ResultReasonInvalidField},
		{secretBase(make([]byte, 3)).Value, Sharing{Method: kmip.SplitKeyMethodPolynomialSharingGF2_16, Parts: 3, Threshold: 2}, kmip.ResultReasonBadCryptographicParameters},
		{&kmip.Value{OpaqueObject: &kmip.OpaqueObject{}}, Sharing{Method: gf8, Parts: 3, Threshold: 2}, kmip.ResultReasonInvalidObjectType},
	} {
		_, err := Split(x.v, x.s)
		require.Equal(t, x.why, kmip.ReasonOf(err), "%+v: %v", x.s, err)
	}

	parts, err := Split(aes, Sharing{Method: gf8, Parts: 3, Threshold: 2})
	require.NoError(t, err)
	others, err := Split(aes, Sharing{Method: gf8, Parts: 4, Threshold: 2})
	require.NoError(t, err)
	for why, join := range map[string][]*kmip.Value{"none": nil, "two keys": {parts[0], others[1]}, "no part": {parts[0], aes}} {
		_, err := Join(join, kmip.ObjectTypeSymmetricKey, 0)
		require.Error(t, err, why)
	}
	_, err = Join(parts, kmip.ObjectTypeCertificate, 0)
	require.Equal(t, kmip.ResultReasonInvalidObjectType, kmip.ReasonOf(err))

	// What a client may register: a field that is none, a length beyond all bounds, a number that is out of range.
	for _, spoil := range []func(*kmip.SplitKey){
		func(k *kmip.SplitKey) { k.SplitKeyMethod, k.PrimeFieldSize = field, big.NewInt(2) },
		func(k *kmip.SplitKey) { k.SplitKeyMethod, k.PrimeFieldSize = field, new(big.Int) },
		func(k *kmip.SplitKey) {
			k.SplitKeyMethod, k.PrimeFieldSize, k.KeyBlock.CryptographicLength = field, big.NewInt(257), 1<<31-1
		},
		func(k *kmip.SplitKey) { k.KeyPartIdentifier += 3 },
		func(k *kmip.SplitKey) { k.SplitKeyThreshold, k.SplitKeyParts = 0, 0 },
		func(k *kmip.SplitKey) { k.SplitKeyMethod = 0 },
	} {
		spoiled, err := Split(aes, Sharing{Method: gf8, Parts: 3, Threshold: 2})
		require.NoError(t, err)
		for _, v := range spoiled {
			spoil(v.SplitKey)
		}
		_, err = Join(spoiled, kmip.ObjectTypeSymmetricKey, 0)
		require.Error(t, err)
	}
}

// TestSplitOthers splits what is no symmetric key.
func TestSplitOthers(t *testing.T) {
	private, _, err := GeneratePair(kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmECDSA).With(ttlv.TagCryptographicLength, int32(256)), nil, nil)
	require.NoError(t, err)
	for _, v := range []*kmip.Value{private, secretBase([]byte("a password")).Value} {
		parts, err := Split(v, Sharing{Method: kmip.SplitKeyMethodPolynomialSharingGF2_8, Parts: 3, Threshold: 2})
		require.NoError(t, err)
		got, err := Join(parts[1:], v.ObjectType(), kmip.SecretDataTypePassword)
		require.NoError(t, err)
		require.Equal(t, v.KeyBlock().KeyValue.Material, got.KeyBlock().KeyValue.Material)
		require.Equal(t, v.KeyBlock().KeyFormatType, got.KeyBlock().KeyFormatType)
	}
}
