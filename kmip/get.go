package kmip

// GetRequest asks for an object's material. KMIP 2.1 §6.1.19.
type GetRequest struct {
	UniqueIdentifier         UniqueIdentifier          `ttlv:"UniqueIdentifier"`
	KeyFormatType            KeyFormatType             `ttlv:"KeyFormatType,omitempty"`
	KeyWrapType              KeyWrapType               `ttlv:"KeyWrapType,1.4+,omitempty"`
	KeyCompressionType       KeyCompressionType        `ttlv:"KeyCompressionType,omitempty"`
	KeyWrappingSpecification *KeyWrappingSpecification `ttlv:"KeyWrappingSpecification"`
}

// GetResponse is the material, in clear or wrapped.
type GetResponse struct {
	ObjectType       ObjectType       `ttlv:"ObjectType"`
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Value            `ttlv:",inline"`
}
