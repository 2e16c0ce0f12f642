package soft

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"

	"strongroom/kmip"
)

// A curve is a curve that keys may be on. The standard library computes on some of them; keys on the others are kept and
// converted.
type curve struct {
	name  kmip.RecommendedCurve
	curve elliptic.Curve // nil: not one of the standard library's
	bits  int32          // Cryptographic Length
	oid   asn1.ObjectIdentifier
}

// The arcs under which curves have their names: SEC 2 §A.2, RFC 5480 §2.1.1.1, RFC 5639 §4.1.
var (
	arcSEC       = asn1.ObjectIdentifier{1, 3, 132, 0}
	arcX962      = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1}
	arcBrainpool = asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1}
)

func under(arc asn1.ObjectIdentifier, n int) asn1.ObjectIdentifier {
	return append(arc[:len(arc):len(arc)], n)
}

// curves begins with those of the standard library.
var curves = []curve{
	{kmip.RecommendedCurveP224, elliptic.P224(), 224, under(arcSEC, 33)},
	{kmip.RecommendedCurveP256, elliptic.P256(), 256, under(arcX962, 7)},
	{kmip.RecommendedCurveP384, elliptic.P384(), 384, under(arcSEC, 34)},
	{kmip.RecommendedCurveP521, elliptic.P521(), 521, under(arcSEC, 35)},

	{kmip.RecommendedCurveP192, nil, 192, under(arcX962, 1)},
	{kmip.RecommendedCurveANSIX9P192V2, nil, 192, under(arcX962, 2)},
	{kmip.RecommendedCurveANSIX9P192V3, nil, 192, under(arcX962, 3)},
	{kmip.RecommendedCurveANSIX9P239V1, nil, 239, under(arcX962, 4)},
	{kmip.RecommendedCurveANSIX9P239V2, nil, 239, under(arcX962, 5)},
	{kmip.RecommendedCurveANSIX9P239V3, nil, 239, under(arcX962, 6)},
	{kmip.RecommendedCurveK163, nil, 163, under(arcSEC, 1)},
	{kmip.RecommendedCurveSECT163R1, nil, 163, under(arcSEC, 2)},
	{kmip.RecommendedCurveSECT239K1, nil, 239, under(arcSEC, 3)},
	{kmip.RecommendedCurveSECT113R1, nil, 113, under(arcSEC, 4)},
	{kmip.RecommendedCurveSECT113R2, nil, 113, under(arcSEC, 5)},
	{kmip.RecommendedCurveSECP112R1, nil, 112, under(arcSEC, 6)},
	{kmip.RecommendedCurveSECP112R2, nil, 112, under(arcSEC, 7)},
	{kmip.RecommendedCurveSECP160R1, nil, 160, under(arcSEC, 8)},
	{kmip.RecommendedCurveSECP160K1, nil, 160, under(arcSEC, 9)},
	{kmip.RecommendedCurveSECP256K1, nil, 256, under(arcSEC, 10)},
	{kmip.RecommendedCurveB163, nil, 163, under(arcSEC, 15)},
	{kmip.RecommendedCurveK283, nil, 283, under(arcSEC, 16)},
	{kmip.RecommendedCurveB283, nil, 283, under(arcSEC, 17)},
	{kmip.RecommendedCurveSECT131R1, nil, 131, under(arcSEC, 22)},
	{kmip.RecommendedCurveSECT131R2, nil, 131, under(arcSEC, 23)},
	{kmip.RecommendedCurveSECT193R1, nil, 193, under(arcSEC, 24)},
	{kmip.RecommendedCurveSECT193R2, nil, 193, under(arcSEC, 25)},
	{kmip.RecommendedCurveK233, nil, 233, under(arcSEC, 26)},
	{kmip.RecommendedCurveB233, nil, 233, under(arcSEC, 27)},
	{kmip.RecommendedCurveSECP128R1, nil, 128, under(arcSEC, 28)},
	{kmip.RecommendedCurveSECP128R2, nil, 128, under(arcSEC, 29)},
	{kmip.RecommendedCurveSECP160R2, nil, 160, under(arcSEC, 30)},
	{kmip.RecommendedCurveSECP192K1, nil, 192, under(arcSEC, 31)},
	{kmip.RecommendedCurveSECP224K1, nil, 224, under(arcSEC, 32)},
	{kmip.RecommendedCurveK409, nil, 409, under(arcSEC, 36)},
	{kmip.RecommendedCurveB409, nil, 409, under(arcSEC, 37)},
	{kmip.RecommendedCurveK571, nil, 571, under(arcSEC, 38)},
	{kmip.RecommendedCurveB571, nil, 571, under(arcSEC, 39)},
	{kmip.RecommendedCurveBRAINPOOLP160R1, nil, 160, under(arcBrainpool, 1)},
	{kmip.RecommendedCurveBRAINPOOLP160T1, nil, 160, under(arcBrainpool, 2)},
	{kmip.RecommendedCurveBRAINPOOLP192R1, nil, 192, under(arcBrainpool, 3)},
	{kmip.RecommendedCurveBRAINPOOLP192T1, nil, 192, under(arcBrainpool, 4)},
	{kmip.RecommendedCurveBRAINPOOLP224R1, nil, 224, under(arcBrainpool, 5)},
	{kmip.RecommendedCurveBRAINPOOLP224T1, nil, 224, under(arcBrainpool, 6)},
	{kmip.RecommendedCurveBRAINPOOLP256R1, nil, 256, under(arcBrainpool, 7)},
	{kmip.RecommendedCurveBRAINPOOLP256T1, nil, 256, under(arcBrainpool, 8)},
	{kmip.RecommendedCurveBRAINPOOLP320R1, nil, 320, under(arcBrainpool, 9)},
	{kmip.RecommendedCurveBRAINPOOLP320T1, nil, 320, under(arcBrainpool, 10)},
	{kmip.RecommendedCurveBRAINPOOLP384R1, nil, 384, under(arcBrainpool, 11)},
	{kmip.RecommendedCurveBRAINPOOLP384T1, nil, 384, under(arcBrainpool, 12)},
	{kmip.RecommendedCurveBRAINPOOLP512R1, nil, 512, under(arcBrainpool, 13)},
	{kmip.RecommendedCurveBRAINPOOLP512T1, nil, 512, under(arcBrainpool, 14)},
}

// made are the curves that keys are generated on: P-224 is read, but not made.
var made = curves[1:4]

// curveNamed finds the curve that KMIP calls name.
func curveNamed(name kmip.RecommendedCurve) (curve, error) {
	for _, c := range curves {
		if c.name == name {
			return c, nil
		}
	}
	return curve{}, invalid("the Recommended Curve %v is not supported", name)
}

// curveOf finds a curve of the standard library's.
func curveOf(e elliptic.Curve) (curve, error) {
	for _, c := range curves {
		if c.curve == e {
			return c, nil
		}
	}
	return curve{}, invalid("a key on an unknown curve")
}

// curveWith finds the curve that DER calls oid.
func curveWith(oid asn1.ObjectIdentifier) (curve, error) {
	for _, c := range curves {
		if c.oid.Equal(oid) {
			return c, nil
		}
	}
	return curve{}, invalid("a key on an unknown curve")
}

// size is the length of a coordinate, and of a scalar, in bytes. The order of a curve with a cofactor is shorter than its
// field; of secp160r1 and its like it is a bit longer.
func (c curve) size() int { return (int(c.bits) + 7) / 8 }

// private makes a private key of its scalar.
func (c curve) private(d *big.Int) (any, error) {
	if d == nil || d.Sign() <= 0 || d.BitLen() > int(c.bits)+1 {
		return nil, invalid("the D of a %v private key is missing or out of range", c.name)
	}
	if c.curve == nil {
		return &keptEC{curve: c, d: copyInt(d)}, nil
	}
	if d.BitLen() > int(c.bits) {
		return nil, invalid("the D of a %v private key is out of range", c.name)
	}
	scalar := d.FillBytes(make([]byte, c.size()))
	defer clear(scalar)
	key, err := ecdsa.ParseRawPrivateKey(c.curve, scalar)
	if err != nil {
		return nil, invalid("the D of a %v private key is out of range", c.name)
	}
	return key, nil
}

// The first byte of a point (SEC 1 §2.3.3, X9.62 §4.3.6).
const (
	compressedEven = 2
	uncompressed   = 4
	hybridEven     = 6
)

// public makes a public key of a point: uncompressed, compressed or hybrid.
func (c curve) public(point []byte) (any, error) {
	size := c.size()
	bad := invalid("the Q String is no point of %v", c.name)
	if len(point) == 0 {
		return nil, bad
	}
	form, whole := point[0]&^1, len(point) == 1+2*size
	if form == hybridEven && whole && c.prime() {
		if point[2*size]&1 != point[0]&1 {
			return nil, bad
		}
		form, point = uncompressed, append([]byte{uncompressed}, point[1:]...)
	}
	if c.curve == nil {
		kept := point[0] == uncompressed && whole || form == hybridEven && whole || form == compressedEven && len(point) == 1+size
		if !kept {
			return nil, bad
		}
		return &keptEC{curve: c, point: clone(point)}, nil
	}
	if form == compressedEven {
		x, y := elliptic.UnmarshalCompressed(c.curve, point)
		if x == nil {
			return nil, bad
		}
		point = append([]byte{uncompressed}, make([]byte, 2*size)...)
		x.FillBytes(point[1:][:size])
		y.FillBytes(point[1+size:])
	}
	key, err := ecdsa.ParseUncompressedPublicKey(c.curve, point)
	if err != nil {
		return nil, bad
	}
	return key, nil
}

// prime says whether the curve is over a prime field: a point's sign is then the parity of y.
func (c curve) prime() bool {
	switch c.name {
	case kmip.RecommendedCurveK163, kmip.RecommendedCurveB163, kmip.RecommendedCurveK233, kmip.RecommendedCurveB233,
		kmip.RecommendedCurveK283, kmip.RecommendedCurveB283, kmip.RecommendedCurveK409, kmip.RecommendedCurveB409,
		kmip.RecommendedCurveK571, kmip.RecommendedCurveB571, kmip.RecommendedCurveSECT239K1:
		return false
	}
	return c.name < kmip.RecommendedCurveSECT113R1 || c.name > kmip.RecommendedCurveSECT193R2
}

// errCompression refuses a Key Compression Type that a key does not have.
var errCompression = kmip.Errorf(kmip.ResultReasonKeyCompressionTypeNotSupported, "the object cannot be had in this Key Compression Type")

// pointAs writes a point in the form of a Key Compression Type; 0 and uncompressed are how the formats have it.
func (c curve) pointAs(point []byte, t kmip.KeyCompressionType) ([]byte, error) {
	size := c.size()
	uncompressedPoint := len(point) == 1+2*size && point[0] == uncompressed
	switch t {
	case 0:
		return point, nil
	case kmip.KeyCompressionTypeECPublicKeyTypeUncompressed:
		if uncompressedPoint {
			return point, nil
		}
	case kmip.KeyCompressionTypeECPublicKeyTypeX9_62CompressedPrime:
		if uncompressedPoint && c.prime() {
			return append([]byte{compressedEven | point[2*size]&1}, point[1:1+size]...), nil
		}
		if len(point) == 1+size && c.prime() {
			return point, nil
		}
	case kmip.KeyCompressionTypeECPublicKeyTypeX9_62CompressedChar2:
		if len(point) == 1+size && !c.prime() {
			return point, nil
		}
	case kmip.KeyCompressionTypeECPublicKeyTypeX9_62Hybrid:
		if uncompressedPoint && c.prime() {
			return append([]byte{hybridEven | point[2*size]&1}, point[1:]...), nil
		}
		if len(point) == 1+2*size && point[0]&^1 == hybridEven {
			return point, nil
		}
	}
	return nil, errCompression
}

// keptEC is a key on a curve that the standard library does not have.
type keptEC struct {
	curve curve
	d     *big.Int // of a private key
	point []byte   // of a public key, as it came; of a private key too, where it came along
}
