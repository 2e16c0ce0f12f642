package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/client"
	"strongroom/kmip/cryptoki"
	"strongroom/kmip/ttlv"
)

// An application calls functions of PKCS#11 over KMIP.
type application struct {
	*testing.T
	c           *client.Client
	correlation []byte
}

func (a *application) call(want kmip.PKCS11ReturnCode, f kmip.PKCS11Function, in ...byte) *cryptoki.Reader {
	a.Helper()
	var e ttlv.Encoder
	e.Reset(nil, ttlv.V2_1)
	e.Enum(ttlv.TagPKCS11Function, uint32(f))
	q := &kmip.PKCS11Request{PKCS11Function: e.Bytes(), CorrelationValue: a.correlation, PKCS11InputParameters: in}
	response := do[kmip.PKCS11Response](a.T, a.c, kmip.OperationPKCS11, q)
	require.Equal(a, want, response.PKCS11ReturnCode, "%v", f)
	if len(response.CorrelationValue) > 0 {
		a.correlation = response.CorrelationValue
	}
	return cryptoki.NewReader(response.PKCS11OutputParameters)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// slots lists the slots that have a token.
func (a *application) slots() (list []uint64) {
	a.Helper()
	r := a.call(cryptoki.OK, cryptoki.GetSlotList, 1, 1, 0, 0, 0, 8)
	require.True(a, r.Bool())
	for range r.Count() {
		list = append(list, r.ULong())
	}
	require.NoError(a, r.End())
	return list
}

// labels are those of the objects in a slot.
func (a *application) labels(slot uint64) (list []string) {
	a.Helper()
	session := cryptoki.ULongValue(a.call(cryptoki.OK, cryptoki.OpenSession, join(cryptoki.ULongValue(slot), cryptoki.ULongValue(cryptoki.SessionSerial))...).ULong())
	a.call(cryptoki.OK, cryptoki.FindObjectsInit, join(session, make([]byte, 4))...)
	found := a.call(cryptoki.OK, cryptoki.FindObjects, join(session, cryptoki.ULongValue(10))...)
	for range found.Count() {
		label := join(cryptoki.ULongValue(cryptoki.Label), []byte{0, 1, 0, 0, 0, 64})
		r := a.call(cryptoki.OK, cryptoki.GetAttributeValue, join(session, cryptoki.ULongValue(found.ULong()), []byte{0, 0, 0, 1}, label)...)
		list = append(list, string(r.Template()[0].Value))
	}
	a.call(cryptoki.OK, cryptoki.CloseSession, session...)
	return list
}

// TestPKCS11OfAToken looks at a token through the server: its administrator sees it, others once they may use a key in it.
func TestPKCS11OfAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addClient("bob")
	s.serve()
	admin, bob := &application{T: t, c: s.client("admin", ttlv.V2_1)}, &application{T: t, c: s.client("bob", ttlv.V2_1)}
	for _, a := range []*application{admin, bob} {
		a.call(cryptoki.OK, cryptoki.Initialize, cryptoki.EncodingVersion)
	}
	uid := create(t, admin.c, aes("hsm::4::k"))
	create(t, admin.c, aes("in the database"))
	require.Equal(t, []uint64{4, 0xFFFFFFFF}, admin.slots())
	require.Equal(t, []string{"k"}, admin.labels(4))
	require.Equal(t, []string{"in the database"}, admin.labels(0xFFFFFFFF))

	require.Equal(t, []uint64{0xFFFFFFFF}, bob.slots())
	bob.call(cryptoki.SlotIDInvalid, cryptoki.GetTokenInfo, cryptoki.ULongValue(4)...)
	do[kmip.GrantAccessResponse](t, admin.c, kmip.OperationGrantAccess, &kmip.GrantAccessRequest{
		UniqueIdentifier: kmip.UniqueIdentifier(uid), Grantee: "bob", Operations: []kmip.Operation{kmip.OperationGetAttributes}})
	require.Equal(t, []uint64{4, 0xFFFFFFFF}, bob.slots())
	require.Equal(t, []string{"k"}, bob.labels(4))

	info := admin.call(cryptoki.OK, cryptoki.GetTokenInfo, cryptoki.ULongValue(4)...)
	label := make([]byte, 32)
	for i := range label {
		label[i] = info.Byte()
	}
	require.Contains(t, string(label), "strongroom")
	list := admin.call(cryptoki.OK, cryptoki.GetMechanismList, join(cryptoki.ULongValue(4), []byte{1, 0, 0, 1, 0})...)
	require.True(t, list.Bool())
	var mechanisms []uint64
	for range list.Count() {
		mechanisms = append(mechanisms, list.ULong())
	}
	require.Contains(t, mechanisms, uint64(cryptoki.AESGCM))
	for _, m := range mechanisms {
		r := admin.call(cryptoki.OK, cryptoki.GetMechanismInfo, join(cryptoki.ULongValue(4), cryptoki.ULongValue(m))...)
		r.ULong()
		r.ULong()
		require.NotZero(t, r.ULong()&cryptoki.MechanismHardware)
	}
	admin.call(cryptoki.OK, cryptoki.Finalize)
	require.Equal(t, []string{"k"}, bob.labels(4), "nobody else is finalized with it")
}
