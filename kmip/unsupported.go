package kmip

import "context"

// Unsupported refuses every method of Key with *Operation Not Supported*. Embed it in a kind of key that lacks some.
type Unsupported struct {
	Kind string // of key, for the errors: "a SKIPJACK key"; "" is "this kind of key"
}

func (u Unsupported) unsupported(what string) error {
	kind := u.Kind
	if kind == "" {
		kind = "this kind of key"
	}
	return Errorf(ResultReasonOperationNotSupported, "%s cannot %s", kind, what)
}

// Encrypt refuses.
func (u Unsupported) Encrypt(context.Context, *EncryptRequest) (*EncryptResponse, error) {
	return nil, u.unsupported("encrypt")
}

// Decrypt refuses.
func (u Unsupported) Decrypt(context.Context, *DecryptRequest) (*DecryptResponse, error) {
	return nil, u.unsupported("decrypt")
}

// Sign refuses.
func (u Unsupported) Sign(context.Context, *SignRequest) (*SignResponse, error) {
	return nil, u.unsupported("sign")
}

// SignatureVerify refuses.
func (u Unsupported) SignatureVerify(context.Context, *SignatureVerifyRequest) (*SignatureVerifyResponse, error) {
	return nil, u.unsupported("verify a signature")
}

// MAC refuses.
func (u Unsupported) MAC(context.Context, *MACRequest) (*MACResponse, error) {
	return nil, u.unsupported("compute a MAC")
}

// Wrap refuses.
func (u Unsupported) Wrap(context.Context, *CryptographicParameters, []byte) ([]byte, error) {
	return nil, u.unsupported("wrap")
}

// Unwrap refuses.
func (u Unsupported) Unwrap(context.Context, *CryptographicParameters, []byte) ([]byte, error) {
	return nil, u.unsupported("unwrap")
}
