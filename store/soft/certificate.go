package soft

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
	"unicode/utf8"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

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
	return namesOf(a, c.cert)
}

// namesOf adds the structures that name a certificate, those of KMIP 1.1 and later in DER, and those of KMIP 1.0 (§3.9 to §3.11) in
// text. Each alternative name is one GeneralName of RFC 5280 §4.2.1.6.
func namesOf(a kmip.Attributes, cert *x509.Certificate) kmip.Attributes {
	subject, subjectTexts := alternatives(cert, "2.5.29.17")
	issuer, issuerTexts := alternatives(cert, "2.5.29.18")
	return a.
		Plus(ttlv.TagX509CertificateIdentifier, kmip.X509CertificateIdentifier{
			IssuerDistinguishedName: clone(cert.RawIssuer), CertificateSerialNumber: cert.SerialNumber.Bytes(),
		}).
		Plus(ttlv.TagX509CertificateSubject, kmip.X509CertificateSubject{
			SubjectDistinguishedName: clone(cert.RawSubject), SubjectAlternativeName: subject,
		}).
		Plus(ttlv.TagX509CertificateIssuer, kmip.X509CertificateIssuer{
			IssuerDistinguishedName: clone(cert.RawIssuer), IssuerAlternativeName: issuer,
		}).
		Plus(ttlv.TagCertificateIdentifier, kmip.OldCertificateIdentifier{
			Issuer: nameText(cert.RawIssuer, cert.Issuer), SerialNumber: cert.SerialNumber.String(),
		}).
		Plus(ttlv.TagCertificateSubject, kmip.OldCertificateSubject{
			CertificateSubjectDistinguishedName: nameText(cert.RawSubject, cert.Subject), CertificateSubjectAlternativeName: subjectTexts,
		}).
		Plus(ttlv.TagCertificateIssuer, kmip.OldCertificateIssuer{
			CertificateIssuerDistinguishedName: nameText(cert.RawIssuer, cert.Issuer), CertificateIssuerAlternativeName: issuerTexts,
		})
}

// nameText is a distinguished name in text, its parts in the order of RFC 4514 §2.1: the last one first.
func nameText(der []byte, name pkix.Name) string {
	var parts pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		return name.String()
	}
	return parts.String()
}

// alternatives lists the alternative names in an extension: in DER, and those that have a text in text.
func alternatives(cert *x509.Certificate, extension string) (der [][]byte, texts []string) {
	for _, x := range cert.Extensions {
		if x.Id.String() != extension {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(x.Value, &names); err != nil {
			return nil, nil
		}
		for _, n := range names {
			der = append(der, clone(n.FullBytes))
			if text, ok := textOf(n); ok {
				texts = append(texts, text)
			}
		}
	}
	return der, texts
}

// textOf is a GeneralName as text: an email address, a DNS name, a URI, or an IP address.
func textOf(n asn1.RawValue) (string, bool) {
	switch {
	case n.Class != asn1.ClassContextSpecific:
	case n.Tag == 1 || n.Tag == 2 || n.Tag == 6:
		return string(n.Bytes), utf8.Valid(n.Bytes)
	case n.Tag == 7:
		ip, ok := netip.AddrFromSlice(n.Bytes)
		return ip.String(), ok
	}
	return "", false
}

// CertificateUsage is the Cryptographic Usage Mask that the Key Usage of an X.509 certificate stands for (KMIP 1.4 §3.19); that of
// any public key where the certificate does not say, and of any other.
func CertificateUsage(v *kmip.Certificate) kmip.CryptographicUsageMask {
	usual := kmip.CryptographicUsageMaskVerify | kmip.CryptographicUsageMaskEncrypt | kmip.CryptographicUsageMaskWrapKey
	if v == nil || v.CertificateType != kmip.CertificateTypeX509 {
		return usual
	}
	cert, err := x509.ParseCertificate(v.CertificateValue)
	if err != nil || cert.KeyUsage == 0 {
		return usual
	}
	var mask kmip.CryptographicUsageMask
	for _, u := range keyUsages {
		if cert.KeyUsage&u.usage != 0 {
			mask |= u.mask
		}
	}
	return mask
}

var keyUsages = []struct {
	usage x509.KeyUsage
	mask  kmip.CryptographicUsageMask
}{
	{x509.KeyUsageDigitalSignature, kmip.CryptographicUsageMaskVerify},
	{x509.KeyUsageContentCommitment, kmip.CryptographicUsageMaskContentCommitment},
	{x509.KeyUsageKeyEncipherment, kmip.CryptographicUsageMaskWrapKey},
	{x509.KeyUsageDataEncipherment, kmip.CryptographicUsageMaskEncrypt},
	{x509.KeyUsageKeyAgreement, kmip.CryptographicUsageMaskKeyAgreement},
	{x509.KeyUsageCertSign, kmip.CryptographicUsageMaskCertificateSign},
	{x509.KeyUsageCRLSign, kmip.CryptographicUsageMaskCRLSign},
	{x509.KeyUsageEncipherOnly, kmip.CryptographicUsageMaskEncrypt},
	{x509.KeyUsageDecipherOnly, kmip.CryptographicUsageMaskDecrypt},
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
	x509.MD2WithRSA:       kmip.DigitalSignatureAlgorithmMD2WithRSAEncryption,
	x509.MD5WithRSA:       kmip.DigitalSignatureAlgorithmMD5WithRSAEncryption,
	x509.DSAWithSHA1:      kmip.DigitalSignatureAlgorithmDSAWithSHA1,
	x509.DSAWithSHA256:    kmip.DigitalSignatureAlgorithmDSAWithSHA256,
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
