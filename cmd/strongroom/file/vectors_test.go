package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var writeVectors = flag.Bool("write-vectors", false, "make testdata/vectors anew")

// The outcomes a vector may state.
var outcomes = map[string]error{
	"success":       nil,
	"damaged":       ErrDamaged,
	"not encrypted": ErrNotEncrypted,
	"unknown":       ErrUnknown,
}

// A vector is a file of lines `name: value`, an empty line, and the encrypted file. Its names are expect, data key
// (hexadecimal), sha256 (of the content, where the outcome is success) and comment.
type vector struct {
	fields map[string]string
	file   []byte
}

func readVector(t testing.TB, path string) vector {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	head, file, ok := bytes.Cut(b, []byte("\n\n"))
	require.True(t, ok)
	v := vector{map[string]string{}, file}
	for line := range strings.Lines(string(head)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		require.True(t, ok, line)
		v.fields[name] = value
	}
	return v
}

func TestVectors(t *testing.T) {
	if *writeVectors {
		makeVectors(t)
	}
	paths, err := filepath.Glob("testdata/vectors/*")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := readVector(t, path)
			want, ok := outcomes[v.fields["expect"]]
			require.True(t, ok, "expect: %q", v.fields["expect"])
			key, err := hex.DecodeString(v.fields["data key"])
			require.NoError(t, err)
			var out bytes.Buffer
			unwrap := func(context.Context, *Header) ([]byte, error) { return bytes.Clone(key), nil }
			err = Decrypt(t.Context(), &out, bytes.NewReader(v.file), unwrap, nil)
			if want != nil {
				require.ErrorIs(t, err, want)
				return
			}
			require.NoError(t, err)
			sum := sha256.Sum256(out.Bytes())
			require.Equal(t, v.fields["sha256"], hex.EncodeToString(sum[:]))
		})
	}
}

// makeVectors writes testdata/vectors. What is in there stays valid as long as the format is version 1: run it only to
// add to it.
func makeVectors(t *testing.T) {
	sealed := func(plain []byte) []byte {
		h := small()
		copy(h.FileID[:], "a file id of thirty-two bytes!!!")
		var w bytes.Buffer
		require.NoError(t, encrypt(t.Context(), &w, bytes.NewReader(plain), &h, testKey, fakeWrap, nil))
		return w.Bytes()
	}
	plain := func(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }
	add := func(name, expect, comment string, key, content, file []byte) {
		sum := sha256.Sum256(content)
		head := "expect: " + expect + "\ncomment: " + comment + "\ndata key: " + hex.EncodeToString(key) + "\n"
		if expect == "success" {
			head += "sha256: " + hex.EncodeToString(sum[:]) + "\n"
		}
		require.NoError(t, os.WriteFile("testdata/vectors/"+name, append([]byte(head+"\n"), file...), 0o644))
	}
	require.NoError(t, os.MkdirAll("testdata/vectors", 0o755))
	one, two, head := plain(100), plain(MinChunkSize+1), len(sealed(nil))-overhead
	other := bytes.Repeat([]byte{0xa5}, keySize)

	add("empty", "success", "an empty file is one empty last chunk", testKey, nil, sealed(nil))
	add("one-chunk", "success", "100 bytes", testKey, one, sealed(one))
	add("full-chunk", "success", "65536 bytes are one last chunk that is full", testKey, plain(MinChunkSize), sealed(plain(MinChunkSize)))
	add("two-chunks", "success", "65537 bytes", testKey, two, sealed(two))
	add("wrong-key", "damaged", "the data key is another", other, nil, sealed(one))
	add("no-magic", "not encrypted", "the first byte was changed", testKey, nil, flip(sealed(one), 0))
	add("version-2", "unknown", "the version is 2", testKey, nil, set(sealed(one), 8, 2))
	add("header-length", "damaged", "the header is said to be 65535 bytes", testKey, nil, set(set(sealed(one), 9, 255), 10, 255))
	add("wrap-algorithm", "unknown", "the wrap algorithm is 2", testKey, nil, set(sealed(one), 11, 2))
	add("cipher", "unknown", "the cipher is 2", testKey, nil, set(sealed(one), 12, 2))
	add("chunk-size-small", "damaged", "chunks of 32 KiB", testKey, nil, set(sealed(one), 13, 15))
	add("chunk-size-large", "damaged", "chunks of 8 MiB", testKey, nil, set(sealed(one), 13, 23))
	add("chunk-size-other", "damaged", "the chunk size is another that is allowed", testKey, nil, set(sealed(one), 13, 17))
	add("file-id", "damaged", "a bit of the file id was changed", testKey, nil, flip(sealed(one), 20))
	add("key-id", "damaged", "the key identifier was changed", testKey, nil, set(sealed(one), 48, 'K'))
	add("key-id-length", "damaged", "the key identifier is longer than the header", testKey, nil, set(sealed(one), 46, 2))
	add("mac", "damaged", "a bit of the MAC was changed", testKey, nil, flip(sealed(one), head-1))
	add("header-cut", "damaged", "the file ends in its header", testKey, nil, sealed(one)[:head-40])
	add("no-chunks", "damaged", "the file ends after its header", testKey, nil, sealed(one)[:head])
	add("tag", "damaged", "a bit of the tag was changed", testKey, nil, flip(sealed(one), head+115))
	add("chunk-cut", "damaged", "the last byte is missing", testKey, nil, sealed(one)[:head+115])
	add("appended", "damaged", "a byte was appended", testKey, nil, append(sealed(one), 0))
	add("truncated", "damaged", "the second of two chunks is missing", testKey, nil, sealed(two)[:head+MinChunkSize+overhead])
}

func set(b []byte, at int, v byte) []byte {
	b = bytes.Clone(b)
	b[at] = v
	return b
}
