package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"strongroom/kmip"
	"strongroom/store/crash"
	"strongroom/store/seal"
	"strongroom/store/soft"
)

// The Store answers the contract.
var (
	_ kmip.Backend = (*Store)(nil)
	_ kmip.Access  = (*Store)(nil)
)

// Generate makes a symmetric key and keeps it.
func (s *Store) Generate(ctx context.Context, o *kmip.Object) error {
	if o.Attributes.AsksHSMWrapped() {
		return s.generateInToken(ctx, o)
	}
	random, err := s.random(ctx, o, "key")
	if err != nil {
		return err
	}
	v, err := soft.Generate(o.Attributes, random)
	if err != nil {
		return err
	}
	return s.Register(ctx, o, v)
}

// random is where the material of a new object comes from, which is noted in its attributes; nil is crypto/rand.
func (s *Store) random(ctx context.Context, o *kmip.Object, purpose string) (io.Reader, error) {
	random, err := s.options.Random.Reader(ctx, o.Owner(), o.Attributes, purpose)
	switch {
	case err != nil:
		return nil, err
	case random != nil:
		o.Attributes = o.Attributes.WithVendor(kmip.VendorServer, kmip.AttributeEntropy, kmip.EntropyAugmentation)
	default:
		o.Attributes = o.Attributes.WithoutVendor(kmip.VendorServer, kmip.AttributeEntropy)
	}
	return random, nil
}

// Register keeps an object that comes with its material.
func (s *Store) Register(ctx context.Context, o *kmip.Object, v *kmip.Value) error {
	n, err := s.newObject(ctx, o, v)
	if err != nil {
		return err
	}
	return s.writer.write(ctx, n.insert, func() { n.publish(o) })
}

// GeneratePair makes two halves of a pair and keeps both or neither.
func (s *Store) GeneratePair(ctx context.Context, private, public *kmip.Object) error {
	if private.UniqueIdentifier == public.UniqueIdentifier {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the two halves of a pair cannot both be named %q", private.UniqueIdentifier)
	}
	for _, o := range []*kmip.Object{private, public} {
		if r, err := s.row(ctx, o.UniqueIdentifier); err == nil {
			return r.exists()
		} else if !errors.Is(err, kmip.ErrNotFound) {
			return err
		}
	}
	if private.Attributes.AsksHSMWrapped() {
		return s.generatePairInToken(ctx, private, public)
	}
	random, err := s.random(ctx, private, "key pair")
	if err != nil {
		return err
	}
	privateValue, publicValue, err := soft.GeneratePair(private.Attributes, public.Attributes, random)
	if err != nil {
		return err
	}
	first, err := s.newObject(ctx, private, privateValue)
	if err != nil {
		return err
	}
	second, err := s.newObject(ctx, public, publicValue)
	if err != nil {
		return err
	}
	return s.insertPair(ctx, first, second, private, public)
}

// insertPair writes both halves or neither.
func (s *Store) insertPair(ctx context.Context, first, second *newObject, private, public *kmip.Object) error {
	insert := func(b *batch) error {
		for _, n := range []*newObject{first, second} {
			if err := n.free(b); err != nil {
				return err
			}
		}
		if err := first.insert(b); err != nil {
			return err
		}
		return second.insert(b)
	}
	return s.writer.write(ctx, insert, func() { first.publish(private); second.publish(public) })
}

// Replace puts an object in the place of another of the same owner, and in the order of creation where that stood. It begins with its own
// grants.
func (s *Store) Replace(ctx context.Context, old, o *kmip.Object, v *kmip.Value) error {
	before, err := s.current(ctx, old)
	if err != nil {
		return err
	}
	n, err := s.newObject(ctx, o, v)
	if err != nil {
		return err
	}
	uid := n.row.object.UniqueIdentifier
	if uid != before.object.UniqueIdentifier || n.row.owner() != before.owner() {
		return fmt.Errorf("object %q cannot replace %q: they differ in name or owner", uid, before.object.UniqueIdentifier)
	}
	n.row.id, n.row.created, n.row.object.Revision = before.id, before.created, before.object.Revision+1
	mac, err := n.row.mac()
	if err != nil {
		return err
	}
	write := func(b *batch) error {
		b.w.erasing = true
		e := n.row.envelope
		if err := b.one(replaceObject, int64(n.row.object.ObjectType()), n.attributes, e.Bytes(), e.Protector, mac, uid, before.object.Revision); err != nil {
			return err
		}
		if _, err := b.exec(dropGrants, uid); err != nil {
			return err
		}
		if err := b.insertGrants(uid, n.row.object.Grants); err != nil {
			return err
		}
		return b.relist(before.id, listingOf(&before.object), n.listing)
	}
	return s.replace(ctx, before, o, write, func() *row {
		before.gone.Store(true)
		return n.row
	})
}

// A newObject is a row that is not in the database yet.
type newObject struct {
	row        *row
	attributes []byte // encoded
	listing    listing
}

// newObject checks and seals the material, and encodes the row with what the material says of itself. It borrows nothing of o and clears v's encoding.
func (s *Store) newObject(ctx context.Context, o *kmip.Object, v *kmip.Value) (*newObject, error) {
	if err := keepable(o); err != nil {
		return nil, err
	}
	if o.Attributes.AsksHSMWrapped() {
		return nil, kmip.Errorf(kmip.ResultReasonProtectionStorageUnavailable, "%q cannot be hsm-wrapped: only keys that Create and Create Key Pair make in an HSM are", o.UniqueIdentifier)
	}
	attributes, err := soft.Complete(o.ObjectType(), v, o.Attributes)
	if err != nil {
		return nil, err
	}
	plain, err := encodeValue(v)
	if err != nil {
		return nil, err
	}
	e, err := s.seal(ctx, o, plain)
	if err != nil {
		return nil, err
	}
	return s.newRowOf(o, attributes, e)
}

// keepable refuses an object that cannot be a row.
func keepable(o *kmip.Object) error {
	uid := o.UniqueIdentifier
	if _, _, hsm, _ := kmip.HSMKey(uid); hsm || uid == "" {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "%q is not an identifier that the database keeps", uid)
	}
	if len(o.Owners) != 1 || o.Owners[0] == "" {
		return fmt.Errorf("object %q has %d owners, an object in the database has one", uid, len(o.Owners))
	}
	return nil
}

// newRowOf is the row of an envelope. It borrows nothing of o.
func (s *Store) newRowOf(o *kmip.Object, attributes kmip.Attributes, e *seal.Envelope) (_ *newObject, err error) {
	n := &newObject{}
	attributes = attributes.WithVendor(kmip.VendorServer, kmip.AttributeProtection, protection(e))
	if n.attributes, attributes, err = encodeAttributes(attributes); err != nil {
		return nil, err
	}
	n.row = s.newRow(&kmip.Object{
		UniqueIdentifier: strings.Clone(o.UniqueIdentifier),
		Owners:           []string{strings.Clone(o.Owners[0])},
		Grants:           ownGrants(o.Grants),
		Attributes:       attributes,
		Revision:         1,
	}, &row{created: micros(s.now())}, encodingOf(n.attributes), e)
	n.listing = listingOf(&n.row.object)
	return n, nil
}

// encodeAttributes encodes a list, and decodes it again: the copy borrows nothing from the message that it came in.
func encodeAttributes(a kmip.Attributes) ([]byte, kmip.Attributes, error) {
	encoded, err := a.Encode()
	if err != nil {
		return nil, nil, err
	}
	own, err := kmip.DecodeAttributes(encoded)
	return encoded, own, err
}

// ownGrants is a copy of a list, with each grant once.
func ownGrants(grants []kmip.Grant) []kmip.Grant {
	var own []kmip.Grant
	seen := map[kmip.Grant]bool{}
	for _, g := range grants {
		if !seen[g] {
			g.Grantee = strings.Clone(g.Grantee)
			seen[g] = true
			own = append(own, g)
		}
	}
	return own
}

// exists is the error for an identifier in use, or once used.
func (r *row) exists() error { return existing(r.object.UniqueIdentifier, r.envelope == nil) }

func existing(uid string, destroyed bool) error {
	if destroyed {
		return kmip.Errorf(kmip.ResultReasonObjectAlreadyExists, "object %q was destroyed, and its identifier is not used again", uid)
	}
	return kmip.Errorf(kmip.ResultReasonObjectAlreadyExists, "object %q already exists", uid)
}

const (
	insertObject = `INSERT INTO objects (id, uid, owner, object_type, initial_date, destroyed, attributes, envelope, protector, revision, mac)
		VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, 1, $9) ON CONFLICT (uid) DO NOTHING`
	selectState = `SELECT destroyed FROM objects WHERE uid = $1`
	insertGrant = `INSERT INTO grants (uid, grantee, operation) VALUES ($1, $2, $3)`
	dropGrants  = `DELETE FROM grants WHERE uid = $1`

	updateObject = `UPDATE objects SET attributes = $1, envelope = $2, protector = $3, mac = $4, revision = revision + 1
		WHERE uid = $5 AND revision = $6`
	replaceObject = `UPDATE objects SET object_type = $1, attributes = $2, envelope = $3, protector = $4, mac = $5, destroyed = 0, revision = revision + 1
		WHERE uid = $6 AND revision = $7`
	touchObject   = `UPDATE objects SET mac = $1, revision = revision + 1 WHERE uid = $2 AND revision = $3 AND destroyed = 0`
	destroyObject = `UPDATE objects SET attributes = $1, mac = $2, envelope = NULL, protector = '', destroyed = 1, revision = revision + 1
		WHERE uid = $3 AND revision = $4 AND destroyed = 0`
)

// writes are the statements that the writer prepares.
var writes = append(insertEntries[:],
	insertObject, selectState, insertGrant, dropGrants, updateObject, replaceObject, touchObject, destroyObject,
	insertRecord, updateRecord, deleteRecord, deleteEntry, countClass, dropClass,
)

// free refuses an identifier that is in use.
func (n *newObject) free(b *batch) error {
	uid := n.row.object.UniqueIdentifier
	var destroyed bool
	switch err := b.row(selectState, []any{uid}, &destroyed); {
	case err == nil:
		return refuse(existing(uid, destroyed))
	case !isNoRows(err):
		return err
	}
	return nil
}

// insert writes the row.
func (n *newObject) insert(b *batch) error {
	r := n.row
	uid, next := r.object.UniqueIdentifier, b.next(r.created)
	r.id, r.created = next.id, next.date
	mac, err := r.mac()
	if err != nil {
		return err
	}
	made, err := b.exec(insertObject, r.id, uid, r.owner(), int64(r.object.ObjectType()), r.created, n.attributes, r.envelope.Bytes(), r.envelope.Protector, mac)
	if err != nil {
		return err
	}
	if made == 0 {
		return cmp.Or(n.free(b), fmt.Errorf("inserting object %q: no row was written", uid))
	}
	crash.At("create-row")
	if err := b.relist(r.id, listing{}, n.listing); err != nil {
		return err
	}
	return b.insertGrants(uid, r.object.Grants)
}

func (b *batch) insertGrants(uid string, all []kmip.Grant) error {
	for _, g := range all {
		if _, err := b.exec(insertGrant, uid, g.Grantee, int64(g.Operation)); err != nil {
			return err
		}
	}
	return nil
}

// publish makes the row known once it is on disk.
func (n *newObject) publish(o *kmip.Object) {
	crash.At("create-committed")
	n.row.store.created.Add(1)
	n.row.store.rows.put(n.row.object.UniqueIdentifier, n.row)
	o.Revision = 1
}

// Object looks an object up. A destroyed one still has its attributes, and no Key.
func (s *Store) Object(ctx context.Context, uid string) (*kmip.Object, error) {
	r, err := s.row(ctx, uid)
	if err != nil {
		return nil, err
	}
	return &r.object, nil
}

// Value gives the material in clear, a copy that the caller clears.
func (s *Store) Value(ctx context.Context, o *kmip.Object) (*kmip.Value, error) {
	r, err := s.row(ctx, o.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	if r.inToken() {
		return nil, staysInToken(o.UniqueIdentifier)
	}
	loan, err := r.borrow(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return decodeValue(append([]byte(nil), loan.Opened().(*opened).plain...))
}

// Update writes o.Attributes and raises o.Revision. Where an attribute changes that the material is bound to, the material
// is sealed anew; else the envelope stays as it is, to the byte.
func (s *Store) Update(ctx context.Context, o *kmip.Object) error {
	old, err := s.current(ctx, o)
	if err != nil {
		return err
	}
	if err := old.keeps(o); err != nil {
		return err
	}
	e, attributes := old.envelope, o.Attributes
	if e != nil {
		attributes = attributes.WithVendor(kmip.VendorServer, kmip.AttributeProtection, protection(e))
		if e, err = old.reseal(ctx, attributes); err != nil {
			return err
		}
	}
	return s.amend(ctx, old, o, attributes, e)
}

// amend writes attributes and an envelope in the place of a row's.
func (s *Store) amend(ctx context.Context, old *row, o *kmip.Object, attributes kmip.Attributes, e *seal.Envelope) error {
	protector := ""
	if e != nil {
		protector = e.Protector
	}
	encoded, attributes, err := encodeAttributes(attributes)
	if err != nil {
		return err
	}
	changed := old.object
	changed.Attributes, changed.Revision = attributes, o.Revision+1
	next := s.newRow(&changed, old, encodingOf(encoded), e)
	mac, err := next.mac()
	if err != nil {
		return err
	}
	before, after := listingOf(&old.object), listingOf(&next.object)
	write := func(b *batch) error {
		b.w.erasing = b.w.erasing || e != old.envelope
		var raw any
		if e != nil {
			raw = e.Bytes()
		}
		if err := b.one(updateObject, encoded, raw, protector, mac, changed.UniqueIdentifier, old.object.Revision); err != nil {
			return err
		}
		crash.At("change-row")
		return b.relist(old.id, before, after)
	}
	return s.replace(ctx, old, o, write, func() *row { return next })
}

// current is the row of o, if o.Revision is still its own.
func (s *Store) current(ctx context.Context, o *kmip.Object) (*row, error) {
	r, err := s.row(ctx, o.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	if r.object.Revision != o.Revision {
		return nil, kmip.ErrConflict
	}
	return r, nil
}

// keeps refuses a change of what an object has for its whole life.
func (r *row) keeps(o *kmip.Object) error {
	uid := r.object.UniqueIdentifier
	if o.ObjectType() != r.object.ObjectType() {
		return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "the Object Type of %q does not change", uid)
	}
	for _, name := range []string{kmip.AttributeWrappingKeyID, kmip.AttributeProtection} {
		before, had := r.object.Attributes.Vendor(kmip.VendorClient, name)
		after, has := o.Attributes.Vendor(kmip.VendorClient, name)
		if had != has || before != after {
			return kmip.Errorf(kmip.ResultReasonAttributeReadOnly, "%q: %s is given when an object is made", uid, name)
		}
	}
	return nil
}

// reseal is the envelope for changed attributes: the same one, unless it is bound to what changes.
func (r *row) reseal(ctx context.Context, a kmip.Attributes) (*seal.Envelope, error) {
	changed := r.object
	changed.Attributes = a
	if string(bound(changed.UniqueIdentifier, r.owner(), changed.ObjectType(), a)) == string(r.bound()) {
		return r.envelope, nil
	}
	plain, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	p, err := r.store.find(ctx, r.envelope.Header)
	if err != nil {
		return nil, err
	}
	return r.store.sealUnder(ctx, p, r.envelope.Generation+1, &changed, plain)
}

// replace writes a change of a row and puts what next makes in its place. After a conflict the row in memory is of no use.
func (s *Store) replace(ctx context.Context, old *row, o *kmip.Object, apply func(*batch) error, next func() *row) error {
	uid := old.object.UniqueIdentifier
	err := s.writer.write(ctx, apply, func() {
		crash.At("change-committed")
		r := next()
		s.rows.put(uid, r)
		if r.index != old.index || old.inToken() { // what a token still has of a key goes with any change of it
			s.cache.Forget(old.index)
		}
		o.Revision = r.object.Revision
	})
	if errors.Is(err, kmip.ErrConflict) {
		s.rows.drop(uid)
	}
	return err
}

// one runs an update of one row at one revision, and refuses when that is no longer there.
func (b *batch) one(text string, args ...any) error {
	n, err := b.exec(text, args...)
	if err == nil && n == 0 {
		return refuse(kmip.ErrConflict)
	}
	return err
}

// SetGrants writes o.Grants and raises o.Revision.
func (s *Store) SetGrants(ctx context.Context, o *kmip.Object) error {
	old, err := s.current(ctx, o)
	if err != nil {
		return err
	}
	if old.envelope == nil {
		return kmip.Errorf(kmip.ResultReasonObjectDestroyed, "object %q is destroyed", o.UniqueIdentifier)
	}
	changed := old.object
	changed.Grants, changed.Revision = ownGrants(o.Grants), o.Revision+1
	next := s.newRow(&changed, old, old.encoding, old.envelope)
	mac, err := next.mac()
	if err != nil {
		return err
	}
	before, after := listingOf(&old.object), listingOf(&next.object)
	write := func(b *batch) error {
		if err := b.one(touchObject, mac, changed.UniqueIdentifier, old.object.Revision); err != nil {
			return err
		}
		if _, err := b.exec(dropGrants, changed.UniqueIdentifier); err != nil {
			return err
		}
		if err := b.insertGrants(changed.UniqueIdentifier, changed.Grants); err != nil {
			return err
		}
		return b.relist(old.id, before, after)
	}
	return s.replace(ctx, old, o, write, func() *row { return next })
}

// Destroy removes the material and the grants, and keeps o.Attributes, so that the identifier is never used again.
func (s *Store) Destroy(ctx context.Context, o *kmip.Object) error {
	old, err := s.current(ctx, o)
	if err != nil {
		return err
	}
	if old.envelope == nil {
		return kmip.Errorf(kmip.ResultReasonObjectDestroyed, "object %q is destroyed already", o.UniqueIdentifier)
	}
	encoded, attributes, err := encodeAttributes(o.Attributes)
	if err != nil {
		return err
	}
	changed := old.object
	changed.Attributes, changed.Grants, changed.Revision = attributes, nil, o.Revision+1
	mac, err := (&row{store: s, object: changed, id: old.id, created: old.created, encoding: encodingOf(encoded)}).mac()
	if err != nil {
		return err
	}
	before, after := listingOf(&old.object), listingOf(&changed)
	write := func(b *batch) error {
		b.w.erasing = true
		if err := b.one(destroyObject, encoded, mac, changed.UniqueIdentifier, old.object.Revision); err != nil {
			return err
		}
		crash.At("destroy-row")
		if _, err := b.exec(dropGrants, changed.UniqueIdentifier); err != nil {
			return err
		}
		return b.relist(old.id, before, after)
	}
	return s.replace(ctx, old, o, write, func() *row { return s.newRow(&changed, old, encodingOf(encoded), nil) })
}
