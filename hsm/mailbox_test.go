package hsm

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// TestMailbox: messages of all sizes arrive whole, however the socket cuts them, and nothing of them stays in the mailbox.
func TestMailbox(t *testing.T) {
	var stream []byte
	sizes := []int{0, 1, 100, largestKept - 9, largestKept, 3 * largestKept, 5}
	for i, size := range sizes {
		w := begin(uint32(i))
		stream = append(stream, append(w, bytes.Repeat([]byte("s"), size)...).end()...)
	}
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "end with data": iotest.DataErrReader,
	} {
		m := newMailbox(cut(bytes.NewReader(stream)))
		for i, size := range sizes {
			number, r, err := m.next()
			require.NoError(t, err, name)
			require.EqualValues(t, i, number, name)
			require.Equal(t, bytes.Repeat([]byte("s"), size), append([]byte{}, r.b...), name)
		}
		_, _, err := m.next()
		require.ErrorIs(t, err, io.EOF, name)
		require.NotContains(t, string(m.buffer), "s", name)
	}
	for _, torn := range [][]byte{stream[:3], stream[:8+9+3], {0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}, {0, 0, 0, 3, 0, 0, 0, 0}} {
		m := newMailbox(bytes.NewReader(torn))
		var err error
		for err == nil {
			_, _, err = m.next()
		}
		require.False(t, errors.Is(err, io.EOF), "%x", torn)
	}
}
