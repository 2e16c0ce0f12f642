package kmip

// InteropRequest tells the server which test case of an interoperability test begins or ends. KMIP 2.1 §6.1.26.
type InteropRequest struct {
	InteropFunction   InteropFunction `ttlv:"InteropFunction"`
	InteropIdentifier string          `ttlv:"InteropIdentifier,omitempty"`
}

// InteropResponse is empty.
type InteropResponse struct{}
