package conf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// longestPIN is more than any token takes.
const longestPIN = 4096

// PIN reads the slot's PIN from where it is configured; the caller clears it. It is read anew each time, so that a changed
// file serves the next login.
func (s *Slot) PIN() ([]byte, error) {
	pin, err := s.pin()
	if err != nil {
		return nil, fmt.Errorf("reading the PIN: %w", err)
	}
	if pin = bytes.TrimRight(pin, "\r\n"); len(pin) == 0 {
		return nil, errors.New("reading the PIN: it is empty")
	}
	return pin, nil
}

func (s *Slot) pin() ([]byte, error) {
	switch {
	case s.PINFile != "":
		return readSecret(s.PINFile)
	case s.PINEnv != "":
		return []byte(os.Getenv(s.PINEnv)), nil
	case s.PINCredential != "":
		// The service manager made the folder for this process alone (systemd.exec, LoadCredential).
		folder := os.Getenv("CREDENTIALS_DIRECTORY")
		if folder == "" {
			return nil, errors.New("CREDENTIALS_DIRECTORY is not set")
		}
		return os.ReadFile(filepath.Join(folder, filepath.Base(s.PINCredential)))
	}
	return nil, errors.New("no source is configured")
}

// readSecret reads a file that nobody else may read.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := safeMode(path, info, othersRead); err != nil {
		return nil, err
	}
	secret, err := io.ReadAll(io.LimitReader(f, longestPIN+1))
	if err == nil && len(secret) > longestPIN {
		clear(secret)
		err = fmt.Errorf("%s is longer than %d bytes", path, longestPIN)
	}
	return secret, err
}
