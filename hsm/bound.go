package hsm

import (
	"context"
	"errors"

	"strongroom/kmip"
)

// This file binds what is stored of a key to the key itself, by its fingerprint. A name alone would do for the next key of that name.

// An anotherKey is the error of a key that is not shown to be the one that something is stored of. Nobody uses it before an operator
// says what it is: neither the grants and the state of the one before are its own, nor is it one of which nothing was ever said.
type anotherKey struct{ error }

func (e *anotherKey) Unwrap() error { return e.error }

// another says whether an error is that of such a key.
func another(err error) bool {
	var e *anotherKey
	return errors.As(err, &e)
}

// record is what is stored of a key. An operator's command has no database.
func (h *HSM) record(ctx context.Context, uid string) (kmip.Record, error) {
	if h.records == nil {
		return kmip.Record{}, nil
	}
	r, err := h.records.Record(ctx, uid)
	if errors.Is(err, kmip.ErrNotFound) {
		return kmip.Record{}, nil
	}
	return r, err
}

// fits refuses a key that is not the one which a record is of. The log says so once.
func (h *HSM) fits(ctx context.Context, s *slot, o *object, r *kmip.Record) error {
	if r.Fingerprint == "" {
		return nil
	}
	is, shows, err := o.bears(r.Fingerprint, s.asking(ctx, o))
	if err != nil || is {
		return s.tell(err)
	}
	uid, why := s.identifier(o.name), "it is another key than the one that something is stored of under this name"
	if !shows {
		why = "it does not show that it is the key that something is stored of under this name"
	}
	if !o.refused.Swap(true) {
		h.log.Error("a key in a token is refused: "+why+". Say which it is: strongroomd hsm adopt --replace, or --same-key", "uid", uid,
			"stored", r.Fingerprint, "grants", len(r.Grants))
	}
	return &anotherKey{kmip.Errorf(kmip.ResultReasonPermissionDenied,
		"%q is refused: %s. An operator says which it is: strongroomd hsm adopt --replace, or --same-key", uid, why)}
}

// bind gives a record that is not bound yet the fingerprint of the key that has its name now. What cannot be kept now, or shown, is at
// the next occasion.
func (h *HSM) bind(ctx context.Context, s *slot, o *object, r *kmip.Record) error {
	if r.Revision == 0 || r.Fingerprint != "" {
		return nil
	}
	print, err := o.fingerprint(s.asking(ctx, o))
	if errors.Is(err, errMoved) {
		return err
	}
	bound := *r
	bound.Fingerprint = print
	if print != "" && h.records.PutRecord(ctx, s.identifier(o.name), &bound) == nil {
		*r = bound
	}
	return nil
}

// find looks a key up by its name, and what is stored of it.
func (h *HSM) find(ctx context.Context, s *slot, name string) (o *object, shown *kmip.Object, err error) {
	for range tries {
		if o, err = s.object(ctx, name); err != nil {
			return nil, nil, err
		}
		r, err := h.record(ctx, s.identifier(o.name))
		if err != nil {
			return nil, nil, err
		}
		if shown, err = h.show(ctx, s, o, r); !errors.Is(err, errMoved) {
			return o, shown, err
		}
	}
	return nil, nil, s.unavailable(errMoved)
}

// printOf is the fingerprint of the key that o was made of, for a new record, "" where it shows none.
func printOf(ctx context.Context, o *kmip.Object) (string, error) {
	k := tokenKey(o)
	if k == nil {
		return "", nil
	}
	print, err := k.first.fingerprint(k.slot.asking(ctx, k.first))
	if errors.Is(err, errMoved) {
		return "", kmip.ErrConflict // who opens it again has it as it is now
	}
	return print, nil
}
