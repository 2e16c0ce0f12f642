package seal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// testProtector is a master key of one repeated byte.
func testProtector(t testing.TB, b byte) *MasterKey {
	t.Helper()
	p, err := NewMasterKey(bytes.Repeat([]byte{b}, 32))
	require.NoError(t, err)
	return p
}

// only finds p and nothing else.
func only(p Protector) Lookup {
	return func(_ context.Context, h Header) (Protector, error) {
		if h.Protector != p.Reference() {
			return nil, ErrDecrypt
		}
		return p, nil
	}
}

var (
	object1  = Label{PurposeObject, 1}
	bound1   = []byte("object:1")
	material = []byte("sixteen secret b")
)

func sealTest(t testing.TB, p Protector) *Envelope {
	t.Helper()
	e, err := Seal(t.Context(), nil, p, object1, bound1, material)
	require.NoError(t, err)
	return e
}

// The vectors of C2SP's specification of XAES-256-GCM.
func TestXAESVectors(t *testing.T) {
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	plaintext := []byte("XAES-256-GCM")
	for _, c := range []struct {
		key             byte
		additional, out string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x, err := newXAES(bytes.Repeat([]byte{c.key}, 32))
		require.NoError(t, err)
		sealed, err := x.sealWith(bytes.Clone(nonce), plaintext, []byte(c.additional))
		require.NoError(t, err)
		require.Equal(t, c.out, hex.EncodeToString(sealed[xaesNonceSize:]))
		opened, err := x.open(sealed, []byte(c.additional))
		require.NoError(t, err)
		require.Equal(t, plaintext, opened)
	}
}

func TestEnvelope(t *testing.T) {
	p := testProtector(t, 1)
	e := sealTest(t, p)
	require.NotContains(t, string(e.Bytes()), string(material))
	require.Equal(t, p.Reference(), e.Protector)
	require.Equal(t, object1, e.Label)

	got, err := Open(t.Context(), only(p), PurposeObject, bound1, e.Bytes())
	require.NoError(t, err)
	require.Equal(t, material, got)

	second := sealTest(t, p)
	require.NotEqual(t, e.wrapped, second.wrapped, "each envelope has its own data key")
	require.NotEqual(t, e.body, second.body)
}

func TestEnvelopeTampered(t *testing.T) {
	p := testProtector(t, 1)
	raw := sealTest(t, p).Bytes()
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(raw)
			bad[i] ^= bit
			_, err := Open(t.Context(), only(p), PurposeObject, bound1, bad)
			require.Equal(t, ErrDecrypt, err, "byte %d", i)
		}
	}
	for i := range raw {
		_, err := Open(t.Context(), only(p), PurposeObject, bound1, raw[:i])
		require.Equal(t, ErrDecrypt, err, "cut to %d bytes", i)
	}
	_, err := Open(t.Context(), only(p), PurposeObject, bound1, append(bytes.Clone(raw), 0))
	require.Equal(t, ErrDecrypt, err)
}

func TestEnvelopeElsewhere(t *testing.T) {
	p := testProtector(t, 1)
	raw := sealTest(t, p).Bytes()
	for name, open := range map[string]func() ([]byte, error){
		"context": func() ([]byte, error) { return Open(t.Context(), only(p), PurposeObject, []byte("object:2"), raw) },
		"longer":  func() ([]byte, error) { return Open(t.Context(), only(p), PurposeObject, []byte("object:1 "), raw) },
		"none":    func() ([]byte, error) { return Open(t.Context(), only(p), PurposeObject, nil, raw) },
		"purpose": func() ([]byte, error) { return Open(t.Context(), only(p), PurposeSlot, bound1, raw) },
		"key": func() ([]byte, error) {
			other := testProtector(t, 2)
			find := func(context.Context, Header) (Protector, error) { return other, nil }
			return Open(t.Context(), find, PurposeObject, bound1, raw)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open()
			require.Equal(t, ErrDecrypt, err)
		})
	}
}

func TestEnvelopeProtectorAway(t *testing.T) {
	p := testProtector(t, 1)
	away := errors.New("0xE0: CKR_TOKEN_NOT_PRESENT")
	find := func(context.Context, Header) (Protector, error) { return nil, away }
	_, err := sealTest(t, p).Open(t.Context(), find, PurposeObject, bound1)
	require.Equal(t, away, err)
}

// fixedKey is a kmip.Key that answers what it is told.
type fixedKey struct {
	kmip.Unsupported
	out []byte
	err error
	got *kmip.CryptographicParameters
}

func (k *fixedKey) Wrap(_ context.Context, p *kmip.CryptographicParameters, b []byte) ([]byte, error) {
	k.got, k.out = p, bytes.Clone(b)
	return append([]byte("wrapped:"), b...), k.err
}

func (k *fixedKey) Unwrap(_ context.Context, p *kmip.CryptographicParameters, _ []byte) ([]byte, error) {
	k.got = p
	return bytes.Clone(k.out), k.err
}

func TestKeyProtector(t *testing.T) {
	for _, c := range []struct {
		algorithm kmip.CryptographicAlgorithm
		mechanism Mechanism
	}{
		{kmip.CryptographicAlgorithmAES, MechanismAESGCM},
		{kmip.CryptographicAlgorithmRSA, MechanismRSAOAEPSHA256},
	} {
		k := new(fixedKey)
		p, err := KeyProtector("uid:kek", k, attributes(c.algorithm))
		require.NoError(t, err)
		e := sealTest(t, p)
		require.Equal(t, c.mechanism, e.Mechanism)
		require.Equal(t, mechanisms[c.mechanism].parameters, k.got)
		got, err := e.Open(t.Context(), only(p), PurposeObject, bound1)
		require.NoError(t, err)
		require.Equal(t, material, got)

		k.err = kmip.Errorf(kmip.ResultReasonCryptographicFailure, "the tag is wrong")
		_, err = e.Open(t.Context(), only(p), PurposeObject, bound1)
		require.Equal(t, ErrDecrypt, err)

		k.err = errors.New("0x30: CKR_DEVICE_ERROR")
		_, err = e.Open(t.Context(), only(p), PurposeObject, bound1)
		require.ErrorIs(t, err, k.err)

		k.err, k.out = nil, []byte("short")
		_, err = e.Open(t.Context(), only(p), PurposeObject, bound1)
		require.Equal(t, ErrDecrypt, err)
	}
	_, err := KeyProtector("uid:kek", new(fixedKey), attributes(kmip.CryptographicAlgorithmEC))
	require.ErrorContains(t, err, "cannot wrap")
}

func FuzzOpen(f *testing.F) {
	p := testProtector(f, 1)
	golden := filepath.Join("testdata", "envelope.bin")
	raw, err := os.ReadFile(golden)
	require.NoError(f, err)
	f.Add(raw)
	f.Add(raw[:fixedSize])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		got, openErr := Open(t.Context(), only(p), PurposeObject, bound1, data)
		if openErr == nil {
			require.Equal(t, raw, data, "something else than the golden envelope opens")
			require.Equal(t, material, got)
		} else {
			require.Equal(t, ErrDecrypt, openErr)
		}
		if err != nil {
			require.Error(t, openErr)
			return
		}
		require.Equal(t, data, e.Bytes())
		again := append(e.Header.append(nil, e.wrapped, e.iv), e.body...)
		require.Equal(t, data, again, "what Parse read is what Seal writes")
	})
}

// TestGolden opens an envelope that an earlier build wrote: the format at rest does not change.
func TestGolden(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "envelope.bin"))
	require.NoError(t, err)
	got, err := Open(t.Context(), only(testProtector(t, 1)), PurposeObject, bound1, raw)
	require.NoError(t, err)
	require.Equal(t, material, got)
}

func BenchmarkSeal(b *testing.B) {
	r := unsealed(b)
	p := r.Protector()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(b.Context(), nil, p, object1, bound1, material); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRootWrap(b *testing.B) {
	p := unsealed(b).Protector()
	key := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Wrap(b.Context(), key, Binding{}); err != nil {
			b.Fatal(err)
		}
	}
}
