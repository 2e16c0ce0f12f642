package hsm

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Locate lists the keys that match, newest first; those without a date, which other tools made, come last. Who asks sees the
// keys of slots that he administers, and those that he was granted something on. A token that is away hides its keys, and the
// log says so.
func (h *HSM) Locate(ctx context.Context, q *kmip.Search) ([]kmip.Located, error) {
	if q.Storage != 0 && q.Storage&kmip.StorageStatusMaskOnLineStorage == 0 || q.Group == kmip.ObjectGroupMemberGroupMemberDefault {
		return nil, nil
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
			shown, err := h.show(ctx, s, o)
			if err != nil {
				return nil, err
			}
			if sees(shown, q.Identity) && inGroup(shown, q.Group) && matches(shown, q.Attributes, now) {
				date, _ := kmip.Get[time.Time](shown.Attributes, ttlv.TagInitialDate)
				found = append(found, kmip.Located{UniqueIdentifier: shown.UniqueIdentifier, InitialDate: date})
			}
		}
	}
	slices.SortFunc(found, func(a, b kmip.Located) int {
		return cmp.Or(b.InitialDate.Compare(a.InitialDate), cmp.Compare(a.UniqueIdentifier, b.UniqueIdentifier))
	})
	if q.Most > 0 && len(found) > q.Most {
		found = found[:q.Most]
	}
	return found, nil
}

// Owned lists the keys that an identity owns: all of those of the slots that it administers.
func (h *HSM) Owned(ctx context.Context, identity string) ([]string, error) {
	var owned []string
	for _, number := range h.Slots() {
		s := h.slots[number]
		if !slices.Contains(s.Admins, identity) && !slices.Contains(s.Admins, "*") {
			continue
		}
		objects, err := s.listed(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			owned = append(owned, s.identifier(o.name))
		}
	}
	return owned, nil
}

// sees says whether an identity owns an object or holds any grant on it.
func sees(o *kmip.Object, identity string) bool {
	if slices.Contains(o.Owners, identity) || slices.Contains(o.Owners, "*") {
		return true
	}
	return slices.ContainsFunc(o.Grants, func(g kmip.Grant) bool { return g.Grantee == identity || g.Grantee == "*" })
}

// inGroup says whether an object is the member of a group that is asked for. KMIP 2.1 §11.33.
func inGroup(o *kmip.Object, g kmip.ObjectGroupMember) bool {
	fresh, _ := kmip.Get[bool](o.Attributes, ttlv.TagFresh)
	return g == 0 || fresh
}

// matches says whether an object has all that a search asks for. KMIP 2.1 §6.1.28: a usage mask is at least the one asked
// for; two dates of one kind are a range; of a structure only the fields that are given count; every other attribute has
// an instance that equals the one asked for.
func matches(o *kmip.Object, wanted kmip.Attributes, now time.Time) bool {
	for _, want := range wanted {
		var good bool
		switch v := want.Value.(type) {
		case time.Time:
			good = inRange(o.Attributes, wanted, want)
		case kmip.State:
			good = o.State(now) == v
		case kmip.CryptographicUsageMask:
			good = o.Attributes.UsageMask()&v == v
		default:
			good = slices.ContainsFunc(o.Attributes, func(have kmip.Attribute) bool {
				return have.Equal(want) || have.Is(want) && partly(have.Value, want.Value)
			})
		}
		if !good {
			return false
		}
	}
	return true
}

// inRange says whether a date lies between the first and the last of that kind that are wanted.
func inRange(have, wanted kmip.Attributes, want kmip.Attribute) bool {
	var dates []time.Time
	for _, x := range wanted {
		if date, ok := x.Value.(time.Time); ok && x.Is(want) {
			dates = append(dates, date)
		}
	}
	from, to := slices.MinFunc(dates, time.Time.Compare).Unix(), slices.MaxFunc(dates, time.Time.Compare).Unix()
	return slices.ContainsFunc(have, func(x kmip.Attribute) bool {
		date, ok := x.Value.(time.Time)
		return ok && x.Is(want) && from <= date.Unix() && date.Unix() <= to
	})
}

// partly says whether a structure has the fields of another that are set.
func partly(have, want any) bool {
	h, w := reflect.ValueOf(have), reflect.ValueOf(want)
	if w.Kind() != reflect.Struct || h.Type() != w.Type() {
		return false
	}
	for i := range w.NumField() {
		if f := w.Field(i); !f.IsZero() && !reflect.DeepEqual(f.Interface(), h.Field(i).Interface()) {
			return false
		}
	}
	return true
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
	if err := c.slot.contents.enter(ctx); err != nil {
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
		for _, h := range handles {
			o := known[h]
			if o == nil || o.class != class || o.gone.Load() || old(o.seen.Load(), listedAge) {
				if o, err = c.describe(s, h); err != nil {
					return nil, c.disturbed(s, err)
				}
			}
			byName[o.name] = append(byName[o.name], o)
		}
	}
	if len(byName) == 0 {
		if err := c.alive(s); err != nil {
			return nil, err
		}
	}
	return c.catalogue(byName, changes), nil
}

// catalogue keeps a list, if nothing changed while it was made. Names that several keys share are left out: no operation on
// them can mean one.
func (c *connection) catalogue(byName map[string][]*object, changes uint64) []*object {
	delete(byName, "")
	all := make([]*object, 0, len(byName))
	for name, objects := range byName {
		if len(objects) > 1 {
			c.slot.log.Warn("several keys in a token share a name", "slot", c.slot.Number, "name", name, "keys", len(objects))
			continue
		}
		all = append(all, objects[0])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes || c.objects == nil {
		return all
	}
	for _, o := range all {
		if c.objects[o.name] == nil {
			c.objects[o.name] = o
		}
	}
	c.catalog, c.listed = all, time.Now()
	return all
}
