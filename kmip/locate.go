package kmip

// LocateRequest looks for objects. KMIP 2.1 §6.1.28. Of attributes that are structures not all fields need be given. In 1.0 and
// 1.1 some clients put the attributes into a Template-Attribute.
type LocateRequest struct {
	MaximumItems      *int32             `ttlv:"MaximumItems"`
	OffsetItems       *int32             `ttlv:"OffsetItems,1.3+"`
	StorageStatusMask *StorageStatusMask `ttlv:"StorageStatusMask"`
	ObjectGroupMember ObjectGroupMember  `ttlv:"ObjectGroupMember,1.1+,omitempty"`
	Attributes        Attributes         `ttlv:"Attribute,1.0-1.4,partial|TemplateAttribute,1.0-1.0|Attributes,2.0+"`
}

// LocateResponse names what was found.
type LocateResponse struct {
	LocatedItems     *int32             `ttlv:"LocatedItems,1.3+"` // how many match in all; nil where the server did not count them
	UniqueIdentifier []UniqueIdentifier `ttlv:"UniqueIdentifier"`
}
