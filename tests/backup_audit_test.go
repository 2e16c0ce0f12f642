package tests

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/ttlv"
)

// TestBackupWithAudit: the audit log is in a backup where that is asked for, of a server that runs too, and the restored server goes on with
// its chain. What clients call their objects keeps nobody from backups.
func TestBackupWithAudit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("-----BEGIN PRIVATE KEY-----"))
	require.Contains(t, s.must(s.strongroomd("backup", "create", s.path("without.tar"), "--config", s.config())),
		"Not in it: the master key, PINs, keys in tokens, the audit log (--with-audit) and the clients' files (clients/).")
	for name := range members(t, s.path("without.tar")) {
		require.NotContains(t, name, "audit")
		require.NotContains(t, name, "clients")
	}
	require.Eventually(t, func() bool { return bytes.Contains(s.read("data/audit.jsonl"), []byte(`"event":"backup create"`)) }, 20*time.Second, 20*time.Millisecond)
	said := s.must(s.strongroomd("backup", "create", s.path("with.tar"), "--with-audit", "--config", s.config()))
	require.Contains(t, said, "keys in tokens, the clients' files (clients/).")
	s.stop()
	kept := members(t, s.path("with.tar"))["files/data/audit.jsonl"]
	require.True(t, bytes.HasSuffix(kept, []byte("}\n")) && bytes.HasPrefix(s.read("data/audit.jsonl"), kept), "%s", kept)
	require.Contains(t, string(kept), `"event":"backup create"`, "that of the backup before")
	s.must(s.strongroomd("backup", "create", s.path("still.tar"), "--with-audit", "--config", s.config()))
	require.NotEmpty(t, members(t, s.path("still.tar"))["files/data/audit.jsonl"])

	lost := s.elsewhere()
	s.carry(lost, "master.key", "hsm-4.pin")
	s.must(s.strongroomd("restore", s.path("with.tar"), "--dir", lost.dir))
	require.Equal(t, kept, lost.read("data/audit.jsonl"))
	copyTree(t, s.path("clients"), lost.path("clients"))
	lost.serve()
	works(t, lost.client("admin", ttlv.V2_1), "-----BEGIN PRIVATE KEY-----")
	lost.stop()
	require.Greater(t, len(lost.read("data/audit.jsonl")), len(kept))
	require.Contains(t, s.must(s.strongroomd("audit", "verify", "--config", lost.config())), "unbroken")
}
