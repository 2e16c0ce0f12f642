package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// storable refuses a new object where it cannot be kept as the request wants: a request that gives Protection Storage Masks gives
// alternatives, and one of them must be met in all its bits. KMIP 2.1 §7.33. What is kept in the database is protected in software,
// what is named as a key in a token in hardware; of the other bits the server knows nothing.
func storable(given kmip.Attributes, masks kmip.ProtectionStorageMasks) error {
	return storableAs(storageOf(given), masks, kmip.ResultReasonProtectionStorageUnavailable)
}

// storablePair is storable for both halves of a pair, which live in one place.
func storablePair(given kmip.Attributes, common, private, public kmip.ProtectionStorageMasks) error {
	at := storageOf(given)
	if err := storableAs(at, common, kmip.ResultReasonPrivateProtectionStorageUnavailable); err != nil {
		return err
	}
	if err := storableAs(at, private, kmip.ResultReasonPrivateProtectionStorageUnavailable); err != nil {
		return err
	}
	return storableAs(at, public, kmip.ResultReasonPublicProtectionStorageUnavailable)
}

// storageOf is where an object is kept whose request gives these attributes.
func storageOf(given kmip.Attributes) kmip.ProtectionStorageMask {
	uid, _ := kmip.Get[string](given, ttlv.TagUniqueIdentifier)
	if _, _, token, _ := kmip.HSMKey(uid); token {
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
	return kmip.Errorf(unavailable, "the object would be protected by %v, which is none of the Protection Storage Masks: a key named hsm::<slot>::<label> is in Hardware, all else in Software", at)
}

// storages are the masks that there are.
func (s *Server) storages() kmip.ProtectionStorageMasks {
	if s.HSM == nil {
		return kmip.ProtectionStorageMasks{kmip.ProtectionStorageMaskSoftware}
	}
	return kmip.ProtectionStorageMasks{kmip.ProtectionStorageMaskSoftware, kmip.ProtectionStorageMaskHardware}
}
