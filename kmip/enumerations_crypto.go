package kmip

import "strongroom/kmip/ttlv"

// CryptographicAlgorithm is the algorithm a key is made for (KMIP 2.1 §11.12).
type CryptographicAlgorithm uint32

// Values of CryptographicAlgorithm.
const (
	CryptographicAlgorithmDES              CryptographicAlgorithm = 1
	CryptographicAlgorithmDES3             CryptographicAlgorithm = 2
	CryptographicAlgorithmAES              CryptographicAlgorithm = 3
	CryptographicAlgorithmRSA              CryptographicAlgorithm = 4
	CryptographicAlgorithmDSA              CryptographicAlgorithm = 5
	CryptographicAlgorithmECDSA            CryptographicAlgorithm = 6
	CryptographicAlgorithmHMACSHA1         CryptographicAlgorithm = 7
	CryptographicAlgorithmHMACSHA224       CryptographicAlgorithm = 8
	CryptographicAlgorithmHMACSHA256       CryptographicAlgorithm = 9
	CryptographicAlgorithmHMACSHA384       CryptographicAlgorithm = 10
	CryptographicAlgorithmHMACSHA512       CryptographicAlgorithm = 11
	CryptographicAlgorithmHMACMD5          CryptographicAlgorithm = 12
	CryptographicAlgorithmDH               CryptographicAlgorithm = 13
	CryptographicAlgorithmECDH             CryptographicAlgorithm = 14
	CryptographicAlgorithmECMQV            CryptographicAlgorithm = 15
	CryptographicAlgorithmBlowfish         CryptographicAlgorithm = 16
	CryptographicAlgorithmCamellia         CryptographicAlgorithm = 17
	CryptographicAlgorithmCAST5            CryptographicAlgorithm = 18
	CryptographicAlgorithmIDEA             CryptographicAlgorithm = 19
	CryptographicAlgorithmMARS             CryptographicAlgorithm = 20
	CryptographicAlgorithmRC2              CryptographicAlgorithm = 21
	CryptographicAlgorithmRC4              CryptographicAlgorithm = 22
	CryptographicAlgorithmRC5              CryptographicAlgorithm = 23
	CryptographicAlgorithmSKIPJACK         CryptographicAlgorithm = 24
	CryptographicAlgorithmTwofish          CryptographicAlgorithm = 25
	CryptographicAlgorithmEC               CryptographicAlgorithm = 26
	CryptographicAlgorithmOneTimePad       CryptographicAlgorithm = 27
	CryptographicAlgorithmChaCha20         CryptographicAlgorithm = 28
	CryptographicAlgorithmPoly1305         CryptographicAlgorithm = 29
	CryptographicAlgorithmChaCha20Poly1305 CryptographicAlgorithm = 30
	CryptographicAlgorithmSHA3_224         CryptographicAlgorithm = 31
	CryptographicAlgorithmSHA3_256         CryptographicAlgorithm = 32
	CryptographicAlgorithmSHA3_384         CryptographicAlgorithm = 33
	CryptographicAlgorithmSHA3_512         CryptographicAlgorithm = 34
	CryptographicAlgorithmHMACSHA3_224     CryptographicAlgorithm = 35
	CryptographicAlgorithmHMACSHA3_256     CryptographicAlgorithm = 36
	CryptographicAlgorithmHMACSHA3_384     CryptographicAlgorithm = 37
	CryptographicAlgorithmHMACSHA3_512     CryptographicAlgorithm = 38
	CryptographicAlgorithmSHAKE128         CryptographicAlgorithm = 39
	CryptographicAlgorithmSHAKE256         CryptographicAlgorithm = 40
	CryptographicAlgorithmARIA             CryptographicAlgorithm = 41
	CryptographicAlgorithmSEED             CryptographicAlgorithm = 42
	CryptographicAlgorithmSM2              CryptographicAlgorithm = 43
	CryptographicAlgorithmSM3              CryptographicAlgorithm = 44
	CryptographicAlgorithmSM4              CryptographicAlgorithm = 45
	CryptographicAlgorithmGOSTR34_10_2012  CryptographicAlgorithm = 46
	CryptographicAlgorithmGOSTR34_11_2012  CryptographicAlgorithm = 47
	CryptographicAlgorithmGOSTR34_13_2015  CryptographicAlgorithm = 48
	CryptographicAlgorithmGOST28147_89     CryptographicAlgorithm = 49
	CryptographicAlgorithmXMSS             CryptographicAlgorithm = 50
	CryptographicAlgorithmSPHINCS256       CryptographicAlgorithm = 51
	CryptographicAlgorithmMcEliece         CryptographicAlgorithm = 52
	CryptographicAlgorithmMcEliece6960119  CryptographicAlgorithm = 53
	CryptographicAlgorithmMcEliece8192128  CryptographicAlgorithm = 54
	CryptographicAlgorithmEd25519          CryptographicAlgorithm = 55
	CryptographicAlgorithmEd448            CryptographicAlgorithm = 56
)

// String returns the normalized name, or the value in hexadecimal.
func (v CryptographicAlgorithm) String() string {
	return enumString(ttlv.TagCryptographicAlgorithm, uint32(v))
}

// BlockCipherMode is the mode of a block cipher, or of a key wrap (KMIP 2.1 §11.6).
type BlockCipherMode uint32

// Values of BlockCipherMode.
const (
	BlockCipherModeCBC               BlockCipherMode = 1
	BlockCipherModeECB               BlockCipherMode = 2
	BlockCipherModePCBC              BlockCipherMode = 3
	BlockCipherModeCFB               BlockCipherMode = 4
	BlockCipherModeOFB               BlockCipherMode = 5
	BlockCipherModeCTR               BlockCipherMode = 6
	BlockCipherModeCMAC              BlockCipherMode = 7
	BlockCipherModeCCM               BlockCipherMode = 8
	BlockCipherModeGCM               BlockCipherMode = 9
	BlockCipherModeCBCMAC            BlockCipherMode = 10
	BlockCipherModeXTS               BlockCipherMode = 11
	BlockCipherModeAESKeyWrapPadding BlockCipherMode = 12
	BlockCipherModeNISTKeyWrap       BlockCipherMode = 13
	BlockCipherModeX9_102AESKW       BlockCipherMode = 14
	BlockCipherModeX9_102TDKW        BlockCipherMode = 15
	BlockCipherModeX9_102AKW1        BlockCipherMode = 16
	BlockCipherModeX9_102AKW2        BlockCipherMode = 17
	BlockCipherModeAEAD              BlockCipherMode = 18
)

// String returns the normalized name, or the value in hexadecimal.
func (v BlockCipherMode) String() string { return enumString(ttlv.TagBlockCipherMode, uint32(v)) }

// PaddingMethod is how data is padded before it is encrypted or signed (KMIP 2.1 §11.37).
type PaddingMethod uint32

// Values of PaddingMethod.
const (
	PaddingMethodNone      PaddingMethod = 1
	PaddingMethodOAEP      PaddingMethod = 2
	PaddingMethodPKCS5     PaddingMethod = 3
	PaddingMethodSSL3      PaddingMethod = 4
	PaddingMethodZeros     PaddingMethod = 5
	PaddingMethodANSIX9_23 PaddingMethod = 6
	PaddingMethodISO10126  PaddingMethod = 7
	PaddingMethodPKCS1v15  PaddingMethod = 8
	PaddingMethodX9_31     PaddingMethod = 9
	PaddingMethodPSS       PaddingMethod = 10
)

// String returns the normalized name, or the value in hexadecimal.
func (v PaddingMethod) String() string { return enumString(ttlv.TagPaddingMethod, uint32(v)) }

// HashingAlgorithm is a hash function (KMIP 2.1 §11.21).
type HashingAlgorithm uint32

// Values of HashingAlgorithm.
const (
	HashingAlgorithmMD2        HashingAlgorithm = 1
	HashingAlgorithmMD4        HashingAlgorithm = 2
	HashingAlgorithmMD5        HashingAlgorithm = 3
	HashingAlgorithmSHA1       HashingAlgorithm = 4
	HashingAlgorithmSHA224     HashingAlgorithm = 5
	HashingAlgorithmSHA256     HashingAlgorithm = 6
	HashingAlgorithmSHA384     HashingAlgorithm = 7
	HashingAlgorithmSHA512     HashingAlgorithm = 8
	HashingAlgorithmRIPEMD160  HashingAlgorithm = 9
	HashingAlgorithmTiger      HashingAlgorithm = 10
	HashingAlgorithmWhirlpool  HashingAlgorithm = 11
	HashingAlgorithmSHA512_224 HashingAlgorithm = 12
	HashingAlgorithmSHA512_256 HashingAlgorithm = 13
	HashingAlgorithmSHA3_224   HashingAlgorithm = 14
	HashingAlgorithmSHA3_256   HashingAlgorithm = 15
	HashingAlgorithmSHA3_384   HashingAlgorithm = 16
	HashingAlgorithmSHA3_512   HashingAlgorithm = 17
)

// String returns the normalized name, or the value in hexadecimal.
func (v HashingAlgorithm) String() string { return enumString(ttlv.TagHashingAlgorithm, uint32(v)) }

// DigitalSignatureAlgorithm is a signature algorithm together with its hash and padding (KMIP 2.1 §11.16).
type DigitalSignatureAlgorithm uint32

// Values of DigitalSignatureAlgorithm.
const (
	DigitalSignatureAlgorithmMD2WithRSAEncryption      DigitalSignatureAlgorithm = 1
	DigitalSignatureAlgorithmMD5WithRSAEncryption      DigitalSignatureAlgorithm = 2
	DigitalSignatureAlgorithmSHA1WithRSAEncryption     DigitalSignatureAlgorithm = 3
	DigitalSignatureAlgorithmSHA224WithRSAEncryption   DigitalSignatureAlgorithm = 4
	DigitalSignatureAlgorithmSHA256WithRSAEncryption   DigitalSignatureAlgorithm = 5
	DigitalSignatureAlgorithmSHA384WithRSAEncryption   DigitalSignatureAlgorithm = 6
	DigitalSignatureAlgorithmSHA512WithRSAEncryption   DigitalSignatureAlgorithm = 7
	DigitalSignatureAlgorithmRSASSAPSS                 DigitalSignatureAlgorithm = 8
	DigitalSignatureAlgorithmDSAWithSHA1               DigitalSignatureAlgorithm = 9
	DigitalSignatureAlgorithmDSAWithSHA224             DigitalSignatureAlgorithm = 10
	DigitalSignatureAlgorithmDSAWithSHA256             DigitalSignatureAlgorithm = 11
	DigitalSignatureAlgorithmECDSAWithSHA1             DigitalSignatureAlgorithm = 12
	DigitalSignatureAlgorithmECDSAWithSHA224           DigitalSignatureAlgorithm = 13
	DigitalSignatureAlgorithmECDSAWithSHA256           DigitalSignatureAlgorithm = 14
	DigitalSignatureAlgorithmECDSAWithSHA384           DigitalSignatureAlgorithm = 15
	DigitalSignatureAlgorithmECDSAWithSHA512           DigitalSignatureAlgorithm = 16
	DigitalSignatureAlgorithmSHA3_256WithRSAEncryption DigitalSignatureAlgorithm = 17
	DigitalSignatureAlgorithmSHA3_384WithRSAEncryption DigitalSignatureAlgorithm = 18
	DigitalSignatureAlgorithmSHA3_512WithRSAEncryption DigitalSignatureAlgorithm = 19
)

// String returns the normalized name, or the value in hexadecimal.
func (v DigitalSignatureAlgorithm) String() string {
	return enumString(ttlv.TagDigitalSignatureAlgorithm, uint32(v))
}

// MaskGenerator is the mask generation function of OAEP and PSS (KMIP 2.1 §11.30).
type MaskGenerator uint32

// Values of MaskGenerator.
const (
	MaskGeneratorMGF1 MaskGenerator = 1
)

// String returns the normalized name, or the value in hexadecimal.
func (v MaskGenerator) String() string { return enumString(ttlv.TagMaskGenerator, uint32(v)) }

// DerivationMethod is how Derive Key makes the new object (KMIP 2.1 §11.14).
type DerivationMethod uint32

// Values of DerivationMethod.
const (
	DerivationMethodPBKDF2               DerivationMethod = 1
	DerivationMethodHASH                 DerivationMethod = 2
	DerivationMethodHMAC                 DerivationMethod = 3
	DerivationMethodENCRYPT              DerivationMethod = 4
	DerivationMethodNIST800_108C         DerivationMethod = 5
	DerivationMethodNIST800_108F         DerivationMethod = 6
	DerivationMethodNIST800_108DPI       DerivationMethod = 7
	DerivationMethodAsymmetricKey        DerivationMethod = 8
	DerivationMethodAWSSignatureVersion4 DerivationMethod = 9
	DerivationMethodHKDF                 DerivationMethod = 10
)

// String returns the normalized name, or the value in hexadecimal.
func (v DerivationMethod) String() string { return enumString(ttlv.TagDerivationMethod, uint32(v)) }

// WrappingMethod is how a wrapped key is encrypted, authenticated or both (KMIP 2.1 §11.62).
type WrappingMethod uint32

// Values of WrappingMethod.
const (
	WrappingMethodEncrypt            WrappingMethod = 1
	WrappingMethodMACSign            WrappingMethod = 2
	WrappingMethodEncryptThenMACSign WrappingMethod = 3
	WrappingMethodMACSignThenEncrypt WrappingMethod = 4
	WrappingMethodTR31               WrappingMethod = 5
)

// String returns the normalized name, or the value in hexadecimal.
func (v WrappingMethod) String() string { return enumString(ttlv.TagWrappingMethod, uint32(v)) }

// EncodingOption is whether a wrapped Key Value is TTLV-encoded inside the wrapping (KMIP 2.1 §11.18).
type EncodingOption uint32

// Values of EncodingOption.
const (
	EncodingOptionNoEncoding   EncodingOption = 1
	EncodingOptionTTLVEncoding EncodingOption = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v EncodingOption) String() string { return enumString(ttlv.TagEncodingOption, uint32(v)) }

// KeyWrapType is whether Export and Get return an object wrapped as it was registered (KMIP 2.1 §11.29).
type KeyWrapType uint32

// Values of KeyWrapType.
const (
	KeyWrapTypeNotWrapped   KeyWrapType = 1
	KeyWrapTypeAsRegistered KeyWrapType = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v KeyWrapType) String() string { return enumString(ttlv.TagKeyWrapType, uint32(v)) }

// SplitKeyMethod is how a key is split into parts (KMIP 2.1 §11.54).
type SplitKeyMethod uint32

// Values of SplitKeyMethod.
const (
	SplitKeyMethodXOR                         SplitKeyMethod = 1
	SplitKeyMethodPolynomialSharingGF2_16     SplitKeyMethod = 2
	SplitKeyMethodPolynomialSharingPrimeField SplitKeyMethod = 3
	SplitKeyMethodPolynomialSharingGF2_8      SplitKeyMethod = 4
)

// String returns the normalized name, or the value in hexadecimal.
func (v SplitKeyMethod) String() string { return enumString(ttlv.TagSplitKeyMethod, uint32(v)) }

// RNGAlgorithm is the kind of a random number generator (KMIP 2.1 §11.49).
type RNGAlgorithm uint32

// Values of RNGAlgorithm.
const (
	RNGAlgorithmUnspecified RNGAlgorithm = 1
	RNGAlgorithmFIPS186_2   RNGAlgorithm = 2
	RNGAlgorithmDRBG        RNGAlgorithm = 3
	RNGAlgorithmNRBG        RNGAlgorithm = 4
	RNGAlgorithmANSIX9_31   RNGAlgorithm = 5
	RNGAlgorithmANSIX9_62   RNGAlgorithm = 6
)

// String returns the normalized name, or the value in hexadecimal.
func (v RNGAlgorithm) String() string { return enumString(ttlv.TagRNGAlgorithm, uint32(v)) }

// DRBGAlgorithm is the kind of a deterministic random bit generator (KMIP 2.1 §11.17).
type DRBGAlgorithm uint32

// Values of DRBGAlgorithm.
const (
	DRBGAlgorithmUnspecified DRBGAlgorithm = 1
	DRBGAlgorithmDualEC      DRBGAlgorithm = 2
	DRBGAlgorithmHash        DRBGAlgorithm = 3
	DRBGAlgorithmHMAC        DRBGAlgorithm = 4
	DRBGAlgorithmCTR         DRBGAlgorithm = 5
)

// String returns the normalized name, or the value in hexadecimal.
func (v DRBGAlgorithm) String() string { return enumString(ttlv.TagDRBGAlgorithm, uint32(v)) }

// FIPS186Variation is the variant of a FIPS 186-2 random number generator (KMIP 2.1 §11.20).
type FIPS186Variation uint32

// Values of FIPS186Variation.
const (
	FIPS186VariationUnspecified     FIPS186Variation = 1
	FIPS186VariationGPXOriginal     FIPS186Variation = 2
	FIPS186VariationGPXChangeNotice FIPS186Variation = 3
	FIPS186VariationXOriginal       FIPS186Variation = 4
	FIPS186VariationXChangeNotice   FIPS186Variation = 5
	FIPS186VariationKOriginal       FIPS186Variation = 6
	FIPS186VariationKChangeNotice   FIPS186Variation = 7
)

// String returns the normalized name, or the value in hexadecimal.
func (v FIPS186Variation) String() string { return enumString(ttlv.TagFIPS186Variation, uint32(v)) }

// ValidityIndicator is the outcome of a verification (KMIP 2.1 §11.61).
type ValidityIndicator uint32

// Values of ValidityIndicator.
const (
	ValidityIndicatorValid   ValidityIndicator = 1
	ValidityIndicatorInvalid ValidityIndicator = 2
	ValidityIndicatorUnknown ValidityIndicator = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v ValidityIndicator) String() string { return enumString(ttlv.TagValidityIndicator, uint32(v)) }
