package hsm

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
)

// busySessions makes a pool have n sessions that nobody uses.
func busySessions(t *testing.T, h *HSM, n int) {
	t.Helper()
	var inside, all sync.WaitGroup
	inside.Add(n)
	for range n {
		all.Go(func() {
			err := h.slots[4].do(t.Context(), func(*connection, session) error {
				inside.Done()
				inside.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.GreaterOrEqual(t, len(h.slots[4].conn.Load().idle), n)
}

// A device that forgot all its sessions is asked for new ones by the first who meets one of the old, however many there were.
func TestAllSessionsForgotten(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "k")
	busySessions(t, h, 12)
	c := h.slots[4].conn.Load()
	for _, s := range c.idle {
		require.NoError(t, h.modules[0].lib.closeSession(s))
	}
	require.NoError(t, encrypts(t.Context(), h, "k"))

	busySessions(t, h, 12)
	for _, s := range append(c.idle[:len(c.idle):len(c.idle)], c.anchor) {
		require.NoError(t, h.modules[0].lib.closeSession(s)) // the last one logs out
	}
	require.NoError(t, h.Generate(t.Context(), aesObject("l", 256)))
	require.NoError(t, encrypts(t.Context(), h, "k"))
}

// What a vendor's own return value means is found out: a token that is gone is not taken for data that cannot be decrypted.
func TestVendorsReturnValue(t *testing.T) {
	h, shim := shimmed(t, nil)
	o := aesKeyOf(t, h, "k")
	sealed, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.NoError(t, err)
	opens := func() error {
		_, err := o.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce,
			AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag})
		return err
	}
	const own = pkcs11.CKR_VENDOR_DEFINED + 0x123
	for _, f := range []string{"Decrypt", "GetTokenInfo", "OpenSession", "GetSessionInfo", "Login"} {
		shim.Do(f, hsmtest.Refuse, own, 0, -1)
	}
	h.slots[4].conn.Load().probed.Store(0)
	err = opens()
	require.ErrorContains(t, err, "slot 4: HSM unavailable")
	require.Equal(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err))
	require.ErrorContains(t, opens(), "HSM unavailable")
	require.True(t, h.Counts().Slots[0].Broken)
	shim.Heal()
	require.Eventually(t, func() bool { return opens() == nil }, 10*time.Second, 20*time.Millisecond)

	shim.Do("Decrypt", hsmtest.Refuse, own, 0, 1)
	require.EqualError(t, opens(), decryptionFailed, "the token lives: it was the data")
}

// A clock that was set back makes nothing be believed for longer than it is.
func TestClockSetBack(t *testing.T) {
	h := open(t)
	o := aesKeyOf(t, h, "k")
	later := time.Now().Add(time.Hour).UnixNano() // as something noted before the clock was set back
	c := h.slots[4].conn.Load()
	c.objects["k"].seen.Store(later)
	require.Nil(t, c.remembered("k"))

	f := breaks(t, h)
	f.always(ckError{rv: pkcs11.CKR_GENERAL_ERROR}, "tokenInfo", "decrypt")
	c.probed.Store(later)
	_, err := o.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: make([]byte, 16), IVCounterNonce: make([]byte, 12), AuthenticatedEncryptionTag: make([]byte, 16)})
	require.ErrorContains(t, err, "HSM unavailable")

	h.modules[0].reborn.Store(later)
	require.True(t, h.modules[0].mayReinitialize())
}

// What the self-test is refused because the token has no room for a moment, or loses its session, says nothing of a mechanism.
func TestSelfTestIsDisturbed(t *testing.T) {
	h, shim := shimmed(t, nil)
	functions := strings.Fields("EncryptInit Encrypt DecryptInit Decrypt SignInit Sign CreateObject GenerateKey GenerateKeyPair WrapKey UnwrapKey GetAttributeValue OpenSession")
	calls := func() (n []int) {
		for _, f := range functions {
			n = append(n, shim.Calls(f))
		}
		return n
	}
	prove := func(function string, rv uint, skip, times int) (found proof, kept int) {
		m, s := h.modules[0], h.slots[4]
		s.drop(s.conn.Load(), errStale)
		clear(m.proofs)
		shim.Do(function, hsmtest.Refuse, rv, skip, times)
		defer shim.Heal()
		var c *connection
		require.Eventually(t, func() bool {
			var err error
			c, err = s.connection(t.Context())
			return err == nil
		}, time.Minute, time.Millisecond)
		return *c.proof, len(m.proofs)
	}
	most := calls()
	all, kept := prove("Encrypt", 0, 0, 0)
	require.Equal(t, 1, kept)
	for i, n := range calls() {
		most[i] = n - most[i]
	}
	values := []uint{pkcs11.CKR_DEVICE_MEMORY, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_GENERAL_ERROR}
	for i, f := range functions {
		for j, rv := range values {
			skip := (j*most[i]/len(values) + i) % most[i]
			found, kept := prove(f, rv, skip, 1)
			require.Equal(t, all, found, "C_%s answers %v after %d times", f, ckError{rv: rv}, skip)
			require.Equal(t, 1, kept)
		}
	}
	found, kept := prove("UnwrapKey", pkcs11.CKR_DEVICE_MEMORY, 0, 4)
	require.NotEqual(t, all, found)
	require.Zero(t, kept, "the next connection asks anew")
}

// A token that comes back is not kept waiting for the sake of a slot that nobody used since it was lost with it.
func TestTwoTokensGoneOneUsed(t *testing.T) {
	first, second := newToken(t, "first"), newToken(t, "second")
	h := openSlots(t, Slot{Number: 4, TokenLabel: "first", PIN: pin(testPIN)}, Slot{Number: 5, TokenLabel: "second", PIN: pin(testPIN)})
	aesKeyOf(t, h, "k")
	h.modules[0].reborn.Store(0) // it was long ago
	firstBack, secondBack := moveAway(t, first), moveAway(t, second)
	require.ErrorContains(t, encrypts(t.Context(), h, "k"), "HSM unavailable")
	firstBack()
	secondBack()
	require.Eventually(t, func() bool { return encrypts(t.Context(), h, "k") == nil }, patience/3, 20*time.Millisecond)
}

// A call that hangs for one slot, and a token of it that is gone, hold nobody else up: the module is not waited for again and again.
func TestOtherSlotIsNotHeldUp(t *testing.T) {
	newToken(t, "other")
	h, shim := shimmed(t, func(m *Module) {
		m.Slots = append(m.Slots, Slot{Number: 5, TokenLabel: "other", PIN: pin(testPIN), Wait: 30 * time.Second})
	})
	other := aesObject("k", 256)
	other.UniqueIdentifier = kmip.HSMIdentifier(5, "k")
	require.NoError(t, h.Generate(t.Context(), other))
	other, err := h.Object(t.Context(), other.UniqueIdentifier)
	require.NoError(t, err)

	shim.Do("SeedRandom", hsmtest.Hang, 0, 0, 1)
	var all sync.WaitGroup
	all.Go(func() { _ = h.SeedRandom(t.Context(), 4, []byte("seed")) })
	require.Eventually(t, func() bool { return shim.Calls("SeedRandom") > 0 }, time.Minute, time.Millisecond)
	shim.Do("Login", hsmtest.Refuse, pkcs11.CKR_DEVICE_ERROR, 0, -1)
	h.modules[0].reborn.Store(0)
	h.slots[4].drop(h.slots[4].conn.Load(), errStale)
	stop := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = encrypts(t.Context(), h, "k")
			}
		}
	})
	var longest time.Duration
	held := 0
	for began := time.Now(); time.Since(began) < 4*holdUp; {
		from := time.Now()
		_, err := other.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
		require.NoError(t, err)
		took := time.Since(from)
		if longest = max(longest, took); took > holdUp/2 {
			held++
		}
	}
	close(stop)
	shim.Heal()
	all.Wait()
	require.LessOrEqual(t, held, 2)
	require.Less(t, longest, 3*holdUp)
}

// A module that cannot be initialized when the server starts is as a token that is not there.
func TestModuleComesLate(t *testing.T) {
	newToken(t, label(t))
	for _, isolation := range []string{"none", "process"} {
		shim := hsmtest.New(t, softHSM.library)
		shim.Do("Initialize", hsmtest.Refuse, pkcs11.CKR_DEVICE_ERROR, 0, -1)
		slot := Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)}
		m := Module{Library: shim.Library, Env: shim.Env, Isolation: isolation, Slots: []Slot{slot}}
		m.Worker = withEnv(workerOf(m.Library, slot), m.Env)
		h := openModule(t, m)
		t.Cleanup(shim.Heal)
		_, err := h.Object(t.Context(), uid("k"))
		require.ErrorContains(t, err, "HSM unavailable")
		require.ErrorContains(t, err, "0x30: CKR_DEVICE_ERROR")
		shim.Heal()
		require.Eventually(t, func() bool { return h.Status(t.Context())[0].Healthy }, 10*time.Second, 20*time.Millisecond)
	}
}

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

// A module that does not let itself be finalized is initialized all the same.
func TestFinalizeFails(t *testing.T) {
	h, shim := shimmed(t, nil)
	aesKeyOf(t, h, "k")
	for _, what := range []hsmtest.What{hsmtest.FailAfter, hsmtest.Refuse} {
		shim.Do("Finalize", what, pkcs11.CKR_FUNCTION_FAILED, 0, -1)
		shim.Do("EncryptInit", hsmtest.Refuse, pkcs11.CKR_DEVICE_ERROR, 0, 1)
		shim.Do("OpenSession", hsmtest.Refuse, pkcs11.CKR_DEVICE_ERROR, 0, 1)
		require.Eventually(t, func() bool { return encrypts(t.Context(), h, "k") == nil }, 10*time.Second, 20*time.Millisecond)
	}
}

// CKR_SESSION_CLOSED is of a call that had begun: what it was to make may be there.
func TestSessionClosedWhileCreating(t *testing.T) {
	h, shim := shimmed(t, nil)
	for _, rv := range []uint{pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_SESSION_HANDLE_INVALID} {
		name := ckError{rv: rv}.Error()
		shim.Do("GenerateKey", hsmtest.FailAfter, rv, 0, 1)
		require.ErrorContains(t, h.Generate(t.Context(), aesObject(name, 256)), "is in the token all the same")
		shim.Heal()
	}
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

// A token whose sessions other programs have serves all requests with those that are left, and with more when they are free again.
func TestTokenWithFewSessions(t *testing.T) {
	h, shim := shimmed(t, nil)
	o := aesKeyOf(t, h, "k")
	h.slots[4].conn.Load().renew()
	shim.Do("OpenSession", hsmtest.Refuse, pkcs11.CKR_SESSION_COUNT, 0, -1)
	_, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")})
	require.ErrorContains(t, err, "CKR_SESSION_COUNT", "there is none to wait for")

	shim.Do("OpenSession", hsmtest.Refuse, pkcs11.CKR_SESSION_COUNT, 2, -1)
	shim.Delay(time.Millisecond, "Encrypt")
	calls := shim.Calls("OpenSession")
	began := time.Now()
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 20 {
				if _, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("data")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Less(t, shim.Calls("OpenSession")-calls, 2+32*(2+int(time.Since(began)/scarcity)), "it is asked again and again")
	shim.Heal()
	require.Eventually(t, func() bool {
		n := h.Counts().Slots[0]
		return n.Sessions == 0 && n.MostSessions == DefaultSessions
	}, time.Minute, 10*time.Millisecond)
	busySessions(t, h, 12)
}

// Who looks for a key while one is made that takes long hears in time that the token is busy, and gives the session back.
func TestLookingIsBounded(t *testing.T) {
	h := open(t)
	s := h.slots[4]
	require.NoError(t, s.contents.shut(t.Context()))
	defer s.contents.open()
	s.Wait = 20 * time.Millisecond
	heard := make(chan error, 2)
	go func() {
		_, err := h.Object(t.Context(), uid("k"))
		heard <- err
		heard <- h.Generate(t.Context(), aesObject("k", 256))
	}()
	for range 2 {
		select {
		case err := <-heard:
			require.ErrorContains(t, err, "slot 4: HSM busy: keys are being made or destroyed")
		case <-time.After(10 * time.Second):
			t.Fatal("it waits")
		}
	}
	require.Zero(t, h.Counts().Slots[0].Sessions)
}

// A worker process whose module does not let itself be finalized, and one that does not end though it is killed, are left behind.
func TestWorkerDoesNotEnd(t *testing.T) {
	h, shim := shimmed(t, func(m *Module) {
		m.Isolation = "process"
		m.Worker = withEnv(workerOf(m.Library, m.Slots...), m.Env)
	})
	aesKeyOf(t, h, "k")
	r := h.modules[0].lib.(*remote)
	shim.Do("Finalize", hsmtest.Hang, 0, 0, 1)
	began := time.Now()
	require.NoError(t, h.modules[0].reinitialize(t.Context(), h.modules[0].generation.Load()))
	require.Less(t, time.Since(began), DefaultCallLimit/2)
	require.NoError(t, encrypts(t.Context(), h, "k"))

	p := r.current()
	left := &workerProcess{cmd: p.cmd, socket: p.socket, watch: p.watch, exited: make(chan struct{})} // as if the kernel kept it
	r.bury(left, "test")
	<-p.exited
	require.NoError(t, encrypts(t.Context(), h, "k"))
}

// A wrong PIN that the token refuses without saying so is not tried again either: the token counted it.
func TestWrongPINWithoutReason(t *testing.T) {
	newToken(t, label(t))
	shim := hsmtest.New(t, softHSM.library)
	shim.Do("Login", hsmtest.FailAfter, pkcs11.CKR_GENERAL_ERROR, 0, -1)
	h := openModule(t, Module{Library: shim.Library, Env: shim.Env, Isolation: "none",
		Slots: []Slot{{Number: 4, TokenLabel: label(t), PIN: pin("wrong")}}})
	t.Cleanup(shim.Heal)
	for range 3 {
		h.slots[4].retryAt = time.Time{}
		_, err := h.Object(t.Context(), uid("k"))
		require.ErrorContains(t, err, "the token counted a wrong PIN")
	}
	require.Equal(t, 1, shim.Calls("Login"))
}

// A panic in an operation keeps no session, and no place in the module.
func TestPanicKeepsNothing(t *testing.T) {
	h := open(t)
	require.Panics(t, func() {
		_ = h.slots[4].do(t.Context(), func(*connection, session) error { panic("test") })
	})
	require.Zero(t, h.Counts().Slots[0].Sessions)
	require.NoError(t, h.modules[0].gate.shut(t.Context()))
	h.modules[0].gate.open()
}
