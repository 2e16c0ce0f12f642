package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"strongroom/kmip"
	"strongroom/store/seal"
)

// Options are what a Store needs to know beside its place. The zero value works: rows under the root key, nothing
// remembered opened.
type Options struct {
	// Cache remembers opened keys; nil opens a key for each use.
	Cache kmip.Cache

	// KeyEncryptionKey is the identifier of the key that wraps new rows, "" for the root key alone. An object that
	// names its own wrapping key goes under that one instead.
	KeyEncryptionKey string

	// Protector resolves the identifier of a wrapping key, in a token or in the database. It decides whether that
	// key may be used for wrapping; its attributes decide the mechanism.
	Protector func(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error)

	// Random is where data keys and IVs come from, nil for crypto/rand.
	Random io.Reader

	// Objects is how many objects are kept decoded in memory, 0 for 16,384, some 5 KB each.
	Objects int

	// Now is the clock, nil for time.Now.
	Now func() time.Time
}

// A Store is a database of managed objects. It is safe for concurrent use.
type Store struct {
	options Options
	cache   kmip.Cache
	now     func() time.Time

	lock    io.Closer // keeps other servers out
	readers *sql.DB
	reads   reads
	writer  *writer
	root    *seal.Root
	rows    *recent[*row]
	records *recent[*kmip.Record]

	settings *recent[*setting]

	ending sync.Once
	ended  error // what closing said
}

// reads are the prepared statements of the readers.
type reads struct {
	object, grants, setting, record, owned, obtained, locateAll, locateWord, due *sql.Stmt
}

// Open opens the database that url names, "sqlite:<path>", and makes it when it is not there. The Store is sealed until its
// Root is initialized or unsealed. Close ends it.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		scheme, _, _ := strings.Cut(url, ":")
		return nil, fmt.Errorf("opening the store: %q is not a kind of database this server has; the url is sqlite:<path>", scheme)
	}
	s := &Store{options: o, cache: o.Cache, now: o.Now}
	if s.cache == nil {
		s.cache = uncached{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	n := cmp.Or(o.Objects, 16_384)
	s.rows, s.records = newRecent[*row](n), newRecent[*kmip.Record](n)
	s.settings = newRecent[*setting](1)
	s.root = seal.NewRoot(slots{s}, s.now)
	if err := s.openSQLite(ctx, strings.TrimPrefix(path, "//")); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %s: %w", url, err), s.Close())
	}
	return s, nil
}

// prepare makes the readers' statements.
func (s *Store) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.reads.object, selectObject},
		{&s.reads.grants, selectGrants},
		{&s.reads.record, selectRecord},
		{&s.reads.setting, selectSetting},
		{&s.reads.owned, selectOwned},
		{&s.reads.obtained, selectObtained},
		{&s.reads.locateAll, locateAll},
		{&s.reads.locateWord, locateWord},
		{&s.reads.due, selectDue},
	} {
		stmt, err := s.readers.PrepareContext(ctx, p.text)
		if err != nil {
			return fmt.Errorf("preparing %q: %w", p.text, err)
		}
		*p.stmt = stmt
	}
	return nil
}

// Root is the root key that protects the rows.
func (s *Store) Root() *seal.Root { return s.root }

// Close finishes the writes that were begun, clears the root key and closes the database. A second call does nothing.
func (s *Store) Close() error {
	s.ending.Do(func() { s.ended = s.close() })
	return s.ended
}

func (s *Store) close() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	s.root.Seal()
	return errors.Join(errs...)
}
