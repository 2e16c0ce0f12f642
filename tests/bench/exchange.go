package main

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// An exchange is a request as it is sent again and again, and an answer of the server to it. The answers that follow are
// not decoded, which would cost the client more than the server: each must have the length of that one and every Result
// Status where it stands there.
type exchange struct {
	request, answer []byte
	operations      int   // of one request
	statuses        []int // where the Result Status items of answer begin
}

// success is a Result Status item that says Success: tag, type, length, value and padding.
var success = []byte{0x42, 0x00, 0x7F, byte(ttlv.TypeEnumeration), 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0}

// newExchange takes an answer that was looked at in full.
func newExchange(request, answer []byte, operations int) (*exchange, error) {
	x := &exchange{request: request, answer: answer, operations: operations}
	for at := 0; ; {
		n := bytes.Index(answer[at:], success)
		if n < 0 {
			break
		}
		x.statuses = append(x.statuses, at+n)
		at += n + len(success)
	}
	if len(x.statuses) != operations {
		return nil, fmt.Errorf("the answer has %d successful items, must be %d", len(x.statuses), operations)
	}
	return x, nil
}

// check refuses an answer that is not one of success to every operation.
func (x *exchange) check(answer []byte) error {
	if len(answer) != len(x.answer) {
		return fmt.Errorf("an answer of %d bytes, must be %d: %w", len(answer), len(x.answer), refusal(answer))
	}
	for _, at := range x.statuses {
		if !bytes.Equal(answer[at:at+len(success)], success) {
			return fmt.Errorf("an operation was not carried out: %w", refusal(answer))
		}
	}
	return nil
}

// refusal is what an answer says in its first item that failed.
func refusal(answer []byte) error {
	items, err := itemsOf(answer)
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.ResultStatus != kmip.ResultStatusSuccess {
			return fmt.Errorf("%v: %v: %s", it.Operation, it.ResultReason, it.ResultMessage)
		}
	}
	return errors.New("the server answers success in another form")
}

// itemsOf decodes an answer.
func itemsOf(answer []byte) ([]kmip.ResponseBatchItem, error) {
	var m kmip.ResponseMessage
	if err := ttlv.Unmarshal(answer, ttlv.V2_1, ttlv.TagResponseMessage, &m, nil); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return m.BatchItem, nil
}

// message encodes one request, with the same payload for each of its operations.
func message(op kmip.Operation, payload any, operations int) ([]byte, error) {
	raw, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestPayload, payload)
	if err != nil {
		return nil, fmt.Errorf("encoding %v: %w", op, err)
	}
	m := kmip.RequestMessage{RequestHeader: kmip.RequestHeader{
		ProtocolVersion: kmip.VersionOf(ttlv.V2_1),
		BatchCount:      int32(operations),
	}}
	for i := range operations {
		item := kmip.RequestBatchItem{Operation: op, RequestPayload: raw}
		if operations > 1 {
			item.UniqueBatchItemID = []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
		}
		m.BatchItem = append(m.BatchItem, item)
	}
	return ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestMessage, &m)
}
