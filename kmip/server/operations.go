package server

import "strongroom/kmip"

// An operation is one row of the table: the payloads of package kmip, what the object must be like, and the handler.
type operation struct {
	kmip.Payload
	index    int
	targeted bool // it is on an object, that exists or is made: what a ticket says of objects is looked at there
	keeps    bool // the handler keeps parts of the request, so they must not be those of the connection's buffer
	controls bool // it is about asynchronous operations, and never one
	parts    bool // it may be performed in parts
	long     bool // it can take long: a client that can wait for the answer may get it later
	run      func(*Request, *call, any) (any, error)
}

// operations is the table. An operation on an existing object says in its need which states and usage the door asks for.
var operations = []operation{
	control(free(kmip.OperationPoll, (*Request).poll)),
	control(free(kmip.OperationCancel, (*Request).cancel)),
	control(free(kmip.OperationProcess, (*Request).process)),
	control(free(kmip.OperationQueryAsynchronousRequests, (*Request).queryAsynchronousRequests)),

	free(kmip.OperationDiscoverVersions, (*Request).discoverVersions),
	free(kmip.OperationQuery, (*Request).query),
	quick(free(kmip.OperationPing, (*Request).ping)),
	quick(free(kmip.OperationInterop, (*Request).interop)),
	quick(free(kmip.OperationLog, (*Request).log)),
	quick(free(kmip.OperationLogin, (*Request).login)),
	free(kmip.OperationDelegatedLogin, (*Request).delegatedLogin),
	quick(free(kmip.OperationLogout, (*Request).logout)),

	long(making(free(kmip.OperationCreate, (*Request).create))),
	long(making(free(kmip.OperationCreateKeyPair, (*Request).createKeyPair))),
	long(making(free(kmip.OperationRegister, (*Request).register))),
	long(making(free(kmip.OperationImport, (*Request).importObject))),
	long(making(free(kmip.OperationCertify, (*Request).certify))),
	long(object(kmip.OperationReCertify, need{states: existing}, (*Request).reCertify)),
	long(making(free(kmip.OperationDeriveKey, (*Request).deriveKey))),
	long(making(free(kmip.OperationCreateSplitKey, (*Request).createSplitKey))),
	long(making(free(kmip.OperationJoinSplitKey, (*Request).joinSplitKey))),
	long(free(kmip.OperationLocate, (*Request).locate)),

	quick(object(kmip.OperationGet, need{states: existing}, (*Request).get)),
	object(kmip.OperationExport, need{states: existing}, (*Request).export),
	quick(object(kmip.OperationGetAttributes, need{states: anyState}, (*Request).getAttributes)),
	quick(object(kmip.OperationGetAttributeList, need{states: anyState}, (*Request).getAttributeList)),
	object(kmip.OperationAddAttribute, need{states: anyState}, (*Request).addAttribute),
	object(kmip.OperationModifyAttribute, need{states: anyState}, (*Request).modifyAttribute),
	object(kmip.OperationDeleteAttribute, need{states: anyState}, (*Request).deleteAttribute),
	object(kmip.OperationSetAttribute, need{states: anyState}, (*Request).setAttribute),
	object(kmip.OperationCheck, need{states: existing}, (*Request).checkUse),
	object(kmip.OperationObtainLease, need{states: in(kmip.StatePreActive, kmip.StateActive)}, (*Request).obtainLease),
	object(kmip.OperationGetUsageAllocation, need{states: in(kmip.StateActive), window: untilProtectStop}, (*Request).getUsageAllocation),
	object(kmip.OperationAdjustAttribute, need{states: anyState}, (*Request).adjustAttribute),

	long(object(kmip.OperationReKey, need{states: existing}, (*Request).reKey)),
	long(object(kmip.OperationReKeyKeyPair, need{states: existing}, (*Request).reKeyKeyPair)),

	object(kmip.OperationActivate, need{states: in(kmip.StatePreActive)}, (*Request).activate),
	object(kmip.OperationRevoke, need{states: anyState}, (*Request).revoke),
	long(object(kmip.OperationDestroy, need{states: existing}, (*Request).destroy)),
	long(object(kmip.OperationArchive, need{states: existing}, (*Request).archive)),
	long(object(kmip.OperationRecover, need{states: existing, archived: true}, (*Request).recover)),
	free(kmip.OperationValidate, (*Request).validate),

	computes(kmip.OperationEncrypt, protect(kmip.CryptographicUsageMaskEncrypt), kmip.Key.Encrypt),
	computes(kmip.OperationDecrypt, process(kmip.CryptographicUsageMaskDecrypt), kmip.Key.Decrypt),
	computes(kmip.OperationSign, protect(kmip.CryptographicUsageMaskSign), kmip.Key.Sign),
	computes(kmip.OperationSignatureVerify, process(kmip.CryptographicUsageMaskVerify), kmip.Key.SignatureVerify),
	computes(kmip.OperationMAC, protect(kmip.CryptographicUsageMaskMACGenerate), kmip.Key.MAC),
	computes(kmip.OperationMACVerify, process(kmip.CryptographicUsageMaskMACVerify), macVerify),
	inPart(quick(free(kmip.OperationHash, (*Request).hash))),
	quick(free(kmip.OperationRNGRetrieve, (*Request).rngRetrieve)),
	quick(free(kmip.OperationRNGSeed, (*Request).rngSeed)),

	object(kmip.OperationGrantAccess, need{states: existing, archived: true}, (*Request).grantAccess),
	object(kmip.OperationWithdrawAccess, need{states: existing, archived: true}, (*Request).withdrawAccess),
	free(kmip.OperationPKCS11, (*Request).pkcs11),
	quick(free(kmip.OperationGetConstraints, (*Request).getConstraints)),
	free(kmip.OperationSetConstraints, (*Request).setConstraints),
	free(kmip.OperationSetDefaults, (*Request).setDefaults),

	free(kmip.OperationListAccess, (*Request).listAccess),
	free(kmip.OperationWhoAmI, (*Request).whoAmI),
	free(kmip.OperationCanI, (*Request).canI),
}

// A call is one operation as the audit line tells it.
type call struct {
	operation kmip.Operation
	uid       string
	made      string // the object that it made of the one that uid names

	incoming *incoming // what Import says of an object beside what Register does; nil of every other operation
}

// object is an operation on an existing object, which the dispatcher opens through the door.
func object[Q, R any](op kmip.Operation, n need, handle func(*Request, *kmip.Object, *Q) (*R, error)) operation {
	return operation{Payload: payloadOf(op), targeted: true, keeps: true, run: func(r *Request, k *call, q any) (any, error) {
		o, err := r.openFor(k, q.(kmip.Targeted).Target(), n)
		if err != nil {
			return nil, err
		}
		return answer(handle(r, o, q.(*Q)))
	}}
}

// free is an operation on no existing object.
func free[Q, R any](op kmip.Operation, handle func(*Request, *call, *Q) (*R, error)) operation {
	return operation{Payload: payloadOf(op), keeps: true, run: func(r *Request, k *call, q any) (any, error) {
		return answer(handle(r, k, q.(*Q)))
	}}
}

// making marks an operation that makes objects.
func making(op operation) operation {
	op.targeted = true
	return op
}

// control marks an operation about asynchronous ones.
func control(op operation) operation {
	op.controls = true
	return op
}

// inPart marks an operation that may be performed in parts, which belong to a connection.
func inPart(op operation) operation {
	op.parts = true
	return op
}

// long marks an operation that can take long.
func long(op operation) operation {
	op.long = true
	return op
}

// quick marks an operation whose handler keeps nothing of its request: no copy is made of it, and its payload is reused.
func quick(op operation) operation {
	op.keeps = false
	return op
}

// answer makes an interface of a response, and nil of none.
func answer[R any](response *R, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return response, nil
}

// payloadOf is the operation's row in package kmip's table.
func payloadOf(op kmip.Operation) kmip.Payload {
	for _, p := range kmip.Payloads {
		if p.Operation == op {
			return p
		}
	}
	panic("no payload for " + op.String())
}

// payload is an empty request payload: the connection's own for an operation that keeps nothing, else a new one.
func (op *operation) payload(c *conn) any {
	if op.keeps {
		return op.NewRequest()
	}
	if c.payloads[op.index] == nil {
		c.payloads[op.index] = op.NewRequest()
	}
	return c.payloads[op.index]
}
