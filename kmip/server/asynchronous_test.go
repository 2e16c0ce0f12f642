package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// held is a store that makes no key before it is let to: an operation that takes its time.
type held struct {
	kmip.Backend
	begun chan string
	gate  chan struct{}
	made  atomic.Int64
}

func (h *held) Generate(ctx context.Context, o *kmip.Object) error {
	gate := h.gate // which may be another once this is known to have begun
	h.begun <- o.UniqueIdentifier
	select {
	case <-gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	h.made.Add(1)
	return h.Backend.Generate(ctx, o)
}

// hold makes the store of g one that waits.
func (g *rig) hold() *held {
	h := &held{Backend: g.server.Store, begun: make(chan string, 100), gate: make(chan struct{})}
	g.server.Store = h
	return h
}

// busy gives every worker something to do, and says what was asked for it.
func (h *held) busy(t *testing.T, c *tls.Conn) (values [][]byte) {
	for range mostWorkers {
		values = append(values, later(t, c, ttlv.V2_1, item(t, ttlv.V2_1, kmip.OperationCreate, "", aes("")))...)
	}
	for range mostWorkers {
		<-h.begun
	}
	return values
}

// forgotten waits until the server has nothing asynchronous left: a job frees what it has after its last answer.
func (g *rig) forgotten(t *testing.T, why string) {
	t.Helper()
	p := g.server.promises
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.all) == 0 && len(p.accounts) == 0 && p.operations == 0 && p.bytes == 0 && p.kept.Len() == 0
	}, time.Minute, 10*time.Millisecond, why)
}

// indicator is the Asynchronous Indicator of a message that must be answered later, where v has that, or may be.
func indicator(t *testing.T, v ttlv.Version) ttlv.Raw {
	t.Helper()
	var e ttlv.Encoder
	e.Reset(nil, v)
	if v < ttlv.V2_0 {
		e.Bool(ttlv.TagAsynchronousIndicator, true)
	} else {
		e.Enum(ttlv.TagAsynchronousIndicator, uint32(kmip.AsynchronousIndicatorMandatory))
	}
	return e.Bytes()
}

// later sends operations that are to be answered later, and gives their Asynchronous Correlation Values.
func later(t *testing.T, c *tls.Conn, v ttlv.Version, items ...kmip.RequestBatchItem) (values [][]byte) {
	t.Helper()
	m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{AsynchronousIndicator: indicator(t, v)}, BatchItem: items})
	require.Len(t, m.BatchItem, len(items))
	for i, x := range m.BatchItem {
		require.Equal(t, kmip.ResultStatusOperationPending, x.ResultStatus, x.ResultMessage)
		require.Equal(t, items[i].Operation, x.Operation)
		require.Len(t, x.AsynchronousCorrelationValue, 16)
		require.Zero(t, x.ResultReason)
		require.Empty(t, x.ResultMessage)
		require.Nil(t, x.ResponsePayload)
		if len(items) > 1 {
			require.Equal(t, items[i].UniqueBatchItemID, x.UniqueBatchItemID)
		}
		values = append(values, x.AsynchronousCorrelationValue)
	}
	return values
}

// one performs an operation at once.
func one(t *testing.T, c *tls.Conn, v ttlv.Version, op kmip.Operation, payload any) kmip.ResponseBatchItem {
	t.Helper()
	return exchange(t, c, v, &kmip.RequestMessage{BatchItem: []kmip.RequestBatchItem{item(t, v, op, "id", payload)}}).BatchItem[0]
}

// polled is the answer to Poll.
func polledAnswer(t *testing.T, c *tls.Conn, v ttlv.Version, value []byte) kmip.ResponseBatchItem {
	t.Helper()
	return one(t, c, v, kmip.OperationPoll, &kmip.PollRequest{AsynchronousCorrelationValue: value})
}

// outcome polls until the operation is over.
func outcome(t *testing.T, c *tls.Conn, v ttlv.Version, value []byte) kmip.ResponseBatchItem {
	t.Helper()
	for {
		x := polledAnswer(t, c, v, value)
		if x.ResultStatus != kmip.ResultStatusOperationPending {
			return x
		}
		require.Equal(t, value, x.AsynchronousCorrelationValue)
		require.Nil(t, x.ResponsePayload)
	}
}

func payloadOfAnswer[R any](t *testing.T, v ttlv.Version, x kmip.ResponseBatchItem) *R {
	t.Helper()
	require.Equal(t, kmip.ResultStatusSuccess, x.ResultStatus, x.ResultMessage)
	p := new(R)
	require.NoError(t, ttlv.Unmarshal(x.ResponsePayload, v, ttlv.TagResponsePayload, p, nil))
	return p
}

func cancelled(t *testing.T, c *tls.Conn, v ttlv.Version, value []byte) kmip.CancellationResult {
	t.Helper()
	r := payloadOfAnswer[kmip.CancelResponse](t, v, one(t, c, v, kmip.OperationCancel, &kmip.CancelRequest{AsynchronousCorrelationValue: value}))
	require.Equal(t, value, r.AsynchronousCorrelationValue)
	return r.CancellationResult
}

func outstandingNow(t *testing.T, c *tls.Conn, q *kmip.QueryAsynchronousRequestsRequest) []kmip.AsynchronousRequest {
	t.Helper()
	return payloadOfAnswer[kmip.QueryAsynchronousRequestsResponse](t, ttlv.V2_1, one(t, c, ttlv.V2_1, kmip.OperationQueryAsynchronousRequests, q)).AsynchronousRequest
}

// TestAsynchronous: an operation that must be answered later is pending, and then answered as it would have been at once, to Poll
// under any connection of who asked, once. KMIP 2.1 §6.1.38, §11.3.
func TestAsynchronous(t *testing.T) {
	g := newRig(t, Limits{})
	h := g.hold()
	c, again := g.dial("alice"), g.dial("alice")
	for _, v := range []ttlv.Version{ttlv.V2_0, ttlv.V2_1} {
		name := "k" + v.String()
		value := later(t, c, v, item(t, v, kmip.OperationCreate, "", aes(name)))[0]
		require.Equal(t, name, <-h.begun)
		x := polledAnswer(t, again, v, value)
		require.Equal(t, kmip.ResultStatusOperationPending, x.ResultStatus)
		require.Equal(t, kmip.OperationPoll, x.Operation)
		require.Equal(t, "id", string(x.UniqueBatchItemID))
		require.Equal(t, value, x.AsynchronousCorrelationValue)
		require.Equal(t, kmip.CancellationResultUnableToCancel, cancelled(t, c, v, value), "it has begun")
		h.gate <- struct{}{}
		x = outcome(t, again, v, value)
		require.Equal(t, kmip.OperationCreate, x.Operation)
		require.Equal(t, "id", string(x.UniqueBatchItemID))
		require.EqualValues(t, name, payloadOfAnswer[kmip.CreateResponse](t, v, x).UniqueIdentifier)
		x = polledAnswer(t, c, v, value)
		require.Equal(t, kmip.ResultReasonInvalidAsynchronousCorrelationValue, x.ResultReason, "told once")
		require.Equal(t, kmip.CancellationResultUnavailable, cancelled(t, c, v, value))

		fails := later(t, c, v, item(t, v, kmip.OperationGet, "", &kmip.GetRequest{UniqueIdentifier: "absent"}))[0]
		x = outcome(t, c, v, fails)
		now := one(t, c, v, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "absent"})
		require.Equal(t, now, x, "the answer is that of an operation performed at once")
	}
}

// TestAsynchronousOwner: who did not ask hears nothing of an operation.
func TestAsynchronousOwner(t *testing.T) {
	g := newRig(t, Limits{})
	h := g.hold()
	alice, mallory := g.dial("alice"), g.dial("mallory")
	const v = ttlv.V2_1
	value := later(t, alice, v, item(t, v, kmip.OperationCreate, "", aes("k")))[0]
	<-h.begun
	for _, over := range []bool{false, true} {
		x := polledAnswer(t, mallory, v, value)
		require.Equal(t, kmip.ResultReasonInvalidAsynchronousCorrelationValue, x.ResultReason)
		require.Equal(t, polledAnswer(t, mallory, v, make([]byte, 16)).ResultReason, x.ResultReason)
		require.Equal(t, kmip.CancellationResultUnavailable, cancelled(t, mallory, v, value))
		x = one(t, mallory, v, kmip.OperationProcess, &kmip.ProcessRequest{AsynchronousCorrelationValue: value})
		require.Equal(t, kmip.ResultReasonInvalidAsynchronousCorrelationValue, x.ResultReason)
		require.Empty(t, outstandingNow(t, mallory, new(kmip.QueryAsynchronousRequestsRequest)))
		require.Len(t, outstandingNow(t, alice, new(kmip.QueryAsynchronousRequestsRequest)), 1)
		if !over {
			close(h.gate)
			<-g.promised(value).job.ended
		}
	}
	require.Equal(t, kmip.ResultStatusSuccess, outcome(t, alice, v, value).ResultStatus)
	require.Equal(t, kmip.ResultReasonItemNotFound, polledAnswer(t, alice, ttlv.V1_0, value).ResultReason, "KMIP 1.0 table 250")
}

// TestCancel: what has not begun never does, and changes nothing; Poll says so. KMIP 2.1 §6.1.5, §11.7.
func TestCancel(t *testing.T) {
	g := newRig(t, Limits{})
	h := g.hold()
	c := g.dial("alice")
	const v = ttlv.V2_1
	begun := h.busy(t, c)
	value := later(t, c, v, item(t, v, kmip.OperationCreate, "", aes("never")))[0]
	pair := later(t, c, v, item(t, v, kmip.OperationCreate, "1", aes("first")), item(t, v, kmip.OperationCreate, "2", aes("second")))
	require.Equal(t, kmip.CancellationResultCanceled, cancelled(t, c, v, value))
	require.Equal(t, kmip.CancellationResultCanceled, cancelled(t, c, v, value))
	require.Equal(t, kmip.CancellationResultCanceled, cancelled(t, c, v, pair[0]))
	for _, x := range [][]byte{value, pair[0]} {
		a := polledAnswer(t, c, v, x)
		require.Equal(t, kmip.OperationCreate, a.Operation)
		require.Equal(t, kmip.ResultStatusOperationFailed, a.ResultStatus)
		require.Equal(t, kmip.ResultReasonOperationCanceledByRequester, a.ResultReason)
	}
	close(h.gate)
	for _, x := range begun {
		require.Equal(t, kmip.ResultStatusSuccess, outcome(t, c, v, x).ResultStatus)
	}
	a := outcome(t, c, v, pair[1])
	require.Equal(t, kmip.ResultReasonGeneralFailure, a.ResultReason, "the default is Stop, and the item before it failed")
	require.EqualValues(t, mostWorkers, h.made.Load())
	require.Equal(t, kmip.ResultReasonObjectNotFound, one(t, c, v, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "never"}).ResultReason)

	done := later(t, c, v, item(t, v, kmip.OperationCreate, "", aes("done")))[0]
	fails := later(t, c, v, item(t, v, kmip.OperationGet, "", &kmip.GetRequest{UniqueIdentifier: "absent"}))[0]
	for _, x := range [][]byte{done, fails} {
		<-g.promised(x).job.ended
	}
	require.Equal(t, kmip.CancellationResultCompleted, cancelled(t, c, v, done))
	require.Equal(t, kmip.CancellationResultFailed, cancelled(t, c, v, fails))
	require.Empty(t, outstandingNow(t, c, new(kmip.QueryAsynchronousRequestsRequest)), "Cancel has told")
	require.Equal(t, kmip.ResultStatusSuccess, outcome(t, c, v, done).ResultStatus, "what was done can be polled for")

	g.audited(t, 2, `"reason":"OperationCanceledByRequester"`)
}

// audited waits until n lines of the audit contain a text.
func (g *rig) audited(t *testing.T, n int, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		lines, err := os.ReadFile(g.server.Audit.path)
		return err == nil && strings.Count(string(lines), text) == n
	}, time.Minute, auditInterval, text)
}

// promised is an operation that is outstanding.
func (g *rig) promised(value []byte) *promise {
	p := g.server.promises
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[[16]byte(value)]
}

// TestQueryAsynchronousRequests: by value and by operation, with the stage. KMIP 2.1 §6.1.41, §7.2.
func TestQueryAsynchronousRequests(t *testing.T) {
	g := newRig(t, Limits{})
	h := g.hold()
	c := g.dial("alice")
	const v = ttlv.V2_1
	before := time.Now()
	located := later(t, c, v, item(t, v, kmip.OperationLocate, "", new(kmip.LocateRequest)))[0]
	<-g.promised(located).job.ended
	begun := h.busy(t, c)
	waiting := later(t, c, v, item(t, v, kmip.OperationCreate, "", aes("")))[0]

	all := outstandingNow(t, c, new(kmip.QueryAsynchronousRequestsRequest))
	require.Len(t, all, mostWorkers+2)
	for i, want := range []struct {
		value []byte
		op    kmip.Operation
		stage kmip.ProcessingStage
	}{{located, kmip.OperationLocate, kmip.ProcessingStageCompleted}, {begun[0], kmip.OperationCreate, kmip.ProcessingStageInProcess}} {
		require.Equal(t, want.value, all[i].AsynchronousCorrelationValue)
		require.Equal(t, want.op, all[i].Operation)
		require.Equal(t, want.stage, all[i].ProcessingStage)
		require.WithinDuration(t, before, all[i].SubmissionDate.Time(), 10*time.Second)
	}
	require.Equal(t, kmip.ProcessingStageSubmitted, all[mostWorkers+1].ProcessingStage)

	values := func(v ...[]byte) *kmip.AsynchronousCorrelationValues {
		return &kmip.AsynchronousCorrelationValues{AsynchronousCorrelationValue: v}
	}
	ofKind := func(op kmip.Operation) *kmip.Operations { return &kmip.Operations{Operation: []kmip.Operation{op}} }
	require.Len(t, outstandingNow(t, c, &kmip.QueryAsynchronousRequestsRequest{AsynchronousCorrelationValues: values(waiting, located, make([]byte, 16))}), 2)
	require.Len(t, outstandingNow(t, c, &kmip.QueryAsynchronousRequestsRequest{Operations: ofKind(kmip.OperationLocate)}), 1)
	require.Empty(t, outstandingNow(t, c, &kmip.QueryAsynchronousRequestsRequest{AsynchronousCorrelationValues: values(waiting), Operations: ofKind(kmip.OperationLocate)}))
	require.Len(t, outstandingNow(t, c, &kmip.QueryAsynchronousRequestsRequest{AsynchronousCorrelationValues: values(), Operations: new(kmip.Operations)}), mostWorkers+2)
	outcome(t, c, v, located)
	require.Len(t, outstandingNow(t, c, new(kmip.QueryAsynchronousRequestsRequest)), mostWorkers+1, "a result that was got is not outstanding")
	close(h.gate)
}

// TestProcess: what waits for its turn is performed now, and the next Poll is not pending. KMIP 2.1 §6.1.39.
func TestProcess(t *testing.T) {
	g := newRig(t, Limits{})
	h := g.hold()
	c := g.dial("alice")
	const v = ttlv.V2_1
	begun := h.busy(t, c)
	waiting := later(t, c, v, item(t, v, kmip.OperationWhoAmI, "1", new(kmip.WhoAmIRequest)), item(t, v, kmip.OperationLocate, "2", new(kmip.LocateRequest)))
	require.Equal(t, kmip.ResultStatusOperationPending, polledAnswer(t, c, v, waiting[1]).ResultStatus)
	payloadOfAnswer[kmip.ProcessResponse](t, v, one(t, c, v, kmip.OperationProcess, &kmip.ProcessRequest{AsynchronousCorrelationValue: waiting[1]}))
	x := one(t, c, v, kmip.OperationProcess, &kmip.ProcessRequest{AsynchronousCorrelationValue: waiting[1]})
	require.Equal(t, kmip.ResultReasonDuplicateProcessRequest, x.ResultReason)
	require.Equal(t, kmip.ResultStatusSuccess, polledAnswer(t, c, v, waiting[1]).ResultStatus)
	require.Equal(t, kmip.ResultStatusSuccess, polledAnswer(t, c, v, waiting[0]).ResultStatus, "the items before it are performed too")

	time.AfterFunc(50*time.Millisecond, func() { close(h.gate) })
	payloadOfAnswer[kmip.ProcessResponse](t, v, one(t, c, v, kmip.OperationProcess, &kmip.ProcessRequest{AsynchronousCorrelationValue: begun[0]}))
	require.Equal(t, kmip.ResultStatusSuccess, polledAnswer(t, c, v, begun[0]).ResultStatus, "it had begun: Process waits for it")
	x = one(t, c, v, kmip.OperationProcess, &kmip.ProcessRequest{AsynchronousCorrelationValue: make([]byte, 16)})
	require.Equal(t, kmip.ResultReasonInvalidAsynchronousCorrelationValue, x.ResultReason)
	x = one(t, c, ttlv.V2_0, kmip.OperationProcess, &kmip.ProcessRequest{AsynchronousCorrelationValue: make([]byte, 16)})
	require.Equal(t, kmip.ResultReasonOperationNotSupported, x.ResultReason, "it came with 2.1")
}

// TestAsynchronousBatch: order, ID placeholder, Stop, Continue and Undo are those of a batch that is answered at once.
func TestAsynchronousBatch(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	const v = ttlv.V2_1
	inactive := func(name string) *kmip.CreateRequest {
		q := aes(name)
		q.Attributes = q.Attributes.Without(ttlv.TagActivationDate)
		return q
	}
	values := later(t, c, v,
		item(t, v, kmip.OperationCreate, "1", inactive("made")), item(t, v, kmip.OperationActivate, "2", new(kmip.ActivateRequest)),
		item(t, v, kmip.OperationGet, "3", &kmip.GetRequest{UniqueIdentifier: "absent"}), item(t, v, kmip.OperationCreate, "4", inactive("unmade")))
	for i, want := range []kmip.ResultReason{0, 0, kmip.ResultReasonObjectNotFound, kmip.ResultReasonGeneralFailure} {
		require.Equal(t, want, outcome(t, c, v, values[i]).ResultReason, i)
	}
	require.Equal(t, kmip.ResultReasonObjectNotFound, one(t, c, v, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "unmade"}).ResultReason)

	send := func(option kmip.BatchErrorContinuationOption, items ...kmip.RequestBatchItem) []kmip.ResponseBatchItem {
		header := kmip.RequestHeader{AsynchronousIndicator: indicator(t, v), BatchErrorContinuationOption: option}
		m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: header, BatchItem: items})
		answers := make([]kmip.ResponseBatchItem, len(items))
		for i, x := range m.BatchItem {
			answers[i] = outcome(t, c, v, x.AsynchronousCorrelationValue)
		}
		return answers
	}
	fails := item(t, v, kmip.OperationGet, "2", &kmip.GetRequest{UniqueIdentifier: "absent"})
	answers := send(kmip.BatchErrorContinuationOptionContinue, item(t, v, kmip.OperationCreate, "1", inactive("a")), fails, item(t, v, kmip.OperationCreate, "3", inactive("b")))
	require.Equal(t, []kmip.ResultStatus{kmip.ResultStatusSuccess, kmip.ResultStatusOperationFailed, kmip.ResultStatusSuccess},
		[]kmip.ResultStatus{answers[0].ResultStatus, answers[1].ResultStatus, answers[2].ResultStatus})
	answers = send(kmip.BatchErrorContinuationOptionUndo, item(t, v, kmip.OperationCreate, "1", inactive("undone")), fails)
	require.Equal(t, kmip.ResultStatusOperationUndone, answers[0].ResultStatus)
	require.Equal(t, kmip.ResultReasonObjectNotFound, answers[1].ResultReason)
	require.Equal(t, kmip.ResultReasonObjectDestroyed, one(t, c, v, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "undone"}).ResultReason)

	poll := item(t, v, kmip.OperationPoll, "1", &kmip.PollRequest{AsynchronousCorrelationValue: make([]byte, 16)})
	m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{AsynchronousIndicator: indicator(t, v)}, BatchItem: []kmip.RequestBatchItem{poll}})
	require.Equal(t, kmip.ResultReasonInvalidAsynchronousCorrelationValue, m.BatchItem[0].ResultReason, "Poll is never asynchronous")
	m = exchange(t, c, v, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{AsynchronousIndicator: indicator(t, v)}, BatchItem: []kmip.RequestBatchItem{poll, fails}})
	require.Equal(t, kmip.ResultReasonInvalidField, m.BatchItem[0].ResultReason)
}

// TestPollInBatch: with Undo, the answer that Poll got can be got again.
func TestPollInBatch(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	const v = ttlv.V2_1
	value := later(t, c, v, item(t, v, kmip.OperationLocate, "", new(kmip.LocateRequest)))[0]
	<-g.promised(value).job.ended
	undo := kmip.RequestHeader{BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionUndo}
	poll := item(t, v, kmip.OperationPoll, "1", &kmip.PollRequest{AsynchronousCorrelationValue: value})
	m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: undo, BatchItem: []kmip.RequestBatchItem{poll, item(t, v, kmip.OperationGet, "2", &kmip.GetRequest{UniqueIdentifier: "absent"})}})
	require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[1].ResultStatus)
	cancel := item(t, v, kmip.OperationCancel, "2", &kmip.CancelRequest{AsynchronousCorrelationValue: value})
	m = exchange(t, c, v, &kmip.RequestMessage{RequestHeader: undo, BatchItem: []kmip.RequestBatchItem{poll, cancel}})
	require.Equal(t, kmip.ResultReasonFeatureNotSupported, m.BatchItem[1].ResultReason)
	m = exchange(t, c, v, &kmip.RequestMessage{RequestHeader: undo, BatchItem: []kmip.RequestBatchItem{poll, item(t, v, kmip.OperationWhoAmI, "2", new(kmip.WhoAmIRequest))}})
	require.Equal(t, kmip.OperationLocate, m.BatchItem[0].Operation)
	require.Equal(t, "1", string(m.BatchItem[0].UniqueBatchItemID))
	require.Equal(t, kmip.ResultReasonInvalidAsynchronousCorrelationValue, polledAnswer(t, c, v, value).ResultReason)
}

// TestAsynchronousOptional: a client that can poll gets at once what is done in time, and the rest later. KMIP 1.4 §6.7, KMIP 2.1
// §11.3.
func TestAsynchronousOptional(t *testing.T) {
	for _, v := range []ttlv.Version{ttlv.V1_0, ttlv.V1_4, ttlv.V2_1} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel() // each waits for as long as the client may have to
			g := newRig(t, Limits{AsynchronousAfter: 2 * time.Second})
			h := g.hold()
			c := g.dial("alice")
			var e ttlv.Encoder
			e.Reset(nil, v)
			if v < ttlv.V2_0 {
				e.Bool(ttlv.TagAsynchronousIndicator, true)
			} else {
				e.Enum(ttlv.TagAsynchronousIndicator, uint32(kmip.AsynchronousIndicatorOptional))
			}
			header := kmip.RequestHeader{AsynchronousIndicator: e.Bytes()}
			quick := []kmip.RequestBatchItem{item(t, v, kmip.OperationLocate, "1", new(kmip.LocateRequest)), item(t, v, kmip.OperationGet, "2", &kmip.GetRequest{UniqueIdentifier: "absent"}), item(t, v, kmip.OperationWhoAmI, "3", new(kmip.WhoAmIRequest))}
			m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: header, BatchItem: quick})
			require.Len(t, m.BatchItem, 2, "as if the answer were not allowed to come later: Stop")
			require.Equal(t, "1", string(m.BatchItem[0].UniqueBatchItemID))
			require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[0].ResultStatus)
			require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[1].ResultStatus)

			slow := []kmip.RequestBatchItem{item(t, v, kmip.OperationWhoAmI, "1", new(kmip.WhoAmIRequest)), item(t, v, kmip.OperationCreate, "2", aes("")), item(t, v, kmip.OperationGet, "3", new(kmip.GetRequest))}
			m = exchange(t, c, v, &kmip.RequestMessage{RequestHeader: header, BatchItem: slow})
			require.Len(t, m.BatchItem, 3)
			require.Equal(t, kmip.ResultStatusSuccess, m.BatchItem[0].ResultStatus)
			require.Equal(t, kmip.ResultStatusOperationPending, m.BatchItem[1].ResultStatus)
			require.Equal(t, kmip.ResultStatusOperationPending, m.BatchItem[2].ResultStatus)
			require.Equal(t, "3", string(m.BatchItem[2].UniqueBatchItemID))
			<-h.begun
			h.gate <- struct{}{}
			made := payloadOfAnswer[kmip.CreateResponse](t, v, outcome(t, c, v, m.BatchItem[1].AsynchronousCorrelationValue))
			got := payloadOfAnswer[kmip.GetResponse](t, v, outcome(t, c, v, m.BatchItem[2].AsynchronousCorrelationValue))
			require.Equal(t, made.UniqueIdentifier, got.UniqueIdentifier)
			g.forgotten(t, "every answer was polled for")
		})
	}
}

// TestAsynchronousLimits: what waits, and what was not polled for, is bounded in number, bytes and time.
func TestAsynchronousLimits(t *testing.T) {
	g := newRig(t, Limits{AsynchronousPerIdentity: mostWorkers + 2, AsynchronousOperations: mostWorkers + 3, AsynchronousKeep: 3 * time.Second})
	h := g.hold()
	alice, bob := g.dial("alice"), g.dial("bob")
	const v = ttlv.V2_1
	who := func() kmip.RequestBatchItem { return item(t, v, kmip.OperationWhoAmI, "", new(kmip.WhoAmIRequest)) }
	refusal := func(c *tls.Conn) kmip.ResponseBatchItem {
		m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{AsynchronousIndicator: indicator(t, v)}, BatchItem: []kmip.RequestBatchItem{who()}})
		return m.BatchItem[0]
	}
	h.busy(t, alice)
	for range 2 {
		later(t, alice, v, who())
	}
	require.Equal(t, kmip.ResultReasonServerLimitExceeded, refusal(alice).ResultReason)
	later(t, bob, v, who())
	require.Equal(t, kmip.ResultReasonServerLimitExceeded, refusal(bob).ResultReason)
	close(h.gate)
	g.forgotten(t, "what nobody polls for")
	require.Equal(t, kmip.ResultStatusSuccess, outcome(t, alice, v, later(t, alice, v, who())[0]).ResultStatus)

	small := newRig(t, Limits{AsynchronousBytesPerIdentity: 4 << 10})
	c := small.dial("alice")
	random := item(t, v, kmip.OperationRNGRetrieve, "", &kmip.RNGRetrieveRequest{DataLength: 8 << 10})
	x := outcome(t, c, v, later(t, c, v, random)[0])
	require.Equal(t, kmip.ResultReasonResponseTooLarge, x.ResultReason)
	hash := item(t, v, kmip.OperationRNGSeed, "", &kmip.RNGSeedRequest{Data: make([]byte, 8<<10)})
	m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{AsynchronousIndicator: indicator(t, v)}, BatchItem: []kmip.RequestBatchItem{hash}})
	require.Equal(t, kmip.ResultReasonServerLimitExceeded, m.BatchItem[0].ResultReason)
}

// TestAsynchronousRights: the door decides when the operation is performed, not when it was asked for.
func TestAsynchronousRights(t *testing.T) {
	g := newRig(t, Limits{})
	h := g.hold()
	alice, bob := g.dial("alice"), g.dial("bob")
	const v = ttlv.V2_1
	go func() { <-h.begun; h.gate <- struct{}{} }()
	one(t, alice, v, kmip.OperationCreate, aes("k"))
	grant := &kmip.GrantAccessRequest{UniqueIdentifier: "k", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}}
	one(t, alice, v, kmip.OperationGrantAccess, grant)
	get := func() kmip.RequestBatchItem {
		return item(t, v, kmip.OperationGet, "", &kmip.GetRequest{UniqueIdentifier: "k"})
	}
	require.Equal(t, kmip.ResultStatusSuccess, outcome(t, bob, v, later(t, bob, v, get())[0]).ResultStatus)
	h.busy(t, alice)
	value := later(t, bob, v, get())[0]
	one(t, alice, v, kmip.OperationWithdrawAccess, &kmip.WithdrawAccessRequest{UniqueIdentifier: "k", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}})
	other := later(t, bob, v, get())[0]
	state := g.server.Gate.state.Load()
	close(h.gate)
	require.Equal(t, kmip.ResultReasonObjectNotFound, outcome(t, bob, v, value).ResultReason)
	require.Equal(t, kmip.ResultReasonObjectNotFound, outcome(t, bob, v, other).ResultReason)
	g.audited(t, 2, `"operation":"Get","uid":"k","result":"OperationFailed","reason":"ObjectNotFound"`)

	// A certificate that is not accepted any more by the time.
	h.gate = make(chan struct{})
	h.busy(t, alice)
	value = later(t, alice, v, get())[0]
	revoked := state.Credentials
	revoked.Revoked = func(c *x509.Certificate) bool { return c.Subject.CommonName == "alice" }
	g.server.Gate.Replace(revoked)
	x := g.promised(value)
	close(h.gate)
	<-x.job.ended
	require.True(t, x.failed)
	g.server.Gate.Replace(state.Credentials)
	require.Equal(t, kmip.ResultReasonPermissionDenied, outcome(t, g.dial("alice"), v, value).ResultReason)
}

// TestAsynchronousRefused: what belongs to a connection has no place in the background, and what an operation came to is told in the
// version that asked.
func TestAsynchronousRefused(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	const v = ttlv.V2_1
	yes := true
	hash := &kmip.HashRequest{CryptographicParameters: kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}, Data: []byte("a"), InitIndicator: &yes}
	require.Equal(t, kmip.ResultReasonFeatureNotSupported, outcome(t, c, v, later(t, c, v, item(t, v, kmip.OperationHash, "", hash))[0]).ResultReason)
	hash.InitIndicator = nil
	value := later(t, c, v, item(t, v, kmip.OperationHash, "", hash))[0]
	<-g.promised(value).job.ended
	require.Equal(t, kmip.ResultReasonInvalidField, polledAnswer(t, c, ttlv.V1_4, value).ResultReason)
	require.Equal(t, kmip.ResultStatusSuccess, polledAnswer(t, c, v, value).ResultStatus)

	value = later(t, c, v, item(t, v, kmip.OperationRNGRetrieve, "", &kmip.RNGRetrieveRequest{DataLength: 1000}))[0]
	<-g.promised(value).job.ended
	small := int32(500)
	poll := item(t, v, kmip.OperationPoll, "", &kmip.PollRequest{AsynchronousCorrelationValue: value})
	m := exchange(t, c, v, &kmip.RequestMessage{RequestHeader: kmip.RequestHeader{MaximumResponseSize: &small}, BatchItem: []kmip.RequestBatchItem{poll}})
	require.Equal(t, kmip.ResultReasonResponseTooLarge, m.BatchItem[0].ResultReason)
	require.Equal(t, kmip.ResultStatusSuccess, polledAnswer(t, c, v, value).ResultStatus, "and it can be polled for again")
}

// TestAsynchronousPanic: a bug fails its operation.
func TestAsynchronousPanic(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	const v = ttlv.V2_1
	g.server.Store = nil
	x := outcome(t, c, v, later(t, c, v, item(t, v, kmip.OperationGet, "", &kmip.GetRequest{UniqueIdentifier: "k"}))[0])
	require.Equal(t, kmip.ResultReasonGeneralFailure, x.ResultReason)
	require.Equal(t, kmip.ResultStatusSuccess, outcome(t, c, v, later(t, c, v, item(t, v, kmip.OperationWhoAmI, "", new(kmip.WhoAmIRequest)))[0]).ResultStatus)
}

// TestAsynchronousShutdown: what has begun is ended with the server, what has not is canceled, and the audit says both.
func TestAsynchronousShutdown(t *testing.T) {
	g := newRig(t, Limits{})
	h := g.hold()
	c := g.dial("alice")
	const v = ttlv.V2_1
	h.busy(t, c)
	later(t, c, v, item(t, v, kmip.OperationDestroy, "", &kmip.DestroyRequest{UniqueIdentifier: "k"}))
	go func() {
		for p, ended := g.server.promises, false; !ended; time.Sleep(time.Millisecond) {
			p.mu.Lock()
			ended = p.ended
			p.mu.Unlock()
		}
		close(h.gate) // which only lets those go on that have begun
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, g.server.Shutdown(ctx))
	require.EqualValues(t, mostWorkers, h.made.Load())
	g.audited(t, mostWorkers, `"operation":"Create"`)
	g.audited(t, 1, `"operation":"Destroy","result":"OperationFailed","reason":"GeneralFailure"`)
}
