package file

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
)

// Wrap wraps a data key of 32 bytes under the key that the header will name. It does not keep the data key.
type Wrap func(ctx context.Context, dataKey []byte) (wrapped []byte, err error)

// Unwrap gives the data key of a file back. Its caller clears it. The header it is shown is not authenticated yet.
type Unwrap func(ctx context.Context, h *Header) (dataKey []byte, err error)

// Progress hears how many more bytes of input are done. It is called from several goroutines at once.
type Progress func(n int)

// Encrypt writes r to w as an encrypted file, under a new data key that wrap wraps. The caller sets KeyID in h, and
// ChunkSize where it is not to be the default; the rest is filled in. Progress may be nil.
//
// Where both r and w are regular *os.Files, all cores read, encrypt and write at once: from r's offset to the end that
// it has now, and at w's offset, which stays where it was. Such a w is not opened for appending. Anything else is read
// and written in order, and encrypted on all cores. Both use a bounded amount of memory. After an error, what is in w is
// of no use.
func Encrypt(ctx context.Context, w io.Writer, r io.Reader, h Header, wrap Wrap, p Progress) error {
	dataKey := make([]byte, keySize)
	defer clear(dataKey)
	rand.Read(dataKey)
	rand.Read(h.FileID[:])
	return encrypt(ctx, w, r, &h, dataKey, wrap, p)
}

// encrypt is Encrypt with a data key and a file id.
func encrypt(ctx context.Context, w io.Writer, r io.Reader, h *Header, dataKey []byte, wrap Wrap, p Progress) (err error) {
	h.Wrap, h.Cipher = RFC5649, AES256GCM
	if h.ChunkSize == 0 {
		h.ChunkSize = DefaultChunkSize
	}
	if h.WrappedKey, err = wrap(ctx, dataKey); err != nil {
		return fmt.Errorf("wrapping the data key: %w", err)
	}
	if err := h.encode(); err != nil {
		return fmt.Errorf("making the header: %w", err)
	}
	if h.mac, err = h.authenticate(dataKey); err != nil {
		return fmt.Errorf("making the header: %w", err)
	}
	aead, err := h.chunks(dataKey)
	if err != nil {
		return fmt.Errorf("making the cipher: %w", err)
	}
	return run(ctx, w, r, append(h.encoded, h.mac...), seal(aead, h.ChunkSize), p)
}

// Decrypt writes the content of the encrypted file r to w. No byte of a chunk that is not authentic is written, but the
// chunks before it may have been, and where r and w are regular *os.Files some after it. What Encrypt says of r, w and p
// holds here too. Errors are those of ReadHeader, of unwrap, of reading and writing, and ErrDamaged.
func Decrypt(ctx context.Context, w io.Writer, r io.Reader, unwrap Unwrap, p Progress) error {
	h, err := ReadHeader(r)
	if err != nil {
		return err
	}
	dataKey, err := unwrap(ctx, h)
	if err != nil {
		return fmt.Errorf("unwrapping the data key: %w", err)
	}
	defer clear(dataKey)
	if err := h.verify(dataKey); err != nil {
		return err
	}
	aead, err := h.chunks(dataKey)
	if err != nil {
		return fmt.Errorf("making the cipher: %w", err)
	}
	return run(ctx, w, r, nil, open(aead, h.ChunkSize), p)
}

// run writes head and then the transformed chunks of r to w.
func run(ctx context.Context, w io.Writer, r io.Reader, head []byte, t *transform, p Progress) error {
	if p == nil {
		p = func(int) {}
	}
	if c, ok, err := positions(w, r, t, int64(len(head))); err != nil {
		return err
	} else if ok {
		if _, err := c.w.WriteAt(head, c.to-int64(len(head))); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		return c.run(ctx, p)
	}
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return stream(ctx, w, r, t, p)
}
