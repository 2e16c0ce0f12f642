package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommandsAreDocumented shows that docs/commands.md lists the program's commands. With STRONGROOM_UPDATE=1 it writes them
// there.
func TestCommandsAreDocumented(t *testing.T) {
	const name, begin, end = "../../docs/commands.md", "<!-- commands -->\n", "<!-- end -->"
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	var table strings.Builder
	table.WriteString("| command | |\n|---|---|\n")
	for _, c := range leaves(new(program).rootCommand()) {
		line := strings.TrimPrefix(c.CommandPath(), "strongroom ") + strings.TrimPrefix(c.Use, c.Name())
		fmt.Fprintf(&table, "| `%s` | %s |\n", line, c.Short)
	}
	want := before + begin + table.String() + end + after
	if os.Getenv("STRONGROOM_UPDATE") != "" {
		require.NoError(t, os.WriteFile(name, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "make it anew: STRONGROOM_UPDATE=1 go test ./cmd/strongroom -run Documented")
}
