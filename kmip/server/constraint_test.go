package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

func typesOf(list ...kmip.ObjectType) *kmip.ObjectTypes { return &kmip.ObjectTypes{ObjectType: list} }

func groupsOf(list ...string) *kmip.ObjectGroups { return &kmip.ObjectGroups{ObjectGroup: list} }

func setConstraints(t testing.TB, c *client.Client, list ...kmip.Constraint) {
	t.Helper()
	must[kmip.SetConstraintsResponse](t, c, kmip.OperationSetConstraints, &kmip.SetConstraintsRequest{Constraints: kmip.Constraints{Constraint: list}})
}

func setDefaults(t testing.TB, c *client.Client, list ...kmip.ObjectDefaults) {
	t.Helper()
	must[kmip.SetDefaultsResponse](t, c, kmip.OperationSetDefaults, &kmip.SetDefaultsRequest{DefaultsInformation: &kmip.DefaultsInformation{ObjectDefaults: list}})
}

// symmetric asks for a key with the attributes given.
func symmetric(a kmip.Attributes) *kmip.CreateRequest {
	return &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a}
}

func aesWith(bits int32, more ...kmip.Attribute) kmip.Attributes {
	return append(kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES).With(ttlv.TagCryptographicLength, bits), more...)
}

// strong allows AES of 192 and 256 bits to encrypt and decrypt, and nothing else, of symmetric keys.
var strong = kmip.Constraint{
	ObjectTypes: typesOf(kmip.ObjectTypeSymmetricKey),
	Attributes: kmip.Attributes{
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES},
		{Tag: ttlv.TagCryptographicLength, Value: int32(192)},
		{Tag: ttlv.TagCryptographicLength, Value: int32(256)},
		{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskDecrypt},
	},
}

func TestConstraints(t *testing.T) {
	g := newRig(t, Limits{})
	governor, alice := g.client("governor", ttlv.V2_1), g.client("alice", ttlv.V1_2)
	mask := kmip.Attribute{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(aesWith(128, mask)))
	old := must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(aesWith(128, mask))).UniqueIdentifier
	require.Empty(t, must[kmip.GetConstraintsResponse](t, governor, kmip.OperationGetConstraints, &kmip.GetConstraintsRequest{}).Constraints.Constraint)
	setConstraints(t, governor, strong)
	require.Equal(t, []kmip.Constraint{strong}, must[kmip.GetConstraintsResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationGetConstraints, &kmip.GetConstraintsRequest{}).Constraints.Constraint)

	violates := func(op kmip.Operation, q any) {
		t.Helper()
		require.Equal(t, kmip.ResultReasonConstraintViolation.At(ttlv.V1_2), reasonOf(t, doAny(t, alice, op, q)))
	}
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(aesWith(256, mask)))
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(aesWith(192, mask)))
	violates(kmip.OperationCreate, symmetric(aesWith(128, mask)))
	violates(kmip.OperationCreate, symmetric(aesWith(256))) // with the usual mask
	violates(kmip.OperationCreate, symmetric(aesWith(256, mask).Without(ttlv.TagCryptographicLength)))
	violates(kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: old})
	register := func(bytes int) *kmip.RegisterRequest {
		block := kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: int32(8 * bytes), KeyValue: &kmip.KeyValue{Material: make([]byte, bytes)}}
		return &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: kmip.Attributes{mask}, Value: kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: block}}}
	}
	must[kmip.RegisterResponse](t, alice, kmip.OperationRegister, register(32))
	violates(kmip.OperationRegister, register(16))
	must[kmip.EncryptResponse](t, alice, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: activated(t, alice, old), Data: make([]byte, 16), CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeECB}})
	pair := kmip.Attributes{{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmECDSA}, {Tag: ttlv.TagCryptographicLength, Value: int32(256)}}
	must[kmip.CreateKeyPairResponse](t, alice, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: pair})

	setConstraints(t, governor, strong, kmip.Constraint{ObjectGroups: groupsOf("payments"), Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicLength, Value: int32(384)}}})
	grouped := append(pair.With(ttlv.TagCryptographicLength, int32(256)), kmip.Attribute{Tag: ttlv.TagObjectGroup, Value: "payments"})
	violates(kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: grouped})
	must[kmip.CreateKeyPairResponse](t, alice, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: grouped.With(ttlv.TagCryptographicLength, int32(384))})
	violates(kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: pair, PublicKeyAttributes: kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: "payments"}}})

	setConstraints(t, governor)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(aesWith(128)))
}

// doAny performs an operation whose answer nobody looks at.
func doAny(t testing.TB, c *client.Client, op kmip.Operation, q any) error {
	item := client.Item{Operation: op, Request: q, Response: new(struct{})}
	require.NoError(t, c.Batch(t.Context(), &item))
	return item.Err
}

func activated(t testing.TB, c *client.Client, uid kmip.UniqueIdentifier) kmip.UniqueIdentifier {
	must[kmip.ActivateResponse](t, c, kmip.OperationActivate, &kmip.ActivateRequest{UniqueIdentifier: uid})
	return uid
}

// TestWhoGoverns: the configuration names them; an hsm_admin is none by that.
func TestWhoGoverns(t *testing.T) {
	g := newRig(t, Limits{})
	for _, identity := range []string{"alice", "admin"} {
		c := g.client(identity, ttlv.V2_1)
		require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationSetConstraints, &kmip.SetConstraintsRequest{}))
		require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationSetDefaults, &kmip.SetDefaultsRequest{}))
	}
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, g.client("governor", ttlv.V2_0), kmip.OperationSetConstraints, &kmip.SetConstraintsRequest{}))
}

func TestDefaults(t *testing.T) {
	g := newRig(t, Limits{})
	governor, alice := g.client("governor", ttlv.V2_1), g.client("alice", ttlv.V2_1)
	setDefaults(t, governor,
		kmip.ObjectDefaults{ObjectTypes: typesOf(kmip.ObjectTypeSymmetricKey, kmip.ObjectTypeSecretData), Attributes: kmip.Attributes{{Tag: ttlv.TagSensitive, Value: true}, {Tag: ttlv.TagComment, Value: "for all"}}},
		kmip.ObjectDefaults{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aesWith(256)},
		kmip.ObjectDefaults{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aesWith(192, kmip.Attribute{Tag: ttlv.TagComment, Value: "of the team"}), ObjectGroups: groupsOf("team", "other")},
	)
	is := func(q *kmip.CreateRequest, bits int32, comment string, sensitive bool) {
		t.Helper()
		uid := must[kmip.CreateResponse](t, alice, kmip.OperationCreate, q).UniqueIdentifier
		a := must[kmip.GetAttributesResponse](t, alice, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
		require.Equal(t, bits, a.Length())
		require.True(t, a.Has(kmip.Attribute{Tag: ttlv.TagComment, Value: comment}), "%v", a)
		require.Equal(t, sensitive, a.Sensitive())
	}
	is(symmetric(nil), 256, "for all", true)
	is(symmetric(aesWith(128)), 128, "for all", true)
	is(symmetric(kmip.Attributes{{Tag: ttlv.TagObjectGroup, Value: "team"}, {Tag: ttlv.TagSensitive, Value: false}}), 192, "of the team", false)
	is(symmetric(kmip.Attributes{{Tag: ttlv.TagComment, Value: "mine"}}), 256, "mine", true)

	// What the material says is not a matter of defaults.
	block := kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 128, KeyValue: &kmip.KeyValue{Material: make([]byte, 16)}}
	uid := must[kmip.RegisterResponse](t, alice, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Value: kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: block}}}).UniqueIdentifier
	a := must[kmip.GetAttributesResponse](t, alice, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
	require.Equal(t, int32(128), a.Length())
	require.True(t, a.Sensitive())

	// A replacement is like what it replaces.
	created := must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(aesWith(256).With(ttlv.TagSensitive, false).With(ttlv.TagComment, "own"))).UniqueIdentifier
	next := must[kmip.ReKeyResponse](t, alice, kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: created}).UniqueIdentifier
	require.False(t, must[kmip.GetAttributesResponse](t, alice, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: next}).Attributes.Sensitive())

	must[kmip.SetDefaultsResponse](t, governor, kmip.OperationSetDefaults, &kmip.SetDefaultsRequest{})
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, alice, kmip.OperationCreate, symmetric(nil)), "there is no algorithm any more")
}

func TestQueryDefaults(t *testing.T) {
	g := newRig(t, Limits{})
	setDefaults(t, g.client("governor", ttlv.V2_1),
		kmip.ObjectDefaults{ObjectTypes: typesOf(kmip.ObjectTypeSymmetricKey, kmip.ObjectTypePrivateKey), Attributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskSign}}},
		kmip.ObjectDefaults{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aesWith(192), ObjectGroups: groupsOf("team")},
	)
	told := func(v ttlv.Version, groups *kmip.ObjectGroups) (list []string) {
		q := &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryDefaultsInformation}, ObjectGroups: groups}
		for _, d := range must[kmip.QueryResponse](t, g.client("alice", v), kmip.OperationQuery, q).DefaultsInformation.ObjectDefaults {
			word := d.ObjectType.String()
			if d.ObjectGroups != nil {
				word += " " + d.ObjectGroups.ObjectGroup[0]
			}
			list = append(list, word)
		}
		return list
	}
	require.Equal(t, []string{"SymmetricKey", "PrivateKey", "SymmetricKey team", "PublicKey"}, told(ttlv.V2_1, nil))
	require.Equal(t, []string{"SymmetricKey", "PrivateKey", "PublicKey"}, told(ttlv.V2_1, groupsOf("others")))
	require.Equal(t, []string{"SymmetricKey", "PrivateKey", "PublicKey"}, told(ttlv.V2_0, nil))
}

func TestRefusedSettings(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("governor", ttlv.V2_1)
	setConstraints(t, c, strong)
	many := kmip.Constraints{Constraint: make([]kmip.Constraint, mostConstraints+1)}
	require.Equal(t, kmip.ResultReasonServerLimitExceeded, reason(t, c, kmip.OperationSetConstraints, &kmip.SetConstraintsRequest{Constraints: many}))
	template := kmip.Constraints{Constraint: []kmip.Constraint{{ObjectTypes: typesOf(kmip.ObjectTypeTemplate)}}}
	require.Equal(t, kmip.ResultReasonInvalidObjectType, reason(t, c, kmip.OperationSetConstraints, &kmip.SetConstraintsRequest{Constraints: template}))
	for name, x := range map[string]struct {
		d    kmip.ObjectDefaults
		want kmip.ResultReason
	}{
		"no type":    {kmip.ObjectDefaults{Attributes: aesWith(128)}, kmip.ResultReasonInvalidField},
		"no types":   {kmip.ObjectDefaults{ObjectTypes: typesOf(), Attributes: aesWith(128)}, kmip.ResultReasonInvalidField},
		"both":       {kmip.ObjectDefaults{ObjectType: kmip.ObjectTypeSymmetricKey, ObjectTypes: typesOf(kmip.ObjectTypeSymmetricKey)}, kmip.ResultReasonInvalidField},
		"identifier": {kmip.ObjectDefaults{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: "k"}}}, kmip.ResultReasonInvalidField},
		"template":   {kmip.ObjectDefaults{ObjectType: kmip.ObjectTypeTemplate}, kmip.ResultReasonInvalidObjectType},
		"state":      {kmip.ObjectDefaults{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: kmip.Attributes{{Tag: ttlv.TagState, Value: kmip.StateActive}}}, kmip.ResultReasonAttributeReadOnly},
	} {
		q := &kmip.SetDefaultsRequest{DefaultsInformation: &kmip.DefaultsInformation{ObjectDefaults: []kmip.ObjectDefaults{x.d}}}
		require.Equal(t, x.want, reason(t, c, kmip.OperationSetDefaults, q), name)
	}
	require.Len(t, must[kmip.GetConstraintsResponse](t, c, kmip.OperationGetConstraints, &kmip.GetConstraintsRequest{}).Constraints.Constraint, 1, "what is refused changes nothing")

	m := exchange(t, g.dial("governor"), ttlv.V2_1, &kmip.RequestMessage{
		RequestHeader: kmip.RequestHeader{BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionUndo},
		BatchItem: []kmip.RequestBatchItem{
			item(t, ttlv.V2_1, kmip.OperationSetConstraints, "a", &kmip.SetConstraintsRequest{}),
			item(t, ttlv.V2_1, kmip.OperationSetDefaults, "b", &kmip.SetDefaultsRequest{}),
			item(t, ttlv.V2_1, kmip.OperationGet, "c", &kmip.GetRequest{UniqueIdentifier: "none"}),
		},
	})
	require.Equal(t, kmip.ResultStatusOperationUndone, m.BatchItem[0].ResultStatus)
	require.Len(t, must[kmip.GetConstraintsResponse](t, c, kmip.OperationGetConstraints, &kmip.GetConstraintsRequest{}).Constraints.Constraint, 1)
}
