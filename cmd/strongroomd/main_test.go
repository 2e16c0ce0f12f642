package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestEveryCommandExplainsItself(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		if !cmd.HasSubCommands() {
			require.Contains(t, cmd.Example, cmd.CommandPath(), "the example of %s", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			stdout, stderr, code := strongroomd(t, append(strings.Fields(sub.CommandPath())[1:], "--help")...)
			require.Equal(t, exitDone, code, stderr)
			require.Contains(t, stdout, "--config FILE", sub.CommandPath())
			visit(sub)
		}
	}
	visit(rootCommand())
}

func TestMisuse(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"sreve", `unknown command "sreve"`},
		{"confg", `did you mean "config"?`},
		{"config chekc", `did you mean "check"?`},
		{"config check extra", `unknown command "extra"`},
		{"version --nonsense", "unknown flag: --nonsense"},
		{"audit verify a b", "accepts at most 1 arg"},
		{"hsm generate --purpose data", "--key-label is needed"},
		{"hsm rewrap --from hsm::4::old", "--to is needed"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			stdout, stderr, code := strongroomd(t, strings.Fields(test.args)...)
			require.Equal(t, exitMisused, code)
			require.Contains(t, stderr, test.want)
			require.Contains(t, stderr, "--help' for how it is used")
			require.Empty(t, stdout)
		})
	}
}

func TestVersion(t *testing.T) {
	stdout, _, code := strongroomd(t, "version")
	require.Equal(t, exitDone, code)
	require.Regexp(t, `^strongroomd \S+.* go1\.\S+ \w+/\w+\n$`, stdout)
}

func TestConfigCheck(t *testing.T) {
	dir := initialise(t)
	file := filepath.Join(dir, configName)
	stdout, stderr, code := strongroomd(t, "config", "check", "--config", file)
	require.Equal(t, exitDone, code, stderr)
	require.Equal(t, file+": no faults\n", stdout)

	t.Run("the variable names the file", func(t *testing.T) {
		t.Setenv(configVariable, file)
		stdout, stderr, code := strongroomd(t, "config", "check")
		require.Equal(t, exitDone, code, stderr)
		require.Equal(t, file+": no faults\n", stdout)
	})
	t.Run("a fault of the environment", func(t *testing.T) {
		t.Setenv("STRONGROOM_KMIP_IDENTITY", "nose")
		_, stderr, code := strongroomd(t, "config", "check", "--config", file)
		require.Equal(t, exitError, code)
		require.Contains(t, stderr, "kmip.identity")
	})
	t.Run("a fault of the file", func(t *testing.T) {
		faulty := filepath.Join(t.TempDir(), configName)
		require.NoError(t, os.WriteFile(faulty, []byte("[kmip]\nlissten = \"\"\n"), 0o600))
		_, stderr, code := strongroomd(t, "config", "check", "--config", faulty)
		require.Equal(t, exitError, code)
		require.Contains(t, stderr, "kmip.listen")
	})
	t.Run("no file", func(t *testing.T) {
		_, stderr, code := strongroomd(t, "config", "check", "--config", filepath.Join(dir, "missing"))
		require.Equal(t, exitError, code)
		require.Contains(t, stderr, "no such file")
	})
}

func TestConfigShow(t *testing.T) {
	dir := initialise(t)
	t.Setenv("STRONGROOM_KMIP_LISTEN", "127.0.0.1:7777")
	stdout, stderr, code := strongroomd(t, "config", "show", "--config", filepath.Join(dir, configName))
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, "127.0.0.1:7777")
	require.Contains(t, stdout, filepath.Join(dir, "tls", "server.crt"))
}

func TestAuditVerify(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.jsonl")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	stdout, stderr, code := strongroomd(t, "audit", "verify", empty)
	require.Equal(t, exitDone, code, stderr)
	require.Equal(t, empty+": 0 lines, unbroken\n", stdout)

	forged := filepath.Join(dir, "forged.jsonl")
	require.NoError(t, os.WriteFile(forged, []byte("{\"event\":\"nothing\"}\n"), 0o600))
	_, stderr, code = strongroomd(t, "audit", "verify", forged)
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "audit line 1: it is not an audit line")
}
