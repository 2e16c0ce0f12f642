package server

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// BenchmarkNetwork is the hot path with its network: 8 clients that encrypt 64 bytes over mutual TLS, beside an echo of the
// same sizes over the same TLS. Server and clients share the cores.
func BenchmarkNetwork(b *testing.B) {
	g := newRig(b, Limits{})
	must[kmip.CreateResponse](b, g.client("alice", ttlv.V2_1), kmip.OperationCreate, aes("k"))
	request := message(b, kmip.OperationEncrypt, encrypt64, 1)
	c := g.dial("alice")
	_, err := c.Write(request)
	require.NoError(b, err)
	answer := make([]byte, 4096)
	n, err := c.Read(answer)
	require.NoError(b, err)
	b.Run("encrypt", func(b *testing.B) { exchangeAll(b, g, g.address, request, n) })
	b.Run("echo", func(b *testing.B) { exchangeAll(b, g, echo(b, g, len(request), answer[:n]), request, n) })
}

// echo answers every request of n bytes with the same bytes.
func echo(b *testing.B, g *rig, n int, answer []byte) string {
	l, err := tls.Listen("tcp", "127.0.0.1:0", g.server.Gate.Config())
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				defer c.Close()
				request := make([]byte, n)
				for {
					if _, err := io.ReadFull(c, request); err != nil {
						return
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}(c)
		}
	}()
	return l.Addr().String()
}

func exchangeAll(b *testing.B, g *rig, address string, request []byte, size int) {
	const clients = 8
	connections := make([]*tls.Conn, clients)
	for i := range connections {
		c, err := tls.Dial("tcp", address, g.tls("alice"))
		require.NoError(b, err)
		defer c.Close()
		connections[i] = c
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range connections {
		wg.Go(func() {
			answer := make([]byte, size)
			for range b.N/clients + min(1, max(0, b.N%clients-i)) {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(c, answer); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}
