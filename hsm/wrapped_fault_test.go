package hsm

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
)

// signsWrapped is a signature with a wrapped key, verified.
func signsWrapped(t *testing.T, k kmip.Opened) error {
	t.Helper()
	data := []byte("to be signed")
	signed, err := k.Sign(t.Context(), &kmip.SignRequest{Data: data})
	if err != nil {
		return err
	}
	v, err := k.(*wrappedKey).public.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{Data: data, SignatureData: signed.SignatureData})
	require.NoError(t, err)
	require.Equal(t, kmip.ValidityIndicatorValid, v.ValidityIndicator)
	return nil
}

// Whatever fails, and whether it happened all the same: no unwrapped key stays in the token, no object is more or less there, and
// the next signature is one.
func TestX62WrappedFaults(t *testing.T) {
	for _, handles := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d handles kept", handles), func(t *testing.T) {
			h, shim := shimmed(t, func(m *Module) { m.Slots[0].WrappedHandles = handles })
			wrappingKeys(t, h, "wrap")
			a := ecAttributes(kmip.RecommendedCurveP256)
			kept, _, err := h.GeneratePairWrapped(t.Context(), uid("wrap"), a, a)
			require.NoError(t, err)
			for _, function := range []string{"UnwrapKey", "SignInit", "Sign", "DestroyObject", "OpenSession"} {
				for _, what := range []hsmtest.What{hsmtest.Refuse, hsmtest.FailAfter} {
					for _, rv := range []uint{pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_SESSION_HANDLE_INVALID,
						pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_DEVICE_MEMORY, pkcs11.CKR_FUNCTION_FAILED} {
						k, err := h.OpenWrapped(t.Context(), uid("wrap"), kept, a)
						require.NoError(t, err)
						shim.Do(function, what, rv, 0, 1)
						_ = signsWrapped(t, k) // succeeds or not; never wrongly
						shim.Heal()
						name := fmt.Sprintf("%s, %v, 0x%X", function, what, rv)
						require.Eventually(t, func() bool { return signsWrapped(t, k) == nil }, time.Minute, 10*time.Millisecond, name)
						k.Close()
						require.Zero(t, sessionObjects(t, h), name)
						require.Equal(t, 1, objectsIn(t, h), name)
					}
				}
			}
		})
	}
}

// Making a wrapped key leaves nothing behind either, and gives nothing that was not proven.
func TestX62GenerateWrappedFaults(t *testing.T) {
	h, shim := shimmed(t, nil)
	wrappingKeys(t, h, "wrap")
	a := ecAttributes(kmip.RecommendedCurveP256)
	for _, function := range []string{"GenerateKeyPair", "WrapKey", "UnwrapKey", "SignInit", "Sign", "DestroyObject", "GetAttributeValue"} {
		for _, rv := range []uint{pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_KEY_UNEXTRACTABLE} {
			shim.Do(function, hsmtest.FailAfter, rv, 0, 1)
			kept, half, err := h.GeneratePairWrapped(t.Context(), uid("wrap"), a, a)
			shim.Heal()
			require.Equal(t, err == nil, kept != nil && half != nil, "%s", function)
			require.Zero(t, sessionObjects(t, h), "%s", function)
			require.Equal(t, 1, objectsIn(t, h), "%s", function)
		}
	}
}

// A slot that keeps handles lends them to many at once, and lets them go by age and with the connection.
func TestX65HeldHandles(t *testing.T) {
	h, shim := shimmed(t, func(m *Module) {
		m.Slots[0].WrappedHandles, m.Slots[0].WrappedHandleAge = 2, 50*time.Millisecond
	})
	wrappingKeys(t, h, "wrap")
	a := ecAttributes(kmip.RecommendedCurveP256)
	keys := make([]kmip.Opened, 4)
	for i := range keys {
		kept, _, err := h.GeneratePairWrapped(t.Context(), uid("wrap"), a, a)
		require.NoError(t, err)
		keys[i], err = h.OpenWrapped(t.Context(), uid("wrap"), kept, a)
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 20 {
				if err := signsWrapped(t, keys[i%len(keys)]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { return sessionObjects(t, h) == 0 }, time.Minute, 10*time.Millisecond, "what is old stays")

	require.NoError(t, signsWrapped(t, keys[0]))
	shim.Do("Sign", hsmtest.Refuse, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, 0, 1)
	require.NoError(t, signsWrapped(t, keys[0])) // of a module that was initialized again
	for _, k := range keys {
		k.Close()
	}
	require.Zero(t, sessionObjects(t, h))
}

// In a worker process it is the same.
func TestWrappedInWorkerProcess(t *testing.T) {
	h, _ := isolated(t)
	wrappingKeys(t, h, "a", "b")
	a := rsaAttributes()
	kept, _, err := h.GeneratePairWrapped(t.Context(), uid("a"), a, a)
	require.NoError(t, err)
	kept, err = h.Rewrap(t.Context(), uid("a"), uid("b"), kept)
	require.NoError(t, err)
	k, err := h.OpenWrapped(t.Context(), uid("b"), kept, a)
	require.NoError(t, err)
	defer k.Close()
	require.NoError(t, signsWrapped(t, k))
	require.Zero(t, sessionObjects(t, h))
}

// NSS wraps by RFC 5649 proper, RSA keys and secrets. Private keys on curves it wraps, and does not unwrap (CKR_TEMPLATE_INCOMPLETE).
func TestNSSWrapped(t *testing.T) {
	h := nss(t)
	wrappingKeys(t, h, "a", "b")
	a := rsaAttributes()
	kept, _, err := h.GeneratePairWrapped(t.Context(), uid("a"), a, a)
	require.NoError(t, err)
	w, err := parseWrapped(kept)
	require.NoError(t, err)
	require.Equal(t, uint(ckmAESKeyWrapKWP), w.ckm)
	kept, err = h.Rewrap(t.Context(), uid("a"), uid("b"), kept)
	require.NoError(t, err)
	k, err := h.OpenWrapped(t.Context(), uid("b"), kept, a)
	require.NoError(t, err)
	defer k.Close()
	require.NoError(t, signsWrapped(t, k))

	secret := kmip.Attributes(nil).With(tagAlgorithm, kmip.CryptographicAlgorithmHMACSHA1) // 160 bits
	kept, _, err = h.GenerateWrapped(t.Context(), uid("a"), secret)
	require.NoError(t, err)
	m, err := h.OpenWrapped(t.Context(), uid("a"), kept, secret)
	require.NoError(t, err)
	defer m.Close()
	sum, err := m.MAC(t.Context(), &kmip.MACRequest{Data: []byte("data")})
	require.NoError(t, err)
	require.Len(t, sum.MACData, 20)

	a = ecAttributes(kmip.RecommendedCurveP256)
	if _, _, err = h.GeneratePairWrapped(t.Context(), uid("a"), a, a); err != nil {
		require.ErrorContains(t, err, "does not wrap and unwrap keys of this kind")
	}
	require.Zero(t, sessionObjects(t, h))
}
