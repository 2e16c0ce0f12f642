package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// What others may do with a file, by the bits of its mode.
const (
	othersRead  fs.FileMode = 0o077 // the group, or anybody
	othersWrite fs.FileMode = 0o022
	anyWrite    fs.FileMode = 0o002
)

// CheckSafe refuses what a server must not start with: files that are missing, secrets that others may read, and code or
// configuration that others may write. Its error lists every fault.
func (c *Config) CheckSafe() error {
	var faults []fault
	look := func(key, path string, never fs.FileMode) {
		if path == "" {
			return
		}
		if err := safeFile(path, never); err != nil {
			faults = append(faults, fault{key, err.Error()})
		}
	}
	look("the file itself", c.file, anyWrite)
	look("kmip.certificate", c.KMIP.Certificate, anyWrite)
	look("kmip.client_ca", c.KMIP.ClientCA, anyWrite)
	look("kmip.crl", c.KMIP.CRL, anyWrite)
	for i, path := range append([]string{c.KMIP.PrivateKey}, c.Keys.Files...) {
		key := "kmip.private_key"
		if i > 0 {
			key = fmt.Sprintf("keys.files[%d]", i-1)
		}
		if err := safeKeyFile(path); err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			faults = append(faults, fault{key, err.Error()})
		}
	}
	look("kmip.passwords", c.KMIP.Passwords, othersRead)
	// A master key file may be gone: the slots in the database say whether it is needed.
	for key, path := range c.masterKeys() {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			look(key, path, othersRead)
		}
	}
	for i, h := range c.HSM {
		look(fmt.Sprintf("hsm[%d].library", i), h.Library, anyWrite)
		for j, s := range h.Slots {
			look(fmt.Sprintf("hsm[%d].slot[%d].pin_file", i, j), s.PINFile, othersRead)
		}
	}
	if info, err := os.Stat(c.DataDir); err == nil && info.Mode().Perm()&othersWrite != 0 {
		faults = append(faults, faultf("data_dir", "%s has mode %04o: others may write to it", c.DataDir, info.Mode().Perm()))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		faults = append(faults, fault{"data_dir", err.Error()})
	}
	return c.report(faults, c.places)
}

// safeFile refuses a path that is no file, or that others may do with what they must never.
func safeFile(path string, never fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return safeMode(path, info, never)
}

func safeMode(path string, info fs.FileInfo, never fs.FileMode) error {
	mode := info.Mode().Perm()
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case mode&never == 0:
		return nil
	case never == othersRead:
		return fmt.Errorf("%s has mode %04o: others may read it; chmod 600 it", path, mode)
	}
	return fmt.Errorf("%s has mode %04o: anybody may write to it", path, mode)
}

// masterKeys are the master key files that may be used, by their keys.
func (c *Config) masterKeys() map[string]string {
	files := map[string]string{}
	if c.Seal.Strategy == "software" && isPath(c.Seal.MasterKeyFile) {
		files["seal.master_key_file"] = c.Seal.MasterKeyFile
	}
	for i, p := range c.Seal.Previous {
		if isPath(p.MasterKeyFile) {
			files[fmt.Sprintf("seal.previous[%d].master_key_file", i)] = p.MasterKeyFile
		}
	}
	return files
}
