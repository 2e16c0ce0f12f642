package server

import (
	"context"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// authenticate looks at the credentials of a request. The certificate is the identity; an identity that has a password must say
// it too, or a ticket in its place. Of others nothing is asked, and what they say is not looked at, but for tickets, which bring
// bounds of their own. KMIP 2.1 §9.11.
func (r *Request) authenticate() error {
	if err := r.server.Gate.refusal(); err != nil {
		return err
	}
	needed := r.server.Gate.passwords.Needs(r.identity)
	if r.header.Authentication == nil {
		if needed {
			return unproven(r.identity)
		}
		return nil
	}
	if !needed && r.version < ttlv.V2_0 {
		return nil
	}
	proven := !needed
	for _, raw := range r.header.Authentication.Credential {
		var c kmip.Credential
		if err := r.decoder.Unmarshal(raw, ttlv.TagCredential, &c); err != nil {
			return r.invalid(err)
		}
		right, err := r.proves(&c, needed)
		if err != nil {
			return err
		}
		proven = proven || right
	}
	if !proven {
		return unproven(r.identity)
	}
	return nil
}

func unproven(identity string) error {
	return kmip.Errorf(kmip.ResultReasonAuthenticationNotSuccessful, "requests of %q need a credential: a password, or a ticket", identity)
}

// credentials are the types that prove something, with the versions that have them.
var credentials = map[kmip.CredentialType]struct {
	since ttlv.Version
	value func() any
}{
	kmip.CredentialTypeUsernameAndPassword: {ttlv.V1_0, func() any { return new(kmip.UsernameAndPassword) }},
	kmip.CredentialTypeDevice:              {ttlv.V1_1, func() any { return new(kmip.DeviceCredential) }},
	kmip.CredentialTypeOneTimePassword:     {ttlv.V2_0, func() any { return new(kmip.OneTimePasswordCredential) }},
	kmip.CredentialTypeHashedPassword:      {ttlv.V2_0, func() any { return new(kmip.HashedPasswordCredential) }},
	kmip.CredentialTypeTicket:              {ttlv.V2_0, func() any { return new(kmip.TicketCredential) }},
}

// proves says whether a credential proves the caller, and refuses a wrong one. A password is looked at where it is needed, a
// ticket always; attestation and vendors' credentials prove nothing.
func (r *Request) proves(c *kmip.Credential, needed bool) (bool, error) {
	kind, known := credentials[c.CredentialType]
	if !known || !needed && c.CredentialType != kmip.CredentialTypeTicket {
		return false, nil
	}
	if r.version < kind.since {
		return false, kmip.Errorf(kmip.ResultReasonInvalidField, "KMIP %v has no %v credential", r.version, c.CredentialType)
	}
	value := kind.value()
	if err := r.decoder.Unmarshal(c.CredentialValue, ttlv.TagCredentialValue, value); err != nil {
		return false, r.invalid(err)
	}
	if t, ok := value.(*kmip.TicketCredential); ok {
		return true, r.present(&t.Ticket)
	}
	ctx, cancel := context.WithTimeout(r.conn.ctx, r.server.Limits.OperationTimeout)
	defer cancel()
	answer, err := r.server.Gate.passwords.Prove(ctx, r.identity, value, &r.proven)
	if answer != nil {
		r.hashed = answer
	}
	return err == nil, err
}
