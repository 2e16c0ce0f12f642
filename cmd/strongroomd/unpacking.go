package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"strongroom/conf"
	"strongroom/hsm"
	"strongroom/store"
	"strongroom/store/crash"
	"strongroom/store/seal"
)

// An unpacking checks a package, and puts it in place.
type unpacking struct {
	kind   string // that is wanted; "" for any
	dir    string // "" to look only
	master string
	shares string // source of recovery shares
	force  bool   // also where a protector is missing
	verify bool   // nothing is put anywhere
	hashes bool   // and nothing is opened

	here     string // folder of the installation that a package is verified at
	staging  *staging
	manifest *seal.Manifest
	staged   map[string]string // where each file is now, by name
	config   *conf.Config
	away     error // why the tokens could not be opened
	root     *seal.Root
	objects  int
}

func (u *unpacking) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&u.dir, "dir", "", "folder `DIR` of the installation")
	u.openingFlags(cmd)
	cmd.Flags().BoolVar(&u.force, "force", false, "also where a token or a wrapping key is missing: what is under it does not open until it is there")
}

// openingFlags say what opens the root key.
func (u *unpacking) openingFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&u.master, "master-key", "m", "", masterFlag)
	cmd.Flags().StringVar(&u.shares, "recovery-shares", "", "open the root key by the recovery shares in `FILE`, or of standard input (-)")
	cmd.MarkFlagsMutuallyExclusive("master-key", "recovery-shares")
}

// run does it all, and leaves nothing behind but what it was asked for.
func (u *unpacking) run(cmd *cobra.Command, file string) (err error) {
	if !u.verify && u.dir == "" {
		return misuse{errors.New("--dir: the folder of the installation is needed")}
	}
	u.here = filepath.Dir(configFile(cmd))
	made, err := u.stage()
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, u.staging.close())
		if err != nil && made {
			_ = os.Remove(u.dir) // where nothing else came into it
		}
	}()
	if err := u.unpack(file); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	crash.At("restore-unpacked")
	if u.hashes {
		return u.tell(cmd.OutOrStdout())
	}
	if err := u.prove(cmd.Context()); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer u.root.Seal()
	crash.At("restore-proven")
	if !u.verify {
		if err := u.place(); err != nil {
			return err
		}
	}
	return u.tell(cmd.OutOrStdout())
}

// restorePrefix begins the name of the folder that a package is unpacked into.
const restorePrefix = ".restore-"

// stage makes a folder to unpack into: in the folder that it goes to, or where there is none, a temporary one.
func (u *unpacking) stage() (made bool, err error) {
	parent := os.TempDir()
	if u.dir != "" {
		if u.dir, err = filepath.Abs(u.dir); err != nil {
			return false, err
		}
		if err := takeBack(u.dir, restorePrefix); err != nil {
			return false, err
		}
		parent = u.dir
		err = os.Mkdir(u.dir, 0o700)
		made = err == nil
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return false, err
		}
	}
	u.staging, err = newStaging(parent, restorePrefix)
	return made, err
}

// unpack reads the package into the staging folder, against its hashes.
func (u *unpacking) unpack(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	u.staged = map[string]string{}
	manifest := func(m *seal.Manifest) error {
		if u.kind != "" && m.Kind != u.kind {
			return fmt.Errorf("it is a %s, not a %s", m.Kind, u.kind)
		}
		return nil
	}
	u.manifest, err = seal.ReadPackage(f, manifest, func(p seal.Packaged, content io.Reader) error {
		path := filepath.Join(u.staging.path, fmt.Sprint(len(u.staged)))
		if strings.HasSuffix(p.Name, seal.EncryptedSuffix) {
			path += seal.EncryptedSuffix
		}
		u.staged[p.Name] = path
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, content)
		return errors.Join(err, out.Sync(), out.Close())
	})
	return err
}

// prove opens everything: the root key by what opens it, the manifest's MAC, key files, and objects. Nothing was put in place yet.
func (u *unpacking) prove(ctx context.Context) (err error) {
	if err := u.configure(); err != nil {
		return err
	}
	b, err := u.openStores(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.closeStores(b)) }()
	unseal, err := u.unsealer(b)
	if err != nil {
		return err
	}
	if u.root, err = u.manifest.Root(ctx, unseal); err != nil {
		return err
	}
	if err := u.proveFiles(ctx); err != nil {
		return err
	}
	if err := unseal(ctx, b.store.Root()); err != nil {
		return err
	}
	return u.proveObjects(ctx, b)
}

// unsealer opens root keys by what the operator gives, or else by what the configuration has.
func (u *unpacking) unsealer(b *backends) (func(context.Context, *seal.Root) error, error) {
	if u.shares == "" {
		return unsealer(u.config, b, u.master)
	}
	return shareUnsealer(u.shares, os.Stdin)
}

// configure reads the package's configuration as it will stand, and refuses a place that is taken.
func (u *unpacking) configure() error {
	name := ""
	for candidate := range u.staged {
		if strings.HasSuffix(candidate, ".toml") && !strings.Contains(candidate, "/") {
			name = candidate
		}
	}
	if _, ok := u.staged[configName]; ok {
		name = configName
	}
	if name == "" {
		return errors.New("there is no configuration in it")
	}
	text, err := os.ReadFile(u.staged[name])
	if err != nil {
		return err
	}
	dir := u.dir
	if dir == "" {
		dir = u.here
	}
	if u.config, err = conf.Parse(filepath.Join(dir, name), text, os.Environ()); err != nil {
		return err
	}
	if u.verify {
		return nil
	}
	if serving(u.config) {
		return fmt.Errorf("a server runs in %s: nothing was changed", u.config.DataDir)
	}
	for name := range u.targets() {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s is there already: nothing was changed", name)
		}
	}
	return nil
}

// targets are the paths that files go to, with where they are now.
func (u *unpacking) targets() map[string]string {
	all := map[string]string{}
	for name, path := range u.staged {
		name = strings.TrimSuffix(name, sealedSuffix)
		if !filepath.IsAbs(name) {
			name = filepath.Join(u.dir, filepath.FromSlash(name))
		}
		all[name] = path
	}
	all[u.config.Database()] = u.staged[u.config.KeyName(u.config.Database())]
	return all
}

// proveFiles opens the key files, and what else is in envelopes of its own, which it leaves in clear in the staging folder.
func (u *unpacking) proveFiles(ctx context.Context) error {
	files := seal.NewFiles(u.root, nil)
	for name, path := range u.staged {
		if bare, ok := strings.CutSuffix(name, seal.EncryptedSuffix); ok {
			content, err := files.Open(ctx, seal.KeyFile{Name: bare, Path: strings.TrimSuffix(path, seal.EncryptedSuffix)})
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			clear(content)
		}
		if bare, ok := strings.CutSuffix(name, sealedSuffix); ok {
			if err := u.open(ctx, bare, path); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// open puts the content of an envelope in its place; when nothing is put in place, it only proves it.
func (u *unpacking) open(ctx context.Context, name, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content, err := u.root.OpenPackaged(ctx, name, raw)
	if err != nil {
		return err
	}
	defer clear(content)
	if u.verify {
		return nil
	}
	return os.WriteFile(path, content, 0o600)
}

// openStores opens the package's database where it is staged, sealed, and the tokens; a standby without one gets an empty one of the
// same root key.
func (u *unpacking) openStores(ctx context.Context) (*backends, error) {
	name := u.config.KeyName(u.config.Database())
	path, with := u.staged[name]
	if !with {
		if u.manifest.Kind == seal.KindBackup {
			return nil, fmt.Errorf("the database %s is not in it", name)
		}
		path = filepath.Join(u.staging.path, "database")
		u.staged[name] = path
	}
	b := new(backends)
	var err error
	log := slog.New(slog.DiscardHandler)
	if b.store, err = store.Open(ctx, "sqlite:"+path, store.Options{Protector: b.protector, Token: b.wrapping(u.config)}); err != nil {
		return nil, err
	}
	if !with {
		err = b.store.TakeSlots(ctx, &u.manifest.Table)
	}
	if err == nil && len(u.config.HSM) > 0 {
		b.hsm, u.away = hsm.Open(ctx, modulesOf(u.config), b.store, log)
	}
	if err != nil {
		return nil, errors.Join(err, u.closeStores(b))
	}
	return b, nil
}

func (u *unpacking) closeStores(b *backends) error {
	path := u.staged[u.config.KeyName(u.config.Database())]
	return errors.Join(b.close(), os.Remove(path+".lock"))
}

// proveObjects opens every object.
func (u *unpacking) proveObjects(ctx context.Context, b *backends) error {
	missing := u.missing(ctx, b)
	switch {
	case missing != nil && u.force:
		return nil
	case missing != nil:
		return missing
	}
	n, err := b.store.Verify(ctx)
	u.objects = n
	return err
}

// missing names every wrapping key that objects need and that is not there.
func (u *unpacking) missing(ctx context.Context, b *backends) error {
	var missing []error
	for _, reference := range slices.Sorted(maps.Keys(u.manifest.Protectors)) {
		uid, ok := store.WrappingKey(reference)
		if !ok {
			continue
		}
		_, _, err := b.protector(ctx, uid)
		if b.hsm == nil && u.away != nil {
			err = errors.Join(err, u.away)
		}
		if err != nil {
			missing = append(missing, fmt.Errorf("the protector %s, which %d objects need, is missing: %w", reference, u.manifest.Protectors[reference], err))
		}
	}
	return errors.Join(missing...)
}

// place puts everything where it belongs, the configuration last: where it is, all is. When it does not succeed to the end, nothing
// stays.
func (u *unpacking) place() (err error) {
	targets := u.targets()
	paths := slices.SortedFunc(maps.Keys(targets), func(a, b string) int {
		if (a == u.config.File()) != (b == u.config.File()) {
			if a == u.config.File() {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	var made []string // folders, files to copy to, and then what is in its place
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("putting the package in place: %w", err)
		for _, undo := range slices.Backward(made) {
			if e := os.Remove(undo); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}()
	var from, copies []string
	for i, path := range paths {
		folders, err := makeFolders(filepath.Dir(path))
		made = append(made, folders...)
		if err != nil {
			return err
		}
		far, err := otherMount(u.staging.path, filepath.Dir(path))
		if err != nil {
			return err
		}
		source := targets[path]
		if far { // no link leads there: a copy beside the place is what is moved
			source = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s-%d", filepath.Base(u.staging.path), i))
			if err := seal.NewFile(source, func(io.Writer) error { return nil }); err != nil {
				return err
			}
			copies, made = append(copies, source), append(made, source)
		}
		from = append(from, source)
	}
	if err := u.staging.announce(slices.Concat(copies, from), slices.Concat(copies, paths)); err != nil {
		return err
	}
	for i, path := range paths {
		if err := placeFile(targets[path], from[i], path); err != nil {
			return err
		}
		made = append(made, path)
		if strings.HasSuffix(path, ".crt") {
			if err := os.Chmod(path, 0o644); err != nil {
				return err
			}
		}
		if err := syncFolder(filepath.Dir(path)); err != nil {
			return err
		}
		crash.At("restore-placed")
	}
	return nil
}

// placeFile gives a file a name that must not be there, whole or not at all: by way of a copy, an empty file beside its place, where that
// is another than the file itself.
func placeFile(file, copied, to string) error {
	if file != copied {
		if err := fill(copied, file); err != nil {
			return err
		}
	}
	if err := os.Link(copied, to); err != nil { // refuses what is there, where a rename would replace it
		return err
	}
	if file != copied {
		return os.Remove(copied)
	}
	return nil
}

// fill writes the content of a file into an empty one.
func fill(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// otherMount says whether no link leads from one folder to the other: they are on two file systems, or on two mounts of one.
func otherMount(a, b string) (bool, error) {
	var of [2]unix.Statx_t
	for i, path := range []string{a, b} {
		if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &of[i]); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
	}
	return of[0].Dev_major != of[1].Dev_major || of[0].Dev_minor != of[1].Dev_minor || of[0].Mnt_id != of[1].Mnt_id, nil
}

// makeFolders makes a folder and those that it is in, and lists the ones that were not there.
func makeFolders(path string) (made []string, err error) {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if made, err = makeFolders(filepath.Dir(path)); err != nil {
		return made, err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return made, err
	}
	return append(made, path), syncFolder(filepath.Dir(path))
}

// syncFolder sees to it that names in a folder are on the disk.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// tell says what was found, and what to do next.
func (u *unpacking) tell(out io.Writer) error {
	m := u.manifest
	var b strings.Builder
	fmt.Fprintf(&b, "%s of the cluster %s, made %s by %s for %s\n", m.Kind, m.Cluster, m.Created.Format("2006-01-02T15:04:05Z07:00"), m.Program, m.Host)
	for i := range m.Table.Slots {
		s := &m.Table.Slots[i]
		fmt.Fprintf(&b, "  root key slot %d: %s, %s\n", s.ID, s.State, s.Protector)
	}
	for _, reference := range slices.Sorted(maps.Keys(m.Protectors)) {
		fmt.Fprintf(&b, "  %d objects under %s\n", m.Protectors[reference], reference)
	}
	switch {
	case u.hashes:
		fmt.Fprintf(&b, "%d files, each as its hash says. The MAC was not checked.\n", len(m.Files))
	case u.verify:
		fmt.Fprintf(&b, "%d files and the MAC are right; the key files and %d objects open.\n", len(m.Files), u.objects)
	default:
		fmt.Fprintf(&b, "Put %d files in place in %s; %d objects open.\n\n", len(m.Files), u.dir, u.objects)
		fmt.Fprintf(&b, "Put what opens the root key where the configuration says, then:  strongroomd serve --config %s\n", shellWord(u.config.File()))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
