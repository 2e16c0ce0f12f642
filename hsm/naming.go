package hsm

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/pkcs11"
)

// This file says which name a key in a token has, the part behind hsm::<slot>:: of its identifier, and which key has a name.
//
//	label        a key with a label
//	label_pk     a public key whose label does not end so: other tools give both halves of a pair one label
//	0a1b         a key whose label is empty, or can be in no identifier: its CKA_ID in hexadecimal
//	label#0a1b   one of several keys that would have one name: with its CKA_ID behind the label
//	#0a1b        the same, of a key without a label
//
// The first line of these that fits one key decides: who has a name as its label has it, whatever other keys' CKA_IDs are.

// publicSuffix ends the name of the public half of a pair.
const publicSuffix = "_pk"

// longestName is that of the label in an identifier, in bytes.
const longestName = 255

// nameOf is the name that an object has where no other has it, "" for none, and by which line above.
func nameOf(class uint, label, id string) (name string, rank int) {
	switch {
	case nameable(label):
		name = label
	case id != "":
		name, rank = hex.EncodeToString([]byte(id)), 2
	}
	if name != "" && class == pkcs11.CKO_PUBLIC_KEY && !strings.HasSuffix(name, publicSuffix) {
		name, rank = name+publicSuffix, rank+1
	}
	if len(name) > longestName {
		return "", 0
	}
	return name, rank
}

// qualified is the name with the CKA_ID in it, "" where there is none.
func qualified(class uint, label, id string) string {
	if id == "" {
		return ""
	}
	if !nameable(label) {
		label = ""
	}
	name := label + "#" + hex.EncodeToString([]byte(id))
	if class == pkcs11.CKO_PUBLIC_KEY {
		name += publicSuffix
	}
	if len(name) > longestName {
		return ""
	}
	return name
}

// nameable says whether a label can be in an identifier.
func nameable(label string) bool {
	return label != "" && len(label) <= longestName && utf8.ValidString(label) && !strings.ContainsFunc(label, unicode.IsControl)
}

// unqualified gives the names that the keys with a qualified name would have alone.
func unqualified(name string) (plain []string) {
	base, public := strings.CutSuffix(name, publicSuffix)
	at := strings.LastIndexByte(base, '#')
	if at < 0 {
		return nil
	}
	id, ok := idOf(base[at+1:])
	if !ok {
		return nil
	}
	class := uint(pkcs11.CKO_SECRET_KEY)
	if public {
		class = pkcs11.CKO_PUBLIC_KEY
	}
	if name, _ := nameOf(class, base[:at], id); name != "" {
		plain = append(plain, name)
	}
	return plain
}

// idOf reads a CKA_ID as names have it: in lower case, two digits a byte.
func idOf(text string) (string, bool) {
	id, err := hex.DecodeString(text)
	return string(id), err == nil && len(id) > 0 && strings.ToLower(text) == text
}

// named gives each of several keys of one plain name the name that it has among the others.
func named(group []*object) {
	if len(group) == 0 {
		return
	}
	least, holders := group[0].rank, 0
	for _, o := range group {
		least = min(least, o.rank)
	}
	for _, o := range group {
		if o.rank == least {
			holders++
		}
	}
	for i, o := range group {
		if o.rank == least && holders == 1 {
			group[i] = o.called(o.plain)
			continue
		}
		group[i] = o.called(qualified(o.class, o.label, o.id))
	}
}

// called is the object under a name: itself, if that is its.
func (o *object) called(name string) *object {
	if o.name == name {
		return o
	}
	c := &object{conn: o.conn, handle: o.handle, class: o.class, kind: o.kind, label: o.label, id: o.id, name: name, plain: o.plain, rank: o.rank,
		bits: o.bits, public: o.public, flags: o.flags, curve: o.curve, check: o.check}
	c.seen.Store(o.seen.Load())
	c.print.Store(o.print.Load())
	c.refused.Store(o.refused.Load())
	return c
}

// matches lists the keys of a name: several only if nothing tells them apart, or if the name is not qualified and has to be. The
// caller is in the slot's contents gate.
func (c *connection) matches(s session, name string) ([]*object, error) {
	found, err := c.holders(s, name, false)
	if err != nil || len(found) > 0 {
		return found, err
	}
	for _, plain := range unqualified(name) {
		group, err := c.holders(s, plain, true)
		if err != nil {
			return nil, err
		}
		named(group)
		for _, o := range group {
			if o.name == name {
				found = append(found, o)
			}
		}
	}
	return found, nil
}

// holders lists the keys of a plain name: all of them, or those by the first line that has any.
func (c *connection) holders(s session, plain string, all bool) (found []*object, err error) {
	base, public := strings.CutSuffix(plain, publicSuffix)
	publics := template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_PUBLIC_KEY)}}
	searches := make([]template, 4)
	searches[0] = template{{pkcs11.CKA_LABEL, []byte(plain)}}
	if public && base != "" {
		searches[1] = append(publics[:1:1], attribute{pkcs11.CKA_LABEL, []byte(base)})
	}
	if id, ok := idOf(plain); ok {
		searches[2] = template{{pkcs11.CKA_ID, []byte(id)}}
	}
	if id, ok := idOf(base); ok && public {
		searches[3] = append(publics[:1:1], attribute{pkcs11.CKA_ID, []byte(id)})
	}
	for rank, search := range searches {
		if search == nil || !all && len(found) > 0 {
			continue
		}
		objects, err := c.described(s, search, 64)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if isKey(o.class) && o.plain == plain && o.rank == rank {
				found = append(found, o)
			}
		}
	}
	return found, nil
}

// ambiguous is the error of a name that several keys have.
func (c *connection) ambiguous(name string, found []*object) error {
	group := slices.Clone(found)
	named(group)
	var names []string
	for _, o := range group {
		if o.name != "" && o.name != name && !slices.Contains(names, c.slot.identifier(o.name)) {
			names = append(names, c.slot.identifier(o.name))
		}
	}
	slices.Sort(names)
	uid := c.slot.identifier(name)
	if len(names) < len(found) {
		return invalid("%q names %d objects in the token, with one label and no CKA_ID of their own: give them different ones there", uid, len(found))
	}
	return invalid("%q names %d objects in the token: say which by its CKA_ID, %q, or give them different labels there", uid, len(found), names)
}

// catalogue keeps a list of all keys by their plain names, if nothing changed while it was made, and gives those that have a name
// of their own. No operation can mean one of the others.
func (c *connection) catalogue(byName map[string][]*object, changes uint64) []*object {
	delete(byName, "")
	holders := map[string][]*object{}
	for _, group := range byName {
		named(group)
		for _, o := range group {
			holders[o.name] = append(holders[o.name], o)
		}
	}
	delete(holders, "")
	all := make([]*object, 0, len(holders))
	for name, objects := range holders {
		if len(objects) > 1 { // a label may look like a qualified name: it has the name
			objects = slices.DeleteFunc(objects, func(o *object) bool { return o.name != o.plain })
		}
		if len(objects) == 1 {
			all = append(all, objects[0])
		} else {
			c.slot.log.Warn("several keys in a token share a name", "slot", c.slot.Number, "name", name)
		}
	}
	c.keep(all, byName, changes)
	return all
}

// keep remembers what a list showed; keys that had a name alone and share it now, or whose name is another one's, are found anew.
func (c *connection) keep(all []*object, byName map[string][]*object, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes || c.objects == nil {
		return
	}
	for name, o := range c.objects {
		for _, p := range byName[o.plain] {
			if p.handle == o.handle && p.name != name {
				o.gone.Store(true)
				delete(c.objects, name)
			}
		}
	}
	for _, o := range all {
		if known := c.objects[o.name]; known == nil || known.handle != o.handle {
			if known != nil {
				known.gone.Store(true)
			}
			c.objects[o.name] = o
		}
	}
	c.catalog, c.listed = all, time.Now()
}

// withName gives an object that was found otherwise the name that it has among the others of the token.
func (c *connection) withName(s session, o *object) (*object, error) {
	group, err := c.holders(s, o.plain, true)
	if err != nil {
		return nil, err
	}
	named(group)
	for _, p := range group {
		if p.handle == o.handle {
			return p, nil
		}
	}
	return o, nil
}
