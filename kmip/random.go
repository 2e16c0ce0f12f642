package kmip

// RNGRetrieveRequest asks for random bytes. KMIP 2.1 §6.1.49.
type RNGRetrieveRequest struct {
	DataLength int32 `ttlv:"DataLength"` // bytes
}

// RNGRetrieveResponse has them.
type RNGRetrieveResponse struct {
	Data []byte `ttlv:"Data,omitempty"`
}

// RNGSeedRequest offers seed to the random number generator. KMIP 2.1 §6.1.50.
type RNGSeedRequest struct {
	Data []byte `ttlv:"Data"`
}

// RNGSeedResponse says how much of it was used.
type RNGSeedResponse struct {
	DataLength int32 `ttlv:"DataLength"` // bytes
}
