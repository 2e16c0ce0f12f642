package kmip

// Name names an object. KMIP 2.1 §4.32.
type Name struct {
	NameValue string   `ttlv:"NameValue"`
	NameType  NameType `ttlv:"NameType"`
}

// Link points at a related object. KMIP 2.1 §4.31.
type Link struct {
	LinkType               LinkType         `ttlv:"LinkType"`
	LinkedObjectIdentifier UniqueIdentifier `ttlv:"LinkedObjectIdentifier"`
}

// Digest is a hash of the material. KMIP 2.1 §4.21.
type Digest struct {
	HashingAlgorithm HashingAlgorithm `ttlv:"HashingAlgorithm"`
	DigestValue      []byte           `ttlv:"DigestValue,omitempty"`
	KeyFormatType    KeyFormatType    `ttlv:"KeyFormatType,1.1+,omitempty"`
}

// CryptographicDomainParameters choose a curve or group. KMIP 2.1 §4.14.
type CryptographicDomainParameters struct {
	Qlength          int32            `ttlv:"Qlength,omitempty"` // bits
	RecommendedCurve RecommendedCurve `ttlv:"RecommendedCurve,omitempty"`
}

// UsageLimits bound how often a key may be used. KMIP 2.1 §4.59.
type UsageLimits struct {
	UsageLimitsTotal int64           `ttlv:"UsageLimitsTotal"`
	UsageLimitsCount *int64          `ttlv:"UsageLimitsCount"`
	UsageLimitsUnit  UsageLimitsUnit `ttlv:"UsageLimitsUnit"`
}

// ApplicationSpecificInformation is data of the client's. KMIP 2.1 §4.4.
type ApplicationSpecificInformation struct {
	ApplicationNamespace string `ttlv:"ApplicationNamespace"`
	ApplicationData      string `ttlv:"ApplicationData,omitempty"`
}

// AlternativeName is another name of an object. KMIP 2.1 §4.2.
type AlternativeName struct {
	AlternativeNameValue string              `ttlv:"AlternativeNameValue"`
	AlternativeNameType  AlternativeNameType `ttlv:"AlternativeNameType"`
}

// KeyValueLocation says where material is kept that the server does not have. KMIP 2.1 §4.27.
type KeyValueLocation struct {
	KeyValueLocationValue string               `ttlv:"KeyValueLocationValue"`
	KeyValueLocationType  KeyValueLocationType `ttlv:"KeyValueLocationType"`
}

// RotateName names a set of keys that replace each other. KMIP 2.1 §4.53.
type RotateName struct {
	RotateNameValue string   `ttlv:"RotateNameValue"`
	RotateNameType  NameType `ttlv:"RotateNameType"`
}

// X509CertificateIdentifier is the issuer and serial number, in DER. KMIP 2.1 §4.61.
type X509CertificateIdentifier struct {
	IssuerDistinguishedName []byte `ttlv:"IssuerDistinguishedName,omitempty"`
	CertificateSerialNumber []byte `ttlv:"CertificateSerialNumber,omitempty"`
}

// X509CertificateSubject is the subject, in DER. KMIP 2.1 §4.63.
type X509CertificateSubject struct {
	SubjectDistinguishedName []byte   `ttlv:"SubjectDistinguishedName,omitempty"`
	SubjectAlternativeName   [][]byte `ttlv:"SubjectAlternativeName"`
}

// X509CertificateIssuer is the issuer, in DER. KMIP 2.1 §4.62.
type X509CertificateIssuer struct {
	IssuerDistinguishedName []byte   `ttlv:"IssuerDistinguishedName,omitempty"`
	IssuerAlternativeName   [][]byte `ttlv:"IssuerAlternativeName"`
}

// OldCertificateIdentifier is the issuer and serial number as text. KMIP 1.4 §3.13, deprecated since 1.1.
type OldCertificateIdentifier struct {
	Issuer       string `ttlv:"Issuer"`
	SerialNumber string `ttlv:"SerialNumber,omitempty"`
}

// OldCertificateSubject is the subject as text. KMIP 1.4 §3.14, deprecated since 1.1.
type OldCertificateSubject struct {
	CertificateSubjectDistinguishedName string   `ttlv:"CertificateSubjectDistinguishedName"`
	CertificateSubjectAlternativeName   []string `ttlv:"CertificateSubjectAlternativeName"`
}

// OldCertificateIssuer is the issuer as text. KMIP 1.4 §3.15, deprecated since 1.1.
type OldCertificateIssuer struct {
	CertificateIssuerDistinguishedName string   `ttlv:"CertificateIssuerDistinguishedName"`
	CertificateIssuerAlternativeName   []string `ttlv:"CertificateIssuerAlternativeName"`
}
