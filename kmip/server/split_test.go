package server

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func split(uid kmip.UniqueIdentifier, method kmip.SplitKeyMethod, parts, threshold int32, a kmip.Attributes) *kmip.CreateSplitKeyRequest {
	return &kmip.CreateSplitKeyRequest{ObjectType: kmip.ObjectTypeSplitKey, UniqueIdentifier: uid, SplitKeyParts: parts, SplitKeyThreshold: threshold,
		SplitKeyMethod: method, Attributes: a}
}

func join(parts ...kmip.UniqueIdentifier) *kmip.JoinSplitKeyRequest {
	return &kmip.JoinSplitKeyRequest{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: parts}
}

// TestSplitKey splits a key and joins it from two of its three parts.
func TestSplitKey(t *testing.T) {
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			g := newRig(t, Limits{})
			c := g.client("alice", v)
			material := bytes.Repeat([]byte{1, 2, 3, 4}, 8)
			must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey,
				Attributes: kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "k").With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt), Value: plainAES(material)})
			for _, method := range []kmip.SplitKeyMethod{kmip.SplitKeyMethodPolynomialSharingGF2_8, kmip.SplitKeyMethodPolynomialSharingGF2_16, kmip.SplitKeyMethodPolynomialSharingPrimeField} {
				made := must[kmip.CreateSplitKeyResponse](t, c, kmip.OperationCreateSplitKey, split("k", method, 3, 2, nil))
				require.Len(t, made.UniqueIdentifier, 3)
				for i, uid := range made.UniqueIdentifier {
					part := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid})
					require.Equal(t, int32(i+1), part.SplitKey.KeyPartIdentifier)
					require.Equal(t, method, part.SplitKey.SplitKeyMethod)
					require.NotContains(t, string(part.SplitKey.KeyBlock.KeyValue.Material), string(material[:8]))
				}
				joined := must[kmip.JoinSplitKeyResponse](t, c, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier[2], made.UniqueIdentifier[0]))
				got := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: joined.UniqueIdentifier})
				require.Equal(t, material, got.SymmetricKey.KeyBlock.KeyValue.Material)
				require.Equal(t, kmip.CryptographicUsageMaskEncrypt, attributesOf(t, c, joined.UniqueIdentifier).UsageMask())
				require.Equal(t, kmip.ResultReasonCryptographicFailure, reason(t, c, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier[1])))
			}

			// A new key, which never was anywhere in one piece.
			made := must[kmip.CreateSplitKeyResponse](t, c, kmip.OperationCreateSplitKey, split("", kmip.SplitKeyMethodXOR, 4, 4, aesOf(256).With(ttlv.TagUniqueIdentifier, "part")))
			require.Equal(t, []kmip.UniqueIdentifier{"part_1", "part_2", "part_3", "part_4"}, made.UniqueIdentifier)
			joined := must[kmip.JoinSplitKeyResponse](t, c, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier...))
			require.Equal(t, int32(256), attributesOf(t, c, joined.UniqueIdentifier).Length())
		})
	}
}

// TestSplitKeyRefused has what is not split, not joined, or not by everybody.
func TestSplitKeyRefused(t *testing.T) {
	const gf8 = kmip.SplitKeyMethodPolynomialSharingGF2_8
	g := newRig(t, Limits{})
	alice, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V2_1)
	secret := aes("secret")
	secret.Attributes = secret.Attributes.With(ttlv.TagSensitive, true)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, secret)
	for _, x := range []struct {
		q   *kmip.CreateSplitKeyRequest
		why kmip.ResultReason
	}{
		{split("none", gf8, 3, 2, nil), kmip.ResultReasonObjectNotFound},
		{split("secret", gf8, 3, 4, nil), kmip.ResultReasonInvalidField},
		{split("secret", gf8, 100, 4, nil), kmip.ResultReasonServerLimitExceeded},
		{split("secret", gf8, 3, 2, kmip.Attributes{}.With(ttlv.TagSensitive, false)), kmip.ResultReasonAttributeReadOnly},
		{split("secret", gf8, 3, 2, kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "hsm::1::x")), kmip.ResultReasonInvalidField},
		{split("", gf8, 3, 2, nil), kmip.ResultReasonInvalidField},
		{&kmip.CreateSplitKeyRequest{ObjectType: kmip.ObjectTypeSymmetricKey}, kmip.ResultReasonInvalidObjectType},
	} {
		require.Equal(t, x.why, reason(t, alice, kmip.OperationCreateSplitKey, x.q), "%+v", x.q)
	}

	// Sensitive parts of a sensitive key, and a sensitive key of them.
	made := must[kmip.CreateSplitKeyResponse](t, alice, kmip.OperationCreateSplitKey, split("secret", gf8, 3, 2, nil))
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier[0]}))
	open := join(made.UniqueIdentifier...)
	open.Attributes = kmip.Attributes{}.With(ttlv.TagSensitive, false)
	require.Equal(t, kmip.ResultReasonAttributeReadOnly, reason(t, alice, kmip.OperationJoinSplitKey, open))
	joined := must[kmip.JoinSplitKeyResponse](t, alice, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier...))
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: joined.UniqueIdentifier}))

	other := must[kmip.CreateSplitKeyResponse](t, alice, kmip.OperationCreateSplitKey, split("secret", gf8, 3, 2, nil))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, alice, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier[0], other.UniqueIdentifier[1])), "parts of two splits")
	require.Equal(t, kmip.ResultReasonInvalidObjectType, reason(t, alice, kmip.OperationJoinSplitKey, join("secret", "secret")))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, alice, kmip.OperationJoinSplitKey, join()))

	// The right to every part, each by a grant of its own.
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationCreateSplitKey, split("secret", gf8, 3, 2, nil)))
	for _, uid := range made.UniqueIdentifier[:2] {
		require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier[:2]...)))
		must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: uid, Grantee: "bob", Operations: []kmip.Operation{kmip.OperationJoinSplitKey}})
	}
	must[kmip.JoinSplitKeyResponse](t, bob, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier[:2]...))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: made.UniqueIdentifier[0]}))

	// A name that is taken: none of the parts stays.
	taken := aes("part_2")
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, taken)
	require.Equal(t, kmip.ResultReasonObjectAlreadyExists, reason(t, alice, kmip.OperationCreateSplitKey, split("secret", gf8, 3, 2, kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, "part"))))
	require.Equal(t, kmip.ResultReasonObjectDestroyed, reason(t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "part_1"}))
}

// TestSplitKeyWrapped: the parts of a key that is wrapped at rest are wrapped by the same key.
func TestSplitKeyWrapped(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("kek"))
	q := aes("k")
	q.Attributes = q.Attributes.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, "kek")
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	made := must[kmip.CreateSplitKeyResponse](t, c, kmip.OperationCreateSplitKey, split("k", kmip.SplitKeyMethodXOR, 2, 2, nil))
	joined := must[kmip.JoinSplitKeyResponse](t, c, kmip.OperationJoinSplitKey, join(made.UniqueIdentifier...))
	for _, uid := range append(made.UniqueIdentifier, joined.UniqueIdentifier) {
		protection, _ := attributesOf(t, c, uid).Vendor(kmip.VendorServer, kmip.AttributeProtection)
		require.Equal(t, kmip.ProtectionHSMProtected, protection)
	}
}
