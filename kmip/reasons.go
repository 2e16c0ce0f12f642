package kmip

import "strongroom/kmip/ttlv"

// otherReasons gives for each result reason that some version lacks the one that says the same best. Those of 2.0 and later
// become what §11 of KMIP 1.4 says of the same error.
var otherReasons = map[ResultReason]ResultReason{
	ResultReasonIllegalOperation: ResultReasonGeneralFailure,
	ResultReasonIndexOutOfBounds: ResultReasonServerLimitExceeded,

	ResultReasonEncodingOptionError: ResultReasonInvalidField,
	ResultReasonKeyValueNotPresent:  ResultReasonIllegalOperation, // KMIP 1.0 §11.11: the server has attributes alone
	ResultReasonAttestationRequired: ResultReasonPermissionDenied,
	ResultReasonAttestationFailed:   ResultReasonPermissionDenied,
	ResultReasonSensitive:           ResultReasonPermissionDenied,
	ResultReasonNotExtractable:      ResultReasonPermissionDenied,
	ResultReasonObjectAlreadyExists: ResultReasonInvalidField,

	ResultReasonInvalidTicket:                       ResultReasonAuthenticationNotSuccessful,
	ResultReasonUsageLimitExceeded:                  ResultReasonPermissionDenied,
	ResultReasonNumericRange:                        ResultReasonInvalidField,
	ResultReasonInvalidDataType:                     ResultReasonInvalidField,
	ResultReasonReadOnlyAttribute:                   ResultReasonPermissionDenied,
	ResultReasonMultiValuedAttribute:                ResultReasonInvalidField,
	ResultReasonUnsupportedAttribute:                ResultReasonInvalidField,
	ResultReasonAttributeInstanceNotFound:           ResultReasonItemNotFound,
	ResultReasonAttributeNotFound:                   ResultReasonItemNotFound,
	ResultReasonAttributeReadOnly:                   ResultReasonPermissionDenied,
	ResultReasonAttributeSingleValued:               ResultReasonInvalidField,
	ResultReasonBadCryptographicParameters:          ResultReasonInvalidField,
	ResultReasonBadPassword:                         ResultReasonInvalidField,
	ResultReasonCodecError:                          ResultReasonInvalidMessage,
	ResultReasonIllegalObjectType:                   ResultReasonIllegalOperation,
	ResultReasonIncompatibleCryptographicUsageMask:  ResultReasonPermissionDenied,
	ResultReasonInternalServerError:                 ResultReasonGeneralFailure,
	ResultReasonInvalidAsynchronousCorrelationValue: ResultReasonItemNotFound,
	ResultReasonInvalidAttribute:                    ResultReasonInvalidField,
	ResultReasonInvalidAttributeValue:               ResultReasonInvalidField,
	ResultReasonInvalidCorrelationValue:             ResultReasonItemNotFound,
	ResultReasonInvalidCSR:                          ResultReasonInvalidField,
	ResultReasonInvalidObjectType:                   ResultReasonInvalidField,
	ResultReasonKeyWrapTypeNotSupported:             ResultReasonFeatureNotSupported,
	ResultReasonMissingInitializationVector:         ResultReasonMissingData,
	ResultReasonNonUniqueNameAttribute:              ResultReasonInvalidField,
	ResultReasonObjectDestroyed:                     ResultReasonItemNotFound,
	ResultReasonObjectNotFound:                      ResultReasonItemNotFound,
	ResultReasonNotAuthorised:                       ResultReasonPermissionDenied,
	ResultReasonServerLimitExceeded:                 ResultReasonGeneralFailure,
	ResultReasonUnknownEnumeration:                  ResultReasonInvalidField,
	ResultReasonUnknownMessageExtension:             ResultReasonFeatureNotSupported,
	ResultReasonUnknownTag:                          ResultReasonInvalidField,
	ResultReasonUnsupportedCryptographicParameters:  ResultReasonInvalidField,
	ResultReasonUnsupportedProtocolVersion:          ResultReasonInvalidMessage,
	ResultReasonWrappingObjectArchived:              ResultReasonObjectArchived,
	ResultReasonWrappingObjectDestroyed:             ResultReasonItemNotFound,
	ResultReasonWrappingObjectNotFound:              ResultReasonItemNotFound,
	ResultReasonWrongKeyLifecycleState:              ResultReasonPermissionDenied,
	ResultReasonProtectionStorageUnavailable:        ResultReasonFeatureNotSupported,
	ResultReasonPKCS11CodecError:                    ResultReasonInvalidMessage,
	ResultReasonPKCS11InvalidFunction:               ResultReasonOperationNotSupported,
	ResultReasonPKCS11InvalidInterface:              ResultReasonOperationNotSupported,
	ResultReasonPrivateProtectionStorageUnavailable: ResultReasonFeatureNotSupported,
	ResultReasonPublicProtectionStorageUnavailable:  ResultReasonFeatureNotSupported,

	ResultReasonUnknownObjectGroup:      ResultReasonItemNotFound,
	ResultReasonConstraintViolation:     ResultReasonPermissionDenied,
	ResultReasonDuplicateProcessRequest: ResultReasonInvalidField,
}

// reasonsOf gives those that KMIP 1.x says otherwise of one operation: KMIP 1.4 §11.5 to §11.41.
var reasonsOf = map[Operation]map[ResultReason]ResultReason{
	OperationCreate:         tooMany,
	OperationCreateKeyPair:  tooMany,
	OperationRegister:       tooMany,
	OperationCreateSplitKey: tooMany,
	OperationJoinSplitKey:   tooMany,
	OperationImport:         tooMany,
	OperationReKey:          replaceable,
	OperationReKeyKeyPair:   replaceable,
	OperationCertify:        unable,
	OperationReCertify:      unable,
	OperationGet: {
		ResultReasonInvalidObjectType:          ResultReasonIllegalOperation,
		ResultReasonBadCryptographicParameters: ResultReasonItemNotFound,
		ResultReasonKeyValueNotPresent:         ResultReasonIllegalOperation,
	},
	OperationExport: unwrappable,
	OperationDeriveKey: {
		ResultReasonIncompatibleCryptographicUsageMask: ResultReasonInvalidField,
		ResultReasonWrongKeyLifecycleState:             ResultReasonInvalidField,
	},
	OperationCheck: {ResultReasonIllegalObjectType: ResultReasonIllegalOperation},
	OperationAddAttribute: {
		ResultReasonAttributeSingleValued:  ResultReasonIllegalOperation,
		ResultReasonUnsupportedAttribute:   ResultReasonPermissionDenied,
		ResultReasonInvalidAttribute:       ResultReasonPermissionDenied,
		ResultReasonNonUniqueNameAttribute: ResultReasonIllegalOperation,
		ResultReasonServerLimitExceeded:    ResultReasonIndexOutOfBounds,
	},
	OperationModifyAttribute: {
		ResultReasonAttributeNotFound:      ResultReasonInvalidField,
		ResultReasonNonUniqueNameAttribute: ResultReasonIllegalOperation,
		ResultReasonServerLimitExceeded:    ResultReasonIndexOutOfBounds,
	},
	OperationGetUsageAllocation: {
		ResultReasonAttributeNotFound: ResultReasonIllegalOperation,
		ResultReasonInvalidObjectType: ResultReasonIllegalOperation,

		ResultReasonWrongKeyLifecycleState: ResultReasonIllegalOperation,
	},
	OperationActivate: {ResultReasonInvalidObjectType: ResultReasonIllegalOperation},
	OperationRevoke:   {ResultReasonInvalidObjectType: ResultReasonIllegalOperation},
	OperationDestroy:  {ResultReasonObjectDestroyed: ResultReasonPermissionDenied},
	OperationEncrypt:  unable, OperationDecrypt: unable, OperationSign: unable,
	OperationSignatureVerify: unable, OperationMAC: unable, OperationMACVerify: unable,
}

// tooMany are more instances of an attribute than the server takes.
var tooMany = map[ResultReason]ResultReason{ResultReasonServerLimitExceeded: ResultReasonIndexOutOfBounds}

// unwrappable is a wrapping key that is no key, or that has other Cryptographic Parameters: KMIP 1.4 §11.12.
var unwrappable = map[ResultReason]ResultReason{
	ResultReasonInvalidObjectType:          ResultReasonIllegalOperation,
	ResultReasonBadCryptographicParameters: ResultReasonItemNotFound,
}

// unable is the object that is not able to be used for the operation.
var unable = map[ResultReason]ResultReason{ResultReasonInvalidObjectType: ResultReasonPermissionDenied}

// replaceable adds an Offset without an Activation Date to count from: KMIP 1.4 §11.5, §11.6.
var replaceable = map[ResultReason]ResultReason{
	ResultReasonInvalidObjectType: ResultReasonPermissionDenied,
	ResultReasonAttributeNotFound: ResultReasonIllegalOperation,
}

// At is the reason as version v knows it.
func (r ResultReason) At(v ttlv.Version) ResultReason {
	for !ttlv.Defined(ttlv.TagResultReason, uint32(r), v) {
		other, ok := otherReasons[r]
		if !ok {
			return ResultReasonGeneralFailure
		}
		r = other
	}
	return r
}

// For is the reason as version v knows it of an operation.
func (r ResultReason) For(op Operation, v ttlv.Version) ResultReason {
	if v < ttlv.V2_0 {
		if special, ok := reasonsOf[op][r]; ok {
			return special
		}
	}
	return r.At(v)
}
