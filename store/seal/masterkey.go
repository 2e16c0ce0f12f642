package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// masterKeySize is the length of a master key in bytes; of the root key, too.
const masterKeySize = 32

// A MasterKey is 32 secret bytes that an operator keeps in a file: the protector of the software strategy.
type MasterKey struct {
	memoryProtector
	fingerprint string
}

// NewMasterKey makes a protector of 32 bytes, which it does not keep.
func NewMasterKey(key []byte) (*MasterKey, error) {
	if len(key) != masterKeySize {
		return nil, fmt.Errorf("a master key is %d bytes, not %d", masterKeySize, len(key))
	}
	wrapping, err := subkey(key, "master key: wrap")
	if err != nil {
		return nil, err
	}
	defer clear(wrapping)
	public, err := subkey(key, "master key: fingerprint")
	if err != nil {
		return nil, err
	}
	cipher, err := newXAES(wrapping)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(public)
	fingerprint := hex.EncodeToString(sum[:8])
	return &MasterKey{memoryProtector{"file:" + fingerprint, cipher}, fingerprint}, nil
}

// Fingerprint names the key without giving it away: the first 8 bytes, in hexadecimal, of the SHA-256 of a value derived
// from it.
func (m *MasterKey) Fingerprint() string { return m.fingerprint }

// String names the key in messages.
func (m *MasterKey) String() string { return "master key " + m.fingerprint }

// ReadMasterKey reads a master key from where source says: a file of mode 0600 or less, "-" for stdin, "env:NAME" for an
// environment variable, "credential:NAME" for a file in $CREDENTIALS_DIRECTORY. The key is written as 32 raw bytes,
// hexadecimal, or base64.
func ReadMasterKey(source string, stdin io.Reader) (*MasterKey, error) {
	text, err := readSource(source, stdin)
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	defer clear(text)
	key, err := decodeMasterKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the master key from %s: %w", source, err)
	}
	defer clear(key)
	return NewMasterKey(key)
}

// maxSource bounds what is read of a master key; any spelling of 32 bytes is shorter.
const maxSource = 4096

func readSource(source string, stdin io.Reader) ([]byte, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch {
	case source == "":
		return nil, errors.New("no source is given")
	case source == "-":
		return io.ReadAll(io.LimitReader(stdin, maxSource))
	case kind == "env":
		text, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("the environment has no %s", name)
		}
		return []byte(text), nil
	case kind == "credential":
		folder := os.Getenv("CREDENTIALS_DIRECTORY")
		if folder == "" || name != filepath.Base(name) {
			return nil, fmt.Errorf("there is no credential %q: CREDENTIALS_DIRECTORY is %q", name, folder)
		}
		return readSecretFile(filepath.Join(folder, name))
	}
	return readSecretFile(source)
}

// readSecretFile reads a file that only its owner may read.
func readSecretFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s has mode %04o: others than its owner can read or change it; run chmod 600", path, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, maxSource))
}

// decodeMasterKey reads 32 bytes in any of the spellings.
func decodeMasterKey(text []byte) ([]byte, error) {
	word := bytes.TrimSpace(text)
	key := make([]byte, len(word))
	if n, err := hex.Decode(key, word); err == nil {
		return exact(key[:n])
	}
	if len(text) == masterKeySize {
		return bytes.Clone(text), nil
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if n, err := e.Decode(key, word); err == nil && n == masterKeySize {
			return key[:n], nil
		}
	}
	clear(key)
	return exact(text)
}

// exact refuses a key that is too short or too long.
func exact(key []byte) ([]byte, error) {
	if len(key) != masterKeySize {
		return nil, fmt.Errorf("%d bytes: a master key is %d bytes, raw, in hexadecimal or in base64", len(key), masterKeySize)
	}
	return key, nil
}

// CreateMasterKey writes a new random master key to a file that must not exist, in hexadecimal, mode 0600. Before the file is there, note
// hears its reference; an error of it ends the matter. Note may be nil.
func CreateMasterKey(path string, note func(reference string) error) (*MasterKey, error) {
	secret := make([]byte, masterKeySize)
	defer clear(secret)
	rand.Read(secret)
	text := append(hex.AppendEncode(nil, secret), '\n')
	defer clear(text)
	key, err := NewMasterKey(secret)
	if err == nil && note != nil {
		err = note(key.Reference())
	}
	if err == nil {
		err = NewFile(path, func(w io.Writer) error { _, err := w.Write(text); return err })
	}
	if err != nil {
		return nil, fmt.Errorf("creating the master key: %w", err)
	}
	return key, nil
}

// subkey derives a key of 32 bytes for one purpose. RFC 5869, with SHA-256; the input is uniformly random, so there is no
// salt.
func subkey(key []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, key, nil, "strongroom "+purpose, 32)
}
