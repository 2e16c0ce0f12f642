package kmip

// CreateRequest asks for a new symmetric key or, in 2.x, secret data. KMIP 2.1 §6.1.8. The server's own vendor attributes (vendor.go) choose how it
// is kept.
type CreateRequest struct {
	ObjectType             ObjectType             `ttlv:"ObjectType"`
	Attributes             Attributes             `ttlv:"TemplateAttribute,1.0-1.4|Attributes,2.0+"`
	ProtectionStorageMasks ProtectionStorageMasks `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// CreateResponse names the key made.
type CreateResponse struct {
	ObjectType       ObjectType       `ttlv:"ObjectType"`
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// CreateKeyPairRequest asks for a new pair. KMIP 2.1 §6.1.9.
type CreateKeyPairRequest struct {
	CommonAttributes              Attributes             `ttlv:"CommonTemplateAttribute,1.0-1.4|CommonAttributes,2.0+"`
	PrivateKeyAttributes          Attributes             `ttlv:"PrivateKeyTemplateAttribute,1.0-1.4|PrivateKeyAttributes,2.0+"`
	PublicKeyAttributes           Attributes             `ttlv:"PublicKeyTemplateAttribute,1.0-1.4|PublicKeyAttributes,2.0+"`
	CommonProtectionStorageMasks  ProtectionStorageMasks `ttlv:"CommonProtectionStorageMasks,2.0+"`
	PrivateProtectionStorageMasks ProtectionStorageMasks `ttlv:"PrivateProtectionStorageMasks,2.0+"`
	PublicProtectionStorageMasks  ProtectionStorageMasks `ttlv:"PublicProtectionStorageMasks,2.0+"`
}

// CreateKeyPairResponse names the two halves.
type CreateKeyPairResponse struct {
	PrivateKeyUniqueIdentifier UniqueIdentifier `ttlv:"PrivateKeyUniqueIdentifier"`
	PublicKeyUniqueIdentifier  UniqueIdentifier `ttlv:"PublicKeyUniqueIdentifier"`
}
