package main

import (
	"testing"

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

// TestEveryCommandHasAnExample also makes sure that each says what it is for.
func TestEveryCommandHasAnExample(t *testing.T) {
	var commands int
	root := new(program).rootCommand()
	queue := root.Commands()
	for len(queue) > 0 {
		c := queue[0]
		queue = append(queue[1:], c.Commands()...)
		require.NotEmpty(t, c.Short, c.CommandPath())
		if !c.HasSubCommands() {
			commands++
			require.Contains(t, c.Example, c.CommandPath()[:len("strongroom ")], c.CommandPath())
		}
	}
	require.Greater(t, commands, 30)
}
