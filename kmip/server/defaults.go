package server

import (
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// setDefaults answers Set Defaults. KMIP 2.1 §6.1.53. They are kept with one Object Type each.
func (r *Request) setDefaults(_ *call, q *kmip.SetDefaultsRequest) (*kmip.SetDefaultsResponse, error) {
	var value *kmip.DefaultsInformation
	if q.DefaultsInformation != nil && len(q.DefaultsInformation.ObjectDefaults) > 0 {
		value = new(kmip.DefaultsInformation)
		for i := range q.DefaultsInformation.ObjectDefaults {
			single, err := r.defaultsByType(&q.DefaultsInformation.ObjectDefaults[i])
			if err != nil {
				return nil, err
			}
			if value.ObjectDefaults = append(value.ObjectDefaults, single...); len(value.ObjectDefaults) > mostConstraints {
				return nil, kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "the request has more than %d Object Defaults", mostConstraints)
			}
		}
	}
	if err := r.server.defaults.replace(r, value); err != nil {
		return nil, err
	}
	return &kmip.SetDefaultsResponse{}, nil
}

// defaultsByType checks Object Defaults as attributes of a new object are, and makes one of each type.
func (r *Request) defaultsByType(d *kmip.ObjectDefaults) ([]kmip.ObjectDefaults, error) {
	if (d.ObjectType == 0) == (d.ObjectTypes == nil) || d.ObjectTypes != nil && len(d.ObjectTypes.ObjectType) == 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "Object Defaults have an Object Type, or Object Types")
	}
	if d.Attributes.Contains(ttlv.TagUniqueIdentifier) {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "a Unique Identifier is no default: it names one object")
	}
	if err := known(&kmip.ObjectTypes{ObjectType: d.Types()}); err != nil {
		return nil, err
	}
	var list []kmip.ObjectDefaults
	for _, t := range d.Types() {
		if _, err := r.settable(t, d.Attributes); err != nil {
			return nil, err
		}
		list = append(list, kmip.ObjectDefaults{ObjectType: t, Attributes: d.Attributes, ObjectGroups: d.ObjectGroups})
	}
	return list, nil
}

// takesDefaults has the operations that make objects of what the request gives. The others take over the attributes of an object
// that there is.
var takesDefaults = map[kmip.Operation]bool{
	kmip.OperationCreate:        true,
	kmip.OperationCreateKeyPair: true,
	kmip.OperationRegister:      true,
	kmip.OperationImport:        true,
	kmip.OperationDeriveKey:     true,
}

// ofMaterial has the attributes that the material says, of an object that comes with it.
var ofMaterial = map[ttlv.Tag]bool{
	ttlv.TagCryptographicAlgorithm:        true,
	ttlv.TagCryptographicLength:           true,
	ttlv.TagCryptographicDomainParameters: true,
}

// withDefaults adds to the attributes that a client gives a new object those that it leaves out and there are defaults for: the
// ones for the object's groups go before those for all.
func (r *Request) withDefaults(t kmip.ObjectType, given kmip.Attributes) (kmip.Attributes, error) {
	op := r.current.operation
	if !takesDefaults[op] {
		return given, nil
	}
	all, _, err := r.server.defaults.load(r.ctx, r.server.Settings)
	if err != nil || all == nil {
		return given, err
	}
	comes := op == kmip.OperationRegister || op == kmip.OperationImport
	complete := slices.Clip(given)
	for _, specific := range []bool{true, false} {
		for i := range all.ObjectDefaults {
			d := &all.ObjectDefaults[i]
			if d.ObjectType != t || (d.ObjectGroups != nil) != specific || specific && !d.ObjectGroups.Have(given) {
				continue
			}
			before := complete
			for _, a := range d.Attributes {
				if !slices.ContainsFunc(before, a.Is) && !(comes && ofMaterial[a.Tag]) {
					complete = append(complete, a)
				}
			}
		}
	}
	return complete, nil
}

// defaultsInformation is what Query tells of the defaults for some groups, or for all: those that were set, and the Cryptographic
// Usage Masks that keys get without. A version that has no groups in it hears of those for all objects.
func (r *Request) defaultsInformation(groups *kmip.ObjectGroups) (*kmip.DefaultsInformation, error) {
	told := new(kmip.DefaultsInformation)
	all, _, err := r.server.defaults.load(r.ctx, r.server.Settings)
	if err != nil {
		return nil, err
	}
	if all != nil {
		for _, d := range all.ObjectDefaults {
			if d.ObjectGroups == nil || r.version >= ttlv.V2_1 && (groups == nil || groups.Share(d.ObjectGroups)) {
				told.ObjectDefaults = append(told.ObjectDefaults, d)
			}
		}
	}
	for _, t := range []kmip.ObjectType{kmip.ObjectTypeSymmetricKey, kmip.ObjectTypePrivateKey, kmip.ObjectTypePublicKey} {
		set := slices.ContainsFunc(told.ObjectDefaults, func(d kmip.ObjectDefaults) bool {
			return d.ObjectType == t && d.ObjectGroups == nil && d.Attributes.Contains(ttlv.TagCryptographicUsageMask)
		})
		if !set {
			mask, _ := usual(t)
			masks := kmip.Attributes{{Tag: ttlv.TagCryptographicUsageMask, Value: mask}}
			told.ObjectDefaults = append(told.ObjectDefaults, kmip.ObjectDefaults{ObjectType: t, Attributes: masks})
		}
	}
	return told, nil
}
