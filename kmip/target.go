package kmip

// Targeted is a request that concerns one existing object. An empty identifier is the ID placeholder of the batch.
type Targeted interface {
	Target() UniqueIdentifier
}

// Target is the object asked for.
func (r *GetRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *ExportRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the key to replace.
func (r *ReKeyRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the private half of the pair to replace.
func (r *ReKeyKeyPairRequest) Target() UniqueIdentifier { return r.PrivateKeyUniqueIdentifier }

// Target is the object asked for.
func (r *GetAttributesRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *GetAttributeListRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *AddAttributeRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *ModifyAttributeRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *DeleteAttributeRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *SetAttributeRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *AdjustAttributeRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *ActivateRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *RevokeRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *DestroyRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *EncryptRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *DecryptRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *SignRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *SignatureVerifyRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *MACRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *GrantAccessRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *WithdrawAccessRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Named is a response whose Unique Identifier the server fills in, for a Key does not know its object's.
type Named interface {
	SetUniqueIdentifier(UniqueIdentifier)
}

// SetUniqueIdentifier names the object.
func (r *EncryptResponse) SetUniqueIdentifier(uid UniqueIdentifier) { r.UniqueIdentifier = uid }

// SetUniqueIdentifier names the object.
func (r *DecryptResponse) SetUniqueIdentifier(uid UniqueIdentifier) { r.UniqueIdentifier = uid }

// SetUniqueIdentifier names the object.
func (r *SignResponse) SetUniqueIdentifier(uid UniqueIdentifier) { r.UniqueIdentifier = uid }

// SetUniqueIdentifier names the object.
func (r *SignatureVerifyResponse) SetUniqueIdentifier(uid UniqueIdentifier) { r.UniqueIdentifier = uid }

// SetUniqueIdentifier names the object.
func (r *MACResponse) SetUniqueIdentifier(uid UniqueIdentifier) { r.UniqueIdentifier = uid }
