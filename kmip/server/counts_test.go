package server

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// of is what was counted of an operation.
func (n *Counts) of(op kmip.Operation) OperationCounts {
	for _, o := range n.Operations {
		if o.Operation == op {
			return o
		}
	}
	return OperationCounts{}
}

// failed is how many operations failed for a reason.
func (n *Counts) failed(reason kmip.ResultReason) uint64 {
	for _, f := range n.Failures {
		if f.Reason == reason {
			return f.Count
		}
	}
	return 0
}

// TestCountsOperations counts every operation once, whatever came of it.
func TestCountsOperations(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("k"))
	for range 3 {
		must[kmip.GetResponse](t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"})
	}
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, g.client("bob", ttlv.V2_1), kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"}))
	require.Equal(t, kmip.ResultReasonOperationNotSupported, reason(t, alice, kmip.OperationPut, &kmip.GetRequest{UniqueIdentifier: "k"}))

	n := g.server.Counts()
	get, total := n.of(kmip.OperationGet), uint64(0)
	require.EqualValues(t, 4, get.Count)
	require.EqualValues(t, 1, get.Failed)
	require.Positive(t, get.Duration)
	for _, c := range get.Classes {
		total += c
	}
	require.Equal(t, get.Count, total)
	require.EqualValues(t, 1, n.of(kmip.OperationCreate).Count)
	other := n.Operations[len(n.Operations)-1]
	require.Equal(t, []any{kmip.Operation(0), uint64(1), uint64(1)}, []any{other.Operation, other.Count, other.Failed})
	require.EqualValues(t, 1, n.failed(kmip.ResultReasonObjectNotFound))
	require.EqualValues(t, 1, n.failed(kmip.ResultReasonOperationNotSupported))
	require.Zero(t, n.failed(kmip.ResultReasonGeneralFailure))
	require.Equal(t, 2, n.Connections)
	require.EqualValues(t, 2, n.Accepted)
	require.GreaterOrEqual(t, n.Messages, uint64(6))
	require.Zero(t, n.MessagesRefused)
	require.Zero(t, n.Panics)
	require.Zero(t, n.InFlight+n.Queued)
}

// TestCountsRefusals counts what never came to an operation.
func TestCountsRefusals(t *testing.T) {
	g := newRig(t, Limits{ConnectionsPerIdentity: 1, RequestsPerSecond: 0.001})
	c := g.dial("alice")
	ask := message(t, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{}, 1)
	for range 2 {
		_, err := c.Write(ask)
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 4096))
		require.NoError(t, err)
	}
	n := g.server.Counts()
	require.EqualValues(t, 1, n.MessagesRefused)
	require.EqualValues(t, 1, n.RateLimited)

	gone := func(c net.Conn) {
		t.Helper()
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
	}
	gone(g.dial("alice"))
	plain, err := net.Dial("tcp", g.address)
	require.NoError(t, err)
	defer plain.Close()
	_, err = plain.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	require.NoError(t, err)
	for err == nil { // an alert may come first
		require.NoError(t, plain.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = plain.Read(make([]byte, 64))
	}
	g.server.Gate.Lock(&kmip.Error{Reason: kmip.ResultReasonGeneralFailure, Message: "locked"})
	_, err = tls.Dial("tcp", g.address, g.tls("bob"))
	require.Error(t, err)
	require.True(t, g.server.Gate.Locked())
	require.Eventually(t, func() bool {
		return g.server.Counts().ConnectionsRefused == [len(causes)]uint64{CauseHandshake: 1, CauseLocked: 1, CauseLimit: 1}
	}, 20*time.Second, time.Millisecond, "%v", g.server.Counts().ConnectionsRefused)
}

// TestCountsUndone counts what a batch took back, beside what it did.
func TestCountsUndone(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	raw, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestPayload, aes("twice"))
	require.NoError(t, err)
	m := kmip.RequestMessage{RequestHeader: kmip.RequestHeader{
		ProtocolVersion: kmip.VersionOf(ttlv.V2_1), BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionUndo, BatchCount: 2,
	}}
	for i := range 2 {
		m.BatchItem = append(m.BatchItem, kmip.RequestBatchItem{Operation: kmip.OperationCreate, UniqueBatchItemID: []byte{byte(i)}, RequestPayload: raw})
	}
	data, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestMessage, &m)
	require.NoError(t, err)
	_, err = c.Write(data)
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 4096))
	require.NoError(t, err)
	n := g.server.Counts()
	require.EqualValues(t, 1, n.Undone)
	require.EqualValues(t, 2, n.of(kmip.OperationCreate).Count)
	require.EqualValues(t, 1, n.of(kmip.OperationCreate).Failed)
}

// TestTallyClasses puts durations where they belong, also at the ends.
func TestTallyClasses(t *testing.T) {
	one := make(tally, 1)
	durations := []time.Duration{-1, 0, DurationBounds[0], DurationBounds[0] + 1, DurationBounds[1], time.Hour}
	for _, d := range durations {
		one.add(nil, d, false)
	}
	var n OperationCounts
	n.count(one, 0)
	require.EqualValues(t, len(durations), n.Count)
	require.EqualValues(t, 3, n.Classes[0])
	require.EqualValues(t, 2, n.Classes[1])
	require.EqualValues(t, 1, n.Classes[len(DurationBounds)])
	require.IsIncreasing(t, DurationBounds[:])
}

// TestAuditCounts tells of lines, queued and written.
func TestAuditCounts(t *testing.T) {
	g := newRig(t, Limits{})
	s := g.server.Audit.Stream()
	defer s.Close()
	before := g.server.Audit.Counts()
	require.False(t, before.Stuck)
	s.Write(&Event{Time: time.Now(), Identity: "alice", Operation: kmip.OperationGet})
	require.Eventually(t, func() bool {
		n := g.server.Audit.Counts()
		return n.Lines == before.Lines+1 && n.Queued == 0
	}, 20*time.Second, time.Millisecond)
	require.Zero(t, (*Audit)(nil).Counts())
}

// BenchmarkTally is what counting costs an operation.
func BenchmarkTally(b *testing.B) {
	t := newTallies()
	op := &operation{index: 3}
	b.RunParallel(func(p *testing.PB) {
		mine := t.accept()
		for p.Next() {
			mine.add(op, 40*time.Microsecond, false)
		}
	})
}
