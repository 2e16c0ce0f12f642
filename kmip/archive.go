package kmip

import "strongroom/kmip/ttlv"

// ArchiveRequest puts an object into archival storage. KMIP 2.1 §6.1.4.
type ArchiveRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ArchiveResponse names it.
type ArchiveResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// RecoverRequest brings an archived object back on-line. KMIP 2.1 §6.1.42.
type RecoverRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// RecoverResponse names it.
type RecoverResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// Target is the object asked for.
func (r *ArchiveRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *RecoverRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Archived says whether the object is in archival storage: whether it has an Archive Date. KMIP 2.1 §4.5.
func (a Attributes) Archived() bool {
	for i := range a {
		if a[i].Tag == ttlv.TagArchiveDate {
			return true
		}
	}
	return false
}

// InStorage says whether an object is in one of the storages of a mask; 0 means on-line storage. KMIP 2.1 §12.3.
func (a Attributes) InStorage(m StorageStatusMask) bool {
	if m == 0 {
		m = StorageStatusMaskOnLineStorage
	}
	is := StorageStatusMaskOnLineStorage
	if s, _ := Get[State](a, ttlv.TagState); s == StateDestroyed || s == StateDestroyedCompromised {
		is = StorageStatusMaskDestroyedStorage
	} else if a.Archived() {
		is = StorageStatusMaskArchivalStorage
	}
	return m&is != 0
}
