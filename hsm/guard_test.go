package hsm

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"strongroom/hsm/hsmtest"
	"strongroom/kmip"
)

func makeSealKey(t *testing.T, h *HSM, label, algorithm string) {
	t.Helper()
	_, err := h.MakeKey(t.Context(), 4, NewKey{Label: label, Algorithm: algorithm, Purpose: PurposeSeal})
	require.NoError(t, err)
}

func guardOf(t *testing.T, h *HSM, n GuardName) *Guard {
	t.Helper()
	n.Slot = 4
	g, err := h.Guard(t.Context(), n)
	require.NoError(t, err)
	return g
}

// TestX10TamperedGuard: whatever byte of a wrapped key, or of what is authenticated with it, is another, the answer is one.
func TestX10TamperedGuard(t *testing.T) {
	h := open(t)
	makeSealKey(t, h, "root", "aes")
	makeSealKey(t, h, "root_HMAC", "hmac")
	makeSealKey(t, h, "pair", "rsa")
	secret := bytes.Repeat([]byte{7}, 32)
	for _, n := range []GuardName{
		{Label: "root"}, {Label: "root", Mechanism: "CKM_AES_CBC_PAD"}, {Label: "pair"}, {Label: "pair", Hash: "sha1", Mechanism: "0x9"},
	} {
		g := guardOf(t, h, n)
		wrapped, err := g.Wrap(t.Context(), secret, []byte("header"))
		require.NoError(t, err)
		require.NotContains(t, string(wrapped), string(secret[:8]))
		again, err := h.GuardOf(t.Context(), g.Reference(), g.MACReference(), g.Mechanism())
		require.NoError(t, err)
		got, err := again.Unwrap(t.Context(), g.Mechanism(), wrapped, []byte("header"))
		require.NoError(t, err)
		require.Equal(t, secret, got)

		rsa := strings.HasPrefix(g.Mechanism(), "RSA")
		var answers []string
		for i := 0; i < len(wrapped)+1; i++ {
			if rsa && i > 8 {
				break
			}
			bad := bytes.Clone(wrapped)
			if i < len(bad) {
				bad[i] ^= 1
			} else {
				bad = bad[:len(bad)-1]
			}
			_, err := again.Unwrap(t.Context(), g.Mechanism(), bad, []byte("header"))
			require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err), "%s: byte %d: %v", g.Mechanism(), i, err)
			answers = append(answers, err.Error())
		}
		for _, a := range answers {
			require.Equal(t, answers[0], a)
		}
		if !rsa {
			_, err = again.Unwrap(t.Context(), g.Mechanism(), wrapped, []byte("Header"))
			require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
		}
	}
}

// TestX04KeysBroughtByTheUser: keys that other tools made do, if they have what is used; what one lacks is named.
func TestX04KeysBroughtByTheUser(t *testing.T) {
	h := open(t)
	make := func(label string, kind uint, missing ...uint) {
		t.Helper()
		tmpl := template{{pkcs11.CKA_CLASS, number(pkcs11.CKO_SECRET_KEY)}, {pkcs11.CKA_KEY_TYPE, number(kind)}, {pkcs11.CKA_VALUE_LEN, number(32)},
			{pkcs11.CKA_TOKEN, flag(true)}, {pkcs11.CKA_LABEL, []byte(label)}, {pkcs11.CKA_ID, []byte{0xAB, byte(len(label))}}}
		for _, u := range []uint{pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN} {
			has := true
			for _, m := range missing {
				has = has && m != u
			}
			tmpl = append(tmpl, attribute{u, flag(has)})
		}
		mechanism := uint(pkcs11.CKM_AES_KEY_GEN)
		if kind == pkcs11.CKK_GENERIC_SECRET {
			mechanism = pkcs11.CKM_GENERIC_SECRET_KEY_GEN
		}
		require.NoError(t, h.slots[4].change(t.Context(), func(c *connection, s session) error {
			_, err := c.module.lib.generate(s, mechanism, tmpl)
			return err
		}))
	}
	make("mine", pkcs11.CKK_AES)
	make("blind", pkcs11.CKK_AES, pkcs11.CKA_DECRYPT)
	make("cbc", pkcs11.CKK_AES)
	make("cbc_HMAC", pkcs11.CKK_GENERIC_SECRET, pkcs11.CKA_SIGN)
	require.Equal(t, "CKM_AES_GCM", guardOf(t, h, GuardName{Label: "mine"}).Mechanism())
	require.True(t, strings.HasSuffix(guardOf(t, h, GuardName{Label: "mine"}).Reference(), ":mine:ab04"))
	for n, want := range map[labelled]string{
		{"blind", ""}:                 `the key "blind" in slot 4 has no CKA_DECRYPT`,
		{"cbc", "CKM_AES_CBC_PAD"}:    `the key "cbc_HMAC" in slot 4 has no CKA_SIGN`,
		{"mine", "CKM_AES_CBC_PAD"}:   "no key found for the label: mine_HMAC",
		{"none", ""}:                  "no key found for the label: none",
		{"mine", "CKM_RSA_PKCS_OAEP"}: "is a key of the type AES",
		{"mine", "CKM_DES3_CBC"}:      "does not protect a root key",
	} {
		_, err := h.Guard(t.Context(), GuardName{Slot: 4, Label: n.label, Mechanism: n.mechanism})
		require.ErrorContains(t, err, want)
	}
	_, err := h.Guard(t.Context(), GuardName{Slot: 9, Label: "mine"})
	require.ErrorContains(t, err, "slot 9 is not configured")
}

type labelled struct{ label, mechanism string }

// TestX08TwoKeysOfOneLabel are refused until key_id says which is meant.
func TestX08TwoKeysOfOneLabel(t *testing.T) {
	h := open(t)
	makeSealKey(t, h, "root", "aes")
	require.NoError(t, h.slots[4].change(t.Context(), func(c *connection, s session) error {
		m, err := secretKey("root", kmip.Attributes{}.With(tagAlgorithm, kmip.CryptographicAlgorithmAES))
		require.NoError(t, err)
		for i := range m.template {
			if m.template[i].Type == pkcs11.CKA_ID {
				m.template[i].Value = []byte{0xCA, 0xFE}
			}
		}
		_, err = c.module.lib.generate(s, m.mechanism, m.template)
		return err
	}))
	_, err := h.Guard(t.Context(), GuardName{Slot: 4, Label: "root"})
	require.ErrorContains(t, err, "more than 1 key has the label root: say which with key_id")
	one := guardOf(t, h, GuardName{Label: "root", ID: []byte{0xCA, 0xFE}})
	require.True(t, strings.HasSuffix(one.Reference(), ":root:cafe"), one.Reference())
	other := guardOf(t, h, GuardName{Label: "root", ID: []byte("root")})
	wrapped, err := one.Wrap(t.Context(), bytes.Repeat([]byte{1}, 32), nil)
	require.NoError(t, err)
	_, err = other.Unwrap(t.Context(), "CKM_AES_GCM", wrapped, nil)
	require.Equal(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
}

// TestX09Mechanisms: by name, hexadecimal and number; auto takes the first that works; RSA goes without padding through a token
// whose OAEP does only SHA-1, and says what the token says where it does not do that either.
func TestX09Mechanisms(t *testing.T) {
	for text, want := range map[string]uint{
		"": 0, "auto": 0, "AUTO": 0, "CKM_AES_GCM": pkcs11.CKM_AES_GCM, "aes_gcm": pkcs11.CKM_AES_GCM, "0x1087": pkcs11.CKM_AES_GCM, "0x00001087": pkcs11.CKM_AES_GCM,
		"4231": pkcs11.CKM_AES_GCM, "CKM_AES_CBC_PAD": pkcs11.CKM_AES_CBC_PAD, "0x1085": pkcs11.CKM_AES_CBC_PAD, "4229": pkcs11.CKM_AES_CBC_PAD,
		"RSA_PKCS_OAEP": pkcs11.CKM_RSA_PKCS_OAEP, "0x9": pkcs11.CKM_RSA_PKCS_OAEP, "9": pkcs11.CKM_RSA_PKCS_OAEP,
	} {
		got, err := ParseGuardMechanism(text)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"CKM_AES_ECB", "0x1082", "-1", "GCM", "0x"} {
		_, err := ParseGuardMechanism(text)
		require.ErrorContains(t, err, "does not protect a root key")
	}

	h, shim := shimmed(t, nil)
	makeSealKey(t, h, "root", "aes")
	makeSealKey(t, h, "root_HMAC", "hmac")
	makeSealKey(t, h, "pair", "rsa")
	require.Equal(t, "CKM_AES_GCM", guardOf(t, h, GuardName{Label: "root"}).Mechanism())
	require.Equal(t, "CKM_AES_CBC_PAD", guardOf(t, h, GuardName{Label: "root", Mechanism: "4229"}).Mechanism())
	require.Equal(t, "RSA-OAEP-SHA256", guardOf(t, h, GuardName{Label: "pair"}).Mechanism(), "through CKM_RSA_X_509: SoftHSM's OAEP has SHA-1 alone")
	require.Equal(t, "RSA-OAEP-SHA1", guardOf(t, h, GuardName{Label: "pair", Mechanism: "CKM_RSA_PKCS_OAEP", Hash: "sha1"}).Mechanism())

	shim.Do("EncryptInit", hsmtest.Refuse, pkcs11.CKR_MECHANISM_INVALID, 0, 1)
	require.Equal(t, "CKM_AES_CBC_PAD", guardOf(t, h, GuardName{Label: "root"}).Mechanism(), "GCM does not work: the next")

	for _, m := range h.modules {
		for _, p := range m.proofs {
			raw := p.rawRSA
			p.rawRSA = false
			defer func() { p.rawRSA = raw }()
		}
	}
	_, err := h.Guard(t.Context(), GuardName{Slot: 4, Label: "pair", Mechanism: "CKM_RSA_PKCS_OAEP"})
	require.ErrorContains(t, err, "CKR_ARGUMENTS_BAD")
	require.Equal(t, "RSA-OAEP-SHA1", guardOf(t, h, GuardName{Label: "pair"}).Mechanism(), "auto goes on to what works")
}

// TestGuardTokenAway: a token that is away is not a key that is not there, nor a wrong one.
func TestGuardTokenAway(t *testing.T) {
	h, shim := shimmed(t, nil)
	makeSealKey(t, h, "root", "aes")
	g := guardOf(t, h, GuardName{Label: "root"})
	wrapped, err := g.Wrap(t.Context(), bytes.Repeat([]byte{1}, 32), nil)
	require.NoError(t, err)
	for _, f := range []string{"DecryptInit", "FindObjectsInit", "GetTokenInfo"} {
		if f == "GetTokenInfo" {
			shim.Do("DecryptInit", hsmtest.Refuse, pkcs11.CKR_GENERAL_ERROR, 0, -1)
		}
		shim.Do(f, hsmtest.Refuse, pkcs11.CKR_TOKEN_NOT_PRESENT, 0, -1)
		_, err = g.Unwrap(t.Context(), g.Mechanism(), wrapped, nil)
		require.ErrorContains(t, err, "0xE0: CKR_TOKEN_NOT_PRESENT", f)
		require.NotEqual(t, kmip.ResultReasonCryptographicFailure, kmip.ReasonOf(err))
		shim.Heal()
		h.Reload()
	}
	_, err = h.GuardOf(t.Context(), "p11:ffffffff:root:00", "", "CKM_AES_GCM")
	require.ErrorContains(t, err, "no slot of the configuration has the token of that serial number")
	_, err = g.Unwrap(t.Context(), g.Mechanism(), wrapped, nil)
	require.NoError(t, err)
}

// TestX07OneKeyInARace: of several who make the seal's key at once, none makes a second.
func TestX07OneKeyInARace(t *testing.T) {
	newToken(t, label(t))
	slot := Slot{Number: 4, TokenLabel: label(t), PIN: pin(testPIN)}
	done := make(chan error)
	const racers = 6
	for range racers {
		go func() {
			h, err := Open(context.Background(), []Module{softHSMModule(slot)}, &memory{}, slog.New(slog.DiscardHandler))
			if err == nil {
				_, err = h.MakeKey(context.Background(), 4, NewKey{Label: "root", Purpose: PurposeSeal})
				err = errors.Join(err, h.Close())
			}
			done <- err
		}()
	}
	for range racers {
		<-done
	}
	h := openSlots(t, slot)
	keys, err := h.Keys(t.Context(), 4)
	require.NoError(t, err)
	require.LessOrEqual(t, len(keys), 1)
	if len(keys) == 1 {
		guardOf(t, h, GuardName{Label: "root"})
	}
}

// TestX03SealKeyAttributes: what a token says of the keys that were made for the seal.
func TestX03SealKeyAttributes(t *testing.T) {
	h := open(t)
	for _, c := range []struct{ label, algorithm, uses, not string }{
		{"root", "aes", "CKA_ENCRYPT CKA_DECRYPT", "CKA_WRAP CKA_UNWRAP CKA_SIGN CKA_VERIFY"},
		{"root_HMAC", "hmac", "CKA_SIGN CKA_VERIFY", "CKA_ENCRYPT CKA_DECRYPT CKA_WRAP CKA_UNWRAP"},
	} {
		made, err := h.MakeKey(t.Context(), 4, NewKey{Label: c.label, Algorithm: c.algorithm, Purpose: PurposeSeal})
		require.NoError(t, err)
		has := map[string]string{}
		for _, a := range made[0].Attributes {
			has[a.Name] = a.Value
		}
		require.Equal(t, "32", has["CKA_VALUE_LEN"])
		require.Equal(t, c.label, has["CKA_LABEL"])
		for _, name := range strings.Fields("CKA_TOKEN CKA_PRIVATE CKA_SENSITIVE " + c.uses) {
			require.Equal(t, "true", has[name], "%s: %s", c.label, name)
		}
		for _, name := range strings.Fields("CKA_EXTRACTABLE " + c.not) {
			require.Equal(t, "false", has[name], "%s: %s", c.label, name)
		}
	}
}

// TestReserved: a key that the server keeps for itself is one, with its public half; others are not, nor is it any more once the
// server lets it go.
func TestReserved(t *testing.T) {
	h := open(t)
	makeSealKey(t, h, "root", "aes")
	makeSealKey(t, h, "other", "aes")
	makeSealKey(t, h, "pair", "rsa")
	g, pair := guardOf(t, h, GuardName{Label: "root"}), guardOf(t, h, GuardName{Label: "pair"})
	is := func(name string) bool {
		o, err := h.Object(t.Context(), kmip.HSMIdentifier(4, name))
		require.NoError(t, err, name)
		return h.Reserves(o)
	}
	h.Reserve([]string{g.Reference(), g.MACReference(), pair.Reference(), "file:0123", "p11:", "p11:another:other:" + hex.EncodeToString([]byte("other"))})
	for _, name := range []string{"root", "pair", "pair_pk"} {
		require.True(t, is(name), name)
	}
	require.False(t, is("other"))
	h.Reserve(nil)
	require.False(t, is("root"))
}
