package authz

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

func TestMayGovern(t *testing.T) {
	table := &Table{HSMAdmin: []string{"*"}, Create: []string{"*"}, Govern: []string{"gov"}}
	require.True(t, table.MayGovern("gov"))
	require.False(t, table.MayGovern("ann"))
	require.False(t, table.MayGovern("*"))
	require.True(t, (&Table{Govern: []string{"*"}}).MayGovern("ann"))
	require.False(t, (&Table{Govern: []string{"*"}}).MayGovern("*"))
}

// operations are all that there are: those of KMIP 2.1 §11.36 and the server's own.
func operations() []kmip.Operation {
	var all []kmip.Operation
	for op := kmip.OperationCreate; op <= kmip.OperationPing; op++ {
		all = append(all, op)
	}
	return append(all, kmip.OperationGrantAccess, kmip.OperationWithdrawAccess, kmip.OperationListAccess, kmip.OperationWhoAmI, kmip.OperationCanI)
}

const (
	allowed = "allowed"
	denied  = "denied"  // but the object is visible
	unknown = "unknown" // a stranger
)

// outcome is what the table says, in a word.
func outcome(t *Table, identity string, op kmip.Operation, o *kmip.Object) string {
	switch {
	case t.Allow(identity, op, o):
		return allowed
	case t.Visible(identity, o):
		return denied
	}
	return unknown
}

// TestAllow goes through every operation for every kind of caller, object and grant.
func TestAllow(t *testing.T) {
	const uid, hsm = "5f0c", "hsm::4::k"
	table := &Table{HSMAdmin: []string{"root"}, Create: []string{"*"}}
	everybodyIsAdmin := &Table{HSMAdmin: []string{"*"}}
	nobodyIsAdmin := &Table{}
	sign := kmip.OperationSign

	cases := []struct {
		name     string
		table    *Table
		identity string
		object   kmip.Object
		sign     string // for Sign
		rest     string // for all else
	}{
		{"owner", table, "ann", kmip.Object{UniqueIdentifier: uid, Owners: []string{"bob", "ann"}}, allowed, allowed},
		{"everyone owns", table, "ann", kmip.Object{UniqueIdentifier: uid, Owners: []string{"*"}}, allowed, allowed},
		{"stranger", table, "eve", kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}}, unknown, unknown},
		{"stranger of an object without owner", table, "eve", kmip.Object{UniqueIdentifier: uid}, unknown, unknown},
		{"prefix of the owner", table, "an", kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}}, unknown, unknown},
		{"owner in capitals", table, "ANN", kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}}, unknown, unknown},
		{"hsm_admin and a database key", table, "root", kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}}, unknown, unknown},
		{"grantee", table, "eve", kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}, Grants: []kmip.Grant{{Grantee: "eve", Operation: sign}}}, allowed, denied},
		{"grant to everyone", table, "eve", kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}, Grants: []kmip.Grant{{Grantee: "*", Operation: sign}}}, allowed, denied},
		{"grant to another", table, "eve", kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}, Grants: []kmip.Grant{{Grantee: "bob", Operation: sign}}}, unknown, unknown},
		{"grant of what cannot be granted", table, "eve", kmip.Object{UniqueIdentifier: uid, Grants: []kmip.Grant{
			{Grantee: "eve", Operation: kmip.OperationCreate}, {Grantee: "eve", Operation: kmip.OperationGrantAccess}, {Grantee: "*", Operation: kmip.OperationImport},
		}}, unknown, unknown},
		{"empty identity, empty owner", table, "", kmip.Object{UniqueIdentifier: uid, Owners: []string{""}, Grants: []kmip.Grant{{Operation: sign}}}, unknown, unknown},
		{"empty identity, everyone", everybodyIsAdmin, "", kmip.Object{UniqueIdentifier: hsm, Owners: []string{"*"}, Grants: []kmip.Grant{{Grantee: "*", Operation: sign}}}, unknown, unknown},
		{"everyone is nobody", table, "*", kmip.Object{UniqueIdentifier: uid, Owners: []string{"*"}, Grants: []kmip.Grant{{Grantee: "*", Operation: sign}}}, unknown, unknown},

		{"hsm_admin", table, "root", kmip.Object{UniqueIdentifier: hsm}, allowed, allowed},
		{"everyone is hsm_admin", everybodyIsAdmin, "eve", kmip.Object{UniqueIdentifier: hsm}, allowed, allowed},
		{"stranger of an HSM key", table, "eve", kmip.Object{UniqueIdentifier: hsm}, unknown, unknown},
		{"owner by a backend's word", table, "ann", kmip.Object{UniqueIdentifier: hsm, Owners: []string{"ann", "*"}}, unknown, unknown},
		{"no hsm_admin", nobodyIsAdmin, "root", kmip.Object{UniqueIdentifier: hsm, Owners: []string{"root"}}, unknown, unknown},
		{"grantee of an HSM key", table, "eve", kmip.Object{UniqueIdentifier: hsm, Grants: []kmip.Grant{{Grantee: "eve", Operation: sign}}}, allowed, denied},
		{"grant of an HSM key to everyone", table, "eve", kmip.Object{UniqueIdentifier: hsm, Grants: []kmip.Grant{{Grantee: "*", Operation: sign}}}, allowed, denied},
		{"HSM key that is none", everybodyIsAdmin, "eve", kmip.Object{UniqueIdentifier: "hsm::four::k", Owners: []string{"*"}}, unknown, unknown},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, op := range operations() {
				want := c.rest
				if op == sign {
					want = c.sign
				}
				require.Equal(t, want, outcome(c.table, c.identity, op, &c.object), "%s", op)
			}
			require.Equal(t, c.sign != unknown, c.table.Visible(c.identity, &c.object), "visible")
		})
	}
}

// TestGrant goes through every pair of operations: each grant allows its own and no other.
func TestGrant(t *testing.T) {
	table := &Table{HSMAdmin: []string{"root"}}
	for _, uid := range []string{"k", "hsm::4::k"} {
		for _, granted := range operations() {
			o := &kmip.Object{UniqueIdentifier: uid, Owners: []string{"ann"}, Grants: []kmip.Grant{{Grantee: "eve", Operation: granted}}}
			for _, op := range operations() {
				want := unknown
				if Grantable(granted) {
					want = denied
				}
				if Grantable(granted) && op == granted {
					want = allowed
				}
				require.Equal(t, want, outcome(table, "eve", op, o), "%s with a grant of %s on %s", op, granted, uid)
			}
		}
	}
}

func TestGrantable(t *testing.T) {
	never := []kmip.Operation{
		kmip.OperationCreate, kmip.OperationCreateKeyPair, kmip.OperationRegister, kmip.OperationImport,
		kmip.OperationGrantAccess, kmip.OperationWithdrawAccess, kmip.OperationListAccess, kmip.OperationWhoAmI, kmip.OperationCanI,
		kmip.OperationLocate, kmip.OperationQuery, kmip.OperationDiscoverVersions, kmip.OperationHash,
		kmip.OperationRNGRetrieve, kmip.OperationRNGSeed, 0, kmip.OperationPing + 1,
	}
	for _, op := range never {
		require.False(t, Grantable(op), "%s", op)
	}
	for _, op := range []kmip.Operation{
		kmip.OperationGet, kmip.OperationExport, kmip.OperationGetAttributes, kmip.OperationGetAttributeList,
		kmip.OperationAddAttribute, kmip.OperationModifyAttribute, kmip.OperationDeleteAttribute, kmip.OperationSetAttribute,
		kmip.OperationEncrypt, kmip.OperationDecrypt, kmip.OperationSign, kmip.OperationSignatureVerify, kmip.OperationMAC,
		kmip.OperationMACVerify, kmip.OperationActivate, kmip.OperationRevoke, kmip.OperationDestroy, kmip.OperationReKey,
		kmip.OperationReKeyKeyPair, kmip.OperationDeriveKey, kmip.OperationCheck,
	} {
		require.True(t, Grantable(op), "%s", op)
		require.NotContains(t, never, op)
	}
	require.False(t, slices.Contains(operations(), kmip.Operation(0)))
}

func TestMayCreate(t *testing.T) {
	cases := []struct {
		table    Table
		identity string
		database bool
		hsm      bool
	}{
		{Table{}, "ann", false, false},
		{Table{Create: []string{"*"}}, "ann", true, false},
		{Table{Create: []string{"ann"}}, "ann", true, false},
		{Table{Create: []string{"ann"}}, "eve", false, false},
		{Table{HSMAdmin: []string{"ann"}}, "ann", false, true},
		{Table{HSMAdmin: []string{"ann"}, Create: []string{"*"}}, "eve", true, false},
		{Table{HSMAdmin: []string{"*"}, Create: []string{"bob"}}, "eve", false, true},
		{Table{HSMAdmin: []string{"*"}, Create: []string{"*"}}, "", false, false},
		{Table{HSMAdmin: []string{"*"}, Create: []string{"*"}}, "*", false, false},
	}
	for _, c := range cases {
		name := fmt.Sprintf("%q of %+v", c.identity, c.table)
		require.Equal(t, c.database, c.table.MayCreate(c.identity, "k"), name)
		require.Equal(t, c.hsm, c.table.MayCreate(c.identity, "hsm::4::k"), name)
		require.Equal(t, c.hsm, c.table.Admin(c.identity), name)
	}
}

func TestCheckIdentity(t *testing.T) {
	for _, good := range []string{"ann", "ops@example.com", "Zoë Ångström", "李", "a b", "**", "spiffe://x/y", strings.Repeat("a", 256)} {
		require.NoError(t, CheckIdentity(good), "%q", good)
	}
	for _, bad := range []string{"", "*", "a\x00b", "\n", "a\tb", "\x7f", "a\u0085", "a\u200bb", "a\u202eb", "\u2028", "\ufeffann", "\xff", "a\xc3", " ann", "ann ", "a\u00a0b", "a\u3000b", "ann\u3164", "ann\ufe0f", "\u115fann", "a\ue000", strings.Repeat("a", 257)} {
		require.Error(t, CheckIdentity(bad), "%q", bad)
		require.Equal(t, kmip.ResultReasonAuthenticationNotSuccessful, kmip.ReasonOf(CheckIdentity(bad)))
	}
}

func TestAllowDoesNotAllocate(t *testing.T) {
	table := &Table{HSMAdmin: []string{"root"}}
	o := &kmip.Object{UniqueIdentifier: "hsm::4::k", Grants: []kmip.Grant{{Grantee: "ann", Operation: kmip.OperationSign}}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !table.Allow("ann", kmip.OperationSign, o) || !table.Allow("root", kmip.OperationDestroy, o) {
			panic("refused")
		}
	}))
}

// TestSlotAdmin: a slot that has administrators of its own is nobody else's, an hsm_admin's neither.
func TestSlotAdmin(t *testing.T) {
	table := &Table{HSMAdmin: []string{"root"}, SlotAdmin: map[uint32][]string{5: {"ann", "bob"}}, Create: []string{"*"}}
	for _, c := range []struct {
		identity    string
		four, five  bool
		administers bool
	}{{"root", true, false, true}, {"ann", false, true, true}, {"bob", false, true, true}, {"eve", false, false, false}, {"*", false, false, false}} {
		for uid, want := range map[string]bool{"hsm::4::k": c.four, "hsm::5::k": c.five} {
			require.Equal(t, want, table.MayCreate(c.identity, uid), "%s %s", c.identity, uid)
			require.Equal(t, want, table.Allow(c.identity, kmip.OperationDestroy, &kmip.Object{UniqueIdentifier: uid, Owners: []string{c.identity}}))
			require.Equal(t, want, table.Visible(c.identity, &kmip.Object{UniqueIdentifier: uid}))
		}
		require.Equal(t, c.administers, table.Admin(c.identity))
		others, own := table.Slots(c.identity)
		require.Equal(t, c.four, others)
		require.Equal(t, map[uint32]bool{5: c.five}, own)
	}
	require.False(t, table.MayCreate("root", "hsm::x"), "what is no identifier of a key is nobody's")
	granted := &kmip.Object{UniqueIdentifier: "hsm::5::k", Grants: []kmip.Grant{{Grantee: "root", Operation: kmip.OperationEncrypt}}}
	require.True(t, table.Allow("root", kmip.OperationEncrypt, granted))
	require.False(t, table.Allow("root", kmip.OperationDecrypt, granted))
}
