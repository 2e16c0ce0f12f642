package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func attributes(a kmip.CryptographicAlgorithm) kmip.Attributes {
	return kmip.Attributes(nil).With(ttlv.TagCryptographicAlgorithm, a)
}

// memorySlots keeps the table of a test; package store has the real one and its own tests.
type memorySlots struct{ table Table }

func (m *memorySlots) ReadSlots(context.Context) (*Table, error) {
	t := m.table.clone()
	t.MAC = slices.Clone(m.table.MAC)
	return t, nil
}

func (m *memorySlots) WriteSlots(_ context.Context, t *Table) error {
	if t.Generation != m.table.Generation+1 {
		return ErrTableChanged
	}
	m.table = *t
	return nil
}

func (m *memorySlots) SlotVerified(_ context.Context, id int64, at time.Time) error {
	for i := range m.table.Slots {
		if m.table.Slots[i].ID == id {
			m.table.Slots[i].Verified = at
		}
	}
	return nil
}

// unsealed is a new root key.
func unsealed(t testing.TB) *Root {
	t.Helper()
	r := NewRoot(new(memorySlots), nil)
	require.NoError(t, r.Init(t.Context(), testProtector(t, 1), nil))
	return r
}

func TestRootInitAndUnseal(t *testing.T) {
	slots := new(memorySlots)
	first := NewRoot(slots, nil)
	require.False(t, first.Unsealed())
	require.ErrorIs(t, first.Unseal(t.Context(), testProtector(t, 1)), ErrNotInitialized)
	require.NoError(t, first.Init(t.Context(), testProtector(t, 1), nil))
	require.True(t, first.Unsealed())
	require.ErrorContains(t, first.Init(t.Context(), testProtector(t, 2), nil), "there is a root key already")
	require.Len(t, slots.table.Slots, 1)
	require.Equal(t, "file", slots.table.Slots[0].Kind)

	e, err := Seal(t.Context(), nil, first.Protector(), object1, bound1, material)
	require.NoError(t, err)
	second := NewRoot(slots, nil)
	_, err = e.Open(t.Context(), only(second.Protector()), PurposeObject, bound1)
	require.ErrorIs(t, err, ErrSealed)
	_, err = Seal(t.Context(), nil, second.Protector(), object1, bound1, material)
	require.ErrorIs(t, err, ErrSealed)
	require.NoError(t, second.Unseal(t.Context(), testProtector(t, 1)))
	got, err := e.Open(t.Context(), only(second.Protector()), PurposeObject, bound1)
	require.NoError(t, err)
	require.Equal(t, material, got)
}

func TestRootRandom(t *testing.T) {
	r := NewRoot(new(memorySlots), nil)
	require.ErrorContains(t, r.Init(t.Context(), testProtector(t, 1), iotest.ErrReader(os.ErrDeadlineExceeded)), "random")
	require.False(t, r.Unsealed())
	require.NoError(t, r.Init(t.Context(), testProtector(t, 1), bytes.NewReader(bytes.Repeat([]byte{7}, 32))))
	require.Equal(t, bytes.Repeat([]byte{7}, 32), r.open.Load().key.Bytes())
}

func TestRootWrongMasterKey(t *testing.T) {
	slots := new(memorySlots)
	right, wrong := testProtector(t, 1), testProtector(t, 2)
	require.NoError(t, NewRoot(slots, nil).Init(t.Context(), right, nil))
	before := slots.table
	r := NewRoot(slots, nil)
	err := r.Unseal(t.Context(), wrong)
	require.EqualError(t, err, "unsealing: master key "+wrong.Fingerprint()+" does not open slot 1 (file:"+right.Fingerprint()+")")
	require.ErrorContains(t, r.Unseal(t.Context()), "no protector is given")
	require.Equal(t, before, slots.table)
	require.False(t, r.Unsealed())
}

func TestRootSeal(t *testing.T) {
	r := unsealed(t)
	key := r.open.Load().key
	sub, err := r.Subkey("audit")
	require.NoError(t, err)
	other, err := r.Subkey("backup")
	require.NoError(t, err)
	require.NotEqual(t, sub, other)
	require.NotEqual(t, key.Bytes(), sub)
	r.Seal()
	require.Nil(t, key.Bytes(), "the root key is cleared")
	_, err = r.Subkey("audit")
	require.ErrorIs(t, err, ErrSealed)
	require.NoError(t, r.Unseal(t.Context(), testProtector(t, 1)))
	again, err := r.Subkey("audit")
	require.NoError(t, err)
	require.Equal(t, sub, again)
}

func TestRootAdd(t *testing.T) {
	slots := new(memorySlots)
	r := NewRoot(slots, nil)
	require.ErrorIs(t, r.Add(t.Context(), testProtector(t, 2), SlotActive), ErrSealed)
	require.NoError(t, r.Init(t.Context(), testProtector(t, 1), nil))
	require.NoError(t, r.Add(t.Context(), testProtector(t, 2), SlotActive))
	require.NoError(t, r.Add(t.Context(), testProtector(t, 2), SlotActive), "a second time changes nothing")
	require.Len(t, slots.table.Slots, 2)
	require.Equal(t, SlotRetained, slots.table.Slots[0].State)
	require.EqualValues(t, 2, slots.table.Generation)
	for _, b := range []byte{1, 2} {
		again := NewRoot(slots, nil)
		require.NoError(t, again.Unseal(t.Context(), testProtector(t, b)))
	}
}

func TestRootAddConflict(t *testing.T) {
	slots := new(memorySlots)
	a, b := NewRoot(slots, nil), NewRoot(slots, nil)
	require.NoError(t, a.Init(t.Context(), testProtector(t, 1), nil))
	require.NoError(t, b.Unseal(t.Context(), testProtector(t, 1)))
	old, err := slots.ReadSlots(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.Add(t.Context(), testProtector(t, 2), SlotActive))
	key, err := b.copyKey()
	require.NoError(t, err)
	_, err = b.add(t.Context(), old, testProtector(t, 3), SlotActive, key)
	require.ErrorIs(t, err, ErrTableChanged)
}

func TestRootTableTampered(t *testing.T) {
	build := func(t *testing.T) *memorySlots {
		slots := new(memorySlots)
		r := NewRoot(slots, nil)
		require.NoError(t, r.Init(t.Context(), testProtector(t, 1), nil))
		require.NoError(t, r.Add(t.Context(), testProtector(t, 2), SlotActive))
		return slots
	}
	for name, tamper := range map[string]func(*Table){
		"older slot active again": func(t *Table) { t.Slots[0].State, t.Slots[1].State = SlotActive, SlotRetained },
		"slot removed":            func(t *Table) { t.Slots = t.Slots[1:] },
		"generation":              func(t *Table) { t.Generation-- },
		"mac":                     func(t *Table) { t.MAC[0] ^= 1 },
		"no mac":                  func(t *Table) { t.MAC = nil },
		"envelopes swapped": func(t *Table) {
			t.Slots[0].Envelope, t.Slots[1].Envelope = t.Slots[1].Envelope, t.Slots[0].Envelope
		},
		"slots swapped": func(t *Table) { t.Slots[0].ID, t.Slots[1].ID = t.Slots[1].ID, t.Slots[0].ID },
	} {
		t.Run(name, func(t *testing.T) {
			slots := build(t)
			tamper(&slots.table)
			r := NewRoot(slots, nil)
			require.Error(t, r.Unseal(t.Context(), testProtector(t, 1), testProtector(t, 2)))
			require.False(t, r.Unsealed())
		})
	}
}

// brokenProtector wraps, but does not unwrap to the same.
type brokenProtector struct{ *MasterKey }

func (p brokenProtector) Unwrap(context.Context, []byte, Binding) ([]byte, error) {
	return make([]byte, 32), nil
}

func TestRootReadsBack(t *testing.T) {
	slots := new(memorySlots)
	r := NewRoot(slots, nil)
	require.ErrorContains(t, r.Init(t.Context(), brokenProtector{testProtector(t, 1)}, nil), "reading slot 1")
	require.Empty(t, slots.table.Slots)
	require.False(t, r.Unsealed())
}

func TestReadMasterKey(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb, 0x20}, 16)
	want, err := NewMasterKey(key)
	require.NoError(t, err)
	require.Len(t, want.Fingerprint(), 16)
	path := filepath.Join(t.TempDir(), "master.key")
	for name, text := range map[string]string{
		"raw": string(key), "hex": hex.EncodeToString(key), "HEX line": strings.ToUpper(hex.EncodeToString(key)) + "\n",
		"base64": base64.StdEncoding.EncodeToString(key) + "\n", "base64url": base64.RawURLEncoding.EncodeToString(key),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			t.Setenv("STRONGROOM_TEST_KEY", hex.EncodeToString(key))
			t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
			for _, source := range []string{path, "-", "env:STRONGROOM_TEST_KEY", "credential:master.key"} {
				got, err := ReadMasterKey(source, strings.NewReader(text))
				require.NoError(t, err, source)
				require.Equal(t, want.Reference(), got.Reference())
			}
		})
	}
}

func TestReadMasterKeyRefuses(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, n int, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{0xf1}, n), mode))
		return path
	}
	for _, c := range []struct{ source, message string }{
		{write("short", 31, 0o600), "31 bytes: a master key is 32 bytes"},
		{write("long", 33, 0o600), "33 bytes: a master key is 32 bytes"},
		{write("open", 32, 0o640), "mode 0640"},
		{folder, "not a regular file"},
		{filepath.Join(folder, "absent"), "no such file"},
		{"env:STRONGROOM_NO_SUCH", "the environment has no STRONGROOM_NO_SUCH"},
		{"credential:../master", "there is no credential"},
		{"-", "16 bytes: a master key is 32 bytes"},
		{"", "no source is given"},
	} {
		_, err := ReadMasterKey(c.source, strings.NewReader("000102030405060708090a0b0c0d0e0f"))
		require.ErrorContains(t, err, c.message)
		require.NotContains(t, err.Error(), "\xf1")
	}
}

func TestCreateMasterKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	made, err := CreateMasterKey(path, nil)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	read, err := ReadMasterKey(path, nil)
	require.NoError(t, err)
	require.Equal(t, made.Fingerprint(), read.Fingerprint())
	_, err = CreateMasterKey(path, nil)
	require.ErrorIs(t, err, os.ErrExist)
}
