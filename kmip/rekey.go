package kmip

import "strongroom/kmip/ttlv"

// ReKeyRequest asks for a replacement of a symmetric key. KMIP 2.1 §6.1.46, KMIP 1.4 §4.4.
type ReKeyRequest struct {
	UniqueIdentifier       UniqueIdentifier       `ttlv:"UniqueIdentifier"`
	Offset                 *ttlv.Interval         `ttlv:"Offset"` // from the Initial Date to the Activation Date of the replacement
	Attributes             Attributes             `ttlv:"TemplateAttribute,1.0-1.4|Attributes,2.0+"`
	ProtectionStorageMasks ProtectionStorageMasks `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// ReKeyResponse names the replacement.
type ReKeyResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ReKeyKeyPairRequest asks for a replacement of a pair, which its private half names. KMIP 2.1 §6.1.47, KMIP 1.4 §4.5.
type ReKeyKeyPairRequest struct {
	PrivateKeyUniqueIdentifier    UniqueIdentifier       `ttlv:"PrivateKeyUniqueIdentifier"`
	Offset                        *ttlv.Interval         `ttlv:"Offset"`
	CommonAttributes              Attributes             `ttlv:"CommonTemplateAttribute,1.1-1.4|CommonAttributes,2.0+"`
	PrivateKeyAttributes          Attributes             `ttlv:"PrivateKeyTemplateAttribute,1.1-1.4|PrivateKeyAttributes,2.0+"`
	PublicKeyAttributes           Attributes             `ttlv:"PublicKeyTemplateAttribute,1.1-1.4|PublicKeyAttributes,2.0+"`
	CommonProtectionStorageMasks  ProtectionStorageMasks `ttlv:"CommonProtectionStorageMasks,2.0+"`
	PrivateProtectionStorageMasks ProtectionStorageMasks `ttlv:"PrivateProtectionStorageMasks,2.0+"`
	PublicProtectionStorageMasks  ProtectionStorageMasks `ttlv:"PublicProtectionStorageMasks,2.0+"`
}

// ReKeyKeyPairResponse names the two halves of the replacement.
type ReKeyKeyPairResponse struct {
	PrivateKeyUniqueIdentifier UniqueIdentifier `ttlv:"PrivateKeyUniqueIdentifier"`
	PublicKeyUniqueIdentifier  UniqueIdentifier `ttlv:"PublicKeyUniqueIdentifier"`
}
