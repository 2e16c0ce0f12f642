package tests

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// client connects as a client of the site, over as many connections as there are requests at once.
func (s *site) client(name string, version ttlv.Version) *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.t.Context(), client.Config{Address: s.address, TLS: s.tls(name), Version: version, Connections: 64})
	require.NoError(s.t, err, "server: %s", s.log)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// do performs an operation that must succeed.
func do[Resp, Req any](t *testing.T, c *client.Client, op kmip.Operation, q *Req) *Resp {
	t.Helper()
	r, err := client.Do[Resp](t.Context(), c, op, q)
	require.NoError(t, err)
	return r
}

// refusal is the server's answer to an operation that must fail.
func refusal(t *testing.T, err error) *client.Error {
	t.Helper()
	var e *client.Error
	require.Error(t, err)
	require.True(t, errors.As(err, &e), "the server did not answer: %v", err)
	return e
}

// born is an Activation Date that makes a key Active from its first moment.
var born = time.Unix(1_000_000_000, 0)

// named is an attribute list with an identifier, or without for "".
func named(uid string) kmip.Attributes {
	if uid == "" {
		return nil
	}
	return kmip.Attributes{}.With(ttlv.TagUniqueIdentifier, uid)
}

// usable has the attributes of an Active key of that algorithm and length, for all that such a key does.
func usable(uid string, algorithm kmip.CryptographicAlgorithm, bits int32) kmip.Attributes {
	return named(uid).With(ttlv.TagCryptographicAlgorithm, algorithm).With(ttlv.TagCryptographicLength, bits).With(ttlv.TagActivationDate, born)
}

// aes has the attributes of an Active AES-256 key.
func aes(uid string) kmip.Attributes { return usable(uid, kmip.CryptographicAlgorithmAES, 256) }

// wrappedBy says under which key the new one is to be kept.
func wrappedBy(a kmip.Attributes, uid string) kmip.Attributes {
	return a.PlusVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, uid)
}

// create makes a symmetric key and gives its identifier.
func create(t *testing.T, c *client.Client, a kmip.Attributes) string {
	t.Helper()
	q := &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a}
	return string(do[kmip.CreateResponse](t, c, kmip.OperationCreate, q).UniqueIdentifier)
}

// createPair makes a pair and gives the identifiers of its private and public half.
func createPair(t *testing.T, c *client.Client, a kmip.Attributes) (private, public string) {
	t.Helper()
	r := do[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: a})
	return string(r.PrivateKeyUniqueIdentifier), string(r.PublicKeyUniqueIdentifier)
}

// rawKey is a symmetric key of these bytes.
func rawKey(algorithm kmip.CryptographicAlgorithm, material []byte) kmip.Value {
	return kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material},
		CryptographicAlgorithm: algorithm, CryptographicLength: int32(8 * len(material)),
	}}}
}

// register brings an AES key of these bytes in and gives its identifier.
func register(t *testing.T, c *client.Client, a kmip.Attributes, material []byte) string {
	t.Helper()
	q := &kmip.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a, Value: rawKey(kmip.CryptographicAlgorithmAES, material)}
	return string(do[kmip.RegisterResponse](t, c, kmip.OperationRegister, q).UniqueIdentifier)
}

// get is a key's material, in the format, or its own for 0.
func get(t *testing.T, c *client.Client, uid string, format kmip.KeyFormatType) *kmip.KeyValue {
	t.Helper()
	r := do[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), KeyFormatType: format})
	block := r.KeyBlock()
	require.NotNil(t, block)
	require.NotNil(t, block.KeyValue)
	return block.KeyValue
}

// gcm are the parameters of authenticated encryption.
var gcm = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}

// oaep are those of RSA.
var oaep = &kmip.CryptographicParameters{PaddingMethod: kmip.PaddingMethodOAEP, HashingAlgorithm: kmip.HashingAlgorithmSHA256}

// encrypt encrypts with AES-GCM.
func encrypt(t *testing.T, c *client.Client, uid string, data []byte) (*kmip.EncryptResponse, error) {
	t.Helper()
	return client.Do[kmip.EncryptResponse](t.Context(), c, kmip.OperationEncrypt, &kmip.EncryptRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: gcm, Data: data,
	})
}

// decrypt takes back what encrypt made.
func decrypt(t *testing.T, c *client.Client, e *kmip.EncryptResponse) ([]byte, error) {
	t.Helper()
	r, err := client.Do[kmip.DecryptResponse](t.Context(), c, kmip.OperationDecrypt, &kmip.DecryptRequest{
		UniqueIdentifier: e.UniqueIdentifier, CryptographicParameters: gcm, Data: e.Data, IVCounterNonce: e.IVCounterNonce,
		AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag,
	})
	if err != nil {
		return nil, err
	}
	return r.Data, nil
}

// works fails the test unless a key encrypts and decrypts.
func works(t *testing.T, c *client.Client, uid string) {
	t.Helper()
	plain := []byte("what " + uid + " protects")
	e, err := encrypt(t, c, uid, plain)
	require.NoError(t, err)
	back, err := decrypt(t, c, e)
	require.NoError(t, err)
	require.Equal(t, plain, back)
}

// revoke deactivates an object.
func revoke(t *testing.T, c *client.Client, uid string) {
	t.Helper()
	do[kmip.RevokeResponse](t, c, kmip.OperationRevoke, &kmip.RevokeRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid),
		RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeCessationOfOperation},
	})
}

// destroy destroys one that is not Active, or is in a token.
func destroy(t *testing.T, c *client.Client, uid string) {
	t.Helper()
	do[kmip.DestroyResponse](t, c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
}

// grant lets somebody perform operations on an object; withdraw takes that back.
func grant(t *testing.T, c *client.Client, uid, grantee string, operations ...kmip.Operation) {
	t.Helper()
	do[kmip.GrantAccessResponse](t, c, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: grantee, Operations: operations,
	})
}

func withdraw(t *testing.T, c *client.Client, uid, grantee string, operations ...kmip.Operation) {
	t.Helper()
	do[kmip.WithdrawAccessResponse](t, c, kmip.OperationWithdrawAccess, &kmip.WithdrawAccessRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: grantee, Operations: operations,
	})
}

// locate lists all that a client may see.
func locate(t *testing.T, c *client.Client) []string {
	t.Helper()
	var uids []string
	for _, uid := range do[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{}).UniqueIdentifier {
		uids = append(uids, string(uid))
	}
	return uids
}

// perform performs an operation of any kind and gives its error.
func perform(t *testing.T, c *client.Client, op kmip.Operation, q any) error {
	t.Helper()
	item := client.Item{Operation: op, Request: q}
	for _, p := range kmip.Payloads {
		if p.Operation == op {
			item.Response = p.NewResponse()
		}
	}
	if err := c.Batch(t.Context(), &item); err != nil {
		return err
	}
	return item.Err
}
