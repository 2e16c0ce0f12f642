package hsm

import (
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

func TestNameOf(t *testing.T) {
	const secret, private, public = pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY
	long := strings.Repeat("k", 255)
	for _, c := range []struct {
		class           uint
		label, id       string
		want, qualified string
	}{
		{secret, "k", "x", "k", "k#78"}, {private, "k", "k", "k", "k#6b"}, {public, "k", "k", "k_pk", "k#6b_pk"},
		{public, "k_pk", "k", "k_pk", "k_pk#6b_pk"}, {secret, "k_pk", "", "k_pk", ""}, {secret, "a::b/ü c#", "\x00", "a::b/ü c#", "a::b/ü c##00"},
		{secret, "", "x", "78", "#78"}, {secret, "", "\xff\x00", "ff00", "#ff00"}, {public, "", "\x01", "01_pk", "#01_pk"}, {public, "", "", "", ""},
		{secret, "\xff", "\x01", "01", "#01"}, {secret, "a\nb", "\x01", "01", "#01"}, {secret, "a\nb", "", "", ""},
		{secret, long, "\x01", long, ""}, {public, long, "\x01", "", ""}, {secret, long + "k", "\x01", "01", "#01"}, {secret, "", long, "", ""},
	} {
		name, _ := nameOf(c.class, c.label, c.id)
		require.Equal(t, c.want, name, "%q %q", c.label, c.id)
		full := qualified(c.class, c.label, c.id)
		require.Equal(t, c.qualified, full)
		if full != "" {
			require.Contains(t, unqualified(full), name, full)
		}
	}
	for _, name := range []string{"k", "k#", "k#0", "k#0G", "k#0A", "k#zz_pk", "#"} {
		require.Empty(t, unqualified(name), name)
	}
}

// Keys that share a label are told apart by their CKA_ID, and those that nothing tells apart are refused.
func TestDuplicateLabels(t *testing.T) {
	h := open(t)
	aes := func(more ...string) {
		pkcs11Tool(t, label(t), append([]string{"--keygen", "--key-type", "AES:32", "--sensitive"}, more...)...)
	}
	for range 2 {
		aes("--label", "twice")
	}
	_, err := h.Object(t.Context(), uid("twice"))
	require.ErrorContains(t, err, `"hsm::4::twice" names 2 objects in the token, with one label and no CKA_ID`)
	require.ErrorContains(t, h.Destroy(t.Context(), aesObject("twice", 256)), "names 2 objects")
	require.ErrorIs(t, h.Generate(t.Context(), aesObject("twice", 256)), kmip.ErrExists)

	aes("--label", "shared", "--id", "01")
	require.NoError(t, encrypts(t.Context(), h, "shared"))
	_, err = h.Object(t.Context(), uid("shared#01"))
	require.ErrorIs(t, err, kmip.ErrNotFound, "a name for each key, while one is enough")
	aes("--label", "shared", "--id", "ff0a")
	_, err = h.Locate(t.Context(), &kmip.Search{Admin: true})
	require.NoError(t, err)
	require.ErrorContains(t, encrypts(t.Context(), h, "shared"), `["hsm::4::shared#01" "hsm::4::shared#ff0a"]`)
	for _, name := range []string{"shared#01", "shared#ff0a"} {
		require.NoError(t, encrypts(t.Context(), h, name))
	}
	for _, name := range []string{"shared#02", "shared#FF0A", "shared#", "shared#01_pk"} {
		require.ErrorIs(t, encrypts(t.Context(), h, name), kmip.ErrNotFound, name)
	}

	// Without a label it is the CKA_ID; a label that looks like one goes first.
	aes("--id", "00ff")
	require.NoError(t, encrypts(t.Context(), h, "00ff"))
	aes("--label", "00ff", "--id", "07")
	_, err = h.Object(t.Context(), uid("00ff"))
	require.NoError(t, err)
	c := h.slots[4].conn.Load()
	c.mu.Lock()
	c.catalog = nil // a second later
	c.mu.Unlock()
	found, err := h.Locate(t.Context(), &kmip.Search{Admin: true})
	require.NoError(t, err)
	var names []string
	for _, l := range found.Objects {
		names = append(names, strings.TrimPrefix(l.UniqueIdentifier, uid("")))
	}
	require.ElementsMatch(t, []string{"shared#01", "shared#ff0a", "00ff", "#00ff"}, names)
	require.NoError(t, encrypts(t.Context(), h, "#00ff"))
	o, err := h.Object(t.Context(), uid("00ff"))
	require.NoError(t, err)
	s, _, _ := h.route(o.UniqueIdentifier)
	labelled, err := s.object(t.Context(), "00ff")
	require.NoError(t, err)
	require.Equal(t, "\x07", labelled.id)
	require.NoError(t, h.Destroy(t.Context(), aesObject("#00ff", 256)))
	require.NoError(t, h.Destroy(t.Context(), aesObject("shared#01", 256)))
	require.NoError(t, encrypts(t.Context(), h, "shared"), "alone again")
	require.ErrorIs(t, encrypts(t.Context(), h, "shared#ff0a"), kmip.ErrNotFound)

	// Both halves of other tools' pairs.
	for _, id := range []string{"0a", "0b"} {
		pkcs11Tool(t, label(t), "--keypairgen", "--key-type", "EC:prime256v1", "--label", "pair", "--id", id)
	}
	for _, id := range []string{"0a", "0b"} {
		private, err := h.Object(t.Context(), uid("pair#"+id))
		require.NoError(t, err)
		public, err := h.Object(t.Context(), uid("pair#"+id+"_pk"))
		require.NoError(t, err)
		signed, err := private.Key.Sign(t.Context(), &kmip.SignRequest{Data: []byte("text")})
		require.NoError(t, err)
		requireVerdict(t, public.Key, nil, signed.SignatureData)
	}
	keys, err := h.Keys(t.Context(), 4)
	require.NoError(t, err)
	names = nil
	for _, k := range keys {
		names = append(names, strings.TrimPrefix(k.UniqueIdentifier, uid("")))
	}
	require.ElementsMatch(t, []string{"", "", "shared", "00ff", "pair#0a", "pair#0b", "pair#0a_pk", "pair#0b_pk"}, names)
}
