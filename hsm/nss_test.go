package hsm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/kmiptest"
)

// Tests with NSS softokn, which is nothing like SoftHSM inside.

// nss opens a new token of NSS, in a worker process: NSS keeps much in the process that no C_Finalize clears.
func nss(t *testing.T) *HSM {
	t.Helper()
	libraries, err := filepath.Glob("/usr/lib/*/libsoftokn3.so")
	require.NoError(t, err)
	if _, err := exec.LookPath("certutil"); err != nil || len(libraries) == 0 {
		t.Skip("NSS softokn and certutil (libnss3-tools) are not installed")
	}
	dir, err := os.MkdirTemp(filepath.Dir(softHSM.folder), "nss") // in memory
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	secret := filepath.Join(dir, "pin")
	require.NoError(t, os.WriteFile(secret, []byte(testPIN), 0o600))
	out, err := exec.Command("certutil", "-N", "-d", "sql:"+dir, "-f", secret).CombinedOutput()
	require.NoError(t, err, "%s", out)
	slot := Slot{Number: 4, TokenLabel: "NSS Certificate DB", PIN: pin(testPIN)}
	m := Module{Library: libraries[0], Isolation: "process", Slots: []Slot{slot},
		Parameters: fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags=", dir)}
	m.Worker = withEnv(workerOf(m.Library, slot), map[string]string{workerVariable + "_PARAMETERS": m.Parameters})
	return openModule(t, m)
}

func TestX21NSSBackend(t *testing.T) {
	kmiptest.Backend(t, func(t *testing.T) kmip.Backend { return nss(t) }, kmiptest.Options{
		Prefix: kmip.HSMIdentifier(4, ""), Owner: "ops", TakesMaterial: true, HidesMaterial: true,
	})
}

func TestNSSCapabilities(t *testing.T) {
	h := nss(t)
	status := h.Status(t.Context())[0]
	require.True(t, status.Healthy, status.Error)
	all := strings.Join(status.Mechanisms, ", ")
	for _, want := range []string{"AES GCM", "AES CBC PKCS5", "RSA OAEP SHA_256", "HMAC SHA_256", "ECDSA signature", "RSA PSS signature"} {
		require.Contains(t, all, want)
	}
	_, err := h.MakeKey(t.Context(), 4, NewKey{Label: "ed", Algorithm: "ed25519", Purpose: PurposeData})
	require.EqualError(t, err, "slot 4: the token does not do Ed25519 as the standard has it")
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	sealed, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data"), AuthenticatedEncryptionAdditionalData: []byte("aad")})
	require.NoError(t, err)
	opened, err := o.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce,
		AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag, AuthenticatedEncryptionAdditionalData: []byte("aad")})
	require.NoError(t, err)
	require.Equal(t, "data", string(opened.Data))
}
