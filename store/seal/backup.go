package seal

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"strings"
	"time"

	"strongroom/store/crash"
)

// A package is a tar archive: manifest.json, and the files that it lists, in that order. Nothing in it is a secret that is not in an
// envelope. The manifest has the root key slots, so that whoever has a protector can prove the whole.
const (
	manifestName    = "manifest.json"
	manifestFormat  = "strongroom package"
	manifestVersion = 1
	mostManifest    = 16 << 20 // bytes
	mostPackaged    = 1 << 40  // bytes of one file
)

// Kinds of packages.
const (
	KindBackup  = "backup"
	KindStandby = "standby"
)

// A Manifest says what a package holds.
type Manifest struct {
	Format     string         `json:"format"`
	Version    int            `json:"version"`
	Kind       string         `json:"kind"`
	Cluster    string         `json:"cluster"` // the same for all who share a root key
	Host       string         `json:"host"`    // where it was made; of a standby, what it is made for
	Program    string         `json:"program"`
	Created    time.Time      `json:"created"`
	Table      Table          `json:"root_key_slots"`
	Protectors map[string]int `json:"protectors"` // how many objects need each to be opened
	Files      []Packaged     `json:"files"`
	MAC        string         `json:"mac,omitempty"` // HMAC-SHA256 of the manifest without it, in hexadecimal
}

// A Packaged file is one of a package.
type Packaged struct {
	Name   string `json:"name"` // from the configuration's folder, with slashes; or an absolute path
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// entry is its name in the archive.
func (p *Packaged) entry() string {
	if strings.HasPrefix(p.Name, "/") {
		return "root" + p.Name
	}
	return "files/" + p.Name
}

// check refuses a name that leads elsewhere.
func (p *Packaged) check() error {
	clean := filepath.ToSlash(filepath.Clean(p.Name)) == p.Name
	if !clean || !filepath.IsAbs(p.Name) && !filepath.IsLocal(p.Name) || p.Size < 0 || p.Size > mostPackaged {
		return fmt.Errorf("the manifest names %q (%d bytes), which no package has", p.Name, p.Size)
	}
	return nil
}

// A Source is a file that goes into a package.
type Source struct {
	Name   string
	Open   func() (io.ReadCloser, error) // read twice
	Quotes bool                          // it is this program's own, with all secrets in envelopes: what looks like one is the word of a client
}

// Bytes is a Source of what is in memory.
func Bytes(name string, content []byte) Source {
	return Source{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

// Cluster is a name for all who share the root key, which says nothing of it.
func (r *Root) Cluster() (string, error) {
	key, err := r.Subkey("cluster")
	if err != nil {
		return "", err
	}
	defer clear(key)
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8]), nil
}

// SealPackaged puts a secret that is no key into an envelope of a package.
func (r *Root) SealPackaged(ctx context.Context, name string, content []byte) ([]byte, error) {
	e, err := Seal(ctx, nil, r.Protector(), Label{PurposeBackup, 1}, []byte("backup:"+name), content)
	if err != nil {
		return nil, err
	}
	return e.Bytes(), nil
}

// OpenPackaged gives it back; the caller clears it.
func (r *Root) OpenPackaged(ctx context.Context, name string, raw []byte) ([]byte, error) {
	find := func(context.Context, Header) (Protector, error) { return r.Protector(), nil }
	return Open(ctx, find, PurposeBackup, []byte("backup:"+name), raw)
}

// clearMarks are how a private key in clear begins that somebody would put into a package.
var clearMarks = [][]byte{[]byte("PRIVATE KEY-----"), []byte("OPENSSH PRIVATE"), []byte("PGP PRIVATE")}

// WritePackage completes a manifest with the slots, the cluster and the files, authenticates it under a subkey of the root key, and
// writes the package. It refuses a file that has a private key in clear, unless it quotes.
func (r *Root) WritePackage(ctx context.Context, w io.Writer, m *Manifest, files []Source) error {
	t, err := r.read(ctx)
	if err != nil {
		return err
	}
	m.Format, m.Version, m.Table = manifestFormat, manifestVersion, *t
	if m.Cluster, err = r.Cluster(); err != nil {
		return err
	}
	m.Files = nil
	for _, f := range files {
		p, err := f.packaged()
		if err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
		m.Files = append(m.Files, *p)
	}
	if m.MAC, err = r.packageMAC(m); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	if err := put(archive, manifestName, m.Created, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	for i, f := range files {
		crash.At("package-file")
		content, err := f.Open()
		if err != nil {
			return err
		}
		err = put(archive, m.Files[i].entry(), m.Created, m.Files[i].Size, content)
		if err = errors.Join(err, content.Close()); err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
	}
	crash.At("package-full")
	return archive.Close()
}

// packaged measures a file.
func (f *Source) packaged() (*Packaged, error) {
	content, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	sum := sha256.New()
	look := &looking{}
	n, err := io.Copy(io.MultiWriter(sum, look), content)
	if err != nil {
		return nil, err
	}
	if look.found && !f.Quotes {
		return nil, errors.New("there is a private key in clear in it: refused")
	}
	p := &Packaged{Name: f.Name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}
	return p, p.check()
}

// looking looks for private keys in clear in what is written to it.
type looking struct {
	tail  []byte
	found bool
}

// Write never fails.
func (l *looking) Write(b []byte) (int, error) {
	const longest = 20
	joined := append(l.tail, b...)
	for _, mark := range clearMarks {
		l.found = l.found || bytes.Contains(joined, mark)
	}
	l.tail = bytes.Clone(joined[max(0, len(joined)-longest):])
	return len(b), nil
}

func put(archive *tar.Writer, name string, at time.Time, size int64, content io.Reader) error {
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: size, ModTime: at.Truncate(time.Second), Format: tar.FormatPAX}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}

// packageMAC authenticates all of a manifest but the MAC itself.
func (r *Root) packageMAC(m *Manifest) (string, error) {
	key, err := r.Subkey("package")
	if err != nil {
		return "", err
	}
	defer clear(key)
	bare := *m
	bare.MAC = ""
	text, err := json.Marshal(&bare)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ReadPackage reads a package: place is told of the manifest, once, and of every file, whose content it gets to read to its end. A file
// that is not as the manifest says, or is missing, or too many, is an error, after place had it: what it made of it is to be thrown
// away then. The manifest itself is proven by Root alone.
func ReadPackage(r io.Reader, manifest func(*Manifest) error, place func(Packaged, io.Reader) error) (*Manifest, error) {
	archive := tar.NewReader(r)
	m, err := readManifest(archive)
	if err != nil {
		return nil, err
	}
	if err := manifest(m); err != nil {
		return nil, err
	}
	for i := range m.Files {
		f := &m.Files[i]
		h, err := archive.Next()
		if err != nil {
			return nil, fmt.Errorf("the package ends before %s: %w", f.Name, noEOF(err))
		}
		if h.Typeflag != tar.TypeReg || h.Name != f.entry() || h.Size != f.Size {
			return nil, fmt.Errorf("the package has %s (%d bytes) where its manifest has %s (%d bytes)", h.Name, h.Size, f.Name, f.Size)
		}
		sum := &summed{r: archive, hash: sha256.New()}
		if err := place(*f, sum); err != nil {
			return nil, err
		}
		if _, err := io.Copy(io.Discard, sum); err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.Name, noEOF(err))
		}
		if hex.EncodeToString(sum.hash.Sum(nil)) != f.SHA256 {
			return nil, fmt.Errorf("%s is not what the manifest says: its SHA-256 is another", f.Name)
		}
	}
	if h, err := archive.Next(); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the package has %s, which its manifest does not", h.Name)
	}
	return m, nil
}

// noEOF makes an error of an end that comes too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

type summed struct {
	r    io.Reader
	hash hash.Hash
}

// Read reads and hashes.
func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.hash.Write(b[:n])
	return n, err
}

func readManifest(archive *tar.Reader) (*Manifest, error) {
	h, err := archive.Next()
	if err != nil || h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Size > mostManifest {
		return nil, errors.New("this is no Strongroom package: it does not begin with a manifest")
	}
	text, err := io.ReadAll(io.LimitReader(archive, mostManifest))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", noEOF(err))
	}
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	if m.Format != manifestFormat || m.Version != manifestVersion {
		return nil, fmt.Errorf("the package is %q, version %d; this program reads %q, version %d", m.Format, m.Version, manifestFormat, manifestVersion)
	}
	seen := map[string]bool{}
	for i := range m.Files {
		if err := m.Files[i].check(); err != nil {
			return nil, err
		}
		if seen[m.Files[i].Name] {
			return nil, fmt.Errorf("the manifest names %s twice", m.Files[i].Name)
		}
		seen[m.Files[i].Name] = true
	}
	return m, nil
}

// Root unseals the root key of a package by the function, which is given a Root over the package's slots, and proves the manifest with
// it. The caller seals the Root again.
func (m *Manifest) Root(ctx context.Context, unseal func(context.Context, *Root) error) (*Root, error) {
	r := NewRoot(tableSlots{&m.Table}, nil)
	if err := unseal(ctx, r); err != nil {
		return nil, err
	}
	want, err := r.packageMAC(m)
	if err == nil && !hmac.Equal([]byte(want), []byte(m.MAC)) {
		err = errors.New("the package does not have its MAC: it was changed by something else than this program")
	}
	if err != nil {
		r.Seal()
		return nil, err
	}
	return r, nil
}

// tableSlots is a table that only is read.
type tableSlots struct{ t *Table }

// ReadSlots gives the table.
func (s tableSlots) ReadSlots(context.Context) (*Table, error) { return s.t, nil }

// WriteSlots refuses.
func (s tableSlots) WriteSlots(context.Context, *Table) error {
	return errors.New("the root key slots of a package do not change")
}

// SlotVerified notes nothing.
func (s tableSlots) SlotVerified(context.Context, int64, time.Time) error { return nil }
