package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// An object is a key in a token as one connection knows it. All but the atomic fields never change.
type object struct {
	conn      *connection
	handle    handle
	class     uint // CKO_
	kind      uint // CKK_
	label, id string
	name      string // the label part of its identifier; "" for none
	plain     string // the name that it would have alone in the token
	rank      int    // by which line of naming.go
	bits      int32
	public    crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey: of a public key, and of an RSA private key
	flags     map[uint]bool    // CKA_ENCRYPT and the like, where the token tells
	curve     elliptic.Curve
	check     []byte // CKA_CHECK_VALUE

	seen      atomic.Int64 // when the token last confirmed it, in Unix nanoseconds
	gone      atomic.Bool  // the handle means nothing any more
	destroyed atomic.Bool  // by us: what comes under its name later is another key
	shown     atomic.Pointer[shown]
	print     atomic.Pointer[string] // its fingerprint, once it was read
	refused   atomic.Bool            // it is another key than the one that is known by its name, and the log says so
}

// described are the attributes that make an object.
var described = []uint{
	pkcs11.CKA_CLASS, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_LABEL, pkcs11.CKA_ID,
	pkcs11.CKA_VALUE_LEN, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT,
	pkcs11.CKA_SENSITIVE, pkcs11.CKA_ALWAYS_SENSITIVE, pkcs11.CKA_EXTRACTABLE, pkcs11.CKA_NEVER_EXTRACTABLE,
	pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP,
	pkcs11.CKA_DERIVE, pkcs11.CKA_CHECK_VALUE, pkcs11.CKA_ALWAYS_AUTHENTICATE,
}

// describe reads an object. It runs in a session.
func (c *connection) describe(s session, h handle) (*object, error) {
	t, err := c.module.lib.attributes(s, h, described)
	if err != nil {
		return nil, err
	}
	return c.objectOf(h, t), nil
}

// objectOf is the object with the attributes that are described.
func (c *connection) objectOf(h handle, t template) *object {
	o := &object{conn: c, handle: h, class: t.number(pkcs11.CKA_CLASS), kind: t.number(pkcs11.CKA_KEY_TYPE),
		label: string(t.get(pkcs11.CKA_LABEL)), id: string(t.get(pkcs11.CKA_ID)), flags: map[uint]bool{},
		check: bytes.Clone(t.get(pkcs11.CKA_CHECK_VALUE))}
	o.plain, o.rank = nameOf(o.class, o.label, o.id)
	o.name = o.plain
	for _, a := range t {
		if len(a.Value) == 1 {
			o.flags[a.Type] = a.Value[0] != 0
		}
	}
	switch o.kind {
	case pkcs11.CKK_RSA:
		if n, e := t.get(pkcs11.CKA_MODULUS), t.get(pkcs11.CKA_PUBLIC_EXPONENT); len(n) > 0 {
			o.bits = int32(new(big.Int).SetBytes(n).BitLen())
			if exponent := new(big.Int).SetBytes(e); exponent.IsInt64() && exponent.Sign() > 0 && exponent.BitLen() < 32 {
				o.public = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
			}
		}
	case pkcs11.CKK_EC:
		if o.curve = curveOf(t.get(pkcs11.CKA_EC_PARAMS)); o.curve != nil {
			o.bits = int32(o.curve.Params().BitSize)
			o.public = point(o.curve, t.get(pkcs11.CKA_EC_POINT))
		}
	case ckkEdwards:
		if onEdwards(t.get(pkcs11.CKA_EC_PARAMS)) {
			o.bits, o.public = edwardsBits, edwardsPoint(t.get(pkcs11.CKA_EC_POINT))
		}
	default:
		o.bits = max(int32(8*t.number(pkcs11.CKA_VALUE_LEN)), 0) // not every token tells it of every kind
	}
	o.seen.Store(time.Now().UnixNano())
	return o
}

// point reads CKA_EC_POINT: an OCTET STRING around the point, or as some tokens have it the point itself. It answers an
// untyped nil for what is no point of the curve.
func point(curve elliptic.Curve, value []byte) crypto.PublicKey {
	var inner []byte
	if rest, err := asn1.Unmarshal(value, &inner); err != nil || len(rest) > 0 {
		inner = value
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, inner)
	if err != nil {
		return nil
	}
	return public
}

// curves gives the OID and the KMIP name of the curves in use.
var curves = []struct {
	curve elliptic.Curve
	oid   asn1.ObjectIdentifier
	name  kmip.RecommendedCurve
}{
	{elliptic.P256(), asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, kmip.RecommendedCurveP256},
	{elliptic.P384(), asn1.ObjectIdentifier{1, 3, 132, 0, 34}, kmip.RecommendedCurveP384},
	{elliptic.P521(), asn1.ObjectIdentifier{1, 3, 132, 0, 35}, kmip.RecommendedCurveP521},
}

// curveOf reads CKA_EC_PARAMS; nil for a curve that is not in use.
func curveOf(parameters []byte) elliptic.Curve {
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(parameters, &oid); err != nil {
		return nil
	}
	for _, c := range curves {
		if c.oid.Equal(oid) {
			return c.curve
		}
	}
	return nil
}

func (t template) get(kind uint) []byte {
	for _, a := range t {
		if a.Type == kind {
			return a.Value
		}
	}
	return nil
}

func (t template) number(kind uint) uint {
	switch b := t.get(kind); len(b) {
	case 8:
		return uint(binary.NativeEndian.Uint64(b))
	case 4:
		return uint(binary.NativeEndian.Uint32(b))
	}
	return ckULongMax
}

// isKey says whether objects of a class are managed here.
func isKey(class uint) bool {
	return class == pkcs11.CKO_SECRET_KEY || class == pkcs11.CKO_PRIVATE_KEY || class == pkcs11.CKO_PUBLIC_KEY
}

// freshness is how long an object is taken for unchanged: what another process did to it is seen after that, or when the
// token refuses the handle.
const freshness = time.Second

// remembered is an object that was found lately; nil otherwise.
func (c *connection) remembered(name string) *object {
	c.mu.Lock()
	o := c.objects[name]
	c.mu.Unlock()
	if o == nil || o.gone.Load() || old(o.seen.Load(), freshness) {
		return nil
	}
	return o
}

// object finds the key of that name in the slot.
func (s *slot) object(ctx context.Context, name string) (o *object, err error) {
	if c := s.conn.Load(); c != nil && c.current() {
		if o := c.remembered(name); o != nil {
			return o, nil
		}
	}
	err = s.do(ctx, func(c *connection, ss session) error {
		o, err = c.lookup(ctx, ss, name)
		return err
	})
	return o, s.tell(err)
}

// lookup is the object of that name: as it is remembered, if the token confirms it, else as it is found.
func (c *connection) lookup(ctx context.Context, s session, name string) (*object, error) {
	c.mu.Lock()
	o := c.objects[name]
	c.mu.Unlock()
	if o != nil && !o.gone.Load() {
		same, err := c.confirm(s, o)
		if err != nil {
			return nil, err
		}
		if same {
			return o, nil
		}
		c.forget(o)
	}
	if err := c.slot.look(ctx); err != nil {
		return nil, err
	}
	defer c.slot.contents.leave()
	o, err := c.find(s, name)
	if err != nil {
		return nil, err
	}
	c.remember(o)
	return o, nil
}

// confirm asks the token whether a handle still is that object. The error of one that is not is none: false.
func (c *connection) confirm(s session, o *object) (bool, error) {
	types := []uint{pkcs11.CKA_CLASS, pkcs11.CKA_LABEL, pkcs11.CKA_ID}
	if c.proof.reuses { // it may be that of another key of the name by now
		types = described
	}
	t, err := c.module.lib.attributes(s, o.handle, types)
	if faultOf(err) == faultObject {
		c.forget(o)
		return false, err // the session saw an error: run again on another one
	}
	if err != nil {
		return false, err
	}
	if t.number(pkcs11.CKA_CLASS) != o.class || string(t.get(pkcs11.CKA_LABEL)) != o.label || string(t.get(pkcs11.CKA_ID)) != o.id {
		return false, nil
	}
	if c.proof.reuses {
		if again := c.objectOf(o.handle, t); !again.same(o) || !bytes.Equal(again.check, o.check) {
			return false, nil
		}
	}
	o.seen.Store(time.Now().UnixNano())
	return true, nil
}

// find asks the token for the one key of that name. Not found is believed only of a token that shows that it lives and that
// the user is logged in.
func (c *connection) find(s session, name string) (*object, error) {
	found, err := c.matches(s, name)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if err := c.alive(s); err != nil {
			return nil, err
		}
		return nil, kmip.NotFound(c.slot.identifier(name))
	}
	return nil, c.ambiguous(name, found)
}

// list finds token objects.
func (c *connection) list(s session, t template, most int) ([]handle, error) {
	handles, err := c.module.lib.find(s, append(template{{pkcs11.CKA_TOKEN, flag(true)}}, t...), most)
	if err != nil {
		return nil, c.disturbed(s, err)
	}
	return handles, nil
}

// described finds token objects and reads them.
func (c *connection) described(s session, t template, most int) ([]*object, error) {
	handles, err := c.list(s, t, most)
	if err != nil {
		return nil, err
	}
	return c.read(s, handles)
}

// read describes objects, with other sessions besides s where the calls wait for a device and sessions are free.
func (c *connection) read(s session, handles []handle) ([]*object, error) {
	all := make([]*object, len(handles))
	var next atomic.Int64
	var failure atomic.Pointer[error]
	run := func(s session) error {
		for i := int(next.Add(1)) - 1; i < len(handles) && failure.Load() == nil; i = int(next.Add(1)) - 1 {
			var err error
			if all[i], err = c.describe(s, handles[i]); err != nil {
				failure.CompareAndSwap(nil, &err)
				return err
			}
		}
		return nil
	}
	var others sync.WaitGroup
	for range c.spare(len(handles)) {
		others.Go(func() { c.besides(run) })
	}
	err := run(s)
	others.Wait()
	if failure := failure.Load(); failure != nil && err == nil {
		err = *failure
	}
	if err != nil {
		return nil, c.disturbed(s, err)
	}
	return all, nil
}

// mostReaders is how many sessions read the objects of a token at once.
const mostReaders = 16

// spare is how many more sessions are good for reading so many objects: none where the calls compute here, and no more than half of
// those that are free.
func (c *connection) spare(objects int) int {
	return max(0, min(mostReaders, objects/8, int(c.module.symmetric.Load()), (cap(c.tickets)-len(c.tickets))/2)-1)
}

// besides runs f with a session of its own, if there is one at once.
func (c *connection) besides(f func(session) error) {
	select {
	case c.tickets <- struct{}{}:
		defer func() { <-c.tickets }()
	default:
		return
	}
	if !c.module.gate.TryAcquire(1) {
		return
	}
	defer c.module.gate.leave()
	s, err := c.take()
	if err != nil {
		return
	}
	c.put(s, f(s) == nil)
}

// disturbed makes an error of a search that is worth another try of one that another process caused by changing the token's
// objects meanwhile: SoftHSM 2.6.1 then says anything. A token that is gone is told apart.
func (c *connection) disturbed(s session, err error) error {
	switch faultOf(err) {
	case faultVague, faultObject, faultNone:
		if dead := c.alive(s); dead != nil {
			return dead
		}
		return again{err}
	}
	return err
}

// again is an error after which the same is tried again on another session.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

func (c *connection) remember(o *object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects != nil {
		c.objects[o.name] = o
	}
}

// forget drops an object whose handle means nothing any more.
func (c *connection) forget(o *object) {
	o.gone.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects[o.name] == o {
		delete(c.objects, o.name)
	}
	c.changed()
}

// changed marks the list of objects as old. The caller holds c.mu.
func (c *connection) changed() {
	c.changes++
	c.catalog = nil
}

// wantsPIN says whether the token wants the PIN for each use of the key. It would answer as if nobody were logged in, and the server would
// log in again, for everybody.
func (o *object) wantsPIN() bool { return o.is(pkcs11.CKA_ALWAYS_AUTHENTICATE, false) }

// same says whether two objects can be one key, found twice.
func (o *object) same(p *object) bool {
	if o.class != p.class || o.kind != p.kind || o.bits != p.bits || o.id != p.id {
		return false
	}
	a, b := o.public, p.public
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return publicEqual(a, b)
}

func publicEqual(a, b crypto.PublicKey) bool {
	x, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && x.Equal(b)
}
