package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A Request is what a handler knows of the request it answers.
type Request struct {
	*conn
	ctx         context.Context
	identity    string // as whom it is answered: the connection's, or the one whose ticket it has
	refusal     error  // of every operation, when the credentials are wrong
	ticket      *ticket
	charge      charge // what the operation at hand took of the ticket
	hashed      []byte // the Server Hashed Password of the answer
	number      uint64
	now         time.Time
	began       time.Time // when the operation at hand began: now, or when the one before it ended
	version     ttlv.Version
	header      kmip.RequestHeader
	indicated   kmip.AsynchronousIndicator    // whether the answer must, may or must not be given later
	placeholder string                        // the ID placeholder of the batch
	need        need                          // of the operation at hand, for opening its object again
	undos       []func(context.Context) error // how the changes of a batch are taken back, in their order
	revisions   map[string]int64              // of the objects that a batch that may be undone has changed
	ends        []func(context.Context) error // what a batch that nothing undid does at its end
	current     call                          // the operation at hand, as the audit line tells it
	batch       batch
}

// answer handles one message and appends its answer to the encoder.
func (c *conn) answer(msg []byte) {
	r := &c.request
	now := time.Now()
	*r = Request{conn: c, ctx: c.ctx, identity: c.identity, number: c.server.requests.Add(1), now: now, began: now, version: ttlv.V1_0}
	start := len(c.encoder.Bytes())
	if err := r.decode(msg); err != nil {
		c.encoder.Reset(c.encoder.Bytes()[:start], r.version)
		c.refuseAs(r.version, r.correlation(), err)
		return
	}
	if r.refusal = c.server.sealed(); r.refusal == nil {
		r.refusal = r.authenticate()
	}
	r.respond(msg)
}

// refuse answers a message that could not be understood: one failed item, without an operation.
func (c *conn) refuse(v ttlv.Version, err error) { c.refuseAs(v, "", err) }

func (c *conn) refuseAs(v ttlv.Version, correlation string, err error) {
	c.encoder.Reset(c.encoder.Bytes(), v)
	c.server.tallies.refused.Add(1)
	message := c.encoder.Begin(ttlv.TagResponseMessage)
	c.begin(v, time.Now(), nil, correlation, 1)
	c.fail(v, &kmip.RequestBatchItem{}, err, 0)
	c.encoder.End(message)
}

// decode takes the message apart: header, version, items with their payloads left encoded.
func (r *Request) decode(msg []byte) error {
	r.decoder.Reset(ttlv.V2_1, &r.server.Limits.Message, false)
	children, err := r.open(msg)
	if err != nil {
		return r.invalid(err)
	}
	first, ok := children.Next()
	if !ok || first.Tag != ttlv.TagRequestHeader {
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has no header")
	}
	if err := r.head(first); err != nil {
		return err
	}
	r.decoder.Reset(r.version, &r.server.Limits.Message, false)
	r.items = r.items[:0]
	for {
		it, ok := children.Next()
		if !ok {
			break
		}
		if it.Tag != ttlv.TagBatchItem {
			return kmip.Errorf(kmip.ResultReasonInvalidMessage, "unexpected %v in the request", it.Tag)
		}
		if err := r.item(it); err != nil {
			return err
		}
	}
	if err := children.Err(); err != nil {
		return r.invalid(err)
	}
	return r.check()
}

// head decodes the header and settles the version, in which its faults are answered too.
func (r *Request) head(it ttlv.Item) error {
	err := r.decoder.Value(it, &r.header)
	if err != nil && r.header.ProtocolVersion == (kmip.ProtocolVersion{}) {
		return r.invalid(err)
	}
	if refused := r.negotiate(); refused != nil {
		return refused
	}
	if err != nil {
		return r.invalid(err)
	}
	return nil
}

// open begins to read the structure of the message.
func (r *Request) open(msg []byte) (ttlv.Children, error) {
	it, err := r.decoder.Open(msg)
	if err != nil {
		return ttlv.Children{}, err
	}
	if it.Tag != ttlv.TagRequestMessage {
		return ttlv.Children{}, fmt.Errorf("the message is a %v, must be a RequestMessage", it.Tag)
	}
	return r.decoder.Children(it)
}

// item decodes one batch item; its payload stays encoded. One that cannot be decoded fails when its turn comes (KMIP 1.4 §11.1).
func (r *Request) item(it ttlv.Item) error {
	if len(r.items) >= r.server.Limits.BatchCount {
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "more than %d operations in one request", r.server.Limits.BatchCount)
	}
	if len(r.items) < cap(r.items) {
		r.items = r.items[:len(r.items)+1]
	} else {
		r.items = append(r.items, kmip.RequestBatchItem{})
	}
	item := &r.items[len(r.items)-1]
	err := r.decoder.Value(it, item)
	if err == nil {
		err = r.extended(item.MessageExtension)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ttlv.ErrLimit):
		return r.invalid(err)
	}
	if r.batch.faults == nil {
		r.batch.faults = make(map[int]error)
	}
	r.batch.faults[len(r.items)-1] = r.invalid(err)
	return nil
}

// extended refuses message extensions that are not made as KMIP 2.1 §9.13 says. Several belong to one item from 2.0 on.
func (r *Request) extended(list []kmip.MessageExtension) error {
	if len(list) > 1 && r.version < ttlv.V2_0 {
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "a batch item has one MessageExtension in KMIP %v, not %d", r.version, len(list))
	}
	for _, e := range list {
		if e.VendorExtension.Type() != ttlv.TypeStructure {
			return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the VendorExtension of a MessageExtension is a Structure")
		}
	}
	return nil
}

// negotiate settles the version. A version that is not spoken is answered in the nearest one that is.
func (r *Request) negotiate() error {
	asked := r.header.ProtocolVersion
	if v, ok := asked.Version(); ok {
		r.version = v
		return nil
	}
	if asked.ProtocolVersionMajor >= 2 {
		r.version = ttlv.V2_1
	} else if asked.ProtocolVersionMajor == 1 {
		r.version = ttlv.V1_4
	}
	return kmip.Errorf(kmip.ResultReasonUnsupportedProtocolVersion, "KMIP %d.%d is not spoken here; 1.0 to 1.4, 2.0 and 2.1 are", asked.ProtocolVersionMajor, asked.ProtocolVersionMinor)
}

// check refuses a header that asks what cannot be had.
func (r *Request) check() error {
	h := &r.header
	switch {
	case len(r.items) == 0:
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has no batch item")
	case int(h.BatchCount) != len(r.items):
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the Batch Count is %d, there are %d items", h.BatchCount, len(r.items))
	case h.MaximumResponseSize != nil && *h.MaximumResponseSize < 0:
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the Maximum Response Size is negative")
	case h.BatchErrorContinuationOption > kmip.BatchErrorContinuationOptionUndo:
		return kmip.Errorf(kmip.ResultReasonUnknownEnumeration, "the Batch Error Continuation Option is %v, must be Continue, Stop or Undo", h.BatchErrorContinuationOption)
	case !r.bucket.take(len(r.items), r.server.Limits.RequestsPerSecond, r.now):
		r.server.tallies.limited.Add(1)
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "more than %g requests a second", r.server.Limits.RequestsPerSecond)
	}
	var err error
	if r.indicated, err = r.indicator(); err != nil {
		return err
	}
	for i := range r.items {
		if len(r.items) > 1 && r.items[i].UniqueBatchItemID == nil && r.batch.faults[i] == nil {
			return kmip.Errorf(kmip.ResultReasonInvalidMessage, "item %d of the batch has no Unique Batch Item ID", i+1)
		}
		if r.indicated == kmip.AsynchronousIndicatorMandatory && r.controls(i) != r.controls(0) {
			return kmip.Errorf(kmip.ResultReasonInvalidField, "Poll, Cancel, Process and Query Asynchronous Requests are answered at once: they do not go with what must not be")
		}
	}
	return nil
}

// invalid makes a client's error of one in the encoding (KMIP 1.4 §11.1, KMIP 2.1 §11.46): a field that the version does not
// have in that place is an Invalid Field of 1.x; 2.x tells a tag that nobody knows from the invalid use of one.
func (r *Request) invalid(err error) error {
	var known *kmip.Error
	reason := kmip.ResultReasonInvalidMessage
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, ttlv.ErrUnknownTag):
		reason = kmip.ResultReasonUnknownTag
	case errors.Is(err, ttlv.ErrUnexpected) && r.version < ttlv.V2_0:
		reason = kmip.ResultReasonInvalidField
	}
	return kmip.Errorf(reason, "%v", err)
}

// begin writes the response header (KMIP 2.1 §8.5) and tells where its Batch Count's value stands.
func (c *conn) begin(v ttlv.Version, now time.Time, hashed []byte, correlation string, count int) int {
	e := &c.encoder
	header := e.Begin(ttlv.TagResponseHeader)
	version := e.Begin(ttlv.TagProtocolVersion)
	e.Int(ttlv.TagProtocolVersionMajor, int32(v.Major()))
	e.Int(ttlv.TagProtocolVersionMinor, int32(v.Minor()))
	e.End(version)
	e.Time(ttlv.TagTimeStamp, now)
	if hashed != nil {
		e.ByteString(ttlv.TagServerHashedPassword, hashed)
	}
	if correlation != "" {
		e.Text(ttlv.TagServerCorrelationValue, correlation)
	}
	e.Int(ttlv.TagBatchCount, int32(count))
	e.End(header)
	return len(c.encoder.Bytes()) - 8 // an Integer's value: four bytes and four of padding
}

// recount corrects the Batch Count of a batch that was stopped.
func (c *conn) recount(at, n int) {
	b := c.encoder.Bytes()[at:]
	b[0], b[1], b[2], b[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

// acceptable refuses what does not bring its credentials, an item that could not be decoded, an operation that is not there or
// that the caller's ticket is not good for, and one whose answer the client could not take in any case.
func (r *Request) acceptable(op *operation, i int) error {
	item := &r.items[i]
	switch {
	case r.refusal != nil:
		return r.refusal
	case r.batch.faults[i] != nil:
		return r.batch.faults[i]
	case op == nil:
		return unsupportedOperation(item.Operation)
	case r.version < op.Since:
		return kmip.Errorf(kmip.ResultReasonOperationNotSupported, "KMIP %v has no operation %v", r.version, op.Operation)
	case r.over(leastAnswer + len(item.UniqueBatchItemID)):
		return r.tooLarge()
	case r.ticket != nil:
		return r.admitTicket(op)
	}
	return nil
}

// leastAnswer is the size of an answer that succeeds: the headers of the item and its payload, operation and status.
const leastAnswer = 8 + 16 + 16 + 8

func unsupportedOperation(op kmip.Operation) error {
	return kmip.Errorf(kmip.ResultReasonOperationNotSupported, "operation %v is not supported", op)
}

// call decodes the payload and hands it to the operation.
func (r *Request) call(op *operation, item *kmip.RequestBatchItem, k *call) (any, error) {
	payload, raw := op.payload(r.conn), item.RequestPayload
	r.ctx = r.conn.ctx
	if op.keeps {
		raw = bytes.Clone(raw)
		ctx, cancel := context.WithTimeout(r.conn.ctx, r.server.Limits.OperationTimeout)
		defer cancel()
		r.ctx = ctx
	}
	if raw == nil {
		raw = emptyPayload
	}
	err := r.decoder.Unmarshal(raw, ttlv.TagRequestPayload, payload)
	if err != nil && r.version >= ttlv.V2_0 {
		filled, fault := r.filled(raw)
		if fault != nil {
			return nil, fault
		}
		if filled != nil {
			defer clear(filled)
			err = r.decoder.Unmarshal(filled, ttlv.TagRequestPayload, payload)
		}
	}
	if err != nil {
		return nil, r.invalid(err)
	}
	if q, ok := payload.(kmip.Templated); ok && r.version < ttlv.V2_0 {
		if err := r.resolveTemplates(q); err != nil {
			return nil, err
		}
	}
	return op.run(r, k, payload)
}

// emptyPayload is a Request Payload without fields, for clients that leave it out.
var emptyPayload = ttlv.Raw{0x42, 0x00, 0x79, byte(ttlv.TypeStructure), 0, 0, 0, 0}

// succeed appends the answer of an operation that was performed.
func (r *Request) succeed(op *operation, i int, response any) error {
	item := &r.items[i]
	if op.controls {
		if p, ok := response.(*polled); ok {
			r.batch.answers += p.answer(r, item) - 1
			return nil
		}
	}
	if o, ok := response.(interface{ Clear() }); ok {
		defer o.Clear() // material that a backend gave is the caller's to clear
	}
	if o, ok := response.(interface{ For(ttlv.Version) }); ok {
		o.For(r.version)
	}
	if item.Ephemeral != nil && *item.Ephemeral {
		r.withhold(op.Operation, response)
	}
	e := &r.encoder
	mark := e.Begin(ttlv.TagBatchItem)
	e.Enum(ttlv.TagOperation, uint32(op.Operation))
	if item.UniqueBatchItemID != nil {
		e.ByteString(ttlv.TagUniqueBatchItemID, item.UniqueBatchItemID)
	}
	e.Enum(ttlv.TagResultStatus, uint32(kmip.ResultStatusSuccess))
	if r.undoes() {
		r.batch.done = append(r.batch.done, performed{r.current, i, len(e.Bytes()) - 8}) // an Enumeration's value: four bytes and four of padding
	}
	if err := e.Value(ttlv.TagResponsePayload, response); err != nil {
		return inexpressible(err)
	}
	e.End(mark)
	return nil
}

// inexpressible makes a client's error of one that the client's version has no word for.
func inexpressible(err error) error {
	var u *ttlv.UndefinedError
	switch {
	case !errors.As(err, &u):
		return err
	case u.Tag == ttlv.TagKeyFormatType:
		return kmip.Errorf(kmip.ResultReasonKeyFormatTypeNotSupported, "%w", err)
	case u.Tag == ttlv.TagObjectType:
		return kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%w", err)
	}
	return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "%w", err)
}

// fail appends the answer of an operation that was not performed. What is not the client's to know is logged, and the
// client gets the request's number to ask by.
func (c *conn) fail(v ttlv.Version, item *kmip.RequestBatchItem, err error, number uint64) {
	e := &c.encoder
	mark := e.Begin(ttlv.TagBatchItem)
	if item.Operation != 0 {
		e.Enum(ttlv.TagOperation, uint32(item.Operation))
	}
	if item.UniqueBatchItemID != nil {
		e.ByteString(ttlv.TagUniqueBatchItemID, item.UniqueBatchItemID)
	}
	e.Enum(ttlv.TagResultStatus, uint32(kmip.ResultStatusOperationFailed))
	e.Enum(ttlv.TagResultReason, uint32(kmip.ReasonOf(err).For(item.Operation, v)))
	e.Text(ttlv.TagResultMessage, c.explain(err, number))
	if d := (*denial)(nil); errors.As(err, &d) {
		if err := e.Value(ttlv.TagResponsePayload, d.payload); err != nil {
			panic(fmt.Sprintf("encoding the payload of a refusal: %v", err))
		}
	}
	e.End(mark)
}

// explain is the message a client sees.
func (c *conn) explain(err error, number uint64) string {
	var known *kmip.Error
	if errors.As(err, &known) {
		return known.Error()
	}
	c.server.Log.Error("request failed", "request", number, "identity", c.identity, "err", err)
	return "internal error, request " + strconv.FormatUint(number, 10)
}

// correlation is the Server Correlation Value of the answer (KMIP 2.1 §9.10). It goes to clients that send a Client Correlation
// Value alone: others may have no place for it.
func (r *Request) correlation() string {
	if r.header.ClientCorrelationValue == "" || r.version < ttlv.V1_4 {
		return ""
	}
	return r.server.instance + "-" + strconv.FormatUint(r.number, 10)
}
