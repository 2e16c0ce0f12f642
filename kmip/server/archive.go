package server

import (
	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// archive answers Archive. KMIP 2.1 §6.1.4. The object stays where it is, with its material as well protected as before; what
// changes is that nothing but Recover may be done with it, and that Locate shows it to those only who look for archived
// objects.
func (r *Request) archive(o *kmip.Object, _ *kmip.ArchiveRequest) (*kmip.ArchiveResponse, error) {
	err := r.update(o, func(o *kmip.Object) error {
		o.Attributes = o.Attributes.With(ttlv.TagArchiveDate, r.now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &kmip.ArchiveResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// recover answers Recover. KMIP 2.1 §6.1.42. An object that is on-line stays so.
func (r *Request) recover(o *kmip.Object, _ *kmip.RecoverRequest) (*kmip.RecoverResponse, error) {
	if o.Attributes.Archived() {
		err := r.update(o, func(o *kmip.Object) error {
			o.Attributes = o.Attributes.Without(ttlv.TagArchiveDate)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	r.placeholder = o.UniqueIdentifier
	return &kmip.RecoverResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}
