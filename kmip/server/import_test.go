package server

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// TestImportReplaces: Replace Existing takes the place of what the caller owns, destroyed or not, and of nothing else. KMIP 2.1 §6.1.25.
func TestImportReplaces(t *testing.T) {
	g := newRig(t, Limits{})
	alice, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V1_4)
	replace := true
	q := func(fill byte) *kmip.ImportRequest {
		return &kmip.ImportRequest{
			UniqueIdentifier: "k", ObjectType: kmip.ObjectTypeSymmetricKey, ReplaceExisting: &replace, Value: plainAES(bytes.Repeat([]byte{fill}, 32)),
			Attributes: kmip.Attributes{
				{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt},
				{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Hour)},
			},
		}
	}
	material := func(c *client.Client) byte {
		return must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}).SymmetricKey.KeyBlock.KeyValue.Material[0]
	}
	must[kmip.ImportResponse](t, alice, kmip.OperationImport, q(1)) // there is nothing to replace
	rights := []kmip.Operation{kmip.OperationGet, kmip.OperationDestroy}
	must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: "k", Grantee: "bob", Operations: rights})
	sealed := must[kmip.EncryptResponse](t, alice, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k", Data: []byte("x")})
	require.Equal(t, kmip.ResultReasonObjectAlreadyExists, reason(t, bob, kmip.OperationImport, q(9)), "not his, whatever he may do with it")
	require.Equal(t, byte(1), material(bob))

	must[kmip.ImportResponse](t, alice, kmip.OperationImport, q(2))
	require.Equal(t, byte(2), material(alice))
	require.Equal(t, kmip.ResultReasonItemNotFound, reason(t, bob, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}), "grants go with the object")
	require.Equal(t, kmip.ResultReasonCryptographicFailure, reason(t, alice, kmip.OperationDecrypt, &kmip.DecryptRequest{
		UniqueIdentifier: "k", Data: sealed.Data, IVCounterNonce: sealed.IVCounterNonce, AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag,
	}), "nothing computes with what was replaced")
	found := must[kmip.LocateResponse](t, alice, kmip.OperationLocate, &kmip.LocateRequest{}).UniqueIdentifier
	require.Equal(t, []kmip.UniqueIdentifier{"k"}, found)

	revoke := &kmip.RevokeRequest{UniqueIdentifier: "k", RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeSuperseded}}
	must[kmip.RevokeResponse](t, alice, kmip.OperationRevoke, revoke)
	must[kmip.DestroyResponse](t, alice, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "k"})
	again := q(3)
	again.ReplaceExisting = nil
	require.Equal(t, kmip.ResultReasonObjectAlreadyExists, reason(t, alice, kmip.OperationImport, again))
	must[kmip.ImportResponse](t, alice, kmip.OperationImport, q(3))
	require.Equal(t, byte(3), material(alice))
	require.Equal(t, []kmip.UniqueIdentifier{"k"}, must[kmip.LocateResponse](t, alice, kmip.OperationLocate, &kmip.LocateRequest{}).UniqueIdentifier)
}

// TestImportAttributes: an object that is exported, and imported elsewhere, has the attributes that it had. KMIP 2.1 §6.1.25.
func TestImportAttributes(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V1_4, ttlv.V2_1} {
		c := g.client("alice", v)
		made := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
		must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, &kmip.RevokeRequest{UniqueIdentifier: made, RevocationReason: kmip.RevocationReason{
			RevocationReasonCode: kmip.RevocationReasonCodeKeyCompromise, RevocationMessage: "lost",
		}})
		out := must[kmip.ExportResponse](t, c, kmip.OperationExport, &kmip.ExportRequest{UniqueIdentifier: made})
		before := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		given := out.Attributes.With(ttlv.TagInitialDate, before).With(ttlv.TagLastChangeDate, before)
		uid := kmip.UniqueIdentifier("copy " + v.String())
		must[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: uid, ObjectType: out.ObjectType, Attributes: given, Value: out.Value})
		have := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
		for _, a := range given {
			if a.Tag != ttlv.TagUniqueIdentifier && a.Tag != ttlv.TagShortUniqueIdentifier {
				require.True(t, have.Has(a), "%v: %v", a, a.Value)
			}
		}

		for _, wrong := range []kmip.Attributes{
			tag(ttlv.TagState, kmip.StateDestroyed), tag(ttlv.TagAlwaysSensitive, true), tag(ttlv.TagNeverExtractable, true),
			tag(ttlv.TagInitialDate, before).Plus(ttlv.TagInitialDate, before.Add(time.Second)),
		} {
			want := kmip.ResultReasonInvalidAttributeValue
			if len(wrong) > 1 {
				want = kmip.ResultReasonAttributeSingleValued
			}
			require.Equal(t, want.For(kmip.OperationImport, v), reason(t, c, kmip.OperationImport, &kmip.ImportRequest{UniqueIdentifier: "wrong", ObjectType: out.ObjectType, Attributes: wrong, Value: out.Value}))
		}
	}
}
