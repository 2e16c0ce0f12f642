package kmip

import "context"

// An Opened key has its material in memory. Whoever holds the last reference closes it.
type Opened interface {
	Key
	// Close clears the material; the key is not used again.
	Close()
}

// A Loader opens the key that a Cache does not have.
type Loader interface {
	Load(ctx context.Context) (Opened, error)
}

// A Loan is the use of an opened key for one operation.
type Loan interface {
	// Opened is the key. It stays usable until Return, whatever happens to the cache meanwhile.
	Opened() Opened
	// Return ends the use. It is called exactly once.
	Return()
}

// A Cache remembers opened keys for a bounded time. The index is a digest of the bytes at rest, so that a rewrapped row
// misses by construction.
type Cache interface {
	// Borrow gives the key from memory, or loads it; concurrent misses of one index share one load.
	Borrow(ctx context.Context, index [32]byte, l Loader) (Loan, error)
	// Forget drops a key: the next Borrow loads again, and a load in flight is not remembered.
	Forget(index [32]byte)
}
