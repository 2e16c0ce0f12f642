package tests

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/kmip/client"
	"strongroom/kmip/replay"
)

// vectorsVariable names the environment variable that says where the test cases of the KMIP profiles are.
const vectorsVariable = "KMIP_VECTORS"

// vectors is the folder of the test cases: VERSION/mandatory/*.xml and VERSION/optional/*.xml.
func vectors(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(vectorsVariable)
	if dir == "" {
		dir = "../../shared/kmip/vectors"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the test cases of the KMIP profiles are not here (%s names their folder): %v", vectorsVariable, err)
	}
	return dir
}

// vectorVersions are the versions that the profiles have cases for.
var vectorVersions = []string{"1.0", "1.2", "1.4", "2.1"}

// failing are the cases that are known to fail, each with its reason.
func failing(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("vectors.txt")
	require.NoError(t, err)
	defer f.Close()
	reasons := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, "\t")
		require.True(t, ok && reason != "", "%q has no reason", line)
		require.NotContains(t, reasons, name)
		reasons[name] = reason
	}
	return reasons
}

// settings are what a server must be told for cases that exclude one another: CS-RNG-O-1 to CS-RNG-O-4 send the same seed, and
// expect all of it to be used, half of it, nothing, and a refusal.
var settings = map[string]string{"CS-RNG-O-1": "seed = 32", "CS-RNG-O-2": "seed = 16", "CS-RNG-O-4": "seed = -1"}

// setting is the setting for a case, "" for most.
func setting(name string) string { return settings[name[:max(0, strings.LastIndex(name, "-"))]] }

// played is a player against a server of its own.
func played(t *testing.T, setting string) *replay.Player {
	t.Helper()
	s := newSite(t)
	if setting != "" {
		s.write("strongroom.toml", append(s.read("strongroom.toml"), "\n[entropy]\n"+setting+"\n"...))
	}
	s.serve()
	c, err := client.Dial(t.Context(), client.Config{Address: s.address, TLS: s.tls("admin")})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return replay.NewPlayer(c.RoundTripRaw)
}

// TestVectors plays the test cases of the KMIP profiles against a server each version. A case listed in vectors.txt must
// fail, so that the list holds what fails and nothing else.
func TestVectors(t *testing.T) {
	t.Parallel()
	dir := vectors(t)
	reasons := failing(t)
	for _, version := range vectorVersions {
		t.Run(version, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(dir, version, "*", "*.xml"))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			player := played(t, "")
			for _, file := range files {
				name := strings.TrimSuffix(filepath.Base(file), ".xml")
				t.Run(name, func(t *testing.T) {
					player := player
					if s := setting(name); s != "" {
						player = played(t, s)
					}
					vector(t, player, file, reasons[name])
				})
			}
		})
	}
}

// vector plays a case, which must fail if there is a reason for it.
func vector(t *testing.T, p *replay.Player, file, reason string) {
	c, err := replay.Load(file)
	require.NoError(t, err)
	differences, err := p.Play(t.Context(), c)
	require.NoError(t, err)
	switch {
	case reason == "" && len(differences) > 0:
		t.Errorf("%s", replay.Summary(differences))
	case reason != "" && len(differences) == 0:
		t.Errorf("it passes: take its line %q out of vectors.txt", reason)
	case reason != "":
		t.Logf("known to fail (%s):\n%s", reason, replay.Summary(differences))
	}
}

// TestConformance shows that docs/conformance.md says which cases pass. With STRONGROOM_UPDATE=1 it writes it there.
func TestConformance(t *testing.T) {
	table := caseTable(t, vectors(t), failing(t))
	text, err := os.ReadFile("../docs/conformance.md")
	require.NoError(t, err)
	want := between(t, string(text), "<!-- cases -->", table)
	if os.Getenv("STRONGROOM_UPDATE") != "" {
		require.NoError(t, os.WriteFile("../docs/conformance.md", []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "make it anew: STRONGROOM_UPDATE=1 go test ./tests -run Conformance")
}

// caseTable is a row a case, a column a version: a mark where it passes, else the reason why not.
func caseTable(t *testing.T, dir string, reasons map[string]string) string {
	cells := map[string]map[string]string{} // by case without its version, and version
	passed, all := map[string]int{}, map[string]int{}
	for _, version := range vectorVersions {
		files, err := filepath.Glob(filepath.Join(dir, version, "*", "*.xml"))
		require.NoError(t, err)
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".xml")
			row := strings.TrimSuffix(name, "-"+strings.ReplaceAll(version, ".", ""))
			if cells[row] == nil {
				cells[row] = map[string]string{}
			}
			all[version]++
			cells[row][version] = reasons[name]
			if reasons[name] == "" {
				passed[version]++
				cells[row][version] = "✓"
				if s := setting(name); s != "" {
					cells[row][version] = "✓ with `" + s + "`"
				}
			}
		}
	}
	var b strings.Builder
	b.WriteString("| case | " + strings.Join(vectorVersions, " | ") + " |\n|---|" + strings.Repeat("---|", len(vectorVersions)) + "\n| pass |")
	for _, version := range vectorVersions {
		fmt.Fprintf(&b, " %d of %d |", passed[version], all[version])
	}
	for _, row := range slices.SortedFunc(maps.Keys(cells), byNumber) {
		fmt.Fprintf(&b, "\n| %s |", row)
		for _, version := range vectorVersions {
			fmt.Fprintf(&b, " %s |", cells[row][version])
		}
	}
	return b.String()
}

var digits = regexp.MustCompile(`[0-9]+`)

// byNumber puts AC-M-2 before AC-M-10.
func byNumber(a, b string) int {
	pad := func(s string) string {
		return digits.ReplaceAllStringFunc(s, func(n string) string { return fmt.Sprintf("%9s", n) })
	}
	return strings.Compare(pad(a), pad(b))
}
