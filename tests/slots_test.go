package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// addSlots gives a site a second token of its module, slot 5, and a second module with a token, slot 6: a copy of the library, in a
// process of its own, with another environment.
func addSlots(t *testing.T, s *site) (config string) {
	t.Helper()
	pin := strings.TrimSpace(string(s.read("hsm-4.pin")))
	other := filepath.Join(s.dir, "other")
	require.NoError(t, os.MkdirAll(filepath.Join(other, "tokens"), 0o700))
	conf := s.write("other/softhsm2.conf", fmt.Appendf(nil, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", other))
	for token, conf := range map[string]string{"second": s.path("softhsm", "softhsm2.conf"), "third": conf} {
		s.must(s.exec([]string{"SOFTHSM2_CONF=" + conf}, "softhsm2-util", "--init-token", "--free", "--label", token, "--so-pin", "12345678", "--pin", pin))
	}
	library, err := os.ReadFile(s.module())
	require.NoError(t, err)
	copied := filepath.Join(other, "libsecond.so")
	require.NoError(t, os.WriteFile(copied, library, 0o700))
	s.write("strongroom.toml", fmt.Appendf(s.read("strongroom.toml"), `
  [[hsm.slot]]
  number = 5
  token_label = "second"
  pin_file = "hsm-4.pin"
  admins = ["keeper"]

[[hsm]]
library = %q
env = { SOFTHSM2_CONF = %q }
isolation = "process"

  [[hsm.slot]]
  number = 6
  pin_file = "hsm-4.pin"
`, copied, conf))
	return string(s.read("strongroom.toml"))
}

// TestSlotsAndModules: two tokens of one module and one of another, each with its administrators.
func TestSlotsAndModules(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	config := addSlots(t, s)
	s.addClient("keeper")
	s.addClient("bob")
	s.serve()
	admin, keeper, bob := s.client("admin", ttlv.V2_1), s.client("keeper", ttlv.V2_1), s.client("bob", ttlv.V2_1)
	makes := func(c *client.Client, uid string) error {
		return perform(t, c, kmip.OperationCreate, &kmip.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: aes(uid)})
	}
	require.NoError(t, makes(admin, "hsm::4::k"))
	require.NoError(t, makes(keeper, "hsm::5::k"))
	require.NoError(t, makes(admin, "hsm::6::k"), "the only token of its module, %s", s.log)
	for uid, c := range map[string]*client.Client{"hsm::4::x": keeper, "hsm::5::x": admin, "hsm::6::x": keeper} {
		e := refusal(t, makes(c, uid))
		require.Equal(t, kmip.ResultReasonPermissionDenied, e.Reason, uid)
		require.ErrorContains(t, e, "may not create keys in slot "+uid[5:6], "who may in another slot hears which it is")
	}
	works(t, admin, "hsm::4::k")
	works(t, keeper, "hsm::5::k")
	works(t, admin, "hsm::6::k")
	_, err := encrypt(t, admin, "hsm::5::k", []byte("x"))
	require.ErrorIs(t, err, kmip.ErrNotFound, "another's token")
	require.ElementsMatch(t, []string{"hsm::4::k", "hsm::6::k"}, locate(t, admin))
	require.Equal(t, []string{"hsm::5::k"}, locate(t, keeper))
	require.Empty(t, locate(t, bob))
	owned := do[kmip.ListAccessResponse](t, keeper, kmip.OperationListAccess, &kmip.ListAccessRequest{Owned: true})
	require.Len(t, owned.AccessEntry, 1)
	require.True(t, do[kmip.WhoAmIResponse](t, keeper, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{}).HSMAdmin)
	grant(t, keeper, "hsm::5::k", "bob", kmip.OperationEncrypt)
	require.NoError(t, errorOf(encrypt(t, bob, "hsm::5::k", []byte("x"))))
	require.Equal(t, []string{"hsm::5::k"}, locate(t, bob))

	// A key of one token wraps none of another.
	e := refusal(t, perform(t, admin, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: "hsm::5::k", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}}))
	require.Equal(t, kmip.ResultReasonObjectNotFound, e.Reason)

	// SIGHUP reads the administrators again.
	s.write("strongroom.toml", []byte(strings.Replace(config, `["keeper"]`, `["admin"]`, 1)))
	require.NoError(t, s.server.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return makes(admin, "hsm::5::y") == nil }, time.Minute, 20*time.Millisecond)
	require.Equal(t, kmip.ResultReasonPermissionDenied, refusal(t, makes(keeper, "hsm::5::z")).Reason)

	// However the slot finds its token, the keys keep their identifiers.
	s.stop()
	serial := ""
	for line := range strings.Lines(s.must(s.strongroomd("hsm", "slots", "--config", s.path("strongroom.toml")))) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == "second" {
			serial = f[2]
		}
	}
	require.NotEmpty(t, serial)
	s.write("strongroom.toml", []byte(strings.Replace(config, `token_label = "second"`, fmt.Sprintf("token_serial = %q", serial), 1)))
	s.serve()
	works(t, s.client("keeper", ttlv.V2_1), "hsm::5::k")
	s.stop()
	s.write("strongroom.toml", []byte(strings.Replace(config, `token_label = "second"`, fmt.Sprintf("token_serial = %q\ntoken_label = \"strongroom\"", serial), 1)))
	s.serve()
	_, err = encrypt(t, s.client("keeper", ttlv.V2_1), "hsm::5::k", []byte("x"))
	require.ErrorContains(t, err, "contradict one another")
	works(t, s.client("admin", ttlv.V2_1), "hsm::4::k")
}
