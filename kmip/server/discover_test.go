package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestQueryExtensionMap: a map has the tag and the type of each extension, whether or not a list is asked for, too; a list has names
// alone. KMIP 1.4 §4.25.
func TestQueryExtensionMap(t *testing.T) {
	const list, mapped = kmip.QueryFunctionQueryExtensionList, kmip.QueryFunctionQueryExtensionMap
	for _, v := range everyVersion[1:] {
		c := newRig(t, Limits{}).client("alice", v)
		extensions := func(f ...kmip.QueryFunction) []kmip.ExtensionInformation {
			found := must[kmip.QueryResponse](t, c, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: f}).ExtensionInformation
			require.Len(t, found, 8)
			return found
		}
		for _, x := range extensions(list) {
			require.NotEmpty(t, x.ExtensionName)
			require.Nil(t, x.ExtensionTag)
			require.Nil(t, x.ExtensionType)
		}
		for _, f := range [][]kmip.QueryFunction{{mapped}, {list, mapped}, {mapped, list}} {
			for _, x := range extensions(f...) {
				require.Equal(t, x.ExtensionName, ttlv.Tag(*x.ExtensionTag).String())
				is, err := ttlv.Parse(x.ExtensionType, nil)
				require.NoError(t, err)
				want := any(int32(ttlv.TypeTextString))
				if v >= ttlv.V2_0 {
					want = uint32(kmip.ItemTypeTextString)
				}
				if x.ExtensionName == "Grantee" || x.ExtensionName == "Identity" {
					require.Equal(t, want, is.Value)
				} else {
					require.NotEqual(t, want, is.Value)
				}
			}
		}
	}
}
