package hsm

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
)

// A module that hangs when the server starts does not keep it from starting, nor the slots of others from being used.
func TestModuleHangsAtStart(t *testing.T) {
	newToken(t, label(t))
	shim := hsmtest.New(t, softHSM.library)
	shim.Do("Initialize", hsmtest.Hang, 0, 0, -1)
	slow := Slot{Number: 5, TokenLabel: label(t), PIN: pin(testPIN), Wait: 300 * time.Millisecond}
	m := Module{Library: shim.Library, Env: shim.Env, Isolation: "process", Slots: []Slot{slow}}
	m.Worker = withEnv(workerOf(m.Library, slow), m.Env)
	began := time.Now()
	h, err := Open(t.Context(), []Module{m, softHSMModule(Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)})}, &memory{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	t.Cleanup(shim.Heal)
	aesKeyOf(t, h, "k")
	_, err = h.Object(t.Context(), kmip.HSMIdentifier(5, "k"))
	require.ErrorContains(t, err, "slot 5: HSM")
	require.Less(t, time.Since(began), DefaultCallLimit/2)
	shim.Heal()
	require.Eventually(t, func() bool {
		_, err := h.Object(t.Context(), kmip.HSMIdentifier(5, "k"))
		return err == nil
	}, time.Minute, 20*time.Millisecond)
}

// While one who connects to a token that was gone waits for it, the others hear at once that it is gone.
func TestBreakerWhileConnecting(t *testing.T) {
	h, shim := shimmed(t, nil)
	aesKeyOf(t, h, "k")
	shim.Do("EncryptInit", hsmtest.Refuse, pkcs11.CKR_DEVICE_ERROR, 0, 1)
	shim.Do("OpenSession", hsmtest.Refuse, pkcs11.CKR_DEVICE_ERROR, 0, -1)
	require.ErrorContains(t, encrypts(t.Context(), h, "k"), "CKR_DEVICE_ERROR")
	shim.Do("OpenSession", hsmtest.Hang, 0, 0, -1)
	calls := shim.Calls("OpenSession")
	var all sync.WaitGroup
	all.Go(func() {
		for shim.Calls("OpenSession") == calls {
			_ = encrypts(t.Context(), h, "k")
		}
	})
	require.Eventually(t, func() bool { return shim.Calls("OpenSession") > calls }, time.Minute, time.Millisecond)
	heard := make(chan error, 1)
	go func() { heard <- encrypts(t.Context(), h, "k") }()
	select {
	case err := <-heard:
		require.ErrorContains(t, err, "CKR_DEVICE_ERROR")
	case <-time.After(5 * time.Second):
		t.Error("it waits for the token")
	}
	go func() {
		h.slots[4].report(t.Context())
		h.Reload()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		h.slots[4].close(ctx)
		heard <- nil
	}()
	select {
	case <-heard:
	case <-time.After(5 * time.Second):
		t.Error("an operator waits for the token")
	}
	shim.Heal()
	all.Wait()
}
