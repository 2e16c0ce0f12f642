package kmip

import (
	"time"

	"strongroom/kmip/ttlv"
)

// CheckRequest asks whether an object may be used so. KMIP 2.1 §6.1.7.
type CheckRequest struct {
	UniqueIdentifier       UniqueIdentifier        `ttlv:"UniqueIdentifier"`
	UsageLimitsCount       *int64                  `ttlv:"UsageLimitsCount"`
	CryptographicUsageMask *CryptographicUsageMask `ttlv:"CryptographicUsageMask"`
	LeaseTime              *ttlv.Interval          `ttlv:"LeaseTime"` // seconds
}

// CheckResponse names the object, if it may; else it has those of the request's fields that are the reason why not.
type CheckResponse struct {
	UniqueIdentifier       UniqueIdentifier        `ttlv:"UniqueIdentifier"`
	UsageLimitsCount       *int64                  `ttlv:"UsageLimitsCount"`
	CryptographicUsageMask *CryptographicUsageMask `ttlv:"CryptographicUsageMask"`
	LeaseTime              *ttlv.Interval          `ttlv:"LeaseTime"`
}

// ObtainLeaseRequest asks how long a client may use what it has of an object. KMIP 2.1 §6.1.35.
type ObtainLeaseRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// ObtainLeaseResponse tells, and when the object changed last.
type ObtainLeaseResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	LeaseTime        ttlv.Interval    `ttlv:"LeaseTime"` // seconds
	LastChangeDate   time.Time        `ttlv:"LastChangeDate"`
}

// GetUsageAllocationRequest takes some of an object's Usage Limits, to use it outside of the server. KMIP 2.1 §6.1.23.
type GetUsageAllocationRequest struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	UsageLimitsCount *int64           `ttlv:"UsageLimitsCount"` // in the unit of the Usage Limits
}

// GetUsageAllocationResponse names the object: the whole amount was taken.
type GetUsageAllocationResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// Target is the object asked for.
func (r *CheckRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *ObtainLeaseRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Target is the object asked for.
func (r *GetUsageAllocationRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// Protecting is a request that applies cryptographic protection, which Usage Limits count. KMIP 2.1 §4.59.
type Protecting interface {
	Protects() int // bytes
}

// Protects counts the data, and what is authenticated with them.
func (r *EncryptRequest) Protects() int {
	return len(r.Data) + len(r.AuthenticatedEncryptionAdditionalData)
}

// Protects counts the data, or the digest that stands for them.
func (r *SignRequest) Protects() int { return max(len(r.Data), len(r.DigestedData)) }

// Protects counts the data.
func (r *MACRequest) Protects() int { return len(r.Data) }
