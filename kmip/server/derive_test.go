package server

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// base registers Secret Data or a key to derive from.
func base(t *testing.T, c *client.Client, uid string, v kmip.Value, with kmip.Attributes) {
	t.Helper()
	a := kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, uid).With(ttlv.TagActivationDate, time.Now().Add(-time.Minute)).
		With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskDeriveKey)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: v.ObjectType(), Attributes: append(a, with...), Value: v})
}

func secretPassword(s string) kmip.Value {
	return kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword,
		KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{Material: []byte(s)}}}}
}

func hmacKey(material []byte) kmip.Value {
	v := plainAES(material)
	v.SymmetricKey.KeyBlock.CryptographicAlgorithm = kmip.CryptographicAlgorithmHMACSHA256
	return v
}

// aesOf describes an AES key to derive.
func aesOf(bits int32) kmip.Attributes {
	return kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES).With(ttlv.TagCryptographicLength, bits).
		With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskEncrypt)
}

// TestDeriveKey derives keys and Secret Data, and follows the links between them and their bases.
func TestDeriveKey(t *testing.T) {
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			g := newRig(t, Limits{})
			c := g.client("alice", v)
			base(t, c, "password", secretPassword("password"), nil)
			base(t, c, "key", hmacKey([]byte("0123456789abcdef")), nil)
			base(t, c, "label", secretPassword("a label"), nil)

			// RFC 6070 §2, the third.
			count := int32(4096)
			made := must[kmip.DeriveKeyResponse](t, c, kmip.OperationDeriveKey, &kmip.DeriveKeyRequest{
				ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{"password"}, DerivationMethod: kmip.DerivationMethodPBKDF2,
				DerivationParameters: kmip.DerivationParameters{Salt: []byte("salt"), IterationCount: &count}, Attributes: aesOf(128),
			})
			got := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier})
			require.Equal(t, []byte("\x4b\x00\x79\x01\xb7\x65\x48\x9a\xbe\xad\x49\xd9\x26\xf7\x21\xd0"), got.SymmetricKey.KeyBlock.KeyValue.Material)
			require.Equal(t, []kmip.UniqueIdentifier{"password"}, linksOf(attributesOf(t, c, made.UniqueIdentifier), kmip.LinkTypeDerivationBaseObjectLink))
			require.Equal(t, []kmip.UniqueIdentifier{made.UniqueIdentifier}, linksOf(attributesOf(t, c, "password"), kmip.LinkTypeDerivedKeyLink))

			// The derivation data of Secret Data, and Secret Data made of it.
			made = must[kmip.DeriveKeyResponse](t, c, kmip.OperationDeriveKey, &kmip.DeriveKeyRequest{
				ObjectType: kmip.ObjectTypeSecretData, UniqueIdentifier: []kmip.UniqueIdentifier{"key", "label"}, DerivationMethod: kmip.DerivationMethodHMAC,
				Attributes: kmip.Attributes{}.With(ttlv.TagCryptographicLength, int32(200)).With(ttlv.TagUniqueIdentifier, "made"),
			})
			require.Equal(t, kmip.UniqueIdentifier("made"), made.UniqueIdentifier)
			m := hmac.New(sha256.New, []byte("0123456789abcdef"))
			m.Write([]byte("a label"))
			got = must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "made"})
			require.Equal(t, m.Sum(nil)[:25], got.SecretData.KeyBlock.KeyValue.Material)
			require.Equal(t, []kmip.UniqueIdentifier{"key", "label"}, linksOf(attributesOf(t, c, "made"), kmip.LinkTypeDerivationBaseObjectLink))
			for _, uid := range []kmip.UniqueIdentifier{"key", "label"} {
				require.Equal(t, []kmip.UniqueIdentifier{"made"}, linksOf(attributesOf(t, c, uid), kmip.LinkTypeDerivedKeyLink))
			}

			want, err := hkdf.Key(sha256.New, []byte("0123456789abcdef"), nil, "info", 32)
			require.NoError(t, err)
			made = must[kmip.DeriveKeyResponse](t, c, kmip.OperationDeriveKey, &kmip.DeriveKeyRequest{
				ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{"key"}, DerivationMethod: kmip.DerivationMethodHKDF,
				DerivationParameters: kmip.DerivationParameters{DerivationData: [][]byte{[]byte("info")}}, Attributes: aesOf(256),
			})
			got = must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier})
			require.Equal(t, want, got.SymmetricKey.KeyBlock.KeyValue.Material)
		})
	}
}

// TestDeriveKeyRefused: the door stands before every base.
func TestDeriveKeyRefused(t *testing.T) {
	g := newRig(t, Limits{})
	alice, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V2_1)
	base(t, alice, "key", hmacKey([]byte("0123456789abcdef")), kmip.Attributes{}.With(ttlv.TagSensitive, true))
	base(t, alice, "label", secretPassword("a label"), nil)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("no derivation"))
	request := func(uids ...kmip.UniqueIdentifier) *kmip.DeriveKeyRequest {
		q := &kmip.DeriveKeyRequest{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: uids, DerivationMethod: kmip.DerivationMethodHMAC, Attributes: aesOf(128)}
		if len(uids) < 2 {
			q.DerivationParameters.DerivationData = [][]byte{[]byte("data")}
		}
		return q
	}
	short := request("key")
	short.Attributes = short.Attributes.Without(ttlv.TagCryptographicLength)
	nameless := request("key")
	nameless.Attributes = nameless.Attributes.Without(ttlv.TagCryptographicAlgorithm)
	public := request("key")
	public.ObjectType = kmip.ObjectTypePublicKey
	for _, x := range []struct {
		q   *kmip.DeriveKeyRequest
		why kmip.ResultReason
	}{
		{request(), kmip.ResultReasonInvalidField},
		{request(kmip.IDPlaceholder), kmip.ResultReasonInvalidField},
		{request("key", "label", "label"), kmip.ResultReasonInvalidField},
		{request("none"), kmip.ResultReasonObjectNotFound},
		{request("no derivation"), kmip.ResultReasonIncompatibleCryptographicUsageMask},
		{short, kmip.ResultReasonInvalidField},
		{nameless, kmip.ResultReasonInvalidField},
		{public, kmip.ResultReasonInvalidObjectType},
	} {
		require.Equal(t, x.why, reason(t, alice, kmip.OperationDeriveKey, x.q), "%+v", x.q)
	}
	require.Empty(t, linksOf(attributesOf(t, alice, "key"), kmip.LinkTypeDerivedKeyLink))

	// A grant is needed of each object.
	for i, uid := range []kmip.UniqueIdentifier{"key", "label"} {
		require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationDeriveKey, request("key", "label")), i)
		must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: uid, Grantee: "bob", Operations: []kmip.Operation{kmip.OperationDeriveKey}})
	}
	made := must[kmip.DeriveKeyResponse](t, bob, kmip.OperationDeriveKey, request("key", "label"))

	// What comes of a sensitive key is sensitive, and bob's.
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, bob, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier}))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: made.UniqueIdentifier}))

	revoke := &kmip.RevokeRequest{UniqueIdentifier: "label", RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeSuperseded}}
	must[kmip.RevokeResponse](t, alice, kmip.OperationRevoke, revoke)
	require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, reason(t, bob, kmip.OperationDeriveKey, request("key", "label")))
}

// TestDeriveKeyLinks: a base with as many links as are kept derives nothing more, and no object stays behind.
func TestDeriveKeyLinks(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	var links kmip.Attributes
	for i := range mostLinks {
		links = links.Plus(ttlv.TagLink, kmip.Link{LinkType: kmip.LinkTypeChildLink, LinkedObjectIdentifier: kmip.UniqueIdentifier(strings.Repeat("x", 1+i%7) + string(rune('a'+i%26)) + string(rune('A'+i/26%26)) + string(rune('a'+i/676)))})
	}
	base(t, c, "first", hmacKey([]byte("0123456789abcdef")), nil)
	base(t, c, "full", secretPassword("a label"), links)
	q := &kmip.DeriveKeyRequest{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: []kmip.UniqueIdentifier{"first", "full"}, DerivationMethod: kmip.DerivationMethodHMAC,
		Attributes: aesOf(128).With(ttlv.TagUniqueIdentifier, "made")}
	require.Equal(t, kmip.ResultReasonServerLimitExceeded, reason(t, c, kmip.OperationDeriveKey, q))
	require.Empty(t, linksOf(attributesOf(t, c, "first"), kmip.LinkTypeDerivedKeyLink))
	require.Equal(t, kmip.ResultReasonObjectDestroyed, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "made"}))
}
