package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom/cache"
	"strongroom/conf"
	"strongroom/hsm"
)

// configCommand holds the commands about the configuration.
func configCommand() *cobra.Command {
	cmd := group("config", "Look the configuration over")
	cmd.AddCommand(configCheckCommand(), configShowCommand())
	return cmd
}

// configCheckCommand reads the configuration and reports every fault.
func configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Report every fault of the configuration, environment included",
		Example: "  strongroomd config check --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := loadConfig(cmd); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: no faults\n", configFile(cmd))
			return err
		},
	}
}

// configShowCommand prints the configuration that is in force.
func configShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Print the configuration in force: the file, the environment over it, and what neither sets",
		Example: "  strongroomd config show --config /etc/strongroom/strongroom.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			inForce(config)
			_, err = fmt.Fprint(cmd.OutOrStdout(), config.Show())
			return err
		},
	}
}

// inForce says what the parts of the server do where the configuration leaves it to them.
func inForce(c *conf.Config) {
	c.UnwrappedCacheSize = cmp.Or(c.UnwrappedCacheSize, cache.DefaultSize)
	for i := range c.HSM {
		h := &c.HSM[i]
		h.Isolation = cmp.Or(h.Isolation, hsm.DefaultIsolation)
		h.CallLimit = cmp.Or(h.CallLimit, hsm.DefaultCallLimit)
		for j := range h.Slots {
			s := &h.Slots[j]
			s.MaxSessions = cmp.Or(s.MaxSessions, hsm.DefaultSessions)
			s.WrappedHandleAge = cmp.Or(s.WrappedHandleAge, hsm.DefaultHandleAge)
		}
	}
}
