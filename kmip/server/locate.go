package server

import (
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// locate answers Locate. KMIP 2.1 §6.1.28: what matches every attribute and the caller may use in some way, newest first.
func (r *Request) locate(_ *call, q *kmip.LocateRequest) (*kmip.LocateResponse, error) {
	most, offset, err := page(q)
	if err != nil {
		return nil, err
	}
	s := &kmip.Search{Identity: r.identity, Admin: r.server.Authority.Load().Admin(r.identity), Group: q.ObjectGroupMember}
	for t := kmip.ObjectTypeCertificate; t <= kmip.ObjectTypeCertificateRequest; t++ {
		if !r.hasType(t) {
			s.Hidden = append(s.Hidden, t)
		}
	}
	if q.StorageStatusMask != nil {
		s.Storage = *q.StorageStatusMask
	}
	for _, a := range q.Attributes {
		if a.Tag != ttlv.TagOperationPolicyName { // there are no policies: it selects nothing
			s.Attributes = append(s.Attributes, a)
		}
	}
	found, err := r.search(s)
	if err != nil {
		return nil, err
	}
	found = covered(r, found, func(x kmip.Located) string { return x.UniqueIdentifier })
	total := int32(len(found))
	response := &kmip.LocateResponse{LocatedItems: &total}
	found = found[min(offset, len(found)):]
	if q.MaximumItems != nil {
		found = found[:min(most, len(found))]
	}
	for _, x := range found {
		response.UniqueIdentifier = append(response.UniqueIdentifier, kmip.UniqueIdentifier(x.UniqueIdentifier))
	}
	if r.placeholder = ""; len(found) == 1 { // else what follows in the batch fails: KMIP 2.1 §6.1.28
		r.placeholder = found[0].UniqueIdentifier
	}
	return response, nil
}

func page(q *kmip.LocateRequest) (most, offset int, err error) {
	if q.MaximumItems != nil {
		most = int(*q.MaximumItems)
	}
	if q.OffsetItems != nil {
		offset = int(*q.OffsetItems)
	}
	if most < 0 || offset < 0 {
		return 0, 0, kmip.Errorf(kmip.ResultReasonInvalidField, "Maximum Items and Offset Items are not negative")
	}
	return most, offset, nil
}

// search asks both backends and merges what they found. A token that is away hides its own keys, and says so in the log.
func (r *Request) search(s *kmip.Search) ([]kmip.Located, error) {
	found, err := r.server.Store.Locate(r.ctx, s)
	if err != nil || r.server.HSM == nil {
		return found, err
	}
	tokens, err := r.server.HSM.Locate(r.ctx, s)
	if err != nil {
		r.server.Log.Warn("Locate leaves out the keys of an HSM", "request", r.number, "err", err)
		return found, nil
	}
	found = append(found, tokens...)
	slices.SortStableFunc(found, func(a, b kmip.Located) int { return b.InitialDate.Compare(a.InitialDate) })
	return found, nil
}
