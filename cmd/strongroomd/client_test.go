package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// names sorts the names of a tree.
func names[V any](tree map[string]V) []string { return slices.Sorted(maps.Keys(tree)) }

// fixedClock is a clock that stands still.
func fixedClock() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func TestClientAdd(t *testing.T) {
	dir := initialise(t)
	stdout, stderr, code := strongroomd(t, "client", "add", "alice", "--dir", dir, "--days", "30")
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, "export STRONGROOM_CONFIG='"+dir+"/clients/alice.toml'")
	output, ok := openssl(t, "verify", "-x509_strict", "-purpose", "sslclient",
		"-CAfile", filepath.Join(dir, "tls", "ca.crt"), filepath.Join(dir, "clients", "alice.crt"))
	require.True(t, ok, output)
	_, ok = openssl(t, "x509", "-noout", "-checkend", "2505600", "-in", filepath.Join(dir, "clients", "alice.crt")) // 29 days
	require.True(t, ok, "it ends too soon")
	_, ok = openssl(t, "x509", "-noout", "-checkend", "2678400", "-in", filepath.Join(dir, "clients", "alice.crt")) // 31 days
	require.False(t, ok, "it ends too late")
	info, err := os.Stat(filepath.Join(dir, "clients", "alice.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// The authority's key is found in the configuration's list whatever the folder is called by.
func TestClientAddInARelativeFolder(t *testing.T) {
	dir := initialise(t)
	t.Chdir(filepath.Dir(dir))
	_, stderr, code := strongroomd(t, "client", "add", "alice", "--dir", filepath.Base(dir))
	require.Equal(t, exitDone, code, stderr)
	require.FileExists(t, filepath.Join(dir, "clients", "alice.crt"))
}

func TestClientAddRefusesAName(t *testing.T) {
	dir := initialise(t)
	key, err := os.ReadFile(filepath.Join(dir, "clients", "admin.key"))
	require.NoError(t, err)
	_, stderr, code := strongroomd(t, "client", "add", "first", "--dir", dir) // begins the audit log, too
	require.Equal(t, exitDone, code, stderr)
	before := names(tree(t, dir))
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"in use", []string{"admin"}, exitError, "admin.key is there already: nothing was changed"},
		{"files in use", []string{"root", "--file", "admin"}, exitError, "is there already"},
		{"everyone", []string{"*"}, exitMisused, "stands for everyone"},
		{"empty", []string{""}, exitMisused, "empty"},
		{"control character", []string{"a\nb"}, exitMisused, "control character"},
		{"another folder", []string{"../alice"}, exitMisused, "cannot be the name of a file"},
		{"hidden", []string{".alice"}, exitMisused, "cannot be the name of a file"},
		{"no days", []string{"alice", "--days", "0"}, exitMisused, "less than one day"},
		{"too many days", []string{"alice", "--days", "9999"}, exitError, "more than the authority itself has left"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, stderr, code := strongroomd(t, append([]string{"client", "add", "--dir", dir}, test.args...)...)
			require.Equal(t, test.code, code, stderr)
			require.Contains(t, stderr, test.want)
			require.Equal(t, before, names(tree(t, dir)))
		})
	}
	after, err := os.ReadFile(filepath.Join(dir, "clients", "admin.key"))
	require.NoError(t, err)
	require.Equal(t, key, after)
}

func TestClientAddFollowsIdentityField(t *testing.T) {
	dir := initialise(t)
	file := filepath.Join(dir, configName)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	text = []byte(strings.Replace(string(text), `identity    = "cn"`, `identity    = "uri"`, 1))
	require.NoError(t, os.WriteFile(file, text, 0o600))

	_, stderr, code := strongroomd(t, "client", "add", "spiffe://example.com/db", "--file", "db", "--config", file)
	require.Equal(t, exitDone, code, stderr)
	output, ok := openssl(t, "x509", "-noout", "-ext", "subjectAltName", "-in", filepath.Join(dir, "clients", "db.crt"))
	require.True(t, ok, output)
	require.Contains(t, output, "URI:spiffe://example.com/db")
}

func TestClientAddWithoutInstallation(t *testing.T) {
	_, stderr, code := strongroomd(t, "client", "add", "alice", "--dir", t.TempDir())
	require.Equal(t, exitError, code)
	require.Contains(t, stderr, "strongroom.toml: no such file or directory")
}
