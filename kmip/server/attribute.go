package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// getAttributes answers Get Attributes. KMIP 2.1 §6.1.20. An attribute that the object does not have is left out, and is no
// error: clients rely on it.
func (r *Request) getAttributes(o *kmip.Object, q *kmip.GetAttributesRequest) (*kmip.GetAttributesResponse, error) {
	all := o.AllAttributes(r.now)
	response := &kmip.GetAttributesResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier), Attributes: all}
	if len(q.AttributeReferences) == 0 {
		return response, nil
	}
	response.Attributes = make(kmip.Attributes, 0, len(q.AttributeReferences))
	for i, want := range q.AttributeReferences {
		if asked(q.AttributeReferences[:i], want) {
			continue
		}
		for _, a := range all {
			if a.Is(want) {
				response.Attributes = append(response.Attributes, a)
			}
		}
	}
	return response, nil
}

func asked(before kmip.AttributeReferences, want kmip.Attribute) bool {
	for _, a := range before {
		if a.Is(want) {
			return true
		}
	}
	return false
}

// getAttributeList answers Get Attribute List. KMIP 2.1 §6.1.21.
func (r *Request) getAttributeList(o *kmip.Object, _ *kmip.GetAttributeListRequest) (*kmip.GetAttributeListResponse, error) {
	response := &kmip.GetAttributeListResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}
	for _, a := range o.AllAttributes(r.now) {
		if !asked(response.AttributeReferences, a) {
			response.AttributeReferences = append(response.AttributeReferences, kmip.Attribute{Tag: a.Tag, Vendor: a.Vendor, Name: a.Name})
		}
	}
	return response, nil
}

// addAttribute answers Add Attribute. KMIP 2.1 §6.1.2.
func (r *Request) addAttribute(o *kmip.Object, q *kmip.AddAttributeRequest) (*kmip.AddAttributeResponse, error) {
	a, err := only(q.NewAttribute)
	if err != nil {
		return nil, err
	}
	err = r.update(o, func(o *kmip.Object) error {
		if err := r.mayChange(o, a, addable); err != nil {
			return err
		}
		switch {
		case !kmip.RuleOf(a.Tag).Multiple && o.Attributes.Contains(a.Tag):
			return kmip.Errorf(kmip.ResultReasonAttributeSingleValued, "%q has the attribute %v already", o.UniqueIdentifier, a)
		case o.Attributes.Has(a) && a.Tag == ttlv.TagName:
			return kmip.Errorf(kmip.ResultReasonNonUniqueNameAttribute, "%q has that name already", o.UniqueIdentifier)
		case o.Attributes.Has(a):
			return kmip.Errorf(kmip.ResultReasonInvalidField, "%q has the attribute %v with that value already", o.UniqueIdentifier, a)
		}
		kept, err := kept(a)
		if err != nil {
			return err
		}
		o.Attributes = append(o.Attributes, kept)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &kmip.AddAttributeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier), Attribute: q.NewAttribute}, nil
}

// modifyAttribute answers Modify Attribute. KMIP 2.1 §6.1.34. Which instance it means is said by the index in 1.x, and by its
// present value in 2.x.
func (r *Request) modifyAttribute(o *kmip.Object, q *kmip.ModifyAttributeRequest) (*kmip.ModifyAttributeResponse, error) {
	a, err := only(q.NewAttribute)
	if err != nil {
		return nil, err
	}
	err = r.update(o, func(o *kmip.Object) error {
		if err := r.mayChange(o, a, modifiable); err != nil {
			return err
		}
		i, err := instance(o, a, q.CurrentAttribute, a.Index())
		if err != nil {
			return err
		}
		if err := tightens(o, a); err != nil {
			return err
		}
		o.Attributes[i], err = kept(a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &kmip.ModifyAttributeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier), Attribute: q.NewAttribute}, nil
}

// deleteAttribute answers Delete Attribute. KMIP 2.1 §6.1.13.
func (r *Request) deleteAttribute(o *kmip.Object, q *kmip.DeleteAttributeRequest) (*kmip.DeleteAttributeResponse, error) {
	response := &kmip.DeleteAttributeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}
	err := r.update(o, func(o *kmip.Object) error {
		gone, err := r.deletes(o, q)
		response.Attribute = gone
		return err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// deletes removes what the request names: by value or reference in 2.x (a reference means all instances), by name and index
// in 1.x.
func (r *Request) deletes(o *kmip.Object, q *kmip.DeleteAttributeRequest) (kmip.Attributes, error) {
	if (len(q.AttributeReferences) == 0) == (len(q.CurrentAttribute) == 0) {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "Delete Attribute takes either the attribute or a reference to it")
	}
	var a kmip.Attribute
	var err error
	if len(q.CurrentAttribute) > 0 {
		if a, err = only(q.CurrentAttribute); err != nil {
			return nil, err
		}
	} else {
		a = q.AttributeReferences[0]
	}
	if err := r.mayChange(o, a, func(r *kmip.AttributeRule) bool { return r.Delete }); err != nil {
		return nil, err
	}
	if len(q.CurrentAttribute) == 0 && q.AttributeIndex == nil && r.byReference() {
		if !slices.ContainsFunc(o.Attributes, a.Is) {
			return nil, absent(o, a)
		}
		o.Attributes = o.Attributes.WithoutAll(a)
		return nil, nil
	}
	index := 0
	if q.AttributeIndex != nil {
		index = int(*q.AttributeIndex)
	}
	i, err := instance(o, a, q.CurrentAttribute, index)
	if err != nil {
		return nil, err
	}
	gone := o.Attributes[i]
	o.Attributes = append(o.Attributes[:i:i], o.Attributes[i+1:]...)
	return kmip.Attributes{gone}, nil
}

// byReference says that a reference without an index means all instances, as in 2.x; a name without one means the first.
func (r *Request) byReference() bool { return r.version >= ttlv.V2_0 }

// only is the one attribute that a list must have.
func only(list kmip.Attributes) (kmip.Attribute, error) {
	if len(list) != 1 {
		return kmip.Attribute{}, kmip.Errorf(kmip.ResultReasonInvalidField, "the request has %d attributes, must have one", len(list))
	}
	return list[0], nil
}

// kept is an attribute as it is kept: without the index that a request gave it, and Usage Limits with the count they begin
// with.
func kept(a kmip.Attribute) (kmip.Attribute, error) {
	a = kmip.Attribute{Tag: a.Tag, Vendor: a.Vendor, Name: a.Name, Value: a.Value}
	l, ok := a.Value.(kmip.UsageLimits)
	if !ok {
		return a, nil
	}
	var err error
	a.Value, err = unused(l)
	return a, err
}

// addable says whether a client may add an attribute to an object that does not have it. The Original Creation Date may be
// added, and never changed: KMIP 2.1 §4.38.
func addable(r *kmip.AttributeRule) bool {
	return r.ClientSets && (r.Modify || r.Delete) || r.Tag == ttlv.TagOriginalCreationDate
}

// modifiable says whether a client may change an attribute that an object has.
func modifiable(r *kmip.AttributeRule) bool { return r.Modify }

// mayChange refuses what the rules of the attribute, or the state of the object, do not let a client change.
func (r *Request) mayChange(o *kmip.Object, a kmip.Attribute, allows func(*kmip.AttributeRule) bool) error {
	rule := kmip.RuleOf(a.Tag)
	if rule == nil {
		return kmip.Errorf(kmip.ResultReasonInvalidAttribute, "%v is not an attribute", a)
	}
	ours := a.Tag == ttlv.TagAttribute && (a.Vendor == kmip.VendorServer || a.Vendor == kmip.VendorClient && a.Name == kmip.AttributeWrappingKeyID)
	if ours || !allows(rule) {
		return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the attribute %v cannot be changed so", a)
	}
	switch a.Tag {
	case ttlv.TagUsageLimits:
		return begun(o)
	case ttlv.TagActivationDate, ttlv.TagProcessStartDate, ttlv.TagProtectStopDate, ttlv.TagDeactivationDate:
		s := o.State(r.now)
		if s != kmip.StatePreActive && !(s == kmip.StateActive && a.Tag != ttlv.TagActivationDate) {
			return kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "the attribute %v of %q cannot be changed while it is %v", a, o.UniqueIdentifier, s)
		}
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

// instance finds the instance of a's attribute that is meant: the one equal to current, else number index.
func instance(o *kmip.Object, a kmip.Attribute, current kmip.Attributes, index int) (int, error) {
	n := 0
	for i, x := range o.Attributes {
		if !x.Is(a) {
			continue
		}
		if len(current) > 0 {
			if x.Equal(current[0]) {
				return i, nil
			}
			continue
		}
		if n == index {
			return i, nil
		}
		n++
	}
	return 0, absent(o, a)
}

func absent(o *kmip.Object, a kmip.Attribute) error {
	return kmip.Errorf(kmip.ResultReasonAttributeNotFound, "%q has no such attribute %v", o.UniqueIdentifier, a)
}

// update changes an object's attributes. When another request was quicker, it opens the object again, through the door,
// and repeats the change on what is there now.
func (r *Request) update(o *kmip.Object, change func(*kmip.Object) error) error {
	return r.rewrite(o, func(o *kmip.Object) error {
		if err := change(o); err != nil {
			return err
		}
		return quantumSafe(o.Attributes)
	}, kmip.Backend.Update)
}

func (r *Request) rewrite(o *kmip.Object, change func(*kmip.Object) error, write func(kmip.Backend, context.Context, *kmip.Object) error) error {
	return r.rewriteAs(o, r.need, change, write)
}

// rewriteAs is rewrite of an object that was opened with that need.
func (r *Request) rewriteAs(o *kmip.Object, n need, change func(*kmip.Object) error, write func(kmip.Backend, context.Context, *kmip.Object) error) error {
	backend, err := r.backend(o.UniqueIdentifier)
	if err != nil {
		return err
	}
	backend = r.undoable(backend)
	const most = 50
	for try := 0; ; try++ {
		changed := o.Clone()
		if err := change(changed); err != nil {
			return err
		}
		changed.Attributes = changed.Attributes.With(ttlv.TagLastChangeDate, time.Now())
		err := write(backend, r.ctx, changed)
		if !errors.Is(err, kmip.ErrConflict) || try == most {
			return err
		}
		if o, err = r.admit(o.UniqueIdentifier, n); err != nil {
			return err
		}
	}
}
