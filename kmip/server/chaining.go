package server

import (
	"crypto/subtle"

	"strongroom/kmip"
)

// A chaining is an operation in parts with a mode that goes on from where it stands: each part is answered with the whole blocks that
// there are by then, and nothing but the rest is kept. SP 800-38A.
type chaining struct {
	size    int    // of a block, in bytes
	iv      []byte // of the next block; nil before the first part
	blocks  uint64 // so far, of CTR
	started bool
}

// A step computes a piece: the parameters, the data and the IV in; the result and an IV that was made for it out.
type step func(p *kmip.CryptographicParameters, data, iv []byte) (out, made []byte, err error)

// chained is the chaining of a request that begins one, nil if its mode has none: modes with a tag need all of the data before
// anything of them may be believed, XTS and key wrap because they end as they do. The mode must be the request's own. The blocks of
// the object's algorithm have so many bytes.
func chained(q any, size int) *chaining {
	var p *kmip.CryptographicParameters
	var iv []byte
	switch q := q.(type) {
	case *kmip.EncryptRequest:
		p, iv = q.CryptographicParameters, q.IVCounterNonce
	case *kmip.DecryptRequest:
		p, iv = q.CryptographicParameters, q.IVCounterNonce
	}
	if p == nil || size == 0 {
		return nil
	}
	switch p.BlockCipherMode {
	case kmip.BlockCipherModeECB, kmip.BlockCipherModeCBC, kmip.BlockCipherModeCFB, kmip.BlockCipherModeOFB:
		return &chaining{size: size}
	case kmip.BlockCipherModeCTR:
		made := len(iv) == 0 && (p.IVLength == nil || int(*p.IVLength) == 8*size)
		if p.InitialCounterValue == nil && (len(iv) == size || made) {
			return &chaining{size: size}
		}
	}
	return nil
}

// blockSize is that of the object's algorithm in bytes, 0 without.
func blockSize(a kmip.Attributes) int {
	switch a.Algorithm() {
	case kmip.CryptographicAlgorithmAES:
		return 16
	case kmip.CryptographicAlgorithmDES3:
		return 8
	}
	return 0
}

// advance answers a part of Encrypt or Decrypt, and leaves in the request what the next part begins with.
func (c *chaining) advance(q any, final bool, compute any) (any, error) {
	switch q := q.(type) {
	case *kmip.EncryptRequest:
		f := compute.(func(*kmip.EncryptRequest) (*kmip.EncryptResponse, error))
		one := func(p *kmip.CryptographicParameters, data, iv []byte) ([]byte, []byte, error) {
			piece := *q
			piece.CryptographicParameters, piece.Data, piece.IVCounterNonce = p, data, iv
			e, err := f(&piece)
			if err != nil {
				return nil, nil, err
			}
			return e.Data, e.IVCounterNonce, nil
		}
		out, made, rest, err := c.next(q.CryptographicParameters, q.Data, q.IVCounterNonce, final, false, one)
		if err != nil {
			return nil, err
		}
		q.Data = rest
		return &kmip.EncryptResponse{Data: out, IVCounterNonce: made}, nil
	case *kmip.DecryptRequest:
		f := compute.(func(*kmip.DecryptRequest) (*kmip.DecryptResponse, error))
		one := func(p *kmip.CryptographicParameters, data, iv []byte) ([]byte, []byte, error) {
			piece := *q
			piece.CryptographicParameters, piece.Data, piece.IVCounterNonce = p, data, iv
			d, err := f(&piece)
			if err != nil {
				return nil, nil, err
			}
			return d.Data, nil, nil
		}
		out, _, rest, err := c.next(q.CryptographicParameters, q.Data, q.IVCounterNonce, final, true, one)
		if err != nil {
			return nil, err
		}
		q.Data = rest
		return &kmip.DecryptResponse{Data: out}, nil
	}
	panic("a chaining is of Encrypt or Decrypt")
}

// next computes what can be computed of the data: all of it at the end; before that whole blocks, of which the last waits where
// it may hold padding. The rest is for the next part. The padding is the last part's.
func (c *chaining) next(p *kmip.CryptographicParameters, data, iv []byte, final, decrypting bool, f step) (out, made, rest []byte, err error) {
	now := *p
	n := len(data)
	if !final {
		n -= n % c.size
		if decrypting && p.PaddingMethod > kmip.PaddingMethodNone && n == len(data) && n > 0 {
			n -= c.size
		}
		if now.PaddingMethod != 0 {
			now.PaddingMethod = kmip.PaddingMethodNone
		}
	}
	if c.started {
		iv, now.RandomIV = c.iv, nil
		if n == 0 && !final {
			return nil, nil, data, nil
		}
	}
	if err := c.count(p, n); err != nil {
		return nil, nil, nil, err
	}
	out, made, err = f(&now, data[:n], iv)
	if err != nil {
		return nil, nil, nil, err
	}
	if !c.started {
		c.started, c.iv = true, append([]byte(nil), iv...)
		if len(made) > 0 {
			c.iv = append([]byte(nil), made...)
		}
	}
	if whole := n - n%c.size; whole > 0 && !final {
		c.link(p, data[:whole], out[:whole], decrypting)
	}
	rest = append([]byte(nil), data[n:]...)
	clear(data)
	return out, made, rest, nil
}

// count refuses more blocks than a counter has values.
func (c *chaining) count(p *kmip.CryptographicParameters, n int) error {
	c.blocks += uint64(n+c.size-1) / uint64(c.size)
	if p.BlockCipherMode != kmip.BlockCipherModeCTR || p.CounterLength == nil {
		return nil
	}
	if n := *p.CounterLength; n >= 0 && n < 64 && c.blocks > 1<<n {
		return kmip.Errorf(kmip.ResultReasonInvalidField, "the parts of the operation have more blocks than a counter of %d bits", *p.CounterLength)
	}
	return nil
}

// link is the IV behind a piece of whole blocks.
func (c *chaining) link(p *kmip.CryptographicParameters, in, out []byte, decrypting bool) {
	last := len(in) - c.size
	switch p.BlockCipherMode {
	case kmip.BlockCipherModeCBC, kmip.BlockCipherModeCFB: // the last block of ciphertext
		if decrypting {
			out = in
		}
		copy(c.iv, out[last:])
	case kmip.BlockCipherModeOFB: // the last block of the key stream
		subtle.XORBytes(c.iv, in[last:], out[last:])
	case kmip.BlockCipherModeCTR:
		counter := c.iv
		if p.CounterLength != nil {
			counter = c.iv[len(c.iv)-int(*p.CounterLength)/8:]
		}
		carry := uint64(len(in) / c.size)
		for i := len(counter) - 1; i >= 0 && carry > 0; i-- {
			carry += uint64(counter[i])
			counter[i] = byte(carry)
			carry >>= 8
		}
	}
}
