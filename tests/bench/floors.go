package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // for the second floor's program
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// An echoProcess is the first floor.
type echoProcess struct {
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
}

// startEcho runs this program again with arguments that make it an echo.
func startEcho(prepare func(*exec.Cmd), args ...string) (*echoProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	prepare(cmd)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cmd.Process.Kill()
		return nil, errors.Join(errors.New("the echo did not start"), cmd.Wait())
	}
	return &echoProcess{strings.TrimSpace(address), cmd, stdin}, nil
}

func (e *echoProcess) stop() error {
	e.stdin.Close()
	return e.cmd.Wait()
}

//go:embed token/token.c
var tokenSource []byte

// tokenLabel is the label of the site's token.
const tokenLabel = "strongroom"

// A tokenFloor is the second floor: a program in C that drives the site's token. It and the server have the token open at
// the same time, but do not use it at the same time.
type tokenFloor struct {
	program, library, pin string
	env                   []string // that the module needs
	ciphertext            []byte
}

var libraryLine = regexp.MustCompile(`(?m)^\s*library\s*=\s*"(.*)"`)

// newTokenFloor compiles the program.
func newTokenFloor(ctx context.Context, s *site, ciphertext []byte) (*tokenFloor, error) {
	t := &tokenFloor{
		program: filepath.Join(s.bin, "token"), ciphertext: ciphertext,
		env: []string{"SOFTHSM2_CONF=" + filepath.Join(s.dir, "softhsm", "softhsm2.conf")},
	}
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "gcc"
	}
	cc := exec.CommandContext(ctx, compiler, "-O2", "-std=gnu11", "-x", "c", "-o", t.program, "-", "-ldl", "-lpthread")
	cc.Stdin = bytes.NewReader(tokenSource)
	if output, err := cc.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the token's floor: %w\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "strongroom.toml"))
	if err != nil {
		return nil, err
	}
	found := libraryLine.FindSubmatch(text)
	if found == nil {
		return nil, errors.New("the configuration names no library")
	}
	t.library = string(found[1])
	pin, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("hsm-%d.pin", slot)))
	t.pin = strings.TrimSpace(string(pin))
	return t, err
}

// run drives the token: operation is gcm, decrypt, sign or ecdsa; or fill, where threads is how many keys are made.
func (t *tokenFloor) run(ctx context.Context, operation, label string, threads int, warmUp, d time.Duration) (*outcome, error) {
	cmd := exec.CommandContext(ctx, t.program, t.library, tokenLabel, label, operation, fmt.Sprint(threads),
		fmt.Sprint(warmUp.Seconds()), fmt.Sprint(d.Seconds()))
	cmd.Env = append(os.Environ(), t.env...)
	cmd.Stdin = strings.NewReader(t.pin + "\n" + hex.EncodeToString(t.ciphertext) + "\n")
	output, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, err
	}
	o := new(outcome)
	var seconds float64
	if _, err := fmt.Sscan(string(output), &o.operations, &seconds); err != nil {
		return nil, fmt.Errorf("the token's program says %q: %w", output, err)
	}
	o.duration = time.Duration(seconds * float64(time.Second))
	return o, nil
}
