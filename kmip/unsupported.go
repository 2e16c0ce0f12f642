package kmip

import "context"

// Unsupported refuses every method of Key with *Operation Not Supported*. Embed it in a kind of key that lacks some.
type Unsupported struct{}

func unsupported(what string) error {
	return Errorf(ResultReasonOperationNotSupported, "this kind of key cannot %s", what)
}

// Encrypt refuses.
func (Unsupported) Encrypt(context.Context, *EncryptRequest) (*EncryptResponse, error) {
	return nil, unsupported("encrypt")
}

// Decrypt refuses.
func (Unsupported) Decrypt(context.Context, *DecryptRequest) (*DecryptResponse, error) {
	return nil, unsupported("decrypt")
}

// Sign refuses.
func (Unsupported) Sign(context.Context, *SignRequest) (*SignResponse, error) {
	return nil, unsupported("sign")
}

// SignatureVerify refuses.
func (Unsupported) SignatureVerify(context.Context, *SignatureVerifyRequest) (*SignatureVerifyResponse, error) {
	return nil, unsupported("verify a signature")
}

// MAC refuses.
func (Unsupported) MAC(context.Context, *MACRequest) (*MACResponse, error) {
	return nil, unsupported("compute a MAC")
}

// Wrap refuses.
func (Unsupported) Wrap(context.Context, *CryptographicParameters, []byte) ([]byte, error) {
	return nil, unsupported("wrap")
}

// Unwrap refuses.
func (Unsupported) Unwrap(context.Context, *CryptographicParameters, []byte) ([]byte, error) {
	return nil, unsupported("unwrap")
}
