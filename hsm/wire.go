package hsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// What the server and a worker process say to each other over their socket. A message is its length (4 bytes, big-endian, of
// what follows), the call's number (4), and then for a call its function (1) and arguments, for an answer its outcome and
// results. Numbers are 8 bytes big-endian; bytes are their length and themselves; a template is its count, then type and value of
// each. Both ends are one binary, so nothing here has a version.

// longestMessage is more than any call needs: KMIP messages are bounded long before.
const longestMessage = 64 << 20

// A function names a method of cryptoki in a call.
type function byte

const (
	fnInitialize function = iota + 1
	fnFinalize
	fnInfo
	fnSlots
	fnTokenInfo
	fnMechanisms
	fnOpenSession
	fnCloseSession
	fnState
	fnLogin
	fnRandom
	fnDestroy
	fnCreate
	fnGenerate
	fnGeneratePair
	fnFind
	fnAttributes
	fnEncrypt
	fnDecrypt
	fnSign
	fnWrap
	fnUnwrap
	fnSeedRandom
	fnCalls
)

// How a call ended.
const (
	outcomeGood   = 0
	outcomeCK     = 1 // a return value of the module, and whether the operation had begun
	outcomeFailed = 2 // something else, in words
)

// A writing is a message that is being put together.
type writing []byte

// begin starts a message; end fills in its length.
func begin(number uint32) writing {
	w := make(writing, 0, 256)
	w = append(w, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(w, number)
}

func (w writing) end() []byte {
	binary.BigEndian.PutUint32(w, uint32(len(w)-4))
	return w
}

func (w *writing) uint(n uint) { *w = binary.BigEndian.AppendUint64(*w, uint64(n)) }

func (w *writing) bytes(b []byte) {
	w.uint(uint(len(b)))
	*w = append(*w, b...)
}

func (w *writing) template(t template) {
	w.uint(uint(len(t)))
	for _, a := range t {
		w.uint(a.Type)
		w.bytes(a.Value)
	}
}

func (w *writing) mechanism(m *mechanism) {
	for _, n := range []uint{m.Type, uint(m.Parameter), m.Hash, m.MGF, m.Salt} {
		w.uint(n)
	}
	w.bytes(m.IV)
	w.bytes(m.Extra)
}

func (w *writing) error(err error) {
	var ck ckError
	switch {
	case err == nil:
		*w = append(*w, outcomeGood)
	case errors.As(err, &ck):
		*w = append(*w, outcomeCK)
		w.uint(ck.rv)
		*w = append(*w, flag(ck.begun)...)
	default:
		*w = append(*w, outcomeFailed)
		w.bytes([]byte(err.Error()))
	}
}

// errTorn is a message that ends too early; between two ends of one binary it is a fault of the program.
var errTorn = errors.New("a message between the server and its worker process is torn")

// A reading is a message that is taken apart. What is read behind its end is zero, and torn says so.
type reading struct {
	b    []byte
	torn bool
}

func (r *reading) take(n int) []byte {
	if r.torn || n < 0 || n > len(r.b) {
		r.torn = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reading) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reading) uint() uint {
	if b := r.take(8); b != nil {
		return uint(binary.BigEndian.Uint64(b))
	}
	return 0
}

// count is a number of things that are at least size bytes each.
func (r *reading) count(size int) int {
	n := r.uint()
	if n > uint(len(r.b)/size) {
		r.torn = true
		return 0
	}
	return int(n)
}

// room is how many bytes an answer may have.
func (r *reading) room() int {
	n := r.uint()
	if n > longestMessage {
		r.torn = true
		return 0
	}
	return int(n)
}

// bytes borrows from the message.
func (r *reading) bytes() []byte { return r.take(r.count(1)) }

func (r *reading) uints() []uint {
	all := make([]uint, r.count(8))
	for i := range all {
		all[i] = r.uint()
	}
	return all
}

func (r *reading) template() template {
	t := make(template, r.count(16))
	for i := range t {
		t[i] = attribute{r.uint(), r.bytes()}
	}
	return t
}

func (r *reading) mechanism() *mechanism {
	m := &mechanism{Type: r.uint(), Parameter: parameter(r.uint()), Hash: r.uint(), MGF: r.uint(), Salt: r.uint()}
	m.IV, m.Extra = r.bytes(), r.bytes()
	if m.Parameter < 0 || int(m.Parameter) >= len(kinds) {
		r.torn = true
	}
	return m
}

func (r *reading) error() error {
	switch r.byte() {
	case outcomeGood:
		return nil
	case outcomeCK:
		return ckError{rv: r.uint(), begun: r.byte() != 0}
	default:
		return errors.New(string(r.bytes()))
	}
}

// A mailbox reads messages from a socket, as many at once as are there. What was read of it is wiped.
type mailbox struct {
	from       io.Reader
	buffer     []byte
	first, end int // of the bytes that were read and not yet taken
}

func newMailbox(from io.Reader) *mailbox {
	return &mailbox{from: from, buffer: make([]byte, largestKept)}
}

// next reads one message: its number and what follows.
func (m *mailbox) next() (number uint32, r *reading, err error) {
	var head [8]byte
	if err := m.fill(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 4 || n > longestMessage {
		return 0, nil, fmt.Errorf("%w: %d bytes", errTorn, n)
	}
	b := make([]byte, n-4)
	if err := m.fill(b); errors.Is(err, io.EOF) {
		return 0, nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(head[4:]), &reading{b: b}, nil
}

// fill reads all of b: io.EOF if there is nothing any more.
func (m *mailbox) fill(b []byte) error {
	taken := 0
	for taken < len(b) {
		if m.first == m.end {
			if len(b)-taken >= len(m.buffer) {
				_, err := io.ReadFull(m.from, b[taken:])
				return err
			}
			n, err := m.from.Read(m.buffer)
			if m.first, m.end = 0, n; n == 0 && err != nil {
				if taken > 0 && errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		n := copy(b[taken:], m.buffer[m.first:m.end])
		clear(m.buffer[m.first : m.first+n])
		taken, m.first = taken+n, m.first+n
	}
	return nil
}

// A postbox writes the messages of many to one socket: who finds it busy leaves the message to the one who writes.
type postbox struct {
	to io.Writer

	mu             sync.Mutex
	waiting, spare []byte
	writing        bool
	err            error
}

// send writes a message, or leaves it to be written, and wipes it. An error is one of the socket, for good.
func (p *postbox) send(message []byte) error {
	defer clear(message)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, message...)
	if p.writing || p.err != nil {
		return p.err
	}
	p.writing = true
	for len(p.waiting) > 0 && p.err == nil {
		b := p.waiting
		p.waiting, p.spare = p.spare[:0], nil
		p.mu.Unlock()
		_, err := p.to.Write(b)
		clear(b)
		p.mu.Lock()
		p.err, p.spare = err, b
		if cap(b) > largestKept {
			p.spare = nil
		}
	}
	p.writing = false
	return p.err
}
