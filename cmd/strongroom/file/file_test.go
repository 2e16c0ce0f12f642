package file

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// testKey is the data key of the vectors.
var testKey = bytes.Repeat([]byte{0x5a}, keySize)

// fakeWrap stands for RFC 5649, which the server does: eight more bytes.
func fakeWrap(_ context.Context, dataKey []byte) ([]byte, error) {
	return append([]byte("wrapped:"), dataKey...), nil
}

func fakeUnwrap(_ context.Context, h *Header) ([]byte, error) {
	return bytes.Clone(h.WrappedKey[8:]), nil
}

func small() Header { return Header{KeyID: "kek", ChunkSize: MinChunkSize} }

// noise is n bytes that do not repeat.
func noise(t testing.TB, n int) []byte {
	b := make([]byte, n)
	_, err := rand.Read(b)
	require.NoError(t, err)
	return b
}

// seal1 is the encrypted form of plain in small chunks.
func seal1(t testing.TB, plain []byte) []byte {
	var w bytes.Buffer
	require.NoError(t, Encrypt(t.Context(), &w, bytes.NewReader(plain), small(), fakeWrap, nil))
	return w.Bytes()
}

// sizes are lengths of content around the bounds of chunks.
var sizes = []int{0, 1, 15, 16, MinChunkSize - 1, MinChunkSize, MinChunkSize + 1, 2 * MinChunkSize, 7*MinChunkSize + 3, 40 * MinChunkSize}

func TestRoundTrip(t *testing.T) {
	for _, size := range sizes {
		plain := noise(t, size)
		t.Run(fmt.Sprintf("stream/%d", size), func(t *testing.T) {
			var plainOut bytes.Buffer
			enc := seal1(t, plain)
			require.NoError(t, Decrypt(t.Context(), &plainOut, iotest.OneByteReader(bytes.NewReader(enc)), fakeUnwrap, nil))
			require.True(t, bytes.Equal(plain, plainOut.Bytes()))
			chunks := max(1, (size+MinChunkSize-1)/MinChunkSize)
			h, err := ReadHeader(bytes.NewReader(enc))
			require.NoError(t, err)
			require.EqualValues(t, h.size()+int64(size+chunks*overhead), len(enc))
		})
		t.Run(fmt.Sprintf("files/%d", size), func(t *testing.T) {
			enc, out := create(t, "a.enc"), create(t, "a.plain")
			var done counter
			require.NoError(t, Encrypt(t.Context(), enc, holding(t, plain), small(), fakeWrap, done.add))
			require.EqualValues(t, size, done.n.Load())
			_, err := enc.Seek(0, io.SeekStart)
			require.NoError(t, err)
			require.NoError(t, Decrypt(t.Context(), out, enc, fakeUnwrap, nil))
			require.True(t, bytes.Equal(plain, content(t, out)))
		})
	}
}

// TestPathsAgree makes sure that the positioned and the ordered path write the same bytes.
func TestPathsAgree(t *testing.T) {
	for _, size := range sizes {
		plain := noise(t, size)
		h := small()
		out := create(t, "a.enc")
		require.NoError(t, encrypt(t.Context(), out, holding(t, plain), &h, testKey, fakeWrap, nil))
		var stream bytes.Buffer
		h = small()
		require.NoError(t, encrypt(t.Context(), &stream, bytes.NewReader(plain), &h, testKey, fakeWrap, nil))
		require.True(t, bytes.Equal(stream.Bytes(), content(t, out)), "%d bytes", size)
	}
}

func TestFilesAreReadAndWrittenFromTheirOffsets(t *testing.T) {
	plain := noise(t, 3*MinChunkSize)
	in, enc := holding(t, append([]byte("before"), plain...)), create(t, "a.enc")
	_, err := in.Seek(6, io.SeekStart)
	require.NoError(t, err)
	_, err = enc.WriteString("head")
	require.NoError(t, err)
	require.NoError(t, Encrypt(t.Context(), enc, in, small(), fakeWrap, nil))
	all := content(t, enc)
	require.Equal(t, "head", string(all[:4]))
	var out bytes.Buffer
	require.NoError(t, Decrypt(t.Context(), &out, bytes.NewReader(all[4:]), fakeUnwrap, nil))
	require.True(t, bytes.Equal(plain, out.Bytes()))
}

// TestFileOfNoSize reads a regular file whose size the kernel says is 0.
func TestFileOfNoSize(t *testing.T) {
	f, err := os.Open("/proc/self/limits")
	if err != nil {
		t.Skip("no /proc here")
	}
	defer f.Close()
	want, err := os.ReadFile("/proc/self/limits")
	require.NoError(t, err)
	enc := create(t, "a.enc")
	require.NoError(t, Encrypt(t.Context(), enc, f, small(), fakeWrap, nil))
	var out bytes.Buffer
	require.NoError(t, Decrypt(t.Context(), &out, bytes.NewReader(content(t, enc)), fakeUnwrap, nil))
	require.Equal(t, string(want), out.String())
}

func TestDecryptRefusesEveryChange(t *testing.T) {
	plain := noise(t, 2*MinChunkSize+100)
	enc := seal1(t, plain)
	head := len(enc) - len(plain) - 3*overhead
	chunk := MinChunkSize + overhead
	at := func(n int) []byte { return enc[head+n*chunk:] }
	cases := map[string]struct {
		file []byte
		good int // chunks that are released in order
	}{
		"cut at chunk 1":         {enc[:head+chunk], 0},
		"cut at the last chunk":  {enc[:head+2*chunk], 1},
		"cut by one byte":        {enc[:len(enc)-1], 2},
		"cut to a stump":         {enc[:head+2*chunk+5], 2},
		"cut after the header":   {enc[:head], 0},
		"a byte appended":        {append(bytes.Clone(enc), 0), 2},
		"a chunk appended":       {append(bytes.Clone(enc), enc[head:head+chunk]...), 2},
		"chunks swapped":         {bytes.Join([][]byte{enc[:head], at(1)[:chunk], at(0)[:chunk], at(2)}, nil), 0},
		"chunk left out":         {bytes.Join([][]byte{enc[:head], at(0)[:chunk], at(2)}, nil), 1},
		"chunk doubled":          {bytes.Join([][]byte{enc[:head], at(0)[:chunk], at(0)}, nil), 1},
		"chunk of another file":  {bytes.Join([][]byte{enc[:head], seal1(t, plain)[head:]}, nil), 0},
		"last chunk of no bytes": {bytes.Join([][]byte{enc[:head], at(0)[:chunk], emptyLast(t, enc)}, nil), 1},
	}
	for i := len(Magic); i < head; i += 3 {
		cases[fmt.Sprintf("header byte %d", i)] = struct {
			file []byte
			good int
		}{flip(enc, i), 0}
	}
	for n := range 3 {
		cases[fmt.Sprintf("bit in chunk %d", n)] = struct {
			file []byte
			good int
		}{flip(enc, head+n*chunk+50), n}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := Decrypt(t.Context(), &out, bytes.NewReader(c.file), fakeUnwrap, nil)
			require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnknown), "%v", err)
			require.True(t, bytes.Equal(plain[:min(len(plain), c.good*MinChunkSize)], out.Bytes()), "%d bytes released", out.Len())

			err = Decrypt(t.Context(), create(t, "out"), holding(t, c.file), fakeUnwrap, nil)
			require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnknown), "files: %v", err)
		})
	}
}

// emptyLast is an authentic empty last chunk 1, as only a program with the key could make it.
func emptyLast(t *testing.T, enc []byte) []byte {
	h, err := ReadHeader(bytes.NewReader(enc))
	require.NoError(t, err)
	key, err := fakeUnwrap(t.Context(), h)
	require.NoError(t, err)
	aead, err := h.chunks(key)
	require.NoError(t, err)
	n := nonce(1, true)
	return aead.Seal(nil, n[:], nil, nil)
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x10
	return b
}

func TestDecryptRefusesWrongDataKey(t *testing.T) {
	enc := seal1(t, []byte("secret"))
	var out bytes.Buffer
	wrong := func(context.Context, *Header) ([]byte, error) { return bytes.Repeat([]byte{1}, keySize), nil }
	require.ErrorIs(t, Decrypt(t.Context(), &out, bytes.NewReader(enc), wrong, nil), ErrDamaged)
	short := func(context.Context, *Header) ([]byte, error) { return []byte("short"), nil }
	require.ErrorContains(t, Decrypt(t.Context(), &out, bytes.NewReader(enc), short, nil), "a data key of 5 bytes")
	require.Zero(t, out.Len())
}

func TestDecryptClearsTheDataKey(t *testing.T) {
	var key []byte
	unwrap := func(ctx context.Context, h *Header) (b []byte, err error) {
		key, err = fakeUnwrap(ctx, h)
		return key, err
	}
	require.NoError(t, Decrypt(t.Context(), io.Discard, bytes.NewReader(seal1(t, []byte("x"))), unwrap, nil))
	require.Equal(t, make([]byte, keySize), key)
}

func TestDecryptNotEncrypted(t *testing.T) {
	for _, s := range []string{"", "STRON", "plain text of some length that is no encrypted file at all"} {
		require.ErrorIs(t, Decrypt(t.Context(), io.Discard, bytes.NewReader([]byte(s)), fakeUnwrap, nil), ErrNotEncrypted)
	}
}

func TestEncryptRefuses(t *testing.T) {
	for name, h := range map[string]Header{
		"no key":              {ChunkSize: MinChunkSize},
		"long key":            {KeyID: string(bytes.Repeat([]byte("k"), maxKeyID+1))},
		"small chunks":        {KeyID: "k", ChunkSize: MinChunkSize / 2},
		"large chunks":        {KeyID: "k", ChunkSize: MaxChunkSize * 2},
		"chunks of odd sizes": {KeyID: "k", ChunkSize: MinChunkSize + 1},
	} {
		t.Run(name, func(t *testing.T) {
			var w bytes.Buffer
			require.ErrorContains(t, Encrypt(t.Context(), &w, bytes.NewReader(nil), h, fakeWrap, nil), "making the header")
			require.Zero(t, w.Len())
		})
	}
}

func TestErrorsOfReaderAndWriter(t *testing.T) {
	cause := errors.New("the disk is gone")
	broken := io.MultiReader(bytes.NewReader(noise(t, 3*MinChunkSize)), iotest.ErrReader(cause))
	require.ErrorIs(t, Encrypt(t.Context(), io.Discard, broken, small(), fakeWrap, nil), cause)

	cutOff := io.MultiReader(bytes.NewReader(noise(t, 10)), iotest.ErrReader(io.ErrUnexpectedEOF))
	require.ErrorIs(t, Encrypt(t.Context(), io.Discard, cutOff, small(), fakeWrap, nil), io.ErrUnexpectedEOF)

	full := &fullWriter{room: 2 * MinChunkSize, err: cause}
	require.ErrorIs(t, Encrypt(t.Context(), full, bytes.NewReader(noise(t, 99*MinChunkSize)), small(), fakeWrap, nil), cause)
}

// TestCancel cancels while a reader that never ends is read.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	endless := readerFunc(func(b []byte) (int, error) {
		if n++; n == 100 {
			cancel()
		}
		return len(b), nil
	})
	require.ErrorIs(t, Encrypt(ctx, io.Discard, endless, small(), fakeWrap, nil), context.Canceled)
}

func TestLongestIdentifier(t *testing.T) {
	h := Header{KeyID: string(bytes.Repeat([]byte("k"), maxKeyID))}
	var enc, out bytes.Buffer
	require.NoError(t, Encrypt(t.Context(), &enc, bytes.NewReader([]byte("x")), h, fakeWrap, nil))
	require.NoError(t, Decrypt(t.Context(), &out, &enc, fakeUnwrap, nil))
	require.Equal(t, "x", out.String())
}

func create(t testing.TB, name string) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), name))
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// holding is a file with a content, open at its beginning.
func holding(t testing.TB, b []byte) *os.File {
	f := create(t, "in")
	_, err := f.WriteAt(b, 0)
	require.NoError(t, err)
	return f
}

func content(t testing.TB, f *os.File) []byte {
	b, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return b
}
