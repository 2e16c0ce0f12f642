package conf

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "strongroom.toml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestExample shows that the example loads, and names every key there is for this version.
func TestExample(t *testing.T) {
	c, err := Load(write(t, Example()), nil)
	require.NoError(t, err)
	require.Equal(t, "/var/lib/strongroom", c.DataDir)
	require.Equal(t, "sqlite:/var/lib/strongroom/strongroom.db", c.Store.URL)
	for _, name := range []string{"kmip", "http", "store", "entropy", "audit", "limits"} {
		require.Contains(t, Example(), "["+name+"]")
	}
	for _, name := range allNames(reflect.TypeFor[Limits](), "") {
		require.Contains(t, Example(), "\n"+name+" ")
	}
}

func TestLoadDefaults(t *testing.T) {
	path := write(t, "")
	c, err := Load(path, nil)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(filepath.Dir(path), "data", "audit.jsonl"), c.Audit.File)
	require.InDelta(t, 15.0, c.UnwrappedCacheMaxAge, 0)
	require.Empty(t, c.HSMAdmin)
}

// TestLoadAllFaults shows that all faults come at once, each with its key, and the nearest key for an unknown one.
func TestLoadAllFaults(t *testing.T) {
	_, err := Load(write(t, `
unwraped_cache_max_age = 3
hsm_admin = [""]
[kmip]
listn = "x"
listen = "nowhere"
identity = "phone"
[http]
listen = "127.0.0.1:1"
[[hsm]]
library = "relative.so"
  [[hsm.slot]]
  number = 4
  pin_file = "a"
  pin_env = "B"
  [[hsm.slot]]
  number = 4
  pin_file = "a"
[seal]
strategy = "hsm"
[limits]
batch_count = 0
`), []string{"STRONGROOM_UNWRAPPED_CACHE_MAX_AGE=soon"})
	require.Error(t, err)
	for _, want := range []string{
		"unwraped_cache_max_age: there is no such key; did you mean unwrapped_cache_max_age?",
		"kmip.listn: there is no such key; did you mean kmip.listen?",
		`hsm_admin: "" is no identity`, `kmip.listen: "nowhere"`, `kmip.identity: "phone"`, "http.listen: KMIP over HTTPS is not available",
		`hsm[0].library: "relative.so"`, "hsm[0].slot[0]: one of pin_file, pin_env and pin_credential", "hsm[0].slot[1].number: 4 is taken",
		`seal.strategy: "hsm" is not available`, "limits.batch_count: 0", `STRONGROOM_UNWRAPPED_CACHE_MAX_AGE: "soon" is no number`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestLoadSyntax(t *testing.T) {
	_, err := Load(write(t, "a = \n"), nil)
	require.ErrorContains(t, err, "line 1")
	_, err = Load(filepath.Join(t.TempDir(), "absent.toml"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestLoadEnvironment(t *testing.T) {
	c, err := Load(write(t, ""), []string{
		"STRONGROOM_KMIP_LISTEN=0.0.0.0:1", "STRONGROOM_HSM_ADMIN=a, b", "STRONGROOM_LIMITS_READ_TIMEOUT=7s", "STRONGROOM_CONFIG=other",
	})
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:1", c.KMIP.Listen)
	require.Equal(t, []string{"a", "b"}, c.HSMAdmin)
	require.Equal(t, "7s", c.Limits.ReadTimeout.String())
}

// TestShow shows that what is shown loads again and means the same.
func TestShow(t *testing.T) {
	c, err := Load(write(t, Example()), nil)
	require.NoError(t, err)
	again, err := Load(write(t, c.Show()), nil)
	require.NoError(t, err)
	again.file = c.file
	require.Equal(t, c, again)
}

func TestPIN(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	require.NoError(t, os.WriteFile(path, []byte("1234\n"), 0o644))
	s := Slot{PINFile: path}
	_, err := s.PIN()
	require.ErrorContains(t, err, "mode 0644")
	require.NoError(t, os.Chmod(path, 0o600))
	pin, err := s.PIN()
	require.NoError(t, err)
	require.Equal(t, "1234", string(pin))
	t.Setenv("STRONGROOM_TEST_PIN", "")
	_, err = (&Slot{PINEnv: "STRONGROOM_TEST_PIN"}).PIN()
	require.ErrorContains(t, err, "empty")
}

func TestCheckSafe(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "strongroom.toml")
	require.NoError(t, os.Mkdir(filepath.Join(folder, "tls"), 0o700))
	for _, name := range []string{"tls/server.crt", "tls/ca.crt", "tls/server.key", "master.key"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), nil, 0o600))
	}
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	c, err := Load(path, nil)
	require.NoError(t, err)
	require.NoError(t, c.CheckSafe())
	require.NoError(t, os.Chmod(filepath.Join(folder, "master.key"), 0o640))
	require.NoError(t, os.Remove(filepath.Join(folder, "tls", "ca.crt")))
	err = c.CheckSafe()
	require.ErrorContains(t, err, "seal.master_key_file")
	require.ErrorContains(t, err, "kmip.client_ca")
}
