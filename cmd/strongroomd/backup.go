package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"strongroom/conf"
	"strongroom/store"
	"strongroom/store/seal"
)

// writing makes a package of the store.
type writing func(ctx context.Context, c *conf.Config, s *store.Store, w io.Writer) error

// backupCommand holds the commands about backups.
func backupCommand() *cobra.Command {
	cmd := group("backup", "Backups: the database, the key files and the configuration, with nothing secret in clear")
	cmd.AddCommand(backupCreateCommand(), backupVerifyCommand())
	return cmd
}

const masterFlag = "master key `SOURCE` (a file, \"-\", env:NAME, credential:NAME); default as [seal] says"

func backupCreateCommand() *cobra.Command {
	master := ""
	var k keeping
	cmd := &cobra.Command{
		Use:   "create FILE",
		Short: "Write a backup, of a server that runs or of one that does not",
		Long: `Write the database as it is at one moment, the configuration, certificates and encrypted key files into FILE, which must not be there
yet. All that is secret in it is under the root key, or under keys in tokens: the backup holds neither the master key nor a PIN,
nor the tokens' keys; keep those elsewhere. The audit log is in it with --with-audit, as it is now: the restored server goes on with its
chain. Never in it are the clients' files (clients/), which are private keys in clear, and parts of the audit log that were renamed.`,
		Example: "  strongroomd backup create /mnt/backup/strongroom-$(date +%F).tar",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, left := "/backup/create", "the audit log (--with-audit) and the clients' files (clients/)"
			if k.audit {
				path, left = path+"?audit", "the clients' files (clients/)"
			}
			if err := createPackage(cmd, args[0], master, "backup create", path, k.write); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s. It opens with what opens the root key: %s does not hold that.\n"+
				"Not in it: the master key, PINs, keys in tokens, %s.\n", args[0], filepath.Base(args[0]), left)
			return err
		},
	}
	cmd.Flags().BoolVar(&k.audit, "with-audit", false, "put the audit log as it is now into the backup")
	cmd.Flags().StringVarP(&master, "master-key", "m", "", masterFlag)
	return cmd
}

// createPackage has the server that runs write a package, or does it here, into a new file.
func createPackage(cmd *cobra.Command, file, master, act, path string, write writing) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return newFile(file, func(w io.Writer) error {
		if serving(c) {
			return fetch(ctx, c, path, w)
		}
		return withStore(ctx, c, master, act, func(s *store.Store) error { return write(ctx, c, s, w) })
	})
}

// newFile writes a file of mode 0600 that must not be there, whole or not at all.
func newFile(name string, write func(io.Writer) error) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s is there already: nothing was changed", name)
	}
	return seal.NewFile(name, write)
}

// fetch writes what the server at the admin socket answers.
func fetch(ctx context.Context, c *conf.Config, path string, w io.Writer) error {
	response, err := request(ctx, c, http.MethodPost, path, nil, 0)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("the server did not finish: %w; its log says why", err)
	}
	return nil
}

// packages are what the server answers an operator who wants a package of it.
func packages(c func() *conf.Config, s *store.Store, log *operatorLog) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /backup/create": log.stream("backup create", func(q *http.Request, w io.Writer) error {
			return keeping{audit: q.URL.Query().Has("audit")}.write(q.Context(), c(), s, w)
		}),
		"POST /standby/create": log.stream("standby create", func(q *http.Request, w io.Writer) error {
			b := &standby{hosts: q.URL.Query()["host"], database: q.URL.Query().Has("database")}
			if len(b.hosts) == 0 {
				return errors.New("a standby has a host")
			}
			return b.write(q.Context(), c(), s, w)
		}),
	}
}

// standbyCommand holds the commands about standbys.
func standbyCommand() *cobra.Command {
	cmd := group("standby", "Another server of the same root key")
	cmd.AddCommand(standbyCreateCommand(), standbyUnpackCommand())
	return cmd
}

func standbyCreateCommand() *cobra.Command {
	var b standby
	master := ""
	cmd := &cobra.Command{
		Use:   "create FILE --host NAME",
		Short: "Write a package that another host becomes a server with",
		Long: `Write into FILE, which must not be there yet, what another host needs: the configuration, a certificate for the names and addresses of
--host with its private key, both made in memory, the certificate of the authority, and the root key slots. All that is secret is
under the root key: the package holds neither the master key nor a PIN. The database is in it with --with-database; else the
standby gets one by restoring a backup, or begins with none.`,
		Example: "  strongroomd standby create east.tar --host east.example.com --host 10.2.0.7 --with-database",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(b.hosts) == 0 {
				return misuse{errors.New("--host: the name of the standby is needed")}
			}
			query := url.Values{"host": b.hosts}
			if b.database {
				query.Set("database", "")
			}
			if err := createPackage(cmd, args[0], master, "standby create", "/standby/create?"+query.Encode(), b.write); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s. On %s: strongroomd standby unpack %s --dir DIR\n", args[0], b.hosts[0], filepath.Base(args[0]))
			return err
		},
	}
	cmd.Flags().StringSliceVar(&b.hosts, "host", nil, "`NAME` or address of the standby, for its certificate; may be repeated")
	cmd.Flags().BoolVar(&b.database, "with-database", false, "put the database as it is now into the package")
	cmd.Flags().StringVarP(&master, "master-key", "m", "", masterFlag)
	return cmd
}

const unpackLong = `

What opens the root key is not in the package: give the master key by --master-key, recovery shares by --recovery-shares, or put the
master key, and the files with the PINs, where the configuration names them, before. Before anything is put in place, every hash, the MAC and every key file are checked, and every
object is opened. A protector that is missing is named, and nothing is changed. Nothing that is there already is overwritten.`

func standbyUnpackCommand() *cobra.Command {
	u := unpacking{kind: seal.KindStandby}
	cmd := &cobra.Command{
		Use:     "unpack FILE --dir DIR",
		Short:   "Become a server with a package that standby create wrote",
		Long:    "Put the package FILE in place in the folder DIR." + unpackLong,
		Example: "  strongroomd standby unpack east.tar --dir /etc/strongroom --master-key /media/stick/master.key",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return u.run(cmd, args[0]) },
	}
	u.flags(cmd)
	return cmd
}

// restoreCommand puts a backup in place.
func restoreCommand() *cobra.Command {
	u := unpacking{kind: seal.KindBackup}
	cmd := &cobra.Command{
		Use:     "restore FILE --dir DIR",
		Short:   "Put a backup in place on a machine that has none of it",
		Long:    "Put the backup FILE in place in the folder DIR." + unpackLong,
		Example: "  strongroomd restore strongroom-2026-11-22.tar --dir /etc/strongroom --master-key /media/stick/master.key",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return u.run(cmd, args[0]) },
	}
	u.flags(cmd)
	return cmd
}

func backupVerifyCommand() *cobra.Command {
	u := unpacking{verify: true}
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a backup or a standby's package, and that it can be opened",
		Long: `Check every hash and the MAC of FILE, open its key files and every object in it with what opens the root key here, and print what it
holds. A protector that is missing is named. Nothing is changed.`,
		Example: "  strongroomd backup verify /mnt/backup/strongroom-2026-11-22.tar",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return u.run(cmd, args[0]) },
	}
	u.openingFlags(cmd)
	cmd.Flags().BoolVar(&u.hashes, "hashes-only", false, "check the hashes alone, for which nothing is needed")
	return cmd
}
