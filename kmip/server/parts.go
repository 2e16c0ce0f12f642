package server

import (
	"crypto/rand"
	"reflect"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A connection has so many operations in parts under way at most, which together hold so many bytes.
const (
	mostStreams   = 16
	mostCollected = 1 << 20
)

// A stream is an operation in parts that is under way: it belongs to a connection, and ends with it. KMIP 2.1 §6.1.17.
type stream struct {
	operation kmip.Operation
	uid       string // of the object; "" for Hash
	whole     any    // the request that the parts so far make
	size      int    // bytes that it holds
	given     int    // bytes of ciphertext that the client has
}

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

// inParts performs an operation whose request may be a part of it. Parts are collected until the last one; of a cipher whose
// output does not depend on what is yet to come, the client gets what there is.
func inParts[Q, R any](r *Request, op kmip.Operation, uid string, q *Q, compute func(*Q) (*R, error)) (*R, error) {
	p := partOf(q)
	if len(p.correlation) == 0 && !p.init && !p.final {
		return compute(q)
	}
	correlation, s, err := r.stream(op, uid, p, new(Q))
	if err != nil {
		return nil, err
	}
	if err := r.collect(s, q); err != nil {
		r.drop(correlation)
		return nil, err
	}
	whole := s.whole.(*Q)
	if p.final {
		defer r.drop(correlation)
		response, err := compute(whole)
		if e, ok := any(response).(*kmip.EncryptResponse); ok && err == nil {
			e.Data = e.Data[s.given:]
		}
		return response, err
	}
	response := new(R)
	if s.flows() {
		if response, err = compute(whole); err != nil {
			r.drop(correlation)
			return nil, err
		}
		s.give(any(response).(*kmip.EncryptResponse))
	}
	correlate(response, []byte(correlation))
	return response, nil
}

// stream is the stream that a part belongs to, and its name: a new one for the first part.
func (r *Request) stream(op kmip.Operation, uid string, p part, whole any) (string, *stream, error) {
	if !p.init {
		s := r.streams[string(p.correlation)]
		if s == nil || s.operation != op || s.uid != uid {
			return "", nil, kmip.Errorf(kmip.ResultReasonInvalidCorrelationValue, "no %v of that object with this Correlation Value is under way on this connection", op)
		}
		return string(p.correlation), s, nil
	}
	if len(p.correlation) > 0 {
		return "", nil, kmip.Errorf(kmip.ResultReasonInvalidField, "the first part of an operation has no Correlation Value")
	}
	if len(r.streams) >= mostStreams {
		return "", nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "more than %d operations in parts are under way on this connection", mostStreams)
	}
	if r.streams == nil {
		r.streams = map[string]*stream{}
	}
	s := &stream{operation: op, uid: uid, whole: whole}
	correlation := make([]byte, 16)
	rand.Read(correlation) // never fails: it ends the program instead
	r.streams[string(correlation)] = s
	return string(correlation), s, nil
}

// collect adds a part to a stream: its data to those before, and what else it has where the parts before did not have it.
func (r *Request) collect(s *stream, q any) error {
	size := 0
	for _, x := range r.streams {
		size += x.size
	}
	own, err := owned(q)
	if err != nil {
		return err
	}
	from, to := reflect.ValueOf(own).Elem(), reflect.ValueOf(s.whole).Elem()
	for i := range from.NumField() {
		name, f, t := from.Type().Field(i).Name, from.Field(i), to.Field(i)
		switch {
		case name == "CorrelationValue" || name == "InitIndicator" || name == "FinalIndicator" || name == "UniqueIdentifier" || f.IsZero():
		case name == "Data" || name == "AuthenticatedEncryptionAdditionalData":
			s.size += f.Len()
			if size += f.Len(); size > mostCollected {
				return kmip.Errorf(kmip.ResultReasonInvalidField, "the operations in parts on one connection have at most %d bytes together", mostCollected)
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

// drop ends a stream.
func (c *conn) drop(correlation string) {
	if s := c.streams[correlation]; s != nil {
		s.wipe()
		delete(c.streams, correlation)
	}
}

// wipe clears what a stream has collected.
func (s *stream) wipe() {
	v := reflect.ValueOf(s.whole).Elem()
	for i := range v.NumField() {
		if b, ok := v.Field(i).Interface().([]byte); ok {
			clear(b)
		}
	}
}
