package kmip

import (
	"slices"

	"strongroom/kmip/ttlv"
)

// In a Template-Attribute of KMIP 1.x a Name that stands outside of an Attribute names a template, whose attributes are meant (KMIP
// 1.4 §2.1.8). Attributes have it as an instance of the tag Template, which is no attribute: who asks for it by that tag resolves
// it, and all others refuse it.

// Templated is a request that may name templates.
type Templated interface {
	// TemplateAttributes are the lists that may.
	TemplateAttributes() []*Attributes
}

// Templates lists the names of the templates in a list.
func (a Attributes) Templates() []Name { return All[Name](a, ttlv.TagTemplate) }

// Of leaves out the templates, and lays their attributes under a's own: of an attribute with one instance a's own counts, else that
// of the last template which has it; of the others all do. KMIP 1.4 §4.2.
func (a Attributes) Of(templates []Attributes) Attributes {
	merged := a.Without(ttlv.TagTemplate)
	for _, t := range slices.Backward(templates) {
		merged = merged.Under(t)
	}
	return merged
}

// Under lays a list over another, of which the attributes with one instance count where a has none.
func (a Attributes) Under(b Attributes) Attributes {
	merged := slices.Clip(a)
	for _, x := range b {
		if rule := RuleOf(x.Tag); a.Has(x) || rule != nil && !rule.Multiple && a.Contains(x.Tag) {
			continue
		}
		merged = append(merged, x)
	}
	return merged
}

// TemplateAttributes are the request's attributes.
func (r *CreateRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }

// TemplateAttributes are those of both halves and of each.
func (r *CreateKeyPairRequest) TemplateAttributes() []*Attributes {
	return []*Attributes{&r.CommonAttributes, &r.PrivateKeyAttributes, &r.PublicKeyAttributes}
}

// TemplateAttributes are the request's attributes.
func (r *RegisterRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }

// TemplateAttributes are the request's attributes.
func (r *ReKeyRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }

// TemplateAttributes are those of both halves and of each.
func (r *ReKeyKeyPairRequest) TemplateAttributes() []*Attributes {
	return []*Attributes{&r.CommonAttributes, &r.PrivateKeyAttributes, &r.PublicKeyAttributes}
}

// TemplateAttributes are the request's attributes.
func (r *DeriveKeyRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }

// TemplateAttributes are the request's attributes.
func (r *CreateSplitKeyRequest) TemplateAttributes() []*Attributes {
	return []*Attributes{&r.Attributes}
}

// TemplateAttributes are the request's attributes.
func (r *JoinSplitKeyRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }

// TemplateAttributes are what is searched for.
func (r *LocateRequest) TemplateAttributes() []*Attributes { return []*Attributes{&r.Attributes} }
