package server

import (
	"slices"

	"strongroom/authz"
	"strongroom/kmip"
)

// grantAccess answers Grant Access: each operation is granted by itself, and none implies another. Only an owner comes this
// far, for the operation itself cannot be granted.
func (r *Request) grantAccess(o *kmip.Object, q *kmip.GrantAccessRequest) (*kmip.GrantAccessResponse, error) {
	if q.Grantee != "*" {
		if err := authz.CheckIdentity(q.Grantee); err != nil {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the grantee %q: %v", q.Grantee, err)
		}
	}
	if len(q.Operations) == 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the request grants no operation")
	}
	for _, op := range q.Operations {
		if !authz.Grantable(op) {
			return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the operation %v cannot be granted", op)
		}
	}
	err := r.setGrants(o, func(grants []kmip.Grant) []kmip.Grant {
		for _, op := range q.Operations {
			if g := (kmip.Grant{Grantee: q.Grantee, Operation: op}); !slices.Contains(grants, g) {
				grants = append(grants, g)
			}
		}
		return grants
	})
	if err != nil {
		return nil, err
	}
	return &kmip.GrantAccessResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

// withdrawAccess answers Withdraw Access.
func (r *Request) withdrawAccess(o *kmip.Object, q *kmip.WithdrawAccessRequest) (*kmip.WithdrawAccessResponse, error) {
	err := r.setGrants(o, func(grants []kmip.Grant) []kmip.Grant {
		return slices.DeleteFunc(grants, func(g kmip.Grant) bool {
			return g.Grantee == q.Grantee && (len(q.Operations) == 0 || slices.Contains(q.Operations, g.Operation))
		})
	})
	if err != nil {
		return nil, err
	}
	return &kmip.WithdrawAccessResponse{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier)}, nil
}

func (r *Request) setGrants(o *kmip.Object, change func([]kmip.Grant) []kmip.Grant) error {
	return r.rewrite(o, func(o *kmip.Object) error {
		o.Grants = change(o.Grants)
		return nil
	}, kmip.Backend.SetGrants)
}

// listAccess answers List Access: of one object, to its owner; or what the caller owns or was granted.
func (r *Request) listAccess(k *call, q *kmip.ListAccessRequest) (*kmip.ListAccessResponse, error) {
	switch {
	case q.Owned && q.Obtained || (q.Owned || q.Obtained) && q.UniqueIdentifier != "":
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "List Access takes an identifier, or Owned, or Obtained")
	case q.Owned:
		return r.owned()
	case q.Obtained:
		return r.obtained()
	}
	o, err := r.openFor(k, q.UniqueIdentifier, need{states: anyState})
	if err != nil {
		return nil, err
	}
	response := new(kmip.ListAccessResponse)
	for _, g := range o.Grants {
		i := slices.IndexFunc(response.AccessEntry, func(e kmip.AccessEntry) bool { return e.Grantee == g.Grantee })
		if i < 0 {
			i = len(response.AccessEntry)
			response.AccessEntry = append(response.AccessEntry, kmip.AccessEntry{UniqueIdentifier: kmip.UniqueIdentifier(o.UniqueIdentifier), Grantee: g.Grantee})
		}
		response.AccessEntry[i].Operations = append(response.AccessEntry[i].Operations, g.Operation)
	}
	return response, nil
}

// owned lists what the caller owns: in the database by its rows, in the tokens as an administrator of HSM keys.
func (r *Request) owned() (*kmip.ListAccessResponse, error) {
	uids, err := r.server.Access.Owned(r.ctx, r.identity)
	if err != nil {
		return nil, err
	}
	if r.server.HSM != nil && r.server.Authority.Load().Admin(r.identity) {
		s := r.newSearch()
		found, err := r.server.HSM.Locate(r.ctx, s)
		if err != nil {
			return nil, err
		}
		for _, x := range found.Objects {
			if slot, _, _, err := kmip.HSMKey(x.UniqueIdentifier); err == nil && s.Administers(slot) {
				uids = append(uids, x.UniqueIdentifier)
			}
		}
	}
	response := new(kmip.ListAccessResponse)
	for _, uid := range covered(r, uids, func(uid string) string { return uid }) {
		response.AccessEntry = append(response.AccessEntry, kmip.AccessEntry{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
	}
	return response, nil
}

func (r *Request) obtained() (*kmip.ListAccessResponse, error) {
	granted, err := r.server.Access.Obtained(r.ctx, r.identity)
	if err != nil {
		return nil, err
	}
	response := new(kmip.ListAccessResponse)
	for _, g := range covered(r, granted, func(g kmip.Granted) string { return g.UniqueIdentifier }) {
		response.AccessEntry = append(response.AccessEntry, kmip.AccessEntry{
			UniqueIdentifier: kmip.UniqueIdentifier(g.UniqueIdentifier), Operations: g.Operations,
		})
	}
	return response, nil
}

// whoAmI answers Who Am I.
func (r *Request) whoAmI(*call, *kmip.WhoAmIRequest) (*kmip.WhoAmIResponse, error) {
	return &kmip.WhoAmIResponse{Identity: r.identity, HSMAdmin: r.server.Authority.Load().Admin(r.identity)}, nil
}

// canI answers Can I: by the decision of the door itself, not by a second opinion.
func (r *Request) canI(k *call, q *kmip.CanIRequest) (*kmip.CanIResponse, error) {
	name, err := r.target(q.UniqueIdentifier)
	if err != nil {
		return nil, err
	}
	k.uid = name
	switch q.Operation {
	case kmip.OperationCreate, kmip.OperationCreateKeyPair, kmip.OperationRegister, kmip.OperationImport:
		_, err = r.creates(name)
		if err == nil && !r.ticket.allows(q.Operation, name, nil) {
			return &kmip.CanIResponse{}, nil
		}
	default:
		_, err = r.permitted(name, q.Operation)
	}
	if err != nil && kmip.ReasonOf(err) == kmip.ResultReasonGeneralFailure {
		return nil, err
	}
	return &kmip.CanIResponse{Allowed: err == nil}, nil
}
