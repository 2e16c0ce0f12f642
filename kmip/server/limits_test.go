package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestStrangersCutOffOneAnother shows that clients which never shake hands keep nobody out, however many they are.
func TestStrangersCutOffOneAnother(t *testing.T) {
	g := newRig(t, Limits{Connections: 8, HandshakeTimeout: time.Minute})
	var silent []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", g.address)
		require.NoError(t, err)
		defer c.Close()
		silent = append(silent, c)
	}
	must[kmip.WhoAmIResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
	require.NoError(t, silent[0].SetReadDeadline(time.Now().Add(time.Minute)))
	_, err := silent[0].Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the oldest was cut off")
}

// TestConnectionLimits shows the limits on connections of known clients.
func TestConnectionLimits(t *testing.T) {
	g := newRig(t, Limits{Connections: 3, ConnectionsPerIdentity: 2})
	served := func(identity string) bool {
		c := g.dial(identity)
		_, err := c.Write(messageAt(t, ttlv.V2_1, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{}, 1))
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		return err == nil
	}
	require.True(t, served("alice"))
	require.True(t, served("alice"))
	require.False(t, served("alice"), "a third of one identity")
	require.True(t, served("bob"))
	require.False(t, served("carol"), "a fourth of all")
}
