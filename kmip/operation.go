package kmip

import "strongroom/kmip/ttlv"

// A Payload is one row of the table of operations: what a request and its response carry, and the versions that define
// the operation. Query's answer and the README's table are computed from it.
type Payload struct {
	Operation   Operation
	Since       ttlv.Version
	NewRequest  func() any // a pointer to an empty request payload
	NewResponse func() any // a pointer to an empty response payload
}

func payload[Request, Response any](op Operation, since ttlv.Version) Payload {
	return Payload{op, since, func() any { return new(Request) }, func() any { return new(Response) }}
}

// Payloads is the table of operations.
var Payloads = []Payload{
	payload[CreateRequest, CreateResponse](OperationCreate, ttlv.V1_0),
	payload[CreateKeyPairRequest, CreateKeyPairResponse](OperationCreateKeyPair, ttlv.V1_0),
	payload[ReKeyRequest, ReKeyResponse](OperationReKey, ttlv.V1_0),
	payload[ReKeyKeyPairRequest, ReKeyKeyPairResponse](OperationReKeyKeyPair, ttlv.V1_1),
	payload[CertifyRequest, CertifyResponse](OperationCertify, ttlv.V1_0),
	payload[ReCertifyRequest, ReCertifyResponse](OperationReCertify, ttlv.V1_0),
	payload[DeriveKeyRequest, DeriveKeyResponse](OperationDeriveKey, ttlv.V1_0),
	payload[CreateSplitKeyRequest, CreateSplitKeyResponse](OperationCreateSplitKey, ttlv.V1_2),
	payload[JoinSplitKeyRequest, JoinSplitKeyResponse](OperationJoinSplitKey, ttlv.V1_2),
	payload[RegisterRequest, RegisterResponse](OperationRegister, ttlv.V1_0),
	payload[ImportRequest, ImportResponse](OperationImport, ttlv.V1_4),
	payload[ExportRequest, ExportResponse](OperationExport, ttlv.V1_4),
	payload[GetRequest, GetResponse](OperationGet, ttlv.V1_0),
	payload[GetAttributesRequest, GetAttributesResponse](OperationGetAttributes, ttlv.V1_0),
	payload[GetAttributeListRequest, GetAttributeListResponse](OperationGetAttributeList, ttlv.V1_0),
	payload[AddAttributeRequest, AddAttributeResponse](OperationAddAttribute, ttlv.V1_0),
	payload[ModifyAttributeRequest, ModifyAttributeResponse](OperationModifyAttribute, ttlv.V1_0),
	payload[DeleteAttributeRequest, DeleteAttributeResponse](OperationDeleteAttribute, ttlv.V1_0),
	payload[SetAttributeRequest, SetAttributeResponse](OperationSetAttribute, ttlv.V2_0),
	payload[AdjustAttributeRequest, AdjustAttributeResponse](OperationAdjustAttribute, ttlv.V2_0),
	payload[CheckRequest, CheckResponse](OperationCheck, ttlv.V1_0),
	payload[ObtainLeaseRequest, ObtainLeaseResponse](OperationObtainLease, ttlv.V1_0),
	payload[GetUsageAllocationRequest, GetUsageAllocationResponse](OperationGetUsageAllocation, ttlv.V1_0),
	payload[LocateRequest, LocateResponse](OperationLocate, ttlv.V1_0),
	payload[ActivateRequest, ActivateResponse](OperationActivate, ttlv.V1_0),
	payload[RevokeRequest, RevokeResponse](OperationRevoke, ttlv.V1_0),
	payload[DestroyRequest, DestroyResponse](OperationDestroy, ttlv.V1_0),
	payload[ArchiveRequest, ArchiveResponse](OperationArchive, ttlv.V1_0),
	payload[RecoverRequest, RecoverResponse](OperationRecover, ttlv.V1_0),
	payload[ValidateRequest, ValidateResponse](OperationValidate, ttlv.V1_0),
	payload[EncryptRequest, EncryptResponse](OperationEncrypt, ttlv.V1_2),
	payload[DecryptRequest, DecryptResponse](OperationDecrypt, ttlv.V1_2),
	payload[SignRequest, SignResponse](OperationSign, ttlv.V1_2),
	payload[SignatureVerifyRequest, SignatureVerifyResponse](OperationSignatureVerify, ttlv.V1_2),
	payload[MACRequest, MACResponse](OperationMAC, ttlv.V1_2),
	payload[MACVerifyRequest, MACVerifyResponse](OperationMACVerify, ttlv.V1_2),
	payload[HashRequest, HashResponse](OperationHash, ttlv.V1_2),
	payload[RNGRetrieveRequest, RNGRetrieveResponse](OperationRNGRetrieve, ttlv.V1_2),
	payload[RNGSeedRequest, RNGSeedResponse](OperationRNGSeed, ttlv.V1_2),
	payload[QueryRequest, QueryResponse](OperationQuery, ttlv.V1_0),
	payload[DiscoverVersionsRequest, DiscoverVersionsResponse](OperationDiscoverVersions, ttlv.V1_0), // 1.1; asked under 1.0 too
	payload[PollRequest, PollResponse](OperationPoll, ttlv.V1_0),
	payload[CancelRequest, CancelResponse](OperationCancel, ttlv.V1_0),
	payload[ProcessRequest, ProcessResponse](OperationProcess, ttlv.V2_1),
	payload[QueryAsynchronousRequestsRequest, QueryAsynchronousRequestsResponse](OperationQueryAsynchronousRequests, ttlv.V2_1),
	payload[PingRequest, PingResponse](OperationPing, ttlv.V2_1),
	payload[InteropRequest, InteropResponse](OperationInterop, ttlv.V2_0),
	payload[LogRequest, LogResponse](OperationLog, ttlv.V2_0),
	payload[LoginRequest, LoginResponse](OperationLogin, ttlv.V2_0),
	payload[DelegatedLoginRequest, DelegatedLoginResponse](OperationDelegatedLogin, ttlv.V2_0),
	payload[LogoutRequest, LogoutResponse](OperationLogout, ttlv.V2_0),
	payload[PKCS11Request, PKCS11Response](OperationPKCS11, ttlv.V2_0),
	payload[GetConstraintsRequest, GetConstraintsResponse](OperationGetConstraints, ttlv.V2_1),
	payload[SetConstraintsRequest, SetConstraintsResponse](OperationSetConstraints, ttlv.V2_1),
	payload[SetDefaultsRequest, SetDefaultsResponse](OperationSetDefaults, ttlv.V2_1),
	payload[GrantAccessRequest, GrantAccessResponse](OperationGrantAccess, ttlv.V1_0),
	payload[WithdrawAccessRequest, WithdrawAccessResponse](OperationWithdrawAccess, ttlv.V1_0),
	payload[ListAccessRequest, ListAccessResponse](OperationListAccess, ttlv.V1_0),
	payload[WhoAmIRequest, WhoAmIResponse](OperationWhoAmI, ttlv.V1_0),
	payload[CanIRequest, CanIResponse](OperationCanI, ttlv.V1_0),
}
