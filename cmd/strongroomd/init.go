package main

import (
	"bytes"
	"context"
	_ "embed" // for the configuration's template
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"strongroom/conf"
	"strongroom/hsm"
	"strongroom/store/crash"
	"strongroom/store/seal"
)

// configName is the name of the configuration file in an installation's folder.
const configName = "strongroom.toml"

//go:embed strongroom.toml.tmpl
var configText string

// configTemplate makes the configuration of a new installation out of an installation.
var configTemplate = template.Must(template.New(configName).Funcs(template.FuncMap{"toml": tomlString}).Parse(configText))

// An installation is what init is asked to make.
type installation struct {
	dir     string // absolute
	listen  string // host:port of [kmip]
	admin   string // identity of the first client, an hsm_admin
	slot    uint32 // number of the token's slot
	softhsm *softhsm
	clear   bool // the server's private keys are left in clear
	now     func() time.Time

	seal                string // software or hsm: what is to open the root key
	key                 target // of the strategy hsm
	hsm                 conf.HSM
	env                 map[string]string // of the module
	pinFile, tokenLabel string
	recovery            sharing
	shares              []string // that were made
}

// initCommand makes an installation.
func initCommand() *cobra.Command {
	i := installation{now: time.Now}
	withSoftHSM := false
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a new installation: configuration, certificates, master key, root key, and a SoftHSM token if asked",
		Long: `Make a new installation in the folder DIR: its configuration (DIR/strongroom.toml), a certificate authority with
the server's certificate (DIR/tls), a first client that administers HSM keys (DIR/clients), the master key, and the
database with its root key. The private keys of the server and of the authority are under the root key from birth, in
DIR/tls/*.key.enc. With --softhsm a SoftHSM token of its own, for a try or for tests: SoftHSM keeps keys in
files and is no hardware.

With --seal hsm a key in a token opens the root key, and there is no master key: the token is that of --softhsm, or the one that
--hsm-library, --token-label and --pin-file name. --generate-key makes the key in it, unless it is there.

Nothing that is there already is changed, and nothing stays behind when it does not succeed.`,
		Example: `  strongroomd init /etc/strongroom --listen 0.0.0.0:5696 --admin ops@example.com
  strongroomd init .strongroom --softhsm
  strongroomd init /etc/strongroom --seal hsm --hsm-library /usr/lib/vendor/libpkcs11.so --token-label production \
      --pin-file /root/pin --key-label strongroom-root --generate-key --recovery-shares 5 --recovery-threshold 3`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := i.check(args[0]); err != nil {
				return misuse{err}
			}
			if err := i.checkSeal(withSoftHSM); err != nil {
				return misuse{err}
			}
			if withSoftHSM {
				var err error
				if i.softhsm, err = findSoftHSM(); err != nil {
					return err
				}
			}
			if err := i.make(cmd.Context()); err != nil {
				return fmt.Errorf("initialising %s: %w", args[0], err)
			}
			return i.explain(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&i.listen, "listen", "127.0.0.1:5696", "`ADDR` (host:port) that the server listens on")
	cmd.Flags().StringVar(&i.admin, "admin", "admin", "`NAME` of the first client, who administers HSM keys")
	cmd.Flags().Uint32Var(&i.slot, "slot", 4, "number `N` of the token's slot, as in hsm::N::label")
	cmd.Flags().BoolVar(&i.clear, "clear-keys", false, "leave the private keys of the server and of the authority in clear")
	cmd.Flags().BoolVar(&withSoftHSM, "softhsm", false, "make a SoftHSM token in DIR")
	cmd.Flags().StringVar(&i.seal, "seal", "software", "`STRATEGY` that opens the root key: software (a master key file) or hsm (a key in the token)")
	cmd.Flags().StringVar(&i.hsm.Library, "hsm-library", "", "`PATH` of the PKCS#11 module of the token")
	cmd.Flags().StringToStringVar(&i.env, "hsm-env", nil, "`NAME=VALUE` for the module's environment; may be repeated")
	cmd.Flags().StringVar(&i.tokenLabel, "token-label", "", "`LABEL` of the token")
	cmd.Flags().StringVar(&i.pinFile, "pin-file", "", "`FILE` of the token's user PIN")
	cmd.Flags().StringVar(&i.key.KeyLabel, "key-label", "strongroom-root", "`LABEL` of the key in the token, of --seal hsm")
	cmd.Flags().StringVar(&i.key.Mechanism, "mechanism", "auto", "`MECHANISM` of that key: auto, CKM_AES_GCM, CKM_RSA_PKCS_OAEP, CKM_AES_CBC_PAD, or the number of one")
	cmd.Flags().BoolVar(&i.key.Generate, "generate-key", false, "make that key, unless it is there")
	i.recovery.flags(cmd)
	return cmd
}

// check refuses what no installation can be made of.
func (i *installation) check(dir string) error {
	if host, port, err := net.SplitHostPort(i.listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("--listen: %q is no port", port)
	} else if strings.ContainsAny(host, "/ ") {
		return fmt.Errorf("--listen: %q is no host", host)
	}
	if err := checkClientName(i.admin); err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	i.dir = absolute
	return nil
}

// checkSeal refuses what no root key can be under.
func (i *installation) checkSeal(withSoftHSM bool) error {
	given := i.hsm.Library != "" || i.tokenLabel != "" || i.pinFile != "" || len(i.env) > 0
	switch {
	case i.seal != "software" && i.seal != "hsm":
		return fmt.Errorf("--seal %q: software or hsm", i.seal)
	case withSoftHSM && given:
		return errors.New("--softhsm makes a token: --hsm-library, --hsm-env, --token-label and --pin-file name another")
	case given && (i.hsm.Library == "" || i.tokenLabel == "" || i.pinFile == ""):
		return errors.New("a token takes --hsm-library, --token-label and --pin-file")
	case i.seal == "hsm" && !withSoftHSM && !given:
		return errors.New("--seal hsm needs a token: --softhsm, or --hsm-library, --token-label and --pin-file")
	case i.key.KeyLabel == "":
		return errors.New("--key-label: it is empty")
	}
	if _, err := hsm.ParseGuardMechanism(i.key.Mechanism); err != nil {
		return fmt.Errorf("--mechanism: %w", err)
	}
	if i.pinFile != "" {
		path, err := filepath.Abs(i.pinFile)
		if err != nil {
			return err
		}
		i.pinFile = path
	}
	i.key.To, i.key.Slot = i.seal, &i.slot
	return i.recovery.check()
}

// entries lists what an installation puts into its folder. The configuration is the last: where it is, all is.
func (i *installation) entries() []string {
	names := []string{"tls", "clients", "data"}
	if i.seal != "hsm" {
		names = append(names, "master.key")
	}
	if i.softhsm != nil {
		names = append(names, "softhsm", tokenOf(i.slot).pin)
	}
	return append(names, configName)
}

// initPrefix begins the name of the folder in which an installation is made.
const initPrefix = ".init-"

// make makes the installation beside its place and moves it there, or leaves nothing behind.
func (i *installation) make(ctx context.Context) (err error) {
	if err := takeBack(i.dir, initPrefix); err != nil {
		return err
	}
	created, err := i.claim()
	if err != nil {
		return err
	}
	staging, err := newStaging(i.dir, initPrefix)
	if err == nil {
		err = i.build(ctx, staging.path)
		crash.At("init-built")
		if err == nil {
			err = i.move(staging)
		}
		err = errors.Join(err, staging.close())
	}
	if err != nil && created {
		err = errors.Join(err, os.Remove(i.dir))
	}
	return err
}

// claim makes the folder, and reports whether it had to; it refuses one that holds anything of an installation.
func (i *installation) claim() (created bool, err error) {
	for _, name := range append([]string{configName}, i.entries()...) {
		path := filepath.Join(i.dir, name)
		if _, err := os.Lstat(path); err == nil {
			return false, fmt.Errorf("%s is there already: nothing was changed", path)
		} else if !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
	}
	err = os.Mkdir(i.dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// build makes the whole installation in staging.
func (i *installation) build(ctx context.Context, staging string) error {
	for _, name := range []string{"tls", "clients", "data"} {
		if err := os.Mkdir(filepath.Join(staging, name), 0o700); err != nil {
			return err
		}
	}
	keys, err := i.certify(staging)
	if err != nil {
		return err
	}
	defer clearAll(keys)
	if i.softhsm != nil {
		if err := i.softhsm.makeToken(staging, i.dir, tokenOf(i.slot)); err != nil {
			return err
		}
	}
	text, err := i.config()
	if err != nil {
		return err
	}
	file := filepath.Join(staging, configName)
	if err := writeNew(file, text, 0o600); err != nil {
		return err
	}
	c, err := conf.Load(file, nil)
	if err != nil {
		return err
	}
	if i.clear {
		for path, private := range keys {
			if err := writeNew(path, private, 0o600); err != nil {
				return err
			}
		}
		keys = nil
	}
	return i.makeRoot(ctx, c, staging, keys)
}

// makeRoot makes the database and the root key, puts private keys, by the paths of their clear files, into envelopes under it, and
// makes shares of a recovery key if asked. The token that was made is still in staging.
func (i *installation) makeRoot(ctx context.Context, c *conf.Config, staging string, keys map[string][]byte) error {
	if i.seal != "hsm" {
		c.HSM = nil
		i.key = target{To: "software", MasterKeyFile: filepath.Join(staging, "master.key"), Generate: true}
	} else if i.softhsm != nil {
		building := filepath.Join(staging, "building.conf")
		if err := writeNew(building, softhsmConf(filepath.Join(staging, tokenOf(i.slot).tokens)), 0o600); err != nil {
			return err
		}
		c.HSM[0].Env = map[string]string{"SOFTHSM2_CONF": building}
		i.key.Generate = true
	}
	return withSealer(ctx, c, slog.New(slog.DiscardHandler), func(ctx context.Context, s *sealer) error {
		if _, err := s.initialize(ctx, i.key); err != nil {
			return err
		}
		for path, private := range keys {
			if err := sealKey(ctx, s.root, seal.KeyFile{Name: c.KeyName(path), Path: path}, private); err != nil {
				return err
			}
		}
		if i.recovery.Shares == 0 {
			return nil
		}
		k, texts, err := newRecovery(i.recovery)
		if err != nil {
			return err
		}
		defer clear(k.Key)
		i.shares = texts
		_, err = k.put(ctx, s.root)
		return err
	})
}

// clearAll clears private keys.
func clearAll(keys map[string][]byte) {
	for _, key := range keys {
		clear(key)
	}
}

// certify makes the authority, the server's certificate and the first client. It gives the private keys of the first two, by the
// paths of their clear files, none of which it writes.
func (i *installation) certify(staging string) (keys map[string][]byte, err error) {
	tls := func(name string) string { return filepath.Join(staging, "tls", name) }
	ca, err := newAuthority(i.now)
	if err != nil {
		return nil, err
	}
	keys = map[string][]byte{}
	keep := func(name string, c *credential) error {
		if keys[tls(name+".key")], err = c.private(); err != nil {
			return err
		}
		return c.writeCertificate(tls(name + ".crt"))
	}
	if err := keep("ca", &ca.credential); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(i.listen)
	if err != nil {
		return nil, err
	}
	server, err := ca.issueServer(serverHosts(host))
	if err != nil {
		return nil, err
	}
	if err := keep("server", server); err != nil {
		return nil, err
	}
	first := client{identity: i.admin, file: i.admin, field: "cn", days: clientDays, listen: i.listen}
	return keys, first.add(ca, filepath.Join(staging, "clients"))
}

// config is the text of the configuration file.
func (i *installation) config() ([]byte, error) {
	values := struct {
		Admin, Listen, Library, TokenLabel, PIN, KeyLabel, Mechanism string
		Env                                                          []variable
		Slot                                                         uint32
		HSM, Token, Clear                                            bool // the strategy is hsm; there is a token; the server's keys are in clear
	}{Admin: i.admin, Listen: i.listen, Slot: i.slot, HSM: i.seal == "hsm", Clear: i.clear, Token: i.softhsm != nil || i.hsm.Library != "",
		Library: i.hsm.Library, TokenLabel: i.tokenLabel, PIN: i.pinFile, Env: variables(i.env), KeyLabel: i.key.KeyLabel, Mechanism: i.key.Mechanism}
	if i.softhsm != nil {
		token := tokenOf(i.slot)
		values.Library = i.softhsm.library
		values.Env = []variable{{"SOFTHSM2_CONF", filepath.Join(i.dir, token.conf)}}
		values.TokenLabel = softhsmLabel
		values.PIN = token.pin
	}
	var text bytes.Buffer
	err := configTemplate.Execute(&text, values)
	return text.Bytes(), err
}

// A variable is one of a module's environment.
type variable struct{ Name, Value string }

// variables are those of a table, in order.
func variables(env map[string]string) (all []variable) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, variable{name, env[name]})
	}
	return all
}

// move moves what build has made into the folder, and takes it back where that does not succeed to the end. Of two
// that run at once one wins: a folder is not renamed over another that holds something.
func (i *installation) move(s *staging) error {
	var from, to []string
	for _, name := range i.entries() {
		from, to = append(from, filepath.Join(s.path, name)), append(to, filepath.Join(i.dir, name))
	}
	if err := s.announce(from, to); err != nil {
		return err
	}
	for n := range from {
		err := os.Rename(from[n], to[n])
		crash.At("init-moved")
		if err == nil {
			continue
		}
		for _, moved := range to[:n] {
			err = errors.Join(err, os.RemoveAll(moved))
		}
		return err
	}
	return nil
}

// explain prints what was made and what to run next.
func (i *installation) explain(out io.Writer) error {
	in := func(name string) string { return shellWord(filepath.Join(i.dir, name)) }
	var text strings.Builder
	if i.seal == "hsm" {
		fmt.Fprintf(&text, "Made an installation in %s. The key %s in the token of slot %d opens its root key: without it the keys in data are lost.\n", i.dir, i.key.KeyLabel, i.slot)
	} else {
		fmt.Fprintf(&text, "Made an installation in %s. Keep a copy of master.key elsewhere: without it the keys in data are lost.\n", i.dir)
	}
	if i.softhsm != nil {
		fmt.Fprintf(&text, "Keys named hsm::%d::LABEL live in its SoftHSM token.\n", i.slot)
	}
	fmt.Fprintf(&text, `
Start the server:      strongroomd serve --config %s
Be its administrator:  export STRONGROOM_CONFIG=%s
Add another client:    strongroomd client add NAME --dir %s
`, in(configName), in(filepath.Join("clients", i.admin+".toml")), shellWord(i.dir))
	if len(i.shares) > 0 {
		fmt.Fprintln(&text)
		if err := tellShares(&text, i.shares, i.recovery.Threshold); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// tomlString is s as a basic string of TOML 1.0.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// shellWord quotes s for a shell where it must be.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,="
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
