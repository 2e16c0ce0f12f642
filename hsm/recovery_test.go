package hsm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// uid names a key of slot 4.
func uid(name string) string { return kmip.HSMIdentifier(4, name) }

// aesKeyOf makes an AES-256 key and gives its object.
func aesKeyOf(t testing.TB, h *HSM, name string) *kmip.Object {
	t.Helper()
	require.NoError(t, h.Generate(t.Context(), aesObject(name, 256)))
	o, err := h.Object(t.Context(), uid(name))
	require.NoError(t, err)
	return o
}

func encrypts(ctx context.Context, h *HSM, name string) error {
	o, err := h.Object(ctx, uid(name))
	if err != nil {
		return err
	}
	_, err = o.Key.Encrypt(ctx, &kmip.EncryptRequest{Data: []byte("text")})
	return err
}

// faulty is a library whose calls fail when told to; the rest is the real one.
type faulty struct {
	cryptoki
	fail atomic.Pointer[func(call string) error]
}

func (f *faulty) before(call string) error {
	if fail := f.fail.Load(); fail != nil {
		return (*fail)(call)
	}
	return nil
}

func (f *faulty) encrypt(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error) {
	if err := f.before("encrypt"); err != nil {
		return nil, err
	}
	return f.cryptoki.encrypt(s, m, key, data, room)
}

func (f *faulty) decrypt(s session, m *mechanism, key handle, data []byte, room int) ([]byte, error) {
	if err := f.before("decrypt"); err != nil {
		return nil, err
	}
	return f.cryptoki.decrypt(s, m, key, data, room)
}

func (f *faulty) generate(s session, mechanism uint, t template) (handle, error) {
	if err := f.before("generate"); err != nil {
		return 0, err
	}
	return f.cryptoki.generate(s, mechanism, t)
}

func (f *faulty) tokenInfo(slot uint) (tokenInfo, error) {
	if err := f.before("tokenInfo"); err != nil {
		return tokenInfo{}, err
	}
	return f.cryptoki.tokenInfo(slot)
}

func (f *faulty) login(s session, slot *Slot) error {
	if err := f.before("login"); err != nil {
		return err
	}
	return f.cryptoki.login(s, slot)
}

func (f *faulty) initialize() error {
	if err := f.before("initialize"); err != nil {
		return err
	}
	return f.cryptoki.initialize()
}

// breaks puts a faulty library under a backend.
func breaks(t *testing.T, h *HSM) *faulty {
	h.looking.Wait() // what Open began in the background uses the library too
	m := h.modules[0]
	f := &faulty{cryptoki: m.lib}
	m.lib = f
	t.Cleanup(func() { m.lib = f.cryptoki })
	return f
}

// once fails the first call of that name with that return value.
func (f *faulty) once(call string, err error) {
	var done atomic.Bool
	fail := func(c string) error {
		if c == call && !done.Swap(true) {
			return err
		}
		return nil
	}
	f.fail.Store(&fail)
}

// always fails every call of these names.
func (f *faulty) always(err error, calls ...string) {
	fail := func(c string) error {
		for _, call := range calls {
			if c == call {
				return err
			}
		}
		return nil
	}
	f.fail.Store(&fail)
}

func TestRecoverySilent(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "k")
	f := breaks(t, h)
	for _, rv := range []uint{
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_OPERATION_ACTIVE, pkcs11.CKR_OBJECT_HANDLE_INVALID,
		pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED,
		pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
	} {
		t.Run(ckError{rv: rv}.Error(), func(t *testing.T) {
			f.once("encrypt", ckError{rv: rv})
			require.NoError(t, encrypts(t.Context(), h, "k"))
		})
	}
}

func TestRecoveryOfModuleFinalizedBehind(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "k")
	require.NoError(t, h.modules[0].lib.finalize())
	require.NoError(t, encrypts(t.Context(), h, "k"))
}

func TestRecoveryOfClosedSessions(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "k")
	c := h.slots[4].conn.Load()
	for _, s := range append([]session{c.anchor}, c.idle...) {
		require.NoError(t, h.modules[0].lib.closeSession(s)) // the last one logs out
	}
	require.NoError(t, encrypts(t.Context(), h, "k"))
}

// A key generated twice would be a second key of one name.
func TestGenerateIsNotRepeated(t *testing.T) {
	h := open(t)
	f := breaks(t, h)
	var calls atomic.Int64
	fail := func(call string) error {
		if call == "generate" {
			calls.Add(1)
			return ckError{rv: pkcs11.CKR_DEVICE_ERROR}
		}
		return nil
	}
	f.fail.Store(&fail)
	err := h.Generate(t.Context(), aesObject("k", 256))
	require.ErrorContains(t, err, "0x30: CKR_DEVICE_ERROR")
	require.EqualValues(t, 1, calls.Load())

	f.once("generate", ckError{rv: pkcs11.CKR_SESSION_HANDLE_INVALID}) // this one did nothing
	require.NoError(t, h.Generate(t.Context(), aesObject("k", 256)))
}

// SoftHSM 2.6.1 says CKR_GENERAL_ERROR to bad data, and a dead token may say it too.
func TestVagueErrorOfDeadToken(t *testing.T) {
	h := open(t)
	o := aesKeyOf(t, h, "k")
	bad := &kmip.DecryptRequest{Data: make([]byte, 16), IVCounterNonce: make([]byte, 12), AuthenticatedEncryptionTag: make([]byte, 16)}
	_, err := o.Key.Decrypt(t.Context(), bad)
	require.EqualError(t, err, "decryption failed")
	require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))

	f := breaks(t, h)
	f.always(ckError{rv: pkcs11.CKR_GENERAL_ERROR}, "tokenInfo")
	h.slots[4].conn.Load().probed.Store(0)
	_, err = o.Key.Decrypt(t.Context(), bad)
	require.ErrorContains(t, err, "slot 4: HSM unavailable")
	require.ErrorContains(t, err, "0xE0: CKR_TOKEN_NOT_PRESENT")
	require.Equal(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err))
}

// While a token is dead its module is asked once in a while, not by every request.
func TestBreaker(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "k")
	f := breaks(t, h)
	var calls atomic.Int64
	dead := func(call string) error {
		calls.Add(1)
		return ckError{rv: pkcs11.CKR_DEVICE_REMOVED}
	}
	f.fail.Store(&dead)
	require.ErrorContains(t, encrypts(t.Context(), h, "k"), "0x32: CKR_DEVICE_REMOVED")
	after, began := calls.Load(), time.Now()
	for range 100 {
		require.ErrorContains(t, encrypts(t.Context(), h, "k"), "0x32: CKR_DEVICE_REMOVED")
	}
	attempts := int64(time.Since(began)/shortestPause) + 1 // that are due in this time
	require.Less(t, calls.Load()-after, 20*attempts)

	f.fail.Store(nil)
	require.Eventually(t, func() bool { return encrypts(t.Context(), h, "k") == nil }, time.Minute, 20*time.Millisecond)
}

func TestTokenMovedAwayAndBack(t *testing.T) {
	folder := newToken(t, label(t))
	h := openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)})
	held := aesKeyOf(t, h, "k")
	for range 2 {
		back := moveAway(t, folder)
		err := encrypts(t.Context(), h, "k")
		require.ErrorContains(t, err, "slot 4: HSM unavailable")
		require.ErrorContains(t, err, "0xE0: CKR_TOKEN_NOT_PRESENT")
		require.False(t, h.Status(t.Context())[0].Healthy)
		_, err = h.Object(t.Context(), uid("nothing"))
		require.ErrorContains(t, err, "HSM unavailable", "not found is not believed of a token that is gone")

		back()
		require.Eventually(t, func() bool { return encrypts(t.Context(), h, "k") == nil }, time.Minute, 20*time.Millisecond)
		_, err = held.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
		require.NoError(t, err, "a key that was held works again")
		require.True(t, h.Status(t.Context())[0].Healthy)
	}
}

// One slot's token that is gone does not end the other's use, and heals although the other one is busy.
func TestTokenOfOtherSlotGone(t *testing.T) {
	first, second := newToken(t, "first"), newToken(t, "second")
	h := openSlots(t, Slot{Number: 4, TokenLabel: "first", PIN: pin(testPIN)}, Slot{Number: 5, TokenLabel: "second", PIN: pin(testPIN)})
	require.NotEmpty(t, first)
	aesKeyOf(t, h, "k")
	other := aesObject("k", 256)
	other.UniqueIdentifier = kmip.HSMIdentifier(5, "k")
	require.NoError(t, h.Generate(t.Context(), other))

	back := moveAway(t, second)
	generation := h.modules[0].generation.Load()
	for range 20 {
		o, err := h.Object(t.Context(), other.UniqueIdentifier)
		if err == nil {
			_, err = o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
		}
		require.ErrorContains(t, err, "slot 5: HSM unavailable")
		require.NoError(t, encrypts(t.Context(), h, "k"))
	}
	require.Equal(t, generation, h.modules[0].generation.Load(), "the module is left alone for the sake of slot 4")

	back()
	h.modules[0].reborn.Store(0) // its patience is over
	require.Eventually(t, func() bool {
		_, err := h.Object(t.Context(), other.UniqueIdentifier)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, encrypts(t.Context(), h, "k"))
}

func TestOpenWithoutToken(t *testing.T) {
	if softHSM.library == "" {
		t.Skip("SoftHSM is not installed")
	}
	h := openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)})
	_, err := h.Object(t.Context(), uid("k"))
	require.ErrorContains(t, err, `slot 4: HSM unavailable: no token with label "TestOpenWithoutToken": 0xE0: CKR_TOKEN_NOT_PRESENT`)
	newToken(t, label(t))
	require.Eventually(t, func() bool { return h.Status(t.Context())[0].Healthy }, time.Minute, 20*time.Millisecond)
}

func TestWrongPINIsTriedOnce(t *testing.T) {
	pinsAreHere(t)
	newToken(t, label(t))
	var reads atomic.Int64
	var right atomic.Bool
	h := openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: func() ([]byte, error) {
		reads.Add(1)
		if right.Load() {
			return []byte(testPIN), nil
		}
		return []byte("wrong"), nil
	}})
	for range 3 {
		_, err := h.Object(t.Context(), uid("k"))
		require.ErrorContains(t, err, "0xA0: CKR_PIN_INCORRECT")
		require.NotContains(t, err.Error(), "wrong")
	}
	require.EqualValues(t, 1, reads.Load())
	right.Store(true)
	_, err := h.Object(t.Context(), uid("k"))
	require.ErrorContains(t, err, "0xA0: CKR_PIN_INCORRECT", "only the operator's word lets it be tried again")
	h.Reload()
	_, err = h.Object(t.Context(), uid("k"))
	require.ErrorIs(t, err, kmip.ErrNotFound)
	require.EqualValues(t, 2, reads.Load())
}

func TestPINIsWiped(t *testing.T) {
	pinsAreHere(t)
	newToken(t, label(t))
	secret := []byte(testPIN)
	h := openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: func() ([]byte, error) { return secret, nil }})
	require.True(t, h.Status(t.Context())[0].Healthy)
	require.Equal(t, make([]byte, len(testPIN)), secret)
}

// A request waits for a session no longer than its context and the slot's limit.
func TestSessionsAreBounded(t *testing.T) {
	newToken(t, label(t))
	h := openSlots(t, Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN), MaxSessions: 2})
	aesKeyOf(t, h, "k")
	s := h.slots[4]
	s.Wait = 50 * time.Millisecond
	release, taken := make(chan struct{}), make(chan struct{}, 2)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_ = s.do(t.Context(), func(*connection, session) error {
				taken <- struct{}{}
				<-release
				return nil
			})
		})
	}
	<-taken
	<-taken
	require.ErrorContains(t, encrypts(t.Context(), h, "k"), "slot 4: HSM busy: all sessions are in use")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.do(ctx, nil), context.Canceled)
	close(release)
	wg.Wait()
	require.NoError(t, encrypts(t.Context(), h, "k"))
}

// A session is had by one at a time: two would crash the library.
func TestConcurrentUse(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "k")
	makePair(t, h, "pair", kmip.CryptographicAlgorithmECDSA, 256)
	private, err := h.Object(t.Context(), uid("pair"))
	require.NoError(t, err)
	f := breaks(t, h)
	var n atomic.Int64
	faults := []uint{pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_OBJECT_HANDLE_INVALID}
	fail := func(call string) error {
		if i := n.Add(1); call == "encrypt" && i%97 == 0 {
			return ckError{rv: faults[int(i/97)%len(faults)]}
		}
		return nil
	}
	f.fail.Store(&fail)
	var wg sync.WaitGroup
	var lost atomic.Int64
	for g := range 8 {
		wg.Go(func() {
			name := string(rune('a' + g))
			for i := range 60 {
				if err := encrypts(t.Context(), h, "k"); err != nil {
					lost.Add(1)
				}
				if _, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("text")}); err != nil {
					lost.Add(1)
				}
				if i%10 == 0 {
					own := aesObject(name, 128)
					if err := h.Generate(t.Context(), own); err != nil && !errors.Is(err, kmip.ErrExists) {
						t.Errorf("generating: %v", err)
					}
					if err := h.Destroy(t.Context(), own); err != nil && !errors.Is(err, kmip.ErrNotFound) {
						t.Errorf("destroying: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Less(t, lost.Load(), int64(20), "of 960 operations, in bursts of faults")
}

// altered is a library that tells another value of an attribute once it is told to, as if objects had their handles given to others.
type altered struct {
	cryptoki
	kind  uint // CKA_
	value []byte
	on    atomic.Bool
}

func (a *altered) attributes(s session, h handle, types []uint) (template, error) {
	t, err := a.cryptoki.attributes(s, h, types)
	for i := range t {
		if a.on.Load() && t[i].Type == a.kind {
			t[i].Value = a.value
		}
	}
	return t, err
}

// reusing has a token give handles again, and tell another value of an attribute of a key once it was used: what it is used for then gives the error.
func reusing(t *testing.T, h *HSM, name string, kind uint, value []byte) error {
	t.Helper()
	o := aesKeyOf(t, h, name)
	c := h.slots[4].conn.Load()
	proof := *c.proof
	proof.reuses = true
	c.proof = &proof
	a := &altered{cryptoki: h.modules[0].lib, kind: kind, value: value}
	h.modules[0].lib = a
	t.Cleanup(func() { h.modules[0].lib = a.cryptoki })
	require.NoError(t, encrypts(t.Context(), h, name))
	a.on.Store(true)
	_, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
	return err
}

// Where a token gives handles again, one is confirmed before it is used: it may mean another key.
func TestReusedHandleIsConfirmed(t *testing.T) {
	require.ErrorIs(t, reusing(t, open(t), "k", pkcs11.CKA_LABEL, []byte("another")), kmip.ErrNotFound)
}

func TestRandom(t *testing.T) {
	h := open(t)
	b := make([]byte, 100_000)
	require.NoError(t, h.Random(t.Context(), 4, b))
	require.NotContains(t, string(b), string(make([]byte, 16)))
	require.ErrorContains(t, h.Random(t.Context(), 5, b), "slot 5 is not configured")
}
