package kmip

// GetAttributesRequest asks for some attributes, or all. KMIP 2.1 §6.1.20.
type GetAttributesRequest struct {
	UniqueIdentifier    UniqueIdentifier    `ttlv:"UniqueIdentifier"`
	AttributeReferences AttributeReferences `ttlv:"AttributeName,1.0-1.4|AttributeReference,2.0+"`
}

// GetAttributesResponse has those that the object has.
type GetAttributesResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Attributes       Attributes       `ttlv:"Attribute,1.0-1.4|Attributes,2.0+"`
}

// GetAttributeListRequest asks for the names of the attributes. KMIP 2.1 §6.1.21.
type GetAttributeListRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// GetAttributeListResponse names them.
type GetAttributeListResponse struct {
	UniqueIdentifier    UniqueIdentifier    `ttlv:"UniqueIdentifier"`
	AttributeReferences AttributeReferences `ttlv:"AttributeName,1.0-1.4|AttributeReference,2.0+"`
}

// AddAttributeRequest adds an attribute or an instance of one. KMIP 2.1 §6.1.2.
type AddAttributeRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	NewAttribute     Attributes       `ttlv:"Attribute,1.0-1.4|NewAttribute,2.0+"`
}

// AddAttributeResponse names the object and, to 1.4, the attribute.
type AddAttributeResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Attribute        Attributes       `ttlv:"Attribute,1.0-1.4"`
}

// ModifyAttributeRequest replaces an attribute or one instance of it. KMIP 2.1 §6.1.34.
type ModifyAttributeRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	CurrentAttribute Attributes       `ttlv:"CurrentAttribute,2.0+"`
	NewAttribute     Attributes       `ttlv:"Attribute,1.0-1.4|NewAttribute,2.0+"`
}

// ModifyAttributeResponse names the object and, to 1.4, the attribute.
type ModifyAttributeResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Attribute        Attributes       `ttlv:"Attribute,1.0-1.4"`
}

// DeleteAttributeRequest removes an attribute or one instance of it: in 1.x by name and index, in 2.x by its value or by
// reference. KMIP 2.1 §6.1.13, KMIP 1.4 §4.16.
type DeleteAttributeRequest struct {
	UniqueIdentifier    UniqueIdentifier    `ttlv:"UniqueIdentifier"`
	AttributeReferences AttributeReferences `ttlv:"AttributeName,1.0-1.4|AttributeReference,2.0+"`
	AttributeIndex      *int32              `ttlv:"AttributeIndex,1.0-1.4"`
	CurrentAttribute    Attributes          `ttlv:"CurrentAttribute,2.0+"`
}

// DeleteAttributeResponse names the object and, to 1.4, the attribute that went.
type DeleteAttributeResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Attribute        Attributes       `ttlv:"Attribute,1.0-1.4"`
}
