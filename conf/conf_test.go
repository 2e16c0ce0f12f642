package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "strongroom.toml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestExample shows that the example loads, and has every key but those for what this version does not have.
func TestExample(t *testing.T) {
	c, err := Load(write(t, Example()), nil)
	require.NoError(t, err)
	require.Equal(t, "/var/lib/strongroom", c.DataDir)
	require.Equal(t, "sqlite:/var/lib/strongroom/strongroom.db", c.Store.URL)
	places := lines(Example())
	for _, name := range allNames(reflect.TypeFor[Config](), "") {
		name = strings.ReplaceAll(strings.Replace(strings.Replace(name, "hsm.slot", "hsm[0].slot[0]", 1), "seal.previous.", "seal.previous[0].", 1), "hsm.", "hsm[0].")
		if _, ok := places[name]; !ok {
			require.Contains(t, []string{
				"hsm", "hsm[0].slot", "hsm[0].slot[0].token_serial", "hsm[0].slot[0].slot_id", "hsm[0].slot[0].slot_index",
				"hsm[0].slot[0].pin_env", "hsm[0].slot[0].pin_credential",
				"seal.previous", "seal.previous[0].slot", "seal.previous[0].key_label", "seal.previous[0].key_id",
			}, name)
		}
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

// TestLoadAllFaults shows that all faults come at once, in the order of the file, each with its line or variable and its
// key, and the nearest key for an unknown one.
func TestLoadAllFaults(t *testing.T) {
	path := write(t, `unwraped_cache_max_age = 3
hsm_admin = ["", "a\u0000"]
create = "everyone"
key_encryption_key = "hsm::9::k"
[kmip]
listn = "x"
listen = "nowhere"
identity = "phone"
tls_min = 1.2
[http]
listen = "127.0.0.1:https"
[store]
url = "postgres://u:hunter2@db/x"
[[hsm]]
library = "relative.so"
isolation = "thread"
  [[hsm.slot]]
  number = -1
  pin_file = "a"
  pin_env = "B"
[[hsm]]
library = "/a.so"
env = { A = 1 }
  [[hsm.slot]]
  number = 4
  pin_file = "a"
  [[hsm.slot]]
  number = 4
  token_lable = "x"
  pin_credential = "../a"
[seal]
strategy = "hsm"
key_label = "k"
[entropy]
mode = "lava"
[limits]
batch_count = 0
read_timeout = 30
requests_per_second = nan
[zebra]
`)
	_, err := Load(path, []string{"STRONGROOM_UNWRAPPED_CACHE_MAX_AGE=soon", "STRONGROOM_KMIP_LISTEM=x", "STRONGROOM_AUDIT_FILE="})
	require.EqualError(t, err, path+`:
  STRONGROOM_KMIP_LISTEM: there is no such variable; did you mean STRONGROOM_KMIP_LISTEN?
  STRONGROOM_AUDIT_FILE: audit.file: the audit log needs a file
  STRONGROOM_UNWRAPPED_CACHE_MAX_AGE: unwrapped_cache_max_age: a number is wanted
  line 1: unwraped_cache_max_age: there is no such key; did you mean unwrapped_cache_max_age?
  line 2: hsm_admin[0]: "" is no identity: it is empty
  line 2: hsm_admin[1]: "a\x00" is no identity: it contains a control character
  line 3: create: a list of strings is wanted
  line 4: key_encryption_key: "hsm::9::k": slot 9 is not configured
  line 6: kmip.listn: there is no such key; did you mean kmip.listen?
  line 7: kmip.listen: "nowhere": an address is host:port
  line 8: kmip.identity: "phone": the field of a certificate is cn, email, uri or dns
  line 9: kmip.tls_min: a string is wanted
  line 11: http.listen: "127.0.0.1:https": the port is a number to 65535
  line 13: store.url: PostgreSQL is not available in this version; the url is sqlite:PATH
  line 15: hsm[0].library: "relative.so": the path of a PKCS#11 module is absolute
  line 16: hsm[0].isolation: "thread": auto, none or process
  line 17: hsm[0].slot[0]: one of pin_file, pin_env and pin_credential has the PIN; 2 are given
  line 18: hsm[0].slot[0].number: a whole number from 0, below 2^32, is wanted
  line 23: hsm[1].env.A: a string is wanted
  line 28: hsm[1].slot[1].number: 4 is taken by hsm[1].slot[0]
  line 29: hsm[1].slot[1].token_lable: there is no such key; did you mean hsm.slot.token_label?
  line 30: hsm[1].slot[1].pin_credential: "../a": the name of a file in $CREDENTIALS_DIRECTORY
  line 35: entropy.mode: "lava": "off" or "augmentation"
  line 37: limits.batch_count: 0: a number from 1 to 1048576
  line 38: limits.read_timeout: a duration such as "30s" is wanted
  line 39: limits.requests_per_second: a number is wanted
  line 40: zebra: there is no such key`)
}

func TestLoadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`data_dir = ""`:                                     "data_dir: a folder is needed",
		`unwrapped_cache_max_age = 0`:                       "unwrapped_cache_max_age: 0: ",
		`unwrapped_cache_max_age = 1e300`:                   "unwrapped_cache_max_age: 1e+300: ",
		`unwrapped_cache_max_age = inf`:                     "unwrapped_cache_max_age: a number is wanted",
		`unwrapped_cache_max_life = -1`:                     "unwrapped_cache_max_life: -1: ",
		`unwrapped_cache_size = -1`:                         "unwrapped_cache_size: -1: ",
		`key_encryption_key = "hsm::four::k"`:               "key_encryption_key: ",
		`key_encryption_key = "hsm::04::k"`:                 "key_encryption_key: ",
		`key_encryption_key = "hsm::4::"`:                   "key_encryption_key: ",
		`key_encryption_key = "hsm::4"`:                     "key_encryption_key: ",
		`kmip = 4`:                                          "kmip: a table is wanted",
		"[kmip]\nlisten = \":65536\"":                       "kmip.listen: ",
		"[http]\nlisten = \"nowhere\"":                      "http.listen: ",
		"[http]\nlisten = \"127.0.0.1:5696\"":               "http.listen: \"127.0.0.1:5696\" is the address of [kmip]",
		"[kmip]\ntls_min = \"1.1\"":                         "kmip.tls_min: ",
		"[kmip]\ntls_min=\"1.3\"\ntls_insecure_suites=true": "kmip.tls_insecure_suites: those suites are of TLS 1.2",
		"[kmip]\ncertificate = \"\"":                        "kmip.certificate: a file is needed",
		"[store]\nurl = \"mysql:x\"":                        "store.url: ",
		"[store]\nurl = \"sqlite:\"":                        "store.url: ",
		"hsm = 4":                                           "hsm: a list of tables is wanted",
		"hsm = [4]":                                         "hsm[0]: a table is wanted",
		"[[hsm]]\nlibrary = \"/a\"":                         "hsm[0]: it has no [[hsm.slot]]",
		"[[hsm]]\nisolation = \"often\"":                    "hsm[0].isolation: ",
		"[[hsm]]\nenv = 4":                                  "hsm[0].env: a table of strings is wanted",
		"[[hsm]]\nenv = { \"A=B\" = \"x\" }":                "hsm[0].env: ",
		"[[hsm]]\nlibrary=\"/a\"\n[[hsm]]\nlibrary=\"/a\"":  "hsm[1].library: /a is in hsm[0] already",
		"[[hsm]]\n[[hsm.slot]]\nslot_index = -1":            "hsm[0].slot[0].slot_index: -1: ",
		"[[hsm]]\n[[hsm.slot]]\nslot_id = -1":               "hsm[0].slot[0].slot_id: ",
		"[[hsm]]\n[[hsm.slot]]\nmax_sessions = -1":          "hsm[0].slot[0].max_sessions: -1: ",
		"[[hsm]]\n[[hsm.slot]]\nmax_sessions = 1025":        "hsm[0].slot[0].max_sessions: 1025: a number from 0 to 1024",
		"[[hsm]]\ncalls_at_once = -1":                       "hsm[0].calls_at_once: -1: ",
		"[[hsm]]\ncalls_at_once = 1025":                     "hsm[0].calls_at_once: 1025: a number from 0 to 1024",
		"[[hsm]]\n[[hsm.slot]]\ntoken_label = \"" + strings.Repeat("x", 33) + "\"": "hsm[0].slot[0].token_label: ",
		"[[hsm]]\n[[hsm.slot]]\ntoken_serial = \"12345678901234567\"":              "hsm[0].slot[0].token_serial: ",
		"[seal]\nstrategy = \"paper\"":                                             "seal.strategy: ",
		"[[seal.previous]]\nslot = 3":                                              "seal.previous[0].strategy: ",
		"[[seal.previous]]\nstrategy=\"software\"":                                 "seal.previous[0].master_key_file: ",
		"[[seal.previous]]\nstrategy=\"hsm\"\nslot=7":                              "seal.previous[0].slot: slot 7 is not configured",
		"[seal]\ngenerate_key = true":                                              "seal.generate_key: it is for the strategy \"hsm\"",
		"[seal]\nstrategy = \"hsm\"":                                               "seal.key_label: ",
		"[seal]\nkey_id = \"xyz\"\nstrategy=\"hsm\"":                               "seal.key_id: ",
		"[seal]\nmechanism = -1":                                                   "seal.mechanism: ",
		"[seal]\nmechanism = \"CKM AES\"":                                          "seal.mechanism: ",
		"[seal]\nrsa_oaep_hash = \"md5\"":                                          "seal.rsa_oaep_hash: ",
		"[seal]\nhealth_interval = \"-1s\"":                                        "seal.health_interval: ",
		"[seal]\ngenerate_key = \"yes\"":                                           "seal.generate_key: true or false is wanted",
		"[entropy]\nmode = \"lava\"":                                               "entropy.mode: ",
		"[entropy]\nmode = \"augmentation\"":                                       "entropy.slot: 0: no",
		"[entropy]\nscope = \"some\"":                                              "entropy.scope: ",
		"[entropy]\nusers = [\"a\"]":                                               "entropy.users: they are for",
		"[entropy]\nscope = \"opt-in\"\nusers = [\"\"]":                            "entropy.users[0]: ",
		"[entropy]\nseed = -2":                                                     "entropy.seed: ",
		"[entropy]\nseed = 4097":                                                   "entropy.seed: ",
		"[audit]\nfile = \"\"":                                                     "audit.file: ",
		"[limits]\nmessage_size = 1_000_000_000":                                   "limits.message_size: ",
		"[limits]\nidle_timeout = \"-1s\"":                                         "limits.idle_timeout: ",
		"[limits]\nasynchronous_keep = \"0s\"":                                     "limits.asynchronous_keep: ",
		"[limits]\nasynchronous_bytes = 0":                                         "limits.asynchronous_bytes: ",
		"[limits]\nrequests_per_second = -1":                                       "limits.requests_per_second: ",
		"create = [\"" + strings.Repeat("x", 257) + "\"]":                          "create[0]: ",
		"create = [\"a\u202eb\"]":                                                  "create[0]: ",
		"create = [4]":                                                             "create[0]: a string is wanted",

		"[[hsm]]\n[[hsm.slot]]\ntoken_label=\"t\"\n[[hsm.slot]]\nnumber=5\ntoken_label=\"t\"": "hsm[0].slot[1].number: it means the token of hsm[0].slot[0]",
	} {
		_, err := Load(write(t, text), nil)
		require.ErrorContains(t, err, want, "%s", text)
		require.Regexp(t, `\n  line \d+: `, err.Error(), "%s", text)
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
		"STRONGROOM_KMIP_LISTEN=0.0.0.0:1", "STRONGROOM_HSM_ADMIN=a, b", "STRONGROOM_LIMITS_READ_TIMEOUT=7s", "STRONGROOM_CREATE=",
		"STRONGROOM_CONFIG=other", "STRONGROOM_SERVER=s", "STRONGROOM_CA=c", "STRONGROOM_CERTIFICATE=c", "STRONGROOM_PRIVATE_KEY=k",
		"STRONGROOM_SERVER_NAME=n", "STRONGROOM_KMIP_VERSION=1.4", "STRONGROOM_KMIP_PORT=tcp://10.0.0.1:5696", "STRONGROOM_PORT=4", "NONSENSE",
	})
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:1", c.KMIP.Listen)
	require.Equal(t, []string{"a", "b"}, c.HSMAdmin)
	require.Empty(t, c.Create)
	require.Equal(t, "7s", c.Limits.ReadTimeout.String())
}

// TestLoadEnvironmentLeavesSecrets shows that a variable which the file names is nobody's slip of the pen.
func TestLoadEnvironmentLeavesSecrets(t *testing.T) {
	text := "[[hsm]]\nlibrary=\"/a\"\n[[hsm.slot]]\npin_env = \"STRONGROOM_AUDIT_FIL\""
	_, err := Load(write(t, text), []string{"STRONGROOM_AUDIT_FIL=1234"})
	require.NoError(t, err)
	_, err = Load(write(t, ""), []string{"STRONGROOM_AUDIT_FIL=1234"})
	require.ErrorContains(t, err, "did you mean STRONGROOM_AUDIT_FILE?")
	require.NotContains(t, err.Error(), "1234")
}

// TestEnvironmentTwins sets every key there is outside of lists of tables by its variable, to something that is not its
// default, and by its place in the file: both come to the same.
func TestEnvironmentTwins(t *testing.T) {
	of := func(k key) (text, toml string) {
		switch {
		case k.value.Type() == durationType:
			return "17s", `"17s"`
		case k.value.Kind() == reflect.Slice:
			return "x,y", `["x", "y"]`
		case k.value.Kind() == reflect.String:
			return "word", `"word"`
		case k.value.Kind() == reflect.Bool:
			return "true", "true"
		}
		return "17", "17"
	}
	n := 0
	for _, k := range keys(reflect.ValueOf(Default()).Elem(), "") {
		text, toml := of(k)
		r, c := reading{places: map[string]string{}}, Default()
		r.environment([]string{k.variable() + "=" + text}, c)
		require.Empty(t, r.faults)
		require.NotEqual(t, Default(), c, k.path)
		require.Equal(t, k.variable(), r.places[k.path])

		table, name, found := strings.Cut(k.path, ".")
		text = name + " = " + toml
		if found {
			text = "[" + table + "]\n" + text
		} else {
			text = table + " = " + toml
		}
		f, err := decode(text)
		require.NoError(t, err)
		require.Equal(t, c, f, k.path)
		n++
	}
	require.Greater(t, n, 30)
}

// decode sets a configuration from TOML, without a look at the values.
func decode(text string) (*Config, error) {
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		return nil, err
	}
	r, c := reading{}, Default()
	r.table("", tree, reflect.ValueOf(c).Elem())
	return c, c.report(r.faults, nil)
}

func TestLines(t *testing.T) {
	got := lines(`# a = 1
a = 1
"b" = """
c = 1
[x]
"""
[t]
a.b = 1
[[l]]
a = 1
[l.in]
a = 1
[[l.deep]]
a = 1
[[l.deep]]
a = 1
[[l]]
[[l.deep]]
a = [
  "x = 1",
]
z = 1`)
	want := map[string]string{
		"a": "line 2", "b": "line 3", "t": "line 7", "t.a.b": "line 8", "l[0]": "line 9", "l[0].a": "line 10",
		"l[0].in": "line 11", "l[0].in.a": "line 12", "l[0].deep[0]": "line 13", "l[0].deep[0].a": "line 14",
		"l[0].deep[1]": "line 15", "l[0].deep[1].a": "line 16", "l[1]": "line 17", "l[1].deep[0]": "line 18",
		"l[1].deep[0].a": "line 19", "l[1].deep[0].z": "line 22",
	}
	for path, place := range want {
		require.Equal(t, place, got[path], path)
	}
}

// TestShow shows that what is shown loads again and means the same.
func TestShow(t *testing.T) {
	c, err := Load(write(t, Example()), nil)
	require.NoError(t, err)
	again, err := Load(write(t, c.Show()), nil)
	require.NoError(t, err)
	again.file, again.places = c.file, c.places
	require.Equal(t, c, again)
}

func TestShowHidesSecrets(t *testing.T) {
	c, err := Load(write(t, "[[hsm]]\nlibrary = \"/a\"\nenv = { VENDOR_PIN = \"1234\", VENDOR_CONF = \"/b\" }\n[[hsm.slot]]\npin_file = \"p\""), nil)
	require.NoError(t, err)
	require.NotContains(t, c.Show(), "1234")
	require.Contains(t, c.Show(), "/b")
	require.Equal(t, "1234", c.HSM[0].Env["VENDOR_PIN"], "what the module gets is as it was")
}

func TestPIN(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "pin")
	put := func(text string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	refused := func(s Slot, want string) {
		t.Helper()
		pin, err := s.PIN()
		require.ErrorContains(t, err, want)
		require.Empty(t, pin)
		require.NotContains(t, err.Error(), "1234")
	}
	given := func(s Slot, want string) {
		t.Helper()
		pin, err := s.PIN()
		require.NoError(t, err)
		require.Equal(t, want, string(pin))
	}
	put("1234\r\n")
	given(Slot{PINFile: path}, "1234")
	put(" 12 34 ")
	given(Slot{PINFile: path}, " 12 34 ")
	require.NoError(t, os.Chmod(path, 0o400))
	given(Slot{PINFile: path}, " 12 34 ")
	for _, mode := range []os.FileMode{0o644, 0o640, 0o620, 0o601} {
		require.NoError(t, os.Chmod(path, mode))
		refused(Slot{PINFile: path}, fmt.Sprintf("mode %04o", mode))
	}
	put("\n")
	refused(Slot{PINFile: path}, "empty")
	put(strings.Repeat("1", longestPIN+1))
	refused(Slot{PINFile: path}, "longer")
	refused(Slot{PINFile: folder}, "is not a file")
	refused(Slot{PINFile: path + "x"}, "no such file")

	t.Setenv("TEST_PIN", "1234")
	given(Slot{PINEnv: "TEST_PIN"}, "1234")
	t.Setenv("TEST_PIN", "")
	refused(Slot{PINEnv: "TEST_PIN"}, "empty")
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	refused(Slot{PINCredential: "pin"}, "CREDENTIALS_DIRECTORY")
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	put("1234")
	given(Slot{PINCredential: "pin"}, "1234")
	refused(Slot{}, "no source")
}

// site makes a folder with all that a safe configuration needs.
func site(t *testing.T) (folder string, c *Config) {
	t.Helper()
	folder = t.TempDir()
	for _, name := range []string{"tls", "data"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o700))
	}
	for _, name := range []string{"tls/server.crt", "tls/ca.crt", "tls/crl.pem", "tls/server.key", "master.key", "pin", "module.so"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), nil, 0o600))
	}
	path := filepath.Join(folder, "strongroom.toml")
	text := fmt.Sprintf("[kmip]\ncrl = \"tls/crl.pem\"\n[[hsm]]\nlibrary = %q\n[[hsm.slot]]\npin_file = \"pin\"\n", filepath.Join(folder, "module.so"))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	c, err := Load(path, nil)
	require.NoError(t, err)
	return folder, c
}

func TestX18CheckSafe(t *testing.T) {
	_, c := site(t)
	require.NoError(t, c.CheckSafe())

	for _, f := range []struct{ name, key string }{
		{"tls/server.key", "kmip.private_key"}, {"master.key", "seal.master_key_file"}, {"pin", "line 6: hsm[0].slot[0].pin_file"},
	} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
			folder, c := site(t)
			require.NoError(t, os.Chmod(filepath.Join(folder, f.name), mode))
			require.ErrorContains(t, c.CheckSafe(), f.key+": "+filepath.Join(folder, f.name), "%s %o", f.name, mode)
		}
	}
	for _, f := range []struct{ name, key string }{
		{"tls/server.crt", "kmip.certificate"}, {"tls/ca.crt", "kmip.client_ca"}, {"tls/crl.pem", "line 2: kmip.crl"},
		{"module.so", "line 4: hsm[0].library"}, {"strongroom.toml", "the file itself"},
	} {
		folder, c := site(t)
		require.NoError(t, os.Chmod(filepath.Join(folder, f.name), 0o644))
		require.NoError(t, c.CheckSafe())
		require.NoError(t, os.Chmod(filepath.Join(folder, f.name), 0o646))
		require.ErrorContains(t, c.CheckSafe(), f.key+": "+filepath.Join(folder, f.name), f.name)
		require.NoError(t, os.Remove(filepath.Join(folder, f.name)))
		require.ErrorContains(t, c.CheckSafe(), f.key+": stat "+filepath.Join(folder, f.name), f.name)
	}
	folder, c := site(t)
	require.NoError(t, os.Chmod(filepath.Join(folder, "data"), 0o770))
	require.NoError(t, os.Chmod(filepath.Join(folder, "pin"), 0o644))
	err := c.CheckSafe()
	require.ErrorContains(t, err, "data_dir: ")
	require.ErrorContains(t, err, "pin_file: ", "all at once")

	_, c = site(t)
	c.Seal.MasterKeyFile = "env:NAME"
	require.NoError(t, c.CheckSafe())
}

// TestCheck shows that what a switch changed after Load is checked as the file is.
func TestCheck(t *testing.T) {
	c, err := Load(write(t, ""), nil)
	require.NoError(t, err)
	require.NoError(t, c.Check())
	c.KMIP.Listen = "nowhere"
	require.ErrorContains(t, c.Check(), "kmip.listen")
}

// FuzzLoad shows that no file crashes it, and that what loads can be shown, loads again, and is the same.
func FuzzLoad(f *testing.F) {
	f.Add(Example())
	f.Add("[kmip]\nlisten = \":1\"\n[[hsm]]\nlibrary = \"/a\"\n  [[hsm.slot]]\n  pin_env = \"P\"\n  slot_id = 3")
	f.Add("hsm = [{ library = \"/a\", slot = [{ pin_env = \"P\" }] }]\nlimits.read_timeout = \"1s\"")
	f.Add("[hsm]\nslot = 3")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "strongroom.toml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		c, err := Load(path, nil)
		if err != nil {
			require.Nil(t, c)
			return
		}
		shown := c.Show()
		if strings.Contains(shown, hidden) {
			return
		}
		require.NoError(t, os.WriteFile(path, []byte(shown), 0o600))
		again, err := Load(path, nil)
		require.NoError(t, err, "%s", shown)
		require.Equal(t, shown, again.Show())
	})
}
