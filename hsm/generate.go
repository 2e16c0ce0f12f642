package hsm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// This file makes keys for operators: with a template for each purpose, and read back from the token.

// A Purpose is what a key is made for. Each has templates of its own. No key both decrypts and unwraps: with both a token would
// give away in clear what it wrapped.
type Purpose string

// The purposes.
const (
	PurposeSeal     Purpose = "seal"     // protects the root key: C_Encrypt and C_Decrypt; an HMAC key C_Sign and C_Verify
	PurposeWrapping Purpose = "wrapping" // protects keys: C_WrapKey and C_UnwrapKey only
	PurposeData     Purpose = "data"     // for clients: all that the algorithm has, but no wrapping
)

// A NewKey is a key that an operator wants in a token. It stays there: private, sensitive, not extractable.
type NewKey struct {
	Label     string // CKA_LABEL, and CKA_ID; the public half of a pair is labelled with "_pk" behind it
	Algorithm string // aes, hmac, rsa, ec or ed25519; "" means aes
	Bits      int32  // 0 means 256, and of rsa 3072
	Purpose   Purpose

	// Begin is called once the label is known to be free, before the key is there; its error ends the matter. It may be nil.
	Begin func() error
}

// A MadeKey is a new key as its token tells it.
type MadeKey struct {
	KeyInfo
	Attributes []ReadAttribute `json:"attributes"` // all that it was made with
}

// A ReadAttribute is an attribute as a token tells it.
type ReadAttribute struct {
	Name  string `json:"name"`  // CKA_
	Value string `json:"value"` // true, false, a number, a text or 0x and hexadecimal; "" where the token does not tell
}

// An operatorAlgorithm is an algorithm of the keys that operators make, and what a key is allowed for each purpose: the secret
// or private key is allowed what is listed, and nothing else.
type operatorAlgorithm struct {
	algorithm kmip.CryptographicAlgorithm
	bits      int32
	uses      map[Purpose][]uint
}

var operatorAlgorithms = map[string]operatorAlgorithm{
	"aes": {kmip.CryptographicAlgorithmAES, 256, map[Purpose][]uint{
		PurposeSeal:     {pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT},
		PurposeWrapping: {pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP},
		PurposeData:     {pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY}, // CMAC signs
	}},
	"hmac": {kmip.CryptographicAlgorithmHMACSHA256, 256, map[Purpose][]uint{
		PurposeSeal: {pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY},
		PurposeData: {pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY},
	}},
	"rsa": {kmip.CryptographicAlgorithmRSA, 3072, map[Purpose][]uint{
		PurposeSeal:     {pkcs11.CKA_DECRYPT},
		PurposeWrapping: {pkcs11.CKA_UNWRAP},
		PurposeData:     {pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN},
	}},
	"ec":      {kmip.CryptographicAlgorithmECDSA, 256, map[Purpose][]uint{PurposeData: {pkcs11.CKA_SIGN}}},
	"ed25519": {kmip.CryptographicAlgorithmEd25519, edwardsBits, map[Purpose][]uint{PurposeData: {pkcs11.CKA_SIGN}}},
}

// publicUse gives what a public key does where its private half does the other.
var publicUse = map[uint]uint{pkcs11.CKA_DECRYPT: pkcs11.CKA_ENCRYPT, pkcs11.CKA_UNWRAP: pkcs11.CKA_WRAP, pkcs11.CKA_SIGN: pkcs11.CKA_VERIFY}

// The uses that are said of every key of a class, true or false: what is not said is up to the token.
var (
	secretUses  = []uint{pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP}
	privateUses = []uint{pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_UNWRAP}
	publicUses  = []uint{pkcs11.CKA_ENCRYPT, pkcs11.CKA_VERIFY, pkcs11.CKA_WRAP}
)

// A recipe is how the objects of a new key are made: one, or the private and the public half of a pair.
type recipe struct {
	mechanism uint
	names     []string
	templates []template
}

// recipe reads what an operator wants.
func (k NewKey) recipe(number uint32) (*recipe, error) {
	known, ok := operatorAlgorithms[cmp.Or(k.Algorithm, "aes")]
	if !ok {
		return nil, invalid("a key for %q is not made: aes, hmac, rsa, ec and ed25519 are the algorithms", k.Algorithm)
	}
	uses, ok := known.uses[k.Purpose]
	switch {
	case !slices.Contains([]Purpose{PurposeSeal, PurposeWrapping, PurposeData}, k.Purpose):
		return nil, invalid("%q is no purpose: seal, wrapping and data are", k.Purpose)
	case !ok:
		return nil, invalid("a key for %s is of no use for %s", k.Algorithm, k.Purpose)
	case strings.HasSuffix(k.Label, publicSuffix):
		return nil, invalid("the label %q ends with %q, which public halves do", k.Label, publicSuffix)
	}
	uid := kmip.HSMIdentifier(number, k.Label)
	if _, _, _, err := kmip.HSMKey(uid); err != nil {
		return nil, err
	}
	if err := kmip.CheckIdentifier(uid); err != nil {
		return nil, err
	}
	a := kmip.Attributes{}.With(tagAlgorithm, known.algorithm).With(tagLength, cmp.Or(k.Bits, known.bits))
	if _, hmac := hmacs[known.algorithm]; !hmac && known.algorithm != kmip.CryptographicAlgorithmAES {
		return pairRecipe(k.Label, a, uses)
	}
	m, err := secretKey(k.Label, a)
	if err != nil {
		return nil, err
	}
	return &recipe{m.mechanism, []string{k.Label}, []template{m.template.using(secretUses, uses)}}, nil
}

func pairRecipe(label string, a kmip.Attributes, uses []uint) (*recipe, error) {
	mechanism, public, private, err := keyPair(label, label+publicSuffix, a, a)
	if err != nil {
		return nil, err
	}
	var others []uint
	for _, u := range uses {
		others = append(others, publicUse[u])
	}
	return &recipe{mechanism, []string{label, label + publicSuffix},
		[]template{private.using(privateUses, uses), public.using(publicUses, others)}}, nil
}

// using is the template with these uses said, of which those wanted are true.
func (t template) using(said, wanted []uint) template {
	u := slices.DeleteFunc(slices.Clone(t), func(a attribute) bool { return slices.Contains(usageFlags, a.Type) })
	for _, s := range said {
		u = append(u, attribute{s, flag(slices.Contains(wanted, s))})
	}
	return u
}

// MakeKey makes a key, or a pair, in a slot's token and reads it back: a token that made it otherwise than it was asked to does
// not keep it. A label in use is refused with kmip.ErrExists.
func (h *HSM) MakeKey(ctx context.Context, number uint32, k NewKey) (made []MadeKey, err error) {
	s := h.slots[number]
	if s == nil {
		return nil, h.unknown(number)
	}
	r, err := k.recipe(number)
	if err != nil {
		return nil, err
	}
	err = s.make(ctx, r.names, func(c *connection, ss session, try attempt) error {
		for _, name := range r.names {
			if err := c.free(ss, name); err != nil {
				return err
			}
			if err := h.dropRecord(ctx, s.identifier(name)); err != nil {
				return err
			}
		}
		if k.Begin != nil {
			if err := k.Begin(); err != nil {
				return err
			}
		}
		handles, err := try(func() ([]handle, error) { return r.make(c, ss) })
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.changed()
		c.mu.Unlock()
		made, err = r.read(c, ss, handles)
		return err
	})
	return made, err
}

// CheckKey reads a key back that MakeKey was to make: it is an error where the key is not there, or is otherwise than it would be made.
func (h *HSM) CheckKey(ctx context.Context, number uint32, k NewKey) error {
	s := h.slots[number]
	if s == nil {
		return h.unknown(number)
	}
	r, err := k.recipe(number)
	if err != nil {
		return err
	}
	err = s.do(ctx, func(c *connection, ss session) error {
		if err := s.look(ctx); err != nil {
			return err
		}
		defer s.contents.leave()
		for i, name := range r.names {
			found, err := c.find(ss, name)
			if err == nil {
				_, err = c.readBack(ss, found.handle, r.templates[i])
			}
			if err == nil && found.class != pkcs11.CKO_PUBLIC_KEY && !(found.is(pkcs11.CKA_ALWAYS_SENSITIVE, false) && found.is(pkcs11.CKA_NEVER_EXTRACTABLE, false)) {
				err = errors.New("it was not made in the token")
			}
			if err != nil {
				return kmip.Errorf(kmip.ResultReasonGeneralFailure, "%q is there already, and not as it would be made: %w", s.identifier(name), err)
			}
		}
		return nil
	})
	return s.tell(err)
}

// dropRecord drops what the database has of an earlier key of that name, so that no grant of it fits the new one. An operator's
// command has no database.
func (h *HSM) dropRecord(ctx context.Context, uid string) error {
	if h.records == nil {
		return nil
	}
	return h.records.DropRecord(ctx, uid)
}

func (r *recipe) make(c *connection, s session) ([]handle, error) {
	if len(r.templates) == 1 {
		if m := (making{r.mechanism, r.templates[0]}); r.mechanism == pkcs11.CKM_GENERIC_SECRET_KEY_GEN {
			if err := c.proof.authenticates(kmip.CryptographicAlgorithmHMACSHA256, m.bits()); err != nil {
				return nil, err
			}
		}
		h, err := c.module.lib.generate(s, r.mechanism, r.templates[0])
		return []handle{h}, err
	}
	if err := c.spelled(r.templates[1]); err != nil {
		return nil, err
	}
	public, private, err := c.module.lib.generatePair(s, r.mechanism, r.templates[1], r.templates[0])
	return []handle{private, public}, err
}

// read reads the new objects back. If any is not what it was to be, or somebody else made one of its name meanwhile, all of them
// are destroyed.
func (r *recipe) read(c *connection, s session, handles []handle) (made []MadeKey, err error) {
	for i, h := range handles {
		var k MadeKey
		if k, err = c.readBack(s, h, r.templates[i]); err == nil {
			k.UniqueIdentifier = c.slot.identifier(r.names[i])
			err = c.alone(s, r.names[i])
		}
		if err != nil {
			err = fmt.Errorf("making %q: %w", c.slot.identifier(r.names[i]), err)
			break
		}
		made = append(made, k)
	}
	if err == nil {
		return made, nil
	}
	for i, h := range handles {
		if fault := c.module.lib.destroy(s, h); fault != nil {
			err = errors.Join(err, fmt.Errorf("%q is in the token and has to be destroyed by hand: %w", c.slot.identifier(r.names[i]), fault))
		}
	}
	var ck ckError
	if errors.As(err, &ck) {
		return nil, err
	}
	return nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "slot %d: %w", c.slot.Number, err)
}

// alone refuses a new object that is not the only one of its name: two processes may have made one at the same time.
func (c *connection) alone(s session, name string) error {
	found, err := c.matches(s, name)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("there are %d keys of that name: another one was made at the same time", len(found))
	}
	return err
}

// readBack reads an object, and compares it with the template that it was made with.
func (c *connection) readBack(s session, h handle, want template) (MadeKey, error) {
	o, err := c.describe(s, h)
	if err != nil {
		return MadeKey{}, err
	}
	k := MadeKey{KeyInfo: o.info()}
	types := make([]uint, len(want))
	for i, a := range want {
		types[i] = a.Type
	}
	have, err := c.module.lib.attributes(s, h, types)
	if err != nil {
		return k, err
	}
	for _, w := range want {
		value := have.get(w.Type)
		read := ReadAttribute{Name: attributeName(w.Type), Value: attributeText(w.Type, value)}
		k.Attributes = append(k.Attributes, read)
		protects := w.Type == pkcs11.CKA_SENSITIVE || w.Type == pkcs11.CKA_EXTRACTABLE
		switch {
		case value == nil && protects:
			return k, fmt.Errorf("the token does not tell %s", read.Name)
		case value == nil || w.Type == pkcs11.CKA_EC_PARAMS: // which have more than one form
		case !bytes.Equal(bytes.TrimLeft(value, "\x00"), bytes.TrimLeft(w.Value, "\x00")):
			return k, fmt.Errorf("%s is %s, and was to be %s", read.Name, read.Value, attributeText(w.Type, w.Value))
		}
	}
	return k, nil
}

// attributeNames are those of the attributes in templates.
var attributeNames = map[uint]string{
	pkcs11.CKA_CLASS: "CLASS", pkcs11.CKA_KEY_TYPE: "KEY_TYPE", pkcs11.CKA_VALUE_LEN: "VALUE_LEN", pkcs11.CKA_TOKEN: "TOKEN",
	pkcs11.CKA_PRIVATE: "PRIVATE", pkcs11.CKA_LABEL: "LABEL", pkcs11.CKA_ID: "ID", pkcs11.CKA_SENSITIVE: "SENSITIVE",
	pkcs11.CKA_EXTRACTABLE: "EXTRACTABLE", pkcs11.CKA_MODULUS_BITS: "MODULUS_BITS", pkcs11.CKA_PUBLIC_EXPONENT: "PUBLIC_EXPONENT",
	pkcs11.CKA_EC_PARAMS: "EC_PARAMS", pkcs11.CKA_ENCRYPT: "ENCRYPT", pkcs11.CKA_DECRYPT: "DECRYPT", pkcs11.CKA_SIGN: "SIGN",
	pkcs11.CKA_VERIFY: "VERIFY", pkcs11.CKA_WRAP: "WRAP", pkcs11.CKA_UNWRAP: "UNWRAP", pkcs11.CKA_DERIVE: "DERIVE",
}

func attributeName(kind uint) string {
	if name, ok := attributeNames[kind]; ok {
		return "CKA_" + name
	}
	return fmt.Sprintf("0x%X", kind)
}

// attributeText is a value for people.
func attributeText(kind uint, value []byte) string {
	switch {
	case value == nil:
		return ""
	case kind == pkcs11.CKA_LABEL && utf8.Valid(value):
		return string(value)
	case kind == pkcs11.CKA_CLASS || kind == pkcs11.CKA_KEY_TYPE || kind == pkcs11.CKA_VALUE_LEN || kind == pkcs11.CKA_MODULUS_BITS:
		return strconv.FormatUint(uint64(template{{kind, value}}.number(kind)), 10)
	case len(value) == 1 && kind != pkcs11.CKA_ID:
		return strconv.FormatBool(value[0] != 0)
	}
	return "0x" + hex.EncodeToString(value)
}
