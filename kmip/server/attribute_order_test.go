package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestGetAttributesOrder: a list of all attributes has the order of the profiles' test cases, and of the server's vendor nothing that
// holds for most objects. Who names attributes gets them in that order, and this one too.
func TestGetAttributesOrder(t *testing.T) {
	c := newRig(t, Limits{}).client("alice", ttlv.V2_1)
	q := aes("k")
	q.Attributes = q.Attributes.Plus(ttlv.TagName, kmip.Name{NameValue: "b", NameType: kmip.NameTypeURI}).
		PlusVendor("x", "Note", "first").
		Plus(ttlv.TagName, kmip.Name{NameValue: "a", NameType: kmip.NameTypeURI})
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	want := []string{
		"x-Note", "Unique Identifier", "Short Unique Identifier", "Object Type", "Cryptographic Algorithm", "Cryptographic Length",
		"Activation Date", "Always Sensitive", "Cryptographic Usage Mask", "Digest", "Key Format Type", "Extractable", "Fresh", "Initial Date",
		"Last Change Date", "Lease Time", "Name", "Name", "Never Extractable", "Original Creation Date", "Protection Storage Mask",
		"Random Number Generator", "Sensitive", "State",
	}
	var names []string
	all := attributesOf(t, c, "k")
	for _, a := range all {
		names = append(names, a.String())
	}
	require.Equal(t, want, names)
	given := kmip.All[kmip.Name](all, ttlv.TagName)
	require.Equal(t, []string{"b", "a"}, []string{given[0].NameValue, given[1].NameValue})

	var listed []string
	for _, a := range must[kmip.GetAttributeListResponse](t, c, kmip.OperationGetAttributeList, &kmip.GetAttributeListRequest{UniqueIdentifier: "k"}).AttributeReferences {
		listed = append(listed, a.String())
	}
	require.Equal(t, append(want[:17:17], want[18:]...), listed)

	protection := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorServer, Name: kmip.AttributeProtection}
	named := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{
		UniqueIdentifier: "k", AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagState}, protection, {Tag: ttlv.TagObjectType}},
	}).Attributes
	protection.Value = kmip.ProtectionSoftware
	require.Len(t, named, 3)
	require.Equal(t, ttlv.TagState, named[0].Tag)
	require.True(t, protection.Equal(named[1]))
	require.Equal(t, ttlv.TagObjectType, named[2].Tag)
}

// TestDigestsPerVersion: below 2.0 an object has the digest of the format that it was registered in, from 2.0 on that of the default
// format as well. KMIP 1.4 §3.17, KMIP 2.1 §4.21.
func TestDigestsPerVersion(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range everyVersion {
		c := g.client("alice", v)
		uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSecretData,
			Attributes: tag(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskDeriveKey),
			Value: kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypeSeed,
				KeyBlock: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{Material: []byte("seed")}}}}}).UniqueIdentifier
		var formats []kmip.KeyFormatType
		for _, d := range kmip.All[kmip.Digest](attributesOf(t, c, uid), ttlv.TagDigest) {
			formats = append(formats, d.KeyFormatType)
		}
		want := []kmip.KeyFormatType{kmip.KeyFormatTypeOpaque, kmip.KeyFormatTypeRaw}
		switch {
		case v == ttlv.V1_0: // has no Key Format Type in it
			want = []kmip.KeyFormatType{0}
		case v < ttlv.V2_0:
			want = want[:1]
		}
		require.Equal(t, want, formats, "%v", v)
	}
}
