package tests

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// More sequences of products that speak KMIP, as in clients_test.go.

// vast carries a message as VAST Data does: in a request of HTTP, header by header.
func vast(t *testing.T, c *tls.Conn, message []byte) []byte {
	t.Helper()
	_, err := fmt.Fprintf(c, "POST /kmip HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nCache-Control: no-cache\r\n\r\n%s",
		c.RemoteAddr(), len(message), message)
	require.NoError(t, err)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, "%s", answer)
	require.Equal(t, "application/octet-stream", r.Header.Get("Content-Type"))
	require.EqualValues(t, len(answer), r.ContentLength)
	return answer
}

// TestClientVAST posts its messages over HTTPS; what Re-key makes takes the name, and the key before it goes on being Active.
func TestClientVAST(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	address := s.serveHTTPS()
	c, err := tls.Dial("tcp", address, s.tls("admin"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	k := &talk{t: t, c: c, version: "1.4", carry: vast}
	require.NotEmpty(t, k.one(operation("DiscoverVersions", "")).all(ttlv.TagProtocolVersion))
	policy := attribute("Operation Policy Name", "TextString", "default")
	for _, atOnce := range []string{policy, ""} {
		name, group := "vast "+random(4), attribute("Object Group", "TextString", "vast cluster")
		uid := k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12), atOnce))).only(ttlv.TagObjectType, uidTag).uid()
		k.one(operation("AddAttribute", "", id(uid), nameIs(name))).only(uidTag, ttlv.TagAttribute)
		k.one(operation("AddAttribute", "", id(uid), group)).only(uidTag, ttlv.TagAttribute)
		if atOnce == "" {
			k.one(operation("AddAttribute", "", id(uid), policy)).only(uidTag, ttlv.TagAttribute)
		}
		k.one(operation("Activate", "", id(uid))).only(uidTag)
		require.Equal(t, []string{uid}, k.one(operation("Locate", "", nameIs(name))).uids())
		material := k.one(operation("Get", "", id(uid))).material(sym)
		require.Len(t, material, 32)
		state := func(uid string) any {
			r := k.one(operation("GetAttributes", "", id(uid), text("AttributeName", "State"), text("AttributeName", "Activation Date")))
			require.WithinDuration(t, time.Now(), r.attribute("Activation Date").Value.(time.Time), time.Minute)
			return r.attribute("State").Value
		}
		require.EqualValues(t, kmip.StateActive, state(uid))

		next := k.one(operation("ReKey", "", id(uid))).only(uidTag).uid()
		require.NotEqual(t, uid, next)
		require.Equal(t, []string{next}, k.one(operation("Locate", "", nameIs(name))).uids(), "the name went over")
		require.NotEqual(t, material, k.one(operation("Get", "", id(next))).material(sym))
		require.EqualValues(t, kmip.StateActive, state(uid))
		require.EqualValues(t, kmip.StateActive, state(next))
		require.Equal(t, material, k.one(operation("Get", "", id(uid))).material(sym))
		all := k.one(operation("GetAttributes", "", id(next)))
		require.Equal(t, "default", all.attribute("Operation Policy Name").Value)
		require.Equal(t, "vast cluster", all.attribute("Object Group").Value)
		for _, uid := range []string{uid, next} {
			k.one(operation("Revoke", "", id(uid), in("RevocationReason", enum("RevocationReasonCode", "CessationOfOperation")))).only(uidTag)
			k.one(operation("Destroy", "", id(uid))).only(uidTag)
		}
		require.Empty(t, k.one(operation("Locate", "", nameIs(name))).uids())
	}
}

// TestClientPerconaSecrets is Percona Server's component_keyring_kmip with what is no key: a password with the usage mask 576,
// found again by its type, whose name is asked for beside its value.
func TestClientPerconaSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.4", libkmip)
	name, group := "secret "+random(4), attribute("Object Group", "TextString", "percona "+random(4))
	uid := k.one(operation("Register", "", enum("ObjectType", "SecretData"), template(attribute("Cryptographic Usage Mask", "Integer", "576"), nameIs(name), group),
		in("SecretData", enum("SecretDataType", "Password"), in("KeyBlock", enum("KeyFormatType", "Opaque"), in("KeyValue", bytesOf("KeyMaterial", "70617373776f7264")))))).only(uidTag).uid()
	k.one(operation("Activate", "", id(uid))).only(uidTag)
	located := func(object string) []string {
		return s.talk(t, "1.0", libkmip).one(operation("Locate", "", integerOf("MaximumItems", 16), integerOf("OffsetItems", 0), attribute("Object Type", "Enumeration", object), group)).uids()
	}
	require.Equal(t, []string{uid}, located("SecretData"))
	require.Empty(t, located("SymmetricKey"))
	got := k.one(operation("Get", "", id(uid)))
	require.Equal(t, "password", string(got.material(secret)))
	require.EqualValues(t, kmip.SecretDataTypePassword, got.value(secret, ttlv.TagSecretDataType))
	attributes := k.one(operation("GetAttributes", "", id(uid), text("AttributeName", "Name"), text("AttributeName", "Cryptographic Usage Mask")))
	require.Equal(t, name, attributes.attribute("Name").Children[0].Value)
	require.EqualValues(t, 576, attributes.attribute("Cryptographic Usage Mask").Value)
	k.one(operation("Revoke", "", id(uid), in("RevocationReason", enum("RevocationReasonCode", "Unspecified"), text("RevocationMessage", "Deleting the key"))))
	k.one(operation("Destroy", "", id(uid)))
}

// TestClientPerconaMongoDB registers its key, activates it in a request of its own, and polls its state until it ends itself
// for finding another than Active.
func TestClientPerconaMongoDB(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	key := random(32)
	once := func(item string) reply { return s.talk(t, "1.0", libkmip).one(item) } // a connection each
	uid := once(operation("Register", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12)),
		keyOf("SymmetricKey", "Raw", key, "", enum("CryptographicAlgorithm", "AES")+integerOf("CryptographicLength", 256)))).only(uidTag).uid()
	state := func() any {
		return once(operation("GetAttributes", "", id(uid), text("AttributeName", "State"))).only(uidTag, ttlv.TagAttribute).attribute("State").Value
	}
	require.EqualValues(t, kmip.StatePreActive, state())
	require.Equal(t, key, hex.EncodeToString(once(operation("Get", "", id(uid))).material(sym)), "before it is active")
	once(operation("Activate", "", id(uid))).only(uidTag)
	require.EqualValues(t, kmip.StateActive, state())
	require.Equal(t, key, hex.EncodeToString(once(operation("Get", "", id(uid))).material(sym)))
	once(operation("Revoke", "", id(uid), in("RevocationReason", enum("RevocationReasonCode", "KeyCompromise"))))
	require.EqualValues(t, kmip.StateCompromised, state())
}

// TestClientEDB is EDB Postgres, which has its data key encrypted and decrypted: with no word of an IV, the server makes one and
// gives it back.
func TestClientEDB(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "1.2")
	uid := k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), template(describedAs("AES", 256, 12), nameIs("edb "+random(4))))).uid()
	k.one(operation("Activate", "", id(uid)))
	inToken := create(t, s.client("admin", ttlv.V2_1), aes("hsm::4::edb "+random(4)))
	parameters := in("CryptographicParameters", enum("BlockCipherMode", "CBC"), enum("PaddingMethod", "PKCS5"), enum("CryptographicAlgorithm", "AES"))
	for _, uid := range []string{uid, inToken} {
		plain := random(64)
		var ivs [][]byte
		for range 2 {
			e := k.one(operation("Encrypt", "", id(uid), parameters, bytesOf("Data", plain))).only(uidTag, ttlv.TagData, ttlv.TagIVCounterNonce)
			iv := e.value(ttlv.TagIVCounterNonce).([]byte)
			require.Len(t, iv, 16)
			ivs = append(ivs, iv)
			d := k.one(operation("Decrypt", "", id(uid), parameters, bytesOf("Data", hex.EncodeToString(e.value(ttlv.TagData).([]byte))), bytesOf("IVCounterNonce", hex.EncodeToString(iv))))
			require.Equal(t, plain, hex.EncodeToString(d.only(uidTag, ttlv.TagData).value(ttlv.TagData).([]byte)))
		}
		require.False(t, bytes.Equal(ivs[0], ivs[1]))
	}
}

// TestClientIRIS is InterSystems IRIS, one of the few that speak 2.0: attributes have tags of their own there.
func TestClientIRIS(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	k := s.talk(t, "2.0")
	uid := k.one(operation("Create", "", enum("ObjectType", "SymmetricKey"), in("Attributes", enum("CryptographicAlgorithm", "AES"),
		integerOf("CryptographicLength", 256), integerOf("CryptographicUsageMask", 12), in("Name", text("NameValue", "iris "+random(4)), enum("NameType", "UninterpretedTextString"))))).only(ttlv.TagObjectType, uidTag).uid()
	require.Len(t, k.one(operation("Get", "", id(uid))).only(ttlv.TagObjectType, uidTag, sym).material(sym), 32)
	k.one(operation("Activate", "", id(uid))).only(uidTag)
	require.Len(t, k.one(operation("Get", "", id(uid))).material(sym), 32)
	active := k.try(operation("Destroy", "", id(uid)))[0]
	require.EqualValues(t, kmip.ResultReasonWrongKeyLifecycleState, active.value(ttlv.TagResultReason), "an Active key was destroyed")
	k.one(operation("Revoke", "", id(uid), in("RevocationReason", enum("RevocationReasonCode", "CessationOfOperation")))).only(uidTag)
	k.one(operation("Destroy", "", id(uid))).only(uidTag)
}
