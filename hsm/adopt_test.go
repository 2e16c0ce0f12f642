package hsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// What is stored of a key that another tool destroyed a moment ago is forgotten, and of no other.
func TestPrune(t *testing.T) {
	h := open(t)
	aesKeyOf(t, h, "stays")
	o := aesKeyOf(t, h, "goes").Clone()
	o.Grants = []kmip.Grant{{Grantee: "eve", Operation: kmip.OperationDecrypt}}
	require.NoError(t, h.SetGrants(t.Context(), o))
	left, err := h.Prune(t.Context(), 4, false, false, false)
	require.NoError(t, err)
	require.Empty(t, left)

	require.NoError(t, encrypts(t.Context(), h, "goes"))
	pkcs11Tool(t, label(t), "--delete-object", "--type", "secrkey", "--label", "goes")
	require.NotNil(t, h.slots[4].conn.Load().remembered("goes"), "it is remembered still")
	want := Left{UniqueIdentifier: uid("goes"), Names: []string{}, Grants: 1, Bits: 256}
	left, err = h.Prune(t.Context(), 4, true, false, false)
	require.NoError(t, err)
	require.Equal(t, []Left{want}, left)
	want.Forgotten = true
	left, err = h.Prune(t.Context(), 4, false, false, false)
	require.NoError(t, err)
	require.Equal(t, []Left{want}, left)
	left, err = h.Recorded(t.Context(), 4)
	require.NoError(t, err)
	require.Len(t, left, 1)

	// When none is there it takes a word more.
	pkcs11Tool(t, label(t), "--delete-object", "--type", "secrkey", "--label", "stays")
	_, err = h.Prune(t.Context(), 4, false, false, false)
	require.ErrorContains(t, err, "none of the 1 keys")
	left, err = h.Prune(t.Context(), 4, false, true, false)
	require.NoError(t, err)
	require.True(t, left[0].Forgotten)
	_, err = h.Prune(t.Context(), 9, false, true, false)
	require.ErrorContains(t, err, "slot 9 is not configured")
}

// A key that was adopted has what others have, and keeps what it has when it is adopted again.
func TestAdopt(t *testing.T) {
	h := open(t)
	pkcs11Tool(t, label(t), "--keypairgen", "--key-type", "rsa:2048", "--label", "pair", "--id", "01")
	list, err := h.Adopt(t.Context(), 4, Adoption{Labels: []string{"pair"}, Names: []string{"a name"}, DryRun: true})
	require.NoError(t, err)
	require.Len(t, list, 2)
	private, _, _ := halves(t, h, "pair")
	require.Zero(t, private.Revision, "on trial")
	for _, result := range []string{"adopted", "unchanged"} {
		list, err = h.Adopt(t.Context(), 4, Adoption{Labels: []string{uid("pair")}, Names: []string{"a name"}, Tags: []string{"word"}})
		require.NoError(t, err)
		for _, a := range list {
			require.Equal(t, result, a.Result)
			require.Equal(t, []string{"a name"}, a.Names)
			require.Equal(t, []string{"word"}, a.Tags)
		}
	}
	private, public, _ := halves(t, h, "pair")
	for _, o := range []*kmip.Object{private, public} {
		for _, tag := range []ttlv.Tag{ttlv.TagInitialDate, ttlv.TagActivationDate, ttlv.TagLastChangeDate, ttlv.TagCryptographicUsageMask, ttlv.TagState} {
			require.True(t, o.Attributes.Contains(tag), "%v", tag)
		}
	}
	link, _ := kmip.Get[kmip.Link](private.Attributes, ttlv.TagLink)
	require.Equal(t, kmip.Link{LinkType: kmip.LinkTypePublicKeyLink, LinkedObjectIdentifier: kmip.UniqueIdentifier(uid("pair_pk"))}, link)
	link, _ = kmip.Get[kmip.Link](public.Attributes, ttlv.TagLink)
	require.Equal(t, kmip.Link{LinkType: kmip.LinkTypePrivateKeyLink, LinkedObjectIdentifier: kmip.UniqueIdentifier(uid("pair"))}, link)
}
