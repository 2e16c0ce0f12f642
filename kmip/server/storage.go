package server

import (
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// storable refuses a new object where it cannot be kept as the request wants: a request that gives Protection Storage Masks gives
// alternatives, and one of them must be met in all its bits. KMIP 2.1 §7.33. What is kept in the database is protected in software,
// what is named as a key in a token, and what a token wrapped, in hardware; of the other bits the server knows nothing.
func storable(given kmip.Attributes, masks kmip.ProtectionStorageMasks) error {
	return storableAs(storageOf(given), masks, kmip.ResultReasonProtectionStorageUnavailable)
}

// storablePair is storable for both halves of a pair, which live in one place: but for the public half of a private key that a token
// wrapped, which is an object of the database like others. Where the common masks want Hardware it is the private half that they mean.
func storablePair(given kmip.Attributes, common, private, public kmip.ProtectionStorageMasks) error {
	at := storageOf(given)
	if err := storableAs(at, common, kmip.ResultReasonPrivateProtectionStorageUnavailable); err != nil {
		return err
	}
	if err := storableAs(at, private, kmip.ResultReasonPrivateProtectionStorageUnavailable); err != nil {
		return err
	}
	if given.AsksHSMWrapped() {
		at = kmip.ProtectionStorageMaskSoftware
	}
	return storableAs(at, public, kmip.ResultReasonPublicProtectionStorageUnavailable)
}

// storageOf is where an object is kept whose request gives these attributes.
func storageOf(given kmip.Attributes) kmip.ProtectionStorageMask {
	uid, _ := kmip.Get[string](given, ttlv.TagUniqueIdentifier)
	if _, _, token, _ := kmip.HSMKey(uid); token || given.AsksHSMWrapped() {
		return kmip.ProtectionStorageMaskHardware
	}
	return kmip.ProtectionStorageMaskSoftware
}

func storableAs(at kmip.ProtectionStorageMask, masks kmip.ProtectionStorageMasks, unavailable kmip.ResultReason) error {
	for _, m := range masks {
		if m&^at == 0 {
			return nil
		}
	}
	if len(masks) == 0 {
		return nil
	}
	return kmip.Errorf(unavailable, "the object would be protected by %v, which is none of the Protection Storage Masks: a key named hsm::<slot>::<label>, and one that an HSM wraps, is in Hardware, all else in Software", at)
}

// placed adds to the attributes of a new key of the database that it is to be made in a token and kept wrapped by it, where that is what
// its masks want first of what there is. There is a key to wrap it where the configuration or the request names one.
func (r *Request) placed(given kmip.Attributes, masks kmip.ProtectionStorageMasks) kmip.Attributes {
	for _, m := range masks {
		switch {
		case m&^storageOf(given) == 0:
			return given
		case m == kmip.ProtectionStorageMaskHardware && r.wraps(given):
			return slices.Clip(given).PlusVendor(kmip.VendorClient, kmip.AttributeProtection, kmip.ProtectionHSMWrapped)
		}
	}
	return given
}

func (r *Request) wraps(given kmip.Attributes) bool {
	v, _ := given.Vendor(kmip.VendorClient, kmip.AttributeWrappingKeyID)
	uid, _ := v.(string)
	_, _, token, _ := kmip.HSMKey(uid)
	return r.server.HSM != nil && (token || uid == "" && r.server.HSMWrapping)
}

// placedPair is placed for the private half of a pair; it gives that half's own attributes.
func (r *Request) placedPair(common, private kmip.Attributes, masks ...kmip.ProtectionStorageMasks) kmip.Attributes {
	for _, m := range masks {
		if given := merge(common, private); len(r.placed(given, m)) > len(given) {
			private = r.placed(private, m)
		}
	}
	return private
}

// like are the attributes of a request for a replacement, which is kept as the key it replaces.
func like(old *kmip.Object, given kmip.Attributes) kmip.Attributes {
	if !old.Attributes.AsksHSMWrapped() {
		return given
	}
	return slices.Clip(given).WithVendor(kmip.VendorClient, kmip.AttributeProtection, kmip.ProtectionHSMWrapped)
}

// keepable refuses what a client says of how a new object is kept, if that is nothing that can be asked for.
func keepable(given kmip.Attributes, token bool) error {
	if v, ok := given.Vendor(kmip.VendorClient, kmip.AttributeProtection); ok && v != any(kmip.ProtectionHSMWrapped) {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the attribute %s of a request is %q, or is not there: nothing else can be asked for by it", kmip.AttributeProtection, kmip.ProtectionHSMWrapped)
	} else if ok && token {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "a key in an HSM is not wrapped at rest: it cannot be %s", kmip.ProtectionHSMWrapped)
	}
	return nil
}

// storages are the masks that there are.
func (s *Server) storages() kmip.ProtectionStorageMasks {
	if s.HSM == nil {
		return kmip.ProtectionStorageMasks{kmip.ProtectionStorageMaskSoftware}
	}
	return kmip.ProtectionStorageMasks{kmip.ProtectionStorageMaskSoftware, kmip.ProtectionStorageMaskHardware}
}
