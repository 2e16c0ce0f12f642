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

// maxMemory bounds what the chunks in work may take, in buffers and where they are mapped.
const maxMemory = 64 << 20

// workers is how many chunks are worked upon at once, each of which takes size bytes: one a core, as long as there is memory for them.
func workers(size int) int {
	return max(1, min(runtime.GOMAXPROCS(0), maxMemory/size))
}

// A section is what a regular file has from where it stands: its size is above 0.
type section struct {
	f          *os.File
	from, size int64
	windows    *windows // nil: it is read
}

// sectionOf is r as a section, nil if it is none. A file without a size may be one that the kernel makes up as it is read,
// and is none.
func sectionOf(r io.Reader) (*section, error) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, nil
	}
	end, regular, err := regularSize(f)
	if err != nil || !regular {
		return nil, err
	}
	from, err := f.Seek(0, io.SeekCurrent)
	if err != nil || end <= from {
		return nil, err
	}
	return &section{f: f, from: from, size: end - from}, nil
}

// open makes the section ready for t.
func (s *section) open(t *transform) {
	if t.from != nil {
		s.windows = newWindows(s.f, s.from, s.size, t.in)
	}
}

// close ends what open began.
func (s *section) close() error {
	if err := s.windows.close(); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	return nil
}

// chunks is how many of n bytes the section has.
func (s *section) chunks(n int) int64 { return (s.size + int64(n) - 1) / int64(n) }

var errShorter = errors.New("the file became shorter")

// transform makes the output of the chunk at an offset, in buf, which has the chunk's length: from where the file lies in
// memory if t can take it from there, else from a copy. Each chunk is asked for once.
func (s *section) transform(t *transform, buf []byte, at int64, index uint64, last bool) (out []byte, err error) {
	ok, err := s.windows.use(at, len(buf), func(chunk []byte) error {
		out = t.from(buf, chunk, index, last)
		return nil
	})
	if ok {
		return out, err
	}
	if err := s.read(buf, at); err != nil {
		return nil, err
	}
	return t.apply(buf, index, last)
}

// read fills b with what is at an offset of the section.
func (s *section) read(b []byte, at int64) error {
	if n, err := s.f.ReadAt(b, s.from+at); n < len(b) {
		if errors.Is(err, io.EOF) {
			err = errShorter
		}
		return fmt.Errorf("reading: %w", err)
	}
	return nil
}

// A copier transforms the chunks of one regular file into another, each read from and written to where it belongs.
type copier struct {
	*transform
	*section
	w    *os.File
	to   int64 // offset of chunk 0
	next atomic.Int64

	// writing is held while writing: the kernel admits one writer of a file at a time, and those who wait for it
	// there would keep a core busy.
	writing sync.Mutex
}

// positions makes a copier whose output leaves room for head bytes, if r and w allow one.
func positions(w io.Writer, r io.Reader, t *transform, head int64) (*copier, bool, error) {
	out, ok := w.(*os.File)
	if !ok {
		return nil, false, nil
	}
	if _, regular, err := regularSize(out); err != nil || !regular {
		return nil, false, err
	}
	in, err := sectionOf(r)
	if err != nil || in == nil {
		return nil, false, err
	}
	to, err := out.Seek(0, io.SeekCurrent)
	return &copier{transform: t, section: in, w: out, to: to + head}, err == nil, err
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
func (c *copier) run(ctx context.Context, p Progress) (err error) {
	c.open(c.transform)
	defer func() { err = errors.Join(err, c.close()) }()
	g, ctx := errgroup.WithContext(ctx)
	count := c.chunks(c.in)
	for range min(int64(workers(2*c.room())), count) {
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
	n := len(buf)
	out, err := c.section.transform(c.transform, buf, at, uint64(index), last)
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
