package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// A fakeToken computes as keys in a token do, in software: the tests of package cmd/strongroomd have real ones.
type fakeToken struct {
	name, mechanism string
	aead            cipher.AEAD
	block           cipher.Block
	away            error
}

func newFakeToken(t testing.TB, name, mechanism string) *fakeToken {
	block, err := aes.NewCipher(bytes.Repeat([]byte{9}, 32))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return &fakeToken{name: name, mechanism: mechanism, aead: aead, block: block}
}

func (k *fakeToken) Reference() string { return "p11:00ff:" + k.name + ":01" }
func (k *fakeToken) MACReference() string {
	if k.mechanism == "CKM_AES_CBC_PAD" {
		return "p11:00ff:" + k.name + "_HMAC:02"
	}
	return ""
}
func (k *fakeToken) Mechanism() string { return k.mechanism }

func (k *fakeToken) mac(parts ...[]byte) []byte {
	h := hmac.New(sha256.New, []byte("the other key"))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func (k *fakeToken) Wrap(_ context.Context, key, authenticated []byte) ([]byte, error) {
	if k.away != nil {
		return nil, k.away
	}
	if k.mechanism == "CKM_AES_GCM" {
		iv := make([]byte, 12)
		rand.Read(iv)
		return k.aead.Seal(iv, iv, key, authenticated), nil
	}
	padded := append(bytes.Clone(key), bytes.Repeat([]byte{16}, 16)...)
	iv := make([]byte, 16)
	rand.Read(iv)
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(padded, padded)
	sealed := append(iv, padded...)
	return append(sealed, k.mac(authenticated, sealed)...), nil
}

func (k *fakeToken) Unwrap(_ context.Context, _ string, wrapped, authenticated []byte) ([]byte, error) {
	refused := kmip.Errorf(kmip.ResultReasonCryptographicFailure, "no")
	if k.away != nil {
		return nil, k.away
	}
	if k.mechanism == "CKM_AES_GCM" {
		if len(wrapped) < 12 {
			return nil, refused
		}
		out, err := k.aead.Open(nil, wrapped[:12], wrapped[12:], authenticated)
		if err != nil {
			return nil, refused
		}
		return out, nil
	}
	at := len(wrapped) - 32
	if at != 64 || !hmac.Equal(wrapped[at:], k.mac(authenticated, wrapped[:at])) {
		return nil, refused
	}
	out := bytes.Clone(wrapped[16:at])
	cipher.NewCBCDecrypter(k.block, wrapped[:16]).CryptBlocks(out, out)
	return out[:32], nil
}

func tokenProtectorOf(t testing.TB, k *fakeToken) Protector {
	p, err := TokenProtector(k)
	require.NoError(t, err)
	return p
}

// TestTokenProtector binds the header with the wrapped key: whatever byte of it changes, the answer is the same.
func TestTokenProtector(t *testing.T) {
	for _, mechanism := range []string{"CKM_AES_GCM", "CKM_AES_CBC_PAD"} {
		k := newFakeToken(t, "root", mechanism)
		p := tokenProtectorOf(t, k)
		raw := sealTest(t, p).Bytes()
		e, err := Parse(raw)
		require.NoError(t, err)
		require.Equal(t, mechanism, e.Mechanism.String())
		require.Equal(t, k.MACReference(), e.MACKey)
		find := func(context.Context, Header) (Protector, error) { return p, nil }
		got, err := Open(t.Context(), find, PurposeObject, bound1, raw)
		require.NoError(t, err)
		require.Equal(t, material, got)
		for i := range raw {
			bad := bytes.Clone(raw)
			bad[i] ^= 1
			_, err := Open(t.Context(), find, PurposeObject, bound1, bad)
			require.Equal(t, ErrDecrypt, err, "%s: byte %d", mechanism, i)
		}
		_, err = e.Open(t.Context(), find, PurposeObject, []byte("object:2"))
		require.Equal(t, ErrDecrypt, err)
		k.away = errors.New("0xE0: CKR_TOKEN_NOT_PRESENT")
		_, err = e.Open(t.Context(), find, PurposeObject, bound1)
		require.ErrorIs(t, err, k.away)
	}
	_, err := TokenProtector(newFakeToken(t, "root", "CKM_DES_ECB"))
	require.ErrorContains(t, err, "cannot protect by CKM_DES_ECB")
}

func TestRootSwitchesAndBack(t *testing.T) {
	slots := new(memorySlots)
	r := NewRoot(slots, nil)
	file, token := testProtector(t, 1), tokenProtectorOf(t, newFakeToken(t, "v1", "CKM_AES_GCM"))
	require.NoError(t, r.Init(t.Context(), file, nil))
	require.NoError(t, r.Add(t.Context(), token, SlotActive))
	require.Equal(t, KindToken, slots.table.Active().Kind)
	require.NoError(t, r.Add(t.Context(), file, SlotActive))
	require.Len(t, slots.table.Slots, 2, "the retained slot of the same protector goes")
	require.Equal(t, int64(3), slots.table.Active().ID, "a slot's number is not used again")
	require.Equal(t, SlotRetained, slots.table.Slots[0].State)
	require.Equal(t, token.Reference(), slots.table.Slots[0].Protector)
	for _, p := range []Protector{file, token} {
		require.NoError(t, NewRoot(slots, nil).Unseal(t.Context(), p))
	}
}

func TestRootPrune(t *testing.T) {
	slots := new(memorySlots)
	r := NewRoot(slots, nil)
	first, second := testProtector(t, 1), testProtector(t, 2)
	require.NoError(t, r.Init(t.Context(), first, nil))
	require.NoError(t, r.Add(t.Context(), second, SlotActive))
	unneeded := func(context.Context, *Slot) (int, error) { return 0, nil }
	before := slots.table

	_, err := r.Prune(t.Context(), among([]Protector{second}), func(context.Context, *Slot) (int, error) { return 37, nil })
	require.ErrorContains(t, err, "37 objects refer to its protector")
	_, err = r.Prune(t.Context(), among([]Protector{first}), unneeded)
	require.ErrorContains(t, err, "its protector is not configured", "the slot that remains is proven first")
	_, err = r.Prune(t.Context(), among([]Protector{brokenProtector{second}}), unneeded)
	require.ErrorContains(t, err, "proving slot 2")
	require.Equal(t, before, slots.table)

	dropped, err := r.Prune(t.Context(), among([]Protector{second}), unneeded)
	require.NoError(t, err)
	require.Len(t, dropped, 1)
	require.Equal(t, first.Reference(), dropped[0].Protector)
	require.Len(t, slots.table.Slots, 1)
	require.Error(t, NewRoot(slots, nil).Unseal(t.Context(), first))
	require.NoError(t, NewRoot(slots, nil).Unseal(t.Context(), second))
	dropped, err = r.Prune(t.Context(), among(nil), unneeded)
	require.NoError(t, err)
	require.Empty(t, dropped)
}

func TestRootRecovery(t *testing.T) {
	slots := new(memorySlots)
	r := NewRoot(slots, nil)
	require.NoError(t, r.Init(t.Context(), testProtector(t, 1), nil))
	for b := byte(7); b < 9; b++ {
		p, err := NewRecoveryKey(bytes.Repeat([]byte{b}, 32), 5, 3)
		require.NoError(t, err)
		require.NoError(t, r.Add(t.Context(), p, SlotRecovery))
		require.Len(t, slots.table.Slots, 2, "new shares replace the ones before")
		s := slots.table.Slots[1]
		shares, threshold, fingerprint, ok := s.RecoveryShares()
		require.True(t, ok)
		require.Equal(t, 5, shares)
		require.Equal(t, 3, threshold)
		require.Len(t, fingerprint, 16)
		again := NewRoot(slots, nil)
		_, err = again.Check(t.Context(), p)
		require.NoError(t, err)
		require.False(t, again.Unsealed(), "Check does not unseal")
		require.NoError(t, again.Unseal(t.Context(), p))
		require.Equal(t, SlotRecovery, again.OpenedBy().State)
	}
	require.Equal(t, SlotActive, slots.table.Active().State)
}

// TestRootUnsealWith tries the slots in their order, passes those that are not configured, and tells every failure.
func TestRootUnsealWith(t *testing.T) {
	slots := new(memorySlots)
	r := NewRoot(slots, nil)
	token := newFakeToken(t, "v1", "CKM_AES_GCM")
	file, inToken := testProtector(t, 1), tokenProtectorOf(t, token)
	require.NoError(t, r.Init(t.Context(), file, nil))
	require.NoError(t, r.Add(t.Context(), inToken, SlotActive))

	token.away = errors.New("0xE0: CKR_TOKEN_NOT_PRESENT")
	sealed := NewRoot(slots, nil)
	onlyToken := among([]Protector{inToken})
	require.ErrorContains(t, sealed.UnsealWith(t.Context(), onlyToken), "opening slot 2 (p11:00ff:v1:01): 0xE0: CKR_TOKEN_NOT_PRESENT")
	require.False(t, sealed.Unsealed(), "a software slot that is not configured is not fallen back to")
	require.Nil(t, sealed.OpenedBy())
	_, err := r.Check(t.Context(), inToken)
	require.ErrorIs(t, err, token.away)

	both := NewRoot(slots, nil)
	require.NoError(t, both.UnsealWith(t.Context(), among([]Protector{inToken, file})), "the configuration has both")
	require.EqualValues(t, 1, both.OpenedBy().ID)
	token.away = nil
	require.NoError(t, sealed.UnsealWith(t.Context(), onlyToken))
	require.EqualValues(t, 2, sealed.OpenedBy().ID)
}

// TestX11SlotsExchanged: an envelope in another slot's place does not open, and the table is seen to be another.
func TestX11SlotsExchanged(t *testing.T) {
	slots := new(memorySlots)
	r := NewRoot(slots, nil)
	first, second := tokenProtectorOf(t, newFakeToken(t, "v1", "CKM_AES_GCM")), tokenProtectorOf(t, newFakeToken(t, "v2", "CKM_AES_GCM"))
	require.NoError(t, r.Init(t.Context(), first, nil))
	require.NoError(t, r.Add(t.Context(), second, SlotActive))
	s := slots.table.Slots
	s[0].Envelope, s[1].Envelope = s[1].Envelope, s[0].Envelope
	for i, p := range []Protector{first, second} {
		_, err := s[i].open(t.Context(), p)
		require.Equal(t, ErrDecrypt, err)
		require.ErrorIs(t, NewRoot(slots, nil).Unseal(t.Context(), p), ErrDecrypt)
	}
}
