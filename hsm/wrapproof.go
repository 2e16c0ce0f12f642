package hsm

import (
	"bytes"
	"crypto/rsa"
	"encoding/asn1"
	"errors"

	"github.com/miekg/pkcs11"
)

// A wrapMechanism is a way in which a token may wrap keys.
type wrapMechanism struct {
	ckm       uint
	parameter parameter
	iv        int // bytes
}

// wrapMechanisms are tried in this order: the first that works is taken, for each kind of key. That a token lists one, and has it for
// AES keys, says nothing of private keys.
var wrapMechanisms = [...]wrapMechanism{
	{ckm: ckmAESKeyWrapKWP}, {ckm: pkcs11.CKM_AES_KEY_WRAP_PAD}, {ckm: pkcs11.CKM_AES_KEY_WRAP},
	{ckm: pkcs11.CKM_AES_GCM, parameter: parameterGCM, iv: 12}, {ckm: pkcs11.CKM_AES_CBC_PAD, parameter: parameterIV, iv: 16},
}

// padded says whether secret keys of any number of bytes come out as they went in.
func (m *wrapMechanism) padded(p *proof) bool {
	return m.parameter != parameterNone || m.ckm == p.ciphers[cipherKWP] && p.anyLength
}

// Kinds of keys that are wrapped.
const (
	wrapRSA = iota
	wrapEC
	wrapEdwards
	wrapSecret
	wrapKinds
)

// wrapNames are what to call them.
var wrapNames = [wrapKinds]string{"RSA private keys", "ECDSA private keys", "Edwards private keys", "secret keys"}

// kindOf is the kind of a key.
func kindOf(class, kind uint) int {
	switch {
	case class == pkcs11.CKO_SECRET_KEY:
		return wrapSecret
	case kind == pkcs11.CKK_RSA:
		return wrapRSA
	case kind == pkcs11.CKK_EC:
		return wrapEC
	}
	return wrapEdwards
}

// A wrapProof is how a kind of key is wrapped.
type wrapProof struct {
	row   int  // of wrapMechanisms, from 1; 0: not at all
	whole bool // what was changed does not unwrap
}

// wrapKinds finds the mechanism for each kind of key.
func (t *tester) wrapKinds(p *proof) {
	for kind := range wrapKinds {
		for row, m := range wrapMechanisms {
			var found wrapProof
			if t.check(useWrap+wrapNames[kind], m.ckm, func() (good bool, err error) {
				found, good, err = t.wrapsKind(p, kind, row)
				return good, err
			}) {
				p.wraps[kind] = found
				break
			}
		}
	}
}

// testWrapping is the wrapping key of the self-test: as those of operators, for a session.
var testWrapping = template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_AES)},
	{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_VALUE_LEN, number(32)}, {pkcs11.CKA_SENSITIVE, flag(true)}, {pkcs11.CKA_EXTRACTABLE, flag(false)},
	{pkcs11.CKA_ENCRYPT, flag(false)}, {pkcs11.CKA_DECRYPT, flag(false)}, {pkcs11.CKA_WRAP, flag(true)}, {pkcs11.CKA_UNWRAP, flag(true)}}

// wrapsKind makes a key, wraps and unwraps it as a key that is wrapped will be, and uses it: it must be sensitive and not
// extractable then, and the same key.
func (t *tester) wrapsKind(known *proof, kind, row int) (p wrapProof, good bool, err error) {
	lib := t.m.lib
	target, back, proves, err := t.target(known, kind)
	if err == nil && back == nil {
		err = errors.New(untried + ": the token makes no such keys")
	}
	if err != nil {
		return p, false, err
	}
	s, err := t.begin()
	if err != nil {
		return p, false, err
	}
	kek, err := lib.generate(s, pkcs11.CKM_AES_KEY_GEN, testWrapping)
	if err != nil {
		return p, false, err
	}
	m := wrapMechanisms[row]
	how := mechanism{Type: m.ckm, Parameter: m.parameter, IV: make([]byte, m.iv)}
	blob, err := lib.wrap(s, &how, kek, target, 4096)
	if err == nil {
		err = lib.destroy(s, target)
	}
	if err != nil {
		return p, false, err
	}
	again, err := lib.unwrap(s, &how, kek, blob, back)
	if err != nil {
		return p, false, err
	}
	if stays, err := t.connection().stays(s, again); err != nil || !stays {
		return p, false, err
	}
	if good, err = proves(s, again); err != nil || !good {
		return p, false, err
	}
	p = wrapProof{row: row + 1, whole: true}
	for _, at := range []int{0, len(blob) / 2, len(blob) - 1} {
		blob[at] ^= 0x80
		if s, err = t.begin(); err == nil {
			if _, err = lib.unwrap(s, &how, kek, blob, back); err == nil {
				p.whole = false
			}
		}
		if passes(err) {
			return p, false, err
		}
		blob[at] ^= 0x80
	}
	t.reset() // the last error is what was wanted
	return p, true, nil
}

// target makes a session object of a kind that may be extracted; back is the template that it is unwrapped with, and proves says
// whether another object is the same key. A kind that the token does not have gives no object.
func (t *tester) target(known *proof, kind int) (made handle, back template, proves func(session, handle) (bool, error), err error) {
	s, err := t.begin()
	if err != nil {
		return 0, nil, nil, err
	}
	flags := template{{pkcs11.CKA_SENSITIVE, flag(true)}, {pkcs11.CKA_EXTRACTABLE, flag(true)}}
	switch kind {
	case wrapSecret:
		return t.secretTarget(s, flags)
	case wrapRSA:
		return t.rsaTarget(s, append(flags, attribute{pkcs11.CKA_SIGN, flag(true)}))
	case wrapEC:
		oid, err := asn1.Marshal(curves[0].oid)
		if err != nil {
			return 0, nil, nil, err
		}
		return t.curveTarget(s, pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKK_EC, oid, append(flags, attribute{pkcs11.CKA_SIGN, flag(true)}))
	}
	if known.edwards == 0 {
		return 0, nil, nil, nil
	}
	return t.curveTarget(s, ckmEdwardsPairGen, ckkEdwards, []byte(edwardsForms[known.edwards-1]), append(flags, attribute{pkcs11.CKA_SIGN, flag(true)}))
}

// returning is the template of a key of a class and type that comes back for one operation.
func returning(class, kind uint, uses ...uint) template {
	t := template{{pkcs11.CKA_CLASS, number(class)}, {pkcs11.CKA_KEY_TYPE, number(kind)}, {pkcs11.CKA_TOKEN, flag(false)},
		{pkcs11.CKA_PRIVATE, flag(true)}, {pkcs11.CKA_SENSITIVE, flag(true)}, {pkcs11.CKA_EXTRACTABLE, flag(false)}}
	for _, u := range uses {
		t = append(t, attribute{u, flag(true)})
	}
	return t
}

func (t *tester) secretTarget(s session, flags template) (handle, template, func(session, handle) (bool, error), error) {
	made, err := t.m.lib.generate(s, pkcs11.CKM_AES_KEY_GEN, append(template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)},
		{pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_AES)}, {pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_VALUE_LEN, number(32)},
		{pkcs11.CKA_ENCRYPT, flag(true)}}, flags...))
	if err != nil {
		return 0, nil, nil, err
	}
	zero := make([]byte, 16)
	imprint := func(s session, h handle) ([]byte, error) {
		return t.m.lib.encrypt(s, &mechanism{Type: pkcs11.CKM_AES_ECB}, h, zero, 32)
	}
	want, err := imprint(s, made)
	return made, returning(pkcs11.CKO_SECRET_KEY, pkcs11.CKK_AES, pkcs11.CKA_ENCRYPT), func(s session, h handle) (bool, error) {
		got, err := imprint(s, h)
		return bytes.Equal(got, want), err
	}, err
}

func (t *tester) rsaTarget(s session, uses template) (handle, template, func(session, handle) (bool, error), error) {
	known, err := knownRSA()
	if err != nil {
		return 0, nil, nil, err
	}
	public := &known.PublicKey
	made, err := t.m.lib.create(s, append(append(rsaPrivateTemplate(known), attribute{pkcs11.CKA_TOKEN, flag(false)}), uses...))
	if err != nil { // the token does not let keys in
		t.reset()
		if s, err = t.begin(); err != nil {
			return 0, nil, nil, err
		}
		size, err := rsaSize(2048)
		if err != nil {
			return 0, nil, nil, err
		}
		o, h, err := t.pairTarget(s, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, size, uses)
		if err != nil {
			return 0, nil, nil, err
		}
		made, public = h, o.public.(*rsa.PublicKey)
	}
	return made, returning(pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_RSA, pkcs11.CKA_SIGN), func(s session, h handle) (bool, error) {
		return t.connection().signs(s, h, public)
	}, nil
}

func (t *tester) curveTarget(s session, mechanism, kind uint, parameters []byte, uses template) (handle, template, func(session, handle) (bool, error), error) {
	typed := attribute{pkcs11.CKA_KEY_TYPE, number(kind)}
	o, made, err := t.pairTarget(s, mechanism, template{typed, {pkcs11.CKA_EC_PARAMS, parameters}}, append(uses, typed))
	if err != nil || o.public == nil {
		return 0, nil, nil, err
	}
	return made, returning(pkcs11.CKO_PRIVATE_KEY, kind, pkcs11.CKA_SIGN), func(s session, h handle) (bool, error) {
		return t.connection().signs(s, h, o.public)
	}, nil
}

// pairTarget makes a pair of session objects.
func (t *tester) pairTarget(s session, mechanism uint, public, uses template) (*object, handle, error) {
	session := attribute{pkcs11.CKA_TOKEN, flag(false)}
	pub, private, err := t.m.lib.generatePair(s, mechanism, append(public, session), append(uses, session))
	if err != nil {
		return nil, 0, err
	}
	o, err := t.connection().describe(s, pub)
	return o, private, err
}

// connection is what the checks need of one.
func (t *tester) connection() *connection { return &connection{module: t.m} }
