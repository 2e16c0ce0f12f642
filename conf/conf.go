// Package conf reads the server's configuration: one TOML file into one struct. Unknown keys are faults that name the
// nearest known key, and all faults are reported at once.
package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Config is the whole file. Paths are absolute after Load; relative ones begin at the file's folder.
type Config struct {
	// DataDir is the folder of the database, the audit log and the admin socket.
	DataDir string `toml:"data_dir"`
	// HSMAdmin lists the identities that own the HSM keys and may make them; "*" is everyone. Nobody by default.
	HSMAdmin []string `toml:"hsm_admin"`
	// Admin lists the identities that may set what holds for all objects: constraints and defaults. Nobody by default.
	Admin []string `toml:"admin"`
	// Create lists the identities that may make database keys; "*" is everyone, and the default.
	Create []string `toml:"create"`
	// KeyEncryptionKey is the identifier of the key that wraps every new database key; "" leaves it to the root key.
	KeyEncryptionKey string `toml:"key_encryption_key"`
	// HSMWrappingKey is the identifier of the key in a token that wraps keys which are made there and kept in the database; "" is
	// none. {identity} in it stands for who makes the key.
	HSMWrappingKey string `toml:"hsm_wrapping_key"`
	// UnwrappedCacheMaxAge is for how many minutes without use an unwrapped key stays in memory.
	UnwrappedCacheMaxAge float64 `toml:"unwrapped_cache_max_age"`
	// UnwrappedCacheMaxLife is for how many minutes it stays at most, used or not; 0 is no such bound.
	UnwrappedCacheMaxLife float64 `toml:"unwrapped_cache_max_life"`
	// UnwrappedCacheSize is how many unwrapped keys are kept at most; 0 is the cache's default.
	UnwrappedCacheSize int `toml:"unwrapped_cache_size"`

	KMIP    KMIP    `toml:"kmip"`
	HTTP    HTTP    `toml:"http"`
	Store   Store   `toml:"store"`
	HSM     []HSM   `toml:"hsm"`
	Seal    Seal    `toml:"seal"`
	Keys    Keys    `toml:"keys"`
	Entropy Entropy `toml:"entropy"`
	Limits  Limits  `toml:"limits"`
	Audit   Audit   `toml:"audit"`
	Certify Certify `toml:"certify"`

	file   string
	places map[string]string // where each key was set: "line 7", or a variable of the environment
}

// File is the absolute path that the configuration was read from.
func (c *Config) File() string { return c.file }

// Database is the path of the SQLite file that Store.URL names.
func (c *Config) Database() string { return strings.TrimPrefix(c.Store.URL, "sqlite:") }

// KMIP is the listener for binary TTLV over mutual TLS.
type KMIP struct {
	// Listen is host:port.
	Listen string `toml:"listen"`
	// Certificate and PrivateKey are the server's, PEM.
	Certificate string `toml:"certificate"`
	PrivateKey  string `toml:"private_key"`
	// ClientCA has the certificates, PEM, that sign those of clients.
	ClientCA string `toml:"client_ca"`
	// CRL has certificate revocation lists, several in PEM or one in DER; "" is none. It is read again on SIGHUP.
	CRL string `toml:"crl"`
	// Identity is the field of a client's certificate that names it: cn, email, uri or dns.
	Identity string `toml:"identity"`
	// Passwords is a file of the clients that must say a password beside showing a certificate (strongroomd client password
	// writes it); "" is none. It is read again on SIGHUP.
	Passwords string `toml:"passwords"`
	// TLSMin is the oldest TLS version spoken: "1.2" or "1.3".
	TLSMin string `toml:"tls_min"`
	// TLSInsecureSuites admits, under TLS 1.2, the cipher suites of old appliances too: RSA key exchange, and CBC.
	TLSInsecureSuites bool `toml:"tls_insecure_suites"`
}

// HTTP is the listener for KMIP over HTTPS: POST /kmip in binary, JSON or XML, with the certificates of [kmip]; and for monitors:
// /healthz, /readyz and /metrics.
type HTTP struct {
	// Listen is host:port; "" is off.
	Listen string `toml:"listen"`
	// Monitors lists the identities that may ask how the server is; "*" is everyone with an accepted certificate. It is read again on
	// SIGHUP.
	Monitors []string `toml:"monitors"`
}

// Store is the database.
type Store struct {
	// URL is sqlite:PATH; a relative path begins at DataDir.
	URL string `toml:"url"`
}

// HSM is one PKCS#11 module.
type HSM struct {
	// Library is the module's absolute path.
	Library string `toml:"library"`
	// Env is set before the library is loaded.
	Env map[string]string `toml:"env"`
	// Parameters go to C_Initialize, in the reserved member of its arguments: NSS wants them.
	Parameters string `toml:"parameters"`
	// Isolation is where the module runs: none, in this process; process, in a worker process; auto, process for all but SoftHSM.
	Isolation string `toml:"isolation"`
	// CallLimit is how long a call may take in a worker process; 0 is the default.
	CallLimit time.Duration `toml:"call_limit"`
	// CallsAtOnce is how many operations run in the module at once, of symmetric and of private keys each; 0: as it shows what it needs.
	CallsAtOnce int `toml:"calls_at_once"`
	// Slots are those of its tokens that have a number here.
	Slots []Slot `toml:"slot"`
}

// Slot ties a number, as in hsm::NUMBER::label, to a token. All selectors given must match exactly one token; without any,
// the number is the slot ID.
type Slot struct {
	Number      uint32 `toml:"number"`
	TokenLabel  string `toml:"token_label"`  // at most 32 bytes (PKCS#11 2.40 §3.2, CK_TOKEN_INFO)
	TokenSerial string `toml:"token_serial"` // at most 16
	SlotID      *uint  `toml:"slot_id"`
	SlotIndex   *int   `toml:"slot_index"` // in the module's list of slots with a token, from 0
	// One of these has the PIN: a file of mode 0600, an environment variable, a credential in $CREDENTIALS_DIRECTORY.
	PINFile       string `toml:"pin_file"`
	PINEnv        string `toml:"pin_env"`
	PINCredential string `toml:"pin_credential"`
	// MaxSessions bounds the sessions used at once; 0 is the default.
	MaxSessions int `toml:"max_sessions"`
	// Admins lists the identities that own the keys of this token, in place of hsm_admin; none leaves them to hsm_admin.
	Admins []string `toml:"admins"`
	// WrappedHandles is how many keys that this token wrapped stay unwrapped in it between two uses, for WrappedHandleAge; 0 is none,
	// and 0 for the age the default.
	WrappedHandles   int           `toml:"wrapped_handles"`
	WrappedHandleAge time.Duration `toml:"wrapped_handle_age"`
}

// Seal is what opens the root key. Once there is one, its slots in the database say what protects it; this says what may be used
// to open them, and what init and a rotation at start are to use.
type Seal struct {
	// Strategy is software, a master key file, or hsm, a key in a token.
	Strategy string `toml:"strategy"`
	// MasterKeyFile is for the strategy software: a path, "-", env:NAME or credential:NAME; "" leaves unsealing to the operator.
	MasterKeyFile string `toml:"master_key_file"`

	// For the strategy hsm: the key in the token of a slot.
	Slot     uint32 `toml:"slot"`
	KeyLabel string `toml:"key_label"`
	// KeyID is the key's CKA_ID in hexadecimal, where the label alone does not tell it from another.
	KeyID string `toml:"key_id"`
	// DefaultKeyLabel is the label before: where that key is the active slot's, the server goes over to KeyLabel when it starts.
	DefaultKeyLabel string `toml:"default_key_label"`
	// Mechanism is auto, or the name or number of CKM_AES_GCM, CKM_RSA_PKCS_OAEP or CKM_AES_CBC_PAD.
	Mechanism Mechanism `toml:"mechanism"`
	// RSAOAEPHash is sha256 or sha1.
	RSAOAEPHash string `toml:"rsa_oaep_hash"`
	// GenerateKey makes the key when there is no root key yet, and never else.
	GenerateKey bool `toml:"generate_key"`

	// HealthInterval is the time between proofs that the active slot still opens, and that every token lives; 0 is none.
	HealthInterval time.Duration `toml:"health_interval"`

	// Previous are protectors of before, which may open slots; where one is the active slot's, the server goes over to the one
	// above when it starts.
	Previous []Previous `toml:"previous"`
}

// A Mechanism is the name of one, or its number.
type Mechanism string

// Previous is a protector that the root key was under before.
type Previous struct {
	Strategy      string `toml:"strategy"`
	MasterKeyFile string `toml:"master_key_file"`
	Slot          uint32 `toml:"slot"`
	KeyLabel      string `toml:"key_label"`
	KeyID         string `toml:"key_id"`
}

// Keys are the server's own private keys.
type Keys struct {
	// Files are what strongroomd keys encrypt leaves of only as FILE.enc, under the root key.
	Files []string `toml:"files"`
}

// Entropy is where random bytes come from beside the operating system.
type Entropy struct {
	// Mode is off, or augmentation: what is made comes of random bytes of the operating system and of a token together.
	Mode string `toml:"mode"`
	// Slot is the number of the token's slot.
	Slot uint32 `toml:"slot"`
	// Scope is all: every key; or opt-in: those whose request asks for it (Strongroom-Entropy), and those of Users.
	Scope string `toml:"scope"`
	// Users are the identities for whom everything is made so, in the scope opt-in.
	Users []string `toml:"users"`
	// Seed is how many bytes of a client's RNG Seed are mixed into the operating system's generator; 0 is none of them, -1
	// refuses the operation.
	Seed int `toml:"seed"`
}

// Limits bound what a client can make the server do. Times are text such as "30s".
type Limits struct {
	MessageSize            int           `toml:"message_size"`  // bytes
	MessageDepth           int           `toml:"message_depth"` // nested structures
	MessageItems           int           `toml:"message_items"` // fields in one message
	BatchCount             int           `toml:"batch_count"`
	Connections            int           `toml:"connections"`
	ConnectionsPerIdentity int           `toml:"connections_per_identity"`
	RequestsInFlight       int           `toml:"requests_in_flight"`
	RequestsPerSecond      float64       `toml:"requests_per_second"` // of one identity; 0 is no limit
	HandshakeTimeout       time.Duration `toml:"handshake_timeout"`
	ReadTimeout            time.Duration `toml:"read_timeout"`
	WriteTimeout           time.Duration `toml:"write_timeout"`
	IdleTimeout            time.Duration `toml:"idle_timeout"`
	OperationTimeout       time.Duration `toml:"operation_timeout"`

	// Asynchronous operations, those that wait and those that were performed, until their client has polled for them. Bytes
	// are of messages that wait and of answers; Keep is for how long an answer waits.
	AsynchronousOperations       int           `toml:"asynchronous_operations"`
	AsynchronousPerIdentity      int           `toml:"asynchronous_per_identity"`
	AsynchronousBytes            int           `toml:"asynchronous_bytes"`
	AsynchronousBytesPerIdentity int           `toml:"asynchronous_bytes_per_identity"`
	AsynchronousKeep             time.Duration `toml:"asynchronous_keep"`
}

// Certify is how certificates are issued. Who may issue with an authority holds the right to Certify with its private key.
type Certify struct {
	// Issuer is the identifier of the certificate that signs where a request names none; "" is none.
	Issuer string `toml:"issuer"`
	// IssuerKey is that of its private key; "" is the one that the certificate's Private Key Link names.
	IssuerKey string `toml:"issuer_key"`
	// Validity is of a certificate whose request has no Deactivation Date; text such as "8760h".
	Validity time.Duration `toml:"validity"`
	// MaxValidity is the longest that a request may ask for; 0 is as long as the issuer is valid.
	MaxValidity time.Duration `toml:"max_validity"`
	// Authorities lets certificates be issued for authorities, which sign others.
	Authorities bool `toml:"authorities"`
	// Usages are what a certificate may be for; one whose request does not say is for all of them. Names of RFC 5280 §4.2.1.12.
	Usages []string `toml:"usages"`
}

// Audit is the audit log.
type Audit struct {
	// File is a path; a relative one begins at DataDir.
	File string `toml:"file"`
}

// Default is the configuration of an empty file.
func Default() *Config {
	return &Config{
		DataDir: "data", Create: []string{"*"}, UnwrappedCacheMaxAge: 15,
		KMIP:    KMIP{Listen: "127.0.0.1:5696", Certificate: "tls/server.crt", PrivateKey: "tls/server.key", ClientCA: "tls/ca.crt", Identity: "cn", TLSMin: "1.2"},
		HTTP:    HTTP{Monitors: []string{"*"}},
		Store:   Store{URL: "sqlite:strongroom.db"},
		Seal:    Seal{Strategy: "software", MasterKeyFile: "master.key", Mechanism: "auto", RSAOAEPHash: "sha256", HealthInterval: time.Minute},
		Entropy: Entropy{Mode: "off", Scope: "all"},
		Limits: Limits{
			MessageSize: 2 << 20, MessageDepth: 32, MessageItems: 65536, BatchCount: 1000,
			Connections: 4096, ConnectionsPerIdentity: 1024, RequestsInFlight: 1024,
			HandshakeTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
			IdleTimeout: 10 * time.Minute, OperationTimeout: time.Minute,
			AsynchronousOperations: 8192, AsynchronousPerIdentity: 1024,
			AsynchronousBytes: 64 << 20, AsynchronousBytesPerIdentity: 8 << 20, AsynchronousKeep: 10 * time.Minute,
		},
		Audit:   Audit{File: "audit.jsonl"},
		Certify: Certify{Validity: 365 * 24 * time.Hour, Usages: []string{"serverAuth", "clientAuth"}},
	}
}

// Load reads the file at path and the environment (NAME=value, as os.Environ). The error lists every fault.
func Load(path string, environ []string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, text, environ)
}

// Parse is Load with the text that the file at path has, or is to have.
func Parse(path string, text []byte, environ []string) (*Config, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("%s: %s", path, parse.ErrorWithPosition())
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c := Default()
	c.file, c.places = absolute, lines(string(text))
	r := reading{places: c.places}
	r.table("", tree, reflect.ValueOf(c).Elem())
	r.environment(environ, c)
	c.resolve()
	if err := c.report(append(r.faults, c.check()...), c.places); err != nil {
		return nil, err
	}
	return c, nil
}
