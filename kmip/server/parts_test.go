package server

import (
	"bytes"
	stdaes "crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// TestEncryptInParts shows that the parts of a counter mode are answered as they come, and that together they are what one
// request would have given.
func TestEncryptInParts(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V1_4)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, rawKey("k"))
	plain := bytes.Repeat([]byte("0123456789"), 50)
	nonce, additional := make([]byte, 12), []byte("additional")
	block, err := stdaes.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	want := gcm.Seal(nil, nonce, plain, additional)

	yes, tag := true, int32(16)
	var got, correlation []byte
	sizes := []int{7, 0, 1, 33, 200, 259}
	for i, n := range sizes {
		q := &kmip.EncryptRequest{UniqueIdentifier: "k", Data: plain[:n], CorrelationValue: correlation}
		plain = plain[n:]
		if i == 0 {
			q.InitIndicator, q.IVCounterNonce, q.AuthenticatedEncryptionAdditionalData = &yes, nonce, additional
			q.CryptographicParameters = &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, TagLength: &tag}
		}
		if i == len(sizes)-1 {
			q.FinalIndicator = &yes
		}
		r := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, q)
		got = append(got, r.Data...)
		if i == 0 {
			require.Len(t, got, 7, "it is answered at once")
			correlation = r.CorrelationValue
		}
		if i < len(sizes)-1 {
			require.Equal(t, correlation, r.CorrelationValue)
			require.Empty(t, r.AuthenticatedEncryptionTag)
			continue
		}
		require.Empty(t, r.CorrelationValue)
		got = append(got, r.AuthenticatedEncryptionTag...)
	}
	require.Equal(t, want, got)
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue.At(ttlv.V1_4), reason(t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k", CorrelationValue: correlation, FinalIndicator: &yes}), "it is over")
}

// inFive performs an operation in five parts, each with the fields of q and a fifth of the data.
func inFive[R, Q any](t *testing.T, c *client.Client, op kmip.Operation, q Q, data []byte) *R {
	t.Helper()
	yes := reflect.ValueOf(new(bool))
	yes.Elem().SetBool(true)
	var correlation reflect.Value
	for i := range 5 {
		part := q
		set := reflect.ValueOf(&part).Elem()
		set.FieldByName("Data").SetBytes(data[len(data)*i/5 : len(data)*(i+1)/5])
		if i == 0 {
			set.FieldByName("InitIndicator").Set(yes)
		} else {
			set.FieldByName("CorrelationValue").Set(correlation)
		}
		if i == 4 {
			set.FieldByName("FinalIndicator").Set(yes)
			return must[R](t, c, op, &part)
		}
		correlation = reflect.ValueOf(must[R](t, c, op, &part)).Elem().FieldByName("CorrelationValue")
		require.Equal(t, 16, correlation.Len())
	}
	panic("unreachable")
}

// TestInParts shows that every operation which can be in parts is then what it is in one.
func TestInParts(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	data := []byte("the data of five parts in one request")

	hash := kmip.HashRequest{CryptographicParameters: kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}}
	hashed := inFive[kmip.HashResponse](t, c, kmip.OperationHash, hash, data)
	yes := true
	hash.Data, hash.InitIndicator, hash.FinalIndicator = data, &yes, &yes
	require.Equal(t, must[kmip.HashResponse](t, c, kmip.OperationHash, &hash).Data, hashed.Data, "the first part may be the last")

	mac := rawKey("mac")
	mac.SymmetricKey.KeyBlock.CryptographicAlgorithm = kmip.CryptographicAlgorithmHMACSHA256
	mac.Attributes = mac.Attributes.Without(ttlv.TagCryptographicAlgorithm).With(ttlv.TagCryptographicUsageMask, kmip.CryptographicUsageMaskMACGenerate|kmip.CryptographicUsageMaskMACVerify)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, mac)
	code := inFive[kmip.MACResponse](t, c, kmip.OperationMAC, kmip.MACRequest{UniqueIdentifier: "mac"}, data).MACData
	require.Equal(t, must[kmip.MACResponse](t, c, kmip.OperationMAC, &kmip.MACRequest{UniqueIdentifier: "mac", Data: data}).MACData, code)
	require.Equal(t, kmip.ValidityIndicatorValid,
		inFive[kmip.MACVerifyResponse](t, c, kmip.OperationMACVerify, kmip.MACVerifyRequest{UniqueIdentifier: "mac", MACData: code}, data).ValidityIndicator)

	ecdsa := aes("").Attributes.Without(ttlv.TagCryptographicUsageMask).With(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmECDSA)
	pair := must[kmip.CreateKeyPairResponse](t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: ecdsa})
	parameters := &hash.CryptographicParameters
	signature := inFive[kmip.SignResponse](t, c, kmip.OperationSign, kmip.SignRequest{UniqueIdentifier: pair.PrivateKeyUniqueIdentifier, CryptographicParameters: parameters}, data).SignatureData
	verify := kmip.SignatureVerifyRequest{UniqueIdentifier: pair.PublicKeyUniqueIdentifier, CryptographicParameters: parameters, SignatureData: signature}
	require.Equal(t, kmip.ValidityIndicatorValid, inFive[kmip.SignatureVerifyResponse](t, c, kmip.OperationSignatureVerify, verify, data).ValidityIndicator)
	verify.Data = data
	require.Equal(t, kmip.ValidityIndicatorValid, must[kmip.SignatureVerifyResponse](t, c, kmip.OperationSignatureVerify, &verify).ValidityIndicator)

	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("k"))
	// CCM begins with the length of the data, so that nothing comes before the last part.
	ccm := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCCM}
	sealed := inFive[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, kmip.EncryptRequest{UniqueIdentifier: "k", CryptographicParameters: ccm, IVCounterNonce: make([]byte, 12)}, data)
	whole := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k", CryptographicParameters: ccm, IVCounterNonce: make([]byte, 12), Data: data})
	require.Equal(t, whole.Data, sealed.Data)
	require.Equal(t, whole.AuthenticatedEncryptionTag, sealed.AuthenticatedEncryptionTag)
	opened := inFive[kmip.DecryptResponse](t, c, kmip.OperationDecrypt, kmip.DecryptRequest{UniqueIdentifier: "k", CryptographicParameters: ccm,
		IVCounterNonce: make([]byte, 12), AuthenticatedEncryptionTag: sealed.AuthenticatedEncryptionTag}, sealed.Data)
	require.Equal(t, data, opened.Data)
}

// TestInPartsRefuses shows what does not belong together, and that a connection collects no more than it may.
func TestInPartsRefuses(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	yes := true
	for _, uid := range []string{"a", "b"} {
		must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes(uid))
	}
	begin := func(size int) *kmip.EncryptRequest {
		return &kmip.EncryptRequest{UniqueIdentifier: "a", InitIndicator: &yes, Data: make([]byte, size)}
	}
	first := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, begin(1)).CorrelationValue
	next := kmip.EncryptRequest{UniqueIdentifier: "a", CorrelationValue: first, Data: []byte("next")}
	other := next
	other.UniqueIdentifier = "b"
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, c, kmip.OperationEncrypt, &other), "another key")
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: "a", CorrelationValue: first}), "another operation")
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, g.client("bob", ttlv.V2_1), kmip.OperationHash, &kmip.HashRequest{CorrelationValue: first}), "another identity")
	both := *begin(1)
	both.CorrelationValue = first
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationEncrypt, &both))
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "a", FinalIndicator: &yes}))
	must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &next)

	nonce := next
	nonce.IVCounterNonce = make([]byte, 12)
	must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &nonce)
	nonce.IVCounterNonce = bytes.Repeat([]byte{1}, 12)
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationEncrypt, &nonce), "another nonce")
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, c, kmip.OperationEncrypt, &next), "and it is over")

	for range 2 {
		must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, begin(mostCollected/2))
	}
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationEncrypt, begin(1)))
	for range mostStreams - 2 {
		must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, begin(0))
	}
	require.Equal(t, kmip.ResultReasonGeneralFailure, reason(t, c, kmip.OperationEncrypt, begin(0)))
}

// TestInPartsOverConnections: the next part of an operation may come over another connection, whether or not the one that began it
// has ended. Those of connections that have ended are as few, and hold as little, as those of one connection.
func TestInPartsOverConnections(t *testing.T) {
	g := newRig(t, Limits{})
	yes := true
	sha := kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}
	dial := func() *client.Client { return g.client("alice", ttlv.V2_1) }
	begin := func(c *client.Client, data []byte) []byte {
		return must[kmip.HashResponse](t, c, kmip.OperationHash, &kmip.HashRequest{CryptographicParameters: sha, Data: data, InitIndicator: &yes}).CorrelationValue
	}
	end := func(c *client.Client, correlation []byte) (*kmip.HashResponse, error) {
		return client.Do[kmip.HashResponse](t.Context(), c, kmip.OperationHash, &kmip.HashRequest{CryptographicParameters: sha, CorrelationValue: correlation, FinalIndicator: &yes})
	}
	all := g.server.streamsOf("alice")
	left := func() allowance {
		all.mu.Lock()
		defer all.mu.Unlock()
		return all.left
	}
	first := dial()
	correlation := begin(first, []byte("whole"))
	want := sha256.Sum256([]byte("whole"))
	r, err := end(dial(), correlation)
	require.NoError(t, err)
	require.Equal(t, want[:], r.Data)
	require.Zero(t, left())

	correlation = begin(first, []byte("whole"))
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { return left() == allowance{1, 5} }, 30*time.Second, time.Millisecond)
	r, err = end(dial(), correlation)
	require.NoError(t, err)
	require.Equal(t, want[:], r.Data)
	require.Zero(t, left())

	for range 3 {
		c := dial()
		for range mostStreams - 1 {
			begin(c, make([]byte, 1000))
		}
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.all) == mostStreams
	}, 30*time.Second, time.Millisecond)
	require.Equal(t, allowance{mostStreams, mostStreams * 1000}, left())
}
