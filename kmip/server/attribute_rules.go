package server

import (
	"errors"
	"slices"
	"strings"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// visible lists the attributes of an object that a client of the request's version may see: those that the version's tables give
// to objects of that type. KMIP 1.4 §3, KMIP 2.1 §4.
func (r *Request) visible(o *kmip.Object) kmip.Attributes {
	all := o.AllAttributes(r.now)
	t := o.ObjectType()
	seen := make(kmip.Attributes, 0, len(all))
	for _, a := range all {
		if rule := kmip.RuleOf(a.Tag); rule == nil || !rule.AppliesTo(t, r.version) {
			continue
		}
		if d, ok := a.Value.(kmip.Digest); ok {
			if r.version < ttlv.V2_0 && seen.Contains(ttlv.TagDigest) {
				continue // of the format that the object is kept in there is one; default formats came with 2.0
			}
			d.KeyFormatType = soft.FormatAt(d.KeyFormatType, o.Attributes.Algorithm(), r.version)
			a.Value = d
		}
		seen = append(seen, a)
	}
	return seen
}

// listed are the attributes of an object for an answer that lists them all, in order. Of an object that is protected as most are,
// Strongroom-Protection is told to who names it: some clients give up at an attribute of a server's vendor.
func (r *Request) listed(o *kmip.Object) kmip.Attributes {
	usual := kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorServer, Name: kmip.AttributeProtection, Value: kmip.ProtectionSoftware}
	return slices.DeleteFunc(r.visible(o).InOrder(), usual.Equal)
}

// addable says whether a client may give a value to an attribute that has none.
func addable(r *kmip.AttributeRule) bool { return r.ClientSets }

// modifiable says whether a client may change an attribute that an object has.
func modifiable(r *kmip.AttributeRule) bool { return r.Modify }

// deletable says whether a client may delete an attribute.
func deletable(r *kmip.AttributeRule) bool { return r.Delete }

// mayChange refuses what the rules of the attribute, or the state of the object, do not let a client change.
func (r *Request) mayChange(o *kmip.Object, a kmip.Attribute, allows func(*kmip.AttributeRule) bool) error {
	rule := kmip.RuleOf(a.Tag)
	if rule == nil {
		return kmip.Errorf(kmip.ResultReasonInvalidAttribute, "%v is not an attribute", a)
	}
	if !rule.AppliesTo(o.ObjectType(), r.version) {
		return kmip.Errorf(kmip.ResultReasonInvalidAttribute, "a %v has no attribute %v", o.ObjectType(), a)
	}
	if !allows(rule) || ours(a) {
		return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the attribute %v cannot be changed so", a)
	}
	switch a.Tag {
	case ttlv.TagUsageLimits:
		return begun(o)
	case ttlv.TagActivationDate, ttlv.TagProcessStartDate, ttlv.TagProtectStopDate, ttlv.TagDeactivationDate:
		return r.mayMove(o, a)
	}
	return nil
}

// ours says whether a vendor attribute is the server's to set, or is given when an object is made and stays.
func ours(a kmip.Attribute) bool {
	return a.Tag == ttlv.TagAttribute && (a.Vendor == kmip.VendorServer || a.Vendor == kmip.VendorClient && givenOnce[a.Name])
}

// givenOnce are the attributes of the client's that say how a new object is made and kept.
var givenOnce = map[string]bool{kmip.AttributeWrappingKeyID: true, kmip.AttributeEntropy: true, kmip.AttributeProtection: true}

// mayMove refuses to change a date that drives the state once it has done so. KMIP 2.1 §4.1, §4.18, §4.40, §4.41.
func (r *Request) mayMove(o *kmip.Object, a kmip.Attribute) error {
	s := o.State(r.now)
	if o.ObjectType() == kmip.ObjectTypeTemplate {
		return nil // it has no state: the dates are those of the objects that are made with it
	}
	if s != kmip.StatePreActive && !(s == kmip.StateActive && a.Tag != ttlv.TagActivationDate) {
		return kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "the attribute %v of %q cannot be changed while it is %v", a, o.UniqueIdentifier, s)
	}
	if a.Tag != ttlv.TagProcessStartDate && a.Tag != ttlv.TagProtectStopDate {
		return nil
	}
	if t, ok := kmip.Get[time.Time](o.Attributes, a.Tag); ok && t.Unix() <= r.now.Unix() {
		return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the attribute %v of %q has occurred, and is not changed any more", a, o.UniqueIdentifier)
	}
	return nil
}

// tightens lets Sensitive become true and Extractable false, never the other way.
func tightens(o *kmip.Object, a kmip.Attribute) error {
	v, _ := a.Value.(bool)
	if a.Tag == ttlv.TagSensitive && !v && o.Attributes.Sensitive() || a.Tag == ttlv.TagExtractable && v && !o.Attributes.Extractable() {
		return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the attribute %v of %q cannot be loosened", a, o.UniqueIdentifier)
	}
	return nil
}

// kept is an attribute of a request as it is kept: without an index, with the identifiers that it means, Usage Limits with the
// count they begin with. It refuses values that mean nothing.
func (r *Request) kept(a kmip.Attribute) (kmip.Attribute, error) {
	a = kmip.Attribute{Tag: a.Tag, Vendor: a.Vendor, Name: a.Name, Value: a.Value}
	var err error
	switch v := a.Value.(type) {
	case kmip.UsageLimits:
		a.Value, err = unused(v)
	case kmip.Link:
		var uid string
		uid, err = r.resolve(v.LinkedObjectIdentifier)
		v.LinkedObjectIdentifier = kmip.UniqueIdentifier(uid)
		a.Value = v
	case kmip.ApplicationSpecificInformation:
		if v.ApplicationData == "" {
			err = kmip.Errorf(kmip.ResultReasonApplicationNamespaceNotSupported, "no Application Data are made here for the namespace %q: the request must bring them", v.ApplicationNamespace)
		}
	case ttlv.Interval:
		if a.Tag == ttlv.TagRotateInterval && v == 0 {
			err = kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "a Rotate Interval of 0 would rotate without end")
		}
	}
	if err == nil && a.Tag == ttlv.TagAttribute {
		err = r.custom(a)
	}
	return a, err
}

// custom refuses a vendor attribute without a name, with a Vendor Identification of other characters than KMIP 2.1 §4.60 has, and in
// 1.x a structure in a structure (KMIP 1.4 §3.39).
func (r *Request) custom(a kmip.Attribute) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_."
	if a.Vendor == "" || strings.Trim(a.Vendor, letters) != "" {
		return kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "a Vendor Identification is made of letters, digits, underscores and full stops: %q is not", a.Vendor)
	}
	if a.Name == "" {
		return kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "an attribute of the vendor %q has no name", a.Vendor)
	}
	if n, ok := a.Value.(ttlv.Node); ok && r.version < ttlv.V2_0 {
		for _, c := range n.Children {
			if c.Type == ttlv.TypeStructure {
				return kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "the structure %v holds another one", a)
			}
		}
	}
	return nil
}

// orderly refuses dates in a wrong order: protection stops not after the deactivation, which does not precede the activation, and
// processing does not start before that. KMIP 2.1 §4.40, §4.41.
func orderly(a kmip.Attributes) error {
	for _, pair := range [][2]ttlv.Tag{
		{ttlv.TagActivationDate, ttlv.TagProcessStartDate},
		{ttlv.TagProtectStopDate, ttlv.TagDeactivationDate},
		{ttlv.TagActivationDate, ttlv.TagDeactivationDate},
	} {
		first, one := kmip.Get[time.Time](a, pair[0])
		then, other := kmip.Get[time.Time](a, pair[1])
		if one && other && then.Unix() < first.Unix() {
			return kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "the %v cannot precede the %v", kmip.Attribute{Tag: pair[1]}, kmip.Attribute{Tag: pair[0]})
		}
	}
	return nil
}

// inOrder is orderly after a change of one attribute.
func inOrder(o *kmip.Object, changed kmip.Attribute) error {
	switch changed.Tag {
	case ttlv.TagActivationDate, ttlv.TagProcessStartDate, ttlv.TagProtectStopDate, ttlv.TagDeactivationDate:
		return orderly(o.Attributes)
	}
	return nil
}

// mostInstances bounds the instances of one attribute: attributes are read and written whole.
const mostInstances = 1000

// roomFor refuses one more instance than an object may have of an attribute.
func roomFor(o *kmip.Object, a kmip.Attribute) error {
	n := 0
	link, _ := a.Value.(kmip.Link)
	for _, x := range o.Attributes {
		if x.Is(a) {
			n++
		}
		if y, ok := x.Value.(kmip.Link); ok && y.LinkType == link.LinkType && link.LinkType == kmip.LinkTypeReplacementObjectLink {
			return kmip.Errorf(kmip.ResultReasonInvalidField, "%q has a replacement: there is one only", o.UniqueIdentifier) // KMIP 2.1 §11.28
		}
	}
	if n >= mostInstances {
		return kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "%q has %d instances of the attribute %v: more are not kept", o.UniqueIdentifier, n, a)
	}
	return nil
}

// reworded gives the Result Reason that an operation on attributes has for a refusal: tables 169, 172, 204, 267 and 324 of KMIP 2.1
// name some of them differently.
var reworded = map[kmip.Operation]map[kmip.ResultReason]kmip.ResultReason{
	kmip.OperationAddAttribute: {
		kmip.ResultReasonAttributeReadOnly:     kmip.ResultReasonReadOnlyAttribute,
		kmip.ResultReasonInvalidAttributeValue: kmip.ResultReasonInvalidField,
	},
	kmip.OperationModifyAttribute: {
		kmip.ResultReasonInvalidAttribute:      kmip.ResultReasonInvalidField,
		kmip.ResultReasonInvalidAttributeValue: kmip.ResultReasonInvalidField,
	},
	kmip.OperationSetAttribute: {
		kmip.ResultReasonAttributeReadOnly: kmip.ResultReasonReadOnlyAttribute,
		kmip.ResultReasonInvalidAttribute:  kmip.ResultReasonInvalidField,
	},
	kmip.OperationAdjustAttribute: {
		kmip.ResultReasonAttributeReadOnly:     kmip.ResultReasonReadOnlyAttribute,
		kmip.ResultReasonInvalidAttribute:      kmip.ResultReasonUnsupportedAttribute,
		kmip.ResultReasonInvalidAttributeValue: kmip.ResultReasonInvalidField,
	},
}

// reword gives a refusal the Result Reason that the operation has for it.
func reword(op kmip.Operation, err error) error {
	var e *kmip.Error
	if !errors.As(err, &e) {
		return err
	}
	if reason, ok := reworded[op][e.Reason]; ok {
		return &kmip.Error{Reason: reason, Message: e.Message, Err: e.Err}
	}
	return err
}
