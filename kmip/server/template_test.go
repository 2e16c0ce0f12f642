package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func nameOf(name string) kmip.Attribute {
	return kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: name, NameType: kmip.NameTypeUninterpretedTextString}}
}

// using names a template in the attributes of a request of KMIP 1.x.
func using(name string) kmip.Attribute {
	return kmip.Attribute{Tag: ttlv.TagTemplate, Value: nameOf(name).Value}
}

// template is a request that registers one.
func template(name string, attributes ...kmip.Attribute) *kmip.RegisterRequest {
	return &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeTemplate, Attributes: kmip.Attributes{nameOf(name)},
		Value: kmip.Value{Template: &kmip.Template{Attributes: attributes}}}
}

// TestTemplates makes objects with templates at every version that has them: KMIP 1.4 §2.2.6, §4.1, §4.2.
func TestTemplates(t *testing.T) {
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_1, ttlv.V1_2, ttlv.V1_3, ttlv.V1_4} {
		t.Run(v.String(), func(t *testing.T) {
			g := newRig(t, Limits{})
			c := g.client("alice", v)
			attributes := func(uid kmip.UniqueIdentifier) kmip.Attributes {
				return must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid}).Attributes
			}
			group := func(name string) kmip.Attribute { return kmip.Attribute{Tag: ttlv.TagObjectGroup, Value: name} }
			contact := func(who string) kmip.Attribute { return kmip.Attribute{Tag: ttlv.TagContactInformation, Value: who} }
			length := func(n int32) kmip.Attribute { return kmip.Attribute{Tag: ttlv.TagCryptographicLength, Value: n} }
			algorithm := kmip.Attribute{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES}
			mask := kmip.Attribute{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskEncrypt}
			custom := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorClient, Name: "Purpose", Value: "demo"}

			one := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, template("one", algorithm, length(128), mask, group("a"), contact("one"), custom)).UniqueIdentifier
			must[kmip.RegisterResponse](t, c, kmip.OperationRegister, template("two", length(192), group("b"), group("a"), contact("two")))

			got := attributes(one)
			require.True(t, got.Has(kmip.Attribute{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeTemplate}))
			require.True(t, got.Has(nameOf("one")))
			require.False(t, got.Contains(ttlv.TagState), "a template has no state")
			value := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: one})
			require.Equal(t, kmip.ObjectTypeTemplate, value.ObjectType)
			for _, a := range []kmip.Attribute{algorithm, length(128), mask, group("a"), contact("one"), custom} {
				require.True(t, value.Template.Attributes.Has(a), a)
			}

			create := func(list ...kmip.Attribute) kmip.UniqueIdentifier {
				return must[kmip.CreateResponse](t, c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: list}).UniqueIdentifier
			}
			got = attributes(create(using("one"), nameOf("key")))
			require.EqualValues(t, 128, got.Length())
			require.Equal(t, []kmip.Name{nameOf("key").Value.(kmip.Name)}, kmip.All[kmip.Name](got, ttlv.TagName), "a template's own name stays its own")
			require.True(t, got.Has(custom) && got.Has(mask) && got.Has(group("a")))

			got = attributes(create(using("one"), using("two"), group("c")))
			require.EqualValues(t, 192, got.Length(), "the last template counts")
			require.True(t, got.Has(contact("two")))
			require.ElementsMatch(t, []string{"a", "b", "c"}, kmip.All[string](got, ttlv.TagObjectGroup))

			got = attributes(create(using("one"), using("two"), length(256), contact("me")))
			require.EqualValues(t, 256, got.Length(), "what is said comes first")
			require.True(t, got.Has(contact("me")))

			pair := must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
				CommonAttributes:     kmip.Attributes{using("two"), {Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmRSA}, length(2048), group("common")},
				PrivateKeyAttributes: kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskSign}, group("private"), contact("private")},
				PublicKeyAttributes:  kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: kmip.CryptographicUsageMaskVerify}},
			})
			got = attributes(pair.PrivateKeyUniqueIdentifier)
			require.ElementsMatch(t, []string{"a", "b", "common", "private"}, kmip.All[string](got, ttlv.TagObjectGroup))
			require.True(t, got.Has(contact("private")))
			require.True(t, attributes(pair.PublicKeyUniqueIdentifier).Has(contact("two")))

			found := must[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeTemplate}}})
			require.Len(t, found.UniqueIdentifier, 2)
			must[kmip.DestroyResponse](t, c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: one})
			q := &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: kmip.Attributes{using("one")}}
			require.Equal(t, kmip.ResultReasonItemNotFound, reason(t, c, kmip.OperationCreate, q))
		})
	}
}

// TestTemplatesRefuse shows who may not use a template, and what is none.
func TestTemplatesRefuse(t *testing.T) {
	g := newRig(t, Limits{})
	c, bob, new := g.client("alice", ttlv.V1_4), g.client("bob", ttlv.V1_4), g.client("alice", ttlv.V2_1)
	algorithm := kmip.Attribute{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmAES}
	length := kmip.Attribute{Tag: ttlv.TagCryptographicLength, Value: int32(128)}
	uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, template("t", algorithm, length)).UniqueIdentifier
	q := &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: kmip.Attributes{using("t")}}
	require.Equal(t, kmip.ResultReasonItemNotFound, reason(t, bob, kmip.OperationCreate, q))
	must[kmip.GrantAccessResponse](t, c, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: uid, Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}})
	must[kmip.CreateResponse](t, bob, kmip.OperationCreate, q)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, template("t", algorithm))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationCreate, q), "two of one name")

	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, new, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}), "2.x has no templates")
	require.Empty(t, must[kmip.LocateResponse](t, new, kmip.OperationLocate, &kmip.LocateRequest{Attributes: kmip.Attributes{nameOf("t")}}).UniqueIdentifier)
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRegister, template("empty")))
	nameless := template("x", algorithm)
	nameless.Attributes = nil
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRegister, nameless))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRegister, template("x", length, kmip.Attribute{Tag: ttlv.TagCryptographicLength, Value: int32(256)})))
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationRegister, template("x", kmip.Attribute{Tag: ttlv.TagState, Value: kmip.StateActive})))
	many := &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey}
	for range mostTemplates + 1 {
		many.Attributes = append(many.Attributes, using("t"))
	}
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationCreate, many))
}
