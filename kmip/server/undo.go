package server

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// undoing is a backend in a batch whose Batch Error Continuation Option is Undo (KMIP 2.1 §9.6): it notes how each change is
// taken back, and keeps what cannot be for the end.
type undoing struct {
	kmip.Backend
	request *Request
}

// undoable is the backend for an operation of this request.
func (r *Request) undoable(b kmip.Backend) kmip.Backend {
	if !r.undoes() {
		return b
	}
	return undoing{b, r}
}

// undoes says whether a failure takes back what was done before it.
func (r *Request) undoes() bool {
	return r.header.BatchErrorContinuationOption == kmip.BatchErrorContinuationOptionUndo && len(r.items) > 1
}

// onUndo notes how a change is taken back.
func (r *Request) onUndo(back func(context.Context) error) { r.undos = append(r.undos, back) }

// Generate makes a key that is destroyed again.
func (u undoing) Generate(ctx context.Context, o *kmip.Object) error {
	return u.made(u.Backend.Generate(ctx, o), o)
}

// GeneratePair makes two.
func (u undoing) GeneratePair(ctx context.Context, private, public *kmip.Object) error {
	return u.made(u.Backend.GeneratePair(ctx, private, public), private, public)
}

// Register keeps an object that is destroyed again.
func (u undoing) Register(ctx context.Context, o *kmip.Object, v *kmip.Value) error {
	return u.made(u.Backend.Register(ctx, o, v), o)
}

func (u undoing) made(err error, objects ...*kmip.Object) error {
	if err != nil {
		return err
	}
	for _, o := range objects {
		u.request.onUndo(func(ctx context.Context) error { return unmake(ctx, u.Backend, o.UniqueIdentifier) })
	}
	return nil
}

// unmake destroys an object that a request made. Its identifier is not used again.
func unmake(ctx context.Context, b kmip.Backend, uid string) error {
	o, err := b.Object(ctx, uid)
	if err != nil {
		return err
	}
	gone := o.Clone()
	gone.Attributes = gone.Attributes.With(ttlv.TagState, kmip.StateDestroyed).With(ttlv.TagDestroyDate, time.Now())
	return b.Destroy(ctx, gone)
}

// Update changes attributes that are put back.
func (u undoing) Update(ctx context.Context, o *kmip.Object) error {
	return u.changed(ctx, o, u.Backend.Update, func(back, before *kmip.Object) { back.Attributes = before.Attributes })
}

// SetGrants changes grants that are put back.
func (u undoing) SetGrants(ctx context.Context, o *kmip.Object) error {
	return u.changed(ctx, o, u.Backend.SetGrants, func(back, before *kmip.Object) { back.Grants = before.Grants })
}

// changed makes a change and notes how it is taken back: as long as nobody else has changed the object since, for what
// another did (revoke it, count it down) must not be undone with it.
func (u undoing) changed(ctx context.Context, o *kmip.Object, write func(context.Context, *kmip.Object) error, restore func(back, before *kmip.Object)) error {
	r, uid := u.request, o.UniqueIdentifier
	before, err := u.Backend.Object(ctx, uid)
	if err != nil {
		return err
	}
	if err := write(ctx, o); err != nil {
		return err
	}
	if r.revisions == nil {
		r.revisions = make(map[string]int64)
	}
	if last, ok := r.revisions[uid]; ok && last != before.Revision {
		r.revisions[uid] = overtaken
	} else {
		r.revisions[uid] = o.Revision
	}
	r.onUndo(func(ctx context.Context) error {
		now, err := u.Backend.Object(ctx, uid)
		if err != nil {
			return err
		}
		if now.Revision != r.revisions[uid] {
			return fmt.Errorf("restoring %q: %w", uid, kmip.ErrConflict)
		}
		back := now.Clone()
		restore(back, before)
		if err := write(ctx, back); err != nil {
			return err
		}
		r.revisions[uid] = back.Revision
		return nil
	})
	return nil
}

// overtaken is the revision of an object that another request changed between two changes of a batch: no object has it.
const overtaken = -1

// Destroy marks an object as destroyed, which is put back. Its material goes at the end of a batch that nothing undid.
func (u undoing) Destroy(ctx context.Context, o *kmip.Object) error {
	if err := u.Update(ctx, o); err != nil {
		return err
	}
	u.request.ends = append(u.request.ends, func(ctx context.Context) error {
		now, err := u.Backend.Object(ctx, o.UniqueIdentifier)
		if err != nil {
			return err
		}
		return u.Backend.Destroy(ctx, now.Clone())
	})
	return nil
}

// finish does what waited for the end of a batch that nothing undid.
func (r *Request) finish() error {
	ctx, cancel := context.WithTimeout(r.conn.ctx, r.server.Limits.OperationTimeout)
	defer cancel()
	for _, end := range r.ends {
		if err := end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// takeBack undoes what the items before the failed one did, the last first, and makes of their answers Operation Undone, or a
// failure where that could not be.
func (r *Request) takeBack() {
	ctx, cancel := context.WithTimeout(r.conn.ctx, r.server.Limits.OperationTimeout)
	defer cancel()
	failed := false
	for i := len(r.undos) - 1; i >= 0; i-- {
		if err := r.undos[i](ctx); err != nil {
			failed = true
			r.server.Log.Error("a batch could not be undone", "request", r.number, "identity", r.identity, "err", err)
		}
	}
	r.undos = nil
	if failed {
		r.encoder.Reset(r.encoder.Bytes()[:r.batch.first], r.version)
		r.batch.answers, r.batch.of = 0, nil
	}
	for _, p := range r.batch.done {
		k := call{operation: p.operation, uid: cmp.Or(p.made, p.uid)}
		if failed {
			err := kmip.Errorf(kmip.ResultReasonGeneralFailure, "the operation could not be undone")
			r.refuseItem(p.item, err)
			r.record(&k, time.Now(), err)
			continue
		}
		binary.BigEndian.PutUint32(r.encoder.Bytes()[p.status:], uint32(kmip.ResultStatusOperationUndone))
		r.recordUndone(&k)
	}
}

// recordUndone queues the audit line of an operation that was taken back.
func (r *Request) recordUndone(k *call) {
	r.server.tallies.undone.Add(1)
	r.audit.Write(&Event{
		Time: r.now, Request: r.number, Identity: r.conn.identity, For: r.delegator(), Fingerprint: r.fingerprint,
		Operation: k.operation, UniqueIdentifier: k.uid, Correlation: r.header.ClientCorrelationValue, Result: kmip.ResultStatusOperationUndone,
	})
}
