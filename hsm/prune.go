package hsm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// This file compares what the database keeps of a token's keys with what is in the token, and forgets what is kept of keys that other
// tools destroyed.

// A Left is what the database keeps of a key: of Prune, one that is not in its token any more.
type Left struct {
	UniqueIdentifier string   `json:"unique_identifier"`
	Bits             int32    `json:"bits"`
	Names            []string `json:"names"`
	Grants           int      `json:"grants"`
	Fingerprint      string   `json:"fingerprint,omitempty"` // "" where it is kept for the name alone
	Another          bool     `json:"another,omitempty"`     // its name is that of another key by now
	Forgotten        bool     `json:"forgotten"`

	here bool // the key is in the token
}

// Prune forgets what the database keeps of keys that are not in a slot's token, though others may be under their names: names, dates,
// grants. It does not when the token is away, is another one than before, or has none of the keys; even says that it may in the last
// case, and otherToken that the token is another one on purpose.
func (h *HSM) Prune(ctx context.Context, number uint32, dry, even, otherToken bool) ([]Left, error) {
	s := h.slots[number]
	if s == nil {
		return nil, h.unknown(number)
	}
	known, err := h.met(ctx, s)
	if err != nil {
		return nil, err
	}
	all, err := h.inventory(ctx, s, otherToken, true)
	if err != nil {
		return nil, err
	}
	left, present, err := h.left(ctx, s, all)
	if err != nil || len(left) == 0 {
		return left, err
	}
	if !dry && present == 0 && !even {
		what := fmt.Sprintf("none of the %d keys that something is stored of is in the token", len(left))
		if known == (meeting{}) {
			what += ", and it is not known which token they were in"
		}
		return nil, fmt.Errorf("slot %d: %s. If they are gone for good, say so with --even-all", s.Number, what)
	}
	if dry {
		return left, nil
	}
	if err := h.remember(ctx, s); err != nil {
		return nil, err
	}
	for i := range left {
		there, err := h.has(ctx, s, strings.TrimPrefix(left[i].UniqueIdentifier, s.identifier("")))
		if err != nil {
			return left, err
		}
		if there { // it came meanwhile
			continue
		}
		if err := h.records.DropRecord(ctx, left[i].UniqueIdentifier); err != nil {
			return left, fmt.Errorf("forgetting %q: %w", left[i].UniqueIdentifier, err)
		}
		left[i].Forgotten = true
		h.log.Info("what was stored of a key that left its token is forgotten", "uid", left[i].UniqueIdentifier, "grants", left[i].Grants)
	}
	return left, nil
}

// has asks the token whether it has the key that something is stored of under a name, whatever is remembered.
func (h *HSM) has(ctx context.Context, s *slot, name string) (there bool, err error) {
	var found []*object
	err = s.do(ctx, func(c *connection, ss session) error {
		if err := s.look(ctx); err != nil {
			return err
		}
		defer s.contents.leave()
		found, err = c.matches(ss, name)
		if err == nil && len(found) != 1 {
			err = c.alive(ss)
		}
		return err
	})
	if err != nil || len(found) != 1 {
		return false, s.tell(err)
	}
	r, err := h.record(ctx, s.identifier(name))
	if err != nil {
		return false, err
	}
	if err = h.fits(ctx, s, found[0], &r); another(err) {
		return false, nil
	}
	return true, err
}

// remember notes the token that a slot is connected to.
func (h *HSM) remember(ctx context.Context, s *slot) error {
	c, err := s.connection(ctx)
	if err != nil {
		return err
	}
	return h.meet(ctx, s, c.token)
}

// left lists the records of keys that are not among those in the token, and counts the records of those that are.
func (h *HSM) left(ctx context.Context, s *slot, all []*object) (left []Left, present int, err error) {
	stored, err := h.stored(ctx, s, all)
	for _, l := range stored {
		if l.here {
			present++
			continue
		}
		l.Fingerprint = ""
		left = append(left, l)
	}
	return left, present, err
}

// stored lists what is stored of a slot's keys, each of which is compared with those in the token.
func (h *HSM) stored(ctx context.Context, s *slot, all []*object) ([]Left, error) {
	uids, err := h.records.Recorded(ctx, s.identifier(""))
	if err != nil {
		return nil, err
	}
	uids = slices.DeleteFunc(uids, func(uid string) bool { return uid == s.identifier("") })
	objects := map[string]*object{}
	for _, o := range all {
		objects[s.identifier(o.name)] = o
	}
	list := make([]Left, len(uids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, uid := range uids {
		group.Go(func() error {
			r, err := h.record(ctx, uid)
			if err != nil {
				return err
			}
			l := Left{UniqueIdentifier: uid, Bits: r.Attributes.Length(), Names: []string{}, Grants: len(r.Grants), Fingerprint: r.Fingerprint}
			for _, n := range kmip.All[kmip.Name](r.Attributes, ttlv.TagName) {
				l.Names = append(l.Names, n.NameValue)
			}
			if o := objects[uid]; o != nil { // a doubt is no proof that it is another key
				l.Another = another(h.fits(ctx, s, o, &r))
				l.here, l.Fingerprint = !l.Another, r.Fingerprint
			}
			list[i] = l
			return nil
		})
	}
	return list, group.Wait()
}

// Recorded lists the identifiers of a slot of which the database keeps something, and says which of them other keys have by now, as far
// as the token tells.
func (h *HSM) Recorded(ctx context.Context, number uint32) ([]Left, error) {
	s := h.slots[number]
	if s == nil {
		return nil, h.unknown(number)
	}
	all, err := h.inventory(ctx, s, true, true)
	if err != nil {
		h.log.Warn("what is stored of a slot's keys is not compared with its token", "slot", s.Number, "error", err)
	}
	return h.stored(ctx, s, all)
}

// compare looks once, in the background, whether what the database keeps of a slot fits its token, and says in the log what does not.
func (h *HSM) compare(ctx context.Context, s *slot) {
	uids, err := h.records.Recorded(ctx, s.identifier(""))
	if err != nil || len(uids) == 0 {
		return
	}
	before, err := h.met(ctx, s)
	if err != nil {
		return
	}
	all, err := h.inventory(ctx, s, false, true)
	if err != nil {
		if ctx.Err() == nil {
			h.log.Warn("what is stored of a slot's keys is not compared with its token", "slot", s.Number, "error", err)
		}
		return
	}
	stored, err := h.stored(ctx, s, all)
	if err != nil {
		return
	}
	present, left := 0, 0
	for _, l := range stored {
		switch {
		case l.here:
			present++
			continue
		case !l.Another && left < 10:
			h.log.Warn("a key is not in its token any more", "uid", l.UniqueIdentifier, "grants", l.Grants)
		}
		left++
	}
	if left > 0 {
		h.log.Warn("something is stored of keys that are not in their token: see strongroomd hsm keys, hsm prune", "slot", s.Number, "keys", left)
	}
	if strange := unrecorded(s, all, uids); len(strange) > 0 {
		h.log.Info("nothing is stored of keys in the token: other tools or operators made them, or requests that were cut off; see strongroomd hsm keys, hsm adopt",
			"slot", s.Number, "keys", len(strange), "some", strange[:min(len(strange), 10)])
	}
	if before == (meeting{}) && present > 0 {
		_ = h.remember(ctx, s) // noted at the next occasion otherwise
	}
}

// unrecorded lists the identifiers of keys that are in a token and not among those of which something is stored.
func unrecorded(s *slot, all []*object, uids []string) (strange []string) {
	stored := map[string]bool{}
	for _, uid := range uids {
		stored[uid] = true
	}
	for _, o := range all {
		if uid := s.identifier(o.name); o.name != "" && !stored[uid] {
			strange = append(strange, uid)
		}
	}
	return strange
}
