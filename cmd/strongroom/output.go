package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// standard is the name of a file that stands for standard input or output.
const standard = "-"

// Modes of the files that are written.
const (
	secretMode = 0o600 // keys
	usualMode  = 0o666 // the rest, less what the umask takes away
)

// unfinished are the files that are being written, so that an interrupted program leaves none behind.
type unfinished struct {
	mu    sync.Mutex
	names map[string]bool
}

func (u *unfinished) add(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.names == nil {
		u.names = make(map[string]bool)
	}
	u.names[name] = true
}

func (u *unfinished) done(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.names, name)
}

// removeAll removes them. It is the last that the program does.
func (u *unfinished) removeAll() {
	u.mu.Lock()
	for name := range u.names {
		os.Remove(name)
	}
}

// An output is a file that appears when it is complete, and not before. It is written beside the place where it will be.
type output struct {
	io.Writer
	p      *program
	file   *os.File // nil for standard output
	target string
	temp   string // "" where the target is written itself, being no regular file
}

// create begins the output that is to be called name. It refuses to replace the input, which may be nil.
func (p *program) create(name string, mode fs.FileMode, input *os.File) (*output, error) {
	if name == standard {
		if p.json {
			return nil, misused("--json cannot be had together with data on standard output: name a file for that")
		}
		return &output{Writer: struct{ io.Writer }{p.out}, p: p}, nil
	}
	target, info, err := resolve(name)
	if err != nil {
		return nil, err
	}
	if info != nil && input != nil {
		if in, err := input.Stat(); err == nil && os.SameFile(info, in) {
			return nil, misused("the output %q would replace the input: name another --output-file", name)
		}
	}
	if info != nil && !info.Mode().IsRegular() {
		return p.createSpecial(target)
	}
	temp := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+"."+rand.Text()[:8]+".part")
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, fmt.Errorf("creating %q: %w", name, cause(err))
	}
	p.unfinished.add(temp)
	o := &output{Writer: f, p: p, file: f, target: target, temp: temp}
	if info != nil && mode != secretMode {
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			o.abandon()
			return nil, fmt.Errorf("creating %q: %w", name, err)
		}
	}
	return o, nil
}

// createSpecial opens a device or a pipe, which cannot be replaced.
func (p *program) createSpecial(target string) (*output, error) {
	f, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &output{Writer: struct{ io.Writer }{f}, p: p, file: f, target: target}, nil
}

// resolve follows a link to where a file of that name is, or would be. The information is nil where there is none.
func resolve(name string) (string, fs.FileInfo, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return name, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	if info.IsDir() {
		return "", nil, misused("the output %q is a folder", name)
	}
	target, err := filepath.EvalSymlinks(name)
	return target, info, err
}

// cause is an error without the path of a temporary file.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// commit completes the output: it is there under its name now.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	if err == nil && o.temp != "" {
		err = os.Rename(o.temp, o.target)
	}
	if err != nil {
		o.abandon()
		return fmt.Errorf("writing %q: %w", o.target, cause(err))
	}
	o.p.unfinished.done(o.temp)
	o.temp = ""
	return nil
}

// abandon removes what there is of an output. After commit it does nothing.
func (o *output) abandon() {
	if o.file == nil {
		return
	}
	o.file.Close()
	if o.temp != "" {
		os.Remove(o.temp)
		o.p.unfinished.done(o.temp)
		o.temp = ""
	}
}

// write makes an output of bytes.
func (p *program) write(name string, mode fs.FileMode, input *os.File, data []byte) error {
	o, err := p.create(name, mode, input)
	if err != nil {
		return err
	}
	defer o.abandon()
	if _, err := io.Copy(o, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("writing %q: %w", name, cause(err))
	}
	return o.commit()
}

// read opens an input for use, and closes it. The file is nil where the input is standard input that is no file.
func (p *program) read(name string, use func(r io.Reader, in *os.File) error) error {
	if name == standard {
		f, _ := p.in.(*os.File)
		return use(p.in, f)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return misused("%q is a folder", name)
	}
	return use(f, f)
}

// outputFor is the name of the output of an input, where none was given: secret.txt, secret.enc, secret.plain.
func outputFor(input, given, extension string) string {
	switch {
	case given != "":
		return given
	case input == standard:
		return standard
	}
	dir, base := filepath.Split(input)
	if stem := strings.TrimSuffix(base, filepath.Ext(base)); stem != "" {
		base = stem
	}
	return dir + base + extension
}

// written is the answer of a command that wrote a file.
type written struct {
	UniqueIdentifier string `json:"unique_identifier,omitempty"`
	OutputFile       string `json:"output_file"`
}

// available says where an output is; nothing when it went to standard output.
func (p *program) available(what, uid, name string) error {
	if name == standard {
		return nil
	}
	return p.answer(written{uid, name}, "The %s is available at %q", what, name)
}
