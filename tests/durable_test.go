package tests

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// creators make database keys over connections of their own until their connection breaks, and give the identifiers of
// those that were answered: so far, and when the last has stopped.
func creators(t *testing.T, s *site, n int, a kmip.Attributes) (sofar, all func() []string) {
	t.Helper()
	var mu sync.Mutex
	var uids []string
	var wg sync.WaitGroup
	clients := make([]*client.Client, n)
	for i := range clients { // before the first of them can lead the server to its end
		clients[i] = s.client("admin", ttlv.V2_1)
	}
	for _, c := range clients {
		wg.Go(func() {
			for {
				r, err := client.Do[kmip.CreateResponse](t.Context(), c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a})
				var refused *client.Error
				if errors.As(err, &refused) {
					t.Errorf("Create: %v", err)
				}
				if err != nil {
					return
				}
				mu.Lock()
				uids = append(uids, string(r.UniqueIdentifier))
				mu.Unlock()
			}
		})
	}
	sofar = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(uids)
	}
	return sofar, func() []string { wg.Wait(); return uids }
}

// TestKilledDuringCreates: what was answered is there after a kill, gives its key, and the audit log is whole.
func TestKilledDuringCreates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("hsm::4::kek"))
	known := map[string][]byte{}
	for round := range 3 {
		a := aes("")
		if round == 1 {
			a = wrappedBy(a, "hsm::4::kek")
		}
		sofar, all := creators(t, s, 16, a)
		require.Eventually(t, func() bool { return len(sofar()) > 32 }, time.Minute, time.Millisecond)
		early := sofar()
		if round == 2 {
			require.Eventually(t, func() bool { // an audit line is written after 50 ms, or when the machine gets to it
				log := string(s.read("data/audit.jsonl"))
				return !slices.ContainsFunc(early, func(uid string) bool { return !strings.Contains(log, uid) })
			}, time.Minute, 100*time.Millisecond, "the audit lines of Creates that were answered are not written")
		} else {
			time.Sleep(rand.N(150 * time.Millisecond))
		}
		s.kill()
		uids := all()
		if log := string(s.read("data/audit.jsonl")); round == 2 {
			for _, uid := range early {
				require.Contains(t, log, uid, "a Create that was answered long before the kill is not in the audit log")
			}
		}

		s.serve()
		admin := s.client("admin", ttlv.V2_1)
		there := map[string]bool{}
		for _, uid := range locate(t, admin) {
			there[uid] = true
		}
		for _, uid := range uids {
			require.True(t, there[uid], "%s was answered and is not there", uid)
			material := get(t, admin, uid, 0).Material
			require.Len(t, material, 32)
			known[uid] = material
		}
		for uid, material := range known {
			require.Equal(t, material, get(t, admin, uid, 0).Material, "%s is another key now", uid)
		}
		for uid := range there { // answered or not, what is there is a whole key
			if !strings.HasPrefix(uid, "hsm::") {
				works(t, admin, uid)
			}
		}
		log := s.read("data/audit.jsonl") // which the server goes on writing: what is there may end within a line
		s.must(s.strongroomd("audit", "verify", s.write("audit copy", log[:bytes.LastIndexByte(log, '\n')+1])))
	}
	s.stop()
	s.must(s.strongroomd("audit", "verify", "--config", s.path("strongroom.toml")))
}

// TestKilledDuringAttributes: after a kill every object has the attributes of the last change that was answered, or of one
// that was not.
func TestKilledDuringAttributes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	const keys = 8
	var last [keys]atomic.Int64
	var wg sync.WaitGroup
	var uids [keys]string
	for i := range keys {
		uids[i] = create(t, admin, aes("").With(ttlv.TagComment, number(0)))
	}
	for i := range keys {
		wg.Go(func() {
			for n := int64(1); ; n++ {
				_, err := client.Do[kmip.ModifyAttributeResponse](t.Context(), admin, kmip.OperationModifyAttribute, &kmip.ModifyAttributeRequest{
					UniqueIdentifier: kmip.UniqueIdentifier(uids[i]), NewAttribute: kmip.Attributes{}.With(ttlv.TagComment, number(n)),
				})
				if err != nil {
					return
				}
				last[i].Store(n)
			}
		})
	}
	require.Eventually(t, func() bool { return last[keys-1].Load() > 10 }, time.Minute, time.Millisecond)
	s.kill()
	wg.Wait()
	s.serve()
	admin = s.client("admin", ttlv.V2_1)
	for i, uid := range uids {
		r := do[kmip.GetAttributesResponse](t, admin, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)})
		comment, _ := kmip.Get[string](r.Attributes, ttlv.TagComment)
		n := last[i].Load()
		require.Contains(t, []string{number(n), number(n + 1)}, comment)
	}
}

// number is a comment that counts.
func number(n int64) string { return "change " + strconv.FormatInt(n, 10) }

// rawCreate is an encoded Create.
func rawCreate(t *testing.T, v ttlv.Version) []byte {
	t.Helper()
	return message(t, v, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes("")})
}

// message encodes a request of one operation.
func message(t *testing.T, v ttlv.Version, op kmip.Operation, q any) []byte {
	t.Helper()
	payload, err := ttlv.Append(nil, v, ttlv.TagRequestPayload, q)
	require.NoError(t, err)
	m := &kmip.RequestMessage{
		RequestHeader: kmip.RequestHeader{ProtocolVersion: kmip.VersionOf(v), BatchCount: 1},
		BatchItem:     []kmip.RequestBatchItem{{Operation: op, RequestPayload: payload}},
	}
	b, err := ttlv.Append(nil, v, ttlv.TagRequestMessage, m)
	require.NoError(t, err)
	return b
}

// receive reads one whole answer. The error is io.EOF where the server closed between two answers.
func receive(c net.Conn) ([]byte, error) {
	header := make([]byte, 8)
	if _, err := io.ReadFull(c, header); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(header[4:]))
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return append(header, body...), nil
}

// TestStopFinishes: a server that is told to stop answers what it began, whole, and ends with 0.
func TestStopFinishes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	request := rawCreate(t, ttlv.V2_1)
	var mu sync.Mutex
	var uids []string
	idle := []*tls.Conn{s.dial("admin"), s.dial("admin")} // do not hold it up
	for _, c := range idle {
		_, err := c.Write(message(t, ttlv.V2_1, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{}))
		require.NoError(t, err)
		_, err = receive(c)
		require.NoError(t, err)
	}
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		c := s.dial("admin")
		wg.Go(func() {
			for {
				depth := 1 + i%4 // some send requests ahead
				if _, err := c.Write(bytes.Repeat(request, depth)); err != nil {
					return
				}
				for range depth {
					response, err := receive(c)
					if err != nil {
						if errors.Is(err, io.ErrUnexpectedEOF) {
							t.Errorf("an answer was cut off: %v", err)
						}
						return
					}
					var m kmip.ResponseMessage
					if err := ttlv.Unmarshal(response, ttlv.V2_1, ttlv.TagResponseMessage, &m, nil); err != nil {
						t.Error(err)
						return
					}
					var r kmip.CreateResponse
					if err := ttlv.Unmarshal(m.BatchItem[0].ResponsePayload, ttlv.V2_1, ttlv.TagResponsePayload, &r, nil); err != nil {
						t.Errorf("%v %s: %v", m.BatchItem[0].ResultReason, m.BatchItem[0].ResultMessage, err)
						return
					}
					answered.Add(1)
					mu.Lock()
					uids = append(uids, string(r.UniqueIdentifier))
					mu.Unlock()
				}
			}
		})
	}
	require.Eventually(t, func() bool { return answered.Load() > 64 }, time.Minute, time.Millisecond)
	process, exited := s.server, s.exited
	began := time.Now()
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	<-exited
	wg.Wait()
	require.Less(t, time.Since(began), 10*time.Second)
	require.True(t, process.ProcessState.Success(), "%v\n%s", process.ProcessState, s.log)
	for _, c := range idle {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "an idle connection was not closed in good order")
	}
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	for _, uid := range uids {
		require.Len(t, get(t, admin, uid, 0).Material, 32)
	}
	s.stop()
	lines := s.read("data/audit.jsonl")
	for _, uid := range uids {
		require.Contains(t, string(lines), uid, "a Create that was answered is not in the audit log")
	}
	s.must(s.strongroomd("audit", "verify", "--config", s.path("strongroom.toml")))
}
