package tests

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// secrets are what must not be found, by what they are.
type secrets map[string][]byte

// spellings are the forms in which a secret would give itself away: raw, in hexadecimal, and in base64 at each of the
// three places it can have in what is encoded.
func spellings(secret []byte) [][]byte {
	h := hex.EncodeToString(secret)
	all := [][]byte{secret, []byte(h), []byte(strings.ToUpper(h))}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for before := range 3 {
			text := encoding.EncodeToString(append(make([]byte, before), secret...))
			whole := (before + len(secret)) / 3 * 4 // what does not depend on the bytes behind
			all = append(all, []byte(text[(before*8+5)/6:whole]))
		}
	}
	return all
}

// in lists which secrets are in data.
func (s secrets) in(data []byte) (found []string) {
	for name, secret := range s {
		for _, form := range spellings(secret) {
			if bytes.Contains(data, form) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

// search looks for the secrets in every file under dir, but for those whose own file it is.
func (s secrets) search(t *testing.T, dir string, own map[string]string) (files int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		name, err := filepath.Rel(dir, path)
		for _, found := range s.in(data) {
			if own[found] != name {
				t.Errorf("%s: there is %s in it", name, found)
			}
		}
		return err
	}))
	return files
}

// add makes a secret of 32 random bytes.
func (s secrets) add(name string) []byte {
	s[name] = make([]byte, 32)
	rand.Read(s[name])
	return s[name]
}

// TestSecretsIn makes sure that the search of TestNothingClearAtRest can find something.
func TestSecretsIn(t *testing.T) {
	s := secrets{}
	key := s.add("a key")
	require.Empty(t, s.in([]byte("nothing")))
	for before := range 4 {
		around := append(append(bytes.Repeat([]byte{0xA5}, before), key...), 0x5A, 0xA5)
		for _, text := range []string{
			string(around), hex.EncodeToString(around), strings.ToUpper(hex.EncodeToString(around)),
			base64.StdEncoding.EncodeToString(around), base64.RawURLEncoding.EncodeToString(around),
		} {
			require.Equal(t, []string{"a key"}, s.in([]byte("before "+text+" behind")))
		}
	}
}

// TestNothingClearAtRest keeps keys of known bytes in every class there is, uses them, and looks for the bytes in every file
// of the site: while serving, with the database's write-ahead log, and after; in a backup, in a package for a standby, and in what
// they are restored to. The server's own private keys are among them.
func TestNothingClearAtRest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	want, _ := s.pemKeys()
	var uids []string
	keep := func(name string, a kmip.Attributes) {
		uids = append(uids, register(t, c, a, want.add(name)))
	}

	create(t, c, aes("hsm::4::kek"))
	createPair(t, c, usable("hsm::4::pair", kmip.CryptographicAlgorithmRSA, 2048))
	keep("a registered key", aes("registered"))
	keep("a key under an AES key in the token", wrappedBy(aes("under-aes"), "hsm::4::kek"))
	keep("a key under an RSA key in the token", wrappedBy(aes("under-rsa"), "hsm::4::pair_pk"))
	keep("a key under a database key", wrappedBy(aes("under-database"), "registered"))
	keep("a key brought into the token", aes("hsm::4::brought").With(ttlv.TagSensitive, false).With(ttlv.TagExtractable, true))
	do[kmip.ImportResponse](t, c, kmip.OperationImport, &kmip.ImportRequest{
		UniqueIdentifier: "imported", ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("").With(ttlv.TagSensitive, true),
		Value: rawKey(kmip.CryptographicAlgorithmAES, want.add("an imported key")),
	})
	do[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{
		ObjectType: kmip.ObjectTypeSecretData, Attributes: named("password"),
		Value: kmip.Value{SecretData: &kmip.SecretData{SecretDataType: kmip.SecretDataTypePassword, KeyBlock: kmip.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeOpaque, KeyValue: &kmip.KeyValue{Material: want.add("a password")},
		}}},
	})
	do[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{
		ObjectType: kmip.ObjectTypeOpaqueObject, Attributes: wrappedBy(named("opaque"), "hsm::4::kek"),
		Value: kmip.Value{OpaqueObject: &kmip.OpaqueObject{OpaqueDataType: 0x80000001, OpaqueDataValue: want.add("an opaque object")}},
	})
	uids = append(uids, create(t, c, aes("created")), create(t, c, aes("hsm::4::open").With(ttlv.TagSensitive, false)))
	want["a created key"] = get(t, c, "created", 0).Material
	want["a key in the token that may leave"] = get(t, c, "hsm::4::open", 0).Material
	require.Len(t, want["a key in the token that may leave"], 32)
	private, _ := createPair(t, c, usable("rsa", kmip.CryptographicAlgorithmRSA, 2048))
	want["a prime of a private key"] = get(t, c, private, kmip.KeyFormatTypeTransparentRSAPrivateKey).Components.P.Bytes()
	private, _ = createPair(t, c, wrappedBy(usable("ec", kmip.CryptographicAlgorithmEC, 256), "hsm::4::pair_pk"))
	want["an elliptic private key"] = get(t, c, private, kmip.KeyFormatTypeTransparentECPrivateKey).Components.D.FillBytes(make([]byte, 32))

	s.stop()
	s.serve("--key-encryption-key", "hsm::4::kek")
	c = s.client("admin", ttlv.V2_1)
	keep("a key under the key-encryption key", aes("under-kek"))
	uids = append(uids, create(t, c, aes("created-under-kek")))
	want["a key created under the key-encryption key"] = get(t, c, "created-under-kek", 0).Material
	for _, uid := range uids {
		works(t, c, uid)
	}

	own := map[string]string{"the PIN": "hsm-4.pin", "the master key": "master.key"}
	want["the PIN"] = bytes.TrimSpace(s.read("hsm-4.pin"))
	want["the master key"] = masterKey(t, s.read("master.key"))
	require.FileExists(t, s.path("data", "strongroom.db-wal"))
	packages := []string{s.backup(), filepath.Join(filepath.Dir(s.dir), "standby.tar")}
	s.must(s.strongroomd("standby", "create", packages[1], "--host", "localhost", "--with-database", "--config", s.config()))
	for _, file := range packages {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, want.in(data), file)
		require.Contains(t, string(data), "under-rsa", "the search did not see the database")
	}
	require.Greater(t, want.search(t, s.dir, own), 20)
	s.stop()
	want.search(t, s.dir, own)
	require.Empty(t, want.in([]byte(s.log.String())), "in what the server logs")
	restored := s.elsewhere()
	s.carry(restored, "hsm-4.pin")
	s.must(s.strongroomd("restore", packages[0], "--dir", restored.dir, "-m", s.path("master.key")))
	require.Greater(t, want.search(t, restored.dir, own), 6)
	require.Contains(t, string(s.read("data/strongroom.db")), "under-rsa", "the search did not see the database")
}

// masterKey is the 32 bytes of a master key file, however it spells them.
func masterKey(t *testing.T, text []byte) []byte {
	t.Helper()
	trimmed := string(bytes.TrimSpace(text))
	if key, err := hex.DecodeString(trimmed); err == nil {
		return key
	}
	if key, err := base64.StdEncoding.DecodeString(trimmed); err == nil && len(key) == 32 {
		return key
	}
	require.Len(t, text, 32)
	return text
}

// TestTokenKeysStay has another program look at what the server made in the token.
func TestTokenKeysStay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	create(t, c, aes("hsm::4::symmetric"))
	createPair(t, c, usable("hsm::4::pair", kmip.CryptographicAlgorithmRSA, 2048))
	for _, kind := range []string{"secrkey", "privkey"} {
		listed := s.tool("-O", "--type", kind)
		require.Regexp(t, `Access:\s+sensitive, always sensitive, never extract[ai]ble`, listed)
		require.Equal(t, 1, strings.Count(listed, "label:"), listed)
	}
	for _, uid := range []kmip.UniqueIdentifier{"hsm::4::symmetric", "hsm::4::pair"} {
		for op, q := range map[kmip.Operation]any{
			kmip.OperationGet:    &kmip.GetRequest{UniqueIdentifier: uid},
			kmip.OperationExport: &kmip.ExportRequest{UniqueIdentifier: uid},
		} {
			e := refusal(t, perform(t, c, op, q))
			require.Equal(t, kmip.ResultReasonSensitive, e.Reason, "%v %s: %v", op, uid, e)
		}
	}
}
