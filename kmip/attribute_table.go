package kmip

import (
	"reflect"
	"time"

	"strongroom/kmip/ttlv"
)

// An AttributeRule is one row of the table of attributes: KMIP 2.1 §4, and the attributes of KMIP 1.4 §3 that 2.x dropped.
type AttributeRule struct {
	Tag            ttlv.Tag
	Name           string        // in KMIP 1.x
	Since, Until   ttlv.Version  // the versions that define it
	Multiple       bool          // may have more than one instance
	ServerSets     bool          // the server may set it first
	ClientSets     bool          // the client may set it first: when the object is made, or later while it has no value
	Stated         bool          // set by the server alone; but a request that makes an object may state it
	ServerModifies bool          // the server may change it without being asked
	Modify         bool          // the client may modify it
	Delete         bool          // the client may delete it
	Implicit       OperationSet  // these may set it without being told to
	Always         ObjectTypeSet // these always have a value
	Zero           any           // the zero value of its type; nil for a vendor attribute, whose type is its own

	applies applies

	decode    func(*ttlv.Decoder, ttlv.Item) (any, error)
	encode    func(*ttlv.Encoder, ttlv.Tag, any) error
	is        func(any) bool
	definedAt func(any, ttlv.Version) (any, bool)
}

// AppliesTo says whether objects of a type may have the attribute, by the tables of a version.
func (r *AttributeRule) AppliesTo(t ObjectType, v ttlv.Version) bool {
	if v < ttlv.V2_0 {
		return r.applies.old.Has(t)
	}
	return r.applies.new.Has(t)
}

// AppliesEver says whether objects of a type may have the attribute by the tables of any version.
func (r *AttributeRule) AppliesEver(t ObjectType) bool { return (r.applies.old | r.applies.new).Has(t) }

// Who may do what with an attribute, in the words of the tables of KMIP 2.1 §4.
const (
	byServer = 1 << iota // initially set by the server
	byClient             // initially set by the client
	stated               // a request that makes an object may state it
	changes              // modifiable by the server
	modify               // modifiable by the client
	remove               // deletable by the client
	multiple             // multiple instances
	always               // always has a value
	old                  // not in 2.x

	free   = byClient | modify | remove // the client's own
	shared = free | byServer | changes  // the client's, and the server's
)

func rule[T any](tag ttlv.Tag, name string, since ttlv.Version, flags int, implicit OperationSet, to applies) AttributeRule {
	until := ttlv.V2_1
	if flags&old != 0 {
		until = ttlv.V1_4
	}
	var zero T
	r := AttributeRule{
		Tag: tag, Name: name, Since: since, Until: until, Zero: zero, Implicit: implicit, applies: to,
		Multiple:       flags&multiple != 0,
		ServerSets:     flags&byServer != 0,
		ClientSets:     flags&byClient != 0,
		Stated:         flags&stated != 0,
		ServerModifies: flags&changes != 0,
		Modify:         flags&modify != 0,
		Delete:         flags&remove != 0,
		definedAt:      definedAt[T](tag),
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
	if flags&always != 0 {
		r.Always = (to.old | to.new) &^ to.except
	}
	return r
}

// definedAt makes the function that gives a value as a version has it: a mask without the bits that it does not define, and false
// of an enumeration that it does not define. Structures are looked into as they are encoded.
func definedAt[T any](tag ttlv.Tag) func(any, ttlv.Version) (any, bool) {
	var zero T
	switch k := reflect.TypeFor[T]().Kind(); {
	case k == reflect.Int32 && ttlv.IsMask(tag):
		return func(v any, at ttlv.Version) (any, bool) {
			mask := reflect.New(reflect.TypeFor[T]()).Elem()
			mask.SetInt(int64(ttlv.DefinedMask(tag, int32(reflect.ValueOf(v).Int()), at)))
			return mask.Interface(), true
		}
	case k == reflect.Uint32 && any(zero) != any(ttlv.Interval(0)):
		return func(v any, at ttlv.Version) (any, bool) {
			return v, ttlv.Defined(tag, uint32(reflect.ValueOf(v).Uint()), at)
		}
	}
	return func(v any, _ ttlv.Version) (any, bool) { return v, true }
}

// Operations that set attributes without being told to.
var (
	none      = OperationSet(0)
	made      = SetOf(OperationCreate, OperationCreateKeyPair, OperationRegister, OperationDeriveKey, OperationCertify, OperationReCertify, OperationReKey, OperationReKeyKeyPair)
	generated = SetOf(OperationCreate, OperationCreateKeyPair, OperationDeriveKey, OperationReKey, OperationReKeyKeyPair)
	certified = SetOf(OperationRegister, OperationCertify, OperationReCertify)
	replaced  = SetOf(OperationReKey, OperationReKeyKeyPair, OperationReCertify)
	touched   = SetOf(OperationActivate, OperationRevoke, OperationDestroy, OperationArchive, OperationRecover, OperationAddAttribute, OperationModifyAttribute, OperationDeleteAttribute, OperationGetUsageAllocation)
	altered   = SetOf(OperationAddAttribute, OperationModifyAttribute, OperationSetAttribute, OperationAdjustAttribute)
	one       = SetOf(OperationCreate, OperationRegister, OperationDeriveKey, OperationReKey)
)

// AttributeRules is the table of attributes, about in the order of KMIP 1.4 §3.
var AttributeRules = []AttributeRule{
	rule[string](ttlv.TagUniqueIdentifier, "Unique Identifier", ttlv.V1_0, byServer|stated|always, made, everything),
	rule[[]byte](ttlv.TagShortUniqueIdentifier, "Short Unique Identifier", ttlv.V2_0, byServer|always, made, everything),
	rule[Name](ttlv.TagName, "Name", ttlv.V1_0, free|changes|multiple, replaced, everything),
	rule[ObjectType](ttlv.TagObjectType, "Object Type", ttlv.V1_0, byServer|stated|always, made, everything),
	rule[CryptographicAlgorithm](ttlv.TagCryptographicAlgorithm, "Cryptographic Algorithm", ttlv.V1_0, byServer|stated|always, made, keysAndCertificates.but(ObjectTypeSecretData, ObjectTypeOpaqueObject)),
	rule[int32](ttlv.TagCryptographicLength, "Cryptographic Length", ttlv.V1_0, byServer|stated|always, made, keysAndCertificates.but(ObjectTypeOpaqueObject)),
	rule[CryptographicParameters](ttlv.TagCryptographicParameters, "Cryptographic Parameters", ttlv.V1_0, free|multiple, replaced, keysAndCertificates),
	rule[CryptographicDomainParameters](ttlv.TagCryptographicDomainParameters, "Cryptographic Domain Parameters", ttlv.V1_0, byClient, SetOf(OperationReKey, OperationReKeyKeyPair), pairs),
	rule[CertificateType](ttlv.TagCertificateType, "Certificate Type", ttlv.V1_0, byServer|stated|always, certified, certificates),
	rule[int32](ttlv.TagCertificateLength, "Certificate Length", ttlv.V1_1, byServer|stated|always, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectCN, "Certificate Subject CN", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectO, "Certificate Subject O", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectOU, "Certificate Subject OU", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectEmail, "Certificate Subject Email", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectC, "Certificate Subject C", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectST, "Certificate Subject ST", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectL, "Certificate Subject L", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectUID, "Certificate Subject UID", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectSerialNumber, "Certificate Subject Serial Number", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectTitle, "Certificate Subject Title", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectDC, "Certificate Subject DC", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateSubjectDNQualifier, "Certificate Subject DN Qualifier", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerCN, "Certificate Issuer CN", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerO, "Certificate Issuer O", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerOU, "Certificate Issuer OU", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerEmail, "Certificate Issuer Email", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerC, "Certificate Issuer C", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerST, "Certificate Issuer ST", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerL, "Certificate Issuer L", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerUID, "Certificate Issuer UID", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerSerialNumber, "Certificate Issuer Serial Number", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerTitle, "Certificate Issuer Title", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerDC, "Certificate Issuer DC", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[string](ttlv.TagCertificateIssuerDNQualifier, "Certificate Issuer DN Qualifier", ttlv.V2_0, byServer|multiple, certified, certificates),
	rule[X509CertificateIdentifier](ttlv.TagX509CertificateIdentifier, "X.509 Certificate Identifier", ttlv.V1_1, byServer|always, certified, certificates),
	rule[X509CertificateSubject](ttlv.TagX509CertificateSubject, "X.509 Certificate Subject", ttlv.V1_1, byServer|always, certified, certificates),
	rule[X509CertificateIssuer](ttlv.TagX509CertificateIssuer, "X.509 Certificate Issuer", ttlv.V1_1, byServer|always, certified, certificates),
	rule[OldCertificateIdentifier](ttlv.TagCertificateIdentifier, "Certificate Identifier", ttlv.V1_0, byServer|always|old, certified, certificates),
	rule[OldCertificateSubject](ttlv.TagCertificateSubject, "Certificate Subject", ttlv.V1_0, byServer|always|old, certified, certificates),
	rule[OldCertificateIssuer](ttlv.TagCertificateIssuer, "Certificate Issuer", ttlv.V1_0, byServer|always|old, certified, certificates),
	rule[DigitalSignatureAlgorithm](ttlv.TagDigitalSignatureAlgorithm, "Digital Signature Algorithm", ttlv.V1_1, byServer|stated|always|multiple, certified, signed),
	rule[Digest](ttlv.TagDigest, "Digest", ttlv.V1_0, byServer|always|multiple, made, cryptographicOrOpaque),
	rule[string](ttlv.TagOperationPolicyName, "Operation Policy Name", ttlv.V1_0, byServer|byClient|changes|old, made, everything),
	rule[CryptographicUsageMask](ttlv.TagCryptographicUsageMask, "Cryptographic Usage Mask", ttlv.V1_0, byServer|byClient|changes|always, made, cryptographicToBe.but(ObjectTypeOpaqueObject)),
	rule[ttlv.Interval](ttlv.TagLeaseTime, "Lease Time", ttlv.V1_0, byServer|changes, made, cryptographic),
	rule[UsageLimits](ttlv.TagUsageLimits, "Usage Limits", ttlv.V1_0, shared, one|SetOf(OperationCreateKeyPair, OperationReKeyKeyPair, OperationGetUsageAllocation), keys),
	rule[State](ttlv.TagState, "State", ttlv.V1_0, byServer|changes|always, made|SetOf(OperationActivate, OperationRevoke, OperationDestroy), cryptographic),
	rule[time.Time](ttlv.TagInitialDate, "Initial Date", ttlv.V1_0, byServer|always, made, everything),
	rule[time.Time](ttlv.TagActivationDate, "Activation Date", ttlv.V1_0, byServer|byClient|changes|modify, made|SetOf(OperationActivate), cryptographicToBe),
	rule[time.Time](ttlv.TagProcessStartDate, "Process Start Date", ttlv.V1_0, byServer|byClient|changes|modify, one, symmetric),
	rule[time.Time](ttlv.TagProtectStopDate, "Protect Stop Date", ttlv.V1_0, byServer|byClient|changes|modify, one, symmetric),
	rule[time.Time](ttlv.TagDeactivationDate, "Deactivation Date", ttlv.V1_0, byServer|byClient|changes|modify, made|SetOf(OperationRevoke), cryptographicToBe),
	rule[time.Time](ttlv.TagDestroyDate, "Destroy Date", ttlv.V1_0, byServer, SetOf(OperationDestroy), cryptographicOrOpaque),
	rule[time.Time](ttlv.TagCompromiseOccurrenceDate, "Compromise Occurrence Date", ttlv.V1_0, byServer, SetOf(OperationRevoke), cryptographicOrOpaque),
	rule[time.Time](ttlv.TagCompromiseDate, "Compromise Date", ttlv.V1_0, byServer, SetOf(OperationRevoke), cryptographicOrOpaque),
	rule[RevocationReason](ttlv.TagRevocationReason, "Revocation Reason", ttlv.V1_0, byServer|changes, SetOf(OperationRevoke), cryptographicOrOpaque),
	rule[time.Time](ttlv.TagArchiveDate, "Archive Date", ttlv.V1_0, byServer, SetOf(OperationArchive), everything),
	rule[string](ttlv.TagObjectGroup, "Object Group", ttlv.V1_0, shared|multiple, made, everything),
	rule[bool](ttlv.TagFresh, "Fresh", ttlv.V1_1, byServer|byClient|changes|always, made, cryptographic),
	rule[Link](ttlv.TagLink, "Link", ttlv.V1_0, shared|multiple, made&^SetOf(OperationCreate), cryptographic),
	rule[ApplicationSpecificInformation](ttlv.TagApplicationSpecificInformation, "Application Specific Information", ttlv.V1_0, shared|multiple, replaced, everything),
	rule[string](ttlv.TagContactInformation, "Contact Information", ttlv.V1_0, shared, made, everything),
	rule[time.Time](ttlv.TagLastChangeDate, "Last Change Date", ttlv.V1_0, byServer|changes|always, made|touched, everything),
	rule[AlternativeName](ttlv.TagAlternativeName, "Alternative Name", ttlv.V1_2, free|changes|multiple, none, everything),
	rule[bool](ttlv.TagKeyValuePresent, "Key Value Present", ttlv.V1_2, byServer, SetOf(OperationRegister), located),
	rule[KeyValueLocation](ttlv.TagKeyValueLocation, "Key Value Location", ttlv.V1_2, free|multiple, none, located),
	rule[time.Time](ttlv.TagOriginalCreationDate, "Original Creation Date", ttlv.V1_2, byServer|byClient, generated, everything),
	rule[RNGParameters](ttlv.TagRandomNumberGenerator, "Random Number Generator", ttlv.V1_3, byServer|byClient, generated, cryptographic),
	rule[string](ttlv.TagPKCS12FriendlyName, "PKCS#12 Friendly Name", ttlv.V1_4, free|byServer, none, cryptographic),
	rule[string](ttlv.TagDescription, "Description", ttlv.V1_4, shared, none, everything),
	rule[string](ttlv.TagComment, "Comment", ttlv.V1_4, shared, none, everything),
	rule[bool](ttlv.TagSensitive, "Sensitive", ttlv.V1_4, byServer|byClient|changes|modify|always, made, everything),
	rule[bool](ttlv.TagAlwaysSensitive, "Always Sensitive", ttlv.V1_4, byServer|changes|always, made|altered, everything),
	rule[bool](ttlv.TagExtractable, "Extractable", ttlv.V1_4, byServer|byClient|changes|modify|always, made, everything),
	rule[bool](ttlv.TagNeverExtractable, "Never Extractable", ttlv.V1_4, byServer|changes|always, made|altered, everything),
	rule[KeyFormatType](ttlv.TagKeyFormatType, "Key Format Type", ttlv.V2_0, byServer|stated|always, none, everything),
	rule[NISTKeyType](ttlv.TagNISTKeyType, "NIST Key Type", ttlv.V2_0, byClient|multiple, none, everything),
	rule[OpaqueDataType](ttlv.TagOpaqueDataType, "Opaque Data Type", ttlv.V2_0, byServer|stated|always, SetOf(OperationRegister), opaque),
	rule[ProtectionLevel](ttlv.TagProtectionLevel, "Protection Level", ttlv.V2_0, free, none, everything),
	rule[ttlv.Interval](ttlv.TagProtectionPeriod, "Protection Period", ttlv.V2_0, free, none, everything),
	rule[ProtectionStorageMask](ttlv.TagProtectionStorageMask, "Protection Storage Mask", ttlv.V2_0, byServer|always, made, everything),
	rule[bool](ttlv.TagQuantumSafe, "Quantum Safe", ttlv.V2_0, free, none, everything),
	rule[ttlv.Interval](ttlv.TagRotateInterval, "Rotate Interval", ttlv.V2_1, byServer|byClient|changes, made, everything),
	rule[bool](ttlv.TagRotateAutomatic, "Rotate Automatic", ttlv.V2_1, byServer|byClient|changes, none, everything),
	rule[ttlv.Interval](ttlv.TagRotateOffset, "Rotate Offset", ttlv.V2_1, byServer|byClient|changes, made, everything),
	rule[time.Time](ttlv.TagRotateDate, "Rotate Date", ttlv.V2_1, byServer, replaced, everything),
	rule[int32](ttlv.TagRotateGeneration, "Rotate Generation", ttlv.V2_1, byServer, replaced, everything),
	rule[RotateName](ttlv.TagRotateName, "Rotate Name", ttlv.V2_1, free, none, everything),
	rule[bool](ttlv.TagRotateLatest, "Rotate Latest", ttlv.V2_1, byServer|changes, replaced, everything),
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
	Tag: ttlv.TagAttribute, Name: "Custom Attribute", Since: ttlv.V1_0, Until: ttlv.V2_1, applies: everything,
	Implicit: made | SetOf(OperationActivate, OperationRevoke, OperationDestroy),
	Multiple: true, ServerSets: true, ClientSets: true, ServerModifies: true, Modify: true, Delete: true,
	decode: decodeAny, encode: encodeAny, is: func(any) bool { return true }, definedAt: definedAny,
}
