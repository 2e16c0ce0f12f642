package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/cryptoki"
	"strongroom/kmip/ttlv"
)

// A module is an application on the other side of the wire.
type module struct {
	testing.TB
	c           *client.Client
	correlation []byte
}

// newModule has called C_Initialize.
func newModule(t testing.TB, c *client.Client) *module {
	m := &module{TB: t, c: c}
	response := m.ask(cryptoki.Initialize, []byte{cryptoki.EncodingVersion})
	require.Equal(t, cryptoki.OK, response.PKCS11ReturnCode)
	require.NotEmpty(t, response.CorrelationValue)
	m.correlation = response.CorrelationValue
	return m
}

func (m *module) request(f kmip.PKCS11Function, parameters []byte) *kmip.PKCS11Request {
	var e ttlv.Encoder
	e.Reset(nil, ttlv.V2_1)
	e.Enum(ttlv.TagPKCS11Function, uint32(f))
	return &kmip.PKCS11Request{PKCS11Function: e.Bytes(), CorrelationValue: m.correlation, PKCS11InputParameters: parameters}
}

func (m *module) ask(f kmip.PKCS11Function, parameters []byte) *kmip.PKCS11Response {
	m.Helper()
	response := must[kmip.PKCS11Response](m, m.c, kmip.OperationPKCS11, m.request(f, parameters))
	require.Equal(m, f, response.PKCS11Function)
	return response
}

// call makes a call that has to end with a return code, and gives a reader of its output.
func (m *module) call(want kmip.PKCS11ReturnCode, f kmip.PKCS11Function, parameters ...[]byte) *returned {
	m.Helper()
	var in []byte
	for _, p := range parameters {
		in = append(in, p...)
	}
	response := m.ask(f, in)
	require.Equal(m, want, response.PKCS11ReturnCode, "%v: %v", f, response.PKCS11ReturnCode)
	return &returned{m, cryptoki.NewReader(response.PKCS11OutputParameters)}
}

// What a function returned is read to its end.
type returned struct {
	m *module
	*cryptoki.Reader
}

func (o *returned) end() { o.m.Helper(); require.NoError(o.m, o.End()) }

// ulongs are those of an array, with its flag before it if flagged.
func (o *returned) ulongs(flagged bool) (list []uint64) {
	o.m.Helper()
	if flagged {
		require.True(o.m, o.Bool())
	}
	for range o.Count() {
		list = append(list, o.ULong())
	}
	o.end()
	return list
}

func ulong(n uint64) []byte { return cryptoki.ULongValue(n) }

func count(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func buffer(n uint32) []byte { return append([]byte{1}, count(n)...) }

// array asks for an attribute that is an array, and scalar for one that is not.
func array(t uint64, room uint32) []byte {
	return append(append(ulong(t), 0, 1), count(room)...)
}

func scalar(t uint64) []byte { return append(ulong(t), 0, 1) }

// valued is an attribute of a template to find by.
func valued(t uint64, value []byte, isArray bool) []byte {
	b := append(ulong(t), 1, 1)
	if isArray {
		b = append(b, count(uint32(len(value)))...)
	}
	return append(b, value...)
}

func (m *module) open(slot uint64) []byte {
	m.Helper()
	o := m.call(cryptoki.OK, cryptoki.OpenSession, ulong(slot), ulong(cryptoki.SessionSerial))
	s := o.ULong()
	o.end()
	return ulong(s)
}

// find lists the handles of what matches.
func (m *module) find(session []byte, template ...[]byte) []uint64 {
	m.Helper()
	in := append([]byte{}, session...)
	in = append(in, count(uint32(len(template)))...)
	for _, a := range template {
		in = append(in, a...)
	}
	m.call(cryptoki.OK, cryptoki.FindObjectsInit, in).end()
	list := m.call(cryptoki.OK, cryptoki.FindObjects, session, ulong(100)).ulongs(false)
	m.call(cryptoki.OK, cryptoki.FindObjectsFinal, session).end()
	return list
}

// attribute asks for one.
func (m *module) attribute(want kmip.PKCS11ReturnCode, session []byte, handle uint64, asked []byte) (value []byte) {
	m.Helper()
	o := m.call(want, cryptoki.GetAttributeValue, session, ulong(handle), count(1), asked)
	list := o.Template()
	o.end()
	require.Len(m, list, 1)
	require.Equal(m, want == cryptoki.OK, list[0].Valued)
	return list[0].Value
}

func TestPKCS11(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	a := aes("k").Attributes
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(a))
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, symmetric(a.With(ttlv.TagUniqueIdentifier, "hidden").With(ttlv.TagSensitive, true)))
	must[kmip.CreateKeyPairResponse](t, alice, kmip.OperationCreateKeyPair, &kmip.CreateKeyPairRequest{CommonAttributes: kmip.Attributes{
		{Tag: ttlv.TagCryptographicAlgorithm, Value: kmip.CryptographicAlgorithmRSA}, {Tag: ttlv.TagCryptographicLength, Value: int32(2048)}},
		PrivateKeyAttributes: kmip.Attributes{{Tag: ttlv.TagUniqueIdentifier, Value: "pair"}}})
	must[kmip.CreateResponse](t, g.client("bob", ttlv.V2_1), kmip.OperationCreate, aes("bobs"))

	m := newModule(t, alice)
	info := m.call(cryptoki.OK, cryptoki.GetInfo)
	require.Equal(t, 76, info.Left())
	require.Equal(t, []uint64{databaseSlot}, m.call(cryptoki.OK, cryptoki.GetSlotList, []byte{1}, buffer(8)).ulongs(true))
	require.Equal(t, 64+32+8+2+2, m.call(cryptoki.OK, cryptoki.GetSlotInfo, ulong(databaseSlot)).Left())
	require.Equal(t, 32+32+16+16+11*8+2+2+16, m.call(cryptoki.OK, cryptoki.GetTokenInfo, ulong(databaseSlot)).Left())
	require.Contains(t, m.call(cryptoki.OK, cryptoki.GetMechanismList, ulong(databaseSlot), buffer(100)).ulongs(true), uint64(cryptoki.AESGCM))
	o := m.call(cryptoki.OK, cryptoki.GetMechanismInfo, ulong(databaseSlot), ulong(cryptoki.AESGCM))
	require.Equal(t, []uint64{16, 32, cryptoki.MechanismEncrypt | cryptoki.MechanismDecrypt}, []uint64{o.ULong(), o.ULong(), o.ULong()})
	o.end()

	s := m.open(databaseSlot)
	o = m.call(cryptoki.OK, cryptoki.GetSessionInfo, s)
	require.Equal(t, []uint64{databaseSlot, cryptoki.StateReadOnlyUser, cryptoki.SessionSerial, 0}, []uint64{o.ULong(), o.ULong(), o.ULong(), o.ULong()})
	m.call(cryptoki.UserAlreadyLoggedIn, cryptoki.Login, s, ulong(1), count(4), []byte("1234")).end()
	require.Len(t, m.find(s), 4, "what bob has is not there")
	require.Len(t, m.find(s, valued(cryptoki.Class, ulong(cryptoki.ClassSecretKey), false)), 2)
	require.Len(t, m.find(s, valued(cryptoki.Class, ulong(cryptoki.ClassPublicKey), false), valued(cryptoki.KeyType, ulong(cryptoki.KeyRSA), false)), 1)
	require.Empty(t, m.find(s, valued(cryptoki.Label, []byte("bobs"), true)))

	keys := m.find(s, valued(cryptoki.Label, []byte("k"), true))
	require.Len(t, keys, 1)
	require.Equal(t, "k", string(m.attribute(cryptoki.OK, s, keys[0], array(cryptoki.Label, 64))))
	require.Equal(t, ulong(32), m.attribute(cryptoki.OK, s, keys[0], scalar(cryptoki.ValueLen)))
	require.Equal(t, []byte{1}, m.attribute(cryptoki.OK, s, keys[0], scalar(cryptoki.Encrypt)))
	require.Equal(t, []byte{0}, m.attribute(cryptoki.OK, s, keys[0], scalar(cryptoki.Sign)))
	require.Equal(t, []byte(attribute[time.Time](t, alice, "k", ttlv.TagActivationDate).UTC().Format("20060102")), m.attribute(cryptoki.OK, s, keys[0], scalar(cryptoki.StartDate)))
	value := must[kmip.GetResponse](t, alice, kmip.OperationGet, &kmip.GetRequest{UniqueIdentifier: "k"})
	require.Equal(t, value.KeyBlock().KeyValue.Material, m.attribute(cryptoki.OK, s, keys[0], array(cryptoki.Value, 64)))
	m.attribute(cryptoki.BufferTooSmall, s, keys[0], array(cryptoki.Value, 31))
	m.attribute(cryptoki.AttributeTypeInvalid, s, keys[0], array(cryptoki.Modulus, 512))

	hidden := m.find(s, valued(cryptoki.Label, []byte("hidden"), true))[0]
	require.Equal(t, []byte{1}, m.attribute(cryptoki.OK, s, hidden, scalar(cryptoki.Sensitive)))
	m.attribute(cryptoki.AttributeSensitive, s, hidden, array(cryptoki.Value, 64))

	private := m.find(s, valued(cryptoki.Class, ulong(cryptoki.ClassPrivateKey), false))[0]
	m.attribute(cryptoki.AttributeSensitive, s, private, array(cryptoki.Value, 4096))
	public := m.find(s, valued(cryptoki.Class, ulong(cryptoki.ClassPublicKey), false))[0]
	require.Len(t, m.attribute(cryptoki.OK, s, public, array(cryptoki.Modulus, 512)), 256)
	require.Equal(t, []byte{1, 0, 1}, m.attribute(cryptoki.OK, s, public, array(cryptoki.PublicExponent, 8)))
	require.Equal(t, ulong(2048), m.attribute(cryptoki.OK, s, public, scalar(cryptoki.ModulusBits)))

	must[kmip.RevokeResponse](t, alice, kmip.OperationRevoke, &kmip.RevokeRequest{UniqueIdentifier: "k", RevocationReason: kmip.RevocationReason{RevocationReasonCode: kmip.RevocationReasonCodeKeyCompromise}})
	must[kmip.DestroyResponse](t, alice, kmip.OperationDestroy, &kmip.DestroyRequest{UniqueIdentifier: "k"})
	m.call(cryptoki.ObjectHandleInvalid, cryptoki.GetAttributeValue, s, ulong(keys[0]), count(1), array(cryptoki.Label, 64)).end()
}

// TestPKCS11OfCurve reads the parameters of an elliptic curve and its point as a key is made of them again.
func TestPKCS11OfCurve(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	must[kmip.RegisterResponse](t, c, kmip.OperationRegister, &kmip.RegisterRequest{ObjectType: kmip.ObjectTypePublicKey, Value: kmip.Value{PublicKey: &kmip.PlainKey{KeyBlock: kmip.KeyBlock{
		KeyFormatType: kmip.KeyFormatTypeX509, CryptographicAlgorithm: kmip.CryptographicAlgorithmEC, CryptographicLength: 256, KeyValue: &kmip.KeyValue{Material: spki}}}}})
	m := newModule(t, c)
	s := m.open(databaseSlot)
	public := m.find(s)[0]
	require.Equal(t, []byte{6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7}, m.attribute(cryptoki.OK, s, public, array(cryptoki.ECParams, 64)), "the OID of P-256")
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	require.Equal(t, append([]byte{4, 65}, point...), m.attribute(cryptoki.OK, s, public, array(cryptoki.ECPoint, 100)))
}

// TestPKCS11Rights: who was granted one operation sees a key, and hears what that operation tells.
func TestPKCS11Rights(t *testing.T) {
	g := newRig(t, Limits{})
	alice := g.client("alice", ttlv.V2_1)
	must[kmip.CreateResponse](t, alice, kmip.OperationCreate, aes("k"))
	grant := func(ops ...kmip.Operation) {
		must[kmip.GrantAccessResponse](t, alice, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{UniqueIdentifier: "k", Grantee: "bob", Operations: ops})
	}
	m := newModule(t, g.client("bob", ttlv.V2_1))
	s := m.open(databaseSlot)
	require.Empty(t, m.find(s))
	grant(kmip.OperationEncrypt)
	keys := m.find(s)
	require.Len(t, keys, 1)
	m.call(cryptoki.ObjectHandleInvalid, cryptoki.GetAttributeValue, s, ulong(keys[0]), count(1), array(cryptoki.Label, 64))
	grant(kmip.OperationGetAttributes)
	require.Equal(t, "k", string(m.attribute(cryptoki.OK, s, keys[0], array(cryptoki.Label, 64))))
	m.attribute(cryptoki.AttributeSensitive, s, keys[0], array(cryptoki.Value, 64))
	grant(kmip.OperationGet)
	require.Len(t, m.attribute(cryptoki.OK, s, keys[0], array(cryptoki.Value, 64)), 32)

	// A handle is one of its own application, and an application one of its own identity.
	other := newModule(t, g.client("alice", ttlv.V2_1))
	other.call(cryptoki.SessionHandleInvalid, cryptoki.GetSessionInfo, s)
	other.call(cryptoki.ObjectHandleInvalid, cryptoki.GetAttributeValue, other.open(databaseSlot), ulong(keys[0]), count(0))
	stolen := &module{t, g.client("alice", ttlv.V2_1), m.correlation}
	stolen.call(cryptoki.CryptokiNotInitialized, cryptoki.GetInfo)
}

func TestPKCS11Refuses(t *testing.T) {
	g := newRig(t, Limits{})
	c := g.client("alice", ttlv.V2_1)
	none := &module{TB: t, c: c}
	none.call(cryptoki.CryptokiNotInitialized, cryptoki.GetInfo)
	none.call(cryptoki.CryptokiNotInitialized, cryptoki.Finalize)
	none.call(cryptoki.ArgumentsBad, cryptoki.Initialize, []byte{2})
	m := newModule(t, c)
	m.call(cryptoki.CryptokiAlreadyInitiated, cryptoki.Initialize, []byte{1})
	m.call(cryptoki.FunctionNotSupported, 21, ulong(1)) // C_CreateObject
	m.call(cryptoki.FunctionNotSupported, cryptoki.GetFunctionList)
	m.call(cryptoki.FunctionNotParallel, cryptoki.GetFunctionStatus, ulong(1))
	m.call(cryptoki.SlotIDInvalid, cryptoki.GetSlotInfo, ulong(4))
	m.call(cryptoki.MechanismInvalid, cryptoki.GetMechanismInfo, ulong(databaseSlot), ulong(0x80000000))
	m.call(cryptoki.ParallelNotSupported, cryptoki.OpenSession, ulong(databaseSlot), ulong(0))
	m.call(cryptoki.TokenWriteProtected, cryptoki.OpenSession, ulong(databaseSlot), ulong(cryptoki.SessionSerial|cryptoki.SessionReadWrite))
	m.call(cryptoki.SessionHandleInvalid, cryptoki.CloseSession, ulong(99))
	s := m.open(databaseSlot)
	m.call(cryptoki.OperationNotInitialized, cryptoki.FindObjects, s, ulong(1))
	m.call(cryptoki.OperationNotInitialized, cryptoki.FindObjectsFinal, s)
	m.call(cryptoki.OK, cryptoki.FindObjectsInit, s, count(0))
	m.call(cryptoki.OperationActive, cryptoki.FindObjectsInit, s, count(0))
	m.call(cryptoki.ObjectHandleInvalid, cryptoki.GetAttributeValue, s, ulong(1), count(0))
	o := m.call(cryptoki.OK, cryptoki.GetSlotList, []byte{0}, []byte{0}, count(0))
	require.False(t, o.Bool(), "only how many there are is asked")
	require.Equal(t, uint32(1), o.Count())
	m.call(cryptoki.BufferTooSmall, cryptoki.GetSlotList, []byte{0}, buffer(0))
	for range mostSessions - 1 {
		m.open(databaseSlot)
	}
	m.call(cryptoki.SessionCount, cryptoki.OpenSession, ulong(databaseSlot), ulong(cryptoki.SessionSerial))
	m.call(cryptoki.OK, cryptoki.CloseAllSessions, ulong(databaseSlot))
	m.call(cryptoki.SessionHandleInvalid, cryptoki.CloseSession, s)
	for range mostOfOneIdentity - 1 {
		newModule(t, c)
	}
	none.call(2, cryptoki.Initialize, []byte{1}) // CKR_HOST_MEMORY
	m.call(cryptoki.OK, cryptoki.Finalize).end()
	m.call(cryptoki.CryptokiNotInitialized, cryptoki.GetInfo)

	require.Equal(t, kmip.ResultReasonPKCS11CodecError, reason(t, c, kmip.OperationPKCS11, newModule(t, c).request(cryptoki.GetSlotInfo, []byte{1})))
	require.Equal(t, kmip.ResultReasonPKCS11InvalidFunction, reason(t, c, kmip.OperationPKCS11, m.request(cryptoki.LastFunction+1, nil)))
	require.Equal(t, kmip.ResultReasonPKCS11InvalidFunction, reason(t, c, kmip.OperationPKCS11, m.request(0, nil)))
	strange := m.request(cryptoki.GetInfo, nil)
	strange.PKCS11Interface = "PKCS 12"
	require.Equal(t, kmip.ResultReasonPKCS11InvalidInterface, reason(t, c, kmip.OperationPKCS11, strange))
	var e ttlv.Encoder
	e.Reset(nil, ttlv.V2_1)
	e.Int(ttlv.TagPKCS11Function, 1)
	require.Equal(t, kmip.ResultReasonPKCS11InvalidFunction, reason(t, c, kmip.OperationPKCS11, &kmip.PKCS11Request{PKCS11Function: e.Bytes()}))
}
