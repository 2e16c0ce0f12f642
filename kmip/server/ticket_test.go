package server

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/authz/password"
	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/ttlv"
)

// credential is one as a client is configured with it.
func credential(t testing.TB, kind kmip.CredentialType, value any) *kmip.Credential {
	t.Helper()
	raw, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagCredentialValue, value)
	require.NoError(t, err)
	return &kmip.Credential{CredentialType: kind, CredentialValue: raw}
}

func withTicket(t testing.TB, k kmip.Ticket) *kmip.Credential {
	return credential(t, kmip.CredentialTypeTicket, &kmip.TicketCredential{Ticket: k})
}

func withPassword(t testing.TB, username, word string) *kmip.Credential {
	return credential(t, kmip.CredentialTypeUsernameAndPassword, &kmip.UsernameAndPassword{Username: username, Password: word})
}

// clientWith speaks with credentials in each request.
func (g *rig) clientWith(identity string, v ttlv.Version, credentials ...*kmip.Credential) *client.Client {
	g.t.Helper()
	config := client.Config{Address: g.address, TLS: g.tls(identity), Version: v}
	for _, c := range credentials {
		config.Credentials = append(config.Credentials, *c)
	}
	c, err := client.Dial(g.t.Context(), config)
	require.NoError(g.t, err)
	g.t.Cleanup(func() { c.Close() })
	return c
}

// ticket logs in.
func (g *rig) ticket(c *client.Client, q *kmip.LoginRequest) kmip.Ticket {
	return must[kmip.LoginResponse](g.t, c, kmip.OperationLogin, q).Ticket
}

func (g *rig) delegate(c *client.Client, rights ...kmip.Right) kmip.Ticket {
	return must[kmip.DelegatedLoginResponse](g.t, c, kmip.OperationDelegatedLogin, &kmip.DelegatedLoginRequest{Rights: kmip.Rights{Right: rights}}).Ticket
}

func operationsOf(list ...kmip.Operation) *kmip.Operations { return &kmip.Operations{Operation: list} }

func objectsOf(list ...kmip.UniqueIdentifier) *kmip.Objects {
	return &kmip.Objects{UniqueIdentifier: list}
}

func interval(t testing.TB, seconds uint32) ttlv.Raw {
	var e ttlv.Encoder
	e.Reset(nil, ttlv.V2_1)
	e.Interval(ttlv.TagLeaseTime, ttlv.Interval(seconds))
	return e.Bytes()
}

// needPassword has the requests of an identity need a credential.
func (g *rig) needPassword(identity, username, word string) {
	g.t.Helper()
	hash, err := password.New([]byte(word))
	require.NoError(g.t, err)
	table, err := password.NewTable([]password.User{{Identity: identity, Username: username, Password: hash, HashedPassword: password.HashOf(username, []byte(word))}})
	require.NoError(g.t, err)
	credentials := g.server.Gate.state.Load().Credentials
	credentials.Passwords = table
	g.server.Gate.Replace(credentials)
}

func TestCredentials(t *testing.T) {
	g := newRig(t, Limits{})
	wrong := withPassword(t, "unit", "wrong")
	for _, v := range kmip.Versions {
		require.NoError(t, query(t, g.clientWith("array", v, wrong)), "credentials of who needs none are not looked at")
	}
	g.needPassword("array", "unit", "s3cret")
	for _, v := range kmip.Versions {
		require.NoError(t, query(t, g.clientWith("array", v, withPassword(t, "unit", "s3cret"))))
		require.NoError(t, query(t, g.clientWith("other", v, wrong)))
	}
	device := credential(t, kmip.CredentialTypeDevice, &kmip.DeviceCredential{DeviceIdentifier: "unit", Password: "s3cret"})
	require.NoError(t, query(t, g.clientWith("array", ttlv.V1_2, device)))
	attestation := credential(t, kmip.CredentialTypeAttestation, &struct{}{})
	require.NoError(t, query(t, g.clientWith("array", ttlv.V1_2, attestation, device)))
	for name, c := range map[string]*client.Client{
		"none":        g.client("array", ttlv.V2_1),
		"wrong":       g.clientWith("array", ttlv.V1_0, wrong),
		"attestation": g.clientWith("array", ttlv.V1_4, attestation),
		"one of two":  g.clientWith("array", ttlv.V1_4, withPassword(t, "unit", "s3cret"), wrong),
	} {
		require.Equal(t, kmip.ResultReasonAuthenticationNotSuccessful, reasonOf(t, query(t, c)), name)
	}
	require.Equal(t, kmip.ResultReasonInvalidField, reasonOf(t, query(t, g.clientWith("array", ttlv.V1_0, device))), "KMIP 1.0 has none")
}

// query asks a small thing.
func query(t testing.TB, c *client.Client) error {
	_, err := client.Do[kmip.QueryResponse](t.Context(), c, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryServerInformation}})
	return err
}

func reasonOf(t testing.TB, err error) kmip.ResultReason {
	t.Helper()
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	return refused.Reason
}

// TestWrongPasswordFailsEveryItem, each under its own name.
func TestWrongPasswordFailsEveryItem(t *testing.T) {
	g := newRig(t, Limits{})
	g.needPassword("array", "unit", "s3cret")
	c := g.clientWith("array", ttlv.V1_4, withPassword(t, "unit", "wrong"))
	items := []*client.Item{
		{Operation: kmip.OperationCreate, Request: aes("made"), Response: new(kmip.CreateResponse)},
		{Operation: kmip.OperationLocate, Request: &kmip.LocateRequest{}, Response: new(kmip.LocateResponse)},
	}
	require.NoError(t, c.Batch(t.Context(), items...))
	for _, x := range items {
		require.Equal(t, kmip.ResultReasonAuthenticationNotSuccessful, reasonOf(t, x.Err))
	}
	right := g.clientWith("array", ttlv.V1_4, withPassword(t, "unit", "s3cret"))
	require.Empty(t, must[kmip.LocateResponse](t, right, kmip.OperationLocate, &kmip.LocateRequest{}).UniqueIdentifier)
}

func TestServerHashedPassword(t *testing.T) {
	g := newRig(t, Limits{})
	g.needPassword("array", "unit", "s3cret")
	hashed := credential(t, kmip.CredentialTypeHashedPassword, hashedPassword("unit", "s3cret", time.Now()))
	raw, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagCredential, hashed)
	require.NoError(t, err)
	response := exchange(t, g.dial("array"), ttlv.V2_1, &kmip.RequestMessage{
		RequestHeader: kmip.RequestHeader{Authentication: &kmip.Authentication{Credential: []ttlv.Raw{raw}}},
		BatchItem:     []kmip.RequestBatchItem{item(t, ttlv.V2_1, kmip.OperationPing, "", &kmip.PingRequest{})},
	})
	require.Equal(t, kmip.ResultStatusSuccess, response.BatchItem[0].ResultStatus, response.BatchItem[0].ResultMessage)
	require.Len(t, response.ResponseHeader.ServerHashedPassword, 32)
}

func TestLogin(t *testing.T) {
	g := newRig(t, Limits{})
	g.needPassword("array", "unit", "s3cret")
	c := g.clientWith("array", ttlv.V2_1, withPassword(t, "unit", "s3cret"))
	k := g.ticket(c, &kmip.LoginRequest{})
	require.Equal(t, kmip.TicketTypeLogin, k.TicketType)
	require.Len(t, k.TicketValue, ticketSize)
	in := g.clientWith("array", ttlv.V2_1, withTicket(t, k))
	require.NoError(t, query(t, in))
	require.NoError(t, query(t, g.clientWith("array", ttlv.V2_0, withTicket(t, k))), "on another connection")

	require.Equal(t, kmip.ResultReasonInvalidTicket, reasonOf(t, query(t, g.clientWith("other", ttlv.V2_1, withTicket(t, k)))), "of another identity")
	require.Equal(t, kmip.ResultReasonInvalidTicket, reason(t, g.client("other", ttlv.V2_1), kmip.OperationLogout, &kmip.LogoutRequest{Ticket: k}))
	require.Equal(t, kmip.ResultReasonInvalidField, reasonOf(t, query(t, g.clientWith("array", ttlv.V1_4, withTicket(t, k)))), "KMIP 1.4 has none")
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, in, kmip.OperationLogin, &kmip.LoginRequest{}), "tickets make no tickets")
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, in, kmip.OperationDelegatedLogin, &kmip.DelegatedLoginRequest{Rights: kmip.Rights{Right: make([]kmip.Right, 1)}}))
	other := kmip.Ticket{TicketType: kmip.TicketTypeLogin, TicketValue: make([]byte, ticketSize)}
	require.Equal(t, kmip.ResultReasonInvalidTicket, reasonOf(t, query(t, g.clientWith("array", ttlv.V2_1, withTicket(t, other)))))

	must[kmip.LogoutResponse](t, in, kmip.OperationLogout, &kmip.LogoutRequest{Ticket: k})
	require.Equal(t, kmip.ResultReasonInvalidTicket, reasonOf(t, query(t, in)))
	require.Equal(t, kmip.ResultReasonInvalidTicket, reason(t, c, kmip.OperationLogout, &kmip.LogoutRequest{Ticket: k}))
}

func TestTicketBounds(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("k"))

	twice := g.clientWith("alice", ttlv.V2_1, withTicket(t, g.ticket(c, &kmip.LoginRequest{RequestCount: new(int32(2))})))
	require.NoError(t, query(t, twice))
	require.NoError(t, query(t, twice))
	require.Equal(t, kmip.ResultReasonInvalidTicket, reasonOf(t, query(t, twice)))

	limits := &kmip.UsageLimits{UsageLimitsTotal: 2, UsageLimitsUnit: kmip.UsageLimitsUnitObject}
	used := g.clientWith("alice", ttlv.V2_1, withTicket(t, g.ticket(c, &kmip.LoginRequest{UsageLimits: limits})))
	require.NoError(t, query(t, used))
	for range 3 { // what fails does not count
		require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, used, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "none"}))
	}
	must[kmip.GetResponse](t, used, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"})
	require.Equal(t, kmip.ResultReasonPermissionDenied, reasonOf(t, query(t, used)))

	short := g.clientWith("alice", ttlv.V2_1, withTicket(t, g.ticket(c, &kmip.LoginRequest{LeaseTime: interval(t, 1)})))
	require.Eventually(t, func() bool {
		err := query(t, short)
		return err != nil && reasonOf(t, err) == kmip.ResultReasonInvalidTicket
	}, time.Minute, 50*time.Millisecond)

	for name, q := range map[string]*kmip.LoginRequest{
		"lease of nothing": {LeaseTime: interval(t, 0)},
		"long lease":       {LeaseTime: interval(t, 86_401)},
		"no request":       {RequestCount: new(int32(0))},
		"bytes":            {UsageLimits: &kmip.UsageLimits{UsageLimitsTotal: 2, UsageLimitsUnit: kmip.UsageLimitsUnitByte}},
		"no integer":       {LeaseTime: ttlv.Raw{0x42, 0x00, 0x49, byte(ttlv.TypeInteger), 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0}},
	} {
		require.Equal(t, kmip.ResultReasonInvalidField, reasonOf(t, loginError(t, c, q)), name)
	}
	for range mostOfOne {
		if err := loginError(t, c, &kmip.LoginRequest{}); err != nil {
			require.Equal(t, kmip.ResultReasonServerLimitExceeded, reasonOf(t, err))
			return
		}
	}
	t.Fatal("tickets without bound")
}

func loginError(t testing.TB, c *client.Client, q *kmip.LoginRequest) error {
	_, err := client.Do[kmip.LoginResponse](t.Context(), c, kmip.OperationLogin, q)
	if err != nil && !strings.Contains(err.Error(), "Time") && !strings.Contains(err.Error(), "Count") && !strings.Contains(err.Error(), "unit") && !strings.Contains(err.Error(), "tickets") {
		t.Errorf("the refusal names nothing: %v", err)
	}
	return err
}

// TestDelegatedLogin has bob do for alice what she lets him, and nothing else.
func TestDelegatedLogin(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("mine"))
	grouped := aes("grouped")
	grouped.Attributes = grouped.Attributes.With(ttlv.TagObjectGroup, "team")
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, grouped)
	must[kmip.CreateResponse](t, g.client("bob", ttlv.V2_1), kmip.OperationCreate, aes("bobs"))

	k := g.delegate(alice,
		kmip.Right{Operations: operationsOf(kmip.OperationEncrypt, kmip.OperationLocate, kmip.OperationCreate), ObjectGroups: &kmip.ObjectGroups{ObjectGroup: []string{"team"}}},
		kmip.Right{Operations: operationsOf(kmip.OperationGetAttributes), Objects: objectsOf("mine"), UsageLimits: &kmip.UsageLimits{UsageLimitsTotal: 1, UsageLimitsUnit: kmip.UsageLimitsUnitObject}},
	)
	bob := g.clientWith("bob", ttlv.V2_1, withTicket(t, k))
	encrypt := func(uid kmip.UniqueIdentifier) *kmip.EncryptRequest {
		return &kmip.EncryptRequest{UniqueIdentifier: uid, Data: []byte("data"), CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeGCM}}
	}
	must[kmip.EncryptResponse](t, bob, kmip.OperationEncrypt, encrypt("grouped"))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationEncrypt, encrypt("mine")))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationEncrypt, encrypt("bobs")), "he acts for alice")
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, bob, kmip.OperationDecrypt, &kmip.DecryptRequest{UniqueIdentifier: "grouped"}))
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, bob, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "grouped"}))
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, bob, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: "grouped", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}}))
	require.Equal(t, kmip.ResultReasonPermissionDenied, reasonOf(t, query(t, bob)))

	must[kmip.GetAttributesResponse](t, bob, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "mine"})
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, bob, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "mine"}), "once")

	located := must[kmip.LocateResponse](t, bob, kmip.OperationLocate, &kmip.LocateRequest{OffsetItems: new(int32)})
	require.Equal(t, []kmip.UniqueIdentifier{"grouped"}, located.UniqueIdentifier)
	require.Equal(t, int32(1), *located.LocatedItems)

	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, bob, kmip.OperationCreate, aes("outside")))
	inside := aes("inside")
	inside.Attributes = inside.Attributes.With(ttlv.TagObjectGroup, "team")
	must[kmip.CreateResponse](t, bob, kmip.OperationCreate, inside)
	must[kmip.GetResponse](t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "inside"})

	must[kmip.LogoutResponse](t, alice, kmip.OperationLogout, &kmip.LogoutRequest{Ticket: k})
	require.Equal(t, kmip.ResultReasonInvalidTicket, reason(t, bob, kmip.OperationEncrypt, encrypt("grouped")))

	g.server.Audit.Close()
	text, err := os.ReadFile(g.server.Audit.path)
	require.NoError(t, err)
	require.Contains(t, string(text), `"identity":"bob","for":"alice"`)
	require.Contains(t, string(text), `"identity":"alice","fingerprint"`)
}

// TestUnrestrictedDelegation is to do all that the delegator may, and nothing of one's own.
func TestUnrestrictedDelegation(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("mine"))
	bob := g.clientWith("bob", ttlv.V2_1, withTicket(t, g.delegate(alice, kmip.Right{})))
	must[kmip.GetResponse](t, bob, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "mine"})
	require.NoError(t, query(t, bob))
	require.Equal(t, "alice", must[kmip.WhoAmIResponse](t, bob, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{}).Identity)
	only := g.clientWith("bob", ttlv.V2_1, withTicket(t, g.delegate(alice, kmip.Right{Objects: objectsOf("mine")})))
	must[kmip.GetResponse](t, only, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "mine"})
	require.Equal(t, kmip.ResultReasonPermissionDenied, reasonOf(t, query(t, only)), "a right to an object is not one to the server")
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, only, kmip.OperationLogout, &kmip.LogoutRequest{}))
	none := g.clientWith("bob", ttlv.V2_1, withTicket(t, g.delegate(alice, kmip.Right{Operations: operationsOf()})))
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, none, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "mine"}))
	require.Equal(t, kmip.ResultReasonInvalidField, reason(t, alice, kmip.OperationDelegatedLogin, &kmip.DelegatedLoginRequest{}))
}

// TestTicketEndsWithTheCertificate of who gave it.
func TestTicketEndsWithTheCertificate(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	bob := g.clientWith("bob", ttlv.V2_1, withTicket(t, g.delegate(alice, kmip.Right{})))
	require.NoError(t, query(t, bob))
	credentials := g.server.Gate.state.Load().Credentials
	g.server.Gate.Replace(credentials)
	require.NoError(t, query(t, bob), "nothing is revoked")
	credentials.Revoked = func(c *x509.Certificate) bool { return c.Subject.CommonName == "alice" }
	g.server.Gate.Replace(credentials)
	require.Equal(t, kmip.ResultReasonInvalidTicket, reasonOf(t, query(t, bob)))
	credentials.Revoked = nil
	g.server.Gate.Replace(credentials)
	require.Equal(t, kmip.ResultReasonInvalidTicket, reasonOf(t, query(t, bob)), "it has ended")
}

// hashedPassword is the credential of KMIP 2.1 §9.11.
func hashedPassword(username, word string, at time.Time) *kmip.HashedPasswordCredential {
	stamp := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro()))
	s1, s2 := sha256.Sum256([]byte(username+word)), sha256.Sum256([]byte(word+username))
	first := sha256.Sum256(append(s1[:], stamp...))
	return &kmip.HashedPasswordCredential{Username: username, Timestamp: ttlv.DateTimeExtended(at.UnixMicro()), HashedPassword: append(first[:], s2[:]...)}
}

// TestUndoOfTickets: a batch that is undone leaves none, and brings back what it ended.
func TestUndoOfTickets(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	k := g.ticket(c, &kmip.LoginRequest{})
	undone := func(op kmip.Operation, q any) {
		m := exchange(t, g.dial("alice"), ttlv.V2_1, &kmip.RequestMessage{
			RequestHeader: kmip.RequestHeader{BatchErrorContinuationOption: kmip.BatchErrorContinuationOptionUndo},
			BatchItem:     []kmip.RequestBatchItem{item(t, ttlv.V2_1, op, "a", q), item(t, ttlv.V2_1, kmip.OperationGet, "b", &kmip.GetRequest{UniqueIdentifier: "none"})},
		})
		require.Equal(t, kmip.ResultStatusOperationUndone, m.BatchItem[0].ResultStatus)
	}
	undone(kmip.OperationLogin, &kmip.LoginRequest{})
	require.Len(t, g.server.tickets.all, 1)
	undone(kmip.OperationLogout, &kmip.LogoutRequest{Ticket: k})
	require.NoError(t, query(t, g.clientWith("alice", ttlv.V2_1, withTicket(t, k))))
}

// TestTicketLater: an operation that is answered later has the rights of its ticket, and no more.
func TestTicketLater(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("mine"))
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("other"))
	k := g.delegate(alice, kmip.Right{Operations: operationsOf(kmip.OperationGetAttributes), Objects: objectsOf("mine")}, kmip.Right{Operations: operationsOf(kmip.OperationPoll)})
	raw, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagCredential, withTicket(t, k))
	require.NoError(t, err)
	bob := g.dial("bob")
	ask := func(indicator ttlv.Raw, op kmip.Operation, q any) kmip.ResponseBatchItem {
		header := kmip.RequestHeader{AsynchronousIndicator: indicator, Authentication: &kmip.Authentication{Credential: []ttlv.Raw{raw}}}
		m := exchange(t, bob, ttlv.V2_1, &kmip.RequestMessage{RequestHeader: header, BatchItem: []kmip.RequestBatchItem{item(t, ttlv.V2_1, op, "", q)}})
		return m.BatchItem[0]
	}
	for uid, want := range map[kmip.UniqueIdentifier]kmip.ResultReason{"mine": 0, "other": kmip.ResultReasonObjectNotFound} {
		pending := ask(indicator(t, ttlv.V2_1), kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid})
		require.Equal(t, kmip.ResultStatusOperationPending, pending.ResultStatus, pending.ResultMessage)
		var x kmip.ResponseBatchItem
		require.Eventually(t, func() bool {
			x = ask(nil, kmip.OperationPoll, &kmip.PollRequest{AsynchronousCorrelationValue: pending.AsynchronousCorrelationValue})
			return x.ResultStatus != kmip.ResultStatusOperationPending
		}, time.Minute, 5*time.Millisecond)
		require.Equal(t, want, x.ResultReason, x.ResultMessage)
	}
}
