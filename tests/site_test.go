// Package tests drives the built programs from outside, against real tokens and real files.
package tests

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bin is where TestMain built the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "strongroom-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for program, cgo := range map[string]string{"strongroomd": "1", "strongroom": "0"} { // as make build does, and with its cache
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, program), "./cmd/"+program)
		build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED="+cgo)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building", program, err)
			return 1
		}
	}
	return m.Run()
}

// A site is a configured server with a token of its own, in a temporary folder in memory.
type site struct {
	t       *testing.T
	dir     string
	address string
	env     []string // of the server
	program string   // the server; "" for strongroomd as it is shipped
	server  *exec.Cmd
	log     *lockedBuffer
	exited  chan struct{}
	library string // that tool uses; "" for the one of the configuration
}

// newSite makes a site; serve starts its server.
func newSite(t *testing.T) *site {
	t.Helper()
	parent := "/dev/shm" // making a token object on a disk costs 45 ms
	if _, err := os.Stat(parent); err != nil {
		parent = os.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "strongroom-site")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{t: t, dir: filepath.Join(dir, "site"), address: freeAddress(t), log: new(lockedBuffer)}
	s.must(s.strongroomd("init", s.dir, "--softhsm", "--listen", s.address))
	return s
}

// freeAddress is a loopback address for servers of this test, as long as it runs. A socket that is bound to it, and does not listen,
// keeps it from being given to anybody who asks for any: servers bind to it all the same, with SO_REUSEADDR, which Go sets.
func freeAddress(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { syscall.Close(socket) })
	require.NoError(t, syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	require.NoError(t, syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := syscall.Getsockname(socket)
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// alone says whether the machine is the tests' alone, so that they hold what they see to the times that are promised; else a
// request may wait for a processor, and they hold it to what it must not wait for.
func alone() bool { return os.Getenv("STRONGROOM_LONG") == "1" }

// launch starts the server, which is stopped when the test ends.
func (s *site) launch(switches ...string) {
	s.t.Helper()
	args := append([]string{"serve", "--config", s.path("strongroom.toml")}, switches...)
	s.server = exec.Command(cmp.Or(s.program, filepath.Join(bin, "strongroomd")), args...)
	s.server.Env = append(os.Environ(), s.env...)
	s.server.Stdout, s.server.Stderr = s.log, s.log
	require.NoError(s.t, s.server.Start())
	exited := make(chan struct{})
	s.exited = exited
	server := s.server
	go func() { server.Wait(); close(exited) }()
	s.t.Cleanup(s.stop)
}

// serve starts the server and waits until it answers.
func (s *site) serve(switches ...string) {
	s.t.Helper()
	s.launch(switches...)
	exited := s.exited
	require.Eventually(s.t, func() bool {
		select {
		case <-exited:
			s.t.Fatalf("the server ended: %s", s.log)
		default:
		}
		c, err := net.DialTimeout("tcp", s.address, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}, time.Minute, 20*time.Millisecond, "the server does not listen: %s", s.log)
}

// stop ends the server in the ordinary way.
func (s *site) stop() { s.end(syscall.SIGTERM) }

// kill ends it as a power failure would.
func (s *site) kill() { s.end(syscall.SIGKILL) }

func (s *site) end(signal syscall.Signal) {
	if s.server == nil {
		return
	}
	s.server.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		s.server.Process.Kill()
		<-s.exited
		s.t.Errorf("the server did not stop: %s", s.log)
	}
	s.server = nil
}

func (s *site) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// result is what a command printed, and its exit code.
type result struct {
	stdout, stderr string
	code           int
	args           []string
}

func (s *site) exec(env []string, program string, args ...string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%s %v: %v", program, args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), append([]string{program}, args...)}
}

// strongroomd runs an operator's command.
func (s *site) strongroomd(args ...string) result {
	s.t.Helper()
	return s.exec(nil, filepath.Join(bin, "strongroomd"), args...)
}

// addClient issues a certificate.
func (s *site) addClient(name string) {
	s.t.Helper()
	s.must(s.strongroomd("client", "add", name, "--dir", s.dir))
}

// must fails the test unless the command succeeded.
func (s *site) must(r result) string {
	s.t.Helper()
	require.Equal(s.t, 0, r.code, "%v\n%s%s\nserver: %s", r.args, r.stdout, r.stderr, s.log)
	return r.stdout
}

// refused fails the test unless the command was refused, and gives why.
func (s *site) refused(r result) string {
	s.t.Helper()
	require.Equal(s.t, 1, r.code, "%v\n%s%s", r.args, r.stdout, r.stderr)
	return r.stderr
}

// tls is the TLS configuration of a client of the site.
func (s *site) tls(name string) *tls.Config {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(s.path("clients", name+".crt"), s.path("clients", name+".key"))
	require.NoError(s.t, err)
	ca, err := os.ReadFile(s.path("tls", "ca.crt"))
	require.NoError(s.t, err)
	pool := x509.NewCertPool()
	require.True(s.t, pool.AppendCertsFromPEM(ca))
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "localhost"}
}

// dial opens a TLS connection as a client of the site.
func (s *site) dial(name string) *tls.Conn {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.address, s.tls(name))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	require.NoError(s.t, c.SetDeadline(time.Now().Add(2*time.Minute)))
	return c
}

var libraryLine = regexp.MustCompile(`(?m)^\s*library\s*=\s*"(.*)"`)

// module is the PKCS#11 library of the site's configuration.
func (s *site) module() string {
	s.t.Helper()
	text, err := os.ReadFile(s.path("strongroom.toml"))
	require.NoError(s.t, err)
	found := libraryLine.FindSubmatch(text)
	require.NotNil(s.t, found, "the configuration names no library")
	return string(found[1])
}

// tool runs pkcs11-tool on the site's token, logged in.
func (s *site) tool(args ...string) string {
	s.t.Helper()
	path, err := exec.LookPath("pkcs11-tool")
	if err != nil {
		s.t.Skip("pkcs11-tool is not installed (package opensc)")
	}
	pin, err := os.ReadFile(s.path("hsm-4.pin"))
	require.NoError(s.t, err)
	args = append([]string{"--module", cmp.Or(s.library, s.module()), "--login", "--pin", strings.TrimSpace(string(pin))}, args...)
	r := s.exec([]string{"SOFTHSM2_CONF=" + s.path("softhsm", "softhsm2.conf")}, path, args...)
	require.Equal(s.t, 0, r.code, "%s%s", r.stdout, r.stderr)
	return r.stdout
}

// write makes a file in the site's folder and gives its path.
func (s *site) write(name string, data []byte) string {
	s.t.Helper()
	path := s.path(name)
	require.NoError(s.t, os.WriteFile(path, data, 0o600))
	return path
}

// logs waits until the server's log has a text; audits, until its audit log has. Both are written a moment after what they tell of.
func (s *site) logs(text string) {
	s.t.Helper()
	s.tells(text, s.log.String)
}

func (s *site) audits(text string) {
	s.t.Helper()
	s.tells(text, func() string { return string(s.read("data/audit.jsonl")) })
}

func (s *site) tells(text string, in func() string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.Contains(in(), text) }, time.Minute, 5*time.Millisecond, "%q was not told", text)
}

// read is what a file of the site's folder has.
func (s *site) read(name string) []byte {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	require.NoError(s.t, err)
	return data
}
