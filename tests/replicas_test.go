package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// second is another server of the site's database, in a folder of its own and without its token. Of the two one runs at a time: SQLite has
// one process.
func (s *site) second() *site {
	s.t.Helper()
	to := s.elsewhere()
	s.carry(to, "strongroom.toml", "master.key")
	copyTree(s.t, s.path("tls"), to.path("tls"))
	require.NoError(s.t, os.Mkdir(to.path("data"), 0o700))
	text, _, _ := strings.Cut(string(to.read("strongroom.toml")), "[[hsm]]")
	to.write("strongroom.toml", []byte(text))
	to.configure(`"sqlite:strongroom.db"`, `"sqlite:`+s.path("data", "strongroom.db")+`"`)
	return to
}

// replicas are those that seal status tells of, by folder.
func (s *site) replicas() map[string]replica {
	s.t.Helper()
	var st struct{ Replicas []replica }
	r := s.seal("status", "--json")
	require.NoError(s.t, json.Unmarshal([]byte(r.stdout), &st), "%s%s", r.stdout, r.stderr)
	all := map[string]replica{}
	for _, r := range st.Replicas {
		all[r.Folder] = r
	}
	return all
}

type replica struct {
	ID, Host, Folder string
	Self, Counts     bool
	OpensActive      bool `json:"opens_active"`
	Protectors       []string
}

// TestReplicaWithoutTheToken: the root key does not go into a token that another server of the database does not have, unless by force; nor
// does the slot that it opens go. A server that ends is asked no more.
func TestReplicaWithoutTheToken(t *testing.T) {
	t.Parallel()
	a := siteWith(t)
	b := a.second()
	b.serve()
	create(t, a.client("admin", ttlv.V2_1), aes("k"))
	b.kill()
	a.serve()
	there := a.replicas()
	require.Len(t, there, 2)
	mine, other := there[a.path("data")], there[b.path("data")]
	require.NotEqual(t, mine.ID, other.ID)
	require.True(t, mine.Self && mine.Counts && mine.OpensActive && !other.Self && other.Counts && other.OpensActive, "%v %v", mine, other)
	require.Equal(t, []string{a.sealing().active()}, other.Protectors)
	require.Contains(t, mine.Protectors, "p11:"+a.sealing().HSM.Serial)
	require.Contains(t, a.seal("status").stdout, b.path("data")+" ("+other.ID[:8]+"), seen ")

	said := a.refused(a.seal("switch", "--to", "hsm", "--key-label", "root", "--generate"))
	require.Contains(t, said, "replica "+other.ID[:8]+" of "+other.Host+" ("+b.path("data")+"), seen ")
	require.Contains(t, said, "lacks p11:"+a.sealing().HSM.Serial+":root")
	require.NotContains(t, a.tool("--list-objects"), "root", "nothing was made")
	require.Contains(t, a.must(a.seal("switch", "--to", "hsm", "--key-label", "root", "--generate", "--force")), "Locked out, by --force: replica "+other.ID[:8])
	require.Contains(t, a.refused(a.seal("prune")), b.path("data"))
	require.Regexp(t, `(?m)^Replica .*DOES NOT OPEN the active slot`, a.seal("status").stdout)
	a.audits("by force, past replica " + other.ID[:8])
	a.kill()

	b.serve() // by the slot that was not pruned
	works(t, a.client("admin", ttlv.V2_1), "k")
	b.stop()
	require.NotContains(t, a.replicas(), b.path("data"))
	a.serve()
	require.Equal(t, mine.ID, a.replicas()[a.path("data")].ID)
	a.must(a.seal("prune"))
	a.stop()
	require.Empty(t, a.replicas())
	b.serve()
	require.True(t, b.sealing().Sealed)
	b.stop()
}

// TestReplicaStays: what stands in the way of switching stands in the way of hsm wrap too, but not this server's own row, and of the rotation
// at a start. No copy of the database has the servers of another.
func TestReplicaStays(t *testing.T) {
	t.Parallel()
	a := siteWith(t)
	b := a.second()
	a.serve()
	a.kill()
	a.must(a.strongroomd("hsm", "generate", "--slot", "4", "--key-label", "root", "--purpose", "seal", "--config", a.config()))
	wrap := func(more ...string) result {
		return a.strongroomd(append([]string{"hsm", "wrap", "--key-label", "root", "--config", a.config()}, more...)...)
	}
	b.serve()
	b.kill()
	require.Contains(t, a.refused(wrap()), b.path("data"))
	a.configure("strategy        = \"software\"   # a file opens the root key:\nmaster_key_file = \"master.key\"\n",
		"strategy = \"hsm\"\nslot = 4\nkey_label = \"root\"\n[[seal.previous]]\nstrategy = \"software\"\nmaster_key_file = \"master.key\"\n")
	a.serve()
	require.Regexp(t, "^file:", a.sealing().active())
	require.Contains(t, strings.Join(a.sealing().Change, "\n"), b.path("data"))
	a.logs("refused, for a replica could not open the root key any more")
	require.Len(t, a.replicas(), 2)

	file := a.backup()
	for name := range members(t, file) {
		require.NotContains(t, name, "replica")
	}
	restored := a.elsewhere()
	a.carry(restored, "master.key", "hsm-4.pin")
	a.must(a.strongroomd("restore", file, "--dir", restored.dir))
	require.NoFileExists(t, restored.path("data", "replica.id"))
	require.Empty(t, restored.replicas())

	a.stop()
	b.serve()
	b.stop()
	a.serve()
	require.Regexp(t, "^p11:", a.sealing().active())
	require.Len(t, a.replicas(), 1)
	id, err := os.ReadFile(filepath.Join(a.dir, "data", "replica.id"))
	require.NoError(t, err)
	require.Equal(t, a.replicas()[a.path("data")].ID+"\n", string(id))
	a.must(wrap("--force"))
}
