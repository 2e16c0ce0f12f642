package tests

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

const mib = 1 << 20

// memory is the server's resident memory in bytes.
func (s *site) memory() int {
	s.t.Helper()
	return s.status("VmRSS:")
}

// status is a number of bytes that the system knows of the server's process.
func (s *site) status(field string) int {
	s.t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.server.Process.Pid) + "/status")
	if errors.Is(err, os.ErrNotExist) {
		s.t.Skip("this system has no /proc")
	}
	require.NoError(s.t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			require.NoError(s.t, err)
			return n << 10
		}
	}
	s.t.Fatalf("no %s the server has ended", field)
	return 0
}

// alive fails the test unless the server is the same process, has met no panic, and answers somebody else.
func (s *site) alive(uid string) {
	s.t.Helper()
	select {
	case <-s.exited:
		s.t.Fatalf("the server ended: %s", s.log)
	default:
	}
	require.NotContains(s.t, s.log.String(), "panic")
	works(s.t, s.client("admin", ttlv.V2_1), uid)
}

// bystander is another client, who uses a key all the time, and fails the test when it has to wait.
func (s *site) bystander(uid string) (stop func()) {
	c := s.client("admin", ttlv.V2_1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
			ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
			e, err := encrypt(s.t, c, uid, []byte("data"))
			if err == nil {
				_, err = decrypt(s.t, c, e)
			}
			if err != nil || ctx.Err() != nil {
				s.t.Errorf("another client was not served: %v %v", err, ctx.Err())
			}
			cancel()
		}
	})
	return func() { close(done); wg.Wait() }
}

// item is one encoded item whose length field says what it likes.
func item(tag ttlv.Tag, typ ttlv.Type, length uint32, body ...[]byte) []byte {
	header := binary.BigEndian.AppendUint32(nil, uint32(tag)<<8|uint32(typ))
	return append(binary.BigEndian.AppendUint32(header, length), bytes.Join(body, nil)...)
}

// structure is an encoded structure of true length.
func structure(tag ttlv.Tag, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	return item(tag, ttlv.TypeStructure, uint32(len(all)), all)
}

// nested is a structure in a structure in a structure…
func nested(depth int) []byte {
	inner := make([]byte, 0, 8*depth)
	for i := range depth {
		inner = append(inner, item(ttlv.TagRequestPayload, ttlv.TypeStructure, uint32(8*(depth-1-i)))...)
	}
	return inner
}

// answerTo sends bytes, ends the sending side, and gives the answers: each is a whole KMIP message.
func (s *site) answerTo(sent []byte) [][]byte {
	s.t.Helper()
	c := s.dial("admin")
	defer c.Close()
	go func() {
		c.Write(sent) // the server may close before it has read all
		c.CloseWrite()
	}()
	var answers [][]byte
	for {
		answer, err := receive(c)
		if err != nil {
			require.NotErrorIs(s.t, err, os.ErrDeadlineExceeded, "neither an answer nor an end")
			require.NotErrorIs(s.t, err, io.ErrUnexpectedEOF, "half an answer")
			return answers
		}
		answers = append(answers, answer)
	}
}

// results are the Result Reasons of a response, 0 for a success.
func results(t *testing.T, response []byte) (reasons []kmip.ResultReason) {
	t.Helper()
	var m kmip.ResponseMessage
	require.NoError(t, ttlv.Unmarshal(response, ttlv.V2_1, ttlv.TagResponseMessage, &m, &ttlv.Limits{Size: 16 * mib}), "%x", response)
	require.EqualValues(t, len(m.BatchItem), m.ResponseHeader.BatchCount)
	for _, b := range m.BatchItem {
		require.Equal(t, b.ResultStatus == kmip.ResultStatusSuccess, b.ResultReason == 0)
		reasons = append(reasons, b.ResultReason)
	}
	return reasons
}

// TestHostileBytes sends what is no message. Each is refused with an answer or the end of the connection; another client
// notices nothing.
func TestHostileBytes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	uid := create(t, s.client("admin", ttlv.V2_1), aes("bystander"))
	defer s.bystander(uid)()
	valid := message(t, ttlv.V2_1, kmip.OperationEncrypt, requests[kmip.OperationEncrypt](kmip.UniqueIdentifier(uid)))
	random := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{1}).Read(random)
	version := structure(ttlv.TagProtocolVersion, item(ttlv.TagProtocolVersionMajor, ttlv.TypeInteger, 4, []byte{0, 0, 0, 2, 0, 0, 0, 0}), item(ttlv.TagProtocolVersionMinor, ttlv.TypeInteger, 4, []byte{0, 0, 0, 1, 0, 0, 0, 0}))
	header := structure(ttlv.TagRequestHeader, version, item(ttlv.TagBatchCount, ttlv.TypeInteger, 4, []byte{0, 0, 0, 1, 0, 0, 0, 0}))
	many := structure(ttlv.TagRequestHeader, version, item(ttlv.TagBatchCount, ttlv.TypeInteger, 4, []byte{0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}))
	operation := item(ttlv.TagOperation, ttlv.TypeEnumeration, 4, []byte{0, 0, 0, byte(kmip.OperationGet), 0, 0, 0, 0})
	wide := bytes.Repeat(item(ttlv.TagUniqueIdentifier, ttlv.TypeTextString, 0), 200_000)
	for name, sent := range map[string][]byte{
		"nothing":                      {},
		"one byte":                     {0x42},
		"HTTP":                         []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"random":                       random,
		"zeros":                        make([]byte, 4096),
		"another structure":            structure(ttlv.TagResponseMessage),
		"an empty message":             structure(ttlv.TagRequestMessage),
		"no structure":                 item(ttlv.TagRequestMessage, ttlv.TypeInteger, 4, make([]byte, 8)),
		"length 0xFFFFFFF8":            item(ttlv.TagRequestMessage, ttlv.TypeStructure, 0xFFFFFFF8, random[:4096]),
		"length 0x80000000":            item(ttlv.TagRequestMessage, ttlv.TypeStructure, 0x80000000),
		"length over the limit":        item(ttlv.TagRequestMessage, ttlv.TypeStructure, 2*mib),
		"length of no structure":       item(ttlv.TagRequestMessage, ttlv.TypeStructure, 13, make([]byte, 16)),
		"deep":                         structure(ttlv.TagRequestMessage, nested(100_000)),
		"deep behind a header":         structure(ttlv.TagRequestMessage, header, structure(ttlv.TagBatchItem, operation, nested(100_000))),
		"deep in a credential":         structure(ttlv.TagRequestMessage, structure(ttlv.TagRequestHeader, structure(ttlv.TagAuthentication, nested(100_000)))),
		"wide":                         structure(ttlv.TagRequestMessage, header, structure(ttlv.TagBatchItem, operation, structure(ttlv.TagRequestPayload, wide))),
		"no header":                    structure(ttlv.TagRequestMessage, structure(ttlv.TagBatchItem, operation)),
		"no item":                      structure(ttlv.TagRequestMessage, header),
		"an item that is too long":     structure(ttlv.TagRequestMessage, header, item(ttlv.TagBatchItem, ttlv.TypeStructure, 1<<20, operation)),
		"an inner length of 4 GiB":     structure(ttlv.TagRequestMessage, header, structure(ttlv.TagBatchItem, operation, structure(ttlv.TagRequestPayload, item(ttlv.TagUniqueIdentifier, ttlv.TypeTextString, 0xFFFFFFFF)))),
		"text that is not UTF-8":       structure(ttlv.TagRequestMessage, header, structure(ttlv.TagBatchItem, operation, structure(ttlv.TagRequestPayload, item(ttlv.TagUniqueIdentifier, ttlv.TypeTextString, 8, bytes.Repeat([]byte{0xFF}, 8))))),
		"cut in the header":            valid[:20],
		"cut in the payload":           valid[:len(valid)-8],
		"a message and half of one":    append(slices.Clone(valid), valid[:64]...),
		"more items than it may have":  structure(ttlv.TagRequestMessage, header, bytes.Repeat(structure(ttlv.TagBatchItem, operation), 20_000)),
		"less items than it says":      structure(ttlv.TagRequestMessage, many, structure(ttlv.TagBatchItem, operation)),
		"a big number without an end":  structure(ttlv.TagRequestMessage, header, structure(ttlv.TagBatchItem, operation, structure(ttlv.TagRequestPayload, item(ttlv.TagUniqueIdentifier, ttlv.TypeBigInteger, 1<<20, make([]byte, 1<<20))))),
		"an operation nobody defined":  structure(ttlv.TagRequestMessage, header, structure(ttlv.TagBatchItem, item(ttlv.TagOperation, ttlv.TypeEnumeration, 4, []byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}))),
		"an operation of another type": structure(ttlv.TagRequestMessage, header, structure(ttlv.TagBatchItem, item(ttlv.TagOperation, ttlv.TypeTextString, 3, []byte("Get\x00\x00\x00\x00\x00")))),
	} {
		t.Run(name, func(t *testing.T) {
			good := 0
			for _, answer := range s.answerTo(sent) {
				for _, reason := range results(t, answer) {
					if reason == 0 {
						good++
					}
				}
			}
			if name == "a message and half of one" {
				require.Equal(t, 1, good, "the whole message was not answered")
			} else {
				require.Zero(t, good, "it was taken for a message")
			}
		})
	}
	s.alive(uid)
	require.Less(t, s.memory(), 150*mib)
}

// TestHostileMutations changes bytes of a valid request, thousands of times: each makes an answer or the end of the
// connection, and what it answers is a KMIP message.
func TestHostileMutations(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	uid := create(t, admin, aes("mutated"))
	valid := [][]byte{
		message(t, ttlv.V2_1, kmip.OperationEncrypt, requests[kmip.OperationEncrypt](kmip.UniqueIdentifier(uid))),
		message(t, ttlv.V1_4, kmip.OperationEncrypt, requests[kmip.OperationEncrypt](kmip.UniqueIdentifier(uid))),
		message(t, ttlv.V2_1, kmip.OperationLocate, &kmip.LocateRequest{Attributes: aes("").With(ttlv.TagName, kmip.Name{NameValue: "name", NameType: 1})}),
		message(t, ttlv.V1_2, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagName}}}),
		message(t, ttlv.V2_1, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("hsm::4::mutated")}),
	}
	const each = 600
	var wg sync.WaitGroup
	for i, original := range valid {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			var c *tls.Conn
			defer func() {
				if c != nil {
					c.Close()
				}
			}()
			for range each {
				if c == nil {
					var err error
					if c, err = tls.Dial("tcp", s.address, s.tls("admin")); err != nil {
						t.Errorf("connecting: %v", err)
						return
					}
				}
				sent := mutate(r, original)
				if !exchange(t, c, sent) {
					c.Close()
					c = nil
				}
			}
		})
	}
	wg.Wait()
	s.alive(uid)
	require.Less(t, s.memory(), 150*mib)
}

// mutate changes a few bytes behind the first eight, so that the next message is found.
func mutate(r *rand.Rand, original []byte) []byte {
	b := slices.Clone(original)
	interesting := []byte{0, 1, 2, 7, 8, 9, 0x42, 0x54, 0x7F, 0x80, 0xFF}
	for range 1 + r.IntN(4) {
		i := 8 + r.IntN(len(b)-8)
		switch r.IntN(4) {
		case 0:
			b[i] ^= 1 << r.IntN(8)
		case 1:
			b[i] = byte(r.Uint32())
		case 2:
			b[i] = interesting[r.IntN(len(interesting))]
		case 3: // a block moves
			j := 8 + r.IntN(len(b)-8)
			copy(b[i:], original[j:min(len(original), j+8*(1+r.IntN(4)))])
		}
	}
	return b
}

// exchange sends a message and reads its answer; false when the server closed the connection.
func exchange(t *testing.T, c *tls.Conn, sent []byte) bool {
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(sent); err != nil {
		return false
	}
	answer, err := receive(c)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%x: %v", sent, err)
		}
		return false
	}
	var m kmip.ResponseMessage
	if err := ttlv.Unmarshal(answer, ttlv.V2_1, ttlv.TagResponseMessage, &m, nil); err != nil {
		t.Errorf("%x is answered with %x: %v", sent, answer, err)
		return false
	}
	return true
}

// TestHostileClaims has many connections claim the longest message there may be, and send none of it: that costs the server
// no memory to speak of.
func TestHostileClaims(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	uid := create(t, s.client("admin", ttlv.V2_1), aes("bystander"))
	defer s.bystander(uid)()
	var connections []*tls.Conn
	for range 200 {
		c := s.dial("admin")
		defer c.Close()
		connections = append(connections, c)
	}
	resident, mapped := s.memory(), s.status("VmData:")
	for _, c := range connections {
		_, err := c.Write(item(ttlv.TagRequestMessage, ttlv.TypeStructure, 2*mib-8))
		require.NoError(t, err)
	}
	s.alive(uid)
	// Some of it, more than fits a first buffer, so that the claim is believed.
	for _, c := range connections {
		_, err := c.Write(make([]byte, 20_000))
		require.NoError(t, err)
	}
	s.alive(uid)
	time.Sleep(200 * time.Millisecond)
	require.Less(t, s.memory()-resident, 24*mib, "a claim of 400 MiB, of which 4 MiB came, costs memory")
	require.Less(t, s.status("VmData:")-mapped, 100*mib, "memory is set aside for what is only claimed")
}

// TestHostileSilence opens connections on which nothing is said, and others on which a message comes byte by byte.
func TestHostileSilence(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("strongroom.toml", append(s.read("strongroom.toml"), "\n[limits]\nhandshake_timeout = \"5s\"\nread_timeout = \"5s\"\n"...))
	s.serve()
	uid := create(t, s.client("admin", ttlv.V2_1), aes("bystander"))
	defer s.bystander(uid)()
	before := s.memory()
	var silent []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", s.address)
		require.NoError(t, err)
		defer c.Close()
		silent = append(silent, c)
	}
	hello := []byte{0x16, 0x03, 0x01, 0x40, 0x00, 0x01} // the beginning of a long handshake record
	for _, c := range silent[:100] {
		_, err := c.Write(hello)
		require.NoError(t, err)
	}
	valid := message(t, ttlv.V2_1, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryOperations}})
	var slow sync.WaitGroup
	var cut atomic.Int64
	for range 50 {
		c := s.dial("admin")
		slow.Go(func() {
			defer c.Close()
			for _, b := range valid {
				if _, err := c.Write([]byte{b}); err != nil {
					cut.Add(1)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Errorf("a message that took %v was waited for", time.Duration(len(valid))*100*time.Millisecond)
		})
	}
	s.alive(uid)
	require.Less(t, s.memory()-before, 40*mib)
	for _, c := range silent {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := io.Copy(io.Discard, c)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "a handshake that never comes is waited for")
	}
	slow.Wait()
	require.EqualValues(t, 50, cut.Load())
	s.alive(uid)

	// Slowly, but in time.
	c := s.dial("admin")
	for _, b := range valid {
		_, err := c.Write([]byte{b})
		require.NoError(t, err)
	}
	answer, err := receive(c)
	require.NoError(t, err)
	require.Equal(t, []kmip.ResultReason{0}, results(t, answer))
}

// TestHostileValues asks, in messages that are well formed, for what makes no sense.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	uid := create(t, c, aes("bystander"))
	long := strings.Repeat("x", 500_000)
	with := func(tag ttlv.Tag, v any) kmip.Attributes { return aes("").With(tag, v) }
	token := func(a kmip.Attributes) kmip.Attributes { return a.With(ttlv.TagUniqueIdentifier, "hsm::4::absurd") }
	everywhere := []kmip.Attributes{
		with(ttlv.TagCryptographicLength, int32(0)),
		with(ttlv.TagCryptographicLength, int32(-256)),
		with(ttlv.TagCryptographicLength, int32(255)),
		with(ttlv.TagCryptographicLength, int32(1<<31-8)),
		with(ttlv.TagCryptographicLength, int32(1<<20)),
		with(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithm(0)),
		with(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithm(0xFFFFFFFF)),
		with(ttlv.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmRSA),
		with(ttlv.TagState, kmip.StateActive),
		with(ttlv.TagDestroyDate, born),
		wrappedBy(aes(""), ""),
		wrappedBy(aes(""), "absent"),
		wrappedBy(aes(""), "hsm::4::absent"),
		aes("").PlusVendor(kmip.VendorServer, kmip.AttributeProtection, kmip.ProtectionHSM),
		aes("").Plus(ttlv.TagCryptographicLength, int32(128)),
	}
	attributes := []kmip.Attributes{nil, wrappedBy(aes("self"), "self"), wrappedBy(aes("hsm::4::wrapped"), uid)}
	for _, a := range everywhere {
		attributes = append(attributes, a, token(a))
	}
	for _, name := range []string{
		"", "*", "123", "with\x00zero", "with\nline", long, "hsm::", "hsm::4::", "hsm::4", "hsm::04::k", "hsm::-1::k", "hsm::+4::k",
		"hsm::4294967296::k", "hsm::99::k", "hsm::4::" + long, "hsm::4::" + strings.Repeat("x", 256), "hsm::4::a\x00b",
	} {
		attributes = append(attributes, aes("").With(ttlv.TagUniqueIdentifier, name))
	}
	for i, a := range attributes {
		err := perform(t, c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a})
		if err == nil {
			name, _ := kmip.Get[string](a, ttlv.TagUniqueIdentifier)
			t.Errorf("number %d, a key %.30q with %v, was made", i, name, a[:min(4, len(a))])
			continue
		}
		refusal(t, err)
	}
	pairs := []kmip.Attributes{
		usable("", kmip.CryptographicAlgorithmRSA, 0), usable("", kmip.CryptographicAlgorithmRSA, 8), usable("", kmip.CryptographicAlgorithmRSA, 1<<31-1),
		usable("", kmip.CryptographicAlgorithmRSA, -2048), usable("", kmip.CryptographicAlgorithmRSA, 1_000_000), usable("", kmip.CryptographicAlgorithmEC, 7),
		usable("", kmip.CryptographicAlgorithmEC, 1<<30), usable("", kmip.CryptographicAlgorithmAES, 256), usable("", 0x7FFFFFFF, 256),
	}
	for _, a := range pairs {
		for _, a := range []kmip.Attributes{a, token(a)} {
			began := time.Now()
			refusal(t, perform(t, c, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: a}))
			require.Less(t, time.Since(began), 5*time.Second, "%v", a)
		}
	}
	for op, q := range map[kmip.Operation][]any{
		kmip.OperationLocate: {
			&kmip.LocateRequest{MaximumItems: integer(-1)}, &kmip.LocateRequest{OffsetItems: integer(-1)}, &kmip.LocateRequest{MaximumItems: integer(-1 << 31)},
		},
		kmip.OperationEncrypt: {
			&kmip.EncryptRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: 0xFFFFFFFF}, Data: []byte("x")},
			&kmip.EncryptRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, TagLength: integer(-1)}, Data: []byte("x")},
			&kmip.EncryptRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, TagLength: integer(1 << 30)}, Data: []byte("x")},
			&kmip.EncryptRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM, IVLength: integer(1 << 30)}, Data: []byte("x")},
			&kmip.EncryptRequest{CryptographicParameters: gcm, Data: []byte("x")},
			&kmip.EncryptRequest{UniqueIdentifier: kmip.UniqueIdentifier(long), CryptographicParameters: gcm, Data: []byte("x")},
		},
		kmip.OperationGrantAccess: {
			&kmip.GrantAccessRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: "", Operations: []kmip.Operation{kmip.OperationGet}},
			&kmip.GrantAccessRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: long, Operations: []kmip.Operation{kmip.OperationGet}},
			&kmip.GrantAccessRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: "a\nb", Operations: []kmip.Operation{kmip.OperationGet}},
			&kmip.GrantAccessRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: "bob", Operations: []kmip.Operation{0xFFFFFFFF}},
			&kmip.GrantAccessRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: "bob"},
		},
	} {
		for i, q := range q {
			err := perform(t, c, op, q)
			require.Error(t, err, "%v number %d", op, i)
			refusal(t, err)
		}
	}
	require.NotContains(t, s.log.String(), "request failed", "the server took for its own fault what is the client's")
	require.Equal(t, []string{uid}, locate(t, c))
	require.NotContains(t, s.tool("-O"), "absurd")
	s.alive(uid)
	require.Less(t, s.memory(), 150*mib)
}

func integer(n int32) *int32 { return &n }
