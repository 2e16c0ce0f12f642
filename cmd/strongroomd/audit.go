package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"strongroom/kmip/server"
)

// auditCommand holds the commands about the audit log.
func auditCommand() *cobra.Command {
	cmd := group("audit", "The audit log")
	cmd.AddCommand(auditVerifyCommand())
	return cmd
}

// auditVerifyCommand follows the chain of an audit log.
func auditVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Verify that no line of an audit log was changed, removed or added",
		Long: `Verify the hash chain of the audit log FILE, by default the configuration's, and print how many lines it has. The
first line that does not fit is named, and the command ends with 1.`,
		Example: `  strongroomd audit verify
  strongroomd audit verify /var/backups/audit.jsonl`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := auditFile(cmd, args)
			if err != nil {
				return err
			}
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			lines, err := server.VerifyAudit(f)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d lines, unbroken\n", name, lines)
			return err
		},
	}
}

// auditFile is the file named in args, or else in the configuration.
func auditFile(cmd *cobra.Command, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	config, err := loadConfig(cmd)
	if err != nil {
		return "", err
	}
	return config.Audit.File, nil
}
