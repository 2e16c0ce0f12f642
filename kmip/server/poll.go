package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// indicator says whether a message must, may or must not be answered later. KMIP 2.1 §9.2; of 1.x (KMIP 1.4 §6.7), where a client
// only says that it can take such an answer, True is Optional.
func (r *Request) indicator() (kmip.AsynchronousIndicator, error) {
	raw := r.header.AsynchronousIndicator
	switch {
	case raw == nil:
		return kmip.AsynchronousIndicatorProhibited, nil
	case r.version < ttlv.V2_0 && raw.Type() == ttlv.TypeBoolean:
		if binary.BigEndian.Uint64(raw.Body()) != 0 {
			return kmip.AsynchronousIndicatorOptional, nil
		}
		return kmip.AsynchronousIndicatorProhibited, nil
	case r.version >= ttlv.V2_0 && raw.Type() == ttlv.TypeEnumeration:
		i := kmip.AsynchronousIndicator(binary.BigEndian.Uint32(raw.Body()))
		if i < kmip.AsynchronousIndicatorMandatory || i > kmip.AsynchronousIndicatorProhibited {
			return 0, kmip.Errorf(kmip.ResultReasonUnknownEnumeration, "the Asynchronous Indicator is %v, must be Mandatory, Optional or Prohibited", i)
		}
		return i, nil
	}
	return 0, kmip.Errorf(kmip.ResultReasonInvalidMessage, "the Asynchronous Indicator of KMIP %v is not a %v", r.version, raw.Type())
}

// answeredLater answers a message that is performed in the background: one that must be, or that may be and has an operation that
// can take long. Of the latter, what is done within a short time is answered at once.
func (r *Request) answeredLater(msg []byte) bool {
	must := r.indicated == kmip.AsynchronousIndicatorMandatory && !r.controls(0)
	may := r.indicated == kmip.AsynchronousIndicatorOptional && r.mayTakeLong()
	if r.batch.job != nil || !must && !may {
		return false
	}
	j := r.newJob(msg)
	if err := r.server.promises.submit(j); err != nil {
		if must {
			r.refuseAll(err)
		}
		return must
	}
	if may {
		timer := time.NewTimer(r.server.Limits.AsynchronousAfter)
		defer timer.Stop()
		select {
		case <-j.ended:
		case <-timer.C:
		}
	}
	for i, x := range j.promises {
		if !may || !r.deliver(i, x) {
			r.promise(i, x)
		}
	}
	return true
}

// controls says whether an item is about an asynchronous operation: the answers to Poll and Cancel are never asynchronous
// (KMIP 2.1 §6.1.5, §6.1.38), and those that ask for others like them would only make more of them.
func (r *Request) controls(i int) bool {
	op := r.server.lookup(r.items[i].Operation)
	return op != nil && op.controls
}

// mayTakeLong says whether a message has an operation that can take long, and none that belongs to its connection: those in parts,
// and those about others. A client that takes answers of a limited size gets them in one.
func (r *Request) mayTakeLong() (long bool) {
	if r.header.MaximumResponseSize != nil {
		return false
	}
	for i := range r.items {
		op := r.server.lookup(r.items[i].Operation)
		if op == nil || op.controls || op.parts {
			return false
		}
		long = long || op.long
	}
	return long
}

func (r *Request) refuseAll(err error) {
	for i := range r.items {
		r.refuseItem(i, err)
	}
}

// promise answers an item with what to poll by. KMIP 2.1 §9.19.
func (r *Request) promise(i int, x *promise) {
	r.pending(&r.items[i], x)
	r.batch.answers++
}

func (r *Request) pending(item *kmip.RequestBatchItem, x *promise) {
	e := &r.encoder
	mark := e.Begin(ttlv.TagBatchItem)
	if item.Operation != 0 {
		e.Enum(ttlv.TagOperation, uint32(item.Operation))
	}
	if item.UniqueBatchItemID != nil {
		e.ByteString(ttlv.TagUniqueBatchItemID, item.UniqueBatchItemID)
	}
	e.Enum(ttlv.TagResultStatus, uint32(kmip.ResultStatusOperationPending))
	e.ByteString(ttlv.TagAsynchronousCorrelationValue, x.value[:])
	e.End(mark)
}

// deliver answers an item whose promise is kept already, with nothing where the operation was not performed.
func (r *Request) deliver(i int, x *promise) bool {
	answers, skipped, ok := r.server.promises.take(x)
	if ok && !skipped {
		r.batch.answers += r.hand(answers, r.items[i].UniqueBatchItemID)
	}
	clear(answers)
	return ok
}

// hand appends answers with the Unique Batch Item ID of the item that gets them, and says how many there are.
func (r *Request) hand(answers, id []byte) (n int) {
	e := &r.encoder
	for ; len(answers) > 0; n++ {
		size := sizeOf(answers)
		body := answers[8:size]
		mark := e.Begin(ttlv.TagBatchItem)
		if ttlv.Raw(body).Tag() == ttlv.TagOperation {
			e.Raw(ttlv.Raw(body[:16])) // an Enumeration
			body = body[16:]
		}
		if id != nil {
			e.ByteString(ttlv.TagUniqueBatchItemID, id)
		}
		e.Raw(ttlv.Raw(body))
		e.End(mark)
		answers = answers[size:]
	}
	return n
}

// take gives the answers of a promise that is kept, which are the caller's to clear, and forgets it.
func (p *promises) take(x *promise) (answers []byte, skipped, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.stage != kmip.ProcessingStageCompleted || p.all[x.value] != x {
		return nil, false, false
	}
	answers = bytes.Clone(x.answers)
	p.drop(x)
	return answers, x.skipped, true
}

// A polled is the answer to Poll: what the operation came to, or that it has not yet.
type polled struct {
	*promise
	answers []byte // nil while it has not
}

// answer appends it, and says how many batch items it has.
func (a *polled) answer(r *Request, item *kmip.RequestBatchItem) int {
	if a.answers == nil {
		r.pending(item, a.promise)
		return 1
	}
	defer clear(a.answers)
	return r.hand(a.answers, item.UniqueBatchItemID)
}

// find is an operation that the owner asked for, nil if there is none; the lock is held.
func (p *promises) find(o owner, value []byte) *promise {
	if len(value) != len(promise{}.value) {
		return nil
	}
	x := p.all[[16]byte(value)]
	if x == nil || x.job.owner() != o {
		return nil
	}
	return x
}

func (r *Request) owner() owner { return owner{r.conn.identity, r.identity} }

// outstanding refuses a value that no operation of the caller's has: whether another's has is not the caller's to know.
func outstanding(x *promise, value []byte) error {
	if x != nil {
		return nil
	}
	return kmip.Errorf(kmip.ResultReasonInvalidAsynchronousCorrelationValue, "no operation with the Asynchronous Correlation Value %x is outstanding", value[:min(len(value), 16)])
}

// poll answers Poll. KMIP 2.1 §6.1.38. What an operation came to is told once, in the version that it was asked for in.
func (r *Request) poll(_ *call, q *kmip.PollRequest) (*polled, error) {
	p := r.server.promises
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.find(r.owner(), q.AsynchronousCorrelationValue)
	if err := outstanding(x, q.AsynchronousCorrelationValue); err != nil {
		return nil, err
	}
	switch {
	case x.stage != kmip.ProcessingStageCompleted:
		return &polled{promise: x}, nil
	case x.job.version != r.version:
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the operation was asked for in KMIP %v: poll for it in that version", x.job.version)
	case r.over(len(x.answers)):
		return nil, r.tooLarge()
	}
	answers := bytes.Clone(x.answers)
	if r.undoes() { // it can be polled for again when the batch is undone
		r.ends = append(r.ends, func(context.Context) error { p.forget(x); return nil })
	} else {
		p.drop(x)
	}
	return &polled{x, answers}, nil
}

// cancel answers Cancel. KMIP 2.1 §6.1.5, §11.7. An operation that has not begun never will; one that has goes on.
func (r *Request) cancel(_ *call, q *kmip.CancelRequest) (*kmip.CancelResponse, error) {
	if err := r.irrevocable(); err != nil {
		return nil, err
	}
	x, result, done := r.server.promises.cancelOne(r.owner(), q.AsynchronousCorrelationValue)
	if done {
		r.audit.Write(&Event{
			Time: r.now, Request: x.job.number, Identity: r.conn.identity, For: r.delegator(), Fingerprint: r.fingerprint,
			Operation: x.operation, Result: kmip.ResultStatusOperationFailed, Reason: kmip.ResultReasonOperationCanceledByRequester,
		})
	}
	return &kmip.CancelResponse{AsynchronousCorrelationValue: bytes.Clone(q.AsynchronousCorrelationValue), CancellationResult: result}, nil
}

// irrevocable refuses an operation about another one in a batch that may be undone: it cannot be.
func (r *Request) irrevocable() error {
	if r.undoes() {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "%v cannot be undone: it has no place in a batch that may be", r.current.operation)
	}
	return nil
}

// cancelOne cancels an operation that has not begun, and says whether it did it now. A job of which nothing is left is ended.
func (p *promises) cancelOne(o owner, value []byte) (x *promise, result kmip.CancellationResult, done bool) {
	p.mu.Lock()
	x = p.find(o, value)
	switch {
	case x == nil:
		result = kmip.CancellationResultUnavailable
	case x.stage == kmip.ProcessingStageInProcess:
		result = kmip.CancellationResultUnableToCancel
	case x.canceled:
		result = kmip.CancellationResultCanceled
	case x.stage == kmip.ProcessingStageCompleted && x.failed:
		result = kmip.CancellationResultFailed
	case x.stage == kmip.ProcessingStageCompleted:
		result = kmip.CancellationResultCompleted
	default:
		result, done = kmip.CancellationResultCanceled, true
		x.canceled = true
		p.hold(x, x.job.refused(x, errCanceled), true)
	}
	if x != nil && x.stage == kmip.ProcessingStageCompleted {
		x.told = true
	}
	empty := done && !slices.ContainsFunc(x.job.promises, func(y *promise) bool { return !y.canceled }) && p.withdraw(x.job)
	p.mu.Unlock()
	if empty {
		x.job.close()
	}
	return x, result, done
}

// process answers Process. KMIP 2.1 §6.1.39. When it is answered, the operation has been performed, and those before it in its
// batch: it is not left to the background, if it was still waiting for its turn there.
func (r *Request) process(_ *call, q *kmip.ProcessRequest) (*kmip.ProcessResponse, error) {
	if err := r.irrevocable(); err != nil {
		return nil, err
	}
	p := r.server.promises
	p.mu.Lock()
	x := p.find(r.owner(), q.AsynchronousCorrelationValue)
	over := x != nil && x.stage == kmip.ProcessingStageCompleted
	mine := x != nil && !over && p.withdraw(x.job)
	p.mu.Unlock()
	if err := outstanding(x, q.AsynchronousCorrelationValue); err != nil {
		return nil, err
	}
	if over {
		return nil, kmip.Errorf(kmip.ResultReasonDuplicateProcessRequest, "the operation has been performed already: poll for it")
	}
	if mine {
		x.job.run()
		return new(kmip.ProcessResponse), nil
	}
	select {
	case <-x.job.ended:
		return new(kmip.ProcessResponse), nil
	case <-r.ctx.Done():
		return nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "the operation takes too long: poll for it")
	}
}

// queryAsynchronousRequests answers Query Asynchronous Requests. KMIP 2.1 §6.1.41.
func (r *Request) queryAsynchronousRequests(_ *call, q *kmip.QueryAsynchronousRequestsRequest) (*kmip.QueryAsynchronousRequestsResponse, error) {
	p, o := r.server.promises, r.owner()
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*promise
	for _, x := range p.all {
		if !x.told && x.job.owner() == o && asksFor(q, x) {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b *promise) int {
		return cmp.Or(a.asked.Compare(b.asked), cmp.Compare(a.job.number, b.job.number), cmp.Compare(a.item, b.item))
	})
	response := new(kmip.QueryAsynchronousRequestsResponse)
	for _, x := range list {
		response.AsynchronousRequest = append(response.AsynchronousRequest, kmip.AsynchronousRequest{
			AsynchronousCorrelationValue: bytes.Clone(x.value[:]), Operation: x.operation,
			SubmissionDate: ttlv.DateTimeExtended(x.asked.UnixMicro()), ProcessingStage: x.stage,
		})
	}
	return response, nil
}

// asksFor says whether a query is about an operation: of all, of those of its values, and of its kinds.
func asksFor(q *kmip.QueryAsynchronousRequestsRequest, x *promise) bool {
	if v := q.AsynchronousCorrelationValues; v != nil && len(v.AsynchronousCorrelationValue) > 0 {
		if !slices.ContainsFunc(v.AsynchronousCorrelationValue, func(b []byte) bool { return bytes.Equal(b, x.value[:]) }) {
			return false
		}
	}
	ops := q.Operations
	return ops == nil || len(ops.Operation) == 0 || slices.Contains(ops.Operation, x.operation)
}
