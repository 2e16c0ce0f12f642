package hsm

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
	"unsafe"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

const (
	tagLength    = ttlv.TagCryptographicLength
	tagAlgorithm = ttlv.TagCryptographicAlgorithm
)

// shown is the last kmip.Object made of a token object, and of what.
type shown struct {
	object *kmip.Object
	record kmip.Record
}

// of says whether it was made of that record: of the same revision and the same lists.
func (s *shown) of(r *kmip.Record) bool {
	return s.record.Revision == r.Revision &&
		unsafe.SliceData(s.record.Attributes) == unsafe.SliceData(r.Attributes) && len(s.record.Attributes) == len(r.Attributes) &&
		unsafe.SliceData(s.record.Grants) == unsafe.SliceData(r.Grants) && len(s.record.Grants) == len(r.Grants)
}

// Object looks a key up in its token: what is remembered of it is at most a second old.
func (h *HSM) Object(ctx context.Context, uid string) (*kmip.Object, error) {
	s, label, err := h.route(uid)
	if err != nil {
		return nil, err
	}
	_, shown, err := h.find(ctx, s, label)
	return shown, err
}

// show makes the kmip.Object of a token object and its record, if that is of this key.
func (h *HSM) show(ctx context.Context, s *slot, o *object, r kmip.Record) (*kmip.Object, error) {
	if last := o.shown.Load(); last != nil && last.of(&r) {
		return last.object, nil
	}
	if err := h.fits(ctx, s, o, &r); err != nil {
		return nil, err
	}
	if err := h.bind(ctx, s, o, &r); err != nil {
		return nil, err
	}
	uid := s.identifier(o.name)
	made := &kmip.Object{UniqueIdentifier: uid, Grants: r.Grants, Revision: r.Revision}
	made.Attributes = o.attributes(uid, &r)
	made.Key = newKey(s, o, made.Attributes)
	o.shown.Store(&shown{made, r})
	return made, nil
}

// attributes are those of the token, and of the record what the token does not have. A key without a record, one that another
// tool made, is active, for all that its token flags allow.
func (o *object) attributes(uid string, r *kmip.Record) kmip.Attributes {
	a := make(kmip.Attributes, 0, len(r.Attributes)+12)
	add := func(tag ttlv.Tag, value any) { a = append(a, kmip.Attribute{Tag: tag, Value: value}) }
	add(ttlv.TagUniqueIdentifier, uid)
	add(ttlv.TagObjectType, o.objectType())
	if algorithm := o.algorithm(r.Attributes.Algorithm()); algorithm != 0 {
		add(ttlv.TagCryptographicAlgorithm, algorithm)
	}
	if o.bits > 0 {
		add(ttlv.TagCryptographicLength, o.bits)
	}
	if o.class != pkcs11.CKO_PUBLIC_KEY {
		// What the token does not tell is taken for the safer side.
		add(ttlv.TagSensitive, o.is(pkcs11.CKA_SENSITIVE, true))
		add(ttlv.TagAlwaysSensitive, o.is(pkcs11.CKA_ALWAYS_SENSITIVE, false))
		add(ttlv.TagExtractable, o.is(pkcs11.CKA_EXTRACTABLE, false))
		add(ttlv.TagNeverExtractable, o.is(pkcs11.CKA_NEVER_EXTRACTABLE, false))
	}
	for _, x := range r.Attributes {
		if !o.owns(x.Tag) && !protected(x) {
			a = append(a, x)
		}
	}
	a = o.derived(a)
	if !a.Contains(ttlv.TagState) {
		add(ttlv.TagState, kmip.StateActive)
	}
	if !a.Contains(ttlv.TagCryptographicUsageMask) {
		add(ttlv.TagCryptographicUsageMask, o.usageMask())
	}
	if c := o.curveName(); c != 0 && !a.Contains(ttlv.TagCryptographicDomainParameters) {
		add(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{RecommendedCurve: c})
	}
	return a.PlusVendor(kmip.VendorServer, kmip.AttributeProtection, kmip.ProtectionHSM)
}

// protected says whether x is the attribute that says how a key is kept.
func protected(x kmip.Attribute) bool {
	return x.Tag == ttlv.TagAttribute && x.Vendor == kmip.VendorServer && x.Name == kmip.AttributeProtection
}

// is gives a flag of the token, or what is taken where it is not told.
func (o *object) is(flag uint, otherwise bool) bool {
	if b, ok := o.flags[flag]; ok {
		return b
	}
	return otherwise
}

func (o *object) objectType() kmip.ObjectType {
	switch o.class {
	case pkcs11.CKO_PRIVATE_KEY:
		return kmip.ObjectTypePrivateKey
	case pkcs11.CKO_PUBLIC_KEY:
		return kmip.ObjectTypePublicKey
	}
	return kmip.ObjectTypeSymmetricKey
}

// algorithm is that of the token; of a secret without one, and among the names for keys on curves, the recorded one.
func (o *object) algorithm(recorded kmip.CryptographicAlgorithm) kmip.CryptographicAlgorithm {
	switch o.kind {
	case pkcs11.CKK_AES:
		return kmip.CryptographicAlgorithmAES
	case pkcs11.CKK_RSA:
		return kmip.CryptographicAlgorithmRSA
	case pkcs11.CKK_DES3:
		return kmip.CryptographicAlgorithmDES3
	case pkcs11.CKK_EC:
		if ellipticAlgorithm(recorded) {
			return recorded
		}
		return kmip.CryptographicAlgorithmECDSA
	case ckkEdwards:
		if o.bits == edwardsBits {
			return kmip.CryptographicAlgorithmEd25519
		}
	case pkcs11.CKK_GENERIC_SECRET:
		if _, ok := hmacs[recorded]; ok {
			return recorded
		}
	}
	return 0
}

func (o *object) curveName() kmip.RecommendedCurve {
	for _, c := range curves {
		if o.curve == c.curve {
			return c.name
		}
	}
	return 0
}

// usageMask is what the token's flags allow.
func (o *object) usageMask() (mask kmip.CryptographicUsageMask) {
	for _, u := range []use{
		{pkcs11.CKA_ENCRYPT, kmip.CryptographicUsageMaskEncrypt}, {pkcs11.CKA_DECRYPT, kmip.CryptographicUsageMaskDecrypt},
		{pkcs11.CKA_WRAP, kmip.CryptographicUsageMaskWrapKey}, {pkcs11.CKA_UNWRAP, kmip.CryptographicUsageMaskUnwrapKey},
		{pkcs11.CKA_DERIVE, kmip.CryptographicUsageMaskDeriveKey},
	} {
		if o.flags[u.attribute] {
			mask |= u.mask
		}
	}
	signs, verifies := kmip.CryptographicUsageMaskSign, kmip.CryptographicUsageMaskVerify
	if o.class == pkcs11.CKO_SECRET_KEY {
		signs, verifies = kmip.CryptographicUsageMaskMACGenerate, kmip.CryptographicUsageMaskMACVerify
	}
	if o.flags[pkcs11.CKA_SIGN] {
		mask |= signs
	}
	if o.flags[pkcs11.CKA_VERIFY] {
		mask |= verifies
	}
	return mask
}

// Generate makes a symmetric key in the token: sensitive and not extractable, unless o says otherwise.
func (h *HSM) Generate(ctx context.Context, o *kmip.Object) error {
	s, label, err := h.route(o.UniqueIdentifier)
	if err != nil {
		return err
	}
	if t := o.ObjectType(); t != kmip.ObjectTypeSymmetricKey {
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "a token makes symmetric keys and pairs, not a %v", t)
	}
	m, err := secretKey(label, o.Attributes)
	if err != nil {
		return err
	}
	return h.make(ctx, s, []*kmip.Object{o}, []string{label}, func(c *connection, ss session) ([]handle, error) {
		if err := c.proof.authenticates(o.Attributes.Algorithm(), m.bits()); err != nil {
			return nil, err
		}
		key, err := c.module.lib.generate(ss, m.mechanism, m.template)
		return []handle{key}, err
	})
}

// GeneratePair makes both halves in one call of the token. The public one is named as the private one, with "_pk" behind.
func (h *HSM) GeneratePair(ctx context.Context, private, public *kmip.Object) error {
	s, label, err := h.route(private.UniqueIdentifier)
	if err != nil {
		return err
	}
	if public.UniqueIdentifier != s.identifier(label+publicSuffix) {
		return invalid("the public half of %q in a token is %q", private.UniqueIdentifier, s.identifier(label+publicSuffix))
	}
	_, publicLabel, err := h.route(public.UniqueIdentifier)
	if err != nil {
		return err
	}
	mechanism, pub, priv, err := keyPair(label, publicLabel, private.Attributes, public.Attributes)
	if err != nil {
		return err
	}
	return h.make(ctx, s, []*kmip.Object{private, public}, []string{label, publicLabel}, func(c *connection, ss session) ([]handle, error) {
		if err := c.spelled(pub); err != nil {
			return nil, err
		}
		publicKey, privateKey, err := c.module.lib.generatePair(ss, mechanism, pub, priv)
		return []handle{privateKey, publicKey}, err
	})
}

// Register brings a key into the token: AES and HMAC keys raw, RSA, ECDSA and Ed25519 private keys as PKCS #8, PKCS #1 or SEC 1, and public
// keys as SubjectPublicKeyInfo or PKCS #1. In the token it is as sensitive as a generated one.
func (h *HSM) Register(ctx context.Context, o *kmip.Object, v *kmip.Value) error {
	s, label, err := h.route(o.UniqueIdentifier)
	if err != nil {
		return err
	}
	if v.ObjectType() == kmip.ObjectTypePublicKey && !strings.HasSuffix(label, publicSuffix) {
		return invalid("a public key in a token is named with %q at the end, after its private half", publicSuffix)
	}
	t, err := material(label, o.Attributes, v)
	if err != nil {
		return err
	}
	defer t.clear()
	algorithm := cmp.Or(o.Attributes.Algorithm(), v.KeyBlock().CryptographicAlgorithm)
	return h.make(ctx, s, []*kmip.Object{o}, []string{label}, func(c *connection, ss session) ([]handle, error) {
		if err := c.spelled(t); err != nil {
			return nil, err
		}
		if err := c.proof.authenticates(algorithm, int32(8*len(t.get(pkcs11.CKA_VALUE)))); err != nil {
			return nil, err
		}
		key, err := c.module.lib.create(ss, t)
		return []handle{key}, err
	})
}

// make makes token objects under names that are free, and their records. Records of earlier keys of those names go first, so
// that no grant of theirs fits the new ones. What cannot be completed is taken back.
func (h *HSM) make(ctx context.Context, s *slot, objects []*kmip.Object, names []string, create func(*connection, session) ([]handle, error)) error {
	var made []*object
	var token tokenInfo
	err := s.make(ctx, names, func(c *connection, ss session, try attempt) error {
		for i, name := range names {
			if err := c.free(ss, name); err != nil {
				return err
			}
			if err := h.records.DropRecord(ctx, objects[i].UniqueIdentifier); err != nil {
				return err
			}
		}
		handles, err := try(func() ([]handle, error) { return create(c, ss) })
		if err == nil {
			made, err = c.adopt(ss, handles, objects)
		}
		token = c.token
		return err
	})
	if err != nil {
		return err
	}
	if known, err := h.met(ctx, s); err == nil && known == (meeting{}) {
		_ = h.meet(ctx, s, token) // noted at the next occasion otherwise
	}
	for i, o := range objects {
		print, _ := made[i].fingerprint(s.asking(ctx, made[i])) // kept at the next occasion otherwise
		r := &kmip.Record{Attributes: recorded(o.Attributes), Grants: o.Grants, Fingerprint: print}
		if err := h.records.PutRecord(ctx, o.UniqueIdentifier, r); err != nil {
			h.undo(ctx, s, made, objects[:i+1])
			return err
		}
		o.Revision = r.Revision
	}
	return nil
}

// An attempt runs the one call that makes objects, and takes note that it was made.
type attempt func(create func() ([]handle, error)) ([]handle, error)

// make runs f, which makes objects of these names, alone in the slot. What f gives to try is done again only while the token
// turned it away before it did anything; of a failure the error tells which of the objects are there all the same.
func (s *slot) make(ctx context.Context, names []string, f func(*connection, session, attempt) error) error {
	called, tried := false, false
	err := s.run(ctx, func(c *connection, ss session) error {
		if err := s.alter(ctx); err != nil {
			return err
		}
		defer s.contents.open()
		return f(c, ss, func(create func() ([]handle, error)) ([]handle, error) {
			handles, err := create()
			called, tried = true, !refused(err)
			return handles, err
		})
	}, func(err error) bool { return !tried && refused(err) })
	if err == nil || !called {
		return s.tell(err)
	}
	return s.unsure(ctx, names, s.tell(err))
}

// unsure completes the error of a failure to make objects, each of which the token may have made.
func (s *slot) unsure(ctx context.Context, names []string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Wait)
	defer cancel()
	for _, name := range names {
		uid, what := s.identifier(name), "is in the token all the same"
		_, fault := s.object(ctx, name)
		if errors.Is(fault, kmip.ErrNotFound) {
			continue
		}
		if fault != nil {
			what = "may be in the token all the same"
		}
		s.log.Error("a key whose making failed "+what, "uid", uid, "error", err)
		err = kmip.Errorf(kmip.ReasonOf(err), "%w; %q %s", err, uid, what)
	}
	return err
}

// free refuses a name that is taken. The caller has shut the slot's contents.
func (c *connection) free(s session, name string) error {
	found, err := c.matches(s, name)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return kmip.Errorf(kmip.ResultReasonObjectAlreadyExists, "%q is in use", c.slot.identifier(name))
	}
	return c.alive(s)
}

// adopt remembers new objects, and destroys those that the token did not make as they were asked for.
func (c *connection) adopt(s session, handles []handle, asked []*kmip.Object) (made []*object, err error) {
	c.mu.Lock()
	c.changed()
	c.mu.Unlock()
	for i, h := range handles {
		o, err := c.describe(s, h)
		if err == nil {
			err = o.kept(asked[i].Attributes)
		}
		if err != nil {
			for _, h := range handles {
				_ = c.module.lib.destroy(s, h)
			}
			return nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot %d: making %q: %w", c.slot.Number, asked[i].UniqueIdentifier, err)
		}
		made = append(made, o)
	}
	for _, o := range made {
		c.remember(o)
	}
	return made, nil
}

// kept says whether a new key stays in the token as it was asked to: some tokens make keys extractable all the same.
func (o *object) kept(asked kmip.Attributes) error {
	if o.class == pkcs11.CKO_PUBLIC_KEY {
		return nil
	}
	for _, want := range protection(asked) {
		if have, told := o.flags[want.Type]; !told || have != (want.Value[0] != 0) {
			return errors.New("the token did not make the key as sensitive, or as extractable, as it was asked to")
		}
	}
	return nil
}

// undo removes what was made, as far as that goes: the request has failed already.
func (h *HSM) undo(ctx context.Context, s *slot, made []*object, objects []*kmip.Object) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Wait)
	defer cancel()
	for _, o := range made {
		ours := func(found *object, _ asking) (bool, error) {
			return found.handle == o.handle && found.conn == o.conn, nil
		}
		if err := s.destroy(ctx, o.name, ours); err != nil {
			h.log.Error("a key is in the token without its record", "uid", s.identifier(o.name), "error", err)
		}
	}
	for _, o := range objects {
		_ = h.records.DropRecord(ctx, o.UniqueIdentifier)
	}
}

// Destroy removes one object from the token, never the other half of its pair, and then its record with the grants.
func (h *HSM) Destroy(ctx context.Context, o *kmip.Object) error {
	s, label, err := h.route(o.UniqueIdentifier)
	if err != nil {
		return err
	}
	wanted, known := o.ObjectType(), ""
	if k := tokenKey(o); k != nil {
		known = k.first.known()
	}
	err = s.destroy(ctx, label, func(found *object, read asking) (bool, error) {
		right := wanted == 0 || found.objectType() == wanted
		if right && known != "" {
			right, _, err = found.bears(known, read)
			return right, err
		}
		return right, nil
	})
	if err != nil {
		return s.tell(err)
	}
	return h.records.DropRecord(ctx, o.UniqueIdentifier)
}

// destroy removes the one object of that name that is the right one. It is found anew for that: a remembered handle could
// have become another object's.
func (s *slot) destroy(ctx context.Context, name string, right func(*object, asking) (bool, error)) error {
	return s.change(ctx, func(c *connection, ss session) error {
		if err := s.alter(ctx); err != nil {
			return err
		}
		defer s.contents.open()
		found, err := c.find(ss, name)
		if err != nil {
			return err
		}
		is, err := right(found, c.asking(ss, found))
		if err != nil {
			return err
		}
		if !is {
			return kmip.NotFound(s.identifier(name))
		}
		c.mu.Lock()
		if known := c.objects[name]; known != nil {
			known.destroyed.Store(true)
			delete(c.objects, name)
		}
		for other, o := range c.objects {
			if o.plain == found.plain { // its name may be another now
				o.gone.Store(true)
				delete(c.objects, other)
			}
		}
		c.changed()
		c.mu.Unlock()
		return c.module.lib.destroy(ss, found.handle)
	})
}

// Update writes the attributes that the token does not have.
func (h *HSM) Update(ctx context.Context, o *kmip.Object) error {
	if err := h.unflagged(ctx, o); err != nil {
		return err
	}
	return h.put(ctx, o, func(r *kmip.Record) { r.Attributes = recorded(o.Attributes) })
}

// SetGrants writes the grants.
func (h *HSM) SetGrants(ctx context.Context, o *kmip.Object) error {
	return h.put(ctx, o, func(r *kmip.Record) {
		r.Grants = o.Grants
		if r.Revision == 0 {
			r.Attributes = recorded(o.Attributes)
		}
	})
}

// put changes a record, if it is the one that o was made with.
func (h *HSM) put(ctx context.Context, o *kmip.Object, change func(*kmip.Record)) error {
	if _, _, err := h.route(o.UniqueIdentifier); err != nil {
		return err
	}
	r, err := h.records.Record(ctx, o.UniqueIdentifier)
	if err != nil && !errors.Is(err, kmip.ErrNotFound) {
		return err
	}
	if r.Revision != o.Revision {
		return kmip.ErrConflict
	}
	if r.Fingerprint == "" {
		if r.Fingerprint, err = printOf(ctx, o); err != nil {
			return err
		}
	}
	change(&r)
	if err := h.records.PutRecord(ctx, o.UniqueIdentifier, &r); err != nil {
		return err
	}
	o.Revision = r.Revision
	return nil
}

// paired are the attributes of a public key whose private half has that name.
func paired(publicLabel string) template {
	t := placed(publicLabel, false)
	for i := range t {
		if t[i].Type == pkcs11.CKA_ID {
			t[i].Value = []byte(pairLabel(publicLabel))
		}
	}
	return t
}

// old says whether a time in Unix nanoseconds is longer ago than that, or has not come: then the clock was set back.
func old(nanoseconds int64, than time.Duration) bool {
	age := time.Since(time.Unix(0, nanoseconds))
	return age < 0 || age > than
}
