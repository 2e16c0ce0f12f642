package kmip

import "strongroom/kmip/ttlv"

// RecommendedCurve is an elliptic curve (KMIP 2.1 §11.45).
type RecommendedCurve uint32

// Values of RecommendedCurve.
const (
	RecommendedCurveP192             RecommendedCurve = 1
	RecommendedCurveK163             RecommendedCurve = 2
	RecommendedCurveB163             RecommendedCurve = 3
	RecommendedCurveP224             RecommendedCurve = 4
	RecommendedCurveK233             RecommendedCurve = 5
	RecommendedCurveB233             RecommendedCurve = 6
	RecommendedCurveP256             RecommendedCurve = 7
	RecommendedCurveK283             RecommendedCurve = 8
	RecommendedCurveB283             RecommendedCurve = 9
	RecommendedCurveP384             RecommendedCurve = 10
	RecommendedCurveK409             RecommendedCurve = 11
	RecommendedCurveB409             RecommendedCurve = 12
	RecommendedCurveP521             RecommendedCurve = 13
	RecommendedCurveK571             RecommendedCurve = 14
	RecommendedCurveB571             RecommendedCurve = 15
	RecommendedCurveSECP112R1        RecommendedCurve = 16
	RecommendedCurveSECP112R2        RecommendedCurve = 17
	RecommendedCurveSECP128R1        RecommendedCurve = 18
	RecommendedCurveSECP128R2        RecommendedCurve = 19
	RecommendedCurveSECP160K1        RecommendedCurve = 20
	RecommendedCurveSECP160R1        RecommendedCurve = 21
	RecommendedCurveSECP160R2        RecommendedCurve = 22
	RecommendedCurveSECP192K1        RecommendedCurve = 23
	RecommendedCurveSECP224K1        RecommendedCurve = 24
	RecommendedCurveSECP256K1        RecommendedCurve = 25
	RecommendedCurveSECT113R1        RecommendedCurve = 26
	RecommendedCurveSECT113R2        RecommendedCurve = 27
	RecommendedCurveSECT131R1        RecommendedCurve = 28
	RecommendedCurveSECT131R2        RecommendedCurve = 29
	RecommendedCurveSECT163R1        RecommendedCurve = 30
	RecommendedCurveSECT193R1        RecommendedCurve = 31
	RecommendedCurveSECT193R2        RecommendedCurve = 32
	RecommendedCurveSECT239K1        RecommendedCurve = 33
	RecommendedCurveANSIX9P192V2     RecommendedCurve = 34
	RecommendedCurveANSIX9P192V3     RecommendedCurve = 35
	RecommendedCurveANSIX9P239V1     RecommendedCurve = 36
	RecommendedCurveANSIX9P239V2     RecommendedCurve = 37
	RecommendedCurveANSIX9P239V3     RecommendedCurve = 38
	RecommendedCurveANSIX9C2PNB163V1 RecommendedCurve = 39
	RecommendedCurveANSIX9C2PNB163V2 RecommendedCurve = 40
	RecommendedCurveANSIX9C2PNB163V3 RecommendedCurve = 41
	RecommendedCurveANSIX9C2PNB176V1 RecommendedCurve = 42
	RecommendedCurveANSIX9C2TNB191V1 RecommendedCurve = 43
	RecommendedCurveANSIX9C2TNB191V2 RecommendedCurve = 44
	RecommendedCurveANSIX9C2TNB191V3 RecommendedCurve = 45
	RecommendedCurveANSIX9C2PNB208W1 RecommendedCurve = 46
	RecommendedCurveANSIX9C2TNB239V1 RecommendedCurve = 47
	RecommendedCurveANSIX9C2TNB239V2 RecommendedCurve = 48
	RecommendedCurveANSIX9C2TNB239V3 RecommendedCurve = 49
	RecommendedCurveANSIX9C2PNB272W1 RecommendedCurve = 50
	RecommendedCurveANSIX9C2PNB304W1 RecommendedCurve = 51
	RecommendedCurveANSIX9C2TNB359V1 RecommendedCurve = 52
	RecommendedCurveANSIX9C2PNB368W1 RecommendedCurve = 53
	RecommendedCurveANSIX9C2TNB431R1 RecommendedCurve = 54
	RecommendedCurveBRAINPOOLP160R1  RecommendedCurve = 55
	RecommendedCurveBRAINPOOLP160T1  RecommendedCurve = 56
	RecommendedCurveBRAINPOOLP192R1  RecommendedCurve = 57
	RecommendedCurveBRAINPOOLP192T1  RecommendedCurve = 58
	RecommendedCurveBRAINPOOLP224R1  RecommendedCurve = 59
	RecommendedCurveBRAINPOOLP224T1  RecommendedCurve = 60
	RecommendedCurveBRAINPOOLP256R1  RecommendedCurve = 61
	RecommendedCurveBRAINPOOLP256T1  RecommendedCurve = 62
	RecommendedCurveBRAINPOOLP320R1  RecommendedCurve = 63
	RecommendedCurveBRAINPOOLP320T1  RecommendedCurve = 64
	RecommendedCurveBRAINPOOLP384R1  RecommendedCurve = 65
	RecommendedCurveBRAINPOOLP384T1  RecommendedCurve = 66
	RecommendedCurveBRAINPOOLP512R1  RecommendedCurve = 67
	RecommendedCurveBRAINPOOLP512T1  RecommendedCurve = 68
	RecommendedCurveCURVE25519       RecommendedCurve = 69
	RecommendedCurveCURVE448         RecommendedCurve = 70
)

// String returns the normalized name, or the value in hexadecimal.
func (v RecommendedCurve) String() string { return enumString(ttlv.TagRecommendedCurve, uint32(v)) }
