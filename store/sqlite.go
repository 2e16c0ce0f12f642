package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// openSQLite opens a file as two pools: one connection that writes, and several that cannot.
func (s *Store) openSQLite(ctx context.Context, path string) (err error) {
	if path == "" || strings.HasPrefix(path, ":") {
		return errors.New("the url of a SQLite store names a file: an object that was answered must be on disk")
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	s.path = path
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.sweep(); err != nil {
		return err
	}
	if err := secretFile(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "_txlock=immediate", "_pragma=journal_mode(WAL)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db, s.log); err != nil {
		return errors.Join(err, db.Close())
	}
	if s.writer, err = newWriter(ctx, db, truncateLog, writes); err != nil {
		return errors.Join(err, db.Close())
	}
	if s.readers, err = sql.Open("sqlite", dsn(path, "mode=ro", "_query_only=1")); err != nil {
		return err
	}
	n := max(4, runtime.NumCPU())
	s.readers.SetMaxOpenConns(n)
	s.readers.SetMaxIdleConns(n)
	return s.prepare(ctx)
}

// truncateLog empties the write-ahead log, where the pages of deleted rows stay otherwise until new ones cover them. It does
// not wait for readers: while there are any it is not done.
func truncateLog(db *sql.DB) (done bool) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := conn.ExecContext(context.Background(), `PRAGMA busy_timeout(0)`); err != nil {
		return false
	}
	var busy, pages, moved int
	err = conn.QueryRowContext(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
	_, restored := conn.ExecContext(context.Background(), `PRAGMA busy_timeout(5000)`)
	return err == nil && restored == nil && busy == 0
}

// dsn is the data source name of a path with the pragmas that all connections have. Secure_delete overwrites what is
// deleted; synchronous FULL makes a commit wait for the disk.
func dsn(path string, more ...string) string {
	parameters := append([]string{
		"_defensive=1",
		"_dqs=0",
		"_pragma=busy_timeout(5000)",
		"_pragma=synchronous(FULL)",
		"_pragma=foreign_keys(1)",
		"_pragma=secure_delete(1)",
		"_pragma=trusted_schema(0)",
		"_pragma=temp_store(MEMORY)",
		"_pragma=cache_size(-16000)",
	}, more...)
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(parameters, "&")
}

// secretFile makes path with mode 0600, or checks that it has no more. SQLite gives its -wal and -shm files the same.
func secretFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return fmt.Errorf("the database has mode %v: others than its owner can read or change it; run chmod 600", mode)
	}
	return nil
}

// lockFile takes a lock that ends with the process, so that two servers do not share one SQLite file: each would keep
// objects in memory that the other has changed.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := make([]byte, 32)
		n, _ := f.Read(holder)
		err = fmt.Errorf("another server has it open: process %s holds %s", strings.TrimSpace(string(holder[:n])), path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
