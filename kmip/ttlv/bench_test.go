package ttlv

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The structures of an Encrypt request, as a server has them: the payload is decoded
// once the operation is known.
type (
	requestMessage struct {
		Header requestHeader `ttlv:"RequestHeader"`
		Items  []requestItem `ttlv:"BatchItem"`
	}
	requestHeader struct {
		Version struct {
			Major int32 `ttlv:"ProtocolVersionMajor"`
			Minor int32 `ttlv:"ProtocolVersionMinor"`
		} `ttlv:"ProtocolVersion"`
		MaximumResponseSize int32     `ttlv:"MaximumResponseSize,omitempty"`
		ClientCorrelation   string    `ttlv:"ClientCorrelationValue,1.4+,omitempty"`
		ServerCorrelation   string    `ttlv:"ServerCorrelationValue,1.4+,omitempty"`
		TimeStamp           time.Time `ttlv:"TimeStamp,omitempty"`
		BatchOrder          bool      `ttlv:"BatchOrderOption,omitempty"`
		BatchCount          int32     `ttlv:"BatchCount"`
	}
	requestItem struct {
		Operation uint32 `ttlv:"Operation"`
		ID        []byte `ttlv:"UniqueBatchItemID,omitempty"`
		Payload   Raw    `ttlv:"RequestPayload"`
	}
	encryptPayload struct {
		ID         string            `ttlv:"UniqueIdentifier,omitempty"`
		Parameters encryptParameters `ttlv:"CryptographicParameters,omitempty"`
		Data       []byte            `ttlv:"Data,omitempty"`
		IV         []byte            `ttlv:"IVCounterNonce,omitempty"`
		AAD        []byte            `ttlv:"AuthenticatedEncryptionAdditionalData,1.4+,omitempty"`
	}
	encryptParameters struct {
		Mode      uint32 `ttlv:"BlockCipherMode,omitempty"`
		Padding   uint32 `ttlv:"PaddingMethod,omitempty"`
		Algorithm uint32 `ttlv:"CryptographicAlgorithm,omitempty"`
		TagLength int32  `ttlv:"TagLength,1.4+,omitempty"`
	}
)

// encryptStructures returns an Encrypt request of KMIP 1.4 without its payload, and
// the payload.
func encryptStructures() (*requestMessage, *encryptPayload) {
	m := &requestMessage{Items: []requestItem{{Operation: 0x1F, ID: []byte("item-001")}}}
	m.Header.Version.Major, m.Header.Version.Minor = 1, 4
	m.Header.BatchCount = 1
	return m, &encryptPayload{
		ID:         "2f6f3c0e-8d8b-4a2e-9f62-5d0f4a1f7f10",
		Parameters: encryptParameters{Mode: 9, Algorithm: 3, TagLength: 16},
		Data:       []byte("0123456789abcdef0123456789abcdef"),
		IV:         []byte("0123456789ab"),
	}
}

// encryptRequest returns that request, encoded.
func encryptRequest(t testing.TB) []byte {
	t.Helper()
	m, p := encryptStructures()
	raw, err := Append(nil, V1_4, TagRequestPayload, p)
	require.NoError(t, err)
	m.Items[0].Payload = raw
	wire, err := Append(nil, V1_4, TagRequestMessage, m)
	require.NoError(t, err)
	return wire
}

// decodeEncrypt decodes a request as a server does, into structures used before.
func decodeEncrypt(d *Decoder, wire []byte, m *requestMessage, item *requestItem, p *encryptPayload) error {
	d.Reset(V1_4, nil, false)
	if err := d.Unmarshal(wire, TagRequestMessage, m); err != nil {
		return err
	}
	*item = m.Items[0]
	return d.Unmarshal(item.Payload, TagRequestPayload, p)
}

// TestDecodingAllocatesNothing checks the promise for structures that only borrow.
func TestDecodingAllocatesNothing(t *testing.T) {
	_, payload := encryptStructures()
	wire, err := Append(nil, V1_4, TagRequestPayload, payload)
	require.NoError(t, err)
	var p encryptPayload
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := Unmarshal(wire, V1_4, TagRequestPayload, &p, nil); err != nil {
			t.Error(err)
		}
	}))
	require.Equal(t, payload, &p)
	buf := make([]byte, 0, 1024)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := Append(buf, V1_4, TagRequestPayload, &p); err != nil {
			t.Error(err)
		}
	}))
}

// BenchmarkUnmarshalEncrypt decodes a request of some 300 bytes: the message with its
// header and batch item, then the payload.
func BenchmarkUnmarshalEncrypt(b *testing.B) {
	wire := encryptRequest(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	var d Decoder
	var m requestMessage
	var item requestItem
	var p encryptPayload
	for b.Loop() {
		if err := decodeEncrypt(&d, wire, &m, &item, &p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnmarshalPayload decodes the payload alone.
func BenchmarkUnmarshalPayload(b *testing.B) {
	_, payload := encryptStructures()
	wire, err := Append(nil, V1_4, TagRequestPayload, payload)
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	var p encryptPayload
	for b.Loop() {
		if err := Unmarshal(wire, V1_4, TagRequestPayload, &p, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendEncrypt encodes the same request, payload and message, into a buffer
// used before.
func BenchmarkAppendEncrypt(b *testing.B) {
	m, p := encryptStructures()
	payload, buf := make([]byte, 0, 1024), make([]byte, 0, 1024)
	b.ReportAllocs()
	b.SetBytes(int64(len(encryptRequest(b))))
	for b.Loop() {
		raw, err := Append(payload, V1_4, TagRequestPayload, p)
		if err != nil {
			b.Fatal(err)
		}
		m.Items[0].Payload = raw
		if _, err := Append(buf, V1_4, TagRequestMessage, m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse reads the request as a tree.
func BenchmarkParse(b *testing.B) {
	wire := encryptRequest(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		if _, err := Parse(wire, nil); err != nil {
			b.Fatal(err)
		}
	}
}
