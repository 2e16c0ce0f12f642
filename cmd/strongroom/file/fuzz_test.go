package file

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadHeader checks that a header that is read is the one encoding of what it says.
func FuzzReadHeader(f *testing.F) {
	for _, file := range vectorFiles(f) {
		f.Add(file[:min(len(file), 200)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		h, err := ReadHeader(r)
		if err != nil {
			return
		}
		read := data[:len(data)-r.Len()]
		require.EqualValues(t, len(read), h.size())
		again := Header{KeyID: h.KeyID, Wrap: h.Wrap, WrappedKey: h.WrappedKey, Cipher: h.Cipher, ChunkSize: h.ChunkSize, FileID: h.FileID}
		require.NoError(t, again.encode())
		require.Equal(t, read, append(again.encoded, h.mac...))
	})
}

// FuzzDecrypt checks that a file that opens is the one encryption of its content, and that both ways of reading agree.
func FuzzDecrypt(f *testing.F) {
	for _, file := range vectorFiles(f) {
		if len(file) < 1000 {
			f.Add(file)
		}
	}
	unwrap := func(context.Context, *Header) ([]byte, error) { return bytes.Clone(testKey), nil }
	f.Fuzz(func(t *testing.T, data []byte) {
		var plain bytes.Buffer
		err := Decrypt(t.Context(), &plain, bytes.NewReader(data), unwrap, nil)
		out := create(t, "out")
		require.Equal(t, err == nil, Decrypt(t.Context(), out, holding(t, data), unwrap, nil) == nil)
		if err != nil {
			return
		}
		require.True(t, bytes.Equal(plain.Bytes(), content(t, out)))
		h, err := ReadHeader(bytes.NewReader(data))
		require.NoError(t, err)
		wrap := func(context.Context, []byte) ([]byte, error) { return h.WrappedKey, nil }
		var again bytes.Buffer
		require.NoError(t, encrypt(t.Context(), &again, &plain, &Header{KeyID: h.KeyID, ChunkSize: h.ChunkSize, FileID: h.FileID}, testKey, wrap, nil))
		require.Equal(t, data, again.Bytes())
	})
}

func vectorFiles(f *testing.F) (files [][]byte) {
	paths, err := filepath.Glob("testdata/vectors/*")
	require.NoError(f, err)
	for _, path := range paths {
		files = append(files, readVector(f, path).file)
	}
	return files
}
