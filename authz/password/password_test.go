package password

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// A desk is a guard with a clock that stands still.
type desk struct {
	*testing.T
	*Guard
	time time.Time
}

func newDesk(t *testing.T, users ...User) *desk {
	t.Helper()
	d := &desk{T: t, time: time.Unix(1_700_000_000, 0)}
	table, err := NewTable(users)
	require.NoError(t, err)
	d.Guard = NewGuard(table, func() time.Time { return d.time })
	return d
}

// says proves a credential on a new connection.
func (d *desk) says(identity string, credential any) error {
	_, err := d.Prove(context.Background(), identity, credential, new(Proven))
	return err
}

func (d *desk) refused(err error) {
	d.Helper()
	require.Equal(d, kmip.ResultReasonAuthenticationNotSuccessful, kmip.ReasonOf(err), "%v", err)
}

func hashed(t *testing.T, password string) string {
	t.Helper()
	h, err := New([]byte(password))
	require.NoError(t, err)
	return h
}

func userPass(username, password string) *kmip.UsernameAndPassword {
	return &kmip.UsernameAndPassword{Username: username, Password: password}
}

func TestProve(t *testing.T) {
	d := newDesk(t, User{Identity: "array", Username: "unit", Password: hashed(t, "s3cret")})
	require.True(t, d.Needs("array"))
	require.False(t, d.Needs("other"))
	require.False(t, (*Guard)(nil).Needs("array"))
	require.NoError(t, d.says("array", userPass("unit", "s3cret")))
	require.NoError(t, d.says("array", userPass("unit", "s3cret")), "again")
	require.NoError(t, d.says("array", &kmip.DeviceCredential{DeviceSerialNumber: "x", MediaIdentifier: "unit", Password: "s3cret"}))
	for _, wrong := range []any{
		userPass("unit", "S3cret"), userPass("", ""), userPass("unit", ""), userPass("other", "s3cret"), userPass("unit", strings.Repeat("s", 2000)),
		&kmip.DeviceCredential{DeviceSerialNumber: "x", Password: "s3cret"}, &kmip.DeviceCredential{Password: "s3cret"},
		&kmip.OneTimePasswordCredential{Username: "unit", Password: "s3cret", OneTimePassword: "000000"},
		&kmip.HashedPasswordCredential{Username: "unit", HashedPassword: make([]byte, 64)},
	} {
		d.refused(d.says("array", wrong))
		d.time = d.time.Add(2 * mostWait)
	}
	d.refused(d.says("stranger", userPass("unit", "s3cret")))
}

func TestProveBcrypt(t *testing.T) {
	// The hash of "U*U" of the test vectors of crypt_blowfish (Openwall), which all implementations share.
	d := newDesk(t, User{Identity: "a", Username: "u", Password: "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"})
	require.NoError(t, d.says("a", userPass("u", "U*U")))
	d.refused(d.says("a", userPass("u", "U*V")))
}

// TestArgon2id has a hash of the reference implementation's tests: t = 2, m = 64 MiB, p = 1.
func TestArgon2id(t *testing.T) {
	d := newDesk(t, User{Identity: "a", Username: "u", Password: "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"})
	require.NoError(t, d.says("a", userPass("u", "password")))
	d.refused(d.says("a", userPass("u", "passwore")))
}

// TestWrongCredentialsWait: also right ones, but not on a connection that has said one.
func TestWrongCredentialsWait(t *testing.T) {
	d := newDesk(t, User{Identity: "a", Username: "u", Password: hashed(t, "right")}, User{Identity: "b", Username: "u", Password: hashed(t, "right")})
	proven := new(Proven)
	_, err := d.Prove(t.Context(), "a", userPass("u", "right"), proven)
	require.NoError(t, err)
	for range freeWrongs {
		err = d.says("a", userPass("u", "wrong"))
		d.refused(err)
	}
	require.NotContains(t, err.Error(), "try again")
	err = d.says("a", userPass("u", "right"))
	d.refused(err)
	require.Contains(t, err.Error(), "try again in 2s")
	_, err = d.Prove(t.Context(), "a", userPass("u", "right"), proven)
	require.NoError(t, err)
	require.NoError(t, d.says("b", userPass("u", "right")), "another identity")

	d.time = d.time.Add(time.Second)
	d.refused(d.says("a", userPass("u", "wrong")))
	d.time = d.time.Add(time.Second)
	require.ErrorContains(t, d.says("a", userPass("u", "right")), "try again", "the wait doubles")
	d.time = d.time.Add(time.Second)
	require.NoError(t, d.says("a", userPass("u", "right")))
	d.refused(d.says("a", userPass("u", "wrong")))
	require.NoError(t, d.says("a", userPass("u", "right")), "a right one begins anew")
}

func TestReplaceForgets(t *testing.T) {
	d := newDesk(t, User{Identity: "a", Username: "u", Password: hashed(t, "old")})
	proven := new(Proven)
	_, err := d.Prove(t.Context(), "a", userPass("u", "old"), proven)
	require.NoError(t, err)
	table, err := NewTable([]User{{Identity: "a", Username: "u", Password: hashed(t, "new")}})
	require.NoError(t, err)
	d.Replace(table)
	_, err = d.Prove(t.Context(), "a", userPass("u", "old"), proven)
	d.refused(err)
	require.NoError(t, d.says("a", userPass("u", "new")))
	d.Replace(nil)
	require.False(t, d.Needs("a"))
}

// TestCode has the vectors of RFC 6238, appendix B, of which the last six digits count.
func TestCode(t *testing.T) {
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"} {
		require.Equal(t, want, code([]byte("12345678901234567890"), at/period))
	}
}

func TestOneTimePassword(t *testing.T) {
	secret := []byte("12345678901234567890")
	d := newDesk(t, User{Identity: "a", Username: "u", Password: hashed(t, "pw"), OneTimePassword: base32.StdEncoding.EncodeToString(secret)})
	otp := func(password string, ahead int64) error {
		return d.says("a", &kmip.OneTimePasswordCredential{Username: "u", Password: password, OneTimePassword: code(secret, step(d.time)+ahead)})
	}
	d.refused(otp("pw", 0)) // it may have been used before the server started
	d.time = d.time.Add(2 * period * time.Second)
	require.NoError(t, otp("pw", 0))
	d.refused(otp("pw", 0)) // once
	d.refused(otp("pw", -1))
	d.time = d.time.Add(2 * mostWait)
	d.refused(otp("wrong", 0))
	d.refused(d.says("a", userPass("u", "pw")))
	d.time = d.time.Add(2 * mostWait)
	require.NoError(t, otp("pw", 1), "a clock that is ahead")
}

// TestHashedPassword computes the credential as KMIP 2.1 §9.11 says, and the answer as §8.5.
func TestHashedPassword(t *testing.T) {
	d := newDesk(t, User{Identity: "a", Username: "u", HashedPassword: HashOf("u", []byte("pw"))})
	sum := func(parts ...[]byte) []byte {
		h := sha256.New()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	s1, s2 := sum([]byte("u"), []byte("pw")), sum([]byte("pw"), []byte("u"))
	says := func(at time.Time, second []byte) ([]byte, []byte, error) {
		stamp := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro()))
		c := &kmip.HashedPasswordCredential{Username: "u", Timestamp: ttlv.DateTimeExtended(at.UnixMicro()), HashedPassword: append(sum(s1, stamp), second...)}
		answer, err := d.Prove(t.Context(), "a", c, new(Proven))
		return answer, sum(stamp, s1, sum(s2)), err
	}
	answer, want, err := says(d.time, s2)
	require.NoError(t, err)
	require.Equal(t, want, answer)
	_, _, err = says(d.time, s2)
	d.refused(err) // the Timestamp increases
	_, _, err = says(d.time.Add(time.Microsecond), s1)
	d.refused(err)
	_, _, err = says(d.time.Add(time.Microsecond), s2)
	require.NoError(t, err)
	_, _, err = says(d.time.Add(clocks+time.Second), s2)
	d.refused(err)
	d.time = d.time.Add(time.Hour)
	d.refused(d.says("a", userPass("u", "pw")))
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords.toml")
	users := []User{{Identity: "a b", Username: "u\"", Password: hashed(t, "pw"), HashedPassword: HashOf("u", []byte("pw"))}, {Identity: "c", Username: "u", OneTimePassword: "GEZDGNBVGY3TQOJQGEZDGNBVGY"}}
	require.NoError(t, os.WriteFile(path, Encode(users), 0o600))
	list, err := List(path)
	require.NoError(t, err)
	require.Equal(t, users, list)
	table, err := Read(path)
	require.NoError(t, err)
	require.True(t, table.Needs("a b"))

	require.NoError(t, os.Chmod(path, 0o640))
	_, err = Read(path)
	require.ErrorContains(t, err, "chmod 600")
	for text, want := range map[string]string{
		"[[user]]\nidentity = \"a\"\nusername = \"u\"\npasword = \"x\"":                    "unknown key",
		"[[user]]\nidentity = \"a\"\nusername = \"u\"\npassword = \"hunter2\"":             "neither argon2id nor bcrypt",
		"[[user]]\nidentity = \"a\"\nusername = \"u\"":                                     "there is none of",
		"[[user]]\nidentity = \"*\"\nusername = \"u\"\npassword = \"x\"":                   "one certificate",
		"[[user]]\nusername = \"u\"\npassword = \"x\"":                                     "one certificate",
		"[[user]]\nidentity = \"a\"\npassword = \"x\"":                                     "no username",
		"[[user]]\nidentity = \"a\"\nusername = \"u\"\none_time_password = \"GEZ\"":        "base32",
		"[[user]]\nidentity = \"a\"\nusername = \"u\"\nhashed_password = \"sha256:00:00\"": "64 hexadecimal digits",
		"password = \"hunter2\" x":                                                         "line 1",
		"[[user]]\nidentity = 7":                                                           "not text",
		"[[user]]\nidentity = \"a\"\nusername = \"u\"\npassword = \"$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc\"": "at most",
	} {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Read(path)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "hunter2", "an error tells a secret")
	}
}
