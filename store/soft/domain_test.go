package soft

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestDomainParameters: those of a request stay as they are; those that the key says have no Qlength, which is of DSA and DH. KMIP 2.1
// §4.14.
func TestDomainParameters(t *testing.T) {
	pair := kmip.Attributes{
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmECDSA}, {Tag: ttlv.TagCryptographicLength, Value: int32(256)},
	}
	_, public, err := GeneratePair(pair, pair, nil)
	require.NoError(t, err)
	p256 := kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveP256}
	both := kmip.CryptographicDomainParameters{Qlength: 256, RecommendedCurve: kmip.RecommendedCurveP256}
	for _, x := range []struct{ given, want kmip.Attributes }{
		{nil, kmip.Attributes{{Tag: ttlv.TagCryptographicDomainParameters, Value: p256}}},
		{kmip.Attributes{{Tag: ttlv.TagCryptographicDomainParameters, Value: p256}}, kmip.Attributes{{Tag: ttlv.TagCryptographicDomainParameters, Value: p256}}},
		{kmip.Attributes{{Tag: ttlv.TagCryptographicDomainParameters, Value: both}}, kmip.Attributes{{Tag: ttlv.TagCryptographicDomainParameters, Value: both}}},
	} {
		complete, err := Complete(kmip.ObjectTypePublicKey, public, x.given)
		require.NoError(t, err)
		require.Equal(t, kmip.All[kmip.CryptographicDomainParameters](x.want, ttlv.TagCryptographicDomainParameters),
			kmip.All[kmip.CryptographicDomainParameters](complete, ttlv.TagCryptographicDomainParameters))
	}
	p384 := kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveP384}
	_, err = Complete(kmip.ObjectTypePublicKey, public, kmip.Attributes{{Tag: ttlv.TagCryptographicDomainParameters, Value: p384}})
	require.Error(t, err)
}
