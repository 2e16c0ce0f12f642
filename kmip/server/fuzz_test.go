package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// FuzzAnswer gives a live dispatcher any bytes that are framed as a message: it answers each with a message of its own that is
// well formed.
func FuzzAnswer(f *testing.F) {
	c := answerer(f)
	for _, p := range kmip.Payloads {
		for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
			f.Add(messageAt(f, v, p.Operation, p.NewRequest(), 1))
		}
	}
	f.Add(messageAt(f, ttlv.V1_4, kmip.OperationEncrypt, encrypt64, 3))
	f.Add(messageAt(f, ttlv.V2_1, kmip.OperationCreate, aes(""), 1))
	f.Add(messageAt(f, ttlv.V1_2, kmip.OperationCreate, aes(""), 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := ttlv.Length(data[:min(8, len(data))], nil); err != nil || n != len(data) {
			return
		}
		c.encoder.Reset(nil, ttlv.V1_0)
		c.answer(data)
		node, err := ttlv.Parse(c.encoder.Bytes(), &ttlv.Limits{Size: 1 << 26, Items: 1 << 20})
		require.NoError(t, err)
		require.Equal(t, ttlv.TagResponseMessage, node.Tag)
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
