package server

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// rotating are attributes of a key that the server rotates by itself.
func rotating(every ttlv.Interval) kmip.Attributes {
	return kmip.Attributes{
		{Tag: ttlv.TagRotateAutomatic, Value: true}, {Tag: ttlv.TagRotateInterval, Value: every}, {Tag: ttlv.TagRotateOffset, Value: ttlv.Interval(0)},
		{Tag: ttlv.TagRotateName, Value: kmip.RotateName{RotateNameValue: "set", RotateNameType: kmip.NameTypeUninterpretedTextString}},
	}
}

// replacementOf waits until an object has one.
func replacementOf(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier) (next kmip.UniqueIdentifier) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, a := range attributesNamed(t, c, uid, kmip.Attribute{Tag: ttlv.TagLink}) {
			if link := a.Value.(kmip.Link); link.LinkType == kmip.LinkTypeReplacementObjectLink {
				next = link.LinkedObjectIdentifier
			}
		}
		return next != ""
	}, time.Minute, 20*time.Millisecond)
	return next
}

// TestRotateAutomatic shows that the server rotates keys when they are due, and that their replacements are rotated in turn. KMIP 2.1
// §4.48 to §4.54.
func TestRotateAutomatic(t *testing.T) {
	g := newRig(t, Limits{RotateEvery: 20 * time.Millisecond})
	c := g.client("alice", ttlv.V2_1)
	idle := aes("")
	idle.Attributes = append(idle.Attributes, rotating(3600)...)
	due := must[kmip.CreateResponse](t, c, kmip.OperationCreate, idle).UniqueIdentifier // in an hour
	name := kmip.Name{NameValue: "current", NameType: kmip.NameTypeUninterpretedTextString}
	q := aes("")
	q.Attributes = append(q.Attributes, rotating(1)...).With(ttlv.TagName, name)
	first := must[kmip.CreateResponse](t, c, kmip.OperationCreate, q).UniqueIdentifier
	pair := must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: append(rotating(1),
		kmip.Attribute{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmECDSA}, kmip.Attribute{Tag: ttlv.TagCryptographicLength, Value: int32(256)})})

	second := replacementOf(t, c, first)
	third := replacementOf(t, c, second)
	for i, uid := range []kmip.UniqueIdentifier{first, second} {
		require.Equal(t, int32(i), attribute[int32](t, c, uid, ttlv.TagRotateGeneration))
		require.False(t, attribute[bool](t, c, uid, ttlv.TagRotateLatest))
		made, rotated := attribute[time.Time](t, c, uid, ttlv.TagInitialDate), attribute[time.Time](t, c, uid, ttlv.TagRotateDate)
		require.GreaterOrEqual(t, rotated.Unix(), made.Unix()+1)
	}
	require.Equal(t, int32(2), attribute[int32](t, c, third, ttlv.TagRotateGeneration))
	require.Equal(t, kmip.StateActive, attribute[kmip.State](t, c, third, ttlv.TagState), "the offset is 0")
	require.Equal(t, "set", attribute[kmip.RotateName](t, c, third, ttlv.TagRotateName).RotateNameValue)
	require.Empty(t, attributesNamed(t, c, first, kmip.Attribute{Tag: ttlv.TagName}))

	require.Empty(t, attributesNamed(t, c, due, kmip.Attribute{Tag: ttlv.TagRotateGeneration}), "it was not rotated yet")

	private := replacementOf(t, c, pair.PrivateKeyUniqueIdentifier)
	public := replacementOf(t, c, pair.PublicKeyUniqueIdentifier)
	require.Equal(t, int32(1), attribute[int32](t, c, public, ttlv.TagRotateGeneration))
	links := attributesNamed(t, c, private, kmip.Attribute{Tag: ttlv.TagLink})
	require.True(t, slices.ContainsFunc(links, func(a kmip.Attribute) bool {
		return a.Value == kmip.Link{LinkType: kmip.LinkTypePublicKeyLink, LinkedObjectIdentifier: public}
	}))

	must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, &kmip.RevokeRequest{
		UniqueIdentifier: latestOf(t, c, third), RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeCessationOfOperation},
	})
}

// latestOf follows replacements to the one that has none.
func latestOf(t *testing.T, c *client.Client, uid kmip.UniqueIdentifier) kmip.UniqueIdentifier {
	t.Helper()
	for {
		links := attributesNamed(t, c, uid, kmip.Attribute{Tag: ttlv.TagLink})
		i := slices.IndexFunc(links, func(a kmip.Attribute) bool {
			return a.Value.(kmip.Link).LinkType == kmip.LinkTypeReplacementObjectLink
		})
		if i < 0 {
			return uid
		}
		uid = links[i].Value.(kmip.Link).LinkedObjectIdentifier
	}
}

// TestRotateByRequest shows that a Re-key counts as a rotation, whoever asks for it.
func TestRotateByRequest(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	old := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
	next := must[kmip.ReKeyResponse](t, c, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: old}).UniqueIdentifier
	require.True(t, attribute[bool](t, c, next, ttlv.TagRotateLatest))
	require.False(t, attribute[bool](t, c, old, ttlv.TagRotateLatest))
	require.Equal(t, int32(1), attribute[int32](t, c, next, ttlv.TagRotateGeneration))
	require.Equal(t, int32(0), attribute[int32](t, c, old, ttlv.TagRotateGeneration))
}

// TestRotateRefused shows that nothing is said to be rotated that the server cannot rotate.
func TestRotateRefused(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	secret := &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSecretData, Attributes: rotating(100), Value: kmip.Value{SecretData: &kmip.SecretData{
		SecretDataType: kmip.SecretDataTypeSeed, KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: []byte("s")}},
	}}}
	require.Equal(t, kmip.ResultReasonFeatureNotSupported, reason(t, c, kmip.OperationRegister, secret))
	secret.Attributes = nil
	uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, secret).UniqueIdentifier
	automatic := kmip.Attribute{Tag: ttlv.TagRotateAutomatic, Value: true}
	require.Equal(t, kmip.ResultReasonFeatureNotSupported, reason(t, c, kmip.OperationSetAttribute, set(uid, automatic)))
	endless := aes("")
	endless.Attributes = append(endless.Attributes, rotating(0)...)
	require.Equal(t, kmip.ResultReasonInvalidAttributeValue, reason(t, c, kmip.OperationCreate, endless))
}
