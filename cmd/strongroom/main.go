// Strongroom is the command line of a user of a KMIP key server: it makes and manages keys, and encrypts, decrypts and
// signs with them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"strongroom/kmip/client"
)

// What the program ends with.
const (
	exitDone    = 0
	exitRefused = 1
	exitMisused = 2
)

// patience is how long a command that was interrupted has to end by itself.
const patience = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	p := &program{in: os.Stdin, out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv}
	code := make(chan int, 1)
	go func() { code <- p.run(ctx, os.Args[1:]) }()
	select {
	case c := <-code:
		os.Exit(c)
	case <-ctx.Done():
	}
	select { // a command may wait for input that does not come
	case c := <-code:
		os.Exit(c)
	case <-time.After(patience):
		p.unfinished.removeAll()
		os.Exit(exitRefused)
	}
}

// A program is one run of the command line.
type program struct {
	in       io.Reader
	out, err io.Writer
	lookup   func(name string) (string, bool) // an environment variable

	settings   settings // as the flags give them
	configFile string
	timeout    time.Duration // of one request
	json       bool

	client     *client.Client // once a command needs it
	unfinished unfinished
}

// run runs the command that args name and returns what the program ends with.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.rootCommand()
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	command, err := root.ExecuteContextC(ctx)
	if p.client != nil {
		p.client.Close()
	}
	if err == nil {
		return exitDone
	}
	p.complain(err)
	if !errors.As(err, new(misuse)) {
		return exitRefused
	}
	if !p.json {
		fmt.Fprintf(p.err, "Run '%s --help' for how it is used.\n", command.CommandPath())
	}
	return exitMisused
}

// complain prints an error.
func (p *program) complain(err error) {
	if !p.json {
		fmt.Fprintf(p.err, "strongroom: %v\n", err)
		return
	}
	complaint := struct {
		Error  string `json:"error"`
		Reason string `json:"reason,omitempty"` // the Result Reason of the server
	}{Error: err.Error()}
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Reason != 0 {
		complaint.Reason = refusal.Reason.String()
	}
	json.NewEncoder(p.err).Encode(complaint)
}

// A misuse is the mistake of whoever typed the command, rather than of the command.
type misuse struct{ error }

// Unwrap returns the mistake itself.
func (m misuse) Unwrap() error { return m.error }

func misused(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// rootCommand assembles the program's commands.
func (p *program) rootCommand() *cobra.Command {
	root := group("strongroom", "Keys in a KMIP server, and what is done with them",
		p.symCommand(), p.rsaCommand(), p.ecCommand(), p.secretCommand(), p.certificatesCommand(), p.macCommand(), p.locateCommand(), p.attributesCommand(), p.accessCommand(), p.serverCommand(), p.fileCommand(), p.kmipCommand())
	root.Long = `Make and manage keys in a KMIP key server, and encrypt, decrypt and sign with them.

The server, and who you are to it, come from a configuration file (--config, or $STRONGROOM_CONFIG):

  server      = "kms.example.com:5696"
  ca          = "ca.crt"        # who issues the server's certificate; paths start at the file's folder
  certificate = "alice.crt"     # yours
  private_key = "alice.key"

Each of these can be given as a flag or as a variable (STRONGROOM_SERVER, …) too; a flag outdoes a variable, which
outdoes the file. The program ends with 0 when all went well, 1 when something was refused or failed, and 2 when it
was not used as it is meant to be.`
	root.Version = version()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misuse{err} })
	root.SetGlobalNormalizationFunc(hyphens)
	flags := root.PersistentFlags()
	flags.StringVar(&p.configFile, "config", "", "configuration `FILE` (default $"+configVariable+")")
	for _, s := range settingsTable {
		flags.StringVar(s.of(&p.settings), s.flag(), "", s.help)
	}
	flags.DurationVar(&p.timeout, "timeout", time.Minute, "`TIME` that one request may take")
	flags.BoolVar(&p.json, "json", false, "answer with a JSON object")
	return root
}

// hyphens reads --size_in_bits as --size-in-bits.
func hyphens(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	b := []byte(name)
	for i, c := range b {
		if c == '_' {
			b[i] = '-'
		}
	}
	return pflag.NormalizedName(b)
}

// group returns a command that does nothing but hold others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use:                        use,
		Short:                      short,
		SuggestionsMinimumDistance: 2,
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return misused("unknown command %q; did you mean %q?", args[0], near[0])
			}
			return misused("unknown command %q", args[0])
		},
	}
	g.AddCommand(commands...)
	return g
}

// arguments makes a misuse of what check refuses.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return misuse{err}
		}
		return nil
	}
}

// answer prints what a command came to: as JSON, or as text.
func (p *program) answer(object any, format string, args ...any) error {
	if p.json {
		e := json.NewEncoder(p.out)
		e.SetEscapeHTML(false)
		return e.Encode(object)
	}
	_, err := fmt.Fprintf(p.out, format+"\n", args...)
	return err
}
