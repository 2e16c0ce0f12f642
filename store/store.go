package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

	// Token makes keys of the class hsm-wrapped; nil where there is no HSM. HSMWrappingKey is the identifier of the key that wraps
	// them there, where they do not name one; "{identity}" in it stands for the owner.
	Token          Token
	HSMWrappingKey string

	// Random is where new keys, their data keys and IVs come from, nil for crypto/rand.
	Random kmip.Random

	// IVs is where IVs and salts come from that keys make in use, nil for crypto/rand.
	IVs kmip.IVs

	// Memory is how much is kept in memory of objects that were used or made last, in bytes; 0 for 32 MB. An object with
	// the usual attributes takes 3 KB.
	Memory int

	// Now is the clock, nil for time.Now.
	Now func() time.Time

	// Log is told what takes long, nil for nobody.
	Log *slog.Logger
}

// A Store is a database of managed objects. It is safe for concurrent use.
type Store struct {
	options Options
	path    string // of the database
	cache   kmip.Cache
	now     func() time.Time
	log     *slog.Logger

	lock    io.Closer // keeps other servers out
	readers *sql.DB
	reads   reads
	writer  *writer
	root    *seal.Root
	rows    *recent[*row]
	records *recent[*kmip.Record]
	classes *recent[kmip.Attributes] // by the bytes of their lists
	long    chan struct{}            // as many values as there are long searches under way

	settings *recent[*setting]

	created atomic.Uint64 // objects

	ending sync.Once
	ended  error // what closing said
}

// reads are the prepared statements of the readers.
type reads struct {
	object, grants, setting, record, owned, obtained, due *sql.Stmt

	list, classes, locateObject, locateObjects, locateOne, dates, newest, objectAfter *sql.Stmt
}

// Open opens the database that url names, "sqlite:<path>", and makes it when it is not there. The Store is sealed until its
// Root is initialized or unsealed. Close ends it.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		scheme, _, _ := strings.Cut(url, ":")
		return nil, fmt.Errorf("opening the store: %q is not a kind of database this server has; the url is sqlite:<path>", scheme)
	}
	s := &Store{options: o, cache: o.Cache, now: o.Now, log: o.Log}
	if s.cache == nil {
		s.cache = uncached{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	memory := cmp.Or(o.Memory, 32<<20)
	s.rows, s.records = newRecent(memory, (*row).size), newRecent(memory, recordSize)
	s.classes, s.settings = newRecent(4096, unit[kmip.Attributes]), newRecent(64, unit[*setting])
	s.long = make(chan struct{}, max(1, runtime.NumCPU()/2))
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
		{&s.reads.due, selectDue},
		{&s.reads.list, readList},
		{&s.reads.classes, selectClasses},
		{&s.reads.locateObject, locateObject},
		{&s.reads.locateObjects, locateObjects},
		{&s.reads.locateOne, locateOne},
		{&s.reads.dates, listDates},
		{&s.reads.newest, newestObject},
		{&s.reads.objectAfter, objectAfter},
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
