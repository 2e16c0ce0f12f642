package tests

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/hsm"
	"strongroom/kmip/ttlv"
)

// TestHSMCommands asks for everything that an operator can be told of a token, beside a server that uses it.
func TestHSMCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("hsm::4::mine"))
	for range 2 {
		s.tool("--keygen", "--key-type", "AES:16", "--label", "twice", "--sensitive")
	}
	ask := func(into any, args ...string) string {
		text := s.must(s.strongroomd(append([]string{"hsm", args[0], "--config", s.path("strongroom.toml")}, args[1:]...)...))
		require.NoError(t, json.Unmarshal([]byte(s.must(s.strongroomd(append([]string{"hsm", args[0], "--json", "--config", s.path("strongroom.toml")}, args[1:]...)...))), into))
		return text
	}
	var tokens []hsm.Token
	require.Contains(t, ask(&tokens, "slots"), "strongroom")
	require.Equal(t, []uint32{4}, tokens[0].Slots)
	require.True(t, tokens[0].Initialized)

	var status []hsm.Status
	require.Contains(t, ask(&status, "info"), "SoftHSM v2")
	require.True(t, status[0].Healthy)

	var listed []hsm.Mechanism
	require.Contains(t, ask(&listed, "mechanisms"), "0x1087  CKM_AES_GCM")
	require.Greater(t, len(listed), 50)

	var capabilities []hsm.Capability
	require.Regexp(t, `AES GCM +CKM_AES_GCM +yes +yes +yes`, ask(&capabilities, "test", "4"))
	for _, c := range capabilities {
		require.False(t, c.Chosen && !c.Works || c.Works && !c.Listed, "%+v", c)
	}
	require.Contains(t, s.tool("-O"), "mine")

	var keys []hsm.KeyInfo
	text := ask(&keys, "keys", "4")
	require.Regexp(t, `hsm::4::mine +mine +[0-9a-f]+ +secret +AES +256 +yes +no +`, text)
	require.Regexp(t, `- +twice +- +secret +AES +128 +yes`, text)
	require.Len(t, keys, 3, "nothing of the self-test stays")

	r := s.strongroomd("hsm", "keys", "5", "--config", s.path("strongroom.toml"))
	require.NotZero(t, r.code)
	require.Contains(t, r.stderr, "slot 5 is not configured")
}
