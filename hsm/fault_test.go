package hsm

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// shimmed opens a new token through a shim.
func shimmed(t *testing.T, change func(*Module)) (*HSM, *hsmtest.Shim) {
	t.Helper()
	newToken(t, label(t))
	shim := hsmtest.New(t, softHSM.library)
	m := Module{Library: shim.Library, Env: shim.Env, Isolation: "none",
		Slots: []Slot{{Number: 4, TokenLabel: label(t), PIN: pin(testPIN), Wait: 30 * time.Second}}}
	if change != nil {
		change(&m)
	}
	h := openModule(t, m)
	t.Cleanup(shim.Heal) // before it is closed
	return h, shim
}

// An act is something that clients do, and the functions of PKCS#11 that it must call.
type act struct {
	name      string
	functions string
	do        func() error

	// makes is how many objects more, or fewer, the token has after a success: of one that fails it has none more.
	makes int
}

// acts are all that there are to do with a token; what they need is made here.
func acts(t *testing.T, h *HSM) []act {
	aes := aesKeyOf(t, h, "aes")
	private, public := benchPairOf(t, h)
	sealed, err := aes.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.NoError(t, err)
	locked, err := public.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.NoError(t, err)
	require.NoError(t, h.Generate(t.Context(), wrappingObject("kek")))
	kek, err := h.Object(t.Context(), uid("kek"))
	require.NoError(t, err)
	wrap := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}
	material := []byte("a key of 16 byte")
	wrapped, err := kek.Key.Wrap(t.Context(), wrap, material)
	require.NoError(t, err)
	made := 0
	next := func() string { made++; return fmt.Sprintf("made-%d", made) }
	encrypts := func() error {
		o, err := h.Object(t.Context(), uid("aes"))
		if err == nil {
			_, err = o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
		}
		return err
	}
	return []act{
		{"encrypt", "EncryptInit Encrypt", encrypts, 0},
		{"decrypt", "DecryptInit Decrypt", func() error {
			r, err := aes.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce,
				AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag})
			if err == nil {
				require.Equal(t, "data", string(r.Data))
			}
			return err
		}, 0},
		{"decrypt with RSA", "DecryptInit Decrypt", func() error {
			r, err := private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: locked.Data})
			if err == nil {
				require.Equal(t, "data", string(r.Data))
			}
			return err
		}, 0},
		{"sign", "SignInit Sign", func() error {
			r, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("data")})
			if err == nil {
				v, err := public.Key.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{Data: []byte("data"), SignatureData: r.SignatureData})
				require.NoError(t, err)
				require.Equal(t, kmip.ValidityIndicatorValid, v.ValidityIndicator)
			}
			return err
		}, 0},
		{"wrap", "CreateObject WrapKey DestroyObject", func() error {
			w, err := kek.Key.Wrap(t.Context(), wrap, material)
			if err == nil {
				require.Equal(t, wrapped, w)
			}
			return err
		}, 0},
		{"unwrap", "UnwrapKey GetAttributeValue DestroyObject", func() error {
			m, err := kek.Key.Unwrap(t.Context(), wrap, wrapped)
			if err == nil {
				require.Equal(t, material, m)
			}
			return err
		}, 0},
		{"look up", "FindObjectsInit FindObjects FindObjectsFinal GetAttributeValue", func() error {
			h.slots[4].conn.Load().forgetObjects()
			_, err := h.Object(t.Context(), uid("aes"))
			return err
		}, 0},
		{"locate", "FindObjectsInit FindObjects FindObjectsFinal", func() error {
			h.slots[4].conn.Load().forgetList()
			_, err := h.Locate(t.Context(), &kmip.Search{Admin: true})
			return err
		}, 0},
		{"create", "GenerateKey", func() error { return h.Generate(t.Context(), aesObject(next(), 256)) }, 1},
		{"create pair", "GenerateKeyPair", func() error {
			_, err := h.MakeKey(t.Context(), 4, NewKey{Label: next(), Algorithm: "ec", Purpose: PurposeData})
			return err
		}, 2},
		{"register", "CreateObject", func() error {
			return h.Register(t.Context(), aesObject(next(), 128), &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
				KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material}}}})
		}, 1},
		{"destroy", "DestroyObject", func() error { return h.Destroy(t.Context(), aesObject("doomed", 0)) }, -1},
		{"connect", "GetSlotList GetTokenInfo OpenSession Login GetSessionInfo", func() error {
			if c := h.slots[4].conn.Load(); c != nil {
				h.slots[4].drop(c, errStale)
			}
			return encrypts()
		}, 0},
		{"random", "GenerateRandom", func() error { return h.Random(t.Context(), 4, make([]byte, 16)) }, 0},
	}
}

// wrappingObject describes a key that wraps.
func wrappingObject(name string) *kmip.Object {
	o := aesObject(name, 256)
	o.Attributes = o.Attributes.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskWrapKey|kmip.CryptographicUsageMaskUnwrapKey)
	return o
}

// forgetObjects makes the next look-up ask the token.
func (c *connection) forgetObjects() {
	if c != nil {
		c.mu.Lock()
		clear(c.objects)
		c.mu.Unlock()
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

// Every return value that has a recovery, and some that have none, from every function: the client hears success, or an error with
// a fitting reason and the value's name; what changes the token changes it once or not at all; no session is lost; and once the module
// is well, so is the slot.
func TestEveryReturnValueOfEveryFunction(t *testing.T) {
	h, shim := shimmed(t, nil)
	values := []uint{pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_FUNCTION_REJECTED, pkcs11.CKR_DEVICE_MEMORY, pkcs11.CKR_MECHANISM_INVALID,
		pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_TOKEN_WRITE_PROTECTED,
		pkcs11.CKR_VENDOR_DEFINED + 0x123}
	for rv := range faults {
		values = append(values, rv)
	}
	slices.Sort(values)
	for _, a := range acts(t, h) {
		if a.makes < 0 {
			require.NoError(t, h.Generate(t.Context(), aesObject("doomed", 256)))
		} else {
			require.NoError(t, a.do(), a.name)
		}
		for _, function := range strings.Fields(a.functions) {
			for _, rv := range values {
				name := fmt.Sprintf("%s, C_%s answers %v", a.name, function, ckError{rv: rv})
				before := objectsOf(t, h)
				calls := shim.Calls(function)
				shim.Do(function, hsmtest.Refuse, rv, 0, 1)
				err := a.do()
				fired := shim.Calls(function) > calls
				shim.Heal()
				require.True(t, fired, "%s: it was not called", name)
				if a.name == "connect" && rv != pkcs11.CKR_DEVICE_REMOVED {
					h.Reload() // instead of waiting for the breaker each time
				}
				change := a.makes
				if err != nil {
					change = 0
				}
				recovers := func() error {
					if a.makes == 0 {
						return a.do()
					}
					return encrypts(t.Context(), h, "aes")
				}
				require.Eventually(t, func() bool { return recovers() == nil }, time.Minute, 5*time.Millisecond, "%s: the slot stays broken", name)
				require.Equal(t, before+change, objectsOf(t, h), "%s: %v, and the token has more or fewer objects", name, err)
				judgeError(t, name, function, rv, err)
				if a.makes < 0 && err == nil {
					require.NoError(t, h.Generate(t.Context(), aesObject("doomed", 256)))
				}
			}
		}
	}
}

// Sessions on which something failed are closed, each of them, and no others are opened than those that take their place.
func TestSessionsAreNotLost(t *testing.T) {
	h, shim := shimmed(t, nil)
	all := acts(t, h)
	begun := shim.Calls("Initialize")
	for _, a := range all[:6] {
		require.NoError(t, a.do())
	}
	held := func() int { return shim.Calls("OpenSession") - shim.Calls("CloseSession") }
	before := held()
	for _, a := range all[:6] {
		for _, function := range strings.Fields(a.functions) {
			for _, rv := range []uint{pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_OPERATION_ACTIVE, pkcs11.CKR_OBJECT_HANDLE_INVALID,
				pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_DATA_INVALID, pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_MECHANISM_INVALID} {
				for range 3 {
					shim.Do(function, hsmtest.Refuse, rv, 0, 1)
					_ = a.do()
					shim.Heal()
					require.NoError(t, a.do())
				}
			}
		}
	}
	require.Equal(t, begun, shim.Calls("Initialize"), "none of these means that the token is gone")
	require.LessOrEqual(t, held(), before+1)
}

// judgeError holds the error of an act in which one function answered rv once.
func judgeError(t *testing.T, name, function string, rv uint, err error) {
	t.Helper()
	if err == nil {
		// Searches and attempts to connect are made again, whatever disturbed them; and an object of a session goes with it.
		silent := strings.HasPrefix(function, "FindObjects") || strings.HasPrefix(name, "look up") || strings.HasPrefix(name, "connect") || function == "DestroyObject"
		require.True(t, silent || meaning(rv) != faultNone && meaning(rv) != faultData, "%s: and nobody heard of it", name)
		return
	}
	var told *kmip.Error
	require.ErrorAs(t, err, &told, name)
	if told.Reason == kmip.ResultReasonCryptographicFailure {
		require.Contains(t, []fault{faultData, faultVague, faultNone}, meaning(rv), "%s: %v", name, err)
		return // says no more, for it may be an oracle
	}
	wanted := reasons[rv]
	if wanted == 0 || strings.Contains(err.Error(), "HSM unavailable") {
		wanted = kmip.ResultReasonGeneralFailure
	}
	require.Equal(t, wanted, told.Reason, "%s: %v", name, err)
	require.ErrorContains(t, err, "slot 4", name)
	require.ErrorContains(t, err, "CKR_", name)
}

// objectsOf counts the keys in the token.
func objectsOf(t *testing.T, h *HSM) (n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		keys, err := h.Keys(t.Context(), 4)
		n = len(keys)
		return err == nil
	}, time.Minute, 5*time.Millisecond)
	return n
}

// A key that a token made although it said that it did not is not made again, can be seen, and the error tells of it.
func TestCreateThatMayHaveHappened(t *testing.T) {
	h, shim := shimmed(t, nil)
	require.NoError(t, h.Generate(t.Context(), aesObject("before", 256)))
	for _, rv := range []uint{pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_REMOVED} {
		name := fmt.Sprintf("key-%x", rv)
		calls := shim.Calls("GenerateKey")
		shim.Do("GenerateKey", hsmtest.FailAfter, rv, 0, 1)
		err := h.Generate(t.Context(), aesObject(name, 256))
		require.ErrorContains(t, err, "CKR_", name)
		require.ErrorContains(t, err, fmt.Sprintf("%q is in the token all the same", uid(name)))
		require.Equal(t, calls+1, shim.Calls("GenerateKey"), "it was tried again")
		shim.Heal()
		_, err = h.Object(t.Context(), uid(name))
		require.NoError(t, err, "the key is in the token, and is not shown")
		require.ErrorIs(t, h.Generate(t.Context(), aesObject(name, 256)), kmip.ErrExists)
	}
	shim.Do("GenerateKeyPair", hsmtest.FailAfter, pkcs11.CKR_DEVICE_ERROR, 0, 1)
	_, err := h.MakeKey(t.Context(), 4, NewKey{Label: "pair", Algorithm: "ec", Purpose: PurposeData})
	require.ErrorContains(t, err, `"hsm::4::pair" is in the token all the same; "hsm::4::pair_pk" is in the token all the same`)
	shim.Heal()

	// Nobody can look while the token is away.
	shim.Do("GenerateKey", hsmtest.FailAfter, pkcs11.CKR_DEVICE_REMOVED, 0, 1)
	shim.Do("GetTokenInfo", hsmtest.Refuse, pkcs11.CKR_DEVICE_REMOVED, 1, -1)
	err = h.Generate(t.Context(), aesObject("away", 256))
	require.ErrorContains(t, err, `"hsm::4::away" may be in the token all the same`)
}

// A call that makes a key and does not come back in time ends with its worker process; the error tells that the key is there.
func TestCreateThatTimesOut(t *testing.T) {
	h, shim := shimmed(t, func(m *Module) {
		m.Isolation = "process"
		worker, env := workerOf(m.Library, m.Slots...), m.Env
		m.Worker = withEnv(worker, env)
	})
	h.modules[0].lib.(*remote).hurry(fnGenerate, 2*time.Second) // in which the token makes its key, however busy the machine is
	shim.Do("GenerateKey", hsmtest.HangAfter, 0, 0, 1)
	err := h.Generate(t.Context(), aesObject("k", 256))
	require.ErrorContains(t, err, `"hsm::4::k" is in the token all the same`)
	require.Equal(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err))
	require.Equal(t, 1, objectsOf(t, h))
	require.NoError(t, encrypts(t.Context(), h, "k"))
}

// A module for an older version of PKCS#11, with functions that it does not have, is used for what it has.
func TestModuleWithoutFunctions(t *testing.T) {
	newToken(t, label(t))
	shim := hsmtest.New(t, softHSM.library)
	shim.Claims("2.30", "GenerateRandom", "WrapKey", "UnwrapKey", "SeedRandom", "WaitForSlotEvent", "GetFunctionStatus", "CopyObject")
	h := openModule(t, Module{Library: shim.Library, Env: shim.Env, Isolation: "none",
		Slots: []Slot{{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)}}})
	status := h.Status(t.Context())[0]
	require.True(t, status.Healthy, status.Error)
	require.Contains(t, status.Mechanisms, "AES GCM")
	require.NotContains(t, status.Mechanisms, "AES NISTKeyWrap")
	aesKeyOf(t, h, "k")
	require.NoError(t, encrypts(t.Context(), h, "k"))
	err := h.Random(t.Context(), 4, make([]byte, 16))
	require.ErrorContains(t, err, "CKR_FUNCTION_NOT_SUPPORTED")
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))

	old := hsmtest.New(t, softHSM.library)
	old.Claims("1.0")
	_, err = Open(t.Context(), []Module{{Library: old.Library, Env: old.Env, Isolation: "none",
		Slots: []Slot{{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)}}}}, &memory{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "its function list is of Cryptoki 1.0")
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
	}, time.Minute, 10*time.Millisecond)
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

// Calls that wait for a device run as many at once as there are sessions; those that compute here do not. Either is seen again
// when it changes.
func TestLanesSeeWhatWaits(t *testing.T) {
	h, shim := shimmed(t, nil)
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	l := h.modules[0].lib.(*library).quick
	atOnce := func() {
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				if _, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	seen := func(local bool) {
		for began := time.Now(); l.local() != local; atOnce() {
			require.Less(t, time.Since(began), time.Minute, "its operations show whether they wait")
		}
	}
	seen(true)
	shim.Delay(time.Millisecond, "Encrypt")
	seen(false)
	shim.Delay(0, "Encrypt")
	seen(true)

	waiting, err := newLibrary(h.modules[0].lib.(*library).functions, &Module{}) // with lanes that have seen nothing
	require.NoError(t, err)
	h.modules[0].lib = waiting
	const delay = 300 * time.Millisecond
	shim.Delay(delay, "Encrypt")
	began := time.Now()
	atOnce()
	require.False(t, waiting.quick.local())
	require.Less(t, time.Since(began), 16*delay, "they waited for each other")
}

// A module that hangs or crashes under load, in a worker process: requests fail, the slot is back, and nothing is answered
// wrongly.
func TestCrashAndHangUnderLoad(t *testing.T) {
	h, shim := shimmed(t, func(m *Module) {
		m.Isolation = "process"
		worker, env := workerOf(m.Library, m.Slots...), m.Env
		m.Worker = withEnv(worker, env)
	})
	h.modules[0].lib.(*remote).hurry(fnEncrypt, time.Second)
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
		require.Eventually(t, func() bool { return shim.Calls("Initialize") > calls }, time.Minute, time.Millisecond)
		shim.Heal()
		before := good.Load()
		require.Eventually(t, func() bool { return good.Load() > before+200 }, time.Minute, time.Millisecond)
	}
	stop.Store(true)
	load.Wait()
	require.Positive(t, good.Load())
}
