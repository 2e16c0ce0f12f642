package tests

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestConfigCheckReportsAll: every fault is told, in one go, by its name.
func TestConfigCheckReportsAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(s.strongroomd("config", "check", "--config", s.path("strongroom.toml")))
	bad := s.write("bad.toml", []byte(`
hsm_admn = ["ops"]
key_encryption_key = "hsm::9::kek"
unwrapped_cache_max_age = 0

[kmip]
listen   = "nowhere"
identity = "serial"
tls_min  = "1.0"
certifcate = "x"

[http]
listen = "everywhere"

[store]
url = "postgres://db"

[seal]
strategy = "hsm"

[entropy]
mode = "lava"

[limits]
message_size = 0
read_timeout = "-1s"

[[hsm]]
library = "libsofthsm2.so"
isolation = "thread"

  [[hsm.slot]]
  number = 4
  pin_file = "a"
  pin_env  = "B"

  [[hsm.slot]]
  number = 4
`))
	said := s.refused(s.strongroomd("config", "check", "--config", bad))
	for _, fault := range []string{
		"hsm_admn", "hsm_admin", "unwrapped_cache_max_age", "kmip.listen", "kmip.identity", "kmip.tls_min", "certifcate", "http.listen",
		"store.url", "seal.key_label", "entropy.mode", "limits.message_size", "limits.read_timeout", "library", "isolation", "slot[0]", "slot[1]",
	} {
		require.Contains(t, said, fault)
	}
	require.NotZero(t, s.strongroomd("serve", "--config", bad).code)

	// The environment is checked as the file is.
	r := s.exec([]string{"STRONGROOM_KMIP_LISTEN=nowhere", "STRONGROOM_KMIP_TLS_MIN=1.1"}, bin+"/strongroomd", "config", "check", "--config", s.path("strongroom.toml"))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "kmip.listen")
	require.Contains(t, r.stderr, "kmip.tls_min")
	shown := s.must(s.strongroomd("config", "show", "--config", s.path("strongroom.toml")))
	require.Contains(t, shown, s.address)
	for _, line := range []string{`isolation = "auto"`, `call_limit = "30s"`, "max_sessions = 64", `wrapped_handle_age = "30s"`, "unwrapped_cache_size = 16384"} {
		require.Contains(t, shown, "\n"+line+"\n", "what nobody set is shown as it is in force")
	}
	s.write("shown.toml", []byte(shown))
	s.must(s.strongroomd("config", "check", "--config", s.path("shown.toml")))
	require.NotContains(t, shown, strings.TrimSpace(string(s.read("hsm-4.pin"))))
}

// TestX18ServeRefusesUnsafeFiles: what only the server may read must be so before it starts.
func TestX18ServeRefusesUnsafeFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"master.key", "hsm-4.pin", "tls/server.key.enc"} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o644} {
			require.NoError(t, os.Chmod(s.path(name), mode))
			said := s.refused(s.strongroomd("serve", "--config", s.path("strongroom.toml")))
			require.Contains(t, said, name)
			require.Contains(t, said, "chmod 600")
		}
		require.NoError(t, os.Chmod(s.path(name), 0o600))
	}
	require.NoError(t, os.Chmod(s.path("data"), 0o777))
	require.Contains(t, s.refused(s.strongroomd("serve", "--config", s.path("strongroom.toml"))), "data_dir")
	require.NoError(t, os.Chmod(s.path("data"), 0o700))
	require.NoError(t, os.Rename(s.path("master.key"), s.path("another.key")))
	require.Contains(t, s.refused(s.strongroomd("serve", "--config", s.path("strongroom.toml"))), "master.key")
	s.write("master.key", []byte(strings.Repeat("00", 32)))
	require.Contains(t, s.refused(s.strongroomd("serve", "--config", s.path("strongroom.toml"))), "unseal", "another master key opens the root key")
	require.NoError(t, os.Rename(s.path("another.key"), s.path("master.key")))
	s.serve()
	works(t, s.client("admin", ttlv.V2_1), create(t, s.client("admin", ttlv.V2_1), aes("safe")))
}

// TestServeSwitches: --listen and --hsm-admin stand over the file; --key-encryption-key wraps what is made from then on, and
// what was made before stays usable.
func TestServeSwitches(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("ops")
	written := s.address
	s.address = freeAddress(t)
	s.serve("--listen", s.address, "--hsm-admin", "ops")
	_, err := net.DialTimeout("tcp", written, time.Second)
	require.Error(t, err, "the server listens where the file says")
	admin, ops := s.client("admin", ttlv.V2_1), s.client("ops", ttlv.V2_1)
	e := refusal(t, perform(t, admin, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("hsm::4::kek")}))
	require.Equal(t, kmip.ResultReasonPermissionDenied, e.Reason)
	create(t, ops, aes("hsm::4::kek"))
	create(t, admin, aes("before"))
	require.True(t, do[kmip.WhoAmIResponse](t, ops, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{}).HSMAdmin)
	require.Equal(t, "admin", do[kmip.WhoAmIResponse](t, admin, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{}).Identity)

	s.stop()
	s.serve("--listen", s.address, "--hsm-admin", "ops", "--key-encryption-key", "hsm::4::kek")
	admin = s.client("admin", ttlv.V2_1)
	create(t, admin, aes("behind"))
	for uid, protection := range map[string]string{"before": kmip.ProtectionSoftware, "behind": kmip.ProtectionHSMProtected} {
		works(t, admin, uid)
		r := do[kmip.GetAttributesResponse](t, admin, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid),
			AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagAttribute, Vendor: kmip.VendorServer, Name: kmip.AttributeProtection}}})
		have, _ := r.Attributes.Vendor(kmip.VendorServer, kmip.AttributeProtection)
		require.Equal(t, protection, have, uid)
	}
	(&stranger{t, admin}).seesNothing(kmip.OperationEncrypt, "hsm::4::kek", "hsm::4::~~~")
}

// hangup has the server read its configuration again, and waits until it says that it did, or that it did not.
func (s *site) hangup(says string) {
	s.t.Helper()
	before := strings.Count(s.log.String(), says)
	require.NoError(s.t, s.server.Process.Signal(syscall.SIGHUP))
	require.Eventually(s.t, func() bool { return strings.Count(s.log.String(), says) > before }, time.Minute, 10*time.Millisecond, "%s", s.log)
}

const reread = "were read again"

// TestHangup: administrators, who may create, and the server's certificate change while connections stay open; a
// configuration with a fault changes nothing.
func TestHangup(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("ops")
	s.serve()
	admin, ops := s.client("admin", ttlv.V2_1), s.client("ops", ttlv.V2_1)
	create(t, admin, aes("hsm::4::first"))
	create(t, ops, aes("opss own"))
	original := string(s.read("strongroom.toml"))
	toOps := strings.NewReplacer(`hsm_admin = ["admin"]`, `hsm_admin = ["ops"]`, `create    = ["*"]`, `create = ["admin"]`).Replace(original)
	require.NotEqual(t, original, toOps)
	s.write("strongroom.toml", []byte(toOps))
	s.hangup(reread)
	(&stranger{t, admin}).seesNothing(kmip.OperationEncrypt, "hsm::4::first", "hsm::4::~~~~~")
	works(t, ops, "hsm::4::first")
	create(t, ops, aes("hsm::4::second"))
	works(t, ops, "opss own")
	e := refusal(t, perform(t, ops, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("")}))
	require.Equal(t, kmip.ResultReasonPermissionDenied, e.Reason)
	create(t, admin, aes("admins"))

	s.write("strongroom.toml", []byte(strings.Replace(original, "hsm_admin", "hsm_admn", 1)))
	s.hangup("was not read again")
	works(t, ops, "hsm::4::second")
	(&stranger{t, admin}).seesNothing(kmip.OperationEncrypt, "hsm::4::first", "hsm::4::~~~~~")

	// A new certificate of the server, for new connections.
	s.write("strongroom.toml", []byte(original))
	serial := func() *big.Int {
		c := s.dial("admin")
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber
	}
	before := serial()
	certificate, key := s.issue("tls/server", 4711)
	s.write("tls/server.crt", certificate)
	s.write("tls/server.key", key)
	s.hangup(reread)
	require.NotEqual(t, before, serial())
	require.EqualValues(t, 4711, serial().Int64())
	works(t, admin, "hsm::4::first") // over a connection that was open all the time
	require.Equal(t, 1, strings.Count(s.log.String(), "serving KMIP"))

	// An authority: one that is not there is looked for, where none was before.
	request := &kmip.CertifyRequest{CertificateRequestType: kmip.CertificateRequestTypePKCS10, CertificateRequest: signingRequest(t)}
	require.Equal(t, kmip.ResultReasonInvalidField, refusal(t, perform(t, admin, kmip.OperationCertify, request)).Reason)
	s.write("strongroom.toml", []byte(original+"\n[certify]\nissuer = \"authority\"\n"))
	s.hangup(reread)
	require.Equal(t, kmip.ResultReasonObjectNotFound, refusal(t, perform(t, admin, kmip.OperationCertify, request)).Reason)
}

// signingRequest is a certificate request for a new key.
func signingRequest(t *testing.T) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	require.NoError(t, err)
	return der
}

// authority is the site's certificate authority.
func (s *site) authority() (*x509.Certificate, crypto.Signer) {
	s.t.Helper()
	pair, err := tls.X509KeyPair(s.read("tls/ca.crt"), s.serverKey("tls/ca.key"))
	require.NoError(s.t, err)
	ca, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(s.t, err)
	return ca, pair.PrivateKey.(crypto.Signer)
}

// issue makes a certificate like the one of that name, of the same key, with another serial number.
func (s *site) issue(name string, serial int64) (certificate, key []byte) {
	s.t.Helper()
	pair, err := tls.X509KeyPair(s.read(name+".crt"), s.serverKey(name+".key"))
	require.NoError(s.t, err)
	like, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(s.t, err)
	like.SerialNumber = big.NewInt(serial)
	ca, signer := s.authority()
	der, err := x509.CreateCertificate(rand.Reader, like, ca, pair.PrivateKey.(crypto.Signer).Public(), signer)
	require.NoError(s.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), s.serverKey(name + ".key")
}

// revocations is a list of the authority's, of these clients.
func (s *site) revocations(names ...string) []byte {
	s.t.Helper()
	ca, signer := s.authority()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, name := range names {
		leaf := s.tls(name).Certificates[0].Leaf
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca, signer)
	require.NoError(s.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// TestRevokedCertificate: after SIGHUP a revoked certificate opens no connection, and ends the open ones at their next
// request; the others go on. A list that nobody trusted signed changes nothing.
func TestRevokedCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.addClient("carol")
	s.write("tls/crl.pem", s.revocations())
	s.write("strongroom.toml", []byte(strings.Replace(string(s.read("strongroom.toml")), "client_ca ", "crl = \"tls/crl.pem\"\nclient_ca ", 1)))
	s.serve()
	bob, carol := s.dial("bob"), s.dial("carol")
	request := message(t, ttlv.V2_1, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
	answers := func(c *tls.Conn) bool {
		if _, err := c.Write(request); err != nil {
			return false
		}
		answer, err := receive(c)
		return err == nil && results(t, answer)[0] == 0
	}
	require.True(t, answers(bob))
	require.True(t, answers(carol))
	s.write("tls/crl.pem", s.revocations("bob"))
	require.True(t, answers(bob), "the list is read before SIGHUP")
	s.hangup(reread)
	require.True(t, answers(carol))
	require.False(t, answers(bob), "an open connection of a revoked certificate is answered")
	c, err := tls.Dial("tcp", s.address, s.tls("bob"))
	if err == nil { // with TLS 1.3 the client learns of it when it reads
		require.False(t, answers(c))
		c.Close()
	}
	require.True(t, answers(s.dial("carol")))

	other := newSite(t) // whose authority is another
	other.addClient("carol")
	s.write("tls/crl.pem", other.revocations("carol"))
	s.hangup("was not read again")
	require.True(t, answers(carol))
	c, err = tls.Dial("tcp", s.address, s.tls("bob"))
	if err == nil {
		require.False(t, answers(c), "a list that cannot be read takes the one before out of force")
		c.Close()
	}
}

// TestOnlyCertificatesOpenDoors: no certificate, one of another authority, and an old TLS version end in the handshake.
func TestOnlyCertificatesOpenDoors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	other := newSite(t)
	request := message(t, ttlv.V2_1, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryOperations}})
	for name, change := range map[string]func(*tls.Config){
		"no certificate":          func(c *tls.Config) { c.Certificates = nil },
		"another authority":       func(c *tls.Config) { c.Certificates = other.tls("admin").Certificates },
		"TLS 1.1":                 func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		"the server's own":        func(c *tls.Config) { c.Certificates = []tls.Certificate{s.pair("tls/server")} },
		"no certificate, TLS 1.2": func(c *tls.Config) { c.Certificates, c.MaxVersion = nil, tls.VersionTLS12 },
	} {
		config := s.tls("admin")
		change(config)
		c, err := tls.Dial("tcp", s.address, config)
		if err != nil {
			continue
		}
		c.Write(request)
		_, err = receive(c)
		require.Error(t, err, "%s: it is answered", name)
		c.Close()
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := s.tls("admin")
		config.MinVersion, config.MaxVersion = version, version
		c, err := tls.Dial("tcp", s.address, config)
		require.NoError(t, err)
		_, err = c.Write(request)
		require.NoError(t, err)
		_, err = receive(c)
		require.NoError(t, err)
		c.Close()
	}
}

// pair is a certificate with its key.
func (s *site) pair(name string) tls.Certificate {
	s.t.Helper()
	pair, err := tls.X509KeyPair(s.read(name+".crt"), s.serverKey(name+".key"))
	require.NoError(s.t, err)
	return pair
}

// TestAuditVerify finds a line that was changed, taken out, or added.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	for range 5 {
		create(t, c, aes(""))
	}
	s.stop()
	log := string(s.read("data/audit.jsonl"))
	lines := strings.SplitAfter(strings.TrimSuffix(log, "\n"), "\n")
	require.Greater(t, len(lines), 5)
	require.Contains(t, s.must(s.strongroomd("audit", "verify", s.write("copy", []byte(log)))), "unbroken")
	for name, changed := range map[string]string{
		"a changed line":   strings.Replace(log, `"admin"`, `"nimda"`, 1),
		"a missing line":   strings.Replace(log, lines[2], "", 1),
		"a line twice":     strings.Replace(log, lines[2], lines[2]+lines[2], 1),
		"lines exchanged":  strings.Replace(log, lines[2]+lines[3], lines[3]+lines[2], 1),
		"half a line":      log[:len(log)-10],
		"no beginning":     strings.Join(lines[1:], ""),
		"an invented line": log + "{\"hash\":\"00\"}\n",
	} {
		require.NotEqual(t, log, changed, name)
		said := s.refused(s.strongroomd("audit", "verify", s.write("copy", []byte(changed))))
		require.Contains(t, said, "line", name)
	}
}
