package entropy

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pieces    = 64       // of a pool; the next one is begun with the half of them
	pieceSize = 1024 - 8 // bytes
	longest   = 256      // bytes that are mixed at once

	life     = time.Minute           // of a pool, at the longest
	patience = 50 * time.Millisecond // that a read waits for a pool
	fillTime = 5 * time.Second       // that a token may take for one
	respite  = time.Second           // after a token gave nothing, until it is asked again
)

// A Stream gives the bytes that keys which are there make on the way, as IVs and salts:
//
//	os(n) ⊕ n bytes of AES-256-CTR(key = HKDF-SHA512(os(64) ‖ token(64), info = purpose))
//
// The second half comes out of a pool that is filled ahead, one draw for 64 KiB: the token is not asked for each IV, and they do not wait
// for HKDF. The first is new for each read, so that a process that was copied with its pool (a snapshot of a virtual machine) repeats
// nothing either, and what the pool was gives nothing away. Where the token gives nothing the first half remains, which is what the
// system alone gives: reading never fails.
//
// It is safe for concurrent use. No byte of a pool is given twice; one that was given is cleared, and what is left after a minute
// is, too.
type Stream struct {
	source  *Source
	purpose string
	pool    atomic.Pointer[pool] // nil before the first read, and when nothing was read for a while
	at      sync.Pool            // of pieces that are not used up, one for each processor

	mu      sync.Mutex
	filling chan struct{} // closed when the pool under way is there, or is not to be had; nil when none is
	failed  time.Time     // when the token last gave nothing
	timer   *time.Timer   // at half the life of the pool, and at its end
}

// Stream is the stream of a purpose, which is the same for all who ask for it.
func (s *Source) Stream(purpose string) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.streams[purpose]
	if !ok {
		t = &Stream{source: s, purpose: "stream: " + purpose}
		s.streams[purpose] = t
	}
	return t
}

// Read fills b. It never fails.
func (s *Stream) Read(b []byte) (int, error) {
	rand.Read(b) // never fails: it ends the program instead
	for rest := b; len(rest) > 0; {
		n := min(len(rest), longest)
		if !s.mix(rest[:n]) && !s.wait(rest[:n]) {
			s.source.alone.Add(1)
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// mix mixes bytes of the pool into b, if it has as many. A processor goes on with the piece that it took last, if that is still
// known.
func (s *Stream) mix(b []byte) bool {
	at, _ := s.at.Get().(*piece)
	for at == nil || !at.mix(b) {
		p := s.pool.Load()
		if p == nil {
			return false
		}
		var low bool
		at, low = p.piece()
		if low {
			s.fill()
		}
		if at == nil {
			return false
		}
	}
	s.at.Put(at)
	return true
}

// wait is mix once there is a new pool, if there is one soon.
func (s *Stream) wait(b []byte) bool {
	soon := time.NewTimer(patience)
	defer soon.Stop()
	for {
		filling := s.fill()
		if filling == nil {
			return false
		}
		select {
		case <-filling:
		case <-soon.C:
			return false
		}
		if s.mix(b) {
			return true
		}
	}
}

// fill begins a new pool, unless one is under way. The channel is closed when it is there, or is not to be had; it is nil where
// none is begun: the token gave nothing a moment ago, or the source is closed.
func (s *Stream) fill() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filling != nil {
		return s.filling
	}
	if time.Since(s.failed) < respite {
		return nil
	}
	done := make(chan struct{})
	if !s.source.begin(func(ctx context.Context) { s.draw(ctx, done) }) {
		return nil
	}
	s.filling = done
	return done
}

// draw makes a new pool.
func (s *Stream) draw(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fillTime)
	defer cancel()
	p, err := newPool(s.source.Reader(ctx, s.purpose))
	s.source.tell(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filling = nil
	defer close(done)
	if err != nil {
		s.failed = time.Now()
		return
	}
	s.put(p)
	s.timer = time.AfterFunc(life/2, func() { s.age(p) })
}

// put puts a pool, or none, in the place of the one before. The caller holds mu.
func (s *Stream) put(p *pool) {
	if old := s.pool.Swap(p); old != nil {
		s.timer.Stop()
		old.wipe()
	}
}

// age replaces a pool of which something was read in half of its life, ahead of the end of it. There it is wiped: by then it was
// not replaced, or nobody reads.
func (s *Stream) age(p *pool) {
	if p.next.Load() > 0 {
		s.fill()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool.Load() == p {
		s.timer = time.AfterFunc(life/2, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.pool.Load() == p {
				s.put(nil)
			}
		})
	}
}

// A pool is what one draw gives, in pieces.
type pool struct {
	next   atomic.Int64 // piece
	pieces [pieces]piece
}

// newPool expands 32 bytes of random, a key for this pool alone.
func newPool(random io.Reader) (*pool, error) {
	var key [32]byte
	defer clear(key[:])
	if _, err := random.Read(key[:]); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	p, expand := new(pool), cipher.NewCTR(block, make([]byte, aes.BlockSize))
	for i := range p.pieces {
		b := p.pieces[i].bytes[:]
		expand.XORKeyStream(b, b)
	}
	return p, nil
}

// piece is one that nobody else gets, nil when there are no more; low says that it is the one at which to begin the next pool.
func (p *pool) piece() (_ *piece, low bool) {
	n := p.next.Add(1) - 1
	if n >= pieces {
		return nil, false
	}
	return &p.pieces[n], n == pieces/2
}

// wipe takes what is left.
func (p *pool) wipe() {
	for i := range p.pieces {
		clear(p.pieces[i].take(pieceSize))
	}
}

// A piece is of a pool. It is as long as a number of cache lines, so that processors that take of different ones do not wait for
// each other.
type piece struct {
	taken atomic.Int64 // bytes, from the beginning on: who adds to it owns those, and clears them
	bytes [pieceSize]byte
}

// take gives n bytes to nobody else, nil where there are not as many: what is left is cleared then.
func (p *piece) take(n int) []byte {
	end := int(p.taken.Add(int64(n)))
	if end > pieceSize {
		clear(p.bytes[min(end-n, pieceSize):])
		return nil
	}
	return p.bytes[end-n : end]
}

// mix mixes bytes of the piece into b, and clears them here, if there are as many.
func (p *piece) mix(b []byte) bool {
	mine := p.take(len(b))
	subtle.XORBytes(b, b, mine[:min(len(b), len(mine))])
	clear(mine)
	return mine != nil
}
