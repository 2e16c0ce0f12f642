package tests

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strongroom/conf"
	"strongroom/kmip"
)

// TestREADME shows that what the README says of configuration and operations is what the program has. With
// STRONGROOM_UPDATE=1 it writes it there.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	want := between(t, string(text), "<!-- conf/example.toml -->", "```toml\n"+conf.Example()+"```")
	want = between(t, want, "<!-- operations -->", operationTable())
	if os.Getenv("STRONGROOM_UPDATE") != "" {
		require.NoError(t, os.WriteFile("../README.md", []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "make it anew: STRONGROOM_UPDATE=1 go test ./tests -run README")
}

// between puts content between a mark and the next end mark.
func between(t *testing.T, text, mark, content string) string {
	const end = "<!-- end -->"
	before, rest, ok := strings.Cut(text, mark+"\n")
	require.True(t, ok, mark)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, end)
	return before + mark + "\n" + content + "\n" + end + after
}

// operationTable is a row an operation, a column a version.
func operationTable() string {
	var b strings.Builder
	b.WriteString("| operation |")
	versions := slices.Clone(kmip.Versions)
	slices.Reverse(versions)
	for _, v := range versions {
		fmt.Fprintf(&b, " %v |", v)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(versions)) + "\n")
	for _, p := range kmip.Payloads {
		fmt.Fprintf(&b, "| %v |", p.Operation)
		for _, v := range versions {
			mark := ""
			if v >= p.Since {
				mark = "✓"
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
