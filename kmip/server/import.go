package server

import (
	"context"
	"errors"
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// An incoming is what Import says of an object beside what Register does.
type incoming struct {
	supplied kmip.Attributes // all that the request gives
	replaced *kmip.Object    // in whose place the object comes; nil for none
}

// assumed are the attributes that the server sets of every other object, and an imported one brings: Import does not enforce who sets an
// attribute (KMIP 2.1 §6.1.25). What follows from the material, or from where it is kept, is not among them.
var assumed = map[ttlv.Tag]bool{
	ttlv.TagState:                    true,
	ttlv.TagInitialDate:              true,
	ttlv.TagLastChangeDate:           true,
	ttlv.TagCompromiseDate:           true,
	ttlv.TagCompromiseOccurrenceDate: true,
	ttlv.TagRevocationReason:         true,
	ttlv.TagArchiveDate:              true,
	ttlv.TagAlwaysSensitive:          true,
	ttlv.TagNeverExtractable:         true,
	ttlv.TagRotateDate:               true,
	ttlv.TagRotateGeneration:         true,
	ttlv.TagRotateLatest:             true,
}

// replaces is the object that the caller wants replaced, nil where there is none. It takes the right to destroy it, and its owner, who owns
// the replacement too. A key in a token is never replaced.
func (r *Request) replaces(uid string) (*kmip.Object, error) {
	o, err := r.permitted(uid, kmip.OperationDestroy)
	if err != nil {
		return nil, nil // nothing that the caller may know of: the backend refuses a name in use by itself
	}
	if _, _, token, _ := kmip.HSMKey(uid); token || !slices.Contains(o.Owners, r.identity) {
		return nil, kmip.Errorf(kmip.ResultReasonObjectAlreadyExists, "object %q exists: only one of the database can be replaced, by its owner", uid)
	}
	return o, r.unneeded(o)
}

// assume gives an object the attributes that it brings.
func (in *incoming) assume(o *kmip.Object) error {
	if in == nil {
		return nil
	}
	var seen kmip.Attributes
	for _, a := range in.supplied {
		if !assumed[a.Tag] || !kmip.RuleOf(a.Tag).AppliesEver(o.ObjectType()) {
			continue
		}
		if seen.Contains(a.Tag) {
			return kmip.Errorf(kmip.ResultReasonAttributeSingleValued, "the attribute %v has one value, the request gives more", a)
		}
		seen = append(seen, a)
		o.Attributes = o.Attributes.With(a.Tag, a.Value)
	}
	return plausible(o.Attributes)
}

// plausible refuses attributes that contradict one another.
func plausible(a kmip.Attributes) error {
	always, _ := kmip.Get[bool](a, ttlv.TagAlwaysSensitive)
	never, _ := kmip.Get[bool](a, ttlv.TagNeverExtractable)
	state, _ := kmip.Get[kmip.State](a, ttlv.TagState)
	switch {
	case always && !a.Sensitive():
		return kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "an object that is not Sensitive was not Always Sensitive")
	case never && a.Extractable():
		return kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "an object that is Extractable was not Never Extractable")
	case !slices.Contains([]kmip.State{0, kmip.StatePreActive, kmip.StateActive, kmip.StateDeactivated, kmip.StateCompromised}, state):
		return kmip.Errorf(kmip.ResultReasonInvalidAttributeValue, "an object that is %v has no material to import", state)
	}
	return nil
}

// put keeps an object, in the place of another if it is to replace one.
func (in *incoming) put(ctx context.Context, b kmip.Backend, o *kmip.Object, v *kmip.Value) error {
	if in == nil || in.replaced == nil {
		return b.Register(ctx, o, v)
	}
	o.Owners = in.replaced.Owners
	return replaceIn(ctx, b, in.replaced, o, v)
}

// replaceIn replaces an object in a backend that can.
func replaceIn(ctx context.Context, b kmip.Backend, old, o *kmip.Object, v *kmip.Value) error {
	replacing, ok := b.(kmip.Replacing)
	if !ok {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "an Import that replaces an object cannot be undone: leave it out of a batch with Undo")
	}
	err := replacing.Replace(ctx, old, o, v)
	if errors.Is(err, kmip.ErrConflict) {
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "%q was changed by another request: try again", o.UniqueIdentifier)
	}
	return err
}
