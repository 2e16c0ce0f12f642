package kmip

import "time"

// ValidateRequest asks whether a chain of certificates holds: those that it brings, and those that it names. KMIP 2.1 §6.1.57.
type ValidateRequest struct {
	Certificates      []Certificate      `ttlv:"Certificate"`
	UniqueIdentifiers []UniqueIdentifier `ttlv:"UniqueIdentifier"`
	ValidityDate      *time.Time         `ttlv:"ValidityDate"` // absent: now
}

// ValidateResponse tells. Unknown is a chain in which nothing is wrong and which ends nowhere.
type ValidateResponse struct {
	ValidityIndicator ValidityIndicator `ttlv:"ValidityIndicator"`
}
