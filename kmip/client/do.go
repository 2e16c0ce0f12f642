package client

import (
	"bytes"
	"context"
	"fmt"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// An Error is the server's answer to an operation that it did not carry out.
type Error struct {
	Operation kmip.Operation
	Status    kmip.ResultStatus
	Reason    kmip.ResultReason
	Message   string // the server's own words; may be empty
}

// Error is the server's message, or the reason where it gave none.
func (e *Error) Error() string {
	switch {
	case e.Message != "":
		return fmt.Sprintf("%v: %s (%v)", e.Operation, e.Message, e.Reason)
	case e.Reason != 0:
		return fmt.Sprintf("%v: %v", e.Operation, e.Reason)
	}
	return fmt.Sprintf("%v: %v", e.Operation, e.Status)
}

// Is compares the reason, as any version spells it, with that of a kmip.Error without a message:
// errors.Is(err, kmip.ErrNotFound).
func (e *Error) Is(target error) bool {
	t, ok := target.(*kmip.Error)
	return ok && t.Message == "" && (t.Reason == e.Reason || t.Reason.At(ttlv.V1_4) == e.Reason)
}

// An Item is one operation of a batch.
type Item struct {
	Operation kmip.Operation
	Request   any // a pointer to a payload
	Response  any // a pointer to the payload that the answer is decoded into
	Err       error
}

// Do performs one operation. The strings and byte slices of the response belong to the caller.
func Do[Resp, Req any](ctx context.Context, c *Client, op kmip.Operation, request *Req) (*Resp, error) {
	item := Item{Operation: op, Request: request, Response: new(Resp)}
	if err := c.Batch(ctx, &item); err != nil {
		return nil, err
	}
	if item.Err != nil {
		return nil, item.Err
	}
	return item.Response.(*Resp), nil
}

// Batch performs operations with one message, in order; those behind one that failed are performed too. What each came
// to is in its Err: an *Error where the server refused. The error that Batch returns is about the message as a whole.
func (c *Client) Batch(ctx context.Context, items ...*Item) error {
	request, err := c.encode(items)
	if err != nil {
		return err
	}
	response, err := c.RoundTripRaw(ctx, request)
	clear(request) // there may be key material in it
	if err != nil {
		return err
	}
	var m kmip.ResponseMessage
	var d ttlv.Decoder
	d.Reset(c.config.Version, &c.config.Limits, true)
	if err := d.Unmarshal(response, ttlv.TagResponseMessage, &m); err != nil {
		return fmt.Errorf("reading the response: %w", err)
	}
	return c.answers(&m, items)
}

// encode makes the request message.
func (c *Client) encode(items []*Item) ([]byte, error) {
	size := int32(min(c.config.Limits.Size, 1<<31-1))
	m := kmip.RequestMessage{RequestHeader: kmip.RequestHeader{
		ProtocolVersion:     kmip.VersionOf(c.config.Version),
		MaximumResponseSize: &size,
		BatchCount:          int32(len(items)),
	}}
	if err := c.authenticate(&m.RequestHeader); err != nil {
		return nil, err
	}
	if len(items) > 1 {
		inOrder := true
		m.RequestHeader.BatchOrderOption = &inOrder
		m.RequestHeader.BatchErrorContinuationOption = kmip.BatchErrorContinuationOptionContinue
	}
	defer func() {
		for i := range m.BatchItem {
			clear(m.BatchItem[i].RequestPayload)
		}
	}()
	for i, x := range items {
		payload, err := ttlv.Append(nil, c.config.Version, ttlv.TagRequestPayload, x.Request)
		if err != nil {
			return nil, fmt.Errorf("encoding %v: %w", x.Operation, err)
		}
		b := kmip.RequestBatchItem{Operation: x.Operation, RequestPayload: payload}
		if len(items) > 1 {
			b.UniqueBatchItemID = batchItemID(i)
		}
		m.BatchItem = append(m.BatchItem, b)
	}
	return ttlv.Append(nil, c.config.Version, ttlv.TagRequestMessage, &m)
}

// authenticate adds the credentials.
func (c *Client) authenticate(h *kmip.RequestHeader) error {
	for i := range c.config.Credentials {
		raw, err := ttlv.Append(nil, c.config.Version, ttlv.TagCredential, &c.config.Credentials[i])
		if err != nil {
			return fmt.Errorf("encoding a credential: %w", err)
		}
		if h.Authentication == nil {
			h.Authentication = new(kmip.Authentication)
		}
		h.Authentication.Credential = append(h.Authentication.Credential, raw)
	}
	return nil
}

// batchItemID is the Unique Batch Item ID of item i.
func batchItemID(i int) []byte { return []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)} }

// answers gives every item its answer. A server that refuses the message as a whole answers with one item that names no
// operation.
func (c *Client) answers(m *kmip.ResponseMessage, items []*Item) error {
	v, ok := m.ResponseHeader.ProtocolVersion.Version()
	if !ok {
		p := m.ResponseHeader.ProtocolVersion
		return fmt.Errorf("the server answers in version %d.%d, which is not spoken here", p.ProtocolVersionMajor, p.ProtocolVersionMinor)
	}
	if len(m.BatchItem) == 1 && m.BatchItem[0].Operation == 0 && m.BatchItem[0].ResultStatus != kmip.ResultStatusSuccess {
		return refused(items[0].Operation, &m.BatchItem[0])
	}
	if len(m.BatchItem) != len(items) {
		return fmt.Errorf("the server answers with %d items to %d operations", len(m.BatchItem), len(items))
	}
	for i, x := range items {
		x.Err = c.answer(v, &m.BatchItem[i], batchItemID(i), x)
	}
	return nil
}

// answer decodes the answer to one operation.
func (c *Client) answer(v ttlv.Version, b *kmip.ResponseBatchItem, id []byte, x *Item) error {
	if b.ResultStatus != kmip.ResultStatusSuccess {
		return refused(x.Operation, b)
	}
	if b.Operation != x.Operation {
		return fmt.Errorf("the server answers %v with %v", x.Operation, b.Operation)
	}
	if len(b.UniqueBatchItemID) > 0 && !bytes.Equal(b.UniqueBatchItemID, id) {
		return fmt.Errorf("the server answers %v under the Unique Batch Item ID %x, must be %x", x.Operation, b.UniqueBatchItemID, id)
	}
	if len(b.ResponsePayload) == 0 {
		return fmt.Errorf("the server answers %v without a payload", x.Operation)
	}
	var d ttlv.Decoder
	d.Reset(v, &c.config.Limits, true)
	if err := d.Unmarshal(b.ResponsePayload, ttlv.TagResponsePayload, x.Response); err != nil {
		return fmt.Errorf("reading the answer to %v: %w", x.Operation, err)
	}
	return nil
}

func refused(op kmip.Operation, b *kmip.ResponseBatchItem) error {
	return &Error{Operation: op, Status: b.ResultStatus, Reason: b.ResultReason, Message: b.ResultMessage}
}
