package server

import (
	"context"
	"log/slog"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// successor notes on the attributes of a replacement how many there were before it, and that it is the latest. KMIP 2.1 §4.50, §4.52.
func successor(a, old kmip.Attributes) kmip.Attributes {
	generation, _ := kmip.Get[int32](old, ttlv.TagRotateGeneration)
	return a.With(ttlv.TagRotateGeneration, generation+1).With(ttlv.TagRotateLatest, true)
}

// rotated notes on the attributes of an object that it was replaced, and when. KMIP 2.1 §4.49, §4.50, §4.52.
func rotated(a kmip.Attributes, now time.Time) kmip.Attributes {
	if !a.Contains(ttlv.TagRotateGeneration) {
		a = a.With(ttlv.TagRotateGeneration, int32(0))
	}
	return a.With(ttlv.TagRotateDate, now).With(ttlv.TagRotateLatest, false)
}

// unrotated takes back what rotated noted, of attributes that were as before.
func unrotated(a, before kmip.Attributes) kmip.Attributes {
	for _, tag := range []ttlv.Tag{ttlv.TagRotateGeneration, ttlv.TagRotateDate, ttlv.TagRotateLatest} {
		a = a.Without(tag)
		for _, x := range before {
			if x.Tag == tag {
				a = append(a, x)
			}
		}
	}
	return a
}

// rotatable refuses Rotate Automatic of what the server cannot rotate: a key in a token, for nobody would name its replacement, and
// what is not made by a Re-key.
func rotatable(o *kmip.Object) error {
	if automatic, _ := kmip.Get[bool](o.Attributes, ttlv.TagRotateAutomatic); !automatic {
		return nil
	}
	if _, _, token, _ := kmip.HSMKey(o.UniqueIdentifier); token {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "a key in a token is not rotated by the server: its replacement needs a name that only a client can give")
	}
	switch t := o.ObjectType(); t {
	case kmip.ObjectTypeSymmetricKey, kmip.ObjectTypePrivateKey, kmip.ObjectTypePublicKey, kmip.ObjectTypeTemplate:
		return nil
	default:
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "a %v is not rotated by the server", t)
	}
}

// A rotator rotates keys when they are due, each by the Re-key that its owner would ask for, through the same door and into the same
// audit. KMIP 2.1 §4.48.
type rotator struct {
	server *Server
	cancel context.CancelFunc
	done   chan struct{}
	later  map[string]time.Time // keys that could not be rotated, and when to try again
}

const (
	mostDue    = 1000 // keys rotated in one turn
	retryAfter = 10 * time.Minute
)

// startRotator begins to look for keys that are due.
func (s *Server) startRotator() *rotator {
	ctx, cancel := context.WithCancel(context.Background())
	t := &rotator{server: s, cancel: cancel, done: make(chan struct{}), later: map[string]time.Time{}}
	go t.run(ctx)
	return t
}

// end stops after the key at hand.
func (t *rotator) end() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}

func (t *rotator) run(ctx context.Context) {
	defer close(t.done)
	tick := time.NewTicker(t.server.Limits.RotateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if t.server.sealed() == nil {
				t.turn(ctx)
			}
		}
	}
}

// turn rotates what is due.
func (t *rotator) turn(ctx context.Context) {
	now := time.Now()
	for uid, when := range t.later {
		if now.After(when) {
			delete(t.later, uid)
		}
	}
	due, err := t.server.Rotation.Due(ctx, now, mostDue+len(t.later))
	if err != nil {
		t.server.Log.Error("keys that are due are not rotated", "err", err)
		return
	}
	for _, uid := range due {
		if _, waits := t.later[uid]; waits || ctx.Err() != nil {
			continue
		}
		if err := t.rotate(uid, now); err != nil {
			t.later[uid] = now.Add(retryAfter)
			t.server.Log.Error("a key that is due is not rotated", "uid", uid, "again", retryAfter.String(), "err", err)
		}
	}
}

// rotate rotates one key, as its owner.
func (t *rotator) rotate(uid string, now time.Time) error {
	s := t.server
	ctx, cancel := context.WithTimeout(context.Background(), s.Limits.OperationTimeout)
	defer cancel()
	o, err := s.Store.Object(ctx, uid)
	if err != nil {
		return err
	}
	if due, ok := o.Attributes.RotationDue(); !ok || now.Before(due) || len(o.Owners) == 0 {
		return nil // it was rotated, or changed, since
	}
	c := &conn{server: s, identity: o.Owners[0], ctx: ctx, audit: s.Audit.Stream()}
	defer c.audit.Close()
	op, q := rekeyOf(o)
	r := &Request{conn: c, ctx: ctx, identity: c.identity, number: s.requests.Add(1), now: now, began: now, version: ttlv.V2_1}
	r.current = call{operation: op}
	_, err = s.lookup(op).run(r, &r.current, q)
	r.record(&r.current, now, err)
	s.tallies.rotate(err)
	if err == nil {
		s.Log.Info("a key was rotated", slog.String("uid", uid), slog.String("replacement", r.placeholder))
	}
	return err
}

// rekeyOf is the request by which a key is rotated, with its Rotate Offset (KMIP 2.1 §4.54).
func rekeyOf(o *kmip.Object) (kmip.Operation, any) {
	uid := kmip.UniqueIdentifier(o.UniqueIdentifier)
	var offset *ttlv.Interval
	if n, ok := kmip.Get[ttlv.Interval](o.Attributes, ttlv.TagRotateOffset); ok {
		offset = &n
	}
	if o.ObjectType() == kmip.ObjectTypePrivateKey {
		return kmip.OperationReKeyKeyPair, &kmip.ReKeyKeyPairRequest{PrivateKeyUniqueIdentifier: uid, Offset: offset}
	}
	return kmip.OperationReKey, &kmip.ReKeyRequest{UniqueIdentifier: uid, Offset: offset}
}
