package store

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
	"strongroom/store/soft"
)

// key is an object as it computes: its material comes out of the cache, or out of the envelope, for one operation.
type key struct{ row *row }

// use is the loan of an opened key for one operation.
func (k *key) use(ctx context.Context) (kmip.Key, kmip.Loan, error) {
	loan, err := k.row.borrow(ctx)
	if err != nil {
		return nil, nil, err
	}
	o := loan.Opened().(*opened)
	if o.err != nil {
		loan.Return()
		return nil, nil, o.err
	}
	return o.Opened, loan, nil
}

// Encrypt computes with the material.
func (k *key) Encrypt(ctx context.Context, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	o, loan, err := k.use(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return o.Encrypt(ctx, r)
}

// Decrypt computes with the material.
func (k *key) Decrypt(ctx context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	o, loan, err := k.use(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return o.Decrypt(ctx, r)
}

// Sign computes with the material.
func (k *key) Sign(ctx context.Context, r *kmip.SignRequest) (*kmip.SignResponse, error) {
	o, loan, err := k.use(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return o.Sign(ctx, r)
}

// SignatureVerify computes with the material.
func (k *key) SignatureVerify(ctx context.Context, r *kmip.SignatureVerifyRequest) (*kmip.SignatureVerifyResponse, error) {
	o, loan, err := k.use(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return o.SignatureVerify(ctx, r)
}

// MAC computes with the material.
func (k *key) MAC(ctx context.Context, r *kmip.MACRequest) (*kmip.MACResponse, error) {
	o, loan, err := k.use(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return o.MAC(ctx, r)
}

// Wrap computes with the material.
func (k *key) Wrap(ctx context.Context, p *kmip.CryptographicParameters, material []byte) ([]byte, error) {
	o, loan, err := k.use(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return o.Wrap(ctx, p, material)
}

// Unwrap computes with the material; on a public key with that of the private half it is linked to.
func (k *key) Unwrap(ctx context.Context, p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	if k.row.object.ObjectType() == kmip.ObjectTypePublicKey {
		private, err := k.row.private(ctx)
		if err != nil {
			return nil, err
		}
		k = &private.key
	}
	o, loan, err := k.use(ctx)
	if err != nil {
		return nil, err
	}
	defer loan.Return()
	return o.Unwrap(ctx, p, wrapped)
}

// private is the private half of a pair whose public half r is.
func (r *row) private(ctx context.Context) (*row, error) {
	for _, link := range kmip.All[kmip.Link](r.object.Attributes, ttlv.TagLink) {
		if link.LinkType != kmip.LinkTypePrivateKeyLink {
			continue
		}
		half, err := r.store.row(ctx, string(link.LinkedObjectIdentifier))
		if err != nil {
			return nil, err
		}
		if half.object.Key != nil && half.object.ObjectType() == kmip.ObjectTypePrivateKey && half.owner() == r.owner() {
			return half, nil
		}
	}
	return nil, kmip.Errorf(kmip.ResultReasonOperationNotSupported, "the public key %q cannot unwrap: its private half is not here", r.object.UniqueIdentifier)
}

// opened is an object with its material in memory.
type opened struct {
	kmip.Opened       // nil where err is set
	err         error // why the material does not compute: it is no key, or of a form that software cannot use
	plain       []byte
}

// Close clears the material.
func (o *opened) Close() {
	if o.Opened != nil {
		o.Opened.Close()
	}
	clear(o.plain)
}

// borrow is the opened object, from the cache.
func (r *row) borrow(ctx context.Context) (kmip.Loan, error) {
	if r.envelope == nil {
		return nil, kmip.NotFound(r.object.UniqueIdentifier)
	}
	if wrapped(r.envelope) {
		if err := circle(ctx, r.object.UniqueIdentifier); err != nil {
			return nil, err
		}
	}
	return r.store.cache.Borrow(ctx, r.index, (*loader)(r))
}

// loader opens a row for the cache.
type loader row

// Load opens the envelope and makes a key of it. It refuses once the object is destroyed, so that a request that began
// before cannot put the key back.
func (l *loader) Load(ctx context.Context) (kmip.Opened, error) {
	r := (*row)(l)
	if r.gone.Load() {
		return nil, kmip.NotFound(r.object.UniqueIdentifier)
	}
	plain, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	o := &opened{plain: plain}
	switch {
	case r.inToken():
		if err := o.openInToken(ctx, r); err != nil {
			o.Close()
			return nil, err
		}
	case r.object.Key != nil:
		o.open(r)
	default:
		o.err = kmip.Errorf(kmip.ResultReasonInvalidObjectType, "%q is no key", r.object.UniqueIdentifier)
	}
	if r.gone.Load() {
		o.Close()
		return nil, kmip.NotFound(r.object.UniqueIdentifier)
	}
	return o, nil
}

// open makes the key that computes.
func (o *opened) open(r *row) {
	v, err := decodeValue(o.plain)
	if err == nil {
		o.Opened, err = soft.Open(v, r.object.Attributes, r.ivs())
	}
	if err != nil {
		o.Opened, o.err = nil, err
	}
}

// ivs is where IVs and salts come from that the key makes, nil for crypto/rand. Those that everybody sees, and those that hide a
// message or a private key, are kept apart.
func (r *row) ivs() io.Reader {
	if r.store.options.IVs == nil {
		return nil
	}
	purpose := "IV"
	if r.object.ObjectType() != kmip.ObjectTypeSymmetricKey {
		purpose = "salt"
	}
	return r.store.options.IVs(r.owner(), r.object.Attributes, purpose)
}

// maxValue is the length in bytes of the longest material that is read back.
const maxValue = 16 << 20

// materialTag is the structure that an object's material is written in, of the inner form (KMIP 2.1). A template, which that does not
// have, is written as KMIP 1.4 has it.
const materialTag = ttlv.TagKeyMaterial

var templateTag = []byte{0x42, 0x00, 0x90}

// encodeValue is an object's material as it is sealed; the caller clears it.
func encodeValue(v *kmip.Value) ([]byte, error) {
	var plain []byte
	var err error
	if v.Template != nil {
		plain, err = ttlv.Append(nil, ttlv.V1_4, ttlv.TagTemplate, v.Template)
	} else {
		plain, err = ttlv.Append(make([]byte, 0, 1024), ttlv.V2_1, materialTag, v)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding the material: %w", err)
	}
	return plain, nil
}

// decodeValue reads what encodeValue wrote. The value borrows plain.
func decodeValue(plain []byte) (*kmip.Value, error) {
	v := new(kmip.Value)
	if bytes.HasPrefix(plain, templateTag) {
		v.Template = new(kmip.Template)
		if err := ttlv.Unmarshal(plain, ttlv.V1_4, ttlv.TagTemplate, v.Template, &ttlv.Limits{Size: maxValue}); err != nil {
			return nil, fmt.Errorf("decoding the template: %w", err)
		}
		return v, nil
	}
	if err := ttlv.Unmarshal(plain, ttlv.V2_1, materialTag, v, &ttlv.Limits{Size: maxValue}); err != nil {
		return nil, fmt.Errorf("decoding the material: %w", err)
	}
	return v, nil
}

// uncached is a Cache that remembers nothing.
type uncached struct{}

type uncachedLoan struct{ opened kmip.Opened }

// Borrow loads.
func (uncached) Borrow(ctx context.Context, _ [32]byte, l kmip.Loader) (kmip.Loan, error) {
	o, err := l.Load(ctx)
	if err != nil {
		return nil, err
	}
	return uncachedLoan{o}, nil
}

// Forget has nothing to do.
func (uncached) Forget([32]byte) {}

// Opened is the key.
func (l uncachedLoan) Opened() kmip.Opened { return l.opened }

// Return closes it.
func (l uncachedLoan) Return() { l.opened.Close() }
