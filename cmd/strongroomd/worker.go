package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"strongroom/conf"
	"strongroom/hsm"
)

// workerCommand is the name of the command that a server starts for itself.
const workerCommand = "hsm-worker"

func hsmWorkerCommand() *cobra.Command {
	var configuration, library string
	c := &cobra.Command{
		Use:     workerCommand,
		Short:   "Run a PKCS#11 module for a server",
		Long:    "Run a PKCS#11 module for a server, which starts this process by itself (isolation in the configuration).",
		Example: "  strongroomd hsm-worker --config /etc/strongroom/strongroom.toml --library /usr/lib/vendor/libpkcs11.so",
		Hidden:  true,
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			loaded, err := conf.Load(configuration, os.Environ())
			if err != nil {
				return err
			}
			for _, m := range modulesOf(loaded) {
				if m.Library == library {
					m.Isolation = "none"
					return hsm.Work(m)
				}
			}
			return fmt.Errorf("%s has no [[hsm]] of the library %s", configuration, library)
		},
	}
	c.Flags().StringVar(&configuration, "config", "", "configuration `FILE` of the server")
	c.Flags().StringVar(&library, "library", "", "`PATH` of the module")
	return c
}

// workerOf gives the command of a worker process for a library. It has the server's environment, for a PIN may be in it.
func workerOf(configuration, library string) func() *exec.Cmd {
	return func() *exec.Cmd {
		self, err := os.Executable()
		if err != nil {
			self = "/proc/self/exe"
		}
		return exec.Command(self, workerCommand, "--config", configuration, "--library", library)
	}
}
