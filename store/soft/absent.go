package soft

import (
	"context"

	"strongroom/kmip"
)

// absent is a key whose material is elsewhere: nothing is computed with it.
type absent struct{}

// Close has nothing to clear.
func (absent) Close() {}

// Encrypt refuses.
func (absent) Encrypt(context.Context, *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	return nil, errNoKeyValue
}

// Decrypt refuses.
func (absent) Decrypt(context.Context, *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	return nil, errNoKeyValue
}

// Sign refuses.
func (absent) Sign(context.Context, *kmip.SignRequest) (*kmip.SignResponse, error) {
	return nil, errNoKeyValue
}

// SignatureVerify refuses.
func (absent) SignatureVerify(context.Context, *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	return nil, errNoKeyValue
}

// MAC refuses.
func (absent) MAC(context.Context, *kmip.MACRequest) (*kmip.MACResponse, error) {
	return nil, errNoKeyValue
}

// Wrap refuses.
func (absent) Wrap(context.Context, *kmip.CryptographicParameters, []byte) ([]byte, error) {
	return nil, errNoKeyValue
}

// Unwrap refuses.
func (absent) Unwrap(context.Context, *kmip.CryptographicParameters, []byte) ([]byte, error) {
	return nil, errNoKeyValue
}
