package hsm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// openOn opens the token of that label as slot 4, with records that were kept before; ends closes it before the test does.
func openOn(t *testing.T, token string, records Records, log *journal) (h *HSM, ends func()) {
	t.Helper()
	h, err := Open(context.Background(), []Module{softHSMModule(Slot{Number: 4, TokenLabel: token, PIN: pin(testPIN)})}, records,
		slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	h.looking.Wait()
	ends = sync.OnceFunc(func() { require.NoError(t, h.Close()) })
	t.Cleanup(ends)
	return h, ends
}

// aSecondLater has what is remembered of a token confirmed again.
func aSecondLater(h *HSM) {
	for _, remembered := range h.slots[4].conn.Load().objects {
		remembered.seen.Store(0)
	}
}

// A remade key is one that another tool makes twice under one label.
type remade struct {
	kind    string // of pkcs11-tool
	classes []string
	way     string
}

var remadeKeys = map[string]remade{
	"aes":     {"AES:32", []string{"secrkey"}, "kcv"},
	"mac":     {"GENERIC:32", []string{"secrkey"}, "hmac-sha256"},
	"rsa":     {"rsa:2048", []string{"privkey", "pubkey"}, "sha256"},
	"ec":      {"EC:prime256v1", []string{"privkey", "pubkey"}, "sha256"},
	"edwards": {"EC:edwards25519", []string{"privkey", "pubkey"}, "ed25519"},
}

func (r remade) make(t *testing.T, token, name string) {
	t.Helper()
	command := "--keypairgen"
	if len(r.classes) == 1 {
		command = "--keygen"
	}
	pkcs11Tool(t, token, command, "--key-type", r.kind, "--label", name, "--id", "0a", "--usage-sign")
}

func (r remade) uids(name string) (all []string) {
	for _, class := range r.classes {
		all = append(all, uid(name)+map[string]string{"pubkey": "_pk"}[class])
	}
	return all
}

// granted gives keys a grant and revokes them.
func granted(t *testing.T, h *HSM, uids []string) {
	t.Helper()
	for _, uid := range uids {
		o, err := h.Object(t.Context(), uid)
		require.NoError(t, err)
		changed := o.Clone()
		changed.Grants = []kmip.Grant{{Grantee: "eve", Operation: kmip.OperationDecrypt}}
		require.NoError(t, h.SetGrants(t.Context(), changed))
		changed.Attributes = changed.Attributes.With(ttlv.TagState, kmip.StateDeactivated)
		require.NoError(t, h.Update(t.Context(), changed))
	}
}

// requireAnother is what everybody hears of a key that is another one than before, and what the log has once of each.
func requireAnother(t *testing.T, h *HSM, log *journal, uids []string) {
	t.Helper()
	for _, uid := range uids {
		for range 2 {
			_, err := h.Object(t.Context(), uid)
			require.Equal(t, kmip.ResultReasonPermissionDenied, kmip.ReasonOf(err), "%s: %v", uid, err)
			require.ErrorContains(t, err, "another key than the one that something is stored of")
		}
		require.Equal(t, 1, log.count("uid="+uid+" "), uid)
	}
	found, err := h.Locate(t.Context(), &kmip.Search{Identity: "ops", Admin: true})
	require.NoError(t, err)
	for _, l := range found.Objects {
		require.NotContains(t, uids, l.UniqueIdentifier)
	}
}

// TestReplacedKey has another tool replace keys: neither the grants nor the state of the one before are the new one's, and nobody uses
// it, until an operator says that it is new.
func TestReplacedKey(t *testing.T) {
	token := label(t)
	newToken(t, token)
	records, log := &memory{}, &journal{}
	h, ends := openOn(t, token, records, log)
	var all []string
	for name, r := range remadeKeys {
		r.make(t, token, name)
		granted(t, h, r.uids(name))
		kept, err := records.Record(t.Context(), uid(name))
		require.NoError(t, err)
		require.Regexp(t, "^"+r.way+":[0-9a-f]+$", kept.Fingerprint)
		o, err := h.Object(t.Context(), uid(name))
		require.NoError(t, err)
		for _, class := range r.classes {
			pkcs11Tool(t, token, "--delete-object", "--type", class, "--label", name)
		}
		r.make(t, token, name)
		aSecondLater(h)
		requireAnother(t, h, log, r.uids(name))
		require.ErrorIs(t, h.Destroy(t.Context(), o), kmip.ErrNotFound, "it was another one that was opened")
		_, err = h.Value(t.Context(), o)
		require.ErrorIs(t, err, kmip.ErrNotFound)
		all = append(all, r.uids(name)...)
	}
	ends()

	log = &journal{}
	h, _ = openOn(t, token, records, log)
	requireAnother(t, h, log, all)
	stored, err := h.Recorded(t.Context(), 4)
	require.NoError(t, err)
	require.Len(t, stored, len(all))
	for _, l := range stored {
		require.True(t, l.Another, l.UniqueIdentifier)
		require.NotEmpty(t, l.Fingerprint)
	}
	list, err := h.Adopt(t.Context(), 4, Adoption{All: true})
	require.NoError(t, err)
	require.Len(t, list, len(all))
	for _, a := range list {
		require.Equal(t, ResultAnother, a.Result)
	}
	requireAnother(t, h, log, all)

	list, err = h.Adopt(t.Context(), 4, Adoption{Labels: []string{"rsa"}, SameKey: true})
	require.NoError(t, err)
	require.Equal(t, []string{ResultKept, ResultKept}, []string{list[0].Result, list[1].Result})
	o, err := h.Object(t.Context(), uid("rsa"))
	require.NoError(t, err)
	require.Len(t, o.Grants, 1)
	require.Equal(t, kmip.StateDeactivated, o.State(time.Now()))

	left, err := h.Prune(t.Context(), 4, true, false, false)
	require.NoError(t, err)
	require.Len(t, left, len(all)-2)
	_, err = h.Adopt(t.Context(), 4, Adoption{All: true, Replace: true, DryRun: true})
	require.NoError(t, err)
	requireAnother(t, h, log, remadeKeys["aes"].uids("aes"))
	list, err = h.Adopt(t.Context(), 4, Adoption{Labels: []string{"aes", "ec", "mac"}, Replace: true})
	require.NoError(t, err)
	require.Len(t, list, 4)
	for _, a := range list {
		require.Equal(t, ResultReplaced, a.Result, a.UniqueIdentifier)
		o, err := h.Object(t.Context(), a.UniqueIdentifier)
		require.NoError(t, err)
		require.Empty(t, o.Grants)
		require.Equal(t, kmip.StateActive, o.State(time.Now()))
	}
	list, err = h.Adopt(t.Context(), 4, Adoption{Labels: []string{"rsa", "aes"}, Replace: true})
	require.NoError(t, err)
	for _, a := range list {
		require.Equal(t, "unchanged", a.Result, "it is the key that something is stored of")
	}

	// What is left is of a key that is not there.
	left, err = h.Prune(t.Context(), 4, false, false, false)
	require.NoError(t, err)
	require.Len(t, left, 2)
	for _, l := range left {
		require.True(t, l.Another && l.Forgotten)
		o, err := h.Object(t.Context(), l.UniqueIdentifier)
		require.NoError(t, err)
		require.Empty(t, o.Grants)
	}
}

// importable is a key that goes into tokens by C_CreateObject.
func importable(t *testing.T, kind string) (v *kmip.Value, a kmip.CryptographicAlgorithm) {
	t.Helper()
	material := make([]byte, 32)
	rand.Read(material)
	private := func(key any, err error) *kmip.Value {
		require.NoError(t, err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		return &kmip.Value{PrivateKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypePKCS8, KeyValue: &kmip.KeyValue{Material: der}}}}
	}
	switch kind {
	case "rsa":
		return private(rsa.GenerateKey(rand.Reader, 2048)), kmip.CryptographicAlgorithmRSA
	case "ec":
		return private(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), kmip.CryptographicAlgorithmECDSA
	case "mac":
		a = kmip.CryptographicAlgorithmHMACSHA256
	default:
		a = kmip.CryptographicAlgorithmAES
	}
	return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material},
		CryptographicAlgorithm: a, CryptographicLength: 256}}}, a
}

// TestRestoredKey has the same keys in another token, in another slot: what is stored of them stays.
func TestRestoredKey(t *testing.T) {
	tokens := []string{"restored-before", "restored-after"}
	for _, token := range tokens {
		newToken(t, token)
	}
	records, log := &memory{}, &journal{}
	kept := []Records{records, &memory{}}
	kinds := []string{"aes", "mac", "rsa", "ec"}
	values := map[string]*kmip.Value{}
	for i, token := range tokens {
		h, ends := openOn(t, token, kept[i], log)
		for _, kind := range kinds {
			v, algorithm := importable(t, kind)
			if i == 1 {
				v = values[kind]
			}
			values[kind] = v
			o := &kmip.Object{UniqueIdentifier: uid(kind), Attributes: kmip.Attributes{{Tag: ttlv.TagObjectType, Value: v.ObjectType()},
				{Tag: ttlv.TagCryptographicAlgorithm, Value: algorithm}, {Tag: ttlv.TagState, Value: kmip.StateActive}}}
			require.NoError(t, h.Register(t.Context(), o, v))
			if i == 0 {
				granted(t, h, []string{uid(kind)})
			}
		}
		ends()
	}
	h, _ := openOn(t, tokens[1], records, log)
	for _, kind := range kinds {
		o, err := h.Object(t.Context(), uid(kind))
		require.NoError(t, err)
		require.Len(t, o.Grants, 1)
		require.Equal(t, kmip.StateDeactivated, o.State(time.Now()))
	}
	list, err := h.Adopt(t.Context(), 4, Adoption{All: true, Replace: true, Token: true})
	require.NoError(t, err)
	for _, a := range list {
		require.NotEqual(t, ResultReplaced, a.Result)
	}
}

// TestFingerprints compares what keys show with what they are: a token that does not tell a check value, or the point of a private
// key, has it computed.
func TestFingerprints(t *testing.T) {
	h := open(t)
	s := h.slots[4]
	print := func(name string) string {
		o, err := s.object(t.Context(), name)
		require.NoError(t, err)
		found, err := o.fingerprint(s.asking(t.Context(), o))
		require.NoError(t, err)
		return found
	}
	for _, curve := range []int32{256, 384, 521} {
		name := fmt.Sprint("ec-", curve)
		makePair(t, h, name, kmip.CryptographicAlgorithmECDSA, curve)
		_, public, _ := halves(t, h, name)
		v, err := h.Value(t.Context(), public)
		require.NoError(t, err)
		sum := sha256.Sum256(v.PublicKey.KeyBlock.KeyValue.Material)
		require.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), print(name+"_pk"))
		require.Equal(t, print(name+"_pk"), print(name), "two signatures tell the public key")
	}
	makePair(t, h, "rsa", kmip.CryptographicAlgorithmRSA, 2048)
	require.Equal(t, print("rsa_pk"), print("rsa"))

	// SoftHSM tells no check value of a key that it unwrapped.
	keys := kmip.CryptographicUsageMaskWrapKey | kmip.CryptographicUsageMaskUnwrapKey
	make := func(name string, change func(kmip.Attributes) kmip.Attributes) *kmip.Object {
		o := aesObject(name, 256)
		o.Attributes = change(o.Attributes)
		require.NoError(t, h.Generate(t.Context(), o))
		o, err := h.Object(t.Context(), uid(name))
		require.NoError(t, err)
		return o
	}
	kek := make("kek", func(a kmip.Attributes) kmip.Attributes { return a.With(ttlv.TagCryptographicUsageMask, keys) })
	require.Regexp(t, "^kcv:[0-9a-f]{6}$", print("kek"))
	for name, mask := range map[string]kmip.CryptographicUsageMask{
		"data": kmip.CryptographicUsageMaskEncrypt, "mac": kmip.CryptographicUsageMaskMACGenerate, "wraps": keys,
	} {
		out := make(name, func(a kmip.Attributes) kmip.Attributes { return movable(a).With(ttlv.TagCryptographicUsageMask, mask) })
		v, err := h.ValueWrapped(t.Context(), out, kek, nil)
		require.NoError(t, err)
		in := aesObject(name+"-in", 256)
		in.Attributes = in.Attributes.With(ttlv.TagCryptographicUsageMask, mask)
		require.NoError(t, h.RegisterWrapped(t.Context(), in, v, kek, nil))
		o, err := s.object(t.Context(), name+"-in")
		require.NoError(t, err)
		require.Empty(t, o.check)
		kept, err := h.records.Record(t.Context(), uid(name+"-in"))
		require.NoError(t, err)
		require.Equal(t, print(name+"-in"), kept.Fingerprint)
	}
	require.Equal(t, print("data"), print("data-in"))
	require.Regexp(t, "^cmac:[0-9a-f]{32}$", print("mac-in"))
	require.Empty(t, print("wraps-in"), "it does nothing that shows what it is")
	stored, err := h.Recorded(t.Context(), 4)
	require.NoError(t, err)
	at := slices.IndexFunc(stored, func(l Left) bool { return l.UniqueIdentifier == uid("wraps-in") })
	require.Empty(t, stored[at].Fingerprint)

	// Such a key that takes the place of one that showed it may be any.
	r, err := h.records.Record(t.Context(), uid("wraps-in"))
	require.NoError(t, err)
	r.Fingerprint = print("wraps")
	require.NoError(t, h.records.PutRecord(t.Context(), uid("wraps-in"), &r))
	_, err = h.Object(t.Context(), uid("wraps-in"))
	require.ErrorContains(t, err, "does not show that it is the key")
	list, err := h.Adopt(t.Context(), 4, Adoption{Labels: []string{"wraps-in"}, Replace: true})
	require.NoError(t, err)
	require.Equal(t, ResultReplaced, list[0].Result)
	_, err = h.Object(t.Context(), uid("wraps-in"))
	require.NoError(t, err)
}

// A signature tells the two public keys that verify it, one of which is its signer's; what is none tells nothing.
func TestSigners(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		for range 4 {
			k, err := ecdsa.GenerateKey(curve, rand.Reader)
			require.NoError(t, err)
			encoded, err := k.PublicKey.Bytes()
			require.NoError(t, err)
			digest := sha256.Sum256(encoded)
			r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
			require.NoError(t, err)
			size := (curve.Params().BitSize + 7) / 8
			signature := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
			keys := signers(curve, digest[:], signature)
			require.Len(t, keys, 2)
			require.True(t, keys[0].Equal(&k.PublicKey) != keys[1].Equal(&k.PublicKey))
			for _, key := range keys {
				require.True(t, ecdsa.Verify(key, digest[:], r, s))
			}
		}
		require.Empty(t, signers(curve, make([]byte, 32), make([]byte, 2*(curve.Params().BitSize+7)/8)))
		require.Empty(t, signers(curve, make([]byte, 32), nil))
		require.Empty(t, signers(curve, make([]byte, 32), bytes.Repeat([]byte{9}, 139)))
		n := new(big.Int).Add(curve.Params().P, big.NewInt(1)).Bytes()
		require.Empty(t, signers(curve, make([]byte, 32), append(n, n...)))
	}
}

// A record from before there were fingerprints is bound when the key is looked up, or listed.
func TestOldRecordIsBound(t *testing.T) {
	token := label(t)
	newToken(t, token)
	records, log := &memory{}, &journal{}
	h, ends := openOn(t, token, records, log)
	unbind := func(name string) (print string) {
		r, err := records.Record(t.Context(), uid(name))
		require.NoError(t, err)
		print, r.Fingerprint = r.Fingerprint, ""
		require.NotEmpty(t, print)
		require.NoError(t, records.PutRecord(t.Context(), uid(name), &r))
		return print
	}
	bound := func(name string) string {
		r, err := records.Record(t.Context(), uid(name))
		require.NoError(t, err)
		return r.Fingerprint
	}
	aesKeyOf(t, h, "a")
	aesKeyOf(t, h, "b")
	a, b := unbind("a"), unbind("b")
	records.fail = context.DeadlineExceeded
	require.NoError(t, encrypts(t.Context(), h, "a"), "it is used as before where it cannot be bound")
	records.fail = nil
	h.slots[4].conn.Load().objects["a"].shown.Store(nil) // the token is connected again, for one
	o, err := h.Object(t.Context(), uid("a"))
	require.NoError(t, err)
	require.Equal(t, a, bound("a"))
	require.Empty(t, bound("b"))
	require.NoError(t, h.Update(t.Context(), o), "with the revision that it has now")
	ends()
	h, _ = openOn(t, token, records, log)
	require.Empty(t, bound("b"))
	found, err := h.Locate(t.Context(), &kmip.Search{Identity: "ops", Admin: true})
	require.NoError(t, err)
	require.Len(t, found.Objects, 2)
	require.Equal(t, b, bound("b"))
}

// A key that is in use for long is no other one, though that has its name, whether anything is stored of it or not.
func TestKeyInUseIsReplaced(t *testing.T) {
	h := open(t)
	pkcs11Tool(t, label(t), "--keygen", "--key-type", "AES:32", "--label", "k")
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	pkcs11Tool(t, label(t), "--delete-object", "--type", "secrkey", "--label", "k")
	pkcs11Tool(t, label(t), "--keygen", "--key-type", "AES:32", "--label", "k")
	_, err = o.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
	require.ErrorIs(t, err, kmip.ErrNotFound)
	require.NoError(t, encrypts(t.Context(), h, "k"), "nothing was said of either")
}

// A wrapping key that is another one than before wraps nothing new.
func TestWrappingKeyIsReplaced(t *testing.T) {
	h := open(t)
	wrappingKeys(t, h, "wrap")
	kept, bits, err := h.GenerateWrapped(t.Context(), uid("wrap"), aesObject("", 256).Attributes)
	require.NoError(t, err)
	require.EqualValues(t, 256, bits)
	granted(t, h, []string{uid("wrap")})
	_, err = h.OpenWrapped(t.Context(), uid("wrap"), kept, aesObject("", 256).Attributes)
	require.NoError(t, err)
	r, err := h.records.Record(t.Context(), uid("wrap"))
	require.NoError(t, err)

	pkcs11Tool(t, label(t), "--delete-object", "--type", "secrkey", "--label", "wrap")
	wrappingKeys(t, h, "wrap")
	now, err := h.records.Record(t.Context(), uid("wrap"))
	require.NoError(t, err)
	require.Zero(t, now.Revision, "a key that is made here is a new one")
	r.Revision = 0
	require.NoError(t, h.records.PutRecord(t.Context(), uid("wrap"), &r)) // as where another tool had made it
	aSecondLater(h)
	_, _, err = h.GenerateWrapped(t.Context(), uid("wrap"), aesObject("", 256).Attributes)
	require.ErrorContains(t, err, "another key than the one")
	_, err = h.OpenWrapped(t.Context(), uid("wrap"), kept, aesObject("", 256).Attributes)
	require.ErrorContains(t, err, "another key than the one")
}

// Where a token gives handles again, one may mean another key of the same name.
func TestReusedHandleOfReplacedKey(t *testing.T) {
	h := open(t)
	require.ErrorIs(t, reusing(t, h, "k", pkcs11.CKA_CHECK_VALUE, []byte{1, 2, 3}), kmip.ErrNotFound)
	_, err := h.Object(t.Context(), uid("k"))
	require.ErrorContains(t, err, "another key than the one")
}

// unsigning is a library that has no room to sign.
type unsigning struct{ cryptoki }

func (u *unsigning) sign(session, *mechanism, handle, []byte, int) ([]byte, error) {
	return nil, ckError{rv: pkcs11.CKR_DEVICE_MEMORY}
}

// A token that cannot be asked what a key is, is away: it is no other key for that.
func TestFingerprintNeedsToken(t *testing.T) {
	token := label(t)
	newToken(t, token)
	records, log := &memory{}, &journal{}
	h, _ := openOn(t, token, records, log)
	makePair(t, h, "ec", kmip.CryptographicAlgorithmECDSA, 256)
	s := h.slots[4]
	o, err := s.object(t.Context(), "ec")
	require.NoError(t, err)
	o.print.Store(nil)
	lib := &unsigning{h.modules[0].lib}
	h.modules[0].lib = lib
	_, err = h.Object(t.Context(), uid("ec"))
	require.ErrorContains(t, err, "CKR_DEVICE_MEMORY")
	require.False(t, another(err))
	h.modules[0].lib = lib.cryptoki
	_, err = h.Object(t.Context(), uid("ec"))
	require.NoError(t, err)
}
