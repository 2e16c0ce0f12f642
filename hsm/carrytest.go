package hsm

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"github.com/miekg/pkcs11"

	"strongroom/store/soft"
)

// This file has the part of the self-test that is about keys on their way in and out.

// carrying finds out which keys the token wraps and unwraps as others do.
func (t *tester) carrying(p *proof) {
	for _, row := range []int{cipherKW, cipherKWP} {
		if ckm := p.ciphers[row]; ckm != 0 {
			mode := ciphers[row].mode.String()
			p.wrapsPrivate[row] = t.check(usePrivateOut+mode, ckm, func() (bool, error) { return t.wrapsPrivate(row, ckm) })
			p.unwrapsPrivate[row] = t.check(usePrivateIn+mode, ckm, func() (bool, error) { return t.unwrapsPrivate(row, ckm) })
		}
	}
	for row, d := range digests {
		p.wrapsOAEP[row] = t.check(useOutOAEP+d.name.String(), pkcs11.CKM_RSA_PKCS_OAEP, func() (bool, error) { return t.wrapsOAEP(row) })
	}
}

// wrapsPrivate wraps the test key: what comes out is its PKCS #8, behind which there may be zeros.
func (t *tester) wrapsPrivate(row int, ckm uint) (bool, error) {
	s, kek, err := t.aesKey()
	if err != nil {
		return false, err
	}
	known, err := knownRSA()
	if err != nil {
		return false, err
	}
	target, err := t.m.lib.create(s, append(rsaPrivateTemplate(known), attribute{pkcs11.CKA_TOKEN, flag(false)}, attribute{pkcs11.CKA_EXTRACTABLE, flag(true)}))
	if err != nil {
		return false, err
	}
	wrapped, err := t.m.lib.wrap(s, &mechanism{Type: ckm}, kek, target, 4096)
	if err != nil {
		return false, err
	}
	cipher, err := aes.NewCipher(t.secret)
	if err != nil {
		return false, err
	}
	unwrap := soft.UnwrapPad
	if row == cipherKW {
		unwrap = soft.Unwrap
	}
	der, err := unwrap(cipher, wrapped)
	if err != nil {
		return false, nil
	}
	var whole asn1.RawValue
	rest, err := asn1.Unmarshal(der, &whole)
	if err != nil || len(bytes.TrimLeft(rest, "\x00")) > 0 || len(rest) > 7 {
		return false, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(whole.FullBytes)
	return err == nil && known.Equal(key), nil
}

// unwrapsPrivate lets the token unwrap the test key and sign with it.
func (t *tester) unwrapsPrivate(row int, ckm uint) (bool, error) {
	s, kek, err := t.aesKey()
	if err != nil {
		return false, err
	}
	known, err := knownRSA()
	if err != nil {
		return false, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(known)
	if err != nil {
		return false, err
	}
	cipher, err := aes.NewCipher(t.secret)
	if err != nil {
		return false, err
	}
	wrap := soft.WrapPad
	if row == cipherKW {
		wrap, der = soft.Wrap, append(der, make([]byte, eight(len(der))-len(der))...)
	}
	wrapped, err := wrap(cipher, der)
	if err != nil {
		return false, err
	}
	key, err := t.m.lib.unwrap(s, &mechanism{Type: ckm}, kek, wrapped, template{
		{pkcs11.CKA_CLASS, number(pkcs11.CKO_PRIVATE_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_RSA)},
		{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_SENSITIVE, flag(true)}, {pkcs11.CKA_EXTRACTABLE, flag(false)}, {pkcs11.CKA_SIGN, flag(true)},
	})
	if err != nil {
		return false, err
	}
	return t.connection().signs(s, key, &known.PublicKey)
}

// wrapsOAEP wraps a secret with the test key, and unwraps it here.
func (t *tester) wrapsOAEP(row int) (bool, error) {
	s, err := t.begin()
	if err != nil {
		return false, err
	}
	known, err := knownRSA()
	if err != nil {
		return false, err
	}
	public, err := t.m.lib.create(s, append(rsaPublicTemplate(&known.PublicKey), attribute{pkcs11.CKA_TOKEN, flag(false)}, attribute{pkcs11.CKA_WRAP, flag(true)}))
	if err != nil {
		return false, err
	}
	target, err := t.m.lib.create(s, transient(materialKAT))
	if err != nil {
		return false, err
	}
	d := &digests[row]
	wrapped, err := t.m.lib.wrap(s, &mechanism{Type: pkcs11.CKM_RSA_PKCS_OAEP, Parameter: parameterOAEP, Hash: d.ckm, MGF: d.mgf}, public, target, 256)
	if err != nil {
		return false, err
	}
	opened, err := rsa.DecryptOAEP(d.hash.New(), rand.Reader, known, wrapped, nil)
	return err == nil && bytes.Equal(opened, materialKAT), nil
}

// carriages are the rows of capabilities about keys on their way.
func (p *proof) carriages(add func(use string, ckm uint, works, chosen bool, note string)) {
	for _, row := range []int{cipherKW, cipherKWP} {
		mode, ckm := ciphers[row].mode.String(), p.ciphers[row]
		if ckm == 0 {
			ckm = ciphers[row].candidates[0]
		}
		add(usePrivateOut+mode, ckm, p.wrapsPrivate[row], p.wrapsPrivate[row], "")
		add(usePrivateIn+mode, ckm, p.unwrapsPrivate[row], p.unwrapsPrivate[row], "")
	}
	for row, d := range digests {
		add(useOutOAEP+d.name.String(), pkcs11.CKM_RSA_PKCS_OAEP, p.wrapsOAEP[row], p.wrapsOAEP[row], "")
	}
}
