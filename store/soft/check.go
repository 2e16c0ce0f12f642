package soft

import (
	"crypto/sha256"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Check validates an object that a client brings: that it is of the type t, that its material has the form that its Key
// Format Type says, and that a key is of the algorithm and the length that its Key Block says. Material of an algorithm that
// is not known here is taken as it is. A wrapped object is not looked into.
func Check(t kmip.ObjectType, v *kmip.Value) error {
	_, err := check(t, v, nil)
	return err
}

func check(t kmip.ObjectType, v *kmip.Value, a kmip.Attributes) (*contents, error) {
	c, err := parse(v, a)
	if err != nil {
		return nil, err
	}
	if c.object != t {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidObjectType, "the object is a %v, the request says %v", c.object, t)
	}
	return c, nil
}

// Complete is Check with the attributes that a client sends along: they may say what the Key Block leaves out, and must not
// contradict the object. The answer is a with what the object says of itself, as Attributes derives it.
func Complete(t kmip.ObjectType, v *kmip.Value, a kmip.Attributes) (kmip.Attributes, error) {
	c, err := check(t, v, a)
	if err != nil {
		return nil, err
	}
	curve, _ := kmip.Get[kmip.CryptographicDomainParameters](a, ttlv.TagCryptographicDomainParameters)
	if c.curve != 0 && curve.RecommendedCurve != 0 && c.curve != curve.RecommendedCurve {
		return nil, invalid("the attributes say the curve %v, the key is on %v", curve.RecommendedCurve, c.curve)
	}
	found := c.attributes(v)
	for _, tag := range saidTwice {
		for _, x := range a {
			if x.Tag == tag && !found.Has(x) {
				return nil, invalid("the attributes say the %v %v, which the object has not", x, x.Value)
			}
		}
	}
	if c.curve != 0 && curve.RecommendedCurve == c.curve {
		found = found.Without(ttlv.TagCryptographicDomainParameters) // the client's own, which the server does not change (KMIP 2.1 §4.14)
	}
	for _, x := range found {
		a = a.Without(x.Tag)
	}
	return append(a, found...), nil
}

// saidTwice are the attributes that a request may give, though the object says them itself.
var saidTwice = []ttlv.Tag{
	ttlv.TagCertificateType, ttlv.TagCertificateLength, ttlv.TagDigitalSignatureAlgorithm, ttlv.TagOpaqueDataType, ttlv.TagKeyFormatType,
}

// Attributes derives what an object says of itself: Cryptographic Algorithm and Length, Cryptographic Domain Parameters of a
// key on a curve or in a group, Key Format Type, whether there is a Key Value; Certificate Type and Length and the names in a
// certificate; the Digests.
func Attributes(v *kmip.Value) (kmip.Attributes, error) {
	c, err := parse(v, nil)
	if err != nil {
		return nil, err
	}
	return c.attributes(v), nil
}

// attributes lists what was found.
func (c *contents) attributes(v *kmip.Value) (a kmip.Attributes) {
	if c.algorithm != 0 {
		a = a.Plus(ttlv.TagCryptographicAlgorithm, c.algorithm)
	}
	if c.length != 0 {
		a = a.Plus(ttlv.TagCryptographicLength, c.length)
	}
	if c.curve != 0 {
		a = a.Plus(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{RecommendedCurve: c.curve})
	} else if c.qlength != 0 {
		a = a.Plus(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{Qlength: c.qlength})
	}
	if f := c.format(v); f != 0 {
		a = a.Plus(ttlv.TagKeyFormatType, FormatAt(f, c.algorithm, ttlv.V2_0))
	}
	if c.block != nil && c.block.KeyValue == nil {
		a = a.Plus(ttlv.TagKeyValuePresent, false)
	}
	if v.Certificate != nil {
		a = c.certificateAttributes(a, v.Certificate)
	}
	if v.OpaqueObject != nil {
		a = a.Plus(ttlv.TagOpaqueDataType, v.OpaqueObject.OpaqueDataType)
	}
	for _, d := range c.digests(v) {
		a = a.Plus(ttlv.TagDigest, d)
	}
	return a
}

// format is the Key Format Type that the object has (KMIP 2.1 table 81 for those without a Key Block); 0 of a template, and of
// what has none.
func (c *contents) format(v *kmip.Value) kmip.KeyFormatType {
	if c.block != nil {
		return c.block.KeyFormatType
	}
	if f := DefaultFormat(c.object, 0); hasFormat(v, f) {
		return f
	}
	return 0
}

// digests are the SHA-256 of the material in the format in which it is kept, which is the first, and in the default format
// where that is another (KMIP 2.1 §4.21, §4.26; KMIP 1.4 §3.17). Material that is wrapped or elsewhere has none, and a password
// has none: its hash is half the way to it.
func (c *contents) digests(v *kmip.Value) (list []kmip.Digest) {
	add := func(material []byte, f kmip.KeyFormatType) {
		sum := sha256.Sum256(material)
		list = append(list, kmip.Digest{HashingAlgorithm: kmip.HashingAlgorithmSHA256, DigestValue: sum[:], KeyFormatType: f})
	}
	switch {
	case v.Certificate != nil:
		add(v.Certificate.CertificateValue, kmip.KeyFormatTypeX509)
	case v.CertificateRequest != nil:
		add(v.CertificateRequest.CertificateRequestValue, c.format(v))
	case v.OpaqueObject != nil:
		add(v.OpaqueObject.OpaqueDataValue, kmip.KeyFormatTypeOpaque)
	case c.block == nil || c.block.KeyWrappingData != nil || c.block.KeyValue == nil:
	case v.SecretData != nil && v.SecretData.SecretDataType == kmip.SecretDataTypePassword:
	default:
		own, usual := c.block.KeyFormatType, DefaultFormat(c.object, c.algorithm)
		if material := digested(c.block.KeyValue); material != nil {
			add(material, own)
		}
		if usual == 0 || usual == FormatAt(own, c.algorithm, ttlv.V2_0) {
			break
		}
		if kv, err := c.as(Form{Format: usual}); err == nil {
			material := digested(kv)
			add(material, usual)
			clear(material)
		}
	}
	return list
}

// digested is what a digest is of: the Key Material, in TTLV where it is a structure.
func digested(kv *kmip.KeyValue) []byte {
	if kv.Components == nil {
		return kv.Material
	}
	encoded, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagKeyMaterial, kv.Components)
	if err != nil {
		return nil
	}
	return encoded
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }
