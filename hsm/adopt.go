package hsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/pkcs11"
	"golang.org/x/sync/errgroup"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// This file adopts keys that other tools made: what the database keeps of keys, it keeps of them, too.

// An Adoption says which keys of a slot are to be adopted.
type Adoption struct {
	Labels []string // their names, or whole identifiers; the public half of a private key goes with it
	All    bool     // every key that has a name
	Names  []string // KMIP names, for one key or pair
	Tags   []string // words to find them by
	DryRun bool     // tell, and change nothing
	Token  bool     // the token is another one than before, on purpose: it holds the keys of that one

	// What to do with a key that is not shown to be the one that something is stored of. Neither: to say so.
	Replace bool // it is a new key: what is stored of the one before is forgotten, its grants with it
	SameKey bool // it is that key all the same: what is stored stays, and is bound to it
}

// An Adopted is what became of one key.
type Adopted struct {
	UniqueIdentifier string   `json:"unique_identifier"`
	Class            string   `json:"class"`
	Type             string   `json:"type"`
	Bits             int32    `json:"bits"`
	Usage            []string `json:"usage"`
	Names            []string `json:"names"`
	Tags             []string `json:"tags"`
	Result           string   `json:"result"` // adopted, changed or unchanged; replaced or kept, as the Adoption says; or "another key"
}

// Results of an adoption that concern what was stored before.
const (
	ResultAnother  = "another key" // than the one that something is stored of; nothing was done
	ResultReplaced = "replaced"    // in the token: what was stored is forgotten
	ResultKept     = "kept"        // what was stored, and bound to this key
)

// Adopt gives keys that other tools made what the database keeps of keys: dates, a state, a usage mask as the token's flags
// allow, links between the halves of a pair, names and tags. What a key has already stays, so that it may be done again.
func (h *HSM) Adopt(ctx context.Context, number uint32, a Adoption) ([]Adopted, error) {
	s := h.slots[number]
	if s == nil {
		return nil, h.unknown(number)
	}
	all, err := h.inventory(ctx, s, a.Token, a.DryRun)
	if err != nil {
		return nil, err
	}
	chosen, err := a.choose(s, all)
	if err != nil {
		return nil, err
	}
	list := make([]Adopted, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64) // the database writes many at once as quickly as one
	for i, o := range chosen {
		group.Go(func() (err error) {
			list[i], err = h.adopt(ctx, s, o, otherHalf(o, all), &a)
			return err
		})
	}
	return list, group.Wait()
}

// inventory lists the keys of a slot's token, which is the one that the records were kept for.
func (h *HSM) inventory(ctx context.Context, s *slot, another, dry bool) (all []*object, err error) {
	var token tokenInfo
	err = s.do(ctx, func(c *connection, ss session) error {
		token = c.token
		all, err = c.survey(ctx, ss)
		return err
	})
	if err != nil {
		return nil, s.tell(err)
	}
	before, err := h.met(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case before.same(token):
	case before != (meeting{}) && !another:
		return nil, fmt.Errorf("slot %d: another token is in it: label %q, serial %q; what is stored was kept for label %q, serial %q. If that one was restored to this one, say so with --new-token",
			s.Number, token.Label, token.Serial, before.label, before.serial)
	case !dry:
		if err := h.meet(ctx, s, token); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b *object) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

// choose lists the keys that are to be adopted, each once.
func (a *Adoption) choose(s *slot, all []*object) (chosen []*object, err error) {
	if a.All == (len(a.Labels) > 0) {
		return nil, errors.New("say which keys: labels, or all")
	}
	if a.All {
		chosen = all
	}
	var errs []error
	for _, label := range a.Labels {
		name := label
		if number, rest, ok, err := kmip.HSMKey(label); err == nil && ok && number == s.Number {
			name = rest
		}
		at := slices.IndexFunc(all, func(o *object) bool { return o.name == name })
		if at < 0 {
			errs = append(errs, missing(s, all, label, name))
			continue
		}
		for _, o := range []*object{all[at], otherHalf(all[at], all)} {
			if o != nil && (o == all[at] || o.class == pkcs11.CKO_PUBLIC_KEY) && !slices.Contains(chosen, o) {
				chosen = append(chosen, o)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if one := len(chosen) == 1 || len(chosen) == 2 && otherHalf(chosen[0], all) == chosen[1]; len(a.Names) > 0 && !one {
		return nil, fmt.Errorf("a name is for one key or pair, and there are %d keys", len(chosen))
	}
	return chosen, nil
}

// missing says why no key has a name.
func missing(s *slot, all []*object, label, name string) error {
	var shared []string
	for _, o := range all {
		if o.plain == name {
			shared = append(shared, s.identifier(o.name))
		}
	}
	if len(shared) > 0 {
		return fmt.Errorf("%q: several keys share it: %q", label, shared)
	}
	return fmt.Errorf("%q: there is no such key in slot %d, or nothing tells it from another", label, s.Number)
}

// otherHalf is the other half of a pair, nil for none: the only key of the other class with the same CKA_ID that can be it.
func otherHalf(o *object, all []*object) (half *object) {
	if o.id == "" || o.class == pkcs11.CKO_SECRET_KEY {
		return nil
	}
	for _, p := range all {
		if p.class == o.class || p.class == pkcs11.CKO_SECRET_KEY || p.kind != o.kind || p.bits != o.bits || p.id != o.id ||
			o.public != nil && p.public != nil && !publicEqual(o.public, p.public) {
			continue
		}
		if half != nil {
			return nil
		}
		half = p
	}
	return half
}

// adopt completes the record of one key, which a client may change at the same time.
func (h *HSM) adopt(ctx context.Context, s *slot, o, half *object, a *Adoption) (done Adopted, err error) {
	for range 8 {
		if done, err = h.adoptOnce(ctx, s, o, half, a); !errors.Is(err, kmip.ErrConflict) {
			break
		}
	}
	return done, err
}

// resolve has the adoption decide of a key that is not shown to be the one that a record is of: it changes the record, or says in the
// result that it is another key.
func (h *HSM) resolve(ctx context.Context, s *slot, o *object, r *kmip.Record, a *Adoption) (result string, err error) {
	err = h.fits(ctx, s, o, r)
	switch differs := another(err); {
	case err != nil && !differs:
		return "", err
	case differs && a.SameKey:
		r.Fingerprint = ""
		return ResultKept, nil
	case a.Replace && (differs || !a.All && r.Revision > 0 && r.Fingerprint == "" && o.silent(s.asking(ctx, o))):
		*r = kmip.Record{Revision: r.Revision}
		return ResultReplaced, nil
	case differs:
		return ResultAnother, nil
	}
	return "", nil
}

func (h *HSM) adoptOnce(ctx context.Context, s *slot, o, half *object, a *Adoption) (Adopted, error) {
	uid, info := s.identifier(o.name), o.info()
	done := Adopted{UniqueIdentifier: uid, Class: info.Class, Type: info.Type, Bits: info.Bits, Usage: info.Usage, Names: []string{}, Tags: []string{}, Result: "unchanged"}
	r, err := h.record(ctx, uid)
	if err != nil {
		return done, err
	}
	grants := len(r.Grants)
	resolved, err := h.resolve(ctx, s, o, &r, a)
	if err != nil || resolved == ResultAnother {
		done.Result = ResultAnother
		return done, err
	}
	full := o.attributes(uid, &r)
	wanted := adopted(full, time.Now())
	if len(wanted) > len(full) {
		done.Result = "adopted"
	}
	if half != nil {
		t := kmip.LinkTypePublicKeyLink
		if o.class == pkcs11.CKO_PUBLIC_KEY {
			t = kmip.LinkTypePrivateKeyLink
		}
		wanted = once(wanted, kmip.Attribute{Tag: ttlv.TagLink, Value: kmip.Link{LinkType: t, LinkedObjectIdentifier: kmip.UniqueIdentifier(s.identifier(half.name))}})
	}
	for _, n := range a.Names {
		wanted = once(wanted, kmip.Attribute{Tag: ttlv.TagName, Value: kmip.Name{NameValue: n, NameType: kmip.NameTypeUninterpretedTextString}})
	}
	for _, t := range a.Tags {
		wanted = once(wanted, kmip.Attribute{Tag: ttlv.TagAttribute, Vendor: kmip.VendorClient, Name: kmip.AttributeTag, Value: t})
	}
	for _, x := range wanted {
		switch v := x.Value.(type) {
		case kmip.Name:
			done.Names = append(done.Names, v.NameValue)
		case string:
			if x.Tag == ttlv.TagAttribute && x.Vendor == kmip.VendorClient && x.Name == kmip.AttributeTag {
				done.Tags = append(done.Tags, v)
			}
		}
	}
	switch {
	case resolved != "":
		done.Result = resolved
	case len(wanted) == len(full):
		return done, nil
	case done.Result == "unchanged":
		done.Result = "changed"
		wanted = wanted.With(ttlv.TagLastChangeDate, time.Now())
	}
	if a.DryRun {
		return done, nil
	}
	if r.Fingerprint == "" {
		if r.Fingerprint, err = o.fingerprint(s.asking(ctx, o)); err != nil {
			return done, s.tell(err)
		}
	}
	r.Attributes = recorded(wanted)
	if err := h.records.PutRecord(ctx, uid, &r); err != nil {
		return done, fmt.Errorf("adopting %q: %w", uid, err)
	}
	if resolved == ResultReplaced {
		h.log.Info("what was stored of a key that was replaced in its token is forgotten", "uid", uid, "grants", grants)
	}
	return done, nil
}

// adopted completes attributes with the dates that a key of ours has. Its usage mask and state were made of the token's flags.
func adopted(a kmip.Attributes, now time.Time) kmip.Attributes {
	for _, tag := range []ttlv.Tag{ttlv.TagInitialDate, ttlv.TagLastChangeDate} {
		if !a.Contains(tag) {
			a = a.Plus(tag, now)
		}
	}
	if state, _ := kmip.Get[kmip.State](a, ttlv.TagState); state == kmip.StateActive && !a.Contains(ttlv.TagActivationDate) {
		a = a.Plus(ttlv.TagActivationDate, now)
	}
	return a
}

// once adds an attribute that is not there yet.
func once(a kmip.Attributes, x kmip.Attribute) kmip.Attributes {
	if a.Has(x) {
		return a
	}
	return append(a[:len(a):len(a)], x)
}

// A meeting is what is kept of the token that a slot's records are for.
type meeting struct{ label, serial string }

func (m meeting) same(t tokenInfo) bool { return m.label == t.Label && m.serial == t.Serial }

// The attributes of the record that has a token, under the identifier of its slot with no label, which no key has.
const (
	attributeTokenLabel  = "TokenLabel"
	attributeTokenSerial = "TokenSerial"
)

// met is the token that the records of a slot are for, empty where none is known.
func (h *HSM) met(ctx context.Context, s *slot) (m meeting, err error) {
	r, err := h.records.Record(ctx, s.identifier(""))
	if err != nil && !errors.Is(err, kmip.ErrNotFound) {
		return m, err
	}
	for name, part := range map[string]*string{attributeTokenLabel: &m.label, attributeTokenSerial: &m.serial} {
		v, _ := r.Attributes.Vendor(kmip.VendorServer, name)
		*part, _ = v.(string)
	}
	return m, nil
}

// meet notes the token that the records of a slot are for.
func (h *HSM) meet(ctx context.Context, s *slot, t tokenInfo) error {
	r, err := h.records.Record(ctx, s.identifier(""))
	if err != nil && !errors.Is(err, kmip.ErrNotFound) {
		return err
	}
	r.Attributes = kmip.Attributes{}.WithVendor(kmip.VendorServer, attributeTokenLabel, t.Label).WithVendor(kmip.VendorServer, attributeTokenSerial, t.Serial)
	err = h.records.PutRecord(ctx, s.identifier(""), &r)
	if errors.Is(err, kmip.ErrConflict) {
		return nil // another request did it meanwhile
	}
	return err
}
