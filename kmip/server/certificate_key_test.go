package server

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestCertificateKey: a certificate does what its public key does, as far as its usage mask goes. KMIP 2.1 §12.1.
func TestCertificateKey(t *testing.T) {
	g := newRig(t, Limits{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageDataEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("message"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		c := g.client("alice", v)
		uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{
			ObjectType: kmip.ObjectTypeCertificate, Attributes: tag(ttlv.TagActivationDate, time.Now().Add(-time.Second)),
			Value: kmip.Value{Certificate: &kmip.Certificate{CertificateType: kmip.CertificateTypeX509, CertificateValue: der}},
		}).UniqueIdentifier
		verify := &kmip.SignatureVerifyRequest{UniqueIdentifier: uid, Data: []byte("message"), SignatureData: signature}
		require.Equal(t, kmip.ValidityIndicatorValid, must[kmip.SignatureVerifyResponse](t, c, kmip.OperationSignatureVerify, verify).ValidityIndicator)
		verify.Data = []byte("another")
		require.Equal(t, kmip.ValidityIndicatorInvalid, must[kmip.SignatureVerifyResponse](t, c, kmip.OperationSignatureVerify, verify).ValidityIndicator)

		sealed := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{
			UniqueIdentifier: uid, Data: []byte("secret"),
			CryptographicParameters: &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256},
		}).Data
		plain, err := rsa.DecryptOAEP(sha256.New(), nil, key, sealed, nil)
		require.NoError(t, err)
		require.Equal(t, "secret", string(plain))

		mask := kmip.ResultReasonIncompatibleCryptographicUsageMask.For(kmip.OperationSign, v)
		require.Equal(t, mask, reason(t, c, kmip.OperationSign, &kmip.SignRequest{UniqueIdentifier: uid, Data: []byte("message")}))
	}
}
