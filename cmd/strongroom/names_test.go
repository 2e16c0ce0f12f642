package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

func TestSpelled(t *testing.T) {
	for name, want := range map[string]string{
		"Encrypt": "encrypt", "GetAttributes": "get-attributes", "MAC": "mac", "MACVerify": "mac-verify",
		"ReKeyKeyPair": "re-key-key-pair", "HMAC_SHA256": "hmac-sha256", "CreateKeyPair": "create-key-pair",
	} {
		require.Equal(t, want, spelled(name))
	}
}

// TestOperationsReadAsSpelled: what the program prints, it reads.
func TestOperationsReadAsSpelled(t *testing.T) {
	for _, p := range kmip.Payloads {
		got, err := operations([]string{spelled(p.Operation.String())})
		require.NoError(t, err)
		require.Equal(t, []kmip.Operation{p.Operation}, got)
	}
}

func TestEnumeratedIsUnambiguous(t *testing.T) {
	for _, tag := range []ttlv.Tag{ttlv.TagOperation, ttlv.TagObjectType, ttlv.TagCryptographicAlgorithm, ttlv.TagState, ttlv.TagHashingAlgorithm, ttlv.TagRevocationReasonCode} {
		seen := map[string]string{}
		for v := uint32(1); v <= lastStandard; v++ {
			name := ttlv.EnumName(tag, v)
			if name == "" {
				continue
			}
			require.NotContains(t, seen, plain(name), "%v: %s and %s", tag, name, seen[plain(name)])
			seen[plain(name)] = name
		}
		require.NotEmpty(t, seen)
	}
}

func TestOutputFor(t *testing.T) {
	for _, c := range [][3]string{
		{"/tmp/secret.txt", "", "/tmp/secret.enc"}, {"secret", "", "secret.enc"}, {"a.b/secret", "", "a.b/secret.enc"},
		{".profile", "", ".profile.enc"}, {"-", "", "-"}, {"secret.txt", "x", "x"}, {"a.tar.gz", "", "a.tar.enc"},
	} {
		require.Equal(t, c[2], outputFor(c[0], c[1], ".enc"))
	}
}

// TestEveryCommandIsExplained: each says what it is for, and what its flags are.
func TestEveryCommandIsExplained(t *testing.T) {
	for _, c := range leaves(new(program).rootCommand()) {
		require.NotEmpty(t, c.Short, c.CommandPath())
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { require.NotEmpty(t, f.Usage, "%s --%s", c.CommandPath(), f.Name) })
	}
}

// TestExamplesParse: every example is of its own command, with flags and arguments that the command takes.
func TestExamplesParse(t *testing.T) {
	for _, c := range leaves(new(program).rootCommand()) {
		own := false
		for line := range strings.SplitSeq(c.Example, "\n") {
			for part := range strings.SplitSeq(line, "|") {
				words := words(part)
				if len(words) == 0 || words[0] != "strongroom" {
					continue
				}
				root := new(program).rootCommand() // flags are set but once
				found, args, err := root.Find(words[1:])
				require.NoError(t, err, line)
				require.NoError(t, found.ParseFlags(args), line)
				require.NoError(t, found.ValidateArgs(found.Flags().Args()), line)
				own = own || found.CommandPath() == c.CommandPath()
			}
		}
		require.True(t, own, "%s has no example of its own", c.CommandPath())
	}
}

// leaves are the commands that do something.
func leaves(c *cobra.Command) []*cobra.Command {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

// words are those of a shell's command line, without what is redirected.
func words(line string) []string {
	before, _, _ := strings.Cut(line, " < ")
	var list []string
	for _, w := range regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`).FindAllString(before, -1) {
		list = append(list, strings.Trim(w, `"'`))
	}
	return list
}
