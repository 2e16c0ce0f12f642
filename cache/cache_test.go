package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// secret is an opened key of the tests: its material is cleared by Close, as a real one's is.
type secret struct {
	kmip.Unsupported
	material atomic.Uint64
	closed   atomic.Int64
}

func (s *secret) Close() {
	s.material.Store(0)
	s.closed.Add(1)
}

// source is a loader of the tests. Its keys hold the number of the load, from 1.
type source struct {
	loads atomic.Int64
	hold  chan struct{} // nil, or a load waits for it or for its context
	err   error
	made  chan *secret // nil, or gets every key
}

func (s *source) Load(ctx context.Context) (kmip.Opened, error) {
	n := s.loads.Add(1)
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	k := &secret{}
	k.material.Store(uint64(n))
	if s.made != nil {
		s.made <- k
	}
	return k, nil
}

type loaderFunc func(context.Context) (kmip.Opened, error)

func (f loaderFunc) Load(ctx context.Context) (kmip.Opened, error) { return f(ctx) }

func index(n int) [32]byte { return [32]byte{byte(n), byte(n >> 8), byte(n >> 16)} }

func opened(t *testing.T, o Options) *Cache {
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func borrow(t *testing.T, c *Cache, n int, l kmip.Loader) (*secret, kmip.Loan) {
	t.Helper()
	loan, err := c.Borrow(t.Context(), index(n), l)
	require.NoError(t, err)
	return loan.Opened().(*secret), loan
}

func TestBorrowRemembers(t *testing.T) {
	c, src := opened(t, Options{}), &source{}
	first, loan := borrow(t, c, 1, src)
	loan.Return()
	second, loan := borrow(t, c, 1, src)
	loan.Return()
	require.Same(t, first, second)
	require.EqualValues(t, 1, src.loads.Load())
	require.EqualValues(t, 0, first.closed.Load())
	require.Equal(t, 1, c.Len())

	other, loan := borrow(t, c, 2, src)
	loan.Return()
	require.NotSame(t, first, other)
	require.Equal(t, 2, c.Len())
}

func TestIdleRunsFromLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := New(Options{}), &source{}
		defer c.Close()
		k, loan := borrow(t, c, 1, src)
		loan.Return()
		for range 10 { // used every 14 minutes, it stays for hours
			time.Sleep(14 * time.Minute)
			again, loan := borrow(t, c, 1, src)
			loan.Return()
			require.Same(t, k, again)
		}
		time.Sleep(15*time.Minute - time.Second)
		synctest.Wait()
		require.EqualValues(t, 0, k.closed.Load())
		time.Sleep(time.Second + 15*time.Second) // at the latest one tick after its time, unasked
		synctest.Wait()
		require.EqualValues(t, 1, k.closed.Load())
		require.Zero(t, k.material.Load())
		require.Zero(t, c.Len())
	})
}

func TestLifeEndsUsedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := New(Options{Life: time.Hour}), &source{}
		defer c.Close()
		old, loan := borrow(t, c, 1, src)
		loan.Return()
		for range 12 {
			time.Sleep(5 * time.Minute)
			_, loan := borrow(t, c, 1, src)
			loan.Return()
			_, loan = borrow(t, c, 2, src) // younger, and used less recently than 1 below
			loan.Return()
			_, loan = borrow(t, c, 1, src)
			loan.Return()
		}
		synctest.Wait()
		require.EqualValues(t, 1, old.closed.Load())
		require.EqualValues(t, 3, src.loads.Load(), "1, 2, and 1 again")
		require.Equal(t, 2, c.Len())
	})
}

func TestExpiredIsNeverLent(t *testing.T) {
	for name, o := range map[string]Options{"idle": {Idle: time.Minute}, "life": {Idle: time.Hour, Life: time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, src := New(o), &source{}
				c.end() // nothing sweeps
				c.workers.Wait()
				k, loan := borrow(t, c, 1, src)
				loan.Return()
				time.Sleep(time.Minute)
				require.Equal(t, 1, c.Len())
				again, loan := borrow(t, c, 1, src)
				loan.Return()
				require.NotSame(t, k, again)
				require.EqualValues(t, 1, k.closed.Load())
				c.Close()
				require.EqualValues(t, 1, again.closed.Load())
			})
		})
	}
}

func TestSizeEvictsLeastRecentlyUsed(t *testing.T) {
	c, src := opened(t, Options{Size: 3}), &source{}
	keys := map[int]*secret{}
	use := func(n int) {
		k, loan := borrow(t, c, n, src)
		loan.Return()
		keys[n] = k
	}
	use(1)
	use(2)
	use(3)
	use(1)
	use(4)
	require.Equal(t, 3, c.Len())
	require.Eventually(t, func() bool { return keys[2].closed.Load() == 1 }, 10*time.Second, time.Millisecond, "the load goes on to close it behind its answer")
	for _, n := range []int{1, 3, 4} {
		require.EqualValues(t, 0, keys[n].closed.Load(), n)
	}
}

func TestBorrowedKeyStaysUsable(t *testing.T) {
	drop := map[string]func(c *Cache){
		"forget": func(c *Cache) { c.Forget(index(1)) },
		"purge":  func(c *Cache) { c.Purge() },
		"close":  func(c *Cache) { c.Close() },
	}
	for name, f := range drop {
		t.Run(name, func(t *testing.T) {
			c, src := opened(t, Options{}), &source{}
			k, one := borrow(t, c, 1, src)
			_, two := borrow(t, c, 1, src)
			f(c)
			require.Zero(t, c.Len())
			require.EqualValues(t, 1, k.material.Load())
			one.Return()
			require.EqualValues(t, 1, k.material.Load())
			two.Return()
			require.Zero(t, k.material.Load())
			require.EqualValues(t, 1, k.closed.Load())
		})
	}
}

func TestReturnTwicePanics(t *testing.T) {
	c, src := opened(t, Options{}), &source{}
	_, loan := borrow(t, c, 1, src)
	c.Forget(index(1))
	loan.Return()
	require.Panics(t, loan.Return)
}

// borrowers starts n concurrent misses and waits until all of them wait for a load.
func borrowers(t *testing.T, c *Cache, n int, l kmip.Loader) chan kmip.Loan {
	loans := make(chan kmip.Loan, n)
	for range n {
		go func() {
			loan, err := c.Borrow(t.Context(), index(1), l)
			if err == nil {
				loans <- loan
			} else {
				loans <- nil
			}
		}()
	}
	synctest.Wait()
	return loans
}

func TestMissesShareOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := New(Options{}), &source{hold: make(chan struct{})}
		loans := borrowers(t, c, 20, src)
		require.EqualValues(t, 1, src.loads.Load())
		close(src.hold)
		var k *secret
		for range 20 {
			loan := <-loans
			k = loan.Opened().(*secret)
			require.EqualValues(t, 1, k.material.Load())
			loan.Return()
		}
		require.EqualValues(t, 0, k.closed.Load(), "the cache holds it")
		require.Equal(t, 1, c.Purge())
		require.EqualValues(t, 1, k.closed.Load())
		c.Close()
	})
}

func TestLoadInFlightAtForgetIsNotRemembered(t *testing.T) {
	drop := map[string]func(c *Cache){
		"forget": func(c *Cache) { c.Forget(index(1)) },
		"purge":  func(c *Cache) { require.Zero(t, c.Purge()) },
	}
	for name, f := range drop {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				before := &source{hold: make(chan struct{})}
				early := borrowers(t, c, 3, before)
				f(c)
				after := &source{hold: make(chan struct{})}
				late := borrowers(t, c, 2, after)
				require.EqualValues(t, 1, after.loads.Load(), "who comes after it loads anew")

				close(before.hold)
				var old *secret
				for range 3 {
					loan := <-early
					old = loan.Opened().(*secret)
					require.EqualValues(t, 1, old.material.Load(), "its waiters use it")
					loan.Return()
				}
				synctest.Wait()
				require.EqualValues(t, 1, old.closed.Load())
				require.Zero(t, c.Len())

				close(after.hold)
				for range 2 {
					loan := <-late
					require.NotSame(t, old, loan.Opened())
					loan.Return()
				}
				require.Equal(t, 1, c.Len(), "the later load is remembered")
				c.Close()
			})
		})
	}
}

func TestWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := New(Options{}), &source{hold: make(chan struct{})}
		stays := borrowers(t, c, 1, src)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Borrow(ctx, index(1), src)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(src.hold)
		loan := <-stays
		require.NotNil(t, loan, "one who leaves does not cancel the load of another")
		loan.Return()
		c.Close()
	})
}

func TestFirstWaiterLeavesTheLoadToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := New(Options{}), &source{hold: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := c.Borrow(ctx, index(1), src)
			failed <- err
		}()
		synctest.Wait()
		second := borrowers(t, c, 1, src)
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		close(src.hold)
		loan := <-second
		require.NotNil(t, loan)
		loan.Return()
		c.Close()
	})
}

func TestLoadWithoutWaitersIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, src := New(Options{}), &source{hold: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Borrow(ctx, index(1), src)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait() // the load has returned: nothing else would end it
		require.Empty(t, c.shard(index(1)).flights)
		require.Zero(t, c.Len())
		close(src.hold)
		_, loan := borrow(t, c, 1, src)
		loan.Return()
		c.Close()
	})
}

func TestLoadErrorIsNotRemembered(t *testing.T) {
	c := opened(t, Options{})
	bad := &source{err: errors.New("token is away")}
	for range 2 {
		_, err := c.Borrow(t.Context(), index(1), bad)
		require.ErrorIs(t, err, bad.err)
	}
	require.EqualValues(t, 2, bad.loads.Load())
	good := &source{}
	_, loan := borrow(t, c, 1, good)
	loan.Return()
}

func TestLoadThatDoesNotReturn(t *testing.T) {
	loads := map[string]loaderFunc{
		"panic":  func(context.Context) (kmip.Opened, error) { panic("out of cheese") },
		"goexit": func(context.Context) (kmip.Opened, error) { runtime.Goexit(); return nil, nil },
		"none":   func(context.Context) (kmip.Opened, error) { return nil, nil },
	}
	for name, l := range loads {
		t.Run(name, func(t *testing.T) {
			c := opened(t, Options{})
			_, err := c.Borrow(t.Context(), index(1), l)
			require.ErrorContains(t, err, "opening a key")
			_, loan := borrow(t, c, 1, &source{})
			loan.Return()
		})
	}
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left behind
		c := New(Options{})
		kept, loan := borrow(t, c, 2, &source{})
		loan.Return()
		loans := borrowers(t, c, 2, &source{hold: make(chan struct{})})
		c.Close()
		require.Nil(t, <-loans)
		require.Nil(t, <-loans)
		require.EqualValues(t, 1, kept.closed.Load())
		_, err := c.Borrow(t.Context(), index(2), &source{})
		require.ErrorIs(t, err, errClosed)
		c.Close()
	})
}

// TestNoKeyIsClearedInUse lets many borrow, forget and purge at once: a borrowed key always has its material, and in the
// end every key that was made was closed exactly once.
func TestNoKeyIsClearedInUse(t *testing.T) {
	c := New(Options{Size: 20, Idle: 2 * time.Millisecond})
	src := &source{made: make(chan *secret, 1<<17)}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 5000 {
				n := r.IntN(40)
				switch r.IntN(20) {
				case 0:
					c.Forget(index(n))
				case 1:
					if r.IntN(50) == 0 {
						c.Purge()
					}
				default:
					loan, err := c.Borrow(context.Background(), index(n), src)
					if err != nil {
						panic(err)
					}
					runtime.Gosched()
					if loan.Opened().(*secret).material.Load() == 0 {
						panic(fmt.Sprintf("key %d was cleared in use", n))
					}
					loan.Return()
				}
			}
		})
	}
	wg.Wait()
	c.Close()
	close(src.made)
	for k := range src.made {
		require.EqualValues(t, 1, k.closed.Load())
	}
	require.Zero(t, c.Len())
}

func TestBorrowOnHitDoesNotAllocate(t *testing.T) {
	c, src := opened(t, Options{}), &source{}
	ctx := t.Context()
	_, loan := borrow(t, c, 1, src)
	loan.Return()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		loan, _ := c.Borrow(ctx, index(1), src)
		loan.Return()
	}))
}

// go test -bench Borrow -benchmem ./cache
func BenchmarkBorrow(b *testing.B) {
	src := &source{}
	run := func(name string, keys int) {
		b.Run(name, func(b *testing.B) {
			c := New(Options{})
			defer c.Close()
			ctx := context.Background()
			for n := range keys {
				loan, err := c.Borrow(ctx, index(n), src)
				require.NoError(b, err)
				loan.Return()
			}
			b.ReportAllocs()
			var seed atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for n := int(seed.Add(7)); pb.Next(); n++ {
					loan, err := c.Borrow(ctx, index(n%keys), src)
					if err != nil {
						panic(err)
					}
					loan.Return()
				}
			})
		})
	}
	run("one", 1)
	run("thousand", 1000)
}

func BenchmarkBorrowMiss(b *testing.B) {
	c, src := New(Options{}), &source{}
	defer c.Close()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		loan, err := c.Borrow(context.Background(), index(n), src)
		require.NoError(b, err)
		loan.Return()
	}
}

// TestCounts tells hits from misses, and what the protectors were asked for.
func TestCounts(t *testing.T) {
	c := opened(t, Options{Size: 1})
	good, bad := &source{}, &source{err: errors.New("away")}
	for range 3 {
		loan, err := c.Borrow(t.Context(), index(1), good)
		require.NoError(t, err)
		loan.Return()
	}
	_, err := c.Borrow(t.Context(), index(2), bad)
	require.ErrorIs(t, err, bad.err)
	require.Equal(t, Counts{Keys: 1, Hits: 2, Misses: 2, Loads: 2, Failed: 1}, c.Counts())
	loan, err := c.Borrow(t.Context(), index(3), good)
	require.NoError(t, err)
	loan.Return()
	require.Equal(t, Counts{Keys: 1, Hits: 2, Misses: 3, Loads: 3, Failed: 1, Evicted: 1}, c.Counts())
}
