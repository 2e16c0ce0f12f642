package hsm

import (
	"bytes"
	"crypto/rand"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// Jobs of all sizes at once, each with its own answer: small ones, ones whose block is not kept, ones that fail.
func TestLanesAtOnce(t *testing.T) {
	h := open(t)
	manySizes(t, h)
}

// The same where a crew makes the calls.
func TestCrewAtOnce(t *testing.T) {
	h, _ := isolated(t)
	manySizes(t, h)
}

func manySizes(t *testing.T, h *HSM) {
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	o, err := h.Object(t.Context(), kmip.HSMIdentifier(4, "k"))
	require.NoError(t, err)
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 60 {
				data := make([]byte, 1+(g*977+i*i*31)%(3*largestKept))
				rand.Read(data)
				aad := []byte{byte(g), byte(i)}
				sealed, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: data, AuthenticatedEncryptionAdditionalData: aad})
				if err != nil {
					t.Error(err)
					return
				}
				r := &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce,
					AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag, AuthenticatedEncryptionAdditionalData: aad}
				opened, err := o.Key.Decrypt(t.Context(), r)
				if err != nil || !bytes.Equal(opened.Data, data) {
					t.Errorf("%d bytes came back changed: %v", len(data), err)
				}
				r.AuthenticatedEncryptionAdditionalData = nil
				if _, err := o.Key.Decrypt(t.Context(), r); err == nil {
					t.Error("opened without its additional data")
				}
			}
		})
	}
	all.Wait()
}

// What goes through a lane is cleared from the job's memory.
func TestLanesClear(t *testing.T) {
	h := open(t)
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	o, err := h.slots[4].object(t.Context(), "k")
	require.NoError(t, err)
	l, here := o.conn.module.lib.(*library)
	if !here {
		t.Skip("the lanes are in the worker process")
	}
	l.quick.busy.Add(1) // as if another operation were here
	defer l.quick.busy.Add(-1)
	secret := bytes.Repeat([]byte("secret"), 20)
	m := mechanism{Type: pkcs11.CKM_AES_CBC_PAD, Parameter: parameterIV, IV: make([]byte, 16)}
	err = o.conn.with(t.Context(), func(s session) error {
		sealed, err := l.encrypt(s, &m, o.handle, secret, len(secret)+16)
		require.NoError(t, err)
		opened, err := l.decrypt(s, &m, o.handle, sealed, len(sealed))
		require.NoError(t, err)
		require.Equal(t, secret, opened)
		return nil
	})
	require.NoError(t, err)
	l.quick.mu.Lock()
	defer l.quick.mu.Unlock()
	require.NotEmpty(t, l.quick.free)
	for _, j := range l.quick.free {
		require.NotContains(t, string(j.block), "secretsecret")
	}
}
