package hsm

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/kmip"
)

// What a key is made for is what it can be used for, read back with another tool.
func TestMakeKey(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		key      NewKey
		secret   string // usage of the secret or private key, as pkcs11-tool has it
		public   string
		bits     int32
		refused  string
		existing bool
	}{
		{NewKey{Label: "root", Purpose: PurposeSeal}, "encrypt, decrypt", "", 256, "", false},
		{NewKey{Label: "root_HMAC", Algorithm: "hmac", Purpose: PurposeSeal}, "verify", "", 256, "", false},
		{NewKey{Label: "root-rsa", Algorithm: "rsa", Purpose: PurposeSeal, Bits: 2048}, "decrypt", "encrypt", 2048, "", false},
		{NewKey{Label: "kek", Algorithm: "aes", Purpose: PurposeWrapping}, "wrap, unwrap", "", 256, "", false},
		{NewKey{Label: "kek-rsa", Algorithm: "rsa", Purpose: PurposeWrapping, Bits: 2048}, "unwrap", "wrap", 2048, "", false},
		{NewKey{Label: "data", Algorithm: "aes", Purpose: PurposeData, Bits: 128}, "encrypt, decrypt, verify", "", 128, "", false},
		{NewKey{Label: "mac", Algorithm: "hmac", Purpose: PurposeData, Bits: 512}, "verify", "", 512, "", false},
		{NewKey{Label: "rsa", Algorithm: "rsa", Purpose: PurposeData, Bits: 2048}, "decrypt, sign", "encrypt, verify", 2048, "", false},
		{NewKey{Label: "ec", Algorithm: "ec", Purpose: PurposeData, Bits: 384}, "sign", "verify", 384, "", false},
		{NewKey{Label: "ed", Algorithm: "ed25519", Purpose: PurposeData}, "sign", "verify", 256, "", false},
		{NewKey{Label: "root", Purpose: PurposeData}, "", "", 0, `"hsm::4::root" is in use`, true},
		{NewKey{Label: "rsa", Algorithm: "rsa", Purpose: PurposeData}, "", "", 0, `"hsm::4::rsa" is in use`, true},
		{NewKey{Label: "x", Algorithm: "ec", Purpose: PurposeSeal}, "", "", 0, "a key for ec is of no use for seal", false},
		{NewKey{Label: "x", Algorithm: "hmac", Purpose: PurposeWrapping}, "", "", 0, "a key for hmac is of no use for wrapping", false},
		{NewKey{Label: "x", Algorithm: "des", Purpose: PurposeData}, "", "", 0, `a key for "des" is not made`, false},
		{NewKey{Label: "x", Purpose: "all"}, "", "", 0, `"all" is no purpose`, false},
		{NewKey{Label: "x", Purpose: PurposeData, Bits: 100}, "", "", 0, "128, 192 or 256 bits, not 100", false},
		{NewKey{Label: "x", Algorithm: "rsa", Purpose: PurposeData, Bits: 1024}, "", "", 0, "2048 to 4096 bits, a multiple of 64, not 1024", false},
		{NewKey{Label: "x_pk", Purpose: PurposeData}, "", "", 0, "public halves", false},
		{NewKey{Purpose: PurposeData}, "", "", 0, "label of 1 to 255 bytes", false},
		{NewKey{Label: "a\tb", Purpose: PurposeData}, "", "", 0, "control characters", false},
	} {
		t.Run(c.key.Label+" "+c.key.Algorithm+" "+string(c.key.Purpose), func(t *testing.T) {
			before := pkcs11Tool(t, tokenOf(h), "-O")
			made, err := h.MakeKey(t.Context(), 4, c.key)
			if c.refused != "" {
				require.ErrorContains(t, err, c.refused)
				require.Equal(t, c.existing, kmip.ReasonOf(err) == kmip.ResultReasonObjectAlreadyExists)
				require.Equal(t, before, pkcs11Tool(t, tokenOf(h), "-O"), "nothing changed")
				return
			}
			require.NoError(t, err)
			require.NoError(t, h.CheckKey(t.Context(), 4, c.key))
			require.Equal(t, uid(c.key.Label), made[0].UniqueIdentifier)
			require.Equal(t, c.bits, made[0].Bits)
			kind := map[string]string{"": "secrkey", "aes": "secrkey", "hmac": "secrkey"}[c.key.Algorithm]
			if kind == "" {
				kind = "privkey"
				require.Len(t, made, 2)
				require.Regexp(t, `Usage: +`+c.public+`\n`, shownByTool(t, h, "pubkey", c.key.Label+"_pk"))
			}
			told := shownByTool(t, h, kind, c.key.Label)
			require.Regexp(t, `Usage: +`+c.secret+`\n`, told)
			require.Regexp(t, `Access: +sensitive, always sensitive, never extractable`, told)
			attributes := map[string]string{}
			for _, a := range made[0].Attributes {
				attributes[a.Name] = a.Value
			}
			require.Subset(t, attributes, map[string]string{"CKA_TOKEN": "true", "CKA_PRIVATE": "true", "CKA_SENSITIVE": "true",
				"CKA_EXTRACTABLE": "false", "CKA_LABEL": c.key.Label})
			if strings.Contains(c.secret, "verify") {
				require.Equal(t, "true", attributes["CKA_SIGN"])
			}
			require.False(t, attributes["CKA_DECRYPT"] == "true" && attributes["CKA_UNWRAP"] == "true")
		})
	}
}

// shownByTool is what pkcs11-tool says of one object. Of a secret key it does not say that it signs.
func shownByTool(t *testing.T, h *HSM, kind, label string) string {
	all := pkcs11Tool(t, tokenOf(h), "-O", "--type", kind)
	_, text, found := strings.Cut(all, "  label:      "+label+"\n")
	require.True(t, found, all)
	text, _, _ = strings.Cut(text, "Object; ")
	return text
}

// tokenOf is the label of a backend's token.
func tokenOf(h *HSM) string { return h.slots[4].TokenLabel }

// A token that makes a key otherwise than it was asked to does not keep it.
func TestMakeKeyThatTheTokenMakesOtherwise(t *testing.T) {
	h := open(t)
	loose := &loose{cryptoki: h.modules[0].lib}
	h.modules[0].lib = loose
	t.Cleanup(func() { h.modules[0].lib = loose.cryptoki })
	for kind, name := range map[uint]string{
		pkcs11.CKA_EXTRACTABLE: "CKA_EXTRACTABLE is true, and was to be false",
		pkcs11.CKA_WRAP:        "CKA_WRAP is true, and was to be false",
	} {
		loose.adds = kind
		_, err := h.MakeKey(t.Context(), 4, NewKey{Label: "k", Purpose: PurposeSeal})
		require.ErrorContains(t, err, name)
		require.Equal(t, kmip.ResultReasonGeneralFailure, kmip.ReasonOf(err))
		require.Empty(t, strings.TrimSpace(pkcs11Tool(t, tokenOf(h), "-O")), "it stays in the token")
	}
}

// loose is a library whose tokens allow keys one thing more than they were asked to.
type loose struct {
	cryptoki
	adds uint
}

func (l *loose) generate(s session, mechanism uint, t template) (handle, error) {
	changed := make(template, len(t))
	copy(changed, t)
	for i := range changed {
		if changed[i].Type == l.adds {
			changed[i].Value = flag(true)
		}
	}
	return l.cryptoki.generate(s, mechanism, changed)
}

// TestCheckKey refuses every key but the one that MakeKey would make; and MakeKey tells before it makes one, and only then.
func TestCheckKey(t *testing.T) {
	h := open(t)
	begun := 0
	key := NewKey{Label: "root", Purpose: PurposeSeal, Begin: func() error { begun++; return nil }}
	require.Error(t, h.CheckKey(t.Context(), 4, key), "there is none")
	_, err := h.MakeKey(t.Context(), 4, key)
	require.NoError(t, err)
	_, err = h.MakeKey(t.Context(), 4, key)
	require.ErrorIs(t, err, kmip.ErrExists)
	require.Equal(t, 1, begun)
	require.NoError(t, h.CheckKey(t.Context(), 4, key))
	for _, other := range []NewKey{
		{Label: "root", Purpose: PurposeWrapping},
		{Label: "root", Purpose: PurposeSeal, Bits: 128},
		{Label: "root", Purpose: PurposeSeal, Algorithm: "hmac"},
	} {
		require.ErrorContains(t, h.CheckKey(t.Context(), 4, other), "not as it would be made", "%v %s %d", other.Purpose, other.Algorithm, other.Bits)
	}
	require.Error(t, h.CheckKey(t.Context(), 9, key), "no such slot")

	key.Label, key.Begin = "unmade", func() error { return errors.New("not now") }
	_, err = h.MakeKey(t.Context(), 4, key)
	require.ErrorContains(t, err, "not now")
	require.NotContains(t, pkcs11Tool(t, tokenOf(h), "-O"), "unmade")
}
