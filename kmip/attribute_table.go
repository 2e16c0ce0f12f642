package kmip

import (
	"math/big"
	"reflect"
	"time"

	"strongroom/kmip/ttlv"
)

// An AttributeRule is one row of the table of attributes: KMIP 2.1 §4, and the attributes of KMIP 1.4 §3 that 2.x dropped.
type AttributeRule struct {
	Tag          ttlv.Tag
	Name         string       // in KMIP 1.x
	Since, Until ttlv.Version // the versions that define it
	Multiple     bool         // may have more than one instance
	ClientSets   bool         // the client may give it when the object is made, or add it
	Modify       bool         // the client may modify it
	Delete       bool         // the client may delete it
	Zero         any          // the zero value of its type; nil for a vendor attribute, whose type is its own

	decode func(*ttlv.Decoder, ttlv.Item) (any, error)
	encode func(*ttlv.Encoder, ttlv.Tag, any) error
	is     func(any) bool
}

// Who may do what with an attribute, in the words of the tables of KMIP 2.1 §4.
const (
	server   = 0                        // initially set by the server alone
	client   = 1 << iota                // set by the client when the object is made
	modify                              // modifiable by the client
	remove                              // deletable by the client
	multiple                            // multiple instances
	old                                 // not in 2.x
	free     = client | modify | remove // the client's own
)

func rule[T any](tag ttlv.Tag, name string, since ttlv.Version, flags int) AttributeRule {
	until := ttlv.V2_1
	if flags&old != 0 {
		until = ttlv.V1_4
	}
	var zero T
	return AttributeRule{
		Tag: tag, Name: name, Since: since, Until: until, Zero: zero,
		Multiple:   flags&multiple != 0,
		ClientSets: flags&client != 0,
		Modify:     flags&modify != 0,
		Delete:     flags&remove != 0,
		decode: func(d *ttlv.Decoder, it ttlv.Item) (any, error) {
			var v T
			err := d.Value(it, &v)
			return v, err
		},
		encode: func(e *ttlv.Encoder, tag ttlv.Tag, v any) error {
			t := v.(T)
			return e.Value(tag, &t)
		},
		is: func(v any) bool { _, ok := v.(T); return ok },
	}
}

// AttributeRules is the table of attributes, about in the order of KMIP 1.4 §3.
var AttributeRules = []AttributeRule{
	rule[string](ttlv.TagUniqueIdentifier, "Unique Identifier", ttlv.V1_0, client),
	rule[[]byte](ttlv.TagShortUniqueIdentifier, "Short Unique Identifier", ttlv.V2_0, server),
	rule[Name](ttlv.TagName, "Name", ttlv.V1_0, free|multiple),
	rule[ObjectType](ttlv.TagObjectType, "Object Type", ttlv.V1_0, server),
	rule[CryptographicAlgorithm](ttlv.TagCryptographicAlgorithm, "Cryptographic Algorithm", ttlv.V1_0, client),
	rule[int32](ttlv.TagCryptographicLength, "Cryptographic Length", ttlv.V1_0, client),
	rule[CryptographicParameters](ttlv.TagCryptographicParameters, "Cryptographic Parameters", ttlv.V1_0, free|multiple),
	rule[CryptographicDomainParameters](ttlv.TagCryptographicDomainParameters, "Cryptographic Domain Parameters", ttlv.V1_0, client),
	rule[CertificateType](ttlv.TagCertificateType, "Certificate Type", ttlv.V1_0, server),
	rule[int32](ttlv.TagCertificateLength, "Certificate Length", ttlv.V1_1, server),
	rule[string](ttlv.TagCertificateSubjectCN, "Certificate Subject CN", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectO, "Certificate Subject O", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectOU, "Certificate Subject OU", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectEmail, "Certificate Subject Email", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectC, "Certificate Subject C", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectST, "Certificate Subject ST", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectL, "Certificate Subject L", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectUID, "Certificate Subject UID", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectSerialNumber, "Certificate Subject Serial Number", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectTitle, "Certificate Subject Title", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectDC, "Certificate Subject DC", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateSubjectDNQualifier, "Certificate Subject DN Qualifier", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerCN, "Certificate Issuer CN", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerO, "Certificate Issuer O", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerOU, "Certificate Issuer OU", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerEmail, "Certificate Issuer Email", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerC, "Certificate Issuer C", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerST, "Certificate Issuer ST", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerL, "Certificate Issuer L", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerUID, "Certificate Issuer UID", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerSerialNumber, "Certificate Issuer Serial Number", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerTitle, "Certificate Issuer Title", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerDC, "Certificate Issuer DC", ttlv.V2_0, server|multiple),
	rule[string](ttlv.TagCertificateIssuerDNQualifier, "Certificate Issuer DN Qualifier", ttlv.V2_0, server|multiple),
	rule[X509CertificateIdentifier](ttlv.TagX509CertificateIdentifier, "X.509 Certificate Identifier", ttlv.V1_1, server),
	rule[X509CertificateSubject](ttlv.TagX509CertificateSubject, "X.509 Certificate Subject", ttlv.V1_1, server),
	rule[X509CertificateIssuer](ttlv.TagX509CertificateIssuer, "X.509 Certificate Issuer", ttlv.V1_1, server),
	rule[OldCertificateIdentifier](ttlv.TagCertificateIdentifier, "Certificate Identifier", ttlv.V1_0, server|old),
	rule[OldCertificateSubject](ttlv.TagCertificateSubject, "Certificate Subject", ttlv.V1_0, server|old),
	rule[OldCertificateIssuer](ttlv.TagCertificateIssuer, "Certificate Issuer", ttlv.V1_0, server|old),
	rule[DigitalSignatureAlgorithm](ttlv.TagDigitalSignatureAlgorithm, "Digital Signature Algorithm", ttlv.V1_1, server|multiple),
	rule[Digest](ttlv.TagDigest, "Digest", ttlv.V1_0, server|multiple),
	rule[string](ttlv.TagOperationPolicyName, "Operation Policy Name", ttlv.V1_0, client|old),
	rule[CryptographicUsageMask](ttlv.TagCryptographicUsageMask, "Cryptographic Usage Mask", ttlv.V1_0, client),
	rule[ttlv.Interval](ttlv.TagLeaseTime, "Lease Time", ttlv.V1_0, server),
	rule[UsageLimits](ttlv.TagUsageLimits, "Usage Limits", ttlv.V1_0, free),
	rule[State](ttlv.TagState, "State", ttlv.V1_0, server),
	rule[time.Time](ttlv.TagInitialDate, "Initial Date", ttlv.V1_0, server),
	rule[time.Time](ttlv.TagActivationDate, "Activation Date", ttlv.V1_0, client|modify),
	rule[time.Time](ttlv.TagProcessStartDate, "Process Start Date", ttlv.V1_0, client|modify),
	rule[time.Time](ttlv.TagProtectStopDate, "Protect Stop Date", ttlv.V1_0, client|modify),
	rule[time.Time](ttlv.TagDeactivationDate, "Deactivation Date", ttlv.V1_0, client|modify),
	rule[time.Time](ttlv.TagDestroyDate, "Destroy Date", ttlv.V1_0, server),
	rule[time.Time](ttlv.TagCompromiseOccurrenceDate, "Compromise Occurrence Date", ttlv.V1_0, server),
	rule[time.Time](ttlv.TagCompromiseDate, "Compromise Date", ttlv.V1_0, server),
	rule[RevocationReason](ttlv.TagRevocationReason, "Revocation Reason", ttlv.V1_0, server),
	rule[time.Time](ttlv.TagArchiveDate, "Archive Date", ttlv.V1_0, server),
	rule[string](ttlv.TagObjectGroup, "Object Group", ttlv.V1_0, free|multiple),
	rule[bool](ttlv.TagFresh, "Fresh", ttlv.V1_1, client),
	rule[Link](ttlv.TagLink, "Link", ttlv.V1_0, free|multiple),
	rule[ApplicationSpecificInformation](ttlv.TagApplicationSpecificInformation, "Application Specific Information", ttlv.V1_0, free|multiple),
	rule[string](ttlv.TagContactInformation, "Contact Information", ttlv.V1_0, free),
	rule[time.Time](ttlv.TagLastChangeDate, "Last Change Date", ttlv.V1_0, server),
	rule[AlternativeName](ttlv.TagAlternativeName, "Alternative Name", ttlv.V1_2, free|multiple),
	rule[bool](ttlv.TagKeyValuePresent, "Key Value Present", ttlv.V1_2, server),
	rule[KeyValueLocation](ttlv.TagKeyValueLocation, "Key Value Location", ttlv.V1_2, free|multiple),
	rule[time.Time](ttlv.TagOriginalCreationDate, "Original Creation Date", ttlv.V1_2, client),
	rule[RNGParameters](ttlv.TagRandomNumberGenerator, "Random Number Generator", ttlv.V1_3, client),
	rule[string](ttlv.TagPKCS12FriendlyName, "PKCS#12 Friendly Name", ttlv.V1_4, free),
	rule[string](ttlv.TagDescription, "Description", ttlv.V1_4, free),
	rule[string](ttlv.TagComment, "Comment", ttlv.V1_4, free),
	rule[bool](ttlv.TagSensitive, "Sensitive", ttlv.V1_4, client|modify),
	rule[bool](ttlv.TagAlwaysSensitive, "Always Sensitive", ttlv.V1_4, server),
	rule[bool](ttlv.TagExtractable, "Extractable", ttlv.V1_4, client|modify),
	rule[bool](ttlv.TagNeverExtractable, "Never Extractable", ttlv.V1_4, server),
	rule[KeyFormatType](ttlv.TagKeyFormatType, "Key Format Type", ttlv.V2_0, server),
	rule[NISTKeyType](ttlv.TagNISTKeyType, "NIST Key Type", ttlv.V2_0, client|multiple),
	rule[OpaqueDataType](ttlv.TagOpaqueDataType, "Opaque Data Type", ttlv.V2_0, server),
	rule[ProtectionLevel](ttlv.TagProtectionLevel, "Protection Level", ttlv.V2_0, free),
	rule[ttlv.Interval](ttlv.TagProtectionPeriod, "Protection Period", ttlv.V2_0, free),
	rule[ProtectionStorageMask](ttlv.TagProtectionStorageMask, "Protection Storage Mask", ttlv.V2_0, server),
	rule[bool](ttlv.TagQuantumSafe, "Quantum Safe", ttlv.V2_0, free),
	rule[ttlv.Interval](ttlv.TagRotateInterval, "Rotate Interval", ttlv.V2_1, client),
	rule[bool](ttlv.TagRotateAutomatic, "Rotate Automatic", ttlv.V2_1, client),
	rule[ttlv.Interval](ttlv.TagRotateOffset, "Rotate Offset", ttlv.V2_1, client),
	rule[time.Time](ttlv.TagRotateDate, "Rotate Date", ttlv.V2_1, server),
	rule[int32](ttlv.TagRotateGeneration, "Rotate Generation", ttlv.V2_1, server),
	rule[RotateName](ttlv.TagRotateName, "Rotate Name", ttlv.V2_1, free),
	rule[bool](ttlv.TagRotateLatest, "Rotate Latest", ttlv.V2_1, server),
}

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

// The rows by tag and by their 1.x name.
var (
	rulesByTag  = rulesBy(func(r *AttributeRule) ttlv.Tag { return r.Tag })
	rulesByName = rulesBy(func(r *AttributeRule) string { return r.Name })
)

func rulesBy[K comparable](key func(*AttributeRule) K) map[K]*AttributeRule {
	m := make(map[K]*AttributeRule, len(AttributeRules))
	for i := range AttributeRules {
		m[key(&AttributeRules[i])] = &AttributeRules[i]
	}
	return m
}

// RuleOf is the row of an attribute; nil for one that no version defines. Vendor attributes have one rule: the client's
// own, with many instances.
func RuleOf(tag ttlv.Tag) *AttributeRule {
	if tag == ttlv.TagAttribute {
		return &vendorRule
	}
	return rulesByTag[tag]
}

var vendorRule = AttributeRule{
	Tag: ttlv.TagAttribute, Name: "Custom Attribute", Since: ttlv.V1_0, Until: ttlv.V2_1,
	Multiple: true, ClientSets: true, Modify: true, Delete: true,
	decode: decodeAny, encode: encodeAny, is: func(any) bool { return true },
}

// Enumeration is the value of a vendor attribute that is an enumeration of the vendor's.
type Enumeration uint32

func decodeAny(d *ttlv.Decoder, it ttlv.Item) (any, error) {
	switch it.Type {
	case ttlv.TypeInteger:
		return it.Int()
	case ttlv.TypeLongInteger:
		return it.Long()
	case ttlv.TypeBigInteger:
		return it.BigInt()
	case ttlv.TypeEnumeration:
		n, err := it.Enum()
		return Enumeration(n), err
	case ttlv.TypeBoolean:
		return it.Bool()
	case ttlv.TypeTextString:
		return it.Text()
	case ttlv.TypeByteString:
		return it.Bytes()
	case ttlv.TypeDateTime:
		return it.Time()
	case ttlv.TypeInterval:
		return it.Interval()
	}
	return nil, Errorf(ResultReasonInvalidField, "a vendor attribute of type %v is not supported", it.Type)
}

func encodeAny(e *ttlv.Encoder, tag ttlv.Tag, v any) error {
	switch v := v.(type) {
	case int32:
		e.Int(tag, v)
	case int64:
		e.Long(tag, v)
	case *big.Int:
		e.BigInt(tag, v)
	case Enumeration:
		e.Enum(tag, uint32(v))
	case bool:
		e.Bool(tag, v)
	case string:
		e.Text(tag, v)
	case []byte:
		e.ByteString(tag, v)
	case time.Time:
		e.Time(tag, v)
	case ttlv.Interval:
		e.Interval(tag, v)
	default:
		return Errorf(ResultReasonGeneralFailure, "a vendor attribute cannot be a %v", reflect.TypeOf(v))
	}
	return nil
}
