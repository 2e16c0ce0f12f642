package hsm

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"slices"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// A witness is a library that notes when material is in clear outside of the token.
type witness struct {
	cryptoki
	seen []string
}

func (w *witness) create(s session, t template) (handle, error) {
	w.seen = append(w.seen, "C_CreateObject")
	return w.cryptoki.create(s, t)
}

func (w *witness) attributes(s session, h handle, types []uint) (template, error) {
	for _, secret := range []uint{pkcs11.CKA_VALUE, pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1} {
		if slices.Contains(types, secret) {
			w.seen = append(w.seen, "a secret is read")
		}
	}
	return w.cryptoki.attributes(s, h, types)
}

// movable are attributes of a key that leaves its token, and not in clear.
func movable(a kmip.Attributes) kmip.Attributes {
	return a.With(ttlv.TagSensitive, true).With(ttlv.TagExtractable, true)
}

// carried gives a key out wrapped, and takes it in again under another name.
func carried(t *testing.T, h *HSM, name, as string, by *kmip.Object, p *kmip.CryptographicParameters) []byte {
	t.Helper()
	o, err := h.Object(t.Context(), uid(name))
	require.NoError(t, err)
	length := o.Attributes.Length()
	v, err := h.ValueWrapped(t.Context(), o, by, p)
	require.NoError(t, err)
	copied := &kmip.Object{UniqueIdentifier: uid(as), Attributes: movable(o.Attributes.With(ttlv.TagUniqueIdentifier, uid(as)))}
	require.NoError(t, h.RegisterWrapped(t.Context(), copied, v, by, p))
	o, err = h.Object(t.Context(), uid(as))
	require.NoError(t, err)
	require.Equal(t, length, o.Attributes.Length())
	return v.KeyBlock().KeyValue.Wrapped
}

// Keys leave a token and come into it wrapped: their material is nowhere in clear.
func TestCarry(t *testing.T) {
	h := open(t)
	kek, value := clearKey(t, h, "kek", 256, wrappingKey)
	require.NotNil(t, kek)
	by, err := h.Object(t.Context(), uid("kek"))
	require.NoError(t, err)
	target := aesObject("aes", 256)
	target.Attributes = movable(target.Attributes)
	require.NoError(t, h.Generate(t.Context(), target))
	mac := aesObject("mac", 256)
	mac.Attributes = movable(mac.Attributes.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmHMACSHA256))
	require.NoError(t, h.Generate(t.Context(), mac))
	for name, algorithm := range map[string]kmip.CryptographicAlgorithm{"rsa": kmip.CryptographicAlgorithmRSA, "ec": kmip.CryptographicAlgorithmECDSA} {
		private := &kmip.Object{UniqueIdentifier: uid(name), Attributes: movable(kmip.Attributes{}.With(ttlv.TagObjectType, kmip.ObjectTypePrivateKey).With(ttlv.TagCryptographicAlgorithm, algorithm))}
		public := &kmip.Object{UniqueIdentifier: uid(name + "_pk"), Attributes: kmip.Attributes{}.With(ttlv.TagObjectType, kmip.ObjectTypePublicKey).With(ttlv.TagCryptographicAlgorithm, algorithm)}
		require.NoError(t, h.GeneratePair(t.Context(), private, public))
	}
	w := &witness{cryptoki: h.modules[0].lib}
	h.modules[0].lib = w
	t.Cleanup(func() { h.modules[0].lib = w.cryptoki })
	cipher, err := aes.NewCipher(value)
	require.NoError(t, err)
	unwrap := map[kmip.BlockCipherMode]func([]byte) ([]byte, error){
		kmip.BlockCipherModeNISTKeyWrap:       func(b []byte) ([]byte, error) { return soft.Unwrap(cipher, b) },
		kmip.BlockCipherModeAESKeyWrapPadding: func(b []byte) ([]byte, error) { return soft.UnwrapPad(cipher, b) },
	}
	for m, name := range map[kmip.BlockCipherMode]string{kmip.BlockCipherModeNISTKeyWrap: "kw", kmip.BlockCipherModeAESKeyWrapPadding: "kwp"} {
		wrapped := carried(t, h, "aes", "aes"+name, by, mode(m, 0))
		material, err := unwrap[m](wrapped)
		require.NoError(t, err, "as the RFC has it")
		require.Len(t, material, 32)
		requireSameKey(t, h, "aes", "aes"+name)
		carried(t, h, "mac", "mac"+name, by, mode(m, 0))
		requireSameMAC(t, h, "mac", "mac"+name)
		for _, pair := range []string{"rsa", "ec"} {
			der, err := unwrap[m](carried(t, h, pair, pair+name, by, mode(m, 0)))
			require.NoError(t, err)
			_, err = x509.ParsePKCS8PrivateKey(der)
			require.NoError(t, err)
			private, err := h.Object(t.Context(), uid(pair+name))
			require.NoError(t, err)
			public, err := h.Object(t.Context(), uid(pair+"_pk"))
			require.NoError(t, err)
			signed, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("text")})
			require.NoError(t, err)
			requireVerdict(t, public.Key, nil, signed.SignatureData)
		}
	}
	require.Empty(t, w.seen)
}

func requireSameKey(t *testing.T, h *HSM, one, other string) {
	t.Helper()
	a, err := h.Object(t.Context(), uid(one))
	require.NoError(t, err)
	b, err := h.Object(t.Context(), uid(other))
	require.NoError(t, err)
	require.True(t, b.Attributes.Sensitive() && b.Attributes.Extractable())
	sealed, err := a.Key.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
	require.NoError(t, err)
	opened, err := b.Key.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce, AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag})
	require.NoError(t, err)
	require.Equal(t, "text", string(opened.Data))
}

func requireSameMAC(t *testing.T, h *HSM, one, other string) {
	t.Helper()
	var macs [2][]byte
	for i, name := range []string{one, other} {
		o, err := h.Object(t.Context(), uid(name))
		require.NoError(t, err)
		m, err := o.Key.MAC(t.Context(), &kmip.MACRequest{Data: []byte("text")})
		require.NoError(t, err)
		macs[i] = m.MACData
	}
	require.Equal(t, macs[0], macs[1])
}

// A pair that was made for wrapping carries symmetric keys by OAEP, with the hashes that the token has there.
func TestCarryByOAEP(t *testing.T) {
	h := open(t)
	half := func(name string, kind kmip.ObjectType, mask kmip.CryptographicUsageMask) *kmip.Object {
		return &kmip.Object{UniqueIdentifier: uid(name), Attributes: kmip.Attributes{}.With(ttlv.TagObjectType, kind).
			With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmRSA).With(ttlv.TagCryptographicUsageMask, mask)}
	}
	require.NoError(t, h.GeneratePair(t.Context(), half("pair", kmip.ObjectTypePrivateKey, kmip.CryptographicUsageMaskUnwrapKey), half("pair_pk", kmip.ObjectTypePublicKey, kmip.CryptographicUsageMaskWrapKey)))
	private, public, _ := halves(t, h, "pair")
	target := aesObject("k", 256)
	target.Attributes = movable(target.Attributes)
	require.NoError(t, h.Generate(t.Context(), target))
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	proof := h.slots[4].conn.Load().proof
	for row, d := range digests {
		p := &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: d.name}
		v, err := h.ValueWrapped(t.Context(), o, public, p)
		if !proof.wrapsOAEP[row] {
			require.ErrorAs(t, err, new(*kmip.CannotCarry))
			require.ErrorContains(t, err, "does not wrap symmetric keys by RSA OAEP with "+d.name.String())
			continue
		}
		require.NoError(t, err)
		copied := aesObject("k"+d.name.String(), 256)
		copied.Attributes = movable(copied.Attributes)
		require.NoError(t, h.RegisterWrapped(t.Context(), copied, v, private, p))
		requireSameKey(t, h, "k", "k"+d.name.String())
	}
	require.True(t, proof.wrapsOAEP[3], "SHA-1")

	// Material of the client's, sealed with the public key.
	pub, err := h.Value(t.Context(), public)
	require.NoError(t, err)
	parsed, err := x509.ParsePKIXPublicKey(pub.KeyBlock().KeyValue.Material)
	require.NoError(t, err)
	sealed, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, parsed.(*rsa.PublicKey), make([]byte, 16), nil)
	require.NoError(t, err)
	theirs := wrappedValue(&object{class: pkcs11.CKO_SECRET_KEY}, aesObject("theirs", 128).Attributes, sealed)
	require.NoError(t, h.RegisterWrapped(t.Context(), aesObject("theirs", 128), theirs, private, &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA1}))
	require.NoError(t, encrypts(t.Context(), h, "theirs"))
}

// What a token cannot carry it does not, and says why; what fails leaves nothing behind.
func TestCarryRefuses(t *testing.T) {
	h := open(t)
	clearKey(t, h, "kek", 256, wrappingKey)
	by, data := aesKeyOf(t, h, "data"), aesKeyOf(t, h, "stays")
	kek, err := h.Object(t.Context(), uid("kek"))
	require.NoError(t, err)
	target := aesObject("k", 256)
	target.Attributes = movable(target.Attributes)
	require.NoError(t, h.Generate(t.Context(), target))
	o, err := h.Object(t.Context(), uid("k"))
	require.NoError(t, err)
	kw := mode(kmip.BlockCipherModeNISTKeyWrap, 0)
	for name, c := range map[string]struct {
		o, by *kmip.Object
		p     *kmip.CryptographicParameters
		text  string
	}{
		"not extractable":   {data, kek, kw, "is not extractable"},
		"by a data key":     {o, by, kw, "does not wrap in the token"},
		"in mode GCM":       {o, kek, mode(kmip.BlockCipherModeGCM, 0), "not GCM"},
		"by a database key": {o, &kmip.Object{UniqueIdentifier: "database"}, kw, "no key of the same token"},
		"of the database":   {&kmip.Object{UniqueIdentifier: "database"}, kek, kw, "is not in a token"},
	} {
		_, err := h.ValueWrapped(t.Context(), c.o, c.by, c.p)
		require.ErrorContains(t, err, c.text, name)
	}
	v, err := h.ValueWrapped(t.Context(), o, kek, kw)
	require.NoError(t, err)
	require.ErrorIs(t, h.RegisterWrapped(t.Context(), target, v, kek, kw), kmip.ErrExists)
	short := aesObject("short", 128)
	require.ErrorContains(t, h.RegisterWrapped(t.Context(), short, v, kek, kw), "has 256 bits at most, and the Cryptographic Length says 128")
	v.KeyBlock().KeyValue.Wrapped[9] ^= 1
	require.EqualError(t, h.RegisterWrapped(t.Context(), aesObject("broken", 256), v, kek, kw), "decryption failed")
	found, err := h.Locate(t.Context(), &kmip.Search{Admin: true})
	require.NoError(t, err)
	require.Len(t, found.Objects, 4)
}
