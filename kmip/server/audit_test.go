package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

func openAudit(t testing.TB, path string) *Audit {
	a, err := OpenAudit(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return a
}

func event(uid string) *Event {
	return &Event{
		Time: time.Unix(1_700_000_000, 0), Request: 7, Identity: "alice", Fingerprint: strings.Repeat("ab", 32),
		Operation: kmip.OperationEncrypt, UniqueIdentifier: uid, Duration: time.Millisecond,
	}
}

// TestAuditKeepsEveryLine shows that what many connections write is in the file when it is closed, each line valid JSON, and
// that the chain goes on when the log is opened again.
func TestAuditKeepsEveryLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	const connections, each = 8, 5000
	for range 2 {
		a := openAudit(t, path)
		var wg sync.WaitGroup
		for c := range connections {
			wg.Go(func() {
				s := a.Stream()
				defer s.Close()
				for i := range each {
					s.Write(event(fmt.Sprintf("hsm::4::key \"%d\"\n\xff %d", c, i)))
				}
			})
		}
		wg.Wait()
		require.NoError(t, a.Close())
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	n, err := VerifyAudit(bytes.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, 2*connections*each+1, n)
	for line := range bytes.Lines(text) {
		require.True(t, json.Valid(line), "%s", line)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestVerifyAuditFinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openAudit(t, path)
	s := a.Stream()
	for i := range 5 {
		s.Write(event(fmt.Sprint("key", i)))
	}
	s.Close()
	require.NoError(t, a.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := bytes.SplitAfter(text, []byte("\n"))
	join := func(order ...int) []byte {
		var b []byte
		for _, i := range order {
			b = append(b, lines[i]...)
		}
		return b
	}
	changed := bytes.Replace(text, []byte("key2"), []byte("key9"), 1)
	for name, bad := range map[string][]byte{
		"changed": changed, "reordered": join(0, 2, 1, 3, 4, 5), "taken out": join(0, 1, 3, 4, 5),
		"first taken out": join(1, 2, 3, 4, 5), "torn": text[:len(text)-10],
	} {
		_, err := VerifyAudit(bytes.NewReader(bad))
		require.Error(t, err, name)
	}
	n, err := VerifyAudit(bytes.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, 6, n)
}

// TestOpenAuditTornLine shows that a line which a crash tore does not keep the server from starting.
func TestOpenAuditTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openAudit(t, path)
	s := a.Stream()
	s.Write(event("one"))
	s.Close()
	require.NoError(t, a.Close())
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"time":"2026-`)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	a = openAudit(t, path)
	s = a.Stream()
	s.Write(event("two"))
	s.Close()
	require.NoError(t, a.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	n, err := VerifyAudit(bytes.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, 3, n)
}

// TestAuditReopen shows that a rotated log and its successor both verify.
func TestAuditReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openAudit(t, path)
	s := a.Stream()
	s.Write(event("one"))
	require.Eventually(t, func() bool { text, _ := os.ReadFile(path); return bytes.Contains(text, []byte("one")) }, 5*time.Second, time.Millisecond)
	require.NoError(t, os.Rename(path, path+".1"))
	a.Reopen()
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, 5*time.Second, time.Millisecond)
	s.Write(event("two"))
	s.Close()
	require.NoError(t, a.Close())
	for _, p := range []string{path + ".1", path} {
		text, err := os.ReadFile(p)
		require.NoError(t, err)
		n, err := VerifyAudit(bytes.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, 2, n)
	}
}

func BenchmarkAuditWrite(b *testing.B) {
	a := openAudit(b, filepath.Join(b.TempDir(), "audit.jsonl"))
	s := a.Stream()
	e := event("9c2f0c0e-6a0d-4c1f-8f3a-3a8f6c1f2d11")
	b.ReportAllocs()
	for b.Loop() {
		s.Write(e)
	}
	s.Close()
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
}
