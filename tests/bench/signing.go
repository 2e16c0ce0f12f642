package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// A signature is a way to sign.
type signature struct {
	name       string // of the private key, in a token; "" for one of the database
	pair       kmip.Attributes
	parameters kmip.CryptographicParameters
	verify     func(public any, data, signature []byte) bool
}

var (
	signRSA = signature{"", active(kmip.CryptographicAlgorithmRSA, 2048), pkcs, func(public any, data, signature []byte) bool {
		digest := sha256.Sum256(data)
		key, ok := public.(*rsa.PublicKey)
		return ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	}}
	signP256 = signature{
		"", active(kmip.CryptographicAlgorithmECDSA, 256).With(ttlv.TagCryptographicDomainParameters, kmip.CryptographicDomainParameters{RecommendedCurve: kmip.RecommendedCurveP256}),
		kmip.CryptographicParameters{DigitalSignatureAlgorithm: kmip.DigitalSignatureAlgorithmECDSAWithSHA256},
		func(public any, data, signature []byte) bool {
			digest := sha256.Sum256(data)
			key, ok := public.(*ecdsa.PublicKey)
			return ok && ecdsa.VerifyASN1(key, digest[:], signature)
		},
	}
	signEd25519 = signature{
		"", active(kmip.CryptographicAlgorithmEd25519, 256), kmip.CryptographicParameters{},
		func(public any, data, signature []byte) bool {
			key, ok := public.(ed25519.PublicKey)
			return ok && ed25519.Verify(key, data, signature)
		},
	}
)

// signer makes a pair, and is the exchange of Sign with it. The public half must verify what it answers.
func (k *keys) signer(s signature) func(context.Context) (*exchange, error) {
	return func(ctx context.Context) (*exchange, error) {
		private := kmip.Attributes{}.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskSign)
		if s.name != "" {
			private = private.With(ttlv.TagUniqueIdentifier, s.name)
		}
		halves, err := client.Do[kmip.CreateKeyPairResponse](ctx, k.client, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{
			CommonAttributes:     s.pair,
			PrivateKeyAttributes: private,
			PublicKeyAttributes:  kmip.Attributes{}.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskVerify),
		})
		if err != nil {
			return nil, err
		}
		got, err := client.Do[kmip.GetResponse](ctx, k.client, kmip.OperationGet, &kmip.GetRequest{
			UniqueIdentifier: halves.PublicKeyUniqueIdentifier, KeyFormatType: kmip.KeyFormatTypeX509,
		})
		if err != nil {
			return nil, err
		}
		if got.PublicKey == nil || got.PublicKey.KeyBlock.KeyValue == nil {
			return nil, errors.New("no public key")
		}
		public, err := x509.ParsePKIXPublicKey(got.PublicKey.KeyBlock.KeyValue.Material)
		if err != nil {
			return nil, err
		}
		q := &kmip.SignRequest{UniqueIdentifier: halves.PrivateKeyUniqueIdentifier, CryptographicParameters: &s.parameters, Data: k.plaintext}
		return k.prepare(ctx, kmip.OperationSign, q, 1, func(payload []byte) error {
			r, err := decode[kmip.SignResponse](payload)
			if err == nil && !s.verify(public, k.plaintext, r.SignatureData) {
				err = fmt.Errorf("a signature of %d bytes that does not verify", len(r.SignatureData))
			}
			return err
		})
	}
}

// signWrapped is the exchange of Sign with a key that the token wrapped, and unwraps for each signature.
func (k *keys) signWrapped(ctx context.Context) (*exchange, error) {
	wrapping := kmip.HSMIdentifier(slot, wrappingLabel)
	q := newAES(wrapping)
	q.Attributes = q.Attributes.With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskWrapKey|kmip.CryptographicUsageMaskUnwrapKey)
	if _, err := client.Do[kmip.CreateResponse](ctx, k.client, kmip.OperationCreate, q); err != nil {
		return nil, err
	}
	s := signRSA
	s.pair = s.pair.PlusVendor(kmip.VendorClient, kmip.AttributeProtection, kmip.ProtectionHSMWrapped).
		PlusVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, wrapping)
	return k.signer(s)(ctx)
}

// spin runs do on so many goroutines, for a time, and counts.
func spin(ctx context.Context, goroutines int, d time.Duration, do func() error) (*outcome, error) {
	var n atomic.Int64
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range goroutines {
		wg.Go(func() {
			for errs[i] == nil && time.Since(start) < d && ctx.Err() == nil {
				if errs[i] = do(); errs[i] == nil {
					n.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return &outcome{operations: int(n.Load()), duration: time.Since(start)}, errors.Join(append(errs, ctx.Err())...)
}

// rsaLoop is the floor of Sign with RSA: the same signature, by Go's own package, with nothing around it.
func (b *bench) rsaLoop(ctx context.Context, t *trial, _ []*exchange) (*outcome, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return spin(ctx, t.connections, b.duration/(2*turns), func() error {
		digest := sha256.Sum256(b.keys.plaintext)
		_, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		return err
	})
}
