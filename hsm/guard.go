package hsm

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// A Guard is a key in a token that protects the server's root key, with a second one where its mechanism needs a MAC. It is found
// anew at each use: it is used when the server starts, and to see whether it still could be. It is safe for concurrent use.
type Guard struct {
	log       *slog.Logger
	slot      *slot
	serial    string // of its token
	key, mac  guardKey
	mechanism guardMechanism
}

// A guardKey names an object in the token.
type guardKey struct{ label, id string }

func (k guardKey) reference(serial string) string {
	return fmt.Sprintf("%s%s:%s:%x", guardReference, serial, k.label, k.id)
}

// guardReference begins the references of keys in tokens.
const guardReference = "p11:"

// A GuardName says which key in a slot's token is to be a Guard, and how.
type GuardName struct {
	Slot      uint32
	Label     string
	ID        []byte // CKA_ID; nil where the label is enough
	Mechanism string // "auto" (or ""), CKM_AES_GCM, CKM_RSA_PKCS_OAEP, CKM_AES_CBC_PAD, or the number of one
	Hash      string // of RSA-OAEP: sha256 (or "") or sha1
}

// macSuffix ends the label of the key for the MAC.
const macSuffix = "_HMAC"

// A guardMechanism is one way to protect 32 bytes.
type guardMechanism struct {
	name   string // as the seal calls it
	ckm    uint
	kind   uint   // CKK_ of the key
	hash   string // of OAEP
	digest int    // its row in digests
}

// guardMechanisms are all there are, the best first.
var guardMechanisms = []guardMechanism{
	{"CKM_AES_GCM", pkcs11.CKM_AES_GCM, pkcs11.CKK_AES, "", 0},
	{"CKM_AES_CBC_PAD", pkcs11.CKM_AES_CBC_PAD, pkcs11.CKK_AES, "", 0},
	{"RSA-OAEP-SHA256", pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.CKK_RSA, "sha256", 0},
	{"RSA-OAEP-SHA1", pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.CKK_RSA, "sha1", 3},
}

// A NotOneError says that a token has no key of a label, or several.
type NotOneError struct {
	Label string
	Keys  int
}

// Error says so.
func (e NotOneError) Error() string {
	if e.Keys == 0 {
		return "no key found for the label: " + e.Label
	}
	return fmt.Sprintf("more than 1 key has the label %s: say which with key_id", e.Label)
}

// ParseGuardMechanism gives the number of a mechanism, written as a name, in hexadecimal or in decimal; 0 for auto.
func ParseGuardMechanism(text string) (uint, error) {
	if text == "" || strings.EqualFold(text, "auto") {
		return 0, nil
	}
	for _, m := range guardMechanisms {
		name := mechanismName(m.ckm)
		if strings.EqualFold(text, name) || strings.EqualFold(text, strings.TrimPrefix(name, "CKM_")) ||
			strings.EqualFold(text, fmt.Sprintf("0x%X", m.ckm)) || strings.EqualFold(text, fmt.Sprintf("0x%08X", m.ckm)) || text == fmt.Sprint(m.ckm) {
			return m.ckm, nil
		}
	}
	return 0, invalid("the mechanism %q does not protect a root key: auto, CKM_AES_GCM (0x1087), CKM_RSA_PKCS_OAEP (0x9) and CKM_AES_CBC_PAD (0x1085) do", text)
}

// Guard finds the key that an operator names, and the mechanism that is asked for: with auto the first that works, for which
// something is wrapped and unwrapped. A key without an attribute that is needed is refused.
func (h *HSM) Guard(ctx context.Context, n GuardName) (*Guard, error) {
	ckm, err := ParseGuardMechanism(n.Mechanism)
	if err != nil {
		return nil, err
	}
	s := h.slots[n.Slot]
	if s == nil {
		return nil, h.unknown(n.Slot)
	}
	hash := cmp.Or(n.Hash, "sha256")
	var failures, others []error
	for _, m := range guardMechanisms {
		if ckm != 0 && (m.ckm != ckm || m.hash != "" && m.hash != hash) {
			continue
		}
		g := &Guard{log: h.log, slot: s, mechanism: m}
		g.key.label, g.mac.label, g.key.id = n.Label, n.Label+macSuffix, string(n.ID)
		err := g.bind(ctx, n.ID != nil)
		if err == nil {
			err = g.test(ctx)
		}
		switch {
		case err == nil:
			return g, nil
		case errors.As(err, new(NotOneError)) || s.conn.Load() == nil:
			return nil, err // nor would another mechanism do
		case errors.Is(err, errOtherKind):
			others = append(others, err)
		default:
			failures = append(failures, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	if len(failures) == 0 {
		failures = others[:min(1, len(others))]
	}
	return nil, errors.Join(failures...)
}

var errOtherKind = errors.New("the key is of another type")

// GuardOf is the Guard that a reference names, in whichever configured slot its token is.
func (h *HSM) GuardOf(ctx context.Context, reference, macReference, mechanism string) (*Guard, error) {
	var away []error
	for _, number := range h.Slots() {
		s := h.slots[number]
		c, err := s.connection(ctx)
		if err != nil {
			away = append(away, s.tell(err))
			continue
		}
		key, ok := parseGuard(reference, c.token.Serial)
		if !ok {
			continue
		}
		g := &Guard{log: h.log, slot: s, serial: c.token.Serial, key: key}
		for _, m := range guardMechanisms {
			if m.name == mechanism {
				g.mechanism = m
			}
		}
		if g.mac, ok = parseGuard(macReference, c.token.Serial); g.mechanism.name == "" || ok == (macReference == "") {
			return nil, invalid("%s: what is recorded of it is not understood", reference)
		}
		return g, nil
	}
	if len(away) > 0 {
		return nil, errors.Join(away...)
	}
	return nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "no slot of the configuration has the token of that serial number")
}

// Serial is the serial number of a slot's token.
func (h *HSM) Serial(ctx context.Context, number uint32) (string, error) {
	s := h.slots[number]
	if s == nil {
		return "", h.unknown(number)
	}
	c, err := s.connection(ctx)
	if err != nil {
		return "", s.tell(err)
	}
	return c.token.Serial, nil
}

// parseGuard takes a reference to a key in the token of a serial number apart. A label may have colons in it.
func parseGuard(reference, serial string) (k guardKey, ok bool) {
	rest, ok := strings.CutPrefix(reference, guardReference+serial+":")
	at := strings.LastIndexByte(rest, ':')
	if !ok || at < 0 {
		return k, false
	}
	id, err := hex.DecodeString(rest[at+1:])
	return guardKey{rest[:at], string(id)}, err == nil
}

// Reference names the key: p11:<token serial>:<label>:<CKA_ID in hexadecimal>.
func (g *Guard) Reference() string { return g.key.reference(g.serial) }

// MACReference names the key for the MAC; "" without.
func (g *Guard) MACReference() string {
	if g.mechanism.ckm != pkcs11.CKM_AES_CBC_PAD {
		return ""
	}
	return g.mac.reference(g.serial)
}

// Mechanism is the name of the one in use.
func (g *Guard) Mechanism() string { return g.mechanism.name }

// Slot is the number of the slot.
func (g *Guard) Slot() uint32 { return g.slot.Number }

// Label is the key's label.
func (g *Guard) Label() string { return g.key.label }

// use runs f with the key, and the one for the MAC where there is one, on the connection to the right token.
func (g *Guard) use(ctx context.Context, f func(c *connection, s session, key, mac *object) error) error {
	err := g.slot.do(ctx, func(c *connection, s session) error {
		if c.token.Serial != g.serial {
			return kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot %d: its token is %s, and the key is in the one of the serial number %s", g.slot.Number, c.token.Serial, g.serial)
		}
		key, err := c.guardKey(ctx, s, g.key, true, g.mechanism.kind)
		if err != nil {
			return err
		}
		var mac *object
		if g.MACReference() != "" {
			if mac, err = c.guardKey(ctx, s, g.mac, true, pkcs11.CKK_GENERIC_SECRET); err != nil {
				return err
			}
		}
		return f(c, s, key, mac)
	})
	return g.slot.tell(err)
}

// bind finds the objects, and what they need to have.
func (g *Guard) bind(ctx context.Context, exact bool) error {
	err := g.slot.do(ctx, func(c *connection, s session) error {
		g.serial = c.token.Serial
		o, err := c.guardKey(ctx, s, g.key, exact, g.mechanism.kind)
		if err != nil {
			return err
		}
		g.key.id = o.id
		needs := []uint{pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT}
		if g.mechanism.kind == pkcs11.CKK_RSA {
			needs = needs[1:]
		}
		if err := g.allows(o, needs...); err != nil || g.mechanism.ckm != pkcs11.CKM_AES_CBC_PAD {
			return err
		}
		if o, err = c.guardKey(ctx, s, g.mac, false, pkcs11.CKK_GENERIC_SECRET); err != nil {
			return err
		}
		g.mac.id = o.id
		return g.allows(o, pkcs11.CKA_SIGN)
	})
	return g.slot.tell(err)
}

// allows refuses a key that lacks an attribute that is used, and warns of one that could leave the token.
func (g *Guard) allows(o *object, needs ...uint) error {
	if o.wantsPIN() {
		return invalid("the key %q in slot %d cannot protect anything: the token wants the PIN for each use of it (CKA_ALWAYS_AUTHENTICATE)", o.label, g.slot.Number)
	}
	for _, n := range needs {
		if !o.is(n, true) {
			return invalid("the key %q in slot %d has no %s, which protecting by %s needs", o.label, g.slot.Number, attributeName(n), g.mechanism.name)
		}
	}
	if o.is(pkcs11.CKA_EXTRACTABLE, false) || !o.is(pkcs11.CKA_SENSITIVE, true) {
		g.log.Warn("the key that protects the root key may leave its token", "slot", g.slot.Number, "key", o.label)
	}
	return nil
}

// guardKey finds the one key of a label, and with exact of a CKA_ID, that is secret or private.
func (c *connection) guardKey(ctx context.Context, s session, k guardKey, exact bool, kind uint) (*object, error) {
	if err := c.slot.look(ctx); err != nil {
		return nil, err
	}
	defer c.slot.contents.leave()
	search := template{{pkcs11.CKA_LABEL, []byte(k.label)}}
	if exact {
		search = append(search, attribute{pkcs11.CKA_ID, []byte(k.id)})
	}
	found, err := c.described(s, search, 64)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(o *object) bool { return o.class != pkcs11.CKO_SECRET_KEY && o.class != pkcs11.CKO_PRIVATE_KEY })
	switch {
	case len(found) == 0:
		if err := c.alive(s); err != nil {
			return nil, err
		}
		fallthrough
	case len(found) > 1:
		return nil, kmip.Errorf(kmip.ResultReasonObjectNotFound, "slot %d: %w", c.slot.Number, NotOneError{k.label, len(found)})
	case found[0].kind != kind && !(kind == pkcs11.CKK_GENERIC_SECRET && found[0].kind == pkcs11.CKK_SHA256_HMAC):
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "slot %d: %q is a key of the type %s: %w", c.slot.Number, k.label, keyTypes[found[0].kind], errOtherKind)
	}
	return found[0], nil
}

// test wraps something and unwraps it.
func (g *Guard) test(ctx context.Context) error {
	secret := make([]byte, 32)
	rand.Read(secret)
	wrapped, err := g.Wrap(ctx, secret, []byte("test"))
	if err != nil {
		return err
	}
	back, err := g.Unwrap(ctx, g.mechanism.name, wrapped, []byte("test"))
	if err == nil && subtle.ConstantTimeCompare(back, secret) != 1 {
		err = unsupported("slot %d: what %s unwraps is not what it wrapped", g.slot.Number, g.mechanism.name)
	}
	clear(back)
	clear(secret)
	return err
}

// Wrap protects 32 bytes, and with AES others with them.
func (g *Guard) Wrap(ctx context.Context, key, authenticated []byte) (wrapped []byte, err error) {
	err = g.use(ctx, func(c *connection, s session, o, mac *object) error {
		switch g.mechanism.ckm {
		case pkcs11.CKM_AES_GCM:
			wrapped, err = c.guardGCM(s, o, key, authenticated)
		case pkcs11.CKM_AES_CBC_PAD:
			wrapped, err = c.guardCBC(s, o, mac, key, authenticated)
		default:
			wrapped, err = seal(g.slot.Random, o.public, g.parameters(), key)
		}
		return err
	})
	return wrapped, err
}

// parameters are those of RSA-OAEP.
func (g *Guard) parameters() *kmip.CryptographicParameters {
	return &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: digests[g.mechanism.digest].name}
}

// guardGCM gives IV, ciphertext and tag. The IV is read back: some tokens choose their own.
func (c *connection) guardGCM(s session, o *object, key, authenticated []byte) ([]byte, error) {
	m := mechanism{Type: pkcs11.CKM_AES_GCM, Parameter: parameterGCM, IV: make([]byte, 12), Extra: authenticated}
	if _, err := io.ReadFull(c.slot.Random, m.IV); err != nil {
		return nil, err
	}
	out, err := c.module.lib.encrypt(s, &m, o.handle, key, len(key)+32)
	if err != nil {
		return nil, err
	}
	return append(m.IV, out...), nil
}

// guardCBC gives IV, ciphertext and MAC.
func (c *connection) guardCBC(s session, o, mac *object, key, authenticated []byte) ([]byte, error) {
	m := mechanism{Type: pkcs11.CKM_AES_CBC_PAD, Parameter: parameterIV, IV: make([]byte, 16)}
	if _, err := io.ReadFull(c.slot.Random, m.IV); err != nil {
		return nil, err
	}
	out, err := c.module.lib.encrypt(s, &m, o.handle, key, len(key)+32)
	if err != nil {
		return nil, err
	}
	sealed := append(m.IV, out...)
	tag, err := c.guardMAC(s, mac, authenticated, sealed)
	return append(sealed, tag...), err
}

// guardMAC is HMAC-SHA256 over both.
func (c *connection) guardMAC(s session, mac *object, authenticated, sealed []byte) ([]byte, error) {
	m := mechanism{Type: pkcs11.CKM_SHA256_HMAC}
	return c.module.lib.sign(s, &m, mac.handle, append(append([]byte{}, authenticated...), sealed...), 32)
}

// Unwrap gives the 32 bytes back, as the mechanism of that name wrapped them. Whatever is wrong with them, the answer is the same.
func (g *Guard) Unwrap(ctx context.Context, name string, wrapped, authenticated []byte) (key []byte, err error) {
	refused := kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	if name != g.mechanism.name {
		return nil, refused
	}
	good := true
	err = g.use(ctx, func(c *connection, s session, o, mac *object) error {
		switch g.mechanism.ckm {
		case pkcs11.CKM_AES_GCM:
			if good = len(wrapped) == 12+32+16; good {
				m := mechanism{Type: pkcs11.CKM_AES_GCM, Parameter: parameterGCM, IV: append([]byte{}, wrapped[:12]...), Extra: authenticated}
				key, err = c.module.lib.decrypt(s, &m, o.handle, wrapped[12:], len(wrapped))
			}
		case pkcs11.CKM_AES_CBC_PAD:
			key, good, err = c.openCBC(s, o, mac, wrapped, authenticated)
		default:
			key, good, err = g.openRSA(c, s, o, wrapped)
		}
		if badData(err) {
			good, err = false, nil
			return c.alive(s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if !good || len(key) != 32 {
		clear(key)
		return nil, refused
	}
	return key, nil
}

// openCBC checks the MAC before the token decrypts, so that nothing is learned from the padding.
func (c *connection) openCBC(s session, o, mac *object, wrapped, authenticated []byte) (key []byte, good bool, err error) {
	at := len(wrapped) - 32
	if at != 16+48 {
		return nil, false, nil
	}
	tag, err := c.guardMAC(s, mac, authenticated, wrapped[:at])
	if err != nil {
		return nil, false, fmt.Errorf("computing the MAC: %w", err)
	}
	if subtle.ConstantTimeCompare(tag, wrapped[at:]) != 1 {
		return nil, false, nil
	}
	m := mechanism{Type: pkcs11.CKM_AES_CBC_PAD, Parameter: parameterIV, IV: append([]byte{}, wrapped[:16]...)}
	key, err = c.module.lib.decrypt(s, &m, o.handle, wrapped[16:at], at)
	return key, true, err
}

// openRSA decrypts natively, or without padding where the token does OAEP wrong. A token that does neither says itself why.
func (g *Guard) openRSA(c *connection, s session, o *object, wrapped []byte) (key []byte, good bool, err error) {
	size := (int(o.bits) + 7) / 8
	if len(wrapped) != size {
		return nil, false, nil
	}
	pad := padding{oaep: true, hash: g.mechanism.digest, mask: g.mechanism.digest}
	m, raw, err := c.decryption(pad)
	if err != nil {
		d := &digests[pad.hash]
		m, raw = mechanism{Type: pkcs11.CKM_RSA_PKCS_OAEP, Parameter: parameterOAEP, Hash: d.ckm, MGF: d.mgf}, false
	}
	if key, err = c.module.lib.decrypt(s, &m, o.handle, wrapped, size); err != nil {
		return nil, false, err
	}
	if raw {
		key, good = unpadRaw(key, size, pad)
		return key, good, nil
	}
	return key, true, nil
}
