package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// The audit log is a file of JSON lines, one a decision. The last field of each line, chain, is the hex SHA-256 of the chain
// before it and of the line without it: a line that was changed, moved or taken out shows. The first line of a file says
// which chain it continues. (Lines cut off at the end show only to who has a later copy.)
const (
	drainInterval = 50 * time.Millisecond
	syncInterval  = time.Second
	streamLimit   = 1 << 20 // bytes of a stream that wait for the writer; then its requests wait too
)

// An Audit writes the audit log. Its streams are written to without a lock that they share.
type Audit struct {
	log  *slog.Logger
	path string
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards streams, reopen
	streams map[*AuditStream]struct{}
	reopen  bool

	// The writer's own.
	file    *os.File
	chain   [sha256.Size]byte
	pending []byte // lines that are chained and not yet in the file
	synced  time.Time
	failing bool
}

// OpenAudit opens the log at path (mode 0600), continues its chain, and starts the writer. A last line that a crash tore is
// cut off and reported.
func OpenAudit(path string, log *slog.Logger) (*Audit, error) {
	a := &Audit{
		log: log, path: path, streams: make(map[*AuditStream]struct{}),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := a.open(); err != nil {
		return nil, err
	}
	go a.write()
	return a, nil
}

// open opens the file and finds where its chain stands. A new file begins with a line that names the chain it continues.
func (a *Audit) open() error {
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	last, end, err := lastLine(f)
	if err == nil {
		err = a.trim(f, end)
	}
	if err == nil && last != nil {
		_, a.chain, err = splitChain(last)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("opening the audit log %s: %w", a.path, err)
	}
	if last == nil {
		line := fmt.Sprintf(`{"time":%q,"event":"opened","continues":%q}`+"\n", time.Now().UTC().Format(auditTime), hex.EncodeToString(a.chain[:]))
		a.link([]byte(line))
	}
	a.file = f
	return nil
}

// trim cuts off what stands behind the last whole line.
func (a *Audit) trim(f *os.File, end int64) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == end {
		return err
	}
	a.log.Warn("the last line of the audit log was torn, and is cut off", "file", a.path, "bytes", size-end)
	if err := f.Truncate(end); err != nil {
		return err
	}
	_, err = f.Seek(end, io.SeekStart)
	return err
}

// lastLine is the last whole line of f, without its newline, and where it ends.
func lastLine(f *os.File) (line []byte, end int64, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	const most = 64 << 10 // a line is far shorter
	from := max(0, size-most)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil && err != io.EOF {
		return nil, 0, err
	}
	stop := bytes.LastIndexByte(tail, '\n')
	if stop < 0 {
		if from > 0 {
			return nil, 0, fmt.Errorf("its last %d bytes are no line", most)
		}
		return nil, 0, nil
	}
	start := bytes.LastIndexByte(tail[:stop], '\n') + 1
	return tail[start:stop], from + int64(stop) + 1, nil
}

// Reopen closes the file and opens the path again, after the lines that wait: for rotation of logs.
func (a *Audit) Reopen() {
	a.mu.Lock()
	a.reopen = true
	a.mu.Unlock()
	a.poke()
}

// Close writes what waits, and ends the writer. The streams are closed before.
func (a *Audit) Close() error {
	close(a.stop)
	<-a.done
	if len(a.pending) > 0 {
		return fmt.Errorf("%d bytes of audit lines could not be written to %s", len(a.pending), a.path)
	}
	return a.file.Close()
}

func (a *Audit) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// write drains the streams until Close.
func (a *Audit) write() {
	defer close(a.done)
	tick := time.NewTicker(drainInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-a.wake:
		case <-a.stop:
			a.drain()
			a.sync()
			return
		}
		a.drain()
	}
}

// drain takes what waits in the streams, chains it, and writes it. What cannot be written stays, and is tried again: the
// streams fill up and hold their requests back, and nothing is lost.
func (a *Audit) drain() {
	a.mu.Lock()
	streams := make([]*AuditStream, 0, len(a.streams))
	for s := range a.streams {
		streams = append(streams, s)
	}
	reopen := a.reopen
	a.reopen = false
	a.mu.Unlock()
	for _, s := range streams {
		if len(a.pending) < 8*streamLimit {
			s.take(a)
		}
	}
	a.flush()
	if reopen && len(a.pending) == 0 {
		a.rotate()
	}
	if time.Since(a.synced) >= syncInterval {
		a.sync()
	}
}

func (a *Audit) flush() {
	if len(a.pending) == 0 {
		return
	}
	n, err := a.file.Write(a.pending)
	a.pending = a.pending[:copy(a.pending, a.pending[n:])]
	if err != nil && !a.failing {
		a.log.Error("writing the audit log: requests wait until it can be written", "file", a.path, "err", err)
	} else if err == nil && a.failing {
		a.log.Info("the audit log is written again", "file", a.path)
	}
	a.failing = err != nil
}

func (a *Audit) rotate() {
	a.sync()
	old := a.file
	if err := a.open(); err != nil {
		a.log.Error("reopening the audit log: the old file is kept", "err", err)
		return
	}
	old.Close()
}

func (a *Audit) sync() {
	a.synced = time.Now()
	if err := a.file.Sync(); err != nil {
		a.log.Error("writing the audit log to disk", "file", a.path, "err", err)
	}
}

// link chains whole lines and appends them to what is pending.
func (a *Audit) link(lines []byte) {
	var block []byte
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		line := lines[:end]
		lines = lines[end+1:]
		block = append(append(block[:0], a.chain[:]...), line...)
		a.chain = sha256.Sum256(block)
		a.pending = append(a.pending, line[:len(line)-1]...)
		a.pending = append(a.pending, chainField...)
		a.pending = hex.AppendEncode(a.pending, a.chain[:])
		a.pending = append(a.pending, "\"}\n"...)
	}
}

const chainField = `,"chain":"`

// splitChain takes a line apart into the line without its chain, and the chain.
func splitChain(line []byte) (body []byte, chain [sha256.Size]byte, err error) {
	at := len(line) - len(chainField) - 2*sha256.Size - len(`"}`)
	if at < 1 || !bytes.HasSuffix(line, []byte(`"}`)) || !bytes.HasPrefix(line[at:], []byte(chainField)) {
		return nil, chain, fmt.Errorf("the line does not end in a chain")
	}
	if _, err := hex.Decode(chain[:], line[at+len(chainField):len(line)-2]); err != nil {
		return nil, chain, fmt.Errorf("the chain of the line is no hex number")
	}
	return append(bytes.Clone(line[:at]), '}'), chain, nil
}

// Stream is a new way into the log, for one connection.
func (a *Audit) Stream() *AuditStream {
	s := &AuditStream{audit: a}
	s.room.L = &s.mu
	a.mu.Lock()
	a.streams[s] = struct{}{}
	a.mu.Unlock()
	return s
}

// An AuditStream queues lines for the writer.
type AuditStream struct {
	audit *Audit

	mu     sync.Mutex // between the connection and the writer, nobody else
	room   sync.Cond
	lines  []byte
	spare  []byte
	closed bool
}

// Write queues the line of an event. When the stream is full it waits for the writer.
func (s *AuditStream) Write(e *Event) {
	s.mu.Lock()
	for len(s.lines) >= streamLimit {
		s.audit.poke()
		s.room.Wait()
	}
	s.lines = e.append(s.lines)
	half := len(s.lines) >= streamLimit/2
	s.mu.Unlock()
	if half {
		s.audit.poke()
	}
}

// Close ends the stream; the writer takes the rest of its lines.
func (s *AuditStream) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// take hands the stream's lines to the writer, and forgets a closed stream.
func (s *AuditStream) take(a *Audit) {
	s.mu.Lock()
	lines := s.lines
	s.lines, s.spare = s.spare[:0], lines
	closed := s.closed
	s.mu.Unlock()
	s.room.Broadcast()
	a.link(lines)
	if closed {
		a.mu.Lock()
		delete(a.streams, s)
		a.mu.Unlock()
	}
}
