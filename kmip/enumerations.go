package kmip

import (
	"fmt"

	"strongroom/kmip/ttlv"
)

// enumString returns the normalized name of v under t, or v in hexadecimal when it has none.
func enumString(t ttlv.Tag, v uint32) string {
	if name := ttlv.EnumName(t, v); name != "" {
		return name
	}
	return fmt.Sprintf("0x%08X", v)
}

// Operation is what a batch item asks for (KMIP 2.1 §11.36).
type Operation uint32

// Values of Operation.
const (
	OperationCreate                    Operation = 1
	OperationCreateKeyPair             Operation = 2
	OperationRegister                  Operation = 3
	OperationReKey                     Operation = 4
	OperationDeriveKey                 Operation = 5
	OperationCertify                   Operation = 6
	OperationReCertify                 Operation = 7
	OperationLocate                    Operation = 8
	OperationCheck                     Operation = 9
	OperationGet                       Operation = 10
	OperationGetAttributes             Operation = 11
	OperationGetAttributeList          Operation = 12
	OperationAddAttribute              Operation = 13
	OperationModifyAttribute           Operation = 14
	OperationDeleteAttribute           Operation = 15
	OperationObtainLease               Operation = 16
	OperationGetUsageAllocation        Operation = 17
	OperationActivate                  Operation = 18
	OperationRevoke                    Operation = 19
	OperationDestroy                   Operation = 20
	OperationArchive                   Operation = 21
	OperationRecover                   Operation = 22
	OperationValidate                  Operation = 23
	OperationQuery                     Operation = 24
	OperationCancel                    Operation = 25
	OperationPoll                      Operation = 26
	OperationNotify                    Operation = 27
	OperationPut                       Operation = 28
	OperationReKeyKeyPair              Operation = 29
	OperationDiscoverVersions          Operation = 30
	OperationEncrypt                   Operation = 31
	OperationDecrypt                   Operation = 32
	OperationSign                      Operation = 33
	OperationSignatureVerify           Operation = 34
	OperationMAC                       Operation = 35
	OperationMACVerify                 Operation = 36
	OperationRNGRetrieve               Operation = 37
	OperationRNGSeed                   Operation = 38
	OperationHash                      Operation = 39
	OperationCreateSplitKey            Operation = 40
	OperationJoinSplitKey              Operation = 41
	OperationImport                    Operation = 42
	OperationExport                    Operation = 43
	OperationLog                       Operation = 44
	OperationLogin                     Operation = 45
	OperationLogout                    Operation = 46
	OperationDelegatedLogin            Operation = 47
	OperationAdjustAttribute           Operation = 48
	OperationSetAttribute              Operation = 49
	OperationSetEndpointRole           Operation = 50
	OperationPKCS11                    Operation = 51
	OperationInterop                   Operation = 52
	OperationReProvision               Operation = 53
	OperationSetDefaults               Operation = 54
	OperationSetConstraints            Operation = 55
	OperationGetConstraints            Operation = 56
	OperationQueryAsynchronousRequests Operation = 57
	OperationProcess                   Operation = 58
	OperationPing                      Operation = 59
)

// Operations of this server, in the range left to vendors: they tell and change who may use an object.
const (
	OperationGrantAccess    Operation = 0x80000001
	OperationWithdrawAccess Operation = 0x80000002
	OperationListAccess     Operation = 0x80000003
	OperationWhoAmI         Operation = 0x80000004
	OperationCanI           Operation = 0x80000005
)

// String returns the normalized name, or the value in hexadecimal.
func (v Operation) String() string { return enumString(ttlv.TagOperation, uint32(v)) }

// ResultStatus is the outcome of a batch item (KMIP 2.1 §11.47).
type ResultStatus uint32

// Values of ResultStatus.
const (
	ResultStatusSuccess          ResultStatus = 0
	ResultStatusOperationFailed  ResultStatus = 1
	ResultStatusOperationPending ResultStatus = 2
	ResultStatusOperationUndone  ResultStatus = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v ResultStatus) String() string { return enumString(ttlv.TagResultStatus, uint32(v)) }

// ResultReason is why an operation failed or is pending (KMIP 2.1 §11.46).
type ResultReason uint32

// Values of ResultReason. Those marked 1.x are reserved in KMIP 2.0 and later.
const (
	ResultReasonItemNotFound                        ResultReason = 0x1
	ResultReasonResponseTooLarge                    ResultReason = 0x2
	ResultReasonAuthenticationNotSuccessful         ResultReason = 0x3
	ResultReasonInvalidMessage                      ResultReason = 0x4
	ResultReasonOperationNotSupported               ResultReason = 0x5
	ResultReasonMissingData                         ResultReason = 0x6
	ResultReasonInvalidField                        ResultReason = 0x7
	ResultReasonFeatureNotSupported                 ResultReason = 0x8
	ResultReasonOperationCanceledByRequester        ResultReason = 0x9
	ResultReasonCryptographicFailure                ResultReason = 0xA
	ResultReasonIllegalOperation                    ResultReason = 0xB // 1.x
	ResultReasonPermissionDenied                    ResultReason = 0xC
	ResultReasonObjectArchived                      ResultReason = 0xD
	ResultReasonIndexOutOfBounds                    ResultReason = 0xE // 1.x
	ResultReasonApplicationNamespaceNotSupported    ResultReason = 0xF
	ResultReasonKeyFormatTypeNotSupported           ResultReason = 0x10
	ResultReasonKeyCompressionTypeNotSupported      ResultReason = 0x11
	ResultReasonEncodingOptionError                 ResultReason = 0x12
	ResultReasonKeyValueNotPresent                  ResultReason = 0x13
	ResultReasonAttestationRequired                 ResultReason = 0x14
	ResultReasonAttestationFailed                   ResultReason = 0x15
	ResultReasonSensitive                           ResultReason = 0x16
	ResultReasonNotExtractable                      ResultReason = 0x17
	ResultReasonObjectAlreadyExists                 ResultReason = 0x18
	ResultReasonInvalidTicket                       ResultReason = 0x19
	ResultReasonUsageLimitExceeded                  ResultReason = 0x1A
	ResultReasonNumericRange                        ResultReason = 0x1B
	ResultReasonInvalidDataType                     ResultReason = 0x1C
	ResultReasonReadOnlyAttribute                   ResultReason = 0x1D
	ResultReasonMultiValuedAttribute                ResultReason = 0x1E
	ResultReasonUnsupportedAttribute                ResultReason = 0x1F
	ResultReasonAttributeInstanceNotFound           ResultReason = 0x20
	ResultReasonAttributeNotFound                   ResultReason = 0x21
	ResultReasonAttributeReadOnly                   ResultReason = 0x22
	ResultReasonAttributeSingleValued               ResultReason = 0x23
	ResultReasonBadCryptographicParameters          ResultReason = 0x24
	ResultReasonBadPassword                         ResultReason = 0x25
	ResultReasonCodecError                          ResultReason = 0x26
	ResultReasonIllegalObjectType                   ResultReason = 0x28
	ResultReasonIncompatibleCryptographicUsageMask  ResultReason = 0x29
	ResultReasonInternalServerError                 ResultReason = 0x2A
	ResultReasonInvalidAsynchronousCorrelationValue ResultReason = 0x2B
	ResultReasonInvalidAttribute                    ResultReason = 0x2C
	ResultReasonInvalidAttributeValue               ResultReason = 0x2D
	ResultReasonInvalidCorrelationValue             ResultReason = 0x2E
	ResultReasonInvalidCSR                          ResultReason = 0x2F
	ResultReasonInvalidObjectType                   ResultReason = 0x30
	ResultReasonKeyWrapTypeNotSupported             ResultReason = 0x32
	ResultReasonMissingInitializationVector         ResultReason = 0x34
	ResultReasonNonUniqueNameAttribute              ResultReason = 0x35
	ResultReasonObjectDestroyed                     ResultReason = 0x36
	ResultReasonObjectNotFound                      ResultReason = 0x37
	ResultReasonNotAuthorised                       ResultReason = 0x39
	ResultReasonServerLimitExceeded                 ResultReason = 0x3A
	ResultReasonUnknownEnumeration                  ResultReason = 0x3B
	ResultReasonUnknownMessageExtension             ResultReason = 0x3C
	ResultReasonUnknownTag                          ResultReason = 0x3D
	ResultReasonUnsupportedCryptographicParameters  ResultReason = 0x3E
	ResultReasonUnsupportedProtocolVersion          ResultReason = 0x3F
	ResultReasonWrappingObjectArchived              ResultReason = 0x40
	ResultReasonWrappingObjectDestroyed             ResultReason = 0x41
	ResultReasonWrappingObjectNotFound              ResultReason = 0x42
	ResultReasonWrongKeyLifecycleState              ResultReason = 0x43
	ResultReasonProtectionStorageUnavailable        ResultReason = 0x44
	ResultReasonPKCS11CodecError                    ResultReason = 0x45
	ResultReasonPKCS11InvalidFunction               ResultReason = 0x46
	ResultReasonPKCS11InvalidInterface              ResultReason = 0x47
	ResultReasonPrivateProtectionStorageUnavailable ResultReason = 0x48
	ResultReasonPublicProtectionStorageUnavailable  ResultReason = 0x49
	ResultReasonUnknownObjectGroup                  ResultReason = 0x4A
	ResultReasonConstraintViolation                 ResultReason = 0x4B
	ResultReasonDuplicateProcessRequest             ResultReason = 0x4C
	ResultReasonGeneralFailure                      ResultReason = 0x100
)

// String returns the normalized name, or the value in hexadecimal.
func (v ResultReason) String() string { return enumString(ttlv.TagResultReason, uint32(v)) }

// BatchErrorContinuationOption is what happens to the other items of a batch when one fails (KMIP 2.1 §11.5).
type BatchErrorContinuationOption uint32

// Values of BatchErrorContinuationOption.
const (
	BatchErrorContinuationOptionContinue BatchErrorContinuationOption = 1
	BatchErrorContinuationOptionStop     BatchErrorContinuationOption = 2
	BatchErrorContinuationOptionUndo     BatchErrorContinuationOption = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v BatchErrorContinuationOption) String() string {
	return enumString(ttlv.TagBatchErrorContinuationOption, uint32(v))
}

// AsynchronousIndicator is whether a request may be, must be or must not be done asynchronously; KMIP 1.x sends a
// Boolean (KMIP 2.1 §11.3).
type AsynchronousIndicator uint32

// Values of AsynchronousIndicator.
const (
	AsynchronousIndicatorMandatory  AsynchronousIndicator = 1
	AsynchronousIndicatorOptional   AsynchronousIndicator = 2
	AsynchronousIndicatorProhibited AsynchronousIndicator = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v AsynchronousIndicator) String() string {
	return enumString(ttlv.TagAsynchronousIndicator, uint32(v))
}

// CredentialType is the kind of a Credential (KMIP 2.1 §11.11).
type CredentialType uint32

// Values of CredentialType.
const (
	CredentialTypeUsernameAndPassword CredentialType = 1
	CredentialTypeDevice              CredentialType = 2
	CredentialTypeAttestation         CredentialType = 3
	CredentialTypeOneTimePassword     CredentialType = 4
	CredentialTypeHashedPassword      CredentialType = 5
	CredentialTypeTicket              CredentialType = 6
)

// String returns the normalized name, or the value in hexadecimal.
func (v CredentialType) String() string { return enumString(ttlv.TagCredentialType, uint32(v)) }

// QueryFunction is one thing a Query asks about the server (KMIP 2.1 §11.44).
type QueryFunction uint32

// Values of QueryFunction.
const (
	QueryFunctionQueryOperations                QueryFunction = 1
	QueryFunctionQueryObjects                   QueryFunction = 2
	QueryFunctionQueryServerInformation         QueryFunction = 3
	QueryFunctionQueryApplicationNamespaces     QueryFunction = 4
	QueryFunctionQueryExtensionList             QueryFunction = 5
	QueryFunctionQueryExtensionMap              QueryFunction = 6
	QueryFunctionQueryAttestationTypes          QueryFunction = 7
	QueryFunctionQueryRNGs                      QueryFunction = 8
	QueryFunctionQueryValidations               QueryFunction = 9
	QueryFunctionQueryProfiles                  QueryFunction = 10
	QueryFunctionQueryCapabilities              QueryFunction = 11
	QueryFunctionQueryClientRegistrationMethods QueryFunction = 12
	QueryFunctionQueryDefaultsInformation       QueryFunction = 13
	QueryFunctionQueryStorageProtectionMasks    QueryFunction = 14
)

// String returns the normalized name, or the value in hexadecimal.
func (v QueryFunction) String() string { return enumString(ttlv.TagQueryFunction, uint32(v)) }

// UniqueIdentifierEnumeration is an identifier sent as an Enumeration: the ID Placeholder, or the result of the last
// such operation in the batch. KMIP 1.x has text only (KMIP 2.1 §11.58).
type UniqueIdentifierEnumeration uint32

// Values of UniqueIdentifierEnumeration.
const (
	UniqueIdentifierEnumerationIDPlaceholder           UniqueIdentifierEnumeration = 1
	UniqueIdentifierEnumerationCertify                 UniqueIdentifierEnumeration = 2
	UniqueIdentifierEnumerationCreate                  UniqueIdentifierEnumeration = 3
	UniqueIdentifierEnumerationCreateKeyPair           UniqueIdentifierEnumeration = 4
	UniqueIdentifierEnumerationCreateKeyPairPrivateKey UniqueIdentifierEnumeration = 5
	UniqueIdentifierEnumerationCreateKeyPairPublicKey  UniqueIdentifierEnumeration = 6
	UniqueIdentifierEnumerationCreateSplitKey          UniqueIdentifierEnumeration = 7
	UniqueIdentifierEnumerationDeriveKey               UniqueIdentifierEnumeration = 8
	UniqueIdentifierEnumerationImport                  UniqueIdentifierEnumeration = 9
	UniqueIdentifierEnumerationJoinSplitKey            UniqueIdentifierEnumeration = 10
	UniqueIdentifierEnumerationLocate                  UniqueIdentifierEnumeration = 11
	UniqueIdentifierEnumerationRegister                UniqueIdentifierEnumeration = 12
	UniqueIdentifierEnumerationReKey                   UniqueIdentifierEnumeration = 13
	UniqueIdentifierEnumerationReCertify               UniqueIdentifierEnumeration = 14
	UniqueIdentifierEnumerationReKeyKeyPair            UniqueIdentifierEnumeration = 15
	UniqueIdentifierEnumerationReKeyKeyPairPrivateKey  UniqueIdentifierEnumeration = 16
	UniqueIdentifierEnumerationReKeyKeyPairPublicKey   UniqueIdentifierEnumeration = 17
)

// String returns the normalized name, or the value in hexadecimal.
func (v UniqueIdentifierEnumeration) String() string {
	return enumString(ttlv.TagUniqueIdentifier, uint32(v))
}

// DataEnumeration is Data sent as an Enumeration: the output of the last such operation in the batch (KMIP 2.1
// §11.13).
type DataEnumeration uint32

// Values of DataEnumeration.
const (
	DataEnumerationDecrypt           DataEnumeration = 1
	DataEnumerationEncrypt           DataEnumeration = 2
	DataEnumerationHash              DataEnumeration = 3
	DataEnumerationMACMACData        DataEnumeration = 4
	DataEnumerationRNGRetrieve       DataEnumeration = 5
	DataEnumerationSignSignatureData DataEnumeration = 6
	DataEnumerationSignatureVerify   DataEnumeration = 7
)

// String returns the normalized name, or the value in hexadecimal.
func (v DataEnumeration) String() string { return enumString(ttlv.TagData, uint32(v)) }

// ProcessingStage is how far an asynchronous request has come (KMIP 2.1 §11.40).
type ProcessingStage uint32

// Values of ProcessingStage.
const (
	ProcessingStageSubmitted ProcessingStage = 1
	ProcessingStageInProcess ProcessingStage = 2
	ProcessingStageCompleted ProcessingStage = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v ProcessingStage) String() string { return enumString(ttlv.TagProcessingStage, uint32(v)) }

// CancellationResult is the outcome of a Cancel (KMIP 2.1 §11.7).
type CancellationResult uint32

// Values of CancellationResult.
const (
	CancellationResultCanceled       CancellationResult = 1
	CancellationResultUnableToCancel CancellationResult = 2
	CancellationResultCompleted      CancellationResult = 3
	CancellationResultFailed         CancellationResult = 4
	CancellationResultUnavailable    CancellationResult = 5
)

// String returns the normalized name, or the value in hexadecimal.
func (v CancellationResult) String() string { return enumString(ttlv.TagCancellationResult, uint32(v)) }

// PutFunction is whether a Put brings a new object or replaces one (KMIP 2.1 §11.43).
type PutFunction uint32

// Values of PutFunction.
const (
	PutFunctionNew     PutFunction = 1
	PutFunctionReplace PutFunction = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v PutFunction) String() string { return enumString(ttlv.TagPutFunction, uint32(v)) }

// EndpointRole is the side of the protocol an end of the connection plays (KMIP 2.1 §11.19).
type EndpointRole uint32

// Values of EndpointRole.
const (
	EndpointRoleClient EndpointRole = 1
	EndpointRoleServer EndpointRole = 2
)

// String returns the normalized name, or the value in hexadecimal.
func (v EndpointRole) String() string { return enumString(ttlv.TagEndpointRole, uint32(v)) }

// AttestationType is the kind of an attestation credential (KMIP 2.1 §11.4).
type AttestationType uint32

// Values of AttestationType.
const (
	AttestationTypeTPMQuote           AttestationType = 1
	AttestationTypeTCGIntegrityReport AttestationType = 2
	AttestationTypeSAMLAssertion      AttestationType = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v AttestationType) String() string { return enumString(ttlv.TagAttestationType, uint32(v)) }

// TicketType is the kind of a Ticket (KMIP 2.1 §11.57).
type TicketType uint32

// Values of TicketType.
const (
	TicketTypeLogin TicketType = 1
)

// String returns the normalized name, or the value in hexadecimal.
func (v TicketType) String() string { return enumString(ttlv.TagTicketType, uint32(v)) }

// AdjustmentType is what Adjust Attribute does to the value (KMIP 2.1 §11.1).
type AdjustmentType uint32

// Values of AdjustmentType.
const (
	AdjustmentTypeIncrement AdjustmentType = 1
	AdjustmentTypeDecrement AdjustmentType = 2
	AdjustmentTypeNegate    AdjustmentType = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v AdjustmentType) String() string { return enumString(ttlv.TagAdjustmentType, uint32(v)) }

// ItemType is the type of a TTLV item, as an Extension Information names it (KMIP 2.1 §11.23).
type ItemType uint32

// Values of ItemType.
const (
	ItemTypeStructure        ItemType = 1
	ItemTypeInteger          ItemType = 2
	ItemTypeLongInteger      ItemType = 3
	ItemTypeBigInteger       ItemType = 4
	ItemTypeEnumeration      ItemType = 5
	ItemTypeBoolean          ItemType = 6
	ItemTypeTextString       ItemType = 7
	ItemTypeByteString       ItemType = 8
	ItemTypeDateTime         ItemType = 9
	ItemTypeInterval         ItemType = 10
	ItemTypeDateTimeExtended ItemType = 11
)

// String returns the normalized name, or the value in hexadecimal.
func (v ItemType) String() string { return enumString(ttlv.TagExtensionType, uint32(v)) }

// InteropFunction is a mark in an interoperability test (KMIP 2.1 §11.22).
type InteropFunction uint32

// Values of InteropFunction.
const (
	InteropFunctionBegin InteropFunction = 1
	InteropFunctionEnd   InteropFunction = 2
	InteropFunctionReset InteropFunction = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v InteropFunction) String() string { return enumString(ttlv.TagInteropFunction, uint32(v)) }

// PKCS11Function is the place of a function in CK_FUNCTION_LIST_3_0, counted from 1; package ttlv has the names (KMIP
// 2.1 §11.38).
type PKCS11Function uint32

// String returns the normalized name, or the value in hexadecimal.
func (v PKCS11Function) String() string { return enumString(ttlv.TagPKCS11Function, uint32(v)) }

// PKCS11ReturnCode is a CK_RV of PKCS#11; package ttlv has the names (KMIP 2.1 §11.39).
type PKCS11ReturnCode uint32

// Values of PKCS11ReturnCode.
const (
	PKCS11ReturnCodeOK PKCS11ReturnCode = 0
)

// String returns the normalized name, or the value in hexadecimal.
func (v PKCS11ReturnCode) String() string { return enumString(ttlv.TagPKCS11ReturnCode, uint32(v)) }
