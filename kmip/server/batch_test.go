package server

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// exchange sends one message and gives the answer to it.
func exchange(t *testing.T, c *tls.Conn, v ttlv.Version, q *kmip.RequestMessage) *kmip.ResponseMessage {
	t.Helper()
	q.RequestHeader.ProtocolVersion = kmip.VersionOf(v)
	q.RequestHeader.BatchCount = int32(len(q.BatchItem))
	data, err := ttlv.Append(nil, v, ttlv.TagRequestMessage, q)
	require.NoError(t, err)
	_, err = c.Write(data)
	require.NoError(t, err)
	return receive(t, c, v)
}

func receive(t *testing.T, c *tls.Conn, v ttlv.Version) *kmip.ResponseMessage {
	t.Helper()
	header := make([]byte, 8)
	_, err := io.ReadFull(c, header)
	require.NoError(t, err)
	n, err := ttlv.Length(header, nil)
	require.NoError(t, err)
	data := make([]byte, n)
	copy(data, header)
	_, err = io.ReadFull(c, data[8:])
	require.NoError(t, err)
	m := new(kmip.ResponseMessage)
	require.NoError(t, ttlv.Unmarshal(data, v, ttlv.TagResponseMessage, m, nil))
	return m
}

func item(t *testing.T, v ttlv.Version, op kmip.Operation, id string, payload any) kmip.RequestBatchItem {
	t.Helper()
	raw, err := ttlv.Append(nil, v, ttlv.TagRequestPayload, payload)
	require.NoError(t, err)
	return kmip.RequestBatchItem{Operation: op, UniqueBatchItemID: []byte(id), RequestPayload: raw}
}

// TestBatchPlaceholder shows that an item without an identifier means the object of the item before, and in 2.x also by
// enumeration and by number.
func TestBatchPlaceholder(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V2_1} {
		q := aes("")
		q.Attributes = q.Attributes.Without(ttlv.TagActivationDate)
		items := []kmip.RequestBatchItem{
			item(t, v, kmip.OperationCreate, "a", q),
			item(t, v, kmip.OperationActivate, "b", &kmip.ActivateRequest{}),
			item(t, v, kmip.OperationGetAttributes, "c", &kmip.GetAttributesRequest{AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagState}}}),
		}
		if v >= ttlv.V2_0 {
			items[1] = item(t, v, kmip.OperationActivate, "b", &kmip.ActivateRequest{UniqueIdentifier: kmip.IDPlaceholder})
		}
		m := exchange(t, c, v, &kmip.RequestMessage{BatchItem: items})
		require.Len(t, m.BatchItem, 3)
		for i, x := range m.BatchItem {
			require.Equal(t, kmip.ResultStatusSuccess, x.ResultStatus, x.ResultMessage)
			require.Equal(t, items[i].UniqueBatchItemID, x.UniqueBatchItemID)
		}
		var a kmip.GetAttributesResponse
		require.NoError(t, ttlv.Unmarshal(m.BatchItem[2].ResponsePayload, v, ttlv.TagResponsePayload, &a, nil))
		require.Equal(t, kmip.StateActive, a.Attributes.State(time.Now()))
	}
	m := exchange(t, c, ttlv.V1_4, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{item(t, ttlv.V1_4, kmip.OperationActivate, "", &kmip.ActivateRequest{})}})
	require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[0].ResultStatus, "there is no placeholder from the message before")
}

// TestBatchGet shows that an operation which is bound by no time of its own follows one that is.
func TestBatchGet(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	m := exchange(t, c, ttlv.V1_4, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{
		item(t, ttlv.V1_4, kmip.OperationCreate, "a", aes("")), item(t, ttlv.V1_4, kmip.OperationGet, "b", &kmip.GetRequest{}),
	}})
	for _, x := range m.BatchItem {
		require.Equal(t, kmip.ResultStatusSuccess, x.ResultStatus, x.ResultMessage)
	}
}

// TestBatchError shows Stop, which is the default, and Continue.
func TestBatchError(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	const v = ttlv.V1_4
	for option, n := range map[kmip.BatchErrorContinuationOption]int{0: 2, kmip.BatchErrorContinuationOptionStop: 2, kmip.BatchErrorContinuationOptionContinue: 3} {
		m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{BatchErrorContinuationOption: option}, BatchItem: []kmip.RequestBatchItem{
			item(t, v, kmip.OperationWhoAmI, "1", &kmip.WhoAmIRequest{}),
			item(t, v, kmip.OperationGet, "2", &kmip.GetRequest{UniqueIdentifier: "absent"}),
			item(t, v, kmip.OperationWhoAmI, "3", &kmip.WhoAmIRequest{}),
		}})
		require.Len(t, m.BatchItem, n)
		require.Equal(t, int32(n), m.ResponseHeader.BatchCount)
		require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[1].ResultStatus)
	}
}

// TestBatchUndo shows that with Undo nothing of a batch that fails remains, and all of one that does not; and that what is
// destroyed in one is there until its end.
func TestBatchUndo(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	alice := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("old"))
	const v = ttlv.V1_4
	undo := kmip.RequestHeader{BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionUndo}
	name := kmip.Attributes{{Tag: ttlv.TagName, Value: kmip.Name{NameValue: "n", NameType: kmip.NameTypeUninterpretedTextString}}}
	rename := item(t, v, kmip.OperationAddAttribute, "1", &kmip.AddAttributeRequest{UniqueIdentifier: "old", NewAttribute: name})
	grant := item(t, v, kmip.OperationGrantAccess, "2", &kmip.GrantAccessRequest{UniqueIdentifier: "old", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}})
	fails := item(t, v, kmip.OperationGet, "4", &kmip.GetRequest{UniqueIdentifier: "absent"})

	m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: undo, BatchItem: []kmip.RequestBatchItem{
		rename, grant, item(t, v, kmip.OperationCreate, "3", aes("made")), fails, rename,
	}})
	require.Len(t, m.BatchItem, 4)
	for i, x := range m.BatchItem[:3] {
		require.Equal(t, kmip.ResultStatusOperationUndone, x.ResultStatus, i)
		require.NotEmpty(t, x.ResponsePayload)
	}
	require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[3].ResultStatus)
	require.Equal(t, kmip.ResultReasonObjectDestroyed, reason(t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "made"}))
	require.Empty(t, must[kmip.LocateResponse](t, alice, kmip.OperationLocate, &kmip.LocateRequest{Attributes: name}).UniqueIdentifier)
	require.Empty(t, must[kmip.ListAccessResponse](t, alice, kmip.OperationListAccess, &kmip.ListAccessRequest{UniqueIdentifier: "old"}).AccessEntry)

	m = exchange(t, c, v, &kmip.RequestMessage{RequestHeader: undo, BatchItem: []kmip.RequestBatchItem{rename, grant}})
	require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[1].ResultStatus)
	require.Len(t, must[kmip.LocateResponse](t, alice, kmip.OperationLocate, &kmip.LocateRequest{Attributes: name}).UniqueIdentifier, 1)

	unused := aes("unused")
	unused.Attributes = unused.Attributes.Without(ttlv.TagActivationDate)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, unused)
	destroy := item(t, v, kmip.OperationDestroy, "1", &kmip.DestroyRequest{UniqueIdentifier: "unused"})
	get := item(t, v, kmip.OperationGet, "2", &kmip.GetRequest{UniqueIdentifier: "unused"})
	m = exchange(t, c, v, &kmip.RequestMessage{RequestHeader: undo, BatchItem: []kmip.RequestBatchItem{destroy, get}})
	require.Equal(t, kmip.ResultStatusOperationUndone, m.BatchItem[0].ResultStatus)
	require.Equal(t, kmip.ResultReasonObjectDestroyed.At(v), m.BatchItem[1].ResultReason, "it is destroyed for what follows it")
	require.Equal(t, kmip.StatePreActive, attribute[kmip.State](t, alice, "unused", ttlv.TagState))
	must[kmip.GetResponse](t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "unused"})
	grant.UniqueBatchItemID = []byte("2")
	m = exchange(t, c, v, &kmip.RequestMessage{RequestHeader: undo, BatchItem: []kmip.RequestBatchItem{destroy, grant}})
	for _, x := range m.BatchItem {
		require.Equal(t, kmip.ResultStatusSuccess, x.ResultStatus, x.ResultMessage)
	}
	require.Equal(t, kmip.ResultReasonObjectDestroyed, reason(t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "unused"}))
	require.Equal(t, kmip.StateDestroyed, attribute[kmip.State](t, alice, "unused", ttlv.TagState))
}

// TestMaximumResponseSize shows that a client gets no answer larger than it takes.
func TestMaximumResponseSize(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	small := int32(200)
	q := func() kmip.RequestBatchItem {
		return item(t, ttlv.V1_4, kmip.OperationQuery, "", &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryOperations}})
	}
	m := exchange(t, c, ttlv.V1_4, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{MaximumResponseSize: &small}, BatchItem: []kmip.RequestBatchItem{q()}})
	require.Equal(t, kmip.ResultReasonResponseTooLarge, m.BatchItem[0].ResultReason)
	m = exchange(t, c, ttlv.V1_4, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{q()}})
	require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[0].ResultStatus)
}

// TestPipelining shows that requests sent without waiting are answered in their order.
func TestPipelining(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	const n = 200
	var all []byte
	for i := range n {
		q := kmip.RequestMessage{
			RequestHeader: kmip.RequestHeader{ProtocolVersion: kmip.VersionOf(ttlv.V1_4), BatchCount: 1},
			BatchItem:     []kmip.RequestBatchItem{item(t, ttlv.V1_4, kmip.OperationWhoAmI, string(rune('a'+i)), &kmip.WhoAmIRequest{})},
		}
		var err error
		all, err = ttlv.Append(all, ttlv.V1_4, ttlv.TagRequestMessage, &q)
		require.NoError(t, err)
	}
	_, err := c.Write(all)
	require.NoError(t, err)
	for i := range n {
		require.Equal(t, string(rune('a'+i)), string(receive(t, c, ttlv.V1_4).BatchItem[0].UniqueBatchItemID))
	}
}

// TestShutdown shows that a connection which is idle ends at once, and that no one waits.
func TestShutdown(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	exchange(t, c, ttlv.V1_4, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{item(t, ttlv.V1_4, kmip.OperationWhoAmI, "", &kmip.WhoAmIRequest{})}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, g.server.Shutdown(ctx))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// TestRateLimit shows that one identity's flood is refused and another's request is not.
func TestRateLimit(t *testing.T) {
	g := newRig(t, Limits{RequestsPerSecond: 5})
	alice := g.client("alice", ttlv.V2_1)
	began, served := time.Now(), 0
	var err error
	for ; err == nil; served++ {
		require.LessOrEqual(t, served, 5+int(5*time.Since(began).Seconds()))
		_, err = client.Do[kmip.WhoAmIResponse](t.Context(), alice, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
	}
	require.Greater(t, served, 5, "the first five come at once")
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, kmip.ResultReasonGeneralFailure, refused.Reason)
	must[kmip.WhoAmIResponse](t, g.client("bob", ttlv.V2_1), kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
}
