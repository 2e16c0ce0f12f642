package hsm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"

	"github.com/miekg/pkcs11"
)

// This file tells one key from another that has its name later. A fingerprint is what a key shows of itself without giving itself
// away, in whichever token it lies, after the name of the way to it:
//
//	sha256:       the SHA-256 of its SubjectPublicKeyInfo (RFC 5280 §4.1): of both halves of a pair
//	kcv:          the key check value, three bytes: CKA_CHECK_VALUE (PKCS#11 2.40 §4.10)
//	hmac-sha256:  and the like, cmac:, ed25519: of what it computes of a fixed text
//
// A block cipher's key check value is the beginning of an encrypted block of zeros; a key that may encrypt shows it to a token that does
// not tell it. The whole block is a secret of AES-GCM and of CMAC. What a key computes of the text is hashed again, so that what is
// stored is a MAC or a signature of nothing.

// A way is one to a fingerprint.
type way struct {
	name string
	can  func(p *proof, o *object) bool
	read func(c *connection, s session, o *object) ([]byte, error) // c is nil where told is set
	told bool                                                      // the object has it: the token is not asked
}

// ways are in the order in which they are tried.
var ways = func() []way {
	w := []way{
		{"sha256", func(_ *proof, o *object) bool { return o.public != nil }, publicPrint, true},
		{"kcv", func(_ *proof, o *object) bool { return o.block() && len(o.check) >= checkLength }, checkPrint, true},
		{"kcv", func(p *proof, o *object) bool {
			return o.kind == pkcs11.CKK_AES && o.shows(pkcs11.CKA_ENCRYPT) && p.ciphers[cipherECB] != 0
		}, zeroPrint, false},
		{"sha256", func(p *proof, o *object) bool {
			return o.class == pkcs11.CKO_PRIVATE_KEY && o.curve != nil && o.shows(pkcs11.CKA_SIGN) && p.signECDSA
		}, recoveredPrint, false},
		{"ed25519", func(p *proof, o *object) bool {
			return o.class == pkcs11.CKO_PRIVATE_KEY && o.kind == ckkEdwards && o.shows(pkcs11.CKA_SIGN) && p.edwards != 0
		}, signedPrint(ckmEdDSA), false},
		{"cmac", func(p *proof, o *object) bool { return o.kind == pkcs11.CKK_AES && o.shows(pkcs11.CKA_SIGN) && p.cmac },
			signedPrint(pkcs11.CKM_AES_CMAC), false},
	}
	for row := range digests {
		size := int32(8 * digests[row].hash.Size())
		w = append(w, way{"hmac-" + strings.ToLower(strings.ReplaceAll(digests[row].hash.String(), "-", "")), func(p *proof, o *object) bool {
			return o.class == pkcs11.CKO_SECRET_KEY && !o.block() && o.shows(pkcs11.CKA_SIGN) && p.hmac[row] && (o.bits <= 0 || o.bits >= size)
		}, signedPrint(digests[row].hmac), false})
	}
	return append(w, way{"kcv", func(_ *proof, o *object) bool { return o.class == pkcs11.CKO_SECRET_KEY && len(o.check) >= checkLength }, checkPrint, true})
}()

// checkLength is that of a key check value, in bytes.
const checkLength = 3

// printed is the text that keys compute a fingerprint of.
var printed = []byte("Strongroom: fingerprint of a key")

// shows says whether a key may be used for a fingerprint.
func (o *object) shows(flag uint) bool {
	return o.is(flag, false) && !o.wantsPIN()
}

// block says whether it is the key of a block cipher.
func (o *object) block() bool {
	return o.class == pkcs11.CKO_SECRET_KEY && (o.kind == pkcs11.CKK_AES || o.kind == pkcs11.CKK_DES3)
}

// in is the fingerprint of that value.
func (w *way) in(value []byte) string { return w.name + ":" + hex.EncodeToString(value) }

// errSilent is the answer where a key does not show what it was thought to.
var errSilent = errors.New("the key does not show what it is")

func publicPrint(_ *connection, _ session, o *object) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(o.public)
	if err != nil {
		return nil, errSilent
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

func checkPrint(_ *connection, _ session, o *object) ([]byte, error) {
	return o.check[:checkLength], nil
}

// zeroPrint computes the key check value.
func zeroPrint(c *connection, s session, o *object) ([]byte, error) {
	zero := make([]byte, 16)
	block, err := c.module.lib.encrypt(s, &mechanism{Type: c.proof.ciphers[cipherECB]}, o.handle, zero, 2*len(zero))
	if err != nil {
		return nil, err
	}
	defer clear(block)
	if len(block) != len(zero) {
		return nil, errSilent
	}
	return bytes.Clone(block[:checkLength]), nil
}

// signedPrint has the text signed, twice: what comes out otherwise the second time tells nothing.
func signedPrint(ckm uint) func(*connection, session, *object) ([]byte, error) {
	return func(c *connection, s session, o *object) ([]byte, error) {
		var sums [2][sha256.Size]byte
		for i := range sums {
			out, err := c.module.lib.sign(s, &mechanism{Type: ckm}, o.handle, printed, 64)
			if err != nil {
				return nil, err
			}
			sums[i] = sha256.Sum256(out)
			clear(out)
		}
		if sums[0] != sums[1] {
			return nil, errSilent
		}
		return sums[0][:16], nil
	}
}

// recoveredPrint is publicPrint of the private key of an elliptic curve, of which tokens do not tell the point: two signatures do.
func recoveredPrint(c *connection, s session, o *object) ([]byte, error) {
	var signatures [2][]byte
	var sums [2][sha256.Size]byte
	for i := range signatures {
		sums[i] = sha256.Sum256(append(printed[:len(printed):len(printed)], byte(i)))
		var err error
		if signatures[i], err = c.module.lib.sign(s, &mechanism{Type: pkcs11.CKM_ECDSA}, o.handle, sums[i][:], 2*int(o.bits+7)/8); err != nil {
			return nil, err
		}
	}
	for _, candidate := range signers(o.curve, sums[0][:], signatures[0]) {
		half := len(signatures[1]) / 2
		if ecdsa.Verify(candidate, sums[1][:], new(big.Int).SetBytes(signatures[1][:half]), new(big.Int).SetBytes(signatures[1][half:])) {
			return publicPrint(nil, 0, &object{public: candidate})
		}
	}
	return nil, errSilent
}

// signers are the public keys that verify a signature, r and s of equal length, of a digest (SEC 1 §4.1.6). They are two: R is
// x = r here, for x = r + n is too rare to be looked for.
func signers(curve elliptic.Curve, digest, signature []byte) (keys []*ecdsa.PublicKey) {
	p, half := curve.Params(), len(signature)/2
	size := (p.BitSize + 7) / 8
	if len(signature) != 2*size {
		return nil
	}
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	inverse := new(big.Int).ModInverse(r, p.N)
	if inverse == nil {
		return nil
	}
	over := func(n *big.Int) []byte { // n / r
		n.Mul(n, inverse)
		return n.Mod(n, p.N).Bytes()
	}
	e := new(big.Int).SetBytes(digest)
	if surplus := 8*len(digest) - p.N.BitLen(); surplus > 0 {
		e.Rsh(e, uint(surplus))
	}
	for _, sign := range []byte{2, 3} {
		x, y := elliptic.UnmarshalCompressed(curve, append([]byte{sign}, r.FillBytes(make([]byte, size))...))
		if x == nil {
			return nil
		}
		//lint:ignore SA1019 of what is public; there is no other way to points
		ax, ay := curve.ScalarMult(x, y, over(new(big.Int).Set(s)))
		//lint:ignore SA1019 as above
		bx, by := curve.ScalarBaseMult(over(new(big.Int).Neg(e)))
		//lint:ignore SA1019 as above
		qx, qy := curve.Add(ax, ay, bx, by)
		q := append([]byte{4}, append(qx.FillBytes(make([]byte, size)), qy.FillBytes(make([]byte, size))...)...)
		if key, err := ecdsa.ParseUncompressedPublicKey(curve, q); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// An asking reads the fingerprint of an object in one way.
type asking func(w *way) ([]byte, error)

// asking asks in a session.
func (c *connection) asking(s session, o *object) asking {
	return func(w *way) ([]byte, error) { return w.read(c, s, o) }
}

// errMoved is the answer of an object that has to be found again.
var errMoved = errors.New("the object has to be found again")

// asking asks in sessions of its own.
func (s *slot) asking(ctx context.Context, o *object) asking {
	return func(w *way) (value []byte, err error) {
		if w.told {
			return w.read(nil, 0, o)
		}
		moved := false
		err = s.do(ctx, func(c *connection, ss session) (err error) {
			if moved = o.conn != c || o.gone.Load(); moved {
				return nil
			}
			if value, err = w.read(c, ss, o); faultOf(err) == faultObject {
				c.forget(o)
			}
			return err
		})
		if moved {
			return nil, errMoved
		}
		return value, err
	}
}

// noWay says that a key does not show its fingerprint in some way, and never will.
func noWay(err error) bool {
	var ck ckError
	if errors.As(err, &ck) {
		f := faults[ck.rv]
		return f == faultNone || f == faultData
	}
	return errors.Is(err, errSilent)
}

// fingerprint is that in the first way that the key has, "" where it has none.
func (o *object) fingerprint(read asking) (print string, err error) {
	if known := o.print.Load(); known != nil {
		return *known, nil
	}
	for i := range ways {
		w := &ways[i]
		if !w.can(o.conn.proof, o) {
			continue
		}
		value, err := read(w)
		if err != nil && !noWay(err) {
			return "", err
		}
		if err == nil {
			print = w.in(value)
			break
		}
	}
	o.print.Store(&print)
	return print, nil
}

// bears says whether the key has a fingerprint: what it shows in the way of that. A key that has no such way shows nothing.
func (o *object) bears(print string, read asking) (is, shows bool, err error) {
	if known := o.print.Load(); known != nil && *known == print {
		return true, true, nil
	}
	name, _, _ := strings.Cut(print, ":")
	for i := range ways {
		w := &ways[i]
		if w.name != name || !w.can(o.conn.proof, o) {
			continue
		}
		value, err := read(w)
		if noWay(err) {
			continue
		}
		if err == nil && w.in(value) == print {
			o.print.Store(&print)
			return true, true, nil
		}
		return false, true, err
	}
	return false, false, nil
}

// known is the fingerprint as far as the token does not have to be asked for it, "" where it does.
func (o *object) known() string {
	print := ""
	if o.conn != nil { // else it is a key that is in the token only while it computes
		print, _ = o.fingerprint(func(w *way) ([]byte, error) {
			if !w.told {
				return nil, errMoved
			}
			return w.read(nil, 0, o)
		})
	}
	return print
}

// silent says whether the key has no fingerprint.
func (o *object) silent(ask asking) bool {
	print, err := o.fingerprint(ask)
	return err == nil && print == ""
}
