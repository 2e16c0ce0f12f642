package soft

import (
	"crypto/cipher"
	"encoding/binary"

	"strongroom/kmip"
)

// A feedbackMode turns a block cipher into a stream cipher, and takes a block as its IV (SP 800-38A §6.3, §6.4). There is nothing
// to pad.
type feedbackMode struct {
	name                 string
	encrypter, decrypter func(cipher.Block, []byte) cipher.Stream
}

// The standard library's, which are deprecated because they authenticate nothing.
var (
	//lint:ignore SA1019 CFB with segments of a block: CFB-128 of AES, CFB-64 of 3DES
	cfb = feedbackMode{"CFB", cipher.NewCFBEncrypter, cipher.NewCFBDecrypter}
	//lint:ignore SA1019 as above
	ofb = feedbackMode{"OFB", cipher.NewOFB, cipher.NewOFB}
)

func (m *feedbackMode) rule(k *blockKey) *ivRule {
	size := k.block.BlockSize()
	return &ivRule{m.name, size, size, size}
}

func (m *feedbackMode) check(k *blockKey, p *kmip.CryptographicParameters, additional, tag []byte) error {
	if p.PaddingMethod > kmip.PaddingMethodNone {
		return badParameters("%s takes no padding", m.name)
	}
	return k.plainMode(m.name, p, fieldBlockCipherMode|fieldPaddingMethod|ivFields, additional, tag)
}

func (m *feedbackMode) encrypt(k *blockKey, p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := m.check(k, p, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	iv, buf, err := m.rule(k).block(&k.ivs, p, r, len(r.Data))
	if err != nil {
		return nil, err
	}
	buf = buf[:len(r.Data)]
	m.encrypter(k.block, iv).XORKeyStream(buf, r.Data)
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: buf, IVCounterNonce: fresh(r, iv)}, nil
}

func (m *feedbackMode) decrypt(k *blockKey, p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := m.check(k, p, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag); err != nil {
		return nil, err
	}
	if err := m.rule(k).check(p, r.IVCounterNonce); err != nil {
		return nil, err
	}
	buf := make([]byte, len(r.Data))
	m.decrypter(k.block, r.IVCounterNonce).XORKeyStream(buf, r.Data)
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: buf}, nil
}

// A counterBlock is where CTR begins: a block whose last bytes are the counter (SP 800-38A Appendix B).
type counterBlock struct {
	block []byte
	size  int // bytes, of the counter
}

// counter reads where CTR begins. An IV of a block is the first block itself. A shorter one is the part before the counter, which
// begins with the Initial Counter Value. The counter is as long as Counter Length says; without, it is what a shorter IV leaves of
// the block, or all of it.
func (k *blockKey) counter(p *kmip.CryptographicParameters, iv []byte) (*counterBlock, error) {
	size := k.block.BlockSize()
	c := &counterBlock{size: size}
	switch {
	case p.CounterLength != nil:
		if n := int(*p.CounterLength); n%8 != 0 || n < 8 || n > 8*size {
			return nil, badParameters("the Counter Length of CTR with %s is a multiple of 8 up to %d bits, not %d", k.name, 8*size, n)
		}
		c.size = int(*p.CounterLength) / 8
	case len(iv) < size:
		c.size = size - len(iv)
	}
	switch start := p.InitialCounterValue; {
	case len(iv) != size && len(iv) != size-c.size || len(iv) == 0:
		return nil, invalid("CTR takes an IV of %d bytes, or of what the counter leaves of them, not of %d", size, len(iv))
	case len(iv) < size && start == nil:
		return nil, badParameters("CTR with an IV of %d bytes needs the Initial Counter Value", len(iv))
	case start == nil:
		c.block = clone(iv)
	case *start < 0 || c.size < 4 && *start>>(8*c.size) != 0:
		return nil, badParameters("the Initial Counter Value %d does not fit into %d bits", *start, 8*c.size)
	default:
		c.block = append(append(make([]byte, 0, size), iv[:size-c.size]...), counted(*start, c.size)...)
		if len(iv) == size && string(c.block) != string(iv) {
			return nil, badParameters("the IV is a whole block, whose counter is not the Initial Counter Value")
		}
	}
	return c, nil
}

// counted is a number of so many bytes, big-endian.
func counted(n int32, size int) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, max(size, 4)-4), uint32(n))
	return b[len(b)-size:]
}

// stream adds the key stream. The counter runs over into its first value, never into what stands before it.
func (c *counterBlock) stream(k *blockKey, data []byte) ([]byte, error) {
	out, left := make([]byte, len(data)), c.left()
	size := uint64(len(c.block))
	blocks := (uint64(len(data)) + size - 1) / size
	if c.size < 8 && blocks>>(8*c.size) > 0 && blocks != 1<<(8*c.size) {
		return nil, invalid("%d bytes are more than CTR encrypts with a counter of %d bits", len(data), 8*c.size)
	}
	n := len(data)
	if blocks > left {
		n = int(left * size)
	}
	cipher.NewCTR(k.block, c.block).XORKeyStream(out[:n], data[:n])
	if n < len(data) {
		clear(c.block[len(c.block)-c.size:])
		cipher.NewCTR(k.block, c.block).XORKeyStream(out[n:], data[n:])
	}
	return out, nil
}

// left is how many blocks there are before the counter is 0 again; the largest number if there are more.
func (c *counterBlock) left() uint64 {
	counter := c.block[len(c.block)-c.size:]
	var low uint64
	for i, b := range counter {
		if i < len(counter)-8 && b != 0xFF {
			return ^uint64(0)
		}
		low = low<<8 | uint64(b)
	}
	if c.size < 8 {
		return 1<<(8*c.size) - low
	}
	if low == 0 {
		return ^uint64(0)
	}
	return -low
}

// leastNonce is in bytes, of what stands before a counter where it is made here: a shorter one comes twice by chance too soon.
const leastNonce = 8

// newCounter is the IV of the request, or one that is made: random up to the counter, which begins with the Initial Counter
// Value or 0; all of it is random without a Counter Length.
func (k *blockKey) newCounter(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (iv []byte, err error) {
	iv, err = brought(p, r)
	if iv != nil || err != nil {
		return iv, err
	}
	size := k.block.BlockSize()
	rule := ivRule{"CTR", size, min(leastNonce, size), size}
	n, err := rule.size(p)
	if err != nil {
		return nil, err
	}
	iv = make([]byte, n)
	nonce := iv
	if counter := length(p.CounterLength) / 8; n == size && counter > 0 && counter < size {
		nonce = iv[:size-counter]
		copy(iv[size-counter:], counted(int32(max(0, length(p.InitialCounterValue))), counter))
	}
	if len(nonce) < min(leastNonce, size) {
		return nil, badParameters("a counter of %d bits leaves too little of the IV to make it here", 8*(size-len(nonce)))
	}
	return iv, k.ivs.make(nonce, p)
}

func (k *blockKey) encryptCTR(p *kmip.CryptographicParameters, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := k.checkCTR(p, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	iv, err := k.newCounter(p, r)
	if err != nil {
		return nil, err
	}
	c, err := k.counter(p, iv)
	if err != nil {
		return nil, err
	}
	data, err := c.stream(k, r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data, IVCounterNonce: fresh(r, iv)}, nil
}

func (k *blockKey) decryptCTR(p *kmip.CryptographicParameters, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := k.checkCTR(p, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag); err != nil {
		return nil, err
	}
	if err := checkIV(p, r.IVCounterNonce); err != nil {
		return nil, err
	}
	c, err := k.counter(p, r.IVCounterNonce)
	if err != nil {
		return nil, err
	}
	data, err := c.stream(k, r.Data)
	if err != nil {
		return nil, err
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

func (k *blockKey) checkCTR(p *kmip.CryptographicParameters, additional, tag []byte) error {
	const taken = fieldBlockCipherMode | fieldPaddingMethod | countedFields | fieldCounterLength | fieldInitialCounterValue
	if p.PaddingMethod > kmip.PaddingMethodNone {
		return badParameters("CTR takes no padding")
	}
	return k.plainMode("CTR", p, taken, additional, tag)
}
