package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
)

// plainCommand is the first argument of the process that is the plain server; the second is a plainToken as JSON.
const plainCommand = "plain"

// A plainToken says what a plain server in Go does for each message before it answers as the echo does: one operation of the
// token, in a session of the connection, through the binding of PKCS#11 that Go programs use. It has no KMIP, no rights, no audit,
// and recovers from nothing. It is the peer beside the floor: what TLS on both sides, on the same processors, leaves of the token to a
// server that does nothing else.
type plainToken struct {
	Dir, Library, PIN, Token, Key, Operation string
	Ciphertext                               string // of decrypt, in hexadecimal
}

// servePlain is the process.
func servePlain(text string) error {
	var t plainToken
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	module := pkcs11.New(t.Library)
	if module == nil {
		return fmt.Errorf("%s cannot be loaded", t.Library)
	}
	if err := module.Initialize(); err != nil {
		return err
	}
	id, err := t.slot(module)
	if err != nil {
		return err
	}
	login, err := module.OpenSession(id, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return err
	}
	if err := module.Login(login, pkcs11.CKU_USER, t.PIN); err != nil {
		return err
	}
	operate, err := t.operation(module, login)
	if err != nil {
		return err
	}
	return serveEcho(t.Dir, func() (func() error, error) {
		session, err := module.OpenSession(id, pkcs11.CKF_SERIAL_SESSION)
		return func() error { return operate(session) }, err
	})
}

// slot finds the token by its label.
func (t *plainToken) slot(module *pkcs11.Ctx) (uint, error) {
	ids, err := module.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if info, err := module.GetTokenInfo(id); err == nil && info.Label == t.Token {
			return id, nil
		}
	}
	return 0, fmt.Errorf("no token %q", t.Token)
}

// operation is what is done for each message: what the token's floor does under that name.
func (t *plainToken) operation(module *pkcs11.Ctx, s pkcs11.SessionHandle) (func(pkcs11.SessionHandle) error, error) {
	class := uint(pkcs11.CKO_PRIVATE_KEY)
	if t.Operation == "gcm" {
		class = pkcs11.CKO_SECRET_KEY
	}
	err := module.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.Key)})
	if err != nil {
		return nil, err
	}
	found, _, err := module.FindObjects(s, 2)
	if err = errors.Join(err, module.FindObjectsFinal(s)); err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d keys %q, must be one", len(found), t.Key)
	}
	ciphertext, err := hex.DecodeString(t.Ciphertext)
	if err != nil {
		return nil, err
	}
	var count atomic.Uint64
	sign := func(mechanism uint, data []byte) func(pkcs11.SessionHandle) error {
		return func(s pkcs11.SessionHandle) error {
			if err := module.SignInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, found[0]); err != nil {
				return err
			}
			_, err := module.Sign(s, data)
			return err
		}
	}
	switch t.Operation {
	case "gcm":
		return func(s pkcs11.SessionHandle) error {
			iv := fmt.Appendf(nil, "%012x", count.Add(1))[:12]
			p := pkcs11.NewGCMParams(iv, nil, 128)
			defer p.Free()
			if err := module.EncryptInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, p)}, found[0]); err != nil {
				return err
			}
			_, err := module.Encrypt(s, make([]byte, 64))
			return err
		}, nil
	case "decrypt":
		return func(s pkcs11.SessionHandle) error {
			if err := module.DecryptInit(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_X_509, nil)}, found[0]); err != nil {
				return err
			}
			_, err := module.Decrypt(s, ciphertext)
			return err
		}, nil
	case "sign":
		return sign(pkcs11.CKM_SHA256_RSA_PKCS, make([]byte, 64)), nil
	case "ecdsa":
		return sign(pkcs11.CKM_ECDSA, make([]byte, 32)), nil
	}
	return nil, fmt.Errorf("operation %q", t.Operation)
}

// plain puts a trial's load on a plain server before the trial's token, for the row.
func (b *bench) plain(ctx context.Context, t *trial, x []*exchange, r *row) (err error) {
	text, err := json.Marshal(plainToken{
		Dir: b.site.dir, Library: b.token.library, PIN: b.token.pin, Token: tokenLabel, Key: t.token.label, Operation: t.token.operation,
		Ciphertext: hex.EncodeToString(b.token.ciphertext),
	})
	if err != nil {
		return err
	}
	server, err := startEcho(func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), b.token.env...) }, plainCommand, string(text))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	o, err := quietly(r, func() (*outcome, error) { return b.loadOn(server, t, x, b.duration/turns).run(ctx) })
	if err != nil {
		return fmt.Errorf("the plain server: %w", err)
	}
	r.Plain = o.rate()
	return nil
}

// loadOn is a trial's load on an echo in place of the server.
func (b *bench) loadOn(e *echoProcess, t *trial, x []*exchange, d time.Duration) *load {
	l := b.load(t, x)
	l.address, l.prime, l.process = e.address, true, process{e.cmd.Process.Pid}
	l.warmUp, l.duration = b.warmUp/turns, d
	return l
}
