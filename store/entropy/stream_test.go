package entropy

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// drawn counts the draws of a token that gives good bytes, or an error.
type drawn struct {
	draws atomic.Int64
	err   atomic.Pointer[error]
}

func (d *drawn) token(_ context.Context, b []byte) error {
	d.draws.Add(1)
	if err := d.err.Load(); err != nil {
		return *err
	}
	rand.Read(b)
	return nil
}

// TestStreamIsTheFormula: what a stream gives is what its comment says, byte for byte.
func TestStreamIsTheFormula(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	var own [24]byte
	var os [half]byte
	rand.Read(own[:]) // of the read, which waits for the pool
	rand.Read(os[:])  // of the draw

	cryptotest.SetGlobalRandom(t, 1)
	hsm := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, 5)[:half]
	s := open(t, func(_ context.Context, b []byte) error { copy(b, hsm); return nil }).Stream("IV")
	given := read(t, s, 24)

	secret := append(os[:], hsm...)
	key, err := hkdf.Key(sha512.New, secret, nil, "strongroom entropy: stream: IV", 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	all := make([]byte, 24)
	cipher.NewCTR(block, make([]byte, 16)).XORKeyStream(all, all)
	subtle.XORBytes(all, all, own[:])
	require.Equal(t, all, []byte(given))
}

// TestX41StreamMixesNotReplaces: what a stream gives follows neither from the token's bytes, nor from the system's.
func TestX41StreamMixesNotReplaces(t *testing.T) {
	seen := map[string]bool{}
	for range 50 { // the same token each time, all of whose bytes are foreseen
		s := open(t, counter(0))
		seen[read(t, s.Stream("a"), 12)], seen[read(t, s.Stream("b"), 12)] = true, true
	}
	for i := range uint64(50) { // the same system each time
		cryptotest.SetGlobalRandom(t, 7)
		seen[read(t, open(t, counter(1000*i)).Stream("a"), 12)] = true
	}
	require.Len(t, seen, 150)
}

// TestStreamDrawsAhead: the token is asked once for 64 KiB, ahead of when they are wanted, and not for each read.
func TestStreamDrawsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drawn
		source := open(t, d.token)
		s := source.Stream("IV")
		require.Same(t, s, source.Stream("IV"))
		require.Zero(t, d.draws.Load(), "nothing is drawn before something is read")
		seen := map[string]bool{}
		for range 10_000 {
			seen[read(t, s, 12)] = true
			synctest.Wait()
		}
		require.Len(t, seen, 10_000)
		require.Greater(t, d.draws.Load(), int64(10_000*12/(pieces/2*pieceSize)))
		require.Less(t, d.draws.Load(), int64(200), "with the race detector a piece is forgotten after four reads")
		require.Len(t, read(t, s, 2*pieces*pieceSize), 2*pieces*pieceSize, "more than a pool")
		alone, err := source.Alone()
		require.NoError(t, err)
		require.Zero(t, alone)
	})
}

// TestPoolGivesNothingTwice: however many take from a pool at once, each of its bytes is given to one of them, and cleared.
func TestPoolGivesNothingTwice(t *testing.T) {
	p := new(pool)
	for i := range p.pieces {
		for j := 0; j < pieceSize; j += 4 {
			binary.BigEndian.PutUint32(p.pieces[i].bytes[j:], uint32(i*pieceSize+j+1))
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var given []uint32
	lows := 0
	for i := range 8 {
		all.Go(func() {
			var first *piece
			if i%2 == 0 {
				first = &p.pieces[0] // that half of them share
			}
			b := make([]byte, 4)
			for at, low := first, false; ; at, low = p.piece() {
				mu.Lock()
				if low {
					lows++
				}
				mu.Unlock()
				if at == nil && p.next.Load() > pieces {
					return
				}
				for clear(b); at != nil && at.mix(b); clear(b) {
					mu.Lock()
					given = append(given, binary.BigEndian.Uint32(b))
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	slices.Sort(given)
	require.Len(t, given, pieces*pieceSize/4)
	require.Len(t, slices.Compact(given), pieces*pieceSize/4)
	require.Equal(t, 1, lows, "a pool that is low is told of once")
	requireClear(t, p)
}

func requireClear(t *testing.T, p *pool) {
	t.Helper()
	for i := range p.pieces {
		require.True(t, isClear(&p.pieces[i]), "piece %d", i)
	}
}

func isClear(p *piece) bool { return p.bytes == [pieceSize]byte{} }

// TestPoolIsWiped: what was given is cleared, and what nobody took when the pool ends, or a piece of it is too short.
func TestPoolIsWiped(t *testing.T) {
	p := new(pool)
	for i := range p.pieces {
		fill(p.pieces[i].bytes[:], 0xFF)
	}
	at, _ := p.piece()
	require.True(t, at.mix(make([]byte, 1000)))
	require.True(t, [1000]byte(at.bytes[:1000]) == [1000]byte{})
	require.False(t, isClear(at))
	require.False(t, at.mix(make([]byte, pieceSize-1000+1)))
	require.True(t, isClear(at))
	second, _ := p.piece()
	require.True(t, second.mix(make([]byte, 1)))
	p.wipe()
	requireClear(t, p)
	third, _ := p.piece()
	require.False(t, second.mix(make([]byte, 1)))
	require.False(t, third.mix(make([]byte, 1)))
}

// TestStreamGoesOnAlone: while the token gives nothing, what is read is of the system alone. That is counted, and told once; the
// token is tried again a second later at the soonest, and told of when it is back.
func TestStreamGoesOnAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var d drawn
		away := errors.New("0xE0: CKR_TOKEN_NOT_PRESENT")
		d.err.Store(&away)
		source := New(d.token, slog.New(slog.NewTextHandler(&log, nil)))
		t.Cleanup(source.Close)
		s := source.Stream("IV")
		seen := map[string]bool{}
		for range 100 {
			seen[read(t, s, 12)] = true
		}
		require.Len(t, seen, 100)
		require.EqualValues(t, 1, d.draws.Load())
		alone, err := source.Alone()
		require.ErrorIs(t, err, away)
		require.EqualValues(t, 100, alone)

		time.Sleep(respite)
		read(t, s, 12)
		require.EqualValues(t, 2, d.draws.Load())
		require.Equal(t, 1, strings.Count(log.String(), "CKR_TOKEN_NOT_PRESENT"), "%s", &log)

		d.err.Store(nil)
		time.Sleep(respite)
		read(t, s, 12)
		require.EqualValues(t, 3, d.draws.Load())
		alone, err = source.Alone()
		require.NoError(t, err)
		require.EqualValues(t, 101, alone)
		require.Contains(t, log.String(), "again")
	})
}

// TestStreamDoesNotWaitLong: a token that hangs holds nobody up for longer than 50 ms, and nobody at all once that is known.
func TestStreamDoesNotWaitLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }).Stream("IV")
		begun := time.Now()
		read(t, s, 12)
		require.Equal(t, patience, time.Since(begun))
		time.Sleep(fillTime)
		begun = time.Now()
		read(t, s, 12)
		require.Zero(t, time.Since(begun))
		_, err := s.source.Alone()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestStreamAges: a pool that is used is replaced ahead of the end of its minute, one that is not is wiped then, and one that
// cannot be replaced is wiped, too.
func TestStreamAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drawn
		s := open(t, d.token).Stream("IV")
		read(t, s, 12)
		first := s.pool.Load()
		time.Sleep(life/2 + 1)
		synctest.Wait()
		second := s.pool.Load()
		require.NotSame(t, first, second)
		requireClear(t, first)
		require.EqualValues(t, 2, d.draws.Load())

		time.Sleep(10 * life)
		synctest.Wait()
		require.Nil(t, s.pool.Load())
		requireClear(t, second)
		require.EqualValues(t, 2, d.draws.Load(), "the token is asked for nobody")

		read(t, s, 12)
		third := s.pool.Load()
		away := errors.New("away")
		d.err.Store(&away)
		time.Sleep(life + 1)
		synctest.Wait()
		require.Nil(t, s.pool.Load())
		requireClear(t, third)
	})
}

// TestCloseWipes: a source that is closed holds nothing, asks no token, and its streams go on with the system's bytes.
func TestCloseWipes(t *testing.T) {
	var d drawn
	source := open(t, d.token)
	s := source.Stream("IV")
	read(t, s, 12)
	p := s.pool.Load()
	source.Close()
	requireClear(t, p)
	require.NotEqual(t, read(t, s, 12), read(t, s, 12))
	require.EqualValues(t, 1, d.draws.Load())
}

// BenchmarkStream is an IV of 12 bytes by many at once, beside one of the system alone.
func BenchmarkStream(b *testing.B) {
	var d drawn
	s := open(b, d.token).Stream("IV")
	for _, v := range []struct {
		name string
		read func([]byte) (int, error)
	}{{"system", rand.Read}, {"both", s.Read}} {
		b.Run(v.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				iv := make([]byte, 12)
				for pb.Next() {
					_, _ = v.read(iv)
				}
			})
		})
	}
	alone, _ := s.source.Alone()
	b.ReportMetric(float64(alone), "alone")
}
