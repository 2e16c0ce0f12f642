package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/seal"
)

// masterKey is the protector of the tests' root keys.
func masterKey(t testing.TB) *seal.MasterKey {
	t.Helper()
	m, err := seal.NewMasterKey([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	return m
}

// openStore opens an unsealed store in a new folder.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "strongroom.db"), o)
}

// openAt opens a file, and makes the root key when it is new.
func openAt(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), "sqlite:"+path, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	table, err := s.Root().Slots(t.Context())
	require.NoError(t, err)
	if table.Generation == 0 {
		require.NoError(t, s.Root().Init(t.Context(), masterKey(t), nil))
	} else {
		require.NoError(t, s.Root().Unseal(t.Context(), masterKey(t)))
	}
	return s
}

// aesKey describes an AES-256 key.
func aesKey(uid, owner string) *kmip.Object {
	now := time.Now()
	return &kmip.Object{
		UniqueIdentifier: uid,
		Owners:           []string{owner},
		Attributes: kmip.Attributes{
			{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeSymmetricKey},
			{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES},
			{Tag: ttlv.TagCryptographicLength, Value: int32(256)},
			{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt},
			{Tag: ttlv.TagState, Value: kmip.StateActive},
			{Tag: ttlv.TagInitialDate, Value: now},
			{Tag: ttlv.TagActivationDate, Value: now},
		},
	}
}

// testCache is a Cache that keeps all it opens.
type testCache struct {
	mu     sync.Mutex
	opened map[[32]byte]kmip.Opened
	loads  atomic.Int64
}

func newTestCache() *testCache { return &testCache{opened: map[[32]byte]kmip.Opened{}} }

func (c *testCache) Borrow(ctx context.Context, index [32]byte, l kmip.Loader) (kmip.Loan, error) {
	c.mu.Lock()
	o := c.opened[index]
	c.mu.Unlock()
	if o != nil {
		return kept{o}, nil
	}
	c.loads.Add(1)
	o, err := l.Load(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.opened[index] = o
	c.mu.Unlock()
	return kept{o}, nil
}

func (c *testCache) Forget(index [32]byte) {
	c.mu.Lock()
	delete(c.opened, index)
	c.mu.Unlock()
}

type kept struct{ opened kmip.Opened }

func (k kept) Opened() kmip.Opened { return k.opened }
func (k kept) Return()             {}

func BenchmarkCreate32(b *testing.B) {
	s := openStore(b, Options{})
	var n atomic.Int64
	b.SetParallelism(16)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Generate(b.Context(), aesKey(fmt.Sprint("key-", n.Add(1)), "alice")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
}

func BenchmarkObject(b *testing.B) {
	s := openStore(b, Options{})
	require.NoError(b, s.Generate(b.Context(), aesKey("k", "alice")))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Object(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCounts tells of what was made, of transactions and of what was in memory.
func TestCounts(t *testing.T) {
	s := openStore(t, Options{})
	before := s.Counts()
	for _, uid := range []string{"a", "b"} {
		require.NoError(t, s.Generate(t.Context(), aesKey(uid, "alice")))
	}
	require.Error(t, s.Generate(t.Context(), aesKey("a", "alice")))
	_, err := s.Object(t.Context(), "a")
	require.NoError(t, err)
	_, err = s.Object(t.Context(), "nobody's")
	require.ErrorIs(t, err, kmip.ErrNotFound)
	n := s.Counts()
	require.EqualValues(t, 2, n.Created)
	require.Positive(t, n.Memory)
	require.Zero(t, n.Waiting)
	require.EqualValues(t, 1, n.Found-before.Found)
	require.EqualValues(t, 1, n.Sought-before.Sought)
	require.EqualValues(t, 3, n.Commits-before.Commits)
	require.EqualValues(t, 3, n.Changes-before.Changes)
	require.EqualValues(t, 3, n.CommitSizes[0]-before.CommitSizes[0], "one change each")
	require.Greater(t, n.CommitTime, before.CommitTime)
	require.Zero(t, n.Failed)

	canceled := errors.New("the disk is full")
	require.ErrorIs(t, s.writer.write(t.Context(), func(*batch) error { return canceled }, nil), canceled)
	require.EqualValues(t, 1, s.Counts().Failed)
}

// TestCommitSizes counts each transaction in the class of its size.
func TestCommitSizes(t *testing.T) {
	var c commits
	for _, size := range []int{1, 2, 3, 4, 5, together} {
		c.add(size, time.Millisecond, nil)
	}
	var n Counts
	c.into(&n)
	require.Equal(t, CommitSizes{1, 1, 2, 1, 0, 0, 0, 0, 0, 1}, n.CommitSizes)
	require.Equal(t, together, n.CommitSizes.MostChanges(len(n.CommitSizes)-1))
	require.EqualValues(t, 6, n.Commits)
	require.EqualValues(t, 15+together, n.Changes)
	require.Equal(t, 6*time.Millisecond, n.CommitTime)
}
