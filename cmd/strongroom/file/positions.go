package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// maxMemory bounds what the chunks in work may take.
const maxMemory = 64 << 20

// workers is how many chunks of size bytes are worked upon at once: one a core, as long as there is memory for them.
func workers(size int) int {
	return max(1, min(runtime.GOMAXPROCS(0), maxMemory/size))
}

// A copier transforms the chunks of one regular file into another, each read from and written to where it belongs.
type copier struct {
	*transform
	r        *os.File
	w        *os.File
	from, to int64 // offsets of chunk 0
	size     int64 // of the input from there on, above 0
	next     atomic.Int64

	// writing is held while writing: the kernel admits one writer of a file at a time, and those who wait for it
	// there would keep a core busy.
	writing sync.Mutex
}

// positions makes a copier whose output leaves room for head bytes, if r and w allow one. A file without a size may be
// one that the kernel makes up as it is read, and is left to stream.
func positions(w io.Writer, r io.Reader, t *transform, head int64) (*copier, bool, error) {
	in, ok := r.(*os.File)
	out, also := w.(*os.File)
	if !ok || !also {
		return nil, false, nil
	}
	end, regular, err := regularSize(in)
	if err != nil || !regular {
		return nil, false, err
	}
	if _, regular, err = regularSize(out); err != nil || !regular {
		return nil, false, err
	}
	from, err := in.Seek(0, io.SeekCurrent)
	if err != nil || end <= from {
		return nil, false, err
	}
	to, err := out.Seek(0, io.SeekCurrent)
	return &copier{transform: t, r: in, w: out, from: from, to: to + head, size: end - from}, err == nil, err
}

// regularSize is the size of f, and whether it is a regular file.
func regularSize(f *os.File) (int64, bool, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	return i.Size(), i.Mode().IsRegular(), nil
}

// run works on all chunks. The first error ends it.
func (c *copier) run(ctx context.Context, p Progress) error {
	g, ctx := errgroup.WithContext(ctx)
	count := (c.size + int64(c.in) - 1) / int64(c.in)
	for range min(int64(workers(c.room())), count) {
		g.Go(func() error {
			buf := make([]byte, c.room())
			for {
				i := c.next.Add(1) - 1
				if i >= count {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				if err := c.chunk(buf, i, i == count-1, p); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// chunk works on one chunk.
func (c *copier) chunk(buf []byte, index int64, last bool, p Progress) error {
	at := index * int64(c.in)
	buf = buf[:min(int64(c.in), c.size-at)]
	if n, err := c.r.ReadAt(buf, c.from+at); n < len(buf) {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file became shorter")
		}
		return fmt.Errorf("reading: %w", err)
	}
	n := len(buf)
	out, err := c.apply(buf, uint64(index), last)
	if err != nil {
		return err
	}
	if err := c.write(out, c.to+index*int64(c.out)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	p(n)
	return nil
}

func (c *copier) write(b []byte, at int64) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.w.WriteAt(b, at)
	return err
}
