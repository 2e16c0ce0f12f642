package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Templates are of KMIP 1.x alone (KMIP 1.4 §2.2.6): 2.x has neither the object nor a way to name one.

// resolveTemplates puts the attributes of the templates that a request names in their place.
func (r *Request) resolveTemplates(q kmip.Templated) error {
	for _, list := range q.TemplateAttributes() {
		names := list.Templates()
		if len(names) > mostTemplates {
			return kmip.Errorf(kmip.ResultReasonInvalidField, "the request names %d templates, %d are the most", len(names), mostTemplates)
		}
		var templates []kmip.Attributes
		for _, name := range names {
			t, err := r.template(name)
			if err != nil {
				return err
			}
			templates = append(templates, t)
		}
		if len(names) > 0 {
			*list = list.Of(templates)
		}
	}
	return nil
}

const mostTemplates = 16

// template is the contents of the one template of that name that the caller may Get.
func (r *Request) template(name kmip.Name) (kmip.Attributes, error) {
	found, err := r.server.Store.Locate(r.ctx, &kmip.Search{Identity: r.identity, Most: mostTemplates, Attributes: kmip.Attributes{
		{Tag: ttlv.TagObjectType, Value: kmip.ObjectTypeTemplate}, {Tag: ttlv.TagName, Value: name},
	}, Storage: kmip.StorageStatusMaskOnLineStorage | kmip.StorageStatusMaskArchivalStorage})
	if err != nil {
		return nil, err
	}
	var only *kmip.Object
	for _, x := range found.Objects {
		o, err := r.openSecond(kmip.UniqueIdentifier(x.UniqueIdentifier), need{states: existing, right: kmip.OperationGet})
		switch {
		case err != nil && kmip.ReasonOf(err) != kmip.ResultReasonObjectNotFound:
			return nil, err
		case err == nil && only != nil:
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "there is more than one template %q", name.NameValue)
		case err == nil:
			only = o
		}
	}
	if only == nil {
		return nil, kmip.Errorf(kmip.ResultReasonObjectNotFound, "there is no template %q, or you may not use it", name.NameValue)
	}
	v, err := r.server.Store.Value(r.ctx, only)
	if err != nil {
		return nil, err
	}
	return v.Template.Attributes, nil
}

// checkTemplate refuses a template that no object could be made with, or that could not be named.
func (r *Request) checkTemplate(given kmip.Attributes, t *kmip.Template) error {
	switch {
	case r.version >= ttlv.V2_0:
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "KMIP %v has no templates", r.version)
	case !given.Contains(ttlv.TagName):
		return kmip.Errorf(kmip.ResultReasonInvalidField, "a template needs a Name, by which requests mean it")
	case len(t.Attributes) == 0:
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the template has no attribute")
	}
	for i, a := range t.Attributes {
		rule := kmip.RuleOf(a.Tag)
		switch {
		case rule == nil || !rule.ClientSets && !rule.Stated || a.Tag == ttlv.TagAttribute && a.Vendor == kmip.VendorServer:
			return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the attribute %v is set by the server: a template has none", a)
		case a.Tag == ttlv.TagName || a.Tag == ttlv.TagTemplate: // KMIP 1.4 §11.4
			return kmip.Errorf(kmip.ResultReasonInvalidField, "a template's Name is an attribute of the request: no object made with it could have one in the template")
		case a.Tag == ttlv.TagUniqueIdentifier:
			return kmip.Errorf(kmip.ResultReasonInvalidField, "a template has no Unique Identifier for the objects that are made with it")
		case t.Attributes[:i].Has(a) || !rule.Multiple && t.Attributes[:i].Contains(a.Tag):
			return kmip.Errorf(kmip.ResultReasonInvalidField, "the template has the attribute %v more than once", a)
		}
	}
	return nil
}

// laidOver lays the attributes of one half of a pair over those common to both. In 1.x all the instances count of an attribute that
// may have several (KMIP 1.4 §4.2); 2.x says that those of the half take precedence (KMIP 2.1 §6.1.9).
func (r *Request) laidOver(common, own kmip.Attributes) kmip.Attributes {
	if r.version < ttlv.V2_0 {
		return own.Under(common)
	}
	return merge(common, own)
}
