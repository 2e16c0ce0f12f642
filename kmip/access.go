package kmip

// The operations on access are vendor extensions (operation codes 0x80000001 to 0x80000005, tags 0x540001 to 0x540008),
// so that grants travel the same connection, through the same door, as everything else.

// GrantAccessRequest lets Grantee perform the operations on an object; the owner asks. "*" is everyone.
type GrantAccessRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Grantee          string           `ttlv:"Grantee"`
	Operations       []Operation      `ttlv:"GrantedOperation"`
}

// GrantAccessResponse names the object.
type GrantAccessResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// WithdrawAccessRequest takes grants back; no operations means all that the grantee has.
type WithdrawAccessRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Grantee          string           `ttlv:"Grantee"`
	Operations       []Operation      `ttlv:"GrantedOperation"`
}

// WithdrawAccessResponse names the object.
type WithdrawAccessResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ListAccessRequest asks who may do what with an object (its owner may ask); without an identifier, what the caller owns
// (Owned) or was granted (Obtained).
type ListAccessRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Owned            bool             `ttlv:"Owned,omitempty"`
	Obtained         bool             `ttlv:"Obtained,omitempty"`
}

// ListAccessResponse lists grants, or objects.
type ListAccessResponse struct {
	AccessEntry []AccessEntry `ttlv:"AccessEntry"`
}

// AccessEntry is what one grantee may do with one object.
type AccessEntry struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Grantee          string           `ttlv:"Grantee,omitempty"`
	Operations       []Operation      `ttlv:"GrantedOperation"`
}

// WhoAmIRequest asks for the caller's identity.
type WhoAmIRequest struct{}

// WhoAmIResponse tells it.
type WhoAmIResponse struct {
	Identity string `ttlv:"Identity"`
	HSMAdmin bool   `ttlv:"HSMAdmin"`
}

// CanIRequest asks whether the caller may perform an operation on an object, or create one under that identifier.
type CanIRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Operation        Operation        `ttlv:"GrantedOperation"`
}

// CanIResponse tells. An object that does not exist answers as one that is forbidden.
type CanIResponse struct {
	Allowed bool `ttlv:"Allowed"`
}
