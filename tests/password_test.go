package tests

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// TestPasswords has an operator ask one client for a password, with the built programs, while the server runs.
func TestPasswords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("array")
	config := s.path("strongroom.toml")
	text := strings.Replace(string(s.read("strongroom.toml")), "[kmip]\n", "[kmip]\npasswords = \"passwords.toml\"\n", 1)
	s.write("strongroom.toml", []byte(text))
	require.Contains(t, s.refused(s.strongroomd("serve", "--config", config)), "kmip.passwords")
	said := s.write("said.txt", []byte("s3cret\n"))
	password := func(args ...string) {
		t.Helper()
		s.must(s.strongroomd(append([]string{"client", "password", "array", "--username", "unit", "--config", config}, args...)...))
	}
	password("--password-file", said)
	password("--remove")
	s.serve()

	bare := s.client("array", ttlv.V1_2)
	require.NoError(t, perform(t, bare, kmip.OperationLocate, &kmip.LocateRequest{}))
	password("--password-file", said)
	require.NoError(t, s.server.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return perform(t, bare, kmip.OperationLocate, &kmip.LocateRequest{}) != nil }, time.Minute, 50*time.Millisecond)
	require.Equal(t, kmip.ResultReasonAuthenticationNotSuccessful, refusal(t, perform(t, bare, kmip.OperationLocate, &kmip.LocateRequest{})).Reason)
	require.NoError(t, perform(t, s.client("admin", ttlv.V1_2), kmip.OperationLocate, &kmip.LocateRequest{}), "others are not asked")

	strongroom := func(args ...string) result {
		return s.exec(nil, bin+"/strongroom", append([]string{"--config", s.path("clients", "array.toml")}, args...)...)
	}
	s.must(strongroom("server", "status", "--username", "unit", "--password-file", said))
	require.Contains(t, s.refused(strongroom("server", "status")), "credential")
	wrong := s.write("wrong.txt", []byte("s3crets"))
	require.Contains(t, s.refused(strongroom("server", "status", "--username", "unit", "--password-file", wrong)), "AuthenticationNotSuccessful")
	s.write("clients/array.toml", append(s.read("clients/array.toml"), "username = \"unit\"\npassword_file = \"../said.txt\"\n"...))
	s.must(strongroom("sym", "keys", "create", "k"))

	require.NotContains(t, s.log.String(), "s3cret")
	audit, err := os.ReadFile(s.path("data", "audit.jsonl"))
	require.NoError(t, err)
	require.NotContains(t, string(audit), "s3cret")
}

// TestTicketsOfAnArray logs in with a password, goes on with the ticket, and delegates.
func TestTicketsOfAnArray(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("array")
	s.addClient("helper")
	s.write("strongroom.toml", []byte(strings.Replace(string(s.read("strongroom.toml")), "[kmip]\n", "[kmip]\npasswords = \"passwords.toml\"\n", 1)))
	s.must(s.strongroomd("client", "password", "array", "--config", s.path("strongroom.toml"), "--password-file", s.write("said.txt", []byte("s3cret"))))
	s.serve()
	in := func(name string, kind kmip.CredentialType, value any) *client.Client {
		raw, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagCredentialValue, value)
		require.NoError(t, err)
		c, err := client.Dial(t.Context(), client.Config{Address: s.address, TLS: s.tls(name), Credentials: []kmip.Credential{{CredentialType: kind, CredentialValue: raw}}})
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := in("array", kmip.CredentialTypeUsernameAndPassword, &kmip.UsernameAndPassword{Username: "array", Password: "s3cret"})
	login, err := client.Do[kmip.LoginResponse](t.Context(), c, kmip.OperationLogin, &kmip.LoginRequest{})
	require.NoError(t, err)
	c2 := in("array", kmip.CredentialTypeTicket, &kmip.TicketCredential{Ticket: login.Ticket})
	uid := create(t, c2, aes("mine"))
	right := kmip.Right{Operations: &kmip.Operations{Operation: []kmip.Operation{kmip.OperationEncrypt}}, Objects: &kmip.Objects{UniqueIdentifier: []kmip.UniqueIdentifier{kmip.UniqueIdentifier(uid)}}}
	delegated, err := client.Do[kmip.DelegatedLoginResponse](t.Context(), c, kmip.OperationDelegatedLogin, &kmip.DelegatedLoginRequest{Rights: kmip.Rights{Right: []kmip.Right{right}}})
	require.NoError(t, err)
	helper := in("helper", kmip.CredentialTypeTicket, &kmip.TicketCredential{Ticket: delegated.Ticket})
	require.NoError(t, perform(t, helper, kmip.OperationEncrypt, requests[kmip.OperationEncrypt](kmip.UniqueIdentifier(uid))))
	require.Equal(t, kmip.ResultReasonPermissionDenied, refusal(t, perform(t, helper, kmip.OperationGet, requests[kmip.OperationGet](kmip.UniqueIdentifier(uid)))).Reason)
	require.NoError(t, perform(t, c2, kmip.OperationLogout, &kmip.LogoutRequest{Ticket: delegated.Ticket}))
	require.Equal(t, kmip.ResultReasonInvalidTicket, refusal(t, perform(t, helper, kmip.OperationEncrypt, requests[kmip.OperationEncrypt](kmip.UniqueIdentifier(uid)))).Reason)
}
