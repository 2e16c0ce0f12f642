package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A staging is a folder in which something is made whole before it is moved to where it belongs. A process that is cut off leaves its
// staging, with a journal of what it was moving: takeBack undoes that.
type staging struct {
	path string
	lock *os.File // of the folder: it ends with the process
}

// journalName is the journal's name in a staging.
const journalName = "placing.json"

// A placing is a file or folder on its way: it is the same one at its place as it was in the staging.
type placing struct {
	Path   string `json:"path"` // of its place
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// newStaging makes a staging in a folder.
func newStaging(dir, prefix string) (*staging, error) {
	path, err := os.MkdirTemp(dir, prefix)
	if err != nil {
		return nil, err
	}
	s, err := lockStaging(path)
	if err == nil && s == nil {
		err = fmt.Errorf("another process works in %s", dir)
	}
	return s, err
}

// lockStaging takes a staging for this process; nil is one that another process has, or that is nobody's of this user.
func lockStaging(path string) (*staging, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err == nil {
		if _, err = os.Lstat(path); err == nil && info.Sys().(*syscall.Stat_t).Uid == uint32(os.Geteuid()) && info.Mode().Perm()&0o077 == 0 {
			return &staging{path, f}, nil
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return nil, errors.Join(err, f.Close())
}

// close removes the staging with all that is still in it.
func (s *staging) close() error { return errors.Join(os.RemoveAll(s.path), s.lock.Close()) }

// announce writes the journal of what is moved next: from where in the staging to which place, the last of which is there only when all is.
func (s *staging) announce(from, to []string) error {
	var all []placing
	for i := range from {
		info, err := os.Lstat(from[i])
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		all = append(all, placing{Path: to[i], Device: uint64(stat.Dev), Inode: stat.Ino})
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(s.path, journalName), text, 0o600)
}

// takeBack removes the stagings in a folder whose processes are gone, and what each had already moved, unless that was all of it: then,
// or where something else stands in the last place, it removes nothing else.
func takeBack(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		s, err := lockStaging(path)
		if err == nil && s != nil {
			err = errors.Join(s.undo(), s.close())
		}
		if err != nil {
			return fmt.Errorf("taking back what %s has: %w", path, err)
		}
	}
	return nil
}

// undo removes what was moved.
func (s *staging) undo() error {
	text, err := os.ReadFile(filepath.Join(s.path, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was
	}
	var all []placing
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all) == 0 {
		return nil // the journal was not finished
	}
	if _, err := os.Lstat(all[len(all)-1].Path); err == nil {
		return nil
	}
	for _, p := range all {
		info, err := os.Lstat(p.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if stat := info.Sys().(*syscall.Stat_t); uint64(stat.Dev) != p.Device || stat.Ino != p.Inode {
			continue // somebody else's
		}
		if err := os.RemoveAll(p.Path); err != nil {
			return err
		}
	}
	return nil
}
