package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// formatted has a pair that the server makes in the default Key Format Types of KMIP 2.1 table 81, unless the request asks for
// others. A client of KMIP 1.x, which has no such table, gets keys on curves in DER, for not all of them read the transparent form.
func (r *Request) formatted(private, public *kmip.Object) {
	if onCurve25519(private) || onCurve25519(public) {
		return // has no transparent form here
	}
	for _, o := range []*kmip.Object{private, public} {
		algorithm := o.Attributes.Algorithm()
		f := soft.DefaultFormat(o.ObjectType(), algorithm)
		if f == 0 || o.Attributes.Contains(ttlv.TagKeyFormatType) || r.version < ttlv.V2_0 && algorithm != kmip.CryptographicAlgorithmRSA {
			continue
		}
		o.Attributes = o.Attributes.With(ttlv.TagKeyFormatType, f)
	}
}

func onCurve25519(o *kmip.Object) bool {
	d, _ := kmip.Get[kmip.CryptographicDomainParameters](o.Attributes, ttlv.TagCryptographicDomainParameters)
	return d.RecommendedCurve == kmip.RecommendedCurveCURVE25519
}
