package tests

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/replay"
	"strongroom/kmip/ttlv"
)

// serveHTTPS starts the site's server with KMIP over HTTPS, and gives its address.
func (s *site) serveHTTPS() string {
	s.t.Helper()
	address := freeAddress(s.t)
	s.env = append(s.env, "STRONGROOM_HTTP_LISTEN="+address)
	s.serve()
	return address
}

// overHTTPS connects as a client of the site over HTTPS.
func (s *site) overHTTPS(address, name string) *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.t.Context(), client.Config{Address: "https://" + address, TLS: s.tls(name)})
	require.NoError(s.t, err, "server: %s", s.log)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// TestVectorsOverHTTPS plays the test cases of the profiles' message encodings, and some of every other kind, in each encoding.
func TestVectorsOverHTTPS(t *testing.T) {
	t.Parallel()
	dir := vectors(t)
	reasons := failing(t)
	s := newSite(t)
	address := s.serveHTTPS()
	inText := func(c *client.Client, mediaType string, write func(ttlv.Node) ([]byte, error), read func([]byte, *ttlv.Limits) (ttlv.Node, error)) replay.Send {
		return func(ctx context.Context, request []byte) ([]byte, error) {
			n, err := ttlv.Parse(request, nil)
			if err != nil {
				return nil, err
			}
			text, err := write(n)
			if err != nil {
				return nil, err
			}
			if text, err = c.Post(ctx, mediaType, text); err != nil {
				return nil, err
			}
			if n, err = read(text, &ttlv.Limits{Size: 1 << 24, Items: 1 << 20}); err != nil {
				return nil, err
			}
			return n.Append(nil), nil
		}
	}
	for encoding, send := range map[string]func(*client.Client) replay.Send{
		"HTTPS": func(c *client.Client) replay.Send { return c.RoundTripRaw },
		"JSON": func(c *client.Client) replay.Send {
			return inText(c, "application/json", ttlv.Node.JSON, ttlv.ParseJSON)
		},
		"XML": func(c *client.Client) replay.Send { return inText(c, "text/xml", ttlv.Node.XML, ttlv.ParseXML) },
	} {
		s.addClient(encoding)
		player := replay.NewPlayer(send(s.overHTTPS(address, encoding)))
		var files []string
		for _, pattern := range []string{"MSGENC-" + encoding + "-*", "SKLC-M-*", "SKFF-M-*", "OMOS-M-*", "CS-BC-M-*", "BL-M-*"} {
			found, err := filepath.Glob(filepath.Join(dir, "*", "mandatory", pattern+".xml"))
			require.NoError(t, err)
			require.NotEmpty(t, found, pattern)
			files = append(files, found...)
		}
		for _, file := range files {
			name := filepath.Base(file[:len(file)-len(".xml")])
			t.Run(encoding+" "+name, func(t *testing.T) { vector(t, player, file, reasons[name]) })
		}
	}
}

// TestHTTPS is the session of a user with KMIP over HTTPS: keys of both kinds, a message in each encoding, and everything that
// the program for users does.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	address := s.serveHTTPS()
	url := "https://localhost:" + port(t, address)
	run := func(args ...string) string {
		t.Helper()
		return s.must(s.exec([]string{"STRONGROOM_SERVER=" + url, "STRONGROOM_CONFIG=" + s.path("clients", "admin.toml")}, filepath.Join(bin, "strongroom"), args...))
	}
	run("sym", "keys", "create", "--algorithm", "aes", "--number-of-bits", "256", "k")
	run("sym", "keys", "create", "--algorithm", "aes", "--number-of-bits", "256", "--sensitive", "hsm::4::k")
	for _, uid := range []string{"k", "hsm::4::k"} {
		plain := s.write("plain", []byte("a secret over HTTPS"))
		run("sym", "encrypt", "--key-id", uid, "--output-file", s.path("enc"), plain)
		run("sym", "decrypt", "--key-id", uid, "--output-file", s.path("dec"), s.path("enc"))
		require.Equal(t, "a secret over HTTPS", string(s.read("dec")))
	}
	require.Contains(t, run("server", "status"), "You are admin.")

	request := in("RequestMessage", in("RequestHeader", in("ProtocolVersion", integerOf("ProtocolVersionMajor", 1), integerOf("ProtocolVersionMinor", 2)),
		integerOf("BatchCount", 1)), operation("GetAttributes", "", id("k"), text("AttributeName", "State")))
	message, err := ttlv.ParseXML([]byte(request), nil)
	require.NoError(t, err)
	written, err := message.JSON()
	require.NoError(t, err)
	require.Contains(t, run("kmip", "send", s.write("q.xml", []byte(request))), `<AttributeValue type="Enumeration" value="Active"/>`)
	require.Contains(t, run("kmip", "send", s.write("q.json", written)), `"value": "Active"`)

	curl := s.exec(nil, "curl", "-sS", "--cacert", s.path("tls", "ca.crt"), "--cert", s.path("clients", "admin.crt"), "--key", s.path("clients", "admin.key"),
		"-H", "Content-Type: application/json", "--data-binary", "@"+s.path("q.json"), url+"/kmip")
	require.Contains(t, s.must(curl), `"type":"Enumeration","value":"Active"`)
	stranger := s.exec(nil, "curl", "-sS", "--cacert", s.path("tls", "ca.crt"), "-H", "Content-Type: application/json", "--data-binary", "@"+s.path("q.json"), url+"/kmip")
	require.NotZero(t, stranger.code)

	s.addClient("bob")
	_, err = client.Do[kmip.GetResponse](t.Context(), s.overHTTPS(address, "bob"), kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"})
	require.Equal(t, kmip.ResultReasonObjectNotFound, refusal(t, err).Reason)
	require.Equal(t, 0, s.strongroomd("audit", "verify", "--config", s.path("strongroom.toml")).code)
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return p
}

// TestHTTPSReload shows that what SIGHUP reads again counts for connections over HTTPS that are open, and that the server stops
// while some are.
func TestHTTPSReload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	crl := s.write("tls/crl.pem", s.revocations())
	s.env = append(s.env, "STRONGROOM_KMIP_CRL="+crl)
	address := s.serveHTTPS()
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls("bob")}}
	defer web.CloseIdleConnections()
	ask := func() int {
		message := []byte(`{"tag":"RequestMessage","value":[]}`)
		r, err := web.Post(fmt.Sprintf("https://%s/kmip", address), "application/json", bytes.NewReader(message))
		if err != nil {
			return 0
		}
		defer r.Body.Close()
		io.Copy(io.Discard, r.Body)
		return r.StatusCode
	}
	require.Equal(t, http.StatusOK, ask())
	s.write("tls/crl.pem", s.revocations("bob"))
	s.hangup(reread)
	require.Equal(t, http.StatusForbidden, ask())
	require.Zero(t, ask(), "a new connection is not let in")
	idle := s.overHTTPS(address, "admin")
	do[kmip.WhoAmIResponse](t, idle, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
	begun := time.Now()
	s.stop()
	require.Less(t, time.Since(begun), 5*time.Second)
}
