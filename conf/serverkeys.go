package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// encrypted stands behind the name of a key file that is in an envelope.
const encrypted = ".enc"

// KeyName is how a key file is called wherever the installation stands: by its path from the configuration's folder, where it is
// in there.
func (c *Config) KeyName(path string) string {
	name, err := filepath.Rel(filepath.Dir(c.file), path)
	if err != nil || !filepath.IsLocal(name) {
		return path
	}
	return filepath.ToSlash(name)
}

func (k *checking) keys(c *Config) {
	seen := map[string]bool{}
	for i, path := range c.Keys.Files {
		key := fmt.Sprintf("keys.files[%d]", i)
		switch {
		case path == "":
			k.fault(key, "a file is needed")
		case strings.HasSuffix(path, encrypted):
			k.fault(key, "%q: files are named without %s", path, encrypted)
		case seen[path]:
			k.fault(key, "%q is given twice", path)
		case path == c.Seal.MasterKeyFile:
			k.fault(key, "%q is the master key: it cannot be under what it opens", path)
		}
		seen[path] = true
	}
}

// safeKeyFile checks a key file in the form it is in.
func safeKeyFile(path string) error {
	err := safeFile(path, othersRead)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, missing := os.Lstat(path + encrypted); missing != nil {
		return err
	}
	return safeFile(path+encrypted, othersRead)
}
