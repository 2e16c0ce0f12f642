package tests

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strongroom/hsm"
	"strongroom/kmip/ttlv"
	"strongroom/store"
)

// TestX23HSMCommands asks for everything that an operator can be told of a token, beside a server that uses it.
func TestX23HSMCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	create(t, s.client("admin", ttlv.V2_1), aes("hsm::4::mine"))
	for range 2 {
		s.tool("--keygen", "--key-type", "AES:16", "--label", "twice", "--sensitive")
	}
	ask := func(into any, args ...string) string {
		text := s.must(s.strongroomd(append([]string{"hsm", args[0], "--config", s.path("strongroom.toml")}, args[1:]...)...))
		require.NoError(t, json.Unmarshal([]byte(s.must(s.strongroomd(append([]string{"hsm", args[0], "--json", "--config", s.path("strongroom.toml")}, args[1:]...)...))), into))
		return text
	}
	var tokens []hsm.Token
	require.Contains(t, ask(&tokens, "slots"), "strongroom")
	require.Equal(t, []uint32{4}, tokens[0].Slots)
	require.True(t, tokens[0].Initialized)

	var status []hsm.Status
	require.Contains(t, ask(&status, "info"), "SoftHSM v2")
	require.True(t, status[0].Healthy)
	for _, command := range []string{"info", "mechanisms", "test", "keys"} {
		require.Contains(t, s.refused(s.strongroomd("hsm", command, "5", "--config", s.path("strongroom.toml"))), "slot 5 is not configured", command)
	}

	require.Contains(t, s.must(s.strongroomd("hsm", "info", "--slot", "4", "--config", s.path("strongroom.toml"))), "PIN           ok\n")
	r := s.strongroomd("hsm", "keys", "4", "--slot", "4", "--config", s.path("strongroom.toml"))
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stderr, "one slot: 4 and 4 are given")

	// A token that is not there, a second slot without one, and a library that is none.
	text := string(s.read("strongroom.toml"))
	two := s.write("two.toml", []byte(text+"\n  [[hsm.slot]]\n  number = 5\n  token_label = \"nowhere\"\n  pin_file = \"no-pin\"\n"))
	r = s.strongroomd("hsm", "info", "--json", "--config", two)
	require.Contains(t, s.refused(r), "slot 5 does not work")
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &status))
	require.True(t, status[0].Healthy)
	require.Equal(t, hsm.Status{Number: 5, Library: s.module(), Mechanisms: []string{}, Error: `slot 5: HSM unavailable: no token with label "nowhere": 0xE0: CKR_TOKEN_NOT_PRESENT`}, status[1])
	require.Contains(t, r.stdout, `"library_version": "`)
	r = s.strongroomd("hsm", "slots", "--config", two)
	s.must(r)
	require.Equal(t, "slot 5: no token with label \"nowhere\": 0xE0: CKR_TOKEN_NOT_PRESENT\n", r.stderr)
	r = s.strongroomd("hsm", "slots", "--config", s.write("none.toml", []byte(strings.Replace(text, s.module(), "/no/such/lib.so", 1))))
	require.Contains(t, s.refused(r), "loading module /no/such/lib.so: ")

	var listed []hsm.Mechanism
	require.Contains(t, ask(&listed, "mechanisms"), "0x1087  CKM_AES_GCM")
	require.Greater(t, len(listed), 50)

	var capabilities []hsm.Capability
	require.Regexp(t, `AES GCM +CKM_AES_GCM +yes +yes +yes`, ask(&capabilities, "test", "4"))
	for _, c := range capabilities {
		require.False(t, c.Chosen && !c.Works || c.Works && !c.Listed, "%+v", c)
		require.NotEqual(t, c.Works, c.Note != "" && !strings.HasPrefix(c.Note, "only "), "what does not work says why: %+v", c)
	}
	require.Contains(t, capabilities, hsm.Capability{Use: "RSA OAEP, SHA_256", Mechanism: "CKM_RSA_PKCS_OAEP", Listed: true, Tried: true,
		Note: "0x7: CKR_ARGUMENTS_BAD; CKM_RSA_X_509 in the token and unpadding in the server do it instead"})
	require.Contains(t, s.tool("-O"), "mine")

	var keys []hsm.KeyInfo
	text = ask(&keys, "keys", "4")
	require.Regexp(t, `hsm::4::mine +mine +[0-9a-f]+ +secret +AES +256 +yes +no +`, text)
	require.Regexp(t, `- +twice +- +secret +AES +128 +yes`, text)
	require.Len(t, keys, 3, "nothing of the self-test stays")

}

// TestHSMGenerate makes keys with the operator's command beside a server that runs, which uses them.
func TestHSMGenerate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	generate := func(args ...string) result {
		return s.strongroomd(append([]string{"hsm", "generate", "--config", s.path("strongroom.toml")}, args...)...)
	}
	text := s.must(generate("--slot", "4", "--key-label", "root", "--purpose", "seal"))
	require.Contains(t, text, "hsm::4::root: a secret key, AES, 256 bits\n")
	for _, want := range []string{"CKA_ENCRYPT +true", "CKA_WRAP +false", "CKA_SENSITIVE +true", "CKA_EXTRACTABLE +false", "CKA_TOKEN +true", "CKA_VALUE_LEN +32", "CKA_KEY_TYPE +CKK_AES"} {
		require.Regexp(t, want+`\n`, text)
	}
	var made []hsm.MadeKey
	require.NoError(t, json.Unmarshal([]byte(s.must(generate("--key-label", "signing", "--algorithm", "ec", "--length", "384", "--purpose", "data", "--json"))), &made))
	require.Len(t, made, 2)
	require.Equal(t, "hsm::4::signing_pk", made[1].UniqueIdentifier)

	admin := s.client("admin", ttlv.V2_1)
	works(t, admin, "hsm::4::root")
	before := s.tool("-O")
	for want, args := range map[string][]string{
		`"hsm::4::root" is in use`:           {"--key-label", "root", "--purpose", "seal"},
		`"everything" is no purpose`:         {"--key-label", "other", "--purpose", "everything"},
		"a key for ec is of no use for seal": {"--key-label", "other", "--algorithm", "ec", "--purpose", "seal"},
		"--purpose is needed":                {"--key-label", "other"},
		"slot 5 is not configured":           {"--slot", "5", "--key-label", "other", "--purpose", "data"},
		"a number of bits":                   {"--key-label", "other", "--purpose", "data", "--length", "-1"},
		"128, 192 or 256 bits, not 100":      {"--key-label", "other", "--purpose", "data", "--length", "100"},
	} {
		r := generate(args...)
		require.NotZero(t, r.code)
		require.Contains(t, r.stderr, want)
	}
	require.Equal(t, before, s.tool("-O"), "a refused command makes nothing")
}

// TestHSMGenerateCut interrupts the command while the token makes the key, which nothing can take back: it tells that the key is there, and
// so does the audit log, with a server and without one. The same where what it tells cannot be written.
func TestHSMGenerateCut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	shim := s.throughShim("none")
	config := s.path("strongroom.toml")
	before := shim.Calls("GenerateKeyPair")
	s.must(s.strongroomd("hsm", "info", "--config", config))
	tested := shim.Calls("GenerateKeyPair") - before // by the self-test
	cut := func(label string) {
		shim.Delay(300*time.Millisecond, "GenerateKeyPair")
		begun := shim.Calls("GenerateKeyPair")
		cmd := exec.Command(filepath.Join(bin, "strongroomd"), "hsm", "generate", "--key-label", label, "--algorithm", "ec", "--purpose", "data", "--config", config)
		var told bytes.Buffer
		cmd.Stdout, cmd.Stderr = &told, &told
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return shim.Calls("GenerateKeyPair") > begun+tested }, time.Minute, time.Millisecond)
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), told.String())
		require.Contains(t, told.String(), "hsm::4::"+label+": a private key, EC, 256 bits\n")
		shim.Heal()
		require.Contains(t, s.must(s.strongroomd("hsm", "keys", "--config", config)), "hsm::4::"+label+"_pk ")
		s.audits(`"detail":"hsm::4::` + label + `, ec to be used for data"`)
	}
	cut("alone")
	s.serve()
	cut("served")

	for _, asked := range [][]string{{"--key-label", "full"}, {"--key-label", "fuller", "--json"}} {
		r := s.exec(nil, "sh", append([]string{"-c", `exec "$@" >/dev/full`, "sh", filepath.Join(bin, "strongroomd"), "hsm", "generate", "--purpose", "data", "--config", config}, asked...)...)
		require.Contains(t, s.refused(r), "hsm::4::"+asked[1]+" was made: write /dev/stdout: no space left on device")
	}
	for _, asked := range []string{"info", "bench --sessions 1 --duration 1ms --only random", "bench --sessions 1 --duration 1ms --only random --json"} {
		r := s.exec(nil, "sh", "-c", filepath.Join(bin, "strongroomd")+" hsm "+asked+" --config '"+config+"' >/dev/full")
		require.Contains(t, s.refused(r), "no space left on device", asked)
	}
}

// TestHSMBench measures a token, in this process and in a worker process, and leaves nothing there.
func TestHSMBench(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, isolation := range []string{"none", "process"} {
		text := strings.Replace(string(s.read("strongroom.toml")), "[[hsm]]\n", "[[hsm]]\nisolation = \""+isolation+"\"\n", 1)
		s.write(isolation+".toml", []byte(text))
		r := s.strongroomd("hsm", "bench", "--slot", "4", "--sessions", "3", "--duration", "5ms", "--json", "--config", s.path(isolation+".toml"))
		var figures []hsm.Figure
		require.NoError(t, json.Unmarshal([]byte(s.must(r)), &figures))
		seen := map[string][]int{}
		for _, f := range figures {
			require.Positive(t, f.PerSecond)
			seen[f.Use+" "+f.Mechanism] = append(seen[f.Use+" "+f.Mechanism], f.Sessions)
		}
		for _, want := range []string{"AES-256 encrypt CKM_AES_GCM", "RSA-2048 decrypt CKM_RSA_X_509", "P-256 sign CKM_ECDSA", "Ed25519 sign CKM_EDDSA", "random, 32 bytes C_GenerateRandom"} {
			require.Equal(t, []int{1, 2, 3}, seen[want], want)
		}
		require.Contains(t, r.stderr, "CKM_AES_GCM", "it tells how far it is")
	}
	r := s.strongroomd("hsm", "bench", "--sessions", "1", "--duration", "5ms", "--only", "encrypt CKM_AES_GCM|sign.*PSS", "--json", "--config", s.path("strongroom.toml"))
	var figures []hsm.Figure
	require.NoError(t, json.Unmarshal([]byte(s.must(r)), &figures))
	require.Len(t, figures, 2)
	require.Equal(t, []string{"CKM_AES_GCM", "CKM_RSA_PKCS_PSS"}, []string{figures[0].Mechanism, figures[1].Mechanism})
	for only, want := range map[string]string{"(": "--only: error parsing regexp", "DES": `slot 4 does nothing that "DES" matches`} {
		r = s.strongroomd("hsm", "bench", "--only", only, "--config", s.path("strongroom.toml"))
		require.NotZero(t, r.code)
		require.Contains(t, r.stderr, want)
	}
	require.NotContains(t, s.tool("-O"), "Object")
	r = s.strongroomd("hsm", "bench", "--sessions", "1000", "--config", s.path("strongroom.toml"))
	require.NotZero(t, r.code)
	require.Contains(t, r.stderr, "the slot has 64 sessions")
}

// TestHSMGuideJSON: the guide names every member of what the commands answer with --json, and no other.
func TestHSMGuideJSON(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/hsm.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(guide), "<!-- json -->\n")
	table, _, found := strings.Cut(table, "<!-- end -->")
	require.True(t, found)
	var members func(reflect.Type) []string
	members = func(of reflect.Type) (all []string) {
		for i := range of.NumField() {
			field := of.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case field.Anonymous:
				all = append(all, "keys")
			case name != "":
				all = append(all, name)
			}
			if field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct {
				all = append(all, members(field.Type.Elem())...)
			}
		}
		return all
	}
	said := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[2], -1) {
			command := strings.Trim(cells[1], " `")
			said[command] = append(said[command], name[1])
		}
	}
	for command, of := range map[string]any{"slots": hsm.Token{}, "info": hsm.Status{}, "mechanisms": hsm.Mechanism{}, "test": hsm.Capability{}, "keys": hsm.KeyInfo{},
		"generate": hsm.MadeKey{}, "adopt": hsm.Adopted{}, "prune": hsm.Left{}, "bench": hsm.Figure{}, "rewrap": store.Rewrapping{}} {
		require.ElementsMatch(t, members(reflect.TypeOf(of)), said[command], command)
		delete(said, command)
	}
	require.Empty(t, said)
}
