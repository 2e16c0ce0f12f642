package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/seal"
)

// material is what the tests register; it must not be found at rest.
var material = []byte("material-that-must-not-be-found!")

// symmetric is raw material of an AES key.
func symmetric(material []byte) *kmip.Value {
	return &kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType:          kmip.KeyFormatTypeRaw,
		KeyValue:               &kmip.KeyValue{Material: bytes.Clone(material)},
		CryptographicAlgorithm: kmip.CryptographicAlgorithmAES,
		CryptographicLength:    256,
	}}}
}

// value is the material of an object.
func value(t *testing.T, s *Store, uid string) ([]byte, error) {
	t.Helper()
	o, err := s.Object(t.Context(), uid)
	require.NoError(t, err)
	v, err := s.Value(t.Context(), o)
	if err != nil {
		return nil, err
	}
	return v.SymmetricKey.KeyBlock.KeyValue.Material, nil
}

// under has an object ask for a wrapping key.
func under(o *kmip.Object, uid string) *kmip.Object {
	o.Attributes = o.Attributes.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, uid)
	return o
}

// protection is what an object tells of its protection.
func protectionOf(t *testing.T, s *Store, uid string) any {
	t.Helper()
	o, err := s.Object(t.Context(), uid)
	require.NoError(t, err)
	p, _ := o.Attributes.Vendor(kmip.VendorServer, kmip.AttributeProtection)
	return p
}

// resolve is a Protector option that takes wrapping keys from the store itself, as the server does for database keys.
func resolve(s **Store) func(context.Context, string) (kmip.Key, kmip.Attributes, error) {
	return func(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
		o, err := (*s).Object(ctx, uid)
		if err != nil {
			return nil, nil, err
		}
		return o.Key, o.Attributes, nil
	}
}

// wrappingStore has the database key "kek".
func wrappingStore(t *testing.T, o Options) *Store {
	t.Helper()
	var s *Store
	o.Protector = resolve(&s)
	s = openStore(t, o)
	require.NoError(t, s.Generate(t.Context(), aesKey("kek", "alice")))
	return s
}

// rsaPair describes two halves of RSA-2048.
func rsaPair(private, public string) (*kmip.Object, *kmip.Object) {
	half := func(uid string, t kmip.ObjectType, mask kmip.CryptographicUsageMask, link kmip.LinkType, other string) *kmip.Object {
		o := aesKey(uid, "alice")
		o.Attributes = o.Attributes.With(ttlv.TagObjectType, t).
			With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmRSA).
			With(ttlv.TagCryptographicLength, int32(2048)).
			With(ttlv.TagCryptographicUsageMask, mask).
			With(ttlv.TagLink, kmip.Link{LinkType: link, LinkedObjectIdentifier: kmip.UniqueIdentifier(other)})
		return o
	}
	return half(private, kmip.ObjectTypePrivateKey, kmip.CryptographicUsageMaskUnwrapKey, kmip.LinkTypePublicKeyLink, public),
		half(public, kmip.ObjectTypePublicKey, kmip.CryptographicUsageMaskWrapKey, kmip.LinkTypePrivateKeyLink, private)
}

func TestRowsAtRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	require.NoError(t, s.Register(t.Context(), aesKey("k", "alice"), symmetric(material)))
	root, err := s.Root().Subkey("anything")
	require.NoError(t, err)
	files := 0
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		require.False(t, bytes.Contains(data, material), name)
		require.False(t, bytes.Contains(data, material[:16]), name)
		require.False(t, bytes.Contains(data, []byte("0123456789abcdef0123456789abcdef")), "the master key in %s", name)
		require.False(t, bytes.Contains(data, root), name)
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
		files++
	}
	require.Equal(t, 4, files)
	wal, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	require.True(t, bytes.Contains(wal, []byte("SRMENVLP")), "the envelope is where the test looks")
	got, err := value(t, s, "k")
	require.NoError(t, err)
	require.Equal(t, material, got)
}

// TestDestroyLeavesNoEnvelope looks for the destroyed envelope in the files of the database, while it runs.
func TestDestroyLeavesNoEnvelope(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	require.NoError(t, s.Register(t.Context(), aesKey("k", "alice"), symmetric(material)))
	r, err := s.row(t.Context(), "k")
	require.NoError(t, err)
	sealed := r.envelope.Bytes()[len(r.envelope.Bytes())-40:]
	atRest := func() bool {
		for _, name := range []string{path, path + "-wal"} {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			if bytes.Contains(data, sealed) {
				return true
			}
		}
		return false
	}
	require.True(t, atRest(), "the test looks where the envelope is")
	require.NoError(t, s.Destroy(t.Context(), r.object.Clone()))
	require.Eventually(t, func() bool { return !atRest() }, 10*eraseAfter, eraseAfter/20)
}

func TestRowsTampered(t *testing.T) {
	for name, tamper := range map[string][]string{
		"swapped": {
			`UPDATE objects SET envelope = (SELECT envelope FROM objects WHERE uid = 'other') WHERE uid = 'k'`,
		},
		"renamed": {
			`UPDATE objects SET uid = 'was-k' WHERE uid = 'k'`,
			`UPDATE objects SET uid = 'k' WHERE uid = 'other'`,
		},
		"owner": {`UPDATE objects SET owner = 'mallory' WHERE uid = 'k'`},
		"mask": {
			`UPDATE objects SET attributes = (SELECT attributes FROM objects WHERE uid = 'wide') WHERE uid = 'k'`,
		},
		"extractable": {
			`UPDATE objects SET attributes = (SELECT attributes FROM objects WHERE uid = 'free') WHERE uid = 'k'`,
		},
		"sensitive": {
			`UPDATE objects SET attributes = (SELECT attributes FROM objects WHERE uid = 'open') WHERE uid = 'k'`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "strongroom.db")
			s := openAt(t, path, Options{})
			for uid, a := range map[string]kmip.Attributes{
				"k":     {{Tag: ttlv.TagSensitive, Value: true}, {Tag: ttlv.TagExtractable, Value: false}},
				"other": {{Tag: ttlv.TagSensitive, Value: true}, {Tag: ttlv.TagExtractable, Value: false}},
				"free":  {{Tag: ttlv.TagSensitive, Value: true}, {Tag: ttlv.TagExtractable, Value: true}},
				"open":  {{Tag: ttlv.TagSensitive, Value: false}, {Tag: ttlv.TagExtractable, Value: false}},
			} {
				o := aesKey(uid, "alice")
				o.Attributes = append(o.Attributes, a...)
				require.NoError(t, s.Generate(t.Context(), o))
			}
			wide := aesKey("wide", "alice")
			wide.Attributes = append(wide.Attributes, kmip.Attribute{Tag: ttlv.TagSensitive, Value: true}, kmip.Attribute{Tag: ttlv.TagExtractable, Value: false}).
				With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskExport)
			require.NoError(t, s.Generate(t.Context(), wide))

			for _, statement := range tamper {
				_, err := s.writer.db.Exec(statement)
				require.NoError(t, err)
			}
			s.rows.drop("k")
			_, err := s.Object(t.Context(), "k")
			require.EqualError(t, err, `reading object "k": it does not have its MAC: something else than this program changed it`)

			// Whoever could make the MAC, too, would have an envelope that does not open.
			authenticateAgain(t, s)
			o, err := s.Object(t.Context(), "k")
			require.NoError(t, err)
			_, err = s.Value(t.Context(), o)
			require.EqualError(t, err, `object "k": seal: decryption failed`)
			_, err = o.Key.Encrypt(t.Context(), gcmRequest)
			require.ErrorIs(t, err, seal.ErrDecrypt)
		})
	}
}

var gcmRequest = &kmip.EncryptRequest{
	CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}, Data: []byte("plain"),
}

func TestUpdateLeavesEnvelope(t *testing.T) {
	s := openStore(t, Options{})
	require.NoError(t, s.Register(t.Context(), aesKey("k", "alice"), symmetric(material)))
	first, err := s.row(t.Context(), "k")
	require.NoError(t, err)
	update := func(a kmip.Attributes) *row {
		o, err := s.Object(t.Context(), "k")
		require.NoError(t, err)
		o = o.Clone()
		o.Attributes = a
		require.NoError(t, s.Update(t.Context(), o))
		s.rows.drop("k")
		r, err := s.row(t.Context(), "k")
		require.NoError(t, err)
		return r
	}
	second := update(first.object.Attributes.With(ttlv.TagDescription, "text"))
	require.Equal(t, first.envelope.Bytes(), second.envelope.Bytes())

	third := update(second.object.Attributes.With(ttlv.TagExtractable, false))
	require.NotEqual(t, first.envelope.Bytes(), third.envelope.Bytes())
	require.EqualValues(t, 2, third.envelope.Generation)
	fourth := update(third.object.Attributes.With(ttlv.TagSensitive, true))
	fifth := update(fourth.object.Attributes.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt))
	require.EqualValues(t, 4, fifth.envelope.Generation)
	got, err := value(t, s, "k")
	require.NoError(t, err)
	require.Equal(t, material, got)
}

func TestUpdateKeeps(t *testing.T) {
	s := wrappingStore(t, Options{})
	require.NoError(t, s.Generate(t.Context(), under(aesKey("k", "alice"), "kek")))
	for name, change := range map[string]func(kmip.Attributes) kmip.Attributes{
		"type":         func(a kmip.Attributes) kmip.Attributes { return a.With(ttlv.TagObjectType, kmip.ObjectTypeSecretData) },
		"wrapping key": func(a kmip.Attributes) kmip.Attributes { return under(&kmip.Object{Attributes: a}, "rsa").Attributes },
		"no key": func(a kmip.Attributes) kmip.Attributes {
			return a.WithoutVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID)
		},
	} {
		o, err := s.Object(t.Context(), "k")
		require.NoError(t, err)
		o = o.Clone()
		o.Attributes = change(o.Attributes)
		require.Equal(t, kmip.ResultReasonAttributeReadOnly, kmip.ReasonOf(s.Update(t.Context(), o)), name)
	}
	o, err := s.Object(t.Context(), "k")
	require.NoError(t, err)
	o = o.Clone()
	o.Attributes = o.Attributes.WithVendor(kmip.VendorServer, kmip.AttributeProtection, kmip.ProtectionHSM)
	require.NoError(t, s.Update(t.Context(), o))
	require.Equal(t, kmip.ProtectionHSMProtected, protectionOf(t, s, "k"))
}

func TestWrappingKey(t *testing.T) {
	s := wrappingStore(t, Options{})
	private, public := rsaPair("rsa", "rsa_pk")
	require.NoError(t, s.GeneratePair(t.Context(), private, public))
	for _, c := range []struct {
		kek       string
		mechanism seal.Mechanism
	}{
		{"kek", seal.MechanismAESGCM},
		{"rsa", seal.MechanismRSAOAEPSHA256},
		{"rsa_pk", seal.MechanismRSAOAEPSHA256},
	} {
		t.Run(c.kek, func(t *testing.T) {
			uid, plain := "under-"+c.kek, "beside-"+c.kek
			require.NoError(t, s.Register(t.Context(), under(aesKey(uid, "alice"), c.kek), symmetric(material)))
			require.NoError(t, s.Register(t.Context(), aesKey(plain, "alice"), symmetric(material)))
			r, err := s.row(t.Context(), uid)
			require.NoError(t, err)
			require.Equal(t, "uid:"+c.kek, r.envelope.Protector)
			require.Equal(t, c.mechanism, r.envelope.Mechanism)
			require.Equal(t, kmip.ProtectionHSMProtected, protectionOf(t, s, uid))
			require.Equal(t, kmip.ProtectionSoftware, protectionOf(t, s, plain))
			got, err := value(t, s, uid)
			require.NoError(t, err)
			require.Equal(t, material, got)

			o := r.object.Clone()
			o.Attributes = o.Attributes.With(ttlv.TagExtractable, false)
			require.NoError(t, s.Update(t.Context(), o))
			r, err = s.row(t.Context(), uid)
			require.NoError(t, err)
			require.Equal(t, "uid:"+c.kek, r.envelope.Protector, "sealed anew under the same key")
		})
	}
	for _, kek := range []string{"kek", "rsa"} {
		o, err := s.Object(t.Context(), kek)
		require.NoError(t, err)
		require.NoError(t, s.Destroy(t.Context(), o.Clone()))
		_, err = value(t, s, "under-"+kek)
		require.ErrorContains(t, err, `wrapping key "`+kek+`"`)
		_, err = value(t, s, "beside-"+kek)
		require.NoError(t, err)
	}
}

func TestKeyEncryptionKey(t *testing.T) {
	s := wrappingStore(t, Options{KeyEncryptionKey: "kek"})
	r, err := s.row(t.Context(), "kek")
	require.NoError(t, err)
	require.Equal(t, seal.RootReference, r.envelope.Protector, "the key itself is under the root key")
	require.NoError(t, s.Generate(t.Context(), aesKey("other", "alice")))
	r, err = s.row(t.Context(), "other")
	require.NoError(t, err)
	require.Equal(t, "uid:kek", r.envelope.Protector)
	require.NoError(t, s.Generate(t.Context(), under(aesKey("k", "alice"), "other")))
	r, err = s.row(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "uid:other", r.envelope.Protector, "an object's own choice goes before the configuration")
	_, err = r.object.Key.Encrypt(t.Context(), gcmRequest)
	require.NoError(t, err)
}

func TestWrappingKeyRefused(t *testing.T) {
	token := errors.New("0xE0: CKR_TOKEN_NOT_PRESENT")
	s := openStore(t, Options{Protector: func(_ context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
		switch uid {
		case "hsm::4::away":
			return nil, nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot 4: %w", token)
		case "ec":
			return &key{}, kmip.Attributes{{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmEC}}, nil
		case "cannot":
			return kmip.Unsupported{}, kmip.Attributes{{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES}}, nil
		}
		return nil, nil, kmip.NotFound(uid)
	}})
	for _, c := range []struct {
		kek    string
		reason kmip.ResultReason
		text   string
	}{
		{"hsm::4::away", kmip.ResultReasonGeneralFailure, `wrapping key "hsm::4::away": slot 4: 0xE0: CKR_TOKEN_NOT_PRESENT`},
		{"missing", kmip.ResultReasonWrappingObjectNotFound, `wrapping key "missing"`},
		{"k", kmip.ResultReasonInvalidField, "cannot be wrapped by itself"},
		{"ec", kmip.ResultReasonInvalidField, `wrapping key "ec"`},
		{"cannot", kmip.ResultReasonOperationNotSupported, `wrapping key "cannot"`},
		{"", kmip.ResultReasonInvalidAttributeValue, "the identifier of a key"},
	} {
		err := s.Generate(t.Context(), under(aesKey("k", "alice"), c.kek))
		require.ErrorContains(t, err, c.text)
		require.Equal(t, c.reason, kmip.ReasonOf(err), c.kek)
		_, err = s.Object(t.Context(), "k")
		require.ErrorIs(t, err, kmip.ErrNotFound, "nothing is stored")
	}
	require.ErrorIs(t, s.Generate(t.Context(), under(aesKey("k", "alice"), "hsm::4::away")), token)

	none := openStore(t, Options{KeyEncryptionKey: "kek"})
	require.ErrorContains(t, none.Generate(t.Context(), aesKey("k", "alice")), `wrapping key "kek": this server has no wrapping keys`)
}

// TestWrappingCircle closes a circle of two keys as somebody could who writes to the database and has the root key.
func TestWrappingCircle(t *testing.T) {
	var s *Store
	s = openStore(t, Options{Protector: func(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
		return resolve(&s)(ctx, uid)
	}})
	require.NoError(t, s.Generate(t.Context(), aesKey("a", "alice")))
	require.NoError(t, s.Generate(t.Context(), under(aesKey("b", "alice"), "a")))
	a, err := s.row(t.Context(), "a")
	require.NoError(t, err)
	p, err := s.keyProtector(t.Context(), "b")
	require.NoError(t, err)
	e, err := s.sealUnder(t.Context(), p, 1, &a.object, []byte("material"))
	require.NoError(t, err)
	_, err = s.writer.db.Exec(`UPDATE objects SET envelope = $1, protector = $2 WHERE uid = 'a'`, e.Bytes(), e.Protector)
	require.NoError(t, err)
	authenticateAgain(t, s)
	s.rows.drop("a")
	o, err := s.Object(t.Context(), "a")
	require.NoError(t, err)
	_, err = o.Key.Encrypt(t.Context(), gcmRequest)
	require.ErrorContains(t, err, "in a circle")
}

func TestWrappingChain(t *testing.T) {
	var s *Store
	s = openStore(t, Options{Protector: func(ctx context.Context, uid string) (kmip.Key, kmip.Attributes, error) {
		return resolve(&s)(ctx, uid)
	}})
	names := "abcdefghijkl"
	require.NoError(t, s.Generate(t.Context(), aesKey("a", "alice")))
	for i := 1; i < len(names); i++ {
		err := s.Generate(t.Context(), under(aesKey(names[i:i+1], "alice"), names[i-1:i]))
		if i <= longestChain+1 {
			require.NoError(t, err, i)
			continue
		}
		require.ErrorContains(t, err, "wrap one another")
		return
	}
	t.Fatal("a chain of any length was made")
}

func TestSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	require.NoError(t, s.Generate(t.Context(), aesKey("k", "alice")))
	s.Root().Seal()
	require.ErrorIs(t, s.Generate(t.Context(), aesKey("k2", "alice")), seal.ErrSealed)
	o, err := s.Object(t.Context(), "k")
	require.NoError(t, err)
	_, err = o.Key.Encrypt(t.Context(), gcmRequest)
	require.ErrorIs(t, err, seal.ErrSealed)
	require.EqualError(t, err, "the server is sealed")
}
