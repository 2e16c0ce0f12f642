package server

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha3"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// registered is the request that keeps an HMAC key of known material, Active at once.
func registered(material []byte, mask kmip.CryptographicUsageMask, more ...kmip.Attribute) *kmip.RegisterRequest {
	a := kmip.Attributes{
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmHMACSHA256},
		{Tag: ttlv.TagCryptographicLength, Value: int32(8 * len(material))},
		{Tag: ttlv.TagCryptographicUsageMask, Value: mask},
		{Tag: ttlv.TagActivationDate, Value: time.Now().Add(-time.Second)},
	}
	return &kmip.RegisterRequest{
		ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: append(a, more...),
		Value: kmip.Value{SymmetricKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &kmip.KeyValue{Material: material},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmHMACSHA256, CryptographicLength: int32(8 * len(material)),
		}}},
	}
}

func TestMACVerify(t *testing.T) {
	g := newRig(t, Limits{})
	key, data := bytes.Repeat([]byte{7}, 32), []byte("message")
	h := hmac.New(sha256.New, key)
	h.Write(data)
	mac := h.Sum(nil)
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			uid := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, registered(key, kmip.CryptographicUsageMaskMACVerify)).UniqueIdentifier
			verify := func(mac []byte) kmip.ValidityIndicator {
				r := must[kmip.MACVerifyResponse](t, c, kmip.OperationMACVerify, &kmip.MACVerifyRequest{UniqueIdentifier: uid, Data: data, MACData: mac})
				require.Equal(t, uid, r.UniqueIdentifier)
				return r.ValidityIndicator
			}
			require.Equal(t, kmip.ValidityIndicatorValid, verify(mac))
			require.Equal(t, kmip.ValidityIndicatorInvalid, verify(append([]byte{mac[0] ^ 1}, mac[1:]...)))
			require.Equal(t, kmip.ValidityIndicatorInvalid, verify(mac[:16]))
			require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationMACVerify, &kmip.MACVerifyRequest{UniqueIdentifier: uid, Data: data}))
			require.Equal(t, kmip.ResultReasonIncompatibleCryptographicUsageMask.At(v), reason(t, c, kmip.OperationMAC, &kmip.MACRequest{UniqueIdentifier: uid, Data: data}))
			makes := must[kmip.RegisterResponse](t, c, kmip.OperationRegister, registered(key, kmip.CryptographicUsageMaskMACGenerate)).UniqueIdentifier
			require.Equal(t, kmip.ResultReasonIncompatibleCryptographicUsageMask.At(v), reason(t, c, kmip.OperationMACVerify, &kmip.MACVerifyRequest{UniqueIdentifier: makes, Data: data, MACData: mac}))
		})
	}
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, g.client("alice", ttlv.V1_1), kmip.OperationMACVerify, &kmip.MACVerifyRequest{UniqueIdentifier: "x"}))
}

func TestHash(t *testing.T) {
	g := newRig(t, Limits{})
	data := []byte("abc")
	small, wide := sha256.Sum256(data), sha3.Sum512(data)
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			ask := func(p kmip.CryptographicParameters) *kmip.HashRequest {
				return &kmip.HashRequest{CryptographicParameters: p, Data: data}
			}
			sha2 := kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}
			require.Equal(t, small[:], must[kmip.HashResponse](t, c, kmip.OperationHash, ask(sha2)).Data)
			if v >= ttlv.V1_4 {
				require.Equal(t, wide[:], must[kmip.HashResponse](t, c, kmip.OperationHash, ask(kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA3_512})).Data)
			}
			require.Equal(t, kmip.ResultReasonUnsupportedCryptographicParameters.At(v), reason(t, c, kmip.OperationHash, ask(kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmMD2})))
			require.Equal(t, kmip.ResultReasonBadCryptographicParameters.At(v), reason(t, c, kmip.OperationHash, ask(kmip.CryptographicParameters{})))
			sha2.BlockCipherMode = kmip.BlockCipherModeCBC
			require.Equal(t, kmip.ResultReasonBadCryptographicParameters.At(v), reason(t, c, kmip.OperationHash, ask(sha2)))
		})
	}
}

func TestRNG(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range []ttlv.Version{ttlv.V1_2, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			retrieve := func(n int32) []byte {
				return must[kmip.RNGRetrieveResponse](t, c, kmip.OperationRNGRetrieve, &kmip.RNGRetrieveRequest{DataLength: n}).Data
			}
			one, two := retrieve(32), retrieve(32)
			require.Len(t, one, 32)
			require.NotEqual(t, one, two)
			require.Len(t, retrieve(mostRandom), mostRandom)
			for _, n := range []int32{-1, 0, mostRandom + 1} {
				require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRNGRetrieve, &kmip.RNGRetrieveRequest{DataLength: n}))
			}
			require.Zero(t, must[kmip.RNGSeedResponse](t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{Data: one}).DataLength)
			require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationRNGSeed, &kmip.RNGSeedRequest{}))
		})
	}
}

func TestPing(t *testing.T) {
	g := newRig(t, Limits{})
	must[kmip.PingResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationPing, &kmip.PingRequest{})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, g.client("alice", ttlv.V2_0), kmip.OperationPing, &kmip.PingRequest{}))
}

// TestLogCannotForgeLines shows that a client's message is one attribute of one line, whatever it contains.
func TestLogCannotForgeLines(t *testing.T) {
	g := newRig(t, Limits{})
	var lines bytes.Buffer
	g.server.Log = slog.New(slog.NewTextHandler(&lines, nil))
	c := g.client("alice", ttlv.V2_0)
	must[kmip.LogResponse](t, c, kmip.OperationLog, &kmip.LogRequest{LogMessage: "hello\nlevel=ERROR msg=\"forged\"\x1b[2J\u202e"})
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationLog, &kmip.LogRequest{LogMessage: strings.Repeat("x", longestLogMessage+1)}))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, c, kmip.OperationLog, &kmip.LogRequest{}))
	require.Equal(t, 1, strings.Count(lines.String(), "\n"))
	require.Contains(t, lines.String(), "identity=alice")
	require.Contains(t, lines.String(), "hello")
	require.NotContains(t, lines.String(), "\x1b")
	require.NotContains(t, lines.String(), "\u202e")
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, g.client("alice", ttlv.V1_4), kmip.OperationLog, &kmip.LogRequest{LogMessage: "x"}))
}
