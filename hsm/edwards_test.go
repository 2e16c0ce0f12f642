package hsm

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/asn1"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func TestEd25519(t *testing.T) {
	h := open(t)
	makePair(t, h, "k", kmip.CryptographicAlgorithmEd25519, 256)
	private, public, key := halves(t, h, "k")
	require.Equal(t, kmip.CryptographicAlgorithmEd25519, private.Attributes.Algorithm())
	require.EqualValues(t, 256, private.Attributes.Length())
	require.EqualValues(t, 256, public.Attributes.Length())
	for _, data := range []string{"", "text", string(make([]byte, 5000))} {
		s, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte(data)})
		require.NoError(t, err, len(data))
		require.True(t, ed25519.Verify(key.(ed25519.PublicKey), []byte(data), s.SignatureData))
		for text, want := range map[string]kmip.ValidityIndicator{data: kmip.ValidityIndicatorValid, data + "x": kmip.ValidityIndicatorInvalid} {
			v, err := public.Key.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{Data: []byte(text), SignatureData: s.SignatureData})
			require.NoError(t, err)
			require.Equal(t, want, v.ValidityIndicator)
		}
	}
	for _, r := range []*kmip.SignRequest{
		{},
		{DigestedData: make([]byte, 32)},
		{Data: []byte("text"), CryptographicParameters: &kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}},
		{Data: []byte("text"), CryptographicParameters: &kmip.CryptographicParameters{CryptographicAlgorithm: kmip.CryptographicAlgorithmECDSA}},
	} {
		_, err := private.Key.Sign(t.Context(), r)
		require.Error(t, err)
	}
	_, err := h.Value(t.Context(), private)
	require.Equal(t, kmip.ResultReasonSensitive, kmip.ReasonOf(err))
	require.Contains(t, pkcs11Tool(t, tokenOf(h), "-O", "--type", "privkey"), "never extractable")
}

// The second test of RFC 8032 §7.1, with a key that comes from outside.
func TestEd25519Registered(t *testing.T) {
	h := open(t)
	key := ed25519.NewKeyFromSeed(unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
	want := unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	described := func(name string, t kmip.ObjectType) *kmip.Object {
		return &kmip.Object{UniqueIdentifier: uid(name), Attributes: kmip.Attributes{{Tag: ttlv.TagObjectType, Value: t},
			{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmEd25519}, {Tag: ttlv.TagSensitive, Value: false},
			{Tag: ttlv.TagState, Value: kmip.StateActive}}}
	}
	plain := func(f kmip.KeyFormatType, material []byte) *kmip.PlainKey {
		return &kmip.PlainKey{KeyBlock: kmip.KeyBlock{KeyFormatType: f, KeyValue: &kmip.KeyValue{Material: material}}}
	}
	require.NoError(t, h.Register(t.Context(), described("k", kmip.ObjectTypePrivateKey), &kmip.Value{PrivateKey: plain(kmip.KeyFormatTypePKCS8, der)}))
	require.NoError(t, h.Register(t.Context(), described("k_pk", kmip.ObjectTypePublicKey), &kmip.Value{PublicKey: plain(kmip.KeyFormatTypeX509, spki)}))
	private, public, read := halves(t, h, "k")
	require.True(t, key.Public().(ed25519.PublicKey).Equal(read))
	s, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte{0x72}})
	require.NoError(t, err)
	require.Equal(t, want, s.SignatureData)
	v, err := public.Key.SignatureVerify(t.Context(), &kmip.SignatureVerifyRequest{Data: []byte{0x72}, SignatureData: want})
	require.NoError(t, err)
	require.Equal(t, kmip.ValidityIndicatorValid, v.ValidityIndicator)
	back, err := h.Value(t.Context(), private)
	require.NoError(t, err)
	require.Equal(t, der, back.PrivateKey.KeyBlock.KeyValue.Material)
}

// A token that does not do it says so before anything is made.
func TestEd25519Refused(t *testing.T) {
	h := open(t)
	c := h.slots[4].conn.Load()
	without := *c.proof
	without.edwards = 0
	c.proof = &without
	_, err := h.MakeKey(t.Context(), 4, NewKey{Label: "k", Algorithm: "ed25519", Purpose: PurposeData})
	require.EqualError(t, err, "slot 4: the token does not do Ed25519 as the standard has it")
	require.Equal(t, kmip.ResultReasonOperationNotSupported, kmip.ReasonOf(err))
}

// Tokens tell the point in one of three forms.
func TestEdwardsPoint(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	octets, err := asn1.Marshal([]byte(key))
	require.NoError(t, err)
	bits, err := asn1.Marshal(asn1.BitString{Bytes: key, BitLength: 8 * len(key)})
	require.NoError(t, err)
	for _, form := range [][]byte{key, octets, bits} {
		require.True(t, key.Equal(edwardsPoint(form)), "%x", form)
	}
	for _, form := range [][]byte{nil, key[:31], octets[:33], append(octets, 0)} {
		require.Nil(t, edwardsPoint(form), "%x", form)
	}
}
