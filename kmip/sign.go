package kmip

// SignRequest signs data or a digest of it. KMIP 2.1 §6.1.55.
type SignRequest struct {
	UniqueIdentifier        UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters *CryptographicParameters `ttlv:"CryptographicParameters"`
	Data                    []byte                   `ttlv:"Data,omitempty"`
	DigestedData            []byte                   `ttlv:"DigestedData,1.4+,omitempty"`
	CorrelationValue        []byte                   `ttlv:"CorrelationValue,1.3+,omitempty"`
	InitIndicator           *bool                    `ttlv:"InitIndicator,1.3+"`
	FinalIndicator          *bool                    `ttlv:"FinalIndicator,1.3+"`
}

// SignResponse has the signature; ECDSA's is DER.
type SignResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	SignatureData    []byte           `ttlv:"SignatureData,omitempty"`
	CorrelationValue []byte           `ttlv:"CorrelationValue,1.3+,omitempty"`
}

// SignatureVerifyRequest checks a signature. KMIP 2.1 §6.1.56.
type SignatureVerifyRequest struct {
	UniqueIdentifier        UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters *CryptographicParameters `ttlv:"CryptographicParameters"`
	Data                    []byte                   `ttlv:"Data,omitempty"`
	DigestedData            []byte                   `ttlv:"DigestedData,1.4+,omitempty"`
	SignatureData           []byte                   `ttlv:"SignatureData,omitempty"`
	CorrelationValue        []byte                   `ttlv:"CorrelationValue,1.3+,omitempty"`
	InitIndicator           *bool                    `ttlv:"InitIndicator,1.3+"`
	FinalIndicator          *bool                    `ttlv:"FinalIndicator,1.3+"`
}

// SignatureVerifyResponse says whether it holds.
type SignatureVerifyResponse struct {
	UniqueIdentifier  UniqueIdentifier  `ttlv:"UniqueIdentifier"`
	ValidityIndicator ValidityIndicator `ttlv:"ValidityIndicator"`
	Data              []byte            `ttlv:"Data,omitempty"`
	CorrelationValue  []byte            `ttlv:"CorrelationValue,1.3+,omitempty"`
}

// MACRequest computes a message authentication code. KMIP 2.1 §6.1.32.
type MACRequest struct {
	UniqueIdentifier        UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters *CryptographicParameters `ttlv:"CryptographicParameters"`
	Data                    []byte                   `ttlv:"Data,omitempty"`
	CorrelationValue        []byte                   `ttlv:"CorrelationValue,1.3+,omitempty"`
	InitIndicator           *bool                    `ttlv:"InitIndicator,1.3+"`
	FinalIndicator          *bool                    `ttlv:"FinalIndicator,1.3+"`
}

// MACResponse has the code.
type MACResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	MACData          []byte           `ttlv:"MACData,omitempty"`
	CorrelationValue []byte           `ttlv:"CorrelationValue,1.3+,omitempty"`
}
