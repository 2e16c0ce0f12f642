package cryptoki

import "strongroom/kmip"

// Functions, by their place in CK_FUNCTION_LIST_3_0. KMIP 2.1 §11.38.
const (
	Initialize kmip.PKCS11Function = iota + 1
	Finalize
	GetInfo
	GetFunctionList
	GetSlotList
	GetSlotInfo
	GetTokenInfo
	GetMechanismList
	GetMechanismInfo

	OpenSession        kmip.PKCS11Function = 13
	CloseSession       kmip.PKCS11Function = 14
	CloseAllSessions   kmip.PKCS11Function = 15
	GetSessionInfo     kmip.PKCS11Function = 16
	Login              kmip.PKCS11Function = 19
	Logout             kmip.PKCS11Function = 20
	GetAttributeValue  kmip.PKCS11Function = 25
	FindObjectsInit    kmip.PKCS11Function = 27
	FindObjects        kmip.PKCS11Function = 28
	FindObjectsFinal   kmip.PKCS11Function = 29
	GetFunctionStatus  kmip.PKCS11Function = 66
	CancelFunction     kmip.PKCS11Function = 67
	MessageVerifyFinal kmip.PKCS11Function = 92
	LastFunction                           = MessageVerifyFinal
	InterfaceName                          = "PKCS 11" // of the default interface, that of PKCS#11 3.0
	EncodingVersion                        = 1         // what C_Initialize says
)

// Return codes, CKR_. PKCS#11 3.0.
const (
	OK                       kmip.PKCS11ReturnCode = 0x00
	SlotIDInvalid            kmip.PKCS11ReturnCode = 0x03
	ArgumentsBad             kmip.PKCS11ReturnCode = 0x07
	AttributeSensitive       kmip.PKCS11ReturnCode = 0x11
	AttributeTypeInvalid     kmip.PKCS11ReturnCode = 0x12
	HostMemory               kmip.PKCS11ReturnCode = 0x02
	FunctionNotParallel      kmip.PKCS11ReturnCode = 0x51
	FunctionNotSupported     kmip.PKCS11ReturnCode = 0x54
	MechanismInvalid         kmip.PKCS11ReturnCode = 0x70
	ObjectHandleInvalid      kmip.PKCS11ReturnCode = 0x82
	OperationActive          kmip.PKCS11ReturnCode = 0x90
	OperationNotInitialized  kmip.PKCS11ReturnCode = 0x91
	SessionCount             kmip.PKCS11ReturnCode = 0xB1
	SessionHandleInvalid     kmip.PKCS11ReturnCode = 0xB3
	ParallelNotSupported     kmip.PKCS11ReturnCode = 0xB4
	TokenNotPresent          kmip.PKCS11ReturnCode = 0xE0
	TokenWriteProtected      kmip.PKCS11ReturnCode = 0xE2
	UserAlreadyLoggedIn      kmip.PKCS11ReturnCode = 0x100
	BufferTooSmall           kmip.PKCS11ReturnCode = 0x150
	CryptokiNotInitialized   kmip.PKCS11ReturnCode = 0x190
	CryptokiAlreadyInitiated kmip.PKCS11ReturnCode = 0x191
)

// Flags, CKF_, each of its structure.
const (
	SlotTokenPresent     = 0x1 // CK_SLOT_INFO
	SlotHardware         = 0x4
	TokenWriteProtection = 0x2 // CK_TOKEN_INFO
	TokenInitialized     = 0x400
	TokenPINInitialized  = 0x8
	SessionReadWrite     = 0x2 // CK_SESSION_INFO, C_OpenSession
	SessionSerial        = 0x4
	MechanismHardware    = 0x1 // CK_MECHANISM_INFO
	MechanismEncrypt     = 0x100
	MechanismDecrypt     = 0x200
	MechanismSign        = 0x800
	MechanismVerify      = 0x2000
	MechanismWrap        = 0x20000
	MechanismUnwrap      = 0x40000
)

// StateReadOnlyUser is CKS_RO_USER_FUNCTIONS.
const StateReadOnlyUser = 1

// Unavailable is CK_UNAVAILABLE_INFORMATION.
const Unavailable = ^uint64(0)

// Classes, CKO_.
const (
	ClassData        = 0
	ClassCertificate = 1
	ClassPublicKey   = 2
	ClassPrivateKey  = 3
	ClassSecretKey   = 4
)

// Key types, CKK_.
const (
	KeyRSA           = 0x00
	KeyEC            = 0x03
	KeyGenericSecret = 0x10
	KeyDES3          = 0x15
	KeyAES           = 0x1F
	KeyChaCha20      = 0x33
	KeyECEdwards     = 0x40
	KeyECMontgomery  = 0x41
)

// Attributes, CKA_.
const (
	Class              = 0x000
	Token              = 0x001
	Private            = 0x002
	Label              = 0x003
	Value              = 0x011
	CertificateType    = 0x080
	Issuer             = 0x081
	SerialNumber       = 0x082
	Subject            = 0x101
	KeyType            = 0x100
	ID                 = 0x102
	Sensitive          = 0x103
	Encrypt            = 0x104
	Decrypt            = 0x105
	Wrap               = 0x106
	Unwrap             = 0x107
	Sign               = 0x108
	SignRecover        = 0x109
	Verify             = 0x10A
	VerifyRecover      = 0x10B
	Derive             = 0x10C
	StartDate          = 0x110
	EndDate            = 0x111
	Modulus            = 0x120
	ModulusBits        = 0x121
	PublicExponent     = 0x122
	ValueLen           = 0x161
	Extractable        = 0x162
	Local              = 0x163
	NeverExtractable   = 0x164
	AlwaysSensitive    = 0x165
	KeyGenMechanism    = 0x166
	Modifiable         = 0x170
	Copyable           = 0x171
	Destroyable        = 0x172
	ECParams           = 0x180
	ECPoint            = 0x181
	AlwaysAuthenticate = 0x202
	WrapWithTrusted    = 0x210
	WrapTemplate       = 0x40000211
	UnwrapTemplate     = 0x40000212
	DeriveTemplate     = 0x40000213
	AllowedMechanisms  = 0x40000600
)

// Mechanisms, CKM_.
const (
	RSAPKCS         = 0x0001
	RSAX509         = 0x0003
	RSAPKCSOAEP     = 0x0009
	RSAPKCSPSS      = 0x000D
	SHA1HMAC        = 0x0221
	SHA256HMAC      = 0x0251
	SHA384HMAC      = 0x0261
	SHA512HMAC      = 0x0271
	ECDSA           = 0x1041
	AESECB          = 0x1081
	AESCBC          = 0x1082
	AESCBCPad       = 0x1085
	AESCTR          = 0x1086
	AESGCM          = 0x1087
	AESCMAC         = 0x108A
	AESKeyWrap      = 0x2109
	AESKeyWrapPad   = 0x210A
	AESKeyWrapKWP   = 0x210B
	EDDSA           = 0x1057
	ChaCha20Poly    = 0x4021
	CertificateX509 = 0 // CKC_X_509
)

// A kind is how the value of an attribute is encoded.
type kind int

const (
	kindBytes kind = iota // an array of bytes: of most, and of those that are not known
	kindBool
	kindULong
	kindDate
	kindULongs    // an array
	kindTemplates // an array of attributes
)

// kinds has the attributes that are no array of bytes.
var kinds = map[uint64]kind{
	Class: kindULong, Token: kindBool, Private: kindBool, CertificateType: kindULong, KeyType: kindULong,
	Sensitive: kindBool, Encrypt: kindBool, Decrypt: kindBool, Wrap: kindBool, Unwrap: kindBool, Sign: kindBool, SignRecover: kindBool,
	Verify: kindBool, VerifyRecover: kindBool, Derive: kindBool, StartDate: kindDate, EndDate: kindDate, ModulusBits: kindULong,
	ValueLen: kindULong, Extractable: kindBool, Local: kindBool, NeverExtractable: kindBool, AlwaysSensitive: kindBool,
	KeyGenMechanism: kindULong, Modifiable: kindBool, Copyable: kindBool, Destroyable: kindBool, AlwaysAuthenticate: kindBool,
	WrapWithTrusted: kindBool, AllowedMechanisms: kindULongs, WrapTemplate: kindTemplates, UnwrapTemplate: kindTemplates,
	DeriveTemplate: kindTemplates,
	0x086:          kindBool,                                      // CKA_TRUSTED
	0x087:          kindULong,                                     // CKA_CERTIFICATE_CATEGORY
	0x088:          kindULong,                                     // CKA_JAVA_MIDP_SECURITY_DOMAIN
	0x133:          kindULong, 0x134: kindULong, 0x160: kindULong, // CKA_PRIME_BITS, CKA_SUB_PRIME_BITS, CKA_VALUE_BITS
	0x300: kindULong, 0x301: kindBool, 0x302: kindBool, // CKA_HW_FEATURE_TYPE, CKA_RESET_ON_INIT, CKA_HAS_RESET
	0x500: kindULong, // CKA_MECHANISM_TYPE
	0x601: kindULong, // CKA_PROFILE_ID
}
