package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
)

// shimmed opens a new token through a shim.
func shimmed(t *testing.T, change func(*Module)) (*HSM, *hsmtest.Shim) {
	t.Helper()
	newToken(t, label(t))
	shim := hsmtest.New(t, softHSM.library)
	m := Module{Library: shim.Library, Env: shim.Env, Isolation: "none",
		Slots: []Slot{{Number: 4, TokenLabel: label(t), PIN: pin(testPIN), Wait: 3 * time.Second}}}
	if change != nil {
		change(&m)
	}
	h, err := Open(context.Background(), []Module{m}, &memory{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() {
		shim.Heal()
		require.NoError(t, h.Close())
	})
	return h, shim
}

// An act is something that clients do, and the functions of PKCS#11 that it must call.
type act struct {
	name      string
	functions string
	lasting   bool // it changes the token: it may not be done twice
	do        func() error
}

// acts are all that there are to do with a token; what they need is made here.
func acts(t *testing.T, h *HSM) []act {
	aes := aesKeyOf(t, h, "aes")
	private, public := benchPairOf(t, h)
	sealed, err := aes.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.NoError(t, err)
	locked, err := public.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.NoError(t, err)
	made := 0
	return []act{
		{"encrypt", "EncryptInit Encrypt", false, func() error {
			o, err := h.Object(t.Context(), uid("aes"))
			if err == nil {
				_, err = o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
			}
			return err
		}},
		{"decrypt", "DecryptInit Decrypt", false, func() error {
			r, err := aes.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce,
				AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag})
			if err == nil {
				require.Equal(t, "data", string(r.Data))
			}
			return err
		}},
		{"decrypt with RSA", "DecryptInit Decrypt", false, func() error {
			r, err := private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: locked.Data})
			if err == nil {
				require.Equal(t, "data", string(r.Data))
			}
			return err
		}},
		{"sign", "SignInit Sign", false, func() error {
			r, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("data")})
			if err == nil {
				v, err := public.Key.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{Data: []byte("data"), SignatureData: r.SignatureData})
				require.NoError(t, err)
				require.Equal(t, kmip.ValidityIndicatorValid, v.ValidityIndicator)
			}
			return err
		}},
		{"locate", "FindObjectsInit FindObjects FindObjectsFinal", false, func() error {
			h.slots[4].conn.Load().forgetList()
			_, err := h.Locate(t.Context(), &kmip.Search{Admin: true})
			return err
		}},
		{"create", "GenerateKey", true, func() error {
			made++
			return h.Generate(t.Context(), aesObject(fmt.Sprintf("made-%d", made), 256))
		}},
		{"random", "GenerateRandom", false, func() error { return h.Random(t.Context(), 4, make([]byte, 16)) }},
	}
}

// forgetList makes the next Locate ask the token.
func (c *connection) forgetList() {
	if c != nil {
		c.mu.Lock()
		c.catalog = nil
		c.mu.Unlock()
	}
}

func benchPairOf(t *testing.T, h *HSM) (private, public *kmip.Object) {
	makePair(t, h, "rsa", kmip.CryptographicAlgorithmRSA, 2048)
	private, err := h.Object(t.Context(), uid("rsa"))
	require.NoError(t, err)
	public, err = h.Object(t.Context(), uid("rsa_pk"))
	require.NoError(t, err)
	return private, public
}

// Every return value that has a recovery, and some that have none, from every function: the client hears success, or an error
// with the value's name; no session is lost; and once the module is well, so is the slot.
func TestEveryReturnValueOfEveryFunction(t *testing.T) {
	h, shim := shimmed(t, nil)
	values := []uint{pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_FUNCTION_REJECTED, pkcs11.CKR_DEVICE_MEMORY}
	for rv := range faults {
		values = append(values, rv)
	}
	for _, a := range acts(t, h) {
		require.NoError(t, a.do(), a.name)
		for _, function := range strings.Fields(a.functions) {
			for _, rv := range values {
				name := fmt.Sprintf("%s, C_%s answers %v", a.name, function, ckError{rv: rv})
				shim.Do(function, hsmtest.Refuse, rv, 0, 1)
				err := a.do()
				var told *kmip.Error
				switch {
				case err == nil:
					require.NotEqual(t, faultNone, faults[rv], "%s: and nobody heard of it", name)
				case !errors.As(err, &told):
					t.Errorf("%s: %v is no error for a client", name, err)
				case faults[rv] != faultData && faults[rv] != faultVague && a.name != "locate":
					require.ErrorContains(t, err, "CKR_", name)
				}
				shim.Heal()
				require.Eventually(t, func() bool { return a.do() == nil }, 3*time.Second, 10*time.Millisecond, "%s: the slot stays broken", name)
			}
		}
	}
	held := shim.Calls("OpenSession") - shim.Calls("CloseSession")
	require.LessOrEqual(t, held, 8, "sessions are lost") // those of a module that was finalized are gone without a call
}

// A key that a token made although it said that it did not is not made again, and can be seen.
func TestCreateThatMayHaveHappened(t *testing.T) {
	h, shim := shimmed(t, nil)
	require.NoError(t, h.Generate(t.Context(), aesObject("before", 256)))
	for _, rv := range []uint{pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_REMOVED} {
		name := fmt.Sprintf("key-%x", rv)
		calls := shim.Calls("GenerateKey")
		shim.Do("GenerateKey", hsmtest.FailAfter, rv, 0, 1)
		require.ErrorContains(t, h.Generate(t.Context(), aesObject(name, 256)), "CKR_", name)
		require.Equal(t, calls+1, shim.Calls("GenerateKey"), "it was tried again")
		shim.Heal()
		require.Eventually(t, func() bool {
			_, err := h.Object(t.Context(), uid(name))
			return err == nil
		}, 3*time.Second, 10*time.Millisecond, "the key is in the token, and is not shown")
	}
}

// A wrong PIN and a token that would lock are not tried again, whatever clients ask.
func TestOneLoginForManyRequests(t *testing.T) {
	h, shim := shimmed(t, nil)
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	logins := shim.Calls("Login")
	shim.Do("EncryptInit", hsmtest.Refuse, pkcs11.CKR_DEVICE_REMOVED, 0, 1)
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() { _, _ = o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")}) })
	}
	all.Wait()
	require.Eventually(t, func() bool {
		_, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
		return err == nil
	}, 3*time.Second, 10*time.Millisecond)
	require.Equal(t, logins+1, shim.Calls("Login"))

	shim.Do("EncryptInit", hsmtest.Refuse, pkcs11.CKR_DEVICE_REMOVED, 0, 1)
	shim.Do("Login", hsmtest.Refuse, pkcs11.CKR_PIN_INCORRECT, 0, math.MaxInt32)
	logins = shim.Calls("Login")
	for range 20 {
		_, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
		require.Error(t, err)
	}
	require.Equal(t, logins+1, shim.Calls("Login"))
}

// Calls that wait for a device run as many at once as there are sessions; those that compute here do not.
func TestLanesSeeWhatWaits(t *testing.T) {
	h, shim := shimmed(t, nil)
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	l := h.modules[0].lib.(*library).quick
	require.True(t, l.local(), "SoftHSM computes here, and its self-test shows that")

	waiting, err := newLibrary(h.modules[0].lib.(*library).functions, "") // with lanes that have seen nothing
	require.NoError(t, err)
	h.modules[0].lib = waiting
	shim.Delay(20*time.Millisecond, "Encrypt")
	var slowest atomic.Int64
	began := time.Now()
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			_, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
			if err != nil {
				t.Error(err)
			}
			slowest.Store(int64(time.Since(began)))
		})
	}
	all.Wait()
	require.False(t, waiting.quick.local())
	require.Less(t, time.Duration(slowest.Load()), 16*20*time.Millisecond, "they waited for each other")
}

// A module that hangs or crashes under load, in a worker process: requests fail, the slot is back, and nothing is answered
// wrongly.
func TestCrashAndHangUnderLoad(t *testing.T) {
	h, shim := shimmed(t, func(m *Module) {
		m.Isolation, m.CallLimit = "process", 500*time.Millisecond
		worker, env := workerOf(m.Library, m.Slots...), m.Env
		m.Worker = withEnv(worker, env)
	})
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	var stop atomic.Bool
	var good, bad atomic.Int64
	var load sync.WaitGroup
	for range 16 {
		load.Go(func() {
			for !stop.Load() {
				o, err := h.Object(t.Context(), uid("k"))
				if err == nil {
					_, err = o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
				}
				if err != nil {
					bad.Add(1)
					time.Sleep(time.Millisecond)
				} else {
					good.Add(1)
				}
			}
		})
	}
	for _, what := range []hsmtest.What{hsmtest.Crash, hsmtest.Hang} {
		calls := shim.Calls("Initialize")
		shim.Do("Encrypt", what, 0, 50, 1)
		require.Eventually(t, func() bool { return shim.Calls("Initialize") > calls }, 10*time.Second, time.Millisecond)
		shim.Heal()
		before := good.Load()
		require.Eventually(t, func() bool { return good.Load() > before+200 }, 10*time.Second, time.Millisecond)
	}
	stop.Store(true)
	load.Wait()
	require.Positive(t, good.Load())
}
