package kmip

// RegisterRequest brings an object in. KMIP 2.1 §6.1.43.
type RegisterRequest struct {
	ObjectType             ObjectType `ttlv:"ObjectType"`
	Attributes             Attributes `ttlv:"TemplateAttribute,1.0-1.4|Attributes,2.0+"`
	Value                  `ttlv:",inline"`
	ProtectionStorageMasks ProtectionStorageMasks `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// RegisterResponse names the object; it has nothing else, for strict decoders refuse more.
type RegisterResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ImportRequest brings an object in under an identifier of the client's. KMIP 2.1 §6.1.25.
type ImportRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	ObjectType       ObjectType       `ttlv:"ObjectType"`
	ReplaceExisting  *bool            `ttlv:"ReplaceExisting"`
	KeyWrapType      KeyWrapType      `ttlv:"KeyWrapType,omitempty"`
	Attributes       Attributes       `ttlv:"Attribute,1.0-1.4|Attributes,2.0+"`
	Value            `ttlv:",inline"`
}

// ImportResponse names the object.
type ImportResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ExportRequest asks for an object with all its attributes. KMIP 2.1 §6.1.18.
type ExportRequest struct {
	UniqueIdentifier         UniqueIdentifier          `ttlv:"UniqueIdentifier"`
	KeyFormatType            KeyFormatType             `ttlv:"KeyFormatType,omitempty"`
	KeyWrapType              KeyWrapType               `ttlv:"KeyWrapType,omitempty"`
	KeyCompressionType       KeyCompressionType        `ttlv:"KeyCompressionType,omitempty"`
	KeyWrappingSpecification *KeyWrappingSpecification `ttlv:"KeyWrappingSpecification"`
}

// ExportResponse is the object, its attributes and its material.
type ExportResponse struct {
	ObjectType       ObjectType       `ttlv:"ObjectType"`
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Attributes       Attributes       `ttlv:"Attribute,1.0-1.4|Attributes,2.0+"`
	Value            `ttlv:",inline"`
}
