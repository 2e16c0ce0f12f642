package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/authz"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// attributesOf are all the attributes that a client sees of an object.
func attributesOf(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier) kmip.Attributes {
	t.Helper()
	return must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
}

// linksOf are the identifiers that an object is linked to in one way.
func linksOf(a kmip.Attributes, t kmip.LinkType) (uids []kmip.UniqueIdentifier) {
	for _, l := range kmip.All[kmip.Link](a, ttlv.TagLink) {
		if l.LinkType == t {
			uids = append(uids, l.LinkedObjectIdentifier)
		}
	}
	return uids
}

func date(t *testing.T, a kmip.Attributes, tag ttlv.Tag) time.Time {
	t.Helper()
	d, ok := kmip.Get[time.Time](a, tag)
	require.True(t, ok, "%v is missing", tag)
	return d
}

func name(s string) kmip.Name {
	return kmip.Name{NameValue: s, NameType: kmip.NameTypeUninterpretedTextString}
}

// TestReKey replaces a key: what the replacement has from the key, what it has new, and what the key loses.
func TestReKey(t *testing.T) {
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			g := newRig(t, Limits{})
			c := g.client("alice", v)
			q := aes("old")
			q.Attributes = q.Attributes.Plus(ttlv.TagName, name("one")).Plus(ttlv.TagName, name("two")).
				With(ttlv.TagContactInformation, "ops").With(ttlv.TagDeactivationDate, time.Now().Add(1000*time.Second)).
				Plus(ttlv.TagLink, kmip.Link{LinkType: kmip.LinkTypeCertificateLink, LinkedObjectIdentifier: "parent"})
			must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
			before := attributesOf(t, c, "old")
			material := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "old"}).SymmetricKey.KeyBlock.KeyValue.Material

			offset := ttlv.Interval(500)
			made := must[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "old", Offset: &offset,
				Attributes: kmip.Attributes{}.With(ttlv.TagContactInformation, "others").Plus(ttlv.TagName, name("three"))})
			require.NotEqual(t, kmip.UniqueIdentifier("old"), made.UniqueIdentifier)
			old, replacement := attributesOf(t, c, "old"), attributesOf(t, c, made.UniqueIdentifier)

			require.Empty(t, kmip.All[kmip.Name](old, ttlv.TagName))
			require.Equal(t, []kmip.Name{name("one"), name("two"), name("three")}, kmip.All[kmip.Name](replacement, ttlv.TagName))
			require.Equal(t, []kmip.UniqueIdentifier{made.UniqueIdentifier}, linksOf(old, kmip.LinkTypeReplacementObjectLink))
			require.Equal(t, []kmip.UniqueIdentifier{"parent"}, linksOf(old, kmip.LinkTypeCertificateLink))
			require.Equal(t, []kmip.UniqueIdentifier{"old"}, linksOf(replacement, kmip.LinkTypeReplacedObjectLink))
			require.Empty(t, linksOf(replacement, kmip.LinkTypeCertificateLink))
			contact, _ := kmip.Get[string](replacement, ttlv.TagContactInformation)
			require.Equal(t, "others", contact)
			require.Equal(t, before.UsageMask(), replacement.UsageMask())
			require.Equal(t, int32(256), replacement.Length())

			activation := date(t, replacement, ttlv.TagActivationDate)
			require.Equal(t, 500*time.Second, activation.Sub(date(t, replacement, ttlv.TagInitialDate)))
			life := date(t, before, ttlv.TagDeactivationDate).Sub(date(t, before, ttlv.TagActivationDate))
			require.Equal(t, life, date(t, replacement, ttlv.TagDeactivationDate).Sub(activation))
			state, _ := kmip.Get[kmip.State](replacement, ttlv.TagState)
			require.Equal(t, kmip.StatePreActive, state)
			state, _ = kmip.Get[kmip.State](old, ttlv.TagState)
			require.Equal(t, kmip.StateActive, state, "the state of the replaced key stays")
			fresh := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier}).SymmetricKey.KeyBlock.KeyValue.Material
			require.Len(t, fresh, 32)
			require.NotEqual(t, material, fresh)

			// Again, without an offset: the dates are those of the key, and so the replacement is Active.
			again := must[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "old"})
			second := attributesOf(t, c, again.UniqueIdentifier)
			require.Empty(t, kmip.All[kmip.Name](second, ttlv.TagName))
			require.True(t, date(t, before, ttlv.TagActivationDate).Equal(date(t, second, ttlv.TagActivationDate)))
			require.Equal(t, []kmip.UniqueIdentifier{again.UniqueIdentifier}, linksOf(attributesOf(t, c, "old"), kmip.LinkTypeReplacementObjectLink))
		})
	}
}

// TestReKeyRefused has what Re-key does not do.
func TestReKeyRefused(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	q := aes("k")
	q.Attributes = q.Attributes.With(ttlv.TagSensitive, true)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("kek"))
	pair := must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: kmip.Attributes{}.
		With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmECDSA).With(ttlv.TagCryptographicLength, int32(256))})
	for _, x := range []struct {
		uid  kmip.UniqueIdentifier
		with kmip.Attributes
		why  kmip.ResultReason
	}{
		{"none", nil, kmip.ResultReasonObjectNotFound},
		{pair.PrivateKeyUniqueIdentifier, nil, kmip.ResultReasonInvalidObjectType},
		{"k", kmip.Attributes{}.With(ttlv.TagSensitive, false), kmip.ResultReasonAttributeReadOnly},
		{"k", kmip.Attributes{}.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, "kek"), kmip.ResultReasonAttributeReadOnly},
		{"k", kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "hsm::1::k"), kmip.ResultReasonInvalidField},
		{"k", kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "kek"), kmip.ResultReasonObjectAlreadyExists},
		{"k", kmip.Attributes{}.With(ttlv.TagCryptographicLength, int32(100)), kmip.ResultReasonInvalidField},
		{"k", kmip.Attributes{}.With(ttlv.TagInitialDate, time.Now()), kmip.ResultReasonAttributeReadOnly},
	} {
		require.Equal(t, x.why, reason(t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: x.uid, Attributes: x.with}), "%v %v", x.uid, x.with)
	}
	require.Empty(t, linksOf(attributesOf(t, c, "k"), kmip.LinkTypeReplacementObjectLink))

	revoke := &kmip.RevokeRequest{UniqueIdentifier: "k", RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeUnspecified}}
	must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, revoke)
	must[kmip.DestroyResponse](t, c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "k"})
	require.Equal(t, kmip.ResultReasonObjectDestroyed, reason(t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "k"}))
}

// TestReKeyRights: who was granted Re-key replaces the key for its owner, and gets nothing else.
func TestReKeyRights(t *testing.T) {
	g := newRig(t, Limits{})
	alice, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("k"))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "k"}))
	must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: "k", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationReKey}})
	made := must[kmip.ReKeyResponse](t, bob, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "k"})
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier}))
	must[kmip.GetResponse](t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier})
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: made.UniqueIdentifier}))

	g.server.Authority.Store(&authz.Table{Create: []string{"alice"}})
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, bob, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "k"}))
}

// TestReKeyWrapped: the replacement of a key that is wrapped at rest is wrapped by the same key, which takes the right to it.
func TestReKeyWrapped(t *testing.T) {
	g := newRig(t, Limits{})
	alice, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("kek"))
	q := aes("k")
	q.Attributes = q.Attributes.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, "kek")
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, q)
	made := must[kmip.ReKeyResponse](t, alice, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "k"})
	wrapping, _ := attributesOf(t, alice, made.UniqueIdentifier).Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID)
	require.Equal(t, "kek", wrapping)
	protection, _ := attributesOf(t, alice, made.UniqueIdentifier).Vendor(kmip.VendorServer, kmip.AttributeProtection)
	require.Equal(t, kmip.ProtectionHSMProtected, protection)

	must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: "k", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationReKey}})
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "k"}))
}

// TestReKeyKeyPair replaces a pair, by its private half.
func TestReKeyKeyPair(t *testing.T) {
	for _, v := range []ttlv.Version{ttlv.V1_1, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			g := newRig(t, Limits{})
			c := g.client("alice", v)
			must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
				CommonAttributes: kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmECDSA).
					With(ttlv.TagCryptographicLength, int32(384)).With(ttlv.TagActivationDate, time.Now().Add(-time.Minute)),
				PrivateKeyAttributes: kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "p").With(ttlv.TagName, name("secret half")),
				PublicKeyAttributes:  kmip.Attributes{}.With(ttlv.TagName, name("open half")),
			})
			offset := ttlv.Interval(0)
			made := must[kmip.ReKeyKeyPairResponse](t, c, kmip.OperationReKeyKeyPair, &kmip.ReKeyKeyPairRequest{PrivateKeyUniqueIdentifier: "p", Offset: &offset,
				PrivateKeyAttributes: kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "q")})
			require.Equal(t, kmip.UniqueIdentifier("q"), made.PrivateKeyUniqueIdentifier)
			require.Equal(t, kmip.UniqueIdentifier("q_pk"), made.PublicKeyUniqueIdentifier)
			for _, x := range []struct {
				old, replacement kmip.UniqueIdentifier
				name             string
				link             kmip.LinkType
				half             kmip.UniqueIdentifier
			}{
				{"p", "q", "secret half", kmip.LinkTypePublicKeyLink, "q_pk"},
				{"p_pk", "q_pk", "open half", kmip.LinkTypePrivateKeyLink, "q"},
			} {
				old, replacement := attributesOf(t, c, x.old), attributesOf(t, c, x.replacement)
				require.Empty(t, kmip.All[kmip.Name](old, ttlv.TagName))
				require.Equal(t, []kmip.Name{name(x.name)}, kmip.All[kmip.Name](replacement, ttlv.TagName))
				require.Equal(t, []kmip.UniqueIdentifier{x.replacement}, linksOf(old, kmip.LinkTypeReplacementObjectLink))
				require.Equal(t, []kmip.UniqueIdentifier{x.old}, linksOf(replacement, kmip.LinkTypeReplacedObjectLink))
				require.Equal(t, []kmip.UniqueIdentifier{x.half}, linksOf(replacement, x.link))
				require.Equal(t, int32(384), replacement.Length())
				require.True(t, date(t, replacement, ttlv.TagActivationDate).Equal(date(t, replacement, ttlv.TagInitialDate)))
			}
			require.Equal(t, kmip.ResultReasonInvalidObjectType.For(kmip.OperationReKeyKeyPair, v), reason(t, c, kmip.OperationReKeyKeyPair, &kmip.ReKeyKeyPairRequest{PrivateKeyUniqueIdentifier: "q_pk"}))

			// The right to the private half alone is not enough.
			bob := g.client("bob", v)
			for i, uid := range []kmip.UniqueIdentifier{"q", "q_pk"} {
				must[kmip.GrantAccessResponse](t, c, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: uid, Grantee: "bob", Operations: []kmip.Operation{kmip.OperationReKeyKeyPair}})
				q := &kmip.ReKeyKeyPairRequest{PrivateKeyUniqueIdentifier: "q", PrivateKeyAttributes: kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, fmt.Sprintf("bobs %d", i))}
				if i == 0 {
					require.Equal(t, kmip.ResultReasonObjectNotFound.At(v), reason(t, bob, kmip.OperationReKeyKeyPair, q))
					continue
				}
				must[kmip.ReKeyKeyPairResponse](t, bob, kmip.OperationReKeyKeyPair, q)
			}
		})
	}
}

// TestReKeyAtOnce: of many who replace a key at once, one gets its names.
func TestReKeyAtOnce(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	q := aes("k")
	q.Attributes = q.Attributes.Plus(ttlv.TagName, name("only once"))
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	made := make(chan kmip.UniqueIdentifier, 8)
	for range cap(made) {
		other := g.client("alice", ttlv.V2_1)
		go func() {
			response, err := client.Do[kmip.ReKeyResponse](t.Context(), other, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: "k"})
			if err != nil {
				made <- ""
				return
			}
			made <- response.UniqueIdentifier
		}()
	}
	winners := 0
	for range cap(made) {
		if uid := <-made; uid != "" {
			winners += len(kmip.All[kmip.Name](attributesOf(t, c, uid), ttlv.TagName))
		}
	}
	require.Equal(t, 1, winners)
	found := must[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{}.With(ttlv.TagName, name("only once"))})
	require.Len(t, found.UniqueIdentifier, 1)
}

// TestReKeyUndone takes a replacement back with the batch that it was made in.
func TestReKeyUndone(t *testing.T) {
	const v = ttlv.V2_1
	g := newRig(t, Limits{})
	c := g.client("alice", v)
	q := aes("k")
	q.Attributes = q.Attributes.Plus(ttlv.TagName, name("the name"))
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	answer := exchange(t, g.dial("alice"), v, &kmip.RequestMessage{
		RequestHeader: kmip.RequestHeader{BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionUndo},
		BatchItem: []kmip.RequestBatchItem{
			item(t, v, kmip.OperationReKey, "1", &kmip.ReKeyRequest{UniqueIdentifier: "k", Attributes: kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "r")}),
			item(t, v, kmip.OperationGet, "2", &kmip.GetRequest{UniqueIdentifier: "none"}),
		},
	})
	require.Equal(t, kmip.ResultStatusOperationUndone, answer.BatchItem[0].ResultStatus)
	a := attributesOf(t, c, "k")
	require.Equal(t, []kmip.Name{name("the name")}, kmip.All[kmip.Name](a, ttlv.TagName))
	require.Empty(t, linksOf(a, kmip.LinkTypeReplacementObjectLink))
	require.Equal(t, kmip.ResultReasonObjectDestroyed, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "r"}))
}

// TestReKeyInBatch: what comes after in a batch means the replacement, by the ID placeholder and by the item's number.
func TestReKeyInBatch(t *testing.T) {
	const v = ttlv.V2_1
	g := newRig(t, Limits{})
	c := g.client("alice", v)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("k"))
	answer := exchange(t, g.dial("alice"), v, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{
		item(t, v, kmip.OperationReKey, "1", &kmip.ReKeyRequest{UniqueIdentifier: "k", Attributes: kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "r")}),
		item(t, v, kmip.OperationGet, "2", &kmip.GetRequest{}),
	}})
	require.Len(t, answer.BatchItem, 2)
	var got kmip.GetResponse
	require.NoError(t, ttlv.Unmarshal(answer.BatchItem[1].ResponsePayload, v, ttlv.TagResponsePayload, &got, nil))
	require.Equal(t, kmip.UniqueIdentifier("r"), got.UniqueIdentifier)
}
