package hsm

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// The floors are Benchmark…Direct: the same token driven by the bare binding, one session for each goroutine. Compare with
//
//	go test ./hsm -run xxx -bench 'GCM|OAEP|Sign' -cpu 1,2

func benchKey(b *testing.B, h *HSM, name string) *kmip.Object {
	b.Helper()
	require.NoError(b, h.Generate(b.Context(), aesObject(name, 256)))
	o, err := h.Object(b.Context(), kmip.HSMIdentifier(4, name))
	require.NoError(b, err)
	return o
}

// direct runs f in sessions of their own, with the handle of a key.
func direct(b *testing.B, h *HSM, name string, f func(lib cryptoki, s session, key handle) error) {
	o, err := h.slots[4].object(b.Context(), name)
	require.NoError(b, err)
	c := o.conn
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		s, err := c.module.openUser(c.id)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.module.close(s)
		for pb.Next() {
			if err := f(c.module.lib, s, o.handle); err != nil {
				b.Error(err)
				return
			}
		}
	})
	perSecond(b)
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func through(b *testing.B, f func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	perSecond(b)
}

func BenchmarkEncryptGCM(b *testing.B) {
	h := open(b)
	benchKey(b, h, "k")
	r := &kmip.EncryptRequest{Data: make([]byte, 64)}
	through(b, func() error {
		o, err := h.Object(b.Context(), kmip.HSMIdentifier(4, "k"))
		if err != nil {
			return err
		}
		_, err = o.Key.Encrypt(b.Context(), r)
		return err
	})
}

// With many at once what a change of thread or process costs is shared. Compare with what a worker process makes of it:
//
//	STRONGROOM_TEST_HSM_WORKER=all go test ./hsm -run xxx -bench GCMBusy
func BenchmarkEncryptGCMBusy(b *testing.B) {
	b.SetParallelism(16)
	BenchmarkEncryptGCM(b)
}

func BenchmarkEncryptGCMDirect(b *testing.B) {
	h := open(b)
	benchKey(b, h, "k")
	data := make([]byte, 64)
	direct(b, h, "k", func(lib cryptoki, s session, key handle) error {
		m := mechanism{Type: pkcs11.CKM_AES_GCM, Parameter: parameterGCM, IV: make([]byte, 12)}
		rand.Read(m.IV)
		_, err := lib.encrypt(s, &m, key, data, 80)
		return err
	})
}

func BenchmarkDecryptGCM(b *testing.B) {
	h := open(b)
	o := benchKey(b, h, "k")
	sealed, err := o.Key.Encrypt(b.Context(), &kmip.EncryptRequest{Data: make([]byte, 64)})
	require.NoError(b, err)
	r := &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce, AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag}
	through(b, func() error {
		_, err := o.Key.Decrypt(b.Context(), r)
		return err
	})
}

func BenchmarkWrapPadding(b *testing.B) {
	h := open(b)
	o := benchKey(b, h, "k")
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeAESKeyWrapPadding}
	material := make([]byte, 32)
	through(b, func() error {
		_, err := o.Key.Wrap(b.Context(), p, material)
		return err
	})
}

func benchPair(b *testing.B, h *HSM) (private, public *kmip.Object) {
	b.Helper()
	makePair(b, h, "k", kmip.CryptographicAlgorithmRSA, 2048)
	private, err := h.Object(b.Context(), kmip.HSMIdentifier(4, "k"))
	require.NoError(b, err)
	public, err = h.Object(b.Context(), kmip.HSMIdentifier(4, "k_pk"))
	require.NoError(b, err)
	return private, public
}

func BenchmarkDecryptOAEP(b *testing.B) {
	h := open(b)
	private, public := benchPair(b, h)
	sealed, err := public.Key.Encrypt(b.Context(), &kmip.EncryptRequest{Data: make([]byte, 32)})
	require.NoError(b, err)
	through(b, func() error {
		_, err := private.Key.Decrypt(b.Context(), &kmip.DecryptRequest{Data: sealed.Data})
		return err
	})
}

func BenchmarkDecryptOAEPDirect(b *testing.B) {
	h := open(b)
	_, public := benchPair(b, h)
	v, err := h.slots[4].object(b.Context(), "k_pk")
	require.NoError(b, err)
	require.NotNil(b, public)
	sealed, err := rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, v.public.(*rsa.PublicKey), make([]byte, 32), nil)
	require.NoError(b, err)
	direct(b, h, "k", func(lib cryptoki, s session, key handle) error {
		m := mechanism{Type: pkcs11.CKM_RSA_PKCS_OAEP, Parameter: parameterOAEP, Hash: pkcs11.CKM_SHA_1, MGF: pkcs11.CKG_MGF1_SHA1}
		_, err := lib.decrypt(s, &m, key, sealed, 256)
		return err
	})
}

func BenchmarkSignRSA(b *testing.B) {
	h := open(b)
	private, _ := benchPair(b, h)
	r := &kmip.SignRequest{Data: make([]byte, 64)}
	through(b, func() error {
		_, err := private.Key.Sign(b.Context(), r)
		return err
	})
}

func BenchmarkSignRSADirect(b *testing.B) {
	h := open(b)
	benchPair(b, h)
	info, err := digestInfo(0, make([]byte, 32))
	require.NoError(b, err)
	direct(b, h, "k", func(lib cryptoki, s session, key handle) error {
		_, err := lib.sign(s, &mechanism{Type: pkcs11.CKM_RSA_PKCS}, key, info, 256)
		return err
	})
}

// BenchmarkDecryptFailing counts goroutine stacks and heap only; TestDecryptBoundedMemory looks at the process.
func BenchmarkDecryptFailing(b *testing.B) {
	h := open(b)
	o := benchKey(b, h, "k")
	r := &kmip.DecryptRequest{Data: make([]byte, 64), IVCounterNonce: make([]byte, 12), AuthenticatedEncryptionTag: make([]byte, 16)}
	var failed atomic.Int64
	through(b, func() error {
		if _, err := o.Key.Decrypt(b.Context(), r); err != nil {
			failed.Add(1)
		}
		return nil
	})
	require.GreaterOrEqual(b, failed.Load(), int64(b.N))
	runtime.KeepAlive(o)
}

// aesObject describes a key as the server does.
func aesObject(name string, bits int32) *kmip.Object {
	return &kmip.Object{UniqueIdentifier: kmip.HSMIdentifier(4, name), Attributes: kmip.Attributes{
		{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeSymmetricKey},
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES},
		{Tag: ttlv.TagCryptographicLength, Value: bits},
		{Tag: ttlv.TagState, Value: kmip.StateActive},
	}}
}

// makePair makes a pair with all usages.
func makePair(t testing.TB, h *HSM, name string, a kmip.CryptographicAlgorithm, bits int32) {
	t.Helper()
	half := func(name string, kind kmip.ObjectType) *kmip.Object {
		return &kmip.Object{UniqueIdentifier: kmip.HSMIdentifier(4, name), Attributes: kmip.Attributes{
			{Tag: ttlv.TagObjectType, Value: kind},
			{Tag: ttlv.TagCryptographicAlgorithm, Value: a},
			{Tag: ttlv.TagCryptographicLength, Value: bits},
			{Tag: ttlv.TagState, Value: kmip.StateActive},
		}}
	}
	require.NoError(t, h.GeneratePair(t.Context(), half(name, kmip.ObjectTypePrivateKey), half(name+publicSuffix, kmip.ObjectTypePublicKey)))
}

// BenchmarkNetworked is a module whose encryptions take a millisecond of waiting more, as a device in a network does: through
// the slot, and the bare binding with as many sessions.
func BenchmarkNetworked(b *testing.B) {
	for _, at := range []int{1, 16, 64} {
		for _, way := range []string{"slot", "direct"} {
			b.Run(fmt.Sprintf("%s/%d", way, at), func(b *testing.B) {
				newToken(b, label(b))
				shim := hsmtest.New(b, softHSM.library)
				h, err := Open(b.Context(), []Module{{Library: shim.Library, Env: shim.Env, Isolation: "none",
					Slots: []Slot{{Number: 4, TokenLabel: label(b), PIN: pin(testPIN)}}}}, &memory{}, slog.New(slog.DiscardHandler))
				require.NoError(b, err)
				defer h.Close()
				benchKey(b, h, "k")
				shim.Delay(time.Millisecond, "Encrypt")
				lib := h.modules[0].lib.(*library)
				for _, l := range []*lanes{lib.quick, lib.slow} {
					l.forget() // that the self-test saw SoftHSM compute
				}
				b.SetParallelism(max(1, at/runtime.GOMAXPROCS(0)))
				if at == 1 {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				}
				if way == "slot" {
					r := &kmip.EncryptRequest{Data: make([]byte, 64)}
					through(b, func() error {
						o, err := h.Object(b.Context(), uid("k"))
						if err == nil {
							_, err = o.Key.Encrypt(b.Context(), r)
						}
						return err
					})
					return
				}
				data := make([]byte, 64)
				direct(b, h, "k", func(lib cryptoki, s session, key handle) error {
					m := mechanism{Type: pkcs11.CKM_AES_GCM, Parameter: parameterGCM, IV: make([]byte, 12)}
					_, err := lib.encrypt(s, &m, key, data, 80)
					return err
				})
			})
		}
	}
}

// BenchmarkNetworkedCalls is a module of which each call takes a millisecond of waiting more, in this process and in a worker: calls that
// its crew makes, and calls that it leaves to Go.
func BenchmarkNetworkedCalls(b *testing.B) {
	for _, only := range []string{"encrypt CKM_AES_GCM", "wrap a key"} {
		for _, isolation := range []string{"none", "process"} {
			b.Run(only+"/"+isolation, func(b *testing.B) {
				newToken(b, label(b))
				shim := hsmtest.New(b, softHSM.library)
				slot := Slot{Number: 4, TokenLabel: label(b), PIN: pin(testPIN)}
				h, err := Open(b.Context(), []Module{{Library: shim.Library, Env: shim.Env, Isolation: isolation,
					Worker: withEnv(workerOf(shim.Library, slot), shim.Env), Slots: []Slot{slot}}}, &memory{}, slog.New(slog.DiscardHandler))
				require.NoError(b, err)
				defer h.Close()
				shim.Delay(time.Millisecond, "Encrypt", "WrapKey")
				defer shim.Heal()
				for b.Loop() {
					require.NoError(b, h.Measure(b.Context(), 4, Measurement{Each: time.Second / 2, Only: regexp.MustCompile(only), Tell: func(f Figure) {
						b.ReportMetric(f.PerSecond, fmt.Sprintf("op/s-at-%d", f.Sessions))
					}}))
				}
			})
		}
	}
}
