package hsm

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// This file measures a token for operators: as the server drives it, without KMIP around it.

// A Measurement says how a token is measured.
type Measurement struct {
	Sessions int            // the most in use at once; 0 means all that the slot has
	Each     time.Duration  // of one figure
	Only     *regexp.Regexp // what is measured: what of a use, a blank and its mechanism it matches; nil means everything
	Tell     func(Figure)   // hears each figure at once
}

// A Figure is how often a token did something in a second, with so many sessions at work.
type Figure struct {
	Use       string  `json:"use"`
	Mechanism string  `json:"mechanism"` // CKM_, or the function where there is none
	Sessions  int     `json:"sessions"`
	PerSecond float64 `json:"per_second"`
	Mean      float64 `json:"mean_us"` // time of one call, in microseconds
}

// A drill is something that a token is measured at.
type drill struct {
	use    string
	ckm    func(*proof) uint // 0 where the token does not do it
	begin  func(t *tester, p *proof) (func(session) error, error)
	called string // the function, where there is no mechanism
}

// chosen is the mechanism of a row of ciphers.
func chosen(row int) func(*proof) uint { return func(p *proof) uint { return p.ciphers[row] } }

// where is a mechanism where something is proven of it.
func where(ckm uint, proven func(*proof) bool) func(*proof) uint {
	return func(p *proof) uint {
		if proven(p) {
			return ckm
		}
		return 0
	}
}

// drills are what Measure does, in its order. All messages have 64 bytes, all keys are session objects.
var drills = []drill{
	{"random, 32 bytes", func(*proof) uint { return 0 }, func(t *tester, _ *proof) (func(session) error, error) {
		return func(s session) error { return t.m.lib.random(s, make([]byte, 32)) }, nil
	}, "C_GenerateRandom"},
	{"AES-256 encrypt", chosen(cipherGCM), drillCipher(cipherGCM, false), ""},
	{"AES-256 decrypt", chosen(cipherGCM), drillCipher(cipherGCM, true), ""},
	{"AES-256 encrypt", chosen(cipherCBCPadded), drillCipher(cipherCBCPadded, false), ""},
	{"AES-256 encrypt", chosen(cipherCTR), drillCipher(cipherCTR, false), ""},
	{"AES-256 wrap a key", chosen(cipherKWP), drillWrap, ""},
	{"AES-256 MAC", where(pkcs11.CKM_AES_CMAC, func(p *proof) bool { return p.cmac }), drillCMAC, ""},
	{"HMAC", where(pkcs11.CKM_SHA256_HMAC, func(p *proof) bool { return p.hmac[0] }), drillHMAC, ""},
	{"RSA-2048 decrypt", decrypting, drillOAEP, ""},
	{"RSA-2048 sign", where(pkcs11.CKM_RSA_PKCS, func(p *proof) bool { return p.signPKCS1 }), drillPKCS1, ""},
	{"RSA-2048 sign", where(pkcs11.CKM_RSA_PKCS_PSS, func(p *proof) bool { return p.signPSS }), drillPSS, ""},
	{"P-256 sign", where(pkcs11.CKM_ECDSA, func(p *proof) bool { return p.signECDSA }), drillECDSA, ""},
	{"Ed25519 sign", where(ckmEdDSA, func(p *proof) bool { return p.edwards != 0 }), drillEdDSA, ""},
	{"AES-256 make and destroy", where(pkcs11.CKM_AES_KEY_GEN, func(*proof) bool { return true }), drillGenerate, ""},
	{"P-256 make and destroy", where(pkcs11.CKM_EC_KEY_PAIR_GEN, func(p *proof) bool { return p.signECDSA }), drillPair, ""},
}

// Measure drives a slot's token with one session, two, four and so on, and leaves nothing there: the keys are objects of a
// session that ends. What the token does not do is left out; where nothing is left, that is an error.
func (h *HSM) Measure(ctx context.Context, number uint32, m Measurement) error {
	s := h.slots[number]
	if s == nil {
		return h.unknown(number)
	}
	c, err := s.connection(ctx)
	if err != nil {
		return err
	}
	switch most := cap(c.tickets); {
	case m.Sessions > most:
		return invalid("the slot has %d sessions (max_sessions, or what the token allows), %d are asked for", most, m.Sessions)
	case m.Sessions <= 0:
		m.Sessions = most
	}
	t := &tester{m: c.module, slot: c.id}
	measured := false
	for _, d := range drills {
		name := d.name(c.proof)
		if name == "" || (m.Only != nil && !m.Only.MatchString(d.use+" "+name)) {
			continue
		}
		measured = true
		if err := c.drill(ctx, t, &d, name, &m); err != nil {
			return s.tell(err)
		}
	}
	if !measured {
		return invalid("slot %d does nothing that %q matches", number, m.Only)
	}
	return nil
}

// name is the function's or the mechanism's, "" where the token does not do it.
func (d *drill) name(p *proof) string {
	if d.called != "" {
		return d.called
	}
	if ckm := d.ckm(p); ckm != 0 {
		return mechanismName(ckm)
	}
	return ""
}

// drill makes the figures of one drill.
func (c *connection) drill(ctx context.Context, t *tester, d *drill, name string, m *Measurement) error {
	if err := c.module.gate.enter(ctx); err != nil {
		return err
	}
	once, err := d.begin(t, c.proof)
	c.module.gate.leave()
	defer c.endDrill(t)
	if err != nil {
		return err
	}
	for sessions := 1; ; sessions = min(2*sessions, m.Sessions) {
		f, err := c.figure(ctx, once, sessions, m.Each)
		if err != nil {
			return err
		}
		f.Use, f.Mechanism = d.use, name
		m.Tell(f)
		if sessions >= m.Sessions {
			return nil
		}
	}
}

// endDrill ends the session of the keys, and the keys with it.
func (c *connection) endDrill(t *tester) {
	ctx, cancel := context.WithTimeout(context.Background(), c.slot.Wait)
	defer cancel()
	if c.module.gate.enter(ctx) == nil {
		defer c.module.gate.leave()
		t.reset()
	}
}

// figure has so many sessions do the same again and again.
func (c *connection) figure(ctx context.Context, once func(session) error, sessions int, each time.Duration) (Figure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var n atomic.Int64
	errs := make([]error, sessions)
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range sessions {
		wg.Go(func() {
			errs[i] = c.with(ctx, func(s session) error {
				for time.Since(begun) < each {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					if err := once(s); err != nil {
						cancel()
						return err
					}
					n.Add(1)
				}
				return nil
			})
		})
	}
	wg.Wait()
	took := time.Since(begun)
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return Figure{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return Figure{}, err
	}
	calls := float64(max(n.Load(), 1))
	return Figure{Sessions: sessions, PerSecond: calls / took.Seconds(), Mean: float64(sessions) * float64(took.Microseconds()) / calls}, nil
}

// secretFor makes a key that is allowed these uses.
func (t *tester) secretFor(mechanism, kind uint, uses ...uint) (session, handle, error) {
	s, err := t.begin()
	if err != nil {
		return s, 0, err
	}
	h, err := t.m.lib.generate(s, mechanism, sessionSecret(kind, uses...))
	return s, h, err
}

func sessionSecret(kind uint, uses ...uint) template {
	key := template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)}, {pkcs11.CKA_KEY_TYPE, number(kind)}, {pkcs11.CKA_TOKEN, flag(false)},
		{pkcs11.CKA_VALUE_LEN, number(32)}, {pkcs11.CKA_SENSITIVE, flag(true)}}
	for _, u := range uses {
		key = append(key, attribute{u, flag(true)})
	}
	return key
}

// sixtyFour are 64 random bytes.
func sixtyFour() []byte {
	b := make([]byte, 64)
	rand.Read(b)
	return b
}

func drillCipher(row int, decrypts bool) func(*tester, *proof) (func(session) error, error) {
	return func(t *tester, p *proof) (func(session) error, error) {
		s, key, err := t.secretFor(pkcs11.CKM_AES_KEY_GEN, pkcs11.CKK_AES, pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT)
		if err != nil {
			return nil, err
		}
		c, data := &ciphers[row], sixtyFour()
		fresh := func() *mechanism {
			iv := make([]byte, c.iv)
			rand.Read(iv)
			return &mechanism{Type: p.ciphers[row], Parameter: c.parameter, IV: iv}
		}
		if !decrypts {
			return func(s session) error {
				_, err := t.m.lib.encrypt(s, fresh(), key, data, len(data)+c.tag+16)
				return err
			}, nil
		}
		m := fresh()
		sealed, err := t.m.lib.encrypt(s, m, key, data, len(data)+c.tag+16)
		return func(s session) error {
			own := *m
			_, err := t.m.lib.decrypt(s, &own, key, sealed, len(sealed))
			return err
		}, err
	}
}

func drillWrap(t *tester, p *proof) (func(session) error, error) {
	s, kek, err := t.secretFor(pkcs11.CKM_AES_KEY_GEN, pkcs11.CKK_AES, pkcs11.CKA_WRAP)
	if err != nil {
		return nil, err
	}
	key, err := t.m.lib.generate(s, pkcs11.CKM_AES_KEY_GEN, sessionSecret(pkcs11.CKK_AES, pkcs11.CKA_ENCRYPT, pkcs11.CKA_EXTRACTABLE))
	return func(s session) error {
		_, err := t.m.lib.wrap(s, &mechanism{Type: p.ciphers[cipherKWP]}, kek, key, 64)
		return err
	}, err
}

// drillSign signs the same again and again.
func drillSign(t *tester, key handle, m mechanism, data []byte, room int) func(session) error {
	return func(s session) error {
		own := m
		_, err := t.m.lib.sign(s, &own, key, data, room)
		return err
	}
}

func drillCMAC(t *tester, _ *proof) (func(session) error, error) {
	_, key, err := t.secretFor(pkcs11.CKM_AES_KEY_GEN, pkcs11.CKK_AES, pkcs11.CKA_SIGN)
	return drillSign(t, key, mechanism{Type: pkcs11.CKM_AES_CMAC}, sixtyFour(), 16), err
}

func drillHMAC(t *tester, _ *proof) (func(session) error, error) {
	_, key, err := t.secretFor(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, pkcs11.CKK_GENERIC_SECRET, pkcs11.CKA_SIGN)
	return drillSign(t, key, mechanism{Type: pkcs11.CKM_SHA256_HMAC}, sixtyFour(), 32), err
}

// decrypting is the mechanism of OAEP with SHA-256: the token's own, or the one without padding.
func decrypting(p *proof) uint {
	switch {
	case p.oaep[0]:
		return pkcs11.CKM_RSA_PKCS_OAEP
	case p.rawRSA:
		return pkcs11.CKM_RSA_X_509
	}
	return 0
}

func drillOAEP(t *tester, p *proof) (func(session) error, error) {
	_, key, err := t.rsaKey()
	if err != nil {
		return nil, err
	}
	d := &digests[0]
	sealed, err := rsa.EncryptOAEP(d.hash.New(), rand.Reader, t.rsaPublic, sixtyFour(), nil)
	m := mechanism{Type: decrypting(p)}
	if p.oaep[0] {
		m.Parameter, m.Hash, m.MGF = parameterOAEP, d.ckm, d.mgf
	}
	return func(s session) error {
		own := m
		_, err := t.m.lib.decrypt(s, &own, key, sealed, len(sealed))
		return err
	}, err
}

func drillPKCS1(t *tester, _ *proof) (func(session) error, error) {
	_, key, err := t.rsaKey()
	if err != nil {
		return nil, err
	}
	info, err := digestInfo(0, sixtyFour()[:32])
	return drillSign(t, key, mechanism{Type: pkcs11.CKM_RSA_PKCS}, info, 256), err
}

func drillPSS(t *tester, _ *proof) (func(session) error, error) {
	_, key, err := t.rsaKey()
	d := &digests[0]
	return drillSign(t, key, mechanism{Type: pkcs11.CKM_RSA_PKCS_PSS, Parameter: parameterPSS, Hash: d.ckm, MGF: d.mgf, Salt: 32}, sixtyFour()[:32], 256), err
}

// sessionPair are the templates of a pair that signs.
func sessionPair(parameters template) (public, private template) {
	public = append(template{{pkcs11.CKA_TOKEN, flag(false)}}, parameters...)
	private = template{{pkcs11.CKA_TOKEN, flag(false)}, {pkcs11.CKA_SIGN, flag(true)}}
	for _, a := range parameters {
		if a.Type == pkcs11.CKA_KEY_TYPE {
			private = append(private, a)
		}
	}
	return public, private
}

// pairFor makes a pair and gives the private half.
func (t *tester) pairFor(ckm uint, parameters template) (handle, error) {
	s, err := t.begin()
	if err != nil {
		return 0, err
	}
	public, private := sessionPair(parameters)
	_, key, err := t.m.lib.generatePair(s, ckm, public, private)
	return key, err
}

func drillECDSA(t *tester, _ *proof) (func(session) error, error) {
	parameters, err := ecParameters(curves[0].oid)
	if err != nil {
		return nil, err
	}
	key, err := t.pairFor(pkcs11.CKM_EC_KEY_PAIR_GEN, parameters)
	return drillSign(t, key, mechanism{Type: pkcs11.CKM_ECDSA}, sixtyFour()[:32], 64), err
}

func drillEdDSA(t *tester, p *proof) (func(session) error, error) {
	key, err := t.pairFor(ckmEdwardsPairGen, template{{pkcs11.CKA_KEY_TYPE, number(ckkEdwards)}, {pkcs11.CKA_EC_PARAMS, []byte(edwardsForms[p.edwards-1])}})
	return drillSign(t, key, mechanism{Type: ckmEdDSA}, sixtyFour(), 64), err
}

func drillGenerate(t *tester, _ *proof) (func(session) error, error) {
	return func(s session) error {
		key, err := t.m.lib.generate(s, pkcs11.CKM_AES_KEY_GEN, sessionSecret(pkcs11.CKK_AES, pkcs11.CKA_ENCRYPT))
		if err != nil {
			return err
		}
		return t.m.lib.destroy(s, key)
	}, nil
}

func drillPair(t *tester, _ *proof) (func(session) error, error) {
	parameters, err := ecParameters(curves[0].oid)
	return func(s session) error {
		public, private := sessionPair(parameters)
		pub, key, err := t.m.lib.generatePair(s, pkcs11.CKM_EC_KEY_PAIR_GEN, public, private)
		if err != nil {
			return err
		}
		return errors.Join(t.m.lib.destroy(s, pub), t.m.lib.destroy(s, key))
	}, err
}
