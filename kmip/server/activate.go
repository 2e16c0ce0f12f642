package server

import (
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// activate answers Activate. KMIP 2.1 §6.1.1.
func (r *Request) activate(o *kmip.Object, _ *kmip.ActivateRequest) (*kmip.ActivateResponse, error) {
	if err := hasState(o); err != nil {
		return nil, err
	}
	err := r.update(o, func(o *kmip.Object) error {
		if s := o.State(r.now); s != kmip.StatePreActive {
			return wrongState(o, s)
		}
		o.Attributes = o.Attributes.With(ttlv.TagState, kmip.StateActive).With(ttlv.TagActivationDate, r.now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &kmip.ActivateResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// revoke answers Revoke. KMIP 2.1 §6.1.44: a compromise from any state, another reason from Active.
func (r *Request) revoke(o *kmip.Object, q *kmip.RevokeRequest) (*kmip.RevokeResponse, error) {
	compromised := compromise(q.RevocationReason.RevocationReasonCode)
	if q.CompromiseOccurrenceDate != nil && !compromised {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "a revocation for %v has no Compromise Occurrence Date", q.RevocationReason.RevocationReasonCode)
	}
	if err := hasState(o); err != nil {
		return nil, err
	}
	err := r.update(o, func(o *kmip.Object) error {
		s := o.State(r.now)
		to, ok := revoked(s, compromised)
		if !ok {
			return wrongState(o, s)
		}
		a := o.Attributes.With(ttlv.TagState, to).With(ttlv.TagRevocationReason, q.RevocationReason)
		if compromised {
			a = a.With(ttlv.TagCompromiseDate, r.now)
			occurred, _ := kmip.Get[time.Time](o.Attributes, ttlv.TagInitialDate)
			if q.CompromiseOccurrenceDate != nil {
				occurred = *q.CompromiseOccurrenceDate
			}
			if !occurred.IsZero() { // of a key in a token that another tool made nobody knows
				a = a.With(ttlv.TagCompromiseOccurrenceDate, occurred)
			}
		} else {
			a = a.With(ttlv.TagDeactivationDate, r.now)
		}
		o.Attributes = a
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &kmip.RevokeResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// hasState refuses a template, the one object without a State. KMIP 1.4 §11.20, §11.21.
func hasState(o *kmip.Object) error {
	if o.ObjectType() == kmip.ObjectTypeTemplate {
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is a Template, which has no State", o.UniqueIdentifier)
	}
	return nil
}

func compromise(c kmip.RevocationReasonCode) bool {
	return c == kmip.RevocationReasonCodeKeyCompromise || c == kmip.RevocationReasonCodeCACompromise
}

// revoked is the state after a revocation (transitions 3, 5, 6, 8 and 10 of KMIP 2.1 §4.57).
func revoked(s kmip.State, compromised bool) (kmip.State, bool) {
	if !compromised {
		return kmip.StateDeactivated, s == kmip.StateActive
	}
	switch s {
	case kmip.StatePreActive, kmip.StateActive, kmip.StateDeactivated:
		return kmip.StateCompromised, true
	case kmip.StateDestroyed:
		return kmip.StateDestroyedCompromised, true
	}
	return 0, false
}

// destroy answers Destroy. KMIP 2.1 §6.1.15. An Active object of the database is revoked first; a key in a token need not
// be, as operators of tokens expect.
func (r *Request) destroy(o *kmip.Object, _ *kmip.DestroyRequest) (*kmip.DestroyResponse, error) {
	err := r.rewrite(o, func(o *kmip.Object) error {
		s := o.State(r.now)
		if _, _, token, _ := kmip.HSMKey(o.UniqueIdentifier); s == kmip.StateActive && !token && hasState(o) == nil {
			return kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "object %q is Active: revoke it before it is destroyed", o.UniqueIdentifier)
		}
		if err := r.unneeded(o); err != nil {
			return err
		}
		to := kmip.StateDestroyed
		if s == kmip.StateCompromised {
			to = kmip.StateDestroyedCompromised
		}
		o.Attributes = o.Attributes.With(ttlv.TagState, to).With(ttlv.TagDestroyDate, time.Now())
		return nil
	}, kmip.Backend.Destroy)
	if err != nil {
		return nil, err
	}
	return &kmip.DestroyResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// unneeded refuses to destroy a key that wraps objects at rest, or either half of a pair whose other one does: they would be lost with
// it, other users' too.
func (r *Request) unneeded(o *kmip.Object) error {
	store, ok := r.server.Store.(kmip.Wrapping)
	if !ok {
		return nil
	}
	uids := []string{o.UniqueIdentifier}
	for _, t := range []kmip.LinkType{kmip.LinkTypePublicKeyLink, kmip.LinkTypePrivateKeyLink} {
		if half, ok := linkOf(o, t); ok {
			uids = append(uids, string(half))
		}
	}
	for _, uid := range uids {
		n, err := store.WrappedBy(r.ctx, uid)
		if err != nil {
			return err
		}
		if n > 0 {
			return kmip.Errorf(kmip.ResultReasonPermissionDenied,
				"%q wraps %d objects at rest, which would be lost: destroy them first, or have the operator move them (strongroomd seal rewrap, hsm rewrap)", uid, n)
		}
	}
	return nil
}

func wrongState(o *kmip.Object, s kmip.State) error {
	return kmip.Errorf(kmip.ResultReasonWrongKeyLifecycleState, "object %q is %v", o.UniqueIdentifier, s)
}
