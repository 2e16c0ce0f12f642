package soft

import (
	"crypto/subtle"
	"io"

	"strongroom/kmip"
)

// A blockPadding is how the last block of ECB and CBC is filled up.
type blockPadding struct {
	fill func(tail []byte)                   // writes 1 to a block of zeros over
	find func(block []byte) (length, ok int) // in the last block, without a branch on it; the length means something only if ok is 1
	none bool                                // whole blocks are not padded

	random bool // fill gets random bytes, not zeros
}

var paddings = map[kmip.PaddingMethod]blockPadding{
	// Every byte is the length (RFC 8018 §6.1.1).
	kmip.PaddingMethodPKCS5: {
		fill: func(tail []byte) {
			for i := range tail {
				tail[i] = byte(len(tail))
			}
		},
		find: func(block []byte) (int, int) { return padded(block, block[len(block)-1]) },
	},
	// Zeros, then the length.
	kmip.PaddingMethodANSIX9_23: {
		fill: func(tail []byte) { tail[len(tail)-1] = byte(len(tail)) },
		find: func(block []byte) (int, int) { return padded(block, 0) },
	},
	// Random bytes, then the length.
	kmip.PaddingMethodISO10126: {
		fill: func(tail []byte) { tail[len(tail)-1] = byte(len(tail)) },
		find: func(block []byte) (int, int) {
			n := int(block[len(block)-1])
			return n, subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, len(block))
		},
		random: true,
	},
	// Any bytes, zeros here, then the length of what stands before it (RFC 6101 §5.2.3.2).
	kmip.PaddingMethodSSL3: {
		fill: func(tail []byte) { tail[len(tail)-1] = byte(len(tail) - 1) },
		find: func(block []byte) (int, int) {
			n := int(block[len(block)-1]) + 1
			return n, subtle.ConstantTimeLessOrEq(n, len(block))
		},
	},
	// Zeros, as few as make whole blocks. Those at the end of the data themselves are taken for padding too.
	kmip.PaddingMethodZeros: {
		fill: func([]byte) {},
		find: zeros,
		none: true,
	},
}

// paddingOf finds a Padding Method; the answer is nil if nothing is padded, as without a method.
func paddingOf(method kmip.PaddingMethod) (*blockPadding, error) {
	if method <= kmip.PaddingMethodNone {
		return nil, nil
	}
	if p, ok := paddings[method]; ok {
		return &p, nil
	}
	return nil, notSupported("the Padding Method %v is not supported here", method)
}

// pad appends data and its padding to dst.
func (k *blockKey) pad(dst, data []byte, method kmip.PaddingMethod, size int) ([]byte, error) {
	p, err := paddingOf(method)
	if err != nil {
		return nil, err
	}
	n := size - len(data)%size // 1 to size
	dst = append(dst, data...)
	switch {
	case n == size && (p == nil || p.none):
		n = 0
	case p == nil:
		return nil, invalid("%d bytes of data without padding are no multiple of the block size, %d", len(data), size)
	}
	if n > 0 {
		dst = append(dst, make([]byte, n)...)
		tail := dst[len(dst)-n:]
		if p.random {
			if _, err := io.ReadFull(k.random, tail); err != nil {
				return nil, err
			}
		}
		p.fill(tail)
	}
	return dst[:len(dst):len(dst)], nil
}

// unpadded answers the data without its padding. The padding is checked without a branch on it, and a wrong one is told
// apart from nothing else.
func unpadded(r *kmip.DecryptRequest, data []byte, method kmip.PaddingMethod, size int) (*kmip.DecryptResponse, error) {
	p, err := paddingOf(method)
	if err != nil {
		return nil, err
	}
	n, ok := 0, 1
	switch {
	case p == nil || p.none && len(data) == 0:
	case len(data) == 0:
		return nil, errDecryption
	default:
		n, ok = p.find(data[len(data)-size:])
	}
	if ok != 1 {
		clear(data)
		return nil, errDecryption
	}
	n = len(data) - n
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data[:n:n]}, nil
}

// padded is the length of the padding of a block, which is its last byte, where every byte of it before that is fill.
func padded(block []byte, fill byte) (n, ok int) {
	n = int(block[len(block)-1])
	ok = subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, len(block))
	for i := 2; i <= len(block); i++ {
		inside := subtle.ConstantTimeLessOrEq(i, n)
		ok &^= inside & (1 ^ subtle.ConstantTimeByteEq(block[len(block)-i], fill))
	}
	return n, ok
}

// zeros is how many zeros a block ends with, one less than all of them at most.
func zeros(block []byte) (n, ok int) {
	still := 1
	for i := len(block) - 1; i > 0; i-- {
		still &= subtle.ConstantTimeByteEq(block[i], 0)
		n += still
	}
	return n, 1
}
