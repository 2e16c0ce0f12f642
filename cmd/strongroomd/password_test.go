package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/authz/password"
	"strongroom/kmip"
)

// withPasswords is an installation whose configuration names a file of passwords, and that file.
func withPasswords(t *testing.T) (config, path string) {
	t.Helper()
	config = filepath.Join(initialise(t), configName)
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(string(text), "[kmip]\n", "[kmip]\npasswords = \"passwords.toml\"\n", 1)), 0o600))
	return config, filepath.Join(filepath.Dir(config), "passwords.toml")
}

func TestClientPassword(t *testing.T) {
	config, path := withPasswords(t)
	said := filepath.Join(t.TempDir(), "said")
	change := func(text string, args ...string) string {
		require.NoError(t, os.WriteFile(said, []byte(text), 0o600))
		args = append([]string{"client", "password", "array", "--config", config}, args...)
		if text != "" {
			args = append(args, "--password-file", said)
		}
		stdout, stderr, code := strongroomd(t, args...)
		require.Equal(t, exitDone, code, stderr)
		return stdout
	}
	proves := func(credential any) error {
		table, err := password.Read(path)
		require.NoError(t, err)
		_, err = password.NewGuard(table, nil).Prove(t.Context(), "array", credential, new(password.Proven))
		return err
	}
	require.Contains(t, change("first\r\nnot this\n"), "must say the password of array")
	require.NoError(t, proves(&kmip.UsernameAndPassword{Username: "array", Password: "first"}))
	change("second\n")
	require.Error(t, proves(&kmip.UsernameAndPassword{Username: "array", Password: "first"}))
	require.NoError(t, proves(&kmip.UsernameAndPassword{Username: "array", Password: "second"}))
	require.Contains(t, change("third", "--username", "unit", "--one-time"), "otpauth://totp/Strongroom:unit?issuer=Strongroom&secret=")
	require.Error(t, proves(&kmip.UsernameAndPassword{Username: "unit", Password: "third"}), "the one-time password is missing")
	require.NoError(t, proves(&kmip.UsernameAndPassword{Username: "array", Password: "second"}))
	change("", "--remove")
	require.Error(t, proves(&kmip.UsernameAndPassword{Username: "array", Password: "second"}))
	change("", "--remove", "--username", "unit")
	table, err := password.Read(path)
	require.NoError(t, err)
	require.False(t, table.Needs("array"))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestClientPasswordRefuses(t *testing.T) {
	bare := filepath.Join(initialise(t), configName)
	config, path := withPasswords(t)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no file":     {[]string{"array", "--config", bare, "--password-file", empty}, exitError, "kmip.passwords names no file"},
		"no password": {[]string{"array", "--config", config, "--password-file", empty}, exitError, "1 to 1024 bytes"},
		"nobody":      {[]string{"array", "--config", config, "--remove"}, exitError, `has no user name "array" there`},
		"everyone":    {[]string{"*", "--config", config, "--password-file", empty}, exitMisused, "stands for everyone"},
		"both":        {[]string{"array", "--config", config, "--password-file", empty, "--remove"}, exitMisused, "--remove goes with --username alone"},
	} {
		_, stderr, code := strongroomd(t, append([]string{"client", "password"}, test.args...)...)
		require.Equal(t, test.code, code, "%s: %s", name, stderr)
		require.Contains(t, stderr, test.want, name)
	}
	require.NoFileExists(t, path)
}
