package kmip

import "math/big"

// CreateSplitKeyRequest asks for a key in parts: a new one, or the existing one that it names. KMIP 2.1 §6.1.10, KMIP 1.4 §4.38.
type CreateSplitKeyRequest struct {
	ObjectType             ObjectType             `ttlv:"ObjectType"`
	UniqueIdentifier       UniqueIdentifier       `ttlv:"UniqueIdentifier"`
	SplitKeyParts          int32                  `ttlv:"SplitKeyParts"`
	SplitKeyThreshold      int32                  `ttlv:"SplitKeyThreshold"`
	SplitKeyMethod         SplitKeyMethod         `ttlv:"SplitKeyMethod"`
	PrimeFieldSize         *big.Int               `ttlv:"PrimeFieldSize"`
	Attributes             Attributes             `ttlv:"TemplateAttribute,1.2-1.4|Attributes,2.0+"`
	ProtectionStorageMasks ProtectionStorageMasks `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// CreateSplitKeyResponse names the parts, in the order of their numbers.
type CreateSplitKeyResponse struct {
	UniqueIdentifier []UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// JoinSplitKeyRequest asks for the object that parts make. KMIP 2.1 §6.1.27, KMIP 1.4 §4.39.
type JoinSplitKeyRequest struct {
	ObjectType             ObjectType             `ttlv:"ObjectType"`
	UniqueIdentifier       []UniqueIdentifier     `ttlv:"UniqueIdentifier"`
	SecretDataType         SecretDataType         `ttlv:"SecretDataType,omitempty"`
	Attributes             Attributes             `ttlv:"TemplateAttribute,1.2-1.4|Attributes,2.0+"`
	ProtectionStorageMasks ProtectionStorageMasks `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// JoinSplitKeyResponse names the object.
type JoinSplitKeyResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}
