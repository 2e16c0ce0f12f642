package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// Labels of the keys in the token.
const (
	aesLabel = "bench-aes"
	rsaLabel = "bench-rsa"

	wrappingLabel = "bench-wrapping"
)

// keys are those that the measurements use, and what was made with them.
type keys struct {
	client     *client.Client
	database   kmip.UniqueIdentifier // AES-256
	aes, rsa   kmip.UniqueIdentifier // in the token: AES-256, RSA-2048
	ecdsa      *exchange
	public     *rsa.PublicKey
	plaintext  []byte // 64 bytes
	ciphertext []byte // of it under rsa, OAEP with SHA-256
}

var (
	gcm  = kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}
	oaep = kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256}
	pkcs = kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodPKCS1v15, HashingAlgorithm: kmip.HashingAlgorithmSHA256}
)

// makeKeys makes the keys.
func makeKeys(ctx context.Context, c *client.Client) (*keys, error) {
	k := &keys{
		client: c, plaintext: make([]byte, 64),
		aes: kmip.UniqueIdentifier(kmip.HSMIdentifier(slot, aesLabel)),
		rsa: kmip.UniqueIdentifier(kmip.HSMIdentifier(slot, rsaLabel)),
	}
	rand.Read(k.plaintext)
	made, err := client.Do[kmip.CreateResponse](ctx, c, kmip.OperationCreate, newAES(""))
	if err != nil {
		return nil, err
	}
	k.database = made.UniqueIdentifier
	if _, err := client.Do[kmip.CreateResponse](ctx, c, kmip.OperationCreate, newAES(string(k.aes))); err != nil {
		return nil, err
	}
	pair := &kmip.CreateKeyPairRequest{
		CommonAttributes:     active(kmip.CryptographicAlgorithmRSA, 2048),
		PrivateKeyAttributes: kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, string(k.rsa)),
	}
	halves, err := client.Do[kmip.CreateKeyPairResponse](ctx, c, kmip.OperationCreateKeyPair, pair)
	if err != nil {
		return nil, err
	}
	if k.public, err = k.publicKey(ctx, halves.PublicKeyUniqueIdentifier); err != nil {
		return nil, err
	}
	k.ciphertext, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, k.public, k.plaintext, nil)
	return k, err
}

// active are attributes of a key that is active at once.
func active(algorithm kmip.CryptographicAlgorithm, bits int32) kmip.Attributes {
	return kmip.Attributes{}.With(ttlv.TagCryptographicAlgorithm, algorithm).With(ttlv.TagCryptographicLength, bits).
		With(ttlv.TagActivationDate, time.Now().Add(-time.Hour))
}

// newAES asks for an AES-256 key; without a name the server makes one.
func newAES(name string) *kmip.CreateRequest {
	a := active(kmip.CryptographicAlgorithmAES, 256)
	if name != "" {
		a = a.With(ttlv.TagUniqueIdentifier, name)
	}
	return &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a}
}

// publicKey fetches the public half of a pair.
func (k *keys) publicKey(ctx context.Context, uid kmip.UniqueIdentifier) (*rsa.PublicKey, error) {
	got, err := client.Do[kmip.GetResponse](ctx, k.client, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid, KeyFormatType: kmip.KeyFormatTypeX509})
	if err != nil {
		return nil, err
	}
	if got.PublicKey == nil {
		return nil, fmt.Errorf("%s is no public key", uid)
	}
	parsed, err := x509.ParsePKIXPublicKey(got.PublicKey.KeyBlock.KeyValue.Material)
	if err != nil {
		return nil, err
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s is no RSA key", uid)
	}
	return public, nil
}

// prepare encodes a request of n times the same operation, asks it once, and looks at every item of the answer with
// verify, which gets its payload.
func (k *keys) prepare(ctx context.Context, op kmip.Operation, payload any, n int, verify func(payload []byte) error) (*exchange, error) {
	request, err := message(op, payload, n)
	if err != nil {
		return nil, err
	}
	answer, err := k.client.RoundTripRaw(ctx, request)
	if err != nil {
		return nil, err
	}
	items, err := itemsOf(answer)
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		if it.ResultStatus != kmip.ResultStatusSuccess {
			return nil, refusal(answer)
		}
		if err := verify(it.ResponsePayload); err != nil {
			return nil, fmt.Errorf("the answer to %v is wrong: %w", op, err)
		}
	}
	return newExchange(request, answer, n)
}

func (k *keys) encryptRequest(uid kmip.UniqueIdentifier) *kmip.EncryptRequest {
	return &kmip.EncryptRequest{UniqueIdentifier: uid, CryptographicParameters: &gcm, Data: k.plaintext}
}

// encrypt is the exchange of n Encrypts in one message.
func (k *keys) encrypt(ctx context.Context, uid kmip.UniqueIdentifier, n int) (*exchange, error) {
	return k.prepare(ctx, kmip.OperationEncrypt, k.encryptRequest(uid), n, func(payload []byte) error {
		r, err := decode[kmip.EncryptResponse](payload)
		if err != nil {
			return err
		}
		back, err := client.Do[kmip.DecryptResponse](ctx, k.client, kmip.OperationDecrypt, &kmip.DecryptRequest{
			UniqueIdentifier: uid, CryptographicParameters: &gcm, Data: r.Data, IVCounterNonce: r.IVCounterNonce,
			AuthenticatedEncryptionTag: r.AuthenticatedEncryptionTag,
		})
		if err != nil {
			return err
		}
		return same(back.Data, k.plaintext)
	})
}

// get is the exchange of Get, whose answer must open what the server encrypts.
func (k *keys) get(ctx context.Context) (*exchange, error) {
	made, err := client.Do[kmip.EncryptResponse](ctx, k.client, kmip.OperationEncrypt, k.encryptRequest(k.database))
	if err != nil {
		return nil, err
	}
	return k.prepare(ctx, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: k.database}, 1, func(payload []byte) error {
		r, err := decode[kmip.GetResponse](payload)
		if err != nil {
			return err
		}
		if r.SymmetricKey == nil || r.SymmetricKey.KeyBlock.KeyValue == nil {
			return errors.New("no key")
		}
		block, err := aes.NewCipher(r.SymmetricKey.KeyBlock.KeyValue.Material)
		if err != nil {
			return err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return err
		}
		back, err := aead.Open(nil, made.IVCounterNonce, append(made.Data, made.AuthenticatedEncryptionTag...), nil)
		if err != nil {
			return err
		}
		return same(back, k.plaintext)
	})
}

// decrypt is the exchange of Decrypt with the RSA key of the token.
func (k *keys) decrypt(ctx context.Context) (*exchange, error) {
	q := &kmip.DecryptRequest{UniqueIdentifier: k.rsa, CryptographicParameters: &oaep, Data: k.ciphertext}
	return k.prepare(ctx, kmip.OperationDecrypt, q, 1, func(payload []byte) error {
		r, err := decode[kmip.DecryptResponse](payload)
		if err != nil {
			return err
		}
		return same(r.Data, k.plaintext)
	})
}

// sign is the exchange of Sign with the RSA key of the token.
func (k *keys) sign(ctx context.Context) (*exchange, error) {
	q := &kmip.SignRequest{UniqueIdentifier: k.rsa, CryptographicParameters: &pkcs, Data: k.plaintext}
	return k.prepare(ctx, kmip.OperationSign, q, 1, func(payload []byte) error {
		r, err := decode[kmip.SignResponse](payload)
		if err != nil {
			return err
		}
		digest := sha256.Sum256(k.plaintext)
		return rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], r.SignatureData)
	})
}

// create is the exchange of Create of a database key.
func (k *keys) create(ctx context.Context) (*exchange, error) {
	return k.prepare(ctx, kmip.OperationCreate, newAES(""), 1, func(payload []byte) error {
		r, err := decode[kmip.CreateResponse](payload)
		if err != nil {
			return err
		}
		_, err = client.Do[kmip.GetResponse](ctx, k.client, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: r.UniqueIdentifier})
		return err
	})
}

// decode decodes a response payload.
func decode[R any](payload []byte) (*R, error) {
	r := new(R)
	return r, ttlv.Unmarshal(payload, ttlv.V2_1, ttlv.TagResponsePayload, r, nil)
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes, not the plaintext of %d", len(got), len(want))
	}
	return nil
}
