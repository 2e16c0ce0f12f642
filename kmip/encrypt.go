package kmip

import "strongroom/kmip/ttlv"

// EncryptRequest encrypts data with a key. KMIP 2.1 §6.1.17.
type EncryptRequest struct {
	UniqueIdentifier                      UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters               *CryptographicParameters `ttlv:"CryptographicParameters"`
	Data                                  []byte                   `ttlv:"Data,omitempty"`
	IVCounterNonce                        []byte                   `ttlv:"IVCounterNonce,omitempty"`
	CorrelationValue                      []byte                   `ttlv:"CorrelationValue,1.3+,omitempty"`
	InitIndicator                         *bool                    `ttlv:"InitIndicator,1.3+"`
	FinalIndicator                        *bool                    `ttlv:"FinalIndicator,1.3+"`
	AuthenticatedEncryptionAdditionalData []byte                   `ttlv:"AuthenticatedEncryptionAdditionalData,1.4+,omitempty"`
}

// EncryptResponse has the ciphertext; the IV where the server made it; the tag of an authenticated mode.
type EncryptResponse struct {
	UniqueIdentifier           UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Data                       []byte           `ttlv:"Data,omitempty"`
	IVCounterNonce             []byte           `ttlv:"IVCounterNonce,omitempty"`
	CorrelationValue           []byte           `ttlv:"CorrelationValue,1.3+,omitempty"`
	AuthenticatedEncryptionTag []byte           `ttlv:"AuthenticatedEncryptionTag,1.4+,omitempty"`
}

// For appends the tag to the data for a version that has no field for it: such clients give both back together.
func (r *EncryptResponse) For(v ttlv.Version) {
	if v < ttlv.V1_4 && r.AuthenticatedEncryptionTag != nil {
		r.Data = append(r.Data, r.AuthenticatedEncryptionTag...)
		r.AuthenticatedEncryptionTag = nil
	}
}

// DecryptRequest decrypts data with a key. KMIP 2.1 §6.1.11.
type DecryptRequest struct {
	UniqueIdentifier                      UniqueIdentifier         `ttlv:"UniqueIdentifier"`
	CryptographicParameters               *CryptographicParameters `ttlv:"CryptographicParameters"`
	Data                                  []byte                   `ttlv:"Data,omitempty"`
	IVCounterNonce                        []byte                   `ttlv:"IVCounterNonce,omitempty"`
	CorrelationValue                      []byte                   `ttlv:"CorrelationValue,1.3+,omitempty"`
	InitIndicator                         *bool                    `ttlv:"InitIndicator,1.3+"`
	FinalIndicator                        *bool                    `ttlv:"FinalIndicator,1.3+"`
	AuthenticatedEncryptionAdditionalData []byte                   `ttlv:"AuthenticatedEncryptionAdditionalData,1.4+,omitempty"`
	AuthenticatedEncryptionTag            []byte                   `ttlv:"AuthenticatedEncryptionTag,1.4+,omitempty"`
}

// DecryptResponse has the plaintext.
type DecryptResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
	Data             []byte           `ttlv:"Data,omitempty"`
	CorrelationValue []byte           `ttlv:"CorrelationValue,1.3+,omitempty"`
}
