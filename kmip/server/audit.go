package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	auditInterval = 50 * time.Millisecond // a line is written at the latest this long after it was queued
	auditFull     = 1 << 20               // bytes that a stream queues before it holds its requests back
	auditChunk    = 256 << 10             // bytes given to the file in one write, about
	auditRetry    = time.Second           // between attempts to write to a file that refuses
)

// An Audit writes one JSON line for each decision, every line chained to the one before it by a hash, so that a line
// that was changed, taken out or moved is found by VerifyAudit. Who can write the file can also make a chain anew, or cut
// its end: the head of the chain is therefore logged whenever the file is opened and closed.
//
// Connections queue their lines in streams of their own; one goroutine chains and writes them, in the order of each
// stream, and has them on the disk within a second. Nothing is lost while the process lives: a stream that is full, or
// any stream while the file cannot be written, holds its requests back until it can, which is logged as an error.
//
// A nil *Audit is one that is off: its streams take everything and write nothing.
type Audit struct {
	path   string
	log    *slog.Logger
	file   atomic.Pointer[os.File] // replaced by the writer alone
	stuck  atomic.Bool             // the file cannot be written
	lines  atomic.Uint64           // that were chained
	unsync atomic.Bool             // something was written since the last fsync
	urgent chan struct{}           // a stream is half full
	reopen chan chan error
	end    chan struct{} // closed by Close
	ended  sync.Once
	wg     sync.WaitGroup
	err    error // of the last write; read after wg

	mu      sync.Mutex
	streams []*AuditStream
	done    bool // the writer has ended

	// Of the writer alone.
	chain   auditChain
	out     []byte // chained lines, not yet written
	pending []*AuditStream
}

// OpenAudit continues the audit in the file at path, or begins it there (mode 0600). A last line that was torn by a crash
// is taken out, and told of in the line that says that the file was opened. The file is locked: two processes that
// continue one chain would break it.
func OpenAudit(path string, log *slog.Logger) (*Audit, error) {
	if log == nil {
		log = slog.Default()
	}
	a := &Audit{
		path: path, log: log,
		urgent: make(chan struct{}, 1), reopen: make(chan chan error), end: make(chan struct{}),
	}
	f, err := a.begin()
	if err != nil {
		return nil, fmt.Errorf("opening the audit file: %w", err)
	}
	a.file.Store(f)
	a.wg.Go(a.write)
	a.wg.Go(a.sync)
	return a, nil
}

// begin opens the file, finds the end of its chain, and adds the line that says so.
func (a *Audit) begin() (*os.File, error) {
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	chain, err := a.continueIn(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	a.chain = chain
	a.log.Info("audit file opened", "file", a.path, "chain", hex.EncodeToString(chain.head[:]))
	return f, nil
}

func (a *Audit) continueIn(f *os.File) (auditChain, error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return auditChain{}, fmt.Errorf("%s: another process writes it: %w", a.path, err)
	}
	head, torn, err := auditTail(f)
	if err != nil {
		return auditChain{}, err
	}
	chain := a.chain // of the file before, when this one is new
	if head != nil {
		chain.head = *head
	}
	if len(torn) > 0 {
		a.log.Warn("the last line of the audit file was torn", "file", a.path, "bytes", len(torn))
	}
	line := chain.append(nil, appendOpened(nil, time.Now(), &chain.head, torn))
	if _, err := f.Write(line); err != nil {
		return auditChain{}, err
	}
	return chain, f.Sync()
}

// Reopen begins a new file at the path, when the present one has been moved away; the chain goes on in it. An error
// leaves the present file in use.
func (a *Audit) Reopen() error {
	if a == nil {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case a.reopen <- answer:
		return <-answer
	case <-a.end:
		return errors.New("the audit is closed")
	}
}

// Close writes what is queued and ends the audit. What comes later is refused, and logged. The error says that lines could
// not be written.
func (a *Audit) Close() error {
	if a == nil {
		return nil
	}
	a.ended.Do(func() { close(a.end) })
	a.wg.Wait()
	return a.err
}

// write is the goroutine that empties the streams.
func (a *Audit) write() {
	tick := time.NewTicker(auditInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-a.urgent:
		case answer := <-a.reopen:
			a.drain(false)
			answer <- a.turn()
			continue
		case <-a.end:
			a.finish()
			return
		}
		a.drain(false)
	}
}

// sync is the goroutine that brings the file to the disk every second.
func (a *Audit) sync() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-a.end:
			return
		}
		if a.unsync.Swap(false) {
			if err := a.file.Load().Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
				a.log.Error("bringing the audit file to the disk", "file", a.path, "err", err)
			}
		}
	}
}

// turn goes over to a new file, if the present one is no longer at the path.
func (a *Audit) turn() error {
	old := a.file.Load()
	present, err := old.Stat()
	if err != nil {
		return err
	}
	if found, err := os.Stat(a.path); err == nil && os.SameFile(present, found) {
		return nil
	}
	if len(a.out) > 0 {
		return errors.New("the present audit file cannot be written, and lines wait for it")
	}
	f, err := a.begin()
	if err != nil {
		return fmt.Errorf("opening the audit file again: %w", err)
	}
	a.file.Store(f)
	if err := old.Sync(); err != nil {
		a.log.Error("bringing the audit file to the disk", "file", old.Name(), "err", err)
	}
	return old.Close()
}

// drain takes what the streams have queued, chains it and writes it. The last drain lets them queue no more.
func (a *Audit) drain(last bool) {
	a.mu.Lock()
	a.done = last
	a.pending = append(a.pending[:0], a.streams...)
	a.mu.Unlock()
	ended := 0
	for _, s := range a.pending {
		queued, over := s.take(last)
		for rest := queued; len(rest) > 0; {
			n := bytes.IndexByte(rest, '\n')
			a.lines.Add(1)
			a.out = a.chain.append(a.out, rest[:n])
			rest = rest[n+1:]
			if len(a.out) >= auditChunk {
				a.flush()
			}
		}
		s.giveBack(queued)
		if over {
			ended++
		}
	}
	a.flush()
	if ended > 0 {
		a.forget()
	}
}

// forget drops the streams whose connections have ended and whose lines are written.
func (a *Audit) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.streams[:0]
	for _, s := range a.streams {
		if !s.drop() {
			kept = append(kept, s)
		}
	}
	clear(a.streams[len(kept):])
	a.streams = kept
}

// flush writes the chained lines, and tries until it can: a line that was begun in this file is ended in it. When the
// audit is closed meanwhile it gives up.
func (a *Audit) flush() {
	for attempt := 0; len(a.out) > 0; attempt++ {
		n, err := a.file.Load().Write(a.out)
		a.unsync.Store(true)
		a.out = a.out[:copy(a.out, a.out[n:])]
		if a.err = err; err == nil {
			continue
		}
		a.stuck.Store(true)
		if attempt%10 == 0 {
			a.log.Error("the audit file cannot be written: requests are held back until it can", "file", a.path, "err", err)
		}
		if !a.retry() {
			return
		}
	}
	if a.stuck.CompareAndSwap(true, false) {
		a.log.Info("the audit file can be written again", "file", a.path)
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, s := range a.streams {
			s.room.Broadcast()
		}
	}
}

// retry waits until the file may be tried again; it is false when the audit was closed.
func (a *Audit) retry() bool {
	wait := time.NewTimer(auditRetry)
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
			return true
		case answer := <-a.reopen:
			answer <- errors.New("the present audit file cannot be written, and lines wait for it")
		case <-a.end:
			return false
		}
	}
}

// finish writes what is left. No stream can hold anything back any more, so this ends.
func (a *Audit) finish() {
	a.drain(true)
	f := a.file.Load()
	if err := errors.Join(a.err, f.Sync(), f.Close()); err != nil {
		a.err = fmt.Errorf("closing the audit file: %w", err)
		a.log.Error("the last audit lines may be lost", "file", a.path, "bytes", len(a.out), "err", err)
	}
	a.log.Info("audit file closed", "file", a.path, "chain", hex.EncodeToString(a.chain.head[:]))
}

// An auditChain has the hash of the last line: the SHA-256 of the hash before it and of the line without its own.
type auditChain struct {
	head    [sha256.Size]byte
	scratch []byte
}

// auditHash begins the last member of every line.
const auditHash = `,"chain":"`

// append adds to out the line, which is a JSON object without its closing brace, and the hash that chains it.
func (c *auditChain) append(out, line []byte) []byte {
	c.scratch = append(append(c.scratch[:0], c.head[:]...), line...)
	c.head = sha256.Sum256(c.scratch)
	out = append(append(out, line...), auditHash...)
	out = hex.AppendEncode(out, c.head[:])
	return append(out, '"', '}', '\n')
}
