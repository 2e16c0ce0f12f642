package server

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestVerifyAuditFindsChange damages a file in every way there is, and names the line.
func TestVerifyAuditFindsChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	written(t, path, 3)
	all := written(t, path, 3) // lines 1 and 5 tell of opening
	all[len(all)-1] += "\n"
	require.Len(t, all, 8)
	swap := func(i, j int) []string {
		b := append([]string(nil), all...)
		b[i], b[j] = b[j], b[i]
		return b
	}
	without := func(i int) []string { return append(append([]string(nil), all[:i]...), all[i+1:]...) }
	with := func(i int, line string) []string {
		return append(append(append([]string(nil), all[:i]...), line), all[i:]...)
	}
	cases := map[string]struct {
		lines []string
		bad   int
	}{
		"first gone":      {without(0), 1},
		"middle gone":     {without(2), 3},
		"opening gone":    {without(4), 5},
		"before opening":  {without(3), 4},
		"swapped":         {swap(1, 2), 2},
		"swapped opening": {swap(0, 4), 2},
		"twice":           {with(3, all[2]), 4},
		"empty line":      {with(3, "\n"), 4},
		"foreign line":    {with(3, `{"time":"now"}`+"\n"), 4},
		"grafted":         {append(append([]string(nil), all[:2]...), all[4:]...), 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := VerifyAudit(strings.NewReader(strings.Join(c.lines, "")))
			require.ErrorContains(t, err, fmt.Sprintf("audit line %d:", c.bad))
			require.Equal(t, c.bad-1, n)
		})
	}
	t.Run("any byte", func(t *testing.T) {
		whole := []byte(strings.Join(all, ""))
		for i := range whole {
			b := bytes.Clone(whole)
			b[i] ^= 1
			bad := bytes.Count(whole[:i], []byte("\n")) + 1
			n, err := VerifyAudit(bytes.NewReader(b))
			require.Error(t, err, "byte %d", i)
			require.LessOrEqual(t, n, bad)
			require.GreaterOrEqual(t, n, bad-1)
		}
	})
	t.Run("endless line", func(t *testing.T) {
		_, err := VerifyAudit(io.MultiReader(strings.NewReader(all[0]), strings.NewReader(strings.Repeat("x", 1<<20))))
		require.ErrorContains(t, err, "audit line 2:")
	})
}

func FuzzVerifyAudit(f *testing.F) {
	var chain auditChain
	b := chain.append(nil, appendOpened(nil, time.Unix(0, 0), &chain.head, nil))
	b = chain.append(b, new(auditPen).append(nil, event(1)))
	f.Add(b)
	f.Add([]byte(auditOpened))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := VerifyAudit(bytes.NewReader(b))
		if err == nil {
			require.Equal(t, bytes.Count(b, []byte("\n")), n)
		} else {
			require.LessOrEqual(t, n, bytes.Count(b, []byte("\n")))
		}
	})
}

func BenchmarkVerifyAudit(b *testing.B) {
	var chain auditChain
	file := chain.append(nil, appendOpened(nil, time.Now(), &chain.head, nil))
	for range 1000 {
		file = chain.append(file, new(auditPen).append(nil, event(1)))
	}
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := VerifyAudit(bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}
