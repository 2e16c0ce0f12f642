package hsm

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// rawRSA is the private operation alone, with leading zeros.
func rawRSA(k *rsa.PrivateKey, sealed []byte) []byte {
	return new(big.Int).Exp(new(big.Int).SetBytes(sealed), k.D, k.N).FillBytes(make([]byte, k.Size()))
}

func TestSensitiveStays(t *testing.T) {
	h := open(t)
	o := aesKeyOf(t, h, "k")
	require.True(t, o.Attributes.Sensitive())
	require.False(t, o.Attributes.Extractable())
	_, err := h.Value(t.Context(), o)
	require.Equal(t, kmip.ResultReasonSensitive, kmip.ReasonOf(err))
	require.ErrorContains(t, err, "does not leave the token")
	require.Contains(t, pkcs11Tool(t, label(t), "--list-objects", "--type", "secrkey"), "sensitive, always sensitive, never extractable")

	makePair(t, h, "pair", kmip.CryptographicAlgorithmRSA, 2048)
	private, public, _ := halves(t, h, "pair")
	_, err = h.Value(t.Context(), private)
	require.Equal(t, kmip.ResultReasonSensitive, kmip.ReasonOf(err))
	require.False(t, public.Attributes.Sensitive())
}

// A pair that may leave comes back in, and computes the same.
func TestRegisterExportedPair(t *testing.T) {
	h := open(t)
	for name, algorithm := range map[string]kmip.CryptographicAlgorithm{"rsa": kmip.CryptographicAlgorithmRSA, "ec": kmip.CryptographicAlgorithmECDSA} {
		half := func(name string, kind kmip.ObjectType) *kmip.Object {
			return &kmip.Object{UniqueIdentifier: uid(name), Attributes: kmip.Attributes{
				{Tag: ttlv.TagObjectType, Value: kind}, {Tag: ttlv.TagCryptographicAlgorithm, Value: algorithm},
				{Tag: ttlv.TagSensitive, Value: false}, {Tag: ttlv.TagState, Value: kmip.StateActive},
			}}
		}
		require.NoError(t, h.GeneratePair(t.Context(), half(name, kmip.ObjectTypePrivateKey), half(name+"_pk", kmip.ObjectTypePublicKey)))
		private, public, _ := halves(t, h, name)
		v, err := h.Value(t.Context(), private)
		require.NoError(t, err)
		p, err := h.Value(t.Context(), public)
		require.NoError(t, err)

		copied := half(name+"2", kmip.ObjectTypePrivateKey)
		copied.Attributes = copied.Attributes.Without(ttlv.TagSensitive)
		require.NoError(t, h.Register(t.Context(), copied, v))
		require.NoError(t, h.Register(t.Context(), half(name+"2_pk", kmip.ObjectTypePublicKey), p))
		require.ErrorIs(t, h.Register(t.Context(), copied, v), kmip.ErrExists)
		again, public2, _ := halves(t, h, name+"2")
		_, err = h.Value(t.Context(), again)
		require.Equal(t, kmip.ResultReasonSensitive, kmip.ReasonOf(err), "sensitive unless it says otherwise")
		got, err := again.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("text")})
		require.NoError(t, err)
		requireVerdict(t, public.Key, nil, got.SignatureData)
		requireVerdict(t, public2.Key, nil, got.SignatureData)
	}
	secret := &kmip.Value{SecretData: &kmip.SecretData{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{Material: []byte("x")}}}}
	err := h.Register(t.Context(), aesObject("secret", 0), secret)
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
}

// Destroying one of two objects that belong together, or share a label, leaves the other.
func TestDestroyOneHalf(t *testing.T) {
	h := open(t)
	makePair(t, h, "k", kmip.CryptographicAlgorithmECDSA, 256)
	pkcs11Tool(t, label(t), "--keypairgen", "--key-type", "EC:prime256v1", "--label", "theirs", "--id", "0102")
	for _, name := range []string{"k", "theirs"} {
		private, public, _ := halves(t, h, name)
		require.NoError(t, h.Destroy(t.Context(), private))
		_, err := h.Object(t.Context(), uid(name))
		require.ErrorIs(t, err, kmip.ErrNotFound)
		_, err = h.Value(t.Context(), public)
		require.NoError(t, err)
		require.NoError(t, h.Destroy(t.Context(), public))
		_, err = h.Object(t.Context(), uid(name+"_pk"))
		require.ErrorIs(t, err, kmip.ErrNotFound)
	}
}

// Keys of other tools are found by their label, and are active with what their flags allow.
func TestKeysOfOthers(t *testing.T) {
	h := open(t)
	pkcs11Tool(t, label(t), "--keypairgen", "--key-type", "rsa:2048", "--label", "pair", "--id", "0102")
	pkcs11Tool(t, label(t), "--keygen", "--key-type", "AES:32", "--label", "their::key", "--sensitive")
	private, public, _ := halves(t, h, "pair")
	require.Equal(t, kmip.StateActive, private.State(time.Now()))
	require.NotZero(t, private.Attributes.UsageMask()&kmip.CryptographicUsageMaskSign)
	sealed, err := public.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
	require.NoError(t, err)
	opened, err := private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data})
	require.NoError(t, err)
	require.Equal(t, "text", string(opened.Data))
	require.NoError(t, encrypts(t.Context(), h, "their::key"))

	found, err := h.Locate(t.Context(), &kmip.Search{Identity: "ops", Admin: true})
	require.NoError(t, err)
	var names []string
	for _, l := range found.Objects {
		names = append(names, l.UniqueIdentifier)
		require.True(t, l.InitialDate.IsZero())
	}
	require.ElementsMatch(t, []string{uid("pair"), uid("pair_pk"), uid("their::key")}, names)

	// Their metadata is kept as any other's.
	changed := private.Clone()
	changed.Attributes = changed.Attributes.With(ttlv.TagState, kmip.StateDeactivated)
	require.NoError(t, h.Update(t.Context(), changed))
	private, err = h.Object(t.Context(), uid("pair"))
	require.NoError(t, err)
	require.Equal(t, kmip.StateDeactivated, private.State(time.Now()))
}

// A key on a curve that is not used here is listed and has attributes, and signs nothing: how much of a digest counts is not known.
func TestOtherCurve(t *testing.T) {
	h := open(t)
	pkcs11Tool(t, label(t), "--keypairgen", "--key-type", "EC:secp256k1", "--label", "theirs", "--id", "0102")
	for _, name := range []string{"theirs", "theirs_pk"} {
		o, err := h.Object(t.Context(), uid(name))
		require.NoError(t, err)
		_, err = o.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("text")})
		require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
		require.ErrorContains(t, err, "a key on a curve other than")
	}
}

// Where the token does not tell a length it is 0: of keys for Diffie-Hellman, for one.
func TestLengthNotTold(t *testing.T) {
	o := new(connection).objectOf(1, template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_PRIVATE_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_DH)}})
	require.Zero(t, o.info().Bits)
}

// A key that wants the PIN for each use is refused, and the login of all others stays.
func TestAlwaysAuthenticate(t *testing.T) {
	h := open(t)
	pkcs11Tool(t, label(t), "--keypairgen", "--key-type", "rsa:2048", "--label", "theirs", "--id", "0102", "--always-auth")
	private, public, _ := halves(t, h, "theirs")
	sealed, err := public.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
	require.NoError(t, err)
	before := h.slots[4].counts()
	_, err = private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("text")})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err), "%v", err)
	_, err = private.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err), "%v", err)
	_, err = public.Key.Unwrap(t.Context(), nil, sealed.Data)
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err), "%v", err)
	oaep := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA1}
	err = h.RegisterWrapped(t.Context(), aesObject("in", 256), &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Wrapped: sealed.Data}}}}, private, oaep)
	require.ErrorAs(t, err, new(*kmip.CannotCarry))
	_, err = h.Guard(t.Context(), GuardName{Slot: 4, Label: "theirs"})
	require.ErrorContains(t, err, "CKA_ALWAYS_AUTHENTICATE")
	after := h.slots[4].counts()
	require.Equal(t, before.Logins, after.Logins)
	require.Equal(t, before.Losses, after.Losses)
}

// What another process does to a token is seen: at once where the token refuses the handle, else within a second.
func TestOtherProcess(t *testing.T) {
	h := open(t)
	o := aesKeyOf(t, h, "k")
	pkcs11Tool(t, label(t), "--delete-object", "--type", "secrkey", "--label", "k")
	_, err := o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
	require.ErrorIs(t, err, kmip.ErrNotFound)
	_, err = h.Object(t.Context(), uid("k"))
	require.ErrorIs(t, err, kmip.ErrNotFound)

	pkcs11Tool(t, label(t), "--keygen", "--key-type", "AES:32", "--label", "theirs")
	require.NoError(t, encrypts(t.Context(), h, "theirs"))
	remembered := h.slots[4].conn.Load().remembered("theirs")
	require.NotNil(t, remembered)
	pkcs11Tool(t, label(t), "--delete-object", "--type", "secrkey", "--label", "theirs")
	remembered.seen.Store(0) // a second later
	_, err = h.Object(t.Context(), uid("theirs"))
	require.ErrorIs(t, err, kmip.ErrNotFound)
}

// A record that cannot be kept leaves no key behind, and no grant waits for the next key of a name.
func TestGenerateIsCompleteOrNot(t *testing.T) {
	h := open(t)
	records := h.records.(*memory)
	records.fail = errors.New("the disk is full")
	require.ErrorContains(t, h.Generate(t.Context(), aesObject("k", 256)), "the disk is full")
	_, err := h.Object(t.Context(), uid("k"))
	require.ErrorIs(t, err, kmip.ErrNotFound)

	records.fail = nil
	stale := &kmip.Record{Grants: []kmip.Grant{{Grantee: "eve", Operation: kmip.OperationDecrypt}}}
	require.NoError(t, records.PutRecord(t.Context(), uid("k"), stale))
	require.Empty(t, aesKeyOf(t, h, "k").Grants)
	require.ErrorIs(t, h.Generate(t.Context(), aesObject("k", 256)), kmip.ErrExists)
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	require.EqualValues(t, 1, o.Revision, "a refused request does not touch the record")
}

func TestGenerateRefuses(t *testing.T) {
	h := open(t)
	for _, o := range []*kmip.Object{
		aesObject("k", 512),
		{UniqueIdentifier: uid("k"), Attributes: kmip.Attributes{{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeSymmetricKey}, {Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmRC4}}},
		{UniqueIdentifier: kmip.HSMIdentifier(9, "k"), Attributes: aesObject("k", 256).Attributes},
		{UniqueIdentifier: "database", Attributes: aesObject("k", 256).Attributes},
	} {
		require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(h.Generate(t.Context(), o)))
	}
	err := h.GeneratePair(t.Context(), &kmip.Object{UniqueIdentifier: uid("a")}, &kmip.Object{UniqueIdentifier: uid("b")})
	require.ErrorContains(t, err, `the public half of "hsm::4::a" in a token is "hsm::4::a_pk"`)
}

// The self-test tells what SoftHSM does from what it lists.
func TestProofOfSoftHSM(t *testing.T) {
	h := open(t)
	p := h.slots[4].conn.Load().proof
	for row := range ciphers {
		require.NotZero(t, p.ciphers[row], "%v", ciphers[row].mode)
	}
	require.True(t, p.rawRSA && p.pkcs1 && p.signPKCS1 && p.signPSS && p.signECDSA)
	require.True(t, p.oaep[3], "OAEP with SHA-1")
	if out, err := exec.Command("softhsm2-util", "--version").Output(); err == nil && strings.TrimSpace(string(out)) == "2.6.1" {
		require.False(t, p.oaep[0], "2.6.1 refuses OAEP with SHA-256, though it lists the mechanism")
		require.False(t, p.anyLength, "2.6.1 corrupts keys of 20 bytes")
		require.False(t, p.reuses)
	}
	require.Contains(t, h.Status(t.Context())[0].Mechanisms, "AES GCM")
}

func TestOpenRefuses(t *testing.T) {
	for want, m := range map[string]Module{
		"not an absolute path":                 {Library: "libsofthsm2.so"},
		"no such file":                         {Library: "/nowhere/libpkcs11.so"},
		"no command for a worker process":      {Library: "/l.so", Isolation: "process"},
		`"thread" is none of`:                  {Library: "/l.so", Isolation: "thread"},
		"slot 4: no PIN":                       {Library: "/l.so", Slots: []Slot{{Number: 4}}},
		"slot 4: given twice":                  {Library: "/l.so", Slots: []Slot{{Number: 4, PIN: pin("")}, {Number: 4, PIN: pin("")}}},
		"it has no C_GetFunctionList":          {Library: cLibrary(t)},
		"invalid ELF header":                   {Library: textFile(t)},
		"the most sessions and the wait are n": {Library: "/l.so", Slots: []Slot{{Number: 4, PIN: pin(""), Wait: -1}}},
	} {
		_, err := Open(t.Context(), []Module{m}, &memory{}, nil)
		require.ErrorContains(t, err, want)
	}
	conflicting := []Module{{Library: "/a", Env: map[string]string{"A": "1"}}, {Library: "/b", Env: map[string]string{"A": "2"}}}
	_, err := Open(t.Context(), conflicting, &memory{}, nil)
	require.ErrorContains(t, err, "env: A has another value for another module")
}

// cLibrary is a library that is no module.
func cLibrary(t *testing.T) string {
	found, err := filepath.Glob("/lib/*-linux-gnu/libm.so.6")
	if err != nil || len(found) == 0 {
		t.Skip("no libm to load")
	}
	return found[0]
}

func textFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "lib.so")
	require.NoError(t, os.WriteFile(path, []byte("this is text, long enough to have room for the header of an ELF file, and it is none of that"), 0o600))
	return path
}

// Where nothing says which token, and no slot has the number as its ID, the only token there is is meant.
func TestOnlyToken(t *testing.T) {
	newToken(t, "one")
	alone := openSlots(t, Slot{Number: 12, PIN: pin(testPIN)})
	require.Equal(t, "one", alone.Status(t.Context())[0].Label, "the only token there is")
	require.NoError(t, alone.Generate(t.Context(), &kmip.Object{UniqueIdentifier: kmip.HSMIdentifier(12, "k"), Attributes: aesObject("k", 256).Attributes}))
	both := openSlots(t, Slot{Number: 12, PIN: pin(testPIN)}, Slot{Number: 13, PIN: pin(testPIN)})
	require.Contains(t, both.Status(t.Context())[0].Error, "no token with slot ID 12", "it cannot be both")
}

func TestX19Selectors(t *testing.T) {
	pinsAreHere(t)
	newToken(t, "one")
	newToken(t, "two")
	probe := openSlots(t, Slot{Number: 4, TokenLabel: "one", PIN: pin(testPIN)})
	serial, id := probe.Status(t.Context())[0].Serial, probe.slots[4].conn.Load().id
	wrong := id + 1
	for name, c := range map[string]struct {
		slot Slot
		want string
	}{
		"label and serial": {Slot{TokenLabel: "one", TokenSerial: serial}, ""},
		"slot ID":          {Slot{SlotID: &id}, ""},
		"contradiction":    {Slot{TokenLabel: "two", TokenSerial: serial}, "contradict one another"},
		"nowhere":          {Slot{TokenLabel: "three", TokenSerial: serial}, `no token with label "three" and serial "` + serial + `": 0xE0`},
		"wrong slot ID":    {Slot{TokenLabel: "one", SlotID: &wrong}, "slot ID"},
		"number as ID":     {Slot{Number: uint32(id)}, ""},
		"number, no token": {Slot{Number: 12}, "no token with slot ID 12"},
	} {
		c.slot.PIN = pin(testPIN)
		h := openSlots(t, c.slot)
		s := h.Status(t.Context())[0]
		require.Equal(t, c.want == "", s.Healthy, "%s: %s", name, s.Error)
		require.Contains(t, s.Error, c.want)
		if s.Healthy {
			require.Equal(t, "one", s.Label)
		}
	}
	h := openSlots(t, Slot{Number: 4, TokenLabel: "one", PIN: pin(testPIN)})
	_, err := h.Object(t.Context(), kmip.HSMIdentifier(uint32(id), "k"))
	require.ErrorContains(t, err, "but no PIN for it")
}

// A token that two slots mean would have two identifiers for each key, of which one is not revoked when the other is: neither slot serves,
// also where another one of them is not opened. What a slot means by itself does not depend on how many of its rivals are opened.
func TestOneTokenOneSlot(t *testing.T) {
	pinsAreHere(t)
	newToken(t, "one")
	newToken(t, "two")
	tokens := func(m Module) (by map[string][]uint32, without []string) {
		all, without, err := Tokens(t.Context(), []Module{m}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		by = map[string][]uint32{}
		for _, token := range all {
			by[token.Label] = token.Slots
		}
		return by, without
	}
	probe := openSlots(t, Slot{Number: 4, TokenLabel: "one", PIN: pin(testPIN)})
	id, serial := probe.slots[4].conn.Load().id, probe.Status(t.Context())[0].Serial
	label, byID, bySerial := Slot{Number: 4, TokenLabel: "one", PIN: pin(testPIN)}, Slot{Number: 5, SlotID: &id, PIN: pin(testPIN)}, Slot{Number: 6, TokenSerial: serial, PIN: pin(testPIN)}
	other, vague := Slot{Number: 7, TokenLabel: "two", PIN: pin(testPIN)}, Slot{Number: 8, PIN: pin(testPIN)}
	module := softHSMModule(label, byID, bySerial, other, vague)
	h := openModule(t, module)
	for _, s := range h.Status(t.Context()) {
		require.Equal(t, s.Number == 7, s.Healthy, s.Number)
		if s.Number < 7 {
			require.Contains(t, s.Error, "means the same token", s.Number)
			require.Empty(t, s.PIN, "it was not tried")
			require.Empty(t, s.Firmware)
		}
	}
	by, without := tokens(module)
	require.Equal(t, []uint32{4, 5, 6}, by["one"])
	require.Equal(t, []uint32{7}, by["two"])
	require.Equal(t, []uint32{}, by[""])
	require.Len(t, without, 4)
	require.Contains(t, without[0], `slot 4: slot 5 means the same token, with slot ID`)
	require.Contains(t, without[3], "slot 8: no token with slot ID 8")

	alone := softHSMModule(label)
	alone.Others = []Slot{byID}
	require.Contains(t, openModule(t, alone).Status(t.Context())[0].Error, "slot 5 means the same token")
	_, err := Mechanisms(t.Context(), []Module{module}, 4, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "slot 5 means the same token")

	link := filepath.Join(t.TempDir(), "lib.so")
	require.NoError(t, os.Symlink(softHSM.library, link))
	linked := softHSMModule(other)
	linked.Library = link
	_, err = Open(t.Context(), []Module{softHSMModule(label), linked}, &memory{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "given twice, by another path")
}

// The only token of a module is that of the only slot, however that is asked.
func TestOnlyTokenIsListed(t *testing.T) {
	newToken(t, "one")
	m := softHSMModule(Slot{Number: 12, PIN: pin(testPIN)})
	all, without, err := Tokens(t.Context(), []Module{m}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Empty(t, without)
	require.Equal(t, []uint32{12}, all[slices.IndexFunc(all, func(t Token) bool { return t.Label == "one" })].Slots)
	m.Others = []Slot{{Number: 13, PIN: pin(testPIN)}}
	require.Contains(t, openModule(t, m).Status(t.Context())[0].Error, "no token with slot ID 12", "as for the server, which has both slots")
}

// A client that sends bad data for ever costs no memory, and does not make the token reconnect.
func TestDecryptBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("20,000 decryptions")
	}
	h := open(t)
	o := aesKeyOf(t, h, "k")
	generation, conn := h.modules[0].generation.Load(), h.slots[4].conn.Load()
	bad := &kmip.DecryptRequest{Data: make([]byte, 32<<10), IVCounterNonce: make([]byte, 12), AuthenticatedEncryptionTag: make([]byte, 16)}
	fail := func(n int) {
		for range n {
			if _, err := o.Key.Decrypt(t.Context(), bad); err == nil || err.Error() != "decryption failed" {
				t.Fatalf("decrypting: %v", err)
			}
		}
	}
	fail(6_000) // until the heap, and the race detector's shadow of it, have their size
	debug.FreeOSMemory()
	var grown int64
	for range 3 { // what else the process does may grow once: a leak does each time
		before := resident(t)
		fail(14_000)
		debug.FreeOSMemory()
		if grown = resident(t) - before; grown < 20<<20 {
			break
		}
	}
	require.Less(t, grown, int64(20<<20), "14,000 leaks of 32 KiB would be 450 MB")
	require.Equal(t, generation, h.modules[0].generation.Load())
	require.Same(t, conn, h.slots[4].conn.Load())
}

// resident is the process's memory in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// TestManyObjects: the objects of a token whose calls wait are read with several sessions, which are free again then.
func TestManyObjects(t *testing.T) {
	h, shim := shimmed(t, func(m *Module) { m.CallsAtOnce = 64 }) // as a device is used
	const keys = 200
	err := h.slots[4].do(t.Context(), func(c *connection, s session) error {
		for i := range keys {
			_, err := c.module.lib.generate(s, pkcs11.CKM_AES_KEY_GEN, template{{pkcs11.CKA_TOKEN, flag(true)}, {pkcs11.CKA_LABEL, fmt.Appendf(nil, "k%d", i)},
				{pkcs11.CKA_VALUE_LEN, number(32)}, {pkcs11.CKA_ENCRYPT, flag(true)}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	everyone := &kmip.Search{Admin: true}
	const delay = 10 * time.Millisecond
	shim.Delay(delay, "GetAttributeValue")
	began := time.Now()
	found, err := h.Locate(t.Context(), everyone)
	require.NoError(t, err)
	require.Len(t, found.Objects, keys)
	require.Less(t, time.Since(began), keys*delay, "they were read one after the other, with two calls each")
	require.Zero(t, h.Counts().Slots[0].Sessions)

	h.slots[4].conn.Load().forgetAll()
	shim.Do("GetAttributeValue", hsmtest.Refuse, pkcs11.CKR_OBJECT_HANDLE_INVALID, keys, 1) // as if one went meanwhile
	found, err = h.Locate(t.Context(), everyone)
	require.NoError(t, err)
	require.Len(t, found.Objects, keys)
	require.Zero(t, h.Counts().Slots[0].Sessions)
}

// forgetAll makes all objects be read again.
func (c *connection) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.objects)
	c.changed()
}
