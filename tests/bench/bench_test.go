package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// answerOf encodes an answer of items with these statuses.
func answerOf(t *testing.T, statuses ...kmip.ResultStatus) []byte {
	t.Helper()
	m := kmip.ResponseMessage{ResponseHeader: kmip.ResponseHeader{
		ProtocolVersion: kmip.VersionOf(ttlv.V2_1), TimeStamp: time.Now(), BatchCount: int32(len(statuses)),
	}}
	for _, s := range statuses {
		m.BatchItem = append(m.BatchItem, kmip.ResponseBatchItem{Operation: kmip.OperationEncrypt, ResultStatus: s})
	}
	answer, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagResponseMessage, &m)
	require.NoError(t, err)
	return answer
}

func TestExchangeRefusesFailure(t *testing.T) {
	const success, failed = kmip.ResultStatusSuccess, kmip.ResultStatusOperationFailed
	x, err := newExchange(nil, answerOf(t, success, success), 2)
	require.NoError(t, err)
	require.NoError(t, x.check(answerOf(t, success, success)))
	require.ErrorContains(t, x.check(answerOf(t, success, failed)), "not carried out")
	require.ErrorContains(t, x.check(answerOf(t, success)), "bytes, must be")

	_, err = newExchange(nil, answerOf(t, success, failed), 2)
	require.ErrorContains(t, err, "1 successful items, must be 2")
}

func TestSampleKeepsTheDistribution(t *testing.T) {
	one, other := newSample(), newSample()
	for i := range 10 * sampleSize {
		one.add(time.Duration(i))
	}
	for i := range 100 {
		other.add(time.Duration(i))
	}
	require.LessOrEqual(t, len(one.values), sampleSize)
	all := merge([]*sample{one, other})
	require.Equal(t, one.every, other.every)
	require.InDelta(t, 5*sampleSize, int(quantile(all, 0.5)), sampleSize/50)
	require.InDelta(t, 9.9*sampleSize, int(quantile(all, 0.99)), sampleSize/50)
	require.Zero(t, quantile(nil, 0.5))
}

func TestJudge(t *testing.T) {
	r := row{Figure: 10, Memory: 100, Floors: []float64{10, 30}}
	require.Equal(t, 20.0, r.floor())
	require.True(t, r.noisy())
	r.judge(figureAtLeast(10, "op/s"), memoryAtMost(99))
	require.Equal(t, []verdict{{"≥ 10 op/s", true}, {"memory ≤ 99 MB", false}}, r.Targets)
	report := report{Rows: []*row{&r}}
	missed, all := report.missed()
	require.Equal(t, [2]int{1, 2}, [2]int{missed, all})
	require.Equal(t, []string{"", "1.23", "12.3", "123", "1,234,567"},
		[]string{figure(0), figure(1.234), figure(12.34), figure(123.4), figure(1234567)})
}

func TestProcess(t *testing.T) {
	p := process{os.Getpid()}
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
	}
	cpu, err := p.cpu()
	require.NoError(t, err)
	require.Positive(t, cpu)
	resident, err := p.memory("VmRSS")
	require.NoError(t, err)
	most, err := p.memory("VmHWM")
	require.NoError(t, err)
	require.GreaterOrEqual(t, most, resident)
	require.Greater(t, resident, int64(1<<20))
}

// TestLoadOnEcho puts a load on the echo, with requests that come in pieces.
func TestLoadOnEcho(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "echo"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(leaf)

	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	require.NoError(t, err)
	done := make(chan error, 2)
	go func() {
		for range cap(done) {
			conn, err := l.Accept()
			if err != nil {
				done <- err
				continue
			}
			go func() {
				defer conn.Close()
				e := echo{conn: conn.(*tls.Conn), in: make([]byte, 64)}
				done <- e.run()
			}()
		}
	}()
	defer l.Close()
	x, err := newExchange(answerOf(t, kmip.ResultStatusSuccess), answerOf(t, kmip.ResultStatusSuccess, kmip.ResultStatusSuccess), 2)
	require.NoError(t, err)
	load := &load{
		address: l.Addr().String(), tls: &tls.Config{RootCAs: pool, ServerName: "localhost"}, mix: []*exchange{x}, connections: 2, depth: 5,
		duration: 50 * time.Millisecond, prime: true, process: process{os.Getpid()},
	}
	o, err := load.run(t.Context())
	require.NoError(t, err)
	require.Positive(t, o.rate())
	require.Zero(t, o.operations%2)
	require.NotEmpty(t, o.latencies)
	for range cap(done) {
		err := <-done
		require.True(t, errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed), "%v", err)
	}
}
