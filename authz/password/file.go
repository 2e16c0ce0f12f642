package password

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
)

// A User is one table of the file: the holder of a certificate with that identity has to say the rest, too.
type User struct {
	Identity        string `toml:"identity"`
	Username        string `toml:"username"`                    // of the credential; for a Device, one of its identifiers
	Password        string `toml:"password,omitempty"`          // $argon2id$… or $2b$…
	HashedPassword  string `toml:"hashed_password,omitempty"`   // HashOf
	OneTimePassword string `toml:"one_time_password,omitempty"` // the secret, in base32 (RFC 6238)
}

// file is the whole file.
type file struct {
	User []User `toml:"user"`
}

// A Table is what a file says. It does not change.
type Table struct {
	users map[string][]*user // by identity
}

// A user is a User, ready to be compared with.
type user struct {
	name     string
	password hash       // nil without one
	hashed   *halves    // of a Hashed Password; nil without one
	secret   []byte     // of one-time passwords; nil without one
	state    *[2]string // identity and name: what its state is kept under
}

// longestFile is in bytes.
const longestFile = 1 << 20

// Read reads a file of users, which nobody but its owner may read or write.
func Read(path string) (*Table, error) {
	list, err := List(path)
	if err != nil {
		return nil, err
	}
	t, err := NewTable(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// List reads the users of a file as they stand there.
func List(path string) ([]User, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %v: others may read or write it; chmod 600 it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, longestFile+1))
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if len(text) > longestFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, longestFile)
	}
	var all file
	meta, err := toml.Decode(string(text), &all)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax): // not its text, which quotes the line
		return nil, fmt.Errorf("%s: line %d is not TOML", path, syntax.Position.Line)
	case err != nil:
		return nil, fmt.Errorf("%s: a value is not text", path)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: unknown key %q", path, unknown[0])
	}
	return all.User, nil
}

// header begins a file.
const header = `# Who must say a password beside showing a certificate. Written by: strongroomd client password IDENTITY
`

// Encode is the text of a file.
func Encode(users []User) []byte {
	var b bytes.Buffer
	b.WriteString(header)
	for _, u := range users {
		b.WriteString("\n[[user]]\n")
		e := toml.NewEncoder(&b)
		if err := e.Encode(u); err != nil {
			panic(err) // the struct is made of what TOML has
		}
	}
	return b.Bytes()
}

// NewTable makes a table of users. The error lists every fault, and no secret.
func NewTable(users []User) (*Table, error) {
	t := &Table{users: make(map[string][]*user)}
	var faults []error
	for i := range users {
		if err := t.add(&users[i]); err != nil {
			faults = append(faults, fmt.Errorf("user %d, of identity %q: %w", i+1, users[i].Identity, err))
		}
	}
	return t, errors.Join(faults...)
}

func (t *Table) add(given *User) (err error) {
	u := &user{name: given.Username, state: &[2]string{given.Identity, given.Username}}
	switch {
	case given.Identity == "" || given.Identity == "*":
		return errors.New("the identity is that of one certificate")
	case given.Username == "":
		return errors.New("there is no username")
	case given.Password == "" && given.HashedPassword == "" && given.OneTimePassword == "":
		return errors.New("there is none of password, hashed_password and one_time_password")
	case t.user(given.Identity, given.Username) != nil:
		return fmt.Errorf("the username %q is given twice", given.Username)
	}
	if given.Password != "" {
		if u.password, err = parseHash(given.Password); err != nil {
			return fmt.Errorf("password: %w", err)
		}
	}
	if given.HashedPassword != "" {
		if u.hashed, err = parseHalves(given.HashedPassword); err != nil {
			return fmt.Errorf("hashed_password: %w", err)
		}
	}
	if given.OneTimePassword != "" {
		if u.secret, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(given.OneTimePassword); err != nil || len(u.secret) < 16 {
			return errors.New("one_time_password: it is not the base32 of 16 bytes or more")
		}
	}
	t.users[given.Identity] = append(t.users[given.Identity], u)
	return nil
}

// Needs says whether requests of an identity need a credential.
func (t *Table) Needs(identity string) bool { return t != nil && len(t.users[identity]) > 0 }

// user is the one of that name, nil where there is none.
func (t *Table) user(identity string, names ...string) *user {
	if t == nil {
		return nil
	}
	for _, u := range t.users[identity] {
		for _, name := range names {
			if u.name == name {
				return u
			}
		}
	}
	return nil
}

// halves are what a Hashed Password is compared with: S1, and the hash of S2 (KMIP 2.1 §9.11).
type halves struct {
	first, second [32]byte
}

// parseHalves reads what HashOf wrote.
func parseHalves(s string) (*halves, error) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 || parts[0] != "sha256" {
		return nil, errors.New("it is not sha256:S1:HASH")
	}
	h := new(halves)
	for i, into := range []*[32]byte{&h.first, &h.second} {
		b, err := hex.DecodeString(parts[i+1])
		if err != nil || len(b) != len(into) {
			return nil, errors.New("it is not sha256:S1:HASH, each in 64 hexadecimal digits")
		}
		copy(into[:], b)
	}
	return h, nil
}
