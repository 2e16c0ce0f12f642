package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"strongroom/kmip"
	"strongroom/kmip/client"
)

// A site is an installation with a SoftHSM token of its own, and its running server. The token stands in memory, for
// SoftHSM reads its files on every use of a key; the database and the audit file stand on a disk.
type site struct {
	bin     string // folder of the built programs
	dir     string // of the installation
	data    string // its data_dir
	address string
	server  *exec.Cmd
	exited  chan struct{}
	log     string // file
}

// slot is the number of the token's slot: what init gives it.
const slot = 4

// newSite builds the programs and makes an installation; memory and disk are folders to do it in.
func newSite(ctx context.Context, memory, disk string) (*site, error) {
	s := &site{
		bin: filepath.Join(disk, "bin"), dir: filepath.Join(memory, "site"), data: filepath.Join(disk, "data"),
		log: filepath.Join(disk, "server.log"),
	}
	if err := s.build(ctx); err != nil {
		return nil, err
	}
	return s, s.install(ctx)
}

// another makes an installation beside s, with the same programs, in folders of its own.
func (s *site) another(ctx context.Context, memory, disk string) (*site, error) {
	for _, dir := range []string{memory, disk} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	other := &site{bin: s.bin, dir: filepath.Join(memory, "site"), data: filepath.Join(disk, "data"), log: filepath.Join(disk, "server.log")}
	return other, other.install(ctx)
}

// install makes the installation.
func (s *site) install(ctx context.Context) (err error) {
	if s.address, err = freeAddress(); err != nil {
		return err
	}
	if _, err := s.strongroomd(ctx, "init", s.dir, "--softhsm", "--clear-keys", "--listen", s.address); err != nil {
		return err
	}
	return s.moveData()
}

// edit changes the configuration.
func (s *site) edit(change func(text string) string) error {
	path := filepath.Join(s.dir, "strongroom.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := change(string(text))
	if changed == string(text) {
		return fmt.Errorf("%s is not as it is expected", path)
	}
	return os.WriteFile(path, []byte(changed), 0o600)
}

// build builds the programs as make build does.
func (s *site) build(ctx context.Context) error {
	for program, cgo := range map[string]string{"strongroomd": "1", "strongroom": "0"} {
		goTool := os.Getenv("GO")
		if goTool == "" {
			goTool = "go"
		}
		build := exec.CommandContext(ctx, goTool, "build", "-trimpath", "-o", s.program(program), "strongroom/cmd/"+program)
		build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", program, err, output)
		}
	}
	return nil
}

func (s *site) program(name string) string { return filepath.Join(s.bin, name) }

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// strongroomd runs an operator's command and gives what it printed.
func (s *site) strongroomd(ctx context.Context, args ...string) ([]byte, error) {
	output, err := exec.CommandContext(ctx, s.program("strongroomd"), args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("strongroomd %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return output, nil
}

var dataLine = regexp.MustCompile(`(?m)^data_dir\s*=.*$`)

// moveData moves the database that init made to the disk, and has the configuration say so.
func (s *site) moveData() error {
	if err := os.CopyFS(s.data, os.DirFS(filepath.Join(s.dir, "data"))); err != nil {
		return err
	}
	err := filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return errors.Join(err, os.Chmod(path, 0o600))
		}
		return os.Chmod(path, 0o700)
	})
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, "strongroom.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !dataLine.Match(text) {
		return fmt.Errorf("%s has no data_dir", path)
	}
	text = dataLine.ReplaceAllLiteral(text, fmt.Appendf(nil, "data_dir = %q", s.data))
	return errors.Join(os.WriteFile(path, text, 0o600), os.RemoveAll(filepath.Join(s.dir, "data")))
}

// serve starts the server, and waits until it answers.
func (s *site) serve(ctx context.Context) error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.server = exec.Command(s.program("strongroomd"), "serve", "--config", filepath.Join(s.dir, "strongroom.toml"))
	s.server.Stdout, s.server.Stderr = log, log
	s.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.server.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() { s.server.Wait(); close(s.exited) }()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended:\n%s", s.tail())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w\n%s", err, s.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask sends one Query.
func (s *site) ask(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = client.Do[kmip.QueryResponse](ctx, c, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryOperations}})
	return err
}

// tail is the end of the server's log.
func (s *site) tail() string {
	text, _ := os.ReadFile(s.log)
	return string(text[max(0, len(text)-4096):])
}

// stop ends the server in the ordinary way.
func (s *site) stop() error {
	if s.server == nil {
		return nil
	}
	s.server.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.server.Process.Kill()
		<-s.exited
		return fmt.Errorf("the server did not stop:\n%s", s.tail())
	}
	return nil
}

func (s *site) process() process { return process{s.server.Process.Pid} }

// tls is the TLS configuration of the site's administrator: TLS 1.3 and nothing older.
func (s *site) tls() (*tls.Config, error) {
	in := func(elements ...string) string { return filepath.Join(append([]string{s.dir}, elements...)...) }
	pair, err := tls.LoadX509KeyPair(in("clients", "admin.crt"), in("clients", "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(in("tls", "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("tls/ca.crt has no certificate")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "localhost",
	}, nil
}

// connect makes a client of the administrator's.
func (s *site) connect(ctx context.Context) (*client.Client, error) {
	config, err := s.tls()
	if err != nil {
		return nil, err
	}
	return client.Dial(ctx, client.Config{Address: s.address, TLS: config})
}
