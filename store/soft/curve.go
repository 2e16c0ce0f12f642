package soft

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"

	"strongroom/kmip"
)

// A curve is a curve of FIPS 186 that the standard library has.
type curve struct {
	name  kmip.RecommendedCurve
	curve elliptic.Curve
	bits  int32 // Cryptographic Length
}

var curves = []curve{
	{kmip.RecommendedCurveP224, elliptic.P224(), 224},
	{kmip.RecommendedCurveP256, elliptic.P256(), 256},
	{kmip.RecommendedCurveP384, elliptic.P384(), 384},
	{kmip.RecommendedCurveP521, elliptic.P521(), 521},
}

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

// private makes a private key of its scalar.
func (c curve) private(d *big.Int) (*ecdsa.PrivateKey, error) {
	if d == nil || d.Sign() <= 0 || d.BitLen() > int(c.bits) {
		return nil, invalid("the D of a %v private key is missing or out of range", c.name)
	}
	scalar := d.FillBytes(make([]byte, (c.bits+7)/8))
	defer clear(scalar)
	key, err := ecdsa.ParseRawPrivateKey(c.curve, scalar)
	if err != nil {
		return nil, invalid("the D of a %v private key is out of range", c.name)
	}
	return key, nil
}

// public makes a public key of a point, uncompressed or compressed (SEC 1 §2.3.4).
func (c curve) public(point []byte) (*ecdsa.PublicKey, error) {
	if len(point) > 0 && (point[0] == 2 || point[0] == 3) {
		x, y := elliptic.UnmarshalCompressed(c.curve, point)
		if x == nil {
			return nil, invalid("the Q String is no compressed point of %v", c.name)
		}
		size := (int(c.bits) + 7) / 8
		point = append([]byte{4}, make([]byte, 2*size)...)
		x.FillBytes(point[1:][:size])
		y.FillBytes(point[1+size:])
	}
	key, err := ecdsa.ParseUncompressedPublicKey(c.curve, point)
	if err != nil {
		return nil, invalid("the Q String is no point of %v", c.name)
	}
	return key, nil
}
