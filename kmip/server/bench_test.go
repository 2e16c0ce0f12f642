package server

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// answerer is a connection without its network side, and the key "k".
func answerer(b testing.TB) *conn {
	g := newRig(b, Limits{})
	must[kmip.CreateResponse](b, g.client("alice", ttlv.V2_1), kmip.OperationCreate, aes("k"))
	certificate, err := x509.ParseCertificate(g.issue("alice").Certificate[0])
	require.NoError(b, err)
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}, VerifiedChains: [][]*x509.Certificate{{certificate, g.ca}}}
	c := &conn{server: g.server, identity: "alice", fingerprint: "f", state: state, ctx: b.Context(), audit: g.server.Audit.Stream(), payloads: make([]any, len(operations)), tally: g.server.tallies.accept()}
	c.generation = g.server.Gate.generation.Load()
	b.Cleanup(c.audit.Close)
	return c
}

// message is a request of n items of one operation.
func message(b testing.TB, op kmip.Operation, payload any, n int) []byte {
	return messageAt(b, ttlv.V1_4, op, payload, n)
}

func messageAt(b testing.TB, v ttlv.Version, op kmip.Operation, payload any, n int) []byte {
	raw, err := ttlv.Append(nil, v, ttlv.TagRequestPayload, payload)
	require.NoError(b, err)
	m := kmip.RequestMessage{RequestHeader: kmip.RequestHeader{ProtocolVersion: kmip.VersionOf(v), BatchCount: int32(n)}}
	for i := range n {
		item := kmip.RequestBatchItem{Operation: op, RequestPayload: raw}
		if n > 1 {
			item.UniqueBatchItemID = []byte{byte(i), byte(i >> 8)}
		}
		m.BatchItem = append(m.BatchItem, item)
	}
	data, err := ttlv.Append(nil, v, ttlv.TagRequestMessage, &m)
	require.NoError(b, err)
	return data
}

func benchmarkAnswer(b *testing.B, op kmip.Operation, payload any, n int) {
	c := answerer(b)
	msg := message(b, op, payload, n)
	c.answer(msg)
	var m kmip.ResponseMessage
	require.NoError(b, ttlv.Unmarshal(c.encoder.Bytes(), ttlv.V1_4, ttlv.TagResponseMessage, &m, nil))
	require.Equal(b, kmip.ResultStatusSuccess, m.BatchItem[n-1].ResultStatus, m.BatchItem[n-1].ResultMessage)
	b.ReportAllocs()
	for b.Loop() {
		c.encoder.Reset(c.encoder.Bytes()[:0], ttlv.V1_0)
		c.answer(msg)
	}
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "op/s")
}

var encrypt64 = &kmip.EncryptRequest{
	UniqueIdentifier: "k", Data: make([]byte, 64),
	CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM},
}

func BenchmarkEncrypt(b *testing.B)    { benchmarkAnswer(b, kmip.OperationEncrypt, encrypt64, 1) }
func BenchmarkEncrypt100(b *testing.B) { benchmarkAnswer(b, kmip.OperationEncrypt, encrypt64, 100) }
func BenchmarkGet(b *testing.B) {
	benchmarkAnswer(b, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}, 1)
}
