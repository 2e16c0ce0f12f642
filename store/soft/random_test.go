//go:debug cryptocustomrand=1

package soft

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// ending gives some random bytes, and then fails.
type ending struct {
	left, read int
	err        error
}

func (e *ending) Read(b []byte) (int, error) {
	if len(b) > e.left {
		return 0, e.err
	}
	e.left -= len(b)
	e.read += len(b)
	return rand.Read(b)
}

// generators make a key of each kind there is, and say how many random bytes that takes at least.
var generators = map[string]struct {
	least int
	make  func(io.Reader) error
}{
	"AES":       {32, ofSymmetric(describe(kmip.CryptographicAlgorithmAES, 256))},
	"HMAC":      {64, ofSymmetric(describe(kmip.CryptographicAlgorithmHMACSHA512, 512))},
	"3DES":      {24, ofSymmetric(describe(kmip.CryptographicAlgorithmDES3, 168))},
	"seed":      {32, ofSymmetric(kmip.Attributes{}.With(ttlv.TagObjectType, kmip.ObjectTypeSecretData))},
	"RSA":       {256, ofPair(describe(kmip.CryptographicAlgorithmRSA, 2048))},
	"RSA 3072":  {384, ofPair(describe(kmip.CryptographicAlgorithmRSA, 3072))},
	"P-256":     {32, ofPair(describe(kmip.CryptographicAlgorithmEC, 256))},
	"P-384":     {48, ofPair(describe(kmip.CryptographicAlgorithmECDSA, 384))},
	"P-521":     {66, ofPair(describe(kmip.CryptographicAlgorithmEC, 521))},
	"Ed25519":   {32, ofPair(describe(kmip.CryptographicAlgorithmEd25519, 256))},
	"X25519":    {32, ofPair(describe(kmip.CryptographicAlgorithmECDH, 256).With(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveCURVE25519}))},
	"XOR":       {64, ofSplit(Sharing{Method: kmip.SplitKeyMethodXOR, Parts: 3, Threshold: 3})},
	"GF(2^8)":   {64, ofSplit(Sharing{Method: kmip.SplitKeyMethodPolynomialSharingGF2_8, Parts: 5, Threshold: 3})},
	"GF(prime)": {64, ofSplit(Sharing{Method: kmip.SplitKeyMethodPolynomialSharingPrimeField, Parts: 5, Threshold: 3})},
}

func ofSymmetric(a kmip.Attributes) func(io.Reader) error {
	return func(r io.Reader) error { _, err := Generate(a, r); return err }
}

func ofPair(a kmip.Attributes) func(io.Reader) error {
	return func(r io.Reader) error { _, _, err := GeneratePair(a, nil, r); return err }
}

func ofSplit(s Sharing) func(io.Reader) error {
	return func(r io.Reader) error {
		s.Random = r
		_, err := Split(symmetricValue(kmip.CryptographicAlgorithmAES, make([]byte, 32)), s)
		return err
	}
}

// TestX41BytesAreConsumed: every maker of keys takes what it makes them of from where it is told, and makes nothing when that ends
// early. Go's own makers of RSA and EC keys do not, unless asked by cryptocustomrand.
func TestX41BytesAreConsumed(t *testing.T) {
	away := errors.New("the source ended")
	for name, g := range generators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := &ending{left: 1 << 24, err: away}
			require.NoError(t, g.make(all))
			require.GreaterOrEqual(t, all.read, g.least)
			for _, left := range []int{0, 1, g.least - 1} {
				require.ErrorIs(t, g.make(&ending{left: left, err: away}), away)
			}
		})
	}
}

// uses make something with a key that is there, and say how many random bytes that takes at least.
var uses = map[string]struct {
	key   kmip.CryptographicAlgorithm
	least int
	make  func(kmip.Opened) error
}{
	"GCM":               {kmip.CryptographicAlgorithmAES, 12, encrypts(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM})},
	"CCM":               {kmip.CryptographicAlgorithmAES, 12, encrypts(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCCM})},
	"CBC":               {kmip.CryptographicAlgorithmAES, 16, encrypts(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC})},
	"CTR":               {kmip.CryptographicAlgorithmAES, 16, encrypts(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCTR})},
	"ISO 10126":         {kmip.CryptographicAlgorithmAES, 16, encrypts(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB, PaddingMethod: kmip.PaddingMethodISO10126})},
	"GCM wraps":         {kmip.CryptographicAlgorithmAES, 12, wraps(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM})},
	"3DES":              {kmip.CryptographicAlgorithmDES3, 8, encrypts(kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC})},
	"ChaCha20":          {kmip.CryptographicAlgorithmChaCha20, 12, encrypts(kmip.CryptographicParameters{})},
	"ChaCha20-Poly1305": {kmip.CryptographicAlgorithmChaCha20Poly1305, 12, encrypts(kmip.CryptographicParameters{})},
	"OAEP":              {kmip.CryptographicAlgorithmRSA, 32, encrypts(kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP})},
	"OAEP wraps":        {kmip.CryptographicAlgorithmRSA, 32, wraps(kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP})},
	"PKCS #1 v1.5":      {kmip.CryptographicAlgorithmRSA, 256 - 3 - 16, encrypts(kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15})},
	"PSS":               {kmip.CryptographicAlgorithmRSA, 32, signs(kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPSS, HashingAlgorithm: kmip.HashingAlgorithmSHA256})},
	"ECDSA":             {kmip.CryptographicAlgorithmEC, 32, signs(kmip.CryptographicParameters{})},
}

func encrypts(p kmip.CryptographicParameters) func(kmip.Opened) error {
	return func(k kmip.Opened) error {
		_, err := k.Encrypt(context.Background(), &kmip.EncryptRequest{CryptographicParameters: &p, Data: make([]byte, 16)})
		return err
	}
}

func wraps(p kmip.CryptographicParameters) func(kmip.Opened) error {
	return func(k kmip.Opened) error { _, err := k.Wrap(context.Background(), &p, make([]byte, 16)); return err }
}

func signs(p kmip.CryptographicParameters) func(kmip.Opened) error {
	return func(k kmip.Opened) error {
		_, err := k.Sign(context.Background(), &kmip.SignRequest{CryptographicParameters: &p, Data: make([]byte, 16)})
		return err
	}
}

// TestX41BytesAreConsumedInUse: IVs, salts and random padding come from where the key was told when it was opened; without them
// nothing comes out. Go takes those of PKCS #1 v1.5 and of ECDSA from there only when asked by cryptocustomrand.
func TestX41BytesAreConsumedInUse(t *testing.T) {
	away := errors.New("the source ended")
	bits := map[kmip.CryptographicAlgorithm]int32{kmip.CryptographicAlgorithmDES3: 168, kmip.CryptographicAlgorithmRSA: 2048}
	for name, u := range uses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := describe(u.key, either(bits[u.key], 256))
			v, err := Generate(a, nil)
			if u.key == kmip.CryptographicAlgorithmRSA || u.key == kmip.CryptographicAlgorithmEC {
				v, _, err = GeneratePair(a, nil, nil)
			}
			require.NoError(t, err)
			made := func(random io.Reader) error {
				k, err := Open(v, a, random)
				require.NoError(t, err)
				defer k.Close()
				return u.make(k)
			}
			all := &ending{left: 1 << 20, err: away}
			require.NoError(t, made(all))
			require.GreaterOrEqual(t, all.read, u.least)
			for _, left := range []int{0, u.least - 1} {
				require.ErrorIs(t, made(&ending{left: left, err: away}), away)
			}
		})
	}
}

// TestRSARefusesUnusedSource: a program that is built without cryptocustomrand makes no RSA key of a source, rather than one of
// crypto/rand alone.
func TestRSARefusesUnusedSource(t *testing.T) {
	if os.Getenv("STRONGROOM_TEST_UNUSED") != "" {
		_, err := newRSA(2048, &ending{left: 1 << 24})
		require.Equal(t, errUnused, err)
		return
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^TestRSARefusesUnusedSource$", "-test.v")
	cmd.Env = append(os.Environ(), "STRONGROOM_TEST_UNUSED=1", "GODEBUG=cryptocustomrand=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestRSARefusesUnusedSource")
}

// TestNewECIsTheScalar: the key of a curve is the candidate, and one that is not below the order is passed over.
func TestNewECIsTheScalar(t *testing.T) {
	curve := made[0].curve // P-256
	low := make([]byte, 32)
	low[31] = 7
	key, err := newEC(curve, io.MultiReader(constant(0xFF, 32), constant(0, 32), constant(0, 31), constant(7, 1)))
	require.NoError(t, err)
	scalar, err := key.Bytes()
	require.NoError(t, err)
	require.Equal(t, low, scalar)
	_, err = newEC(curve, constant(0xFF, 1<<20))
	require.ErrorContains(t, err, "no scalar")
}

func constant(b byte, n int64) io.Reader { return io.LimitReader(same(b), n) }

type same byte

func (s same) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s)
	}
	return len(b), nil
}
