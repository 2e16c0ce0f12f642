package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/conf"
	"strongroom/store"
	"strongroom/store/seal"
)

// strongroomd runs the program within this one and returns what it printed and what it ended with.
func strongroomd(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), args, &out, &err)
	return out.String(), err.String(), code
}

// initialise makes an installation in a new folder with the flags given, and returns the folder.
func initialise(t *testing.T, flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "strong room") // a name that has to be quoted
	stdout, stderr, code := strongroomd(t, append([]string{"init", dir}, flags...)...)
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, "strongroomd serve --config '"+dir+"/strongroom.toml'")
	return dir
}

// tree lists what stands in dir, with modes.
func tree(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	modes := map[string]fs.FileMode{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		modes[name] = info.Mode().Perm()
		return err
	}))
	return modes
}

func TestInit(t *testing.T) {
	dir := initialise(t, "--listen", "0.0.0.0:5700", "--admin", "ops@example.com")
	for name, mode := range tree(t, dir) {
		if strings.HasSuffix(name, ".crt") {
			require.Equal(t, fs.FileMode(0o644), mode&^0o022, name)
			continue
		}
		require.Zero(t, mode&0o077, "others have rights on %s: %04o", name, mode)
	}

	c, err := conf.Load(filepath.Join(dir, configName), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"ops@example.com"}, c.HSMAdmin)
	require.Equal(t, "0.0.0.0:5700", c.KMIP.Listen)
	require.Equal(t, filepath.Join(dir, "tls", "server.crt"), c.KMIP.Certificate)
	require.Equal(t, filepath.Join(dir, "data"), c.DataDir)
	require.Empty(t, c.HSM)

	output, ok := openssl(t, "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost",
		"-CAfile", filepath.Join(dir, "tls", "ca.crt"), filepath.Join(dir, "tls", "server.crt"))
	require.True(t, ok, output)
	output, ok = openssl(t, "x509", "-noout", "-subject", "-in", filepath.Join(dir, "clients", "ops@example.com.crt"))
	require.True(t, ok, output)
	require.Contains(t, output, "CN = ops@example.com")
	text, err := os.ReadFile(filepath.Join(dir, "clients", "ops@example.com.toml"))
	require.NoError(t, err)
	require.Contains(t, string(text), `"localhost:5700"`)
}

func TestInitMakesRootKey(t *testing.T) {
	dir := initialise(t)
	c, err := conf.Load(filepath.Join(dir, configName), nil)
	require.NoError(t, err)
	s, err := store.Open(t.Context(), c.Store.URL, store.Options{})
	require.NoError(t, err)
	defer s.Close()

	other, err := seal.NewMasterKey(make([]byte, 32))
	require.NoError(t, err)
	require.Error(t, s.Root().Unseal(t.Context(), other))
	master, err := seal.ReadMasterKey(c.Seal.MasterKeyFile, nil)
	require.NoError(t, err)
	require.NoError(t, s.Root().Unseal(t.Context(), master))
	require.True(t, s.Root().Unsealed())
}

func TestInitWithSoftHSM(t *testing.T) {
	if _, err := findSoftHSM(); err != nil {
		t.Skip(err)
	}
	dir := initialise(t, "--softhsm", "--slot", "7")
	c, err := conf.Load(filepath.Join(dir, configName), nil)
	require.NoError(t, err)
	require.Len(t, c.HSM, 1)
	require.Equal(t, map[string]string{"SOFTHSM2_CONF": filepath.Join(dir, "softhsm", "softhsm2.conf")}, c.HSM[0].Env)
	require.Equal(t, []conf.Slot{{Number: 7, TokenLabel: "strongroom", PINFile: filepath.Join(dir, "hsm-7.pin")}}, c.HSM[0].Slots)
	for name, mode := range tree(t, dir) {
		require.True(t, strings.HasSuffix(name, ".crt") || mode&0o077 == 0, "others have rights on %s: %04o", name, mode)
	}
	require.NoFileExists(t, filepath.Join(dir, "softhsm", "softhsm2.conf.new"))

	// The token stands where the configuration says, and its PIN is the one in the file.
	pin, err := os.ReadFile(c.HSM[0].Slots[0].PINFile)
	require.NoError(t, err)
	login := func(pin string) (string, error) {
		tool, err := exec.LookPath("pkcs11-tool")
		if err != nil {
			t.Skip("pkcs11-tool (opensc) is not installed")
		}
		list := exec.Command(tool, "--module", c.HSM[0].Library, "--token-label", "strongroom", "--login", "--pin", pin, "--list-objects")
		list.Env = append(os.Environ(), "SOFTHSM2_CONF="+c.HSM[0].Env["SOFTHSM2_CONF"])
		output, err := list.CombinedOutput()
		return string(output), err
	}
	output, err := login(strings.TrimSpace(string(pin)))
	require.NoError(t, err, output)
	output, err = login("1234")
	require.Error(t, err)
	require.Contains(t, output, "CKR_PIN_INCORRECT")
}

func TestInitRefusesAnInstallation(t *testing.T) {
	dir := initialise(t)
	before := tree(t, dir)
	config, err := os.ReadFile(filepath.Join(dir, configName))
	require.NoError(t, err)

	_, stderr, code := strongroomd(t, "init", dir, "--admin", "mallory")
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, filepath.Join(dir, configName)+" is there already: nothing was changed")
	require.Equal(t, before, tree(t, dir))
	after, err := os.ReadFile(filepath.Join(dir, configName))
	require.NoError(t, err)
	require.Equal(t, config, after)

	// What is left of an installation whose configuration is lost is as dear.
	require.NoError(t, os.Remove(filepath.Join(dir, configName)))
	_, stderr, code = strongroomd(t, "init", dir)
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "is there already")
}

func TestInitKeepsForeignFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes"), []byte("mine"), 0o644))
	_, stderr, code := strongroomd(t, "init", dir)
	require.Equal(t, exitDone, code, stderr)
	require.FileExists(t, filepath.Join(dir, "notes"))
	require.FileExists(t, filepath.Join(dir, configName))
}

func TestInitLeavesNothingBehind(t *testing.T) {
	t.Run("a folder that was not there", func(t *testing.T) {
		parent := t.TempDir()
		i := installation{dir: filepath.Join(parent, "new"), listen: "127.0.0.1:5696", admin: "admin", slot: 4, now: fixedClock}
		i.softhsm = &softhsm{library: "/nowhere/libsofthsm2.so", util: "/nowhere/softhsm2-util"}
		require.ErrorContains(t, i.make(t.Context()), "making a SoftHSM token")
		require.Equal(t, []string{"."}, names(tree(t, parent)))
	})
	t.Run("a folder that was there", func(t *testing.T) {
		dir := t.TempDir()
		i := installation{dir: dir, listen: "127.0.0.1:5696", admin: "admin", slot: 4, now: fixedClock}
		i.softhsm = &softhsm{library: "/nowhere/libsofthsm2.so", util: "/bin/false"}
		require.ErrorContains(t, i.make(t.Context()), "making a SoftHSM token")
		require.Equal(t, []string{"."}, names(tree(t, dir)))
	})
	t.Run("an entry that came meanwhile", func(t *testing.T) {
		dir := t.TempDir()
		staging, err := newStaging(t.TempDir(), initPrefix)
		require.NoError(t, err)
		i := installation{dir: dir, listen: "127.0.0.1:5696", admin: "admin", slot: 4, now: fixedClock}
		require.NoError(t, i.build(t.Context(), staging.path))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "data", "theirs"), 0o700))
		require.Error(t, i.move(staging))
		require.NoError(t, staging.close())
		require.Equal(t, []string{".", "data", "data/theirs"}, names(tree(t, dir)))
	})
}

func TestInitMisuse(t *testing.T) {
	for _, args := range [][]string{
		{"init"},
		{"init", "a", "b"},
		{"init", "a", "--listen", "localhost"},
		{"init", "a", "--listen", "localhost:0"},
		{"init", "a", "--listen", "localhost:kmip"},
		{"init", "a", "--admin", "*"},
		{"init", "a", "--admin", "../admin"},
		{"init", "a", "--slot", "-1"},
		{"init", "a", "--nonsense"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Chdir(t.TempDir())
			_, stderr, code := strongroomd(t, args...)
			require.Equal(t, exitMisused, code, stderr)
			require.Contains(t, stderr, "strongroomd init --help")
			require.NoDirExists(t, "a")
		})
	}
}

func TestTOMLString(t *testing.T) {
	require.Equal(t, `"a\"b\\c\u000A\u007Fé"`, tomlString("a\"b\\c\n\x7fé"))
}
