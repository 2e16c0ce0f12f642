package ttlv

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnumerationsAscendAndRoundTrip(t *testing.T) {
	for i, names := range enumerations {
		tag := firstTag + Tag(i)
		require.False(t, holdsTag(tag) && names != nil, "%v cannot hold a tag and have names", tag)
		spelt := map[string]bool{}
		for j, n := range names {
			require.True(t, j == 0 || names[j-1].value < n.value, "%v: %s out of order", tag, n.name)
			require.NotEmpty(t, n.name)
			require.False(t, spelt[n.name], "%v: two values are %s", tag, n.name)
			spelt[n.name] = true
			require.Equal(t, n.name, EnumName(tag, n.value))
			value, ok := EnumValue(tag, n.name)
			require.True(t, ok)
			require.Equal(t, n.value, value, n.name)
			require.False(t, IsMask(tag) && n.value&(n.value-1) != 0, "%v: %s is not one bit", tag, n.name)
		}
	}
}

func TestEnumName(t *testing.T) {
	for _, c := range []struct {
		tag   Tag
		value uint32
		name  string
	}{
		{TagCryptographicAlgorithm, 3, "AES"},
		{TagCryptographicAlgorithm, 2, "DES3"},
		{TagCryptographicAlgorithm, 9, "HMAC_SHA256"},
		{TagKeyFormatType, 3, "PKCS_1"},
		{TagKeyFormatType, 5, "X_509"},
		{TagKeyFormatType, 14, "TransparentECDSAPrivateKey"},
		{TagObjectType, 6, "Template"},
		{TagPaddingMethod, 8, "PKCS1V1_5"},
		{TagResultStatus, 0, "Success"},
		{TagResultReason, 0x100, "GeneralFailure"},
		{TagMaskGenerator, 1, "MGF1"},
		{TagMaskGeneratorHashingAlgorithm, 6, "SHA_256"},
		{TagExtensionType, 11, "DateTimeExtended"},
		{TagLinkedObjectIdentifier, 1, "IDPlaceholder"},
		{TagAttributeReference, 0x420094, "UniqueIdentifier"},
		{TagAttributeReference, 0x54ABCD, ""},
		{TagOperation, 0x80000001, "GrantAccess"},
		{TagGrantedOperation, 0x80000005, "CanI"},
		{TagPKCS11Function, 92, "C_MessageVerifyFinal"},
		{TagPKCS11ReturnCode, 0xA0, "PIN_INCORRECT"},
		{TagCryptographicAlgorithm, 0, ""},
		{TagCryptographicAlgorithm, 57, ""},
		{TagOpaqueDataType, 1, ""},
		{TagUsername, 1, ""},
		{TagGrantee, 1, ""},
		{0, 1, ""},
		{0xFFFFFFFF, 1, ""},
	} {
		require.Equal(t, c.name, EnumName(c.tag, c.value), "%v %d", c.tag, c.value)
	}
}

func TestEnumValue(t *testing.T) {
	for _, c := range []struct {
		tag   Tag
		name  string
		value uint32
	}{
		{TagOperation, "Encrypt", 31},
		{TagMaskGeneratorHashingAlgorithm, "SHA_512_256", 13},
		{TagHashingAlgorithm, "SHA_3_256", 15}, // KMIP 1.4
		{TagMaskGenerator, "MFG1", 1},          // KMIP 2.0
		{TagOpaqueDataType, "0x80000001", 0x80000001},
		{TagAttributeReference, "CryptographicUsageMask", uint32(TagCryptographicUsageMask)},
		{TagAttributeReference, "0x54ABCD", 0x54ABCD},
	} {
		value, ok := EnumValue(c.tag, c.name)
		require.True(t, ok, c.name)
		require.Equal(t, c.value, value, c.name)
	}
	for _, name := range []string{"", "encrypt", "AES", "31", "0x", "0x-1", "0x123456789"} {
		_, ok := EnumValue(TagOperation, name)
		require.False(t, ok, name)
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct {
		tag  Tag
		mask int32
		text string
	}{
		{TagCryptographicUsageMask, 12, "Encrypt Decrypt"},
		{TagCryptographicUsageMask, 0x400001, "Sign FPEEncrypt"},
		{TagCryptographicUsageMask, 4 | -0x80000000, "Encrypt 0x80000000"},
		{TagCryptographicUsageMask, 0, "0"},
		{TagStorageStatusMask, 3, "OnLineStorage ArchivalStorage"},
		{TagProtectionStorageMask, 0x2001, "Software SameJurisdiction"},
	} {
		require.Equal(t, c.text, FormatMask(c.tag, c.mask, " "))
		mask, ok := ParseMask(c.tag, FormatMask(c.tag, c.mask, "|"))
		require.True(t, ok, c.text)
		require.Equal(t, c.mask, mask)
	}
	for text, want := range map[string]int32{"Decrypt Encrypt": 12, "12": 12, "0x0000000C": 12, "Encrypt | 8": 12, "-1": -1} {
		mask, ok := ParseMask(TagCryptographicUsageMask, text)
		require.True(t, ok, text)
		require.Equal(t, want, mask, text)
	}
	for _, text := range []string{"", " | ", "Encrypt Fly", "encrypt", "99999999999"} {
		_, ok := ParseMask(TagCryptographicUsageMask, text)
		require.False(t, ok, text)
	}
	_, ok := ParseMask(TagCryptographicLength, "12")
	require.False(t, ok, "a length is no mask")
	require.Equal(t, "0x0000000C", FormatMask(TagCryptographicLength, 12, " "))
}
