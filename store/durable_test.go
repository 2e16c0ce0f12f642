package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// createForever is what the test binary does instead of testing when this names a database file: it makes keys, and
// prints the identifier of each that was answered.
const createForever = "STRONGROOM_TEST_CREATE"

func TestMain(m *testing.M) {
	listedAtOnce, countedOn, easy = 100, 1000, 4000
	if path := os.Getenv(createForever); path != "" {
		create(path)
	}
	os.Exit(m.Run())
}

func create(path string) {
	s, err := Open(context.Background(), "sqlite:"+path, Options{})
	if err == nil {
		err = s.Root().Unseal(context.Background(), masterKey(new(testing.T)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var n atomic.Int64
	for range 16 {
		go func() {
			for {
				uid := fmt.Sprintf("key-%d", n.Add(1))
				if err := s.Generate(context.Background(), aesKey(uid, "alice")); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				os.Stdout.WriteString(uid + "\n")
			}
		}()
	}
	select {}
}

// TestKilledWriter kills a process in the middle of its writes: what it answered is there, and opens.
func TestKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strongroom.db")
	s := openAt(t, path, Options{})
	require.NoError(t, s.Close())

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), createForever+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var answered []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if answered = append(answered, lines.Text()); len(answered) == 500 {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.Error(t, cmd.Wait())
	require.GreaterOrEqual(t, len(answered), 500)

	s, err = Open(t.Context(), "sqlite:"+path, Options{})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Root().Unseal(t.Context(), masterKey(t)))
	for _, uid := range answered {
		o, err := s.Object(t.Context(), uid)
		require.NoError(t, err)
		_, err = o.Key.Encrypt(t.Context(), gcmRequest)
		require.NoError(t, err)
	}
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strong room?#%.db")
	first, err := Open(t.Context(), "sqlite:"+path, Options{})
	require.NoError(t, err)
	require.FileExists(t, path)
	_, err = Open(t.Context(), "sqlite:"+path, Options{})
	require.EqualError(t, err, fmt.Sprintf("opening the store sqlite:%s: another server has it open: process %d holds %s.lock", path, os.Getpid(), path))
	require.NoError(t, first.Root().Init(t.Context(), masterKey(t), nil))
	require.NoError(t, first.Register(t.Context(), aesKey("k", "alice"), symmetric(material)))
	require.NoError(t, first.Close())
	require.False(t, first.Root().Unsealed())
	require.ErrorIs(t, first.PutRecord(t.Context(), "hsm::4::k", &kmip.Record{}), errClosed)

	second := openAt(t, path, Options{})
	got, err := value(t, second, "k")
	require.NoError(t, err)
	require.Equal(t, material, got)
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	wide := filepath.Join(folder, "wide.db")
	require.NoError(t, os.WriteFile(wide, nil, 0o644))
	other := filepath.Join(folder, "other.db")
	require.NoError(t, os.WriteFile(other, []byte(strings.Repeat("this is no database ", 100)), 0o600))
	newer := filepath.Join(folder, "newer.db")
	s, err := Open(t.Context(), "sqlite:"+newer, Options{})
	require.NoError(t, err)
	_, err = s.writer.db.Exec(`UPDATE schema_version SET version = 99`)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for url, message := range map[string]string{
		"sqlite::memory:":                        "names a file",
		"sqlite:":                                "names a file",
		"mysql://host/db":                        `"mysql" is not a kind of database this server has`,
		"sqlite:" + wide:                         "run chmod 600",
		"sqlite:" + other:                        "not a database",
		"sqlite:" + newer:                        "schema version 99",
		"sqlite:" + folder + "/absent/folder.db": "no such file or directory",
	} {
		_, err := Open(t.Context(), url, Options{})
		require.ErrorContains(t, err, message, url)
	}
}

// TestRefusedCreate mixes creates that must fail with others: each gets its own answer.
func TestRefusedCreate(t *testing.T) {
	s := openStore(t, Options{})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			uid := fmt.Sprintf("key-%d", i)
			if err := s.Generate(t.Context(), aesKey(uid, "alice")); err != nil {
				t.Errorf("creating %s: %v", uid, err)
			}
			if err := s.Generate(t.Context(), aesKey(uid, "alice")); !errors.Is(err, kmip.ErrExists) {
				t.Errorf("creating %s again: %v", uid, err)
			}
		})
	}
	wg.Wait()
	owned, err := s.Owned(t.Context(), "alice")
	require.NoError(t, err)
	require.Len(t, owned, 200)
}

// TestFailedWrite has the database itself refuse one of many changes that share a transaction.
func TestFailedWrite(t *testing.T) {
	s := openStore(t, Options{})
	_, err := s.writer.db.Exec(`CREATE TRIGGER refuse BEFORE INSERT ON objects WHEN NEW.uid = 'bad' BEGIN SELECT RAISE(ABORT, 'this disk is bad'); END`)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := s.Generate(t.Context(), aesKey(fmt.Sprintf("key-%d", i), "alice")); err != nil {
				t.Errorf("creating key %d: %v", i, err)
			}
		})
		wg.Go(func() {
			if err := s.Generate(t.Context(), aesKey("bad", "alice")); err == nil || !strings.Contains(err.Error(), "this disk is bad") {
				t.Errorf("creating the bad one: %v", err)
			}
		})
	}
	wg.Wait()
	owned, err := s.Owned(t.Context(), "alice")
	require.NoError(t, err)
	require.Len(t, owned, 50)
}

func TestWriteCanceled(t *testing.T) {
	s := openStore(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Generate(ctx, aesKey("k", "alice")), context.Canceled)
	_, err := s.Object(t.Context(), "k")
	require.ErrorIs(t, err, kmip.ErrNotFound)
}

// TestCoherent reads while others write, with a memory that is too small: what is read is never older than what was
// answered.
func TestCoherent(t *testing.T) {
	s := openStore(t, Options{Memory: 1})
	var wg sync.WaitGroup
	for i := range 4 {
		uid := fmt.Sprintf("key-%d", i)
		require.NoError(t, s.Generate(t.Context(), aesKey(uid, "alice")))
		var answered atomic.Int64
		answered.Store(1)
		done := make(chan struct{})
		wg.Go(func() {
			defer close(done)
			for range 30 {
				o, err := s.Object(t.Context(), uid)
				if err == nil {
					o = o.Clone()
					o.Attributes = o.Attributes.With(ttlv.TagDescription, fmt.Sprint(o.Revision+1))
					err = s.Update(t.Context(), o)
				}
				if err != nil {
					t.Errorf("updating %s: %v", uid, err)
					return
				}
				answered.Store(o.Revision)
			}
		})
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				runtime.Gosched()
				least := answered.Load()
				o, err := s.Object(t.Context(), uid)
				if err != nil || o.Revision < least {
					t.Errorf("%s: revision %d after %d was answered: %v", uid, o.Revision, least, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
