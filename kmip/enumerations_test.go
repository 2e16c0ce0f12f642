package kmip

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// betweenDigits matches an underscore that a Go name keeps: PKCS_8 is PKCS8, but SHA_512_256 is SHA512_256.
var betweenDigits = regexp.MustCompile(`(\d)_(\d)`)

// goNames are the names made by hand.
var goNames = map[string]string{
	"PKCS1V1_5":                       "PKCS1v15",
	"ContentCommitmentNonRepudiation": "ContentCommitment",
}

func goName(name string) string {
	if made, ok := goNames[name]; ok {
		return made
	}
	name = betweenDigits.ReplaceAllString(name, "$1~$2")
	return strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "~", "_")
}

// tagOf returns the tag under which values of a Go type travel.
func tagOf(t *testing.T, typ string) ttlv.Tag {
	switch typ {
	case "ItemType":
		return ttlv.TagExtensionType
	case "PKCS11ReturnCode":
		return ttlv.TagPKCS11ReturnCode
	}
	tag, ok := ttlv.TagByName(strings.TrimSuffix(typ, "Enumeration"))
	require.True(t, ok, typ)
	return tag
}

func TestConstantsAgreeWithNames(t *testing.T) {
	files, err := filepath.Glob("enumerations*.go")
	require.NoError(t, err)
	constants := map[ttlv.Tag]map[uint32]bool{}
	for _, file := range append(files, "masks.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			typ := spec.Type.(*ast.Ident).Name
			tag := tagOf(t, typ)
			value, err := strconv.ParseUint(spec.Values[0].(*ast.BasicLit).Value, 0, 32)
			require.NoError(t, err)
			require.Equal(t, typ+goName(ttlv.EnumName(tag, uint32(value))), spec.Names[0].Name)
			if constants[tag] == nil {
				constants[tag] = map[uint32]bool{}
			}
			constants[tag][uint32(value)] = true
			return false
		})
	}
	requireAllNamed(t, constants)
}

// requireAllNamed requires a constant for each value that has a name.
func requireAllNamed(t *testing.T, constants map[ttlv.Tag]map[uint32]bool) {
	for tag, values := range constants {
		if tag == ttlv.TagPKCS11ReturnCode {
			continue
		}
		for v := range uint32(0x200) {
			require.Equal(t, ttlv.EnumName(tag, v) != "", values[v], "%v 0x%X", tag, v)
		}
		for v := uint32(0x200); v != 0 && ttlv.IsMask(tag); v <<= 1 {
			require.Equal(t, ttlv.EnumName(tag, v) != "", values[v], "%v 0x%X", tag, v)
		}
	}
}

func TestEnumerationStrings(t *testing.T) {
	for _, c := range []struct {
		value fmt.Stringer
		want  string
	}{
		{OperationSign, "Sign"},
		{ResultStatusOperationPending, "OperationPending"},
		{ResultReasonBadPassword, "BadPassword"},
		{BatchErrorContinuationOptionStop, "Stop"},
		{AsynchronousIndicatorOptional, "Optional"},
		{CredentialTypeOneTimePassword, "OneTimePassword"},
		{QueryFunctionQueryRNGs, "QueryRNGs"},
		{UniqueIdentifierEnumerationImport, "Import"},
		{DataEnumerationMACMACData, "MACMACData"},
		{ProcessingStageInProcess, "InProcess"},
		{CancellationResultCompleted, "Completed"},
		{PutFunctionReplace, "Replace"},
		{EndpointRoleServer, "Server"},
		{AttestationTypeTCGIntegrityReport, "TCGIntegrityReport"},
		{TicketTypeLogin, "Login"},
		{AdjustmentTypeDecrement, "Decrement"},
		{ItemTypeBoolean, "Boolean"},
		{InteropFunctionEnd, "End"},
		{PKCS11Function(1), "C_Initialize"},
		{PKCS11ReturnCodeOK, "OK"},
		{CryptographicAlgorithmPoly1305, "Poly1305"},
		{BlockCipherModeCBCMAC, "CBC_MAC"},
		{PaddingMethodANSIX9_23, "ANSIX9_23"},
		{HashingAlgorithmRIPEMD160, "RIPEMD_160"},
		{DigitalSignatureAlgorithmDSAWithSHA224, "DSAWithSHA224"},
		{MaskGeneratorMGF1, "MGF1"},
		{DerivationMethodNIST800_108F, "NIST800_108_F"},
		{WrappingMethodEncryptThenMACSign, "EncryptThenMACSign"},
		{EncodingOptionTTLVEncoding, "TTLVEncoding"},
		{KeyWrapTypeAsRegistered, "AsRegistered"},
		{SplitKeyMethodPolynomialSharingPrimeField, "PolynomialSharingPrimeField"},
		{RNGAlgorithmNRBG, "NRBG"},
		{DRBGAlgorithmHash, "Hash"},
		{FIPS186VariationXOriginal, "XOriginal"},
		{ValidityIndicatorInvalid, "Invalid"},
		{RecommendedCurveANSIX9P239V1, "ANSIX9P239V1"},
		{ObjectTypeTemplate, "Template"},
		{StateCompromised, "Compromised"},
		{KeyFormatTypeTransparentDHPrivateKey, "TransparentDHPrivateKey"},
		{KeyCompressionTypeECPublicKeyTypeX9_62CompressedChar2, "ECPublicKeyTypeX9_62CompressedChar2"},
		{KeyRoleTypeMAC97971, "MAC97971"},
		{NISTKeyTypePrivateKeyTransportKey, "PrivateKeyTransportKey"},
		{CertificateTypePGP, "PGP"},
		{CertificateRequestTypePEM, "PEM"},
		{SecretDataTypeSeed, "Seed"},
		{OpaqueDataType(0x80000001), "0x80000001"},
		{NameTypeURI, "URI"},
		{AlternativeNameTypeEmailAddress, "EmailAddress"},
		{RotateNameTypeURI, "URI"},
		{LinkTypeParentLink, "ParentLink"},
		{RevocationReasonCodeAffiliationChanged, "AffiliationChanged"},
		{UsageLimitsUnitObject, "Object"},
		{ObjectGroupMemberGroupMemberDefault, "GroupMemberDefault"},
		{KeyValueLocationTypeURI, "URI"},
		{ProtectionLevelLow, "Low"},
		{ProfileNameBasicCryptographicClientKMIPV1_3, "BasicCryptographicClientKMIPV1_3"},
		{ClientRegistrationMethodServerOnDemand, "ServerOnDemand"},
		{UnwrapModeProcessed, "Processed"},
		{DestroyActionMetaDataDeleted, "MetaDataDeleted"},
		{ShreddingAlgorithmCryptographic, "Cryptographic"},
		{RNGModeSharedInstantiation, "SharedInstantiation"},
		{ValidationAuthorityTypeNISTCMVP, "NISTCMVP"},
		{ValidationTypeSoftware, "Software"},
		{OperationCanI, "CanI"},
		{Operation(0x80000006), "0x80000006"},
		{CryptographicAlgorithm(0), "0x00000000"},
		{CryptographicUsageMaskEncrypt | CryptographicUsageMaskDecrypt, "Encrypt|Decrypt"},
		{ProtectionStorageMaskHardware | 0x40000000, "Hardware|0x40000000"},
		{StorageStatusMaskOnLineStorage, "OnLineStorage"},
		{StorageStatusMask(0), "0"},
	} {
		require.Equal(t, c.want, c.value.String(), "%T", c.value)
	}
}
