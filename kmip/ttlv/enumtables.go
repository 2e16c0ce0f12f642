package ttlv

// The enumerations and bit masks of KMIP 1.0 to 2.1, each in ascending order of value. A value that a later version
// reserves keeps the name it had.

// KMIP 2.1 §11.1
var adjustmentTypeNames = []named{
	{1, "Increment"}, {2, "Decrement"}, {3, "Negate"},
}

// KMIP 2.1 §11.2
var alternativeNameTypeNames = []named{
	{1, "UninterpretedTextString"}, {2, "URI"}, {3, "ObjectSerialNumber"}, {4, "EmailAddress"}, {5, "DNSName"},
	{6, "X_500DistinguishedName"}, {7, "IPAddress"},
}

// KMIP 2.1 §11.3
var asynchronousIndicatorNames = []named{
	{1, "Mandatory"}, {2, "Optional"}, {3, "Prohibited"},
}

// KMIP 2.1 §11.4
var attestationTypeNames = []named{
	{1, "TPMQuote"}, {2, "TCGIntegrityReport"}, {3, "SAMLAssertion"},
}

// KMIP 2.1 §11.5
var batchErrorContinuationOptionNames = []named{
	{1, "Continue"}, {2, "Stop"}, {3, "Undo"},
}

// KMIP 2.1 §11.6
var blockCipherModeNames = []named{
	{1, "CBC"}, {2, "ECB"}, {3, "PCBC"}, {4, "CFB"}, {5, "OFB"}, {6, "CTR"}, {7, "CMAC"}, {8, "CCM"}, {9, "GCM"},
	{10, "CBC_MAC"}, {11, "XTS"}, {12, "AESKeyWrapPadding"}, {13, "NISTKeyWrap"}, {14, "X9_102AESKW"},
	{15, "X9_102TDKW"}, {16, "X9_102AKW1"}, {17, "X9_102AKW2"}, {18, "AEAD"},
}

// KMIP 2.1 §11.7
var cancellationResultNames = []named{
	{1, "Canceled"}, {2, "UnableToCancel"}, {3, "Completed"}, {4, "Failed"}, {5, "Unavailable"},
}

// KMIP 2.1 §11.8
var certificateRequestTypeNames = []named{
	{1, "CRMF"}, {2, "PKCS_10"}, {3, "PEM"}, {4, "PGP"},
}

// KMIP 2.1 §11.9
var certificateTypeNames = []named{
	{1, "X_509"}, {2, "PGP"},
}

// KMIP 2.1 §11.10
var clientRegistrationMethodNames = []named{
	{1, "Unspecified"}, {2, "ServerPreGenerated"}, {3, "ServerOnDemand"}, {4, "ClientGenerated"},
	{5, "ClientRegistered"},
}

// KMIP 2.1 §11.11
var credentialTypeNames = []named{
	{1, "UsernameAndPassword"}, {2, "Device"}, {3, "Attestation"}, {4, "OneTimePassword"}, {5, "HashedPassword"},
	{6, "Ticket"},
}

// KMIP 2.1 §11.12
var cryptographicAlgorithmNames = []named{
	{1, "DES"}, {2, "DES3"}, {3, "AES"}, {4, "RSA"}, {5, "DSA"}, {6, "ECDSA"}, {7, "HMAC_SHA1"},
	{8, "HMAC_SHA224"}, {9, "HMAC_SHA256"}, {10, "HMAC_SHA384"}, {11, "HMAC_SHA512"}, {12, "HMAC_MD5"},
	{13, "DH"}, {14, "ECDH"}, {15, "ECMQV"}, {16, "Blowfish"}, {17, "Camellia"}, {18, "CAST5"}, {19, "IDEA"},
	{20, "MARS"}, {21, "RC2"}, {22, "RC4"}, {23, "RC5"}, {24, "SKIPJACK"}, {25, "Twofish"}, {26, "EC"},
	{27, "OneTimePad"}, {28, "ChaCha20"}, {29, "Poly1305"}, {30, "ChaCha20Poly1305"}, {31, "SHA3_224"},
	{32, "SHA3_256"}, {33, "SHA3_384"}, {34, "SHA3_512"}, {35, "HMAC_SHA3_224"}, {36, "HMAC_SHA3_256"},
	{37, "HMAC_SHA3_384"}, {38, "HMAC_SHA3_512"}, {39, "SHAKE_128"}, {40, "SHAKE_256"}, {41, "ARIA"},
	{42, "SEED"}, {43, "SM2"}, {44, "SM3"}, {45, "SM4"}, {46, "GOSTR34_10_2012"}, {47, "GOSTR34_11_2012"},
	{48, "GOSTR34_13_2015"}, {49, "GOST28147_89"}, {50, "XMSS"}, {51, "SPHINCS_256"}, {52, "McEliece"},
	{53, "McEliece_6960119"}, {54, "McEliece_8192128"}, {55, "Ed25519"}, {56, "Ed448"},
}

// KMIP 2.1 §11.13
var dataItemNames = []named{
	{1, "Decrypt"}, {2, "Encrypt"}, {3, "Hash"}, {4, "MACMACData"}, {5, "RNGRetrieve"}, {6, "SignSignatureData"},
	{7, "SignatureVerify"},
}

// KMIP 2.1 §11.14
var derivationMethodNames = []named{
	{1, "PBKDF2"}, {2, "HASH"}, {3, "HMAC"}, {4, "ENCRYPT"}, {5, "NIST800_108_C"}, {6, "NIST800_108_F"},
	{7, "NIST800_108_DPI"}, {8, "AsymmetricKey"}, {9, "AWSSignatureVersion4"}, {10, "HKDF"},
}

// KMIP 2.1 §11.15
var destroyActionNames = []named{
	{1, "Unspecified"}, {2, "KeyMaterialDeleted"}, {3, "KeyMaterialShredded"}, {4, "MetaDataDeleted"},
	{5, "MetaDataShredded"}, {6, "Deleted"}, {7, "Shredded"},
}

// KMIP 2.1 §11.16
var digitalSignatureAlgorithmNames = []named{
	{1, "MD2WithRSAEncryption"}, {2, "MD5WithRSAEncryption"}, {3, "SHA_1WithRSAEncryption"},
	{4, "SHA_224WithRSAEncryption"}, {5, "SHA_256WithRSAEncryption"}, {6, "SHA_384WithRSAEncryption"},
	{7, "SHA_512WithRSAEncryption"}, {8, "RSASSA_PSS"}, {9, "DSAWithSHA_1"}, {10, "DSAWithSHA224"},
	{11, "DSAWithSHA256"}, {12, "ECDSAWithSHA_1"}, {13, "ECDSAWithSHA224"}, {14, "ECDSAWithSHA256"},
	{15, "ECDSAWithSHA384"}, {16, "ECDSAWithSHA512"}, {17, "SHA3_256WithRSAEncryption"},
	{18, "SHA3_384WithRSAEncryption"}, {19, "SHA3_512WithRSAEncryption"},
}

// KMIP 2.1 §11.17
var drbgAlgorithmNames = []named{
	{1, "Unspecified"}, {2, "Dual_EC"}, {3, "Hash"}, {4, "HMAC"}, {5, "CTR"},
}

// KMIP 2.1 §11.18
var encodingOptionNames = []named{
	{1, "NoEncoding"}, {2, "TTLVEncoding"},
}

// KMIP 2.1 §11.19
var endpointRoleNames = []named{
	{1, "Client"}, {2, "Server"},
}

// KMIP 2.1 §11.20
var fips186VariationNames = []named{
	{1, "Unspecified"}, {2, "GPXOriginal"}, {3, "GPXChangeNotice"}, {4, "XOriginal"}, {5, "XChangeNotice"},
	{6, "KOriginal"}, {7, "KChangeNotice"},
}

// KMIP 2.1 §11.21
var hashingAlgorithmNames = []named{
	{1, "MD2"}, {2, "MD4"}, {3, "MD5"}, {4, "SHA_1"}, {5, "SHA_224"}, {6, "SHA_256"}, {7, "SHA_384"},
	{8, "SHA_512"}, {9, "RIPEMD_160"}, {10, "Tiger"}, {11, "Whirlpool"}, {12, "SHA_512_224"}, {13, "SHA_512_256"},
	{14, "SHA3_224"}, {15, "SHA3_256"}, {16, "SHA3_384"}, {17, "SHA3_512"},
}

// KMIP 2.1 §11.22
var interopFunctionNames = []named{
	{1, "Begin"}, {2, "End"}, {3, "Reset"},
}

// KMIP 2.1 §11.23
var itemTypeNames = []named{
	{1, "Structure"}, {2, "Integer"}, {3, "LongInteger"}, {4, "BigInteger"}, {5, "Enumeration"}, {6, "Boolean"},
	{7, "TextString"}, {8, "ByteString"}, {9, "DateTime"}, {10, "Interval"}, {11, "DateTimeExtended"},
}

// KMIP 2.1 §11.24
var keyCompressionTypeNames = []named{
	{1, "ECPublicKeyTypeUncompressed"}, {2, "ECPublicKeyTypeX9_62CompressedPrime"},
	{3, "ECPublicKeyTypeX9_62CompressedChar2"}, {4, "ECPublicKeyTypeX9_62Hybrid"},
}

// KMIP 2.1 §11.25
var keyFormatTypeNames = []named{
	{1, "Raw"}, {2, "Opaque"}, {3, "PKCS_1"}, {4, "PKCS_8"}, {5, "X_509"}, {6, "ECPrivateKey"},
	{7, "TransparentSymmetricKey"}, {8, "TransparentDSAPrivateKey"}, {9, "TransparentDSAPublicKey"},
	{10, "TransparentRSAPrivateKey"}, {11, "TransparentRSAPublicKey"}, {12, "TransparentDHPrivateKey"},
	{13, "TransparentDHPublicKey"}, {14, "TransparentECDSAPrivateKey"}, {15, "TransparentECDSAPublicKey"},
	{16, "TransparentECDHPrivateKey"}, {17, "TransparentECDHPublicKey"}, {18, "TransparentECMQVPrivateKey"},
	{19, "TransparentECMQVPublicKey"}, {20, "TransparentECPrivateKey"}, {21, "TransparentECPublicKey"},
	{22, "PKCS_12"}, {23, "PKCS_10"},
}

// KMIP 2.1 §11.26
var keyRoleTypeNames = []named{
	{1, "BDK"}, {2, "CVK"}, {3, "DEK"}, {4, "MKAC"}, {5, "MKSMC"}, {6, "MKSMI"}, {7, "MKDAC"}, {8, "MKDN"},
	{9, "MKCP"}, {10, "MKOTH"}, {11, "KEK"}, {12, "MAC16609"}, {13, "MAC97971"}, {14, "MAC97972"},
	{15, "MAC97973"}, {16, "MAC97974"}, {17, "MAC97975"}, {18, "ZPK"}, {19, "PVKIBM"}, {20, "PVKPVV"},
	{21, "PVKOTH"}, {22, "DUKPT"}, {23, "IV"}, {24, "TRKBK"},
}

// KMIP 2.1 §11.27
var keyValueLocationTypeNames = []named{
	{1, "UninterpretedTextString"}, {2, "URI"},
}

// KMIP 2.1 §11.28
var linkTypeNames = []named{
	{0x101, "CertificateLink"}, {0x102, "PublicKeyLink"}, {0x103, "PrivateKeyLink"},
	{0x104, "DerivationBaseObjectLink"}, {0x105, "DerivedKeyLink"}, {0x106, "ReplacementObjectLink"},
	{0x107, "ReplacedObjectLink"}, {0x108, "ParentLink"}, {0x109, "ChildLink"}, {0x10A, "PreviousLink"},
	{0x10B, "NextLink"}, {0x10C, "PKCS_12CertificateLink"}, {0x10D, "PKCS_12PasswordLink"},
	{0x10E, "WrappingKeyLink"},
}

// KMIP 2.1 §11.29
var keyWrapTypeNames = []named{
	{1, "NotWrapped"}, {2, "AsRegistered"},
}

// KMIP 2.1 §11.30
var maskGeneratorNames = []named{
	{1, "MGF1"},
}

// KMIP 2.1 §11.31
var nameTypeNames = []named{
	{1, "UninterpretedTextString"}, {2, "URI"},
}

// KMIP 2.1 §11.32
var nistKeyTypeNames = []named{
	{1, "PrivateSignatureKey"}, {2, "PublicSignatureVerificationKey"}, {3, "SymmetricAuthenticationKey"},
	{4, "PrivateAuthenticationKey"}, {5, "PublicAuthenticationKey"}, {6, "SymmetricDataEncryptionKey"},
	{7, "SymmetricKeyWrappingKey"}, {8, "SymmetricRandomNumberGenerationKey"}, {9, "SymmetricMasterKey"},
	{10, "PrivateKeyTransportKey"}, {11, "PublicKeyTransportKey"}, {12, "SymmetricKeyAgreementKey"},
	{13, "PrivateStaticKeyAgreementKey"}, {14, "PublicStaticKeyAgreementKey"},
	{15, "PrivateEphemeralKeyAgreementKey"}, {16, "PublicEphemeralKeyAgreementKey"},
	{17, "SymmetricAuthorizationKey"}, {18, "PrivateAuthorizationKey"}, {19, "PublicAuthorizationKey"},
}

// KMIP 2.1 §11.33
var objectGroupMemberNames = []named{
	{1, "GroupMemberFresh"}, {2, "GroupMemberDefault"},
}

// KMIP 2.1 §11.34
var objectTypeNames = []named{
	{1, "Certificate"}, {2, "SymmetricKey"}, {3, "PublicKey"}, {4, "PrivateKey"}, {5, "SplitKey"},
	{6, "Template"}, {7, "SecretData"}, {8, "OpaqueObject"}, {9, "PGPKey"}, {10, "CertificateRequest"},
}

// KMIP 2.1 §11.36, with the operations of this server, in the range left to vendors.
var operationNames = []named{
	{1, "Create"}, {2, "CreateKeyPair"}, {3, "Register"}, {4, "ReKey"}, {5, "DeriveKey"}, {6, "Certify"},
	{7, "ReCertify"}, {8, "Locate"}, {9, "Check"}, {10, "Get"}, {11, "GetAttributes"}, {12, "GetAttributeList"},
	{13, "AddAttribute"}, {14, "ModifyAttribute"}, {15, "DeleteAttribute"}, {16, "ObtainLease"},
	{17, "GetUsageAllocation"}, {18, "Activate"}, {19, "Revoke"}, {20, "Destroy"}, {21, "Archive"},
	{22, "Recover"}, {23, "Validate"}, {24, "Query"}, {25, "Cancel"}, {26, "Poll"}, {27, "Notify"}, {28, "Put"},
	{29, "ReKeyKeyPair"}, {30, "DiscoverVersions"}, {31, "Encrypt"}, {32, "Decrypt"}, {33, "Sign"},
	{34, "SignatureVerify"}, {35, "MAC"}, {36, "MACVerify"}, {37, "RNGRetrieve"}, {38, "RNGSeed"}, {39, "Hash"},
	{40, "CreateSplitKey"}, {41, "JoinSplitKey"}, {42, "Import"}, {43, "Export"}, {44, "Log"}, {45, "Login"},
	{46, "Logout"}, {47, "DelegatedLogin"}, {48, "AdjustAttribute"}, {49, "SetAttribute"},
	{50, "SetEndpointRole"}, {51, "PKCS_11"}, {52, "Interop"}, {53, "ReProvision"}, {54, "SetDefaults"},
	{55, "SetConstraints"}, {56, "GetConstraints"}, {57, "QueryAsynchronousRequests"}, {58, "Process"},
	{59, "Ping"}, {0x80000001, "GrantAccess"}, {0x80000002, "WithdrawAccess"}, {0x80000003, "ListAccess"},
	{0x80000004, "WhoAmI"}, {0x80000005, "CanI"},
}

// KMIP 2.1 §11.37
var paddingMethodNames = []named{
	{1, "None"}, {2, "OAEP"}, {3, "PKCS5"}, {4, "SSL3"}, {5, "Zeros"}, {6, "ANSIX9_23"}, {7, "ISO10126"},
	{8, "PKCS1V1_5"}, {9, "X9_31"}, {10, "PSS"},
}

// KMIP 2.1 §11.40
var processingStageNames = []named{
	{1, "Submitted"}, {2, "InProcess"}, {3, "Completed"},
}

// KMIP 2.1 §11.42
var protectionLevelNames = []named{
	{1, "High"}, {2, "Low"},
}

// KMIP 2.1 §11.43
var putFunctionNames = []named{
	{1, "New"}, {2, "Replace"},
}

// KMIP 2.1 §11.44
var queryFunctionNames = []named{
	{1, "QueryOperations"}, {2, "QueryObjects"}, {3, "QueryServerInformation"}, {4, "QueryApplicationNamespaces"},
	{5, "QueryExtensionList"}, {6, "QueryExtensionMap"}, {7, "QueryAttestationTypes"}, {8, "QueryRNGs"},
	{9, "QueryValidations"}, {10, "QueryProfiles"}, {11, "QueryCapabilities"},
	{12, "QueryClientRegistrationMethods"}, {13, "QueryDefaultsInformation"}, {14, "QueryStorageProtectionMasks"},
}

// KMIP 2.1 §11.46
var resultReasonNames = []named{
	{0x01, "ItemNotFound"}, {0x02, "ResponseTooLarge"}, {0x03, "AuthenticationNotSuccessful"},
	{0x04, "InvalidMessage"}, {0x05, "OperationNotSupported"}, {0x06, "MissingData"}, {0x07, "InvalidField"},
	{0x08, "FeatureNotSupported"}, {0x09, "OperationCanceledByRequester"}, {0x0A, "CryptographicFailure"},
	{0x0B, "IllegalOperation"}, {0x0C, "PermissionDenied"}, {0x0D, "ObjectArchived"}, {0x0E, "IndexOutOfBounds"},
	{0x0F, "ApplicationNamespaceNotSupported"}, {0x10, "KeyFormatTypeNotSupported"},
	{0x11, "KeyCompressionTypeNotSupported"}, {0x12, "EncodingOptionError"}, {0x13, "KeyValueNotPresent"},
	{0x14, "AttestationRequired"}, {0x15, "AttestationFailed"}, {0x16, "Sensitive"}, {0x17, "NotExtractable"},
	{0x18, "ObjectAlreadyExists"}, {0x19, "InvalidTicket"}, {0x1A, "UsageLimitExceeded"}, {0x1B, "NumericRange"},
	{0x1C, "InvalidDataType"}, {0x1D, "ReadOnlyAttribute"}, {0x1E, "MultiValuedAttribute"},
	{0x1F, "UnsupportedAttribute"}, {0x20, "AttributeInstanceNotFound"}, {0x21, "AttributeNotFound"},
	{0x22, "AttributeReadOnly"}, {0x23, "AttributeSingleValued"}, {0x24, "BadCryptographicParameters"},
	{0x25, "BadPassword"}, {0x26, "CodecError"}, {0x28, "IllegalObjectType"},
	{0x29, "IncompatibleCryptographicUsageMask"}, {0x2A, "InternalServerError"},
	{0x2B, "InvalidAsynchronousCorrelationValue"}, {0x2C, "InvalidAttribute"}, {0x2D, "InvalidAttributeValue"},
	{0x2E, "InvalidCorrelationValue"}, {0x2F, "InvalidCSR"}, {0x30, "InvalidObjectType"},
	{0x32, "KeyWrapTypeNotSupported"}, {0x34, "MissingInitializationVector"}, {0x35, "NonUniqueNameAttribute"},
	{0x36, "ObjectDestroyed"}, {0x37, "ObjectNotFound"}, {0x39, "NotAuthorised"}, {0x3A, "ServerLimitExceeded"},
	{0x3B, "UnknownEnumeration"}, {0x3C, "UnknownMessageExtension"}, {0x3D, "UnknownTag"},
	{0x3E, "UnsupportedCryptographicParameters"}, {0x3F, "UnsupportedProtocolVersion"},
	{0x40, "WrappingObjectArchived"}, {0x41, "WrappingObjectDestroyed"}, {0x42, "WrappingObjectNotFound"},
	{0x43, "WrongKeyLifecycleState"}, {0x44, "ProtectionStorageUnavailable"}, {0x45, "PKCS_11CodecError"},
	{0x46, "PKCS_11InvalidFunction"}, {0x47, "PKCS_11InvalidInterface"},
	{0x48, "PrivateProtectionStorageUnavailable"}, {0x49, "PublicProtectionStorageUnavailable"},
	{0x4A, "UnknownObjectGroup"}, {0x4B, "ConstraintViolation"}, {0x4C, "DuplicateProcessRequest"},
	{0x100, "GeneralFailure"},
}

// KMIP 2.1 §11.47
var resultStatusNames = []named{
	{0, "Success"}, {1, "OperationFailed"}, {2, "OperationPending"}, {3, "OperationUndone"},
}

// KMIP 2.1 §11.48
var revocationReasonCodeNames = []named{
	{1, "Unspecified"}, {2, "KeyCompromise"}, {3, "CACompromise"}, {4, "AffiliationChanged"}, {5, "Superseded"},
	{6, "CessationOfOperation"}, {7, "PrivilegeWithdrawn"},
}

// KMIP 2.1 §11.49
var rngAlgorithmNames = []named{
	{1, "Unspecified"}, {2, "FIPS186_2"}, {3, "DRBG"}, {4, "NRBG"}, {5, "ANSIX9_31"}, {6, "ANSIX9_62"},
}

// KMIP 2.1 §11.50
var rngModeNames = []named{
	{1, "Unspecified"}, {2, "SharedInstantiation"}, {3, "NonSharedInstantiation"},
}

// KMIP 2.1 §11.51
var rotateNameTypeNames = []named{
	{1, "UninterpretedTextString"}, {2, "URI"},
}

// KMIP 2.1 §11.52
var secretDataTypeNames = []named{
	{1, "Password"}, {2, "Seed"},
}

// KMIP 2.1 §11.53
var shreddingAlgorithmNames = []named{
	{1, "Unspecified"}, {2, "Cryptographic"}, {3, "Unsupported"},
}

// KMIP 2.1 §11.54
var splitKeyMethodNames = []named{
	{1, "XOR"}, {2, "PolynomialSharingGF2_16"}, {3, "PolynomialSharingPrimeField"}, {4, "PolynomialSharingGF2_8"},
}

// KMIP 2.1 §11.55
var stateNames = []named{
	{1, "PreActive"}, {2, "Active"}, {3, "Deactivated"}, {4, "Compromised"}, {5, "Destroyed"},
	{6, "DestroyedCompromised"},
}

// KMIP 2.1 §11.57
var ticketTypeNames = []named{
	{1, "Login"},
}

// KMIP 2.1 §11.58
var uniqueIdentifierNames = []named{
	{1, "IDPlaceholder"}, {2, "Certify"}, {3, "Create"}, {4, "CreateKeyPair"}, {5, "CreateKeyPairPrivateKey"},
	{6, "CreateKeyPairPublicKey"}, {7, "CreateSplitKey"}, {8, "DeriveKey"}, {9, "Import"}, {10, "JoinSplitKey"},
	{11, "Locate"}, {12, "Register"}, {13, "ReKey"}, {14, "ReCertify"}, {15, "ReKeyKeyPair"},
	{16, "ReKeyKeyPairPrivateKey"}, {17, "ReKeyKeyPairPublicKey"},
}

// KMIP 2.1 §11.59
var unwrapModeNames = []named{
	{1, "Unspecified"}, {2, "Processed"}, {3, "NotProcessed"},
}

// KMIP 2.1 §11.60
var usageLimitsUnitNames = []named{
	{1, "Byte"}, {2, "Object"},
}

// KMIP 2.1 §11.61
var validityIndicatorNames = []named{
	{1, "Valid"}, {2, "Invalid"}, {3, "Unknown"},
}

// KMIP 2.1 §11.62
var wrappingMethodNames = []named{
	{1, "Encrypt"}, {2, "MACSign"}, {3, "EncryptThenMACSign"}, {4, "MACSignThenEncrypt"}, {5, "TR_31"},
}

// KMIP 2.1 §11.63
var validationAuthorityTypeNames = []named{
	{1, "Unspecified"}, {2, "NISTCMVP"}, {3, "CommonCriteria"},
}

// KMIP 2.1 §11.64
var validationTypeNames = []named{
	{1, "Unspecified"}, {2, "Hardware"}, {3, "Software"}, {4, "Firmware"}, {5, "Hybrid"},
}

// KMIP 2.1 §12.1
var cryptographicUsageMaskNames = []named{
	{0x1, "Sign"}, {0x2, "Verify"}, {0x4, "Encrypt"}, {0x8, "Decrypt"}, {0x10, "WrapKey"}, {0x20, "UnwrapKey"},
	{0x40, "Export"}, {0x80, "MACGenerate"}, {0x100, "MACVerify"}, {0x200, "DeriveKey"},
	{0x400, "ContentCommitmentNonRepudiation"}, {0x800, "KeyAgreement"}, {0x1000, "CertificateSign"},
	{0x2000, "CRLSign"}, {0x4000, "GenerateCryptogram"}, {0x8000, "ValidateCryptogram"},
	{0x10000, "TranslateEncrypt"}, {0x20000, "TranslateDecrypt"}, {0x40000, "TranslateWrap"},
	{0x80000, "TranslateUnwrap"}, {0x100000, "Authenticate"}, {0x200000, "Unrestricted"},
	{0x400000, "FPEEncrypt"}, {0x800000, "FPEDecrypt"},
}

// KMIP 2.1 §12.2
var protectionStorageMaskNames = []named{
	{0x1, "Software"}, {0x2, "Hardware"}, {0x4, "OnProcessor"}, {0x8, "OnSystem"}, {0x10, "OffSystem"},
	{0x20, "Hypervisor"}, {0x40, "OperatingSystem"}, {0x80, "Container"}, {0x100, "OnPremises"},
	{0x200, "OffPremises"}, {0x400, "SelfManaged"}, {0x800, "Outsourced"}, {0x1000, "Validated"},
	{0x2000, "SameJurisdiction"},
}

// KMIP 2.1 §12.3
var storageStatusMaskNames = []named{
	{0x1, "OnLineStorage"}, {0x2, "ArchivalStorage"}, {0x4, "DestroyedStorage"},
}
