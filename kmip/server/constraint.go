package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// Constraints and Object Defaults hold for all who make objects, so those set them whom the configuration names (admin). They are
// kept as settings, in the form that the structures of KMIP 2.1 have on the wire.
const (
	constraintsSetting = "constraints"
	defaultsSetting    = "defaults"

	mostConstraints = 1000 // and as many Object Defaults
)

// A setting is what is kept under a name, decoded.
type setting[T any] struct {
	name string
	tag  ttlv.Tag
	last atomic.Pointer[decoded[T]]
}

type decoded[T any] struct {
	revision int64
	value    *T
}

// load is what is kept, nil where nothing is. The answer is shared.
func (s *setting[T]) load(ctx context.Context, settings kmip.Settings) (value *T, revision int64, err error) {
	raw, revision, err := settings.Setting(ctx, s.name)
	if err != nil || raw == nil {
		return nil, revision, err
	}
	if d := s.last.Load(); d != nil && d.revision == revision {
		return d.value, revision, nil
	}
	value = new(T)
	if err := ttlv.Unmarshal(slices.Clone(raw), ttlv.V2_1, s.tag, value, nil); err != nil {
		return nil, revision, fmt.Errorf("reading the setting %q: %w", s.name, err)
	}
	s.last.Store(&decoded[T]{revision, value})
	return value, revision, nil
}

// replace keeps a value, nil for none, unless somebody else changed it meanwhile. A batch that is undone takes it back.
func (s *setting[T]) replace(r *Request, value *T) error {
	if !r.server.Authority.Load().MayGovern(r.identity) {
		return kmip.Errorf(kmip.ResultReasonPermissionDenied, "%q may not change what holds for all objects", r.identity)
	}
	before, revision, err := r.server.Settings.Setting(r.ctx, s.name)
	if err != nil {
		return err
	}
	var raw []byte
	if value != nil {
		if raw, err = ttlv.Append(nil, ttlv.V2_1, s.tag, value); err != nil {
			return err
		}
	}
	if err := r.server.Settings.PutSetting(r.ctx, s.name, raw, revision); err != nil {
		return conflict(s.name, err)
	}
	r.onUndo(func(ctx context.Context) error { return r.server.Settings.PutSetting(ctx, s.name, before, revision+1) })
	return nil
}

func conflict(name string, err error) error {
	if errors.Is(err, kmip.ErrConflict) {
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "the %s were changed by another request: try again", name)
	}
	return err
}

// getConstraints answers Get Constraints. KMIP 2.1 §6.1.22. They are no secret: they bind everyone.
func (r *Request) getConstraints(*call, *kmip.GetConstraintsRequest) (*kmip.GetConstraintsResponse, error) {
	all, _, err := r.server.constraints.load(r.ctx, r.server.Settings)
	if err != nil || all == nil {
		return &kmip.GetConstraintsResponse{}, err
	}
	return &kmip.GetConstraintsResponse{Constraints: *all}, nil
}

// setConstraints answers Set Constraints. KMIP 2.1 §6.1.52.
func (r *Request) setConstraints(_ *call, q *kmip.SetConstraintsRequest) (*kmip.SetConstraintsResponse, error) {
	list := q.Constraints.Constraint
	if len(list) > mostConstraints {
		return nil, kmip.Errorf(kmip.ResultReasonServerLimitExceeded, "the request has %d constraints, at most %d are kept", len(list), mostConstraints)
	}
	for i := range list {
		if err := known(list[i].ObjectTypes); err != nil {
			return nil, err
		}
	}
	value := &q.Constraints
	if len(list) == 0 {
		value = nil
	}
	if err := r.server.constraints.replace(r, value); err != nil {
		return nil, err
	}
	return &kmip.SetConstraintsResponse{}, nil
}

// known refuses types of objects that are not kept here.
func known(types *kmip.ObjectTypes) error {
	if types == nil {
		return nil
	}
	for _, t := range types.ObjectType {
		if !slices.Contains(objectTypesOf(ttlv.V2_1), t) {
			return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "there are no objects of type %v here", t)
		}
	}
	return nil
}

// constrained has a backend make only objects that the constraints allow.
type constrained struct {
	kmip.Backend
	all *kmip.Constraints
}

// constrain is the backend for new objects.
func (r *Request) constrain(b kmip.Backend) (kmip.Backend, error) {
	all, _, err := r.server.constraints.load(r.ctx, r.server.Settings)
	if err != nil || all == nil {
		return b, err
	}
	return constrained{b, all}, nil
}

// Generate makes a key that is allowed.
func (c constrained) Generate(ctx context.Context, o *kmip.Object) error {
	if err := c.allow(o.ObjectType(), o.Attributes); err != nil {
		return err
	}
	return c.Backend.Generate(ctx, o)
}

// GeneratePair makes two.
func (c constrained) GeneratePair(ctx context.Context, private, public *kmip.Object) error {
	for _, o := range []*kmip.Object{private, public} {
		if err := c.allow(o.ObjectType(), o.Attributes); err != nil {
			return err
		}
	}
	return c.Backend.GeneratePair(ctx, private, public)
}

// Register keeps an object that is allowed: what its material says of it counts, too.
func (c constrained) Register(ctx context.Context, o *kmip.Object, v *kmip.Value) error {
	complete, err := soft.Complete(o.ObjectType(), v, o.Attributes)
	if err != nil {
		return err
	}
	if err := c.allow(o.ObjectType(), complete); err != nil {
		return err
	}
	return c.Backend.Register(ctx, o, v)
}

// Replace puts an object that is allowed in the place of another, where the backend can.
func (c constrained) Replace(ctx context.Context, old, o *kmip.Object, v *kmip.Value) error {
	complete, err := soft.Complete(o.ObjectType(), v, o.Attributes)
	if err != nil {
		return err
	}
	if err := c.allow(o.ObjectType(), complete); err != nil {
		return err
	}
	return replaceIn(ctx, c.Backend, old, o, v)
}

// allow refuses a new object of which one of the constraints does not hold.
func (c constrained) allow(t kmip.ObjectType, a kmip.Attributes) error {
	for i := range c.all.Constraint {
		k := &c.all.Constraint[i]
		if k.ObjectTypes != nil && !slices.Contains(k.ObjectTypes.ObjectType, t) || k.ObjectGroups != nil && !k.ObjectGroups.Have(a) {
			continue
		}
		for _, want := range k.Attributes {
			if !holds(want, k.Attributes, a) {
				return kmip.Errorf(kmip.ResultReasonConstraintViolation, "a constraint of this server does not allow a %v with such a %v", t, want)
			}
		}
	}
	return nil
}

// holds says whether an object's attributes are as a constraint wants one of them: it is there, and one of its instances is one of
// those that the constraint lists. A Cryptographic Usage Mask has no bit that none of those has.
func holds(want kmip.Attribute, listed, a kmip.Attributes) bool {
	if want.Tag == ttlv.TagCryptographicUsageMask {
		var may kmip.CryptographicUsageMask
		for _, m := range kmip.All[kmip.CryptographicUsageMask](listed, want.Tag) {
			may |= m
		}
		return a.UsageMask()&^may == 0
	}
	return slices.ContainsFunc(listed, func(x kmip.Attribute) bool { return x.Is(want) && a.Has(x) })
}
