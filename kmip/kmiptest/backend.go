// Package kmiptest has the tests that every kmip.Backend passes, whatever it keeps its objects in.
package kmiptest

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Options say how the backends that pass the suite may differ.
type Options struct {
	// Prefix begins every identifier that the suite makes up: "" for a database, "hsm::4::" for a token.
	Prefix string

	// Owner is an identity that owns what the suite makes, and Locate finds it for.
	Owner string

	// OwnerIsStored says that the owner is the one that an object was made with, not one of the configuration.
	OwnerIsStored bool

	// TakesMaterial says that material may come from outside, and that Value gives material of keys that are neither
	// sensitive nor unextractable.
	TakesMaterial bool

	// HidesMaterial says that Value gives none all the same: NSS does not show what lies in its database.
	HidesMaterial bool

	// WithoutGCM says that keys do not do AES-GCM, and wrap nothing: the software token of opencryptoki does CBC.
	WithoutGCM bool

	// KeepsDestroyed says that a destroyed object keeps its attributes, and that its identifier is never used again.
	KeepsDestroyed bool

	// FreeHalves says that any two identifiers can name the halves of a pair; else the public one is the private one
	// with "_pk" behind it.
	FreeHalves bool
}

// suite is a backend that is tested, with its options.
type suite struct {
	kmip.Backend
	Options
}

// Backend runs the suite. Each test opens a backend of its own, empty, which ends with the test.
func Backend(t *testing.T, open func(t *testing.T) kmip.Backend, o Options) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Generate", testGenerate},
		{"GenerateExisting", testGenerateExisting},
		{"GenerateRace", testGenerateRace},
		{"GeneratePair", testGeneratePair},
		{"GeneratePairNeither", testGeneratePairNeither},
		{"Register", testRegister},
		{"ObjectUnknown", testObjectUnknown},
		{"Wrap", testWrap},
		{"Update", testUpdate},
		{"UpdateRace", testUpdateRace},
		{"SetGrants", testSetGrants},
		{"Destroy", testDestroy},
		{"DestroyEndsUse", testDestroyEndsUse},
		{"DestroyEndsGrants", testDestroyEndsGrants},
		{"Locate", testLocate},
		{"LocateFilters", testLocateFilters},
		{"LocateGrantee", testLocateGrantee},
		{"LocateMost", testLocateMost},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &suite{open(t), o}) })
	}
}

func testGenerate(t *testing.T, s *suite) {
	made := s.generate(t, "k")
	got, err := s.Object(t.Context(), made.UniqueIdentifier)
	require.NoError(t, err)
	require.Equal(t, made.UniqueIdentifier, got.UniqueIdentifier)
	require.Equal(t, kmip.ObjectTypeSymmetricKey, got.ObjectType())
	require.Equal(t, kmip.CryptographicAlgorithmAES, got.Attributes.Algorithm())
	require.EqualValues(t, 256, got.Attributes.Length())
	require.Equal(t, made.Attributes.UsageMask(), got.Attributes.UsageMask())
	require.Equal(t, kmip.StateActive, got.State(Now))
	require.True(t, got.Attributes.Has(name("k")))
	require.Empty(t, got.Grants)
	if s.OwnerIsStored {
		require.Equal(t, []string{s.Owner}, got.Owners)
	}
	s.requireEncrypts(t, got.Key)
}

func testGenerateExisting(t *testing.T, s *suite) {
	first := s.generate(t, "k")
	sealed := s.encrypt(t, s.object(t, first.UniqueIdentifier).Key)
	require.ErrorIs(t, s.Generate(t.Context(), s.aes("k")), kmip.ErrExists)
	s.requireDecrypts(t, s.object(t, first.UniqueIdentifier).Key, sealed)
}

// testGenerateRace makes one identifier many times at once: one of them wins, and nothing of the others stays.
func testGenerateRace(t *testing.T, s *suite) {
	var wg sync.WaitGroup
	var made, refused atomic.Int64
	for range 8 {
		wg.Go(func() {
			switch err := s.Generate(t.Context(), s.aes("k")); {
			case err == nil:
				made.Add(1)
			case kmip.ReasonOf(err) == kmip.ResultReasonObjectAlreadyExists:
				refused.Add(1)
			default:
				t.Errorf("generating: %v", err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, made.Load())
	require.EqualValues(t, 7, refused.Load())
	s.requireEncrypts(t, s.object(t, s.Prefix+"k").Key)
}

func testGeneratePair(t *testing.T, s *suite) {
	private, public := s.rsa("pair", "pair_pk")
	require.NoError(t, s.GeneratePair(t.Context(), private, public))
	private, public = s.object(t, private.UniqueIdentifier), s.object(t, public.UniqueIdentifier)
	require.Equal(t, kmip.ObjectTypePrivateKey, private.ObjectType())
	require.Equal(t, kmip.ObjectTypePublicKey, public.ObjectType())

	p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: kmip.HashingAlgorithmSHA256}
	signed, err := private.Key.Sign(t.Context(), &kmip.SignRequest{CryptographicParameters: p, Data: []byte("text")})
	require.NoError(t, err)
	for _, c := range []struct {
		data string
		want kmip.ValidityIndicator
	}{{"text", kmip.ValidityIndicatorValid}, {"test", kmip.ValidityIndicatorInvalid}} {
		verified, err := public.Key.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{
			CryptographicParameters: p, Data: []byte(c.data), SignatureData: signed.SignatureData,
		})
		require.NoError(t, err)
		require.Equal(t, c.want, verified.ValidityIndicator)
	}
}

// testGeneratePairNeither refuses a pair of which one half is taken, and leaves no half behind.
func testGeneratePairNeither(t *testing.T, s *suite) {
	private, public := s.rsa("pair", "pair_pk")
	require.NoError(t, s.GeneratePair(t.Context(), private, public))
	require.ErrorIs(t, s.GeneratePair(t.Context(), private, public), kmip.ErrExists)
	if !s.FreeHalves {
		return
	}
	for _, taken := range []struct{ private, public string }{{"new", "pair_pk"}, {"pair", "new"}} {
		private, public := s.rsa(taken.private, taken.public)
		require.ErrorIs(t, s.GeneratePair(t.Context(), private, public), kmip.ErrExists)
		_, err := s.Object(t.Context(), s.Prefix+"new")
		require.ErrorIs(t, err, kmip.ErrNotFound)
	}
}

func testRegister(t *testing.T, s *suite) {
	if !s.TakesMaterial {
		t.Skip("this backend takes no material from outside")
	}
	material := make([]byte, 32)
	rand.Read(material)
	o := s.aes("k")
	o.Attributes = o.Attributes.With(ttlv.TagSensitive, false).With(ttlv.TagExtractable, true)
	require.NoError(t, s.Register(t.Context(), o, symmetric(material)))
	require.ErrorIs(t, s.Register(t.Context(), o, symmetric(material)), kmip.ErrExists)
	got := s.object(t, o.UniqueIdentifier)
	s.requireEncrypts(t, got.Key)
	if s.HidesMaterial {
		_, err := s.Value(t.Context(), got)
		require.ErrorContains(t, err, "does not give the value")
		return
	}
	for range 2 { // the caller clears what it got, and that is its own copy
		v, err := s.Value(t.Context(), got)
		require.NoError(t, err)
		require.Equal(t, material, v.SymmetricKey.KeyBlock.KeyValue.Material)
		clear(v.SymmetricKey.KeyBlock.KeyValue.Material)
	}
	s.requireEncrypts(t, got.Key)
}

func testObjectUnknown(t *testing.T, s *suite) {
	_, err := s.Object(t.Context(), s.Prefix+"nothing")
	require.ErrorIs(t, err, kmip.ErrNotFound)
	require.ErrorContains(t, err, "nothing")
}

func testWrap(t *testing.T, s *suite) {
	if s.WithoutGCM {
		t.Skip("keys of this backend do not wrap")
	}
	k := s.object(t, s.generate(t, "k").UniqueIdentifier).Key
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}
	material := []byte(strings.Repeat("m", 32))
	wrapped, err := k.Wrap(t.Context(), p, material)
	require.NoError(t, err)
	require.Len(t, wrapped, 12+32+16, "IV, ciphertext, tag")
	got, err := k.Unwrap(t.Context(), p, wrapped)
	require.NoError(t, err)
	require.Equal(t, material, got)
	wrapped[20] ^= 1
	_, err = k.Unwrap(t.Context(), p, wrapped)
	require.Error(t, err)
}

func testUpdate(t *testing.T, s *suite) {
	uid := s.generate(t, "k").UniqueIdentifier
	before := s.object(t, uid)
	text := before.Attributes
	changed := before.Clone()
	changed.Attributes = changed.Attributes.With(ttlv.TagContactInformation, "ops").With(ttlv.TagState, kmip.StateDeactivated)
	require.NoError(t, s.Update(t.Context(), changed))
	require.Equal(t, text, before.Attributes, "an object that was given out does not change")

	after := s.object(t, uid)
	require.Equal(t, kmip.StateDeactivated, after.State(Now))
	require.True(t, after.Attributes.Has(kmip.Attribute{Tag: ttlv.TagContactInformation, Value: "ops"}))
	s.requireEncrypts(t, after.Key)

	late := before.Clone()
	late.Attributes = late.Attributes.With(ttlv.TagContactInformation, "late")
	require.ErrorIs(t, s.Update(t.Context(), late), kmip.ErrConflict)
	require.False(t, s.object(t, uid).Attributes.Has(kmip.Attribute{Tag: ttlv.TagContactInformation, Value: "late"}))

	gone := after.Clone()
	gone.Attributes = gone.Attributes.Without(ttlv.TagContactInformation)
	require.NoError(t, s.Update(t.Context(), gone))
	require.False(t, s.object(t, uid).Attributes.Contains(ttlv.TagContactInformation))
}

// testUpdateRace has many callers add a tag to one object, each again and again until it is no conflict: none is lost.
func testUpdateRace(t *testing.T, s *suite) {
	uid := s.generate(t, "k").UniqueIdentifier
	words := []string{"a", "b", "c", "d", "e", "f"}
	var wg sync.WaitGroup
	for _, word := range words {
		wg.Go(func() {
			for {
				o, err := s.Object(t.Context(), uid)
				if err != nil {
					t.Errorf("looking up: %v", err)
					return
				}
				o = o.Clone()
				o.Attributes = append(o.Attributes, tag(word))
				if err := s.Update(t.Context(), o); err == nil {
					return
				} else if !errors.Is(err, kmip.ErrConflict) {
					t.Errorf("updating: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, word := range words {
		require.True(t, s.object(t, uid).Attributes.Has(tag(word)), word)
	}
}
