package password

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Longest is the longest password, in bytes.
const Longest = 1024

// A hash is what a password is compared with.
type hash interface {
	matches(password []byte) bool
}

// argon is argon2id (RFC 9106).
type argon struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, key    []byte
}

// What New hashes with: 19 MiB and two passes, some 20 ms.
const (
	argonMemory = 19 << 10
	argonTime   = 2
)

// Bounds of what a file may ask of argon2id: memory in KiB.
const (
	mostMemory  = 256 << 10
	mostTime    = 16
	mostThreads = 16
)

func (a *argon) derive(password []byte) []byte {
	return argon2.IDKey(password, a.salt, a.time, a.memory, a.threads, uint32(len(a.key)))
}

func (a *argon) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(a.derive(password), a.key) == 1
}

// String is the hash as a file has it.
func (a *argon) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads, b64.EncodeToString(a.salt), b64.EncodeToString(a.key))
}

// New hashes a password with argon2id, for a file. The salt is from crypto/rand.
func New(password []byte) (string, error) {
	if len(password) == 0 || len(password) > Longest {
		return "", fmt.Errorf("a password has 1 to %d bytes", Longest)
	}
	a := newArgon()
	a.key = a.derive(password)
	return a.String(), nil
}

func newArgon() *argon {
	a := &argon{memory: argonMemory, time: argonTime, threads: 1, salt: make([]byte, 16), key: make([]byte, 32)}
	rand.Read(a.salt)
	return a
}

// HashOf is what a file has for the Hashed Password credential: S1, and the SHA-256 of S2.
func HashOf(username string, password []byte) string {
	h := halvesOf(username, password)
	return "sha256:" + hex.EncodeToString(h.first[:]) + ":" + hex.EncodeToString(h.second[:])
}

func halvesOf(username string, password []byte) (h halves) {
	s1, s2 := sha256.New(), sha256.New()
	s1.Write([]byte(username))
	s1.Write(password)
	s2.Write(password)
	s2.Write([]byte(username))
	s1.Sum(h.first[:0])
	h.second = sha256.Sum256(s2.Sum(nil))
	return h
}

// blowfish is bcrypt, which takes 72 bytes of a password.
type blowfish []byte

const mostCost = 16

func (b blowfish) matches(password []byte) bool {
	return len(password) <= 72 && bcrypt.CompareHashAndPassword(b, password) == nil
}

// parseHash reads a hash of a file.
func parseHash(s string) (hash, error) {
	if !strings.HasPrefix(s, "$argon2id$") {
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || len(s) != 60 {
			return nil, errors.New("it is a hash of neither argon2id nor bcrypt")
		}
		if cost > mostCost {
			return nil, fmt.Errorf("the cost of bcrypt is %d, at most %d is taken", cost, mostCost)
		}
		return blowfish(s), nil
	}
	parts := strings.Split(s, "$")
	malformed := errors.New("it is not $argon2id$v=19$m=…,t=…,p=…$SALT$HASH")
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, malformed
	}
	a := new(argon)
	var rest string
	if n, _ := fmt.Sscanf(parts[3]+" ", "m=%d,t=%d,p=%d%s", &a.memory, &a.time, &a.threads, &rest); n != 3 {
		return nil, malformed
	}
	var errSalt, errKey error
	a.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	a.key, errKey = base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case errSalt != nil || errKey != nil || len(a.salt) < 8 || len(a.key) < 16 || len(a.key) > 64:
		return nil, malformed
	case a.memory == 0 || a.memory > mostMemory || a.time == 0 || a.time > mostTime || a.threads == 0 || a.threads > mostThreads:
		return nil, fmt.Errorf("argon2id is taken with at most %d KiB, %d passes and %d threads", mostMemory, mostTime, mostThreads)
	}
	return a, nil
}
