package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWholeLines: of a log that is being written, the lines that are whole.
func TestWholeLines(t *testing.T) {
	long := strings.Repeat("a part of a line ", 10<<10)
	for content, want := range map[string]int{"": 0, "torn": 0, "one\n": 4, "one\ntwo\nth": 8, "one\n" + long: 4, long + "\n": len(long) + 1, long + "\n" + long: len(long) + 1} {
		path := filepath.Join(t.TempDir(), "log")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		f, err := os.Open(path)
		require.NoError(t, err)
		size, err := wholeLines(f)
		require.NoError(t, err)
		require.EqualValues(t, want, size)
		require.NoError(t, f.Close())
	}
}
