package main

import (
	"errors"
	"testing"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A requestReader decodes requests as the server does: header, batch items and payloads into structures used before.
type requestReader struct {
	decoder ttlv.Decoder
	header  kmip.RequestHeader
	item    kmip.RequestBatchItem
	payload kmip.EncryptRequest
}

func (r *requestReader) read(message []byte) error {
	r.decoder.Reset(ttlv.V2_1, nil, false)
	whole, err := r.decoder.Open(message)
	if err != nil {
		return err
	}
	children, err := r.decoder.Children(whole)
	if err != nil {
		return err
	}
	first, ok := children.Next()
	if !ok {
		return errors.New("the request has no header")
	}
	if err := r.decoder.Value(first, &r.header); err != nil {
		return err
	}
	for {
		it, ok := children.Next()
		if !ok {
			return children.Err()
		}
		if err := r.decoder.Value(it, &r.item); err != nil {
			return err
		}
		if err := r.decoder.Unmarshal(r.item.RequestPayload, ttlv.TagRequestPayload, &r.payload); err != nil {
			return err
		}
	}
}

// measureDecode measures how long the decoding of a request takes.
func measureDecode(request []byte) (*row, error) {
	r := &row{Unit: "ns"}
	result, err := quietly(r, func() (testing.BenchmarkResult, error) {
		var failure error
		result := testing.Benchmark(func(t *testing.B) {
			t.ReportAllocs()
			var r requestReader
			for t.Loop() {
				if failure = r.read(request); failure != nil {
					return
				}
			}
		})
		return result, failure
	})
	if err != nil {
		return nil, err
	}
	allocations := result.AllocsPerOp()
	r.Figure, r.Allocations = float64(result.T.Nanoseconds())/float64(result.N), &allocations
	return r, nil
}
