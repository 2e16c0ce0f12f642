package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
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

// A spy is OpenSC's PKCS#11 Spy, between the server and its token.
type spy struct {
	t   *testing.T
	out string
}

// spyOn puts a spy into a site's configuration.
func spyOn(s *site) *spy {
	s.t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/pkcs11-spy.so")
	if len(found) == 0 {
		s.t.Skip("PKCS#11 Spy is not installed (package opensc)")
	}
	p := &spy{s.t, filepath.Join(filepath.Dir(s.dir), "spy")}
	text := strings.Replace(string(s.read("strongroom.toml")), strconv.Quote(s.module()), strconv.Quote(found[0]), 1)
	env := regexp.MustCompile(`(?m)^(\s*env\s*=\s*\{)`)
	require.Regexp(s.t, env, text)
	text = env.ReplaceAllString(text, "$1 PKCS11SPY = "+strconv.Quote(s.module())+", PKCS11SPY_OUTPUT = "+strconv.Quote(p.out)+",")
	s.write("strongroom.toml", []byte(text))
	return p
}

// unwraps counts the calls by which the token has given a key back.
func (p *spy) unwraps() int {
	p.t.Helper()
	return p.count(": C_Decrypt\n") + p.count(": C_DecryptFinal\n") + p.count(": C_UnwrapKey\n")
}

// total counts all calls.
func (p *spy) total() int { return p.count(": C_") }

// count counts what the spy has written, such as "12: C_Decrypt" in a line of its own.
func (p *spy) count(call string) int {
	p.t.Helper()
	data, err := os.ReadFile(p.out)
	require.NoError(p.t, err)
	require.Contains(p.t, string(data[:min(len(data), 10_000)]), ": C_Initialize\n", "this is not what a spy writes")
	return bytes.Count(data, []byte(call))
}

// TestUnwrapOnce counts in the token: a database key is unwrapped for the first of a thousand requests, and again only after
// it lay unused for the configured time.
func TestUnwrapOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := spyOn(s)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	create(t, admin, aes("hsm::4::aes"))
	createPair(t, admin, usable("hsm::4::rsa", kmip.CryptographicAlgorithmRSA, 2048))
	create(t, admin, wrappedBy(aes("under-aes"), "hsm::4::aes"))
	create(t, admin, wrappedBy(aes("under-rsa"), "hsm::4::rsa_pk"))

	s.stop() // and with it goes what the server remembers
	s.serve("--unwrapped-cache-max-age", "0.02")
	const idle = 1200 * time.Millisecond
	admin = s.client("admin", ttlv.V2_1)
	for _, uid := range []string{"under-aes", "under-rsa"} {
		works(t, admin, uid) // connects to the token, too
		before := p.unwraps()
		require.Positive(t, before)
		time.Sleep(2 * idle)
		require.Equal(t, before, p.unwraps(), "something unwraps by itself")
		calls, last, longest := 0, time.Now(), time.Duration(0)
		for i := range 1000 {
			_, err := encrypt(t, admin, uid, []byte("data"))
			require.NoError(t, err)
			longest = max(longest, time.Since(last))
			last = time.Now()
			if i == 0 {
				require.Equal(t, before+1, p.unwraps(), "%s was not unwrapped anew after %v without use", uid, 2*idle)
				calls = p.total()
			}
		}
		if longest > idle/2 {
			t.Logf("the machine is slow (%v between two requests): unwraps are not counted", longest)
			continue
		}
		require.Equal(t, before+1, p.unwraps(), "%s is unwrapped more than once", uid)
		require.LessOrEqual(t, p.total(), calls+2, "requests with a key that is open speak to the token")
	}
}

// TestConcurrentUnwrapOnce: those who ask for a key while it is being unwrapped share that.
func TestConcurrentUnwrapOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := spyOn(s)
	s.serve()
	admin := s.client("admin", ttlv.V2_1)
	createPair(t, admin, usable("hsm::4::rsa", kmip.CryptographicAlgorithmRSA, 4096))
	create(t, admin, wrappedBy(aes("shared"), "hsm::4::rsa_pk"))
	s.stop()
	s.serve()
	admin = s.client("admin", ttlv.V2_1)
	do[kmip.GetAttributesResponse](t, admin, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "hsm::4::rsa_pk"}) // connects
	before := p.unwraps()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := encrypt(t, admin, "shared", []byte("data")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, before+1, p.unwraps())
}

// TestCacheEndsAtOnce: a key that is in memory is no longer used from the moment that it was revoked, destroyed, or that
// the grant was withdrawn; not even by requests that come in a stream.
func TestCacheEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := s.client("admin", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	create(t, admin, aes("hsm::4::kek"))
	for _, place := range []string{"", "hsm::4::"} {
		for name, end := range map[string]func(uid string){
			"revoked":   func(uid string) { revoke(t, admin, uid) },
			"withdrawn": func(uid string) { withdraw(t, admin, uid, "bob", kmip.OperationEncrypt) },
			"destroyed": func(uid string) {
				if place == "" {
					revoke(t, admin, uid)
				}
				destroy(t, admin, uid)
			},
		} {
			t.Run(place+name, func(t *testing.T) {
				a := aes(place + name)
				if place == "" {
					a = wrappedBy(a, "hsm::4::kek")
				}
				uid := create(t, admin, a)
				grant(t, admin, uid, "bob", kmip.OperationEncrypt, kmip.OperationGetAttributes)
				var ended, stop atomic.Bool
				var late, good atomic.Int64
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for !stop.Load() {
							began := ended.Load()
							if _, err := encrypt(t, bob, uid, []byte("data")); err == nil {
								good.Add(1)
								if began {
									late.Add(1)
								}
							}
						}
					})
				}
				require.Eventually(t, func() bool { return good.Load() > 50 }, time.Minute, time.Millisecond)
				end(uid)
				ended.Store(true)
				_, err := encrypt(t, bob, uid, []byte("the very next"))
				require.Error(t, err)
				if name == "destroyed" {
					require.Error(t, perform(t, admin, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: kmip.UniqueIdentifier(uid)}))
				}
				time.Sleep(100 * time.Millisecond) // let the stream try
				stop.Store(true)
				wg.Wait()
				require.Zero(t, late.Load(), "requests that began after the answer were performed")
			})
		}
	}
}
