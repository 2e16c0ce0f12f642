package kmip

// DeriveKeyRequest asks for a key or secret computed from others. KMIP 2.1 §6.1.14, KMIP 1.4 §4.6.
type DeriveKeyRequest struct {
	ObjectType           ObjectType           `ttlv:"ObjectType"`
	UniqueIdentifier     []UniqueIdentifier   `ttlv:"UniqueIdentifier"`
	DerivationMethod     DerivationMethod     `ttlv:"DerivationMethod"`
	DerivationParameters DerivationParameters `ttlv:"DerivationParameters"`
	Attributes           Attributes           `ttlv:"TemplateAttribute,1.0-1.4|Attributes,2.0+"`
}

// DeriveKeyResponse names the object derived.
type DeriveKeyResponse struct {
	UniqueIdentifier UniqueIdentifier `ttlv:"UniqueIdentifier"`
}

// DerivationParameters are what a derivation method takes beside the key. KMIP 2.1 §7.12.
type DerivationParameters struct {
	CryptographicParameters *CryptographicParameters `ttlv:"CryptographicParameters"`
	InitializationVector    []byte                   `ttlv:"InitializationVector,omitempty"`
	DerivationData          [][]byte                 `ttlv:"DerivationData"`
	Salt                    []byte                   `ttlv:"Salt,omitempty"`
	IterationCount          *int32                   `ttlv:"IterationCount"`
}
