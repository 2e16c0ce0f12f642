package kmip

// MACVerifyRequest checks a message authentication code. KMIP 2.1 §6.1.33.
type MACVerifyRequest struct {
	UniqueIdentifier        UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters *CryptographicParameters `ttlv:"CryptographicParameters"`
	Data                    []byte                   `ttlv:"Data,omitempty"`
	MACData                 []byte                   `ttlv:"MACData,omitempty"`
	CorrelationValue        []byte                   `ttlv:"CorrelationValue,1.3+,omitempty"`
	InitIndicator           *bool                    `ttlv:"InitIndicator,1.3+"`
	FinalIndicator          *bool                    `ttlv:"FinalIndicator,1.3+"`
}

// MACVerifyResponse says whether it holds.
type MACVerifyResponse struct {
	UniqueIdentifier  UniqueIdentifier  `ttlv:"UniqueIdentifier"`
	ValidityIndicator ValidityIndicator `ttlv:"ValidityIndicator"`
	CorrelationValue  []byte            `ttlv:"CorrelationValue,1.3+,omitempty"`
}

// Target is the object asked for.
func (r *MACVerifyRequest) Target() UniqueIdentifier { return r.UniqueIdentifier }

// SetUniqueIdentifier names the object.
func (r *MACVerifyResponse) SetUniqueIdentifier(uid UniqueIdentifier) { r.UniqueIdentifier = uid }

// HashRequest asks for the hash of data, without a key. KMIP 2.1 §6.1.24.
type HashRequest struct {
	CryptographicParameters CryptographicParameters `ttlv:"CryptographicParameters"`
	Data                    []byte                  `ttlv:"Data,omitempty"`
	CorrelationValue        []byte                  `ttlv:"CorrelationValue,1.3+,omitempty"`
	InitIndicator           *bool                   `ttlv:"InitIndicator,1.3+"`
	FinalIndicator          *bool                   `ttlv:"FinalIndicator,1.3+"`
}

// HashResponse has the hash.
type HashResponse struct {
	Data             []byte `ttlv:"Data,omitempty"`
	CorrelationValue []byte `ttlv:"CorrelationValue,1.3+,omitempty"`
}
