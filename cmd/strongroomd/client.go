package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"strongroom/authz"
	"strongroom/conf"
)

// A client is what a new client's files are made of.
type client struct {
	identity string // who the server will take it for
	file     string // name of its files, without extension
	field    string // field of the certificate that holds the identity: [kmip] identity
	days     int    // lifetime of the certificate
	listen   string // host:port that the server listens on
}

// clientCommand holds the commands about clients.
func clientCommand() *cobra.Command {
	cmd := group("client", "Clients of the server")
	cmd.AddCommand(clientAddCommand(), clientPasswordCommand())
	return cmd
}

// clientAddCommand issues a certificate to a new client.
func clientAddCommand() *cobra.Command {
	var c client
	var dir string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Issue a certificate and a configuration to a new client",
		Long: `Issue a certificate to the client NAME, signed by the authority in DIR/tls, and write it with its private key and
a configuration for strongroom to DIR/clients/NAME.crt, .key and .toml. The server does not have to be restarted.`,
		Example: `  strongroomd client add alice --dir /etc/strongroom
  strongroomd client add spiffe://example.com/db --file db --dir /etc/strongroom --days 30`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.identity = args[0]
			if c.file == "" {
				c.file = args[0]
			}
			if err := c.check(); err != nil {
				return misuse{err}
			}
			file := configFile(cmd)
			if dir != "" {
				file = filepath.Join(dir, configName)
			}
			if err := c.addTo(cmd.Context(), file); err != nil {
				return fmt.Errorf("adding the client %q: %w", c.identity, err)
			}
			made := filepath.Join(filepath.Dir(file), "clients", c.file)
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Made %s.crt, .key and .toml, good for %d days.\n\nBe this client:  export STRONGROOM_CONFIG=%s\n",
				made, c.days, shellWord(made+".toml"))
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the installation's folder `DIR` (default the one of --config)")
	cmd.Flags().StringVar(&c.file, "file", "", "`NAME` of the files, where the client's own cannot be one")
	cmd.Flags().IntVar(&c.days, "days", clientDays, "lifetime of the certificate in days `N`")
	return cmd
}

// check refuses what cannot be a client.
func (c *client) check() error {
	if err := authz.CheckIdentity(c.identity); err != nil {
		return err
	}
	if c.days < 1 {
		return fmt.Errorf("--days: %d is less than one day", c.days)
	}
	return checkFileName(c.file)
}

// checkClientName refuses a name that cannot be both an identity and the name of its files.
func checkClientName(name string) error {
	if err := authz.CheckIdentity(name); err != nil {
		return err
	}
	return checkFileName(name)
}

// checkFileName refuses what would lead out of the folder, hide there, or read as an option.
func checkFileName(name string) error {
	odd := func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }
	if name == "" || strings.ContainsFunc(name, odd) || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") {
		return fmt.Errorf("%q cannot be the name of a file; --file NAME gives another", name)
	}
	return nil
}

// addTo adds the client to the installation that has the configuration file.
func (c *client) addTo(ctx context.Context, file string) error {
	config, err := conf.Load(file, nil)
	if err != nil {
		return err
	}
	c.field, c.listen = config.KMIP.Identity, config.KMIP.Listen
	dir := filepath.Dir(config.File()) // absolute, as the names of key files are
	if err := c.free(filepath.Join(dir, "clients")); err != nil {
		return err
	}
	read := func(path string) ([]byte, error) { return openKeyFile(ctx, config, path) }
	ca, err := openAuthority(filepath.Join(dir, "tls", "ca.crt"), filepath.Join(dir, "tls", "ca.key"), read, time.Now)
	if err != nil {
		return fmt.Errorf("opening the certificate authority: %w", err)
	}
	return c.add(ca, filepath.Join(dir, "clients"))
}

// names are the paths of the client's files in the folder dir.
func (c *client) names(dir string) []string {
	base := filepath.Join(dir, c.file)
	return []string{base + ".key", base + ".crt", base + ".toml"}
}

// free refuses a client of whose files one is there.
func (c *client) free(dir string) error {
	for _, name := range c.names(dir) {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s is there already: nothing was changed", name)
		}
	}
	return nil
}

// add has ca certify the client and writes its three files into the folder dir; none of them may be there yet.
func (c *client) add(ca *authority, dir string) error {
	issued, err := ca.issueClient(c.identity, c.field, c.days)
	if err != nil {
		return err
	}
	if err := c.free(dir); err != nil {
		return err
	}
	base := filepath.Join(dir, c.file)
	err = issued.write(base+".crt", base+".key")
	if err == nil {
		err = writeNew(base+".toml", c.config(), 0o600)
	}
	if err != nil {
		for _, name := range c.names(dir) {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	return err
}

// config is the text of the client's configuration for strongroom.
func (c *client) config() []byte {
	return fmt.Appendf(nil, `# The client %s. Relative paths start at this file's folder: to use it on another host, take
# the certificate, the private key and ca.crt there, and name the server as that host reaches it.
server      = %s
ca          = "../tls/ca.crt"
certificate = %s
private_key = %s
`, c.file, tomlString(reachable(c.listen)), tomlString(c.file+".crt"), tomlString(c.file+".key"))
}

// reachable is the address by which a client on this host reaches a server that listens on listen.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}
