package tests

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// elsewhere is an empty folder for another installation, which listens where the first one did not.
func (s *site) elsewhere() *site {
	s.t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(s.dir), "other")
	require.NoError(s.t, err)
	return &site{t: s.t, dir: filepath.Join(dir, "site"), address: s.address, log: new(lockedBuffer)}
}

// carry copies files of the site to another: what is not in a package.
func (s *site) carry(to *site, names ...string) {
	s.t.Helper()
	require.NoError(s.t, os.MkdirAll(to.dir, 0o700))
	for _, name := range names {
		to.write(name, s.read(name))
	}
}

func (s *site) config() string { return s.path("strongroom.toml") }

// backup writes a backup and gives its path.
func (s *site) backup() string {
	s.t.Helper()
	file := filepath.Join(filepath.Dir(s.dir), fmt.Sprintf("backup-%d.tar", len(s.log.String())))
	s.must(s.strongroomd("backup", "create", file, "--config", s.config()))
	info, err := os.Stat(file)
	require.NoError(s.t, err)
	require.Equal(s.t, os.FileMode(0o600), info.Mode().Perm())
	return file
}

// members are the contents of a package by name.
func members(t *testing.T, file string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	all := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all[h.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

// TestX57BackupRestore: a backup of a server under load, restored on an empty machine, has every object that was there when it began;
// without its protectors it is refused, and they are named.
func TestX57BackupRestore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	create(t, c, aes("hsm::4::kek"))
	material := map[string][]byte{}
	for i := range 20 {
		uid := fmt.Sprintf("k%d", i)
		a := aes(uid)
		if i%2 == 1 {
			a = wrappedBy(a, "hsm::4::kek")
		}
		create(t, c, a)
		material[uid] = get(t, c, uid, 0).Material
	}
	revoke(t, c, "k0")

	// Requests go on meanwhile.
	other := s.client("admin", ttlv.V2_1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				create(t, other, aes(fmt.Sprintf("meanwhile%d", i)))
			}
		}
	})
	file := s.backup()
	close(stop)
	wg.Wait()
	require.NotContains(t, strings.Join(s.names("data"), " "), "snapshot")
	require.Contains(t, s.must(s.strongroomd("backup", "verify", file, "--hashes-only")), "each as its hash says")
	s.stop()
	verified := s.must(s.strongroomd("backup", "verify", file, "--config", s.config()))
	require.Contains(t, verified, "10 objects under uid:hsm::4::kek")

	restore := func(to *site, more ...string) result {
		return s.strongroomd(append([]string{"restore", file, "--dir", to.dir}, more...)...)
	}
	lost := s.elsewhere()
	said := s.refused(restore(lost))
	require.Contains(t, said, "master.key")
	require.NoDirExists(t, lost.dir, "nothing stays behind")
	wrong := s.write("wrong.key", []byte(strings.Repeat("5a", 32)))
	require.Regexp(t, `master key [0-9a-f]{16} does not open slot 1 \(file:[0-9a-f]{16}\)`, s.refused(restore(lost, "-m", wrong)))
	require.NoDirExists(t, lost.dir)

	// Another token in the same place: the wrapping key is named.
	require.NoError(t, os.Rename(s.path("softhsm"), s.path("softhsm.away")))
	another := newSite(t)
	copyTree(t, another.path("softhsm"), s.path("softhsm"))
	conf := string(s.read("softhsm.away/softhsm2.conf"))
	s.write("softhsm/softhsm2.conf", []byte(conf))
	another.carry(lost, "hsm-4.pin")
	said = s.refused(restore(lost, "-m", s.path("master.key")))
	require.Contains(t, said, "uid:hsm::4::kek, which 10 objects need, is missing")
	require.Equal(t, []string{"hsm-4.pin"}, lost.names("."), "nothing but what was there")
	require.NoError(t, os.RemoveAll(s.path("softhsm")))
	require.NoError(t, os.Rename(s.path("softhsm.away"), s.path("softhsm")))

	s.carry(lost, "hsm-4.pin", "master.key")
	told := s.must(restore(lost))
	require.Contains(t, told, "strongroomd serve --config")
	require.Contains(t, s.refused(restore(lost)), "is there already: nothing was changed")
	copyTree(t, s.path("clients"), lost.path("clients"))
	lost.serve()
	c = lost.client("admin", ttlv.V2_1)
	for uid, want := range material {
		require.Equal(t, want, get(t, c, uid, 0).Material, uid)
		if uid != "k0" {
			works(t, c, uid)
		}
	}
	e := refusal(t, perform(t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k0", CryptographicParameters: gcm, Data: []byte("x")}))
	require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState, e.Reason, "revoked stays revoked")
	require.Contains(t, s.refused(restore(lost)), "a server runs in")
	create(t, c, aes("new"))
}

// names lists a folder of the site.
func (s *site) names(folder string) (all []string) {
	entries, err := os.ReadDir(s.path(folder))
	require.NoError(s.t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	require.NoError(t, exec.Command("chmod", "-R", "go-rwx", to).Run())
}

// TestBackupHoldsNothingClear: neither a key, nor the master key, nor the PIN, and none where a key file is in clear.
func TestBackupHoldsNothingClear(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	material, _ := s.pemKeys()
	s.write("passwords.toml", []byte("# a secret-of-passwords\n"))
	s.write("strongroom.toml", bytes.Replace(s.read("strongroom.toml"), []byte("[kmip]\n"), []byte("[kmip]\npasswords = \"passwords.toml\"\n"), 1))
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	register(t, c, aes("registered"), material.add("a registered key"))
	create(t, c, aes("created"))
	material["a created key"] = get(t, c, "created", 0).Material
	private, _ := createPair(t, c, usable("ec", kmip.CryptographicAlgorithmEC, 256))
	material["an elliptic private key"] = get(t, c, private, kmip.KeyFormatTypeTransparentECPrivateKey).Components.D.FillBytes(make([]byte, 32))
	material["the PIN"] = bytes.TrimSpace(s.read("hsm-4.pin"))
	material["the master key"] = masterKey(t, s.read("master.key"))
	material["the passwords"] = []byte("secret-of-passwords")

	backup := s.backup()
	standby := filepath.Join(filepath.Dir(s.dir), "standby.tar")
	s.must(s.strongroomd("standby", "create", standby, "--host", "east.example.com", "--with-database", "--config", s.config()))
	for _, file := range []string{backup, standby} {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, material.in(data), file)
		require.NotContains(t, string(data), "PRIVATE KEY")
		require.Contains(t, string(data), "registered", "the search did not see the database")
		for name, content := range members(t, file) {
			require.Empty(t, material.in(content), name)
		}
	}
	require.NotContains(t, members(t, standby), "files/tls/ca.key.enc", "a standby does not issue certificates")
	require.Contains(t, members(t, backup), "files/passwords.toml.sealed")

	s.must(s.keys("decrypt-all", "--yes"))
	for _, running := range []bool{true, false} {
		if !running {
			s.stop()
		}
		refused := filepath.Join(filepath.Dir(s.dir), "refused.tar")
		said := s.refused(s.strongroomd("backup", "create", refused, "--config", s.config()))
		require.Contains(t, said, "is in clear")
		require.NoFileExists(t, refused)
		require.NoFileExists(t, refused+".part")
	}
	require.Contains(t, s.refused(s.strongroomd("backup", "create", backup, "--config", s.config())), "is there already")
	s.audits(`"event":"backup create"`)
	s.audits(`"event":"standby create"`)

	// Restored, the passwords are what they were.
	to := s.elsewhere()
	s.carry(to, "hsm-4.pin")
	s.must(s.strongroomd("restore", backup, "--dir", to.dir, "-m", s.path("master.key")))
	require.Equal(t, s.read("passwords.toml"), to.read("passwords.toml"))
}

// TestBackupTampered: a package with any byte changed is refused, and so is one whose manifest was made to fit.
func TestBackupTampered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := s.backup()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	bad := filepath.Join(filepath.Dir(s.dir), "bad.tar")
	refused := func(what string, data []byte, hashesToo bool) {
		t.Helper()
		require.NoError(t, os.WriteFile(bad, data, 0o600))
		r := s.strongroomd("backup", "verify", bad, "--config", s.config())
		require.Equal(t, 1, r.code, "%s: %s", what, r.stdout)
		if hashesToo {
			require.Equal(t, 1, s.strongroomd("backup", "verify", bad, "--hashes-only").code, what)
		}
		to := s.elsewhere()
		s.carry(to, "hsm-4.pin", "master.key")
		require.Equal(t, 1, s.strongroomd("restore", bad, "--dir", to.dir).code, what)
		require.Equal(t, []string{"hsm-4.pin", "master.key"}, to.names("."), what)
	}
	flip := func(what string) []byte {
		at := bytes.Index(data, []byte(what))
		require.Positive(t, at)
		changed := bytes.Clone(data)
		changed[at+len(what)/2] ^= 1
		return changed
	}
	refused("a file", flip("SQLite format 3"), true)
	refused("the configuration", flip("master_key_file"), true)
	refused("the end", data[:len(data)-4096], true)
	refused("nothing", nil, true)
	refused("the host of the manifest", bytes.Replace(data, []byte(`"kind": "backup"`), []byte(`"kind": "b4ckup"`), 1), false)

	// A configuration of somebody else's, with a hash that fits: the MAC does not.
	refused("a manifest that fits", s.forge(file), false)
	require.Contains(t, s.refused(s.strongroomd("backup", "verify", bad, "--config", s.config())), "MAC")
	require.Contains(t, s.must(s.strongroomd("backup", "verify", file, "--config", s.config())), "0 objects open")
}

// TestX56Standby: a package for another host has only encrypted keys; unpacked there, with the master key, it serves TLS with its own
// certificate, and has the same root key.
func TestX56Standby(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	create(t, c, aes("k"))
	material := get(t, c, "k", 0).Material
	for _, database := range []bool{true, false} {
		file := filepath.Join(filepath.Dir(s.dir), fmt.Sprintf("standby-%v.tar", database))
		args := []string{"standby", "create", file, "--host", "east.example.com", "--host", "localhost", "--config", s.config()}
		if database {
			args = append(args, "--with-database")
		}
		s.must(s.strongroomd(args...))
		all := members(t, file)
		require.Contains(t, all, "files/tls/server.key.enc")
		require.NotContains(t, all, "files/tls/server.key")
		require.True(t, bytes.HasPrefix(all["files/tls/server.key.enc"], []byte("SRMENVLP")))
		require.NotEqual(t, s.read("tls/server.key.enc"), all["files/tls/server.key.enc"])

		to := s.elsewhere()
		to.address = freeAddress(t)
		s.carry(to, "hsm-4.pin")
		require.Contains(t, s.refused(s.strongroomd("restore", file, "--dir", to.dir, "-m", s.path("master.key"))), "it is a standby, not a backup")
		s.must(s.strongroomd("standby", "unpack", file, "--dir", to.dir, "--master-key", s.path("master.key")))
		require.Contains(t, s.refused(s.strongroomd("standby", "unpack", file, "--dir", to.dir, "--master-key", s.path("master.key"))), "already")
		s.carry(to, "master.key")
		copyTree(t, s.path("clients"), to.path("clients"))
		to.serve("--listen", to.address)
		require.Equal(t, "strongroom", to.dial("admin").ConnectionState().PeerCertificates[0].Subject.CommonName)
		require.Contains(t, to.dial("admin").ConnectionState().PeerCertificates[0].DNSNames, "east.example.com")
		there := to.client("admin", ttlv.V2_1)
		if database {
			require.Equal(t, material, get(t, there, "k", 0).Material)
		} else {
			e := refusal(t, perform(t, there, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}))
			require.Equal(t, kmip.ResultReasonObjectNotFound, e.Reason)
			works(t, there, create(t, there, aes("")))
		}
		to.stop()
	}
	require.Equal(t, 2, s.strongroomd("standby", "create", "x.tar", "--config", s.config()).code, "without a host")
}

// forge is a package whose configuration was exchanged, with a manifest that has its hash.
func (s *site) forge(file string) []byte {
	s.t.Helper()
	f, err := os.Open(file)
	require.NoError(s.t, err)
	defer f.Close()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	all := members(s.t, file)
	evil := append(all["files/strongroom.toml"], "# and more\n"...)
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(s.t, err)
		content := all[h.Name]
		switch h.Name {
		case "manifest.json":
			before := all["files/strongroom.toml"]
			content = bytes.Replace(content, fmt.Appendf(nil, `"%x"`, sha256.Sum256(before)), fmt.Appendf(nil, `"%x"`, sha256.Sum256(evil)), 1)
			content = bytes.Replace(content, fmt.Appendf(nil, `"size": %d,`, len(before)), fmt.Appendf(nil, `"size": %d,`, len(evil)), 1)
		case "files/strongroom.toml":
			content = evil
		}
		h.Size = int64(len(content))
		require.NoError(s.t, w.WriteHeader(h))
		_, err = w.Write(content)
		require.NoError(s.t, err)
	}
	require.NoError(s.t, w.Close())
	return out.Bytes()
}
