package hsm

import (
	"context"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
	"strongroom/store/soft"
)

// An aesBlock is an AES key in a token as a cipher.Block, one call of the token for each of its blocks: with it a key that may encrypt,
// and so may not wrap there, computes RFC 3394 and RFC 5649. The first error stays, and ends the calls.
type aesBlock struct {
	ctx     context.Context
	c       *connection
	session session
	key     handle
	m       mechanism
	err     error
}

// block is the key of a handle as a cipher.Block.
func (c *connection) block(ctx context.Context, s session, h handle) (*aesBlock, error) {
	m, err := c.mechanism(cipherECB)
	return &aesBlock{ctx: ctx, c: c, session: s, key: h, m: m}, err
}

func (*aesBlock) BlockSize() int { return 16 }

func (b *aesBlock) Encrypt(dst, src []byte) { b.compute(dst, src, b.c.module.lib.encrypt) }

func (b *aesBlock) Decrypt(dst, src []byte) { b.compute(dst, src, b.c.module.lib.decrypt) }

func (b *aesBlock) compute(dst, src []byte, f func(session, *mechanism, handle, []byte, int) ([]byte, error)) {
	if b.err == nil {
		b.err = b.ctx.Err()
	}
	if b.err != nil {
		return
	}
	out, err := f(b.session, &b.m, b.key, src[:16], 16)
	if err == nil && len(out) != 16 {
		err = ckError{rv: pkcs11.CKR_GENERAL_ERROR}
	}
	if b.err = err; err == nil {
		copy(dst, out)
		clear(out)
	}
}

// mostStepped bounds the material that is wrapped block by block: six calls of the token for each eight bytes.
const mostStepped = 8 << 10

// stepped wraps material block by block.
func (k *aesKey) stepped(ctx context.Context, row int, material []byte) (out []byte, err error) {
	if len(material) > mostStepped {
		return nil, invalid("%q encrypts data, and wraps at most %d bytes, not %d: a key for Wrap Key and Unwrap Key alone wraps more", k.slot.identifier(k.first.name), mostStepped, len(material))
	}
	wrap := soft.WrapPad
	if row == cipherKW {
		wrap = soft.Wrap
	}
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		b, err := c.block(ctx, s, h)
		if err != nil {
			return err
		}
		if out, err = wrap(b, material); b.err != nil {
			return b.err
		}
		return err
	})
	if err != nil {
		return nil, k.slot.tell(err)
	}
	return out, nil
}

// steppedBack is the inverse of stepped.
func (k *aesKey) steppedBack(ctx context.Context, row int, wrapped []byte) (material []byte, err error) {
	if len(wrapped) > mostStepped+16 {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	unwrap := soft.UnwrapPad
	if row == cipherKW {
		unwrap = soft.Unwrap
	}
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		b, err := c.block(ctx, s, h)
		if err != nil {
			return err
		}
		if material, err = unwrap(b, wrapped); b.err != nil {
			clear(material)
			return b.err
		}
		return err
	})
	if err != nil {
		return nil, k.fail(err, decryptionFailed)
	}
	return material, nil
}
