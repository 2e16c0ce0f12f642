package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"strongroom/conf"
	"strongroom/store/seal"
)

// keyVariable begins the names of the variables that tell a command where the clear key files are.
const keyVariable = "STRONGROOM_KEYFILE_"

// openedFiles answers the clear key files, by name.
type openedFiles struct {
	Files map[string][]byte `json:"files"`
}

// openedOf opens all key files that are there.
func openedOf(ctx context.Context, files *seal.Files) (*openedFiles, error) {
	o := &openedFiles{Files: map[string][]byte{}}
	for _, f := range files.List() {
		content, err := files.Open(ctx, f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			o.clear()
			return nil, err
		}
		o.Files[f.Name] = content
	}
	return o, nil
}

func (o *openedFiles) clear() {
	for _, content := range o.Files {
		clear(content)
	}
}

// openKeys gives the clear key files: of the server that runs, or with the root key. The caller clears them.
func openKeys(ctx context.Context, c *conf.Config, master, act string) (*openedFiles, error) {
	if len(keyFiles(c)) == 0 {
		return nil, errNoKeyFiles
	}
	if serving(c) {
		o := new(openedFiles)
		return o, ask(ctx, c, http.MethodPost, "/keys/open", o)
	}
	var o *openedFiles
	err := withRoot(ctx, c, master, act, func(root *seal.Root) (err error) {
		o, err = openedOf(ctx, seal.NewFiles(root, keyFiles(c)))
		return err
	})
	return o, err
}

// openKeyFile gives one of the server's private keys, whether it is in clear, or encrypted; the caller clears it.
func openKeyFile(ctx context.Context, c *conf.Config, path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	if _, missing := os.Lstat(path + seal.EncryptedSuffix); missing != nil {
		return nil, err
	}
	o, err := openKeys(ctx, c, "", "keys open")
	if err != nil {
		return nil, err
	}
	name := c.KeyName(path)
	content = o.Files[name]
	delete(o.Files, name)
	o.clear()
	if content == nil {
		return nil, fmt.Errorf("%s is encrypted, and none of the files in [keys]", path)
	}
	return content, nil
}

// keysExecCommand runs a command that sees the clear key files.
func keysExecCommand() *cobra.Command {
	master := ""
	cmd := &cobra.Command{
		Use:   "exec -- COMMAND [ARGUMENT]…",
		Short: "Run a command that can read the clear key files, none of which is on a disk",
		Long: `Run COMMAND in this program's place, with the clear content of each file of [keys] in memory (memfd_create) that ends with it. The
variable STRONGROOM_KEYFILE_… names it: STRONGROOM_KEYFILE_TLS_SERVER_KEY for tls/server.key. Works with the server locked, unlocked,
or not running.`,
		Example: `  strongroomd keys exec -- sh -c 'openssl pkey -noout -text -in $STRONGROOM_KEYFILE_TLS_CA_KEY'
  strongroomd keys exec -m /media/stick/master.key -- ./renew`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			program, err := exec.LookPath(args[0])
			if err != nil {
				return err
			}
			opened, err := openKeys(cmd.Context(), c, master, "keys exec")
			if err != nil {
				return err
			}
			environment := os.Environ()
			for name, content := range opened.Files {
				path, err := inMemory(name, content)
				if err != nil {
					opened.clear()
					return err
				}
				environment = append(environment, keyVariable+variableOf(name)+"="+path)
			}
			return fmt.Errorf("running %s: %w", program, unix.Exec(program, args, environment))
		},
	}
	cmd.Flags().StringVarP(&master, "master-key", "m", "", "master key `SOURCE` (a file, \"-\", env:NAME, credential:NAME), where no server runs; default as [seal] says")
	return cmd
}

// variableOf is a file's name as that of a variable.
func variableOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, name)
}

// inMemory puts content, which it clears, into a file in memory that this process and what it executes can read, and nobody change.
func inMemory(name string, content []byte) (path string, err error) {
	defer clear(content)
	fd, err := unix.MemfdCreate("strongroom:"+name, unix.MFD_ALLOW_SEALING)
	if err != nil {
		return "", fmt.Errorf("memory for %s: %w", name, err)
	}
	for rest := content; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return "", fmt.Errorf("memory for %s: %w", name, err)
		}
		rest = rest[n:]
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return "", fmt.Errorf("memory for %s: %w", name, err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return "", fmt.Errorf("memory for %s: %w", name, err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}
