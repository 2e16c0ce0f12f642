package file

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// mapped gives f the bytes of a regular file where they lie in the page cache, so that they need not be copied; ok is false
// where the file cannot be mapped there, and f was not called. It is for input that is encrypted: to open what somebody may
// change meanwhile would be to release what was not checked.
//
// The pages are let go behind f: what is mapped counts as the process's memory. A file that becomes shorter meanwhile is an
// error.
func mapped(file *os.File, at int64, n int, f func([]byte) error) (ok bool, err error) {
	if n == 0 || at%int64(os.Getpagesize()) != 0 {
		return false, nil
	}
	b, err := unix.Mmap(int(file.Fd()), at, n, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return false, nil // a file system that cannot
	}
	defer func() { err = errors.Join(err, unix.Munmap(b)) }()
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
	return ok, f(b)
}
