//go:build !linux

package file

// A view maps nothing on this system: the caller reads instead.
type view struct{}

func (s *section) mapped(int64, int, int, func([]byte)) (ok bool, err error) { return false, nil }

func (s *section) close() error { return nil }
