package conf

import (
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// notYet ends the fault of a key that asks for something this version does not have.
const notYet = "is not available in this version"

// mostCalls bounds the sessions and the calls at once: more is a slip, and each is a thread where they wait.
const mostCalls = 1024

// Check checks the values again, for settings that were changed after Load. Its error lists every fault.
func (c *Config) Check() error { return c.report(c.check(), nil) }

// resolve makes the paths absolute.
func (c *Config) resolve() {
	folder := filepath.Dir(c.file)
	under := func(folder string, p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
	under(folder, &c.DataDir)
	for _, p := range []*string{&c.KMIP.Certificate, &c.KMIP.PrivateKey, &c.KMIP.ClientCA, &c.KMIP.CRL, &c.KMIP.Passwords} {
		under(folder, p)
	}
	for i := range c.Keys.Files {
		under(folder, &c.Keys.Files[i])
	}
	if isPath(c.Seal.MasterKeyFile) {
		under(folder, &c.Seal.MasterKeyFile)
	}
	for i := range c.Seal.Previous {
		if isPath(c.Seal.Previous[i].MasterKeyFile) {
			under(folder, &c.Seal.Previous[i].MasterKeyFile)
		}
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

// isPath says whether a source of the master key is a file.
func isPath(source string) bool {
	return source != "" && source != "-" && !strings.HasPrefix(source, "env:") && !strings.HasPrefix(source, "credential:")
}

// checking collects the faults of values: what makes no sense, and what asks for something this version does not have.
type checking struct{ faults []fault }

func (k *checking) fault(path, format string, args ...any) {
	k.faults = append(k.faults, faultf(path, format, args...))
}

func (c *Config) check() []fault {
	k := new(checking)
	k.general(c)
	k.listener(&c.KMIP)
	if c.HTTP.Listen != "" {
		k.address("http.listen", c.HTTP.Listen)
		if c.HTTP.Listen == c.KMIP.Listen {
			k.fault("http.listen", "%q is the address of [kmip]", c.HTTP.Listen)
		}
	}
	k.modules(c)
	k.keys(c)
	k.entropy(c)
	k.seal(c)
	k.limits(&c.Limits)
	k.certify(&c.Certify)
	return k.faults
}

func (k *checking) general(c *Config) {
	if c.DataDir == "" {
		k.fault("data_dir", "a folder is needed")
	}
	for _, list := range []struct {
		key        string
		identities []string
	}{{"hsm_admin", c.HSMAdmin}, {"admin", c.Admin}, {"create", c.Create}, {"http.monitors", c.HTTP.Monitors}, {"entropy.users", c.Entropy.Users}} {
		for i, identity := range list.identities {
			if fault := badIdentity(identity); fault != "" {
				k.fault(fmt.Sprintf("%s[%d]", list.key, i), "%q is no identity: %s", identity, fault)
			}
		}
	}
	const year = 366 * 24 * 60
	if !(c.UnwrappedCacheMaxAge > 0 && c.UnwrappedCacheMaxAge <= year) {
		k.fault("unwrapped_cache_max_age", "%v: a number of minutes above 0, up to %d", c.UnwrappedCacheMaxAge, year)
	}
	if !(c.UnwrappedCacheMaxLife >= 0 && c.UnwrappedCacheMaxLife <= year) {
		k.fault("unwrapped_cache_max_life", "%v: a number of minutes up to %d, or 0", c.UnwrappedCacheMaxLife, year)
	}
	if c.UnwrappedCacheSize < 0 {
		k.fault("unwrapped_cache_size", "%d: a number from 0", c.UnwrappedCacheSize)
	}
	if path, ok := strings.CutPrefix(c.Store.URL, "sqlite:"); strings.HasPrefix(c.Store.URL, "postgres") {
		k.fault("store.url", "PostgreSQL %s; the url is sqlite:PATH", notYet) // unquoted: it may hold a password
	} else if !ok || path == "" || path == c.DataDir {
		k.fault("store.url", "the url is sqlite:PATH")
	}
	if c.Audit.File == c.DataDir || c.Audit.File == "" {
		k.fault("audit.file", "the audit log needs a file")
	}
}

// badIdentity says why no certificate can name an identity, "" where one can, or where it is everyone.
func badIdentity(identity string) string {
	switch {
	case identity == "":
		return "it is empty"
	case len(identity) > 256:
		return "it is longer than 256 bytes"
	case !utf8.ValidString(identity):
		return "it is not UTF-8"
	case strings.ContainsFunc(identity, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) }):
		return "it contains a control character"
	}
	return ""
}

func (k *checking) address(key, address string) {
	if _, port, err := net.SplitHostPort(address); err != nil {
		k.fault(key, "%q: an address is host:port", address)
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		k.fault(key, "%q: the port is a number to 65535", address)
	}
}

func (k *checking) listener(l *KMIP) {
	k.address("kmip.listen", l.Listen)
	if !slices.Contains([]string{"cn", "email", "uri", "dns"}, l.Identity) {
		k.fault("kmip.identity", "%q: the field of a certificate is cn, email, uri or dns", l.Identity)
	}
	if l.TLSMin != "1.2" && l.TLSMin != "1.3" {
		k.fault("kmip.tls_min", "%q: \"1.2\" or \"1.3\"", l.TLSMin)
	}
	if l.TLSInsecureSuites && l.TLSMin == "1.3" {
		k.fault("kmip.tls_insecure_suites", "those suites are of TLS 1.2, which tls_min excludes")
	}
	for _, file := range []struct{ key, path string }{
		{"kmip.certificate", l.Certificate}, {"kmip.private_key", l.PrivateKey}, {"kmip.client_ca", l.ClientCA},
	} {
		if file.path == "" {
			k.fault(file.key, "a file is needed")
		}
	}
}

func (k *checking) modules(c *Config) {
	numbers := make(map[uint32]string)
	libraries := make(map[string]string)
	for i := range c.HSM {
		h, path := &c.HSM[i], fmt.Sprintf("hsm[%d]", i)
		k.module(path, h)
		if other := libraries[h.Library]; other != "" {
			k.fault(path+".library", "%s is in %s already; its tokens are slots of one [[hsm]]", h.Library, other)
		} else {
			libraries[h.Library] = path
		}
		tokens := make(map[string]string)
		for j := range h.Slots {
			s, path := &h.Slots[j], fmt.Sprintf("%s.slot[%d]", path, j)
			k.slot(path, s)
			if token := s.selectors(); tokens[token] != "" && token != "" {
				k.fault(path+".number", "it means the token of %s: a token has one number, for each of its keys has one identifier", tokens[token])
			} else {
				tokens[token] = path
			}
			if other := numbers[s.Number]; other != "" {
				k.fault(path+".number", "%d is taken by %s", s.Number, other)
			} else {
				numbers[s.Number] = path
			}
		}
	}
	slot, token, ok := hsmSlot(c.KeyEncryptionKey)
	if token && !ok {
		k.fault("key_encryption_key", "%q: a key in a token is named by its slot's number and its label, as the example shows", c.KeyEncryptionKey)
	} else if token && numbers[slot] == "" && len(c.HSM) != 1 { // of one module, the number may be the slot ID
		k.fault("key_encryption_key", "%q: slot %d is not configured", c.KeyEncryptionKey, slot)
	}
}

// selectors are what the configuration says of the slot's token, "" for nothing.
func (s *Slot) selectors() (text string) {
	if s.TokenLabel != "" || s.TokenSerial != "" {
		text = fmt.Sprintf("label %q, serial %q", s.TokenLabel, s.TokenSerial)
	}
	if s.SlotID != nil {
		text += fmt.Sprintf(" slot ID %d", *s.SlotID)
	}
	if s.SlotIndex != nil {
		text += fmt.Sprintf(" index %d", *s.SlotIndex)
	}
	return text
}

// hsmSlot is the slot in an identifier that names a key in a token.
func hsmSlot(uid string) (slot uint32, token, ok bool) {
	parts := strings.SplitN(uid, "::", 3)
	if parts[0] != "hsm" || len(parts) == 1 {
		return 0, false, false
	}
	n, err := strconv.ParseUint(parts[1], 10, 32)
	return uint32(n), true, err == nil && len(parts) == 3 && parts[2] != "" && strconv.FormatUint(n, 10) == parts[1]
}

func (k *checking) module(path string, h *HSM) {
	if !filepath.IsAbs(h.Library) {
		k.fault(path+".library", "%q: the path of a PKCS#11 module is absolute", h.Library)
	}
	for name := range h.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			k.fault(path+".env", "%q is no name of a variable", name)
		}
	}
	switch h.Isolation {
	case "", "auto", "none", "process":
	default:
		k.fault(path+".isolation", "%q: auto, none or process", h.Isolation)
	}
	if h.CallLimit < 0 {
		k.fault(path+".call_limit", "%v: a time from 0", h.CallLimit)
	}
	if h.CallsAtOnce < 0 || h.CallsAtOnce > mostCalls {
		k.fault(path+".calls_at_once", "%d: a number from 0 to %d", h.CallsAtOnce, mostCalls)
	}
	if len(h.Slots) == 0 {
		k.fault(path, "it has no [[hsm.slot]]")
	}
}

func (k *checking) slot(path string, s *Slot) {
	if len(s.TokenLabel) > 32 {
		k.fault(path+".token_label", "the label of a token has at most 32 bytes")
	}
	if len(s.TokenSerial) > 16 {
		k.fault(path+".token_serial", "the serial number of a token has at most 16 bytes")
	}
	if s.SlotIndex != nil && *s.SlotIndex < 0 {
		k.fault(path+".slot_index", "%d: a number from 0", *s.SlotIndex)
	}
	sources := 0
	for _, source := range []string{s.PINFile, s.PINEnv, s.PINCredential} {
		if source != "" {
			sources++
		}
	}
	if sources != 1 {
		k.fault(path, "one of pin_file, pin_env and pin_credential has the PIN; %d are given", sources)
	}
	if strings.ContainsRune(s.PINCredential, filepath.Separator) {
		k.fault(path+".pin_credential", "%q: the name of a file in $CREDENTIALS_DIRECTORY", s.PINCredential)
	}
	for i, identity := range s.Admins {
		if fault := badIdentity(identity); fault != "" {
			k.fault(fmt.Sprintf("%s.admins[%d]", path, i), "%q is no identity: %s", identity, fault)
		}
	}
	if s.MaxSessions < 0 || s.MaxSessions > mostCalls {
		k.fault(path+".max_sessions", "%d: a number from 0 to %d", s.MaxSessions, mostCalls)
	}
	if s.WrappedHandles < 0 || s.WrappedHandles > 1<<16 {
		k.fault(path+".wrapped_handles", "%d: a number from 0 to %d", s.WrappedHandles, 1<<16)
	}
	if s.WrappedHandleAge < 0 || s.WrappedHandleAge > 24*time.Hour {
		k.fault(path+".wrapped_handle_age", "%v: a time up to a day, or 0", s.WrappedHandleAge)
	}
}

// extendedKeyUsages are the names of RFC 5280 §4.2.1.12.
var extendedKeyUsages = []string{"serverAuth", "clientAuth", "codeSigning", "emailProtection", "timeStamping", "OCSPSigning"}

func (k *checking) certify(c *Certify) {
	if c.IssuerKey != "" && c.Issuer == "" {
		k.fault("certify.issuer_key", "it is the key of certify.issuer, which is empty")
	}
	if _, token, ok := hsmSlot(c.IssuerKey); token && !ok {
		k.fault("certify.issuer_key", "%q: a key in a token is named by its slot's number and its label, as the example shows", c.IssuerKey)
	}
	if _, token, _ := hsmSlot(c.Issuer); token {
		k.fault("certify.issuer", "%q: a certificate is in the database; it is its key that can be in a token", c.Issuer)
	}
	if c.Validity < time.Second {
		k.fault("certify.validity", "%v: a duration of a second and more, such as \"8760h\"", c.Validity)
	}
	if c.MaxValidity < 0 {
		k.fault("certify.max_validity", "%v: a duration, or \"0s\" for as long as the issuer is valid", c.MaxValidity)
	}
	if c.MaxValidity > 0 && c.Validity > c.MaxValidity {
		k.fault("certify.validity", "%v is longer than certify.max_validity, %v", c.Validity, c.MaxValidity)
	}
	if len(c.Usages) == 0 {
		k.fault("certify.usages", "what certificates may be for is needed: %s", strings.Join(extendedKeyUsages, ", "))
	}
	for i, usage := range c.Usages {
		if !slices.Contains(extendedKeyUsages, usage) {
			k.fault(fmt.Sprintf("certify.usages[%d]", i), "%q: a certificate may be for %s", usage, strings.Join(extendedKeyUsages, ", "))
		}
	}
}

func (k *checking) limits(l *Limits) {
	for _, n := range []struct {
		key   string
		value int
		most  int
	}{
		{"message_size", l.MessageSize, 64 << 20}, {"message_depth", l.MessageDepth, 1000}, {"message_items", l.MessageItems, 64 << 20},
		{"batch_count", l.BatchCount, 1 << 20}, {"connections", l.Connections, 1 << 20},
		{"connections_per_identity", l.ConnectionsPerIdentity, 1 << 20}, {"requests_in_flight", l.RequestsInFlight, 1 << 20},
		{"asynchronous_operations", l.AsynchronousOperations, 1 << 20}, {"asynchronous_per_identity", l.AsynchronousPerIdentity, 1 << 20},
		{"asynchronous_bytes", l.AsynchronousBytes, 1 << 30}, {"asynchronous_bytes_per_identity", l.AsynchronousBytesPerIdentity, 1 << 30},
	} {
		if n.value <= 0 || n.value > n.most {
			k.fault("limits."+n.key, "%d: a number from 1 to %d", n.value, n.most)
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"handshake_timeout", l.HandshakeTimeout}, {"read_timeout", l.ReadTimeout}, {"write_timeout", l.WriteTimeout},
		{"idle_timeout", l.IdleTimeout}, {"operation_timeout", l.OperationTimeout},
		{"asynchronous_keep", l.AsynchronousKeep},
	} {
		if d.value <= 0 {
			k.fault("limits."+d.key, "%v: a duration above 0, such as \"30s\"", d.value)
		}
	}
	if !(l.RequestsPerSecond >= 0) || math.IsInf(l.RequestsPerSecond, 0) {
		k.fault("limits.requests_per_second", "%v: a number from 0", l.RequestsPerSecond)
	}
}
