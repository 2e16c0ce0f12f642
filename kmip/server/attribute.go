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
	response := &kmip.GetAttributesResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}
	if len(q.AttributeReferences) == 0 {
		response.Attributes = r.listed(o)
		return response, nil
	}
	all := r.visible(o)
	response.Attributes = make(kmip.Attributes, 0, len(q.AttributeReferences))
	for i, want := range q.AttributeReferences {
		if asked(q.AttributeReferences[:i], want) {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request asks for the attribute %v more than once", want)
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
	for _, a := range r.listed(o) {
		if !asked(response.AttributeReferences, a) && a.DefinedAt(r.version) {
			response.AttributeReferences = append(response.AttributeReferences, kmip.Attribute{Tag: a.Tag, Vendor: a.Vendor, Name: a.Name})
		}
	}
	return response, nil
}

// addAttribute answers Add Attribute. KMIP 2.1 §6.1.2. The server gives the new instance its index (KMIP 1.4 §4.14).
func (r *Request) addAttribute(o *kmip.Object, q *kmip.AddAttributeRequest) (*kmip.AddAttributeResponse, error) {
	a, err := only(q.NewAttribute)
	if err != nil {
		return nil, err
	}
	if _, given := a.Index(); given {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Attribute Index of %v is the server's to give", a)
	}
	response := &kmip.AddAttributeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}
	err = r.update(o, func(o *kmip.Object) error {
		if err := r.mayChange(o, a, addable); err != nil {
			return err
		}
		kept, err := r.kept(a)
		if err != nil {
			return err
		}
		if err := addition(o, kept); err != nil {
			return err
		}
		o.Attributes = o.Attributes.Add(kept)
		response.Attribute = o.Attributes[len(o.Attributes)-1:]
		return inOrder(o, a)
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// addition refuses an instance that an object has already, or has no room for.
func addition(o *kmip.Object, a kmip.Attribute) error {
	switch {
	case !kmip.RuleOf(a.Tag).Multiple && o.Attributes.Contains(a.Tag):
		return kmip.Errorf(kmip.ResultReasonAttributeSingleValued, "%q has the attribute %v already", o.UniqueIdentifier, a)
	case o.Attributes.Has(a) && a.Tag == ttlv.TagName:
		return kmip.Errorf(kmip.ResultReasonNonUniqueNameAttribute, "%q has that name already", o.UniqueIdentifier)
	case o.Attributes.Has(a):
		return kmip.Errorf(kmip.ResultReasonInvalidField, "%q has the attribute %v with that value already", o.UniqueIdentifier, a)
	}
	return roomFor(o, a)
}

// modifyAttribute answers Modify Attribute. KMIP 2.1 §6.1.34. Which instance it means is said by the index in 1.x, and by its
// present value in 2.x, where that may be left out of an attribute with one instance.
func (r *Request) modifyAttribute(o *kmip.Object, q *kmip.ModifyAttributeRequest) (*kmip.ModifyAttributeResponse, error) {
	a, err := only(q.NewAttribute)
	if err != nil {
		return nil, err
	}
	if len(q.CurrentAttribute) > 0 {
		if current, err := only(q.CurrentAttribute); err != nil {
			return nil, err
		} else if !current.Is(a) {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the Current Attribute is %v, the New Attribute %v", current, a)
		}
	}
	response := &kmip.ModifyAttributeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}
	err = r.update(o, func(o *kmip.Object) error {
		if err := r.mayChange(o, a, modifiable); err != nil {
			return err
		}
		i, err := r.modified(o, a, q.CurrentAttribute)
		if err != nil {
			return err
		}
		if err := tightens(o, a); err != nil {
			return err
		}
		kept, err := r.kept(a)
		if err != nil {
			return err
		}
		o.Attributes = o.Attributes.Replace(i, kept)
		response.Attribute = o.Attributes[i : i+1 : i+1]
		return inOrder(o, a)
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// modified finds the instance that Modify Attribute means.
func (r *Request) modified(o *kmip.Object, a kmip.Attribute, current kmip.Attributes) (int, error) {
	index, _ := a.Index()
	i, err := instance(o, a, current, index)
	if err == nil && len(current) == 0 && r.byReference() {
		for _, x := range o.Attributes[i+1:] {
			if x.Is(a) {
				return 0, kmip.Errorf(kmip.ResultReasonAttributeInstanceNotFound, "%q has the attribute %v more than once: the request must say which it means", o.UniqueIdentifier, a)
			}
		}
	}
	return i, err
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
	if err := r.mayChange(o, a, deletable); err != nil {
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
	gone := kmip.Attributes{o.Attributes[i].At(o.Attributes.IndexOf(i))}
	o.Attributes = o.Attributes.Remove(i)
	return gone, nil
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

// instance finds the instance of a's attribute that is meant: the one equal to current, else the one of that index.
func instance(o *kmip.Object, a kmip.Attribute, current kmip.Attributes, index int) (int, error) {
	found := false
	for i, x := range o.Attributes {
		if !x.Is(a) {
			continue
		}
		found = true
		if len(current) > 0 && x.Equal(current[0]) || len(current) == 0 && int(o.Attributes.IndexOf(i)) == index {
			return i, nil
		}
	}
	if found {
		return 0, kmip.Errorf(kmip.ResultReasonAttributeInstanceNotFound, "%q has no such instance of the attribute %v", o.UniqueIdentifier, a)
	}
	return 0, absent(o, a)
}

func absent(o *kmip.Object, a kmip.Attribute) error {
	return kmip.Errorf(kmip.ResultReasonAttributeNotFound, "%q has no such attribute %v", o.UniqueIdentifier, a)
}

// update changes an object's attributes. When another request was quicker, it opens the object again, through the door,
// and repeats the change on what is there now.
func (r *Request) update(o *kmip.Object, change func(*kmip.Object) error) error {
	err := r.rewrite(o, func(o *kmip.Object) error {
		if err := change(o); err != nil {
			return err
		}
		if err := rotatable(o); err != nil {
			return err
		}
		return quantumSafe(o.Attributes)
	}, kmip.Backend.Update)
	return reword(r.current.operation, err)
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
