package server

import (
	"math"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// locate answers Locate. KMIP 2.1 §6.1.28: what matches every attribute and the caller may use in some way, newest first.
// Located Items tells of what the answer may lack, so it is left out where the answer has all, and where the objects are too many
// to be counted.
func (r *Request) locate(_ *call, q *kmip.LocateRequest) (*kmip.LocateResponse, error) {
	most, offset, err := page(q)
	if err != nil {
		return nil, err
	}
	s := r.newSearch()
	s.Attributes, s.Offset, s.Most = q.Attributes, offset, max(most, 1)
	for t := kmip.ObjectTypeCertificate; t <= kmip.ObjectTypeCertificateRequest; t++ {
		if !r.hasType(t) {
			s.Hidden = append(s.Hidden, t)
		}
	}
	if q.StorageStatusMask != nil {
		s.Storage = *q.StorageStatusMask
	}
	s.Condition = r.condition()
	switch q.ObjectGroupMember {
	case kmip.ObjectGroupMemberGroupMemberFresh:
		s.Attributes = append(s.Attributes, kmip.Attribute{Tag: ttlv.TagFresh, Value: true})
	case kmip.ObjectGroupMemberGroupMemberDefault: // by the policy of this server the newest
		s.Offset, s.Most = 0, 1
	}
	found, err := r.search(s)
	if err != nil {
		return nil, err
	}
	if q.ObjectGroupMember == kmip.ObjectGroupMemberGroupMemberDefault {
		found.Total = len(found.Objects)
		found.Objects = found.Objects[min(offset, found.Total):]
	}
	response := new(kmip.LocateResponse)
	partly := q.MaximumItems != nil || q.OffsetItems != nil || found.Total > most
	if partly && found.Total >= 0 && found.Total <= math.MaxInt32 {
		total := int32(found.Total)
		response.LocatedItems = &total
	}
	for _, x := range found.Objects[:min(most, len(found.Objects))] {
		response.UniqueIdentifier = append(response.UniqueIdentifier, kmip.UniqueIdentifier(x.UniqueIdentifier))
	}
	r.placeholder = ""
	if len(response.UniqueIdentifier) == 1 && (found.Total == 1 || most == 1) {
		r.placeholder = found.Objects[0].UniqueIdentifier
	}
	return response, nil
}

// newSearch is a search of the caller's.
func (r *Request) newSearch() *kmip.Search {
	s := &kmip.Search{Identity: r.identity}
	s.Admin, s.Slots = r.server.Authority.Load().Slots(r.identity)
	return s
}

// condition is what the caller's ticket asks of an object that is found, nil for nothing.
func (r *Request) condition() func(*kmip.Object) bool {
	if !r.ticket.confines() {
		return nil
	}
	return func(o *kmip.Object) bool {
		return r.ticket.allows(r.current.operation, o.UniqueIdentifier, o.Attributes)
	}
}

// mostLocated is how many answers a request gets at most.
const mostLocated = 100_000

// page is how many answers a request gets, and how many it leaves out.
func page(q *kmip.LocateRequest) (most, offset int, err error) {
	most = mostLocated
	if q.MaximumItems != nil {
		most = min(most, int(*q.MaximumItems))
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
func (r *Request) search(s *kmip.Search) (*kmip.Found, error) {
	if r.server.HSM == nil {
		return r.server.Store.Locate(r.ctx, s)
	}
	all := *s
	all.Offset, all.Most = 0, 0
	tokens, err := r.server.HSM.Locate(r.ctx, &all)
	if err != nil {
		r.server.Log.Warn("Locate leaves out the keys of an HSM", "request", r.number, "err", err)
		tokens = new(kmip.Found)
	}
	in := pageBehind(s, len(tokens.Objects))
	found, err := r.server.Store.Locate(r.ctx, in)
	if err != nil {
		return nil, err
	}
	return interleave(found, in.Offset, tokens, s), nil
}

// pageBehind is the search of the database for a page that n keys in tokens are on, too, or on those before: as many fewer of
// its objects may be left out.
func pageBehind(s *kmip.Search, n int) *kmip.Search {
	in := *s
	in.Offset = max(0, s.Offset-n)
	in.Most = s.Most + s.Offset - in.Offset
	return &in
}

// interleave makes the answer to a search of what the database has, without the newest skipped, and of all that tokens have.
func interleave(found *kmip.Found, skipped int, tokens *kmip.Found, s *kmip.Search) *kmip.Found {
	merged := &kmip.Found{Total: -1}
	if found.Total >= 0 {
		merged.Total = found.Total + len(tokens.Objects)
	}
	rows, keys, at := found.Objects, tokens.Objects, skipped
	if skipped > 0 && len(rows) == 0 {
		return merged // the database has no more than was skipped, and with the keys there are no more than were left out
	}
	for ; skipped > 0 && len(keys) > 0 && keys[0].InitialDate.After(rows[0].InitialDate); at++ {
		keys = keys[1:]
	}
	for ; len(merged.Objects) < s.Most && len(rows)+len(keys) > 0; at++ {
		from := &rows
		if len(rows) == 0 || len(keys) > 0 && keys[0].InitialDate.After(rows[0].InitialDate) {
			from = &keys
		}
		if at >= s.Offset {
			merged.Objects = append(merged.Objects, (*from)[0])
		}
		*from = (*from)[1:]
	}
	return merged
}
