package seal

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A Memory holds a secret outside of Go's heap, which the garbage collector neither moves nor copies: in pages of their own that are
// locked against being written to swap where the system lets it (RLIMIT_MEMLOCK), and are left out of core dumps and of child
// processes.
type Memory struct {
	pages  []byte
	bytes  []byte
	locked bool
}

// NewMemory moves a secret, which it clears, into memory of its own.
func NewMemory(secret []byte) (*Memory, error) {
	defer clear(secret)
	page := os.Getpagesize()
	size := (len(secret) + page) / page * page // one page at least
	pages, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for a secret: %w", err)
	}
	m := &Memory{pages: pages, bytes: pages[:len(secret):len(secret)]}
	for _, advice := range []int{unix.MADV_DONTDUMP, unix.MADV_DONTFORK} {
		if err := unix.Madvise(pages, advice); err != nil {
			return nil, fmt.Errorf("memory for a secret: %w", err)
		}
	}
	m.locked = unix.Mlock(pages) == nil
	copy(m.bytes, secret)
	return m, nil
}

// Bytes is the secret. It is not to be used after Destroy, which makes reading it a fault of the process.
func (m *Memory) Bytes() []byte { return m.bytes }

// Locked says whether the system keeps the secret out of swap.
func (m *Memory) Locked() bool { return m.locked }

// Destroy clears the secret and gives the memory back. A second call does nothing.
func (m *Memory) Destroy() {
	if m == nil || m.pages == nil {
		return
	}
	clear(m.pages)
	_ = unix.Munmap(m.pages) // clears the lock, too
	m.pages, m.bytes = nil, nil
}
