package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// encode makes a response message of version 2.1.
func encode(items ...kmip.ResponseBatchItem) []byte {
	m := kmip.ResponseMessage{
		ResponseHeader: kmip.ResponseHeader{ProtocolVersion: kmip.VersionOf(ttlv.V2_1), TimeStamp: time.Unix(1, 0), BatchCount: int32(len(items))},
		BatchItem:      items,
	}
	b, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagResponseMessage, &m)
	if err != nil {
		panic(err)
	}
	return b
}

// success is the answer to q with a payload.
func success(q *kmip.RequestBatchItem, payload any) kmip.ResponseBatchItem {
	b, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagResponsePayload, payload)
	if err != nil {
		panic(err)
	}
	return kmip.ResponseBatchItem{Operation: q.Operation, UniqueBatchItemID: q.UniqueBatchItemID, ResponsePayload: b}
}

// activates answers Activate with the identifier it was asked for; one named "missing" it does not find.
func activates(q *kmip.RequestMessage, _ []byte) []byte {
	var items []kmip.ResponseBatchItem
	for i := range q.BatchItem {
		b := &q.BatchItem[i]
		var r kmip.ActivateRequest
		if err := ttlv.Unmarshal(b.RequestPayload, ttlv.V2_1, ttlv.TagRequestPayload, &r, nil); err != nil {
			return nil
		}
		if r.UniqueIdentifier == "missing" {
			items = append(items, kmip.ResponseBatchItem{
				Operation: b.Operation, UniqueBatchItemID: b.UniqueBatchItemID,
				ResultStatus: kmip.ResultStatusOperationFailed, ResultReason: kmip.ResultReasonItemNotFound, ResultMessage: "no such object",
			})
			continue
		}
		items = append(items, success(b, &kmip.ActivateResponse{UniqueIdentifier: r.UniqueIdentifier}))
	}
	return encode(items...)
}

func dial(t *testing.T, r *responder, change func(*client.Config)) *client.Client {
	t.Helper()
	config := client.Config{Address: r.listener.Addr().String(), TLS: r.tls()}
	if change != nil {
		change(&config)
	}
	c, err := client.Dial(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func activate(ctx context.Context, c *client.Client, uid string) (string, error) {
	r, err := client.Do[kmip.ActivateResponse](ctx, c, kmip.OperationActivate, &kmip.ActivateRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
	if err != nil {
		return "", err
	}
	return string(r.UniqueIdentifier), nil
}

func TestDoReusesTheConnection(t *testing.T) {
	r := respond(t, activates)
	c := dial(t, r, nil)
	for range 3 {
		uid, err := activate(t.Context(), c, "a")
		require.NoError(t, err)
		require.Equal(t, "a", uid)
	}
	require.EqualValues(t, 1, r.accepted.Load())
}

func TestDoSaysWhatItSends(t *testing.T) {
	var header kmip.RequestHeader
	r := respond(t, func(q *kmip.RequestMessage, raw []byte) []byte {
		header = q.RequestHeader
		return activates(q, raw)
	})
	_, err := activate(t.Context(), dial(t, r, func(c *client.Config) { c.Limits.Size = 5000 }), "a")
	require.NoError(t, err)
	require.Equal(t, kmip.ProtocolVersion{ProtocolVersionMajor: 2, ProtocolVersionMinor: 1}, header.ProtocolVersion)
	require.EqualValues(t, 5000, *header.MaximumResponseSize)
}

func TestDoRefused(t *testing.T) {
	_, err := activate(t.Context(), dial(t, respond(t, activates), nil), "missing")
	var refusal *client.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, client.Error{
		Operation: kmip.OperationActivate, Status: kmip.ResultStatusOperationFailed,
		Reason: kmip.ResultReasonItemNotFound, Message: "no such object",
	}, *refusal)
	require.ErrorIs(t, err, kmip.ErrNotFound)
	require.NotErrorIs(t, err, kmip.ErrExists)
	require.EqualError(t, err, "Activate: no such object (ItemNotFound)")
}

func TestBatch(t *testing.T) {
	c := dial(t, respond(t, activates), nil)
	var items []*client.Item
	for _, uid := range []string{"a", "missing", "b"} {
		items = append(items, &client.Item{
			Operation: kmip.OperationActivate,
			Request:   &kmip.ActivateRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)},
			Response:  new(kmip.ActivateResponse),
		})
	}
	require.NoError(t, c.Batch(t.Context(), items...))
	require.NoError(t, items[0].Err)
	require.ErrorIs(t, items[1].Err, kmip.ErrNotFound)
	require.NoError(t, items[2].Err)
	require.EqualValues(t, "b", items[2].Response.(*kmip.ActivateResponse).UniqueIdentifier)
}

func TestDoRefusesStrangeAnswers(t *testing.T) {
	ok := &kmip.ActivateResponse{UniqueIdentifier: "a"}
	for name, c := range map[string]struct {
		answer func(q *kmip.RequestMessage) []byte
		want   string
	}{
		"another operation": {func(q *kmip.RequestMessage) []byte {
			b := success(&q.BatchItem[0], ok)
			b.Operation = kmip.OperationDestroy
			return encode(b)
		}, "the server answers Activate with Destroy"},
		"another item": {func(q *kmip.RequestMessage) []byte {
			b := success(&q.BatchItem[0], ok)
			b.UniqueBatchItemID = []byte("other")
			return encode(b)
		}, "Unique Batch Item ID"},
		"too many items": {func(q *kmip.RequestMessage) []byte {
			b := success(&q.BatchItem[0], ok)
			return encode(b, b)
		}, "2 items to 1 operations"},
		"no payload": {func(q *kmip.RequestMessage) []byte {
			return encode(kmip.ResponseBatchItem{Operation: q.BatchItem[0].Operation})
		}, "Activate without a payload"},
		"the message refused": {func(*kmip.RequestMessage) []byte {
			return encode(kmip.ResponseBatchItem{ResultStatus: kmip.ResultStatusOperationFailed, ResultReason: kmip.ResultReasonInvalidMessage, ResultMessage: "no"})
		}, "Activate: no (InvalidMessage)"},
		"another protocol": {func(*kmip.RequestMessage) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }, "not a TTLV message"},
		"too long": {func(*kmip.RequestMessage) []byte {
			return binary.BigEndian.AppendUint32([]byte{0x42, 0x00, 0x7B, 0x01}, 0x7FFFFFF8)
		}, "the limit is"},
		"nothing": {func(*kmip.RequestMessage) []byte { return nil }, "receiving the response: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			r := respond(t, func(q *kmip.RequestMessage, _ []byte) []byte { return c.answer(q) })
			_, err := activate(t.Context(), dial(t, r, nil), "a")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestClientConnectsAgainAfterAnError(t *testing.T) {
	broken := true
	r := respond(t, func(q *kmip.RequestMessage, raw []byte) []byte {
		if broken {
			broken = false
			return nil
		}
		return activates(q, raw)
	})
	c := dial(t, r, nil)
	_, err := activate(t.Context(), c, "a")
	require.Error(t, err)
	_, err = activate(t.Context(), c, "a")
	require.NoError(t, err)
	require.EqualValues(t, 2, r.accepted.Load())
}

func TestDoObeysTheContext(t *testing.T) {
	hold := make(chan struct{})
	r := respond(t, func(q *kmip.RequestMessage, raw []byte) []byte {
		<-hold
		return nil
	})
	defer close(hold)
	c := dial(t, r, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := activate(ctx, c, "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	cause := errors.New("the user lost patience")
	ctx, give := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { give(cause) })
	_, err = activate(ctx, c, "a")
	require.ErrorIs(t, err, cause)
}

func TestDoConcurrently(t *testing.T) {
	for _, connections := range []int{1, 4} {
		t.Run(fmt.Sprint(connections), func(t *testing.T) {
			r := respond(t, activates)
			c := dial(t, r, func(c *client.Config) { c.Connections = connections })
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					for k := range 10 {
						want := fmt.Sprintf("%d-%d", i, k)
						uid, err := activate(t.Context(), c, want)
						if err != nil || uid != want {
							t.Errorf("%q for %q: %v", uid, want, err)
						}
					}
				})
			}
			wg.Wait()
			require.LessOrEqual(t, r.accepted.Load(), int32(connections))
		})
	}
}

func TestRoundTripRaw(t *testing.T) {
	r := respond(t, func(_ *kmip.RequestMessage, raw []byte) []byte { return encode() })
	c := dial(t, r, nil)
	m := kmip.RequestMessage{RequestHeader: kmip.RequestHeader{ProtocolVersion: kmip.VersionOf(ttlv.V2_1)}}
	request, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestMessage, &m)
	require.NoError(t, err)
	response, err := c.RoundTripRaw(t.Context(), request)
	require.NoError(t, err)
	require.True(t, bytes.Equal(encode(), response))
}

func TestLargeResponse(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 700_000)
	r := respond(t, func(q *kmip.RequestMessage, _ []byte) []byte {
		return encode(success(&q.BatchItem[0], &kmip.DecryptResponse{UniqueIdentifier: "a", Data: large}))
	})
	got, err := client.Do[kmip.DecryptResponse](t.Context(), dial(t, r, nil), kmip.OperationDecrypt, &kmip.DecryptRequest{Data: []byte("y")})
	require.NoError(t, err)
	require.True(t, bytes.Equal(large, got.Data))
}

func TestDialRefuses(t *testing.T) {
	r := respond(t, activates)
	address := r.listener.Addr().String()
	_, err := client.Dial(t.Context(), client.Config{Address: address})
	require.ErrorContains(t, err, "no TLS configuration")
	_, err = client.Dial(t.Context(), client.Config{Address: ":1", TLS: r.tls()})
	require.ErrorContains(t, err, "has no host")
	_, err = client.Dial(t.Context(), client.Config{Address: "http://" + address, TLS: r.tls()})
	require.EqualError(t, err, `the server's address "http://`+address+`" is neither host:port nor https://host:port`)

	stranger := r.tls()
	stranger.RootCAs = nil
	_, err = client.Dial(t.Context(), client.Config{Address: address, TLS: stranger})
	require.ErrorContains(t, err, "connecting to "+address)

	other := r.tls()
	other.ServerName = "kms.example.com"
	_, err = client.Dial(t.Context(), client.Config{Address: address, TLS: other})
	require.ErrorContains(t, err, "kms.example.com")
}

// TestNoClientCertificate: with TLS 1.3 the client learns only after the handshake that it is not let in, and says why.
func TestNoClientCertificate(t *testing.T) {
	r := respond(t, activates)
	config := r.tls()
	config.Certificates = nil
	c := dial(t, r, func(c *client.Config) { c.TLS = config })
	_, err := activate(t.Context(), c, "a")
	require.ErrorContains(t, err, "certificate required")
}

func TestClosedClient(t *testing.T) {
	c := dial(t, respond(t, activates), nil)
	require.NoError(t, c.Close())
	_, err := activate(t.Context(), c, "a")
	require.ErrorContains(t, err, "closed")
}

// TestIdleConnectionThatTheServerClosed: it is looked at before it is used again, and the request does not fail.
func TestIdleConnectionThatTheServerClosed(t *testing.T) {
	var answers atomic.Int32
	r := respond(t, activates)
	r.after = func() bool { return answers.Add(1) == 3 }
	c := dial(t, r, func(c *client.Config) { c.IdleCheck = time.Nanosecond })
	for range 3 { // a living one is used again
		_, err := activate(t.Context(), c, "a")
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, r.accepted.Load())
	require.Eventually(t, func() bool { return r.serving.Load() == 0 }, 10*time.Second, time.Millisecond, "the server closes the connection")
	_, err := activate(t.Context(), c, "a")
	require.NoError(t, err)
	require.EqualValues(t, 2, r.accepted.Load())
}
