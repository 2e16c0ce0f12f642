package file

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"
)

// A piece is one chunk on its way from the reader through a worker to the writer.
type piece struct {
	buf   []byte // of the capacity a chunk needs
	chunk []byte // part of buf: the input, then the output
	index uint64
	last  bool
	read  int        // bytes of input
	at    int64      // of a section: where they are
	done  chan error // the worker's answer
}

// A pipeline reads in order, transforms on all cores and writes in order. The number of pieces bounds its memory: a
// piece that the writer has written goes back to the reader.
type pipeline struct {
	*transform
	input   *section // of a regular file; nil for a reader that has to be read in order
	free    chan *piece
	work    chan *piece
	ordered chan *piece
}

// stream transforms all of r into w. Of a regular file each worker reads its own chunks.
func stream(ctx context.Context, w io.Writer, r io.Reader, t *transform, p Progress) (err error) {
	input, err := sectionOf(r)
	if err != nil {
		return err
	}
	if input != nil {
		input.open(t)
		defer func() { err = errors.Join(err, input.close()) }()
	}
	n := workers(3 * t.room())
	l := &pipeline{
		transform: t,
		input:     input,
		free:      make(chan *piece, 2*n),
		work:      make(chan *piece, 2*n),
		ordered:   make(chan *piece, 2*n),
	}
	for range cap(l.free) {
		l.free <- &piece{done: make(chan error, 1)}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if l.input != nil {
			return l.cut(ctx)
		}
		return l.read(ctx, r)
	})
	for range n {
		g.Go(func() error { return l.transformAll() })
	}
	g.Go(func() error { return l.write(ctx, w, p) })
	return g.Wait()
}

// read cuts r into chunks. A chunk is the last when nothing follows it, so that each waits for the one after it.
func (l *pipeline) read(ctx context.Context, r io.Reader) error {
	defer close(l.work)
	defer close(l.ordered)
	var before *piece
	for index := uint64(0); ; index++ {
		p, err := l.take(ctx)
		if err != nil {
			return err
		}
		n, end, err := fill(r, p.buf[:l.in])
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		p.chunk, p.read, p.index = p.buf[:n], n, index
		if n == 0 && before != nil {
			before.last = true
			l.send(before)
			return nil
		}
		if before != nil {
			l.send(before)
		}
		if end {
			p.last = true
			l.send(p)
			return nil
		}
		before = p
	}
}

// cut hands out the chunks of the section, for the workers to read.
func (l *pipeline) cut(ctx context.Context) error {
	defer close(l.work)
	defer close(l.ordered)
	count := l.input.chunks(l.in)
	for index := range count {
		p, err := l.take(ctx)
		if err != nil {
			return err
		}
		p.at = index * int64(l.in)
		p.read = int(min(int64(l.in), l.input.size-p.at))
		p.chunk, p.index, p.last = p.buf[:p.read], uint64(index), index == count-1
		l.send(p)
	}
	return nil
}

// fill reads until b is full or r ends. Unlike io.ReadFull it does not take a reader that complains of an unexpected end
// for one that ended.
func fill(r io.Reader, b []byte) (n int, end bool, err error) {
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// take waits for a piece that is free.
func (l *pipeline) take(ctx context.Context) (*piece, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case p := <-l.free:
		if p.buf == nil {
			p.buf = make([]byte, l.room())
		}
		return p, nil
	}
}

// send hands a piece on. It does not wait: the channels have room for all pieces.
func (l *pipeline) send(p *piece) {
	l.ordered <- p
	l.work <- p
}

// transformAll is one worker.
func (l *pipeline) transformAll() error {
	for p := range l.work {
		p.done <- l.transformOne(p)
	}
	return nil
}

// transformOne transforms a piece, of a section from where it lies.
func (l *pipeline) transformOne(p *piece) (err error) {
	if l.input != nil {
		p.chunk, err = l.input.transform(l.transform, p.chunk, p.at, p.index, p.last)
		return err
	}
	p.chunk, err = l.apply(p.chunk, p.index, p.last)
	return err
}

// write writes the pieces in order.
func (l *pipeline) write(ctx context.Context, w io.Writer, progress Progress) error {
	for p := range l.ordered {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := <-p.done; err != nil {
			return err
		}
		if _, err := w.Write(p.chunk); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		progress(p.read)
		l.free <- p
	}
	return nil
}
