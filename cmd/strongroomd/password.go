package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"strongroom/authz"
	"strongroom/authz/password"
)

// A passwordChange is what `client password` does to the file.
type passwordChange struct {
	identity, username      string
	hashed, oneTime, remove bool
	passwordFile            string
}

// clientPasswordCommand has a client say a password.
func clientPasswordCommand() *cobra.Command {
	var p passwordChange
	cmd := &cobra.Command{
		Use:   "password IDENTITY",
		Short: "Have a client say a password beside showing its certificate",
		Long: `Have the client with that identity say a user name and a password in each of its requests (KMIP's Username and Password or
Device credential), beside showing its certificate; a ticket from Login will do in their place. The file that kmip.passwords
names gets a hash of the password, in place of what was there for that user name. A running server reads it on SIGHUP.

The password is read from --password-file, else from the terminal, or the first line of standard input.`,
		Example: `  strongroomd client password array-1 --username unit-7
  strongroomd client password array-1 --username unit-7 --hashed --password-file unit-7.txt
  strongroomd client password array-1 --username unit-7 --remove`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.identity = args[0]
			if err := p.check(); err != nil {
				return misuse{err}
			}
			if p.username == "" {
				p.username = p.identity
			}
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if c.KMIP.Passwords == "" {
				return errors.New(`kmip.passwords names no file: add passwords = "passwords.toml" to [kmip] of the configuration`)
			}
			report, err := p.change(c.KMIP.Passwords, cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return fmt.Errorf("changing %s: %w", c.KMIP.Passwords, err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), report)
			return err
		},
	}
	cmd.Flags().StringVar(&p.username, "username", "", "`NAME` that the client says, for a Device one of its identifiers (default IDENTITY)")
	cmd.Flags().StringVar(&p.passwordFile, "password-file", "", "`FILE` whose first line is the password")
	cmd.Flags().BoolVar(&p.hashed, "hashed", false, "allow the Hashed Password credential of KMIP 2.0, too")
	cmd.Flags().BoolVar(&p.oneTime, "one-time", false, "ask for one-time passwords (RFC 6238), too; a new secret is printed")
	cmd.Flags().BoolVar(&p.remove, "remove", false, "ask no more for that user name and its password")
	return cmd
}

// check refuses what makes no sense.
func (p *passwordChange) check() error {
	switch {
	case p.remove && (p.hashed || p.oneTime || p.passwordFile != ""):
		return errors.New("--remove goes with --username alone")
	case p.hashed && p.oneTime:
		return errors.New("--hashed and --one-time do not go together: a Hashed Password has no one-time password")
	}
	return authz.CheckIdentity(p.identity)
}

// change writes the file anew, and tells what to say of it.
func (p *passwordChange) change(path string, in io.Reader, prompt io.Writer) (string, error) {
	users, err := password.List(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	at := slices.IndexFunc(users, func(u password.User) bool { return u.Identity == p.identity && u.Username == p.username })
	if p.remove {
		if at < 0 {
			return "", fmt.Errorf("%q has no user name %q there", p.identity, p.username)
		}
		report := fmt.Sprintf("%s is not asked for the password of %s any more, once the server has read the file again (SIGHUP).", p.identity, p.username)
		return report, write(path, slices.Delete(users, at, at+1))
	}
	user, uri, err := p.user(in, prompt)
	if err != nil {
		return "", err
	}
	if at >= 0 {
		users[at] = *user
	} else {
		users = append(users, *user)
	}
	if _, err := password.NewTable(users); err != nil {
		return "", err
	}
	report := fmt.Sprintf("%s must say the password of %s, once the server has read the file again (SIGHUP).", p.identity, p.username)
	if uri != "" {
		report += "\n\nThe secret of its one-time passwords, which is not shown again:\n\n  " + uri
	}
	return report, write(path, users)
}

// user makes the entry of the client, and the URI of its one-time passwords if it has them.
func (p *passwordChange) user(in io.Reader, prompt io.Writer) (u *password.User, uri string, err error) {
	secret, err := p.read(in, prompt)
	if err != nil {
		return nil, "", err
	}
	defer clear(secret)
	u = &password.User{Identity: p.identity, Username: p.username}
	if u.Password, err = password.New(secret); err != nil {
		return nil, "", err
	}
	if p.hashed {
		u.HashedPassword = password.HashOf(p.username, secret)
	}
	if p.oneTime {
		seed := make([]byte, 20)
		rand.Read(seed)
		u.OneTimePassword = base32.StdEncoding.EncodeToString(seed)
		uri = (&url.URL{Scheme: "otpauth", Host: "totp", Path: "/Strongroom:" + p.username, RawQuery: url.Values{"secret": {u.OneTimePassword}, "issuer": {"Strongroom"}}.Encode()}).String()
	}
	return u, uri, nil
}

// read reads the password; the caller clears it.
func (p *passwordChange) read(in io.Reader, prompt io.Writer) ([]byte, error) {
	if p.passwordFile != "" {
		f, err := os.Open(p.passwordFile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return firstLine(f)
	}
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return firstLine(in)
	}
	var typed [2][]byte
	for i, text := range []string{"Password of " + p.username + ": ", "Again: "} {
		fmt.Fprint(prompt, text)
		var err error
		typed[i], err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(prompt)
		if err != nil {
			return nil, err
		}
	}
	defer clear(typed[1])
	if !bytes.Equal(typed[0], typed[1]) {
		clear(typed[0])
		return nil, errors.New("that was not the same password twice")
	}
	return typed[0], nil
}

func firstLine(r io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(r, password.Longest+2)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// keepOwner gives f the owner of the file at path, else of its folder: the server's user, where somebody else runs the command.
func keepOwner(f *os.File, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(path))
	}
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// write replaces the file by one that is whole.
func write(path string, users []password.User) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".passwords-") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(password.Encode(users))
	err = errors.Join(err, keepOwner(f, path), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
