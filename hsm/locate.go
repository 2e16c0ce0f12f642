package hsm

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Locate lists the keys that match, newest first; those without a date, which other tools made, come last. Who asks sees those
// that he was granted something on, an administrator all. A token that is away hides its keys, and the
// log says so.
func (h *HSM) Locate(ctx context.Context, q *kmip.Search) (*kmip.Found, error) {
	const kept = kmip.StorageStatusMaskOnLineStorage | kmip.StorageStatusMaskArchivalStorage // nothing stays of a destroyed key
	if q.Storage != 0 && q.Storage&kept == 0 {
		return new(kmip.Found), nil
	}
	now := time.Now()
	var found []kmip.Located
	for _, number := range h.Slots() {
		s := h.slots[number]
		objects, err := s.listed(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			h.log.Warn("keys of a slot are not searched", "slot", number, "error", err)
			continue
		}
		for _, o := range objects {
			r, err := h.record(ctx, s.identifier(o.name))
			if err != nil {
				return nil, err
			}
			shown, err := h.show(ctx, s, o, r)
			if err != nil {
				if !another(err) && !errors.Is(err, errMoved) { // which the log has, or which is gone
					h.log.Warn("a key is not searched", "uid", s.identifier(o.name), "error", err)
				}
				continue
			}
			if sees(q, number, shown) && shown.Attributes.InStorage(q.Storage) && shown.Matches(q.Attributes, now) && q.Admits(shown) {
				date, _ := kmip.Get[time.Time](shown.Attributes, ttlv.TagInitialDate)
				found = append(found, kmip.Located{UniqueIdentifier: shown.UniqueIdentifier, InitialDate: date})
			}
		}
	}
	slices.SortFunc(found, func(a, b kmip.Located) int {
		return cmp.Or(b.InitialDate.Compare(a.InitialDate), cmp.Compare(a.UniqueIdentifier, b.UniqueIdentifier))
	})
	total := len(found)
	found = found[min(q.Offset, total):]
	if q.Most > 0 && len(found) > q.Most {
		found = found[:q.Most]
	}
	return &kmip.Found{Objects: found, Total: total}, nil
}

// sees says whether who searches may use an object in some way: as an administrator, or by any grant.
func sees(q *kmip.Search, slot uint32, o *kmip.Object) bool {
	return q.Administers(slot) || slices.ContainsFunc(o.Grants, func(g kmip.Grant) bool { return g.Grantee == q.Identity || g.Grantee == "*" })
}

// The most keys that are listed of one token, and how long a description is used again in a list.
const (
	mostListed = 1 << 20
	listedAge  = time.Minute
)

// listed are all keys of the slot that have a name of their own: as they were at most a second ago, our own changes at once.
func (s *slot) listed(ctx context.Context) (all []*object, err error) {
	if c := s.conn.Load(); c != nil && c.current() {
		c.mu.Lock()
		catalog, fresh := c.catalog, time.Since(c.listed) < freshness
		c.mu.Unlock()
		if catalog != nil && fresh {
			return catalog, nil
		}
	}
	err = s.do(ctx, func(c *connection, ss session) error {
		all, err = c.survey(ctx, ss)
		return err
	})
	return all, s.tell(err)
}

// survey lists the keys of the token and reads those that it does not know.
func (c *connection) survey(ctx context.Context, s session) ([]*object, error) {
	if err := c.slot.look(ctx); err != nil {
		return nil, err
	}
	defer c.slot.contents.leave()
	c.mu.Lock()
	changes, known := c.changes, map[handle]*object{}
	for _, o := range c.objects {
		known[o.handle] = o
	}
	c.mu.Unlock()

	byName := map[string][]*object{}
	for _, class := range []uint{pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
		handles, err := c.list(s, template{{pkcs11.CKA_CLASS, number(class)}}, mostListed)
		if err != nil {
			return nil, err
		}
		var unread []handle
		for _, h := range handles {
			if o := known[h]; o != nil && o.class == class && !o.gone.Load() && !old(o.seen.Load(), listedAge) {
				byName[o.plain] = append(byName[o.plain], o)
			} else {
				unread = append(unread, h)
			}
		}
		read, err := c.read(s, unread)
		if err != nil {
			return nil, err
		}
		for _, o := range read {
			if last := known[o.handle]; last != nil && !c.proof.reuses && o.same(last) {
				o.print.Store(last.print.Load())
				o.refused.Store(last.refused.Load())
			}
			byName[o.plain] = append(byName[o.plain], o)
		}
	}
	if len(byName) == 0 {
		if err := c.alive(s); err != nil {
			return nil, err
		}
	}
	return c.catalogue(byName, changes), nil
}
