package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"strongroom/conf"
	"strongroom/store"
	"strongroom/store/seal"
)

// sealedSuffix stands behind the name of a file that is secret, and no key: it is in an envelope in the package, and in clear, mode
// 0600, where the package is unpacked.
const sealedSuffix = ".sealed"

// A packing is what goes into a package.
type packing struct {
	config *conf.Config
	store  *store.Store
	files  []seal.Source
	remove []string // temporary files
	open   *os.File // the audit log; nil without
}

// close removes what was made on the way.
func (p *packing) close() error {
	var errs []error
	for _, path := range p.remove {
		errs = append(errs, os.Remove(path))
	}
	if p.open != nil {
		errs = append(errs, p.open.Close())
	}
	return errors.Join(errs...)
}

// add takes a file over as it is; "" is none.
func (p *packing) add(name, path string) {
	if path != "" {
		p.files = append(p.files, seal.Source{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
}

// common is what both kinds of packages have: the configuration, which holds no secret but where they are, and public certificates.
func (p *packing) common() {
	c := p.config
	p.add(c.KeyName(c.File()), c.File())
	p.add(c.KeyName(c.KMIP.ClientCA), c.KMIP.ClientCA)
	p.add(c.KeyName(c.KMIP.CRL), c.KMIP.CRL)
}

// keys adds the encrypted key files. One in clear is refused: a package has none.
func (p *packing) keys() error {
	c := p.config
	list := keyFiles(c)
	private := seal.KeyFile{Name: c.KeyName(c.KMIP.PrivateKey), Path: c.KMIP.PrivateKey}
	for _, f := range append(list, private) {
		switch state, err := f.State(); {
		case err != nil:
			return err
		case state == seal.FileClear || state == seal.FileBoth:
			return fmt.Errorf("%s is in clear: nothing was written; run strongroomd keys encrypt first (it does the files of [keys])", f.Path)
		}
	}
	for _, f := range list {
		if state, _ := f.State(); state == seal.FileEncrypted {
			p.add(f.Name+seal.EncryptedSuffix, f.Encrypted())
		}
	}
	return nil
}

// passwords adds the file of passwords, in an envelope: some of what it holds is secret.
func (p *packing) passwords(ctx context.Context) error {
	path := p.config.KMIP.Passwords
	if path == "" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	defer clear(content)
	name := p.config.KeyName(path)
	e, err := p.store.Root().SealPackaged(ctx, name, content)
	if err != nil {
		return err
	}
	p.files = append(p.files, seal.Bytes(name+sealedSuffix, e))
	return nil
}

// database adds the database as it is now.
func (p *packing) database(ctx context.Context) error {
	path := p.config.Database()
	snapshot, err := p.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	p.remove = append(p.remove, snapshot)
	p.add(p.config.KeyName(path), snapshot)
	p.files[len(p.files)-1].Quotes = true // names of objects
	return nil
}

// audit adds the audit log, as far as its lines are whole now: the server goes on writing it.
func (p *packing) audit() (err error) {
	path := p.config.Audit.File
	if p.open, err = os.Open(path); err != nil {
		return err
	}
	size, err := wholeLines(p.open)
	if err == nil {
		p.files = append(p.files, seal.Source{Name: p.config.KeyName(path), Quotes: true, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(p.open, 0, size)), nil
		}})
	}
	return err
}

// wholeLines is the length of a file up to the end of its last whole line.
func wholeLines(f *os.File) (size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	part := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		begin := max(0, end-int64(len(part)))
		n, err := f.ReadAt(part[:end-begin], begin)
		if err != nil {
			return 0, err
		}
		if last := bytes.LastIndexByte(part[:n], '\n'); last >= 0 {
			return begin + int64(last) + 1, nil
		}
		end = begin
	}
	return 0, nil
}

// write writes the package.
func (p *packing) write(ctx context.Context, w io.Writer, kind, host string) error {
	m := &seal.Manifest{Kind: kind, Host: host, Program: "strongroomd " + version(), Created: time.Now().UTC().Truncate(time.Second)}
	var err error
	if m.Protectors, err = p.store.Protectors(ctx); err != nil {
		return err
	}
	return p.store.Root().WritePackage(ctx, w, m, p.files)
}

// A keeping is a backup that is wanted.
type keeping struct {
	audit bool // with the audit log
}

// write writes everything that an empty machine needs, but for what protects the root key.
func (k keeping) write(ctx context.Context, c *conf.Config, s *store.Store, w io.Writer) (err error) {
	p := &packing{config: c, store: s}
	defer func() { err = errors.Join(err, p.close()) }()
	p.common()
	p.add(c.KeyName(c.KMIP.Certificate), c.KMIP.Certificate)
	if err := p.keys(); err != nil {
		return err
	}
	if err := p.passwords(ctx); err != nil {
		return err
	}
	if err := p.database(ctx); err != nil {
		return err
	}
	if k.audit {
		if err := p.audit(); err != nil {
			return err
		}
	}
	host, _ := os.Hostname()
	return p.write(ctx, w, seal.KindBackup, host)
}

// A standby is another server of the same root key that a package is made for.
type standby struct {
	hosts    []string // names and addresses for its certificate
	database bool
}

// write issues the standby's certificate and writes its package. Its private key is never on a disk in clear.
func (b *standby) write(ctx context.Context, c *conf.Config, s *store.Store, w io.Writer) (err error) {
	p := &packing{config: c, store: s}
	defer func() { err = errors.Join(err, p.close()) }()
	p.common()
	if err := p.passwords(ctx); err != nil {
		return err
	}
	if err := b.credential(ctx, p); err != nil {
		return err
	}
	if b.database {
		if err := p.database(ctx); err != nil {
			return err
		}
	}
	return p.write(ctx, w, seal.KindStandby, b.hosts[0])
}

func (b *standby) credential(ctx context.Context, p *packing) error {
	c, root := p.config, p.store.Root()
	folder := filepath.Dir(c.File())
	keys := seal.NewFiles(root, nil)
	read := func(path string) ([]byte, error) {
		content, err := keys.Open(ctx, seal.KeyFile{Name: c.KeyName(path), Path: path})
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("neither %s nor %s is there: the authority that init made issues the certificates of standbys", path, path+seal.EncryptedSuffix)
		}
		return content, err
	}
	ca, err := openAuthority(filepath.Join(folder, "tls", "ca.crt"), filepath.Join(folder, "tls", "ca.key"), read, time.Now)
	if err != nil {
		return fmt.Errorf("opening the certificate authority: %w", err)
	}
	issued, err := ca.issueServer(b.hosts)
	if err != nil {
		return err
	}
	private, err := issued.private()
	if err != nil {
		return err
	}
	defer clear(private)
	file := seal.KeyFile{Name: c.KeyName(c.KMIP.PrivateKey), Path: c.KMIP.PrivateKey}
	envelope, err := root.SealFile(ctx, file, private)
	if err != nil {
		return err
	}
	p.files = append(p.files, seal.Bytes(c.KeyName(c.KMIP.Certificate), issued.certificatePEM()), seal.Bytes(file.Name+seal.EncryptedSuffix, envelope))
	return nil
}
