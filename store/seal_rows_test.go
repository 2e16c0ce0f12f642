package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/store/seal"
)

// TestX02RootKeyOnlyWrapped: a root key that is known is in no file of the database, nor in any encoding of it.
func TestX02RootKeyOnlyWrapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s, err := Open(t.Context(), "sqlite:"+path, Options{})
	require.NoError(t, err)
	known := []byte("the root key that this test knows")[:32]
	p, err := seal.NewMasterKey(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	require.NoError(t, s.Root().Init(t.Context(), p, bytes.NewReader(known)))
	require.NoError(t, s.Register(t.Context(), aesKey("k", "alice"), symmetric(material)))
	require.NoError(t, s.Close())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		require.NoError(t, err)
		require.False(t, bytes.Contains(data, known[:16]) || bytes.Contains(data, known[16:]), e.Name())
	}
}

// TestX30TwoSwitchAtOnce: of two that change the slots of one database at once, each from what it read, one wins and the other is
// told; a slot of each is there at the end, once both have tried again.
func TestX30TwoSwitchAtOnce(t *testing.T) {
	s := openStore(t, Options{})
	var roots [2]*seal.Root
	first, err := seal.NewMasterKey([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	for i := range roots {
		roots[i] = seal.NewRoot(slots{s}, nil)
		require.NoError(t, roots[i].Unseal(t.Context(), first))
	}
	var both sync.WaitGroup
	both.Add(2)
	var errs [2]error
	var wg sync.WaitGroup
	for i := range roots {
		key, err := seal.NewMasterKey(bytes.Repeat([]byte{byte(40 + i)}, 32))
		require.NoError(t, err)
		p := &meeting{MasterKey: key, meet: func() { both.Done(); both.Wait() }}
		wg.Go(func() { errs[i] = roots[i].Add(t.Context(), p, seal.SlotActive) })
	}
	wg.Wait()
	lost := 0
	for i, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, seal.ErrTableChanged)
			key, err := seal.NewMasterKey(bytes.Repeat([]byte{byte(40 + i)}, 32))
			require.NoError(t, err)
			require.NoError(t, roots[i].Add(t.Context(), key, seal.SlotActive))
			lost++
		}
	}
	require.Equal(t, 1, lost, "%v", errors.Join(errs[:]...))
	table, err := s.Root().Slots(t.Context())
	require.NoError(t, err)
	require.Len(t, table.Slots, 3)
	require.EqualValues(t, 3, table.Generation)
}

// A meeting is a master key that waits, after the first wrapping, until everybody has read the table.
type meeting struct {
	*seal.MasterKey
	once sync.Once
	meet func()
}

func (m *meeting) Wrap(ctx context.Context, key []byte, b seal.Binding) ([]byte, error) {
	m.once.Do(m.meet)
	return m.MasterKey.Wrap(ctx, key, b)
}

// TestMove puts rows under the key that new ones go under, and leaves those whose makers chose.
func TestMove(t *testing.T) {
	s := wrappingStore(t, Options{})
	require.NoError(t, s.Generate(t.Context(), aesKey("new kek", "alice")))
	for _, uid := range []string{"a", "b", "c"} {
		require.NoError(t, s.Generate(t.Context(), aesKey(uid, "alice")))
	}
	require.NoError(t, s.Generate(t.Context(), under(aesKey("chosen", "alice"), "kek")))
	before := map[string][]byte{}
	for _, uid := range []string{"a", "b", "c", "chosen"} {
		var err error
		before[uid], err = value(t, s, uid)
		require.NoError(t, err)
	}
	s.options.KeyEncryptionKey = "kek"
	var last Moving
	require.NoError(t, s.Move(t.Context(), func(m Moving) { last = m }))
	require.Equal(t, Moving{Total: 5, Done: 5, Moved: 4, Chosen: 1}, last, "kek itself stays under the root key")
	counts, err := s.Protectors(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"root": 1, "uid:kek": 5}, counts)
	require.Equal(t, "hsm-protected", protectionOf(t, s, "a"))

	s.options.KeyEncryptionKey = "new kek"
	require.NoError(t, s.Move(t.Context(), func(m Moving) { last = m }))
	counts, err = s.Protectors(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, counts["uid:kek"])
	for uid, want := range before {
		got, err := value(t, s, uid)
		require.NoError(t, err, uid)
		require.Equal(t, want, got, uid)
	}
	s.Root().Seal()
	s.options.KeyEncryptionKey = ""
	require.ErrorIs(t, s.Move(t.Context(), func(Moving) {}), seal.ErrSealed)
}
