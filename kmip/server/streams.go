package server

import (
	"crypto/rand"
	"reflect"
	"sync"
	"time"

	"strongroom/kmip"
)

// There are so many operations in parts under way at most, which together hold so many bytes: that one connection began, or that
// one identity began over HTTPS or on connections that have ended.
const (
	mostStreams   = 16
	mostCollected = 1 << 20
)

// streams are the operations in parts of one identity that are under way. Their parts may come over any connection. It is safe for
// concurrent use.
type streams struct {
	idle time.Duration // after which a stream without a new part ends

	mu   sync.Mutex
	all  map[string]*stream // by Correlation Value
	left allowance          // of streams over HTTPS, and of those whose connection has ended
}

// An allowance is what the streams that one connection began use, under the lock of streams.
type allowance struct{ streams, size int }

// A stream is an operation in parts that is under way. KMIP 2.1 §6.1.17.
type stream struct {
	operation kmip.Operation
	uid       string    // of the object; "" for Hash
	whole     any       // the request that the parts so far make
	size      int       // bytes that it holds
	given     int       // bytes of ciphertext that the client has
	chain     *chaining // nil if the parts are collected

	of    *allowance
	busy  bool // a part is being worked on
	timer *time.Timer
}

// begin begins a stream, whose first part is being worked on.
func (s *streams) begin(of *allowance, op kmip.Operation, uid string, whole any) (string, *stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of.streams >= mostStreams {
		return "", nil, kmip.Errorf(kmip.ResultReasonGeneralFailure, "more than %d operations in parts are under way", mostStreams)
	}
	if s.all == nil {
		s.all = map[string]*stream{}
	}
	random := make([]byte, 16)
	rand.Read(random) // never fails: it ends the program instead
	correlation := string(random)
	x := &stream{operation: op, uid: uid, whole: whole, of: of, busy: true}
	x.timer = time.AfterFunc(s.idle, func() { s.expire(correlation, x) })
	s.all[correlation] = x
	of.streams++
	return correlation, x, nil
}

// take is the stream that a later part belongs to, which is being worked on then. Its parts come one after the other: the next
// one is not taken before the last was answered.
func (s *streams) take(op kmip.Operation, uid, correlation string) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.all[correlation]
	if x == nil || x.busy || x.operation != op || x.uid != uid {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidCorrelationValue, "no %v of that object with this Correlation Value is under way", op)
	}
	x.busy = true
	return x, nil
}

// reserve lets a stream hold n bytes more.
func (s *streams) reserve(x *stream, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.of.size+n > mostCollected {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the operations in parts that are under way have at most %d bytes together", mostCollected)
	}
	x.of.size += n
	x.size += n
	return nil
}

// release lets a stream of a chain hold no more than what its next part begins with.
func (s *streams) release(x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := reflect.ValueOf(x.whole).Elem().FieldByName("Data").Len()
	x.of.size -= x.size - held
	x.size = held
}

// rest leaves a stream to wait for its next part.
func (s *streams) rest(x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.busy = false
	x.timer.Reset(s.idle)
}

// end ends a stream.
func (s *streams) end(correlation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(correlation)
}

// expire ends a stream that has waited too long.
func (s *streams) expire(correlation string, x *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[correlation] == x && !x.busy {
		s.drop(correlation)
	}
}

// leave ends the allowance of a connection that has ended. Its streams wait for parts over another one, as far as there is room.
func (s *streams) leave(of *allowance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for correlation, x := range s.all {
		switch {
		case x.of != of:
		case !x.busy && (s.left.streams >= mostStreams || s.left.size+x.size > mostCollected):
			s.drop(correlation)
		default:
			x.of = &s.left
			s.left.streams, s.left.size = s.left.streams+1, s.left.size+x.size
		}
	}
}

// endAll ends every stream. None is worked on any more.
func (s *streams) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for correlation := range s.all {
		s.drop(correlation)
	}
}

// drop ends a stream; the lock is held.
func (s *streams) drop(correlation string) {
	x := s.all[correlation]
	if x == nil {
		return
	}
	x.timer.Stop()
	x.of.streams, x.of.size = x.of.streams-1, x.of.size-x.size
	x.wipe()
	delete(s.all, correlation)
}

// wipe clears what a stream has collected.
func (x *stream) wipe() {
	v := reflect.ValueOf(x.whole).Elem()
	for i := range v.NumField() {
		if b, ok := v.Field(i).Interface().([]byte); ok {
			clear(b)
		}
	}
}
