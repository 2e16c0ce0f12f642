package conf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// PIN reads the slot's PIN from where it is configured; the caller clears it. It is read anew each time, so that a changed
// file serves the next login.
func (s *Slot) PIN() ([]byte, error) {
	var pin []byte
	var err error
	switch {
	case s.PINFile != "":
		pin, err = readSecret(s.PINFile)
	case s.PINEnv != "":
		pin = []byte(os.Getenv(s.PINEnv))
	case s.PINCredential != "":
		folder := os.Getenv("CREDENTIALS_DIRECTORY")
		if folder == "" {
			return nil, errors.New("reading the PIN: CREDENTIALS_DIRECTORY is not set")
		}
		pin, err = os.ReadFile(filepath.Join(folder, filepath.Base(s.PINCredential)))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the PIN: %w", err)
	}
	if pin = bytes.TrimRight(pin, "\r\n"); len(pin) == 0 {
		return nil, errors.New("reading the PIN: it is empty")
	}
	return pin, nil
}

// readSecret reads a file that nobody else may read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: others may read it; chmod 600 it", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}
