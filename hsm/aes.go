package hsm

import (
	"bytes"
	"context"
	"io"

	"github.com/miekg/pkcs11"

	"strongroom/kmip"
)

// An aesKey encrypts in the token. IVs that the server makes come from crypto/rand.
type aesKey struct{ *key }

var errMissingIV = kmip.Errorf(kmip.ResultReasonInvalidMessage, "the IV/Counter/Nonce is missing")

// Encrypt encrypts with AES-GCM (the default), CBC, ECB or CTR, or wraps the data as key material (RFC 3394, RFC 5649).
func (k *aesKey) Encrypt(ctx context.Context, r *kmip.EncryptRequest) (*kmip.EncryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	p := k.parameters(r.CryptographicParameters, forEncryption)
	row, err := cipherFor(p)
	if err != nil {
		return nil, err
	}
	c := &ciphers[row]
	if err := c.fits(r.Data, r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, nil); err != nil {
		return nil, err
	}
	if c.wraps {
		data, err := k.wrapKey(ctx, row, r.Data)
		if err != nil {
			return nil, err
		}
		return &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
	}
	iv, err := c.newIV(k.slot.Random, p, r.IVCounterNonce)
	if err != nil {
		return nil, err
	}
	out, err := k.seal(ctx, row, iv, r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, r.Data)
	if err != nil {
		return nil, err
	}
	n := len(out) - c.tag
	response := &kmip.EncryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: out[:n:n]}
	if c.tag > 0 {
		response.AuthenticatedEncryptionTag = out[n:]
	}
	if len(r.IVCounterNonce) == 0 {
		response.IVCounterNonce = iv
	}
	return response, nil
}

// Decrypt is the inverse of Encrypt. The tag of AES-GCM is in its field or, for versions of KMIP that have none, at the end
// of the data.
func (k *aesKey) Decrypt(ctx context.Context, r *kmip.DecryptRequest) (*kmip.DecryptResponse, error) {
	if err := whole(r.InitIndicator, r.FinalIndicator, r.CorrelationValue); err != nil {
		return nil, err
	}
	row, err := cipherFor(k.parameters(r.CryptographicParameters, forEncryption))
	if err != nil {
		return nil, err
	}
	c := &ciphers[row]
	if err := c.fits(nil, r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, r.AuthenticatedEncryptionTag); err != nil {
		return nil, err
	}
	var data []byte
	if c.wraps {
		data, err = k.unwrapKey(ctx, row, r.Data)
	} else {
		if c.iv > 0 && len(r.IVCounterNonce) == 0 {
			return nil, errMissingIV
		}
		sealed := r.Data
		if len(r.AuthenticatedEncryptionTag) > 0 {
			sealed = append(append(make([]byte, 0, len(r.Data)+c.tag), r.Data...), r.AuthenticatedEncryptionTag...)
		}
		data, err = k.open(ctx, row, r.IVCounterNonce, r.AuthenticatedEncryptionAdditionalData, sealed)
	}
	if err != nil {
		return nil, err
	}
	return &kmip.DecryptResponse{UniqueIdentifier: r.UniqueIdentifier, Data: data}, nil
}

// Wrap protects key material with AES-GCM (the default; see kmip.Key for the format), RFC 3394 or RFC 5649.
func (k *aesKey) Wrap(ctx context.Context, p *kmip.CryptographicParameters, material []byte) ([]byte, error) {
	row, err := k.wrapping(p)
	if err != nil {
		return nil, err
	}
	if ciphers[row].wraps {
		return k.wrapKey(ctx, row, material)
	}
	iv := make([]byte, ciphers[row].iv)
	if _, err := io.ReadFull(k.slot.Random, iv); err != nil {
		return nil, err
	}
	sealed, err := k.seal(ctx, row, iv, nil, nil, material)
	if err != nil {
		return nil, err
	}
	return append(iv, sealed...), nil
}

// Unwrap is the inverse of Wrap.
func (k *aesKey) Unwrap(ctx context.Context, p *kmip.CryptographicParameters, wrapped []byte) ([]byte, error) {
	row, err := k.wrapping(p)
	if err != nil {
		return nil, err
	}
	c := &ciphers[row]
	if c.wraps {
		return k.unwrapKey(ctx, row, wrapped)
	}
	if len(wrapped) < c.iv+c.tag {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	return k.open(ctx, row, wrapped[:c.iv], nil, wrapped[c.iv:])
}

// wrapping is the row for wrapping keys. A wrapping key, which does not encrypt, wraps by RFC 5649 where no mode is said.
func (k *aesKey) wrapping(p *kmip.CryptographicParameters) (int, error) {
	p = k.parameters(p, forWrapping)
	row, err := cipherFor(p)
	wraps := k.first.wrapsOnly()
	if err == nil && row == cipherGCM && wraps && p.BlockCipherMode == 0 {
		row = cipherKWP
	}
	switch {
	case err != nil:
		return 0, err
	case row == cipherGCM && wraps:
		return 0, unsupported("%q wraps keys in the token and encrypts nothing there: its modes are NISTKeyWrap and AESKeyWrapPadding, not GCM", k.slot.identifier(k.first.name))
	case row != cipherGCM && !ciphers[row].wraps:
		return 0, unsupported("wrapping keys with AES in mode %v is not supported", ciphers[row].mode)
	case p.RandomIV != nil && !*p.RandomIV:
		return 0, unsupported("AES-GCM wraps keys with a random IV only")
	}
	return row, nil
}

// fits refuses what a mode does not take, before the token is asked.
func (c *cipher) fits(data, iv, additional, tag []byte) error {
	switch {
	case len(iv) > 0 && len(iv) != c.iv:
		return invalid("mode %v takes an IV of %d bytes in a token, not %d", c.mode, c.iv, len(iv))
	case len(additional) > 0 && c.tag == 0:
		return invalid("mode %v does not authenticate: it takes no additional data", c.mode)
	case len(tag) > 0 && len(tag) != c.tag:
		return invalid("mode %v has a tag of %d bytes in a token, not %d", c.mode, c.tag, len(tag))
	case c.blocks && len(data)%16 != 0:
		return invalid("mode %v without padding takes whole blocks of 16 bytes, not %d bytes", c.mode, len(data))
	}
	return nil
}

// newIV is a copy of the client's IV, for a token may write another one into it, or a random one.
func (c *cipher) newIV(random io.Reader, p *kmip.CryptographicParameters, client []byte) ([]byte, error) {
	switch {
	case len(client) > 0 && p.RandomIV != nil && *p.RandomIV:
		return nil, contradiction("the request has an IV and asks for a random one")
	case len(client) > 0:
		return bytes.Clone(client), nil
	case c.iv == 0:
		return nil, nil
	case p.RandomIV != nil && !*p.RandomIV:
		return nil, errMissingIV
	}
	iv := make([]byte, c.iv)
	_, err := io.ReadFull(random, iv)
	return iv, err
}

// mechanism is the proven mechanism of a row.
func (c *connection) mechanism(row int) (mechanism, error) {
	ckm := c.proof.ciphers[row]
	if ckm == 0 {
		return mechanism{}, unsupported("slot %d: the token does not do AES in mode %v as the standard has it", c.slot.Number, ciphers[row].mode)
	}
	return mechanism{Type: ckm, Parameter: ciphers[row].parameter}, nil
}

// seal encrypts. iv is what the token used in the end: some choose their own. That is refused where the client chose.
func (k *aesKey) seal(ctx context.Context, row int, iv, client, additional, data []byte) (out []byte, err error) {
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		m, err := c.mechanism(row)
		if err != nil {
			return err
		}
		m.IV, m.Extra = iv, additional
		out, err = c.module.lib.encrypt(s, &m, h, data, len(data)+ciphers[row].tag+16)
		return err
	})
	switch {
	case err != nil:
		return nil, k.fail(err, encryptionFailed)
	case len(out) < ciphers[row].tag:
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, encryptionFailed)
	case len(client) > 0 && !bytes.Equal(client, iv):
		return nil, unsupported("slot %d: the token makes its own IV and does not take the client's", k.slot.Number)
	}
	return out, nil
}

// open decrypts. The buffer is as long as what is decrypted: SoftHSM refuses a shorter one, though it needs less.
func (k *aesKey) open(ctx context.Context, row int, iv, additional, sealed []byte) (out []byte, err error) {
	if c := &ciphers[row]; len(sealed) < c.tag || (c.blocks || c.padded) && len(sealed)%16 != 0 {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		m, err := c.mechanism(row)
		if err != nil {
			return err
		}
		m.IV, m.Extra = iv, additional
		out, err = c.module.lib.decrypt(s, &m, h, sealed, len(sealed))
		return err
	})
	if err != nil {
		return nil, k.fail(err, decryptionFailed)
	}
	return out, nil
}

// wrapsOnly says whether the token lets a key wrap or unwrap, and neither encrypt nor decrypt.
func (o *object) wrapsOnly() bool {
	f := o.flags
	return (f[pkcs11.CKA_WRAP] || f[pkcs11.CKA_UNWRAP]) && !f[pkcs11.CKA_ENCRYPT] && !f[pkcs11.CKA_DECRYPT]
}

// wrapKey lets the token wrap material: it becomes a session object for as long as that takes, readable because the token
// wraps nothing else, and goes with the session if anything fails.
func (k *aesKey) wrapKey(ctx context.Context, row int, material []byte) (out []byte, err error) {
	switch {
	case len(material) == 0:
		return nil, invalid("there is nothing to wrap")
	case row == cipherKW && (len(material)%8 != 0 || len(material) < 16):
		return nil, invalid("RFC 3394 wraps multiples of 8 bytes, at least 16, not %d", len(material))
	case !k.first.flags[pkcs11.CKA_WRAP] && k.first.flags[pkcs11.CKA_ENCRYPT]:
		return k.stepped(ctx, row, material)
	}
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		m, err := c.mechanism(row)
		if err != nil {
			return err
		}
		if len(material)%8 != 0 && !c.proof.anyLength {
			return unsupported("slot %d: the token wraps multiples of 8 bytes only, not %d", k.slot.Number, len(material))
		}
		lib := c.module.lib
		target, err := lib.create(s, transient(material))
		if err != nil {
			return err
		}
		if out, err = lib.wrap(s, &m, h, target, len(material)+24); err != nil {
			return err
		}
		return lib.destroy(s, target)
	})
	if err != nil {
		return nil, k.slot.tell(err)
	}
	return out, nil
}

// unwrapKey is the inverse of wrapKey.
func (k *aesKey) unwrapKey(ctx context.Context, row int, wrapped []byte) (material []byte, err error) {
	least := 16 // RFC 5649
	if row == cipherKW {
		least = 24
	}
	if len(wrapped) < least || len(wrapped)%8 != 0 {
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	if !k.first.flags[pkcs11.CKA_UNWRAP] && k.first.flags[pkcs11.CKA_DECRYPT] {
		return k.steppedBack(ctx, row, wrapped)
	}
	err = k.use(ctx, func(c *connection, s session, h handle) error {
		m, err := c.mechanism(row)
		if err != nil {
			return err
		}
		lib := c.module.lib
		target, err := lib.unwrap(s, &m, h, wrapped, transient(nil))
		if err != nil {
			return err
		}
		t, err := lib.attributes(s, target, []uint{pkcs11.CKA_VALUE})
		if err != nil {
			return err
		}
		material = t.get(pkcs11.CKA_VALUE)
		return lib.destroy(s, target)
	})
	if err == nil && !plausible(row, len(wrapped), len(material)) {
		clear(material)
		return nil, kmip.Errorf(kmip.ResultReasonCryptographicFailure, decryptionFailed)
	}
	if err != nil {
		clear(material)
		return nil, k.fail(err, decryptionFailed)
	}
	return material, nil
}

// plausible says whether that many bytes can come out of that many.
func plausible(row, wrapped, material int) bool {
	if row == cipherKW {
		return material == wrapped-8
	}
	return material > wrapped-16 && material <= wrapped-8
}

// transient is the template of material that is in the token for one operation. Without material it is unwrapped there.
func transient(material []byte) template {
	t := template{
		{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)},
		{pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_GENERIC_SECRET)},
		{pkcs11.CKA_TOKEN, flag(false)},
		{pkcs11.CKA_SENSITIVE, flag(false)},
		{pkcs11.CKA_EXTRACTABLE, flag(true)},
	}
	if material != nil {
		t = append(t, attribute{pkcs11.CKA_VALUE, material})
	}
	return t
}
