package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// Whole requests against a live dispatcher, with a store and a key in it. The corpus in testdata is of what these have found to be new.

// FuzzAnswer gives it any bytes that are framed as a message: it answers each with a message of its own that is well formed, and
// such as the standard has it.
func FuzzAnswer(f *testing.F) {
	c := answerer(f)
	for _, data := range fuzzMessages(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := ttlv.Length(data[:min(8, len(data))], nil); err != nil || n != len(data) {
			return
		}
		c.encoder.Reset(nil, ttlv.V1_0)
		c.answer(data)
		requireAnswer(t, data, c.encoder.Bytes())
	})
}

// FuzzBody gives a live dispatcher any body of a request of HTTP, in each encoding: it answers each with a message in the same,
// which is well formed.
func FuzzBody(f *testing.F) {
	c := answerer(f)
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
		for _, p := range []struct {
			op kmip.Operation
			q  any
		}{{kmip.OperationCreate, aes("")}, {kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}}, {kmip.OperationEncrypt, encrypt64}} {
			n, err := ttlv.Parse(messageAt(f, v, p.op, p.q, 1), nil)
			require.NoError(f, err)
			for i, form := range encodings {
				body := n.Append(nil)
				if form.write != nil {
					body, err = form.write(n)
					require.NoError(f, err)
				}
				f.Add(byte(i), body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		form := &encodings[int(which)%len(encodings)]
		c.encoder.Reset(nil, ttlv.V1_0)
		read := form.read
		if read == nil {
			read = ttlv.Parse
		}
		node, err := read(c.answerIn(form, body), &ttlv.Limits{Size: 1 << 26, Items: 1 << 20})
		require.NoError(t, err)
		require.Equal(t, ttlv.TagResponseMessage, node.Tag)
	})
}

// fuzzMessages are a request of every operation, and one of every rule about messages, in some versions.
func fuzzMessages(f *testing.F) (all [][]byte) {
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
		for _, rules := range messageRules {
			for _, x := range rules {
				if x.holds(v) {
					all = append(all, x.message(f, v, "n"))
				}
			}
		}
	}
	for _, p := range kmip.Payloads {
		for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
			all = append(all, messageAt(f, v, p.Operation, p.NewRequest(), 1))
		}
	}
	return append(all,
		messageAt(f, ttlv.V1_4, kmip.OperationEncrypt, encrypt64, 3), messageAt(f, ttlv.V2_1, kmip.OperationCreate, aes(""), 1),
		messageAt(f, ttlv.V1_2, kmip.OperationCreate, aes(""), 2))
}

// requireAnswer shows that an answer is one that the request may have: of a version that is spoken, with as many items as it says,
// each with what its Result Status asks for and a reason that the version knows. KMIP 2.1 §8.4 to §8.6.
func requireAnswer(t *testing.T, request, answer []byte) {
	t.Helper()
	var m kmip.ResponseMessage
	require.NoError(t, ttlv.Unmarshal(answer, ttlv.V2_1, ttlv.TagResponseMessage, &m, &ttlv.Limits{Size: 1 << 26, Items: 1 << 20}))
	v, spoken := m.ResponseHeader.ProtocolVersion.Version()
	require.True(t, spoken)
	require.EqualValues(t, len(m.BatchItem), m.ResponseHeader.BatchCount)
	require.NotEmpty(t, m.BatchItem)
	if asked, ok := askedVersion(request); ok && m.BatchItem[0].Operation != 0 {
		require.Equal(t, asked, v)
	}
	for _, x := range m.BatchItem {
		switch x.ResultStatus {
		case kmip.ResultStatusSuccess, kmip.ResultStatusOperationUndone:
			require.Zero(t, x.ResultReason)
			require.NotNil(t, x.ResponsePayload)
		case kmip.ResultStatusOperationPending:
			require.Len(t, x.AsynchronousCorrelationValue, 16)
			require.Nil(t, x.ResponsePayload)
		default:
			require.Equal(t, kmip.ResultStatusOperationFailed, x.ResultStatus)
			require.NotZero(t, x.ResultReason)
			require.Equal(t, x.ResultReason, x.ResultReason.At(v), "a reason that KMIP %v has", v)
			require.NotEmpty(t, x.ResultMessage)
		}
	}
}

// askedVersion is the version that a request's header names, if it has one that is spoken.
func askedVersion(request []byte) (ttlv.Version, bool) {
	var m struct {
		RequestHeader struct {
			ProtocolVersion kmip.ProtocolVersion `ttlv:"ProtocolVersion"`
		} `ttlv:"RequestHeader"`
	}
	var d ttlv.Decoder
	d.Reset(ttlv.V2_1, nil, true)
	if d.Unmarshal(request, ttlv.TagRequestMessage, &m) != nil {
		return 0, false
	}
	return m.RequestHeader.ProtocolVersion.Version()
}
