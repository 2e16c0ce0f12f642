package entropy

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// counter is a token that everybody can foresee: it counts from a number on.
func counter(from uint64) func(context.Context, []byte) error {
	return func(_ context.Context, b []byte) error {
		for ; len(b) >= 8; b = b[8:] {
			from++
			binary.BigEndian.PutUint64(b, from)
		}
		return nil
	}
}

func open(t testing.TB, token func(context.Context, []byte) error) *Source {
	t.Helper()
	s := New(token, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s
}

func read(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	require.NoError(t, err)
	return string(b)
}

// TestX41MixesNotReplaces: with a token whose bytes are foreseen, and the same each time, what is read still differs.
func TestX41MixesNotReplaces(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s := open(t, counter(0))
		for _, purpose := range []string{"a", "b"} {
			seen[read(t, s.Reader(t.Context(), purpose), 32)] = true
		}
	}
	require.Len(t, seen, 200)
}

// TestReaderDrawsAnew: what one draw cannot give comes of the next.
func TestReaderDrawsAnew(t *testing.T) {
	draws := 0
	s := open(t, func(_ context.Context, b []byte) error {
		require.Len(t, b, half)
		draws++
		rand.Read(b)
		return nil
	})
	r := s.Reader(t.Context(), "long")
	require.Zero(t, draws, "nothing is drawn before something is read")
	all := read(t, r, 100)
	require.Equal(t, 1, draws)
	all += read(t, r, 3*most)
	require.Equal(t, 4, draws)
	seen := map[string]bool{}
	for i := 0; i+32 <= len(all); i += 32 {
		seen[all[i:i+32]] = true
	}
	require.Len(t, seen, len(all)/32)
}

// TestFailsClosed: of a token that fails, gives too little, zeros or the same again, nothing is read, now or later.
func TestFailsClosed(t *testing.T) {
	away := errors.New("0xE0: CKR_TOKEN_NOT_PRESENT")
	for name, v := range map[string]struct {
		token func(call int, b []byte) error
		want  error
	}{
		"away":     {func(int, []byte) error { return away }, away},
		"zeros":    {func(_ int, b []byte) error { clear(b); return nil }, errZero},
		"short":    {func(_ int, b []byte) error { rand.Read(b[:half-block]); return nil }, errZero},
		"constant": {func(_ int, b []byte) error { copy(b, make([]byte, half)); fill(b, 0x5A); return nil }, errRepeated},
		"again": {func(call int, b []byte) error {
			return counter(uint64(call%2)*1000)(context.Background(), b)
		}, errRepeated},
	} {
		t.Run(name, func(t *testing.T) {
			call := 0
			s := open(t, func(_ context.Context, b []byte) error { call++; return v.token(call, b) })
			var err error
			var r io.Reader
			b := make([]byte, 48)
			for range 3 {
				r = s.Reader(t.Context(), "x")
				if _, err = io.ReadFull(r, b); err != nil {
					break
				}
			}
			require.ErrorIs(t, err, v.want)
			require.Equal(t, make([]byte, 48), b, "what was read before the error is cleared")
			before := call
			_, err = r.Read(b)
			require.ErrorIs(t, err, v.want)
			require.Equal(t, before, call, "a reader that failed asks again")
		})
	}
}

func fill(b []byte, with byte) {
	for i := range b {
		b[i] = with
	}
}

// TestForgetsOldDraws: the memory of what came is bounded.
func TestForgetsOldDraws(t *testing.T) {
	s := open(t, counter(0))
	for range 2 * remembers {
		read(t, s.Reader(t.Context(), "x"), 1)
	}
	require.Len(t, s.known, remembers*half/block)
	require.Len(t, s.ring, remembers*half/block)
}
