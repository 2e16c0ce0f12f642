package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// softhsmLibraries are the places where distributions put SoftHSM's PKCS#11 module, as patterns.
var softhsmLibraries = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/*/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
	"/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// errNoSoftHSM is returned where SoftHSM is not installed; it says how to install it.
var errNoSoftHSM = errors.New("SoftHSM is not installed; type: sudo apt-get install softhsm2")

// softhsmLabel is the label of the token that init makes.
const softhsmLabel = "strongroom"

// A softhsm is an installed SoftHSM 2: its PKCS#11 module and the tool that makes tokens.
type softhsm struct {
	library string // absolute
	util    string // softhsm2-util, absolute
}

// findSoftHSM looks for SoftHSM where distributions install it, or returns errNoSoftHSM.
func findSoftHSM() (*softhsm, error) {
	util, err := exec.LookPath("softhsm2-util")
	if err != nil {
		return nil, errNoSoftHSM
	}
	for _, pattern := range softhsmLibraries {
		found, _ := filepath.Glob(pattern) // its only error is a malformed pattern
		if len(found) > 0 {
			return &softhsm{library: found[0], util: util}, nil
		}
	}
	return nil, errNoSoftHSM
}

// softhsmToken names the files of the token that init makes, relative to the installation's folder.
type softhsmToken struct {
	tokens string // folder of the token's objects
	conf   string // what SOFTHSM2_CONF names
	pin    string // file of the user's PIN
	soPIN  string // file of the security officer's PIN
}

// tokenOf returns the names of the files of slot number.
func tokenOf(number uint32) softhsmToken {
	return softhsmToken{
		tokens: "softhsm/tokens",
		conf:   "softhsm/softhsm2.conf",
		pin:    fmt.Sprintf("hsm-%d.pin", number),
		soPIN:  fmt.Sprintf("softhsm/hsm-%d.so-pin", number),
	}
}

// makeToken makes a token under dir with PINs of its own, of 128 random bits each. The folder will be moved to final:
// the module's configuration file that stays names the folder there.
//
// softhsm2-util takes PINs as arguments, which other users of the host can read for as long as it runs. A PIN opens
// nothing without the token's files, and those stand in a folder that only its owner may enter.
func (s *softhsm) makeToken(dir, final string, t softhsmToken) error {
	if err := os.MkdirAll(filepath.Join(dir, t.tokens), 0o700); err != nil {
		return err
	}
	pin, soPIN := rand.Text(), rand.Text()
	conf := filepath.Join(dir, t.conf)
	building := conf + ".new"
	if err := writeNew(building, softhsmConf(filepath.Join(dir, t.tokens)), 0o600); err != nil {
		return err
	}
	if err := s.initToken(building, pin, soPIN); err != nil {
		return err
	}
	if err := protect(filepath.Join(dir, t.tokens)); err != nil {
		return err
	}
	return errors.Join(
		os.Remove(building),
		writeNew(conf, softhsmConf(filepath.Join(final, t.tokens)), 0o600),
		writeNew(filepath.Join(dir, t.pin), []byte(pin+"\n"), 0o600),
		writeNew(filepath.Join(dir, t.soPIN), []byte(soPIN+"\n"), 0o600),
	)
}

// initToken runs softhsm2-util under the configuration file conf.
func (s *softhsm) initToken(conf, pin, soPIN string) error {
	util := exec.Command(s.util, "--module", s.library, "--init-token", "--free", "--label", softhsmLabel, "--pin", pin, "--so-pin", soPIN)
	util.Env = append(os.Environ(), "SOFTHSM2_CONF="+conf)
	if output, err := util.CombinedOutput(); err != nil {
		return fmt.Errorf("making a SoftHSM token: %w: %s", err, strings.ReplaceAll(string(bytes.TrimSpace(output)), "\n", "; "))
	}
	return nil
}

// softhsmConf is the text of a SoftHSM configuration file whose tokens stand in the folder tokens.
func softhsmConf(tokens string) []byte {
	return fmt.Appendf(nil, `directories.tokendir = %s
objectstore.backend = file
log.level = ERROR
slots.removable = false
slots.mechanisms = ALL
library.reset_on_fork = false
`, tokens)
}

// protect takes everybody's but the owner's rights from dir and all that stands in it.
func protect(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()&0o700)
	})
}
