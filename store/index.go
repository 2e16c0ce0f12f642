package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// How objects are found. An object stands in lists, each in the order of creation. There are three kinds:
//
//   - a class: the objects that are alike in all that has few values (type, state, algorithm, …). Each has one;
//   - a word: the objects that have one text, of a name, a group, a link, …;
//   - a date: the objects that have an attribute, each at the second that it names.
//
// Each is a list of one viewer and of one storage: of the objects that the viewer may use in some way, those on-line, or
// archived, or destroyed. So who searches reads what it may see and nothing else. The viewers of an object are its owner and
// its grantees, or everyone.

// A listID identifies a list: the first half of the SHA-256 of what it is a list of.
type listID [16]byte

// Kinds of lists, in what their identifiers are made of.
const (
	ofClass byte = 1
	ofWord  byte = 2
	ofDate  byte = 3

	ofRotation byte = 4 // of nobody's, for the server: see rotate.go
)

// everyone is the viewer that stands for all.
const everyone = "*"

// list is the identifier of a list of a viewer's.
func list(kind byte, viewer string, storage kmip.StorageStatusMask, what []byte) listID {
	b := make([]byte, 0, 8+len(viewer)+len(what))
	b = append(b, kind, byte(storage))
	b = binary.BigEndian.AppendUint32(b, uint32(len(viewer)))
	b = append(append(b, viewer...), what...)
	sum := sha256.Sum256(b)
	return listID(sum[:16])
}

// viewers are those who may use an object in some way, each once.
func viewers(o *kmip.Object) []string {
	all := append(make([]string, 0, 1+len(o.Grants)), o.Owners[0])
	for _, g := range o.Grants {
		if g.Grantee == everyone {
			return []string{everyone}
		}
		all = append(all, g.Grantee)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// storages are all there are. KMIP 2.1 §12.3.
var storages = []kmip.StorageStatusMask{
	kmip.StorageStatusMaskOnLineStorage, kmip.StorageStatusMaskArchivalStorage, kmip.StorageStatusMaskDestroyedStorage,
}

// storageOf is the one that an object is in.
func storageOf(a kmip.Attributes) kmip.StorageStatusMask {
	for _, m := range storages[1:] {
		if a.InStorage(m) {
			return m
		}
	}
	return storages[0]
}

// classified are the attributes that make a class. A change of this table, or of what is a word or a date, takes a migration.
var classified = map[ttlv.Tag]bool{
	ttlv.TagObjectType: true, ttlv.TagState: true, ttlv.TagFresh: true, ttlv.TagCertificateType: true,
	ttlv.TagCryptographicAlgorithm: true, ttlv.TagCryptographicLength: true, ttlv.TagCryptographicUsageMask: true,
	ttlv.TagSensitive: true, ttlv.TagAlwaysSensitive: true, ttlv.TagExtractable: true, ttlv.TagNeverExtractable: true,
}

// A class is what objects have in common, for one viewer and in one storage.
type class struct {
	list       listID
	viewer     string
	storage    kmip.StorageStatusMask
	attributes kmip.Attributes // by tag; of the dates that change a state, the week
}

// week is how exactly a class knows a date, in seconds.
const week = 7 * 24 * 3600

// common are the attributes of an object that make its class.
func common(a kmip.Attributes) kmip.Attributes {
	activation, deactivation := moving(a)
	own := make(kmip.Attributes, 0, len(classified)+2)
	for _, x := range a {
		switch {
		case classified[x.Tag]:
			own = append(own, kmip.Attribute{Tag: x.Tag, Value: x.Value})
		case activation && x.Tag == ttlv.TagActivationDate, deactivation && x.Tag == ttlv.TagDeactivationDate:
			u := x.Value.(time.Time).Unix()
			own = append(own, kmip.Attribute{Tag: x.Tag, Value: time.Unix(u-(u%week+week)%week, 0).UTC()})
		}
	}
	slices.SortStableFunc(own, func(a, b kmip.Attribute) int { return cmp.Compare(a.Tag, b.Tag) })
	return own
}

// moving says which dates will change the state of an object, or have since it was written.
func moving(a kmip.Attributes) (activation, deactivation bool) {
	state, _ := kmip.Get[kmip.State](a, ttlv.TagState)
	activation = state == kmip.StatePreActive && defined(a, ttlv.TagActivationDate)
	deactivation = (activation || state == kmip.StateActive) && defined(a, ttlv.TagDeactivationDate)
	return activation, deactivation
}

func defined(a kmip.Attributes, date ttlv.Tag) bool {
	t, ok := kmip.Get[time.Time](a, date)
	return ok && t.Unix() != kmip.LatestDate
}

// has says whether the members of a class have an attribute that a search wants. Where it is not sure each must be looked at.
func (c *class) has(want kmip.Attribute, now time.Time) (has, sure bool) {
	if !classified[want.Tag] {
		return true, false
	}
	if v, ok := want.Value.(kmip.State); ok {
		// The dates that change it are in the weeks that the class knows. A state that moves by itself only grows.
		first, last := c.attributes.State(now.Add(-week*time.Second)), c.attributes.State(now)
		return first <= v && v <= last, first == last
	}
	o := kmip.Object{Attributes: c.attributes}
	return o.Matches(kmip.Attributes{want}, now), true
}

// wordsOf are what the lists of an attribute's texts are made of, the one with the fewest objects last; none where the attribute
// has no text. Of a structure they are of what tells objects apart.
func wordsOf(x kmip.Attribute) [][]byte {
	switch v := x.Value.(type) {
	case kmip.Name:
		return texts(x, v.NameValue)
	case kmip.Link:
		return texts(x, string(v.LinkedObjectIdentifier))
	case kmip.ApplicationSpecificInformation:
		return texts(x, v.ApplicationNamespace, v.ApplicationData)
	case kmip.AlternativeName:
		return texts(x, v.AlternativeNameValue)
	case kmip.RotateName:
		return texts(x, v.RotateNameValue)
	case kmip.X509CertificateIdentifier:
		return texts(x, string(v.CertificateSerialNumber))
	case kmip.X509CertificateSubject:
		return texts(x, string(v.SubjectDistinguishedName))
	case string:
		if x.Tag != ttlv.TagUniqueIdentifier && x.Tag != ttlv.TagOperationPolicyName {
			return texts(x, v)
		}
	case time.Time:
		return nil
	default:
		if x.Tag == ttlv.TagAttribute {
			bare := kmip.Attribute{Tag: x.Tag, Vendor: x.Vendor, Name: x.Name, Value: x.Value}
			if encoded, err := (kmip.Attributes{bare}).Encode(); err == nil {
				return [][]byte{encoded}
			}
		}
	}
	return nil
}

// texts are the words of texts that narrow one another down, up to the first that is empty. What the server itself says of an
// object in a vendor attribute nobody looks for.
func texts(x kmip.Attribute, all ...string) (list [][]byte) {
	if x.Vendor == kmip.VendorServer {
		return nil
	}
	what := named(x)
	for _, text := range all {
		if text == "" {
			break
		}
		what = append(binary.BigEndian.AppendUint32(slices.Clip(what), uint32(len(text))), text...)
		list = append(list, what)
	}
	return list
}

// named are bytes that tell attributes apart.
func named(x kmip.Attribute) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(x.Tag))
	for _, text := range []string{x.Vendor, x.Name} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b
}

// An entry is an object's place in a list. At is the date in a list of dates, in seconds since 1970, and 0 elsewhere.
type entry struct {
	list listID
	at   int64
}

func (e entry) compare(other entry) int {
	return cmp.Or(bytes.Compare(e.list[:], other.list[:]), cmp.Compare(e.at, other.at))
}

// A listing is where an object is found.
type listing struct {
	entries []entry // in order, each once
	classes []*class
}

// listingOf is the listing of an object.
func listingOf(o *kmip.Object) (l listing) {
	storage, own := storageOf(o.Attributes), common(o.Attributes)
	encoded, err := own.Encode()
	if err != nil {
		panic(err) // they are part of what was encoded before
	}
	for _, viewer := range viewers(o) {
		c := &class{list(ofClass, viewer, storage, encoded), viewer, storage, own}
		l.classes = append(l.classes, c)
		l.entries = append(l.entries, entry{c.list, 0})
		for _, x := range o.Attributes {
			for _, what := range wordsOf(x) {
				l.entries = append(l.entries, entry{list(ofWord, viewer, storage, what), 0})
			}
			if at, ok := date(o.Attributes, x); ok {
				l.entries = append(l.entries, entry{list(ofDate, viewer, storage, named(x)), at})
			}
		}
	}
	if e, ok := rotation(o.Attributes); ok {
		l.entries = append(l.entries, e)
	}
	slices.SortFunc(l.entries, entry.compare)
	l.entries = slices.Compact(l.entries)
	return l
}

// date is when an attribute puts its object into a list of dates. One that is its Initial Date does not: that is in the order
// of creation.
func date(a kmip.Attributes, x kmip.Attribute) (at int64, ok bool) {
	t, ok := x.Value.(time.Time)
	if !ok || t.Unix() == kmip.LatestDate {
		return 0, false
	}
	initial, _ := kmip.Get[time.Time](a, ttlv.TagInitialDate)
	return t.Unix(), t.Unix() != initial.Unix()
}
