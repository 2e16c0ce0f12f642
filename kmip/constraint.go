package kmip

// GetConstraintsRequest asks what holds for new objects. KMIP 2.1 §6.1.22.
type GetConstraintsRequest struct{}

// GetConstraintsResponse tells.
type GetConstraintsResponse struct {
	Constraints Constraints `ttlv:"Constraints"`
}

// SetConstraintsRequest says what is to hold from now on, in place of what held. KMIP 2.1 §6.1.52.
type SetConstraintsRequest struct {
	Constraints Constraints `ttlv:"Constraints"`
}

// SetConstraintsResponse says that it does.
type SetConstraintsResponse struct{}

// Constraints are a set of them. KMIP 2.1 §7.7.
type Constraints struct {
	Constraint []Constraint `ttlv:"Constraint"`
}

// A Constraint is what new objects of some types and in some groups must be like. What is absent does not choose. KMIP 2.1
// §7.6.
type Constraint struct {
	ObjectTypes  *ObjectTypes  `ttlv:"ObjectTypes"`
	ObjectGroups *ObjectGroups `ttlv:"ObjectGroups"`
	Attributes   Attributes    `ttlv:"Attributes"`
}

// SetDefaultsRequest says which attributes new objects get where the client gives none; without, none. KMIP 2.1 §6.1.53.
type SetDefaultsRequest struct {
	DefaultsInformation *DefaultsInformation `ttlv:"DefaultsInformation"`
}

// SetDefaultsResponse says that they do.
type SetDefaultsResponse struct{}

// DefaultsInformation is a set of Object Defaults. KMIP 2.1 §7.11.
type DefaultsInformation struct {
	ObjectDefaults []ObjectDefaults `ttlv:"ObjectDefaults"`
}

// ObjectDefaults are the attributes that new objects of a type get, those in some groups or all. KMIP 2.1 §7.22.
type ObjectDefaults struct {
	ObjectType   ObjectType    `ttlv:"ObjectType,omitempty"`
	ObjectTypes  *ObjectTypes  `ttlv:"ObjectTypes,2.1+"` // in place of one
	Attributes   Attributes    `ttlv:"Attributes"`
	ObjectGroups *ObjectGroups `ttlv:"ObjectGroups,2.1+"`
}

// Types lists the types that the defaults are for.
func (d *ObjectDefaults) Types() []ObjectType {
	if d.ObjectTypes != nil {
		return d.ObjectTypes.ObjectType
	}
	return []ObjectType{d.ObjectType}
}
