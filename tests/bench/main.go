// Bench measures the built server as its own process, over mutual TLS 1.3, with clients on the same cores, and beside each
// figure its floor, measured in the same run: before it and behind it.
//
// There are two floors. An echo, in a process of its own, speaks the same TLS with the same certificates to the same
// clients, and answers messages of the same sizes: what lies between it and the server is KMIP, the keys and the audit. And
// the site's token, driven directly through PKCS#11 by a program in C with as many threads as the server has connections.
//
// Beside the token's floor a plain server stands as a peer: the echo with one operation of the token before each answer, through
// the binding that Go programs use, and nothing else.
//
// Everything is measured again, three times at most, while the host of a virtual machine takes its processors away.
//
// A module that runs in a worker process, one behind a shim that adds a millisecond to each call, as a device in a network does,
// and a token of ten thousand keys are measured on servers of their own.
//
// Signatures with keys of the database have Go's own package as their floor, and searches a bare table of SQLite's. Searches run
// on a server of their own, with a thousand, a hundred thousand and a million keys, which the store itself writes before.
//
// The server runs as init configures it, with the audit on. Its database is on a disk and its SoftHSM token in memory.
//
//	go run ./tests/bench [--duration 2s] [--only REGEXP] [--json FILE]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// echoCommand is the first argument of the process that is the echo; the second is the site's folder.
const echoCommand = "echo"

func main() {
	if len(os.Args) == 3 && os.Args[1] == echoCommand {
		exit(serveEcho(os.Args[2], nil))
	}
	if len(os.Args) == 3 && os.Args[1] == plainCommand {
		exit(servePlain(os.Args[2]))
	}
	var o options
	only := ""
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "time of one measurement `D`; each of its two floors takes a quarter of it")
	flag.DurationVar(&o.warmUp, "warm-up", 300*time.Millisecond, "time `D` before each measurement")
	flag.StringVar(&only, "only", "", "measure only what `REGEXP` matches: a name in the table's first column")
	flag.StringVar(&o.json, "json", filepath.Join(os.TempDir(), "strongroom-bench.json"), "`FILE` for the figures as JSON")
	flag.DurationVar(&o.hold, "hold", 0, "time `D` that the server goes on behind the run, to look at it")
	flag.Parse()
	if flag.NArg() > 0 {
		exit(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		exit(fmt.Errorf("--only: %w", err))
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	exit(run(ctx, &o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are the command line's.
type options struct {
	duration, warmUp, hold time.Duration
	only                   *regexp.Regexp
	json                   string
}

// run makes a site, measures, and takes everything away again.
func run(ctx context.Context, o *options) (err error) {
	memory, disk, remove, err := folders()
	if err != nil {
		return err
	}
	defer remove()
	fmt.Fprintln(os.Stderr, "building the programs and making a site")
	s, err := newSite(ctx, memory, disk)
	if err != nil {
		return err
	}
	if err := s.serve(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	echo, err := startEcho(func(*exec.Cmd) {}, echoCommand, s.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, echo.stop()) }()
	b, err := newBench(ctx, o, s, echo, memory)
	if err != nil {
		return err
	}
	defer b.keys.client.Close()
	if b.report.Machine, err = look(memory, disk); err != nil {
		return err
	}
	return b.all(ctx)
}
