package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resolve makes the paths absolute.
func (c *Config) resolve() {
	folder := filepath.Dir(c.file)
	under := func(folder string, p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
	under(folder, &c.DataDir)
	for _, p := range []*string{&c.KMIP.Certificate, &c.KMIP.PrivateKey, &c.KMIP.ClientCA, &c.KMIP.CRL} {
		under(folder, p)
	}
	if source := c.Seal.MasterKeyFile; source != "-" && !strings.HasPrefix(source, "env:") && !strings.HasPrefix(source, "credential:") {
		under(folder, &c.Seal.MasterKeyFile)
	}
	under(c.DataDir, &c.Audit.File)
	if path, ok := strings.CutPrefix(c.Store.URL, "sqlite:"); ok {
		under(c.DataDir, &path)
		c.Store.URL = "sqlite:" + path
	}
	for i := range c.HSM {
		for j := range c.HSM[i].Slots {
			under(folder, &c.HSM[i].Slots[j].PINFile)
		}
	}
}

// check gives the faults of what was set: what makes no sense, and what asks for something this version does not have.
func (c *Config) check() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	c.checkIdentities(fault)
	c.checkListener(fault)
	c.checkHSM(fault)
	c.checkSeal(fault)
	c.checkLimits(fault)
	if c.UnwrappedCacheMaxAge <= 0 {
		fault("unwrapped_cache_max_age: %v: a number of minutes above 0", c.UnwrappedCacheMaxAge)
	}
	if c.UnwrappedCacheMaxLife < 0 || c.UnwrappedCacheSize < 0 {
		fault("unwrapped_cache_max_life and unwrapped_cache_size are not negative")
	}
	if c.HTTP.Listen != "" {
		fault("http.listen: KMIP over HTTPS is not available in this version; leave it empty")
	}
	if strings.HasPrefix(c.Store.URL, "postgres") {
		fault("store.url: PostgreSQL is not available in this version; the url is sqlite:PATH")
	} else if path, ok := strings.CutPrefix(c.Store.URL, "sqlite:"); !ok || path == c.DataDir {
		fault("store.url: %q: the url is sqlite:PATH", c.Store.URL)
	}
	if c.Audit.File == c.DataDir || c.Audit.File == "" {
		fault("audit.file: the audit log needs a file")
	}
	if c.Entropy.Mode != "off" {
		fault("entropy.mode: %q: only \"off\" is available in this version", c.Entropy.Mode)
	}
	return faults
}

func (c *Config) checkIdentities(fault func(string, ...any)) {
	for name, list := range map[string][]string{"hsm_admin": c.HSMAdmin, "create": c.Create} {
		for _, identity := range list {
			if identity == "" || strings.ContainsFunc(identity, func(r rune) bool { return r < 0x20 || r == 0x7F }) {
				fault("%s: %q is no identity", name, identity)
			}
		}
	}
	if !slices.Contains([]string{"cn", "email", "uri", "dns"}, c.KMIP.Identity) {
		fault("kmip.identity: %q: the field of a certificate is cn, email, uri or dns", c.KMIP.Identity)
	}
}

func (c *Config) checkListener(fault func(string, ...any)) {
	if _, port, err := net.SplitHostPort(c.KMIP.Listen); err != nil {
		fault("kmip.listen: %q: an address is host:port", c.KMIP.Listen)
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		fault("kmip.listen: %q: the port is a number to 65535", c.KMIP.Listen)
	}
	if c.KMIP.TLSMin != "1.2" && c.KMIP.TLSMin != "1.3" {
		fault("kmip.tls_min: %q: 1.2 or 1.3", c.KMIP.TLSMin)
	}
	for name, path := range map[string]string{"certificate": c.KMIP.Certificate, "private_key": c.KMIP.PrivateKey, "client_ca": c.KMIP.ClientCA} {
		if path == "" {
			fault("kmip.%s: a file is needed", name)
		}
	}
}

func (c *Config) checkHSM(fault func(string, ...any)) {
	numbers := make(map[uint32]bool)
	libraries := make(map[string]bool)
	for i, h := range c.HSM {
		name := fmt.Sprintf("hsm[%d]", i)
		if !filepath.IsAbs(h.Library) {
			fault("%s.library: %q: the path of a PKCS#11 module is absolute", name, h.Library)
		}
		if libraries[h.Library] {
			fault("%s.library: %s is configured twice; its tokens are slots of one [[hsm]]", name, h.Library)
		}
		libraries[h.Library] = true
		switch h.Isolation {
		case "", "auto", "none":
		case "process":
			fault("%s.isolation: a worker process is not available in this version; auto and none are", name)
		default:
			fault("%s.isolation: %q: auto, none or process", name, h.Isolation)
		}
		if len(h.Slots) == 0 {
			fault("%s: it has no [[hsm.slot]]", name)
		}
		for j, s := range h.Slots {
			where := fmt.Sprintf("%s.slot[%d]", name, j)
			if numbers[s.Number] {
				fault("%s.number: %d is taken by another slot", where, s.Number)
			}
			numbers[s.Number] = true
			s.check(where, fault)
		}
	}
	if slot, ok := hsmSlot(c.KeyEncryptionKey); ok && !numbers[slot] && len(c.HSM) != 1 {
		fault("key_encryption_key: %q: slot %d is not configured", c.KeyEncryptionKey, slot)
	}
}

func (s *Slot) check(where string, fault func(string, ...any)) {
	sources := 0
	for _, source := range []string{s.PINFile, s.PINEnv, s.PINCredential} {
		if source != "" {
			sources++
		}
	}
	if sources != 1 {
		fault("%s: one of pin_file, pin_env and pin_credential has the PIN; %d are given", where, sources)
	}
	if s.MaxSessions < 0 {
		fault("%s.max_sessions: it is not negative", where)
	}
}

// hsmSlot is the slot in an identifier of the form hsm, two colons, slot, two colons, label.
func hsmSlot(uid string) (uint32, bool) {
	parts := strings.SplitN(uid, "::", 3)
	if len(parts) != 3 || parts[0] != "hsm" {
		return 0, false
	}
	n, err := strconv.ParseUint(parts[1], 10, 32)
	return uint32(n), err == nil
}

func (c *Config) checkSeal(fault func(string, ...any)) {
	switch c.Seal.Strategy {
	case "software":
	case "hsm":
		fault("seal.strategy: \"hsm\" is not available in this version; \"software\", a master key file, is")
	default:
		fault("seal.strategy: %q: \"software\"", c.Seal.Strategy)
	}
	if c.Seal.MasterKeyFile == "" {
		fault("seal.master_key_file: a path, \"-\", env:NAME or credential:NAME; unsealing by the operator is not available in this version")
	}
	if len(c.Seal.Previous) > 0 {
		fault("seal.previous: changing the protector is not available in this version")
	}
	if c.Seal.KeyLabel != "" || c.Seal.DefaultKeyLabel != "" || c.Seal.GenerateKey || c.Seal.Mechanism != "auto" || c.Seal.RSAOAEPHash != "sha256" || c.Seal.Slot != 0 {
		fault("seal: slot, key_label, default_key_label, generate_key, mechanism and rsa_oaep_hash are for the strategy \"hsm\", which is not available in this version")
	}
}

func (c *Config) checkLimits(fault func(string, ...any)) {
	l := &c.Limits
	for name, n := range map[string]int{
		"message_size": l.MessageSize, "message_depth": l.MessageDepth, "message_items": l.MessageItems, "batch_count": l.BatchCount,
		"connections": l.Connections, "connections_per_identity": l.ConnectionsPerIdentity, "requests_in_flight": l.RequestsInFlight,
	} {
		if n <= 0 {
			fault("limits.%s: %d: a number above 0", name, n)
		}
	}
	if l.MessageSize > 64<<20 {
		fault("limits.message_size: %d: at most 64 MiB", l.MessageSize)
	}
	for name, d := range map[string]time.Duration{
		"handshake_timeout": l.HandshakeTimeout, "read_timeout": l.ReadTimeout, "write_timeout": l.WriteTimeout,
		"idle_timeout": l.IdleTimeout, "operation_timeout": l.OperationTimeout,
	} {
		if d <= 0 {
			fault("limits.%s: %v: a time above 0, such as \"30s\"", name, d)
		}
	}
	if l.RequestsPerSecond < 0 {
		fault("limits.requests_per_second: it is not negative")
	}
}

// Check checks the values again, for settings that were changed after Load. Its error lists every fault.
func (c *Config) Check() error {
	if faults := c.check(); len(faults) > 0 {
		return fmt.Errorf("%s:\n  %s", c.file, strings.Join(faults, "\n  "))
	}
	return nil
}

// CheckSafe refuses what a server must not start with: files that are missing, or that others may read. Its error lists
// every fault.
func (c *Config) CheckSafe() error {
	var faults []error
	secret := func(key, path string) {
		if path == "" || path == "-" || strings.HasPrefix(path, "env:") || strings.HasPrefix(path, "credential:") {
			return
		}
		info, err := os.Stat(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		} else if info.Mode().Perm()&0o077 != 0 {
			faults = append(faults, fmt.Errorf("%s: %s has mode %04o: others may read it; chmod 600 it", key, path, info.Mode().Perm()))
		}
	}
	secret("kmip.private_key", c.KMIP.PrivateKey)
	secret("seal.master_key_file", c.Seal.MasterKeyFile)
	for i, h := range c.HSM {
		for j, s := range h.Slots {
			secret(fmt.Sprintf("hsm[%d].slot[%d].pin_file", i, j), s.PINFile)
		}
		if _, err := os.Stat(h.Library); err != nil {
			faults = append(faults, fmt.Errorf("hsm[%d].library: %w", i, err))
		}
	}
	for key, path := range map[string]string{"kmip.certificate": c.KMIP.Certificate, "kmip.client_ca": c.KMIP.ClientCA, "kmip.crl": c.KMIP.CRL} {
		if _, err := os.Stat(path); path != "" && err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
	}
	if info, err := os.Stat(c.DataDir); err == nil && info.Mode().Perm()&0o022 != 0 {
		faults = append(faults, fmt.Errorf("data_dir: %s has mode %04o: others may write to it", c.DataDir, info.Mode().Perm()))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		faults = append(faults, fmt.Errorf("data_dir: %w", err))
	}
	return errors.Join(faults...)
}
