package soft

import (
	"io"
	"sync"

	"strongroom/kmip"
)

// An ivRule says what a mode's IV is like where it is made here: how long, in bytes.
type ivRule struct {
	name        string
	usual       int // without an IV Length
	least, most int
}

// ivFields are the parameters of a mode whose IV has one length and no parts; countedFields those of one whose IV must only
// never come twice, so that it may have a fixed and an invocation field (KMIP 2.1 §4.16).
const (
	ivFields      = fieldRandomIV | fieldIVLength
	countedFields = ivFields | fieldFixedFieldLength | fieldInvocationFieldLength
)

// size is the length of the IV to make.
func (i *ivRule) size(p *kmip.CryptographicParameters) (int, error) {
	if p.IVLength == nil {
		return i.usual, nil
	}
	bits := int(*p.IVLength)
	switch {
	case bits%8 != 0 || bits < 8*i.least || bits > 8*i.most:
		return 0, badParameters("the server makes IVs of %d to %d bits for %s, not of %d", 8*i.least, 8*i.most, i.name, bits)
	}
	return bits / 8, nil
}

// new gives the IV for an encryption and an empty buffer with room for so many bytes. The client's IV is used as it is;
// without one, it is made, at the front of the same allocation.
func (i *ivRule) new(n *invocations, p *kmip.CryptographicParameters, r *kmip.EncryptRequest, room int) (iv, buf []byte, err error) {
	if iv, err := brought(p, r); iv != nil || err != nil {
		return iv, make([]byte, 0, room), err
	}
	size, err := i.size(p)
	if err != nil {
		return nil, nil, err
	}
	buf = make([]byte, size, size+room)
	if err := n.make(buf, p); err != nil {
		return nil, nil, err
	}
	return buf[:size:size], buf[size:], nil
}

// block is new for a mode that takes IVs of the usual length alone.
func (i *ivRule) block(n *invocations, p *kmip.CryptographicParameters, r *kmip.EncryptRequest, room int) (iv, buf []byte, err error) {
	iv, buf, err = i.new(n, p, r, room)
	if err == nil && len(iv) != i.usual {
		err = i.refuse(iv)
	}
	return iv, buf, err
}

// check refuses what block does of an IV for decryption.
func (i *ivRule) check(p *kmip.CryptographicParameters, iv []byte) error {
	if err := checkIV(p, iv); err != nil || len(iv) == i.usual {
		return err
	}
	return i.refuse(iv)
}

func (i *ivRule) refuse(iv []byte) error {
	return invalid("%s takes an IV of %d bytes, not %d", i.name, i.usual, len(iv))
}

// brought is the IV of a request, nil if one is to be made. With Random IV the request must not have one; without, it must
// where Random IV is false.
func brought(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) ([]byte, error) {
	switch {
	case len(r.IVCounterNonce) > 0:
		if q := r.CryptographicParameters; q != nil && isTrue(q.RandomIV) {
			return nil, badParameters("the request has an IV and asks for a random one")
		}
		return r.IVCounterNonce, checkIV(p, r.IVCounterNonce)
	case p.RandomIV != nil && !*p.RandomIV:
		return nil, errMissingIV
	}
	return nil, nil
}

// fresh is the IV to answer: the one made here, none if the request has its own.
func fresh(r *kmip.EncryptRequest, iv []byte) []byte {
	if len(r.IVCounterNonce) > 0 {
		return nil
	}
	return iv
}

// checkIV refuses an IV that is missing, or not as long as the parameters say.
func checkIV(p *kmip.CryptographicParameters, iv []byte) error {
	switch {
	case len(iv) == 0:
		return errMissingIV
	case p.IVLength != nil && int(*p.IVLength) != 8*len(iv):
		return badParameters("the IV has %d bits, IV Length says %d", 8*len(iv), *p.IVLength)
	}
	_, _, err := parts(p, len(iv))
	return err
}

// parts is the lengths in bytes of the fields of an IV of size bytes: what the parameters say, and where they name one field
// the rest for the other. Without either there are none. A counter of the mode CTR may stand behind them.
func parts(p *kmip.CryptographicParameters, size int) (fixed, invocation int, err error) {
	if p.FixedFieldLength == nil && p.InvocationFieldLength == nil {
		return 0, 0, nil
	}
	f, i, all := length(p.FixedFieldLength), length(p.InvocationFieldLength), 8*size
	switch {
	case f < 0 || i < 0 || f%8 != 0 || i%8 != 0:
		return 0, 0, badParameters("the Fixed Field Length and the Invocation Field Length are multiples of 8, not %d and %d", f, i)
	case p.FixedFieldLength == nil:
		f = all - i
	case p.InvocationFieldLength == nil:
		i = all - f
	}
	if f < 0 || i < 0 || f+i != all && f+i+length(p.CounterLength) != all {
		return 0, 0, badParameters("an IV of %d bits is not a fixed field of %d and an invocation field of %d", all, f, i)
	}
	return f / 8, i / 8, nil
}

// length is a length in bits, 0 without.
func length(bits *int32) int {
	if bits == nil {
		return 0
	}
	return int(*bits)
}

// invocations makes the IVs of one opened key. It is safe for concurrent use.
type invocations struct {
	random io.Reader

	mu   sync.Mutex
	last map[int][]byte // by length in bytes: the last IV with an invocation field
	made uint64         // IVs with an invocation field since the first
}

const (
	leastInvocation = 4       // bytes, of an invocation field that is counted here
	mostInvocations = 1 << 32 // SP 800-38D §8.3
)

// make fills iv with random bytes. With an invocation field only the first is random, as long as the key stays in memory: the
// next ones keep the fixed field, and count the invocation field on. As fewer are made than the shortest invocation field
// holds, none comes twice, however requests set the lengths. KMIP 2.1 §6.1.17: no IV is stored, so that a key that is opened
// again begins with another random one.
func (n *invocations) make(iv []byte, p *kmip.CryptographicParameters) error {
	fixed, invocation, err := parts(p, len(iv))
	switch {
	case err != nil:
		return err
	case fixed == 0 && invocation == 0:
		_, err := io.ReadFull(n.random, iv)
		return err
	case invocation < leastInvocation:
		return badParameters("an IV that the server makes has an invocation field of at least %d bits, not %d", 8*leastInvocation, 8*invocation)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.made >= mostInvocations {
		n.last, n.made = nil, 0
	}
	if n.last == nil {
		n.last = map[int][]byte{}
	}
	n.made++
	last := n.last[len(iv)]
	if last == nil {
		last = make([]byte, len(iv))
		if _, err := io.ReadFull(n.random, last); err != nil {
			return err
		}
		n.last[len(iv)] = last
	} else {
		increment(last[len(last)-invocation:])
	}
	copy(iv, last)
	return nil
}

// increment adds 1 to a big-endian number, and begins again at 0 where it is full.
func increment(b []byte) {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return
		}
	}
}
