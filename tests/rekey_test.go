package tests

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestReKeyInToken replaces keys in a token: the new ones are named by the request, and made by administrators alone.
func TestReKeyInToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	title := kmip.Name{NameValue: "payments", NameType: kmip.NameTypeUninterpretedTextString}
	create(t, admin, aes("hsm::4::first").With(ttlv.TagName, title))
	old, err := encrypt(t, admin, "hsm::4::first", []byte("before"))
	require.NoError(t, err)

	e := refusal(t, perform(t, admin, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "hsm::4::first", Attributes: named("in-the-database")}))
	require.Equal(t, kmip.ResultReasonInvalidField, e.Reason)

	q := &kmip.ReKeyRequest{UniqueIdentifier: "hsm::4::first", Attributes: named("hsm::4::second")}
	grant(t, admin, "hsm::4::first", "bob", kmip.OperationReKey)
	require.Equal(t, kmip.ResultReasonPermissionDenied, refusal(t, perform(t, bob, kmip.OperationReKey, q)).Reason)
	made := do[kmip.ReKeyResponse](t, admin, kmip.OperationReKey, q)
	require.Equal(t, kmip.UniqueIdentifier("hsm::4::second"), made.UniqueIdentifier)
	require.Contains(t, s.tool("-O"), "second")

	// Without a name it gets one; its dates move by the offset (KMIP 2.1 table 303).
	later := ttlv.Interval(3600)
	create(t, admin, aes("hsm::4::dated").With(ttlv.TagDeactivationDate, born.AddDate(40, 0, 0)))
	for _, want := range []string{"hsm::4::dated-2", "hsm::4::dated-3"} {
		old := strings.Replace(strings.Replace(want, "-2", "", 1), "-3", "-2", 1)
		again := do[kmip.ReKeyResponse](t, admin, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: kmip.UniqueIdentifier(old), Offset: &later})
		require.Equal(t, kmip.UniqueIdentifier(want), again.UniqueIdentifier)
	}
	dated := do[kmip.GetAttributesResponse](t, admin, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "hsm::4::dated-2"}).Attributes
	require.Equal(t, kmip.StatePreActive, dated.State(time.Now()))
	activation, _ := kmip.Get[time.Time](dated, ttlv.TagActivationDate)
	require.WithinDuration(t, time.Now().Add(time.Hour), activation, time.Minute)
	deactivation, _ := kmip.Get[time.Time](dated, ttlv.TagDeactivationDate)
	require.Equal(t, born.AddDate(40, 0, 0).Add(activation.Sub(born)).Unix(), deactivation.Unix())
	works(t, admin, "hsm::4::second")
	clear, err := decrypt(t, admin, old)
	require.NoError(t, err)
	require.Equal(t, []byte("before"), clear, "the replaced key stays as it is")

	a := do[kmip.GetAttributesResponse](t, admin, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "hsm::4::second"}).Attributes
	require.Equal(t, []kmip.Name{title}, kmip.All[kmip.Name](a, ttlv.TagName))
	require.True(t, a.Sensitive())
	require.False(t, a.Extractable())
	require.Equal(t, []kmip.Link{{LinkType: kmip.LinkTypeReplacedObjectLink, LinkedObjectIdentifier: "hsm::4::first"}}, kmip.All[kmip.Link](a, ttlv.TagLink))
	a = do[kmip.GetAttributesResponse](t, admin, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "hsm::4::first"}).Attributes
	require.Empty(t, kmip.All[kmip.Name](a, ttlv.TagName))
	require.Equal(t, []kmip.Link{{LinkType: kmip.LinkTypeReplacementObjectLink, LinkedObjectIdentifier: "hsm::4::second"}}, kmip.All[kmip.Link](a, ttlv.TagLink))

	private, _ := createPair(t, admin, usable("hsm::4::pair", kmip.CryptographicAlgorithmRSA, 2048))
	pair := do[kmip.ReKeyKeyPairResponse](t, admin, kmip.OperationReKeyKeyPair, &kmip.ReKeyKeyPairRequest{
		PrivateKeyUniqueIdentifier: kmip.UniqueIdentifier(private), PrivateKeyAttributes: named("hsm::4::next"),
	})
	require.Equal(t, kmip.UniqueIdentifier("hsm::4::next_pk"), pair.PublicKeyUniqueIdentifier)
	signed := do[kmip.SignResponse](t, admin, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: pair.PrivateKeyUniqueIdentifier, CryptographicParameters: rsaSHA256, Data: []byte("data")})
	verified := do[kmip.SignatureVerifyResponse](t, admin, kmip.OperationSignatureVerify, &kmip.SignatureVerifyRequest{
		UniqueIdentifier: pair.PublicKeyUniqueIdentifier, CryptographicParameters: rsaSHA256, Data: []byte("data"), SignatureData: signed.SignatureData,
	})
	require.Equal(t, kmip.ValidityIndicatorValid, verified.ValidityIndicator)
}

// TestDeriveInToken: a key in a token encrypts what is derived of it, and gives no other method its material.
func TestDeriveInToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::base").With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt|kmip.CryptographicUsageMaskDeriveKey))
	data := []byte("thirty-two bytes to be encrypted")
	q := &kmip.DeriveKeyRequest{
		ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{"hsm::4::base"}, DerivationMethod: kmip.DerivationMethodENCRYPT,
		DerivationParameters: kmip.DerivationParameters{CryptographicParameters: cbc, InitializationVector: make([]byte, 16), DerivationData: [][]byte{data}},
		Attributes:           aes("derived").With(ttlv.TagSensitive, false).With(ttlv.TagExtractable, true),
	}
	do[kmip.DeriveKeyResponse](t, admin, kmip.OperationDeriveKey, q)
	want := do[kmip.EncryptResponse](t, admin, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "hsm::4::base", CryptographicParameters: cbc, IVCounterNonce: make([]byte, 16), Data: data})
	got := do[kmip.GetResponse](t, admin, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "derived"})
	require.Equal(t, want.Data, got.SymmetricKey.KeyBlock.KeyValue.Material)

	q.DerivationMethod, q.DerivationParameters, q.Attributes = kmip.DerivationMethodHKDF, kmip.DerivationParameters{}, aes("other")
	require.Equal(t, kmip.ResultReasonOperationNotSupported, refusal(t, perform(t, admin, kmip.OperationDeriveKey, q)).Reason)
	split := &kmip.CreateSplitKeyRequest{ObjectType: kmip.ObjectTypeSplitKey, UniqueIdentifier: "hsm::4::base", SplitKeyParts: 2, SplitKeyThreshold: 2, SplitKeyMethod: kmip.SplitKeyMethodXOR}
	require.Equal(t, kmip.ResultReasonOperationNotSupported, refusal(t, perform(t, admin, kmip.OperationCreateSplitKey, split)).Reason)
}
