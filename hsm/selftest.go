package hsm

import (
	"bytes"
	"crypto"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/miekg/pkcs11"
)

// A tester finds out what a token does right, with session objects of its own: they go with its session. Each check compares
// with the same computation in Go, or with a published answer, and after an error goes on in a new session.
type tester struct {
	m         *module
	slot      uint
	session   session
	open      bool
	secret    []byte // the value of the AES key
	aes       handle
	rsa       handle
	rsaPublic *rsa.PublicKey
	vague     bool // a key that was brought was turned away without a reason
	doubtful  bool // a check failed on something else than what it was to find out
	whyNot    map[tried]string
}

// prove tests the mechanisms of a token, once for each model and version in this process.
func (m *module) prove(c *connection) (*proof, error) {
	info, err := m.lib.info()
	if err != nil {
		return nil, err
	}
	t := c.token
	model := fmt.Sprintf("%s %s %d.%d / %s %s %d.%d", info.Manufacturer, info.Description, info.Major, info.Minor,
		t.Manufacturer, t.Model, t.FirmwareMajor, t.FirmwareMinor)
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.proofs[model]; p != nil {
		return p, nil
	}
	tt := &tester{m: m, slot: c.id, whyNot: map[tried]string{}}
	defer tt.reset()
	p, err := tt.run()
	if err != nil {
		return nil, err
	}
	if !tt.doubtful {
		m.proofs[model] = p
	}
	return p, nil
}

// run makes every check. An error is of the connection, not of a mechanism.
func (t *tester) run() (*proof, error) {
	p := &proof{whyNot: t.whyNot}
	for row := range ciphers {
		for _, ckm := range ciphers[row].candidates {
			if p.ciphers[row] == 0 && t.check(cipherUse(row), ckm, func() (bool, error) { return t.cipher(row, ckm) }) {
				p.ciphers[row] = ckm
			}
		}
	}
	if ckm := p.ciphers[cipherKWP]; ckm != 0 {
		p.anyLength = t.check("", 0, func() (bool, error) { return t.wrapping(ckm, vectorKWP20) })
	}
	for row, d := range digests {
		p.oaep[row] = t.check(useOAEP+d.name.String(), pkcs11.CKM_RSA_PKCS_OAEP, func() (bool, error) { return t.oaep(row) })
		p.hmac[row] = t.check(useHMAC+d.name.String(), d.hmac, func() (bool, error) { return t.hmac(row, 64) })
	}
	p.shortHMAC = t.check("", 0, func() (bool, error) { return t.hmac(0, leastHMAC/8) })
	p.cmac = t.check(useCMAC, pkcs11.CKM_AES_CMAC, t.cmac)
	p.rawRSA = t.check(useRawRSA, pkcs11.CKM_RSA_X_509, t.rawRSA)
	p.pkcs1 = t.check(usePKCS1, pkcs11.CKM_RSA_PKCS, t.pkcs1)
	p.signPKCS1 = t.check(useSignPKCS1, pkcs11.CKM_RSA_PKCS, t.signPKCS1)
	p.signPSS = t.check(useSignPSS, pkcs11.CKM_RSA_PKCS_PSS, t.signPSS)
	p.signECDSA = t.check(useECDSA, pkcs11.CKM_ECDSA, t.signECDSA)
	for i, form := range edwardsForms {
		if p.edwards == 0 && t.check(useEdDSA, ckmEdDSA, func() (bool, error) { return t.edwards(form) }) {
			p.edwards = i + 1
		}
	}
	t.carrying(p)
	t.wrapKinds(p)
	p.makesAES = t.check(useMakeAES, pkcs11.CKM_AES_KEY_GEN, func() (bool, error) { return t.makes(pkcs11.CKM_AES_KEY_GEN, pkcs11.CKK_AES) })
	p.makesHMAC = t.check(useMakeHMAC, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, func() (bool, error) {
		return t.makes(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, pkcs11.CKK_GENERIC_SECRET)
	})
	p.reuses = !t.check("", 0, t.givesNew)

	// Whatever failed: a token that is there now failed because of what it was asked.
	t.reset()
	_, err := t.begin()
	return p, err
}

// check runs one check, whether the token lists the mechanism or not: NSS does much that its key slot does not list. An error that
// may be of the moment has it run again. If it still says nothing of the mechanism, the next connection asks anew. For operators it
// remembers why a use of a mechanism does not work; use is "" for what they are not told of.
func (t *tester) check(use string, ckm uint, f func() (bool, error)) bool {
	good, err := f()
	if err != nil {
		t.reset()
		if passes(err) || faultOf(err) == faultVague {
			good, err = f()
		}
	}
	switch {
	case err != nil:
		t.reset()
		t.doubtful = t.doubtful || passes(err)
		t.whyNot[tried{use, ckm}] = err.Error()
	case !good:
		t.whyNot[tried{use, ckm}] = "wrong result"
	}
	return good && err == nil
}

// passes says whether an error is of the way to the token, or of the room in it, and not of what it was asked to do.
func passes(err error) bool {
	switch faultOf(err) {
	case faultSession, faultLogin, faultDevice, faultModule, faultScarce:
		return true
	}
	return false
}

// A tried is a use that was tried with a mechanism.
type tried struct {
	use string
	ckm uint
}

// begin gives the session of the checks.
func (t *tester) begin() (session, error) {
	if t.open {
		return t.session, nil
	}
	s, err := t.m.openUser(t.slot)
	t.session, t.open = s, err == nil
	return s, err
}

// reset ends the session, and the objects with it.
func (t *tester) reset() {
	if t.open {
		t.m.close(t.session)
	}
	t.open, t.aes, t.rsa = false, 0, 0
}

// aesKey is a session key whose value is known: imported, or where the token does not let keys in, made there and read.
func (t *tester) aesKey() (session, handle, error) {
	s, err := t.begin()
	if err != nil || t.aes != 0 {
		return s, t.aes, err
	}
	common := template{
		{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)}, {pkcs11.CKA_KEY_TYPE, number(pkcs11.CKK_AES)},
		{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_SENSITIVE, flag(false)}, {pkcs11.CKA_EXTRACTABLE, flag(true)},
		{pkcs11.CKA_ENCRYPT, flag(true)}, {pkcs11.CKA_DECRYPT, flag(true)},
		{pkcs11.CKA_WRAP, flag(true)}, {pkcs11.CKA_UNWRAP, flag(true)},
	}
	if t.aes, err = t.m.lib.create(s, append(common, attribute{pkcs11.CKA_VALUE, kekKAT})); err == nil {
		t.secret = kekKAT
		return s, t.aes, nil
	}
	if t.again(err) {
		return s, 0, err
	}
	t.reset()
	if s, err = t.begin(); err != nil {
		return s, 0, err
	}
	if t.aes, err = t.m.lib.generate(s, pkcs11.CKM_AES_KEY_GEN, append(common, attribute{pkcs11.CKA_VALUE_LEN, number(32)})); err != nil {
		return s, 0, err
	}
	value, err := t.m.lib.attributes(s, t.aes, []uint{pkcs11.CKA_VALUE})
	t.secret = value.get(pkcs11.CKA_VALUE)
	if err == nil && len(t.secret) != 32 {
		err = fmt.Errorf("the token neither takes nor shows an AES key")
	}
	return s, t.aes, err
}

// again says whether a key that the token turned away is to be brought once more before one is made there.
func (t *tester) again(err error) bool {
	if faultOf(err) == faultVague && !t.vague {
		t.vague = true
		return true
	}
	return passes(err)
}

// cipher compares one mode with crypto/cipher, both ways; authenticated ones must also refuse what was changed.
func (t *tester) cipher(row int, ckm uint) (bool, error) {
	c := &ciphers[row]
	switch row {
	case cipherKW:
		return t.wrapping(ckm, vectorKW)
	case cipherKWP:
		return t.wrapping(ckm, vectorKWP)
	}
	s, key, err := t.aesKey()
	if err != nil {
		return false, err
	}
	block, err := aes.NewCipher(t.secret)
	if err != nil {
		return false, err
	}
	iv, data := make([]byte, c.iv), make([]byte, 48)
	rand.Read(iv)
	rand.Read(data)
	if !c.blocks {
		data = data[:37]
	}
	m := mechanism{Type: ckm, Parameter: c.parameter, IV: bytes.Clone(iv)}
	if c.tag > 0 {
		m.Extra = []byte("additional data")
	}
	sealed, err := t.m.lib.encrypt(s, &m, key, data, len(data)+c.tag+16)
	if err != nil {
		return false, err
	}
	// A token may have chosen another IV, which m.IV then is.
	if want := encryptHere(row, block, m.IV, m.Extra, data); !bytes.Equal(sealed, want) {
		return false, nil
	}
	opened, err := t.m.lib.decrypt(s, &m, key, sealed, len(sealed))
	if err != nil || !bytes.Equal(opened, data) {
		return false, err
	}
	if c.tag == 0 {
		return true, nil
	}
	sealed[0] ^= 1
	_, err = t.m.lib.decrypt(s, &m, key, sealed, len(sealed))
	if passes(err) {
		return false, err
	}
	t.reset()
	return err != nil, nil
}

// makes says whether the token makes a secret key of 32 bytes as it is asked to: sensitive, and not extractable.
func (t *tester) makes(ckm, kind uint) (bool, error) {
	s, err := t.begin()
	if err != nil {
		return false, err
	}
	key, err := t.m.lib.generate(s, ckm, append(sessionSecret(kind), attribute{pkcs11.CKA_EXTRACTABLE, flag(false)}))
	if err != nil {
		return false, err
	}
	told, err := t.m.lib.attributes(s, key, []uint{pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE, pkcs11.CKA_VALUE_LEN})
	return bytes.Equal(told.get(pkcs11.CKA_SENSITIVE), flag(true)) && bytes.Equal(told.get(pkcs11.CKA_EXTRACTABLE), flag(false)) &&
		told.number(pkcs11.CKA_VALUE_LEN) == 32, err
}

// givesNew says whether a new object gets another handle than the one that was destroyed just before.
func (t *tester) givesNew() (bool, error) {
	var handles [2]handle
	for i := range handles {
		s, err := t.begin()
		if err == nil {
			handles[i], err = t.m.lib.create(s, transient(materialKAT))
		}
		if err == nil {
			err = t.m.lib.destroy(s, handles[i])
		}
		if err != nil {
			return false, err
		}
	}
	return handles[0] != handles[1], nil
}

// encryptHere is what a token must compute.
func encryptHere(row int, block stdcipher.Block, iv, additional, data []byte) []byte {
	data = bytes.Clone(data)
	switch row {
	case cipherGCM:
		gcm, err := stdcipher.NewGCM(block)
		if err != nil || len(iv) != gcm.NonceSize() {
			return nil
		}
		return gcm.Seal(nil, iv, data, additional)
	case cipherCBCPadded:
		pad := 16 - len(data)%16
		data = append(data, bytes.Repeat([]byte{byte(pad)}, pad)...)
		fallthrough
	case cipherCBC:
		stdcipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	case cipherCTR:
		stdcipher.NewCTR(block, iv).XORKeyStream(data, data)
	case cipherECB:
		for b := data; len(b) > 0; b = b[16:] {
			block.Encrypt(b, b)
		}
	}
	return data
}

// A vector is a published answer of a key wrap under kekKAT.
type vector struct{ material, wrapped []byte }

// The key of RFC 3394 §4.6, and the answers: that of the RFC; and those of RFC 5649 to the same key and its first 20 bytes,
// computed with OpenSSL 3.0 (enc -id-aes256-wrap-pad).
var (
	kekKAT      = unhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
	materialKAT = unhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
	vectorKW    = vector{materialKAT, unhex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")}
	vectorKWP   = vector{materialKAT, unhex("4A8029243027353B0694CF1BD8FC745BB0CE8A739B19B1960B12426D4C39CFEDA926D103AB34E9F6")}
	vectorKWP20 = vector{materialKAT[:20], unhex("2EC848C1A77981DA003E3CE3B028C5E46BA5BEBC032DCE29EB892A57092D5C09")}
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// wrapping compares a key wrap with its vector, and lets the token undo it, as wrapKey and unwrapKey do it.
func (t *tester) wrapping(ckm uint, v vector) (bool, error) {
	s, key, err := t.aesKey()
	if err != nil {
		return false, err
	}
	if !bytes.Equal(t.secret, kekKAT) {
		return false, errors.New(untried + ": the token takes no keys from outside")
	}
	lib, m := t.m.lib, mechanism{Type: ckm}
	target, err := lib.create(s, transient(v.material))
	if err != nil {
		return false, err
	}
	wrapped, err := lib.wrap(s, &m, key, target, len(v.material)+24)
	if err != nil || !bytes.Equal(wrapped, v.wrapped) {
		return false, err
	}
	if target, err = lib.unwrap(s, &m, key, wrapped, transient(nil)); err != nil {
		return false, err
	}
	value, err := lib.attributes(s, target, []uint{pkcs11.CKA_VALUE})
	return bytes.Equal(value.get(pkcs11.CKA_VALUE), v.material), err
}

// hmac compares with crypto/hmac, with a key of that many bytes.
func (t *tester) hmac(row, size int) (bool, error) {
	s, err := t.begin()
	if err != nil {
		return false, err
	}
	secret, data := make([]byte, size), []byte("a message")
	rand.Read(secret)
	key, err := t.m.lib.create(s, append(transient(secret), attribute{pkcs11.CKA_SIGN, flag(true)}))
	if err != nil {
		return false, err
	}
	sum, err := t.m.lib.sign(s, &mechanism{Type: digests[row].hmac}, key, data, 64)
	return bytes.Equal(sum, expectedMAC(row, secret, data)), err
}

// testRSA2048 is a published key that is only for tests: RFC 9500 §2.1.
const testRSA2048 = `-----BEGIN RSA TESTING KEY-----
MIIEowIBAAKCAQEAsPnoGUOnrpiSqt4XynxA+HRP7S+BSObI6qJ7fQAVSPtRkqso
tWxQYLEYzNEx5ZSHTGypibVsJylvCfuToDTfMul8b/CZjP2Ob0LdpYrNH6l5hvFE
89FU1nZQF15oVLOpUgA7wGiHuEVawrGfey92UE68mOyUVXGweJIVDdxqdMoPvNNU
l86BU02vlBiESxOuox+dWmuVV7vfYZ79Toh/LUK43YvJh+rhv4nKuF7iHjVjBd9s
B6iDjj70HFldzOQ9r8SRI+9NirupPTkF5AKNe6kUhKJ1luB7S27ZkvB3tSTT3P59
3VVJvnzOjaA1z6Cz+4+eRvcysqhrRgFlwI9TEwIDAQABAoIBAEEYiyDP29vCzx/+
dS3LqnI5BjUuJhXUnc6AWX/PCgVAO+8A+gZRgvct7PtZb0sM6P9ZcLrweomlGezI
FrL0/6xQaa8bBr/ve/a8155OgcjFo6fZEw3Dz7ra5fbSiPmu4/b/kvrg+Br1l77J
aun6uUAs1f5B9wW+vbR7tzbT/mxaUeDiBzKpe15GwcvbJtdIVMa2YErtRjc1/5B2
BGVXyvlJv0SIlcIEMsHgnAFOp1ZgQ08aDzvilLq8XVMOahAhP1O2A3X8hKdXPyrx
IVWE9bS9ptTo+eF6eNl+d7htpKGEZHUxinoQpWEBTv+iOoHsVunkEJ3vjLP3lyI/
fY0NQ1ECgYEA3RBXAjgvIys2gfU3keImF8e/TprLge1I2vbWmV2j6rZCg5r/AS0u
pii5CvJ5/T5vfJPNgPBy8B/yRDs+6PJO1GmnlhOkG9JAIPkv0RBZvR0PMBtbp6nT
Y3yo1lwamBVBfY6rc0sLTzosZh2aGoLzrHNMQFMGaauORzBFpY5lU50CgYEAzPHl
u5DI6Xgep1vr8QvCUuEesCOgJg8Yh1UqVoY/SmQh6MYAv1I9bLGwrb3WW/7kqIoD
fj0aQV5buVZI2loMomtU9KY5SFIsPV+JuUpy7/+VE01ZQM5FdY8wiYCQiVZYju9X
Wz5LxMNoz+gT7pwlLCsC4N+R8aoBk404aF1gum8CgYAJ7VTq7Zj4TFV7Soa/T1eE
k9y8a+kdoYk3BASpCHJ29M5R2KEA7YV9wrBklHTz8VzSTFTbKHEQ5W5csAhoL5Fo
qoHzFFi3Qx7MHESQb9qHyolHEMNx6QdsHUn7rlEnaTTyrXh3ifQtD6C0yTmFXUIS
CW9wKApOrnyKJ9nI0HcuZQKBgQCMtoV6e9VGX4AEfpuHvAAnMYQFgeBiYTkBKltQ
XwozhH63uMMomUmtSG87Sz1TmrXadjAhy8gsG6I0pWaN7QgBuFnzQ/HOkwTm+qKw
AsrZt4zeXNwsH7QXHEJCFnCmqw9QzEoZTrNtHJHpNboBuVnYcoueZEJrP8OnUG3r
UjmopwKBgAqB2KYYMUqAOvYcBnEfLDmyZv9BTVNHbR2lKkMYqv5LlvDaBxVfilE0
2riO4p6BaAdvzXjKeRrGNEKoHNBpOSfYCOM16NjL8hIZB1CaV3WbT5oY+jp7Mzd5
7d56RZOE+ERK2uz/7JX9VSsM/LbH9pJibd4e8mikDS9ntciqOH/3
-----END RSA TESTING KEY-----`

// knownRSA is the test key.
func knownRSA() (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(testRSA2048, "TESTING KEY", "PRIVATE KEY")))
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}

// rsaKey is a session key pair: the test key, or where the token does not let keys in, one made there.
func (t *tester) rsaKey() (session, handle, error) {
	s, err := t.begin()
	if err != nil || t.rsa != 0 {
		return s, t.rsa, err
	}
	uses := template{{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_DECRYPT, flag(true)}, {pkcs11.CKA_SIGN, flag(true)}}
	known, err := knownRSA()
	if err != nil {
		return s, 0, err
	}
	if t.rsa, err = t.m.lib.create(s, append(rsaPrivateTemplate(known), uses...)); err == nil {
		t.rsaPublic = &known.PublicKey
		return s, t.rsa, nil
	}
	if t.again(err) {
		return s, 0, err
	}
	t.reset()
	if s, err = t.begin(); err != nil {
		return s, 0, err
	}
	public := template{{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_MODULUS_BITS, number(2048)}, {pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}}}
	pub, private, err := t.m.lib.generatePair(s, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, public, uses)
	if err != nil {
		return s, 0, err
	}
	n, err := t.m.lib.attributes(s, pub, []uint{pkcs11.CKA_MODULUS})
	if err != nil {
		return s, 0, err
	}
	t.rsa, t.rsaPublic = private, &rsa.PublicKey{N: new(big.Int).SetBytes(n.get(pkcs11.CKA_MODULUS)), E: 65537}
	return s, private, nil
}

// decrypts says whether the token decrypts what Go encrypted.
func (t *tester) decrypts(m mechanism, encrypt func(*rsa.PublicKey, []byte) ([]byte, error), decode func([]byte) []byte) (bool, error) {
	s, key, err := t.rsaKey()
	if err != nil {
		return false, err
	}
	message := make([]byte, 32)
	rand.Read(message)
	sealed, err := encrypt(t.rsaPublic, message)
	if err != nil {
		return false, err
	}
	opened, err := t.m.lib.decrypt(s, &m, key, sealed, t.rsaPublic.Size())
	return err == nil && bytes.Equal(decode(opened), message), err
}

func asIs(b []byte) []byte { return b }

func (t *tester) oaep(row int) (bool, error) {
	d := &digests[row]
	return t.decrypts(mechanism{Type: pkcs11.CKM_RSA_PKCS_OAEP, Parameter: parameterOAEP, Hash: d.ckm, MGF: d.mgf},
		func(k *rsa.PublicKey, m []byte) ([]byte, error) {
			return rsa.EncryptOAEP(d.hash.New(), rand.Reader, k, m, nil)
		}, asIs)
}

func (t *tester) rawRSA() (bool, error) {
	return t.decrypts(mechanism{Type: pkcs11.CKM_RSA_X_509},
		func(k *rsa.PublicKey, m []byte) ([]byte, error) {
			return rsa.EncryptOAEP(crypto.SHA256.New(), rand.Reader, k, m, nil)
		}, func(raw []byte) []byte {
			message, _ := unpadRaw(raw, t.rsaPublic.Size(), padding{oaep: true})
			return message
		})
}

func (t *tester) pkcs1() (bool, error) {
	return t.decrypts(mechanism{Type: pkcs11.CKM_RSA_PKCS},
		func(k *rsa.PublicKey, m []byte) ([]byte, error) {
			//lint:ignore SA1019 it is what is tested
			return rsa.EncryptPKCS1v15(rand.Reader, k, m)
		}, asIs)
}

func (t *tester) signPKCS1() (bool, error) {
	sum := crypto.SHA256.New().Sum(nil)
	info, err := digestInfo(0, sum)
	if err != nil {
		return false, err
	}
	s, key, err := t.rsaKey()
	if err != nil {
		return false, err
	}
	signature, err := t.m.lib.sign(s, &mechanism{Type: pkcs11.CKM_RSA_PKCS}, key, info, 256)
	return err == nil && rsa.VerifyPKCS1v15(t.rsaPublic, crypto.SHA256, sum, signature) == nil, err
}

func (t *tester) signPSS() (bool, error) {
	sum, d := crypto.SHA256.New().Sum(nil), &digests[0]
	s, key, err := t.rsaKey()
	if err != nil {
		return false, err
	}
	m := mechanism{Type: pkcs11.CKM_RSA_PKCS_PSS, Parameter: parameterPSS, Hash: d.ckm, MGF: d.mgf, Salt: 32}
	signature, err := t.m.lib.sign(s, &m, key, sum, 256)
	return err == nil && rsa.VerifyPSS(t.rsaPublic, crypto.SHA256, sum, signature, &rsa.PSSOptions{SaltLength: 32}) == nil, err
}

func (t *tester) signECDSA() (bool, error) {
	s, err := t.begin()
	if err != nil {
		return false, err
	}
	oid, err := asn1.Marshal(curves[0].oid)
	if err != nil {
		return false, err
	}
	public := template{{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_EC_PARAMS, oid}}
	private := template{{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_SIGN, flag(true)}}
	pub, key, err := t.m.lib.generatePair(s, pkcs11.CKM_EC_KEY_PAIR_GEN, public, private)
	if err != nil {
		return false, err
	}
	value, err := t.m.lib.attributes(s, pub, []uint{pkcs11.CKA_EC_POINT})
	if err != nil {
		return false, err
	}
	known, ok := point(elliptic.P256(), value.get(pkcs11.CKA_EC_POINT)).(*ecdsa.PublicKey)
	if !ok {
		return false, nil
	}
	sum := crypto.SHA256.New().Sum(nil)
	raw, err := t.m.lib.sign(s, &mechanism{Type: pkcs11.CKM_ECDSA}, key, sum, 64)
	if err != nil || len(raw) != 64 {
		return false, err
	}
	return ecdsa.Verify(known, sum, new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])), nil
}
