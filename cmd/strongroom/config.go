package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// configVariable names the environment variable that stands in for --config.
const configVariable = "STRONGROOM_CONFIG"

// settings say which server is spoken to, and as who.
type settings struct {
	Server      string `toml:"server"`
	CA          string `toml:"ca"`
	Certificate string `toml:"certificate"`
	PrivateKey  string `toml:"private_key"`
	ServerName  string `toml:"server_name"`
	KMIPVersion string `toml:"kmip_version"`

	Username     string `toml:"username"`
	PasswordFile string `toml:"password_file"`
}

// A setting is one of the settings, and where else it may be given.
type setting struct {
	key    string // in the file; the flag and the variable are made of it
	help   string
	path   bool // relative to the folder of the file, when it is in the file
	needed bool
	of     func(*settings) *string
}

var settingsTable = []setting{
	{"server", "the server's `ADDRESS`, host or host:port, or https://host:port", false, true, func(s *settings) *string { return &s.Server }},
	{"ca", "`FILE` of certificates (PEM) of who issues the server's; else those that the system trusts", true, false, func(s *settings) *string { return &s.CA }},
	{"certificate", "`FILE` of your certificate (PEM), by which the server knows you", true, true, func(s *settings) *string { return &s.Certificate }},
	{"private_key", "`FILE` of its private key (PEM)", true, true, func(s *settings) *string { return &s.PrivateKey }},
	{"server_name", "`NAME` in the server's certificate, where it is not the host of its address", false, false, func(s *settings) *string { return &s.ServerName }},
	{"kmip_version", "protocol `VERSION` to speak (default 2.1)", false, false, func(s *settings) *string { return &s.KMIPVersion }},
	{"username", "user `NAME` to say beside showing the certificate, where the server asks for one", false, false, func(s *settings) *string { return &s.Username }},
	{"password_file", "`FILE` whose first line is its password", true, false, func(s *settings) *string { return &s.PasswordFile }},
}

func (s *setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

func (s *setting) variable() string { return "STRONGROOM_" + strings.ToUpper(s.key) }

// load puts the settings together: a flag outdoes a variable, which outdoes the file.
func (p *program) load() (*settings, error) {
	all := new(settings)
	file := p.configFile
	if file == "" {
		file, _ = p.lookup(configVariable)
	}
	if file != "" {
		if err := all.read(file); err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
	}
	var missing []string
	for _, s := range settingsTable {
		value := s.of(all)
		if v, ok := p.lookup(s.variable()); ok && v != "" {
			*value = v
		}
		if v := *s.of(&p.settings); v != "" {
			*value = v
		}
		if s.needed && *value == "" {
			missing = append(missing, "--"+s.flag())
		}
	}
	switch {
	case len(missing) > 0 && file == "":
		return nil, misused("no server is configured: name a configuration with --config FILE or %s, or give %s", configVariable, strings.Join(missing, ", "))
	case len(missing) > 0:
		return nil, misused("%s leaves open: %s", file, strings.Join(missing, ", "))
	}
	return all, nil
}

// read reads a configuration file. A key that it does not know is an error.
func (s *settings) read(file string) error {
	meta, err := toml.DecodeFile(file, s)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		var known []string
		for _, x := range settingsTable {
			known = append(known, x.key)
		}
		return fmt.Errorf("%s: unknown key %q; those known are %s", file, unknown[0], strings.Join(known, ", "))
	}
	for _, x := range settingsTable {
		if v := x.of(s); x.path && *v != "" && !filepath.IsAbs(*v) {
			*v = filepath.Join(filepath.Dir(file), *v)
		}
	}
	return nil
}

// connected is the client, connected when it is first needed.
func (p *program) connected(ctx context.Context) (*client.Client, error) {
	if p.client != nil {
		return p.client, nil
	}
	s, err := p.load()
	if err != nil {
		return nil, err
	}
	config, err := s.client()
	if err != nil {
		return nil, err
	}
	p.client, err = client.Dial(ctx, config)
	return p.client, err
}

// client is the configuration of a connection.
func (s *settings) client() (client.Config, error) {
	own, err := tls.LoadX509KeyPair(s.Certificate, s.PrivateKey)
	if err != nil {
		return client.Config{}, fmt.Errorf("loading your certificate: %w", err)
	}
	config := client.Config{
		Address: s.Server,
		TLS:     &tls.Config{Certificates: []tls.Certificate{own}, ServerName: s.ServerName},
	}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return client.Config{}, fmt.Errorf("loading the server's authority: %w", err)
		}
		config.TLS.RootCAs = x509.NewCertPool()
		if !config.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return client.Config{}, fmt.Errorf("loading the server's authority: %s has no certificate", s.CA)
		}
	}
	if config.Credentials, err = s.credentials(); err != nil {
		return client.Config{}, err
	}
	if s.KMIPVersion != "" {
		if config.Version, err = versionNamed(s.KMIPVersion); err != nil {
			return client.Config{}, err
		}
	}
	return config, nil
}

// credentials say the user name and password, where there are any.
func (s *settings) credentials() ([]kmip.Credential, error) {
	if s.Username == "" && s.PasswordFile == "" {
		return nil, nil
	}
	if s.Username == "" || s.PasswordFile == "" {
		return nil, misused("--username and --password-file go together")
	}
	text, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("reading your password: %w", err)
	}
	defer clear(text)
	line, _, _ := bytes.Cut(text, []byte("\n"))
	c := kmip.UsernameAndPassword{Username: s.Username, Password: string(bytes.TrimSuffix(line, []byte("\r")))}
	value, err := ttlv.Append(nil, ttlv.V1_0, ttlv.TagCredentialValue, &c)
	if err != nil {
		return nil, err
	}
	return []kmip.Credential{{CredentialType: kmip.CredentialTypeUsernameAndPassword, CredentialValue: value}}, nil
}

// versionNamed is the protocol version of a name such as 1.4.
func versionNamed(name string) (ttlv.Version, error) {
	for _, v := range kmip.Versions {
		if v.String() == name {
			return v, nil
		}
	}
	return 0, misused("the protocol version %q is not spoken here; those that are: %v", name, kmip.Versions)
}

// do performs one operation on the server, within the time that a request has.
func do[Resp, Req any](ctx context.Context, p *program, op kmip.Operation, request *Req) (*Resp, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no answer within %v", p.timeout))
	defer cancel()
	c, err := p.connected(ctx)
	if err != nil {
		return nil, err
	}
	return client.Do[Resp](ctx, c, op, request)
}
