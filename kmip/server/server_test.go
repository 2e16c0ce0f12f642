package server

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// TestLifeOfAKey takes one key through its life, at every version.
func TestLifeOfAKey(t *testing.T) {
	g := newRig(t, Limits{})
	for _, v := range kmip.Versions {
		t.Run(v.String(), func(t *testing.T) {
			c := g.client("alice", v)
			uid := must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("")).UniqueIdentifier
			got := must[kmip.GetResponse](t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid})
			require.Len(t, got.SymmetricKey.KeyBlock.KeyValue.Material, 32)
			if v >= ttlv.V1_2 {
				crypt(t, g, v, uid)
			}
			must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, &kmip.RevokeRequest{UniqueIdentifier: uid,
				RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeCessationOfOperation}})
			if v >= ttlv.V1_2 {
				require.Equal(t, kmip.ResultReasonWrongKeyLifecycleState.At(v), reason(t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: uid, Data: []byte("x")}))
			}
			must[kmip.DestroyResponse](t, c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: uid})
			require.Equal(t, kmip.ResultReasonObjectDestroyed.At(v), reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: uid}))
			a := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: uid})
			require.Equal(t, kmip.StateDestroyed, a.Attributes.State(time.Now()))
		})
	}
}

func crypt(t *testing.T, g *rig, v ttlv.Version, uid kmip.UniqueIdentifier) {
	c := g.client("alice", v)
	for _, mode := range []kmip.BlockCipherMode{0, kmip.BlockCipherModeCBC} {
		var p *kmip.CryptographicParameters
		if mode != 0 {
			p = &kmip.CryptographicParameters{BlockCipherMode: mode, PaddingMethod: kmip.PaddingMethodPKCS5}
		}
		e := must[kmip.EncryptResponse](t, c, kmip.OperationEncrypt, &kmip.EncryptRequest{UniqueIdentifier: uid, CryptographicParameters: p, Data: []byte("hello")})
		d := must[kmip.DecryptResponse](t, c, kmip.OperationDecrypt, &kmip.DecryptRequest{
			UniqueIdentifier: uid, CryptographicParameters: p, Data: e.Data, IVCounterNonce: e.IVCounterNonce, AuthenticatedEncryptionTag: e.AuthenticatedEncryptionTag,
		})
		require.Equal(t, "hello", string(d.Data))
	}
}

// TestOpenRefusesStranger shows that a stranger cannot use a key, nor tell it from one that does not exist, until it is
// granted an operation, and again when that is withdrawn.
func TestOpenRefusesStranger(t *testing.T) {
	g := newRig(t, Limits{})
	alice, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("secret"))
	encrypt := func(uid kmip.UniqueIdentifier) *kmip.EncryptRequest {
		return &kmip.EncryptRequest{UniqueIdentifier: uid, Data: []byte("x")}
	}
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationEncrypt, encrypt("secret")))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationEncrypt, encrypt("absent")))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationGrantAccess,
		&kmip.GrantAccessRequest{UniqueIdentifier: "secret", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGet}}))
	require.Empty(t, must[kmip.LocateResponse](t, bob, kmip.OperationLocate, &kmip.LocateRequest{}).UniqueIdentifier)

	must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess,
		&kmip.GrantAccessRequest{UniqueIdentifier: "secret", Grantee: "bob", Operations: []kmip.Operation{kmip.OperationEncrypt}})
	must[kmip.EncryptResponse](t, bob, kmip.OperationEncrypt, encrypt("secret"))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "secret"}))
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "secret"}))
	require.Len(t, must[kmip.LocateResponse](t, bob, kmip.OperationLocate, &kmip.LocateRequest{}).UniqueIdentifier, 1)
	require.True(t, must[kmip.CanIResponse](t, bob, kmip.OperationCanI, &kmip.CanIRequest{UniqueIdentifier: "secret", Operation: kmip.OperationEncrypt}).Allowed)
	require.False(t, must[kmip.CanIResponse](t, bob, kmip.OperationCanI, &kmip.CanIRequest{UniqueIdentifier: "secret", Operation: kmip.OperationDecrypt}).Allowed)

	must[kmip.WithdrawAccessResponse](t, alice, kmip.OperationWithdrawAccess, &kmip.WithdrawAccessRequest{UniqueIdentifier: "secret", Grantee: "bob"})
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationEncrypt, encrypt("secret")))
}

// TestWrappingKeyTakesARight shows that a key wraps another only for who may encrypt with it.
func TestWrappingKeyTakesARight(t *testing.T) {
	g := newRig(t, Limits{})
	alice, bob := g.client("alice", ttlv.V2_1), g.client("bob", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("kek"))
	wrapped := aes("wrapped")
	wrapped.Attributes = wrapped.Attributes.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, "kek")
	require.Equal(t, kmip.ResultReasonObjectNotFound, reason(t, bob, kmip.OperationCreate, wrapped))
}

// TestWrappingKeyIsKept shows that a key is not destroyed, nor replaced, while it wraps what would be lost with it.
func TestWrappingKeyIsKept(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("kek"))
	wrapped := aes("wrapped")
	wrapped.Attributes = wrapped.Attributes.WithVendor(kmip.VendorClient, kmip.AttributeWrappingKeyID, "kek")
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, wrapped)
	end := func(uid kmip.UniqueIdentifier) {
		must[kmip.RevokeResponse](t, c, kmip.OperationRevoke, &kmip.RevokeRequest{UniqueIdentifier: uid, RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeCessationOfOperation}})
	}
	end("kek")
	destroy := &kmip.DestroyRequest{UniqueIdentifier: "kek"}
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationDestroy, destroy))
	replace := true
	require.Equal(t, kmip.ResultReasonPermissionDenied, reason(t, c, kmip.OperationImport, &kmip.ImportRequest{
		UniqueIdentifier: "kek", ObjectType: kmip.ObjectTypeSymmetricKey, ReplaceExisting: &replace, Value: plainAES(make([]byte, 32))}))
	end("wrapped")
	must[kmip.DestroyResponse](t, c, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "wrapped"})
	must[kmip.DestroyResponse](t, c, kmip.OperationDestroy, destroy)
}

// TestSensitiveCannotBeLoosened shows that no attribute operation makes a sensitive key leave.
func TestSensitiveCannotBeLoosened(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	q := aes("s")
	q.Attributes = q.Attributes.With(ttlv.TagSensitive, true).With(ttlv.TagExtractable, false)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, q)
	for tag, value := range map[ttlv.Tag]bool{ttlv.TagSensitive: false, ttlv.TagExtractable: true} {
		list := kmip.Attributes{{Tag: tag, Value: value}}
		require.Equal(t, kmip.ResultReasonAttributeReadOnly, reason(t, c, kmip.OperationModifyAttribute, &kmip.ModifyAttributeRequest{UniqueIdentifier: "s", NewAttribute: list}))
		require.Equal(t, kmip.ResultReasonAttributeReadOnly, reason(t, c, kmip.OperationDeleteAttribute, &kmip.DeleteAttributeRequest{UniqueIdentifier: "s", AttributeReferences: kmip.AttributeReferences{{Tag: tag}}}))
	}
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "s"}))
	require.Equal(t, kmip.ResultReasonSensitive, reason(t, c, kmip.OperationExport, &kmip.ExportRequest{UniqueIdentifier: "s"}))
}

func TestAttributes(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V1_4)
	must[kmip.CreateResponse](t, c, kmip.OperationCreate, aes("a"))
	name := func(s string) kmip.Attributes {
		return kmip.Attributes{{Tag: ttlv.TagName, Value: kmip.Name{NameValue: s, NameType: kmip.NameTypeUninterpretedTextString}}}
	}
	must[kmip.AddAttributeResponse](t, c, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: "a", NewAttribute: name("one")})
	must[kmip.AddAttributeResponse](t, c, kmip.OperationAddAttribute, &kmip.AddAttributeRequest{UniqueIdentifier: "a", NewAttribute: name("two")})
	found := must[kmip.LocateResponse](t, c, kmip.OperationLocate, &kmip.LocateRequest{Attributes: name("two")})
	require.Equal(t, []kmip.UniqueIdentifier{"a"}, found.UniqueIdentifier)
	must[kmip.ModifyAttributeResponse](t, c, kmip.OperationModifyAttribute, &kmip.ModifyAttributeRequest{UniqueIdentifier: "a", NewAttribute: name("three")})
	index := int32(1)
	must[kmip.DeleteAttributeResponse](t, c, kmip.OperationDeleteAttribute, &kmip.DeleteAttributeRequest{
		UniqueIdentifier: "a", AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagName}}, AttributeIndex: &index})
	a := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "a", AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagName}}})
	require.Len(t, a.Attributes, 1)
	require.Equal(t, "three", a.Attributes[0].Value.(kmip.Name).NameValue)
	absent := must[kmip.GetAttributesResponse](t, c, kmip.OperationGetAttributes, &kmip.GetAttributesRequest{UniqueIdentifier: "a",
		AttributeReferences: kmip.AttributeReferences{{Tag: ttlv.TagAttribute, Vendor: "x", Name: "Product_Version"}}})
	require.Empty(t, absent.Attributes)
}

// TestBadInput shows that what is no request gets an error or a closed connection, and disturbs nobody.
func TestBadInput(t *testing.T) {
	g := newRig(t, Limits{ReadTimeout: 5 * time.Second})
	deep := make([]byte, 0, 8*4000)
	for i := range 4000 {
		n := 8 * (4000 - i - 1)
		deep = append(deep, 0x42, 0x00, 0x78, 1, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	for name, bytes := range map[string][]byte{
		"garbage":     []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"huge length": {0x42, 0x00, 0x78, 1, 0xFF, 0xFF, 0xFF, 0xF8},
		"truncated":   {0x42, 0x00, 0x78, 1, 0, 0, 1, 0, 0x42},
		"half header": {0x42, 0x00},
		"empty":       {0x42, 0x00, 0x78, 1, 0, 0, 0, 0},
		"deep":        deep,
	} {
		t.Run(name, func(t *testing.T) {
			c := g.dial("mallory")
			_, err := c.Write(bytes)
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
			answer, err := io.ReadAll(c)
			require.NoError(t, err)
			if len(answer) > 0 {
				requireRefusal(t, answer)
			}
		})
	}
	must[kmip.WhoAmIResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
}

func requireRefusal(t *testing.T, answer []byte) {
	var m kmip.ResponseMessage
	require.NoError(t, ttlv.Unmarshal(answer, ttlv.V1_0, ttlv.TagResponseMessage, &m, nil))
	require.Equal(t, kmip.ResultStatusOperationFailed, m.BatchItem[0].ResultStatus)
	require.Equal(t, kmip.ResultReasonInvalidMessage, m.BatchItem[0].ResultReason)
}

// TestSlowClient shows that a client which sends a byte at a time is cut off, while others are served.
func TestSlowClient(t *testing.T) {
	g := newRig(t, Limits{ReadTimeout: 200 * time.Millisecond})
	c := g.dial("mallory")
	_, err := c.Write([]byte{0x42, 0x00, 0x78, 1, 0, 0, 0, 64, 0x42, 0})
	require.NoError(t, err)
	must[kmip.WhoAmIResponse](t, g.client("alice", ttlv.V2_1), kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
	_, err = io.ReadAll(c)
	require.NoError(t, err) // the server closed it, long before our own deadline
}

// TestVersionUnknown shows that a version that is not spoken is refused in one that is.
func TestVersionUnknown(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.dial("alice")
	q := kmip.RequestMessage{RequestHeader: kmip.RequestHeader{ProtocolVersion: kmip.ProtocolVersion{ProtocolVersionMajor: 3}, BatchCount: 1},
		BatchItem: []kmip.RequestBatchItem{{Operation: kmip.OperationDiscoverVersions, RequestPayload: emptyPayload}}}
	data, err := ttlv.Append(nil, ttlv.V2_1, ttlv.TagRequestMessage, &q)
	require.NoError(t, err)
	_, err = c.Write(data)
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	var m kmip.ResponseMessage
	require.NoError(t, ttlv.Unmarshal(answer, ttlv.V2_1, ttlv.TagResponseMessage, &m, nil))
	require.Equal(t, kmip.VersionOf(ttlv.V2_1), m.ResponseHeader.ProtocolVersion)
	require.Equal(t, kmip.ResultReasonUnsupportedProtocolVersion, m.BatchItem[0].ResultReason)
}

// TestCertificateRequired shows that nobody comes in without a certificate of the CA's.
func TestCertificateRequired(t *testing.T) {
	g := newRig(t, Limits{})
	other := newRig(t, Limits{})
	for name, pair := range map[string][]tls.Certificate{"none": nil, "of another CA": {other.issue("alice")}, "without identity": {g.issue("")}} {
		c, err := tls.Dial("tcp", g.address, &tls.Config{RootCAs: g.pool, ServerName: "localhost", Certificates: pair})
		if err == nil {
			require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		require.Error(t, err, name)
	}
}
