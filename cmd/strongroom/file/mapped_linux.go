package file

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"
)

// windowSize is how much of a file is mapped at a time, a multiple of every chunk's size. What is mapped counts as the
// process's memory, and letting it go interrupts every core.
const windowSize = 8 << 20

// Windows give a regular file's bytes where they lie in the page cache, so that they need not be copied. They are for input
// that is encrypted: to open what somebody may change meanwhile would be to release what was not checked.
type windows struct {
	f          *os.File
	from, size int64 // the part of f
	chunk      int

	mu     sync.Mutex
	mapped map[int64]*window // by number
}

// A window is let go when its last chunk is done with.
type window struct {
	bytes  []byte
	chunks int // not done with
}

// newWindows maps chunks of f's size bytes at an offset; nil where they cannot be mapped there.
func newWindows(f *os.File, from, size int64, chunk int) *windows {
	if from%int64(os.Getpagesize()) != 0 || windowSize%chunk != 0 {
		return nil
	}
	return &windows{f: f, from: from, size: size, chunk: chunk, mapped: map[int64]*window{}}
}

// use gives do the n bytes of the chunk at an offset, once for each chunk; ok is false where the file cannot be mapped, and do
// was not called. A file that has become shorter is an error.
func (w *windows) use(at int64, n int, do func([]byte) error) (ok bool, err error) {
	if w == nil {
		return false, nil
	}
	number := at / windowSize
	bytes := w.open(number)
	if bytes == nil {
		return false, nil
	}
	defer func() { err = errors.Join(err, w.done(number)) }()
	at -= number * windowSize
	return true, guarded(bytes[at:at+int64(n)], do)
}

// open gives a window, nil on a file system that maps nothing. Its pages come as they are touched: to have them all at once
// takes longer.
func (w *windows) open(number int64) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.mapped[number]; v != nil {
		return v.bytes
	}
	begin := number * windowSize
	size := int(min(windowSize, w.size-begin))
	b, err := unix.Mmap(int(w.f.Fd()), w.from+begin, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	_ = unix.Madvise(b, unix.MADV_SEQUENTIAL) // without it, it is only slower
	w.mapped[number] = &window{b, (size + w.chunk - 1) / w.chunk}
	return b
}

// done counts one chunk of a window.
func (w *windows) done(number int64) error {
	w.mu.Lock()
	v := w.mapped[number]
	if v.chunks--; v.chunks > 0 {
		w.mu.Unlock()
		return nil
	}
	delete(w.mapped, number)
	w.mu.Unlock()
	return unix.Munmap(v.bytes)
}

// close lets go what is left when not every chunk was used. Nobody uses one any more.
func (w *windows) close() error {
	if w == nil {
		return nil
	}
	var errs []error
	for _, v := range w.mapped {
		errs = append(errs, unix.Munmap(v.bytes))
	}
	clear(w.mapped)
	return errors.Join(errs...)
}

// guarded calls do with bytes that are mapped: where the file ends before them it is an error, not the end of the process.
func guarded(b []byte, do func([]byte) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			fault, is := p.(runtime.Error)
			if !is {
				panic(p)
			}
			if _, addressed := fault.(interface{ Addr() uintptr }); !addressed {
				panic(p)
			}
			err = fmt.Errorf("reading: %w", errShorter)
		}
	}()
	return do(b)
}
