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

// windowSize is how much of a file is mapped at once, in bytes, or a chunk if that is more. To map and to let go stops the threads
// that use the memory, so that it is not done for each chunk; and what is mapped counts as the process's memory.
const windowSize = 16 << 20

// A view is what is mapped of a section, whose chunks are each asked for once. It is safe for concurrent use. The zero value has
// nothing.
type view struct {
	mu      sync.Mutex
	windows map[int64]*window // by number
}

// A window is a part of the file that is mapped.
type window struct {
	once    sync.Once
	mapping []byte // nil: the file cannot be mapped
	left    int64  // chunks that are still to be used
}

// mapped gives f a chunk where it lies in the page cache, so that it need not be copied; in is the size of all chunks but the last.
// ok is false where the file cannot be mapped there, and f was not called. It is for input that is encrypted: to open what somebody
// may change meanwhile would be to release what was not checked.
//
// The pages are let go behind the last chunk of a window. A file that becomes shorter meanwhile is an error.
func (s *section) mapped(at int64, in, n int, f func([]byte)) (ok bool, err error) {
	if n == 0 {
		return false, nil
	}
	each := max(1, windowSize/int64(in)) * int64(in)
	number := at / each
	w := s.window(number, each, in)
	defer func() { err = errors.Join(err, s.leave(number, w)) }()
	if w.mapping == nil {
		return false, nil
	}
	chunk := w.mapping[at-number*each:][:n]
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
	ok = true // also where f ends in a fault
	f(chunk)
	return ok, nil
}

// window is the one of that number, of each bytes of chunks.
func (s *section) window(number, each int64, in int) *window {
	size := min(each, s.size-number*each)
	s.view.mu.Lock()
	w := s.view.windows[number]
	if w == nil {
		if s.view.windows == nil {
			s.view.windows = map[int64]*window{}
		}
		w = &window{left: (size + int64(in) - 1) / int64(in)}
		s.view.windows[number] = w
	}
	s.view.mu.Unlock()
	w.once.Do(func() {
		if from := s.from + number*each; from%int64(os.Getpagesize()) == 0 {
			// An error is one of a file system that cannot.
			w.mapping, _ = unix.Mmap(int(s.f.Fd()), from, int(size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
		}
	})
	return w
}

// leave lets a window go behind its last chunk.
func (s *section) leave(number int64, w *window) error {
	s.view.mu.Lock()
	w.left--
	last := w.left == 0
	if last {
		delete(s.view.windows, number)
	}
	s.view.mu.Unlock()
	if !last {
		return nil
	}
	return w.unmap()
}

func (w *window) unmap() error {
	if w.mapping == nil {
		return nil
	}
	return unix.Munmap(w.mapping)
}

// close lets go what an error has left.
func (s *section) close() error {
	var all error
	for _, w := range s.view.windows {
		all = errors.Join(all, w.unmap())
	}
	s.view.windows = nil
	return all
}
