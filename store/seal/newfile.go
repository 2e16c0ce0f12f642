package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"strongroom/store/crash"
)

// NewFile writes a file of mode 0600 that must not be there, whole or not at all. What another process left that was cut off in it is
// written over; while another one is at it, it is refused.
func NewFile(path string, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	part, err := claim(path + ".part")
	if err != nil {
		return err
	}
	crash.At("new-file-begun")
	err = write(part)
	if err == nil {
		err = part.Sync()
	}
	crash.At("new-file-full")
	if err == nil {
		err = renameNew(part.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()), part.Close())
	}
	crash.At("new-file-placed")
	return errors.Join(part.Close(), syncFolder(path))
}

// claim opens a file to be written from its beginning, and keeps it for this process as long as it is open.
func claim(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		switch err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			err = fmt.Errorf("another process is writing %s", path)
		case err == nil && !stands(f):
			if err = f.Close(); err == nil {
				continue // who had it has finished meanwhile
			}
		case err == nil:
			if err = errors.Join(f.Chmod(0o600), f.Truncate(0)); err == nil {
				return f, nil
			}
		}
		return nil, errors.Join(err, f.Close())
	}
}

// stands says whether a file that is open still is the one of its name.
func stands(f *os.File) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(open, named)
}

// renameNew renames a file to a name that nobody has: on file systems that cannot, as NFS, in two steps.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		if err = os.Link(from, to); err == nil {
			err = os.Remove(from)
		}
		return err
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
