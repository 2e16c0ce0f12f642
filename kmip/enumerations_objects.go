package kmip

import "strongroom/kmip/ttlv"

// ObjectType is the type of a managed object (KMIP 2.1 §11.34).
type ObjectType uint32

// Values of ObjectType. Those marked 1.x are reserved in KMIP 2.0 and later.
const (
	ObjectTypeCertificate        ObjectType = 1
	ObjectTypeSymmetricKey       ObjectType = 2
	ObjectTypePublicKey          ObjectType = 3
	ObjectTypePrivateKey         ObjectType = 4
	ObjectTypeSplitKey           ObjectType = 5
	ObjectTypeTemplate           ObjectType = 6 // 1.x
	ObjectTypeSecretData         ObjectType = 7
	ObjectTypeOpaqueObject       ObjectType = 8
	ObjectTypePGPKey             ObjectType = 9
	ObjectTypeCertificateRequest ObjectType = 10
)

// String returns the normalized name, or the value in hexadecimal.
func (v ObjectType) String() string { return enumString(ttlv.TagObjectType, uint32(v)) }

// State is the place of an object in its life cycle (KMIP 2.1 §11.55).
type State uint32

// Values of State.
const (
	StatePreActive            State = 1
	StateActive               State = 2
	StateDeactivated          State = 3
	StateCompromised          State = 4
	StateDestroyed            State = 5
	StateDestroyedCompromised State = 6
)

// String returns the normalized name, or the value in hexadecimal.
func (v State) String() string { return enumString(ttlv.TagState, uint32(v)) }

// KeyFormatType is the encoding of key material (KMIP 2.1 §11.25).
type KeyFormatType uint32

// Values of KeyFormatType. Those marked 1.x are reserved in KMIP 2.0 and later.
const (
	KeyFormatTypeRaw                        KeyFormatType = 1
	KeyFormatTypeOpaque                     KeyFormatType = 2
	KeyFormatTypePKCS1                      KeyFormatType = 3
	KeyFormatTypePKCS8                      KeyFormatType = 4
	KeyFormatTypeX509                       KeyFormatType = 5
	KeyFormatTypeECPrivateKey               KeyFormatType = 6
	KeyFormatTypeTransparentSymmetricKey    KeyFormatType = 7
	KeyFormatTypeTransparentDSAPrivateKey   KeyFormatType = 8
	KeyFormatTypeTransparentDSAPublicKey    KeyFormatType = 9
	KeyFormatTypeTransparentRSAPrivateKey   KeyFormatType = 10
	KeyFormatTypeTransparentRSAPublicKey    KeyFormatType = 11
	KeyFormatTypeTransparentDHPrivateKey    KeyFormatType = 12
	KeyFormatTypeTransparentDHPublicKey     KeyFormatType = 13
	KeyFormatTypeTransparentECDSAPrivateKey KeyFormatType = 14 // 1.x
	KeyFormatTypeTransparentECDSAPublicKey  KeyFormatType = 15 // 1.x
	KeyFormatTypeTransparentECDHPrivateKey  KeyFormatType = 16 // 1.x
	KeyFormatTypeTransparentECDHPublicKey   KeyFormatType = 17 // 1.x
	KeyFormatTypeTransparentECMQVPrivateKey KeyFormatType = 18 // 1.x
	KeyFormatTypeTransparentECMQVPublicKey  KeyFormatType = 19 // 1.x
	KeyFormatTypeTransparentECPrivateKey    KeyFormatType = 20
	KeyFormatTypeTransparentECPublicKey     KeyFormatType = 21
	KeyFormatTypePKCS12                     KeyFormatType = 22
	KeyFormatTypePKCS10                     KeyFormatType = 23
)

// String returns the normalized name, or the value in hexadecimal.
func (v KeyFormatType) String() string { return enumString(ttlv.TagKeyFormatType, uint32(v)) }

// KeyCompressionType is how an elliptic curve point is written (KMIP 2.1 §11.24).
type KeyCompressionType uint32

// Values of KeyCompressionType.
const (
	KeyCompressionTypeECPublicKeyTypeUncompressed         KeyCompressionType = 1
	KeyCompressionTypeECPublicKeyTypeX9_62CompressedPrime KeyCompressionType = 2
	KeyCompressionTypeECPublicKeyTypeX9_62CompressedChar2 KeyCompressionType = 3
	KeyCompressionTypeECPublicKeyTypeX9_62Hybrid          KeyCompressionType = 4
)

// String returns the normalized name, or the value in hexadecimal.
func (v KeyCompressionType) String() string { return enumString(ttlv.TagKeyCompressionType, uint32(v)) }

// KeyRoleType is the role of a key in banking, as in ANSI X9 TR-31 (KMIP 2.1 §11.26).
type KeyRoleType uint32

// Values of KeyRoleType.
const (
	KeyRoleTypeBDK      KeyRoleType = 1
	KeyRoleTypeCVK      KeyRoleType = 2
	KeyRoleTypeDEK      KeyRoleType = 3
	KeyRoleTypeMKAC     KeyRoleType = 4
	KeyRoleTypeMKSMC    KeyRoleType = 5
	KeyRoleTypeMKSMI    KeyRoleType = 6
	KeyRoleTypeMKDAC    KeyRoleType = 7
	KeyRoleTypeMKDN     KeyRoleType = 8
	KeyRoleTypeMKCP     KeyRoleType = 9
	KeyRoleTypeMKOTH    KeyRoleType = 10
	KeyRoleTypeKEK      KeyRoleType = 11
	KeyRoleTypeMAC16609 KeyRoleType = 12
	KeyRoleTypeMAC97971 KeyRoleType = 13
	KeyRoleTypeMAC97972 KeyRoleType = 14
	KeyRoleTypeMAC97973 KeyRoleType = 15
	KeyRoleTypeMAC97974 KeyRoleType = 16
	KeyRoleTypeMAC97975 KeyRoleType = 17
	KeyRoleTypeZPK      KeyRoleType = 18
	KeyRoleTypePVKIBM   KeyRoleType = 19
	KeyRoleTypePVKPVV   KeyRoleType = 20
	KeyRoleTypePVKOTH   KeyRoleType = 21
	KeyRoleTypeDUKPT    KeyRoleType = 22
	KeyRoleTypeIV       KeyRoleType = 23
	KeyRoleTypeTRKBK    KeyRoleType = 24
)

// String returns the normalized name, or the value in hexadecimal.
func (v KeyRoleType) String() string { return enumString(ttlv.TagKeyRoleType, uint32(v)) }

// NISTKeyType is the type of a key in the terms of SP 800-57-1 (KMIP 2.1 §11.32).
type NISTKeyType uint32

// Values of NISTKeyType.
const (
	NISTKeyTypePrivateSignatureKey                NISTKeyType = 1
	NISTKeyTypePublicSignatureVerificationKey     NISTKeyType = 2
	NISTKeyTypeSymmetricAuthenticationKey         NISTKeyType = 3
	NISTKeyTypePrivateAuthenticationKey           NISTKeyType = 4
	NISTKeyTypePublicAuthenticationKey            NISTKeyType = 5
	NISTKeyTypeSymmetricDataEncryptionKey         NISTKeyType = 6
	NISTKeyTypeSymmetricKeyWrappingKey            NISTKeyType = 7
	NISTKeyTypeSymmetricRandomNumberGenerationKey NISTKeyType = 8
	NISTKeyTypeSymmetricMasterKey                 NISTKeyType = 9
	NISTKeyTypePrivateKeyTransportKey             NISTKeyType = 10
	NISTKeyTypePublicKeyTransportKey              NISTKeyType = 11
	NISTKeyTypeSymmetricKeyAgreementKey           NISTKeyType = 12
	NISTKeyTypePrivateStaticKeyAgreementKey       NISTKeyType = 13
	NISTKeyTypePublicStaticKeyAgreementKey        NISTKeyType = 14
	NISTKeyTypePrivateEphemeralKeyAgreementKey    NISTKeyType = 15
	NISTKeyTypePublicEphemeralKeyAgreementKey     NISTKeyType = 16
	NISTKeyTypeSymmetricAuthorizationKey          NISTKeyType = 17
	NISTKeyTypePrivateAuthorizationKey            NISTKeyType = 18
	NISTKeyTypePublicAuthorizationKey             NISTKeyType = 19
)

// String returns the normalized name, or the value in hexadecimal.
func (v NISTKeyType) String() string { return enumString(ttlv.TagNISTKeyType, uint32(v)) }

// CertificateType is the kind of a certificate (KMIP 2.1 §11.9).
type CertificateType uint32

// Values of CertificateType.
const (
	CertificateTypeX509 CertificateType = 1
	CertificateTypePGP  CertificateType = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v CertificateType) String() string { return enumString(ttlv.TagCertificateType, uint32(v)) }

// CertificateRequestType is the encoding of a certificate request (KMIP 2.1 §11.8).
type CertificateRequestType uint32

// Values of CertificateRequestType. Those marked 1.x are reserved in KMIP 2.0 and later.
const (
	CertificateRequestTypeCRMF   CertificateRequestType = 1
	CertificateRequestTypePKCS10 CertificateRequestType = 2
	CertificateRequestTypePEM    CertificateRequestType = 3
	CertificateRequestTypePGP    CertificateRequestType = 4 // 1.x
)

// String returns the normalized name, or the value in hexadecimal.
func (v CertificateRequestType) String() string {
	return enumString(ttlv.TagCertificateRequestType, uint32(v))
}

// SecretDataType is the kind of a Secret Data object (KMIP 2.1 §11.52).
type SecretDataType uint32

// Values of SecretDataType.
const (
	SecretDataTypePassword SecretDataType = 1
	SecretDataTypeSeed     SecretDataType = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v SecretDataType) String() string { return enumString(ttlv.TagSecretDataType, uint32(v)) }

// OpaqueDataType is the kind of an Opaque Object; the standard defines none, only the range for vendors (KMIP 2.1
// §11.35).
type OpaqueDataType uint32

// String returns the normalized name, or the value in hexadecimal.
func (v OpaqueDataType) String() string { return enumString(ttlv.TagOpaqueDataType, uint32(v)) }

// NameType is the form of a Name (KMIP 2.1 §11.31).
type NameType uint32

// Values of NameType.
const (
	NameTypeUninterpretedTextString NameType = 1
	NameTypeURI                     NameType = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v NameType) String() string { return enumString(ttlv.TagNameType, uint32(v)) }

// AlternativeNameType is the form of an Alternative Name (KMIP 2.1 §11.2).
type AlternativeNameType uint32

// Values of AlternativeNameType.
const (
	AlternativeNameTypeUninterpretedTextString AlternativeNameType = 1
	AlternativeNameTypeURI                     AlternativeNameType = 2
	AlternativeNameTypeObjectSerialNumber      AlternativeNameType = 3
	AlternativeNameTypeEmailAddress            AlternativeNameType = 4
	AlternativeNameTypeDNSName                 AlternativeNameType = 5
	AlternativeNameTypeX500DistinguishedName   AlternativeNameType = 6
	AlternativeNameTypeIPAddress               AlternativeNameType = 7
)

// String returns the normalized name, or the value in hexadecimal.
func (v AlternativeNameType) String() string {
	return enumString(ttlv.TagAlternativeNameType, uint32(v))
}

// RotateNameType is the form of a Rotate Name (KMIP 2.1 §11.51).
type RotateNameType uint32

// Values of RotateNameType.
const (
	RotateNameTypeUninterpretedTextString RotateNameType = 1
	RotateNameTypeURI                     RotateNameType = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v RotateNameType) String() string { return enumString(ttlv.TagRotateNameType, uint32(v)) }

// LinkType is how a linked object relates to the one that has the link (KMIP 2.1 §11.28).
type LinkType uint32

// Values of LinkType.
const (
	LinkTypeCertificateLink          LinkType = 0x101
	LinkTypePublicKeyLink            LinkType = 0x102
	LinkTypePrivateKeyLink           LinkType = 0x103
	LinkTypeDerivationBaseObjectLink LinkType = 0x104
	LinkTypeDerivedKeyLink           LinkType = 0x105
	LinkTypeReplacementObjectLink    LinkType = 0x106
	LinkTypeReplacedObjectLink       LinkType = 0x107
	LinkTypeParentLink               LinkType = 0x108
	LinkTypeChildLink                LinkType = 0x109
	LinkTypePreviousLink             LinkType = 0x10A
	LinkTypeNextLink                 LinkType = 0x10B
	LinkTypePKCS12CertificateLink    LinkType = 0x10C
	LinkTypePKCS12PasswordLink       LinkType = 0x10D
	LinkTypeWrappingKeyLink          LinkType = 0x10E
)

// String returns the normalized name, or the value in hexadecimal.
func (v LinkType) String() string { return enumString(ttlv.TagLinkType, uint32(v)) }

// RevocationReasonCode is why an object was revoked (KMIP 2.1 §11.48).
type RevocationReasonCode uint32

// Values of RevocationReasonCode.
const (
	RevocationReasonCodeUnspecified          RevocationReasonCode = 1
	RevocationReasonCodeKeyCompromise        RevocationReasonCode = 2
	RevocationReasonCodeCACompromise         RevocationReasonCode = 3
	RevocationReasonCodeAffiliationChanged   RevocationReasonCode = 4
	RevocationReasonCodeSuperseded           RevocationReasonCode = 5
	RevocationReasonCodeCessationOfOperation RevocationReasonCode = 6
	RevocationReasonCodePrivilegeWithdrawn   RevocationReasonCode = 7
)

// String returns the normalized name, or the value in hexadecimal.
func (v RevocationReasonCode) String() string {
	return enumString(ttlv.TagRevocationReasonCode, uint32(v))
}

// UsageLimitsUnit is what Usage Limits count (KMIP 2.1 §11.60).
type UsageLimitsUnit uint32

// Values of UsageLimitsUnit.
const (
	UsageLimitsUnitByte   UsageLimitsUnit = 1
	UsageLimitsUnitObject UsageLimitsUnit = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v UsageLimitsUnit) String() string { return enumString(ttlv.TagUsageLimitsUnit, uint32(v)) }

// ObjectGroupMember is which member of an object group Locate finds (KMIP 2.1 §11.33).
type ObjectGroupMember uint32

// Values of ObjectGroupMember.
const (
	ObjectGroupMemberGroupMemberFresh   ObjectGroupMember = 1
	ObjectGroupMemberGroupMemberDefault ObjectGroupMember = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v ObjectGroupMember) String() string { return enumString(ttlv.TagObjectGroupMember, uint32(v)) }

// KeyValueLocationType is the form of a Key Value Location (KMIP 2.1 §11.27).
type KeyValueLocationType uint32

// Values of KeyValueLocationType.
const (
	KeyValueLocationTypeUninterpretedTextString KeyValueLocationType = 1
	KeyValueLocationTypeURI                     KeyValueLocationType = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v KeyValueLocationType) String() string {
	return enumString(ttlv.TagKeyValueLocationType, uint32(v))
}

// ProtectionLevel is how strongly a client wants an object protected (KMIP 2.1 §11.42).
type ProtectionLevel uint32

// Values of ProtectionLevel.
const (
	ProtectionLevelHigh ProtectionLevel = 1
	ProtectionLevelLow  ProtectionLevel = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v ProtectionLevel) String() string { return enumString(ttlv.TagProtectionLevel, uint32(v)) }
