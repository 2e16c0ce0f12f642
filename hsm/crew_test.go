package hsm

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
)

// crewed is a crew of a library, and the server's end of its socket.
func crewed(t *testing.T, l *library) (c *crew, rest, server net.Conn) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	f := os.NewFile(uintptr(pair[0]), "server")
	server, err = net.FileConn(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	t.Cleanup(func() { server.Close() })
	c, rest, err = newCrew(l, pair[1])
	require.NoError(t, err)
	t.Cleanup(func() { rest.Close() })
	return c, rest, server
}

// operation is a call of Encrypt, without the head of the message.
func operation(m *mechanism, input []byte, room uint) []byte {
	w := begin(0)
	w = append(w, byte(fnEncrypt))
	w.uint(uint(1) << 40) // a session that there is not
	w.mechanism(m)
	w.uint(2)
	w.bytes(input)
	w.uint(room)
	return w[8:]
}

// TestCrew: it answers what it makes, in the order of nothing but the calls' ends, and leaves what it does not make to Go, as it is:
// other functions, and what is torn.
func TestCrew(t *testing.T) {
	if softHSM.library == "" {
		t.Skip("SoftHSM is not installed")
	}
	l, err := openLibrary(softHSM.library, &Module{})
	require.NoError(t, err)
	c, rest, server := crewed(t, l)
	post, answers, left := postbox{to: server}, newMailbox(server), newMailbox(rest)
	sent := func(number uint32, b []byte) { require.NoError(t, post.send(append(begin(number), b...).end())) }
	gcm := &mechanism{Type: pkcs11.CKM_AES_GCM, Parameter: parameterGCM, IV: make([]byte, 12), Extra: []byte("aad")}
	whole := operation(gcm, []byte("data"), 100)

	for n := range uint32(300) { // in lanes, and then without
		sent(n, whole)
		number, r, err := answers.next()
		require.NoError(t, err)
		require.Equal(t, n, number)
		var ck ckError
		require.ErrorAs(t, r.error(), &ck)
		require.Contains(t, []uint{pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED}, ck.rv)
		require.False(t, ck.begun)
		require.Empty(t, r.b)
	}

	odd := *gcm
	odd.Parameter = parameterPSS + 1
	huge := operation(gcm, []byte("data"), longestMessage+1)
	messages := [][]byte{append(append([]byte{}, whole...), 0), operation(&odd, nil, 1), huge, {}, {byte(fnInfo)}, {255}, append([]byte{byte(fnFind)}, make([]byte, 200_000)...)}
	for n := 1; n < len(whole); n++ {
		messages = append(messages, whole[:n])
	}
	w := &worker{lib: l}
	for i, b := range messages {
		sent(uint32(i), b)
		number, r, err := left.next()
		require.NoError(t, err)
		require.EqualValues(t, i, number)
		require.Equal(t, append([]byte{}, b...), append([]byte{}, r.b...))
		if len(b) > 0 && b[0] == byte(fnEncrypt) {
			a := &reading{b: w.answer(number, r).end()[8:]}
			require.ErrorContains(t, a.error(), "torn", "%d bytes", len(b))
		}
	}

	_, err = c.Write(append(begin(7), "from Go"...).end())
	require.NoError(t, err)
	number, r, err := answers.next()
	require.NoError(t, err)
	require.EqualValues(t, 7, number)
	require.Equal(t, "from Go", string(r.b))

	require.NoError(t, server.Close())
	_, _, err = left.next()
	require.ErrorIs(t, err, io.EOF)
	c.wait()
	_, err = c.Write(append(begin(8), "too late"...).end())
	require.ErrorIs(t, err, syscall.EPIPE)
}

// TestCrewWithoutLibrary: without one, everything is left to Go, which knows why there is none.
func TestCrewWithoutLibrary(t *testing.T) {
	_, rest, server := crewed(t, nil)
	b := operation(&mechanism{}, nil, 1)
	_, err := server.Write(append(begin(1), b...).end())
	require.NoError(t, err)
	_, r, err := newMailbox(rest).next()
	require.NoError(t, err)
	require.Equal(t, b, r.b)
}

// TestCrewRefusesTheSenseless: a length that no message has ends it.
func TestCrewRefusesTheSenseless(t *testing.T) {
	for _, head := range [][]byte{{0, 0, 0, 3, 0, 0, 0, 0}, {0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}} {
		_, rest, server := crewed(t, nil)
		_, err := server.Write(head)
		require.NoError(t, err)
		_, err = rest.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

// A call that hangs in a module that waits for a device keeps none of the others, though it was alone for long.
func TestCrewReadsOn(t *testing.T) {
	if softHSM.library == "" {
		t.Skip("SoftHSM is not installed")
	}
	shim := hsmtest.New(t, softHSM.library)
	require.NoError(t, environment([]Module{{Library: shim.Library, Env: shim.Env}}))
	l, err := openLibrary(shim.Library, &Module{})
	require.NoError(t, err)
	_, _, server := crewed(t, l)
	post, answers := postbox{to: server}, newMailbox(server)
	whole := operation(&mechanism{Type: pkcs11.CKM_AES_GCM, Parameter: parameterGCM, IV: make([]byte, 12)}, []byte("data"), 100)
	sent := func(number uint32) { require.NoError(t, post.send(append(begin(number), whole...).end())) }
	for n := range uint32(3 * crowd) {
		sent(n)
		_, _, err := answers.next()
		require.NoError(t, err)
	}
	shim.Do("EncryptInit", hsmtest.Hang, 0, 0, 1)
	t.Cleanup(shim.Heal)
	calls := shim.Calls("EncryptInit")
	sent(1)
	require.Eventually(t, func() bool { return shim.Calls("EncryptInit") > calls }, time.Minute, time.Millisecond)
	sent(2)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(10*time.Second)))
	number, _, err := answers.next()
	require.NoError(t, err)
	require.EqualValues(t, 2, number)
}

// Calls that come together run together, where there are enough lanes: none waits for another that takes long.
func TestCrewRunsTogether(t *testing.T) {
	if softHSM.library == "" {
		t.Skip("SoftHSM is not installed")
	}
	shim := hsmtest.New(t, softHSM.library)
	require.NoError(t, environment([]Module{{Library: shim.Library, Env: shim.Env}}))
	l, err := openLibrary(shim.Library, &Module{})
	require.NoError(t, err)
	_, _, server := crewed(t, l)
	answers := newMailbox(server)
	const delay = 300 * time.Millisecond
	shim.Delay(delay, "EncryptInit")
	whole := operation(&mechanism{Type: pkcs11.CKM_AES_GCM, Parameter: parameterGCM, IV: make([]byte, 12)}, []byte("data"), 100)
	for _, together := range []int{1, 2, 3, 4} {
		var messages []byte
		for n := range together {
			messages = append(messages, append(begin(uint32(n)), whole...).end()...)
		}
		began := time.Now()
		_, err := server.Write(messages)
		require.NoError(t, err)
		for range together {
			_, _, err := answers.next()
			require.NoError(t, err)
		}
		require.Less(t, time.Since(began), delay*19/10, "%d calls", together)
	}
}
