package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

func openAudit(t testing.TB, path string) *Audit {
	t.Helper()
	a, err := OpenAudit(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	return a
}

// event is one with everything in it; n tells it from others.
func event(n int) *Event {
	return &Event{
		Time: time.Date(2026, 11, 21, 21, 14, 5, 123456789, time.UTC), Request: uint64(n),
		Identity: "ops@example.com", Fingerprint: strings.Repeat("ab", 32),
		Operation: kmip.OperationSign, UniqueIdentifier: "hsm::4::k",
		Result: kmip.ResultStatusOperationFailed, Reason: kmip.ResultReasonPermissionDenied, Duration: 1234567 * time.Nanosecond,
	}
}

// written gives the lines of a file after n events went through one stream.
func written(t *testing.T, path string, n int) []string {
	t.Helper()
	a := openAudit(t, path)
	s := a.Stream()
	for i := range n {
		s.Write(event(i))
	}
	s.Close()
	require.NoError(t, a.Close())
	return lines(t, path)
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
}

func verify(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return VerifyAudit(f)
}

func TestAuditLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	all := written(t, path, 1)
	require.Len(t, all, 2)
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(all[1]), &m))
	require.Regexp(t, "^[0-9a-f]{64}$", m["chain"])
	delete(m, "chain")
	require.Equal(t, map[string]any{
		"time": "2026-11-21T21:14:05.123456Z", "request": 0., "identity": "ops@example.com",
		"fingerprint": strings.Repeat("ab", 32), "operation": "Sign", "uid": "hsm::4::k", "slot": 4.,
		"result": "OperationFailed", "reason": "PermissionDenied", "duration_us": 1234.,
	}, m)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestAuditLineOmitsWhatIsNot(t *testing.T) {
	e := Event{Time: time.Unix(0, 0), Operation: kmip.OperationQuery}
	require.Equal(t, `{"time":"1970-01-01T00:00:00.000000Z","request":0,"identity":"","fingerprint":"","operation":"Query","result":"Success","duration_us":0`, string(new(auditPen).append(nil, &e)))
}

func TestAuditLineEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"":                               `""`,
		"plain":                          `"plain"`,
		`a"b\c`:                          `"a\"b\\c"`,
		"a\nb\r\t\x00":                   `"a\u000ab\u000d\u0009\u0000"`,
		"\x7f\u0080":                     `"\u007f\u0080"`,
		"Zoë 李 😀":                        `"Zoë 李 😀"`,
		"\xff":                           `"\ufffd"`,
		"a\xc3":                          `"a\ufffd"`,
		"\xe2\x80":                       `"\ufffd\ufffd"`,
		"\u2028\u202e\u200b\ufeff":       `"\u2028\u202e\u200b\ufeff"`,
		"\ufffd":                         `"` + "\ufffd" + `"`,
		strings.Repeat("é", auditClip):   `"` + strings.Repeat("é", auditClip/2) + `…"`,
		"x" + strings.Repeat("é", 1<<10): `"x` + strings.Repeat("é", auditClip/2-1) + `…"`,
	} {
		got := string(appendJSON(nil, in))
		require.Equal(t, want, got)
		require.True(t, json.Valid([]byte(got)), got)
	}
}

func FuzzAuditLine(f *testing.F) {
	f.Add("hsm::4::k", "ops@example.com")
	f.Add("\xff\"\n", "\u2028")
	f.Fuzz(func(t *testing.T, uid, identity string) {
		e := event(1)
		e.UniqueIdentifier, e.Identity = uid, identity
		line := string(new(auditPen).append(nil, e)) + "}"
		require.NotContains(t, line, "\n")
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		if utf8.ValidString(identity) && len(identity) <= auditClip {
			require.Equal(t, identity, m["identity"])
		}
	})
}

// TestAuditLosesNothing has many connections come and go while the file is moved away, and finds every line once, in the
// order of its connection, in an unbroken chain over all files.
func TestAuditLosesNothing(t *testing.T) {
	const connections, each, files = 20, 3000, 4
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	a := openAudit(t, path)
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			s := a.Stream()
			defer s.Close()
			for i := range each {
				e := event(i)
				e.Identity = fmt.Sprint(c)
				s.Write(e)
			}
		})
	}
	for n := range files - 1 {
		require.NoError(t, os.Rename(path, fmt.Sprint(path, ".", n)))
		require.NoError(t, a.Reopen())
	}
	wg.Wait()
	require.NoError(t, a.Close())
	require.NoError(t, os.Rename(path, fmt.Sprint(path, ".", files-1)))

	next := map[string]int{}
	var head string
	for n := range files {
		name := fmt.Sprint(path, ".", n)
		count, err := verify(name)
		require.NoError(t, err)
		for i, line := range lines(t, name) {
			var m struct {
				Request         int
				Identity, Chain string
				Previous        string
			}
			require.NoError(t, json.Unmarshal([]byte(line), &m))
			if i == 0 {
				if n > 0 {
					require.Equal(t, head, m.Previous)
				}
			} else {
				require.Equal(t, next[m.Identity], m.Request, "of connection %s", m.Identity)
				next[m.Identity]++
			}
			head = m.Chain
			count--
		}
		require.Zero(t, count)
	}
	require.Len(t, next, connections)
	for _, n := range next {
		require.Equal(t, each, n)
	}
	require.Empty(t, a.streams)
}

func TestAuditIsWrittenSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	s := openAudit(t, path).Stream()
	s.Write(event(1))
	require.Eventually(t, func() bool { return len(lines(t, path)) == 2 }, time.Minute, time.Millisecond)
}

func TestAuditContinues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	written(t, path, 3)
	all := written(t, path, 2)
	require.Len(t, all, 7)
	n, err := verify(path)
	require.NoError(t, err)
	require.Equal(t, 7, n)
}

func TestAuditReopenWithoutMoveKeepsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openAudit(t, path)
	f := a.file.Load()
	require.NoError(t, a.Reopen())
	require.Same(t, f, a.file.Load())
	require.NoError(t, a.Close())
	require.Error(t, a.Reopen())
}

func TestAuditReopenFailureKeepsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := openAudit(t, path)
	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, os.Mkdir(path, 0o700))
	require.Error(t, a.Reopen())
	s := a.Stream()
	s.Write(event(1))
	require.NoError(t, a.Close())
	n, err := verify(path + ".1")
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func TestOpenAuditRefusesSecondWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	openAudit(t, path)
	_, err := OpenAudit(path, nil)
	require.ErrorContains(t, err, "another process")
}

func TestOpenAuditRefusesOtherFiles(t *testing.T) {
	for _, content := range []string{"127.0.0.1 localhost\n", "one\ntwo", "\x7fELF", "{\n", `{"time":1}` + "\n"} {
		path := filepath.Join(t.TempDir(), "other")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := OpenAudit(path, slog.New(slog.DiscardHandler))
		require.Error(t, err, "%q", content)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(b), "is left as it is")
	}
}

// TestAuditTornLine cuts the file at every byte of its last lines: it is continued, keeps what was whole, and tells what
// was not.
func TestAuditTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	all := written(t, path, 2)
	whole := strings.Join(all, "") + "\n"
	for cut := range whole {
		require.NoError(t, os.WriteFile(path, []byte(whole[:cut]), 0o600))
		kept := strings.Count(whole[:cut], "\n")
		torn := whole[strings.LastIndexByte(whole[:cut], '\n')+1 : cut]
		n, err := verify(path)
		require.Equal(t, kept, n)
		if torn != "" {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, fmt.Sprintf("line %d:", kept+1))
		} else {
			require.NoError(t, err)
		}

		after := written(t, path, 1)
		n, err = verify(path)
		require.NoError(t, err, "cut at %d", cut)
		require.Equal(t, kept+2, n)
		var m struct {
			Torn  string
			Bytes int `json:"torn_bytes"`
		}
		require.NoError(t, json.Unmarshal([]byte(after[kept]), &m))
		require.Equal(t, torn, m.Torn)
		require.Equal(t, len(torn), m.Bytes)
	}
}

func TestAuditTornBeyondLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	all := written(t, path, 2)
	require.NoError(t, os.WriteFile(path, append([]byte(strings.Join(all, "")+"\n"), make([]byte, 1<<20)...), 0o600))
	require.Len(t, written(t, path, 1), 5)
	n, err := verify(path)
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

// TestAuditHoldsRequestsBack has the writer held up, and a stream take a mebibyte and no more until it runs again.
func TestAuditHoldsRequestsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a := &Audit{path: path, log: slog.New(slog.DiscardHandler), urgent: make(chan struct{}, 1), end: make(chan struct{})}
	f, err := a.begin()
	require.NoError(t, err)
	a.file.Store(f)
	s := a.Stream()
	held := make(chan int)
	go func() {
		n := 0
		for ; n < 10000; n++ {
			s.mu.Lock()
			full := len(s.queue) >= auditFull
			s.mu.Unlock()
			if full {
				held <- n
			}
			s.Write(event(n))
		}
		close(held)
	}()
	n := <-held
	require.InDelta(t, auditFull/len(new(auditPen).append(nil, event(0))), n, 100)
	require.Len(t, a.urgent, 1, "the writer was told")
	a.drain(false)
	for range held {
		a.drain(false)
	}
	a.finish()
	require.NoError(t, a.err)
	count, err := verify(path)
	require.NoError(t, err)
	require.Equal(t, 10001, count)
}

// inChild runs the test in a process of its own, whose limits are its own. It is true in the child.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv("AUDIT_CHILD") != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "AUDIT_CHILD=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// limitFile lets this process make no file longer than size, so that writing fails as on a full disk.
func limitFile(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}))
	lift = func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)) }
	t.Cleanup(lift)
	return lift
}

// TestAuditDiskFull fills the disk in the middle of a line: requests wait, the log tells, and when there is room again
// everything is written.
func TestAuditDiskFull(t *testing.T) {
	if !inChild(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	var log syncBuffer
	a, err := OpenAudit(path, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	lift := limitFile(t, 1000)
	s := a.Stream()
	for i := range 10 {
		s.Write(event(i))
	}
	told := func() bool { return strings.Contains(log.String(), "cannot be written") }
	require.Eventually(t, func() bool { return a.stuck.Load() && told() }, time.Minute, time.Millisecond)
	require.ErrorContains(t, a.Reopen(), "cannot be written")
	done := make(chan struct{})
	go func() {
		s.Write(event(10)) // waits, though the stream is empty
		close(done)
	}()
	select {
	case <-done:
		require.Fail(t, "the request was not held back")
	case <-time.After(20 * time.Millisecond):
	}
	_, err = verify(path)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	lift()
	<-done
	require.NoError(t, a.Close())
	n, err := verify(path)
	require.NoError(t, err)
	require.Equal(t, 12, n)
	require.Contains(t, log.String(), "can be written again")
}

// TestAuditCloseOnFullDisk ends, tells what is lost, and lets nobody wait for ever.
func TestAuditCloseOnFullDisk(t *testing.T) {
	if !inChild(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	var log syncBuffer
	a, err := OpenAudit(path, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	limitFile(t, 1000)
	s := a.Stream()
	for i := range 10 {
		s.Write(event(i))
	}
	require.Eventually(t, a.stuck.Load, time.Minute, time.Millisecond)
	done := make(chan struct{})
	go func() {
		s.Write(event(10))
		close(done)
	}()
	require.ErrorIs(t, a.Close(), syscall.EFBIG)
	<-done
	require.Contains(t, log.String(), "audit line lost")
	require.Contains(t, log.String(), "may be lost")
}

func TestAuditStreamAfterClose(t *testing.T) {
	var log syncBuffer
	a, err := OpenAudit(filepath.Join(t.TempDir(), "audit.jsonl"), slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	early := a.Stream()
	require.NoError(t, a.Close())
	early.Write(event(41))
	late := a.Stream()
	late.Write(event(42))
	require.Contains(t, log.String(), "request=41")
	require.Contains(t, log.String(), "request=42")
	require.NoError(t, a.Close())
}

func TestAuditOff(t *testing.T) {
	var a *Audit
	s := a.Stream()
	s.Write(event(1))
	s.Close()
	require.NoError(t, a.Reopen())
	require.NoError(t, a.Close())
}

// TestAuditKilled ends a writing process by SIGKILL: what it leaves is continued.
func TestAuditKilled(t *testing.T) {
	if victim := os.Getenv("AUDIT_VICTIM"); victim != "" { // which cannot clean up: it makes nothing else
		s := openAudit(t, victim).Stream()
		for i := 0; ; i++ {
			s.Write(event(i))
		}
	}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for range 3 {
		before := int64(0)
		if info, err := os.Stat(path); err == nil {
			before = info.Size()
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestAuditKilled$")
		cmd.Env = append(os.Environ(), "AUDIT_VICTIM="+path)
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool {
			info, err := os.Stat(path)
			return err == nil && info.Size() > before+1<<20
		}, time.Minute, time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		if _, err := verify(path); err != nil {
			require.True(t, errors.Is(err, io.ErrUnexpectedEOF), err)
		}
		written(t, path, 1)
		_, err := verify(path)
		require.NoError(t, err)
	}
}

func TestAuditWriteDoesNotAllocate(t *testing.T) {
	a := openAudit(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	s := a.Stream()
	e := event(1)
	b := make([]byte, 0, 1<<10)
	var pen auditPen
	require.Zero(t, testing.AllocsPerRun(1000, func() { b = pen.append(b[:0], e) }))
	require.Less(t, testing.AllocsPerRun(100000, func() { s.Write(e) }), 0.5)
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// go test -run '^$' -bench Audit -benchmem ./kmip/server
func BenchmarkAuditEvent(b *testing.B) {
	e, buf := event(1), make([]byte, 0, 1<<10)
	b.ReportAllocs()
	var pen auditPen
	for b.Loop() {
		buf = pen.append(buf[:0], e)
	}
}

// BenchmarkAuditWrite is a whole line: queued, chained, and in the file.
func BenchmarkAuditWrite(b *testing.B) {
	a, err := OpenAudit(filepath.Join(b.TempDir(), "audit.jsonl"), slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		s, e := a.Stream(), event(1)
		defer s.Close()
		for pb.Next() {
			s.Write(e)
		}
	})
	require.NoError(b, a.Close())
}

// BenchmarkAuditChain is what the one writer does for a line, without the file.
func BenchmarkAuditChain(b *testing.B) {
	var chain auditChain
	line, out := new(auditPen).append(nil, event(1)), make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		out = chain.append(out[:0], line)
	}
}
