package kmip

import "time"

// ActivateRequest makes an object Active. KMIP 2.1 §6.1.1.
type ActivateRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ActivateResponse names it.
type ActivateResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// RevokeRequest deactivates an object, or says that it is compromised. KMIP 2.1 §6.1.44.
type RevokeRequest struct {
	UniqueIdentifier         UniqueIdentifier `ttlv:"UniqueIdentifier"`
	RevocationReason         RevocationReason `ttlv:"RevocationReason"`
	CompromiseOccurrenceDate *time.Time       `ttlv:"CompromiseOccurrenceDate"`
}

// RevocationReason says why. KMIP 2.1 §4.47.
type RevocationReason struct {
	RevocationReasonCode RevocationReasonCode `ttlv:"RevocationReasonCode"`
	RevocationMessage    string               `ttlv:"RevocationMessage,omitempty"`
}

// RevokeResponse names the object.
type RevokeResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// DestroyRequest destroys the material of an object. KMIP 2.1 §6.1.15.
type DestroyRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// DestroyResponse names it.
type DestroyResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}
