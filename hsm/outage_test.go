package hsm

import (
	"log/slog"
	"testing"
	"time"

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
