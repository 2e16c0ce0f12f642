// Package entropy mixes random bytes of a token into those of the operating system, so that what is made of them is as hard to
// guess as the better of the two.
package entropy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/hkdf"
)

const (
	half      = 64                // bytes of each source in one draw
	block     = 16                // bytes that are compared for repetition
	most      = 255 * sha512.Size // bytes that HKDF-SHA512 gives for one draw (RFC 5869 §2.3)
	remembers = 256               // draws whose blocks are known again
)

// What a token is refused for. SP 800-90B §4.4.1 asks for a like test of a source that may be stuck.
var (
	errZero     = errors.New("the random bytes of the token are zeros, or too few of them came: nothing is made of them")
	errRepeated = errors.New("the random bytes of the token repeat: nothing is made of them")
)

// A Source mixes. It is safe for concurrent use.
type Source struct {
	token func(ctx context.Context, b []byte) error
	log   *slog.Logger
	alone atomic.Uint64 // reads of streams that got nothing of the token

	life    context.Context // of what fills the pools of streams
	end     context.CancelFunc
	filling sync.WaitGroup

	mu      sync.Mutex
	known   map[[sha256.Size]byte]struct{} // digests of blocks of the last draws
	ring    [][sha256.Size]byte            // the same, the oldest at next
	next    int
	streams map[string]*Stream // by purpose
	away    error              // why the last pool of a stream was not filled; nil when it was
	closed  bool

	draws, failed, refused atomic.Uint64
}

// Counts are what came of a Source since it was made.
type Counts struct {
	Draws   uint64 // of 64 bytes of the token
	Failed  uint64 // of those: the token gave none
	Refused uint64 // of those: what it gave was zeros, or had come before
}

// Counts tells how often the token was asked, and how often it failed.
func (s *Source) Counts() Counts {
	return Counts{Draws: s.draws.Load(), Failed: s.failed.Load(), Refused: s.refused.Load()}
}

// New makes a Source of a token, which fills b with random bytes or says why it cannot. Close ends it.
func New(token func(ctx context.Context, b []byte) error, log *slog.Logger) *Source {
	s := &Source{token: token, log: log, known: map[[sha256.Size]byte]struct{}{}, streams: map[string]*Stream{}}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Close wipes what streams hold. What they give from then on is of the system alone; readers of before go on.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	streams := slices.Collect(maps.Values(s.streams))
	s.mu.Unlock()
	s.end()
	s.filling.Wait()
	for _, t := range streams {
		t.mu.Lock()
		t.put(nil)
		t.mu.Unlock()
	}
}

// begin runs what fills a pool, unless the source is closed.
func (s *Source) begin(fill func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.filling.Go(func() { fill(s.life) })
	}
	return !s.closed
}

// Alone is how many reads of streams got nothing of the token since the source was made, and why it gives nothing now, nil if it does.
func (s *Source) Alone() (reads uint64, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone.Load(), s.away
}

// tell notes whether a pool was filled, and logs it where that was otherwise before.
func (s *Source) tell(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch before := s.away; {
	case s.closed:
		return
	case err != nil && before == nil:
		s.log.Error("the token gives no random bytes: IVs and salts are made of the system's alone, keys are not made", "err", err)
	case err == nil && before != nil:
		s.log.Info("the token gives random bytes again", "alone", s.alone.Load())
	}
	s.away = err
}

// Reader gives HKDF-SHA512(os(64) ‖ token(64), info = purpose), of a new draw for every 16,320 bytes: one that only ever sees the
// token's half, or only the system's, learns nothing of what is read. The first error is that of all reads behind it; nothing is
// ever read of one source alone. A Reader is not safe for concurrent use.
func (s *Source) Reader(ctx context.Context, purpose string) io.Reader {
	return &reader{source: s, ctx: ctx, purpose: []byte("strongroom entropy: " + purpose)}
}

type reader struct {
	source  *Source
	ctx     context.Context // of the operation that the reader was made for
	purpose []byte
	bytes   io.Reader
	left    int
	err     error
}

// Read fills b, or fails.
func (r *reader) Read(b []byte) (int, error) {
	for rest := b; len(rest) > 0 && r.err == nil; {
		if r.left == 0 {
			r.err = r.draw()
			continue
		}
		n := min(len(rest), r.left)
		if _, r.err = io.ReadFull(r.bytes, rest[:n]); r.err == nil {
			rest, r.left = rest[n:], r.left-n
		}
	}
	if r.err != nil {
		clear(b)
		return 0, r.err
	}
	return len(b), nil
}

// draw takes new bytes of both sources.
func (r *reader) draw() error {
	var secret [2 * half]byte
	defer clear(secret[:])
	rand.Read(secret[:half]) // never fails: it ends the program instead
	r.source.draws.Add(1)
	if err := r.source.token(r.ctx, secret[half:]); err != nil {
		r.source.failed.Add(1)
		return err
	}
	if err := r.source.check(secret[half:]); err != nil {
		r.source.refused.Add(1)
		return err
	}
	r.bytes, r.left = hkdf.New(sha512.New, secret[:], nil, r.purpose), most
	return nil
}

// check refuses bytes that no generator gives: a block of zeros, as a token leaves it that gave fewer than it was asked for, and
// one that came before.
func (s *Source) check(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(b) > 0 {
		if bytes.Count(b[:block], []byte{0}) == block {
			return errZero
		}
		digest := sha256.Sum256(b[:block])
		if _, ok := s.known[digest]; ok {
			return errRepeated
		}
		s.remember(digest)
		b = b[block:]
	}
	return nil
}

// remember notes a digest in place of the oldest.
func (s *Source) remember(digest [sha256.Size]byte) {
	if len(s.ring) < remembers*half/block {
		s.ring = append(s.ring, digest)
	} else {
		delete(s.known, s.ring[s.next])
		s.ring[s.next] = digest
		s.next = (s.next + 1) % len(s.ring)
	}
	s.known[digest] = struct{}{}
}
