package tests

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// crashing is strongroomd with the points of store/crash, built when the first test wants it.
var crashing = sync.OnceValues(func() (string, error) {
	program := filepath.Join(bin, "strongroomd-crashing")
	build := exec.Command("go", "build", "-trimpath", "-tags", "crashpoints", "-o", program, "./cmd/strongroomd")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

// endingAt is the environment of a program that is to end at a point.
func endingAt(point string) []string { return []string{"STRONGROOM_CRASH=" + point} }

// crash runs an operator's command that ends at a point: NAME, or NAME:COUNT.
func (s *site) crash(point string, args ...string) {
	s.t.Helper()
	program, err := crashing()
	require.NoError(s.t, err)
	r := s.exec(endingAt(point), program, args...)
	require.Equal(s.t, -1, r.code, "%v did not end at %s\n%s%s", args, point, r.stdout, r.stderr)
}

// crashServing serves until the server ends at a point, where act is what leads it there; with a nil act it gets there by itself.
func (s *site) crashServing(point string, act func()) {
	s.t.Helper()
	program, err := crashing()
	require.NoError(s.t, err)
	s.program, s.env = program, endingAt(point)
	defer func() { s.program, s.env = "", nil }()
	if act == nil {
		s.launch()
	} else {
		s.serve()
		act()
	}
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.t.Fatalf("the server did not end at %s: %s", point, s.log)
	}
	status := s.server.ProcessState.Sys().(syscall.WaitStatus)
	require.Equal(s.t, syscall.SIGKILL, status.Signal(), "at %s: %s", point, s.log)
	s.server = nil
}

// A treasure is what was in a site before anything went wrong: keys of every kind, what they are, and what they encrypted.
type treasure struct {
	s       *site
	values  secrets
	sealed  map[string]*kmip.EncryptResponse
	objects int // of the database
}

// treasures makes keys on a server that runs.
func (s *site) treasures() *treasure {
	s.t.Helper()
	tr := &treasure{s: s, values: secrets{}, sealed: map[string]*kmip.EncryptResponse{}}
	c := s.client("admin", ttlv.V2_1)
	create(s.t, c, aes("hsm::4::kek"))
	for uid, a := range map[string]kmip.Attributes{"hsm::4::stays": aes("hsm::4::stays"), "software": aes("software"), "protected": wrappedBy(aes("protected"), "hsm::4::kek")} {
		create(s.t, c, a)
		if !strings.HasPrefix(uid, "hsm") {
			tr.values[uid] = get(s.t, c, uid, 0).Material
		}
		e, err := encrypt(s.t, c, uid, []byte(uid))
		require.NoError(s.t, err)
		tr.sealed[uid] = e
	}
	material := secrets{}
	register(s.t, c, aes("registered"), material.add("registered"))
	tr.values["registered"] = material["registered"]
	tr.objects = 3
	return tr
}

// safe fails the test unless a server that was just started has opened its root key by itself, every key is what it was, exactly one
// slot is active, and nothing on the disk is in clear.
func (tr *treasure) safe(point string) {
	s := tr.s
	s.t.Helper()
	st := s.sealing()
	require.False(s.t, st.Sealed, "%s: %s", point, s.log)
	active := 0
	for _, slot := range st.Slots {
		if slot.State == "active" {
			active++
		}
	}
	require.Equal(s.t, 1, active, "%s: %v", point, st.Slots)
	c := s.client("admin", ttlv.V2_1)
	for uid, material := range tr.values {
		require.Equal(s.t, material, get(s.t, c, uid, 0).Material, "%s: %s", point, uid)
	}
	for uid, e := range tr.sealed {
		plain, err := decrypt(s.t, c, e)
		require.NoError(s.t, err, "%s: %s", point, uid)
		require.Equal(s.t, uid, string(plain))
	}
	require.Regexp(s.t, `^\d+ objects, and each opens`, s.must(s.strongroomd("store", "verify", "--config", s.config())), point)
	require.Zero(s.t, tr.values.searchNone(s.t, s.dir), "%s: a key is in clear", point)
}

// lines are what an act does to the slots; each leaves the table of before, or the new one.
var slotPoints = []string{"slot-begun", "slot-wrapped", "slots-ready", "slots-dropped", "slots-inserted", "slots-written"}

// TestX29Crash ends the process between any two steps of what changes the root key slots. The next start unseals by itself, and the
// same command again succeeds.
func TestX29Crash(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]struct {
		flags  []string                    // of init
		points []string                    // beside slotPoints
		not    []string                    // of slotPoints
		before func(s *site)               // a server runs
		run    func(n int) []string        // the command
		after  func(t *testing.T, s *site) // it was done
	}{
		"switch to HSM": {
			points: []string{"seal-key-made", "switch-done", "operator-answer"},
			run: func(n int) []string {
				return []string{"seal", "switch", "--to", "hsm", "--key-label", fmt.Sprint("root", n), "--generate"}
			},
			after: func(t *testing.T, s *site) { require.Regexp(t, "^p11:", s.sealing().active()) },
		},
		"switch to HSM, CBC": {
			points: []string{"seal-key-made:1", "seal-key-made:2"},
			not:    slotPoints,
			run: func(n int) []string {
				return []string{"seal", "switch", "--to", "hsm", "--key-label", fmt.Sprint("root", n), "--generate", "--mechanism", "CKM_AES_CBC_PAD"}
			},
			after: func(t *testing.T, s *site) { require.Regexp(t, "^p11:", s.sealing().active()) },
		},
		"switch to software": {
			flags:  []string{"--seal", "hsm"},
			points: []string{"new-file-begun", "new-file-full", "new-file-placed", "switch-done"},
			run: func(n int) []string {
				return []string{"seal", "switch", "--to", "software", "--master-key-file", fmt.Sprintf("DIR/new%d.key", n), "--generate"}
			},
			after: func(t *testing.T, s *site) { require.Regexp(t, "^file:", s.sealing().active()) },
		},
		"rotate": {
			flags:  []string{"--seal", "hsm"},
			points: []string{"seal-key-made", "switch-done", "operator-answer"},
			run: func(n int) []string {
				return []string{"seal", "rotate", "--key-label", fmt.Sprint("root", n), "--generate"}
			},
		},
		"prune": {
			flags:  []string{"--seal", "hsm"},
			not:    []string{"slot-begun", "slot-wrapped"},
			points: []string{"operator-answer"},
			before: func(s *site) {
				s.must(s.seal("rotate", "--key-label", fmt.Sprint("key", len(s.log.String())), "--generate"))
			},
			run:   func(int) []string { return []string{"seal", "prune"} },
			after: func(t *testing.T, s *site) { require.Len(t, s.sealing().Slots, 1) },
		},
		"recovery": {
			points: []string{"operator-answer"},
			run:    func(int) []string { return []string{"seal", "recovery", "create", "--shares", "3", "--threshold", "2"} },
			after: func(t *testing.T, s *site) {
				slots := s.sealing().Slots
				require.Len(t, slots, 2)
				require.Equal(t, "recovery", slots[1].State)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := siteWith(t, act.flags...)
			s.serve()
			tr := s.treasures()
			s.stop()
			points := act.points
			for _, p := range slotPoints {
				if !contains(act.not, p) {
					points = append(points, p)
				}
			}
			for n, point := range points {
				if act.before != nil {
					s.serve()
					act.before(s)
					s.stop()
				}
				args := append(act.run(n), "--config", s.config())
				for i := range args {
					args[i] = strings.Replace(args[i], "DIR", s.dir, 1)
				}
				s.crashServing(point, func() { require.NotZero(t, s.strongroomd(args...).code, point) })
				s.serve()
				tr.safe(point)
				s.must(s.strongroomd(args...))
				if act.after != nil {
					act.after(t, s)
				}
				tr.safe(point)
				s.stop()
				if strings.HasPrefix(name, "switch to software") { // what the command says to write there
					s.follow(args[5])
				}
			}
		})
	}
}

// TestX35CrashRecovery: whenever the server ends, shares that somebody has open the root key: the new ones, or those of before.
func TestX35CrashRecovery(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	s.serve()
	shares := func(r result) []string { return strings.Split(r.stdout, "\n")[:2] }
	create := []string{"recovery", "create", "--shares", "3", "--threshold", "2"}
	open := func(shares []string) bool {
		return s.seal("recovery", "verify", shares[0]).code == 0 && strings.Contains(s.seal("recovery", "verify", shares[1]).stdout, "these shares open slot")
	}
	r := s.seal(create...)
	s.must(r)
	have := shares(r)
	s.stop()
	replaced := 0
	for _, point := range append([]string{"operator-answer"}, slotPoints...) {
		var cut result
		s.crashServing(point, func() { cut = s.seal(create...) })
		require.NotZero(t, cut.code, point)
		require.Contains(t, cut.stderr, "is not known", point)
		s.serve()
		made := shares(cut)
		require.NotEqual(t, open(have), open(made), "at %s one or the other", point)
		if open(made) {
			have = made
			replaced++
		}
		s.stop()
	}
	require.Positive(t, replaced)
	s.serve()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	unseen := exec.Command(filepath.Join(bin, "strongroomd"), append(append([]string{"seal"}, create...), "--config", s.config())...)
	var said bytes.Buffer
	unseen.Stdout, unseen.Stderr = full, &said
	require.Error(t, unseen.Run())
	require.Contains(t, said.String(), "nothing was changed")
	require.True(t, open(have))
	s.must(s.seal("seal"))
	require.Contains(t, s.refused(s.seal(create...)), "the server is sealed")
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

var sealTable = regexp.MustCompile(`(?ms)^\[seal\]\n.*?\n\n`)

// follow has the configuration name a master key file.
func (s *site) follow(file string) {
	s.t.Helper()
	text := s.read("strongroom.toml")
	at := sealTable.FindIndex(text)
	require.NotNil(s.t, at)
	s.write("strongroom.toml", bytes.Join([][]byte{text[:at[0]], fmt.Appendf(nil, "[seal]\nstrategy = \"software\"\nmaster_key_file = %q\n\n", file), text[at[1]:]}, nil))
}

// TestX32Crash ends the server in the rotation that its configuration asks for, at its start.
func TestX32Crash(t *testing.T) {
	t.Parallel()
	s := siteWith(t, "--seal", "hsm")
	s.serve()
	tr := s.treasures()
	s.stop()
	label := "strongroom-root"
	for n, point := range append([]string{"wish-followed"}, slotPoints...) {
		next := fmt.Sprint("v", n)
		s.must(s.strongroomd("hsm", "generate", "--slot", "4", "--key-label", next, "--purpose", "seal", "--config", s.config()))
		s.configure(fmt.Sprintf("key_label = %q", label), fmt.Sprintf("key_label = %q\ndefault_key_label = %q", next, label))
		s.crashServing(point, nil)
		s.serve()
		tr.safe(point)
		require.Regexp(t, "^p11:.*:"+next+":", s.sealing().active(), point)
		s.stop()
		s.configure(fmt.Sprintf("\ndefault_key_label = %q", label), "")
		label = next
	}
}

var crashPoint = regexp.MustCompile(`crash\.At\((.*?)\)`)

// TestCrashPoints: each point has a name of its own, a test ends the program there, and the program that is shipped has none.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	var tests []byte
	files, err := filepath.Glob("crash*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		tests = append(tests, data...)
	}
	where := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS(".."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(filepath.Join("..", path))
		for _, found := range crashPoint.FindAllSubmatch(data, -1) {
			name := strings.Trim(string(found[1]), `"`)
			require.Regexp(t, `^[a-z-]+$`, name, path)
			require.Empty(t, where[name], "%s is in %s, too", name, path)
			where[name] = path
			require.Regexp(t, `"`+name+`[":]`, string(tests), "no test ends the program at %s of %s", name, path)
		}
		return err
	}))
	require.Greater(t, len(where), 30)
	shipped, err := os.ReadFile(filepath.Join(bin, "strongroomd"))
	require.NoError(t, err)
	require.NotContains(t, string(shipped), "STRONGROOM_CRASH")
	program, err := crashing()
	require.NoError(t, err)
	other, err := os.ReadFile(program)
	require.NoError(t, err)
	require.Contains(t, string(other), "STRONGROOM_CRASH")
}

// TestGenerateTakesItsOwn: a key or a file with the name that --generate is to make is used where an act made it that was cut off, and
// refused where anybody else did.
func TestGenerateTakesItsOwn(t *testing.T) {
	t.Parallel()
	s := siteWith(t)
	s.serve()
	s.tool("--keygen", "--key-type", "AES:32", "--label", "theirs", "--sensitive")
	s.write("theirs.key", []byte(strings.Repeat("5a", 32)))
	for range 2 {
		require.Contains(t, s.refused(s.seal("switch", "--to", "hsm", "--key-label", "theirs", "--generate")), "is in use")
		require.Contains(t, s.refused(s.seal("switch", "--to", "software", "--master-key-file", s.path("theirs.key"), "--generate")), "exists")
	}
	s.stop()
	mine := []string{"switch", "--to", "hsm", "--key-label", "mine", "--generate"}
	s.crashServing("seal-key-made", func() { require.NotZero(t, s.seal(mine...).code) })
	s.tool("--delete-object", "--type", "secrkey", "--label", "mine")
	s.write("known", bytes.Repeat([]byte{0x5a}, 32))
	s.tool("--write-object", s.path("known"), "--type", "secrkey", "--key-type", "AES:32", "--label", "mine", "--id", "6d696e65", "--sensitive", "--usage-decrypt")
	s.serve()
	require.Contains(t, s.refused(s.seal(mine...)), "not as it would be made")
	s.tool("--delete-object", "--type", "secrkey", "--label", "mine")
	s.must(s.seal(mine...))
	require.Contains(t, s.must(s.seal(mine...)), "active already", "said again, it is done")
	s.must(s.seal("rotate", "--key-label", "next", "--generate"))
	require.Contains(t, s.refused(s.seal("rotate", "--key-label", "mine", "--generate")), "is in use", "it is not new any more")
}
