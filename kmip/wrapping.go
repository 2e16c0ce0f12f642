package kmip

import (
	"reflect"

	"strongroom/kmip/ttlv"
)

// NamedAttribute is the attribute that a name stands for in a Key Wrapping Specification, in every version: "Cryptographic Usage
// Mask", "x-purpose", or the name that KMIP 2.x encodes it under, "CryptographicUsageMask".
func NamedAttribute(name string) (Attribute, error) {
	a, err := parseOldName(name)
	if err == nil {
		return a, nil
	}
	if tag, ok := ttlv.TagByName(name); ok && tag != ttlv.TagAttribute && RuleOf(tag) != nil {
		return Attribute{Tag: tag}, nil
	}
	return Attribute{}, err
}

// ordinary are the fields of Cryptographic Parameters that name no mechanism: a key whose own leave them out has not said no.
var ordinary = map[string]bool{
	"CryptographicAlgorithm": true, "KeyRoleType": true, "RandomIV": true, "IVLength": true, "TagLength": true,
}

// Cover says whether parameters of a key are those that a request asks to use it with: whatever the request gives is in them.
func (p *CryptographicParameters) Cover(asked *CryptographicParameters) bool {
	own, want := reflect.ValueOf(p).Elem(), reflect.ValueOf(asked).Elem()
	for i := range want.NumField() {
		f := want.Field(i)
		if f.IsZero() || own.Field(i).IsZero() && ordinary[want.Type().Field(i).Name] {
			continue
		}
		if !reflect.DeepEqual(f.Interface(), own.Field(i).Interface()) {
			return false
		}
	}
	return true
}
