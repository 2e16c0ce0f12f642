package hsm

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// wrappingKeys makes wrapping keys in a token.
func wrappingKeys(t *testing.T, h *HSM, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := h.MakeKey(t.Context(), 4, NewKey{Label: name, Purpose: PurposeWrapping})
		require.NoError(t, err)
	}
}

func rsaAttributes() kmip.Attributes {
	return kmip.Attributes(nil).With(tagAlgorithm, kmip.CryptographicAlgorithmRSA).With(tagLength, int32(2048))
}

func ecAttributes(c kmip.RecommendedCurve) kmip.Attributes {
	return kmip.Attributes(nil).With(tagAlgorithm, kmip.CryptographicAlgorithmECDSA).
		With(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{RecommendedCurve: c})
}

// objectsIn counts the objects that a token keeps.
func objectsIn(t *testing.T, h *HSM) int {
	t.Helper()
	keys, err := h.Keys(t.Context(), 4)
	require.NoError(t, err)
	return len(keys)
}

// sessionObjects counts all objects that a session sees, also those that go with a session.
func sessionObjects(t *testing.T, h *HSM) (n int) {
	t.Helper()
	require.NoError(t, h.slots[4].do(t.Context(), func(c *connection, s session) error {
		all, err := c.module.lib.find(s, template{{pkcs11.CKA_TOKEN, flag(false)}}, 1000)
		n = len(all)
		return err
	}))
	return n
}

func TestX66WrappedPairs(t *testing.T) {
	h := open(t)
	wrappingKeys(t, h, "wrap")
	for name, a := range map[string]kmip.Attributes{
		"RSA": rsaAttributes(), "P-256": ecAttributes(kmip.RecommendedCurveP256),
		"Ed25519": kmip.Attributes(nil).With(tagAlgorithm, kmip.CryptographicAlgorithmEd25519), "P-384": ecAttributes(kmip.RecommendedCurveP384), "P-521": ecAttributes(kmip.RecommendedCurveP521),
	} {
		t.Run(name, func(t *testing.T) {
			kept, half, err := h.GeneratePairWrapped(t.Context(), uid("wrap"), a, a)
			if name == "Ed25519" && h.slots[4].conn.Load().proof.wraps[wrapEdwards].row == 0 {
				require.ErrorContains(t, err, "does not wrap and unwrap keys of this kind") // SoftHSM: CKR_KEY_NOT_WRAPPABLE
				require.Zero(t, sessionObjects(t, h))
				return
			}
			require.NoError(t, err)
			require.NotEmpty(t, half.PublicKey.KeyBlock.KeyValue.Material)
			w, err := parseWrapped(kept)
			require.NoError(t, err)
			require.Equal(t, half.PublicKey.KeyBlock.KeyValue.Material, w.spki)
			require.Equal(t, 1, objectsIn(t, h))

			k, err := h.OpenWrapped(t.Context(), uid("wrap"), kept, a)
			require.NoError(t, err)
			defer k.Close()
			data := []byte("to be signed")
			signed, err := k.Sign(t.Context(), &kmip.SignRequest{Data: data})
			require.NoError(t, err)
			v, err := k.(*wrappedKey).public.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{Data: data, SignatureData: signed.SignatureData})
			require.NoError(t, err)
			require.Equal(t, kmip.ValidityIndicatorValid, v.ValidityIndicator)
			if name == "RSA" {
				sealed, err := k.(*wrappedKey).public.Encrypt(t.Context(), &kmip.EncryptRequest{Data: data})
				require.NoError(t, err)
				opened, err := k.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data})
				require.NoError(t, err)
				require.Equal(t, data, opened.Data)
			}
			require.Zero(t, sessionObjects(t, h))
		})
	}
	require.Equal(t, 1, objectsIn(t, h))
}

func TestWrappedSecrets(t *testing.T) {
	h := open(t)
	wrappingKeys(t, h, "wrap")
	a := aesObject("", 256).Attributes
	kept, bits, err := h.GenerateWrapped(t.Context(), uid("wrap"), a)
	require.NoError(t, err)
	require.Equal(t, int32(256), bits)
	k, err := h.OpenWrapped(t.Context(), uid("wrap"), kept, a)
	require.NoError(t, err)
	data := []byte("a message")
	sealed, err := k.Encrypt(t.Context(), &kmip.EncryptRequest{Data: data})
	require.NoError(t, err)
	opened, err := k.Decrypt(t.Context(), &kmip.DecryptRequest{Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce, AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag})
	require.NoError(t, err)
	require.Equal(t, data, opened.Data)
	for _, m := range []kmip.BlockCipherMode{kmip.BlockCipherModeNISTKeyWrap, kmip.BlockCipherModeAESKeyWrapPadding} {
		material := make([]byte, 32)
		rand.Read(material)
		wrapped, err := k.Wrap(t.Context(), mode(m, 0), material)
		require.NoError(t, err)
		back, err := k.Unwrap(t.Context(), mode(m, 0), wrapped)
		require.NoError(t, err)
		require.Equal(t, material, back)
	}

	a = kmip.Attributes(nil).With(tagAlgorithm, kmip.CryptographicAlgorithmHMACSHA256)
	kept, bits, err = h.GenerateWrapped(t.Context(), uid("wrap"), a)
	require.NoError(t, err)
	require.Equal(t, int32(256), bits)
	k, err = h.OpenWrapped(t.Context(), uid("wrap"), kept, a)
	require.NoError(t, err)
	one, err := k.MAC(t.Context(), &kmip.MACRequest{Data: data})
	require.NoError(t, err)
	two, err := k.MAC(t.Context(), &kmip.MACRequest{Data: data})
	require.NoError(t, err)
	require.Equal(t, one.MACData, two.MACData)
	require.Zero(t, sessionObjects(t, h))

	// SoftHSM pads secrets of other lengths wrongly.
	_, _, err = h.GenerateWrapped(t.Context(), uid("wrap"), a.With(tagLength, int32(264)))
	require.ErrorContains(t, err, "multiples of 64 bits")
	require.Zero(t, sessionObjects(t, h))
}

// A blob or a public key that was exchanged gives no signature, also where the mechanism has integrity and both blobs are good.
func TestWrappedRefusesForeign(t *testing.T) {
	h := open(t)
	wrappingKeys(t, h, "wrap")
	for _, a := range []kmip.Attributes{rsaAttributes(), ecAttributes(kmip.RecommendedCurveP256)} {
		var w [2]*wrapped
		for i := range w {
			kept, _, err := h.GeneratePairWrapped(t.Context(), uid("wrap"), a, a)
			require.NoError(t, err)
			w[i], err = parseWrapped(kept)
			require.NoError(t, err)
		}
		sign := func(w *wrapped) error {
			kept, err := w.bytes()
			require.NoError(t, err)
			k, err := h.OpenWrapped(t.Context(), uid("wrap"), kept, a)
			require.NoError(t, err)
			defer k.Close()
			_, err = k.Sign(t.Context(), &kmip.SignRequest{Data: []byte("x")})
			if err != nil {
				_, err2 := k.Decrypt(t.Context(), &kmip.DecryptRequest{Data: make([]byte, 256)})
				require.Error(t, err2)
				_, err2 = h.Rewrap(t.Context(), uid("wrap"), uid("wrap"), kept)
				require.Error(t, err2)
			}
			return err
		}
		require.NoError(t, sign(w[0]))
		swapped := *w[0]
		swapped.blob = w[1].blob
		require.ErrorIs(t, sign(&swapped), errForeign)
		swapped = *w[0]
		swapped.spki = w[1].spki
		require.ErrorIs(t, sign(&swapped), errForeign)
		swapped = *w[0]
		swapped.blob = bytes.Clone(swapped.blob)
		swapped.blob[20] ^= 1
		require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(sign(&swapped)))
		require.Zero(t, sessionObjects(t, h))
	}
}

func TestWrappingKeyRefused(t *testing.T) {
	h := open(t)
	require.NoError(t, h.Generate(t.Context(), aesObject("both", 256)))
	_, _, err := h.GenerateWrapped(t.Context(), uid("both"), aesObject("", 256).Attributes)
	require.ErrorContains(t, err, "may encrypt or decrypt")
	_, _, err = h.GenerateWrapped(t.Context(), uid("none"), aesObject("", 256).Attributes)
	require.Equal(t, kmip.ResultReasonWrappingObjectNotFound, kmip.ReasonOf(err))
	_, _, err = h.GenerateWrapped(t.Context(), "elsewhere", aesObject("", 256).Attributes)
	require.Equal(t, kmip.ResultReasonInvalidField, kmip.ReasonOf(err))
}

// A wrapping key that was revoked takes no more keys; what is under it is used, and moved to another one.
func TestWrappingKeyRevoked(t *testing.T) {
	h := open(t)
	wrappingKeys(t, h, "old", "new")
	a := aesObject("", 256).Attributes
	kept, _, err := h.GenerateWrapped(t.Context(), uid("old"), a)
	require.NoError(t, err)
	for _, state := range []kmip.State{kmip.StateDeactivated, kmip.StateCompromised} {
		o, err := h.Object(t.Context(), uid("old"))
		require.NoError(t, err)
		o = o.Clone()
		o.Attributes = o.Attributes.With(ttlv.TagState, state)
		require.NoError(t, h.Update(t.Context(), o))
		_, _, err = h.GenerateWrapped(t.Context(), uid("old"), a)
		require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, kmip.ReasonOf(err))
		next, err := h.Rewrap(t.Context(), uid("old"), uid("new"), kept)
		require.NoError(t, err)
		_, err = h.Rewrap(t.Context(), uid("new"), uid("old"), next)
		require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, kmip.ReasonOf(err))
		k, err := h.OpenWrapped(t.Context(), uid("old"), kept, a)
		require.NoError(t, err)
		_, err = k.Encrypt(t.Context(), &kmip.EncryptRequest{Data: []byte("text")})
		require.NoError(t, err)
		k.Close()
	}
}

func TestRewrap(t *testing.T) {
	h := open(t)
	wrappingKeys(t, h, "a", "b")
	a := rsaAttributes()
	kept, _, err := h.GeneratePairWrapped(t.Context(), uid("a"), a, a)
	require.NoError(t, err)
	next, err := h.Rewrap(t.Context(), uid("a"), uid("b"), kept)
	require.NoError(t, err)
	k, err := h.OpenWrapped(t.Context(), uid("b"), next, a)
	require.NoError(t, err)
	_, err = k.Sign(t.Context(), &kmip.SignRequest{Data: []byte("x")})
	require.NoError(t, err)
	_, err = h.Rewrap(t.Context(), uid("a"), uid("b"), next)
	require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err), "%v", err)
	require.Zero(t, sessionObjects(t, h))

	for _, a := range []kmip.Attributes{aesObject("", 128).Attributes, kmip.Attributes(nil).With(tagAlgorithm, kmip.CryptographicAlgorithmHMACSHA512)} {
		kept, _, err := h.GenerateWrapped(t.Context(), uid("a"), a)
		require.NoError(t, err)
		_, err = h.Rewrap(t.Context(), uid("a"), uid("b"), kept)
		require.NoError(t, err)
	}
	require.Equal(t, 2, objectsIn(t, h))
}

func FuzzWrapped(f *testing.F) {
	for _, w := range []*wrapped{
		{class: pkcs11.CKO_SECRET_KEY, kind: pkcs11.CKK_AES, ckm: pkcs11.CKM_AES_KEY_WRAP_PAD, bits: 256, blob: make([]byte, 40)},
		{class: pkcs11.CKO_PRIVATE_KEY, kind: pkcs11.CKK_EC, ckm: pkcs11.CKM_AES_CBC_PAD, bits: 256, iv: make([]byte, 16), spki: []byte{0x30}, blob: []byte{1, 2}},
	} {
		b, err := w.bytes()
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := parseWrapped(b)
		if err != nil {
			return
		}
		again, err := w.bytes()
		require.NoError(t, err)
		require.Equal(t, b, again)
		if _, err := w.object(); err == nil {
			_, _ = w.mechanism()
		}
	})
}
