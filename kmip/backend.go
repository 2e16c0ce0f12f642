package kmip

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/kmip/ttlv"
)

// A Key computes with key material that it does not give away. Its methods are safe for concurrent use, keep none of
// their arguments, and answer results that the caller owns. A method that a kind of key lacks returns *Operation Not
// Supported*: embed Unsupported for it.
type Key interface {
	Encrypt(context.Context, *EncryptRequest) (*EncryptResponse, error)
	Decrypt(context.Context, *DecryptRequest) (*DecryptResponse, error)
	Sign(context.Context, *SignRequest) (*SignResponse, error)
	SignatureVerify(context.Context, *SignatureVerifyRequest) (*SignatureVerifyResponse, error)
	MAC(context.Context, *MACRequest) (*MACResponse, error)

	// Wrap protects the material of another key. The parameters choose the mechanism: Block Cipher Mode GCM (the
	// answer is 12 bytes of IV, the ciphertext, 16 bytes of tag), NISTKeyWrap (RFC 3394), AESKeyWrapPadding
	// (RFC 5649), or Padding Method OAEP with a Hashing Algorithm.
	Wrap(ctx context.Context, p *CryptographicParameters, material []byte) ([]byte, error)

	// Unwrap gives the material back; the caller clears it. On the public half of a pair it computes with the
	// private half, where the backend has it.
	Unwrap(ctx context.Context, p *CryptographicParameters, wrapped []byte) ([]byte, error)
}

// An Object is what the server may know of a managed object without touching its material. An Object that a Backend
// gave out is shared and never changed: to change one, change a Clone and hand that to Update.
type Object struct {
	UniqueIdentifier string
	Owners           []string // identities; none for a key in a token, whose administrators own it
	Grants           []Grant
	Attributes       Attributes
	Key              Key   // lazy: looking an object up unwraps nothing; nil for objects that are no keys
	Revision         int64 // of the stored attributes; Update refuses an older one
}

// Clone is a copy of o whose lists may be changed.
func (o *Object) Clone() *Object {
	c := *o
	c.Owners, c.Grants, c.Attributes = slices.Clone(o.Owners), slices.Clone(o.Grants), slices.Clone(o.Attributes)
	return &c
}

// Owner is the one owner of an object in the database, "" without one.
func (o *Object) Owner() string {
	if len(o.Owners) == 0 {
		return ""
	}
	return o.Owners[0]
}

// ObjectType is the object's type, 0 when it is not known.
func (o *Object) ObjectType() ObjectType {
	t, _ := Get[ObjectType](o.Attributes, ttlv.TagObjectType)
	return t
}

// State is the object's state at the time now: the dates that drive it (KMIP 2.1 §4.57) are compared at use.
func (o *Object) State(now time.Time) State { return o.Attributes.State(now) }

// A Grant lets a grantee (an identity, or "*") perform one operation on one object.
type Grant struct {
	Grantee   string
	Operation Operation
}

// A Record is what is kept in the database about an object that lives elsewhere, in a token.
type Record struct {
	Attributes  Attributes
	Grants      []Grant
	Fingerprint string // of the key that all this is about; "" where it is not known
	Revision    int64  // 0: nothing is stored yet
}

// A Search is what Locate asks of a backend. Every attribute must match; Identity sees what it owns and what it was
// granted some operation on.
type Search struct {
	Identity   string
	Admin      bool            // Identity administers HSM keys: it sees every key in a token
	Slots      map[uint32]bool // whether it administers a slot, of those for which Admin does not say
	Attributes Attributes
	Condition  func(*Object) bool // what must hold beside; it is told the identifier and the stored attributes. nil: nothing
	Hidden     []ObjectType       // types of objects that are not to be found
	Storage    StorageStatusMask  // 0: on-line objects
	Offset     int                // matches to leave out, the newest
	Most       int                // answers wanted, 0 for as many as the backend gives
}

// Administers says whether who searches administers the slot of a key.
func (s *Search) Administers(slot uint32) bool {
	if own, ok := s.Slots[slot]; ok {
		return own
	}
	return s.Admin
}

// Admits says whether the condition holds.
func (s *Search) Admits(o *Object) bool { return s.Condition == nil || s.Condition(o) }

// Found is what a Search found.
type Found struct {
	Objects []Located // newest first
	Total   int       // how many match in all; -1 where nobody counted them
}

// A Located object is one that a Search found.
type Located struct {
	UniqueIdentifier string
	InitialDate      time.Time
}

// A Backend keeps managed objects. Errors that concern the caller are *Error: Object Not Found for an identifier
// that is not there, Object Already Exists for one in use, Sensitive or Not Extractable for material that must stay.
type Backend interface {
	// Generate makes the key that o.Attributes describe (Object Type, Cryptographic Algorithm, Cryptographic
	// Length, Cryptographic Usage Mask, …) and keeps it under o.UniqueIdentifier.
	Generate(ctx context.Context, o *Object) error

	// GeneratePair does so for the two halves of a pair, both or neither.
	GeneratePair(ctx context.Context, private, public *Object) error

	// Register keeps material that comes from outside.
	Register(ctx context.Context, o *Object, v *Value) error

	// Object looks an object up. It does not unwrap.
	Object(ctx context.Context, uid string) (*Object, error)

	// Value gives the material in clear. The caller clears it.
	Value(ctx context.Context, o *Object) (*Value, error)

	// Update writes o.Attributes, if o.Revision is still the stored one; else the error is ErrConflict.
	Update(ctx context.Context, o *Object) error

	// SetGrants writes o.Grants under the same condition.
	SetGrants(ctx context.Context, o *Object) error

	// Destroy removes the material, and the grants with it.
	Destroy(ctx context.Context, o *Object) error

	// Locate finds what matches.
	Locate(ctx context.Context, s *Search) (*Found, error)
}

// Wrapping is a Backend that knows what keys wrap at rest.
type Wrapping interface {
	// WrappedBy counts the objects that are lost when that key is.
	WrappedBy(ctx context.Context, uid string) (int, error)
}

// A Carrier is a Backend that gives keys out, and takes them in, wrapped by another of its keys: their material is in clear there
// and nowhere else. Where it cannot, the error is a *CannotCarry, and nothing has happened.
type Carrier interface {
	// ValueWrapped gives the material of o, wrapped by another key, in the format in which Value gives it: in a Key Block
	// without Key Wrapping Data.
	ValueWrapped(ctx context.Context, o, by *Object, p *CryptographicParameters) (*Value, error)

	// RegisterWrapped keeps v, which is wrapped by another key, unwrapped.
	RegisterWrapped(ctx context.Context, o *Object, v *Value, by *Object, p *CryptographicParameters) error
}

// A CannotCarry says why a Carrier cannot carry a key.
type CannotCarry struct{ Why error }

func (e *CannotCarry) Error() string { return e.Why.Error() }

func (e *CannotCarry) Unwrap() error { return e.Why }

// Replacing is a backend that can put another object in the place of one that is there, or was.
type Replacing interface {
	// Replace keeps o and its material under the identifier of old, of which nothing is left, if old.Revision is still the stored one; else
	// the error is ErrConflict.
	Replace(ctx context.Context, old, o *Object, v *Value) error
}

// Settings keeps, by name, what administrators set for all objects.
type Settings interface {
	// Setting is what is kept under a name, nil for nothing, and its revision. The value is shared.
	Setting(ctx context.Context, name string) (value []byte, revision int64, err error)

	// PutSetting keeps a value, nil for none, if the revision is the stored one; else the error is ErrConflict.
	PutSetting(ctx context.Context, name string, value []byte, revision int64) error
}

// Access lists grants by who holds them, over all backends.
type Access interface {
	// Owned lists the identifiers of the objects that identity owns; Obtained those it was granted operations on,
	// with the operations. HSM keys have no stored owner: every hsm_admin owns them.
	Owned(ctx context.Context, identity string) ([]string, error)
	Obtained(ctx context.Context, identity string) ([]Granted, error)
}

// Granted is one object and the operations on it that somebody holds.
type Granted struct {
	UniqueIdentifier string
	Operations       []Operation
}

// HSMKey says whether an identifier names a key in a token, and which slot and label: `hsm::<slot>::<label>`. The slot
// is the number of a configured slot, in decimal without sign or leading zeros; the label is 1 to 255 bytes of UTF-8 and
// may itself contain "::". An identifier that begins with "hsm::" and is neither is an error, never a database key.
func HSMKey(uid string) (slot uint32, label string, ok bool, err error) {
	rest, ok := strings.CutPrefix(uid, "hsm::")
	if !ok {
		return 0, "", false, nil
	}
	digits, label, found := strings.Cut(rest, "::")
	if !found || label == "" || len(label) > 255 {
		return 0, "", true, Errorf(ResultReasonInvalidField, "%q: an HSM key is named hsm::<slot>::<label>, with a label of 1 to 255 bytes", clip(uid))
	}
	slot, good := decimal(digits)
	if !good {
		return 0, "", true, Errorf(ResultReasonInvalidField, "%q: the slot of an HSM key is a decimal number below 2^32", clip(uid))
	}
	return slot, label, true, nil
}

// likeHSMKey says whether an identifier was meant for a key in a token, and names none: "HSM::4::k".
func likeHSMKey(uid string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(uid)), "hsm::") && !strings.HasPrefix(uid, "hsm::")
}

// HSMIdentifier is the identifier of the HSM key that has that label in that slot: what HSMKey takes apart.
func HSMIdentifier(slot uint32, label string) string {
	return "hsm::" + strconv.FormatUint(uint64(slot), 10) + "::" + label
}

// decimal reads a number below 2^32 that has exactly one spelling.
func decimal(s string) (uint32, bool) {
	if s == "" || len(s) > 10 || (len(s) > 1 && s[0] == '0') {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n < 1<<32
}

// clip keeps an identifier in a message short.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
