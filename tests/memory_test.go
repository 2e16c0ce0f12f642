package tests

import (
	"crypto/rand"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// TestMemoryOfFailures sends what does not decrypt, fifty thousand times to an AES key in the token and five thousand to
// an RSA key (twenty times as many with STRONGROOM_LONG=1): modules and servers have leaked on that path.
func TestMemoryOfFailures(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	c := s.client("admin", ttlv.V2_1)
	create(t, c, aes("hsm::4::aes"))
	createPair(t, c, usable("hsm::4::rsa", kmip.CryptographicAlgorithmRSA, 2048))
	times, most := 1, 10*mib
	if os.Getenv("STRONGROOM_LONG") != "" {
		times, most = 20, 20*mib
	}
	garbage := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b[1:])
		return b
	}
	for _, x := range []struct {
		name        string
		first, then int
		q           func() *kmip.DecryptRequest
	}{
		{"AES", 5_000, 45_000, func() *kmip.DecryptRequest {
			return &kmip.DecryptRequest{UniqueIdentifier: "hsm::4::aes", CryptographicParameters: gcm, Data: garbage(64), IVCounterNonce: garbage(12), AuthenticatedEncryptionTag: garbage(16)}
		}},
		{"RSA", 500, 4_500, func() *kmip.DecryptRequest {
			return &kmip.DecryptRequest{UniqueIdentifier: "hsm::4::rsa", CryptographicParameters: oaep, Data: garbage(256)}
		}},
	} {
		fails(t, c, x.first, x.q)
		before := s.memory()
		fails(t, c, x.then*times, x.q)
		after := s.memory()
		t.Logf("%s: %d KiB after %d, %d KiB after %d", x.name, before>>10, x.first, after>>10, x.first+x.then*times)
		require.Less(t, after-before, most, x.name)
	}
	works(t, c, "hsm::4::aes")
	require.NotContains(t, s.log.String(), "token lost", "bad data is taken for a bad token")
}

// fails performs n decryptions that must fail, all with the one answer that tells nothing.
func fails(t *testing.T, c *client.Client, n int, q func() *kmip.DecryptRequest) {
	const batch = 100
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / batch / 4 {
				var items []*client.Item
				for range batch {
					items = append(items, &client.Item{Operation: kmip.OperationDecrypt, Request: q(), Response: new(kmip.DecryptResponse)})
				}
				if err := c.Batch(t.Context(), items...); err != nil {
					t.Error(err)
					return
				}
				for _, x := range items {
					e, answered := x.Err.(*client.Error)
					if !answered || e.Reason != kmip.ResultReasonCryptographicFailure || e.Error() != items[0].Err.Error() {
						t.Errorf("%v", x.Err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestMemoryAtRest: a server that has nothing to do is small.
func TestMemoryAtRest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	s.client("admin", ttlv.V2_1)
	n := s.memory()
	t.Logf("%d KiB", n>>10)
	require.Less(t, n, 60*mib)
}
