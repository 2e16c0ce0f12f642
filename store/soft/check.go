package soft

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"

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
		a = a.Plus(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{Qlength: c.length, RecommendedCurve: c.curve})
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

// certificateAttributes adds those of a certificate. KMIP 2.1 §4.6 to §4.8 and §4.61 to §4.63.
func (c *contents) certificateAttributes(a kmip.Attributes, v *kmip.Certificate) kmip.Attributes {
	a = a.Plus(ttlv.TagCertificateType, v.CertificateType).Plus(ttlv.TagCertificateLength, int32(len(v.CertificateValue)))
	if c.cert == nil {
		return a
	}
	if d, ok := certificateSignatures[c.cert.SignatureAlgorithm]; ok {
		a = a.Plus(ttlv.TagDigitalSignatureAlgorithm, d)
	}
	a = nameAttributes(a, c.cert.Subject.Names, ttlv.TagCertificateSubjectCN)
	a = nameAttributes(a, c.cert.Issuer.Names, ttlv.TagCertificateIssuerCN)
	return a.
		Plus(ttlv.TagX509CertificateIdentifier, kmip.X509CertificateIdentifier{
			IssuerDistinguishedName: clone(c.cert.RawIssuer), CertificateSerialNumber: c.cert.SerialNumber.Bytes(),
		}).
		Plus(ttlv.TagX509CertificateSubject, kmip.X509CertificateSubject{SubjectDistinguishedName: clone(c.cert.RawSubject)}).
		Plus(ttlv.TagX509CertificateIssuer, kmip.X509CertificateIssuer{IssuerDistinguishedName: clone(c.cert.RawIssuer)})
}

// nameParts are the parts of a name that have an attribute each (KMIP 2.1 §4.6), in the order of the attributes' tags.
var nameParts = []string{
	"2.5.4.3",                    // CN
	"2.5.4.10",                   // O
	"2.5.4.11",                   // OU
	"1.2.840.113549.1.9.1",       // Email
	"2.5.4.6",                    // C
	"2.5.4.8",                    // ST
	"2.5.4.7",                    // L
	"0.9.2342.19200300.100.1.1",  // UID
	"2.5.4.5",                    // Serial Number
	"2.5.4.12",                   // Title
	"0.9.2342.19200300.100.1.25", // DC
	"2.5.4.46",                   // DN Qualifier
}

// nameAttributes adds the parts of a subject's or issuer's name; first is the attribute of its CN.
func nameAttributes(a kmip.Attributes, parts []pkix.AttributeTypeAndValue, first ttlv.Tag) kmip.Attributes {
	for _, p := range parts {
		text, ok := p.Value.(string)
		i := slices.Index(nameParts, p.Type.String())
		if x := (kmip.Attribute{Tag: first + ttlv.Tag(i), Value: text}); ok && i >= 0 && !a.Has(x) {
			a = append(a, x)
		}
	}
	return a
}

var certificateSignatures = map[x509.SignatureAlgorithm]kmip.DigitalSignatureAlgorithm{
	x509.SHA1WithRSA:      kmip.DigitalSignatureAlgorithmSHA1WithRSAEncryption,
	x509.SHA256WithRSA:    kmip.DigitalSignatureAlgorithmSHA256WithRSAEncryption,
	x509.SHA384WithRSA:    kmip.DigitalSignatureAlgorithmSHA384WithRSAEncryption,
	x509.SHA512WithRSA:    kmip.DigitalSignatureAlgorithmSHA512WithRSAEncryption,
	x509.SHA256WithRSAPSS: kmip.DigitalSignatureAlgorithmRSASSAPSS,
	x509.SHA384WithRSAPSS: kmip.DigitalSignatureAlgorithmRSASSAPSS,
	x509.SHA512WithRSAPSS: kmip.DigitalSignatureAlgorithmRSASSAPSS,
	x509.ECDSAWithSHA1:    kmip.DigitalSignatureAlgorithmECDSAWithSHA1,
	x509.ECDSAWithSHA256:  kmip.DigitalSignatureAlgorithmECDSAWithSHA256,
	x509.ECDSAWithSHA384:  kmip.DigitalSignatureAlgorithmECDSAWithSHA384,
	x509.ECDSAWithSHA512:  kmip.DigitalSignatureAlgorithmECDSAWithSHA512,
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
