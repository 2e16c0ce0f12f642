package server

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAuditAct puts what operators do into the same chain as everything else.
func TestAuditAct(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, err := OpenAudit(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	a.Act(Act{Name: "seal switch", By: "uid 0", Detail: "to p11:1:\"x\""})
	a.Act(Act{Name: "seal unseal", By: "server", Err: errors.New("the token is away")})
	require.NoError(t, a.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), `"event":"seal switch","by":"uid 0","detail":"to p11:1:\"x\"","result":"Success"`)
	require.Contains(t, string(text), `"event":"seal unseal","by":"server","result":"failed","reason":"the token is away"`)
	n, err := VerifyAudit(bytes.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	a.Act(Act{Name: "too late"})
	(*Audit)(nil).Act(Act{Name: "off"})
}
