package kmip

import (
	"crypto/sha256"
	"slices"
	"time"

	"strongroom/kmip/ttlv"
)

// ComputedAttributes are the attributes that are not stored, because they follow from what the object is: Unique
// Identifier; Short Unique Identifier, its SHA-256 (KMIP 2.1 §4.56); State as it is at the time now; Protection Storage Mask
// (§4.44); Lease Time, which is one for every object (§4.30).
func (o *Object) ComputedAttributes(now time.Time) Attributes {
	short := sha256.Sum256([]byte(o.UniqueIdentifier))
	storage := ProtectionStorageMaskSoftware
	if _, _, token, _ := HSMKey(o.UniqueIdentifier); token || o.Attributes.HSMWrapped() {
		storage = ProtectionStorageMaskHardware
	}
	a := Attributes{
		{Tag: ttlv.TagUniqueIdentifier, Value: o.UniqueIdentifier},
		{Tag: ttlv.TagShortUniqueIdentifier, Value: short[:]},
		{Tag: ttlv.TagProtectionStorageMask, Value: storage},
		{Tag: ttlv.TagLeaseTime, Value: LeaseTime},
	}
	if s := o.State(now); s != 0 {
		a = append(a, Attribute{Tag: ttlv.TagState, Value: s})
	}
	return a
}

// AllAttributes are the object's attributes as a client sees them at the time now: the stored ones, and those that are
// computed.
func (o *Object) AllAttributes(now time.Time) Attributes {
	computed := o.ComputedAttributes(now)
	all := slices.Grow(computed, len(o.Attributes))
	for _, x := range o.Attributes {
		if !computed.Contains(x.Tag) {
			all = append(all, x)
		}
	}
	return all
}

// LeaseTime is the longest lease of an object, in seconds: how long a client may use what it has of the object before it asks
// for a new one. KMIP 2.1 §4.30.
const LeaseTime = ttlv.Interval(3600)
