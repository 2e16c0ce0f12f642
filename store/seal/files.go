package seal

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"strongroom/store/crash"
)

// EncryptedSuffix stands behind the name of a key file whose content is in an envelope.
const EncryptedSuffix = ".enc"

// A KeyFile is one of the server's own private keys: in clear at Path, or in an envelope under the root key beside it.
type KeyFile struct {
	Name string // as the configuration has it: the envelope is bound to it
	Path string // of the clear file
}

// Encrypted is the path of the envelope.
func (f KeyFile) Encrypted() string { return f.Path + EncryptedSuffix }

// leftovers are what an interrupted change may leave of the clear file under other names.
func (f KeyFile) leftovers() []string { return []string{f.Path + ".erase", f.Path + ".part"} }

// bound is the context that a file's envelope is tied to.
func (f KeyFile) bound() []byte { return []byte("file:" + f.Name) }

// A FileState says in which forms a key file is there.
type FileState string

// States of a key file.
const (
	FileClear     FileState = "clear"
	FileEncrypted FileState = "encrypted"
	FileBoth      FileState = "both" // somebody put a clear file beside the envelope, or a change was interrupted
	FileMissing   FileState = "missing"
)

// State looks which forms are there.
func (f KeyFile) State() (FileState, error) {
	_, clear := os.Lstat(f.Path)
	_, encrypted := os.Lstat(f.Encrypted())
	for _, err := range []error{clear, encrypted} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	for _, path := range f.leftovers() {
		if _, err := os.Lstat(path); err == nil && encrypted == nil {
			return FileBoth, nil
		}
	}
	switch {
	case clear == nil && encrypted == nil:
		return FileBoth, nil
	case clear == nil:
		return FileClear, nil
	case encrypted == nil:
		return FileEncrypted, nil
	}
	return FileMissing, nil
}

// mostFile is how many bytes of a key file are read.
const mostFile = 1 << 20

// readKeyFile reads one form of a key file.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	if err == nil && len(b) > mostFile {
		err = fmt.Errorf("%s has more than %d bytes: it is no key", path, mostFile)
	}
	return b, err
}

// Files are the server's key files. They are safe for concurrent use by one process.
type Files struct {
	root *Root
	list []KeyFile

	mu   sync.Mutex
	held map[string]*Memory // by name, those that are unlocked
	open bool               // unlocked
}

// NewFiles makes Files of a list; they are locked.
func NewFiles(root *Root, list []KeyFile) *Files {
	return &Files{root: root, list: list, held: map[string]*Memory{}}
}

// List is the files, in the order of the configuration.
func (f *Files) List() []KeyFile { return f.list }

// SealFile puts the content of a key file into an envelope.
func (r *Root) SealFile(ctx context.Context, k KeyFile, content []byte) ([]byte, error) {
	e, err := Seal(ctx, nil, r.Protector(), Label{PurposeFile, 1}, k.bound(), content)
	if err != nil {
		return nil, err
	}
	return e.Bytes(), nil
}

// read opens the envelope of a key file; the caller clears what it gives.
func (f *Files) read(ctx context.Context, k KeyFile) ([]byte, error) {
	raw, err := readKeyFile(k.Encrypted())
	if err != nil {
		return nil, err
	}
	content, err := f.openBytes(ctx, k, raw)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", k.Encrypted(), err)
	}
	return content, nil
}

func (f *Files) openBytes(ctx context.Context, k KeyFile, raw []byte) ([]byte, error) {
	find := func(_ context.Context, h Header) (Protector, error) {
		if h.Protector != RootReference {
			return nil, ErrDecrypt
		}
		return f.root.Protector(), nil
	}
	return Open(ctx, find, PurposeFile, k.bound(), raw)
}

// Open gives the clear content of a key file, whichever form it is in, while the root key is in memory; the caller clears it. A clear
// file goes before an envelope: somebody put it there to be used.
func (f *Files) Open(ctx context.Context, k KeyFile) ([]byte, error) {
	content, err := readKeyFile(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.read(ctx, k)
	}
	return content, err
}

// Encrypt leaves of every clear key file only its envelope, and says how many those were. It may be interrupted anywhere and run
// again. Where a clear file stands beside an envelope with other content it refuses, unless replace says that the clear file
// is the newer; a file that is missing is refused before anything is changed.
func (f *Files) Encrypt(ctx context.Context, replace bool) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	todo, err := f.toEncrypt(ctx, replace)
	if err != nil {
		return 0, err
	}
	for n, k := range todo {
		if err := f.encrypt(ctx, k); err != nil {
			return n, fmt.Errorf("encrypting %s: %w", k.Path, err)
		}
	}
	return len(todo), nil
}

// toEncrypt are the files with a clear form, once nothing speaks against any of them.
func (f *Files) toEncrypt(ctx context.Context, replace bool) (todo []KeyFile, err error) {
	if !f.root.Unsealed() {
		return nil, ErrSealed
	}
	for _, k := range f.list {
		state, err := k.State()
		switch {
		case err != nil:
			return nil, err
		case state == FileMissing:
			return nil, fmt.Errorf("neither %s nor %s is there", k.Path, k.Encrypted())
		case state == FileBoth && !replace:
			if same, err := f.same(ctx, k); err != nil {
				return nil, err
			} else if !same {
				return nil, fmt.Errorf("%s and %s hold different keys: with --replace the clear one is kept; else remove it", k.Path, k.Encrypted())
			}
		}
		if state != FileEncrypted {
			todo = append(todo, k)
		}
	}
	return todo, nil
}

// same compares both forms of a file; where the clear one has left nothing but leftovers they are the same.
func (f *Files) same(ctx context.Context, k KeyFile) (bool, error) {
	sealed, err := f.read(ctx, k)
	if err != nil {
		return false, err
	}
	defer clear(sealed)
	content, err := readKeyFile(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer clear(content)
	return subtle.ConstantTimeCompare(sealed, content) == 1, nil
}

// encrypt writes the envelope beside its place, proves it, puts it there, and only then takes the clear file away.
func (f *Files) encrypt(ctx context.Context, k KeyFile) error {
	content, err := readKeyFile(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return eraseAll(k.leftovers()...)
	}
	if err != nil {
		return err
	}
	defer clear(content)
	raw, err := f.root.SealFile(ctx, k, content)
	if err != nil {
		return err
	}
	if err := f.prove(ctx, k, raw, content); err != nil {
		return err
	}
	if err := place(k.Encrypted(), raw); err != nil {
		return err
	}
	if same, err := f.same(ctx, k); err != nil || !same {
		return errors.Join(errors.New("what was written does not give the same key again: the clear file stays"), err)
	}
	aside := k.leftovers()[0]
	if err := eraseAll(k.leftovers()...); err != nil {
		return err
	}
	crash.At("key-file-proven")
	if err := os.Rename(k.Path, aside); err != nil { // so that no key file is ever half erased
		return err
	}
	crash.At("key-file-aside")
	return eraseAll(aside)
}

// prove opens an envelope again, before anything depends on it.
func (f *Files) prove(ctx context.Context, k KeyFile, raw, content []byte) error {
	again, err := f.openBytes(ctx, k, raw)
	if err != nil {
		return err
	}
	defer clear(again)
	if !bytes.Equal(again, content) {
		return errors.New("the envelope gives another key")
	}
	return nil
}

// place writes a file of mode 0600 beside its place and renames it there, so that it is there whole or not at all.
func place(path string, content []byte) error {
	part := path + ".part"
	crash.At("key-file-begun")
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = file.Chmod(0o600)
	if err == nil {
		half := len(content) / 2
		_, err = file.Write(content[:half])
		crash.At("key-file-half")
		if err == nil {
			_, err = file.Write(content[half:])
		}
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	crash.At("key-file-full")
	if err := os.Rename(part, path); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	crash.At("key-file-placed")
	return syncFolder(path)
}

// eraseAll overwrites files, as far as the file system writes where it wrote before, and removes them. Those that are not there are
// none.
func eraseAll(paths ...string) error {
	for _, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if file, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			_, err = file.Write(make([]byte, min(info.Size(), mostFile)))
			_ = errors.Join(err, file.Sync(), file.Close()) // what counts is that it goes
		}
		crash.At("key-file-erased")
		if err := os.Remove(path); err != nil {
			return err
		}
		crash.At("key-file-gone")
		if err := syncFolder(path); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder has the folder of a path on the disk.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Decrypt writes every key file back as it was and takes the envelopes away, and says how many those were. It may be interrupted and
// run again. Where a clear file holds another key, it refuses before anything is changed.
func (f *Files) Decrypt(ctx context.Context) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	todo, err := f.toDecrypt(ctx)
	if err != nil {
		return 0, err
	}
	for n, k := range todo {
		if err := f.decrypt(ctx, k); err != nil {
			return n, fmt.Errorf("decrypting %s: %w", k.Encrypted(), err)
		}
	}
	return len(todo), nil
}

// toDecrypt are the files with an envelope, once nothing speaks against any of them.
func (f *Files) toDecrypt(ctx context.Context) (todo []KeyFile, err error) {
	for _, k := range f.list {
		state, err := k.State()
		if err != nil {
			return nil, err
		}
		if state != FileEncrypted && state != FileBoth {
			continue
		}
		if same, err := f.same(ctx, k); err != nil {
			return nil, err
		} else if !same {
			return nil, fmt.Errorf("%s is there with another key than %s: remove one of them", k.Path, k.Encrypted())
		}
		todo = append(todo, k)
	}
	return todo, nil
}

func (f *Files) decrypt(ctx context.Context, k KeyFile) error {
	if _, err := os.Lstat(k.Path); errors.Is(err, fs.ErrNotExist) {
		content, err := f.read(ctx, k)
		if err != nil {
			return err
		}
		defer clear(content)
		if err := place(k.Path, content); err != nil {
			return err
		}
	}
	if err := eraseAll(k.leftovers()...); err != nil {
		return err
	}
	crash.At("key-file-decrypted")
	if err := os.Remove(k.Encrypted()); err != nil {
		return err
	}
	crash.At("key-envelope-gone")
	return syncFolder(k.Path)
}

// Unlock opens every key file into memory. When one cannot be opened, all stay as they were.
func (f *Files) Unlock(ctx context.Context) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := map[string]*Memory{}
	undo := func() {
		for _, m := range held {
			m.Destroy()
		}
	}
	for _, k := range f.list {
		content, err := f.Open(ctx, k)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a file that nobody needs here, such as the authority's key
		}
		if err == nil {
			held[k.Name], err = NewMemory(content)
		}
		if err != nil {
			undo()
			return 0, err
		}
	}
	for _, m := range f.held {
		m.Destroy()
	}
	f.held, f.open = held, true
	return len(held), nil
}

// Lock clears what Unlock put into memory. What was made of it before stays in the hands of who has it.
func (f *Files) Lock() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.held)
	for _, m := range f.held {
		m.Destroy()
	}
	f.held, f.open = map[string]*Memory{}, false
	return n
}

// Unlocked says whether the files are in memory.
func (f *Files) Unlocked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// ErrLocked is what who needs a key file hears while they are locked.
var ErrLocked = errors.New("the server keys are locked: run strongroomd keys unlock")

// Held is the file at path, from memory; the caller clears it. It says no for a path that is none of the files.
func (f *Files) Held(path string) (content []byte, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.list {
		if k.Path != path {
			continue
		}
		m := f.held[k.Name]
		switch {
		case !f.open:
			return nil, true, ErrLocked
		case m == nil:
			return nil, true, fmt.Errorf("neither %s nor %s is there", k.Path, k.Encrypted())
		}
		return bytes.Clone(m.Bytes()), true, nil
	}
	return nil, false, nil
}
