package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// https has the rig serve KMIP over HTTPS too, and gives the address.
func (g *rig) https() string {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(g.t, err)
	served := make(chan error, 1)
	go func() { served <- g.server.ServeHTTPS(l) }()
	g.t.Cleanup(func() {
		l.Close()
		require.NoError(g.t, <-served)
	})
	return l.Addr().String()
}

// webClient speaks KMIP over HTTPS at version v.
func (g *rig) webClient(address, identity string, v ttlv.Version) *client.Client {
	g.t.Helper()
	c, err := client.Dial(g.t.Context(), client.Config{Address: "https://" + address, TLS: g.tls(identity), Version: v})
	require.NoError(g.t, err)
	g.t.Cleanup(func() { c.Close() })
	return c
}

// A browser makes requests of HTTP to one server, with one certificate.
type browser struct {
	t       *testing.T
	http    http.Client
	address string
}

func (g *rig) browser(t *testing.T, address string) *browser {
	b := &browser{t: t, address: address}
	b.http.Transport = &http.Transport{TLSClientConfig: g.tls("alice")}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

// ask makes a request; headers are names and values in turn.
func (b *browser) ask(method, path string, body io.Reader, headers ...string) (*http.Response, []byte) {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+b.address+path, body)
	require.NoError(b.t, err)
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	r, err := b.http.Do(q)
	require.NoError(b.t, err)
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	require.NoError(b.t, err)
	return r, answer
}

func (b *browser) post(mediaType string, message []byte) []byte {
	b.t.Helper()
	r, answer := b.ask(http.MethodPost, httpPath, bytes.NewReader(message), "Content-Type", mediaType)
	require.Equal(b.t, http.StatusOK, r.StatusCode, "%s", answer)
	require.Equal(b.t, mediaType, r.Header.Get("Content-Type"))
	require.Contains(b.t, r.Header.Get("Cache-Control"), "no-cache")
	require.EqualValues(b.t, len(answer), r.ContentLength)
	return answer
}

// TestHTTPSEncodings shows that a message means the same in every encoding, and that its answer is in the same.
func TestHTTPSEncodings(t *testing.T) {
	g := newRig(t, Limits{})
	b := g.browser(t, g.https())
	must[kmip.CreateResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationCreate, aes("k"))
	for _, v := range kmip.Versions {
		request := messageAt(t, v, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}, 2)
		message, err := ttlv.Parse(request, nil)
		require.NoError(t, err)
		want := withoutTime(t, b.post("application/octet-stream", request), ttlv.Parse)
		require.Contains(t, want, "SymmetricKey")
		text, err := message.JSON()
		require.NoError(t, err)
		require.Equal(t, want, withoutTime(t, b.post("application/json", text), ttlv.ParseJSON))
		text, err = message.XML()
		require.NoError(t, err)
		for _, mediaType := range []string{"text/xml", "application/xml"} {
			require.Equal(t, want, withoutTime(t, b.post(mediaType, text), ttlv.ParseXML))
		}
	}
}

// withoutTime is an answer as XML, but for its Time Stamp.
func withoutTime(t *testing.T, answer []byte, read func([]byte, *ttlv.Limits) (ttlv.Node, error)) string {
	n, err := read(answer, nil)
	require.NoError(t, err)
	text, err := n.XML()
	require.NoError(t, err)
	var lines []string
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.Contains(line, "TimeStamp") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// TestHTTPSRefuses shows that requests which bring no message are answered in HTTP, and that others go on.
func TestHTTPSRefuses(t *testing.T) {
	g := newRig(t, Limits{Message: ttlv.Limits{Size: 4096}})
	address := g.https()
	b := g.browser(t, address)
	large := strings.Repeat("x", 5000)
	for name, x := range map[string]struct {
		method, path, mediaType, body string
		status                        int
		header, value                 string
	}{
		"another path":       {"POST", "/", "text/xml", "x", 404, "", ""},
		"a longer path":      {"POST", "/kmip/", "text/xml", "x", 404, "", ""},
		"GET":                {"GET", "/kmip", "text/xml", "", 405, "Allow", "POST"},
		"PUT":                {"PUT", "/kmip", "text/xml", "x", 405, "Allow", "POST"},
		"another media type": {"POST", "/kmip", "text/plain", "x", 415, "Accept", mediaTypes},
		"none":               {"POST", "/kmip", "", "x", 415, "Accept", mediaTypes},
		"what is none":       {"POST", "/kmip", "text/xml; =", "x", 415, "Accept", mediaTypes},
		"another charset":    {"POST", "/kmip", "text/xml; charset=utf-16", "x", 415, "Accept", mediaTypes},
		"too large":          {"POST", "/kmip", "application/octet-stream", large, 413, "", ""},
	} {
		r, answer := b.ask(x.method, x.path, strings.NewReader(x.body), "Content-Type", x.mediaType)
		require.Equal(t, x.status, r.StatusCode, "%s: %s", name, answer)
		require.Equal(t, x.value, r.Header.Get(x.header), name)
		require.NotEmpty(t, answer, name)
	}
	r, _ := b.ask("POST", "/kmip", strings.NewReader("x"), "Content-Type", "text/xml", "Content-Encoding", "gzip")
	require.Equal(t, 415, r.StatusCode)
	r, _ = b.ask("POST", "/kmip", io.MultiReader(strings.NewReader(large)), "Content-Type", "text/xml") // of no length that it says
	require.Equal(t, 413, r.StatusCode)
	r, _ = b.ask("POST", "/kmip", nil, "Content-Type", "text/xml", "X-Large", strings.Repeat("x", 20_000))
	require.Equal(t, 431, r.StatusCode)
	must[kmip.WhoAmIResponse](t, g.webClient(address, "alice", ttlv.V2_1), kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
}

// TestHTTPSBadMessages shows that what is no message is answered in KMIP, in the encoding that it claims to have.
func TestHTTPSBadMessages(t *testing.T) {
	g := newRig(t, Limits{})
	b := g.browser(t, g.https())
	reads := map[string]func([]byte, *ttlv.Limits) (ttlv.Node, error){"application/octet-stream": ttlv.Parse, "application/json": ttlv.ParseJSON, "text/xml": ttlv.ParseXML}
	good := messageAt(t, ttlv.V2_1, kmip.OperationPing, &kmip.PingRequest{}, 1)
	for mediaType, messages := range map[string][]string{
		"application/octet-stream": {"", "x", "\x42\x00\x78\x01\x00\x00\x00\x00", string(good) + string(good), string(good[:len(good)-8])},
		"application/json":         {"", "{", "{}", "[]", `{"tag":"RequestMessage","value":[]}`, `{"tag":"RequestMessage","value":[]} {}`, strings.Repeat(`{"tag":"Name","value":[`, 100)},
		"text/xml":                 {"", "<", "<Nothing/>", "<RequestMessage/>", "<!DOCTYPE x><RequestMessage/>", "\xff", strings.Repeat("<Name>", 100)},
	} {
		for _, message := range messages {
			n, err := reads[mediaType](b.post(mediaType, []byte(message)), nil)
			require.NoError(t, err)
			requireRefusal(t, n.Append(nil))
		}
	}
}

// TestHTTPSAnswerThatXMLCannotHold shows that the client learns why it gets no answer.
func TestHTTPSAnswerThatXMLCannotHold(t *testing.T) {
	g := newRig(t, Limits{})
	address := g.https()
	q := aes("k")
	q.Attributes = q.Attributes.WithVendor("x", "odd", "\x01")
	must[kmip.CreateResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationCreate, q)
	message, err := ttlv.Parse(messageAt(t, ttlv.V1_3, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "k"}, 1), nil)
	require.NoError(t, err)
	text, err := message.XML()
	require.NoError(t, err)
	answer := string(g.browser(t, address).post("text/xml", text))
	require.Contains(t, answer, `"GeneralFailure"`)
	require.Contains(t, answer, "cannot be written in text/xml")
	require.Contains(t, answer, `<ProtocolVersionMinor type="Integer" value="3"/>`)
	text, err = message.JSON()
	require.NoError(t, err)
	require.Contains(t, string(g.browser(t, address).post("application/json", text)), `"value":"\u0001"`)
}

// TestHTTPSLargeMessages shows that a message may be as large as the limit, and that its answer may be larger than that.
func TestHTTPSLargeMessages(t *testing.T) {
	g := newRig(t, Limits{Message: ttlv.Limits{Size: 1 << 20}})
	c := g.webClient(g.https(), "alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("k"))
	p := &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCBC, PaddingMethod: kmip.PaddingMethodPKCS5}
	plain := bytes.Repeat([]byte("0123456789abcde"), 69_000)
	e := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: "k", CryptographicParameters: p, Data: plain})
	d := must[kmip.DecryptResponse](t, c, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: "k", CryptographicParameters: p, Data: e.Data, IVCounterNonce: e.IVCounterNonce})
	require.True(t, bytes.Equal(plain, d.Data))
}

// TestHTTPSPassesTheDoor shows that rights over HTTPS are those over TTLV, and that both leave the same line in the audit.
func TestHTTPSPassesTheDoor(t *testing.T) {
	g := newRig(t, Limits{})
	address := g.https()
	alice, bob := g.webClient(address, "alice", ttlv.V2_1), g.webClient(address, "bob", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("k"))
	get := &kmip.GetRequest{UniqueIdentifier: "k"}
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationGet, get))
	must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: "k", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}})
	must[kmip.GetResponse](t, bob, kmip.OperationGet, get)
	must[kmip.GetResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationGet, get)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(g.server.Audit.path)
		return err == nil && bytes.Count(text, []byte(`"operation":"Get","uid":"k","result":"Success"`)) == 2 &&
			bytes.Count(text, []byte(`"identity":"bob"`)) == 2
	}, time.Minute, 10*time.Millisecond)
}

// TestHTTPSLimits shows that both listeners count connections and requests together.
func TestHTTPSLimits(t *testing.T) {
	g := newRig(t, Limits{ConnectionsPerIdentity: 2, RequestsPerSecond: 0.001})
	address := g.https()
	who := &kmip.WhoAmIRequest{}
	over, plain := g.webClient(address, "alice", ttlv.V2_1), g.client("alice", ttlv.V2_1)
	must[kmip.WhoAmIResponse](t, over, kmip.OperationWhoAmI, who)
	require.Equal(t, kmip.ResultReasonGeneralFailure, reason(t, plain, kmip.OperationWhoAmI, who), "one request a long while")
	_, err := client.Do[kmip.WhoAmIResponse](t.Context(), g.webClient(address, "alice", ttlv.V2_1), kmip.OperationWhoAmI, who)
	require.Error(t, err, "a third connection")
	var answered *client.Error
	require.False(t, errors.As(err, &answered), "it is not answered")
}

// TestHTTPSSlowClient shows that headers and bodies which do not come are not waited for.
func TestHTTPSSlowClient(t *testing.T) {
	g := newRig(t, Limits{ReadTimeout: 2 * time.Second}) // in which a client that is not slow says what it has to say
	address := g.https()
	for name, x := range map[string]struct{ sent, want string }{
		"nothing": {"", ""},
		"headers": {"POST /kmip HTTP/1.1\r\nHost: x\r\n", ""},
		"body":    {"POST /kmip HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\n<Re", "HTTP/1.1 408 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := g.dialAt(address, "alice")
			_, err := c.Write([]byte(x.sent))
			require.NoError(t, err)
			answer, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Contains(t, string(answer), x.want)
		})
	}
}

// dialAt is a raw connection to another address of the rig's.
func (g *rig) dialAt(address, identity string) *tls.Conn {
	g.t.Helper()
	c, err := tls.Dial("tcp", address, g.tls(identity))
	require.NoError(g.t, err)
	g.t.Cleanup(func() { c.Close() })
	require.NoError(g.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

// TestHTTPSRevoked shows that a client whose certificate is revoked is cut off at its next request.
func TestHTTPSRevoked(t *testing.T) {
	g := newRig(t, Limits{})
	b := g.browser(t, g.https())
	message := messageAt(t, ttlv.V2_1, kmip.OperationPing, &kmip.PingRequest{}, 1)
	b.post("application/octet-stream", message)
	credentials := g.server.Gate.state.Load().Credentials
	credentials.Revoked = func(c *x509.Certificate) bool { return c.Subject.CommonName == "alice" }
	g.server.Gate.Replace(credentials)
	r, _ := b.ask("POST", "/kmip", bytes.NewReader(message), "Content-Type", "application/octet-stream")
	require.Equal(t, http.StatusForbidden, r.StatusCode)
	require.True(t, r.Close)
}

// TestHTTPSInParts shows that an operation in parts goes on over another connection of the same identity, and of no other.
func TestHTTPSInParts(t *testing.T) {
	g := newRig(t, Limits{})
	address := g.https()
	data := []byte("the data of five parts in one request")
	hash := kmip.HashRequest{CryptographicParameters: kmip.CryptographicParameters{HashingAlgorithm: kmip.HashingAlgorithmSHA256}}
	whole := hash
	whole.Data = data
	want := must[kmip.HashResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationHash, &whole).Data

	yes := true
	hash.InitIndicator, hash.Data = &yes, data[:10]
	begun := must[kmip.HashResponse](t, g.webClient(address, "alice", ttlv.V2_1), kmip.OperationHash, &hash)
	last := kmip.HashRequest{CorrelationValue: begun.CorrelationValue, Data: data[10:], FinalIndicator: &yes, CryptographicParameters: hash.CryptographicParameters}
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, g.webClient(address, "bob", ttlv.V2_1), kmip.OperationHash, &last))
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, g.client("bob", ttlv.V2_1), kmip.OperationHash, &last))
	c := g.webClient(address, "alice", ttlv.V2_1)
	require.Equal(t, want, must[kmip.HashResponse](t, c, kmip.OperationHash, &last).Data)
	require.Equal(t, kmip.ResultReasonInvalidCorrelationValue, reason(t, c, kmip.OperationHash, &last), "it is over")
}

// TestStreamsOfAnIdentity shows that streams that wait too long end by themselves, and that two parts of one are not worked
// on at once.
func TestStreamsOfAnIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &streams{idle: time.Minute}
		begin := func() (string, *stream) {
			correlation, s, err := all.begin(&all.left, kmip.OperationHash, "", new(kmip.HashRequest))
			require.NoError(t, err)
			return correlation, s
		}
		take := func(correlation string) error {
			_, err := all.take(kmip.OperationHash, "", correlation)
			return err
		}
		first, x := begin()
		require.Error(t, take(first), "its first part is being worked on")
		require.NoError(t, all.collect(x, &kmip.HashRequest{Data: []byte("secret")}))
		held := x.whole.(*kmip.HashRequest).Data
		time.Sleep(2 * time.Minute) // it is worked on all the while
		all.rest(x)
		time.Sleep(59 * time.Second)
		require.NoError(t, take(first))
		all.rest(x)
		time.Sleep(59 * time.Second)
		require.NoError(t, take(first))
		all.rest(x)
		time.Sleep(61 * time.Second)
		require.Error(t, take(first))
		require.Zero(t, all.left)
		require.Equal(t, make([]byte, 6), held, "what it held is cleared")

		second, y := begin()
		all.rest(y)
		all.endAll()
		require.Error(t, take(second))
		require.Zero(t, all.left)
	})
}

// TestHTTPSShutdown shows that a request that has come is answered when the server stops, and that one which has not come whole
// holds up nothing.
func TestHTTPSShutdown(t *testing.T) {
	g := newRig(t, Limits{})
	address := g.https()
	silent, half := g.dialAt(address, "alice"), g.dialAt(address, "alice")
	_, err := half.Write([]byte("POST /kmip HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\n<Re"))
	require.NoError(t, err)
	begun, stop := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var answered atomic.Int32
	for range 4 {
		c := g.webClient(address, "alice", ttlv.V2_1)
		wg.Go(func() {
			for n := 0; ; n++ {
				_, err := client.Do[kmip.CreateResponse](t.Context(), c, kmip.OperationCreate, aes(""))
				if err != nil {
					return
				}
				answered.Add(1)
				if n == 3 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	go func() { defer close(stop); g.server.Shutdown(t.Context()) }()
	select {
	case <-stop:
	case <-time.After(time.Minute):
		t.Error("it does not stop")
	}
	wg.Wait()
	answer, err := io.ReadAll(half)
	require.NoError(t, err)
	require.Contains(t, string(answer), "503")
	_, err = io.ReadAll(silent)
	require.NoError(t, err)
	require.Zero(t, g.server.Connections())
	require.NoError(t, g.server.Audit.Close())
	text, err := os.ReadFile(g.server.Audit.path)
	require.NoError(t, err)
	require.Equal(t, int(answered.Load()), bytes.Count(text, []byte(`"operation":"Create"`)), "what was done was answered")
}
