// With entropy augmentation, Go's makers of RSA keys must read what they are given: store/soft/random.go.
//go:debug cryptocustomrand=1

// Strongroomd is the key server: it answers KMIP clients in front of PKCS#11 tokens and of a database of its own, and
// it is its operator's tool as well.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"strongroom/conf"
)

// What the program ends with. A command may end with another code where its help says so.
const (
	exitDone    = 0
	exitError   = 1
	exitMisused = 2
)

// configVariable names the environment variable that stands in for --config.
const configVariable = "STRONGROOMD_CONFIG"

// defaultConfig is the configuration file where neither --config nor configVariable names one.
const defaultConfig = "/etc/strongroom/strongroom.toml"

func main() {
	if err := harden(); err != nil {
		fmt.Fprintf(os.Stderr, "strongroomd: %v\n", err)
		os.Exit(exitError)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the command that args name and returns what the program ends with.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if code, ok := err.(exit); ok {
		return int(code)
	}
	fmt.Fprintf(stderr, "strongroomd: %v\n", err)
	if errors.As(err, new(misuse)) {
		fmt.Fprintf(stderr, "Run '%s --help' for how it is used.\n", command.CommandPath())
		return exitMisused
	}
	return exitError
}

// A misuse is the mistake of whoever typed the command, rather than of the command.
type misuse struct{ error }

// Unwrap returns the mistake itself.
func (m misuse) Unwrap() error { return m.error }

// rootCommand assembles the program's commands.
func rootCommand() *cobra.Command {
	root := group("strongroomd", "A KMIP key server in front of hardware security modules")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misuse{err} })
	root.PersistentFlags().String("config", "", fmt.Sprintf("configuration `FILE` (default $%s, else %s)", configVariable, defaultConfig))
	root.AddCommand(initCommand(), clientCommand(), serveCommand(), configCommand(), cacheCommand(), keysCommand(), backupCommand(), restoreCommand(), standbyCommand(), auditCommand(), storeCommand(), sealCommand(), envelopeCommand(), versionCommand(), hsmCommand(), hsmWorkerCommand())
	return root
}

// group returns a command that does nothing but hold others.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use:                        use,
		Short:                      short,
		Args:                       cobra.ArbitraryArgs,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			err := fmt.Errorf("unknown command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean %q?", err, near[0])
			}
			return misuse{err}
		},
	}
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

// needed has a command refuse to run without some of its flags: that is a misuse.
func needed(cmd *cobra.Command, names ...string) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		for _, name := range names {
			if !cmd.Flags().Changed(name) {
				return misuse{fmt.Errorf("--%s is needed", name)}
			}
		}
		return nil
	}
}

// configFile is the configuration file that a command is to use.
func configFile(cmd *cobra.Command) string {
	if name, err := cmd.Flags().GetString("config"); err == nil && name != "" {
		return name
	}
	if name := os.Getenv(configVariable); name != "" {
		return name
	}
	return defaultConfig
}

// loadConfig reads the configuration that a command is to use.
func loadConfig(cmd *cobra.Command) (*conf.Config, error) {
	return conf.Load(configFile(cmd), os.Environ())
}

// versionCommand prints what was built, and from what.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the program's version",
		Example: "  strongroomd version",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "strongroomd %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is the module's version, and the commit where the build knew it.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			return build.Main.Version + " " + setting.Value
		}
	}
	return build.Main.Version
}
