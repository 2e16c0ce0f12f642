package tests

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// keys runs a command about the server's key files.
func (s *site) keys(args ...string) result {
	s.t.Helper()
	return s.strongroomd(append([]string{"keys", args[0], "--config", s.path("strongroom.toml")}, args[1:]...)...)
}

// keyVariable is the variable that names a key file to what keys exec runs.
func keyVariable(name string) string {
	return "STRONGROOM_KEYFILE_" + strings.ToUpper(strings.NewReplacer("/", "_", ".", "_").Replace(name))
}

// serverKey is a private key of the server or of a client, in whatever form it is there.
func (s *site) serverKey(name string) []byte {
	s.t.Helper()
	if _, err := os.Stat(s.path(name)); err == nil {
		return s.read(name)
	}
	return []byte(s.must(s.keys("exec", "--", "sh", "-c", "cat $"+keyVariable(name))))
}

// pemKeys are the private keys of the server, and what of them must not be found.
func (s *site) pemKeys() (secrets, map[string][]byte) {
	s.t.Helper()
	found, whole := secrets{}, map[string][]byte{}
	for _, name := range []string{"tls/server.key", "tls/ca.key"} {
		whole[name] = s.serverKey(name)
		block, _ := pem.Decode(whole[name])
		require.NotNil(s.t, block)
		require.Len(s.t, block.Bytes, 138) // PKCS #8 of P-256: the scalar is at 36, the second line of PEM begins at 48
		found[name] = block.Bytes[48:68]
	}
	return found, whole
}

// TestX48KeysEncrypt: of the key files only FILE.enc remains, counted, mode 0600, and a second run has nothing to do; with a server
// running, and without.
func TestX48KeysEncrypt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	encrypted := func() {
		t.Helper()
		for _, name := range []string{"tls/server.key", "tls/ca.key"} {
			require.NoFileExists(t, s.path(name))
			info, err := os.Stat(s.path(name + ".enc"))
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
		}
		entries, err := os.ReadDir(s.path("tls"))
		require.NoError(t, err)
		require.Len(t, entries, 4)
	}
	encrypted() // from birth
	material, whole := s.pemKeys()
	require.Zero(t, material.searchNone(t, s.dir))
	for _, running := range []bool{false, true} {
		if running {
			s.serve()
		}
		require.Contains(t, s.must(s.keys("encrypt")), "0 key files of 2 encrypted")
		require.Contains(t, s.must(s.keys("decrypt-all", "--yes")), "2 key files of 2 decrypted")
		for name, content := range whole {
			require.Equal(t, content, s.read(name))
			require.NoFileExists(t, s.path(name+".enc"))
		}
		require.NotZero(t, material.searchNone(t, s.dir), "the search finds what is there")
		require.Contains(t, s.must(s.keys("status")), "2 clear")
		require.Contains(t, s.must(s.keys("encrypt")), "2 key files of 2 encrypted")
		encrypted()
		require.Zero(t, material.searchNone(t, s.dir))
	}
	// What happened is in the audit log, whether a server was there or not.
	audit := string(s.read("data/audit.jsonl"))
	for _, act := range []string{"keys encrypt", "keys decrypt-all", "keys exec"} {
		require.Contains(t, audit, `"event":"`+act+`","by":"uid `)
	}
	s.must(s.strongroomd("audit", "verify", "--config", s.path("strongroom.toml")))

	// A renewed key beside the envelope is told of, not overwritten.
	s.write("tls/server.key", []byte("another"))
	require.Contains(t, s.refused(s.keys("encrypt")), "--replace")
	require.Contains(t, s.refused(s.keys("decrypt-all", "--yes")), "another key")
	require.NoError(t, os.Remove(s.path("tls", "server.key")))
}

// searchNone is how many files under dir have one of the secrets.
func (s secrets) searchNone(t *testing.T, dir string) (n int) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(dir + "/" + path)
		if len(s.in(data)) > 0 {
			n++
		}
		return err
	}))
	return n
}

// TestX49X50KeysUnlock: TLS works from memory with no clear key on any disk. TestX50: locked, KMIP is refused on open connections and on
// new ones; unlocked, both work again, and a restart unlocks by itself.
func TestX49X50KeysUnlock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	material, _ := s.pemKeys()
	s.serve()
	s.logs(`"key source"=memory`)
	c := s.client("admin", ttlv.V2_1)
	create(t, c, aes("k"))
	works(t, c, "k")
	require.Zero(t, material.searchNone(t, s.dir))
	require.Contains(t, s.must(s.keys("status")), "2 encrypted, unlocked")

	require.Contains(t, s.must(s.keys("lock")), "Locked: 2 key files out of the server's memory.")
	e := refusal(t, perform(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}))
	require.Equal(t, "the server keys are locked", e.Message)
	_, err := tls.Dial("tcp", s.address, s.tls("admin"))
	require.Error(t, err)
	var status struct {
		Serving, Sealed, Unlocked bool
		Files                     []struct{ Name, State string }
	}
	require.NoError(t, json.Unmarshal([]byte(s.must(s.keys("status", "--json"))), &status))
	require.True(t, status.Serving)
	require.False(t, status.Unlocked)
	require.Equal(t, "encrypted", status.Files[0].State)
	s.hangup(reread) // reading the configuration again unlocks nothing
	_, err = tls.Dial("tcp", s.address, s.tls("admin"))
	require.Error(t, err)

	require.Contains(t, s.must(s.keys("unlock")), "Unlocked: 2 key files")
	works(t, c, "k")
	works(t, s.client("admin", ttlv.V1_4), "k")
	s.audits(`"event":"keys lock","by":"uid `)

	s.must(s.keys("lock"))
	s.stop()
	require.Contains(t, s.refused(s.keys("unlock")), "no server answers")
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), "k")

	// A clear key file cannot be locked.
	s.must(s.keys("decrypt-all", "--yes"))
	require.Contains(t, s.refused(s.keys("lock")), "in clear")
	works(t, s.client("admin", ttlv.V2_1), "k")
}

// TestX51KeysDecryptAll: the originals come back to the byte, and only for who says --yes.
func TestX51KeysDecryptAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, whole := s.pemKeys()
	require.Equal(t, 2, s.keys("decrypt-all").code)
	s.must(s.keys("decrypt-all", "--yes"))
	for name, content := range whole {
		require.Equal(t, content, s.read(name))
		info, err := os.Stat(s.path(name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
	s.serve()
	s.logs(`"key source"=file`)

	// With another master key, which is named, nothing is changed.
	s.must(s.keys("encrypt"))
	s.stop()
	other := s.write("other.key", []byte(strings.Repeat("5a", 32)))
	said := s.refused(s.keys("decrypt-all", "--yes", other))
	require.Regexp(t, `master key [0-9a-f]{16} does not open slot 1 \(file:[0-9a-f]{16}\)`, said)
	require.NoFileExists(t, s.path("tls", "server.key"))
	require.Equal(t, 1, s.keys("exec", "-m", other, "--", "true").code)
}

// TestX52KeysExec: a command reads the keys through descriptors, with nothing on a disk, whether the server is locked, unlocked or not
// there; its exit code is the command's.
func TestX52KeysExec(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	s := newSite(t)
	material, _ := s.pemKeys()
	look := func(args ...string) {
		t.Helper()
		script := openssl + " pkey -noout -text -in $" + keyVariable("tls/server.key") + "; readlink $" + keyVariable("tls/ca.key") + "; ls " + s.path("tls")
		out := s.must(s.keys(append(append([]string{"exec"}, args...), "--", "sh", "-c", script)...))
		require.Contains(t, out, "ASN1 OID: prime256v1")
		require.Contains(t, out, "/memfd:strongroom:tls/ca.key")
		require.NotContains(t, out, "server.key\n")
		require.Zero(t, material.searchNone(t, s.dir))
	}
	look()
	look("-m", s.path("master.key"))
	require.Equal(t, 7, s.keys("exec", "--", "sh", "-c", "exit 7").code)
	s.serve()
	look()
	s.must(s.keys("lock"))
	look()
	s.addClient("another") // issued by the authority whose key is encrypted, too
	s.must(s.keys("unlock"))
	works(t, s.client("another", ttlv.V2_1), create(t, s.client("another", ttlv.V2_1), aes("")))
	require.Equal(t, 1, s.keys("exec", "--", "there-is-no-such-program").code)
	cannot := `printf x >> $` + keyVariable("tls/server.key")
	require.NotZero(t, s.keys("exec", "--", "sh", "-c", cannot).code, "the file in memory can be changed")
}

// TestKeysCrash kills the server in the middle of changes of its key files, many times: it starts again and serves.
func TestKeysCrash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, whole := s.pemKeys()
	for range 4 {
		s.serve()
		done, stop := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				a := exec.Command(bin+"/strongroomd", "keys", "decrypt-all", "--yes", "--config", s.path("strongroom.toml"))
				b := exec.Command(bin+"/strongroomd", "keys", "encrypt", "--config", s.path("strongroom.toml"))
				_, _ = a.Run(), b.Run() // they fail when the server dies
			}
		}()
		c := s.client("admin", ttlv.V2_1)
		for range 20 {
			do[kmip.WhoAmIResponse](t, c, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
		}
		s.kill()
		close(stop)
		<-done
	}
	s.serve()
	s.must(s.keys("encrypt"))
	for name, content := range whole {
		require.Equal(t, content, s.serverKey(name))
	}
	_, err := io.WriteString(io.Discard, s.must(s.keys("status")))
	require.NoError(t, err)
}
