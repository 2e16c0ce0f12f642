package kmip

import (
	"time"

	"strongroom/kmip/ttlv"
)

// ProtocolVersion is the version a message is written in. KMIP 2.1 §9.16.
type ProtocolVersion struct {
	ProtocolVersionMajor int32 `ttlv:"ProtocolVersionMajor"`
	ProtocolVersionMinor int32 `ttlv:"ProtocolVersionMinor"`
}

// VersionOf is v as a message carries it.
func VersionOf(v ttlv.Version) ProtocolVersion {
	return ProtocolVersion{int32(v.Major()), int32(v.Minor())}
}

// Versions lists the protocol versions that are spoken, newest first.
var Versions = []ttlv.Version{ttlv.V2_1, ttlv.V2_0, ttlv.V1_4, ttlv.V1_3, ttlv.V1_2, ttlv.V1_1, ttlv.V1_0}

// Version is the number p stands for, and whether it is one that is spoken.
func (p ProtocolVersion) Version() (ttlv.Version, bool) {
	for _, v := range Versions {
		if int32(v.Major()) == p.ProtocolVersionMajor && int32(v.Minor()) == p.ProtocolVersionMinor {
			return v, true
		}
	}
	return 0, false
}

// RequestMessage is what a client sends. KMIP 2.1 §8.1.
type RequestMessage struct {
	RequestHeader RequestHeader      `ttlv:"RequestHeader"`
	BatchItem     []RequestBatchItem `ttlv:"BatchItem"`
}

// RequestHeader is the head of a request. KMIP 2.1 §8.2, KMIP 1.4 §7.2.
type RequestHeader struct {
	ProtocolVersion              ProtocolVersion              `ttlv:"ProtocolVersion"`
	MaximumResponseSize          *int32                       `ttlv:"MaximumResponseSize"` // bytes
	ClientCorrelationValue       string                       `ttlv:"ClientCorrelationValue,1.4+,omitempty"`
	ServerCorrelationValue       string                       `ttlv:"ServerCorrelationValue,1.4+,omitempty"`
	AsynchronousIndicator        ttlv.Raw                     `ttlv:"AsynchronousIndicator"` // Boolean to 1.4, Enumeration from 2.0
	AttestationCapableIndicator  *bool                        `ttlv:"AttestationCapableIndicator,1.2+"`
	AttestationType              []AttestationType            `ttlv:"AttestationType,1.2+"`
	Authentication               *Authentication              `ttlv:"Authentication"`
	BatchErrorContinuationOption BatchErrorContinuationOption `ttlv:"BatchErrorContinuationOption,omitempty"`
	BatchOrderOption             *bool                        `ttlv:"BatchOrderOption"`
	TimeStamp                    time.Time                    `ttlv:"TimeStamp,omitempty"`
	BatchCount                   int32                        `ttlv:"BatchCount"`
}

// Authentication carries the credentials of a request, each a Credential. They stay encoded until somebody needs them: the
// verified client certificate is the identity.
type Authentication struct {
	Credential []ttlv.Raw `ttlv:"Credential"`
}

// RequestBatchItem is one operation asked for. Its payload is left encoded: the operation decides how to decode it.
type RequestBatchItem struct {
	Operation         Operation          `ttlv:"Operation"`
	Ephemeral         *bool              `ttlv:"Ephemeral,2.0+"` // the data that the operation gives is for the items that follow alone
	UniqueBatchItemID []byte             `ttlv:"UniqueBatchItemID,omitempty"`
	RequestPayload    ttlv.Raw           `ttlv:"RequestPayload"`
	MessageExtension  []MessageExtension `ttlv:"MessageExtension"` // one to 1.4
}

// MessageExtension is a vendor's addition to a batch item. KMIP 2.1 §9.13.
type MessageExtension struct {
	VendorIdentification string   `ttlv:"VendorIdentification"`
	CriticalityIndicator bool     `ttlv:"CriticalityIndicator"`
	VendorExtension      ttlv.Raw `ttlv:"VendorExtension"`
}

// ResponseMessage is what a server answers. KMIP 2.1 §8.4.
type ResponseMessage struct {
	ResponseHeader ResponseHeader      `ttlv:"ResponseHeader"`
	BatchItem      []ResponseBatchItem `ttlv:"BatchItem"`
}

// ResponseHeader is the head of an answer. KMIP 2.1 §8.5, KMIP 1.4 §7.2.
type ResponseHeader struct {
	ProtocolVersion        ProtocolVersion   `ttlv:"ProtocolVersion"`
	TimeStamp              time.Time         `ttlv:"TimeStamp"`
	Nonce                  ttlv.Raw          `ttlv:"Nonce,1.2+"`
	ServerHashedPassword   []byte            `ttlv:"ServerHashedPassword,2.0+,omitempty"`
	AttestationType        []AttestationType `ttlv:"AttestationType,1.2+"`
	ClientCorrelationValue string            `ttlv:"ClientCorrelationValue,1.4+,omitempty"`
	ServerCorrelationValue string            `ttlv:"ServerCorrelationValue,1.4+,omitempty"`
	BatchCount             int32             `ttlv:"BatchCount"`
}

// ResponseBatchItem is the answer to one operation.
type ResponseBatchItem struct {
	Operation                    Operation         `ttlv:"Operation,omitempty"`
	UniqueBatchItemID            []byte            `ttlv:"UniqueBatchItemID,omitempty"`
	ResultStatus                 ResultStatus      `ttlv:"ResultStatus"`
	ResultReason                 ResultReason      `ttlv:"ResultReason,omitempty"`
	ResultMessage                string            `ttlv:"ResultMessage,omitempty"`
	AsynchronousCorrelationValue []byte            `ttlv:"AsynchronousCorrelationValue,omitempty"`
	ResponsePayload              ttlv.Raw          `ttlv:"ResponsePayload"`
	MessageExtension             *MessageExtension `ttlv:"MessageExtension"`
}
