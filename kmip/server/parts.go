package server

import (
	"reflect"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A part is what a request says of the operation in parts that it belongs to.
type part struct {
	correlation []byte
	init, final bool
}

// partOf is the part that a request is. KMIP 1.3 and later; a request of its own has none of the three.
func partOf(request any) part {
	switch q := request.(type) {
	case *kmip.EncryptRequest:
		return part{q.CorrelationValue, isTrue(q.InitIndicator), isTrue(q.FinalIndicator)}
	case *kmip.DecryptRequest:
		return part{q.CorrelationValue, isTrue(q.InitIndicator), isTrue(q.FinalIndicator)}
	case *kmip.SignRequest:
		return part{q.CorrelationValue, isTrue(q.InitIndicator), isTrue(q.FinalIndicator)}
	case *kmip.SignatureVerifyRequest:
		return part{q.CorrelationValue, isTrue(q.InitIndicator), isTrue(q.FinalIndicator)}
	case *kmip.MACRequest:
		return part{q.CorrelationValue, isTrue(q.InitIndicator), isTrue(q.FinalIndicator)}
	case *kmip.MACVerifyRequest:
		return part{q.CorrelationValue, isTrue(q.InitIndicator), isTrue(q.FinalIndicator)}
	case *kmip.HashRequest:
		return part{q.CorrelationValue, isTrue(q.InitIndicator), isTrue(q.FinalIndicator)}
	}
	return part{}
}

func isTrue(b *bool) bool { return b != nil && *b }

// correlate names the stream in a response.
func correlate(response any, correlation []byte) {
	reflect.ValueOf(response).Elem().FieldByName("CorrelationValue").SetBytes(correlation)
}

// inParts performs an operation whose request may be a part of it, with a cipher whose blocks have so many bytes. Parts are
// collected until the last one; of a cipher whose output does not depend on what is yet to come, the client gets what there is.
func inParts[Q, R any](r *Request, op kmip.Operation, uid string, size int, q *Q, compute func(*Q) (*R, error)) (*R, error) {
	p := partOf(q)
	if len(p.correlation) == 0 && !p.init && !p.final {
		return compute(q)
	}
	if r.batch.job != nil {
		return nil, kmip.Errorf(kmip.ResultReasonFeatureNotSupported, "an operation in parts is not performed asynchronously: its parts have an order")
	}
	all, of := r.underWay()
	correlation, s, err := all.part(of, op, uid, p, new(Q))
	if err != nil {
		return nil, err
	}
	more := false
	defer func() {
		if more {
			all.rest(s)
		} else {
			all.end(correlation)
		}
	}()
	response, err := collected(all, s, q, p, size, compute)
	if more = err == nil && !p.final; more {
		correlate(response, []byte(correlation))
	}
	return response, err
}

// collected adds a part to its stream, and answers it.
func collected[Q, R any](all *streams, s *stream, q *Q, p part, size int, compute func(*Q) (*R, error)) (*R, error) {
	if err := all.collect(s, q); err != nil {
		return nil, err
	}
	if p.init && !p.final {
		s.chain = chained(s.whole, size)
	}
	if s.chain != nil {
		response, err := s.chain.advance(s.whole, p.final, compute)
		all.release(s)
		if err != nil {
			return nil, err
		}
		return response.(*R), nil
	}
	final := p.final
	if !final && !s.flows() {
		return new(R), nil
	}
	response, err := compute(s.whole.(*Q))
	if err != nil {
		return nil, err
	}
	if e, ok := any(response).(*kmip.EncryptResponse); ok && final {
		e.Data = e.Data[s.given:]
	} else if ok {
		s.give(e)
	}
	return response, nil
}

// part is the stream that a part belongs to, and its name: a new one for the first part.
func (s *streams) part(of *allowance, op kmip.Operation, uid string, p part, whole any) (string, *stream, error) {
	switch correlation := string(p.correlation); {
	case !p.init:
		x, err := s.take(op, uid, correlation)
		return correlation, x, err
	case correlation != "":
		return "", nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the first part of an operation has no Correlation Value")
	}
	return s.begin(of, op, uid, whole)
}

// collect adds a part to a stream: its data to those before, and what else it has where the parts before did not have it.
func (s *streams) collect(x *stream, q any) error {
	own, err := owned(q)
	if err != nil {
		return err
	}
	from, to := reflect.ValueOf(own).Elem(), reflect.ValueOf(x.whole).Elem()
	for i := range from.NumField() {
		name, f, t := from.Type().Field(i).Name, from.Field(i), to.Field(i)
		switch {
		case name == "CorrelationValue" || name == "InitIndicator" || name == "FinalIndicator" || name == "UniqueIdentifier" || f.IsZero():
		case name == "Data" || name == "AuthenticatedEncryptionAdditionalData":
			if err := s.reserve(x, f.Len()); err != nil {
				return err
			}
			grown := append(t.Bytes(), f.Bytes()...)
			if old := t.Bytes(); cap(old) > 0 && &old[:1][0] != &grown[0] {
				clear(old)
			}
			clear(f.Bytes())
			t.SetBytes(grown)
		case t.IsZero():
			t.Set(f)
		case !reflect.DeepEqual(t.Interface(), f.Interface()):
			return kmip.Errorf(kmip.ResultReasonInvalidField, "the parts of an operation have different values of %s", name)
		}
	}
	return nil
}

// owned is a copy of a request that shares nothing with the connection's buffer and payloads.
func owned(q any) (any, error) {
	data, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestPayload, q)
	if err != nil {
		return nil, err
	}
	own := reflect.New(reflect.TypeOf(q).Elem()).Interface()
	return own, ttlv.Unmarshal(data, ttlv.V2_1, ttlv.TagRequestPayload, own, nil)
}

// flows says whether a part is answered with ciphertext: if the mode of encryption, and the counter that the client gave, let it
// be. So that it takes no more than twice the work, there is as much data again as the client has of it.
func (s *stream) flows() bool {
	q, ok := s.whole.(*kmip.EncryptRequest)
	if !ok || q.CryptographicParameters == nil || len(q.IVCounterNonce) == 0 || len(q.Data) < 2*s.given {
		return false
	}
	switch q.CryptographicParameters.BlockCipherMode {
	case kmip.BlockCipherModeCTR, kmip.BlockCipherModeGCM, kmip.BlockCipherModeAEAD:
		return true
	}
	return false
}

// give leaves in an answer what the client does not have yet. The tag is for the last part.
func (s *stream) give(e *kmip.EncryptResponse) {
	all := len(e.Data)
	e.Data, e.AuthenticatedEncryptionTag = e.Data[s.given:], nil
	s.given = all
}
