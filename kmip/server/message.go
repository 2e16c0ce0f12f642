package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
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
	placeholder string                        // the ID placeholder of the batch
	need        need                          // of the operation at hand, for opening its object again
	undos       []func(context.Context) error // how the changes of a batch are taken back, in their order
	revisions   map[string]int64              // of the objects that a batch that may be undone has changed
	ends        []func(context.Context) error // what a batch that nothing undid does at its end
	statuses    []int                         // where the Result Status of each item that succeeded stands in the answer
	current     call                          // the operation at hand, as the audit line tells it
	made        []string                      // what each item of the batch made or named, for identifiers by item number
}

// answer handles one message and appends its answer to the encoder.
func (c *conn) answer(msg []byte) {
	r := &c.request
	made, statuses := r.made[:0], r.statuses[:0]
	now := time.Now()
	*r = Request{conn: c, ctx: c.ctx, identity: c.identity, made: made, statuses: statuses, number: c.server.requests.Add(1), now: now, began: now, version: ttlv.V1_0}
	start := len(c.encoder.Bytes())
	if err := r.decode(msg); err != nil {
		c.encoder.Reset(c.encoder.Bytes()[:start], r.version)
		c.refuse(r.version, err)
		return
	}
	r.refusal = r.authenticate()
	r.batch()
}

// refuse answers a message that could not be understood: one failed item, without an operation.
func (c *conn) refuse(v ttlv.Version, err error) {
	c.encoder.Reset(c.encoder.Bytes(), v)
	message := c.encoder.Begin(ttlv.TagResponseMessage)
	c.begin(v, time.Now(), nil, "", 1)
	c.fail(v, &kmip.RequestBatchItem{}, err, 0)
	c.encoder.End(message)
}

// decode takes the message apart: header, version, items with their payloads left encoded.
func (r *Request) decode(msg []byte) error {
	r.decoder.Reset(ttlv.V2_1, &r.server.Limits.Message, false)
	children, err := r.open(msg)
	if err != nil {
		return invalid(err)
	}
	first, ok := children.Next()
	if !ok || first.Tag != ttlv.TagRequestHeader {
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "the request has no header")
	}
	if err := r.decoder.Value(first, &r.header); err != nil {
		return invalid(err)
	}
	if err := r.negotiate(); err != nil {
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
		return invalid(err)
	}
	return r.check()
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

// item decodes one batch item; its payload stays encoded.
func (r *Request) item(it ttlv.Item) error {
	if len(r.items) >= r.server.Limits.BatchCount {
		return kmip.Errorf(kmip.ResultReasonInvalidMessage, "more than %d operations in one request", r.server.Limits.BatchCount)
	}
	if len(r.items) < cap(r.items) {
		r.items = r.items[:len(r.items)+1]
	} else {
		r.items = append(r.items, kmip.RequestBatchItem{})
	}
	if err := r.decoder.Value(it, &r.items[len(r.items)-1]); err != nil {
		return invalid(err)
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
	case asynchronous(h.AsynchronousIndicator):
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "asynchronous operations are not supported")
	case !r.bucket.take(len(r.items), r.server.Limits.RequestsPerSecond, r.now):
		return kmip.Errorf(kmip.ResultReasonGeneralFailure, "more than %g requests a second", r.server.Limits.RequestsPerSecond)
	}
	for i := range r.items {
		if len(r.items) > 1 && r.items[i].UniqueBatchItemID == nil {
			return kmip.Errorf(kmip.ResultReasonInvalidMessage, "item %d of the batch has no Unique Batch Item ID", i+1)
		}
	}
	return nil
}

// asynchronous says whether a request insists on an asynchronous answer: Mandatory in 2.x. A client that merely allows
// one (True in 1.x, Optional in 2.x) is answered at once.
func asynchronous(indicator ttlv.Raw) bool {
	return indicator.Type() == ttlv.TypeEnumeration && len(indicator.Body()) == 4 &&
		kmip.AsynchronousIndicator(binary.BigEndian.Uint32(indicator.Body())) == kmip.AsynchronousIndicatorMandatory
}

// invalid makes a client's error of one in the encoding.
func invalid(err error) error {
	var known *kmip.Error
	if errors.As(err, &known) {
		return known
	}
	return kmip.Errorf(kmip.ResultReasonInvalidMessage, "%v", err)
}

// batch performs the operations in order and answers each. A failure stops the batch unless it says Continue; with Undo, what
// was done before it is taken back.
func (r *Request) batch() {
	r.encoder.Reset(r.encoder.Bytes(), r.version)
	r.encoder.BeStrict()
	start := len(r.encoder.Bytes())
	message := r.encoder.Begin(ttlv.TagResponseMessage)
	count := r.begin(r.version, r.now, r.hashed, r.header.ClientCorrelationValue, len(r.items))
	first := len(r.encoder.Bytes())
	for i := range r.items {
		item := &r.items[i]
		mark := len(r.encoder.Bytes())
		err := r.perform(item)
		if err == nil && len(r.ends) > 0 && i == len(r.items)-1 {
			err = r.finish()
		}
		if err == nil && r.tooLarge(start) {
			err = kmip.Errorf(kmip.ResultReasonResponseTooLarge, "the response is larger than the Maximum Response Size of %d bytes", *r.header.MaximumResponseSize)
		}
		if err == nil {
			continue
		}
		r.encoder.Reset(r.encoder.Bytes()[:mark], r.version)
		if r.header.BatchErrorContinuationOption == kmip.BatchErrorContinuationOptionUndo {
			r.takeBack(i, first)
		}
		r.fail(r.version, item, err, r.number)
		if r.header.BatchErrorContinuationOption != kmip.BatchErrorContinuationOptionContinue {
			r.recount(count, i+1)
			break
		}
	}
	r.encoder.End(message)
	for i := range r.items {
		r.items[i] = kmip.RequestBatchItem{}
	}
}

func (r *Request) tooLarge(start int) bool {
	most := r.header.MaximumResponseSize
	return most != nil && len(r.encoder.Bytes())-start > int(*most)
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
	if correlation != "" && v >= ttlv.V1_4 {
		e.Text(ttlv.TagClientCorrelationValue, correlation)
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

// perform runs one operation and appends its answer.
func (r *Request) perform(item *kmip.RequestBatchItem) error {
	k := &r.current
	*k = call{operation: item.Operation}
	op := r.server.lookup(item.Operation)
	var response any
	err := r.refusal
	if err == nil {
		err = r.acceptable(op, item)
	}
	if err == nil {
		response, err = r.call(op, item, k)
	}
	if err == nil {
		err = r.succeed(op, item, response)
	}
	if err != nil {
		r.charge.refund()
	}
	if len(r.items) > 1 {
		r.made = append(r.made, cmp.Or(k.made, k.uid))
	}
	r.began = r.record(k, r.began, err)
	return err
}

// acceptable refuses an operation that is not there, or that the caller's ticket is not good for, and an extension that must be
// understood.
func (r *Request) acceptable(op *operation, item *kmip.RequestBatchItem) error {
	if op == nil {
		return unsupportedOperation(item.Operation)
	}
	if e := item.MessageExtension; e != nil && e.CriticalityIndicator {
		return kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "the message extension of %q is not supported", e.VendorIdentification)
	}
	if r.ticket == nil {
		return nil
	}
	return r.admitTicket(op)
}

func unsupportedOperation(op kmip.Operation) error {
	return kmip.Errorf(kmip.ResultReasonOperationNotSupported, "operation %v is not supported", op)
}

// call decodes the payload and hands it to the operation.
func (r *Request) call(op *operation, item *kmip.RequestBatchItem, k *call) (any, error) {
	if r.version < op.Since {
		return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "KMIP %v has no operation %v", r.version, op.Operation)
	}
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
	if err := r.decoder.Unmarshal(raw, ttlv.TagRequestPayload, payload); err != nil {
		return nil, invalid(err)
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
func (r *Request) succeed(op *operation, item *kmip.RequestBatchItem, response any) error {
	if o, ok := response.(interface{ Clear() }); ok {
		defer o.Clear() // material that a backend gave is the caller's to clear
	}
	if o, ok := response.(interface{ For(ttlv.Version) }); ok {
		o.For(r.version)
	}
	e := &r.encoder
	mark := e.Begin(ttlv.TagBatchItem)
	e.Enum(ttlv.TagOperation, uint32(op.Operation))
	if item.UniqueBatchItemID != nil {
		e.ByteString(ttlv.TagUniqueBatchItemID, item.UniqueBatchItemID)
	}
	e.Enum(ttlv.TagResultStatus, uint32(kmip.ResultStatusSuccess))
	r.statuses = append(r.statuses, len(e.Bytes())-8) // an Enumeration's value: four bytes and four of padding
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
